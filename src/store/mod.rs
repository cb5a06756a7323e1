//! State that survives the process: one file, written by one thread in batches.
//!
//! [`Store`] keeps named tables of octets for other modules, and sessions in two tables of its own.
//! Without a store the hand-over between shards ([`crate::gateway::directory`]) still works, and no
//! state survives. Writers put changes into a bounded queue and never wait. Queued changes are
//! committed together, [`COMMIT_INTERVAL`] after the first one at the latest.

mod error;
mod file;
mod handle;
mod message;
mod sessions;
mod tables;
#[cfg(test)]
mod tests;
mod watch;
mod worker;

pub use error::OpenError;
pub use handle::{Store, StoreHandle};
pub use message::Stats;
pub use tables::{Change, Entries, Table};
pub use worker::COMMIT_INTERVAL;

use std::path::PathBuf;
use std::time::Duration;

/// Settings of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The file. A new one is readable for its owner alone: it contains clients' headers.
    pub path: PathBuf,
    /// The time a session is kept after it was last saved. A session in use is saved every quarter
    /// of `idle_timeout`. Default: the `idle_timeout` of `[wsp]` and a quarter of it.
    pub max_age: Duration,
    /// The most sessions in the store. Beyond this number new sessions do not survive a restart.
    /// Default: the number that all shards may hold (`max_sessions` of `[limits]`).
    pub max_sessions: u64,
}
