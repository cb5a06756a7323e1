//! All sessions of one shard: found by peer or by id, created, bound, suspended, dropped (WSP 7.1).
//!
//! The layer below is lent for each call; nothing here holds on to it. Events are handled in the order and
//! the words of the server's state tables (WSP 7.1.6.4 and 7.1.6.5).

use std::collections::VecDeque;

use bytes::Bytes;
use derive_more::AddAssign;
use hashbrown::HashMap;
use slab::Slab;

use crate::random::{Hasher, Random};
use crate::time::{Instant, Timers};
use crate::wdp::Peer;
use crate::wsp::AbortReason;
use crate::wsp::capability::{self, Capabilities, Offer, ProtocolOptions, ServerLimits};
use crate::wsp::header::{self, Encoder, EncodingVersion};
use crate::wsp::method::{self, Invocation, Method, MethodId};
use crate::wsp::pdu::{self, Pdu};
use crate::wsp::session::{Config, Session, SessionKey, State};
use crate::wsp::status;
use crate::wtp::{self, Class, Endpoint, Handle, Report};

/// What the session layer tells its user.
#[derive(Clone, Debug)]
pub enum Indication {
    /// S-Connect.ind: a client wants a session. Answered with [`Sessions::accept`] or
    /// [`Sessions::refuse`].
    Connect(SessionKey),
    /// S-MethodInvoke.ind: a request, owed one [`Sessions::reply`] or [`Sessions::abort`].
    Method(MethodId, Invocation),
    /// S-MethodResult.cnf: the client has the whole reply.
    Replied(MethodId, Report),
    /// S-MethodAbort.ind: the method is over without its reply having been acknowledged.
    Aborted(MethodId, Ending, Option<Report>),
}

/// Why a method ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client aborted it, or its session ended, for this reason.
    Aborted(AbortReason),
    /// The transaction layer gave up: the reply was never acknowledged, or the peer broke the protocol.
    Lost(wtp::AbortReason),
}

/// A reply for [`Sessions::reply`]: an encoded Reply PDU.
pub type ReplySdu = Bytes;

/// Counters of the session layer; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, AddAssign)]
pub struct Stats {
    /// Connects answered with a ConnectReply.
    pub connected: u64,
    /// Connects answered with a refusal of the user.
    pub refused: u64,
    /// Connects aborted because the table was full.
    pub congested: u64,
    /// Sessions ended by the client.
    pub disconnected: u64,
    /// Sessions replaced by a newer Connect or Resume of the same peer.
    pub replaced: u64,
    /// Sessions forgotten because nothing was heard for too long.
    pub expired: u64,
    /// Suspends obeyed.
    pub suspended: u64,
    /// Resumes obeyed.
    pub resumed: u64,
    /// Methods shown to the user.
    pub methods: u64,
    /// Methods and Resumes aborted for want of a session.
    pub unknown_session: u64,
    /// Methods aborted because the client had as many outstanding as agreed.
    pub too_many_methods: u64,
    /// Methods aborted because they were larger than agreed.
    pub too_large: u64,
    /// SDUs that are no PDU, or none a client may send.
    pub malformed: u64,
}

/// The sessions of one shard.
#[derive(Debug)]
pub struct Sessions {
    config: Config,
    limits: ServerLimits,
    sessions: Slab<Session>,
    methods: Slab<Method>,
    by_peer: HashMap<Peer, usize, Hasher>,
    by_id: HashMap<u32, usize, Hasher>,
    owners: HashMap<Handle, Owner, Hasher>,
    idle: Timers,
    indications: VecDeque<Indication>,
    random: Random,
    next_serial: u64,
    stats: Stats,
}

/// To whom an open transaction belongs.
#[derive(Clone, Copy, Debug)]
enum Owner {
    /// The Connect or Resume of a session.
    Session(SessionKey),
    /// A method.
    Method(MethodId),
    /// The answer to a Connect that was refused: TERMINATING, nothing else is left of that session.
    Terminating,
}

impl Sessions {
    /// No sessions yet. `seed` decides the session ids and the hashing.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            limits: config.server_limits(),
            config,
            sessions: Slab::new(),
            methods: Slab::new(),
            by_peer: HashMap::with_hasher(random.hasher()),
            by_id: HashMap::with_hasher(random.hasher()),
            owners: HashMap::with_hasher(random.hasher()),
            idle: Timers::new(),
            indications: VecDeque::new(),
            random,
            next_serial: 0,
            stats: Stats::default(),
        }
    }

    /// What the transaction layer says.
    pub fn handle_indication(
        &mut self,
        now: Instant,
        indication: wtp::Indication,
        wtp: &mut Endpoint,
    ) {
        match indication {
            wtp::Indication::Invoke {
                handle,
                peer,
                class,
                data,
                ..
            } => self.invoked(now, handle, peer, class, data, wtp),
            wtp::Indication::ResultConfirmed { handle, report, .. } => {
                self.confirmed(handle, report);
            }
            wtp::Indication::Abort {
                handle,
                reason,
                report,
            } => self.aborted(now, handle, reason, report, wtp),
            // Indications of transactions a server begins, and it begins only Disconnects (class 0).
            wtp::Indication::InvokeConfirmed { .. }
            | wtp::Indication::Result { .. }
            | wtp::Indication::ResultData { .. } => {}
            // Extended SAR in several data units needs Large Data Transfer, which is not agreed to.
            wtp::Indication::InvokeData { handle, .. } => {
                wtp.abort(now, handle, AbortReason::PROTOERR.0);
            }
        }
    }

    /// Forgets sessions whose time has come.
    pub fn handle_timeout(&mut self, now: Instant, wtp: &mut Endpoint) {
        while let Some(slot) = self.idle.pop_due(now) {
            let Some(session) = self.sessions.get(slot) else {
                continue;
            };
            let expires = session.used + self.config.idle_timeout;
            if expires > now {
                self.idle.schedule(expires, slot);
            } else if !session.methods.is_empty() {
                self.idle.schedule(now + self.config.idle_timeout / 8, slot);
            } else {
                self.stats.expired += 1;
                let key = SessionKey {
                    slot,
                    id: session.id,
                };
                self.end(now, key, AbortReason::DISCONNECT, wtp);
            }
        }
    }

    /// The next thing to tell the user.
    pub fn poll_indication(&mut self) -> Option<Indication> {
        self.indications.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.idle.next()
    }

    /// Counters.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Sessions held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether no session is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Methods outstanding.
    #[must_use]
    pub fn methods(&self) -> usize {
        self.methods.len()
    }

    /// S-Connect.res: the session is wanted. Any other session of the same peer ends.
    pub fn accept(&mut self, now: Instant, key: SessionKey, wtp: &mut Endpoint) {
        let Some(session) = self.sessions.get_mut(key.slot).filter(|s| s.id == key.id) else {
            return;
        };
        let State::Connecting { transaction, offer } = &session.state else {
            return;
        };
        let (transaction, peer) = (*transaction, session.peer);
        let mut capabilities = Vec::new();
        if let Ok(offer) = Offer::decode(offer) {
            capability::encode_reply(&offer, &session.agreed, &self.limits, &mut capabilities);
        }
        let mut headers = Vec::new();
        if let Some(version) = session.encoding {
            Encoder::new(version).encoding_version(&mut headers);
        }
        session.state = State::Connecting2 {
            transaction,
            used: false,
        };
        self.replace(now, peer, key, wtp);
        self.stats.connected += 1;
        let mut sdu = Vec::with_capacity(16 + capabilities.len() + headers.len());
        Pdu::ConnectReply(pdu::ConnectReply {
            session_id: key.id,
            capabilities: &capabilities,
            headers: &headers,
        })
        .encode(&mut sdu);
        wtp.result(now, transaction, sdu.into());
        self.idle.schedule(now + self.config.idle_timeout, key.slot);
    }

    /// S-Disconnect.req while connecting: the session is refused with a status for the client.
    pub fn refuse(&mut self, now: Instant, key: SessionKey, http_status: u16, wtp: &mut Endpoint) {
        let Some(session) = self.session(key) else {
            return;
        };
        let State::Connecting { transaction, .. } = session.state else {
            return;
        };
        self.forget(key);
        self.stats.refused += 1;
        self.owners.insert(transaction, Owner::Terminating);
        let mut sdu = Vec::new();
        Pdu::Reply(pdu::Reply {
            status: status::from_http(http_status),
            headers: ANY_TYPE,
            data: &[],
        })
        .encode(&mut sdu);
        wtp.result(now, transaction, sdu.into());
    }

    /// S-MethodResult.req: the reply to a method.
    pub fn reply(&mut self, now: Instant, id: MethodId, sdu: ReplySdu, wtp: &mut Endpoint) {
        if let Some(method) = self.method_mut(id) {
            method.state = method::State::Replying;
            let transaction = method.transaction;
            wtp.result(now, transaction, sdu);
        }
    }

    /// S-MethodAbort.req: no reply will come. The user hears nothing more of the method.
    pub fn abort(&mut self, now: Instant, id: MethodId, reason: AbortReason, wtp: &mut Endpoint) {
        if let Some(method) = self.take_method(id) {
            wtp.abort(now, method.transaction, reason.0);
        }
    }

    /// TR-Invoke.ind.
    fn invoked(
        &mut self,
        now: Instant,
        transaction: Handle,
        peer: Peer,
        class: Class,
        sdu: Bytes,
        wtp: &mut Endpoint,
    ) {
        let Ok(pdu) = Pdu::decode(&sdu) else {
            return self.protocol_error(now, transaction, class, wtp);
        };
        match (class, pdu) {
            (Class::Two, Pdu::Connect(connect)) => {
                self.connect(now, transaction, peer, &sdu, &connect, wtp);
            }
            (Class::Two, Pdu::Resume(resume)) => {
                self.resume(now, transaction, peer, &sdu, &resume, wtp);
            }
            (Class::Two, Pdu::Get(get)) => {
                let parts = Parts {
                    method: get.method,
                    uri: sdu.slice_ref(get.uri),
                    headers: sdu.slice_ref(get.headers),
                    body: None,
                };
                self.method(now, transaction, peer, sdu.len(), parts, wtp);
            }
            (Class::Two, Pdu::Post(post)) => {
                let parts = Parts {
                    method: post.method,
                    uri: sdu.slice_ref(post.uri),
                    headers: sdu.slice_ref(post.headers),
                    body: Some(sdu.slice_ref(post.data)),
                };
                self.method(now, transaction, peer, sdu.len(), parts, wtp);
            }
            (Class::Zero, Pdu::Disconnect { session_id }) => {
                self.disconnect(now, peer, session_id, wtp);
            }
            (Class::Zero, Pdu::Suspend { session_id }) => self.suspend(now, peer, session_id, wtp),
            _ => self.protocol_error(now, transaction, class, wtp),
        }
    }

    /// What no client may send: ignored in class 0, aborted else (WSP 7.1.5).
    fn protocol_error(
        &mut self,
        now: Instant,
        transaction: Handle,
        class: Class,
        wtp: &mut Endpoint,
    ) {
        self.stats.malformed += 1;
        if class != Class::Zero {
            wtp.abort(now, transaction, AbortReason::PROTOERR.0);
        }
    }

    /// NULL / TR-Invoke.ind Connect. The proto-session takes no part in anything until it is accepted.
    fn connect(
        &mut self,
        now: Instant,
        transaction: Handle,
        peer: Peer,
        sdu: &Bytes,
        connect: &pdu::Connect<'_>,
        wtp: &mut Endpoint,
    ) {
        let Ok(offer) = Offer::decode(connect.capabilities) else {
            self.stats.malformed += 1;
            return wtp.abort(now, transaction, AbortReason::CONNECTERR.0);
        };
        if self.sessions.len() >= self.config.max_sessions {
            self.stats.congested += 1;
            return wtp.abort(now, transaction, AbortReason::CONGESTION.0);
        }
        let id = self.new_id();
        let slot = self.sessions.insert(Session {
            id,
            peer,
            state: State::Connecting {
                transaction,
                offer: sdu.slice_ref(connect.capabilities),
            },
            agreed: capability::negotiate(&offer, &self.limits),
            // Copied, so that an idle session keeps its headers alive and not the whole datagram.
            headers: Bytes::copy_from_slice(connect.headers),
            encoding: encoding_version(connect.headers),
            methods: Vec::new(),
            used: now,
        });
        let key = SessionKey { slot, id };
        self.by_id.insert(id, slot);
        self.owners.insert(transaction, Owner::Session(key));
        self.indications.push_back(Indication::Connect(key));
    }

    /// CONNECTED and its kin / TR-Invoke.ind Resume: found by id, from wherever it comes.
    fn resume(
        &mut self,
        now: Instant,
        transaction: Handle,
        peer: Peer,
        sdu: &Bytes,
        resume: &pdu::Resume<'_>,
        wtp: &mut Endpoint,
    ) {
        let found = self.key_of(resume.session_id).filter(|key| {
            self.session(*key).is_some_and(|session| {
                session.agreed.options.has(ProtocolOptions::SESSION_RESUME)
                    && !matches!(session.state, State::Connecting { .. })
            })
        });
        let Some(key) = found else {
            self.stats.unknown_session += 1;
            return wtp.abort(now, transaction, AbortReason::DISCONNECT.0);
        };
        self.abort_transactions(now, key, AbortReason::RESUME, wtp);
        self.replace(now, peer, key, wtp);
        let Some(session) = self.sessions.get_mut(key.slot) else {
            return;
        };
        session.peer = peer;
        session.used = now;
        session.state = State::Resuming2 {
            transaction,
            used: false,
        };
        // Headers of the Resume take the place of those given before (WSP 6.3.3.4); none leave them.
        if !resume.headers.is_empty() {
            session.headers = Bytes::copy_from_slice(sdu.slice_ref(resume.headers).as_ref());
        }
        self.owners.insert(transaction, Owner::Session(key));
        self.stats.resumed += 1;
        let mut reply = Vec::new();
        Pdu::Reply(pdu::Reply {
            status: status::from_http(200),
            headers: ANY_TYPE,
            data: &[],
        })
        .encode(&mut reply);
        wtp.result(now, transaction, reply.into());
    }

    /// TR-Invoke.ind with a method PDU, in every state.
    fn method(
        &mut self,
        now: Instant,
        transaction: Handle,
        peer: Peer,
        size: usize,
        parts: Parts,
        wtp: &mut Endpoint,
    ) {
        let Some(key) = self.by_peer.get(&peer).and_then(|slot| self.key_at(*slot)) else {
            self.stats.unknown_session += 1;
            return wtp.abort(now, transaction, AbortReason::DISCONNECT.0);
        };
        let Some(session) = self.sessions.get(key.slot) else {
            return;
        };
        let refusal = if session.state == State::Suspended {
            Some(AbortReason::SUSPEND)
        } else if max_request(&session.agreed).is_some_and(|max| size > max) {
            self.stats.too_large += 1;
            Some(AbortReason::MRUEXCEEDED)
        } else if self.outstanding(session) >= usize::from(session.agreed.method_mor) {
            self.stats.too_many_methods += 1;
            Some(AbortReason::MOREXCEEDED)
        } else {
            None
        };
        if let Some(reason) = refusal {
            return wtp.abort(now, transaction, reason.0);
        }

        self.next_serial += 1;
        let serial = self.next_serial;
        let slot = self.methods.insert(Method {
            serial,
            session: key,
            transaction,
            state: method::State::Processing,
        });
        let id = MethodId { slot, serial };
        self.owners.insert(transaction, Owner::Method(id));
        let Some(session) = self.sessions.get_mut(key.slot) else {
            return;
        };
        session.used = now;
        if let State::Connecting2 { used, .. } | State::Resuming2 { used, .. } = &mut session.state
        {
            *used = true;
        }
        session.methods.push(id);
        self.stats.methods += 1;
        let invocation = parts.of_session(session, key);
        self.indications
            .push_back(Indication::Method(id, invocation));
        wtp.accept(now, transaction, &[]);
    }

    /// Methods that count against the agreed maximum: a reply that only waits for its last Ack does not,
    /// since the handset that sends the next Invoke has moved on and its Ack was lost.
    fn outstanding(&self, session: &Session) -> usize {
        let processing = |id: &&MethodId| {
            self.methods
                .get(id.slot)
                .is_some_and(|method| method.state == method::State::Processing)
        };
        session.methods.iter().filter(processing).count()
    }

    /// Disconnect, in every state.
    fn disconnect(&mut self, now: Instant, peer: Peer, id: u32, wtp: &mut Endpoint) {
        if let Some(key) = self.key_of(id).filter(|key| self.is_bound(*key, peer)) {
            self.stats.disconnected += 1;
            self.end(now, key, AbortReason::DISCONNECT, wtp);
        }
    }

    /// Suspend, in every state.
    fn suspend(&mut self, now: Instant, peer: Peer, id: u32, wtp: &mut Endpoint) {
        let Some(key) = self.key_of(id).filter(|key| self.is_bound(*key, peer)) else {
            return;
        };
        let may_resume = self
            .session(key)
            .is_some_and(|session| session.agreed.options.has(ProtocolOptions::SESSION_RESUME));
        if may_resume {
            self.stats.suspended += 1;
            self.abort_transactions(now, key, AbortReason::SUSPEND, wtp);
            if let Some(session) = self.sessions.get_mut(key.slot) {
                session.state = State::Suspended;
            }
        } else {
            self.stats.disconnected += 1;
            self.end(now, key, AbortReason::DISCONNECT, wtp);
        }
    }

    /// TR-Result.cnf.
    fn confirmed(&mut self, transaction: Handle, report: Report) {
        match self.owners.remove(&transaction) {
            Some(Owner::Session(key)) => {
                if let Some(session) = self.sessions.get_mut(key.slot).filter(|s| s.id == key.id) {
                    session.state = State::Connected;
                }
            }
            Some(Owner::Method(id)) => {
                if self.take_method(id).is_some() {
                    self.indications.push_back(Indication::Replied(id, report));
                }
            }
            Some(Owner::Terminating) | None => {}
        }
    }

    /// TR-Abort.ind.
    fn aborted(
        &mut self,
        now: Instant,
        transaction: Handle,
        reason: wtp::AbortReason,
        report: Report,
        wtp: &mut Endpoint,
    ) {
        match self.owners.remove(&transaction) {
            Some(Owner::Session(key)) => self.setup_aborted(now, key, reason, wtp),
            Some(Owner::Method(id)) => {
                let Some(method) = self.take_method(id) else {
                    return;
                };
                let ending = match reason {
                    wtp::AbortReason::User(octet) => Ending::Aborted(AbortReason(octet)),
                    lost => Ending::Lost(lost),
                };
                self.indications
                    .push_back(Indication::Aborted(id, ending, Some(report)));
                // Two reasons act on the whole session (WSP 7.1.6.5).
                match ending {
                    Ending::Aborted(AbortReason::DISCONNECT) => {
                        self.stats.disconnected += 1;
                        self.end(now, method.session, AbortReason::DISCONNECT, wtp);
                    }
                    Ending::Aborted(AbortReason::SUSPEND) => {
                        if let Some(session) = self.session(method.session) {
                            let (peer, id) = (session.peer, session.id);
                            self.suspend(now, peer, id, wtp);
                        }
                    }
                    Ending::Aborted(_) | Ending::Lost(_) => {}
                }
            }
            Some(Owner::Terminating) | None => {}
        }
    }

    /// The Connect or Resume transaction of a session was aborted.
    fn setup_aborted(
        &mut self,
        now: Instant,
        key: SessionKey,
        reason: wtp::AbortReason,
        wtp: &mut Endpoint,
    ) {
        let Some(session) = self.sessions.get_mut(key.slot).filter(|s| s.id == key.id) else {
            return;
        };
        match session.state {
            // A client that used the session has our answer; only its last Ack was lost. The table would
            // end a session that works.
            State::Connecting2 { used: true, .. } | State::Resuming2 { used: true, .. }
                if !matches!(reason, wtp::AbortReason::User(_)) =>
            {
                session.state = State::Connected;
            }
            State::Resuming2 { .. }
                if reason != wtp::AbortReason::User(AbortReason::DISCONNECT.0) =>
            {
                self.abort_transactions(now, key, AbortReason::SUSPEND, wtp);
                if let Some(session) = self.sessions.get_mut(key.slot) {
                    session.state = State::Suspended;
                }
            }
            _ => self.end(now, key, AbortReason::DISCONNECT, wtp),
        }
    }

    /// Ends every other session of `peer` and binds it to `key`'s (the rule of S-Connect.res and
    /// S-Resume.res).
    fn replace(&mut self, now: Instant, peer: Peer, key: SessionKey, wtp: &mut Endpoint) {
        let other = self.by_peer.get(&peer).and_then(|slot| self.key_at(*slot));
        if let Some(other) = other.filter(|other| *other != key) {
            self.stats.replaced += 1;
            self.end(now, other, AbortReason::DISCONNECT, wtp);
        }
        let before = self.session(key).map(|session| session.peer);
        if let Some(before) = before.filter(|before| *before != peer) {
            self.by_peer.remove(&before);
        }
        self.by_peer.insert(peer, key.slot);
    }

    /// Abort of every transaction a session has open; the user hears of each method.
    fn abort_transactions(
        &mut self,
        now: Instant,
        key: SessionKey,
        reason: AbortReason,
        wtp: &mut Endpoint,
    ) {
        let Some(session) = self.sessions.get_mut(key.slot).filter(|s| s.id == key.id) else {
            return;
        };
        let setup = match session.state {
            State::Connecting { transaction, .. }
            | State::Connecting2 { transaction, .. }
            | State::Resuming2 { transaction, .. } => Some(transaction),
            State::Connected | State::Suspended => None,
        };
        if let Some(transaction) = setup {
            self.owners.remove(&transaction);
            wtp.abort(now, transaction, reason.0);
        }
        for id in std::mem::take(&mut session.methods) {
            if let Some(method) = self.methods.try_remove(id.slot) {
                self.owners.remove(&method.transaction);
                wtp.abort(now, method.transaction, reason.0);
                self.indications
                    .push_back(Indication::Aborted(id, Ending::Aborted(reason), None));
            }
        }
    }

    /// The session ends: its transactions are aborted and it is forgotten.
    fn end(&mut self, now: Instant, key: SessionKey, reason: AbortReason, wtp: &mut Endpoint) {
        self.abort_transactions(now, key, reason, wtp);
        self.forget(key);
    }

    /// Takes a session out of the tables. Its wake-up finds nobody.
    fn forget(&mut self, key: SessionKey) {
        if self.session(key).is_none() {
            return;
        }
        let session = self.sessions.remove(key.slot);
        self.by_id.remove(&session.id);
        if self.by_peer.get(&session.peer) == Some(&key.slot) {
            self.by_peer.remove(&session.peer);
        }
    }

    /// Takes a method out of the tables.
    fn take_method(&mut self, id: MethodId) -> Option<Method> {
        self.method_mut(id)?;
        let method = self.methods.try_remove(id.slot)?;
        self.owners.remove(&method.transaction);
        if let Some(session) = self.sessions.get_mut(method.session.slot) {
            session.methods.retain(|other| *other != id);
        }
        Some(method)
    }

    fn method_mut(&mut self, id: MethodId) -> Option<&mut Method> {
        self.methods
            .get_mut(id.slot)
            .filter(|method| method.serial == id.serial)
    }

    fn session(&self, key: SessionKey) -> Option<&Session> {
        self.sessions
            .get(key.slot)
            .filter(|session| session.id == key.id)
    }

    fn key_at(&self, slot: usize) -> Option<SessionKey> {
        self.sessions.get(slot).map(|session| SessionKey {
            slot,
            id: session.id,
        })
    }

    fn key_of(&self, id: u32) -> Option<SessionKey> {
        self.by_id
            .get(&id)
            .map(|slot| SessionKey { slot: *slot, id })
    }

    fn is_bound(&self, key: SessionKey, peer: Peer) -> bool {
        self.session(key)
            .is_some_and(|session| session.peer == peer)
    }

    /// A session id nobody can guess and no live session has.
    fn new_id(&mut self) -> u32 {
        loop {
            let id = self.random.u32();
            if id != 0 && !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }
}

/// What a method PDU says, cut out of its SDU.
struct Parts {
    method: pdu::Method,
    uri: Bytes,
    headers: Bytes,
    body: Option<Bytes>,
}

impl Parts {
    /// The same with what the session adds.
    fn of_session(self, session: &Session, key: SessionKey) -> Invocation {
        let agreed = &session.agreed;
        Invocation {
            peer: session.peer,
            session: key,
            method: self.method,
            uri: self.uri,
            session_headers: session.headers.clone(),
            headers: self.headers,
            body: self.body,
            encoding: session.encoding.unwrap_or_default(),
            pages: agreed.code_pages().into(),
            extended: agreed.extended_method(self.method.0).map(Into::into),
            max_reply: max_reply(agreed),
        }
    }
}

/// The largest request SDU the session may send.
fn max_request(agreed: &Capabilities) -> Option<usize> {
    agreed
        .server_mru()
        .and_then(|max| usize::try_from(max).ok())
}

/// The largest reply SDU the session may be sent.
fn max_reply(agreed: &Capabilities) -> Option<usize> {
    usize::try_from(agreed.client_sdu)
        .ok()
        .filter(|max| *max != 0)
}

/// The newest header encoding a client says it understands, if it says so (WSP 8.4.2.70).
fn encoding_version(headers: &[u8]) -> Option<EncodingVersion> {
    header::fields(headers, &[])
        .filter_map(Result::ok)
        .find(|field| field.name.eq_ignore_ascii_case("encoding-version"))
        .and_then(|field| EncodingVersion::parse(&field.value))
        .map(|version| EncodingVersion::agreed(Some(version)))
}

/// `*/*`: a Reply without a body still has a content type (WSP 8.2.3.3).
const ANY_TYPE: &[u8] = &[0x80];
