//! TCP ports of handsets: addresses, connections within limits, one thread for each port.

pub(in crate::server) mod arrivals;
pub(crate) mod connections;
mod counters;
pub(in crate::server) mod exchange;
mod service;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::debug;

use self::connections::Admission;
pub(in crate::server) use self::connections::Connection;
pub(crate) use self::counters::Refusal;
pub use self::counters::TcpCounts;
#[cfg(test)]
pub(crate) use self::counters::tests::reasons_are_counted;
pub(in crate::server) use self::service::Service;
pub use self::service::TcpLimits;

/// A protocol over TCP. Clones share limits and counters.
pub(super) trait Protocol: Clone + Send + 'static {
    /// Why it refuses connections and requests.
    type Refusal: Refusal;

    /// What its connections share.
    fn service(&self) -> &Arc<Service<Self::Refusal>>;

    /// Serves one connection to its end. At `stop` a request under way is still answered.
    fn serve(
        &self,
        tcp: TcpStream,
        remote: SocketAddr,
        place: Connection,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send;
}

/// The addresses of one key of `[listen]`, and the protocol that they speak.
pub(super) struct Endpoint<'a, P> {
    pub(super) key: &'static str,
    pub(super) addresses: &'a [SocketAddr],
    pub(super) protocol: P,
}

/// A running port. Dropped, it stops: requests under way have two seconds.
pub struct TcpPort {
    addresses: Vec<(&'static str, SocketAddr)>,
    counts: Arc<dyn Fn() -> TcpCounts + Send + Sync>,
    stop: Option<DropGuard>,
    thread: Option<JoinHandle<()>>,
}

impl TcpPort {
    /// Binds the addresses of the endpoints, which share limits and counters, and serves them on a
    /// thread of its own.
    pub(super) fn start<P: Protocol>(
        name: &str,
        service: &Arc<Service<P::Refusal>>,
        endpoints: Vec<Endpoint<'_, P>>,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut bound = Vec::new();
        let mut names = Vec::new();
        for Endpoint {
            key,
            addresses,
            protocol,
        } in endpoints
        {
            for address in addresses {
                let listener = std::net::TcpListener::bind(address).map_err(|error| {
                    let text = format!("[listen] {key}: cannot listen on {address}: {error}");
                    io::Error::new(error.kind(), text)
                })?;
                listener.set_nonblocking(true)?;
                names.push((key, listener.local_addr()?));
                bound.push((listener, protocol.clone()));
            }
        }
        let service = Arc::clone(service);
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || runtime.block_on(run(bound, stopping)))?;
        Ok(Self {
            addresses: names,
            counts: Arc::new(move || service.counters.read()),
            stop: Some(stop.drop_guard()),
            thread: Some(thread),
        })
    }

    /// The addresses with their keys in `[listen]`; port 0 has become a number.
    #[must_use]
    pub fn addresses(&self) -> &[(&'static str, SocketAddr)] {
        &self.addresses
    }

    /// A reader of the counters.
    #[must_use]
    pub fn counts(&self) -> Arc<dyn Fn() -> TcpCounts + Send + Sync> {
        Arc::clone(&self.counts)
    }
}

impl fmt::Debug for TcpPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TcpPort").field(&self.addresses).finish()
    }
}

impl Drop for TcpPort {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn run<P: Protocol>(bound: Vec<(std::net::TcpListener, P)>, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    let accepting = TaskTracker::new();
    for (listener, protocol) in bound {
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                accepting.spawn(accept(protocol, listener, tasks.clone(), stop.clone()));
            }
            Err(error) => debug!(%error, "a listener cannot be registered"),
        }
    }
    accepting.close();
    accepting.wait().await;
    tasks.close();
    let _ = timeout(STOP_TIME, tasks.wait()).await;
}

async fn accept<P: Protocol>(
    protocol: P,
    listener: TcpListener,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (tcp, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Mostly the process has no descriptor left.
                debug!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let counters = &protocol.service().counters;
        let connections = &protocol.service().connections;
        let admission = match protocol.service().is_trusted_proxy(remote.ip()) {
            true => connections.admit_proxy(remote.ip()),
            false => connections.admit(remote.ip()),
        };
        let place = match admission {
            Admission::Accepted(place) => place,
            Admission::Replaced(place) => {
                counters.refuse(P::Refusal::EVICTED);
                place
            }
            Admission::Refused => {
                counters.refuse(P::Refusal::CONNECTIONS);
                continue;
            }
        };
        let (protocol, stop) = (protocol.clone(), stop.clone());
        tasks.spawn(async move {
            protocol.service().counters.opened();
            protocol.serve(tcp, remote, place, stop).await;
            protocol.service().counters.closed();
        });
        // A request that came with its connection is read before the next connection may take its
        // place.
        tokio::task::yield_now().await;
    }
}

/// Makes the kernel find out, within `idle`, that a handset has vanished: while a reply is written
/// to the handset, and while its origin is slow.
pub(super) fn detect_absence(tcp: &TcpStream, idle: Duration) {
    let socket = SockRef::from(tcp);
    let _ = socket.set_tcp_user_timeout(Some(idle));
    let _ = socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(idle / 4)
            .with_interval(idle / 8)
            .with_retries(3),
    );
    let _ = tcp.set_nodelay(true);
}

/// Time for requests under way when the gateway stops.
const STOP_TIME: Duration = Duration::from_secs(2);
const ACCEPT_RETRY: Duration = Duration::from_millis(200);
