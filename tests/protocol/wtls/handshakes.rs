//! Handshakes in every form, on good networks and on bad ones.

use std::time::Duration;

use super::conversation::{Conversation, everything, strong, wanting};
use wapbridge::wtls::{
    BULKS, CipherSuite, ClientEvent, Config, Description, KeyExchange, MACS, Problem, checksum,
    records,
};

#[test]
fn every_key_exchange_makes_a_connection() {
    let exchanges = [
        (KeyExchange::RSA_ANON, 0),
        (KeyExchange::RSA, 0),
        (KeyExchange::DH_ANON, 0),
        (KeyExchange::DH_ANON, 1),
        (KeyExchange::DH_ANON, 2),
        (KeyExchange::DH_ANON_512, 0),
        (KeyExchange::DH_ANON_768, 2),
        (KeyExchange::ECDH_ANON, 0),
        (KeyExchange::ECDH_ANON, 6),
        (KeyExchange::ECDH_ANON, 7),
        (KeyExchange::ECDH_ANON, 8),
        (KeyExchange::ECDH_ANON, 9),
        (KeyExchange::ECDH_ANON, 12),
        (KeyExchange::ECDH_ANON_113, 0),
        (KeyExchange::ECDH_ANON_131, 0),
        (KeyExchange::ECDH_ANON_UNCOMP, 0),
        (KeyExchange::ECDH_ANON_UNCOMP_113, 6),
        (KeyExchange::ECDH_ANON_UNCOMP_131, 8),
    ];
    for (exchange, index) in exchanges {
        let mut talk = Conversation::new(everything(), wanting(exchange, index, strong()));
        let suite = strong();
        let open = ClientEvent::Open {
            suite,
            is_resumed: false,
        };
        assert_eq!(talk.handshake(), Some(open), "{exchange:?} {index}");
        talk.talk();
        assert_eq!(talk.server.stats().full, 1);
    }
}

#[test]
fn every_cipher_with_every_mac_carries_records_across_key_refreshes() {
    let macs = MACS.iter().filter(|mac| mac.size > 0);
    for (bulk, mac) in macs.flat_map(|mac| BULKS.iter().map(move |bulk| (bulk, mac))) {
        let suite = CipherSuite { bulk, mac };
        let mut config = everything();
        config.suites.push(suite);
        let mut client = wanting(KeyExchange::ECDH_ANON, 0, suite);
        client.key_refresh = 2;
        let mut talk = Conversation::new(config, client);
        assert!(
            matches!(talk.handshake(), Some(ClientEvent::Open { .. })),
            "{suite}"
        );
        for _ in 0..10 {
            talk.talk();
        }
    }
}

pub(super) fn a_session_is_resumed_with_new_keys_and_in_one_datagram() {
    let mut talk = Conversation::new(everything(), wanting(KeyExchange::RSA_ANON, 0, strong()));
    talk.handshake();
    let before = talk.to_client.len();
    let first = talk.client.secrets().unwrap().clone();
    let open = ClientEvent::Open {
        suite: strong(),
        is_resumed: true,
    };
    assert_eq!(talk.handshake(), Some(open));
    let flight = &talk.to_client[before];
    assert_eq!(
        records(flight).0.len(),
        3,
        "ServerHello, ChangeCipherSpec, Finished"
    );
    let second = talk.client.secrets().unwrap().clone();
    assert_eq!(first.1, second.1);
    assert_ne!(first.0, second.0);
    talk.talk();
    assert_eq!(talk.server.stats().abbreviated, 1);
}

#[test]
fn an_unknown_session_gets_a_full_handshake() {
    let mut talk = Conversation::new(everything(), wanting(KeyExchange::ECDH_ANON, 0, strong()));
    talk.handshake();
    let fresh = Conversation::new(everything(), wanting(KeyExchange::ECDH_ANON, 0, strong()));
    talk.server = fresh.server;
    let open = ClientEvent::Open {
        suite: strong(),
        is_resumed: false,
    };
    assert_eq!(talk.handshake(), Some(open));
    talk.talk();
}

#[test]
fn loss_repetition_and_reordering_cost_nothing_but_time() {
    for seed in 0..200 {
        let refresh = u8::try_from(seed % 8).unwrap();
        let exchange = match seed % 3 {
            0 => KeyExchange::RSA_ANON,
            1 => KeyExchange::ECDH_ANON,
            _ => KeyExchange::RSA,
        };
        let mut client = wanting(exchange, 0, strong());
        client.key_refresh = refresh;
        let mut talk = Conversation::seeded(everything(), client, seed);
        (talk.lost, talk.repeated, talk.reordered) = (20, 20, 20);
        talk.echoes = true;
        for round in 0..3 {
            talk.client.connect(talk.now);
            talk.pass(Duration::from_secs(60));
            let event = talk.events.pop();
            assert!(
                matches!(event, Some(ClientEvent::Open { .. })),
                "{seed} {round} {event:?}"
            );
            let heard = talk.heard_by_client.len();
            for number in 0..40_u8 {
                for _ in 0..25 {
                    talk.client.send(vec![number; 20]);
                    talk.pass(Duration::from_secs(1));
                    if talk.heard_by_client.last() == Some(&vec![number; 20]) {
                        break;
                    }
                }
            }
            assert!(talk.heard_by_client.len() >= heard + 40, "{seed} {round}");
        }
        let stats = talk.server.stats();
        assert_eq!(stats.bad, 0, "{seed} {stats:?}");
    }
}

#[test]
fn a_finished_after_the_deadline_makes_the_client_begin_anew() {
    // Records under the connection before: none, fewer than the replay window holds, more.
    for (before, lost) in [(0, 0), (1, 0), (1, 20), (40, 0), (40, 20)] {
        let mut talk = Conversation::new(everything(), wanting(KeyExchange::RSA_ANON, 0, strong()));
        talk.handshake();
        for _ in 0..before {
            talk.talk();
        }
        talk.client.connect(talk.now);
        let hello = talk.client.poll_transmit().unwrap();
        talk.inject(&hello);
        let mut flight = Vec::new();
        talk.server.poll_transmit(&mut flight).unwrap();
        talk.client.handle_datagram(talk.now, &flight);
        assert!(talk.client.poll_transmit().is_some(), "the lost Finished");
        talk.pass(Duration::from_secs(61));
        assert_eq!(talk.server.stats().timed_out, 1);
        for _ in 0..lost {
            talk.client.send(b"lost".to_vec());
            assert!(talk.client.poll_transmit().is_some());
        }
        talk.events.clear();
        talk.client.send(b"unheard".to_vec());
        talk.settle();
        let event = talk.events.pop();
        assert!(
            matches!(event, Some(ClientEvent::Open { .. })),
            "{before} {lost} {event:?}"
        );
        talk.talk();
        assert_eq!(talk.server.stats().bad, 0);
    }
}

#[test]
fn old_copies_of_a_finished_end_no_connection() {
    let mut talk = Conversation::new(everything(), wanting(KeyExchange::RSA_ANON, 0, strong()));
    talk.handshake();
    let old = talk.to_server[1].clone();
    talk.handshake();
    talk.talk();
    talk.events.clear();
    talk.inject(&old);
    talk.settle();
    assert_eq!(talk.events, []);
    talk.talk();
    assert_eq!(talk.server.stats().unexpected, 3);
}

#[test]
fn every_datagram_of_the_past_may_come_again() {
    for seed in 0..20 {
        let mut talk = Conversation::seeded(
            everything(),
            wanting(KeyExchange::RSA_ANON, 0, strong()),
            seed,
        );
        for _ in 0..3 {
            assert!(matches!(talk.handshake(), Some(ClientEvent::Open { .. })));
            talk.talk();
            let heard = talk.heard_by_server.len();
            for old in talk.to_server.clone() {
                talk.inject(&old);
            }
            talk.settle();
            assert_eq!(
                talk.heard_by_server.len(),
                heard,
                "a replayed record was heard"
            );
            talk.talk();
            for old in talk.to_client.clone() {
                talk.client.handle_datagram(talk.now, &old);
            }
            talk.settle();
            talk.talk();
        }
        assert_eq!(talk.server.stats().connections, 1);
    }
}

#[test]
fn a_handshake_goes_on_though_old_flights_come_in_between() {
    let mut talk = Conversation::new(everything(), wanting(KeyExchange::RSA_ANON, 0, strong()));
    talk.handshake();
    talk.talk();
    let old = talk.to_server.clone();
    talk.client.forget_session();
    talk.client.connect(talk.now);
    // The ClientHello alone.
    let hello = talk.client.poll_transmit().unwrap();
    talk.inject(&hello);
    for datagram in &old {
        talk.inject(datagram);
    }
    talk.settle();
    assert!(matches!(
        talk.events.pop(),
        Some(ClientEvent::Open {
            is_resumed: false,
            ..
        })
    ));
    talk.talk();
}

#[test]
fn clear_text_breaks_no_connection() {
    let mut talk = Conversation::new(everything(), wanting(KeyExchange::RSA_ANON, 0, strong()));
    talk.handshake();
    talk.talk();
    let last = talk.to_client.last().unwrap().clone();
    let sum = checksum(&last);
    for level in [1, 2, 3] {
        for description in 0..=100 {
            let mut alert = vec![0xC2, 0xFF, 0xFF, 0, 6, level, description];
            alert.extend_from_slice(&sum);
            talk.inject(&alert);
        }
    }
    for garbage in [
        &[0xC4, 0, 1, 0, 1, 7][..],
        &[0xE4, 0, 9, 1, 2, 3],
        &[0xFF; 40],
        &[0xC3, 0, 0, 0, 1, 1],
    ] {
        talk.inject(garbage);
    }
    talk.settle();
    talk.talk();
}

#[test]
fn a_new_hello_leaves_the_connection_until_it_is_finished() {
    let mut talk = Conversation::new(everything(), wanting(KeyExchange::RSA_ANON, 0, strong()));
    talk.handshake();
    talk.client.connect(talk.now);
    let hello = talk.client.poll_transmit().unwrap();
    talk.inject(&hello);
    // The server's flight is lost; both still talk under the old keys.
    let mut lost = Vec::new();
    while talk.server.poll_transmit(&mut lost).is_some() {}
    talk.talk();
    talk.pass(Duration::from_secs(3));
    assert!(matches!(
        talk.events.pop(),
        Some(ClientEvent::Open {
            is_resumed: true,
            ..
        })
    ));
    talk.talk();
}

pub(super) fn a_repeated_finished_is_answered() {
    let mut talk = Conversation::new(everything(), wanting(KeyExchange::RSA_ANON, 0, strong()));
    talk.handshake();
    // OPENING: the flight is repeated.
    let flight = talk.to_server[1].clone();
    talk.inject(&flight);
    let mut out = Vec::new();
    talk.server.poll_transmit(&mut out).unwrap();
    assert_eq!(&out, talk.to_client.last().unwrap());
    // OPEN: the client is told.
    talk.talk();
    talk.inject(&flight);
    let mut out = Vec::new();
    talk.server.poll_transmit(&mut out).unwrap();
    let (records, _) = records(&out);
    assert_eq!(records.len(), 1);
    assert!(records[0].is_ciphered());
    talk.client.handle_datagram(talk.now, &out);
    talk.talk();
}

#[test]
fn a_copy_of_a_forgotten_hello_displaces_no_handshake() {
    let mut talk = Conversation::new(everything(), wanting(KeyExchange::RSA_ANON, 0, strong()));
    talk.client.connect(talk.now);
    let forgotten = talk.client.poll_transmit().unwrap();
    let mut flight = Vec::new();
    talk.inject(&forgotten);
    talk.server.poll_transmit(&mut flight).unwrap();
    talk.now += Duration::from_secs(61);
    talk.server.handle_timeout(talk.now);
    assert_eq!(talk.server.stats().timed_out, 1);
    // While there is no other, the client may be the one that repeats it.
    talk.inject(&forgotten);
    flight.clear();
    talk.server.poll_transmit(&mut flight).unwrap();
    talk.now += Duration::from_secs(61);
    talk.server.handle_timeout(talk.now);
    assert_eq!(talk.server.stats().timed_out, 2);
    talk.client.connect(talk.now);
    let hello = talk.client.poll_transmit().unwrap();
    talk.inject(&hello);
    flight.clear();
    talk.server.poll_transmit(&mut flight).unwrap();
    talk.inject(&forgotten);
    assert!(talk.server.poll_transmit(&mut Vec::new()).is_none());
    talk.client.handle_datagram(talk.now, &flight);
    talk.settle();
    assert!(matches!(talk.events.pop(), Some(ClientEvent::Open { .. })));
    talk.talk();
}

#[test]
fn a_client_that_hears_of_its_repeated_finished_stops_however_much_was_lost() {
    let mut talk = Conversation::new(everything(), wanting(KeyExchange::RSA_ANON, 0, strong()));
    talk.handshake();
    talk.handshake();
    let parts = |datagram: &[u8]| records(datagram).0.len();
    for _ in 0..20 {
        talk.client.send(b"lost".to_vec());
        let lost = talk.client.poll_transmit().unwrap();
        assert_eq!(parts(&lost), 3, "ChangeCipherSpec, Finished, data");
    }
    talk.client.send(b"heard".to_vec());
    talk.settle();
    talk.client.send(b"alone".to_vec());
    assert_eq!(parts(&talk.client.poll_transmit().unwrap()), 1);
}

#[test]
fn what_is_not_accepted_is_refused_with_its_alert() {
    let refused = |config: Config, exchange, index, suite| {
        let mut talk = Conversation::new(config, wanting(exchange, index, suite));
        match talk.handshake() {
            Some(ClientEvent::Failed(Problem::Refused(description))) => description,
            other => panic!("{other:?}"),
        }
    };
    let weak = CipherSuite::of(1, 3).unwrap();
    assert_eq!(
        refused(Config::default(), KeyExchange::ECDH_ANON, 0, weak),
        Description::INSUFFICIENT_SECURITY
    );
    assert_eq!(
        refused(Config::default(), KeyExchange::RSA_ANON, 0, strong()),
        Description::HANDSHAKE_FAILURE
    );
    assert_eq!(
        refused(Config::default(), KeyExchange(1), 0, strong()),
        Description::HANDSHAKE_FAILURE
    );
    assert_eq!(
        refused(Config::default(), KeyExchange::ECDH_ANON, 5, strong()),
        Description::UNKNOWN_PARAMETER_INDEX
    );
    assert_eq!(
        refused(everything(), KeyExchange::RSA_ANON_512, 0, strong()),
        Description::HANDSHAKE_FAILURE
    );
    let no_encryption = CipherSuite::of(0, 3).unwrap();
    assert_eq!(
        refused(Config::default(), KeyExchange::ECDH_ANON, 0, no_encryption),
        Description::INSUFFICIENT_SECURITY
    );
}

#[test]
fn a_peer_without_a_connection_is_told_so_and_comes_back() {
    let mut talk = Conversation::new(everything(), wanting(KeyExchange::RSA_ANON, 0, strong()));
    talk.handshake();
    talk.talk();
    let fresh = Conversation::new(everything(), wanting(KeyExchange::RSA_ANON, 0, strong()));
    talk.server = fresh.server;
    talk.client.send(b"lost".to_vec());
    talk.settle();
    assert!(matches!(talk.events.pop(), Some(ClientEvent::Open { .. })));
    talk.talk();
}

pub(super) fn closing_is_answered_in_kind() {
    let mut talk = Conversation::new(everything(), wanting(KeyExchange::RSA_ANON, 0, strong()));
    talk.handshake();
    talk.talk();
    talk.client.close();
    talk.settle();
    assert_eq!(talk.server.stats().connections, 0);
    assert_eq!(talk.server.stats().sessions, 1);
    assert!(matches!(
        talk.handshake(),
        Some(ClientEvent::Open {
            is_resumed: true,
            ..
        })
    ));
    talk.talk();
}

pub(super) fn a_request_for_a_handshake_is_followed() {
    let config = Config {
        session_lifetime: Duration::from_secs(3600),
        ..everything()
    };
    let mut talk = Conversation::new(config, wanting(KeyExchange::RSA_ANON, 0, strong()));
    talk.handshake();
    talk.now += Duration::from_secs(3599);
    talk.talk();
    assert_eq!(talk.server.stats().full, 1);
    talk.events.clear();
    // The connection is as old as its session, which can be resumed no more.
    talk.now += Duration::from_secs(1);
    talk.talk();
    assert!(matches!(
        talk.events.as_slice(),
        [ClientEvent::Open {
            is_resumed: false,
            ..
        }]
    ));
    assert_eq!(talk.server.stats().full, 2);
    talk.talk();
    assert_eq!(talk.server.stats().full, 2);
}

#[test]
fn a_client_that_does_not_follow_a_request_for_a_handshake_keeps_its_connection() {
    let mut talk = Conversation::new(everything(), wanting(KeyExchange::RSA_ANON, 0, strong()));
    talk.handshake();
    let peer = talk.peer;
    talk.now += everything().session_lifetime;
    let mut requests = 0;
    for _ in 0..1000 {
        talk.now += Duration::from_secs(1);
        let mut buf = Vec::new();
        assert!(
            talk.server
                .seal(talk.now, peer, b"answer", &mut buf)
                .is_some()
        );
        while talk.server.poll_transmit(&mut buf).is_some() {
            requests += 1;
        }
    }
    assert_eq!(requests, 2);
    assert_eq!(talk.server.stats().connections, 1);
}

pub(super) fn a_connection_outlives_its_sequence_numbers() {
    let mut talk = Conversation::new(everything(), wanting(KeyExchange::ECDH_ANON, 0, strong()));
    talk.handshake();
    for _ in 0..70_000 {
        talk.client.send(b"x".to_vec());
        while let Some(datagram) = talk.client.poll_transmit() {
            talk.inject(&datagram);
        }
        talk.reply(b"y");
        talk.settle();
    }
    assert!(talk.server.stats().abbreviated > 0);
    talk.talk();
}
