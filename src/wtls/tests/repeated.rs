//! Flights that come again, and what the answers to them may cost.

use std::time::Duration;

use crate::wtls::KeyExchange;
use crate::wtls::tests::by_hand::{Hand, peer_at, records_of};

/// How many of so many copies of a datagram are answered.
fn answers(hand: &mut Hand, copies: usize, datagram: &[u8]) -> usize {
    (0..copies).map(|_| hand.send(datagram).len()).sum()
}

#[test]
fn a_repeated_finished_brings_four_flights_at_once_and_one_a_second() {
    let mut hand = Hand::new(KeyExchange::RSA_ANON, false);
    hand.begin();
    let (messages, mut secure) = hand.flight(None);
    let mut flight = records_of(&[&messages[0]]);
    hand.finish(&mut secure, &mut flight);
    assert_eq!(answers(&mut hand, 1, &flight), 1);
    assert_eq!(hand.state(), "OPENING");
    assert_eq!(answers(&mut hand, 4, &flight), 4);
    assert_eq!(answers(&mut hand, 50, &flight), 0);
    hand.now += Duration::from_secs(1);
    assert_eq!(answers(&mut hand, 50, &flight), 1);
    hand.now += Duration::from_secs(60);
    assert_eq!(answers(&mut hand, 50, &flight), 4);
}

#[test]
fn a_repeated_sealed_hello_brings_four_flights_at_once_and_one_a_second() {
    let mut hand = Hand::new(KeyExchange::RSA_ANON, false);
    let mut secure = hand.connect();
    let sealed = hand.seal_hello(&mut secure);
    assert_eq!(answers(&mut hand, 1, &sealed), 1);
    assert_eq!(answers(&mut hand, 4, &sealed), 4);
    assert_eq!(answers(&mut hand, 50, &sealed), 0);
    hand.now += Duration::from_secs(1);
    assert_eq!(answers(&mut hand, 50, &sealed), 1);
}

/// Somebody in the operator's network forges the address of somebody else there.
#[test]
fn a_private_address_that_proves_nothing_gets_so_many_octets_and_then_three_times_its_own() {
    let mut hand = Hand::new(KeyExchange::RSA, false);
    let hello = hand.clear_hello();
    let (mut sent, mut received) = (0, 0);
    for _ in 0..20_000 {
        sent += hello.len() + 28;
        received += hand
            .send(&hello)
            .iter()
            .map(|it| it.len() + 28)
            .sum::<usize>();
        assert!(received <= 3 * sent + (1 << 18), "{received} for {sent}");
    }
    assert!(received > 1 << 18 && hand.server.stats().withheld > 0);
    // Another address is answered at once, and this one again when it has been silent.
    let silent = hand.peer;
    hand.peer = peer_at("10.0.0.8:9");
    assert_eq!(answers(&mut hand, 1, &hello), 1);
    hand.peer = silent;
    hand.now += Duration::from_secs(121);
    assert_eq!(answers(&mut hand, 20, &hello), 20);
}

#[test]
fn a_complete_handshake_proves_a_private_address() {
    let mut hand = Hand::new(KeyExchange::RSA, false);
    let hello = hand.clear_hello();
    while hand.server.stats().withheld == 0 {
        hand.send(&hello);
    }
    // The client at another port repeats its ClientHello, and is answered in the end.
    hand.peer = peer_at("10.0.0.7:41000");
    let hello = hand.clear_hello();
    let said = (0..20).find_map(|_| hand.send(&hello).pop()).unwrap();
    hand.hear(&said);
    let (messages, mut secure) = hand.flight(None);
    let mut flight = records_of(&[&messages[0]]);
    hand.finish(&mut secure, &mut flight);
    hand.send(&flight);
    assert_eq!(hand.state(), "OPENING");
    hand.peer = peer_at("10.0.0.7:42000");
    let hello = hand.clear_hello();
    assert_eq!(answers(&mut hand, 20, &hello), 20);
}
