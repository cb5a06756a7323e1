//! An accounting session in the directory, and the times of its events.

use std::net::IpAddr;
use std::sync::Arc;

use super::report::Report;
use super::{Identity, Prefix};
use crate::time::Instant;

/// A moment by both clocks: ours, and the calendar's in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By our clock.
    pub now: Instant,
    /// Calendar time, in seconds. For reports this clock goes on evenly from the start of the
    /// process, even when the calendar is set: it decides which of two reports is the later one.
    pub unix: u64,
}

/// The key of a session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) reporter: Arc<str>,
    pub(super) nas: Box<str>,
    pub(super) session: Box<str>,
}

/// A session that is not over.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) key: Key,
    /// The address that reported the Start, or else the first report. `None` for a session that an
    /// earlier version saved.
    pub(super) reported_by: Option<IpAddr>,
    pub(super) prefixes: Vec<Prefix>,
    pub(super) identity: Arc<Identity>,
    /// The time of its Start, or else of the first report.
    pub(super) began: EventTime,
    /// The time of its latest report.
    pub(super) latest: EventTime,
    pub(super) expires: Instant,
    /// The expiry that the store has; `None` if the store has no such session.
    pub(super) saved: Option<Instant>,
}

/// The time of an event by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventTime {
    /// Time of reception less the client's delay, in seconds since 1970.
    pub(super) heard: u64,
    /// By the access server's clock, if it has one.
    pub(super) stamp: Option<u32>,
}

impl EventTime {
    pub(super) fn of(at: Moment, report: &Report) -> Self {
        Self {
            heard: at.unix.saturating_sub(u64::from(report.delay)),
            stamp: report.stamp,
        }
    }

    /// Whether the event was after another one. `same_nas`: both are of one access server, so its
    /// clock decides.
    pub(super) fn is_after(self, other: Self, same_nas: bool) -> bool {
        match (self.stamp, other.stamp) {
            (Some(this), Some(other)) if same_nas => this > other,
            _ => self.heard > other.heard,
        }
    }
}
