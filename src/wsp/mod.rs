//! The Wireless Session Protocol (WAP-230, OMA-WAP-TS-WSP 2002): what a session's octets mean.
//!
//! A datagram's payload (connectionless) or a WTP message (connection mode) is one [`pdu::Pdu`]; its blocks
//! are read by [`capability`] and [`header`], a multipart body by [`multipart`].

mod address;
pub mod capability;
pub mod census;
pub mod claim;
pub mod connectionless;
mod crowd;
mod early;
pub mod header;
pub mod method;
pub mod multipart;
pub mod pdu;
pub mod profile;
pub mod pseudonym;
pub mod push;
mod rates;
mod registry;
pub mod saved;
pub mod session;
pub mod sessions;
mod setup;
pub mod status;

pub use capability::Capabilities;
pub use pdu::{AbortReason, Pdu};
