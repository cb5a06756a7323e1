//! What a responder says next.

use super::{Responder, State};
use crate::wtp::pdu::Pdu;
use crate::wtp::tpi::{Parameter, Tpi};
use crate::wtp::transaction::{Answer, LONGEST_HEADER, Said, SayContext, Shared};

impl Responder {
    pub(in crate::wtp) fn has_something_to_say(&self) -> bool {
        self.answer.is_some()
            || matches!(&self.state, State::ResultRespWait { sender } if sender.has_packets())
    }

    /// Octets the next PDU may have.
    pub(in crate::wtp) fn largest(&self) -> usize {
        match (&self.answer, &self.state) {
            (Some(Answer::Nack { .. }), _) => LONGEST_HEADER + 255,
            (Some(_), State::WaitTimeout { exit_info, .. }) => LONGEST_HEADER + exit_info.len(),
            (Some(_), _) => LONGEST_HEADER,
            (None, State::ResultRespWait { sender }) => LONGEST_HEADER + sender.packet_len(),
            (None, _) => 0,
        }
    }

    /// Appends the next PDU.
    pub(in crate::wtp) fn say(
        &mut self,
        shared: &Shared,
        context: &SayContext<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Said> {
        if let Some(answer) = self.answer.take() {
            self.encode_answer(answer, shared, context, out);
            return Some(Said::Control);
        }
        let State::ResultRespWait { sender } = &mut self.state else {
            return None;
        };
        let packet = sender.next_packet()?;
        let said = if packet.repeated {
            Said::AgainData
        } else {
            Said::Data
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
        Some(said)
    }

    fn encode_answer(
        &self,
        answer: Answer,
        shared: &Shared,
        context: &SayContext<'_>,
        out: &mut Vec<u8>,
    ) {
        let config = context.config;
        let group = || {
            config
                .receive_group
                .map(|octets| Tpi::Parameter(Parameter::MaximumGroup(octets)))
        };
        match (&self.state, answer) {
            (State::Receiving { receiver, .. }, Answer::Ack { .. }) => {
                let own = group();
                shared.encode_answer(answer, Some(receiver), own.as_slice(), config, out);
            }
            (State::Receiving { receiver, .. }, _) => {
                shared.encode_answer(answer, Some(receiver), &[], config, out);
            }
            (State::TidokWait { .. }, Answer::Verify { .. }) if config.explain_verification => {
                let parameter = match context.peers.last_tid(context.now, shared.peer) {
                    Some(tid) => Parameter::CurrentTid(tid),
                    None => Parameter::NoCachedTid,
                };
                shared.encode_answer(answer, None, &[Tpi::Parameter(parameter)], config, out);
            }
            (State::WaitTimeout { exit_info, .. }, _) if !exit_info.is_empty() => {
                shared.encode_answer(answer, None, &[Tpi::Info(exit_info)], config, out);
            }
            _ => shared.encode_answer(answer, None, &[], config, out),
        }
    }
}
