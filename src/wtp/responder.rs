//! The responder of one transaction of class 1 or 2 (WTP 9.6).
//!
//! The arms of each `match` follow the rows of the specification's tables and name them. Segmentation, for
//! which the specification has no table, is the state `Receiving` before LISTEN's first row, and what the
//! [`Sender`] does inside RESULT RESP WAIT.

use bytes::Bytes;

use super::abort::{AbortReason, ProviderAbort};
use super::indication::{Fragment, Indication};
use super::pdu::{Ack, Class, Invoke, Nack, Packet, Pdu};
use super::receiver::{Lapse, Receiver, Reception};
use super::sender::{Expiry, Progress, Sender};
use super::tid::Verdict;
use super::tpi::{Parameter, Psn, Tpi};
use super::transaction::{
    Answer, Charge, Fate, LONGEST_HEADER, Said, SayContext, Shared, Turn, exit_info,
};
use crate::time::Instant;

/// One transaction begun by a peer.
#[derive(Clone, Debug, Hash)]
pub(super) struct Responder {
    state: State,
    /// An acknowledgement to be sent.
    answer: Option<Answer>,
    /// The last packet of the Invoke, when it was segmented: acknowledgements name it.
    last_psn: Option<Psn>,
}

#[derive(Clone, Debug, Hash)]
enum State {
    /// Packets of a segmented Invoke are coming in (7.14).
    Receiving {
        receiver: Box<Receiver>,
        /// It is to be verified once its first group is whole (10.6.3).
        doubt: Option<Doubt>,
        /// Data units given to the user already (extended SAR).
        indicated: bool,
    },
    /// TIDOK WAIT.
    TidokWait {
        held: Held,
        doubt: Doubt,
        forget_at: Instant,
    },
    /// INVOKE RESP WAIT.
    InvokeRespWait { ack_at: Instant, expirations: u8 },
    /// RESULT WAIT.
    ResultWait {
        ack_at: Option<Instant>,
        acked: bool,
    },
    /// RESULT RESP WAIT.
    ResultRespWait { sender: Box<Sender> },
    /// WAIT TIMEOUT.
    WaitTimeout { until: Instant, exit_info: Bytes },
}

/// Why an Invoke must be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Doubt {
    tid_new: bool,
}

/// What is kept of an Invoke that waits for verification.
#[derive(Clone, Debug, Hash)]
enum Held {
    Message(Bytes),
    Segments(Box<Receiver>),
    /// There was no room. `vouched`: the initiator has said yes, only the message is wanted still.
    Dropped {
        vouched: bool,
    },
}

/// What can happen to a responder.
#[derive(Clone, Debug)]
pub(super) enum Event<'a> {
    Invoke(Invoke<'a>),
    Segment(u8, Packet<'a>),
    Ack(Ack<'a>),
    Nack(Nack<'a>),
    Abort(AbortReason),
    ErrorPdu,
    Timeout,
    /// TR-Invoke.res.
    Accept(&'a [u8]),
    /// TR-Result.req, or TR-ResultData.req.
    Result(Bytes, Fragment),
    /// TR-Abort.req.
    AbortRequest(u8),
}

impl Responder {
    /// What stands in for a responder until its transaction has a handle.
    pub(super) const fn unborn(now: Instant) -> Self {
        Self {
            state: State::WaitTimeout {
                until: now,
                exit_info: Bytes::new(),
            },
            answer: None,
            last_psn: None,
        }
    }

    /// LISTEN / RcvInvoke, class 1 or 2.
    pub(super) fn listen(
        shared: &mut Shared,
        invoke: &Invoke<'_>,
        verdict: Verdict,
        turn: &mut Turn<'_>,
    ) -> (Self, Fate) {
        let doubt = (verdict == Verdict::Verify).then_some(Doubt {
            tid_new: invoke.tid_new,
        });
        let mut responder = Self::unborn(turn.now);
        let packet = &invoke.packet;
        if let Err(reason) = shared.check_room(0, packet, turn) {
            return (
                responder,
                shared.refuse(AbortReason::Provider(reason), turn),
            );
        }
        let fate = if !packet.trailer.ends_message() {
            responder.state = State::Receiving {
                receiver: Box::new(Receiver::new(turn.now, turn.config)),
                doubt,
                indicated: false,
            };
            responder.receive(0, packet, shared, turn)
        } else if let Some(doubt) = doubt {
            // Class 1 or 2, invalid TID.
            let held = Held::of(packet.data, shared, turn);
            responder.ask(held, doubt, None, shared, turn);
            Fate::Lives
        } else {
            // Class 1 or 2, valid TID, with and without flag U/P.
            let data = Bytes::copy_from_slice(packet.data);
            responder.begin(data, Fragment::WHOLE, shared, turn)
        };
        (responder, fate)
    }

    /// One row of the state tables.
    pub(super) fn step(
        &mut self,
        event: Event<'_>,
        shared: &mut Shared,
        turn: &mut Turn<'_>,
    ) -> Fate {
        let (now, config) = (turn.now, turn.config);
        match (&mut self.state, event) {
            // --- Segments of the Invoke (7.14, 7.15) ---
            (State::Receiving { .. }, Event::Invoke(invoke)) => {
                self.receive(0, &invoke.packet, shared, turn)
            }
            (State::Receiving { .. }, Event::Segment(low, packet)) => {
                shared.learn(packet.tpis);
                self.receive(low, &packet, shared, turn)
            }
            (
                State::Receiving {
                    receiver,
                    indicated,
                    ..
                },
                Event::Timeout,
            ) => match receiver.expire(now) {
                Lapse::NotYet => Fate::Lives,
                Lapse::Nack { up_to } => {
                    self.answer = Some(Answer::Nack { up_to });
                    Fate::Lives
                }
                Lapse::Abandoned if *indicated => {
                    turn.stats.abandoned += 1;
                    shared.give_up(turn)
                }
                Lapse::Abandoned => {
                    turn.stats.abandoned += 1;
                    Fate::Over
                }
            },
            (State::Receiving { indicated, .. }, Event::Abort(reason)) => {
                if *indicated {
                    shared.indicate_abort(reason, turn)
                } else {
                    Fate::Over
                }
            }
            (State::Receiving { indicated, .. }, Event::ErrorPdu) => {
                if *indicated {
                    shared.abort(ProviderAbort::PROTOERR, turn)
                } else {
                    shared.refuse(PROTOERR, turn)
                }
            }
            (State::Receiving { .. }, Event::AbortRequest(reason)) => {
                shared.abort_quietly(AbortReason::User(reason), turn)
            }

            // --- TIDOK WAIT ---
            // RcvAck, class 2 or 1, TIDok.
            (State::TidokWait { held, doubt, .. }, Event::Ack(ack)) if ack.verify => {
                let tid_new = doubt.tid_new;
                match std::mem::replace(held, Held::Dropped { vouched: true }) {
                    Held::Message(data) => {
                        if !self.vouched(tid_new, shared, turn) {
                            return Fate::Over;
                        }
                        self.begin(data, Fragment::WHOLE, shared, turn)
                    }
                    Held::Segments(receiver) => {
                        if !self.vouched(tid_new, shared, turn) {
                            return Fate::Over;
                        }
                        self.resume(receiver, shared, turn)
                    }
                    // Its message is gone: a peer with re-assembly can be asked for it, any other
                    // repeats it or repeats the Ack until it gives up.
                    Held::Dropped { .. } => {
                        self.answer = shared.capabilities.sar.then_some(Answer::NackAll);
                        Fate::Lives
                    }
                }
            }
            // RcvErrorPDU.
            (State::TidokWait { .. }, Event::ErrorPdu) => {
                turn.stats.unverified += 1;
                shared.refuse(PROTOERR, turn)
            }
            // RcvAbort.
            (State::TidokWait { .. }, Event::Abort(_)) => {
                turn.stats.unverified += 1;
                Fate::Over
            }
            // RcvInvoke, RID=1: and the message is taken if it was dropped before. RID=0: ignored.
            (State::TidokWait { held, doubt, .. }, Event::Invoke(invoke)) => {
                shared.note_duplicate(turn);
                if invoke.packet.repeated && invoke.packet.trailer.ends_message() {
                    let tid_new = doubt.tid_new;
                    if matches!(held, Held::Dropped { vouched: true }) {
                        if !self.vouched(tid_new, shared, turn) {
                            return Fate::Over;
                        }
                        let data = Bytes::copy_from_slice(invoke.packet.data);
                        return self.begin(data, Fragment::WHOLE, shared, turn);
                    }
                    if matches!(held, Held::Dropped { .. }) {
                        *held = Held::of(invoke.packet.data, shared, turn);
                    }
                    self.ask_again(None, turn);
                }
                Fate::Lives
            }
            // A repeated end of the first group means that the question was lost.
            (State::TidokWait { held, .. }, Event::Segment(_, packet)) => {
                shared.note_duplicate(turn);
                if let Held::Segments(receiver) = held
                    && packet.repeated
                {
                    let psn = receiver.acked();
                    self.ask_again(psn, turn);
                }
                Fate::Lives
            }
            // The table gives no end to the wait; ours comes after the sender's last possible repeat.
            (State::TidokWait { forget_at, .. }, Event::Timeout) => {
                if *forget_at > now {
                    return Fate::Lives;
                }
                turn.stats.unverified += 1;
                Fate::Over
            }

            // --- INVOKE RESP WAIT ---
            // TR-Invoke.res, class 1, with and without exit info. The ack may wait for A; it does not.
            (State::InvokeRespWait { .. }, Event::Accept(info)) if shared.class == Class::One => {
                self.acknowledge_last(exit_info(info), turn)
            }
            // TR-Invoke.res, class 2. Exit info must not go with it (7.4.4).
            (State::InvokeRespWait { .. }, Event::Accept(_)) => {
                self.state = State::ResultWait {
                    ack_at: Some(now + config.base_ack),
                    acked: false,
                };
                Fate::Lives
            }
            // TR-Result.req.
            (State::InvokeRespWait { .. }, Event::Result(data, fragment)) => {
                self.send_result(data, fragment, shared, turn)
            }
            // TR-Abort.req.
            (State::InvokeRespWait { .. }, Event::AbortRequest(reason)) => {
                shared.abort_quietly(AbortReason::User(reason), turn)
            }
            // RcvAbort.
            (State::InvokeRespWait { .. }, Event::Abort(reason)) => {
                shared.indicate_abort(reason, turn)
            }
            // RcvInvoke: ignored, and with user acknowledgement the timer starts anew (7.3.3).
            (State::InvokeRespWait { ack_at, .. }, Event::Invoke(_) | Event::Segment(..)) => {
                shared.note_duplicate(turn);
                if shared.user_ack {
                    *ack_at = now + ack_interval(shared, config);
                }
                Fate::Lives
            }
            // RcvErrorPDU.
            (State::InvokeRespWait { .. }, Event::ErrorPdu) => {
                shared.abort(ProviderAbort::PROTOERR, turn)
            }
            // TimerTO_A: the printed rows for AEC have no condition on Uack, without which user
            // acknowledgement would mean nothing; they are those of Uack == True.
            (
                State::InvokeRespWait {
                    ack_at,
                    expirations,
                },
                Event::Timeout,
            ) => {
                if *ack_at > now {
                    return Fate::Lives;
                }
                match (shared.user_ack, shared.class) {
                    // AEC < AEC_MAX.
                    (true, _) if *expirations < config.max_ack_expirations => {
                        *expirations += 1;
                        *ack_at = now + ack_interval(shared, config);
                        Fate::Lives
                    }
                    // AEC == AEC_MAX.
                    (true, _) => shared.abort(ProviderAbort::NORESPONSE, turn),
                    // Class 1, Uack == False.
                    (false, Class::Zero | Class::One) => self.acknowledge_last(Bytes::new(), turn),
                    // Class 2, Uack == False.
                    (false, Class::Two) => {
                        self.state = State::ResultWait {
                            ack_at: None,
                            acked: true,
                        };
                        self.hold_on(false);
                        Fate::Lives
                    }
                }
            }

            // --- RESULT WAIT ---
            // TR-Result.req.
            (State::ResultWait { .. }, Event::Result(data, fragment)) => {
                self.send_result(data, fragment, shared, turn)
            }
            // RcvInvoke, RID=0 and RID=1: ignored, unless RID=1 and the ack was sent already.
            (
                State::ResultWait { acked, .. },
                Event::Invoke(Invoke { packet, .. }) | Event::Segment(_, packet),
            ) => {
                shared.note_duplicate(turn);
                if packet.repeated && *acked && self.answer.is_none() {
                    self.hold_on(true);
                }
                Fate::Lives
            }
            // RcvErrorPDU.
            (State::ResultWait { .. }, Event::ErrorPdu) => {
                shared.abort(ProviderAbort::PROTOERR, turn)
            }
            // TR-Abort.req.
            (State::ResultWait { .. }, Event::AbortRequest(reason)) => {
                shared.abort_quietly(AbortReason::User(reason), turn)
            }
            // RcvAbort.
            (State::ResultWait { .. }, Event::Abort(reason)) => shared.indicate_abort(reason, turn),
            // TimerTO_A: once, and then the user may think for as long as it likes.
            (State::ResultWait { ack_at, acked }, Event::Timeout) => {
                if ack_at.is_some_and(|at| at <= now) {
                    *ack_at = None;
                    *acked = true;
                    self.hold_on(false);
                }
                Fate::Lives
            }

            // --- RESULT RESP WAIT ---
            // TR-Abort.req.
            (State::ResultRespWait { .. }, Event::AbortRequest(reason)) => {
                shared.abort_quietly(AbortReason::User(reason), turn)
            }
            // RcvAbort.
            (State::ResultRespWait { .. }, Event::Abort(reason)) => {
                shared.indicate_abort(reason, turn)
            }
            // RcvAck, TIDok: ignored.
            (State::ResultRespWait { .. }, Event::Ack(ack)) if ack.verify => Fate::Lives,
            // RcvAck: of a group, or of all.
            (State::ResultRespWait { sender }, Event::Ack(ack)) => {
                let delay = shared.learn(ack.tpis);
                match sender.ack(now, ack.tpis.psn(), delay, &shared.capabilities, config) {
                    Progress::None | Progress::Some => Fate::Lives,
                    Progress::Done => {
                        turn.indications.push_back(Indication::ResultConfirmed {
                            handle: shared.handle,
                            exit_info: ack.tpis.info().map_or_else(Bytes::new, exit_info),
                            report: shared.report,
                        });
                        Fate::Over
                    }
                }
            }
            // Selective retransmission (7.14.4).
            (State::ResultRespWait { sender }, Event::Nack(nack)) => {
                shared.learn(nack.tpis);
                sender.nack(
                    now,
                    nack.missing,
                    nack.tpis.psn(),
                    &shared.capabilities,
                    config,
                );
                Fate::Lives
            }
            // TR-ResultData.req.
            (State::ResultRespWait { sender }, Event::Result(data, fragment)) => {
                sender.push(now, (data, fragment), &shared.capabilities, config);
                Fate::Lives
            }
            // RcvErrorPDU.
            (State::ResultRespWait { .. }, Event::ErrorPdu) => {
                shared.abort(ProviderAbort::PROTOERR, turn)
            }
            // TimerTO_R.
            (State::ResultRespWait { sender }, Event::Timeout) => {
                match sender.expire(now, &shared.capabilities, config) {
                    Expiry::NotYet | Expiry::Resumed => Fate::Lives,
                    Expiry::Again => {
                        sender.repeat();
                        Fate::Lives
                    }
                    Expiry::GaveUp => shared.give_up(turn),
                }
            }
            // Not in the table; it happens when the Result and a repeated Invoke cross.
            (State::ResultRespWait { .. }, Event::Invoke(_) | Event::Segment(..)) => {
                shared.note_duplicate(turn);
                Fate::Lives
            }

            // --- WAIT TIMEOUT ---
            // RcvInvoke, RID=0: ignored. RID=1, with and without exit info.
            (
                State::WaitTimeout { .. },
                Event::Invoke(Invoke { packet, .. }) | Event::Segment(_, packet),
            ) => {
                shared.note_duplicate(turn);
                if packet.repeated {
                    self.repeat_last();
                }
                Fate::Lives
            }
            // RcvAck, TIDok, RID=1, with and without exit info.
            (State::WaitTimeout { .. }, Event::Ack(ack)) => {
                if ack.verify && ack.repeated {
                    self.repeat_last();
                }
                Fate::Lives
            }
            // RcvErrorPDU.
            (State::WaitTimeout { .. }, Event::ErrorPdu) => {
                shared.abort(ProviderAbort::PROTOERR, turn)
            }
            // RcvAbort.
            (State::WaitTimeout { .. }, Event::Abort(reason)) => {
                shared.indicate_abort(reason, turn)
            }
            // TimerTO_W.
            (State::WaitTimeout { until, .. }, Event::Timeout) => {
                if *until <= now {
                    Fate::Over
                } else {
                    Fate::Lives
                }
            }
            // TR-Abort.req.
            (State::WaitTimeout { .. }, Event::AbortRequest(reason)) => {
                shared.abort_quietly(AbortReason::User(reason), turn)
            }
            // Without user acknowledgement A is zero: the ack is due before the user can attach exit info,
            // but as long as it was not sent it still can.
            (
                State::WaitTimeout {
                    exit_info: kept, ..
                },
                Event::Accept(info),
            ) => {
                if self.answer.is_some() {
                    *kept = exit_info(info);
                }
                Fate::Lives
            }

            // Pairs without a row: late copies, and users who speak out of turn.
            (State::Receiving { .. }, Event::Ack(_) | Event::Nack(_))
            | (State::TidokWait { .. }, Event::Ack(_) | Event::Nack(_))
            | (
                State::InvokeRespWait { .. } | State::ResultWait { .. },
                Event::Ack(_) | Event::Nack(_),
            )
            | (State::WaitTimeout { .. }, Event::Nack(_)) => Fate::Lives,
            (
                State::Receiving { .. } | State::TidokWait { .. },
                Event::Accept(_) | Event::Result(..),
            )
            | (State::TidokWait { .. }, Event::AbortRequest(_))
            | (State::ResultWait { .. } | State::ResultRespWait { .. }, Event::Accept(_))
            | (State::WaitTimeout { .. }, Event::Result(..)) => Fate::Lives,
        }
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Receiving { receiver, .. } => Some(receiver.deadline()),
            State::TidokWait { forget_at, .. } => Some(*forget_at),
            State::InvokeRespWait { ack_at, .. } => Some(*ack_at),
            State::ResultWait { ack_at, .. } => *ack_at,
            State::ResultRespWait { sender } => sender.deadline(),
            State::WaitTimeout { until, .. } => Some(*until),
        }
    }

    pub(super) fn has_something_to_say(&self) -> bool {
        self.answer.is_some()
            || matches!(&self.state, State::ResultRespWait { sender } if sender.has_packets())
    }

    /// Octets the next PDU may have.
    pub(super) fn largest(&self) -> usize {
        match (&self.answer, &self.state) {
            (Some(Answer::Nack { .. }), _) => LONGEST_HEADER + 255,
            (Some(_), State::WaitTimeout { exit_info, .. }) => LONGEST_HEADER + exit_info.len(),
            (Some(_), _) => LONGEST_HEADER,
            (None, State::ResultRespWait { sender }) => LONGEST_HEADER + sender.packet_len(),
            (None, _) => 0,
        }
    }

    /// Appends the next PDU.
    pub(super) fn say(
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

    /// The name of the state in the specification's tables.
    pub(super) const fn state_name(&self) -> &'static str {
        match &self.state {
            State::Receiving { .. } => "RECEIVING",
            State::TidokWait { .. } => "TIDOK WAIT",
            State::InvokeRespWait { .. } => "INVOKE RESP WAIT",
            State::ResultWait { .. } => "RESULT WAIT",
            State::ResultRespWait { .. } => "RESULT RESP WAIT",
            State::WaitTimeout { .. } => "WAIT TIMEOUT",
        }
    }

    pub(super) fn footprint(&self) -> Charge {
        let (reassembly, doubted) = match &self.state {
            State::Receiving {
                receiver, doubt, ..
            } => (receiver.footprint(), doubt.is_some()),
            State::TidokWait { held, .. } => match held {
                Held::Message(data) => (data.len(), true),
                Held::Segments(receiver) => (receiver.footprint(), true),
                Held::Dropped { .. } => (0, true),
            },
            State::InvokeRespWait { .. }
            | State::ResultWait { .. }
            | State::ResultRespWait { .. }
            | State::WaitTimeout { .. } => (0, false),
        };
        Charge {
            reassembly,
            unverified: if doubted { reassembly } else { 0 },
        }
    }

    /// A packet of the Invoke.
    fn receive(
        &mut self,
        low: u8,
        packet: &Packet<'_>,
        shared: &mut Shared,
        turn: &mut Turn<'_>,
    ) -> Fate {
        let State::Receiving {
            receiver,
            doubt,
            indicated,
        } = &mut self.state
        else {
            return Fate::Lives;
        };
        if let Err(reason) = shared.check_room(receiver.message_len(), packet, turn) {
            return if *indicated {
                shared.abort(reason, turn)
            } else {
                shared.refuse(AbortReason::Provider(reason), turn)
            };
        }
        let address = shared.peer.remote.ip();
        if doubt.is_some() && turn.pool.unverified_room(address, turn.config) < packet.data.len() {
            // As if it were lost; the Nack will ask for it.
            turn.stats.refused_unverified += 1;
            return Fate::Lives;
        }
        let reception = receiver.hear(turn.now, low, packet, turn.config);
        match reception {
            Reception::Stored => {}
            Reception::Duplicate => shared.note_duplicate(turn),
            Reception::Impossible => turn.stats.strays += 1,
            Reception::Nack { up_to } => self.answer = Some(Answer::Nack { up_to }),
            Reception::Ack {
                psn,
                repeated,
                duplicate,
            } => {
                if duplicate {
                    shared.note_duplicate(turn);
                }
                if let Some(doubt) = *doubt {
                    let held =
                        std::mem::replace(receiver, Box::new(Receiver::new(turn.now, turn.config)));
                    self.ask(Held::Segments(held), doubt, Some(psn), shared, turn);
                    return Fate::Lives;
                }
                self.answer = Some(Answer::Ack {
                    psn: Some(psn),
                    repeated,
                });
            }
        }
        self.deliver(shared, turn)
    }

    /// The first group was verified; go on with the rest, if any.
    fn resume(
        &mut self,
        receiver: Box<Receiver>,
        shared: &mut Shared,
        turn: &mut Turn<'_>,
    ) -> Fate {
        self.state = State::Receiving {
            receiver,
            doubt: None,
            indicated: false,
        };
        if let State::Receiving { receiver, .. } = &mut self.state {
            receiver.keep_until(turn.now + turn.config.wait_timeout);
        }
        self.deliver(shared, turn)
    }

    /// Gives the user what is whole; with the last of it the transaction proper begins.
    fn deliver(&mut self, shared: &mut Shared, turn: &mut Turn<'_>) -> Fate {
        loop {
            let State::Receiving {
                receiver,
                doubt: None,
                indicated,
            } = &mut self.state
            else {
                return Fate::Lives;
            };
            let Some((data, fragment)) = receiver.take_unit() else {
                return Fate::Lives;
            };
            let first = !std::mem::replace(indicated, true);
            if fragment.more {
                indicate(data, fragment, first, shared, turn);
                continue;
            }
            turn.stats.reassembled += 1;
            self.last_psn = receiver.acked();
            // The Result, or the ack of the transaction, stands for that of the last group (Fig. 10).
            self.answer = None;
            if first {
                return self.begin(data, fragment, shared, turn);
            }
            indicate(data, fragment, false, shared, turn);
            return self.await_user(shared, turn);
        }
    }

    /// Generate TR-Invoke.ind, start timer A.
    fn begin(
        &mut self,
        data: Bytes,
        fragment: Fragment,
        shared: &mut Shared,
        turn: &mut Turn<'_>,
    ) -> Fate {
        indicate(data, fragment, true, shared, turn);
        self.await_user(shared, turn)
    }

    fn await_user(&mut self, shared: &Shared, turn: &mut Turn<'_>) -> Fate {
        let interval = ack_interval(shared, turn.config);
        if interval.is_zero() {
            return self.acknowledge_last(Bytes::new(), turn);
        }
        self.state = State::InvokeRespWait {
            ack_at: turn.now + interval,
            expirations: 0,
        };
        Fate::Lives
    }

    /// Send Ack(TIDve).
    fn ask(
        &mut self,
        held: Held,
        doubt: Doubt,
        psn: Option<Psn>,
        shared: &mut Shared,
        turn: &mut Turn<'_>,
    ) {
        let config = turn.config;
        let repeats = u32::from(config.max_retransmissions) + 1;
        self.state = State::TidokWait {
            held,
            doubt,
            forget_at: turn.now + config.base_retry * repeats,
        };
        self.answer = Some(Answer::Verify {
            psn,
            repeated: false,
        });
        shared.report.verified = true;
        turn.stats.verifications += 1;
    }

    fn ask_again(&mut self, psn: Option<Psn>, turn: &mut Turn<'_>) {
        self.answer = Some(Answer::Verify {
            psn,
            repeated: true,
        });
        turn.stats.verifications += 1;
    }

    /// The initiator has such a transaction. Says whether this is the first we hear of it; if not, late copies
    /// speak, and it is forgotten without a word, since the initiator may have its answer.
    fn vouched(&mut self, tid_new: bool, shared: &Shared, turn: &mut Turn<'_>) -> bool {
        self.answer = None;
        let tid = shared.send_tid & 0x7FFF;
        let (config, stats) = (turn.config, &mut *turn.stats);
        turn.peers
            .verified(turn.now, shared.peer, tid, tid_new, config, stats)
    }

    /// Ack of a class 1 transaction; start timer W.
    fn acknowledge_last(&mut self, exit_info: Bytes, turn: &Turn<'_>) -> Fate {
        self.state = State::WaitTimeout {
            until: turn.now + turn.config.wait_timeout,
            exit_info,
        };
        self.answer = Some(Answer::Ack {
            psn: self.last_psn,
            repeated: false,
        });
        Fate::Lives
    }

    fn repeat_last(&mut self) {
        if self.answer.is_none() {
            self.answer = Some(Answer::Ack {
                psn: self.last_psn,
                repeated: true,
            });
        }
    }

    const fn hold_on(&mut self, repeated: bool) {
        self.answer = Some(Answer::Ack {
            psn: self.last_psn,
            repeated,
        });
    }

    /// Reset RCR, start timer R, send Result PDU.
    fn send_result(
        &mut self,
        data: Bytes,
        fragment: Fragment,
        shared: &Shared,
        turn: &mut Turn<'_>,
    ) -> Fate {
        if shared.class != Class::Two {
            return Fate::Lives;
        }
        let (config, peer) = (turn.config, &shared.capabilities);
        if peer
            .max_receive_unit
            .is_some_and(|limit| data.len() > limit as usize)
        {
            return shared.abort(ProviderAbort::MESSAGETOOLARGE, turn);
        }
        // Extended SAR is needed for more than one data unit.
        if fragment.more && peer.window(config).is_none() {
            return shared.abort(ProviderAbort::NOTIMPLEMENTEDESAR, turn);
        }
        match Sender::new(turn.now, (data, fragment), config.long_retry, peer, config) {
            Ok(sender) => {
                self.answer = None;
                let sender = Box::new(sender);
                self.state = State::ResultRespWait { sender };
                Fate::Lives
            }
            Err(reason) => shared.abort(reason, turn),
        }
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

impl Held {
    fn of(data: &[u8], shared: &Shared, turn: &mut Turn<'_>) -> Self {
        let room = turn
            .pool
            .unverified_room(shared.peer.remote.ip(), turn.config);
        if data.len() > room {
            turn.stats.refused_unverified += 1;
            return Self::Dropped { vouched: false };
        }
        Self::Message(Bytes::copy_from_slice(data))
    }
}

fn indicate(data: Bytes, fragment: Fragment, first: bool, shared: &Shared, turn: &mut Turn<'_>) {
    let handle = shared.handle;
    turn.indications.push_back(if first {
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

/// The interval A of this transaction (WTP appendix A, "timer usage").
fn ack_interval(shared: &Shared, config: &super::Config) -> std::time::Duration {
    match (shared.class, shared.user_ack) {
        (Class::Two, _) => config.base_ack,
        (Class::Zero | Class::One, true) => config.short_ack,
        (Class::Zero | Class::One, false) => std::time::Duration::ZERO,
    }
}

const PROTOERR: AbortReason = AbortReason::Provider(ProviderAbort::PROTOERR);
