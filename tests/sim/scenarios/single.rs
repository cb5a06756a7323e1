//! Single behaviours, each on its own seed: in clear text, and through the secure port.

use wapbridge::gateway::fetch::Reply;
use wapbridge::gateway::record::Ending;
use wapbridge::handset::{Event, Failure, Request};
use wapbridge::sim::Network;
use wapbridge::wsp::AbortReason;
use wapbridge::wsp::capability::{Capabilities, ProtocolOptions};
use wapbridge::wsp::pdu::Method;

use super::new_world;
use crate::{content_type, gateway_config, ms, phone_config};

fn get(uri: &str) -> Request<'_> {
    Request {
        method: Method::GET,
        uri,
        headers: &[],
        body: &[],
    }
}

#[test]
fn a_session_is_set_up_used_and_ended() {
    let mut world = new_world(1, gateway_config());
    let phone = world.handset(phone_config());
    world.connect(phone);
    world.run_until_idle();
    assert!(matches!(world.session_events(phone), [Event::Connected(_)]));
    world.request(phone, &get("http://sync.example/hello"));
    world.run_until_idle();
    let (_, outcome) = &world.outcomes(phone)[0];
    assert_eq!(outcome.as_ref().unwrap().status, 200);
    assert_eq!(world.origin.times_seen("/hello"), 1);
    assert_eq!(world.gateway.stats().sessions, 1);
    world.disconnect(phone);
    world.run_until_idle();
    assert_eq!(world.gateway.stats().sessions, 0);
    assert_eq!(world.records[0].ending, Ending::Acknowledged);
}

#[test]
fn a_uri_no_route_matches_is_refused_and_never_fetched() {
    let mut world = new_world(1, gateway_config());
    let phone = world.handset(phone_config());
    world.connect(phone);
    world.run_until_idle();
    for uri in [
        "http://sync.example.evil/",
        "http://sync.example@evil/",
        "http://elsewhere/",
        "nonsense",
    ] {
        world.request(phone, &get(uri));
        world.run_until_idle();
    }
    let statuses: Vec<u16> = world
        .outcomes(phone)
        .iter()
        .map(|(_, outcome)| outcome.as_ref().unwrap().status)
        .collect();
    assert_eq!(&statuses[..3], [403, 403, 403]);
    assert!(matches!(statuses[3], 400 | 403));
    assert!(world.records.iter().all(|record| record.fetched.is_none()));
}

#[test]
fn more_fields_than_a_request_can_have_are_refused_and_not_fatal() {
    let mut world = new_world(1, gateway_config());
    let phone = world.handset(phone_config());
    world.connect(phone);
    world.run_until_idle();
    // More than an `http::HeaderMap` can hold, in far less than a message may have.
    let headers: Vec<_> = (0..40_000)
        .map(|number| (format!("x{number:x}"), "1".to_owned()))
        .collect();
    let request = Request {
        headers: &headers,
        ..get("http://sync.example/hello")
    };
    world.request(phone, &request);
    world.run_until_idle();
    world.request(phone, &get("http://sync.example/hello"));
    world.run_until_idle();
    let statuses: Vec<u16> = world
        .outcomes(phone)
        .iter()
        .map(|(_, outcome)| outcome.as_ref().unwrap().status)
        .collect();
    assert_eq!(statuses, [400, 200]);
    assert_eq!(world.origin.times_seen("/hello"), 1);
}

#[test]
fn a_session_does_not_hold_more_headers_than_handsets_have() {
    let mut world = new_world(1, gateway_config());
    let mut config = phone_config();
    config
        .headers
        .push(("X-Profile".into(), "x".repeat(100_000)));
    let phone = world.handset(config);
    world.connect(phone);
    world.run_until_idle();
    let refused = Failure::Aborted(AbortReason::MRUEXCEEDED);
    assert_eq!(world.session_events(phone), [Event::ConnectFailed(refused)]);
    assert_eq!(world.gateway.stats().sessions, 0);
    assert_eq!(world.gateway.stats().wsp.too_large, 1);
}

#[test]
fn a_size_that_fits_no_reply_counts_as_the_default() {
    let mut config = phone_config();
    let mut wanted = Capabilities::default().with_client_sdu(16);
    wanted.options = ProtocolOptions::LARGE_DATA;
    wanted.client_message = 0;
    config.capabilities = Some(wanted);
    config.wtp.offer_extended_sar = true;
    let mut world = new_world(1, gateway_config());
    world.origin.script = Some(Box::new(|_| {
        Ok(Reply {
            status: http::StatusCode::OK,
            headers: http::HeaderMap::new(),
            body: vec![7; 4_000].into(),
            trailers: None,
        })
    }));
    let phone = world.handset(config);
    world.connect(phone);
    world.run_until_idle();
    let before = world.datagrams();
    world.request(phone, &get("http://sync.example/large"));
    world.run_until_idle();
    // Fragments have the default size. Fragments of 16 octets would be 250.
    assert_eq!(world.outcomes(phone)[0].1.as_ref().unwrap().status, 200);
    let datagrams = world.datagrams() - before;
    assert!(datagrams < 30, "{datagrams}");
}

#[test]
fn a_handset_that_negotiates_nothing_is_served() {
    let mut world = new_world(1, gateway_config());
    let mut config = phone_config();
    config.capabilities = None;
    config.headers.clear();
    world.origin.max_answer = 1_000;
    let phone = world.handset(config);
    world.connect(phone);
    world.run_until_idle();
    let body = vec![7; 7_000];
    world.request(
        phone,
        &Request {
            method: Method::POST,
            uri: "http://sync.example/post",
            headers: &content_type(),
            body: &body,
        },
    );
    world.run_until_idle();
    assert_eq!(world.outcomes(phone)[0].1.as_ref().unwrap().status, 200);
}

#[test]
fn an_abort_cancels_the_upstream_request() {
    let mut world = new_world(1, gateway_config());
    world.origin.think = (ms(60_000), ms(60_000));
    let phone = world.handset(phone_config());
    world.connect(phone);
    world.run_until_idle();
    let ticket = world.request(phone, &get("http://sync.example/slow"));
    world.run_for(ms(5_000));
    assert_eq!(world.origin.pending(), 1);
    world.abort(phone, ticket);
    world.run_for(ms(1_000));
    assert_eq!((world.origin.pending(), world.origin.cancelled), (0, 1));
    assert_eq!(world.records[0].ending, Ending::Aborted);
}

#[test]
fn a_slow_origin_does_not_cost_the_transaction() {
    let mut world = new_world(1, gateway_config());
    world.origin.think = (ms(29_000), ms(29_500));
    let phone = world.handset(phone_config());
    world.connect(phone);
    world.run_until_idle();
    world.request(phone, &get("http://sync.example/slow"));
    world.run_until_idle();
    assert_eq!(world.outcomes(phone)[0].1.as_ref().unwrap().status, 200);
}

#[test]
fn an_origin_that_never_answers_gives_504_in_time() {
    let mut world = new_world(1, gateway_config());
    world.origin.think = (ms(10_000_000), ms(10_000_000));
    let phone = world.handset(phone_config());
    world.connect(phone);
    world.run_until_idle();
    world.request(phone, &get("http://sync.example/never"));
    world.run_until(|world| !world.outcomes(phone).is_empty());
    assert_eq!(world.outcomes(phone)[0].1.as_ref().unwrap().status, 504);
    assert_eq!(world.origin.cancelled, 1);
}

#[test]
fn a_method_without_a_session_is_aborted_and_the_handset_connects_again() {
    let mut world = new_world(1, gateway_config());
    let phone = world.handset(phone_config());
    world.connect(phone);
    world.run_until_idle();
    world.restart_gateway();
    world.request(phone, &get("http://sync.example/hello"));
    world.run_until_idle();
    let (_, outcome) = &world.outcomes(phone)[0];
    assert_eq!(outcome, &Err(Failure::Aborted(AbortReason::DISCONNECT)));
    assert_eq!(world.origin.times_seen("/hello"), 0);
    world.connect(phone);
    world.run_until_idle();
    world.request(phone, &get("http://sync.example/hello"));
    world.run_until_idle();
    assert_eq!(world.outcomes(phone)[1].1.as_ref().unwrap().status, 200);
}

#[test]
fn a_new_connect_of_the_same_peer_replaces_the_old_session() {
    let mut world = new_world(1, gateway_config());
    let phone = world.handset(phone_config());
    world.connect(phone);
    world.run_until_idle();
    world.connect(phone);
    world.run_until_idle();
    assert_eq!(world.gateway.stats().sessions, 1);
    assert_eq!(world.gateway.stats().wsp.replaced, 1);
}

#[test]
fn a_session_is_resumed_from_another_address() {
    let mut world = new_world(1, gateway_config());
    let mut config = phone_config();
    if let Some(capabilities) = &mut config.capabilities {
        capabilities.options = ProtocolOptions::SESSION_RESUME;
    }
    let phone = world.handset(config);
    world.connect(phone);
    world.run_until_idle();
    world.origin.think = (ms(60_000), ms(60_000));
    world.request(phone, &get("http://sync.example/left-behind"));
    world.run_for(ms(1_000));
    world.move_to_new_address(phone);
    world.run_for(ms(1_000));
    assert_eq!(
        world.origin.cancelled, 1,
        "what was under way ends with the Resume"
    );
    world.origin.think = (ms(5), ms(5));
    world.request(phone, &get("http://sync.example/after"));
    world.run_for(ms(5_000));
    let stats = world.gateway.stats();
    assert_eq!((stats.sessions, stats.wsp.resumed), (1, 1));
    assert_eq!(world.origin.times_seen("/after"), 1);
}

#[test]
fn an_idle_session_is_forgotten_after_its_time() {
    let mut config = gateway_config();
    config.wsp.idle_timeout = ms(3_600_000);
    let mut world = new_world(1, config);
    let phone = world.handset(phone_config());
    world.connect(phone);
    world.run_for(ms(3_000_000));
    world.request(phone, &get("http://sync.example/hello"));
    world.run_for(ms(3_000_000));
    assert_eq!(world.gateway.stats().sessions, 1, "it was used meanwhile");
    world.run_for(ms(3_600_000));
    assert_eq!(world.gateway.stats().sessions, 0);
    assert_eq!(world.gateway.stats().wsp.expired, 1);
}

#[test]
fn an_origin_in_trouble_is_a_502_to_the_handset() {
    // The origin's stand-in answers more than the handset can take.
    let mut world = new_world(3, gateway_config());
    let mut config = phone_config();
    if let Some(capabilities) = &mut config.capabilities {
        capabilities.client_sdu = 200;
    }
    world.origin.max_answer = 100_000;
    let phone = world.handset(config);
    world.connect(phone);
    world.run_until_idle();
    world.request(phone, &get("http://sync.example/large"));
    world.run_until_idle();
    assert_eq!(world.outcomes(phone)[0].1.as_ref().unwrap().status, 502);
}

#[test]
fn sixteen_handsets_on_a_narrow_link_all_get_their_answers() {
    let network = Network::perfect()
        .rate(40_000, 60_000)
        .delay(ms(150))
        .loss(0.02);
    let mut world = new_world(9, gateway_config()).network(network);
    let phones: Vec<_> = (0..16).map(|_| world.handset(phone_config())).collect();
    for phone in &phones {
        world.connect(*phone);
    }
    for phone in &phones {
        world.run_until(|world| !world.session_events(*phone).is_empty());
    }
    for phone in &phones {
        world.request(*phone, &get("http://sync.example/all"));
    }
    world.run_until_idle();
    for phone in &phones {
        assert_eq!(world.outcomes(*phone).len(), 1);
    }
    assert_eq!(world.origin.times_seen("/all"), 16);
}

#[test]
fn octets_under_way_are_bounded() {
    let mut config = gateway_config();
    config.limits.max_octets = 10_000;
    let mut world = new_world(1, config);
    world.origin.think = (ms(5_000), ms(5_000));
    world.origin.max_answer = 100;
    let phones: Vec<_> = (0..3).map(|_| world.handset(phone_config())).collect();
    for phone in &phones {
        world.connect(*phone);
        world.run_until_idle();
    }
    let body = vec![7; 4_000];
    for phone in &phones {
        world.request(
            *phone,
            &Request {
                method: Method::POST,
                uri: "http://sync.example/post",
                headers: &content_type(),
                body: &body,
            },
        );
    }
    world.run_until_idle();
    let mut statuses: Vec<u16> = phones
        .iter()
        .map(|phone| world.outcomes(*phone)[0].1.as_ref().unwrap().status)
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 503]);
    assert_eq!(world.gateway.stats().exchange_octets, 0);
    // There is room again.
    world.request(phones[0], &get("http://sync.example/after"));
    world.run_until_idle();
    assert_eq!(
        world
            .outcomes(phones[0])
            .last()
            .unwrap()
            .1
            .as_ref()
            .unwrap()
            .status,
        200
    );
}

#[test]
fn a_reload_reaches_every_layer() {
    let mut world = new_world(1, gateway_config());
    let mut config = gateway_config();
    config.wsp.max_sessions = 1;
    config.wtp.max_message = 1_000;
    world.command(wapbridge::gateway::Command::Reload(config.into()));
    let phones: Vec<_> = (0..2).map(|_| world.handset(phone_config())).collect();
    for phone in &phones {
        world.connect(*phone);
        world.run_until_idle();
    }
    assert_eq!(world.gateway.stats().sessions, 1);
    world.request(
        phones[0],
        &Request {
            method: Method::POST,
            uri: "http://sync.example/post",
            headers: &content_type(),
            body: &[7; 4_000],
        },
    );
    world.run_until_idle();
    assert!(world.outcomes(phones[0])[0].1.is_err());
    assert_eq!(world.gateway.stats().wtp.refused_message, 1);
}

#[test]
fn octets_that_wait_for_a_connect_are_bounded() {
    let mut config = gateway_config();
    config.wsp.max_early_octets = 5_000;
    let mut world = new_world(1, config);
    world.run_for(ms(1_000_000));
    for _ in 0..2 {
        let phone = world.handset(phone_config());
        world.request(
            phone,
            &Request {
                method: Method::POST,
                uri: "http://sync.example/post",
                headers: &content_type(),
                body: &[7; 3_000],
            },
        );
    }
    world.run_until_idle();
    let stats = world.gateway.stats().wsp;
    assert_eq!((stats.early, stats.unknown_session), (1, 2));
    assert_eq!(world.origin.times_seen("/post"), 0);
}

/// 256 packets of 1,400 octets are 358,400; the handset has no extended SAR.
#[test]
fn a_large_page_reaches_a_handset_without_extended_sar_in_larger_packets() {
    let mut world = new_world(1, gateway_config());
    let phone = world.handset(phone_config());
    world.connect(phone);
    world.run_until_idle();
    world.origin.script = Some(Box::new(|_| page(400_000)));
    world.request(phone, &get("http://sync.example/large"));
    world.run_until_idle();
    let (_, outcome) = &world.outcomes(phone)[0];
    let reply = outcome.as_ref().unwrap();
    assert_eq!((reply.status, reply.body.len()), (200, 400_000));
    assert_eq!(world.records[0].ending, Ending::Acknowledged);
}

/// A handset that names no Maximum Group takes packets of 1,405 octets.
#[test]
fn a_page_that_no_transaction_carries_is_a_502_that_names_the_limit() {
    let mut world = new_world(1, gateway_config());
    let mut config = phone_config();
    config.wtp.receive_group = None;
    let phone = world.handset(config);
    world.connect(phone);
    world.run_until_idle();
    world.origin.script = Some(Box::new(|_| page(400_000)));
    world.request(phone, &get("http://sync.example/large"));
    world.run_until_idle();
    let (_, outcome) = &world.outcomes(phone)[0];
    assert_eq!(outcome.as_ref().unwrap().status, 502);
    let record = &world.records[0];
    assert_eq!((record.status, record.reply_octets), (Some(502), 0));
    let detail = record.detail.as_deref().unwrap();
    assert!(detail.contains("unannounced_group"), "{detail}");
}

fn page(octets: usize) -> Result<Reply, wapbridge::gateway::fetch::FetchError> {
    Ok(Reply {
        status: http::StatusCode::OK,
        headers: http::HeaderMap::new(),
        body: vec![b'x'; octets].into(),
        trailers: None,
    })
}
