//! An index from keys to slots, without copies of the keys.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Finds slots by the hash of their contents, with some five octets a slot.
///
/// The index has parts of some hundred slots. Growth splits one part in two, and shrinking joins
/// two (linear hashing), so that the most expensive insertion moves one part and not the table. The
/// hashes come from a keyed hasher, so a peer that chooses keys cannot choose the part.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    parts: Vec<HashTable<u32>>,
    len: usize,
}

impl Index {
    /// An empty index, without memory.
    #[must_use]
    pub(super) const fn new() -> Self {
        Self {
            parts: Vec::new(),
            len: 0,
        }
    }

    /// The number of slots in the index.
    #[must_use]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Whether the index is empty.
    #[must_use]
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slot of the key with this hash that `is_it` recognises.
    #[must_use]
    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let part = self.parts.get(part_of(hash, self.parts.len()))?;
        part.find(hash, |slot| is_it(*slot)).copied()
    }

    /// Adds a slot whose key has this hash and is not in the index. `rehash` gives the hash of the
    /// key in a slot.
    pub(super) fn insert(&mut self, hash: u64, slot: u32, rehash: impl Fn(u32) -> u64) {
        if self.len >= self.parts.len() * FULL {
            self.cut(&rehash);
        }
        let number = part_of(hash, self.parts.len());
        if let Some(part) = self.parts.get_mut(number) {
            part.insert_unique(hash, slot, |slot| rehash(*slot));
            self.len += 1;
        }
    }

    /// Removes the slot of the key with this hash that `is_it` recognises.
    pub(super) fn remove(
        &mut self,
        hash: u64,
        is_it: impl Fn(u32) -> bool,
        rehash: impl Fn(u32) -> u64,
    ) -> Option<u32> {
        let number = part_of(hash, self.parts.len());
        let part = self.parts.get_mut(number)?;
        let Entry::Occupied(entry) = part.entry(hash, |slot| is_it(*slot), |slot| rehash(*slot))
        else {
            return None;
        };
        let (slot, _) = entry.remove();
        self.len -= 1;
        if part.len() < part.capacity() / 8 && part.capacity() > FEW {
            part.shrink_to(part.len() * 2, |slot| rehash(*slot));
        }
        if self.len < self.parts.len().saturating_sub(1) * (FULL / 4) {
            self.join(&rehash);
        }
        Some(slot)
    }

    /// Adds a part: divides one in two.
    fn cut(&mut self, rehash: &impl Fn(u32) -> u64) {
        let count = self.parts.len();
        let mut new = HashTable::new();
        let from = parent_of(count);
        if let Some(part) = self.parts.get_mut(from).filter(|_| count > 0) {
            let moves = |slot: &u32| part_of(rehash(*slot), count + 1) == count;
            let moving: Vec<u32> = part.extract_if(|slot| moves(slot)).collect();
            for slot in moving {
                new.insert_unique(rehash(slot), slot, |slot| rehash(*slot));
            }
        }
        self.parts.push(new);
    }

    /// Removes the last part: joins it with the part that it was divided from.
    fn join(&mut self, rehash: &impl Fn(u32) -> u64) {
        let Some(last) = self.parts.pop() else {
            return;
        };
        let into = parent_of(self.parts.len());
        if let Some(part) = self.parts.get_mut(into) {
            for slot in last {
                part.insert_unique(rehash(slot), slot, |slot| rehash(*slot));
            }
        }
        if self.parts.len() < self.parts.capacity() / 4 {
            self.parts.shrink_to_fit();
        }
    }
}

/// The part of a hash among `count`. The bits differ from those that hashbrown uses within a part.
#[inline]
fn part_of(hash: u64, count: usize) -> usize {
    let bits = usize::try_from(hash >> 20 & 0xFFFF_FFFF).unwrap_or(0);
    let mask = count.next_power_of_two() - 1;
    let part = bits & mask;
    if part < count {
        part
    } else {
        bits & (mask >> 1)
    }
}

/// The part that the part `number` was divided from.
const fn parent_of(number: usize) -> usize {
    number - (number + 1).next_power_of_two() / 2
}

/// The average number of slots in a part at which one is divided.
const FULL: usize = 512;

/// Number of slots below which memory is not given back.
const FEW: usize = 64;

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;
    use crate::random::Random;

    #[test]
    fn an_index_equals_a_map_while_it_grows_and_shrinks() {
        let mut random = Random::new(11);
        let hasher = random.hasher();
        let hash = |slot: u32| hasher.hash_one(slot);
        let mut index = Index::new();
        for slot in 0..50_000 {
            assert_eq!(index.find(hash(slot), |other| other == slot), None);
            index.insert(hash(slot), slot, hash);
            let other = u32::try_from(random.below(u64::from(slot) + 1)).unwrap();
            assert_eq!(index.find(hash(other), |it| it == other), Some(other));
        }
        assert_eq!((index.len(), index.parts.len()), (50_000, 98));
        for slot in 0..50_000 {
            let left = u32::try_from(u64::from(slot) + random.below(50_000 - u64::from(slot)));
            let left = left.unwrap();
            assert_eq!(index.find(hash(left), |it| it == left), Some(left));
            let removed = index.remove(hash(slot), |it| it == slot, hash);
            assert_eq!(removed, Some(slot));
            assert_eq!(index.remove(hash(slot), |it| it == slot, hash), None);
        }
        assert!(index.is_empty());
        assert_eq!(index.parts.len(), 1);
        assert!(index.parts[0].capacity() <= FEW);
    }

    #[test]
    fn growing_moves_a_part_at_a_time() {
        let mut random = Random::new(12);
        let hasher = random.hasher();
        let mut index = Index::new();
        let moved = std::cell::Cell::new(0);
        for slot in 0..200_000u32 {
            moved.set(0);
            index.insert(hasher.hash_one(slot), slot, |slot| {
                moved.set(moved.get() + 1);
                hasher.hash_one(slot)
            });
            assert!(moved.get() < 8 * FULL, "{} at {slot}", moved.get());
        }
        let full = index.parts.iter().map(HashTable::len).max();
        assert!(full < Some(3 * FULL), "{full:?}");
    }

    #[test]
    fn a_part_comes_from_the_one_it_goes_back_to() {
        let hasher = Random::new(13).hasher();
        for count in 1..70 {
            for key in 0..1_000u32 {
                let hash = hasher.hash_one(key);
                let (before, after) = (part_of(hash, count), part_of(hash, count + 1));
                assert!(before < count);
                assert!(after == before || after == count && before == parent_of(count));
            }
        }
    }
}
