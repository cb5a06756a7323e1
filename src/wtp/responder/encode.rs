//! Encodes the next PDU of a responder.

use super::{Responder, State};
use crate::wtp::pdu::Pdu;
use crate::wtp::shared::{
    AckReceipt, Answer, EncodeContext, Encoded, Items, LONGEST_HEADER, Shared,
};
use crate::wtp::tpi::{Parameter, Tpi};

impl Responder {
    pub(in crate::wtp) fn has_pdu(&self) -> bool {
        self.answer.is_some()
            || matches!(&self.state, State::ResultRespWait { sender } if sender.has_packets())
    }

    /// Octets the next PDU may have, or `None` if the PDU shares no datagram.
    pub(in crate::wtp) fn largest_shared(&self) -> Option<usize> {
        let most = match (&self.answer, &self.state) {
            (Some(Answer::Nack { .. }), _) => 255,
            (Some(_), State::WaitTimeout { exit_info, .. }) => exit_info.len(),
            (Some(_), _) => 0,
            (None, State::ResultRespWait { sender }) => sender.shared_packet_len()?,
            (None, _) => return Some(0),
        };
        Some(LONGEST_HEADER + most)
    }

    /// Appends the next PDU.
    pub(in crate::wtp) fn encode_next(
        &mut self,
        shared: &Shared,
        context: &EncodeContext<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Encoded> {
        if let Some(answer) = self.answer.take() {
            self.encode_answer(answer, shared, context, out);
            return Some(Encoded::Control);
        }
        let State::ResultRespWait { sender } = &mut self.state else {
            return None;
        };
        let packet = sender.next_packet()?;
        let encoded = if packet.repeated {
            Encoded::AgainData
        } else {
            Encoded::Data
        };
        let accepted = shared.accepted_groups(context.config);
        let opening = accepted.into_iter().chain(shared.complaint.map(Tpi::Error));
        shared.with_packet(packet, opening, |wire| {
            match packet.psn {
                0 => Pdu::Result(wire),
                psn => Pdu::SegmentedResult(psn.to_be_bytes()[3], wire),
            }
            .encode(out);
        });
        Some(encoded)
    }

    fn encode_answer(
        &self,
        answer: Answer,
        shared: &Shared,
        context: &EncodeContext<'_>,
        out: &mut Vec<u8>,
    ) {
        let config = context.config;
        let group = config
            .receive_group
            .filter(|_| shared.ack_receipt != AckReceipt::Yes)
            .map(|octets| Tpi::Parameter(Parameter::MaximumGroup(octets)));
        match (&self.state, answer) {
            (State::Receiving { receiver, .. }, Answer::Ack { .. }) => {
                shared.encode_answer(answer, Some(receiver), group.as_slice(), config, out);
            }
            (State::Receiving { receiver, .. }, _) => {
                shared.encode_answer(answer, Some(receiver), &[], config, out);
            }
            (State::TidokWait { .. }, Answer::Verify { psn, .. }) => {
                let mut own = Items::default();
                if config.explain_verification {
                    let last = context.peers.last_tid(context.now, shared.peer);
                    let last = last.map_or(Parameter::NoCachedTid, Parameter::CurrentTid);
                    own.extend(Some(Tpi::Parameter(last)));
                }
                // The question about a segmented Invoke acknowledges its first group.
                own.extend(group.filter(|_| psn.is_some()));
                shared.encode_answer(answer, None, own.as_slice(), config, out);
            }
            (State::WaitTimeout { exit_info, .. }, _) if !exit_info.is_empty() => {
                shared.encode_answer(answer, None, &[Tpi::Info(exit_info)], config, out);
            }
            _ => shared.encode_answer(answer, None, &[], config, out),
        }
    }
}
