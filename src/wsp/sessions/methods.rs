//! Requests of clients: to the methods of their session, or held until it is there.

use std::time::Duration;

use bytes::Bytes;

use super::Sessions;
use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::AbortReason;
use crate::wsp::context::Owner;
use crate::wsp::key::MethodId;
use crate::wsp::method;
use crate::wsp::pending::PendingMethod;
use crate::wsp::request::PartialRequest;
use crate::wsp::session::{Event, Outcome};
use crate::wtp::{Endpoint, Fragment, Handle};

impl Sessions {
    /// TR-Invoke.ind with a method PDU.
    pub(super) fn method(
        &mut self,
        now: Instant,
        transaction: Handle,
        peer: Peer,
        request: PartialRequest,
        wtp: &mut Endpoint,
    ) {
        let Some(key) = self.session_of(peer) else {
            return self.hold(now, transaction, peer, request, wtp);
        };
        if self.step(now, key, Event::RcvMethod { transaction }, wtp) != Outcome::Lives {
            return;
        }
        self.touch(now, key);
        let Some(session) = self.table.get_mut(key) else {
            return;
        };
        let methods = &mut self.children.methods;
        let outstanding = methods.outstanding(session.methods());
        let (octets, fragment) = (request.sdu_len(), request.fragment());
        let mut cx = self.shared.context(now, wtp);
        if let Err(reason) = session.admits_method(octets, fragment, outstanding) {
            match reason {
                AbortReason::MRUEXCEEDED => cx.stats.too_large += 1,
                AbortReason::MOREXCEEDED => cx.stats.too_many_methods += 1,
                _ => cx.stats.malformed += 1,
            }
            return cx.abort(transaction, reason);
        }
        let releases = session.releases();
        let (session, list, _) = session.parts(key);
        let room = methods.room(peer, self.config.max_gathered, self.config.max_whole());
        let lists = (list, releases);
        methods.begin(session, lists, transaction, request, room, &mut cx);
    }

    /// TR-Invoke.ind of a method whose peer has no session: the method is held, or aborted as the
    /// validation table says. A request in several SDUs is not held, because its client knew of a
    /// session.
    fn hold(
        &mut self,
        now: Instant,
        transaction: Handle,
        peer: Peer,
        request: PartialRequest,
        wtp: &mut Endpoint,
    ) {
        let is_claimed = request.is_whole() && self.claimed_by_peer(now, peer, None, wtp);
        let wait = match (self.config.early_wait, is_claimed) {
            (Duration::ZERO, true) => self.config.claim_wait,
            (wait, _) => wait,
        };
        let may_wait = request.is_whole() && !wait.is_zero();
        let method = PendingMethod {
            until: now + wait,
            transaction,
            peer,
            request,
        };
        let is_held = may_wait && self.pending.hold(method, &self.config);
        if may_wait && !is_held {
            self.shared.stats.early_refused += 1;
        }
        if !is_held {
            self.shared.stats.unknown_session += 1;
            return wtp.abort(now, transaction, AbortReason::DISCONNECT.0);
        }
        self.shared.stats.early += 1;
        let owner = Owner::PendingMethod;
        self.shared.owners.insert(transaction, owner);
    }

    /// The peer has a session: methods that came before it are its.
    pub(super) fn release_pending(&mut self, now: Instant, peer: Peer, wtp: &mut Endpoint) {
        while let Some(held) = self.pending.take(peer) {
            self.shared.owners.remove(&held.transaction);
            self.method(now, held.transaction, peer, held.request, wtp);
        }
    }

    /// The peer was refused a session.
    pub(super) fn abort_pending(&mut self, now: Instant, peer: Peer, wtp: &mut Endpoint) {
        while let Some(held) = self.pending.take(peer) {
            let mut cx = self.shared.context(now, wtp);
            cx.abort(held.transaction, AbortReason::DISCONNECT);
        }
    }

    /// TR-InvokeData.ind.
    pub(super) fn method_data(
        &mut self,
        now: Instant,
        id: MethodId,
        data: &Bytes,
        fragment: Fragment,
        wtp: &mut Endpoint,
    ) {
        let methods = &mut self.children.methods;
        let key = methods.session_of(id);
        let Some((key, session)) = key.and_then(|key| Some((key, self.table.get(key)?))) else {
            return;
        };
        let event = method::Event::RcvMore {
            data,
            fragment,
            session: session.as_ref(key),
            max: session.profile().max_gathered(self.config.max_server_sdu),
            room: methods.room(
                session.peer(),
                self.config.max_gathered,
                self.config.max_whole(),
            ),
        };
        let mut cx = self.shared.context(now, wtp);
        let outcome = methods.step(id, event, &mut cx);
        self.method_stepped(now, key, id, outcome, wtp);
    }
}
