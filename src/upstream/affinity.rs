//! The hosts at which sessions and handsets stay.

use std::hash::RandomState;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::gateway::fetch::Request;
use crate::route::Affinity;
use crate::table::ExpiringMap;

/// The name of requests that stay at one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// Those of a WSP session, by its id.
    Session(u32),
    /// Those of a handset.
    Address(IpAddr),
}

impl Key {
    /// The name of a request, if it is to stay with others.
    pub(super) fn of(request: &Request, affinity: Affinity) -> Option<Self> {
        let session = request.session.filter(|_| affinity == Affinity::Session);
        match affinity {
            Affinity::Off => None,
            Affinity::Session | Affinity::Address => session
                .map(Self::Session)
                .or_else(|| request.source.map(Self::Address)),
        }
    }
}

/// The host of each session or handset of one route, by the host's number.
///
/// A host is forgotten `LIFETIME` after the last request at the latest, and no sooner than half of
/// it. Where there are more than `MOST`, the oldest is forgotten.
#[derive(Debug)]
pub(super) struct AffinityTable {
    hosts: ExpiringMap<Key, Place, Instant, RandomState>,
    /// Entries that were forgotten before their time because the table was full.
    displaced: u64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    host: u32,
    since: Instant,
}

impl Default for AffinityTable {
    fn default() -> Self {
        Self {
            hosts: ExpiringMap::new(RandomState::new()),
            displaced: 0,
        }
    }
}

impl AffinityTable {
    /// The host of these requests, if they have been somewhere lately.
    pub(super) fn host_of(&mut self, now: Instant, key: Key) -> Option<u32> {
        self.hosts.expire(now);
        self.hosts.get(&key).map(|place| place.host)
    }

    /// A request goes to this host; those that follow stay there.
    pub(super) fn went_to(&mut self, now: Instant, key: Key, host: u32) {
        self.insert(now, key, host, MOST);
    }

    fn insert(&mut self, now: Instant, key: Key, host: u32, most: usize) {
        self.hosts.expire(now);
        match self.hosts.get(&key) {
            // Its time is not renewed with each request: the table would fill with old times.
            Some(place) if place.host == host && now < place.since + LIFETIME / 2 => return,
            Some(_) => self.hosts.remove(&key),
            None => {}
        }
        let before = self.hosts.len();
        let place = Place { host, since: now };
        self.hosts.insert(now + LIFETIME, key, place, most);
        self.displaced += (before + 1 - self.hosts.len()) as u64;
    }

    /// Entries, and how many were displaced.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.hosts.len() as u64, self.displaced)
    }
}

/// How long the host of a session is known after its last request.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// Entries of a route.
const MOST: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use std::collections::HashMap;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_session_is_found_at_its_last_host_until_it_was_idle_for_long() {
        let (mut table, start) = (AffinityTable::default(), Instant::now());
        let key = Key::Session(7);
        assert_eq!(table.host_of(start, key), None);
        table.went_to(start, key, 1);
        table.went_to(start, Key::Address([10, 0, 0, 1].into()), 2);
        assert_eq!(table.host_of(start, key), Some(1));
        table.went_to(start, key, 3);
        assert_eq!(table.host_of(start, key), Some(3));
        assert_eq!(table.counts(), (2, 0));
        // It is used every ten minutes, and stays; the other one was idle.
        let mut now = start;
        for _ in 0..10 {
            now += MINUTE * 10;
            assert_eq!(table.host_of(now, key), Some(3));
            table.went_to(now, key, 3);
        }
        assert_eq!(table.counts(), (1, 0));
        assert_eq!(table.host_of(now + LIFETIME / 2 - MINUTE, key), Some(3));
        assert_eq!(table.host_of(now + LIFETIME, key), None);
    }

    /// Against a map without limit and time.
    #[test]
    fn the_table_says_what_was_said_last_or_nothing_and_never_grows_beyond_its_limit() {
        let mut random = Random::new(4);
        let (mut table, mut now) = (AffinityTable::default(), Instant::now());
        let mut told: HashMap<Key, u32> = HashMap::new();
        let (mut known, mut new) = (0, 0);
        for _ in 0..20_000 {
            now += Duration::from_millis(random.below(2_000));
            let key = Key::Session(random.u32() % 60);
            let host = random.u32() % 5;
            if let Some(found) = table.host_of(now, key) {
                assert_eq!(Some(&found), told.get(&key));
                known += 1;
            }
            if random.chance(0.5) {
                table.insert(now, key, host, 40);
                told.insert(key, host);
                assert_eq!(table.host_of(now, key), Some(host));
                new += 1;
            }
            assert!(table.counts().0 <= 40);
        }
        assert!(known > 5_000 && new > 5_000 && table.counts().1 > 1_000);
    }
}
