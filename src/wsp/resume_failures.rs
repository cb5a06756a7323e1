//! Resumes that named no session of their sender: each is a guess at a session id.

use std::net::IpAddr;

use crate::limit::{Backoff, Rate, RateLimiter};
use crate::random::Random;
use crate::time::Instant;
use crate::wdp::{network_prefix, region_prefix, source_prefix};

/// Failed Resumes by source (an IPv4 address, an IPv6 /64) and by network (an IPv4 /24, an IPv6
/// /48), each with pauses of its own, and by region (an IPv4 /16, an IPv6 /32), each with a rate.
/// So nobody's addresses fill the tables alone.
#[derive(Debug)]
pub(super) struct ResumeFailures {
    sources: Backoff<u128>,
    networks: Backoff<u128>,
    regions: RateLimiter<u128>,
}

/// Resumes of an address that wait for an answer of another shard or of the store. Each may fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Those of its source.
    pub(super) of_source: u32,
    /// Those of its network.
    pub(super) of_network: u32,
    /// Those of its region.
    pub(super) of_region: u32,
}

/// How a Resume is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hearing {
    /// Its session is looked up, and a failure is counted.
    Full,
    /// A failure would not be counted, so that a guess would be free, or its region has failed too
    /// often. The Resume gets a session only where its sender needs no guess: one of its own
    /// subscriber, or of its own address and port.
    OwnOnly,
    /// Its source or its network is in a pause.
    Paused,
}

impl ResumeFailures {
    pub(super) fn new(random: &mut Random) -> Self {
        let hasher = random.hasher();
        Self {
            sources: Backoff::new(hasher),
            networks: Backoff::with_free(FREE_OF_NETWORK, hasher),
            regions: RateLimiter::new(hasher),
        }
    }

    /// How a Resume from this address is treated, before any look-up.
    pub(super) fn hearing(&self, now: Instant, address: IpAddr, waiting: Waiting) -> Hearing {
        let (source, network) = (source_prefix(address), network_prefix(address));
        let is_paused = self
            .sources
            .would_be_paused(now, &source, waiting.of_source)
            || self
                .networks
                .would_be_paused(now, &network, waiting.of_network);
        if is_paused {
            return Hearing::Paused;
        }
        let region = region_prefix(address);
        let is_counted =
            self.sources.is_counted(now, &source) && self.networks.is_counted(now, &network);
        let more = waiting.of_region.saturating_add(1);
        let is_counted = is_counted
            && self
                .regions
                .may_take_some(now, &region, OF_REGION, MAX_SOURCES, more);
        match is_counted {
            true => Hearing::Full,
            false => Hearing::OwnOnly,
        }
    }

    /// A Resume from this address named no session that its sender may have.
    pub(super) fn fail(&mut self, now: Instant, address: IpAddr) {
        self.sources.fail(now, source_prefix(address), MAX_SOURCES);
        self.networks
            .fail(now, network_prefix(address), MAX_SOURCES);
        let region = region_prefix(address);
        // Where the rate is exceeded already, there is nothing more to take.
        let _ = self.regions.take(now, region, OF_REGION, MAX_SOURCES);
    }
}

/// Failures of a network without a pause.
const FREE_OF_NETWORK: u32 = 64;
/// Failures of a region.
const OF_REGION: Rate = Rate {
    per_second: 1,
    burst: 256,
};
/// Sources, networks and regions whose failures are counted.
const MAX_SOURCES: usize = 16_384;
