//! Transaction identifiers: the window test, and the memory of each peer's TIDs (WTP 7.8, 7.9).

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use hashbrown::HashMap;

use super::config::Config;
use super::defects;
use super::report::Stats;
use crate::random::{Keyed, Random};
use crate::table::{HasKey, Linked, Links, Map, Queue, Shares};
use crate::time::Instant;
use crate::wdp::{Peer, network_prefix};

/// The verdict on an Invoke without a transaction (WTP table 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TidTest {
    /// It is new: start the transaction.
    New,
    /// It may be an old copy: ask the initiator.
    Verify,
}

/// The latest peers: their last TID, and the number of their transactions.
///
/// An entry lives `tid_lifetime` after its last use. Entries with transactions are in no queue and
/// stay. A queue has the other peers in the order of the expiry they had when queued. An entry that
/// was used since goes back to the end, so expiry and eviction look at few entries.
///
/// Peers of one network beyond its share are surplus, until they are used while the network is
/// within its share again. A full table forgets surplus peers first, and then only the new peers of
/// their network are suspect.
#[derive(Clone, Debug)]
pub(super) struct Peers {
    entries: Map<Peer, Entry, Keyed>,
    queue: Queue,
    /// The same for surplus peers.
    surplus: Queue,
    /// Peers of each network.
    of_network: Shares<Keyed>,
    /// Networks with a forgotten peer: until then an unknown peer of them may have sent Invokes.
    suspects: HashMap<u128, Instant, Keyed>,
    /// The place looked up last: one datagram asks for one peer several times.
    latest: u32,
    /// An unknown peer may have sent Invokes before this time.
    covered_from: Instant,
}

/// The entry of one peer.
#[derive(Clone, Debug)]
struct Entry {
    peer: Peer,
    /// The last TID of an accepted Invoke.
    last_tid: Option<u16>,
    /// Transactions alive, and the number of those that the peer initiated.
    live: u16,
    begun_by_it: u16,
    /// Our Invokes that the peer wanted verified, one after the other.
    doubted: u8,
    /// When the last TID became that.
    advanced_at: Instant,
    /// The latest verified TIDs. Every peer has the place, and few have some.
    vouched: Option<Box<Vouched>>,
    /// When it may be forgotten.
    expires: Instant,
    /// The same when it was put in the queue.
    queued: Instant,
    is_surplus: bool,
    links: Links,
}

/// Verified TIDs of one peer, for as long as copies of their Invokes may be on the way. TIDs come
/// round: one that was remembered for longer would be refused after 32,768 transactions.
#[derive(Clone, Debug)]
struct Vouched {
    tids: VecDeque<u16>,
    /// When the latest was verified.
    at: Instant,
}

impl HasKey<Peer> for Entry {
    fn key(&self) -> Peer {
        self.peer
    }
}

impl Linked for Entry {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}

/// One of the two queues of peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Share,
    Surplus,
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
        let hasher = Random::new(seed).hasher();
        Self {
            entries: Map::new(hasher),
            queue: Queue::new(),
            surplus: Queue::new(),
            of_network: Shares::new(hasher),
            suspects: HashMap::with_hasher(hasher),
            latest: 0,
            covered_from: now + config.tid_lifetime,
        }
    }

    /// Judges an Invoke of class 1 or 2 and remembers its TID if it is new.
    pub(super) fn test_tid(
        &mut self,
        now: Instant,
        peer: Peer,
        tid: u16,
        tid_new: bool,
        config: &Config,
        stats: &mut Stats,
    ) -> TidTest {
        let covered =
            now >= self.covered_from && !config.verify_new_peers && !self.is_suspect(now, peer);
        let entry = self.entry(now, peer, config, stats);
        // Table 6 forgets the last TID at once. We wait until the initiator has vouched for the
        // Invoke: a late copy of one with TIDnew would otherwise let every other late copy in.
        let new = match entry.last_tid {
            Some(last) => is_newer(tid, last),
            None => covered,
        };
        let new = new && !tid_new && !entry.has_vouched(tid);
        if new || !config.duplicate_recognition {
            entry.advance(tid, now);
            TidTest::New
        } else {
            TidTest::Verify
        }
    }

    /// The initiator confirmed `tid` (WTP table 9). Returns `false` if it did so before: the
    /// handshake has no nonce, so late copies of the Invoke and of the Ack(TIDok) would pass it a
    /// second time.
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
        // A step back to an old TID would admit copies of all later Invokes again (10.5.3), unless
        // those are so old that no copy is left. Otherwise an initiator that restarted without
        // TIDnew would be verified for as long as it sends.
        let outlived = now >= entry.advanced_at + config.tid_lifetime;
        let moves_back = outlived || defects::LAST_TID_MOVES_BACK.is_planted();
        // Forward it may well have to move: two Invokes may have waited for their verification
        // together.
        let forward = entry.last_tid.is_none_or(|last| is_newer(tid, last));
        if tid_new || forward || moves_back {
            entry.advance(tid, now);
        }
        entry.vouch(tid, now);
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
        let was_idle = entry.live == 0;
        entry.live = entry.live.saturating_add(1);
        entry.begun_by_it = entry.begun_by_it.saturating_add(u16::from(by_peer));
        if was_idle {
            let which = entry.which();
            let slot = self.latest;
            let (queue, entries) = self.queue_mut(which);
            queue.take(entries.slab_mut(), slot);
        }
    }

    /// A transaction with the peer ended.
    pub(super) fn end(&mut self, now: Instant, peer: Peer, by_peer: bool, config: &Config) {
        let Some(entry) = self.known_mut(peer) else {
            return;
        };
        let was_last = entry.live == 1;
        entry.live = entry.live.saturating_sub(1);
        entry.begun_by_it = entry.begun_by_it.saturating_sub(u16::from(by_peer));
        entry.expires = now + config.tid_lifetime;
        if was_last {
            let network = network_prefix(peer.remote.ip());
            if entry.is_surplus && self.of_network.get(network) <= config.max_peers_of_network() {
                self.set_within_share(self.latest);
            }
            self.enqueue(self.latest);
        }
    }

    /// The network of a peer, which is in no queue, is within its share again.
    fn set_within_share(&mut self, slot: u32) {
        if let Some(entry) = self.entries.get_mut(slot) {
            entry.is_surplus = false;
        }
    }

    /// Appends a peer to its queue.
    fn enqueue(&mut self, slot: u32) {
        let Some(entry) = self.entries.get_mut(slot) else {
            return;
        };
        entry.queued = entry.expires;
        let which = entry.which();
        let (queue, entries) = self.queue_mut(which);
        queue.push(entries.slab_mut(), slot);
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

    /// Whether the peer wanted several Invokes verified in a row, so that TIDnew is due (WTP
    /// 7.8.3.2).
    pub(super) fn is_doubting(&self, peer: Peer) -> bool {
        self.known(peer)
            .is_some_and(|entry| entry.doubted >= DOUBTS_BEFORE_TID_NEW)
    }

    /// Peers remembered.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Removes a few expired peers. Idle peers have no timer of their own.
    pub(super) fn forget_expired(&mut self, now: Instant) {
        self.forget_some(now, EXPIRIES_PER_INPUT);
    }

    /// Removes the expired peers that traffic left, once they are overdue.
    pub(super) fn tidy(&mut self, now: Instant) {
        if self.tidy_at().is_some_and(|at| at <= now) {
            self.forget_some(now, EXPIRIES_PER_TIDY);
        }
    }

    /// When [`tidy`](Self::tidy) is worth a call.
    pub(super) fn tidy_at(&self) -> Option<Instant> {
        Some(self.next_due()?.0 + OVERDUE)
    }

    fn forget_some(&mut self, now: Instant, at_most: usize) {
        for _ in 0..at_most {
            let Some((at, which)) = self.next_due() else {
                return;
            };
            if at > now {
                return;
            }
            self.turn(which, |entry| !entry.is_live(now));
        }
    }

    /// The queue whose first peer is due before that of the other, and when it is.
    fn next_due(&self) -> Option<(Instant, Which)> {
        let due = |which| Some((self.first_due(which)?, which));
        match (due(Which::Share), due(Which::Surplus)) {
            (Some(share), Some(surplus)) if surplus.0 < share.0 => Some(surplus),
            (share, surplus) => share.or(surplus),
        }
    }

    /// Whether an unknown peer may be one that was forgotten for the surplus of its network.
    fn is_suspect(&self, now: Instant, peer: Peer) -> bool {
        !self.suspects.is_empty()
            && self
                .suspects
                .get(&network_prefix(peer.remote.ip()))
                .is_some_and(|until| now < *until)
    }

    /// Feeds the entries to a hasher, in an order independent of the table.
    pub(super) fn digest(&self, sink: &mut impl Hasher) {
        let mut entries: Vec<_> = self.entries.iter().map(|(_, entry)| entry).collect();
        entries.sort_unstable_by_key(|entry| entry.peer);
        for entry in entries {
            let vouched = entry.vouched.as_ref().map(|vouched| &vouched.tids);
            (entry.peer, entry.last_tid, vouched).hash(sink);
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
        let latest = self.entries.get(self.latest);
        if latest.is_some_and(|entry| entry.peer == peer) {
            return Some(self.latest);
        }
        self.entries.find(&peer)
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
                self.insert(now, peer, expires, config)
            }
        };
        self.latest = slot;
        let entry = self.entries.get_mut(slot);
        let entry = entry.expect("it was found or put in just now");
        if !entry.is_live(now) {
            entry.last_tid = None;
            entry.vouched = None;
        }
        let vouched_at = entry.vouched.as_ref().map(|vouched| vouched.at);
        if vouched_at.is_some_and(|at| now >= at + config.tid_lifetime) {
            entry.vouched = None;
        }
        entry.expires = expires;
        entry
    }

    fn insert(&mut self, now: Instant, peer: Peer, expires: Instant, config: &Config) -> u32 {
        let of_network = self.of_network.add_one(network_prefix(peer.remote.ip()));
        let is_surplus = of_network > config.max_peers_of_network();
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
            is_surplus,
            links: Links::default(),
        });
        self.enqueue(slot);
        slot
    }

    /// Removes the surplus peer that was unused longest, or the peer if no surplus one can go. If
    /// all peers have transactions, the cache grows by at most `max_transactions`.
    fn evict(&mut self, now: Instant, config: &Config, stats: &mut Stats) {
        let until = now + config.tid_lifetime;
        if let Some(peer) = self.evict_from(Which::Surplus) {
            stats.evicted_peers += 1;
            let network = network_prefix(peer.remote.ip());
            if self.suspects.len() >= MOST_SUSPECTS && !self.suspects.contains_key(&network) {
                self.suspects.retain(|_, until| now < *until);
            }
            if self.suspects.len() < MOST_SUSPECTS || self.suspects.contains_key(&network) {
                self.suspects.insert(network, until);
            } else {
                self.covered_from = until;
            }
        } else if self.evict_from(Which::Share).is_some() {
            stats.evicted_peers += 1;
            self.covered_from = until;
        }
    }

    /// Removes the peer of a queue that was unused longest.
    fn evict_from(&mut self, which: Which) -> Option<Peer> {
        // The first time round, every peer used since it was queued only takes its new place; so
        // where all were used, the one to go is found the second time. Each use costs one such move
        // at most, and entries with transactions are not in the queue.
        loop {
            let due = self.first_due(which)?;
            if let Some(peer) = self.turn(which, |entry| entry.expires == due) {
                return Some(peer);
            }
        }
    }

    const fn queue(&self, which: Which) -> &Queue {
        match which {
            Which::Share => &self.queue,
            Which::Surplus => &self.surplus,
        }
    }

    const fn queue_mut(&mut self, which: Which) -> (&mut Queue, &mut Map<Peer, Entry, Keyed>) {
        match which {
            Which::Share => (&mut self.queue, &mut self.entries),
            Which::Surplus => (&mut self.surplus, &mut self.entries),
        }
    }

    /// When the first of a queue was to expire when it was put there.
    fn first_due(&self, which: Which) -> Option<Instant> {
        Some(self.entries.get(self.queue(which).first()?)?.queued)
    }

    /// Takes the first peer of a queue: removes and returns it if `forget` is true, else queues it
    /// again.
    fn turn(&mut self, which: Which, forget: impl Fn(&Entry) -> bool) -> Option<Peer> {
        #[cfg(test)]
        TURNS.with(|turns| turns.set(turns.get() + 1));
        let (queue, entries) = self.queue_mut(which);
        let slot = queue.first()?;
        queue.take(entries.slab_mut(), slot);
        let entry = entries.get_mut(slot)?;
        if forget(entry) {
            let peer = entry.peer;
            self.entries.remove(slot);
            self.of_network.remove(network_prefix(peer.remote.ip()), 1);
            return Some(peer);
        }
        self.enqueue(slot);
        None
    }
}

impl Entry {
    const fn which(&self) -> Which {
        match self.is_surplus {
            true => Which::Surplus,
            false => Which::Share,
        }
    }

    fn advance(&mut self, tid: u16, now: Instant) {
        self.last_tid = Some(tid);
        self.advanced_at = now;
    }

    fn has_vouched(&self, tid: u16) -> bool {
        self.vouched
            .as_ref()
            .is_some_and(|vouched| vouched.tids.contains(&tid))
    }

    fn vouch(&mut self, tid: u16, now: Instant) {
        let vouched = self.vouched.get_or_insert_with(|| {
            let tids = VecDeque::new();
            Box::new(Vouched { tids, at: now })
        });
        if vouched.tids.len() >= VOUCHED_TIDS {
            vouched.tids.pop_front();
        }
        vouched.tids.push_back(tid);
        vouched.at = now;
    }

    fn is_live(&self, now: Instant) -> bool {
        self.live > 0 || now < self.expires
    }
}

/// Verified TIDs remembered per peer. A peer that exceeds the number within the life of a packet
/// could have a request executed twice, after two late copies.
const VOUCHED_TIDS: usize = 64;

/// Networks remembered for a forgotten peer. When there are more, all new peers are suspect.
const MOST_SUSPECTS: usize = 4_096;

const EXPIRIES_PER_INPUT: usize = 4;

/// Peers looked at in one go where there is no traffic: some hundred microseconds.
const EXPIRIES_PER_TIDY: usize = 1024;

/// How long traffic has to forget a peer.
const OVERDUE: Duration = Duration::from_secs(10);

const DOUBTS_BEFORE_TID_NEW: u8 = 2;

#[cfg(test)]
thread_local! {
    /// Peers of queues that were looked at.
    static TURNS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

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

        fn test_tid(&mut self, seconds: u64, number: u16, tid: u16) -> TidTest {
            let now = Instant::ZERO + Duration::from_secs(seconds);
            let stats = &mut self.stats;
            self.peers
                .test_tid(now, peer(number), tid, false, &self.config, stats)
        }

        fn test_tid_of(&mut self, seconds: u64, remote: &str, tid: u16) -> TidTest {
            let now = Instant::ZERO + Duration::from_secs(seconds);
            let remote: SocketAddr = remote.parse().unwrap();
            let peer = Peer::new(remote, SocketAddr::from(([192, 0, 2, 1], 9201)));
            let stats = &mut self.stats;
            self.peers
                .test_tid(now, peer, tid, false, &self.config, stats)
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
        assert_eq!(setup.test_tid(239, 1, 5), TidTest::Verify);
        assert_eq!(setup.test_tid(240, 2, 5), TidTest::New);
        assert_eq!(setup.test_tid(241, 2, 5), TidTest::Verify);
        assert_eq!(setup.test_tid(241, 2, 6), TidTest::New);
    }

    #[test]
    fn an_entry_is_forgotten_a_lifetime_after_its_last_use() {
        let mut setup = Setup::new(Config::ip());
        assert_eq!(setup.test_tid(300, 1, 50), TidTest::New);
        assert_eq!(setup.test_tid(400, 1, 51), TidTest::New);
        assert_eq!(setup.test_tid(630, 1, 40), TidTest::Verify);
        assert_eq!(setup.test_tid(880, 1, 40), TidTest::New);
        assert_eq!(setup.peers.len(), 1);
        assert_eq!(setup.test_tid(2000, 2, 1), TidTest::New);
        assert_eq!(setup.peers.len(), 1);
    }

    #[test]
    fn an_entry_is_evicted_though_all_were_used_since() {
        let mut setup = Setup::new(Config {
            tid_cache_capacity: 2,
            ..Config::ip()
        });
        for tid in 5..8 {
            for peer in [1, 2] {
                assert_eq!(
                    setup.test_tid(295 + u64::from(tid), peer, tid),
                    TidTest::New
                );
            }
        }
        assert_eq!(setup.test_tid(304, 3, 5), TidTest::New);
        assert_eq!((setup.stats.evicted_peers, setup.peers.len()), (1, 2));
    }

    #[test]
    fn an_eviction_makes_new_peers_suspect_again() {
        let mut setup = Setup::new(Config {
            tid_cache_capacity: 2,
            ..Config::ip()
        });
        assert_eq!(setup.test_tid(300, 1, 5), TidTest::New);
        assert_eq!(setup.test_tid(301, 2, 5), TidTest::New);
        assert_eq!(setup.test_tid(302, 1, 6), TidTest::New);
        assert_eq!(setup.test_tid(303, 3, 5), TidTest::New); // peer 2 was unused longest
        assert_eq!(setup.stats.evicted_peers, 1);
        assert_eq!(setup.test_tid(304, 1, 6), TidTest::Verify); // still known
        assert_eq!(setup.test_tid(305, 2, 5), TidTest::Verify);
        assert_eq!(setup.peers.len(), 2);
    }

    #[test]
    fn peers_with_transactions_cost_no_search() {
        let mut setup = Setup::new(Config {
            tid_cache_capacity: 400,
            ..Config::ip()
        });
        let now = Instant::ZERO + Duration::from_secs(301);
        // A network with more than its share, all of whose surplus peers have transactions.
        for number in 0..200 {
            setup.test_tid(300, number, 5);
            let (peers, stats) = (&mut setup.peers, &mut setup.stats);
            peers.begin(now, peer(number), true, &setup.config, stats);
        }
        TURNS.set(0);
        for host in 0..2_000u16 {
            let [high, low] = host.to_be_bytes();
            setup.test_tid_of(302, &format!("10.{high}.{low}.1:4000"), 5);
        }
        assert_eq!(setup.peers.len(), 400);
        assert!(TURNS.get() <= 2 * 2_000, "{}", TURNS.get());
        // They are forgotten like others once they are idle.
        for number in 0..200 {
            setup.peers.end(now, peer(number), true, &setup.config);
        }
        setup.test_tid_of(1_000, "10.99.99.1:4000", 5);
        setup.peers.tidy(Instant::ZERO + Duration::from_secs(1_000));
        assert_eq!(setup.peers.len(), 1);
    }

    #[test]
    fn a_network_beyond_its_share_loses_its_own_peers_only() {
        let mut setup = Setup::new(Config {
            tid_cache_capacity: 400,
            ..Config::ip()
        });
        let others: Vec<String> = (0..50).map(|host| format!("10.0.{host}.1:4000")).collect();
        for other in &others {
            assert_eq!(setup.test_tid_of(300, other, 5), TidTest::New);
        }
        // Some in a /24, and some in the /64s of a /48.
        for number in 0..5_000u16 {
            setup.test_tid_of(301, &format!("198.51.100.{}:{number}", number % 256), 5);
            setup.test_tid_of(301, &format!("[2001:db8:1:{number:x}::1]:4000"), 5);
        }
        for other in &others {
            assert_eq!(
                setup.test_tid_of(302, other, 5),
                TidTest::Verify,
                "a copy is known"
            );
            assert_eq!(setup.test_tid_of(302, other, 6), TidTest::New);
        }
        assert_eq!(setup.test_tid_of(302, "10.9.9.9:4000", 5), TidTest::New);
        assert_eq!(setup.test_tid_of(302, "198.51.100.9:9", 5), TidTest::Verify);
        assert_eq!(
            setup.test_tid_of(302, "[2001:db8:1:9::1]:9", 5),
            TidTest::Verify
        );
        assert_eq!(setup.peers.len(), 400);
        // The entries expire, and the networks are new again.
        assert_eq!(setup.test_tid_of(700, "198.51.100.9:9", 5), TidTest::New);
        let now = Instant::ZERO + Duration::from_secs(800);
        setup.peers.tidy(now);
        assert_eq!(setup.peers.len(), 1);
        assert_eq!(setup.peers.of_network.len(), 1);
    }

    #[test]
    fn a_verified_old_tid_does_not_become_the_last_one() {
        let mut setup = Setup::new(Config::ip());
        let now = Instant::ZERO + Duration::from_secs(300);
        setup.test_tid(300, 1, 50);
        let (config, stats) = (&setup.config, &mut setup.stats);
        assert!(setup.peers.verified(now, peer(1), 40, false, config, stats));
        assert_eq!(setup.peers.last_tid(now, peer(1)), Some(50));
        // A second confirmation is refused and changes no state.
        assert!(!setup.peers.verified(now, peer(1), 40, true, config, stats));
        assert_eq!(setup.peers.last_tid(now, peer(1)), Some(50));
        // TIDnew of a peer is accepted.
        assert!(setup.peers.verified(now, peer(1), 30, true, config, stats));
        assert_eq!(setup.peers.last_tid(now, peer(1)), Some(30));
    }

    #[test]
    fn an_initiator_that_restarted_without_tidnew_is_verified_for_one_lifetime_only() {
        let mut setup = Setup::new(Config::ip());
        let vouch = |setup: &mut Setup, seconds, tid| {
            let now = Instant::ZERO + Duration::from_secs(seconds);
            let (config, stats) = (&setup.config, &mut setup.stats);
            setup
                .peers
                .verified(now, peer(1), tid, false, config, stats)
        };
        assert_eq!(setup.test_tid(300, 1, 1000), TidTest::New);
        for tid in 5..9 {
            let now = 350 + 60 * u64::from(tid - 5);
            assert_eq!(setup.test_tid(now, 1, tid), TidTest::Verify);
            assert!(vouch(&mut setup, now, tid));
        }
        // The fourth was verified at 530; the last TID of 300 lives until 540.
        assert_eq!(setup.test_tid(531, 1, 10), TidTest::Verify);
        assert!(vouch(&mut setup, 531, 10));
        assert_eq!(setup.test_tid(541, 1, 9), TidTest::Verify);
        assert!(vouch(&mut setup, 541, 9));
        // The last TID is 9, and 11 is new; but 10 was received before.
        assert_eq!(setup.test_tid(542, 1, 10), TidTest::Verify);
        assert!(!vouch(&mut setup, 542, 10));
        assert_eq!(setup.test_tid(543, 1, 11), TidTest::New);
    }

    #[test]
    fn a_verified_tid_that_comes_round_is_new_again() {
        let mut setup = Setup::new(Config::ip());
        let now = Instant::ZERO + Duration::from_secs(300);
        assert_eq!(setup.test_tid(300, 1, 4), TidTest::New);
        let (config, stats) = (&setup.config, &mut setup.stats);
        assert!(setup.peers.verified(now, peer(1), 5, false, config, stats));
        for (seconds, tid) in [(400, 16_000), (500, 32_000)] {
            assert_eq!(setup.test_tid(seconds, 1, tid), TidTest::New);
        }
        // Copies of the Invoke of 300 live until 540.
        assert_eq!(setup.test_tid(539, 1, 5), TidTest::Verify);
        assert_eq!(setup.test_tid(540, 1, 5), TidTest::New);
    }

    #[test]
    fn a_peer_with_transactions_is_never_forgotten() {
        let mut setup = Setup::new(Config {
            tid_cache_capacity: 1,
            ..Config::ip()
        });
        let now = Instant::ZERO + Duration::from_secs(300);
        setup.test_tid(300, 1, 5);
        setup
            .peers
            .begin(now, peer(1), true, &setup.config, &mut setup.stats);
        setup.test_tid(301, 2, 5);
        assert_eq!(setup.peers.len(), 2);
        assert_eq!(setup.test_tid(9000, 1, 5), TidTest::Verify);
    }
}
