//! One host of one route, as all shards of the process see it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::uri::Authority;
use tokio::time::Instant;

use super::ejection::{Cause, Ejection};
use crate::route::{HealthCheck, Outlier};

/// The state of a host. Requests touch it when they begin and when they end.
#[derive(Debug)]
pub(super) struct HostState {
    route: Arc<str>,
    host: Authority,
    /// Requests under way.
    requests: AtomicU32,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    ejection: Ejection,
    ejections: u64,
    /// Failed requests since the last one that was answered well.
    failures: u32,
    /// Requests that found as many under way as there may be.
    refused: u64,
    checks: Checks,
}

/// The results of checks.
#[derive(Debug, Default)]
struct Checks {
    /// The host failed so many in a row, and has not passed enough since.
    failing: bool,
    /// Results in a row that speak against `failing`.
    contrary: u32,
    passed: u64,
    failed: u64,
    /// The time of the last result, and why the host failed.
    last: Option<(Instant, Option<String>)>,
    /// When the next check is due.
    due: Option<Instant>,
}

/// A request to a host, under way until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<HostState>);

/// The state of one host of a route, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostStatus {
    /// The name of the route.
    pub route: Arc<str>,
    /// Host and port, as the route names them.
    pub host: String,
    /// Whether it is tried in its turn.
    pub condition: HostCondition,
    /// The rest of its ejection.
    pub ejected_for: Option<Duration>,
    /// How often it was ejected.
    pub ejections: u64,
    /// Checks that it passed.
    pub checks_passed: u64,
    /// Checks that it failed.
    pub checks_failed: u64,
    /// How long ago the last check was, and why the host failed it.
    pub last_check: Option<(Duration, Option<String>)>,
    /// Requests under way, of all shards.
    pub requests: u32,
    /// Requests that found `max_requests` of its route reached.
    pub refused: u64,
}

/// Whether a host is tried in its turn, or last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostCondition {
    /// In its turn.
    InService,
    /// Last, until its ejection ends.
    Ejected,
    /// Last, until it passes its checks.
    FailingChecks,
}

impl HostCondition {
    /// The stable name in documents.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::InService => "in_service",
            Self::Ejected => "ejected",
            Self::FailingChecks => "failing_checks",
        }
    }
}

impl HostStatus {
    /// A host without requests, checks or ejections so far.
    #[must_use]
    pub fn new(route: &str, host: &str) -> Self {
        Self {
            route: route.into(),
            host: host.to_owned(),
            condition: HostCondition::InService,
            ejected_for: None,
            ejections: 0,
            checks_passed: 0,
            checks_failed: 0,
            last_check: None,
            requests: 0,
            refused: 0,
        }
    }
}

impl HostState {
    pub(super) fn new(route: Arc<str>, host: Authority) -> Self {
        Self {
            route,
            host,
            requests: AtomicU32::new(0),
            inner: Mutex::default(),
        }
    }

    pub(super) const fn route(&self) -> &Arc<str> {
        &self.route
    }

    pub(super) const fn host(&self) -> &Authority {
        &self.host
    }

    /// A request begins. `None`, and counted, if as many are under way as there may be.
    pub(super) fn begin(self: &Arc<Self>, max: Option<u32>) -> Option<UnderWay> {
        let max = max.unwrap_or(u32::MAX);
        let more = |under_way: u32| (under_way < max).then(|| under_way + 1);
        let begun = self
            .requests
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        if begun.is_err() {
            self.lock().refused += 1;
            return None;
        }
        Some(UnderWay(Arc::clone(self)))
    }

    /// Whether the host is tried in its turn.
    pub(super) fn is_in_service(&self, now: Instant) -> bool {
        self.lock().condition(now) == HostCondition::InService
    }

    /// A request was answered well.
    pub(super) fn worked(&self, now: Instant) {
        let mut inner = self.lock();
        inner.failures = 0;
        inner.ejection.worked(now);
    }

    /// The host could not be connected to. Returns the length of the ejection that begins.
    pub(super) fn not_connected(&self, now: Instant, times: &Outlier) -> Option<Duration> {
        self.lock().eject(now, Cause::Connect, times)
    }

    /// A request failed. Returns the length of the ejection that begins. Nothing is ejected while
    /// the host `is_last` in service of its route.
    pub(super) fn failed(&self, now: Instant, times: &Outlier, is_last: bool) -> Option<Duration> {
        let mut inner = self.lock();
        inner.failures = inner.failures.saturating_add(1);
        if inner.failures < times.consecutive || is_last {
            return None;
        }
        inner.eject(now, Cause::Failures, times)
    }

    /// Records the result of a check: nothing, or why the host failed. Returns whether the host is
    /// failing from now on, if that changes.
    pub(super) fn checked(
        &self,
        now: Instant,
        failure: Option<String>,
        thresholds: &HealthCheck,
    ) -> Option<bool> {
        let mut inner = self.lock();
        let failed = failure.is_some();
        match failed {
            true => inner.checks.failed += 1,
            false => {
                inner.checks.passed += 1;
                inner.ejection.worked(now);
            }
        }
        let checks = &mut inner.checks;
        checks.last = Some((now, failure));
        if failed == checks.failing {
            checks.contrary = 0;
            return None;
        }
        checks.contrary = checks.contrary.saturating_add(1);
        let enough = match failed {
            true => thresholds.unhealthy,
            false => thresholds.healthy,
        };
        if checks.contrary < enough {
            return None;
        }
        checks.contrary = 0;
        checks.failing = failed;
        Some(failed)
    }

    /// The host is checked no more: it is as well as its requests say.
    pub(super) fn forget_checks(&self) {
        let mut inner = self.lock();
        let Checks { passed, failed, .. } = inner.checks;
        inner.checks = Checks {
            passed,
            failed,
            ..Checks::default()
        };
    }

    /// When the next check is due; at the start none is.
    pub(super) fn check_due(&self) -> Option<Instant> {
        self.lock().checks.due
    }

    /// Sets when the next check is due.
    pub(super) fn set_check_due(&self, due: Instant) {
        self.lock().checks.due = Some(due);
    }

    pub(super) fn status(&self, now: Instant) -> HostStatus {
        let inner = self.lock();
        HostStatus {
            route: Arc::clone(&self.route),
            host: self.host.to_string(),
            condition: inner.condition(now),
            ejected_for: inner.ejection.until(now).map(|until| until - now),
            ejections: inner.ejections,
            checks_passed: inner.checks.passed,
            checks_failed: inner.checks.failed,
            last_check: (inner.checks.last.as_ref()).map(|(at, why)| (now - *at, why.clone())),
            requests: self.requests.load(Ordering::Relaxed),
            refused: inner.refused,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn condition(&self, now: Instant) -> HostCondition {
        match self.ejection.until(now) {
            Some(_) => HostCondition::Ejected,
            None if self.checks.failing => HostCondition::FailingChecks,
            None => HostCondition::InService,
        }
    }

    fn eject(&mut self, now: Instant, cause: Cause, times: &Outlier) -> Option<Duration> {
        let length = self.ejection.begin(now, cause, times)?;
        self.failures = 0;
        self.ejections += 1;
        Some(length)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use http::uri::PathAndQuery;

    use super::*;

    fn host() -> Arc<HostState> {
        let host = Authority::from_static("a.example");
        Arc::new(HostState::new("1".into(), host))
    }

    #[test]
    fn a_host_has_so_many_requests_at_a_time_and_no_more() {
        let host = host();
        let first = host.begin(Some(2));
        let second = host.begin(Some(2));
        assert!(first.is_some() && second.is_some());
        assert!(host.begin(Some(2)).is_none());
        let status = host.status(Instant::now());
        assert_eq!((status.requests, status.refused), (2, 1));
        drop(first);
        assert!(host.begin(Some(2)).is_some());
        assert!(host.begin(None).is_some());
        drop(second);
        assert_eq!(host.status(Instant::now()).requests, 0);
    }

    #[test]
    fn failures_in_a_row_eject_unless_no_other_host_is_left() {
        let (host, now, times) = (host(), Instant::now(), Outlier::default());
        for _ in 0..4 {
            assert_eq!(host.failed(now, &times, false), None);
        }
        host.worked(now);
        for _ in 0..4 {
            assert_eq!(host.failed(now, &times, false), None);
        }
        assert_eq!(host.failed(now, &times, true), None);
        assert!(host.is_in_service(now));
        assert_eq!(host.failed(now, &times, false), Some(times.base));
        // In the reply to an earlier request.
        host.worked(now);
        let status = host.status(now);
        assert_eq!(status.condition, HostCondition::Ejected);
        assert_eq!(
            (status.ejections, status.ejected_for),
            (1, Some(times.base))
        );
        assert!(host.is_in_service(now + times.base));
    }

    #[test]
    fn checks_in_a_row_decide() {
        let (host, now) = (host(), Instant::now());
        let check = HealthCheck::new(PathAndQuery::from_static("/"));
        let failed = || host.checked(now, Some("status 500".to_owned()), &check);
        let passed = || host.checked(now, None, &check);
        assert_eq!([failed(), failed()], [None, None]);
        assert_eq!(passed(), None);
        assert_eq!([failed(), failed(), failed()], [None, None, Some(true)]);
        assert_eq!(host.status(now).condition, HostCondition::FailingChecks);
        // Requests that it answers do not count.
        host.worked(now);
        assert!(!host.is_in_service(now));
        assert_eq!([passed(), failed()], [None, None]);
        assert_eq!([passed(), passed()], [None, Some(false)]);
        assert!(host.is_in_service(now));
        let status = host.status(now);
        assert_eq!((status.checks_passed, status.checks_failed), (4, 6));
        assert_eq!(status.last_check, Some((Duration::ZERO, None)));
        let _ = [failed(), failed(), failed()];
        host.forget_checks();
        assert!(host.is_in_service(now));
    }

    #[test]
    fn a_passed_check_ends_the_ejection_of_a_host_that_could_not_be_connected_to() {
        let (host, now) = (host(), Instant::now());
        let check = HealthCheck::new(PathAndQuery::from_static("/"));
        let times = Outlier::default();
        assert_eq!(host.not_connected(now, &times), Some(times.base));
        host.checked(now, None, &check);
        assert!(host.is_in_service(now));
    }
}
