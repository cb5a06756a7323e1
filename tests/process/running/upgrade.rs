//! One process after the other on the same sockets, which a service manager holds, under load.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use wapbridge::handset::{Config, Event, Failure};
use wapbridge::wsp::AbortReason;
use wapbridge::wsp::pdu::Method;

use super::manager::{Manager, configuration};
use crate::support::origin::Origin;
use crate::support::phone::{Phone, config, roomy};

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

/// Handsets wait some seconds before they send an Invoke again, and give up after eight times; these make the tests
/// shorter, and are as patient.
fn hasty() -> Config {
    let mut config = config(roomy());
    config.wtp.base_retry = Duration::from_millis(400);
    config.wtp.max_retransmissions = 100;
    config
}

/// Posts different bodies until it is stopped. Returns the number of posts, and how often a new
/// session was needed.
async fn post_away(mut phone: Phone, name: usize, stop: watch::Receiver<bool>) -> (usize, usize) {
    let (mut posts, mut anew) = (0, 0);
    while !*stop.borrow() {
        let uri = format!("http://sync.example/post/{name}/{posts}");
        while !is_answered(&mut phone, &uri).await {
            // The next process does not know the session, and the origin has no such request.
            phone.connect_again().await;
            anew += 1;
        }
        posts += 1;
        tokio::time::sleep(EACH).await;
    }
    (posts, anew)
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
    let anew = upgrade_twice("[store]\npath = \"sessions.redb\"\n").await;
    assert_eq!(anew, 0, "no handset has noticed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_under_load_without_a_store_loses_sessions_and_no_post() {
    let anew = upgrade_twice("").await;
    assert!(anew >= PHONES, "only {anew} handsets connected anew");
}

/// Two upgrades under load, which must not fail or double a single post. How often one needed a new session.
async fn upgrade_twice(store: &str) -> usize {
    let origin = Origin::start().await;
    let (sockets, address) = group(2);
    let mut manager = Manager::new(&configuration(&on(address), &origin.uri(), store));
    manager.sockets = sockets;
    let mut gateway = manager.start();
    gateway.says("shards=2");
    manager.hears("READY=1");

    let (stop, stopping) = watch::channel(false);
    let mut posting = JoinSet::new();
    for name in 0..PHONES {
        let stopping = stopping.clone();
        posting.spawn(async move {
            let phone = Phone::connect_with(address, hasty()).await;
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
    let (posts, anew): (Vec<_>, Vec<_>) = posting.join_all().await.into_iter().unzip();
    let posts: usize = posts.into_iter().sum();
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
    anew.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_origin_delays_no_other_handset_while_sockets_change_hands() {
    let origin = Origin::start().await;
    let (sockets, address) = group(1);
    let mut manager = Manager::new(&configuration(&on(address), &origin.uri(), ""));
    manager.sockets = sockets;
    let mut gateway = manager.start();
    let mut waiting = Phone::connect(address, roomy()).await;
    let mut other = Phone::connect(address, roomy()).await;
    let held = waiting.begin(Method::GET, "http://sync.example/hold", &[], b"");
    let held = held.await;
    tokio::select! {
        () = origin.wait(|state| !state.heard.is_empty()) => {}
        event = waiting.event() => panic!("{event:?}"),
    }
    gateway.signal("TERM");
    gateway.says("draining");
    assert_eq!(other.get("http://sync.example/hello").await.status, 200);
    origin.release();
    match waiting.event().await {
        Event::Replied(ticket, reply) => assert_eq!((ticket, reply.status), (held, 200)),
        event => panic!("{event:?}"),
    }
    assert_eq!(gateway.ended().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_begins_while_one_process_leaves_is_answered_by_the_next() {
    let origin = Origin::start().await;
    let ((with, address), (without, units)) = (group(1), group(1));
    let listen = format!("{}\nconnectionless = \"{units}\"", on(address));
    let mut manager = Manager::new(&configuration(&listen, &origin.uri(), ""));
    manager.sockets = with.into_iter().chain(without).collect();
    let mut gateway = manager.start();
    let mut silent = Phone::connect(address, roomy()).await;
    assert_eq!(silent.get("http://sync.example/hello").await.status, 200);
    // The handset acknowledges the result only when it polls again.
    let asked = silent.begin(Method::GET, "http://sync.example/last", &[], b"");
    let asked = asked.await;
    origin
        .wait(|state| state.heard.iter().any(|heard| heard.target == "/last"))
        .await;
    gateway.signal("TERM");
    gateway.says("left to the next process");

    let unit = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    unit.connect(units).await.unwrap();
    unit.send(b"\x07\x40\x18http://sync.example/unit")
        .await
        .unwrap();
    let newcomer = tokio::spawn(Phone::connect_with(address, hasty()));

    assert!(matches!(
        silent.event().await,
        Event::Replied(answered, reply) if answered == asked && reply.status == 200
    ));
    assert_eq!(gateway.ended().code(), Some(0));
    assert!(origin.heard("/unit").is_empty());
    let next = manager.start();
    next.says("ready");
    let mut reply = [0; 1500];
    let len = unit.recv(&mut reply).await.unwrap();
    assert_eq!(
        reply[..3],
        [0x07, 0x04, 0x20],
        "200: {:02X?}",
        &reply[..len]
    );
    assert_eq!(origin.heard("/unit").len(), 1);
    let mut newcomer = newcomer.await.unwrap();
    assert_eq!(newcomer.get("http://sync.example/hello").await.status, 200);
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

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_for_the_next_process_is_asked_for_in_its_subscribers_name() {
    let origin = Origin::start().await;
    let (sockets, units) = group(1);
    let listen = format!("connectionless = \"{units}\"");
    let list = "[identity]\nsubscribers = [\"127.0.0.1,491701234567\"]\n";
    let trusted = "\ninsert_identity = { X-MSISDN = \"msisdn\" }\n[tls]";
    let configuration = configuration(&listen, &origin.uri(), list).replace("\n[tls]", trusted);
    let mut manager = Manager::new(&configuration);
    manager.sockets = sockets;
    let unit = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..WAITING {
        let uri = format!("http://sync.example/{number:02}");
        let length = u8::try_from(uri.len()).unwrap();
        let get = [&[number, 0x40, length], uri.as_bytes()].concat();
        unit.send_to(&get, units).unwrap();
    }
    let gateway = manager.start();
    gateway.says("ready");
    origin
        .wait(|state| state.heard.len() == usize::from(WAITING))
        .await;
    for number in 0..WAITING {
        let heard = origin.heard(&format!("/{number:02}"));
        assert_eq!(heard[0].headers["x-msisdn"], "491701234567", "{number}");
    }
}

/// A handset with a used session: a full table drops sessions that were never used.
async fn used(address: SocketAddr) -> Phone {
    let mut phone = Phone::connect(address, roomy()).await;
    let reply = phone.get("http://without-a-route.example/").await;
    assert_eq!(reply.status, 403);
    phone
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_shared_out_among_the_sockets_there_are() {
    let (sockets, address) = group(1);
    let listen = format!("{}\nshards = 4", on(address));
    let limits = "[limits]\nmax_sessions = 4\n";
    let mut manager = Manager::new(&configuration(&listen, "https://x.example/", limits));
    manager.sockets = sockets;
    let gateway = manager.start();
    gateway.says("shards=1");
    gateway.says("ready");
    let mut phones = Vec::new();
    for _ in 0..3 {
        phones.push(used(address).await);
    }
    gateway.signal("HUP");
    gateway.says("limits and certificates reloaded");
    phones.push(used(address).await);
    let mut one_more = Phone::switched_on(address, config(roomy())).await;
    let refused = one_more.try_to_connect().await;
    assert!(
        matches!(
            refused,
            Event::ConnectFailed(Failure::Aborted(AbortReason::CONGESTION))
        ),
        "{refused:?}"
    );
}

/// With systemd's own tool, which waits for a datagram before it starts the gateway.
#[tokio::test(flavor = "multi_thread")]
async fn systemd_starts_it_with_the_first_datagram() {
    let tool = "systemd-socket-activate";
    if !crate::support::peer::is_there(tool) {
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

/// Fewer than one address may ask for at once.
const WAITING: u8 = 10;
/// 40 of them, five posts a second each.
const PHONES: usize = 40;
const EACH: Duration = Duration::from_millis(200);
