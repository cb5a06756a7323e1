//! The primitives of the session layer's user (WSP 6.3).

use bytes::Bytes;

use super::Sessions;
use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::AbortReason;
use crate::wsp::indication::Indication;
use crate::wsp::key::{MethodId, SessionKey};
use crate::wsp::method;
use crate::wsp::pdu::{self, Pdu};
use crate::wsp::push::{PushId, PushOutcome};
use crate::wsp::session::{ANY_TYPE, Event, Outcome, Session};
use crate::wsp::status;
use crate::wtp::Endpoint;

impl Sessions {
    /// S-Connect.res: the session is wanted. Any other session of the same peer ends.
    pub fn accept(&mut self, now: Instant, key: SessionKey, wtp: &mut Endpoint) {
        let session = self
            .table
            .get(key)
            .filter(|session| session.is_connecting());
        if let Some(peer) = session.map(Session::peer) {
            self.respond(now, key, peer, Event::ConnectRes, wtp);
        }
    }

    /// S-Resume.res: the session goes on, with the peer the Resume came from. Any other session of
    /// that peer ends.
    pub fn resume(&mut self, now: Instant, key: SessionKey, wtp: &mut Endpoint) {
        let session = self
            .table
            .get(key)
            .filter(|session| !session.is_connecting());
        if let Some(peer) = session.and_then(Session::response_to) {
            self.respond(now, key, peer, Event::ResumeRes, wtp);
        }
    }

    /// S-Connect.res and S-Resume.res: the peer has this session and no other.
    fn respond(
        &mut self,
        now: Instant,
        key: SessionKey,
        peer: Peer,
        event: Event<'_>,
        wtp: &mut Endpoint,
    ) {
        let other = self.table.of_peer(peer).filter(|other| *other != key);
        if let Some(other) = other {
            self.step(now, other, Event::Replaced, wtp);
        }
        self.table.bind(key, peer);
        self.step(now, key, event, wtp);
        self.release_pending(now, peer, wtp);
    }

    /// S-Disconnect.req while connecting: the session is refused with a status for the client.
    pub fn refuse(&mut self, now: Instant, key: SessionKey, http_status: u16, wtp: &mut Endpoint) {
        let reply = Pdu::Reply(pdu::Reply {
            status: status::from_http(http_status),
            headers: ANY_TYPE,
            data: &[],
        });
        if self.terminate(now, key, reply, wtp) {
            self.shared.stats.refused += 1;
        }
    }

    /// S-Disconnect.req while connecting, Moved Permanently or Temporarily: the client is to
    /// connect to other `addresses`, records of [`pdu::BearerAddress`]; `flags` are those of
    /// [`pdu::Redirect`].
    pub fn redirect(
        &mut self,
        now: Instant,
        key: SessionKey,
        flags: u8,
        addresses: &[u8],
        wtp: &mut Endpoint,
    ) {
        let redirect = Pdu::Redirect(pdu::Redirect { flags, addresses });
        if self.terminate(now, key, redirect, wtp) {
            self.shared.stats.redirected += 1;
        }
    }

    fn terminate(
        &mut self,
        now: Instant,
        key: SessionKey,
        answer: Pdu<'_>,
        wtp: &mut Endpoint,
    ) -> bool {
        let Some(peer) = self.table.get(key).map(Session::peer) else {
            return false;
        };
        let outcome = self.step(now, key, Event::Refuse(answer), wtp);
        let is_over = outcome != Outcome::Refused;
        if is_over {
            self.abort_pending(now, peer, wtp);
        }
        is_over
    }

    /// S-Disconnect.req: the session is no longer wanted. A client that connects is refused.
    /// Returns the peer to which a Disconnect PDU is sent, if one is.
    pub fn disconnect(
        &mut self,
        now: Instant,
        key: SessionKey,
        wtp: &mut Endpoint,
    ) -> Option<Peer> {
        let session = self.table.get(key)?;
        let peer = session.peer();
        if session.is_connecting() {
            self.refuse(now, key, 503, wtp);
            return None;
        }
        let outcome = self.step(now, key, Event::DisconnectReq, wtp);
        (outcome == Outcome::Over { notified: true }).then_some(peer)
    }

    /// S-Disconnect.req for up to `at_most` sessions, in the order of their slots; called again it
    /// goes on with those behind. `notified` is called with each peer to which a Disconnect PDU is
    /// sent.
    pub fn disconnect_some(
        &mut self,
        now: Instant,
        at_most: usize,
        wtp: &mut Endpoint,
        mut notified: impl FnMut(Peer),
    ) {
        let mut left = at_most;
        while left > 0 && self.disconnect_cursor < self.table.end() {
            let key = self.table.at(self.disconnect_cursor).map(|(key, ..)| key);
            if let Some(key) = key {
                if let Some(peer) = self.disconnect(now, key, wtp) {
                    notified(peer);
                }
                left -= 1;
            }
            self.disconnect_cursor += 1;
        }
        if left > 0 {
            self.disconnect_cursor = 0;
        }
    }

    /// S-MethodResult.req: the reply to a method. `trailers`, an encoded block, follow the body
    /// where the session and its transaction can carry them, and are dropped elsewhere.
    pub fn reply(
        &mut self,
        now: Instant,
        id: MethodId,
        sdu: Bytes,
        trailers: &[u8],
        wtp: &mut Endpoint,
    ) {
        let methods = &mut self.children.methods;
        let key = methods.session_of(id);
        let Some((key, session)) = key.and_then(|key| Some((key, self.table.get(key)?))) else {
            return;
        };
        let event = method::Event::ResultReq {
            sdu,
            trailers,
            session: session.as_ref(key),
        };
        let mut cx = self.shared.context(now, wtp);
        let outcome = methods.step(id, event, &mut cx);
        self.method_stepped(now, key, id, outcome, wtp);
    }

    /// S-MethodAbort.req: no reply will come. The user gets no further indication of the method.
    pub fn abort(&mut self, now: Instant, id: MethodId, reason: AbortReason, wtp: &mut Endpoint) {
        if let Some(key) = self.children.methods.session_of(id) {
            self.step_method(now, key, id, method::Event::AbortReq(reason), wtp);
        }
    }

    /// S-Push.req or S-ConfirmedPush.req: one [`Indication::Pushed`] follows, at once or later.
    /// `headers` are an encoded block that begins with the content type.
    pub fn push(
        &mut self,
        now: Instant,
        key: SessionKey,
        id: PushId,
        push: (bool, &[u8], &[u8]),
        wtp: &mut Endpoint,
    ) {
        let session = self
            .table
            .get_mut(key)
            .filter(|session| session.takes_pushes());
        let outcome = match session {
            None => Err(PushOutcome::NoSession),
            Some(session) => {
                let (session, _, list) = session.parts(key);
                let mut cx = self.shared.context(now, wtp);
                self.children.pushes.begin(id, session, list, push, &mut cx)
            }
        };
        if let Err(outcome) = outcome {
            let pushed = Indication::Pushed(id, outcome);
            self.shared.indications.push_back(pushed);
        }
    }
}
