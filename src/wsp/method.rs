//! One method invocation as the server keeps it (WSP 7.1.6.5).

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::wdp::Peer;
use crate::wsp::header::{CodePage, EncodingVersion};
use crate::wsp::pdu;
use crate::wsp::session::SessionKey;
use crate::wtp::Handle;

/// Names one method invocation; a stale one finds nobody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MethodId {
    pub(super) slot: usize,
    pub(super) serial: u64,
}

impl fmt::Debug for MethodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "method {}", self.serial)
    }
}

/// A method invocation.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) serial: u64,
    pub(super) session: SessionKey,
    pub(super) transaction: Handle,
    pub(super) state: State,
}

/// Where an invocation stands. NULL is not being in the table. HOLDING and REQUESTING pass within one
/// call: a session that exists releases its methods at once, and the user takes every one it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// With the user, who owes a result.
    Processing,
    /// Result given to the transaction, its last Ack outstanding.
    Replying,
}

/// S-MethodInvoke.ind: what a handset asks for.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The conversation it came over.
    pub peer: Peer,
    /// The session it belongs to.
    pub session: SessionKey,
    /// GET, POST and so on.
    pub method: pdu::Method,
    /// The URI, as sent.
    pub uri: Bytes,
    /// The client's session headers: an encoded block.
    pub session_headers: Bytes,
    /// The method's own headers: an encoded block. For methods with a body it begins with the content type.
    pub headers: Bytes,
    /// The request body; `None` for methods that carry none (Get PDUs).
    pub body: Option<Bytes>,
    /// The newest header encoding the client understands.
    pub encoding: EncodingVersion,
    /// The extension pages the session agreed on.
    pub pages: Arc<[CodePage]>,
    /// The HTTP name of an extended method the session agreed on.
    pub extended: Option<Box<str>>,
    /// Octets a reply SDU may have; `None` when there is no limit.
    pub max_reply: Option<usize>,
}
