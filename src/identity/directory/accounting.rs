//! Effects of reports on sessions: they begin, get addresses, and end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{AddressDirectory, Outcome, Reporter};
use crate::identity::report::Report;
use crate::identity::session::{EventTime, Key, Session};
use crate::identity::{Change, Identity, Prefix};
use crate::time::Instant;

impl AddressDirectory {
    /// A Start or an Interim update of a session.
    pub(super) fn start_or_update(
        &mut self,
        now: Instant,
        from: &Reporter,
        key: Key,
        time: EventTime,
        report: Report,
        begins: bool,
    ) -> Outcome {
        if let Some(over) = self.over.get(&key) {
            // A reused id begins with a Start. Any other report is older than the Stop.
            if !begins || !time.is_after(*over, true) {
                return Outcome::Stale;
            }
            self.over.remove(&key);
        }
        let expires = now + self.limits.lifetime;
        let slot = match self.by_key.get(&key) {
            Some(slot) => *slot,
            None => {
                let held = self.held.get(&from.name).copied().unwrap_or_default();
                if self.sessions.len() >= self.limits.max_sessions || held >= from.max_sessions {
                    return Outcome::Full;
                }
                self.stats.started += 1;
                // The store may still have an ended session of this name.
                let is_saved = self.unsaved.as_ref().is_some_and(|it| it.contains(&key));
                self.insert(Session {
                    key,
                    reported_by: Some(report.from),
                    prefixes: Vec::new(),
                    identity: Arc::default(),
                    began: time,
                    latest: time,
                    expires,
                    saved: is_saved.then_some(now),
                })
            }
        };
        let Some(session) = self.sessions.get_mut(slot) else {
            return Outcome::Full;
        };
        if session.latest.is_after(time, true) {
            return Outcome::Stale;
        }
        session.latest = time;
        if begins {
            session.began = time;
            session.reported_by = Some(report.from);
        }
        session.expires = expires;
        let merged = session.identity.updated(report.identity);
        let news = *session.identity != merged;
        if news {
            session.identity = Arc::new(merged);
        }
        let had = session.prefixes.clone();
        let mut outcome = Outcome::Applied;
        for prefix in report.prefixes {
            if !had.contains(&prefix) && !self.give(slot, prefix) {
                outcome = Outcome::Stale;
            }
        }
        if news {
            self.announce(slot, &had);
        }
        // The store gets a new expiry only now and then.
        let lives_on = |session: &Session| {
            let saved = session.saved.unwrap_or(now);
            expires.since(saved) > self.limits.lifetime / SAVES_PER_LIFETIME
        };
        let given = self
            .sessions
            .get(slot)
            .is_some_and(|session| session.prefixes != had || lives_on(session));
        if news || given {
            self.is_unsaved(slot);
        }
        outcome
    }

    /// A Stop ends a session, unless the session's Start is later: the id was reused.
    pub(super) fn stop(&mut self, now: Instant, key: Key, time: EventTime) -> Outcome {
        let slot = self.by_key.get(&key).copied();
        let session = slot.and_then(|slot| self.sessions.get(slot));
        if session.is_some_and(|session| session.began.is_after(time, true)) {
            return Outcome::Stale;
        }
        if self.end(&key) {
            self.stats.stopped += 1;
        }
        // Of two Stops the later one counts, in whichever order they come.
        let over = self.over.get(&key).copied();
        let last = over.filter(|over| over.is_after(time, true));
        let until = now + REMEMBER_OVER;
        self.over
            .insert(until, key, last.unwrap_or(time), MOST_OVER);
        Outcome::Applied
    }

    /// Gives an address to a session. Returns false if another session got the address later.
    pub(super) fn give(&mut self, slot: u32, prefix: Prefix) -> bool {
        let Some(session) = self.sessions.get(slot) else {
            return false;
        };
        if session.prefixes.len() >= MOST_PREFIXES {
            return false;
        }
        if let Some(owner) = self.owners.get(&prefix).copied()
            && let Some(other) = self.sessions.get(owner)
        {
            let same_nas =
                (&other.key.reporter, &other.key.nas) == (&session.key.reporter, &session.key.nas);
            if other.latest.is_after(session.latest, same_nas) {
                return false;
            }
            self.stats.taken_over += 1;
            if let Some(other) = self.sessions.get_mut(owner) {
                other.prefixes.retain(|theirs| *theirs != prefix);
            }
            self.is_unsaved(owner);
        }
        self.owners.insert(prefix, slot);
        if let Some(session) = self.sessions.get_mut(slot) {
            session.prefixes.push(prefix);
            self.changes.push(Change {
                prefix,
                identity: Some(Arc::clone(&session.identity)),
            });
        }
        true
    }

    /// Queues the subscriber of these prefixes for the shards.
    fn announce(&mut self, slot: u32, prefixes: &[Prefix]) {
        let Some(session) = self.sessions.get(slot) else {
            return;
        };
        self.changes.extend(prefixes.iter().map(|prefix| Change {
            prefix: *prefix,
            identity: Some(Arc::clone(&session.identity)),
        }));
    }

    pub(super) fn insert(&mut self, session: Session) -> u32 {
        let key = session.key.clone();
        let expires = session.expires;
        *self.held.entry(Arc::clone(&key.reporter)).or_default() += 1;
        let slot = self.sessions.insert(session);
        self.by_key.insert(key, slot);
        self.timers.schedule(expires, slot);
        slot
    }

    /// Ends a session: its addresses have no subscriber, or the configured one. Returns false
    /// without such a session.
    pub(super) fn end(&mut self, key: &Key) -> bool {
        let Some(slot) = self.by_key.remove(key) else {
            return false;
        };
        let Some(session) = self.sessions.remove(slot) else {
            return false;
        };
        if let Some(held) = self.held.get_mut(&key.reporter) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&key.reporter);
            }
        }
        if let Some(unsaved) = &mut self.unsaved {
            // A session that the store never had needs no removal there. So the number of waiting
            // changes stays bounded, however long the store accepts none.
            match session.saved {
                Some(_) => unsaved.insert(session.key),
                None => unsaved.remove(&session.key),
            };
        }
        for prefix in session.prefixes {
            self.owners.remove(&prefix);
            self.changes.push(Change {
                prefix,
                identity: self.configured.get(&prefix).cloned(),
            });
        }
        true
    }

    /// An access server restarted: its sessions are over, except later ones. Any client of its
    /// network could use its name, so only the address that reported a session ends it this way.
    pub(super) fn clear(&mut self, server: &Key, from: IpAddr, time: EventTime) {
        let gone: Vec<Key> = self
            .sessions
            .iter()
            .map(|(_, session)| session)
            .filter(|session| {
                session.key.reporter == server.reporter
                    && session.key.nas == server.nas
                    && session.reported_by.is_none_or(|address| address == from)
                    && !session.latest.is_after(time, true)
            })
            .map(|session| session.key.clone())
            .collect();
        for key in gone {
            if self.end(&key) {
                self.stats.cleared += 1;
            }
        }
    }
}

impl Identity {
    /// The identity after a newer report, which may omit known attributes.
    fn updated(&self, newer: Self) -> Self {
        let older = self.clone();
        Self {
            msisdn: newer.msisdn.or(older.msisdn),
            alias: newer.alias.or(older.alias),
            imsi: newer.imsi.or(older.imsi),
            imei: newer.imei.or(older.imei),
            sgsn: newer.sgsn.or(older.sgsn),
            ggsn: newer.ggsn.or(older.ggsn),
            charging_id: newer.charging_id.or(older.charging_id),
            network: newer.network.or(older.network),
            rat: newer.rat.or(older.rat),
            location: newer.location.or(older.location),
            apn: newer.apn.or(older.apn),
            nas: newer.nas.or(older.nas),
            session: newer.session.or(older.session),
            source: newer.source,
        }
    }
}

/// The number of times that a live session is saved within its lifetime.
const SAVES_PER_LIFETIME: u32 = 8;
/// Prefixes of one session.
const MOST_PREFIXES: usize = 8;
/// The most ended sessions that are recognised.
const MOST_OVER: usize = 65_536;
/// The time for which an ended session is recognised.
const REMEMBER_OVER: Duration = Duration::from_secs(600);
