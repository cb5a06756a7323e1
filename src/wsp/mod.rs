//! Wireless Session Protocol (WAP-230, OMA-WAP-TS-WSP 2002): sessions, methods, pushes and their
//! PDUs.
//!
//! The payload of a datagram (connectionless mode) or of a WTP message (connection mode) is one
//! [`pdu::Pdu`]. [`capability`] and [`header`] decode its blocks, [`multipart`] a multipart body.

mod address;
pub mod capability;
pub mod claim;
mod config;
pub mod connectionless;
mod context;
pub mod header;
pub mod id_key;
mod indication;
mod key;
pub mod listing;
pub mod log_id;
pub mod method;
pub mod multipart;
pub mod pdu;
mod pending;
pub mod profile;
pub mod push;
mod reply_limit;
mod request;
mod resume_failures;
pub mod saved;
pub mod session;
mod session_table;
pub mod sessions;
mod stats;
pub mod status;

pub use capability::Capabilities;
pub use pdu::{AbortReason, Pdu};
