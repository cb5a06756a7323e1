//! Actions of the responder's tables (WTP 9.3), and the segments below them.

use bytes::Bytes;

use super::{Held, Responder, State, Verification, ack_interval};
use crate::wtp::abort::{AbortReason, ProviderAbort};
use crate::wtp::indication::{Fragment, Indication};
use crate::wtp::pdu::{Class, Packet};
use crate::wtp::receiver::Receiver;
use crate::wtp::sender::Sender;
use crate::wtp::shared::{AckReceipt, Answer, Outcome, Shared, StepContext};
use crate::wtp::tpi::Psn;
use crate::wtp::validation::LARGEST_UNVALIDATED;

impl Responder {
    /// A packet of the Invoke.
    pub(super) fn receive(
        &mut self,
        low: u8,
        packet: &Packet<'_>,
        shared: &mut Shared,
        cx: &mut StepContext<'_>,
    ) -> Outcome {
        let State::Receiving {
            receiver,
            verification,
            indicated,
        } = &mut self.state
        else {
            return Outcome::Lives;
        };
        if let Err(reason) = shared.check_room(receiver.message_len(), packet, cx) {
            return if *indicated {
                shared.abort(reason, cx)
            } else {
                shared.refuse(AbortReason::Provider(reason), cx)
            };
        }
        let address = shared.peer.remote.ip();
        if verification.is_some() && cx.pool.unverified_room(address, cx.config) < packet.data.len()
        {
            // As if it were lost; the Nack will ask for it.
            cx.stats.refused_unverified += 1;
            return Outcome::Lives;
        }
        let reception = receiver.receive(cx.now, low, packet, cx.config);
        let answer = shared.answer_to(reception, cx);
        if let (Some(verification), Some(Answer::Ack { psn, .. })) = (*verification, answer) {
            let held = std::mem::replace(receiver, Box::new(Receiver::new(cx.now, cx.config)));
            self.ask(Held::Segments(held), verification, psn, shared, cx);
            return Outcome::Lives;
        }
        if answer.is_some() {
            self.answer = answer;
        }
        self.deliver(shared, cx)
    }

    /// The first group was verified; go on with the rest, if any.
    pub(super) fn resume(
        &mut self,
        receiver: Box<Receiver>,
        shared: &mut Shared,
        cx: &mut StepContext<'_>,
    ) -> Outcome {
        self.state = State::Receiving {
            receiver,
            verification: None,
            indicated: false,
        };
        if let State::Receiving { receiver, .. } = &mut self.state {
            receiver.keep_until(cx.now + cx.config.wait_timeout);
        }
        self.deliver(shared, cx)
    }

    /// Gives complete data units to the user. The last one starts the transaction proper.
    pub(super) fn deliver(&mut self, shared: &mut Shared, cx: &mut StepContext<'_>) -> Outcome {
        loop {
            let State::Receiving {
                receiver,
                verification: None,
                indicated,
            } = &mut self.state
            else {
                return Outcome::Lives;
            };
            let Some((data, fragment)) = receiver.take_unit() else {
                return Outcome::Lives;
            };
            let first = !std::mem::replace(indicated, true);
            if fragment.more {
                indicate(data, fragment, first, shared, cx);
                continue;
            }
            cx.stats.reassembled += 1;
            self.last_psn = receiver.acked();
            // The Result, or the ack of the transaction, stands for that of the last group (Fig.
            // 10).
            self.answer = None;
            if first {
                return self.begin(data, fragment, shared, cx);
            }
            indicate(data, fragment, false, shared, cx);
            return self.await_user(shared, cx);
        }
    }

    /// Generate TR-Invoke.ind, start timer A.
    pub(super) fn begin(
        &mut self,
        data: Bytes,
        fragment: Fragment,
        shared: &mut Shared,
        cx: &mut StepContext<'_>,
    ) -> Outcome {
        indicate(data, fragment, true, shared, cx);
        self.await_user(shared, cx)
    }

    pub(super) fn await_user(&mut self, shared: &Shared, cx: &mut StepContext<'_>) -> Outcome {
        let interval = ack_interval(shared, cx.config);
        if interval.is_zero() {
            return self.acknowledge_last(Bytes::new(), cx);
        }
        self.state = State::InvokeRespWait {
            ack_at: cx.now + interval,
            expirations: 0,
        };
        Outcome::Lives
    }

    /// Send Ack(TIDve).
    pub(super) fn ask(
        &mut self,
        held: Held,
        verification: Verification,
        psn: Option<Psn>,
        shared: &mut Shared,
        cx: &mut StepContext<'_>,
    ) {
        let config = cx.config;
        let repeats = u32::from(config.max_retransmissions) + 1;
        self.state = State::TidokWait {
            held,
            verification,
            forget_at: cx.now + config.base_retry * repeats,
        };
        self.answer = Some(Answer::Verify {
            psn,
            repeated: false,
        });
        shared.report.verified = true;
        cx.stats.verifications += 1;
    }

    pub(super) fn ask_again(&mut self, psn: Option<Psn>, cx: &mut StepContext<'_>) {
        self.answer = Some(Answer::Verify {
            psn,
            repeated: true,
        });
        cx.stats.verifications += 1;
    }

    /// The initiator confirms the transaction. Returns whether this is the first confirmation. A
    /// later one comes from late copies: the transaction is then dropped without an answer, since
    /// the initiator may have its Result.
    pub(super) fn vouched(
        &mut self,
        tid_new: bool,
        shared: &mut Shared,
        cx: &mut StepContext<'_>,
    ) -> bool {
        self.answer = None;
        // The question carried the options.
        shared.ack_receipt = AckReceipt::Yes;
        let tid = shared.send_tid & 0x7FFF;
        let (config, stats) = (cx.config, &mut *cx.stats);
        cx.peers
            .verified(cx.now, shared.peer, tid, tid_new, config, stats)
    }

    /// Ack of a class 1 transaction; start timer W.
    pub(super) fn acknowledge_last(&mut self, exit_info: Bytes, cx: &StepContext<'_>) -> Outcome {
        self.state = State::WaitTimeout {
            until: cx.now + cx.config.wait_timeout,
            exit_info,
        };
        self.answer = Some(Answer::Ack {
            psn: self.last_psn,
            repeated: false,
        });
        Outcome::Lives
    }

    pub(super) fn repeat_last(&mut self) {
        if self.answer.is_none() {
            self.answer = Some(Answer::Ack {
                psn: self.last_psn,
                repeated: true,
            });
        }
    }

    pub(super) const fn hold_on(&mut self, repeated: bool) {
        self.answer = Some(Answer::Ack {
            psn: self.last_psn,
            repeated,
        });
    }

    /// Reset RCR, start timer R, send Result PDU.
    pub(super) fn send_result(
        &mut self,
        data: Bytes,
        fragment: Fragment,
        shared: &Shared,
        cx: &mut StepContext<'_>,
    ) -> Outcome {
        if shared.class != Class::Two {
            return Outcome::Lives;
        }
        let (config, peer) = (cx.config, &shared.capabilities);
        if peer
            .max_receive_unit
            .is_some_and(|limit| data.len() > limit as usize)
        {
            return shared.abort(ProviderAbort::MESSAGETOOLARGE, cx);
        }
        // Extended SAR is needed for more than one data unit.
        if fragment.more && peer.window(config).is_none() {
            return shared.abort(ProviderAbort::NOTIMPLEMENTEDESAR, cx);
        }
        let probe = match config.validate_addresses {
            true => cx.validation.probe(cx.now, shared.peer),
            false => None,
        };
        if !peer.sar
            && data.len() > LARGEST_UNVALIDATED
            && !cx.validation.takes_large_packets(shared.peer, config)
        {
            return shared.abort(ProviderAbort::MESSAGETOOLARGE, cx);
        }
        let retry = config.long_retry;
        match Sender::new(cx.now, (data, fragment), retry, peer, config, probe) {
            Ok(sender) => {
                self.answer = None;
                let sender = Box::new(sender);
                self.state = State::ResultRespWait { sender };
                Outcome::Lives
            }
            Err(reason) => shared.abort(reason, cx),
        }
    }
}

impl Held {
    pub(super) fn of(data: &[u8], shared: &Shared, cx: &mut StepContext<'_>) -> Self {
        let room = cx.pool.unverified_room(shared.peer.remote.ip(), cx.config);
        if data.len() > room {
            cx.stats.refused_unverified += 1;
            return Self::Dropped { vouched: false };
        }
        Self::Message(Bytes::copy_from_slice(data))
    }
}

fn indicate(
    data: Bytes,
    fragment: Fragment,
    first: bool,
    shared: &Shared,
    cx: &mut StepContext<'_>,
) {
    let handle = shared.handle;
    cx.indications.push_back(if first {
        Indication::Invoke {
            handle,
            peer: shared.peer,
            class: shared.class,
            user_ack: shared.user_ack,
            data,
            fragment,
            report: shared.report,
        }
    } else {
        Indication::InvokeData {
            handle,
            data,
            fragment,
        }
    });
}
