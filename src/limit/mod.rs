//! Limits per source: rates, and pauses that grow with failures.
//!
//! A source is an address of IPv4 or a /64 of IPv6 ([`crate::wdp::source_prefix`]), or a
//! subscriber. An idle source is the same as an unknown one. So a table has only sources with
//! recent use, and no source displaces another.

mod backoff;
mod limiter;
mod rate;
mod swept;

pub use backoff::Backoff;
pub use limiter::{Limited, RateLimiter};
pub use rate::Rate;
pub use swept::{Idle, SweptMap};
