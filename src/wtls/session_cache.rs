//! Sessions that can be resumed (10.3, figure 6).

use crate::random::Keyed;
use crate::table::ExpiringMap;
use crate::time::Instant;
use crate::wtls::keys::MasterSecret;
use crate::wtls::secret_random::SecretRandom;
use crate::wtls::suite::CipherSuite;

/// The id of a session: at most eight octets, random, for knowing one must not help to guess another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SessionId {
    octets: [u8; 8],
    len: usize,
}

impl SessionId {
    /// A new id of so many octets, at most eight; none if there are to be none.
    pub(super) fn new(random: &mut SecretRandom, len: usize) -> Option<Self> {
        let mut octets = [0; 8];
        let len = len.min(octets.len());
        random.fill(octets.get_mut(..len)?);
        (len > 0).then_some(Self { octets, len })
    }

    /// The id that a peer named, if it named one.
    pub(super) fn of(named: &[u8]) -> Option<Self> {
        let mut octets = [0; 8];
        octets.get_mut(..named.len())?.copy_from_slice(named);
        let len = named.len();
        (len > 0).then_some(Self { octets, len })
    }

    /// Its octets.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

/// The state from which a session is resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Its cipher and MAC; a resumed session keeps them.
    pub suite: CipherSuite,
    /// Its secret.
    pub master: MasterSecret,
    /// Whether the client had a certificate.
    pub is_authenticated: bool,
}

/// A change of a session, for the other shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionChange {
    /// The session can be resumed.
    Begun(Session),
    /// The session can no longer be resumed.
    Ended(SessionId),
}

/// The sessions that one shard knows: its own, and those of the other shards.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct SessionCache {
    known: ExpiringMap<SessionId, Session, Instant, Keyed>,
}

impl SessionCache {
    pub(super) const fn new(hasher: Keyed) -> Self {
        Self {
            known: ExpiringMap::new(hasher),
        }
    }

    pub(super) fn insert(&mut self, until: Instant, session: Session, most: usize) {
        self.known.insert(until, session.id, session, most);
    }

    pub(super) fn find(&mut self, now: Instant, id: &[u8]) -> Option<&Session> {
        self.known.expire(now);
        self.known.get(&SessionId::of(id)?)
    }

    pub(super) fn remove(&mut self, id: SessionId) {
        self.known.remove(&id);
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}
