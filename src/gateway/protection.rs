//! Who may send, and how much: decided before any work is done for a datagram.
//!
//! One look at a table per datagram. An address whose allowances are all unused is the same as one never heard of, so
//! only those need be kept that use theirs; nobody who is quiet can be pushed out by somebody who is not, since there
//! is nothing of him to push out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use derive_more::AddAssign;
use hashbrown::HashMap;

use crate::random::Keyed;
use crate::route::Networks;
use crate::time::Instant;
use crate::wdp::household;

/// What handsets may do.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where handsets may be; empty means anywhere. Default: anywhere.
    pub allow: Arc<Networks>,
    /// Where they may not, though they are allowed. Default: nowhere.
    pub deny: Arc<Networks>,
    /// Requests of one address (of one /64 of IPv6) in connection mode. Default: 5,000 a second, 10,000 at once.
    pub requests: Rate,
    /// Octets from one address. Default: 16 MiB a second, 32 MiB at once.
    pub octets: Rate,
    /// Requests of one subscriber, as far as subscribers are known. Default: no limit.
    pub subscriber: Option<Rate>,
    /// Requests in all. Default: no limit.
    pub all: Option<Rate>,
    /// Addresses whose use is watched, per shard. When all of them are using what they may, others that have no
    /// session are not served. Default: 65,536.
    pub max_addresses: usize,
    /// Octets sent to an address that has proved nothing, for each octet from it. It has once it has gone on with what
    /// it began, as one does who sees our answers. Default: 3.
    pub amplification: u32,
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

/// So many a second in the long run, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run. At least 1.
    pub per_second: u32,
    /// At once. At least 1.
    pub burst: u32,
}

impl Rate {
    /// The part of it that each of so many shards gets.
    pub(super) fn share(self, shards: usize) -> Self {
        let shards = u32::try_from(shards).unwrap_or(u32::MAX).max(1);
        Self {
            per_second: (self.per_second / shards).max(1),
            burst: (self.burst / shards).max(1),
        }
    }

    /// Whether `count` more may come, and when what has come is worked off if they do: a generic cell rate algorithm.
    fn take(self, now: Instant, due: Instant, count: u32) -> Result<Instant, Duration> {
        let worth = |count: u32| {
            let micros = u64::from(count) * 1_000_000 / u64::from(self.per_second.max(1));
            Duration::from_micros(micros)
        };
        let due = due.max(now) + worth(count);
        let tolerance = worth(self.burst.max(count));
        match due.since(now).checked_sub(tolerance) {
            Some(over) if !over.is_zero() => Err(over),
            _ => Ok(due),
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
    /// Requests of a subscriber who made too many.
    pub subscriber: u64,
    /// Requests beyond what is done in all.
    pub all: u64,
    /// Datagrams of strangers while as many others as are watched used what they may.
    pub crowded: u64,
    /// Datagrams not sent to an address that had proved nothing and sent too little.
    pub amplification: u64,
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is heard.
    Pass,
    /// It never came.
    Drop,
    /// Its requests are refused, if their sender has proved to be one.
    Refuse,
}

/// The gate of one shard.
#[derive(Debug)]
pub(super) struct Gate {
    addresses: HashMap<u128, Use, Keyed>,
    subscribers: HashMap<u64, Instant, Keyed>,
    all: Instant,
    swept: Instant,
    subscribers_swept: Instant,
    pub(super) stats: Stats,
}

/// What one address has used.
#[derive(Clone, Copy, Debug)]
struct Use {
    /// When its requests are worked off.
    requests: Instant,
    /// When its octets are.
    octets: Instant,
    /// When it was last heard.
    heard: Instant,
    /// Octets it may be sent before it has proved anything.
    credit: u32,
}

impl Use {
    const fn none(now: Instant) -> Self {
        Self {
            requests: now,
            octets: now,
            heard: now,
            credit: 0,
        }
    }
}

impl Gate {
    pub(super) fn new(addresses: Keyed, subscribers: Keyed) -> Self {
        Self {
            addresses: HashMap::with_hasher(addresses),
            subscribers: HashMap::with_hasher(subscribers),
            all: Instant::ZERO,
            swept: Instant::ZERO,
            subscribers_swept: Instant::ZERO,
            stats: Stats::default(),
        }
    }

    /// A datagram of so many octets came, with so many requests. `is_in` tells whether its sender has a session.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        config: &Config,
        address: IpAddr,
        octets: usize,
        requests: u32,
        is_in: impl Fn() -> bool,
    ) -> Verdict {
        let allowed = config.allow.is_empty() || config.allow.contains(address);
        if !allowed || config.deny.contains(address) {
            self.stats.denied += 1;
            return Verdict::Drop;
        }
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        let key = household(address);
        if now.since(self.swept) >= QUIET {
            self.sweep(now, QUIET);
        }
        if self.addresses.len() >= config.max_addresses && !self.addresses.contains_key(&key) {
            // At most once a second, so that strangers cannot make every datagram dear.
            if now.since(self.swept) >= SWEEP_INTERVAL {
                self.sweep(now, SWEEP_INTERVAL);
            }
            if self.addresses.len() >= config.max_addresses {
                // Who has a session is known without being watched.
                if is_in() {
                    return self.admit_all(now, config, requests);
                }
                self.stats.crowded += 1;
                return Verdict::Drop;
            }
        }
        let used = self.addresses.entry(key).or_insert(Use::none(now));
        used.heard = now;
        used.credit = used
            .credit
            .saturating_add(octets.saturating_mul(config.amplification))
            .min(MOST_CREDIT);
        match config.octets.take(now, used.octets, octets) {
            Ok(due) => used.octets = due,
            Err(_) => {
                self.stats.octets += 1;
                return Verdict::Drop;
            }
        }
        if requests > 0 {
            match config.requests.take(now, used.requests, requests) {
                Ok(due) => used.requests = due,
                Err(_) => {
                    self.stats.requests += 1;
                    return Verdict::Refuse;
                }
            }
        }
        self.admit_all(now, config, requests)
    }

    /// Whether a subscriber may make another request; if not, how long he should wait.
    pub(super) fn admit_subscriber(
        &mut self,
        now: Instant,
        config: &Config,
        subscriber: u64,
    ) -> Result<(), Duration> {
        let Some(rate) = config.subscriber else {
            return Ok(());
        };
        if now.since(self.subscribers_swept) >= QUIET {
            self.sweep_subscribers(now);
        }
        if self.subscribers.len() >= config.max_addresses
            && !self.subscribers.contains_key(&subscriber)
        {
            if now.since(self.subscribers_swept) >= SWEEP_INTERVAL {
                self.sweep_subscribers(now);
            }
            // Unwatched for a while rather than unserved: their addresses are watched besides.
            if self.subscribers.len() >= config.max_addresses {
                return Ok(());
            }
        }
        let due = self.subscribers.entry(subscriber).or_insert(now);
        match rate.take(now, *due, 1) {
            Ok(later) => {
                *due = later;
                Ok(())
            }
            Err(wait) => {
                self.stats.subscriber += 1;
                Err(wait)
            }
        }
    }

    /// Whether a datagram may be sent to an address. `has_proved` tells whether it went on with what it began.
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
        if let Some(used) = self.addresses.get_mut(&household(address))
            && let Some(rest) = used.credit.checked_sub(octets)
        {
            used.credit = rest;
            return true;
        }
        self.stats.amplification += 1;
        false
    }

    /// A session of this address is ended by us: whoever is there is told so, though the session, and with it what the
    /// address has proved, is gone.
    pub(super) fn owe(&mut self, now: Instant, address: IpAddr) {
        let used = self
            .addresses
            .entry(household(address))
            .or_insert(Use::none(now));
        used.heard = now;
        used.credit = used.credit.saturating_add(FAREWELL).min(MOST_CREDIT);
    }

    fn admit_all(&mut self, now: Instant, config: &Config, requests: u32) -> Verdict {
        if let (Some(rate), 1..) = (config.all, requests) {
            match rate.take(now, self.all, requests) {
                Ok(due) => self.all = due,
                Err(_) => {
                    self.stats.all += 1;
                    return Verdict::Refuse;
                }
            }
        }
        Verdict::Pass
    }

    /// Forgets subscribers who have worked off what they asked for, and gives their memory back.
    fn sweep_subscribers(&mut self, now: Instant) {
        self.subscribers_swept = now;
        self.subscribers.retain(|_, due| *due > now);
        if self.subscribers.len() < self.subscribers.capacity() / 4 {
            self.subscribers.shrink_to(self.subscribers.len() * 2);
        }
    }

    /// Forgets addresses that use nothing and have not been heard for so long, and gives their memory back.
    fn sweep(&mut self, now: Instant, quiet: Duration) {
        self.swept = now;
        self.addresses.retain(|_, used| {
            used.requests > now || used.octets > now || now.since(used.heard) < quiet
        });
        if self.addresses.len() < self.addresses.capacity() / 4 {
            self.addresses.shrink_to(self.addresses.len() * 2);
        }
    }
}

/// Octets an address may save up by sending.
const MOST_CREDIT: u32 = 1 << 20;
/// Octets of a Disconnect, and of the aborts of as many transactions as a session has.
const FAREWELL: u32 = 128;
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// After so long an address is forgotten though there is room: longer than an answer to a Connect is repeated.
const QUIET: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Random;

    fn gate() -> Gate {
        let mut random = Random::new(1);
        Gate::new(random.hasher(), random.hasher())
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
        let (mut gate, config) = (gate(), slow());
        let mut hear =
            |millis, address: &str| gate.hear(at(millis), &config, ip(address), 10, 1, || false);
        for _ in 0..3 {
            assert_eq!(hear(0, "2001:db8::1"), Verdict::Pass);
        }
        assert_eq!(hear(0, "2001:db8::2"), Verdict::Refuse);
        assert_eq!(hear(0, "2001:db8:0:1::1"), Verdict::Pass);
        assert_eq!(hear(499, "2001:db8::1"), Verdict::Refuse);
        assert_eq!(hear(500, "2001:db8::1"), Verdict::Pass);
        assert_eq!(hear(501, "2001:db8::1"), Verdict::Refuse);
        assert_eq!(gate.stats.requests, 3);
    }

    #[test]
    fn octets_are_counted_whatever_they_are() {
        let (mut gate, config) = (gate(), slow());
        let mut hear = |millis| gate.hear(at(millis), &config, ip("10.0.0.1"), 500, 0, || true);
        assert_eq!(
            [hear(0), hear(0), hear(0)],
            [Verdict::Pass, Verdict::Pass, Verdict::Drop]
        );
        assert_eq!(hear(5_000), Verdict::Pass);
    }

    #[test]
    fn who_is_denied_or_not_allowed_is_not_heard() {
        let networks = |text: &str| Arc::new(Networks::lines(text).unwrap().into_iter().collect());
        let config = Config {
            allow: networks("10.0.0.0/8"),
            deny: networks("10.66.0.0/16"),
            ..Config::default()
        };
        let mut gate = gate();
        for (address, verdict) in [
            ("10.0.0.1", Verdict::Pass),
            ("10.66.0.1", Verdict::Drop),
            ("192.0.2.1", Verdict::Drop),
        ] {
            assert_eq!(
                gate.hear(at(0), &config, ip(address), 10, 1, || true),
                verdict
            );
        }
        assert_eq!((gate.stats.denied, gate.addresses.len()), (2, 1));
    }

    #[test]
    fn a_crowd_of_strangers_does_not_push_out_who_has_a_session() {
        let mut gate = gate();
        let config = Config {
            max_addresses: 10,
            ..slow()
        };
        for host in 0..10 {
            let stranger = IpAddr::from([10, 0, 0, host]);
            assert_eq!(
                gate.hear(at(0), &config, stranger, 10, 1, || false),
                Verdict::Pass
            );
        }
        assert_eq!(
            gate.hear(at(1), &config, ip("10.1.0.1"), 10, 1, || false),
            Verdict::Drop
        );
        assert_eq!(
            gate.hear(at(1), &config, ip("10.1.0.2"), 10, 1, || true),
            Verdict::Pass
        );
        // Once they have been quiet for a while there is room again.
        assert_eq!(
            gate.hear(at(2_000), &config, ip("10.1.0.1"), 10, 1, || false),
            Verdict::Pass
        );
        assert_eq!((gate.stats.crowded, gate.addresses.len()), (1, 1));
    }

    #[test]
    fn a_subscriber_and_all_of_them_have_their_rates() {
        let mut gate = gate();
        let rate = Some(Rate {
            per_second: 1,
            burst: 1,
        });
        let config = Config {
            subscriber: rate,
            all: rate,
            ..Config::default()
        };
        assert_eq!(gate.admit_subscriber(at(0), &config, 7), Ok(()));
        assert_eq!(
            gate.admit_subscriber(at(250), &config, 7),
            Err(Duration::from_millis(750))
        );
        assert_eq!(gate.admit_subscriber(at(250), &config, 8), Ok(()));
        assert_eq!(
            gate.hear(at(0), &config, ip("10.0.0.1"), 10, 1, || true),
            Verdict::Pass
        );
        assert_eq!(
            gate.hear(at(0), &config, ip("10.0.0.2"), 10, 1, || true),
            Verdict::Refuse
        );
        assert_eq!(
            gate.hear(at(0), &config, ip("10.0.0.2"), 10, 0, || true),
            Verdict::Pass
        );
    }

    #[test]
    fn a_subscriber_who_asks_once_is_not_remembered_for_ever() {
        let mut gate = gate();
        let config = Config {
            subscriber: Some(Rate {
                per_second: 1,
                burst: 1,
            }),
            ..Config::default()
        };
        for subscriber in 0..5_000 {
            assert_eq!(gate.admit_subscriber(at(0), &config, subscriber), Ok(()));
        }
        assert_eq!(gate.admit_subscriber(at(120_000), &config, 1), Ok(()));
        assert_eq!(gate.subscribers.len(), 1);
        assert!(gate.subscribers.capacity() < 100);
    }

    proptest! {
        /// Whatever comes and whatever is to be sent: no more goes to who has proved nothing than its share.
        #[test]
        fn nothing_is_amplified(turns in proptest::collection::vec((any::<bool>(), 0usize..3_000), 0..200)) {
            let (mut gate, config) = (gate(), Config::default());
            let (mut heard, mut said) = (0, 0);
            for (nth, (hears, octets)) in turns.into_iter().enumerate() {
                if hears {
                    let now = at(nth as u64);
                    gate.hear(now, &config, ip("10.0.0.1"), octets, 1, || false);
                    heard += octets;
                } else if gate.may_send(ip("10.0.0.1"), octets, || false) {
                    said += octets;
                }
                prop_assert!(said <= 3 * heard);
            }
        }
    }
}
