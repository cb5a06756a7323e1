//! Mistakes that tests plant on purpose, to see that they are found. Each layer names its own. No
//! build but that of the unit tests has them.

#[cfg(test)]
use std::cell::Cell;

/// A mistake, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Defect(pub(crate) &'static str);

impl Defect {
    /// Whether the endpoints of this thread have the mistake.
    #[cfg(not(test))]
    pub(crate) const fn is_planted(self) -> bool {
        false
    }

    #[cfg(test)]
    pub(crate) fn is_planted(self) -> bool {
        PLANTED.get() == Some(self)
    }

    /// Gives the endpoints of this thread the mistake, until the result is dropped.
    #[cfg(test)]
    pub(crate) fn plant(self) -> Planted {
        PLANTED.set(Some(self));
        Planted(())
    }
}

/// A mistake of the endpoints of this thread, until dropped.
#[cfg(test)]
pub(crate) struct Planted(());

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
