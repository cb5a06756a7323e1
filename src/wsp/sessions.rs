//! All sessions of one shard: found by peer or by id, created, bound, suspended, dropped (WSP 7.1).
//!
//! The layer below is lent for each call; nothing here holds on to it. Here events are told apart; what they do
//! to a session, to a method and to a push stands in `setup.rs`, `method.rs` and `push.rs`, in the order and the
//! words of the server's state tables (WSP 7.1.6.4 to 7.1.6.6).

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use derive_more::AddAssign;
use hashbrown::HashMap;

use crate::random::{Keyed, Random};
use crate::table::Slab;
use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::AbortReason;
use crate::wsp::capability::{Capabilities, ServerLimits};
use crate::wsp::claim::{ClaimId, ClaimKey, Claims, Waiting};
use crate::wsp::crowd::Crowd;
use crate::wsp::early::Early;
use crate::wsp::header::EncodingVersion;
use crate::wsp::method::{Invocation, Method, MethodId};
use crate::wsp::pdu::Pdu;
use crate::wsp::profile::Profiles;
use crate::wsp::push::{Push, PushId, PushOutcome};
use crate::wsp::registry::Registry;
use crate::wsp::session::{Config, Session, SessionKey, State};
use crate::wtp::{self, Class, Endpoint, Fragment, Handle, Report};

/// What the session layer tells its user.
#[derive(Clone, Debug)]
pub enum Indication {
    /// S-Connect.ind: a client wants a session. Answered with [`Sessions::accept`], [`Sessions::refuse`] or
    /// [`Sessions::redirect`].
    Connect(SessionKey),
    /// S-Resume.ind: a client wants its session back, perhaps from elsewhere. Answered with
    /// [`Sessions::resume`] or [`Sessions::disconnect`].
    Resume(SessionKey),
    /// S-Suspend.ind: the session sleeps until it is resumed.
    Suspended(SessionKey, Ending),
    /// S-Disconnect.ind: the session is over.
    Disconnected(SessionKey, Ending),
    /// S-MethodInvoke.ind: a request, owed one [`Sessions::reply`] or [`Sessions::abort`].
    Method(MethodId, Invocation),
    /// S-MethodResult.cnf: the client has the whole reply. With it came acknowledgement headers, an encoded
    /// block that is mostly empty.
    Replied(MethodId, Bytes, Report),
    /// S-MethodAbort.ind: the method is over without its reply having been acknowledged.
    Aborted(MethodId, Ending, Option<Report>),
    /// S-ConfirmedPush.cnf, S-PushAbort.ind, or why a push was not sent: one for each [`Sessions::push`].
    Pushed(PushId, PushOutcome),
    /// Somebody else may know a session: owed one [`Sessions::handle_claim`].
    Claim(ClaimId, ClaimKey),
    /// A session is new, or other than it was: [`Sessions::record`] is what to remember.
    Changed(SessionKey),
    /// Nobody need remember the session of this id any more.
    Gone(u32),
}

/// Why a method or a session ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client aborted it, or its session ended, for this reason.
    Aborted(AbortReason),
    /// The transaction layer gave up: the reply was never acknowledged, or the peer broke the protocol.
    Lost(wtp::AbortReason),
}

impl Ending {
    /// The reason of a TR-Abort.ind.
    pub(super) const fn of(reason: wtp::AbortReason) -> Self {
        match reason {
            wtp::AbortReason::User(octet) => Self::Aborted(AbortReason(octet)),
            lost => Self::Lost(lost),
        }
    }
}

/// Counters of the session layer; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, AddAssign)]
pub struct Stats {
    /// Connects answered with a ConnectReply.
    pub connected: u64,
    /// Connects answered with a refusal of the user.
    pub refused: u64,
    /// Connects answered with other addresses.
    pub redirected: u64,
    /// Connects, and requests in several SDUs, aborted because there was no room.
    pub congested: u64,
    /// Sessions ended by the user.
    pub ended: u64,
    /// Sessions ended by the client.
    pub disconnected: u64,
    /// Sessions whose client never acknowledged that it is connected, or aborted that.
    pub unconfirmed: u64,
    /// Sessions replaced by a newer Connect or Resume of the same peer.
    pub replaced: u64,
    /// Sessions forgotten because nothing was heard for too long.
    pub expired: u64,
    /// Suspends obeyed.
    pub suspended: u64,
    /// Resumes obeyed.
    pub resumed: u64,
    /// Methods held because they came before their session was there.
    pub early: u64,
    /// Pushes sent.
    pub pushes: u64,
    /// Pushes the client confirmed.
    pub pushes_confirmed: u64,
    /// Methods shown to the user.
    pub methods: u64,
    /// Methods and Resumes aborted for want of a session.
    pub unknown_session: u64,
    /// Methods aborted because the client had as many outstanding as agreed.
    pub too_many_methods: u64,
    /// Methods aborted because they were larger than agreed, Connects and Resumes because of their headers.
    pub too_large: u64,
    /// SDUs that are no PDU, or none a client may send.
    pub malformed: u64,
    /// Sessions asked for elsewhere.
    pub claims: u64,
    /// Of these, found and taken over.
    pub claims_found: u64,
    /// Of these, known to nobody.
    pub claims_missed: u64,
    /// Of these, not answered in time.
    pub claims_expired: u64,
    /// Sessions not asked for: too many were already, or too many of that address for nothing.
    pub claims_refused: u64,
    /// Sessions given to another shard.
    pub handed_over: u64,
}

/// The sessions of one shard.
#[derive(Debug)]
pub struct Sessions {
    pub(super) config: Config,
    pub(super) limits: ServerLimits,
    pub(super) registry: Registry,
    pub(super) profiles: Profiles,
    pub(super) methods: Slab<Method>,
    pub(super) pushes: HashMap<Handle, Push, Keyed>,
    /// How many sessions each address has.
    pub(super) crowd: Crowd,
    /// Sessions that wait for the user's answer to a Connect or Resume, by the peer it came from: methods
    /// that follow belong to them.
    pub(super) setting_up: HashMap<Peer, SessionKey, Keyed>,
    pub(super) owners: HashMap<Handle, Owner, Keyed>,
    pub(super) early: Early,
    pub(super) claims: Claims,
    pub(super) indications: VecDeque<Indication>,
    pub(super) random: Random,
    pub(super) next_serial: u64,
    /// The place at which [`Sessions::disconnect_some`] goes on.
    pub(super) farewell: u32,
    /// Octets of requests in several SDUs that are not yet whole.
    pub(super) gathered: usize,
    pub(super) stats: Stats,
}

/// To whom an open transaction belongs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Owner {
    /// The Connect or Resume of a session.
    Session(SessionKey),
    /// A method.
    Method(MethodId),
    /// A confirmed push.
    Push,
    /// A method that waits for its session to come.
    Early,
    /// A Resume whose session is asked for elsewhere.
    Claim,
    /// The answer to a Connect that was refused: TERMINATING, nothing else is left of that session.
    Terminating,
}

/// What a session agreed on, for who wants to push.
#[derive(Clone, Debug)]
pub struct View {
    /// The session.
    pub key: SessionKey,
    /// Its conversation.
    pub peer: Peer,
    /// The newest header encoding the client understands.
    pub encoding: EncodingVersion,
    /// What was agreed.
    pub agreed: Capabilities,
}

impl Sessions {
    /// No sessions yet. `seed` decides the session ids and the hashing.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            limits: config.server_limits(),
            config,
            registry: Registry::new(random.hasher()),
            profiles: Profiles::new(random.hasher()),
            methods: Slab::new(),
            pushes: HashMap::with_hasher(random.hasher()),
            crowd: Crowd::new(random.hasher()),
            setting_up: HashMap::with_hasher(random.hasher()),
            owners: HashMap::with_hasher(random.hasher()),
            early: Early::default(),
            claims: Claims::new(random.hasher(), random.hasher()),
            indications: VecDeque::new(),
            random,
            next_serial: 0,
            farewell: 0,
            gathered: 0,
            stats: Stats::default(),
        }
    }

    /// Replaces the settings. What sessions have agreed on stays agreed.
    pub fn set_config(&mut self, config: Config) {
        self.limits = config.server_limits();
        self.config = config;
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
                fragment,
                ..
            } => self.invoked(now, (handle, class), peer, data, fragment, wtp),
            wtp::Indication::InvokeData {
                handle,
                data,
                fragment,
            } => match self.owners.get(&handle) {
                Some(Owner::Method(id)) => self.method_data(now, *id, &data, fragment, wtp),
                _ => wtp.abort(now, handle, AbortReason::PROTOERR.0),
            },
            wtp::Indication::InvokeConfirmed {
                handle, exit_info, ..
            } => self.push_confirmed(handle, exit_info),
            wtp::Indication::ResultConfirmed {
                handle,
                exit_info,
                report,
            } => self.confirmed(handle, exit_info, report),
            wtp::Indication::Abort {
                handle,
                reason,
                report,
            } => self.aborted(now, handle, reason, report, wtp),
            // Indications of class 2 transactions that we began: a server begins none.
            wtp::Indication::Result { .. } | wtp::Indication::ResultData { .. } => {}
        }
    }

    /// Forgets sessions whose time has come, and methods whose session did not.
    pub fn handle_timeout(&mut self, now: Instant, wtp: &mut Endpoint) {
        self.expire_early(now, wtp);
        self.expire_claims(now, wtp);
        while let Some((slot, session)) = self.registry.first() {
            if session.queued + self.longest_idle() > now {
                break;
            }
            if session.is_busy() {
                self.registry.queue_anew(slot, now);
                continue;
            }
            self.stats.expired += 1;
            let key = SessionKey {
                slot,
                id: session.id,
            };
            self.end(now, key, Ending::Aborted(AbortReason::DISCONNECT), wtp);
        }
    }

    /// How long after it took its place in the queue a session has surely been unused for too long.
    fn longest_idle(&self) -> Duration {
        self.config.idle_timeout + self.patience()
    }

    /// How old the place in the queue of a session in use may become.
    fn patience(&self) -> Duration {
        self.config.idle_timeout / 64
    }

    /// The peer was heard on a session.
    pub(super) fn touch(&mut self, now: Instant, key: SessionKey) {
        let before = self.registry.touch(key.slot, now, self.patience());
        // Whoever remembers it learns now and then that it is alive.
        let quarter = (self.config.idle_timeout / 4).as_micros().max(1);
        let quarters = |at: Instant| u128::from(at.as_micros()) / quarter;
        if before.is_some_and(|before| quarters(before) != quarters(now)) {
            self.changed(key.slot);
        }
    }

    /// The next thing to tell the user.
    pub fn poll_indication(&mut self) -> Option<Indication> {
        self.indications.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let idle = self.registry.first();
        let idle = idle.map(|(_, session)| session.queued + self.longest_idle());
        [
            idle,
            self.early.next_deadline(),
            self.claims.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Counters.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Sessions held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.registry.len()
    }

    /// Whether no session is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.registry.len() == 0
    }

    /// Methods outstanding.
    #[must_use]
    pub fn methods(&self) -> usize {
        self.methods.len()
    }

    /// The session of an id, and what it agreed on.
    #[must_use]
    pub fn find(&self, id: u32) -> Option<View> {
        let key = self.key_of(id)?;
        let session = self.session(key)?;
        Some(View {
            key,
            peer: session.peer,
            encoding: session.profile.encoding.unwrap_or_default(),
            agreed: session.profile.agreed.clone(),
        })
    }

    /// The ids of the sessions held, in no order.
    #[doc(hidden)]
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.registry.ids()
    }

    /// The name of a session's state in the specification's tables; `None` is NULL.
    #[doc(hidden)]
    #[must_use]
    pub fn state_name(&self, id: u32) -> Option<&'static str> {
        Some(self.session(self.key_of(id)?)?.state.name())
    }

    /// The names of the states of a session's methods, oldest first.
    #[doc(hidden)]
    #[must_use]
    pub fn method_states(&self, id: u32) -> Vec<&'static str> {
        let Some(session) = self.key_of(id).and_then(|key| self.session(key)) else {
            return Vec::new();
        };
        let methods = self.methods_of(session);
        methods.map(|(_, method)| method.state.name()).collect()
    }

    /// Confirmed pushes a session has outstanding.
    #[doc(hidden)]
    #[must_use]
    pub fn pushing(&self, id: u32) -> usize {
        let session = self.key_of(id).and_then(|key| self.session(key));
        session.map_or(0, Session::pushing)
    }

    /// TR-Invoke.ind.
    fn invoked(
        &mut self,
        now: Instant,
        (transaction, class): (Handle, Class),
        peer: Peer,
        sdu: Bytes,
        fragment: Fragment,
        wtp: &mut Endpoint,
    ) {
        let Ok(pdu) = Pdu::decode(&sdu) else {
            return self.protocol_error(now, transaction, class, wtp);
        };
        match (class, pdu) {
            (Class::Two, Pdu::Get(_) | Pdu::Post(_)) => {
                self.method(now, transaction, peer, sdu, fragment, wtp);
            }
            // Nothing but a method may come in several SDUs.
            (Class::Two, _) if fragment.more => {
                self.protocol_error(now, transaction, class, wtp);
            }
            (Class::Two, Pdu::Connect(connect)) => {
                self.connected(now, transaction, peer, &connect, wtp);
            }
            (Class::Two, Pdu::Resume(resume)) => {
                let waiting = Waiting::new(transaction, class, &sdu);
                if !self.claimed_by_id(now, peer, &resume, waiting, wtp) {
                    self.resumed(now, transaction, peer, &resume, wtp);
                }
            }
            (Class::Zero, Pdu::Disconnect { .. } | Pdu::Suspend { .. })
                if self.claimed_by_peer(
                    now,
                    peer,
                    Some(Waiting::new(transaction, class, &sdu)),
                    wtp,
                ) => {}
            (Class::Zero, Pdu::Disconnect { session_id }) => {
                self.disconnected(now, peer, session_id, wtp);
            }
            (Class::Zero, Pdu::Suspend { session_id }) => {
                self.suspended(now, peer, session_id, wtp);
            }
            (Class::One | Class::Two, _) if self.session_of(peer).is_none() => {
                self.stats.unknown_session += 1;
                wtp.abort(now, transaction, AbortReason::DISCONNECT.0);
            }
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

    /// TR-Result.cnf.
    fn confirmed(&mut self, transaction: Handle, exit_info: Bytes, report: Report) {
        match self.owners.remove(&transaction) {
            // CONNECTING_2, RESUMING_2 / TR-Result.cnf
            Some(Owner::Session(key)) => {
                if let Some(session) = self.session_mut(key) {
                    session.state = State::Connected;
                    session.proved = true;
                }
            }
            Some(Owner::Method(id)) => self.replied(id, exit_info, report),
            Some(Owner::Push | Owner::Early | Owner::Claim | Owner::Terminating) | None => {}
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
            Some(Owner::Method(id)) => self.method_aborted(now, id, reason, report, wtp),
            Some(Owner::Push) => self.push_aborted(now, transaction, reason, wtp),
            Some(Owner::Early) => self.early.forget(transaction),
            Some(Owner::Claim) => self.claims.given_up(transaction),
            Some(Owner::Terminating) | None => {}
        }
    }

    /// Takes a session out of the tables. Its wake-up finds nobody.
    pub(super) fn forget(&mut self, key: SessionKey) {
        if self.session(key).is_none() {
            return;
        }
        self.gone(key.id);
        self.remove(key);
    }

    /// The same for one that lives on elsewhere.
    pub(super) fn remove(&mut self, key: SessionKey) {
        if let Some(session) = self.registry.remove(key.slot) {
            self.crowd.leave(session.peer);
            self.profiles.release(&session.profile);
        }
    }

    /// Whether this peer has a session and acknowledged one of our answers, as one does who got it: what a Connect or
    /// a Resume says of where it comes from may be forged, and so may a method that comes with it. Nothing in WTP
    /// proves an address better.
    #[must_use]
    pub fn has_proved(&self, peer: Peer) -> bool {
        let slot = self.registry.of_peer(peer);
        slot.and_then(|slot| self.registry.get(slot))
            .is_some_and(|session| session.proved)
    }

    /// The session methods from this peer belong to.
    pub(super) fn session_of(&self, peer: Peer) -> Option<SessionKey> {
        if !self.setting_up.is_empty()
            && let Some(key) = self.setting_up.get(&peer)
        {
            return Some(*key);
        }
        self.bound_to(peer)
    }

    /// The session bound to this peer.
    pub(super) fn bound_to(&self, peer: Peer) -> Option<SessionKey> {
        let slot = self.registry.of_peer(peer)?;
        let id = self.registry.get(slot)?.id;
        Some(SessionKey { slot, id })
    }

    pub(super) fn session(&self, key: SessionKey) -> Option<&Session> {
        self.registry
            .get(key.slot)
            .filter(|session| session.id == key.id)
    }

    pub(super) fn session_mut(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.registry
            .get_mut(key.slot)
            .filter(|session| session.id == key.id)
    }

    pub(super) fn key_of(&self, id: u32) -> Option<SessionKey> {
        let slot = self.registry.of_id(id)?;
        Some(SessionKey { slot, id })
    }

    /// A session id nobody can guess and no live session has, which tells the shard it is from.
    pub(super) fn new_id(&mut self) -> u32 {
        loop {
            let id = self.claims.own_id(self.random.u32());
            if let Some(id) = id.filter(|id| self.registry.of_id(*id).is_none()) {
                return id;
            }
        }
    }
}
