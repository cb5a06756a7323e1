//! The server: shards on their threads, and the control thread.
//!
//! One shard is one OS thread, one single-threaded runtime, one socket per address, one
//! [`Gateway`], one upstream client, one mailbox. Shards share nothing on
//! the path of a datagram.

mod claims;
pub mod clock;
mod control;
mod descriptors;
mod health_checks;
mod http;
mod inherited;
mod measurement;
mod obex;
mod push;
#[cfg(feature = "wtls")]
mod secure;
#[cfg(not(feature = "wtls"))]
#[path = "secure_absent.rs"]
mod secure;
mod shard;
mod shards;
mod shutdown;
mod sms;
mod socket;
mod socket_stats;
mod subscribers;
mod subscription;
mod tap;
pub(crate) mod tcp;
mod transmitter;

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
use crate::server::claims::{ClaimHandle, Claims};
use crate::server::clock::Clock;
pub use crate::server::control::{
    Answer, Control, ControlCommand, ControlError, ControlReceiver, Reloaded, State, UnknownMode,
    control,
};
pub use crate::server::health_checks::HealthChecks;
pub use crate::server::http::{HttpRefusal, start_http};
pub use crate::server::inherited::{InheritError, Inherited};
use crate::server::measurement::ExchangeMeter;
pub use crate::server::measurement::{
    Measurement, MeasurementBatch, MeasurementHandle, ResponseStats, RouteStats,
};
pub use crate::server::obex::{ObexRefusal, start_obex};
pub use crate::server::push::{PushCounts, PushHandle, PushParts, Pushes, push_over_http};
use crate::server::secure::SecureLayer;
pub use crate::server::secure::{Secure, SecureSettings, SecureStats};
pub use crate::server::shard::ShardSnapshot;
use crate::server::shard::{Mailboxes, Shard, ShardParts, Siblings};
use crate::server::shards::ShardHandle;
pub use crate::server::shards::{Shards, routes, targets, total};
pub use crate::server::shutdown::{RemainingSessions, Shutdown};
pub use crate::server::sms::{ShortMessages, SmsBearer};
use crate::server::socket::{Socket, bind_group, discard};
pub use crate::server::socket_stats::SocketStats;
pub use crate::server::subscribers::{Known, Subscribers};
pub use crate::server::subscription::{Subject, TapEvent, TraceSubscription};
pub use crate::server::tcp::{TcpCounts, TcpLimits, TcpPort};
use crate::store::StoreHandle;
use crate::time::Instant;
use crate::upstream::{Hosts, Tls, Upstream};
use crate::wdp::Service;
use crate::wsp::claim::ShardTopology;
use crate::wsp::log_id::LogIds;

/// Settings of a server, read once at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses for WSP over WTP.
    pub connection_mode: Vec<SocketAddr>,
    /// Addresses for bare WSP.
    pub connectionless: Vec<SocketAddr>,
    /// The secure ports.
    pub secure: Secure,
    /// Connections that handsets may have over HTTP and OBEX; 0 without such ports.
    pub http_connections: usize,
    /// Shards, one thread each; fixed for the life of the process. The number of inherited sockets
    /// takes precedence.
    pub shards: usize,
    /// Settings of the core. Limits are for all shards together; each shard gets its share.
    pub gateway: Arc<gateway::Config>,
    /// TLS towards origins.
    pub tls: Tls,
    /// Where access log lines and charging records go.
    pub records: Sinks,
    /// The receiver of measurements, if there is one.
    pub measurements: Option<MeasurementHandle>,
    /// Names of sessions in records, lists and traces.
    pub names: LogIds,
    /// The store of sessions. Without it sessions end with the process.
    pub store: Option<StoreHandle>,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be bound.
    #[error("cannot listen on {address}{}", hint(.source))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's error, which the chain of causes shows.
        source: io::Error,
    },
    /// The inherited sockets do not match the configuration.
    #[error(transparent)]
    Inherited(#[from] InheritError),
    /// The system refused a thread, a runtime or randomness.
    #[error("cannot start a shard")]
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

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<(Service, SocketAddr)>,
    shards: Shards,
    threads: Vec<JoinHandle<()>>,
    /// `None` for one shard without a store.
    claims: Option<Claims>,
    hosts: Hosts,
    stop: DropGuard,
    inherited: bool,
}

impl Server {
    /// Binds every address, starts the shards and makes them read their sockets.
    ///
    /// # Errors
    /// When an address cannot be bound, or the system refuses a thread.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let server = Self::start_on(Inherited::default(), config)?;
        for shard in server.shards.0.iter() {
            // The mailbox is empty, so there is room.
            let _ = shard.mailbox.try_send(shard::ShardCommand::StartReading);
        }
        Ok(server)
    }

    /// Starts the shards on inherited sockets, or on new ones if there are none. No socket is read
    /// before [`Shards::start_reading`].
    ///
    /// # Errors
    /// The inherited sockets are not on the configured addresses or cannot be divided, an address
    /// cannot be bound, or the system refuses a thread.
    pub fn start_on(inherited: Inherited, config: Config) -> Result<Self, StartError> {
        let clock = Clock::start();
        let of = |service| move |address: &SocketAddr| (service, *address);
        let with_sessions = config.connection_mode.iter();
        let without = config.connectionless.iter();
        let secure = &config.secure;
        let wanted: Vec<(Service, SocketAddr)> = with_sessions
            .map(of(Service::ConnectionMode))
            .chain(
                secure
                    .connection_mode
                    .iter()
                    .map(of(Service::SecureConnectionMode)),
            )
            .chain(without.map(of(Service::Connectionless)))
            .chain(
                secure
                    .connectionless
                    .iter()
                    .map(of(Service::SecureConnectionless)),
            )
            .collect();
        let is_inherited = !inherited.is_empty();
        let sockets = match is_inherited {
            true => inherited.distribute(&wanted)?,
            false => bind_all(&wanted, config.shards.max(1))?,
        };
        let mut addresses = Vec::new();
        for (service, socket) in sockets.first().into_iter().flatten() {
            addresses.push((*service, socket.local_addr()?));
        }
        let stop = CancellationToken::new();
        let shards = u32::try_from(sockets.len()).unwrap_or(u32::MAX);
        let count = sockets.len();
        let share = Arc::new(config.gateway.share(sockets.len()));
        let bound: usize = sockets.iter().map(Vec::len).sum();
        let used = bound + descriptors::for_http(config.http_connections);
        let max_connections = (descriptors::for_origins(used) / sockets.len().max(1)).max(1);
        let stored = config.store.is_some();
        let queue = claims::queue();
        let hosts = Hosts::default();
        let mut handles = Vec::new();
        let mut threads = Vec::new();
        let mailboxes = Mailboxes::default();
        let secure_ports: Vec<u16> = addresses
            .iter()
            .filter(|(service, _)| service.is_secured())
            .map(|(_, address)| address.port())
            .collect();
        let topology = ShardTopology {
            shard: 0,
            shards,
            stored,
            id_key: config.names.id_key(),
        };
        for (number, sockets) in sockets.into_iter().enumerate() {
            let topology = ShardTopology {
                shard: u32::try_from(number).unwrap_or(u32::MAX),
                ..topology
            };
            let claims = ClaimHandle::new(topology.shard, queue.0.clone());
            let gateway = Gateway::new(Arc::clone(&share), clock::seed()?, clock.now());
            let epoch = clock
                .unix()
                .saturating_sub(clock.now().as_micros() / 1_000_000);
            let gateway = gateway
                .at(topology)
                .with_epoch(epoch)
                .with_secure_ports(secure_ports.clone());
            let secure = SecureLayer::new(&config.secure, count, epoch)?;
            let siblings = Siblings::new(number, &mailboxes);
            let upstream = Upstream::sharing(
                &config.tls,
                &config.gateway.routes,
                share.limits.max_connections.min(max_connections),
                &hosts,
            );
            // Datagrams may have gone to the first socket of a group before the others were bound.
            let discarded = match is_inherited {
                true => 0,
                false => discard(&sockets)?,
            };
            let meter = ExchangeMeter::new(&config.gateway.routes, config.measurements.clone());
            let recorder = Recorder::new(&config.records, config.names, number);
            let stop = stop.clone();
            let begin = move |sockets, mailbox, published| ShardParts {
                gateway,
                clock,
                sockets,
                secure,
                siblings,
                upstream: Arc::new(upstream),
                recorder,
                meter,
                mailbox,
                discarded,
                claims,
                stop,
                published,
                max_connections,
            };
            let (handle, thread) = spawn(number, sockets, begin)?;
            handles.push(handle);
            threads.push(thread);
        }
        // Set once.
        let _ = mailboxes.set(
            handles
                .iter()
                .map(|handle| handle.mailbox.downgrade())
                .collect(),
        );
        let claims = if shards > 1 || stored {
            let mailboxes = handles
                .iter()
                .map(|handle| handle.mailbox.clone())
                .collect();
            let max_elsewhere = config.gateway.wsp.max_sessions;
            Some(Claims::start(
                mailboxes,
                queue,
                topology,
                max_elsewhere,
                config.store,
            )?)
        } else {
            None
        };
        Ok(Self {
            addresses,
            shards: Shards::new(handles, config.names).with_secure_ports(secure_ports),
            threads,
            claims,
            hosts,
            stop: stop.drop_guard(),
            inherited: is_inherited,
        })
    }

    /// The addresses bound; port 0 is replaced by the port that the system chose.
    #[must_use]
    pub fn addresses(&self) -> &[(Service, SocketAddr)] {
        &self.addresses
    }

    /// Whether a service manager holds the sockets and passes them to the next process.
    #[must_use]
    pub const fn sockets_outlive_us(&self) -> bool {
        self.inherited
    }

    /// Its shards.
    #[must_use]
    pub const fn shards(&self) -> &Shards {
        &self.shards
    }

    /// The hosts of its routes, as all shards see them.
    #[must_use]
    pub const fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// The counters of the session directory, if there is one.
    #[must_use]
    pub fn directory(&self) -> Option<watch::Receiver<directory::Stats>> {
        self.claims.as_ref().map(Claims::stats)
    }

    /// Stops every shard at once and waits for the threads, at most `STOP_TIMEOUT`. The store has
    /// every session record of the threads that ended.
    pub fn stop(self) {
        drop(self.stop);
        let clock = Clock::start();
        let until = clock.now() + STOP_TIMEOUT;
        for thread in self.threads {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if !join(thread, clock, until) {
                error!("the thread {name} does not end");
            }
        }
        // The directory handles the last messages of the shards.
        drop(self.claims);
    }
}

/// Waits for the end of a thread until a moment. False if it still runs.
fn join(thread: JoinHandle<()>, clock: Clock, until: Instant) -> bool {
    while !thread.is_finished() {
        if clock.now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    // A panic has been reported on standard error already.
    let _ = thread.join();
    true
}

/// Binds one socket per address for each shard.
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

/// Starts the thread and the runtime of a shard. `begin` makes its parts of sockets, mailbox and
/// the sender of its snapshots.
fn spawn(
    number: usize,
    sockets: Vec<(Service, UdpSocket)>,
    begin: impl FnOnce(
        Vec<Socket>,
        mpsc::Receiver<shard::ShardCommand>,
        watch::Sender<ShardSnapshot>,
    ) -> ShardParts
    + Send
    + 'static,
) -> io::Result<(ShardHandle, JoinHandle<()>)> {
    let (mailbox, commands) = mpsc::channel(MAILBOX);
    let (shown, published) = watch::channel(ShardSnapshot::default());
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
                    Ok(sockets) => Shard::new(begin(sockets, commands, shown)).run().await,
                    Err(error) => error!(%error, "a shard cannot use its sockets"),
                }
            });
        })?;
    Ok((ShardHandle { mailbox, published }, thread))
}

/// Commands that may wait for a shard, the answers to its claims included.
const MAILBOX: usize = 1_024;
/// How long [`Server::stop`] waits. A turn of a shard takes microseconds.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_hangs_does_not_delay_the_stop() {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let hanging = std::thread::spawn(move || {
            let _ = stopped.recv();
        });
        let clock = Clock::start();
        let until = clock.now() + Duration::from_millis(5);
        assert!(!join(hanging, clock, until));
        drop(stop);
        let panicking = std::thread::spawn(|| panic!("on purpose"));
        assert!(join(panicking, clock, clock.now() + STOP_TIMEOUT));
    }
}
