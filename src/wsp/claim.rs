//! Claims: sessions that another shard or the store may have are asked for, taken over and
//! released.
//!
//! A Resume names a session and may arrive at any shard. After a restart a method may come from a
//! peer whose session only the store has. The PDU waits during the claim. Afterwards it is handled
//! as if it came just then, with the session or without. WTP's hold-on acks cover the delay.
//!
//! The specification aborts all outstanding transactions of a session that is resumed, so only its
//! record moves.

use std::collections::VecDeque;
use std::net::IpAddr;

use bytes::Bytes;
use hashbrown::HashSet;

use crate::limit::{Rate, RateLimiter};
use crate::random::{Keyed, Random};
use crate::time::Instant;
use crate::wdp::{Peer, network_prefix, region_prefix, source_prefix};
use crate::wsp::config::Config;
use crate::wsp::id_key::{IdKey, KEY_LEN};
use crate::wsp::resume_failures::Waiting;
use crate::wtp::{Class, Handle};

/// Identifies one claim of one shard. The id of an ended claim matches none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimId(u64);

impl ClaimId {
    /// A claim for tests of the session directory.
    #[cfg(test)]
    pub(crate) const fn numbered(number: usize) -> Self {
        Self(number as u64)
    }
}

/// The key of a claimed session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClaimKey {
    /// The session's id: the shard that has the session releases it.
    Id(u32),
    /// The session's quadruplet. Only the store can have such a session: a live one would be in the
    /// shard of its peer.
    Peer(Peer),
}

/// Which shard this is, and where else a session may be.
#[derive(Clone, Copy, Debug)]
pub struct ShardTopology {
    /// From 0.
    pub shard: u32,
    /// How many there are, this one among them.
    pub shards: u32,
    /// Whether a store keeps sessions and is told about their changes.
    pub stored: bool,
    /// The secret that all shards share.
    pub id_key: IdKey,
}

impl ShardTopology {
    /// A single shard without a store. Its key is not secret, because with one shard an id hides
    /// nothing.
    #[must_use]
    pub fn single() -> Self {
        Self {
            shard: 0,
            shards: 1,
            stored: false,
            id_key: IdKey::new(&[0; KEY_LEN]),
        }
    }

    /// The shard that made a session of this id. Shards share all ids but 0 evenly.
    #[must_use]
    pub fn shard_of(self, id: u32) -> u32 {
        match self.shards {
            0 | 1 => 0,
            shards => self.id_key.number(id) % shards,
        }
    }
}

/// The claims of one shard.
#[derive(Debug)]
pub(super) struct Claims {
    topology: ShardTopology,
    /// Under way, oldest first, which is the order of their deadlines.
    open: VecDeque<Claim>,
    /// Ids made by this shard whose sessions are in other shards: these ids are not assigned again.
    moved: HashSet<u32, Keyed>,
    /// Claims by peer without a session, by source prefix.
    missed: RateLimiter<u128>,
    next: u64,
}

/// A session asked for elsewhere.
#[derive(Debug)]
pub(super) struct Claim {
    id: ClaimId,
    pub(super) key: ClaimKey,
    pub(super) from: Peer,
    until: Instant,
    pub(super) waiting: Option<PendingPdu>,
}

/// A Resume, Suspend or Disconnect that waits for its session. Methods wait among the pending
/// methods instead.
#[derive(Debug)]
pub(super) struct PendingPdu {
    pub(super) transaction: Handle,
    pub(super) class: Class,
    pub(super) sdu: Bytes,
}

impl PendingPdu {
    pub(super) fn new(transaction: Handle, class: Class, sdu: &Bytes) -> Self {
        Self {
            transaction,
            class,
            sdu: sdu.clone(),
        }
    }
}

/// The result of a request for a claim.
#[derive(Debug)]
pub(super) enum Claimed {
    /// No other shard and no store can have the session.
    Impossible,
    /// Too many claims are open, or too many of this source found no session.
    Full,
    /// It is asked for already; the PDU that waited before is superseded.
    Again(Option<PendingPdu>),
    /// It is to be asked for.
    New(ClaimId),
}

impl Claims {
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            topology: ShardTopology::single(),
            open: VecDeque::new(),
            moved: HashSet::with_hasher(random.hasher()),
            missed: RateLimiter::new(random.hasher()),
            next: 0,
        }
    }

    pub(super) const fn set_topology(&mut self, topology: ShardTopology) {
        self.topology = topology;
    }

    /// Claims under way.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.open.front().map(|claim| claim.until)
    }

    /// Wants a session that is not here.
    pub(super) fn claim(
        &mut self,
        now: Instant,
        key: ClaimKey,
        from: Peer,
        waiting: Option<PendingPdu>,
        config: &Config,
    ) -> Claimed {
        if self.topology.shards <= 1 && !self.topology.stored {
            return Claimed::Impossible;
        }
        let same = |claim: &&mut Claim| claim.from == from && claim.key == key;
        if let Some(claim) = self.open.iter_mut().find(same) {
            let before = waiting.and_then(|waiting| claim.waiting.replace(waiting));
            return Claimed::Again(before);
        }
        let source = source_prefix(from.remote.ip());
        let of_peer = self.open.iter().filter(|claim| claim.from == from).count();
        let same_source = |claim: &&Claim| source_prefix(claim.from.remote.ip()) == source;
        let of_source = self.open.iter().filter(same_source).count();
        let by_peer = matches!(key, ClaimKey::Peer(_));
        if self.open.len() >= config.max_claims
            || of_peer >= MAX_PER_PEER
            || of_source >= config.max_claims.div_ceil(SOURCES_AT_LEAST)
            || by_peer && !self.missed.may_take(now, &source, MISSES, MAX_SOURCES)
        {
            return Claimed::Full;
        }
        let id = ClaimId(self.next);
        self.next += 1;
        self.open.push_back(Claim {
            id,
            key,
            from,
            until: now + config.claim_wait,
            waiting,
        });
        Claimed::New(id)
    }

    /// Whether a peer's Resume of this session waits.
    pub(super) fn is_open(&self, from: Peer, id: u32) -> bool {
        let key = ClaimKey::Id(id);
        let same = |claim: &Claim| claim.from == from && claim.key == key;
        self.open.iter().any(same)
    }

    /// Resumes under way of an address's source and network.
    pub(super) fn waiting(&self, address: IpAddr) -> Waiting {
        let (source, network) = (source_prefix(address), network_prefix(address));
        let region = region_prefix(address);
        let mut waiting = Waiting::default();
        let by_id = |claim: &&Claim| matches!(claim.key, ClaimKey::Id(_));
        for claim in self.open.iter().filter(by_id) {
            let from = claim.from.remote.ip();
            waiting.of_source += u32::from(source_prefix(from) == source);
            waiting.of_network += u32::from(network_prefix(from) == network);
            waiting.of_region += u32::from(region_prefix(from) == region);
        }
        waiting
    }

    /// Takes out a claim that was answered.
    pub(super) fn take(&mut self, id: ClaimId) -> Option<Claim> {
        let place = self.open.iter().position(|claim| claim.id == id)?;
        self.open.remove(place)
    }

    /// Takes a claim whose deadline has passed.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Claim> {
        let is_due = self.next_deadline().is_some_and(|until| until <= now);
        if is_due { self.open.pop_front() } else { None }
    }

    /// A claim by peer found no session.
    pub(super) fn missed(&mut self, now: Instant, from: Peer) {
        let source = source_prefix(from.remote.ip());
        let _ = self.missed.take(now, source, MISSES, MAX_SOURCES);
    }

    /// The transaction of a Resume is over. The session may come all the same.
    pub(super) fn given_up(&mut self, transaction: Handle) {
        for claim in &mut self.open {
            claim
                .waiting
                .take_if(|waiting| waiting.transaction == transaction);
        }
    }

    /// The id of the number nearest to a random one that belongs to this shard.
    pub(super) fn own_id(&self, random: u32) -> Option<u32> {
        let ShardTopology { shard, shards, .. } = self.topology;
        let number = (random - random % shards.max(1)).checked_add(shard)?;
        let id = self.topology.id_key.id(number);
        (id != 0 && !self.moved.contains(&id)).then_some(id)
    }

    /// A session made here lives elsewhere, if it was made here. At most `max` such ids are kept.
    pub(super) fn moved_away(&mut self, id: u32, max: usize) {
        if self.is_own(id) && self.moved.len() < max {
            self.moved.insert(id);
        }
    }

    /// A session lives elsewhere no more: it is here, or over.
    pub(super) fn came_back(&mut self, id: u32) {
        self.moved.remove(&id);
    }

    /// Whether the directory or the store must be told about the end of a session.
    pub(super) fn is_known_outside(&self, id: u32) -> bool {
        self.topology.stored || !self.is_own(id)
    }

    fn is_own(&self, id: u32) -> bool {
        self.topology.shard_of(id) == self.topology.shard
    }
}

/// Claims of one peer at once.
const MAX_PER_PEER: usize = 4;
/// Source prefixes that fill the table at least: one prefix has this part of it.
const SOURCES_AT_LEAST: usize = 8;
/// Claims by peer that may find no session: a network behind one address has its share of handsets
/// whose sessions are over.
const MISSES: Rate = Rate {
    per_second: 2,
    burst: 64,
};
/// Source prefixes with counted failures.
pub(super) const MAX_SOURCES: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn an_id_belongs_to_the_shard_that_made_it_and_is_never_one_that_lives_elsewhere() {
        let mut random = Random::new(5);
        for shards in [1, 2, 3, 7, 64] {
            for shard in 0..shards {
                let mut claims = Claims::new(&mut random);
                claims.topology = ShardTopology {
                    shard,
                    shards,
                    stored: false,
                    id_key: IdKey::new(&[9; KEY_LEN]),
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
                    assert!(id != 0 && claims.topology.shard_of(id) == shard);
                    let own = claims.topology.id_key.number(id);
                    assert!(own.abs_diff(number) < shards);
                    claims.moved.insert(id);
                    assert_eq!(claims.own_id(number), None);
                }
                assert!(made >= 50);
            }
        }
    }
}
