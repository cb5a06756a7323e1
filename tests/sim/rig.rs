//! A gateway that tests hand datagrams to, one after the other.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use wapbridge::gateway::fetch::{Reply, Request, RequestId};
use wapbridge::gateway::{Config, Event, Gateway};
use wapbridge::time::Instant;
use wapbridge::wdp::{Datagram, Peer, Service};

pub(crate) struct Rig {
    pub(crate) gateway: Gateway,
    pub(crate) now: Instant,
    /// Datagrams of the gateway.
    pub(crate) said: Vec<(Peer, Vec<u8>)>,
    /// Requests to origins that are not answered.
    pub(crate) fetched: Vec<(RequestId, Request)>,
    /// Octets of the origin's replies; without, it gives none.
    pub(crate) origin: Option<usize>,
}

impl Rig {
    pub(crate) fn new(config: Config) -> Self {
        let now = Instant::ZERO;
        let mut rig = Self {
            gateway: Gateway::new(Arc::new(config), 1, now),
            now,
            said: Vec::new(),
            fetched: Vec::new(),
            origin: None,
        };
        // Unknown peers are no longer verified.
        rig.pass(Duration::from_secs(300));
        rig
    }

    pub(crate) fn hears(&mut self, from: &str, payload: &[u8]) {
        let remote: SocketAddr = from.parse().unwrap();
        let datagram = Datagram {
            peer: Peer::new(remote, "192.0.2.1:9201".parse().unwrap()),
            service: Service::ConnectionMode,
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
            self.said.push((transmit.peer, std::mem::take(&mut buf)));
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
