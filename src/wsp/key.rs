//! Names of sessions and methods.

use std::fmt;

/// Names one session: its slot, and its id as proof that the slot has no other session since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    pub(super) slot: u32,
    /// The session id the peer knows.
    pub id: u32,
}

/// Identifies one method invocation. The key of an ended invocation matches none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MethodId {
    pub(super) slot: u32,
    pub(super) serial: u64,
}

impl fmt::Debug for MethodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "method {}", self.serial)
    }
}
