//! Exhaustive search: a client and a server, and everything a network can do to the datagrams of
//! their handshakes.
//!
//! The state of the world is both ends, the datagrams under way and what the users know; it is
//! cloned for every step that is possible next: the client asks something, a datagram is delivered,
//! or is lost, delayed or copied (each a fault), or, when no datagram but delayed ones is under way,
//! the earliest timer goes off. Delivery takes no time. Every state must keep the promises of the
//! protocol: no record is heard twice, nothing is heard that was not said, no handshake fails while
//! the network has fewer faults than the client has repetitions, and both ends can talk in the end.
//!
//! `WTLS_SEARCH_STATES=100000 cargo test --profile walks --lib wtls::search` looks at more states
//! than the usual.

#![cfg(test)]

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::defects;
use super::{CipherSuite, Client, ClientConfig, ClientEvent, Config, Endpoint, KeyExchange};
use crate::defect::Defect;
use crate::time::Instant;
use crate::wdp::{Datagram, Peer, Service};

/// How a world begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    /// Without anything: a full handshake.
    Nothing,
    /// With a session on both sides: an abbreviated handshake.
    Session,
    /// With a connection, whose client begins an abbreviated handshake.
    Connection,
    /// With a connection, whose client has forgotten its session: a full handshake.
    ConnectionAlone,
}

struct Scenario {
    begin: Begin,
    faults: u8,
    /// Datagrams that the client's user sends.
    questions: u8,
}

#[derive(Clone)]
struct World {
    now: Instant,
    client: Client,
    server: Endpoint,
    /// Under way to the client and to the server, in order; and those that may arrive at any time.
    flying: [Vec<Rc<[u8]>>; 2],
    delayed: [Vec<Rc<[u8]>>; 2],
    faults: u8,
    asked: u8,
    heard_by_server: Vec<u8>,
    heard_by_client: Vec<u8>,
    opened: u8,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask,
    /// The first datagram under way arrives.
    Deliver(usize),
    /// A datagram that was delayed arrives.
    Turn(usize, usize),
    /// The first datagram under way is lost, or delayed, or a copy of it is.
    Lose(usize),
    Delay(usize),
    Copy(usize),
    Expire,
}

const SERVER: usize = 1;
const RETRIES: u32 = 4;
/// Timers after this moment are those of unused connections.
const END: Duration = Duration::from_secs(400);

fn peer() -> Peer {
    Peer::new(
        "10.0.0.7:40000".parse().unwrap(),
        "192.0.2.1:9203".parse().unwrap(),
    )
}

impl World {
    fn new(scenario: &Scenario) -> Self {
        let exchange = KeyExchange::DH_ANON_512;
        let config = Config {
            key_exchanges: vec![exchange],
            ..Config::default()
        };
        let client = ClientConfig {
            key_exchanges: vec![(exchange, 1)],
            suites: vec![CipherSuite::of(3, 3).unwrap()],
            key_refresh: 0,
            authorities: Arc::new([]),
            host: None,
            epoch: None,
            credentials: None,
            retry_interval: Duration::from_secs(2),
            max_retries: RETRIES,
        };
        let mut world = Self {
            now: Instant::ZERO,
            client: Client::new(client, [1; 32]),
            server: Endpoint::new(Arc::new(config), [2; 32], None),
            flying: [Vec::new(), Vec::new()],
            delayed: [Vec::new(), Vec::new()],
            faults: 0,
            asked: 0,
            heard_by_server: Vec::new(),
            heard_by_client: Vec::new(),
            opened: 0,
        };
        if scenario.begin != Begin::Nothing {
            world.client.connect(world.now);
            world.settle().unwrap();
            // OPENING is left.
            world.client.send(vec![0xFF]);
            world.settle().unwrap();
        }
        if scenario.begin == Begin::Session {
            world.client.close();
            world.settle().unwrap();
        }
        if scenario.begin == Begin::ConnectionAlone {
            world.client.forget_session();
        }
        world.heard_by_server.clear();
        world.heard_by_client.clear();
        (world.opened, world.faults) = (0, scenario.faults);
        world.client.connect(world.now);
        world.drain().unwrap();
        world
    }

    fn steps(&self, scenario: &Scenario) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.asked < scenario.questions {
            steps.push(Step::Ask);
        }
        for to in 0..2 {
            if !self.flying[to].is_empty() {
                steps.push(Step::Deliver(to));
                if self.faults > 0 {
                    steps.extend([Step::Lose(to), Step::Delay(to), Step::Copy(to)]);
                }
            }
            steps.extend((0..self.delayed[to].len()).map(|at| Step::Turn(to, at)));
        }
        if self.flying.iter().all(Vec::is_empty) && self.timer().is_some() {
            steps.push(Step::Expire);
        }
        steps
    }

    fn timer(&self) -> Option<Instant> {
        let due = [self.client.poll_timeout(), self.server.poll_timeout()];
        let earliest = due.into_iter().flatten().min();
        earliest.filter(|at| *at < Instant::ZERO + END)
    }

    fn take(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Ask => {
                self.client.send(vec![self.asked]);
                self.asked += 1;
            }
            Step::Deliver(to) => {
                let datagram = self.flying[to].remove(0);
                self.arrive(to, &datagram);
            }
            Step::Turn(to, at) => {
                let datagram = self.delayed[to].remove(at);
                self.arrive(to, &datagram);
            }
            Step::Lose(to) => {
                self.faults -= 1;
                self.flying[to].remove(0);
            }
            Step::Delay(to) => {
                self.faults -= 1;
                let datagram = self.flying[to].remove(0);
                self.delayed[to].push(datagram);
                self.delayed[to].sort();
            }
            Step::Copy(to) => {
                self.faults -= 1;
                let datagram = Rc::clone(&self.flying[to][0]);
                self.delayed[to].push(datagram);
                self.delayed[to].sort();
            }
            Step::Expire => {
                self.now = self.now.max(self.timer().ok_or("no timer")?);
                self.client.handle_timeout(self.now);
                self.server.handle_timeout(self.now);
            }
        }
        self.drain()
    }

    fn arrive(&mut self, to: usize, payload: &[u8]) {
        if to != SERVER {
            return self.client.handle_datagram(self.now, payload);
        }
        let datagram = Datagram {
            peer: peer(),
            service: Service::SecureConnectionMode,
            payload,
        };
        self.server.handle_datagram(self.now, datagram);
    }

    /// Users act at once: the server's repeats what it hears.
    fn drain(&mut self) -> Result<(), String> {
        let mut buf = Vec::new();
        while self.server.poll_transmit(&mut buf).is_some() {
            self.flying[0].push(std::mem::take(&mut buf).into());
        }
        while let Some(opened) = self.server.poll_datagram() {
            let question = *opened.payload.first().ok_or("an empty datagram")?;
            if question >= self.asked && question < 0x80 {
                return Err(format!("the server heard {question}, which nobody asked"));
            }
            if self.heard_by_server.contains(&question) {
                return Err(format!("the server heard {question} twice"));
            }
            self.heard_by_server.push(question);
            if self
                .server
                .seal(self.now, peer(), &opened.payload, &mut buf)
                .is_some()
            {
                self.flying[0].push(std::mem::take(&mut buf).into());
            }
        }
        while let Some(answer) = self.client.poll_datagram() {
            let answer = *answer.first().ok_or("an empty datagram")?;
            if !self.heard_by_server.contains(&answer) {
                return Err(format!("the client heard {answer}, which nobody answered"));
            }
            if self.heard_by_client.contains(&answer) {
                return Err(format!("the client heard {answer} twice"));
            }
            self.heard_by_client.push(answer);
        }
        while let Some(event) = self.client.poll_event() {
            match event {
                ClientEvent::Open { .. } => self.opened += 1,
                ClientEvent::Failed(problem) => return Err(problem.to_string()),
            }
        }
        while let Some(datagram) = self.client.poll_transmit() {
            self.flying[SERVER].push(datagram.into());
        }
        Ok(())
    }

    /// Delivers everything in order.
    fn settle(&mut self) -> Result<(), String> {
        self.drain()?;
        while let Some(to) = (0..2).find(|to| !self.flying[*to].is_empty()) {
            self.take(Step::Deliver(to))?;
        }
        Ok(())
    }

    /// Nothing can happen any more.
    fn judge(mut self, scenario: &Scenario) -> Result<(), String> {
        if self.server.stats().handshakes > 0 {
            return Err("a handshake is left over".to_owned());
        }
        if self.opened == 0 {
            return Err("the handshake had no end".to_owned());
        }
        let all: Vec<u8> = (0..scenario.questions).collect();
        let mut heard = self.heard_by_server.clone();
        heard.sort_unstable();
        if self.faults == scenario.faults && heard != all {
            return Err(format!("without a fault, only {heard:?} was heard"));
        }
        // One datagram may find out that the server has no connection.
        for probe in [0x80, 0x81] {
            self.client.send(vec![probe]);
            self.settle()?;
        }
        match self.heard_by_client.contains(&0x81) {
            true => Ok(()),
            false => Err("the ends cannot talk".to_owned()),
        }
    }

    /// Equal digests are equal worlds: `Debug` shows everything but secrets, which come from what it
    /// shows, and the place in the random stream, of which one is as good as another.
    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.now, &self.flying, &self.delayed, self.faults).hash(&mut hasher);
        (self.asked, self.opened).hash(&mut hasher);
        (&self.heard_by_server, &self.heard_by_client).hash(&mut hasher);
        format!("{:?} {:?}", self.client, self.server).hash(&mut hasher);
        hasher.finish()
    }
}

/// Looks at `limit` states at most: the nearest ones first, or one path to its end before the next.
fn search(scenario: &Scenario, limit: usize, nearest_first: bool) -> (usize, Option<String>) {
    let mut seen = HashSet::new();
    let mut open = VecDeque::from([(World::new(scenario), Vec::new())]);
    while let Some((world, path)) = match nearest_first {
        true => open.pop_front(),
        false => open.pop_back(),
    } {
        let steps = world.steps(scenario);
        let broken = |why: &str, path: &[Step]| Some(format!("{why} after {path:?}"));
        if steps.is_empty() {
            if let Err(why) = world.judge(scenario) {
                return (seen.len(), broken(&why, &path));
            }
            continue;
        }
        for step in steps {
            let mut next = world.clone();
            let mut path = path.clone();
            path.push(step);
            if let Err(why) = next.take(step) {
                return (seen.len(), broken(&why, &path));
            }
            if seen.len() < limit && seen.insert(next.digest()) {
                open.push_back((next, path));
            }
        }
    }
    (seen.len(), None)
}

/// States to look at in each scenario.
fn limit() -> usize {
    let wanted = std::env::var("WTLS_SEARCH_STATES").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(2_000)
}

fn keeps_its_promises(begin: Begin) {
    for faults in [0, 1, 3] {
        let scenario = Scenario {
            begin,
            faults,
            questions: 2,
        };
        let (states, broken) = search(&scenario, limit(), false);
        println!("{begin:?}, {faults} faults: {states} states");
        assert_eq!(broken, None, "{begin:?}, {faults} faults");
    }
}

fn is_found_out(defect: Defect, begin: Begin, faults: u8) {
    let scenario = Scenario {
        begin,
        faults,
        questions: 1,
    };
    let _planted = defect.plant();
    let (states, broken) = search(&scenario, 20_000, true);
    println!("{defect:?}: {}, {states} states", broken.expect("found"));
}

#[test]
fn a_full_handshake() {
    keeps_its_promises(Begin::Nothing);
}

#[test]
fn an_abbreviated_handshake() {
    keeps_its_promises(Begin::Session);
}

#[test]
fn an_abbreviated_handshake_on_a_connection() {
    keeps_its_promises(Begin::Connection);
}

#[test]
fn a_full_handshake_on_a_connection() {
    keeps_its_promises(Begin::ConnectionAlone);
}

#[test]
fn an_end_without_a_window_is_found_out() {
    is_found_out(defects::NO_WINDOW, Begin::Session, 1);
}

#[test]
fn a_server_that_forgets_its_answer_is_found_out() {
    is_found_out(defects::ANSWER_FORGOTTEN, Begin::Nothing, 1);
}

#[test]
fn a_server_whose_connection_ends_with_a_hello_is_found_out() {
    is_found_out(defects::HELLO_ENDS_CONNECTION, Begin::Connection, 0);
}

#[test]
fn a_server_that_forgets_hellos_is_found_out() {
    is_found_out(defects::HELLO_FORGOTTEN, Begin::Nothing, 1);
}
