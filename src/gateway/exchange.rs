//! Exchanges in flight: one WSP method and its upstream request, from admission to its end.

use std::hash::BuildHasher;
use std::sync::Arc;

use crate::gateway::content::Content;
use crate::gateway::fetch::RequestId;
use crate::gateway::record::ExchangeRecord;
use crate::gateway::reply::Reader;
use crate::random::Keyed;
use crate::route::{HeaderPolicy, WayBack};
use crate::table::{Index, Slab};
use crate::time::{Instant, Timers};
use crate::wdp::Peer;
use crate::wsp::connectionless::UnitId;
use crate::wsp::method::MethodId;

/// One WSP method and what is being done about it.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) asked: Asked,
    pub(super) state: State,
    /// The HTTP method, which decides what a reply looks like.
    pub(super) verb: http::Method,
    pub(super) reader: Reader,
    /// Whose cookies the reply may set, if the gateway keeps them for the handset.
    pub(super) cookies_for: Option<Box<http::Uri>>,
    /// Octets a reply SDU may have.
    pub(super) max_reply: Option<usize>,
    pub(super) content: Content,
    /// What the route does to header fields, once there is one.
    pub(super) headers: Option<Arc<HeaderPolicy>>,
    /// The way back through the route, if addresses in the reply are to be replaced.
    pub(super) way_back: Option<Box<WayBack>>,
    pub(super) record: ExchangeRecord,
}

impl Exchange {
    /// Octets of bodies held for it: the request's until the answer is here, then the answer's.
    const fn held(&self) -> usize {
        match self.state {
            State::Fetching { .. } => self.record.request_octets,
            State::Replying => self.record.reply_octets,
        }
    }
}

/// Who asked, and is owed the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Asked {
    /// A session's method.
    Method(MethodId),
    /// A datagram in connectionless mode.
    Unit(UnitId),
}

/// What an exchange waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The origin's answer, until this moment.
    Fetching { deadline: Instant },
    /// The handset's last acknowledgement.
    Replying,
}

/// The exchanges of one gateway.
#[derive(Debug)]
pub(super) struct Exchanges {
    slots: Slab<(u32, Exchange)>,
    by_asker: Index,
    hasher: Keyed,
    deadlines: Timers,
    next_generation: u32,
    fetching: usize,
    octets: usize,
}

impl Exchanges {
    /// None yet.
    pub(super) fn new(hasher: Keyed) -> Self {
        Self {
            slots: Slab::new(),
            by_asker: Index::new(),
            hasher,
            deadlines: Timers::new(),
            next_generation: 0,
            fetching: 0,
            octets: 0,
        }
    }

    /// Takes one in and names it.
    pub(super) fn insert(&mut self, exchange: Exchange) -> RequestId {
        self.next_generation = self.next_generation.wrapping_add(1);
        let asked = exchange.asked;
        let state = exchange.state;
        self.octets += exchange.held();
        let slot = self.slots.insert((self.next_generation, exchange));
        let id = RequestId {
            slot,
            generation: self.next_generation,
        };
        let rehash = rehash(&self.slots, self.hasher);
        self.by_asker
            .insert(self.hasher.hash_one(asked), slot, rehash);
        if let State::Fetching { deadline } = state {
            self.fetching += 1;
            self.deadlines.schedule(deadline, slot);
        }
        id
    }

    /// The exchange, while its answer is still wanted.
    pub(super) fn fetching(&mut self, id: RequestId) -> Option<&mut Exchange> {
        let (generation, exchange) = self.slots.get_mut(id.slot)?;
        (*generation == id.generation && exchange.state != State::Replying).then_some(exchange)
    }

    /// Who began the exchange of this request, while its answer is still wanted.
    pub(super) fn asker(&self, id: RequestId) -> Option<Peer> {
        let (generation, exchange) = self.slots.get(id.slot)?;
        (*generation == id.generation).then_some(exchange.record.peer)
    }

    /// What is known of an exchange.
    pub(super) fn record(&self, id: RequestId) -> Option<&ExchangeRecord> {
        let (generation, exchange) = self.slots.get(id.slot)?;
        (*generation == id.generation).then_some(&exchange.record)
    }

    /// What is known of every exchange.
    pub(super) fn records(&self) -> impl Iterator<Item = &ExchangeRecord> {
        self.slots.iter().map(|(_, (_, exchange))| &exchange.record)
    }

    /// The exchange asks its origin once more: under a new name and until a new deadline.
    pub(super) fn renew(&mut self, id: RequestId, deadline: Instant) -> Option<RequestId> {
        self.next_generation = self.next_generation.wrapping_add(1);
        let renewed = RequestId {
            generation: self.next_generation,
            ..id
        };
        let (generation, exchange) = self.slots.get_mut(id.slot)?;
        if *generation != id.generation {
            return None;
        }
        *generation = renewed.generation;
        exchange.state = State::Fetching { deadline };
        self.deadlines.schedule(deadline, id.slot);
        Some(renewed)
    }

    /// The answer is with the transaction layer; only the handset's acknowledgement is missing.
    pub(super) fn replying(&mut self, id: RequestId) {
        if let Some(exchange) = self.fetching(id) {
            let before = exchange.held();
            exchange.state = State::Replying;
            let after = exchange.held();
            self.octets = self.octets - before + after;
            self.fetching -= 1;
        }
    }

    /// Takes out the exchange of a method that is over.
    pub(super) fn remove(&mut self, asked: Asked) -> Option<(RequestId, Exchange)> {
        let is_it = |slot| {
            let exchange = self.slots.get(slot);
            exchange.is_some_and(|(_, exchange)| exchange.asked == asked)
        };
        let rehash = rehash(&self.slots, self.hasher);
        let hash = self.hasher.hash_one(asked);
        let slot = self.by_asker.remove(hash, is_it, rehash)?;
        let (generation, exchange) = self.slots.remove(slot)?;
        let id = RequestId { slot, generation };
        self.octets -= exchange.held();
        if exchange.state != State::Replying {
            self.fetching -= 1;
        }
        Some((id, exchange))
    }

    /// An exchange whose deadline has passed while it waits for the origin.
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

    /// The next moment an exchange may be due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// When the oldest of those that wait for an origin began.
    pub(super) fn oldest_fetching(&self) -> Option<Instant> {
        let fetching = self.slots.iter().filter_map(|(_, (_, exchange))| {
            (exchange.state != State::Replying).then_some(exchange.record.received)
        });
        fetching.min()
    }

    /// Exchanges that wait for an origin.
    pub(super) const fn in_flight(&self) -> usize {
        self.fetching
    }

    /// Octets of bodies held for exchanges that are not over.
    pub(super) const fn octets(&self) -> usize {
        self.octets
    }

    /// Exchanges in all.
    pub(super) const fn len(&self) -> usize {
        self.slots.len()
    }
}

/// The hash of who asked for what is in a place.
fn rehash(slots: &Slab<(u32, Exchange)>, hasher: Keyed) -> impl Fn(u32) -> u64 {
    move |slot| {
        let exchange = slots.get(slot);
        exchange.map_or(0, |(_, exchange)| hasher.hash_one(exchange.asked))
    }
}
