//! The HTTP port for handsets of WAP 2.0: requests go to the shards, whose core serves them as it
//! serves methods of WSP.
//!
//! The way of a request: `server/tcp` accepts the connection, `listener.rs` shakes hands over TLS
//! where the address asks for it and gives the connection to hyper, `guarded.rs` checks the head
//! (`head.rs`), hyper decodes it, `client.rs` finds the handset behind a proxy, `service.rs`
//! collects the body and asks a shard, `reply_body.rs` reports when the response is written. All requests of one source
//! go to one shard, so that limits per source hold.

mod client;
mod guarded;
mod head;
mod listener;
mod refusal;
mod reply_body;
mod service;
mod tunnel;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use self::listener::Listener;
pub use self::refusal::HttpRefusal;
use crate::config::HttpSettings;
use crate::server::shards::Shards;
use crate::server::tcp::{Endpoint, Service, TcpLimits, TcpPort};

/// Binds the addresses of HTTP, and of HTTP over TLS, and serves them on a thread of its own.
///
/// # Errors
/// An address that cannot be bound, or no thread.
pub fn start_http(
    plain: &[SocketAddr],
    secured: &[SocketAddr],
    settings: &HttpSettings,
    limits: TcpLimits,
    shards: Shards,
) -> io::Result<TcpPort> {
    let service = Arc::new(Service::new(settings, limits, shards, FIRST_ID));
    let mut endpoints = vec![Endpoint {
        key: "http",
        addresses: plain,
        protocol: Listener::new(Arc::clone(&service), None),
    }];
    if let Some(tls) = &settings.tls {
        endpoints.push(Endpoint {
            key: "https",
            addresses: secured,
            protocol: Listener::new(Arc::clone(&service), Some(tls)),
        });
    }
    TcpPort::start("http", &service, endpoints)
}

/// Ids of the OBEX port have the highest bit.
const FIRST_ID: u64 = 1;
