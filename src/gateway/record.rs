//! The record of one exchange, for the access log and charging records.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::gateway::answer::Problem;
use crate::gateway::syncml::SyncMl;
use crate::identity::Identity;
pub use crate::route::Binding;
use crate::time::Instant;
use crate::trace_context::TraceContext;
use crate::wdp::Peer;
use crate::wsp::method::ReplyLimit;

/// One WSP method and its result.
#[derive(Clone, Debug)]
pub struct ExchangeRecord {
    /// Unique among the exchanges of its gateway.
    pub number: u64,
    /// The trace that it belongs to; its id names the exchange in logs, in records and at the origin.
    pub trace: TraceContext,
    /// The conversation it came over.
    pub peer: Peer,
    /// The protocol that carried it.
    pub binding: Binding,
    /// Whether it came in WTLS records or over TLS.
    pub secured: bool,
    /// The session's id; `None` in connectionless mode.
    pub session: Option<u32>,
    /// GET, POST and so on, [`LONGEST_METHOD`] octets at most. A WSP method without a name has its
    /// number.
    pub method: http::Method,
    /// The URI as the handset sent it. It may carry secrets in its query: mask before logging.
    pub uri: Bytes,
    /// The subscriber, if the network reported one. `Debug` masks the fields that must not reach a
    /// log.
    pub identity: Option<Arc<Identity>>,
    /// Figures of SyncML messages.
    pub syncml: Option<Box<SyncMl>>,
    /// The name of the route taken, if one was.
    pub route: Option<Arc<str>>,
    /// The origin it went to, if a request was made; of several hosts of one route the first.
    pub target: Option<http::uri::Authority>,
    /// The URI at the origin, if a request was made and the trace is sampled. It may carry secrets in
    /// its query: mask before logging.
    pub upstream_uri: Option<http::Uri>,
    /// The HTTP status the handset was given, if it was given one.
    pub status: Option<u16>,
    /// Why the gateway answered by itself, if it did.
    pub problem: Option<Problem>,
    /// The problem in words, for the operator.
    pub detail: Option<String>,
    /// The limit that a reply exceeded, if that is the problem.
    pub reply_limit: Option<ReplyLimit>,
    /// How it ended.
    pub ending: Ending,
    /// When the whole request was here.
    pub received: Instant,
    /// When the request went upstream, if it did.
    pub fetched: Option<Instant>,
    /// When the origin's reply began, if it did.
    pub reply_began: Option<Instant>,
    /// When the reply was given to the transaction layer, if one was.
    pub replied: Option<Instant>,
    /// When it was over.
    pub finished: Instant,
    /// Octets of request body.
    pub request_octets: usize,
    /// Octets of reply body.
    pub reply_octets: usize,
    /// Acknowledgement headers that came with the handset's last word: an encoded block, mostly
    /// empty.
    pub acknowledgement: Bytes,
    /// Counters of the WTP transaction, once it is over.
    pub air: Option<crate::wtp::Report>,
}

/// Octets of a method's name in a record. A handset may invent longer ones.
pub const LONGEST_METHOD: usize = 32;

/// A method as records name it.
#[must_use]
pub fn recorded_method(name: &str) -> http::Method {
    let name = name.as_bytes();
    let name = name.get(..LONGEST_METHOD).unwrap_or(name);
    // A method's name consists of characters that any name may have.
    http::Method::from_bytes(name).unwrap_or_default()
}

/// How an exchange ended, seen from the handset's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The handset acknowledged the reply.
    Acknowledged,
    /// The reply was sent and never acknowledged; the handset may have it.
    Unacknowledged,
    /// The handset aborted the method.
    Aborted,
    /// The reply was sent in connectionless mode or over HTTP, without acknowledgement.
    Sent,
    /// Its session ended under it.
    SessionEnded,
}

impl Ending {
    /// The stable name used in logs and as a metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Unacknowledged => "unacknowledged",
            Self::Sent => "sent",
            Self::Aborted => "aborted",
            Self::SessionEnded => "session_ended",
        }
    }
}

impl ExchangeRecord {
    /// What an operator can do about the problem.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        let limit = self.reply_limit.map(ReplyLimit::remedy);
        limit.or_else(|| self.problem.map(Problem::remedy))
    }

    /// Whether the handset has, or may be taken to have, a reply with a status below 400.
    #[must_use]
    pub fn went_well(&self) -> bool {
        let arrived = matches!(self.ending, Ending::Acknowledged | Ending::Sent);
        arrived && self.status.is_some_and(|status| status < 400)
    }

    /// Time from the first packet of the request to the last, on the air.
    #[must_use]
    pub fn air_in_time(&self) -> Option<Duration> {
        Some(self.received.since(self.air.as_ref()?.started))
    }

    /// Time from the reply's being ready to its end: the handset's acknowledgement, or the last
    /// timeout.
    #[must_use]
    pub fn air_out_time(&self) -> Option<Duration> {
        Some(self.finished.since(self.replied?))
    }

    /// Time spent waiting for the origin.
    #[must_use]
    pub fn upstream_time(&self) -> Option<Duration> {
        Some(self.replied?.since(self.fetched?))
    }
}
