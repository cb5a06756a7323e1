//! Pools of connections to origins, one for each way of reaching hosts.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::body::RequestBody;
use super::connections::Connections;
use super::connector::{Connector, Reach, Versions};
use super::guard::Guard;
use super::tls::{OriginTls, Tls};
use super::{MAX_FIELDS, MAX_HEAD};
use crate::route::{Destination, RouteSettings};

/// How hosts are reached. Requests share connections only where all of it is the same.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PoolSettings {
    tls: OriginTls,
    guard: Option<Guard>,
    proxy: Option<Uri>,
    connect_timeout: Duration,
}

impl PoolSettings {
    pub(super) fn of(route: &RouteSettings, tls: &Tls) -> Self {
        let guard = match &route.destination {
            Destination::Fixed { .. } => None,
            Destination::AsRequested { allow_addresses } => {
                Some(Guard(Arc::clone(allow_addresses)))
            }
        };
        let proxy = route.http_proxy.as_ref();
        Self {
            tls: tls.settings_of(&route.name),
            guard,
            proxy: proxy.and_then(|proxy| proxy.to_string().parse().ok()),
            connect_timeout: route.limits.connect_timeout,
        }
    }

    fn reach(&self, connections: &Arc<Connections>) -> Reach {
        Reach {
            guard: self.guard.clone(),
            proxy: self.proxy.clone(),
            timeout: self.connect_timeout,
            connections: Arc::clone(connections),
        }
    }
}

type HttpClient = Client<Connector, RequestBody>;

/// Connections to all hosts that are reached in one way: the clients of hyper that own them.
pub(super) struct Pool {
    any_version: HttpClient,
    /// Connections for requests that origins refused over HTTP/2.
    http1: OnceLock<HttpClient>,
    settings: PoolSettings,
    tls: Tls,
    connections: Arc<Connections>,
}

impl Pool {
    pub(super) fn new(settings: &PoolSettings, tls: &Tls, connections: &Arc<Connections>) -> Self {
        Self {
            any_version: client(settings, tls, Versions::All, connections),
            http1: OnceLock::new(),
            settings: settings.clone(),
            tls: tls.clone(),
            connections: Arc::clone(connections),
        }
    }

    /// How its hosts are reached over TCP.
    pub(super) fn reach(&self) -> Reach {
        self.settings.reach(&self.connections)
    }

    /// Sends a request; the future is its reply.
    pub(super) fn send(
        &self,
        request: http::Request<RequestBody>,
        http1_only: bool,
    ) -> ResponseFuture {
        if !http1_only {
            return self.any_version.request(request);
        }
        let new = || {
            client(
                &self.settings,
                &self.tls,
                Versions::Http1,
                &self.connections,
            )
        };
        self.http1.get_or_init(new).request(request)
    }
}

fn client(
    settings: &PoolSettings,
    tls: &Tls,
    versions: Versions,
    connections: &Arc<Connections>,
) -> HttpClient {
    let reach = settings.reach(connections);
    let connector = Connector::new(reach, tls.config(&settings.tls), versions);
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(POOL_MAX_IDLE)
        // Requests are sent again where they are counted, with the proofs that hyper does not know.
        .retry_canceled_requests(false)
        .http1_max_buf_size(MAX_HEAD)
        .http1_max_headers(MAX_FIELDS)
        // RFC 9112 5.1 and 5.2: the space before a colon is removed, a fold becomes one. Other
        // lines that cannot be read are skipped; hyper does not tell which.
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true)
        .http2_max_header_list_size(MAX_HEAD_H2)
        .http2_keep_alive_interval(HTTP2_PING)
        .http2_keep_alive_timeout(HTTP2_PONG)
        .http2_keep_alive_while_idle(true)
        .build(connector)
}

/// Idle connections are closed after this, before most origins and load balancers close them (60
/// s), so that a request rarely meets a connection that is just going away.
const POOL_IDLE: Duration = Duration::from_secs(50);
/// Idle HTTP/1 connections kept per origin and shard; more are closed when they become idle.
const POOL_MAX_IDLE: usize = 256;
/// Largest head of an HTTP/2 reply.
const MAX_HEAD_H2: u32 = 64 * 1024;
/// How often a live HTTP/2 connection is asked whether it still lives, and how long it may take to
/// say so.
const HTTP2_PING: Duration = Duration::from_secs(20);
const HTTP2_PONG: Duration = Duration::from_secs(10);
