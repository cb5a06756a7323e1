//! A second WTP provider, as plain as can be: the state tables of WTP 9.5 and 9.6 and nothing more.
//!
//! No segmentation, no concatenation, octets by hand, one vector of transactions searched from the start. It
//! shares no code with the one under test, so that the two check each other.

use std::time::Duration;

use wapbridge::time::Instant;

use super::node::{Event, Id};

const B_A: u64 = 2000;
const S_A: u64 = 1000;
const L_A: u64 = 4000;
const B_R: u64 = 5000;
const S_R: u64 = 3000;
const L_R: u64 = 7000;
const W: u64 = 40_000;
const RCR_MAX: u32 = 8;
const AEC_MAX: u32 = 6;

#[derive(Default)]
pub(crate) struct Plain {
    gen_tid: u16,
    last_tid: Option<u16>,
    /// Verified once. The tables alone would deliver an Invoke again to a late copy of it and a late copy of
    /// the initiator's word (seed 299163).
    vouched: Vec<u16>,
    transactions: Vec<Transaction>,
    next_id: u64,
    pub(crate) out: Vec<Vec<u8>>,
    pub(crate) events: Vec<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    // Initiator.
    ResultWait,
    ResultRespWaitI,
    WaitTimeoutI,
    // Responder.
    TidokWait,
    InvokeRespWait,
    ResultWaitR,
    ResultRespWait,
    WaitTimeout,
    // Gone.
    Null,
}

struct Transaction {
    id: Id,
    tid: u16,
    class: u8,
    uack: bool,
    initiator: bool,
    state: State,
    timer: Option<Instant>,
    rcr: u32,
    aec: u32,
    hold_on: bool,
    tok_sent: bool,
    acked: bool,
    message: Vec<u8>,
    exit_info: Vec<u8>,
}

fn after(now: Instant, ms: u64) -> Option<Instant> {
    Some(now + Duration::from_millis(ms))
}

impl Plain {
    pub(crate) fn new(first_tid: u16) -> Self {
        Self {
            gen_tid: first_tid,
            ..Self::default()
        }
    }

    pub(crate) fn live(&self) -> usize {
        self.transactions.len()
    }

    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.transactions.iter().filter_map(|t| t.timer).min()
    }

    pub(crate) fn invoke(&mut self, now: Instant, class: u8, uack: bool, data: &[u8]) -> Id {
        let tid = self.gen_tid;
        self.gen_tid = (self.gen_tid + 1) & 0x7FFF;
        let id = self.fresh_id();
        let mut message = vec![
            0x0E,
            (tid >> 8) as u8,
            tid as u8,
            class | if uack { 0x10 } else { 0 },
        ];
        message.extend_from_slice(data);
        self.out.push(message.clone());
        if class > 0 {
            let interval = match (class, uack) {
                (2, _) => B_R,
                (_, false) => S_R,
                (_, true) => S_R + S_A,
            };
            let mut t = transaction(id, tid, class, uack, true);
            t.state = State::ResultWait;
            t.message = message;
            t.timer = after(now, interval);
            self.transactions.push(t);
        }
        id
    }

    pub(crate) fn accept(&mut self, now: Instant, id: Id, info: &[u8]) {
        let Some(at) = self.find(id) else { return };
        let t = &mut self.transactions[at];
        if t.state != State::InvokeRespWait {
            return;
        }
        if t.class == 1 {
            t.exit_info = info.to_vec();
            t.state = State::WaitTimeout;
            t.timer = after(now, W);
            let ack = ack(t, false, false);
            self.out.push(ack);
        } else {
            t.state = State::ResultWaitR;
            t.timer = after(now, B_A);
        }
    }

    pub(crate) fn result(&mut self, now: Instant, id: Id, data: &[u8]) {
        let Some(at) = self.find(id) else { return };
        let t = &mut self.transactions[at];
        if !matches!(t.state, State::InvokeRespWait | State::ResultWaitR) {
            return;
        }
        let [high, low] = (t.tid | 0x8000).to_be_bytes();
        t.message = vec![0x16, high, low];
        t.message.extend_from_slice(data);
        t.state = State::ResultRespWait;
        t.rcr = 0;
        t.timer = after(now, L_R);
        let message = t.message.clone();
        self.out.push(message);
    }

    pub(crate) fn acknowledge(&mut self, now: Instant, id: Id, info: &[u8]) {
        let Some(at) = self.find(id) else { return };
        let t = &mut self.transactions[at];
        if t.state != State::ResultRespWaitI {
            return;
        }
        t.exit_info = info.to_vec();
        t.state = State::WaitTimeoutI;
        t.timer = after(now, W);
        let ack = ack(t, false, false);
        self.out.push(ack);
    }

    pub(crate) fn abort(&mut self, id: Id, reason: u8) {
        let Some(at) = self.find(id) else { return };
        let t = &mut self.transactions[at];
        let tid = if t.initiator { t.tid } else { t.tid | 0x8000 };
        let [high, low] = tid.to_be_bytes();
        t.state = State::Null;
        self.out.push(vec![0x21, high, low, reason]);
        self.sweep();
    }

    pub(crate) fn hear(&mut self, now: Instant, datagram: &[u8]) {
        // Separation, read off 8.5.
        if datagram.first() == Some(&0) {
            let mut rest = &datagram[1..];
            while !rest.is_empty() {
                let (len, header) = if rest[0] & 0x80 == 0 {
                    (usize::from(rest[0]), 1)
                } else {
                    (usize::from(rest[0] & 0x7F) * 256 + usize::from(rest[1]), 2)
                };
                self.hear_pdu(now, &rest[header..header + len]);
                rest = &rest[header + len..];
            }
        } else {
            self.hear_pdu(now, datagram);
        }
    }

    pub(crate) fn timeout(&mut self, now: Instant) {
        for at in 0..self.transactions.len() {
            if self.transactions[at].timer.is_some_and(|due| due <= now) {
                self.expire(now, at);
            }
        }
        self.sweep();
    }

    fn hear_pdu(&mut self, now: Instant, pdu: &[u8]) {
        let con = pdu[0] & 0x80 != 0;
        let kind = pdu[0] >> 3 & 0x0F;
        let rid = pdu[0] & 1 != 0;
        let verify = pdu[0] & 4 != 0;
        let wire_tid = u16::from_be_bytes([pdu[1], pdu[2]]);
        let tid = wire_tid & 0x7FFF;
        let from_responder = wire_tid & 0x8000 != 0;
        let fixed = if kind == 1 || kind == 4 { 4 } else { 3 };
        let (info, data) = items(con, &pdu[fixed..]);
        let found = self
            .transactions
            .iter()
            .position(|t| t.tid == tid && t.initiator == from_responder && t.state != State::Null);
        let Some(at) = found else {
            if kind == 1 && !from_responder {
                self.listen(now, tid, pdu[3], data);
            } else if kind == 3 && from_responder && verify {
                self.out.push(vec![0x20, pdu[1] & 0x7F, pdu[2], 0x02]);
            }
            return;
        };
        let t = &mut self.transactions[at];
        match (t.state, kind) {
            // Initiator, RESULT WAIT.
            (State::ResultWait, 3) if verify => {
                if t.rcr < RCR_MAX {
                    t.rcr += 1;
                    t.timer = after(now, B_R);
                    let tok = ack(t, true, t.tok_sent);
                    t.tok_sent = true;
                    self.out.push(tok);
                }
            }
            (State::ResultWait, 3) if t.class == 2 => {
                if !t.hold_on {
                    t.timer = None;
                    t.hold_on = true;
                    let id = t.id;
                    self.events.push(Event::InvokeConfirmed {
                        id,
                        info: Vec::new(),
                    });
                }
            }
            (State::ResultWait, 3) => {
                t.state = State::Null;
                let id = t.id;
                self.events.push(Event::InvokeConfirmed { id, info });
            }
            (State::ResultWait, 2) if t.class == 2 => {
                let id = t.id;
                if !t.hold_on {
                    self.events.push(Event::InvokeConfirmed {
                        id,
                        info: Vec::new(),
                    });
                }
                t.state = State::ResultRespWaitI;
                t.timer = after(now, L_A);
                self.events.push(Event::Result {
                    id,
                    data: data.to_vec(),
                });
            }
            (State::WaitTimeoutI, 2) if rid => {
                let again = ack(t, false, true);
                self.out.push(again);
            }
            // Responder.
            (State::TidokWait, 3) if verify => {
                if self.vouched.contains(&tid) {
                    t.state = State::Null;
                    return self.sweep();
                }
                self.vouched.push(tid);
                let last = self.last_tid;
                if last.is_none_or(|last| newer(tid, last)) {
                    self.last_tid = Some(tid);
                }
                let data = std::mem::take(&mut t.message);
                self.begin(now, at, data);
            }
            (State::TidokWait, 1) if rid => {
                let again = ack(t, true, true);
                self.out.push(again);
            }
            (State::TidokWait, 4) => t.state = State::Null,
            (State::ResultWaitR, 1) if rid && t.acked => {
                let again = ack(t, false, true);
                self.out.push(again);
            }
            (State::ResultRespWait, 3) if !verify => {
                t.state = State::Null;
                let id = t.id;
                self.events.push(Event::ResultConfirmed { id, info });
            }
            (State::WaitTimeout, 1) if rid => {
                let again = ack(t, false, true);
                self.out.push(again);
            }
            (State::WaitTimeout, 3) if rid && verify => {
                let again = ack(t, false, true);
                self.out.push(again);
            }
            (_, 4) => {
                t.state = State::Null;
                let id = t.id;
                self.events.push(Event::Abort { id });
            }
            _ => {}
        }
        self.sweep();
    }

    fn listen(&mut self, now: Instant, tid: u16, octet: u8, data: &[u8]) {
        let (class, uack, tid_new) = (octet & 3, octet & 0x10 != 0, octet & 0x20 != 0);
        let id = self.fresh_id();
        if class == 0 {
            self.events.push(Event::Invoke {
                id,
                class,
                uack,
                data: data.to_vec(),
            });
            return;
        }
        let mut t = transaction(id, tid, class, uack, false);
        let valid = !tid_new && self.last_tid.is_none_or(|last| newer(tid, last));
        if valid {
            self.last_tid = Some(tid);
            self.transactions.push(t);
            let at = self.transactions.len() - 1;
            self.begin(now, at, data.to_vec());
        } else {
            t.state = State::TidokWait;
            t.message = data.to_vec();
            t.timer = after(now, B_R * 9);
            let ask = ack(&t, true, false);
            self.out.push(ask);
            self.transactions.push(t);
        }
    }

    fn begin(&mut self, now: Instant, at: usize, data: Vec<u8>) {
        let t = &mut self.transactions[at];
        t.state = State::InvokeRespWait;
        let interval = match (t.class, t.uack) {
            (2, _) => B_A,
            (_, true) => S_A,
            (_, false) => 0,
        };
        t.timer = after(now, interval);
        let (id, class, uack) = (t.id, t.class, t.uack);
        self.events.push(Event::Invoke {
            id,
            class,
            uack,
            data,
        });
    }

    fn expire(&mut self, now: Instant, at: usize) {
        let t = &mut self.transactions[at];
        match t.state {
            State::ResultWait | State::ResultRespWait => {
                if t.rcr < RCR_MAX {
                    t.rcr += 1;
                    let interval = match (t.state, t.class) {
                        (State::ResultRespWait, _) => L_R,
                        (_, 2) => B_R,
                        (_, _) if t.uack => S_R + S_A,
                        _ => S_R,
                    };
                    t.timer = after(now, interval);
                    let again = if t.tok_sent {
                        ack(t, true, true)
                    } else {
                        t.message[0] |= 1;
                        t.message.clone()
                    };
                    self.out.push(again);
                } else {
                    t.state = State::Null;
                    let id = t.id;
                    self.events.push(Event::Abort { id });
                }
            }
            State::InvokeRespWait | State::ResultRespWaitI if t.uack => {
                if t.aec < AEC_MAX {
                    t.aec += 1;
                    t.timer = after(
                        now,
                        match (t.state, t.class) {
                            (State::ResultRespWaitI, _) => L_A,
                            (_, 2) => B_A,
                            _ => S_A,
                        },
                    );
                } else {
                    let tid = if t.initiator { t.tid } else { t.tid | 0x8000 };
                    let [high, low] = tid.to_be_bytes();
                    t.state = State::Null;
                    let id = t.id;
                    self.out.push(vec![0x20, high, low, 0x08]);
                    self.events.push(Event::Abort { id });
                }
            }
            State::InvokeRespWait if t.class == 1 => {
                t.state = State::WaitTimeout;
                t.timer = after(now, W);
                let ack = ack(t, false, false);
                self.out.push(ack);
            }
            State::InvokeRespWait | State::ResultWaitR => {
                t.state = State::ResultWaitR;
                t.acked = true;
                t.timer = None;
                let ack = ack(t, false, false);
                self.out.push(ack);
            }
            State::ResultRespWaitI => {
                t.state = State::WaitTimeoutI;
                t.timer = after(now, W);
                let ack = ack(t, false, false);
                self.out.push(ack);
            }
            State::TidokWait | State::WaitTimeout | State::WaitTimeoutI => t.state = State::Null,
            State::Null => {}
        }
    }

    fn sweep(&mut self) {
        self.transactions.retain(|t| t.state != State::Null);
    }

    fn find(&self, id: Id) -> Option<usize> {
        self.transactions.iter().position(|t| t.id == id)
    }

    fn fresh_id(&mut self) -> Id {
        self.next_id += 1;
        self.next_id
    }
}

fn transaction(id: Id, tid: u16, class: u8, uack: bool, initiator: bool) -> Transaction {
    Transaction {
        id,
        tid,
        class,
        uack,
        initiator,
        state: State::Null,
        timer: None,
        rcr: 0,
        aec: 0,
        hold_on: false,
        tok_sent: false,
        acked: false,
        message: Vec::new(),
        exit_info: Vec::new(),
    }
}

fn ack(t: &Transaction, verify: bool, rid: bool) -> Vec<u8> {
    let tid = if t.initiator { t.tid } else { t.tid | 0x8000 };
    let [high, low] = tid.to_be_bytes();
    let info = !verify && !t.exit_info.is_empty();
    let mut out = vec![
        0x18 | u8::from(info) << 7 | u8::from(verify) << 2 | u8::from(rid),
        high,
        low,
    ];
    if info {
        // Always the long form, which the other side must take as well as the short one.
        out.extend_from_slice(&[0x0C, t.exit_info.len() as u8]);
        out.extend_from_slice(&t.exit_info);
    }
    out
}

/// Exit info, and what follows the variable header.
fn items(mut con: bool, mut rest: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut info = Vec::new();
    while con {
        con = rest[0] & 0x80 != 0;
        let id = rest[0] >> 3 & 0x0F;
        let (len, header) = if rest[0] & 4 == 0 {
            (usize::from(rest[0] & 3), 1)
        } else {
            (usize::from(rest[1]), 2)
        };
        if id == 1 {
            info = rest[header..header + len].to_vec();
        }
        rest = &rest[header + len..];
    }
    (info, rest)
}

/// Tables 7 and 8.
fn newer(tid: u16, last: u16) -> bool {
    let ahead = tid.wrapping_sub(last) & 0x7FFF;
    ahead != 0 && ahead <= 1 << 14
}
