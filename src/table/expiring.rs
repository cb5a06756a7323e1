//! Values that expire: a bounded map that drops the oldest first.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash};

use hashbrown::HashMap;

/// Values by key, each with its expiry on the clock `T`. Later insertions have later expiries.
#[derive(Clone, Debug)]
pub struct ExpiringMap<K, V, T, S> {
    known: HashMap<K, (T, V), S>,
    /// Keys in the order of insertion. A key that was removed and inserted again is here twice.
    order: VecDeque<(T, K)>,
}

impl<K: Clone + Eq + Hash, V, T: Copy + Ord, S: BuildHasher> ExpiringMap<K, V, T, S> {
    /// An empty map.
    #[must_use]
    pub const fn new(hasher: S) -> Self {
        Self {
            known: HashMap::with_hasher(hasher),
            order: VecDeque::new(),
        }
    }

    /// Inserts a value until `until`. At most `most` values stay; the oldest are dropped. A key
    /// that is present gets the new value and keeps its expiry.
    pub fn insert(&mut self, until: T, key: K, value: V, most: usize) {
        if let Some((_, known)) = self.known.get_mut(&key) {
            *known = value;
            return;
        }
        if most == 0 {
            return;
        }
        while self.order.len() >= most {
            self.forget_first();
        }
        self.known.insert(key.clone(), (until, value));
        self.order.push_back((until, key));
    }

    /// The value of a key. It may have expired already.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.known.get(key).map(|(_, value)| value)
    }

    /// Takes a key out before its time.
    pub fn remove(&mut self, key: &K) {
        self.known.remove(key);
    }

    /// Drops all values.
    pub fn clear(&mut self) {
        self.known.clear();
        self.order.clear();
    }

    /// Drops the values whose expiry is not after `now`.
    pub fn expire(&mut self, now: T) {
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_first();
        }
    }

    /// Values that are kept. Some may have expired already.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether no value is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// All of it, the first first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.order.iter().filter_map(|(until, key)| {
            let (theirs, value) = self.known.get(key)?;
            (theirs == until).then_some((key, value))
        })
    }

    fn forget_first(&mut self) {
        if let Some((until, key)) = self.order.pop_front()
            && self.known.get(&key).is_some_and(|(its, _)| *its == until)
        {
            self.known.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Keyed, Random};

    type Words = ExpiringMap<u32, &'static str, u64, Keyed>;

    fn memory() -> Words {
        ExpiringMap::new(Random::new(1).hasher())
    }

    fn known(memory: &Words) -> Vec<(u32, &'static str)> {
        memory.iter().map(|(key, value)| (*key, *value)).collect()
    }

    #[test]
    fn the_first_is_forgotten_first_by_time_and_by_number() {
        let mut memory = memory();
        for (key, value) in [(1, "a"), (2, "b"), (3, "c")] {
            memory.insert(10 + u64::from(key), key, value, 2);
        }
        assert_eq!(known(&memory), [(2, "b"), (3, "c")]);
        memory.insert(99, 2, "d", 2);
        memory.expire(11);
        assert_eq!(known(&memory), [(2, "d"), (3, "c")]);
        memory.expire(12);
        assert_eq!(known(&memory), [(3, "c")]);
    }

    #[test]
    fn an_entry_that_is_renewed_has_its_full_time() {
        let mut memory = memory();
        memory.insert(10, 1, "a", 9);
        memory.remove(&1);
        memory.insert(20, 1, "b", 9);
        memory.expire(10);
        assert_eq!(memory.get(&1), Some(&"b"));
        assert_eq!((memory.len(), memory.is_empty()), (1, false));
        memory.expire(20);
        assert_eq!(memory.get(&1), None);
        assert_eq!((memory.len(), memory.is_empty()), (0, true));
        memory.insert(30, 2, "c", 9);
        memory.clear();
        assert_eq!((memory.len(), known(&memory)), (0, Vec::new()));
    }
}
