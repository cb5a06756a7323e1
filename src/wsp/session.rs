//! One WSP session as the server keeps it, and its state table (WSP 7.1.6.4).

use std::sync::Arc;

use crate::wdp::Peer;
use crate::wsp::AbortReason;
use crate::wsp::capability::{self, Offer, ProtocolOptions};
use crate::wsp::context::{Owner, SessionRef, StepContext, encoded};
use crate::wsp::header::{Encoder, EncodingVersion};
use crate::wsp::id_key::Subscriber;
use crate::wsp::indication::{EndReason, Indication};
use crate::wsp::method::{MethodList, Methods};
use crate::wsp::pdu::{self, Pdu};
use crate::wsp::profile::Profile;
use crate::wsp::push::{PushList, Pushes};
use crate::wsp::status;
use crate::wtp::{self, Class, Fragment, Handle};

pub use crate::wsp::config::{Config, OCTETS_PER_SESSION};
pub use crate::wsp::key::SessionKey;

/// A session. The headers of its client are in the profile, which equal clients share.
#[derive(Debug)]
pub(super) struct Session {
    id: u32,
    peer: Peer,
    state: State,
    /// The peer acknowledged octets that only this peer was sent, so its address is not forged.
    proved: bool,
    /// The peer acknowledged a reply to a method.
    used: bool,
    /// The subscriber at the peer's address when the session was set up or resumed, if that was
    /// known.
    subscriber: Option<Subscriber>,
    profile: Arc<Profile>,
    methods: MethodList,
    pushes: PushList,
}

/// The state of a session (WSP 7.1.6.4). NULL is not being in the table; TERMINATING is an open
/// transaction without a session ([`Owner::Terminating`]).
///
/// A state that waits for a transaction holds its handle, so that leaving the state forgets it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Connect received, S-Connect.res outstanding: a proto-session, not yet bound to the peer.
    Connecting { transaction: Handle },
    /// ConnectReply sent, its last Ack outstanding. `used`: a method came, so the client has our
    /// answer whether or not its Ack arrives.
    Connecting2 { transaction: Handle, used: bool },
    /// In use.
    Connected,
    /// The client suspended the session; no PDU is exchanged until a Resume.
    Suspended,
    /// Resume received, S-Resume.res outstanding.
    Resuming(Box<Resuming>),
    /// Reply to the Resume sent, its last Ack outstanding.
    Resuming2 { transaction: Handle, used: bool },
}

/// A Resume that waits for S-Resume.res.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Resuming {
    transaction: Handle,
    /// Where it came from: the session's peer once it is accepted.
    from: Peer,
}

/// Events of a session.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// S-Connect.res.
    ConnectRes,
    /// S-Disconnect.req while connecting, with the PDU that answers the Connect: a Reply or a
    /// Redirect.
    Refuse(Pdu<'a>),
    /// S-Disconnect.req.
    DisconnectReq,
    /// S-Resume.res.
    ResumeRes,
    /// TR-Invoke.ind with a Resume PDU.
    RcvResume { transaction: Handle, from: Peer },
    /// TR-Invoke.ind with a Suspend PDU.
    RcvSuspend,
    /// TR-Invoke.ind with a Disconnect PDU.
    RcvDisconnect,
    /// TR-Invoke.ind with a method PDU.
    RcvMethod { transaction: Handle },
    /// TR-Result.cnf of the Connect or Resume.
    RcvAck,
    /// TR-Abort.ind of the Connect or Resume.
    RcvAbort(wtp::AbortReason),
    /// Pseudo-event: the client aborted a method or push with DISCONNECT.
    Disconnect(EndReason),
    /// Pseudo-event: the client aborted a method or push with SUSPEND.
    Suspend(EndReason),
    /// Pseudo-event Disconnect: the peer has another session now (S-Connect.res, S-Resume.res).
    Replaced,
    /// The session was unused for too long. The table has no such row (WSP 7.1.5).
    Expired,
    /// The table is full, and the session was never used.
    Evicted,
    /// Another shard takes the session over. The table has no such row.
    HandOver,
    /// Another node has taken the session over. The table has no such row.
    Taken,
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The session stays.
    Lives,
    /// The event is not for this state; its sender was answered if an answer is due.
    Refused,
    /// NULL: the session is to be removed. `notified`: a Disconnect PDU is on its way to the peer.
    Over { notified: bool },
}

impl Outcome {
    const OVER: Self = Self::Over { notified: false };
}

/// The methods and confirmed pushes of all sessions.
#[derive(Debug)]
pub(super) struct Children {
    pub(super) methods: Methods,
    pub(super) pushes: Pushes,
}

impl Session {
    /// NULL / TR-Invoke.ind Connect.
    pub(super) fn connecting(
        id: u32,
        peer: Peer,
        transaction: Handle,
        profile: Arc<Profile>,
    ) -> Self {
        let state = State::Connecting { transaction };
        Self::new(id, peer, state, profile)
    }

    /// A session that another shard or the store had. Its peer proved its address there.
    pub(super) fn restored(id: u32, peer: Peer, suspended: bool, profile: Arc<Profile>) -> Self {
        let state = match suspended {
            true => State::Suspended,
            false => State::Connected,
        };
        Self {
            proved: true,
            used: true,
            ..Self::new(id, peer, state, profile)
        }
    }

    fn new(id: u32, peer: Peer, state: State, profile: Arc<Profile>) -> Self {
        Self {
            id,
            peer,
            state,
            proved: false,
            used: false,
            subscriber: None,
            profile,
            methods: MethodList::default(),
            pushes: PushList::default(),
        }
    }

    /// One row of the server's session table (WSP 7.1.6.4). The arms follow the order of its
    /// states.
    pub(super) fn step(
        &mut self,
        event: Event<'_>,
        key: SessionKey,
        children: &mut Children,
        cx: &mut StepContext<'_>,
    ) -> Outcome {
        match (&mut self.state, event) {
            // --- CONNECTING ---
            // S-Connect.res. Other sessions of this peer are over already.
            (State::Connecting { transaction }, Event::ConnectRes) => {
                let transaction = *transaction;
                self.send_connect_reply(transaction, cx);
                self.state = State::Connecting2 {
                    transaction,
                    used: false,
                };
                cx.stats.connected += 1;
                cx.changed(key);
                children
                    .methods
                    .release_all(self.methods, self.as_ref(key), cx);
                Outcome::Lives
            }
            // S-Disconnect.req, with either kind of reason: TERMINATING.
            (State::Connecting { transaction }, Event::Refuse(answer)) => {
                let transaction = *transaction;
                cx.result(transaction, &answer);
                cx.owners.insert(transaction, Owner::Terminating);
                let ending = EndReason::Aborted(AbortReason::USERREQ);
                self.end(ending, key, children, cx)
            }
            (State::Connecting { .. }, Event::DisconnectReq) => {
                let refusal = Pdu::Reply(pdu::Reply {
                    status: status::UNAVAILABLE,
                    headers: ANY_TYPE,
                    data: &[],
                });
                cx.stats.refused += 1;
                self.step(Event::Refuse(refusal), key, children, cx)
            }
            // Pseudo-events. They are not counted, because the session was never connected.
            (State::Connecting { .. }, Event::Disconnect(ending) | Event::Suspend(ending)) => {
                cx.stats.disconnected += 1;
                self.end(ending, key, children, cx)
            }
            // TR-Invoke.ind Resume: the client does not know this session yet.
            (State::Connecting { .. }, Event::RcvResume { transaction, .. }) => {
                cx.stats.unknown_session += 1;
                cx.abort(transaction, AbortReason::DISCONNECT);
                Outcome::Refused
            }
            // TR-Invoke.ind method: HOLDING.
            (State::Connecting { .. }, Event::RcvMethod { .. }) => Outcome::Lives,
            // TR-Abort.ind.
            (State::Connecting { .. }, Event::RcvAbort(reason)) => {
                self.end(EndReason::of(reason), key, children, cx)
            }

            // --- CONNECTING_2 ---
            // TR-Invoke.ind method.
            (
                State::Connecting2 { used, .. } | State::Resuming2 { used, .. },
                Event::RcvMethod { .. },
            ) => {
                *used = true;
                Outcome::Lives
            }
            // TR-Result.cnf.
            (State::Connecting2 { .. } | State::Resuming2 { .. }, Event::RcvAck) => {
                self.state = State::Connected;
                self.proved = true;
                Outcome::Lives
            }
            // TR-Abort.ind. A client that used the session has our answer, and only its last Ack
            // was lost. The table would end a session that works.
            (
                State::Connecting2 { used: true, .. } | State::Resuming2 { used: true, .. },
                Event::RcvAbort(reason),
            ) if matches!(EndReason::of(reason), EndReason::Lost(_)) => {
                self.state = State::Connected;
                Outcome::Lives
            }
            (State::Connecting2 { .. }, Event::RcvAbort(reason)) => {
                cx.stats.unconfirmed += 1;
                self.end(EndReason::of(reason), key, children, cx)
            }

            // --- CONNECTED ---
            (State::Connected, Event::RcvMethod { .. }) => Outcome::Lives,

            // --- SUSPENDED ---

            // S-Disconnect.req: there is no peer for a Disconnect.
            (State::Suspended, Event::DisconnectReq) => {
                cx.stats.ended += 1;
                let ending = EndReason::Aborted(AbortReason::USERREQ);
                self.end(ending, key, children, cx)
            }
            // TR-Invoke.ind method.
            (State::Suspended, Event::RcvMethod { transaction }) => {
                cx.abort(transaction, AbortReason::SUSPEND);
                Outcome::Refused
            }
            // TR-Invoke.ind Resume: without S-Suspend.ind, which the user has had.
            (State::Suspended, Event::RcvResume { transaction, from }) => {
                self.resuming(transaction, from, key, cx)
            }

            // --- RESUMING ---

            // S-Resume.res. Other sessions of the peer are over, and this one is
            // bound to it already.
            (State::Resuming(resuming), Event::ResumeRes) => {
                let transaction = resuming.transaction;
                self.state = State::Resuming2 {
                    transaction,
                    used: false,
                };
                cx.stats.resumed += 1;
                let reply = Pdu::Reply(pdu::Reply {
                    status: status::OK,
                    headers: ANY_TYPE,
                    data: &[],
                });
                cx.result(transaction, &reply);
                cx.changed(key);
                children
                    .methods
                    .release_all(self.methods, self.as_ref(key), cx);
                Outcome::Lives
            }
            // TR-Invoke.ind method: HOLDING.
            (State::Resuming(_), Event::RcvMethod { .. }) => Outcome::Lives,
            // TR-Abort.ind, DISCONNECT or any other reason.
            (State::Resuming(_) | State::Resuming2 { .. }, Event::RcvAbort(reason)) => {
                let ending = EndReason::of(reason);
                if ending == EndReason::Aborted(AbortReason::DISCONNECT) {
                    cx.stats.disconnected += 1;
                    self.end(ending, key, children, cx)
                } else {
                    self.suspend(ending, key, children, cx)
                }
            }

            // --- CONNECTING_2, CONNECTED, RESUMING, RESUMING_2: rows that they share ---
            // S-Disconnect.req. The Disconnect PDU goes in class 0: should it be lost, the client
            // finds out with its next method.
            (
                State::Connecting2 { .. }
                | State::Connected
                | State::Resuming(_)
                | State::Resuming2 { .. },
                Event::DisconnectReq,
            ) => {
                cx.stats.ended += 1;
                self.abort_transactions(AbortReason::DISCONNECT, children, cx);
                let session_id = self.id;
                let disconnect = encoded(&Pdu::Disconnect { session_id });
                let peer = self.peer;
                let _ = cx.wtp.invoke(cx.now, peer, Class::Zero, false, disconnect);
                let ending = EndReason::Aborted(AbortReason::USERREQ);
                self.end(ending, key, children, cx);
                Outcome::Over { notified: true }
            }
            // Pseudo-event Suspend, with the facility and without.
            (
                State::Connecting2 { .. }
                | State::Connected
                | State::Resuming(_)
                | State::Resuming2 { .. }
                | State::Suspended,
                Event::Suspend(ending),
            ) => {
                if self.may_resume() {
                    self.suspend(ending, key, children, cx)
                } else {
                    cx.stats.disconnected += 1;
                    self.end(ending, key, children, cx)
                }
            }
            // TR-Invoke.ind Resume, with the facility and without.
            (
                State::Connecting2 { .. }
                | State::Connected
                | State::Resuming(_)
                | State::Resuming2 { .. },
                Event::RcvResume { transaction, from },
            ) => {
                if !self.may_resume() {
                    cx.stats.unknown_session += 1;
                    cx.abort(transaction, AbortReason::DISCONNECT);
                    return Outcome::Refused;
                }
                self.abort_transactions(AbortReason::RESUME, children, cx);
                let ending = EndReason::Aborted(AbortReason::RESUME);
                cx.indicate(Indication::Suspended(key, ending));
                self.resuming(transaction, from, key, cx)
            }
            // TR-Invoke.ind Suspend, with the facility. Without it no table handles the PDU.
            (
                State::Connecting2 { .. }
                | State::Connected
                | State::Resuming(_)
                | State::Resuming2 { .. },
                Event::RcvSuspend,
            ) => {
                if !self.may_resume() {
                    return Outcome::Refused;
                }
                let ending = EndReason::Aborted(AbortReason::SUSPEND);
                self.suspend(ending, key, children, cx)
            }
            // TR-Invoke.ind Disconnect, and the pseudo-event Disconnect.
            (
                State::Connecting2 { .. }
                | State::Connected
                | State::Suspended
                | State::Resuming(_)
                | State::Resuming2 { .. },
                event @ (Event::RcvDisconnect | Event::Disconnect(_)),
            ) => {
                let ending = match event {
                    Event::Disconnect(ending) => ending,
                    _ => EndReason::Aborted(AbortReason::DISCONNECT),
                };
                cx.stats.disconnected += 1;
                self.end(ending, key, children, cx)
            }

            // --- every state ---
            (
                State::Connecting { .. }
                | State::Connecting2 { .. }
                | State::Connected
                | State::Suspended
                | State::Resuming(_)
                | State::Resuming2 { .. },
                event @ (Event::Replaced | Event::Expired | Event::Evicted),
            ) => {
                match event {
                    Event::Replaced => cx.stats.replaced += 1,
                    Event::Expired => cx.stats.expired += 1,
                    // The eviction is counted by the sender of the event.
                    _ => {}
                }
                let ending = EndReason::Aborted(AbortReason::DISCONNECT);
                self.end(ending, key, children, cx)
            }
            // As a Resume does; the user's part of the session goes along.
            (
                State::Connecting2 { .. }
                | State::Connected
                | State::Suspended
                | State::Resuming(_)
                | State::Resuming2 { .. },
                event @ (Event::HandOver | Event::Taken),
            ) => {
                if matches!(event, Event::HandOver) && !self.may_resume() {
                    return Outcome::Refused;
                }
                self.abort_transactions(AbortReason::RESUME, children, cx);
                self.state = State::Suspended;
                Outcome::OVER
            }

            // --- ignored ---
            (
                State::Connecting { .. },
                Event::ResumeRes
                | Event::RcvSuspend
                | Event::RcvDisconnect
                | Event::RcvAck
                | Event::HandOver
                | Event::Taken,
            )
            | (
                State::Connecting2 { .. },
                Event::ConnectRes | Event::Refuse(_) | Event::ResumeRes,
            )
            | (
                State::Connected,
                Event::ConnectRes
                | Event::Refuse(_)
                | Event::ResumeRes
                | Event::RcvAck
                | Event::RcvAbort(_),
            )
            | (
                State::Suspended,
                Event::ConnectRes
                | Event::Refuse(_)
                | Event::ResumeRes
                | Event::RcvSuspend
                | Event::RcvAck
                | Event::RcvAbort(_),
            )
            | (State::Resuming(_), Event::ConnectRes | Event::Refuse(_) | Event::RcvAck)
            | (State::Resuming2 { .. }, Event::ConnectRes | Event::Refuse(_) | Event::ResumeRes) => {
                Outcome::Refused
            }
        }
    }

    /// ConnectReply (WSP 8.2.2.2).
    fn send_connect_reply(&self, transaction: Handle, cx: &mut StepContext<'_>) {
        let profile = &self.profile;
        let mut capabilities = Vec::new();
        if let Ok(offer) = Offer::decode(&profile.offer) {
            capability::encode_reply(&offer, &profile.agreed, cx.limits, &mut capabilities);
        }
        let mut headers = Vec::new();
        match profile.encoding {
            Some(version) => Encoder::new(version).encoding_version(&mut headers),
            // The client counts as version 1.2. Our version is sent with the field's name in text
            // (WSP 8.4.1.1, 8.4.2.70).
            None => {
                let ours = EncodingVersion::OURS.to_string();
                Encoder::new(EncodingVersion::V1_2).field(
                    "Encoding-Version",
                    ours.as_bytes(),
                    &mut headers,
                );
            }
        }
        let reply = Pdu::ConnectReply(pdu::ConnectReply {
            session_id: self.id,
            capabilities: &capabilities,
            headers: &headers,
        });
        cx.result(transaction, &reply);
    }

    /// RESUMING, with S-Resume.ind. TR-Invoke.res is not needed: the answer follows at once, or
    /// hold-on acks do.
    fn resuming(
        &mut self,
        transaction: Handle,
        from: Peer,
        key: SessionKey,
        cx: &mut StepContext<'_>,
    ) -> Outcome {
        self.state = State::Resuming(Box::new(Resuming { transaction, from }));
        cx.owners.insert(transaction, Owner::Session(key));
        cx.indicate(Indication::Resume(key));
        Outcome::Lives
    }

    /// SUSPENDED, with S-Suspend.ind.
    fn suspend(
        &mut self,
        ending: EndReason,
        key: SessionKey,
        children: &mut Children,
        cx: &mut StepContext<'_>,
    ) -> Outcome {
        cx.stats.suspended += 1;
        self.abort_transactions(AbortReason::SUSPEND, children, cx);
        self.state = State::Suspended;
        cx.indicate(Indication::Suspended(key, ending));
        cx.changed(key);
        Outcome::Lives
    }

    /// NULL, with S-Disconnect.ind.
    fn end(
        &mut self,
        ending: EndReason,
        key: SessionKey,
        children: &mut Children,
        cx: &mut StepContext<'_>,
    ) -> Outcome {
        self.abort_transactions(AbortReason::DISCONNECT, children, cx);
        cx.indicate(Indication::Disconnected(key, ending));
        Outcome::OVER
    }

    /// TR-Abort.req for the Connect or Resume that is open, and the event Abort for all methods and
    /// pushes.
    fn abort_transactions(
        &mut self,
        reason: AbortReason,
        children: &mut Children,
        cx: &mut StepContext<'_>,
    ) {
        // The transaction of a session that is TERMINATING is not the session's any more.
        if let Some(transaction) = self.setup()
            && matches!(cx.owners.get(&transaction), Some(Owner::Session(_)))
        {
            cx.abort(transaction, reason);
        }
        let methods = std::mem::take(&mut self.methods);
        children.methods.abort_all(methods, reason, cx);
        let pushes = std::mem::take(&mut self.pushes);
        children.pushes.abort_all(pushes, reason, cx);
    }

    /// The Connect or Resume transaction that is still open.
    const fn setup(&self) -> Option<Handle> {
        match &self.state {
            State::Connecting { transaction, .. }
            | State::Connecting2 { transaction, .. }
            | State::Resuming2 { transaction, .. } => Some(*transaction),
            State::Resuming(resuming) => Some(resuming.transaction),
            State::Connected | State::Suspended => None,
        }
    }

    /// Whether a method may begin: the validations of NULL / TR-Invoke.ind in the method table, and
    /// ours. `octets` is the size of the SDU; `outstanding` is the number of methods without a
    /// result.
    pub(super) fn admits_method(
        &self,
        octets: usize,
        fragment: Fragment,
        outstanding: usize,
    ) -> Result<(), AbortReason> {
        let agreed = &self.profile.agreed;
        if self.profile.max_request().is_some_and(|max| octets > max) {
            Err(AbortReason::MRUEXCEEDED)
        } else if outstanding >= usize::from(agreed.method_mor) {
            // N_Methods == MOM
            Err(AbortReason::MOREXCEEDED)
        } else if fragment.more && !agreed.options.has(ProtocolOptions::LARGE_DATA) {
            Err(AbortReason::PROTOERR)
        } else {
            Ok(())
        }
    }

    pub(super) const fn id(&self) -> u32 {
        self.id
    }

    pub(super) const fn peer(&self) -> Peer {
        self.peer
    }

    /// Binds the session to a peer. The proof of an earlier peer's address is void.
    pub(super) fn bind(&mut self, peer: Peer) {
        self.proved &= self.peer == peer;
        self.peer = peer;
    }

    /// The session, as its methods and pushes see it.
    pub(super) const fn as_ref(&self, key: SessionKey) -> SessionRef<'_> {
        SessionRef {
            key,
            peer: self.peer,
            profile: &self.profile,
        }
    }

    pub(super) const fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }

    /// Replaces the profile, and returns the one before.
    pub(super) const fn replace_profile(&mut self, profile: Arc<Profile>) -> Arc<Profile> {
        std::mem::replace(&mut self.profile, profile)
    }

    pub(super) const fn methods(&self) -> MethodList {
        self.methods
    }

    /// The session as its methods and pushes see it, and the lists of both.
    pub(super) const fn parts(
        &mut self,
        key: SessionKey,
    ) -> (SessionRef<'_>, &mut MethodList, &mut PushList) {
        let session = SessionRef {
            key,
            peer: self.peer,
            profile: &self.profile,
        };
        (session, &mut self.methods, &mut self.pushes)
    }

    /// Confirmed pushes outstanding.
    pub(super) fn pushing(&self) -> usize {
        self.pushes.len()
    }

    /// Whether methods or pushes are outstanding.
    pub(super) fn is_busy(&self) -> bool {
        !self.methods.is_empty() || self.pushing() > 0
    }

    /// Whether the peer acknowledged octets that only this peer was sent.
    pub(super) const fn has_proved(&self) -> bool {
        self.proved
    }

    /// The peer acknowledged a reply to a method.
    pub(super) const fn confirm_use(&mut self) {
        self.proved = true;
        self.used = true;
    }

    /// Whether the peer ever acknowledged a reply to a method.
    pub(super) const fn is_used(&self) -> bool {
        self.used
    }

    /// The subscriber that has the session, if that is known.
    pub(super) const fn subscriber(&self) -> Option<Subscriber> {
        self.subscriber
    }

    pub(super) const fn set_subscriber(&mut self, subscriber: Option<Subscriber>) {
        self.subscriber = subscriber;
    }

    /// The name of the state in the specification's table.
    pub(super) const fn state_name(&self) -> &'static str {
        match self.state {
            State::Connecting { .. } => "CONNECTING",
            State::Connecting2 { .. } => "CONNECTING_2",
            State::Connected => "CONNECTED",
            State::Suspended => "SUSPENDED",
            State::Resuming(_) => "RESUMING",
            State::Resuming2 { .. } => "RESUMING_2",
        }
    }

    pub(super) const fn is_suspended(&self) -> bool {
        matches!(self.state, State::Suspended)
    }

    /// Whether S-Connect.res is outstanding: the client does not know the session yet.
    pub(super) const fn is_connecting(&self) -> bool {
        matches!(self.state, State::Connecting { .. })
    }

    /// The peer whose Connect or Resume waits for the user's response.
    pub(super) fn response_to(&self) -> Option<Peer> {
        match &self.state {
            State::Connecting { .. } => Some(self.peer),
            State::Resuming(resuming) => Some(resuming.from),
            State::Connecting2 { .. }
            | State::Connected
            | State::Suspended
            | State::Resuming2 { .. } => None,
        }
    }

    /// Whether a Disconnect or Suspend PDU from this peer is about this session.
    pub(super) fn obeys(&self, peer: Peer) -> bool {
        match &self.state {
            State::Connecting { .. } => false,
            State::Resuming(resuming) => resuming.from == peer,
            State::Connecting2 { .. }
            | State::Connected
            | State::Suspended
            | State::Resuming2 { .. } => self.peer == peer,
        }
    }

    /// Whether methods that come are shown to the user. If not they are HOLDING.
    pub(super) const fn releases(&self) -> bool {
        !matches!(self.state, State::Connecting { .. } | State::Resuming(_))
    }

    /// Whether the user may push (WSP 7.1.6.6).
    pub(super) const fn takes_pushes(&self) -> bool {
        match self.state {
            State::Connecting2 { .. } | State::Connected | State::Resuming2 { .. } => true,
            State::Connecting { .. } | State::Suspended | State::Resuming(_) => false,
        }
    }

    /// Whether a Resume finds this session: the facility was agreed on, and the client knows the
    /// session.
    pub(super) fn can_resume(&self) -> bool {
        self.may_resume() && !self.is_connecting()
    }

    fn may_resume(&self) -> bool {
        self.has_option(ProtocolOptions::SESSION_RESUME)
    }

    /// Whether a facility was agreed on.
    pub(super) fn has_option(&self, option: ProtocolOptions) -> bool {
        self.profile.agreed.options.has(option)
    }
}

/// `*/*`: a Reply without a body still has a content type (WSP 8.2.3.3).
pub(super) const ANY_TYPE: &[u8] = &[0x80];
