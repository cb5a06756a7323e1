//! What an address, or a subscriber, may have, and what others do not get of it.

use std::sync::Arc;
use std::time::Duration;

use wapbridge::gateway::protection::Rate;
use wapbridge::gateway::{Config, Cookies};
use wapbridge::route::Routes;
use wapbridge::wdp::Peer;

use super::{IS_PROVED, new_rig};
use crate::rig::Rig;
use crate::rig_words::{ack, connect, field, resume};

fn config() -> Config {
    Config::new(Arc::new(Routes::default()))
}

#[test]
fn requests_beyond_their_rate_are_aborted_where_the_address_is_proved() {
    let mut rig = new_rig(Config {
        protection: wapbridge::gateway::protection::Config {
            requests: Rate {
                per_second: 1,
                burst: 3,
            },
            ..Default::default()
        },
        ..config()
    });
    // The honest connect and acknowledge.
    rig.hears("10.0.0.1:4000", &connect(1));
    rig.hears("10.0.0.1:4000", &[0x18, 0, 1]);
    rig.said.clear();
    let get = |tid: u8| [0x0E, 0, tid, 0x12, 0x40, 1, b'u'];
    for tid in 2..6 {
        rig.hears("10.0.0.1:4000", &get(tid));
        rig.hears("10.6.6.6:4000", &get(tid));
    }
    let aborts = |rig: &Rig, address: &str| {
        let address: std::net::IpAddr = address.parse().unwrap();
        // Abort, provider, CAPTEMPEXCEEDED.
        let refused = |(peer, octets): &&(Peer, Vec<u8>)| {
            peer.remote.ip() == address && octets[0] == 0x20 && octets[3] == 0x07
        };
        rig.said.iter().filter(refused).count()
    };
    assert_eq!(aborts(&rig, "10.0.0.1"), 2);
    // Another that has no session may be forged, and gets no answer.
    assert_eq!(aborts(&rig, "10.6.6.6"), usize::from(IS_PROVED));
    assert_eq!(rig.gateway.stats().protection.requests, 3);
    // Later there is room again.
    rig.pass(Duration::from_secs(10));
    rig.said.clear();
    rig.hears("10.0.0.1:4000", &get(9));
    assert_eq!(aborts(&rig, "10.0.0.1"), 0);
}

#[test]
fn one_address_has_so_many_sessions_and_no_more() {
    let mut config = config();
    config.wsp.max_sessions_per_address = 2;
    let mut rig = new_rig(config);
    for port in 4_000..4_005 {
        let peer = format!("10.0.0.1:{port}");
        rig.hears(&peer, &connect(1));
        rig.hears(&peer, &[0x18, 0, 1]);
    }
    rig.hears("10.0.0.2:4000", &connect(1));
    let stats = rig.gateway.stats();
    assert_eq!((stats.sessions, stats.wsp.congested), (3, 3));
}

#[test]
fn another_subscriber_does_not_get_the_session() {
    let mut rig = new_rig(crate::gateway_config());
    rig.identify("10.0.0.1/32", "111");
    rig.identify("10.6.6.6/32", "666");
    let headers = field("Authorization", "Bearer secret");
    let id = rig.connects("10.0.0.1:4000", &headers).unwrap();
    let request = rig.gets("10.0.0.1:4000", 2).unwrap();
    assert_eq!(request.headers["authorization"], "Bearer secret");
    rig.hears("10.6.6.6:4000", &resume(1, id));
    let wsp = rig.gateway.stats().wsp;
    assert_eq!((wsp.resumed, wsp.other_subscriber), (0, 1));
    assert!(
        rig.gets("10.0.0.1:4000", 3).is_some(),
        "the session was not touched"
    );
    // The address is given to another subscriber, who finds the port in use.
    rig.identify("10.0.0.1/32", "777");
    let request = rig.gets("10.0.0.1:4000", 4).unwrap();
    assert_eq!(request.headers.get("authorization"), None);
    assert_eq!(rig.gateway.stats().wsp.other_subscriber, 2);
}

#[test]
fn credentials_and_cookies_do_not_follow_to_an_unknown_subscriber() {
    let mut config = crate::gateway_config();
    config.headers.cookies = Cookies::Gateway;
    let mut rig = new_rig(config);
    rig.identify("10.0.0.1/32", "111");
    let headers = [
        field("X-Model", "A"),
        field("Authorization", "Bearer secret"),
        field("X-Last", "B"),
    ]
    .concat();
    let id = rig.connects("10.0.0.1:4000", &headers).unwrap();
    assert!(rig.gets("10.0.0.1:4000", 2).is_some());
    let request = rig.gets("10.0.0.1:4000", 3).unwrap();
    assert_eq!(request.headers["authorization"], "Bearer secret");
    assert_eq!(request.headers["cookie"], "login=victim");
    rig.hears("10.6.6.6:4000", &resume(1, id));
    rig.hears("10.6.6.6:4000", &ack(1));
    assert_eq!(rig.gateway.stats().wsp.resumed, 1);
    let request = rig.gets("10.6.6.6:4000", 4).unwrap();
    assert_eq!(request.headers.get("authorization"), None);
    assert_eq!(request.headers.get("cookie"), None);
    assert_eq!(request.headers["x-model"], "A");
    assert_eq!(request.headers["x-last"], "B");
}

/// Class 2 Invoke of a Post in one packet, with so many octets.
fn early_post(octets: usize) -> Vec<u8> {
    let uri = b"http://sync.example/x";
    let mut post = vec![0x0E, 0, 1, 0x12, 0x60, u8::try_from(uri.len()).unwrap(), 1];
    post.extend_from_slice(uri);
    post.push(0x83);
    post.resize(post.len() + octets, b'x');
    post
}

#[test]
fn methods_ahead_of_their_connect_leave_octets_to_others() {
    let mut config = crate::gateway_config();
    config.wsp.max_early_octets = 40_000;
    let mut rig = new_rig(config);
    for port in 0..40 {
        rig.hears(&format!("10.6.6.6:{}", 4_000 + port), &early_post(1_200));
    }
    let held = rig.gateway.stats().wsp.early;
    assert!((7..=8).contains(&held), "{held}");
    for host in 0..10 {
        rig.hears(&format!("10.0.0.{host}:4000"), &early_post(1_200));
    }
    assert_eq!(rig.gateway.stats().wsp.early, held + 10);
    // One method larger than a share is held, if there is room.
    rig.pass(Duration::from_secs(60));
    let before = rig.gateway.stats().wsp.early;
    rig.hears("10.0.0.99:4000", &early_post(12_000));
    assert_eq!(rig.gateway.stats().wsp.early, before + 1);
}
