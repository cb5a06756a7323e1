//! The OBEX port: a server that stands for the sync server (TS 27.103 5.1.4, 5.8). Its requests go
//! to the shards as requests over HTTP do.
//!
//! A message of SyncML that is put becomes a POST; a get or a put of a named object becomes a GET,
//! PUT or DELETE. OBEX has no URIs, so the URI of a request is made of the session's target and the
//! object's name: `http://syncml-sync.obex/`, `http://irmc-sync.obex/telecom/pb.vcf`.

mod connection;
mod refusal;
mod request;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use self::connection::Listener;
pub use self::refusal::ObexRefusal;
use crate::config::HttpSettings;
use crate::server::shards::Shards;
use crate::server::tcp::{Endpoint, Service, TcpLimits, TcpPort};

/// Binds the addresses of the OBEX port and serves them on a thread of its own. Connections have
/// the limits of `[http]`.
///
/// # Errors
/// An address that cannot be bound, or no thread.
pub fn start_obex(
    addresses: &[SocketAddr],
    settings: &HttpSettings,
    limits: TcpLimits,
    shards: Shards,
) -> io::Result<TcpPort> {
    let service = Arc::new(Service::new(settings, limits, shards, FIRST_ID));
    let endpoint = Endpoint {
        key: "obex",
        addresses,
        protocol: Listener(Arc::clone(&service)),
    };
    TcpPort::start("obex", &service, vec![endpoint])
}

/// Ids of the HTTP port begin at 1.
const FIRST_ID: u64 = 1 << 63;
