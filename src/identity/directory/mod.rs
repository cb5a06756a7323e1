//! The directory of subscribers by address: configured entries, and above them accounting sessions.
//!
//! Reports come late, twice and in any order. Access server and id identify a session. An address
//! belongs to the session that got it last: the Stop of an earlier session changes nothing.
//!
//! `accounting.rs` has the effects of reports on sessions, `persistence.rs` the sessions in the
//! store.

mod accounting;
mod persistence;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use derive_more::AddAssign;
use hashbrown::HashMap;

use super::report::{Report, Status};
use super::session::{EventTime, Key, Moment, Session};
use super::{Change, Identity, Prefix};
use crate::random::{Keyed, Random};
use crate::table::{ExpiringMap, Slab};
use crate::time::{Instant, Timers};

/// Limits of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Accounting sessions held at once; the Start of another is not answered, so that its access
    /// server tries another of its accounting servers, or again later. Default: 1,000,000.
    pub max_sessions: usize,
    /// A session without a report for this time is removed: its Stop was lost. Access servers that
    /// send Interim updates keep theirs. Default: 24 h.
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

/// An accounting client, and the number of sessions it may have.
#[derive(Clone, Debug)]
pub struct Reporter {
    /// Its name. A client cannot change sessions of another.
    pub name: Arc<str>,
    /// Sessions it may hold at once.
    pub max_sessions: usize,
}

/// The result of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The report was applied, or had no news.
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
    /// Sessions removed after `lifetime` without a report.
    pub expired: u64,
    /// Addresses given to another session before their Stop came.
    pub taken_over: u64,
    /// Reports that came too late to be true.
    pub stale: u64,
}

/// Subscribers by address, for all shards.
#[derive(Debug)]
pub struct AddressDirectory {
    limits: Limits,
    configured: HashMap<Prefix, Arc<Identity>, Keyed>,
    sessions: Slab<Session>,
    by_key: HashMap<Key, u32, Keyed>,
    owners: HashMap<Prefix, u32, Keyed>,
    held: HashMap<Arc<str>, usize, Keyed>,
    /// Ends of sessions, so that a late report does not bring a session back.
    over: ExpiringMap<Key, EventTime, Instant, Keyed>,
    timers: Timers,
    changes: Vec<Change>,
    /// Sessions that are not in the store as they are, if there is one.
    unsaved: Option<BTreeSet<Key>>,
    stats: Stats,
}

impl AddressDirectory {
    /// An empty directory. `seed` decides the hashing.
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
            over: ExpiringMap::new(random.hasher()),
            timers: Timers::new(),
            changes: Vec::new(),
            unsaved: None,
            stats: Stats::default(),
        }
    }

    /// Replaces the limits. Known sessions stay.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Replaces the configured entries. Accounting sessions have priority over them.
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
    pub fn account(&mut self, at: Moment, from: &Reporter, report: Report) -> Outcome {
        self.over.expire(at.now);
        let time = EventTime::of(at, &report);
        let key = Key {
            reporter: Arc::clone(&from.name),
            nas: report.nas.clone(),
            session: report.session.clone(),
        };
        let outcome = match report.status {
            Status::Start => self.start_or_update(at.now, from, key, time, report, true),
            Status::Interim => self.start_or_update(at.now, from, key, time, report, false),
            Status::Stop => self.stop(at.now, key, time),
            Status::On | Status::Off => {
                self.clear(&key, report.from, time);
                Outcome::Applied
            }
            Status::Other(_) => Outcome::Applied,
        };
        match outcome {
            // The caller, which sends no response, counts reports without room.
            Outcome::Applied | Outcome::Full => {}
            Outcome::Stale => self.stats.stale += 1,
        }
        outcome
    }

    /// Removes expired sessions.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.over.expire(now);
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

    /// Changes for the shards since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
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
}
