//! Pauses that grow with the failures of a source.

use std::hash::Hash;
use std::time::Duration;

use super::{Idle, SweptMap};
use crate::random::Keyed;
use crate::time::Instant;

/// Failures of each source. The first `FREE` failures have no pause; each further one doubles a
/// pause during which the source is ignored. `LONGEST` without a failure removes one failure.
///
/// A source that fails as often as possible fails `FREE` times at once, about nine times within the
/// next ten minutes, and from then on once in `LONGEST`.
#[derive(Debug)]
pub struct Backoff<K> {
    failures: SweptMap<K, Failures>,
    /// Failures of a source without a pause.
    free: u32,
    /// Until this time there may be sources whose failures are not counted.
    uncounted_until: Instant,
}

/// The failures of one source.
#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    /// The failures that time has not removed.
    fn left(self, now: Instant) -> u32 {
        let forgiven = now.since(self.last).as_secs() / LONGEST.as_secs();
        let forgiven = u32::try_from(forgiven).unwrap_or(u32::MAX);
        self.count.saturating_sub(forgiven)
    }

    /// The end of the pause after the last failure.
    fn paused_until(self, free: u32) -> Instant {
        match self.count.checked_sub(free + 1) {
            None => self.last,
            Some(doubled) => self.last + (FIRST * (1 << doubled.min(MOST_DOUBLED))).min(LONGEST),
        }
    }
}

impl Idle for Failures {
    fn is_idle(&self, now: Instant, _: bool) -> bool {
        self.left(now) == 0
    }
}

impl<K: Eq + Hash> Backoff<K> {
    /// An empty table.
    #[must_use]
    pub const fn new(hasher: Keyed) -> Self {
        Self::with_free(FREE, hasher)
    }

    /// An empty table, with `free` failures of each source without a pause.
    #[must_use]
    pub const fn with_free(free: u32, hasher: Keyed) -> Self {
        Self {
            failures: SweptMap::new(hasher),
            free,
            uncounted_until: Instant::ZERO,
        }
    }

    /// Whether a source is in a pause.
    #[must_use]
    pub fn is_paused(&self, now: Instant, source: &K) -> bool {
        let failures = self.failures.get(source);
        failures.is_some_and(|failures| now < failures.paused_until(self.free))
    }

    /// Whether a source would be in a pause if so many more attempts of it fail, which are under
    /// way. While none is under way, a source outside of a pause may try.
    #[must_use]
    pub fn would_be_paused(&self, now: Instant, source: &K, under_way: u32) -> bool {
        let failures = self.failures.get(source);
        let failed = failures.map_or(0, |failures| failures.left(now));
        self.is_paused(now, source) || under_way > 0 && failed + under_way > self.free
    }

    /// Whether a failure of the source is surely counted.
    #[must_use]
    pub fn is_counted(&self, now: Instant, source: &K) -> bool {
        now >= self.uncounted_until || self.failures.get(source).is_some()
    }

    /// A source failed. At most `max` sources are watched; the failures of more are not counted.
    pub fn fail(&mut self, now: Instant, source: K, max: usize) {
        let new = || Failures {
            count: 0,
            last: now,
        };
        if let Some(failures) = self.failures.entry(now, source, max, new) {
            failures.count = failures.left(now).min(self.free + MOST_DOUBLED) + 1;
            failures.last = now;
        } else {
            self.uncounted_until = now + UNCOUNTED;
        }
    }
}

/// Failures without a pause.
const FREE: u32 = 8;
/// The pause after the first failure that is not free.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause, and the time without failures that removes one failure.
const LONGEST: Duration = Duration::from_secs(300);
/// Doublings after which a pause is surely `LONGEST`.
const MOST_DOUBLED: u32 = 9;
/// The time after an uncounted failure during which all sources without an entry count as
/// uncounted.
const UNCOUNTED: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    /// Failures of a source that tries ten times a second, in so many seconds.
    fn failures_in(seconds: u64) -> u32 {
        let mut backoff = Backoff::new(Random::new(1).hasher());
        let mut failures = 0;
        for tenth in 0..seconds * 10 {
            let now = Instant::ZERO + Duration::from_millis(100 * tenth);
            if !backoff.is_paused(now, &1) {
                backoff.fail(now, 1, 10);
                failures += 1;
            }
        }
        failures
    }

    #[test]
    fn a_source_that_only_fails_fails_once_in_five_minutes_in_the_end() {
        assert_eq!(failures_in(1), FREE + 1);
        assert_eq!(failures_in(600), 18);
        assert_eq!(failures_in(24 * 3_600) - failures_in(23 * 3_600), 12);
    }

    #[test]
    fn attempts_under_way_count_as_failures() {
        let mut backoff = Backoff::new(Random::new(1).hasher());
        assert!(!backoff.would_be_paused(at(0), &1, FREE));
        assert!(backoff.would_be_paused(at(0), &1, FREE + 1));
        for _ in 0..=FREE {
            backoff.fail(at(0), 1, 10);
        }
        assert!(backoff.would_be_paused(at(0), &1, 0));
        assert!(!backoff.would_be_paused(at(1), &1, 0));
        assert!(backoff.would_be_paused(at(1), &1, 1));
    }

    #[test]
    fn time_makes_up_for_failures_one_after_the_other() {
        let mut backoff = Backoff::new(Random::new(1).hasher());
        for _ in 0..FREE {
            backoff.fail(at(0), 1, 10);
        }
        assert!(!backoff.is_paused(at(0), &1));
        backoff.fail(at(0), 1, 10);
        assert!(backoff.is_paused(at(0), &1));
        assert!(!backoff.is_paused(at(0), &2));
        assert!(!backoff.is_paused(at(1), &1));
        backoff.fail(at(300), 1, 10);
        assert!(
            backoff.is_paused(at(300), &1),
            "one was made up for, one came"
        );
        backoff.fail(at(3_000), 1, 10);
        assert!(!backoff.is_paused(at(3_000), &1));
    }
}
