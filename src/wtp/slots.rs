//! Transactions in slots, so that a handle finds its own without hashing and is never taken for a
//! later one, and a PDU finds its own by peer and TID.

use super::indication::Handle;
use super::shared::Shared;
use super::transaction::Transaction;
use crate::random::{Keyed, Random};
use crate::table::{HasKey, Map};
use crate::wdp::Peer;

/// The transactions of one endpoint. Each has a number of its own, so that a later transaction in
/// the same place has another handle.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    transactions: Map<Key, Transaction, Keyed>,
    /// Transactions so far.
    generation: u32,
}

/// A peer, and a TID as the peer sends it, direction bit included.
type Key = (Peer, u16);

impl HasKey<Key> for Transaction {
    fn key(&self) -> Key {
        key(&self.shared)
    }
}

fn key(shared: &Shared) -> Key {
    (shared.peer, shared.send_tid ^ FROM_RESPONDER)
}

impl Slots {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            transactions: Map::new(Random::new(seed).hasher()),
            generation: 0,
        }
    }

    /// Inserts the transaction that `make` builds from its parts, with the handle in them. A second
    /// one with the same peer and TID is possible only where duplicates are not recognised: the
    /// newer one then gets the PDUs.
    pub(super) fn insert(
        &mut self,
        duplicates: bool,
        shared: Shared,
        make: impl FnOnce(Shared) -> Transaction,
    ) -> Handle {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        if duplicates && let Some(older) = self.transactions.find(&key(&shared)) {
            self.transactions.hide(older);
        }
        let slot = self.transactions.insert_with(|slot| {
            let handle = Handle { slot, generation };
            make(Shared { handle, ..shared })
        });
        Handle { slot, generation }
    }

    /// The transaction of a peer and a TID as the peer sends it, direction bit included.
    pub(super) fn find(&self, peer: Peer, tid: u16) -> Option<Handle> {
        let slot = self.transactions.find(&(peer, tid))?;
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
        self.get(handle)?;
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
}

/// The bit of a TID that marks PDUs of the responder.
pub(super) const FROM_RESPONDER: u16 = 0x8000;
