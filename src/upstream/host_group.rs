//! The hosts of one route together, as all shards of the process see them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::affinity::AffinityTable;
use super::retry_budget::Budget;

/// The state of the hosts of a route that stand in for one another.
#[derive(Debug, Default)]
pub(super) struct GroupState {
    pub(super) budget: Arc<Budget>,
    round: Mutex<Round>,
}

/// What one choice among the hosts changes. The turns of the hosts change under its lock, too.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) affinity: AffinityTable,
    /// Requests whose host was out of service, so that they went to another one.
    pub(super) moved: u64,
}

/// The state of the hosts of a route together, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// The name of the route.
    pub route: Arc<str>,
    /// Sessions and addresses whose host is known.
    pub affinity_entries: u64,
    /// Entries that were dropped before their time, since there were too many.
    pub affinity_displaced: u64,
    /// Requests that could not stay at their host, since it was out of service.
    pub affinity_moved: u64,
    /// Requests that were tried at another host after one could not be connected to.
    pub failovers: u64,
    /// Requests that were not, because of the retry budget.
    pub failovers_refused: u64,
}

impl GroupStatus {
    /// A route without requests so far.
    #[must_use]
    pub fn new(route: &str) -> Self {
        Self {
            route: route.into(),
            affinity_entries: 0,
            affinity_displaced: 0,
            affinity_moved: 0,
            failovers: 0,
            failovers_refused: 0,
        }
    }
}

impl GroupState {
    /// Until this is dropped, no other request chooses among the hosts.
    pub(super) fn round(&self) -> MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(&self, route: &Arc<str>) -> GroupStatus {
        let (affinity_entries, affinity_displaced) = self.round().affinity.counts();
        let (failovers, failovers_refused) = self.budget.counts();
        GroupStatus {
            route: Arc::clone(route),
            affinity_entries,
            affinity_displaced,
            affinity_moved: self.round().moved,
            failovers,
            failovers_refused,
        }
    }
}
