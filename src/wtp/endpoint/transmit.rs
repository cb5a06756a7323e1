//! The order of transmissions, and the PDUs that share a datagram (WTP 7.5).

use super::Endpoint;
use crate::wdp::Peer;
use crate::wtp::concat::Joiner;
use crate::wtp::shared::EncodeContext;
use crate::wtp::transaction::Place;

impl Endpoint {
    pub(super) fn next_peer(&mut self) -> Option<Peer> {
        if let Some(peer) = self.unowned.next_peer() {
            return Some(peer);
        }
        loop {
            let handle = *self.ready.front()?;
            match self.slots.get_mut(handle) {
                Some(transaction) if transaction.has_pdu() => {
                    return Some(transaction.shared.peer);
                }
                Some(transaction) => transaction.queued = false,
                None => {}
            }
            self.ready.pop_front();
        }
    }

    /// Lets the transactions of one peer speak, in their order, until the datagram is full.
    pub(super) fn encode_ready(
        &mut self,
        peer: Peer,
        limit: usize,
        joiner: &mut Joiner,
        buf: &mut Vec<u8>,
    ) {
        let mut at = 0;
        while at < self.ready.len().min(READY_LOOKAHEAD) {
            let Some(&handle) = self.ready.get(at) else {
                return;
            };
            let context = EncodeContext {
                config: &self.config,
                now: self.now,
                peers: &self.peers,
            };
            let Some(transaction) = self.slots.get_mut(handle) else {
                self.ready.remove(at);
                continue;
            };
            if transaction.shared.peer != peer {
                at += 1;
                continue;
            }
            // An encoded PDU cannot be taken back. So another PDU is started only where all but the
            // largest would fit; the largest start a datagram of their own.
            while transaction.has_pdu() {
                let place = transaction.place(limit, joiner.len(buf));
                if joiner.pdus() > 0 && place != Place::Here {
                    return;
                }
                let from = buf.len();
                let Some(encoded) = transaction.encode_next(&context, buf) else {
                    break;
                };
                self.stats.pdus_out += 1;
                self.stats.retransmissions += u64::from(encoded.is_again());
                let joined = joiner.add(from, buf);
                debug_assert!(joined, "its size was foretold");
                if place == Place::Alone {
                    return;
                }
            }
            transaction.queued = false;
            self.ready.remove(at);
        }
    }
}

/// How far the queue of the ready is searched for PDUs to concatenate.
const READY_LOOKAHEAD: usize = 64;
