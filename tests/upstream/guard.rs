//! Hosts that handsets choose, which must not lead into our own network.

use http::Method;
use wapbridge::gateway::fetch::{Failure, FetchError, Reply};
use wapbridge::route::{Address, Condition, Destination, RequestView, RouteSettings, Routes};
use wapbridge::upstream::Upstream;

use super::{OK, assert_fails};
use crate::support::certificate::tls;
use crate::support::raw::{AfterReply, origin, request};

/// Fetches `uri` through a pass-through route to its host that allows these networks.
async fn fetch(uri: &str, allowed: &[&str]) -> Result<Reply, FetchError> {
    let address = Address::parse_prefix(uri).unwrap();
    let mut route = RouteSettings::new(Condition::prefix(address.clone()), address);
    route.destination = Destination::AsRequested {
        allow_addresses: allowed.iter().map(|text| text.parse().unwrap()).collect(),
    };
    let routes = Routes::new(vec![route]);
    let requests = RequestView {
        uri,
        method: &Method::POST,
        local_port: 9201,
        secured: false,
        binding: wapbridge::route::Binding::Wsp,
        obex_target: None,
        content_type: None,
        user_agent: None,
        message: wapbridge::route::Message::Body(&[]),
    };
    let mut post = request(Method::POST, ([127, 0, 0, 1], 1).into(), b"x");
    post.uri = routes.lookup(&requests).unwrap().uri;
    Upstream::new(&tls(), &routes).fetch(post).await
}

#[tokio::test]
async fn a_name_or_an_address_inside_is_not_connected_to() {
    let (address, seen) = origin(OK, AfterReply::KeepAlive).await;
    let port = address.port();
    for host in [
        "localhost",
        "127.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "127.1",
        "LOCALHOST",
    ] {
        let result = fetch(&format!("https://{host}:{port}/"), &["10.0.0.0/8"]).await;
        assert_fails(result, Failure::Connect, "a loopback address");
    }
    let result = fetch("https://169.254.169.254/", &[]).await;
    assert_fails(
        result,
        Failure::Connect,
        "list it in the route's allow_addresses",
    );
    assert_eq!(seen.connections(), 0);
}

#[tokio::test]
async fn what_is_listed_is_allowed() {
    let (address, _) = origin(OK, AfterReply::KeepAlive).await;
    let uri = format!("https://localhost:{}/", address.port());
    let reply = fetch(&uri, &["127.0.0.0/8"]).await.unwrap();
    assert_eq!(&*reply.body, b"hello");
}
