//! The one owner of who has which address: what is configured, and above it what accounting reports.
//!
//! Reports come late, twice and in any order. A session is known by its access server and its id, and an
//! address belongs to the session that was last given it: the Stop of an earlier one takes nothing away.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use derive_more::AddAssign;
use hashbrown::HashMap;

use super::accounting::{Report, Status};
use super::{Change, Identity, Prefix, saved};
use crate::random::{Keyed, Random};
use crate::table::{Memory, Slab};
use crate::time::{Instant, Timers};

/// What a directory may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Accounting sessions held at once; the Start of another is not answered, so that its access server tries
    /// another of its accounting servers, or again later. Default: 1,000,000.
    pub max_sessions: usize,
    /// A session not heard of for so long is forgotten: its Stop was lost. Access servers that send Interim
    /// updates keep theirs. Default: 24 h.
    pub lifetime: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_sessions: 1_000_000,
            lifetime: Duration::from_secs(24 * 3_600),
        }
    }
}

/// A moment by both clocks: ours, and the calendar's in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// By our clock.
    pub now: Instant,
    /// By the calendar. For reports as it went on since the start, whatever it was set to since: it decides which
    /// of them is the later one.
    pub unix: u64,
}

/// Who reports: an accounting client, and how many sessions it may hold.
#[derive(Clone, Debug)]
pub struct Reporter {
    /// Its name; the sessions of one are none of the other's business.
    pub name: Arc<str>,
    /// Sessions it may hold at once.
    pub max_sessions: usize,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was obeyed, or told nothing new.
    Applied,
    /// It came too late to be true: something newer is known already.
    Stale,
    /// There was no room for it.
    Full,
}

/// Counters of a directory; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, AddAssign)]
pub struct Stats {
    /// Sessions that began.
    pub started: u64,
    /// Sessions that were stopped.
    pub stopped: u64,
    /// Sessions that ended with their access server's.
    pub cleared: u64,
    /// Sessions forgotten because nothing was heard of them.
    pub expired: u64,
    /// Addresses given to another session before their Stop came.
    pub taken_over: u64,
    /// Reports that came too late to be true.
    pub stale: u64,
}

/// Who has which address, for all shards.
#[derive(Debug)]
pub struct Directory {
    limits: Limits,
    configured: HashMap<Prefix, Arc<Identity>, Keyed>,
    sessions: Slab<Session>,
    by_key: HashMap<Key, u32, Keyed>,
    owners: HashMap<Prefix, u32, Keyed>,
    held: HashMap<Arc<str>, usize, Keyed>,
    /// When sessions ended that are over, so that what comes late does not bring them back.
    over: Memory<Key, Happened, Instant, Keyed>,
    timers: Timers,
    changes: Vec<Change>,
    /// Sessions that are not in the store as they are, if there is one.
    unsaved: Option<BTreeSet<Key>>,
    stats: Stats,
}

/// What tells a session from all others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) reporter: Arc<str>,
    pub(super) nas: Box<str>,
    pub(super) session: Box<str>,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) key: Key,
    pub(super) prefixes: Vec<Prefix>,
    pub(super) identity: Arc<Identity>,
    /// Its Start, or the first that was reported of it.
    pub(super) began: Happened,
    /// The latest that was reported of it.
    pub(super) latest: Happened,
    pub(super) expires: Instant,
    /// When it expires as far as the store knows; nothing if that knows none of its name.
    pub(super) saved: Option<Instant>,
}

/// When something happened, as far as can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Happened {
    /// When we heard, less what the client says it took: seconds since 1970.
    pub(super) heard: u64,
    /// By the access server's clock, if it has one.
    pub(super) stamp: Option<u32>,
}

impl Happened {
    fn of(at: At, report: &Report) -> Self {
        Self {
            heard: at.unix.saturating_sub(u64::from(report.delay)),
            stamp: report.stamp,
        }
    }

    /// Whether it was after another thing that happened at the same access server. Clocks of several access
    /// servers are not compared.
    fn is_after(self, other: Self, same_nas: bool) -> bool {
        match (self.stamp, other.stamp) {
            (Some(this), Some(other)) if same_nas => this > other,
            _ => self.heard > other.heard,
        }
    }
}

impl Directory {
    /// Nobody known yet. `seed` decides the hashing.
    #[must_use]
    pub fn new(limits: Limits, seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            limits,
            configured: HashMap::with_hasher(random.hasher()),
            sessions: Slab::new(),
            by_key: HashMap::with_hasher(random.hasher()),
            owners: HashMap::with_hasher(random.hasher()),
            held: HashMap::with_hasher(random.hasher()),
            over: Memory::new(random.hasher()),
            timers: Timers::new(),
            changes: Vec::new(),
            unsaved: None,
            stats: Stats::default(),
        }
    }

    /// Replaces the limits. Who is known stays known.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Replaces what is configured. What accounting reports goes before it.
    pub fn configure(&mut self, entries: &[(Prefix, Arc<Identity>)]) {
        let before = std::mem::replace(
            &mut self.configured,
            HashMap::with_hasher(*self.by_key.hasher()),
        );
        for (prefix, identity) in entries {
            self.configured.insert(*prefix, Arc::clone(identity));
            if before.get(prefix) != Some(identity) && !self.owners.contains_key(prefix) {
                self.changes.push(Change {
                    prefix: *prefix,
                    identity: Some(Arc::clone(identity)),
                });
            }
        }
        let mut gone: Vec<_> = before
            .into_keys()
            .filter(|prefix| {
                !self.configured.contains_key(prefix) && !self.owners.contains_key(prefix)
            })
            .collect();
        gone.sort_unstable();
        let gone = gone.into_iter().map(|prefix| Change {
            prefix,
            identity: None,
        });
        self.changes.extend(gone);
    }

    /// Obeys a report.
    pub fn account(&mut self, at: At, from: &Reporter, report: Report) -> Verdict {
        self.over.forget_expired(at.now);
        let happened = Happened::of(at, &report);
        let key = Key {
            reporter: Arc::clone(&from.name),
            nas: report.nas.clone(),
            session: report.session.clone(),
        };
        let verdict = match report.status {
            Status::Start => self.lives(at.now, from, key, happened, report, true),
            Status::Interim => self.lives(at.now, from, key, happened, report, false),
            Status::Stop => self.stops(at.now, key, happened),
            Status::On | Status::Off => {
                self.clear(&key, happened);
                Verdict::Applied
            }
            Status::Other(_) => Verdict::Applied,
        };
        match verdict {
            // Whoever does not answer it counts what there was no room for.
            Verdict::Applied | Verdict::Full => {}
            Verdict::Stale => self.stats.stale += 1,
        }
        verdict
    }

    /// Forgets sessions whose time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.over.forget_expired(now);
        while let Some(slot) = self.timers.pop_due(now) {
            let Some(session) = self.sessions.get(slot) else {
                continue;
            };
            if session.expires > now {
                self.timers.schedule(session.expires, slot);
                continue;
            }
            let key = session.key.clone();
            if self.end(&key) {
                self.stats.expired += 1;
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// What the shards have to be told since this was last asked.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Takes in what was saved before the process started, by its names, and from now on tells what is to be saved.
    /// Returns the names of what is of no use any more: it has expired, cannot be read, or there is no room for it.
    /// Left in the store it would come back after another restart, when its Stop was heard long ago.
    #[must_use]
    pub fn restore(
        &mut self,
        at: At,
        saved: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Vec<Vec<u8>> {
        self.unsaved = Some(BTreeSet::new());
        let mut useless = Vec::new();
        for (name, octets) in saved {
            let session = saved::decode(&octets, at, self.limits.lifetime).filter(|session| {
                self.sessions.len() < self.limits.max_sessions
                    && !self.by_key.contains_key(&session.key)
            });
            let Some(mut session) = session else {
                useless.push(name);
                continue;
            };
            let prefixes = std::mem::take(&mut session.prefixes);
            let slot = self.insert(session);
            for prefix in prefixes {
                self.give(slot, prefix);
            }
        }
        useless
    }

    /// What the store does not know yet of sessions, of `most` at most: a name, and octets for
    /// [`restore`](Self::restore); none for a session that is over. It is told again until it is
    /// [saved](Self::saved). Nothing without a `restore` before.
    #[must_use]
    pub fn unsaved(&self, at: At, most: usize) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let keys = self.unsaved.iter().flatten().take(most);
        keys.map(|key| {
            let slot = self.by_key.get(key);
            let session = slot.and_then(|slot| self.sessions.get(*slot));
            let octets = session.map(|session| saved::encode(session, at));
            (saved::name(key), octets)
        })
        .collect()
    }

    /// The store has taken the first so many of what is [unsaved](Self::unsaved).
    pub fn saved(&mut self, count: usize) {
        let Some(unsaved) = &mut self.unsaved else {
            return;
        };
        for key in std::iter::from_fn(|| unsaved.pop_first()).take(count) {
            let slot = self.by_key.get(&key).copied();
            if let Some(session) = slot.and_then(|slot| self.sessions.get_mut(slot)) {
                session.saved = Some(session.expires);
            }
        }
    }

    /// Accounting sessions held.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Prefixes configured.
    #[must_use]
    pub fn configured(&self) -> usize {
        self.configured.len()
    }

    /// Counters.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// A session lives.
    fn lives(
        &mut self,
        now: Instant,
        from: &Reporter,
        key: Key,
        happened: Happened,
        report: Report,
        begins: bool,
    ) -> Verdict {
        if let Some(over) = self.over.get(&key) {
            // An id given away again begins with a Start; anything else is from before the Stop.
            if !begins || !happened.is_after(*over, true) {
                return Verdict::Stale;
            }
            self.over.remove(&key);
        }
        let expires = now + self.limits.lifetime;
        let slot = match self.by_key.get(&key) {
            Some(slot) => *slot,
            None => {
                let held = self.held.get(&from.name).copied().unwrap_or_default();
                if self.sessions.len() >= self.limits.max_sessions || held >= from.max_sessions {
                    return Verdict::Full;
                }
                self.stats.started += 1;
                // The store may have one of its name whose end it has not been told.
                let is_saved = self.unsaved.as_ref().is_some_and(|it| it.contains(&key));
                self.insert(Session {
                    key,
                    prefixes: Vec::new(),
                    identity: Arc::default(),
                    began: happened,
                    latest: happened,
                    expires,
                    saved: is_saved.then_some(now),
                })
            }
        };
        let Some(session) = self.sessions.get_mut(slot) else {
            return Verdict::Full;
        };
        if session.latest.is_after(happened, true) {
            return Verdict::Stale;
        }
        session.latest = happened;
        if begins {
            session.began = happened;
        }
        session.expires = expires;
        let merged = session.identity.updated(report.identity);
        let news = *session.identity != merged;
        if news {
            session.identity = Arc::new(merged);
        }
        let had = session.prefixes.clone();
        let mut verdict = Verdict::Applied;
        for prefix in report.prefixes {
            if !had.contains(&prefix) && !self.give(slot, prefix) {
                verdict = Verdict::Stale;
            }
        }
        if news {
            self.tell(slot, &had);
        }
        // That it lives on is worth a word in the store only now and then.
        let lives_on = |session: &Session| {
            let saved = session.saved.unwrap_or(now);
            expires.since(saved) > self.limits.lifetime / SAVES_PER_LIFETIME
        };
        let given = self
            .sessions
            .get(slot)
            .is_some_and(|session| session.prefixes != had || lives_on(session));
        if news || given {
            self.is_unsaved(slot);
        }
        verdict
    }

    /// A session is over, unless its Start was after that: its id was given away again.
    fn stops(&mut self, now: Instant, key: Key, happened: Happened) -> Verdict {
        let slot = self.by_key.get(&key).copied();
        let session = slot.and_then(|slot| self.sessions.get(slot));
        if session.is_some_and(|session| session.began.is_after(happened, true)) {
            return Verdict::Stale;
        }
        if self.end(&key) {
            self.stats.stopped += 1;
        }
        // Of two Stops the later one counts, in whichever order they come.
        let over = self.over.get(&key).copied();
        let last = over.filter(|over| over.is_after(happened, true));
        let until = now + REMEMBER_OVER;
        self.over
            .remember(until, key, last.unwrap_or(happened), MOST_OVER);
        Verdict::Applied
    }

    /// Gives a session an address, unless another was given it later. False if so.
    fn give(&mut self, slot: u32, prefix: Prefix) -> bool {
        let Some(session) = self.sessions.get(slot) else {
            return false;
        };
        if session.prefixes.len() >= MOST_PREFIXES {
            return false;
        }
        if let Some(owner) = self.owners.get(&prefix).copied()
            && let Some(other) = self.sessions.get(owner)
        {
            let same_nas =
                (&other.key.reporter, &other.key.nas) == (&session.key.reporter, &session.key.nas);
            if other.latest.is_after(session.latest, same_nas) {
                return false;
            }
            self.stats.taken_over += 1;
            if let Some(other) = self.sessions.get_mut(owner) {
                other.prefixes.retain(|theirs| *theirs != prefix);
            }
            self.is_unsaved(owner);
        }
        self.owners.insert(prefix, slot);
        if let Some(session) = self.sessions.get_mut(slot) {
            session.prefixes.push(prefix);
            self.changes.push(Change {
                prefix,
                identity: Some(Arc::clone(&session.identity)),
            });
        }
        true
    }

    /// Tells the shards anew who has these.
    fn tell(&mut self, slot: u32, prefixes: &[Prefix]) {
        let Some(session) = self.sessions.get(slot) else {
            return;
        };
        self.changes.extend(prefixes.iter().map(|prefix| Change {
            prefix: *prefix,
            identity: Some(Arc::clone(&session.identity)),
        }));
    }

    fn insert(&mut self, session: Session) -> u32 {
        let key = session.key.clone();
        let expires = session.expires;
        *self.held.entry(Arc::clone(&key.reporter)).or_default() += 1;
        let slot = self.sessions.insert(session);
        self.by_key.insert(key, slot);
        self.timers.schedule(expires, slot);
        slot
    }

    /// A session is over: what it has is nobody's, or whose it is configured to be. False if there is none.
    fn end(&mut self, key: &Key) -> bool {
        let Some(slot) = self.by_key.remove(key) else {
            return false;
        };
        let Some(session) = self.sessions.remove(slot) else {
            return false;
        };
        if let Some(held) = self.held.get_mut(&key.reporter) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&key.reporter);
            }
        }
        if let Some(unsaved) = &mut self.unsaved {
            // What the store has never had it need not lose: however long it takes nothing, there is an end to
            // what waits for it.
            match session.saved {
                Some(_) => unsaved.insert(session.key),
                None => unsaved.remove(&session.key),
            };
        }
        for prefix in session.prefixes {
            self.owners.remove(&prefix);
            self.changes.push(Change {
                prefix,
                identity: self.configured.get(&prefix).cloned(),
            });
        }
        true
    }

    fn is_unsaved(&mut self, slot: u32) {
        if let (Some(unsaved), Some(session)) = (&mut self.unsaved, self.sessions.get(slot)) {
            unsaved.insert(session.key.clone());
        }
    }

    /// An access server has begun anew: its sessions are over, but those that began since.
    fn clear(&mut self, server: &Key, happened: Happened) {
        let gone: Vec<Key> = self
            .sessions
            .iter()
            .map(|(_, session)| session)
            .filter(|session| {
                session.key.reporter == server.reporter
                    && session.key.nas == server.nas
                    && !session.latest.is_after(happened, true)
            })
            .map(|session| session.key.clone())
            .collect();
        for key in gone {
            if self.end(&key) {
                self.stats.cleared += 1;
            }
        }
    }
}

impl Identity {
    /// What is known once `newer` is: it may leave out what it has told before.
    fn updated(&self, newer: Self) -> Self {
        let older = self.clone();
        Self {
            msisdn: newer.msisdn.or(older.msisdn),
            alias: newer.alias.or(older.alias),
            imsi: newer.imsi.or(older.imsi),
            imei: newer.imei.or(older.imei),
            sgsn: newer.sgsn.or(older.sgsn),
            ggsn: newer.ggsn.or(older.ggsn),
            charging_id: newer.charging_id.or(older.charging_id),
            network: newer.network.or(older.network),
            rat: newer.rat.or(older.rat),
            location: newer.location.or(older.location),
            apn: newer.apn.or(older.apn),
            nas: newer.nas.or(older.nas),
            session: newer.session.or(older.session),
            source: newer.source,
        }
    }
}

/// How often within its lifetime the store is told that a session lives on.
const SAVES_PER_LIFETIME: u32 = 8;
/// Prefixes of one session.
const MOST_PREFIXES: usize = 8;
/// Sessions that are over and still recognised.
const MOST_OVER: usize = 65_536;
/// For so long.
const REMEMBER_OVER: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Private, Source};

    fn at(seconds: u64) -> At {
        At {
            now: Instant::ZERO + Duration::from_secs(seconds),
            unix: 1_700_000_000 + seconds,
        }
    }

    fn reporter() -> Reporter {
        Reporter {
            name: "ggsn".into(),
            max_sessions: 1_000,
        }
    }

    fn report(status: Status, session: &str, address: &str, msisdn: &str) -> Report {
        Report {
            status,
            nas: "ggsn-1".into(),
            session: session.into(),
            prefixes: address
                .parse()
                .ok()
                .map(Prefix::address)
                .into_iter()
                .collect(),
            identity: Identity {
                msisdn: (!msisdn.is_empty()).then(|| Private::new(msisdn)),
                source: Source::Radius,
                ..Identity::default()
            },
            delay: 0,
            stamp: None,
        }
    }

    type Store = std::collections::BTreeMap<Vec<u8>, Vec<u8>>;

    struct Rig {
        directory: Directory,
        table: super::super::Table,
    }

    impl Rig {
        fn new() -> Self {
            Self {
                directory: Directory::new(Limits::default(), 1),
                table: super::super::Table::new(Random::new(2).hasher()),
            }
        }

        fn hears(&mut self, seconds: u64, report: Report) -> Verdict {
            let verdict = self.directory.account(at(seconds), &reporter(), report);
            self.table.apply(&self.directory.take_changes());
            verdict
        }

        fn restore(&mut self, seconds: u64, store: &Store) -> Vec<Vec<u8>> {
            let useless = self.directory.restore(at(seconds), store.clone());
            self.table.apply(&self.directory.take_changes());
            useless
        }

        /// How much there was to save.
        fn save(&mut self, seconds: u64, store: &mut Store) -> usize {
            let mut count = 0;
            while let Some((name, octets)) = self.directory.unsaved(at(seconds), 1).pop() {
                match octets {
                    Some(octets) => store.insert(name, octets),
                    None => store.remove(&name),
                };
                self.directory.saved(1);
                count += 1;
            }
            count
        }

        fn who(&self, address: &str) -> Option<&str> {
            let identity = self.table.find(address.parse().unwrap())?;
            identity.msisdn.as_ref().map(Private::reveal)
        }
    }

    #[test]
    fn an_address_is_the_subscribers_from_start_to_stop() {
        let mut rig = Rig::new();
        rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
        assert_eq!(rig.who("10.0.0.1"), Some("491"));
        assert_eq!(rig.who("10.0.0.2"), None);
        rig.hears(5, report(Status::Stop, "1", "10.0.0.1", "491"));
        assert_eq!(rig.who("10.0.0.1"), None);
        assert_eq!(rig.directory.sessions(), 0);
    }

    #[test]
    fn a_stale_stop_does_not_take_the_address_from_its_new_owner() {
        let mut rig = Rig::new();
        rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
        rig.hears(5, report(Status::Start, "2", "10.0.0.1", "492"));
        assert_eq!(rig.who("10.0.0.1"), Some("492"));
        rig.hears(6, report(Status::Stop, "1", "10.0.0.1", "491"));
        assert_eq!(rig.who("10.0.0.1"), Some("492"));
        rig.hears(7, report(Status::Stop, "2", "10.0.0.1", "492"));
        assert_eq!(rig.who("10.0.0.1"), None);
        assert_eq!(rig.directory.stats().taken_over, 1);
    }

    #[test]
    fn what_comes_late_does_not_bring_a_session_back() {
        let mut rig = Rig::new();
        let late = |status, session| Report {
            delay: 20,
            ..report(status, session, "10.0.0.1", "491")
        };
        rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
        rig.hears(5, report(Status::Stop, "1", "", ""));
        assert_eq!(
            rig.hears(6, report(Status::Interim, "1", "10.0.0.1", "491")),
            Verdict::Stale
        );
        assert_eq!(rig.hears(7, late(Status::Start, "1")), Verdict::Stale);
        assert_eq!(rig.who("10.0.0.1"), None);
        // Given to somebody else meanwhile: an Interim from before takes nothing back.
        rig.hears(30, report(Status::Start, "2", "10.0.0.1", "492"));
        assert_eq!(rig.hears(31, late(Status::Interim, "3")), Verdict::Stale);
        assert_eq!(rig.who("10.0.0.1"), Some("492"));
        // A Stop that overtakes its Start.
        rig.hears(40, report(Status::Stop, "4", "10.0.0.4", "494"));
        assert_eq!(
            rig.hears(
                41,
                Report {
                    delay: 9,
                    ..report(Status::Start, "4", "10.0.0.4", "494")
                }
            ),
            Verdict::Stale
        );
        // An id used again later is another session.
        rig.hears(60, report(Status::Start, "1", "10.0.0.9", "499"));
        assert_eq!(rig.who("10.0.0.9"), Some("499"));
    }

    #[test]
    fn a_session_whose_id_was_used_again_is_remembered_as_over_for_as_long() {
        let mut rig = Rig::new();
        rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
        rig.hears(1, report(Status::Stop, "1", "", ""));
        rig.hears(500, report(Status::Start, "1", "10.0.0.1", "492"));
        rig.hears(590, report(Status::Stop, "1", "", ""));
        // The time of the first Stop is over, that of the second is not.
        let late = report(Status::Interim, "1", "10.0.0.1", "492");
        assert_eq!(rig.hears(700, late), Verdict::Stale);
    }

    #[test]
    fn of_two_stops_the_later_one_counts() {
        let mut rig = Rig::new();
        let told = |status, delay| Report {
            delay,
            ..report(status, "1", "10.0.0.1", "491")
        };
        rig.hears(100, told(Status::Stop, 0));
        rig.hears(101, told(Status::Stop, 90));
        assert_eq!(rig.hears(102, told(Status::Start, 50)), Verdict::Stale);
        assert_eq!(rig.who("10.0.0.1"), None);
    }

    #[test]
    fn the_access_servers_clock_decides_among_its_own_reports() {
        let mut rig = Rig::new();
        let stamped = |stamp, msisdn| Report {
            stamp: Some(stamp),
            ..report(Status::Interim, "1", "10.0.0.1", msisdn)
        };
        rig.hears(0, stamped(1_000, "491"));
        rig.hears(1, stamped(1_010, "492"));
        assert_eq!(rig.hears(2, stamped(1_005, "493")), Verdict::Stale);
        assert_eq!(rig.who("10.0.0.1"), Some("492"));
    }

    #[test]
    fn a_stop_from_before_the_start_ends_nothing() {
        let mut rig = Rig::new();
        let stamped = |status, stamp, msisdn| Report {
            stamp: Some(stamp),
            ..report(status, "1", "10.0.0.1", msisdn)
        };
        rig.hears(0, stamped(Status::Start, 1_000, "491"));
        // Its id is given away again before its Stop comes.
        rig.hears(60, stamped(Status::Start, 1_060, "492"));
        assert_eq!(
            rig.hears(61, stamped(Status::Stop, 1_050, "491")),
            Verdict::Stale
        );
        assert_eq!(rig.who("10.0.0.1"), Some("492"));
        // Nor does it keep that session from going on, and from ending, be it that reports overtake one another.
        rig.hears(70, stamped(Status::Interim, 1_070, "492"));
        assert_eq!(rig.who("10.0.0.1"), Some("492"));
        rig.hears(71, stamped(Status::Stop, 1_065, "492"));
        assert_eq!(rig.who("10.0.0.1"), None);
        let stats = rig.directory.stats();
        assert_eq!((stats.stopped, stats.stale), (1, 1));
    }

    /// The calendar was set back while the process was away.
    #[test]
    fn what_was_restored_is_not_from_the_future() {
        let mut rig = Rig::new();
        let mut store = Store::new();
        assert!(rig.restore(3_600, &store).is_empty());
        rig.hears(3_600, report(Status::Start, "1", "10.0.0.1", "491"));
        rig.save(3_600, &mut store);
        let mut later = Rig::new();
        assert!(later.restore(0, &store).is_empty());
        assert_eq!(
            later.hears(1, report(Status::Interim, "1", "10.0.0.1", "492")),
            Verdict::Applied
        );
        assert_eq!(later.who("10.0.0.1"), Some("492"));
        let expires = at(24 * 3_600).now;
        assert_eq!(later.directory.poll_timeout(), Some(expires));
        later.hears(2, report(Status::Stop, "1", "", ""));
        assert_eq!(later.who("10.0.0.1"), None);
    }

    #[test]
    fn an_interim_brings_more_and_keeps_what_it_leaves_out() {
        let mut rig = Rig::new();
        rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
        let mut interim = report(Status::Interim, "1", "2001:db8::1", "");
        interim.identity.network = Some("26202".into());
        rig.hears(5, interim);
        for address in ["10.0.0.1", "2001:db8::1"] {
            assert_eq!(rig.who(address), Some("491"));
            let found = rig.table.find(address.parse().unwrap()).unwrap();
            assert_eq!(found.network.as_deref(), Some("26202"));
        }
        // Nothing new is not told again.
        let again = report(Status::Interim, "1", "10.0.0.1", "491");
        rig.directory.account(at(6), &reporter(), again);
        assert!(rig.directory.take_changes().is_empty());
    }

    #[test]
    fn an_access_server_that_begins_anew_has_no_sessions_from_before() {
        let mut rig = Rig::new();
        rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
        rig.hears(20, report(Status::Start, "2", "10.0.0.2", "492"));
        let other = Report {
            nas: "ggsn-2".into(),
            ..report(Status::Start, "3", "10.0.0.3", "493")
        };
        rig.hears(0, other);
        // It took the On ten seconds to get here.
        let on = Report {
            delay: 10,
            ..report(Status::On, "", "", "")
        };
        rig.hears(20, on);
        assert_eq!(rig.who("10.0.0.1"), None);
        assert_eq!(rig.who("10.0.0.2"), Some("492"));
        assert_eq!(rig.who("10.0.0.3"), Some("493"));
    }

    #[test]
    fn a_session_nobody_speaks_of_expires() {
        let mut rig = Rig::new();
        rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
        rig.hears(0, report(Status::Start, "2", "10.0.0.2", "492"));
        rig.hears(3_600, report(Status::Interim, "2", "", ""));
        let day = 24 * 3_600;
        assert_eq!(rig.directory.poll_timeout(), Some(at(day).now));
        rig.directory.handle_timeout(at(day).now);
        rig.table.apply(&rig.directory.take_changes());
        assert_eq!(
            (rig.who("10.0.0.1"), rig.who("10.0.0.2")),
            (None, Some("492"))
        );
        rig.directory.handle_timeout(at(day + 3_600).now);
        assert_eq!(rig.directory.sessions(), 0);
    }

    #[test]
    fn a_session_survives_a_restart_until_it_expires() {
        let mut rig = Rig::new();
        rig.restore(0, &Store::new());
        let mut start = report(Status::Start, "1", "10.0.0.1", "491");
        start.identity.sgsn = "192.0.2.7".parse().ok();
        rig.hears(0, start);
        rig.hears(0, report(Status::Start, "2", "10.0.0.2", "492"));
        let mut store = Store::new();
        let mut save = |rig: &mut Rig, seconds| (rig.save(seconds, &mut store), store.clone());
        assert_eq!(save(&mut rig, 1).0, 2);
        rig.hears(10, report(Status::Stop, "2", "", ""));
        // That it lives on is not saved each time.
        rig.hears(60, report(Status::Interim, "1", "10.0.0.1", "491"));
        let (count, kept) = save(&mut rig, 61);
        assert_eq!((count, kept.len()), (1, 1));
        rig.hears(4 * 3_600, report(Status::Interim, "1", "10.0.0.1", "491"));
        let (count, kept) = save(&mut rig, 4 * 3_600);
        assert_eq!((count, kept.len()), (1, 1));

        for (seconds, who) in [(28 * 3_600 - 1, Some("491")), (28 * 3_600, None)] {
            let mut later = Rig::new();
            later.restore(seconds, &kept);
            assert_eq!(later.who("10.0.0.1"), who);
            assert_eq!(later.directory.poll_timeout().is_some(), who.is_some());
            // Its Stop is known to be its.
            later.hears(seconds, report(Status::Stop, "1", "", ""));
            assert_eq!(later.who("10.0.0.1"), None);
        }
    }

    #[test]
    fn what_is_not_restored_is_named_so_that_it_can_be_deleted() {
        let mut rig = Rig::new();
        let mut store = Store::new();
        assert!(rig.restore(0, &store).is_empty());
        rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
        rig.hears(9, report(Status::Start, "2", "10.0.0.2", "492"));
        rig.hears(9, report(Status::Start, "3", "10.0.0.3", "493"));
        rig.save(9, &mut store);
        let names: Vec<_> = store.keys().cloned().collect();
        store.insert(b"torn".to_vec(), b"nonsense".to_vec());
        let mut later = Rig::new();
        later.directory.set_limits(Limits {
            max_sessions: 1,
            ..Limits::default()
        });
        // The first has expired, for the third there is no room.
        let useless = later.restore(24 * 3_600, &store);
        assert_eq!(later.who("10.0.0.2"), Some("492"));
        let expected = [&names[0], &names[2], &b"torn".to_vec()].map(Clone::clone);
        assert_eq!(useless, expected);
    }

    #[test]
    fn what_the_store_does_not_take_is_told_again() {
        let mut rig = Rig::new();
        let mut store = Store::new();
        let _ = rig.restore(0, &store);
        rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
        assert_eq!(rig.save(1, &mut store), 1);
        // From here on it is full.
        rig.hears(2, report(Status::Stop, "1", "", ""));
        for session in 2..50 {
            let session = session.to_string();
            rig.hears(3, report(Status::Start, &session, "10.0.0.2", "492"));
            rig.hears(4, report(Status::Stop, &session, "", ""));
        }
        // What began and ended meanwhile it need not know.
        let unsaved = rig.directory.unsaved(at(5), 100);
        let [(name, None)] = &unsaved[..] else {
            panic!("{unsaved:?}");
        };
        assert!(store.contains_key(name));
        assert_eq!(rig.directory.unsaved(at(5), 100), unsaved);
        // Its id is given away again, and that session is over too.
        rig.hears(20, report(Status::Start, "1", "10.0.0.1", "493"));
        assert!(matches!(
            &rig.directory.unsaved(at(20), 100)[..],
            [(_, Some(_))]
        ));
        rig.hears(30, report(Status::Stop, "1", "", ""));
        assert_eq!(rig.save(31, &mut store), 1);
        assert!(store.is_empty());
        assert_eq!(rig.save(31, &mut store), 0);
    }

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let mut rig = Rig::new();
        let small = Reporter {
            name: "small".into(),
            max_sessions: 1,
        };
        for (session, verdict) in [("1", Verdict::Applied), ("2", Verdict::Full)] {
            let start = report(Status::Start, session, "10.0.0.1", "491");
            assert_eq!(rig.directory.account(at(0), &small, start), verdict);
        }
        let stop = report(Status::Stop, "1", "", "");
        rig.directory.account(at(1), &small, stop);
        let start = report(Status::Start, "2", "10.0.0.1", "491");
        assert_eq!(
            rig.directory.account(at(1), &small, start),
            Verdict::Applied
        );
        // Another client's sessions of the same name are others.
        assert_eq!(
            rig.hears(2, report(Status::Stop, "2", "", "")),
            Verdict::Applied
        );
        assert_eq!(rig.directory.sessions(), 1);
    }

    #[test]
    fn what_is_configured_is_there_when_accounting_says_nothing() {
        let mut rig = Rig::new();
        let entry = |address: &str, msisdn: &str| {
            let identity = Identity {
                msisdn: Some(Private::new(msisdn)),
                ..Identity::default()
            };
            (
                Prefix::address(address.parse().unwrap()),
                Arc::new(identity),
            )
        };
        rig.directory
            .configure(&[entry("10.0.0.1", "1"), entry("10.0.0.2", "2")]);
        rig.hears(0, report(Status::Start, "1", "10.0.0.1", "491"));
        assert_eq!(rig.who("10.0.0.1"), Some("491"));
        rig.directory.configure(&[entry("10.0.0.1", "3")]);
        rig.hears(1, report(Status::Other(15), "", "", ""));
        assert_eq!(
            (rig.who("10.0.0.1"), rig.who("10.0.0.2")),
            (Some("491"), None)
        );
        rig.hears(2, report(Status::Stop, "1", "", ""));
        assert_eq!(rig.who("10.0.0.1"), Some("3"));
    }
}
