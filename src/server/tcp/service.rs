//! What the connections of one TCP port share: limits, counters, and the way to the shards.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

use super::arrivals::Arrivals;
use super::connections::{Busy, Connections};
use super::counters::{Counters, Refusal};
use super::exchange::{Begun, Exchange};
use crate::config::HttpSettings;
use crate::gateway::http::{HttpId, HttpRequest};
use crate::route::Networks;
use crate::server::descriptors;
use crate::server::shard::ShardCommand;
use crate::server::shards::Shards;
use crate::wdp::source_prefix;

/// Limits that a port shares with the core.
#[derive(Clone, Copy, Debug)]
pub struct TcpLimits {
    /// Octets of a request body.
    pub max_body: usize,
    /// Octets of all request bodies that are arriving.
    pub max_arriving: usize,
}

/// The shared part of a port.
pub(in crate::server) struct Service<R> {
    shards: Shards,
    next_id: AtomicU64,
    pub(in crate::server) connections: Connections,
    pub(in crate::server) counters: Counters<R>,
    pub(in crate::server) arrivals: Arc<Arrivals>,
    pub(in crate::server) max_body: usize,
    pub(in crate::server) idle_timeout: Duration,
    trusted_proxies: Networks,
}

impl<R: Refusal> Service<R> {
    /// `first_id` tells the requests of this port from those of others.
    pub(in crate::server) fn new(
        settings: &HttpSettings,
        limits: TcpLimits,
        shards: Shards,
        first_id: u64,
    ) -> Self {
        Self {
            shards,
            next_id: AtomicU64::new(first_id),
            connections: Connections::new(
                descriptors::for_http(settings.max_connections),
                settings.max_connections_per_source,
            ),
            counters: Counters::new(),
            arrivals: Arrivals::new(limits.max_arriving),
            max_body: limits.max_body,
            idle_timeout: settings.idle_timeout,
            trusted_proxies: settings.trusted_proxies.clone(),
        }
    }

    /// Whether an address is a proxy of the operator, whose `X-Forwarded-For` is believed.
    pub(in crate::server) fn is_trusted_proxy(&self, address: IpAddr) -> bool {
        self.trusted_proxies.contains(address)
    }

    /// A number that no other request and no other connection of this process has.
    pub(in crate::server) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Gives a request to the source's shard, where the limits per source hold. `None`: no shard
    /// takes the request.
    pub(in crate::server) async fn begin(&self, request: HttpRequest, busy: Busy) -> Option<Begun> {
        let source = source_prefix(request.peer.remote.ip());
        let shard = self.shards.of_source(source)?;
        let id = HttpId(self.next_id());
        let exchange = Exchange::new(id, shard.clone(), busy);
        let (answer, answered) = oneshot::channel();
        let command = ShardCommand::HttpRequest(id, Box::new(request), answer);
        shard.send(command).await.ok()?;
        self.counters.requested();
        Some(Begun { answered, exchange })
    }
}
