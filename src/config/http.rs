//! `[http]`: connections of handsets that speak HTTP.

use std::time::Duration;

use super::section::Section;

/// Limits of connections at the addresses of `http` in `[listen]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// Connections at once; at most a quarter of the process's file descriptors are used. A new
    /// connection takes the place of the one idle for longest. Default: 1,000.
    pub max_connections: usize,
    /// Of these, connections of one source: an address, or a /64 of IPv6. Default: 64.
    pub max_connections_per_source: usize,
    /// Time without any octet, after which a connection ends: between requests, within a head,
    /// within a body, and while the handset acknowledges no octet of a response. Default: 2 min.
    pub idle_timeout: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            max_connections: 1_000,
            max_connections_per_source: 64,
            idle_timeout: Duration::from_secs(120),
        }
    }
}

impl HttpSettings {
    pub(super) fn read(section: &Section<'_, '_>) -> Self {
        let base = Self::default();
        Self {
            max_connections: section.within("max_connections", 1..=1_000_000, base.max_connections),
            max_connections_per_source: section.within(
                "max_connections_per_source",
                1..=1_000_000,
                base.max_connections_per_source,
            ),
            idle_timeout: section.within("idle_timeout", SHORTEST..=LONGEST, base.idle_timeout),
        }
    }
}

/// A handset on a slow bearer pauses for seconds.
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(3_600);
