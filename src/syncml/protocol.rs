//! The protocol of a message, by its VerProto.

use std::fmt;

/// A protocol of SyncML, by the VerProto of its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

    /// The stable name used in settings, logs and metrics.
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
