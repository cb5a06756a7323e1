//! `wapbridge proxy`: any HTTP program over WSP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};

use super::gateway::{Gateway, PROGRAM, configuration};
use crate::support::certificate::new_authority;
use crate::support::origin::echo;

/// A running proxy.
struct Proxy {
    process: Child,
    address: String,
}

impl Proxy {
    fn start(gateway: &str, options: &[&str]) -> Self {
        let mut process = Command::new(PROGRAM)
            .args(["proxy", "--listen", "127.0.0.1:0", "--gateway", gateway])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = process.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).unwrap();
        let address = address.split(' ').next().unwrap().to_owned();
        Self { process, address }
    }

    /// A program's connection.
    fn connect(&self) -> Program {
        Program(BufReader::new(TcpStream::connect(&self.address).unwrap()))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Program(BufReader<TcpStream>);

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Program {
    fn ask(&mut self, head: &str, body: &[u8]) -> Answer {
        let head = match body {
            [] => format!("{head}\r\n\r\n"),
            body => format!("{head}\r\nContent-Length: {}\r\n\r\n", body.len()),
        };
        let stream = self.0.get_mut();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Answer {
            status: 0,
            head: String::new(),
            body: Vec::new(),
        };
        while !answer.head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut answer.head).unwrap() > 0);
        }
        answer.status = answer.head.split(' ').nth(1).unwrap().parse().unwrap();
        let head = answer.head.to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        answer.body.resize(length, 0);
        self.0.read_exact(&mut answer.body).unwrap();
        answer
    }
}

#[test]
fn requests_in_every_form_pass_a_bad_network_unchanged() {
    let authority = new_authority("proxy");
    let port = echo(&authority, "hello");
    let configuration = configuration("127.0.0.1:0", port)
        + "[wtp]\nlong_retry = \"300ms\"\ngroup_retry = \"300ms\"\n";
    let gateway = Gateway::start("proxy", &configuration, &authority.pem());
    let impairments = [
        "--loss",
        "5",
        "--duplicate",
        "10",
        "--reorder",
        "10",
        "--delay",
        "5",
    ];
    let proxy = Proxy::start(&gateway.address, &impairments);
    let mut program = proxy.connect();

    let body: Vec<u8> = (0..60_000u32)
        .map(|n| n.to_le_bytes()[1] ^ n.to_le_bytes()[0])
        .collect();
    let answer = program.ask(
        "POST http://sync.example/a HTTP/1.1\r\nHost: x\r\nContent-Type: a/b",
        &body,
    );
    assert_eq!(answer.status, 200);
    assert!(
        answer.body == body,
        "{} octets came back",
        answer.body.len()
    );
    assert!(
        answer.head.contains("content-type: x/echo\r\n"),
        "{}",
        answer.head
    );
    assert!(
        answer.head.contains("x-origin: hello\r\n"),
        "{}",
        answer.head
    );

    let answer = program.ask("GET /b HTTP/1.1\r\nHost: sync.example", b"");
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (200, b"hello".as_slice())
    );

    // Both on one connection, so in one session.
    let session = |line: String| {
        line.split("session=")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    // An exchange whose last Ack is lost may end after the next one.
    let lines = [(); 2].map(|()| gateway.says("uri=\"http://sync.example/"));
    for path in ["/a\"", "/b\""] {
        assert!(lines.iter().any(|line| line.contains(path)), "{lines:?}");
    }
    let [first, second] = lines.map(session);
    assert_eq!(first, second);
}

#[test]
fn the_proxy_connects_again_when_the_gateway_lost_the_session() {
    let authority = new_authority("proxy");
    let port = echo(&authority, "hello");
    // A port that stays the same when the gateway is started again.
    let address = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut gateway = Gateway::start(
        "anew",
        &configuration(&address.to_string(), port),
        &authority.pem(),
    );
    let proxy = Proxy::start(&gateway.address, &[]);
    let mut program = proxy.connect();
    for round in 0..3 {
        let answer = program.ask("POST /x HTTP/1.1\r\nHost: sync.example", b"again");
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (200, b"again".as_slice()),
            "round {round}"
        );
        gateway.restart();
    }
}

#[test]
fn what_cannot_be_asked_is_answered_in_words() {
    // A silent socket in place of a gateway.
    let mute = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap().to_string();
    let proxy = Proxy::start(&address, &["--timeout", "1"]);
    let ask = |head: &str, body: &[u8]| {
        let answer = proxy.connect().ask(head, body);
        (answer.status, String::from_utf8(answer.body).unwrap())
    };
    let (status, text) = ask("GET http://sync.example/ HTTP/1.1\r\nHost: x", b"");
    assert_eq!(status, 504);
    assert!(text.starts_with("wapbridge proxy: "), "{text}");
    let (status, text) = ask("CONNECT sync.example:443 HTTP/1.1\r\nHost: x", b"");
    assert_eq!(status, 501);
    assert!(text.contains("ask for http://"), "{text}");
    assert_eq!(
        ask("PATCH http://sync.example/ HTTP/1.1\r\nHost: x", b"x").0,
        501
    );
    assert_eq!(
        ask("GET http://sync.example/ HTTP/1.1\r\nHost: x", b"x").0,
        400
    );
}
