//! Why a transaction was aborted (WTP 8.3.4.1).

use std::fmt;

use crate::codec::assigned_numbers;

assigned_numbers! {
    /// Abort reason given by a WTP provider (WTP table 19).
    pub struct ProviderAbort(u8) {
        /// An unexpected error.
        UNKNOWN = 0x00 => "UNKNOWN",
        /// The PDU could not be interpreted.
        PROTOERR = 0x01 => "PROTOERR",
        /// The initiator has no outstanding transaction with the TID being verified.
        INVALIDTID = 0x02 => "INVALIDTID",
        /// The responder does not do class 2.
        NOTIMPLEMENTEDCL2 = 0x03 => "NOTIMPLEMENTEDCL2",
        /// The responder does not do segmentation and re-assembly.
        NOTIMPLEMENTEDSAR = 0x04 => "NOTIMPLEMENTEDSAR",
        /// The responder does not do user acknowledgement.
        NOTIMPLEMENTEDUACK = 0x05 => "NOTIMPLEMENTEDUACK",
        /// The version asked for is not spoken here; this one speaks version one (wire value 0).
        WTPVERSIONONE = 0x06 => "WTPVERSIONONE",
        /// Overload; later may work.
        CAPTEMPEXCEEDED = 0x07 => "CAPTEMPEXCEEDED",
        /// User acknowledgement was asked for and the user did not respond.
        NORESPONSE = 0x08 => "NORESPONSE",
        /// The message is larger than the receiver takes.
        MESSAGETOOLARGE = 0x09 => "MESSAGETOOLARGE",
        /// Extended segmentation is needed and not done here.
        NOTIMPLEMENTEDESAR = 0x0A => "NOTIMPLEMENTEDESAR",
    }
}

/// Why a transaction ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AbortReason {
    /// A WTP provider gave up, this one or the peer's.
    Provider(ProviderAbort),
    /// A WTP user gave up; the number is the user's own (for WSP, WSP 8.3.4 table 35).
    User(u8),
    /// The peer never answered, however often a PDU was sent again. Has no form on the wire.
    Unanswered,
}

impl fmt::Display for AbortReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider(reason) => write!(f, "provider {reason}"),
            Self::User(reason) => write!(f, "user {reason:#04x}"),
            Self::Unanswered => f.write_str("unanswered"),
        }
    }
}
