//! How the hosts that routes name have been doing, as one shard saw it: nobody is asked, what requests met is
//! remembered.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::uri::Authority;
use tokio::time::Instant;

use super::failed::Failed;
use crate::gateway::fetch::{Failure, Reply};

/// What is known of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Host and port, as routes name them.
    pub host: String,
    /// What its last request says of it.
    pub condition: Condition,
    /// Requests that it answered, with whatever status and however much.
    pub answered: u64,
    /// Requests that it did not.
    pub failed: u64,
    /// How long ago it last answered.
    pub last_answer: Option<Duration>,
    /// Why it did not the last time it did not, and how long ago that is.
    pub last_failure: Option<(Failure, Duration)>,
}

impl Health {
    /// A host nobody has asked.
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

    /// What two shards know of the same host: the later news is what it is.
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

/// What the last request says of a host.
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
    /// What it is when the last answer and the last failure were so long ago.
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

/// The hosts that routes name; the configuration bounds them.
#[derive(Debug, Default)]
pub(super) struct Hosts(HashMap<Authority, Mutex<Seen>>);

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    answered: u64,
    failed: u64,
    last_answer: Option<Instant>,
    last_failure: Option<(Failure, Instant)>,
}

impl Hosts {
    pub(super) fn add(&mut self, host: Authority) {
        self.0.entry(host).or_default();
    }

    /// Remembers what became of a request to `host`.
    pub(super) fn record(
        &self,
        now: Instant,
        host: Option<&Authority>,
        result: &Result<Reply, Failed>,
    ) {
        let Some(seen) = host.and_then(|host| self.0.get(host)) else {
            return;
        };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = result.as_ref().err().map(|failed| failed.error.failure);
        match failure {
            // An answer that is larger than we take is an answer.
            None | Some(Failure::TooLarge) => {
                seen.answered += 1;
                seen.last_answer = Some(now);
            }
            Some(failure) => {
                seen.failed += 1;
                seen.last_failure = Some((failure, now));
            }
        }
    }

    /// All of them, by name.
    pub(super) fn health(&self, now: Instant) -> Vec<Health> {
        let mut all: Vec<Health> = self
            .0
            .iter()
            .map(|(host, seen)| {
                let seen = *seen.lock().unwrap_or_else(PoisonError::into_inner);
                let last_answer = seen.last_answer.map(|at| now - at);
                let last_failure = seen.last_failure.map(|(failure, at)| (failure, now - at));
                Health {
                    host: host.to_string(),
                    condition: Condition::of(last_answer, last_failure.map(|(_, ago)| ago)),
                    answered: seen.answered,
                    failed: seen.failed,
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
            (Failure::Resolve, Condition::Failing),
            (Failure::Connect, Condition::Failing),
            (Failure::Tls, Condition::Failing),
            (Failure::Reset, Condition::Failing),
            (Failure::Timeout, Condition::Failing),
            (Failure::Malformed, Condition::Failing),
        ] {
            let mut hosts = Hosts::default();
            hosts.add(host.clone());
            let now = Instant::now();
            let failed = Failed::sent(Some(&host), failure, "why");
            hosts.record(now, Some(&host), &Err(failed));
            assert_eq!(hosts.health(now)[0].condition, condition, "{failure:?}");
        }
    }

    #[test]
    fn the_last_request_tells_how_a_host_is() {
        let host = Authority::from_static("origin.example:8443");
        let mut hosts = Hosts::default();
        hosts.add(host.clone());
        let start = Instant::now();
        let later = start + Duration::from_secs(3);
        let condition = |hosts: &Hosts| hosts.health(later)[0].condition;
        assert_eq!(condition(&hosts), Condition::Unknown);
        let failed = Failed::sent(Some(&host), Failure::Reset, "gone");
        hosts.record(start, Some(&host), &Err(failed));
        assert_eq!(condition(&hosts), Condition::Failing);
        let reply = Reply {
            status: http::StatusCode::OK,
            headers: http::HeaderMap::new(),
            body: bytes::Bytes::new(),
            trailers: None,
        };
        hosts.record(later, Some(&host), &Ok(reply));
        // A host that no route names is not remembered.
        let failed = Failed::sent(None, Failure::Reset, "gone");
        let other = Authority::from_static("else.example");
        hosts.record(later, Some(&other), &Err(failed));
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
        let failed = Failed::sent(Some(&host), Failure::Tls, "who are you");
        let mut hosts = Hosts::default();
        hosts.add(host.clone());
        hosts.record(later, Some(&host), &Err(failed));
        both.merge(&hosts.health(later)[0]);
        assert_eq!(both.condition, Condition::Failing);
        assert_eq!(both.failed, 2);
        assert_eq!(both.last_failure, Some((Failure::Tls, Duration::ZERO)));
    }
}
