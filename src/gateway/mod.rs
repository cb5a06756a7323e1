//! The gateway's core.

pub mod fetch;
