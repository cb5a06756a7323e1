//! WTLS under many handsets: each has a connection of its own, made when the handset sends first.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::Duration;

use hashbrown::HashMap;

use crate::random::{Keyed, Random};
use crate::server::clock;
use crate::time::{Instant, Timers};
use crate::wtls::{Client, ClientConfig, ClientEvent};

/// The handsets' ends of their connections.
pub(super) struct SecureHandsets {
    settings: ClientConfig,
    handsets: HashMap<u32, SecureHandset, Keyed>,
    timers: Timers,
    transmits: VecDeque<(u32, Vec<u8>)>,
    /// Handshakes that were completed.
    pub(super) done: u64,
    /// Handshakes that were not, by cause.
    pub(super) errors: BTreeMap<String, u64>,
}

struct SecureHandset {
    client: Client,
    /// When a handset whose handshake failed tries again.
    again: Option<Instant>,
    /// Datagrams that wait for the connection, also over a refusal. The transaction layer bounds
    /// them: a handset has one transaction at a time.
    waiting: Vec<Vec<u8>>,
}

impl SecureHandset {
    fn poll_timeout(&self) -> Option<Instant> {
        [self.client.poll_timeout(), self.again]
            .into_iter()
            .flatten()
            .min()
    }
}

impl SecureHandsets {
    /// Handsets without connections.
    pub(super) fn new(settings: ClientConfig, seed: u64) -> Self {
        Self {
            settings,
            handsets: HashMap::with_hasher(Random::new(seed).hasher()),
            timers: Timers::new(),
            transmits: VecDeque::new(),
            done: 0,
            errors: BTreeMap::new(),
        }
    }

    /// A handset sends a datagram in a record, as soon as it has a connection.
    pub(super) fn send(&mut self, now: Instant, who: u32, plain: &[u8]) -> io::Result<()> {
        if !self.handsets.contains_key(&who) {
            let mut client = Client::new(self.settings.clone(), clock::secret_seed()?);
            client.connect(now);
            let handset = SecureHandset {
                client,
                again: None,
                waiting: Vec::new(),
            };
            self.handsets.insert(who, handset);
        }
        if let Some(handset) = self.handsets.get_mut(&who) {
            match handset.client.is_open() {
                true => handset.client.send(plain.to_vec()),
                false => handset.waiting.push(plain.to_vec()),
            }
        }
        self.drain(now, who);
        Ok(())
    }

    /// A datagram arrived for a handset. The datagrams inside its records go to `hear`.
    pub(super) fn handle_datagram(
        &mut self,
        now: Instant,
        who: u32,
        octets: &[u8],
        mut hear: impl FnMut(&[u8]),
    ) {
        let Some(handset) = self.handsets.get_mut(&who) else {
            return;
        };
        handset.client.handle_datagram(now, octets);
        while let Some(plain) = handset.client.poll_datagram() {
            hear(&plain);
        }
        self.drain(now, who);
    }

    /// The moment of [`poll_timeout`](Self::poll_timeout) has come.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some(who) = self.timers.pop_due(now) {
            let Some(handset) = self.handsets.get_mut(&who) else {
                continue;
            };
            match handset.again.take_if(|again| *again <= now) {
                Some(_) => handset.client.connect(now),
                None => handset.client.handle_timeout(now),
            }
            self.drain(now, who);
        }
    }

    /// The next datagram, and its handset.
    pub(super) fn poll_transmit(&mut self) -> Option<(u32, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    fn drain(&mut self, now: Instant, who: u32) {
        let Some(handset) = self.handsets.get_mut(&who) else {
            return;
        };
        while let Some(event) = handset.client.poll_event() {
            match event {
                ClientEvent::Open { .. } => {
                    self.done += 1;
                    for plain in std::mem::take(&mut handset.waiting) {
                        handset.client.send(plain);
                    }
                }
                ClientEvent::Failed(problem) => {
                    *self.errors.entry(problem.to_string()).or_default() += 1;
                    handset.again = Some(now + TRIED_AGAIN_AFTER);
                }
            }
        }
        while let Some(datagram) = handset.client.poll_transmit() {
            self.transmits.push_back((who, datagram));
        }
        if let Some(at) = handset.poll_timeout() {
            self.timers.schedule(at, who);
        }
    }
}

/// Pause of a handset whose handshake was refused: the gateway may do only so many a second.
const TRIED_AGAIN_AFTER: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::wdp::{Datagram, Peer, Service};
    use crate::wtls::{Config, Endpoint, KeyExchange, default_suites};

    #[test]
    fn a_handset_that_was_refused_tries_again() {
        let client = ClientConfig {
            key_exchanges: vec![(KeyExchange::ECDH_ANON, 0)],
            suites: default_suites(128),
            key_refresh: 7,
            authorities: Arc::new([]),
            host: None,
            epoch: None,
            credentials: None,
            retry_interval: Duration::from_secs(2),
            max_retries: 8,
        };
        let mut handsets = SecureHandsets::new(client, 1);
        let refusing = Config {
            suites: Vec::new(),
            ..Config::default()
        };
        let mut gateway = Endpoint::new(Arc::new(refusing), [1; 32], None);
        let peer = |who: u32| {
            let remote = std::net::Ipv4Addr::from(0x0A00_0000 + who);
            let local = "192.0.2.1:9203".parse().unwrap();
            Peer::new((remote, 40_000).into(), local)
        };
        let mut heard = Vec::new();
        let mut turn = |handsets: &mut SecureHandsets, gateway: &mut Endpoint, now| {
            while let Some((who, datagram)) = handsets.poll_transmit() {
                gateway.handle_datagram(
                    now,
                    Datagram {
                        peer: peer(who),
                        service: Service::SecureConnectionMode,
                        payload: &datagram,
                    },
                );
                while let Some(opened) = gateway.poll_datagram() {
                    heard.push((who, opened.payload));
                }
                let mut buf = Vec::new();
                while gateway.poll_transmit(&mut buf).is_some() {
                    handsets.handle_datagram(now, who, &std::mem::take(&mut buf), |_| {});
                }
            }
            heard.clone()
        };
        let mut now = Instant::from_micros(1_000_000);
        handsets.send(now, 1, b"first").unwrap();
        assert_eq!(turn(&mut handsets, &mut gateway, now), []);
        assert_eq!(
            (handsets.done, handsets.errors.values().sum::<u64>()),
            (0, 1)
        );

        gateway.set_config(Arc::new(Config::default()));
        now += TRIED_AGAIN_AFTER;
        assert!(handsets.poll_timeout().is_some_and(|at| at <= now));
        handsets.handle_timeout(now);
        handsets.send(now, 2, b"second").unwrap();
        let heard = turn(&mut handsets, &mut gateway, now);
        assert_eq!(heard.len(), 2, "{heard:?}");
        assert!(heard.contains(&(1, b"first".to_vec())), "{heard:?}");
        assert_eq!(handsets.done, 2);
    }
}
