//! Methods that came before the Connect or Resume they belong to, held for a moment.
//!
//! WSP lets a client send its first method without waiting for the ConnectReply (7.1.5), and networks let
//! datagrams overtake each other. Aborting such a method at once would cost the handset its session.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::AbortReason;
use crate::wsp::sessions::{Owner, Sessions};
use crate::wtp::{Endpoint, Fragment, Handle};

/// The methods held, in the order they came, which is that of their deadlines.
#[derive(Debug, Default)]
pub(super) struct Early(VecDeque<Held>);

#[derive(Debug)]
struct Held {
    until: Instant,
    transaction: Handle,
    peer: Peer,
    sdu: Bytes,
}

impl Early {
    /// When the first of them has waited long enough.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.0.front().map(|held| held.until)
    }

    /// Forgets one whose transaction is over.
    pub(super) fn forget(&mut self, transaction: Handle) {
        self.0.retain(|held| held.transaction != transaction);
    }

    fn take(&mut self, peer: Peer) -> Option<Held> {
        let place = self.0.iter().position(|held| held.peer == peer)?;
        self.0.remove(place)
    }

    fn pop_due(&mut self, now: Instant) -> Option<Held> {
        let due = self.0.front().is_some_and(|held| held.until <= now);
        if due { self.0.pop_front() } else { None }
    }
}

impl Sessions {
    /// TR-Invoke.ind of a method, no session matching the peer: held, or aborted as the table of validation
    /// says. A request in several SDUs is not held: its client knew that there was a session.
    pub(super) fn early_method(
        &mut self,
        now: Instant,
        transaction: Handle,
        peer: Peer,
        sdu: Bytes,
        fragment: Fragment,
        wtp: &mut Endpoint,
    ) {
        let claimed = !fragment.more && self.claimed_by_peer(now, peer, None, wtp);
        let wait = match (self.config.early_wait, claimed) {
            (Duration::ZERO, true) => self.config.claim_wait,
            (wait, _) => wait,
        };
        let max = self.config.max_early;
        let held = &mut self.early.0;
        let octets = held.iter().map(|held| held.sdu.len()).sum::<usize>() + sdu.len();
        let of_peer = |held: &VecDeque<Held>| held.iter().filter(|held| held.peer == peer).count();
        if fragment.more
            || wait.is_zero()
            || held.len() >= max
            || octets > self.config.max_early_octets
            || of_peer(held) >= max.div_ceil(16)
        {
            self.stats.unknown_session += 1;
            return wtp.abort(now, transaction, AbortReason::DISCONNECT.0);
        }
        self.stats.early += 1;
        held.push_back(Held {
            until: now + wait,
            transaction,
            peer,
            sdu,
        });
        self.owners.insert(transaction, Owner::Early);
    }

    /// Nobody knows a session of this peer: without a wait for its Connect, that is all.
    pub(super) fn nobody_knows(&mut self, now: Instant, peer: Peer, wtp: &mut Endpoint) {
        if self.config.early_wait.is_zero() {
            self.abort_early(now, peer, wtp);
        }
    }

    /// The peer has a session now.
    pub(super) fn release_early(&mut self, now: Instant, peer: Peer, wtp: &mut Endpoint) {
        while let Some(held) = self.early.take(peer) {
            self.owners.remove(&held.transaction);
            self.method(now, held.transaction, peer, held.sdu, Fragment::WHOLE, wtp);
        }
    }

    /// The peer was refused one.
    pub(super) fn abort_early(&mut self, now: Instant, peer: Peer, wtp: &mut Endpoint) {
        while let Some(held) = self.early.take(peer) {
            self.owners.remove(&held.transaction);
            wtp.abort(now, held.transaction, AbortReason::DISCONNECT.0);
        }
    }

    /// No Connect came in time.
    pub(super) fn expire_early(&mut self, now: Instant, wtp: &mut Endpoint) {
        while let Some(held) = self.early.pop_due(now) {
            self.owners.remove(&held.transaction);
            self.stats.unknown_session += 1;
            wtp.abort(now, held.transaction, AbortReason::DISCONNECT.0);
        }
    }
}
