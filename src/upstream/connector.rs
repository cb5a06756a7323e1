//! Connections to origins: name, address check, proxy, TCP and TLS, each failure with a class of
//! its own.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use rustls::client::ClientConfig;
use rustls::pki_types::InvalidDnsNameError;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use super::connections::{Connections, Permit, origin_of};
use super::guard::{Forbidden, Guard, GuardedResolver};
use super::stream::{Monitored, Socket};
use super::tls_error::describe;
use crate::gateway::fetch::{Failure, FetchError};

/// Connects to origins for one of hyper's pools: a permit, TCP, then TLS for `https`.
#[derive(Clone)]
pub(super) struct Connector {
    reach: Reach,
    tls: Arc<ClientConfig>,
}

/// How hosts are reached over TCP.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    /// The addresses that hosts may have, if handsets choose the host.
    pub(super) guard: Option<Guard>,
    /// The HTTP proxy in front of the hosts.
    pub(super) proxy: Option<Uri>,
    /// For name, TCP and TLS together.
    pub(super) timeout: Duration,
    /// How many connections there may be.
    pub(super) connections: Arc<Connections>,
}

/// Makes one connection over TCP, through the route's proxy if it has one.
struct TcpConnector {
    reach: Reach,
    permit: Option<Permit>,
}

/// The versions of HTTP that are offered in the TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Versions {
    /// HTTP/2 and HTTP/1.1.
    All,
    /// HTTP/1.1 only, for a request that its origin refused over HTTP/2.
    Http1,
}

impl Connector {
    pub(super) fn new(reach: Reach, mut tls: ClientConfig, versions: Versions) -> Self {
        if versions == Versions::All {
            tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        Self {
            reach,
            tls: Arc::new(tls),
        }
    }
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Service<Uri> for Connector {
    type Response = TokioIo<Monitored>;
    type Error = FetchError;
    type Future = BoxFuture<Result<TokioIo<Monitored>, FetchError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), FetchError>> {
        Poll::Ready(Ok(())) // as HttpConnector always is
    }

    fn call(&mut self, origin: Uri) -> Self::Future {
        let (reach, tls) = (self.reach.clone(), Arc::clone(&self.tls));
        Box::pin(async move {
            // Before the name is resolved, which takes a descriptor too.
            let permit = Some(reach.permit(&origin).await?);
            let timeout = reach.timeout;
            let mut https = HttpsConnector::from((TcpConnector { reach, permit }, tls));
            let connected = https.call(origin.clone());
            // The TCP connector's own deadline lies before this one, so what is late here is the
            // handshake.
            let deadline = Instant::now() + timeout;
            match timeout_at(deadline, connected).await {
                Ok(Ok(stream)) => Ok(TokioIo::new(Monitored::new(stream))),
                Ok(Err(error)) => Err(tls_failed(&origin, error.as_ref())),
                Err(_) => {
                    let cause = format!("TCP connected, but no TLS handshake within {timeout:?}");
                    Err(failed(Failure::Timeout, &origin, &cause))
                }
            }
        })
    }
}

impl Service<Uri> for TcpConnector {
    type Response = TokioIo<Socket>;
    type Error = FetchError;
    type Future = BoxFuture<Result<TokioIo<Socket>, FetchError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), FetchError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, origin: Uri) -> Self::Future {
        let Some(permit) = self.permit.take() else {
            let error = no_connection(&origin);
            return Box::pin(async move { Err(error) });
        };
        let reach = self.reach.clone();
        Box::pin(async move {
            let tcp = reach.tcp(&origin).await?;
            Ok(TokioIo::new(Socket::new(tcp, permit)))
        })
    }
}

impl Reach {
    /// The right to a connection, for which it waits. The wait is short: a request whose time is
    /// not over asks again, and no other wants the connection for longer.
    pub(super) async fn permit(&self, origin: &Uri) -> Result<Permit, FetchError> {
        let now = Instant::now();
        match self.connections.acquire(&origin_of(origin), now) {
            Ok(permit) => Ok(permit),
            Err(mut waiter) => match timeout_at(now + PERMIT_WAIT, waiter.permit()).await {
                Ok(Some(permit)) => Ok(permit),
                _ => Err(no_connection(origin)),
            },
        }
    }

    /// Connects over TCP, within the timeout.
    pub(super) async fn tcp(&self, origin: &Uri) -> Result<TcpStream, FetchError> {
        let timeout = self.timeout;
        match timeout_at(Instant::now() + timeout, self.connect(origin)).await {
            Ok(connected) => Ok(connected?.into_inner()),
            Err(_) => {
                let cause = format!("no connection within {timeout:?}");
                Err(failed(Failure::Connect, origin, &cause))
            }
        }
    }

    fn connect(&self, origin: &Uri) -> BoxFuture<Result<TokioIo<TcpStream>, FetchError>> {
        let origin = origin.clone();
        if let Some(proxy) = &self.proxy {
            let tcp = tuned(HttpConnector::new(), self.timeout);
            let tunnel = Tunnel::new(proxy.clone(), tcp).call(origin.clone());
            let proxy = proxy.clone();
            return Box::pin(async move {
                tunnel.await.map_err(|error| {
                    let cause = format!("through the proxy {proxy}: {}", root_cause(&error));
                    failed(Failure::Connect, &origin, &cause)
                })
            });
        }
        let Some(guard) = &self.guard else {
            let tcp = tuned(HttpConnector::new(), self.timeout).call(origin.clone());
            return Box::pin(async move { tcp.await.map_err(|error| tcp_failed(&origin, &error)) });
        };
        // An address in the URI is not resolved, so the resolver would not see it.
        let host = origin.host().unwrap_or_default();
        if let Ok(address) = host.trim_matches(['[', ']']).parse()
            && let Err(error) = guard.check(address)
        {
            return Box::pin(async move { Err(tcp_failed(&origin, &error)) });
        }
        let resolver = GuardedResolver(guard.clone());
        let mut tcp = tuned(HttpConnector::new_with_resolver(resolver), self.timeout);
        let tcp = tcp.call(origin.clone());
        Box::pin(async move { tcp.await.map_err(|error| tcp_failed(&origin, &error)) })
    }
}

fn no_connection(origin: &Uri) -> FetchError {
    let cause = "as many connections to origins are open as there may be";
    failed(Failure::NoConnection, origin, cause)
}

fn tuned<R>(mut tcp: HttpConnector<R>, timeout: Duration) -> HttpConnector<R> {
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(TCP_KEEPALIVE));
    // Several addresses share this; the timeout around the whole still holds.
    tcp.set_connect_timeout(Some(timeout));
    tcp
}

fn tcp_failed(origin: &Uri, error: &(dyn Error + 'static)) -> FetchError {
    // hyper-util tells its steps apart by these words only; a test holds it to them.
    let forbidden = root_cause(error).is::<Forbidden>();
    let failure = if error.to_string() == "dns error" && !forbidden {
        Failure::Resolve
    } else {
        Failure::Connect
    };
    failed(failure, origin, &root_cause(error).to_string())
}

/// The class of what hyper-rustls reports. An error of the TCP connector passes through it
/// unchanged.
fn tls_failed(origin: &Uri, error: &(dyn Error + Send + Sync + 'static)) -> FetchError {
    if let Some(error) = error.downcast_ref::<FetchError>() {
        return error.clone();
    }
    if error.is::<InvalidDnsNameError>() {
        return failed(Failure::Resolve, origin, "it is not a valid host name");
    }
    if let Some(error) = tls_error(error) {
        return failed(Failure::Tls, origin, &describe(error));
    }
    let root = root_cause(error);
    let kind = root.downcast_ref::<io::Error>().map(io::Error::kind);
    let cause = match kind {
        Some(io::ErrorKind::UnexpectedEof) => {
            "it closed the connection during the TLS handshake".to_owned()
        }
        _ => format!("during the TLS handshake: {root}"),
    };
    failed(Failure::Tls, origin, &cause)
}

fn failed(failure: Failure, origin: &Uri, cause: &str) -> FetchError {
    let host = origin
        .authority()
        .map_or("", |authority| authority.as_str());
    FetchError {
        failure,
        detail: format!("{host}: {cause}"),
    }
}

/// The TLS error inside an I/O error, if that is what it is.
pub(super) fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// An error and what led to it, outermost first.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let error: &'a (dyn Error + 'static) = *error;
        // An io::Error's source() skips the error it was made from.
        match error.downcast_ref::<io::Error>().map(io::Error::get_ref) {
            Some(inner) => inner.map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// The innermost cause of an error.
pub(super) fn root_cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    causes(error).last().unwrap_or(error)
}

/// Idle time after which the kernel asks whether the origin is still there, so that a firewall that
/// forgot the connection is noticed between syncs rather than during one.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
/// How long one connection waits for its permit.
pub(super) const PERMIT_WAIT: Duration = Duration::from_secs(1);
