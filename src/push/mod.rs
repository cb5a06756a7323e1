//! Push: content for handsets that did not ask for it (WAP-247, WAP-249, WAP-235, WAP-251).
//!
//! A push initiator submits a document of the Push Access Protocol ([`pap`]) and content for a
//! client. The Push Proxy Gateway ([`ppg`]) keeps the submission, translates its content
//! ([`message`]) and has it delivered, one attempt after the other. It does no I/O: an attempt is a
//! [`Deliver`] for the shell, which reports an [`Outcome`].

pub mod address;
pub mod capabilities;
pub mod content;
pub mod datetime;
pub mod initiation;
pub mod message;
pub mod pap;
pub mod ppg;
pub mod terminal;
mod xml;

use std::sync::Arc;

pub use address::{Address, AddressError, Recipient};
pub use message::PushMessage;

/// Names one attempt to deliver a message to one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub u64);

/// A way to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bearer {
    /// Po-Unit-Push in one UDP datagram, unconfirmed.
    UdpConnectionless,
    /// Po-Push, or Po-ConfirmedPush, in a session that the client has.
    Session {
        /// Whether the client is to confirm the push.
        confirmed: bool,
    },
    /// OTA-HTTP over a connection to the client, which has an HTTP server (WAP-235 7).
    Http,
    /// A session initiation request by UDP (WAP-235 8): the message itself follows in the session.
    Sir,
    /// Po-Unit-Push in short messages.
    Sms,
    /// A session initiation request in short messages.
    SirBySms,
}

impl Bearer {
    /// The stable name in logs and records.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::UdpConnectionless => "udp",
            Self::Session { confirmed: false } => "session",
            Self::Session { confirmed: true } => "session_confirmed",
            Self::Http => "http",
            Self::Sir => "sir",
            Self::Sms => "sms",
            Self::SirBySms => "sir_sms",
        }
    }

    /// Whether it carries a session initiation request instead of the message.
    #[must_use]
    pub const fn is_request(self) -> bool {
        matches!(self, Self::Sir | Self::SirBySms)
    }

    /// Whether SMS centres carry it.
    #[must_use]
    pub const fn is_by_sms(self) -> bool {
        matches!(self, Self::Sms | Self::SirBySms)
    }
}

/// One attempt for the shell to make. One [`Outcome`] is owed for it.
#[derive(Clone, Debug)]
pub struct Deliver {
    /// The attempt's name.
    pub attempt: AttemptId,
    /// The recipient.
    pub recipient: Recipient,
    /// The bearer.
    pub bearer: Bearer,
    /// The translated message, or the session initiation request.
    pub message: Arc<PushMessage>,
    /// The port of the client for connectionless pushes, that is 2948 unless its application has
    /// another.
    pub port: u16,
    /// When the message expires: milliseconds since 1970. A bearer with a store of its own passes
    /// it on.
    pub expires: u64,
}

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The message left the gateway, unconfirmed.
    Sent,
    /// The client, or the SMS centre's delivery receipt, confirmed the message.
    Confirmed,
    /// The client aborted the push with this reason of WSP.
    Aborted(u8),
    /// The client did not confirm in time.
    TimedOut,
    /// This bearer does not reach the recipient now: no session, no address, no SMS centre.
    Unreachable,
    /// The client did not agree to pushes of this kind.
    NotAgreed,
    /// The bearer has no room now.
    Busy,
    /// The message is larger than the bearer takes.
    TooLarge,
    /// The bearer refused the message.
    Refused {
        /// Whether another attempt would be refused, too.
        permanent: bool,
        /// Why, in words for the initiator: no secret, no subscriber number.
        reason: String,
    },
}

/// The UDP port of connectionless pushes (WAP-259, appendix B).
pub const PUSH_PORT: u16 = 2948;
