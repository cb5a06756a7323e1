//! Connections to the admin port: few, short and never anybody's burden.
//!
//! They run on the thread that looks after the shards, so neither many of them nor slow ones may hold it up:
//! what comes beyond [`MAX_CONNECTIONS`] is closed at once, a request head has [`HEAD_TIMEOUT`], a handler
//! [`ANSWER_TIMEOUT`], and a reader who stops reading is cut off by the kernel after [`STALLED`].

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::access::Client;
use super::counters::{Counters, Refused};

/// Answers on `listener` until `stop` is ready, then finishes what is under way, for [`LINGER`] at most.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    counters: Arc<Counters>,
    stop: impl Future<Output = ()>,
) {
    let router = router
        .layer(from_fn(finish_in_time))
        .layer(DefaultBodyLimit::max(MAX_BODY));
    let connections = TaskTracker::new();
    let stopping = CancellationToken::new();
    tokio::pin!(stop);
    loop {
        let (tcp, address) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                // Out of descriptors, most likely: trying at once again would only burn time.
                Err(error) => {
                    debug!(%error, "admin: accept failed");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        if connections.len() >= MAX_CONNECTIONS {
            counters.refused(Refused::Connections);
            continue;
        }
        let router = router.clone().layer(Extension(Client(address)));
        connections.spawn(converse(tcp, router, stopping.clone()));
    }
    drop(listener);
    stopping.cancel();
    connections.close();
    let _ = tokio::time::timeout(LINGER, connections.wait()).await;
}

async fn converse(tcp: TcpStream, router: Router, stopping: CancellationToken) {
    let _ = socket2::SockRef::from(&tcp).set_tcp_user_timeout(Some(STALLED));
    let _ = tcp.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(tcp), TowerToHyperService::new(router));
    tokio::pin!(connection);
    tokio::select! {
        // Whatever breaks here is the client's affair.
        _ = connection.as_mut() => return,
        () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Bounds the time until an answer begins, and says to browsers what all answers here have in common.
async fn finish_in_time(request: Request, next: Next) -> Response {
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

/// Connections at once.
pub(super) const MAX_CONNECTIONS: usize = 64;
/// Octets of a request's head.
const MAX_HEAD: usize = 16 * 1024;
/// Octets of a request's body.
const MAX_BODY: usize = 64 * 1024;
/// For the whole head of a request, the time before it on a kept connection included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Until an answer begins, the request's body included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// For which octets may be under way without being taken.
const STALLED: Duration = Duration::from_secs(30);
/// For which connections may linger after the end.
const LINGER: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(200);
