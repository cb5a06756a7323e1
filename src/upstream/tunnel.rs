//! Connections for CONNECT (RFC 9110 9.3.6): TCP to the origin and nothing more.

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::Upstream;
use super::connections::{Permit, origin_of};
use super::error::AttemptError;
use super::host_state::UnderWay;
use super::occupants::Occupied;
use crate::gateway::fetch::{Failure, FetchError, Request};

/// A TCP connection to an origin. Until it is dropped, it counts among the connections to the
/// origin, in the share of its source and in `max_requests` of its route.
#[derive(Debug)]
pub struct Tunnel {
    /// The connection.
    pub tcp: TcpStream,
    _permit: Permit,
    _occupied: Occupied,
    _under_way: Option<UnderWay>,
}

impl Upstream {
    /// Connects to the authority of a request's URI as its route reaches hosts: through the guard
    /// and the proxy, within the limits of connections. The origin gets no octet.
    ///
    /// # Errors
    ///
    /// A [`FetchError`] with its class and the cause in words.
    pub async fn connect(&self, request: &Request) -> Result<Tunnel, FetchError> {
        let route = self.route(request)?;
        let host = request.uri.authority();
        let under_way = route.hosts.begin_at(host).map_err(|busy| busy.error)?;
        let origin = origin_of(&request.uri);
        let room = self.connections.room_of(&origin);
        let occupants = &self.connections.occupants;
        let Some(occupied) = occupants.begin(origin, request.source, room) else {
            return Err(AttemptError::beyond_share(host).error);
        };
        let reach = self.pool(route).reach();
        let deadline = Instant::now() + request.timeout;
        let permit = loop {
            match reach.permit(&request.uri).await {
                Err(_) if Instant::now() < deadline => {}
                permit => break permit?,
            }
        };
        let connected = timeout_at(deadline, reach.tcp(&request.uri)).await;
        let connected = connected.unwrap_or_else(|_| {
            Err(FetchError {
                failure: Failure::Timeout,
                detail: format!("no connection within {:?}", request.timeout),
            })
        });
        let failure = connected.as_ref().err().map(|error| error.failure);
        self.health.record(Instant::now(), host, failure);
        Ok(Tunnel {
            tcp: connected?,
            _permit: permit,
            _occupied: occupied,
            _under_way: under_way,
        })
    }
}
