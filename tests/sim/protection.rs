//! Somebody forges the address of somebody else: what the other is sent for it, and what the honest
//! notice of it.

use std::sync::Arc;
use std::time::Duration;

use wapbridge::gateway::{Config, Gateway};
use wapbridge::random::Random;
use wapbridge::route::Routes;
use wapbridge::wsp::claim::ShardTopology;

use crate::rig::Rig;
use crate::rig_words::{HEADERS, connect, field, resume};

fn config() -> Config {
    Config::new(Arc::new(Routes::default()))
}

#[test]
fn a_victim_gets_no_more_than_three_times_the_forged_octets() {
    let mut rig = Rig::new(config());
    let mut random = Random::new(7);
    let mut heard = 0;
    for tid in 0..200u16 {
        // Connects, their repetitions, nonsense and methods without a session.
        let mut datagram = connect(tid & 0x3F);
        match random.below(4) {
            0 => datagram[0] |= 1,
            1 => datagram.truncate(4 + usize::try_from(random.below(5)).unwrap()),
            2 => datagram.splice(4.., [0x40, 1, b'u']).for_each(drop),
            _ => {}
        }
        heard += datagram.len() + HEADERS;
        rig.hears("10.6.6.6:4000", &datagram);
        rig.pass(Duration::from_millis(random.below(3_000)));
        assert!(rig.sent_to("10.6.6.6") <= 3 * heard);
    }
    rig.pass(Duration::from_secs(600));
    let said = rig.sent_to("10.6.6.6");
    assert!(said > 0 && said <= 3 * heard, "{said} for {heard}");
    let stats = rig.gateway.stats().protection;
    assert!(
        stats.amplification > 0,
        "nothing had to be held back: {stats:?}"
    );
}

/// 400,000 live sessions are one id in 10,700. A source that guesses as often as it is heard has 18
/// guesses in its first ten minutes and 12 an hour from then on: 37 days for one session.
#[test]
fn ids_are_not_guessed_faster_than_the_pauses_allow() {
    let mut rig = Rig::new(crate::gateway_config());
    let id = rig.connects("10.0.0.1:4000", &[]).unwrap();
    for guess in 0..30_000u32 {
        let port = 2_000 + guess % 50_000;
        let guess = resume(1, guess.wrapping_mul(40_503) + 7);
        rig.hears(&format!("10.6.6.6:{port}"), &guess);
        rig.pass(Duration::from_millis(2));
    }
    let wsp = rig.gateway.stats().wsp;
    assert!(
        wsp.unknown_session <= 15,
        "looked up: {}",
        wsp.unknown_session
    );
    assert!(wsp.resumes_paused > 20_000, "{}", wsp.resumes_paused);
    // While the source is in a pause, the right id does not help it, and others resume as ever.
    rig.hears("10.6.6.6:999", &resume(1, id));
    assert_eq!(rig.gateway.stats().wsp.resumed, 0);
    rig.hears("10.0.0.2:4000", &resume(1, id));
    assert_eq!(rig.gateway.stats().wsp.resumed, 1);
}

/// A customer with a /48 has 65,536 sources of eight free guesses each.
#[test]
fn ids_are_not_guessed_from_many_sources_of_one_network() {
    let mut rig = Rig::new(crate::gateway_config());
    let id = rig.connects("10.0.0.1:4000", &[]).unwrap();
    for guess in 0..5_000u32 {
        let source = format!("[2001:db8:1:{:x}::1]:4000", guess / 4);
        rig.hears(&source, &resume(1, guess.wrapping_mul(40_503) + 7));
        rig.pass(Duration::from_millis(2));
    }
    let looked_up = rig.gateway.stats().wsp.unknown_session;
    assert!((60..=75).contains(&looked_up), "{looked_up}");
    // Other networks resume as ever.
    rig.hears("[2001:db8:2::1]:4000", &resume(1, id));
    assert_eq!(rig.gateway.stats().wsp.resumed, 1);
}

/// Failures of 16,384 sources are counted. When there are more, the others must not guess freely.
#[test]
fn a_full_table_of_failures_does_not_make_guesses_free() {
    let mut config = crate::gateway_config();
    config.wtp.max_transactions = 100_000;
    let mut rig = Rig::new(config);
    rig.connects("10.0.0.1:4000", &[]).unwrap();
    for network in 0..17_000u32 {
        let source = format!(
            "[2001:{:x}:{:x}::1]:4000",
            0x1000 + network / 256,
            network % 256
        );
        rig.hears(&source, &resume(1, network.wrapping_mul(40_503) + 7));
    }
    let before = rig.gateway.stats().wsp.unknown_session;
    for guess in 0..1_000u32 {
        let source = format!("[2001:db8:3::1]:{}", 2_000 + guess);
        rig.hears(&source, &resume(1, guess.wrapping_mul(40_503) + 7));
        rig.pass(Duration::from_millis(2));
    }
    let looked_up = rig.gateway.stats().wsp.unknown_session - before;
    assert!(looked_up <= 1, "{looked_up} of {before}");
}

/// Somebody with the addresses of one provider fails from more of them than are counted.
#[test]
fn failures_of_one_region_leave_the_resumes_of_others() {
    let mut config = crate::gateway_config();
    config.wtp.max_transactions = 100_000;
    let mut rig = Rig::new(config);
    let resumes = |rig: &mut Rig, region: u32| {
        let from = format!("10.0.0.1:{}", 4_000 + region);
        let id = rig.connects(&from, &[]).unwrap();
        let before = rig.gateway.stats().wsp.resumed;
        rig.hears(&format!("10.{region}.0.9:4000"), &resume(2, id));
        rig.gateway.stats().wsp.resumed > before
    };
    for network in 0..17_000u32 {
        let source = format!("[2001:db8:{network:x}::1]:4000");
        rig.hears(&source, &resume(1, network.wrapping_mul(40_503) + 7));
    }
    let looked_up = rig.gateway.stats().wsp.unknown_session;
    assert!((250..=300).contains(&looked_up), "{looked_up}");
    let resumed = (1..41).filter(|region| resumes(&mut rig, *region));
    assert_eq!(resumed.count(), 40);
}

/// Guesses at sessions of other shards, which answer after a while.
#[test]
fn guesses_under_way_count_before_they_fail() {
    let mut rig = Rig::new(crate::gateway_config());
    let gateway = Gateway::new(Arc::new(crate::gateway_config()), 1, rig.now);
    rig.gateway = gateway.at(ShardTopology {
        shards: 2,
        ..ShardTopology::single()
    });
    rig.pass(Duration::from_secs(300));
    let claims = |rig: &Rig| rig.gateway.stats().wsp.claims;
    for round in 0..3 {
        let before = claims(&rig);
        for guess in 0..300u32 {
            let port = 2_000 + round * 300 + guess;
            let id = port.wrapping_mul(40_503) + 7;
            rig.hears(&format!("10.6.6.6:{port}"), &resume(1, id));
        }
        let asked = claims(&rig) - before;
        assert!(asked <= 9, "{asked} in round {round}");
        rig.pass(Duration::from_secs(20));
    }
    assert!(claims(&rig) >= 9);
    let before = claims(&rig);
    for network in 0..1_000u32 {
        let source = format!("[2001:db8:{network:x}::1]:4000");
        rig.hears(&source, &resume(1, network.wrapping_mul(40_503) + 7));
    }
    let asked = claims(&rig) - before;
    assert!((250..=256).contains(&asked), "{asked}");
}

/// Failures of forged addresses fill the tables. Resumes that are no guess go on.
#[test]
fn resumes_of_the_own_session_go_on_while_failures_are_not_counted() {
    let mut config = crate::gateway_config();
    config.wtp.max_transactions = 100_000;
    let mut rig = Rig::new(config);
    rig.identify("10.1.0.1/32", "111");
    rig.identify("10.2.0.1/32", "111");
    rig.identify("10.3.0.1/32", "333");
    let of_known = rig.connects("10.1.0.1:4000", &[]).unwrap();
    let of_unknown = rig.connects("10.4.0.1:4000", &[]).unwrap();
    for network in 0..40_000u32 {
        let (high, low) = (0x2000 + network / 256, network % 256);
        let source = format!("[{high:x}:{low:x}::1]:4000");
        rig.hears(&source, &resume(1, network.wrapping_mul(40_503) + 7));
    }
    let mut resumes = |from: &str, id: u32| {
        let before = rig.gateway.stats().wsp.resumed;
        rig.hears(from, &resume(9, id));
        rig.gateway.stats().wsp.resumed > before
    };
    assert!(!resumes("10.5.0.1:4000", of_unknown), "a guess");
    assert!(
        !resumes("10.3.0.1:4000", of_unknown),
        "a subscriber's guess"
    );
    assert!(!resumes("10.3.0.1:4000", of_known), "another subscriber");
    assert!(resumes("10.4.0.1:4000", of_unknown), "the same peer");
    assert!(resumes("10.2.0.1:4000", of_known), "the same subscriber");
}

/// Headers that no other client sends.
fn unseen(number: u32) -> Vec<u8> {
    field("X-Noise", &format!("{number:08}{}", "n".repeat(1_300)))
}

#[test]
fn one_address_does_not_take_the_room_for_headers() {
    let mut config = crate::gateway_config();
    config.wsp.max_profiles = 2 << 20;
    let mut rig = Rig::new(config);
    // Their sessions are used, so none of them gives way to a new one.
    for number in 0..4_000u32 {
        let from = format!("10.6.6.6:{}", 2_000 + number);
        if rig.connects(&from, &unseen(number)).is_some() {
            rig.gets(&from, 2);
        }
    }
    let accepted = (0..40u32).filter(|number| {
        let from = format!("10.0.0.{number}:4000");
        rig.connects(&from, &unseen(1_000_000 + number)).is_some()
    });
    assert_eq!(accepted.count(), 40);
}

#[test]
fn blind_acknowledgements_do_not_keep_others_out() {
    let mut config = crate::gateway_config();
    config.wsp.max_profiles = 1 << 20;
    config.wsp.max_sessions = 1_000;
    let mut rig = Rig::new(config);
    rig.connects("10.0.0.1:4000", &unseen(0)).unwrap();
    assert!(rig.gets("10.0.0.1:4000", 2).is_some());
    for number in 1..3_000u32 {
        let [.., high, low] = number.to_be_bytes();
        let from = format!("10.66.{high}.{low}:4000");
        let headers = if number % 2 == 0 {
            unseen(number)
        } else {
            Vec::new()
        };
        rig.connects(&from, &headers);
        rig.pass(Duration::from_millis(10));
    }
    let accepted = (2..42u32).filter(|number| {
        let from = format!("10.0.0.{number}:4000");
        let connected = rig.connects(&from, &unseen(1_000_000 + number));
        connected.is_some() && rig.gets(&from, 2).is_some()
    });
    assert_eq!(accepted.count(), 40);
    assert!(rig.gateway.stats().wsp.evicted > 1_000);
    assert!(
        rig.gets("10.0.0.1:4000", 3).is_some(),
        "a session in use is not evicted"
    );
}
