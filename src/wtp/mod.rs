//! Wireless Transaction Protocol (WAP-224 with SIN 002): reliable requests over datagrams.
//!
//! [`Endpoint`] is the whole of it: both sides, classes 0 to 2, segmentation and re-assembly with selective
//! retransmission, extended or not, and TID verification. It does no I/O; see its documentation for how to
//! drive it.
//!
//! Where to look: [`pdu`], [`tpi`] and [`mod@concat`] are the wire; `tid` decides what is new; `responder` and
//! `initiator` are the state tables; `sender` (with `message` and `pace`) and `receiver` (with `assembler`) get a
//! message across in packets, whether it has one or many; `endpoint` finds the transaction and keeps timers and
//! limits.
//!
//! Where we do more than the tables, because copies of datagrams live long: a TID that was verified is
//! remembered, so that late copies of an Invoke and of the initiator's word cannot pass the handshake again
//! (`tid`); what we aborted is remembered, so that an Abort that was lost does not make the Invoke new (`aborted`);
//! and TIDnew takes effect once it is vouched for. What is known of a peer is forgotten with its entry.

mod abort;
mod aborted;
mod assembler;
mod capabilities;
pub mod concat;
mod config;
mod counter;
mod endpoint;
mod indication;
mod initiator;
mod message;
mod pace;
pub mod pdu;
mod peek;
mod pool;
mod receiver;
mod report;
mod responder;
mod sender;
mod slots;
#[cfg(test)]
mod tests;
mod tid;
pub mod tpi;
mod transaction;
mod unowned;

pub use abort::{AbortReason, ProviderAbort};
#[doc(hidden)]
pub use config::Defect;
pub use config::{Config, OCTETS_PER_PEER, OCTETS_PER_TRANSACTION};
pub use endpoint::{Endpoint, Refused};
pub use indication::{Fragment, Handle, Indication};
pub use pdu::{Class, Pdu};
pub use peek::invokes;
pub use report::{Report, Stats};
pub use tid::is_newer;
