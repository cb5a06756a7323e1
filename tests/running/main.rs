//! The program itself, running: `wapbridge serve` in front of HTTPS origins, and what talks to it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod access;
mod identity;
mod life;
mod manager;
#[allow(dead_code, reason = "shared; each binary uses its part")]
#[path = "../support/origin.rs"]
mod origin;
#[path = "../support/peer.rs"]
mod peer;
#[allow(dead_code, reason = "shared; each binary uses its part")]
#[path = "../end_to_end/phone.rs"]
mod phone;
mod proxy;
mod records;
mod reload;
#[allow(dead_code, reason = "shared; each binary uses its part")]
#[path = "../support/sessions.rs"]
mod sessions;
mod stage;
mod store;
mod top;
mod trace;
mod upgrade;

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "a test has no other clock")]
fn now() -> Instant {
    Instant::now()
}
