//! Many handsets in little memory, without I/O: one transaction layer plays the initiator of all of
//! them, and a handset that waits is a few octets.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;

use crate::cli::bench::connectionless::ConnectionlessClient;
use crate::cli::bench::event::Event;
use crate::cli::bench::messages::Messages;
use crate::random::{Keyed, Random};
use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::pdu::Pdu;
use crate::wsp::{AbortReason, status};
use crate::wtp::{self, Class, Endpoint, Handle, Indication};

/// The handsets.
pub(super) struct HandsetPool {
    handsets: Vec<Handset>,
    messages: Messages,
    endpoint: Endpoint,
    /// Present when there are no sessions.
    connectionless: Option<ConnectionlessClient>,
    pending: HashMap<Handle, PendingTransaction, Keyed>,
    /// Requests in order of their start, to end those without a reply.
    begun: VecDeque<(Instant, Handle)>,
    /// How long an answer is waited for.
    timeout: Duration,
    events: VecDeque<Event>,
    serial: u64,
}

#[derive(Clone, Copy, Debug)]
struct Handset {
    session: Option<u32>,
    next_tid: u16,
    /// The first TID may have been verified; a gateway that remembers it accepts it only once.
    first_tid: u16,
}

/// A transaction under way.
#[derive(Clone, Copy, Debug)]
struct PendingTransaction {
    who: u32,
    /// When it was to begin.
    since: Instant,
    connect: bool,
}

/// Settings of handsets.
pub(super) struct PoolConfig {
    /// How many.
    pub(super) handsets: u32,
    /// Without sessions and transactions.
    pub(super) connectionless: bool,
    /// How long an answer is waited for.
    pub(super) timeout: Duration,
    /// The interval of retransmissions.
    pub(super) retry: Duration,
    /// Whether datagrams get lost or take their time.
    pub(super) impaired: bool,
    /// Decides the TIDs.
    pub(super) seed: u64,
}

impl HandsetPool {
    /// Handsets without sessions.
    pub(super) fn new(config: &PoolConfig, messages: Messages, now: Instant) -> Self {
        let wtp = wtp::Config {
            base_retry: config.retry,
            max_transactions: usize::MAX,
            // Idle handsets cost no memory here.
            tid_lifetime: Duration::from_secs(1),
            tid_cache_capacity: usize::MAX,
            // The last acknowledgement is repeated on request for this time. Without losses no
            // gateway asks.
            wait_timeout: match config.impaired {
                true => wtp::Config::ip().wait_timeout,
                false => Duration::from_secs(1),
            },
            max_reassembly: usize::MAX,
            ..wtp::Config::ip()
        };
        let mut random = Random::new(config.seed);
        let handsets = (0..config.handsets)
            .map(|_| {
                let [first, second, ..] = random.u32().to_be_bytes();
                let tid = u16::from_be_bytes([first, second]) & TIDS;
                Handset {
                    session: None,
                    next_tid: tid,
                    first_tid: tid,
                }
            })
            .collect();
        Self {
            handsets,
            messages,
            endpoint: Endpoint::new(wtp, config.seed, now),
            connectionless: config
                .connectionless
                .then(|| ConnectionlessClient::new(&mut random, config.timeout, config.retry)),
            pending: HashMap::with_hasher(random.hasher()),
            begun: VecDeque::new(),
            timeout: config.timeout,
            events: VecDeque::new(),
            serial: random.u64(),
        }
    }

    /// S-Connect.req.
    pub(super) fn connect(&mut self, now: Instant, who: u32, since: Instant) {
        let sdu = self.messages.connect(who);
        self.invoke(
            now,
            sdu,
            PendingTransaction {
                who,
                since,
                connect: true,
            },
        );
    }

    /// S-MethodInvoke.req, or S-Unit-MethodInvoke.req. `since` is when it was to begin.
    pub(super) fn post(&mut self, now: Instant, who: u32, since: Instant) {
        self.serial = self.serial.wrapping_add(1);
        let mut sdu = Vec::with_capacity(1024);
        match &mut self.connectionless {
            Some(connectionless) => {
                connectionless.post(now, who, since, |out| self.messages.post(self.serial, out));
            }
            None => {
                self.messages.post(self.serial, &mut sdu);
                self.invoke(
                    now,
                    sdu.into(),
                    PendingTransaction {
                        who,
                        since,
                        connect: false,
                    },
                );
            }
        }
    }

    /// S-Disconnect.req, which has no confirmation.
    pub(super) fn disconnect(&mut self, now: Instant, who: u32) {
        let Some(handset) = self.handsets.get_mut(who as usize) else {
            return;
        };
        if let Some(session_id) = handset.session.take() {
            let mut sdu = Vec::new();
            Pdu::Disconnect { session_id }.encode(&mut sdu);
            // A class 0 message may get lost anyway.
            let _ = self
                .endpoint
                .invoke(now, peer(who), Class::Zero, false, sdu.into());
        }
    }

    /// Whether a handset can post: its session is up, or sessions are off.
    pub(super) fn is_ready(&self, who: u32) -> bool {
        self.connectionless.is_some()
            || self
                .handsets
                .get(who as usize)
                .is_some_and(|handset| handset.session.is_some())
    }

    fn invoke(&mut self, now: Instant, sdu: Bytes, pending: PendingTransaction) {
        let Some(handset) = self.handsets.get_mut(pending.who as usize) else {
            return;
        };
        let tid = handset.take_tid();
        match self.endpoint.invoke_as(now, peer(pending.who), tid, sdu) {
            Ok(handle) => {
                self.pending.insert(handle, pending);
                self.begun.push_back((now, handle));
            }
            Err(refused) => self.fail(pending, format!("not sent: {refused}")),
        }
    }

    fn fail(&mut self, PendingTransaction { who, since, .. }: PendingTransaction, cause: String) {
        self.events.push_back(Event::Failed { who, since, cause });
    }

    /// A datagram came for a handset.
    pub(super) fn handle_datagram(&mut self, now: Instant, who: u32, payload: &[u8]) {
        match &mut self.connectionless {
            Some(connectionless) => connectionless.handle_datagram(who, payload, &mut self.events),
            None => {
                self.endpoint.handle_datagram(now, peer(who), payload);
                self.run(now);
            }
        }
    }

    /// The moment of [`poll_timeout`](Self::poll_timeout) has come.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(connectionless) = &mut self.connectionless {
            connectionless.handle_timeout(now, &mut self.events);
        }
        self.endpoint.handle_timeout(now);
        self.run(now);
        while let Some(&(began, handle)) = self.begun.front()
            && began + self.timeout <= now
        {
            self.begun.pop_front();
            if let Some(pending) = self.pending.remove(&handle) {
                self.endpoint.abort(now, handle, AbortReason::PEERREQ.0);
                let cause = format!("no answer within {:?}", self.timeout);
                self.fail(pending, cause);
            }
        }
    }

    /// Appends the next datagram to `buf` and returns its handset.
    pub(super) fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<u32> {
        match &mut self.connectionless {
            Some(connectionless) => connectionless.poll_transmit(buf),
            None => self
                .endpoint
                .poll_transmit(buf)
                .map(|transmit| index_of(transmit.peer)),
        }
    }

    /// The next thing that happened.
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let lost = self.begun.front().map(|(began, _)| *began + self.timeout);
        let connectionless = self
            .connectionless
            .as_ref()
            .and_then(ConnectionlessClient::poll_timeout);
        [self.endpoint.poll_timeout(), lost, connectionless]
            .into_iter()
            .flatten()
            .min()
    }

    /// Counters of the transaction layer.
    pub(super) fn stats(&self) -> wtp::Stats {
        let mut stats = *self.endpoint.stats();
        if let Some(connectionless) = &self.connectionless {
            stats.retransmissions += connectionless.retransmissions;
        }
        stats
    }

    fn run(&mut self, now: Instant) {
        while let Some(indication) = self.endpoint.poll_indication() {
            match indication {
                Indication::Result { handle, data, .. } => {
                    self.endpoint.acknowledge(now, handle, &[]);
                    if let Some(pending) = self.pending.remove(&handle) {
                        self.result(pending, &data);
                    }
                }
                Indication::Abort { handle, reason, .. } => {
                    if let Some(pending) = self.pending.remove(&handle) {
                        self.aborted(pending, reason);
                    }
                }
                Indication::Invoke {
                    handle,
                    peer,
                    data,
                    class,
                    ..
                } => {
                    self.invoked(now, (handle, class), peer, &data);
                }
                Indication::InvokeConfirmed { .. }
                | Indication::ResultConfirmed { .. }
                | Indication::InvokeData { .. }
                | Indication::ResultData { .. } => {}
            }
        }
        while self
            .begun
            .front()
            .is_some_and(|(_, handle)| !self.pending.contains_key(handle))
        {
            self.begun.pop_front();
        }
    }

    fn result(&mut self, pending: PendingTransaction, data: &[u8]) {
        let PendingTransaction {
            who,
            since,
            connect,
        } = pending;
        match (Pdu::decode(data), connect) {
            (Ok(Pdu::ConnectReply(reply)), true) => {
                if let Some(handset) = self.handsets.get_mut(who as usize) {
                    handset.session = Some(reply.session_id);
                }
                self.events.push_back(Event::Connected { who, since });
            }
            (Ok(Pdu::Reply(reply)), true) => {
                let status = status::to_http(reply.status).unwrap_or(500);
                self.fail(pending, format!("Connect refused with status {status}"));
            }
            (Ok(Pdu::Redirect(_)), true) => self.fail(pending, "Connect redirected".to_owned()),
            (Ok(Pdu::Reply(reply)), false) => self.events.push_back(Event::Replied {
                who,
                since,
                status: status::to_http(reply.status).unwrap_or(500),
                octets: reply.data.len(),
            }),
            _ => self.fail(pending, "an answer that cannot be read".to_owned()),
        }
    }

    fn aborted(&mut self, pending: PendingTransaction, reason: wtp::AbortReason) {
        let cause = match reason {
            wtp::AbortReason::User(octet) => {
                let reason = AbortReason(octet);
                if reason == AbortReason::DISCONNECT {
                    self.forget_session(pending.who);
                }
                format!("aborted by the gateway: {reason}")
            }
            other => other.to_string(),
        };
        self.fail(pending, cause);
    }

    /// An Invoke of the gateway: a Disconnect, or a push.
    fn invoked(&mut self, now: Instant, (handle, class): (Handle, Class), peer: Peer, data: &[u8]) {
        if matches!(Pdu::decode(data), Ok(Pdu::Disconnect { .. })) {
            self.forget_session(index_of(peer));
        }
        if class != Class::Zero {
            self.endpoint.abort(now, handle, AbortReason::USERRFS.0);
        }
    }

    fn forget_session(&mut self, who: u32) {
        if let Some(handset) = self.handsets.get_mut(who as usize) {
            handset.session = None;
        }
    }
}

impl Handset {
    /// The next TID. After a round of all of them the first one is left out.
    const fn take_tid(&mut self) -> u16 {
        let tid = self.next_tid;
        self.next_tid = (tid + 1) & TIDS;
        if self.next_tid == self.first_tid {
            self.next_tid = (self.next_tid + 1) & TIDS;
        }
        tid
    }
}

/// The peer of a handset in the transaction layer: its number, as an address.
fn peer(who: u32) -> Peer {
    let number = SocketAddr::from((Ipv4Addr::from(who), 0));
    Peer::new(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), number)
}

/// Which handset that was.
fn index_of(peer: Peer) -> u32 {
    match peer.local.ip() {
        IpAddr::V4(number) => number.into(),
        IpAddr::V6(_) => u32::MAX,
    }
}

/// Fifteen bits.
const TIDS: u16 = 0x7FFF;

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(connectionless: bool) -> HandsetPool {
        let config = PoolConfig {
            handsets: 3,
            connectionless,
            timeout: Duration::from_secs(60),
            retry: Duration::from_secs(5),
            impaired: true,
            seed: 1,
        };
        HandsetPool::new(
            &config,
            Messages::new("http://h/", 100, connectionless),
            Instant::ZERO,
        )
    }

    /// A gateway for tests: an endpoint of its own with the same peers.
    fn answer(gateway: &mut Endpoint, pool: &mut HandsetPool, now: Instant, sdu: &[u8]) {
        let mut buf = Vec::new();
        while let Some(who) = pool.poll_transmit(&mut buf) {
            gateway.handle_datagram(now, peer(who), &buf);
            buf.clear();
        }
        while let Some(indication) = gateway.poll_indication() {
            if let Indication::Invoke { handle, .. } = indication {
                gateway.result(now, handle, Bytes::copy_from_slice(sdu));
            }
        }
        while let Some(transmit) = gateway.poll_transmit(&mut buf) {
            pool.handle_datagram(now, index_of(transmit.peer), &buf);
            buf.clear();
        }
    }

    #[test]
    fn a_handset_connects_verifies_and_posts() {
        let now = Instant::ZERO;
        // It has just started, so it asks every handset whether it knows its TID.
        let mut gateway = Endpoint::new(wtp::Config::ip(), 2, now);
        let mut pool = pool(false);
        pool.connect(now, 2, now);
        let mut sdu = Vec::new();
        Pdu::ConnectReply(crate::wsp::pdu::ConnectReply {
            session_id: 7,
            capabilities: &[],
            headers: &[],
        })
        .encode(&mut sdu);
        answer(&mut gateway, &mut pool, now, &sdu);
        answer(&mut gateway, &mut pool, now, &sdu);
        assert_eq!(gateway.stats().verifications, 1);
        assert_eq!(
            pool.poll_event(),
            Some(Event::Connected { who: 2, since: now })
        );
        assert!(pool.is_ready(2) && !pool.is_ready(1));

        let mut reply = Vec::new();
        Pdu::Reply(crate::wsp::pdu::Reply {
            status: 0x20,
            headers: &[0x83],
            data: b"abc",
        })
        .encode(&mut reply);
        pool.post(now, 2, now);
        answer(&mut gateway, &mut pool, now, &reply);
        let replied = Event::Replied {
            who: 2,
            since: now,
            status: 200,
            octets: 3,
        };
        assert_eq!(pool.poll_event(), Some(replied));
    }

    #[test]
    fn who_gets_no_answer_gives_up() {
        let mut pool = pool(false);
        pool.connect(Instant::ZERO, 0, Instant::ZERO);
        let (now, cause) = loop {
            let now = pool.poll_timeout().unwrap();
            pool.handle_timeout(now);
            let mut buf = Vec::new();
            while pool.poll_transmit(&mut buf).is_some() {}
            if let Some(Event::Failed { cause, .. }) = pool.poll_event() {
                break (now, cause);
            }
        };
        assert!(!cause.is_empty());
        assert!(now <= Instant::ZERO + Duration::from_secs(60));
        assert!(pool.stats().retransmissions > 3);
    }

    #[test]
    fn a_tid_is_not_used_twice_in_a_round_and_the_first_never_again() {
        let mut handset = Handset {
            session: None,
            next_tid: 5,
            first_tid: 5,
        };
        assert_eq!(handset.take_tid(), 5);
        let round: Vec<_> = (0..0x7FFF).map(|_| handset.take_tid()).collect();
        assert!(!round.contains(&5));
        assert_eq!((round[0], handset.take_tid()), (6, 6));
    }

    #[test]
    fn a_datagram_without_a_session_is_repeated_and_answered() {
        let mut pool = pool(true);
        assert!(pool.is_ready(0));
        pool.post(Instant::ZERO, 1, Instant::ZERO);
        let mut first = Vec::new();
        assert_eq!(pool.poll_transmit(&mut first), Some(1));
        let later = pool.poll_timeout().unwrap();
        pool.handle_timeout(later);
        let mut again = Vec::new();
        assert_eq!(pool.poll_transmit(&mut again), Some(1));
        assert_eq!(first, again);
        assert_eq!(pool.stats().retransmissions, 1);
        let reply = [first[0], 0x04, 0x20, 0x01, 0x83, b'x'];
        pool.handle_datagram(later, 1, &reply);
        let replied = Event::Replied {
            who: 1,
            since: Instant::ZERO,
            status: 200,
            octets: 1,
        };
        assert_eq!(pool.poll_event(), Some(replied));
        assert_eq!(pool.poll_transmit(&mut again), None);
    }
}
