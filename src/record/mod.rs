//! Records of exchanges: the access log and the charging records.
//!
//! A shard formats each line once, into a buffer of its own ([`Recorder`]), and hands whole buffers
//! to a thread that writes them ([`LogWriter`]). No shard waits for a disk or a terminal. The task
//! that owns the pushes has a [`PushRecorder`]. Spans of exchanges go to a collector by another thread
//! ([`spans`]).

mod access;
mod buffer;
pub mod charging;
mod destination;
mod digits;
mod journald;
mod line;
mod log_writer;
mod push_recorder;
mod recorder;
#[cfg(test)]
mod sample;
pub mod spans;
mod syslog;
mod timestamp;

pub use access::{Format, loggable};
pub(crate) use line::csv_text;
pub use log_writer::{LogHandle, LogWriter};
pub use push_recorder::PushRecorder;
pub use recorder::{AccessSink, Recorder, Sinks};
pub use syslog::{Syslog, SyslogServer};
