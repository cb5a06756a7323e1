//! The hosts of a route in `/status`, `/metrics`, `/readyz` and the log of a running gateway.

use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::admin::{TOKEN, ask, json};
use super::process::{Gateway, configuration, run, run_in};
use crate::support::certificate::{Certificate, acceptor};
use crate::support::origin::Origin;
use crate::support::phone::{Phone, roomy};
use crate::support::raw::{listen, read_request};

/// An HTTPS origin on a socket that exists already.
fn serve(listener: TcpListener) {
    let acceptor = acceptor(Certificate::Good, &[b"http/1.1"]);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut tls) = acceptor.accept(tcp).await else {
                    return;
                };
                while read_request(&mut tls).await.is_some() {
                    let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst";
                    let _ = tls.write_all(reply).await;
                }
            });
        }
    });
}

/// Waits until a host of the route is in this condition.
async fn host_is(gateway: &Gateway, nth: usize, condition: &str) -> Value {
    loop {
        let status = json(gateway.admin, "/status").await;
        let hosts = status["routes"][0]["upstreams"].as_array().unwrap();
        let name = &status["routes"][0]["hosts"][nth];
        let host = hosts.iter().find(|host| host["host"] == *name).unwrap();
        if host["condition"] == condition && !host["last_check_seconds"].is_null() {
            return host.clone();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_session_stays_at_its_host_and_the_gateway_tells_how_hosts_share_the_requests() {
    let origins = [Origin::start().await, Origin::start().await];
    let upstreams = origins.each_ref().map(|origin| {
        let port = origin.address.port();
        format!("{{ url = \"https://localhost:{port}/\", weight = 2 }}")
    });
    let text = configuration("UPSTREAMS", "").replace(
        "upstream = \"UPSTREAMS\"",
        &format!(
            "upstream = [{}]\nbalance = \"round_robin\"\nslow_start = \"30s\"\n\
             retry_budget = {{ budget_percent = 25 }}",
            upstreams.join(", ")
        ),
    );
    let gateway = Gateway::start(&text).await;
    let summary = run_in(gateway.directory.path(), &["check"]).await;
    let summary = summary.succeeds().text();
    for told in [
        "balance: round_robin, weights 2, 2; a session stays at its host; slow start 30s",
        "retry budget: 25 % of the requests under way, at least 3",
    ] {
        assert!(summary.contains(told), "{told} in {summary}");
    }
    for number in 0..4 {
        // A session with two messages.
        let mut phone = Phone::connect(gateway.air, roomy()).await;
        for path in ["one", "two"] {
            let uri = format!("http://sync.example.com/{path}-{number}");
            assert_eq!(phone.get(&uri).await.status, 200);
        }
        let heard = origins.each_ref().map(|origin| {
            let heard = |path| origin.heard(&format!("/{path}-{number}")).len();
            (heard("one"), heard("two"))
        });
        assert!(
            heard == [(1, 1), (0, 0)] || heard == [(0, 0), (1, 1)],
            "{heard:?}"
        );
    }
    assert_eq!(origins.each_ref().map(Origin::heard_in_all), [4, 4]);
    let route = json(gateway.admin, "/status").await["routes"][0].clone();
    assert_eq!(route["group"]["affinity_entries"], 4, "{route}");
    assert_eq!(route["group"]["failovers"], 0, "{route}");
    for host in route["upstreams"].as_array().unwrap() {
        let shown = [
            "answered",
            "server_errors",
            "failed",
            "weight",
            "weight_share",
        ];
        let wanted = [4.0, 0.0, 0.0, 2.0, 1.0];
        assert_eq!(
            shown.map(|name| host[name].as_f64().unwrap()),
            wanted,
            "{host}"
        );
    }
    let (_, metrics) = ask(gateway.admin, "GET /metrics", "").await;
    let labels = format!(
        "{{route=\"1\",host=\"localhost:{}\"",
        origins[0].address.port()
    );
    for line in [
        format!("wapbridge_upstream_host_condition{labels},condition=\"in_service\"}} 1"),
        format!("wapbridge_upstream_host_condition{labels},condition=\"slow_start\"}} 0"),
        format!("wapbridge_upstream_host_requests_total{labels},outcome=\"answered\"}} 4"),
        format!("wapbridge_upstream_host_weight{labels}}} 2000"),
        "wapbridge_upstream_affinity_entries{route=\"1\"} 4".to_owned(),
        "wapbridge_upstream_failovers_total{route=\"1\"} 0".to_owned(),
    ] {
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn a_host_that_fails_its_checks_is_seen_and_stood_in_for_until_it_is_back() {
    // It accepts connections and says nothing.
    let (listener, first) = listen().await;
    let second = Origin::start().await;
    let upstreams = format!(
        "https://localhost:{}/\", \"https://localhost:{}/",
        first.port(),
        second.address.port()
    );
    let text = configuration(&upstreams, "")
        .replace(
            "upstream = ",
            "health_check = { path = \"/healthz\", interval = \"500ms\", timeout = \"400ms\" }\nupstream = [",
        )
        .replace("/\"\n[tls]", "/\"]\n[tls]")
        .replace("[admin]\n", &format!("[admin]\ntoken = \"{TOKEN}\"\n"));
    let gateway = Gateway::start(&text).await;
    let summary = run_in(gateway.directory.path(), &["check"]).await;
    let summary = summary.succeeds().text();
    let checks = "each host: GET /healthz every 500ms, 200-399 within 400ms";
    assert!(summary.contains(checks), "{summary}");

    let failing = host_is(&gateway, 0, "failing_checks").await;
    assert_eq!(failing["checks_passed"], 0, "{failing}");
    assert_eq!(failing["last_check_failure"], "no reply within 400ms");
    assert_eq!(failing["ejected_until"], Value::Null);
    gateway.line("host fails its checks").await;
    let good = host_is(&gateway, 1, "in_service").await;
    assert_eq!(good["last_check_failure"], Value::Null, "{good}");

    // A request goes to the other host at once. The checks are not in the access log, nor among the
    // requests of the host.
    let option = gateway.option();
    let got = run(&["get", &option, "http://sync.example.com/hello"]).await;
    assert_eq!(got.succeeds().text(), "hello");
    gateway.line("/hello").await;
    assert!(!gateway.log().contains("/healthz"), "{}", gateway.log());
    let answered = loop {
        let status = json(gateway.admin, "/status").await;
        if status["routes"][0]["exchanges"] == 1 {
            let targets = status["targets"].as_array().unwrap().iter();
            let answered = targets.map(|target| target["answered"].as_u64().unwrap());
            break answered.sum::<u64>();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(answered, 1);

    let (_, metrics) = ask(gateway.admin, "GET /metrics", "").await;
    let labels = |port: u16| format!("{{route=\"1\",host=\"localhost:{port}\"");
    let (one, other) = (labels(first.port()), labels(second.address.port()));
    for line in [
        format!("wapbridge_upstream_host_up{one}}} 0"),
        format!("wapbridge_upstream_host_up{other}}} 1"),
        format!("wapbridge_upstream_host_requests{other}}} 0"),
        format!("wapbridge_upstream_ejections_total{one}}} 0"),
        format!("wapbridge_upstream_checks_total{one},outcome=\"passed\"}} 0"),
    ] {
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    let (code, ready) = ask(gateway.admin, "GET /readyz?verbose", "").await;
    let warning = format!("[!]route 1 host localhost:{} failing_checks", first.port());
    assert!(code == 200 && ready.contains(&warning), "{ready}");

    serve(listener);
    host_is(&gateway, 0, "in_service").await;
    gateway.line("host passes its checks").await;
    let got = run(&["get", &option, "http://sync.example.com/hello"]).await;
    assert_eq!(got.succeeds().text(), "first");

    // A gateway that drains does not check; once it runs again, it does.
    let checks = || second.heard("/healthz").len();
    assert_eq!(ask(gateway.admin, "PUT /state", "draining").await.0, 200);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = checks();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(checks(), before);
    assert_eq!(ask(gateway.admin, "PUT /state", "running").await.0, 200);
    second.wait(|state| state.heard.len() > before + 2).await;
}
