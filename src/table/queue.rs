//! A queue of values in a [`Slab`], by links inside the values.

use super::Slab;

/// The neighbours of a value in its [`Queue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Links {
    before: u32,
    after: u32,
}

impl Default for Links {
    /// The links of a value outside of every queue.
    fn default() -> Self {
        Self {
            before: NONE,
            after: NONE,
        }
    }
}

/// A value that can be in a queue.
pub trait Linked {
    /// Its neighbours.
    fn links(&mut self) -> &mut Links;
}

/// An order of slots of one slab: insertion at the end, removal anywhere in constant time.
#[derive(Clone, Debug)]
pub struct Queue {
    first: u32,
    last: u32,
}

impl Default for Queue {
    fn default() -> Self {
        Self::new()
    }
}

impl Queue {
    /// An empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            first: NONE,
            last: NONE,
        }
    }

    /// The slot of the first value.
    #[must_use]
    pub fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    /// Appends a slot that is in no queue.
    pub fn push<T: Linked>(&mut self, slab: &mut Slab<T>, slot: u32) {
        let Some(thing) = slab.get_mut(slot) else {
            return;
        };
        *thing.links() = Links {
            before: self.last,
            after: NONE,
        };
        match slab.get_mut(self.last) {
            Some(last) => last.links().after = slot,
            None => self.first = slot,
        }
        self.last = slot;
    }

    /// Removes a slot that is in this queue.
    pub fn take<T: Linked>(&mut self, slab: &mut Slab<T>, slot: u32) {
        let Some(thing) = slab.get_mut(slot) else {
            return;
        };
        let Links { before, after } = std::mem::take(thing.links());
        match slab.get_mut(before) {
            Some(before) => before.links().after = after,
            None => self.first = after,
        }
        match slab.get_mut(after) {
            Some(after) => after.links().before = before,
            None => self.last = before,
        }
    }
}

/// No slot: the first has no predecessor, the last no successor.
const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    struct Thing(Links);

    impl Linked for Thing {
        fn links(&mut self) -> &mut Links {
            &mut self.0
        }
    }

    #[test]
    fn a_queue_equals_a_list() {
        let mut random = Random::new(5);
        let mut slab = Slab::new();
        let mut queue = Queue::new();
        let mut twin = Vec::new();
        for _ in 0..5_000 {
            match random.below(3) {
                0 | 1 if twin.len() < 30 => {
                    let slot = slab.insert(Thing(Links::default()));
                    queue.push(&mut slab, slot);
                    twin.push(slot);
                }
                _ if !twin.is_empty() => {
                    let at = usize::try_from(random.below(twin.len() as u64)).unwrap();
                    let slot = twin.remove(at);
                    queue.take(&mut slab, slot);
                    if random.chance(0.5) {
                        queue.push(&mut slab, slot);
                        twin.push(slot);
                    } else {
                        slab.remove(slot);
                    }
                }
                _ => {}
            }
            assert_eq!(queue.first(), twin.first().copied());
        }
        while let Some(slot) = queue.first() {
            assert_eq!(slot, twin.remove(0));
            queue.take(&mut slab, slot);
        }
        assert!(twin.is_empty());
    }
}
