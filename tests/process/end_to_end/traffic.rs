//! Traffic that works: unchanged bodies, every method, all sizes, all addresses.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use wapbridge::gateway::{self, Mode};
use wapbridge::handset::Event;
use wapbridge::route::{Pattern, Routes};
use wapbridge::wsp::pdu::Method;

use super::{Bridge, logs, route, tls};
use crate::support::origin::{Origin, octets};
use crate::support::phone::{Phone, roomy};
use crate::support::sessions;

#[tokio::test]
async fn every_recorded_message_crosses_to_the_octet_and_so_does_its_answer() {
    let origin = Origin::start().await;
    let bridge = Bridge::to(&origin.uri());
    let mut phones = tokio::task::JoinSet::new();
    for session in sessions::all() {
        let gateway = bridge.address();
        phones.spawn(async move {
            let mut phone = Phone::connect(gateway, roomy()).await;
            for exchange in session {
                let (session, number) = (&exchange.session, &exchange.number);
                let uri = format!("http://sync.example.com/syncml/{session}/{number}");
                let reply = phone
                    .post(&uri, exchange.media_type, &exchange.request)
                    .await;
                assert_eq!(reply.status, 200, "{uri}");
                assert_eq!(reply.content_type, exchange.media_type, "{uri}");
                assert_eq!(reply.body, exchange.answer, "{uri}");
            }
            phone.handset.stats().reassembled
        });
    }
    let reassembled: u64 = phones.join_all().await.into_iter().sum();
    let messages: usize = sessions::all().iter().map(Vec::len).sum();
    assert!(messages >= 70, "only {messages} messages");
    let all = u64::try_from(messages).unwrap();
    let stats = bridge.stats(|stats| stats.acknowledged == all).await;
    // Most messages are larger than a datagram, in either direction.
    assert!(reassembled > 30, "{reassembled}");
    assert!(stats.wtp.reassembled > 30, "{}", stats.wtp.reassembled);
    for exchange in sessions::all().iter().flatten() {
        let heard = origin.heard(&format!("/syncml/{}/{}", exchange.session, exchange.number));
        assert_eq!(heard.len(), 1, "exactly once");
        assert_eq!(heard[0].headers["content-type"], exchange.media_type);
    }
}

#[tokio::test]
async fn get_head_and_an_answer_without_content() {
    let origin = Origin::start().await;
    let bridge = Bridge::to(&origin.uri());
    let mut phone = Phone::connect(bridge.address(), roomy()).await;

    let reply = phone.get("http://sync.example.com/hello?x=1").await;
    assert_eq!((reply.status, &*reply.body), (200, &b"hello"[..]));
    assert_eq!(reply.content_type, "text/plain");
    assert_eq!(origin.heard("/hello?x=1").len(), 1, "the query arrives");

    let head = "http://sync.example.com/hello";
    let reply = phone.ask(Method::HEAD, head, &[], b"").await;
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    let length = ("content-length".to_owned(), b"5".to_vec());
    assert!(reply.headers.contains(&length), "{:?}", reply.headers);
    assert_eq!(origin.heard("/hello")[0].method, "HEAD");

    let reply = phone.get("http://sync.example.com/status/204").await;
    assert_eq!((reply.status, reply.body.len()), (204, 0));
}

#[tokio::test]
async fn the_end_to_end_fields_cross_and_the_gateway_names_itself() {
    let origin = Origin::start().await;
    let bridge = Bridge::to(&origin.uri());
    let mut phone = Phone::connect(bridge.address(), roomy()).await;
    let fields = [
        ("Content-Type", "application/vnd.syncml+wbxml"),
        ("x-syncml-hmac", "algorithm=MD5, username=\"u\", mac=abc="),
        ("User-Agent", "Nokia9500"),
        ("Connection", "close"),
    ];
    let uri = "http://sync.example.com/echo";
    let reply = phone.ask(Method::POST, uri, &fields, b"\x02\x00").await;
    assert_eq!(&*reply.body, b"\x02\x00");
    let heard = origin.heard("/echo").remove(0);
    assert_eq!(heard.headers["x-syncml-hmac"], fields[1].1);
    assert_eq!(heard.headers["user-agent"], "Nokia9500");
    assert!(heard.headers["via"].to_str().unwrap().contains("wapbridge"));
    assert!(!heard.headers.contains_key("connection"));
    // A handset that names no types takes them all.
    assert_eq!(heard.headers["accept"], "*/*");
}

#[tokio::test]
async fn a_large_message_is_cut_and_joined_in_both_directions() {
    let origin = Origin::start().await;
    let bridge = Bridge::to(&origin.uri());
    let mut phone = Phone::connect(bridge.address(), roomy()).await;
    let body = octets(200_000);
    let uri = "http://sync.example.com/echo";
    let reply = phone.post(uri, "application/octet-stream", &body).await;
    assert_eq!(reply.status, 200);
    assert!(reply.body == body, "{} octets came back", reply.body.len());
    assert!(
        phone.sent.len() > 140,
        "it took {} datagrams",
        phone.sent.len()
    );
}

#[tokio::test]
async fn a_page_of_1400_octets_reaches_a_client_that_has_no_session() {
    let origin = Origin::start().await;
    let bridge = Bridge::to(&origin.uri());
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(bridge.connectionless).await.unwrap();
    // S-Unit-MethodInvoke: transaction id, Get, the length of the URI, the URI, no headers.
    let uri = b"http://sync.example.com/bytes/1400";
    let request = [&[0x07, 0x40, 34], &uri[..]].concat();
    client.send(&request).await.unwrap();
    let mut reply = vec![0; 2_000];
    let received = client.recv(&mut reply);
    let len = tokio::time::timeout(Duration::from_secs(20), received).await;
    reply.truncate(len.expect("no reply").unwrap());
    assert_eq!(reply[..3], [0x07, 0x04, 0x20]);
    assert!(reply.ends_with(&octets(1_400)), "{} octets", reply.len());
    assert!(reply.len() <= 1_452, "{} octets", reply.len());
}

#[tokio::test]
async fn a_handset_that_negotiates_nothing_is_served_within_1400_octets() {
    let origin = Origin::start().await;
    let bridge = Bridge::to(&origin.uri());
    let mut phone = Phone::connect(bridge.address(), None).await;

    // The handset may send any size, and gets replies that fit the default of WSP 8.3.
    let body = octets(20_000);
    let hello = "http://sync.example.com/upload";
    let reply = phone.post(hello, "application/octet-stream", &body).await;
    assert_eq!((reply.status, &*reply.body), (200, &b"hello"[..]));
    assert_eq!(origin.heard("/upload")[0].body, body);
    let reply = phone.get("http://sync.example.com/bytes/1300").await;
    assert_eq!((reply.status, reply.body.len()), (200, 1300));

    let uri = "http://sync.example.com/bytes/1500";
    let reply = phone.get(uri).await;
    assert_eq!(reply.status, 502, "413 would blame the request");
    assert!(reply.body.len() < 100);
    let line = logs::line_about(uri).await;
    assert_eq!(line["problem"], "reply_too_large", "{line}");
    assert!(!line["remedy"].as_str().unwrap().is_empty(), "{line}");
}

#[tokio::test]
async fn the_origins_own_word_passes_unharmed() {
    let origin = Origin::start().await;
    let bridge = Bridge::to(&origin.uri());
    let mut phone = Phone::connect(bridge.address(), roomy()).await;
    for (path, status, name, value) in [
        ("status/302", 302, "Location", "https://other.example/x?y=1"),
        (
            "status/401",
            401,
            "WWW-Authenticate",
            "Basic realm=\"sync\"",
        ),
    ] {
        let reply = phone.get(&format!("http://sync.example.com/{path}")).await;
        assert_eq!(reply.status, status);
        let found = reply
            .headers
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name));
        let (_, found) = found.unwrap_or_else(|| panic!("{path}: {:?}", reply.headers));
        assert_eq!(String::from_utf8_lossy(found), value);
    }

    let reply = phone.get("http://sync.example.com/status/413").await;
    assert_eq!(reply.status, 413, "this one is the origin's word");
    let line = logs::line_about("http://sync.example.com/status/413").await;
    assert_eq!(line["problem"], serde_json::Value::Null, "{line}");

    let reply = phone.get("http://sync.example.com/cookie").await;
    let cookies: Vec<_> = reply
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        .map(|(_, value)| String::from_utf8_lossy(value))
        .collect();
    assert_eq!(cookies, ["a=1; Path=/", "b=2; Path=/; HttpOnly"]);
}

#[tokio::test]
async fn both_families_are_served_and_answered_from_the_address_asked() {
    let origin = Origin::start().await;
    let listen = ["0.0.0.0:0", "[::1]:0"];
    let bridge = Bridge::with(&listen, route(&origin.uri()));
    let [four, six] = bridge.addresses[..] else {
        panic!("{:?}", bridge.addresses);
    };
    // A connected socket receives only from the address it is connected to.
    let mut targets = vec![six];
    for ip in [[127, 0, 0, 1], [127, 0, 0, 77]] {
        targets.push((ip, four.port()).into());
    }
    for target in targets {
        let mut phone = Phone::connect(target, roomy()).await;
        let reply = phone.get("http://sync.example.com/bytes/5000").await;
        assert_eq!((reply.status, reply.body.len()), (200, 5000), "{target}");
    }
}

#[tokio::test]
async fn a_handset_that_gives_up_ends_the_upstream_request() {
    let origin = Origin::start().await;
    let bridge = Bridge::to(&origin.uri());
    let mut phone = Phone::connect(bridge.address(), roomy()).await;
    let uri = "http://sync.example.com/stall";
    let ticket = phone.begin(Method::GET, uri, &[], b"").await;
    // The phone must live on: its first request from a new address is verified.
    let arrived = origin.wait(|state| !state.heard.is_empty());
    tokio::select! {
        () = arrived => {}
        event = phone.event() => panic!("{event:?}"),
    }
    phone.abort(ticket).await;
    let gone = origin.wait(|state| state.abandoned == 1);
    tokio::time::timeout(Duration::from_secs(20), gone)
        .await
        .expect("the origin sees that nobody waits any more");
    let line = logs::line_about(uri).await;
    assert_eq!(line["ending"], "aborted", "{line}");
    assert_eq!(line["status"], 0, "it was given none: {line}");
    let stats = bridge.stats(|stats| stats.cancelled == 1).await;
    assert_eq!((stats.exchanges, stats.in_flight), (0, 0));
}

#[tokio::test]
async fn a_session_has_several_requests_under_way() {
    let origin = Origin::start().await;
    let bridge = Bridge::to(&origin.uri());
    let mut phone = Phone::connect(bridge.address(), roomy()).await;
    let held = phone
        .begin(Method::GET, "http://sync.example.com/hold", &[], b"")
        .await;
    let quick = phone
        .begin(Method::GET, "http://sync.example.com/hello", &[], b"")
        .await;
    let answered = |event| match event {
        Event::Replied(ticket, reply) => (ticket, reply),
        other => panic!("{other:?}"),
    };
    // Overtaken: the later one is answered first.
    let (first, _) = answered(phone.event().await);
    assert_eq!(first, quick);
    origin.release();
    let (second, reply) = answered(phone.event().await);
    assert_eq!((second, &*reply.body), (held, &b"held"[..]));
}

#[tokio::test]
async fn a_stopping_gateway_finishes_running_exchanges_and_refuses_new_ones() {
    let origin = Origin::start().await;
    let bridge = Bridge::to(&origin.uri());
    let mut phone = Phone::connect(bridge.address(), roomy()).await;
    let held = phone
        .begin(Method::GET, "http://sync.example.com/hold", &[], b"")
        .await;
    tokio::select! {
        () = origin.wait(|state| !state.heard.is_empty()) => {}
        event = phone.event() => panic!("{event:?}"),
    }
    let server = bridge.server.as_ref().unwrap();
    server.shards().enter(Mode::Draining).await;
    // Orders travel apart from datagrams, so the first request may still be in time.
    let late = "http://sync.example.com/hello";
    while phone.get(late).await.status != 503 {}
    let heard = origin.heard("/hello").len();
    assert_eq!(phone.get(late).await.status, 503);
    assert_eq!(origin.heard("/hello").len(), heard, "it is not fetched");
    origin.release();
    match phone.event().await {
        Event::Replied(ticket, reply) => assert_eq!((ticket, reply.status), (held, 200)),
        other => panic!("{other:?}"),
    }
    assert!(
        server.shards().drain(Duration::from_secs(20)).await,
        "all is quiet"
    );
}

#[tokio::test]
async fn a_handset_without_a_session_is_served_on_the_other_port() {
    let origin = Origin::start().await;
    let bridge = Bridge::to(&origin.uri());
    let handset = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    handset.connect(bridge.connectionless).await.unwrap();
    // S-Unit-MethodInvoke: a TID, Get, the URI's length, the URI (WSP 8.2.3.1).
    let uri = b"http://sync.example.com/hello?unit";
    let mut datagram = vec![0x77, 0x40, u8::try_from(uri.len()).unwrap()];
    datagram.extend_from_slice(uri);
    handset.send(&datagram).await.unwrap();
    let mut reply = [0; 1500];
    let receiving = handset.recv(&mut reply);
    let len = tokio::time::timeout(Duration::from_secs(20), receiving).await;
    let reply = &reply[..len.unwrap().unwrap()];
    // The same TID, Reply, 200 OK; the body stands at the end.
    assert_eq!(reply[..3], [0x77, 0x04, 0x20], "{reply:02x?}");
    assert!(reply.ends_with(b"hello"), "{reply:02x?}");
    assert_eq!(origin.heard("/hello?unit").len(), 1);
}

/// The port or the MIME type distinguishes Release 99 handsets from newer ones (TS 27.103 clause
/// 5.8): one URI, two origins. The ports are known once the gateway is bound, so its routes are
/// loaded again then.
#[tokio::test]
async fn one_uri_leads_to_two_origins_by_port_and_by_media_type() {
    let (newer, older) = (Origin::start().await, Origin::start().await);
    let bridge = Bridge::with(&["127.0.0.1:0", "127.0.0.1:0"], route(&newer.uri()));
    let [first, second] = bridge.addresses[..] else {
        panic!("{:?}", bridge.addresses);
    };
    let mut by_port = route(&older.uri());
    by_port.condition.local_ports = vec![second.port()];
    let mut by_type = route(&older.uri());
    by_type.condition.media_types = vec![Pattern::new("text/x-vcard")];
    let routes = Routes::new(vec![by_port, by_type, route(&newer.uri())]);
    let config = gateway::Config::new(Arc::new(routes));
    let server = bridge.server.as_ref().unwrap();
    server.shards().reload(&config, tls()).await;

    let syncml = "application/vnd.syncml+wbxml";
    let mut phone = Phone::connect(first, roomy()).await;
    assert_eq!(
        phone
            .post("http://sync.example.com/echo?1", syncml, b"x")
            .await
            .status,
        200
    );
    assert_eq!(
        phone
            .post("http://sync.example.com/echo?2", "text/x-vcard", b"x")
            .await
            .status,
        200
    );
    let mut other = Phone::connect(second, roomy()).await;
    assert_eq!(
        other
            .post("http://sync.example.com/echo?3", syncml, b"x")
            .await
            .status,
        200
    );
    let seen = |origin: &Origin, target: &str| origin.heard(target).len();
    for (target, by_newer, by_older) in [("/echo?1", 1, 0), ("/echo?2", 0, 1), ("/echo?3", 0, 1)] {
        assert_eq!(seen(&newer, target), by_newer, "{target}");
        assert_eq!(seen(&older, target), by_older, "{target}");
    }
}
