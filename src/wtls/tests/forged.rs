//! ClientHellos that somebody sends in the name of a peer. Each limit stands alone: the others are
//! far away.

use std::sync::Arc;
use std::time::Duration;

use crate::wtls::connection::Secure;
use crate::wtls::record::{Record, records};
use crate::wtls::tests::by_hand::{Hand, peer_at};
use crate::wtls::{Config, KeyExchange, Rate};

/// A client with a connection of a session that can be resumed.
fn connected() -> (Hand, Secure) {
    let mut hand = Hand::new(KeyExchange::RSA_ANON, false);
    let secure = hand.connect();
    (hand, secure)
}

/// The same, whose server has other settings from now on. ClientHellos name no session, and the key
/// exchange takes a key operation for each.
fn connected_under(config: impl FnOnce(Config) -> Config) -> (Hand, Secure) {
    let (mut hand, secure) = connected();
    // What the connection took is worked off.
    hand.now += second(1);
    hand.exchange = KeyExchange::ECDH_ANON;
    hand.session.clear();
    let config = config(Hand::config(hand.exchange, false));
    hand.server.set_config(Arc::new(config));
    (hand, secure)
}

/// How many of so many ClientHellos in clear text bring a flight. `from`: the address of each.
fn flights(hand: &mut Hand, count: u16, from: impl Fn(u16) -> String) -> usize {
    let before = hand.server.stats().alerts_sent;
    let mut said = 0;
    for number in 1..=count {
        let hello = hand.clear_hello();
        said += hand.send_as(peer_at(&from(number)), &hello).len();
    }
    said - usize::try_from(hand.server.stats().alerts_sent - before).unwrap()
}

/// Whether a ClientHello under the cipher spec brings a flight.
fn is_answered(hand: &mut Hand, secure: &mut Secure) -> bool {
    let sealed = hand.seal_hello(secure);
    let said = hand.send(&sealed);
    said.iter()
        .any(|flight| records(flight).0.iter().all(Record::is_ciphered))
}

fn second(number: u64) -> Duration {
    Duration::from_secs(number)
}

#[test]
fn a_sealed_hello_is_answered_though_forged_ones_used_up_the_rate_of_the_peer() {
    let (mut hand, mut secure) = connected();
    let own = |_| "10.0.0.7:40000".to_owned();
    assert_eq!(flights(&mut hand, 4, own), 4);
    assert_eq!(flights(&mut hand, 20, own), 0);
    assert_eq!(hand.server.stats().refused, 20);
    let sealed = hand.seal_hello(&mut secure);
    let said = hand.send(&sealed);
    assert_eq!(hand.state(), "OPEN, COMMIT");
    let again = hand.seal_hello_again(&mut secure);
    assert_eq!(hand.send(&again), said);
    let flight = hand.answer_resumed(&mut secure, &said[0]);
    hand.send(&flight);
    assert_eq!(hand.heard(), [b"before".to_vec(), b"after".to_vec()]);
    assert_eq!(hand.server.stats().abbreviated, 1);
}

#[test]
fn the_rate_of_a_peer_with_a_connection_recovers_one_by_one() {
    let (mut hand, _) = connected();
    let own = |_| "10.0.0.7:40000".to_owned();
    assert_eq!(flights(&mut hand, 10, own), 4);
    hand.now += Duration::from_millis(999);
    assert_eq!(flights(&mut hand, 10, own), 0);
    hand.now += Duration::from_millis(1);
    assert_eq!(flights(&mut hand, 10, own), 1);
    hand.now += second(2);
    assert_eq!(flights(&mut hand, 10, own), 2);
    hand.now += second(60);
    assert_eq!(flights(&mut hand, 10, own), 4);
}

/// The client's flight would find another handshake under way.
#[test]
fn a_forged_hello_displaces_no_handshake_under_the_cipher_spec() {
    let (mut hand, mut secure) = connected();
    let sealed = hand.seal_hello(&mut secure);
    let said = hand.send(&sealed);
    let flight = hand.answer_resumed(&mut secure, &said[0]);
    let own = |_| "10.0.0.7:40000".to_owned();
    assert_eq!(flights(&mut hand, 3, own), 0);
    assert_eq!(hand.state(), "OPEN, COMMIT");
    hand.send(&flight);
    assert_eq!(hand.heard(), [b"before".to_vec(), b"after".to_vec()]);
    // A handshake that the client does not go on with is in nobody's way after its deadline.
    let (mut hand, mut secure) = connected();
    let sealed = hand.seal_hello(&mut secure);
    hand.send(&sealed);
    hand.now += second(60);
    hand.server.handle_timeout(hand.now);
    assert_eq!(flights(&mut hand, 1, own), 1);
}

/// At a public address a record that comes again earns too little for a long flight.
#[test]
fn a_sealed_hello_that_comes_again_is_answered_though_damaged_records_came() {
    let mut hand = Hand::new(KeyExchange::RSA_ANON, false);
    hand.peer = peer_at("198.51.100.7:40000");
    let mut secure = hand.connect();
    let sealed = hand.seal_hello(&mut secure);
    let said = hand.send(&sealed);
    assert_eq!(said.len(), 1);
    let mut damaged = sealed.clone();
    damaged[1] = 0x7F;
    for _ in 0..20 {
        hand.now += second(1);
        assert_eq!(hand.send(&damaged).len(), 1);
        assert_eq!(hand.send(&sealed), said);
    }
}

#[test]
fn handshakes_of_an_address_leave_a_quarter_to_sealed_hellos() {
    let (mut hand, mut secure) = connected_under(|config| Config {
        max_handshakes_per_address: 4,
        ..config
    });
    let of_address = |number| format!("10.0.0.7:{number}");
    assert_eq!(flights(&mut hand, 4, of_address), 4);
    let more = |number| format!("10.0.0.7:{}", number + 10);
    assert_eq!(flights(&mut hand, 4, more), 0);
    assert_eq!(hand.server.stats().refused, 4);
    assert!(is_answered(&mut hand, &mut secure));
    assert_eq!(hand.server.stats().handshakes, 5);
    hand.now += second(60);
    hand.server.handle_timeout(hand.now);
    assert_eq!(hand.server.stats().handshakes, 0);
    assert_eq!(flights(&mut hand, 5, more), 4);
}

#[test]
fn handshakes_of_all_leave_a_quarter_to_sealed_hellos() {
    let (mut hand, mut secure) = connected_under(|config| Config {
        max_handshakes: 4,
        ..config
    });
    let elsewhere = |number| format!("10.0.1.{number}:9");
    assert_eq!(flights(&mut hand, 4, elsewhere), 4);
    let more = |number| format!("10.0.1.{}:9", number + 100);
    assert_eq!(flights(&mut hand, 4, more), 0);
    assert!(is_answered(&mut hand, &mut secure));
    // What is left is bounded too.
    let (count, peer) = (hand.server.stats().handshakes, hand.peer);
    assert_eq!(count, 5);
    hand.server.set_config(Arc::new(Config {
        max_handshakes: 4,
        ..Hand::config(KeyExchange::RSA_ANON, false)
    }));
    hand.now += second(60);
    hand.server.handle_timeout(hand.now);
    assert_eq!(hand.server.state_name(peer), "OPEN");
    assert_eq!(hand.server.stats().handshakes, 0);
}

#[test]
fn handshakes_that_stand_still_give_way_to_new_ones() {
    let (mut hand, _) = connected_under(|config| Config {
        max_handshakes: 4,
        ..config
    });
    assert_eq!(
        flights(&mut hand, 4, |number| format!("10.0.1.{number}:9")),
        4
    );
    let others = |number| format!("10.0.1.{}:9", number + 100);
    hand.now += second(2);
    assert_eq!(flights(&mut hand, 2, others), 0);
    hand.now += second(1);
    assert_eq!(
        flights(&mut hand, 2, |number| format!("10.0.1.{}:9", number + 200)),
        2
    );
    assert_eq!(hand.server.stats().handshakes, 4);
}

/// A server with room for 160 handshakes, and strangers who would fill it in 1.5 s.
struct Flood {
    hand: Hand,
    strangers: Hand,
    sent: u32,
}

impl Flood {
    fn new() -> Self {
        let mut hand = Hand::new(KeyExchange::RSA_ANON, false);
        hand.server.set_config(Arc::new(Config {
            max_handshakes: 160,
            ..Hand::config(KeyExchange::RSA_ANON, false)
        }));
        let strangers = Hand::new(KeyExchange::RSA_ANON, false);
        let mut flood = Self {
            hand,
            strangers,
            sent: 0,
        };
        flood.goes_on(Duration::from_secs(10));
        assert_eq!(flood.hand.server.stats().handshakes, 160);
        assert!(flood.hand.server.stats().refused > 0);
        flood
    }

    /// So many ClientHellos as come in a time, each from another address and network of
    /// 10.9.0.0/16.
    fn goes_on(&mut self, time: Duration) {
        let until = self.hand.now + time;
        while self.hand.now < until {
            self.sent += 1;
            let [_, _, high, low] = self.sent.to_be_bytes();
            let hello = self.strangers.clear_hello();
            let peer = peer_at(&format!("10.9.{low}.{high}:9"));
            let said = self.hand.send_as(peer, &hello);
            // A client repeats what nobody answers; an alert would end its handshake.
            assert!(said.iter().all(|flight| records(flight).0.len() > 1));
            self.hand.now += Duration::from_millis(9);
            self.hand.server.handle_timeout(self.hand.now);
        }
    }
}

#[test]
fn a_flood_of_hellos_from_one_region_leaves_room_to_others() {
    let mut flood = Flood::new();
    for number in 1..=20 {
        flood.hand.peer = peer_at(&format!("10.0.0.{number}:9"));
        let hello = flood.hand.clear_hello();
        assert_eq!(flood.hand.send(&hello).len(), 1, "{number} is answered");
        flood.goes_on(second(5));
        assert_eq!(flood.hand.state(), "EXCHANGE", "{number} is not displaced");
    }
    assert!(flood.hand.server.stats().handshakes <= 160);
}

/// Nothing tells the client from strangers of its own region. What helps is that it asks again.
#[test]
fn a_flood_of_hellos_from_the_own_region_costs_repetitions() {
    let mut flood = Flood::new();
    let mut answered_at_once = 0;
    for number in 1..=40 {
        flood.hand.peer = peer_at(&format!("10.9.{number}.200:40000"));
        let hello = flood.hand.clear_hello();
        let mut tries = 1;
        while flood.hand.send(&hello).is_empty() {
            flood.goes_on(second(2));
            tries += 1;
            assert!(tries <= 8, "{number} is never answered");
        }
        answered_at_once += u32::from(tries == 1);
        // Once it is answered it has its time.
        flood.goes_on(Duration::from_millis(2_900));
        assert_eq!(flood.hand.state(), "EXCHANGE", "{number} is not displaced");
    }
    assert!(answered_at_once < 40, "the flood is none");
}

#[test]
fn key_operations_of_all_leave_a_quarter_to_sealed_hellos() {
    let (mut hand, mut secure) = connected_under(|config| Config {
        key_operations: Rate {
            per_second: 1,
            burst: 8,
        },
        ..config
    });
    let elsewhere = |number| format!("10.0.1.{number}:9");
    assert_eq!(flights(&mut hand, 20, elsewhere), 8);
    assert_eq!(hand.server.stats().key_operations_refused, 12);
    assert!(is_answered(&mut hand, &mut secure));
    assert!(is_answered(&mut hand, &mut secure));
    // No more than a quarter.
    assert!(!is_answered(&mut hand, &mut secure));
    hand.now += second(1);
    // What the sealed ones took is worked off before strangers get more.
    assert_eq!(flights(&mut hand, 1, elsewhere), 0);
    assert!(is_answered(&mut hand, &mut secure));
    hand.now += second(3);
    assert_eq!(flights(&mut hand, 5, elsewhere), 1);
}

#[test]
fn key_operations_of_an_address_leave_some_to_sealed_hellos() {
    let (mut hand, mut secure) = connected_under(|config| Config {
        key_operations: Rate {
            per_second: 4,
            burst: 32,
        },
        ..config
    });
    let of_address = |number| format!("10.0.0.7:{number}");
    // A quarter of 32, and for the sealed ones a quarter of that.
    assert_eq!(flights(&mut hand, 20, of_address), 8);
    assert!(is_answered(&mut hand, &mut secure));
    assert!(is_answered(&mut hand, &mut secure));
    assert!(!is_answered(&mut hand, &mut secure));
    hand.now += second(1);
    assert_eq!(flights(&mut hand, 1, of_address), 0);
    assert!(is_answered(&mut hand, &mut secure));
    hand.now += second(3);
    assert_eq!(flights(&mut hand, 5, of_address), 1);
}
