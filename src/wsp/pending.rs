//! Methods that came before their Connect or Resume, held for a moment.
//!
//! WSP lets a client send its first method before the ConnectReply (7.1.5), and networks reorder
//! datagrams. An immediate Abort for such a method would cost the client its session.

use std::collections::VecDeque;

use crate::time::Instant;
use crate::wdp::{Peer, source_prefix};
use crate::wsp::config::Config;
use crate::wsp::request::PartialRequest;
use crate::wtp::Handle;

/// The methods held, in the order they came, which is that of their deadlines.
#[derive(Debug, Default)]
pub(super) struct PendingMethods {
    queue: VecDeque<PendingMethod>,
    octets: usize,
}

/// A method whose peer has no session.
#[derive(Debug)]
pub(super) struct PendingMethod {
    pub(super) until: Instant,
    pub(super) transaction: Handle,
    pub(super) peer: Peer,
    pub(super) request: PartialRequest,
}

impl PendingMethods {
    /// Holds a method. Returns whether there is room.
    pub(super) fn hold(&mut self, method: PendingMethod, config: &Config) -> bool {
        let octets = self.octets + method.request.sdu_len();
        let source = source_prefix(method.peer.remote.ip());
        let same_source = |it: &&PendingMethod| source_prefix(it.peer.remote.ip()) == source;
        let of_source = self.queue.iter().filter(same_source).count();
        let octets_of = |held: usize, it: &PendingMethod| held + it.request.sdu_len();
        let held_of_source = self.queue.iter().filter(same_source).fold(0, octets_of);
        // One method that the queue has room for is within the share of any source.
        let is_over = held_of_source > 0
            && held_of_source + method.request.sdu_len()
                > config.max_early_octets / SOURCES_AT_LEAST;
        let same_peer = |it: &&PendingMethod| it.peer == method.peer;
        let of_peer = self.queue.iter().filter(same_peer).count();
        if self.queue.len() >= config.max_early
            || octets > config.max_early_octets
            || is_over
            || of_source >= config.max_early.div_ceil(SOURCES_AT_LEAST)
            || of_peer >= config.max_early.div_ceil(PEERS_AT_LEAST)
        {
            return false;
        }
        self.octets = octets;
        self.queue.push_back(method);
        true
    }

    /// Methods held.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// When the first of them has waited long enough.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.queue.front().map(|method| method.until)
    }

    /// Forgets the method of a transaction that is over.
    pub(super) fn forget(&mut self, transaction: Handle) {
        let place = |method: &PendingMethod| method.transaction == transaction;
        if let Some(place) = self.queue.iter().position(place) {
            self.remove(place);
        }
    }

    /// The oldest method of a peer.
    pub(super) fn take(&mut self, peer: Peer) -> Option<PendingMethod> {
        let place = self.queue.iter().position(|method| method.peer == peer)?;
        self.remove(place)
    }

    /// A method that has waited long enough.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<PendingMethod> {
        let is_due = self.next_deadline().is_some_and(|until| until <= now);
        if is_due { self.remove(0) } else { None }
    }

    fn remove(&mut self, place: usize) -> Option<PendingMethod> {
        let method = self.queue.remove(place)?;
        self.octets -= method.request.sdu_len();
        Some(method)
    }
}

/// Source prefixes that fill the queue at least: one prefix has this part of it.
const SOURCES_AT_LEAST: usize = 4;
/// Peers that fill the queue at least: one peer has this part of it.
const PEERS_AT_LEAST: usize = 16;
