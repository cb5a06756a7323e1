//! The outcome of one transaction of a handset in the pool.

use crate::time::Instant;

/// A result of a handset's action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A session is up.
    Connected {
        /// The handset.
        who: u32,
        /// When it was to begin.
        since: Instant,
    },
    /// A POST was answered.
    Replied {
        /// The handset.
        who: u32,
        /// When it was to begin.
        since: Instant,
        /// As HTTP numbers it.
        status: u16,
        /// Octets of the body.
        octets: usize,
    },
    /// Something ended without an answer.
    Failed {
        /// The handset.
        who: u32,
        /// When it was to begin.
        since: Instant,
        /// Why, in words.
        cause: String,
    },
}
