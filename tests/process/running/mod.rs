//! The running program: `wapbridge serve` in front of HTTPS origins, with handsets and admin
//! clients.

mod access;
mod bench;
mod descriptors;
mod gateway;
mod http;
mod https;
mod identity;
mod life;
mod manager;
mod obex;
#[cfg(feature = "otlp")]
mod otlp;
mod proxy;
mod push;
mod push_clients;
mod push_hostile;
mod push_kill;
mod push_results;
mod push_terminals;
mod records;
mod reload;
#[cfg(feature = "wtls")]
mod secure;
mod store;
mod terminal;
mod top;
mod trace;
mod trace_context;
mod tunnel;
mod upgrade;

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "a test has no other clock")]
fn now() -> Instant {
    Instant::now()
}
