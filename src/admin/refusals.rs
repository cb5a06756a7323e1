//! Counters of refused admin requests and connections. Only the admin port uses them, so they are
//! atomics.

use std::sync::atomic::{AtomicU64, Ordering};

/// The reason of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The token is missing or wrong.
    Token,
    /// A page of another site sent the request.
    CrossSite,
    /// The Host field is not one of ours.
    Host,
    /// The connection limit was reached, and every open connection was busy.
    Connections,
    /// An idle connection gave its place to a new one.
    Evicted,
}

impl Refusal {
    pub(super) const ALL: [Self; 5] = [
        Self::Token,
        Self::CrossSite,
        Self::Host,
        Self::Connections,
        Self::Evicted,
    ];

    /// The stable name in logs and metrics.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::CrossSite => "cross_site",
            Self::Host => "host",
            Self::Connections => "connections",
            Self::Evicted => "evicted",
        }
    }
}

/// One counter for each reason.
#[derive(Debug, Default)]
pub(super) struct Refusals([AtomicU64; Refusal::ALL.len()]);

impl Refusals {
    pub(super) fn count(&self, reason: Refusal) {
        for (counted, count) in Refusal::ALL.iter().zip(&self.0) {
            if *counted == reason {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Each reason and its count.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Refusal, u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        Refusal::ALL.into_iter().zip(counts)
    }
}
