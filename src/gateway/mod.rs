//! The gateway's core: decides everything that a handset can observe, without I/O.
//!
//! Inputs are `handle_*` methods; they are given the time and cannot fail. After each input the
//! caller drains the outputs: [`poll_transmit`](Gateway::poll_transmit), then
//! [`poll_event`](Gateway::poll_event). [`poll_timeout`](Gateway::poll_timeout) says when to call
//! [`handle_timeout`](Gateway::handle_timeout). Two runs with one seed are the same octet for
//! octet. Polling makes no protocol decision, with one exception: [`protection`] discards a
//! datagram beyond the credit of an unproved address when it is polled, as if the network had lost
//! it.

mod address_cache;
mod admission;
pub mod answer;
mod coding;
mod command;
mod content;
mod cookie_date;
mod cookies;
pub mod delivery;
pub mod directory;
mod exchange;
pub mod fetch;
pub mod handover;
mod header_cache;
pub mod http;
mod http_exchange;
mod identify;
mod lifecycle;
mod mode;
pub mod protection;
pub mod push;
pub mod record;
mod reply;
mod request;
mod reverse_mapping;
mod settings;
mod stats;
pub mod syncml;
mod transfers;
mod uaprof;
mod usage;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::gateway::address_cache::AddressCache;
use crate::gateway::answer::{Problem, Refused};
pub use crate::gateway::command::Command;
use crate::gateway::content::Translator;
use crate::gateway::cookies::CookieStore;
use crate::gateway::exchange::{Exchanges, Requester};
use crate::gateway::fetch::{FetchError, Reply, Request, RequestId};
use crate::gateway::handover::{Handover, Ticket};
use crate::gateway::header_cache::HeaderCache;
use crate::gateway::http::HttpId;
use crate::gateway::identify::identify;
pub use crate::gateway::mode::Mode;
use crate::gateway::protection::{Decision, Policer};
use crate::gateway::push::{PushId, PushOutcome};
use crate::gateway::record::{Ending, ExchangeRecord};
pub use crate::gateway::settings::{
    BROWSER_HEADERS, Config, ContentLength, Cookies, HeaderRules, Limits, Redirect, RedirectError,
    Unassigned,
};
pub use crate::gateway::stats::{ProblemCounts, Stats};
use crate::identity;
use crate::random::Random;
use crate::route::Routes;
use crate::time::Instant;
use crate::wdp::{Datagram, Peer, Service, Transmit};
use crate::wsp::claim::{ClaimId, ClaimKey, ShardTopology};
use crate::wsp::connectionless::Connectionless;
use crate::wsp::id_key::IdKey;
use crate::wsp::saved::SessionRecord;
use crate::wsp::session::SessionKey;
use crate::wsp::sessions::{self, Indication, Sessions};
use crate::wtp;

/// An action that the core asks of its caller.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "every exchange has one Fetch; boxing it would cost each an allocation"
)]
pub enum Event {
    /// Start an upstream request; owed exactly one [`Gateway::handle_reply`], unless cancelled.
    Fetch(RequestId, Request),
    /// Cancel the request: its reply is no longer wanted. Comes at most once, and never after the
    /// reply.
    Cancel(RequestId),
    /// The result of a push: one for each [`Command::Push`].
    PushDone(PushId, PushOutcome),
    /// The handset was sent its reply and has to acknowledge it. [`Gateway::record`] has the
    /// figures so far.
    Answered(RequestId),
    /// The reply to a request over HTTP: owed one [`Gateway::handle_http_end`].
    HttpReply(HttpId, Box<::http::Response<Bytes>>),
    /// An exchange is over.
    Finished(Box<ExchangeRecord>),
    /// Find a session that this shard does not hold, and take it over: owed one
    /// [`Gateway::handle_claim`]. At its deadline the core goes on without.
    Claim(ClaimId, ClaimKey),
    /// The answer to a [`Command::Release`]: the session, which is here no more, or that it cannot
    /// be had.
    Released(Ticket, Option<Box<Handover>>),
    /// A session is new or other than it was: remember it so.
    Save(Box<SessionRecord>),
    /// The session with this id has ended: its record can be dropped.
    Forget(u32),
}

/// The core of one shard.
#[derive(Debug)]
pub struct Gateway {
    config: Arc<Config>,
    wtp: wtp::Endpoint,
    sessions: Sessions,
    connectionless: Connectionless,
    exchanges: Exchanges,
    translator: Translator,
    header_cache: HeaderCache,
    addresses: AddressCache,
    cookies: CookieStore,
    identities: identity::Table,
    id_key: IdKey,
    policer: Policer,
    /// Seconds since 1970 at [`Instant::ZERO`], if they are known.
    epoch: Option<u64>,
    /// Our ports where WTLS is spoken.
    secure_ports: Vec<u16>,
    random: Random,
    /// The ids of traces.
    trace_ids: Random,
    events: VecDeque<Event>,
    mode: Mode,
    stats: Stats,
}

impl Gateway {
    /// A new gateway. `seed` decides all random values.
    #[must_use]
    pub fn new(config: Arc<Config>, seed: u64, now: Instant) -> Self {
        let mut random = Random::new(seed);
        Self {
            wtp: wtp::Endpoint::new(config.transactions(), random.u64(), now),
            sessions: Sessions::new(config.wsp.clone(), random.u64()),
            exchanges: Exchanges::new(&mut random),
            translator: Translator::new(random.hasher(), random.hasher()),
            header_cache: HeaderCache::new(random.hasher()),
            connectionless: Connectionless::new(config.connectionless, random.u64()),
            cookies: CookieStore::new(random.hasher()),
            identities: identity::Table::new(random.hasher()),
            id_key: ShardTopology::single().id_key,
            policer: Policer::new(random.hasher(), random.hasher()),
            addresses: AddressCache::new(random.hasher()),
            epoch: None,
            secure_ports: Vec::new(),
            random,
            trace_ids: Random::apart(seed),
            events: VecDeque::new(),
            mode: Mode::Running,
            stats: Stats::default(),
            config,
        }
    }

    /// Makes the gateway one of several shards, or gives it a store: unknown sessions are then
    /// claimed.
    #[must_use]
    pub fn at(mut self, topology: ShardTopology) -> Self {
        self.sessions.set_topology(topology);
        self.id_key = topology.id_key;
        self
    }

    /// Gives the gateway a calendar: `epoch` is the seconds since 1970 at [`Instant::ZERO`]. Dates
    /// of cookies are compared with it, and handsets can ask for the time.
    #[must_use]
    pub const fn with_epoch(mut self, epoch: u64) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// The same where WTLS is spoken on these of our ports: their datagrams come from inside
    /// records. Their peers have answered a random number in a handshake, and so proved that they
    /// receive: they are sent as much as handsets of the operator's own networks.
    #[must_use]
    pub fn with_secure_ports(mut self, ports: Vec<u16>) -> Self {
        self.wtp = self.wtp.with_proved_ports(ports.clone());
        self.secure_ports = ports;
        self
    }

    /// Whether what a peer sends came in WTLS records.
    #[must_use]
    pub fn is_secured(&self, peer: Peer) -> bool {
        self.secure_ports.contains(&peer.local.port())
    }

    /// Whether handsets may be at an address.
    #[must_use]
    pub fn admits(&self, address: IpAddr) -> bool {
        self.config.protection.admits(address)
    }

    /// A datagram arrived.
    pub fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) {
        match self.police(now, &datagram) {
            Decision::Pass => {}
            Decision::Drop => return,
            Decision::Refuse => return self.refuse(&datagram),
        }
        match datagram.service {
            Service::ConnectionMode | Service::SecureConnectionMode => {
                self.wtp
                    .handle_datagram(now, datagram.peer, datagram.payload);
            }
            Service::Connectionless | Service::SecureConnectionless => {
                let peer = datagram.peer;
                let trusted = self.config.trusts(peer.remote.ip()) || self.is_secured(peer);
                self.connectionless
                    .handle_datagram(now, datagram.peer, datagram.payload, trusted);
            }
        }
        self.run(now);
    }

    /// An upstream request ended. A reply to a cancelled request is dropped.
    pub fn handle_reply(&mut self, now: Instant, id: RequestId, reply: Result<Reply, FetchError>) {
        match reply {
            Ok(reply) => self.answer(now, id, reply),
            Err(error) => {
                let refused = Refused {
                    detail: Some(error.detail),
                    ..Problem::Upstream(error.failure).into()
                };
                self.fail(now, id, refused);
            }
        }
        self.run(now);
    }

    /// Adds a detail for the operator's log to the request whose reply comes next.
    pub fn annotate(&mut self, id: RequestId, detail: String) {
        if let Some(exchange) = self.exchanges.fetching(id) {
            exchange.record.detail = Some(detail);
        }
    }

    /// The reply to a request, which comes next, began at this time.
    pub fn reply_began(&mut self, id: RequestId, at: Instant) {
        if let Some(exchange) = self.exchanges.fetching(id) {
            exchange.record.reply_began = Some(at);
        }
    }

    /// A claim ended: with the session, which is in this shard from now on, or without. A session
    /// that comes after the claim's deadline is taken in all the same, since no other shard has it.
    pub fn handle_claim(&mut self, now: Instant, id: ClaimId, found: Option<Handover>) {
        let (record, kept) = found.map(Handover::into_parts).unzip();
        let session = record.as_ref().map(|record: &SessionRecord| record.id);
        self.sessions.handle_claim(
            now,
            id,
            record,
            &identify(&self.identities, self.id_key),
            &mut self.wtp,
        );
        if let (Some(session), Some(kept)) = (session, kept)
            && self.sessions.find(session).is_some()
        {
            let max = self.config.limits.max_cookies;
            self.cookies.put(session, kept.cookies, max);
            self.translator.transfers.put(session, kept.transfer);
        }
        self.run(now);
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come. An early call has no effect.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.wtp.handle_timeout(now);
        self.wtp.tidy(now);
        self.sessions
            .handle_timeout(now, &identify(&self.identities, self.id_key), &mut self.wtp);
        while let Some(id) = self.exchanges.pop_due(now) {
            self.events.push_back(Event::Cancel(id));
            self.fail(now, id, Problem::Deadline.into());
        }
        self.run(now);
    }

    /// Appends the next datagram to `buf`. Discards datagrams beyond the credit of an unproved
    /// address.
    pub fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<Transmit> {
        while let Some(transmit) = self.wtp.poll_transmit(buf) {
            let peer = transmit.peer;
            let is_secured = self.is_secured(peer);
            let has_proved = || is_secured || self.sessions.has_proved(peer);
            if self
                .policer
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

    /// The figures of an exchange that is not over.
    #[must_use]
    pub fn record(&self, id: RequestId) -> Option<&ExchangeRecord> {
        self.exchanges.record(id)
    }

    /// The figures of every exchange that is not over.
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
            in_flight: self.exchanges.usage().requests() as u64,
            exchange_octets: self.exchanges.usage().octets() as u64,
            early: self.sessions.early() as u64,
            open_claims: self.sessions.open_claims() as u64,
            watched_addresses: self.policer.watched() as u64,
            protection: self.policer.stats,
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

    /// The requester of an upstream request.
    #[must_use]
    pub fn requester(&self, id: RequestId) -> Option<Peer> {
        self.exchanges.requester_peer(id)
    }

    /// The subscriber of this address, if known.
    #[must_use]
    pub fn identity(&self, address: IpAddr) -> Option<&Arc<identity::Identity>> {
        self.identities.find(address)
    }

    /// When the oldest of the requests that wait for an origin came in.
    #[must_use]
    pub fn oldest_request(&self) -> Option<Instant> {
        self.exchanges.oldest_fetching()
    }

    /// Whether no transaction, no exchange and no claim is under way. Sessions and tunnels of CONNECT
    /// may exist.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.exchanges.is_idle() && self.wtp.transactions() == 0 && self.sessions.claims() == 0
    }

    /// Decides whether a datagram is accepted.
    fn police(&mut self, now: Instant, datagram: &Datagram<'_>) -> Decision {
        let requests = match datagram.service {
            Service::ConnectionMode | Service::SecureConnectionMode => {
                wtp::invokes(datagram.payload).count()
            }
            // Connectionless mode has its own rate.
            Service::Connectionless | Service::SecureConnectionless => 0,
        };
        let requests = u32::try_from(requests).unwrap_or(u32::MAX);
        let peer = datagram.peer;
        let is_in = || self.sessions.has_proved(peer);
        let (config, octets) = (&self.config.protection, datagram.payload.len());
        self.policer
            .admit(now, config, peer.remote.ip(), octets, requests, is_in)
    }

    /// Refuses a datagram beyond a limit. A handset that has proved its address gets an Abort, so
    /// that it tries again; the address of any other may be forged.
    fn refuse(&mut self, datagram: &Datagram<'_>) {
        let peer = datagram.peer;
        if self.is_secured(peer) || self.sessions.has_proved(peer) {
            for tid in wtp::invokes(datagram.payload) {
                self.wtp.refuse(datagram.peer, tid);
            }
        }
    }

    /// Passes the indications of each layer to the one above, until there are none.
    fn run(&mut self, now: Instant) {
        loop {
            while let Some(indication) = self.sessions.poll_indication() {
                self.handle_session(now, indication);
            }
            while let Some((unit, invocation)) = self.connectionless.poll_indication() {
                self.begin(now, Requester::Unit(unit), invocation);
            }
            let Some(indication) = self.wtp.poll_indication() else {
                return;
            };
            self.sessions.handle_indication(
                now,
                indication,
                &identify(&self.identities, self.id_key),
                &mut self.wtp,
            );
        }
    }

    fn handle_session(&mut self, now: Instant, indication: Indication) {
        match indication {
            Indication::Connect(session) => self.connect(now, session),
            Indication::Resume(session) => self.sessions.resume(now, session, &mut self.wtp),
            Indication::Suspended(..) => {}
            Indication::Disconnected(session, _) | Indication::SubscriberChanged(session) => {
                self.cookies.forget(session.id);
                self.translator.transfers.take(session.id);
            }
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
                self.begin(now, Requester::Method(method), invocation);
            }
            Indication::Replied(method, headers, report) => {
                let ending = Ending::Acknowledged;
                self.end(
                    now,
                    Requester::Method(method),
                    ending,
                    headers,
                    Some(report),
                );
            }
            Indication::Aborted(method, ending, report) => {
                let ending = match (ending, report) {
                    (sessions::EndReason::Lost(_), _) => Ending::Unacknowledged,
                    (sessions::EndReason::Aborted(_), Some(_)) => Ending::Aborted,
                    (sessions::EndReason::Aborted(_), None) => Ending::SessionEnded,
                };
                self.end(now, Requester::Method(method), ending, Bytes::new(), report);
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
}
