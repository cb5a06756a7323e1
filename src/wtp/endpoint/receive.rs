//! Received PDUs: finds the transaction of a PDU, or handles a PDU without one (WTP 9.2).

use bytes::Bytes;

use super::{Endpoint, FROM_RESPONDER, Key};
use crate::wdp::Peer;
use crate::wtp::abort::{AbortReason, ProviderAbort};
use crate::wtp::indication::{Fragment, Handle, Indication};
use crate::wtp::initiator;
use crate::wtp::pdu::{Ack, Class, Invoke, Malformed, Packet, Pdu, Trailer};
use crate::wtp::report::Report;
use crate::wtp::responder::{self, Responder};
use crate::wtp::transaction::Side;
use crate::wtp::unowned::Unowned;

impl Endpoint {
    pub(super) fn handle_pdu(&mut self, peer: Peer, pdu: &Pdu<'_>, octets: usize) {
        let tid = pdu.tid();
        // A message of class 0 belongs to no transaction, whatever its TID.
        if let Pdu::Invoke(invoke) = pdu
            && invoke.class == Class::Zero
            && tid & FROM_RESPONDER == 0
        {
            return self.handle_unreliable(peer, invoke, octets);
        }
        self.make_room(peer, pdu);
        let Some(handle) = self.slots.find(peer, tid) else {
            return self.handle_unknown(peer, pdu, octets);
        };
        let whole_invoke =
            matches!(pdu, Pdu::Invoke(invoke) if invoke.packet.trailer.ends_message());
        if whole_invoke && !self.config.duplicate_recognition {
            return self.handle_unknown(peer, pdu, octets);
        }
        let known = self.step(handle, |transaction, cx| {
            transaction.count_received(octets, cx.now);
            let shared = &mut transaction.shared;
            match &mut transaction.side {
                Side::Responder(side) => match responder_event(pdu) {
                    Some(event) => {
                        if matches!(event, responder::Event::Abort(_)) {
                            cx.stats.aborts_in += 1;
                        }
                        side.step(event, shared, cx)
                    }
                    None => side.step(responder::Event::ErrorPdu, shared, cx),
                },
                Side::Initiator(side) => match initiator_event(pdu) {
                    Some(event) => {
                        if matches!(event, initiator::Event::Abort(_)) {
                            cx.stats.aborts_in += 1;
                        }
                        side.step(event, shared, cx)
                    }
                    None => side.step(initiator::Event::ErrorPdu, shared, cx),
                },
            }
        });
        debug_assert!(known, "the map names live transactions only");
    }

    /// A PDU for no transaction (WTP table 37).
    pub(super) fn handle_unknown(&mut self, peer: Peer, pdu: &Pdu<'_>, octets: usize) {
        match pdu {
            Pdu::Invoke(invoke) if invoke.packet.tid & FROM_RESPONDER == 0 => {
                self.handle_invoke(peer, invoke, octets);
            }
            // Create no state to say no; the initiator of an old copy is not to believe in it.
            Pdu::Ack(Ack {
                verify: true, tid, ..
            }) if tid & FROM_RESPONDER != 0 => {
                let reason = AbortReason::Provider(ProviderAbort::INVALIDTID);
                self.answer_unowned(peer, tid ^ FROM_RESPONDER, reason);
            }
            Pdu::Invoke(_)
            | Pdu::Result(_)
            | Pdu::Ack(_)
            | Pdu::Abort(_)
            | Pdu::SegmentedInvoke(..)
            | Pdu::SegmentedResult(..)
            | Pdu::Nack(_) => self.stats.strays += 1,
        }
    }

    /// LISTEN / RcvInvoke, class 1 or 2.
    pub(super) fn handle_invoke(&mut self, peer: Peer, invoke: &Invoke<'_>, octets: usize) {
        if self.leaving {
            self.stats.left += 1;
            return;
        }
        if self.peers.begun_by(peer) >= self.config.max_transactions_per_peer {
            self.stats.refused_peer += 1;
            return;
        }
        let of_source = self.pool.begun_by(peer.remote.ip());
        if of_source >= self.config.max_transactions_of_source() {
            self.stats.refused_address += 1;
            return;
        }
        if self.slots.len() >= self.config.max_transactions && !self.evict_incomplete() {
            self.stats.refused_transactions += 1;
            return;
        }
        let tid = invoke.packet.tid;
        if !invoke.tid_new
            && let Some(reason) = self.aborted.reason(self.now, Key { peer, tid })
        {
            self.stats.duplicates += 1;
            // An initiator that never acknowledged a Result may have received it: an Abort would
            // contradict the Result.
            if reason != AbortReason::Unanswered {
                self.answer_unowned(peer, tid | FROM_RESPONDER, reason);
            }
            return;
        }
        let (now, config, stats) = (self.now, &self.config, &mut self.stats);
        let tid_test = self
            .peers
            .test_tid(now, peer, tid, invoke.tid_new, config, stats);
        let mut shared = self.shared(peer, tid | FROM_RESPONDER, invoke.class, invoke.user_ack);
        shared.capabilities.sar = invoke.packet.trailer != Trailer::NoSar;
        shared.learn(invoke.packet.tpis);
        shared.report.pdus_in = 1;
        shared.report.octets_in = u32::try_from(octets).unwrap_or(u32::MAX);
        self.stats.responded += 1;
        // The slot must be known before the machine starts, since its first indication names it.
        let handle = self.insert(shared, Side::Responder(Responder::unborn(now)));
        self.step(handle, |transaction, cx| {
            let (responder, outcome) =
                Responder::listen(&mut transaction.shared, invoke, tid_test, cx);
            transaction.side = Side::Responder(responder);
            outcome
        });
        self.note_incomplete(handle);
    }

    /// LISTEN / RcvInvoke, class 0: no state, no answer, no look at the TID.
    pub(super) fn handle_unreliable(&mut self, peer: Peer, invoke: &Invoke<'_>, octets: usize) {
        let packet: &Packet<'_> = &invoke.packet;
        if !packet.trailer.ends_message() || packet.data.len() > self.config.max_message {
            self.stats.malformed += 1;
            return;
        }
        self.stats.unreliable_in += 1;
        self.indications.push_back(Indication::Invoke {
            handle: Handle::OVER,
            peer,
            class: Class::Zero,
            user_ack: false,
            data: Bytes::copy_from_slice(packet.data),
            fragment: Fragment::WHOLE,
            report: Report {
                started: self.now,
                updated: self.now,
                pdus_in: 1,
                octets_in: u32::try_from(octets).unwrap_or(u32::MAX),
                ..Report::default()
            },
        });
    }

    /// RcvErrorPDU, and Invokes of another version (WTP 7.13).
    pub(super) fn handle_malformed(&mut self, peer: Peer, malformed: Malformed, octets: usize) {
        let Some(tid) = malformed.tid else {
            self.stats.malformed += 1;
            return;
        };
        if malformed.version {
            self.stats.other_versions += 1;
        } else {
            self.stats.malformed += 1;
        }
        // An Abort is never answered, not even one that is wrong.
        if malformed.abort {
            return;
        }
        if let Some(handle) = self.slots.find(peer, tid) {
            self.step(handle, |transaction, cx| {
                transaction.count_received(octets, cx.now);
                match &mut transaction.side {
                    Side::Responder(side) => {
                        side.step(responder::Event::ErrorPdu, &mut transaction.shared, cx)
                    }
                    Side::Initiator(side) => {
                        side.step(initiator::Event::ErrorPdu, &mut transaction.shared, cx)
                    }
                }
            });
        } else if tid & FROM_RESPONDER == 0 {
            let reason = if malformed.version {
                ProviderAbort::WTPVERSIONONE
            } else {
                ProviderAbort::PROTOERR
            };
            self.answer_unowned(peer, tid | FROM_RESPONDER, AbortReason::Provider(reason));
        }
    }

    /// Refuses the Invoke of this TID with CAPTEMPEXCEEDED, without having looked at it: the peer
    /// may try again later. A transaction that has begun goes on.
    pub fn refuse(&mut self, peer: Peer, tid: u16) {
        let is_new = self.slots.find(peer, tid).is_none();
        if tid & FROM_RESPONDER == 0 && is_new {
            let reason = AbortReason::Provider(ProviderAbort::CAPTEMPEXCEEDED);
            self.answer_unowned(peer, tid | FROM_RESPONDER, reason);
        }
    }

    pub(super) fn answer_unowned(&mut self, peer: Peer, tid: u16, reason: AbortReason) {
        self.stats.aborts_out += 1;
        let abort = Unowned::Abort { tid, reason };
        self.unowned
            .push(peer, abort, &self.config, &mut self.stats);
    }
}

fn responder_event<'a>(pdu: &Pdu<'a>) -> Option<responder::Event<'a>> {
    match *pdu {
        Pdu::Invoke(invoke) => Some(responder::Event::Invoke(invoke)),
        Pdu::SegmentedInvoke(psn, packet) => Some(responder::Event::Segment(psn, packet)),
        Pdu::Ack(ack) => Some(responder::Event::Ack(ack)),
        Pdu::Nack(nack) => Some(responder::Event::Nack(nack)),
        Pdu::Abort(abort) => Some(responder::Event::Abort(abort.reason)),
        Pdu::Result(_) | Pdu::SegmentedResult(..) => None,
    }
}

fn initiator_event<'a>(pdu: &Pdu<'a>) -> Option<initiator::Event<'a>> {
    match *pdu {
        Pdu::Result(packet) => Some(initiator::Event::Result(packet)),
        Pdu::SegmentedResult(psn, packet) => Some(initiator::Event::Segment(psn, packet)),
        Pdu::Ack(ack) => Some(initiator::Event::Ack(ack)),
        Pdu::Nack(nack) => Some(initiator::Event::Nack(nack)),
        Pdu::Abort(abort) => Some(initiator::Event::Abort(abort.reason)),
        Pdu::Invoke(_) | Pdu::SegmentedInvoke(..) => None,
    }
}
