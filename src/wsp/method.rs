//! Method invocations as the server keeps them, and their state table (WSP 7.1.6.5).

use bytes::Bytes;

use crate::random::Keyed;
use crate::table::{Shares, Slab};
use crate::wdp::{Peer, source_prefix};
use crate::wsp::AbortReason;
use crate::wsp::context::{Owner, SessionRef, StepContext, encoded};
use crate::wsp::indication::{EndReason, Indication};
use crate::wsp::key::SessionKey;
use crate::wsp::pdu::{self, Pdu};
use crate::wsp::request::PartialRequest;
use crate::wtp::{self, Fragment, Handle, Report};

pub use crate::wsp::key::MethodId;
pub use crate::wsp::reply_limit::ReplyLimit;
pub use crate::wsp::request::Invocation;

/// A method invocation.
#[derive(Debug)]
struct Method {
    serial: u64,
    session: SessionKey,
    transaction: Handle,
    /// The source prefix that the method's memory counts for.
    source: u128,
    state: State,
    /// The slot of the next method of its session, or [`NO_METHOD`].
    next: u32,
}

/// The state of an invocation. NULL is not being in the table.
///
/// The user is shown whole requests only, and takes every one it is shown: REQUESTING is the wait
/// for the rest of a request in several SDUs, and a whole one passes through it within one call.
#[derive(Debug)]
enum State {
    /// Its session is not set up yet.
    Holding(Box<PartialRequest>),
    /// More SDUs of it are to come.
    Requesting(Box<PartialRequest>),
    /// The user has the request and has to give a result.
    Processing,
    /// Result given to the transaction, its last Ack outstanding.
    Replying,
}

/// Events of an invocation.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// Pseudo-event: its session is set up.
    Release(SessionRef<'a>),
    /// TR-InvokeData.ind: the next data unit of the request (Large Data Transfer). `max` and `room`
    /// are octets: of the whole request, and of all requests together that may still be held.
    RcvMore {
        data: &'a Bytes,
        fragment: Fragment,
        session: SessionRef<'a>,
        max: usize,
        room: usize,
    },
    /// S-MethodResult.req. `trailers`, an encoded block, follow the body where the session and the
    /// transaction can carry them, and are dropped elsewhere.
    ResultReq {
        sdu: Bytes,
        trailers: &'a [u8],
        session: SessionRef<'a>,
    },
    /// S-MethodAbort.req.
    AbortReq(AbortReason),
    /// TR-Result.cnf, with the exit info if the session agreed on acknowledgement headers.
    RcvAck { headers: Bytes, report: Report },
    /// TR-Abort.ind.
    RcvAbort {
        reason: wtp::AbortReason,
        report: Report,
    },
    /// Pseudo-event: its session is suspended, resumed or over.
    Abort(AbortReason),
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The invocation stays.
    Lives,
    /// NULL.
    Over,
    /// NULL. The reason may be meant for the whole session.
    Ended(EndReason),
}

impl Method {
    /// One row of the server's method table (WSP 7.1.6.5). The arms follow the order of its states.
    fn step(&mut self, event: Event<'_>, id: MethodId, cx: &mut StepContext<'_>) -> Outcome {
        match (&mut self.state, event) {
            // --- HOLDING ---
            // Release.
            (State::Holding(request), Event::Release(session)) => {
                if request.is_whole() {
                    return self.process(id, session, cx);
                }
                let State::Holding(request) = std::mem::replace(&mut self.state, State::Processing)
                else {
                    return Outcome::Lives;
                };
                self.state = State::Requesting(request);
                Outcome::Lives
            }
            // TR-InvokeData.ind. The table releases the first SDU alone; the user takes whole
            // requests.
            (
                State::Holding(request),
                Event::RcvMore {
                    data,
                    fragment,
                    session,
                    max,
                    room,
                },
            ) => match gather(request, data, fragment, session, max, room) {
                Ok(()) => Outcome::Lives,
                Err(reason) => self.refuse(reason, cx),
            },
            // Abort, TR-Abort.ind, S-MethodAbort.req: the user has no indication of the method.
            (State::Holding(_) | State::Requesting(_), Event::Abort(reason)) => {
                cx.abort(self.transaction, reason);
                Outcome::Over
            }
            (State::Holding(_) | State::Requesting(_), Event::RcvAbort { reason, .. }) => {
                Outcome::Ended(EndReason::of(reason))
            }

            // --- REQUESTING ---
            // TR-InvokeData.ind, with the MoreData flag and without.
            (
                State::Requesting(request),
                Event::RcvMore {
                    data,
                    fragment,
                    session,
                    max,
                    room,
                },
            ) => match gather(request, data, fragment, session, max, room) {
                Ok(()) if request.is_whole() => self.process(id, session, cx),
                Ok(()) => Outcome::Lives,
                Err(reason) => self.refuse(reason, cx),
            },

            // --- PROCESSING ---
            // S-MethodResult.req. PROCESSING2 passes within this call: the result is here whole.
            (
                State::Processing,
                Event::ResultReq {
                    sdu,
                    trailers,
                    session,
                },
            ) => {
                self.state = State::Replying;
                send_result(self.transaction, sdu, trailers, session, cx);
                Outcome::Lives
            }
            // TR-InvokeData.ind: the request was whole.
            (State::Processing | State::Replying, Event::RcvMore { .. }) => {
                cx.abort(self.transaction, AbortReason::PROTOERR);
                let ending = EndReason::Aborted(AbortReason::PROTOERR);
                cx.indicate(Indication::Aborted(id, ending, None));
                Outcome::Over
            }

            // --- REPLYING ---
            // TR-Result.cnf.
            (State::Replying, Event::RcvAck { headers, report }) => {
                cx.indicate(Indication::Replied(id, headers, report));
                Outcome::Over
            }

            // --- PROCESSING, REPLYING ---

            // S-MethodAbort.req. The user gets no further indication.
            (
                State::Holding(_) | State::Requesting(_) | State::Processing | State::Replying,
                Event::AbortReq(reason),
            ) => {
                cx.abort(self.transaction, reason);
                Outcome::Over
            }
            // Abort.
            (State::Processing | State::Replying, Event::Abort(reason)) => {
                cx.abort(self.transaction, reason);
                let ending = EndReason::Aborted(reason);
                cx.indicate(Indication::Aborted(id, ending, None));
                Outcome::Over
            }
            // TR-Abort.ind. Two reasons act on the whole session.
            (State::Processing | State::Replying, Event::RcvAbort { reason, report }) => {
                let ending = EndReason::of(reason);
                cx.indicate(Indication::Aborted(id, ending, Some(report)));
                Outcome::Ended(ending)
            }

            // --- ignored ---
            (
                State::Holding(_) | State::Requesting(_),
                Event::ResultReq { .. } | Event::RcvAck { .. },
            )
            | (State::Requesting(_), Event::Release(_))
            | (State::Processing, Event::Release(_) | Event::RcvAck { .. })
            | (State::Replying, Event::Release(_) | Event::ResultReq { .. }) => Outcome::Lives,
        }
    }

    /// S-MethodInvoke.ind and its response at once: PROCESSING.
    fn process(
        &mut self,
        id: MethodId,
        session: SessionRef<'_>,
        cx: &mut StepContext<'_>,
    ) -> Outcome {
        if let State::Holding(request) | State::Requesting(request) =
            std::mem::replace(&mut self.state, State::Processing)
        {
            show(*request, id, self.transaction, session, cx);
        }
        Outcome::Lives
    }

    /// A data unit that is too much, or no data unit.
    fn refuse(&mut self, reason: AbortReason, cx: &mut StepContext<'_>) -> Outcome {
        cx.stats.too_large += u64::from(reason == AbortReason::MRUEXCEEDED);
        cx.abort(self.transaction, reason);
        Outcome::Over
    }

    /// Octets of the request that are held for it.
    fn held(&self) -> usize {
        match &self.state {
            State::Holding(request) | State::Requesting(request) => request.len(),
            State::Processing | State::Replying => 0,
        }
    }

    /// The name of the state in the specification's table.
    const fn state_name(&self) -> &'static str {
        match self.state {
            State::Holding(_) => "HOLDING",
            State::Requesting(_) => "REQUESTING",
            State::Processing => "PROCESSING",
            State::Replying => "REPLYING",
        }
    }
}

/// A data unit of a request that is not whole.
fn gather(
    request: &mut PartialRequest,
    data: &Bytes,
    fragment: Fragment,
    session: SessionRef<'_>,
    max: usize,
    room: usize,
) -> Result<(), AbortReason> {
    let max_unit = session.profile.max_request();
    if request.len() + data.len() > max || max_unit.is_some_and(|max| data.len() > max) {
        Err(AbortReason::MRUEXCEEDED)
    } else if data.len() > room {
        Err(AbortReason::CONGESTION)
    } else {
        request.add(data, fragment)
    }
}

/// S-MethodInvoke.ind and S-MethodInvoke.res.
fn show(
    request: PartialRequest,
    id: MethodId,
    transaction: Handle,
    session: SessionRef<'_>,
    cx: &mut StepContext<'_>,
) {
    let in_several = cx.wtp.has_extended_sar(transaction);
    let agreed = session.profile.max_reply(in_several);
    let limit = match cx.wtp.max_result(transaction) {
        Some(octets) if octets < agreed.unwrap_or(usize::MAX) => {
            (Some(octets), ReplyLimit::Transaction)
        }
        _ if agreed.is_some_and(|octets| octets >= cx.limits.client_sdu as usize) => {
            (agreed, ReplyLimit::Gateway)
        }
        _ => (agreed, ReplyLimit::Client),
    };
    let invocation = request.into_invocation(session.key, session.peer, session.profile, limit);
    cx.stats.methods += 1;
    cx.indicate(Indication::Method(id, invocation));
    cx.wtp.accept(cx.now, transaction, &[]);
}

/// TR-Result.req with the reply, or TR-ResultData.req with one data unit after the other.
fn send_result(
    transaction: Handle,
    sdu: Bytes,
    trailers: &[u8],
    session: SessionRef<'_>,
    cx: &mut StepContext<'_>,
) {
    let several = session.profile.takes_several() && cx.wtp.has_extended_sar(transaction);
    let unit = session.profile.max_unit().filter(|_| several);
    let unit = unit.unwrap_or(usize::MAX).max(1);
    let trailers = if several { trailers } else { &[] };
    if sdu.len() <= unit && trailers.is_empty() {
        return cx.wtp.result(cx.now, transaction, sdu);
    }
    let mut rest = sdu;
    while rest.len() > unit || !trailers.is_empty() && !rest.is_empty() {
        let data = rest.split_to(unit.min(rest.len()));
        let place = Fragment {
            more: true,
            frame_boundary: false,
        };
        cx.wtp.result_data(cx.now, transaction, data, place);
    }
    let last = match trailers {
        [] => rest,
        headers => encoded(&Pdu::DataFragment(pdu::DataFragment { headers, data: &[] })),
    };
    let place = Fragment {
        more: false,
        frame_boundary: !trailers.is_empty(),
    };
    cx.wtp.result_data(cx.now, transaction, last, place);
}

/// The methods of all sessions of a shard.
#[derive(Debug)]
pub(super) struct Methods {
    slots: Slab<Method>,
    next_serial: u64,
    /// Octets of requests that are HOLDING or REQUESTING.
    held: usize,
    /// The same of each source prefix.
    shares: Shares<Keyed>,
}

impl Methods {
    pub(super) const fn new(hasher: Keyed) -> Self {
        Self {
            slots: Slab::new(),
            next_serial: 0,
            held: 0,
            shares: Shares::new(hasher),
        }
    }

    /// Methods outstanding.
    pub(super) const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Octets of requests that may still be held for a peer, if `max` may be held for all and
    /// `whole` is the size of the largest request. One source prefix has a part of them.
    pub(super) fn room(&self, peer: Peer, max: usize, whole: usize) -> usize {
        let held = self.shares.get(source_prefix(peer.remote.ip()));
        let share = (max / SOURCES_AT_LEAST).max(whole.min(max));
        let of_source = share.saturating_sub(held);
        max.saturating_sub(self.held).min(of_source)
    }

    /// Updates the count of memory that methods use.
    fn account(&mut self, source: u128, before: usize, after: usize) {
        if before != after {
            self.held = self.held + after - before;
            self.shares.remove(source, before);
            self.shares.add(source, after);
        }
    }

    /// NULL / TR-Invoke.ind with a method PDU that the session admits. A whole request of a session
    /// that is set up passes HOLDING and REQUESTING at once; any other is stored, if there is
    /// [`room`](Self::room).
    pub(super) fn begin(
        &mut self,
        session: SessionRef<'_>,
        (list, releases): (&mut MethodList, bool),
        transaction: Handle,
        request: PartialRequest,
        room: usize,
        cx: &mut StepContext<'_>,
    ) {
        let is_stored = !(request.is_whole() && releases);
        let octets = request.len();
        if is_stored && octets > room {
            cx.stats.congested += 1;
            return cx.abort(transaction, AbortReason::CONGESTION);
        }
        self.next_serial += 1;
        let serial = self.next_serial;
        let (state, request) = if !is_stored {
            (State::Processing, Some(request))
        } else {
            self.account(source_prefix(session.peer.remote.ip()), 0, octets);
            let request = Box::new(request);
            match releases {
                true => (State::Requesting(request), None),
                false => (State::Holding(request), None),
            }
        };
        let slot = self.slots.insert(Method {
            serial,
            session: session.key,
            transaction,
            source: source_prefix(session.peer.remote.ip()),
            state,
            next: NO_METHOD,
        });
        let id = MethodId { slot, serial };
        cx.owners.insert(transaction, Owner::Method(id));
        self.append(list, slot);
        if let Some(request) = request {
            show(request, id, transaction, session, cx);
        }
    }

    /// An event for one method. If it ends the method, [`remove`](Self::remove) is to follow.
    pub(super) fn step(
        &mut self,
        id: MethodId,
        event: Event<'_>,
        cx: &mut StepContext<'_>,
    ) -> Outcome {
        let Some(method) = self
            .slots
            .get_mut(id.slot)
            .filter(|it| it.serial == id.serial)
        else {
            return Outcome::Lives;
        };
        let before = method.held();
        let outcome = method.step(event, id, cx);
        let (source, after) = (method.source, method.held());
        self.account(source, before, after);
        outcome
    }

    /// The session of a method.
    pub(super) fn session_of(&self, id: MethodId) -> Option<SessionKey> {
        let method = self.slots.get(id.slot)?;
        (method.serial == id.serial).then_some(method.session)
    }

    /// Release of all methods of a session that are HOLDING.
    pub(super) fn release_all(
        &mut self,
        mut list: MethodList,
        session: SessionRef<'_>,
        cx: &mut StepContext<'_>,
    ) {
        while let Some((id, next)) = self.first(list) {
            self.step(id, Event::Release(session), cx);
            list = next;
        }
    }

    /// Abort of all methods of a session.
    pub(super) fn abort_all(
        &mut self,
        mut list: MethodList,
        reason: AbortReason,
        cx: &mut StepContext<'_>,
    ) {
        while let Some((id, next)) = self.first(list) {
            self.step(id, Event::Abort(reason), cx);
            self.take(id.slot);
            list = next;
        }
    }

    /// Removes a method that is over from the table and from its session's list.
    pub(super) fn remove(&mut self, list: &mut MethodList, id: MethodId) {
        let Some(next) = self.slots.get(id.slot).map(|method| method.next) else {
            return;
        };
        if list.first == id.slot {
            list.first = next;
        } else {
            let mut slot = list.first;
            while let Some(method) = self.slots.get_mut(slot) {
                if method.next == id.slot {
                    method.next = next;
                    break;
                }
                slot = method.next;
            }
        }
        self.take(id.slot);
    }

    fn take(&mut self, slot: u32) {
        if let Some(method) = self.slots.remove(slot) {
            self.account(method.source, method.held(), 0);
        }
    }

    fn append(&mut self, list: &mut MethodList, slot: u32) {
        let mut last = list.first;
        loop {
            match self.slots.get_mut(last) {
                None => {
                    list.first = slot;
                    return;
                }
                Some(method) if method.next == NO_METHOD => {
                    method.next = slot;
                    return;
                }
                Some(method) => last = method.next,
            }
        }
    }

    /// The first method of a list, and the list behind it.
    fn first(&self, list: MethodList) -> Option<(MethodId, MethodList)> {
        let slot = list.first;
        let method = self.slots.get(slot)?;
        let serial = method.serial;
        let rest = MethodList { first: method.next };
        Some((MethodId { slot, serial }, rest))
    }

    fn iter(&self, mut list: MethodList) -> impl Iterator<Item = &Method> {
        std::iter::from_fn(move || {
            let method = self.slots.get(list.first)?;
            list.first = method.next;
            Some(method)
        })
    }

    /// Methods of a session.
    pub(super) fn count(&self, list: MethodList) -> usize {
        self.iter(list).count()
    }

    /// Methods of a session that count against the agreed maximum: a reply that only waits for its
    /// last Ack does not, since the client that sends the next Invoke has moved on and its Ack was
    /// lost.
    pub(super) fn outstanding(&self, list: MethodList) -> usize {
        let open = |method: &&Method| !matches!(method.state, State::Replying);
        self.iter(list).filter(open).count()
    }

    /// The names of the states of a session's methods, oldest first.
    pub(super) fn state_names(&self, list: MethodList) -> Vec<&'static str> {
        self.iter(list).map(Method::state_name).collect()
    }
}

/// The methods of one session, oldest first: the slot of the first, which knows the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct MethodList {
    first: u32,
}

impl Default for MethodList {
    fn default() -> Self {
        Self { first: NO_METHOD }
    }
}

impl MethodList {
    pub(super) const fn is_empty(self) -> bool {
        self.first == NO_METHOD
    }
}

/// Source prefixes that fill the room for requests at least.
const SOURCES_AT_LEAST: usize = 4;

/// No slot of a method.
const NO_METHOD: u32 = u32::MAX;
