//! The table of open TCP connections of one listener: bounded, and bounded for each source.
//!
//! A full table gives the place of the connection that has been idle for longest to a new one. A
//! connection is idle while no request of it is answered, so a client that opens many connections
//! and sends nothing displaces only its own.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The open connections. Clones share the table.
#[derive(Clone)]
pub(crate) struct Connections(Arc<Mutex<Table>>);

struct Table {
    /// Connections at once.
    max: usize,
    /// Of these, connections of one source.
    max_per_source: usize,
    open: Vec<Arc<State>>,
    /// Counts accepted connections and answered requests: a clock for the age of idle ones.
    ticks: u64,
}

struct State {
    source: IpAddr,
    /// Requests being answered.
    busy: AtomicUsize,
    /// The tick since which the connection is idle.
    idle_since: AtomicU64,
    evicted: CancellationToken,
}

/// What became of a new connection.
pub(crate) enum Admission {
    Accepted(Connection),
    /// Accepted in the place of an idle one.
    Replaced(Connection),
    /// Every connection it could replace is busy.
    Refused,
}

/// A place in the table, freed when it is dropped.
pub(crate) struct Connection {
    table: Connections,
    state: Arc<State>,
}

/// A request under way. Its connection is busy until this is dropped.
pub(crate) struct Busy {
    table: Connections,
    state: Arc<State>,
}

impl Connections {
    /// An empty table for at most `max` connections, at most `max_per_source` of one source.
    pub(crate) fn new(max: usize, max_per_source: usize) -> Self {
        Self(Arc::new(Mutex::new(Table {
            max,
            max_per_source,
            open: Vec::new(),
            ticks: 0,
        })))
    }

    /// Finds a place for a connection from this address.
    pub(crate) fn admit(&self, address: IpAddr) -> Admission {
        let max_per_source = self.table().max_per_source;
        self.admit_up_to(max_per_source, address)
    }

    /// Finds a place for a connection from a proxy, which stands for many handsets and may have all
    /// places.
    pub(crate) fn admit_proxy(&self, address: IpAddr) -> Admission {
        let max = self.table().max;
        self.admit_up_to(max, address)
    }

    fn admit_up_to(&self, max_per_source: usize, address: IpAddr) -> Admission {
        let source = source(address);
        let mut table = self.table();
        let of_source = table.open.iter().filter(|other| other.source == source);
        let replaced = if of_source.count() >= max_per_source {
            table.evict(|other| other.source == source)
        } else if table.open.len() >= table.max {
            table.evict(|_| true)
        } else {
            None
        };
        let is_full = table.open.len() >= table.max
            || table
                .open
                .iter()
                .filter(|other| other.source == source)
                .count()
                >= max_per_source;
        if is_full {
            return Admission::Refused;
        }
        let state = Arc::new(State {
            source,
            busy: AtomicUsize::new(0),
            idle_since: AtomicU64::new(table.tick()),
            evicted: CancellationToken::new(),
        });
        table.open.push(Arc::clone(&state));
        let connection = Connection {
            table: self.clone(),
            state,
        };
        match replaced {
            Some(()) => Admission::Replaced(connection),
            None => Admission::Accepted(connection),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn tick(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }

    /// Evicts the connection that has been idle for longest, of those that `may` be evicted.
    fn evict(&mut self, may: impl Fn(&State) -> bool) -> Option<()> {
        let idle = self
            .open
            .iter()
            .enumerate()
            .filter(|(_, state)| state.busy.load(Ordering::Relaxed) == 0 && may(state));
        let oldest = idle.min_by_key(|(_, state)| state.idle_since.load(Ordering::Relaxed));
        let (index, _) = oldest?;
        self.open.swap_remove(index).evicted.cancel();
        Some(())
    }
}

impl Connection {
    /// Completes when the connection has lost its place and has to be closed.
    pub(crate) async fn evicted(&self) {
        self.state.evicted.cancelled().await;
    }

    /// What marks the connection busy for a request.
    pub(crate) fn marker(&self) -> BusyMarker {
        BusyMarker {
            table: self.table.clone(),
            state: Arc::clone(&self.state),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut table = self.table.table();
        table.open.retain(|other| !Arc::ptr_eq(other, &self.state));
    }
}

/// Marks one connection busy.
#[derive(Clone)]
pub(crate) struct BusyMarker {
    table: Connections,
    state: Arc<State>,
}

impl BusyMarker {
    pub(crate) fn busy(&self) -> Busy {
        self.state.busy.fetch_add(1, Ordering::Relaxed);
        Busy {
            table: self.table.clone(),
            state: Arc::clone(&self.state),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let now = self.table.table().tick();
        self.state.idle_since.store(now, Ordering::Relaxed);
        self.state.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An IPv6 client has a /64 for itself.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_CONNECTIONS: usize = 64;
    const MAX_PER_SOURCE: usize = 32;

    fn table() -> Connections {
        Connections::new(MAX_CONNECTIONS, MAX_PER_SOURCE)
    }

    fn admit(table: &Connections, address: &str) -> Option<Connection> {
        match table.admit(address.parse().unwrap()) {
            Admission::Accepted(connection) | Admission::Replaced(connection) => Some(connection),
            Admission::Refused => None,
        }
    }

    fn is_evicted(connection: &Connection) -> bool {
        connection.state.evicted.is_cancelled()
    }

    #[test]
    fn one_source_displaces_only_its_own_idle_connections() {
        let table = table();
        let other = admit(&table, "192.0.2.9").unwrap();
        let mine: Vec<_> = (0..MAX_PER_SOURCE)
            .map(|_| admit(&table, "192.0.2.1").unwrap())
            .collect();
        let busy = mine[0].marker().busy();
        let _more = admit(&table, "192.0.2.1").unwrap();
        assert!(!is_evicted(&other) && !is_evicted(&mine[0]));
        assert!(is_evicted(&mine[1]));
        // An answered request makes a connection the youngest of the idle ones.
        drop(busy);
        let _again = admit(&table, "192.0.2.1").unwrap();
        assert!(!is_evicted(&mine[0]) && is_evicted(&mine[2]));
    }

    #[test]
    fn a_table_full_of_busy_connections_refuses() {
        let table = table();
        let all: Vec<_> = (0..MAX_CONNECTIONS)
            .map(|place| admit(&table, &format!("192.0.2.{}", place % 4)).unwrap())
            .collect();
        let busy: Vec<_> = all.iter().map(|one| one.marker().busy()).collect();
        assert!(admit(&table, "192.0.2.77").is_none());
        drop(busy);
        assert!(admit(&table, "192.0.2.77").is_some());
        drop(all);
        assert!(table.table().open.is_empty());
    }

    #[test]
    fn a_proxy_may_have_all_places() {
        let table = table();
        let proxy = "192.0.2.1".parse().unwrap();
        let places: Vec<_> = (0..MAX_CONNECTIONS)
            .map(|_| match table.admit_proxy(proxy) {
                Admission::Accepted(place) => place,
                _ => panic!("there is room"),
            })
            .collect();
        assert!(matches!(table.admit_proxy(proxy), Admission::Replaced(_)));
        drop(places);
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let table = table();
        let all: Vec<_> = (0..=MAX_PER_SOURCE)
            .map(|host| admit(&table, &format!("2001:db8::{host:x}")).unwrap())
            .collect();
        assert!(is_evicted(&all[0]));
        assert!(!is_evicted(&all[1]));
    }
}
