//! The load second by second.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::cli::bench::report::{latencies, millis};
use crate::time::Instant;

/// What ended in each second since the clock started, and how long the exchanges took.
pub(super) struct Timeline {
    start: Instant,
    seconds: Vec<Second>,
    /// Latencies of the second that is under way, and what failed in it.
    latency: Histogram<u64>,
    failed: u64,
}

/// One second of the load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Second {
    /// Exchanges that were answered in it.
    pub(super) done: u64,
    /// Exchanges that failed in it.
    pub(super) failed: u64,
    /// Exchanges under way at its end.
    pub(super) under_way: u64,
    /// Median latency of those answered.
    pub(super) p50_ms: f64,
    /// 99th percentile.
    pub(super) p99_ms: f64,
    /// The longest.
    pub(super) max_ms: f64,
}

impl Timeline {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            start,
            seconds: Vec::new(),
            latency: latencies(),
            failed: 0,
        }
    }

    /// An exchange was answered after so many microseconds.
    pub(super) fn done(&mut self, micros: u64) {
        self.latency.saturating_record(micros);
    }

    /// An exchange failed.
    pub(super) const fn failed(&mut self) {
        self.failed += 1;
    }

    /// Closes the seconds that are over at `now`. To be called before the exchanges that end at
    /// `now` are counted.
    pub(super) fn advance(&mut self, now: Instant, under_way: u64) {
        while now
            >= self.start + SECOND * (u32::try_from(self.seconds.len()).unwrap_or(u32::MAX) + 1)
            && self.seconds.len() < MOST
        {
            self.close(under_way);
        }
    }

    /// The whole seconds, and the last one if something ended in it.
    pub(super) fn finish(mut self, now: Instant, under_way: u64) -> Vec<Second> {
        self.advance(now, under_way);
        if self.failed > 0 || !self.latency.is_empty() {
            self.close(under_way);
        }
        self.seconds
    }

    /// The whole seconds so far.
    pub(super) fn seconds(&self) -> &[Second] {
        &self.seconds
    }

    fn close(&mut self, under_way: u64) {
        let at = |quantile| millis(self.latency.value_at_quantile(quantile) as f64);
        self.seconds.push(Second {
            done: self.latency.len(),
            failed: self.failed,
            under_way,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            max_ms: millis(self.latency.max() as f64),
        });
        self.latency.reset();
        self.failed = 0;
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// Twelve days; `--duration` and `--stages` allow no more.
const MOST: usize = 1_100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    #[test]
    fn each_second_has_its_own_figures() {
        let mut timeline = Timeline::new(ms(500));
        timeline.advance(ms(900), 3);
        timeline.done(2_000);
        timeline.done(4_000);
        timeline.failed();
        timeline.advance(ms(1_500), 7);
        timeline.done(90_000);
        // Nothing ended in the seconds between.
        timeline.advance(ms(4_499), 1);
        assert_eq!(timeline.seconds().len(), 3);
        timeline.done(1_000);
        let seconds = timeline.finish(ms(4_600), 0);
        let counts: Vec<_> = seconds
            .iter()
            .map(|second| (second.done, second.failed, second.under_way))
            .collect();
        assert_eq!(counts, [(2, 1, 7), (1, 0, 1), (0, 0, 1), (1, 0, 0)]);
        assert!((seconds[0].p50_ms - 2.0).abs() < 0.01, "{seconds:?}");
        assert!((seconds[1].max_ms - 90.0).abs() < 0.1, "{seconds:?}");
    }
}
