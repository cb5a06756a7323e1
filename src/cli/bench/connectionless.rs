//! Requests without a session: one datagram each way. The handset repeats a request without a
//! reply.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashMap;

use crate::cli::bench::event::Event;
use crate::random::{Keyed, Random};
use crate::time::{Instant, Timers};
use crate::wsp::pdu::Pdu;
use crate::wsp::status;

/// The requests under way, at most one of each handset.
pub(super) struct ConnectionlessClient {
    pending: HashMap<u32, PendingRequest, Keyed>,
    timers: Timers,
    waiting: VecDeque<u32>,
    timeout: Duration,
    /// When a handset asks again.
    retry: Duration,
    next_tid: u8,
    /// Datagrams sent again.
    pub(super) retransmissions: u64,
}

struct PendingRequest {
    datagram: Box<[u8]>,
    since: Instant,
    again: Instant,
    until: Instant,
}

impl ConnectionlessClient {
    pub(super) fn new(random: &mut Random, timeout: Duration, retry: Duration) -> Self {
        Self {
            pending: HashMap::with_hasher(random.hasher()),
            timers: Timers::new(),
            waiting: VecDeque::new(),
            timeout,
            retry,
            next_tid: 0,
            retransmissions: 0,
        }
    }

    /// S-Unit-MethodInvoke.req; `encode` appends the PDU.
    pub(super) fn post(
        &mut self,
        now: Instant,
        who: u32,
        since: Instant,
        encode: impl FnOnce(&mut Vec<u8>),
    ) {
        self.next_tid = self.next_tid.wrapping_add(1);
        let mut datagram = vec![self.next_tid];
        encode(&mut datagram);
        let again = now + self.retry;
        self.pending.insert(
            who,
            PendingRequest {
                datagram: datagram.into(),
                since,
                again,
                until: now + self.timeout,
            },
        );
        self.timers.schedule(again, who);
        self.waiting.push_back(who);
    }

    pub(super) fn handle_datagram(
        &mut self,
        who: u32,
        payload: &[u8],
        events: &mut VecDeque<Event>,
    ) {
        let Some((tid, sdu)) = payload.split_first() else {
            return;
        };
        let answers = |pending: &PendingRequest| pending.datagram.first() == Some(tid);
        if !self.pending.get(&who).is_some_and(answers) {
            return;
        }
        let Ok(Pdu::Reply(reply)) = Pdu::decode(sdu) else {
            return;
        };
        if let Some(pending) = self.pending.remove(&who) {
            events.push_back(Event::Replied {
                who,
                since: pending.since,
                status: status::to_http(reply.status).unwrap_or(500),
                octets: reply.data.len(),
            });
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, events: &mut VecDeque<Event>) {
        while let Some(who) = self.timers.pop_due(now) {
            let Some(pending) = self.pending.get_mut(&who) else {
                continue;
            };
            if now >= pending.until {
                let since = pending.since;
                self.pending.remove(&who);
                let cause = format!("no answer within {:?}", self.timeout);
                events.push_back(Event::Failed { who, since, cause });
                continue;
            }
            if now >= pending.again {
                pending.again = now + self.retry;
                self.retransmissions += 1;
                self.waiting.push_back(who);
            }
            let next = pending.again.min(pending.until);
            self.timers.schedule(next, who);
        }
    }

    pub(super) fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<u32> {
        loop {
            let who = self.waiting.pop_front()?;
            if let Some(pending) = self.pending.get(&who) {
                buf.extend_from_slice(&pending.datagram);
                return Some(who);
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
}
