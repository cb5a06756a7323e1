//! Connections of handsets: served by hyper, closed when idle.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::client::Client;
use super::guarded::{Guarded, Progress};
use super::head::{HeadRefusal, MAX_FIELDS, MAX_HEAD};
use super::refusal::HttpRefusal;
use super::service::{Turn, answer};
use super::tunnel::{TunnelSlot, relay};
use crate::server::tcp::{Connection, Protocol, Service, detect_absence};
use crate::server_tls::ServerTls;
use crate::wdp::Peer;

/// Serves connections. Clones share limits and counters.
#[derive(Clone)]
pub(super) struct Listener {
    service: Arc<Service<HttpRefusal>>,
    tls: Option<TlsAcceptor>,
}

impl Protocol for Listener {
    type Refusal = HttpRefusal;

    fn service(&self) -> &Arc<Service<HttpRefusal>> {
        &self.service
    }

    async fn serve(
        &self,
        tcp: TcpStream,
        remote: SocketAddr,
        place: Connection,
        stop: CancellationToken,
    ) {
        let Ok(local) = tcp.local_addr() else { return };
        detect_absence(&tcp, self.service.idle_timeout);
        let client = Client {
            peer: Peer::new(remote, local),
            secured: self.tls.is_some(),
        };
        let Some(acceptor) = &self.tls else {
            return self.serve_http(tcp, client, &place, stop).await;
        };
        let handshake = timeout(self.service.idle_timeout, acceptor.accept(tcp));
        let shaken = tokio::select! {
            shaken = handshake => shaken,
            () = place.evicted() => return,
            () = stop.cancelled() => return,
        };
        match shaken {
            Ok(Ok(stream)) => self.serve_http(stream, client, &place, stop).await,
            Ok(Err(error)) => {
                debug!(%error, %remote, "http: TLS failed");
                self.service.counters.refuse(HttpRefusal::Tls);
            }
            Err(_) => self.service.counters.refuse(HttpRefusal::Slow),
        }
    }
}

impl Listener {
    pub(super) fn new(service: Arc<Service<HttpRefusal>>, tls: Option<&ServerTls>) -> Self {
        let tls = tls.map(|tls| TlsAcceptor::from(Arc::clone(&tls.config)));
        Self { service, tls }
    }

    /// Serves the requests of a connection.
    async fn serve_http(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        client: Client,
        place: &Connection,
        stop: CancellationToken,
    ) {
        let idle = self.service.idle_timeout;
        let progress = Arc::new(Progress::default());
        let max_body = self.service.max_body as u64;
        let stream = Guarded::new(stream, Arc::clone(&progress), max_body);
        let watched = Arc::clone(&progress);
        let service = Arc::clone(&self.service);
        let marker = place.marker();
        let tunnel = TunnelSlot::default();
        let slot = tunnel.clone();
        let hyper_service = service_fn(move |request| {
            let (service, slot) = (Arc::clone(&service), slot.clone());
            let turn = Turn::new(Arc::clone(&progress), marker.busy());
            Box::pin(async move {
                Ok::<_, Infallible>(answer(&service, client, turn, &slot, request).await)
            })
        });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(idle)
            .max_buf_size(2 * MAX_HEAD)
            .max_headers(MAX_FIELDS)
            // Old handsets look for names as RFC 2616 writes them.
            .title_case_headers(true)
            .serve_connection(TokioIo::new(stream), hyper_service);
        tokio::select! {
            // An error concerns this handset only.
            _ = poll_fn(|cx| connection.poll_without_shutdown(cx)) => {}
            () = place.evicted() => return,
            () = watched.overdue() => return,
            () = stop.cancelled() => {
                Pin::new(&mut connection).graceful_shutdown();
                let _ = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
            }
        }
        let parts = connection.into_parts();
        let (stream, unread, refusal) = parts.io.into_inner().into_parts();
        if let Some((tunnel, mut turn)) = tunnel.take() {
            let early = [parts.read_buf, unread.freeze()].concat();
            let (received, sent) = relay(stream, &early, tunnel.tcp, idle, stop.cancelled()).await;
            turn.tunnelled(received, sent);
            return;
        }
        self.close(stream, refusal, watched.is_cut()).await;
    }

    /// Says why a head was refused, and closes so that the handset can read the answer.
    async fn close(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        refusal: Option<HeadRefusal>,
        is_cut: bool,
    ) {
        if let Some(reason) = refusal {
            self.service.counters.refuse(HttpRefusal::Head(reason));
            let (status, text) = reason.status();
            let response = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{text}",
                text.len()
            );
            let _ = timeout(LINGER, stream.write_all(response.as_bytes())).await;
        }
        let _ = timeout(LINGER, stream.shutdown()).await;
        if refusal.is_some() || is_cut {
            // A close while octets are unread resets the connection, and the answer is lost (RFC
            // 9112 9.6).
            let mut rest = [0; 4096];
            let discard = async { while matches!(stream.read(&mut rest).await, Ok(1..)) {} };
            let _ = timeout(LINGER, discard).await;
        }
    }
}

/// Time for the last octets of a connection.
const LINGER: Duration = Duration::from_secs(2);
