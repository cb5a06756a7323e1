//! SMPP 3.4: one session with an SMS centre, as a transceiver, without I/O.
//!
//! The PDUs and their codec are those of the crate `rusmpp`. [`Session`] binds, keeps to a window
//! and a rate, answers the centre's requests, and reports the outcome of each message. [`Receipt`]
//! reads delivery receipts.

mod config;
mod message;
mod receipt;
mod session;
mod status;
#[cfg(test)]
#[allow(
    clippy::cast_possible_truncation,
    reason = "sequence numbers of tests are small"
)]
mod tests;
mod wire;

pub use config::{Config, ConfigError, Number, Password};
pub use message::{Message, validity_period};
pub use receipt::{Receipt, State};
pub use session::{Answer, Close, Event, Session};
pub use status::{Fault, Status};
