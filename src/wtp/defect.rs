//! Mistakes in the state machines that tests plant on purpose, to see that they are found. No build
//! but that of the unit tests has them.

#[cfg(test)]
use std::cell::Cell;

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    /// A group is acknowledged when its trailer comes, holes or not.
    AckOverHole,
    /// A verified old TID becomes the last one.
    LastTidMovesBack,
}

/// Whether the endpoints of this thread have the mistake.
#[cfg(not(test))]
pub(super) const fn is_planted(_: Defect) -> bool {
    false
}

#[cfg(test)]
pub(super) fn is_planted(defect: Defect) -> bool {
    PLANTED.get() == Some(defect)
}

/// A mistake of the endpoints of this thread, until dropped.
#[cfg(test)]
pub(super) struct Planted(());

#[cfg(test)]
impl Planted {
    pub(super) fn new(defect: Defect) -> Self {
        PLANTED.set(Some(defect));
        Self(())
    }
}

#[cfg(test)]
impl Drop for Planted {
    fn drop(&mut self) {
        PLANTED.set(None);
    }
}

#[cfg(test)]
thread_local! {
    static PLANTED: Cell<Option<Defect>> = const { Cell::new(None) };
}
