//! Several shards, and a store: sessions that move between shards and outlive a restart.

use std::net::SocketAddr;

use wapbridge::gateway::{Command, Cookies, Stats};
use wapbridge::handset::{Event, Request};
use wapbridge::random::Random;
use wapbridge::sim::{Network, Phone, World};
use wapbridge::wdp::Service;
use wapbridge::wsp::capability::ProtocolOptions;
use wapbridge::wsp::pdu::Method;

use super::{SHARE, new_world};
use crate::{content_type, gateway_config, ms, phone_config, seeds};

fn connected(world: &mut World) -> Phone {
    let mut config = phone_config();
    if let Some(capabilities) = &mut config.capabilities {
        capabilities.options = ProtocolOptions::ALL;
    }
    let phone = world.handset(config);
    world.connect(phone);
    world.run_until_idle();
    assert!(is_up(world, phone));
    phone
}

fn is_up(world: &mut World, phone: Phone) -> bool {
    matches!(
        world.session_events(phone).last(),
        Some(Event::Connected(_))
    )
}

/// Posts and waits: the status, and how often the origin saw it.
fn post(world: &mut World, phone: Phone, name: &str) -> (Option<u16>, u32) {
    let uri = format!("http://sync.example/{name}");
    let request = Request {
        method: Method::POST,
        uri: &uri,
        headers: &content_type(),
        body: b"<sync/>",
    };
    let ticket = world.request(phone, &request);
    let ended = |world: &mut World| {
        let outcomes = world.outcomes(phone).iter();
        outcomes.clone().any(|(other, _)| *other == ticket)
    };
    assert!(world.run_until(ended), "{name} never ended");
    let (_, outcome) = world.outcomes(phone).last().unwrap();
    let status = outcome.as_ref().ok().map(|reply| reply.status);
    (status, world.origin.times_seen(&format!("/{name}")))
}

fn moved(world: &mut World, phone: Phone) {
    let before = world.session_events(phone).len();
    world.move_to_new_address(phone);
    world.run_until(|world| world.session_events(phone).len() > before);
}

/// Every claim has one end, and no state is left over.
fn settled(world: &World) -> Stats {
    let stats = world.stats();
    let wsp = &stats.wsp;
    assert_eq!(
        wsp.claims,
        wsp.claims_found + wsp.claims_missed + wsp.claims_expired,
        "{wsp:?}"
    );
    assert_eq!((stats.transactions, stats.exchanges), (0, 0));
    stats
}

#[test]
fn a_session_follows_its_handset_through_all_shards() {
    let network = Network::perfect().loss(0.1).jitter(ms(100));
    let mut world = new_world(1, gateway_config()).shards(4).network(network);
    let phone = connected(&mut world);
    for n in 0..40 {
        if n % 2 == 0 {
            world.suspend(phone);
            world.run_for(ms(500));
        }
        moved(&mut world, phone);
        assert!(is_up(&mut world, phone), "move {n}");
        assert_eq!(post(&mut world, phone, &format!("at{n}")), (Some(200), 1));
    }
    world.run_until_idle();
    let stats = settled(&world);
    assert_eq!(
        (stats.sessions, stats.wsp.connected, stats.wsp.resumed),
        (1, 1, 40)
    );
    assert!(stats.wsp.handed_over >= 20, "{:?}", stats.wsp);
    assert_eq!(stats.wsp.handed_over, stats.wsp.claims_found);
    assert_eq!(
        world.origin.last().unwrap().headers["user-agent"],
        "Simulated/1.0",
        "said once, forty addresses ago"
    );
    world.disconnect(phone);
    world.run_until_idle();
    assert_eq!(
        (world.stats().sessions, world.directory().elsewhere),
        (0, 0)
    );
}

#[test]
fn cookies_follow_their_session() {
    let mut settings = gateway_config();
    settings.headers.cookies = Cookies::Gateway;
    let mut world = new_world(7, settings).shards(4);
    let set = "s=1; Path=/".parse().unwrap();
    world.origin.headers.append("set-cookie", set);
    let phone = connected(&mut world);
    assert_eq!(post(&mut world, phone, "first"), (Some(200), 1));
    world.origin.headers.clear();
    for n in 0..8 {
        moved(&mut world, phone);
        assert_eq!(post(&mut world, phone, &format!("n{n}")), (Some(200), 1));
        assert_eq!(world.origin.last().unwrap().headers["cookie"], "s=1");
    }
    assert!(world.stats().wsp.handed_over > 0);
}

#[test]
fn what_was_outstanding_ends_where_the_session_leaves() {
    let mut world = new_world(2, gateway_config()).shards(8);
    let phone = connected(&mut world);
    world.origin.think = (ms(60_000), ms(60_000));
    for _ in 0..8 {
        world.request(
            phone,
            &Request {
                method: Method::GET,
                uri: "http://sync.example/slow",
                headers: &[],
                body: b"",
            },
        );
        world.run_for(ms(1_000));
        moved(&mut world, phone);
    }
    world.run_for(ms(2_000));
    assert_eq!((world.origin.pending(), world.origin.cancelled), (0, 8));
    assert!(settled(&world).wsp.handed_over > 0);
}

/// Of two Resumes for one session that come at once, one gets it.
#[test]
fn of_two_resumes_at_once_one_gets_the_session() {
    for seed in 1..200 {
        let mut world = new_world(seed, gateway_config()).shards(8);
        let phone = connected(&mut world);
        world.move_to_new_address(phone);
        world.move_to_new_address(phone);
        world.run_until_idle();
        let stats = settled(&world);
        assert_eq!(stats.sessions, 1, "seed {seed}: {stats:?}");
        assert!(is_up(&mut world, phone), "seed {seed}");
        assert_eq!(post(&mut world, phone, "after"), (Some(200), 1));
    }
}

#[test]
fn a_session_outlives_a_restart_awake_or_asleep() {
    for shards in [1, 4] {
        let mut world = new_world(3, gateway_config()).shards(shards).stored();
        let (awake, asleep) = (connected(&mut world), connected(&mut world));
        assert_eq!(post(&mut world, awake, "before"), (Some(200), 1));
        world.suspend(asleep);
        world.run_for(ms(1_000));
        world.restart_gateway();
        assert_eq!(world.stats().sessions, 0);
        assert_eq!(post(&mut world, awake, "after"), (Some(200), 1));
        assert_eq!(
            world.origin.last().unwrap().headers["user-agent"],
            "Simulated/1.0"
        );
        // A suspended session gets SUSPEND, not DISCONNECT.
        assert_eq!(post(&mut world, asleep, "asleep"), (None, 0));
        assert_eq!(world.stats().wsp.unknown_session, 0);
        moved(&mut world, asleep);
        assert_eq!(post(&mut world, asleep, "resumed"), (Some(200), 1));
        world.run_until_idle();
        let stats = settled(&world);
        assert_eq!((stats.sessions, stats.wsp.connected), (2, 0));
        assert_eq!(world.directory().restored, 2);
    }
}

/// A copy of a POST from before the restart comes while its session is asked for and after.
#[test]
fn a_restored_session_takes_no_post_twice() {
    for seed in 1..100 {
        let network = Network::perfect()
            .loss(0.2)
            .duplication(0.3)
            .jitter(ms(800));
        let mut world = new_world(seed, gateway_config()).shards(2).stored();
        let phone = connected(&mut world);
        world = world.network(network);
        for n in 0..6 {
            let (_, seen) = post(&mut world, phone, &format!("n{n}"));
            assert!(seen <= 1, "seed {seed}: /n{n} {seen} times");
            if n % 2 == 1 {
                world.restart_gateway();
            }
        }
        world.run_until_idle();
        for n in 0..6 {
            assert!(world.origin.times_seen(&format!("/n{n}")) <= 1);
        }
        assert_eq!(world.stats().wsp.connected, 0, "nobody connected anew");
        settled(&world);
    }
}

#[test]
fn a_session_that_ended_is_not_found_again() {
    let mut world = new_world(4, gateway_config()).shards(2).stored();
    let phone = connected(&mut world);
    world.disconnect(phone);
    world.run_for(ms(1_000));
    world.restart_gateway();
    assert_eq!(post(&mut world, phone, "over"), (None, 0));
    // The same for a session whose client sent Disconnect to a gateway that had it only in the
    // store.
    let phone = connected(&mut world);
    world.restart_gateway();
    world.secure_again(phone);
    world.run_for(ms(1_000));
    world.disconnect(phone);
    world.run_for(ms(1_000));
    world.restart_gateway();
    assert_eq!(post(&mut world, phone, "over"), (None, 0));
    assert_eq!(settled(&world).sessions, 0);
}

/// No shard or store can have the session: no claim is made, and the handset gets its Abort at
/// once.
#[test]
fn a_single_gateway_claims_no_sessions() {
    let mut world = new_world(5, gateway_config());
    let phone = connected(&mut world);
    world.restart_gateway();
    moved(&mut world, phone);
    assert!(!is_up(&mut world, phone));
    assert_eq!(world.stats().wsp.claims, 0);
}

/// Resume, class 2: TID and the session's id.
fn resume(tid: u16, id: u32) -> Vec<u8> {
    let mut pdu = vec![0x0E];
    pdu.extend(tid.to_be_bytes());
    pdu.extend([0x12, 0x09]);
    let mut septets = vec![(id & 0x7F) as u8];
    let mut rest = id >> 7;
    while rest > 0 {
        septets.insert(0, 0x80 | (rest & 0x7F) as u8);
        rest >>= 7;
    }
    pdu.extend(septets);
    pdu.push(0);
    pdu
}

#[test]
fn who_guesses_ids_is_not_listened_to() {
    let mut world = new_world(6, gateway_config()).shards(2);
    world.run_for(ms(300_000));
    for n in 0..200u16 {
        let stranger = SocketAddr::from(([10, 1, 2, 3], 2_000 + n));
        let guess = resume(1, u32::from(n) * 40_503 + 7);
        world.send(stranger, Service::ConnectionMode, &guess);
        world.run_for(ms(20));
    }
    world.run_until_idle();
    let stats = settled(&world);
    // Each shard looks up some and then pauses, whether the id is its own or not.
    assert!(stats.wsp.unknown_session < 30, "{:?}", stats.wsp);
    assert!(stats.wsp.resumes_paused > 170, "{:?}", stats.wsp);
    assert_eq!(stats.wsp.unknown_session + stats.wsp.resumes_paused, 200);
    assert_eq!(world.strangers.len(), 200);
    // Other handsets are still served.
    let phone = connected(&mut world);
    moved(&mut world, phone);
    assert!(is_up(&mut world, phone));
}

/// Handsets that move, sleep, wake and leave, through loss, busy mailboxes and restarts. A session
/// lives in at most one shard (the simulator asserts it after every step), a POST arrives at most
/// once, every claim ends, and no state is left over.
#[test]
fn whatever_moves_and_whatever_is_busy_every_invariant_holds() {
    let seeds = seeds(1_000, 4 * SHARE);
    let (mut posts, mut answered, mut moves, mut resumed) = (0u32, 0u32, 0u32, 0u32);
    for seed in seeds.clone() {
        let mut random = Random::new(seed ^ 0x5A4D);
        let network = Network::perfect()
            .loss([0.0, 0.1, 0.2][usize::try_from(seed % 3).unwrap()])
            .duplication(0.05)
            .jitter(ms(random.below(600)));
        let mut world = new_world(seed, gateway_config())
            .shards(1 + u32::try_from(random.below(5)).unwrap())
            .busy([0.0, 0.05, 0.3][usize::try_from(seed / 3 % 3).unwrap()]);
        let stored = random.chance(0.5);
        if stored {
            world = world.stored();
        }
        let phones: Vec<Phone> = (0..1 + random.below(4))
            .map(|_| connected(&mut world))
            .collect();
        world = world.network(network);
        for n in 0..20 {
            let phone = phones[usize::try_from(random.below(phones.len() as u64)).unwrap()];
            match random.below(10) {
                0..4 => {
                    let name = format!("s{seed}n{n}");
                    let (status, seen) = post(&mut world, phone, &name);
                    assert!(seen <= 1, "seed {seed}: {name} was posted {seen} times");
                    assert!(status.is_none() || seen == 1, "seed {seed}: {name}");
                    posts += 1;
                    answered += u32::from(status == Some(200));
                    if status.is_none() && !world.phone(phone).is_connected() {
                        world.connect(phone);
                    }
                }
                4..7 => {
                    if random.chance(0.3) {
                        world.suspend(phone);
                        world.run_for(ms(random.below(800)));
                    }
                    world.move_to_new_address(phone);
                    if random.chance(0.3) {
                        world.run_for(ms(random.below(300)));
                        world.move_to_new_address(phone);
                    }
                    let before = world.session_events(phone).len();
                    world.run_until(|world| world.session_events(phone).len() > before);
                    moves += 1;
                    resumed += u32::from(is_up(&mut world, phone));
                }
                7 => {
                    world.disconnect(phone);
                    world.run_for(ms(random.below(500)));
                    world.connect(phone);
                }
                8 if stored && random.chance(0.3) => world.restart_gateway(),
                8 => world.command(Command::EndedElsewhere(random.u32())),
                _ => world.run_for(ms(random.below(5_000))),
            }
        }
        world.run_until_idle();
        let stats = settled(&world);
        assert_eq!(
            world.origin.pending(),
            0,
            "seed {seed}: a fetch was left over"
        );
        assert!(
            world.directory().elsewhere <= 40,
            "seed {seed}: {:?}",
            world.directory()
        );
        assert!(stats.sessions <= 60, "seed {seed}: {stats:?}");
    }
    println!(
        "seeds {seeds:?}: {posts} posts, {answered} answered; {moves} moves, {resumed} resumed"
    );
    assert!(answered * 10 > posts * 7, "{answered} of {posts}");
    assert!(resumed * 10 > moves * 7, "{resumed} of {moves}");
}
