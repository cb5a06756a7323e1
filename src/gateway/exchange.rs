//! The table of exchanges: one WSP method and its upstream request, from admission to its end.

use std::sync::Arc;

use crate::gateway::coding::Codings;
use crate::gateway::content::Content;
use crate::gateway::fetch::RequestId;
use crate::gateway::http::HttpId;
use crate::gateway::record::ExchangeRecord;
use crate::gateway::reply::ReplyEncoding;
use crate::gateway::settings::Limits;
use crate::gateway::usage::{Charge, Usage};
use crate::random::{Keyed, Random};
use crate::route::{HeaderPolicy, ReverseMapping, SessionUri};
use crate::table::{HasKey, Map};
use crate::time::{Instant, Timers};
use crate::wdp::Peer;
use crate::wsp::connectionless::UnitId;
use crate::wsp::method::{MethodId, ReplyLimit};

/// One WSP method and its upstream request.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) requester: Requester,
    pub(super) state: State,
    pub(super) encoding: Encoding,
    /// Octets a reply SDU may have.
    pub(super) max_reply: Option<usize>,
    /// The limit behind `max_reply`.
    pub(super) reply_limit: ReplyLimit,
    /// Octets the gateway's own reply may have, if they are fewer.
    pub(super) max_problem: Option<usize>,
    /// Octets held: of the request as it goes upstream, then of the reply SDU until it is
    /// acknowledged.
    pub(super) held: usize,
    /// Octets set aside for the reply while it arrives.
    pub(super) reserved: usize,
    pub(super) plan: ReplyPlan,
    pub(super) record: ExchangeRecord,
}

impl Exchange {
    /// Whether it is the tunnel of a CONNECT that its origin has accepted.
    fn is_tunnel(&self) -> bool {
        self.plan.method == http::Method::CONNECT
            && self.state == State::Replying
            && self.record.status == Some(200)
    }

    /// What it uses of the limits.
    fn charge(&self) -> Charge<'_> {
        let target = self.record.target.as_ref();
        Charge {
            source: self.record.peer.remote.ip(),
            origin: target.map_or("", http::uri::Authority::as_str),
            is_in_flight: self.state != State::Replying,
            octets: self.held + self.reserved,
        }
    }
}

/// The form of a reply on its way to the handset.
#[derive(Debug)]
pub(super) enum Encoding {
    /// A Reply PDU.
    Wsp(ReplyEncoding),
    /// A response of HTTP.
    Http,
}

/// Changes to the origin's reply.
#[derive(Debug, Default)]
pub(super) struct ReplyPlan {
    /// The HTTP method, which decides whether a reply has a body.
    pub(super) method: http::Method,
    /// Octets of body that the route takes.
    pub(super) max_reply: usize,
    /// The URI for cookies in the reply, if the gateway keeps them for the handset.
    pub(super) cookies_for: Option<Box<http::Uri>>,
    pub(super) content: Content,
    pub(super) codings: Codings,
    /// Whether the handset asks for the time.
    pub(super) asks_time: bool,
    /// The route's changes to header fields.
    pub(super) headers: Option<Arc<HeaderPolicy>>,
    /// The reverse mapping of the route, if addresses in the reply are to be replaced.
    pub(super) reverse_mapping: Option<Box<ReverseMapping>>,
    /// The place of a SyncML session, for a client of OBEX.
    pub(super) session: Option<Box<SessionUri>>,
}

/// The method that an exchange answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Requester {
    /// A method of a session.
    Method(MethodId),
    /// A datagram in connectionless mode.
    Unit(UnitId),
    /// A request over HTTP.
    Http(HttpId),
}

/// The event that an exchange waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The origin's reply, until the deadline.
    Fetching { deadline: Instant },
    /// The handset's last acknowledgement.
    Replying,
}

impl HasKey<Requester> for (u32, Exchange) {
    fn key(&self) -> Requester {
        self.1.requester
    }
}

/// The exchanges of one gateway.
#[derive(Debug)]
pub(super) struct Exchanges {
    /// Each with the generation of its id.
    slots: Map<Requester, (u32, Exchange), Keyed>,
    deadlines: Timers,
    next_generation: u32,
    usage: Usage,
    /// Exchanges that are open tunnels of CONNECT.
    tunnels: usize,
}

impl Exchanges {
    /// No exchanges so far.
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            slots: Map::new(random.hasher()),
            deadlines: Timers::new(),
            next_generation: 0,
            tunnels: 0,
            usage: Usage::new(random),
        }
    }

    /// Resources that the exchanges use.
    pub(super) const fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Adds an exchange and gives it an id.
    pub(super) fn insert(&mut self, exchange: Exchange) -> RequestId {
        self.next_generation = self.next_generation.wrapping_add(1);
        let state = exchange.state;
        self.usage.add(&exchange.charge());
        let slot = self.slots.insert((self.next_generation, exchange));
        let id = RequestId {
            slot,
            generation: self.next_generation,
        };
        if let State::Fetching { deadline } = state {
            self.deadlines.schedule(deadline, slot);
        }
        id
    }

    /// The exchange, while its origin's reply is still wanted.
    pub(super) fn fetching(&mut self, id: RequestId) -> Option<&mut Exchange> {
        let (generation, exchange) = self.slots.get_mut(id.slot)?;
        (*generation == id.generation && exchange.state != State::Replying).then_some(exchange)
    }

    /// The peer that a request is made for, until the exchange is over.
    pub(super) fn requester_peer(&self, id: RequestId) -> Option<Peer> {
        self.record(id).map(|record| record.peer)
    }

    /// The record of an exchange that is not over.
    pub(super) fn record(&self, id: RequestId) -> Option<&ExchangeRecord> {
        let (generation, exchange) = self.slots.get(id.slot)?;
        (*generation == id.generation).then_some(&exchange.record)
    }

    /// The record of the exchange of a requester, until the exchange is over.
    pub(super) fn record_mut(&mut self, requester: Requester) -> Option<&mut ExchangeRecord> {
        let slot = self.slots.find(&requester)?;
        let (_, exchange) = self.slots.get_mut(slot)?;
        Some(&mut exchange.record)
    }

    /// The requester of an upstream request that runs.
    pub(super) fn requester(&self, id: RequestId) -> Option<Requester> {
        let (generation, exchange) = self.slots.get(id.slot)?;
        let is_wanted = *generation == id.generation && exchange.state != State::Replying;
        is_wanted.then_some(exchange.requester)
    }

    /// The records of all exchanges that are not over.
    pub(super) fn records(&self) -> impl Iterator<Item = &ExchangeRecord> {
        self.slots.iter().map(|(_, (_, exchange))| &exchange.record)
    }

    /// The exchange asks its origin once more: under a new id, until a new deadline, with a body of
    /// so many octets.
    pub(super) fn renew(
        &mut self,
        id: RequestId,
        deadline: Instant,
        octets: usize,
    ) -> Option<RequestId> {
        let generation = self.next_generation.wrapping_add(1);
        let (theirs, exchange) = self.slots.get_mut(id.slot)?;
        if *theirs != id.generation {
            return None;
        }
        *theirs = generation;
        self.next_generation = generation;
        self.usage.remove(&exchange.charge());
        exchange.held = octets;
        exchange.reserved = 0;
        exchange.state = State::Fetching { deadline };
        self.usage.add(&exchange.charge());
        self.deadlines.schedule(deadline, id.slot);
        Some(RequestId { generation, ..id })
    }

    /// A reply SDU of so many octets goes to the transaction layer; only the handset's
    /// acknowledgement is missing.
    pub(super) fn replying(&mut self, id: RequestId, octets: usize) {
        let Some((generation, exchange)) = self.slots.get_mut(id.slot) else {
            return;
        };
        if *generation == id.generation {
            self.usage.remove(&exchange.charge());
            exchange.held = octets;
            exchange.reserved = 0;
            exchange.state = State::Replying;
            self.usage.add(&exchange.charge());
            self.tunnels += usize::from(exchange.is_tunnel());
        }
    }

    /// Sets so many octets aside for the reply to a request, in place of those set aside before.
    /// False if they are not free for its source, or if the reply is no longer wanted.
    pub(super) fn reserve(&mut self, id: RequestId, octets: usize, limits: &Limits) -> bool {
        let Some((generation, exchange)) = self.slots.get_mut(id.slot) else {
            return false;
        };
        if *generation != id.generation || exchange.state == State::Replying {
            return false;
        }
        let source = exchange.record.peer.remote.ip();
        let check = self
            .usage
            .check_octets(source, octets, exchange.reserved, limits);
        if octets > exchange.reserved && check.is_err() {
            return false;
        }
        self.usage.remove(&exchange.charge());
        exchange.reserved = exchange.reserved.max(octets);
        self.usage.add(&exchange.charge());
        true
    }

    /// Removes the exchange of a method that is over.
    pub(super) fn remove(&mut self, requester: Requester) -> Option<(RequestId, Exchange)> {
        let slot = self.slots.find(&requester)?;
        let (generation, exchange) = self.slots.remove(slot)?;
        self.usage.remove(&exchange.charge());
        self.tunnels -= usize::from(exchange.is_tunnel());
        Some((RequestId { slot, generation }, exchange))
    }

    /// Takes an exchange whose deadline has passed while it waits for its origin.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<RequestId> {
        while let Some(slot) = self.deadlines.pop_due(now) {
            let Some((generation, exchange)) = self.slots.get(slot) else {
                continue;
            };
            let State::Fetching { deadline } = exchange.state else {
                continue;
            };
            if deadline > now {
                self.deadlines.schedule(deadline, slot);
                continue;
            }
            let generation = *generation;
            return Some(RequestId { slot, generation });
        }
        None
    }

    /// The next moment at which an exchange may be due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// When the oldest request that waits for its origin came.
    pub(super) fn oldest_fetching(&self) -> Option<Instant> {
        let fetching = self.slots.iter().filter_map(|(_, (_, exchange))| {
            (exchange.state != State::Replying).then_some(exchange.record.received)
        });
        fetching.min()
    }

    /// Whether no exchange is under way but open tunnels, which have no end of their own.
    pub(super) const fn is_idle(&self) -> bool {
        self.slots.len() == self.tunnels
    }

    /// Exchanges in all.
    pub(super) const fn len(&self) -> usize {
        self.slots.len()
    }
}
