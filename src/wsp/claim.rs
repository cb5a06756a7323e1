//! Sessions that others may have, another shard or the store: asked for, taken over, given away.
//!
//! A Resume names a session and may come from anywhere; after a restart a method may come from a peer whose
//! session only the store remembers. What came waits while the session is asked for, and is then heard again as
//! if it came just now: with the session here, or without. WTP's hold-on acks cover the delay.
//!
//! The specification aborts what a session has outstanding when it is resumed, so only its record ever moves.

use std::collections::VecDeque;

use bytes::Bytes;
use hashbrown::HashSet;

use crate::random::Keyed;
use crate::table::Links;
use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::AbortReason;
use crate::wsp::method::NO_METHOD;
use crate::wsp::pdu::{self, Pdu};
use crate::wsp::profile::Said;
use crate::wsp::rates::{Rate, Rates};
use crate::wsp::saved::SessionRecord;
use crate::wsp::session::{Session, SessionKey, State};
use crate::wsp::sessions::{Indication, Owner, Sessions};
use crate::wsp::setup::MAX_KEPT;
use crate::wtp::{Class, Endpoint, Handle};

/// Names one claim of one shard; a stale one finds nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimId(u64);

impl ClaimId {
    /// A claim for tests of who settles them.
    #[cfg(test)]
    pub(crate) const fn numbered(number: usize) -> Self {
        Self(number as u64)
    }
}

/// What is known of a session that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClaimKey {
    /// Its id: whoever has it gives it up.
    Id(u32),
    /// Its conversation: only a store can know it, for a live one would have heard its peer itself.
    Peer(Peer),
}

/// Which shard this is, and who else may know a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 0.
    pub shard: u32,
    /// How many there are, this one among them.
    pub shards: u32,
    /// Whether sessions are remembered outside, and what changes in one is told.
    pub stored: bool,
}

impl Place {
    /// The only shard, and nothing is stored: nobody else knows a session, and nobody is asked.
    pub const ALONE: Self = Self {
        shard: 0,
        shards: 1,
        stored: false,
    };

    /// The shard that made a session of this id. Any number of shards share the ids evenly, and as many of them
    /// are taken as with one shard: knowing the shard helps nobody to guess one.
    #[must_use]
    pub fn home(self, id: u32) -> u32 {
        id % self.shards.max(1)
    }
}

/// The claims of one shard.
#[derive(Debug)]
pub(super) struct Claims {
    place: Place,
    /// Under way, oldest first, which is the order of their deadlines.
    open: VecDeque<Claim>,
    /// Ids made here whose sessions live elsewhere: they are not given away again.
    away: HashSet<u32, Keyed>,
    /// Addresses that asked for what nobody knows.
    failed: Rates,
    next: u64,
}

#[derive(Debug)]
struct Claim {
    id: ClaimId,
    key: ClaimKey,
    from: Peer,
    until: Instant,
    waiting: Option<Waiting>,
}

/// What came and waits for its session. Methods that do stand with the early ones instead.
#[derive(Debug)]
pub(super) struct Waiting {
    transaction: Handle,
    class: Class,
    sdu: Bytes,
}

impl Waiting {
    pub(super) fn new(transaction: Handle, class: Class, sdu: &Bytes) -> Self {
        Self {
            transaction,
            class,
            sdu: sdu.clone(),
        }
    }
}

impl Claims {
    pub(super) fn new(away: Keyed, failed: Keyed) -> Self {
        Self {
            place: Place::ALONE,
            open: VecDeque::new(),
            away: HashSet::with_hasher(away),
            failed: Rates::new(failed),
            next: 0,
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.open.front().map(|claim| claim.until)
    }

    /// The transaction of a Resume is over. The session may come all the same.
    pub(super) fn given_up(&mut self, transaction: Handle) {
        for claim in &mut self.open {
            claim
                .waiting
                .take_if(|waiting| waiting.transaction == transaction);
        }
    }

    /// The id nearest to a random number that a session made here may have.
    pub(super) fn own_id(&self, random: u32) -> Option<u32> {
        let id = (random - self.place.home(random)).checked_add(self.place.shard)?;
        (id != 0 && !self.away.contains(&id)).then_some(id)
    }
}

impl Sessions {
    /// Says which shard this is and who else may know a session. Until then nobody does.
    pub const fn set_place(&mut self, place: Place) {
        self.claims.place = place;
    }

    /// A claim ended: with the session, which is here from now on, or without. An answer that came too late is
    /// taken in all the same: nobody else has that session any more.
    pub fn handle_claim(
        &mut self,
        now: Instant,
        id: ClaimId,
        record: Option<SessionRecord>,
        wtp: &mut Endpoint,
    ) {
        let open = &mut self.claims.open;
        let place = open.iter().position(|claim| claim.id == id);
        let claim = place.and_then(|place| open.remove(place));
        let by_peer = claim
            .as_ref()
            .is_some_and(|claim| matches!(claim.key, ClaimKey::Peer(_)));
        let found = record.is_some_and(|record| self.adopt(now, record, by_peer));
        let Some(claim) = claim else {
            return;
        };
        if found {
            self.stats.claims_found += 1;
        } else {
            self.stats.claims_missed += 1;
            let _ = self
                .claims
                .failed
                .allow(now, claim.from.remote.ip(), FAILURES);
        }
        self.hear_again(now, claim, wtp);
    }

    /// Gives a session away, by its id: what it has outstanding is aborted as a Resume does. `None` if it is not
    /// here, or may not be resumed.
    pub fn hand_over(
        &mut self,
        now: Instant,
        id: u32,
        wtp: &mut Endpoint,
    ) -> Option<SessionRecord> {
        let key = self.key_of(id)?;
        let session = self.session(key)?;
        if !session.may_resume() || matches!(session.state, State::Connecting { .. }) {
            return None;
        }
        self.abort_transactions(now, key, AbortReason::RESUME, wtp);
        let record = SessionRecord {
            suspended: true,
            ..self.record(key)?
        };
        self.remove(key);
        if self.claims.place.home(id) == self.claims.place.shard
            && self.claims.away.len() < self.config.max_sessions
        {
            self.claims.away.insert(id);
        }
        self.stats.handed_over += 1;
        Some(record)
    }

    /// A session made here has ended elsewhere: its id is free.
    pub fn ended_elsewhere(&mut self, id: u32) {
        self.claims.away.remove(&id);
    }

    /// What to remember of a session.
    #[must_use]
    pub fn record(&self, key: SessionKey) -> Option<SessionRecord> {
        let session = self.session(key)?;
        Some(SessionRecord {
            id: session.id,
            peer: session.peer,
            suspended: session.state == State::Suspended,
            agreed: session.profile.agreed.clone(),
            encoding: session.profile.encoding,
            headers: session.profile.headers.clone(),
        })
    }

    /// Asks for the session that a Resume names, unless it is here or nobody else could have it. True when the
    /// Resume waits.
    pub(super) fn claimed_by_id(
        &mut self,
        now: Instant,
        from: Peer,
        resume: &pdu::Resume<'_>,
        waiting: Waiting,
        wtp: &mut Endpoint,
    ) -> bool {
        let id = resume.session_id;
        if self.registry.of_id(id).is_some() || resume.headers.len() > MAX_KEPT {
            return false;
        }
        let transaction = waiting.transaction;
        let claimed = self.claim(now, ClaimKey::Id(id), from, Some(waiting), wtp);
        if claimed {
            self.owners.insert(transaction, Owner::Claim);
        }
        claimed
    }

    /// Asks for the session of a peer, unless it is here or nobody could have it. True when it is asked for.
    pub(super) fn claimed_by_peer(
        &mut self,
        now: Instant,
        from: Peer,
        waiting: Option<Waiting>,
        wtp: &mut Endpoint,
    ) -> bool {
        self.claims.place.stored
            && self.session_of(from).is_none()
            && self.claim(now, ClaimKey::Peer(from), from, waiting, wtp)
    }

    fn claim(
        &mut self,
        now: Instant,
        key: ClaimKey,
        from: Peer,
        waiting: Option<Waiting>,
        wtp: &mut Endpoint,
    ) -> bool {
        let Claims { place, open, .. } = &mut self.claims;
        if place.shards <= 1 && !place.stored {
            return false;
        }
        let same = |claim: &&mut Claim| claim.from == from && claim.key == key;
        if let Some(claim) = open.iter_mut().find(same) {
            // The handset asks again: what it asked before is over.
            let before = waiting.and_then(|waiting| claim.waiting.replace(waiting));
            if let Some(before) = before.filter(|before| before.class != Class::Zero) {
                self.owners.remove(&before.transaction);
                wtp.abort(now, before.transaction, AbortReason::RESUME.0);
            }
            return true;
        }
        if open.len() >= self.config.max_claims
            || open.iter().filter(|claim| claim.from == from).count() >= MAX_PER_PEER
            || !self
                .claims
                .failed
                .is_allowed(now, from.remote.ip(), FAILURES)
        {
            self.stats.claims_refused += 1;
            return false;
        }
        self.stats.claims += 1;
        let id = ClaimId(self.claims.next);
        self.claims.next += 1;
        self.claims.open.push_back(Claim {
            id,
            key,
            from,
            until: now + self.config.claim_wait,
            waiting,
        });
        self.indications.push_back(Indication::Claim(id, key));
        true
    }

    /// Claims under way.
    #[must_use]
    pub fn claims(&self) -> usize {
        self.claims.open.len()
    }

    /// Claims whose time is over end without a session.
    pub(super) fn expire_claims(&mut self, now: Instant, wtp: &mut Endpoint) {
        let is_due = |claims: &Claims| claims.next_deadline().is_some_and(|until| until <= now);
        while is_due(&self.claims)
            && let Some(claim) = self.claims.open.pop_front()
        {
            self.stats.claims_expired += 1;
            self.hear_again(now, claim, wtp);
        }
    }

    /// What waited for a claim comes now, to the session that was found or to none.
    fn hear_again(&mut self, now: Instant, claim: Claim, wtp: &mut Endpoint) {
        let peer = claim.from;
        if let ClaimKey::Peer(peer) = claim.key {
            match self.session_of(peer) {
                Some(_) => self.release_early(now, peer, wtp),
                None => self.nobody_knows(now, peer, wtp),
            }
        }
        let Some(Waiting {
            transaction,
            class,
            sdu,
        }) = claim.waiting
        else {
            return;
        };
        self.owners.remove(&transaction);
        match (class, Pdu::decode(&sdu)) {
            (Class::Two, Ok(Pdu::Resume(resume))) => {
                self.resumed(now, transaction, peer, &resume, wtp);
            }
            (Class::Zero, Ok(Pdu::Disconnect { session_id })) => {
                self.disconnected(now, peer, session_id, wtp);
            }
            (Class::Zero, Ok(Pdu::Suspend { session_id })) => {
                self.suspended(now, peer, session_id, wtp);
            }
            _ => {}
        }
    }

    /// Takes a session in. False when there is no room for it, or another has its place; it is gone then.
    fn adopt(&mut self, now: Instant, record: SessionRecord, by_peer: bool) -> bool {
        let (id, peer) = (record.id, record.peer);
        if self.registry.of_id(id).is_some() {
            return false;
        }
        // A peer that connected meanwhile has a newer session (the rule of S-Connect.res).
        let taken = by_peer && self.session_of(peer).is_some();
        let said = Said {
            offer: &[],
            headers: &record.headers,
            encoding: record.encoding,
            agreed: record.agreed,
        };
        let has_room = !taken && self.registry.len() < self.config.max_sessions;
        let max = self.config.max_profiles;
        let Some(profile) = has_room.then(|| self.profiles.keep(said, max)).flatten() else {
            self.stats.congested += u64::from(!taken);
            self.gone(id);
            return false;
        };
        self.claims.away.remove(&id);
        let slot = self.registry.insert(Session {
            id,
            peer,
            state: if record.suspended {
                State::Suspended
            } else {
                State::Connected
            },
            // It was in use before it came here.
            proved: true,
            profile,
            method: NO_METHOD,
            pushes: None,
            used: now,
            queued: now,
            links: Links::default(),
        });
        self.crowd.join(peer);
        if self.registry.of_peer(peer).is_none() {
            self.registry.bind(slot, peer);
        }
        self.changed(slot);
        true
    }

    /// A session is new or other than it was.
    pub(super) fn changed(&mut self, slot: u32) {
        if self.claims.place.stored
            && let Some(id) = self.registry.get(slot).map(|session| session.id)
        {
            let key = SessionKey { slot, id };
            self.indications.push_back(Indication::Changed(key));
        }
    }

    /// A session has ended: whoever remembers it, or that it came here, need not any more.
    pub(super) fn gone(&mut self, id: u32) {
        let place = self.claims.place;
        if place.stored || place.home(id) != place.shard {
            self.indications.push_back(Indication::Gone(id));
        }
    }
}

/// What one peer may ask for at once.
const MAX_PER_PEER: usize = 4;

/// How often an address may ask for what nobody knows: a network behind one address has its share of handsets
/// whose sessions are over, and who guesses ids gets nowhere.
const FAILURES: Rate = Rate {
    per_second: 2,
    burst: 64,
    max_addresses: 16_384,
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn an_id_tells_the_shard_that_made_it_and_is_never_one_that_lives_elsewhere() {
        let mut random = Random::new(5);
        for shards in [1, 2, 3, 7, 64] {
            for shard in 0..shards {
                let mut claims = Claims::new(random.hasher(), random.hasher());
                claims.place = Place {
                    shard,
                    shards,
                    stored: false,
                };
                let mut made = 0;
                for number in [u32::MAX, 0]
                    .into_iter()
                    .chain((0..50).map(|_| random.u32()))
                {
                    let Some(id) = claims.own_id(number) else {
                        continue;
                    };
                    made += 1;
                    assert!(id != 0 && claims.place.home(id) == shard);
                    assert!(id.abs_diff(number) < shards);
                    claims.away.insert(id);
                    assert_eq!(claims.own_id(number), None);
                }
                assert!(made >= 50);
            }
        }
    }
}
