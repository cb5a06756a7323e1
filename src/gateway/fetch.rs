//! Interface between core and shell: one upstream request, one bounded reply.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::trace_context::TraceId;

/// Identifies one upstream request of one gateway.
///
/// The generation makes a late reply harmless: after the end of its request it matches no exchange.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A request to an origin, whole.
#[derive(Clone, Debug)]
pub struct Request {
    /// The address of the handset, whose source and network have shares of the connections to an
    /// origin; `None` for a request of the gateway itself.
    pub source: Option<IpAddr>,
    /// The trace of its exchange, for the log; `None` for a request of the gateway itself.
    pub trace: Option<TraceId>,
    /// The id of its WSP session, whose requests a route that balances sends to one host.
    pub session: Option<u32>,
    /// The name of the route that took it, which decides on proxy, TLS and connections.
    pub route: Arc<str>,
    /// GET, POST and so on.
    pub method: Method,
    /// Where to, after the route has rewritten it: absolute, `https` unless the route allows
    /// plaintext.
    pub uri: Uri,
    /// End-to-end fields only; `Host` and the body's framing are the client's business.
    pub headers: HeaderMap,
    /// The body, to the octet as the handset sent it.
    pub body: Bytes,
    /// Octets of reply body to accept; more is [`Failure::TooLarge`].
    pub max_reply: usize,
    /// Time until the reply begins, connecting included.
    pub first_byte_timeout: Duration,
    /// Time for the whole exchange, connecting included. The core keeps its own deadline besides.
    pub timeout: Duration,
}

impl Request {
    /// Octets that it holds: its body, and its URI and fields where they are longer than usual.
    pub(crate) fn octets(&self) -> usize {
        let path = self.uri.path_and_query();
        let path = path.map_or(0, |path| path.as_str().len());
        let fields = self.headers.iter();
        let fields: usize = fields.map(|(_, value)| FIELD + value.len()).sum();
        self.body.len() + (path + fields).saturating_sub(USUAL_HEAD)
    }
}

/// An origin's answer, whole.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The final status; 1xx never gets here.
    pub status: StatusCode,
    /// The origin's fields, hop-by-hop ones included (the mapping to WSP drops them).
    pub headers: HeaderMap,
    /// The body, de-chunked.
    pub body: Bytes,
    /// Trailer fields; most replies have none.
    pub trailers: Option<Box<HeaderMap>>,
}

impl Reply {
    /// A reply of a status alone.
    #[must_use]
    pub fn of(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            trailers: None,
        }
    }
}

/// Why there is no [`Reply`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{failure}: {detail}")]
pub struct FetchError {
    /// The class, which decides the wire answer and the counter.
    pub failure: Failure,
    /// The cause in words, for the operator's log only; never sent to a handset.
    pub detail: String,
}

/// The classes of upstream failure: closed set, used as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The name does not resolve.
    Resolve,
    /// The connection was refused, or the host is unreachable.
    Connect,
    /// The TLS handshake failed: certificate, name, version.
    Tls,
    /// The connection ended before the reply was whole.
    Reset,
    /// No reply in time.
    Timeout,
    /// The reply is larger than [`Request::max_reply`].
    TooLarge,
    /// The memory for replies is used up.
    NoMemory,
    /// The limit of connections to origins is reached.
    NoConnection,
    /// As many requests to each host of the route are under way as it allows.
    HostBusy,
    /// The response is not HTTP.
    Malformed,
}

impl Failure {
    /// The stable name used in logs and as a metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::TooLarge => "too_large",
            Self::NoMemory => "no_memory",
            Self::NoConnection => "no_connection",
            Self::HostBusy => "host_busy",
            Self::Malformed => "malformed",
        }
    }

    /// A remedy for the operator.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Resolve => "check the host name in the route's upstream and this host's resolver",
            Self::Connect => {
                "check that the origin is up and that a firewall lets this host reach it"
            }
            Self::Tls => "check the origin's certificate and name, and ca_file in [tls]",
            Self::Reset => {
                "look in the origin's log: it closed the connection without a whole reply"
            }
            Self::Timeout => "the origin is slow: look at its load, or raise the route's timeout",
            Self::TooLarge => {
                "raise max_reply of the route (without a session also max_reply or amplification in [connectionless]), \
                 or lower MaxMsgSize at the origin"
            }
            Self::NoMemory => {
                "raise max_octets or memory in [limits], or look why handsets do not acknowledge their replies"
            }
            Self::NoConnection => {
                "raise the limit of file descriptors (LimitNOFILE= of the unit) and memory in [limits], or look why \
                 the origin is slow"
            }
            Self::HostBusy => {
                "raise max_requests of the route, add hosts to its upstream, or look why they are slow"
            }
            Self::Malformed => "check that upstream names an HTTP server, and what it sends",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Octets of a reply's body that are read before memory is set aside for it.
pub const UNRESERVED: usize = 8 * 1024;
/// Octets of URI and fields that each request in flight has without being charged for them.
const USUAL_HEAD: usize = 8 * 1024;
/// Octets of memory that a field has besides its value.
const FIELD: usize = 104;
