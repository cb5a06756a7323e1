//! Connections of handsets: served by hyper, closed when idle.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::guarded::{Guarded, Progress};
use super::head::{HeadRefusal, MAX_FIELDS, MAX_HEAD};
use super::refusal::HttpRefusal;
use super::service::{Turn, answer};
use crate::server::tcp::{Connection, Protocol, Service, detect_absence};
use crate::wdp::Peer;

/// Serves connections. Clones share limits and counters.
#[derive(Clone)]
pub(super) struct Listener(pub(super) Arc<Service<HttpRefusal>>);

impl Protocol for Listener {
    type Refusal = HttpRefusal;

    fn service(&self) -> &Arc<Service<HttpRefusal>> {
        &self.0
    }

    async fn serve(
        &self,
        tcp: TcpStream,
        remote: SocketAddr,
        place: Connection,
        stop: CancellationToken,
    ) {
        let Ok(local) = tcp.local_addr() else { return };
        let idle = self.0.idle_timeout;
        detect_absence(&tcp, idle);
        let peer = Peer::new(remote, local);
        let progress = Arc::new(Progress::default());
        let stream = Guarded::new(tcp, Arc::clone(&progress), self.0.max_body as u64);
        let watched = Arc::clone(&progress);
        let service = Arc::clone(&self.0);
        let marker = place.marker();
        let hyper_service = service_fn(move |request| {
            let service = Arc::clone(&service);
            let turn = Turn::new(Arc::clone(&progress), marker.busy());
            Box::pin(
                async move { Ok::<_, Infallible>(answer(&service, peer, turn, request).await) },
            )
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
        let (tcp, refusal) = connection.into_parts().io.into_inner().into_parts();
        self.close(tcp, refusal, watched.is_cut()).await;
    }
}

impl Listener {
    /// Says why a head was refused, and closes so that the handset can read the answer.
    async fn close(&self, mut tcp: TcpStream, refusal: Option<HeadRefusal>, is_cut: bool) {
        if let Some(reason) = refusal {
            self.0.counters.refuse(HttpRefusal::Head(reason));
            let (status, text) = reason.status();
            let response = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{text}",
                text.len()
            );
            let _ = timeout(LINGER, tcp.write_all(response.as_bytes())).await;
        }
        let _ = timeout(LINGER, tcp.shutdown()).await;
        if refusal.is_some() || is_cut {
            // A close while octets are unread resets the connection, and the answer is lost (RFC
            // 9112 9.6).
            let mut rest = [0; 4096];
            let discard = async { while matches!(tcp.read(&mut rest).await, Ok(1..)) {} };
            let _ = timeout(LINGER, discard).await;
        }
    }
}

/// Time for the last octets of a connection.
const LINGER: Duration = Duration::from_secs(2);
