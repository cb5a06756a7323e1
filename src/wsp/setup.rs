//! Sessions as a whole: Connect, Redirect, Suspend, Resume and Disconnect (WSP 7.1.6.4).

use crate::table::Links;
use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::AbortReason;
use crate::wsp::capability::{self, Offer};
use crate::wsp::header::{self, Encoder, EncodingVersion};
use crate::wsp::method::NO_METHOD;
use crate::wsp::pdu::{self, Pdu};
use crate::wsp::profile::Said;
use crate::wsp::session::{Resuming, Session, SessionKey, State};
use crate::wsp::sessions::{Ending, Indication, Owner, Sessions};
use crate::wsp::status;
use crate::wtp::{self, Class, Endpoint, Handle};

impl Sessions {
    /// S-Connect.res: the session is wanted. Any other session of the same peer ends.
    pub fn accept(&mut self, now: Instant, key: SessionKey, wtp: &mut Endpoint) {
        let Some(session) = self.session(key) else {
            return;
        };
        let State::Connecting { transaction } = session.state else {
            return;
        };
        let (peer, profile) = (session.peer, &session.profile);
        let mut capabilities = Vec::new();
        if let Ok(offer) = Offer::decode(&profile.offer) {
            capability::encode_reply(&offer, &profile.agreed, &self.limits, &mut capabilities);
        }
        let mut headers = Vec::new();
        // A client that names no version may be too old to know the field, and is taken for 1.2 either way.
        if let Some(version) = profile.encoding {
            Encoder::new(version).encoding_version(&mut headers);
        }
        self.bind(now, peer, key, wtp);
        if let Some(session) = self.session_mut(key) {
            session.state = State::Connecting2 {
                transaction,
                used: false,
            };
        }
        self.stats.connected += 1;
        let mut sdu = Vec::with_capacity(16 + capabilities.len() + headers.len());
        Pdu::ConnectReply(pdu::ConnectReply {
            session_id: key.id,
            capabilities: &capabilities,
            headers: &headers,
        })
        .encode(&mut sdu);
        wtp.result(now, transaction, sdu.into());
        self.changed(key.slot);
        self.release_all(now, key, peer, wtp);
    }

    /// S-Disconnect.req while connecting: the session is refused with a status for the client.
    pub fn refuse(&mut self, now: Instant, key: SessionKey, http_status: u16, wtp: &mut Endpoint) {
        let reply = Pdu::Reply(pdu::Reply {
            status: status::from_http(http_status),
            headers: ANY_TYPE,
            data: &[],
        });
        if self.terminate(now, key, &reply, wtp) {
            self.stats.refused += 1;
        }
    }

    /// S-Disconnect.req while connecting, Moved Permanently or Temporarily: the client is to connect to other
    /// `addresses`, records of [`pdu::BearerAddress`]; `flags` are those of [`pdu::Redirect`].
    pub fn redirect(
        &mut self,
        now: Instant,
        key: SessionKey,
        flags: u8,
        addresses: &[u8],
        wtp: &mut Endpoint,
    ) {
        let redirect = Pdu::Redirect(pdu::Redirect { flags, addresses });
        if self.terminate(now, key, &redirect, wtp) {
            self.stats.redirected += 1;
        }
    }

    /// CONNECTING / S-Disconnect.req: TERMINATING.
    fn terminate(
        &mut self,
        now: Instant,
        key: SessionKey,
        answer: &Pdu<'_>,
        wtp: &mut Endpoint,
    ) -> bool {
        let Some(session) = self.session(key) else {
            return false;
        };
        let State::Connecting { transaction, .. } = session.state else {
            return false;
        };
        let peer = session.peer;
        let mut sdu = Vec::new();
        answer.encode(&mut sdu);
        wtp.result(now, transaction, sdu.into());
        self.owners.insert(transaction, Owner::Terminating);
        // So that its transaction is not aborted with the rest.
        if let Some(session) = self.session_mut(key) {
            session.state = State::Connected;
        }
        self.settled(peer, key);
        self.end(now, key, Ending::Aborted(AbortReason::USERREQ), wtp);
        self.abort_early(now, peer, wtp);
        true
    }

    /// S-Disconnect.req: the session is no longer wanted. A client that connects is refused. Returns who is told.
    pub fn disconnect(
        &mut self,
        now: Instant,
        key: SessionKey,
        wtp: &mut Endpoint,
    ) -> Option<Peer> {
        let session = self.session(key)?;
        let peer = session.peer;
        match session.state {
            State::Connecting { .. } => {
                self.refuse(now, key, 503, wtp);
                return None;
            }
            // SUSPENDED: nobody is there to be told.
            State::Suspended => {
                self.stats.ended += 1;
                self.end(now, key, Ending::Aborted(AbortReason::USERREQ), wtp);
                return None;
            }
            State::Connecting2 { .. }
            | State::Connected
            | State::Resuming(_)
            | State::Resuming2 { .. } => {}
        }
        self.stats.ended += 1;
        self.abort_transactions(now, key, AbortReason::DISCONNECT, wtp);
        let mut sdu = Vec::new();
        Pdu::Disconnect { session_id: key.id }.encode(&mut sdu);
        // Class 0: a refusal, like a loss, is found out with the client's next method.
        let _ = wtp.invoke(now, peer, Class::Zero, false, sdu.into());
        self.end(now, key, Ending::Aborted(AbortReason::USERREQ), wtp);
        Some(peer)
    }

    /// S-Disconnect.req for up to `at_most` sessions, in the order of their places; called again it goes on with
    /// those behind. `told` hears of everybody who is told.
    pub fn disconnect_some(
        &mut self,
        now: Instant,
        at_most: usize,
        wtp: &mut Endpoint,
        mut told: impl FnMut(Peer),
    ) {
        let mut left = at_most;
        while left > 0 && self.farewell < self.registry.end() {
            let slot = self.farewell;
            if let Some(id) = self.registry.get(slot).map(|session| session.id) {
                if let Some(peer) = self.disconnect(now, SessionKey { slot, id }, wtp) {
                    told(peer);
                }
                left -= 1;
            }
            self.farewell += 1;
        }
        if left > 0 {
            self.farewell = 0;
        }
    }

    /// S-Resume.res: the session goes on, with the peer the Resume came from.
    pub fn resume(&mut self, now: Instant, key: SessionKey, wtp: &mut Endpoint) {
        let Some(session) = self.session(key) else {
            return;
        };
        let State::Resuming(resuming) = &session.state else {
            return;
        };
        let (transaction, peer) = (resuming.transaction, resuming.from);
        self.bind(now, peer, key, wtp);
        let Some(session) = self.session_mut(key) else {
            return;
        };
        session.state = State::Resuming2 {
            transaction,
            used: false,
        };
        self.stats.resumed += 1;
        let mut reply = Vec::new();
        Pdu::Reply(pdu::Reply {
            status: status::from_http(200),
            headers: ANY_TYPE,
            data: &[],
        })
        .encode(&mut reply);
        wtp.result(now, transaction, reply.into());
        self.changed(key.slot);
        self.release_all(now, key, peer, wtp);
    }

    /// NULL / TR-Invoke.ind Connect. The proto-session takes no part in anything until it is accepted.
    pub(super) fn connected(
        &mut self,
        now: Instant,
        transaction: Handle,
        peer: Peer,
        connect: &pdu::Connect<'_>,
        wtp: &mut Endpoint,
    ) {
        let Ok(offer) = Offer::decode(connect.capabilities) else {
            self.stats.malformed += 1;
            return wtp.abort(now, transaction, AbortReason::CONNECTERR.0);
        };
        if connect.headers.len() + connect.capabilities.len() > MAX_KEPT {
            self.stats.too_large += 1;
            return wtp.abort(now, transaction, AbortReason::MRUEXCEEDED.0);
        }
        let said = Said {
            offer: connect.capabilities,
            headers: connect.headers,
            encoding: agreed_version(connect.headers),
            agreed: capability::negotiate(&offer, &self.limits),
        };
        let has_room = self.registry.len() < self.config.max_sessions
            && self.crowd.of(peer) < self.config.max_sessions_per_address;
        let max = self.config.max_profiles;
        let Some(profile) = has_room.then(|| self.profiles.keep(said, max)).flatten() else {
            self.stats.congested += 1;
            return wtp.abort(now, transaction, AbortReason::CONGESTION.0);
        };
        let id = self.new_id();
        let slot = self.registry.insert(Session {
            id,
            peer,
            state: State::Connecting { transaction },
            proved: false,
            profile,
            method: NO_METHOD,
            pushes: None,
            used: now,
            queued: now,
            links: Links::default(),
        });
        let key = SessionKey { slot, id };
        self.crowd.join(peer);
        self.owners.insert(transaction, Owner::Session(key));
        self.setting_up.insert(peer, key);
        self.indications.push_back(Indication::Connect(key));
    }

    /// TR-Invoke.ind Resume, in every state: for the session it names, from wherever it comes.
    pub(super) fn resumed(
        &mut self,
        now: Instant,
        transaction: Handle,
        peer: Peer,
        resume: &pdu::Resume<'_>,
        wtp: &mut Endpoint,
    ) {
        let found = self.key_of(resume.session_id).filter(|key| {
            self.session(*key).is_some_and(|session| {
                session.may_resume() && !matches!(session.state, State::Connecting { .. })
            })
        });
        let Some(key) = found else {
            self.stats.unknown_session += 1;
            return wtp.abort(now, transaction, AbortReason::DISCONNECT.0);
        };
        if resume.headers.len() > MAX_KEPT {
            self.stats.too_large += 1;
            return wtp.abort(now, transaction, AbortReason::MRUEXCEEDED.0);
        }
        if !self.take_headers(key, resume.headers) {
            self.stats.congested += 1;
            return wtp.abort(now, transaction, AbortReason::CONGESTION.0);
        }
        // S-Suspend.ind(RESUME), except where it sleeps already.
        self.abort_transactions(now, key, AbortReason::RESUME, wtp);
        if self.state_of(key) != Some(&State::Suspended) {
            self.indications.push_back(Indication::Suspended(
                key,
                Ending::Aborted(AbortReason::RESUME),
            ));
        }
        self.touch(now, key);
        if let Some(session) = self.session_mut(key) {
            let from = peer;
            session.state = State::Resuming(Box::new(Resuming { transaction, from }));
        }
        self.owners.insert(transaction, Owner::Session(key));
        self.setting_up.insert(peer, key);
        // TR-Invoke.res is not needed: the answer follows at once, or hold-on acks do.
        self.indications.push_back(Indication::Resume(key));
    }

    /// Headers of a Resume take the place of those given before (WSP 6.3.3.4); none leave them. Says whether there
    /// was room for them.
    fn take_headers(&mut self, key: SessionKey, headers: &[u8]) -> bool {
        let max = self.config.max_profiles;
        let Some(session) = self.registry.get_mut(key.slot) else {
            return false;
        };
        if headers.is_empty() {
            return true;
        }
        let before = &session.profile;
        let said = Said {
            offer: &before.offer,
            headers,
            encoding: agreed_version(headers).or(before.encoding),
            agreed: before.agreed.clone(),
        };
        let Some(profile) = self.profiles.keep(said, max) else {
            return false;
        };
        let before = std::mem::replace(&mut session.profile, profile);
        self.profiles.release(&before);
        true
    }

    /// Disconnect PDU, in every state.
    pub(super) fn disconnected(&mut self, now: Instant, peer: Peer, id: u32, wtp: &mut Endpoint) {
        if let Some(key) = self.bound(peer, id) {
            self.stats.disconnected += 1;
            self.end(now, key, Ending::Aborted(AbortReason::DISCONNECT), wtp);
        }
    }

    /// Suspend PDU, in every state. Where the facility is not in use it is handled by no table: ignored.
    pub(super) fn suspended(&mut self, now: Instant, peer: Peer, id: u32, wtp: &mut Endpoint) {
        let Some(key) = self.bound(peer, id) else {
            return;
        };
        let ignored = self.session(key).is_none_or(|session| {
            !session.may_resume()
                || matches!(session.state, State::Connecting { .. } | State::Suspended)
        });
        if !ignored {
            self.sleep(now, key, Ending::Aborted(AbortReason::SUSPEND), wtp);
        }
    }

    /// A method or push ended; two reasons are meant for its whole session.
    pub(super) fn act_on(
        &mut self,
        now: Instant,
        key: SessionKey,
        ending: Ending,
        wtp: &mut Endpoint,
    ) {
        match ending {
            Ending::Aborted(AbortReason::DISCONNECT) => {
                self.stats.disconnected += 1;
                self.end(now, key, ending, wtp);
            }
            Ending::Aborted(AbortReason::SUSPEND) => self.suspend_or_end(now, key, ending, wtp),
            Ending::Aborted(_) | Ending::Lost(_) => {}
        }
    }

    /// The pseudo-event Suspend.
    fn suspend_or_end(
        &mut self,
        now: Instant,
        key: SessionKey,
        ending: Ending,
        wtp: &mut Endpoint,
    ) {
        let may_sleep = self.session(key).is_some_and(|session| {
            session.may_resume() && !matches!(session.state, State::Connecting { .. })
        });
        if may_sleep {
            self.sleep(now, key, ending, wtp);
        } else {
            self.stats.disconnected += 1;
            self.end(now, key, ending, wtp);
        }
    }

    /// SUSPENDED.
    fn sleep(&mut self, now: Instant, key: SessionKey, ending: Ending, wtp: &mut Endpoint) {
        self.stats.suspended += 1;
        self.abort_transactions(now, key, AbortReason::SUSPEND, wtp);
        if let Some(session) = self.session_mut(key) {
            session.state = State::Suspended;
            self.indications
                .push_back(Indication::Suspended(key, ending));
            self.changed(key.slot);
        }
    }

    /// TR-Abort.ind for the Connect or Resume of a session.
    pub(super) fn setup_aborted(
        &mut self,
        now: Instant,
        key: SessionKey,
        reason: wtp::AbortReason,
        wtp: &mut Endpoint,
    ) {
        let Some(session) = self.session_mut(key) else {
            return;
        };
        let ending = Ending::of(reason);
        match session.state {
            // A client that used the session has our answer; only its last Ack was lost. The table would
            // end a session that works.
            State::Connecting2 { used: true, .. } | State::Resuming2 { used: true, .. }
                if matches!(ending, Ending::Lost(_)) =>
            {
                session.state = State::Connected;
            }
            State::Resuming(_) | State::Resuming2 { .. }
                if ending != Ending::Aborted(AbortReason::DISCONNECT) =>
            {
                self.sleep(now, key, ending, wtp);
            }
            // Not counted among those connected yet.
            State::Connecting { .. } => self.end(now, key, ending, wtp),
            State::Connecting2 { .. } => {
                self.stats.unconfirmed += 1;
                self.end(now, key, ending, wtp);
            }
            _ => {
                self.stats.disconnected += 1;
                self.end(now, key, ending, wtp);
            }
        }
    }

    /// Ends every other session of `peer` and binds it to `key`'s (the rule of S-Connect.res and
    /// S-Resume.res).
    fn bind(&mut self, now: Instant, peer: Peer, key: SessionKey, wtp: &mut Endpoint) {
        let other = self.bound_to(peer);
        if let Some(other) = other.filter(|other| *other != key) {
            self.stats.replaced += 1;
            self.end(now, other, Ending::Aborted(AbortReason::DISCONNECT), wtp);
        }
        let Some(session) = self.session_mut(key) else {
            return;
        };
        let before = session.peer;
        session.proved &= before == peer;
        self.crowd.leave(before);
        self.crowd.join(peer);
        self.registry.bind(key.slot, peer);
        self.settled(peer, key);
    }

    /// The user has answered a Connect or Resume of this peer.
    fn settled(&mut self, peer: Peer, key: SessionKey) {
        if self.setting_up.get(&peer) == Some(&key) {
            self.setting_up.remove(&peer);
        }
    }

    /// Release all method transactions in HOLDING state.
    fn release_all(&mut self, now: Instant, key: SessionKey, peer: Peer, wtp: &mut Endpoint) {
        for id in self.method_ids(key) {
            self.release(now, id, wtp);
        }
        self.release_early(now, peer, wtp);
    }

    /// Abort of every transaction a session has open; the user hears of each method and push.
    pub(super) fn abort_transactions(
        &mut self,
        now: Instant,
        key: SessionKey,
        reason: AbortReason,
        wtp: &mut Endpoint,
    ) {
        let methods = self.method_ids(key);
        let Some(session) = self.session_mut(key) else {
            return;
        };
        let (setup, peer) = match &session.state {
            State::Resuming(resuming) => (Some(resuming.transaction), resuming.from),
            _ => (session.setup(), session.peer),
        };
        let pushes = std::mem::take(&mut session.pushes);
        if let Some(transaction) = setup {
            self.settled(peer, key);
            if self.owners.remove(&transaction).is_some() {
                wtp.abort(now, transaction, reason.0);
            }
        }
        for id in methods {
            self.abort_method(now, id, reason, wtp);
        }
        for transaction in pushes.into_iter().flat_map(|pushes| *pushes) {
            self.abort_push(now, transaction, reason, wtp);
        }
    }

    /// NULL: its transactions are aborted, the user is told, and it is forgotten.
    pub(super) fn end(
        &mut self,
        now: Instant,
        key: SessionKey,
        ending: Ending,
        wtp: &mut Endpoint,
    ) {
        if self.session(key).is_none() {
            return;
        }
        self.abort_transactions(now, key, AbortReason::DISCONNECT, wtp);
        self.indications
            .push_back(Indication::Disconnected(key, ending));
        self.forget(key);
    }

    /// The session of an id, if this peer may speak for it.
    fn bound(&self, peer: Peer, id: u32) -> Option<SessionKey> {
        self.key_of(id).filter(|key| {
            self.session(*key)
                .is_some_and(|session| match &session.state {
                    State::Resuming(resuming) => resuming.from == peer,
                    // Not known to its client yet.
                    State::Connecting { .. } => false,
                    _ => session.peer == peer,
                })
        })
    }

    fn state_of(&self, key: SessionKey) -> Option<&State> {
        self.session(key).map(|session| &session.state)
    }
}

/// The version to use with a client that names one in these headers.
fn agreed_version(headers: &[u8]) -> Option<EncodingVersion> {
    header::encoding_version(headers).map(|version| EncodingVersion::agreed(Some(version)))
}

/// `*/*`: a Reply without a body still has a content type (WSP 8.2.3.3).
const ANY_TYPE: &[u8] = &[0x80];

/// Octets of headers and capabilities of a client that are kept for as long as its session, and read again
/// with each of its methods. Handsets send one or two thousand.
pub(super) const MAX_KEPT: usize = 16 * 1024;
