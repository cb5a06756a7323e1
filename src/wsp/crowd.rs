//! How many sessions each address has, so that no single one takes the room of all.

use std::hash::BuildHasher;

use hashbrown::HashMap;

use crate::random::Keyed;
use crate::wdp::{Peer, household};

/// Sessions counted by address, those of IPv6 by their /64, which is one subscriber.
#[derive(Debug)]
pub(super) struct Crowd {
    /// By the keyed digest of the address, which is shorter; two that share one would only share their room.
    sessions: HashMap<u64, u32, Keyed>,
}

impl Crowd {
    pub(super) fn new(hasher: Keyed) -> Self {
        Self {
            sessions: HashMap::with_hasher(hasher),
        }
    }

    /// Sessions of a peer's address.
    pub(super) fn of(&self, peer: Peer) -> u32 {
        self.sessions
            .get(&self.key(peer))
            .copied()
            .unwrap_or_default()
    }

    /// A session began, or came here.
    pub(super) fn join(&mut self, peer: Peer) {
        *self.sessions.entry(self.key(peer)).or_default() += 1;
    }

    /// A session is over, or went away.
    pub(super) fn leave(&mut self, peer: Peer) {
        let key = self.key(peer);
        if let Some(count) = self.sessions.get_mut(&key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.sessions.remove(&key);
            }
        }
        let (held, room) = (self.sessions.len(), self.sessions.capacity());
        if room > 1_024 && held < room / 8 {
            self.sessions.shrink_to(2 * held);
        }
    }

    fn key(&self, peer: Peer) -> u64 {
        self.sessions.hasher().hash_one(household(peer.remote.ip()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn an_address_has_as_many_as_have_joined_and_not_left() {
        let mut crowd = Crowd::new(Random::new(1).hasher());
        let peer =
            |remote: &str| Peer::new(remote.parse().unwrap(), "192.0.2.1:9201".parse().unwrap());
        crowd.join(peer("10.0.0.1:1"));
        crowd.join(peer("10.0.0.1:2"));
        crowd.join(peer("[2001:db8::1]:1"));
        assert_eq!(crowd.of(peer("10.0.0.1:3")), 2);
        assert_eq!(crowd.of(peer("[2001:db8::2]:1")), 1);
        assert_eq!(crowd.of(peer("[2001:db8:0:1::1]:1")), 0);
        for _ in 0..3 {
            crowd.leave(peer("10.0.0.1:1"));
        }
        assert_eq!(crowd.of(peer("10.0.0.1:1")), 0);
        assert_eq!(crowd.sessions.len(), 1);
    }
}
