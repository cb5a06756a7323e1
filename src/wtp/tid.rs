//! Transaction identifiers: the window test and what is remembered of each peer (WTP 7.8, 7.9).

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash, Hasher};
use std::time::Duration;

use super::config::{Config, Defect};
use super::report::Stats;
use crate::random::{Keyed, Random};
use crate::table::{Index, Linked, Links, Queue, Slab};
use crate::time::Instant;
use crate::wdp::Peer;

/// What to do with an Invoke that belongs to no transaction (WTP table 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is new: start the transaction.
    New,
    /// It may be an old copy: ask the initiator.
    Verify,
}

/// The peers heard of lately: their last TID, and how many transactions they have.
///
/// An entry lives `tid_lifetime` after its last use; entries with transactions are never forgotten. The
/// queue orders peers by the expiry they had when queued: whoever comes out and was used since goes back
/// to its end, so both forgetting and evicting look at few entries.
#[derive(Clone, Debug)]
pub(super) struct Peers {
    entries: Slab<Entry>,
    by_peer: Index,
    hasher: Keyed,
    queue: Queue,
    /// The place looked up last: one datagram asks for one peer several times.
    latest: u32,
    /// Peers without an entry could have been heard of before this.
    covered_from: Instant,
}

/// What is remembered of one peer.
#[derive(Clone, Debug)]
struct Entry {
    peer: Peer,
    /// The last TID of an accepted Invoke.
    last_tid: Option<u16>,
    /// Transactions alive, and those of them that it began.
    live: u16,
    begun_by_it: u16,
    /// Our Invokes that the peer wanted verified, one after the other.
    doubted: u8,
    /// When the last TID became that.
    advanced_at: Instant,
    /// The latest TIDs that were verified; none for most peers.
    #[expect(
        clippy::box_collection,
        reason = "every peer has the place, and few have some"
    )]
    vouched: Option<Box<VecDeque<u16>>>,
    /// When it may be forgotten.
    expires: Instant,
    /// The same when it was put in the queue.
    queued: Instant,
    links: Links,
}

impl Linked for Entry {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}

/// Half the TID space: the window W of the TID test.
const WINDOW: u16 = 1 << 14;

/// The TID test (WTP tables 7 and 8): whether `tid` is newer than `last`. Both have 15 bits.
#[must_use]
pub fn is_newer(tid: u16, last: u16) -> bool {
    if tid >= last {
        (1..=WINDOW).contains(&(tid - last))
    } else {
        last - tid >= WINDOW
    }
}

impl Peers {
    pub(super) fn new(seed: u64, now: Instant, config: &Config) -> Self {
        Self {
            entries: Slab::new(),
            by_peer: Index::new(),
            hasher: Random::new(seed).hasher(),
            queue: Queue::new(),
            latest: 0,
            covered_from: now + config.tid_lifetime,
        }
    }

    /// Judges an Invoke of class 1 or 2 and remembers its TID if it is new.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        peer: Peer,
        tid: u16,
        tid_new: bool,
        config: &Config,
        stats: &mut Stats,
    ) -> Verdict {
        let covered = now >= self.covered_from && !config.verify_new_peers;
        let entry = self.entry(now, peer, config, stats);
        // Table 6 forgets the last TID at once. We wait until the initiator has vouched for the Invoke: a
        // late copy of one with TIDnew would otherwise let every other late copy in.
        let new = match entry.last_tid {
            Some(last) => is_newer(tid, last),
            None => covered,
        };
        let new = new && !tid_new && !entry.has_vouched(tid);
        if new || !config.duplicate_recognition {
            entry.advance(tid, now);
            Verdict::New
        } else {
            Verdict::Verify
        }
    }

    /// The initiator vouched for `tid` (WTP table 9). Says `false` if it did so before: the handshake has no
    /// nonce, so a late copy of the Invoke and one of the Ack(TIDok) would pass it a second time.
    pub(super) fn verified(
        &mut self,
        now: Instant,
        peer: Peer,
        tid: u16,
        tid_new: bool,
        config: &Config,
        stats: &mut Stats,
    ) -> bool {
        let entry = self.entry(now, peer, config, stats);
        if entry.has_vouched(tid) && config.duplicate_recognition {
            return false;
        }
        // Moving back to an old TID would let copies of everything after it in again (10.5.3), unless all of
        // that is so long ago that no copy is left: an initiator that began anew without saying so would
        // otherwise be verified for as long as it keeps talking.
        let outlived = now >= entry.advanced_at + config.tid_lifetime;
        let moves_back = outlived || config.defect == Some(Defect::LastTidMovesBack);
        // Forward it may well have to move: two Invokes may have waited for their verification together.
        let forward = entry.last_tid.is_none_or(|last| is_newer(tid, last));
        if tid_new || forward || moves_back {
            entry.advance(tid, now);
        }
        let vouched = entry.vouched.get_or_insert_default();
        if vouched.len() >= VOUCHED_TIDS {
            vouched.pop_front();
        }
        vouched.push_back(tid);
        true
    }

    /// The last TID of a peer.
    pub(super) fn last_tid(&self, now: Instant, peer: Peer) -> Option<u16> {
        let entry = self.known(peer)?;
        (entry.is_live(now)).then_some(entry.last_tid)?
    }

    /// Transactions alive that a peer began.
    pub(super) fn begun_by(&self, peer: Peer) -> usize {
        let entry = self.known(peer);
        entry.map_or(0, |entry| usize::from(entry.begun_by_it))
    }

    /// A transaction with the peer begins.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        peer: Peer,
        by_peer: bool,
        config: &Config,
        stats: &mut Stats,
    ) {
        let entry = self.entry(now, peer, config, stats);
        entry.live = entry.live.saturating_add(1);
        entry.begun_by_it = entry.begun_by_it.saturating_add(u16::from(by_peer));
    }

    /// A transaction with the peer ended.
    pub(super) fn end(&mut self, now: Instant, peer: Peer, by_peer: bool, config: &Config) {
        if let Some(entry) = self.known_mut(peer) {
            entry.live = entry.live.saturating_sub(1);
            entry.begun_by_it = entry.begun_by_it.saturating_sub(u16::from(by_peer));
            entry.expires = now + config.tid_lifetime;
        }
    }

    /// The peer wanted one of our Invokes verified; `false` once it took one without.
    pub(super) fn doubts(&mut self, peer: Peer, doubted: bool) {
        if let Some(entry) = self.known_mut(peer) {
            entry.doubted = if doubted {
                entry.doubted.saturating_add(1)
            } else {
                0
            };
        }
    }

    /// Whether the peer wanted several Invokes verified in a row, so that TIDnew is due (WTP 7.8.3.2).
    pub(super) fn is_doubting(&self, peer: Peer) -> bool {
        self.known(peer)
            .is_some_and(|entry| entry.doubted >= DOUBTS_BEFORE_TID_NEW)
    }

    /// Peers remembered.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Forgets a few peers whose time has come; idle peers have no timer of their own.
    pub(super) fn forget_expired(&mut self, now: Instant) {
        self.forget_some(now, EXPIRIES_PER_INPUT);
    }

    /// Forgets what traffic did not, once it is overdue.
    pub(super) fn tidy(&mut self, now: Instant) {
        if self.tidy_at().is_some_and(|at| at <= now) {
            self.forget_some(now, EXPIRIES_PER_TIDY);
        }
    }

    /// When [`tidy`](Self::tidy) is worth a call.
    pub(super) fn tidy_at(&self) -> Option<Instant> {
        Some(self.first_due()? + OVERDUE)
    }

    fn forget_some(&mut self, now: Instant, at_most: usize) {
        for _ in 0..at_most {
            match self.first_due() {
                Some(at) if at <= now => self.turn(now, |entry| !entry.is_live(now)),
                _ => return,
            };
        }
    }

    /// Feeds what is remembered to a hasher, in an order of its own.
    pub(super) fn digest(&self, sink: &mut impl Hasher) {
        let mut entries: Vec<_> = self.entries.iter().map(|(_, entry)| entry).collect();
        entries.sort_unstable_by_key(|entry| entry.peer);
        for entry in entries {
            (entry.peer, entry.last_tid, &entry.vouched).hash(sink);
            (entry.live, entry.doubted).hash(sink);
        }
    }

    fn known(&self, peer: Peer) -> Option<&Entry> {
        self.entries.get(self.slot_of(peer)?)
    }

    fn known_mut(&mut self, peer: Peer) -> Option<&mut Entry> {
        let slot = self.slot_of(peer)?;
        self.latest = slot;
        self.entries.get_mut(slot)
    }

    fn slot_of(&self, peer: Peer) -> Option<u32> {
        let is_it = |slot| self.entries.get(slot).is_some_and(|it| it.peer == peer);
        if is_it(self.latest) {
            return Some(self.latest);
        }
        self.by_peer.find(self.hasher.hash_one(peer), is_it)
    }

    fn entry(
        &mut self,
        now: Instant,
        peer: Peer,
        config: &Config,
        stats: &mut Stats,
    ) -> &mut Entry {
        self.forget_expired(now);
        let expires = now + config.tid_lifetime;
        let slot = match self.slot_of(peer) {
            Some(slot) => slot,
            None => {
                if self.entries.len() >= config.tid_cache_capacity.max(1) {
                    self.evict(now, config, stats);
                }
                self.insert(now, peer, expires)
            }
        };
        self.latest = slot;
        let entry = self.entries.get_mut(slot);
        let entry = entry.expect("it was found or put in just now");
        if !entry.is_live(now) {
            entry.last_tid = None;
            entry.vouched = None;
        }
        entry.expires = expires;
        entry
    }

    fn insert(&mut self, now: Instant, peer: Peer, expires: Instant) -> u32 {
        let slot = self.entries.insert(Entry {
            peer,
            last_tid: None,
            live: 0,
            begun_by_it: 0,
            doubted: 0,
            advanced_at: now,
            vouched: None,
            expires,
            queued: expires,
            links: Links::default(),
        });
        self.queue.push(&mut self.entries, slot);
        let rehash = rehash(&self.entries, self.hasher);
        self.by_peer
            .insert(self.hasher.hash_one(peer), slot, rehash);
        slot
    }

    /// Forgets the peer unused longest. If all have transactions the cache grows by what
    /// `max_transactions` allows.
    fn evict(&mut self, now: Instant, config: &Config, stats: &mut Stats) {
        // The first time round, every peer used since it was queued only takes its new place; so where all were
        // used, the one to go is found the second time. Each use costs one such move at most.
        for _ in 0..2 * self.entries.len() {
            let due = self.first_due();
            if self.turn(now, |entry| entry.live == 0 && Some(entry.expires) == due) {
                stats.evicted_peers += 1;
                self.covered_from = now + config.tid_lifetime;
                return;
            }
        }
    }

    /// When the first of the queue was to expire when it was put there.
    fn first_due(&self) -> Option<Instant> {
        Some(self.entries.get(self.queue.first()?)?.queued)
    }

    /// Takes the first peer of the queue: forgets it if `forget` says so, else queues it anew.
    fn turn(&mut self, now: Instant, forget: impl Fn(&Entry) -> bool) -> bool {
        let Some(slot) = self.queue.first() else {
            return false;
        };
        self.queue.take(&mut self.entries, slot);
        let Some(entry) = self.entries.get_mut(slot) else {
            return false;
        };
        if forget(entry) {
            let hash = self.hasher.hash_one(entry.peer);
            let rehash = rehash(&self.entries, self.hasher);
            self.by_peer.remove(hash, |other| other == slot, rehash);
            self.entries.remove(slot);
            return true;
        }
        // One that is kept by its transactions only is looked at again later.
        entry.queued = match entry.live {
            0 => entry.expires,
            _ => entry.expires.max(now + LOOK_AGAIN),
        };
        self.queue.push(&mut self.entries, slot);
        false
    }
}

/// The hash of the peer in a place.
fn rehash(entries: &Slab<Entry>, hasher: Keyed) -> impl Fn(u32) -> u64 {
    move |slot| {
        let entry = entries.get(slot);
        entry.map_or(0, |entry| hasher.hash_one(entry.peer))
    }
}

impl Entry {
    fn advance(&mut self, tid: u16, now: Instant) {
        self.last_tid = Some(tid);
        self.advanced_at = now;
    }

    fn has_vouched(&self, tid: u16) -> bool {
        self.vouched
            .as_ref()
            .is_some_and(|vouched| vouched.contains(&tid))
    }

    fn is_live(&self, now: Instant) -> bool {
        self.live > 0 || now < self.expires
    }
}

/// TIDs remembered as verified, per peer. A peer that outruns it within the life of a packet could, with two
/// late copies, be heard twice.
const VOUCHED_TIDS: usize = 64;

const EXPIRIES_PER_INPUT: usize = 4;

/// Peers looked at in one go where there is no traffic: some hundred microseconds.
const EXPIRIES_PER_TIDY: usize = 1024;

/// How long traffic has to forget a peer.
const OVERDUE: Duration = Duration::from_secs(10);

/// When a peer with long transactions is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

const DOUBTS_BEFORE_TID_NEW: u8 = 2;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn peer(number: u16) -> Peer {
        let at = |port| SocketAddr::from(([192, 0, 2, 1], port));
        Peer::new(at(number), at(9201))
    }

    struct Setup {
        peers: Peers,
        config: Config,
        stats: Stats,
    }

    impl Setup {
        fn new(config: Config) -> Self {
            Self {
                peers: Peers::new(1, Instant::ZERO, &config),
                config,
                stats: Stats::default(),
            }
        }

        fn judge(&mut self, seconds: u64, number: u16, tid: u16) -> Verdict {
            let now = Instant::ZERO + Duration::from_secs(seconds);
            let stats = &mut self.stats;
            self.peers
                .judge(now, peer(number), tid, false, &self.config, stats)
        }
    }

    #[test]
    fn the_tid_test_of_tables_7_and_8() {
        let w = WINDOW;
        for (tid, last, newer) in [
            (5, 5, false),
            (6, 5, true),
            (5 + w, 5, true),
            (6 + w, 5, false),
            (4, 5, false),
            (5, 4 + w, false),
            (5, 5 + w, true),
            (0, 0x7FFF, true),
        ] {
            assert_eq!(is_newer(tid, last), newer, "{tid} after {last}");
        }
    }

    #[test]
    fn new_peers_are_verified_until_the_cache_covers_the_packet_lifetime() {
        let mut setup = Setup::new(Config::ip());
        assert_eq!(setup.judge(239, 1, 5), Verdict::Verify);
        assert_eq!(setup.judge(240, 2, 5), Verdict::New);
        assert_eq!(setup.judge(241, 2, 5), Verdict::Verify);
        assert_eq!(setup.judge(241, 2, 6), Verdict::New);
    }

    #[test]
    fn an_entry_is_forgotten_a_lifetime_after_its_last_use() {
        let mut setup = Setup::new(Config::ip());
        assert_eq!(setup.judge(300, 1, 50), Verdict::New);
        assert_eq!(setup.judge(400, 1, 51), Verdict::New);
        assert_eq!(setup.judge(630, 1, 40), Verdict::Verify);
        assert_eq!(setup.judge(880, 1, 40), Verdict::New);
        assert_eq!(setup.peers.len(), 1);
        assert_eq!(setup.judge(2000, 2, 1), Verdict::New);
        assert_eq!(setup.peers.len(), 1);
    }

    #[test]
    fn somebody_goes_though_all_were_used_since_they_came() {
        let mut setup = Setup::new(Config {
            tid_cache_capacity: 2,
            ..Config::ip()
        });
        for tid in 5..8 {
            for peer in [1, 2] {
                assert_eq!(setup.judge(295 + u64::from(tid), peer, tid), Verdict::New);
            }
        }
        assert_eq!(setup.judge(304, 3, 5), Verdict::New);
        assert_eq!((setup.stats.evicted_peers, setup.peers.len()), (1, 2));
    }

    #[test]
    fn an_eviction_makes_new_peers_suspect_again() {
        let mut setup = Setup::new(Config {
            tid_cache_capacity: 2,
            ..Config::ip()
        });
        assert_eq!(setup.judge(300, 1, 5), Verdict::New);
        assert_eq!(setup.judge(301, 2, 5), Verdict::New);
        assert_eq!(setup.judge(302, 1, 6), Verdict::New);
        assert_eq!(setup.judge(303, 3, 5), Verdict::New); // peer 2 was unused longest
        assert_eq!(setup.stats.evicted_peers, 1);
        assert_eq!(setup.judge(304, 1, 6), Verdict::Verify); // still known
        assert_eq!(setup.judge(305, 2, 5), Verdict::Verify);
        assert_eq!(setup.peers.len(), 2);
    }

    #[test]
    fn a_verified_old_tid_does_not_become_the_last_one() {
        let mut setup = Setup::new(Config::ip());
        let now = Instant::ZERO + Duration::from_secs(300);
        setup.judge(300, 1, 50);
        let (config, stats) = (&setup.config, &mut setup.stats);
        assert!(setup.peers.verified(now, peer(1), 40, false, config, stats));
        assert_eq!(setup.peers.last_tid(now, peer(1)), Some(50));
        // Twice is once too often, and changes nothing.
        assert!(!setup.peers.verified(now, peer(1), 40, true, config, stats));
        assert_eq!(setup.peers.last_tid(now, peer(1)), Some(50));
        // A peer that says it starts anew is believed.
        assert!(setup.peers.verified(now, peer(1), 30, true, config, stats));
        assert_eq!(setup.peers.last_tid(now, peer(1)), Some(30));
    }

    #[test]
    fn an_initiator_that_began_anew_without_saying_so_is_verified_for_one_lifetime_only() {
        let mut setup = Setup::new(Config::ip());
        let vouch = |setup: &mut Setup, seconds, tid| {
            let now = Instant::ZERO + Duration::from_secs(seconds);
            let (config, stats) = (&setup.config, &mut setup.stats);
            setup
                .peers
                .verified(now, peer(1), tid, false, config, stats)
        };
        assert_eq!(setup.judge(300, 1, 1000), Verdict::New);
        for tid in 5..9 {
            let now = 350 + 60 * u64::from(tid - 5);
            assert_eq!(setup.judge(now, 1, tid), Verdict::Verify);
            assert!(vouch(&mut setup, now, tid));
        }
        // The fourth was verified at 530; the last TID of 300 lives until 540.
        assert_eq!(setup.judge(531, 1, 10), Verdict::Verify);
        assert!(vouch(&mut setup, 531, 10));
        assert_eq!(setup.judge(541, 1, 9), Verdict::Verify);
        assert!(vouch(&mut setup, 541, 9));
        // Now it is 9, and 11 is new; but 10 was heard before.
        assert_eq!(setup.judge(542, 1, 10), Verdict::Verify);
        assert!(!vouch(&mut setup, 542, 10));
        assert_eq!(setup.judge(543, 1, 11), Verdict::New);
    }

    #[test]
    fn a_peer_with_transactions_is_never_forgotten() {
        let mut setup = Setup::new(Config {
            tid_cache_capacity: 1,
            ..Config::ip()
        });
        let now = Instant::ZERO + Duration::from_secs(300);
        setup.judge(300, 1, 5);
        setup
            .peers
            .begin(now, peer(1), true, &setup.config, &mut setup.stats);
        setup.judge(301, 2, 5);
        assert_eq!(setup.peers.len(), 2);
        assert_eq!(setup.judge(9000, 1, 5), Verdict::Verify);
    }
}
