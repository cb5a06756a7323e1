//! Charging records: one for each transaction, and one for each recipient of a push, in files for a
//! mediation system.
//!
//! A transaction is charged once it was answered, but it ends only with the handset's
//! acknowledgement, or when the gateway stops waiting for it. So an answered transaction goes into
//! a journal beside the file until its end. The next start after a crash makes records of the
//! transactions in the journal.
//!
//! - `encode`: the fields of a record, and the batches that shards hand over.
//! - `push`: the fields of the record of a push.
//! - `writer`: the thread that numbers and writes records.
//! - `spool`: the files: open, rotated, repaired.
//! - [`verify`]: checks that files are complete.

mod encode;
mod push;
mod spool;
mod verify;
mod writer;

use std::path::PathBuf;
use std::time::Duration;

pub(super) use encode::{Batch, CdrEncoder, Clocks};
pub use verify::{Sequence, Totals, Verification, verify};
pub use writer::{CdrHandle, CdrWriter, Counts};

/// Settings of charging records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Path of the file. `records.jsonl` is written as `records.jsonl.open`. The closed file is
    /// called `records-TIME-FIRST-LAST.jsonl`, after its first and last sequence number.
    pub path: PathBuf,
    /// The format of a record. Default: `json`.
    pub format: Format,
    /// The size in octets at which a file is closed. Default: 64 MiB.
    pub rotate_size: u64,
    /// The age at which a file with a record is closed. Default: 15 min.
    pub rotate_every: Duration,
    /// When octets count as written. Default: `closed`.
    pub sync: Sync,
    /// The name of this node, in every record. Default: the host's name.
    pub node: String,
}

/// The format of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line; every field is there, `null` if it has no value.
    #[default]
    Json,
    /// Comma-separated values (RFC 4180), with the names in the first line.
    Csv,
}

/// When octets are synchronised to the disk. The death of the process loses no octet in any mode:
/// the system keeps them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// Never: a crash of the system may lose the octets of its last 30 s or so.
    Never,
    /// When a file is closed. A crash of the system may cost some of the open file.
    #[default]
    Closed,
    /// Every time, up to ten times a second.
    Always,
}

/// The version of the fields, in every record: it changes when a field changes its meaning or goes.
pub const SCHEMA: u64 = 1;
