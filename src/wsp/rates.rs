//! How often an address may do something: a generic cell rate algorithm over a bounded table.

use std::net::IpAddr;
use std::time::Duration;

use hashbrown::HashMap;

use crate::random::Keyed;
use crate::time::Instant;
use crate::wdp::household;

/// What an address is allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) per_second: u32,
    pub(super) burst: u32,
    /// Addresses watched at once; of more, nothing is taken until some have been quiet.
    pub(super) max_addresses: usize,
}

/// When each address has used up what it did. IPv6 addresses count by their /64, which is one subscriber.
#[derive(Debug)]
pub(super) struct Rates {
    due: HashMap<u128, Instant, Keyed>,
    swept: Instant,
}

impl Rates {
    pub(super) fn new(hasher: Keyed) -> Self {
        Self {
            due: HashMap::with_hasher(hasher),
            swept: Instant::ZERO,
        }
    }

    /// Takes one off what the address may do; false, and nothing taken, when there is none left.
    pub(super) fn allow(&mut self, now: Instant, ip: IpAddr, rate: Rate) -> bool {
        let allowed = self.is_allowed(now, ip, rate);
        if allowed {
            let due = self.due.entry(household(ip)).or_insert(now);
            *due = (*due).max(now) + rate.interval();
        }
        allowed
    }

    /// Whether the address may do it once more.
    pub(super) fn is_allowed(&mut self, now: Instant, ip: IpAddr, rate: Rate) -> bool {
        if now.since(self.swept) >= SWEPT_EVERY {
            self.sweep(now);
        }
        match self.due.get(&household(ip)) {
            Some(due) => due.since(now) <= rate.interval() * rate.burst.saturating_sub(1),
            None => self.has_room(now, rate),
        }
    }

    fn has_room(&mut self, now: Instant, rate: Rate) -> bool {
        // At most once a second, so that strangers cannot make every datagram dear.
        if self.due.len() >= rate.max_addresses && now.since(self.swept) >= Duration::from_secs(1) {
            self.sweep(now);
        }
        self.due.len() < rate.max_addresses
    }

    /// Forgets addresses that have worked off what they did, and gives their memory back.
    fn sweep(&mut self, now: Instant) {
        self.swept = now;
        self.due.retain(|_, due| *due > now);
        if self.due.len() < self.due.capacity() / 4 {
            self.due.shrink_to(self.due.len() * 2);
        }
    }
}

impl Rate {
    fn interval(self) -> Duration {
        Duration::from_secs(1) / self.per_second.max(1)
    }
}

/// Addresses that were quiet for so long are forgotten though there is room: whoever has many comes with each only once.
const SWEPT_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn addresses_have_their_burst_and_a_full_table_takes_no_more() {
        let rate = Rate {
            per_second: 1,
            burst: 2,
            max_addresses: 2,
        };
        let mut rates = Rates::new(Random::new(1).hasher());
        let ip = |n| IpAddr::from([192, 0, 2, n]);
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let taken = |rates: &mut Rates, now, n| rates.allow(now, ip(n), rate);
        assert_eq!(
            [1, 1, 1].map(|n| taken(&mut rates, at(5), n)),
            [true, true, false]
        );
        assert!(!rates.is_allowed(at(5), ip(1), rate));
        assert_eq!([2, 3].map(|n| taken(&mut rates, at(5), n)), [true, false]);
        // A second later one of them is through.
        assert_eq!([1, 3].map(|n| taken(&mut rates, at(6), n)), [true, true]);
    }
    #[test]
    fn who_comes_once_is_not_remembered_for_ever() {
        let rate = Rate {
            per_second: 1,
            burst: 2,
            max_addresses: 100_000,
        };
        let mut rates = Rates::new(Random::new(1).hasher());
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        for n in 0..5_000u32 {
            assert!(rates.allow(at(1), IpAddr::from(n.to_be_bytes()), rate));
        }
        assert!(rates.allow(at(61), IpAddr::from([192, 0, 2, 1]), rate));
        assert_eq!(rates.due.len(), 1);
        assert!(rates.due.capacity() < 100);
    }
}
