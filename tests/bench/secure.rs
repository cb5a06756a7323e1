//! WTLS without sockets: the gateway's part of handshakes and records, and what an idle connection
//! weighs.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use wapbridge::time::Instant;
use wapbridge::wdp::{Datagram, Peer, Service};
use wapbridge::wtls::{
    CipherSuite, Client, ClientConfig, Config, Credentials, Endpoint, KeyExchange, PrivateKey, Rate,
};

use super::direct::{Direct, MODELS, connect};
use super::{cpu, kibibytes, live, resident};

/// Handshakes, records and idle connections.
pub(super) fn secure(counts: &[usize]) {
    println!(
        "\n{:<34}{:>10}{:>14}",
        "the gateway's part of a handshake", "us", "per second"
    );
    for (name, exchange) in [
        ("full, RSA_anon, 1024 bits", KeyExchange::RSA_ANON),
        ("full, ECDH_anon, secp160r1", KeyExchange::ECDH_ANON),
    ] {
        handshakes(name, exchange, "RC5_CBC/SHA", false, 200);
    }
    handshakes(
        "abbreviated",
        KeyExchange::RSA_ANON,
        "RC5_CBC/SHA",
        true,
        5_000,
    );
    println!("\n{:<34}{:>10}", "the records of a POST, 507 + 455 B", "us");
    for suite in [
        "RC5_CBC/SHA",
        "3DES_CBC_EDE/SHA",
        "IDEA_CBC/SHA",
        "DES_CBC/SHA",
        "RC5_CBC/MD5",
    ] {
        records(suite);
    }
    println!(
        "\n{:>10}{:>12}{:>12}{:>14}",
        "idle", "live B", "resident B", "live after"
    );
    for count in counts {
        idle(*count);
    }
    sessions(counts);
}

/// Idle secured sessions in one process: a session in the gateway, the connection in front of it,
/// and what can be resumed.
pub(super) fn sessions(counts: &[usize]) {
    println!(
        "\n{:>16}{:>12}{:>12}{:>14}{:>16}{:>14}",
        "secured sessions", "live B", "resident B", "resident MiB", "resumable", "live after"
    );
    for count in counts {
        idle_sessions(*count);
    }
}

/// Clients at addresses of their own, one after the other, with one session if it is resumed.
struct Air {
    server: Endpoint,
    client: Client,
    now: Instant,
    next: u32,
    /// CPU time of the gateway's side.
    spent: Duration,
}

impl Air {
    fn new(exchange: KeyExchange, suite: &str) -> Self {
        let pem = include_bytes!("../../fixtures/wtls/key.pem");
        let der = PrivateKeyDer::from_pem_slice(pem).expect("a key in PEM");
        let key = PrivateKey::from_der(der.secret_der()).expect("an RSA key");
        let suite = CipherSuite::named(suite).expect("a suite");
        let config = Config {
            credentials: Some(Arc::new(
                Credentials::new(key, Vec::new()).expect("no certificate"),
            )),
            suites: vec![suite],
            key_exchanges: vec![exchange],
            max_connections: 4_000_000,
            key_operations: Rate {
                per_second: 1_000_000,
                burst: 1_000_000,
            },
            ..Config::default()
        };
        let client = ClientConfig {
            key_exchanges: vec![(exchange, 0)],
            suites: vec![suite],
            key_refresh: 7,
            authorities: Arc::new([]),
            host: None,
            epoch: Some(1_900_000_000),
            credentials: None,
            retry_interval: Duration::from_secs(2),
            max_retries: 8,
        };
        Self {
            server: Endpoint::new(Arc::new(config), [7; 32], Some(1_900_000_000)),
            client: Client::new(client, [8; 32]),
            now: Instant::from_micros(1_000_000),
            next: 0,
            spent: Duration::ZERO,
        }
    }

    fn peer(&self) -> Peer {
        let remote = SocketAddr::from((Ipv4Addr::from(0x0A00_0000 + self.next), 40_000));
        Peer::new(remote, SocketAddr::from(([192, 0, 2, 1], 9203)))
    }

    /// A handshake from the next address, and the first datagram after it.
    fn handshake(&mut self, is_resumed: bool) {
        self.next += 1;
        self.now += Duration::from_micros(100);
        if !is_resumed {
            self.client.forget_session();
        }
        self.client.connect(self.now);
        self.settle();
        self.client.send(b"first".to_vec());
        assert_eq!(self.settle(), 1, "the connection is there");
    }

    /// Carries datagrams until there are none, and counts those that the gateway read inside
    /// records.
    fn settle(&mut self) -> usize {
        let peer = self.peer();
        let mut read = 0;
        let mut buf = Vec::new();
        while let Some(payload) = self.client.poll_transmit() {
            let begin = cpu();
            self.server.handle_datagram(
                self.now,
                Datagram {
                    peer,
                    service: Service::SecureConnectionMode,
                    payload: &payload,
                },
            );
            while self.server.poll_datagram().is_some() {
                read += 1;
            }
            while self.server.poll_session_change().is_some() {}
            buf.clear();
            let answered = self.server.poll_transmit(&mut buf).is_some();
            self.spent += cpu() - begin;
            if answered {
                self.client.handle_datagram(self.now, &buf);
            }
        }
        while self.client.poll_event().is_some() {}
        read
    }
}

fn handshakes(name: &str, exchange: KeyExchange, suite: &str, is_resumed: bool, count: u32) {
    let mut air = Air::new(exchange, suite);
    air.handshake(false);
    air.spent = Duration::ZERO;
    for _ in 0..count {
        air.handshake(is_resumed);
    }
    let each = air.spent.as_secs_f64() * 1e6 / f64::from(count);
    println!("{name:<34}{each:>10.1}{:>14.0}", 1e6 / each);
}

/// What opening the request's record and sealing the reply's costs the gateway.
fn records(suite: &str) {
    let mut air = Air::new(KeyExchange::ECDH_ANON, suite);
    let mut least = f64::INFINITY;
    for _ in 0..50 {
        air.handshake(false);
        air.spent = Duration::ZERO;
        for _ in 0..POSTS {
            air.client.send(vec![0x5A; 507]);
            air.settle();
            let mut out = Vec::new();
            let begin = cpu();
            let sealed = air.server.seal(air.now, air.peer(), &[0xA5; 455], &mut out);
            air.spent += cpu() - begin;
            assert!(sealed.is_some(), "there is a connection");
        }
        least = least.min(air.spent.as_secs_f64() * 1e6 / f64::from(POSTS));
    }
    println!("{suite:<34}{least:>10.2}");
}

/// Connections that are held and do nothing: their keys are forgotten after half a minute.
fn idle(count: usize) {
    let mut air = Air::new(KeyExchange::RSA_ANON, "RC5_CBC/SHA");
    air.handshake(false);
    let (live_before, resident_before) = (live(), resident());
    for _ in 0..count {
        air.handshake(true);
        air.server.handle_timeout(air.now);
    }
    air.now += Duration::from_secs(31);
    air.server.handle_timeout(air.now);
    let held = (live() - live_before) as f64 / count as f64;
    let held_resident = (resident() - resident_before) as f64 / count as f64;
    assert!(
        air.server.stats().connections as usize >= count,
        "all are held"
    );
    air.now += Duration::from_secs(25 * 3600);
    air.server.handle_timeout(air.now);
    println!(
        "{count:>10}{held:>12.0}{held_resident:>12.0}{:>14}",
        kibibytes(live() - live_before)
    );
}

/// The same with a session in the gateway for each connection. As many clients as can resume a
/// session made a full handshake; the others came back to one.
fn idle_sessions(count: usize) {
    let mut air = Air::new(KeyExchange::DH_ANON_512, "RC5_CBC/SHA");
    let mut direct = Direct::with(|config| {
        config.wsp.max_sessions = 4_000_000;
        config.wtp.tid_cache_capacity = 4_000_000;
    });
    direct.reserve(count);
    air.handshake(false);
    let (live_before, resident_before) = (live(), resident());
    let mut out = Vec::new();
    for handset in 0..count {
        air.now = air.now.max(direct.now);
        air.handshake(handset >= MAX_SESSIONS);
        // Connect and its Ack come in records, and the ConnectReply goes in one. The core gets the
        // same octets, at the port beside.
        air.client.send(connect(handset % MODELS));
        assert_eq!(air.settle(), 1, "the Connect arrives");
        direct.connect(handset);
        out.clear();
        let sealed = air
            .server
            .seal(air.now, air.peer(), &CONNECT_REPLY, &mut out);
        assert!(sealed.is_some(), "the ConnectReply leaves");
        air.client.send(vec![0x18, 0, 1]);
        assert_eq!(air.settle(), 1, "the Ack arrives");
        air.server.handle_timeout(air.now);
    }
    // Keys, and answers that may be asked for again, are kept for half a minute and some.
    air.now += Duration::from_secs(31);
    air.server.handle_timeout(air.now);
    direct.pass(Duration::from_secs(300));
    let stats = air.server.stats();
    assert_eq!(
        direct.gateway.stats().sessions,
        count as u64,
        "all are held"
    );
    assert!(stats.connections >= count as u64, "all are secured");
    let held = live() - live_before;
    let held_resident = resident() - resident_before;
    for handset in 0..count {
        direct.disconnect(handset);
    }
    direct.pass(Duration::from_secs(600));
    air.now += Duration::from_secs(25 * 3600);
    air.server.handle_timeout(air.now);
    println!(
        "{count:>16}{:>12.0}{:>12.0}{:>14}{:>16}{:>14}",
        held as f64 / count as f64,
        held_resident as f64 / count as f64,
        held_resident >> 20,
        stats.sessions,
        kibibytes(live() - live_before)
    );
}

/// Sessions that can be resumed, by default.
const MAX_SESSIONS: usize = 100_000;

/// The octets of a ConnectReply, as many as it has.
const CONNECT_REPLY: [u8; 30] = [0x12; 30];

/// POSTs of one connection: enough for several changes of keys.
const POSTS: u32 = 1_000;
