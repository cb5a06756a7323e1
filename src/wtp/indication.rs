//! Indications and confirmations of an endpoint to its user (WTP 5.3).

use bytes::Bytes;

use super::abort::AbortReason;
use super::pdu::Class;
use super::report::Report;
use crate::wdp::Peer;

/// Names one transaction of one endpoint. A handle that is over is never confused with a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl Handle {
    /// The handle of a transaction that was over as soon as it began, as all of class 0 are.
    pub const OVER: Self = Self {
        slot: u32::MAX,
        generation: u32::MAX,
    };
}

/// A service primitive of the kinds indication and confirmation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Indication {
    /// TR-Invoke.ind: a peer began a transaction. Of class 0 the handle is over.
    Invoke {
        /// The transaction.
        handle: Handle,
        /// The initiator.
        peer: Peer,
        /// Its class.
        class: Class,
        /// The user must [`accept`](super::Endpoint::accept) or answer in time.
        user_ack: bool,
        /// The message, or its first data unit.
        data: Bytes,
        /// Whether it is all of the message; always so without extended SAR.
        fragment: Fragment,
        /// Packets, octets and repetitions so far.
        report: Report,
    },
    /// TR-InvokeData.ind: a further data unit of an Invoke (extended SAR only).
    InvokeData {
        /// The transaction.
        handle: Handle,
        /// The data unit.
        data: Bytes,
        /// Its place.
        fragment: Fragment,
    },
    /// TR-Invoke.cnf: the peer has our Invoke. Ends a class 1 transaction.
    InvokeConfirmed {
        /// The transaction.
        handle: Handle,
        /// Exit info of the peer's user (class 1 only).
        exit_info: Bytes,
        /// Packets, octets and repetitions so far.
        report: Report,
    },
    /// TR-Result.ind: the answer to our class 2 Invoke; to be
    /// [`acknowledged`](super::Endpoint::acknowledge).
    Result {
        /// The transaction.
        handle: Handle,
        /// The message, or its first data unit.
        data: Bytes,
        /// Whether it is all of the message; always so without extended SAR.
        fragment: Fragment,
    },
    /// TR-ResultData.ind: a further data unit of a Result (extended SAR only).
    ResultData {
        /// The transaction.
        handle: Handle,
        /// The data unit.
        data: Bytes,
        /// Its place.
        fragment: Fragment,
    },
    /// TR-Result.cnf: the peer has our Result. Ends the transaction.
    ResultConfirmed {
        /// The transaction.
        handle: Handle,
        /// Exit info of the peer's user.
        exit_info: Bytes,
        /// Packets, octets and repetitions.
        report: Report,
    },
    /// TR-Abort.ind: the transaction failed. Ends it.
    Abort {
        /// The transaction.
        handle: Handle,
        /// Why.
        reason: AbortReason,
        /// Packets, octets and repetitions.
        report: Report,
    },
}

/// The place of a data unit in its message (parameters More Data and Frame Boundary).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// More data units of this message follow.
    pub more: bool,
    /// It is the beginning of a frame, as the peer's user defines frames.
    pub frame_boundary: bool,
}

impl Fragment {
    /// All of a message, which is the only kind outside extended SAR.
    pub const WHOLE: Self = Self {
        more: false,
        frame_boundary: false,
    };
}
