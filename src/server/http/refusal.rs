//! Why the HTTP port refuses connections and requests.

use super::head::HeadRefusal;
use crate::server::tcp::Refusal;

/// Why a connection, a head or a body was refused: closed set, used as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpRefusal {
    /// The head of a request is refused.
    Head(HeadRefusal),
    /// The connections of the source, or of all sources, are used up by requests under way.
    Connections,
    /// An idle connection was closed to make room for a new one.
    Evicted,
    /// No octet of a body came within `idle_timeout`.
    Slow,
    /// A chunked body is larger than a message may be.
    BodyTooLarge,
    /// The memory for arriving bodies is used up.
    NoMemory,
    /// The body ended early, or its chunks are malformed.
    Broken,
    /// The TLS handshake failed.
    Tls,
}

impl Refusal for HttpRefusal {
    const ALL: &'static [Self] = &[
        Self::Head(HeadRefusal::LineEnd),
        Self::Head(HeadRefusal::RequestLine),
        Self::Head(HeadRefusal::Version),
        Self::Head(HeadRefusal::FieldLine),
        Self::Head(HeadRefusal::Host),
        Self::Head(HeadRefusal::Length),
        Self::Head(HeadRefusal::TransferEncoding),
        Self::Head(HeadRefusal::LengthRequired),
        Self::Head(HeadRefusal::Expectation),
        Self::Head(HeadRefusal::BodyTooLarge),
        Self::Head(HeadRefusal::TargetTooLong),
        Self::Head(HeadRefusal::HeadTooLarge),
        Self::Connections,
        Self::Evicted,
        Self::Slow,
        Self::BodyTooLarge,
        Self::NoMemory,
        Self::Broken,
        Self::Tls,
    ];
    const CONNECTIONS: Self = Self::Connections;
    const EVICTED: Self = Self::Evicted;

    fn label(self) -> &'static str {
        match self {
            Self::Head(reason) => reason.label(),
            Self::Connections => "connections",
            Self::Evicted => "evicted",
            Self::Slow => "slow",
            Self::BodyTooLarge => "chunks_too_large",
            Self::NoMemory => "no_memory",
            Self::Broken => "broken_body",
            Self::Tls => "tls",
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_reason_is_counted() {
        crate::server::tcp::reasons_are_counted::<super::HttpRefusal>(12 + 7);
    }
}
