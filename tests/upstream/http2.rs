//! The same over HTTP/2, which an origin chooses in the TLS handshake.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use wapbridge::gateway::fetch::Failure;

use super::assert_fails;
use crate::support::certificate::{Certificate, acceptor};
use crate::support::raw::{listen, request, upstream};

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    /// Requests whose stream the client has reset.
    cancelled: AtomicUsize,
}

/// Counts itself when it is dropped before it was told that all is well.
struct Guard<'a>(&'a AtomicUsize, bool);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Answers with the request's body, which `stall` makes it never do.
async fn answer(
    request: http::Request<Incoming>,
    counts: Arc<Counts>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.version(), Version::HTTP_2);
    let body = request.into_body().collect().await.unwrap().to_bytes();
    if body == "stall" {
        let _guard = Guard(&counts.cancelled, false);
        std::future::pending::<()>().await;
    }
    Ok(Response::new(Full::new(body)))
}

async fn origin() -> (SocketAddr, Arc<Counts>) {
    let (listener, address) = listen().await;
    let acceptor = acceptor(Certificate::Good, &[b"h2", b"http/1.1"]);
    let counts = Arc::new(Counts::default());
    let counted = Arc::clone(&counts);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            counted.connections.fetch_add(1, Ordering::SeqCst);
            let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
            tokio::spawn(async move {
                let tls = acceptor.accept(tcp).await.unwrap();
                let service = service_fn(move |request| answer(request, Arc::clone(&counted)));
                let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(tls), service)
                    .await;
            });
        }
    });
    (address, counts)
}

#[tokio::test]
async fn requests_share_one_connection() {
    let (address, counts) = origin().await;
    let upstream = Arc::new(upstream());
    let first = upstream.fetch(request(Method::POST, address, b"0")).await;
    assert_eq!(&*first.unwrap().body, b"0");
    let fetches = (0..10).map(|_| {
        let upstream = Arc::clone(&upstream);
        tokio::spawn(async move {
            upstream
                .fetch(request(Method::POST, address, b"hello"))
                .await
        })
    });
    for fetch in fetches.collect::<Vec<_>>() {
        assert_eq!(&*fetch.await.unwrap().unwrap().body, b"hello");
    }
    assert_eq!(counts.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_cancelled_request_resets_its_stream_only() {
    let (address, counts) = origin().await;
    let upstream = upstream();
    let stalled = upstream.fetch(request(Method::POST, address, b"stall"));
    let result = tokio::time::timeout(Duration::from_millis(200), stalled).await;
    assert!(result.is_err());
    while counts.cancelled.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let next = upstream
        .fetch(request(Method::POST, address, b"next"))
        .await;
    assert_eq!(&*next.unwrap().body, b"next");
    assert_eq!(counts.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_reply_that_is_too_large_is_refused() {
    static LARGE: [u8; 1001] = [0; 1001];
    let (address, _) = origin().await;
    let result = upstream()
        .fetch(request(Method::POST, address, &LARGE))
        .await;
    assert_fails(result, Failure::TooLarge, "1000 are allowed");
}

#[tokio::test]
async fn garbage_and_going_away_are_failures() {
    // SETTINGS, then GOAWAY with INTERNAL_ERROR for stream 0 (RFC 9113 sections 6.5 and 6.8).
    let going_away = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00\
        \x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02";
    for (octets, failure) in [
        (b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), Failure::Malformed),
        (going_away.as_slice(), Failure::Reset),
    ] {
        let (listener, address) = listen().await;
        let acceptor = acceptor(Certificate::Good, &[b"h2"]);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let mut tls = acceptor.accept(tcp).await.unwrap();
                let _ = tls.write_all(octets).await;
                let _ = tls.flush().await;
                let _ = tokio::io::copy(&mut tls, &mut tokio::io::sink()).await;
            }
        });
        let result = upstream().fetch(request(Method::POST, address, b"x")).await;
        assert_fails(result, failure, "localhost:");
    }
}
