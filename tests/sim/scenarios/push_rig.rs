//! The gateway of pushes in front of a simulated gateway, with an initiator, a store that survives
//! kills, short messages, and telephones that move.
//!
//! The order of the shell is kept: the store has the changes of an input before an initiator is
//! answered, an attempt begins or a result is told. A kill may come before the store has them and
//! after. Every event is checked against what was asked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use wapbridge::gateway::delivery::{Attempt, Sockets, Step};
use wapbridge::gateway::push::PushOutcome;
use wapbridge::handset;
use wapbridge::push::pap::multipart::Entity;
use wapbridge::push::pap::{
    MessageState, Operation, Query, Response, Status, Submission, Version, Versions, read,
};
use wapbridge::push::ppg::{Config, DeliveryRecord, Event, Initiator, Notice, Ppg};
use wapbridge::push::{Address, AttemptId, Bearer, Deliver, Outcome, Recipient, content};
use wapbridge::random::Random;
use wapbridge::sim::{Phone, World};
use wapbridge::time::Instant;
use wapbridge::wsp::AbortReason;
use wapbridge::wsp::capability::ProtocolOptions;

use super::new_world;
use crate::{gateway_config, ms, phone_config};

/// The rules that are kept; each other value breaks one, so that the walk can be seen to notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    Kept,
    /// Attempts begin and initiators are answered before the store has the changes.
    ActsBeforeSaving,
    /// The store does not get the ends of deliveries.
    EndsNotSaved,
    /// A shard without the session of a client counts as one that delivered.
    NoSessionIsDelivered,
}

/// Milliseconds since 1970 when a world begins.
const T0: u64 = 1_000_000_000_000;

/// A delivery: push-id and address as written.
pub(super) type Key = (String, String);

pub(super) struct PushRig {
    pub(super) world: World,
    pub(super) random: Random,
    pub(super) seed: u64,
    /// Probability that an input is followed by a kill.
    pub(super) kills: f64,
    /// Whether the initiator always takes results and its receipt always arrives.
    pub(super) calm: bool,
    rules: Rules,
    ppg: Ppg,
    config: Config,
    initiator: Initiator,
    store: BTreeMap<Vec<u8>, Vec<u8>>,
    attempts: BTreeMap<u64, Attempt>,
    agenda: BTreeMap<(Instant, u64), Act>,
    serial: u64,
    pub(super) telephones: Vec<Telephone>,
    asked: BTreeMap<String, Asked>,
    pub(super) ledger: BTreeMap<Key, Entry>,
    /// Attempts that count against the limit, with the moments at which they time out.
    in_flight: BTreeMap<u64, u64>,
    notifying: usize,
    pub(super) counts: Counts,
}

/// What happened in all seeds, so that a walk that tests nothing is noticed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) accepted: u64,
    pub(super) confirmed: u64,
    pub(super) unconfirmed: u64,
    pub(super) by_sms: u64,
    pub(super) asked_to_connect: u64,
    pub(super) connected_when_asked: u64,
    pub(super) kills: u64,
    pub(super) repeated: u64,
    pub(super) states: [u64; 9],
}

pub(super) struct Telephone {
    pub(super) phone: Phone,
    pub(super) number: String,
    /// The address that the access network reports; without, it is not attached.
    reported: Option<IpAddr>,
    /// Every address it had.
    had: BTreeSet<IpAddr>,
    seen: usize,
    received: BTreeSet<String>,
}

struct Asked {
    after: u64,
    before: u64,
    told: bool,
}

/// A recipient of an accepted push.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) finished: Option<MessageState>,
    told: Vec<MessageState>,
    /// Results told whose receipt the gateway cannot have.
    forgiven: usize,
    is_accepted: bool,
}

enum Act {
    /// A shard, or the bearer of short messages, gets the attempt.
    Ask(u64),
    /// A short message arrives.
    Arrives(usize, Bytes, Bearer),
    SmsEnds(AttemptId, Outcome),
    /// The initiator gets a result.
    Notice(Notice),
    /// A telephone connects because it was asked to.
    Connect(usize),
    /// The access network reports the address of a telephone.
    Report(usize),
}

impl Act {
    /// Whether it ends with the process.
    const fn is_of_process(&self) -> bool {
        matches!(self, Self::Ask(_) | Self::SmsEnds(..) | Self::Notice(_))
    }
}

impl PushRig {
    pub(super) fn new(seed: u64, rules: Rules) -> Self {
        let mut random = Random::new(seed ^ 0x9054);
        let mut world = new_world(seed, gateway_config());
        let shards = 1 + u32::try_from(random.below(3)).unwrap();
        world = world.shards(shards);
        if random.chance(0.7) {
            world = world.stored();
        }
        let config = Config {
            contacts: vec!["192.0.2.1:9201".parse().unwrap()],
            sms: random.chance(0.5),
            max_pushes: 24,
            max_octets: 4_000,
            max_per_recipient: 4,
            max_in_flight: 1 + usize::try_from(random.below(4)).unwrap(),
            max_attempts: 6,
            lifetime: Duration::from_secs(1_200),
            retry: Duration::from_secs(5),
            retry_most: Duration::from_secs(120),
            attempt_timeout: Duration::from_secs(60),
            keep_results: Duration::from_secs(1_800),
            notify_lifetime: Duration::from_secs(90 * 86_400),
            ..Config::default()
        };
        let mut rig = Self {
            world,
            ppg: Ppg::new(config.clone(), seed, true),
            random,
            seed,
            kills: 0.0,
            calm: false,
            rules,
            config,
            initiator: Initiator {
                name: "pi".into(),
                origin: content::Initiator::default(),
                max_pushes: 20,
            },
            store: BTreeMap::new(),
            attempts: BTreeMap::new(),
            agenda: BTreeMap::new(),
            serial: 0,
            telephones: Vec::new(),
            asked: BTreeMap::new(),
            ledger: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            notifying: 0,
            counts: Counts::default(),
        };
        for _ in 0..1 + rig.random.below(3) {
            rig.add_telephone();
        }
        rig
    }

    fn add_telephone(&mut self) {
        let mut config = phone_config();
        config.pushes = match self.random.chance(0.1) {
            true => handset::Pushes::Refuse(AbortReason::USERPND),
            false => handset::Pushes::Take,
        };
        if let Some(capabilities) = &mut config.capabilities {
            let options = [
                ProtocolOptions::ALL,
                ProtocolOptions::PUSH,
                ProtocolOptions::CONFIRMED_PUSH,
            ];
            capabilities.options = options[self.below(3)];
        }
        let phone = self.world.handset(config);
        let address = self.world.address(phone).ip();
        let number = format!("1555000{}", self.telephones.len());
        let is_attached = self.random.chance(0.8);
        self.telephones.push(Telephone {
            phone,
            number,
            reported: is_attached.then_some(address),
            had: BTreeSet::from([address]),
            seen: 0,
            received: BTreeSet::new(),
        });
    }

    pub(super) fn below(&mut self, bound: u64) -> usize {
        usize::try_from(self.random.below(bound)).unwrap()
    }

    pub(super) fn now(&self) -> u64 {
        T0 + self.world.now().as_micros() / 1_000
    }

    /// How the recipient is written: by its number, or by the address it has now.
    pub(super) fn address_of(&mut self, telephone: usize) -> String {
        let telephone = &self.telephones[telephone];
        let (phone, number) = (telephone.phone, telephone.number.clone());
        match self.random.chance(0.6) {
            true => format!("WAPPUSH=+{number}/TYPE=PLMN@ppg"),
            false => format!("WAPPUSH={}/TYPE=IPv4@ppg", self.world.address(phone).ip()),
        }
    }

    /// Submits, again if the process was killed before the answer. The code of the answer.
    pub(super) fn submit(&mut self, submission: &Submission) -> Status {
        let entity = Entity {
            fields: vec![
                ("content-type".to_owned(), "a/b".to_owned()),
                ("x-sender".to_owned(), "Žofie".to_owned()),
            ],
            body: Bytes::copy_from_slice(submission.push_id.as_bytes()),
        };
        let lifetime = u64::try_from(self.config.lifetime.as_millis()).unwrap();
        for try_number in 0.. {
            let now = self.now();
            self.asked
                .entry(submission.push_id.clone())
                .or_insert_with(|| Asked {
                    after: submission.deliver_after.unwrap_or(0),
                    before: 0,
                    told: submission.notify_to.is_some(),
                })
                .before = submission
                .deliver_before
                .unwrap_or(now + lifetime)
                .min(now + lifetime);
            let versions = Versions::only(Version::V2_0);
            let may = (|_: &Recipient| true, |_: &str| true);
            let response = self.ppg.submit(
                now,
                &self.initiator,
                &versions,
                submission,
                Some(&entity),
                may,
            );
            let Response::Push { code, .. } = response else {
                panic!("{response:?}")
            };
            let is_answered = self.settle();
            if !is_answered && self.rules != Rules::ActsBeforeSaving {
                continue;
            }
            let is_repeated = try_number > 0 && code == Status::DUPLICATE_PUSH_ID;
            if code == Status::ACCEPTED || is_repeated {
                self.accepted(&submission.push_id);
                return Status::ACCEPTED;
            }
            return code;
        }
        unreachable!()
    }

    /// The push's recipients are owed an outcome each.
    fn accepted(&mut self, push_id: &str) {
        let query = Query {
            push_id: push_id.to_owned(),
            addresses: Vec::new(),
        };
        let Response::Status { results, .. } = self.ppg.status(&self.initiator.name, &query) else {
            panic!("a status query is answered as such")
        };
        for result in results {
            for address in result.addresses {
                self.counts.accepted += 1;
                let key = (push_id.to_owned(), address);
                self.ledger.entry(key).or_default().is_accepted = true;
            }
        }
    }

    pub(super) fn cancel(&mut self, push_id: &str) {
        let query = Query {
            push_id: push_id.to_owned(),
            addresses: Vec::new(),
        };
        let now = self.now();
        let name = self.initiator.name.clone();
        let _ = self.ppg.cancel(now, &name, &query);
        self.settle();
    }

    /// The telephone gets another address, of which the access network reports soon.
    pub(super) fn moves(&mut self, index: usize) {
        let phone = self.telephones[index].phone;
        self.world.move_to_new_address(phone);
        let address = self.world.address(phone).ip();
        self.telephones[index].had.insert(address);
        self.telephones[index].reported = None;
        self.later(3_000, Act::Report(index));
    }

    /// The process is killed and starts again.
    pub(super) fn kill(&mut self) {
        self.counts.kills += 1;
        self.world.restart_gateway();
        self.world.pushed.clear();
        self.attempts.clear();
        self.in_flight.clear();
        self.notifying = 0;
        self.agenda.retain(|_, act| !act.is_of_process());
        self.ppg = Ppg::new(self.config.clone(), self.seed, true);
        let entries = self.store.clone().into_iter().collect();
        let useless = self.ppg.restore(self.now(), entries);
        assert!(useless.is_empty(), "seed {}: {useless:?}", self.seed);
        self.save();
        self.drain();
    }

    /// Lets a time pass.
    pub(super) fn pass(&mut self, millis: u64) {
        let until = self.world.now() + ms(millis);
        loop {
            let due = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let timer = self.ppg.poll_timeout().map(|at| self.moment(at));
            let next = [Some(until), due, timer].into_iter().flatten().min();
            let next = next.unwrap_or(until).max(self.world.now());
            let news = |world: &mut World| !world.pushed.is_empty() || !world.strangers.is_empty();
            self.world.run_to(next, news);
            self.news();
            let now = self.world.now();
            if let Some(entry) = self.agenda.first_entry()
                && entry.key().0 <= now
            {
                let act = entry.remove();
                self.act(act);
            } else if self
                .ppg
                .poll_timeout()
                .is_some_and(|at| self.moment(at) <= now)
            {
                let now = self.now();
                self.ppg.handle_timeout(now);
                self.settle();
            } else if now >= until {
                return;
            }
        }
    }

    fn moment(&self, at: u64) -> Instant {
        Instant::from_micros(at.saturating_sub(T0) * 1_000)
    }

    fn later(&mut self, bound: u64, act: Act) {
        let at = self.world.now() + ms(self.random.below(bound) + 1);
        self.serial += 1;
        self.agenda.insert((at, self.serial), act);
    }

    /// The end of an input. False if the process was killed instead.
    fn settle(&mut self) -> bool {
        let is_killed = self.random.chance(self.kills);
        if self.rules == Rules::ActsBeforeSaving {
            self.drain();
        }
        if is_killed && self.random.chance(0.5) {
            self.kill();
            return false;
        }
        self.save();
        if is_killed {
            self.kill();
            return false;
        }
        self.drain();
        true
    }

    fn save(&mut self) {
        for (key, value) in self.ppg.take_changes() {
            let is_end = |value: &[u8]| value.windows(10).any(|it| it == b"\"ending\":{");
            match value {
                Some(value) if self.rules == Rules::EndsNotSaved && is_end(&value) => {}
                Some(value) => drop(self.store.insert(key, value)),
                None => drop(self.store.remove(&key)),
            }
        }
    }

    fn drain(&mut self) {
        let mut events = VecDeque::new();
        while let Some(event) = self.ppg.poll_event() {
            events.push_back(event);
        }
        for event in events {
            match event {
                Event::Deliver(deliver) => self.deliver(deliver),
                Event::Notify(notice) => {
                    self.notifying += 1;
                    self.later(2_000, Act::Notice(notice));
                }
                Event::Finished(record) => self.finished(&record),
            }
        }
        self.check_limits();
    }

    fn check_limits(&self) {
        let (stats, seed) = (self.ppg.stats(), self.seed);
        let now = self.now();
        let under_way = self.in_flight.values().filter(|until| **until > now);
        assert!(
            under_way.count() <= self.config.max_in_flight,
            "seed {seed}: attempts under way"
        );
        assert!(
            stats.recipients <= 20.min(self.config.max_pushes as u64),
            "seed {seed}: {stats:?}"
        );
        assert!(stats.octets <= self.config.max_octets as u64, "seed {seed}");
        assert!(self.notifying <= 32, "seed {seed}: {}", self.notifying);
    }

    fn deliver(&mut self, deliver: Deliver) {
        let (now, seed) = (self.now(), self.seed);
        let push_id = String::from_utf8_lossy(&deliver.message.body).into_owned();
        let is_request = deliver.bearer.is_request();
        assert!(now < deliver.expires, "seed {seed}: {push_id} is late");
        if !is_request {
            let asked = &self.asked[&push_id];
            assert!(
                (asked.after..asked.before).contains(&now),
                "seed {seed}: {push_id} is attempted at {now}, outside {}..{}",
                asked.after,
                asked.before
            );
            let key = (push_id, deliver.recipient.text().to_owned());
            let ended = self.ledger.get(&key).and_then(|entry| entry.finished);
            assert!(
                ended.is_none(),
                "seed {seed}: {key:?} goes on after {ended:?}"
            );
        }
        self.counts.asked_to_connect += u64::from(is_request);
        let number = deliver.attempt.0;
        if !deliver.bearer.is_by_sms() {
            let most = u64::try_from(self.config.attempt_timeout.as_millis()).unwrap();
            self.in_flight.insert(number, now + most);
        }
        match deliver.bearer {
            Bearer::Sms | Bearer::SirBySms => self.short_message(&deliver),
            _ => {
                let address = match deliver.recipient.address() {
                    Address::Ip(address) => Some(*address),
                    Address::Plmn(number) | Address::User(number) => {
                        let found = self.telephones.iter();
                        let mut found = found.filter(|it| it.number == number.reveal());
                        found.next().and_then(|it| it.reported)
                    }
                };
                let sockets = Sockets {
                    shards: self.world.shard_count(),
                    v4: Some("192.0.2.1:9200".parse().unwrap()),
                    v6: None,
                };
                self.attempts
                    .insert(number, Attempt::new(deliver, address, &sockets));
                self.later(50, Act::Ask(number));
            }
        }
    }

    fn short_message(&mut self, deliver: &Deliver) {
        let Address::Plmn(number) = deliver.recipient.address() else {
            panic!("seed {}: a short message to an IP address", self.seed)
        };
        let found = self.telephones.iter();
        let index = found
            .enumerate()
            .find_map(|(index, it)| (it.number == number.reveal()).then_some(index))
            .unwrap();
        let refused = |permanent| Outcome::Refused {
            permanent,
            reason: "refused".to_owned(),
        };
        let outcome = match self.random.below(12) {
            0 => Outcome::Busy,
            1 => Outcome::Unreachable,
            2 => refused(false),
            3 => refused(true),
            4 => Outcome::TimedOut,
            // No receipt ever comes.
            5 => return,
            _ => Outcome::Confirmed,
        };
        if outcome == Outcome::Confirmed {
            let body = deliver.message.body.clone();
            self.later(5_000, Act::Arrives(index, body, deliver.bearer));
        }
        let pause = 5_000 + self.random.below(20_000);
        self.later(pause, Act::SmsEnds(deliver.attempt, outcome));
    }

    fn finished(&mut self, record: &DeliveryRecord) {
        let seed = self.seed;
        let key = (
            record.push_id.to_string(),
            record.recipient.text().to_owned(),
        );
        let index = MessageState::ALL.iter().position(|it| *it == record.state);
        self.counts.states[index.unwrap()] += 1;
        if record.state == MessageState::Delivered {
            match record.bearer {
                Some(Bearer::Session { confirmed: true }) => {
                    self.read_telephones();
                    let who = match record.recipient.address() {
                        Address::Ip(address) => {
                            self.telephones.iter().find(|it| it.had.contains(address))
                        }
                        Address::Plmn(number) | Address::User(number) => {
                            let mut all = self.telephones.iter();
                            all.find(|it| it.number == number.reveal())
                        }
                    };
                    let has = who.is_some_and(|it| it.received.contains(&key.0));
                    assert!(
                        has,
                        "seed {seed}: {key:?} is confirmed and was not received"
                    );
                    self.counts.confirmed += 1;
                }
                Some(Bearer::Sms) => self.counts.by_sms += 1,
                _ => self.counts.unconfirmed += 1,
            }
        }
        let entry = self.ledger.entry(key.clone()).or_default();
        assert!(
            entry.finished.is_none(),
            "seed {seed}: {key:?} ends twice: {:?}, {:?}",
            entry.finished,
            record.state
        );
        entry.finished = Some(record.state);
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Ask(number) => self.ask(number),
            Act::Arrives(index, body, bearer) => {
                self.arrives(index, &body, bearer == Bearer::SirBySms);
            }
            Act::SmsEnds(attempt, outcome) => self.ends(attempt, outcome),
            Act::Notice(notice) => self.notice(&notice),
            Act::Connect(index) => {
                self.counts.connected_when_asked += 1;
                let phone = self.telephones[index].phone;
                self.world.connect(phone);
            }
            Act::Report(index) => {
                let phone = self.telephones[index].phone;
                let address = self.world.address(phone).ip();
                self.telephones[index].reported = Some(address);
            }
        }
    }

    fn ask(&mut self, number: u64) {
        let Some(attempt) = self.attempts.get(&number) else {
            return;
        };
        match attempt.step() {
            Step::Ask(shard, push) => self.world.push(shard, push),
            Step::Over(outcome) => {
                self.attempts.remove(&number);
                self.ends(AttemptId(number), outcome);
            }
        }
    }

    fn ends(&mut self, attempt: AttemptId, outcome: Outcome) {
        self.in_flight.remove(&attempt.0);
        let now = self.now();
        self.ppg.handle_outcome(now, attempt, outcome);
        self.settle();
    }

    /// The initiator gets a result, and the gateway its receipt, perhaps.
    fn notice(&mut self, notice: &Notice) {
        let is_heard = self.calm || self.random.chance(0.8);
        let told = is_heard && (self.calm || self.random.chance(0.9));
        let (_, operation) = read(notice.document.as_bytes(), 10).unwrap();
        let Operation::Notification(result) = operation else {
            panic!("{operation:?}")
        };
        let key = (result.push_id.clone(), result.address.clone());
        self.notifying -= 1;
        if is_heard {
            let entry = self.ledger.entry(key.clone()).or_default();
            entry.told.push(result.state);
        }
        let now = self.now();
        self.ppg.handle_notified(now, notice.place, told);
        let is_known = self.settle() && told;
        if is_heard && !is_known {
            self.ledger.entry(key).or_default().forgiven += 1;
            self.counts.repeated += 1;
        }
    }

    /// Outcomes of the shards, datagrams to telephones, and what their sessions got.
    fn news(&mut self) {
        while !self.world.pushed.is_empty() {
            let (id, mut outcome) = self.world.pushed.remove(0);
            if self.rules == Rules::NoSessionIsDelivered && outcome == PushOutcome::NoSession {
                outcome = PushOutcome::Confirmed {
                    headers: Bytes::new(),
                };
            }
            if let Some(attempt) = self.attempts.get_mut(&id.0) {
                attempt.answered(Some(outcome));
                self.later(5, Act::Ask(id.0));
            }
        }
        for (peer, payload) in std::mem::take(&mut self.world.strangers) {
            let own: Vec<IpAddr> = (0..self.telephones.len())
                .map(|index| self.telephones[index].phone)
                .map(|phone| self.world.address(phone).ip())
                .collect();
            let to = peer.local.ip();
            if let Some(index) = own.iter().position(|ip| *ip == to)
                && peer.local.port() == 2948
            {
                self.datagram(index, &payload);
            }
        }
        self.read_telephones();
    }

    /// A connectionless push: the transaction id, Push, the length of the headers, headers, body.
    fn datagram(&mut self, index: usize, payload: &[u8]) {
        assert_eq!(payload[1], 0x06, "a Push");
        let body = payload[3 + usize::from(payload[2])..].to_vec();
        let is_request = payload[3] == 0xB4;
        self.arrives(index, &body, is_request);
    }

    fn arrives(&mut self, index: usize, body: &[u8], is_request: bool) {
        if is_request {
            if self.random.chance(0.8) {
                self.later(4_000, Act::Connect(index));
            }
            return;
        }
        let body = String::from_utf8(body.to_vec()).unwrap();
        self.received(index, body);
    }

    fn read_telephones(&mut self) {
        for index in 0..self.telephones.len() {
            let telephone = &mut self.telephones[index];
            let events = self.world.session_events(telephone.phone);
            let new = events[telephone.seen..].to_vec();
            telephone.seen += new.len();
            for event in new {
                if let handset::Event::Pushed(pushed) = event {
                    self.received(index, String::from_utf8(pushed.body.to_vec()).unwrap());
                }
            }
        }
    }

    fn received(&mut self, index: usize, push_id: String) {
        let asked = &self.asked[&push_id];
        assert!(self.now() >= asked.after, "seed {}: early", self.seed);
        self.telephones[index].received.insert(push_id);
    }

    /// Everything comes to its end: each recipient has one outcome, and nothing is left.
    pub(super) fn conclude(&mut self) {
        self.kills = 0.0;
        self.calm = true;
        self.pass(3_600_000);
        for index in 0..self.telephones.len() {
            let phone = self.telephones[index].phone;
            self.world.disconnect(phone);
        }
        for _ in 0..200 {
            if self.ppg.stats().pushes == 0 && self.agenda.is_empty() {
                break;
            }
            self.pass(1_800_000);
        }
        let (seed, stats) = (self.seed, self.ppg.stats());
        let left = (
            stats.pushes,
            stats.recipients,
            stats.pending,
            stats.in_flight,
        );
        assert_eq!(left, (0, 0, 0, 0), "seed {seed}: {stats:?}");
        assert_eq!((stats.octets, stats.notifications), (0, 0), "seed {seed}");
        assert!(
            self.store.is_empty(),
            "seed {seed}: the store keeps entries"
        );
        assert!(self.attempts.is_empty(), "seed {seed}: attempts are left");
        assert_eq!(
            self.ppg.poll_timeout(),
            None,
            "seed {seed}: a timer is left"
        );
        self.world.run_until_idle();
        let stats = self.world.stats();
        assert_eq!(
            (stats.transactions, stats.exchanges),
            (0, 0),
            "seed {seed}: {stats:?}"
        );
        for (key, entry) in &self.ledger {
            assert!(entry.is_accepted, "seed {seed}: {key:?} was never accepted");
            let told = &entry.told;
            let is_told = self.asked[&key.0].told;
            assert_eq!(
                told.is_empty(),
                !is_told,
                "seed {seed}: {key:?} was told {told:?}, finished {:?}",
                entry.finished
            );
            assert!(
                told.len() <= 1 + entry.forgiven,
                "seed {seed}: {key:?} was told {told:?}, {} receipts lost",
                entry.forgiven
            );
            let all = told.iter().chain(&entry.finished);
            assert!(
                all.clone().all(|state| Some(state) == all.clone().next()),
                "seed {seed}: {key:?} was told {told:?} and ended {:?}",
                entry.finished
            );
        }
    }
}
