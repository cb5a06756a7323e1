//! What the core asks of the shell and gets back: one upstream request, one bounded reply.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};

/// Names one upstream request of one gateway.
///
/// The generation makes a stale answer harmless: an answer whose request has ended finds nobody.
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
    /// GET, POST and so on.
    pub method: Method,
    /// Where to, after the route has rewritten it: absolute, `https` unless the route allows plaintext.
    pub uri: Uri,
    /// End-to-end fields only; `Host` and the body's framing are the client's business.
    pub headers: HeaderMap,
    /// The body, to the octet as the handset sent it.
    pub body: Bytes,
    /// Octets of reply body to accept; more is [`Failure::TooLarge`].
    pub max_reply: usize,
    /// Time for connecting, TLS included.
    pub connect_timeout: Duration,
    /// Time until the reply begins, connecting included.
    pub first_byte_timeout: Duration,
    /// Time for the whole exchange, connecting included. The core keeps its own deadline besides.
    pub timeout: Duration,
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
    /// Fields that followed the body, mostly none.
    pub trailers: Option<Box<HeaderMap>>,
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
    /// Nobody listens there, or the network does not reach it.
    Connect,
    /// The TLS handshake failed: certificate, name, version.
    Tls,
    /// The connection ended before the reply was whole.
    Reset,
    /// No reply in time.
    Timeout,
    /// The reply is larger than [`Request::max_reply`].
    TooLarge,
    /// What came is not HTTP.
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
            Self::Malformed => "malformed",
        }
    }

    /// What an operator can do about it.
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
            Self::Malformed => "check that upstream names an HTTP server",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
