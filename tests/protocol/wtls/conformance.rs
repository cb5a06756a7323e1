//! What the specification asks of a server, item by item, beside the handshakes.

use wapbridge::wdp::Peer;
use wapbridge::wtls::{
    CipherSuite, ClientEvent, Config, Description, KeyExchange, MessageType, Problem, Stored,
    alert, checksum, message, records, server_hello,
};

use super::conversation::{Conversation, everything, strong, wanting};
use super::{credentials, key, statement, x509};

fn anonymous() -> Conversation {
    Conversation::new(everything(), wanting(KeyExchange::RSA_ANON, 0, strong()))
}

fn open(talk: &mut Conversation) {
    assert!(matches!(talk.handshake(), Some(ClientEvent::Open { .. })));
}

/// WTLS-S-010
pub(super) fn numbers_rise_and_begin_anew_behind_a_change_cipher_spec() {
    let mut talk = anonymous();
    open(&mut talk);
    talk.talk();
    talk.talk();
    for said in [&talk.to_server, &talk.to_client] {
        let mut expected = 0;
        for datagram in said {
            for record in records(datagram).0 {
                if record.is_ciphered()
                    && record.content_type == wapbridge::wtls::ContentType::Handshake
                {
                    expected = 0;
                }
                assert_eq!(record.sequence, expected);
                expected += 1;
            }
        }
    }
}

/// WTLS-S-004
pub(super) fn two_quadruplets_share_a_session() {
    let mut talk = anonymous();
    open(&mut talk);
    let first = talk.peer;
    talk.peer = Peer::new(
        "10.0.0.8:9".parse().unwrap(),
        "192.0.2.1:9203".parse().unwrap(),
    );
    let resumed = talk.handshake();
    assert!(matches!(
        resumed,
        Some(ClientEvent::Open {
            is_resumed: true,
            ..
        })
    ));
    talk.talk();
    assert!(talk.server.is_established(first) && talk.server.is_established(talk.peer));
}

/// WTLS-S-021
pub(super) fn a_fatal_alert_ends_the_session_and_one_in_clear_text_does_not() {
    let mut talk = anonymous();
    open(&mut talk);
    talk.talk();
    let last = talk.to_client.last().unwrap().clone();
    let mut plain = vec![0xC2, 0, 9, 0, 6, 3, 40];
    plain.extend_from_slice(&checksum(&last));
    talk.inject(&plain);
    talk.talk();
    assert_eq!(talk.server.stats().sessions, 1);
    talk.client.close_session();
    talk.settle();
    let stats = talk.server.stats();
    assert_eq!((stats.connections, stats.sessions), (0, 0));
}

/// WTLS-S-022
pub(super) fn an_alert_with_another_checksum_is_ignored() {
    let mut talk = anonymous();
    talk.client.connect(talk.now);
    let hello = talk.client.poll_transmit().unwrap();
    talk.inject(&hello);
    let mut flight = Vec::new();
    talk.server.poll_transmit(&mut flight).unwrap();
    let mut alert = vec![0xC2, 0, 1, 0, 6, 3, 90];
    alert.extend_from_slice(&[1, 2, 3, 4]);
    talk.inject(&alert);
    assert_eq!(
        (
            talk.server.stats().handshakes,
            talk.server.stats().alerts_ignored
        ),
        (1, 1)
    );
    let last = records(&flight).0.last().unwrap().octets;
    alert.truncate(7);
    alert.extend_from_slice(&checksum(last));
    talk.inject(&alert);
    assert_eq!(talk.server.stats().handshakes, 0);
}

/// WTLS-S-025
pub(super) fn a_finished_without_a_change_cipher_spec_is_unexpected() {
    let mut talk = anonymous();
    talk.client.connect(talk.now);
    let hello = talk.client.poll_transmit().unwrap();
    talk.inject(&hello);
    let mut flight = Vec::new();
    talk.server.poll_transmit(&mut flight).unwrap();
    talk.client.handle_datagram(talk.now, &flight);
    let answer = talk.client.poll_transmit().unwrap();
    let (parts, _) = records(&answer);
    assert_eq!(parts.len(), 3);
    talk.inject(&[parts[0].octets, parts[2].octets].concat());
    let mut said = Vec::new();
    talk.server.poll_transmit(&mut said).unwrap();
    let (_, alert) = alert(records(&said).0[0].fragment).unwrap();
    assert_eq!(alert.description, Description::UNEXPECTED_MESSAGE);
    assert_eq!(talk.server.stats().connections, 0);
    // In its place it is what was waited for.
    talk.inject(&answer);
    assert_eq!(talk.server.stats().connections, 1);
}

/// WTLS-S-005, WTLS-S-200, WTLS-S-141
pub(super) fn a_flight_is_one_datagram_of_records_and_begins_with_the_time() {
    let mut talk = anonymous();
    open(&mut talk);
    let (parts, _) = records(&talk.to_client[0]);
    let types: Vec<u8> = parts.iter().map(|record| record.fragment[0]).collect();
    assert_eq!(types, [2, 12, 14]);
    assert!(
        parts
            .iter()
            .all(|record| record.has_length() && !record.is_ciphered())
    );
    let (_, read) = message(parts[0].fragment).unwrap();
    assert_eq!(read.message_type, MessageType::SERVER_HELLO);
    let (_, hello) = server_hello(read.body).unwrap();
    let time = u32::from_be_bytes(hello.random[..4].try_into().unwrap());
    assert_eq!(time, 1_900_000_005);
    assert_eq!(
        (
            hello.version,
            hello.compression_method,
            hello.sequence_number_mode
        ),
        (1, 0, 2)
    );
}

/// WTLS-S-060, WTLS-S-061
pub(super) fn the_gateway_shows_its_certificate_and_the_client_verifies_it() {
    for chain in [credentials(), x509()] {
        let mut config = everything();
        config.credentials = Some(chain.0);
        let mut client = wanting(KeyExchange::RSA, 0, strong());
        client.authorities = chain.1;
        let mut talk = Conversation::new(config.clone(), client.clone());
        open(&mut talk);
        talk.talk();
        client.host = Some("other.example".to_owned());
        let mut talk = Conversation::new(config, client);
        assert!(matches!(
            talk.handshake(),
            Some(ClientEvent::Failed(Problem::Certificate(_)))
        ));
    }
}

/// WTLS-S-070, WTLS-S-071, WTLS-S-191, WTLS-S-192
pub(super) fn a_client_shows_a_certificate_of_either_form() {
    for (own, authorities) in [credentials(), x509()] {
        let config = Config {
            client_authorities: authorities,
            ..everything()
        };
        let mut client = wanting(KeyExchange::RSA, 0, strong());
        let mut talk = Conversation::new(config.clone(), client.clone());
        assert!(matches!(talk.handshake(), Some(ClientEvent::Failed(_))));
        client.credentials = Some(own);
        let mut talk = Conversation::new(config, client);
        open(&mut talk);
        talk.talk();
    }
}

/// WTLS-S-210
pub(super) fn an_authority_below_the_root_says_that_it_is_one() {
    let root = Stored::new(&statement("Root; T; FI", "Root; T; FI")).unwrap();
    let chain = |sub: &str| {
        let sub_authority = Stored::new(&statement("Root; T; FI", sub)).unwrap();
        let own = Stored::new(&statement(sub, "Phone; T; FI; gw.example")).unwrap();
        let credentials =
            wapbridge::wtls::Credentials::new(key(), vec![own, sub_authority]).unwrap();
        let config = Config {
            client_authorities: [root.clone()].into(),
            ..everything()
        };
        let mut client = wanting(KeyExchange::RSA, 0, strong());
        client.credentials = Some(credentials.into());
        Conversation::new(config, client).handshake()
    };
    assert!(matches!(
        chain("Sub; T; FI; ; T=ca"),
        Some(ClientEvent::Open { .. })
    ));
    assert!(matches!(chain("Sub; T; FI"), Some(ClientEvent::Failed(_))));
}

/// WTLS-S-012, WTLS-S-013, WTLS-S-026
pub(super) fn records_around_a_refresh_come_in_any_order_and_once() {
    for refresh in 0..8 {
        let mut client = wanting(KeyExchange::ECDH_ANON, 0, strong());
        client.key_refresh = refresh;
        let mut talk = Conversation::new(everything(), client);
        open(&mut talk);
        let mut datagrams = Vec::new();
        for number in 0..24_u8 {
            talk.client.send(vec![number]);
            datagrams.push(talk.client.poll_transmit().unwrap());
        }
        for datagram in datagrams.iter().rev().chain(&datagrams) {
            talk.inject(datagram);
        }
        let expected: Vec<Vec<u8>> = (0..24).rev().map(|number| vec![number]).collect();
        assert_eq!(talk.heard_by_server, expected, "refresh {refresh}");
        assert_eq!(talk.server.stats().replayed, 24);
    }
}

/// The items of ciphers and MACs.
pub(super) fn a_suite_carries_records(bulk: u8, mac: u8) {
    let suite = CipherSuite::of(bulk, mac).unwrap();
    let mut config = everything();
    config.suites = vec![suite];
    let mut talk = Conversation::new(config, wanting(KeyExchange::ECDH_ANON, 0, suite));
    let opened = ClientEvent::Open {
        suite,
        is_resumed: false,
    };
    assert_eq!(talk.handshake(), Some(opened));
    for _ in 0..10 {
        talk.talk();
    }
    // The record is as long as the suite makes it, and shows the text only without a cipher.
    let (parts, _) = records(talk.to_client.last().unwrap());
    let fragment = parts.last().unwrap().fragment;
    let shows = fragment.windows(6).any(|octets| octets == b"answer");
    assert_eq!(shows, bulk == 0);
    let octets = match bulk {
        0 => 6 + suite.mac.size,
        // All ciphers have blocks of 64 bits, and at least one octet of padding.
        _ => (6 + suite.mac.size + 1).next_multiple_of(8),
    };
    assert_eq!(fragment.len(), octets);
}

/// WTLS-S-035, WTLS-S-036, WTLS-S-062, WTLS-S-063
pub(super) fn a_short_key_serves_exchanges_of_its_limit_only(exchange: KeyExchange, bits: usize) {
    let mut config = everything();
    config.credentials = Some(super::short_credentials(bits));
    let mut talk = Conversation::new(config, wanting(exchange, 0, strong()));
    open(&mut talk);
    talk.talk();
    // The key of 1024 bits is too long for the limit.
    let mut talk = Conversation::new(everything(), wanting(exchange, 0, strong()));
    let refused = ClientEvent::Failed(Problem::Refused(Description::HANDSHAKE_FAILURE));
    assert_eq!(talk.handshake(), Some(refused));
}

/// The items of key exchanges and parameters.
pub(super) fn an_exchange_makes_a_connection(exchange: KeyExchange, index: u8) {
    let mut talk = Conversation::new(everything(), wanting(exchange, index, strong()));
    open(&mut talk);
    talk.talk();
}
