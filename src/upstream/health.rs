//! Health of the hosts that routes name, as the requests of one shard met it. Checks do not count.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::uri::Authority;
use tokio::time::Instant;

use crate::gateway::fetch::Failure;

/// Health of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Host and port, as routes name them.
    pub host: String,
    /// Condition by its last request.
    pub condition: Condition,
    /// Requests with a reply, of any status and size.
    pub answered: u64,
    /// Requests that it did not.
    pub failed: u64,
    /// How long ago it last answered.
    pub last_answer: Option<Duration>,
    /// Why it did not the last time it did not, and how long ago that is.
    pub last_failure: Option<(Failure, Duration)>,
}

impl Health {
    /// A host without requests so far.
    #[must_use]
    pub fn unknown(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            condition: Condition::Unknown,
            answered: 0,
            failed: 0,
            last_answer: None,
            last_failure: None,
        }
    }

    /// Merges the health that two shards saw: the later event decides the condition.
    pub fn merge(&mut self, other: &Self) {
        self.answered += other.answered;
        self.failed += other.failed;
        self.last_answer = match (self.last_answer, other.last_answer) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.last_failure = match (self.last_failure, other.last_failure) {
            (Some(one), Some(other)) if other.1 < one.1 => Some(other),
            (one, other) => one.or(other),
        };
        let failure = self.last_failure.map(|(_, ago)| ago);
        self.condition = Condition::of(self.last_answer, failure);
    }
}

/// The condition of a host by its last request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Not asked yet.
    #[default]
    Unknown,
    /// The last request to it failed.
    Failing,
    /// It answered the last request.
    Answering,
}

impl Condition {
    /// The condition by the times since the last reply and the last failure.
    fn of(answer: Option<Duration>, failure: Option<Duration>) -> Self {
        match (answer, failure) {
            (None, None) => Self::Unknown,
            (Some(answer), failure) if failure.is_none_or(|failure| answer < failure) => {
                Self::Answering
            }
            _ => Self::Failing,
        }
    }

    /// The stable name in documents and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Failing => "failing",
            Self::Answering => "answering",
        }
    }
}

/// The hosts that routes name; the configuration bounds them. The records are shared with the
/// requests of an earlier configuration, which end after a reload.
#[derive(Debug, Default)]
pub(super) struct HostHealth(HashMap<Authority, Arc<Mutex<HostRecord>>>);

#[derive(Clone, Copy, Debug, Default)]
struct HostRecord {
    answered: u64,
    failed: u64,
    last_answer: Option<Instant>,
    last_failure: Option<(Failure, Instant)>,
}

impl HostHealth {
    /// Adds a host, with its record in `before` if it has one there.
    pub(super) fn add(&mut self, host: Authority, before: &Self) {
        let known = before.0.get(&host).map(Arc::clone);
        self.0
            .entry(host)
            .or_insert_with(|| known.unwrap_or_default());
    }

    /// Records the end of a request to `host`: a reply with any status, or a failure. Hosts that no
    /// route names are not recorded.
    pub(super) fn record(&self, now: Instant, host: Option<&Authority>, failure: Option<Failure>) {
        let Some(record) = host.and_then(|host| self.0.get(host)) else {
            return;
        };
        let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
        match failure {
            // A reply that is larger than the gateway takes, or has memory for, is a reply.
            None | Some(Failure::TooLarge | Failure::NoMemory) => {
                record.answered += 1;
                record.last_answer = Some(now);
            }
            Some(failure) => {
                record.failed += 1;
                record.last_failure = Some((failure, now));
            }
        }
    }

    /// All of them, by name.
    pub(super) fn health(&self, now: Instant) -> Vec<Health> {
        let mut all: Vec<Health> = self
            .0
            .iter()
            .map(|(host, record)| {
                let record = *record.lock().unwrap_or_else(PoisonError::into_inner);
                let last_answer = record.last_answer.map(|at| now - at);
                let last_failure = record.last_failure.map(|(failure, at)| (failure, now - at));
                Health {
                    host: host.to_string(),
                    condition: Condition::of(last_answer, last_failure.map(|(_, ago)| ago)),
                    answered: record.answered,
                    failed: record.failed,
                    last_answer,
                    last_failure,
                }
            })
            .collect();
        all.sort_unstable_by(|one, other| one.host.cmp(&other.host));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_too_large_is_one_and_a_connection_that_breaks_is_none() {
        let host = Authority::from_static("origin.example:8443");
        for (failure, condition) in [
            (Failure::TooLarge, Condition::Answering),
            (Failure::NoMemory, Condition::Answering),
            (Failure::Resolve, Condition::Failing),
            (Failure::Connect, Condition::Failing),
            (Failure::Tls, Condition::Failing),
            (Failure::Reset, Condition::Failing),
            (Failure::Timeout, Condition::Failing),
            (Failure::Malformed, Condition::Failing),
        ] {
            let mut hosts = HostHealth::default();
            hosts.add(host.clone(), &HostHealth::default());
            let now = Instant::now();
            hosts.record(now, Some(&host), Some(failure));
            assert_eq!(hosts.health(now)[0].condition, condition, "{failure:?}");
        }
    }

    #[test]
    fn a_host_that_stays_keeps_its_record() {
        let (stays, goes) = (
            Authority::from_static("stays"),
            Authority::from_static("goes"),
        );
        let mut before = HostHealth::default();
        before.add(stays.clone(), &HostHealth::default());
        before.add(goes.clone(), &HostHealth::default());
        let now = Instant::now();
        before.record(now, Some(&stays), Some(Failure::Tls));
        let mut after = HostHealth::default();
        after.add(stays.clone(), &before);
        after.add(Authority::from_static("new"), &before);
        // A request that began before the reload ends after it.
        before.record(now, Some(&stays), None);
        before.record(now, Some(&goes), None);
        let health: Vec<(String, u64, u64)> = after
            .health(now)
            .into_iter()
            .map(|health| (health.host, health.answered, health.failed))
            .collect();
        assert_eq!(
            health,
            [("new".to_owned(), 0, 0), ("stays".to_owned(), 1, 1)]
        );
    }

    #[test]
    fn the_last_request_tells_how_a_host_is() {
        let host = Authority::from_static("origin.example:8443");
        let mut hosts = HostHealth::default();
        hosts.add(host.clone(), &HostHealth::default());
        let start = Instant::now();
        let later = start + Duration::from_secs(3);
        let condition = |hosts: &HostHealth| hosts.health(later)[0].condition;
        assert_eq!(condition(&hosts), Condition::Unknown);
        hosts.record(start, Some(&host), Some(Failure::Reset));
        assert_eq!(condition(&hosts), Condition::Failing);
        hosts.record(later, Some(&host), None);
        // A host that no route names is not remembered.
        let other = Authority::from_static("else.example");
        hosts.record(later, Some(&other), Some(Failure::Reset));
        let health = hosts.health(later);
        assert_eq!(health.len(), 1);
        assert_eq!(health[0].condition, Condition::Answering);
        assert_eq!((health[0].answered, health[0].failed), (1, 1));
        let failure = (Failure::Reset, Duration::from_secs(3));
        assert_eq!(health[0].last_failure, Some(failure));
        assert_eq!(health[0].host, "origin.example:8443");

        // Another shard met it later, and in vain.
        let mut both = health[0].clone();
        both.merge(&Health::unknown("origin.example:8443"));
        assert_eq!(both, health[0]);
        let mut hosts = HostHealth::default();
        hosts.add(host.clone(), &HostHealth::default());
        hosts.record(later, Some(&host), Some(Failure::Tls));
        both.merge(&hosts.health(later)[0]);
        assert_eq!(both.condition, Condition::Failing);
        assert_eq!(both.failed, 2);
        assert_eq!(both.last_failure, Some((Failure::Tls, Duration::ZERO)));
    }
}
