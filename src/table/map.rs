//! Values found by a key that is part of the value.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;

use super::{Index, Slab};

/// A value that contains its key of type `K`. It may contain several, of different types.
pub trait HasKey<K> {
    /// The key. It must not change while the value is in a table, except through [`Map::rekey`].
    fn key(&self) -> K;
}

/// An index from the keys of values in a [`Slab`] to their slots: five octets for each value.
///
/// A [`Map`] has one; a second key of the same values gets a `Lookup` of its own.
#[derive(Clone)]
pub struct Lookup<K, S> {
    index: Index,
    hasher: S,
    key: PhantomData<fn() -> K>,
}

impl<K: Eq + Hash, S: BuildHasher> Lookup<K, S> {
    /// An empty index. Peers choose keys, so the hasher has a secret of its own.
    #[must_use]
    pub const fn new(hasher: S) -> Self {
        Self {
            index: Index::new(),
            hasher,
            key: PhantomData,
        }
    }

    /// The slot of the value with this key.
    #[must_use]
    #[inline]
    pub fn find<V: HasKey<K>>(&self, slab: &Slab<V>, key: &K) -> Option<u32> {
        let matches = |slot| slab.get(slot).is_some_and(|value| value.key() == *key);
        self.index.find(self.hasher.hash_one(key), matches)
    }

    /// The slot of the value with this key that `matches` accepts: for keys that are digests.
    #[must_use]
    pub fn find_matching<V: HasKey<K>>(
        &self,
        slab: &Slab<V>,
        key: &K,
        matches: impl Fn(&V) -> bool,
    ) -> Option<u32> {
        let matches = |slot| {
            let value = slab.get(slot);
            value.is_some_and(|value| value.key() == *key && matches(value))
        };
        self.index.find(self.hasher.hash_one(key), matches)
    }

    /// Adds the value in a slot. Its key is not in the index yet.
    pub fn insert<V: HasKey<K>>(&mut self, slab: &Slab<V>, slot: u32) {
        let Some(value) = slab.get(slot) else {
            return;
        };
        let hash = self.hasher.hash_one(value.key());
        let rehash = rehash(slab, &self.hasher);
        self.index.insert(hash, slot, rehash);
    }

    /// Removes the value in a slot. Returns whether the slot was in the index.
    pub fn remove<V: HasKey<K>>(&mut self, slab: &Slab<V>, slot: u32) -> bool {
        let Some(value) = slab.get(slot) else {
            return false;
        };
        let hash = self.hasher.hash_one(value.key());
        let rehash = rehash(slab, &self.hasher);
        let removed = self.index.remove(hash, |other| other == slot, rehash);
        removed.is_some()
    }

    /// Values in the index.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no value is in the index.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.index.is_empty()
    }
}

impl<K, S> fmt::Debug for Lookup<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lookup").field(&self.index.len()).finish()
    }
}

fn rehash<K: Hash, V: HasKey<K>, S: BuildHasher>(
    slab: &Slab<V>,
    hasher: &S,
) -> impl Fn(u32) -> u64 {
    |slot| {
        let value = slab.get(slot);
        value.map_or(0, |value| hasher.hash_one(value.key()))
    }
}

/// Values in a [`Slab`], found by slot or by key.
///
/// A slot stays the same for as long as its value is in the map. Growing moves a part of the index
/// at a time and no value; shrinking gives memory back.
#[derive(Clone)]
pub struct Map<K, V, S> {
    slab: Slab<V>,
    lookup: Lookup<K, S>,
}

impl<K: Eq + Hash, V: HasKey<K>, S: BuildHasher> Map<K, V, S> {
    /// An empty map, which has no memory yet.
    #[must_use]
    pub const fn new(hasher: S) -> Self {
        Self {
            slab: Slab::new(),
            lookup: Lookup::new(hasher),
        }
    }

    /// Inserts a value whose key is not in the map, and returns its slot.
    pub fn insert(&mut self, value: V) -> u32 {
        self.insert_with(|_| value)
    }

    /// Inserts a value that knows its slot.
    pub fn insert_with(&mut self, make: impl FnOnce(u32) -> V) -> u32 {
        let slot = self.slab.insert_with(make);
        self.lookup.insert(&self.slab, slot);
        slot
    }

    /// Inserts a value unless the map holds `max` values: the value comes back then.
    ///
    /// # Errors
    /// The value, if there is no room for it.
    pub fn try_insert(&mut self, max: usize, value: V) -> Result<u32, V> {
        if self.len() >= max {
            return Err(value);
        }
        Ok(self.insert(value))
    }

    /// The slot of the value with this key.
    #[must_use]
    #[inline]
    pub fn find(&self, key: &K) -> Option<u32> {
        self.lookup.find(&self.slab, key)
    }

    /// The slot of the value with this key that `matches` accepts: for keys that are digests.
    #[must_use]
    pub fn find_matching(&self, key: &K, matches: impl Fn(&V) -> bool) -> Option<u32> {
        self.lookup.find_matching(&self.slab, key, matches)
    }

    /// The value in a slot.
    #[must_use]
    #[inline]
    pub fn get(&self, slot: u32) -> Option<&V> {
        self.slab.get(slot)
    }

    /// The value in a slot, for changes that leave its key alone.
    #[must_use]
    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut V> {
        self.slab.get_mut(slot)
    }

    /// Changes the value in a slot and its key with it. The new key is not in the map yet.
    pub fn rekey(&mut self, slot: u32, change: impl FnOnce(&mut V)) {
        self.lookup.remove(&self.slab, slot);
        if let Some(value) = self.slab.get_mut(slot) {
            change(value);
        }
        self.lookup.insert(&self.slab, slot);
    }

    /// Hides a value from [`find`](Self::find). It keeps its slot.
    pub fn hide(&mut self, slot: u32) {
        self.lookup.remove(&self.slab, slot);
    }

    /// Removes the value in a slot.
    pub fn remove(&mut self, slot: u32) -> Option<V> {
        self.lookup.remove(&self.slab, slot);
        self.slab.remove(slot)
    }

    /// Values in the map, hidden ones included.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether the map is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// A slot above all slots in use.
    #[must_use]
    pub fn end(&self) -> u32 {
        self.slab.end()
    }

    /// Slots and values in the order of the slots.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &V)> {
        self.slab.iter()
    }

    /// The slots, for a [`Queue`](super::Queue) or a second [`Lookup`].
    #[must_use]
    pub const fn slab(&self) -> &Slab<V> {
        &self.slab
    }

    /// The slots, for a [`Queue`](super::Queue). Keys must stay the same.
    #[must_use]
    pub const fn slab_mut(&mut self) -> &mut Slab<V> {
        &mut self.slab
    }
}

impl<K, V: fmt::Debug, S> fmt::Debug for Map<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.slab.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::random::{Keyed, Random};

    #[derive(Clone, Debug, PartialEq)]
    struct Value {
        key: u32,
        second: u64,
    }

    impl HasKey<u32> for Value {
        fn key(&self) -> u32 {
            self.key
        }
    }

    impl HasKey<u64> for Value {
        fn key(&self) -> u64 {
            self.second
        }
    }

    #[test]
    fn it_agrees_with_a_btree_map() {
        let mut random = Random::new(7);
        let mut map: Map<u32, Value, Keyed> = Map::new(random.hasher());
        let mut twin = BTreeMap::new();
        for _ in 0..20_000 {
            let key = u32::try_from(random.below(500)).unwrap();
            match (map.find(&key), random.below(3)) {
                (None, _) => {
                    assert!(!twin.contains_key(&key));
                    let slot = map.insert(Value { key, second: 0 });
                    twin.insert(key, slot);
                }
                (Some(slot), 0) => {
                    assert_eq!(twin.remove(&key), Some(slot));
                    assert_eq!(map.remove(slot).map(|value| value.key), Some(key));
                }
                (Some(slot), 1) if map.find(&(key + 1_000)).is_none() => {
                    map.rekey(slot, |value| value.key += 1_000);
                    assert_eq!(map.find(&key), None);
                    map.rekey(slot, |value| value.key -= 1_000);
                }
                (Some(slot), _) => assert_eq!(twin.get(&key), Some(&slot)),
            }
            assert_eq!(map.len(), twin.len());
        }
        for (key, slot) in twin {
            assert_eq!(map.get(slot).map(|value| value.key), Some(key));
        }
    }

    #[test]
    fn a_full_map_gives_the_value_back() {
        let mut map: Map<u32, Value, Keyed> = Map::new(Random::new(1).hasher());
        let value = |key| Value { key, second: 0 };
        assert!(map.try_insert(1, value(1)).is_ok());
        assert_eq!(map.try_insert(1, value(2)), Err(value(2)));
    }

    #[test]
    fn a_second_key_has_a_lookup_of_its_own() {
        let mut random = Random::new(1);
        let mut map: Map<u32, Value, Keyed> = Map::new(random.hasher());
        let mut second: Lookup<u64, Keyed> = Lookup::new(random.hasher());
        let slot = map.insert(Value { key: 1, second: 77 });
        assert_eq!(second.find(map.slab(), &77), None);
        second.insert(map.slab(), slot);
        assert_eq!(second.find(map.slab(), &77), Some(slot));
        assert!(second.remove(map.slab(), slot));
        assert!(!second.remove(map.slab(), slot));
        assert_eq!(map.find(&1), Some(slot));
        map.hide(slot);
        assert_eq!((map.find(&1), map.len()), (None, 1));
    }
}
