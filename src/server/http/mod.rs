//! The HTTP port for handsets of WAP 2.0: requests go to the shards, whose core serves them as it
//! serves methods of WSP.
//!
//! The way of a request: `server/tcp` accepts the connection, `listener.rs` gives it to hyper,
//! `guarded.rs` checks the head (`head.rs`), hyper decodes it, `service.rs` collects the body and
//! asks a shard, `reply_body.rs` reports when the response is written. All requests of one source
//! go to one shard, so that limits per source hold.

mod guarded;
mod head;
mod listener;
mod refusal;
mod reply_body;
mod service;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use self::listener::Listener;
pub use self::refusal::HttpRefusal;
use crate::config::HttpSettings;
use crate::server::shards::Shards;
use crate::server::tcp::{Service, TcpLimits, TcpPort};

/// Binds the addresses of the HTTP port and serves them on a thread of its own.
///
/// # Errors
/// An address that cannot be bound, or no thread.
pub fn start_http(
    addresses: &[SocketAddr],
    settings: HttpSettings,
    limits: TcpLimits,
    shards: Shards,
) -> io::Result<TcpPort> {
    let service = Service::new(settings, limits, shards, FIRST_ID);
    TcpPort::start("http", addresses, Listener(Arc::new(service)))
}

/// Ids of the OBEX port have the highest bit.
const FIRST_ID: u64 = 1;
