//! The server: shards on their threads, and the one thread that looks after them.
//!
//! One shard is one OS thread, one single-threaded runtime, one socket per address, one
//! [`Gateway`], one upstream client, one mailbox. Nothing on the way of a datagram is shared with another
//! shard.

pub mod clock;
mod shard;
mod socket;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::gateway;
use crate::gateway::{Command, Gateway, Stats};
use crate::record::{Recorder, Sinks};
use crate::server::clock::Clock;
use crate::server::shard::{Order, Shard};
pub use crate::server::shard::{Published, ShellStats};
use crate::server::socket::{Socket, bind_group};
use crate::upstream::{Tls, Upstream};
use crate::wdp::Service;

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses for WSP over WTP.
    pub connection_mode: Vec<SocketAddr>,
    /// Addresses for bare WSP.
    pub connectionless: Vec<SocketAddr>,
    /// Shards, one thread each; fixed for the life of the process.
    pub shards: usize,
    /// The core's part.
    pub gateway: Arc<gateway::Config>,
    /// Whom to trust upstream.
    pub tls: Tls,
    /// Where records go.
    pub records: Sinks,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be had.
    #[error("cannot listen on {address}: {source}{}", hint(.source))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's word.
        source: io::Error,
    },
    /// The system refused a thread, a runtime or randomness.
    #[error("cannot start a shard: {0}")]
    System(#[from] io::Error),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            " (another process holds this address; stop it, or choose another port)"
        }
        io::ErrorKind::AddrNotAvailable => {
            " (this host has no such address; 0.0.0.0 means all of them)"
        }
        io::ErrorKind::PermissionDenied => " (ports below 1024 need CAP_NET_BIND_SERVICE)",
        _ => "",
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<(Service, SocketAddr)>,
    shards: Vec<ShardHandle>,
}

#[derive(Debug)]
struct ShardHandle {
    mailbox: mpsc::Sender<Order>,
    published: watch::Receiver<Published>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Binds every address, then starts the shards.
    ///
    /// # Errors
    /// When an address cannot be bound, or the system refuses a thread.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let clock = Clock::start();
        let shards = config.shards.max(1);
        let mut addresses = Vec::new();
        let mut sockets: Vec<Vec<_>> = (0..shards).map(|_| Vec::new()).collect();
        let connection_mode = config
            .connection_mode
            .iter()
            .map(|a| (Service::ConnectionMode, *a));
        let connectionless = config
            .connectionless
            .iter()
            .map(|a| (Service::Connectionless, *a));
        for (service, address) in connection_mode.chain(connectionless) {
            let group = bind_group(address, shards)
                .map_err(|source| StartError::Bind { address, source })?;
            if let Some(first) = group.first() {
                addresses.push((service, first.local_addr()?));
            }
            for (shard, socket) in sockets.iter_mut().zip(group) {
                shard.push((service, socket));
            }
        }
        let shards = sockets
            .into_iter()
            .enumerate()
            .map(|(number, sockets)| {
                let gateway =
                    Gateway::new(Arc::clone(&config.gateway), clock::seed()?, clock.now());
                let upstream = Upstream::new(&config.tls, &config.gateway.routes);
                let recorder = Recorder::new(&config.records);
                spawn(number, gateway, clock, sockets, upstream, recorder)
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { addresses, shards })
    }

    /// Where it listens; port 0 has become a number.
    #[must_use]
    pub fn addresses(&self) -> &[(Service, SocketAddr)] {
        &self.addresses
    }

    /// What each shard showed last.
    #[must_use]
    pub fn published(&self) -> Vec<Published> {
        self.shards
            .iter()
            .map(|shard| *shard.published.borrow())
            .collect()
    }

    /// The way to every shard's counters, for who outlives this handle.
    #[must_use]
    pub fn watch(&self) -> Vec<watch::Receiver<Published>> {
        self.shards
            .iter()
            .map(|shard| shard.published.clone())
            .collect()
    }

    /// Gives every shard's core an order.
    pub async fn command(&self, command: &Command) {
        self.order(Order::Core(command.clone())).await;
    }

    /// Gives every shard new settings and certificates. Requests under way finish as they began, and connections
    /// to origins are made anew. Sockets stay what they are.
    pub async fn reload(&self, gateway: Arc<gateway::Config>, tls: Tls) {
        self.order(Order::Reload(gateway, tls)).await;
    }

    async fn order(&self, order: Order) {
        for shard in &self.shards {
            // A closed mailbox is a shard that has stopped, which needs no orders.
            let _ = shard.mailbox.send(order.clone()).await;
        }
    }

    /// Refuses what is new and waits, at most so long, until nothing is under way. True when it came to that.
    pub async fn drain(&self, timeout: Duration) -> bool {
        self.command(&Command::Drain).await;
        let quiet = async {
            for shard in &self.shards {
                let mut published = shard.published.clone();
                // What was shown before the order says nothing of now.
                published.mark_unchanged();
                while published.changed().await.is_ok() && !published.borrow_and_update().idle {}
            }
        };
        tokio::time::timeout(timeout, quiet).await.is_ok()
    }

    /// Waits until a shard stops that nobody has stopped: it panicked, or cannot use its sockets. What it had
    /// to say is on standard error. Its handsets have nobody to talk to from then on.
    pub async fn lost_a_shard(&self) {
        any_closed(self.watch()).await;
    }

    /// Stops every shard and waits for its thread.
    pub fn stop(self) {
        for shard in self.shards {
            drop(shard.mailbox);
            // A shard that panicked has said so on stderr already.
            let _ = shard.thread.join();
        }
    }
}

/// Waits until nobody is left to show anything on one of the channels.
async fn any_closed(channels: Vec<watch::Receiver<Published>>) {
    let mut open: JoinSet<()> = channels
        .into_iter()
        .map(|mut channel| async move { while channel.changed().await.is_ok() {} })
        .collect();
    open.join_next().await;
}

/// Sums what the shards show.
#[must_use]
pub fn total(published: &[Published]) -> (Stats, ShellStats) {
    let mut stats = Stats::default();
    let mut shell = ShellStats::default();
    for shard in published {
        stats += shard.stats;
        shell += shard.shell;
    }
    (stats, shell)
}

fn spawn(
    number: usize,
    gateway: Gateway,
    clock: Clock,
    sockets: Vec<(Service, std::net::UdpSocket)>,
    upstream: Upstream,
    recorder: Recorder,
) -> io::Result<ShardHandle> {
    let (mailbox, orders) = mpsc::channel(MAILBOX);
    let (shown, published) = watch::channel(Published::default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let thread = std::thread::Builder::new()
        .name(format!("shard-{number}"))
        .spawn(move || {
            runtime.block_on(async move {
                let sockets = sockets
                    .into_iter()
                    .map(|(service, socket)| Socket::new(socket, service))
                    .collect::<io::Result<Vec<_>>>();
                match sockets {
                    Ok(sockets) => {
                        let shard = Shard {
                            gateway,
                            clock,
                            sockets,
                            upstream: Arc::new(upstream),
                            recorder,
                            mailbox: orders,
                            published: shown,
                        };
                        shard.run().await;
                    }
                    Err(error) => tracing::error!(%error, "a shard cannot use its sockets"),
                }
            });
        })?;
    Ok(ShardHandle {
        mailbox,
        published,
        thread,
    })
}

/// Orders that may wait for a shard.
const MAILBOX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_lost_shard_of_many_is_noticed() {
        let (alive, first) = watch::channel(Published::default());
        let (lost, second) = watch::channel(Published::default());
        let noticed = tokio::spawn(any_closed(vec![first, second]));
        alive.send_replace(Published::default());
        tokio::task::yield_now().await;
        assert!(!noticed.is_finished());
        drop(lost);
        noticed.await.unwrap();
    }
}
