//! The limit of connections to origins.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use wapbridge::gateway::fetch::{Failure, FetchError, Reply};
use wapbridge::route::{Address, Condition, RouteSettings, Routes};
use wapbridge::upstream::Upstream;

use super::{OK, assert_fails, frames};
use crate::support::certificate::tls;
use crate::support::raw::{AfterReply, origin, request};

fn route(origin: SocketAddr) -> RouteSettings {
    let address = Address::parse_prefix(&format!("https://localhost:{}/", origin.port())).unwrap();
    let mut route = RouteSettings::new(Condition::prefix(address.clone()), address);
    route.name = origin.port().to_string().into();
    route
}

async fn get(upstream: &Upstream, origin: SocketAddr) -> Result<Reply, FetchError> {
    let mut get = request(Method::GET, origin, b"");
    get.route = origin.port().to_string().into();
    upstream.fetch(get).await
}

#[tokio::test]
async fn a_slow_origin_leaves_connections_to_others() {
    let (slow, log) = origin("", AfterReply::Stall).await;
    let (quick, _) = origin(OK, AfterReply::KeepAlive).await;
    let routes = Routes::new(vec![route(slow), route(quick)]);
    let upstream = Arc::new(Upstream::with_limit(&tls(), &routes, 10));
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let upstream = Arc::clone(&upstream);
        waiting.push(tokio::spawn(async move { get(&upstream, slow).await }));
    }
    while log.connections() < 8 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // A ninth request waits for a connection until its time is nearly over.
    let mut late = request(Method::GET, slow, b"");
    late.route = slow.port().to_string().into();
    late.timeout = Duration::from_secs(3);
    assert_fails(
        upstream.fetch(late).await,
        Failure::NoConnection,
        "are open",
    );
    assert!(get(&upstream, quick).await.is_ok());
    let stats = upstream.stats();
    assert_eq!((stats.connections, stats.max_connections), (9, 10));
    assert!(stats.connections_waited >= 1);
    // The refusal says nothing of the host.
    let health = upstream.health();
    let host = health
        .iter()
        .find(|host| host.host.ends_with(&slow.port().to_string()));
    assert_eq!(host.unwrap().failed, 0);
    for task in waiting {
        task.abort();
    }
    while upstream.stats().connections > 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn one_address_leaves_connections_to_a_slow_origin_for_others() {
    let (slow, log) = origin("", AfterReply::Stall).await;
    let routes = Routes::new(vec![route(slow)]);
    let upstream = Arc::new(Upstream::with_limit(&tls(), &routes, 20));
    let begin = |network: u8| {
        let upstream = Arc::clone(&upstream);
        tokio::spawn(async move {
            let mut get = request(Method::GET, slow, b"");
            get.route = slow.port().to_string().into();
            get.source = Some([10, 0, network, 1].into());
            upstream.fetch(get).await
        })
    };
    let mut tasks: Vec<_> = (0..16).map(|_| begin(1)).collect();
    // Those of the sixteen that are beyond the share of one address are refused at once.
    let refused = |tasks: &Vec<tokio::task::JoinHandle<_>>| {
        tasks.iter().filter(|task| task.is_finished()).count()
    };
    while refused(&tasks) + log.connections() < 16 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let hoarded = log.connections();
    assert!((8..=10).contains(&hoarded), "{hoarded}");
    tasks.extend((2..7).map(begin));
    while log.connections() < hoarded + 5 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for task in tasks {
        task.abort();
    }
}

#[tokio::test]
async fn idle_connections_make_room_for_others() {
    let mut origins = Vec::new();
    for _ in 0..3 {
        origins.push(origin(OK, AfterReply::KeepAlive).await);
    }
    let routes = origins.iter().map(|(address, _)| route(*address)).collect();
    let upstream = Upstream::with_limit(&tls(), &Routes::new(routes), 2);
    for (address, _) in &origins {
        assert!(get(&upstream, *address).await.is_ok());
    }
    let stats = upstream.stats();
    assert_eq!((stats.connections, stats.connections_waited), (1, 1));
}

#[tokio::test]
async fn an_idle_http_2_connection_makes_room_too() {
    let serve = |mut connection: frames::Connection| async move { connection.serve().await };
    let (first, log) = frames::origin(serve).await;
    let (second, _) = frames::origin(serve).await;
    let routes = Routes::new(vec![route(first), route(second)]);
    let upstream = Upstream::with_limit(&tls(), &routes, 1);
    assert_eq!(get(&upstream, first).await.unwrap().status, 204);
    assert_eq!(get(&upstream, second).await.unwrap().status, 204);
    let stats = upstream.stats();
    assert_eq!((stats.connections, stats.connections_waited), (1, 1));
    assert_eq!(log.connections(), 1);
}

#[tokio::test]
async fn a_request_that_only_has_to_wait_is_served() {
    let (first, log) = origin("", AfterReply::Stall).await;
    let (second, _) = origin(OK, AfterReply::KeepAlive).await;
    let routes = Routes::new(vec![route(first), route(second)]);
    let upstream = Arc::new(Upstream::with_limit(&tls(), &routes, 1));
    let spawn = |origin| {
        let upstream = Arc::clone(&upstream);
        tokio::spawn(async move { get(&upstream, origin).await })
    };
    let slow = spawn(first);
    while log.connections() < 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let waiting = spawn(second);
    // Longer than one wait for a permit.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!waiting.is_finished());
    slow.abort();
    assert!(waiting.await.unwrap().is_ok());
    assert!(upstream.stats().connections_waited >= 2);
}

#[tokio::test]
async fn a_busy_connection_is_kept_while_idle_ones_make_room() {
    let (busy, log) = frames::origin(|mut connection: frames::Connection| async move {
        let Some(first) = connection.request().await else {
            return;
        };
        if let Some(second) = connection.request().await {
            connection.reply(second).await;
            connection.reply(first).await;
        }
        connection.drain().await;
    })
    .await;
    let (idle, idle_log) = origin(OK, AfterReply::KeepAlive).await;
    let (third, _) = origin(OK, AfterReply::KeepAlive).await;
    let routes = Routes::new(vec![route(busy), route(idle), route(third)]);
    let upstream = Arc::new(Upstream::with_limit(&tls(), &routes, 2));
    let first = {
        let upstream = Arc::clone(&upstream);
        tokio::spawn(async move { get(&upstream, busy).await })
    };
    while log.whole() < 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(get(&upstream, idle).await.is_ok());
    assert!(get(&upstream, third).await.is_ok());
    idle_log.closed().await;
    // New requests go on the connection that was busy.
    assert!(get(&upstream, busy).await.is_ok());
    assert!(first.await.unwrap().is_ok());
    assert_eq!(log.connections(), 1);
}
