//! One observation of a traced subscriber: a datagram, a request upstream, its response, or a note.

use std::time::Duration;

use crate::gateway::record::ExchangeRecord;
use crate::trace_context::TraceId;
use crate::wdp::{Peer, Service};
use crate::wsp::log_id::LogId;

/// An observation.
#[derive(Clone, Debug)]
pub enum Observation {
    /// A datagram.
    Datagram {
        /// The handset's end and ours.
        peer: Peer,
        /// The service of its port.
        service: Service,
        /// From us to the handset.
        sent: bool,
        /// Its octets.
        octets: Vec<u8>,
    },
    /// A request upstream.
    Request {
        /// The handset's end and ours.
        peer: Peer,
        /// Its name.
        request: String,
        /// The trace of its exchange.
        trace: Option<TraceId>,
        /// GET, POST and so on.
        method: String,
        /// The URI at the origin.
        uri: String,
        /// Octets of its body.
        octets: usize,
    },
    /// The answer to such a request, or its failure.
    Response {
        /// The handset's end and ours.
        peer: Peer,
        /// Its name.
        request: String,
        /// The status and the octets of the body, or the error.
        answer: Result<(u16, usize), String>,
    },
    /// The exchange no longer waits for the reply.
    Cancelled {
        /// The handset's end and ours.
        peer: Peer,
        /// Its name.
        request: String,
    },
    /// An exchange is over.
    ExchangeEnded(Box<ExchangeRecord>),
    /// A note about the trace itself.
    Note(String),
}

/// One entry of a trace.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The time since 1970.
    pub at: Duration,
    /// The observation, masked.
    pub seen: Observation,
    /// The segmented message that this datagram completed.
    pub message: Option<Vec<u8>>,
    /// The session that it concerns, by its name in logs.
    pub session: Option<LogId>,
}
