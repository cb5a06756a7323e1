//! Sessions in the store: by id, and by the peer they are bound to.
//!
//! A record is *live* while the process that saved it runs: then a shard has the session and the
//! record is only for the next start. After that it is *dormant* and may be taken out, once.

use std::time::Duration;

use crate::wsp::claim::ClaimKey;
use crate::wsp::saved::{SessionRecord, encode_address};

use super::tables::Tables;
use crate::store::change::{Change, Table};
use crate::wdp::Peer;

/// The sessions of a store.
pub(super) struct Sessions {
    /// Number of starts of the process. A session that was saved in an earlier one is dormant.
    start: u64,
    max_age: Duration,
    max: u64,
    held: u64,
    /// Where the sweep for expired sessions continues.
    cursor: Vec<u8>,
}

/// The result of saving a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saved {
    Yes,
    /// The limit of sessions is reached.
    Full,
}

/// A record with the store's own fields.
struct Entry {
    /// The time of saving, in seconds since 1970.
    saved: u64,
    start: u64,
    session: SessionRecord,
}

impl Sessions {
    /// Counts a start of the process: all sessions in the store are dormant now.
    pub(super) fn begin(
        tables: &mut Tables,
        max_age: Duration,
        max: u64,
    ) -> Result<Self, redb::Error> {
        let before = tables.get(META, STARTS)?;
        let before = before.and_then(|octets| octets.try_into().ok());
        let start = before.map_or(0, u64::from_be_bytes) + 1;
        tables.change(Change::put(META, STARTS, start.to_be_bytes()));
        Ok(Self {
            start,
            max_age,
            max,
            held: tables.len(SESSIONS)?,
            cursor: Vec::new(),
        })
    }

    /// Sets the limits. The following sweeps remove sessions that are too old now; sessions beyond
    /// a lower number stay until they end or expire.
    pub(super) const fn limit(&mut self, max_age: Duration, max: u64) {
        self.max_age = max_age;
        self.max = max;
    }

    /// Sessions remembered.
    pub(super) const fn held(&self) -> u64 {
        self.held
    }

    pub(super) fn save(
        &mut self,
        now: u64,
        session: SessionRecord,
        tables: &mut Tables,
    ) -> Result<Saved, redb::Error> {
        let (id, peer) = (session.id, session.peer);
        match Self::entry(tables, id)? {
            Some(before) if before.session.peer != peer => {
                Self::unbind(tables, before.session.peer, id)?;
            }
            Some(_) => {}
            None if self.held >= self.max => return Ok(Saved::Full),
            None => self.held += 1,
        }
        // The rule of S-Connect.res: a peer has one session, and this one is newer.
        if let Some(other) = Self::bound(tables, peer)?.filter(|other| *other != id)
            && Self::entry(tables, other)?.is_some_and(|other| other.start < self.start)
        {
            self.forget(other, tables)?;
        }
        let entry = Entry {
            saved: now,
            start: self.start,
            session,
        };
        tables.change(Change::put(SESSIONS, id.to_be_bytes(), entry.encode()));
        tables.change(Change::put(PEERS, octets(peer), id.to_be_bytes()));
        Ok(Saved::Yes)
    }

    pub(super) fn forget(&mut self, id: u32, tables: &mut Tables) -> Result<(), redb::Error> {
        if let Some(entry) = Self::entry(tables, id)? {
            Self::unbind(tables, entry.session.peer, id)?;
            tables.change(Change::delete(SESSIONS, id.to_be_bytes()));
            self.held = self.held.saturating_sub(1);
        }
        Ok(())
    }

    /// A dormant session that this key may have.
    pub(super) fn look(
        &self,
        now: u64,
        key: ClaimKey,
        tables: &Tables,
    ) -> Result<Option<SessionRecord>, redb::Error> {
        let id = match key {
            ClaimKey::Id(id) => Some(id),
            ClaimKey::Peer(peer) => Self::bound(tables, peer)?,
        };
        let Some(id) = id else { return Ok(None) };
        let found = Self::entry(tables, id)?.filter(|entry| {
            let may = match key {
                ClaimKey::Id(_) => entry.session.may_resume(),
                ClaimKey::Peer(peer) => entry.session.peer == peer,
            };
            may && entry.start < self.start && !self.is_too_old(now, entry.saved)
        });
        Ok(found.map(|entry| entry.session))
    }

    /// Checks some more sessions. Removes expired ones and entries that are no sessions.
    pub(super) fn sweep(&mut self, now: u64, tables: &mut Tables) -> Result<(), redb::Error> {
        let some = tables.page(SESSIONS, &self.cursor, AT_ONCE)?;
        self.cursor = some.last().map(|(key, _)| key.clone()).unwrap_or_default();
        for (key, value) in some {
            if Entry::decode(&value).is_some_and(|entry| !self.is_too_old(now, entry.saved)) {
                continue;
            }
            // A change that waits for its commit may be newer.
            let Some(newest) = tables.get(SESSIONS, &key)? else {
                continue;
            };
            let newest = Entry::decode(&newest);
            if let Some(entry) = &newest {
                if !self.is_too_old(now, entry.saved) {
                    continue;
                }
                Self::unbind(tables, entry.session.peer, entry.session.id)?;
            }
            tables.change(Change::delete(SESSIONS, key));
            self.held = self.held.saturating_sub(1);
        }
        Ok(())
    }

    const fn is_too_old(&self, now: u64, saved: u64) -> bool {
        now.saturating_sub(saved) > self.max_age.as_secs()
    }

    fn entry(tables: &Tables, id: u32) -> Result<Option<Entry>, redb::Error> {
        let value = tables.get(SESSIONS, &id.to_be_bytes())?;
        Ok(value.and_then(|value| Entry::decode(&value)))
    }

    fn bound(tables: &Tables, peer: Peer) -> Result<Option<u32>, redb::Error> {
        let value = tables.get(PEERS, &octets(peer))?;
        let value = value.and_then(|octets| octets.try_into().ok());
        Ok(value.map(u32::from_be_bytes))
    }

    /// Ends the binding of a peer to this session.
    fn unbind(tables: &mut Tables, peer: Peer, id: u32) -> Result<(), redb::Error> {
        if Self::bound(tables, peer)? == Some(id) {
            tables.change(Change::delete(PEERS, octets(peer)));
        }
        Ok(())
    }
}

impl Entry {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.saved.to_be_bytes());
        out.extend(self.start.to_be_bytes());
        self.session.encode(&mut out);
        out
    }

    fn decode(octets: &[u8]) -> Option<Self> {
        let (saved, rest) = octets.split_first_chunk()?;
        let (start, rest) = rest.split_first_chunk()?;
        Some(Self {
            saved: u64::from_be_bytes(*saved),
            start: u64::from_be_bytes(*start),
            session: SessionRecord::decode(rest).ok()?,
        })
    }
}

fn octets(peer: Peer) -> Vec<u8> {
    let mut out = Vec::with_capacity(36);
    encode_address(peer.remote, &mut out);
    encode_address(peer.local, &mut out);
    out
}

const META: Table = Table("meta");
const SESSIONS: Table = Table("sessions");
const PEERS: Table = Table("peers");
/// In META: the number of starts.
const STARTS: &[u8] = b"starts";
/// Sessions that one sweep checks, within some milliseconds.
const AT_ONCE: usize = 512;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wsp::capability::{Capabilities, ProtocolOptions};

    fn session(id: u32, port: u16) -> SessionRecord {
        let mut agreed = Capabilities::default();
        agreed.options = ProtocolOptions::SESSION_RESUME;
        SessionRecord {
            id,
            peer: peer(port),
            suspended: false,
            agreed,
            encoding: None,
            headers: Bytes::from_static(b"headers"),
            subscriber: None,
        }
    }

    fn peer(port: u16) -> Peer {
        let local = "198.51.100.1:9201".parse().unwrap();
        Peer::new(([192, 0, 2, 7], port).into(), local)
    }

    fn tables() -> Tables {
        let backend = redb::backends::InMemoryBackend::new();
        Tables::new(
            redb::Database::builder()
                .create_with_backend(backend)
                .unwrap(),
        )
    }

    /// A start of the process with the earlier tables.
    fn start(tables: &mut Tables) -> Sessions {
        tables.commit().unwrap();
        Sessions::begin(tables, Duration::from_secs(100), 10).unwrap()
    }

    fn found(sessions: &Sessions, now: u64, key: ClaimKey, tables: &Tables) -> Option<u32> {
        sessions
            .look(now, key, tables)
            .unwrap()
            .map(|session| session.id)
    }

    #[test]
    fn what_was_saved_before_a_start_is_found_after_it_and_nothing_else() {
        let mut tables = tables();
        let mut sessions = start(&mut tables);
        sessions.save(1_000, session(7, 1), &mut tables).unwrap();
        let (id, by_peer) = (ClaimKey::Id(7), ClaimKey::Peer(peer(1)));
        assert_eq!(found(&sessions, 1_000, id, &tables), None, "it is live");
        assert_eq!(found(&sessions, 1_000, by_peer, &tables), None);

        let mut sessions = start(&mut tables);
        assert_eq!(sessions.held(), 1);
        for key in [id, by_peer] {
            assert_eq!(found(&sessions, 1_100, key, &tables), Some(7));
            assert_eq!(found(&sessions, 1_101, key, &tables), None, "too old");
        }
        // Taken out and saved, it is live again; ended, it is gone.
        sessions.save(1_050, session(7, 2), &mut tables).unwrap();
        assert_eq!(found(&sessions, 1_100, id, &tables), None);
        sessions.forget(7, &mut tables).unwrap();
        let sessions = start(&mut tables);
        assert_eq!(found(&sessions, 1_050, id, &tables), None);
        assert_eq!((sessions.held(), tables.len(PEERS).unwrap()), (0, 0));
    }

    #[test]
    fn a_peer_has_its_newest_session() {
        let mut tables = tables();
        let mut sessions = start(&mut tables);
        sessions.save(0, session(1, 1), &mut tables).unwrap();
        let mut sessions = {
            sessions.save(0, session(2, 2), &mut tables).unwrap();
            start(&mut tables)
        };
        // Another handset connects where the first one was; the second one moves.
        sessions.save(1, session(3, 1), &mut tables).unwrap();
        sessions.save(1, session(2, 4), &mut tables).unwrap();
        let sessions = start(&mut tables);
        let by_peer = |port| found(&sessions, 1, ClaimKey::Peer(peer(port)), &tables);
        assert_eq!([1, 2, 4].map(by_peer), [Some(3), None, Some(2)]);
        assert_eq!(found(&sessions, 1, ClaimKey::Id(1), &tables), None);
        assert_eq!(tables.len(PEERS).unwrap(), 2);
    }

    #[test]
    fn one_that_may_not_be_resumed_is_its_peers_alone() {
        let mut tables = tables();
        let mut sessions = start(&mut tables);
        let fixed = SessionRecord {
            agreed: Capabilities::default(),
            ..session(1, 1)
        };
        sessions.save(0, fixed, &mut tables).unwrap();
        let sessions = start(&mut tables);
        assert_eq!(found(&sessions, 0, ClaimKey::Id(1), &tables), None);
        assert_eq!(
            found(&sessions, 0, ClaimKey::Peer(peer(1)), &tables),
            Some(1)
        );
    }

    #[test]
    fn limits_change_while_the_store_is_open() {
        let mut tables = tables();
        let mut sessions = start(&mut tables);
        sessions.save(1_000, session(7, 1), &mut tables).unwrap();
        let mut sessions = start(&mut tables);
        let id = ClaimKey::Id(7);
        assert_eq!(found(&sessions, 1_101, id, &tables), None);
        sessions.limit(Duration::from_secs(200), 1);
        assert_eq!(found(&sessions, 1_101, id, &tables), Some(7));
        let saved = sessions.save(1_101, session(8, 2), &mut tables).unwrap();
        assert_eq!(saved, Saved::Full);
        sessions.limit(Duration::from_secs(200), 2);
        let saved = sessions.save(1_101, session(8, 2), &mut tables).unwrap();
        assert_eq!(saved, Saved::Yes);
    }

    #[test]
    fn the_number_of_sessions_is_bounded_and_old_ones_make_room() {
        let mut tables = tables();
        let mut sessions = start(&mut tables);
        for id in 1..=11 {
            let port = u16::try_from(id).unwrap();
            let saved = sessions
                .save(1_000, session(id, port), &mut tables)
                .unwrap();
            assert_eq!(saved == Saved::Full, id == 11);
        }
        let again = sessions.save(1_090, session(3, 3), &mut tables).unwrap();
        assert_eq!(again, Saved::Yes, "one that is there may change");
        tables.commit().unwrap();
        tables.change(Change::put(SESSIONS, [0, 0, 0, 9], b"no session"));
        tables.commit().unwrap();
        sessions.sweep(1_120, &mut tables).unwrap();
        assert_eq!(sessions.held(), 1);
        tables.commit().unwrap();
        assert_eq!(
            (tables.len(SESSIONS).unwrap(), tables.len(PEERS).unwrap()),
            (1, 2)
        );
    }
}
