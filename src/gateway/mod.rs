//! The gateway's core: everything a handset can observe is decided here, and nothing here does I/O.
//!
//! Inputs are `handle_*`, say when they happened and cannot fail. After any of them the outputs are drained:
//! [`poll_transmit`](Gateway::poll_transmit), then [`poll_event`](Gateway::poll_event), then
//! [`poll_timeout`](Gateway::poll_timeout) says when to call [`handle_timeout`](Gateway::handle_timeout).
//! Polling decides nothing, so it may be done at leisure, and two runs with one seed are the same octet for
//! octet.

pub mod answer;
mod clients;
mod content;
mod cookies;
pub mod directory;
mod exchange;
pub mod fetch;
pub mod handover;
mod mode;
pub mod protection;
pub mod push;
pub mod record;
mod reply;
mod request;
mod settings;
mod stats;
pub mod syncml;
mod way_back;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::gateway::answer::Problem;
use crate::gateway::clients::Clients;
use crate::gateway::content::{Content, Wants};
use crate::gateway::cookies::Jars;
use crate::gateway::exchange::{Asked, Exchange, Exchanges, State};
use crate::gateway::fetch::{FetchError, Reply, Request, RequestId};
use crate::gateway::handover::{Handover, Ticket};
pub use crate::gateway::mode::Mode;
use crate::gateway::protection::{Gate, Verdict};
use crate::gateway::push::{Push, PushId, PushOutcome};
use crate::gateway::record::{Ending, ExchangeRecord};
use crate::gateway::request::Refused;
pub use crate::gateway::settings::{
    Config, Cookies, HeaderRules, Limits, Redirect, RedirectError, Unassigned,
};
pub use crate::gateway::stats::Stats;
use crate::gateway::syncml::SyncMl;
use crate::identity;
use crate::random::Random;
use crate::route::{Message, RequestView, Routes};
use crate::time::Instant;
use crate::wdp::{Datagram, Peer, Service, Transmit};
use crate::wsp::claim::{ClaimId, ClaimKey, Place};
use crate::wsp::connectionless::Connectionless;
use crate::wsp::method::Invocation;
use crate::wsp::saved::SessionRecord;
use crate::wsp::session::SessionKey;
use crate::wsp::sessions::{self, Indication, Sessions};
use crate::wtp;

/// What the core wants done.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "every exchange has one Fetch; boxing it would cost each an allocation"
)]
pub enum Event {
    /// Start an upstream request; owed exactly one [`Gateway::handle_reply`], unless cancelled.
    Fetch(RequestId, Request),
    /// Stop it: its answer is no longer wanted. Said at most once, and not after its reply.
    Cancel(RequestId),
    /// What became of a push: one for each [`Command::Push`].
    PushDone(PushId, PushOutcome),
    /// The handset was given its answer and has to acknowledge it; [`Gateway::record`] tells what is known so far.
    Answered(RequestId),
    /// An exchange is over.
    Finished(Box<ExchangeRecord>),
    /// Find a session that this shard does not hold, and take it over: owed one [`Gateway::handle_claim`]. At
    /// its deadline the core goes on without.
    Claim(ClaimId, ClaimKey),
    /// The answer to a [`Command::Release`]: the session, which is here no more, or that it cannot be had.
    Released(Ticket, Option<Box<Handover>>),
    /// A session is new or other than it was: remember it so.
    Save(Box<SessionRecord>),
    /// The session of this id has ended: nobody need remember it.
    Forget(u32),
}

/// What the shell may ask.
#[derive(Clone, Debug)]
pub enum Command {
    /// Give this to a handset.
    Push(Box<Push>),
    /// End the session of this id, if it is ours.
    Disconnect(u32),
    /// Another shard wants the session of this id: owed one [`Event::Released`].
    Release(Ticket, u32),
    /// The session of this id, which was made here, has ended elsewhere.
    EndedElsewhere(u32),
    /// Learn who has which address from now on.
    Identify(Arc<[identity::Change]>),
    /// Use this from now on.
    Reload(Arc<Config>),
    /// Serve these from now on.
    Enter(Mode),
    /// End up to so many sessions; given again and again, all of them.
    Farewell(usize),
}

/// The core of one shard.
#[derive(Debug)]
pub struct Gateway {
    config: Arc<Config>,
    wtp: wtp::Endpoint,
    sessions: Sessions,
    connectionless: Connectionless,
    exchanges: Exchanges,
    wants: Wants,
    clients: Clients,
    cookies: Jars,
    identities: identity::Table,
    gate: Gate,
    random: Random,
    events: VecDeque<Event>,
    mode: Mode,
    stats: Stats,
}

impl Gateway {
    /// A gateway that has heard nothing yet. `seed` decides everything that is random in it.
    #[must_use]
    pub fn new(config: Arc<Config>, seed: u64, now: Instant) -> Self {
        let mut random = Random::new(seed);
        Self {
            wtp: wtp::Endpoint::new(config.wtp.clone(), random.u64(), now),
            sessions: Sessions::new(config.wsp.clone(), random.u64()),
            exchanges: Exchanges::new(random.hasher()),
            wants: Wants::new(random.hasher()),
            clients: Clients::new(random.hasher()),
            connectionless: Connectionless::new(config.connectionless, random.u64()),
            cookies: Jars::new(random.hasher()),
            identities: identity::Table::new(random.hasher()),
            gate: Gate::new(random.hasher(), random.hasher()),
            random,
            events: VecDeque::new(),
            mode: Mode::Running,
            stats: Stats::default(),
            config,
        }
    }

    /// The same as one of several shards, or with a store that remembers sessions: others are asked for what is
    /// not here.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.sessions.set_place(place);
        self
    }

    /// A datagram arrived.
    pub fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) {
        match self.judge(now, &datagram) {
            Verdict::Pass => {}
            Verdict::Drop => return,
            Verdict::Refuse => return self.refuse(&datagram),
        }
        match datagram.service {
            Service::ConnectionMode => {
                self.wtp
                    .handle_datagram(now, datagram.peer, datagram.payload);
            }
            Service::Connectionless => {
                self.connectionless
                    .handle_datagram(now, datagram.peer, datagram.payload);
            }
        }
        self.run(now);
    }

    /// An upstream request ended. A reply to one that was cancelled meanwhile finds nobody.
    pub fn handle_reply(&mut self, now: Instant, id: RequestId, reply: Result<Reply, FetchError>) {
        match reply {
            Ok(reply) => self.answer(now, id, reply),
            Err(error) => self.fail(
                now,
                id,
                Problem::Upstream(error.failure),
                Some(error.detail),
            ),
        }
        self.run(now);
    }

    /// A claim ended: with the session, which is here from now on, or without. May come late; a session that
    /// does is taken in all the same, for nobody else has it.
    pub fn handle_claim(&mut self, now: Instant, id: ClaimId, found: Option<Handover>) {
        let (record, cookies) = found.map(Handover::into_parts).unzip();
        let session = record.as_ref().map(|record: &SessionRecord| record.id);
        self.sessions.handle_claim(now, id, record, &mut self.wtp);
        if let (Some(session), Some(cookies)) = (session, cookies)
            && self.sessions.find(session).is_some()
        {
            self.cookies
                .put(session, cookies, self.config.limits.max_cookies);
        }
        self.run(now);
    }

    /// The shell wants something.
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Push(push) => self.push(now, &push),
            Command::Disconnect(id) => {
                if let Some(session) = self.sessions.find(id) {
                    let told = self.sessions.disconnect(now, session.key, &mut self.wtp);
                    if let Some(peer) = told {
                        self.gate.owe(now, peer.remote.ip());
                    }
                }
            }
            Command::Release(ticket, id) => {
                let record = self.sessions.hand_over(now, id, &mut self.wtp);
                let session =
                    record.map(|record| Box::new(Handover::new(record, self.cookies.take(id))));
                self.events.push_back(Event::Released(ticket, session));
            }
            Command::EndedElsewhere(id) => self.sessions.ended_elsewhere(id),
            Command::Identify(changes) => self.identities.apply(&changes),
            Command::Reload(config) => {
                self.wtp.set_config(config.wtp.clone());
                self.sessions.set_config(config.wsp.clone());
                self.connectionless.set_config(config.connectionless);
                self.clients.forget();
                self.config = config;
            }
            Command::Enter(mode) => {
                self.mode = mode;
                self.wtp.set_leaving(mode == Mode::Leaving);
            }
            Command::Farewell(at_most) => {
                let (sessions, gate) = (&mut self.sessions, &mut self.gate);
                sessions.disconnect_some(now, at_most, &mut self.wtp, |peer| {
                    gate.owe(now, peer.remote.ip());
                });
            }
        }
        self.run(now);
    }

    /// The moment of [`poll_timeout`](Self::poll_timeout) has come. Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.wtp.handle_timeout(now);
        self.wtp.tidy(now);
        self.sessions.handle_timeout(now, &mut self.wtp);
        while let Some(id) = self.exchanges.pop_due(now) {
            self.events.push_back(Event::Cancel(id));
            self.fail(now, id, Problem::Deadline, None);
        }
        self.run(now);
    }

    /// Appends the next datagram to `buf`.
    pub fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<Transmit> {
        while let Some(transmit) = self.wtp.poll_transmit(buf) {
            let peer = transmit.peer;
            let has_proved = || self.sessions.has_proved(peer);
            if self
                .gate
                .may_send(peer.remote.ip(), transmit.len, has_proved)
            {
                return Some(transmit);
            }
            buf.truncate(buf.len().saturating_sub(transmit.len));
        }
        self.connectionless.poll_transmit(buf)
    }

    /// The next thing to do.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.wtp.poll_timeout(),
            self.wtp.tidy_at(),
            self.sessions.poll_timeout(),
            self.exchanges.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What is known of an exchange that is not over.
    #[must_use]
    pub fn record(&self, id: RequestId) -> Option<&ExchangeRecord> {
        self.exchanges.record(id)
    }

    /// What is known of every exchange that is not over.
    pub fn records(&self) -> impl Iterator<Item = &ExchangeRecord> {
        self.exchanges.records()
    }

    /// Counters and gauges, to be published.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            wtp: *self.wtp.stats(),
            wsp: *self.sessions.stats(),
            connectionless: *self.connectionless.stats(),
            sessions: self.sessions.len() as u64,
            transactions: self.wtp.transactions() as u64,
            exchanges: self.exchanges.len() as u64,
            in_flight: self.exchanges.in_flight() as u64,
            exchange_octets: self.exchanges.octets() as u64,
            protection: self.gate.stats,
            ..self.stats
        }
    }

    /// The routes in force.
    #[must_use]
    pub fn routes(&self) -> &Routes {
        &self.config.routes
    }

    /// The sessions, to be looked at.
    #[must_use]
    pub const fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Who asked for what this request fetches.
    #[must_use]
    pub fn asker(&self, id: RequestId) -> Option<Peer> {
        self.exchanges.asker(id)
    }

    /// Who has this address, as far as it is known.
    #[must_use]
    pub fn identity(&self, address: IpAddr) -> Option<&Arc<identity::Identity>> {
        self.identities.find(address)
    }

    /// When the oldest of the requests that wait for an origin came in.
    #[must_use]
    pub fn oldest_request(&self) -> Option<Instant> {
        self.exchanges.oldest_fetching()
    }

    /// Whether nothing is under way: no transaction, no exchange, no claim. Sessions may still be held.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.exchanges.len() == 0 && self.wtp.transactions() == 0 && self.sessions.claims() == 0
    }

    /// Whether a datagram is heard at all.
    fn judge(&mut self, now: Instant, datagram: &Datagram<'_>) -> Verdict {
        let requests = match datagram.service {
            Service::ConnectionMode => wtp::invokes(datagram.payload).count(),
            // Connectionless mode has its own rate.
            Service::Connectionless => 0,
        };
        let requests = u32::try_from(requests).unwrap_or(u32::MAX);
        let peer = datagram.peer;
        let is_in = || self.sessions.has_proved(peer);
        let (config, octets) = (&self.config.protection, datagram.payload.len());
        self.gate
            .hear(now, config, peer.remote.ip(), octets, requests, is_in)
    }

    /// Too much at once. Who has proved to be there is told to try again; others might not have asked.
    fn refuse(&mut self, datagram: &Datagram<'_>) {
        if self.sessions.has_proved(datagram.peer) {
            for tid in wtp::invokes(datagram.payload) {
                self.wtp.refuse(datagram.peer, tid);
            }
        }
    }

    /// Lets every layer hear what the one below it said, until all is quiet.
    fn run(&mut self, now: Instant) {
        loop {
            while let Some(indication) = self.sessions.poll_indication() {
                self.handle_session(now, indication);
            }
            while let Some((unit, invocation)) = self.connectionless.poll_indication() {
                self.begin(now, Asked::Unit(unit), invocation);
            }
            let Some(indication) = self.wtp.poll_indication() else {
                return;
            };
            self.sessions
                .handle_indication(now, indication, &mut self.wtp);
        }
    }

    fn handle_session(&mut self, now: Instant, indication: Indication) {
        match indication {
            Indication::Connect(session) => self.connect(now, session),
            Indication::Resume(session) => self.sessions.resume(now, session, &mut self.wtp),
            Indication::Suspended(..) => {}
            Indication::Disconnected(session, _) => self.cookies.forget(session.id),
            Indication::Claim(id, key) => self.events.push_back(Event::Claim(id, key)),
            Indication::Changed(session) => {
                let record = self.sessions.record(session);
                self.events
                    .extend(record.map(|record| Event::Save(Box::new(record))));
            }
            Indication::Gone(id) => self.events.push_back(Event::Forget(id)),
            Indication::Pushed(id, outcome) => {
                self.events.push_back(Event::PushDone(id, outcome));
            }
            Indication::Method(method, invocation) => {
                self.begin(now, Asked::Method(method), invocation);
            }
            Indication::Replied(method, headers, report) => {
                let ending = Ending::Acknowledged;
                self.end(now, Asked::Method(method), ending, headers, Some(report));
            }
            Indication::Aborted(method, ending, report) => {
                let ending = match (ending, report) {
                    (sessions::Ending::Lost(_), _) => Ending::Unacknowledged,
                    (sessions::Ending::Aborted(_), Some(_)) => Ending::Aborted,
                    (sessions::Ending::Aborted(_), None) => Ending::SessionEnded,
                };
                self.end(now, Asked::Method(method), ending, Bytes::new(), report);
            }
        }
    }

    /// A client wants a session: it is given one, or other addresses, or a refusal.
    fn connect(&mut self, now: Instant, session: SessionKey) {
        let config = Arc::clone(&self.config);
        let refused = self.mode.refuses_sessions();
        let elsewhere = match refused {
            Some(_) => config.drain_redirect.as_ref(),
            None => config.redirect.as_ref(),
        };
        if let Some(Redirect { flags, addresses }) = elsewhere {
            self.sessions
                .redirect(now, session, *flags, addresses, &mut self.wtp);
        } else if let Some(problem) = refused {
            let status = problem.status();
            self.sessions.refuse(now, session, status, &mut self.wtp);
        } else {
            self.sessions.accept(now, session, &mut self.wtp);
        }
    }

    /// A method begins: admit it, find its route, ask the origin.
    fn begin(&mut self, now: Instant, asked: Asked, invocation: Invocation) {
        self.stats.exchanges_begun += 1;
        let config = Arc::clone(&self.config);
        let mut exchange = Exchange {
            asked,
            state: State::Replying,
            verb: http::Method::GET,
            reader: reply::Reader {
                version: invocation.encoding,
                pages: invocation.pages.clone(),
                is_told: invocation.session.is_none(),
            },
            cookies_for: None,
            max_reply: invocation.max_reply,
            content: Content::default(),
            headers: None,
            way_back: None,
            record: ExchangeRecord {
                number: self.stats.exchanges_begun,
                peer: invocation.peer,
                session: invocation.session.map(|session| session.id),
                method: invocation.method,
                // Copied, so that the record does not keep the whole request until the last Ack.
                uri: Bytes::copy_from_slice(&invocation.uri),
                identity: self.identities.find(invocation.peer.remote.ip()).cloned(),
                syncml: None,
                route: None,
                target: None,
                status: None,
                problem: None,
                detail: None,
                ending: Ending::Unacknowledged,
                received: now,
                fetched: None,
                replied: None,
                finished: now,
                request_octets: invocation.body.as_ref().map_or(0, Bytes::len),
                reply_octets: 0,
                acknowledgement: Bytes::new(),
                air: None,
            },
        };
        match self.prepare(now, &config, &invocation, &mut exchange) {
            Ok(request) => {
                exchange.state = State::Fetching {
                    deadline: now + request.timeout + config.limits.deadline_grace,
                };
                exchange.record.fetched = Some(now);
                let id = self.exchanges.insert(exchange);
                self.events.push_back(Event::Fetch(id, request));
            }
            Err(Refused {
                problem,
                detail,
                page,
                allow,
            }) => {
                let (reader, max) = (&exchange.reader, exchange.max_reply);
                let sdu = reply::problem(problem, reader, page, allow.as_deref(), max);
                exchange.record.status = Some(problem.status());
                exchange.record.problem = Some(problem);
                exchange.record.detail = detail;
                exchange.record.replied = Some(now);
                self.stats.problems.add(problem);
                let id = self.exchanges.insert(exchange);
                self.say(now, id, asked, sdu, &[]);
            }
        }
    }

    /// The upstream request of an invocation, or why there is none.
    fn prepare(
        &mut self,
        now: Instant,
        config: &Config,
        invocation: &Invocation,
        exchange: &mut Exchange,
    ) -> Result<Request, Refused> {
        let service = match invocation.session {
            Some(_) => Service::ConnectionMode,
            None => Service::Connectionless,
        };
        if let Some(problem) = self.mode.refuses_requests(service) {
            return Err(problem.into());
        }
        if let Some(subscriber) = exchange.record.identity.as_deref()
            && let Some(subscriber) = subscriber.name()
        {
            let name = self.identities.digest(subscriber.reveal());
            self.gate
                .admit_subscriber(now, &config.protection, name)
                .map_err(|_| Problem::TooMany)?;
        }
        let octets = self.exchanges.octets() + exchange.record.request_octets;
        if self.exchanges.in_flight() >= config.limits.max_exchanges
            || octets > config.limits.max_octets
        {
            return Err(Problem::Busy.into());
        }
        let verb = request::method(invocation)?;
        exchange.verb = verb.clone();
        let mut headers = request::headers(invocation, &config.headers, &mut self.clients)?;
        let body = request::body(invocation, &mut headers, || self.random.u64())?;
        let uri = std::str::from_utf8(&invocation.uri).map_err(|_| Problem::BadRequest)?;
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        if let (Some(content_type), Some(body)) =
            (text(http::header::CONTENT_TYPE), &invocation.body)
        {
            exchange.record.syncml = SyncMl::of(content_type, body);
            if let Some(syncml) = &exchange.record.syncml {
                self.stats.syncml.count_request(syncml);
            }
        }
        let view = RequestView {
            uri,
            method: &verb,
            local_port: invocation.peer.local.port(),
            content_type: text(http::header::CONTENT_TYPE),
            user_agent: text(http::header::USER_AGENT),
            message: Message::Body(&body),
        };
        let target = config.routes.lookup(&view).map_err(|refusal| Refused {
            detail: Some(refusal.to_string()),
            allow: config.routes.allowed_methods(&view),
            ..answer::refused(refusal).into()
        })?;
        if let (Cookies::Gateway, Some(session)) = (config.headers.cookies, invocation.session)
            && !cookies::has_own(&headers)
        {
            if let Some(cookie) = self.cookies.cookie(now, session.id, &target.uri) {
                headers.insert(http::header::COOKIE, cookie);
            }
            exchange.cookies_for = Some(Box::new(target.uri.clone()));
        }
        exchange.record.route = Some(target.route);
        let handset = invocation.peer.remote.ip();
        let subscriber = exchange.record.identity.as_deref();
        target
            .headers
            .apply_to_request(&mut headers, handset, subscriber);
        exchange.headers = Some(target.headers);
        exchange.way_back = target.way_back.filter(|_| !content::is_sealed(&headers));
        // What cannot be delivered need not be read.
        let cost = target.limits;
        let max_reply = exchange
            .max_reply
            .map_or(cost.max_reply, |max| max.min(cost.max_reply));
        let mut request = Request {
            method: verb,
            uri: target.uri,
            headers,
            body,
            max_reply,
            connect_timeout: cost.connect_timeout,
            first_byte_timeout: cost.first_byte_timeout,
            timeout: cost.timeout,
        };
        let stats = &mut self.stats.content;
        exchange.content = content::outgoing(&target.content, &mut request, &self.wants, stats)?;
        exchange.record.target = request.uri.authority().cloned();
        Ok(request)
    }

    /// The origin answered.
    fn answer(&mut self, now: Instant, id: RequestId, mut reply: Reply) {
        let Some(exchange) = self.exchanges.fetching(id) else {
            self.stats.late_replies += 1;
            return;
        };
        let stats = &mut self.stats.content;
        if let Some(request) = exchange.content.second_try(&reply, stats) {
            let deadline = now + request.timeout + self.config.limits.deadline_grace;
            if let Some(id) = self.exchanges.renew(id, deadline) {
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
            .map(http::uri::Authority::as_str);
        let room = exchange.max_reply;
        let wants = &mut self.wants;
        if let Err((problem, detail)) = exchange
            .content
            .incoming(origin, &mut reply, room, wants, stats)
        {
            return self.fail(now, id, problem, detail);
        }
        if let (Some(uri), Some(session)) = (&exchange.cookies_for, exchange.record.session) {
            let max = self.config.limits.max_cookies;
            self.cookies.keep(now, session, uri, &reply.headers, max);
            reply.headers.remove(http::header::SET_COOKIE);
        }
        if let Some(way) = &exchange.way_back
            && !content::is_sealed(&reply.headers)
        {
            way_back::lead(way, &mut reply);
        }
        if let Some(policy) = &exchange.headers {
            policy.apply_to_reply(&mut reply.headers);
        }
        let drop = &self.config.headers.drop_to_handset;
        match reply::encode(&reply, &exchange.verb, &exchange.reader, drop, room) {
            Ok(sdu) => {
                let asked = exchange.asked;
                exchange.record.status = Some(reply.status.as_u16());
                exchange.record.replied = Some(now);
                exchange.record.reply_octets = reply.body.len();
                let trailers = reply::trailers(&reply, &exchange.reader, drop);
                self.exchanges.replying(id);
                self.say(now, id, asked, sdu, &trailers);
            }
            Err(problem) => self.fail(now, id, problem, None),
        }
    }

    /// There will be no answer of the origin: the handset is given ours.
    fn fail(&mut self, now: Instant, id: RequestId, problem: Problem, detail: Option<String>) {
        let Some(exchange) = self.exchanges.fetching(id) else {
            self.stats.late_replies += 1;
            return;
        };
        let asked = exchange.asked;
        let sdu = reply::problem(problem, &exchange.reader, None, None, exchange.max_reply);
        exchange.record.status = Some(problem.status());
        exchange.record.problem = Some(problem);
        exchange.record.detail = detail;
        exchange.record.replied = Some(now);
        self.stats.problems.add(problem);
        self.exchanges.replying(id);
        self.say(now, id, asked, sdu, &[]);
    }

    /// S-MethodResult.req or S-Unit-MethodResult.req. The latter is the end of it: nobody acknowledges.
    fn say(&mut self, now: Instant, id: RequestId, asked: Asked, sdu: Bytes, trailers: &[u8]) {
        match asked {
            Asked::Method(method) => {
                self.events.push_back(Event::Answered(id));
                self.sessions
                    .reply(now, method, sdu, trailers, &mut self.wtp);
            }
            Asked::Unit(unit) => {
                self.connectionless.reply(now, unit, sdu);
                self.end(now, asked, Ending::Sent, Bytes::new(), None);
            }
        }
    }

    /// A method is over for the handset: so is the exchange, and the origin is told if it still works.
    fn end(
        &mut self,
        now: Instant,
        asked: Asked,
        ending: Ending,
        acknowledgement: Bytes,
        report: Option<wtp::Report>,
    ) {
        let Some((id, mut exchange)) = self.exchanges.remove(asked) else {
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
}
