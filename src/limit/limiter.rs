//! A rate for each source.

use std::hash::Hash;
use std::time::Duration;

use super::{Rate, SweptMap};
use crate::random::Keyed;
use crate::time::Instant;

/// The time at which the events of each source are worked off.
#[derive(Clone, Debug)]
pub struct RateLimiter<K> {
    due: SweptMap<K, Instant>,
}

/// The reason why an event of a source is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// The source exceeds its rate, and may try again after this time.
    Wait(Duration),
    /// The table is full of other sources with recent events.
    Full,
}

impl<K: Eq + Hash> RateLimiter<K> {
    /// An empty table.
    #[must_use]
    pub const fn new(hasher: Keyed) -> Self {
        Self {
            due: SweptMap::new(hasher),
        }
    }

    /// Takes one event of a source. At most `max` sources are watched.
    ///
    /// # Errors
    /// The source has to wait, or the table is full. No event is taken then.
    pub fn take(&mut self, now: Instant, source: K, rate: Rate, max: usize) -> Result<(), Limited> {
        let due = self.due.entry(now, source, max, || now);
        let due = due.ok_or(Limited::Full)?;
        *due = rate.take(now, *due, 1).map_err(Limited::Wait)?;
        Ok(())
    }

    /// Sources watched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.due.len()
    }

    /// Whether no source is watched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    /// Whether [`take`](Self::take) would succeed.
    #[must_use]
    pub fn may_take(&self, now: Instant, source: &K, rate: Rate, max: usize) -> bool {
        self.may_take_some(now, source, rate, max, 1)
    }

    /// The same for so many events at once.
    #[must_use]
    pub fn may_take_some(
        &self,
        now: Instant,
        source: &K,
        rate: Rate,
        max: usize,
        count: u32,
    ) -> bool {
        count <= rate.burst
            && match self.due.get(source) {
                Some(due) => rate.take(now, *due, count).is_ok(),
                None => self.due.len() < max,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn each_source_has_its_burst_and_its_rate() {
        let rate = Rate {
            per_second: 1,
            burst: 2,
        };
        let mut limiter = RateLimiter::new(Random::new(1).hasher());
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let mut take = |seconds, source: u32| limiter.take(at(seconds), source, rate, 2);
        assert_eq!([take(5, 1), take(5, 1)], [Ok(()), Ok(())]);
        assert_eq!(take(5, 1), Err(Limited::Wait(Duration::from_secs(1))));
        assert_eq!(take(5, 2), Ok(()));
        assert_eq!(take(5, 3), Err(Limited::Full));
        assert!(!limiter.may_take_some(at(5), &2, rate, 2, 2));
        assert!(!limiter.may_take_some(at(9), &2, rate, 2, 3));
        assert!(limiter.may_take_some(at(9), &2, rate, 2, 2));
        let mut take = |seconds, source: u32| limiter.take(at(seconds), source, rate, 2);
        // A second later the events of one of them are worked off.
        assert_eq!([take(6, 1), take(6, 3)], [Ok(()), Ok(())]);
    }
}
