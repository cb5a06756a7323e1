//! The scenarios in clear text.

#[path = "scenarios/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "the same scenarios in another world")]
mod scenarios;

use wapbridge::gateway::Config;
use wapbridge::sim::World;

use crate::rig::Rig;

/// Of so many seeds of a walk, one is walked.
const SHARE: u64 = 1;

/// Whether the address of a peer without a session is proved.
const IS_PROVED: bool = false;

fn new_world(seed: u64, config: Config) -> World {
    World::new(seed, config)
}

fn new_rig(config: Config) -> Rig {
    Rig::new(config)
}

/// Late copies of datagrams that were noticed: WTP asks for a verification of their TID.
fn late_copies(world: &World) -> u64 {
    world.gateway.stats().wtp.verifications
}
