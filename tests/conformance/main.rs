//! Static conformance: every item of the specifications' tables, each held by a test that names it.
//!
//! `cargo test --test conformance -- --nocapture` prints the tables. An item counts as held when a test that
//! names it has just passed, so a table cannot claim what was not run.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that panics has failed, which is its purpose"
)]

mod suite;
mod talk;
mod transcript;
mod wdp;
mod wsp;
mod wtp;

use suite::Suite;

#[test]
fn wtp() {
    let mut suite = Suite::new(include_str!("../../fixtures/conformance/wtp.tsv"));
    wtp::hold(&mut suite);
    suite.conclude("WTP");
}

#[test]
fn wsp() {
    let mut suite = Suite::new(include_str!("../../fixtures/conformance/wsp.tsv"));
    wsp::hold(&mut suite);
    suite.conclude("WSP");
}

#[test]
fn wdp() {
    let mut suite = Suite::new(include_str!("../../fixtures/conformance/wdp.tsv"));
    wdp::hold(&mut suite);
    suite.conclude("WDP over UDP");
}
