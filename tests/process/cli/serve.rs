//! `check` and `serve`.

use std::path::Path;

use super::process::{Gateway, configuration, run, run_in, spawn};
use crate::support::origin::{Origin, http_get};

#[tokio::test]
async fn check_tells_right_from_wrong() {
    let good = run(&["check", "deploy/wapbridge.toml"]).await.succeeds();
    assert!(good.text().starts_with("deploy/wapbridge.toml: ok\n"));
    assert!(good.text().contains("https://sync.internal.example:8443/"));
    assert!(good.text().contains(
        "private addresses, since [protection] names no networks in allow; elsewhere 3 times"
    ));

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("wrong.toml");
    let wrong = "[listen]\nconection_mode = \"0.0.0.0:9201\"\n\
                 [[route]]\nmatch = \"http://a.example/\"\nupstream = \"http://b.example/\"\n";
    std::fs::write(&file, wrong).unwrap();
    let output = run_in(directory.path(), &["check", "wrong.toml"])
        .await
        .fails();
    assert!(output.stdout.is_empty());
    // All errors at once, each with its place, a caret and a remedy.
    output.says(&[
        "wrong.toml:2:",
        "conection_mode",
        "connection_mode",
        "wrong.toml:5:",
        "allow_plaintext",
        "^",
    ]);
    let missing = run_in(directory.path(), &["check", "missing.toml"]).await;
    missing
        .fails()
        .says(&["missing.toml", "deploy/wapbridge.toml"]);
}

#[tokio::test]
async fn without_a_configuration_the_error_has_a_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let output = run_in(directory.path(), &["serve"]).await.fails();
    output.says(&["wapbridge.toml", "[[route]]", "match", "upstream"]);
}

#[tokio::test]
async fn it_tells_its_addresses_health_and_metrics() {
    let origin = Origin::start().await;
    let gateway = Gateway::start(&configuration(&origin.uri(), "")).await;
    assert_ne!(gateway.air.port(), 0);
    assert!(
        http_get(gateway.admin, "/livez")
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(
        http_get(gateway.admin, "/readyz")
            .await
            .ends_with("ready\n")
    );
    let uri = "http://sync.example.com/hello";
    run(&["get", &gateway.option(), uri]).await.succeeds();
    gateway.line("status=200").await;
    // Dashboards and alerts are built on these names.
    let metrics = loop {
        let metrics = http_get(gateway.admin, "/metrics").await;
        if metrics.contains("wapbridge_exchanges_total 1\n") {
            break metrics;
        }
        // They are published once a second.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    for name in [
        "wapbridge_datagrams_total{direction=\"in\"}",
        "wapbridge_datagram_bytes_total{direction=\"out\"}",
        "wapbridge_wtp_transactions_total",
        "wapbridge_wtp_retransmissions_total",
        "wapbridge_wtp_duplicates_total",
        "wapbridge_wsp_sessions ",
        "wapbridge_wsp_connects_total",
        "wapbridge_exchanges ",
        "wapbridge_exchanges_ended_total",
        "wapbridge_upstream_in_flight ",
        "wapbridge_upstream_cancelled_total",
        "wapbridge_problems_total",
    ] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
    let log = gateway.log();
    assert!(!log.contains('\x1b'), "no colours in a file: {log:?}");
}

#[tokio::test]
async fn a_second_process_on_the_same_address_is_refused() {
    let origin = Origin::start().await;
    let gateway = Gateway::start(&configuration(&origin.uri(), "")).await;
    let directory = tempfile::tempdir().unwrap();
    let same =
        configuration(&origin.uri(), "").replacen("127.0.0.1:0", &gateway.air.to_string(), 1);
    std::fs::write(directory.path().join("wapbridge.toml"), same).unwrap();
    let output = run_in(directory.path(), &["serve"]).await.fails();
    let address = gateway.air.to_string();
    let output = output.says(&["cannot listen on", &address, "another process"]);
    assert_eq!(
        output.stderr.matches("os error").count(),
        1,
        "{}",
        output.stderr
    );
    // The first gateway goes on.
    let uri = "http://sync.example.com/hello";
    run(&["get", &gateway.option(), uri]).await.succeeds();
}

#[tokio::test]
async fn sigterm_drains() {
    let origin = Origin::start().await;
    let mut gateway = Gateway::start(&configuration(&origin.uri(), "")).await;
    let option = gateway.option();
    let held = ["get", &option, "http://sync.example.com/hold"];
    let under_way = spawn(Path::new("."), &held, b"");
    origin.wait(|state| !state.heard.is_empty()).await;

    gateway.signal("TERM");
    gateway.line("SIGTERM: draining").await;
    assert!(
        http_get(gateway.admin, "/readyz")
            .await
            .ends_with("draining\n")
    );
    let late = run(&["get", &option, "http://sync.example.com/hello"]).await;
    late.fails().says(&["503", "try again later"]);
    assert!(origin.heard("/hello").is_empty());

    origin.release();
    let output = under_way.await.unwrap().succeeds();
    assert_eq!(output.text(), "held", "what was under way has finished");
    assert_eq!(gateway.ended().await.code(), Some(0));
    gateway.line("stopped").await;
}

#[tokio::test]
async fn the_log_keeps_no_secrets_at_any_level() {
    let origin = Origin::start().await;
    let trace = "[log]\nlevel = \"trace\"\n";
    let gateway = Gateway::start(&configuration(&origin.uri(), trace)).await;
    let option = gateway.option();
    let fields = [
        "Authorization: Basic c2VjcmV0LXVzZXI=",
        "Cookie: token=secret-cookie",
        "x-syncml-hmac: algorithm=MD5, username=\"u\", mac=secret-mac",
    ];
    for uri in [
        "http://sync.example.com/cookie?session=secret-query",
        "http://elsewhere.example/x?session=secret-query",
        "http://me:secret-word@sync.example.com/x",
    ] {
        let mut arguments = vec!["get", &option];
        for field in &fields {
            arguments.extend(["--header", field]);
        }
        arguments.push(uri);
        run(&arguments).await;
    }
    let heard = origin.heard("/cookie?session=secret-query").remove(0);
    assert_eq!(heard.headers["authorization"], "Basic c2VjcmV0LXVzZXI=");
    gateway.line("route=\"1\" status=200").await;
    gateway.line("http://sync.example.com/x").await;
    let log = gateway.log();
    for secret in ["c2VjcmV0", "secret", "HttpOnly"] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} was logged");
    }
    assert!(log.contains("/cookie?…"), "that there was a query is told");
}
