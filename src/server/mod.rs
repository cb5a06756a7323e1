//! The server: shards on their threads, and the one thread that looks after them.
//!
//! One shard is one OS thread, one single-threaded runtime, one socket per address, one
//! [`Gateway`], one upstream client, one mailbox. Nothing on the way of a datagram is shared with another
//! shard.

mod ask;
mod claims;
pub mod clock;
mod control;
mod counts;
mod departure;
mod inherited;
mod measure;
mod outbox;
mod shard;
mod shards;
mod socket;
mod subscribers;
mod tap;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::error;

use crate::gateway;
use crate::gateway::{Gateway, directory};
use crate::record::{Recorder, Sinks};
pub use crate::server::ask::{Findings, Question};
use crate::server::claims::Outlet;
use crate::server::clock::Clock;
pub use crate::server::control::{
    Answer, Control, Disobeyed, Obedience, Order, Reloaded, State, UnknownMode, control,
};
pub use crate::server::counts::ShellStats;
pub use crate::server::departure::{Departure, Remaining};
pub use crate::server::inherited::{InheritError, Inherited};
pub use crate::server::measure::{Histogram, Measures, PerRoute, Unit};
pub use crate::server::shard::Published;
use crate::server::shard::Shard;
use crate::server::shards::Way;
pub use crate::server::shards::{Shards, measured, targets, total};
use crate::server::socket::{Socket, bind_group, discard};
pub use crate::server::subscribers::{Known, Subscribers};
pub use crate::server::tap::{Caught, Subject, Watch};
use crate::store::Writer;
use crate::time::Instant;
use crate::upstream::{Tls, Upstream};
use crate::wdp::Service;
use crate::wsp::claim::Place;
use crate::wsp::pseudonym::Pseudonyms;

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses for WSP over WTP.
    pub connection_mode: Vec<SocketAddr>,
    /// Addresses for bare WSP.
    pub connectionless: Vec<SocketAddr>,
    /// Shards, one thread each; fixed for the life of the process. Inherited sockets decide it by their number.
    pub shards: usize,
    /// The core's part. Limits are for all shards together, of which each gets its share.
    pub gateway: Arc<gateway::Config>,
    /// Whom to trust upstream.
    pub tls: Tls,
    /// Where records go.
    pub records: Sinks,
    /// What sessions are called in records, lists and traces.
    pub names: Pseudonyms,
    /// What remembers sessions. Without it they end with the process.
    pub store: Option<Writer>,
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
    /// The sockets that were given to us are not those we need.
    #[error(transparent)]
    Inherited(#[from] InheritError),
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

/// A running server. Dropped, it stops.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<(Service, SocketAddr)>,
    shards: Shards,
    threads: Vec<JoinHandle<()>>,
    claims: Option<Claims>,
    stop: DropGuard,
    inherited: bool,
}

/// The thread that settles claims, and what it counts. One shard without a store has none.
type Claims = (watch::Receiver<directory::Stats>, JoinHandle<()>);

impl Server {
    /// Binds every address, starts the shards and has them read their sockets.
    ///
    /// # Errors
    /// When an address cannot be bound, or the system refuses a thread.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let server = Self::start_on(Inherited::default(), config)?;
        for way in server.shards.0.iter() {
            // Nobody else has told it anything yet, so there is room.
            let _ = way.mailbox.try_send(shard::Order::Hear);
        }
        Ok(server)
    }

    /// Starts the shards on these sockets; without any, on new ones. None is read before [`Shards::hear`].
    ///
    /// # Errors
    /// When the sockets are not on the configured addresses or cannot be shared out, when an address cannot be
    /// bound, or the system refuses a thread.
    pub fn start_on(inherited: Inherited, config: Config) -> Result<Self, StartError> {
        let clock = Clock::start();
        let of = |service| move |address: &SocketAddr| (service, *address);
        let with_sessions = config.connection_mode.iter();
        let without = config.connectionless.iter();
        let wanted: Vec<(Service, SocketAddr)> = with_sessions
            .map(of(Service::ConnectionMode))
            .chain(without.map(of(Service::Connectionless)))
            .collect();
        let is_inherited = !inherited.is_empty();
        let sockets = match is_inherited {
            true => inherited.deal(&wanted)?,
            false => bind_all(&wanted, config.shards.max(1))?,
        };
        let mut addresses = Vec::new();
        for (service, socket) in sockets.first().into_iter().flatten() {
            addresses.push((*service, socket.local_addr()?));
        }
        let stop = CancellationToken::new();
        let shards = u32::try_from(sockets.len()).unwrap_or(u32::MAX);
        let share = Arc::new(config.gateway.share(sockets.len()));
        let stored = config.store.is_some();
        let (queue, told) = claims::queue();
        let mut ways = Vec::new();
        let mut threads = Vec::new();
        for (number, sockets) in sockets.into_iter().enumerate() {
            let place = Place {
                shard: u32::try_from(number).unwrap_or(u32::MAX),
                shards,
                stored,
            };
            let outlet = Outlet::new(place.shard, queue.clone());
            let gateway = Gateway::new(Arc::clone(&share), clock::seed()?, clock.now());
            let gateway = gateway.at(place);
            let upstream = Upstream::new(&config.tls, &config.gateway.routes);
            // Sockets that were there before us lost nothing to a group that grew.
            let discarded = match is_inherited {
                true => 0,
                false => discard(&sockets)?,
            };
            let recorder = Recorder::new(&config.records, config.names, number);
            let stop = stop.clone();
            let begin = move |sockets, mailbox, published| Shard {
                gateway,
                clock,
                sockets,
                upstream: Arc::new(upstream),
                recorder,
                mailbox,
                discarded,
                outlet,
                stop,
                published,
            };
            let (way, thread) = spawn(number, sockets, begin)?;
            ways.push(way);
            threads.push(thread);
        }
        drop(queue);
        let claims = if shards > 1 || stored {
            let mailboxes = ways.iter().map(|way| way.mailbox.clone()).collect();
            let max_elsewhere = config.gateway.wsp.max_sessions;
            Some(claims::start(mailboxes, told, max_elsewhere, config.store)?)
        } else {
            None
        };
        Ok(Self {
            addresses,
            shards: Shards::new(ways, config.names),
            threads,
            claims,
            stop: stop.drop_guard(),
            inherited: is_inherited,
        })
    }

    /// Where it listens; port 0 has become a number.
    #[must_use]
    pub fn addresses(&self) -> &[(Service, SocketAddr)] {
        &self.addresses
    }

    /// Whether somebody else holds the sockets too, and gives them to the next process.
    #[must_use]
    pub const fn sockets_outlive_us(&self) -> bool {
        self.inherited
    }

    /// The way to its shards.
    #[must_use]
    pub const fn shards(&self) -> &Shards {
        &self.shards
    }

    /// What the directory of sessions counts, if there is one.
    #[must_use]
    pub fn directory(&self) -> Option<watch::Receiver<directory::Stats>> {
        self.claims.as_ref().map(|(stats, _)| stats.clone())
    }

    /// Stops every shard at once and waits for its thread; one that hangs is left behind after some seconds. What
    /// the others had to say of sessions is with the store then.
    pub fn stop(self) {
        drop(self.stop);
        let claims = self.claims.map(|(_, thread)| thread);
        let clock = Clock::start();
        let until = clock.now() + LONGEST_GOODBYE;
        for thread in self.threads.into_iter().chain(claims) {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if !join(thread, clock, until) {
                error!("{name} hangs, and is left behind");
            }
        }
    }
}

/// Waits for the end of a thread until this moment. False if it goes on.
fn join(thread: JoinHandle<()>, clock: Clock, until: Instant) -> bool {
    while !thread.is_finished() {
        if clock.now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    // A shard that panicked has said so on stderr already.
    let _ = thread.join();
    true
}

/// For each shard one socket per address.
fn bind_all(
    wanted: &[(Service, SocketAddr)],
    shards: usize,
) -> Result<Vec<Vec<(Service, UdpSocket)>>, StartError> {
    let mut sockets: Vec<Vec<_>> = (0..shards).map(|_| Vec::new()).collect();
    for &(service, address) in wanted {
        let group =
            bind_group(address, shards).map_err(|source| StartError::Bind { address, source })?;
        for (shard, socket) in sockets.iter_mut().zip(group) {
            shard.push((service, socket));
        }
    }
    Ok(sockets)
}

/// A thread, a runtime and the shard that `begin` makes of its sockets, its mailbox and the place where it shows
/// itself.
fn spawn(
    number: usize,
    sockets: Vec<(Service, UdpSocket)>,
    begin: impl FnOnce(Vec<Socket>, mpsc::Receiver<shard::Order>, watch::Sender<Published>) -> Shard
    + Send
    + 'static,
) -> io::Result<(Way, JoinHandle<()>)> {
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
                    Ok(sockets) => begin(sockets, orders, shown).run().await,
                    Err(error) => error!(%error, "a shard cannot use its sockets"),
                }
            });
        })?;
    Ok((Way { mailbox, published }, thread))
}

/// Orders that may wait for a shard, answers to its claims among them.
const MAILBOX: usize = 1_024;
/// A turn of a shard takes microseconds.
const LONGEST_GOODBYE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_hangs_is_not_waited_for() {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let hanging = std::thread::spawn(move || {
            let _ = stopped.recv();
        });
        let clock = Clock::start();
        let until = clock.now() + Duration::from_millis(5);
        assert!(!join(hanging, clock, until));
        drop(stop);
        let panicking = std::thread::spawn(|| panic!("on purpose"));
        assert!(join(panicking, clock, clock.now() + LONGEST_GOODBYE));
    }
}
