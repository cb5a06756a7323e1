//! What strangers may cost: handshakes, connections, key operations, octets of answers.

use std::net::IpAddr;
use std::time::Duration;

use crate::limit::{Idle, Rate};
use crate::time::Instant;
use crate::wdp::{Peer, is_private, network_prefix, region_prefix, source_prefix};
use crate::wtls::alert::Description;
use crate::wtls::endpoint::{Connection, Endpoint};

impl Endpoint {
    /// Whether one more handshake may be under way. For one under the cipher spec of a connection
    /// the limits are a quarter higher, so strangers hold none back.
    pub(super) fn admit(&mut self, now: Instant, peer: Peer, is_secured: bool) -> bool {
        let slot = self.by_peer.find(&self.connections, &peer);
        let has_one = slot
            .and_then(|slot| self.connections.get(slot))
            .is_some_and(|connection| connection.pending.is_some());
        let of_address = self.handshakes_of.get(Holders::of(peer).source);
        let most = |limit: usize| match is_secured {
            true => limit.saturating_add(limit.div_ceil(SHARE_OF_CLIENTS as usize)),
            false => limit,
        };
        let in_all = most(self.config.max_handshakes);
        if self.handshakes >= in_all && !has_one {
            self.yield_to_another(now, peer);
        }
        let is_full = self.handshakes >= in_all
            || of_address >= most(self.config.max_handshakes_per_address as usize);
        if is_full && !has_one {
            self.stats.refused += 1;
            return false;
        }
        true
    }

    /// Notes the handshake of a stranger that has just begun.
    pub(super) fn note_waiting(&mut self, now: Instant, slot: u32, digest: u64) {
        if self.waiting.len() > 2 * self.handshakes + 64 {
            let connections = &self.connections;
            self.waiting
                .retain(|(_, slot, digest)| is_waiting(connections.get(*slot), *digest));
        }
        self.waiting.push_back((now, slot, digest));
    }

    /// Forgets the handshake of a stranger in favour of another peer's: one of a network or region
    /// that holds more than a share, where the other's does not; else one whose client has had its
    /// time to answer, unless only the other's network or region holds more than a share.
    fn yield_to_another(&mut self, now: Instant, other: Peer) {
        let mut place = 0;
        while let Some((began, slot, digest)) = self.waiting.get(place).copied() {
            if place >= MOST_LOOKED_AT {
                return;
            }
            let connection = self.connections.get(slot);
            let holder = connection
                .filter(|_| is_waiting(connection, digest))
                .map(|it| it.peer);
            let yields = holder.is_none_or(|holder| {
                let had_time = now.since(began) >= TIME_TO_ANSWER;
                self.holds_too_many(holder, other)
                    || had_time && !self.holds_too_many(other, holder)
            });
            if !yields {
                place += 1;
                continue;
            }
            self.waiting.remove(place);
            if holder.is_some() {
                self.stats.timed_out += 1;
                self.abandon(slot);
                return;
            }
        }
    }

    /// Whether the network of a peer, or its region, has more than a share of the handshakes under
    /// way, and that of another peer has not.
    fn holds_too_many(&self, peer: Peer, other: Peer) -> bool {
        let share = self.config.max_handshakes / SHARES;
        let exceeds = |holder| self.handshakes_of.get(holder) > share;
        let (holders, others) = (Holders::of(peer), Holders::of(other));
        exceeds(holders.network) && !exceeds(others.network)
            || exceeds(holders.region) && !exceeds(others.region)
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
        is_secured: bool,
    ) -> Result<(), Description> {
        let (all, of_source) = self.key_operation_rates(is_secured);
        let source = source_prefix(address);
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
        is_secured: bool,
    ) -> Result<(), Description> {
        let (all, of_source) = self.key_operation_rates(is_secured);
        let source = source_prefix(address);
        let could = all.take(now, self.key_operations, 1).is_ok()
            && self
                .key_operations_of
                .may_take(now, &source, of_source, MOST_ADDRESSES);
        self.count_key_operation(could)
    }

    /// The rates of all key operations and of those of one address. Handshakes under the cipher spec
    /// of a connection may take a quarter more at once, so strangers who take all that they may hold
    /// none back. In the long run there are no more.
    fn key_operation_rates(&self, is_secured: bool) -> (Rate, Rate) {
        let rates = (
            self.config.key_operations,
            self.config.key_operations_of_source(),
        );
        let with_share = |rate: Rate| {
            let share = rate.burst.div_ceil(SHARE_OF_CLIENTS).max(2);
            Rate {
                burst: rate.burst.saturating_add(share),
                ..rate
            }
        };
        match is_secured {
            true => (with_share(rates.0), with_share(rates.1)),
            false => rates,
        }
    }

    const fn count_key_operation(&mut self, is_possible: bool) -> Result<(), Description> {
        if is_possible {
            return Ok(());
        }
        self.stats.key_operations_refused += 1;
        Err(Description::INTERNAL_ERROR)
    }

    /// Whether a ClientHello in clear text is looked at that may come from a peer with a connection.
    /// Anybody can send one in the name of such a peer, which proved once that it receives, and not
    /// that it wants flights. A handshake under the cipher spec is the peer's own, and has its time.
    pub(super) fn hears_hello(&mut self, now: Instant, peer: Peer) -> bool {
        let slot = self.by_peer.find(&self.connections, &peer);
        let Some(connection) = slot.and_then(|slot| self.connections.get_mut(slot)) else {
            return true;
        };
        let Some(established) = &mut connection.established else {
            return true;
        };
        let pending = connection.pending.as_ref();
        let is_sealed = pending.is_some_and(|pending| pending.is_secured);
        match FLIGHTS.take(now, established.hellos, 1) {
            Ok(later) if !is_sealed => {
                established.hellos = later;
                true
            }
            _ => {
                self.stats.refused += 1;
                false
            }
        }
    }

    /// Whether an address that has proved nothing may be sent so many octets, for a datagram of
    /// `received` octets. A private address begins with a credit, so a handset there is answered at
    /// once.
    pub(super) fn may_send(
        &mut self,
        now: Instant,
        address: IpAddr,
        octets: usize,
        received: usize,
    ) -> bool {
        let octets = with_headers(octets);
        // While the table is full of other addresses, a datagram is worth what it earns itself; one
        // from the operator's network is worth its answer.
        let mut own = match is_private(address) {
            true => CREDIT_OF_PRIVATE,
            false => self.worth(received),
        };
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
        let earned = self.worth(octets);
        if let Some(credit) = self.credit(now, address) {
            let most = MOST_CREDIT.max(credit.octets);
            credit.octets = credit.octets.saturating_add(earned).min(most);
        }
    }

    /// A client at an address completed a handshake: the address receives what it is sent.
    pub(super) fn prove(&mut self, now: Instant, address: IpAddr) {
        let proved = initial_credit(address);
        if let Some(credit) = self.credit(now, address) {
            credit.octets = credit.octets.max(proved);
        }
    }

    /// Octets that a datagram of so many earns.
    fn worth(&self, octets: usize) -> u32 {
        with_headers(octets).saturating_mul(self.config.amplification)
    }

    fn credit(&mut self, now: Instant, address: IpAddr) -> Option<&mut Credit> {
        let key = source_prefix(address);
        let new = || Credit {
            octets: initial_credit(address),
            heard: now,
        };
        let credit = self.credits.entry(now, key, MOST_ADDRESSES, new)?;
        credit.heard = now;
        Some(credit)
    }
}

/// For whom a handshake counts: its address, its network and its region.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holders {
    pub(super) source: (u8, u128),
    network: (u8, u128),
    region: (u8, u128),
}

impl Holders {
    pub(super) fn of(peer: Peer) -> Self {
        let address = peer.remote.ip();
        // The number keeps a network apart from an address with the same bits.
        Self {
            source: (0, source_prefix(address)),
            network: (1, network_prefix(address)),
            region: (2, region_prefix(address)),
        }
    }

    pub(super) const fn all(self) -> [(u8, u128); 3] {
        [self.source, self.network, self.region]
    }
}

/// Whether this is the handshake of a stranger with this ClientHello still.
fn is_waiting(connection: Option<&Connection>, digest: u64) -> bool {
    connection
        .and_then(|connection| connection.pending.as_ref())
        .is_some_and(|pending| pending.digest == digest && !pending.is_secured)
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

const fn initial_credit(address: IpAddr) -> u32 {
    match is_private(address) {
        true => CREDIT_OF_PRIVATE,
        false => 0,
    }
}

fn with_headers(octets: usize) -> u32 {
    u32::try_from(octets + HEADERS).unwrap_or(u32::MAX)
}

/// Flights in answer to the ClientHellos in clear text of a peer with a connection, and in answer to
/// what such a peer repeats.
pub(super) const FLIGHTS: Rate = Rate {
    per_second: 1,
    burst: 4,
};
/// While as many handshakes are under way as there may be, one gives way after this time without the
/// client's flight.
const TIME_TO_ANSWER: Duration = Duration::from_secs(3);
/// While as many are under way, those of a network (/24, /48) or region (/16, /32) that has more
/// than one part of so many give way at once to those of another.
const SHARES: usize = 16;
/// Handshakes that are looked at to find one that gives way.
const MOST_LOOKED_AT: usize = 64;
/// How long the credit of an address is remembered.
const CREDIT_LIFETIME: Duration = Duration::from_secs(120);
/// The same while other addresses want the place.
const CREDIT_LIFETIME_WHEN_FULL: Duration = Duration::from_secs(10);
/// Addresses whose credit, and whose key operations, are remembered.
pub(super) const MOST_ADDRESSES: usize = 65_536;
/// Octets an address may save up.
const MOST_CREDIT: u32 = 1 << 16;
/// Octets a private address may be sent before it has sent any.
const CREDIT_OF_PRIVATE: u32 = 1 << 18;
/// One part of so many of a limit is added to the limit for handshakes under the cipher spec of a
/// connection.
const SHARE_OF_CLIENTS: u32 = 4;
/// Octets of the headers of IP and UDP.
const HEADERS: usize = 28;
