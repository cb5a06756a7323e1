//! Method invocations as the server keeps them (WSP 7.1.6.5).

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::AbortReason;
use crate::wsp::capability::ProtocolOptions;
use crate::wsp::header::{CodePage, EncodingVersion};
use crate::wsp::pdu::{self, Pdu};
use crate::wsp::profile::Profile;
use crate::wsp::session::{self, Session, SessionKey};
use crate::wsp::sessions::{Ending, Indication, Owner, Sessions};
use crate::wtp::{self, Endpoint, Fragment, Handle, Report};

/// Names one method invocation; a stale one finds nobody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MethodId {
    pub(super) slot: u32,
    pub(super) serial: u64,
}

impl fmt::Debug for MethodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "method {}", self.serial)
    }
}

/// A method invocation.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) serial: u64,
    pub(super) session: SessionKey,
    pub(super) transaction: Handle,
    pub(super) state: State,
    /// The place of the next method of its session, or [`NO_METHOD`].
    pub(super) next: u32,
}

/// No place of a method.
pub(super) const NO_METHOD: u32 = u32::MAX;

/// Where an invocation stands. NULL is not being in the table.
///
/// The user is shown whole requests only, and takes every one it is shown: REQUESTING is the wait for the rest
/// of a request in several SDUs, and a whole one passes through it within one call.
#[derive(Debug)]
pub(super) enum State {
    /// Its session is not set up yet.
    Holding(Box<Gathered>),
    /// More SDUs of it are to come.
    Requesting(Box<Gathered>),
    /// With the user, who owes a result.
    Processing,
    /// Result given to the transaction, its last Ack outstanding.
    Replying,
}

impl State {
    /// The name in the specification's table.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Holding(_) => "HOLDING",
            Self::Requesting(_) => "REQUESTING",
            Self::Processing => "PROCESSING",
            Self::Replying => "REPLYING",
        }
    }

    fn gathered(&mut self) -> Option<&mut Gathered> {
        match self {
            Self::Holding(gathered) | Self::Requesting(gathered) => Some(gathered),
            Self::Processing | Self::Replying => None,
        }
    }
}

/// S-MethodInvoke.ind: what a handset asks for.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The conversation it came over.
    pub peer: Peer,
    /// The session it belongs to; `None` in connectionless mode.
    pub session: Option<SessionKey>,
    /// GET, POST and so on.
    pub method: pdu::Method,
    /// The URI, as sent.
    pub uri: Bytes,
    /// What the client said of itself when it connected; `None` in connectionless mode.
    pub client: Option<Arc<Profile>>,
    /// The method's own headers: an encoded block. For methods with a body it begins with the content type.
    pub headers: Bytes,
    /// Headers that followed the body (Data Fragment PDU): an encoded block, mostly empty.
    pub trailers: Bytes,
    /// The request body; `None` for methods that carry none (Get PDUs).
    pub body: Option<Bytes>,
    /// The newest header encoding the client understands.
    pub encoding: EncodingVersion,
    /// The extension pages the session agreed on.
    pub pages: Box<[CodePage]>,
    /// The HTTP name of an extended method the session agreed on.
    pub extended: Option<Box<str>>,
    /// Octets a reply SDU may have; `None` when there is no limit.
    pub max_reply: Option<usize>,
}

/// What a method PDU says, cut out of its SDU, and what of it has come.
#[derive(Debug)]
pub(super) struct Gathered {
    method: pdu::Method,
    uri: Bytes,
    headers: Bytes,
    trailers: Bytes,
    /// The body, or its first data unit.
    body: Option<Bytes>,
    /// The data units after the first.
    more: Vec<u8>,
    whole: bool,
}

impl Gathered {
    /// The request of a Get or Post PDU.
    pub(super) fn of(pdu: &Pdu<'_>, sdu: &Bytes, fragment: Fragment) -> Option<Self> {
        let (method, uri, headers, body) = match pdu {
            Pdu::Get(get) => (get.method, get.uri, get.headers, None),
            Pdu::Post(post) => (post.method, post.uri, post.headers, Some(post.data)),
            _ => return None,
        };
        Some(Self {
            method,
            uri: sdu.slice_ref(uri),
            headers: sdu.slice_ref(headers),
            trailers: Bytes::new(),
            body: body.map(|body| sdu.slice_ref(body)),
            more: Vec::new(),
            whole: !fragment.more,
        })
    }

    fn len(&self) -> usize {
        self.body.as_ref().map_or(0, Bytes::len) + self.more.len()
    }

    /// A further data unit: raw octets of the body, or the last of them in a Data Fragment PDU.
    fn add(&mut self, data: &Bytes, fragment: Fragment) -> Result<(), AbortReason> {
        self.whole = !fragment.more;
        if fragment.frame_boundary && self.whole {
            let Ok(Pdu::DataFragment(last)) = Pdu::decode(data) else {
                return Err(AbortReason::PROTOERR);
            };
            self.trailers = data.slice_ref(last.headers);
            self.more.extend_from_slice(last.data);
        } else {
            self.more.extend_from_slice(data);
        }
        Ok(())
    }

    /// The whole request with what its session adds.
    fn of_session(self, session: &Session, key: SessionKey, in_several: bool) -> Invocation {
        let agreed = &session.profile.agreed;
        let body = match (self.body, self.more.is_empty()) {
            (body, true) => body,
            (None, false) => Some(self.more.into()),
            (Some(first), false) => {
                let mut body = Vec::with_capacity(first.len() + self.more.len());
                body.extend_from_slice(&first);
                body.extend_from_slice(&self.more);
                Some(body.into())
            }
        };
        Invocation {
            peer: session.peer,
            session: Some(key),
            method: self.method,
            uri: self.uri,
            client: Some(Arc::clone(&session.profile)),
            headers: self.headers,
            trailers: self.trailers,
            body,
            encoding: session.profile.encoding.unwrap_or_default(),
            pages: agreed.code_pages().into(),
            extended: agreed.extended_method(self.method.0).map(Into::into),
            max_reply: session.max_reply(in_several),
        }
    }
}

impl Sessions {
    /// S-MethodResult.req: the reply to a method. `trailers`, an encoded block, follow the body where the
    /// session and its transaction can carry them, and are dropped elsewhere.
    pub fn reply(
        &mut self,
        now: Instant,
        id: MethodId,
        sdu: Bytes,
        trailers: &[u8],
        wtp: &mut Endpoint,
    ) {
        let Some(method) = self.method_mut(id) else {
            return;
        };
        // PROCESSING / S-MethodResult.req. PROCESSING2 passes within this call: the result is here whole.
        method.state = State::Replying;
        let (key, transaction) = (method.session, method.transaction);
        let several = wtp.has_extended_sar(transaction)
            && self.session(key).is_some_and(Session::takes_several);
        let unit = self.session(key).and_then(Session::max_unit);
        let unit = unit.filter(|_| several).unwrap_or(usize::MAX).max(1);
        let trailers = if several { trailers } else { &[] };
        if sdu.len() <= unit && trailers.is_empty() {
            return wtp.result(now, transaction, sdu);
        }
        let mut rest = sdu;
        while rest.len() > unit || !trailers.is_empty() && !rest.is_empty() {
            let data = rest.split_to(unit.min(rest.len()));
            let place = Fragment {
                more: true,
                frame_boundary: false,
            };
            wtp.result_data(now, transaction, data, place);
        }
        let last = if trailers.is_empty() {
            rest
        } else {
            let mut last = Vec::with_capacity(trailers.len() + 3);
            Pdu::DataFragment(pdu::DataFragment {
                headers: trailers,
                data: &[],
            })
            .encode(&mut last);
            last.into()
        };
        let place = Fragment {
            more: false,
            frame_boundary: !trailers.is_empty(),
        };
        wtp.result_data(now, transaction, last, place);
    }

    /// S-MethodAbort.req: no reply will come. The user hears nothing more of the method.
    pub fn abort(&mut self, now: Instant, id: MethodId, reason: AbortReason, wtp: &mut Endpoint) {
        if let Some(method) = self.take_method(id) {
            wtp.abort(now, method.transaction, reason.0);
        }
    }

    /// TR-Invoke.ind with a method PDU, in every state of a session and of none.
    pub(super) fn method(
        &mut self,
        now: Instant,
        transaction: Handle,
        peer: Peer,
        sdu: Bytes,
        fragment: Fragment,
        wtp: &mut Endpoint,
    ) {
        let Some(key) = self.session_of(peer) else {
            return self.early_method(now, transaction, peer, sdu, fragment, wtp);
        };
        let Some(session) = self.session(key) else {
            return;
        };
        let refusal = if session.state == session::State::Suspended {
            Some(AbortReason::SUSPEND)
        } else if session.max_request().is_some_and(|max| sdu.len() > max) {
            Some(AbortReason::MRUEXCEEDED)
        } else if self.outstanding(session) >= usize::from(session.profile.agreed.method_mor) {
            // NULL / N_Methods == MOM
            Some(AbortReason::MOREXCEEDED)
        } else if fragment.more
            && !session
                .profile
                .agreed
                .options
                .has(ProtocolOptions::LARGE_DATA)
        {
            Some(AbortReason::PROTOERR)
        } else {
            None
        };
        if let Some(reason) = refusal {
            match reason {
                AbortReason::MRUEXCEEDED => self.stats.too_large += 1,
                AbortReason::MOREXCEEDED => self.stats.too_many_methods += 1,
                AbortReason::PROTOERR => self.stats.malformed += 1,
                _ => {}
            }
            return wtp.abort(now, transaction, reason.0);
        }
        let Some(gathered) = Pdu::decode(&sdu)
            .ok()
            .and_then(|pdu| Gathered::of(&pdu, &sdu, fragment))
        else {
            return;
        };
        // NULL / Store Method. What is whole and belongs to a session that is up is not stored at all.
        let whole = gathered.whole;
        let stored = !(whole && session.releases());
        let size = gathered.len();
        if stored && size > self.config.max_gathered.saturating_sub(self.gathered) {
            self.stats.congested += 1;
            return wtp.abort(now, transaction, AbortReason::CONGESTION.0);
        }
        if stored {
            self.gathered += size;
        }
        self.next_serial += 1;
        let serial = self.next_serial;
        let slot = self.methods.insert(Method {
            serial,
            session: key,
            transaction,
            state: State::Processing,
            next: NO_METHOD,
        });
        let id = MethodId { slot, serial };
        self.owners.insert(transaction, Owner::Method(id));
        self.append(key, id);
        self.touch(now, key);
        let Some(session) = self.registry.get_mut(key.slot) else {
            return;
        };
        let released = session.releases();
        if let session::State::Connecting2 { used, .. } | session::State::Resuming2 { used, .. } =
            &mut session.state
        {
            *used = true;
        }
        if !stored {
            return self.show(now, id, gathered, wtp);
        }
        if let Some(method) = self.method_mut(id) {
            let gathered = Box::new(gathered);
            method.state = match released {
                true => State::Requesting(gathered),
                false => State::Holding(gathered),
            };
        }
    }

    /// TR-InvokeData.ind: the next data unit of a request (Large Data Transfer).
    pub(super) fn method_data(
        &mut self,
        now: Instant,
        id: MethodId,
        data: &Bytes,
        fragment: Fragment,
        wtp: &mut Endpoint,
    ) {
        let room = self.config.max_gathered.saturating_sub(self.gathered);
        let cap = self.config.max_server_sdu;
        let Some(key) = self.method_mut(id).map(|method| method.session) else {
            return;
        };
        let limits = self
            .session(key)
            .map(|session| (session.max_gathered(cap), session.max_request()));
        let Some((max, max_unit)) = limits else {
            return;
        };
        let Some(gathered) = self.method_mut(id).and_then(|m| m.state.gathered()) else {
            return self.abort_method(now, id, AbortReason::PROTOERR, wtp);
        };
        let verdict =
            if gathered.len() + data.len() > max || max_unit.is_some_and(|max| data.len() > max) {
                Err(AbortReason::MRUEXCEEDED)
            } else if data.len() > room {
                Err(AbortReason::CONGESTION)
            } else {
                let before = gathered.len();
                gathered
                    .add(data, fragment)
                    .map(|()| (gathered.len() - before, gathered.whole))
            };
        match verdict {
            Err(reason) => {
                self.stats.too_large += u64::from(reason == AbortReason::MRUEXCEEDED);
                self.abort_method(now, id, reason, wtp);
            }
            Ok((added, whole)) => {
                self.gathered += added;
                let requesting = self
                    .method_mut(id)
                    .is_some_and(|method| matches!(method.state, State::Requesting(_)));
                // REQUESTING / MoreData flag cleared
                if whole && requesting {
                    self.release(now, id, wtp);
                }
            }
        }
    }

    /// Release: the session of a held method is set up.
    pub(super) fn release(&mut self, now: Instant, id: MethodId, wtp: &mut Endpoint) {
        let Some(method) = self.method_mut(id) else {
            return;
        };
        match std::mem::replace(&mut method.state, State::Processing) {
            State::Holding(gathered) | State::Requesting(gathered) if gathered.whole => {
                self.gathered -= gathered.len();
                self.show(now, id, *gathered, wtp);
            }
            State::Holding(gathered) | State::Requesting(gathered) => {
                method.state = State::Requesting(gathered);
            }
            other @ (State::Processing | State::Replying) => method.state = other,
        }
    }

    /// S-MethodInvoke.ind and its response at once: PROCESSING.
    fn show(&mut self, now: Instant, id: MethodId, gathered: Gathered, wtp: &mut Endpoint) {
        let Some((key, transaction)) = self.method_mut(id).map(|m| (m.session, m.transaction))
        else {
            return;
        };
        let Some(session) = self.session(key) else {
            return;
        };
        let several = wtp.has_extended_sar(transaction);
        let invocation = gathered.of_session(session, key, several);
        self.stats.methods += 1;
        self.indications
            .push_back(Indication::Method(id, invocation));
        wtp.accept(now, transaction, &[]);
    }

    /// REPLYING / TR-Result.cnf.
    pub(super) fn replied(&mut self, id: MethodId, exit_info: Bytes, report: Report) {
        let Some(method) = self.take_method(id) else {
            return;
        };
        let wanted = self.session_mut(method.session).is_some_and(|session| {
            session.proved = true;
            let options = session.profile.agreed.options;
            options.has(ProtocolOptions::ACKNOWLEDGEMENT_HEADERS)
        });
        let headers = if wanted { exit_info } else { Bytes::new() };
        self.indications
            .push_back(Indication::Replied(id, headers, report));
    }

    /// TR-Abort.ind for a method, in every state. Two reasons act on the whole session.
    pub(super) fn method_aborted(
        &mut self,
        now: Instant,
        id: MethodId,
        reason: wtp::AbortReason,
        report: Report,
        wtp: &mut Endpoint,
    ) {
        let Some(method) = self.take_method(id) else {
            return;
        };
        let ending = Ending::of(reason);
        if method.shown() {
            self.indications
                .push_back(Indication::Aborted(id, ending, Some(report)));
        }
        self.act_on(now, method.session, ending, wtp);
    }

    /// Abort of one method; the user hears of it if it knew of it.
    pub(super) fn abort_method(
        &mut self,
        now: Instant,
        id: MethodId,
        reason: AbortReason,
        wtp: &mut Endpoint,
    ) {
        if let Some(method) = self.take_method(id) {
            wtp.abort(now, method.transaction, reason.0);
            if method.shown() {
                self.indications
                    .push_back(Indication::Aborted(id, Ending::Aborted(reason), None));
            }
        }
    }

    /// Methods that count against the agreed maximum: a reply that only waits for its last Ack does not,
    /// since the handset that sends the next Invoke has moved on and its Ack was lost.
    fn outstanding(&self, session: &Session) -> usize {
        self.methods_of(session)
            .filter(|(_, method)| !matches!(method.state, State::Replying))
            .count()
    }

    /// The methods of a session, oldest first.
    pub(super) fn methods_of<'a>(
        &'a self,
        session: &Session,
    ) -> impl Iterator<Item = (MethodId, &'a Method)> {
        let mut next = session.method;
        std::iter::from_fn(move || {
            let slot = next;
            let method = self.methods.get(slot)?;
            next = method.next;
            let serial = method.serial;
            Some((MethodId { slot, serial }, method))
        })
    }

    /// The names of a session's methods, oldest first.
    pub(super) fn method_ids(&self, key: SessionKey) -> Vec<MethodId> {
        let session = self.session(key);
        let methods = session.into_iter().flat_map(|it| self.methods_of(it));
        methods.map(|(id, _)| id).collect()
    }

    /// Makes a method the last of its session.
    fn append(&mut self, key: SessionKey, id: MethodId) {
        let Some(session) = self.session(key) else {
            return;
        };
        let last = self.methods_of(session).last().map(|(last, _)| last.slot);
        match last.and_then(|last| self.methods.get_mut(last)) {
            Some(last) => last.next = id.slot,
            None => {
                if let Some(session) = self.session_mut(key) {
                    session.method = id.slot;
                }
            }
        }
    }

    /// Takes a method out of its session's.
    fn detach(&mut self, key: SessionKey, id: MethodId, next: u32) {
        let Some(session) = self.session(key) else {
            return;
        };
        if session.method == id.slot {
            if let Some(session) = self.session_mut(key) {
                session.method = next;
            }
            return;
        }
        let before = self
            .methods_of(session)
            .find(|(_, method)| method.next == id.slot)
            .map(|(before, _)| before.slot);
        if let Some(before) = before.and_then(|before| self.methods.get_mut(before)) {
            before.next = next;
        }
    }

    /// Takes a method out of the tables.
    fn take_method(&mut self, id: MethodId) -> Option<Method> {
        let (key, next) = self.method_mut(id).map(|it| (it.session, it.next))?;
        self.detach(key, id, next);
        let mut method = self.methods.remove(id.slot)?;
        self.owners.remove(&method.transaction);
        if let Some(gathered) = method.state.gathered() {
            self.gathered -= gathered.len();
        }
        Some(method)
    }

    fn method_mut(&mut self, id: MethodId) -> Option<&mut Method> {
        self.methods
            .get_mut(id.slot)
            .filter(|method| method.serial == id.serial)
    }
}

impl Method {
    /// Whether the user was told of it.
    const fn shown(&self) -> bool {
        matches!(self.state, State::Processing | State::Replying)
    }
}
