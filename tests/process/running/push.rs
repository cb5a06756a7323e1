//! Push initiators in front of the running gateway: what they are answered, and what reaches a telephone.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use wapbridge::push::pap::{self, Operation, Response, ResultNotification, Status};

use super::gateway::Gateway;
use super::now;
use crate::support::certificate::new_authority;

/// A gateway with an initiator that may push to loopback, and a telephone that hears pushes.
pub(super) struct Stage {
    pub(super) gateway: Gateway,
    pub(super) phone: UdpSocket,
    pub(super) results: Results,
}

/// An initiator's port for results.
pub(super) struct Results {
    pub(super) url: String,
    /// What was told, and when.
    pub(super) heard: mpsc::Receiver<(Instant, ResultNotification)>,
}

impl Results {
    fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/results", listener.local_addr().unwrap());
        let (tell, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let tell = tell.clone();
                std::thread::spawn(move || serve(stream.unwrap(), &tell));
            }
        });
        Self { url, heard }
    }

    pub(super) fn next(&self) -> ResultNotification {
        self.heard.recv_timeout(Duration::from_secs(30)).unwrap().1
    }
}

/// Takes results from one connection and acknowledges them.
fn serve(mut stream: TcpStream, tell: &mpsc::Sender<(Instant, ResultNotification)>) {
    while let Some((_, body)) = read_message(&mut stream) {
        let (versions, operation) = pap::read(&body, 10).unwrap();
        let Operation::Notification(result) = operation else {
            panic!("{operation:?}")
        };
        let response = Response::Notification {
            push_id: result.push_id.clone(),
            address: result.address.clone(),
            code: Status::OK,
            desc: None,
        };
        let _ = tell.send((now(), *result));
        let document = pap::write_response(&versions, &response);
        let head = format!(
            "HTTP/1.1 202 Accepted\r\nContent-Length: {}\r\n\r\n",
            document.len()
        );
        if stream
            .write_all(format!("{head}{document}").as_bytes())
            .is_err()
        {
            return;
        }
    }
}

/// The head and the body of one HTTP message.
pub(super) fn read_message(stream: &mut impl Read) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    let mut octet = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut octet).ok()?;
        head.push(octet[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.to_ascii_lowercase();
    let length = length
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

pub(super) fn stage(name: &str, more: &str) -> Stage {
    stage_with(name, more, "")
}

/// A stage with more settings of the section behind `[push]`, and of the initiator.
pub(super) fn stage_with(name: &str, more: &str, of_initiator: &str) -> Stage {
    stage_of(name, more, of_initiator, &[], |text| text)
}

/// The same with files beside the configuration, which `change` makes special.
pub(super) fn stage_of(
    name: &str,
    more: &str,
    of_initiator: &str,
    files: &[(&str, &str)],
    change: impl FnOnce(String) -> String,
) -> Stage {
    let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
    phone
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let port = phone.local_addr().unwrap().port();
    let timeout = match more.contains("request_timeout") {
        true => "",
        false => "request_timeout = \"2s\"\n",
    };
    let configuration = format!(
        "[listen]\nconnection_mode = \"127.0.0.1:0\"\nconnectionless = \"127.0.0.1:0\"\n[admin]\nlisten = \
         \"127.0.0.1:0\"\n[[route]]\nmatch = \"http://sync.example/\"\nupstream = \"https://localhost:1/\"\n\
         [tls]\nca_file = \"ca.pem\"\n[push]\nlisten = \"127.0.0.1:0\"\nnotify_networks = [\"127.0.0.0/8\"]\n\
         notify_plaintext = true\n{timeout}{more}\n\
         [[push.application]]\nid = \"x-wap-application:push.syncml\"\nport = {port}\n\
         [[push.initiator]]\nname = \"sync\"\nuser = \"sync\"\npassword = \"open sesame 12345\"\n\
         targets = [\"127.0.0.0/8\", \"+49170\"]\n{of_initiator}"
    );
    let authority = new_authority("push").pem();
    Stage {
        gateway: Gateway::start_with(name, &change(configuration), &authority, files),
        phone,
        results: Results::listen(),
    }
}

impl Stage {
    pub(super) fn connect(&self) -> TcpStream {
        let address = self.gateway.pushes.as_ref().unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        stream
    }

    /// The status of HTTP, and the document.
    pub(super) fn ask(&self, request: &str, body: &[u8]) -> (u16, String) {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        // A gateway that refuses early may have closed already.
        let _ = stream.write_all(body);
        let (head, body) = read_message(&mut stream).unwrap();
        (
            head[9..12].parse().unwrap(),
            String::from_utf8(body).unwrap(),
        )
    }

    pub(super) fn post(&self, kind: &str, body: &[u8]) -> (u16, String) {
        self.post_as("sync", kind, body)
    }

    /// The same as another initiator with the same password.
    pub(super) fn post_as(&self, user: &str, kind: &str, body: &[u8]) -> (u16, String) {
        let credentials = STANDARD.encode(format!("{user}:open sesame 12345"));
        let head = format!(
            "POST /pap HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        self.ask(&head, body)
    }

    /// Submits "hello" to the telephone; the code.
    pub(super) fn submit(&self, id: &str, attributes: &str) -> String {
        let body = submission(id, attributes, PHONE);
        let (status, answer) = self.post("multipart/related; boundary=x", body.as_bytes());
        assert_eq!(status, 202, "{answer}");
        code(&answer)
    }

    /// Submits "hello" to a client by this delivery method. The result goes to [`Results`].
    pub(super) fn submit_to(&self, id: &str, address: &str, method: &str) {
        let notify = format!("ppg-notify-requested-to=\"{}\"", self.results.url);
        let quality = format!("<quality-of-service delivery-method=\"{method}\"/></push-message>");
        let body = submission(id, &notify, address).replace("</push-message>", &quality);
        let (status, answer) = self.post("multipart/related; boundary=x", body.as_bytes());
        assert_eq!((status, code(&answer).as_str()), (202, "1001"), "{answer}");
    }

    /// The admin port's answer to a GET: head and body.
    pub(super) fn admin(&self, path: &str) -> String {
        let mut admin = TcpStream::connect(&self.gateway.admin).unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        admin.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        admin.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Waits until the metrics have a line.
    pub(super) fn counts(&self, line: &str) {
        let begun = now();
        loop {
            let metrics = self.admin("/metrics");
            if metrics.lines().any(|it| it == line) {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{line} in {metrics}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The telephone hears a push.
    pub(super) fn hear_any(&self) {
        self.phone.recv(&mut [0; 2_000]).unwrap();
    }

    /// What the telephone hears: headers and body behind the transaction id.
    pub(super) fn hear(&self) -> Vec<u8> {
        let mut datagram = [0; 2_000];
        let length = self.phone.recv(&mut datagram).unwrap();
        datagram[1..length].to_vec()
    }
}

pub(super) const PHONE: &str = "WAPPUSH=127.0.0.1/TYPE=IPv4@gw";

pub(super) fn submission(id: &str, attributes: &str, address: &str) -> String {
    format!(
        "--x\r\nContent-Type: application/xml\r\n\r\n<?xml version=\"1.0\"?><!DOCTYPE pap PUBLIC \
         \"-//WAPFORUM//DTD PAP 2.0//EN\" \"http://www.wapforum.org/DTD/pap_2.0.dtd\"><pap><push-message \
         push-id=\"{id}\" {attributes}><address address-value=\"{address}\"/></push-message></pap>\r\n\
         --x\r\nContent-Type: application/vnd.syncml.notification\r\n\
         X-Wap-Application-Id: x-wap-application:push.syncml\r\n\r\nhello {id}\r\n--x--\r\n"
    )
}

pub(super) fn code(answer: &str) -> String {
    let (_, rest) = answer
        .split_once("code=\"")
        .unwrap_or_else(|| panic!("{answer}"));
    rest[..4].to_owned()
}

#[test]
fn a_push_reaches_a_telephone_and_its_result_the_initiator() {
    let stage = stage("push", "");
    let notify = format!("ppg-notify-requested-to=\"{}\"", stage.results.url);
    assert_eq!(stage.submit("1", &notify), "1001");
    // Push: application/vnd.syncml.notification, X-Wap-Application-Id 5.
    assert_eq!(stage.hear(), b"\x06\x03\xC4\xAF\x85hello 1");
    let result = stage.results.next();
    assert_eq!(
        (result.push_id.as_str(), result.address.as_str()),
        ("1", PHONE)
    );
    assert_eq!(
        (result.state.name(), result.code),
        ("delivered", Status::OK)
    );
    assert_eq!(stage.submit("1", ""), "2007");
    let query = "<pap><statusquery-message push-id=\"1\"/></pap>";
    let (_, answer) = stage.post("application/xml", query.as_bytes());
    assert!(answer.contains("message-state=\"delivered\""), "{answer}");
    let line = stage.gateway.says("access: push");
    assert!(
        line.contains("state=\"delivered\"") && line.contains("bearer=\"udp\""),
        "{line}"
    );
    let list = stage.admin("/pushes");
    assert!(
        list.contains("\"push_id\":\"1\"") && list.contains("\"state\":\"delivered\""),
        "{list}"
    );
}

/// A confirmed push goes over HTTP to a terminal that serves it, and leaves a line in the access log and a charging
/// record.
#[test]
fn a_push_goes_over_http_and_leaves_its_records() {
    let terminal = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = terminal.local_addr().unwrap().port();
    let stage = stage(
        "push-http",
        &format!(
            "[push.http]\nnetworks = \"127.0.0.0/8\"\nport = {port}\n[records]\npath = \"records.jsonl\"\n\
             [identity]\nsubscribers = [\"127.0.0.1,491701234567\"]"
        ),
    );
    let notify = format!("ppg-notify-requested-to=\"{}\"", stage.results.url);
    let body = submission("1", &notify, PHONE).replace(
        "</push-message>",
        "<quality-of-service delivery-method=\"confirmed\"/></push-message>",
    );
    let (status, answer) = stage.post("multipart/related; boundary=x", body.as_bytes());
    assert_eq!((status, code(&answer).as_str()), (202, "1001"), "{answer}");
    let (mut stream, _) = terminal.accept().unwrap();
    let (options, _) = read_message(&mut stream).unwrap();
    assert!(
        options.starts_with("OPTIONS /wappush HTTP/1.1\r\n"),
        "{options}"
    );
    stream
        .write_all(
            b"HTTP/1.1 204 No Content\r\nX-Wap-Push-Status: 501\r\nX-Wap-Push-Accept: */*\r\n\r\n",
        )
        .unwrap();
    let (post, content) = read_message(&mut stream).unwrap();
    assert!(post.starts_with("POST /wappush HTTP/1.1\r\n"), "{post}");
    let content = String::from_utf8(content).unwrap();
    assert!(content.starts_with("HTTP/1.1 200 OK\r\n"), "{content}");
    assert!(
        content.contains("x-wap-application-id: x-wap-application:push.syncml\r\n"),
        "{content}"
    );
    assert!(content.ends_with("\r\n\r\nhello 1"), "{content}");
    stream
        .write_all(b"HTTP/1.1 204 No Content\r\nX-Wap-Push-Status: 400\r\n\r\n")
        .unwrap();
    let result = stage.results.next();
    assert_eq!(
        (result.state.name(), result.code),
        ("delivered", Status::OK)
    );
    assert_eq!(result.quality.unwrap().method, pap::Method::Confirmed);
    let line = stage.gateway.says("access: push");
    assert!(
        line.contains("bearer=\"http\"") && line.contains("attempts=2"),
        "{line}"
    );
    let begun = now();
    let record: serde_json::Value = loop {
        let text = std::fs::read(stage.gateway.path("records.jsonl.open")).unwrap_or_default();
        if let Ok(record) = serde_json::from_slice(&text) {
            break record;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "no record");
        std::thread::sleep(Duration::from_millis(20));
    };
    for (name, value) in [
        ("mode", "push"),
        ("cause", "delivered"),
        ("peer", "127.0.0.1"),
        ("msisdn", "491701234567"),
        ("initiator", "sync"),
        ("push_id", "1"),
        ("bearer", "http"),
    ] {
        assert_eq!(record[name], value, "{name} of {record}");
    }
    // The client has no session, so nothing is known of it; and the initiator may ask about its targets only.
    for (address, expected) in [(PHONE, "3008"), ("WAPPUSH=192.0.2.1/TYPE=IPv4@gw", "2001")] {
        let query =
            format!("<pap><ccq-message><address address-value=\"{address}\"/></ccq-message></pap>");
        let (_, answer) = stage.post("application/xml", query.as_bytes());
        assert_eq!(code(&answer), expected, "{answer}");
    }
}

/// Queries count against the rate as pushes do.
#[test]
fn queries_have_a_rate() {
    let stage = stage_with("push-rate", "", "rate = 1\nburst = 3\n");
    let query = "<pap><statusquery-message push-id=\"1\"/></pap>";
    let ask = || code(&stage.post("application/xml", query.as_bytes()).1);
    let codes: Vec<_> = (0..60).map(|_| ask()).collect();
    assert_eq!(codes[..3], ["2004", "2004", "2004"]);
    assert!(codes.iter().any(|code| code == "4001"), "{codes:?}");
}

/// Whatever comes is answered in PAP, within a bounded time.
#[test]
fn hostile_requests_are_answered_in_pap() {
    let stage = stage(
        "push-hostile",
        "max_request = \"64 KiB\"\nmax_recipients = 100",
    );
    let deep = "<a>".repeat(10_000);
    let bomb = "<!DOCTYPE pap [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><pap><push-message push-id=\"&b;\"/></pap>";
    let outside = "<!DOCTYPE pap [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><pap>&a;</pap>";
    let crowd = "<address address-value=\"WAPPUSH=127.0.0.1/TYPE=IPv4@gw\"/>".repeat(900);
    let crowd = format!("<pap><push-message push-id=\"1\">{crowd}</push-message></pap>");
    let parts = "--x\r\n\r\nA\r\n".repeat(2_000);
    for (kind, body, expected) in [
        ("application/xml", "", "2000"),
        ("text/html", "<html></html>", "2000"),
        (
            "application/xml",
            "<pap><push-message push-id=\"1\"/></pap>",
            "2000",
        ),
        ("application/xml", &deep, "2000"),
        ("application/xml", bomb, "2000"),
        ("application/xml", outside, "2000"),
        ("application/xml", &crowd, "3005"),
        ("multipart/related; boundary=x", &parts, "2000"),
        ("multipart/related", "nothing", "2000"),
        (
            "application/xml",
            "<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 9.9//EN\" \"x\"><pap/>",
            "3002",
        ),
    ] {
        let (status, answer) = stage.post(kind, body.as_bytes());
        assert_eq!(status, 202, "{answer}");
        assert!(
            answer.contains("<pap>") && !answer.contains("root:"),
            "{answer}"
        );
        assert_eq!(code(&answer), expected, "{answer}");
    }
    let large = vec![b'a'; 100_000];
    for (request, body, status) in [
        (
            "POST /pap HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            &large[..0],
            401,
        ),
        (
            "POST /pap HTTP/1.1\r\nHost: x\r\nAuthorization: Basic eDp5\r\nContent-Length: 0\r\n\r\n",
            &large[..0],
            401,
        ),
        (
            "GET /pap HTTP/1.1\r\nHost: x\r\nAuthorization: Basic c3luYzpvcGVuIHNlc2FtZSAxMjM0NQ==\r\n\r\n",
            &large[..0],
            405,
        ),
        (
            "POST /x HTTP/1.1\r\nHost: x\r\nAuthorization: Basic c3luYzpvcGVuIHNlc2FtZSAxMjM0NQ==\r\nContent-Length: 0\r\n\r\n",
            &large[..0],
            404,
        ),
        (
            "POST /pap HTTP/1.1\r\nHost: x\r\nAuthorization: Basic c3luYzpvcGVuIHNlc2FtZSAxMjM0NQ==\r\nContent-Length: 100000\r\n\r\n",
            &large[..],
            413,
        ),
        // A body that never comes.
        (
            "POST /pap HTTP/1.1\r\nHost: x\r\nAuthorization: Basic c3luYzpvcGVuIHNlc2FtZSAxMjM0NQ==\r\nContent-Length: 10\r\n\r\n",
            &large[..0],
            408,
        ),
    ] {
        let (got, answer) = stage.ask(request, body);
        assert_eq!(got, status, "{answer}");
        assert!(answer.contains("badmessage-response"), "{answer}");
    }
    // To whom it may not push, and whom it may not have told.
    let elsewhere = submission("2", "", "WAPPUSH=192.0.2.1/TYPE=IPv4@gw");
    let (_, answer) = stage.post("multipart/related; boundary=x", elsewhere.as_bytes());
    assert_eq!(code(&answer), "2001");
    assert_eq!(
        stage.submit("3", "ppg-notify-requested-to=\"file:///etc/passwd\""),
        "2001"
    );
    // Nothing was lost by all that.
    assert_eq!(stage.submit("4", ""), "1001");
    assert!(stage.hear().ends_with(b"hello 4"));
}
