//! The messages to the store's thread, and the counters that come back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;

use super::change::{Change, Entries, Table};
use super::{Limits, shared};
use crate::wsp::claim::ClaimKey;
use crate::wsp::saved::SessionRecord;

/// Counters of a store, and gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Changes taken into the queue.
    pub writes: u64,
    /// Changes not taken: the queue was full, or there were too many sessions.
    pub refused: u64,
    /// Batches committed.
    pub commits: u64,
    /// Commits and reads that failed.
    pub errors: u64,
    /// Sessions forgotten because they were too old.
    pub expired: u64,
    /// Files created again because the old one was deleted, truncated or overwritten in use.
    pub recreated: u64,
    /// Gauge: changes that wait for the next commit.
    pub pending: u64,
    /// Gauge: sessions remembered.
    pub sessions: u64,
    /// Changes that came too late: another node had claimed the session.
    pub stale: u64,
    /// Look-ups that the store did not answer in time.
    pub unanswered: u64,
    /// Gauge: the time of the last exchange with a shared store, in microseconds.
    pub latency: u64,
    /// Whether a restart would lose new changes: the file cannot be written, or another file has
    /// its name; or the shared store does not answer.
    pub failing: bool,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) writes: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) recreated: AtomicU64,
    pub(super) pending: AtomicU64,
    pub(super) sessions: AtomicU64,
    pub(super) stale: AtomicU64,
    pub(super) unanswered: AtomicU64,
    pub(super) latency: AtomicU64,
    pub(super) failing: AtomicBool,
}

impl Counts {
    pub(super) fn stats(&self) -> Stats {
        let Self {
            writes,
            refused,
            commits,
            errors,
            expired,
            recreated,
            pending,
            sessions,
            stale,
            unanswered,
            latency,
            failing,
        } = self;
        Stats {
            writes: writes.load(Relaxed),
            refused: refused.load(Relaxed),
            commits: commits.load(Relaxed),
            errors: errors.load(Relaxed),
            expired: expired.load(Relaxed),
            recreated: recreated.load(Relaxed),
            pending: pending.load(Relaxed),
            sessions: sessions.load(Relaxed),
            stale: stale.load(Relaxed),
            unanswered: unanswered.load(Relaxed),
            latency: latency.load(Relaxed),
            failing: failing.load(Relaxed),
        }
    }
}

/// The receiver of a look-up's answer. Dropped unused, it answers with `None`.
pub(super) struct Answer(pub(super) Option<Box<dyn FnOnce(Option<SessionRecord>) + Send>>);

impl Answer {
    pub(super) fn give(mut self, found: Option<SessionRecord>) {
        if let Some(answer) = self.0.take() {
            answer(found);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(answer) = self.0.take() {
            answer(None);
        }
    }
}

pub(super) enum Message {
    Change(Vec<Change>),
    Save(Box<SessionRecord>),
    Forget(u32),
    Look(ClaimKey, Answer),
    Entries(Table, mpsc::Sender<Entries>),
    Flush(mpsc::Sender<()>),
    Limits(Limits),
    OnLost(OnLost),
    /// An event of a shared store, for its thread.
    Shared(shared::Event),
}

/// Called with the id of each session that another process took over.
pub(super) type OnLost = Box<dyn Fn(u32) + Send>;

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Sessions and subscribers do not belong into a log.
        f.write_str("Message")
    }
}
