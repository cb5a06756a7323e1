//! What a SyncML message speaks, for routes that tell messages apart by it.

use std::fmt;

use super::RequestView;
use crate::syncml::content::MediaType;
use crate::syncml::header;

/// A protocol of SyncML, by the VerProto of its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Data synchronization, `SyncML/1.0`.
    Ds10,
    /// Data synchronization, `SyncML/1.1`.
    Ds11,
    /// Data synchronization, `SyncML/1.2`.
    Ds12,
    /// Device management, `DM/` and any version.
    Dm,
}

impl Protocol {
    /// The protocol that a VerProto names, if it is one of ours.
    #[must_use]
    pub fn of(ver_proto: &str) -> Option<Self> {
        match ver_proto.trim() {
            "SyncML/1.0" => Some(Self::Ds10),
            "SyncML/1.1" => Some(Self::Ds11),
            "SyncML/1.2" => Some(Self::Ds12),
            other => other.starts_with("DM/").then_some(Self::Dm),
        }
    }

    /// The name used in settings and in what people read.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ds10 => "1.0",
            Self::Ds11 => "1.1",
            Self::Ds12 => "1.2",
            Self::Dm => "DM",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// The body of a request, as far as routes care for it.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// Its octets, in which a route that asks looks for a SyncML header.
    Body(&'a [u8]),
    /// What it speaks, where that is known without it.
    Speaks(Option<Protocol>),
}

impl RequestView<'_> {
    /// What the request's message speaks; nothing if it is no SyncML message.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        match self.message {
            Message::Speaks(protocol) => protocol,
            Message::Body(body) => {
                MediaType::parse(self.content_type?)?;
                Protocol::of(&header::peek(body)?.ver_proto)
            }
        }
    }
}
