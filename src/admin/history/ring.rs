//! The last values of something, as many as there is room for.

use std::collections::VecDeque;

/// A queue whose memory is allocated once: a value that finds it full replaces the oldest.
#[derive(Clone, Debug)]
pub(super) struct Ring<T> {
    values: VecDeque<T>,
    room: usize,
}

impl<T> Ring<T> {
    /// An empty queue for `room` values.
    pub(super) fn with_room(room: usize) -> Self {
        Self {
            values: VecDeque::with_capacity(room),
            room,
        }
    }

    pub(super) fn push(&mut self, value: T) {
        if self.values.len() == self.room {
            self.values.pop_front();
        }
        self.values.push_back(value);
    }

    /// From the oldest to the newest.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.values.iter()
    }

    /// The same, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.values.iter_mut()
    }

    pub(super) fn newest(&self) -> Option<&T> {
        self.values.back()
    }

    /// The memory of the values.
    #[cfg(test)]
    pub(super) fn octets(&self) -> usize {
        self.values.capacity() * size_of::<T>()
    }
}
