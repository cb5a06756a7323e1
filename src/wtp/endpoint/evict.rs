//! Eviction: a full pool drops incomplete transactions in favour of new ones.

use std::time::Duration;

use super::Endpoint;
use crate::wdp::Peer;
use crate::wtp::abort::{AbortReason, ProviderAbort};
use crate::wtp::indication::Handle;
use crate::wtp::pdu::Pdu;
use crate::wtp::shared::AckReceipt;
use crate::wtp::transaction::Side;

impl Endpoint {
    /// Notes a transaction that a peer has just begun, if it waits for more of its Invoke or for
    /// verification.
    pub(super) fn note_incomplete(&mut self, handle: Handle) {
        if self.incomplete.len() > 2 * self.slots.len() + 64 {
            let slots = &self.slots;
            self.incomplete
                .retain(|&handle| slots.get(handle).is_some());
        }
        if self.is_incomplete(handle).is_some() {
            self.incomplete.push_back(handle);
        }
    }

    /// Drops the oldest incomplete transaction whose initiator has not answered any PDU of ours,
    /// since its address may be forged. Returns whether there was one.
    pub(super) fn evict_incomplete(&mut self) -> bool {
        for _ in 0..EVICTION_SCAN {
            let Some(handle) = self.incomplete.pop_front() else {
                return false;
            };
            match self.is_incomplete(handle) {
                None => {}
                // Its initiator has answered. The transaction goes to the end of the queue.
                Some(AckReceipt::Yes) => self.incomplete.push_back(handle),
                Some(AckReceipt::NotYet { .. }) => {
                    self.give_up(handle);
                    return true;
                }
            }
        }
        false
    }

    /// Drops an incomplete transaction of a network or a region with more octets than this peer's
    /// would have, and more than one may have while others find no room; or one of another peer
    /// that has brought no new packet for long. Returns whether there was one.
    fn evict_of_others(&mut self, peer: Peer, wanted: usize) -> bool {
        let most = self.config.max_reassembly_when_full();
        let of_network = self.pool.held_by_network(peer.remote.ip()) + wanted;
        let of_region = self.pool.held_by_region(peer.remote.ip()) + wanted;
        let (of_network, of_region) = (of_network.max(most), of_region.max(most));
        for _ in 0..EVICTION_SCAN {
            let Some(handle) = self.incomplete.pop_front() else {
                return false;
            };
            if self.is_incomplete(handle).is_none() {
                continue;
            }
            let transaction = self.slots.get(handle);
            let of = transaction.map_or(peer, |transaction| transaction.shared.peer);
            let progress_at = transaction.and_then(|transaction| match &transaction.side {
                Side::Responder(side) => side.progress_at(),
                Side::Initiator(_) => None,
            });
            let is_stalled = of != peer && progress_at.is_some_and(|at| at + STALLED <= self.now);
            if is_stalled
                || self.pool.held_by_network(of.remote.ip()) > of_network
                || self.pool.held_by_region(of.remote.ip()) > of_region
            {
                self.give_up(handle);
                return true;
            }
            self.incomplete.push_back(handle);
        }
        false
    }

    fn give_up(&mut self, handle: Handle) {
        self.stats.evicted_incomplete += 1;
        let reason = AbortReason::Provider(ProviderAbort::CAPTEMPEXCEEDED);
        self.step(handle, |transaction, cx| {
            transaction.shared.refuse(reason, cx)
        });
    }

    /// Makes room for a packet of an Invoke, if its source may have some.
    pub(super) fn make_room(&mut self, peer: Peer, pdu: &Pdu<'_>) {
        let octets = match pdu {
            Pdu::Invoke(invoke) if !invoke.packet.trailer.ends_message() => {
                invoke.packet.data.len()
            }
            Pdu::SegmentedInvoke(_, packet) => packet.data.len(),
            _ => return,
        };
        // The receiver's bookkeeping counts as well as the octets.
        let wanted = octets + BOOKKEEPING;
        if self.pool.share_left(peer.remote.ip(), &self.config) < octets {
            return;
        }
        for _ in 0..EVICTIONS_PER_PACKET {
            if self.pool.room(&self.config) >= wanted
                || !self.evict_incomplete() && !self.evict_of_others(peer, wanted)
            {
                return;
            }
        }
    }

    /// Of an incomplete transaction: whether its initiator has answered.
    fn is_incomplete(&self, handle: Handle) -> Option<AckReceipt> {
        let transaction = self.slots.get(handle)?;
        match &transaction.side {
            Side::Responder(side) if side.is_incomplete() => Some(transaction.shared.ack_receipt),
            Side::Responder(_) | Side::Initiator(_) => None,
        }
    }
}

/// Transactions looked at for one that can go.
const EVICTION_SCAN: usize = 64;

/// Transactions given up for one packet: each holds an octet at least.
const EVICTIONS_PER_PACKET: usize = 4;

/// A message without a new packet for so long gives way while the pool is full. It is longer than a
/// handset waits before it repeats the last packet of a group.
const STALLED: Duration = Duration::from_secs(10);

/// Octets of a receiver without its message.
const BOOKKEEPING: usize = 512;
