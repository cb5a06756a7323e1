//! The responder of one transaction of class 1 or 2 (WTP 9.6).
//!
//! The arms of each `match` follow the rows of the specification's tables and name them.
//! Segmentation has no table in the specification: it is the state `Receiving` before LISTEN's
//! first row, and the [`Sender`] inside RESULT RESP WAIT.

mod actions;
mod encode;

use std::time::Duration;

use bytes::Bytes;

use crate::time::Instant;
use crate::wtp::abort::{AbortReason, ProviderAbort};
use crate::wtp::config::Config;
use crate::wtp::indication::{Fragment, Indication};
use crate::wtp::pdu::{Ack, Class, Invoke, Nack, Packet};
use crate::wtp::pool::Charge;
use crate::wtp::receiver::{Receiver, Timeout};
use crate::wtp::sender::{Expiry, Progress, Sender};
use crate::wtp::shared::{Answer, Outcome, Shared, StepContext, exit_info};
use crate::wtp::tid::TidTest;
use crate::wtp::tpi::Psn;

/// One transaction begun by a peer.
#[derive(Clone, Debug, Hash)]
pub(in crate::wtp) struct Responder {
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
        verification: Option<Verification>,
        /// Data units given to the user already (extended SAR).
        indicated: bool,
    },
    /// TIDOK WAIT.
    TidokWait {
        held: Held,
        verification: Verification,
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
struct Verification {
    tid_new: bool,
}

/// The part of an Invoke that is kept during verification.
#[derive(Clone, Debug, Hash)]
enum Held {
    Message(Bytes),
    Segments(Box<Receiver>),
    /// The limits left no room for the body. `vouched`: the initiator has confirmed its TID, only
    /// the message is missing.
    Dropped {
        vouched: bool,
    },
}

/// Events of a responder.
#[derive(Clone, Debug)]
pub(in crate::wtp) enum Event<'a> {
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
    /// A placeholder until the transaction has a handle.
    pub(in crate::wtp) const fn unborn(now: Instant) -> Self {
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
    pub(in crate::wtp) fn listen(
        shared: &mut Shared,
        invoke: &Invoke<'_>,
        tid_test: TidTest,
        cx: &mut StepContext<'_>,
    ) -> (Self, Outcome) {
        let verification = (tid_test == TidTest::Verify).then_some(Verification {
            tid_new: invoke.tid_new,
        });
        let mut responder = Self::unborn(cx.now);
        let packet = &invoke.packet;
        if let Err(reason) = shared.check_room(0, packet, cx) {
            return (responder, shared.refuse(AbortReason::Provider(reason), cx));
        }
        let outcome = if !packet.trailer.ends_message() {
            responder.state = State::Receiving {
                receiver: Box::new(Receiver::new(cx.now, cx.config)),
                verification,
                indicated: false,
            };
            responder.receive(0, packet, shared, cx)
        } else if let Some(verification) = verification {
            // Class 1 or 2, invalid TID.
            let held = Held::of(packet.data, shared, cx);
            responder.ask(held, verification, None, shared, cx);
            Outcome::Lives
        } else {
            // Class 1 or 2, valid TID, with and without flag U/P.
            let data = Bytes::copy_from_slice(packet.data);
            responder.begin(data, Fragment::WHOLE, shared, cx)
        };
        (responder, outcome)
    }

    /// One row of the state tables.
    pub(in crate::wtp) fn step(
        &mut self,
        event: Event<'_>,
        shared: &mut Shared,
        cx: &mut StepContext<'_>,
    ) -> Outcome {
        let (now, config) = (cx.now, cx.config);
        match (&mut self.state, event) {
            // --- Segments of the Invoke (7.14, 7.15) ---
            (State::Receiving { .. }, Event::Invoke(invoke)) => {
                self.receive(0, &invoke.packet, shared, cx)
            }
            (State::Receiving { .. }, Event::Segment(low, packet)) => {
                shared.learn(packet.tpis);
                self.receive(low, &packet, shared, cx)
            }
            (
                State::Receiving {
                    receiver,
                    indicated,
                    ..
                },
                Event::Timeout,
            ) => match receiver.expire(now) {
                Timeout::NotYet => Outcome::Lives,
                Timeout::Nack { up_to } => {
                    self.answer = Some(Answer::Nack { up_to });
                    Outcome::Lives
                }
                Timeout::Abandoned if *indicated => {
                    cx.stats.abandoned += 1;
                    shared.give_up(cx)
                }
                Timeout::Abandoned => {
                    cx.stats.abandoned += 1;
                    Outcome::Over
                }
            },
            (State::Receiving { indicated, .. }, Event::Abort(reason)) => {
                if *indicated {
                    shared.indicate_abort(reason, cx)
                } else {
                    Outcome::Over
                }
            }
            (State::Receiving { indicated, .. }, Event::ErrorPdu) => {
                if *indicated {
                    shared.abort(ProviderAbort::PROTOERR, cx)
                } else {
                    shared.refuse(PROTOERR, cx)
                }
            }
            (State::Receiving { .. }, Event::AbortRequest(reason)) => {
                shared.abort_quietly(AbortReason::User(reason), cx)
            }

            // --- TIDOK WAIT ---
            // RcvAck, class 2 or 1, TIDok.
            (
                State::TidokWait {
                    held, verification, ..
                },
                Event::Ack(ack),
            ) if ack.verify => {
                let tid_new = verification.tid_new;
                match std::mem::replace(held, Held::Dropped { vouched: true }) {
                    Held::Message(data) => {
                        if !self.vouched(tid_new, shared, cx) {
                            return Outcome::Over;
                        }
                        self.begin(data, Fragment::WHOLE, shared, cx)
                    }
                    Held::Segments(receiver) => {
                        if !self.vouched(tid_new, shared, cx) {
                            return Outcome::Over;
                        }
                        self.resume(receiver, shared, cx)
                    }
                    // Its message is gone: a peer with re-assembly can be asked for it, any other
                    // repeats it or repeats the Ack until it gives up.
                    Held::Dropped { .. } => {
                        self.answer = shared.capabilities.sar.then_some(Answer::NackAll);
                        Outcome::Lives
                    }
                }
            }
            // RcvErrorPDU.
            (State::TidokWait { .. }, Event::ErrorPdu) => {
                cx.stats.unverified += 1;
                shared.refuse(PROTOERR, cx)
            }
            // RcvAbort.
            (State::TidokWait { .. }, Event::Abort(_)) => {
                cx.stats.unverified += 1;
                Outcome::Over
            }
            // RcvInvoke, RID=1: and the message is taken if it was dropped before. RID=0: ignored.
            (
                State::TidokWait {
                    held, verification, ..
                },
                Event::Invoke(invoke),
            ) => {
                shared.note_duplicate(cx);
                if invoke.packet.repeated && invoke.packet.trailer.ends_message() {
                    let tid_new = verification.tid_new;
                    if matches!(held, Held::Dropped { vouched: true }) {
                        if !self.vouched(tid_new, shared, cx) {
                            return Outcome::Over;
                        }
                        let data = Bytes::copy_from_slice(invoke.packet.data);
                        return self.begin(data, Fragment::WHOLE, shared, cx);
                    }
                    if matches!(held, Held::Dropped { .. }) {
                        *held = Held::of(invoke.packet.data, shared, cx);
                    }
                    self.ask_again(None, cx);
                }
                Outcome::Lives
            }
            // A repeated end of the first group means that the question was lost.
            (State::TidokWait { held, .. }, Event::Segment(_, packet)) => {
                shared.note_duplicate(cx);
                if let Held::Segments(receiver) = held
                    && packet.repeated
                {
                    let psn = receiver.acked();
                    self.ask_again(psn, cx);
                }
                Outcome::Lives
            }
            // The table gives no end to the wait; ours comes after the sender's last possible
            // repeat.
            (State::TidokWait { forget_at, .. }, Event::Timeout) => {
                if *forget_at > now {
                    return Outcome::Lives;
                }
                cx.stats.unverified += 1;
                Outcome::Over
            }

            // --- INVOKE RESP WAIT ---

            // TR-Invoke.res, class 1, with and without exit info. The ack
            // may wait for A; it does not.
            (State::InvokeRespWait { .. }, Event::Accept(info)) if shared.class == Class::One => {
                self.acknowledge_last(exit_info(info), cx)
            }
            // TR-Invoke.res, class 2. Exit info must not go with it (7.4.4).
            (State::InvokeRespWait { .. }, Event::Accept(_)) => {
                self.state = State::ResultWait {
                    ack_at: Some(now + config.base_ack),
                    acked: false,
                };
                Outcome::Lives
            }
            // TR-Result.req.
            (State::InvokeRespWait { .. }, Event::Result(data, fragment)) => {
                self.send_result(data, fragment, shared, cx)
            }
            // TR-Abort.req.
            (State::InvokeRespWait { .. }, Event::AbortRequest(reason)) => {
                shared.abort_quietly(AbortReason::User(reason), cx)
            }
            // RcvAbort.
            (State::InvokeRespWait { .. }, Event::Abort(reason)) => {
                shared.indicate_abort(reason, cx)
            }
            // RcvInvoke: ignored. With user acknowledgement the timer starts again (7.3.3).
            (State::InvokeRespWait { ack_at, .. }, Event::Invoke(_) | Event::Segment(..)) => {
                shared.note_duplicate(cx);
                if shared.user_ack {
                    *ack_at = now + ack_interval(shared, config);
                }
                Outcome::Lives
            }
            // RcvErrorPDU.
            (State::InvokeRespWait { .. }, Event::ErrorPdu) => {
                shared.abort(ProviderAbort::PROTOERR, cx)
            }
            // TimerTO_A: the printed rows for AEC have no condition on Uack. User acknowledgement
            // would then have no meaning, so they are the rows of Uack == True.
            (
                State::InvokeRespWait {
                    ack_at,
                    expirations,
                },
                Event::Timeout,
            ) => {
                if *ack_at > now {
                    return Outcome::Lives;
                }
                match (shared.user_ack, shared.class) {
                    // AEC < AEC_MAX.
                    (true, _) if *expirations < config.max_ack_expirations => {
                        *expirations += 1;
                        *ack_at = now + ack_interval(shared, config);
                        Outcome::Lives
                    }
                    // AEC == AEC_MAX.
                    (true, _) => shared.abort(ProviderAbort::NORESPONSE, cx),
                    // Class 1, Uack == False.
                    (false, Class::Zero | Class::One) => self.acknowledge_last(Bytes::new(), cx),
                    // Class 2, Uack == False.
                    (false, Class::Two) => {
                        self.state = State::ResultWait {
                            ack_at: None,
                            acked: true,
                        };
                        self.hold_on(false);
                        Outcome::Lives
                    }
                }
            }

            // --- RESULT WAIT ---
            // TR-Result.req.
            (State::ResultWait { .. }, Event::Result(data, fragment)) => {
                self.send_result(data, fragment, shared, cx)
            }
            // RcvInvoke, RID=0 and RID=1: ignored, unless RID=1 and the ack was sent already.
            (
                State::ResultWait { acked, .. },
                Event::Invoke(Invoke { packet, .. }) | Event::Segment(_, packet),
            ) => {
                shared.note_duplicate(cx);
                if packet.repeated && *acked && self.answer.is_none() {
                    self.hold_on(true);
                }
                Outcome::Lives
            }
            // RcvErrorPDU.
            (State::ResultWait { .. }, Event::ErrorPdu) => {
                shared.abort(ProviderAbort::PROTOERR, cx)
            }
            // TR-Abort.req.
            (State::ResultWait { .. }, Event::AbortRequest(reason)) => {
                shared.abort_quietly(AbortReason::User(reason), cx)
            }
            // RcvAbort.
            (State::ResultWait { .. }, Event::Abort(reason)) => shared.indicate_abort(reason, cx),
            // TimerTO_A: once, and then the user may think for as long as it likes.
            (State::ResultWait { ack_at, acked }, Event::Timeout) => {
                if ack_at.is_some_and(|at| at <= now) {
                    *ack_at = None;
                    *acked = true;
                    self.hold_on(false);
                }
                Outcome::Lives
            }

            // --- RESULT RESP WAIT ---
            // TR-Abort.req.
            (State::ResultRespWait { .. }, Event::AbortRequest(reason)) => {
                shared.abort_quietly(AbortReason::User(reason), cx)
            }
            // RcvAbort.
            (State::ResultRespWait { .. }, Event::Abort(reason)) => {
                shared.indicate_abort(reason, cx)
            }
            // RcvAck, TIDok: ignored.
            (State::ResultRespWait { .. }, Event::Ack(ack)) if ack.verify => Outcome::Lives,
            // RcvAck: of a group, or of all.
            (State::ResultRespWait { sender }, Event::Ack(ack)) => {
                let delay = shared.learn(ack.tpis);
                let progress = sender.ack(now, ack.tpis.psn(), delay, &shared.capabilities, config);
                if let Some(proof) = sender.take_proof() {
                    cx.validation.note(now, shared.peer, proof);
                }
                match progress {
                    Progress::None | Progress::Some => Outcome::Lives,
                    Progress::Forged => shared.abort(ProviderAbort::PROTOERR, cx),
                    Progress::Done => {
                        cx.indications.push_back(Indication::ResultConfirmed {
                            handle: shared.handle,
                            exit_info: ack.tpis.info().map_or_else(Bytes::new, exit_info),
                            report: shared.report,
                        });
                        Outcome::Over
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
                Outcome::Lives
            }
            // TR-ResultData.req.
            (State::ResultRespWait { sender }, Event::Result(data, fragment)) => {
                sender.push(now, (data, fragment), &shared.capabilities, config);
                Outcome::Lives
            }
            // RcvErrorPDU.
            (State::ResultRespWait { .. }, Event::ErrorPdu) => {
                shared.abort(ProviderAbort::PROTOERR, cx)
            }
            // TimerTO_R.
            (State::ResultRespWait { sender }, Event::Timeout) => {
                match sender.expire(now, &shared.capabilities, config) {
                    Expiry::NotYet | Expiry::Resumed => Outcome::Lives,
                    Expiry::Again => {
                        sender.repeat();
                        Outcome::Lives
                    }
                    Expiry::GaveUp => shared.give_up(cx),
                }
            }
            // Not in the table; it happens when the Result and a repeated Invoke cross.
            (State::ResultRespWait { .. }, Event::Invoke(_) | Event::Segment(..)) => {
                shared.note_duplicate(cx);
                Outcome::Lives
            }

            // --- WAIT TIMEOUT ---
            // RcvInvoke, RID=0: ignored. RID=1, with and without exit info.
            (
                State::WaitTimeout { .. },
                Event::Invoke(Invoke { packet, .. }) | Event::Segment(_, packet),
            ) => {
                shared.note_duplicate(cx);
                if packet.repeated {
                    self.repeat_last();
                }
                Outcome::Lives
            }
            // RcvAck, TIDok, RID=1, with and without exit info.
            (State::WaitTimeout { .. }, Event::Ack(ack)) => {
                if ack.verify && ack.repeated {
                    self.repeat_last();
                }
                Outcome::Lives
            }
            // RcvErrorPDU.
            (State::WaitTimeout { .. }, Event::ErrorPdu) => {
                shared.abort(ProviderAbort::PROTOERR, cx)
            }
            // RcvAbort.
            (State::WaitTimeout { .. }, Event::Abort(reason)) => shared.indicate_abort(reason, cx),
            // TimerTO_W.
            (State::WaitTimeout { until, .. }, Event::Timeout) => {
                if *until <= now {
                    Outcome::Over
                } else {
                    Outcome::Lives
                }
            }
            // TR-Abort.req.
            (State::WaitTimeout { .. }, Event::AbortRequest(reason)) => {
                shared.abort_quietly(AbortReason::User(reason), cx)
            }
            // Without user acknowledgement A is zero: the ack is due before the user can attach
            // exit info, but as long as it was not sent it still can.
            (
                State::WaitTimeout {
                    exit_info: kept, ..
                },
                Event::Accept(info),
            ) => {
                if self.answer.is_some() {
                    *kept = exit_info(info);
                }
                Outcome::Lives
            }

            // Pairs without a row: late copies, and primitives out of turn.
            (State::Receiving { .. }, Event::Ack(_) | Event::Nack(_))
            | (State::TidokWait { .. }, Event::Ack(_) | Event::Nack(_))
            | (
                State::InvokeRespWait { .. } | State::ResultWait { .. },
                Event::Ack(_) | Event::Nack(_),
            )
            | (State::WaitTimeout { .. }, Event::Nack(_)) => Outcome::Lives,
            (
                State::Receiving { .. } | State::TidokWait { .. },
                Event::Accept(_) | Event::Result(..),
            )
            | (State::TidokWait { .. }, Event::AbortRequest(_))
            | (State::ResultWait { .. } | State::ResultRespWait { .. }, Event::Accept(_))
            | (State::WaitTimeout { .. }, Event::Result(..)) => Outcome::Lives,
        }
    }

    /// When something is due.
    pub(in crate::wtp) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Receiving { receiver, .. } => Some(receiver.deadline()),
            State::TidokWait { forget_at, .. } => Some(*forget_at),
            State::InvokeRespWait { ack_at, .. } => Some(*ack_at),
            State::ResultWait { ack_at, .. } => *ack_at,
            State::ResultRespWait { sender } => sender.deadline(),
            State::WaitTimeout { until, .. } => Some(*until),
        }
    }

    /// Whether the Invoke is incomplete or unverified, so that the user has no indication of it.
    pub(in crate::wtp) const fn is_incomplete(&self) -> bool {
        matches!(
            self.state,
            State::Receiving {
                indicated: false,
                ..
            } | State::TidokWait { .. }
        )
    }

    /// Of a segmented Invoke that is not whole: when its latest new packet came.
    pub(in crate::wtp) fn progress_at(&self) -> Option<Instant> {
        match &self.state {
            State::Receiving { receiver, .. } => Some(receiver.progress_at()),
            _ => None,
        }
    }

    /// The name of the state in the specification's tables.
    pub(in crate::wtp) const fn state_name(&self) -> &'static str {
        match &self.state {
            State::Receiving { .. } => "RECEIVING",
            State::TidokWait { .. } => "TIDOK WAIT",
            State::InvokeRespWait { .. } => "INVOKE RESP WAIT",
            State::ResultWait { .. } => "RESULT WAIT",
            State::ResultRespWait { .. } => "RESULT RESP WAIT",
            State::WaitTimeout { .. } => "WAIT TIMEOUT",
        }
    }

    pub(in crate::wtp) fn footprint(&self) -> Charge {
        let (reassembly, doubted) = match &self.state {
            State::Receiving {
                receiver,
                verification,
                ..
            } => (receiver.footprint(), verification.is_some()),
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
}

/// The interval A of this transaction (WTP appendix A, "timer usage").
fn ack_interval(shared: &Shared, config: &Config) -> Duration {
    match (shared.class, shared.user_ack) {
        (Class::Two, _) => config.base_ack,
        (Class::Zero | Class::One, true) => config.short_ack,
        (Class::Zero | Class::One, false) => Duration::ZERO,
    }
}

const PROTOERR: AbortReason = AbortReason::Provider(ProviderAbort::PROTOERR);
