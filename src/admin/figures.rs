//! All numbers of the process at one moment, for whoever shows them: `/metrics`, `/status`, the documentation.
//!
//! A part of the process that counts gets a field in [`Snapshot`], a line in `samples`, and tells
//! [`Figures::feed`] how to fill the field when somebody looks.

use std::sync::{Arc, PoisonError, RwLock};

use super::counters::{Counters, Refused};
use super::process::Process;
use crate::gateway::{Stats, directory};
use crate::record::charging::Counts;
use crate::server::{Known, Measures, ShellStats, State};
use crate::store;
use crate::upstream::{Expiry, Health, Role};

/// All numbers at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// What the gateway is doing.
    pub state: State,
    /// What the cores count.
    pub stats: Stats,
    /// What the shards' shells count.
    pub shell: ShellStats,
    /// What the shards measure.
    pub measures: Measures,
    /// What the directory of sessions counts; one shard without a store has none.
    pub directory: Option<directory::Stats>,
    /// What the store counts, if there is one.
    pub store: Option<store::Stats>,
    /// The hosts that routes name.
    pub targets: Vec<Health>,
    /// The certificates that the configuration names.
    pub certificates: Vec<Expiry>,
    /// What is known of subscribers.
    pub known: Known,
    /// Log lines that could not be written.
    pub log_lines_lost: u64,
    /// What became of charging records, if they are kept.
    pub records: Option<Counts>,
    /// What the kernel says of us.
    pub(super) process: Process,
    /// Traces that are running.
    pub(super) traces: u64,
    /// What was refused on the admin port.
    pub(super) refused: Vec<(Refused, u64)>,
}

impl Snapshot {
    /// One that has a number under every name there can be, all of them 0; names from the configuration are
    /// [`CONFIGURED`].
    #[must_use]
    pub(super) fn example() -> Self {
        let mut measures = Measures::default();
        measures
            .routes
            .insert(CONFIGURED.into(), Default::default());
        let certificate = |role| Expiry {
            file: CONFIGURED.into(),
            subject: String::new(),
            role,
            not_after: 0,
        };
        Self {
            measures,
            certificates: vec![certificate(Role::Authority), certificate(Role::Client)],
            records: Some(Counts::default()),
            directory: Some(directory::Stats::default()),
            store: Some(store::Stats::default()),
            targets: vec![Health::unknown(CONFIGURED)],
            process: Process::example(CONFIGURED),
            refused: Counters::default().iter().collect(),
            ..Self::default()
        }
    }
}

/// Stands for what the configuration names.
pub(super) const CONFIGURED: &str = "\u{2026}";

type Feed = Box<dyn Fn(&mut Snapshot) + Send + Sync>;

/// Where the numbers come from. Clones are the same.
#[derive(Clone, Default)]
pub struct Figures(Arc<RwLock<Vec<Feed>>>);

impl Figures {
    /// Lets `feed` fill its part whenever somebody looks. It must not wait for anything.
    pub fn feed(&self, feed: impl Fn(&mut Snapshot) + Send + Sync + 'static) {
        let mut feeds = self.0.write().unwrap_or_else(PoisonError::into_inner);
        feeds.push(Box::new(feed));
    }

    /// The numbers now. What the shards count is up to a second old.
    #[must_use]
    pub fn now(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for feed in self.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            feed(&mut snapshot);
        }
        snapshot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feed_fills_its_part() {
        let figures = Figures::default();
        figures.feed(|snapshot| snapshot.state = State::Running);
        figures.clone().feed(|snapshot| snapshot.stats.sessions = 7);
        let now = figures.now();
        assert_eq!((now.state, now.stats.sessions), (State::Running, 7));
    }
}
