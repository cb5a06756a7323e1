//! How many connections to origins may be open, in all and to one origin.
//!
//! Each takes a descriptor and the buffers of TLS. One origin may have [`ORIGIN_SHARE`] times as
//! many as are free, so the last free ones never belong to one origin. A connection beyond that
//! waits for a permit; when all are open, those that no request uses are closed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::CaptureConnection;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::occupants::{Occupants, Room};
use super::stream::ConnectionEnd;

/// The connections of one shard to its origins, open or being opened.
#[derive(Debug)]
pub(super) struct Connections {
    limit: AtomicUsize,
    open: Mutex<Open>,
    waited: AtomicU64,
    requests: Mutex<Requests>,
    skipped_lines: AtomicU64,
    /// The sources of the requests under way.
    pub(super) occupants: Occupants,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_origin: HashMap<Box<str>, usize>,
    /// Each connection, by the number of its permit.
    ends: HashMap<u64, Arc<ConnectionEnd>>,
    next: u64,
    /// Connections that wait for a permit, by origin, the oldest first. A connection waits for at
    /// most `PERMIT_WAIT` after its request was given up, so the limit of requests bounds them.
    waiting: HashMap<Box<str>, BTreeMap<u64, oneshot::Sender<Permit>>>,
    /// When idle ones were last closed to make room.
    emptied: Option<Instant>,
}

/// A connection that waits for its permit, until it is dropped.
#[derive(Debug)]
pub(super) struct Waiter {
    connections: Arc<Connections>,
    origin: Box<str>,
    number: u64,
    granted: oneshot::Receiver<Permit>,
}

/// The requests under way, each with the connection that hyper has chosen for it.
#[derive(Debug, Default)]
struct Requests {
    chosen: HashMap<u64, CaptureConnection>,
    next: u64,
}

/// The right to one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    connections: Arc<Connections>,
    origin: Box<str>,
    number: u64,
    end: Arc<ConnectionEnd>,
}

/// A request under way, until it is dropped: its connection is not idle.
#[derive(Debug)]
pub(super) struct UnderWay<'a> {
    connections: &'a Connections,
    number: u64,
}

impl Connections {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit: AtomicUsize::new(limit),
            open: Mutex::default(),
            waited: AtomicU64::new(0),
            requests: Mutex::default(),
            skipped_lines: AtomicU64::new(0),
            occupants: Occupants::default(),
        }
    }

    /// Takes another limit. Connections that are open stay.
    pub(super) fn set_limit(self: &Arc<Self>, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
        self.grant();
    }

    /// Connections that may be open.
    pub(super) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Connections that are open, and how often one had to wait so far.
    pub(super) fn counts(&self) -> (usize, u64) {
        (self.lock().total, self.waited.load(Ordering::Relaxed))
    }

    /// The connections to an origin: those open, and those it may have besides.
    pub(super) fn room_of(&self, origin: &str) -> Room {
        let open = self.lock();
        let free = self.limit().saturating_sub(open.total);
        let of_origin = open.by_origin.get(origin).copied().unwrap_or_default();
        let room = free.saturating_mul(ORIGIN_SHARE).saturating_sub(of_origin);
        Room {
            free,
            open: of_origin,
            // With each that is opened one less is free.
            more: room / (ORIGIN_SHARE + 1),
        }
    }

    /// Lines of reply heads that could not be read.
    pub(super) fn skipped_lines(&self) -> u64 {
        self.skipped_lines.load(Ordering::Relaxed)
    }

    /// A reply head had so many such lines.
    pub(super) fn count_skipped_lines(&self, lines: u64) {
        self.skipped_lines.fetch_add(lines, Ordering::Relaxed);
    }

    /// Takes the right to one more connection to an origin; if none is free, the right comes as
    /// soon as one is. Idle connections are closed then, to make room.
    pub(super) fn acquire(self: &Arc<Self>, origin: &str, now: Instant) -> Result<Permit, Waiter> {
        let mut open = self.lock();
        if open.has_room(self.limit(), origin) {
            return Ok(self.take(&mut open, origin.into()));
        }
        self.waited.fetch_add(1, Ordering::Relaxed);
        let (grant, granted) = oneshot::channel();
        let number = open.next;
        open.next += 1;
        let queue = open.waiting.entry(origin.into()).or_default();
        queue.insert(number, grant);
        // Only when all are open, not for an origin beyond its share, and once in a while, so that
        // a flood of requests does not cost every request a new connection.
        let is_due = open.emptied.is_none_or(|last| now >= last + EMPTY_EVERY);
        if open.total >= self.limit() && is_due {
            open.emptied = Some(now);
            self.close_idle(&open);
        }
        drop(open);
        Err(Waiter {
            connections: Arc::clone(self),
            origin: origin.into(),
            number,
            granted,
        })
    }

    fn take(self: &Arc<Self>, open: &mut Open, origin: Box<str>) -> Permit {
        open.total += 1;
        *open.by_origin.entry(origin.clone()).or_default() += 1;
        let (number, end) = (open.next, Arc::<ConnectionEnd>::default());
        open.next += 1;
        open.ends.insert(number, Arc::clone(&end));
        Permit {
            connections: Arc::clone(self),
            origin,
            number,
            end,
        }
    }

    /// Gives free connections to those that wait.
    fn grant(self: &Arc<Self>) {
        loop {
            let mut open = self.lock();
            if open.waiting.is_empty() {
                return;
            }
            let Some((origin, grant)) = open.next_waiting(self.limit()) else {
                return;
            };
            let permit = self.take(&mut open, origin);
            drop(open);
            // From a request that has just ended the permit comes back.
            let _ = grant.send(permit);
        }
    }

    /// Closes the connections that no request uses.
    fn close_idle(&self, open: &Open) {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let in_use: HashSet<_> = (requests.chosen.values())
            .filter_map(|chosen| Some(Arc::as_ptr(&end_of(chosen)?)))
            .collect();
        for end in open.ends.values() {
            if end.has_received() && !in_use.contains(&Arc::as_ptr(end)) {
                end.close();
            }
        }
    }

    /// A request begins, for which hyper will choose a connection.
    pub(super) fn begin(&self, chosen: CaptureConnection) -> UnderWay<'_> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let number = requests.next;
        requests.next += 1;
        requests.chosen.insert(number, chosen);
        UnderWay {
            connections: self,
            number,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn has_room(&self, limit: usize, origin: &str) -> bool {
        let free = limit.saturating_sub(self.total);
        let of_origin = self.by_origin.get(origin).copied().unwrap_or_default();
        free > 0 && of_origin < free.saturating_mul(ORIGIN_SHARE)
    }

    /// Takes what has waited longest of all that may have a connection now.
    fn next_waiting(&mut self, limit: usize) -> Option<(Box<str>, oneshot::Sender<Permit>)> {
        if self.total >= limit {
            return None;
        }
        let may = self
            .waiting
            .iter()
            .filter(|(origin, _)| self.has_room(limit, origin));
        let oldest = may.filter_map(|(origin, queue)| Some((*queue.first_key_value()?.0, origin)));
        let (number, origin) = oldest.min()?;
        let origin = origin.clone();
        let grant = self.stop_waiting(&origin, number)?;
        Some((origin, grant))
    }

    fn stop_waiting(&mut self, origin: &str, number: u64) -> Option<oneshot::Sender<Permit>> {
        let queue = self.waiting.get_mut(origin)?;
        let grant = queue.remove(&number);
        if queue.is_empty() {
            self.waiting.remove(origin);
        }
        grant
    }
}

impl Waiter {
    /// Waits for the permit.
    pub(super) async fn permit(&mut self) -> Option<Permit> {
        (&mut self.granted).await.ok()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.connections
            .lock()
            .stop_waiting(&self.origin, self.number);
    }
}

impl Permit {
    /// How the connection ends.
    pub(super) fn end(&self) -> &Arc<ConnectionEnd> {
        &self.end
    }

    /// All connections of its shard.
    pub(super) fn connections(&self) -> &Connections {
        &self.connections
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        open.total -= 1;
        open.ends.remove(&self.number);
        if let Some(count) = open.by_origin.get_mut(&*self.origin) {
            *count -= 1;
            if *count == 0 {
                open.by_origin.remove(&*self.origin);
            }
        }
        drop(open);
        self.connections.grant();
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let requests = &self.connections.requests;
        let mut requests = requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.chosen.remove(&self.number);
    }
}

/// The end of the connection that hyper has chosen for a request, if it has.
fn end_of(chosen: &CaptureConnection) -> Option<Arc<ConnectionEnd>> {
    let mut extras = http::Extensions::new();
    (*chosen.connection_metadata())
        .as_ref()?
        .get_extras(&mut extras);
    extras.remove()
}

/// The name of an origin for its share: one origin has one name, however its URI is written.
pub(super) fn origin_of(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default().trim_end_matches('.');
    let usual = if uri.scheme_str() == Some("http") {
        80
    } else {
        443
    };
    format!(
        "{}:{}",
        host.to_ascii_lowercase(),
        uri.port_u16().unwrap_or(usual)
    )
}

/// Descriptors that connections to origins leave for the admin address, probes, records, logs, the
/// store, RADIUS and the runtime.
pub const RESERVED_DESCRIPTORS: usize = 192;
/// Connections that one origin may have, for each one that is free.
const ORIGIN_SHARE: usize = 4;
/// The shortest time between two closings of idle connections.
const EMPTY_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn acquire(connections: &Arc<Connections>, origin: &str) -> Option<Permit> {
        connections.acquire(origin, Instant::now()).ok()
    }

    #[test]
    fn one_origin_leaves_room_for_others() {
        let connections = Arc::new(Connections::new(100));
        let mut held = Vec::new();
        while let Some(permit) = acquire(&connections, "slow.example:443") {
            held.push(permit);
        }
        assert_eq!(held.len(), 80);
        for other in 0..15 {
            let origin = format!("{other}.example:443");
            held.push(acquire(&connections, &origin).expect("a free one"));
        }
        assert_eq!(connections.counts(), (95, 1));
        held.clear();
        assert_eq!(connections.counts(), (0, 1));
        let open = connections.lock();
        assert!(open.by_origin.is_empty() && open.ends.is_empty());
    }

    #[test]
    fn there_are_no_more_than_the_limit() {
        let connections = Arc::new(Connections::new(3));
        let origins = ["a", "b", "c", "d"];
        let held = origins.map(|origin| acquire(&connections, origin));
        assert_eq!(held.iter().flatten().count(), 3);
        connections.set_limit(4);
        assert!(acquire(&connections, "d").is_some());
    }

    #[test]
    fn the_oldest_that_may_have_a_free_one_gets_it() {
        let connections = Arc::new(Connections::new(2));
        let (first, second) = (acquire(&connections, "a"), acquire(&connections, "b"));
        let wait = |origin| connections.acquire(origin, Instant::now()).unwrap_err();
        let gone = wait("c");
        let mut waiting = [wait("d"), wait("e")];
        drop(gone);
        drop(first);
        let granted = waiting[0]
            .granted
            .try_recv()
            .expect("the first one that still waits");
        assert!(waiting[1].granted.try_recv().is_err());
        assert_eq!(&*granted.origin, "d");
        drop(second);
        let second = waiting[1].granted.try_recv().unwrap();
        assert_eq!(&*second.origin, "e");
        assert!(connections.lock().waiting.is_empty());
        // Given to a request that ends before it has taken it.
        let late = wait("f");
        let mut next = wait("g");
        drop(granted);
        drop(late);
        assert_eq!(&*next.granted.try_recv().unwrap().origin, "g");
    }

    #[test]
    fn an_origin_has_one_name() {
        for (uri, name) in [
            ("https://a.example/x", "a.example:443"),
            ("https://A.example:443/", "a.example:443"),
            ("https://a.example./", "a.example:443"),
            ("http://a.example/", "a.example:80"),
            ("https://[2001:DB8::1]:8443/", "[2001:db8::1]:8443"),
        ] {
            assert_eq!(origin_of(&uri.parse().unwrap()), name);
        }
    }
}
