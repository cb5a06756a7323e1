//! The part of SyncML that a gateway needs to route, count and translate messages.
//!
//! - [`header`] parses SyncHdr without building a tree, and stops after it.
//! - [`resp_uri`] changes RespURI, the address of the next message.
//! - [`summary`] counts the commands and statuses of a message, for logs and metrics.
//! - [`notification`] decodes and builds the notification by which a server asks for a session.
//! - [`content`] decides whether a message is passed, translated or refused, and translates it;
//!   [`large_object`] holds the state that translation needs from earlier messages of the session.
//! - [`spans`] lists the parts of a message with their octets, for explaining and masking;
//!   [`codes`] names the status and alert codes.
//!
//! The gateway is no SyncML party: this module answers no message and reads no credentials.

pub mod codes;
pub mod content;
pub mod header;
pub mod large_object;
pub mod notification;
mod protocol;
pub mod resp_uri;
mod scan;
pub mod spans;
pub mod summary;
mod tokens;
mod walk;

pub use protocol::Protocol;

/// The two notations of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// XML text.
    Xml,
    /// WAP Binary XML.
    Wbxml,
}

impl Encoding {
    /// The notation of a message by its first octets; `None` if they fit neither.
    #[must_use]
    pub fn of(message: &[u8]) -> Option<Self> {
        match message {
            [0x00..=0x03, ..] => Some(Self::Wbxml),
            [0xEF, 0xBB, 0xBF, b'<', ..] => Some(Self::Xml),
            _ => (message.trim_ascii_start().first() == Some(&b'<')).then_some(Self::Xml),
        }
    }

    /// A stable name for logs, metrics and settings.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Xml => "xml",
            Self::Wbxml => "wbxml",
        }
    }

    /// The other notation.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Xml => Self::Wbxml,
            Self::Wbxml => Self::Xml,
        }
    }
}
