//! Exhaustive search: two endpoints, and everything a network and a clock can do to a few
//! datagrams.
//!
//! The state of the world is both endpoints, the datagrams under way and what the users know; it is
//! cloned for every step that is possible next: deliver a datagram, lose, delay or copy one (each a
//! fault), or let the earliest timer go off, whatever is still under way. Delivery takes no time,
//! so only timers move the clock. Every state reached must keep the promises of the protocol.
//!
//! `WTP_SEARCH_STATES=1000000 cargo test --release --lib wtp::search` looks at more states than the
//! usual.

#![cfg(test)]

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::defects;
use super::{Class, Config, Endpoint, Handle, Indication};
use crate::time::Instant;
use crate::wdp::Peer;

/// What is searched: the transactions begun at once, and the endpoints' settings.
#[derive(Clone)]
struct Scenario {
    class: Class,
    user_ack: bool,
    /// Octets of the messages begun, one transaction each.
    invokes: &'static [usize],
    result: usize,
    config: Config,
    faults: u8,
    /// Datagrams a direction after which a path is not followed further.
    datagrams: u8,
}

impl Scenario {
    fn new(invokes: &'static [usize]) -> Self {
        Self {
            class: Class::Two,
            user_ack: true,
            invokes,
            result: 3,
            config: Config {
                // Packets of 4 octets, groups of three, no concatenation: loss can hit each alone.
                segment_size: 4,
                unannounced_group: 12,
                receive_group: Some(12),
                max_datagram: 0,
                max_retransmissions: 2,
                max_ack_expirations: 1,
                tid_lifetime: Duration::from_secs(10_000),
                ..Config::ip()
            },
            faults: 3,
            datagrams: 8,
        }
    }
}

#[derive(Clone)]
struct World {
    now: Instant,
    ends: [Endpoint; 2],
    /// Under way to each end, in order; and those that may arrive at any time.
    flying: [Vec<Rc<[u8]>>; 2],
    delayed: [Vec<Rc<[u8]>>; 2],
    sent: [u8; 2],
    faults: u8,
    users: Vec<User>,
    /// Which transaction a handle of an end stands for.
    tags: Vec<(usize, Handle, usize)>,
}

/// What the users of one transaction know.
#[derive(Clone, Copy, Default, Hash, Debug)]
struct User {
    delivered: u8,
    confirmed: u8,
    results: u8,
    initiator_aborts: u8,
    result_confirmed: u8,
    responder_aborts: u8,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The first datagram under way arrives.
    Deliver {
        to: usize,
    },
    /// A datagram that was delayed arrives.
    Turn {
        to: usize,
        at: usize,
    },
    /// The first datagram under way is lost, or delayed for any time, or a copy of it is.
    Lose {
        to: usize,
    },
    Delay {
        to: usize,
    },
    Copy {
        to: usize,
    },
    /// The earliest timer goes off, whatever is under way.
    Expire,
}

struct Outcome {
    states: usize,
    /// A broken promise, and how to get there.
    broken: Option<(String, usize)>,
}

const GATEWAY: usize = 1;

fn address(end: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, if end == GATEWAY { 2 } else { 1 }], 9201))
}

fn peer_of(end: usize) -> Peer {
    Peer::new(address(1 - end), address(end))
}

/// The message of transaction `number`: its octets tell it apart and tell holes.
fn message(number: usize, len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (number * 100 + at).to_le_bytes()[0])
        .collect()
}

impl World {
    fn new(scenario: &Scenario) -> Self {
        let now = Instant::ZERO + Duration::from_secs(20_000);
        let end = |seed| Endpoint::new(scenario.config.clone(), seed, Instant::ZERO);
        let mut world = Self {
            now,
            ends: [end(1), end(2)],
            flying: [Vec::new(), Vec::new()],
            delayed: [Vec::new(), Vec::new()],
            sent: [0; 2],
            faults: scenario.faults,
            users: vec![User::default(); scenario.invokes.len()],
            tags: Vec::new(),
        };
        for (number, len) in scenario.invokes.iter().enumerate() {
            let data = Bytes::from(message(number, *len));
            let (class, user_ack) = (scenario.class, scenario.user_ack);
            let handle = world.ends[0].invoke(now, peer_of(0), class, user_ack, data);
            world.tags.push((0, handle.unwrap(), number));
        }
        world
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for to in 0..2 {
            if !self.flying[to].is_empty() {
                steps.push(Step::Deliver { to });
                if self.faults > 0 {
                    steps.extend([Step::Lose { to }, Step::Delay { to }, Step::Copy { to }]);
                }
            }
            steps.extend((0..self.delayed[to].len()).map(|at| Step::Turn { to, at }));
        }
        if self.timer().is_some() {
            steps.push(Step::Expire);
        }
        steps
    }

    fn timer(&self) -> Option<Instant> {
        self.ends.iter().filter_map(Endpoint::poll_timeout).min()
    }

    fn take(&mut self, step: Step, scenario: &Scenario) -> Result<(), String> {
        match step {
            Step::Deliver { to } => {
                let datagram = self.flying[to].remove(0);
                self.ends[to].handle_datagram(self.now, peer_of(to), &datagram);
            }
            Step::Turn { to, at } => {
                let datagram = self.delayed[to].remove(at);
                self.ends[to].handle_datagram(self.now, peer_of(to), &datagram);
            }
            Step::Lose { to } => {
                self.faults -= 1;
                self.flying[to].remove(0);
            }
            Step::Delay { to } => {
                self.faults -= 1;
                let datagram = self.flying[to].remove(0);
                self.delayed[to].push(datagram);
                self.delayed[to].sort();
            }
            Step::Copy { to } => {
                self.faults -= 1;
                let datagram = Rc::clone(&self.flying[to][0]);
                self.delayed[to].push(datagram);
                self.delayed[to].sort();
            }
            Step::Expire => {
                let due = self.timer().ok_or("no timer")?;
                if due < self.now {
                    return Err("a timer lies in the past".to_owned());
                }
                self.now = due;
                for end in &mut self.ends {
                    if end.poll_timeout().is_some_and(|at| at <= due) {
                        end.handle_timeout(due);
                    }
                }
            }
        }
        self.drain(scenario)
    }

    /// Users act at once; what is said takes off.
    fn drain(&mut self, scenario: &Scenario) -> Result<(), String> {
        for end in 0..2 {
            while let Some(indication) = self.ends[end].poll_indication() {
                self.react(end, indication, scenario)?;
            }
            let mut buf = Vec::new();
            while self.ends[end].poll_transmit(&mut buf).is_some() {
                self.flying[1 - end].push(buf.as_slice().into());
                self.sent[end] += 1;
                buf.clear();
            }
        }
        Ok(())
    }

    fn react(
        &mut self,
        end: usize,
        indication: Indication,
        scenario: &Scenario,
    ) -> Result<(), String> {
        let now = self.now;
        match indication {
            Indication::Invoke { handle, data, .. } => {
                let number = data.first().map_or(0, |first| usize::from(*first) / 100);
                if data != message(number, scenario.invokes[number]) {
                    return Err(format!("an Invoke with a hole was delivered: {data:?}"));
                }
                self.users[number].delivered += 1;
                if self.users[number].delivered > 1 {
                    return Err("an Invoke was delivered twice".to_owned());
                }
                if scenario.class == Class::Two {
                    let data = message(number, scenario.result);
                    self.ends[end].result(now, handle, Bytes::from(data));
                } else {
                    self.ends[end].accept(now, handle, b"");
                }
                self.tags.push((end, handle, number));
            }
            Indication::InvokeConfirmed { handle, .. } => {
                let user = self.user(end, handle);
                user.confirmed += 1;
                if user.delivered != 1 {
                    return Err("an Invoke was confirmed that was not delivered".to_owned());
                }
            }
            Indication::Result { handle, data, .. } => {
                let number = data.first().map_or(0, |first| usize::from(*first) / 100);
                if data != message(number, scenario.result) {
                    return Err(format!("a Result with a hole was delivered: {data:?}"));
                }
                let user = self.user(end, handle);
                user.results += 1;
                if user.results > 1 {
                    return Err("a Result was delivered twice".to_owned());
                }
                self.ends[end].acknowledge(now, handle, b"");
            }
            Indication::ResultConfirmed { handle, .. } => {
                let user = self.user(end, handle);
                user.result_confirmed += 1;
                if user.results != 1 {
                    return Err("a Result was confirmed that was not delivered".to_owned());
                }
            }
            Indication::Abort { handle, .. } if end == GATEWAY => {
                self.user(end, handle).responder_aborts += 1;
            }
            Indication::Abort { handle, .. } => self.user(end, handle).initiator_aborts += 1,
            other => return Err(format!("{other:?}")),
        }
        Ok(())
    }

    fn user(&mut self, end: usize, handle: Handle) -> &mut User {
        let tag = self.tags.iter().find(|tag| (tag.0, tag.1) == (end, handle));
        &mut self.users[tag.unwrap().2]
    }

    /// Nothing can happen any more.
    fn judge(&self, scenario: &Scenario) -> Result<(), String> {
        for end in &self.ends {
            if end.transactions() > 0 || end.held_octets() > 0 {
                return Err("something is left over".to_owned());
            }
        }
        for user in &self.users {
            let good = if scenario.class == Class::Two {
                user.results
            } else {
                user.confirmed
            };
            if good + user.initiator_aborts != 1 {
                return Err(format!("not one outcome at the initiator: {user:?}"));
            }
            let at_responder = user.result_confirmed + user.responder_aborts;
            if scenario.class == Class::Two && at_responder != user.delivered {
                return Err(format!("not one outcome at the responder: {user:?}"));
            }
        }
        Ok(())
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.now, &self.flying, &self.delayed).hash(&mut hasher);
        (self.sent, self.faults, &self.users).hash(&mut hasher);
        for end in &self.ends {
            end.digest(&mut hasher);
        }
        hasher.finish()
    }
}

/// Looks at `limit` states at most: the nearest ones first, or one path to its end before the next.
fn search(scenario: &Scenario, limit: usize, nearest_first: bool) -> Outcome {
    let mut seen = HashSet::new();
    let mut world = World::new(scenario);
    world.drain(scenario).unwrap();
    let mut open = VecDeque::from([(world, 0)]);
    while let Some((world, depth)) = if nearest_first {
        open.pop_front()
    } else {
        open.pop_back()
    } {
        let steps = world.steps();
        if steps.is_empty()
            && let Err(broken) = world.judge(scenario)
        {
            return Outcome {
                states: seen.len(),
                broken: Some((broken, depth)),
            };
        }
        if world.sent.iter().any(|&sent| sent > scenario.datagrams) {
            continue;
        }
        for step in steps {
            let mut next = world.clone();
            if let Err(broken) = next.take(step, scenario) {
                return Outcome {
                    states: seen.len(),
                    broken: Some((broken, depth + 1)),
                };
            }
            if seen.len() < limit && seen.insert(next.digest()) {
                open.push_back((next, depth + 1));
            }
        }
    }
    Outcome {
        states: seen.len(),
        broken: None,
    }
}

/// States to look at in each scenario.
fn limit() -> usize {
    let wanted = std::env::var("WTP_SEARCH_STATES").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(5_000)
}

fn keeps_its_promises(name: &str, scenario: &Scenario) {
    let outcome = search(scenario, limit(), false);
    println!("{name}: {} states", outcome.states);
    assert_eq!(outcome.broken, None, "{name}");
}

fn is_found_out(name: &str, scenario: &Scenario) {
    let outcome = search(scenario, 1_000_000, true);
    let (broken, depth) = outcome.broken.expect("the defect is found");
    println!(
        "{name}: {broken}, {depth} steps away, after {} states",
        outcome.states
    );
}

const SMALL: &[usize] = &[3];
const SEGMENTED: &[usize] = &[11];
const TWO: &[usize] = &[3, 3];

#[test]
fn one_request() {
    keeps_its_promises("one request", &Scenario::new(SMALL));
}

#[test]
fn one_request_without_user_acknowledgement() {
    let mut scenario = Scenario::new(SMALL);
    scenario.user_ack = false;
    keeps_its_promises("one request without user acknowledgement", &scenario);
}

#[test]
fn one_request_that_must_be_verified() {
    let mut scenario = Scenario::new(SMALL);
    scenario.config.verify_new_peers = true;
    keeps_its_promises("one request that must be verified", &scenario);
}

#[test]
fn one_request_in_segments_both_ways() {
    let mut scenario = Scenario::new(SEGMENTED);
    scenario.result = 11;
    keeps_its_promises("one request in segments", &scenario);
}

#[test]
fn one_reliable_message() {
    for user_ack in [false, true] {
        let mut scenario = Scenario::new(SMALL);
        (scenario.class, scenario.user_ack) = (Class::One, user_ack);
        keeps_its_promises("one reliable message", &scenario);
    }
}

#[test]
fn two_requests() {
    keeps_its_promises("two requests", &Scenario::new(TWO));
}

#[test]
fn an_endpoint_without_duplicate_check_is_found_out() {
    let mut scenario = Scenario::new(SMALL);
    scenario.config.duplicate_recognition = false;
    is_found_out("no duplicate check", &scenario);
}

#[test]
fn an_endpoint_that_acknowledges_over_a_hole_is_found_out() {
    let scenario = Scenario::new(SEGMENTED);
    let _planted = defects::ACK_OVER_HOLE.plant();
    is_found_out("a group acknowledged over a hole", &scenario);
}

#[test]
fn an_endpoint_that_moves_the_last_tid_back_is_found_out() {
    let scenario = Scenario::new(TWO);
    let _planted = defects::LAST_TID_MOVES_BACK.plant();
    is_found_out("the last TID moved back", &scenario);
}
