//! Hosts that stand in for one another.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use wapbridge::gateway::fetch::Failure;
use wapbridge::route::{Address, Condition, Destination, RouteSettings, Routes};
use wapbridge::upstream::Upstream;

use super::{OK, assert_fails};
use crate::support::certificate::{Certificate, acceptor, tls};
use crate::support::raw::{AfterReply, listen, origin, origin_with, request};

fn address(origin: SocketAddr) -> Address {
    Address::parse_prefix(&format!("https://localhost:{}/", origin.port())).unwrap()
}

/// An upstream side with one route to `first`, for which `others` stand in.
fn failing_over(first: SocketAddr, others: &[SocketAddr]) -> Upstream {
    failing_over_after(Duration::from_secs(20), first, others)
}

fn failing_over_after(
    connect_timeout: Duration,
    first: SocketAddr,
    others: &[SocketAddr],
) -> Upstream {
    let mut route = RouteSettings::new(Condition::default(), address(first));
    route.limits.connect_timeout = connect_timeout;
    route.destination = Destination::Fixed {
        upstream: address(first),
        fallbacks: others.iter().copied().map(address).collect(),
    };
    Upstream::new(&tls(), &Routes::new(vec![route]))
}

/// A port that refuses connections.
async fn closed() -> SocketAddr {
    listen().await.1
}

#[tokio::test]
async fn a_fallback_serves_while_the_first_host_cannot_be_connected_to() {
    let first = closed().await;
    let (expired, _) = origin_with(
        acceptor(Certificate::Expired, &[]),
        OK,
        AfterReply::KeepAlive,
    )
    .await;
    let (good, seen) = origin(OK, AfterReply::KeepAlive).await;
    let upstream = failing_over(first, &[expired, good]);
    for _ in 0..3 {
        let reply = upstream.fetch(request(Method::POST, first, b"x")).await;
        assert_eq!(&*reply.unwrap().body, b"hello");
    }
    assert_eq!((seen.connections(), seen.requests().len()), (1, 3));
    let head = String::from_utf8_lossy(&seen.requests()[0]).into_owned();
    assert!(head.starts_with("POST /ds?x=1 HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains(&format!("host: localhost:{}\r\n", good.port())),
        "{head}"
    );
}

#[tokio::test]
async fn a_request_that_may_have_arrived_is_not_sent_to_a_fallback() {
    for then in [AfterReply::Reset, AfterReply::Close] {
        let (first, seen) = origin("", then).await;
        let (good, untouched) = origin(OK, AfterReply::KeepAlive).await;
        let upstream = failing_over(first, &[good]);
        let result = upstream.fetch(request(Method::POST, first, b"x")).await;
        assert_fails(result, Failure::Reset, &format!(":{}: ", first.port()));
        assert_eq!((seen.requests().len(), untouched.connections()), (1, 0));
    }
}

#[tokio::test]
async fn a_host_that_is_tried_last_is_not_waited_for() {
    // It accepts TCP and then says nothing.
    let (_listener, first) = listen().await;
    let (good, _) = origin(OK, AfterReply::KeepAlive).await;
    let connect_timeout = Duration::from_secs(2);
    let upstream = failing_over_after(connect_timeout, first, &[good]);
    let patient = request(Method::POST, first, b"x");
    assert!(upstream.fetch(patient).await.is_ok());
    let mut hasty = request(Method::POST, first, b"x");
    hasty.timeout = connect_timeout / 2;
    assert!(upstream.fetch(hasty).await.is_ok());
}

#[tokio::test]
async fn when_no_host_can_be_connected_to_the_last_failure_is_told() {
    let (first, second) = (closed().await, closed().await);
    let upstream = failing_over(first, &[second]);
    let result = upstream.fetch(request(Method::POST, first, b"x")).await;
    assert_fails(
        result,
        Failure::Connect,
        &format!("localhost:{}: ", second.port()),
    );
}
