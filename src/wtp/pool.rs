//! The memory that messages not yet whole or not yet verified may take, all together.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::config::Config;
use super::transaction::Charge;
use crate::random::{Keyed, Random};

/// Octets held at the moment.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    held: Charge,
    /// Unverified octets of each address that has some.
    by_address: HashMap<IpAddr, usize, Keyed>,
}

impl Pool {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            held: Charge::default(),
            by_address: HashMap::with_hasher(Random::new(seed).hasher()),
        }
    }

    /// Octets that may still be held for re-assembly.
    pub(super) const fn reassembly_room(&self, config: &Config) -> usize {
        config.max_reassembly.saturating_sub(self.held.reassembly)
    }

    /// Octets of an address's Invokes that may still be held for verification.
    pub(super) fn unverified_room(&self, address: IpAddr, config: &Config) -> usize {
        let of_address = self.by_address.get(&address).copied().unwrap_or(0);
        let here = config.max_unverified_per_address.saturating_sub(of_address);
        let in_all = config.max_unverified.saturating_sub(self.held.unverified);
        here.min(in_all).min(self.reassembly_room(config))
    }

    /// Replaces what a transaction was charged for.
    pub(super) fn charge(&mut self, address: IpAddr, before: Charge, after: Charge) {
        if before == after {
            return;
        }
        let swap = |held: usize, before: usize, after: usize| (held + after).saturating_sub(before);
        self.held.reassembly = swap(self.held.reassembly, before.reassembly, after.reassembly);
        self.held.unverified = swap(self.held.unverified, before.unverified, after.unverified);
        if before.unverified != after.unverified {
            let of_address = self.by_address.entry(address).or_insert(0);
            *of_address = swap(*of_address, before.unverified, after.unverified);
            if *of_address == 0 {
                self.by_address.remove(&address);
            }
        }
    }

    /// Octets held.
    pub(super) const fn held(&self) -> Charge {
        self.held
    }
}
