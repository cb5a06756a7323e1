//! The HTTPS side: one request, one bounded reply or one reason why not.

mod connect;
mod expiry;
mod explain;
mod failed;
mod failover;
mod guard;
mod health;
mod pin;
mod stream;
mod tls;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Uri;
use http::uri::Authority;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, Sleep};
use tracing::warn;

use crate::gateway::fetch::{Failure, FetchError, Reply, Request};
use crate::route::{Destination, RouteSettings, Routes};
use connect::{Connector, Paths};
use failed::Failed;
use failover::{Failover, at_host};
use guard::Guard;
use health::Hosts;
use tls::Configs;

pub use expiry::{Expiry, Role};
pub use health::{Condition, Health};
pub use pin::{KeyPin, NotAPin};
pub use tls::{ClientIdentity, OriginTls, Tls, TlsError, TlsSettings, TlsVersion};

/// The connections of one shard to its origins, kept alive between requests.
///
/// A POST is never repeated here. hyper resends one only if it got it back unsent from a connection that the
/// origin had closed meanwhile; that is no second POST. A request whose method is idempotent is repeated once
/// if its connection ended before anything of a reply had come.
pub struct Upstream {
    tls: Arc<Configs>,
    /// One pool per connect timeout, since a pool connects on its own. Routes have few different ones.
    pools: Mutex<Vec<(Duration, Pool)>>,
    failover: Failover,
    hosts: Hosts,
    paths: Arc<Paths>,
}

type Pool = Client<Connector, Full<Bytes>>;

impl Upstream {
    /// An upstream side without any connection yet. Each shard has its own, and so has each reload.
    ///
    /// The routes say which hosts can stand in for which, and which must be on the public Internet.
    #[must_use]
    pub fn new(tls: &Tls, routes: &Routes) -> Self {
        let mut failover = Failover::default();
        let mut known = Hosts::default();
        let mut guards = HashMap::new();
        let mut proxies = HashMap::new();
        for route in routes.iter() {
            let mut hosts = route
                .hosts()
                .filter_map(|address| address.authority().parse::<Authority>().ok())
                .collect::<Vec<_>>()
                .into_iter();
            for host in hosts.clone() {
                known.add(host);
            }
            if let Some(proxy) = proxy(route) {
                proxies.extend(hosts.clone().map(|host| (host, proxy.clone())));
            }
            match &route.destination {
                Destination::Fixed { fallbacks, .. } if fallbacks.is_empty() => {}
                Destination::Fixed { .. } => {
                    if let Some(first) = hosts.next() {
                        failover.add(first, hosts);
                    }
                }
                Destination::AsRequested { allow_addresses } => {
                    let guard = Guard(Arc::clone(allow_addresses));
                    guards.extend(hosts.map(|host| (host, guard.clone())));
                }
            }
        }
        Self {
            tls: Arc::new(tls.configs()),
            paths: Arc::new(Paths { guards, proxies }),
            failover,
            hosts: known,
            pools: Mutex::default(),
        }
    }

    /// Sends a request and reads the whole reply. Needs a tokio runtime, of either flavour.
    ///
    /// A request that could not be sent because its host cannot be connected to is sent to a fallback of
    /// its route, if there is one. Dropping the future cancels the request: the HTTP/1 connection is closed,
    /// the HTTP/2 stream reset.
    ///
    /// # Errors
    ///
    /// A [`FetchError`] with its class and, for the operator's log, the cause in words.
    pub async fn fetch(&self, request: Request) -> Result<Reply, FetchError> {
        let timer = tokio::time::sleep(request.timeout);
        tokio::pin!(timer);
        let mut patience = Patience {
            end: timer.deadline(),
            timer,
        };
        // What is rare is boxed, so that the future of a POST stays small: it is allocated and moved each time.
        let fetched = match request.method.is_idempotent() {
            false => self.fetch_once(request, &mut patience).await,
            true => Box::pin(self.fetch_again(request, &mut patience)).await,
        };
        fetched.map_err(|failed| failed.error)
    }

    /// Once more when the connection ended before anything of a reply had come.
    async fn fetch_again(
        &self,
        request: Request,
        patience: &mut Patience<'_>,
    ) -> Result<Reply, Failed> {
        match self.fetch_once(request.clone(), patience).await {
            Err(Failed {
                error,
                before_reply: true,
                ..
            }) if error.failure == Failure::Reset => self.fetch_once(request, patience).await,
            fetched => fetched,
        }
    }

    async fn fetch_once(
        &self,
        request: Request,
        patience: &mut Patience<'_>,
    ) -> Result<Reply, Failed> {
        match self.failover.candidates(&request.uri, Instant::now()) {
            None => self.attempt(request, patience).await,
            Some(hosts) => Box::pin(self.fetch_from_any(request, hosts, patience)).await,
        }
    }

    async fn fetch_from_any(
        &self,
        request: Request,
        hosts: Vec<Authority>,
        patience: &mut Patience<'_>,
    ) -> Result<Reply, Failed> {
        let mut last = None;
        for host in hosts {
            let request = Request {
                uri: at_host(&request.uri, host.clone()),
                ..request.clone()
            };
            match self.attempt(request, patience).await {
                Err(failed) if failed.unsent => {
                    let error = &failed.error;
                    warn!(%host, %error, "origin cannot be connected to; trying the next");
                    self.failover.failed(&host, Instant::now());
                    last = Some(failed);
                }
                Err(failed) => return Err(failed),
                Ok(reply) => {
                    self.failover.worked(&host);
                    return Ok(reply);
                }
            }
        }
        Err(last.expect("a group of hosts has at least one"))
    }

    /// How the hosts that routes name have been doing, by name.
    #[must_use]
    pub fn health(&self) -> Vec<Health> {
        self.hosts.health(Instant::now())
    }

    /// Sends a request to the host that its URI names.
    fn attempt(
        &self,
        request: Request,
        patience: &mut Patience<'_>,
    ) -> impl Future<Output = Result<Reply, Failed>> {
        let terms = Terms {
            host: request.uri.authority().cloned(),
            timeout: request.timeout,
            first_byte_timeout: request.first_byte_timeout,
            max_reply: request.max_reply,
        };
        let response = self.send(request);
        async move {
            let result = receive(response, &terms, patience).await;
            let host = terms.host.as_ref();
            self.hosts.record(Instant::now(), host, &result);
            result
        }
    }

    /// Hands a request to the pool for its connect timeout. Only the hand-over happens under the lock.
    fn send(&self, request: Request) -> ResponseFuture {
        let connect_timeout = request.connect_timeout;
        let request = into_http(request);
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, pool)) = pools
            .iter()
            .find(|(timeout, _)| *timeout == connect_timeout)
        {
            return pool.request(request);
        }
        let pool = new_pool(Connector::new(
            Arc::clone(&self.tls),
            Arc::clone(&self.paths),
            connect_timeout,
        ));
        let response = pool.request(request);
        pools.push((connect_timeout, pool));
        response
    }
}

/// What a reply has to keep to.
struct Terms {
    host: Option<Authority>,
    timeout: Duration,
    first_byte_timeout: Duration,
    max_reply: usize,
}

/// One timer for the two things that are waited for: that the reply begins, and that it is whole.
struct Patience<'a> {
    timer: Pin<&'a mut Sleep>,
    /// When it ends for good.
    end: Instant,
}

impl Patience<'_> {
    fn reply_begins_within(&mut self, time: Duration) {
        let at = Instant::now() + time;
        self.timer.as_mut().reset(at.min(self.end));
    }

    fn reply_began(&mut self) {
        self.timer.as_mut().reset(self.end);
    }

    /// Whether what has ended is all of it.
    fn is_over(&self) -> bool {
        self.timer.deadline() >= self.end
    }
}

/// Waits for a reply and reads it whole.
async fn receive(
    response: ResponseFuture,
    terms: &Terms,
    patience: &mut Patience<'_>,
) -> Result<Reply, Failed> {
    let Terms {
        host,
        timeout,
        first_byte_timeout,
        max_reply,
    } = terms;
    let host = host.as_ref();
    let failed = |failure, cause: String| Failed::sent(host, failure, &cause);
    // Not if it is the same as the whole time: the core's own deadline is close behind that.
    let early = first_byte_timeout < timeout;
    if early {
        patience.reply_begins_within(*first_byte_timeout);
    }
    let response = tokio::select! {
        biased;
        response = response => {
            response.map_err(|error| Failed {
                before_reply: true,
                ..Failed::from_http(host, &error)
            })?
        }
        () = &mut patience.timer => {
            let cause = match patience.is_over() {
                true => format!("no reply within {timeout:?}"),
                false => format!("no reply began within {first_byte_timeout:?}"),
            };
            return Err(failed(Failure::Timeout, cause));
        }
    };
    if early {
        patience.reply_began();
    }
    let (head, body) = response.into_parts();
    if head.status.is_informational() {
        let cause = format!("it answered {} to a request for no such thing", head.status);
        return Err(failed(Failure::Malformed, cause));
    }
    let mut received = BytesMut::new();
    let trailers;
    tokio::select! {
        biased;
        read = read_body(body, *max_reply, &mut received) => match read {
            Ok(after) => trailers = after.map(Box::new),
            Err(Unread::TooLarge(cause)) => return Err(failed(Failure::TooLarge, cause)),
            Err(Unread::Http(error)) => return Err(Failed::from_http(host, &error)),
        },
        () = &mut patience.timer => {
            let octets = received.len();
            let cause = format!("no whole reply within {timeout:?}; {octets} octets had come");
            return Err(failed(Failure::Timeout, cause));
        }
    }
    Ok(Reply {
        status: head.status,
        headers: head.headers,
        body: received.freeze(),
        trailers,
    })
}

/// The URI of the proxy that a route's hosts are reached through.
fn proxy(route: &RouteSettings) -> Option<Uri> {
    route.http_proxy.as_ref()?.to_string().parse().ok()
}

fn new_pool(connector: Connector) -> Pool {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(POOL_MAX_IDLE)
        .http1_max_buf_size(MAX_HEAD)
        .http2_max_header_list_size(MAX_HEAD_H2)
        .http2_keep_alive_interval(HTTP2_PING)
        .http2_keep_alive_timeout(HTTP2_PONG)
        .http2_keep_alive_while_idle(true)
        .build(connector)
}

fn into_http(request: Request) -> http::Request<Full<Bytes>> {
    let mut http = http::Request::new(Full::new(request.body));
    *http.method_mut() = request.method;
    *http.uri_mut() = request.uri;
    *http.headers_mut() = request.headers;
    http
}

/// Why a body could not be read.
enum Unread {
    TooLarge(String),
    Http(hyper::Error),
}

/// Reads a body that may have at most `max` octets, and not one buffer more.
async fn read_body(
    mut body: Incoming,
    max: usize,
    received: &mut BytesMut,
) -> Result<Option<http::HeaderMap>, Unread> {
    let mut trailers = None;
    // For a reply to HEAD, a 204 or a 304 this is zero, whatever its Content-Length says.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max {
        let cause = format!("the reply has {announced} octets, {max} are allowed");
        return Err(Unread::TooLarge(cause));
    }
    received.reserve(announced.min(TRUSTED_LENGTH));
    while let Some(frame) = body.frame().await {
        let data = match frame.map_err(Unread::Http)?.into_data() {
            Ok(data) => data,
            Err(other) => {
                trailers = other.into_trailers().ok().or(trailers);
                continue;
            }
        };
        if data.len() > max - received.len() {
            let cause = format!("the reply has more than the {max} octets allowed");
            return Err(Unread::TooLarge(cause));
        }
        received.extend_from_slice(&data);
    }
    Ok(trailers)
}

/// Idle connections are closed after this, before most origins and load balancers close them (60 s), so
/// that a request rarely meets a connection that is just going away.
const POOL_IDLE: Duration = Duration::from_secs(50);
/// Idle HTTP/1 connections kept per origin and shard; more are closed when they become idle.
const POOL_MAX_IDLE: usize = 256;
/// Largest head of an HTTP/1 reply; hyper may overshoot it by one read, which is no larger.
const MAX_HEAD: usize = 64 * 1024;
/// Largest head of an HTTP/2 reply.
const MAX_HEAD_H2: u32 = 64 * 1024;
/// How often a live HTTP/2 connection is asked whether it still lives, and how long it may take to say so.
const HTTP2_PING: Duration = Duration::from_secs(20);
const HTTP2_PONG: Duration = Duration::from_secs(10);
/// An announced length is believed up to here when memory is set aside for it.
const TRUSTED_LENGTH: usize = 64 * 1024;
