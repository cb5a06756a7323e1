//! The HTTPS side: one request, one bounded reply or one reason why not.

mod affinity;
mod balance;
mod body;
mod check;
mod connections;
mod connector;
mod ejection;
mod error;
mod expiry;
mod failover;
mod guard;
mod head;
mod health;
mod host_group;
mod host_state;
mod hosts;
mod occupants;
mod pin;
mod pool;
mod reserve;
mod retry;
mod retry_budget;
mod stream;
mod tls;
mod tls_error;
mod tunnel;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::uri::Authority;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy::ResponseFuture;
use hyper_util::client::legacy::connect::capture_connection;
use tokio::time::{Instant, Sleep};
use tracing::field::display;
use tracing::{debug, warn};

use crate::gateway::fetch::{Failure, FetchError, Reply, Request};
use crate::route::{Destination, RouteSettings, Routes};
use body::Progress;
use connections::{Connections, origin_of};
use connector::PERMIT_WAIT;
use error::{AttemptError, Processed};
use failover::{Candidates, Itinerary, RouteHosts, at_host};
use health::HostHealth;
use pool::{Pool, PoolSettings};
use reserve::{NoRoom, ReplyBuffer};
use retry_budget::BudgetSpent;
use stream::ConnectionEnd;

pub use check::{HostCheck, checks_of};
pub use connections::RESERVED_DESCRIPTORS;
pub use error::Unprocessed;
pub use expiry::{Expiry, Role, expiries_of};
pub use health::{Condition, Health};
pub use host_group::GroupStatus;
pub use host_state::{HostCondition, HostStatus, Outcome};
pub use hosts::Hosts;
pub use pin::{InvalidPin, KeyPin};
pub use reserve::Reserve;
pub use retry::Retries;
pub use tls::{ClientIdentity, OriginTls, Tls, TlsError, TlsSettings, TlsVersion};
pub use tunnel::Tunnel;

/// The connections of one shard to its origins, kept alive between requests.
///
/// A request that its origin provably did not process is sent again, whatever its method, on
/// another connection and within its deadline ([`Unprocessed`] lists the proofs). A request that
/// the origin may have processed is sent again only if its method is idempotent, and once. A
/// request waits for a connection within its deadline while as many are open as there may be.
///
/// Routes share connections only if they reach their hosts in the same way: with the same TLS
/// settings, through the same proxy, under the same restriction of addresses and with the same
/// connect timeout.
pub struct Upstream {
    /// What each route needs, by its name.
    routes: HashMap<Arc<str>, Route>,
    pools: Vec<Pool>,
    health: HostHealth,
    hosts: Hosts,
    counters: Arc<Counters>,
    connections: Arc<Connections>,
}

/// What one route's requests need.
struct Route {
    /// The place of its pool.
    pool: usize,
    hosts: RouteHosts,
}

/// What one shard counts of its requests to origins.
#[derive(Debug, Default)]
struct Counters {
    retries: [AtomicU64; RETRY_REASONS.len()],
}

/// Counters of the requests to origins; they only grow.
#[derive(Clone, Copy, Debug, Default, derive_more::AddAssign)]
pub struct UpstreamStats {
    /// Requests sent again, by reason.
    pub retries: RetryCounts,
    /// Gauge: connections to origins, open or being opened.
    pub connections: u64,
    /// Gauge: how many there may be.
    pub max_connections: u64,
    /// Connections that had to wait because of that limit.
    pub connections_waited: u64,
    /// Lines of reply heads that are no header fields.
    pub skipped_lines: u64,
}

/// Requests sent again, by reason.
#[derive(Clone, Copy, Debug, Default)]
pub struct RetryCounts([u64; RETRY_REASONS.len()]);

impl RetryCounts {
    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        RETRY_REASONS.into_iter().zip(self.0)
    }
}

impl std::ops::AddAssign for RetryCounts {
    fn add_assign(&mut self, other: Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }
}

impl Counters {
    fn count_retry(&self, reason: &str) {
        let place = RETRY_REASONS.iter().position(|other| *other == reason);
        if let Some(count) = place.and_then(|place| self.retries.get(place)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Upstream {
    /// An upstream side without any connection yet, nor a limit of connections. Each shard has its
    /// own.
    #[must_use]
    pub fn new(tls: &Tls, routes: &Routes) -> Self {
        Self::with_limit(tls, routes, usize::MAX)
    }

    /// The same with at most `max_connections` connections.
    #[must_use]
    pub fn with_limit(tls: &Tls, routes: &Routes, max_connections: usize) -> Self {
        Self::sharing(tls, routes, max_connections, &Hosts::default())
    }

    /// The same with the view of hosts that the other shards of the process have.
    #[must_use]
    pub fn sharing(tls: &Tls, routes: &Routes, max_connections: usize, hosts: &Hosts) -> Self {
        let connections = Arc::new(Connections::new(max_connections));
        Self::build(tls, routes, connections, hosts, None)
    }

    /// The same with other certificates, routes and limit, and new connections, since the
    /// certificates may have changed. The counters go on, and hosts that stay keep their health.
    #[must_use]
    pub fn reloaded(&self, tls: &Tls, routes: &Routes, max_connections: usize) -> Self {
        self.connections.set_limit(max_connections);
        let connections = Arc::clone(&self.connections);
        Self::build(tls, routes, connections, &self.hosts, Some(self))
    }

    fn build(
        tls: &Tls,
        routes: &Routes,
        connections: Arc<Connections>,
        hosts: &Hosts,
        before: Option<&Self>,
    ) -> Self {
        let unknown = HostHealth::default();
        let known_health = before.map_or(&unknown, |before| &before.health);
        let mut health = HostHealth::default();
        let mut known: Vec<PoolSettings> = Vec::new();
        let mut by_name = HashMap::new();
        for route in routes.iter() {
            let authorities: Vec<Authority> = route
                .hosts()
                .filter_map(|address| address.authority().parse().ok())
                .collect();
            for host in &authorities {
                health.add(host.clone(), known_health);
            }
            let settings = PoolSettings::of(route, tls);
            let pool = known.iter().position(|other| *other == settings);
            let pool = pool.unwrap_or_else(|| {
                known.push(settings);
                known.len() - 1
            });
            let hosts = RouteHosts::new(route, authorities, has_fallbacks(route), hosts);
            by_name.insert(Arc::clone(&route.name), Route { pool, hosts });
        }
        Self {
            routes: by_name,
            pools: known
                .iter()
                .map(|settings| Pool::new(settings, tls, &connections))
                .collect(),
            health,
            hosts: hosts.clone(),
            counters: before.map_or_else(Arc::default, |before| Arc::clone(&before.counters)),
            connections,
        }
    }

    /// Sends a request and reads the whole reply. Needs a tokio runtime, of either flavour.
    ///
    /// Dropping the future cancels the request: the HTTP/1 connection is closed, the HTTP/2 stream
    /// reset.
    ///
    /// # Errors
    ///
    /// A [`FetchError`] with its class and, for the operator's log, the cause in words.
    pub async fn fetch(&self, request: Request) -> Result<Reply, FetchError> {
        self.fetch_with_retries(request, &reserve::without_limit)
            .await
            .0
    }

    /// As [`fetch`](Self::fetch), with memory for the reply from `reserve`, and how often the
    /// request was sent again.
    pub async fn fetch_with_retries(
        &self,
        mut request: Request,
        reserve: Reserve<'_>,
    ) -> (Result<Reply, FetchError>, Retries) {
        // RFC 9110 8.6, for methods that define a meaning for a body. hyper would do it for bodies
        // that are not empty, in a copy of the fields that has no room for one more.
        let may_have_body = matches!(request.method, Method::POST | Method::PUT | Method::PATCH);
        if may_have_body || !request.body.is_empty() {
            let length = HeaderValue::from(request.body.len());
            request.headers.insert(CONTENT_LENGTH, length);
        }
        let mut retries = Retries::default();
        let route = match self.route(&request) {
            Ok(route) => route,
            Err(error) => return (Err(error), retries),
        };
        let begun = Instant::now();
        let sleep = tokio::time::sleep_until(begun + request.timeout);
        tokio::pin!(sleep);
        let mut timer = ReplyTimer::new(sleep, begun + request.first_byte_timeout);
        let mut refusal = None;
        let mut itinerary = match route.hosts.stand_in() {
            true => route.hosts.itinerary(&request),
            false => Itinerary::default(),
        };
        loop {
            let failed = match self
                .fetch_once(
                    route,
                    &request,
                    &mut itinerary,
                    &retries,
                    &mut timer,
                    reserve,
                )
                .await
            {
                Ok(received) => match retries.after_reply(&request.method, &received) {
                    Some(reason) if timer.has_left(Duration::ZERO) => {
                        let host = request.uri.authority();
                        let trace_id = request.trace.map(display);
                        debug!(trace_id, ?host, reason, status = %received.reply.status, "sent again");
                        self.counters.count_retry(reason);
                        refusal = Some(received.reply);
                        continue;
                    }
                    _ => {
                        retries.stands(&received);
                        return (Ok(received.reply), retries);
                    }
                },
                // Then the origin's last word is that it has not processed the request.
                Err(failed) if failed.processed != Processed::Maybe && refusal.is_some() => {
                    return (refusal.ok_or(failed.error), retries);
                }
                Err(failed) => failed,
            };
            // It waits for a connection as long as one could still be of use.
            let waits = failed.error.failure == Failure::NoConnection && !failed.beyond_share;
            if waits && timer.has_left(PERMIT_WAIT) {
                continue;
            }
            let host = request.uri.authority();
            let next = retries.after(&request.method, &failed);
            let next = next.filter(|(pause, _)| timer.has_left(*pause));
            let Some((pause, reason)) = next else {
                if let Processed::No(_) = failed.processed {
                    let failure = Some(failed.error.failure);
                    self.health.record(Instant::now(), host, failure);
                }
                let mut error = failed.error;
                if retries.count() > 0 {
                    error.detail = format!("{}; {retries}", error.detail);
                }
                return (Err(error), retries);
            };
            let trace_id = request.trace.map(display);
            debug!(trace_id, ?host, reason, error = %failed.error, "sent again");
            self.counters.count_retry(reason);
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    }

    fn route(&self, request: &Request) -> Result<&Route, FetchError> {
        self.routes.get(&request.route).ok_or_else(|| FetchError {
            // Only a request that began before a reload can name it.
            failure: Failure::Connect,
            detail: format!("route {} is no longer configured", request.route),
        })
    }

    fn pool(&self, route: &Route) -> &Pool {
        self.pools
            .get(route.pool)
            .expect("routes name pools by place")
    }

    /// Sends a request to the first host that can be connected to and has room for it. A host that
    /// it may have been sent to before is the only one.
    async fn fetch_once(
        &self,
        route: &Route,
        request: &Request,
        itinerary: &mut Itinerary,
        retries: &Retries,
        timer: &mut ReplyTimer<'_>,
        reserve: Reserve<'_>,
    ) -> Result<Received, AttemptError> {
        let hosts = &route.hosts;
        if !hosts.stand_in() {
            let under_way = hosts.begin_at(request.uri.authority())?;
            let result = self
                .attempt(route, request, None, retries, timer, reserve)
                .await;
            if let (Some(under_way), Some(outcome)) = (under_way, outcome_of(&result)) {
                under_way.host().count(outcome);
            }
            return result;
        }
        // What is rare is boxed, so that the future of a POST stays small: it is allocated and
        // moved each time.
        Box::pin(async move {
            let mut last: Option<AttemptError> = None;
            let (mut is_unreachable, mut retrying) = (false, None);
            let mut candidates = match &itinerary.sent_to {
                Some(host) => Candidates::only(Arc::clone(host)),
                None => hosts.candidates(Instant::now(), itinerary),
            };
            while let Some((host, _trial)) = candidates.next(Instant::now()) {
                let _under_way = match hosts.begin(&host) {
                    Ok(under_way) => under_way,
                    Err(busy) => {
                        last = Some(busy);
                        continue;
                    }
                };
                // A host that is full costs the others no connection, so that is no retry.
                if is_unreachable && retrying.is_none() {
                    match (hosts.retry(), &mut last) {
                        (Ok(permit), _) => retrying = Some(permit),
                        (Err(BudgetSpent), Some(failed)) => {
                            failed.error.detail += "; retry_budget of the route is spent";
                            break;
                        }
                        (Err(BudgetSpent), None) => break,
                    }
                }
                hosts.goes_to(Instant::now(), &host, itinerary);
                let to = Some(host.host());
                let result = self
                    .attempt(route, request, to, retries, timer, reserve)
                    .await;
                if let Some(outcome) = outcome_of(&result) {
                    host.count(outcome);
                }
                match result {
                    // It says nothing of this host.
                    Err(failed) if failed.error.failure == Failure::NoConnection => {
                        return Err(failed);
                    }
                    Err(failed) if failed.processed == Processed::NotConnected => {
                        let (host_name, error) = (host.host(), &failed.error);
                        let trace_id = request.trace.map(display);
                        warn!(trace_id, host = %host_name, %error, "origin cannot be connected to; trying the next");
                        hosts.not_connected(&host, Instant::now());
                        (last, is_unreachable) = (Some(failed), true);
                    }
                    Err(failed) => {
                        // A request that was provably not processed says nothing of the host.
                        if failed.processed == Processed::Maybe {
                            hosts.failed(&host, Instant::now(), failed.error.failure);
                            itinerary.sent_to = Some(host);
                        }
                        return Err(failed);
                    }
                    Ok(received) => {
                        hosts.answered(&host, Instant::now(), received.reply.status);
                        itinerary.sent_to = Some(host);
                        return Ok(received);
                    }
                }
            }
            Err(last.expect("a group of hosts has at least one"))
        })
        .await
    }

    /// How the hosts that routes name have been doing, by name.
    #[must_use]
    pub fn health(&self) -> Vec<Health> {
        self.health.health(Instant::now())
    }

    /// What this shard has counted since it began.
    #[must_use]
    pub fn stats(&self) -> UpstreamStats {
        let mut stats = UpstreamStats::default();
        for (count, counter) in stats.retries.0.iter_mut().zip(&self.counters.retries) {
            *count = counter.load(Ordering::Relaxed);
        }
        let (open, waited) = self.connections.counts();
        stats.connections = open as u64;
        stats.max_connections = self.connections.limit() as u64;
        stats.connections_waited = waited;
        stats.skipped_lines = self.connections.skipped_lines();
        stats
    }

    /// Sends a request once, to the host that its URI names or to another one.
    async fn attempt(
        &self,
        route: &Route,
        request: &Request,
        to: Option<&Authority>,
        retries: &Retries,
        timer: &mut ReplyTimer<'_>,
        reserve: Reserve<'_>,
    ) -> Result<Received, AttemptError> {
        let mut http = http::Request::new(());
        *http.method_mut() = request.method.clone();
        *http.uri_mut() = match to {
            Some(host) => at_host(&request.uri, host.clone()),
            None => request.uri.clone(),
        };
        *http.headers_mut() = request.headers.clone();
        let host = to.or_else(|| request.uri.authority());
        let origin = origin_of(http.uri());
        let room = self.connections.room_of(&origin);
        let Some(_occupied) = self
            .connections
            .occupants
            .begin(origin, request.source, room)
        else {
            return Err(AttemptError::beyond_share(host));
        };
        let (body, progress) = body::RequestBody::new(request.body.clone());
        let pool = self.pool(route);
        let mut http = http.map(|()| body);
        let chosen = capture_connection(&mut http);
        let _under_way = self.connections.begin(chosen.clone());
        let response = pool.send(http, retries.needs_http1());
        let result = receive(response, request, host, &progress, timer, reserve).await;
        let failed = result.as_ref().err();
        // One that refuses stream after stream may be about to close, or be stuck.
        if failed.is_some_and(|failed| retries.want_another_connection(failed))
            && let Some(connection) = chosen.connection_metadata().as_ref()
        {
            connection.poison();
        }
        // After a proof another attempt may follow, and then its result counts.
        if !failed.is_some_and(|failed| matches!(failed.processed, Processed::No(_))) {
            let failure = failed.map(|failed| failed.error.failure);
            if failure == Some(Failure::NoConnection) {
                return result;
            }
            self.health.record(Instant::now(), host, failure);
        }
        result
    }
}

/// How an attempt counts for its host; not at all if the host was not asked, or another attempt may
/// follow.
fn outcome_of(result: &Result<Received, AttemptError>) -> Option<Outcome> {
    match result {
        Ok(received) if received.reply.status.is_server_error() => Some(Outcome::ServerError),
        Ok(_) => Some(Outcome::Answered),
        Err(failed) => match (failed.processed, failed.error.failure) {
            (_, Failure::NoConnection | Failure::HostBusy) | (Processed::No(_), _) => None,
            _ => Some(Outcome::Failed),
        },
    }
}

/// Whether a route names hosts that stand in for its first one.
fn has_fallbacks(route: &RouteSettings) -> bool {
    match &route.destination {
        Destination::Fixed { fallbacks, .. } => !fallbacks.is_empty(),
        Destination::AsRequested { .. } => false,
    }
}

/// One timer for the two things that are waited for: that the reply begins, and that it is whole.
struct ReplyTimer<'a> {
    sleep: Pin<&'a mut Sleep>,
    /// When the reply has to begin, if that is before the end.
    first_byte: Option<Instant>,
    /// When it has to be whole.
    end: Instant,
}

impl<'a> ReplyTimer<'a> {
    /// `sleep` ends with the whole time. Both times count from the beginning, whatever is sent
    /// again meanwhile.
    fn new(sleep: Pin<&'a mut Sleep>, first_byte: Instant) -> Self {
        let end = sleep.deadline();
        Self {
            sleep,
            // Not if it is the same as the whole time: the core's own deadline is close behind
            // that.
            first_byte: Some(first_byte).filter(|first_byte| *first_byte < end),
            end,
        }
    }

    fn wait_for_first_byte(&mut self) {
        if let Some(first_byte) = self.first_byte {
            self.sleep.as_mut().reset(first_byte);
        }
    }

    fn wait_for_the_whole(&mut self) {
        if self.first_byte.is_some() {
            self.sleep.as_mut().reset(self.end);
        }
    }

    /// Whether the time that has ended is the whole time.
    fn is_over(&self) -> bool {
        self.sleep.deadline() >= self.end
    }

    /// Whether a reply may still begin in time after a pause.
    fn has_left(&self, pause: Duration) -> bool {
        Instant::now() + pause < self.first_byte.unwrap_or(self.end)
    }
}

/// A reply that came whole.
struct Received {
    reply: Reply,
    /// When its head was there.
    began: std::time::Instant,
    /// Over HTTP/1.1, on a connection that had served another request before.
    reused: bool,
}

/// Waits for a reply and reads it whole.
async fn receive(
    response: ResponseFuture,
    request: &Request,
    host: Option<&Authority>,
    progress: &Progress,
    timer: &mut ReplyTimer<'_>,
    reserve: Reserve<'_>,
) -> Result<Received, AttemptError> {
    let timeout = request.timeout;
    let failed = |failure, cause: String| AttemptError::new(host, failure, &cause);
    timer.wait_for_first_byte();
    let response = tokio::select! {
        biased;
        response = response => {
            response.map_err(|error| AttemptError::before_reply(host, &error, progress))?
        }
        () = &mut timer.sleep => {
            let cause = match timer.is_over() {
                true => format!("no reply within {timeout:?}"),
                false => format!("no reply began within {:?}", request.first_byte_timeout),
            };
            return Err(failed(Failure::Timeout, cause));
        }
    };
    timer.wait_for_the_whole();
    let began = Instant::now().into_std();
    let (head, body) = response.into_parts();
    let end = head.extensions.get::<Arc<ConnectionEnd>>();
    let reused = end.is_some_and(|end| end.is_reused());
    if head.status.is_informational() {
        let cause = format!("it answered {} to a request for no such thing", head.status);
        return Err(failed(Failure::Malformed, cause));
    }
    let mut received = ReplyBuffer::new(request.max_reply, reserve);
    let trailers;
    tokio::select! {
        biased;
        read = read_body(body, &mut received) => match read {
            Ok(after) => trailers = after.map(Box::new),
            Err(BodyError::NoRoom(error)) => {
                let max = request.max_reply;
                let (failure, cause) = match error {
                    NoRoom::Announced(octets) => {
                        let cause = format!("the reply has {octets} octets, {max} are allowed");
                        (Failure::TooLarge, cause)
                    }
                    NoRoom::TooLarge => {
                        let cause = format!("the reply has more than the {max} octets allowed");
                        (Failure::TooLarge, cause)
                    }
                    NoRoom::NoMemory(wanted) => {
                        let octets = received.len();
                        let cause = format!(
                            "{octets} octets of the reply had come; room for {wanted} is not free for this address"
                        );
                        (Failure::NoMemory, cause)
                    }
                };
                return Err(failed(failure, cause));
            }
            Err(BodyError::Http(error)) => return Err(AttemptError::in_reply(host, &error)),
        },
        () = &mut timer.sleep => {
            let octets = received.len();
            let cause = format!("no whole reply within {timeout:?}; {octets} octets had come");
            return Err(failed(Failure::Timeout, cause));
        }
    }
    let reply = Reply {
        status: head.status,
        headers: head.headers,
        body: received.into_octets().into(),
        trailers,
    };
    Ok(Received {
        reply,
        began,
        reused,
    })
}

/// Why a body could not be read.
enum BodyError {
    NoRoom(NoRoom),
    Http(hyper::Error),
}

/// Reads a body, and not one buffer more than it may have.
async fn read_body(
    mut body: Incoming,
    received: &mut ReplyBuffer<'_>,
) -> Result<Option<http::HeaderMap>, BodyError> {
    let mut trailers = None;
    // For a reply to HEAD, a 204 or a 304 this is zero, whatever its Content-Length says.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let expected = received.expect(announced).await;
    expected.map_err(BodyError::NoRoom)?;
    while let Some(frame) = body.frame().await {
        let data = match frame.map_err(BodyError::Http)?.into_data() {
            Ok(data) => data,
            Err(other) => {
                trailers = other.into_trailers().ok().or(trailers);
                continue;
            }
        };
        received.extend(&data).await.map_err(BodyError::NoRoom)?;
    }
    Ok(trailers)
}

/// Largest head of a reply, in octets; over HTTP/1.1 hyper may overshoot it by one read, which is
/// no larger.
const MAX_HEAD: usize = 64 * 1024;
/// Header fields of a reply over HTTP/1.1. Over HTTP/2 their octets bound them: each counts for 32
/// more than it has (RFC 9113 6.5.2), so no more than these fit.
const MAX_FIELDS: usize = 2048;
/// The reasons why requests are sent again: the labels of [`Unprocessed`], and that the method is
/// idempotent.
const RETRY_REASONS: [&str; Unprocessed::ALL.len() + 1] = [
    Unprocessed::NotSent.label(),
    Unprocessed::GoAway.label(),
    Unprocessed::RefusedStream.label(),
    Unprocessed::Http11Required.label(),
    Unprocessed::ClosedIdle.label(),
    Unprocessed::Misdirected.label(),
    retry::IDEMPOTENT,
];
