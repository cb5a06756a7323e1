//! Wireless Transaction Protocol (WAP-224 with SIN 002): reliable requests over datagrams.
//!
//! [`Endpoint`] is the public type: initiator and responder, classes 0 to 2, TID verification,
//! segmentation and re-assembly with selective retransmission, plain or extended. It does no I/O;
//! its documentation says how to drive it.
//!
//! Where to look: [`pdu`], [`tpi`] and [`mod@concat`] are the wire format. `tid` decides whether an
//! Invoke is new. `responder` and `initiator` are the state tables. `sender` (with `message` and
//! `pace`) and `receiver` (with `assembler`) transfer a message in one or many packets. `endpoint`
//! finds the transaction and owns timers and limits.
//!
//! The code does more than the tables, because copies of datagrams live long. A verified TID is
//! remembered, so that late copies of an Invoke and of its Ack(TIDok) do not pass the handshake
//! again (`tid`). An aborted transaction is remembered, so that a lost Abort does not make its
//! Invoke new (`aborted`). TIDnew takes effect once the initiator confirms it. All this lives as
//! long as the entry of the peer.

mod abort;
mod aborted;
mod assembler;
mod capabilities;
pub mod concat;
mod config;
mod counter;
mod defects;
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
mod search;
mod sender;
mod shared;
mod slots;
#[cfg(test)]
mod tests;
mod tid;
pub mod tpi;
mod transaction;
mod unowned;
mod validation;

pub use abort::{AbortReason, ProviderAbort};
pub use config::{Config, OCTETS_PER_PEER, OCTETS_PER_TRANSACTION};
pub use endpoint::{Endpoint, Refused};
pub use indication::{Fragment, Handle, Indication};
pub use pdu::{Class, Pdu};
pub use peek::{has_result, invokes};
pub use report::{Report, Stats};
pub use tid::is_newer;
