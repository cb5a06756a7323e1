//! Start, changes of state, and stop of a gateway.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wapbridge::handset::Event;
use wapbridge::wsp::pdu::Method;

use super::manager::{Manager, configuration};
use super::now;
use crate::support::origin::Origin;
use crate::support::phone::{Phone, config, roomy};

const ANYWHERE: &str = "connection_mode = \"127.0.0.1:0\"";
const WITH_SESSIONS: &str = "listening for WSP over WTP";

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told_the_truth() {
    let origin = Origin::start().await;
    let settings = configuration(ANYWHERE, &origin.uri(), "");
    let manager = Manager::new(&settings);
    let mut gateway = manager.start();
    assert!(manager.hears("READY=1").contains("STATUS=Running"));
    let mut phone = Phone::connect(gateway.address(WITH_SESSIONS), roomy()).await;
    assert_eq!(phone.get("http://sync.example/hello").await.status, 200);
    manager.hears("WATCHDOG=1");

    for (settings, word) in [(settings.as_str(), "reloaded"), ("[listen", "not TOML")] {
        manager.write(settings);
        gateway.signal("HUP");
        let told = manager.hears("RELOADING=1");
        assert!(told.contains("MONOTONIC_USEC="), "{told}");
        manager.hears("READY=1");
        gateway.says(word);
    }
    assert_eq!(phone.get("http://sync.example/hello").await.status, 200);

    gateway.signal("TERM");
    let told = manager.hears("STOPPING=1");
    assert!(told.contains("EXTEND_TIMEOUT_USEC=233"), "{told}");
    assert_eq!(gateway.ended().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_still_has_a_session_is_told_that_it_ends() {
    let origin = Origin::start().await;
    let manager = Manager::new(&configuration(ANYWHERE, &origin.uri(), ""));
    let mut gateway = manager.start();
    let mut phone = Phone::connect(gateway.address(WITH_SESSIONS), roomy()).await;
    // It has acknowledged its ConnectReply, or else its Connect would be under way for a while.
    assert_eq!(phone.get("http://sync.example/hello").await.status, 200);
    let asked = now();
    gateway.signal("TERM");
    assert!(matches!(phone.event().await, Event::Disconnected));
    assert_eq!(gateway.ended().code(), Some(0));
    // An idle gateway knows at once that it is.
    assert!(asked.elapsed() < Duration::from_secs(10));
}

/// One request to the admin port; status and body.
async fn tell(admin: SocketAddr, request: &str, body: &str) -> (u16, String) {
    let mut tcp = TcpStream::connect(admin).await.unwrap();
    let head = format!(
        "{request} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    tcp.write_all(head.as_bytes()).await.unwrap();
    let mut reply = String::new();
    tcp.read_to_string(&mut reply).await.unwrap();
    let status = reply.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = reply.split_once("\r\n\r\n").unwrap();
    (status, body.to_owned())
}

const TOKEN: &str = "a-token-of-this-test";

#[tokio::test(flavor = "multi_thread")]
async fn the_state_can_change_until_the_gateway_stops() {
    let origin = Origin::start().await;
    let settings = configuration(ANYWHERE, &origin.uri(), "");
    let token = format!("[admin]\ntoken = \"{TOKEN}\"\n");
    let manager = Manager::new(&settings.replace("[admin]\n", &token));
    let mut gateway = manager.start();
    let admin = gateway.address("admin: ");
    let air = gateway.address(WITH_SESSIONS);
    manager.hears("READY=1");
    let uri = "http://sync.example/hello";
    let mut phone = Phone::connect(air, roomy()).await;
    assert_eq!(phone.get(uri).await.status, 200);

    let entered = tell(admin, "PUT /state", "isolated").await;
    assert_eq!(entered, (200, "isolated\n".to_owned()));
    manager.hears("STATUS=Isolated");
    assert_eq!(tell(admin, "GET /readyz", "").await.0, 503);
    assert_eq!(phone.get(uri).await.status, 200);
    let mut late = Phone::switched_on(air, config(roomy())).await;
    assert!(matches!(late.try_to_connect().await, Event::Refused(503)));

    // No exchange is running, so the gateway is drained at once and sends Disconnects.
    let entered = tell(admin, "PUT /state", "draining").await;
    assert_eq!(entered, (200, "draining\n".to_owned()));
    assert!(matches!(phone.event().await, Event::Disconnected));
    gateway.says("drained");
    assert!(matches!(late.try_to_connect().await, Event::Refused(503)));

    let entered = tell(admin, "PUT /state", "running").await;
    assert_eq!(entered, (200, "running\n".to_owned()));
    manager.hears("STATUS=Running");
    assert_eq!(tell(admin, "GET /readyz", "").await.0, 200);
    phone.connect_again().await;
    let held = phone.begin(Method::GET, "http://sync.example/hold", &[], b"");
    let held = held.await;
    tokio::select! {
        () = origin.wait(|state| state.heard.len() == 3) => {}
        event = phone.event() => panic!("{event:?}"),
    }

    gateway.signal("TERM");
    gateway.says("SIGTERM: draining");
    assert_eq!(tell(admin, "PUT /state", "running").await.0, 503);
    assert_eq!(tell(admin, "POST /reload", "").await.0, 503);
    assert_eq!(tell(admin, "GET /state", "").await.1, "draining\n");
    origin.release();
    assert!(matches!(phone.event().await, Event::Replied(ticket, _) if ticket == held));
    assert_eq!(gateway.ended().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_never_answers_is_not_waited_for_longer_than_told() {
    let origin = Origin::start().await;
    let short = "[server]\ndrain_timeout = \"300ms\"\n";
    let manager = Manager::new(&configuration(ANYWHERE, &origin.uri(), short));
    let mut gateway = manager.start();
    let mut phone = Phone::connect(gateway.address(WITH_SESSIONS), roomy()).await;
    let uri = "http://sync.example/stall";
    let _ = phone.begin(Method::GET, uri, &[], b"").await;
    tokio::select! {
        () = origin.wait(|state| !state.heard.is_empty()) => {}
        event = phone.event() => panic!("{event:?}"),
    }
    gateway.signal("TERM");
    gateway.says("still under way after 300ms");
    assert_eq!(gateway.ended().code(), Some(0));
    // The session ended with its running exchange.
    origin.wait(|state| state.abandoned == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_means_now() {
    let origin = Origin::start().await;
    let manager = Manager::new(&configuration(ANYWHERE, &origin.uri(), ""));
    let mut gateway = manager.start();
    let mut phone = Phone::connect(gateway.address(WITH_SESSIONS), roomy()).await;
    let uri = "http://sync.example/stall";
    let _ = phone.begin(Method::GET, uri, &[], b"").await;
    tokio::select! {
        () = origin.wait(|state| !state.heard.is_empty()) => {}
        event = phone.event() => panic!("{event:?}"),
    }
    gateway.signal("TERM");
    gateway.says("SIGTERM: draining");
    gateway.signal("INT");
    gateway.says("SIGINT again: stopping at once");
    assert_eq!(gateway.ended().code(), Some(0));
}
