//! Virtual time, and everybody in it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::gateway::fetch::{FetchError, Reply, RequestId};
use crate::gateway::push::{PushId, PushOutcome};
use crate::gateway::record::ExchangeRecord;
use crate::gateway::{self, Command, Config, Event, Gateway, directory};
use crate::handset::{self, Handset, Request, Ticket};
use crate::random::Random;
use crate::sim::group::{Group, Message, Order, Store, Told};
use crate::sim::network::Network;
use crate::sim::origin::Origin;
use crate::time::Instant;
use crate::wdp::{Datagram, Peer, Service};

/// Names a handset of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Phone(pub usize);

/// What became of one request, as its handset saw it.
pub type Outcome = Result<handset::Reply, handset::Failure>;

/// A gateway, its handsets, its origin and the network between.
pub struct World {
    now: Instant,
    random: Random,
    /// From the handsets to the gateway.
    uplink: Network,
    /// From the gateway to the handsets.
    downlink: Network,
    config: Arc<Config>,
    /// The gateway under test: its first shard, which is the only one unless [`World::shards`] says otherwise.
    pub gateway: Gateway,
    /// Its other shards, with everything between them.
    group: Group,
    phones: Vec<PhoneState>,
    /// The origin's stand-in.
    pub origin: Origin,
    queue: BinaryHeap<Reverse<Arrival>>,
    serial: u64,
    /// What the gateway said of every exchange that is over.
    pub records: Vec<ExchangeRecord>,
    /// What became of every push.
    pub pushed: Vec<(PushId, PushOutcome)>,
    /// Datagrams to addresses where no handset is: to those that [`World::send`] spoke for.
    pub strangers: Vec<(Peer, Vec<u8>)>,
    /// Datagrams of handsets that are lost on purpose, by what they say.
    pub uplink_loses: fn(&[u8]) -> bool,
    datagrams: u64,
    /// While it is there, every datagram a handset sends is put down in it, with the address it left from.
    pub tap: Option<Vec<(SocketAddr, Vec<u8>)>>,
    buffer: Vec<u8>,
}

struct PhoneState {
    handset: Handset,
    config: handset::Config,
    address: SocketAddr,
    connected: Vec<handset::Event>,
    outcomes: Vec<(Ticket, Outcome)>,
}

/// Something under way, ordered by when it arrives and then by when it left.
struct Arrival {
    at: Instant,
    serial: u64,
    what: What,
}

enum What {
    ToGateway(Peer, Vec<u8>),
    ToPhone(Peer, Vec<u8>),
    Answer((u32, RequestId), Result<Reply, FetchError>),
    Between(Message),
}

impl World {
    /// A world of one gateway on a perfect network.
    #[must_use]
    pub fn new(seed: u64, config: Config) -> Self {
        let config = Arc::new(config);
        let mut random = Random::new(seed);
        Self {
            now: Instant::ZERO,
            uplink: Network::perfect(),
            downlink: Network::perfect(),
            gateway: Gateway::new(Arc::clone(&config), random.u64(), Instant::ZERO),
            config,
            group: Group::new(seed),
            phones: Vec::new(),
            origin: Origin::default(),
            queue: BinaryHeap::new(),
            serial: 0,
            records: Vec::new(),
            pushed: Vec::new(),
            strangers: Vec::new(),
            uplink_loses: |_| false,
            datagrams: 0,
            tap: None,
            buffer: Vec::new(),
            random,
        }
    }

    /// Puts a network between the handsets and the gateway, the same in both directions.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.uplink = network.clone();
        self.downlink = network;
        self
    }

    /// Several shards; the address of a handset decides which of them hears it.
    #[must_use]
    pub fn shards(mut self, shards: u32) -> Self {
        self.group.shards = shards.max(1);
        self.start_gateway();
        self
    }

    /// A store remembers sessions: they outlive a restart.
    #[must_use]
    pub fn stored(mut self) -> Self {
        self.group.store = Some(Store::default());
        self.start_gateway();
        self
    }

    /// How often the way between shards is too full for what may be refused.
    #[must_use]
    pub const fn busy(mut self, probability: f64) -> Self {
        self.group.busy = probability;
        self
    }

    /// What all shards count.
    #[must_use]
    pub fn stats(&self) -> gateway::Stats {
        let mut stats = self.gateway.stats();
        for gateway in &self.group.others {
            stats += gateway.stats();
        }
        stats
    }

    /// What the directory counts.
    #[must_use]
    pub fn directory(&self) -> directory::Stats {
        self.group.directory.stats()
    }

    /// The time of this world.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Datagrams sent so far, in both directions.
    #[must_use]
    pub const fn datagrams(&self) -> u64 {
        self.datagrams
    }

    /// A new handset, with an address of its own.
    pub fn handset(&mut self, config: handset::Config) -> Phone {
        let address = self.new_address();
        let peer = Peer::new(GATEWAY, address);
        let seed = self.random.u64();
        self.phones.push(PhoneState {
            handset: Handset::new(config.clone(), peer, seed, self.now),
            config,
            address,
            connected: Vec::new(),
            outcomes: Vec::new(),
        });
        Phone(self.phones.len() - 1)
    }

    /// The handset behind a name.
    ///
    /// # Panics
    /// When it is not of this world.
    pub fn phone(&mut self, phone: Phone) -> &mut Handset {
        &mut self.state(phone).handset
    }

    /// S-Connect.req of a handset.
    pub fn connect(&mut self, phone: Phone) {
        let now = self.now;
        self.phone(phone).connect(now);
        self.drain();
    }

    /// S-MethodInvoke.req of a handset.
    pub fn request(&mut self, phone: Phone, request: &Request<'_>) -> Ticket {
        let now = self.now;
        let ticket = self.phone(phone).request(now, request);
        self.drain();
        ticket
    }

    /// S-Disconnect.req of a handset.
    pub fn disconnect(&mut self, phone: Phone) {
        let now = self.now;
        self.phone(phone).disconnect(now);
        self.drain();
    }

    /// S-MethodAbort.req of a handset.
    pub fn abort(&mut self, phone: Phone, ticket: Ticket) {
        let now = self.now;
        self.phone(phone).abort(now, ticket);
        self.drain();
    }

    /// The handset gets a new address and resumes its session from there.
    pub fn move_to_new_address(&mut self, phone: Phone) {
        let address = self.new_address();
        let now = self.now;
        let state = self.state(phone);
        state.address = address;
        state.handset.resume(now, Peer::new(GATEWAY, address));
        self.drain();
    }

    /// The handset goes away and says so; it comes back with [`World::move_to_new_address`].
    pub fn suspend(&mut self, phone: Phone) {
        let now = self.now;
        self.phone(phone).suspend(now);
        self.drain();
    }

    /// The handset's battery is taken out and put back: it keeps its address and nothing else.
    pub fn restart_handset(&mut self, phone: Phone) {
        let (seed, now) = (self.random.u64(), self.now);
        let state = self.state(phone);
        let peer = Peer::new(GATEWAY, state.address);
        state.handset = Handset::new(state.config.clone(), peer, seed, now);
    }

    /// A datagram from an address where no handset is, to one of the gateway's services. Answers are kept in
    /// [`World::strangers`].
    pub fn send(&mut self, from: SocketAddr, service: Service, payload: &[u8]) {
        let local = match service {
            Service::ConnectionMode => GATEWAY,
            Service::Connectionless => UNIT_GATEWAY,
        };
        self.carry_up(Peer::new(from, local), payload);
        self.drain();
    }

    /// The shell wants something of the gateway.
    pub fn command(&mut self, command: Command) {
        let now = self.now;
        for shard in 0..self.group.shards {
            self.shard(shard).handle_command(now, command.clone());
        }
        self.drain();
    }

    /// The gateway is stopped and started again: what it knew is gone, what is in the air is not.
    pub fn restart_gateway(&mut self) {
        self.queue.retain(|Reverse(arrival)| {
            !matches!(arrival.what, What::Answer(..) | What::Between(_))
        });
        self.origin.forget_all();
        self.start_gateway();
    }

    fn start_gateway(&mut self) {
        self.group.start();
        for shard in 0..self.group.shards {
            let seed = self.random.u64();
            let gateway = Gateway::new(Arc::clone(&self.config), seed, self.now);
            let gateway = gateway.at(self.group.place(shard));
            if shard == 0 {
                self.gateway = gateway;
            } else {
                self.group.others.push(gateway);
            }
        }
    }

    fn shard(&mut self, shard: u32) -> &mut Gateway {
        match (shard as usize).checked_sub(1) {
            None => &mut self.gateway,
            Some(other) => self
                .group
                .others
                .get_mut(other)
                .expect("a shard of this world"),
        }
    }

    fn gateways(&self) -> impl Iterator<Item = &Gateway> {
        std::iter::once(&self.gateway).chain(&self.group.others)
    }

    /// What happened to a handset's sessions.
    pub fn session_events(&mut self, phone: Phone) -> &[handset::Event] {
        &self.state(phone).connected
    }

    /// What became of a handset's requests, in the order it learned it.
    pub fn outcomes(&mut self, phone: Phone) -> &[(Ticket, Outcome)] {
        &self.state(phone).outcomes
    }

    /// Lets the world run until nothing is under way and nobody waits for anything but idle sessions.
    pub fn run_until_idle(&mut self) {
        while !self.is_idle() && self.step() {}
    }

    /// Lets the world run for a while.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.next_moment().is_some_and(|next| next <= until) {
            self.step();
        }
        self.now = until;
    }

    /// Lets the world run until a condition holds or nothing is left to happen.
    pub fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        loop {
            if done(self) {
                return true;
            }
            if !self.step() {
                return false;
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && self.gateways().all(Gateway::is_idle)
            && self.phones.iter().all(|phone| phone.handset.is_idle())
    }

    fn next_moment(&self) -> Option<Instant> {
        let queued = self.queue.peek().map(|Reverse(arrival)| arrival.at);
        let phones = self
            .phones
            .iter()
            .filter_map(|phone| phone.handset.poll_timeout())
            .min();
        let gateways = self.gateways().filter_map(Gateway::poll_timeout).min();
        [queued, gateways, phones].into_iter().flatten().min()
    }

    /// The earliest thing happens.
    fn step(&mut self) -> bool {
        let Some(next) = self.next_moment() else {
            return false;
        };
        assert!(
            next >= self.now,
            "a moment in the past: {next:?} at {:?}",
            self.now
        );
        self.now = next;
        let due = self
            .queue
            .peek()
            .is_some_and(|Reverse(arrival)| arrival.at == next);
        if due && let Some(Reverse(arrival)) = self.queue.pop() {
            self.deliver(arrival.what);
        } else if let Some(shard) =
            (0..self.group.shards).find(|shard| self.shard(*shard).poll_timeout() == Some(next))
        {
            self.shard(shard).handle_timeout(next);
        } else if let Some(phone) = self
            .phones
            .iter_mut()
            .find(|p| p.handset.poll_timeout() == Some(next))
        {
            phone.handset.handle_timeout(next);
        }
        self.drain();
        true
    }

    fn deliver(&mut self, what: What) {
        match what {
            What::ToGateway(peer, payload) => {
                let (now, shard) = (self.now, self.group.shard_of(peer));
                let datagram = Datagram {
                    peer,
                    service: match peer.local.port() {
                        UNIT_PORT => Service::Connectionless,
                        _ => Service::ConnectionMode,
                    },
                    payload: &payload,
                };
                self.shard(shard).handle_datagram(now, datagram);
            }
            What::ToPhone(peer, payload) => {
                let (now, local) = (self.now, peer.local);
                // A datagram to an address its handset has left arrives nowhere.
                match self.phones.iter_mut().find(|p| local == p.address.into()) {
                    Some(phone) => phone.handset.handle_datagram(now, peer, &payload),
                    None => self.strangers.push((peer, payload)),
                }
            }
            What::Answer(id, reply) => {
                if self.origin.finish(id) {
                    let ((shard, id), now) = (id, self.now);
                    self.shard(shard).handle_reply(now, id, reply);
                }
            }
            What::Between(message) => self.hear(message),
        }
    }

    /// Something arrives that shards, directory and store say to each other.
    fn hear(&mut self, message: Message) {
        let now = self.now;
        match message {
            Message::Up(shard, told) => self.group.hear(shard, told),
            Message::Looked(ticket, found) => self.group.directory.handle_looked(ticket, found),
            Message::Down(shard, Order::Command(command)) => {
                self.shard(shard).handle_command(now, command);
            }
            Message::Down(shard, Order::Claimed(claim, found)) => {
                let found = found.map(|found| *found);
                self.shard(shard).handle_claim(now, claim, found);
            }
        }
    }

    /// Everybody says what they have to say.
    fn drain(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for shard in 0..self.group.shards {
            self.drain_shard(shard, &mut buffer);
        }
        for (at, message) in self.group.drain(self.now, &mut self.random) {
            self.schedule(at, What::Between(message));
        }
        for index in 0..self.phones.len() {
            loop {
                buffer.clear();
                let Some(transmit) = self.state(Phone(index)).handset.poll_transmit(&mut buffer)
                else {
                    break;
                };
                self.carry_up(swapped(transmit.peer), &buffer);
            }
            let phone = self.state(Phone(index));
            while let Some(event) = phone.handset.poll_event() {
                match event {
                    handset::Event::Replied(ticket, reply) => {
                        phone.outcomes.push((ticket, Ok(reply)));
                    }
                    handset::Event::Failed(ticket, failure) => {
                        phone.outcomes.push((ticket, Err(failure)));
                    }
                    session => phone.connected.push(session),
                }
            }
        }
        self.buffer = buffer;
        let late = self.gateways().filter_map(Gateway::poll_timeout).min();
        let late = late.filter(|at| *at < self.now);
        assert!(
            late.is_none(),
            "the gateway has a deadline in the past: {late:?} at {:?}",
            self.now
        );
        self.group.check(&self.gateway);
    }

    fn drain_shard(&mut self, shard: u32, buffer: &mut Vec<u8>) {
        loop {
            buffer.clear();
            let Some(transmit) = self.shard(shard).poll_transmit(buffer) else {
                break;
            };
            let arrivals = self
                .downlink
                .carry(self.now, transmit.len, &mut self.random);
            let peer = swapped(transmit.peer);
            self.datagrams += 1;
            for at in arrivals.into_iter().flatten() {
                self.schedule(at, What::ToPhone(peer, buffer.clone()));
            }
        }
        while let Some(event) = self.shard(shard).poll_event() {
            match event {
                Event::Fetch(id, request) => {
                    let id = (shard, id);
                    let (at, reply) = self.origin.take(self.now, id, &request, &mut self.random);
                    self.schedule(at, What::Answer(id, reply));
                }
                Event::Cancel(id) => self.origin.cancel((shard, id)),
                Event::PushDone(id, outcome) => self.pushed.push((id, outcome)),
                Event::Finished(record) => self.records.push(*record),
                Event::Answered(_) => {}
                Event::Claim(id, key) => self.group.tell(shard, Told::Claim(id, key)),
                Event::Released(ticket, found) => {
                    self.group.tell(shard, Told::Released(ticket, found));
                }
                Event::Save(session) => self.group.tell(shard, Told::Save(session)),
                Event::Forget(id) => self.group.tell(shard, Told::Forget(id)),
            }
        }
    }

    /// A datagram goes from somebody to the gateway.
    fn carry_up(&mut self, peer: Peer, payload: &[u8]) {
        self.datagrams += 1;
        if let Some(tap) = &mut self.tap {
            tap.push((peer.remote.into(), payload.to_vec()));
        }
        if (self.uplink_loses)(payload) {
            return;
        }
        let arrivals = self.uplink.carry(self.now, payload.len(), &mut self.random);
        for at in arrivals.into_iter().flatten() {
            self.schedule(at, What::ToGateway(peer, payload.to_vec()));
        }
    }

    fn schedule(&mut self, at: Instant, what: What) {
        self.serial += 1;
        let serial = self.serial;
        self.queue.push(Reverse(Arrival { at, serial, what }));
    }

    fn state(&mut self, phone: Phone) -> &mut PhoneState {
        self.phones.get_mut(phone.0).expect("a phone of this world")
    }

    fn new_address(&mut self) -> SocketAddr {
        let number = self.random.u32() & 0x00FF_FFFF | 0x0A00_0000;
        let port = 1024 + u16::try_from(self.random.below(60_000)).unwrap_or(0);
        SocketAddr::from((Ipv4Addr::from(number), port))
    }
}

/// The same path, seen from its other end.
fn swapped(peer: Peer) -> Peer {
    Peer {
        remote: peer.local,
        local: peer.remote,
    }
}

impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        self.serial == other.serial
    }
}

impl Eq for Arrival {}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Arrival {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.serial).cmp(&(other.at, other.serial))
    }
}

/// Where the gateway is.
const GATEWAY: SocketAddr = SocketAddr::new(GATEWAY_IP, 9_201);
const GATEWAY_IP: std::net::IpAddr = std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Where the gateway does connectionless mode.
const UNIT_GATEWAY: SocketAddr = SocketAddr::new(GATEWAY_IP, UNIT_PORT);
const UNIT_PORT: u16 = 9_200;
