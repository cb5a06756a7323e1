//! Rates: the growth between two readings by the time between them.

use super::reading::{Reading, seconds, since_counted};

/// Two readings of one process, and the time between them.
pub(super) struct Rates<'a> {
    pub(super) then: Option<&'a Reading>,
    pub(super) now: &'a Reading,
    /// For counters of shards.
    pub(super) counted: Option<f64>,
    /// For values that are read at the request.
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
}

/// Whether the gateway restarted in between. In containers the PID is always the same.
pub(super) fn is_other_process(then: &Reading, now: &Reading) -> bool {
    let passed = seconds(now.at) - seconds(then.at);
    let uptimes = then.status.uptime_seconds.zip(now.status.uptime_seconds);
    let is_younger = uptimes.is_some_and(|(then, now)| now < then + passed - CLOCKS_DIFFER);
    now.status.pid != then.status.pid || is_younger
}

/// Seconds: uptimes have a resolution of one second, and their clock may be set.
const CLOCKS_DIFFER: f64 = 2.5;

/// The growth of a counter; `None` if it went back.
pub(super) fn grown(then: f64, now: f64) -> Option<f64> {
    (now >= then).then_some(now - then)
}

pub(super) fn rate(difference: Option<f64>, seconds: Option<f64>) -> Option<f64> {
    let (difference, seconds) = difference.zip(seconds)?;
    (seconds > 0.0).then(|| rounded(difference / seconds, 1e3))
}

/// No more digits than mean something.
pub(super) fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}
