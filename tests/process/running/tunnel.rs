//! CONNECT: tunnels to the hosts and ports that a route names, and to no other.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::http::{connect, exchange, response_head, rest, start};
use crate::cli::process::Gateway;
use crate::support::origin::Origin;

/// A server that returns every octet; its port.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = tcp.split();
                // A tunnel may end at any octet.
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    port
}

/// A gateway with a route for tunnels to a port of localhost.
async fn gateway(port: u16, more: &str) -> (Gateway, SocketAddr) {
    let origin = Origin::start().await;
    let more = format!(
        "[[route]]\nname = \"tunnels\"\nmatch = \"https://localhost:{port}/\"\n\
         upstream = \"as-requested\"\nallowed_methods = [\"CONNECT\"]\n{more}\
         [[route]]\nname = \"plain\"\nmatch = \"https://plain.example/\"\nupstream = \"{}\"\n",
        origin.uri()
    );
    start(&origin.uri(), &more).await
}

const LOOPBACK: &str = "allow_addresses = [\"127.0.0.0/8\", \"::1\"]\n";

#[tokio::test]
async fn a_tunnel_carries_octets_to_the_host_that_its_route_names() {
    let port = echo().await;
    let (gateway, address) = gateway(port, LOOPBACK).await;
    let mut tcp = connect(address).await;
    // The first octets for the server come with the request.
    let request = format!("CONNECT localhost:{port} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
    tcp.write_all(format!("{request}early").as_bytes())
        .await
        .unwrap();
    let head = response_head(&mut tcp).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let lower = head.to_lowercase();
    assert!(
        !lower.contains("content-length") && !lower.contains("transfer-encoding"),
        "{head}"
    );
    let mut five = [0; 5];
    tcp.read_exact(&mut five).await.unwrap();
    assert_eq!(&five, b"early");
    let large: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let (mut from, mut to) = tcp.split();
    let sending = async {
        to.write_all(&large).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let mut back = Vec::new();
    let reading = from.read_to_end(&mut back);
    let ((), read) = tokio::join!(sending, reading);
    read.unwrap();
    assert!(back == large);
    let line = gateway.line("access: exchange").await;
    let octets = large.len() + 5;
    for words in [
        "method=CONNECT",
        "status=200",
        "route=\"tunnels\"",
        "ending=\"sent\"",
        &format!("request_octets={octets}"),
        &format!("reply_octets={octets}"),
    ] {
        assert!(line.contains(words), "{words}: {line}");
    }
}

#[tokio::test]
async fn there_is_no_tunnel_to_anywhere_else() {
    let port = echo().await;
    let (_gateway, address) = gateway(port, LOOPBACK).await;
    let other = echo().await;
    for (target, fields, status) in [
        (format!("localhost:{other}"), "", 403),
        (format!("127.0.0.1:{port}"), "", 403),
        (format!("localhost.:{other}"), "", 403),
        ("localhost".to_owned(), "", 400),
        (format!("localhost:{port}"), "Content-Length: 5\r\n", 400),
        (
            format!("localhost:{port}"),
            "Transfer-Encoding: chunked\r\n",
            501,
        ),
    ] {
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\nearly");
        let got = exchange(address, request.as_bytes()).await;
        let got = String::from_utf8_lossy(&got);
        let line = format!("HTTP/1.1 {status} ");
        assert!(
            got.starts_with(&line) && !got.ends_with("early"),
            "{target}\n{got}"
        );
    }
    // The route takes CONNECT only, and other routes take no CONNECT.
    let request = "CONNECT plain.example:443 HTTP/1.1\r\nHost: x\r\n\r\n";
    let got = exchange(address, request.as_bytes()).await;
    assert!(
        got.starts_with(b"HTTP/1.1 405 "),
        "{}",
        String::from_utf8_lossy(&got)
    );
    let request =
        format!("GET https://localhost:{port}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let got = exchange(address, request.as_bytes()).await;
    assert!(
        got.starts_with(b"HTTP/1.1 405 "),
        "{}",
        String::from_utf8_lossy(&got)
    );
}

#[tokio::test]
async fn a_tunnel_into_the_operators_network_has_to_be_allowed() {
    let port = echo().await;
    let (gateway, address) = gateway(port, "").await;
    let request = format!("CONNECT localhost:{port} HTTP/1.1\r\nHost: x\r\n\r\n");
    let got = exchange(address, request.as_bytes()).await;
    assert!(
        got.starts_with(b"HTTP/1.1 502 "),
        "{}",
        String::from_utf8_lossy(&got)
    );
    let line = gateway.line("access: exchange").await;
    assert!(line.contains("allow_addresses"), "{line}");
}

#[tokio::test]
async fn a_stop_waits_for_no_tunnel_and_its_octets_are_recorded() {
    let port = echo().await;
    let (mut gateway, address) = gateway(port, LOOPBACK).await;
    let mut tcp = connect(address).await;
    let request = format!("CONNECT localhost:{port} HTTP/1.1\r\nHost: x\r\n\r\nfive!");
    tcp.write_all(request.as_bytes()).await.unwrap();
    response_head(&mut tcp).await;
    let mut five = [0; 5];
    tcp.read_exact(&mut five).await.unwrap();
    gateway.signal("TERM");
    // The silence of the tunnel would end it after 120 s, the default drain_timeout after 135 s.
    let ended = timeout(Duration::from_secs(60), gateway.ended()).await;
    assert_eq!(ended.expect("the gateway stops at once").code(), Some(0));
    assert!(rest(&mut tcp).await.is_empty());
    let line = gateway.line("method=CONNECT").await;
    assert!(line.contains("request_octets=5 reply_octets=5"), "{line}");
}

#[tokio::test]
async fn a_tunnel_that_is_silent_ends() {
    let port = echo().await;
    let more = format!("{LOOPBACK}[http]\nidle_timeout = \"5s\"\n");
    let (_gateway, address) = gateway(port, &more).await;
    let mut tcp = connect(address).await;
    let request = format!("CONNECT localhost:{port} HTTP/1.1\r\nHost: x\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let head = response_head(&mut tcp).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(rest(&mut tcp).await.is_empty());
}
