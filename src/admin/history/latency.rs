//! Quantiles of durations over the last ten seconds, from the buckets of the histograms.

use std::time::Duration;

use super::ring::Ring;
use crate::admin::metrics::SECONDS;
use crate::time::Instant;

/// The durations of the last ten seconds, counted by bucket.
#[derive(Debug)]
pub(super) struct Durations {
    /// Since the last sample.
    current: Counts,
    /// Of the samples before, with their times.
    earlier: Ring<(Instant, Counts)>,
}

/// Durations in each bucket of [`SECONDS`], and above the last bound.
type Counts = [u32; SECONDS.len() + 1];

impl Durations {
    pub(super) fn new() -> Self {
        Self {
            current: NONE,
            earlier: Ring::with_room(SAMPLES),
        }
    }

    /// Counts one duration.
    pub(super) fn observe(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = SECONDS.iter().position(|bound| seconds <= *bound);
        if let Some(count) = self.current.get_mut(bucket.unwrap_or(SECONDS.len())) {
            *count = count.saturating_add(1);
        }
    }

    /// Ends a sample; what is observed later belongs to the next.
    pub(super) fn sample(&mut self, now: Instant) {
        let counts = std::mem::replace(&mut self.current, NONE);
        self.earlier.push((now, counts));
    }

    /// The duration in seconds that this share of the exchanges took at most, interpolated in its
    /// bucket. `None` without an exchange. Above the last bound it is that bound.
    pub(super) fn quantile(&self, now: Instant, share: f64) -> Option<f64> {
        let recent = self
            .earlier
            .iter()
            .filter(|(at, _)| now.since(*at) < WINDOW);
        let mut counts = [0.0; SECONDS.len() + 1];
        for (_, more) in recent {
            for (count, more) in counts.iter_mut().zip(more) {
                *count += f64::from(*more);
            }
        }
        let wanted = share * counts.iter().sum::<f64>();
        let (mut floor, mut below) = (0.0, 0.0);
        for (bound, count) in SECONDS.iter().zip(counts) {
            if count > 0.0 && below + count >= wanted {
                return Some(floor + (bound - floor) * (wanted - below) / count);
            }
            (floor, below) = (*bound, below + count);
        }
        (wanted > 0.0).then_some(floor)
    }
}

const NONE: Counts = [0; SECONDS.len() + 1];
/// Samples of one second each, and the time that they span.
const SAMPLES: usize = 10;
const WINDOW: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const fn second(number: u64) -> Instant {
        Instant::from_micros(number * 1_000_000)
    }

    #[test]
    fn quantiles_are_those_of_the_last_ten_seconds() {
        let mut durations = Durations::new();
        assert_eq!(durations.quantile(second(0), 0.5), None);
        for _ in 0..100 {
            durations.observe(Duration::from_millis(300));
        }
        durations.sample(second(1));
        // All of them are in the bucket from 0.25 s to 0.5 s.
        assert_eq!(durations.quantile(second(1), 0.5), Some(0.375));
        for _ in 0..300 {
            durations.observe(Duration::from_secs(200));
        }
        durations.sample(second(2));
        assert_eq!(durations.quantile(second(2), 0.25), Some(0.5));
        assert_eq!(durations.quantile(second(2), 0.5), Some(120.0));
        // The first hundred are ten seconds old.
        assert_eq!(durations.quantile(second(11), 0.25), Some(120.0));
        // Also after a pause without samples.
        assert_eq!(durations.quantile(second(60), 0.5), None);
    }
}
