//! State that survives the process, in one of two kinds of place ([`Place`]).
//!
//! [`Store`] keeps named tables of octets for other modules, and sessions. Without a store the
//! hand-over between shards ([`crate::gateway::directory`]) still works, and no state survives.
//! Writers put changes into a bounded queue and never wait.
//!
//! Both kinds have one interface, [`StoreHandle`], and one alphabet of messages (`message.rs`). Each
//! kind is a thread that takes these messages: `file` commits them together to one file,
//! [`COMMIT_INTERVAL`] after the first one at the latest; [`shared`] sends them to Redis or Valkey,
//! which several nodes share.

mod change;
pub mod file;
mod handle;
mod message;
pub mod shared;

pub use change::{Change, Entries, Table};
pub use file::COMMIT_INTERVAL;
pub use handle::{Store, StoreHandle};
pub use message::Stats;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Settings of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the store is.
    pub place: Place,
    /// The limits of its sessions, which a reload can change.
    pub limits: Limits,
}

/// The kinds of a store, with the place of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file for this process alone. A new one is readable for its owner alone: it contains
    /// clients' headers.
    File(PathBuf),
    /// Redis or Valkey, for all nodes of a cluster.
    Shared(shared::Settings),
}

/// The reason why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file.
    #[error(transparent)]
    File(#[from] file::OpenError),
    /// A shared store.
    #[error(transparent)]
    Shared(#[from] shared::OpenError),
}

impl Settings {
    /// The file, if the store is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            Place::Shared(_) => None,
        }
    }

    /// Whether the gateway is not ready while its store cannot be used.
    #[must_use]
    pub const fn is_required(&self) -> bool {
        match &self.place {
            Place::File(_) => false,
            Place::Shared(shared) => shared.required,
        }
    }

    /// Asks a shared store whether it answers; `None` for a file. Waits for the answer, at most some
    /// seconds.
    ///
    /// # Errors
    /// The reason why it does not answer, in words.
    #[must_use]
    pub fn ping(&self) -> Option<Result<String, String>> {
        match &self.place {
            Place::File(_) => None,
            Place::Shared(shared) => Some(shared::ping(shared)),
        }
    }
}

/// In words for operators.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Shared(shared) => write!(f, "{shared}, as node {}", shared.node),
        }
    }
}

/// The limits of stored sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The time a session is kept after it was last saved. A session in use is saved every quarter
    /// of `idle_timeout`. Default: the `idle_timeout` of `[wsp]` and a quarter of it.
    pub max_age: Duration,
    /// The most sessions in the store. Beyond this number new sessions do not survive a restart.
    /// Default: the number that all shards may hold (`max_sessions` of `[limits]`).
    pub max_sessions: u64,
}

#[expect(clippy::disallowed_methods, reason = "for how long to wait")]
fn clock() -> Instant {
    Instant::now()
}
