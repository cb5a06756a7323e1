//! Who has which address, kept on the control thread: configured subscribers and what accounting reports are told
//! to every shard.
//!
//! Datagrams are taken in batches. A report is answered once every shard has obeyed it, so that a handset whose
//! access server has its answer is known wherever its next datagram goes.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, error};

use crate::config::IdentitySettings;
use crate::identity::directory::{self, At, Directory};
use crate::identity::server::{self, PORTS, Send, Server, Way};
use crate::server::clock::{self, Clock};
use crate::server::shards::Shards;
use crate::store::{Change, Table, Writer};

/// The task that knows the subscribers. Dropped, it stops.
#[derive(Debug)]
pub struct Subscribers {
    addresses: Vec<SocketAddr>,
    settings: mpsc::Sender<(IdentitySettings, oneshot::Sender<()>)>,
    published: watch::Receiver<Known>,
    task: JoinHandle<()>,
}

/// What is known, and how it came to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// Prefixes configured.
    pub configured: u64,
    /// Accounting sessions held.
    pub sessions: u64,
    /// What became of sessions.
    pub directory: directory::Stats,
    /// What became of datagrams.
    pub server: server::Stats,
}

impl Subscribers {
    /// Tells the shards who is configured, then listens to accounting if that is wanted.
    ///
    /// # Errors
    ///
    /// An address that cannot be bound, or no randomness.
    pub async fn start(
        settings: &IdentitySettings,
        shards: Shards,
        store: Option<Writer>,
    ) -> io::Result<Self> {
        let (datagrams, heard) = mpsc::channel(BATCH);
        let mut listening = Ports::new(datagrams.clone());
        let mut addresses = Vec::new();
        let listen = settings.radius.iter().flat_map(|radius| &radius.listen);
        for (port, address) in listen.enumerate() {
            addresses.push(
                listening
                    .open(*address, Way::Client(port))
                    .map_err(|error| {
                        let text =
                            format!("[identity.radius]: cannot listen on {address}: {error}");
                        io::Error::new(error.kind(), text)
                    })?,
            );
        }
        let (order, orders) = mpsc::channel(1);
        let (shown, published) = watch::channel(Known::default());
        let mut keeper = Keeper {
            clock: Clock::start(),
            directory: Directory::new(settings.limits, clock::seed()?),
            server: Server::new(server::Config::default(), clock::seed()?),
            shards,
            listening,
            homes: Ports::new(datagrams),
            store,
            shown,
        };
        keeper.restore();
        keeper.configure(settings).await;
        Ok(Self {
            addresses,
            settings: order,
            published,
            task: tokio::spawn(keeper.run(heard, orders)),
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

    /// What is known, as of the last second.
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
struct Heard {
    way: Way,
    from: SocketAddr,
    octets: Bytes,
}

struct Keeper {
    clock: Clock,
    directory: Directory,
    server: Server,
    shards: Shards,
    listening: Ports,
    /// Towards the servers that reports are passed on to.
    homes: Ports,
    /// Where sessions outlive the process.
    store: Option<Writer>,
    shown: watch::Sender<Known>,
}

impl Keeper {
    /// Takes in the sessions that were there before the process started, and has the store forget those that are of
    /// no use: its queue is empty yet.
    fn restore(&mut self) {
        if let Some(store) = &self.store {
            let useless = self.directory.restore(self.dated(), store.entries(TABLE));
            for some in useless.chunks(SAVED_AT_ONCE) {
                let changes = some.iter().map(|key| Change::delete(TABLE, key.clone()));
                store.write(changes.collect());
            }
        }
    }

    /// For reports, whose order is not to change with a calendar that is set.
    fn at(&self) -> At {
        At {
            now: self.clock.now(),
            unix: self.clock.unix(),
        }
    }

    /// For the store, which is read by a process that has another start.
    fn dated(&self) -> At {
        At {
            now: self.clock.now(),
            unix: clock::unix(),
        }
    }

    /// Has the store keep what has changed. What it does not take, which it counts, it is told again.
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
        mut heard: mpsc::Receiver<Heard>,
        mut orders: mpsc::Receiver<(IdentitySettings, oneshot::Sender<()>)>,
    ) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = heard.recv_many(&mut batch, BATCH) => self.obey(&mut batch).await,
                order = orders.recv() => {
                    let Some((settings, done)) = order else {
                        return;
                    };
                    self.configure(&settings).await;
                    // Whoever gave the order may have gone.
                    let _ = done.send(());
                }
                _ = second.tick() => {
                    let now = self.clock.now();
                    self.server.handle_timeout(now);
                    self.directory.handle_timeout(now);
                    self.tell().await;
                    self.shown.send_replace(self.known());
                }
            }
        }
    }

    /// Obeys reports, and answers them once every shard has.
    async fn obey(&mut self, batch: &mut Vec<Heard>) {
        let at = self.at();
        let directory = &mut self.directory;
        for Heard { way, from, octets } in batch.drain(..) {
            match way {
                Way::Client(port) => {
                    self.server
                        .handle_request(at, port, from, &octets, directory);
                }
                Way::Home(port) => self.server.handle_answer(at.now, from, port, &octets),
            }
        }
        self.tell().await;
        while let Some(send) = self.server.poll_send() {
            let ports = match send.way {
                Way::Client(_) => &self.listening,
                Way::Home(_) => &self.homes,
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
        self.tell().await;
    }

    /// Tells every shard what has changed, and waits until they know.
    async fn tell(&mut self) {
        let changes = self.directory.take_changes();
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
    heard: mpsc::Sender<Heard>,
}

impl Ports {
    fn new(heard: mpsc::Sender<Heard>) -> Self {
        Self {
            sockets: Vec::new(),
            readers: JoinSet::new(),
            heard,
        }
    }

    fn open(&mut self, address: SocketAddr, way: Way) -> io::Result<SocketAddr> {
        let socket = Arc::new(bind(address)?);
        let bound = socket.local_addr()?;
        self.sockets.push(Arc::clone(&socket));
        self.readers.spawn(read(socket, way, self.heard.clone()));
        Ok(bound)
    }

    /// Has ports towards the other servers, if there are any. Those there are stay if they serve: answers are on
    /// their way to them.
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
                self.open(any, Way::Home(port))?;
            }
        }
        Ok(())
    }

    async fn send(&self, send: &Send) -> io::Result<()> {
        let (Way::Client(port) | Way::Home(port)) = send.way;
        if let Some(socket) = self.sockets.get(port) {
            socket.send_to(&send.octets, send.to).await?;
        }
        Ok(())
    }
}

/// Passes on what comes until nobody takes it any more. What comes faster than it is obeyed waits in the socket,
/// and is lost when that is full: clients repeat it.
async fn read(socket: Arc<UdpSocket>, way: Way, heard: mpsc::Sender<Heard>) {
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
        if heard.send(Heard { way, from, octets }).await.is_err() {
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
/// Changes told to the shards at once: a long list does not keep them from their handsets.
const MOST_CHANGES: usize = 1_024;
/// Changes the store is told at once.
const SAVED_AT_ONCE: usize = 256;
/// Octets of a datagram that are read: one more than a packet may have is too many.
const LARGEST: usize = 4_096;
/// Octets that may wait in a socket.
const RECEIVE_BUFFER: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radius::Secret;

    #[tokio::test]
    async fn a_reload_keeps_the_ports_that_still_serve() {
        let homes = |addresses: &[&str]| server::Config {
            homes: addresses
                .iter()
                .map(|address| server::Home {
                    address: address.parse().unwrap(),
                    secret: Secret::new(*b"home"),
                })
                .collect(),
            ..server::Config::default()
        };
        let (heard, _kept) = mpsc::channel(1);
        let mut ports = Ports::new(heard);
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
