//! What outlives the process: one file, written by one thread, a batch at a time.
//!
//! [`Embedded`] keeps named tables of octets for whoever has something to remember, and in two of them the
//! sessions. Without it the hand-over between shards ([`crate::gateway::directory`]) still works, and nothing is
//! stored. Writers put changes into a bounded queue and never wait; what is queued is committed
//! together, [`COMMIT_INTERVAL`] after the first of it at the latest.

mod embedded;
mod error;
mod sessions;
mod tables;

pub use embedded::{COMMIT_INTERVAL, Embedded, Stats, Writer};
pub use error::OpenError;
pub use tables::{Change, Entries, Table};

use std::path::PathBuf;
use std::time::Duration;

/// What a store is opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The file. It is made if it is not there, readable by us alone: clients' headers are in it.
    pub path: PathBuf,
    /// A session is remembered for so long after it was last saved, which one in use is every quarter of its
    /// `idle_timeout`. Default: the `idle_timeout` of `[wsp]` and a quarter of it.
    pub max_age: Duration,
    /// Sessions remembered at once; beyond, new ones do not outlive a restart. Default: what all shards may hold
    /// (`max_sessions` of `[limits]`).
    pub max_sessions: u64,
}
