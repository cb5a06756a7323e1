//! Session directory: settles the claims of all shards of a process, one after the other.
//!
//! A session's id and the secret of the shards give the shard that made the session
//! ([`ShardTopology::shard_of`]). So the directory has no entry for a session that never moved, and
//! one entry for each session that did. One directory sees every claim, and every message of a
//! shard in the order of sending, so there are no races. Of two claims for one session the later
//! one gets it. A session is in one shard, or on its way to one.
//!
//! Like the core the directory does no I/O. The server runs it on a thread of its own, the
//! simulator in virtual time. The directory has no deadlines: a shard that is asked for a session
//! always answers, and a claim that waits too long ends in its own shard, which takes in a session
//! that comes late.

use std::collections::VecDeque;

use derive_more::AddAssign;
use hashbrown::HashMap;

use crate::gateway::handover::{Handover, Ticket};
use crate::random::Keyed;
use crate::wsp::claim::{ClaimId, ClaimKey, ShardTopology};
use crate::wsp::saved::SessionRecord;

/// Settles claims.
#[derive(Debug)]
pub struct SessionDirectory {
    /// Number of shards, and whether there is a store. The shard number in it is unused here.
    topology: ShardTopology,
    max_elsewhere: usize,
    /// Sessions outside the shard that made them, or from the store: the shard that has them.
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

/// An action that the caller has to carry out.
#[derive(Debug)]
pub enum Action {
    /// Give [`Command::Release`](super::Command::Release) to this shard; owed one
    /// [`SessionDirectory::handle_released`] or [`SessionDirectory::handle_unreachable`].
    Release(u32, Ticket, u32),
    /// Look into the store for a session that is not live; owed one
    /// [`SessionDirectory::handle_lookup`].
    Lookup(Ticket, ClaimKey),
    /// The end of this shard's claim, for [`Gateway::handle_claim`](super::Gateway::handle_claim).
    Claimed(u32, ClaimId, Option<Box<Handover>>),
    /// Give [`Command::EndedElsewhere`](super::Command::EndedElsewhere) to this shard.
    EndedElsewhere(u32, u32),
    /// Give [`Command::Taken`](super::Command::Taken) to this shard.
    Taken(u32, u32),
}

/// Counters of the directory; they only grow, but for the gauge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, AddAssign)]
pub struct Stats {
    /// Sessions given from one shard to another.
    pub moved: u64,
    /// Sessions taken out of the store.
    pub restored: u64,
    /// Claims for sessions that do not exist.
    pub missed: u64,
    /// Claims that lost their session to a later one.
    pub superseded: u64,
    /// Sessions that moved and cannot be found again, for too many live elsewhere.
    pub untracked: u64,
    /// Gauge: sessions outside the shard that made them, or from the store.
    pub elsewhere: u64,
}

impl SessionDirectory {
    /// A directory without moved sessions. It keeps at most `max_elsewhere` moved sessions. The
    /// shard number in the topology is unused here.
    #[must_use]
    pub fn new(topology: ShardTopology, max_elsewhere: usize, hasher: Keyed) -> Self {
        Self {
            topology,
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
                let holder = holder.unwrap_or_else(|| self.topology.shard_of(id));
                self.actions.push_back(Action::Release(holder, ticket, id));
            }
            ClaimKey::Peer(_) => self.actions.push_back(Action::Lookup(ticket, key)),
        }
    }

    /// The answer to an [`Action::Release`].
    pub fn handle_released(&mut self, ticket: Ticket, found: Option<Box<Handover>>) {
        match found {
            Some(found) => {
                self.stats.moved += 1;
                self.end(ticket, Some(found));
            }
            None if self.topology.stored => {
                let key = self.searches.get(&ticket).map(|search| search.key);
                self.actions
                    .extend(key.map(|key| Action::Lookup(ticket, key)));
            }
            None => self.end(ticket, None),
        }
    }

    /// An [`Action::Release`] that could not be delivered: the session stays in its shard, and the
    /// claim ends without it.
    pub fn handle_unreachable(&mut self, ticket: Ticket) {
        self.end(ticket, None);
    }

    /// The answer to an [`Action::Lookup`].
    pub fn handle_lookup(&mut self, ticket: Ticket, found: Option<SessionRecord>) {
        let by_id = self
            .searches
            .get(&ticket)
            .is_some_and(|search| matches!(search.key, ClaimKey::Id(_)));
        // A session found by its peer may have been taken by its id meanwhile.
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
        let home = self.topology.shard_of(id);
        if home != shard {
            self.actions.push_back(Action::EndedElsewhere(home, id));
        }
    }

    /// Another node has taken this session over. Of two shards that may have it, the one that it
    /// moved to has it.
    pub fn handle_taken(&mut self, id: u32) {
        let home = self.topology.shard_of(id);
        let holder = self.elsewhere.remove(&id).unwrap_or(home);
        self.actions.push_back(Action::Taken(holder, id));
        if holder != home {
            // Its id is free here, once it has ended at the other node.
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
        if self.topology.shard_of(id) == shard && !self.topology.stored {
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
    use crate::wsp::id_key::{IdKey, KEY_LEN};

    fn directory(stored: bool, max_elsewhere: usize) -> SessionDirectory {
        let topology = ShardTopology {
            shard: 0,
            shards: 4,
            stored,
            id_key: IdKey::new(&[3; KEY_LEN]),
        };
        SessionDirectory::new(topology, max_elsewhere, Random::new(1).hasher())
    }

    /// Ids made by the second of the four shards.
    fn ids<const N: usize>() -> [u32; N] {
        let key = IdKey::new(&[3; KEY_LEN]);
        std::array::from_fn(|number| key.id(4 * u32::try_from(number).unwrap() + 1))
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
            subscriber: None,
        }
    }

    fn peer() -> Peer {
        let address = |port| ([127, 0, 0, 1], port).into();
        Peer::new(address(1), address(2))
    }

    fn actions(directory: &mut SessionDirectory) -> Vec<String> {
        let one = |action| match action {
            Action::Release(shard, _, id) => format!("{id} from {shard}"),
            Action::Lookup(_, key) => format!("look {key:?}"),
            Action::Claimed(shard, claim, found) => {
                let found = found.map(|found| found.session.id);
                format!("{claim:?} of {shard}: {found:?}")
            }
            Action::EndedElsewhere(shard, id) => format!("{id} ended, {shard}"),
            Action::Taken(shard, id) => format!("{id} taken from {shard}"),
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
        let [id] = ids();
        let mut directory = directory(false, 10);
        let [first, second, third] = claims();
        directory.handle_claim(3, first, ClaimKey::Id(id));
        assert_eq!(actions(&mut directory), [format!("{id} from 1")]);
        directory.handle_released(Ticket(0), found(id));
        assert_eq!(
            actions(&mut directory),
            [format!("ClaimId(0) of 3: Some({id})")]
        );
        directory.handle_claim(2, second, ClaimKey::Id(id));
        assert_eq!(actions(&mut directory), [format!("{id} from 3")]);
        directory.handle_released(Ticket(1), found(id));
        actions(&mut directory);
        assert_eq!(directory.stats().elsewhere, 1);
        // A session in the shard that made it needs no entry.
        directory.handle_claim(1, third, ClaimKey::Id(id));
        directory.handle_released(Ticket(2), found(id));
        assert_eq!(
            actions(&mut directory),
            [
                format!("{id} from 2"),
                format!("ClaimId(2) of 1: Some({id})")
            ]
        );
        assert_eq!(
            (directory.stats().elsewhere, directory.stats().moved),
            (0, 3)
        );
    }

    #[test]
    fn of_two_claims_for_one_session_the_later_gets_it() {
        let [id] = ids();
        let mut directory = directory(false, 10);
        let [first, second] = claims();
        directory.handle_claim(2, first, ClaimKey::Id(id));
        directory.handle_claim(3, second, ClaimKey::Id(id));
        directory.handle_released(Ticket(0), found(id));
        let all = [
            format!("{id} from 1"),
            "ClaimId(0) of 2: None".to_owned(),
            format!("ClaimId(1) of 3: Some({id})"),
        ];
        assert_eq!(actions(&mut directory), all);
        assert_eq!((directory.searches(), directory.stats().superseded), (0, 1));
    }

    #[test]
    fn the_store_is_asked_for_sessions_of_no_shard_and_never_twice() {
        let [id] = ids();
        let mut directory = directory(true, 10);
        let [by_id, by_peer, again] = claims();
        directory.handle_claim(2, by_id, ClaimKey::Id(id));
        directory.handle_claim(3, by_peer, ClaimKey::Peer(peer()));
        directory.handle_released(Ticket(0), None);
        assert_eq!(actions(&mut directory).len(), 3);
        directory.handle_lookup(Ticket(0), Some(session(id)));
        directory.handle_lookup(Ticket(1), Some(session(id)));
        let all = [
            format!("ClaimId(0) of 2: Some({id})"),
            "ClaimId(1) of 3: None".to_owned(),
        ];
        assert_eq!(
            actions(&mut directory),
            all,
            "found by its peer, it was out already"
        );
        // A shard that cannot be reached may have it: the store is not asked.
        directory.handle_claim(0, again, ClaimKey::Id(id));
        directory.handle_unreachable(Ticket(2));
        assert_eq!(
            actions(&mut directory),
            [format!("{id} from 2"), "ClaimId(2) of 0: None".to_owned()]
        );
        directory.handle_forget(2, id);
        assert_eq!(actions(&mut directory), [format!("{id} ended, 1")]);
        assert_eq!(directory.stats().elsewhere, 0);
    }

    #[test]
    fn a_session_that_another_node_took_ends_where_it_is() {
        let [stayed, moved] = ids();
        let mut directory = directory(true, 10);
        let [claim] = claims();
        directory.handle_taken(stayed);
        assert_eq!(actions(&mut directory), [format!("{stayed} taken from 1")]);
        directory.handle_claim(3, claim, ClaimKey::Id(moved));
        directory.handle_released(Ticket(0), found(moved));
        actions(&mut directory);
        directory.handle_taken(moved);
        assert_eq!(
            actions(&mut directory),
            [format!("{moved} taken from 3"), format!("{moved} ended, 1")]
        );
        assert_eq!(directory.stats().elsewhere, 0);
    }

    #[test]
    fn what_lives_elsewhere_is_bounded() {
        let mut directory = directory(false, 1);
        for (number, claim) in claims::<3>().into_iter().enumerate() {
            let (id, ticket) = (ids::<3>()[number], Ticket(number as u64));
            directory.handle_claim(2, claim, ClaimKey::Id(id));
            directory.handle_released(ticket, found(id));
        }
        let stats = directory.stats();
        assert_eq!((stats.moved, stats.elsewhere, stats.untracked), (3, 1, 2));
    }
}
