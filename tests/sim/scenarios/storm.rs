//! Random walks: handsets that sync through loss, duplication, reordering and delay.

use wapbridge::handset::{self, Request, Ticket};
use wapbridge::random::Random;
use wapbridge::server::clock::Clock;
use wapbridge::sim::origin::answer_to;
use wapbridge::sim::{Network, Phone};
use wapbridge::time::Instant;
use wapbridge::wdp::Service;
use wapbridge::wsp::capability::ProtocolOptions;
use wapbridge::wsp::pdu::Method;

use super::{SHARE, new_world};
use crate::{content_type, gateway_config, ms, phone_config, seeds};

/// The result of a walk.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    requests: u32,
    answered: u32,
    /// Connects and requests that ended without an answer at the handset.
    gave_up: u32,
    datagrams: u64,
}

/// One walk: a few handsets, a few requests each, all invariants checked. `moving`: handsets change
/// their address, some after a Suspend and some in the middle of a request, and unknown addresses
/// send requests without a session.
fn walk(seed: u64, loss: f64, moving: bool) -> Tally {
    let mut random = Random::new(seed ^ 0x5707);
    let network = Network::perfect()
        .loss(loss)
        .duplication(0.05)
        .reordering(0.1)
        .delay(ms(random.below(400)))
        .jitter(ms(random.below(600)));
    let mut world = new_world(seed, gateway_config()).network(network);
    let mut config = phone_config();
    if let (true, Some(capabilities)) = (moving, &mut config.capabilities) {
        capabilities.options = ProtocolOptions::ALL;
    }
    let phones: Vec<Phone> = (0..1 + random.below(3))
        .map(|_| world.handset(config.clone()))
        .collect();
    let mut units: Vec<String> = Vec::new();
    let mut tally = Tally::default();
    let mut sent: Vec<(Phone, Ticket, String, Vec<u8>)> = Vec::new();

    for phone in &phones {
        world.connect(*phone);
    }
    for phone in &phones {
        world.run_until(|world| !world.session_events(*phone).is_empty());
    }
    for _ in 0..1 + random.below(4) {
        let mut waiting = Vec::new();
        for phone in &phones {
            if !matches!(
                world.session_events(*phone).last(),
                Some(handset::Event::Connected(_))
            ) {
                continue;
            }
            let uri = format!("http://sync.example/post?n={}", sent.len());
            let body: Vec<u8> = (0..random.below(16_000))
                .map(|_| random.u32().to_le_bytes()[0])
                .collect();
            let ticket = world.request(
                *phone,
                &Request {
                    method: Method::POST,
                    uri: &uri,
                    headers: &content_type(),
                    body: &body,
                },
            );
            tally.requests += 1;
            sent.push((*phone, ticket, uri, body));
            waiting.push((*phone, ticket));
        }
        if moving {
            for phone in &phones {
                if random.chance(0.3) {
                    world.run_for(ms(random.below(2_000)));
                    if random.chance(0.5) {
                        world.suspend(*phone);
                        world.run_for(ms(random.below(1_000)));
                    }
                    let before = world.session_events(*phone).len();
                    world.move_to_new_address(*phone);
                    world.run_until(|world| world.session_events(*phone).len() > before);
                }
            }
            let path = format!("/unit?n={}", units.len());
            let uri = format!("http://sync.example{path}");
            let mut datagram = vec![random.u32().to_le_bytes()[0], 0x60];
            datagram.extend([u8::try_from(uri.len()).unwrap(), 1]);
            datagram.extend_from_slice(uri.as_bytes());
            datagram.extend_from_slice(b"\x83body");
            let stranger = ([172, 16, 0, random.u32().to_le_bytes()[0]], 4_000).into();
            for _ in 0..3 {
                world.send(stranger, Service::Connectionless, &datagram);
                world.run_for(ms(random.below(2_000)));
            }
            units.push(path);
        }
        for (phone, ticket) in waiting {
            world.run_until(|world| {
                world
                    .outcomes(phone)
                    .iter()
                    .any(|(other, _)| *other == ticket)
            });
        }
    }
    world.run_until_idle();

    let context = || format!("seed {seed}, loss {loss}");
    for (phone, ticket, uri, body) in &sent {
        let path = uri.trim_start_matches("http://sync.example");
        let seen = world.origin.times_seen(path);
        let outcomes: Vec<_> = world
            .outcomes(*phone)
            .iter()
            .filter(|(other, _)| other == ticket)
            .cloned()
            .collect();
        assert!(
            seen <= 1,
            "{}: {uri} reached the origin {seen} times",
            context()
        );
        assert_eq!(
            outcomes.len(),
            1,
            "{}: {uri} ended {} times",
            context(),
            outcomes.len()
        );
        match &outcomes[0].1 {
            Ok(reply) if reply.status == 200 => {
                assert_eq!(
                    seen,
                    1,
                    "{}: {uri} was answered and not forwarded",
                    context()
                );
                assert_eq!(
                    reply.body,
                    answer_to(body, world.origin.max_answer),
                    "{}: {uri}",
                    context()
                );
                tally.answered += 1;
            }
            Ok(reply) => panic!("{}: {uri} was answered {}", context(), reply.status),
            Err(_) => tally.gave_up += 1,
        }
    }
    for path in &units {
        let seen = world.origin.times_seen(path);
        assert!(seen <= 1, "{}: {path} was posted {seen} times", context());
    }
    assert!(world.gateway.stats().sessions <= phones.len() as u64 * 2);
    for phone in &phones {
        if !matches!(
            world.session_events(*phone).first(),
            Some(handset::Event::Connected(_))
        ) {
            tally.gave_up += 1;
        }
    }
    assert_eq!(
        world.origin.pending(),
        0,
        "{}: a fetch was left over",
        context()
    );
    assert!(
        world.gateway.is_idle(),
        "{}: the gateway holds something",
        context()
    );
    let stats = world.gateway.stats();
    assert_eq!(
        stats.exchanges_begun,
        world.records.len() as u64,
        "{}",
        context()
    );
    tally.datagrams = world.datagrams();
    tally
}

/// At most one POST per transaction always, exactly one whenever the handset got a result, exactly one
/// outcome at each end; and the share that gives up stays bounded at the specification's retry limits.
#[test]
fn every_request_reaches_the_origin_at_most_once() {
    let seeds = seeds(1_000, SHARE);
    let (first, count) = (seeds.start, seeds.end - seeds.start);
    let rates = [
        (0.0, 0.0),
        (0.05, 0.005),
        (0.1, 0.01),
        (0.2, 0.02),
        (0.3, 0.06),
    ];
    let started = Clock::start();
    for (index, (loss, bound)) in rates.into_iter().enumerate() {
        let mut total = Tally::default();
        let share = count / rates.len() as u64;
        for seed in 0..share {
            let tally = walk(
                first + seed * rates.len() as u64 + index as u64,
                loss,
                false,
            );
            total.requests += tally.requests;
            total.answered += tally.answered;
            total.gave_up += tally.gave_up;
            total.datagrams += tally.datagrams;
        }
        let gave_up = f64::from(total.gave_up) / f64::from(total.requests.max(1));
        println!(
            "loss {:>3.0} %: {share} seeds, {} requests, {} answered, {:.2} % gave up, {} datagrams",
            loss * 100.0,
            total.requests,
            total.answered,
            gave_up * 100.0,
            total.datagrams
        );
        // A few seeds may lie above what is true of many: by two standard errors.
        let error = (bound / f64::from(total.requests.max(1))).sqrt();
        assert!(
            gave_up <= bound + 2.0 * error,
            "{gave_up} gave up at loss {loss}"
        );
    }
    println!("{count} seeds in {:.1?}", started.now() - Instant::ZERO);
}

/// With moving handsets and unknown addresses: at most one POST, one outcome, and no state left
/// over.
#[test]
fn moving_handsets_and_unknown_addresses_keep_every_invariant() {
    let seeds = seeds(1_000, 4 * SHARE);
    let mut total = Tally::default();
    for seed in seeds.clone() {
        let loss = [0.0, 0.05, 0.1, 0.2][usize::try_from(seed % 4).unwrap()];
        let tally = walk(seed, loss, true);
        total.requests += tally.requests;
        total.answered += tally.answered;
        total.gave_up += tally.gave_up;
    }
    println!("seeds {seeds:?}, moving: {total:?}");
    assert!(total.answered * 2 > total.requests, "{total:?}");
}

/// One seed is one history: two runs agree in everything that can be seen.
#[test]
fn a_seed_gives_the_same_history_twice() {
    for seed in 1..20 {
        for moving in [false, true] {
            let (first, second) = (walk(seed, 0.2, moving), walk(seed, 0.2, moving));
            assert_eq!(format!("{first:?}"), format!("{second:?}"));
        }
    }
}
