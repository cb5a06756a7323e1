//! The generic cell rate algorithm.

use std::time::Duration;

use crate::time::Instant;

/// A rate: so many events a second in the long run, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run. At least 1.
    pub per_second: u32,
    /// At once. At least 1.
    pub burst: u32,
}

impl Rate {
    /// The share of each of `shards` shards.
    #[must_use]
    pub fn share(self, shards: usize) -> Self {
        let shards = u32::try_from(shards).unwrap_or(u32::MAX).max(1);
        Self {
            per_second: (self.per_second / shards).max(1),
            burst: (self.burst / shards).max(1),
        }
    }

    /// Takes `count` events now. `due` is the moment at which earlier events are worked off; the
    /// new one is returned.
    ///
    /// # Errors
    /// The time to wait, if the events are too many. Nothing is taken then.
    pub fn take(self, now: Instant, due: Instant, count: u32) -> Result<Instant, Duration> {
        let due = due.max(now) + self.worth(count);
        let tolerance = self.worth(self.burst.max(count));
        match due.since(now).checked_sub(tolerance) {
            Some(over) if !over.is_zero() => Err(over),
            _ => Ok(due),
        }
    }

    /// The time in which `count` events are worked off.
    fn worth(self, count: u32) -> Duration {
        let micros = u64::from(count) * 1_000_000 / u64::from(self.per_second.max(1));
        Duration::from_micros(micros)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_window_has_more_than_the_rate_and_the_burst(
            per_second in 1u32..50,
            burst in 1u32..50,
            pauses in proptest::collection::vec(0u64..200, 1..200),
        ) {
            let rate = Rate { per_second, burst };
            let (mut now, mut due, mut taken) = (0, Instant::ZERO, 0);
            for pause in pauses {
                now += pause;
                let at = Instant::ZERO + Duration::from_millis(now);
                if let Ok(later) = rate.take(at, due, 1) {
                    due = later;
                    taken += 1;
                }
                // A microsecond is lost with each division.
                let most = u64::from(burst) + now * u64::from(per_second) / 1_000 + 1;
                prop_assert!(taken <= most, "{taken} of {most}");
            }
        }
    }
}
