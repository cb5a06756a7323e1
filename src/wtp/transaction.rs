//! What both sides of a transaction share: who and what, what it may touch, and how its answers look.

use std::collections::VecDeque;

use bytes::Bytes;

use super::abort::{AbortReason, ProviderAbort};
use super::capabilities::Capabilities;
use super::config::Config;
use super::indication::{Handle, Indication};
use super::initiator::{self, Initiator};
use super::pdu::{Ack, Class, Nack, Packet, Pdu};
use super::pool::Pool;
use super::receiver::Receiver;
use super::report::{Report, Stats};
use super::responder::{self, Responder};
use super::sender::Outgoing;
use super::tid::Peers;
use super::tpi::{Parameter, Psn, Tpi, TpiError, Tpis};
use super::unowned::{Unowned, UnownedRing};
use crate::time::Instant;
use crate::wdp::Peer;

/// One transaction, of either side.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub(super) shared: Shared,
    pub(super) side: Side,
    /// It stands in the queue of those with something to say.
    pub(super) queued: bool,
    /// Octets it was charged for in the pool.
    pub(super) charge: Charge,
}

/// Which side of the transaction we are.
#[derive(Clone, Debug, Hash)]
pub(super) enum Side {
    Responder(Responder),
    Initiator(Initiator),
}

/// Octets a transaction holds against the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) reassembly: usize,
    pub(super) unverified: usize,
}

/// What both state machines know of their transaction.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) handle: Handle,
    pub(super) peer: Peer,
    /// The TID in every PDU we send.
    pub(super) send_tid: u16,
    pub(super) class: Class,
    pub(super) user_ack: bool,
    pub(super) capabilities: Capabilities,
    /// What the peer sent and we did not understand; told in every answer from then on.
    pub(super) complaint: Option<TpiError>,
    pub(super) report: Report,
}

/// What a step of a state machine may look at and touch.
pub(super) struct Turn<'a> {
    pub(super) now: Instant,
    pub(super) config: &'a Config,
    pub(super) indications: &'a mut VecDeque<Indication>,
    pub(super) unowned: &'a mut UnownedRing,
    pub(super) stats: &'a mut Stats,
    pub(super) peers: &'a mut Peers,
    pub(super) pool: &'a Pool,
}

/// Whether the transaction goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Fate {
    Lives,
    Over,
    /// Over, by an Abort of ours.
    Aborted(AbortReason),
}

/// An acknowledgement that waits to be sent; a newer one replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    /// Ack, with the number of the packet that ends a group if there is one.
    Ack { psn: Option<Psn>, repeated: bool },
    /// Ack with Tve (responder) or Tok (initiator).
    Verify { psn: Option<Psn>, repeated: bool },
    /// Nack for the packets missing before this one.
    Nack { up_to: Psn },
    /// Nack that asks for the whole group.
    NackAll,
}

impl Transaction {
    /// When it wants to be looked at.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.side {
            Side::Responder(responder) => responder.deadline(),
            Side::Initiator(initiator) => initiator.deadline(),
        }
    }

    /// Whether [`say`](Self::say) would write something.
    pub(super) fn has_something_to_say(&self) -> bool {
        match &self.side {
            Side::Responder(responder) => responder.has_something_to_say(),
            Side::Initiator(initiator) => initiator.has_something_to_say(),
        }
    }

    /// Appends the next PDU, if there is one.
    pub(super) fn say(&mut self, context: &SayContext<'_>, out: &mut Vec<u8>) -> Option<Said> {
        let from = out.len();
        let said = match &mut self.side {
            Side::Responder(responder) => responder.say(&self.shared, context, out),
            Side::Initiator(initiator) => initiator.say(&self.shared, context, out),
        }?;
        let report = &mut self.shared.report;
        report.pdus_out += 1;
        report.octets_out += u32::try_from(out.len().saturating_sub(from)).unwrap_or(0);
        if said == Said::AgainData {
            report.retransmissions = report.retransmissions.saturating_add(1);
        }
        Some(said)
    }

    /// Whether the next PDU surely fits behind `len` octets of a datagram of `limit`.
    pub(super) fn fits(&self, limit: usize, len: usize) -> bool {
        let largest = match &self.side {
            Side::Responder(responder) => responder.largest(),
            Side::Initiator(initiator) => initiator.largest(),
        };
        len + largest + CONCATENATION <= limit
    }

    /// Notes a PDU that came.
    pub(super) fn hear(&mut self, octets: usize, now: Instant) {
        let report = &mut self.shared.report;
        report.updated = now;
        report.pdus_in += 1;
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        report.octets_in = report.octets_in.saturating_add(octets);
    }

    /// Its deadline has passed.
    pub(super) fn expire(&mut self, turn: &mut Turn<'_>) -> Fate {
        let shared = &mut self.shared;
        match &mut self.side {
            Side::Responder(side) => side.step(responder::Event::Timeout, shared, turn),
            Side::Initiator(side) => side.step(initiator::Event::Timeout, shared, turn),
        }
    }

    /// Octets held against the limits.
    pub(super) fn footprint(&self) -> Charge {
        match &self.side {
            Side::Responder(responder) => responder.footprint(),
            Side::Initiator(initiator) => initiator.footprint(),
        }
    }
}

/// What encoding may look at.
pub(super) struct SayContext<'a> {
    pub(super) config: &'a Config,
    pub(super) now: Instant,
    pub(super) peers: &'a Peers,
}

/// What kind of PDU was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// An acknowledgement.
    Control,
    /// A data packet.
    Data,
    /// A data packet that was sent before.
    AgainData,
}

impl Said {
    pub(super) const fn is_again(self) -> bool {
        matches!(self, Self::AgainData)
    }
}

impl Shared {
    /// Learns from the variable header of a PDU. Returns the pause wanted before the next group.
    pub(super) fn learn(&mut self, tpis: Tpis<'_>) -> Option<u32> {
        if tpis.is_empty() {
            return None;
        }
        if self.complaint.is_none() {
            self.complaint = tpis.complaint();
        }
        self.capabilities.learn(tpis)
    }

    /// Tells the peer, not the user, that the transaction is over.
    pub(super) fn abort_quietly(&self, reason: AbortReason, turn: &mut Turn<'_>) -> Fate {
        turn.stats.aborts_out += 1;
        let abort = Unowned::Abort {
            tid: self.send_tid,
            reason,
        };
        turn.unowned.push(self.peer, abort, turn.config, turn.stats);
        Fate::Aborted(reason)
    }

    /// Tells the peer that a transaction is over of which the user never knew.
    pub(super) fn refuse(&self, reason: AbortReason, turn: &mut Turn<'_>) -> Fate {
        let _ = self.abort_quietly(reason, turn);
        Fate::Over
    }

    /// Tells the peer and the user that the provider aborts the transaction.
    pub(super) fn abort(&self, reason: ProviderAbort, turn: &mut Turn<'_>) -> Fate {
        let reason = AbortReason::Provider(reason);
        let _ = self.indicate_abort(reason, turn);
        self.abort_quietly(reason, turn)
    }

    /// Tells the user that the transaction is over.
    pub(super) fn indicate_abort(&self, reason: AbortReason, turn: &mut Turn<'_>) -> Fate {
        turn.indications.push_back(Indication::Abort {
            handle: self.handle,
            reason,
            report: self.report,
        });
        Fate::Over
    }

    /// The peer never answered: the user is told, the peer is not (WTP 7.2.4).
    pub(super) fn give_up(&self, turn: &mut Turn<'_>) -> Fate {
        turn.stats.unanswered += 1;
        let _ = self.indicate_abort(AbortReason::Unanswered, turn);
        // Should the peer come back with it after all, it must not seem new.
        Fate::Aborted(AbortReason::Unanswered)
    }

    /// Whether one more packet fits into the limits on messages; if not, why.
    pub(super) fn check_room(
        &self,
        received: usize,
        packet: &Packet<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), ProviderAbort> {
        let announced = self.capabilities.total_message_size.unwrap_or(0) as usize;
        let size = announced.max(received.saturating_add(packet.data.len()));
        if size > turn.config.max_message {
            turn.stats.refused_message += 1;
            return Err(ProviderAbort::MESSAGETOOLARGE);
        }
        if turn.pool.reassembly_room(turn.config) < packet.data.len() {
            turn.stats.refused_reassembly += 1;
            return Err(ProviderAbort::CAPTEMPEXCEEDED);
        }
        Ok(())
    }

    /// Counts a data packet that was heard before.
    pub(super) fn note_duplicate(&mut self, turn: &mut Turn<'_>) {
        self.report.duplicates = self.report.duplicates.saturating_add(1);
        turn.stats.duplicates += 1;
    }

    /// Writes an acknowledgement. `own` are items the side adds.
    pub(super) fn encode_answer(
        &self,
        answer: Answer,
        receiver: Option<&Receiver>,
        own: &[Tpi<'_>],
        config: &Config,
        out: &mut Vec<u8>,
    ) {
        let mut items = Items::default();
        match answer {
            Answer::Ack { psn, .. } | Answer::Verify { psn, .. } => {
                items.extend(psn.map(Tpi::Psn));
            }
            Answer::Nack { up_to } if self.capabilities.window(config).is_some() => {
                items.extend(Some(Tpi::Psn(up_to)));
            }
            Answer::Nack { .. } | Answer::NackAll => {}
        }
        items.extend(self.accepted_groups(config));
        items.extend(self.complaint.map(Tpi::Error));
        items.extend(own.iter().copied());
        let (tid, tpis) = (self.send_tid, items.tpis());
        let ack = |verify, repeated| {
            Pdu::Ack(Ack {
                tid,
                repeated,
                verify,
                tpis,
            })
        };
        let nack = |missing| {
            Pdu::Nack(Nack {
                tid,
                repeated: false,
                missing,
                tpis,
            })
        };
        match answer {
            Answer::Ack { repeated, .. } => ack(false, repeated).encode(out),
            Answer::Verify { repeated, .. } => ack(true, repeated).encode(out),
            Answer::Nack { up_to } => {
                let mut missing = [0; 255];
                let numbers = receiver.map(|receiver| receiver.missing(up_to));
                let mut count = 0;
                for (slot, number) in missing.iter_mut().zip(numbers.into_iter().flatten()) {
                    *slot = number;
                    count += 1;
                }
                nack(missing.get(..count).unwrap_or(&[])).encode(out);
            }
            Answer::NackAll => nack(&[]).encode(out),
        }
    }

    /// NumGroups, if the peer does extended SAR and so do we.
    pub(super) fn accepted_groups(&self, config: &Config) -> Option<Tpi<'static>> {
        self.capabilities.window(config)?;
        Some(Tpi::Parameter(Parameter::NumGroups(u32::from(
            config.num_groups,
        ))))
    }

    /// The packet of a message as it goes into a PDU; `opening` are the items of the first one.
    pub(super) fn with_packet<'a, T>(
        &self,
        outgoing: Outgoing<'a>,
        opening: impl Iterator<Item = Tpi<'a>>,
        encode: impl FnOnce(Packet<'_>) -> T,
    ) -> T {
        let mut items = Items::default();
        if outgoing.psn == 0 {
            items.extend(opening);
        } else if outgoing.psn > 0xFF {
            items.extend(Some(Tpi::Psn(outgoing.psn >> 8)));
        }
        items.extend(outgoing.frame_starts.then_some(Tpi::FrameBoundary));
        items.extend(outgoing.unit_ends.then_some(Tpi::SduBoundary));
        encode(Packet {
            tid: self.send_tid,
            repeated: outgoing.repeated,
            trailer: outgoing.trailer,
            tpis: items.tpis(),
            data: outgoing.data,
        })
    }
}

/// A few items on the stack.
pub(super) struct Items<'a> {
    items: [Tpi<'a>; 8],
    len: usize,
}

impl Default for Items<'_> {
    fn default() -> Self {
        Self {
            items: [Tpi::SduBoundary; 8],
            len: 0,
        }
    }
}

impl<'a> Items<'a> {
    pub(super) fn extend(&mut self, items: impl IntoIterator<Item = Tpi<'a>>) {
        for item in items {
            if let Some(slot) = self.items.get_mut(self.len) {
                *slot = item;
                self.len += 1;
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Tpi<'a>> {
        self.items.iter().copied().take(self.len)
    }

    pub(super) fn tpis(&self) -> Tpis<'_> {
        Tpis::List(self.items.get(..self.len).unwrap_or(&[]))
    }
}

/// Lengths that concatenation adds for two PDUs.
const CONCATENATION: usize = 5;

/// Octets of the longest header with items that a packet of ours has, and of an answer without exit info
/// and list of missing packets.
pub(super) const LONGEST_HEADER: usize = 48;

/// Exit info as it is kept for a repeated Ack: at most what an Info TPI holds.
pub(super) fn exit_info(info: &[u8]) -> Bytes {
    Bytes::copy_from_slice(info.get(..255).unwrap_or(info))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_some_hundred_octets() {
        // Its boxes come on top while it sends or re-assembles.
        assert!(size_of::<Transaction>() <= 256);
    }
}
