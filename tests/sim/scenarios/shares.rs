//! Hoarders: what the requests of one address, of one network and to one origin leave to others.
//! Without a session: what a request is answered with.

use std::sync::Arc;

use wapbridge::gateway::Config;
use wapbridge::gateway::fetch::RequestId;
use wapbridge::route::{RouteSettings, Routes};
use wapbridge::wdp::Service;

use super::{IS_PROVED, new_rig};
use crate::rig::Rig;

const GET: &[u8] = b"\x40\x14http://sync.example/";

fn unit(rig: &mut Rig, from: &str, payload: &[u8]) {
    rig.hears_at(Service::Connectionless, from, payload);
}

#[test]
fn slow_requests_of_one_address_leave_room_for_others() {
    let mut config = crate::gateway_config();
    config.limits.max_exchanges = 100;
    config.protection.requests.burst = 100_000;
    config.connectionless.rate = 100_000;
    config.connectionless.burst = 100_000;
    let mut rig = new_rig(config);
    for tid in 0..200 {
        unit(&mut rig, "10.1.2.3:4000", &[&[tid][..], GET].concat());
    }
    let hoarded = rig.gateway.stats().in_flight;
    assert!((40..=60).contains(&hoarded), "{hoarded}");
    for host in 0..20 {
        let other = format!("10.9.9.{host}:4000");
        unit(&mut rig, &other, &[&[1][..], GET].concat());
    }
    assert_eq!(rig.gateway.stats().in_flight, hoarded + 20);
}

#[test]
fn slow_requests_of_one_network_leave_room_for_others() {
    let mut config = unhurried();
    config.limits.max_exchanges = 100;
    let route = |from, to| RouteSettings::from_prefix(from, to).unwrap();
    config.routes = Arc::new(Routes::new(vec![
        route("http://sync.example/", "https://slow.example/"),
        route("http://sync.example/2/", "https://second.example/"),
        route("http://mail.example/", "https://quick.example/"),
    ]));
    let mut rig = new_rig(config);
    for tid in 0..4 {
        for host in 0..=255 {
            // Two origins, so that the share of one origin is not what holds.
            let uri = match host % 2 {
                0 => &b"\x40\x14http://sync.example/"[..],
                _ => b"\x40\x16http://sync.example/2/",
            };
            let from = format!("10.1.2.{host}:4000");
            unit(&mut rig, &from, &[&[tid][..], uri].concat());
        }
    }
    let hoarded = rig.gateway.stats().in_flight;
    assert!((75..=82).contains(&hoarded), "{hoarded}");
    for host in 0..12 {
        let other = format!("10.9.{host}.9:4000");
        unit(
            &mut rig,
            &other,
            &[&[1][..], b"\x40\x14http://mail.example/"].concat(),
        );
    }
    assert_eq!(rig.gateway.stats().in_flight, hoarded + 12);
}

/// Connectionless requests are not what is limited here.
fn unhurried() -> Config {
    let mut config = crate::gateway_config();
    config.protection.requests.burst = 100_000;
    config.connectionless.rate = 100_000;
    config.connectionless.burst = 100_000;
    config
}

/// A POST without a session, with so many octets.
fn post(tid: u8, octets: usize) -> Vec<u8> {
    let head = [&[tid, 0x60, 0x14, 0x01][..], &GET[2..], &[0x83]].concat();
    [head, vec![b'x'; octets]].concat()
}

#[test]
fn bodies_of_one_address_leave_octets_to_others() {
    let mut config = unhurried();
    config.limits.max_octets = 200_000;
    let mut rig = new_rig(config);
    for tid in 0..40 {
        unit(&mut rig, "10.1.2.3:4000", &post(tid, 10_000));
    }
    let hoarded = rig.gateway.stats().exchange_octets;
    assert!((80_000..=110_000).contains(&hoarded), "{hoarded}");
    for host in 0..4 {
        unit(&mut rig, &format!("10.9.9.{host}:4000"), &post(1, 10_000));
    }
    assert_eq!(rig.gateway.stats().exchange_octets, hoarded + 40_000);
}

#[test]
fn requests_to_one_slow_origin_leave_room_for_another() {
    let mut config = unhurried();
    config.limits.max_exchanges = 100;
    let route = |from, to| RouteSettings::from_prefix(from, to).unwrap();
    config.routes = Arc::new(Routes::new(vec![
        route("http://sync.example/", "https://slow.example/"),
        route("http://mail.example/", "https://quick.example/"),
    ]));
    let mut rig = new_rig(config);
    for host in 0..200 {
        let address = format!("10.1.2.{host}:4000");
        unit(&mut rig, &address, &[&[1][..], GET].concat());
    }
    let slow = rig.gateway.stats().in_flight;
    assert!((75..=82).contains(&slow), "{slow}");
    for host in 0..10 {
        let address = format!("10.9.9.{host}:4000");
        unit(&mut rig, &address, b"\x01\x40\x14http://mail.example/");
    }
    assert_eq!(rig.gateway.stats().in_flight, slow + 10);
}

#[test]
fn a_reply_is_charged_before_it_is_read() {
    let mut config = unhurried();
    config.limits.max_octets = 1_000_000;
    let mut rig = new_rig(config);
    for host in 1..=3 {
        unit(
            &mut rig,
            &format!("10.1.2.{host}:4000"),
            &[&[1][..], GET].concat(),
        );
    }
    unit(&mut rig, "10.1.2.1:4000", &[&[2][..], GET].concat());
    let waiting: Vec<RequestId> = rig.fetched.iter().map(|(id, _)| *id).collect();
    assert_eq!(waiting.len(), 4);
    let mut grants = |place: usize, octets| rig.gateway.reserve_reply(waiting[place], octets);
    assert!(grants(0, 100_000));
    // More for the same reply, in place of what it had.
    assert!(grants(0, 350_000));
    assert!(grants(1, 350_000));
    assert!(!grants(2, 350_000), "more than there is");
    assert!(!grants(3, 250_000), "more than the share of the address");
    assert!(grants(2, 100_000));
    assert_eq!(rig.gateway.stats().exchange_octets, 800_000);
    // What has come is no longer on its way. Without a session nothing waits for an
    // acknowledgement.
    rig.replies(waiting[0], 350_000);
    rig.replies(waiting[1], 1_000);
    rig.drain();
    assert_eq!(rig.gateway.stats().exchange_octets, 100_000);
    assert!(!rig.gateway.reserve_reply(waiting[0], 1), "it is over");
}

#[test]
fn a_page_of_one_packet_reaches_a_connectionless_client_whose_address_is_not_forged() {
    let mut rig = new_rig(crate::gateway_config());
    rig.origin = Some(1_300);
    let request = [&[7][..], GET].concat();
    unit(&mut rig, "10.1.2.3:4000", &request);
    assert!(rig.said_to("10.1.2.3") > 1_300);
    unit(&mut rig, "203.0.113.9:4000", &request);
    let said = rig.said_to("203.0.113.9");
    match IS_PROVED {
        true => assert!(said > 1_300, "{said}"),
        // The sender may be forged: a status in no more octets than three times the request.
        false => assert!(said > 0 && said <= 3 * request.len(), "{said}"),
    }
}

#[test]
fn an_error_without_a_session_is_no_larger_than_three_times_its_request() {
    let mut rig = new_rig(crate::gateway_config());
    for address in ["10.1.2.3", "203.0.113.9"] {
        let request = [
            5, 0x40, 9, b'h', b't', b't', b'p', b':', b'/', b'/', b'x', b'/',
        ];
        unit(&mut rig, &format!("{address}:4000"), &request);
        let said = rig.said_to(address);
        assert!(said > 0 && said <= 3 * request.len(), "{address}: {said}");
    }
}
