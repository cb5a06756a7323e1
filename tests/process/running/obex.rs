//! The OBEX port of the running program, and clients that speak OBEX.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cli::process::{Gateway, recorded, run};
use crate::support::certificate::ca_file;
use crate::support::origin::{Origin, octets};

const REQUEST: &str = "s12-wbxml-mid-01-slow/02-req.wbxml";
const ANSWER: &str = "s12-wbxml-mid-01-slow/02-resp.wbxml";

/// A gateway with an OBEX port whose targets go to different paths, and that port's address.
async fn start(origin: &Origin) -> (Gateway, SocketAddr) {
    let uri = origin.uri();
    start_with(&format!(
        "[[route]]\nname = \"ds\"\nbinding = \"obex\"\nobex_target = \"SYNCML-SYNC\"\n\
         upstream = \"{uri}syncml/s12-wbxml-mid-01-slow/02\"\n\
         [[route]]\nname = \"release-99\"\nmatch = \"http://irmc-sync.obex/\"\nupstream = \"{uri}\"\n\
         allowed_methods = [\"GET\", \"PUT\", \"DELETE\"]\n\
         [[route]]\nname = \"wsp\"\nbinding = \"wsp\"\nmatch = \"http://sync.example.com/\"\n\
         upstream = \"{uri}\"\n"
    ))
    .await
}

/// The same with these routes.
async fn start_with(routes: &str) -> (Gateway, SocketAddr) {
    let gateway = Gateway::start(&format!(
        "[listen]\nconnection_mode = \"127.0.0.1:0\"\nobex = \"127.0.0.1:0\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n[http]\nidle_timeout = \"5s\"\n\
         {routes}[tls]\nca_file = \"{}\"\n",
        ca_file().display()
    ))
    .await;
    let line = gateway.line("listening for OBEX").await;
    let (_, address) = line.split_once("address=").unwrap();
    let address = address.split(' ').next().unwrap().parse().unwrap();
    (gateway, address)
}

/// A client, octet by octet (OBEX 3.3): no code of the gateway judges here.
struct Client(TcpStream);

impl Client {
    async fn connect(address: SocketAddr, target: &str, max_packet: u16) -> (Self, Vec<u8>) {
        let mut client = Self(TcpStream::connect(address).await.unwrap());
        let mut fixed = vec![0x10, 0];
        fixed.extend(max_packet.to_be_bytes());
        fixed.extend(octets_header(0x46, target.as_bytes()));
        let response = client.ask(0x80, &fixed).await;
        (client, response)
    }

    async fn send(&mut self, first: u8, rest: &[u8]) {
        let len = u16::try_from(rest.len() + 3).unwrap().to_be_bytes();
        let packet = [&[first, len[0], len[1]], rest].concat();
        self.0.write_all(&packet).await.unwrap();
    }

    async fn ask(&mut self, first: u8, rest: &[u8]) -> Vec<u8> {
        self.send(first, rest).await;
        self.response().await
    }

    async fn response(&mut self) -> Vec<u8> {
        let read = async {
            let mut packet = vec![0; 3];
            self.0.read_exact(&mut packet).await.unwrap();
            packet.resize(usize::from(u16::from_be_bytes([packet[1], packet[2]])), 0);
            self.0.read_exact(&mut packet[3..]).await.unwrap();
            packet
        };
        timeout(Duration::from_secs(20), read)
            .await
            .expect("a response")
    }

    /// Puts an object in packets of 400 octets of body.
    async fn put(&mut self, headers: &[u8], body: &[u8]) -> u8 {
        let mut parts = body.chunks(400).peekable();
        let mut rest = headers.to_vec();
        while let Some(part) = parts.next() {
            let is_last = parts.peek().is_none();
            rest.extend(octets_header(if is_last { 0x49 } else { 0x48 }, part));
            let response = self.ask(if is_last { 0x82 } else { 0x02 }, &rest).await;
            if is_last || response[0] != 0x90 {
                return response[0];
            }
            rest.clear();
        }
        unreachable!("an object has octets")
    }

    /// Gets an object, with the size of the largest packet.
    async fn get(&mut self, headers: &[u8]) -> (u8, Vec<u8>, usize) {
        let (mut body, mut largest) = (Vec::new(), 0);
        let mut response = self.ask(0x83, headers).await;
        loop {
            largest = largest.max(response.len());
            let mut rest = &response[3..];
            while let [id, after @ ..] = rest {
                let len = match id >> 6 {
                    3 => 5,
                    2 => 2,
                    _ => usize::from(u16::from_be_bytes([after[0], after[1]])),
                };
                if matches!(id, 0x48 | 0x49) {
                    body.extend_from_slice(&rest[3..len]);
                }
                rest = &rest[len..];
            }
            if response[0] != 0x90 {
                return (response[0], body, largest);
            }
            response = self.ask(0x83, &[]).await;
        }
    }
}

fn octets_header(id: u8, octets: &[u8]) -> Vec<u8> {
    let len = u16::try_from(octets.len() + 3).unwrap().to_be_bytes();
    [&[id, len[0], len[1]], octets].concat()
}

fn name(text: &str) -> Vec<u8> {
    let units = text.encode_utf16().chain([0]);
    octets_header(0x01, &units.flat_map(u16::to_be_bytes).collect::<Vec<u8>>())
}

fn wbxml() -> Vec<u8> {
    octets_header(0x42, b"application/vnd.syncml+wbxml\0")
}

#[tokio::test]
async fn a_message_is_put_and_its_answer_got_to_the_octet() {
    let origin = Origin::start().await;
    let (gateway, address) = start(&origin).await;
    let request = std::fs::read(recorded(REQUEST)).unwrap();
    let answer = std::fs::read(recorded(ANSWER)).unwrap();
    for max_packet in [255, 1_000, 65_535] {
        let (mut client, response) = Client::connect(address, "SYNCML-SYNC", max_packet).await;
        assert_eq!(response[0], 0xA0);
        assert!(response.ends_with(&octets_header(0x4A, b"SYNCML-SYNC")));
        let id = response[7..12].to_vec();
        assert_eq!(id[0], 0xCB);
        for _ in 0..2 {
            let headers = [id.clone(), wbxml()].concat();
            assert_eq!(client.put(&headers, &request).await, 0xA0);
            let (code, body, largest) = client.get(&headers).await;
            assert_eq!(code, 0xA0);
            assert!(body == answer && largest <= usize::from(max_packet));
        }
        assert_eq!(client.ask(0x81, &id).await, [0xA0, 0, 3]);
        assert_eq!(client.0.read(&mut [0]).await.unwrap(), 0);
    }
    assert_eq!(origin.heard_in_all(), 6);
    let line = gateway.line("access: exchange").await;
    for words in [
        "binding=obex",
        "route=\"ds\"",
        "method=POST",
        "syncml=\"1.2\"",
        "http://syncml-sync.obex/",
    ] {
        assert!(line.contains(words), "{words}: {line}");
    }
}

/// A server tells its sessions apart by a parameter of RespURI.
#[tokio::test]
async fn the_messages_of_a_session_go_where_its_server_wants_them() {
    let origin = Origin::start().await;
    let (_gateway, address) = start_with(&format!(
        "[[route]]\nobex_target = \"SYNCML-SYNC\"\nupstream = \"{}echo\"\n",
        origin.uri()
    ))
    .await;
    let (mut client, response) = Client::connect(address, "SYNCML-SYNC", 1_000).await;
    let xml = octets_header(0x42, b"application/vnd.syncml+xml\0");
    let headers = [response[7..12].to_vec(), xml].concat();
    // The origin returns each message, so the message names the address of the next one.
    for (number, resp_uri, target) in [
        (1, "http://10.9.9.9:8080/echo?sessionid=7", "/echo"),
        (2, "", "/echo?sessionid=7"),
        (
            3,
            "http://words.of.the.client/sync?sessionid=8",
            "/echo?sessionid=7",
        ),
        (4, "", "/echo?sessionid=8"),
        // Another session begins.
        (1, "", "/echo"),
        (2, "", "/echo"),
    ] {
        let named = match resp_uri {
            "" => String::new(),
            uri => format!("<RespURI>{uri}</RespURI>"),
        };
        let message = format!(
            "<?xml version=\"1.0\"?><SyncML><SyncHdr><VerDTD>1.1</VerDTD><VerProto>SyncML/1.1</VerProto>\
             <SessionID>5</SessionID><MsgID>{number}</MsgID><Target><LocURI>/</LocURI></Target>\
             <Source><LocURI>IMEI:1</LocURI></Source>{named}</SyncHdr><SyncBody><Final/></SyncBody>\
             </SyncML>"
        );
        let before = origin.heard(target).len();
        assert_eq!(client.put(&headers, message.as_bytes()).await, 0xA0);
        let (code, body, _) = client.get(&headers).await;
        assert_eq!(code, 0xA0);
        assert!(body == message.as_bytes());
        assert_eq!(origin.heard(target).len(), before + 1, "{number} {target}");
    }
}

#[tokio::test]
async fn the_command_line_speaks_obex() {
    let origin = Origin::start().await;
    let (_gateway, address) = start(&origin).await;
    let obex = format!("--obex={address}");
    let request = recorded(REQUEST);
    let file = request.to_str().unwrap();
    let uri = "http://unused.example/";
    let output = run(&["post", &obex, "--data", file, uri]).await.succeeds();
    assert!(output.stdout == std::fs::read(recorded(ANSWER)).unwrap());
    let irmc = [&*obex, "--obex-target", "IRMC-SYNC"];
    let get = [&["get"], &irmc[..], &["http://unused.example/bytes/90000"]].concat();
    let output = run(&get).await.succeeds();
    assert!(output.stdout == octets(90_000));
    let get = [&["get"], &irmc[..], &["http://unused.example/status/404"]].concat();
    run(&get).await.fails().says(&["404"]);
}

#[tokio::test]
async fn objects_of_release_99_go_to_their_own_server() {
    let origin = Origin::start().await;
    let (_gateway, address) = start(&origin).await;
    let (mut client, _) = Client::connect(address, "IRMC-SYNC", 1_000).await;
    let (code, body, _) = client.get(&name("bytes/3000")).await;
    assert_eq!(code, 0xA0);
    assert!(body == octets(3000));
    assert_eq!(
        client.put(&name("telecom/pb.vcf"), b"BEGIN:VCARD").await,
        0xA0
    );
    assert_eq!(origin.heard("/telecom/pb.vcf")[0].body, "BEGIN:VCARD");
    assert_eq!(client.ask(0x82, &name("telecom/pb/7.vcf")).await[0], 0xA0);
    assert_eq!(origin.heard("/telecom/pb/7.vcf")[0].method, "DELETE");
    let (code, ..) = client.get(&name("status/404")).await;
    assert_eq!(code, 0xC4);
    let (code, ..) = client.get(&name("../secret")).await;
    assert_eq!(code, 0xC3);
    // SyncML to a server of Release 99: no route allows the POST.
    assert_eq!(client.put(&wbxml(), b"x").await, 0xA0);
    let (code, ..) = client.get(&wbxml()).await;
    assert_eq!(code, 0xC5);
    // Without a target there is no route.
    let (mut stranger, _) = Client::connect(address, "OTHER", 1_000).await;
    let (code, ..) = stranger.get(&name("bytes/1")).await;
    assert_eq!(code, 0xC3);
}

#[tokio::test]
async fn what_a_client_gives_up_is_cancelled_and_what_it_put_last_arrives() {
    let origin = Origin::start().await;
    let (_gateway, address) = start(&origin).await;
    let (mut client, _) = Client::connect(address, "IRMC-SYNC", 1_000).await;
    client.send(0x83, &name("stall")).await;
    origin.wait(|state| state.heard.len() == 1).await;
    assert_eq!(client.ask(0xFF, &[]).await[0], 0xA0);
    origin.wait(|state| state.abandoned == 1).await;
    client.send(0x83, &name("stall")).await;
    origin.wait(|state| state.heard.len() == 2).await;
    drop(client);
    origin.wait(|state| state.abandoned == 2).await;
    // The last message of a session, whose answer is not wanted.
    let (mut client, response) = Client::connect(address, "SYNCML-SYNC", 1_000).await;
    let request = std::fs::read(recorded(REQUEST)).unwrap();
    assert_eq!(client.put(&wbxml(), &request).await, 0xA0);
    assert_eq!(client.ask(0x81, &response[7..12]).await[0], 0xA0);
    assert_eq!(origin.heard_in_all(), 3);
    assert_eq!(origin.heard("/syncml/s12-wbxml-mid-01-slow/02").len(), 1);
    // A message that was accepted arrives though its client closes at once, and is not aborted.
    let (mut client, _) = Client::connect(address, "SYNCML-SYNC", 1_000).await;
    assert_eq!(client.put(&wbxml(), &request).await, 0xA0);
    drop(client);
    origin.wait(|state| state.heard.len() == 4).await;
    // The answer of one target is not that of another.
    let (mut client, _) = Client::connect(address, "SYNCML-SYNC", 1_000).await;
    assert_eq!(client.put(&wbxml(), &request).await, 0xA0);
    let other = [&[0x10, 0, 4, 0][..], &octets_header(0x46, b"IRMC-SYNC")].concat();
    assert_eq!(client.ask(0x80, &other).await[0], 0xA0);
    assert_eq!(client.get(&wbxml()).await.0, 0xC4);
}

#[tokio::test]
async fn hostile_packets_get_an_answer_or_the_end_of_the_connection() {
    let origin = Origin::start().await;
    let (gateway, address) = start(&origin).await;
    let (mut client, _) = Client::connect(address, "SYNCML-SYNC", 1_000).await;
    for (first, rest, code) in [
        (0x87, vec![], 0xD1),
        (0x82, vec![0x48, 0, 2], 0xC0),
        (0x83, vec![0xCB, 9, 9, 9, 9], 0xD3),
        (0x82, vec![0xC3, 0xFF, 0, 0, 0], 0xCD),
        (0x83, wbxml(), 0xC4),
        (0x85, vec![], 0xC0),
    ] {
        assert_eq!(
            client.ask(first, &rest).await[0],
            code,
            "{first:x} {rest:x?}"
        );
    }
    client.0.write_all(&[0x82, 0, 2]).await.unwrap();
    assert_eq!(client.0.read(&mut [0]).await.unwrap(), 0);
    // Half a packet, and then nothing.
    let mut silent = TcpStream::connect(address).await.unwrap();
    silent.write_all(&[0x80, 0, 20, 0x10]).await.unwrap();
    let read = timeout(Duration::from_secs(20), silent.read(&mut [0])).await;
    assert_eq!(read.expect("the gateway closes").unwrap(), 0);
    assert_eq!(origin.heard_in_all(), 0);
    assert!(!gateway.log().contains("panicked"));
}
