//! Hosts in one view of all shards: ejection, checks, and requests at a time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{Method, StatusCode};
use tokio::io::AsyncWriteExt;
use wapbridge::gateway::fetch::{Failure, FetchError, Reply};
use wapbridge::random::Random;
use wapbridge::route::{
    Address, Affinity, Balance, Condition, Destination, HealthCheck, HostPolicy, Outlier,
    RetryBudget, RouteSettings, Routes,
};
use wapbridge::server::{HealthChecks, State};
use wapbridge::upstream::{
    GroupStatus, HostCondition, HostStatus, Hosts, Outcome, Upstream, checks_of,
};

use super::{OK, assert_fails};
use crate::support::certificate::{Certificate, acceptor, tls};
use crate::support::raw::{AfterReply, OriginLog, listen, origin, read_request, request};

/// An origin that gives each request the status that is set.
struct Switched {
    address: SocketAddr,
    status: Arc<AtomicU16>,
    /// Connections are accepted, and then nothing is said: TLS hangs.
    hangs: Arc<AtomicUsize>,
    log: Arc<OriginLog>,
}

impl Switched {
    async fn start() -> Self {
        let (listener, address) = listen().await;
        let this = Self {
            address,
            status: Arc::new(AtomicU16::new(200)),
            hangs: Arc::default(),
            log: Arc::default(),
        };
        let acceptor = acceptor(Certificate::Good, &[b"http/1.1"]);
        let (status, hangs) = (Arc::clone(&this.status), Arc::clone(&this.hangs));
        let log = Arc::clone(&this.log);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                log.connections.fetch_add(1, Ordering::SeqCst);
                let (acceptor, status) = (acceptor.clone(), Arc::clone(&status));
                let (hangs, log) = (hangs.load(Ordering::SeqCst) > 0, Arc::clone(&log));
                tokio::spawn(async move {
                    if hangs {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                    let Ok(mut tls) = acceptor.accept(tcp).await else {
                        return;
                    };
                    while let Some(request) = read_request(&mut tls).await {
                        log.requests.lock().unwrap().push(request);
                        let status = status.load(Ordering::SeqCst);
                        let reply =
                            format!("HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\nhello");
                        let _ = tls.write_all(reply.as_bytes()).await;
                    }
                });
            }
        });
        this
    }

    fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn hangs(&self, does: bool) {
        self.hangs.store(usize::from(does), Ordering::SeqCst);
    }

    fn requests(&self) -> usize {
        self.log.requests().len()
    }
}

fn routes(hosts: &[SocketAddr], policy: HostPolicy) -> Routes {
    let address =
        |host: &SocketAddr| Address::parse_prefix(&format!("https://localhost:{}/", host.port()));
    let mut addresses = hosts.iter().map(|host| address(host).unwrap());
    let upstream = addresses.next().unwrap();
    let mut route = RouteSettings::new(Condition::default(), upstream.clone());
    route.destination = Destination::Fixed {
        upstream,
        fallbacks: addresses.collect(),
    };
    route.host_policy = policy;
    Routes::new(vec![route])
}

/// A shard of a process with these hosts.
fn shard(routes: &Routes, hosts: &Hosts) -> Upstream {
    Upstream::sharing(&tls(), routes, usize::MAX, hosts)
}

async fn post(shard: &Upstream, first: SocketAddr) -> Result<Reply, FetchError> {
    shard.fetch(request(Method::POST, first, b"x")).await
}

fn of(hosts: &Hosts, address: SocketAddr) -> HostStatus {
    let port = format!(":{}", address.port());
    let mut status = hosts.status().into_iter();
    status.find(|host| host.host.ends_with(&port)).unwrap()
}

fn outlier(consecutive: u32, base: Duration) -> HostPolicy {
    HostPolicy {
        outlier: Some(Outlier {
            consecutive,
            base,
            max: base * 4,
        }),
        ..HostPolicy::default()
    }
}

#[tokio::test]
async fn what_one_shard_met_is_known_to_the_others_and_after_a_reload() {
    let closed = listen().await.1;
    let (good, seen) = origin(OK, AfterReply::KeepAlive).await;
    let (routes, hosts) = (
        routes(&[closed, good], HostPolicy::default()),
        Hosts::default(),
    );
    let (one, other) = (shard(&routes, &hosts), shard(&routes, &hosts));
    assert!(post(&one, closed).await.is_ok());
    assert_eq!(of(&hosts, closed).condition, HostCondition::Ejected);
    // The host is back, and nobody asks it before its time.
    let back = tokio::net::TcpListener::bind(closed).await.unwrap();
    let reloaded = other.reloaded(&tls(), &routes, usize::MAX);
    for shard in [&other, &reloaded] {
        assert!(post(shard, closed).await.is_ok());
    }
    assert_eq!(seen.requests().len(), 3);
    let asked = tokio::time::timeout(Duration::from_millis(50), back.accept()).await;
    assert!(asked.is_err());
}

#[tokio::test]
async fn a_host_that_answers_500_is_ejected_for_ever_longer_and_no_post_is_sent_twice() {
    let (bad, good) = (Switched::start().await, Switched::start().await);
    bad.answers(500);
    let base = Duration::from_secs(1);
    let routes = routes(&[bad.address, good.address], outlier(2, base));
    let hosts = Hosts::default();
    let shards = [shard(&routes, &hosts), shard(&routes, &hosts)];
    let mut sent = 0;
    let mut ask = async |shard: usize, status: u16| {
        sent += 1;
        let reply = post(&shards[shard], bad.address).await.unwrap();
        assert_eq!(reply.status.as_u16(), status);
        assert_eq!(bad.requests() + good.requests(), sent);
    };
    let mut longest = Duration::ZERO;
    for times in 1..=2 {
        ask(0, 500).await;
        // The failures of all shards count. After an ejection one failure is enough.
        if times == 1 {
            ask(1, 500).await;
        }
        let status = of(&hosts, bad.address);
        assert_eq!(status.condition, HostCondition::Ejected);
        assert_eq!(status.ejections, times);
        let rest = status.ejected_for.unwrap();
        assert!(rest > longest, "{rest:?} after {longest:?}");
        longest = base * (1 << (times - 1));
        assert!(rest <= longest, "{rest:?}");
        ask(0, 200).await;
        ask(1, 200).await;
        tokio::time::sleep(rest).await;
    }
    assert_eq!(bad.requests(), 3);
    let status = of(&hosts, bad.address);
    assert_eq!(status.condition, HostCondition::OnTrial);
    assert_eq!(status.count(Outcome::ServerError), 3);
    assert_eq!(of(&hosts, good.address).count(Outcome::Answered), 4);
}

#[tokio::test]
async fn a_5xx_ejects_nothing_by_default_and_the_last_host_is_never_ejected() {
    let (one, other) = (Switched::start().await, Switched::start().await);
    one.answers(503);
    let hosts = Hosts::default();
    let by_default = routes(&[one.address, other.address], HostPolicy::default());
    let usual = shard(&by_default, &hosts);
    for _ in 0..6 {
        let reply = post(&usual, one.address).await.unwrap();
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!((one.requests(), other.requests()), (6, 0));

    other.answers(503);
    let hosts = Hosts::default();
    let policy = outlier(2, Duration::from_secs(60));
    let both = shard(
        &routes(&[one.address, other.address], policy.clone()),
        &hosts,
    );
    for _ in 0..8 {
        assert!(post(&both, one.address).await.is_ok());
    }
    assert_eq!(of(&hosts, one.address).condition, HostCondition::Ejected);
    assert_eq!(
        of(&hosts, other.address).condition,
        HostCondition::InService
    );
    assert_eq!((one.requests(), other.requests()), (8, 6));

    // A route with one host has no other.
    let hosts = Hosts::default();
    let single = shard(&routes(&[one.address], policy), &hosts);
    for _ in 0..4 {
        assert!(post(&single, one.address).await.is_ok());
    }
    assert_eq!(of(&hosts, one.address).ejections, 0);
}

#[tokio::test]
async fn a_get_that_may_have_arrived_is_sent_again_to_the_same_host_only() {
    let (resets, seen) = origin("", AfterReply::Reset).await;
    let (good, untouched) = origin(OK, AfterReply::KeepAlive).await;
    let hosts = Hosts::default();
    let routes = routes(&[resets, good], outlier(1, Duration::from_secs(60)));
    let upstream = shard(&routes, &hosts);
    let result = upstream.fetch(request(Method::GET, resets, b"")).await;
    assert_fails(result, Failure::Reset, "sent again 1 time");
    assert_eq!((seen.requests().len(), untouched.connections()), (2, 0));
    assert_eq!(of(&hosts, resets).condition, HostCondition::Ejected);
    assert!(post(&upstream, resets).await.is_ok());
}

#[tokio::test]
async fn a_host_with_as_many_requests_as_it_may_have_passes_them_on_or_refuses() {
    let (first, seen) = origin("", AfterReply::Stall).await;
    let (second, also) = origin("", AfterReply::Stall).await;
    let policy = HostPolicy {
        max_requests: Some(1),
        ..HostPolicy::default()
    };
    let hosts = Hosts::default();
    let routes_of_two = routes(&[first, second], policy.clone());
    let shards: Vec<_> = (0..2)
        .map(|_| Arc::new(shard(&routes_of_two, &hosts)))
        .collect();
    let mut under_way = Vec::new();
    for (shard, log) in shards.iter().zip([&seen, &also]) {
        let shard = Arc::clone(shard);
        under_way.push(tokio::spawn(async move { post(&shard, first).await }));
        while log.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    for shard in &shards {
        let refused = post(shard, first).await;
        assert_fails(refused, Failure::HostBusy, "max_requests of the route (1)");
    }
    let status = of(&hosts, first);
    assert_eq!((status.requests, status.refused), (1, 3));
    assert_eq!(of(&hosts, second).refused, 2);
    assert_eq!(seen.requests().len() + also.requests().len(), 2);
    // A request that is cancelled leaves its place.
    under_way[0].abort();
    seen.closed().await;
    assert_eq!(of(&hosts, first).requests, 0);
    // Neither a refusal nor a cancelled request says anything of the host.
    assert_eq!(of(&hosts, first).condition, HostCondition::InService);
    assert!(shards[0].health().iter().all(|health| health.failed == 0));

    // The same with one host.
    let (only, seen) = origin("", AfterReply::Stall).await;
    let single = Arc::new(shard(&routes(&[only], policy), &Hosts::default()));
    let busy = Arc::clone(&single);
    let _under_way = tokio::spawn(async move { post(&busy, only).await });
    while seen.requests().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_fails(post(&single, only).await, Failure::HostBusy, "localhost:");
}

fn checked() -> HostPolicy {
    let path = PathAndQuery::from_static("/healthz?deep=1");
    HostPolicy {
        check: Some(HealthCheck {
            timeout: Duration::from_secs(1),
            unhealthy: 2,
            ..HealthCheck::new(path)
        }),
        ..HostPolicy::default()
    }
}

#[tokio::test]
async fn a_host_that_fails_its_checks_is_tried_last_until_it_passes() {
    let (first, second) = (Switched::start().await, Switched::start().await);
    let routes = routes(&[first.address, second.address], checked());
    let hosts = Hosts::default();
    let upstream = shard(&routes, &hosts);
    let checks = checks_of(&tls(), &routes, &hosts);
    assert_eq!(checks.len(), 2);
    first.answers(500);
    checks[0].check().await;
    assert_eq!(
        of(&hosts, first.address).condition,
        HostCondition::InService
    );
    // It hangs in the TLS handshake.
    first.hangs(true);
    checks[0].check().await;
    checks[1].check().await;
    let status = of(&hosts, first.address);
    assert_eq!(status.condition, HostCondition::FailingChecks);
    assert_eq!((status.checks_passed, status.checks_failed), (0, 2));
    let why = status.last_check.unwrap().1.unwrap();
    assert!(why.contains("within 1s"), "{why}");
    assert_eq!(of(&hosts, second.address).checks_passed, 1);
    // Requests go to the other host, and are not those of the checks.
    assert!(post(&upstream, first.address).await.is_ok());
    let health = upstream.health();
    let answered: u64 = health.iter().map(|health| health.answered).sum();
    assert_eq!(answered, 1);
    assert_eq!(second.requests(), 2);
    let check = String::from_utf8(second.log.requests()[0].clone()).unwrap();
    assert!(
        check.starts_with("GET /healthz?deep=1 HTTP/1.1\r\n"),
        "{check}"
    );
    assert!(check.contains("(health check)\r\n"), "{check}");
    // Each check has a connection of its own.
    assert_eq!(second.log.connections(), 2);
    // If no other host can be connected to, it is tried all the same.
    first.hangs(false);
    first.answers(200);
    checks[0].check().await;
    assert_eq!(
        of(&hosts, first.address).condition,
        HostCondition::FailingChecks
    );
    checks[0].check().await;
    assert_eq!(
        of(&hosts, first.address).condition,
        HostCondition::InService
    );
    let before = first.requests();
    assert!(post(&upstream, first.address).await.is_ok());
    assert_eq!(first.requests(), before + 1);
}

#[tokio::test]
async fn checks_verify_the_host_like_requests() {
    let expired = acceptor(Certificate::Expired, &[]);
    let (address, seen) =
        crate::support::raw::origin_with(expired, OK, AfterReply::KeepAlive).await;
    let routes = routes(&[address], checked());
    let hosts = Hosts::default();
    let checks = checks_of(&tls(), &routes, &hosts);
    checks[0].check().await;
    let why = of(&hosts, address).last_check.unwrap().1.unwrap();
    assert!(why.contains("has expired"), "{why}");
    assert_eq!(seen.requests().len(), 0);
    // A host that no other stands in for is tried all the same.
    checks[0].check().await;
    assert_eq!(of(&hosts, address).condition, HostCondition::FailingChecks);
    let result = post(&shard(&routes, &hosts), address).await;
    assert_fails(result, Failure::Tls, "has expired");
}

#[tokio::test]
async fn a_run_checks_again_and_again_and_a_new_run_goes_on_in_time() {
    let host = Switched::start().await;
    let mut policy = checked();
    if let Some(check) = &mut policy.check {
        check.interval = Duration::from_millis(100);
    }
    let routes = routes(&[host.address], policy);
    let hosts = Hosts::default();
    let checks = checks_of(&tls(), &routes, &hosts);
    // Configurations that are reloaded faster than checks come do not stop them.
    while of(&hosts, host.address).checks_passed < 3 {
        let again = checks_of(&tls(), &routes, &hosts);
        assert!(again[0].is_of_same_host(&checks[0]));
        let run = again[0].run(Random::new(7));
        let _ = tokio::time::timeout(Duration::from_millis(40), run).await;
    }
}

/// Waits until a host is in this condition.
async fn becomes(hosts: &Hosts, address: SocketAddr, condition: HostCondition) {
    while of(hosts, address).condition != condition {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_gateway_checks_by_its_last_configuration_and_not_while_it_drains() {
    let host = Switched::start().await;
    host.answers(500);
    let mut policy = checked();
    let check = policy.check.as_mut().unwrap();
    check.interval = Duration::from_millis(100);
    let with = routes(&[host.address], policy);
    let without = routes(&[host.address], HostPolicy::default());
    let hosts = Hosts::default();
    let _shard = shard(&without, &hosts);
    let (control, receiver) = wapbridge::server::control();
    let checks = HealthChecks::start(&tls(), &with, hosts.clone(), control.subscribe(), 1);
    becomes(&hosts, host.address, HostCondition::FailingChecks).await;

    // A host that is not checked any more is as well as its requests say.
    checks.reload(&tls(), &without);
    becomes(&hosts, host.address, HostCondition::InService).await;
    let failed = of(&hosts, host.address).checks_failed;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(of(&hosts, host.address).checks_failed, failed);
    checks.reload(&tls(), &with);
    becomes(&hosts, host.address, HostCondition::FailingChecks).await;

    // The state stays while the gateway drains.
    receiver.show(State::Draining);
    tokio::time::sleep(Duration::from_millis(100)).await;
    host.answers(200);
    let before = of(&hosts, host.address);
    tokio::time::sleep(Duration::from_millis(400)).await;
    let drained = of(&hosts, host.address);
    assert_eq!(drained.condition, HostCondition::FailingChecks);
    assert_eq!(drained.checks_failed, before.checks_failed);
    assert_eq!(drained.checks_passed, 0);
    receiver.show(State::Running);
    becomes(&hosts, host.address, HostCondition::InService).await;

    drop(checks);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let passed = of(&hosts, host.address).checks_passed;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(of(&hosts, host.address).checks_passed, passed);
}

/// A balanced route, with what `change` adds.
fn balanced(change: impl FnOnce(&mut HostPolicy)) -> HostPolicy {
    let mut policy = HostPolicy {
        balance: Balance::RoundRobin,
        ..HostPolicy::default()
    };
    change(&mut policy);
    policy
}

/// A message of a WSP session.
async fn post_in(shard: &Upstream, session: Option<u32>, to: SocketAddr) -> Reply {
    let mut request = request(Method::POST, to, b"x");
    request.session = session;
    shard.fetch(request).await.unwrap()
}

fn group(hosts: &Hosts) -> GroupStatus {
    hosts.groups().into_iter().next().unwrap()
}

#[tokio::test]
async fn sessions_are_shared_by_weight_over_all_shards_and_their_messages_stay_together() {
    let (first, one) = origin(OK, AfterReply::KeepAlive).await;
    let (second, other) = origin(OK, AfterReply::KeepAlive).await;
    let policy = balanced(|policy| policy.weights = vec![3, 1]);
    let routes = routes(&[first, second], policy);
    let hosts = Hosts::default();
    let shards = [shard(&routes, &hosts), shard(&routes, &hosts)];
    let sent = || (one.requests().len(), other.requests().len());
    let mut places = Vec::new();
    for session in 0..16 {
        let before = sent();
        // A session may go on at another shard, and after a reload.
        for shard in &shards {
            post_in(shard, Some(session), first).await;
        }
        let reloaded = shards[1].reloaded(&tls(), &routes, usize::MAX);
        post_in(&reloaded, Some(session), first).await;
        let grown = (sent().0 - before.0, sent().1 - before.1);
        assert!(grown == (3, 0) || grown == (0, 3), "{grown:?}");
        places.push(grown.0 == 3);
    }
    assert_eq!(places.iter().filter(|first| **first).count(), 12);
    let group = group(&hosts);
    assert_eq!((group.affinity_entries, group.affinity_moved), (16, 0));
    assert_eq!(of(&hosts, first).weight, 3);
    assert_eq!(of(&hosts, first).count(Outcome::Answered), 36);
}

#[tokio::test]
async fn a_session_moves_when_its_host_is_gone_and_does_not_move_back() {
    let (staying, seen) = origin(OK, AfterReply::KeepAlive).await;
    let (listener, leaving) = listen().await;
    let policy = balanced(|_| {});
    let routes = routes(&[leaving, staying], policy);
    let hosts = Hosts::default();
    let shard = shard(&routes, &hosts);
    // It accepts no connection from now on.
    drop(listener);
    for _ in 0..3 {
        post_in(&shard, Some(1), leaving).await;
    }
    assert_eq!(seen.requests().len(), 3);
    assert_eq!(of(&hosts, leaving).condition, HostCondition::Ejected);
    assert_eq!(of(&hosts, leaving).count(Outcome::Failed), 1);
    assert_eq!(group(&hosts).failovers, 1);
    // Once the message is at the other host, it is the host of the session.
    assert_eq!(group(&hosts).affinity_moved, 0);
}

#[tokio::test]
async fn requests_without_affinity_take_turns_and_the_busy_host_gets_fewer() {
    let (slow, stalled) = origin("", AfterReply::Stall).await;
    let (fast, seen) = origin(OK, AfterReply::KeepAlive).await;
    let policy = balanced(|policy| {
        policy.balance = Balance::LeastOutstanding;
        policy.affinity = Affinity::Off;
    });
    let routes = routes(&[slow, fast], policy);
    let hosts = Hosts::default();
    let shard = Arc::new(shard(&routes, &hosts));
    let first = Arc::clone(&shard);
    let _under_way = tokio::spawn(async move { post_in(&first, Some(1), slow).await });
    while stalled.requests().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for _ in 0..10 {
        post_in(&shard, Some(1), slow).await;
    }
    assert_eq!((stalled.requests().len(), seen.requests().len()), (1, 10));
    assert_eq!(group(&hosts).affinity_entries, 0);
}

#[tokio::test]
async fn after_an_ejection_one_request_tries_the_host_while_the_others_go_elsewhere() {
    let (good, seen) = origin(OK, AfterReply::KeepAlive).await;
    let (listener, gone) = listen().await;
    drop(listener);
    let base = Duration::from_millis(300);
    let routes = routes(&[gone, good], outlier(5, base));
    let hosts = Hosts::default();
    let shards: Vec<_> = (0..2).map(|_| Arc::new(shard(&routes, &hosts))).collect();
    assert!(post(&shards[0], gone).await.is_ok());
    assert_eq!(seen.requests().len(), 1);
    becomes(&hosts, gone, HostCondition::OnTrial).await;
    // It is back, takes TCP, and TLS hangs.
    let back = tokio::net::TcpListener::bind(gone).await.unwrap();
    let trial = Arc::clone(&shards[0]);
    let trial = tokio::spawn(async move { post(&trial, gone).await });
    let (tcp, _) = back.accept().await.unwrap();
    for shard in shards.iter().cycle().take(10) {
        assert!(post(shard, gone).await.is_ok());
    }
    assert_eq!(seen.requests().len(), 11);
    assert_eq!(of(&hosts, gone).condition, HostCondition::OnTrial);
    // The trial has failed: the request goes on to the other host.
    drop((tcp, back));
    assert!(trial.await.unwrap().is_ok());
    assert_eq!(seen.requests().len(), 12);
    assert_eq!(of(&hosts, gone).ejections, 2);
}

#[tokio::test]
async fn the_retry_budget_bounds_the_requests_that_are_tried_elsewhere() {
    let budget = |min_retry_concurrency| HostPolicy {
        retry_budget: Some(RetryBudget {
            budget_percent: 0,
            min_retry_concurrency,
        }),
        ..HostPolicy::default()
    };
    let (gone, also_gone) = (listen().await.1, listen().await.1);
    let (good, seen) = origin("", AfterReply::Stall).await;
    let hosts = Hosts::default();
    let with_budget = routes(&[gone, also_gone, good], budget(1));
    let upstream = Arc::new(shard(&with_budget, &hosts));
    let first = Arc::clone(&upstream);
    let under_way = tokio::spawn(async move { post(&first, gone).await });
    while seen.requests().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Two attempts at other hosts are one retry.
    assert_eq!(group(&hosts).failovers, 1);
    // The hosts that are gone are ejected: a request to the third one is no retry.
    let second = Arc::clone(&upstream);
    let other = tokio::spawn(async move { post(&second, gone).await });
    while seen.requests().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(group(&hosts).failovers, 1);
    // The same with no retry at all.
    let hosts = Hosts::default();
    let upstream = shard(&routes(&[gone, good], budget(0)), &hosts);
    let refused = post(&upstream, gone).await;
    let told = "retry_budget of the route is spent";
    assert_fails(refused, Failure::Connect, told);
    assert_eq!(group(&hosts).failovers_refused, 1);
    assert_eq!(seen.requests().len(), 2);
    under_way.abort();
    other.abort();
}
