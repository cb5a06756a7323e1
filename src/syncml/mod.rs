//! What a gateway knows about SyncML: enough to route, count and translate messages, and no more.
//!
//! - [`header`] reads SyncHdr without building a tree and without going further than it must.
//! - [`resp_uri`] changes where a server wants the next message.
//! - [`summary`] counts what a message asks and answers, for logs and metrics.
//! - [`alert`] reads the notification by which a server asks for a session.
//! - [`content`] decides what becomes of a message on its way, and translates it.
//! - [`pieces`] takes a message apart without moving anything, for who explains or masks it; [`codes`] names its
//!   codes.
//!
//! The gateway is no SyncML party: nothing here answers a message, and nothing reads credentials.

pub mod alert;
pub mod codes;
pub mod content;
pub mod header;
pub mod pieces;
mod protocol;
pub mod resp_uri;
mod scan;
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
    /// What a message is in, by how it begins; `None` if by neither.
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

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Xml => Self::Wbxml,
            Self::Wbxml => Self::Xml,
        }
    }
}
