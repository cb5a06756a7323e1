//! Origins that send without end: each request still ends, in time and with a bounded reply.

use std::time::Duration;

use http::Method;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use wapbridge::gateway::fetch::{Failure, Request};

use super::assert_fails;
use super::frames::{
    Connection, DATA, END_HEADERS, HEADERS, NO_ERROR, PING, PUSH_PROMISE, RST_STREAM, SETTINGS,
    origin,
};
use crate::support::certificate::{Certificate, acceptor};
use crate::support::raw::{listen, read_request, request, upstream};

const CONTINUATION: u8 = 9;

/// A request with half a second for all of it.
fn hasty(address: std::net::SocketAddr) -> Request {
    let mut hasty = request(Method::POST, address, b"x");
    hasty.timeout = Duration::from_millis(500);
    hasty.first_byte_timeout = hasty.timeout;
    hasty
}

#[tokio::test]
async fn http_2_floods_end_with_the_request() {
    for kind in [
        CONTINUATION,
        SETTINGS,
        PING,
        HEADERS,
        PUSH_PROMISE,
        RST_STREAM,
    ] {
        let (address, _) = origin(move |mut connection: Connection| async move {
            let Some(stream) = connection.request().await else {
                return;
            };
            if kind == CONTINUATION {
                connection.send(HEADERS, 0, stream, b"\x88").await;
            }
            // Until the client closes, or for longer than any request.
            let end = Instant::now() + Duration::from_secs(5);
            while Instant::now() < end && connection.is_open() {
                match kind {
                    CONTINUATION => connection.send(CONTINUATION, 0, stream, &[0; 1000]).await,
                    SETTINGS => connection.send(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]).await,
                    PING => connection.send(PING, 0, 0, &[0; 8]).await,
                    // ":status: 103", literal without indexing.
                    HEADERS => {
                        connection
                            .send(HEADERS, END_HEADERS, stream, b"\x08\x03103")
                            .await;
                    }
                    PUSH_PROMISE => {
                        let promise = b"\x00\x00\x00\x02\x82";
                        connection
                            .send(PUSH_PROMISE, END_HEADERS, stream, promise)
                            .await;
                    }
                    // Streams that nobody opened, and the request's own after its end.
                    _ => connection.reset(stream, NO_ERROR).await,
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        let began = Instant::now();
        let result = upstream().fetch(hasty(address)).await;
        assert!(result.is_err(), "kind {kind}");
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "kind {kind}: {:?}",
            began.elapsed()
        );
    }
}

#[tokio::test]
async fn http_2_data_without_end_is_too_large() {
    let (address, _) = origin(|mut connection: Connection| async move {
        let Some(stream) = connection.request().await else {
            return;
        };
        connection.send(HEADERS, END_HEADERS, stream, b"\x88").await;
        while connection.is_open() {
            connection.send(DATA, 0, stream, &[b'x'; 100]).await;
            tokio::task::yield_now().await;
        }
    })
    .await;
    let result = upstream().fetch(request(Method::POST, address, b"x")).await;
    assert_fails(result, Failure::TooLarge, "more than the 1000");
}

#[tokio::test]
async fn http_1_replies_that_never_end_end_in_time() {
    for (start, again, pause) in [
        ("", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 0),
        ("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", "x", 20),
        ("HTTP/1.1 200 OK\r\n", "X", 20),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
            "x",
            20,
        ),
    ] {
        let (listener, address) = listen().await;
        let acceptor = acceptor(Certificate::Good, &[b"http/1.1"]);
        tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut tls = acceptor.accept(tcp).await.unwrap();
            read_request(&mut tls).await.unwrap();
            let _ = tls.write_all(start.as_bytes()).await;
            while tls.write_all(again.as_bytes()).await.is_ok() && tls.flush().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        });
        let began = Instant::now();
        let result = upstream().fetch(hasty(address)).await;
        let error = result.expect_err(start);
        assert_eq!(error.failure, Failure::Timeout, "{start}: {error}");
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}
