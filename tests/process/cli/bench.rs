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
async fn stages_are_followed_and_files_have_every_exchange() {
    let origin = Origin::start().await;
    let gateway = Gateway::start(&configuration(&origin.uri(), "")).await;
    let directory = tempfile::tempdir().unwrap();
    let option = gateway.option();
    let arguments = [
        "bench",
        &option,
        "--stages=0:3,2s:3,1s:0",
        "--think=20",
        "--csv=exchanges.csv",
        "--html=report.html",
        "--json",
        "http://sync.example.com/echo?<b>",
    ];
    let report = json(&run_in(directory.path(), &arguments).await.succeeds());
    assert_eq!(
        report["connect"]["done"], 3,
        "as many handsets as the highest level"
    );
    assert_eq!(report["interrupted"], false);
    let stages = report["stages"]["stages"].as_array().unwrap();
    assert_eq!(
        (stages.len(), &report["stages"]["unit"]),
        (3, &"handsets".into())
    );
    let number = |value: &Value| value.as_u64().unwrap();
    let in_stages: u64 = stages
        .iter()
        .map(|stage| number(&stage["transactions"]))
        .sum();
    let all = number(&report["load"]["transactions"]);
    assert!(all > 0 && in_stages == all, "{report}");
    assert_eq!(
        number(&stages[0]["transactions"]),
        0,
        "a jump takes no time"
    );
    assert_eq!(number(&report["load"]["statuses"]["200"]), all);

    let csv = std::fs::read_to_string(directory.path().join("exchanges.csv")).unwrap();
    let mut rows = csv.lines();
    assert_eq!(
        rows.next(),
        Some("start_s,stage,handset,duration_ms,status,octets,error")
    );
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split(',').collect()).collect();
    assert_eq!(rows.len() as u64, all);
    for row in &rows {
        assert_eq!(row.len(), 7, "{row:?}");
        let (start, duration): (f64, f64) = (row[0].parse().unwrap(), row[3].parse().unwrap());
        assert!((0.0..=3.0).contains(&start) && duration > 0.0, "{row:?}");
        assert_eq!(row[1], if start < 2.0 { "2" } else { "3" }, "{row:?}");
        assert!(
            row[2].parse::<u32>().unwrap() < 3 && row[4] == "200",
            "{row:?}"
        );
        assert_eq!((row[5], row[6]), ("500", ""), "{row:?}");
    }
    let html = std::fs::read_to_string(directory.path().join("report.html")).unwrap();
    for words in [
        format!("<dt>answered</dt><dd>{all}</dd>"),
        "http://sync.example.com/echo?&lt;b&gt;".to_owned(),
        "<td>0 to 3</td>".to_owned(),
        "</html>".to_owned(),
    ] {
        assert!(html.contains(&words), "{words} in {html}");
    }
    assert!(!html.contains("<b>"), "{html}");
}

#[tokio::test]
async fn a_rate_in_stages_begins_as_many_as_its_area_has() {
    let origin = Origin::start().await;
    let gateway = Gateway::start(&configuration(&origin.uri(), "")).await;
    let option = gateway.option();
    let arguments = [
        "bench",
        &option,
        "--stages=1s:40/s,1s:0/s",
        "--handsets=40",
        "--json",
        "http://sync.example.com/echo",
    ];
    let report = json(&run(&arguments).await.succeeds());
    assert_eq!(report["load"]["transactions"], 40, "{report}");
    assert_eq!(report["stages"]["unit"], "requests a second");
    assert_eq!(origin.heard("/echo").len(), 40);
}

#[tokio::test]
async fn what_cannot_be_is_told_before_the_load() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let gateway = format!("--gateway={}", silent.local_addr().unwrap());
    for file in ["--csv=/nowhere/x.csv", "--html=/nowhere/x.html"] {
        let output = run(&["bench", &gateway, file]).await.fails();
        output.says(&["/nowhere/x", "No such file"]);
    }
    for wrong in [
        &["--stages=10s"][..],
        &["--stages=10s:5,10s:5/s"],
        &["--stages=10s:5", "--rate=5"],
        &["--stages=10s:5", "--duration=5"],
        &["--stages=10s:5", "--count=5"],
        &["--stages=10s:5", "--warm-up=1"],
    ] {
        let output = run(&[&["bench", &gateway[..]], wrong].concat()).await;
        assert_eq!(output.status, Some(2), "{wrong:?}: {}", output.stderr);
        assert!(output.stderr.contains("--stages"), "{}", output.stderr);
    }
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
