//! A connection to an origin: name, TCP, TLS, each failure told apart from the others.

use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Authority;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::explain::explain;
use super::guard::{Forbidden, Guard, GuardedResolver};
use super::stream::{Stream, buffered};
use super::tls::Configs;
use crate::gateway::fetch::{Failure, FetchError};

/// Connects to origins, for hyper's pool.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    tls: Arc<Configs>,
    paths: Arc<Paths>,
    /// For name, TCP and TLS together.
    timeout: Duration,
}

/// What is special about the way to some hosts.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// What addresses they may have.
    pub(super) guards: HashMap<Authority, Guard>,
    /// The HTTP proxy in front of them.
    pub(super) proxies: HashMap<Authority, Uri>,
}

impl Connector {
    pub(super) fn new(tls: Arc<Configs>, paths: Arc<Paths>, timeout: Duration) -> Self {
        Self {
            tcp: tuned(HttpConnector::new(), timeout),
            tls,
            paths,
            timeout,
        }
    }

    fn connect(&mut self, origin: &Uri) -> BoxFuture<Result<TokioIo<TcpStream>, FetchError>> {
        let origin = origin.clone();
        let proxy = origin
            .authority()
            .and_then(|host| self.paths.proxies.get(host));
        if let Some(proxy) = proxy {
            let tunnel = Tunnel::new(proxy.clone(), self.tcp.clone()).call(origin.clone());
            let proxy = proxy.clone();
            return Box::pin(async move {
                tunnel.await.map_err(|error| {
                    let cause = format!("through the proxy {proxy}: {}", root_cause(&error));
                    failed(Failure::Connect, &origin, &cause)
                })
            });
        }
        let guard = origin
            .authority()
            .and_then(|host| self.paths.guards.get(host));
        let Some(guard) = guard else {
            let tcp = self.tcp.call(origin.clone());
            return Box::pin(async move { tcp.await.map_err(|error| tcp_failed(&origin, &error)) });
        };
        // An address in the URI is not resolved, so the resolver would not see it.
        if let Ok(address) = bare_host(&origin).parse()
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

fn tuned<R>(mut tcp: HttpConnector<R>, timeout: Duration) -> HttpConnector<R> {
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(TCP_KEEPALIVE));
    // Several addresses share this; the timeout around the whole still holds.
    tcp.set_connect_timeout(Some(timeout));
    tcp
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = FetchError;
    type Future = BoxFuture<Result<Stream, FetchError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), FetchError>> {
        Poll::Ready(Ok(())) // as HttpConnector always is
    }

    fn call(&mut self, origin: Uri) -> Self::Future {
        let tcp = self.connect(&origin);
        let tls = self.tls.of(origin.authority());
        let timeout = self.timeout;
        Box::pin(async move {
            let deadline = tokio::time::sleep(timeout);
            tokio::pin!(deadline);
            let tcp = tokio::select! {
                connected = tcp => connected?,
                () = &mut deadline => return Err(too_slow(&origin, timeout, "TCP")),
            };
            if origin.scheme() != Some(&http::uri::Scheme::HTTPS) {
                return Ok(Stream::Plain(tcp));
            }
            let handshake = TlsConnector::from(tls).connect(server_name(&origin)?, buffered(tcp));
            tokio::select! {
                secured = handshake => secured
                    .map(|tls| Stream::Tls(Box::new(TokioIo::new(tls))))
                    .map_err(|error| tls_failed(&origin, &error)),
                () = &mut deadline => Err(too_slow(&origin, timeout, "TLS")),
            }
        })
    }
}

/// The name the origin must prove to have: the URI's host, whatever address it resolved to.
fn server_name(origin: &Uri) -> Result<ServerName<'static>, FetchError> {
    ServerName::try_from(bare_host(origin))
        .map(|name| name.to_owned())
        .map_err(|_| {
            failed(
                Failure::Tls,
                origin,
                "no certificate can be for such a name",
            )
        })
}

/// The host without the brackets of an IPv6 address.
fn bare_host(origin: &Uri) -> &str {
    let host = origin.host().unwrap_or_default();
    host.trim_start_matches('[').trim_end_matches(']')
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

fn tls_failed(origin: &Uri, error: &io::Error) -> FetchError {
    if let Some(error) = tls_error(error) {
        return failed(Failure::Tls, origin, &explain(error));
    }
    let cause = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it closed the connection during the TLS handshake".into(),
        _ => format!("during the TLS handshake: {error}"),
    };
    failed(Failure::Tls, origin, &cause)
}

fn too_slow(origin: &Uri, timeout: Duration, step: &str) -> FetchError {
    let (failure, cause) = match step {
        "TLS" => (
            Failure::Timeout,
            format!("TCP connected, but no TLS handshake within {timeout:?}"),
        ),
        _ => (
            Failure::Connect,
            format!("no connection within {timeout:?}"),
        ),
    };
    failed(failure, origin, &cause)
}

fn failed(failure: Failure, origin: &Uri, cause: &str) -> FetchError {
    let place = origin
        .authority()
        .map_or("", |authority| authority.as_str());
    FetchError {
        failure,
        detail: format!("{place}: {cause}"),
    }
}

/// The TLS error inside an I/O error, if that is what it is.
pub(super) fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    causes(error).find_map(|cause| {
        cause.downcast_ref::<rustls::Error>().or_else(|| {
            // An io::Error's source() skips the error it was made from.
            cause
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref)
                .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        })
    })
}

/// An error and what led to it, outermost first.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        (*error).source()
    })
}

/// What an error comes down to.
pub(super) fn root_cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let last = causes(error).last().unwrap_or(error);
    // An io::Error's source() skips the error it was made from.
    match last
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(inner) => inner,
        None => last,
    }
}

/// Idle time after which the kernel asks whether the origin is still there, so that a firewall that
/// forgot the connection is noticed between syncs rather than during one.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
