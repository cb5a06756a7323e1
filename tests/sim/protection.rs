//! Somebody forges the address of somebody else: what the other is sent for it, and what the honest notice of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use wapbridge::gateway::protection::Rate;
use wapbridge::gateway::{Config, Gateway};
use wapbridge::random::Random;
use wapbridge::route::Routes;
use wapbridge::time::Instant;
use wapbridge::wdp::{Datagram, Peer, Service};

/// Class 2 Invoke of this TID with the shortest Connect there is.
fn connect(tid: u16) -> Vec<u8> {
    let [high, low] = tid.to_be_bytes();
    vec![0x0E, high, low, 0x12, 0x01, 0x10, 0x00, 0x00]
}

struct Rig {
    gateway: Gateway,
    now: Instant,
    said: Vec<(Peer, Vec<u8>)>,
}

impl Rig {
    fn new(config: Config) -> Self {
        let now = Instant::ZERO;
        let mut rig = Self {
            gateway: Gateway::new(Arc::new(config), 1, now),
            now,
            said: Vec::new(),
        };
        // Unknown peers are no longer verified.
        rig.pass(Duration::from_secs(300));
        rig
    }

    fn hears(&mut self, from: &str, payload: &[u8]) {
        let remote: SocketAddr = from.parse().unwrap();
        let datagram = Datagram {
            peer: Peer::new(remote, "192.0.2.1:9201".parse().unwrap()),
            service: Service::ConnectionMode,
            payload,
        };
        self.gateway.handle_datagram(self.now, datagram);
        self.drain();
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.gateway.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.gateway.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    fn drain(&mut self) {
        let mut buf = Vec::new();
        while let Some(transmit) = self.gateway.poll_transmit(&mut buf) {
            self.said.push((transmit.peer, std::mem::take(&mut buf)));
        }
        while self.gateway.poll_event().is_some() {}
    }

    /// Octets sent to an address.
    fn said_to(&self, address: &str) -> usize {
        let address: std::net::IpAddr = address.parse().unwrap();
        let to = |(peer, _): &&(Peer, Vec<u8>)| peer.remote.ip() == address;
        self.said
            .iter()
            .filter(to)
            .map(|(_, octets)| octets.len())
            .sum()
    }
}

fn config() -> Config {
    Config::new(Arc::new(Routes::default()))
}

#[test]
fn who_never_asked_is_sent_no_more_than_three_times_what_was_forged() {
    let mut rig = Rig::new(config());
    let mut random = Random::new(7);
    let mut heard = 0;
    for tid in 0..200u16 {
        // Connects, their repetitions, nonsense and methods without a session.
        let mut datagram = connect(tid & 0x3F);
        match random.below(4) {
            0 => datagram[0] |= 1,
            1 => datagram.truncate(4 + usize::try_from(random.below(5)).unwrap()),
            2 => datagram.splice(4.., [0x40, 1, b'u']).for_each(drop),
            _ => {}
        }
        heard += datagram.len();
        rig.hears("10.6.6.6:4000", &datagram);
        rig.pass(Duration::from_millis(random.below(3_000)));
        assert!(rig.said_to("10.6.6.6") <= 3 * heard);
    }
    rig.pass(Duration::from_secs(600));
    let said = rig.said_to("10.6.6.6");
    assert!(said > 0 && said <= 3 * heard, "{said} for {heard}");
    let stats = rig.gateway.stats().protection;
    assert!(
        stats.amplification > 0,
        "nothing had to be held back: {stats:?}"
    );
}

#[test]
fn who_is_in_is_told_and_who_is_not_is_not_answered() {
    let mut rig = Rig::new(Config {
        protection: wapbridge::gateway::protection::Config {
            requests: Rate {
                per_second: 1,
                burst: 3,
            },
            ..Default::default()
        },
        ..config()
    });
    // The honest connect and acknowledge.
    rig.hears("10.0.0.1:4000", &connect(1));
    rig.hears("10.0.0.1:4000", &[0x18, 0, 1]);
    rig.said.clear();
    let get = |tid: u8| [0x0E, 0, tid, 0x12, 0x40, 1, b'u'];
    for tid in 2..6 {
        rig.hears("10.0.0.1:4000", &get(tid));
        rig.hears("10.6.6.6:4000", &get(tid));
    }
    let aborts = |rig: &Rig, address: &str| {
        let address: std::net::IpAddr = address.parse().unwrap();
        // Abort, provider, CAPTEMPEXCEEDED.
        let refused = |(peer, octets): &&(Peer, Vec<u8>)| {
            peer.remote.ip() == address && octets[0] == 0x20 && octets[3] == 0x07
        };
        rig.said.iter().filter(refused).count()
    };
    assert_eq!(aborts(&rig, "10.0.0.1"), 2);
    assert_eq!(aborts(&rig, "10.6.6.6"), 0);
    assert_eq!(rig.gateway.stats().protection.requests, 3);
    // Later there is room again.
    rig.pass(Duration::from_secs(10));
    rig.said.clear();
    rig.hears("10.0.0.1:4000", &get(9));
    assert_eq!(aborts(&rig, "10.0.0.1"), 0);
}

#[test]
fn one_address_has_so_many_sessions_and_no_more() {
    let mut config = config();
    config.wsp.max_sessions_per_address = 2;
    let mut rig = Rig::new(config);
    for port in 4_000..4_005 {
        let peer = format!("10.0.0.1:{port}");
        rig.hears(&peer, &connect(1));
        rig.hears(&peer, &[0x18, 0, 1]);
    }
    rig.hears("10.0.0.2:4000", &connect(1));
    let stats = rig.gateway.stats();
    assert_eq!((stats.sessions, stats.wsp.congested), (3, 3));
}
