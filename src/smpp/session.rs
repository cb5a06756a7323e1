//! One session: bind, messages in a window, the centre's requests, and the end.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::BytesMut;
use rusmpp::pdus::{BindTransceiver, DataSmResp, DeliverSmResp};
use rusmpp::values::InterfaceVersion;
use rusmpp::{Command, CommandId, CommandStatus, Pdu};

use super::config::{Config, c_string};
use super::message::Message;
use super::receipt::Receipt;
use super::status::{Fault, Status};
use super::wire::{self, Frame};
use crate::time::Instant;

/// A session with an SMS centre, from the moment the connection is there.
///
/// Inputs are `handle_*`, [`Session::submit`] and [`Session::unbind`]; after each,
/// [`Session::poll_transmit`], [`Session::poll_event`] and [`Session::poll_timeout`] are drained.
/// Every message that was submitted has one [`Event::Answered`], at the latest when the session
/// closes. After [`Event::Closed`] the session does nothing.
#[derive(Debug)]
pub struct Session {
    config: Config,
    state: State,
    /// The last sequence number of ours.
    sequence: u32,
    outstanding: BTreeMap<u32, Outstanding>,
    input: BytesMut,
    output: BytesMut,
    events: VecDeque<Event>,
    /// The time of the centre's last PDU.
    heard: Instant,
    /// The time of an `enquire_link` without an answer.
    enquired: Option<Instant>,
    /// The time at which the rate allows the next message.
    due: Instant,
    /// The end of a pause: the centre throttles.
    paused_until: Instant,
    pause: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The bind has no answer yet.
    Binding {
        deadline: Instant,
    },
    Bound,
    /// The unbind has no answer yet.
    Unbinding {
        deadline: Instant,
    },
    Closed,
}

#[derive(Clone, Copy, Debug)]
struct Outstanding {
    tag: u64,
    deadline: Instant,
}

/// An event of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The centre has accepted the bind.
    Bound,
    /// A message has its answer.
    Answered {
        /// The caller's name for it.
        tag: u64,
        /// The centre's answer.
        answer: Answer,
    },
    /// A delivery receipt.
    Receipt(Receipt),
    /// A message from a phone, or a PDU that a gateway does not handle: acknowledged or refused,
    /// and ignored.
    PassedOver,
    /// The session is over, and the connection with it.
    Closed(Close),
}

/// The centre's answer to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The centre has the message, under this name. Some centres give no name: it is empty then.
    Accepted(Box<str>),
    /// The centre refused the message.
    Refused(Status),
    /// The outcome is unknown: the session ended before the answer.
    Lost,
}

/// The reason for the end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The bind was refused.
    BindRefused(Status),
    /// The centre did not answer in time.
    Silent,
    /// The centre ended the session.
    Unbound,
    /// The gateway ended the session, and the centre confirmed.
    Done,
    /// The centre sent octets that are no SMPP.
    Malformed,
    /// The connection ended.
    Disconnected,
}

impl Session {
    /// A session that binds.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        let bind = BindTransceiver::builder()
            .system_id(c_string(&config.system_id))
            .password(c_string(config.password.reveal()))
            .system_type(c_string(&config.system_type))
            .interface_version(InterfaceVersion::Smpp3_4)
            .build();
        let deadline = now + config.response_timeout;
        let mut session = Self {
            config,
            state: State::Binding { deadline },
            sequence: 0,
            outstanding: BTreeMap::new(),
            input: BytesMut::new(),
            output: BytesMut::new(),
            events: VecDeque::new(),
            heard: now,
            enquired: None,
            due: now,
            paused_until: now,
            pause: FIRST_PAUSE,
        };
        session.request(bind.into());
        session
    }

    /// Takes octets from the connection.
    pub fn handle_input(&mut self, now: Instant, octets: &[u8]) {
        if self.state == State::Closed {
            return;
        }
        self.heard = now;
        self.enquired = None;
        self.input.extend_from_slice(octets);
        loop {
            if self.state == State::Closed {
                self.input.clear();
                return;
            }
            match wire::next(&mut self.input) {
                Ok(Some(frame)) => self.handle_frame(now, frame),
                Ok(None) => return,
                Err(wire::NoFrame) => self.close(Close::Malformed),
            }
        }
    }

    /// The connection has ended.
    pub fn handle_disconnect(&mut self) {
        self.close(Close::Disconnected);
    }

    /// Carries out the actions that are due: timeouts and `enquire_link`.
    pub fn handle_timeout(&mut self, now: Instant) {
        let is_late = |outstanding: &Outstanding| outstanding.deadline <= now;
        match self.state {
            State::Closed => {}
            State::Binding { deadline } if deadline <= now => self.close(Close::Silent),
            State::Unbinding { deadline } if deadline <= now => self.close(Close::Done),
            _ if self.outstanding.values().any(is_late) => self.close(Close::Silent),
            State::Bound => match self.enquired {
                Some(at) if at + self.config.response_timeout <= now => self.close(Close::Silent),
                None if self.heard + self.config.enquire_link <= now => {
                    self.enquired = Some(now);
                    self.request(Pdu::EnquireLink);
                }
                _ => {}
            },
            State::Binding { .. } | State::Unbinding { .. } => {}
        }
    }

    /// Whether a message may be submitted now. If not, the caller asks again at
    /// [`Session::poll_timeout`] or after the next answer of the centre.
    #[must_use]
    pub fn has_room(&self, now: Instant) -> bool {
        self.state == State::Bound
            && self.outstanding.len() < self.config.window
            && self.paused_until <= now
            && self.rate_allows(now).is_ok()
    }

    /// Submits a message under the caller's name `tag`. Only when [`Session::has_room`].
    pub fn submit(&mut self, now: Instant, tag: u64, message: &Message<'_>) {
        if let Ok(due) = self.rate_allows(now) {
            self.due = due;
        }
        let sequence = self.request(message.pdu(&self.config).into());
        let deadline = now + self.config.response_timeout;
        self.outstanding
            .insert(sequence, Outstanding { tag, deadline });
    }

    /// Ends the session: [`Close::Done`] follows, at the latest after the time for a response.
    pub fn unbind(&mut self, now: Instant) {
        match self.state {
            State::Bound => {
                let deadline = now + self.config.response_timeout;
                self.state = State::Unbinding { deadline };
                self.request(Pdu::Unbind);
            }
            State::Binding { .. } => self.close(Close::Done),
            State::Unbinding { .. } | State::Closed => {}
        }
    }

    /// Appends the octets to send. Returns whether there were any.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&self.output);
        !std::mem::take(&mut self.output).is_empty()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The time at which [`Session::handle_timeout`] is due, or a message may be submitted again.
    #[must_use]
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let answers = self.outstanding.values().map(|waiting| waiting.deadline);
        let own = match self.state {
            State::Closed => return None,
            State::Binding { deadline } | State::Unbinding { deadline } => deadline,
            State::Bound => match self.enquired {
                Some(at) => at + self.config.response_timeout,
                None => self.heard + self.config.enquire_link,
            },
        };
        let pause = Some(self.paused_until).filter(|until| *until > now);
        let rate = self.rate_allows(now).err().map(|wait| now + wait);
        answers.chain([own]).chain(pause).chain(rate).min()
    }

    /// Whether the centre has accepted the bind, and neither side has ended the session.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.state == State::Bound
    }

    /// Messages without an answer.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    fn rate_allows(&self, now: Instant) -> Result<Instant, Duration> {
        match self.config.rate {
            Some(rate) => rate.take(now, self.due, 1),
            None => Ok(self.due),
        }
    }

    fn handle_frame(&mut self, now: Instant, frame: Frame) {
        let is_response = frame.id & RESPONSE != 0;
        if is_response {
            return self.handle_response(now, frame);
        }
        let sequence = frame.sequence;
        let bound = self.state == State::Bound;
        match frame.command.as_ref().and_then(Command::pdu) {
            Some(Pdu::EnquireLink) => {
                self.respond(sequence, CommandStatus::EsmeRok, Pdu::EnquireLinkResp);
            }
            Some(Pdu::DeliverSm(_) | Pdu::DataSm(_)) if !bound => {
                self.respond(sequence, CommandStatus::EsmeRinvbndsts, Pdu::GenericNack);
            }
            Some(Pdu::DeliverSm(deliver)) => {
                let receipt = Receipt::of(deliver);
                self.events
                    .push_back(receipt.map_or(Event::PassedOver, Event::Receipt));
                let response = DeliverSmResp::default();
                self.respond(sequence, CommandStatus::EsmeRok, response.into());
            }
            Some(Pdu::DataSm(_)) => {
                self.events.push_back(Event::PassedOver);
                let response = DataSmResp::default();
                self.respond(sequence, CommandStatus::EsmeRok, response.into());
            }
            Some(Pdu::Unbind) => {
                self.respond(sequence, CommandStatus::EsmeRok, Pdu::UnbindResp);
                self.close(Close::Unbound);
            }
            // It has no response.
            Some(Pdu::AlertNotification(_)) => self.events.push_back(Event::PassedOver),
            Some(_) => {
                self.events.push_back(Event::PassedOver);
                self.respond(sequence, CommandStatus::EsmeRinvcmdid, Pdu::GenericNack);
            }
            None => {
                self.events.push_back(Event::PassedOver);
                self.respond(sequence, CommandStatus::EsmeRinvcmdlen, Pdu::GenericNack);
            }
        }
    }

    fn handle_response(&mut self, now: Instant, frame: Frame) {
        let status = Status(frame.status);
        let id = CommandId::from(frame.id);
        match self.state {
            State::Binding { .. } => match id {
                CommandId::BindTransceiverResp if status == Status::OK => {
                    self.state = State::Bound;
                    self.events.push_back(Event::Bound);
                }
                CommandId::BindTransceiverResp | CommandId::GenericNack => {
                    self.close(Close::BindRefused(status));
                }
                _ => self.events.push_back(Event::PassedOver),
            },
            State::Unbinding { .. } if id == CommandId::UnbindResp => self.close(Close::Done),
            State::Bound | State::Unbinding { .. } => self.handle_answer(now, id, status, &frame),
            State::Closed => {}
        }
    }

    /// A response of the centre, perhaps to an unknown sequence number.
    fn handle_answer(&mut self, now: Instant, id: CommandId, status: Status, frame: &Frame) {
        if !matches!(id, CommandId::SubmitSmResp | CommandId::GenericNack) {
            return;
        }
        let Some(Outstanding { tag, .. }) = self.outstanding.remove(&frame.sequence) else {
            return self.events.push_back(Event::PassedOver);
        };
        let answer = match frame.command.as_ref().and_then(Command::pdu) {
            _ if status != Status::OK => Answer::Refused(status),
            _ if id == CommandId::GenericNack => Answer::Refused(Status(0xFF)),
            Some(Pdu::SubmitSmResp(response)) => {
                Answer::Accepted(response.message_id().as_str().into())
            }
            // The message is accepted, although its name cannot be read.
            _ => Answer::Accepted("".into()),
        };
        match &answer {
            // Of all messages that were under way together, one begins the pause.
            Answer::Refused(status)
                if status.fault() == Fault::Throttled && self.paused_until <= now =>
            {
                self.paused_until = now + self.pause;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            }
            Answer::Accepted(_) => self.pause = FIRST_PAUSE,
            _ => {}
        }
        self.events.push_back(Event::Answered { tag, answer });
    }

    fn request(&mut self, pdu: Pdu) -> u32 {
        self.sequence = match self.sequence {
            LAST_SEQUENCE.. => 1,
            sequence => sequence + 1,
        };
        let command = Command::new(CommandStatus::EsmeRok, self.sequence, pdu);
        wire::put(&mut self.output, &command);
        self.sequence
    }

    fn respond(&mut self, sequence: u32, status: CommandStatus, pdu: Pdu) {
        wire::put(&mut self.output, &Command::new(status, sequence, pdu));
    }

    fn close(&mut self, why: Close) {
        if self.state == State::Closed {
            return;
        }
        self.state = State::Closed;
        for (_, Outstanding { tag, .. }) in std::mem::take(&mut self.outstanding) {
            let answer = Answer::Lost;
            self.events.push_back(Event::Answered { tag, answer });
        }
        self.events.push_back(Event::Closed(why));
    }
}

/// The bit of `command_id` that responses have.
const RESPONSE: u32 = 0x8000_0000;
/// The largest sequence number (SMPP 3.4, 3.2).
const LAST_SEQUENCE: u32 = 0x7FFF_FFFF;
/// The pause after the centre throttles for the first time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause. Each further throttling doubles the pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
