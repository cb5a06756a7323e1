//! A gateway that tests hand datagrams to, one after the other; in clear text, or in records.

#[cfg(feature = "wtls")]
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use wapbridge::gateway::fetch::{Reply, Request, RequestId};
use wapbridge::gateway::{Config, Event, Gateway};
use wapbridge::time::Instant;
use wapbridge::wdp::{Datagram, Peer, Service};
#[cfg(feature = "wtls")]
use wapbridge::wtls::{self, Client, ClientConfig, Endpoint, KeyExchange, Opened};

pub(crate) struct Rig {
    pub(crate) gateway: Gateway,
    pub(crate) now: Instant,
    /// Datagrams of the gateway.
    pub(crate) said: Vec<(Peer, Vec<u8>)>,
    /// Requests to origins that are not answered.
    pub(crate) fetched: Vec<(RequestId, Request)>,
    /// Octets of the origin's replies; without, it gives none.
    pub(crate) origin: Option<usize>,
    /// WTLS of both ends, if the secure ports are used.
    #[cfg(feature = "wtls")]
    secure: Option<SecureRig>,
}

impl Rig {
    pub(crate) fn new(config: Config) -> Self {
        let now = Instant::ZERO;
        let mut rig = Self {
            gateway: Gateway::new(Arc::new(config), 1, now).with_secure_ports(vec![9_202, 9_203]),
            now,
            said: Vec::new(),
            fetched: Vec::new(),
            origin: None,
            #[cfg(feature = "wtls")]
            secure: None,
        };
        // Unknown peers are no longer verified.
        rig.pass(Duration::from_secs(300));
        rig
    }

    /// The same at the secure ports: every address has a connection, and what it sends is inside
    /// records.
    #[cfg(feature = "wtls")]
    pub(crate) fn secured(config: Config) -> Self {
        let mut rig = Self::new(config);
        rig.secure = Some(SecureRig::new());
        rig
    }

    /// A datagram of connection mode.
    pub(crate) fn hears(&mut self, from: &str, payload: &[u8]) {
        self.hears_at(Service::ConnectionMode, from, payload);
    }

    /// A datagram of a service.
    pub(crate) fn hears_at(&mut self, service: Service, from: &str, payload: &[u8]) {
        let remote: SocketAddr = from.parse().unwrap();
        let gateway = |port| SocketAddr::from(([192, 0, 2, 1], port));
        let (plain, secured) = match service {
            Service::Connectionless => (9_200, 9_202),
            _ => (9_201, 9_203),
        };
        #[cfg(feature = "wtls")]
        if let Some(secure) = &mut self.secure {
            let peer = Peer::new(remote, gateway(secured));
            for opened in secure.carries(self.now, service, peer, payload) {
                let datagram = Datagram {
                    peer: opened.peer,
                    service: opened.service,
                    payload: &opened.payload,
                };
                self.gateway.handle_datagram(self.now, datagram);
            }
            return self.drain();
        }
        #[cfg(not(feature = "wtls"))]
        let _ = secured;
        let datagram = Datagram {
            peer: Peer::new(remote, gateway(plain)),
            service,
            payload,
        };
        self.gateway.handle_datagram(self.now, datagram);
        self.drain();
    }

    /// Time passes, and timers go off on the way.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.gateway.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.gateway.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    pub(crate) fn drain(&mut self) {
        let mut buf = Vec::new();
        while let Some(transmit) = self.gateway.poll_transmit(&mut buf) {
            let said = std::mem::take(&mut buf);
            #[cfg(feature = "wtls")]
            if let Some(secure) = &mut self.secure {
                let opened = secure.brings(self.now, transmit.peer, &said);
                self.said
                    .extend(opened.into_iter().map(|it| (transmit.peer, it)));
                continue;
            }
            self.said.push((transmit.peer, said));
        }
        while let Some(event) = self.gateway.poll_event() {
            let Event::Fetch(id, request) = event else {
                continue;
            };
            match self.origin {
                Some(octets) => {
                    self.replies(id, octets);
                    return self.drain();
                }
                None => self.fetched.push((id, request)),
            }
        }
    }

    /// The origin replies with so many octets.
    pub(crate) fn replies(&mut self, id: RequestId, octets: usize) {
        let reply = Reply {
            status: http::StatusCode::OK,
            headers: http::HeaderMap::new(),
            body: vec![b'x'; octets].into(),
            trailers: None,
        };
        self.gateway.handle_reply(self.now, id, Ok(reply));
    }

    /// Octets sent to an address.
    pub(crate) fn said_to(&self, address: &str) -> usize {
        let address: IpAddr = address.parse().unwrap();
        let to = |(peer, _): &&(Peer, Vec<u8>)| peer.remote.ip() == address;
        self.said
            .iter()
            .filter(to)
            .map(|(_, octets)| octets.len())
            .sum()
    }
}

/// WTLS between a gateway and its clients, one for each address and port.
#[cfg(feature = "wtls")]
struct SecureRig {
    server: Endpoint,
    clients: BTreeMap<Peer, Client>,
}

#[cfg(feature = "wtls")]
impl SecureRig {
    fn new() -> Self {
        let config = wtls::Config {
            // The cheapest exchange there is.
            key_exchanges: vec![KeyExchange::DH_ANON_512],
            // What handshakes may cost is tested elsewhere.
            key_operations: wtls::Rate {
                per_second: 100_000,
                burst: 100_000,
            },
            ..wtls::Config::default()
        };
        Self {
            server: Endpoint::new(Arc::new(config), [1; 32], None),
            clients: BTreeMap::new(),
        }
    }

    /// A client says something, after a handshake if there was none. Returns what the gateway's
    /// layers above hear.
    fn carries(
        &mut self,
        now: Instant,
        service: Service,
        peer: Peer,
        payload: &[u8],
    ) -> Vec<Opened> {
        let count = u32::try_from(self.clients.len()).unwrap();
        let client = self.clients.entry(peer).or_insert_with(|| {
            let mut seed = [0; 32];
            seed[..4].copy_from_slice(&count.to_be_bytes());
            Client::new(client_config(), seed)
        });
        if !client.is_open() {
            client.connect(now);
        }
        client.send(payload.to_vec());
        let mut buf = Vec::new();
        while let Some(payload) = client.poll_transmit() {
            let datagram = Datagram {
                peer,
                service: match service {
                    Service::Connectionless => Service::SecureConnectionless,
                    _ => Service::SecureConnectionMode,
                },
                payload: &payload,
            };
            self.server.handle_datagram(now, datagram);
            while self.server.poll_transmit(&mut buf).is_some() {
                client.handle_datagram(now, &std::mem::take(&mut buf));
            }
        }
        assert!(client.is_open(), "no handshake with {peer:?}");
        while self.server.poll_session_change().is_some() {}
        std::iter::from_fn(|| self.server.poll_datagram()).collect()
    }

    /// The gateway's layers above say something. Returns what the client's layers hear.
    fn brings(&mut self, now: Instant, peer: Peer, plain: &[u8]) -> Vec<Vec<u8>> {
        let mut record = Vec::new();
        let client = self.clients.get_mut(&peer).unwrap();
        assert!(self.server.seal(now, peer, plain, &mut record).is_some());
        client.handle_datagram(now, &record);
        std::iter::from_fn(|| client.poll_datagram()).collect()
    }
}

#[cfg(feature = "wtls")]
fn client_config() -> ClientConfig {
    ClientConfig {
        key_exchanges: vec![(KeyExchange::DH_ANON_512, 0)],
        suites: wtls::Config::default().suites,
        key_refresh: 7,
        authorities: Arc::new([]),
        host: None,
        epoch: None,
        credentials: None,
        retry_interval: Duration::from_secs(2),
        max_retries: 8,
    }
}
