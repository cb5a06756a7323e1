//! Subscribers on the control thread: gives configured entries and accounting reports to every
//! shard.
//!
//! Datagrams are taken in batches. A report is acknowledged once every shard has applied it. So the
//! handset's next datagram finds its subscriber in every shard, once the access server has the
//! acknowledgement.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, error};

use crate::config::IdentitySettings;
use crate::identity::directory::{self, AddressDirectory};
use crate::identity::server::{self, PORTS, Port, Send, Server};
use crate::identity::session::Moment;
use crate::identity::{Change as AddressChange, Identity, Prefix, Private};
use crate::server::clock::{self, Clock};
use crate::server::shards::Shards;
use crate::store::{Change, StoreHandle, Table};

/// The task that knows the subscribers. Dropped, it stops.
#[derive(Debug)]
pub struct Subscribers {
    addresses: Vec<SocketAddr>,
    settings: mpsc::Sender<(IdentitySettings, oneshot::Sender<()>)>,
    published: watch::Receiver<Known>,
    numbers: Arc<Numbers>,
    task: JoinHandle<()>,
}

/// Which addresses a subscriber has: the directory the other way round, for who pushes to a number.
#[derive(Debug, Default)]
pub struct Numbers(RwLock<ByName>);

#[derive(Debug, Default)]
struct ByName {
    /// By number and by alias, the latest last, at most [`MOST_ADDRESSES`].
    prefixes: HashMap<Box<str>, Vec<Prefix>>,
    /// What is known of a prefix.
    identities: HashMap<Prefix, Arc<Identity>>,
}

impl Numbers {
    fn learn(&self, changes: &[AddressChange]) {
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            let before = match &change.identity {
                Some(identity) => names.identities.insert(change.prefix, Arc::clone(identity)),
                None => names.identities.remove(&change.prefix),
            };
            for name in before.iter().flat_map(|before| names_of(before)) {
                if let Some(known) = names.prefixes.get_mut(name) {
                    known.retain(|prefix| *prefix != change.prefix);
                    if known.is_empty() {
                        names.prefixes.remove(name);
                    }
                }
            }
            // Of a larger network it is not known which address the subscriber has.
            let (address, length) = change.prefix.parts();
            let is_one = length >= if address.is_ipv4() { 32 } else { 64 };
            for name in change
                .identity
                .iter()
                .flat_map(|identity| names_of(identity))
            {
                if is_one {
                    let known = names.prefixes.entry(name.into()).or_default();
                    known.retain(|prefix| *prefix != change.prefix);
                    if known.len() >= MOST_ADDRESSES {
                        known.remove(0);
                    }
                    known.push(change.prefix);
                }
            }
        }
    }

    /// The addresses of the subscriber with this number or alias, the latest first; of IPv6 perhaps
    /// only the network of one.
    #[must_use]
    pub fn prefixes_of(&self, name: &str) -> Vec<Prefix> {
        let names = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let known = names.prefixes.get(name).into_iter().flatten();
        known.rev().copied().collect()
    }

    /// The subscriber with this number or alias.
    #[must_use]
    pub fn identity_of(&self, name: &str) -> Option<Arc<Identity>> {
        let names = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let latest = names.prefixes.get(name)?.last()?;
        names.identities.get(latest).cloned()
    }

    /// The subscriber who has this address, or this network of IPv6.
    #[must_use]
    pub fn identity_at(&self, address: IpAddr) -> Option<Arc<Identity>> {
        let names = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let exact = Some(Prefix::address(address));
        let network = address.is_ipv6().then(|| Prefix::new(address, 64));
        let mut prefixes = [exact, network.flatten()].into_iter().flatten();
        prefixes.find_map(|prefix| names.identities.get(&prefix).cloned())
    }

    /// The number of the subscriber with this alias.
    #[must_use]
    pub fn number_of(&self, alias: &str) -> Option<String> {
        let names = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let latest = names.prefixes.get(alias)?.last()?;
        let identity = names.identities.get(latest)?;
        identity
            .msisdn
            .as_ref()
            .map(|number| number.reveal().to_owned())
    }
}

/// Addresses of one subscriber that pushes know: IPv4, IPv6, and both of a second device.
const MOST_ADDRESSES: usize = 4;

fn names_of(identity: &Identity) -> impl Iterator<Item = &str> {
    let names = [&identity.msisdn, &identity.alias];
    names.into_iter().flatten().map(Private::reveal)
}

/// Figures about subscribers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// Prefixes configured.
    pub configured: u64,
    /// Accounting sessions held.
    pub sessions: u64,
    /// Counters of sessions.
    pub directory: directory::Stats,
    /// Counters of datagrams.
    pub server: server::Stats,
}

impl Subscribers {
    /// Gives the configured subscribers to the shards, then binds the accounting port if one is
    /// configured.
    ///
    /// # Errors
    ///
    /// The address cannot be bound, or the system has no randomness.
    pub async fn start(
        settings: &IdentitySettings,
        shards: Shards,
        store: Option<StoreHandle>,
    ) -> io::Result<Self> {
        let (datagrams, received) = mpsc::channel(BATCH);
        let mut listening = Ports::new(datagrams.clone());
        let mut addresses = Vec::new();
        let listen = settings.radius.iter().flat_map(|radius| &radius.listen);
        for (port, address) in listen.enumerate() {
            addresses.push(
                listening
                    .open(*address, Port::Client(port))
                    .map_err(|error| {
                        let text =
                            format!("[identity.radius]: cannot listen on {address}: {error}");
                        io::Error::new(error.kind(), text)
                    })?,
            );
        }
        let (order, orders) = mpsc::channel(1);
        let (shown, published) = watch::channel(Known::default());
        let numbers = Arc::new(Numbers::default());
        let mut worker = SubscriberTask {
            clock: Clock::start(),
            directory: AddressDirectory::new(settings.limits, clock::seed()?),
            server: Server::new(server::Config::default(), clock::seed()?),
            shards,
            numbers: Arc::clone(&numbers),
            listening,
            homes: Ports::new(datagrams),
            store,
            shown,
        };
        worker.restore();
        worker.configure(settings).await;
        Ok(Self {
            addresses,
            settings: order,
            published,
            numbers,
            task: tokio::spawn(worker.run(received, orders)),
        })
    }

    /// Where accounting is listened to; port 0 has become a number.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Uses these from now on; the addresses stay. Returns once every shard knows.
    pub async fn reload(&self, settings: &IdentitySettings) {
        let (done, obeyed) = oneshot::channel();
        if self.settings.send((settings.clone(), done)).await.is_ok() {
            let _ = obeyed.await;
        }
    }

    /// Ends it, and returns once it is gone with all it held.
    pub async fn stop(mut self) {
        self.task.abort();
        // It ends by being aborted.
        let _ = (&mut self.task).await;
    }

    /// Which address a subscriber has.
    #[must_use]
    pub fn numbers(&self) -> Arc<Numbers> {
        Arc::clone(&self.numbers)
    }

    /// The figures of the last second.
    #[must_use]
    pub fn published(&self) -> watch::Receiver<Known> {
        self.published.clone()
    }
}

impl Drop for Subscribers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A datagram that came.
struct Received {
    way: Port,
    from: SocketAddr,
    octets: Bytes,
}

struct SubscriberTask {
    clock: Clock,
    directory: AddressDirectory,
    server: Server,
    shards: Shards,
    numbers: Arc<Numbers>,
    listening: Ports,
    /// Towards the servers that reports are passed on to.
    homes: Ports,
    /// Where sessions outlive the process.
    store: Option<StoreHandle>,
    shown: watch::Sender<Known>,
}

impl SubscriberTask {
    /// Restores the sessions of earlier processes from the store, and has the store drop those that
    /// are of no use: its queue is still empty.
    fn restore(&mut self) {
        if let Some(store) = &self.store {
            let useless = self.directory.restore(self.dated(), store.entries(TABLE));
            for some in useless.chunks(SAVED_AT_ONCE) {
                let changes = some.iter().map(|key| Change::delete(TABLE, key.clone()));
                store.write(changes.collect());
            }
        }
    }

    /// The clock for reports. Their order must not change when the calendar is set.
    fn at(&self) -> Moment {
        Moment {
            now: self.clock.now(),
            unix: self.clock.unix(),
        }
    }

    /// For the store, which is read by a process that has another start.
    fn dated(&self) -> Moment {
        Moment {
            now: self.clock.now(),
            unix: clock::unix(),
        }
    }

    /// Gives changes to the store. A change that the store refuses, and counts, is given again
    /// later.
    fn save(&mut self) {
        let Some(store) = &self.store else {
            return;
        };
        loop {
            let changed = self.directory.unsaved(self.dated(), SAVED_AT_ONCE);
            let count = changed.len();
            let changes = changed.into_iter().map(|(key, value)| Change {
                table: TABLE,
                key,
                value,
            });
            if count == 0 || !store.write(changes.collect()) {
                return;
            }
            self.directory.saved(count);
        }
    }

    async fn run(
        mut self,
        mut received: mpsc::Receiver<Received>,
        mut orders: mpsc::Receiver<(IdentitySettings, oneshot::Sender<()>)>,
    ) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = received.recv_many(&mut batch, BATCH) => self.apply(&mut batch).await,
                order = orders.recv() => {
                    let Some((settings, done)) = order else {
                        return;
                    };
                    self.configure(&settings).await;
                    // The receiver may have gone.
                    let _ = done.send(());
                }
                _ = second.tick() => {
                    let now = self.clock.now();
                    self.server.handle_timeout(now);
                    self.directory.handle_timeout(now);
                    self.notify_shards().await;
                    self.shown.send_replace(self.known());
                }
            }
        }
    }

    /// Obeys reports, and answers them once every shard has.
    async fn apply(&mut self, batch: &mut Vec<Received>) {
        let at = self.at();
        let directory = &mut self.directory;
        for Received { way, from, octets } in batch.drain(..) {
            match way {
                Port::Client(port) => {
                    self.server
                        .handle_request(at, port, from, &octets, directory);
                }
                Port::Home(port) => self.server.handle_answer(at.now, from, port, &octets),
            }
        }
        self.notify_shards().await;
        while let Some(send) = self.server.poll_send() {
            let ports = match send.way {
                Port::Client(_) => &self.listening,
                Port::Home(_) => &self.homes,
            };
            if let Err(error) = ports.send(&send).await {
                debug!(%error, to = %send.to, "a RADIUS packet could not be sent");
            }
        }
    }

    async fn configure(&mut self, settings: &IdentitySettings) {
        self.directory.set_limits(settings.limits);
        self.directory.configure(&settings.entries);
        let radius = settings.radius.as_ref().map(|radius| radius.server.clone());
        let server = radius.unwrap_or_default();
        if let Err(error) = self.homes.reach(&server) {
            error!(%error, "no port towards the accounting servers that reports are passed on to");
        }
        self.server.set_config(server);
        self.notify_shards().await;
    }

    /// Gives the changes to every shard, and waits until all have applied them.
    async fn notify_shards(&mut self) {
        let changes = self.directory.take_changes();
        self.numbers.learn(&changes);
        for some in changes.chunks(MOST_CHANGES) {
            self.shards.identify(some.into()).await;
        }
        self.save();
    }

    fn known(&self) -> Known {
        Known {
            configured: self.directory.configured() as u64,
            sessions: self.directory.sessions() as u64,
            directory: *self.directory.stats(),
            server: *self.server.stats(),
        }
    }
}

/// Sockets of one kind, each read by a task of its own.
struct Ports {
    sockets: Vec<Arc<UdpSocket>>,
    readers: JoinSet<()>,
    received: mpsc::Sender<Received>,
}

impl Ports {
    fn new(received: mpsc::Sender<Received>) -> Self {
        Self {
            sockets: Vec::new(),
            readers: JoinSet::new(),
            received,
        }
    }

    fn open(&mut self, address: SocketAddr, way: Port) -> io::Result<SocketAddr> {
        let socket = Arc::new(bind(address)?);
        let bound = socket.local_addr()?;
        self.sockets.push(Arc::clone(&socket));
        self.readers.spawn(read(socket, way, self.received.clone()));
        Ok(bound)
    }

    /// Opens ports towards the other servers, if there are any. Open ports stay if they fit,
    /// because responses are on their way to them.
    fn reach(&mut self, server: &server::Config) -> io::Result<()> {
        let wanted = server.homes.first().map(|home| home.address.is_ipv4());
        let open = match self.sockets.first() {
            Some(socket) => Some(socket.local_addr()?.is_ipv4()),
            None => None,
        };
        if open == wanted && self.sockets.len() == wanted.map_or(0, |_| PORTS) {
            return Ok(());
        }
        // Dropped, its tasks stop.
        self.readers = JoinSet::new();
        self.sockets.clear();
        if let Some(home) = server.homes.first() {
            let any = match home.address {
                SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
                SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
            };
            for port in 0..PORTS {
                self.open(any, Port::Home(port))?;
            }
        }
        Ok(())
    }

    async fn send(&self, send: &Send) -> io::Result<()> {
        let (Port::Client(port) | Port::Home(port)) = send.way;
        if let Some(socket) = self.sockets.get(port) {
            socket.send_to(&send.octets, send.to).await?;
        }
        Ok(())
    }
}

/// Passes on datagrams until the receiver is gone. Datagrams that come faster than they are applied
/// wait in the socket. A full socket loses them, and clients repeat.
async fn read(socket: Arc<UdpSocket>, way: Port, received: mpsc::Sender<Received>) {
    let mut buffer = vec![0; LARGEST];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // Another server's port was closed when we last sent to it.
            Err(error) => {
                debug!(%error, "receive failed");
                tokio::task::yield_now().await;
                continue;
            }
        };
        let octets = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
        if received.send(Received { way, from, octets }).await.is_err() {
            return;
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A batch is obeyed while the next comes in; the system may give less.
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// Where the store keeps accounting sessions.
const TABLE: Table = Table("identity");
/// Datagrams obeyed together, and that wait for it.
const BATCH: usize = 256;
/// Changes given to the shards at once, so that a long list does not delay handsets.
const MOST_CHANGES: usize = 1_024;
/// Changes given to the store at once.
const SAVED_AT_ONCE: usize = 256;
/// Octets of a datagram that are read: one more than a packet may have is too many.
const LARGEST: usize = 4_096;
/// Octets that may wait in a socket.
const RECEIVE_BUFFER: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radius::Secret;

    #[test]
    fn a_subscriber_has_a_few_addresses_and_keeps_what_is_left_of_them() {
        let numbers = Numbers::default();
        let learn = |text: &str, is_known: bool| {
            let identity = is_known.then(|| {
                Arc::new(Identity {
                    msisdn: Some(Private::new("4917")),
                    ..Identity::default()
                })
            });
            let prefix = text.parse().unwrap();
            numbers.learn(&[AddressChange { prefix, identity }]);
        };
        let known = || {
            let known = numbers.prefixes_of("4917").into_iter();
            known.map(|it| it.to_string()).collect::<Vec<_>>().join(" ")
        };
        learn("192.0.2.1", true);
        learn("2001:db8:0:1::/64", true);
        learn("192.0.2.0/24", true);
        assert_eq!(known(), "2001:db8:0:1::/64 192.0.2.1/32");
        // The latest address is gone; the other one is still there.
        learn("2001:db8:0:1::/64", false);
        assert_eq!(known(), "192.0.2.1/32");
        assert!(numbers.identity_of("4917").is_some());
        for last in 2..=9 {
            learn(&format!("192.0.2.{last}"), true);
        }
        assert_eq!(
            known(),
            "192.0.2.9/32 192.0.2.8/32 192.0.2.7/32 192.0.2.6/32"
        );
    }

    #[tokio::test]
    async fn a_reload_keeps_the_ports_that_still_serve() {
        let homes = |addresses: &[&str]| server::Config {
            homes: addresses
                .iter()
                .map(|address| server::HomeServer {
                    address: address.parse().unwrap(),
                    secret: Secret::new(*b"home"),
                })
                .collect(),
            ..server::Config::default()
        };
        let (received, _kept) = mpsc::channel(1);
        let mut ports = Ports::new(received);
        let mut reach = |addresses: &[&str]| {
            ports.reach(&homes(addresses)).unwrap();
            assert_eq!(ports.readers.len(), ports.sockets.len());
            let sockets = ports.sockets.iter();
            sockets
                .map(|socket| socket.local_addr().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(reach(&[]), []);
        let first = reach(&["127.0.0.1:1813"]);
        assert_eq!(first.len(), PORTS);
        assert_eq!(reach(&["127.0.0.1:1813", "127.0.0.2:1813"]), first);
        assert!(reach(&["[::1]:1813"]).iter().all(SocketAddr::is_ipv6));
        assert_eq!(reach(&[]), []);
    }
}
