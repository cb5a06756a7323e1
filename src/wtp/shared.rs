//! Parts that initiator and responder share: identity, context of a step, encoding of answers.

use std::collections::VecDeque;

use bytes::Bytes;

use super::abort::{AbortReason, ProviderAbort};
use super::capabilities::Capabilities;
use super::config::Config;
use super::indication::{Handle, Indication};
use super::pdu::{Ack, Class, Nack, Packet, Pdu};
use super::pool::Pool;
use super::receiver::{Receiver, Reception};
use super::report::{Report, Stats};
use super::sender::Outgoing;
use super::tid::Peers;
use super::tpi::{Parameter, Psn, Tpi, TpiError, Tpis};
use super::unowned::{Unowned, UnownedRing};
use super::validation::Validation;
use crate::time::Instant;
use crate::wdp::Peer;

/// The part of a transaction that both state machines use.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) handle: Handle,
    pub(super) peer: Peer,
    /// The TID in every PDU we send.
    pub(super) send_tid: u16,
    pub(super) class: Class,
    pub(super) user_ack: bool,
    pub(super) capabilities: Capabilities,
    /// The first item of the peer that was not understood. The error is repeated until the peer has
    /// received it.
    pub(super) complaint: Option<TpiError>,
    /// Whether the peer has the options of our acknowledgements, which hold for the transaction
    /// (WTP 8.4.4).
    pub(super) ack_receipt: AckReceipt,
    pub(super) report: Report,
}

/// Whether the peer has received an acknowledgement of ours, with its options.
///
/// Some handsets read no further than the packet number of an Ack: options in each Ack make them
/// wait for their retransmission timer in each group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum AckReceipt {
    /// There is no sign of it yet. The number of groups acknowledged so far.
    NotYet { groups: u8 },
    /// A packet came that the peer sends only after an acknowledgement. The options need no
    /// repetition.
    Yes,
}

/// The context of a step of a state machine.
pub(super) struct StepContext<'a> {
    pub(super) now: Instant,
    pub(super) config: &'a Config,
    pub(super) indications: &'a mut VecDeque<Indication>,
    pub(super) unowned: &'a mut UnownedRing,
    pub(super) stats: &'a mut Stats,
    pub(super) peers: &'a mut Peers,
    pub(super) pool: &'a Pool,
    pub(super) validation: &'a mut Validation,
}

/// Whether the transaction goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Outcome {
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

/// The context of encoding.
pub(super) struct EncodeContext<'a> {
    pub(super) config: &'a Config,
    pub(super) now: Instant,
    pub(super) peers: &'a Peers,
}

/// The kind of PDU that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoded {
    /// An acknowledgement.
    Control,
    /// A data packet.
    Data,
    /// A data packet that was sent before.
    AgainData,
}

impl Encoded {
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
            if self.complaint.is_some() {
                self.ack_receipt = AckReceipt::NotYet { groups: 0 };
            }
        }
        self.capabilities.learn(tpis)
    }

    /// A group is acknowledged for the first time. A sender goes on to the next group once it has
    /// the Ack of the one before, or with extended SAR of the one that many groups before which may
    /// be under way.
    pub(super) fn note_group(&mut self, config: &Config) {
        let under_way = match self.capabilities.window(config) {
            Some(_) => config.num_groups.max(1),
            None => 1,
        };
        self.ack_receipt = match self.ack_receipt {
            AckReceipt::NotYet { groups } if groups < under_way => {
                AckReceipt::NotYet { groups: groups + 1 }
            }
            AckReceipt::NotYet { .. } | AckReceipt::Yes => AckReceipt::Yes,
        };
    }

    /// Sends an Abort without an indication to the user.
    pub(super) fn abort_quietly(&self, reason: AbortReason, cx: &mut StepContext<'_>) -> Outcome {
        cx.stats.aborts_out += 1;
        let abort = Unowned::Abort {
            tid: self.send_tid,
            reason,
        };
        cx.unowned.push(self.peer, abort, cx.config, cx.stats);
        Outcome::Aborted(reason)
    }

    /// Sends an Abort for a transaction that the user has no indication of.
    pub(super) fn refuse(&self, reason: AbortReason, cx: &mut StepContext<'_>) -> Outcome {
        let _ = self.abort_quietly(reason, cx);
        Outcome::Over
    }

    /// Sends an Abort and indicates to the user that the provider aborts the transaction.
    pub(super) fn abort(&self, reason: ProviderAbort, cx: &mut StepContext<'_>) -> Outcome {
        let reason = AbortReason::Provider(reason);
        let _ = self.indicate_abort(reason, cx);
        self.abort_quietly(reason, cx)
    }

    /// Indicates to the user that the transaction is over.
    pub(super) fn indicate_abort(&self, reason: AbortReason, cx: &mut StepContext<'_>) -> Outcome {
        cx.indications.push_back(Indication::Abort {
            handle: self.handle,
            reason,
            report: self.report,
        });
        Outcome::Over
    }

    /// The peer never answered: the user gets an indication, the peer gets no Abort (WTP 7.2.4).
    pub(super) fn give_up(&self, cx: &mut StepContext<'_>) -> Outcome {
        cx.stats.unanswered += 1;
        let _ = self.indicate_abort(AbortReason::Unanswered, cx);
        // Should the peer come back with it after all, it must not seem new.
        Outcome::Aborted(AbortReason::Unanswered)
    }

    /// Whether one more packet fits into the limits on messages; if not, why.
    pub(super) fn check_room(
        &self,
        received: usize,
        packet: &Packet<'_>,
        cx: &mut StepContext<'_>,
    ) -> Result<(), ProviderAbort> {
        let announced = self.capabilities.total_message_size.unwrap_or(0) as usize;
        let size = announced.max(received.saturating_add(packet.data.len()));
        if size > cx.config.max_message {
            cx.stats.refused_message += 1;
            return Err(ProviderAbort::MESSAGETOOLARGE);
        }
        let room = cx.pool.reassembly_room(self.peer.remote.ip(), cx.config);
        if room < packet.data.len() {
            cx.stats.refused_reassembly += 1;
            return Err(ProviderAbort::CAPTEMPEXCEEDED);
        }
        Ok(())
    }

    /// Counts a packet of a message, and returns the answer to it.
    pub(super) fn answer_to(
        &mut self,
        reception: Reception,
        cx: &mut StepContext<'_>,
    ) -> Option<Answer> {
        match reception {
            Reception::Stored => None,
            Reception::Duplicate => {
                self.note_duplicate(cx);
                None
            }
            Reception::Impossible => {
                cx.stats.strays += 1;
                None
            }
            Reception::Nack { up_to } => Some(Answer::Nack { up_to }),
            Reception::Ack {
                psn,
                repeated,
                duplicate,
            } => {
                if duplicate {
                    self.note_duplicate(cx);
                }
                if !repeated {
                    self.note_group(cx.config);
                }
                Some(Answer::Ack {
                    psn: Some(psn),
                    repeated,
                })
            }
        }
    }

    /// Counts a data packet that was received before.
    pub(super) fn note_duplicate(&mut self, cx: &mut StepContext<'_>) {
        self.report.duplicates = self.report.duplicates.saturating_add(1);
        cx.stats.duplicates += 1;
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
        if self.ack_receipt != AckReceipt::Yes {
            items.extend(self.accepted_groups(config));
            items.extend(self.complaint.map(Tpi::Error));
        }
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

    pub(super) fn as_slice(&self) -> &[Tpi<'a>] {
        self.items.get(..self.len).unwrap_or(&[])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Tpi<'a>> {
        self.items.iter().copied().take(self.len)
    }

    pub(super) fn tpis(&self) -> Tpis<'_> {
        Tpis::List(self.as_slice())
    }
}

/// Octets of the longest header with items that a packet of ours has, and of an answer without exit
/// info and list of missing packets.
pub(super) const LONGEST_HEADER: usize = 48;

/// Exit info as kept for a repeated Ack: at most the size of an Info TPI.
pub(super) fn exit_info(info: &[u8]) -> Bytes {
    Bytes::copy_from_slice(info.get(..255).unwrap_or(info))
}
