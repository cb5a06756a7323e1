//! Random walks: submissions, outcomes of every kind, cancellations and restarts in any order. Each accepted recipient
//! ends in one final state, and in the end nothing is left. `WAPBRIDGE_SEEDS` sets the number of walks.

use std::collections::BTreeMap;

use wapbridge::push::pap::{MessageState, Method, Operation, Status, read};
use wapbridge::push::ppg::{Config, Event, Notice, Ppg};
use wapbridge::push::{Deliver, Outcome};
use wapbridge::random::Random;

use super::bench::{ALICE, Bench, PHONE, push};

#[test]
fn every_recipient_ends_once_whatever_happens() {
    let seeds = std::env::var("WAPBRIDGE_SEEDS").map_or(300, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        Walk::new(seed).run();
    }
}

struct Walk {
    seed: u64,
    random: Random,
    bench: Bench,
    store: BTreeMap<Vec<u8>, Vec<u8>>,
    attempts: Vec<Deliver>,
    notices: Vec<Notice>,
    /// Recipients accepted, and the states their initiator was told.
    accepted: Vec<(String, String)>,
    told: BTreeMap<(String, String), Vec<MessageState>>,
}

fn config() -> Config {
    Config {
        contacts: vec!["192.0.2.1:9201".parse().unwrap()],
        sms: true,
        max_in_flight: 3,
        max_attempts: 5,
        ..Config::default()
    }
}

impl Walk {
    fn new(seed: u64) -> Self {
        let mut bench = Bench::new(config());
        bench.initiator.max_pushes = 1_000;
        Self {
            seed,
            random: Random::new(seed),
            bench,
            store: BTreeMap::new(),
            attempts: Vec::new(),
            notices: Vec::new(),
            accepted: Vec::new(),
            told: BTreeMap::new(),
        }
    }

    fn run(&mut self) {
        for step in 0..60 {
            match self.random.below(10) {
                0..=2 => self.submit(step),
                3..=5 => self.outcome(false),
                6 => self.notified(),
                7 => {
                    let pause = self.random.below(200_000);
                    self.bench.pass(pause);
                }
                8 => {
                    let id = self.random.below(60).to_string();
                    self.bench.cancel(&id);
                }
                _ => self.restart(),
            }
            self.drain();
        }
        // Everything that is left comes to its end.
        for _ in 0..200 {
            self.bench.pass(3_600_000);
            self.drain();
            while !self.attempts.is_empty() {
                self.outcome(true);
                self.drain();
            }
            while let Some(notice) = self.notices.pop() {
                self.told(&notice);
                self.bench
                    .ppg
                    .handle_notified(self.bench.now, notice.place, true);
                self.drain();
            }
        }
        self.drain();
        let seed = self.seed;
        let stats = self.bench.ppg.stats();
        assert_eq!(
            (
                stats.pushes,
                stats.pending,
                stats.in_flight,
                stats.octets,
                stats.notifications
            ),
            (0, 0, 0, 0, 0),
            "seed {seed}"
        );
        assert!(
            self.store.is_empty(),
            "seed {seed}: {} entries are left",
            self.store.len()
        );
        for recipient in &self.accepted {
            let told = self
                .told
                .get(recipient)
                .unwrap_or_else(|| panic!("seed {seed}: {recipient:?} was never told"));
            assert!(
                told.iter().all(|state| *state == told[0]),
                "seed {seed}: {recipient:?} {told:?}"
            );
        }
    }

    fn submit(&mut self, step: u64) {
        let methods = [
            Method::Confirmed,
            Method::Unconfirmed,
            Method::PreferConfirmed,
            Method::NotSpecified,
        ];
        let method = methods[self.random.below(4) as usize];
        let mut submission = push(&step.to_string(), PHONE, method);
        if self.random.chance(0.5) {
            submission.addresses.push(ALICE.to_owned());
        }
        if self.random.chance(0.3) {
            submission.deliver_after = Some(self.bench.now + self.random.below(300_000));
        }
        if self.random.chance(0.3) {
            submission.deliver_before = Some(self.bench.now + 1 + self.random.below(900_000));
        }
        if self.bench.submit(&submission) == Status::ACCEPTED {
            for address in submission.addresses {
                self.accepted.push((step.to_string(), address));
            }
        }
    }

    fn outcome(&mut self, is_last: bool) {
        if self.attempts.is_empty() {
            return;
        }
        let place = self.random.below(self.attempts.len() as u64) as usize;
        let attempt = self.attempts.swap_remove(place);
        let outcome = match self.random.below(if is_last { 3 } else { 10 }) {
            0 => Outcome::Sent,
            1 => Outcome::Confirmed,
            2 => Outcome::Aborted(0xEB),
            3 => Outcome::Aborted(0xE2),
            4 => Outcome::TimedOut,
            5 => Outcome::Unreachable,
            6 => Outcome::NotAgreed,
            7 => Outcome::Busy,
            8 => Outcome::TooLarge,
            _ => Outcome::Refused {
                permanent: self.random.chance(0.5),
                reason: "refused".to_owned(),
            },
        };
        self.bench.ends(&attempt, outcome);
    }

    fn notified(&mut self) {
        if let Some(notice) = self.notices.pop() {
            let told = self.random.chance(0.5);
            if told {
                self.told(&notice);
            }
            self.bench
                .ppg
                .handle_notified(self.bench.now, notice.place, told);
        }
    }

    fn told(&mut self, notice: &Notice) {
        let (_, operation) = read(notice.document.as_bytes(), 10).unwrap();
        let Operation::Notification(result) = operation else {
            panic!("{operation:?}")
        };
        assert_ne!(result.state, MessageState::Pending);
        self.told
            .entry((result.push_id, result.address))
            .or_default()
            .push(result.state);
    }

    /// A process that was killed: attempts and notifications under way are gone, the store stays.
    fn restart(&mut self) {
        self.drain();
        self.attempts.clear();
        self.notices.clear();
        let entries = self.store.clone().into_iter().collect();
        self.bench.ppg = Ppg::new(config(), self.seed, true);
        assert!(self.bench.ppg.restore(self.bench.now, entries).is_empty());
    }

    fn drain(&mut self) {
        while let Some(event) = self.bench.ppg.poll_event() {
            match event {
                Event::Deliver(deliver) => {
                    let is_sms = deliver.bearer.is_by_sms();
                    assert!(!is_sms || deliver.recipient.text() == ALICE);
                    self.attempts.push(deliver);
                }
                Event::Notify(notice) => self.notices.push(notice),
                Event::Finished(_) => {}
            }
        }
        for (key, value) in self.bench.ppg.take_changes() {
            match value {
                Some(value) => self.store.insert(key, value),
                None => self.store.remove(&key),
            };
        }
    }
}
