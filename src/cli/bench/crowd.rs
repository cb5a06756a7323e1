//! Many handsets in little memory, without I/O: one transaction layer plays the initiator of all of them, and a
//! handset that waits is a few octets.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;

use crate::cli::bench::script::Script;
use crate::cli::bench::unit::Units;
use crate::random::{Keyed, Random};
use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::pdu::Pdu;
use crate::wsp::{AbortReason, status};
use crate::wtp::{self, Class, Endpoint, Handle, Indication};

/// The handsets.
pub(super) struct Crowd {
    handsets: Vec<Handset>,
    script: Script,
    endpoint: Endpoint,
    /// Present when there are no sessions.
    units: Option<Units>,
    flights: HashMap<Handle, Flight, Keyed>,
    /// Flights in the order they began, to end those that nobody answers.
    begun: VecDeque<(Instant, Handle)>,
    /// How long an answer is waited for.
    patience: Duration,
    events: VecDeque<Event>,
    serial: u64,
}

#[derive(Clone, Copy, Debug)]
struct Handset {
    session: Option<u32>,
    next_tid: u16,
    /// The first TID may have been verified; gateways that remember it for good take it but once.
    first_tid: u16,
}

/// A transaction under way.
#[derive(Clone, Copy, Debug)]
struct Flight {
    who: u32,
    /// When it was to begin.
    since: Instant,
    connect: bool,
}

/// What became of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A session is up.
    Connected {
        /// The handset.
        who: u32,
        /// When it was to begin.
        since: Instant,
    },
    /// A POST was answered.
    Replied {
        /// The handset.
        who: u32,
        /// When it was to begin.
        since: Instant,
        /// As HTTP numbers it.
        status: u16,
        /// Octets of the body.
        octets: usize,
    },
    /// Something ended without an answer.
    Failed {
        /// The handset.
        who: u32,
        /// When it was to begin.
        since: Instant,
        /// Why, in words.
        cause: String,
    },
}

/// What handsets are like.
pub(super) struct Config {
    /// How many.
    pub(super) handsets: u32,
    /// Without sessions and transactions.
    pub(super) connectionless: bool,
    /// How long an answer is waited for.
    pub(super) patience: Duration,
    /// When what is not acknowledged is repeated.
    pub(super) retry: Duration,
    /// Whether datagrams get lost or take their time.
    pub(super) bad_weather: bool,
    /// Decides the TIDs.
    pub(super) seed: u64,
}

impl Crowd {
    /// Handsets that know nobody yet.
    pub(super) fn new(config: &Config, script: Script, now: Instant) -> Self {
        let wtp = wtp::Config {
            base_retry: config.retry,
            max_transactions: usize::MAX,
            // Idle handsets cost nothing here.
            tid_lifetime: Duration::from_secs(1),
            tid_cache_capacity: usize::MAX,
            // The last acknowledgement is repeated on request for so long; where nothing gets lost, nobody asks.
            wait_timeout: match config.bad_weather {
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
            script,
            endpoint: Endpoint::new(wtp, config.seed, now),
            units: config
                .connectionless
                .then(|| Units::new(&mut random, config.patience, config.retry)),
            flights: HashMap::with_hasher(random.hasher()),
            begun: VecDeque::new(),
            patience: config.patience,
            events: VecDeque::new(),
            serial: random.u64(),
        }
    }

    /// S-Connect.req.
    pub(super) fn connect(&mut self, now: Instant, who: u32, since: Instant) {
        let sdu = self.script.connect(who);
        self.invoke(
            now,
            sdu,
            Flight {
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
        match &mut self.units {
            Some(units) => {
                units.post(now, who, since, |out| self.script.post(self.serial, out));
            }
            None => {
                self.script.post(self.serial, &mut sdu);
                self.invoke(
                    now,
                    sdu.into(),
                    Flight {
                        who,
                        since,
                        connect: false,
                    },
                );
            }
        }
    }

    /// S-Disconnect.req, which nobody confirms.
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

    /// Whether a handset can post: its session is up, or there are none.
    pub(super) fn is_ready(&self, who: u32) -> bool {
        self.units.is_some()
            || self
                .handsets
                .get(who as usize)
                .is_some_and(|handset| handset.session.is_some())
    }

    fn invoke(&mut self, now: Instant, sdu: Bytes, flight: Flight) {
        let Some(handset) = self.handsets.get_mut(flight.who as usize) else {
            return;
        };
        let tid = handset.take_tid();
        match self.endpoint.invoke_as(now, peer(flight.who), tid, sdu) {
            Ok(handle) => {
                self.flights.insert(handle, flight);
                self.begun.push_back((now, handle));
            }
            Err(refused) => self.fail(flight, format!("not sent: {refused}")),
        }
    }

    fn fail(&mut self, Flight { who, since, .. }: Flight, cause: String) {
        self.events.push_back(Event::Failed { who, since, cause });
    }

    /// A datagram came for a handset.
    pub(super) fn handle_datagram(&mut self, now: Instant, who: u32, payload: &[u8]) {
        match &mut self.units {
            Some(units) => units.handle_datagram(who, payload, &mut self.events),
            None => {
                self.endpoint.handle_datagram(now, peer(who), payload);
                self.run(now);
            }
        }
    }

    /// The moment of [`poll_timeout`](Self::poll_timeout) has come.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(units) = &mut self.units {
            units.handle_timeout(now, &mut self.events);
        }
        self.endpoint.handle_timeout(now);
        self.run(now);
        while let Some(&(began, handle)) = self.begun.front()
            && began + self.patience <= now
        {
            self.begun.pop_front();
            if let Some(flight) = self.flights.remove(&handle) {
                self.endpoint.abort(now, handle, AbortReason::PEERREQ.0);
                let cause = format!("no answer within {:?}", self.patience);
                self.fail(flight, cause);
            }
        }
    }

    /// Appends the next datagram to `buf` and says whose it is.
    pub(super) fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<u32> {
        match &mut self.units {
            Some(units) => units.poll_transmit(buf),
            None => self
                .endpoint
                .poll_transmit(buf)
                .map(|transmit| who(transmit.peer)),
        }
    }

    /// The next thing that happened.
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let lost = self.begun.front().map(|(began, _)| *began + self.patience);
        let units = self.units.as_ref().and_then(Units::poll_timeout);
        [self.endpoint.poll_timeout(), lost, units]
            .into_iter()
            .flatten()
            .min()
    }

    /// Counters of the transaction layer.
    pub(super) fn stats(&self) -> wtp::Stats {
        let mut stats = *self.endpoint.stats();
        if let Some(units) = &self.units {
            stats.retransmissions += units.retransmissions;
        }
        stats
    }

    fn run(&mut self, now: Instant) {
        while let Some(indication) = self.endpoint.poll_indication() {
            match indication {
                Indication::Result { handle, data, .. } => {
                    self.endpoint.acknowledge(now, handle, &[]);
                    if let Some(flight) = self.flights.remove(&handle) {
                        self.result(flight, &data);
                    }
                }
                Indication::Abort { handle, reason, .. } => {
                    if let Some(flight) = self.flights.remove(&handle) {
                        self.aborted(flight, reason);
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
            .is_some_and(|(_, handle)| !self.flights.contains_key(handle))
        {
            self.begun.pop_front();
        }
    }

    fn result(&mut self, flight: Flight, data: &[u8]) {
        let Flight {
            who,
            since,
            connect,
        } = flight;
        match (Pdu::decode(data), connect) {
            (Ok(Pdu::ConnectReply(reply)), true) => {
                if let Some(handset) = self.handsets.get_mut(who as usize) {
                    handset.session = Some(reply.session_id);
                }
                self.events.push_back(Event::Connected { who, since });
            }
            (Ok(Pdu::Reply(reply)), true) => {
                let status = status::to_http(reply.status).unwrap_or(500);
                self.fail(flight, format!("Connect refused with status {status}"));
            }
            (Ok(Pdu::Redirect(_)), true) => self.fail(flight, "Connect redirected".to_owned()),
            (Ok(Pdu::Reply(reply)), false) => self.events.push_back(Event::Replied {
                who,
                since,
                status: status::to_http(reply.status).unwrap_or(500),
                octets: reply.data.len(),
            }),
            _ => self.fail(flight, "an answer that cannot be read".to_owned()),
        }
    }

    fn aborted(&mut self, flight: Flight, reason: wtp::AbortReason) {
        let cause = match reason {
            wtp::AbortReason::User(octet) => {
                let reason = AbortReason(octet);
                if reason == AbortReason::DISCONNECT {
                    self.forget_session(flight.who);
                }
                format!("aborted by the gateway: {reason}")
            }
            other => other.to_string(),
        };
        self.fail(flight, cause);
    }

    /// The gateway has something to say: that a session is over, or content nobody asked for.
    fn invoked(&mut self, now: Instant, (handle, class): (Handle, Class), peer: Peer, data: &[u8]) {
        if matches!(Pdu::decode(data), Ok(Pdu::Disconnect { .. })) {
            self.forget_session(who(peer));
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

/// What stands for a handset in the transaction layer: its number, as an address.
fn peer(who: u32) -> Peer {
    let number = SocketAddr::from((Ipv4Addr::from(who), 0));
    Peer::new(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), number)
}

/// Which handset that was.
fn who(peer: Peer) -> u32 {
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

    fn crowd(connectionless: bool) -> Crowd {
        let config = Config {
            handsets: 3,
            connectionless,
            patience: Duration::from_secs(60),
            retry: Duration::from_secs(5),
            bad_weather: true,
            seed: 1,
        };
        Crowd::new(
            &config,
            Script::new("http://h/", 100, connectionless),
            Instant::ZERO,
        )
    }

    /// What a gateway hears and answers: an endpoint of its own that knows the crowd by the same names.
    fn answer(gateway: &mut Endpoint, crowd: &mut Crowd, now: Instant, sdu: &[u8]) {
        let mut buf = Vec::new();
        while let Some(who) = crowd.poll_transmit(&mut buf) {
            gateway.handle_datagram(now, peer(who), &buf);
            buf.clear();
        }
        while let Some(indication) = gateway.poll_indication() {
            if let Indication::Invoke { handle, .. } = indication {
                gateway.result(now, handle, Bytes::copy_from_slice(sdu));
            }
        }
        while let Some(transmit) = gateway.poll_transmit(&mut buf) {
            crowd.handle_datagram(now, who(transmit.peer), &buf);
            buf.clear();
        }
    }

    #[test]
    fn a_handset_connects_verifies_and_posts() {
        let now = Instant::ZERO;
        // It has just started, so it asks every handset whether it knows its TID.
        let mut gateway = Endpoint::new(wtp::Config::ip(), 2, now);
        let mut crowd = crowd(false);
        crowd.connect(now, 2, now);
        let mut sdu = Vec::new();
        Pdu::ConnectReply(crate::wsp::pdu::ConnectReply {
            session_id: 7,
            capabilities: &[],
            headers: &[],
        })
        .encode(&mut sdu);
        answer(&mut gateway, &mut crowd, now, &sdu);
        answer(&mut gateway, &mut crowd, now, &sdu);
        assert_eq!(gateway.stats().verifications, 1);
        assert_eq!(
            crowd.poll_event(),
            Some(Event::Connected { who: 2, since: now })
        );
        assert!(crowd.is_ready(2) && !crowd.is_ready(1));

        let mut reply = Vec::new();
        Pdu::Reply(crate::wsp::pdu::Reply {
            status: 0x20,
            headers: &[0x83],
            data: b"abc",
        })
        .encode(&mut reply);
        crowd.post(now, 2, now);
        answer(&mut gateway, &mut crowd, now, &reply);
        let replied = Event::Replied {
            who: 2,
            since: now,
            status: 200,
            octets: 3,
        };
        assert_eq!(crowd.poll_event(), Some(replied));
    }

    #[test]
    fn who_gets_no_answer_gives_up() {
        let mut crowd = crowd(false);
        crowd.connect(Instant::ZERO, 0, Instant::ZERO);
        let (now, cause) = loop {
            let now = crowd.poll_timeout().unwrap();
            crowd.handle_timeout(now);
            let mut buf = Vec::new();
            while crowd.poll_transmit(&mut buf).is_some() {}
            if let Some(Event::Failed { cause, .. }) = crowd.poll_event() {
                break (now, cause);
            }
        };
        assert!(!cause.is_empty());
        assert!(now <= Instant::ZERO + Duration::from_secs(60));
        assert!(crowd.stats().retransmissions > 3);
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
        let mut crowd = crowd(true);
        assert!(crowd.is_ready(0));
        crowd.post(Instant::ZERO, 1, Instant::ZERO);
        let mut first = Vec::new();
        assert_eq!(crowd.poll_transmit(&mut first), Some(1));
        let later = crowd.poll_timeout().unwrap();
        crowd.handle_timeout(later);
        let mut again = Vec::new();
        assert_eq!(crowd.poll_transmit(&mut again), Some(1));
        assert_eq!(first, again);
        assert_eq!(crowd.stats().retransmissions, 1);
        let reply = [first[0], 0x04, 0x20, 0x01, 0x83, b'x'];
        crowd.handle_datagram(later, 1, &reply);
        let replied = Event::Replied {
            who: 1,
            since: Instant::ZERO,
            status: 200,
            octets: 1,
        };
        assert_eq!(crowd.poll_event(), Some(replied));
        assert_eq!(crowd.poll_transmit(&mut again), None);
    }
}
