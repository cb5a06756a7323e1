//! Connections to the admin port.
//!
//! They are tasks of the control thread, so their number and their time are limited.
//! [`Connections`] limits the number. A request head has [`HEAD_TIMEOUT`], a handler
//! [`ANSWER_TIMEOUT`]. The kernel closes a connection whose client acknowledges nothing for
//! [`WRITE_TIMEOUT`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::access::Client;
use super::refusals::{Refusal, Refusals};
use crate::server::tcp::connections::{Admission, Busy, BusyMarker, Connection, Connections};

/// Serves `listener` until `stop` is ready. Requests under way then have [`SHUTDOWN_TIMEOUT`].
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    refusals: Arc<Refusals>,
    stop: impl Future<Output = ()>,
) {
    let router = router
        .layer(from_fn(limit_time))
        .layer(DefaultBodyLimit::max(MAX_BODY));
    let tasks = TaskTracker::new();
    let table = Connections::new(MAX_CONNECTIONS, MAX_PER_SOURCE);
    let stopping = CancellationToken::new();
    tokio::pin!(stop);
    loop {
        let (tcp, address) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                // Mostly the process has no descriptor left; a loop without a pause would burn CPU
                // time.
                Err(error) => {
                    debug!(%error, "admin: accept failed");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let connection = match table.admit(address.ip()) {
            Admission::Accepted(connection) => connection,
            Admission::Replaced(connection) => {
                refusals.count(Refusal::Evicted);
                connection
            }
            Admission::Refused => {
                refusals.count(Refusal::Connections);
                continue;
            }
        };
        let router = router
            .clone()
            .layer(from_fn_with_state(connection.marker(), mark_busy))
            .layer(Extension(Client(address)));
        tasks.spawn(serve_connection(tcp, router, connection, stopping.clone()));
        // A request that came with its connection is read before the next connection may displace
        // it.
        tokio::task::yield_now().await;
    }
    drop(listener);
    stopping.cancel();
    tasks.close();
    let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, tasks.wait()).await;
}

async fn serve_connection(
    tcp: TcpStream,
    router: Router,
    place: Connection,
    stopping: CancellationToken,
) {
    let _ = socket2::SockRef::from(&tcp).set_tcp_user_timeout(Some(WRITE_TIMEOUT));
    let _ = tcp.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(tcp), TowerToHyperService::new(router));
    tokio::pin!(connection);
    tokio::select! {
        // An error here concerns this client only.
        _ = connection.as_mut() => return,
        () = place.evicted() => return,
        () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Keeps the connection busy until the body of the answer is sent.
async fn mark_busy(State(marker): State<BusyMarker>, request: Request, next: Next) -> Response {
    let busy = marker.busy();
    let answer = next.run(request).await;
    answer.map(|body| Body::new(BusyBody { body, _busy: busy }))
}

/// The body of an answer. Its connection is busy until the body is dropped.
struct BusyBody {
    body: Body,
    _busy: Busy,
}

impl hyper::body::Body for BusyBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Limits the time until an answer begins, and adds the header fields that all answers have.
async fn limit_time(request: Request, next: Next) -> Response {
    let mut response = match tokio::time::timeout(ANSWER_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "this took too long\n").into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Octets of a request's head.
const MAX_HEAD: usize = 16 * 1024;
/// Octets of a request's body.
const MAX_BODY: usize = 64 * 1024;
/// For a request head, including the idle time of a kept connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Until an answer begins, including the time for the request body.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long sent octets may stay unacknowledged.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// For requests under way at the end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
/// Connections at once.
pub(super) const MAX_CONNECTIONS: usize = 64;
/// Of these, connections of one source.
pub(super) const MAX_PER_SOURCE: usize = 32;
const ACCEPT_RETRY: Duration = Duration::from_millis(200);
