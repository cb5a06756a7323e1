//! How exchanges end: every fetch in exactly one reply or one cancel, every POST at most once at the origin.

use std::time::Duration;

use wapbridge::gateway;
use wapbridge::gateway::record::Ending;
use wapbridge::handset::{Event, Request, Ticket};
use wapbridge::route::{RouteSettings, Routes};
use wapbridge::sim::{Network, Phone, World};
use wapbridge::wsp::capability::ProtocolOptions;
use wapbridge::wsp::pdu::Method;

use super::new_world;
use crate::{content_type, gateway_config, ms, phone_config};

fn post(world: &mut World, phone: Phone, uri: &str, body: &[u8]) -> Ticket {
    let headers = content_type();
    let request = Request {
        method: Method::POST,
        uri,
        headers: &headers,
        body,
    };
    world.request(phone, &request)
}

fn connected(world: &mut World) -> Phone {
    let mut config = phone_config();
    if let Some(capabilities) = &mut config.capabilities {
        capabilities.options = ProtocolOptions::SESSION_RESUME;
    }
    let phone = world.handset(config);
    world.connect(phone);
    world.run_until(|world| !world.session_events(phone).is_empty());
    assert!(matches!(world.session_events(phone), [Event::Connected(_)]));
    phone
}

/// Each fetch that began has ended, in one way.
#[track_caller]
fn assert_all_ended(world: &World) {
    let origin = &world.origin;
    let begun = origin.requests.len() as u64;
    assert_eq!(begun, origin.answered + origin.cancelled);
    assert_eq!(origin.pending(), 0);
    assert_eq!(world.gateway.stats().in_flight, 0);
}

/// TS 27.103 5.7: the client's end, in any form, ends the request at the server.
#[test]
fn whatever_ends_an_exchange_cancels_its_fetch_once() {
    type End = fn(&mut World, Phone, Ticket);
    let ends: [(&str, End, Ending); 5] = [
        (
            "abort",
            |world, phone, ticket| world.abort(phone, ticket),
            Ending::Aborted,
        ),
        (
            "disconnect",
            |world, phone, _| world.disconnect(phone),
            Ending::SessionEnded,
        ),
        (
            "suspend",
            |world, phone, _| world.suspend(phone),
            Ending::SessionEnded,
        ),
        (
            "resume",
            |world, phone, _| world.move_to_new_address(phone),
            Ending::SessionEnded,
        ),
        (
            "connect anew",
            |world, phone, _| world.connect(phone),
            Ending::SessionEnded,
        ),
    ];
    for (name, end, ending) in ends {
        let mut world = new_world(1, gateway_config());
        world.origin.think = (ms(90_000), ms(90_000));
        let phone = connected(&mut world);
        let ticket = post(&mut world, phone, "http://sync.example/slow", b"x");
        world.run_for(ms(5_000));
        assert_eq!(world.origin.pending(), 1, "{name}");
        end(&mut world, phone, ticket);
        world.run_for(ms(15_000));
        assert_eq!(
            (world.origin.pending(), world.origin.cancelled),
            (0, 1),
            "{name}"
        );
        world.run_for(ms(200_000));
        assert_eq!(
            (world.origin.answered, world.origin.cancelled),
            (0, 1),
            "{name}"
        );
        assert_all_ended(&world);
        let endings: Vec<Ending> = world.records.iter().map(|record| record.ending).collect();
        assert_eq!(endings, [ending], "{name}");
    }
}

/// The server does not answer in time: the handset gets a status, and starts again.
#[test]
fn after_a_504_the_handset_starts_again() {
    let mut world = new_world(1, gateway_config());
    world.origin.think = (ms(10_000_000), ms(10_000_000));
    let phone = connected(&mut world);
    let began = world.now();
    post(&mut world, phone, "http://sync.example/first", b"x");
    world.run_until(|world| !world.outcomes(phone).is_empty());
    assert_eq!(world.outcomes(phone)[0].1.as_ref().unwrap().status, 504);
    assert!(world.now().since(began) < Duration::from_secs(125));
    world.origin.think = (ms(5), ms(50));
    post(&mut world, phone, "http://sync.example/again", b"x");
    world.run_until_idle();
    assert_eq!(world.outcomes(phone)[1].1.as_ref().unwrap().status, 200);
    assert_all_ended(&world);
}

#[test]
fn hold_on_acknowledgements_keep_an_origin_of_minutes_alive() {
    let mut route =
        RouteSettings::from_prefix("http://sync.example/", "https://origin.example/").unwrap();
    route.limits.timeout = Duration::from_secs(900);
    let config = gateway::Config {
        routes: Routes::new(vec![route]).into(),
        ..gateway_config()
    };
    let mut world = new_world(1, config).network(Network::perfect().loss(0.1).delay(ms(200)));
    world.origin.think = (ms(600_000), ms(600_000));
    let phone = connected(&mut world);
    post(&mut world, phone, "http://sync.example/slow", b"x");
    world.run_until(|world| !world.outcomes(phone).is_empty());
    assert_eq!(world.outcomes(phone)[0].1.as_ref().unwrap().status, 200);
    world.run_until_idle();
    assert_eq!(world.origin.times_seen("/slow"), 1);
    assert_all_ended(&world);
}

#[test]
fn copies_and_late_copies_of_a_post_make_no_second_one() {
    for seed in 0..30 {
        let network = Network::perfect()
            .duplication(1.0)
            .reordering(0.5)
            .loss(0.1)
            .delay(ms(200))
            .jitter(ms(2_000));
        let mut world = new_world(seed, gateway_config()).network(network);
        world.origin.think = (ms(5), ms(20_000));
        let phone = connected(&mut world);
        for number in 0..4 {
            let uri = format!("http://sync.example/post?n={number}");
            post(&mut world, phone, &uri, &[7; 3_000]);
            world.run_until(|world| world.outcomes(phone).len() > number);
        }
        world.run_until_idle();
        for number in 0..4 {
            let seen = world.origin.times_seen(&format!("/post?n={number}"));
            assert!(seen <= 1, "seed {seed}: {seen} times");
        }
        assert_all_ended(&world);
    }
}

/// A resend is a new transaction with the same message, which only the server can recognise.
#[test]
fn a_message_that_the_client_sends_again_is_a_new_post() {
    let mut world = new_world(1, gateway_config());
    let phone = connected(&mut world);
    for _ in 0..2 {
        post(
            &mut world,
            phone,
            "http://sync.example/same",
            b"the same message",
        );
        world.run_until_idle();
    }
    assert_eq!(world.origin.times_seen("/same"), 2);
    assert_all_ended(&world);
}

#[test]
fn the_phases_of_an_exchange_are_measured() {
    let network = Network::perfect().delay(ms(300));
    let mut world = new_world(1, gateway_config()).network(network);
    world.origin.think = (ms(7_000), ms(7_000));
    let phone = connected(&mut world);
    post(&mut world, phone, "http://sync.example/timed", &[7; 8_000]);
    world.run_until_idle();
    let record = &world.records[0];
    assert_eq!(record.upstream_time(), Some(ms(7_000)));
    // The packets of a group arrive together; the handset's acknowledgement takes a round trip.
    assert!(record.air_in_time().unwrap() < ms(700));
    assert!(record.air_out_time().unwrap() >= ms(600));
    assert!(record.air.unwrap().octets_in > 8_000);
}
