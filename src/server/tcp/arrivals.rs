//! Memory for request bodies that are arriving, shared by all handsets.

use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::table::Shares;
use crate::wdp::source_prefix;

/// The pool. A source may hold as many octets as are free for all others.
#[derive(Debug)]
pub(in crate::server) struct Arrivals {
    max: usize,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    octets: usize,
    by_source: Shares<RandomState>,
}

/// Octets set aside for one body until it is dropped.
#[derive(Debug)]
pub(in crate::server) struct Reserved {
    arrivals: Arc<Arrivals>,
    source: u128,
    octets: usize,
}

impl Arrivals {
    /// A pool of so many octets.
    pub(in crate::server) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            held: Mutex::new(Held {
                octets: 0,
                by_source: Shares::new(RandomState::new()),
            }),
        })
    }

    /// Sets octets aside for a body, if the source may have them.
    pub(in crate::server) fn reserve(
        self: &Arc<Self>,
        source: IpAddr,
        octets: usize,
    ) -> Option<Reserved> {
        let source = source_prefix(source.to_canonical());
        let granted = self.lock().take(self.max, source, octets);
        granted.then(|| Reserved {
            arrivals: Arc::clone(self),
            source,
            octets,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reserved {
    /// Sets so many octets more aside. False: they are not free.
    pub(in crate::server) fn grow(&mut self, octets: usize) -> bool {
        let mut held = self.arrivals.lock();
        let granted = held.take(self.arrivals.max, self.source, octets);
        if granted {
            self.octets += octets;
        }
        granted
    }

    /// Octets set aside.
    pub(in crate::server) const fn octets(&self) -> usize {
        self.octets
    }
}

impl Held {
    fn take(&mut self, max: usize, source: u128, octets: usize) -> bool {
        let free = max.saturating_sub(self.octets).checked_sub(octets);
        let granted = free.is_some_and(|free| self.by_source.get(source) <= free);
        if granted {
            self.octets += octets;
            self.by_source.add(source, octets);
        }
        granted
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut held = self.arrivals.lock();
        held.octets -= self.octets;
        held.by_source.remove(self.source, self.octets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_leaves_room_for_others() {
        let pool = Arrivals::new(100);
        let [mine, theirs] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let held: Vec<_> = std::iter::from_fn(|| pool.reserve(mine, 10)).collect();
        assert_eq!(held.len(), 5);
        assert!(pool.reserve(theirs, 40).is_some());
        assert!(pool.reserve(theirs, 51).is_none());
        drop(held);
        assert!(pool.reserve(theirs, 100).is_some());
    }
}
