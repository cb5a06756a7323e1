//! Where sessions are kept and how they are found: by place, by id, by peer, and by how long they were unused.

use std::hash::BuildHasher;
use std::time::Duration;

use crate::random::Keyed;
use crate::table::{Index, Linked, Links, Queue, Slab};
use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::session::Session;

/// The sessions of one shard.
///
/// An idle one costs its place, two entries of some five octets, and nothing that ticks: sessions stand in a queue
/// in the order of their use, and only the first is ever looked at.
#[derive(Debug)]
pub(super) struct Registry {
    sessions: Slab<Session>,
    by_peer: Index,
    by_id: Index,
    queue: Queue,
    hasher: Keyed,
}

impl Linked for Session {
    fn links(&mut self) -> &mut Links {
        &mut self.links
    }
}

impl Registry {
    pub(super) const fn new(hasher: Keyed) -> Self {
        Self {
            sessions: Slab::new(),
            by_peer: Index::new(),
            by_id: Index::new(),
            queue: Queue::new(),
            hasher,
        }
    }

    /// Keeps a session, which its id finds from now on, and its peer once it is [bound](Self::bind) to one.
    pub(super) fn insert(&mut self, session: Session) -> u32 {
        let id = session.id;
        let slot = self.sessions.insert(session);
        self.queue.push(&mut self.sessions, slot);
        let (sessions, hasher) = (&self.sessions, self.hasher);
        let rehash = |slot| sessions.get(slot).map_or(0, |it| hasher.hash_one(it.id));
        self.by_id.insert(hasher.hash_one(id), slot, rehash);
        slot
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Session> {
        self.sessions.get(slot)
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Session> {
        self.sessions.get_mut(slot)
    }

    pub(super) const fn len(&self) -> usize {
        self.sessions.len()
    }

    /// All sessions have places below this one.
    pub(super) fn end(&self) -> u32 {
        self.sessions.end()
    }

    /// The ids of all sessions.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> {
        self.sessions.iter().map(|(_, session)| session.id)
    }

    /// The place of the session with this id.
    pub(super) fn of_id(&self, id: u32) -> Option<u32> {
        let is_it = |slot| self.sessions.get(slot).is_some_and(|it| it.id == id);
        self.by_id.find(self.hasher.hash_one(id), is_it)
    }

    /// The place of the session bound to this peer.
    pub(super) fn of_peer(&self, peer: Peer) -> Option<u32> {
        let is_it = |slot| self.sessions.get(slot).is_some_and(|it| it.peer == peer);
        self.by_peer.find(self.hasher.hash_one(peer), is_it)
    }

    /// Binds a session to a peer, to which no other is bound, instead of the one it had.
    pub(super) fn bind(&mut self, slot: u32, peer: Peer) {
        self.unbind(slot);
        let Some(session) = self.sessions.get_mut(slot) else {
            return;
        };
        session.peer = peer;
        let (sessions, hasher) = (&self.sessions, self.hasher);
        let rehash = |slot| sessions.get(slot).map_or(0, |it| hasher.hash_one(it.peer));
        self.by_peer.insert(hasher.hash_one(peer), slot, rehash);
    }

    /// Takes a session out.
    pub(super) fn remove(&mut self, slot: u32) -> Option<Session> {
        self.unbind(slot);
        let id = self.sessions.get(slot)?.id;
        let (sessions, hasher) = (&self.sessions, self.hasher);
        let rehash = |slot| sessions.get(slot).map_or(0, |it| hasher.hash_one(it.id));
        self.by_id
            .remove(hasher.hash_one(id), |other| other == slot, rehash);
        self.queue.take(&mut self.sessions, slot);
        self.sessions.remove(slot)
    }

    fn unbind(&mut self, slot: u32) {
        let Some(session) = self.sessions.get(slot) else {
            return;
        };
        let (sessions, hasher) = (&self.sessions, self.hasher);
        let rehash = |slot| sessions.get(slot).map_or(0, |it| hasher.hash_one(it.peer));
        let hash = hasher.hash_one(session.peer);
        self.by_peer.remove(hash, |other| other == slot, rehash);
    }

    /// The peer was heard on a session. It takes a new place in the queue only if its last one is older than
    /// `patience`: its neighbours are strangers to the caches, and most sessions are used many times in a row. Then
    /// it says since when it had the last one.
    pub(super) fn touch(&mut self, slot: u32, now: Instant, patience: Duration) -> Option<Instant> {
        let session = self.sessions.get_mut(slot)?;
        session.used = now;
        let queued = session.queued;
        if now < queued + patience {
            return None;
        }
        self.queue_anew(slot, now);
        Some(queued)
    }

    /// Makes a session the last to be looked at.
    pub(super) fn queue_anew(&mut self, slot: u32, now: Instant) {
        self.queue.take(&mut self.sessions, slot);
        if let Some(session) = self.sessions.get_mut(slot) {
            session.queued = now;
        }
        self.queue.push(&mut self.sessions, slot);
    }

    /// The session that took its place in the queue longest ago.
    pub(super) fn first(&self) -> Option<(u32, &Session)> {
        let slot = self.queue.first()?;
        Some((slot, self.sessions.get(slot)?))
    }
}
