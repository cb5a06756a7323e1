//! A client and a server on a network that loses, repeats and reorders.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::credentials;
use wapbridge::random::Random;
use wapbridge::time::Instant;
use wapbridge::wdp::{Datagram, Peer, Service};
use wapbridge::wtls::{
    CipherSuite, Client, ClientConfig, ClientEvent, Config, Endpoint, KeyExchange, Rate,
};

/// Settings of a server that takes everything.
pub(super) fn everything() -> Config {
    let mut config = Config {
        credentials: Some(credentials().0),
        key_exchanges: (2..=17).map(KeyExchange).collect(),
        suites: wapbridge::wtls::default_suites(0),
        key_operations: Rate {
            per_second: 1_000_000,
            burst: 1_000_000,
        },
        ..Config::default()
    };
    config.suites.extend(CipherSuite::of(0, 3));
    config
}

/// Settings of a client that wants one key exchange and one suite.
pub(super) fn wanting(exchange: KeyExchange, index: u8, suite: CipherSuite) -> ClientConfig {
    ClientConfig {
        key_exchanges: vec![(exchange, index)],
        suites: vec![suite],
        key_refresh: 3,
        authorities: credentials().1,
        host: Some("gw.example".to_owned()),
        epoch: Some(1_900_000_000),
        credentials: None,
        retry_interval: Duration::from_secs(2),
        max_retries: 20,
    }
}

pub(super) fn strong() -> CipherSuite {
    CipherSuite::of(3, 3).unwrap()
}

/// One client, one server, and what is under way between them.
pub(super) struct Conversation {
    pub(super) client: Client,
    pub(super) server: Endpoint,
    pub(super) now: Instant,
    pub(super) peer: Peer,
    random: Random,
    /// Of a hundred datagrams, so many are lost, so many come twice, so many wait for the next.
    pub(super) lost: u64,
    pub(super) repeated: u64,
    pub(super) reordered: u64,
    held: [VecDeque<Vec<u8>>; 2],
    /// Everything that the client sent.
    pub(super) to_server: Vec<Vec<u8>>,
    pub(super) to_client: Vec<Vec<u8>>,
    pub(super) events: Vec<ClientEvent>,
    pub(super) heard_by_server: Vec<Vec<u8>>,
    pub(super) heard_by_client: Vec<Vec<u8>>,
    /// Whether the server repeats what it is told.
    pub(super) echoes: bool,
}

impl Conversation {
    pub(super) fn new(config: Config, client: ClientConfig) -> Self {
        Self::seeded(config, client, 1)
    }

    pub(super) fn seeded(config: Config, client: ClientConfig, seed: u64) -> Self {
        let octet = u8::try_from(seed & 0xFF).unwrap();
        let remote = "10.0.0.7:40000".parse().unwrap();
        let local = "192.0.2.1:9203".parse().unwrap();
        Self {
            client: Client::new(client, [octet; 32]),
            server: Endpoint::new(Arc::new(config), [!octet; 32], Some(1_900_000_000)),
            now: Instant::from_micros(5_000_000),
            peer: Peer::new(remote, local),
            random: Random::new(seed),
            lost: 0,
            repeated: 0,
            reordered: 0,
            held: [VecDeque::new(), VecDeque::new()],
            to_server: Vec::new(),
            to_client: Vec::new(),
            events: Vec::new(),
            heard_by_server: Vec::new(),
            heard_by_client: Vec::new(),
            echoes: false,
        }
    }

    /// A datagram reaches the server whatever the network does.
    pub(super) fn inject(&mut self, payload: &[u8]) {
        let datagram = Datagram {
            peer: self.peer,
            service: Service::SecureConnectionMode,
            payload,
        };
        self.server.handle_datagram(self.now, datagram);
        self.drain_server();
    }

    /// Carries what is under way until nobody has anything to say now.
    pub(super) fn settle(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(datagram) = self.client.poll_transmit() {
                quiet = false;
                self.to_server.push(datagram.clone());
                for copy in self.carry(0, datagram) {
                    self.inject(&copy);
                }
            }
            self.drain_server();
            let mut buf = Vec::new();
            while self.server.poll_transmit(&mut buf).is_some() {
                quiet = false;
                let datagram = std::mem::take(&mut buf);
                self.to_client.push(datagram.clone());
                for copy in self.carry(1, datagram) {
                    self.client.handle_datagram(self.now, &copy);
                }
            }
            while let Some(event) = self.client.poll_event() {
                self.events.push(event);
            }
            while let Some(plain) = self.client.poll_datagram() {
                self.heard_by_client.push(plain);
            }
            if quiet {
                return;
            }
        }
    }

    fn drain_server(&mut self) {
        while let Some(opened) = self.server.poll_datagram() {
            assert_eq!(
                (opened.peer, opened.service),
                (self.peer, Service::ConnectionMode)
            );
            if self.echoes {
                self.reply(&opened.payload);
            }
            self.heard_by_server.push(opened.payload);
        }
    }

    /// The layers above the server send something.
    pub(super) fn reply(&mut self, plain: &[u8]) {
        let mut buf = Vec::new();
        if self
            .server
            .seal(self.now, self.peer, plain, &mut buf)
            .is_some()
        {
            self.to_client.push(buf.clone());
            for copy in self.carry(1, buf) {
                self.client.handle_datagram(self.now, &copy);
            }
        }
    }

    fn carry(&mut self, way: usize, datagram: Vec<u8>) -> Vec<Vec<u8>> {
        let mut arriving = Vec::new();
        if self.random.below(100) < self.lost {
            return arriving;
        }
        if self.random.below(100) < self.reordered {
            self.held[way].push_back(datagram);
            return arriving;
        }
        arriving.push(datagram.clone());
        if self.random.below(100) < self.repeated {
            arriving.push(datagram);
        }
        arriving.extend(self.held[way].drain(..));
        arriving
    }

    /// Time passes, with all timers.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.settle();
            let due = [self.client.poll_timeout(), self.server.poll_timeout()];
            match due.into_iter().flatten().min().filter(|due| *due <= until) {
                Some(due) => self.now = self.now.max(due),
                None => break,
            }
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
        }
        self.now = until;
        self.settle();
    }

    /// Makes a handshake on a good network, and says how it went.
    pub(super) fn handshake(&mut self) -> Option<ClientEvent> {
        self.client.connect(self.now);
        self.settle();
        self.events.pop()
    }

    /// Sends one datagram each way.
    pub(super) fn talk(&mut self) {
        let heard = (self.heard_by_server.len(), self.heard_by_client.len());
        self.client.send(b"question".to_vec());
        self.settle();
        self.reply(b"answer");
        self.settle();
        assert_eq!(self.heard_by_server[heard.0..], [b"question".to_vec()]);
        assert_eq!(self.heard_by_client[heard.1..], [b"answer".to_vec()]);
    }
}
