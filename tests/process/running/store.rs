//! Sessions across shards and across restarts, over real sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use wapbridge::handset::{Config, Event, Failure};
use wapbridge::wsp::AbortReason;
use wapbridge::wsp::capability::ProtocolOptions;
use wapbridge::wsp::pdu::Method;

use super::manager::{Manager, Process, configuration};
use super::now;
use crate::support::origin::Origin;
use crate::support::phone::{Phone, config, roomy};

const WITH_SESSIONS: &str = "listening for WSP over WTP";

/// A running gateway and where it is.
struct Running {
    process: Process,
    admin: SocketAddr,
    gateway: SocketAddr,
}

fn start(manager: &Manager) -> Running {
    let process = manager.start();
    let admin = process.address("admin: ");
    let gateway = process.address(WITH_SESSIONS);
    process.says("ready");
    Running {
        process,
        admin,
        gateway,
    }
}

impl Running {
    /// The value of a line of the metrics.
    fn metric(&self, name: &str) -> u64 {
        let mut tcp = TcpStream::connect(self.admin).unwrap();
        tcp.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut text = String::new();
        tcp.read_to_string(&mut text).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
            .parse()
            .unwrap()
    }

    /// Waits for this value; shards publish counters once a second.
    fn comes_to(&self, name: &str, value: u64) {
        let begun = now();
        while self.metric(name) != value {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{name} is {}, not {value}",
                self.metric(name)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn able() -> Config {
    let mut capabilities = roomy();
    if let Some(capabilities) = &mut capabilities {
        capabilities.options = ProtocolOptions::SESSION_RESUME;
    }
    Config {
        headers: vec![("User-Agent".into(), "Sleeper/1.0".into())],
        ..config(capabilities)
    }
}

fn listen(address: &str, shards: usize) -> String {
    format!("connection_mode = \"{address}\"\nshards = {shards}")
}

async fn posts(phone: &mut Phone, path: &str) {
    let uri = format!("http://sync.example/post/{path}");
    let reply = phone.post(&uri, "text/plain", b"hello").await;
    assert_eq!(reply.status, 200, "{path}");
}

/// Every path that the origin was asked for, sorted.
async fn heard(origin: &Origin) -> Vec<String> {
    let mut heard = Vec::new();
    origin
        .wait(|state| {
            heard.extend(state.heard.iter().map(|heard| heard.target.clone()));
            true
        })
        .await;
    heard.sort_unstable();
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_that_lands_on_another_shard_finds_its_session() {
    let origin = Origin::start().await;
    let manager = Manager::new(&configuration(&listen("127.0.0.1:0", 3), &origin.uri(), ""));
    let running = start(&manager);
    let mut phone = Phone::connect_with(running.gateway, able()).await;
    for n in 0..24 {
        if n % 2 == 0 {
            phone.suspend().await;
        }
        phone.move_on().await;
        posts(&mut phone, &format!("{n}")).await;
    }
    assert_eq!(heard(&origin).await.len(), 24, "each exactly once");
    running.comes_to("wapbridge_wsp_resumes_total", 24);
    let moved = running.metric("wapbridge_wsp_handed_over_total");
    assert!(moved > 0 && moved < 24, "{moved} of 24 landed elsewhere");
    let found = |at| running.metric(&format!("wapbridge_directory_found_total{{at=\"{at}\"}}"));
    assert_eq!(found("shard"), moved);
    running.comes_to("wapbridge_wsp_claims_ended_total{outcome=\"found\"}", moved);
    running.comes_to("wapbridge_wsp_sessions", 1);
    running.comes_to("wapbridge_wsp_connects_total", 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_outlive_a_restart_in_the_store() {
    for signal in ["TERM", "KILL"] {
        let origin = Origin::start().await;
        let store = "[store]\npath = \"state.redb\"\n";
        let configured = |address: &str| configuration(&listen(address, 2), &origin.uri(), store);
        let manager = Manager::new(&configured("127.0.0.1:0"));
        let mut running = start(&manager);
        let address = running.gateway;
        let mut awake = Phone::connect_with(address, able()).await;
        let mut asleep = Phone::connect_with(address, able()).await;
        let mut leaving = Phone::connect_with(address, able()).await;
        posts(&mut awake, "before").await;
        posts(&mut asleep, "tired").await;
        asleep.suspend().await;
        leaving.handset.disconnect(wapbridge::time::Instant::ZERO);
        // The Disconnect leaves with the next datagram.
        let _ = leaving
            .begin(Method::GET, "http://sync.example/gone", &[], b"")
            .await;
        running.comes_to("wapbridge_wsp_suspends_total", 1);
        running.comes_to(
            "wapbridge_wsp_sessions_ended_total{how=\"disconnected\"}",
            1,
        );
        running.comes_to("wapbridge_store_sessions", 2);
        running.comes_to("wapbridge_store_pending", 0);
        running.process.signal(signal);
        assert_eq!(running.process.ended().success(), signal == "TERM");

        // On the same address, as handsets know it.
        manager.write(&configured(&address.to_string()));
        let running = start(&manager);
        posts(&mut awake, "after").await;
        asleep.move_on().await;
        posts(&mut asleep, "rested").await;
        posts(&mut awake, "again").await;
        running.comes_to("wapbridge_wsp_sessions", 2);
        running.comes_to("wapbridge_directory_found_total{at=\"store\"}", 2);
        assert_eq!(
            running.metric("wapbridge_wsp_connects_total"),
            0,
            "{signal}"
        );
        assert_eq!(running.metric("wapbridge_store_errors_total"), 0);
        let once = [
            "/post/after",
            "/post/again",
            "/post/before",
            "/post/rested",
            "/post/tired",
        ];
        assert_eq!(heard(&origin).await, once, "{signal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_a_store_ends_with_its_gateway() {
    let origin = Origin::start().await;
    let configured = |address: &str| configuration(&listen(address, 2), &origin.uri(), "");
    let manager = Manager::new(&configured("127.0.0.1:0"));
    let mut running = start(&manager);
    let address = running.gateway;
    let mut phone = Phone::connect_with(address, able()).await;
    posts(&mut phone, "before").await;
    running.process.signal("KILL");
    running.process.ended();
    manager.write(&configured(&address.to_string()));
    let running = start(&manager);
    let uri = "http://sync.example/post/after";
    let ticket = phone.begin(Method::POST, uri, &[], b"hello").await;
    match phone.event().await {
        Event::Failed(failed, why) => {
            let told = Failure::Aborted(AbortReason::DISCONNECT);
            assert_eq!((failed, why), (ticket, told));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(running.metric("wapbridge_wsp_claims_total"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_used_keeps_the_gateway_from_starting() {
    let origin = Origin::start().await;
    let store = "[store]\npath = \"state.redb\"\n";
    let settings = configuration(&listen("127.0.0.1:0", 1), &origin.uri(), store);
    let manager = Manager::new(&settings);
    let running = start(&manager);
    let mut second = manager.start();
    assert_eq!(second.ended().code(), Some(1));
    let told = second.last_words();
    assert!(
        told.contains("another process") && told.contains("state.redb"),
        "{told}"
    );
    drop(running);

    let path = "[store]\npath = \"wapbridge.toml\"\n";
    manager.write(&settings.replace(store, path));
    let mut third = manager.start();
    assert_eq!(third.ended().code(), Some(1));
    let told = third.last_words();
    assert!(told.contains("no store of ours"), "{told}");
}
