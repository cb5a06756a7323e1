//! One host of one route, as all shards of the process see it.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::uri::Authority;
use tokio::time::Instant;

use super::balance::{Choice, WHOLE, weight_after};
use super::ejection::{Cause, Ejection};
use crate::route::{HealthCheck, Outlier};

/// The state of a host. Requests touch it when they begin and when they end.
#[derive(Debug)]
pub(super) struct HostState {
    route: Arc<str>,
    host: Authority,
    /// Names it among the hosts of the process.
    number: u32,
    /// Requests under way.
    requests: AtomicU32,
    /// A request tries the host after its ejection.
    trial: AtomicBool,
    /// Its turn in the round of its route, which changes under the lock of the route's group.
    turn: AtomicI64,
    outcomes: [AtomicU64; Outcome::ALL.len()],
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    weight: u32,
    slow_start: Duration,
    /// Since when the host is back, after an ejection or failed checks.
    back: Option<Instant>,
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

/// The request that tries a host after its ejection, until it is dropped.
#[derive(Debug)]
pub(super) struct Trial(Arc<HostState>);

/// Another request tries the host already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TrialTaken;

/// How a request to a host ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a status below 500.
    Answered,
    /// With a status of 500 and above.
    ServerError,
    /// Without a connection, or without a whole reply.
    Failed,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Answered, Self::ServerError, Self::Failed];

    /// The stable name in documents and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::ServerError => "server_error",
            Self::Failed => "failed",
        }
    }
}

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
    /// Requests that ended, by [`Outcome::ALL`].
    pub outcomes: [u64; Outcome::ALL.len()],
    /// Its configured weight.
    pub weight: u32,
    /// Its weight at the moment, in thousandths.
    pub weight_now: u32,
}

/// Whether a host is tried in its turn, or last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostCondition {
    /// In its turn.
    InService,
    /// In its turn, with a weight that grows since it is back.
    SlowStart,
    /// In its turn by one request at a time: its ejection has ended, and it has not worked since.
    OnTrial,
    /// Last, until its ejection ends.
    Ejected,
    /// Last, until it passes its checks.
    FailingChecks,
}

impl HostCondition {
    /// Every condition.
    pub const ALL: [Self; 5] = [
        Self::InService,
        Self::SlowStart,
        Self::OnTrial,
        Self::Ejected,
        Self::FailingChecks,
    ];

    /// Whether the host is tried in its turn, if only by one request at a time.
    #[must_use]
    pub const fn is_in_service(self) -> bool {
        match self {
            Self::InService | Self::SlowStart | Self::OnTrial => true,
            Self::Ejected | Self::FailingChecks => false,
        }
    }

    /// The stable name in documents and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::InService => "in_service",
            Self::SlowStart => "slow_start",
            Self::OnTrial => "on_trial",
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
            outcomes: [0; Outcome::ALL.len()],
            weight: 1,
            weight_now: WHOLE,
        }
    }

    /// Requests that ended so.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> u64 {
        let counts = Outcome::ALL.into_iter().zip(self.outcomes);
        counts
            .filter(|(other, _)| *other == outcome)
            .map(|(_, count)| count)
            .sum()
    }
}

impl HostState {
    /// A host in service, which has its `number` for itself.
    pub(super) fn new(route: Arc<str>, host: Authority, number: u32) -> Self {
        Self {
            route,
            host,
            number,
            requests: AtomicU32::new(0),
            trial: AtomicBool::new(false),
            turn: AtomicI64::new(0),
            outcomes: Default::default(),
            inner: Mutex::new(Inner {
                weight: 1,
                slow_start: Duration::ZERO,
                back: None,
                ejection: Ejection::default(),
                ejections: 0,
                failures: 0,
                refused: 0,
                checks: Checks::default(),
            }),
        }
    }

    /// Sets its weight in the balance of its route, and the time in which that grows once the host
    /// is back.
    pub(super) fn set_weight(&self, weight: u32, slow_start: Duration) {
        let mut inner = self.lock();
        (inner.weight, inner.slow_start) = (weight, slow_start);
    }

    pub(super) const fn route(&self) -> &Arc<str> {
        &self.route
    }

    pub(super) const fn host(&self) -> &Authority {
        &self.host
    }

    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    /// What a choice among the hosts needs to know of it.
    pub(super) fn choice(&self, now: Instant) -> Choice {
        Choice {
            weight: self.lock().weight_now(now),
            under_way: self.requests.load(Ordering::Relaxed),
            turn: self.turn.load(Ordering::Relaxed),
        }
    }

    /// Sets its turn after a choice.
    pub(super) fn set_turn(&self, turn: i64) {
        self.turn.store(turn, Ordering::Relaxed);
    }

    /// Whether a request tries it after its ejection.
    pub(super) fn has_trial(&self) -> bool {
        self.trial.load(Ordering::Relaxed)
    }

    /// A request that comes to it in its turn begins. It is the trial if the host is on trial.
    ///
    /// # Errors
    ///
    /// [`TrialTaken`] while another request is.
    pub(super) fn try_in_turn(self: &Arc<Self>, now: Instant) -> Result<Option<Trial>, TrialTaken> {
        if self.condition(now) != HostCondition::OnTrial {
            return Ok(None);
        }
        match self.trial.swap(true, Ordering::Relaxed) {
            true => Err(TrialTaken),
            false => Ok(Some(Trial(Arc::clone(self)))),
        }
    }

    /// Counts a request that ended.
    pub(super) fn count(&self, outcome: Outcome) {
        let place = Outcome::ALL.iter().position(|other| *other == outcome);
        if let Some(count) = place.and_then(|place| self.outcomes.get(place)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
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

    /// Whether the host is tried in its turn, or last.
    pub(super) fn condition(&self, now: Instant) -> HostCondition {
        self.lock().condition(now)
    }

    /// A request was answered well.
    pub(super) fn worked(&self, now: Instant) {
        let mut inner = self.lock();
        inner.failures = 0;
        if inner.ejection.worked(now) {
            self.is_back(&mut inner, now);
        }
    }

    /// The weight grows from nothing, and the host begins the round like a new one.
    fn is_back(&self, inner: &mut Inner, now: Instant) {
        inner.back = Some(now);
        self.turn.store(0, Ordering::Relaxed);
    }

    /// The host could not be connected to. Returns the length of the ejection that begins.
    pub(super) fn not_connected(&self, now: Instant, times: &Outlier) -> Option<Duration> {
        self.lock().eject(now, Cause::Connect, times)
    }

    /// A request failed. Returns the length of the ejection that begins; on trial one failure is
    /// enough. Nothing is ejected while the host `is_last` in service of its route.
    pub(super) fn failed(&self, now: Instant, times: &Outlier, is_last: bool) -> Option<Duration> {
        let mut inner = self.lock();
        inner.failures = inner.failures.saturating_add(1);
        let is_enough = inner.failures >= times.consecutive || inner.ejection.is_on_trial(now);
        if !is_enough || is_last {
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
                if inner.ejection.connected(now) {
                    self.is_back(&mut inner, now);
                }
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
        if !failed {
            self.is_back(&mut inner, now);
        }
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
            outcomes: (self.outcomes.each_ref()).map(|count| count.load(Ordering::Relaxed)),
            weight: inner.weight,
            weight_now: inner.weight_now(now),
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
            None if self.ejection.is_on_trial(now) => HostCondition::OnTrial,
            None if self.back.is_some_and(|back| now < back + self.slow_start) => {
                HostCondition::SlowStart
            }
            None => HostCondition::InService,
        }
    }

    /// A host on trial has its whole weight: otherwise its trial would have to wait for long.
    fn weight_now(&self, now: Instant) -> u32 {
        let since = match self.condition(now) {
            HostCondition::SlowStart => self.back.map(|back| now - back),
            _ => None,
        };
        weight_after(self.weight, since, self.slow_start)
    }

    fn eject(&mut self, now: Instant, cause: Cause, times: &Outlier) -> Option<Duration> {
        let length = self.ejection.begin(now, cause, times)?;
        self.failures = 0;
        self.ejections += 1;
        Some(length)
    }
}

impl UnderWay {
    /// The host.
    pub(super) const fn host(&self) -> &Arc<HostState> {
        &self.0
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.0.trial.store(false, Ordering::Relaxed);
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
        Arc::new(HostState::new("1".into(), host, 0))
    }

    fn is_in_service(host: &HostState, now: Instant) -> bool {
        host.condition(now).is_in_service()
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
        assert!(is_in_service(&host, now));
        assert_eq!(host.failed(now, &times, false), Some(times.base));
        // In the reply to an earlier request.
        host.worked(now);
        let status = host.status(now);
        assert_eq!(status.condition, HostCondition::Ejected);
        assert_eq!(
            (status.ejections, status.ejected_for),
            (1, Some(times.base))
        );
        assert!(is_in_service(&host, now + times.base));
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
        assert!(!is_in_service(&host, now));
        assert_eq!([passed(), failed()], [None, None]);
        assert_eq!([passed(), passed()], [None, Some(false)]);
        assert!(is_in_service(&host, now));
        let status = host.status(now);
        assert_eq!((status.checks_passed, status.checks_failed), (4, 6));
        assert_eq!(status.last_check, Some((Duration::ZERO, None)));
        let _ = [failed(), failed(), failed()];
        host.forget_checks();
        assert!(is_in_service(&host, now));
    }

    #[test]
    fn a_passed_check_ends_the_ejection_of_a_host_that_could_not_be_connected_to() {
        let (host, now) = (host(), Instant::now());
        let check = HealthCheck::new(PathAndQuery::from_static("/"));
        let times = Outlier::default();
        assert_eq!(host.not_connected(now, &times), Some(times.base));
        host.checked(now, None, &check);
        assert!(is_in_service(&host, now));
    }

    #[test]
    fn after_its_ejection_one_request_at_a_time_tries_a_host_until_one_is_answered_well() {
        let (host, now, times) = (host(), Instant::now(), Outlier::default());
        assert_eq!(host.try_in_turn(now).unwrap().map(drop), None);
        host.not_connected(now, &times);
        let back = now + times.base;
        assert_eq!(host.condition(back), HostCondition::OnTrial);
        let trial = host.try_in_turn(back).unwrap();
        assert!(trial.is_some() && host.has_trial());
        assert!(host.try_in_turn(back).is_err());
        // It was given up, and says nothing of the host.
        drop(trial);
        let trial = host.try_in_turn(back).unwrap();
        assert!(trial.is_some());
        host.worked(back);
        assert!(host.try_in_turn(back).unwrap().is_none());
        drop(trial);
        assert_eq!(host.condition(back), HostCondition::InService);
    }

    #[test]
    fn one_failure_on_trial_ejects_again_and_a_passed_check_proves_no_request() {
        let (host, now, times) = (host(), Instant::now(), Outlier::default());
        for _ in 1..times.consecutive {
            assert_eq!(host.failed(now, &times, false), None);
        }
        assert_eq!(host.failed(now, &times, false), Some(times.base));
        let back = now + times.base;
        let check = HealthCheck::new(PathAndQuery::from_static("/"));
        host.checked(back, None, &check);
        assert_eq!(host.condition(back), HostCondition::OnTrial);
        assert_eq!(host.failed(back, &times, false), Some(times.base * 2));
        assert_eq!(host.condition(back), HostCondition::Ejected);
    }

    #[test]
    fn the_weight_of_a_host_grows_once_it_is_back_and_not_before() {
        let (host, now, times) = (host(), Instant::now(), Outlier::default());
        let slow_start = Duration::from_secs(30);
        host.set_weight(4, slow_start);
        let weight = |at| host.choice(at).weight;
        // At the start of the process every host has its whole weight.
        assert_eq!(weight(now), 4 * WHOLE);
        host.not_connected(now, &times);
        let tried = now + times.base;
        host.set_turn(7);
        assert_eq!(weight(tried), 4 * WHOLE);
        host.worked(tried);
        assert_eq!(host.choice(tried).turn, 0);
        assert_eq!(host.condition(tried), HostCondition::SlowStart);
        let seconds = |count| tried + Duration::from_secs(count);
        let weights: Vec<u32> = (0..=6).map(|five| weight(seconds(five * 5))).collect();
        assert_eq!(weights, [1, 666, 1333, 2000, 2666, 3333, 4000]);
        assert_eq!(host.condition(seconds(30)), HostCondition::InService);
        // Checks that it passes again do the same.
        let check = HealthCheck::new(PathAndQuery::from_static("/"));
        let later = seconds(100);
        for _ in 0..check.unhealthy {
            host.checked(later, Some("status 500".to_owned()), &check);
        }
        for _ in 0..check.healthy {
            host.checked(later, None, &check);
        }
        assert_eq!(host.status(later).condition, HostCondition::SlowStart);
        assert_eq!(host.status(later + slow_start / 2).weight_now, 2 * WHOLE);
    }
}
