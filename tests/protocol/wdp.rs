//! The items of WDP that concern UDP over IP, against a server with real sockets.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use wapbridge::gateway;
use wapbridge::record::Sinks;
use wapbridge::route::Routes;
use wapbridge::server::{self, Server};
use wapbridge::smpp::Config;
use wapbridge::sms::{Ports, Reference, segments};
use wapbridge::upstream::{Tls, TlsSettings};
use wapbridge::wdp::Service;
use wapbridge::wsp::log_id::LogIds;

use crate::suite::Suite;

#[test]
fn every_item_is_held() {
    let mut suite = Suite::new(include_str!("../../fixtures/conformance/wdp.tsv"));
    hold(&mut suite);
    suite.conclude("WDP over UDP");
}

#[test]
fn every_item_of_wcmp_is_held() {
    let mut suite = Suite::new(include_str!("../../fixtures/conformance/wcmp.tsv"));
    suite.held(
        &["WCMP-NE-S-001"],
        "every_service_is_reached_by_udp_over_either_ip",
        every_service_is_reached_by_udp_over_either_ip,
    );
    suite.held(
        &["WCMP-S-001", "WCMP-SP-S-001"],
        "a_port_without_a_listener_is_unreachable",
        a_port_without_a_listener_is_unreachable,
    );
    suite.held(
        &["WCMP-S-001", "WCMP-SP-S-001"],
        "an_unreachable_client_does_not_disturb_others",
        an_unreachable_client_does_not_disturb_others,
    );
    suite.conclude("WCMP");
}

fn hold(suite: &mut Suite) {
    suite.held(
        &[
            "WDP-S-001",
            "WDP-CORE-S-001",
            "WDP-CT-S-002",
            "WDP-CT-S-004",
            "WDP-NA-S-000",
            "WDP-NA-S-003",
            "WDP-NA-S-004",
            "WDP-RP-S-003",
            "WDP-RP-S-004",
            "WDP-RP-S-005",
            "WDP-RP-S-006",
            "WDP-GSM-S-000",
            "WDP-GSM-S-007",
            "WDP-GSM-S-008",
        ],
        "every_service_is_reached_by_udp_over_either_ip",
        every_service_is_reached_by_udp_over_either_ip,
    );
    suite.held(
        &[
            "WDP-CORE-S-001",
            "WDP-PF-S-001",
            "WDP-NA-S-006",
            "WDP-NA-S-007",
        ],
        "ports_tell_services_and_clients_apart",
        ports_tell_services_and_clients_apart,
    );
    suite.held(
        &["WDP-PF-S-001", "WDP-PF-S-002"],
        "an_answer_comes_from_the_address_that_was_asked",
        an_answer_comes_from_the_address_that_was_asked,
    );
    suite.held(
        &["WDP-PF-S-003"],
        "an_unreachable_client_does_not_disturb_others",
        an_unreachable_client_does_not_disturb_others,
    );
    suite.held(
        &["WDP-NA-S-001", "WDP-GSM-S-003", "WDP-GSM-S-004"],
        "datagrams_for_numbers_are_cut_into_short_messages",
        datagrams_for_numbers_are_cut_into_short_messages,
    );
    suite.held(
        &["WDP-S-002"],
        "a_port_without_a_listener_is_unreachable",
        a_port_without_a_listener_is_unreachable,
    );
}

/// E.164 numbers and both fragmentation elements: `tests/process/cli/push_sms.rs` has the numbers at
/// an SMS centre.
fn datagrams_for_numbers_are_cut_into_short_messages() {
    let ports = Ports {
        destination: 2948,
        source: 9200,
    };
    for (reference, element) in [
        (Reference::Short(7), &b"\x00\x03\x07\x02"[..]),
        (Reference::Long(0x0107), b"\x08\x04\x01\x07\x02"),
    ] {
        let messages = segments(&[0x55; 200], ports, reference).unwrap();
        assert_eq!(messages.len(), 2);
        for message in &messages {
            assert!(message.len() <= 140);
            assert_eq!(message[1..7], *b"\x05\x04\x0B\x84\x23\xF0");
            assert!(message[7..].starts_with(element), "{message:02x?}");
        }
    }
    let config = Config::default();
    let number = (config.destination_number.ton, config.destination_number.npi);
    assert_eq!(number, (1, 1), "international, E.164");
}

fn start() -> Server {
    let loopback = || vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
    start_at(loopback(), loopback())
}

fn start_at(connection_mode: Vec<SocketAddr>, connectionless: Vec<SocketAddr>) -> Server {
    let key = rcgen::generate_simple_self_signed(vec!["origin.example".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, key.cert.pem()).unwrap();
    let tls = Tls::load(&TlsSettings {
        ca_files: vec![file],
    })
    .unwrap();
    let on_any_port = |addresses: &[SocketAddr]| {
        let ips = addresses.iter().map(SocketAddr::ip);
        ips.map(|ip| SocketAddr::new(ip, 0)).collect()
    };
    let secure = server::Secure {
        connection_mode: on_any_port(&connection_mode),
        connectionless: on_any_port(&connectionless),
        #[cfg(feature = "wtls")]
        settings: server::SecureSettings::default(),
    };
    Server::start(server::Config {
        http_connections: 0,
        connection_mode,
        connectionless,
        shards: 1,
        // Nothing is forwarded: an answer of the gateway itself is answer enough.
        gateway: Arc::new(gateway::Config::new(Arc::new(Routes::new(Vec::new())))),
        tls,
        store: None,
        records: Sinks::default(),
        measurements: None,
        secure,
        names: LogIds::new(&[0; 16]),
    })
    .unwrap()
}

/// A socket on the same loopback address, connected: it hears only what comes from where it sent to.
fn client(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(SocketAddr::new(to.ip(), 0)).unwrap();
    socket.connect(to).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
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

/// A record under a cipher spec that nobody agreed on, and the alert that says so.
const UNKNOWN_RECORD: &[u8] = &[0xE4, 0, 1, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
const NO_CONNECTION: [u8; 7] = [0xC2, 0xFF, 0xFF, 0, 6, 3, 5];

fn every_service_is_reached_by_udp_over_either_ip() {
    let server = start();
    assert_eq!(server.addresses().len(), 8);
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
            Service::SecureConnectionMode | Service::SecureConnectionless => {
                let reply = ask(&socket, UNKNOWN_RECORD);
                assert_eq!(reply[..7], NO_CONNECTION, "{address}");
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

/// A host with several addresses: the wildcard socket answers from the address in the request.
fn an_answer_comes_from_the_address_that_was_asked() {
    let server = start_at(Vec::new(), vec!["0.0.0.0:0".parse().unwrap()]);
    let (_, address) = server.addresses()[0];
    for host in ["127.0.0.1", "127.0.0.2"] {
        let asked = SocketAddr::new(host.parse().unwrap(), address.port());
        // A connected socket hears nothing from another address.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(asked).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        assert_eq!(ask(&socket, GET)[..2], [0x21, 0x04], "{asked}");
    }
}

/// ICMP port unreachable is an error of the next send or receive on the gateway's socket.
fn an_unreachable_client_does_not_disturb_others() {
    let server = start();
    let mut addresses = server.addresses().iter();
    let (_, address) = addresses
        .find(|(service, _)| *service == Service::Connectionless)
        .unwrap();
    // Below the burst that one address may send in connectionless mode.
    for _ in 0..8 {
        client(*address).send(GET).unwrap();
        assert_eq!(ask(&client(*address), GET)[..2], [0x21, 0x04]);
    }
}
