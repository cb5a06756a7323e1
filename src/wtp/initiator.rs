//! The initiator of one transaction of class 1 or 2 (WTP 9.5).
//!
//! The arms of each `match` follow the rows of the specification's tables and name them.

use std::time::Duration;

use bytes::Bytes;

use super::abort::{AbortReason, ProviderAbort};
use super::config::Config;
use super::indication::{Fragment, Indication};
use super::pdu::{Ack, Class, Invoke, Nack, Packet, Pdu};
use super::pool::Charge;
use super::receiver::{Receiver, Timeout};
use super::sender::{Expiry, Sender};
use super::shared::{
    Answer, EncodeContext, Encoded, Items, LONGEST_HEADER, Outcome, Shared, StepContext, exit_info,
};
use super::tpi::{Parameter, Psn, Tpi};
use crate::time::Instant;

/// One transaction begun here.
#[derive(Clone, Debug, Hash)]
pub(super) struct Initiator {
    state: State,
    /// An acknowledgement to be sent.
    answer: Option<Answer>,
    /// Flag TIDnew of the Invoke.
    tid_new: bool,
    /// The last packet of the Result, when it was segmented.
    last_psn: Option<Psn>,
}

#[derive(Clone, Debug, Hash)]
enum State {
    /// NULL, held back while an earlier Invoke with TIDnew is not confirmed (7.8.3.2).
    Null { invoke: Bytes, fragment: Fragment },
    /// RESULT WAIT.
    ResultWait {
        sender: Box<Sender>,
        hold_on: bool,
        /// Ack(TIDok) was sent; from then on it is repeated, not the Invoke.
        vouched: bool,
        /// The Result comes in segments.
        receiver: Option<Box<Receiver>>,
        /// Data units given to the user already (extended SAR).
        indicated: bool,
    },
    /// RESULT RESP WAIT.
    ResultRespWait { ack_at: Instant, expirations: u8 },
    /// WAIT TIMEOUT.
    WaitTimeout { until: Instant, exit_info: Bytes },
}

/// Events of an initiator.
#[derive(Clone, Debug)]
pub(super) enum Event<'a> {
    Ack(Ack<'a>),
    Nack(Nack<'a>),
    Result(Packet<'a>),
    Segment(u8, Packet<'a>),
    Abort(AbortReason),
    ErrorPdu,
    Timeout,
    /// The Invoke with TIDnew that it waited for is confirmed, or has failed.
    Go,
    /// TR-InvokeData.req.
    InvokeData(Bytes, Fragment),
    /// TR-Result.res.
    Acknowledge(&'a [u8]),
    /// TR-Abort.req.
    AbortRequest(u8),
}

impl Initiator {
    /// NULL / TR-Invoke.req, class 2 or 1, held back for now.
    pub(super) const fn held(invoke: Bytes, fragment: Fragment) -> Self {
        Self {
            state: State::Null { invoke, fragment },
            answer: None,
            tid_new: false,
            last_psn: None,
        }
    }

    /// NULL / TR-Invoke.req, class 2 or 1, with and without user acknowledgement.
    pub(super) fn start(
        invoke: (Bytes, Fragment),
        tid_new: bool,
        shared: &Shared,
        now: Instant,
        config: &Config,
    ) -> Result<Self, ProviderAbort> {
        let retry = retry_interval(shared, config);
        let sender = Sender::new(now, invoke, retry, &shared.capabilities, config, None)?;
        Ok(Self {
            state: State::ResultWait {
                sender: Box::new(sender),
                hold_on: false,
                vouched: false,
                receiver: None,
                indicated: false,
            },
            answer: None,
            tid_new,
            last_psn: None,
        })
    }

    /// One row of the state tables.
    pub(super) fn step(
        &mut self,
        event: Event<'_>,
        shared: &mut Shared,
        cx: &mut StepContext<'_>,
    ) -> Outcome {
        let (now, config) = (cx.now, cx.config);
        match (&mut self.state, event) {
            // --- NULL ---
            (State::Null { invoke, fragment }, Event::Go) => {
                let invoke = (std::mem::take(invoke), *fragment);
                match Self::start(invoke, false, shared, now, config) {
                    Ok(started) => {
                        *self = started;
                        Outcome::Lives
                    }
                    Err(reason) => shared.indicate_abort(AbortReason::Provider(reason), cx),
                }
            }
            // No Invoke was sent, so the peer needs no Abort (7.7.4 A).
            (State::Null { .. }, Event::AbortRequest(_)) => Outcome::Over,

            // --- RESULT WAIT ---
            // TR-Abort.req.
            (State::ResultWait { .. }, Event::AbortRequest(reason)) => {
                shared.abort_quietly(AbortReason::User(reason), cx)
            }
            // RcvAck, TIDve, class 2 or 1; RCR < MAX_RCR, else ignored.
            (
                State::ResultWait {
                    sender, vouched, ..
                },
                Event::Ack(ack),
            ) if ack.verify => {
                let delay = shared.learn(ack.tpis);
                if sender.count_retry(now, &shared.capabilities, config) {
                    self.answer = Some(Answer::Verify {
                        psn: None,
                        repeated: *vouched,
                    });
                    shared.report.verified = true;
                    if !self.tid_new && !*vouched {
                        cx.peers.doubts(shared.peer, true);
                    }
                    *vouched = true;
                    // With segments the question acknowledges the first group (10.6.3).
                    if let Some(psn) = ack.tpis.psn()
                        && !sender.is_formed()
                    {
                        if sender.outgrows_plain(&shared.capabilities, config) {
                            return shared.abort(ProviderAbort::NOTIMPLEMENTEDESAR, cx);
                        }
                        sender.ack(now, Some(psn), delay, &shared.capabilities, config);
                    }
                }
                Outcome::Lives
            }
            // RcvAck of a group, not of the message (7.14.3).
            (
                State::ResultWait {
                    sender,
                    hold_on: false,
                    ..
                },
                Event::Ack(ack),
            ) if !is_last(sender, &ack) => {
                let delay = shared.learn(ack.tpis);
                if sender.outgrows_plain(&shared.capabilities, config) {
                    return shared.abort(ProviderAbort::NOTIMPLEMENTEDESAR, cx);
                }
                sender.ack(now, ack.tpis.psn(), delay, &shared.capabilities, config);
                Outcome::Lives
            }
            // RcvAck, class 2, HoldOn == False.
            (
                State::ResultWait {
                    sender, hold_on, ..
                },
                Event::Ack(ack),
            ) if shared.class == Class::Two && !*hold_on => {
                shared.learn(ack.tpis);
                *hold_on = true;
                sender.stop();
                confirm_invoke(&[], self.tid_new, shared, cx);
                Outcome::Lives
            }
            // RcvAck, class 2, HoldOn == True: ignored, except for its window.
            (State::ResultWait { hold_on: true, .. }, Event::Ack(ack)) => {
                shared.learn(ack.tpis);
                Outcome::Lives
            }
            // RcvAck, class 1.
            (State::ResultWait { .. }, Event::Ack(ack)) => {
                let info = ack.tpis.info().unwrap_or(&[]);
                confirm_invoke(info, self.tid_new, shared, cx);
                Outcome::Over
            }
            // Selective retransmission of the Invoke (7.14.4).
            (
                State::ResultWait {
                    sender, hold_on, ..
                },
                Event::Nack(nack),
            ) => {
                shared.learn(nack.tpis);
                if !*hold_on {
                    sender.nack(
                        now,
                        nack.missing,
                        nack.tpis.psn(),
                        &shared.capabilities,
                        config,
                    );
                }
                Outcome::Lives
            }
            // TR-InvokeData.req.
            (State::ResultWait { sender, .. }, Event::InvokeData(data, fragment)) => {
                sender.push(now, (data, fragment), &shared.capabilities, config);
                Outcome::Lives
            }
            // RcvAbort.
            (State::ResultWait { .. }, Event::Abort(reason)) => shared.indicate_abort(reason, cx),
            // RcvErrorPDU.
            (State::ResultWait { .. }, Event::ErrorPdu) => {
                shared.abort(ProviderAbort::PROTOERR, cx)
            }
            // TimerTO_R; once segments of the Result come, theirs.
            (
                State::ResultWait {
                    receiver: Some(receiver),
                    ..
                },
                Event::Timeout,
            ) => match receiver.expire(now) {
                Timeout::NotYet => Outcome::Lives,
                Timeout::Nack { up_to } => {
                    self.answer = Some(Answer::Nack { up_to });
                    Outcome::Lives
                }
                Timeout::Abandoned => {
                    cx.stats.abandoned += 1;
                    shared.give_up(cx)
                }
            },
            (
                State::ResultWait {
                    sender, vouched, ..
                },
                Event::Timeout,
            ) => {
                match sender.expire(now, &shared.capabilities, config) {
                    Expiry::NotYet | Expiry::Resumed => Outcome::Lives,
                    // RCR < MAX_RCR, Ack(TIDok) already sent. Later groups are repeated as ever.
                    Expiry::Again if *vouched && !sender.is_segmented() => {
                        self.answer = Some(Answer::Verify {
                            psn: None,
                            repeated: true,
                        });
                        Outcome::Lives
                    }
                    // RCR < MAX_RCR.
                    Expiry::Again => {
                        if *vouched {
                            self.answer = Some(Answer::Verify {
                                psn: None,
                                repeated: true,
                            });
                        }
                        sender.repeat();
                        Outcome::Lives
                    }
                    // RCR == MAX_RCR.
                    Expiry::GaveUp => shared.give_up(cx),
                }
            }
            // RcvResult, class 2, HoldOn == True and False.
            (State::ResultWait { .. }, Event::Result(packet)) => {
                shared.learn(packet.tpis);
                self.receive(0, &packet, shared, cx)
            }
            (State::ResultWait { .. }, Event::Segment(low, packet)) => {
                shared.learn(packet.tpis);
                self.receive(low, &packet, shared, cx)
            }

            // --- RESULT RESP WAIT ---
            // TR-Result.res, with and without exit info. The ack may wait for A; it does not.
            (State::ResultRespWait { .. }, Event::Acknowledge(info)) => {
                self.acknowledge_last(exit_info(info), cx)
            }
            // RcvAbort.
            (State::ResultRespWait { .. }, Event::Abort(reason)) => {
                shared.indicate_abort(reason, cx)
            }
            // TR-Abort.req.
            (State::ResultRespWait { .. }, Event::AbortRequest(reason)) => {
                shared.abort_quietly(AbortReason::User(reason), cx)
            }
            // RcvErrorPDU.
            (State::ResultRespWait { .. }, Event::ErrorPdu) => {
                shared.abort(ProviderAbort::PROTOERR, cx)
            }
            // RcvResult: ignored.
            (State::ResultRespWait { .. }, Event::Result(_) | Event::Segment(..)) => {
                shared.note_duplicate(cx);
                Outcome::Lives
            }
            // TimerTO_A: the printed rows for AEC have no condition on Uack, see the responder.
            (
                State::ResultRespWait {
                    ack_at,
                    expirations,
                },
                Event::Timeout,
            ) => {
                if *ack_at > now {
                    return Outcome::Lives;
                }
                match shared.user_ack {
                    // AEC < AEC_MAX.
                    true if *expirations < config.max_ack_expirations => {
                        *expirations += 1;
                        *ack_at = now + config.long_ack;
                        Outcome::Lives
                    }
                    // AEC == AEC_MAX.
                    true => shared.abort(ProviderAbort::NORESPONSE, cx),
                    // Uack == False.
                    false => self.acknowledge_last(Bytes::new(), cx),
                }
            }

            // --- WAIT TIMEOUT ---
            // RcvResult, RID=0: ignored. RID=1, with and without exit info.
            (State::WaitTimeout { .. }, Event::Result(packet) | Event::Segment(_, packet)) => {
                shared.note_duplicate(cx);
                if packet.repeated && self.answer.is_none() {
                    self.answer = Some(Answer::Ack {
                        psn: self.last_psn,
                        repeated: true,
                    });
                }
                Outcome::Lives
            }
            // RcvAbort.
            (State::WaitTimeout { .. }, Event::Abort(reason)) => shared.indicate_abort(reason, cx),
            // RcvErrorPDU.
            (State::WaitTimeout { .. }, Event::ErrorPdu) => {
                shared.abort(ProviderAbort::PROTOERR, cx)
            }
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

            // Pairs without a row: late copies, and primitives out of turn.
            (
                State::Null { .. },
                Event::Ack(_)
                | Event::Nack(_)
                | Event::Result(_)
                | Event::Segment(..)
                | Event::Abort(_)
                | Event::ErrorPdu
                | Event::Timeout
                | Event::InvokeData(..)
                | Event::Acknowledge(_),
            )
            | (State::ResultWait { .. }, Event::Go | Event::Acknowledge(_))
            | (
                State::ResultRespWait { .. } | State::WaitTimeout { .. },
                Event::Ack(_) | Event::Nack(_) | Event::Go | Event::InvokeData(..),
            )
            | (State::WaitTimeout { .. }, Event::Acknowledge(_)) => Outcome::Lives,
        }
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Null { .. } => None,
            State::ResultWait {
                receiver: Some(receiver),
                ..
            } => Some(receiver.deadline()),
            State::ResultWait { sender, .. } => sender.deadline(),
            State::ResultRespWait { ack_at, .. } => Some(*ack_at),
            State::WaitTimeout { until, .. } => Some(*until),
        }
    }

    pub(super) fn has_pdu(&self) -> bool {
        self.answer.is_some()
            || matches!(&self.state, State::ResultWait { sender, .. } if sender.has_packets())
    }

    /// Octets the next PDU may have, or `None` if the PDU shares no datagram.
    pub(super) fn largest_shared(&self) -> Option<usize> {
        let most = match (&self.answer, &self.state) {
            (Some(Answer::Nack { .. }), _) => 255,
            (Some(_), State::WaitTimeout { exit_info, .. }) => exit_info.len(),
            (Some(_), _) => 0,
            (None, State::ResultWait { sender, .. }) => sender.shared_packet_len()?,
            (None, _) => return Some(0),
        };
        Some(LONGEST_HEADER + most)
    }

    /// Appends the next PDU.
    pub(super) fn encode_next(
        &mut self,
        shared: &Shared,
        context: &EncodeContext<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Encoded> {
        let config = context.config;
        if let Some(answer) = self.answer.take() {
            let (receiver, info) = match &self.state {
                State::ResultWait { receiver, .. } => (receiver.as_deref(), None),
                State::WaitTimeout { exit_info, .. } if !exit_info.is_empty() => {
                    (None, Some(Tpi::Info(exit_info)))
                }
                State::WaitTimeout { .. } | State::ResultRespWait { .. } | State::Null { .. } => {
                    (None, None)
                }
            };
            shared.encode_answer(answer, receiver, info.as_slice(), config, out);
            return Some(Encoded::Control);
        }
        let State::ResultWait { sender, .. } = &mut self.state else {
            return None;
        };
        let packet = sender.next_packet()?;
        let encoded = if packet.repeated {
            Encoded::AgainData
        } else {
            Encoded::Data
        };
        let opening = opening(shared.class, config);
        let (class, user_ack, tid_new) = (shared.class, shared.user_ack, self.tid_new);
        shared.with_packet(packet, opening.iter(), |wire| {
            match packet.psn {
                0 => Pdu::Invoke(Invoke {
                    class,
                    tid_new,
                    user_ack,
                    packet: wire,
                }),
                psn => Pdu::SegmentedInvoke(psn.to_be_bytes()[3], wire),
            }
            .encode(out);
        });
        Some(encoded)
    }

    /// Whether it is an Invoke with TIDnew that is not confirmed yet.
    pub(super) const fn is_unconfirmed_tid_new(&self) -> bool {
        self.tid_new && matches!(self.state, State::ResultWait { hold_on: false, .. })
    }

    /// The name of the state in the specification's tables.
    pub(super) const fn state_name(&self) -> &'static str {
        match &self.state {
            State::Null { .. } => "NULL",
            State::ResultWait { .. } => "RESULT WAIT",
            State::ResultRespWait { .. } => "RESULT RESP WAIT",
            State::WaitTimeout { .. } => "WAIT TIMEOUT",
        }
    }

    pub(super) fn footprint(&self) -> Charge {
        let reassembly = match &self.state {
            State::ResultWait {
                receiver: Some(receiver),
                ..
            } => receiver.footprint(),
            State::Null { .. }
            | State::ResultWait { receiver: None, .. }
            | State::ResultRespWait { .. }
            | State::WaitTimeout { .. } => 0,
        };
        Charge {
            reassembly,
            unverified: 0,
        }
    }

    /// A packet of the Result. The first one, whichever it is, confirms the Invoke.
    fn receive(
        &mut self,
        low: u8,
        packet: &Packet<'_>,
        shared: &mut Shared,
        cx: &mut StepContext<'_>,
    ) -> Outcome {
        let State::ResultWait {
            sender,
            hold_on,
            receiver,
            indicated,
            ..
        } = &mut self.state
        else {
            return Outcome::Lives;
        };
        if shared.class != Class::Two {
            cx.stats.strays += 1;
            return Outcome::Lives;
        }
        let received = receiver
            .as_ref()
            .map_or(0, |receiver| receiver.message_len());
        if let Err(reason) = shared.check_room(received, packet, cx) {
            return shared.abort(reason, cx);
        }
        if !std::mem::replace(hold_on, true) {
            confirm_invoke(&[], self.tid_new, shared, cx);
        }
        sender.stop();
        self.answer = None;
        if receiver.is_none() && low == 0 && packet.trailer.ends_message() {
            indicate(
                Bytes::copy_from_slice(packet.data),
                Fragment::WHOLE,
                true,
                shared,
                cx,
            );
            return self.await_user(cx);
        }
        let receiver = receiver.get_or_insert_with(|| Box::new(Receiver::new(cx.now, cx.config)));
        let reception = receiver.receive(cx.now, low, packet, cx.config);
        if let Some(answer) = shared.answer_to(reception, cx) {
            self.answer = Some(answer);
        }
        while let Some((data, fragment)) = receiver.take_unit() {
            let first = !std::mem::replace(indicated, true);
            indicate(data, fragment, first, shared, cx);
            if !fragment.more {
                cx.stats.reassembled += 1;
                self.last_psn = receiver.acked();
                self.answer = None;
                return self.await_user(cx);
            }
        }
        Outcome::Lives
    }

    /// Start timer A.
    fn await_user(&mut self, cx: &StepContext<'_>) -> Outcome {
        self.state = State::ResultRespWait {
            ack_at: cx.now + cx.config.long_ack,
            expirations: 0,
        };
        Outcome::Lives
    }

    /// The last Ack; start timer W.
    fn acknowledge_last(&mut self, exit_info: Bytes, cx: &StepContext<'_>) -> Outcome {
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
}

/// Whether an Ack is one for the whole Invoke: with a number, for its last packet.
fn is_last(sender: &Sender, ack: &Ack<'_>) -> bool {
    if !sender.is_formed() {
        return false;
    }
    match ack.tpis.psn() {
        None => true,
        Some(psn) => psn == sender.last_psn(),
    }
}

/// Generate TR-Invoke.cnf.
fn confirm_invoke(info: &[u8], tid_new: bool, shared: &Shared, cx: &mut StepContext<'_>) {
    if tid_new || !shared.report.verified {
        cx.peers.doubts(shared.peer, false);
    }
    cx.indications.push_back(Indication::InvokeConfirmed {
        handle: shared.handle,
        exit_info: exit_info(info),
        report: shared.report,
    });
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
        Indication::Result {
            handle,
            data,
            fragment,
        }
    } else {
        Indication::ResultData {
            handle,
            data,
            fragment,
        }
    });
}

/// The items that our Invoke announces.
fn opening(class: Class, config: &Config) -> Items<'static> {
    let mut items = Items::default();
    if config.offer_extended_sar && config.num_groups > 0 {
        items.extend(Some(Tpi::Parameter(Parameter::NumGroups(u32::from(
            config.num_groups,
        )))));
    }
    if class == Class::Two {
        let group = config.receive_group.map(Parameter::MaximumGroup);
        let unit = config.max_receive_unit.map(Parameter::MaximumReceiveUnit);
        items.extend(group.into_iter().chain(unit).map(Tpi::Parameter));
    }
    items
}

/// The interval R of the Invoke (WTP appendix A, "timer usage").
fn retry_interval(shared: &Shared, config: &Config) -> Duration {
    match (shared.class, shared.user_ack) {
        (Class::Two, _) => config.base_retry,
        (Class::Zero | Class::One, false) => config.short_retry,
        (Class::Zero | Class::One, true) => config.short_retry + config.short_ack,
    }
}
