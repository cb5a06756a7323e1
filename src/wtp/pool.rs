//! Resources that peers share: the memory of incomplete or unverified messages, and the number of
//! transactions.
//!
//! A source (an IPv4 address or an IPv6 /64) gets no more than its share over all its ports.

use std::net::IpAddr;

use super::config::Config;
use crate::random::{Keyed, Random};
use crate::table::Shares;
use crate::wdp::{network_prefix, region_prefix, source_prefix};

/// Resources in use, in total and by source.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    held: Charge,
    reassembly: Shares<Keyed>,
    reassembly_of_network: Shares<Keyed>,
    reassembly_of_region: Shares<Keyed>,
    unverified: Shares<Keyed>,
    transactions: Shares<Keyed>,
}

/// Octets a transaction holds against the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) reassembly: usize,
    pub(super) unverified: usize,
}

impl Pool {
    pub(super) fn new(seed: u64) -> Self {
        let hasher = Random::new(seed).hasher();
        Self {
            held: Charge::default(),
            reassembly: Shares::new(hasher),
            reassembly_of_network: Shares::new(hasher),
            reassembly_of_region: Shares::new(hasher),
            unverified: Shares::new(hasher),
            transactions: Shares::new(hasher),
        }
    }

    /// Octets left for re-assembly, for all sources.
    pub(super) const fn room(&self, config: &Config) -> usize {
        config.max_reassembly.saturating_sub(self.held.reassembly)
    }

    /// Octets of a source's messages that its share allows still.
    pub(super) fn share_left(&self, address: IpAddr, config: &Config) -> usize {
        let held = self.reassembly.get(source_prefix(address));
        config.max_reassembly_of_source().saturating_sub(held)
    }

    /// Octets of a source's messages that may still be held for re-assembly.
    pub(super) fn reassembly_room(&self, address: IpAddr, config: &Config) -> usize {
        self.share_left(address, config).min(self.room(config))
    }

    /// Octets held for re-assembly by the messages of an address's network.
    pub(super) fn held_by_network(&self, address: IpAddr) -> usize {
        self.reassembly_of_network.get(network_prefix(address))
    }

    /// The same for its region.
    pub(super) fn held_by_region(&self, address: IpAddr) -> usize {
        self.reassembly_of_region.get(region_prefix(address))
    }

    /// Octets of a source's Invokes that may still be held for verification.
    pub(super) fn unverified_room(&self, address: IpAddr, config: &Config) -> usize {
        let of_source = self.unverified.get(source_prefix(address));
        let here = config.max_unverified_per_address.saturating_sub(of_source);
        let in_all = config.max_unverified.saturating_sub(self.held.unverified);
        here.min(in_all).min(self.reassembly_room(address, config))
    }

    /// Replaces the charge of a transaction.
    pub(super) fn charge(&mut self, address: IpAddr, before: Charge, after: Charge) {
        if before == after {
            return;
        }
        let swap = |held: usize, before: usize, after: usize| (held + after).saturating_sub(before);
        self.held.reassembly = swap(self.held.reassembly, before.reassembly, after.reassembly);
        self.held.unverified = swap(self.held.unverified, before.unverified, after.unverified);
        let source = source_prefix(address);
        let exchange = |shares: &mut Shares<Keyed>, key: u128, before: usize, after: usize| {
            if before != after {
                shares.add(key, after);
                shares.remove(key, before);
            }
        };
        let (had, has) = (before.reassembly, after.reassembly);
        exchange(&mut self.reassembly, source, had, has);
        let network = network_prefix(address);
        exchange(&mut self.reassembly_of_network, network, had, has);
        let region = region_prefix(address);
        exchange(&mut self.reassembly_of_region, region, had, has);
        let (had, has) = (before.unverified, after.unverified);
        exchange(&mut self.unverified, source, had, has);
    }

    /// Transactions alive that a source began.
    pub(super) fn begun_by(&self, address: IpAddr) -> usize {
        self.transactions.get(source_prefix(address))
    }

    /// A source begins a transaction.
    pub(super) fn begin(&mut self, address: IpAddr) {
        self.transactions.add(source_prefix(address), 1);
    }

    /// A transaction of a source ends.
    pub(super) fn end(&mut self, address: IpAddr) {
        self.transactions.remove(source_prefix(address), 1);
    }

    /// Octets held.
    pub(super) const fn held(&self) -> Charge {
        self.held
    }
}
