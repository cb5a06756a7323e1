//! The counters of each centre.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The state of a centre and its counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its name.
    pub name: Arc<str>,
    /// Whether messages can be submitted.
    pub bound: bool,
    /// The counters.
    pub counts: Counts,
}

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counters and gauges of a centre.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts { $($(#[$doc])* pub $name: u64,)* }

        /// The same, written by the centre's task and read by others.
        #[derive(Debug, Default)]
        pub(super) struct Shared {
            pub(super) bound: AtomicBool,
            $(pub(super) $name: AtomicU64,)*
        }

        impl Shared {
            pub(super) fn counts(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counts! {
    /// Submissions that wait to be submitted.
    queued,
    /// Short messages without an answer of the centre.
    outstanding,
    /// Submissions that wait for receipts.
    awaiting,
    /// Submissions refused because the queue was full.
    full,
    /// Short messages submitted.
    submitted,
    /// Short messages that the centre accepted.
    accepted,
    /// Short messages that the centre refused for good.
    refused,
    /// Short messages that the centre could not take then.
    failed,
    /// Short messages that the centre throttled; they are submitted again.
    throttled,
    /// Short messages whose connection ended before an answer came.
    lost,
    /// Receipts of messages that were delivered.
    delivered,
    /// Receipts of messages that were not.
    undelivered,
    /// Receipts that belong to no message we know.
    strays,
    /// Submissions whose receipts were given up: too late, or too many.
    abandoned,
    /// Messages from phones and PDUs that are none for us.
    passed_over,
    /// Sessions begun.
    binds,
    /// Connections, handshakes and binds that failed.
    connect_failures,
}

pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

pub(super) fn set(gauge: &AtomicU64, value: usize) {
    gauge.store(u64::try_from(value).unwrap_or(u64::MAX), Ordering::Relaxed);
}
