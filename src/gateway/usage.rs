//! Use of the limits that all handsets share, and the shares of one source or one origin.
//!
//! A source (an address, a /64 of IPv6) may hold as many requests, and as many octets, as are free
//! for all others. A network (a /24, a /48 of IPv6) may hold [`NETWORK_SHARE`] times as much as is
//! free, and an origin [`ORIGIN_SHARE`] times as many requests. So a single source can have half of
//! the pool, a network or an origin four fifths. With every further user the shares shrink: the
//! last free part of a pool never belongs to one user.

use std::net::IpAddr;

use crate::gateway::answer::{Problem, Refused};
use crate::gateway::settings::Limits;
use crate::random::{Keyed, Random};
use crate::table::Shares;
use crate::wdp::{network_prefix, source_prefix};

/// Requests in flight and octets held, in all, by source and by origin.
#[derive(Debug)]
pub(super) struct Usage {
    requests: usize,
    octets: usize,
    source_requests: Shares<Keyed>,
    source_octets: Shares<Keyed>,
    network_requests: Shares<Keyed>,
    network_octets: Shares<Keyed>,
    origin_requests: Shares<Keyed>,
}

/// What one exchange uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge<'a> {
    pub(super) source: IpAddr,
    /// The authority of the origin; empty while there is none.
    pub(super) origin: &'a str,
    /// Whether the origin's reply is awaited.
    pub(super) is_in_flight: bool,
    /// Octets of bodies held.
    pub(super) octets: usize,
}

impl Usage {
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            requests: 0,
            octets: 0,
            source_requests: Shares::new(random.hasher()),
            source_octets: Shares::new(random.hasher()),
            network_requests: Shares::new(random.hasher()),
            network_octets: Shares::new(random.hasher()),
            origin_requests: Shares::new(random.hasher()),
        }
    }

    /// Requests that wait for an origin.
    pub(super) const fn requests(&self) -> usize {
        self.requests
    }

    /// Octets held for exchanges that are not over, with those set aside for replies that arrive.
    pub(super) const fn octets(&self) -> usize {
        self.octets
    }

    /// Charges an exchange.
    pub(super) fn add(&mut self, charge: &Charge<'_>) {
        let source = source_prefix(charge.source);
        let network = network_prefix(charge.source);
        if charge.is_in_flight {
            self.requests += 1;
            self.source_requests.add(source, 1);
            self.network_requests.add(network, 1);
            self.origin_requests.add(charge.origin, 1);
        }
        self.octets += charge.octets;
        self.source_octets.add(source, charge.octets);
        self.network_octets.add(network, charge.octets);
    }

    /// Releases the charge of an exchange.
    pub(super) fn remove(&mut self, charge: &Charge<'_>) {
        let source = source_prefix(charge.source);
        let network = network_prefix(charge.source);
        if charge.is_in_flight {
            self.requests -= 1;
            self.source_requests.remove(source, 1);
            self.network_requests.remove(network, 1);
            self.origin_requests.remove(charge.origin, 1);
        }
        self.octets -= charge.octets;
        self.source_octets.remove(source, charge.octets);
        self.network_octets.remove(network, charge.octets);
    }

    /// Whether there is room for one more request of a source, with a body of so many octets.
    pub(super) fn check_source(
        &self,
        source: IpAddr,
        octets: usize,
        limits: &Limits,
    ) -> Result<(), Refused> {
        let free = limits.max_exchanges.saturating_sub(self.requests);
        if free == 0 {
            return Err(Problem::Busy.into());
        }
        let requests = self.source_requests.get(source_prefix(source));
        if requests > free {
            return Err(Refused {
                detail: Some(format!(
                    "this address has {requests} requests in flight; {free} more are free"
                )),
                ..Problem::Share.into()
            });
        }
        let requests = self.network_requests.get(network_prefix(source));
        if requests > free.saturating_mul(NETWORK_SHARE) {
            return Err(Refused {
                detail: Some(format!(
                    "this network has {requests} requests in flight; {free} more are free"
                )),
                ..Problem::Share.into()
            });
        }
        self.check_octets(source, octets, 0, limits)
    }

    /// Whether a source may hold so many octets more, once it has given back `released`.
    pub(super) fn check_octets(
        &self,
        source: IpAddr,
        octets: usize,
        released: usize,
        limits: &Limits,
    ) -> Result<(), Refused> {
        let others = self.octets.saturating_sub(released);
        let free = limits.max_octets.saturating_sub(others);
        if octets > free {
            return Err(Problem::Busy.into());
        }
        let held = self.source_octets.get(source_prefix(source));
        let held = held.saturating_sub(released);
        if held > free - octets {
            return Err(Refused {
                detail: Some(format!(
                    "this address holds {held} octets of bodies; {free} octets are free"
                )),
                ..Problem::Share.into()
            });
        }
        let held = self.network_octets.get(network_prefix(source));
        let held = held.saturating_sub(released);
        if held > (free - octets).saturating_mul(NETWORK_SHARE) {
            return Err(Refused {
                detail: Some(format!(
                    "this network holds {held} octets of bodies; {free} octets are free"
                )),
                ..Problem::Share.into()
            });
        }
        Ok(())
    }

    /// Whether there is room for one more request to an origin.
    pub(super) fn check_origin(&self, origin: &str, limits: &Limits) -> Result<(), Refused> {
        let free = limits.max_exchanges.saturating_sub(self.requests);
        let requests = self.origin_requests.get(origin);
        if requests > free.saturating_mul(ORIGIN_SHARE) {
            return Err(Refused {
                detail: Some(format!(
                    "this origin has {requests} requests in flight; {free} more are free"
                )),
                ..Problem::Share.into()
            });
        }
        Ok(())
    }
}

/// What one network may hold, for each unit that is free.
const NETWORK_SHARE: usize = 4;
/// Requests that one origin may have in flight, for each one that is free.
const ORIGIN_SHARE: usize = 4;
