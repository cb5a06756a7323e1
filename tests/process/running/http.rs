//! The HTTP port of the running program, and handsets that speak HTTP/1.0 and 1.1.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::cli::process::{Gateway, configuration, recorded, run};
use crate::support::origin::{Origin, octets};

const REQUEST: &str = "s12-wbxml-mid-01-slow/02-req.wbxml";
const ANSWER: &str = "s12-wbxml-mid-01-slow/02-resp.wbxml";
const PATH: &str = "/syncml/s12-wbxml-mid-01-slow/02";

/// A gateway with an HTTP port, and that port's address.
pub(super) async fn start(upstream: &str, more: &str) -> (Gateway, SocketAddr) {
    let both = "connection_mode = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"";
    let configuration =
        configuration(upstream, more).replace("connection_mode = \"127.0.0.1:0\"", both);
    let gateway = Gateway::start(&configuration).await;
    let line = gateway.line("listening for HTTP").await;
    let (_, address) = line.split_once("address=").unwrap();
    let address = address.split(' ').next().unwrap().parse().unwrap();
    (gateway, address)
}

pub(super) async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Sends octets and reads until the gateway closes.
pub(super) async fn exchange(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut tcp = connect(address).await;
    tcp.write_all(request).await.unwrap();
    rest(&mut tcp).await
}

pub(super) async fn rest(tcp: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(20), tcp.read_to_end(&mut answer)).await;
    read.expect("the gateway closes").unwrap();
    answer
}

/// The head of a response.
pub(super) async fn response_head(tcp: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let octet = timeout(Duration::from_secs(20), tcp.read_u8()).await;
        head.push(octet.expect("a response").unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// One response: head and body, by its Content-Length.
async fn response(tcp: &mut TcpStream) -> (String, Vec<u8>) {
    let head = response_head(tcp).await;
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    tcp.read_exact(&mut body).await.unwrap();
    (head, body)
}

fn post(head: &str, body: &[u8]) -> Vec<u8> {
    let mut request = head.as_bytes().to_vec();
    request.extend_from_slice(body);
    request
}

#[tokio::test]
async fn a_sync_message_comes_back_to_the_octet_over_either_version() {
    let origin = Origin::start().await;
    let (gateway, address) = start(&origin.uri(), "").await;
    let body = std::fs::read(recorded(REQUEST)).unwrap();
    let answer = std::fs::read(recorded(ANSWER)).unwrap();
    let fields = format!(
        "Content-Type: application/vnd.syncml+wbxml\r\nContent-Length: {}\r\nUser-Agent: phone\r\n\
         Connection: close, X-Mine\r\nX-Mine: 1\r\nProxy-Authorization: Basic eDp5\r\n\
         Authorization: Basic YTpi\r\n\r\n",
        body.len()
    );
    for (line, via) in [
        (
            format!("POST http://sync.example.com{PATH} HTTP/1.0\r\n"),
            "1.0 wapbridge",
        ),
        (
            format!("POST http://sync.example.com{PATH} HTTP/1.1\r\nHost: other\r\n"),
            "1.1 wapbridge",
        ),
        (
            format!("POST {PATH} HTTP/1.1\r\nHost: sync.example.com\r\n"),
            "1.1 wapbridge",
        ),
    ] {
        let got = exchange(address, &post(&format!("{line}{fields}"), &body)).await;
        let end = got
            .windows(4)
            .position(|octets| octets == b"\r\n\r\n")
            .unwrap();
        let head = std::str::from_utf8(&got[..end]).unwrap();
        assert!(
            head.starts_with(&line[line.find("HTTP").unwrap()..][..8]),
            "{head}"
        );
        assert!(head.contains(" 200 OK\r\n"), "{head}");
        assert!(
            head.contains("Content-Type: application/vnd.syncml+wbxml"),
            "{head}"
        );
        assert!(
            head.contains(&format!("Content-Length: {}", answer.len())),
            "{head}"
        );
        assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
        assert!(got[end + 4..] == answer, "{line}");
        let heard = origin.heard(PATH).pop().unwrap();
        assert!(heard.body == body);
        assert_eq!(heard.headers["via"], via);
        assert_eq!(heard.headers["authorization"], "Basic YTpi");
        for gone in ["x-mine", "proxy-authorization", "connection"] {
            assert!(!heard.headers.contains_key(gone), "{gone}");
        }
    }
    assert_eq!(origin.heard(PATH).len(), 3);
    let line = gateway.line("access: exchange").await;
    for words in [
        "binding=http",
        "method=POST",
        "status=200",
        "ending=\"sent\"",
        "syncml=\"1.2\"",
    ] {
        assert!(line.contains(words), "{words}: {line}");
    }
    assert!(!gateway.log().contains("YTpi"));
}

#[tokio::test]
async fn the_command_line_speaks_http() {
    let origin = Origin::start().await;
    let (_gateway, address) = start(&origin.uri(), "").await;
    let proxy = format!("--http-proxy={address}");
    let uri = format!("http://sync.example.com{PATH}");
    let request = recorded(REQUEST);
    let file = request.to_str().unwrap();
    let output = run(&["post", &proxy, "--data", file, &uri])
        .await
        .succeeds();
    assert!(output.stdout == std::fs::read(recorded(ANSWER)).unwrap());
    let output = output.says(&["200 OK", "Content-Type: application/vnd.syncml+wbxml"]);
    assert!(
        output.stderr.contains("via: 1.1 wapbridge"),
        "{}",
        output.stderr
    );
    run(&["get", &proxy, "-I", "http://elsewhere.example/"])
        .await
        .fails()
        .says(&["403 Forbidden"]);
}

#[tokio::test]
async fn the_host_is_that_of_the_upstream() {
    let origin = Origin::start().await;
    let (_gateway, address) = start(&origin.uri(), "").await;
    let request = "GET http://sync.example.com/echo HTTP/1.1\r\nHost: forged.example\r\n\
                   Connection: close\r\n\r\n";
    exchange(address, request.as_bytes()).await;
    let heard = origin.heard("/echo");
    let upstream = format!("localhost:{}", origin.address.port());
    assert_eq!(heard[0].authority, upstream);
}

#[tokio::test]
async fn requests_share_a_connection_and_are_answered_in_their_order() {
    let origin = Origin::start().await;
    let (_gateway, address) = start(&origin.uri(), "").await;
    let mut tcp = connect(address).await;
    let get = |path: &str| format!("GET http://sync.example.com{path} HTTP/1.1\r\nHost: x\r\n\r\n");
    // The head of the second request comes in two pieces, and a HEAD has no body.
    let three = [
        get("/bytes/3000"),
        get("/echo"),
        get("/hello").replace("GET", "HEAD"),
    ]
    .concat();
    let (first, second) = three.as_bytes().split_at(three.len() / 2);
    tcp.write_all(first).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    tcp.write_all(second).await.unwrap();
    let (_, body) = response(&mut tcp).await;
    assert!(body == octets(3000));
    let (head, body) = response(&mut tcp).await;
    assert!(
        head.starts_with("HTTP/1.1 200") && body.is_empty(),
        "{head}"
    );
    let head = response_head(&mut tcp).await;
    assert!(head.contains("\r\nContent-Length: 5\r\n"), "{head}");
    // Statuses without a body: the next response follows their heads.
    for status in ["204", "304"] {
        let both = [get(&format!("/status/{status}")), get("/bytes/9")].concat();
        tcp.write_all(both.as_bytes()).await.unwrap();
        let (head, body) = response(&mut tcp).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(body.is_empty());
        let (_, body) = response(&mut tcp).await;
        assert!(body == octets(9));
    }
    // An HTTP/1.0 handset keeps the connection if it says so, and the last request closes it.
    let mut old = connect(address).await;
    let keep = "GET http://sync.example.com/bytes/7 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
    for _ in 0..2 {
        old.write_all(keep.as_bytes()).await.unwrap();
        let (head, body) = response(&mut old).await;
        assert!(
            head.to_lowercase().contains("connection: keep-alive"),
            "{head}"
        );
        assert!(body == octets(7));
    }
    old.write_all(keep.replace("Connection: Keep-Alive\r\n", "").as_bytes())
        .await
        .unwrap();
    assert!(rest(&mut old).await.ends_with(&octets(7)));
}

#[tokio::test]
async fn chunks_and_expectations_are_served() {
    let origin = Origin::start().await;
    let (_gateway, address) = start(&origin.uri(), "").await;
    let head = "POST http://sync.example.com/echo HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\n";
    let chunks = "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-Trailer: 1\r\nAccept: late/type\r\n\r\n";
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}");
    // The end of a chunked body is the end of the connection, so nothing can hide behind it.
    let got = exchange(address, chunked.as_bytes()).await;
    let got = String::from_utf8(got).unwrap();
    assert!(
        got.contains("Connection: close") && got.ends_with("\r\n\r\nabcdefg"),
        "{got}"
    );
    let mut tcp = connect(address).await;
    let expecting = format!("{head}Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    tcp.write_all(expecting.as_bytes()).await.unwrap();
    let (interim, _) = response(&mut tcp).await;
    assert_eq!(interim, "HTTP/1.1 100 Continue\r\n\r\n");
    tcp.write_all(b"body").await.unwrap();
    let (head, body) = response(&mut tcp).await;
    assert!(
        head.starts_with("HTTP/1.1 200") && body == b"body",
        "{head}"
    );
    let heard = origin.heard("/echo");
    assert_eq!(heard.len(), 2);
    for heard in heard {
        assert!(!heard.headers.contains_key("expect"));
        assert!(!heard.headers.contains_key("x-trailer"), "{heard:?}");
        let mut accepted = heard.headers.get_all("accept").iter();
        assert!(accepted.all(|value| value != "late/type"), "{heard:?}");
    }
}

#[tokio::test]
async fn smuggled_and_oversized_requests_reach_no_origin() {
    let origin = Origin::start().await;
    let (gateway, address) = start(&origin.uri(), "[limits]\nmax_message = \"64KiB\"\n").await;
    let start = "POST http://sync.example.com/echo HTTP/1.1\r\nHost: x\r\n";
    let hidden = "0\r\n\r\nGET http://sync.example.com/hidden HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut tried = 0;
    for (request, status) in [
        (
            format!("{start}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{hidden}"),
            400,
        ),
        (
            format!("{start}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{hidden}"),
            400,
        ),
        (
            format!("{start}Content-Length: 3\r\nContent-Length: 50\r\n\r\n{hidden}"),
            400,
        ),
        (format!("{start}Content-Length : 3\r\n\r\n{hidden}"), 400),
        (format!("{start}Transfer-Encoding: x\r\n\r\n{hidden}"), 501),
        (
            format!("{start}Transfer-Encoding:\x0bchunked\r\n\r\n{hidden}"),
            400,
        ),
        (
            format!("{start}X: a\nTransfer-Encoding: chunked\r\n\r\n{hidden}"),
            400,
        ),
        (format!("{start}Host: y\r\nContent-Length: 0\r\n\r\n"), 400),
        (
            "POST http://sync.example.com/echo HTTP/1.0\r\n\r\nbody".to_owned(),
            411,
        ),
        (format!("{start}Content-Length: 65537\r\n\r\n"), 413),
        (format!("{start}X: {}\r\n\r\n", "x".repeat(20_000)), 431),
        (
            format!(
                "GET http://sync.example.com/{} HTTP/1.1\r\n\r\n",
                "x".repeat(9_000)
            ),
            414,
        ),
        (
            "GET http://sync.example.com/ HTTP/3.0\r\nHost: x\r\n\r\n".to_owned(),
            505,
        ),
        (
            "CONNECT sync.example.com:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                .to_owned(),
            403,
        ),
        (
            "GET http://elsewhere.example/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                .to_owned(),
            403,
        ),
        (
            "GET /admin HTTP/1.1\r\nHost: 127.0.0.1:9280\r\nConnection: close\r\n\r\n".to_owned(),
            403,
        ),
    ] {
        let got = exchange(address, request.as_bytes()).await;
        let got = String::from_utf8_lossy(&got);
        assert!(
            got.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request:.99}\n{got}"
        );
        assert_eq!(got.matches("HTTP/1.1 ").count(), 1, "{got}");
        tried += 1;
    }
    // Chunks beyond a message, and a body that ends early.
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let large = format!("{start}Transfer-Encoding: chunked\r\n\r\n{chunk}1\r\nx\r\n0\r\n\r\n");
    let got = exchange(address, large.as_bytes()).await;
    assert!(
        got.starts_with(b"HTTP/1.1 413 "),
        "{}",
        String::from_utf8_lossy(&got)
    );
    let mut tcp = connect(address).await;
    tcp.write_all(format!("{start}Content-Length: 9\r\n\r\nshort").as_bytes())
        .await
        .unwrap();
    tcp.shutdown().await.unwrap();
    rest(&mut tcp).await;
    assert_eq!(origin.heard_in_all(), 0, "{tried} tried");
    assert!(!gateway.log().contains("panicked"));
}

#[tokio::test]
async fn a_handset_that_vanishes_cancels_its_request_and_one_that_only_closes_its_side_does_not() {
    let origin = Origin::start().await;
    let (gateway, address) = start(&origin.uri(), "").await;
    let get = |path: &str| format!("GET http://sync.example.com{path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut gone = connect(address).await;
    gone.write_all(get("/stall").as_bytes()).await.unwrap();
    origin.wait(|state| state.heard.len() == 1).await;
    socket2::SockRef::from(&gone)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(gone);
    origin.wait(|state| state.abandoned == 1).await;
    let line = gateway.line("access: exchange").await;
    assert!(line.contains("ending=\"aborted\""), "{line}");
    let mut half = connect(address).await;
    half.write_all(get("/hold").as_bytes()).await.unwrap();
    half.shutdown().await.unwrap();
    origin.wait(|state| state.heard.len() == 2).await;
    origin.release();
    let got = String::from_utf8(rest(&mut half).await).unwrap();
    assert!(got.ends_with("\r\n\r\nheld"), "{got}");
    // Two requests, the second of which has begun when the first is answered, and chunks.
    let mut half = connect(address).await;
    let echo = "POST http://sync.example.com/echo HTTP/1.1\r\nHost: x\r\n";
    let second = format!("{echo}Transfer-Encoding: chunked\r\n\r\n4\r\nlast\r\n0\r\n\r\n");
    let both = [get("/bytes/9"), second].concat();
    half.write_all(both.as_bytes()).await.unwrap();
    half.shutdown().await.unwrap();
    let got = rest(&mut half).await;
    assert!(
        got.ends_with(b"\r\n\r\nlast"),
        "{}",
        String::from_utf8_lossy(&got)
    );
    assert_eq!(origin.heard("/echo").len(), 1);
}

#[tokio::test]
async fn empty_lines_without_end_are_no_request() {
    let origin = Origin::start().await;
    let (_gateway, address) = start(&origin.uri(), "").await;
    let got = exchange(address, &b"\r\n".repeat(20_000)).await;
    assert!(
        got.starts_with(b"HTTP/1.1 400 "),
        "{}",
        String::from_utf8_lossy(&got)
    );
}

#[tokio::test]
async fn a_slow_body_is_waited_for_and_a_silent_one_is_not() {
    let origin = Origin::start().await;
    let (_gateway, address) = start(&origin.uri(), "[http]\nidle_timeout = \"5s\"\n").await;
    let head = "POST http://sync.example.com/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\
                Connection: close\r\n\r\n";
    let slow = async {
        let mut tcp = connect(address).await;
        tcp.write_all(head.as_bytes()).await.unwrap();
        for octet in b"slowbody" {
            sleep(Duration::from_secs(1)).await;
            tcp.write_all(&[*octet]).await.unwrap();
        }
        rest(&mut tcp).await
    };
    let silent = async {
        let mut tcp = connect(address).await;
        tcp.write_all(head.as_bytes()).await.unwrap();
        rest(&mut tcp).await
    };
    let headless = async {
        let mut tcp = connect(address).await;
        tcp.write_all(b"GET / HT").await.unwrap();
        rest(&mut tcp).await
    };
    let (slow, silent, headless) = tokio::join!(slow, silent, headless);
    assert!(
        slow.ends_with(b"\r\n\r\nslowbody"),
        "{}",
        String::from_utf8_lossy(&slow)
    );
    assert!(
        silent.starts_with(b"HTTP/1.1 408 "),
        "{}",
        String::from_utf8_lossy(&silent)
    );
    assert!(!String::from_utf8_lossy(&headless).contains(" 200 "));
}

#[tokio::test]
async fn idle_connections_of_a_source_give_way_to_new_ones() {
    let origin = Origin::start().await;
    let limits = "[http]\nmax_connections_per_source = 3\n";
    let (gateway, address) = start(&origin.uri(), limits).await;
    let get = "GET http://sync.example.com/hold HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut busy = connect(address).await;
    busy.write_all(get.as_bytes()).await.unwrap();
    origin.wait(|state| state.heard.len() == 1).await;
    // A connection of another source keeps its place.
    let neighbour = TcpSocket::new_v4().unwrap();
    neighbour.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut neighbour = neighbour.connect(address).await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..6 {
        idle.push(connect(address).await);
    }
    assert!(rest(&mut idle[0]).await.is_empty());
    origin.release();
    assert!(rest(&mut busy).await.ends_with(b"held"));
    neighbour.write_all(get.as_bytes()).await.unwrap();
    assert!(rest(&mut neighbour).await.ends_with(b"held"));
    let mut last = connect(address).await;
    last.write_all(get.as_bytes()).await.unwrap();
    assert!(rest(&mut last).await.ends_with(b"held"));
    drop(gateway);
}

#[tokio::test]
async fn only_a_trusted_proxy_names_the_handset() {
    let origin = Origin::start().await;
    let proxies = "[http]\ntrusted_proxies = [\"127.0.0.2\"]\nmax_connections_per_source = 1\n";
    let (gateway, address) = start(&origin.uri(), proxies).await;
    let request = "GET http://sync.example.com/echo HTTP/1.1\r\nHost: x\r\n\
                   X-Forwarded-For: 203.0.113.5, 192.0.2.7\r\nConnection: close\r\n\r\n";
    let from = |local: &str| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(local.parse().unwrap()).unwrap();
        socket.connect(address)
    };
    for (local, handset) in [("127.0.0.2:0", "192.0.2.7"), ("127.0.0.1:0", "127.0.0.1")] {
        let mut tcp = from(local).await.unwrap();
        tcp.write_all(request.as_bytes()).await.unwrap();
        let got = String::from_utf8(rest(&mut tcp).await).unwrap();
        assert!(got.starts_with("HTTP/1.1 200 "), "{got}");
        let heard = origin.heard("/echo").pop().unwrap();
        assert_eq!(heard.headers["forwarded"], format!("for={handset}"));
        assert_eq!(heard.headers["x-forwarded-for"], handset);
    }
    let line = gateway.line("peer=192.0.2.7:0").await;
    assert!(line.contains("access: exchange"), "{line}");
    // A proxy shares no source's connections.
    let mut proxied = Vec::new();
    for _ in 0..3 {
        proxied.push(from("127.0.0.2:0").await.unwrap());
    }
    for tcp in &mut proxied {
        tcp.write_all(request.as_bytes()).await.unwrap();
        assert!(rest(tcp).await.starts_with(b"HTTP/1.1 200 "));
    }
}
