//! The scenarios. Each runs twice, in clear text and through the secure port: `plain.rs` and
//! `secured.rs` include this folder, and each says what a world is.

mod content;
mod endings;
mod limits;
mod modes;
mod push_rig;
mod pushes;
mod routes;
mod sessions;
mod shards;
mod shares;
mod single;
mod storm;

use super::{IS_PROVED, SHARE, late_copies, new_rig, new_world};
