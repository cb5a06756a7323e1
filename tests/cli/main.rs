//! The program as an operator meets it: its commands, what they print, and how they end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admin;
mod bench;
mod decode;
mod demo;
#[allow(dead_code, reason = "shared; each binary uses its part")]
#[path = "../support/origin.rs"]
mod origin;
mod process;
mod readme;
mod request;
mod serve;
#[allow(dead_code, reason = "shared; each binary uses its part")]
#[path = "../support/sessions.rs"]
mod sessions;
