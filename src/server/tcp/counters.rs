//! Counters of a TCP port of handsets.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a connection or a request was refused: a closed set for each protocol, used as a metric
/// label.
pub(crate) trait Refusal: Copy + PartialEq + Send + Sync + 'static {
    /// All reasons.
    const ALL: &'static [Self];
    /// The connections of the source, or of all sources, are used up by requests under way.
    const CONNECTIONS: Self;
    /// An idle connection was closed to make room for a new one.
    const EVICTED: Self;

    /// The stable name used as a metric label.
    fn label(self) -> &'static str;
}

/// Counters of a port, as read at one moment.
#[derive(Clone, Debug, Default)]
pub struct TcpCounts {
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub open: u64,
    /// Requests given to a shard.
    pub requests: u64,
    /// Refusals by the label of their reason.
    pub refused: Vec<(&'static str, u64)>,
}

impl TcpCounts {
    /// Each reason with its count, all 0.
    pub(crate) fn none<R: Refusal>() -> Self {
        Counters::<R>::new().read()
    }
}

/// The counters themselves.
#[derive(Debug)]
pub(in crate::server) struct Counters<R> {
    connections: AtomicU64,
    open: AtomicU64,
    requests: AtomicU64,
    /// In the order of [`Refusal::ALL`].
    refused: Box<[AtomicU64]>,
    reason: PhantomData<R>,
}

impl<R: Refusal> Counters<R> {
    pub(super) fn new() -> Self {
        Self {
            connections: AtomicU64::new(0),
            open: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            refused: R::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            reason: PhantomData,
        }
    }

    pub(super) fn opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn requested(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::server) fn refuse(&self, reason: R) {
        let place = R::ALL.iter().position(|other| *other == reason);
        if let Some(count) = place.and_then(|place| self.refused.get(place)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn read(&self) -> TcpCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        TcpCounts {
            connections: read(&self.connections),
            open: read(&self.open),
            requests: read(&self.requests),
            refused: (R::ALL.iter().map(|reason| reason.label()))
                .zip(self.refused.iter().map(read))
                .collect(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Every reason has a place of its own and a label of its own.
    pub(crate) fn reasons_are_counted<R: Refusal>(variants: usize) {
        let counters = Counters::<R>::new();
        for (times, reason) in R::ALL.iter().enumerate() {
            (0..=times).for_each(|_| counters.refuse(*reason));
        }
        let counts = counters.read().refused;
        assert!(
            counts
                .iter()
                .map(|(_, count)| *count)
                .eq(1..=variants as u64)
        );
        let labels: std::collections::BTreeSet<_> = counts.iter().map(|(label, _)| label).collect();
        assert_eq!(labels.len(), variants);
        assert!(R::ALL.contains(&R::CONNECTIONS) && R::ALL.contains(&R::EVICTED));
    }
}
