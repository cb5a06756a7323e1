//! What the admin port counts of itself. It is used by few and seldom, so atomics are good enough here.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a request or a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// No token, or not the right one.
    Token,
    /// Another site's page asked for it.
    CrossSite,
    /// The name it was asked under is not ours.
    Host,
    /// Too many connections.
    Connections,
}

impl Refused {
    pub(super) const ALL: [Self; 4] = [Self::Token, Self::CrossSite, Self::Host, Self::Connections];

    /// The stable name in logs and metrics.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::CrossSite => "cross_site",
            Self::Host => "host",
            Self::Connections => "connections",
        }
    }
}

/// Counters of the admin port.
#[derive(Debug, Default)]
pub(super) struct Counters([AtomicU64; Refused::ALL.len()]);

impl Counters {
    pub(super) fn refused(&self, why: Refused) {
        for (reason, count) in Refused::ALL.iter().zip(&self.0) {
            if *reason == why {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Each reason with its count.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Refused, u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        Refused::ALL.into_iter().zip(counts)
    }
}
