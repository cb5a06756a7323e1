//! The simulator: the real core and real handsets on a bad network, in virtual time, from a seed.
//!
//! There is no second implementation here to keep honest: [`World`] drives [`Gateway`](crate::gateway::Gateway)
//! and [`Handset`](crate::handset::Handset) exactly as the server and the tools do, and plays clock, network and
//! origin for them. A run is decided by its seed alone.

mod group;
pub mod network;
pub mod origin;
pub mod world;

pub use network::Network;
pub use world::{Outcome, Phone, World};
