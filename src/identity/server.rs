//! A RADIUS accounting server, and proxy to others, without sockets (RFC 2866; RFC 2865, 2.3).
//!
//! Reports are obeyed, then acknowledged here or passed on to the operator's own accounting servers, whose
//! answer is given back. What a client repeats is recognised and not obeyed again. Whoever may not report is not
//! answered.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use derive_more::AddAssign;
use hashbrown::HashMap;

use super::Prefix;
use super::accounting::{Report, Status};
use super::directory::{At, Directory, Reporter, Verdict};
use crate::radius::{Code, Kept, Packet, Secret};
use crate::random::{Keyed, Random};
use crate::time::Instant;

/// Whom to listen to, and whom to tell.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Who may report; the longest prefix counts.
    pub clients: Vec<Client>,
    /// Servers that everything is passed on to, of which the first that answers is used. Default: none, and
    /// reports are acknowledged here.
    pub homes: Vec<Home>,
    /// How long one of them may take. What a client repeats within this is sent again; after it, it goes to
    /// another. Default: 5 s.
    pub timeout: Duration,
}

/// Clients of one network that share a secret.
#[derive(Clone, Debug)]
pub struct Client {
    /// Their addresses.
    pub prefix: Prefix,
    /// What they sign with.
    pub secret: Secret,
    /// What their sessions are held as.
    pub reporter: Reporter,
}

/// A server that reports are passed on to.
#[derive(Clone, Debug)]
pub struct Home {
    /// Where it is.
    pub address: SocketAddr,
    /// What is signed with towards it.
    pub secret: Secret,
}

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// From which of our ports.
    pub way: Way,
    /// To whom.
    pub to: SocketAddr,
    /// What.
    pub octets: Vec<u8>,
}

/// A port of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// One that clients send to.
    Client(usize),
    /// One of [`PORTS`] towards other servers.
    Home(usize),
}

/// Counters; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, AddAssign)]
pub struct Stats {
    /// Starts obeyed.
    pub starts: u64,
    /// Interim updates obeyed.
    pub interims: u64,
    /// Stops obeyed.
    pub stops: u64,
    /// Reports of an access server about itself, and others that say nothing of sessions.
    pub others: u64,
    /// Requests recognised as repeated.
    pub duplicates: u64,
    /// Datagrams of who is no client.
    pub unknown_clients: u64,
    /// Packets whose authenticator is wrong.
    pub unsigned: u64,
    /// Datagrams that are no packet, or none that is asked of an accounting server.
    pub malformed: u64,
    /// Reports that lack what makes them useful.
    pub incomplete: u64,
    /// Reports there was no room for, which are not answered.
    pub full: u64,
    /// Answers sent.
    pub responses: u64,
    /// Requests passed on.
    pub forwarded: u64,
    /// Requests passed on that nobody answered in time.
    pub unanswered: u64,
    /// Requests not passed on because too many were under way.
    pub congested: u64,
    /// Answers of other servers that answer nothing, or are wrongly signed.
    pub strays: u64,
}

/// An accounting server.
#[derive(Debug)]
pub struct Server {
    config: Config,
    recent: HashMap<Asked, Recent, Keyed>,
    /// The same, oldest first, and when each may be forgotten.
    recent_until: VecDeque<(Instant, Asked, u64)>,
    /// What was passed on, by port and identifier.
    under_way: HashMap<u16, UnderWay, Keyed>,
    under_way_until: VecDeque<(Instant, u16, u64)>,
    next_name: u16,
    next_serial: u64,
    /// How each of the homes is, in their order.
    health: Vec<Health>,
    sends: VecDeque<Send>,
    stats: Stats,
}

/// How a server is that reports are passed on to.
#[derive(Clone, Copy, Debug, Default)]
struct Health {
    /// When it last answered anything.
    answered: Instant,
    /// Requests it has not answered since.
    missed: u32,
    /// Until when it is taken to be down.
    down_until: Instant,
}

/// What names a request of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Asked {
    port: usize,
    from: SocketAddr,
    id: u8,
}

#[derive(Debug)]
struct Recent {
    serial: u64,
    authenticator: [u8; 16],
    state: State,
}

#[derive(Debug)]
enum State {
    /// Answered by us, which can be done again.
    Answered,
    /// Passed on under this name.
    UnderWay(u16),
    /// Another server's answer was given back.
    Relayed(Vec<u8>),
    /// The server at this address did not answer in time.
    Unanswered(SocketAddr),
}

#[derive(Debug)]
struct UnderWay {
    serial: u64,
    /// As it was configured then.
    home: Home,
    since: Instant,
    asked: Asked,
    request: Kept,
    secret: Secret,
    sent: Vec<u8>,
}

impl Server {
    /// A server that has heard nothing yet. `seed` decides the hashing.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut server = Self {
            config: Config::default(),
            recent: HashMap::with_hasher(random.hasher()),
            recent_until: VecDeque::new(),
            under_way: HashMap::with_hasher(random.hasher()),
            under_way_until: VecDeque::new(),
            next_name: 0,
            next_serial: 0,
            health: Vec::new(),
            sends: VecDeque::new(),
            stats: Stats::default(),
        };
        server.set_config(config);
        server
    }

    /// Replaces whom to listen to and whom to tell. What is under way goes on, and who is down stays so.
    pub fn set_config(&mut self, config: Config) {
        let homes = config.homes.iter();
        self.health = homes
            .map(|home| self.health(home.address).copied().unwrap_or_default())
            .collect();
        self.config = config;
    }

    /// A datagram came to this one of the ports that clients send to.
    pub fn handle_request(
        &mut self,
        at: At,
        port: usize,
        from: SocketAddr,
        datagram: &[u8],
        directory: &mut Directory,
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
        let asked = Asked {
            port,
            from,
            id: packet.id,
        };
        match packet.code {
            Code::ACCOUNTING_REQUEST => {}
            Code::STATUS_SERVER => return self.respond(asked, &packet, &secret),
            _ => {
                self.stats.malformed += 1;
                return;
            }
        }
        if self.is_repeated(at.now, asked, &packet, &secret) {
            return;
        }
        let Ok(report) = Report::read(&packet) else {
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
        if directory.account(at, &reporter, report) == Verdict::Full {
            self.stats.full += 1;
            return;
        }
        self.acknowledge(at.now, asked, &packet, secret, None);
    }

    /// A datagram came to one of the ports towards other servers.
    pub fn handle_answer(&mut self, now: Instant, from: SocketAddr, port: usize, datagram: &[u8]) {
        self.handle_timeout(now);
        let answered = Packet::decode(datagram).ok().and_then(|answer| {
            let name = name(port, answer.id)?;
            let under_way = self.under_way.get(&name)?;
            let home = &under_way.home;
            let sent = Packet::decode(&under_way.sent).ok()?;
            if home.address != from || !answer.answers(&sent, &home.secret) {
                return None;
            }
            let request = under_way.request.packet();
            let own = under_way.serial.to_be_bytes();
            let relayed = request.relayed(&answer, &own, &under_way.secret)?;
            Some((name, relayed))
        });
        let Some((name, relayed)) = answered else {
            self.stats.strays += 1;
            return;
        };
        let Some(under_way) = self.under_way.remove(&name) else {
            return;
        };
        if let Some(health) = self.health(under_way.home.address) {
            *health = Health {
                answered: now,
                ..Health::default()
            };
        }
        let asked = under_way.asked;
        if let Some(recent) = self.recent.get_mut(&asked)
            && matches!(recent.state, State::UnderWay(other) if other == name)
        {
            recent.state = State::Relayed(relayed.clone());
        }
        self.answer(asked, relayed);
    }

    /// Forgets what is old enough. Called with every datagram; there is no need to be woken for it.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, asked, serial)) = self.recent_until.front().copied()
            && (at <= now || self.recent_until.len() > MOST_RECENT)
        {
            self.recent_until.pop_front();
            if self.recent.get(&asked).is_some_and(|r| r.serial == serial) {
                self.recent.remove(&asked);
            }
        }
        while let Some((at, name, serial)) = self.under_way_until.front().copied()
            && at <= now
        {
            self.under_way_until.pop_front();
            if self.under_way.get(&name).is_none_or(|u| u.serial != serial) {
                continue;
            }
            let Some(under_way) = self.under_way.remove(&name) else {
                continue;
            };
            self.stats.unanswered += 1;
            let address = under_way.home.address;
            if let Some(recent) = self.recent.get_mut(&under_way.asked)
                && matches!(recent.state, State::UnderWay(other) if other == name)
            {
                recent.state = State::Unanswered(address);
            }
            // That one packet was lost says nothing of who has answered others since.
            if let Some(health) = self.health(address)
                && health.answered <= under_way.since
            {
                health.missed += 1;
                if health.missed >= MOST_MISSED {
                    health.down_until = now + DOWN_FOR;
                }
            }
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

    fn health(&mut self, home: SocketAddr) -> Option<&mut Health> {
        let mut homes = self.config.homes.iter();
        let place = homes.position(|other| other.address == home)?;
        self.health.get_mut(place)
    }

    fn client(&self, from: SocketAddr) -> Option<&Client> {
        let clients = self.config.clients.iter();
        clients
            .filter(|client| client.prefix.contains(from.ip()))
            .max_by_key(|client| client.prefix.length())
    }

    /// Whether the request was here already, and was answered again if it had been answered.
    fn is_repeated(
        &mut self,
        now: Instant,
        asked: Asked,
        packet: &Packet<'_>,
        secret: &Secret,
    ) -> bool {
        let Some(recent) = self.recent.get(&asked) else {
            return false;
        };
        if recent.authenticator != packet.authenticator {
            return false;
        }
        self.stats.duplicates += 1;
        match &recent.state {
            State::Answered => self.respond(asked, packet, secret),
            State::Relayed(answer) => {
                let again = answer.clone();
                self.answer(asked, again);
            }
            State::UnderWay(name) => {
                if let Some(under_way) = self.under_way.get(name) {
                    let port = usize::from(name >> 8);
                    self.sends.push_back(Send {
                        way: Way::Home(port),
                        to: under_way.home.address,
                        octets: under_way.sent.clone(),
                    });
                }
            }
            State::Unanswered(home) => {
                let home = *home;
                self.acknowledge(now, asked, packet, secret.clone(), Some(home));
            }
        }
        true
    }

    /// A report was obeyed; `unanswered` is who was told and did not answer.
    fn acknowledge(
        &mut self,
        now: Instant,
        asked: Asked,
        packet: &Packet<'_>,
        secret: Secret,
        unanswered: Option<SocketAddr>,
    ) {
        match self.next_home(now, unanswered) {
            Some(home) => self.forward(now, asked, packet, secret, home),
            None => {
                self.respond(asked, packet, &secret);
                self.remember(now, asked, packet.authenticator, State::Answered);
            }
        }
    }

    /// The first server that is not known to be down and is not this one; the first, if there is none. Nothing
    /// without servers.
    fn next_home(&self, now: Instant, unanswered: Option<SocketAddr>) -> Option<Home> {
        let mut homes = self.config.homes.iter().zip(&self.health);
        let up = homes
            .find(|(home, health)| health.down_until <= now && unanswered != Some(home.address));
        up.map(|(home, _)| home)
            .or_else(|| self.config.homes.first())
            .cloned()
    }

    fn respond(&mut self, asked: Asked, packet: &Packet<'_>, secret: &Secret) {
        if let Some(response) = packet.response(secret) {
            self.answer(asked, response);
        }
    }

    fn answer(&mut self, asked: Asked, octets: Vec<u8>) {
        self.stats.responses += 1;
        self.sends.push_back(Send {
            way: Way::Client(asked.port),
            to: asked.from,
            octets,
        });
    }

    fn forward(
        &mut self,
        now: Instant,
        asked: Asked,
        packet: &Packet<'_>,
        secret: Secret,
        home: Home,
    ) {
        let free = (0..=LAST_NAME)
            .map(|step| (self.next_name + step) & LAST_NAME)
            .find(|name| !self.under_way.contains_key(name));
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
            way: Way::Home(usize::from(port)),
            to: home.address,
            octets: sent.clone(),
        });
        self.stats.forwarded += 1;
        let under_way = UnderWay {
            serial,
            home,
            since: now,
            asked,
            request: packet.kept(),
            secret,
            sent,
        };
        self.under_way_until
            .push_back((now + self.config.timeout, name, serial));
        self.under_way.insert(name, under_way);
        self.remember(now, asked, packet.authenticator, State::UnderWay(name));
    }

    fn remember(&mut self, now: Instant, asked: Asked, authenticator: [u8; 16], state: State) {
        self.next_serial += 1;
        let serial = self.next_serial;
        let recent = Recent {
            serial,
            authenticator,
            state,
        };
        self.recent.insert(asked, recent);
        self.recent_until.push_back((now + REMEMBER, asked, serial));
    }
}

/// Under which a request is passed on: the port in the high octet, the identifier in the low one.
fn name(port: usize, id: u8) -> Option<u16> {
    let port = u8::try_from(port).ok()?;
    let name = u16::from_be_bytes([port, id]);
    (name <= LAST_NAME).then_some(name)
}

/// Ports towards other servers, each good for 256 requests under way.
pub const PORTS: usize = 16;
const LAST_NAME: u16 = 16 * 256 - 1;
/// How long a repeated request is recognised: longer than clients repeat.
const REMEMBER: Duration = Duration::from_secs(30);
/// Requests recognised at once; beyond, the oldest is forgotten.
const MOST_RECENT: usize = 262_144;
/// Requests in a row that a server may leave unanswered until it is taken to be down.
const MOST_MISSED: u32 = 3;
/// A server that is down is left alone for so long, if there is another.
const DOWN_FOR: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::directory::Limits;
    use crate::identity::{Private, Table};
    use crate::radius::{Attribute, Kind};

    fn at(millis: u64) -> At {
        At {
            now: Instant::ZERO + Duration::from_millis(millis),
            unix: 1_700_000_000 + millis / 1_000,
        }
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn secret() -> Secret {
        Secret::new(*b"testing123")
    }

    fn config(homes: &[&str]) -> Config {
        Config {
            clients: vec![Client {
                prefix: Prefix::new("192.0.2.0".parse().unwrap(), 24).unwrap(),
                secret: secret(),
                reporter: Reporter {
                    name: "ggsn".into(),
                    max_sessions: 10,
                },
            }],
            homes: homes
                .iter()
                .map(|home| Home {
                    address: address(home),
                    secret: Secret::new(*b"home"),
                })
                .collect(),
            timeout: Duration::from_secs(5),
        }
    }

    struct Rig {
        server: Server,
        directory: Directory,
        table: Table,
    }

    impl Rig {
        fn new(homes: &[&str]) -> Self {
            Self {
                server: Server::new(config(homes), 1),
                directory: Directory::new(Limits::default(), 2),
                table: Table::new(Random::new(3).hasher()),
            }
        }

        fn hears(&mut self, millis: u64, from: &str, datagram: &[u8]) -> Vec<Send> {
            let from = address(from);
            self.server
                .handle_request(at(millis), 0, from, datagram, &mut self.directory);
            self.said()
        }

        fn said(&mut self) -> Vec<Send> {
            self.table.apply(&self.directory.take_changes());
            std::iter::from_fn(|| self.server.poll_send()).collect()
        }

        fn who(&self, address: &str) -> Option<&str> {
            let identity = self.table.find(address.parse().unwrap())?;
            identity.msisdn.as_ref().map(Private::reveal)
        }
    }

    fn request(id: u8, status: u8, msisdn: &[u8], secret: &Secret) -> Vec<u8> {
        let attributes = [
            (40, &[0, 0, 0, status][..]),
            (44, b"S1"),
            (8, &[10, 0, 0, 1]),
            (31, msisdn),
            (33, b"state"),
        ];
        let attributes = attributes.map(|(kind, value)| Attribute {
            kind: Kind(kind),
            value,
        });
        Packet::request(id, &attributes, secret).unwrap()
    }

    const NAS: &str = "192.0.2.7:40000";

    #[test]
    fn a_start_is_obeyed_answered_and_recognised_when_it_is_repeated() {
        let mut rig = Rig::new(&[]);
        let start = request(1, 1, b"491", &secret());
        let said = rig.hears(0, NAS, &start);
        let [
            Send {
                way,
                to,
                octets: answer,
            },
        ] = &said[..]
        else {
            panic!("{said:?}");
        };
        assert_eq!((*way, *to), (Way::Client(0), address(NAS)));
        let asked = Packet::decode(&start).unwrap();
        assert!(Packet::decode(answer).unwrap().answers(&asked, &secret()));
        assert_eq!(rig.who("10.0.0.1"), Some("491"));
        assert_eq!(rig.hears(10, NAS, &start), said);
        // The same identifier with other contents is another request.
        let stop = request(1, 2, b"491", &secret());
        assert_eq!(rig.hears(20, NAS, &stop).len(), 1);
        assert_eq!(rig.who("10.0.0.1"), None);
        let stats = rig.server.stats();
        assert_eq!((stats.starts, stats.stops, stats.duplicates), (1, 1, 1));
        // Forgotten after a while.
        rig.hears(31_000, NAS, &request(2, 3, b"491", &secret()));
        assert_eq!(rig.server.recent.len(), 1);
    }

    #[test]
    fn strangers_and_forgers_are_not_answered() {
        let mut rig = Rig::new(&[]);
        let start = request(1, 1, b"491", &secret());
        assert!(rig.hears(0, "198.51.100.1:1", &start).is_empty());
        let forged = request(1, 1, b"491", &Secret::new(*b"guess"));
        assert!(rig.hears(0, NAS, &forged).is_empty());
        assert!(rig.hears(0, NAS, b"nonsense").is_empty());
        let no_status = Packet::request(1, &[], &secret()).unwrap();
        assert!(rig.hears(0, NAS, &no_status).is_empty());
        let stats = rig.server.stats();
        assert_eq!(
            (
                stats.unknown_clients,
                stats.unsigned,
                stats.malformed,
                stats.incomplete
            ),
            (1, 1, 1, 1)
        );
        assert_eq!(rig.who("10.0.0.1"), None);
    }

    #[test]
    fn a_proxy_passes_on_and_gives_the_answer_back() {
        let mut rig = Rig::new(&["203.0.113.1:1813", "203.0.113.2:1813"]);
        let home = Secret::new(*b"home");
        let start = request(1, 1, b"491", &secret());
        let said = rig.hears(0, NAS, &start);
        let [
            Send {
                way: Way::Home(port),
                to,
                octets: forwarded,
            },
        ] = &said[..]
        else {
            panic!("{said:?}");
        };
        assert_eq!(*to, address("203.0.113.1:1813"));
        assert_eq!(rig.who("10.0.0.1"), Some("491"));
        // Repeated meanwhile: sent again, the same.
        assert_eq!(rig.hears(100, NAS, &start), said);
        let answer = Packet::decode(forwarded).unwrap().response(&home).unwrap();
        // Not from somebody else, not to another port, not wrongly signed.
        rig.server
            .handle_answer(at(150).now, address("203.0.113.2:1813"), *port, &answer);
        rig.server
            .handle_answer(at(150).now, *to, port + 1, &answer);
        let forged = Packet::decode(forwarded)
            .unwrap()
            .response(&secret())
            .unwrap();
        rig.server.handle_answer(at(150).now, *to, *port, &forged);
        assert!(rig.said().is_empty());
        assert_eq!(rig.server.stats().strays, 3);
        rig.server.handle_answer(at(200).now, *to, *port, &answer);
        let said = rig.said();
        let [
            Send {
                way: Way::Client(0),
                to,
                octets: relayed,
            },
        ] = &said[..]
        else {
            panic!("{said:?}");
        };
        assert_eq!(*to, address(NAS));
        let asked = Packet::decode(&start).unwrap();
        let relayed = Packet::decode(relayed).unwrap();
        assert!(relayed.answers(&asked, &secret()));
        assert_eq!(relayed.attributes().count(), 1);
        assert_eq!(rig.hears(300, NAS, &start), said);
    }

    #[test]
    fn who_does_not_answer_is_replaced_by_the_next() {
        let mut rig = Rig::new(&["203.0.113.1:1813", "203.0.113.2:1813"]);
        let start = request(1, 1, b"491", &secret());
        rig.hears(0, NAS, &start);
        let said = rig.hears(6_000, NAS, &start);
        assert!(matches!(&said[..], [Send { to, .. }] if *to == address("203.0.113.2:1813")));
        assert_eq!(rig.server.stats().unanswered, 1);
        // That was not yet enough to leave it alone; this is.
        for id in 2..4 {
            let said = rig.hears(6_000, NAS, &request(id, 3, b"491", &secret()));
            assert_eq!(receiver(&said), "203.0.113.1:1813");
        }
        let said = rig.hears(12_000, NAS, &request(4, 3, b"491", &secret()));
        assert_eq!(receiver(&said), "203.0.113.2:1813");
        let said = rig.hears(45_000, NAS, &request(5, 3, b"491", &secret()));
        assert_eq!(receiver(&said), "203.0.113.1:1813");
    }

    fn receiver(said: &[Send]) -> String {
        match said {
            [Send { to, .. }] => to.to_string(),
            _ => panic!("{said:?}"),
        }
    }

    fn answers(rig: &mut Rig, millis: u64, said: &[Send]) {
        let [
            Send {
                way: Way::Home(port),
                to,
                octets,
            },
        ] = said
        else {
            panic!("{said:?}");
        };
        let forwarded = Packet::decode(octets).unwrap();
        let answer = forwarded.response(&Secret::new(*b"home")).unwrap();
        rig.server
            .handle_answer(at(millis).now, *to, *port, &answer);
        assert_eq!(receiver(&rig.said()), NAS);
    }

    #[test]
    fn lost_packets_do_not_make_a_server_that_answers_others_a_dead_one() {
        let mut rig = Rig::new(&["203.0.113.1:1813", "203.0.113.2:1813"]);
        for id in 0..20 {
            let millis = u64::from(id) * 1_000;
            let said = rig.hears(millis, NAS, &request(id, 3, b"491", &secret()));
            assert_eq!(receiver(&said), "203.0.113.1:1813", "{id}");
            // Every other packet is lost.
            if id % 2 == 0 {
                answers(&mut rig, millis + 10, &said);
            }
        }
        assert!(rig.server.stats().unanswered > 5);
    }

    #[test]
    fn what_is_under_way_survives_a_reload() {
        let mut rig = Rig::new(&["203.0.113.1:1813", "203.0.113.2:1813"]);
        let said = rig.hears(0, NAS, &request(1, 3, b"491", &secret()));
        rig.server.set_config(config(&["203.0.113.2:1813"]));
        answers(&mut rig, 100, &said);
        // And who is down stays so.
        rig.server
            .set_config(config(&["203.0.113.1:1813", "203.0.113.2:1813"]));
        for id in 2..5 {
            rig.hears(1_000, NAS, &request(id, 3, b"491", &secret()));
        }
        rig.server.handle_timeout(at(7_000).now);
        rig.server
            .set_config(config(&["203.0.113.1:1813", "203.0.113.2:1813"]));
        let said = rig.hears(8_000, NAS, &request(9, 3, b"491", &secret()));
        assert_eq!(receiver(&said), "203.0.113.2:1813");
    }

    #[test]
    fn an_identifier_used_again_is_not_forgotten_with_what_it_named_before() {
        let mut rig = Rig::new(&["203.0.113.1:1813"]);
        rig.hears(0, NAS, &request(1, 1, b"491", &secret()));
        let other = request(1, 3, b"491", &secret());
        let said = rig.hears(4_000, NAS, &other);
        // The first is given up now; the second is under way, and recognised.
        assert_eq!(rig.hears(6_000, NAS, &other), said);
        assert_eq!(rig.server.stats().unanswered, 1);
        assert_eq!(rig.server.stats().duplicates, 1);
    }

    /// A report that nobody answered was obeyed all the same, and only once.
    #[test]
    fn what_is_passed_on_anew_is_not_obeyed_anew() {
        let mut rig = Rig::new(&["203.0.113.1:1813"]);
        let start = request(1, 1, b"491", &secret());
        rig.hears(0, NAS, &start);
        rig.hears(3_000, NAS, &request(2, 2, b"491", &secret()));
        assert_eq!(rig.hears(7_000, NAS, &start).len(), 1);
        assert_eq!(rig.who("10.0.0.1"), None);
        assert_eq!(rig.server.stats().starts, 1);
    }
}
