//! Serving modes: running, isolated, draining, leaving, and the way back.

use std::net::SocketAddr;

use bytes::Bytes;
use wapbridge::gateway::push::{Push, PushId, PushOutcome, To};
use wapbridge::gateway::{Command, Mode, Redirect};
use wapbridge::handset::{self, Event, Pushes, Request, Ticket};
use wapbridge::sim::{Phone, World};
use wapbridge::wdp::Service;
use wapbridge::wsp::capability::ProtocolOptions;
use wapbridge::wsp::pdu::Method;

use super::new_world;
use crate::{content_type, gateway_config, ms, phone_config};

fn connected(world: &mut World) -> Phone {
    let mut config = handset::Config {
        pushes: Pushes::Take,
        ..phone_config()
    };
    if let Some(capabilities) = &mut config.capabilities {
        capabilities.options = ProtocolOptions::ALL;
    }
    let phone = world.handset(config);
    world.connect(phone);
    world.run_until_idle();
    assert!(matches!(world.session_events(phone), [Event::Connected(_)]));
    phone
}

fn begin(world: &mut World, phone: Phone, uri: &str) -> Ticket {
    let headers = content_type();
    let request = Request {
        method: Method::POST,
        uri,
        headers: &headers,
        body: b"<sync/>",
    };
    world.request(phone, &request)
}

/// The status of a POST.
fn post(world: &mut World, phone: Phone, path: &str) -> Option<u16> {
    let ticket = begin(world, phone, &format!("http://sync.example{path}"));
    world.run_until_idle();
    status(world, phone, ticket)
}

fn status(world: &mut World, phone: Phone, ticket: Ticket) -> Option<u16> {
    let outcomes = world.outcomes(phone).iter();
    let mut of_it = outcomes.filter(|(other, _)| *other == ticket);
    of_it.next()?.1.as_ref().ok().map(|reply| reply.status)
}

/// The status of a Get without a session, by its octet: a TID, Reply, the status (WSP 8.2.3.3).
fn unit_get(world: &mut World, tid: u8) -> u8 {
    world.origin.max_answer = 40;
    let uri = b"http://sync.example/unit";
    let mut datagram = vec![tid, 0x40, u8::try_from(uri.len()).unwrap()];
    datagram.extend_from_slice(uri);
    let from: SocketAddr = "198.51.100.7:4321".parse().unwrap();
    world.send(from, Service::Connectionless, &datagram);
    world.run_until_idle();
    let (_, reply) = world.strangers.pop().unwrap();
    assert_eq!(reply[..2], [tid, 0x04]);
    reply[2]
}

const OK: u8 = 0x20;
const UNAVAILABLE: u8 = 0x63;

#[test]
fn an_isolated_gateway_serves_only_handsets_with_a_session() {
    let mut world = new_world(1, gateway_config());
    let phone = connected(&mut world);
    world.command(Command::Enter(Mode::Isolated));

    assert_eq!(post(&mut world, phone, "/in"), Some(200));
    world.suspend(phone);
    world.run_for(ms(1_000));
    world.move_to_new_address(phone);
    world.run_until_idle();
    assert_eq!(post(&mut world, phone, "/resumed"), Some(200));
    let id = world.records[0].session.unwrap();
    world.command(Command::Push(Box::new(Push {
        id: PushId(1),
        to: To::Session {
            id,
            confirmed: true,
        },
        headers: http::HeaderMap::new(),
        body: Bytes::from_static(b"alert"),
    })));
    world.run_until_idle();
    assert!(matches!(
        world.pushed[..],
        [(PushId(1), PushOutcome::Confirmed { .. })]
    ));

    let stranger = world.handset(phone_config());
    world.connect(stranger);
    world.run_until_idle();
    assert_eq!(world.session_events(stranger), [Event::Refused(503)]);
    assert_eq!(unit_get(&mut world, 1), UNAVAILABLE);
    assert_eq!(world.origin.times_seen("/unit"), 0);

    world.command(Command::Enter(Mode::Running));
    world.connect(stranger);
    world.run_until_idle();
    assert!(matches!(
        world.session_events(stranger),
        [_, Event::Connected(_)]
    ));
    assert_eq!(unit_get(&mut world, 2), OK);
}

#[test]
fn a_draining_gateway_finishes_exchanges_and_may_run_again() {
    let mut world = new_world(2, gateway_config());
    world.origin.think = (ms(5_000), ms(5_000));
    let phone = connected(&mut world);
    let under_way = begin(&mut world, phone, "http://sync.example/under-way");
    world.run_for(ms(1_000));
    world.command(Command::Enter(Mode::Draining));
    assert!(!world.gateway.is_idle());
    world.run_until_idle();
    assert_eq!(status(&mut world, phone, under_way), Some(200));

    assert_eq!(post(&mut world, phone, "/late"), Some(503));
    assert_eq!(world.origin.times_seen("/late"), 0);
    let stranger = world.handset(phone_config());
    world.connect(stranger);
    world.run_until_idle();
    assert_eq!(world.session_events(stranger), [Event::Refused(503)]);
    assert_eq!(unit_get(&mut world, 1), UNAVAILABLE);

    world.command(Command::Enter(Mode::Running));
    assert_eq!(post(&mut world, phone, "/again"), Some(200));
    assert_eq!(unit_get(&mut world, 2), OK);
}

#[test]
fn who_is_refused_may_be_sent_elsewhere() {
    let mut config = gateway_config();
    config.drain_redirect = Redirect::new(&["192.0.2.9:9201".parse().unwrap()], 9_201, false).ok();
    for mode in [Mode::Isolated, Mode::Draining] {
        let mut world = new_world(3, config.clone());
        world.command(Command::Enter(mode));
        let phone = world.handset(phone_config());
        world.connect(phone);
        world.run_until_idle();
        assert!(
            matches!(world.session_events(phone), [Event::Redirected(0, addresses)]
                if addresses[..] == [4, 192, 0, 2, 9]),
            "{mode:?}"
        );
    }
}

/// The handset repeats an unanswered request, and the next process gets it.
#[test]
fn a_leaving_gateway_finishes_exchanges_and_leaves_new_ones_to_the_next() {
    let mut world = new_world(4, gateway_config());
    world.origin.think = (ms(2_000), ms(2_000));
    let phone = connected(&mut world);
    let under_way = begin(&mut world, phone, "http://sync.example/under-way");
    world.run_for(ms(500));
    world.command(Command::Enter(Mode::Leaving));
    let newcomer = world.handset(phone_config());
    world.connect(newcomer);
    world.run_until(|world| world.gateway.is_idle());
    assert_eq!(status(&mut world, phone, under_way), Some(200));
    assert_eq!(world.session_events(newcomer), []);
    assert_eq!(world.gateway.stats().wtp.left, 1);

    world.restart_gateway();
    world.run_until_idle();
    assert!(matches!(
        world.session_events(newcomer),
        [Event::Connected(_)]
    ));
    assert_eq!(post(&mut world, newcomer, "/new"), Some(200));
    assert_eq!(world.origin.times_seen("/new"), 1);
    assert_eq!(world.origin.times_seen("/under-way"), 1);
}

/// A Connect whose TID is being verified has begun: the next process would know nothing of the
/// verification.
#[test]
fn a_leaving_gateway_finishes_a_connect_that_waits_for_its_verification() {
    let mut config = gateway_config();
    config.wtp.verify_new_peers = true;
    let mut world = new_world(4, config);
    let newcomer = world.handset(phone_config());
    world.connect(newcomer);
    world.run_until(|world| world.gateway.stats().wtp.verifications > 0);
    assert_eq!(world.session_events(newcomer), []);
    world.command(Command::Enter(Mode::Leaving));
    world.run_until_idle();
    assert!(matches!(
        world.session_events(newcomer),
        [Event::Connected(_)]
    ));
}

#[test]
fn sessions_are_ended_a_few_at_a_time() {
    let mut world = new_world(5, gateway_config());
    let phones: Vec<Phone> = (0..5).map(|_| connected(&mut world)).collect();
    world.suspend(phones[3]);
    world.run_until_idle();
    world.command(Command::Enter(Mode::Draining));
    for left in [3, 1, 0] {
        world.command(Command::DisconnectAll(2));
        assert_eq!(world.gateway.stats().sessions, left);
    }
    world.run_until_idle();
    for (index, phone) in phones.into_iter().enumerate() {
        let told = matches!(world.session_events(phone), [.., Event::Disconnected]);
        // A suspended session has no peer for a Disconnect.
        assert_eq!(told, index != 3, "phone {index}");
    }
    // A new change of mode begins from the start.
    world.command(Command::Enter(Mode::Running));
    connected(&mut world);
    world.command(Command::DisconnectAll(2));
    assert_eq!(world.gateway.stats().sessions, 0);
}
