//! Random networks: two providers, ours or a plain second one, over loss, copies, disorder and delay.
//!
//! `WTP_SIM_SEEDS=10000 cargo test --release --test protocol sim` runs more seeds than the usual thousand, and
//! `WTP_SIM_SEED=17` one of them, with its transcript.

mod node;
mod plain;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use self::node::{Event, Id, Node, Ours};
use self::plain::Plain;
use wapbridge::time::Instant;
use wapbridge::wtp::{Config, Endpoint};

/// A small generator of our own (SplitMix64): the same seed is the same run on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What can happen next, besides timers.
enum Due {
    Arrives {
        at: usize,
        datagram: Vec<u8>,
    },
    Begins {
        at: usize,
        class: u8,
        uack: bool,
        data: Vec<u8>,
    },
    Accepts {
        at: usize,
        id: Id,
    },
    Answers {
        at: usize,
        id: Id,
        data: Vec<u8>,
    },
    Acknowledges {
        at: usize,
        id: Id,
    },
    Aborts {
        at: usize,
        id: Id,
    },
}

/// What became of one transaction, at both ends.
#[derive(Default, Debug)]
struct Outcome {
    class: u8,
    delivered: u32,
    invoke_confirmed: u32,
    results: u32,
    initiator_aborts: u32,
    result_confirmed: u32,
    responder_aborts: u32,
    aborted_by_initiator: bool,
    aborted_by_responder: bool,
}

struct World {
    random: Random,
    now: Instant,
    nodes: [Node; 2],
    due: BTreeMap<(Instant, u64), Due>,
    serial: u64,
    fates: BTreeMap<u64, Outcome>,
    /// Transaction number by node and the node's own id, for initiators and responders.
    numbers: HashMap<(usize, bool, Id), u64>,
    loss: u64,
    copies: u64,
    delay: u64,
    jitter: u64,
    verbose: bool,
}

impl World {
    fn new(seed: u64, duplicate_recognition: bool) -> Self {
        let mut random = Random(seed);
        let kinds = random.below(3);
        let verify_new_peers = random.chance(20);
        let node = |which: u64, random: &mut Random| {
            if kinds == which {
                return Node::Plain(Plain::new((random.next() & 0x7FFF) as u16));
            }
            let config = Config {
                max_transactions: 16,
                verify_new_peers,
                duplicate_recognition,
                receive_group: [None, Some(3000), Some(65_536)][random.below(3) as usize],
                offer_extended_sar: random.chance(30),
                segment_size: [100, 1400][random.below(2) as usize],
                // Both are longer than a datagram lives here.
                tid_lifetime: Duration::from_secs([25, 240][random.below(2) as usize]),
                ..Config::ip()
            };
            let ports = if which == 1 {
                (1000, 2000)
            } else {
                (2000, 1000)
            };
            let endpoint = Endpoint::new(config, random.next(), Instant::ZERO);
            Node::Ours(Box::new(Ours::new(endpoint, ports.0, ports.1)))
        };
        let nodes = [node(1, &mut random), node(2, &mut random)];
        // Half of the runs begin while the endpoints cannot know yet that a peer is new.
        let start = if random.chance(50) { 1000 } else { 1 };
        let mut world = Self {
            now: Instant::ZERO + Duration::from_secs(start),
            nodes,
            due: BTreeMap::new(),
            serial: 0,
            fates: BTreeMap::new(),
            numbers: HashMap::new(),
            loss: random.below(31),
            copies: random.below(21),
            delay: 20 + random.below(600),
            jitter: [0, 200, 2000, 8000][random.below(4) as usize],
            random,
            verbose: std::env::var_os("WTP_SIM_SEED").is_some(),
        };
        let any_plain = world.nodes.iter().any(Node::is_plain);
        for number in 0..1 + world.random.below(8) {
            let at = world.random.below(2) as usize;
            let class = [0, 1, 1, 2, 2, 2][world.random.below(6) as usize];
            let uack = world.random.chance(50);
            let largest = if class == 0 || any_plain {
                1000
            } else {
                50_000
            };
            let data = world.message(number, largest);
            let wait = world.random.below(30_000);
            world.later(
                wait,
                Due::Begins {
                    at,
                    class,
                    uack,
                    data,
                },
            );
        }
        world
    }

    /// A message that says which transaction it belongs to.
    fn message(&mut self, number: u64, largest: u64) -> Vec<u8> {
        let len = if self.random.chance(50) {
            self.random.below(100)
        } else {
            self.random.below(largest)
        };
        let mut data = number.to_be_bytes().to_vec();
        data.extend((0..len).map(|at| (at * 31 + number) as u8));
        data
    }

    fn later(&mut self, millis: u64, due: Due) {
        self.serial += 1;
        let at = self.now + Duration::from_millis(millis);
        self.due.insert((at, self.serial), due);
    }

    fn run(&mut self) {
        for _ in 0..1_000_000 {
            let timer = self.nodes.iter().filter_map(Node::next_timer).min();
            let due = self.due.keys().next().map(|(at, _)| *at);
            let Some(next) = timer.into_iter().chain(due).min() else {
                return self.judge();
            };
            assert!(next >= self.now, "a timer lies in the past");
            self.now = next;
            if due == Some(next) {
                let (_, due) = self.due.pop_first().unwrap();
                self.happen(due);
            } else {
                for node in &mut self.nodes {
                    node.timeout(next);
                }
            }
            self.drain();
        }
        panic!("it never ends");
    }

    fn happen(&mut self, due: Due) {
        let now = self.now;
        match due {
            Due::Arrives { at, datagram } => {
                if self.verbose {
                    println!(
                        "{now:?} {at} hears {:02x?}",
                        &datagram[..datagram.len().min(24)]
                    );
                }
                self.nodes[at].hear(now, &datagram);
            }
            Due::Begins {
                at,
                class,
                uack,
                data,
            } => {
                let number = u64::from_be_bytes(data[..8].try_into().unwrap());
                let id = self.nodes[at].invoke(now, class, uack, &data);
                self.fates.insert(
                    number,
                    Outcome {
                        class,
                        ..Outcome::default()
                    },
                );
                if class > 0 {
                    self.numbers.insert((at, true, id), number);
                }
                if class == 2 {
                    // After a hold-on ack the tables let an initiator wait for ever: its user must not.
                    self.later(200_000, Due::Aborts { at, id });
                }
                if class > 0 && !self.nodes[at].is_plain() && self.random.chance(5) {
                    let wait = self.random.below(20_000);
                    self.later(wait, Due::Aborts { at, id });
                }
            }
            Due::Accepts { at, id } => self.nodes[at].accept(now, id, b"info"),
            Due::Answers { at, id, data } => self.nodes[at].result(now, id, &data),
            Due::Acknowledges { at, id } => self.nodes[at].acknowledge(now, id, b"bye"),
            Due::Aborts { at, id } => {
                let initiator = self.numbers.get(&(at, true, id));
                let responder = self.numbers.get(&(at, false, id));
                let number = *initiator.or(responder).unwrap();
                let fate = self.fates.get_mut(&number).unwrap();
                // Only what is still open for the user.
                let open = match initiator {
                    Some(_) => {
                        let done = if fate.class == 1 {
                            fate.invoke_confirmed
                        } else {
                            fate.results
                        };
                        done + fate.initiator_aborts == 0
                    }
                    None => fate.result_confirmed + fate.responder_aborts == 0,
                };
                if open {
                    match initiator {
                        Some(_) => fate.aborted_by_initiator = true,
                        None => fate.aborted_by_responder = true,
                    }
                    self.nodes[at].abort(now, id, 0xE0);
                }
            }
        }
    }

    /// Carries what the nodes say and lets their users act.
    fn drain(&mut self) {
        for at in 0..2 {
            while let Some(event) = self.nodes[at].event() {
                if self.verbose {
                    let short = format!("{event:?}");
                    println!("{:?} {at} {}", self.now, &short[..short.len().min(100)]);
                }
                self.react(at, event);
            }
            while let Some(datagram) = self.nodes[at].transmit() {
                self.carry(at, datagram);
            }
            if let Node::Ours(ours) = &self.nodes[at] {
                assert!(ours.endpoint.transactions() <= 16);
                assert!(
                    ours.endpoint
                        .poll_timeout()
                        .is_none_or(|timer| timer >= self.now)
                );
            }
        }
    }

    fn carry(&mut self, from: usize, datagram: Vec<u8>) {
        let copies = 1 + u64::from(self.random.chance(self.copies));
        for _ in 0..copies {
            if self.random.chance(self.loss) {
                continue;
            }
            let delay = self.delay + self.random.below(self.jitter + 1);
            let datagram = datagram.clone();
            self.later(
                delay,
                Due::Arrives {
                    at: 1 - from,
                    datagram,
                },
            );
        }
    }

    fn react(&mut self, at: usize, event: Event) {
        match event {
            Event::Invoke {
                id,
                class,
                uack,
                data,
            } => {
                let number = u64::from_be_bytes(data[..8].try_into().unwrap());
                let body = data[8..].iter().enumerate();
                assert!(
                    body.clone()
                        .all(|(at, octet)| *octet == (at as u64 * 31 + number) as u8)
                );
                let fate = self.fates.get_mut(&number).unwrap();
                fate.delivered += 1;
                assert_eq!(fate.class, class);
                if class == 0 {
                    return;
                }
                assert_eq!(
                    fate.delivered, 1,
                    "transaction {number} was delivered twice"
                );
                self.numbers.insert((at, false, id), number);
                let think = if self.random.chance(70) {
                    self.random.below(500)
                } else {
                    self.random.below(20_000)
                };
                if class == 1 {
                    if uack {
                        let soon = think.min(3000);
                        self.later(soon, Due::Accepts { at, id });
                    }
                    return;
                }
                let early = self.random.below(1500).min(think);
                self.later(early, Due::Accepts { at, id });
                if !self.nodes[at].is_plain() && self.random.chance(5) {
                    self.later(think, Due::Aborts { at, id });
                    return;
                }
                let any_plain = self.nodes.iter().any(Node::is_plain);
                let data = self.message(number, if any_plain { 1000 } else { 40_000 });
                self.later(think, Due::Answers { at, id, data });
            }
            Event::InvokeConfirmed { id, info } => {
                let fate = self.initiator(at, id);
                fate.invoke_confirmed += 1;
                assert!(info.is_empty() || info == b"info");
            }
            Event::Result { id, data } => {
                let number = self.numbers[&(at, true, id)];
                assert_eq!(data[..8], number.to_be_bytes());
                self.initiator(at, id).results += 1;
                let wait = self.random.below(6000);
                self.later(wait, Due::Acknowledges { at, id });
            }
            Event::ResultConfirmed { id, .. } => {
                let number = self.numbers[&(at, false, id)];
                self.fates.get_mut(&number).unwrap().result_confirmed += 1;
            }
            Event::Abort { id } => {
                if let Some(number) = self.numbers.get(&(at, true, id)) {
                    self.fates.get_mut(number).unwrap().initiator_aborts += 1;
                } else if let Some(number) = self.numbers.get(&(at, false, id)) {
                    self.fates.get_mut(number).unwrap().responder_aborts += 1;
                }
            }
        }
    }

    fn initiator(&mut self, at: usize, id: Id) -> &mut Outcome {
        let number = self.numbers[&(at, true, id)];
        self.fates.get_mut(&number).unwrap()
    }

    /// Everything is quiet: what must hold now.
    fn judge(&self) {
        for (number, fate) in &self.fates {
            let at = format!("transaction {number}: {fate:?}");
            if fate.class == 0 {
                continue;
            }
            assert!(fate.delivered <= 1, "{at}");
            // Exactly once whenever the initiator has an ack or a result.
            if fate.invoke_confirmed + fate.results > 0 {
                assert_eq!(fate.delivered, 1, "{at}");
            }
            // One outcome at the initiator.
            let good = if fate.class == 1 {
                fate.invoke_confirmed
            } else {
                fate.results
            };
            let own = u32::from(fate.aborted_by_initiator);
            if fate.aborted_by_responder {
                assert!(good + fate.initiator_aborts + own >= 1, "{at}");
            } else {
                assert!(good <= 1 && fate.initiator_aborts + good + own >= 1, "{at}");
                assert!(good + own <= 1, "{at}");
            }
            // One outcome at the responder; class 1 has none.
            if fate.class == 2 && fate.delivered == 1 {
                let own = u32::from(fate.aborted_by_responder);
                assert_eq!(
                    fate.result_confirmed + fate.responder_aborts + own,
                    1,
                    "{at}"
                );
            }
            // Who is told that the result arrived is told the truth.
            assert!(fate.result_confirmed <= fate.results, "{at}");
        }
        for node in &self.nodes {
            assert_eq!(node.live(), 0, "something is left over");
            if let Node::Ours(ours) = node {
                assert_eq!(ours.endpoint.held_octets(), 0);
                assert_eq!(ours.endpoint.poll_timeout(), None);
            }
        }
    }
}

fn wanted() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(seed) = number("WTP_SIM_SEED") {
        return seed..seed + 1;
    }
    0..number("WTP_SIM_SEEDS").unwrap_or(1000)
}

#[test]
fn random_networks_break_no_promise() {
    for seed in wanted() {
        if let Err(panic) = std::panic::catch_unwind(|| World::new(seed, true).run()) {
            eprintln!("it was seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn an_endpoint_without_a_memory_is_found_out() {
    let broken = (0..300)
        .filter(|&seed| std::panic::catch_unwind(|| World::new(seed, false).run()).is_err());
    assert!(broken.count() > 0);
}
