//! The figures of the last two hours, which the page shows when it is opened.
//!
//! The thread `metrics` takes a sample of all counters once a second. The last two minutes are kept
//! by the second, the last two hours by ten seconds, the counts of problems and the figures of the
//! busiest routes by the minute. The memory, 160 KiB at most, is allocated at the start and never
//! grows. A restart begins anew.
//!
//! `series.rs` lists the figures, `routes.rs` has those of routes, `latency.rs` computes quantiles, `http.rs` answers `/history`.

mod http;
mod latency;
mod ring;
mod routes;
mod series;

pub(super) use http::router;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::latency::Durations;
use self::ring::Ring;
use self::routes::RouteHistory;
use self::series::{Latencies, Point, Reading};
use super::snapshot::Snapshot;
use crate::gateway::ProblemCounts;
use crate::server::clock::Clock;
use crate::server::{Measurement, MeasurementBatch};
use crate::time::Instant;

/// The history of this process. Clones share it.
#[derive(Clone)]
pub(super) struct SharedHistory {
    clock: Clock,
    /// The start of the process, since 1970.
    started: Duration,
    history: Arc<Mutex<History>>,
}

impl SharedHistory {
    /// A history that begins now.
    pub(super) fn start() -> Self {
        let clock = Clock::start();
        Self {
            clock,
            started: Duration::from_micros(clock.wall()),
            history: Arc::new(Mutex::new(History::new())),
        }
    }

    /// Takes in the durations of exchanges that ended.
    pub(super) fn observe(&self, batch: &MeasurementBatch) {
        let mut history = self.lock();
        batch
            .measurements
            .iter()
            .for_each(|one| history.observe(one));
    }

    /// Takes a sample. Called once a second.
    pub(super) fn sample(&self, snapshot: &Snapshot) {
        self.lock().sample(self.clock.now(), snapshot);
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The samples. Its caller gives the time.
#[derive(Debug)]
struct History {
    kept: Kept,
    /// Readings of the last ten seconds, for rates.
    recent: Ring<Reading>,
    latencies: Latencies,
}

/// The samples that are kept and shown.
#[derive(Clone, Debug)]
struct Kept {
    /// One point a second: rates over three seconds, as the page computes them.
    seconds: Ring<Point>,
    /// One point in ten seconds: rates over ten seconds.
    tens: Ring<Point>,
    /// Problems since the start of the process, once a minute.
    problems: Ring<(Instant, ProblemCounts)>,
    /// Once a minute, too.
    routes: RouteHistory,
}

impl History {
    fn new() -> Self {
        Self {
            kept: Kept {
                seconds: Ring::with_room(120),
                tens: Ring::with_room(720),
                // One more than the minutes of two hours: growth has two ends.
                problems: Ring::with_room(121),
                routes: RouteHistory::new(),
            },
            recent: Ring::with_room(11),
            latencies: Latencies {
                whole: Durations::new(),
                upstream: Durations::new(),
            },
        }
    }

    /// Takes in the durations of an exchange that ended.
    fn observe(&mut self, measurement: &Measurement) {
        self.latencies.whole.observe(measurement.duration);
        if let Some(upstream) = measurement.upstream {
            self.latencies.upstream.observe(upstream);
        }
    }

    /// Takes a sample. Called once a second; after a pause the rates are unknown.
    fn sample(&mut self, now: Instant, snapshot: &Snapshot) {
        let reading = Reading::new(now, snapshot);
        self.latencies.whole.sample(now);
        self.latencies.upstream.sample(now);
        let point = |over| Point::new(&reading, self.before(now, over), &self.latencies);
        let (second, ten) = (point(SHORT), point(TEN));
        self.kept.seconds.push(second);
        if is_due(now, TEN, self.kept.tens.newest().map(|last| last.at)) {
            self.kept.tens.push(ten);
        }
        if is_due(now, MINUTE, self.kept.problems.newest().map(|last| last.0)) {
            self.kept.problems.push((now, snapshot.stats.problems));
            self.kept.routes.sample(now, snapshot);
        }
        self.recent.push(reading);
    }

    /// The oldest reading that is not older than this.
    fn before(&self, now: Instant, age: Duration) -> Option<&Reading> {
        let in_time = |reading: &&Reading| now.since(reading.at) <= age + SLACK;
        self.recent.iter().find(in_time)
    }
}

/// Whether a new interval of this length has begun since the last time.
fn is_due(now: Instant, interval: Duration, last: Option<Instant>) -> bool {
    let number = |at: Instant| u128::from(at.as_micros()) / interval.as_micros();
    last.is_none_or(|last| number(now) > number(last))
}

const SHORT: Duration = Duration::from_secs(3);
const TEN: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);
/// A sample may come late by this.
const SLACK: Duration = Duration::from_millis(500);
/// Octets of all samples, at most.
#[cfg(test)]
const MEMORY: usize = 160 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::history::series::SERIES;

    /// A snapshot with this number of exchanges and of sessions.
    fn counted(exchanges: u64, sessions: u64) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.stats.acknowledged = exchanges;
        snapshot.stats.sessions = sessions;
        snapshot
    }

    const fn second(number: u64) -> Instant {
        Instant::from_micros(number * 1_000_000)
    }

    /// The values of one figure; `None` where it is unknown.
    fn values(ring: &Ring<Point>, name: &str) -> Vec<Option<f32>> {
        let place = SERIES.iter().position(|series| series.name == name);
        ring.iter()
            .map(|point| point.values[place.unwrap()])
            .map(|value| (!value.is_nan()).then_some(value))
            .collect()
    }

    fn seconds(ring: &Ring<Point>) -> Vec<u64> {
        ring.iter()
            .map(|point| point.at.as_micros() / 1_000_000)
            .collect()
    }

    #[test]
    fn two_hours_are_kept_in_memory_that_never_grows() {
        let mut history = History::new();
        let octets = |history: &History| {
            let kept = &history.kept;
            let rings = kept.seconds.octets() + kept.tens.octets() + kept.problems.octets();
            rings + kept.routes.minutes.octets()
        };
        let at_first = octets(&history);
        for at in 0..3 * 3600 {
            history.sample(second(at), &counted(at * 5, at));
        }
        assert_eq!(octets(&history), at_first);
        assert!(at_first <= MEMORY, "{at_first}");
        let kept = &history.kept;
        let all = seconds(&kept.seconds);
        assert_eq!((all.len(), all[0], all[119]), (120, 10_680, 10_799));
        let all = seconds(&kept.tens);
        assert_eq!((all.len(), all[0], all[719]), (720, 3_600, 10_790));
        assert_eq!(kept.problems.iter().count(), 121);
        for (ring, name, value) in [
            (&kept.seconds, "exchanges", Some(5.0)),
            (&kept.tens, "exchanges", Some(5.0)),
            (&kept.seconds, "p50", None),
        ] {
            let found = values(ring, name);
            assert!(found.iter().all(|found| *found == value), "{found:?}");
        }
        assert_eq!(values(&kept.tens, "sessions")[719], Some(10_790.0));
    }

    #[test]
    fn a_rate_is_the_growth_over_its_window() {
        let mut history = History::new();
        // 30 exchanges end at once, in the sixth second.
        for at in 0..=20 {
            history.sample(second(at), &counted(if at < 6 { 0 } else { 30 }, 0));
        }
        let found = values(&history.kept.seconds, "exchanges");
        let short = |at: usize| found[at];
        assert_eq!(short(0), None, "one reading has no growth");
        assert_eq!(
            (short(5), short(6), short(8)),
            (Some(0.0), Some(10.0), Some(10.0))
        );
        assert_eq!(short(9), Some(0.0));
        let found = values(&history.kept.tens, "exchanges");
        assert_eq!(found, [None, Some(3.0), Some(0.0)]);
    }

    #[test]
    fn a_pause_and_a_counter_that_went_back_leave_a_gap() {
        let mut history = History::new();
        for at in (0..5).chain(45..50) {
            history.sample(second(at), &counted(at, 1));
        }
        let found = values(&history.kept.seconds, "exchanges");
        assert_eq!(found[4..7], [Some(1.0), None, Some(1.0)]);
        assert_eq!(values(&history.kept.seconds, "sessions")[5], Some(1.0));
        history.sample(second(50), &counted(0, 1));
        assert_eq!(values(&history.kept.seconds, "exchanges").pop(), Some(None));
    }

    #[test]
    fn latencies_are_those_that_were_observed() {
        let mut history = History::new();
        let measurement = Measurement {
            duration: Duration::from_millis(300),
            upstream: Some(Duration::from_millis(200)),
            ..Measurement::default()
        };
        history.observe(&measurement);
        history.sample(second(1), &Snapshot::default());
        let of = |name| values(&history.kept.seconds, name);
        assert_eq!(of("p50"), [Some(0.375)]);
        assert_eq!(of("upstream"), [Some(0.175)]);
    }
}
