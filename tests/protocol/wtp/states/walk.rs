//! One row: how to reach it, how to make its event happen, and what to compare.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use wapbridge::time::Instant;
use wapbridge::wdp::Peer;
use wapbridge::wtp::{Class, Config, Endpoint, Handle, Indication};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Responder,
    Initiator,
}

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) state: String,
    pub(crate) classes: String,
    pub(crate) user_ack: String,
    pub(crate) condition: String,
    pub(crate) event: String,
    pub(crate) says: String,
    pub(crate) tells: String,
    pub(crate) timer: String,
    pub(crate) next: String,
}

impl Row {
    pub(crate) fn parse(line: &str) -> Option<Self> {
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let fields: Vec<_> = line
            .split('|')
            .map(|field| field.trim().to_owned())
            .collect();
        let [
            state,
            classes,
            user_ack,
            condition,
            event,
            says,
            tells,
            timer,
            next,
        ] = <[String; 9]>::try_from(fields).expect("nine columns");
        Some(Self {
            state,
            classes,
            user_ack,
            condition,
            event,
            says,
            tells,
            timer,
            next,
        })
    }
}

/// Walks a row for each class and kind of user acknowledgement it stands for.
pub(crate) fn walk(side: Side, row: &Row) -> Result<(), String> {
    for class in row.classes.split(',') {
        for user_ack in [false, true] {
            let applies = match row.user_ack.as_str() {
                "any" => true,
                word => (word == "yes") == user_ack,
            };
            if applies {
                let class = class.parse().unwrap();
                let mut walker = Walker::new(side, class, user_ack);
                walker
                    .walk(row)
                    .map_err(|wrong| format!("class {class}, user ack {user_ack}: {wrong}"))?;
            }
        }
    }
    Ok(())
}

struct Walker {
    endpoint: Endpoint,
    now: Instant,
    side: Side,
    class: u8,
    user_ack: bool,
    /// As we send it, direction bit included.
    tid: u16,
    handle: Option<Handle>,
}

fn peer() -> Peer {
    let remote = SocketAddr::from(([192, 0, 2, 7], 49_152));
    Peer::new(remote, SocketAddr::from(([198, 51, 100, 1], 9201)))
}

impl Walker {
    fn new(side: Side, class: u8, user_ack: bool) -> Self {
        let config = Config {
            receive_group: None,
            ..Config::ip()
        };
        Self {
            endpoint: Endpoint::new(config, 3, Instant::ZERO),
            now: Instant::ZERO + Duration::from_secs(1000),
            side,
            class,
            user_ack,
            tid: 5,
            handle: None,
        }
    }

    fn walk(&mut self, row: &Row) -> Result<(), String> {
        self.reach(&row.state, &row.condition);
        self.said();
        self.told();
        let state = self.state();
        if state != row.state {
            return Err(format!("reached {state}"));
        }
        let before = self.deadline();
        self.now += Duration::from_millis(100);
        self.event(&row.event);
        // What is due at once is part of the row: A of class 1 without user acknowledgement.
        self.expire_until(self.now);
        let told = self.told();
        let said = self.said();
        let says = self.expected_octets(&row.says);
        compare("says", &says, &said)?;
        compare(
            "tells",
            &row.tells,
            &if told.is_empty() {
                "-".to_owned()
            } else {
                told
            },
        )?;
        let timer = match row.timer.as_str() {
            "none" => None,
            "kept" if before.is_none() => return Err("no timer ran that could be kept".to_owned()),
            "kept" => before,
            name => Some(self.now + self.interval(name)),
        };
        compare("timer", &timer, &self.deadline())?;
        compare("next state", &row.next, &self.state())
    }

    /// From nothing to a state and a condition, by inputs alone.
    fn reach(&mut self, state: &str, condition: &str) {
        match (self.side, state) {
            (Side::Responder, "LISTEN") => {
                if condition == "invalid TID" {
                    self.make_tid_invalid();
                }
            }
            (Side::Responder, "TIDOK WAIT") => {
                self.make_tid_invalid();
                self.event("RcvInvoke");
            }
            (Side::Responder, "INVOKE RESP WAIT") => {
                self.event("RcvInvoke");
                self.told();
                if condition == "AEC = max" {
                    self.expire_times(6);
                }
            }
            (Side::Responder, "RESULT WAIT") => {
                self.event("RcvInvoke");
                self.told();
                self.event("TR-Invoke.res");
                if condition == "ack sent" {
                    self.expire_times(1);
                }
            }
            (Side::Responder, "RESULT RESP WAIT") => {
                self.event("RcvInvoke");
                self.told();
                self.event("TR-Result.req");
                self.said();
                if condition == "RCR = max" {
                    self.expire_times(8);
                }
            }
            (Side::Responder, "WAIT TIMEOUT") => {
                self.event("RcvInvoke");
                self.told();
                match condition {
                    "exit info" => self.event("TR-Invoke.res exit"),
                    _ => self.event("TR-Invoke.res"),
                }
            }
            (Side::Initiator, "NULL") => {}
            (Side::Initiator, "RESULT WAIT") => {
                self.event("TR-Invoke.req");
                self.said();
                match condition {
                    "hold-on" => self.event("RcvAck"),
                    "Tok sent" => self.event("RcvAck Tve"),
                    "RCR = max" => self.expire_times(8),
                    _ => {}
                }
            }
            (Side::Initiator, "RESULT RESP WAIT") => {
                self.reach("RESULT WAIT", "-");
                self.event("RcvResult");
                if condition == "AEC = max" {
                    self.expire_times(6);
                }
            }
            (Side::Initiator, "WAIT TIMEOUT") => {
                self.reach("RESULT RESP WAIT", "-");
                match condition {
                    "exit info" => self.event("TR-Result.res exit"),
                    _ => self.event("TR-Result.res"),
                }
            }
            _ => panic!("no way to {state}"),
        }
    }

    /// A later transaction of the peer has come and gone.
    fn make_tid_invalid(&mut self) {
        self.hear(&[0x0A, 0x00, 0x20, 0x02]);
        self.told();
        self.hear(&[0x20, 0x00, 0x20, 0x00]);
        self.told();
        self.handle = None;
    }

    fn event(&mut self, event: &str) {
        let [high, low] = (self.tid ^ 0x8000 & self.begun_here()).to_be_bytes();
        let octet = self.class | if self.user_ack { 0x10 } else { 0 };
        let (now, handle) = (self.now, self.handle.unwrap_or(Handle::OVER));
        match event {
            "RcvInvoke" => self.hear(&[0x0A, high, low, octet, b'q']),
            "RcvInvoke RID" => self.hear(&[0x0B, high, low, octet, b'q']),
            "RcvResult" => self.hear(&[0x12, high, low, b'r']),
            "RcvResult RID" => self.hear(&[0x13, high, low, b'r']),
            "RcvAck" => self.hear(&[0x18, high, low]),
            "RcvAck Tok" | "RcvAck Tve" => self.hear(&[0x1C, high, low]),
            "RcvAck Tok RID" => self.hear(&[0x1D, high, low]),
            "RcvAbort" => self.hear(&[0x21, high, low, 0xE3]),
            "RcvErrorPDU" => self.hear(&[0x98, high, low, 0x1B]),
            "TimerTO" => {
                let due = self.deadline().expect("a timer runs");
                self.now = due;
                self.expire_until(due);
            }
            "TR-Invoke.req" => {
                let class = [Class::Zero, Class::One, Class::Two][usize::from(self.class)];
                let data = Bytes::from_static(b"q");
                let handle = self
                    .endpoint
                    .invoke(now, peer(), class, self.user_ack, data);
                self.handle = Some(handle.unwrap());
            }
            "TR-Invoke.res" => self.endpoint.accept(now, handle, b""),
            "TR-Invoke.res exit" => self.endpoint.accept(now, handle, b"x"),
            "TR-Result.req" => self.endpoint.result(now, handle, Bytes::from_static(b"r")),
            "TR-Result.res" => self.endpoint.acknowledge(now, handle, b""),
            "TR-Result.res exit" => self.endpoint.acknowledge(now, handle, b"x"),
            "TR-Abort.req" => self.endpoint.abort(now, handle, 0xE3),
            _ => panic!("no such event: {event}"),
        }
        // A transaction we hear of by its Invoke is found by its number, before the user knows it.
        if self.handle.is_none() {
            self.handle = self.endpoint.handles().next();
        }
    }

    /// The octets a word stands for.
    fn expected_octets(&self, says: &str) -> Vec<Vec<u8>> {
        let [high, low] = (self.tid | 0x8000 & !self.begun_here()).to_be_bytes();
        let octet = self.class | if self.user_ack { 0x10 } else { 0 };
        // Class 0 denies re-assembly, having none (SIN 002).
        let invoke = if self.class == 0 { 0x0E } else { 0x0A };
        let pdu = match says {
            "-" => return Vec::new(),
            "Ack" => vec![0x18, high, low],
            "Ack RID" => vec![0x19, high, low],
            "Ack info" => vec![0x98, high, low, 0x09, b'x'],
            "Ack RID info" => vec![0x99, high, low, 0x09, b'x'],
            "Tve" | "Tok" => vec![0x1C, high, low],
            "Tve RID" | "Tok RID" => vec![0x1D, high, low],
            "Invoke" => vec![invoke, high, low, octet, b'q'],
            "Invoke RID" => vec![invoke | 1, high, low, octet, b'q'],
            "Result" => vec![0x12, high, low, b'r'],
            "Result RID" => vec![0x13, high, low, b'r'],
            "Abort USER" => vec![0x21, high, low, 0xE3],
            "Abort PROTOERR" => vec![0x20, high, low, 0x01],
            "Abort NORESPONSE" => vec![0x20, high, low, 0x08],
            _ => panic!("no such PDU: {says}"),
        };
        vec![pdu]
    }

    /// Appendix A, bearers that carry IP.
    fn interval(&self, name: &str) -> Duration {
        let seconds = match (name, self.side, self.class, self.user_ack) {
            ("A", Side::Responder, 2, _) => 2,
            ("A", Side::Responder, _, true) => 1,
            ("A", Side::Initiator, ..) => 4,
            ("R", Side::Responder, ..) => 7,
            ("R", Side::Initiator, 2, _) => 5,
            ("R", Side::Initiator, _, false) => 3,
            ("R", Side::Initiator, _, true) => 4,
            ("W", ..) => 40,
            ("end", ..) => 5 * 9,
            _ => 999_999,
        };
        Duration::from_secs(seconds)
    }

    /// All bits set when we began the transaction.
    fn begun_here(&self) -> u16 {
        if self.side == Side::Initiator {
            u16::MAX
        } else {
            0
        }
    }

    fn hear(&mut self, octets: &[u8]) {
        self.endpoint.handle_datagram(self.now, peer(), octets);
    }

    fn expire_until(&mut self, until: Instant) {
        while let Some(due) = self.endpoint.poll_timeout().filter(|&due| due <= until) {
            self.endpoint.handle_timeout(due);
        }
    }

    fn expire_times(&mut self, times: u32) {
        for _ in 0..times {
            self.event("TimerTO");
            self.said();
        }
    }

    fn state(&self) -> String {
        let state = self
            .handle
            .and_then(|handle| self.endpoint.state_name(handle));
        let none = if self.side == Side::Responder {
            "LISTEN"
        } else {
            "NULL"
        };
        state.unwrap_or(none).to_owned()
    }

    fn deadline(&self) -> Option<Instant> {
        self.handle
            .and_then(|handle| self.endpoint.deadline(handle))
    }

    fn said(&mut self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        let mut buf = Vec::new();
        while self.endpoint.poll_transmit(&mut buf).is_some() {
            if self.side == Side::Initiator && buf[0] & 0x78 == 0x08 {
                self.tid = u16::from_be_bytes([buf[1], buf[2]]);
            }
            all.push(std::mem::take(&mut buf));
        }
        all
    }

    fn told(&mut self) -> String {
        let mut names = Vec::new();
        while let Some(indication) = self.endpoint.poll_indication() {
            names.push(match indication {
                Indication::Invoke { .. } => "Invoke.ind",
                Indication::InvokeData { .. } => "InvokeData.ind",
                Indication::InvokeConfirmed { .. } => "Invoke.cnf",
                Indication::Result { .. } => "Result.ind",
                Indication::ResultData { .. } => "ResultData.ind",
                Indication::ResultConfirmed { .. } => "Result.cnf",
                Indication::Abort { .. } => "Abort.ind",
            });
        }
        names.join(" ")
    }
}

fn compare<T: PartialEq + std::fmt::Debug>(
    what: &str,
    expected: &T,
    found: &T,
) -> Result<(), String> {
    if expected == found {
        Ok(())
    } else {
        Err(format!(
            "{what}: the row has {expected:02x?}, the endpoint {found:02x?}"
        ))
    }
}
