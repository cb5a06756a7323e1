//! RADIUS accounting server, and proxy to other servers, without sockets (RFC 2866; RFC 2865, 2.3).
//!
//! A report is applied first. Then it is acknowledged here, or forwarded to the operator's own
//! accounting servers, whose response goes back to the client. A repeated request is recognised and
//! not applied again. Unknown clients get no response.

mod homes;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use derive_more::AddAssign;
use hashbrown::HashMap;

use super::Prefix;
use super::directory::{AddressDirectory, Outcome, Reporter};
use super::report::{Report, Status};
use super::session::Moment;
use crate::radius::{Code, OwnedPacket, Packet, Secret};
use crate::random::{Keyed, Random};
use crate::table::ExpiringMap;
use crate::time::Instant;

pub use homes::HomeServer;
use homes::Homes;

/// Clients and servers.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Clients that may report; the longest matching prefix counts.
    pub clients: Vec<Client>,
    /// The accounting servers for forwarded reports, in order of preference: each report goes to
    /// the first one that is up. Default: none, and reports are acknowledged here.
    pub homes: Vec<HomeServer>,
    /// Time limit for the response of such a server. A request that its client repeats within this
    /// time is sent again to the same server; after this time the next server gets it. Default: 5
    /// s.
    pub timeout: Duration,
}

/// Clients of one network that share a secret.
#[derive(Clone, Debug)]
pub struct Client {
    /// Their addresses.
    pub prefix: Prefix,
    /// The shared secret.
    pub secret: Secret,
    /// The owner of the sessions that this client reports.
    pub reporter: Reporter,
}

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// The local port to send from.
    pub way: Port,
    /// Destination.
    pub to: SocketAddr,
    /// Octets of the packet.
    pub octets: Vec<u8>,
}

/// A local port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Port {
    /// A port that clients send to.
    Client(usize),
    /// One of the [`PORTS`] towards other servers.
    Home(usize),
}

/// Counters; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, AddAssign)]
pub struct Stats {
    /// Starts applied.
    pub starts: u64,
    /// Interim updates applied.
    pub interims: u64,
    /// Stops applied.
    pub stops: u64,
    /// Reports about an access server, and others that concern no session.
    pub others: u64,
    /// Requests recognised as repeated.
    pub duplicates: u64,
    /// Datagrams from addresses outside of all clients' networks.
    pub unknown_clients: u64,
    /// Packets with a wrong authenticator.
    pub unsigned: u64,
    /// Datagrams that are no RADIUS packet, or a packet of another kind.
    pub malformed: u64,
    /// Reports that lack a necessary attribute.
    pub incomplete: u64,
    /// Reports without a response, because the directory is full.
    pub full: u64,
    /// Responses sent.
    pub responses: u64,
    /// Requests forwarded.
    pub forwarded: u64,
    /// Forwarded requests without a response in time.
    pub unanswered: u64,
    /// Requests not forwarded, because too many were under way.
    pub congested: u64,
    /// Responses that belong to no request, or have a wrong signature.
    pub strays: u64,
}

/// An accounting server.
#[derive(Debug)]
pub struct Server {
    config: Config,
    recent: HashMap<RequestKey, CachedRequest, Keyed>,
    /// The keys of the same, oldest first, each with its expiry.
    recent_until: VecDeque<(Instant, RequestKey, u64)>,
    /// The signatures of reports of sessions that were applied. A copy from another port or address is not
    /// applied again: it would bring an ended session back.
    applied: ExpiringMap<[u8; 16], (), Instant, Keyed>,
    /// Forwarded requests, by port and identifier.
    forwarded: HashMap<u16, Forwarded, Keyed>,
    forwarded_until: VecDeque<(Instant, u16, u64)>,
    next_name: u16,
    next_serial: u64,
    homes: Homes,
    sends: VecDeque<Send>,
    stats: Stats,
}

/// The key of a client's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct RequestKey {
    port: usize,
    from: SocketAddr,
    id: u8,
}

#[derive(Debug)]
struct CachedRequest {
    serial: u64,
    authenticator: [u8; 16],
    state: State,
}

#[derive(Debug)]
enum State {
    /// Answered here. A repetition is answered again.
    Answered,
    /// Forwarded under this name.
    Forwarded(u16),
    /// The response of another server was returned to the client.
    Relayed(Vec<u8>),
    /// The server at this address did not respond in time.
    Unanswered(SocketAddr),
}

#[derive(Debug)]
struct Forwarded {
    serial: u64,
    /// The server with its settings at that time.
    home: HomeServer,
    since: Instant,
    key: RequestKey,
    request: OwnedPacket,
    secret: Secret,
    sent: Vec<u8>,
}

impl Server {
    /// A server without clients or requests so far. `seed` decides the hashing.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut server = Self {
            config: Config::default(),
            recent: HashMap::with_hasher(random.hasher()),
            recent_until: VecDeque::new(),
            applied: ExpiringMap::new(random.hasher()),
            forwarded: HashMap::with_hasher(random.hasher()),
            forwarded_until: VecDeque::new(),
            next_name: 0,
            next_serial: 0,
            homes: Homes::default(),
            sends: VecDeque::new(),
            stats: Stats::default(),
        };
        server.set_config(config);
        server
    }

    /// Replaces the clients and servers. Requests under way go on, and a server that is down stays
    /// down.
    pub fn set_config(&mut self, config: Config) {
        self.homes.replace(&config.homes);
        self.config = config;
    }

    /// A datagram came to the client port `port`.
    pub fn handle_request(
        &mut self,
        at: Moment,
        port: usize,
        from: SocketAddr,
        datagram: &[u8],
        directory: &mut AddressDirectory,
    ) {
        self.handle_timeout(at.now);
        let Some(client) = self.client(from) else {
            self.stats.unknown_clients += 1;
            return;
        };
        let (secret, reporter) = (client.secret.clone(), client.reporter.clone());
        let Ok(packet) = Packet::decode(datagram) else {
            self.stats.malformed += 1;
            return;
        };
        if packet.verify(&secret).is_err() {
            self.stats.unsigned += 1;
            return;
        }
        let key = RequestKey {
            port,
            from,
            id: packet.id,
        };
        match packet.code {
            Code::ACCOUNTING_REQUEST => {}
            Code::STATUS_SERVER => return self.respond(key, &packet, &secret),
            _ => {
                self.stats.malformed += 1;
                return;
            }
        }
        if self.is_repeated(at.now, key, &packet, &secret) {
            return;
        }
        let Ok(report) = Report::read(&packet, from.ip()) else {
            self.stats.incomplete += 1;
            return;
        };
        let count = match report.status {
            Status::Start => &mut self.stats.starts,
            Status::Interim => &mut self.stats.interims,
            Status::Stop => &mut self.stats.stops,
            Status::On | Status::Off | Status::Other(_) => &mut self.stats.others,
        };
        *count += 1;
        // After a start of an access server its reports may have the octets of earlier ones, and
        // its reports about itself have no more than their identifiers to differ by.
        let is_of_session = !matches!(report.status, Status::On | Status::Off);
        if report.status == Status::On {
            self.applied.clear();
        }
        if is_of_session && self.applied.get(&packet.authenticator).is_some() {
            self.stats.duplicates += 1;
            return self.acknowledge(at.now, key, &packet, secret, None);
        }
        if directory.account(at, &reporter, report) == Outcome::Full {
            self.stats.full += 1;
            return;
        }
        if is_of_session {
            let until = at.now + REMEMBER_APPLIED;
            self.applied
                .insert(until, packet.authenticator, (), MOST_APPLIED);
        }
        self.acknowledge(at.now, key, &packet, secret, None);
    }

    /// A datagram came to one of the ports towards other servers.
    pub fn handle_answer(&mut self, now: Instant, from: SocketAddr, port: usize, datagram: &[u8]) {
        self.handle_timeout(now);
        let answered = Packet::decode(datagram).ok().and_then(|answer| {
            let name = name(port, answer.id)?;
            let forwarded = self.forwarded.get(&name)?;
            let home = &forwarded.home;
            let sent = Packet::decode(&forwarded.sent).ok()?;
            if home.address != from || !answer.answers(&sent, &home.secret) {
                return None;
            }
            let request = forwarded.request.packet();
            let own = forwarded.serial.to_be_bytes();
            let relayed = request.relayed(&answer, &own, &forwarded.secret)?;
            Some((name, relayed))
        });
        let Some((name, relayed)) = answered else {
            self.stats.strays += 1;
            return;
        };
        let Some(forwarded) = self.forwarded.remove(&name) else {
            return;
        };
        self.homes.answered(forwarded.home.address, now);
        let key = forwarded.key;
        if let Some(recent) = self.recent.get_mut(&key)
            && matches!(recent.state, State::Forwarded(other) if other == name)
        {
            recent.state = State::Relayed(relayed.clone());
        }
        self.answer(key, relayed);
    }

    /// Drops expired requests. Every datagram calls it, so no timer is needed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.applied.expire(now);
        while let Some((at, key, serial)) = self.recent_until.front().copied()
            && (at <= now || self.recent_until.len() > MOST_RECENT)
        {
            self.recent_until.pop_front();
            if self.recent.get(&key).is_some_and(|r| r.serial == serial) {
                self.recent.remove(&key);
            }
        }
        while let Some((at, name, serial)) = self.forwarded_until.front().copied()
            && at <= now
        {
            self.forwarded_until.pop_front();
            if self.forwarded.get(&name).is_none_or(|u| u.serial != serial) {
                continue;
            }
            let Some(forwarded) = self.forwarded.remove(&name) else {
                continue;
            };
            self.stats.unanswered += 1;
            let address = forwarded.home.address;
            if let Some(recent) = self.recent.get_mut(&forwarded.key)
                && matches!(recent.state, State::Forwarded(other) if other == name)
            {
                recent.state = State::Unanswered(address);
            }
            self.homes.missed(address, forwarded.since, now);
        }
    }

    /// The next datagram to send.
    pub fn poll_send(&mut self) -> Option<Send> {
        self.sends.pop_front()
    }

    /// Counters.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    fn client(&self, from: SocketAddr) -> Option<&Client> {
        let clients = self.config.clients.iter();
        clients
            .filter(|client| client.prefix.contains(from.ip()))
            .max_by_key(|client| client.prefix.length())
    }

    /// Whether the request is a repetition. An answered one is answered again.
    fn is_repeated(
        &mut self,
        now: Instant,
        key: RequestKey,
        packet: &Packet<'_>,
        secret: &Secret,
    ) -> bool {
        let Some(recent) = self.recent.get(&key) else {
            return false;
        };
        if recent.authenticator != packet.authenticator {
            return false;
        }
        self.stats.duplicates += 1;
        match &recent.state {
            State::Answered => self.respond(key, packet, secret),
            State::Relayed(answer) => {
                let again = answer.clone();
                self.answer(key, again);
            }
            State::Forwarded(name) => {
                if let Some(forwarded) = self.forwarded.get(name) {
                    let port = usize::from(name >> 8);
                    self.sends.push_back(Send {
                        way: Port::Home(port),
                        to: forwarded.home.address,
                        octets: forwarded.sent.clone(),
                    });
                }
            }
            State::Unanswered(home) => {
                let home = *home;
                self.acknowledge(now, key, packet, secret.clone(), Some(home));
            }
        }
        true
    }

    /// Acknowledges or forwards an applied report. `unanswered` is a server that did not respond.
    fn acknowledge(
        &mut self,
        now: Instant,
        key: RequestKey,
        packet: &Packet<'_>,
        secret: Secret,
        unanswered: Option<SocketAddr>,
    ) {
        match self.homes.next(now, unanswered).cloned() {
            Some(home) => self.forward(now, key, packet, secret, home),
            None => {
                self.respond(key, packet, &secret);
                self.remember(now, key, packet.authenticator, State::Answered);
            }
        }
    }

    fn respond(&mut self, key: RequestKey, packet: &Packet<'_>, secret: &Secret) {
        if let Some(response) = packet.response(secret) {
            self.answer(key, response);
        }
    }

    fn answer(&mut self, key: RequestKey, octets: Vec<u8>) {
        self.stats.responses += 1;
        self.sends.push_back(Send {
            way: Port::Client(key.port),
            to: key.from,
            octets,
        });
    }

    fn forward(
        &mut self,
        now: Instant,
        key: RequestKey,
        packet: &Packet<'_>,
        secret: Secret,
        home: HomeServer,
    ) {
        let free = (0..=LAST_NAME)
            .map(|step| (self.next_name + step) & LAST_NAME)
            .find(|name| !self.forwarded.contains_key(name));
        let Some(name) = free else {
            self.stats.congested += 1;
            return;
        };
        self.next_name = (name + 1) & LAST_NAME;
        self.next_serial += 1;
        let serial = self.next_serial;
        let [port, id] = name.to_be_bytes();
        let Some(sent) = packet.forwarded(id, &serial.to_be_bytes(), &home.secret) else {
            self.stats.malformed += 1;
            return;
        };
        self.sends.push_back(Send {
            way: Port::Home(usize::from(port)),
            to: home.address,
            octets: sent.clone(),
        });
        self.stats.forwarded += 1;
        let forwarded = Forwarded {
            serial,
            home,
            since: now,
            key,
            request: packet.to_owned_packet(),
            secret,
            sent,
        };
        self.forwarded_until
            .push_back((now + self.config.timeout, name, serial));
        self.forwarded.insert(name, forwarded);
        self.remember(now, key, packet.authenticator, State::Forwarded(name));
    }

    fn remember(&mut self, now: Instant, key: RequestKey, authenticator: [u8; 16], state: State) {
        self.next_serial += 1;
        let serial = self.next_serial;
        let recent = CachedRequest {
            serial,
            authenticator,
            state,
        };
        self.recent.insert(key, recent);
        self.recent_until.push_back((now + REMEMBER, key, serial));
    }
}

/// The name of a forwarded request: the port in the high octet, the identifier in the low one.
fn name(port: usize, id: u8) -> Option<u16> {
    let port = u8::try_from(port).ok()?;
    let name = u16::from_be_bytes([port, id]);
    (name <= LAST_NAME).then_some(name)
}

/// Ports towards other servers, each for 256 requests under way.
pub const PORTS: usize = 16;
const LAST_NAME: u16 = 16 * 256 - 1;
/// The time for which a repeated request is recognised. Clients repeat for less.
const REMEMBER: Duration = Duration::from_secs(30);
/// The time for which a copy of an applied report is recognised, wherever it comes from.
const REMEMBER_APPLIED: Duration = Duration::from_secs(600);
const MOST_APPLIED: usize = 65_536;
/// The most recent requests; beyond this number the oldest is forgotten.
const MOST_RECENT: usize = 262_144;

#[cfg(test)]
mod tests;
