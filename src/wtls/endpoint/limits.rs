//! What strangers may cost: handshakes, connections, key operations, octets of answers.

use std::net::IpAddr;
use std::time::Duration;

use crate::limit::{Idle, Rate};
use crate::time::Instant;
use crate::wdp::{Peer, is_private, source_prefix};
use crate::wtls::alert::Description;
use crate::wtls::endpoint::Endpoint;
use crate::wtls::endpoint::receive::Incoming;

impl Endpoint {
    /// Whether one more handshake may be under way.
    pub(super) fn admit(&mut self, peer: Peer) -> Result<(), Description> {
        let slot = self.by_peer.find(&self.connections, &peer);
        let has_one = slot
            .and_then(|slot| self.connections.get(slot))
            .is_some_and(|connection| connection.pending.is_some());
        let prefix = source_prefix(peer.remote.ip());
        let of_address = self.handshakes_of.get(prefix);
        let is_full = self.handshakes >= self.config.max_handshakes
            || of_address >= self.config.max_handshakes_per_address as usize;
        if is_full && !has_one {
            self.stats.refused += 1;
            return Err(Description::INTERNAL_ERROR);
        }
        Ok(())
    }

    /// Ends the connection used least recently if there are as many as there may be.
    pub(super) fn make_room(&mut self) {
        if self.established < self.config.max_connections {
            return;
        }
        let oldest = self.idle.first().or_else(|| self.active.first());
        if let Some(slot) = oldest {
            self.stats.evicted += 1;
            self.end_established(slot);
        }
    }

    /// Takes a key operation of an address, and of all.
    pub(super) fn take_key_operation(
        &mut self,
        now: Instant,
        address: IpAddr,
    ) -> Result<(), Description> {
        let all = self.config.key_operations;
        let (source, of_source) = (
            source_prefix(address),
            self.config.key_operations_of_source(),
        );
        // The limit of all comes first: no more addresses are remembered than it lets through.
        let taken = all.take(now, self.key_operations, 1).ok().filter(|_| {
            self.key_operations_of
                .take(now, source, of_source, MOST_ADDRESSES)
                .is_ok()
        });
        if let Some(later) = taken {
            self.key_operations = later;
        }
        self.count_key_operation(taken.is_some())
    }

    /// Whether the private key could be used now; it will be with the client's flight.
    pub(super) fn may_take_key_operation(
        &mut self,
        now: Instant,
        address: IpAddr,
    ) -> Result<(), Description> {
        let all = self.config.key_operations;
        let (source, of_source) = (
            source_prefix(address),
            self.config.key_operations_of_source(),
        );
        let could = all.take(now, self.key_operations, 1).is_ok()
            && self
                .key_operations_of
                .may_take(now, &source, of_source, MOST_ADDRESSES);
        self.count_key_operation(could)
    }

    const fn count_key_operation(&mut self, is_possible: bool) -> Result<(), Description> {
        if is_possible {
            return Ok(());
        }
        self.stats.key_operations_refused += 1;
        Err(Description::INTERNAL_ERROR)
    }

    /// Whether a ClientHello is looked at that may come from a peer with a connection. Anybody can
    /// send one in clear text in the name of such a peer, which proved once that it receives, and
    /// not that it wants flights.
    pub(super) fn hears_hello(&mut self, now: Instant, peer: Peer) -> bool {
        let slot = self.by_peer.find(&self.connections, &peer);
        let established = slot
            .and_then(|slot| self.connections.get_mut(slot))
            .and_then(|connection| connection.established.as_mut());
        let Some(established) = established else {
            return true;
        };
        match HELLOS_OF_ESTABLISHED.take(now, established.hellos, 1) {
            Ok(later) => {
                established.hellos = later;
                true
            }
            Err(_) => {
                self.stats.refused += 1;
                false
            }
        }
    }

    /// Whether the flight that answers a repeated ClientHello may be sent now.
    pub(super) fn may_answer_hello(
        &mut self,
        now: Instant,
        incoming: &mut Incoming<'_>,
        octets: usize,
    ) -> bool {
        self.hears_hello(now, incoming.datagram.peer) && self.may_answer(now, incoming, octets)
    }

    /// Whether an address that has proved nothing may be sent so many octets, for a datagram of
    /// `received` octets. What is sent to a private address goes nowhere else, whoever forged it.
    pub(super) fn may_send(
        &mut self,
        now: Instant,
        address: IpAddr,
        octets: usize,
        received: usize,
    ) -> bool {
        if is_private(address) {
            return true;
        }
        let octets = with_headers(octets);
        // While the table is full of other addresses, a datagram is worth what it earns itself.
        let mut own = self.worth(received);
        let credit = match self.credit(now, address) {
            Some(credit) => &mut credit.octets,
            None => &mut own,
        };
        if let Some(rest) = credit.checked_sub(octets) {
            *credit = rest;
            return true;
        }
        self.stats.withheld += 1;
        false
    }

    /// An address that has proved nothing sent so many octets.
    pub(super) fn earn(&mut self, now: Instant, address: IpAddr, octets: usize) {
        if is_private(address) {
            return;
        }
        let earned = self.worth(octets);
        if let Some(credit) = self.credit(now, address) {
            credit.octets = credit.octets.saturating_add(earned).min(MOST_CREDIT);
        }
    }

    /// Octets that a datagram of so many earns.
    fn worth(&self, octets: usize) -> u32 {
        with_headers(octets).saturating_mul(self.config.amplification)
    }

    fn credit(&mut self, now: Instant, address: IpAddr) -> Option<&mut Credit> {
        let key = source_prefix(address);
        let new = || Credit {
            octets: 0,
            heard: now,
        };
        let credit = self.credits.entry(now, key, MOST_ADDRESSES, new)?;
        credit.heard = now;
        Some(credit)
    }
}

/// What an address that has proved nothing may be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credit {
    octets: u32,
    heard: Instant,
}

impl Idle for Credit {
    fn is_idle(&self, now: Instant, is_full: bool) -> bool {
        let lifetime = match is_full {
            true => CREDIT_LIFETIME_WHEN_FULL,
            false => CREDIT_LIFETIME,
        };
        now.since(self.heard) > lifetime
    }
}

fn with_headers(octets: usize) -> u32 {
    u32::try_from(octets + HEADERS).unwrap_or(u32::MAX)
}

/// ClientHellos of a peer with a connection that are answered.
const HELLOS_OF_ESTABLISHED: Rate = Rate {
    per_second: 1,
    burst: 4,
};
/// How long the credit of an address is remembered.
const CREDIT_LIFETIME: Duration = Duration::from_secs(120);
/// The same while other addresses want the place.
const CREDIT_LIFETIME_WHEN_FULL: Duration = Duration::from_secs(10);
/// Addresses whose credit, and whose key operations, are remembered.
pub(super) const MOST_ADDRESSES: usize = 65_536;
/// Octets an address may save up.
const MOST_CREDIT: u32 = 1 << 16;
/// Octets of the headers of IP and UDP.
const HEADERS: usize = 28;
