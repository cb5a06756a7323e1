//! A connection to an origin: name, TCP, TLS, each failure told apart from the others.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::explain::explain;
use super::tls::Configs;
use crate::gateway::fetch::{Failure, FetchError};

/// Connects to origins, for hyper's pool.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    tls: Arc<Configs>,
    /// For name, TCP and TLS together.
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(tls: Arc<Configs>, timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        // Several addresses share this; the timeout around the whole still holds.
        tcp.set_connect_timeout(Some(timeout));
        Self { tcp, tls, timeout }
    }
}

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = FetchError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, FetchError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), FetchError>> {
        Poll::Ready(Ok(())) // as HttpConnector always is
    }

    fn call(&mut self, origin: Uri) -> Self::Future {
        let tcp = self.tcp.call(origin.clone());
        let tls = self.tls.of(origin.authority());
        let timeout = self.timeout;
        Box::pin(async move {
            let deadline = tokio::time::sleep(timeout);
            tokio::pin!(deadline);
            let tcp = tokio::select! {
                connected = tcp => connected.map_err(|error| tcp_failed(&origin, &error))?,
                () = &mut deadline => return Err(too_slow(&origin, timeout, "TCP")),
            };
            if origin.scheme() != Some(&http::uri::Scheme::HTTPS) {
                return Ok(MaybeHttpsStream::Http(tcp));
            }
            let handshake =
                TlsConnector::from(tls).connect(server_name(&origin)?, TokioIo::new(tcp));
            tokio::select! {
                secured = handshake => secured
                    .map(MaybeHttpsStream::from)
                    .map_err(|error| tls_failed(&origin, &error)),
                () = &mut deadline => Err(too_slow(&origin, timeout, "TLS")),
            }
        })
    }
}

/// The name the origin must prove to have: the URI's host, whatever address it resolved to.
fn server_name(origin: &Uri) -> Result<ServerName<'static>, FetchError> {
    let host = origin.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host)
        .map(|name| name.to_owned())
        .map_err(|_| {
            failed(
                Failure::Tls,
                origin,
                "no certificate can be for such a name",
            )
        })
}

fn tcp_failed(origin: &Uri, error: &(dyn Error + 'static)) -> FetchError {
    // hyper-util tells its steps apart by these words only; a test holds it to them.
    let failure = if error.to_string() == "dns error" {
        Failure::Resolve
    } else {
        Failure::Connect
    };
    failed(failure, origin, &root_cause(error))
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
pub(super) fn root_cause(error: &(dyn Error + 'static)) -> String {
    causes(error).last().unwrap_or(error).to_string()
}

/// Idle time after which the kernel asks whether the origin is still there, so that a firewall that
/// forgot the connection is noticed between syncs rather than during one.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
