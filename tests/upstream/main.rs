//! The HTTPS side against real origins on loopback, good and bad, with verification on.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod abuse;
mod connections;
mod failover;
mod frames;
mod guard;
mod hosts;
mod http2;
mod pools;
mod proxy;
mod retry;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod tolerance;
mod unprocessed;

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::certificate::{Certificate, acceptor, client_auth_acceptor, tls as trust};
use crate::support::raw::{
    AfterReply, get, listen, origin, origin_with, read_request, request, upstream, upstream_with,
};
use http::{HeaderValue, Method, StatusCode};
use tokio::io::AsyncWriteExt;
use wapbridge::gateway::fetch::{Failure, FetchError, Reply};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";

/// Checks the class of a failure and that its cause is told in these words.
#[track_caller]
fn assert_fails(result: Result<Reply, FetchError>, failure: Failure, words: &str) {
    let error = result.expect_err("this fetch fails");
    assert_eq!(error.failure, failure, "{}", error.detail);
    assert!(error.detail.contains(words), "{}", error.detail);
}

#[tokio::test]
async fn a_post_arrives_to_the_octet_and_its_reply_comes_back() {
    let (address, seen) = origin(OK, AfterReply::KeepAlive).await;
    let mut post = request(Method::POST, address, b"\x02\x00\r\n\r\n\xff");
    let syncml = HeaderValue::from_static("application/vnd.syncml+wbxml");
    post.headers.insert(http::header::CONTENT_TYPE, syncml);
    let reply = upstream().fetch(post).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.headers["content-type"], "text/plain");
    assert_eq!(&*reply.body, b"hello");

    let port = address.port();
    let expected = format!(
        "POST /ds?x=1 HTTP/1.1\r\ncontent-type: application/vnd.syncml+wbxml\r\n\
         content-length: 7\r\nhost: localhost:{port}\r\n\r\n"
    );
    let requests = seen.requests();
    assert_eq!(requests.len(), 1);
    let (head, body) = requests[0].split_at(expected.len());
    assert_eq!(String::from_utf8_lossy(head), expected);
    assert_eq!(body, b"\x02\x00\r\n\r\n\xff");
}

#[tokio::test]
async fn requests_share_a_kept_alive_connection() {
    let (address, seen) = origin(OK, AfterReply::KeepAlive).await;
    let upstream = upstream();
    for _ in 0..20 {
        let reply = upstream.fetch(request(Method::POST, address, b"x")).await;
        assert_eq!(&*reply.unwrap().body, b"hello");
    }
    assert_eq!((seen.connections(), seen.requests().len()), (1, 20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_works_on_a_multi_threaded_runtime_too() {
    let (address, _) = origin(OK, AfterReply::KeepAlive).await;
    let reply = tokio::spawn(async move { get(address).await }).await;
    assert_eq!(&*reply.unwrap().unwrap().body, b"hello");
}

#[tokio::test]
async fn a_failed_verification_says_which_check_failed() {
    for (certificate, words) in [
        (Certificate::Expired, "has expired"),
        (Certificate::NotYetValid, "this host's clock"),
        (
            Certificate::WrongName,
            "asked for localhost, it names other.example",
        ),
        (Certificate::Untrusted, "issuer is not trusted"),
    ] {
        let (address, seen) =
            origin_with(acceptor(certificate, &[]), OK, AfterReply::KeepAlive).await;
        let result = get(address).await;
        assert_fails(result, Failure::Tls, words);
        assert_eq!(seen.requests().len(), 0, "nothing is sent unverified");
    }
}

#[tokio::test]
async fn an_address_is_verified_like_a_name() {
    let (address, _) = origin(OK, AfterReply::KeepAlive).await;
    let mut by_address = request(Method::GET, address, b"");
    by_address.uri = format!("https://{address}/").parse().unwrap();
    let result = upstream().fetch(by_address).await;
    assert_fails(result, Failure::Tls, "asked for 127.0.0.1");
}

#[tokio::test]
async fn an_origin_that_wants_a_client_certificate_says_so() {
    let (address, _) = origin_with(client_auth_acceptor(), OK, AfterReply::KeepAlive).await;
    let result = get(address).await;
    assert_fails(result, Failure::Tls, "wants a client certificate");
}

/// An origin that writes these octets to a TCP connection, without TLS, and closes.
async fn plain_origin(reply: &'static [u8]) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut hello = [0; 16];
            let _ = tokio::io::AsyncReadExt::read(&mut tcp, &mut hello).await;
            let _ = tcp.write_all(reply).await;
            // Reading on keeps the close from becoming a reset that overtakes the octets.
            let _ = tcp.shutdown().await;
            let _ = tokio::io::copy(&mut tcp, &mut tokio::io::sink()).await;
        }
    });
    address
}

#[tokio::test]
async fn what_does_not_speak_tls_is_told_apart() {
    let http = plain_origin(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert_fails(get(http).await, Failure::Tls, "does not speak TLS");
    let mute = plain_origin(b"").await;
    assert_fails(get(mute).await, Failure::Tls, "during the TLS handshake");
    // A fatal handshake_failure alert (RFC 5246 section 7.2).
    let refusing = plain_origin(&[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28]).await;
    assert_fails(
        get(refusing).await,
        Failure::Tls,
        "no version or cipher suite",
    );
}

#[tokio::test]
async fn a_closed_port_is_a_connect_failure() {
    let (listener, address) = listen().await;
    drop(listener);
    let result = get(address).await;
    let place = format!("localhost:{}: ", address.port());
    assert_fails(result.clone(), Failure::Connect, &place);
    assert_fails(result, Failure::Connect, "refused");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_resolve_failure() {
    let mut nowhere = request(Method::GET, ([127, 0, 0, 1], 1).into(), b"");
    // No resolver needs to be requests about a label of 64 characters: 63 is the most (RFC 1035 2.3.4).
    nowhere.uri = format!("https://{}.example/", "x".repeat(64))
        .parse()
        .unwrap();
    let result = upstream().fetch(nowhere).await;
    assert_fails(result, Failure::Resolve, ".example: ");
}

#[tokio::test]
async fn a_reply_cut_short_is_a_reset() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
    let half_chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    for reply in ["", "HTTP/1.1 200 OK\r\nConte", half, half_chunked] {
        for then in [AfterReply::Close, AfterReply::Reset] {
            let (address, seen) = origin(reply, then).await;
            let upstream = upstream();
            let result = upstream.fetch(request(Method::POST, address, b"x")).await;
            assert_fails(result, Failure::Reset, "localhost:");
            assert_eq!(seen.requests().len(), 1, "{reply}");
        }
    }
}

#[tokio::test]
async fn a_post_is_never_sent_twice() {
    // The second request finds a connection that the origin closes only after having read the request.
    let (listener, address) = listen().await;
    let acceptor = acceptor(Certificate::Good, &[b"http/1.1"]);
    let origin = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut tls = acceptor.accept(tcp).await.unwrap();
        read_request(&mut tls).await.unwrap();
        tls.write_all(OK.as_bytes()).await.unwrap();
        tls.flush().await.unwrap();
        read_request(&mut tls).await.unwrap();
        drop(tls);
        // Whoever connects again would repeat the POST.
        tokio::time::timeout(Duration::from_millis(300), listener.accept())
            .await
            .is_err()
    });
    let upstream = upstream();
    let first = upstream.fetch(request(Method::POST, address, b"1")).await;
    assert!(first.is_ok());
    let second = upstream.fetch(request(Method::POST, address, b"2")).await;
    assert_fails(second, Failure::Reset, "localhost:");
    assert!(origin.await.unwrap(), "nobody connected again");
}

#[tokio::test]
async fn a_connection_that_went_away_while_idle_is_replaced() {
    let (address, seen) = origin(OK, AfterReply::Close).await;
    let upstream = upstream();
    for times in 1..=5 {
        let reply = upstream.fetch(request(Method::POST, address, b"x")).await;
        assert_eq!(&*reply.unwrap().body, b"hello");
        seen.closed_times(times).await;
    }
    assert_eq!(seen.requests().len(), 5);
}

#[tokio::test]
async fn a_stalling_origin_is_a_timeout_and_its_connection_is_closed() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
    for (reply, words) in [("", "no reply within 200ms"), (half, "5 octets had come")] {
        let (address, seen) = origin(reply, AfterReply::Stall).await;
        let mut slow = request(Method::POST, address, b"x");
        slow.timeout = Duration::from_millis(200);
        assert_fails(upstream().fetch(slow).await, Failure::Timeout, words);
        seen.closed().await;
    }
}

#[tokio::test]
async fn a_reply_must_begin_in_time_and_may_then_take_its_own() {
    let (address, seen) = origin("", AfterReply::Stall).await;
    let mut post = request(Method::POST, address, b"x");
    post.first_byte_timeout = Duration::from_millis(200);
    let result = upstream().fetch(post).await;
    assert_fails(result, Failure::Timeout, "no reply began within 200ms");
    seen.closed().await;

    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
    let (address, _) = origin(half, AfterReply::Stall).await;
    let mut post = request(Method::POST, address, b"x");
    post.first_byte_timeout = Duration::from_millis(500);
    post.timeout = Duration::from_millis(1500);
    let result = upstream().fetch(post).await;
    assert_fails(result, Failure::Timeout, "no whole reply within 1.5s");
}

#[tokio::test]
async fn a_stalling_handshake_ends_with_the_connect_timeout() {
    let (_listener, address) = listen().await;
    let slow = request(Method::POST, address, b"x");
    let upstream = upstream_with(&trust(), |route| {
        route.limits.connect_timeout = Duration::from_millis(200);
    });
    let result = upstream.fetch(slow).await;
    assert_fails(result, Failure::Timeout, "no TLS handshake within 200ms");
}

#[tokio::test]
async fn dropping_a_fetch_closes_its_connection() {
    let (address, seen) = origin("", AfterReply::Stall).await;
    let upstream = upstream();
    let cancelled = upstream.fetch(request(Method::POST, address, b"x"));
    let result = tokio::time::timeout(Duration::from_millis(200), cancelled).await;
    assert!(result.is_err());
    assert_eq!(seen.requests().len(), 1);
    seen.closed().await;
}

#[tokio::test]
async fn a_reply_that_is_too_large_is_not_read() {
    let announced = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
    let (address, _) = origin(announced, AfterReply::Stall).await;
    let result = get(address).await;
    assert_fails(
        result,
        Failure::TooLarge,
        "1000000000 octets, 1000 are allowed",
    );

    let body = "x".repeat(1001);
    let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{body}\r\n");
    let until_close = format!("HTTP/1.1 200 OK\r\n\r\n{body}");
    for reply in [chunked, until_close] {
        let (address, seen) = origin(reply, AfterReply::Stall).await;
        let result = get(address).await;
        assert_fails(result, Failure::TooLarge, "more than the 1000");
        seen.closed().await;
    }
}

#[tokio::test]
async fn a_reply_may_be_as_large_as_allowed() {
    let body = "x".repeat(1000);
    let plain = format!("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{body}");
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n3E7;why=not\r\n{}\r\n0\r\n\r\n",
        &body[1..]
    );
    for reply in [plain, chunked] {
        let (address, _) = origin(reply, AfterReply::KeepAlive).await;
        assert_eq!(get(address).await.unwrap().body, body);
    }
    let until_close = format!("HTTP/1.1 200 OK\r\n\r\n{body}");
    let (address, _) = origin(until_close, AfterReply::Close).await;
    assert_eq!(get(address).await.unwrap().body, body);
}

#[tokio::test]
async fn what_is_not_http_is_malformed() {
    let large_head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(300_000));
    for reply in [
        "SSH-2.0-OpenSSH_9.2p1 Debian\r\n",
        "HTTP/3.7 200 OK\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!!\r\n",
        &large_head,
    ] {
        let (address, _) = origin(reply, AfterReply::Stall).await;
        let result = get(address).await;

        assert_fails(result, Failure::Malformed, "localhost:");
    }
}

#[tokio::test]
async fn interim_replies_are_passed_over() {
    let reply =
        format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n{OK}");
    let (address, _) = origin(reply, AfterReply::KeepAlive).await;
    let reply = get(address).await.unwrap();
    assert_eq!(
        (reply.status, &*reply.body),
        (StatusCode::OK, b"hello".as_slice())
    );
}

#[tokio::test]
async fn replies_without_a_body_have_none_whatever_they_announce() {
    let upstream = upstream();
    let no_content = "HTTP/1.1 204 No Content\r\n\r\n";
    let (address, _) = origin(no_content, AfterReply::KeepAlive).await;
    for _ in 0..2 {
        let reply = upstream.fetch(request(Method::POST, address, b"x")).await;
        let reply = reply.unwrap();
        assert_eq!((reply.status.as_u16(), reply.body.len()), (204, 0));
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
    let (address, seen) = origin(head, AfterReply::KeepAlive).await;
    for _ in 0..2 {
        let reply = upstream.fetch(request(Method::HEAD, address, b"")).await;
        let reply = reply.unwrap();
        assert_eq!(reply.headers["content-length"], "1000000000");
        assert!(reply.body.is_empty());
    }
    assert_eq!(seen.connections(), 1);
}

#[tokio::test]
async fn trailers_are_left_out_and_the_connection_lives_on() {
    let reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                 3\r\nhel\r\n2\r\nlo\r\n0\r\nX-Sum: 7\r\n\r\n";
    let (address, seen) = origin(reply, AfterReply::KeepAlive).await;
    let upstream = upstream();
    for _ in 0..2 {
        let reply = upstream.fetch(request(Method::POST, address, b"x")).await;
        let reply = reply.unwrap();
        assert_eq!(&*reply.body, b"hello");
        assert!(!reply.headers.contains_key("x-sum"));
    }
    assert_eq!(seen.connections(), 1);
}

#[tokio::test]
async fn plaintext_works_where_a_route_allows_it() {
    let address = plain_origin(OK.as_bytes()).await;
    let mut plain = request(Method::GET, address, b"");
    plain.uri = format!("http://localhost:{}/", address.port())
        .parse()
        .unwrap();
    let reply = upstream().fetch(plain).await.unwrap();
    assert_eq!(&*reply.body, b"hello");
}
