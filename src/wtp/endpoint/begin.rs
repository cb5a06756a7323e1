//! Transactions that this endpoint initiates: their TIDs, and Invokes that must wait (WTP 7.8.3).

use bytes::Bytes;

use super::{Endpoint, FROM_RESPONDER, Refused};
use crate::time::Instant;
use crate::wdp::Peer;
use crate::wtp::indication::{Fragment, Handle};
use crate::wtp::initiator;
use crate::wtp::pdu::Class;
use crate::wtp::sender::LARGEST_LONE_PACKET;
use crate::wtp::transaction::{Side, Transaction};
use crate::wtp::unowned::Unowned;

impl Endpoint {
    /// TR-Invoke.req of class 2 with user acknowledgement and a TID chosen by the caller (15 bits).
    ///
    /// For a caller that runs many initiators over one endpoint: they would exhaust the counter of
    /// [`invoke`](Self::invoke), which all peers share. The caller keeps the TIDs of each peer in
    /// order and gives no two live transactions the same TID.
    ///
    /// # Errors
    /// [`Refused`], also when a transaction with this TID is alive.
    pub fn invoke_as(
        &mut self,
        now: Instant,
        peer: Peer,
        tid: u16,
        data: Bytes,
    ) -> Result<Handle, Refused> {
        self.set_time(now);
        if self.slots.len() >= self.config.max_transactions {
            return Err(Refused::TooManyTransactions);
        }
        let tid = tid & !FROM_RESPONDER;
        if self.slots.find(peer, tid | FROM_RESPONDER).is_some() {
            return Err(Refused::NoTid);
        }
        self.begin(peer, tid, (Class::Two, true), (data, Fragment::WHOLE))
    }

    pub(super) fn invoke_unreliably(&mut self, peer: Peer, data: Bytes) -> Result<Handle, Refused> {
        if data.len() > LARGEST_LONE_PACKET {
            return Err(Refused::TooLarge);
        }
        let slots = &self.slots;
        let tid = self
            .tids
            .next_unreliable(|tid| slots.find(peer, tid | FROM_RESPONDER).is_some());
        self.stats.unreliable_out += 1;
        let invoke = Unowned::Invoke { tid, data };
        self.unowned
            .push(peer, invoke, &self.config, &mut self.stats);
        Ok(Handle::OVER)
    }

    pub(super) fn next_tid(&mut self, peer: Peer) -> Result<u16, Refused> {
        let taken = |tid| {
            let tid = tid | FROM_RESPONDER;
            self.slots.find(peer, tid).is_some()
        };
        self.tids
            .next(self.now, self.config.tid_lifetime, taken)
            .ok_or(Refused::NoTid)
    }

    /// Whether an Invoke with TIDnew to this peer waits for its confirmation (WTP 7.8.3.2).
    pub(super) fn is_behind_tid_new(&self, peer: Peer) -> bool {
        self.tid_new.iter().any(|(other, _)| *other == peer)
    }

    pub(super) fn hold(&mut self, handle: Handle) {
        if self.held.len() > self.slots.len() {
            self.held.retain(|&handle| self.slots.get(handle).is_some());
        }
        self.held.push(handle);
    }

    /// Starts the Invokes that were held back behind this one, if it is confirmed or over.
    pub(super) fn release_held(&mut self, tid_new: Handle) {
        let Some(at) = self
            .tid_new
            .iter()
            .position(|(_, handle)| *handle == tid_new)
        else {
            return;
        };
        if let Some(Transaction {
            side: Side::Initiator(side),
            ..
        }) = self.slots.get(tid_new)
            && side.is_unconfirmed_tid_new()
        {
            return;
        }
        let (peer, _) = self.tid_new.swap_remove(at);
        for handle in std::mem::take(&mut self.held) {
            match self.slots.get(handle) {
                Some(transaction) if transaction.shared.peer == peer => {
                    self.initiator_step(self.now, handle, initiator::Event::Go);
                }
                Some(_) => self.held.push(handle),
                None => {}
            }
        }
    }
}
