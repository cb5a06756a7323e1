//! One process after the other on the same sockets, which somebody else holds, under load.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use wapbridge::handset::{Event, Failure};
use wapbridge::wsp::AbortReason;
use wapbridge::wsp::pdu::Method;

use crate::manager::{Manager, configuration};
use crate::origin::Origin;
use crate::phone::{Phone, config, roomy};

/// Sockets that share one address.
fn group(number: usize) -> (Vec<UdpSocket>, SocketAddr) {
    let mut address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let mut sockets = Vec::new();
    for _ in 0..number {
        let (domain, kind) = (socket2::Domain::IPV4, socket2::Type::DGRAM);
        let socket = socket2::Socket::new(domain, kind, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&address.into()).unwrap();
        let socket: UdpSocket = socket.into();
        address = socket.local_addr().unwrap();
        sockets.push(socket);
    }
    (sockets, address)
}

fn on(address: SocketAddr) -> String {
    format!("connection_mode = \"{address}\"")
}

/// Posts again and again until it is told to stop, each time something else. How many posts there were.
async fn post_away(mut phone: Phone, name: usize, stop: watch::Receiver<bool>) -> usize {
    let mut posts = 0;
    while !*stop.borrow() {
        let uri = format!("http://sync.example/post/{name}/{posts}");
        while !is_answered(&mut phone, &uri).await {
            // The next process does not know the session, and the origin has not heard of the request.
            phone.connect_anew().await;
        }
        posts += 1;
        tokio::time::sleep(EACH).await;
    }
    posts
}

async fn is_answered(phone: &mut Phone, uri: &str) -> bool {
    let ticket = phone.begin(Method::POST, uri, &[], b"<sync/>").await;
    loop {
        match phone.event().await {
            Event::Replied(answered, reply) if answered == ticket => {
                assert_eq!(reply.status, 200, "{uri}");
                return true;
            }
            Event::Failed(failed, why) if failed == ticket => {
                assert_eq!(why, Failure::Aborted(AbortReason::DISCONNECT), "{uri}");
                return false;
            }
            Event::Disconnected => {}
            other => panic!("{uri}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_under_load_fails_no_post() {
    let origin = Origin::start().await;
    let (sockets, address) = group(2);
    let mut manager = Manager::new(&configuration(&on(address), &origin.uri(), ""));
    manager.sockets = sockets;
    let mut gateway = manager.start();
    gateway.says("shards=2");
    manager.hears("READY=1");

    let (stop, stopping) = watch::channel(false);
    let mut posting = JoinSet::new();
    for name in 0..PHONES {
        let stopping = stopping.clone();
        posting.spawn(async move {
            let mut config = config(roomy());
            // So that the test is over sooner; handsets wait some seconds.
            config.wtp.base_retry = Duration::from_millis(400);
            let phone = Phone::connect_with(address, config).await;
            post_away(phone, name, stopping).await
        });
    }
    for round in 1..=2 {
        let heard = origin.heard_in_all();
        origin.wait(|state| state.heard.len() > heard + 150).await;
        gateway.signal("TERM");
        assert_eq!(gateway.ended().code(), Some(0), "round {round}");
        let log = gateway.last_words();
        assert!(!log.contains("still under way"), "{log}");
        gateway = manager.start();
        gateway.says("ready");
    }
    let heard = origin.heard_in_all();
    origin.wait(|state| state.heard.len() > heard + 150).await;
    stop.send_replace(true);
    let posts: usize = posting.join_all().await.into_iter().sum();
    assert_eq!(origin.heard_in_all(), posts);
    let mut targets: Vec<String> = Vec::new();
    origin
        .wait(|state| {
            targets.extend(state.heard.iter().map(|heard| heard.target.clone()));
            true
        })
        .await;
    targets.sort_unstable();
    targets.dedup();
    assert_eq!(targets.len(), posts, "each exactly once");
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_do_not_fit_are_refused_in_words() {
    let elsewhere = configuration(
        "connection_mode = \"127.0.0.1:9201\"",
        "https://x.example/",
        "",
    );
    let mut manager = Manager::new(&elsewhere);
    let (sockets, address) = group(1);
    manager.sockets = sockets;
    let mut gateway = manager.start();
    assert_eq!(gateway.ended().code(), Some(1));
    let said = gateway.last_words();
    let both = format!("gave us {address}, but [listen] names 127.0.0.1:9201");
    assert!(said.contains(&both), "{said}");
}

/// With systemd's own tool, which waits for a datagram before it starts the gateway.
#[tokio::test(flavor = "multi_thread")]
async fn systemd_starts_it_with_the_first_datagram() {
    let tool = "/usr/bin/systemd-socket-activate";
    if !std::path::Path::new(tool).exists() {
        eprintln!("SKIPPED: no {tool}");
        return;
    }
    let origin = Origin::start().await;
    let address = group(1).1;
    let manager = Manager::new(&configuration(&on(address), &origin.uri(), ""));
    let listen = format!("--listen={address}");
    let mut gateway = manager.start_with(&[tool, "--datagram", &listen]);
    gateway.says("Listening on");
    let mut phone = Phone::connect(address, roomy()).await;
    assert_eq!(phone.get("http://sync.example/hello").await.status, 200);
    gateway.says("on the service manager's sockets");
    gateway.signal("TERM");
    assert_eq!(gateway.ended().code(), Some(0));
}

/// 40 of them, five posts a second each.
const PHONES: usize = 40;
const EACH: Duration = Duration::from_millis(200);
