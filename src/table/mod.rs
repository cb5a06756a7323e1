//! Tables of many small things: they grow a little at a time, so that no single datagram waits for all of them to
//! be moved, and they give memory back.
//!
//! A [`Slab`] keeps things in places, an [`Index`] finds the place of a key, a [`Queue`] orders places by use
//! without moving anything but links. A [`Memory`] knows for a while.

mod index;
mod memory;
mod queue;
mod slab;

pub use index::Index;
pub use memory::Memory;
pub use queue::{Linked, Links, Queue};
pub use slab::Slab;
