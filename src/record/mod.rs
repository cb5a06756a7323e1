//! Records of what was done: the access log.

pub mod access;
