//! The life of one exchange: begun by a method, answered by its origin or by the gateway, ended by
//! the handset.

use bytes::Bytes;

use crate::gateway::admission::Prepared;
use crate::gateway::answer::{Problem, Refused};
use crate::gateway::cookies::Owner;
use crate::gateway::exchange::{Encoding, Exchange, ReplyPlan, Requester, State};
use crate::gateway::fetch::{Failure, Reply, RequestId};
use crate::gateway::record::{Binding, Ending, ExchangeRecord};
use crate::gateway::request::X_WAP_TOD;
use crate::gateway::settings::ContentLength;
use crate::gateway::{Event, Gateway, content, http, reply, request, reverse_mapping, uaprof};
use crate::route::FieldNames;
use crate::syncml::header::peek;
use crate::time::Instant;
use crate::trace_context::{Caller, TraceContext};
use crate::wdp::{Peer, source_prefix};
use crate::wsp::header;
use crate::wsp::method::Invocation;
use crate::wtp;

impl Gateway {
    /// S-MethodInvoke.ind or S-Unit-MethodInvoke.ind: begins an exchange. Its request goes
    /// upstream, or the handset gets a refusal at once.
    pub(super) fn begin(&mut self, now: Instant, requester: Requester, invocation: Invocation) {
        self.stats.exchanges_begun += 1;
        let trace = self.new_trace(&Caller::default());
        let mut record = self.new_record(now, &invocation, trace);
        let mut encoding = reply::ReplyEncoding {
            version: invocation.encoding,
            pages: invocation.pages.clone(),
            names_version: invocation.session.is_none(),
            names_length: self.config.headers.content_length == ContentLength::Always,
        };
        let admitted = self.admit(now, &invocation, &mut encoding, &mut record);
        let exchange = Exchange {
            requester,
            state: State::Replying,
            encoding: Encoding::Wsp(encoding),
            max_reply: invocation.max_reply,
            reply_limit: invocation.reply_limit,
            max_problem: invocation.max_problem,
            held: 0,
            reserved: 0,
            plan: ReplyPlan::default(),
            record,
        };
        self.start(now, exchange, admitted);
    }

    /// Sends the request of an exchange upstream, or answers the handset with a refusal.
    pub(super) fn start(
        &mut self,
        now: Instant,
        mut exchange: Exchange,
        admitted: Result<Prepared, Refused>,
    ) {
        match admitted {
            Ok(prepared) => {
                let grace = self.config.limits.deadline_grace;
                exchange.state = State::Fetching {
                    deadline: now + prepared.request.timeout + grace,
                };
                exchange.held = prepared.request.octets();
                exchange.plan = prepared.plan;
                exchange.record.fetched = Some(now);
                let id = self.exchanges.insert(exchange);
                self.events.push_back(Event::Fetch(id, prepared.request));
            }
            Err(refused) => {
                let requester = exchange.requester;
                let answer = self.refusal(now, &mut exchange, refused);
                let id = self.exchanges.insert(exchange);
                self.respond(now, id, requester, answer);
            }
        }
    }

    /// A reply arrives: sets so many octets aside for its body, in place of those set aside for the
    /// same reply before. False: they are not free, and the reply must not be read.
    ///
    /// The memory of each request in flight includes
    /// [`UNRESERVED`](crate::gateway::fetch::UNRESERVED) octets of its reply, so smaller replies
    /// need not be announced here.
    pub fn reserve_reply(&mut self, id: RequestId, octets: usize) -> bool {
        self.exchanges.reserve(id, octets, &self.config.limits)
    }

    /// The origin answered.
    pub(super) fn answer(&mut self, now: Instant, id: RequestId, mut reply: Reply) {
        let Some(exchange) = self.exchanges.fetching(id) else {
            self.stats.late_replies += 1;
            return;
        };
        let codings = &exchange.plan.codings;
        if let Err((problem, detail)) = codings.reply(&mut reply, &mut self.stats.codings) {
            return self.fail(now, id, (problem, Some(detail)).into());
        }
        uaprof::rename_warning(&mut reply.headers);
        let stats = &mut self.stats.content;
        if let Some(request) = exchange
            .plan
            .content
            .second_try(&reply, &mut self.translator, stats)
        {
            let deadline = now + request.timeout + self.config.limits.deadline_grace;
            if let Some(id) = self.exchanges.renew(id, deadline, request.octets()) {
                self.events.push_back(Event::Fetch(id, request));
            }
            return;
        }
        if let Some(syncml) = &mut exchange.record.syncml {
            syncml.answered(&reply.body);
            self.stats.syncml.count_reply(syncml);
        }
        let origin = exchange
            .record
            .target
            .as_ref()
            .map(::http::uri::Authority::as_str);
        let room = exchange.max_reply;
        let translator = &mut self.translator;
        if let Err(refused) = exchange
            .plan
            .content
            .incoming(origin, &mut reply, room, translator, stats)
        {
            return self.fail(now, id, refused.into());
        }
        if let (Some(uri), Some(session)) = (&exchange.plan.cookies_for, exchange.record.session) {
            let max = self.config.limits.max_cookies;
            let wall = self.epoch.map(|epoch| wall(epoch, now));
            let owner = Owner {
                session,
                source: source_prefix(exchange.record.peer.remote.ip()),
            };
            self.cookies
                .keep(now, wall, owner, uri, &reply.headers, max);
            reply.headers.remove(::http::header::SET_COOKIE);
        }
        let next_message = exchange.plan.session.as_ref().and_then(|session| {
            let header = peek(&reply.body)?;
            let named = header.resp_uri.trim();
            (!named.is_empty()).then(|| session.follow(named))?
        });
        if let Some(mapping) = &exchange.plan.reverse_mapping
            && !content::is_sealed(&reply.headers)
        {
            reverse_mapping::apply(mapping, &mut reply);
        }
        if let Some(policy) = &exchange.plan.headers {
            policy.apply_to_reply(&mut reply.headers);
        }
        if let (true, Some(epoch)) = (exchange.plan.asks_time, self.epoch)
            && let Some(time) = header::date::text(wall(epoch, now))
            && let Ok(time) = ::http::HeaderValue::try_from(time)
        {
            reply.headers.insert(X_WAP_TOD, time);
        }
        let drop = &self.config.headers.drop_to_handset;
        let answer = match exchange.encode(&reply, drop) {
            Ok(mut answer) => {
                if let (Answer::Http(response), Some(next)) = (&mut answer, next_message) {
                    response.extensions_mut().insert(next);
                }
                answer
            }
            Err((problem, why)) => {
                let detail = match exchange.limit_in_words() {
                    Some(limit) if problem == Problem::ReplyTooLarge => {
                        exchange.record.reply_limit = Some(exchange.reply_limit);
                        format!("{why}; {limit}")
                    }
                    _ => why,
                };
                return self.fail(now, id, (problem, Some(detail)).into());
            }
        };
        let requester = exchange.requester;
        let peer = exchange.record.peer;
        let (octets, released) = (answer.octets(), exchange.held + exchange.reserved);
        exchange.record.status = Some(reply::status(reply.status));
        exchange.record.replied = Some(now);
        exchange.record.reply_octets = reply.body.len();
        // The reply is held until the handset has acknowledged it.
        let usage = self.exchanges.usage();
        let room = usage.check_octets(peer.remote.ip(), octets, released, &self.config.limits);
        if let Err(Refused { detail, .. }) = room {
            let detail = detail.unwrap_or_else(|| "max_octets in [limits] are held".to_owned());
            let refused = Refused {
                detail: Some(detail),
                ..Problem::Upstream(Failure::NoMemory).into()
            };
            return self.fail(now, id, refused);
        }
        self.exchanges.replying(id, octets);
        if let Requester::Method(_) = requester {
            self.grant_reply(now, peer, octets);
        }
        self.respond(now, id, requester, answer);
    }

    /// The origin gives no answer that the handset can have: the gateway answers.
    pub(super) fn fail(&mut self, now: Instant, id: RequestId, refused: Refused) {
        let Some(exchange) = self.exchanges.fetching(id) else {
            self.stats.late_replies += 1;
            return;
        };
        let requester = exchange.requester;
        let refused = exchange.blame_the_limit(refused);
        let answer = refused.answer(exchange);
        self.stats.problems.add(refused.problem);
        exchange.record_problem(now, refused);
        self.exchanges.replying(id, answer.octets());
        self.respond(now, id, requester, answer);
    }

    /// The gateway's own answer to a request that it does not forward.
    fn refusal(&mut self, now: Instant, exchange: &mut Exchange, refused: Refused) -> Answer {
        let answer = refused.answer(exchange);
        self.stats.problems.add(refused.problem);
        exchange.record_problem(now, refused);
        answer
    }

    /// S-MethodResult.req, S-Unit-MethodResult.req, or a response of HTTP. A reply without session
    /// ends the exchange, since no acknowledgement follows. A response of HTTP has its end told by
    /// [`handle_http_end`](Self::handle_http_end).
    fn respond(&mut self, now: Instant, id: RequestId, requester: Requester, answer: Answer) {
        match (requester, answer) {
            (Requester::Method(method), Answer::Wsp { sdu, trailers }) => {
                self.events.push_back(Event::Answered(id));
                self.sessions
                    .reply(now, method, sdu, &trailers, &mut self.wtp);
            }
            (Requester::Http(request), Answer::Http(response)) => {
                self.events.push_back(Event::HttpReply(request, response));
            }
            // The requester decides the form of its answer, so no other pair occurs. Without an
            // answer the exchange ends here.
            (Requester::Http(_), _) | (_, Answer::Http(_)) => {
                self.end(now, requester, Ending::Aborted, Bytes::new(), None);
            }
            (Requester::Unit(unit), Answer::Wsp { sdu, .. }) => {
                let report = self.connectionless.reply(now, unit, sdu);
                self.end(now, requester, Ending::Sent, Bytes::new(), report);
            }
        }
    }

    /// Lets a reply of so many octets out to a peer that has not acknowledged its ConnectReply yet.
    fn grant_reply(&mut self, now: Instant, peer: Peer, octets: usize) {
        if !self.sessions.has_proved(peer) {
            self.policer.grant_reply(now, peer.remote.ip(), octets);
        }
    }

    /// A method is over for the handset: its exchange ends, and the upstream request is cancelled
    /// if it still runs.
    pub(super) fn end(
        &mut self,
        now: Instant,
        requester: Requester,
        ending: Ending,
        acknowledgement: Bytes,
        report: Option<wtp::Report>,
    ) {
        let Some((id, mut exchange)) = self.exchanges.remove(requester) else {
            return;
        };
        if exchange.state != State::Replying {
            self.stats.cancelled += 1;
            self.events.push_back(Event::Cancel(id));
        }
        match ending {
            Ending::Acknowledged => self.stats.acknowledged += 1,
            Ending::Unacknowledged => self.stats.unacknowledged += 1,
            Ending::Aborted | Ending::SessionEnded => self.stats.aborted += 1,
            Ending::Sent => {}
        }
        exchange.record.ending = ending;
        exchange.record.acknowledgement = acknowledgement;
        exchange.record.air = report;
        exchange.record.finished = now;
        self.events
            .push_back(Event::Finished(Box::new(exchange.record)));
    }

    /// The trace of an exchange, which its caller may have begun.
    pub(super) fn new_trace(&mut self, caller: &Caller) -> TraceContext {
        TraceContext::new(&mut self.trace_ids, self.config.sampling, caller)
    }

    /// The record of an exchange that begins now.
    fn new_record(
        &self,
        now: Instant,
        invocation: &Invocation,
        trace: TraceContext,
    ) -> ExchangeRecord {
        // Copied, so that the record does not keep the whole request until the last Ack.
        let uri = Bytes::copy_from_slice(&invocation.uri);
        ExchangeRecord {
            session: invocation.session.map(|session| session.id),
            request_octets: invocation.body.as_ref().map_or(0, Bytes::len),
            ..self.record_of(
                now,
                invocation.peer,
                request::recorded(invocation),
                uri,
                trace,
            )
        }
    }

    /// The record of an exchange that begins now, without session and body.
    pub(super) fn record_of(
        &self,
        now: Instant,
        peer: Peer,
        method: ::http::Method,
        uri: Bytes,
        trace: TraceContext,
    ) -> ExchangeRecord {
        ExchangeRecord {
            trace,
            number: self.stats.exchanges_begun,
            binding: Binding::Wsp,
            peer,
            session: None,
            method,
            uri,
            identity: self.identities.find(peer.remote.ip()).cloned(),
            syncml: None,
            route: None,
            target: None,
            upstream_uri: None,
            status: None,
            problem: None,
            detail: None,
            reply_limit: None,
            ending: Ending::Unacknowledged,
            received: now,
            fetched: None,
            reply_began: None,
            replied: None,
            finished: now,
            request_octets: 0,
            reply_octets: 0,
            acknowledgement: Bytes::new(),
            air: None,
            secured: self.is_secured(peer),
        }
    }
}

/// A reply as it leaves the core.
pub(super) enum Answer {
    /// A Reply PDU, and the header block that follows its body.
    Wsp { sdu: Bytes, trailers: Vec<u8> },
    /// A response of HTTP.
    Http(Box<::http::Response<Bytes>>),
}

impl Answer {
    /// Octets held until the handset has the reply.
    fn octets(&self) -> usize {
        match self {
            Self::Wsp { sdu, .. } => sdu.len(),
            Self::Http(response) => response.body().len(),
        }
    }
}

impl Exchange {
    /// The origin's reply in the form that the handset reads.
    fn encode(&self, reply: &Reply, drop: &FieldNames) -> Result<Answer, (Problem, String)> {
        let method = &self.plan.method;
        match &self.encoding {
            Encoding::Wsp(encoding) => {
                let sdu = reply::encode(reply, method, encoding, drop, self.max_reply)?;
                let trailers = reply::trailers(reply, encoding, drop);
                Ok(Answer::Wsp { sdu, trailers })
            }
            Encoding::Http => Ok(Answer::Http(http::encode(reply, method, drop).into())),
        }
    }

    /// An origin's reply larger than the handset takes is the handset's limit, unless the route's
    /// is the smaller one.
    fn blame_the_limit(&mut self, refused: Refused) -> Refused {
        let too_large = refused.problem == Problem::Upstream(Failure::TooLarge);
        match self.max_reply {
            Some(max) if too_large && max < self.plan.max_reply => {
                self.record.reply_limit = Some(self.reply_limit);
                Refused {
                    detail: self.limit_in_words(),
                    ..Problem::ReplyTooLarge.into()
                }
            }
            _ => refused,
        }
    }

    /// The handset's limit on a reply, for the operator.
    fn limit_in_words(&self) -> Option<String> {
        let max = self.max_reply?;
        Some(self.reply_limit.in_words(max))
    }

    fn record_problem(&mut self, now: Instant, refused: Refused) {
        self.record.status = Some(refused.problem.status());
        self.record.problem = Some(refused.problem);
        self.record.detail = refused.detail;
        self.record.replied = Some(now);
        self.record.reply_octets = 0;
    }
}

impl Refused {
    /// The gateway's own answer.
    fn answer(&self, exchange: &Exchange) -> Answer {
        let encoding = match &exchange.encoding {
            Encoding::Wsp(encoding) => encoding,
            Encoding::Http => return Answer::Http(http::problem(self).into()),
        };
        let max = [exchange.max_reply, exchange.max_problem];
        let sdu = reply::problem(
            self.problem,
            encoding,
            self.page,
            self.allow.as_deref(),
            max.into_iter().flatten().min(),
        );
        let trailers = Vec::new();
        Answer::Wsp { sdu, trailers }
    }
}

/// Seconds since 1970.
const fn wall(epoch: u64, now: Instant) -> u64 {
    epoch.saturating_add(now.as_micros() / 1_000_000)
}
