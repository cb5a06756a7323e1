//! Session initiation requests in short messages, and what the SMS centre tells of them.

use wapbridge::push::pap::{MessageState, Method, Status};
use wapbridge::push::ppg::{Config, Ppg};
use wapbridge::push::{Bearer, Deliver, Outcome};

use super::bench::{ALICE, Bench, push};

const HOUR: u64 = 3_600_000;
const CONFIRMED: Bearer = Bearer::Session { confirmed: true };

fn bench() -> Bench {
    Bench::new(Config {
        sms: true,
        contacts: vec!["192.0.2.1:9201".parse().unwrap()],
        max_in_flight: 1,
        ..Config::default()
    })
}

/// A confirmed push to a client without a session and without an address; the request to connect.
fn asks_by_sms(bench: &mut Bench, id: &str) -> Deliver {
    assert_eq!(
        bench.submit(&push(id, ALICE, Method::Confirmed)),
        Status::ACCEPTED
    );
    for bearer in [CONFIRMED, Bearer::Sir] {
        let attempt = bench.deliver();
        assert_eq!(attempt.bearer, bearer);
        bench.ends(&attempt, Outcome::Unreachable);
    }
    let request = bench.deliver();
    assert_eq!(request.bearer, Bearer::SirBySms);
    assert_eq!(request.message.content_type(), "application/vnd.wap.sia");
    request
}

/// Lets a time pass in which the client has no session: the attempts by other ways than these.
fn nobody_connects(bench: &mut Bench, millis: u64) -> Vec<Deliver> {
    let end = bench.now + millis;
    let mut found = Vec::new();
    while bench.now < end {
        bench.pass(1_000);
        loop {
            let attempts = bench.delivers();
            if attempts.is_empty() {
                break;
            }
            for attempt in attempts {
                match attempt.bearer {
                    CONFIRMED | Bearer::Sir => bench.ends(&attempt, Outcome::Unreachable),
                    _ => found.push(attempt),
                }
            }
        }
    }
    found
}

pub(super) fn a_client_is_not_asked_again_before_the_receipt_comes() {
    let mut bench = bench();
    let request = asks_by_sms(&mut bench, "1");
    // The telephone is off for hours. Pushes to others go on: the request takes no attempt's place.
    let again = nobody_connects(&mut bench, 5 * HOUR);
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(bench.states("1")[0].0, MessageState::Pending);
    // A second push to the same client waits for the same receipt.
    bench.submit(&push("2", ALICE, Method::Confirmed));
    let again = nobody_connects(&mut bench, HOUR);
    assert!(again.is_empty(), "{again:?}");
    // It is on, and connects.
    bench.ends(&request, Outcome::Confirmed);
    bench.pass(2_000);
    let connected = bench.deliver();
    assert_eq!(connected.bearer, CONFIRMED);
    bench.ends(&connected, Outcome::Confirmed);
    assert_eq!(bench.states("1"), [(MessageState::Delivered, Status::OK)]);
}

pub(super) fn a_client_that_connects_before_the_receipt_has_its_push() {
    let mut bench = bench();
    let request = asks_by_sms(&mut bench, "1");
    bench.pass(2_000);
    let connected = bench.deliver();
    assert_eq!(connected.bearer, CONFIRMED);
    bench.ends(&connected, Outcome::Confirmed);
    assert_eq!(bench.states("1"), [(MessageState::Delivered, Status::OK)]);
    assert_eq!(bench.ppg.stats().in_flight, 0);
    // What the centre tells now changes nothing.
    let reason = "UNDELIV".to_owned();
    let permanent = true;
    bench.ends(&request, Outcome::Refused { permanent, reason });
    assert_eq!(bench.states("1"), [(MessageState::Delivered, Status::OK)]);
}

pub(super) fn a_receipt_of_failure_ends_the_push() {
    let mut bench = bench();
    let request = asks_by_sms(&mut bench, "1");
    assert!(nobody_connects(&mut bench, HOUR).is_empty());
    let reason = "the receipt says UNDELIV".to_owned();
    let permanent = true;
    bench.ends(&request, Outcome::Refused { permanent, reason });
    let expected = (MessageState::Undeliverable, Status::SERVICE_FAILURE);
    assert_eq!(bench.states("1"), [expected]);
    assert_eq!(bench.ppg.stats().in_flight, 0);
    // The next process tells it by the same bearer.
    let entries = bench.ppg.take_changes().into_iter();
    let entries = entries.filter_map(|(key, value)| Some((key, value?)));
    let entries = entries.collect();
    bench.ppg = Ppg::new(Config::default(), 8, true);
    assert!(bench.ppg.restore(bench.now, entries).is_empty());
    let told = &bench.notices()[0].document;
    assert!(told.contains("bearer=\"SMS\""), "{told}");
}

pub(super) fn without_a_receipt_the_client_is_asked_again() {
    let mut bench = bench();
    let request = asks_by_sms(&mut bench, "1");
    assert!(nobody_connects(&mut bench, 24 * HOUR).is_empty());
    // As long as the centre's receipts are waited for.
    bench.ends(&request, Outcome::Sent);
    let again = nobody_connects(&mut bench, 180_000);
    assert_eq!(again.len(), 1);
    // The centre gave the message up: nobody failed to confirm what nobody got.
    bench.ends(&again[0], Outcome::TimedOut);
    let more = nobody_connects(&mut bench, 180_000);
    assert_eq!(more.len(), 1);
    assert!(nobody_connects(&mut bench, 72 * HOUR).is_empty());
    assert_eq!(bench.states("1")[0].0, MessageState::Expired);
    bench.pass(120_000);
    bench.ppg.handle_timeout(bench.now);
    assert_eq!(bench.ppg.stats().in_flight, 0);
}

pub(super) fn a_request_that_waits_for_its_receipt_can_be_cancelled() {
    let mut bench = bench();
    let request = asks_by_sms(&mut bench, "1");
    assert_eq!(bench.cancel("1"), [Status::OK]);
    bench.ends(&request, Outcome::Confirmed);
    assert_eq!(bench.states("1")[0].0, MessageState::Cancelled);
    assert!(nobody_connects(&mut bench, HOUR).is_empty());
}
