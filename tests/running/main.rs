//! The program itself, running: `wapbridge serve` in front of HTTPS origins, and what talks to it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod access;
mod proxy;
mod reload;
mod stage;
