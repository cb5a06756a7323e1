//! Transactions in slots, so that a handle finds its own without hashing and is never taken for a later one.

use super::indication::Handle;
use super::transaction::Transaction;

/// A slab with generations.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
    live: usize,
}

#[derive(Clone, Debug)]
struct Slot {
    generation: u32,
    transaction: Option<Transaction>,
}

impl Slots {
    /// Puts in what `make` makes of its handle.
    pub(super) fn insert(&mut self, make: impl FnOnce(Handle) -> Transaction) -> Handle {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                transaction: None,
            });
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let Some(entry) = self.slots.get_mut(slot as usize) else {
            return Handle::OVER;
        };
        let handle = Handle {
            slot,
            generation: entry.generation,
        };
        entry.transaction = Some(make(handle));
        self.live += 1;
        handle
    }

    pub(super) fn get(&self, handle: Handle) -> Option<&Transaction> {
        let slot = self.slots.get(handle.slot as usize)?;
        slot.transaction
            .as_ref()
            .filter(|_| slot.generation == handle.generation)
    }

    pub(super) fn get_mut(&mut self, handle: Handle) -> Option<&mut Transaction> {
        let slot = self.slots.get_mut(handle.slot as usize)?;
        let current = slot.generation == handle.generation;
        slot.transaction.as_mut().filter(|_| current)
    }

    /// Whichever transaction is in a slot.
    pub(super) fn at(&self, slot: usize) -> Option<&Transaction> {
        self.slots.get(slot)?.transaction.as_ref()
    }

    pub(super) fn remove(&mut self, handle: Handle) -> Option<Transaction> {
        let slot = self.slots.get_mut(handle.slot as usize)?;
        if slot.generation != handle.generation {
            return None;
        }
        let transaction = slot.transaction.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(handle.slot);
        self.live -= 1;
        Some(transaction)
    }

    /// Transactions held.
    pub(super) const fn len(&self) -> usize {
        self.live
    }

    /// All transactions, in the order of their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Transaction> {
        self.slots
            .iter()
            .filter_map(|slot| slot.transaction.as_ref())
    }
}
