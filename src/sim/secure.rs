//! The secure ports of a world: what handsets and gateway say travels in records of WTLS.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::random::Random;
use crate::time::Instant;
use crate::wdp::{Datagram, Peer};
use crate::wtls::{Client, ClientConfig, ClientEvent, Config, Endpoint, KeyExchange, Opened, Rate};

/// WTLS of every shard and of every handset.
pub(super) struct SecurePath {
    config: Arc<Config>,
    shards: Vec<Endpoint>,
    phones: Vec<Client>,
    /// Those of addresses without a handset.
    strangers: BTreeMap<Peer, Client>,
    /// Seconds since 1970 when the world begins.
    epoch: u64,
}

impl SecurePath {
    pub(super) fn new(epoch: u64) -> Self {
        Self {
            config: Arc::new(Config {
                // The cheapest exchange there is: a world makes many.
                key_exchanges: vec![KeyExchange::DH_ANON_512],
                // What handshakes may cost is not what scenarios are about.
                key_operations: Rate {
                    per_second: 100_000,
                    burst: 100_000,
                },
                ..Config::default()
            }),
            shards: Vec::new(),
            phones: Vec::new(),
            strangers: BTreeMap::new(),
            epoch,
        }
    }

    /// The gateway starts, with so many shards and without any connection or session.
    pub(super) fn start(&mut self, shards: u32, random: &mut Random) {
        let seeds = (0..shards).map(|_| seed(random));
        self.shards = seeds
            .map(|seed| Endpoint::new(Arc::clone(&self.config), seed, Some(self.epoch)))
            .collect();
    }

    /// A handset starts: a new one, or one that restarts.
    pub(super) fn start_phone(&mut self, index: usize, random: &mut Random) {
        let client = self.client(random);
        match self.phones.get_mut(index) {
            Some(phone) => *phone = client,
            None => self.phones.push(client),
        }
    }

    fn client(&self, random: &mut Random) -> Client {
        let config = ClientConfig {
            key_exchanges: vec![(KeyExchange::DH_ANON_512, 0)],
            suites: self.config.suites.clone(),
            // Every record has keys of its own.
            key_refresh: 0,
            authorities: Arc::new([]),
            host: None,
            epoch: Some(self.epoch),
            credentials: None,
            retry_interval: Duration::from_secs(2),
            max_retries: 8,
        };
        Client::new(config, seed(random))
    }

    /// A handset has another address.
    pub(super) fn phone_moves(&mut self, now: Instant, index: usize) {
        if let Some(client) = self.phones.get_mut(index) {
            client.reconnect(now);
        }
    }

    /// A handset makes a connection, whether it has one or not.
    pub(super) fn phone_connects(&mut self, now: Instant, index: usize) {
        if let Some(client) = self.phones.get_mut(index) {
            client.connect(now);
        }
    }

    /// A datagram reaches a secure port of a shard. Returns what its layers above hear.
    pub(super) fn shard_hears(
        &mut self,
        now: Instant,
        shard: u32,
        datagram: Datagram<'_>,
    ) -> Vec<Opened> {
        let Some(endpoint) = self.shards.get_mut(shard as usize) else {
            return Vec::new();
        };
        endpoint.handle_datagram(now, datagram);
        let mut changes = Vec::new();
        changes.extend(std::iter::from_fn(|| endpoint.poll_session_change()));
        let opened = std::iter::from_fn(|| endpoint.poll_datagram()).collect();
        for change in changes {
            for (number, other) in (0..).zip(&mut self.shards) {
                if number != shard {
                    other.handle_session_change(now, change.clone());
                }
            }
        }
        opened
    }

    /// A shard's layers above say something to a handset: puts it into a record. Without a
    /// connection it is discarded, and false returned.
    pub(super) fn shard_says(
        &mut self,
        now: Instant,
        shard: u32,
        peer: Peer,
        buffer: &mut Vec<u8>,
    ) -> bool {
        let plain = std::mem::take(buffer);
        self.shards
            .get_mut(shard as usize)
            .is_some_and(|endpoint| endpoint.seal(now, peer, &plain, buffer).is_some())
    }

    /// The next datagram of a shard's handshakes.
    pub(super) fn poll_shard(&mut self, shard: u32, buffer: &mut Vec<u8>) -> Option<Peer> {
        let endpoint = self.shards.get_mut(shard as usize)?;
        Some(endpoint.poll_transmit(buffer)?.peer)
    }

    /// A datagram reaches a handset. Returns what its layers above hear.
    pub(super) fn phone_hears(
        &mut self,
        now: Instant,
        index: usize,
        payload: &[u8],
    ) -> Vec<Vec<u8>> {
        hears(self.phones.get_mut(index), now, payload)
    }

    /// A handset's layers above say something; without a connection, one is made first.
    pub(super) fn phone_says(&mut self, now: Instant, index: usize, plain: Vec<u8>) {
        if let Some(client) = self.phones.get_mut(index) {
            says(client, now, plain);
        }
    }

    /// The next datagram of a handset.
    pub(super) fn poll_phone(&mut self, index: usize) -> Option<Vec<u8>> {
        poll(self.phones.get_mut(index)?)
    }

    /// A datagram from a secure port reaches an address without a handset. `peer`: as the gateway
    /// sees it.
    pub(super) fn stranger_hears(
        &mut self,
        now: Instant,
        peer: Peer,
        payload: &[u8],
    ) -> Vec<Vec<u8>> {
        hears(self.strangers.get_mut(&peer), now, payload)
    }

    /// An address without a handset says something to a secure port.
    pub(super) fn stranger_says(
        &mut self,
        now: Instant,
        peer: Peer,
        plain: &[u8],
        random: &mut Random,
    ) {
        if !self.strangers.contains_key(&peer) {
            let client = self.client(random);
            self.strangers.insert(peer, client);
        }
        if let Some(client) = self.strangers.get_mut(&peer) {
            says(client, now, plain.to_vec());
        }
    }

    /// The next datagram of addresses without a handset.
    pub(super) fn poll_stranger(&mut self) -> Option<(Peer, Vec<u8>)> {
        let mut all = self.strangers.iter_mut();
        all.find_map(|(peer, client)| Some((*peer, poll(client)?)))
    }

    fn clients(&self) -> impl Iterator<Item = &Client> {
        self.phones.iter().chain(self.strangers.values())
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let shards = self.shards.iter().filter_map(Endpoint::poll_timeout);
        let clients = self.clients().filter_map(Client::poll_timeout);
        shards.chain(clients).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for endpoint in &mut self.shards {
            endpoint.handle_timeout(now);
        }
        for client in self.phones.iter_mut().chain(self.strangers.values_mut()) {
            client.handle_timeout(now);
        }
    }

    /// Whether no handshake is under way.
    pub(super) fn is_idle(&self) -> bool {
        let mut shards = self.shards.iter();
        shards.all(|endpoint| endpoint.stats().handshakes == 0)
            && self.clients().all(|it| it.poll_timeout().is_none())
    }

    /// What all shards count.
    pub(super) fn stats(&self) -> crate::wtls::Stats {
        let mut stats = crate::wtls::Stats::default();
        for endpoint in &self.shards {
            stats += endpoint.stats();
        }
        stats
    }
}

/// A datagram reaches a client. Returns what its layers above hear.
fn hears(client: Option<&mut Client>, now: Instant, payload: &[u8]) -> Vec<Vec<u8>> {
    let Some(client) = client else {
        return Vec::new();
    };
    client.handle_datagram(now, payload);
    std::iter::from_fn(|| client.poll_datagram()).collect()
}

/// The layers above a client say something; without a connection, one is made first.
fn says(client: &mut Client, now: Instant, plain: Vec<u8>) {
    if !client.is_open() && client.poll_timeout().is_none() {
        client.connect(now);
    }
    client.send(plain);
}

/// The next datagram of a client.
fn poll(client: &mut Client) -> Option<Vec<u8>> {
    // A handshake that fails leaves repetitions to the layers above.
    while let Some(ClientEvent::Open { .. } | ClientEvent::Failed(_)) = client.poll_event() {}
    client.poll_transmit()
}

fn seed(random: &mut Random) -> [u8; 32] {
    let mut seed = [0; 32];
    for part in seed.as_chunks_mut::<8>().0 {
        *part = random.u64().to_le_bytes();
    }
    seed
}
