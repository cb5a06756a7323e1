//! Conversations of valid handsets with one thing changed, through one core that runs on and on, beside a handset that
//! has to be served throughout.
//!
//! `WAPBRIDGE_DATAGRAMS=100000000 cargo test --profile walks --test fuzz conversations -- --nocapture` sends more.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wapbridge::gateway::fetch::Reply;
use wapbridge::gateway::{Config, Event, Gateway};
use wapbridge::handset::{self, Handset, Request};
use wapbridge::random::Random;
use wapbridge::time::Instant;
use wapbridge::wdp::{Datagram, Peer, Service};
use wapbridge::wsp::capability::Capabilities;
use wapbridge::wsp::pdu::Method;

use crate::targets;

/// Time between two datagrams: 20,000 a second.
const PACE: Duration = Duration::from_micros(50);
/// Time that passes where the chosen handset has nothing to say.
const PAUSE: Duration = Duration::from_millis(5);
/// Handsets that converse at a time.
const AT_A_TIME: usize = 64;
/// A handset without an answer is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// The served handset asks once in so many datagrams.
const CANARY: u64 = 2_000;
const THEIRS: ([u8; 4], u16) = ([192, 0, 2, 1], 9201);

/// A handset that connects, asks three times and disconnects. One of its datagrams is changed.
struct Talk {
    phone: Handset,
    from: SocketAddr,
    /// Steps begun: the Connect, the requests, the Disconnect.
    steps: u8,
    /// Whether the last step has its answer.
    is_answered: bool,
    /// The time of the last answer.
    since: Instant,
    /// Datagrams to come before the one that is changed.
    until_change: u64,
    /// The datagram before, which the change may repeat or delay.
    before: Vec<u8>,
}

struct Rig {
    now: Instant,
    gateway: Gateway,
    canary: Handset,
    talks: Vec<Talk>,
    random: Random,
    buffer: Vec<u8>,
    outcomes: Vec<handset::Event>,
}

/// The address of the handset that has to be served.
fn canary_address() -> SocketAddr {
    ([10, 200, 0, 1], 4_000).into()
}

fn new_handset(address: SocketAddr, seed: u64, now: Instant) -> Handset {
    let config = handset::Config {
        capabilities: Some(
            Capabilities::default()
                .with_client_sdu(0)
                .with_server_sdu(0),
        ),
        headers: vec![("Accept".into(), "text/html, */*;q=0.5".into())],
        ..handset::Config::default()
    };
    let mut handset = Handset::new(
        config,
        Peer::new(SocketAddr::from(THEIRS), address),
        seed,
        now,
    );
    handset.connect(now);
    handset
}

impl Rig {
    fn new(seed: u64) -> Self {
        let now = Instant::ZERO;
        let mut rig = Self {
            now,
            gateway: Gateway::new(Arc::new(Config::new(targets::routes())), seed, now),
            canary: new_handset(canary_address(), seed, now),
            talks: Vec::new(),
            random: Random::new(seed),
            buffer: Vec::new(),
            outcomes: Vec::new(),
        };
        rig.talks = (0..AT_A_TIME).map(|place| rig.new_talk(place)).collect();
        rig.settle();
        assert!(
            matches!(rig.outcomes[..], [handset::Event::Connected(_)]),
            "{:?}",
            rig.outcomes
        );
        rig.outcomes.clear();
        rig
    }

    /// A handset whose address tells its place.
    fn new_talk(&mut self, place: usize) -> Talk {
        let octet = self.random.u32().to_le_bytes()[0];
        let address = [10, place as u8, self.random.below(4) as u8, octet];
        let from = SocketAddr::from((address, 4_000));
        Talk {
            phone: new_handset(from, self.random.u64(), self.now),
            from,
            steps: 1,
            is_answered: false,
            since: self.now,
            until_change: self.random.below(16),
            before: Vec::new(),
        }
    }

    fn say(&mut self, from: SocketAddr, service: Service, payload: &[u8]) {
        let peer = Peer::new(from, SocketAddr::from(THEIRS));
        let datagram = Datagram {
            peer,
            service,
            payload,
        };
        self.gateway.handle_datagram(self.now, datagram);
        self.settle();
    }

    /// Carries what gateway, origin and the served handset say, until none says anything. The origin
    /// answers at once.
    fn settle(&mut self) {
        loop {
            let mut is_quiet = true;
            while let Some(event) = self.gateway.poll_event() {
                is_quiet = false;
                match event {
                    Event::Fetch(id, request) => {
                        let body = match request.body.len() {
                            0..100 => request.body,
                            _ => Bytes::from_static(&[7; 4_000]),
                        };
                        let reply = Reply {
                            status: http::StatusCode::OK,
                            headers: http::HeaderMap::new(),
                            body,
                            trailers: None,
                        };
                        self.gateway.handle_reply(self.now, id, Ok(reply));
                    }
                    Event::Claim(id, ..) => self.gateway.handle_claim(self.now, id, None),
                    _ => {}
                }
            }
            self.buffer.clear();
            while let Some(transmit) = self.gateway.poll_transmit(&mut self.buffer) {
                is_quiet = false;
                self.deliver(SocketAddr::new(
                    transmit.peer.remote.ip(),
                    transmit.peer.remote.port(),
                ));
                self.buffer.clear();
            }
            while self.canary.poll_transmit(&mut self.buffer).is_some() {
                is_quiet = false;
                let datagram = Datagram {
                    peer: Peer::new(canary_address(), SocketAddr::from(THEIRS)),
                    service: Service::ConnectionMode,
                    payload: &self.buffer,
                };
                self.gateway.handle_datagram(self.now, datagram);
                self.buffer.clear();
            }
            self.outcomes
                .extend(std::iter::from_fn(|| self.canary.poll_event()));
            if is_quiet {
                return;
            }
        }
    }

    /// A datagram of the gateway arrives.
    fn deliver(&mut self, at: SocketAddr) {
        let peer = Peer::new(SocketAddr::from(THEIRS), at);
        if at == canary_address() {
            self.canary.handle_datagram(self.now, peer, &self.buffer);
            return;
        }
        let talk = self.talks.iter_mut().find(|talk| talk.from == at);
        let Some(talk) = talk else { return };
        talk.phone.handle_datagram(self.now, peer, &self.buffer);
        while talk.phone.poll_event().is_some() {
            talk.is_answered = true;
            talk.since = self.now;
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        if self.gateway.poll_timeout().is_some_and(|at| at <= self.now) {
            self.gateway.handle_timeout(self.now);
        }
        if self.canary.poll_timeout().is_some_and(|at| at <= self.now) {
            self.canary.handle_timeout(self.now);
        }
        self.settle();
    }

    /// A POST of the served handset is answered with its own body.
    fn canary_is_served(&mut self, number: u64) {
        let body = number.to_be_bytes();
        let request = Request {
            method: Method::POST,
            uri: "http://sync.example/",
            headers: &[],
            body: &body,
        };
        self.canary.request(self.now, &request);
        self.settle();
        let outcomes = std::mem::take(&mut self.outcomes);
        let [handset::Event::Replied(_, reply)] = &outcomes[..] else {
            let stats = self.gateway.stats();
            panic!("after datagram {number} the handset has {outcomes:?}: {stats:?}");
        };
        let replied = (reply.status, &reply.body[..]);
        assert_eq!(replied, (200, &body[..]), "after datagram {number}");
    }

    /// One handset says something, if there is anything to say. Returns the number of datagrams.
    fn step(&mut self) -> u64 {
        let place = self.random.below(AT_A_TIME as u64) as usize;
        let talk = &mut self.talks[place];
        if talk.phone.poll_timeout().is_some_and(|at| at <= self.now) {
            talk.phone.handle_timeout(self.now);
        }
        self.buffer.clear();
        if talk.phone.poll_transmit(&mut self.buffer).is_some() {
            let said = std::mem::take(&mut self.buffer);
            let count = self.say_once(place, &said);
            self.buffer = said;
            return count;
        }
        if talk.is_answered && talk.steps < 6 {
            talk.is_answered = false;
            talk.begin(self.now);
        } else if talk.steps >= 6 || self.now.since(talk.since) > PATIENCE {
            self.talks[place] = self.new_talk(place);
        }
        0
    }

    /// Sends a datagram of a handset, changed if its turn has come. Returns how many were sent.
    fn say_once(&mut self, place: usize, said: &[u8]) -> u64 {
        let talk = &mut self.talks[place];
        let (from, turn) = (talk.from, talk.until_change);
        talk.until_change = turn.wrapping_sub(1);
        let before = std::mem::replace(&mut talk.before, said.to_vec());
        let mode = Service::ConnectionMode;
        if turn != 0 {
            self.say(from, mode, said);
            return 1;
        }
        match self.random.below(12) {
            0 => return 0,
            1 => {
                self.say(from, mode, said);
                self.say(from, mode, said);
                return 2;
            }
            2 => {
                self.say(from, mode, said);
                self.say(from, mode, &before);
                return 2;
            }
            3 => self.say(from, mode, &together(said, &before)),
            4 => self.say(from, Service::Connectionless, said),
            5 => {
                let other = self.random.below(AT_A_TIME as u64) as usize;
                self.say(self.talks[other].from, mode, said);
            }
            _ => {
                let mut changed = said.to_vec();
                change(&mut changed, &mut self.random);
                self.say(from, mode, &changed);
            }
        }
        1
    }
}

impl Talk {
    /// The next step: a small POST, a large one, a GET, an end.
    fn begin(&mut self, now: Instant) {
        self.steps += 1;
        let (method, body) = match self.steps {
            2 => (Method::POST, &b"small"[..]),
            3 => (Method::POST, &[7; 4_000][..]),
            4 => (Method::GET, &b""[..]),
            _ => {
                self.steps = 6;
                return self.phone.disconnect(now);
            }
        };
        let request = Request {
            method,
            uri: "http://sync.example/",
            headers: &[],
            body,
        };
        self.phone.request(now, &request);
    }
}

/// Two PDUs in one datagram (WTP 7.5).
fn together(one: &[u8], other: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0];
    for pdu in [one, other] {
        datagram.extend([
            0x80 | pdu.len().to_be_bytes()[6],
            pdu.len().to_be_bytes()[7],
        ]);
        datagram.extend(pdu);
    }
    datagram
}

/// Changes one thing of a datagram: a field of WTP, a number of WSP, its length or any octet.
fn change(datagram: &mut Vec<u8>, random: &mut Random) {
    let octet = |random: &mut Random| random.u32().to_le_bytes()[0];
    let header = if datagram[0] >> 3 & 0x0F == 3 { 3 } else { 4 };
    let front = header + random.below(12) as usize;
    match random.below(11) {
        // PDU type.
        0 => datagram[0] = datagram[0] & 0x87 | octet(random) & 0x78,
        // GTR, TTR or RID.
        1 => datagram[0] ^= 1 << random.below(3),
        2 => datagram[1 + random.below(2) as usize] = octet(random),
        // Version, TIDnew, class, or a packet number.
        3 => datagram[header - 1] = octet(random),
        // A TPI of any kind, long or short, that fits or does not.
        4 => {
            datagram[0] |= 0x80;
            let tpi = [octet(random), octet(random), octet(random)];
            datagram.splice(header..header, tpi);
        }
        // WSP's PDU type and the lengths behind it.
        5 if front < datagram.len() => datagram[front] = octet(random),
        6 if front < datagram.len() => {
            drop(datagram.splice(front..=front, [0x8F, 0xFF, 0xFF, 0xFF, 0x7F]));
        }
        7 => datagram.truncate(1 + random.below(datagram.len() as u64) as usize),
        8 => datagram.extend((0..random.below(600)).map(|_| octet(random))),
        9 => datagram.clear(),
        _ => {
            let at = random.below(datagram.len() as u64) as usize;
            datagram[at] ^= 1 << random.below(8);
        }
    }
}

/// Resident memory of this process in MiB.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4 / 1024
}

#[test]
fn changed_conversations_leave_a_handset_served_and_nothing_behind() {
    let datagrams = std::env::var("WAPBRIDGE_DATAGRAMS").ok();
    let datagrams = datagrams.map_or(30_000, |value| value.parse().unwrap());
    let seed = std::env::var("WAPBRIDGE_FIRST_SEED").ok();
    let mut rig = Rig::new(seed.map_or(1, |value| value.parse().unwrap()));
    let mut number = 0;
    while number < datagrams {
        let count = rig.step();
        rig.pass(if count == 0 { PAUSE } else { PACE });
        let passed = |every| number / every != (number + count) / every;
        let (asks, tells) = (passed(CANARY), passed(5_000_000));
        number += count;
        if asks {
            rig.canary_is_served(number);
        }
        if tells {
            let stats = rig.gateway.stats();
            let (sessions, transactions) = (stats.sessions, stats.transactions);
            println!(
                "{number} datagrams, {sessions} sessions, {transactions} transactions, {} MiB",
                resident()
            );
        }
    }
    let stats = rig.gateway.stats();
    println!(
        "{number} datagrams: {} sessions, {} exchanges, {} acknowledged, {} aborted, {} verifications",
        stats.sessions,
        stats.exchanges_begun,
        stats.acknowledged,
        stats.aborted,
        stats.wtp.verifications
    );
    // Most conversations get as far as a request, so that the states behind are reached.
    assert!(
        stats.exchanges_begun > datagrams / 20,
        "{} exchanges",
        stats.exchanges_begun
    );
    assert!(
        stats.acknowledged > datagrams / 40,
        "{} acknowledged",
        stats.acknowledged
    );
    // Left alone, everything under way ends by itself.
    for _ in 0..100 {
        rig.pass(Duration::from_secs(60));
    }
    let stats = rig.gateway.stats();
    assert!(rig.gateway.is_idle(), "left over: {stats:?}");
    assert_eq!(
        (stats.exchanges, stats.in_flight, stats.exchange_octets),
        (0, 0, 0)
    );
    assert_eq!(
        (stats.transactions, stats.early, stats.open_claims),
        (0, 0, 0)
    );
}

#[test]
fn a_handset_is_served_when_its_tids_come_round() {
    let mut rig = Rig::new(1);
    for number in 1..=40_000 {
        rig.pass(Duration::from_millis(100));
        rig.canary_is_served(number);
    }
}
