//! What has grown between two readings, by the time between them.

use super::figures::{Route, Shard, Target};
use super::reading::{self, Reading, float, seconds, since_counted};

/// Two readings of one process, and the time between them.
pub(super) struct Rates<'a> {
    pub(super) then: Option<&'a Reading>,
    pub(super) now: &'a Reading,
    /// For what shards count.
    pub(super) counted: Option<f64>,
    /// For what is looked up when we ask.
    passed: Option<f64>,
}

impl<'a> Rates<'a> {
    pub(super) fn new(then: Option<&'a Reading>, now: &'a Reading) -> Self {
        Self {
            then,
            now,
            counted: then.and_then(|then| since_counted(then, now)),
            passed: then.map(|then| seconds(now.at) - seconds(then.at)),
        }
    }

    pub(super) fn of(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        rate(self.difference(name, labels), self.counted)
    }

    pub(super) fn cpu(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        rate(self.difference(name, labels), self.passed)
    }

    fn difference(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let then = self.then?.metrics.sum(name, labels)?;
        grown(then, self.now.metrics.sum(name, labels)?)
    }

    pub(super) fn shards(&self) -> Vec<Shard> {
        let of = |(number, shard): (usize, &reading::Shard)| {
            let then = self.then.and_then(|then| {
                let counted = then.counted().nth(number)??;
                Some((then.status.shards.get(number)?, counted))
            });
            let passed = then
                .zip(self.now.counted().nth(number).flatten())
                .map(|((_, then), now)| now - then);
            let rate = |count: fn(&reading::Shard) -> u64| {
                let grown =
                    then.and_then(|(then, _)| grown(float(count(then)), float(count(shard))));
                rate(grown, passed)
            };
            Shard {
                shard: number,
                cpu: self.cpu(
                    "wapbridge_shard_cpu_seconds_total",
                    &[("shard", &number.to_string())],
                ),
                sessions: shard.sessions,
                transactions: shard.transactions,
                exchanges: shard.exchanges,
                datagrams_in_per_second: rate(|shard| shard.datagrams_in),
                datagrams_out_per_second: rate(|shard| shard.datagrams_out),
                heartbeat_age_seconds: shard.heartbeat_age_seconds.map(|age| rounded(age, 1e3)),
            }
        };
        self.now.status.shards.iter().enumerate().map(of).collect()
    }

    pub(super) fn targets(&self) -> Vec<Target> {
        let of = |target: &reading::Target| {
            let then = self.then.and_then(|then| {
                let mut targets = then.status.targets.iter();
                targets.find(|then| then.host == target.host)
            });
            let rate = |count: fn(&reading::Target) -> u64| {
                let grown = then.and_then(|then| grown(float(count(then)), float(count(target))));
                rate(grown, self.counted)
            };
            Target {
                host: target.host.clone(),
                condition: target.condition.clone(),
                answered_per_second: rate(|target| target.answered),
                failed_per_second: rate(|target| target.failed),
                answered: target.answered,
                failed: target.failed,
                last_failure: target.last_failure.clone(),
                last_failure_seconds: target.last_failure_seconds,
            }
        };
        self.now.status.targets.iter().map(of).collect()
    }

    pub(super) fn routes(&self) -> Vec<Route> {
        let of = |route: &reading::Route| {
            let then = self.then.and_then(|then| {
                let mut routes = then.status.routes.iter();
                routes.find(|then| then.name == route.name)
            });
            let exchanges =
                then.and_then(|then| grown(float(then.exchanges), float(route.exchanges)));
            let errors = then
                .and_then(|then| grown(float(then.upstream_errors), float(route.upstream_errors)));
            let waited = then.and_then(|then| grown(then.upstream_seconds, route.upstream_seconds));
            Route {
                name: route.name.clone(),
                exchanges_per_second: rate(exchanges, self.counted),
                upstream_errors_per_second: rate(errors, self.counted),
                upstream_mean_seconds: waited
                    .zip(exchanges)
                    .filter(|(_, exchanges)| *exchanges > 0.0)
                    .map(|(waited, exchanges)| rounded(waited / exchanges, 1e6)),
            }
        };
        self.now.status.routes.iter().map(of).collect()
    }
}

/// Whether the gateway was started anew in between. Containers all have the same PID.
pub(super) fn is_other_process(then: &Reading, now: &Reading) -> bool {
    let passed = seconds(now.at) - seconds(then.at);
    let uptimes = then.status.uptime_seconds.zip(now.status.uptime_seconds);
    let is_younger = uptimes.is_some_and(|(then, now)| now < then + passed - CLOCKS_DIFFER);
    now.status.pid != then.status.pid || is_younger
}

/// Seconds: uptimes are told to the second, by a clock that may be set.
const CLOCKS_DIFFER: f64 = 2.5;

/// How much a counter has grown; nothing if it went back.
pub(super) fn grown(then: f64, now: f64) -> Option<f64> {
    (now >= then).then_some(now - then)
}

fn rate(difference: Option<f64>, seconds: Option<f64>) -> Option<f64> {
    let (difference, seconds) = difference.zip(seconds)?;
    (seconds > 0.0).then(|| rounded(difference / seconds, 1e3))
}

/// No more digits than mean something.
pub(super) fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}
