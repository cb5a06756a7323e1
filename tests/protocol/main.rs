//! The protocols, layer by layer, against their specifications.
//!
//! `cargo test --test protocol -- --nocapture every_item` prints the tables of static conformance.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::collapsible_match,
    reason = "a test that panics has failed, which is its purpose"
)]

mod detect;
mod push;
mod suite;
#[path = "../support/mod.rs"]
mod support;
mod syncml;
mod wbxml;
mod wdp;
mod wsp;
#[cfg(feature = "wtls")]
mod wtls;
mod wtp;
