//! A server with one access server as client, and up to two accounting servers behind it.

use super::*;
use crate::identity::directory::Limits;
use crate::identity::{Private, Table};
use crate::radius::{Attribute, Kind};

fn at(millis: u64) -> Moment {
    Moment {
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
            .map(|home| HomeServer {
                address: address(home),
                secret: Secret::new(*b"home"),
            })
            .collect(),
        timeout: Duration::from_secs(5),
    }
}

struct Rig {
    server: Server,
    directory: AddressDirectory,
    table: Table,
}

impl Rig {
    fn new(homes: &[&str]) -> Self {
        Self {
            server: Server::new(config(homes), 1),
            directory: AddressDirectory::new(Limits::default(), 2),
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
    assert_eq!((*way, *to), (Port::Client(0), address(NAS)));
    let key = Packet::decode(&start).unwrap();
    assert!(Packet::decode(answer).unwrap().answers(&key, &secret()));
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

/// Somebody has recorded the reports, and sends copies in the name of another client of the network.
#[test]
fn a_copy_of_a_report_from_another_address_is_answered_and_not_applied() {
    let mut rig = Rig::new(&[]);
    let start = request(1, 1, b"491", &secret());
    let stop = request(2, 2, b"491", &secret());
    rig.hears(0, NAS, &start);
    rig.hears(60_000, NAS, &stop);
    assert_eq!(rig.who("10.0.0.1"), None);
    for from in ["192.0.2.7:40001", "192.0.2.9:40000"] {
        assert_eq!(rig.hears(90_000, from, &start).len(), 1);
        assert_eq!(rig.who("10.0.0.1"), None);
    }
    let again = request(3, 1, b"492", &secret());
    rig.hears(100_000, NAS, &again);
    assert_eq!(rig.who("10.0.0.1"), Some("492"));
    rig.hears(110_000, "192.0.2.9:40000", &stop);
    assert_eq!(rig.who("10.0.0.1"), Some("492"));
}

/// An access server that starts again counts its identifiers and its sessions anew.
#[test]
fn after_a_start_of_an_access_server_reports_may_have_the_octets_of_earlier_ones() {
    let mut rig = Rig::new(&[]);
    let on = request(0, 7, b"", &secret());
    let start = request(1, 1, b"491", &secret());
    for time in [0, 120_000, 240_000] {
        rig.hears(time, NAS, &on);
        assert_eq!(rig.who("10.0.0.1"), None, "{time}");
        rig.hears(time + 60_000, NAS, &start);
        assert_eq!(rig.who("10.0.0.1"), Some("491"), "{time}");
    }
}

#[test]
fn unknown_clients_and_wrong_signatures_get_no_response() {
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
            way: Port::Home(port),
            to,
            octets: forwarded,
        },
    ] = &said[..]
    else {
        panic!("{said:?}");
    };
    assert_eq!(*to, address("203.0.113.1:1813"));
    assert_eq!(rig.who("10.0.0.1"), Some("491"));
    // The client repeats meanwhile: the same packet is sent again.
    assert_eq!(rig.hears(100, NAS, &start), said);
    let answer = Packet::decode(forwarded).unwrap().response(&home).unwrap();
    // A response from another address, to another port or with a wrong signature is dropped.
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
            way: Port::Client(0),
            to,
            octets: relayed,
        },
    ] = &said[..]
    else {
        panic!("{said:?}");
    };
    assert_eq!(*to, address(NAS));
    let key = Packet::decode(&start).unwrap();
    let relayed = Packet::decode(relayed).unwrap();
    assert!(relayed.answers(&key, &secret()));
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
            way: Port::Home(port),
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
fn what_is_forwarded_survives_a_reload() {
    let mut rig = Rig::new(&["203.0.113.1:1813", "203.0.113.2:1813"]);
    let said = rig.hears(0, NAS, &request(1, 3, b"491", &secret()));
    rig.server.set_config(config(&["203.0.113.2:1813"]));
    answers(&mut rig, 100, &said);
    // A server that is down stays down.
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
fn a_reused_identifier_is_not_removed_with_its_earlier_request() {
    let mut rig = Rig::new(&["203.0.113.1:1813"]);
    rig.hears(0, NAS, &request(1, 1, b"491", &secret()));
    let other = request(1, 3, b"491", &secret());
    let said = rig.hears(4_000, NAS, &other);
    // The first is given up now; the second is under way, and recognised.
    assert_eq!(rig.hears(6_000, NAS, &other), said);
    assert_eq!(rig.server.stats().unanswered, 1);
    assert_eq!(rig.server.stats().duplicates, 1);
}

/// A report without a response was still applied, and only once.
#[test]
fn a_report_that_is_forwarded_again_is_not_applied_again() {
    let mut rig = Rig::new(&["203.0.113.1:1813"]);
    let start = request(1, 1, b"491", &secret());
    rig.hears(0, NAS, &start);
    rig.hears(3_000, NAS, &request(2, 2, b"491", &secret()));
    assert_eq!(rig.hears(7_000, NAS, &start).len(), 1);
    assert_eq!(rig.who("10.0.0.1"), None);
    assert_eq!(rig.server.stats().starts, 1);
}
