//! Origins behind an HTTP proxy.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::Method;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use wapbridge::gateway::fetch::{Failure, FetchError, Reply};
use wapbridge::route::{Address, Condition, RouteSettings, Routes};
use wapbridge::upstream::Upstream;

use super::{OK, assert_fails};
use crate::support::certificate::{Certificate, acceptor, tls};
use crate::support::raw::{AfterReply, listen, origin, origin_with, read_request, request};

/// A proxy that gives `answer` to CONNECT and then leads there, and what it was requests.
pub(crate) async fn proxy(answer: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let (listener, address) = listen().await;
    let requests = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let request = read_request(&mut client).await.unwrap();
            let request = String::from_utf8(request).unwrap();
            let line = request.lines().next().unwrap().to_owned();
            let port = line.split([':', ' ']).nth(2).unwrap().to_owned();
            log.lock().unwrap().push(line);
            client.write_all(answer.as_bytes()).await.unwrap();
            tokio::spawn(async move {
                let mut origin = TcpStream::connect(format!("127.0.0.1:{port}"))
                    .await
                    .unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut origin).await;
            });
        }
    });
    (address, requests)
}

async fn post_through(proxy: SocketAddr, origin: SocketAddr) -> Result<Reply, FetchError> {
    let post = request(Method::POST, origin, b"x");
    let there = format!("https://localhost:{}/", origin.port());
    let upstream = Address::parse_prefix(&there).unwrap();
    let mut route = RouteSettings::new(Condition::default(), upstream);
    route.http_proxy = Some(Address::parse_prefix(&format!("http://{proxy}/")).unwrap());
    let upstream = Upstream::new(&tls(), &Routes::new(vec![route]));
    upstream.fetch(post).await
}

pub(crate) const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

#[tokio::test]
async fn a_tunnel_leads_to_the_origin_and_tls_goes_through_it() {
    let (origin, seen) = origin(OK, AfterReply::KeepAlive).await;
    let (proxy, requests) = proxy(ESTABLISHED).await;
    let reply = post_through(proxy, origin).await.unwrap();
    assert_eq!(&*reply.body, b"hello");
    let expected = format!("CONNECT localhost:{} HTTP/1.1", origin.port());
    assert_eq!(*requests.lock().unwrap(), [expected]);
    assert_eq!(seen.requests().len(), 1);
}

#[tokio::test]
async fn the_origin_is_verified_through_the_tunnel_too() {
    let wrong = acceptor(Certificate::WrongName, &[]);
    let (origin, seen) = origin_with(wrong, OK, AfterReply::KeepAlive).await;
    let (proxy, _) = proxy(ESTABLISHED).await;
    let result = post_through(proxy, origin).await;
    assert_fails(result, Failure::Tls, "names other.example");
    assert_eq!(seen.requests().len(), 0);
}

#[tokio::test]
async fn a_proxy_that_refuses_or_is_not_there_is_a_connect_failure() {
    let (origin, seen) = origin(OK, AfterReply::KeepAlive).await;
    let (proxy, _) = proxy("HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let words = format!("through the proxy http://{proxy}/");
    assert_fails(post_through(proxy, origin).await, Failure::Connect, &words);
    let nobody = listen().await.1;
    assert_fails(
        post_through(nobody, origin).await,
        Failure::Connect,
        "refused",
    );
    assert_eq!(seen.requests().len(), 0);
}
