//! The accounting servers that reports are forwarded to, and which of them is down.

use std::net::SocketAddr;
use std::time::Duration;

use crate::radius::Secret;
use crate::time::Instant;

/// An accounting server that reports are forwarded to.
#[derive(Clone, Debug)]
pub struct HomeServer {
    /// The UDP address.
    pub address: SocketAddr,
    /// The secret shared with this server.
    pub secret: Secret,
}

/// The servers in the order of the configuration, each with its health.
#[derive(Debug, Default)]
pub(super) struct Homes(Vec<(HomeServer, Health)>);

#[derive(Clone, Copy, Debug, Default)]
struct Health {
    /// The time of the last response.
    answered: Instant,
    /// Requests without a response since then.
    missed: u32,
    /// Until this time the server counts as down.
    down_until: Instant,
}

impl Homes {
    /// Replaces the servers. A server that stays keeps its health.
    pub(super) fn replace(&mut self, homes: &[HomeServer]) {
        let homes = homes.iter().map(|home| {
            let health = self.health(home.address).copied().unwrap_or_default();
            (home.clone(), health)
        });
        self.0 = homes.collect();
    }

    /// A response came from the server at `address`.
    pub(super) fn answered(&mut self, address: SocketAddr, now: Instant) {
        if let Some(health) = self.health(address) {
            *health = Health {
                answered: now,
                ..Health::default()
            };
        }
    }

    /// A request that was sent at `since` had no response in time.
    pub(super) fn missed(&mut self, address: SocketAddr, since: Instant, now: Instant) {
        // One lost packet does not outweigh later responses of the server.
        if let Some(health) = self.health(address)
            && health.answered <= since
        {
            health.missed += 1;
            if health.missed >= MAX_MISSED {
                health.down_until = now + DOWN_TIME;
            }
        }
    }

    /// The first server that is up and is not at the address `unanswered`, else the first server.
    /// `None` if no server is configured.
    pub(super) fn next(&self, now: Instant, unanswered: Option<SocketAddr>) -> Option<&HomeServer> {
        let mut homes = self.0.iter();
        let up = homes
            .find(|(home, health)| health.down_until <= now && unanswered != Some(home.address));
        up.or_else(|| self.0.first()).map(|(home, _)| home)
    }

    fn health(&mut self, address: SocketAddr) -> Option<&mut Health> {
        let mut homes = self.0.iter_mut();
        let found = homes.find(|(home, _)| home.address == address);
        found.map(|(_, health)| health)
    }
}

/// Requests in a row without a response, after which a server counts as down.
const MAX_MISSED: u32 = 3;
/// A server that is down gets no requests for this time, while another server is up.
const DOWN_TIME: Duration = Duration::from_secs(30);
