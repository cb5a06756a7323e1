//! Sessions that move between shards, or come from the store.

use super::{Identify, Sessions};
use crate::time::Instant;
use crate::wdp::{Peer, source_prefix};
use crate::wsp::AbortReason;
use crate::wsp::claim::{Claim, ClaimId, ClaimKey, Claimed, PendingPdu, ShardTopology};
use crate::wsp::config::MAX_KEPT;
use crate::wsp::context::Owner;
use crate::wsp::indication::Indication;
use crate::wsp::key::SessionKey;
use crate::wsp::pdu::{self, Pdu};
use crate::wsp::profile::ProfileParts;
use crate::wsp::saved::SessionRecord;
use crate::wsp::session::{Event, Outcome, Session};
use crate::wtp::{Class, Endpoint};

impl Sessions {
    /// Sets the shards and the store that may have a session. Before this call there are none.
    pub const fn set_topology(&mut self, topology: ShardTopology) {
        self.shared.stored = topology.stored;
        self.claims.set_topology(topology);
    }

    /// A claim ended: with the session, which is in this shard from now on, or without. A late
    /// session is taken in all the same, since no other shard has it.
    pub fn handle_claim(
        &mut self,
        now: Instant,
        id: ClaimId,
        record: Option<SessionRecord>,
        identify: Identify<'_>,
        wtp: &mut Endpoint,
    ) {
        let claim = self.claims.take(id);
        let by_peer = claim
            .as_ref()
            .is_some_and(|claim| matches!(claim.key, ClaimKey::Peer(_)));
        let is_found = record.is_some_and(|record| self.adopt(now, record, by_peer, wtp));
        let Some(claim) = claim else {
            return;
        };
        if is_found {
            self.shared.stats.claims_found += 1;
        } else {
            self.shared.stats.claims_missed += 1;
            if by_peer {
                self.claims.missed(now, claim.from);
            }
        }
        self.hear_again(now, claim, identify, wtp);
    }

    /// Releases a session by its id. Its outstanding transactions are aborted as at a Resume.
    /// `None` if the session is not here, or cannot be resumed.
    pub fn hand_over(
        &mut self,
        now: Instant,
        id: u32,
        wtp: &mut Endpoint,
    ) -> Option<SessionRecord> {
        let key = self.table.of_id(id)?;
        let outcome = self.step_only(now, key, Event::HandOver, wtp);
        if outcome == Outcome::Refused {
            return None;
        }
        let record = self.record(key)?;
        self.remove(key);
        self.claims.moved_away(id, self.config.max_sessions);
        self.shared.stats.handed_over += 1;
        Some(record)
    }

    /// Another node has taken this session over: it ends here. Its outstanding transactions are
    /// aborted as at a Resume, and neither its client nor the store is told. Returns whether the
    /// session was here.
    pub fn taken(&mut self, now: Instant, id: u32, wtp: &mut Endpoint) -> bool {
        let Some(key) = self.table.of_id(id) else {
            return false;
        };
        if self.step_only(now, key, Event::Taken, wtp) == Outcome::Refused {
            return false;
        }
        self.remove(key);
        self.shared.stats.taken += 1;
        true
    }

    /// A session made here has ended elsewhere: its id is free.
    pub fn ended_elsewhere(&mut self, id: u32) {
        self.claims.came_back(id);
    }

    /// The record of a session for the store.
    #[must_use]
    pub fn record(&self, key: SessionKey) -> Option<SessionRecord> {
        let session = self.table.get(key)?;
        let profile = session.profile();
        Some(SessionRecord {
            id: session.id(),
            peer: session.peer(),
            suspended: session.is_suspended(),
            agreed: profile.agreed.clone(),
            encoding: profile.encoding,
            headers: profile.headers.clone(),
            subscriber: session.subscriber(),
        })
    }

    /// Claims the session that a Resume names, unless it is here or cannot be elsewhere. Returns
    /// whether the Resume waits.
    pub(super) fn claimed_by_id(
        &mut self,
        now: Instant,
        from: Peer,
        resume: &pdu::Resume<'_>,
        waiting: PendingPdu,
        wtp: &mut Endpoint,
    ) -> bool {
        let id = resume.session_id;
        if self.table.of_id(id).is_some() || resume.headers.len() > MAX_KEPT {
            return false;
        }
        let transaction = waiting.transaction;
        let is_claimed = self.claim(now, ClaimKey::Id(id), from, Some(waiting), wtp);
        if is_claimed {
            self.shared.owners.insert(transaction, Owner::Claim);
        }
        is_claimed
    }

    /// Claims the session of a peer, unless it is here or cannot be elsewhere. Returns whether it
    /// is claimed.
    pub(super) fn claimed_by_peer(
        &mut self,
        now: Instant,
        from: Peer,
        waiting: Option<PendingPdu>,
        wtp: &mut Endpoint,
    ) -> bool {
        self.shared.stored
            && self.session_of(from).is_none()
            && self.claim(now, ClaimKey::Peer(from), from, waiting, wtp)
    }

    fn claim(
        &mut self,
        now: Instant,
        key: ClaimKey,
        from: Peer,
        waiting: Option<PendingPdu>,
        wtp: &mut Endpoint,
    ) -> bool {
        match self.claims.claim(now, key, from, waiting, &self.config) {
            Claimed::Impossible => false,
            Claimed::Full => {
                self.shared.stats.claims_refused += 1;
                false
            }
            Claimed::Again(before) => {
                // A new Resume of the client replaces the waiting one.
                if let Some(before) = before.filter(|before| before.class != Class::Zero) {
                    let mut cx = self.shared.context(now, wtp);
                    cx.abort(before.transaction, AbortReason::RESUME);
                }
                true
            }
            Claimed::New(id) => {
                self.shared.stats.claims += 1;
                let claim = Indication::Claim(id, key);
                self.shared.indications.push_back(claim);
                true
            }
        }
    }

    /// Claims under way.
    #[must_use]
    pub fn claims(&self) -> usize {
        self.claims.len()
    }

    /// Ends expired claims without a session.
    pub(super) fn expire_claims(
        &mut self,
        now: Instant,
        identify: Identify<'_>,
        wtp: &mut Endpoint,
    ) {
        while let Some(claim) = self.claims.pop_due(now) {
            self.shared.stats.claims_expired += 1;
            self.hear_again(now, claim, identify, wtp);
        }
    }

    /// Handles the PDU that waited for a claim, with the session or without.
    fn hear_again(
        &mut self,
        now: Instant,
        claim: Claim,
        identify: Identify<'_>,
        wtp: &mut Endpoint,
    ) {
        let peer = claim.from;
        if let ClaimKey::Peer(peer) = claim.key {
            if self.session_of(peer).is_some() {
                self.release_pending(now, peer, wtp);
            } else if self.config.early_wait.is_zero() {
                // Without a wait for its Connect, that is all.
                self.abort_pending(now, peer, wtp);
            }
        }
        let Some(PendingPdu {
            transaction,
            class,
            sdu,
        }) = claim.waiting
        else {
            return;
        };
        self.shared.owners.remove(&transaction);
        match (class, Pdu::decode(&sdu)) {
            (Class::Two, Ok(Pdu::Resume(resume))) => {
                self.resume_received(now, transaction, peer, &resume, identify, wtp);
            }
            (Class::Zero, Ok(Pdu::Disconnect { session_id })) => {
                self.end_or_suspend(now, peer, session_id, Event::RcvDisconnect, wtp);
            }
            (Class::Zero, Ok(Pdu::Suspend { session_id })) => {
                self.end_or_suspend(now, peer, session_id, Event::RcvSuspend, wtp);
            }
            _ => {}
        }
    }

    /// Takes a session in. Returns false when there is no room for it, or another has its place; it
    /// is gone then.
    fn adopt(
        &mut self,
        now: Instant,
        record: SessionRecord,
        by_peer: bool,
        wtp: &mut Endpoint,
    ) -> bool {
        let (id, peer) = (record.id, record.peer);
        if self.table.of_id(id).is_some() {
            return false;
        }
        // A peer that connected meanwhile has a newer session (the rule of S-Connect.res).
        let is_taken = by_peer && self.session_of(peer).is_some();
        let parts = ProfileParts {
            offer: &[],
            headers: &record.headers,
            encoding: record.encoding,
            agreed: record.agreed,
        };
        // The share of a source does not count: the session was in use already.
        let max = self.config.max_profiles;
        let has_room =
            !is_taken && (self.table.len() < self.config.max_sessions || self.evict(now, wtp));
        let source = source_prefix(peer.remote.ip());
        let profile = match has_room {
            true => self.profiles.keep(&parts, source, max).ok(),
            false => None,
        };
        let Some(profile) = profile else {
            self.shared.stats.congested += u64::from(!is_taken);
            if self.claims.is_known_outside(id) {
                self.shared.indications.push_back(Indication::Gone(id));
            }
            return false;
        };
        self.claims.came_back(id);
        let mut session = Session::restored(id, peer, record.suspended, profile);
        session.set_subscriber(record.subscriber);
        let key = self.table.insert(now, session);
        if self.table.of_peer(peer).is_none() {
            self.table.bind(key, peer);
        }
        self.changed(key);
        true
    }
}
