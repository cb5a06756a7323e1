//! The sources whose requests occupy the connections to an origin.
//!
//! Of the connections that an origin may have, the requests of one source may occupy as many as are
//! left for other sources, and those of one network [`NETWORK_SHARE`] times as many. Over HTTP/2
//! requests share connections, so that a source occupies few.

use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::table::Shares;
use crate::wdp::{network_prefix, source_prefix};

/// The requests under way of one shard. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Occupants(Arc<Mutex<Held>>);

/// Numbers of requests.
#[derive(Debug)]
struct Held {
    of_origin: Shares<RandomState>,
    /// By origin and source.
    of_source: Shares<RandomState>,
    /// By origin and network.
    of_network: Shares<RandomState>,
}

/// The connections to one origin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Connections of the shard that may still be opened, to any origin.
    pub(super) free: usize,
    /// Connections to the origin that are open.
    pub(super) open: usize,
    /// Those that may be opened besides.
    pub(super) more: usize,
}

/// A request under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Occupied {
    occupants: Occupants,
    origin: String,
    source: Option<IpAddr>,
}

impl Default for Occupants {
    fn default() -> Self {
        let shares = || Shares::new(RandomState::new());
        Self(Arc::new(Mutex::new(Held {
            of_origin: shares(),
            of_source: shares(),
            of_network: shares(),
        })))
    }
}

impl Occupants {
    /// A request of an address to an origin begins. `None` if its source occupies more connections
    /// than are left for others: idle ones, and those that may still be opened.
    ///
    /// While the shard can open no connection, nobody is refused here: a connection that is open
    /// may carry the request, or one becomes free.
    pub(super) fn begin(
        &self,
        origin: String,
        source: Option<IpAddr>,
        room: Room,
    ) -> Option<Occupied> {
        let mut held = self.lock();
        let left = room.open.saturating_sub(held.of_origin.get(&origin)) + room.more;
        let is_over = source.is_some_and(|source| {
            let of_source = held.of_source.get((&origin, source_prefix(source)));
            let of_network = held.of_network.get((&origin, network_prefix(source)));
            of_source.min(room.open) > left || of_network.min(room.open) > NETWORK_SHARE * left
        });
        if is_over && room.free > 0 {
            return None;
        }
        held.of_origin.add(&origin, 1);
        if let Some(source) = source {
            held.of_source.add((&origin, source_prefix(source)), 1);
            held.of_network.add((&origin, network_prefix(source)), 1);
        }
        Some(Occupied {
            occupants: self.clone(),
            origin,
            source,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        let mut held = self.occupants.lock();
        held.of_origin.remove(&self.origin, 1);
        if let Some(source) = self.source {
            let (source, network) = (source_prefix(source), network_prefix(source));
            held.of_source.remove((&self.origin, source), 1);
            held.of_network.remove((&self.origin, network), 1);
        }
    }
}

/// Connections to an origin that one network may occupy, for each one that is left for others.
const NETWORK_SHARE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(occupants: &Occupants, address: [u8; 4], open: usize) -> Option<Occupied> {
        let room = Room {
            free: 80 - open,
            open,
            more: 80 - open,
        };
        occupants.begin("slow.example:443".to_owned(), Some(address.into()), room)
    }

    #[test]
    fn one_source_leaves_connections_to_an_origin_for_others() {
        let occupants = Occupants::default();
        // Over HTTP/1.1 each request has a connection.
        let mut held: Vec<_> = (0..80)
            .map_while(|open| begin(&occupants, [10, 0, 0, 1], open))
            .collect();
        assert!((40..=41).contains(&held.len()), "{}", held.len());
        // The other addresses of its network have a part of the rest.
        let hosts = (2..255).zip(held.len()..);
        held.extend(hosts.map_while(|(host, open)| begin(&occupants, [10, 0, 0, host], open)));
        assert!((63..=66).contains(&held.len()), "{}", held.len());
        let networks = (1..12).zip(held.len()..);
        let others =
            networks.map_while(|(network, open)| begin(&occupants, [10, 0, network, 1], open));
        assert_eq!(others.count(), 11);
        // Connections that are idle now are for the next request of anybody.
        drop(held);
        assert!(begin(&occupants, [10, 0, 0, 1], 80).is_some());
        let held = occupants.lock();
        assert!(
            held.of_origin.is_empty() && held.of_source.is_empty() && held.of_network.is_empty()
        );
    }

    #[test]
    fn a_full_shard_leaves_the_decision_to_the_pool() {
        let occupants = Occupants::default();
        let requests: Vec<_> = (0..3)
            .map_while(|_| {
                let room = Room {
                    free: 0,
                    open: 1,
                    more: 0,
                };
                let source = Some([10, 0, 0, 1].into());
                occupants.begin("h2.example:443".to_owned(), source, room)
            })
            .collect();
        assert_eq!(requests.len(), 3);
    }

    #[test]
    fn a_source_has_many_requests_over_few_connections() {
        let occupants = Occupants::default();
        let requests: Vec<_> = (0..1_000)
            .map_while(|_| begin(&occupants, [10, 0, 0, 1], 1))
            .collect();
        assert_eq!(requests.len(), 1_000);
    }
}
