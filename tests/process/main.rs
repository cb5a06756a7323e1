//! The program from outside: its commands, the running gateway, and handsets in front of it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod cli;
mod end_to_end;
mod running;
mod smsc;
#[path = "../support/mod.rs"]
mod support;
