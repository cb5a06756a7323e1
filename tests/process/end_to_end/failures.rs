//! Failures upstream: the handset's status, and the log line with cause and remedy.

use std::time::Duration;

use serde_json::Value;

use super::{Bridge, logs, route};
use crate::support::certificate::Certificate;
use crate::support::origin::{Origin, uri};
use crate::support::phone::{Phone, roomy};
use crate::support::raw::{self, AfterReply};

/// Asks for a path of this test's own through `bridge`, and gives its line of the log.
async fn fails(bridge: &Bridge, path: &str, status: u16, problem: &str) -> Value {
    let mut phone = Phone::connect(bridge.address(), roomy()).await;
    let asked = format!("http://sync.example.com/{path}?secret=s3cr3t");
    let reply = phone.get(&asked).await;
    assert_eq!(reply.status, status, "{path}");
    assert_eq!(reply.content_type, "text/plain");
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(text.ends_with('.') && text.len() < 80, "{text}");
    assert!(!text.contains("localhost"), "no internals: {text}");
    let line = logs::line_about(&format!("http://sync.example.com/{path}?…")).await;
    assert_eq!(line["problem"], problem, "{line}");
    assert_eq!(line["status"], status, "{line}");
    assert!(
        line["remedy"].as_str().is_some_and(|text| text.len() > 10),
        "{line}"
    );
    assert!(!logs::mentions("s3cr3t"), "the log keeps no queries");
    line
}

#[track_caller]
fn assert_detail(line: &Value, words: &str) {
    let detail = line["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(words), "{line}");
}

#[tokio::test]
async fn a_refused_connection_is_502() {
    // Bound, so that no other test gets the port, and not listening.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = closed.local_addr().unwrap();
    let bridge = Bridge::to(&uri(address));
    let line = fails(&bridge, "refused", 502, "connect").await;
    assert_detail(&line, "refused");
    assert_detail(&line, &format!("localhost:{}", address.port()));
    let stats = bridge.stats(|stats| stats.acknowledged == 1).await;
    let counted = stats.problems.iter().filter(|(_, count)| *count > 0);
    let counted: Vec<_> = counted.map(|(problem, n)| (problem.label(), n)).collect();
    assert_eq!(counted, [("connect", 1)]);
}

#[tokio::test]
async fn a_reply_cut_short_by_a_reset_is_502() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
    let bridge = Bridge::to(&uri(raw::origin(half, AfterReply::Reset).await.0));
    let line = fails(&bridge, "reset", 502, "reset").await;
    assert_detail(&line, "localhost:");
}

#[tokio::test]
async fn what_is_not_http_is_502() {
    let bridge = Bridge::to(&uri(raw::origin(
        b"SSH-2.0-OpenSSH_9.2\r\n",
        AfterReply::Close,
    )
    .await
    .0));
    let line = fails(&bridge, "garbage", 502, "malformed").await;
    assert_detail(&line, "not HTTP");
}

#[tokio::test]
async fn a_certificate_that_does_not_hold_is_502_and_nothing_is_sent() {
    for (certificate, path, words) in [
        (Certificate::Expired, "expired", "has expired"),
        (
            Certificate::WrongName,
            "wrong-name",
            "it names other.example",
        ),
        (Certificate::Untrusted, "untrusted", "issuer is not trusted"),
    ] {
        let origin = Origin::with(certificate).await;
        let bridge = Bridge::to(&origin.uri());
        let line = fails(&bridge, path, 502, "tls").await;
        assert_detail(&line, words);
        assert!(
            line["remedy"].as_str().unwrap().contains("ca_file"),
            "{line}"
        );
        assert!(origin.heard(&format!("/{path}?secret=s3cr3t")).is_empty());
    }
}

#[tokio::test]
async fn an_origin_that_takes_too_long_is_504() {
    let origin = Origin::start().await;
    let mut slow = route(&origin.uri());
    slow.limits.timeout = Duration::from_millis(300);
    let bridge = Bridge::with(&["127.0.0.1:0"], slow);
    let line = fails(&bridge, "stall", 504, "timeout").await;
    assert_detail(&line, "no reply within 300ms");
    origin.wait(|state| state.abandoned == 1).await;
}

#[tokio::test]
async fn a_reply_above_the_routes_limit_is_502() {
    let origin = Origin::start().await;
    let mut small = route(&origin.uri());
    small.limits.max_reply = 10_000;
    let bridge = Bridge::with(&["127.0.0.1:0"], small);
    let line = fails(&bridge, "bytes/10001", 502, "too_large").await;
    assert_detail(&line, "10000 are allowed");
    let mut phone = Phone::connect(bridge.address(), roomy()).await;
    let reply = phone.get("http://sync.example.com/bytes/10000").await;
    assert_eq!((reply.status, reply.body.len()), (200, 10_000));
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_502() {
    // No resolver needs to be asked about a label of 64 characters: 63 is the most (RFC 1035 2.3.4).
    let nowhere = format!("https://{}.example/", "x".repeat(64));
    let bridge = Bridge::to(&nowhere);
    fails(&bridge, "nowhere", 502, "resolve").await;
}

#[tokio::test]
async fn what_no_route_takes_is_403_and_never_fetched() {
    let origin = Origin::start().await;
    let bridge = Bridge::to(&origin.uri());
    let mut phone = Phone::connect(bridge.address(), roomy()).await;
    for uri in [
        "http://elsewhere.example/unrouted",
        "http://sync.example.com.evil.example/unrouted",
        "https://sync.example.com/unrouted",
    ] {
        assert_eq!(phone.get(uri).await.status, 403, "{uri}");
        let line = logs::line_about(uri).await;
        assert_eq!(line["problem"], "no_route", "{line}");
        assert!(
            line["remedy"].as_str().unwrap().contains("[[route]]"),
            "{line}"
        );
    }
    // User information would hide the host from a careless reader; it is refused, and not logged.
    let trick = "http://sync.example.com@evil.example/unrouted-userinfo";
    assert_eq!(phone.get(trick).await.status, 403);
    let line = logs::line_about("http://evil.example/unrouted-userinfo").await;
    assert_eq!(line["route"], "-", "{line}");
    assert!(origin.heard("/unrouted").is_empty());
}
