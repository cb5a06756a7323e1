//! Who has which session: settles the claims of all shards of a process, one after the other.
//!
//! A session's id tells the shard that made it ([`Place::home`]), so nothing is kept of a session that never
//! moved; only those that live elsewhere have an entry. One directory sees every claim, and every message of a
//! shard in the order it was sent, so there is nothing to race: of two claims for one session the later one gets
//! it, and a session is in one shard, or on its way to one.
//!
//! Like the core it does no I/O. The server runs it on a thread of its own, the simulator in virtual time. Nothing
//! here has a deadline: whoever is asked answers, and a shard that waits too long goes on by itself and takes in
//! what comes late.

use std::collections::VecDeque;

use derive_more::AddAssign;
use hashbrown::HashMap;

use crate::gateway::handover::{Handover, Ticket};
use crate::random::Keyed;
use crate::wsp::claim::{ClaimId, ClaimKey, Place};
use crate::wsp::saved::SessionRecord;

/// Settles claims.
#[derive(Debug)]
pub struct Directory {
    /// Of the shards: how many, and whether there is a store. The number of the shard means nothing here.
    place: Place,
    max_elsewhere: usize,
    /// Sessions that do not live where their id says, or that came from the store: the shard that has them.
    elsewhere: HashMap<u32, u32, Keyed>,
    searches: HashMap<Ticket, Search, Keyed>,
    /// The search under way for an id; there is at most one.
    by_id: HashMap<u32, Ticket, Keyed>,
    actions: VecDeque<Action>,
    next: u64,
    stats: Stats,
}

/// A session being looked for.
#[derive(Debug)]
struct Search {
    key: ClaimKey,
    /// The shard that gets it.
    shard: u32,
    claim: ClaimId,
}

/// What the directory wants done.
#[derive(Debug)]
pub enum Action {
    /// Give [`Command::Release`](super::Command::Release) to this shard; owed one
    /// [`Directory::handle_released`] or [`Directory::handle_unreachable`].
    Release(u32, Ticket, u32),
    /// Look into the store for a session that is not live; owed one [`Directory::handle_looked`].
    Look(Ticket, ClaimKey),
    /// The end of this shard's claim, for [`Gateway::handle_claim`](super::Gateway::handle_claim).
    Claimed(u32, ClaimId, Option<Box<Handover>>),
    /// Give [`Command::EndedElsewhere`](super::Command::EndedElsewhere) to this shard.
    EndedElsewhere(u32, u32),
}

/// Counters of the directory; they only grow, but for the gauge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, AddAssign)]
pub struct Stats {
    /// Sessions given from one shard to another.
    pub moved: u64,
    /// Sessions taken out of the store.
    pub restored: u64,
    /// Claims for what nobody has.
    pub missed: u64,
    /// Claims that lost their session to a later one.
    pub superseded: u64,
    /// Sessions that moved and cannot be found again, for too many live elsewhere.
    pub untracked: u64,
    /// Gauge: sessions that do not live where their id says, or came from the store.
    pub elsewhere: u64,
}

impl Directory {
    /// Nobody has moved yet. At most `max_elsewhere` sessions that have can be found again.
    #[must_use]
    pub fn new(shards: u32, stored: bool, max_elsewhere: usize, hasher: Keyed) -> Self {
        Self {
            place: Place {
                shard: 0,
                shards,
                stored,
            },
            max_elsewhere,
            elsewhere: HashMap::with_hasher(hasher),
            searches: HashMap::with_hasher(hasher),
            by_id: HashMap::with_hasher(hasher),
            actions: VecDeque::new(),
            next: 0,
            stats: Stats::default(),
        }
    }

    /// A shard claims a session; owed one [`Action::Claimed`].
    pub fn handle_claim(&mut self, shard: u32, claim: ClaimId, key: ClaimKey) {
        if let ClaimKey::Id(id) = key
            && let Some(search) = self.by_id.get(&id).and_then(|t| self.searches.get_mut(t))
        {
            // The later Resume is where the handset is now.
            let before = std::mem::replace(&mut search.shard, shard);
            let claim = std::mem::replace(&mut search.claim, claim);
            self.stats.superseded += 1;
            self.actions.push_back(Action::Claimed(before, claim, None));
            return;
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        self.searches.insert(ticket, Search { key, shard, claim });
        match key {
            ClaimKey::Id(id) => {
                self.by_id.insert(id, ticket);
                let holder = self.elsewhere.get(&id).copied();
                let holder = holder.unwrap_or_else(|| self.place.home(id));
                self.actions.push_back(Action::Release(holder, ticket, id));
            }
            ClaimKey::Peer(_) => self.actions.push_back(Action::Look(ticket, key)),
        }
    }

    /// The answer to an [`Action::Release`].
    pub fn handle_released(&mut self, ticket: Ticket, found: Option<Box<Handover>>) {
        match found {
            Some(found) => {
                self.stats.moved += 1;
                self.end(ticket, Some(found));
            }
            None if self.place.stored => {
                let key = self.searches.get(&ticket).map(|search| search.key);
                self.actions
                    .extend(key.map(|key| Action::Look(ticket, key)));
            }
            None => self.end(ticket, None),
        }
    }

    /// An [`Action::Release`] that could not be given: the session stays where it is, and nobody else is asked.
    pub fn handle_unreachable(&mut self, ticket: Ticket) {
        self.end(ticket, None);
    }

    /// The answer to an [`Action::Look`].
    pub fn handle_looked(&mut self, ticket: Ticket, found: Option<SessionRecord>) {
        let by_id = self
            .searches
            .get(&ticket)
            .is_some_and(|search| matches!(search.key, ClaimKey::Id(_)));
        // What was found by its peer may have been taken out by its id meanwhile.
        let found = found.filter(|session| {
            by_id
                || !self.elsewhere.contains_key(&session.id)
                    && !self.by_id.contains_key(&session.id)
        });
        self.stats.restored += u64::from(found.is_some());
        self.end(ticket, found.map(|session| Box::new(session.into())));
    }

    /// A session has ended in this shard.
    pub fn handle_forget(&mut self, shard: u32, id: u32) {
        self.elsewhere.remove(&id);
        let home = self.place.home(id);
        if home != shard {
            self.actions.push_back(Action::EndedElsewhere(home, id));
        }
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            elsewhere: self.elsewhere.len() as u64,
            ..self.stats
        }
    }

    /// Searches under way.
    #[must_use]
    pub fn searches(&self) -> usize {
        self.searches.len()
    }

    fn end(&mut self, ticket: Ticket, found: Option<Box<Handover>>) {
        let Some(Search { key, shard, claim }) = self.searches.remove(&ticket) else {
            return;
        };
        if let ClaimKey::Id(id) = key {
            self.by_id.remove(&id);
        }
        match &found {
            Some(found) => self.is_now_at(found.session.id, shard),
            None => self.stats.missed += 1,
        }
        self.actions.push_back(Action::Claimed(shard, claim, found));
    }

    fn is_now_at(&mut self, id: u32, shard: u32) {
        if self.place.home(id) == shard && !self.place.stored {
            self.elsewhere.remove(&id);
        } else if self.elsewhere.len() < self.max_elsewhere || self.elsewhere.contains_key(&id) {
            self.elsewhere.insert(id, shard);
        } else {
            self.stats.untracked += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::random::Random;
    use crate::wdp::Peer;
    use crate::wsp::capability::{Capabilities, ProtocolOptions};

    fn directory(stored: bool, max_elsewhere: usize) -> Directory {
        Directory::new(4, stored, max_elsewhere, Random::new(1).hasher())
    }

    fn session(id: u32) -> SessionRecord {
        let mut agreed = Capabilities::default();
        agreed.options = ProtocolOptions::SESSION_RESUME;
        SessionRecord {
            id,
            peer: peer(),
            suspended: true,
            agreed,
            encoding: None,
            headers: Bytes::new(),
        }
    }

    fn peer() -> Peer {
        let address = |port| ([127, 0, 0, 1], port).into();
        Peer::new(address(1), address(2))
    }

    fn actions(directory: &mut Directory) -> Vec<String> {
        let one = |action| match action {
            Action::Release(shard, _, id) => format!("{id} from {shard}"),
            Action::Look(_, key) => format!("look {key:?}"),
            Action::Claimed(shard, claim, found) => {
                let found = found.map(|found| found.session.id);
                format!("{claim:?} of {shard}: {found:?}")
            }
            Action::EndedElsewhere(shard, id) => format!("{id} ended, {shard}"),
        };
        std::iter::from_fn(|| directory.poll_action())
            .map(one)
            .collect()
    }

    /// The claims of a shard, named in order.
    fn claims<const N: usize>() -> [ClaimId; N] {
        std::array::from_fn(ClaimId::numbered)
    }

    fn found(id: u32) -> Option<Box<Handover>> {
        Some(Box::new(session(id).into()))
    }

    #[test]
    fn a_session_is_asked_for_where_it_went_last() {
        let mut directory = directory(false, 10);
        let [first, second, third] = claims();
        directory.handle_claim(3, first, ClaimKey::Id(9));
        assert_eq!(
            actions(&mut directory),
            ["9 from 1"],
            "9 of 4 shards is of the second"
        );
        directory.handle_released(Ticket(0), found(9));
        assert_eq!(actions(&mut directory), ["ClaimId(0) of 3: Some(9)"]);
        directory.handle_claim(2, second, ClaimKey::Id(9));
        assert_eq!(actions(&mut directory), ["9 from 3"]);
        directory.handle_released(Ticket(1), found(9));
        actions(&mut directory);
        assert_eq!(directory.stats().elsewhere, 1);
        // Back home there is nothing to remember.
        directory.handle_claim(1, third, ClaimKey::Id(9));
        directory.handle_released(Ticket(2), found(9));
        assert_eq!(
            actions(&mut directory),
            ["9 from 2", "ClaimId(2) of 1: Some(9)"]
        );
        assert_eq!(
            (directory.stats().elsewhere, directory.stats().moved),
            (0, 3)
        );
    }

    #[test]
    fn of_two_claims_for_one_session_the_later_gets_it() {
        let mut directory = directory(false, 10);
        let [first, second] = claims();
        directory.handle_claim(2, first, ClaimKey::Id(9));
        directory.handle_claim(3, second, ClaimKey::Id(9));
        directory.handle_released(Ticket(0), found(9));
        let all = [
            "9 from 1",
            "ClaimId(0) of 2: None",
            "ClaimId(1) of 3: Some(9)",
        ];
        assert_eq!(actions(&mut directory), all);
        assert_eq!((directory.searches(), directory.stats().superseded), (0, 1));
    }

    #[test]
    fn the_store_is_asked_for_what_no_shard_has_and_never_twice() {
        let mut directory = directory(true, 10);
        let [by_id, by_peer, again] = claims();
        directory.handle_claim(2, by_id, ClaimKey::Id(9));
        directory.handle_claim(3, by_peer, ClaimKey::Peer(peer()));
        directory.handle_released(Ticket(0), None);
        assert_eq!(actions(&mut directory).len(), 3);
        directory.handle_looked(Ticket(0), Some(session(9)));
        directory.handle_looked(Ticket(1), Some(session(9)));
        let all = ["ClaimId(0) of 2: Some(9)", "ClaimId(1) of 3: None"];
        assert_eq!(
            actions(&mut directory),
            all,
            "found by its peer, it was out already"
        );
        // A shard that cannot be reached may have it: the store is not asked.
        directory.handle_claim(0, again, ClaimKey::Id(9));
        directory.handle_unreachable(Ticket(2));
        assert_eq!(
            actions(&mut directory),
            ["9 from 2", "ClaimId(2) of 0: None"]
        );
        directory.handle_forget(2, 9);
        assert_eq!(actions(&mut directory), ["9 ended, 1"]);
        assert_eq!(directory.stats().elsewhere, 0);
    }

    #[test]
    fn what_lives_elsewhere_is_bounded() {
        let mut directory = directory(false, 1);
        for (number, claim) in claims::<3>().into_iter().enumerate() {
            let (id, ticket) = ([9, 13, 17][number], Ticket(number as u64));
            directory.handle_claim(2, claim, ClaimKey::Id(id));
            directory.handle_released(ticket, found(id));
        }
        let stats = directory.stats();
        assert_eq!((stats.moved, stats.elsewhere, stats.untracked), (3, 1, 2));
    }
}
