//! How sessions come to be and come back: Connect and Resume PDUs, room in the tables, and the
//! subscriber behind a session.

use std::sync::Arc;

use super::{Identify, Sessions, source};
use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::AbortReason;
use crate::wsp::capability::{self, Offer};
use crate::wsp::config::MAX_KEPT;
use crate::wsp::context::Owner;
use crate::wsp::header::{self, EncodingVersion};
use crate::wsp::id_key::Subscriber;
use crate::wsp::indication::Indication;
use crate::wsp::key::SessionKey;
use crate::wsp::pdu;
use crate::wsp::profile::{NoRoom, Profile, ProfileParts};
use crate::wsp::resume_failures::{Hearing, Waiting};
use crate::wsp::session::{Event, Outcome, Session};
use crate::wtp::{Endpoint, Handle};

impl Sessions {
    /// NULL / TR-Invoke.ind Connect. The proto-session takes no part in anything until it is
    /// accepted.
    pub(super) fn connect(
        &mut self,
        now: Instant,
        transaction: Handle,
        peer: Peer,
        connect: &pdu::Connect<'_>,
        identify: Identify<'_>,
        wtp: &mut Endpoint,
    ) {
        let stats = &mut self.shared.stats;
        let Ok(offer) = Offer::decode(connect.capabilities) else {
            stats.malformed += 1;
            return wtp.abort(now, transaction, AbortReason::CONNECTERR.0);
        };
        if connect.headers.len() + connect.capabilities.len() > MAX_KEPT {
            stats.too_large += 1;
            return wtp.abort(now, transaction, AbortReason::MRUEXCEEDED.0);
        }
        let parts = ProfileParts {
            offer: connect.capabilities,
            headers: connect.headers,
            encoding: agreed_version(connect.headers),
            agreed: capability::negotiate(&offer, &self.shared.limits),
        };
        let Some(profile) = self.room_for(now, peer, &parts, wtp) else {
            self.shared.stats.congested += 1;
            return wtp.abort(now, transaction, AbortReason::CONGESTION.0);
        };
        let id = self.new_id();
        let mut session = Session::connecting(id, peer, transaction, profile);
        session.set_subscriber(identify(peer.remote.ip()));
        let key = self.table.insert(now, session);
        self.shared.owners.insert(transaction, Owner::Session(key));
        self.setting_up.insert(peer, key);
        self.shared.indications.push_back(Indication::Connect(key));
    }

    /// Room for one more session of a peer: within the share of its source prefix, and in the
    /// tables, from which sessions are evicted that were never used.
    fn room_for(
        &mut self,
        now: Instant,
        peer: Peer,
        parts: &ProfileParts<'_>,
        wtp: &mut Endpoint,
    ) -> Option<Arc<Profile>> {
        if self.table.of_source(peer) >= self.config.max_sessions_of_source() {
            return None;
        }
        if self.table.len() >= self.config.max_sessions && !self.evict(now, wtp) {
            return None;
        }
        let max = self.config.max_profiles;
        for _ in 0..MOST_EVICTED {
            match self.profiles.keep(parts, source(peer), max) {
                Ok(profile) => return Some(profile),
                Err(NoRoom::Share) => return None,
                Err(NoRoom::Full) if !self.evict(now, wtp) => return None,
                Err(NoRoom::Full) => {}
            }
        }
        None
    }

    /// Ends the oldest session that was never used and has nothing outstanding. Returns whether
    /// there is one.
    pub(super) fn evict(&mut self, now: Instant, wtp: &mut Endpoint) -> bool {
        for _ in 0..MOST_EVICTED {
            let Some((key, session)) = self.table.first_unused() else {
                return false;
            };
            if session.is_busy() {
                self.table.queue_anew(key, now);
            } else {
                self.shared.stats.evicted += 1;
                self.step(now, key, Event::Evicted, wtp);
                return true;
            }
        }
        false
    }

    /// A random session id that no live session has.
    fn new_id(&mut self) -> u32 {
        loop {
            let id = self.claims.own_id(self.random.u32());
            if let Some(id) = id.filter(|id| self.table.of_id(*id).is_none()) {
                return id;
            }
        }
    }

    /// Whether the session of a Resume is looked up at all.
    pub(super) fn may_look_up(
        &self,
        now: Instant,
        from: Peer,
        id: u32,
        identify: Identify<'_>,
    ) -> bool {
        let address = from.remote.ip();
        // A Resume that replaces the same one, which waits, is no further guess.
        let waiting = match self.claims.is_open(from, id) {
            true => Waiting::default(),
            false => self.claims.waiting(address),
        };
        match self.resume_failures.hearing(now, address, waiting) {
            Hearing::Full => true,
            Hearing::Paused => false,
            Hearing::OwnOnly => match self.table.of_id(id) {
                Some(key) => self.is_own(key, from, identify),
                // Another shard may have it; its subscriber is known once it is here.
                None => identify(from.remote.ip()).is_some(),
            },
        }
    }

    /// Whether a session is the sender's without doubt: the subscriber's, or of the same address
    /// and port.
    fn is_own(&self, key: SessionKey, from: Peer, identify: Identify<'_>) -> bool {
        self.table.get(key).is_some_and(|session| {
            let subscriber = session.subscriber();
            let is_same = subscriber.is_some() && subscriber == identify(from.remote.ip());
            is_same || session.peer() == from
        })
    }

    /// TR-Invoke.ind Resume: for the session it names, wherever it comes from.
    pub(super) fn resume_received(
        &mut self,
        now: Instant,
        transaction: Handle,
        from: Peer,
        resume: &pdu::Resume<'_>,
        identify: Identify<'_>,
        wtp: &mut Endpoint,
    ) {
        let Some(key) = self.table.of_id(resume.session_id) else {
            self.resume_failed(now, from);
            self.shared.stats.unknown_session += 1;
            return wtp.abort(now, transaction, AbortReason::DISCONNECT.0);
        };
        let address = from.remote.ip();
        let waiting = Waiting::default();
        let hearing = self.resume_failures.hearing(now, address, waiting);
        if hearing == Hearing::OwnOnly && !self.is_own(key, from, identify) {
            self.shared.stats.resumes_paused += 1;
            return wtp.abort(now, transaction, AbortReason::DISCONNECT.0);
        }
        let subscriber = identify(from.remote.ip());
        let session = self.table.get(key).filter(|session| session.can_resume());
        let Some(known) = session.map(Session::subscriber) else {
            self.resume_failed(now, from);
            self.step(now, key, Event::RcvResume { transaction, from }, wtp);
            return;
        };
        if known.is_some() && subscriber.is_some() && known != subscriber {
            self.resume_failed(now, from);
            self.shared.stats.other_subscriber += 1;
            return wtp.abort(now, transaction, AbortReason::DISCONNECT.0);
        }
        if resume.headers.len() > MAX_KEPT {
            self.shared.stats.too_large += 1;
            return wtp.abort(now, transaction, AbortReason::MRUEXCEEDED.0);
        }
        if !self.replace_headers(key, from, resume.headers) {
            self.shared.stats.congested += 1;
            return wtp.abort(now, transaction, AbortReason::CONGESTION.0);
        }
        if known != subscriber {
            self.drop_credentials(key, from, subscriber);
        }
        let event = Event::RcvResume { transaction, from };
        if self.step(now, key, event, wtp) == Outcome::Lives {
            self.touch(now, key);
        }
    }

    /// A Resume named no session that its sender may have.
    fn resume_failed(&mut self, now: Instant, from: Peer) {
        self.resume_failures.fail(now, from.remote.ip());
    }

    /// Only one side of a Resume has a known subscriber: drops the credentials for origins that the
    /// client sent, since the new sender may not use them.
    fn drop_credentials(&mut self, key: SessionKey, from: Peer, subscriber: Option<Subscriber>) {
        let Some(session) = self.table.get_mut(key) else {
            return;
        };
        session.set_subscriber(subscriber);
        let headers = header::without_credentials(&session.profile().headers);
        // An empty block would keep the earlier headers.
        let left: &[u8] = if headers.is_empty() {
            NO_FIELDS
        } else {
            &headers
        };
        if headers.len() < session.profile().headers.len() && !self.replace_headers(key, from, left)
        {
            // No room: without any headers, then, which equal clients share.
            self.replace_headers(key, from, NO_FIELDS);
        }
        let changed = Indication::SubscriberChanged(key);
        self.shared.indications.push_back(changed);
    }

    /// Replaces the session's headers by those of a Resume (WSP 6.3.3.4); without headers the
    /// earlier ones stay. Returns whether there was room.
    fn replace_headers(&mut self, key: SessionKey, from: Peer, headers: &[u8]) -> bool {
        let max = self.config.max_profiles;
        let Some(session) = self.table.get_mut(key) else {
            return false;
        };
        if headers.is_empty() {
            return true;
        }
        let before = session.profile();
        let parts = ProfileParts {
            offer: &before.offer,
            headers,
            encoding: agreed_version(headers).or(before.encoding),
            agreed: before.agreed.clone(),
        };
        let Ok(profile) = self.profiles.keep(&parts, source(from), max) else {
            return false;
        };
        let before = session.replace_profile(profile);
        self.profiles.release(&before);
        true
    }

    /// A method came from a peer. If another subscriber has the address than the one that set the
    /// session up, the session loses its credentials. Reports of accounting may come late, so the
    /// session itself goes on.
    pub(super) fn check_subscriber(&mut self, peer: Peer, identify: Identify<'_>) {
        let Some(subscriber) = identify(peer.remote.ip()) else {
            return;
        };
        let Some(key) = self.session_of(peer) else {
            return;
        };
        let Some(session) = self.table.get_mut(key) else {
            return;
        };
        match session.subscriber() {
            None => session.set_subscriber(Some(subscriber)),
            Some(known) if known == subscriber => {}
            Some(_) => {
                self.shared.stats.other_subscriber += 1;
                self.drop_credentials(key, peer, Some(subscriber));
            }
        }
    }
}

/// Sessions looked at, or evicted, for one Connect.
const MOST_EVICTED: usize = 16;

/// A block with one field that changes no request: `Accept: */*`.
const NO_FIELDS: &[u8] = &[0x80, 0x80];

/// The version to use with a client that names one in these headers.
fn agreed_version(headers: &[u8]) -> Option<EncodingVersion> {
    header::encoding_version(headers).map(|version| EncodingVersion::agreed(Some(version)))
}
