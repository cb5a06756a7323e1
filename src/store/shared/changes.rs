//! Changes that wait for the store: the last one of each session and entry, oldest first.

use std::collections::{HashMap, VecDeque};

use crate::store::change::Table;
use crate::wsp::saved::SessionRecord;

/// What a change is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
    Session(u32),
    Entry(Table, Vec<u8>),
}

/// The new state of a target.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Save(Box<SessionRecord>),
    /// The session ended. It was held with this epoch.
    Forget(u64),
    Put(Vec<u8>),
    Delete,
}

/// The changes that wait. The caller limits their number.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Targets in the order of their first change. One that is not in `changes` was dropped.
    order: VecDeque<Target>,
    changes: HashMap<Target, Change>,
}

impl Changes {
    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(super) fn get(&self, target: &Target) -> Option<&Change> {
        self.changes.get(target)
    }

    /// Replaces an earlier change of the target, whose place it takes.
    pub(super) fn insert(&mut self, target: Target, change: Change) {
        if self.changes.insert(target.clone(), change).is_none() {
            self.order.push_back(target);
        }
    }

    /// Drops the change of a target.
    pub(super) fn remove(&mut self, target: &Target) {
        if self.changes.remove(target).is_some() {
            // The place must not be inherited by a later change, which would be in twice.
            self.order.retain(|other| other != target);
        }
    }

    /// Takes out the oldest changes.
    pub(super) fn take(&mut self, most: usize) -> Vec<(Target, Change)> {
        let mut taken = Vec::new();
        while taken.len() < most {
            let Some(target) = self.order.pop_front() else {
                break;
            };
            if let Some(change) = self.changes.remove(&target) {
                taken.push((target, change));
            }
        }
        if self.changes.is_empty() && self.changes.capacity() > LARGE {
            // After a long absence of the store.
            *self = Self::default();
        }
        taken
    }

    /// Puts back a change that was not written. A newer change has priority.
    pub(super) fn put_back(&mut self, target: Target, change: Change) {
        if !self.changes.contains_key(&target) {
            self.order.push_front(target.clone());
            self.changes.insert(target, change);
        }
    }
}

/// Changes from which on the memory is given back.
const LARGE: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table("names");

    fn entry(key: u8) -> Target {
        Target::Entry(TABLE, vec![key])
    }

    fn put(value: u8) -> Change {
        Change::Put(vec![value])
    }

    #[test]
    fn the_last_change_of_a_target_waits_at_the_place_of_the_first() {
        let mut changes = Changes::default();
        for (key, value) in [(1, 1), (2, 2), (1, 3), (3, 4)] {
            changes.insert(entry(key), put(value));
        }
        changes.remove(&entry(2));
        assert_eq!(changes.len(), 2);
        let mut taken = changes.take(1);
        assert_eq!(taken, [(entry(1), put(3))]);
        let (target, change) = taken.remove(0);
        changes.put_back(target, change);
        assert_eq!(
            changes.take(9),
            [(entry(1), put(3)), (entry(3), put(4))],
            "the oldest is first again"
        );
        assert_eq!(changes.len(), 0);
    }

    #[test]
    fn what_was_not_written_gives_way_to_what_came_meanwhile() {
        let mut changes = Changes::default();
        changes.insert(entry(1), put(1));
        let taken = changes.take(9);
        changes.insert(entry(1), Change::Delete);
        for (target, change) in taken {
            changes.put_back(target, change);
        }
        assert_eq!(changes.take(9), [(entry(1), Change::Delete)]);
        changes.insert(entry(2), put(1));
        changes.remove(&entry(2));
        changes.insert(entry(2), put(2));
        assert_eq!(changes.take(9), [(entry(2), put(2))]);
        assert_eq!(changes.take(9), []);
    }
}
