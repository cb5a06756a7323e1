//! Tables of many small values. They grow in small steps, so that no single datagram waits while
//! all values move, and they give memory back.
//!
//! A [`Map`] finds values by a key in them: its [`Slab`] holds the values in slots, its [`Lookup`]
//! finds slots by key. A [`Queue`] orders slots by use without moving values. An [`ExpiringMap`]
//! keeps values for a time. [`Shares`] has the amount that each source holds of a pool.

mod expiring;
mod index;
mod map;
mod queue;
mod shares;
mod slab;

pub use expiring::ExpiringMap;
use index::Index;
pub use map::{HasKey, Lookup, Map};
pub use queue::{Linked, Links, Queue};
pub use shares::Shares;
pub use slab::Slab;
