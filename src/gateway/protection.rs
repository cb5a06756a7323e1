//! Limits per address, checked before any other work on a datagram.
//!
//! The check is one look-up in a table. An address that has used none of its allowances equals an
//! unknown one, so only addresses that use theirs have an entry. A busy address cannot evict a
//! quiet one, because a quiet one has no entry.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use derive_more::AddAssign;

use crate::limit::{Idle, Limited, RateLimiter, SweptMap};
use crate::random::Keyed;
use crate::route::Networks;
use crate::time::Instant;
use crate::wdp::source_prefix;

pub use crate::limit::Rate;

/// Limits of handsets.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where handsets may be; empty means anywhere. Default: anywhere.
    pub allow: Arc<Networks>,
    /// Where they may not, though they are allowed. Default: nowhere.
    pub deny: Arc<Networks>,
    /// Requests of one address (of one /64 of IPv6) in connection mode. Default: 5,000 a second,
    /// 10,000 at once.
    pub requests: Rate,
    /// Octets from one address. Default: 16 MiB a second, 32 MiB at once.
    pub octets: Rate,
    /// Requests of one subscriber, as far as subscribers are known. Default: no limit.
    pub subscriber: Option<Rate>,
    /// Requests in all. Default: no limit.
    pub all: Option<Rate>,
    /// Addresses with recorded use, per shard. While all of them use their allowances, other
    /// addresses without a session are not served. Default: 65,536.
    pub max_addresses: usize,
    /// Octets sent to an unproved address for each octet from it. An address is proved once it
    /// continued a transaction, as only a receiver of our answers does. Default: 3.
    pub amplification: u32,
}

impl Config {
    /// Whether handsets may be at an address.
    pub(super) fn admits(&self, address: IpAddr) -> bool {
        let allowed = self.allow.is_empty() || self.allow.contains(address);
        allowed && !self.deny.contains(address)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allow: Arc::default(),
            deny: Arc::default(),
            requests: Rate {
                per_second: 5_000,
                burst: 10_000,
            },
            octets: Rate {
                per_second: 16 << 20,
                burst: 32 << 20,
            },
            subscriber: None,
            all: None,
            max_addresses: 65_536,
            amplification: 3,
        }
    }
}

/// Counters; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, AddAssign)]
pub struct Stats {
    /// Datagrams from where no handset may be.
    pub denied: u64,
    /// Datagrams of an address that sent too many requests.
    pub requests: u64,
    /// Datagrams of an address that sent too many octets.
    pub octets: u64,
    /// Requests of a subscriber beyond the subscriber's rate.
    pub subscriber: u64,
    /// Requests beyond the rate of all handsets.
    pub all: u64,
    /// Datagrams of unknown addresses while the table of addresses was full.
    pub crowded: u64,
    /// Datagrams discarded because their address was unproved and had sent too few octets.
    pub amplification: u64,
}

/// The decision about a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The datagram is accepted.
    Pass,
    /// It never came.
    Drop,
    /// Its requests are refused, if their sender has proved to be one.
    Refuse,
}

/// The policer of one shard.
#[derive(Debug)]
pub(super) struct Policer {
    addresses: SweptMap<u128, Usage>,
    subscribers: RateLimiter<u64>,
    all: Instant,
    pub(super) stats: Stats,
}

/// The recorded use of one address.
#[derive(Clone, Copy, Debug)]
struct Usage {
    /// When its requests are worked off.
    requests: Instant,
    /// When its octets are.
    octets: Instant,
    /// When its last datagram came.
    heard: Instant,
    /// Octets it may be sent before it has proved anything.
    credit: u32,
}

impl Usage {
    const fn none(now: Instant) -> Self {
        Self {
            requests: now,
            octets: now,
            heard: now,
            credit: 0,
        }
    }
}

impl Idle for Usage {
    fn is_idle(&self, now: Instant, is_full: bool) -> bool {
        let quiet = match is_full {
            true => QUIET_WHEN_FULL,
            false => QUIET,
        };
        self.requests <= now && self.octets <= now && now.since(self.heard) >= quiet
    }
}

impl Policer {
    pub(super) fn new(addresses: Keyed, subscribers: Keyed) -> Self {
        Self {
            addresses: SweptMap::new(addresses),
            subscribers: RateLimiter::new(subscribers),
            all: Instant::ZERO,
            stats: Stats::default(),
        }
    }

    /// Addresses whose use is recorded.
    pub(super) fn watched(&self) -> usize {
        self.addresses.len()
    }

    /// Records a datagram with `octets` and `requests`. `has_session` tells whether its sender has
    /// a session.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        config: &Config,
        address: IpAddr,
        octets: usize,
        requests: u32,
        has_session: impl Fn() -> bool,
    ) -> Decision {
        if !config.admits(address) {
            self.stats.denied += 1;
            return Decision::Drop;
        }
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        let key = source_prefix(address);
        let max = config.max_addresses;
        let used = self.addresses.entry(now, key, max, || Usage::none(now));
        let Some(used) = used else {
            // A sender with a session is served without being watched.
            if has_session() {
                return self.admit_all(now, config, requests);
            }
            self.stats.crowded += 1;
            return Decision::Drop;
        };
        used.heard = now;
        let earned = octets.saturating_mul(config.amplification);
        used.credit = used
            .credit
            .saturating_add(earned.max(LEAST_CREDIT))
            .min(MOST_CREDIT);
        match config.octets.take(now, used.octets, octets) {
            Ok(due) => used.octets = due,
            Err(_) => {
                self.stats.octets += 1;
                return Decision::Drop;
            }
        }
        if requests > 0 {
            match config.requests.take(now, used.requests, requests) {
                Ok(due) => used.requests = due,
                Err(_) => {
                    self.stats.requests += 1;
                    return Decision::Refuse;
                }
            }
        }
        self.admit_all(now, config, requests)
    }

    /// Whether a subscriber may make another request; if not, the time to wait.
    pub(super) fn admit_subscriber(
        &mut self,
        now: Instant,
        config: &Config,
        subscriber: u64,
    ) -> Result<(), Duration> {
        let Some(rate) = config.subscriber else {
            return Ok(());
        };
        let max = config.max_addresses;
        match self.subscribers.take(now, subscriber, rate, max) {
            // Unwatched for a while rather than unserved: the address is watched besides.
            Ok(()) | Err(Limited::Full) => Ok(()),
            Err(Limited::Wait(wait)) => {
                self.stats.subscriber += 1;
                Err(wait)
            }
        }
    }

    /// Whether a datagram may be sent to an address. `has_proved` tells whether the address is
    /// proved.
    pub(super) fn may_send(
        &mut self,
        address: IpAddr,
        octets: usize,
        has_proved: impl Fn() -> bool,
    ) -> bool {
        if has_proved() {
            return true;
        }
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        if let Some(used) = self.addresses.get_mut(&source_prefix(address))
            && let Some(rest) = used.credit.checked_sub(octets)
        {
            used.credit = rest;
            return true;
        }
        self.stats.amplification += 1;
        false
    }

    /// A session's method from this address is answered: its reply may have one packet, though the
    /// Ack of the ConnectReply, which would prove that the address receives, is late or lost.
    pub(super) fn grant_reply(&mut self, now: Instant, address: IpAddr, octets: usize) {
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        let granted = octets.saturating_add(LONGEST_HEADER).min(PACKET);
        // No more addresses than there are sessions.
        let key = source_prefix(address);
        let used = self
            .addresses
            .entry(now, key, usize::MAX, || Usage::none(now));
        if let Some(used) = used {
            used.heard = now;
            used.credit = used.credit.saturating_add(granted).min(MOST_CREDIT);
        }
    }

    /// The gateway ends a session of this address and may tell the handset so, although the proof
    /// of the address ended with the session.
    pub(super) fn grant_disconnect(&mut self, now: Instant, address: IpAddr) {
        // No more addresses than there were sessions.
        let key = source_prefix(address);
        let used = self
            .addresses
            .entry(now, key, usize::MAX, || Usage::none(now));
        if let Some(used) = used {
            used.heard = now;
            used.credit = used
                .credit
                .saturating_add(DISCONNECT_CREDIT)
                .min(MOST_CREDIT);
        }
    }

    fn admit_all(&mut self, now: Instant, config: &Config, requests: u32) -> Decision {
        if let (Some(rate), 1..) = (config.all, requests) {
            match rate.take(now, self.all, requests) {
                Ok(due) => self.all = due,
                Err(_) => {
                    self.stats.all += 1;
                    return Decision::Refuse;
                }
            }
        }
        Decision::Pass
    }
}

/// Least credit of a datagram in octets: the shortest Connect has eight, and its reply, with
/// Encoding-Version in text for a client of version 1.2, has some thirty. With 28 octets of IP and
/// UDP headers on both sides the reply stays below three times the request.
const LEAST_CREDIT: u32 = 40;

/// Octets an address may save up by sending.
const MOST_CREDIT: u32 = 1 << 20;
/// Octets of a Disconnect, and of the aborts of as many transactions as a session has.
const DISCONNECT_CREDIT: u32 = 128;
/// Octets of the packet that answers a method before its address has proved anything.
const PACKET: u32 = 1_432;
/// Octets of a Result's header.
const LONGEST_HEADER: u32 = 8;
/// An address is idle after so long: longer than an answer to a Connect is repeated.
const QUIET: Duration = Duration::from_secs(120);
/// The same while other addresses want its place.
const QUIET_WHEN_FULL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Random;

    fn policer() -> Policer {
        let mut random = Random::new(1);
        Policer::new(random.hasher(), random.hasher())
    }

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn slow() -> Config {
        Config {
            requests: Rate {
                per_second: 2,
                burst: 3,
            },
            octets: Rate {
                per_second: 100,
                burst: 1_000,
            },
            ..Config::default()
        }
    }

    #[test]
    fn an_address_has_its_burst_and_its_rate_and_so_has_its_64() {
        let (mut policer, config) = (policer(), slow());
        let mut hear = |millis, address: &str| {
            policer.admit(at(millis), &config, ip(address), 10, 1, || false)
        };
        for _ in 0..3 {
            assert_eq!(hear(0, "2001:db8::1"), Decision::Pass);
        }
        assert_eq!(hear(0, "2001:db8::2"), Decision::Refuse);
        assert_eq!(hear(0, "2001:db8:0:1::1"), Decision::Pass);
        assert_eq!(hear(499, "2001:db8::1"), Decision::Refuse);
        assert_eq!(hear(500, "2001:db8::1"), Decision::Pass);
        assert_eq!(hear(501, "2001:db8::1"), Decision::Refuse);
        assert_eq!(policer.stats.requests, 3);
    }

    #[test]
    fn octets_are_counted_whatever_they_are() {
        let (mut policer, config) = (policer(), slow());
        let mut hear = |millis| policer.admit(at(millis), &config, ip("10.0.0.1"), 500, 0, || true);
        assert_eq!(
            [hear(0), hear(0), hear(0)],
            [Decision::Pass, Decision::Pass, Decision::Drop]
        );
        assert_eq!(hear(5_000), Decision::Pass);
    }

    #[test]
    fn who_is_denied_or_not_allowed_is_not_heard() {
        let networks = |text: &str| Arc::new(Networks::lines(text).unwrap().into_iter().collect());
        let config = Config {
            allow: networks("10.0.0.0/8"),
            deny: networks("10.66.0.0/16"),
            ..Config::default()
        };
        let mut policer = policer();
        for (address, verdict) in [
            ("10.0.0.1", Decision::Pass),
            ("10.66.0.1", Decision::Drop),
            ("192.0.2.1", Decision::Drop),
        ] {
            assert_eq!(
                policer.admit(at(0), &config, ip(address), 10, 1, || true),
                verdict
            );
        }
        assert_eq!((policer.stats.denied, policer.addresses.len()), (2, 1));
    }

    #[test]
    fn many_unknown_addresses_do_not_evict_a_handset_with_a_session() {
        let mut policer = policer();
        let config = Config {
            max_addresses: 10,
            ..slow()
        };
        for host in 0..10 {
            let stranger = IpAddr::from([10, 0, 0, host]);
            assert_eq!(
                policer.admit(at(0), &config, stranger, 10, 1, || false),
                Decision::Pass
            );
        }
        assert_eq!(
            policer.admit(at(1), &config, ip("10.1.0.1"), 10, 1, || false),
            Decision::Drop
        );
        assert_eq!(
            policer.admit(at(1), &config, ip("10.1.0.2"), 10, 1, || true),
            Decision::Pass
        );
        // Once they have been quiet for a while there is room again.
        assert_eq!(
            policer.admit(at(2_000), &config, ip("10.1.0.1"), 10, 1, || false),
            Decision::Pass
        );
        assert_eq!((policer.stats.crowded, policer.addresses.len()), (1, 1));
    }

    #[test]
    fn a_subscriber_and_all_of_them_have_their_rates() {
        let mut policer = policer();
        let rate = Some(Rate {
            per_second: 1,
            burst: 1,
        });
        let config = Config {
            subscriber: rate,
            all: rate,
            ..Config::default()
        };
        assert_eq!(policer.admit_subscriber(at(0), &config, 7), Ok(()));
        assert_eq!(
            policer.admit_subscriber(at(250), &config, 7),
            Err(Duration::from_millis(750))
        );
        assert_eq!(policer.admit_subscriber(at(250), &config, 8), Ok(()));
        assert_eq!(
            policer.admit(at(0), &config, ip("10.0.0.1"), 10, 1, || true),
            Decision::Pass
        );
        assert_eq!(
            policer.admit(at(0), &config, ip("10.0.0.2"), 10, 1, || true),
            Decision::Refuse
        );
        assert_eq!(
            policer.admit(at(0), &config, ip("10.0.0.2"), 10, 0, || true),
            Decision::Pass
        );
    }

    #[test]
    fn a_subscriber_with_one_request_is_not_remembered_for_ever() {
        let mut policer = policer();
        let config = Config {
            subscriber: Some(Rate {
                per_second: 1,
                burst: 1,
            }),
            ..Config::default()
        };
        for subscriber in 0..5_000 {
            assert_eq!(policer.admit_subscriber(at(0), &config, subscriber), Ok(()));
        }
        assert_eq!(policer.admit_subscriber(at(120_000), &config, 1), Ok(()));
        assert_eq!(policer.subscribers.len(), 1);
    }

    proptest! {
        /// At any mix of datagrams, an unproved address gets no more than three times its octets, where
        /// the shortest datagrams earn [`LEAST_CREDIT`].
        #[test]
        fn nothing_is_amplified(turns in proptest::collection::vec((any::<bool>(), 0usize..3_000), 0..200)) {
            let (mut policer, config) = (policer(), Config::default());
            let (mut earned, mut said) = (0, 0);
            for (nth, (hears, octets)) in turns.into_iter().enumerate() {
                if hears {
                    let now = at(nth as u64);
                    policer.admit(now, &config, ip("10.0.0.1"), octets, 1, || false);
                    earned += (3 * octets).max(LEAST_CREDIT as usize);
                } else if policer.may_send(ip("10.0.0.1"), octets, || false) {
                    said += octets;
                }
                prop_assert!(said <= earned);
            }
        }

        /// On the wire, with the headers of IP and UDP, one reply has no more than three times the
        /// octets of its request.
        #[test]
        fn a_reply_with_its_headers_is_no_larger_than_three_requests(octets in 0usize..1_500, reply in 0usize..5_000) {
            let (mut policer, config) = (policer(), Config::default());
            policer.admit(at(0), &config, ip("10.0.0.1"), octets, 1, || false);
            if policer.may_send(ip("10.0.0.1"), reply, || false) {
                prop_assert!(reply + 28 <= 3 * (octets + 28));
            }
        }
    }
}
