//! Charging records: one for each transaction, in files that a mediation system collects.
//!
//! A transaction is charged for once it was answered, but it is over only with the handset's acknowledgement, or
//! when the gateway stops waiting for that. So what was answered and is not over goes into a journal beside the
//! file, and whoever starts after a crash makes records of what is in it.
//!
//! - `form`: a record's fields; what shards hand over.
//! - `clerk`: the thread that numbers records and writes them.
//! - `spool`: the files: open, rotated, repaired.
//! - [`verify`]: whether files are whole.

mod clerk;
mod form;
mod spool;
mod verify;

use std::path::PathBuf;
use std::time::Duration;

pub use clerk::{Clerk, Counts, Desk};
pub(super) use form::{Batch, Form, Now};
pub use verify::{Sequence, Sums, Verdict, verify};

/// Where charging records go, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What files are called. `records.jsonl` is written as `records.jsonl.open`; closed, it is called
    /// `records-TIME-FIRST-LAST.jsonl`, after the first and the last sequence number in it.
    pub path: PathBuf,
    /// How a record looks. Default: `json`.
    pub format: Format,
    /// A file is closed when it has so many octets. Default: 64 MiB.
    pub rotate_size: u64,
    /// A file with something in it is closed after so long. Default: 15 min.
    pub rotate_every: Duration,
    /// What to wait for before octets count as written. Default: `closed`.
    pub sync: Sync,
    /// Who we are, in every record. Default: the host's name.
    pub node: String,
}

/// How a record looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line; every field is there, `null` if it has no value.
    #[default]
    Json,
    /// Comma-separated values (RFC 4180), with the names in the first line.
    Csv,
}

/// When the disk itself must have what was written. Against the death of the process nothing of it is needed: the
/// system keeps what was given to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// Never: a crash of the system may cost what it had not written yet, some 30 s.
    Never,
    /// When a file is closed. A crash of the system may cost some of the open file.
    #[default]
    Closed,
    /// Every time, up to ten times a second.
    Always,
}

/// The version of the fields, in every record: it changes when a field changes its meaning or goes.
pub const SCHEMA: u64 = 1;
