//! Routes that reach one host in different ways share no connection.

use std::net::SocketAddr;

use http::Method;
use wapbridge::gateway::fetch::{Failure, FetchError, Reply};
use wapbridge::route::{Address, Condition, Destination, RouteSettings, Routes};
use wapbridge::upstream::{KeyPin, OriginTls, Upstream};

use super::proxy::{ESTABLISHED, proxy};
use super::{OK, assert_fails};
use crate::support::certificate::{identity, tls};
use crate::support::raw::{AfterReply, ROUTE, listen, origin, request};

/// A route of this name to the origin.
fn route(name: &str, origin: SocketAddr) -> RouteSettings {
    let address = Address::parse_prefix(&format!("https://localhost:{}/", origin.port())).unwrap();
    let mut route = RouteSettings::new(Condition::prefix(address.clone()), address);
    route.name = name.into();
    route
}

async fn post(upstream: &Upstream, route: &str, origin: SocketAddr) -> Result<Reply, FetchError> {
    let mut post = request(Method::POST, origin, b"x");
    post.route = route.into();
    upstream.fetch(post).await
}

#[tokio::test]
async fn routes_that_are_alike_share_their_connections() {
    let (address, log) = origin(OK, AfterReply::KeepAlive).await;
    let routes = ["a", "b"].map(|name| route(name, address)).into();
    let upstream = Upstream::new(&tls(), &Routes::new(routes));
    for name in ["a", "b", "a"] {
        assert!(post(&upstream, name, address).await.is_ok());
    }
    assert_eq!(log.connections(), 1);
}

#[tokio::test]
async fn a_guarded_route_does_not_use_the_connection_of_a_proxied_one() {
    let (address, log) = origin(OK, AfterReply::KeepAlive).await;
    let (proxy, asked) = proxy(ESTABLISHED).await;
    let mut proxied = route("proxied", address);
    proxied.http_proxy = Some(Address::parse_prefix(&format!("http://{proxy}/")).unwrap());
    let mut guarded = route("guarded", address);
    guarded.destination = Destination::AsRequested {
        allow_addresses: [].into(),
    };
    let direct = route("direct", address);
    let upstream = Upstream::new(&tls(), &Routes::new(vec![proxied, guarded, direct]));
    for _ in 0..2 {
        assert!(post(&upstream, "proxied", address).await.is_ok());
        let refused = post(&upstream, "guarded", address).await;
        assert_fails(refused, Failure::Connect, "a loopback address");
        assert!(post(&upstream, "direct", address).await.is_ok());
    }
    assert_eq!((log.connections(), asked.lock().unwrap().len()), (2, 1));
}

#[tokio::test]
async fn a_pinned_route_does_not_use_the_connection_of_one_without_pins() {
    let (address, log) = origin(OK, AfterReply::KeepAlive).await;
    let mut tls = tls();
    let pinned = OriginTls {
        pins: vec![KeyPin::of(identity("localhost").0.der()).unwrap()],
        ..OriginTls::default()
    };
    tls.set_route("pinned".into(), &pinned).unwrap();
    let routes = Routes::new(vec![route(ROUTE, address), route("pinned", address)]);
    let upstream = Upstream::new(&tls, &routes);
    assert!(post(&upstream, ROUTE, address).await.is_ok());
    let refused = post(&upstream, "pinned", address).await;
    assert_fails(refused, Failure::Tls, "none of the pinned ones");
    assert_eq!(log.requests().len(), 1);
}

#[tokio::test]
async fn a_route_that_is_gone_is_not_replaced_by_another() {
    let (address, log) = origin(OK, AfterReply::KeepAlive).await;
    let upstream = Upstream::new(&tls(), &Routes::new(vec![route("a", address)]));
    let result = post(&upstream, "b", address).await;
    assert_fails(result, Failure::Connect, "no longer configured");
    assert_eq!(log.connections(), 0);
}

#[tokio::test]
async fn fallbacks_belong_to_their_route() {
    let first = listen().await.1;
    let (good, log) = origin(OK, AfterReply::KeepAlive).await;
    let mut with = route("with", first);
    with.destination = Destination::Fixed {
        upstream: Address::parse_prefix(&format!("https://localhost:{}/", first.port())).unwrap(),
        fallbacks: vec![
            Address::parse_prefix(&format!("https://localhost:{}/", good.port())).unwrap(),
        ],
    };
    let routes = Routes::new(vec![with, route("without", first)]);
    let upstream = Upstream::new(&tls(), &routes);
    assert!(post(&upstream, "with", first).await.is_ok());
    let result = post(&upstream, "without", first).await;
    assert_fails(result, Failure::Connect, "refused");
    assert_eq!(log.requests().len(), 1);
}
