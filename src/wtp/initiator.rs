//! The initiator of one transaction of class 1 or 2 (WTP 9.5).
//!
//! The arms of each `match` follow the rows of the specification's tables and name them.

use std::time::Duration;

use bytes::Bytes;

use super::abort::{AbortReason, ProviderAbort};
use super::config::Config;
use super::indication::{Fragment, Indication};
use super::pdu::{Ack, Class, Invoke, Nack, Packet, Pdu};
use super::receiver::{Lapse, Receiver, Reception};
use super::sender::{Expiry, Sender};
use super::tpi::{Parameter, Psn, Tpi};
use super::transaction::{
    Answer, Charge, Fate, Items, LONGEST_HEADER, Said, SayContext, Shared, Turn, exit_info,
};
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

/// What can happen to an initiator.
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
        let sender = Sender::new(now, invoke, retry, &shared.capabilities, config)?;
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
        turn: &mut Turn<'_>,
    ) -> Fate {
        let (now, config) = (turn.now, turn.config);
        match (&mut self.state, event) {
            // --- NULL ---
            (State::Null { invoke, fragment }, Event::Go) => {
                let invoke = (std::mem::take(invoke), *fragment);
                match Self::start(invoke, false, shared, now, config) {
                    Ok(started) => {
                        *self = started;
                        Fate::Lives
                    }
                    Err(reason) => shared.indicate_abort(AbortReason::Provider(reason), turn),
                }
            }
            // Nothing was sent, so nobody need be told (7.7.4 A).
            (State::Null { .. }, Event::AbortRequest(_)) => Fate::Over,

            // --- RESULT WAIT ---
            // TR-Abort.req.
            (State::ResultWait { .. }, Event::AbortRequest(reason)) => {
                shared.abort_quietly(AbortReason::User(reason), turn)
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
                        turn.peers.doubts(shared.peer, true);
                    }
                    *vouched = true;
                    // With segments the question acknowledges the first group (10.6.3).
                    if let Some(psn) = ack.tpis.psn()
                        && !sender.is_formed()
                    {
                        if sender.outgrows_plain(&shared.capabilities, config) {
                            return shared.abort(ProviderAbort::NOTIMPLEMENTEDESAR, turn);
                        }
                        sender.ack(now, Some(psn), delay, &shared.capabilities, config);
                    }
                }
                Fate::Lives
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
                    return shared.abort(ProviderAbort::NOTIMPLEMENTEDESAR, turn);
                }
                sender.ack(now, ack.tpis.psn(), delay, &shared.capabilities, config);
                Fate::Lives
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
                confirm_invoke(&[], self.tid_new, shared, turn);
                Fate::Lives
            }
            // RcvAck, class 2, HoldOn == True: ignored, but for what it says of windows.
            (State::ResultWait { hold_on: true, .. }, Event::Ack(ack)) => {
                shared.learn(ack.tpis);
                Fate::Lives
            }
            // RcvAck, class 1.
            (State::ResultWait { .. }, Event::Ack(ack)) => {
                let info = ack.tpis.info().unwrap_or(&[]);
                confirm_invoke(info, self.tid_new, shared, turn);
                Fate::Over
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
                Fate::Lives
            }
            // TR-InvokeData.req.
            (State::ResultWait { sender, .. }, Event::InvokeData(data, fragment)) => {
                sender.push(now, (data, fragment), &shared.capabilities, config);
                Fate::Lives
            }
            // RcvAbort.
            (State::ResultWait { .. }, Event::Abort(reason)) => shared.indicate_abort(reason, turn),
            // RcvErrorPDU.
            (State::ResultWait { .. }, Event::ErrorPdu) => {
                shared.abort(ProviderAbort::PROTOERR, turn)
            }
            // TimerTO_R; once segments of the Result come, theirs.
            (
                State::ResultWait {
                    receiver: Some(receiver),
                    ..
                },
                Event::Timeout,
            ) => match receiver.expire(now) {
                Lapse::NotYet => Fate::Lives,
                Lapse::Nack { up_to } => {
                    self.answer = Some(Answer::Nack { up_to });
                    Fate::Lives
                }
                Lapse::Abandoned => {
                    turn.stats.abandoned += 1;
                    shared.give_up(turn)
                }
            },
            (
                State::ResultWait {
                    sender, vouched, ..
                },
                Event::Timeout,
            ) => {
                match sender.expire(now, &shared.capabilities, config) {
                    Expiry::NotYet | Expiry::Resumed => Fate::Lives,
                    // RCR < MAX_RCR, Ack(TIDok) already sent. Later groups are repeated as ever.
                    Expiry::Again if *vouched && !sender.is_segmented() => {
                        self.answer = Some(Answer::Verify {
                            psn: None,
                            repeated: true,
                        });
                        Fate::Lives
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
                        Fate::Lives
                    }
                    // RCR == MAX_RCR.
                    Expiry::GaveUp => shared.give_up(turn),
                }
            }
            // RcvResult, class 2, HoldOn == True and False.
            (State::ResultWait { .. }, Event::Result(packet)) => {
                shared.learn(packet.tpis);
                self.receive(0, &packet, shared, turn)
            }
            (State::ResultWait { .. }, Event::Segment(low, packet)) => {
                shared.learn(packet.tpis);
                self.receive(low, &packet, shared, turn)
            }

            // --- RESULT RESP WAIT ---
            // TR-Result.res, with and without exit info. The ack may wait for A; it does not.
            (State::ResultRespWait { .. }, Event::Acknowledge(info)) => {
                self.acknowledge_last(exit_info(info), turn)
            }
            // RcvAbort.
            (State::ResultRespWait { .. }, Event::Abort(reason)) => {
                shared.indicate_abort(reason, turn)
            }
            // TR-Abort.req.
            (State::ResultRespWait { .. }, Event::AbortRequest(reason)) => {
                shared.abort_quietly(AbortReason::User(reason), turn)
            }
            // RcvErrorPDU.
            (State::ResultRespWait { .. }, Event::ErrorPdu) => {
                shared.abort(ProviderAbort::PROTOERR, turn)
            }
            // RcvResult: ignored.
            (State::ResultRespWait { .. }, Event::Result(_) | Event::Segment(..)) => {
                shared.note_duplicate(turn);
                Fate::Lives
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
                    return Fate::Lives;
                }
                match shared.user_ack {
                    // AEC < AEC_MAX.
                    true if *expirations < config.max_ack_expirations => {
                        *expirations += 1;
                        *ack_at = now + config.long_ack;
                        Fate::Lives
                    }
                    // AEC == AEC_MAX.
                    true => shared.abort(ProviderAbort::NORESPONSE, turn),
                    // Uack == False.
                    false => self.acknowledge_last(Bytes::new(), turn),
                }
            }

            // --- WAIT TIMEOUT ---
            // RcvResult, RID=0: ignored. RID=1, with and without exit info.
            (State::WaitTimeout { .. }, Event::Result(packet) | Event::Segment(_, packet)) => {
                shared.note_duplicate(turn);
                if packet.repeated && self.answer.is_none() {
                    self.answer = Some(Answer::Ack {
                        psn: self.last_psn,
                        repeated: true,
                    });
                }
                Fate::Lives
            }
            // RcvAbort.
            (State::WaitTimeout { .. }, Event::Abort(reason)) => {
                shared.indicate_abort(reason, turn)
            }
            // RcvErrorPDU.
            (State::WaitTimeout { .. }, Event::ErrorPdu) => {
                shared.abort(ProviderAbort::PROTOERR, turn)
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

            // Pairs without a row: late copies, and users who speak out of turn.
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
            | (State::WaitTimeout { .. }, Event::Acknowledge(_)) => Fate::Lives,
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

    pub(super) fn has_something_to_say(&self) -> bool {
        self.answer.is_some()
            || matches!(&self.state, State::ResultWait { sender, .. } if sender.has_packets())
    }

    /// Octets the next PDU may have.
    pub(super) fn largest(&self) -> usize {
        match (&self.answer, &self.state) {
            (Some(Answer::Nack { .. }), _) => LONGEST_HEADER + 255,
            (Some(_), State::WaitTimeout { exit_info, .. }) => LONGEST_HEADER + exit_info.len(),
            (Some(_), _) => LONGEST_HEADER,
            (None, State::ResultWait { sender, .. }) => LONGEST_HEADER + sender.packet_len(),
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
            return Some(Said::Control);
        }
        let State::ResultWait { sender, .. } = &mut self.state else {
            return None;
        };
        let packet = sender.next_packet()?;
        let said = if packet.repeated {
            Said::AgainData
        } else {
            Said::Data
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
        Some(said)
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
        turn: &mut Turn<'_>,
    ) -> Fate {
        let State::ResultWait {
            sender,
            hold_on,
            receiver,
            indicated,
            ..
        } = &mut self.state
        else {
            return Fate::Lives;
        };
        if shared.class != Class::Two {
            turn.stats.strays += 1;
            return Fate::Lives;
        }
        let received = receiver
            .as_ref()
            .map_or(0, |receiver| receiver.message_len());
        if let Err(reason) = shared.check_room(received, packet, turn) {
            return shared.abort(reason, turn);
        }
        if !std::mem::replace(hold_on, true) {
            confirm_invoke(&[], self.tid_new, shared, turn);
        }
        sender.stop();
        self.answer = None;
        if receiver.is_none() && low == 0 && packet.trailer.ends_message() {
            indicate(
                Bytes::copy_from_slice(packet.data),
                Fragment::WHOLE,
                true,
                shared,
                turn,
            );
            return self.await_user(turn);
        }
        let receiver =
            receiver.get_or_insert_with(|| Box::new(Receiver::new(turn.now, turn.config)));
        match receiver.hear(turn.now, low, packet, turn.config) {
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
                self.answer = Some(Answer::Ack {
                    psn: Some(psn),
                    repeated,
                });
            }
        }
        while let Some((data, fragment)) = receiver.take_unit() {
            let first = !std::mem::replace(indicated, true);
            indicate(data, fragment, first, shared, turn);
            if !fragment.more {
                turn.stats.reassembled += 1;
                self.last_psn = receiver.acked();
                self.answer = None;
                return self.await_user(turn);
            }
        }
        Fate::Lives
    }

    /// Start timer A.
    fn await_user(&mut self, turn: &Turn<'_>) -> Fate {
        self.state = State::ResultRespWait {
            ack_at: turn.now + turn.config.long_ack,
            expirations: 0,
        };
        Fate::Lives
    }

    /// The last Ack; start timer W.
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
fn confirm_invoke(info: &[u8], tid_new: bool, shared: &Shared, turn: &mut Turn<'_>) {
    if tid_new || !shared.report.verified {
        turn.peers.doubts(shared.peer, false);
    }
    turn.indications.push_back(Indication::InvokeConfirmed {
        handle: shared.handle,
        exit_info: exit_info(info),
        report: shared.report,
    });
}

fn indicate(data: Bytes, fragment: Fragment, first: bool, shared: &Shared, turn: &mut Turn<'_>) {
    let handle = shared.handle;
    turn.indications.push_back(if first {
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

/// What our Invoke announces.
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
