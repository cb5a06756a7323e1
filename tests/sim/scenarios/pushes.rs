//! Pushes from an initiator to telephones, through the whole core: connection-oriented pushes into
//! sessions, connectionless ones, requests to connect, short messages; with loss, duplicates,
//! datagrams out of order, moves and kills.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wapbridge::push::pap::{Method, Priority, Quality, Replace, Status, Submission};
use wapbridge::random::Random;
use wapbridge::sim::Network;

use super::SHARE;
use super::push_rig::{Counts, PushRig, Rules};
use crate::{ms, seeds};

/// One outcome for each recipient, told to the initiator as often as receipts were lost and once
/// more; limits hold; nothing is left over.
#[test]
fn each_recipient_has_one_outcome_whatever_the_network_does() {
    let seeds = seeds(300, SHARE);
    let mut all = Counts::default();
    for seed in seeds.clone() {
        let counts = walk(seed, Rules::Kept);
        all.accepted += counts.accepted;
        all.confirmed += counts.confirmed;
        all.unconfirmed += counts.unconfirmed;
        all.by_sms += counts.by_sms;
        all.asked_to_connect += counts.asked_to_connect;
        all.connected_when_asked += counts.connected_when_asked;
        all.kills += counts.kills;
        all.repeated += counts.repeated;
        for (sum, count) in all.states.iter_mut().zip(counts.states) {
            *sum += count;
        }
    }
    println!("seeds {seeds:?}: {all:?}");
    let count = seeds.end - seeds.start;
    // The walk goes everywhere.
    let ways = [
        all.confirmed,
        all.unconfirmed,
        all.by_sms,
        all.connected_when_asked,
        all.kills,
        all.repeated,
    ];
    if count >= 100 {
        assert!(ways.iter().all(|it| *it > count / 10), "{all:?}");
        // Delivered, undeliverable, expired, aborted, timed out, cancelled.
        let places = [2, 3, 4, 5, 6, 7];
        assert!(places.iter().all(|place| all.states[*place] > 0), "{all:?}");
    }
}

/// A rule that is broken is noticed within some seeds.
#[test]
fn the_walk_notices_broken_rules() {
    for rules in [
        Rules::ActsBeforeSaving,
        Rules::EndsNotSaved,
        Rules::NoSessionIsDelivered,
    ] {
        let is_noticed =
            |seed: &u64| catch_unwind(AssertUnwindSafe(|| walk(*seed, rules))).is_err();
        let seed = (1..200).find(is_noticed);
        println!("{rules:?}: noticed by seed {seed:?}");
        assert!(seed.is_some(), "{rules:?} is not noticed");
    }
}

fn walk(seed: u64, rules: Rules) -> Counts {
    let mut random = Random::new(seed ^ 0x7A1C);
    let network = Network::perfect()
        .loss([0.0, 0.1, 0.25][usize::try_from(seed % 3).unwrap()])
        .duplication(0.1)
        .reordering(0.1)
        .delay(ms(20))
        .jitter(ms(random.below(500)));
    let mut rig = PushRig::new(seed, rules);
    rig.kills = [0.0, 0.02, 0.06][usize::try_from(seed / 3 % 3).unwrap()];
    for index in 0..rig.telephones.len() {
        if rig.random.chance(0.6) {
            let phone = rig.telephones[index].phone;
            rig.world.connect(phone);
        }
    }
    rig.pass(2_000);
    rig.world = rig.world.network(network);
    for step in 0..24 {
        let index = rig.below(rig.telephones.len() as u64);
        let phone = rig.telephones[index].phone;
        match rig.random.below(16) {
            0..=6 => {
                let submission = submission(&mut rig, step);
                let code = rig.submit(&submission);
                let known = [
                    Status::ACCEPTED,
                    Status::SERVICE_UNAVAILABLE,
                    Status::BEARER_NOT_AVAILABLE,
                    Status::DELIVERY_METHOD,
                    Status::PUSH_ID_NOT_FOUND,
                    Status::CANCELLATION_NOT_POSSIBLE,
                    Status::BAD_REQUEST,
                ];
                assert!(known.contains(&code), "seed {seed}: {code:?}");
            }
            7 => {
                let id = rig.below(24).to_string();
                rig.cancel(&id);
            }
            8 => rig.moves(index),
            9 => rig.world.suspend(phone),
            10 => rig.world.connect(phone),
            11 => rig.world.disconnect(phone),
            12 if rig.kills > 0.0 => rig.kill(),
            _ => {
                let pause = rig.random.below(60_000);
                rig.pass(pause);
            }
        }
        let pause = rig.random.below(3_000);
        rig.pass(pause);
    }
    rig.conclude();
    rig.counts
}

fn submission(rig: &mut PushRig, step: u64) -> Submission {
    let mut addresses = Vec::new();
    for _ in 0..1 + rig.below(2) {
        let index = rig.below(rig.telephones.len() as u64);
        let address = rig.address_of(index);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let methods = [
        Method::Confirmed,
        Method::Unconfirmed,
        Method::PreferConfirmed,
        Method::NotSpecified,
    ];
    let by_sms = rig.random.chance(0.2);
    let now = rig.now();
    let mut submission = Submission {
        push_id: step.to_string(),
        addresses,
        quality: Some(Quality {
            method: methods[rig.below(4)],
            priority: [Priority::High, Priority::Medium, Priority::Low][rig.below(3)],
            bearer: by_sms.then(|| "SMS".to_owned()),
            bearer_required: by_sms && rig.random.chance(0.5),
            ..Quality::default()
        }),
        ..Submission::default()
    };
    if rig.random.chance(0.85) {
        submission.notify_to = Some("https://pi.example/results".to_owned());
    }
    if rig.random.chance(0.3) {
        submission.deliver_after = Some(now + rig.random.below(60_000));
    }
    if rig.random.chance(0.3) {
        submission.deliver_before = Some(now + 1_000 + rig.random.below(200_000));
    }
    if rig.random.chance(0.15) {
        submission.replace = Some(Replace {
            push_id: rig.below(24).to_string(),
            pending_only: rig.random.chance(0.5),
        });
    }
    submission
}
