//! The amount that each key holds of a pool that all keys share.

use std::hash::{BuildHasher, Hash};

use hashbrown::HashTable;

/// Amounts by key, for limits per source. A key with amount 0 has no entry.
///
/// The key is stored as a digest of 64 bits under the secret of the hasher. Two keys with one
/// digest would share one amount; no peer can look for such a pair.
#[derive(Clone, Debug)]
pub struct Shares<S> {
    held: HashTable<Share>,
    hasher: S,
}

/// The amount of one key, under its digest.
#[derive(Clone, Copy, Debug)]
struct Share {
    digest: u64,
    amount: usize,
}

impl Share {
    const fn hash(&self) -> u64 {
        self.digest
    }
}

impl<S: BuildHasher> Shares<S> {
    /// No key holds anything.
    #[must_use]
    pub const fn new(hasher: S) -> Self {
        Self {
            held: HashTable::new(),
            hasher,
        }
    }

    /// The amount of a key.
    #[must_use]
    pub fn get(&self, key: impl Hash) -> usize {
        let digest = self.hasher.hash_one(key);
        let share = self.held.find(digest, |share| share.digest == digest);
        share.map_or(0, |share| share.amount)
    }

    /// Adds to the amount of a key.
    pub fn add(&mut self, key: impl Hash, amount: usize) {
        if amount > 0 {
            self.add_some(key, amount);
        }
    }

    /// A key holds one more. Returns its amount.
    pub fn add_one(&mut self, key: impl Hash) -> usize {
        self.add_some(key, 1)
    }

    fn add_some(&mut self, key: impl Hash, amount: usize) -> usize {
        let digest = self.hasher.hash_one(key);
        let share = self
            .held
            .entry(digest, |share| share.digest == digest, Share::hash);
        let share = share.or_insert(Share { digest, amount: 0 }).into_mut();
        share.amount = share.amount.saturating_add(amount);
        share.amount
    }

    /// Subtracts from the amount of a key.
    pub fn remove(&mut self, key: impl Hash, amount: usize) {
        let digest = self.hasher.hash_one(key);
        if let Ok(mut share) = self.held.find_entry(digest, |share| share.digest == digest) {
            let held = share.get().amount.saturating_sub(amount);
            share.get_mut().amount = held;
            if held == 0 {
                share.remove();
            }
        }
        let (len, room) = (self.held.len(), self.held.capacity());
        if room > 1_024 && len < room / 8 {
            self.held.shrink_to(2 * len, Share::hash);
        }
    }

    /// Keys that hold something.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether no key holds anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn a_key_holds_the_added_less_the_removed() {
        let mut shares = Shares::new(Random::new(1).hasher());
        shares.add("a", 1);
        assert_eq!(shares.add_one("a"), 2);
        shares.add("b", 1);
        shares.remove("a", 1);
        assert_eq!(
            (shares.get("a"), shares.get("b"), shares.get("c")),
            (1, 1, 0)
        );
        shares.remove("a", 5);
        assert_eq!((shares.get("a"), shares.len()), (0, 1));
    }

    #[test]
    fn memory_of_a_burst_is_given_back() {
        let mut shares = Shares::new(Random::new(1).hasher());
        for key in 0..10_000u32 {
            shares.add(key, 1);
        }
        for key in 0..10_000u32 {
            shares.remove(key, 1);
        }
        assert!(shares.is_empty());
        assert!(shares.held.capacity() <= 1_024);
    }
}
