//! Records of what was done: the access log and the charging records.
//!
//! A shard writes each line once, into a buffer of its own ([`Recorder`]), and hands whole buffers to a thread
//! that does the writing ([`Outlet`]): no shard ever waits for a disk or a terminal.

mod access;
pub mod charging;
mod line;
mod outlet;
mod recorder;
#[cfg(test)]
mod sample;
mod stamp;

pub use access::{Format, loggable};
pub use outlet::{Inlet, Outlet};
pub use recorder::{Recorder, Sinks};
