//! A subscriber's trace: through the admin port, through `wapbridge trace`, and the values it
//! masks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Command, Stdio};

use super::gateway::{Gateway, PROGRAM, configuration};
use crate::support::certificate::new_authority;
use crate::support::origin::echo;

pub(super) const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const SECRET: &str = "Zm9vOnNlY3JldHNlY3JldA";

fn gateway(name: &str) -> Gateway {
    gateway_with(name, "")
}

fn gateway_with(name: &str, more: &str) -> Gateway {
    let authority = new_authority(name);
    let port = echo(&authority, "hello");
    let admin = format!("[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"{TOKEN}\"\n");
    let configuration =
        configuration("127.0.0.1:0", port).replace("[admin]\nlisten = []\n", &(admin + more));
    let gateway = Gateway::start(name, &configuration, &authority.pem());
    gateway.write("token", TOKEN);
    gateway
}

pub(super) fn ask(gateway: &Gateway, request: &str, token: &str, body: &str) -> (u16, String) {
    let mut tcp = TcpStream::connect(&gateway.admin).unwrap();
    let length = body.len();
    let head = format!(
        "{request} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    tcp.write_all(head.as_bytes()).unwrap();
    let mut reply = Vec::new();
    tcp.read_to_end(&mut reply).unwrap();
    let reply = String::from_utf8_lossy(&reply).into_owned();
    (reply[9..12].parse().unwrap(), reply)
}

/// A SyncML message that takes several packets, with a credential in its header and one in the last item.
fn message() -> Vec<u8> {
    let item = |number: u32| {
        format!(
            "<Add><CmdID>{}</CmdID><Item><Source><LocURI>{number}</LocURI></Source><Data>{}</Data></Item></Add>",
            number + 2,
            SECRET.repeat(10)
        )
    };
    let items: String = (0..20).map(item).collect();
    let xml = format!(
        "<SyncML><SyncHdr><VerDTD>1.1</VerDTD><VerProto>SyncML/1.1</VerProto><SessionID>9</SessionID><MsgID>1</MsgID>\
         <Cred><Meta><Type xmlns='syncml:metinf'>syncml:auth-basic</Type></Meta><Data>{SECRET}</Data></Cred></SyncHdr>\
         <SyncBody><Alert><CmdID>1</CmdID><Data>201</Data></Alert><Sync><CmdID>2</CmdID>{items}</Sync><Final/></SyncBody></SyncML>"
    );
    let mut wbxml = Vec::new();
    let options = wapbridge::wbxml::xml::WbxmlOptions::default();
    wapbridge::wbxml::xml::from_xml(xml.as_bytes(), &options, &mut wbxml).unwrap();
    wbxml
}

fn post(gateway: &Gateway) {
    let mut child = Command::new(PROGRAM)
        .args([
            "post",
            "--quiet",
            "--gateway",
            &gateway.address,
            "--data",
            "-",
        ])
        .args(["-H", &format!("Authorization: Basic {SECRET}")])
        .arg(format!("http://sync.example/sync?key={SECRET}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&message()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_subscriber_is_watched_down_to_its_commands_and_no_secret_is_told() {
    let gateway = gateway("trace");
    let file = gateway.path("trace.pcapng");
    let mut watching = Command::new(PROGRAM)
        .args([
            "trace",
            "--ip",
            "127.0.0.1",
            "--for",
            "60s",
            "--verbose",
            "--admin",
        ])
        .arg(format!("http://{}", gateway.admin))
        .arg("--token-file")
        .arg(gateway.path("token"))
        .arg("--pcap")
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(watching.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_eq!(line, "trace 1 of 127.0.0.1/32 for 60s; Ctrl-C ends it\n");
    let begun = gateway.says("trace begun");
    assert!(begun.contains("subject=\"127.0.0.1/32\""), "{begun}");

    post(&gateway);
    let mut stdout = BufReader::new(watching.stdout.take().unwrap());
    let mut told = String::new();
    while !told.contains("exchange over: ") {
        assert!(stdout.read_line(&mut told).unwrap() > 0, "{told}");
    }
    let pid = watching.id().to_string();
    let killed = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(killed.success());
    stdout.read_to_string(&mut told).unwrap();
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert!(watching.wait().unwrap().success(), "{said}");
    assert!(
        said.contains("stopped: ") && said.contains("0 not caught"),
        "{said}"
    );
    let ended = gateway.says("trace ended");
    assert!(
        ended.contains("why=Stopped") && ended.contains("lost=0"),
        "{ended}"
    );

    for words in [
        "WSP Connect",
        "WTP Segmented Invoke",
        "WTP Segmented Result",
        "SyncML/1.1, session 9, message 1",
        "Alert 1: 201 slow synchronization",
        "Add 3",
        "credentials: syncml:auth-basic, 22 octets, not shown",
        "Authorization: Basic (masked)",
        "http://sync.example/sync?***",
        "=> ",
        "<= ",
        "answered with 200 OK",
        "200 OK, acknowledged",
    ] {
        assert!(told.contains(words), "{words} in\n{told}");
    }
    let capture = std::fs::read(&file).unwrap();
    let part = &SECRET[..8];
    assert!(!told.contains(part));
    assert!(!capture.windows(8).any(|octets| octets == part.as_bytes()));
    let decoded = Command::new(PROGRAM)
        .arg("decode")
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        decoded.status.success(),
        "{}",
        String::from_utf8_lossy(&decoded.stderr)
    );
    let decoded = String::from_utf8(decoded.stdout).unwrap();
    assert!(decoded.contains("WTP Segmented Invoke"), "{decoded}");
}

#[test]
fn traces_need_the_token_and_are_few_and_end() {
    let gateway = gateway("traces");
    for (request, body) in [
        ("GET /trace", ""),
        ("POST /trace", "{\"ip\":\"192.0.2.1\"}"),
        ("GET /trace/1/events", ""),
        ("GET /trace/1.pcapng", ""),
        ("DELETE /trace/1", ""),
    ] {
        assert_eq!(ask(&gateway, request, "wrong", body).0, 401, "{request}");
    }
    let (status, reply) = ask(&gateway, "POST /trace", TOKEN, "{\"ip\":\"10.0.0.0/8\"}");
    assert!(status == 400 && reply.contains("too large"), "{reply}");
    assert_eq!(ask(&gateway, "POST /trace", TOKEN, "{\"who\":1}").0, 422);
    for _ in 0..4 {
        let body = "{\"ip\":\"192.0.2.1\",\"for\":\"1h\"}";
        assert_eq!(ask(&gateway, "POST /trace", TOKEN, body).0, 201);
    }
    let (status, reply) = ask(&gateway, "POST /trace", TOKEN, "{\"msisdn\":\"491701\"}");
    assert!(
        status == 429 && reply.contains("stop one of them"),
        "{reply}"
    );
    assert_eq!(ask(&gateway, "DELETE /trace/2", TOKEN, "").0, 204);
    let ended = gateway.says("trace ended");
    assert!(
        ended.contains("trace=2") && ended.contains("why=Stopped"),
        "{ended}"
    );
    // A trace ends after its time, and its events stay for a while: the stream ends with its row.
    let body = "{\"msisdn\":\"491701\",\"for\":\"1s\"}";
    assert_eq!(ask(&gateway, "POST /trace", TOKEN, body).0, 201);
    let (status, events) = ask(&gateway, "GET /trace/5/events", TOKEN, "");
    assert!(
        status == 200 && events.contains("\"ended\":\"time_up\""),
        "{events}"
    );
    assert!(
        ask(&gateway, "GET /trace", TOKEN, "")
            .1
            .contains("\"subject\":\"491701\"")
    );
    assert_eq!(ask(&gateway, "DELETE /trace/5", TOKEN, "").0, 204);
    assert_eq!(ask(&gateway, "GET /trace/5", TOKEN, "").0, 404);
}

/// An Invoke of class 2 that every handset's provider could send.
fn invoke(tid: u8, sdu: &[u8]) -> Vec<u8> {
    [&[0x0A, 0x10, tid, 0x02][..], sdu].concat()
}

/// Sends an SDU until there is a Result, and acknowledges the Result; returns its content.
fn result(socket: &UdpSocket, tid: u8, sdu: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 2048];
    socket.send(&invoke(tid, sdu)).unwrap();
    loop {
        let len = socket.recv(&mut buffer).unwrap();
        match buffer[0] >> 3 & 0x0F {
            2 => {
                socket.send(&[0x18, 0x10, tid]).unwrap();
                return buffer[3..len].to_vec();
            }
            // Is this transaction new? It is.
            3 if buffer[0] & 0x04 != 0 => drop(socket.send(&[0x1C, 0x10, tid]).unwrap()),
            _ => {}
        }
    }
}

#[test]
fn a_number_is_followed_to_the_address_from_which_its_session_is_resumed() {
    let gateway = gateway_with(
        "number",
        "[identity]\nsubscribers = [\"127.0.0.1,491701234567\"]\n",
    );
    let body = "{\"msisdn\":\"+491701234567\",\"for\":\"1h\"}";
    assert_eq!(ask(&gateway, "POST /trace", TOKEN, body).0, 201);
    let phone = |address: &str| {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.connect(&gateway.address).unwrap();
        socket
            .set_read_timeout(Some(std::time::Duration::from_secs(20)))
            .unwrap();
        socket
    };
    // First another handset, which the trace must not show.
    result(&phone("127.0.0.3"), 1, b"\x01\x10\x00\x00");
    // A Connect that asks for resumption, then a Resume from elsewhere.
    let reply = result(&phone("127.0.0.1"), 1, b"\x01\x10\x03\x00\x02\x82\x20");
    assert_eq!(reply[0], 0x02);
    let end = 2 + reply[1..]
        .iter()
        .position(|octet| octet & 0x80 == 0)
        .unwrap();
    let resume = [b"\x09", &reply[1..end], b"\x00"].concat();
    // The Resume may arrive at the other shard. That shard knew the session before the trace had
    // all events so far, and has applied the command once it answers a question.
    let seen = "\"entries\":5,";
    let until = super::now() + std::time::Duration::from_secs(20);
    while !ask(&gateway, "GET /trace", TOKEN, "").1.contains(seen) {
        assert!(super::now() < until, "the Connect is not seen");
    }
    assert_eq!(ask(&gateway, "GET /sessions", TOKEN, "").0, 200);
    let moved = phone("127.0.0.2");
    assert_eq!(result(&moved, 1, &resume)[0], 0x04);
    let from = moved.local_addr().unwrap();
    assert_eq!(ask(&gateway, "DELETE /trace/1", TOKEN, "").0, 204);
    let events = ask(&gateway, "GET /trace/1/events", TOKEN, "").1;
    for words in [
        "WSP ConnectReply",
        &format!("resumed from {from}"),
        "WSP Resume",
        "WSP Reply",
    ] {
        assert!(events.contains(words), "{words} in {events}");
    }
    assert!(!events.contains("127.0.0.3"), "{events}");
}

#[test]
fn a_session_has_one_name_wherever_one_reads_of_it_and_its_id_is_nowhere() {
    let gateway = gateway("names");
    let body = "{\"ip\":\"127.0.0.1\",\"for\":\"1h\"}";
    assert_eq!(ask(&gateway, "POST /trace", TOKEN, body).0, 201);
    let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
    phone.connect(&gateway.address).unwrap();
    phone
        .set_read_timeout(Some(std::time::Duration::from_secs(20)))
        .unwrap();
    let reply = result(&phone, 1, b"\x01\x10\x00\x00");
    let end = 2 + reply[1..]
        .iter()
        .position(|octet| octet & 0x80 == 0)
        .unwrap();
    let octets = &reply[1..end];
    let id = octets
        .iter()
        .fold(0u32, |id, octet| id << 7 | u32::from(octet & 0x7F));
    let uri = b"http://sync.example/named";
    let get = [&[0x40, u8::try_from(uri.len()).unwrap()][..], uri].concat();
    assert_eq!(result(&phone, 2, &get)[0], 0x04);

    let line = gateway.says("http://sync.example/named");
    let name = line.split("session=").nth(1).unwrap();
    let name = name.split(' ').next().unwrap();
    assert_eq!(name.len(), 12, "{line}");
    let listed = ask(&gateway, "GET /sessions", TOKEN, "").1;
    assert!(
        listed.contains(&format!("\"session\":\"{name}\"")),
        "{listed}"
    );
    assert_eq!(ask(&gateway, "DELETE /trace/1", TOKEN, "").0, 204);
    let events = ask(&gateway, "GET /trace/1/events", TOKEN, "").1;
    // With the Connect Reply, and with the end of the exchange.
    let told = events.matches(&format!("\"session\":\"{name}\"")).count();
    assert_eq!(told, 2, "{events}");
    for text in [&line, &listed, &events] {
        assert!(!text.contains(&id.to_string()), "{id} in {text}");
    }
    let mut tcp = TcpStream::connect(&gateway.admin).unwrap();
    let head = "GET /trace/1.pcapng HTTP/1.0\r\nhost: localhost\r\nauthorization: Bearer ";
    tcp.write_all(format!("{head}{TOKEN}\r\n\r\n").as_bytes())
        .unwrap();
    let mut file = Vec::new();
    tcp.read_to_end(&mut file).unwrap();
    assert!(file.windows(uri.len()).any(|found| found == uri));
    let found = file.windows(octets.len()).any(|found| found == octets);
    assert!(!found || octets.len() < 4, "{octets:02x?}");
}
