//! The sessions of one shard: finds them by peer or by id, and routes events to them (WSP 7.1).
//!
//! The effect of an event on a session, a method or a push is a row of a state table in
//! `session.rs`, `method.rs` or `push.rs`. Each call borrows the layer below. The user's primitives
//! are in `primitives.rs`, Connects and Resumes in `setup.rs`, requests in `methods.rs`, sessions
//! of other shards in `claims.rs`, and queries in `view.rs`.

mod claims;
mod methods;
mod primitives;
mod setup;
mod step;
mod view;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;

use crate::limit::Backoff;
use crate::random::{Keyed, Random};
use crate::time::Instant;
use crate::wdp::{Peer, source_prefix};
use crate::wsp::AbortReason;
use crate::wsp::capability::ServerLimits;
use crate::wsp::claim::{Claims, MAX_SOURCES, PendingPdu};
use crate::wsp::config::Config;
use crate::wsp::context::{Owner, Owners, StepContext};
use crate::wsp::id_key::Subscriber;
use crate::wsp::key::SessionKey;
use crate::wsp::method::{self, Methods};
use crate::wsp::pdu::Pdu;
use crate::wsp::pending::PendingMethods;
use crate::wsp::profile::Profiles;
use crate::wsp::push::{self, Pushes};
use crate::wsp::request::PartialRequest;
use crate::wsp::resume_failures::ResumeFailures;
use crate::wsp::session::{Children, Event};
use crate::wsp::session_table::SessionTable;
use crate::wtp::{self, Class, Endpoint, Fragment, Handle, Report};

pub use crate::wsp::indication::{EndReason, Indication};
pub use crate::wsp::stats::Stats;
pub use view::SessionInfo;

/// The sessions of one shard.
#[derive(Debug)]
pub struct Sessions {
    config: Config,
    table: SessionTable,
    profiles: Profiles,
    children: Children,
    /// Sessions that wait for the user's response to a Connect or Resume, by the peer that sent it:
    /// methods that follow belong to them.
    setting_up: HashMap<Peer, SessionKey, Keyed>,
    pending: PendingMethods,
    claims: Claims,
    /// Resumes that named no session their sender may have, by source prefix.
    resume_failures: ResumeFailures,
    /// The same of Suspends and Disconnects.
    stray_failures: Backoff<u128>,
    shared: Shared,
    random: Random,
    /// The slot at which [`Sessions::disconnect_some`] goes on.
    disconnect_cursor: u32,
}

/// The part of the layer that all state machines use.
#[derive(Debug)]
struct Shared {
    limits: ServerLimits,
    stored: bool,
    owners: Owners,
    indications: VecDeque<Indication>,
    stats: Stats,
}

impl Shared {
    const fn context<'a>(&'a mut self, now: Instant, wtp: &'a mut Endpoint) -> StepContext<'a> {
        StepContext {
            now,
            limits: &self.limits,
            stored: self.stored,
            owners: &mut self.owners,
            indications: &mut self.indications,
            stats: &mut self.stats,
            wtp,
        }
    }
}

impl Sessions {
    /// No sessions yet. `seed` decides the session ids and the hashing.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            shared: Shared {
                limits: config.server_limits(),
                stored: false,
                owners: HashMap::with_hasher(random.hasher()),
                indications: VecDeque::new(),
                stats: Stats::default(),
            },
            config,
            table: SessionTable::new(&mut random),
            profiles: Profiles::new(random.hasher()),
            children: Children {
                methods: Methods::new(random.hasher()),
                pushes: Pushes::new(random.hasher()),
            },
            setting_up: HashMap::with_hasher(random.hasher()),
            pending: PendingMethods::default(),
            claims: Claims::new(&mut random),
            resume_failures: ResumeFailures::new(&mut random),
            stray_failures: Backoff::new(random.hasher()),
            random,
            disconnect_cursor: 0,
        }
    }

    /// Replaces the settings. Negotiated values of sessions stay.
    pub fn set_config(&mut self, config: Config) {
        self.shared.limits = config.server_limits();
        self.config = config;
    }

    /// An indication of the transaction layer.
    pub fn handle_indication(
        &mut self,
        now: Instant,
        indication: wtp::Indication,
        identify: Identify<'_>,
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
            } => self.invoked(now, (handle, class), peer, (&data, fragment), identify, wtp),
            wtp::Indication::InvokeData {
                handle,
                data,
                fragment,
            } => match self.shared.owners.get(&handle) {
                Some(Owner::Method(id)) => self.method_data(now, *id, &data, fragment, wtp),
                _ => wtp.abort(now, handle, AbortReason::PROTOERR.0),
            },
            wtp::Indication::InvokeConfirmed {
                handle, exit_info, ..
            } => {
                if self.shared.owners.remove(&handle).is_some() {
                    self.push_confirmed(now, handle, exit_info, wtp);
                }
            }
            wtp::Indication::ResultConfirmed {
                handle,
                exit_info,
                report,
            } => self.result_confirmed(now, handle, exit_info, report, wtp),
            wtp::Indication::Abort {
                handle,
                reason,
                report,
            } => self.aborted(now, handle, reason, report, wtp),
            // Indications of our own class 2 transactions: a server begins none.
            wtp::Indication::Result { .. } | wtp::Indication::ResultData { .. } => {}
        }
    }

    /// TR-Invoke.ind. The PDU is decoded here and nowhere else, unless its session has to be asked
    /// for first.
    fn invoked(
        &mut self,
        now: Instant,
        (transaction, class): (Handle, Class),
        peer: Peer,
        (sdu, fragment): (&Bytes, Fragment),
        identify: Identify<'_>,
        wtp: &mut Endpoint,
    ) {
        let Ok(pdu) = Pdu::decode(sdu) else {
            return self.protocol_error(now, transaction, class, wtp);
        };
        match (class, &pdu) {
            (Class::Two, Pdu::Get(_) | Pdu::Post(_)) => {
                if let Some(request) = PartialRequest::of(&pdu, sdu, fragment) {
                    self.check_subscriber(peer, identify);
                    self.method(now, transaction, peer, request, wtp);
                }
            }
            // Only a method may come in several SDUs.
            (Class::Two, _) if fragment.more => {
                self.protocol_error(now, transaction, class, wtp);
            }
            (Class::Two, Pdu::Connect(connect)) => {
                self.connect(now, transaction, peer, connect, identify, wtp);
            }
            // Before any look-up: ids can be guessed.
            (Class::Two, Pdu::Resume(resume))
                if !self.may_look_up(now, peer, resume.session_id, identify) =>
            {
                self.shared.stats.resumes_paused += 1;
                wtp.abort(now, transaction, AbortReason::DISCONNECT.0);
            }
            (Class::Two, Pdu::Resume(resume)) => {
                let waiting = PendingPdu::new(transaction, class, sdu);
                if !self.claimed_by_id(now, peer, resume, waiting, wtp) {
                    self.resume_received(now, transaction, peer, resume, identify, wtp);
                }
            }
            (Class::Zero, Pdu::Disconnect { .. } | Pdu::Suspend { .. })
                if self.stray_failures.is_paused(now, &source(peer)) =>
            {
                self.shared.stats.strays_paused += 1;
            }
            (Class::Zero, Pdu::Disconnect { session_id } | Pdu::Suspend { session_id }) => {
                let waiting = PendingPdu::new(transaction, class, sdu);
                if !self.claimed_by_peer(now, peer, Some(waiting), wtp) {
                    let event = match &pdu {
                        Pdu::Suspend { .. } => Event::RcvSuspend,
                        _ => Event::RcvDisconnect,
                    };
                    self.end_or_suspend(now, peer, *session_id, event, wtp);
                }
            }
            (Class::One | Class::Two, _) if self.session_of(peer).is_none() => {
                self.shared.stats.unknown_session += 1;
                wtp.abort(now, transaction, AbortReason::DISCONNECT.0);
            }
            _ => self.protocol_error(now, transaction, class, wtp),
        }
    }

    /// A PDU that no client may send: ignored in class 0, else aborted (WSP 7.1.5).
    fn protocol_error(
        &mut self,
        now: Instant,
        transaction: Handle,
        class: Class,
        wtp: &mut Endpoint,
    ) {
        self.shared.stats.malformed += 1;
        if class != Class::Zero {
            wtp.abort(now, transaction, AbortReason::PROTOERR.0);
        }
    }

    /// A Suspend or Disconnect PDU, which counts only if its sender is the session's peer.
    fn end_or_suspend(
        &mut self,
        now: Instant,
        peer: Peer,
        id: u32,
        event: Event<'_>,
        wtp: &mut Endpoint,
    ) {
        if let Some(key) = self.table.of_id(id)
            && self.table.get(key).is_some_and(|it| it.obeys(peer))
        {
            self.step(now, key, event, wtp);
        } else {
            self.stray_failures.fail(now, source(peer), MAX_SOURCES);
        }
    }

    /// TR-Result.cnf.
    fn result_confirmed(
        &mut self,
        now: Instant,
        transaction: Handle,
        exit_info: Bytes,
        report: Report,
        wtp: &mut Endpoint,
    ) {
        match self.shared.owners.remove(&transaction) {
            Some(Owner::Session(key)) => {
                self.step(now, key, Event::RcvAck, wtp);
            }
            Some(Owner::Method(id)) => {
                let key = self.children.methods.session_of(id);
                let Some((key, session)) = key.and_then(|key| Some((key, self.table.get(key)?)))
                else {
                    return;
                };
                let headers = session.profile().acknowledgement(exit_info);
                let event = method::Event::RcvAck { headers, report };
                self.table.confirm_use(key, now);
                self.step_method(now, key, id, event, wtp);
            }
            Some(Owner::Push | Owner::PendingMethod | Owner::Claim | Owner::Terminating) | None => {
            }
        }
    }

    /// TR-Invoke.cnf of a confirmed push.
    fn push_confirmed(
        &mut self,
        now: Instant,
        transaction: Handle,
        exit_info: Bytes,
        wtp: &mut Endpoint,
    ) {
        let key = self.children.pushes.session_of(transaction);
        let session = key.and_then(|key| self.table.get(key));
        let headers = session.map(|session| session.profile().acknowledgement(exit_info));
        let event = push::Event::RcvAck(headers.unwrap_or_default());
        self.step_push(now, transaction, event, wtp);
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
        match self.shared.owners.remove(&transaction) {
            Some(Owner::Session(key)) => {
                self.step(now, key, Event::RcvAbort(reason), wtp);
            }
            Some(Owner::Method(id)) => {
                if let Some(key) = self.children.methods.session_of(id) {
                    let event = method::Event::RcvAbort { reason, report };
                    self.step_method(now, key, id, event, wtp);
                }
            }
            Some(Owner::Push) => {
                self.step_push(now, transaction, push::Event::RcvAbort(reason), wtp);
            }
            Some(Owner::PendingMethod) => self.pending.forget(transaction),
            Some(Owner::Claim) => self.claims.given_up(transaction),
            Some(Owner::Terminating) | None => {}
        }
    }

    /// Ends expired sessions, claims without an answer, and methods whose session did not come.
    pub fn handle_timeout(&mut self, now: Instant, identify: Identify<'_>, wtp: &mut Endpoint) {
        while let Some(held) = self.pending.pop_due(now) {
            self.shared.stats.unknown_session += 1;
            let mut cx = self.shared.context(now, wtp);
            cx.abort(held.transaction, AbortReason::DISCONNECT);
        }
        self.expire_claims(now, identify, wtp);
        while let Some((key, session, queued)) = self.table.first() {
            if queued + self.longest_idle() > now {
                break;
            }
            if session.is_busy() {
                self.table.queue_anew(key, now);
            } else {
                self.step(now, key, Event::Expired, wtp);
            }
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

    /// A PDU of the session came.
    fn touch(&mut self, now: Instant, key: SessionKey) {
        let before = self.table.touch(key, now, self.patience());
        // The store learns now and then that the session is alive.
        let quarter = (self.config.idle_timeout / 4).as_micros().max(1);
        let quarters = |at: Instant| u128::from(at.as_micros()) / quarter;
        if before.is_some_and(|before| quarters(before) != quarters(now)) {
            self.changed(key);
        }
    }

    /// The next thing to tell the user.
    pub fn poll_indication(&mut self) -> Option<Indication> {
        self.shared.indications.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let idle = self.table.first();
        let idle = idle.map(|(_, _, queued)| queued + self.longest_idle());
        [
            idle,
            self.pending.next_deadline(),
            self.claims.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The session methods from this peer belong to.
    fn session_of(&self, peer: Peer) -> Option<SessionKey> {
        if !self.setting_up.is_empty()
            && let Some(key) = self.setting_up.get(&peer)
        {
            return Some(*key);
        }
        self.table.of_peer(peer)
    }

    /// Marks a session whose record in the store is out of date.
    fn changed(&mut self, key: SessionKey) {
        if self.shared.stored {
            let changed = Indication::Changed(key);
            self.shared.indications.push_back(changed);
        }
    }

    /// Takes a session out of the tables.
    fn remove(&mut self, key: SessionKey) {
        if let Some(session) = self.table.remove(key) {
            self.profiles.release(session.profile());
        }
    }
}

/// The source prefix of a peer.
fn source(peer: Peer) -> u128 {
    source_prefix(peer.remote.ip())
}

/// Looks up the subscriber at an address, as far as that is known.
pub type Identify<'a> = &'a dyn Fn(IpAddr) -> Option<Subscriber>;
