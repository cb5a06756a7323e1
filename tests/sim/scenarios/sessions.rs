//! Sessions under faults: handsets move, restart, send ahead of their Connect, fall silent, lose
//! every Ack.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use wapbridge::gateway::push::{Push, PushId, PushOutcome, To};
use wapbridge::gateway::{Command, Cookies};
use wapbridge::handset::{self, Event, Failure, Pushes, Request};
use wapbridge::route::Networks;
use wapbridge::sim::origin::answer_to;
use wapbridge::sim::{Network, Phone, World};
use wapbridge::wdp::Service;
use wapbridge::wsp::AbortReason;
use wapbridge::wsp::capability::{Capabilities, ProtocolOptions};
use wapbridge::wsp::pdu::Method;
use wapbridge::wtp;

use super::{late_copies, new_world};
use crate::{content_type, gateway_config, ms, phone_config};

fn get(uri: &str) -> Request<'_> {
    Request {
        method: Method::GET,
        uri,
        headers: &[],
        body: &[],
    }
}

/// A handset that asks for every facility, and for so many methods at a time.
fn able_phone(methods: u8) -> handset::Config {
    let mut capabilities = Capabilities::default()
        .with_client_sdu(0)
        .with_server_sdu(0);
    capabilities.options = ProtocolOptions::ALL;
    capabilities.method_mor = methods;
    handset::Config {
        capabilities: Some(capabilities),
        ..phone_config()
    }
}

fn connected(world: &mut World, config: handset::Config) -> Phone {
    let phone = world.handset(config);
    world.connect(phone);
    world.run_until(|world| !world.session_events(phone).is_empty());
    phone
}

fn statuses(world: &mut World, phone: Phone) -> Vec<Option<u16>> {
    world
        .outcomes(phone)
        .iter()
        .map(|(_, outcome)| outcome.as_ref().ok().map(|reply| reply.status))
        .collect()
}

#[test]
fn fifty_posts_one_at_a_time_survive_the_loss_of_every_last_ack() {
    let mut config = gateway_config();
    // Each result is one group: an address that has to prove itself needs Acks between groups.
    let networks = Networks::lines("0.0.0.0/0\n::/0").unwrap();
    config.protection.allow = Arc::new(networks.into_iter().collect());
    let mut world = new_world(1, config);
    let phone = connected(&mut world, phone_config());
    world.run_until_idle();
    // The handset's only answer to a reply is an Ack PDU (type 3).
    world.uplink_loses = |payload| payload.first().is_some_and(|octet| octet >> 3 & 0x0F == 3);
    for n in 0..50 {
        let uri = format!("http://sync.example/post?n={n}");
        let ticket = world.request(
            phone,
            &Request {
                method: Method::POST,
                uri: &uri,
                headers: &content_type(),
                body: b"<sync/>",
            },
        );
        world.run_until(|world| {
            world
                .outcomes(phone)
                .iter()
                .any(|(other, _)| *other == ticket)
        });
        assert_eq!(world.origin.times_seen(&format!("/post?n={n}")), 1);
    }
    assert_eq!(statuses(&mut world, phone), vec![Some(200); 50]);
    let stats = world.gateway.stats().wsp;
    assert_eq!((stats.too_many_methods, stats.methods), (0, 50));
    world.run_until_idle();
    assert_eq!(
        world.gateway.stats().sessions,
        1,
        "the session outlives its lost Acks"
    );
}

#[test]
fn methods_interleave_up_to_the_number_agreed_on() {
    let mut world = new_world(2, gateway_config()).network(Network::perfect().jitter(ms(200)));
    let phone = connected(&mut world, able_phone(4));
    world.origin.think = (ms(3_000), ms(9_000));
    for n in 0..5 {
        world.request(phone, &get(&format!("http://sync.example/n{n}")));
        world.run_for(ms(300));
    }
    world.run_until_idle();
    let outcomes = world.outcomes(phone).to_vec();
    let too_many = Err(Failure::Aborted(AbortReason::MOREXCEEDED));
    assert_eq!(
        outcomes
            .iter()
            .filter(|(_, outcome)| *outcome == too_many)
            .count(),
        1
    );
    assert_eq!(
        outcomes
            .iter()
            .filter(|(_, outcome)| outcome.is_ok())
            .count(),
        4
    );
    assert_eq!(world.origin.times_seen("/n4"), 0);
}

#[test]
fn a_session_idle_for_hours_costs_nothing_and_works_at_once() {
    let mut world = new_world(3, gateway_config());
    let phone = connected(&mut world, phone_config());
    world.run_for(ms(600_000));
    let before = world.datagrams();
    world.run_for(ms(11 * 3_600_000));
    assert_eq!(world.datagrams(), before, "not a datagram in eleven hours");
    world.request(phone, &get("http://sync.example/hello"));
    world.run_until_idle();
    assert_eq!(statuses(&mut world, phone), [Some(200)]);
}

#[test]
fn a_handset_that_restarts_leaves_no_session_behind() {
    let mut world = new_world(4, gateway_config());
    let phone = connected(&mut world, able_phone(4));
    world.origin.think = (ms(60_000), ms(60_000));
    world.request(phone, &get("http://sync.example/lost"));
    world.run_for(ms(1_000));
    world.restart_handset(phone);
    world.connect(phone);
    world.run_for(ms(10_000));
    assert_eq!((world.origin.pending(), world.origin.cancelled), (0, 1));
    world.origin.think = (ms(5), ms(5));
    world.request(phone, &get("http://sync.example/found"));
    world.run_until_idle();
    let stats = world.gateway.stats();
    assert_eq!((stats.sessions, stats.wsp.replaced), (1, 1));
    assert_eq!(world.origin.times_seen("/found"), 1);
}

#[test]
fn a_session_follows_its_handset_through_many_addresses() {
    let network = Network::perfect().loss(0.1).jitter(ms(100));
    let mut world = new_world(5, gateway_config()).network(network);
    let phone = connected(&mut world, able_phone(4));
    for n in 0..10 {
        if n % 2 == 0 {
            world.suspend(phone);
            world.run_for(ms(500));
        }
        let before = world.session_events(phone).len();
        world.move_to_new_address(phone);
        world.run_until(|world| world.session_events(phone).len() > before);
        assert!(matches!(
            world.session_events(phone).last(),
            Some(Event::Connected(_))
        ));
        let ticket = world.request(phone, &get(&format!("http://sync.example/at{n}")));
        world.run_until(|world| {
            world
                .outcomes(phone)
                .iter()
                .any(|(other, _)| *other == ticket)
        });
        assert_eq!(world.origin.times_seen(&format!("/at{n}")), 1);
    }
    world.run_until_idle();
    let stats = world.gateway.stats();
    assert_eq!(
        (stats.sessions, stats.wsp.resumed, stats.wsp.connected),
        (1, 10, 1)
    );
    let last = world.origin.last().unwrap();
    assert_eq!(
        last.headers["user-agent"], "Simulated/1.0",
        "said once, ten addresses ago"
    );
}

/// Invoke, class 2: TID and SDU.
fn invoke(tid: u8, sdu: &[u8]) -> Vec<u8> {
    [&[0x0E, 0x00, tid, 0x12][..], sdu].concat()
}

const CONNECT: &[u8] = &[0x01, 0x10, 0x00, 0x00];

fn get_sdu() -> Vec<u8> {
    let uri = b"http://sync.example/early";
    [&[0x40, 25][..], uri].concat()
}

#[test]
fn a_method_may_come_with_its_connect_or_before_it() {
    let phone: SocketAddr = "10.1.2.3:4000".parse().unwrap();
    let (connect, method) = (invoke(1, CONNECT), invoke(2, &get_sdu()));
    // Concatenated: length and PDU, each.
    let part = |pdu: &[u8]| [&[u8::try_from(pdu.len()).unwrap()][..], pdu].concat();
    let both = [&[0x00][..], &part(&connect), &part(&method)].concat();
    let turned = [&[0x00][..], &part(&method), &part(&connect)].concat();
    let arrivals: [&[&[u8]]; 4] = [
        &[&both],
        &[&turned],
        &[&connect, &method],
        &[&method, &connect],
    ];
    for (case, datagrams) in arrivals.iter().enumerate() {
        let mut world = new_world(6, gateway_config());
        world.run_for(ms(300_000));
        for datagram in *datagrams {
            world.send(phone, Service::ConnectionMode, datagram);
            world.run_for(ms(250));
            // An Invoke that another one overtook looks old: the gateway asks (Tve), the handset
            // confirms (Tok).
            let asked = world.strangers.last().map(|(_, octets)| octets.clone());
            if let Some([0x1C, _, tid]) = asked.as_deref() {
                world.send(phone, Service::ConnectionMode, &[0x1C, 0x00, *tid]);
            }
            world.run_for(ms(250));
        }
        assert_eq!(world.origin.times_seen("/early"), 1, "case {case}");
    }
    // No Connect comes: the method is not held for long.
    let mut world = new_world(6, gateway_config());
    world.run_for(ms(300_000));
    world.send(phone, Service::ConnectionMode, &method);
    world.run_for(ms(1_400));
    assert!(world.strangers.is_empty());
    world.run_for(ms(200));
    let (_, abort) = &world.strangers[0];
    assert_eq!(abort[..], [0x21, 0x80, 0x02, 0xE1], "Abort DISCONNECT");
}

#[test]
fn a_body_larger_than_an_sdu_goes_both_ways_in_several() {
    let network = Network::perfect().loss(0.05).jitter(ms(50));
    let mut world = new_world(7, gateway_config()).network(network);
    world.origin.max_answer = 60_000;
    let mut config = able_phone(2);
    config.wtp = wtp::Config {
        offer_extended_sar: true,
        ..wtp::Config::default()
    };
    if let Some(capabilities) = &mut config.capabilities {
        *capabilities = capabilities
            .clone()
            .with_client_sdu(3_000)
            .with_server_sdu(2_000);
        capabilities.client_message = 0;
        capabilities.server_message = 0;
    }
    let phone = connected(&mut world, config);
    for n in 0..5u8 {
        let body = vec![n; 20_000];
        let uri = format!("http://sync.example/large{n}");
        let request = Request {
            method: Method::POST,
            uri: &uri,
            headers: &content_type(),
            body: &body,
        };
        world.request(phone, &request);
        world.run_until_idle();
        let reply = world.outcomes(phone).last().unwrap().1.clone().unwrap();
        assert_eq!((reply.status, reply.body), (200, answer_to(&body, 60_000)));
        assert_eq!(world.origin.times_seen(&format!("/large{n}")), 1);
    }
}

fn push(number: u64, id: u32, confirmed: bool) -> Command {
    let mut headers = http::HeaderMap::new();
    headers.insert("content-type", "text/vnd.wap.si".parse().unwrap());
    headers.insert(
        "x-wap-application-id",
        "x-wap-application:wml.ua".parse().unwrap(),
    );
    Command::Push(Box::new(Push {
        id: PushId(number),
        to: To::Session { id, confirmed },
        headers,
        body: Bytes::from_static(b"<si/>"),
    }))
}

#[test]
fn a_push_arrives_through_loss_and_is_confirmed_once() {
    let mut world = new_world(8, gateway_config()).network(Network::perfect().loss(0.3));
    let mut config = able_phone(2);
    config.pushes = Pushes::Take;
    let phone = connected(&mut world, config);
    world.request(phone, &get("http://sync.example/hello"));
    world.run_until_idle();
    let id = world.records[0].session.unwrap();
    world.command(push(1, id, true));
    world.run_until_idle();
    assert!(matches!(
        world.pushed[..],
        [(PushId(1), PushOutcome::Confirmed { .. })]
    ));
    let pushes: Vec<_> = world
        .session_events(phone)
        .iter()
        .filter_map(|event| match event {
            Event::Pushed(pushed) => Some(pushed.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(pushes.len(), 1);
    assert_eq!(
        (&pushes[0].body[..], pushes[0].confirmed),
        (&b"<si/>"[..], true)
    );
    // A request cut off by the end of its session gets its event too.
    world.uplink_loses = |_| true;
    world.command(push(2, id, true));
    world.command(Command::Disconnect(id));
    world.run_until_idle();
    let ended = PushOutcome::Aborted(AbortReason::DISCONNECT);
    assert_eq!(world.pushed.last(), Some(&(PushId(2), ended)));
}

#[test]
fn the_gateway_keeps_cookies_for_handsets_that_cannot() {
    let mut settings = gateway_config();
    settings.headers.cookies = Cookies::Gateway;
    settings
        .headers
        .drop_to_handset
        .push("x-unwanted".parse().unwrap());
    settings
        .headers
        .drop_to_origin
        .push("user-agent".parse().unwrap());
    let mut world = new_world(9, settings);
    for (name, value) in [
        ("set-cookie", "s=1; Path=/"),
        ("x-unwanted", "1"),
        ("x-wanted", "1"),
    ] {
        world.origin.headers.append(name, value.parse().unwrap());
    }
    let phone = connected(&mut world, phone_config());
    for expected in [None, Some("s=1")] {
        world.request(phone, &get("http://sync.example/hello"));
        world.run_until_idle();
        let last = world.origin.last().unwrap();
        let cookie = last
            .headers
            .get("cookie")
            .map(|value| value.to_str().unwrap());
        assert_eq!(cookie, expected);
        assert!(!last.headers.contains_key("user-agent"));
    }
    let reply = world.outcomes(phone)[0].1.clone().unwrap();
    let has = |name: &str| reply.headers.iter().any(|(other, _)| other == name);
    assert_eq!(
        (has("x-wanted"), has("x-unwanted"), has("set-cookie")),
        (true, false, false)
    );
    // A new session starts without.
    world.connect(phone);
    world.run_until_idle();
    world.request(phone, &get("http://sync.example/hello"));
    world.run_until_idle();
    assert!(!world.origin.last().unwrap().headers.contains_key("cookie"));
}

#[test]
fn connectionless_requests_are_answered_and_posts_never_doubled() {
    let network = Network::perfect()
        .loss(0.2)
        .duplication(0.5)
        .jitter(ms(300));
    let mut world = new_world(10, gateway_config()).network(network);
    world.origin.max_answer = 40;
    let mut answered = 0;
    for n in 0..40u8 {
        let phone = SocketAddr::from(([10, 9, 8, n], 4_000));
        let uri = format!("http://sync.example/unit{n}");
        let mut datagram = vec![n, 0x60, u8::try_from(uri.len()).unwrap(), 1];
        datagram.extend_from_slice(uri.as_bytes());
        datagram.extend_from_slice(b"\x83body");
        // It asks again until it is answered, as a handset would.
        for _ in 0..4 {
            world.send(phone, Service::Connectionless, &datagram);
            world.run_for(ms(1_500));
        }
        assert!(
            world.origin.times_seen(&format!("/unit{n}")) <= 1,
            "POST {n} twice"
        );
        let mine = world
            .strangers
            .iter()
            .filter(|(peer, _)| peer.local == phone.into());
        let mine: Vec<_> = mine.collect();
        assert!(
            mine.iter()
                .all(|(_, octets)| octets[..3] == [n, 0x04, 0x20] && *octets == mine[0].1)
        );
        answered += u32::from(!mine.is_empty());
    }
    assert!(answered >= 35, "{answered} of 40");
    assert!(world.gateway.is_idle());
}

/// Datagrams of handsets during `act`, as (address, datagram).
fn overheard(world: &mut World, act: impl FnOnce(&mut World)) -> Vec<(SocketAddr, Vec<u8>)> {
    world.tap = Some(Vec::new());
    act(world);
    world.tap.take().unwrap()
}

fn post(world: &mut World, phone: Phone, uri: &str) {
    let request = Request {
        method: Method::POST,
        uri,
        headers: &content_type(),
        body: b"small",
    };
    world.request(phone, &request);
    world.run_until_idle();
}

/// A cache of two TIDs and three handsets: the first one's is forgotten, and a late copy of its POST looks
/// new. It has to be vouched for, and is not.
#[test]
fn a_late_copy_from_a_forgotten_handset_makes_no_second_post() {
    let mut config = gateway_config();
    config.wtp.tid_cache_capacity = 2;
    let mut world = new_world(1, config);
    // Long after the time in which every peer is verified.
    world.run_for(ms(1_000_000));
    let first = connected(&mut world, phone_config());
    let said = overheard(&mut world, |world| {
        post(world, first, "http://sync.example/first");
    });
    for name in ["second", "third"] {
        let phone = connected(&mut world, phone_config());
        post(&mut world, phone, &format!("http://sync.example/{name}"));
    }
    assert!(world.gateway.stats().wtp.evicted_peers > 0);
    let before = late_copies(&world);
    for (address, datagram) in said {
        world.inject(address, Service::ConnectionMode, &datagram);
    }
    world.run_until_idle();
    assert!(late_copies(&world) > before);
    assert_eq!(world.origin.times_seen("/first"), 1);
}

/// A restarted gateway knows no TID. The handset has connected again; a copy of its POST from
/// before the restart arrives.
#[test]
fn a_late_copy_after_a_restart_makes_no_second_post() {
    let mut world = new_world(1, gateway_config());
    let phone = connected(&mut world, phone_config());
    let said = overheard(&mut world, |world| {
        post(world, phone, "http://sync.example/once");
    });
    world.restart_gateway();
    world.connect(phone);
    world.run_until_idle();
    post(&mut world, phone, "http://sync.example/again");
    assert_eq!(world.origin.times_seen("/again"), 1);
    for (address, datagram) in said {
        world.inject(address, Service::ConnectionMode, &datagram);
    }
    world.run_until_idle();
    assert_eq!(world.origin.times_seen("/once"), 1);
}
