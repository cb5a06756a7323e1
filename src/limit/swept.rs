//! A bounded table of the recent use of sources. Idle sources are removed.

use std::hash::Hash;
use std::time::Duration;

use hashbrown::HashMap;

use crate::random::Keyed;
use crate::time::Instant;

/// The recent use of a source.
pub trait Idle {
    /// Whether this is the same as no use. `is_full`: other sources need the entry.
    fn is_idle(&self, now: Instant, is_full: bool) -> bool;
}

/// The moment at which events are worked off.
impl Idle for Instant {
    fn is_idle(&self, now: Instant, _: bool) -> bool {
        *self <= now
    }
}

/// Values by source. Idle ones are removed once a minute, and at most once a second while the table
/// is full, so that unknown sources cannot make every datagram expensive.
#[derive(Clone, Debug)]
pub struct SweptMap<K, V> {
    known: HashMap<K, V, Keyed>,
    swept: Instant,
}

impl<K: Eq + Hash, V: Idle> SweptMap<K, V> {
    /// An empty table.
    #[must_use]
    pub const fn new(hasher: Keyed) -> Self {
        Self {
            known: HashMap::with_hasher(hasher),
            swept: Instant::ZERO,
        }
    }

    /// The value of a source, made by `new` if the source is not known. `None` if `max` others are
    /// known and none is idle.
    pub fn entry(
        &mut self,
        now: Instant,
        key: K,
        max: usize,
        new: impl FnOnce() -> V,
    ) -> Option<&mut V> {
        if now.since(self.swept) >= SWEPT_EVERY {
            self.sweep(now, false);
        }
        if self.known.len() >= max && !self.known.contains_key(&key) {
            if now.since(self.swept) >= SWEPT_WHEN_FULL {
                self.sweep(now, true);
            }
            if self.known.len() >= max {
                return None;
            }
        }
        Some(self.known.entry(key).or_insert_with(new))
    }

    /// The value of a known source.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.known.get(key)
    }

    /// The value of a known source.
    #[must_use]
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.known.get_mut(key)
    }

    /// Sources known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether no source is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Removes idle sources, and frees their memory.
    fn sweep(&mut self, now: Instant, is_full: bool) {
        self.swept = now;
        self.known.retain(|_, value| !value.is_idle(now, is_full));
        if self.known.len() < self.known.capacity() / 4 {
            self.known.shrink_to(self.known.len() * 2);
        }
    }
}

const SWEPT_EVERY: Duration = Duration::from_secs(60);
const SWEPT_WHEN_FULL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_full_table_takes_no_more_until_a_source_is_idle() {
        let mut map = SweptMap::new(Random::new(1).hasher());
        for source in 0..2u32 {
            assert!(map.entry(at(5), source, 2, || at(9)).is_some());
        }
        assert!(map.entry(at(6), 2, 2, || at(9)).is_none());
        assert!(map.entry(at(6), 1, 2, || at(9)).is_some());
        assert!(map.entry(at(9), 2, 2, || at(10)).is_some());
        assert_eq!(map.len(), 1);
    }

    #[test]
    fn sources_that_came_once_are_forgotten() {
        let mut map = SweptMap::new(Random::new(1).hasher());
        for source in 0..5_000u32 {
            map.entry(at(1), source, 100_000, || at(2));
        }
        map.entry(at(61), 9_999, 100_000, || at(62));
        assert_eq!(map.len(), 1);
        assert!(map.known.capacity() < 100);
    }
}
