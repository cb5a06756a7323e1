//! `bench`: against our own gateway, with its own origin.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::process::{Gateway, Output, configuration, run, run_in, spawn};
use crate::support::origin::Origin;

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Limits that a crowd of one machine does not reach.
const WIDE: &str = "[connectionless]\nrate = 100000\nburst = 100000\n";

#[tokio::test]
async fn every_post_is_answered_once_and_its_cost_is_reported() {
    let origin = Origin::start().await;
    let gateway = Gateway::start(&configuration(&origin.uri(), "")).await;
    let (option, pid) = (gateway.option(), gateway.pid().to_string());
    let arguments = [
        "bench",
        &option,
        "--handsets=8",
        "--sessions=40",
        "--spread",
        "--count=300",
        "--warm-up=0",
        "--json",
        "--pid",
        &pid,
        "http://sync.example.com/echo",
    ];
    let report = json(&run(&arguments).await.succeeds());
    assert_eq!(report["connect"]["done"], 48);
    assert_eq!(report["load"]["transactions"], 300);
    assert_eq!(report["load"]["errors"], serde_json::json!({}));
    let p50 = report["load"]["latency_ms"]["p50"].as_f64().unwrap();
    assert!(p50 > 0.0);
    let process = &report["processes"][0];
    assert!(process["cpu_us_per_transaction"].as_f64().unwrap() > 0.0);
    assert!(process["resident"]["connected"].as_u64().unwrap() > 1_000_000);
    assert_eq!(origin.heard("/echo").len(), 300);
}

#[tokio::test]
async fn what_gets_lost_is_repeated_and_nothing_fails() {
    let origin = Origin::start().await;
    let hasty = "[wtp]\nlong_retry = \"500ms\"\n";
    let gateway = Gateway::start(&configuration(&origin.uri(), hasty)).await;
    let option = gateway.option();
    let arguments = [
        "bench",
        &option,
        "--handsets=20",
        "--count=60",
        "--warm-up=0",
        "--loss=10",
        "--retry=500",
        "--seed=5",
        "--json",
        "http://sync.example.com/echo",
    ];
    let report = json(&run(&arguments).await.succeeds());
    assert_eq!(report["load"]["transactions"], 60);
    assert!(report["load"]["retransmissions"].as_u64().unwrap() > 0);
    // No request arrived twice, however often it was sent.
    assert_eq!(origin.heard("/echo").len(), 60);
}

#[tokio::test]
async fn an_open_loop_shows_a_stall() {
    let origin = Origin::start().await;
    let gateway = Gateway::start(&configuration(&origin.uri(), "")).await;
    let option = gateway.option();
    let arguments = [
        "bench",
        &option,
        "--handsets=200",
        "--rate=100",
        "--duration=4",
        "--warm-up=0",
        "--json",
        "http://sync.example.com/hello",
    ];
    let running = spawn(Path::new("."), &arguments, b"");
    origin
        .wait(|state| {
            state
                .heard
                .iter()
                .filter(|heard| heard.target == "/hello")
                .count()
                > 20
        })
        .await;
    gateway.signal("STOP");
    tokio::time::sleep(Duration::from_secs(1)).await;
    gateway.signal("CONT");
    let report = json(&running.await.unwrap().succeeds());
    let count = report["load"]["transactions"].as_u64().unwrap();
    assert!((399..=401).contains(&count), "{count}");
    // Latency counts from when they should have begun, so a stall of one second is seen in many.
    let latency = &report["load"]["latency_ms"];
    assert!(latency["p99"].as_f64().unwrap() > 700.0, "{latency}");
    assert!(latency["p90"].as_f64().unwrap() > 200.0, "{latency}");
}

#[tokio::test]
async fn its_own_origin_counts_along_and_errors_are_told_by_cause() {
    let directory = tempfile::tempdir().unwrap();
    let origin = "--origin=127.0.0.1:0";
    // The first run creates the authority that the gateway has to trust. The port is open and
    // silent: a closed one is refused before any load.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let gateway = format!("--gateway={}", silent.local_addr().unwrap());
    let nobody = [
        "bench",
        origin,
        &gateway,
        "--count=1",
        "--timeout=1",
        "--quiet",
    ];
    run_in(directory.path(), &nobody)
        .await
        .fails()
        .says(&["failed", "certified by bench-ca.pem"]);
    let ca = directory.path().join("bench-ca.pem");
    assert!(ca.exists());

    let upstream = free_address();
    let settings = configuration(&format!("https://{upstream}/"), WIDE).replace(
        "connection_mode = \"127.0.0.1:0\"",
        "connection_mode = \"127.0.0.1:0\"\nconnectionless = \"127.0.0.1:0\"",
    );
    let settings: String = settings
        .lines()
        .map(|line| match line.starts_with("ca_file") {
            true => format!("ca_file = \"{}\"\n", ca.display()),
            false => format!("{line}\n"),
        })
        .collect();
    let gateway = Gateway::start(&settings).await;
    let unit = gateway.line("listening for connectionless WSP").await;
    let unit = unit.split_once("address=").unwrap().1.trim().to_owned();
    let origin = format!("--origin={}", upstream.replace("localhost", "127.0.0.1"));
    let arguments = [
        "bench",
        &origin,
        "--gateway",
        &unit,
        "--connectionless",
        "--handsets=10",
        "--count=100",
        "--warm-up=0",
        "--reply-size=777",
        "--json",
    ];
    let report = json(&run_in(directory.path(), &arguments).await.succeeds());
    assert_eq!(report["mode"], "connectionless");
    assert_eq!(report["load"]["transactions"], 100);
    assert_eq!(report["origin"]["requests"], 100);

    // The same without a gateway at the port.
    let alone = [
        "bench",
        "--gateway",
        &unit,
        "--connectionless",
        "--count=5",
        "--warm-up=0",
    ];
    let output = run_in(directory.path(), &alone).await.fails();
    assert!(output.text().contains("x status 502"), "{}", output.text());
}

/// An address without a listener.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("localhost:{}", listener.local_addr().unwrap().port())
}
