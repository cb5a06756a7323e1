//! The items of WDP that concern UDP over IP, against a server with real sockets.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use wapbridge::gateway;
use wapbridge::record::Sinks;
use wapbridge::route::Routes;
use wapbridge::server::{self, Server};
use wapbridge::upstream::{Tls, TlsSettings};
use wapbridge::wdp::Service;
use wapbridge::wsp::pseudonym::Pseudonyms;

use crate::suite::Suite;

pub(crate) fn hold(suite: &mut Suite) {
    suite.held(
        &[
            "WDP-S-001",
            "WDP-CT-S-004",
            "WDP-NA-S-000",
            "WDP-NA-S-003",
            "WDP-NA-S-004",
            "WDP-RP-S-003",
            "WDP-RP-S-004",
            "WDP-GSM-S-000",
            "WDP-GSM-S-007",
            "WDP-GSM-S-008",
        ],
        "every_service_is_reached_by_udp_over_either_ip",
        every_service_is_reached_by_udp_over_either_ip,
    );
    suite.held(
        &["WDP-NA-S-006", "WDP-NA-S-007"],
        "ports_tell_services_and_clients_apart",
        ports_tell_services_and_clients_apart,
    );
    suite.held(
        &["WDP-S-002"],
        "a_port_without_a_listener_is_unreachable",
        a_port_without_a_listener_is_unreachable,
    );
}

fn start() -> Server {
    let key = rcgen::generate_simple_self_signed(vec!["origin.example".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, key.cert.pem()).unwrap();
    let tls = Tls::load(&TlsSettings {
        ca_files: vec![file],
    })
    .unwrap();
    let loopback = || vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
    Server::start(server::Config {
        connection_mode: loopback(),
        connectionless: loopback(),
        shards: 1,
        // Nothing is forwarded: an answer of the gateway itself is answer enough.
        gateway: Arc::new(gateway::Config::new(Arc::new(Routes::new(Vec::new())))),
        tls,
        store: None,
        records: Sinks::default(),
        names: Pseudonyms::new(&[0; 16]),
    })
    .unwrap()
}

/// A socket on the same loopback address, connected: it hears only what comes from where it sent to.
fn client(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(SocketAddr::new(to.ip(), 0)).unwrap();
    socket.connect(to).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    socket
}

fn ask(socket: &UdpSocket, octets: &[u8]) -> Vec<u8> {
    socket.send(octets).unwrap();
    let mut buf = [0; 2_000];
    let len = socket.recv(&mut buf).unwrap();
    buf[..len].to_vec()
}

/// TID, Get, "u".
const GET: &[u8] = &[0x21, 0x40, 1, b'u'];
/// Invoke, TID 1, class 2, Connect without capabilities and headers.
const CONNECT: &[u8] = &[0x0A, 0x00, 0x01, 0x12, 0x01, 0x10, 0, 0];

fn every_service_is_reached_by_udp_over_either_ip() {
    let server = start();
    assert_eq!(server.addresses().len(), 4);
    for (service, address) in server.addresses() {
        let socket = client(*address);
        match service {
            Service::Connectionless => {
                let reply = ask(&socket, GET);
                assert_eq!(reply[..2], [0x21, 0x04], "{address}: TID and Reply");
            }
            // Just started, it asks first whether the transaction is new (an Ack with Tve); or it answers.
            Service::ConnectionMode => {
                let reply = ask(&socket, CONNECT);
                assert_eq!(
                    reply[1..3],
                    [0x80, 0x01],
                    "{address}: our TID, the other way round"
                );
            }
        }
    }
}

fn ports_tell_services_and_clients_apart() {
    let server = start();
    let of = |wanted| {
        let mut addresses = server.addresses().iter();
        addresses.find(|(service, _)| *service == wanted).unwrap().1
    };
    // Two clients of one address: each hears its own answer, from the port it asked.
    let (first, second) = (
        client(of(Service::Connectionless)),
        client(of(Service::Connectionless)),
    );
    first.send(&[1, 0x40, 1, b'u']).unwrap();
    assert_eq!(ask(&second, &[2, 0x40, 1, b'u'])[0], 2);
    let mut buf = [0; 2_000];
    assert!(first.recv(&mut buf).unwrap() > 0);
    assert_eq!(buf[0], 1);
    // A connectionless request is none on the port of connection mode.
    let wrong = client(of(Service::ConnectionMode));
    wrong
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    wrong.send(&[0x21, 0x40, 1, b'u']).unwrap();
    assert!(wrong.recv(&mut buf).is_err(), "no answer");
}

fn a_port_without_a_listener_is_unreachable() {
    let address = client("127.0.0.1:9".parse().unwrap()).local_addr().unwrap();
    let socket = client(address);
    socket.send(GET).unwrap();
    let error = socket.recv(&mut [0; 10]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}
