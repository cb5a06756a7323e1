//! What is requests again after a reset, and what is not.

use http::Method;
use wapbridge::gateway::fetch::Failure;

use super::{OK, assert_fails};
use crate::support::certificate::{Certificate, acceptor};
use crate::support::raw::{AfterReply, listen, origin, read_request, request, upstream};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn an_idempotent_request_is_repeated_once_after_a_reset_before_its_reply() {
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
        let (address, seen) = origin("", AfterReply::Reset).await;
        let result = upstream().fetch(request(method, address, b"")).await;
        assert_fails(result, Failure::Reset, "localhost:");
        assert_eq!(seen.requests().len(), 2, "once more, and not for ever");
    }
    let (address, seen) = origin("", AfterReply::Reset).await;
    let result = upstream().fetch(request(Method::POST, address, b"x")).await;
    assert_fails(result, Failure::Reset, "localhost:");
    assert_eq!(seen.requests().len(), 1);
}

#[tokio::test]
async fn a_reply_that_has_begun_is_not_asked_for_again() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
    let (address, seen) = origin(half, AfterReply::Reset).await;
    let result = upstream().fetch(request(Method::GET, address, b"")).await;
    assert_fails(result, Failure::Reset, "localhost:");
    assert_eq!(seen.requests().len(), 1);
}

#[tokio::test]
async fn the_second_time_may_succeed() {
    let (listener, address) = listen().await;
    let acceptor = acceptor(Certificate::Good, &[b"http/1.1"]);
    tokio::spawn(async move {
        for answer in ["", OK] {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut tls = acceptor.accept(tcp).await.unwrap();
            read_request(&mut tls).await.unwrap();
            tls.write_all(answer.as_bytes()).await.unwrap();
            tls.shutdown().await.unwrap();
        }
    });
    let reply = upstream().fetch(request(Method::GET, address, b"")).await;
    assert_eq!(&*reply.unwrap().body, b"hello");
}
