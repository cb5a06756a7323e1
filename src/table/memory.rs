//! What is remembered for a while: bounded, the first forgotten first.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash};

use hashbrown::HashMap;

/// Values by key, each until a moment of the clock `T`; those remembered later are kept longer.
#[derive(Clone, Debug)]
pub struct Memory<K, V, T, S> {
    known: HashMap<K, (T, V), S>,
    /// In the order of being remembered. A key that was taken out, and remembered anew, stands here twice.
    order: VecDeque<(T, K)>,
}

impl<K: Clone + Eq + Hash, V, T: Copy + Ord, S: BuildHasher> Memory<K, V, T, S> {
    /// Nothing yet.
    #[must_use]
    pub const fn new(hasher: S) -> Self {
        Self {
            known: HashMap::with_hasher(hasher),
            order: VecDeque::new(),
        }
    }

    /// Remembers a value until then, and at most so many: the first are forgotten for it. What is known already gets
    /// the value, and keeps its time.
    pub fn remember(&mut self, until: T, key: K, value: V, most: usize) {
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

    /// What is remembered of a key. May tell what would have been forgotten by now.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.known.get(key).map(|(_, value)| value)
    }

    /// Takes a key out before its time.
    pub fn remove(&mut self, key: &K) {
        self.known.remove(key);
    }

    /// Forgets what was remembered until now or before.
    pub fn forget_expired(&mut self, now: T) {
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_first();
        }
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

    type Words = Memory<u32, &'static str, u64, Keyed>;

    fn memory() -> Words {
        Memory::new(Random::new(1).hasher())
    }

    fn known(memory: &Words) -> Vec<(u32, &'static str)> {
        memory.iter().map(|(key, value)| (*key, *value)).collect()
    }

    #[test]
    fn the_first_is_forgotten_first_by_time_and_by_number() {
        let mut memory = memory();
        for (key, value) in [(1, "a"), (2, "b"), (3, "c")] {
            memory.remember(10 + u64::from(key), key, value, 2);
        }
        assert_eq!(known(&memory), [(2, "b"), (3, "c")]);
        memory.remember(99, 2, "d", 2);
        memory.forget_expired(11);
        assert_eq!(known(&memory), [(2, "d"), (3, "c")]);
        memory.forget_expired(12);
        assert_eq!(known(&memory), [(3, "c")]);
    }

    #[test]
    fn what_is_remembered_anew_has_all_of_its_time() {
        let mut memory = memory();
        memory.remember(10, 1, "a", 9);
        memory.remove(&1);
        memory.remember(20, 1, "b", 9);
        memory.forget_expired(10);
        assert_eq!(memory.get(&1), Some(&"b"));
        memory.forget_expired(20);
        assert_eq!(memory.get(&1), None);
    }
}
