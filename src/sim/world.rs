//! Virtual time, and all parties in it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::gateway::fetch::{FetchError, Reply, RequestId};
use crate::gateway::push::{Push, PushId, PushOutcome};
use crate::gateway::record::ExchangeRecord;
use crate::gateway::{self, Command, Config, Event, Gateway, directory};
use crate::handset::{self, Handset, Request, Ticket};
use crate::random::Random;
use crate::sim::group::{Message, ShardCommand, ShardGroup, ShardMessage, Store};
use crate::sim::network::Network;
use crate::sim::origin::Origin;
#[cfg(feature = "wtls")]
use crate::sim::secure::SecurePath;
use crate::time::Instant;
use crate::wdp::{Datagram, Peer, Service};

/// The name of a handset of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Phone(pub usize);

/// The outcome of one request at its handset.
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
    /// The gateway under test: its first shard, and the only one unless [`World::shards`] adds
    /// others.
    pub gateway: Gateway,
    /// Its other shards, with everything between them.
    group: ShardGroup,
    /// WTLS on the way between handsets and both modes, if the world has it.
    #[cfg(feature = "wtls")]
    secure: Option<SecurePath>,
    phones: Vec<PhoneState>,
    /// The origin's stand-in.
    pub origin: Origin,
    queue: BinaryHeap<Reverse<Arrival>>,
    serial: u64,
    /// The record of every exchange that is over.
    pub records: Vec<ExchangeRecord>,
    /// The outcome of every push.
    pub pushed: Vec<(PushId, PushOutcome)>,
    /// Datagrams to addresses without a handset, which [`World::send`] has used.
    pub strangers: Vec<(Peer, Vec<u8>)>,
    /// Selects datagrams of handsets that are lost on purpose; in a secured world by what is inside
    /// records, and handshakes by their records.
    pub uplink_loses: fn(&[u8]) -> bool,
    datagrams: u64,
    /// If set, gets every datagram of a handset with its source address.
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

/// A datagram, reply or message under way, ordered by its arrival, then by its departure.
struct Arrival {
    at: Instant,
    serial: u64,
    delivery: Delivery,
}

enum Delivery {
    ToGateway(Peer, Vec<u8>),
    ToPhone(Peer, Vec<u8>),
    Answer((u32, RequestId), Result<Reply, FetchError>),
    Between(Message),
}

/// Seconds since 1970 when a world begins: 9 September 2001, 01:46:40 GMT.
const EPOCH: u64 = 1_000_000_000;

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
            gateway: Gateway::new(Arc::clone(&config), random.u64(), Instant::ZERO)
                .with_epoch(EPOCH),
            config,
            group: ShardGroup::new(seed),
            #[cfg(feature = "wtls")]
            secure: None,
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

    /// Several shards; the address of a handset decides which one receives its datagrams.
    #[must_use]
    pub fn shards(mut self, shards: u32) -> Self {
        self.group.shards = shards.max(1);
        self.start_gateway();
        self
    }

    /// Handsets, and other addresses, use the secure ports: every datagram travels in a record of
    /// WTLS, and handshakes are as exposed to the network as everything else.
    #[cfg(feature = "wtls")]
    #[must_use]
    pub fn secured(mut self) -> Self {
        let mut secure = SecurePath::new(EPOCH);
        secure.start(self.group.shards, &mut self.random);
        self.secure = Some(secure);
        self.start_gateway();
        self
    }

    /// What WTLS counts in all shards.
    #[cfg(feature = "wtls")]
    #[must_use]
    pub fn secure_stats(&self) -> crate::wtls::Stats {
        let secure = self.secure.as_ref();
        secure.map(SecurePath::stats).unwrap_or_default()
    }

    /// A store remembers sessions: they outlive a restart.
    #[must_use]
    pub fn stored(mut self) -> Self {
        self.group.store = Some(Store::default());
        self.start_gateway();
        self
    }

    /// Probability that a mailbox between shards is too full for a message that can be refused.
    #[must_use]
    pub const fn busy(mut self, probability: f64) -> Self {
        self.group.busy = probability;
        self
    }

    /// The counters of all shards, added up.
    #[must_use]
    pub fn stats(&self) -> gateway::Stats {
        let mut stats = self.gateway.stats();
        for gateway in &self.group.others {
            stats += gateway.stats();
        }
        stats
    }

    /// The counters of the directory.
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
        let peer = Peer::new(self.gateway_at(Service::ConnectionMode), address);
        let seed = self.random.u64();
        self.phones.push(PhoneState {
            handset: Handset::new(config.clone(), peer, seed, self.now),
            config,
            address,
            connected: Vec::new(),
            outcomes: Vec::new(),
        });
        let phone = Phone(self.phones.len() - 1);
        self.start_secure_phone(phone);
        phone
    }

    /// The handset behind a name.
    ///
    /// # Panics
    /// The handset is not of this world.
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
        let peer = Peer::new(self.gateway_at(Service::ConnectionMode), address);
        let state = self.state(phone);
        state.address = address;
        state.handset.resume(now, peer);
        #[cfg(feature = "wtls")]
        if let Some(secure) = &mut self.secure {
            secure.phone_moves(now, phone.0);
        }
        self.drain();
    }

    /// The handset suspends its session; [`World::move_to_new_address`] brings it back.
    pub fn suspend(&mut self, phone: Phone) {
        let now = self.now;
        self.phone(phone).suspend(now);
        self.drain();
    }

    /// The handset restarts: it keeps only its address.
    pub fn restart_handset(&mut self, phone: Phone) {
        let (seed, now) = (self.random.u64(), self.now);
        let gateway = self.gateway_at(Service::ConnectionMode);
        let state = self.state(phone);
        let peer = Peer::new(gateway, state.address);
        state.handset = Handset::new(state.config.clone(), peer, seed, now);
        self.start_secure_phone(phone);
    }

    #[cfg(feature = "wtls")]
    fn start_secure_phone(&mut self, phone: Phone) {
        if let Some(secure) = &mut self.secure {
            secure.start_phone(phone.0, &mut self.random);
        }
    }

    #[cfg(not(feature = "wtls"))]
    const fn start_secure_phone(&self, _: Phone) {}

    /// Sends a datagram from an address without a handset to one of the gateway's services; in a
    /// secured world through a connection of that address. Answers go to [`World::strangers`].
    pub fn send(&mut self, from: SocketAddr, service: Service, payload: &[u8]) {
        #[cfg(feature = "wtls")]
        if self.secure.is_some() {
            let peer = Peer::new(from, self.gateway_at(service));
            if let Some(secure) = &mut self.secure {
                secure.stranger_says(self.now, peer, payload, &mut self.random);
            }
            return self.drain();
        }
        self.inject(from, service, payload);
    }

    /// A datagram as it is on the path comes from an address, as one does that somebody recorded.
    pub fn inject(&mut self, from: SocketAddr, service: Service, datagram: &[u8]) {
        let peer = Peer::new(from, self.gateway_at(service));
        self.carry_up(peer, datagram);
        self.drain();
    }

    /// In a secured world a handset makes its connection anew, as before a datagram without an
    /// acknowledgement: one in a record of a lost connection would be lost.
    pub fn secure_again(&mut self, phone: Phone) {
        #[cfg(feature = "wtls")]
        if let Some(secure) = &mut self.secure {
            secure.phone_connects(self.now, phone.0);
        }
        self.drain();
        let _ = phone;
    }

    /// The gateway's address for a service, that of the secure port in a secured world.
    fn gateway_at(&self, service: Service) -> SocketAddr {
        #[cfg(feature = "wtls")]
        let is_secured = self.secure.is_some();
        #[cfg(not(feature = "wtls"))]
        let is_secured = false;
        let port = match (service.inside(), is_secured) {
            (Service::Connectionless | Service::SecureConnectionless, false) => UNIT_PORT,
            (Service::Connectionless | Service::SecureConnectionless, true) => SECURE_UNIT_PORT,
            (_, false) => PORT,
            (_, true) => SECURE_PORT,
        };
        SocketAddr::new(GATEWAY_IP, port)
    }

    /// A command of the shell to the gateway.
    pub fn command(&mut self, command: Command) {
        let now = self.now;
        for shard in 0..self.group.shards {
            self.shard(shard).handle_command(now, command.clone());
        }
        self.drain();
    }

    /// Number of shards.
    #[must_use]
    pub fn shard_count(&self) -> usize {
        1 + self.group.others.len()
    }

    /// Has one shard push. Its answer comes in [`World::pushed`].
    pub fn push(&mut self, shard: usize, push: Push) {
        let (now, shard) = (self.now, u32::try_from(shard).unwrap_or(0));
        let command = Command::Push(Box::new(push));
        self.shard(shard).handle_command(now, command);
        self.drain();
    }

    /// The address that a handset has now.
    pub fn address(&mut self, phone: Phone) -> SocketAddr {
        self.state(phone).address
    }

    /// The gateway restarts without its state; datagrams under way still arrive.
    pub fn restart_gateway(&mut self) {
        self.queue.retain(|Reverse(arrival)| {
            !matches!(
                arrival.delivery,
                Delivery::Answer(..) | Delivery::Between(_)
            )
        });
        self.origin.forget_all();
        self.start_gateway();
    }

    fn start_gateway(&mut self) {
        self.group.start();
        #[cfg(feature = "wtls")]
        if let Some(secure) = &mut self.secure {
            secure.start(self.group.shards, &mut self.random);
        }
        for shard in 0..self.group.shards {
            let seed = self.random.u64();
            let gateway = Gateway::new(Arc::clone(&self.config), seed, self.now);
            let gateway = gateway
                .at(self.group.topology(shard))
                .with_epoch(EPOCH)
                .with_secure_ports(vec![SECURE_PORT, SECURE_UNIT_PORT]);
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

    /// The events of a handset's sessions.
    pub fn session_events(&mut self, phone: Phone) -> &[handset::Event] {
        &self.state(phone).connected
    }

    /// The outcomes of a handset's requests, in the order of their events.
    pub fn outcomes(&mut self, phone: Phone) -> &[(Ticket, Outcome)] {
        &self.state(phone).outcomes
    }

    /// Runs until no datagram, exchange or transaction is under way. Sessions may be idle.
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

    /// Runs until a moment, or until a condition holds before.
    pub fn run_to(&mut self, moment: Instant, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        loop {
            if done(self) {
                return true;
            }
            if self.next_moment().is_none_or(|next| next > moment) {
                self.now = self.now.max(moment);
                return false;
            }
            self.step();
        }
    }

    /// Runs until a condition holds or no event is left.
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
        #[cfg(feature = "wtls")]
        if self.secure.as_ref().is_some_and(|secure| !secure.is_idle()) {
            return false;
        }
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
        [queued, gateways, phones, self.secure_moment()]
            .into_iter()
            .flatten()
            .min()
    }

    #[cfg(feature = "wtls")]
    fn secure_moment(&self) -> Option<Instant> {
        self.secure.as_ref()?.poll_timeout()
    }

    #[cfg(not(feature = "wtls"))]
    const fn secure_moment(&self) -> Option<Instant> {
        None
    }

    /// Handles the earliest event.
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
            self.deliver(arrival.delivery);
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
        #[cfg(feature = "wtls")]
        if let Some(secure) = &mut self.secure {
            secure.handle_timeout(next);
        }
        self.drain();
        true
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::ToGateway(peer, payload) => {
                let (now, shard) = (self.now, self.group.shard_of(peer));
                let service = match peer.local.port() {
                    UNIT_PORT => Service::Connectionless,
                    SECURE_PORT => Service::SecureConnectionMode,
                    SECURE_UNIT_PORT => Service::SecureConnectionless,
                    _ => Service::ConnectionMode,
                };
                let datagram = Datagram {
                    peer,
                    service,
                    payload: &payload,
                };
                #[cfg(feature = "wtls")]
                if let (Some(secure), true) = (&mut self.secure, service.is_secured()) {
                    for opened in secure.shard_hears(now, shard, datagram) {
                        let datagram = Datagram {
                            peer: opened.peer,
                            service: opened.service,
                            payload: &opened.payload,
                        };
                        self.shard(shard).handle_datagram(now, datagram);
                    }
                    return;
                }
                self.shard(shard).handle_datagram(now, datagram);
            }
            Delivery::ToPhone(peer, payload) => {
                // A datagram to an address its handset has left arrives nowhere.
                let local = peer.local;
                let at = self.phones.iter().position(|p| local == p.address.into());
                #[cfg(feature = "wtls")]
                if let Some(secure) = &mut self.secure
                    && is_secure_port(peer.remote.port())
                {
                    let heard = match at {
                        Some(phone) => secure.phone_hears(self.now, phone, &payload),
                        None => secure.stranger_hears(self.now, swapped(peer), &payload),
                    };
                    for payload in heard {
                        self.hear(at, peer, payload);
                    }
                    return;
                }
                self.hear(at, peer, payload);
            }
            Delivery::Answer(id, reply) => {
                if self.origin.finish(id) {
                    let ((shard, id), now) = (id, self.now);
                    self.shard(shard).handle_reply(now, id, reply);
                }
            }
            Delivery::Between(message) => self.handle_message(message),
        }
    }

    /// A handset, or else an address without one, hears a datagram.
    fn hear(&mut self, phone: Option<usize>, peer: Peer, payload: Vec<u8>) {
        match phone.and_then(|at| self.phones.get_mut(at)) {
            Some(phone) => phone.handset.handle_datagram(self.now, peer, &payload),
            None => self.strangers.push((peer, payload)),
        }
    }

    /// A message between shards, directory and store arrives.
    fn handle_message(&mut self, message: Message) {
        let now = self.now;
        match message {
            Message::Up(shard, told) => self.group.deliver(shard, told),
            Message::Looked(ticket, found) => self.group.directory.handle_lookup(ticket, found),
            Message::Down(shard, ShardCommand::Command(command)) => {
                self.shard(shard).handle_command(now, command);
            }
            Message::Down(shard, ShardCommand::Claimed(claim, found)) => {
                let found = found.map(|found| *found);
                self.shard(shard).handle_claim(now, claim, found);
            }
        }
    }

    /// Sends the datagrams of all parties.
    fn drain(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for shard in 0..self.group.shards {
            self.drain_shard(shard, &mut buffer);
        }
        for (at, message) in self.group.drain(self.now, &mut self.random) {
            self.schedule(at, Delivery::Between(message));
        }
        for index in 0..self.phones.len() {
            loop {
                buffer.clear();
                let Some(transmit) = self.state(Phone(index)).handset.poll_transmit(&mut buffer)
                else {
                    break;
                };
                #[cfg(feature = "wtls")]
                if let Some(secure) = &mut self.secure {
                    if !(self.uplink_loses)(&buffer) {
                        secure.phone_says(self.now, index, buffer.clone());
                    }
                    continue;
                }
                self.carry_up(swapped(transmit.peer), &buffer);
            }
            #[cfg(feature = "wtls")]
            while let Some(datagram) = self
                .secure
                .as_mut()
                .and_then(|secure| secure.poll_phone(index))
            {
                let address = self.state(Phone(index)).address;
                let gateway = self.gateway_at(Service::ConnectionMode);
                self.carry_up(Peer::new(address, gateway), &datagram);
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
        #[cfg(feature = "wtls")]
        while let Some((peer, datagram)) = self.secure.as_mut().and_then(SecurePath::poll_stranger)
        {
            self.carry_up(peer, &datagram);
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
            #[cfg(feature = "wtls")]
            if let Some(secure) = &mut self.secure
                && is_secure_port(transmit.peer.local.port())
                && !secure.shard_says(self.now, shard, transmit.peer, buffer)
            {
                continue;
            }
            self.carry_down(transmit.peer, buffer);
        }
        #[cfg(feature = "wtls")]
        loop {
            buffer.clear();
            let secure = self.secure.as_mut();
            let Some(peer) = secure.and_then(|secure| secure.poll_shard(shard, buffer)) else {
                break;
            };
            self.carry_down(peer, buffer);
        }
        while let Some(event) = self.shard(shard).poll_event() {
            match event {
                Event::Fetch(id, request) => {
                    let id = (shard, id);
                    let (at, reply) = self.origin.take(self.now, id, &request, &mut self.random);
                    self.schedule(at, Delivery::Answer(id, reply));
                }
                Event::Cancel(id) => self.origin.cancel((shard, id)),
                Event::PushDone(id, outcome) => self.pushed.push((id, outcome)),
                Event::Finished(record) => self.records.push(*record),
                // The simulator has no handsets that speak HTTP.
                Event::HttpReply(..) | Event::Answered(_) => {}
                Event::Claim(id, key) => self.group.send(shard, ShardMessage::Claim(id, key)),
                Event::Released(ticket, found) => {
                    self.group
                        .send(shard, ShardMessage::Released(ticket, found));
                }
                Event::Save(session) => self.group.send(shard, ShardMessage::Save(session)),
                Event::Forget(id) => self.group.send(shard, ShardMessage::Forget(id)),
            }
        }
    }

    /// Sends a datagram to a handset.
    fn carry_down(&mut self, peer: Peer, payload: &[u8]) {
        let arrivals = self
            .downlink
            .carry(self.now, payload.len(), &mut self.random);
        let peer = swapped(peer);
        self.datagrams += 1;
        for at in arrivals.into_iter().flatten() {
            self.schedule(at, Delivery::ToPhone(peer, payload.to_vec()));
        }
    }

    /// Sends a datagram to the gateway.
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
            self.schedule(at, Delivery::ToGateway(peer, payload.to_vec()));
        }
    }

    fn schedule(&mut self, at: Instant, delivery: Delivery) {
        self.serial += 1;
        let serial = self.serial;
        self.queue.push(Reverse(Arrival {
            at,
            serial,
            delivery,
        }));
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

/// The gateway's address, and its ports (WAP-259 B).
const GATEWAY_IP: std::net::IpAddr = std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const UNIT_PORT: u16 = 9_200;
const PORT: u16 = 9_201;
const SECURE_UNIT_PORT: u16 = 9_202;
const SECURE_PORT: u16 = 9_203;

#[cfg(feature = "wtls")]
const fn is_secure_port(port: u16) -> bool {
    matches!(port, SECURE_UNIT_PORT | SECURE_PORT)
}
