//! Transactions in slots, so that a handle finds its own without hashing and is never taken for a later one, and a
//! PDU finds its own by peer and TID.

use std::hash::BuildHasher;

use super::indication::Handle;
use super::transaction::{Shared, Transaction};
use crate::random::{Keyed, Random};
use crate::table::{Index, Slab};
use crate::wdp::Peer;

/// The transactions of one endpoint. Each has a number of its own, so that who comes to a place is not taken for who
/// was there before.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    transactions: Slab<Transaction>,
    by_tid: Index,
    hasher: Keyed,
    /// Transactions so far.
    generation: u32,
}

impl Slots {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            transactions: Slab::new(),
            by_tid: Index::new(),
            hasher: Random::new(seed).hasher(),
            generation: 0,
        }
    }

    /// Puts in what `make` makes of its handle.
    pub(super) fn insert(&mut self, make: impl FnOnce(Handle) -> Transaction) -> Handle {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let slot = self
            .transactions
            .insert_with(|slot| make(Handle { slot, generation }));
        if let Some(key) = self.transactions.get(slot).map(key) {
            // There is one already only where duplicates are not to be recognised: the newer one hears of them.
            self.hide(key, None);
            let rehash = rehash(&self.transactions, self.hasher);
            self.by_tid.insert(self.hasher.hash_one(key), slot, rehash);
        }
        Handle { slot, generation }
    }

    /// The transaction of a peer and a TID as the peer sends it, direction bit included.
    pub(super) fn find(&self, peer: Peer, tid: u16) -> Option<Handle> {
        let wanted = (peer, tid);
        let is_it = |slot| self.at(slot).is_some_and(|it| key(it) == wanted);
        let slot = self.by_tid.find(self.hasher.hash_one(wanted), is_it)?;
        Some(self.at(slot)?.shared.handle)
    }

    pub(super) fn get(&self, handle: Handle) -> Option<&Transaction> {
        self.transactions
            .get(handle.slot)
            .filter(|transaction| transaction.shared.handle == handle)
    }

    pub(super) fn get_mut(&mut self, handle: Handle) -> Option<&mut Transaction> {
        self.transactions
            .get_mut(handle.slot)
            .filter(|transaction| transaction.shared.handle == handle)
    }

    /// Whichever transaction is in a slot.
    pub(super) fn at(&self, slot: u32) -> Option<&Transaction> {
        self.transactions.get(slot)
    }

    pub(super) fn remove(&mut self, handle: Handle) -> Option<Transaction> {
        let key = key(self.get(handle)?);
        self.hide(key, Some(handle.slot));
        self.transactions.remove(handle.slot)
    }

    /// Transactions held.
    pub(super) const fn len(&self) -> usize {
        self.transactions.len()
    }

    /// All transactions, in the order of their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Transaction> {
        self.transactions.iter().map(|(_, transaction)| transaction)
    }

    /// Lets no PDU find the transaction of this key: the one in a slot, or whichever there is.
    fn hide(&mut self, wanted: (Peer, u16), only: Option<u32>) {
        let (transactions, hasher) = (&self.transactions, self.hasher);
        let is_it = |slot| match only {
            Some(only) => slot == only,
            None => transactions.get(slot).is_some_and(|it| key(it) == wanted),
        };
        let rehash = rehash(transactions, hasher);
        self.by_tid.remove(hasher.hash_one(wanted), is_it, rehash);
    }
}

/// What finds a transaction.
fn key(transaction: &Transaction) -> (Peer, u16) {
    let Shared { peer, send_tid, .. } = transaction.shared;
    (peer, send_tid ^ FROM_RESPONDER)
}

/// The hash of what finds the transaction in a slot.
fn rehash(transactions: &Slab<Transaction>, hasher: Keyed) -> impl Fn(u32) -> u64 {
    move |slot| {
        let transaction = transactions.get(slot);
        transaction.map_or(0, |transaction| hasher.hash_one(key(transaction)))
    }
}

/// The bit of a TID that says it was sent by the responder.
pub(super) const FROM_RESPONDER: u16 = 0x8000;
