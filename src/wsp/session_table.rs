//! The sessions of a shard: found by slot, by id, by peer, and by how long they were unused.

use std::time::Duration;

use hashbrown::HashMap;

use crate::random::Keyed;
use crate::random::Random;
use crate::table::{HasKey, Linked, Links, Lookup, Map, Queue, Shares};
use crate::time::Instant;
use crate::wdp::{Peer, source_prefix};
use crate::wsp::capability::ProtocolOptions;
use crate::wsp::session::{Session, SessionKey};

/// An idle session costs its slot, two index entries of some five octets, and no timer: sessions
/// stand in two queues in the order of their use, and only the first of each is ever looked at.
#[derive(Debug)]
pub(super) struct SessionTable {
    entries: Map<u32, Entry, Keyed>,
    by_peer: Lookup<Peer, Keyed>,
    /// Sessions that were never used, and sessions that were.
    unused: Queue,
    used: Queue,
    /// Sessions of each source prefix.
    shares: Shares<Keyed>,
    /// Slots of the sessions that take pushes, by source prefix, the newest last. If nobody pushes, no session agrees
    /// to.
    pushable: HashMap<u128, Vec<u32>, Keyed>,
}

/// A session with the table's own fields.
#[derive(Debug)]
struct Entry {
    session: Session,
    /// When the last PDU of the session came.
    heard: Instant,
    /// When the session took its place in the queue.
    queued: Instant,
    links: Links,
}

impl HasKey<u32> for Entry {
    fn key(&self) -> u32 {
        self.session.id()
    }
}

impl HasKey<Peer> for Entry {
    fn key(&self) -> Peer {
        self.session.peer()
    }
}

impl Linked for Entry {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}

impl SessionTable {
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            entries: Map::new(random.hasher()),
            by_peer: Lookup::new(random.hasher()),
            unused: Queue::new(),
            used: Queue::new(),
            shares: Shares::new(random.hasher()),
            pushable: HashMap::with_hasher(random.hasher()),
        }
    }

    /// Keeps a session, which its id finds from now on, and its peer once it is
    /// [bound](Self::bind).
    pub(super) fn insert(&mut self, now: Instant, session: Session) -> SessionKey {
        let (id, peer, is_used) = (session.id(), session.peer(), session.is_used());
        let agreed = session.profile().agreed.options;
        let is_pushable = PUSHES.into_iter().any(|option| agreed.has(option));
        let slot = self.entries.insert(Entry {
            session,
            heard: now,
            queued: now,
            links: Links::default(),
        });
        let queue = queue(&mut self.unused, &mut self.used, is_used);
        queue.push(self.entries.slab_mut(), slot);
        self.shares.add(source_prefix(peer.remote.ip()), 1);
        if is_pushable {
            let prefix = source_prefix(peer.remote.ip());
            self.pushable.entry(prefix).or_default().push(slot);
        }
        SessionKey { slot, id }
    }

    pub(super) fn get(&self, key: SessionKey) -> Option<&Session> {
        let session = &self.entries.get(key.slot)?.session;
        (session.id() == key.id).then_some(session)
    }

    pub(super) fn get_mut(&mut self, key: SessionKey) -> Option<&mut Session> {
        let session = &mut self.entries.get_mut(key.slot)?.session;
        (session.id() == key.id).then_some(session)
    }

    /// The session in a slot, and when it was last used.
    pub(super) fn at(&self, slot: u32) -> Option<(SessionKey, &Session, Instant)> {
        let entry = self.entries.get(slot)?;
        let id = entry.session.id();
        Some((SessionKey { slot, id }, &entry.session, entry.heard))
    }

    pub(super) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// All sessions have slots below this one.
    pub(super) fn end(&self) -> u32 {
        self.entries.end()
    }

    /// The ids of all sessions.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().map(|(_, entry)| entry.session.id())
    }

    /// Sessions of a peer's source prefix.
    pub(super) fn of_source(&self, peer: Peer) -> usize {
        self.shares.get(source_prefix(peer.remote.ip()))
    }

    /// The session with this id.
    pub(super) fn of_id(&self, id: u32) -> Option<SessionKey> {
        let slot = self.entries.find(&id)?;
        Some(SessionKey { slot, id })
    }

    /// The session bound to this peer.
    pub(super) fn of_peer(&self, peer: Peer) -> Option<SessionKey> {
        let slot = self.by_peer.find(self.entries.slab(), &peer)?;
        let id = self.entries.get(slot)?.session.id();
        Some(SessionKey { slot, id })
    }

    /// Binds a session to a peer, to which no other is bound, instead of the one it had.
    pub(super) fn bind(&mut self, key: SessionKey, peer: Peer) {
        self.by_peer.remove(self.entries.slab(), key.slot);
        let Some(session) = self.get_mut(key) else {
            return;
        };
        let before = session.peer();
        session.bind(peer);
        self.shares.remove(source_prefix(before.remote.ip()), 1);
        self.shares.add(source_prefix(peer.remote.ip()), 1);
        self.by_peer.insert(self.entries.slab(), key.slot);
        if self.remove_pushable(key.slot, before) {
            let prefix = source_prefix(peer.remote.ip());
            self.pushable.entry(prefix).or_default().push(key.slot);
        }
    }

    /// The sessions of a source prefix that take pushes, the newest first.
    pub(super) fn pushable(&self, prefix: u128) -> impl Iterator<Item = (SessionKey, &Session)> {
        let slots = self.pushable.get(&prefix).into_iter().flatten().rev();
        slots.filter_map(|slot| self.at(*slot).map(|(key, session, _)| (key, session)))
    }

    /// Whether a session was among those that take pushes.
    fn remove_pushable(&mut self, slot: u32, peer: Peer) -> bool {
        let prefix = source_prefix(peer.remote.ip());
        let Some(slots) = self.pushable.get_mut(&prefix) else {
            return false;
        };
        let before = slots.len();
        slots.retain(|other| *other != slot);
        let is_removed = slots.len() < before;
        if slots.is_empty() {
            self.pushable.remove(&prefix);
        }
        is_removed
    }

    pub(super) fn remove(&mut self, key: SessionKey) -> Option<Session> {
        let peer = self.get(key)?.peer();
        self.shares.remove(source_prefix(peer.remote.ip()), 1);
        self.remove_pushable(key.slot, peer);
        self.by_peer.remove(self.entries.slab(), key.slot);
        self.unqueue(key);
        let entry = self.entries.remove(key.slot)?;
        Some(entry.session)
    }

    /// A PDU of the session came. The session takes a new place in the queue only if its place is
    /// older than `patience`: its neighbours are not in the processor's caches, and most sessions
    /// are used many times in a row. Returns the time of its old place, if it took a new one.
    pub(super) fn touch(
        &mut self,
        key: SessionKey,
        now: Instant,
        patience: Duration,
    ) -> Option<Instant> {
        let entry = self.entries.get_mut(key.slot)?;
        entry.heard = now;
        let queued = entry.queued;
        if now < queued + patience {
            return None;
        }
        self.queue_anew(key, now);
        Some(queued)
    }

    /// Makes a session the last in its queue.
    pub(super) fn queue_anew(&mut self, key: SessionKey, now: Instant) {
        self.unqueue(key);
        self.enqueue(key, now);
    }

    /// The peer acknowledged a reply to a method of a session.
    pub(super) fn confirm_use(&mut self, key: SessionKey, now: Instant) {
        if self.get(key).is_some_and(|session| !session.is_used()) {
            self.unqueue(key);
            if let Some(session) = self.get_mut(key) {
                session.confirm_use();
            }
            self.enqueue(key, now);
        }
    }

    fn enqueue(&mut self, key: SessionKey, now: Instant) {
        if let Some(entry) = self.entries.get_mut(key.slot) {
            entry.queued = now;
            let is_used = entry.session.is_used();
            let queue = queue(&mut self.unused, &mut self.used, is_used);
            queue.push(self.entries.slab_mut(), key.slot);
        }
    }

    fn unqueue(&mut self, key: SessionKey) {
        if let Some(is_used) = self.get(key).map(Session::is_used) {
            let queue = queue(&mut self.unused, &mut self.used, is_used);
            queue.take(self.entries.slab_mut(), key.slot);
        }
    }

    /// The session that took its place in a queue longest ago, and when.
    pub(super) fn first(&self) -> Option<(SessionKey, &Session, Instant)> {
        let firsts = [&self.unused, &self.used].map(|queue| self.first_of(queue));
        firsts
            .into_iter()
            .flatten()
            .min_by_key(|(_, _, queued)| *queued)
    }

    /// Of the sessions that were never used the one that took its place longest ago.
    pub(super) fn first_unused(&self) -> Option<(SessionKey, &Session)> {
        self.first_of(&self.unused)
            .map(|(key, session, _)| (key, session))
    }

    fn first_of(&self, queue: &Queue) -> Option<(SessionKey, &Session, Instant)> {
        let slot = queue.first()?;
        let entry = self.entries.get(slot)?;
        let id = entry.session.id();
        Some((SessionKey { slot, id }, &entry.session, entry.queued))
    }
}

const fn queue<'a>(unused: &'a mut Queue, used: &'a mut Queue, is_used: bool) -> &'a mut Queue {
    match is_used {
        true => used,
        false => unused,
    }
}

/// The options of which one makes a session take pushes.
const PUSHES: [ProtocolOptions; 2] = [ProtocolOptions::PUSH, ProtocolOptions::CONFIRMED_PUSH];

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory of an idle session besides two entries of five octets in an index. With a million
    /// sessions each octet is a megabyte.
    #[test]
    fn an_idle_session_stays_below_112_octets() {
        assert!(size_of::<Option<Entry>>() <= 112, "{}", size_of::<Entry>());
    }
}
