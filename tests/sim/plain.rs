//! The scenarios in clear text.

#[path = "scenarios.rs"]
#[allow(clippy::duplicate_mod, reason = "the same scenarios in another world")]
mod scenarios;

use wapbridge::gateway::Config;
use wapbridge::sim::World;

fn new_world(seed: u64, config: Config) -> World {
    World::new(seed, config)
}
