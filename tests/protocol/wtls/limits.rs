//! What strangers may cost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::conversation::{Conversation, everything, strong, wanting};
use super::{credentials, key, statement};
use wapbridge::server::clock::Clock;
use wapbridge::time::Instant;
use wapbridge::wdp::{Datagram, Peer, Service};
use wapbridge::wtls::{
    Client, ClientEvent, Config, Credentials, Description, Endpoint, KeyExchange, Problem, Rate,
    Stored,
};

fn hello(number: u8) -> Vec<u8> {
    let mut client = Client::new(wanting(KeyExchange::ECDH_ANON, 0, strong()), [number; 32]);
    client.connect(Instant::ZERO);
    client.poll_transmit().unwrap()
}

fn from(server: &mut Endpoint, now: Instant, remote: &str, payload: &[u8]) -> Vec<Vec<u8>> {
    let remote: SocketAddr = remote.parse().unwrap();
    let datagram = Datagram {
        peer: Peer::new(remote, "192.0.2.1:9203".parse().unwrap()),
        service: Service::SecureConnectionMode,
        payload,
    };
    server.handle_datagram(now, datagram);
    let mut said = Vec::new();
    let mut buf = Vec::new();
    while server.poll_transmit(&mut buf).is_some() {
        said.push(std::mem::take(&mut buf));
    }
    said
}

#[test]
fn an_address_has_so_many_handshakes_and_they_end() {
    let config = Config {
        max_handshakes_per_address: 2,
        max_handshakes: 3,
        ..everything()
    };
    let mut server = Endpoint::new(Arc::new(config), [1; 32], None);
    let now = Instant::ZERO;
    for port in 1..10 {
        from(&mut server, now, &format!("10.0.0.1:{port}"), &hello(port));
    }
    assert_eq!((server.stats().handshakes, server.stats().refused), (2, 7));
    for port in 1..10 {
        from(&mut server, now, &format!("10.0.0.{port}:9"), &hello(port));
    }
    assert_eq!(server.stats().handshakes, 3);
    server.handle_timeout(now + Duration::from_secs(61));
    let stats = server.stats();
    assert_eq!(
        (stats.handshakes, stats.timed_out, stats.connections),
        (0, 3, 0)
    );
    assert_eq!(server.poll_timeout(), None);
}

#[test]
fn key_operations_have_a_rate() {
    let config = Config {
        key_operations: Rate {
            per_second: 1,
            burst: 2,
        },
        ..everything()
    };
    let mut server = Endpoint::new(Arc::new(config), [1; 32], None);
    for port in 1..10 {
        from(
            &mut server,
            Instant::ZERO,
            &format!("10.0.0.{port}:1"),
            &hello(port),
        );
    }
    let stats = server.stats();
    assert_eq!((stats.handshakes, stats.key_operations_refused), (2, 7));
}

#[test]
fn one_address_does_not_use_up_the_key_operations_of_all() {
    let config = Config {
        key_operations: Rate {
            per_second: 1,
            burst: 12,
        },
        ..everything()
    };
    let mut server = Endpoint::new(Arc::new(config), [1; 32], None);
    for port in 1..20 {
        let remote = format!("10.0.0.1:{port}");
        from(&mut server, Instant::ZERO, &remote, &hello(port));
    }
    let before = server.stats();
    assert_eq!((before.handshakes, before.key_operations_refused), (3, 16));
    from(&mut server, Instant::ZERO, "10.0.0.2:1", &hello(20));
    let after = server.stats();
    assert_eq!((after.handshakes, after.key_operations_refused), (4, 16));
}

fn with_a_long_certificate() -> Config {
    let long = statement(
        "Root; Test; FI",
        &format!("{}; T; FI; gw.example", "x".repeat(200)),
    );
    let chain = vec![Stored::new(&long).unwrap()];
    Config {
        credentials: Some(Arc::new(Credentials::new(key(), chain).unwrap())),
        ..everything()
    }
}

/// Long certificates are what an amplifier would like.
#[test]
fn an_address_that_proved_nothing_gets_no_more_than_three_times_what_it_sent() {
    let mut server = Endpoint::new(Arc::new(with_a_long_certificate()), [1; 32], None);
    let mut client = Client::new(wanting(KeyExchange::RSA, 0, strong()), [1; 32]);
    client.connect(Instant::ZERO);
    let hello = client.poll_transmit().unwrap();
    let (mut sent, mut received) = (0, 0);
    let mut hellos = 0;
    while received == 0 {
        hellos += 1;
        sent += hello.len() + 28;
        for flight in from(&mut server, Instant::ZERO, "198.51.100.7:9", &hello) {
            received += flight.len() + 28;
        }
        assert!(received <= 3 * sent, "{received} for {sent}");
    }
    assert!(hellos > 1 && server.stats().withheld == hellos - 1);
}

/// A ClientHello in clear text says nothing about its sender, though the peer it names has a connection.
#[test]
fn a_peer_with_a_connection_gets_no_more_than_three_times_the_forged_hellos() {
    let config = with_a_long_certificate();
    let mut talk = Conversation::new(config, wanting(KeyExchange::ECDH_ANON, 0, strong()));
    talk.peer = Peer::new(
        "198.51.100.7:9".parse().unwrap(),
        "192.0.2.1:9203".parse().unwrap(),
    );
    talk.handshake();
    talk.talk();
    assert_eq!(talk.server.stats().connections, 1);
    let (mut sent, mut received) = (0, 0);
    for number in 1..60 {
        let mut client = Client::new(wanting(KeyExchange::RSA, 0, strong()), [number; 32]);
        client.connect(talk.now);
        let hello = client.poll_transmit().unwrap();
        sent += hello.len() + 28;
        for flight in from(&mut talk.server, talk.now, "198.51.100.7:9", &hello) {
            received += flight.len() + 28;
        }
    }
    // What the client itself earned before is not much.
    assert!(received <= 3 * sent + 2_000, "{received} for {sent}");
    assert!(received > 0 && talk.server.stats().withheld > 0);
    // The connection is as it was.
    talk.talk();
    assert_eq!(talk.server.stats().connections, 1);
}

/// Records that repeat inside one datagram earn nothing and are answered once.
#[test]
fn many_records_in_one_datagram_are_one_datagram_of_an_address_that_proved_nothing() {
    let mut client = Client::new(wanting(KeyExchange::RSA, 0, strong()), [1; 32]);
    client.connect(Instant::ZERO);
    let hello = client.poll_transmit().unwrap();
    let mut server = Endpoint::new(Arc::new(everything()), [1; 32], None);
    let payload = hello.repeat(32);
    let flights = from(&mut server, Instant::ZERO, "198.51.100.7:9", &payload);
    let received: usize = flights.iter().map(|flight| flight.len() + 28).sum();
    assert_eq!(flights.len(), 1);
    assert!(received <= 3 * (payload.len() + 28), "{received}");
    // What is left of the credit of that datagram is spent by repetitions, each of which earns for itself.
    let (mut sent, mut received) = (payload.len() + 28, received);
    for _ in 0..32 {
        sent += hello.len() + 28;
        for flight in from(&mut server, Instant::ZERO, "198.51.100.7:9", &hello) {
            received += flight.len() + 28;
        }
        assert!(received <= 3 * sent, "{received} for {sent}");
    }
}

#[test]
fn refusals_go_to_an_address_that_proved_nothing_once_for_a_datagram_and_within_its_credit() {
    let mut server = Endpoint::new(Arc::new(everything()), [1; 32], None);
    let broken = [0xC3, 0, 0, 0, 3, 1, 0, 0];
    let payload = broken.repeat(32);
    let said = from(&mut server, Instant::ZERO, "198.51.100.7:9", &payload);
    assert_eq!(said.len(), 1);
    assert_eq!(server.stats().alerts_sent, 1);
    // Without credit for more than headers, a refusal waits too.
    let config = Config {
        amplification: 1,
        ..everything()
    };
    let mut server = Endpoint::new(Arc::new(config), [1; 32], None);
    assert!(from(&mut server, Instant::ZERO, "198.51.100.7:9", &broken).is_empty());
    assert_eq!(
        (server.stats().withheld, server.stats().alerts_sent),
        (1, 0)
    );
}

/// A wrong flight costs the gateway an agreement, however few ClientHellos there were.
#[test]
fn wrong_flights_take_key_operations() {
    let config = Config {
        key_operations: Rate {
            per_second: 1,
            burst: 40,
        },
        ..everything()
    };
    let mut talk = Conversation::new(config, wanting(KeyExchange::ECDH_ANON, 0, strong()));
    talk.client.connect(talk.now);
    let hello = talk.client.poll_transmit().unwrap();
    talk.inject(&hello);
    let mut flight = Vec::new();
    talk.server.poll_transmit(&mut flight).unwrap();
    talk.client.handle_datagram(talk.now, &flight);
    let right = talk.client.poll_transmit().unwrap();
    let mut wrong = right.clone();
    *wrong.last_mut().unwrap() ^= 1;
    // Several flights in one datagram are one.
    let before = talk.server.stats().failed;
    talk.inject(&wrong.repeat(3));
    assert_eq!(talk.server.stats().failed, before + 1);
    for _ in 0..50 {
        talk.inject(&wrong);
    }
    assert!(talk.server.stats().key_operations_refused > 0);
    assert_eq!(talk.server.stats().connections, 0);
    // Later the right one is still accepted.
    talk.now += Duration::from_secs(50);
    talk.inject(&right);
    assert_eq!(talk.server.stats().connections, 1);
}

#[test]
fn a_repeated_finished_takes_a_sequence_number_a_second_at_most() {
    let mut talk = Conversation::new(everything(), wanting(KeyExchange::RSA_ANON, 0, strong()));
    talk.handshake();
    let flight = talk.to_server[1].clone();
    talk.talk();
    let before = talk.server.stats().alerts_sent;
    for _ in 0..50 {
        talk.inject(&flight);
    }
    assert_eq!(talk.server.stats().alerts_sent, before + 1);
    talk.now += Duration::from_secs(1);
    talk.inject(&flight);
    assert_eq!(talk.server.stats().alerts_sent, before + 2);
}

#[test]
fn a_connection_whose_sequence_numbers_ended_without_user_data_is_closed() {
    let mut talk = Conversation::new(everything(), wanting(KeyExchange::RSA_ANON, 0, strong()));
    talk.handshake();
    talk.talk();
    // Each damaged record is answered with an alert, once a second, and each alert takes a number.
    let mut damaged = talk.to_server.last().unwrap().clone();
    damaged[1] = 0x7F;
    for _ in 0..=u16::MAX {
        talk.now += Duration::from_secs(1);
        talk.inject(&damaged);
    }
    assert_eq!(talk.server.stats().connections, 1);
    talk.reply(b"too late");
    let stats = talk.server.stats();
    assert_eq!(
        (stats.connections, stats.exhausted, stats.unsent),
        (0, 1, 1)
    );
}

#[test]
fn a_private_address_is_answered_at_once() {
    let mut server = Endpoint::new(Arc::new(everything()), [1; 32], None);
    assert_eq!(
        from(&mut server, Instant::ZERO, "10.1.2.3:9", &hello(1)).len(),
        1
    );
}

#[test]
fn the_connection_used_least_recently_makes_room() {
    let config = Config {
        max_connections: 1,
        ..everything()
    };
    let mut talk = Conversation::new(config, wanting(KeyExchange::ECDH_ANON, 0, strong()));
    talk.handshake();
    let old = talk.peer;
    talk.peer = Peer::new(
        "10.0.0.8:1".parse().unwrap(),
        "192.0.2.1:9203".parse().unwrap(),
    );
    talk.handshake();
    assert!(!talk.server.is_established(old) && talk.server.is_established(talk.peer));
    assert_eq!(talk.server.stats().evicted, 1);
    talk.talk();
}

#[test]
fn an_unused_connection_keeps_no_keys_and_then_ends() {
    let config = Config {
        idle_timeout: Duration::from_secs(600),
        ..everything()
    };
    let mut talk = Conversation::new(config, wanting(KeyExchange::ECDH_ANON, 0, strong()));
    talk.handshake();
    talk.pass(Duration::from_secs(100));
    talk.talk();
    talk.pass(Duration::from_secs(700));
    assert_eq!(
        (talk.server.stats().connections, talk.server.stats().idle),
        (0, 1)
    );
    assert_eq!(talk.server.poll_timeout(), None);
}

#[test]
fn new_settings_hold_for_connections_and_handshakes_there_are_and_will_be() {
    let mut talk = Conversation::new(everything(), wanting(KeyExchange::ECDH_ANON, 0, strong()));
    talk.handshake();
    talk.server.set_config(Arc::new(Config {
        key_exchanges: vec![KeyExchange::RSA_ANON],
        idle_timeout: Duration::from_secs(600),
        ..everything()
    }));
    talk.talk();
    talk.pass(Duration::from_secs(700));
    assert_eq!(talk.server.stats().idle, 1);
    talk.client.forget_session();
    let refused = ClientEvent::Failed(Problem::Refused(Description::HANDSHAKE_FAILURE));
    assert_eq!(talk.handshake(), Some(refused));
}

#[test]
fn a_gateway_that_wants_certificates_gets_them() {
    let (own, authorities) = credentials();
    let config = Config {
        client_authorities: authorities,
        ..everything()
    };
    let mut client = wanting(KeyExchange::RSA, 0, strong());
    let mut talk = Conversation::new(config.clone(), client.clone());
    assert!(matches!(talk.handshake(), Some(ClientEvent::Failed(_))));
    client.credentials = Some(own);
    let mut talk = Conversation::new(config, client);
    assert!(matches!(talk.handshake(), Some(ClientEvent::Open { .. })));
    talk.talk();
    assert!(matches!(
        talk.handshake(),
        Some(ClientEvent::Open {
            is_resumed: true,
            ..
        })
    ));
}

#[test]
fn new_authorities_of_clients_end_the_sessions_of_the_old_ones() {
    let (own, authorities) = credentials();
    let config = Config {
        client_authorities: authorities,
        ..everything()
    };
    let mut client = wanting(KeyExchange::RSA, 0, strong());
    client.credentials = Some(own);
    let mut talk = Conversation::new(config.clone(), client);
    assert!(matches!(talk.handshake(), Some(ClientEvent::Open { .. })));
    // The same authorities read again change nothing.
    let again = credentials().1;
    talk.server.set_config(Arc::new(Config {
        client_authorities: again,
        ..config.clone()
    }));
    assert_eq!(talk.server.stats().sessions, 1);
    let other = Stored::new(&statement("Other; Test; FI", "Other; Test; FI")).unwrap();
    talk.server.set_config(Arc::new(Config {
        client_authorities: Arc::new([other]),
        ..config
    }));
    assert_eq!(talk.server.stats().sessions, 0);
    let refused = ClientEvent::Failed(Problem::Refused(Description::UNKNOWN_CA));
    assert_eq!(talk.handshake(), Some(refused));
}

#[test]
fn secrets_are_given_away_as_lines_only() {
    let mut talk = Conversation::new(everything(), wanting(KeyExchange::ECDH_ANON, 0, strong()));
    let server = Endpoint::new(Arc::new(everything()), [9; 32], None);
    talk.server = server.revealing_secrets();
    talk.handshake();
    let (_, master) = talk.client.secrets().unwrap().clone();
    let master = master.reveal();
    let secrets = talk.server.poll_secrets().unwrap();
    let hex: String = master.iter().map(|octet| format!("{octet:02x}")).collect();
    assert!(secrets.line().ends_with(&format!(" {hex}\n")));
    let shown = format!("{secrets:?}");
    assert!(!shown.contains(&format!("{master:?}")), "{shown}");
}

/// Anybody can send ClientHellos in the name of a peer with a connection.
#[test]
fn a_peer_with_a_connection_is_not_flooded_with_flights() {
    let mut talk = Conversation::new(everything(), wanting(KeyExchange::ECDH_ANON, 0, strong()));
    talk.handshake();
    talk.talk();
    let before = talk.server.stats();
    let mut flights = 0;
    for number in 2..100 {
        let hello = hello(number);
        for _ in 0..5 {
            talk.inject(&hello);
            while talk.server.poll_transmit(&mut Vec::new()).is_some() {
                flights += 1;
            }
        }
    }
    assert_eq!(flights, 4);
    assert!(talk.server.stats().refused > before.refused);
    talk.talk();
    // The client itself gets its handshake a little later.
    talk.now += Duration::from_secs(5);
    assert!(matches!(talk.handshake(), Some(ClientEvent::Open { .. })));
    talk.talk();
}

/// While as many addresses as are remembered have sent something, a datagram is worth what it is.
#[test]
fn forged_addresses_do_not_keep_others_from_an_answer() {
    let mut server = Endpoint::new(Arc::new(everything()), [1; 32], None);
    for number in 0..70_000_u32 {
        let [_, a, b, c] = number.to_be_bytes();
        let remote = format!("198.{a}.{b}.{c}:9");
        from(&mut server, Instant::ZERO, &remote, &[0x44; 12]);
    }
    let said = from(&mut server, Instant::ZERO, "203.0.113.7:9", &hello(1));
    assert_eq!(said.len(), 1);
}

/// An offer may name a hundred exchanges and a hundred authorities. Certificates are read once.
#[test]
fn a_long_offer_costs_no_more_than_a_short_one() {
    let exchange = [8_u8, 0, 0].repeat(250);
    // Authorities that nobody has: text names of one octet.
    let authority = [8_u8, 0, 1, 0, 106, 1, b'x'].repeat(5_000);
    let mut body = vec![1];
    body.extend_from_slice(&[7; 16]);
    body.push(0);
    for list in [&exchange, &authority] {
        body.extend_from_slice(&u16::try_from(list.len()).unwrap().to_be_bytes());
        body.extend_from_slice(list);
    }
    body.extend_from_slice(&[2, 3, 3, 1, 0, 2, 3]);
    let mut message = vec![1];
    message.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
    message.extend_from_slice(&body);
    let mut record = vec![0xC3, 0, 0];
    record.extend_from_slice(&u16::try_from(message.len()).unwrap().to_be_bytes());
    record.extend_from_slice(&message);
    let config = Config {
        credentials: Some(super::x509().0),
        ..everything()
    };
    let mut server = Endpoint::new(Arc::new(config), [1; 32], None);
    let clock = Clock::start();
    for _ in 0..20 {
        assert_eq!(
            from(&mut server, Instant::ZERO, "10.0.0.1:9", &record).len(),
            1
        );
    }
    // Reading a certificate for each pair took minutes.
    assert!(clock.now() - Instant::ZERO < Duration::from_secs(60));
}

#[test]
fn what_is_shown_for_debugging_has_no_secrets() {
    let mut talk = Conversation::new(everything(), wanting(KeyExchange::RSA_ANON, 0, strong()));
    talk.handshake();
    talk.talk();
    let (_, master) = talk.client.secrets().unwrap().clone();
    let shown = format!("{:?} {:?} {:?}", talk.client, talk.server, everything());
    let octets = format!("{:?}", master.reveal());
    assert!(!shown.contains(octets.trim_matches(['[', ']'])));
    for name in [
        "MasterSecret",
        "Keys",
        "SecretRandom",
        "PrivateKey of 1024 bits",
    ] {
        assert!(shown.contains(name), "{name}");
    }
}
