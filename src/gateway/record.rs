//! What is known of one exchange when it is over: the access log's line, and later the charging record's.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::gateway::answer::Problem;
use crate::gateway::syncml::SyncMl;
use crate::identity::Identity;
use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::pdu::Method;

/// One WSP method and what became of it.
#[derive(Clone, Debug)]
pub struct ExchangeRecord {
    /// Unique among the exchanges of its gateway.
    pub number: u64,
    /// The conversation it came over.
    pub peer: Peer,
    /// The session's id; `None` in connectionless mode.
    pub session: Option<u32>,
    /// GET, POST and so on.
    pub method: Method,
    /// The URI as the handset sent it. It may carry secrets in its query: mask before logging.
    pub uri: Bytes,
    /// Who the subscriber is, if the network told. Its `Debug` masks what must not reach a log.
    pub identity: Option<Arc<Identity>>,
    /// What the messages say of themselves, if they are SyncML.
    pub syncml: Option<Box<SyncMl>>,
    /// The name of the route taken, if one was.
    pub route: Option<Arc<str>>,
    /// The origin it went to, if a request was made; of several hosts of one route the first.
    pub target: Option<http::uri::Authority>,
    /// The HTTP status the handset was given, if it was given one.
    pub status: Option<u16>,
    /// Why the gateway answered by itself, if it did.
    pub problem: Option<Problem>,
    /// The problem in words, for the operator.
    pub detail: Option<String>,
    /// How it ended.
    pub ending: Ending,
    /// When the whole request was here.
    pub received: Instant,
    /// When the request went upstream, if it did.
    pub fetched: Option<Instant>,
    /// When the reply was given to the transaction layer, if one was.
    pub replied: Option<Instant>,
    /// When it was over.
    pub finished: Instant,
    /// Octets of request body.
    pub request_octets: usize,
    /// Octets of reply body.
    pub reply_octets: usize,
    /// Acknowledgement headers that came with the handset's last word: an encoded block, mostly empty.
    pub acknowledgement: Bytes,
    /// What the air did to it, once the transaction is over and known.
    pub air: Option<crate::wtp::Report>,
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
    /// The reply was sent in connectionless mode, where nobody acknowledges.
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
    /// Time from the first packet of the request to the last, on the air.
    #[must_use]
    pub fn air_in_time(&self) -> Option<Duration> {
        Some(self.received.since(self.air.as_ref()?.started))
    }

    /// Time from the reply's being ready to its end: the handset's acknowledgement, or that there was none.
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
