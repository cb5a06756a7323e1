//! Why the OBEX port refuses connections and objects.

use crate::server::tcp::Refusal;

/// Why a connection or an object was refused: closed set, used as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObexRefusal {
    /// The connections of the source, or of all sources, are used up by requests under way.
    Connections,
    /// An idle connection was closed to make room for a new one.
    Evicted,
    /// No whole packet came within `idle_timeout`.
    Slow,
    /// A packet has a length below 3.
    Malformed,
    /// The memory for arriving objects is used up.
    NoMemory,
}

impl Refusal for ObexRefusal {
    const ALL: &'static [Self] = &[
        Self::Connections,
        Self::Evicted,
        Self::Slow,
        Self::Malformed,
        Self::NoMemory,
    ];
    const CONNECTIONS: Self = Self::Connections;
    const EVICTED: Self = Self::Evicted;

    fn label(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Evicted => "evicted",
            Self::Slow => "slow",
            Self::Malformed => "malformed",
            Self::NoMemory => "no_memory",
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_reason_is_counted() {
        crate::server::tcp::reasons_are_counted::<super::ObexRefusal>(5);
    }
}
