//! The simulator: the real core and real handsets on a bad network, in virtual time, from a seed.
//!
//! [`World`] drives [`Gateway`](crate::gateway::Gateway) and [`Handset`](crate::handset::Handset)
//! as the server and the tools do, and simulates clock, network and origin. The seed alone decides
//! a run.

mod group;
pub mod network;
pub mod origin;
#[cfg(feature = "wtls")]
mod secure;
pub mod world;

pub use network::Network;
pub use world::{Outcome, Phone, World};
