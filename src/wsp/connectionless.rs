//! Connectionless mode: one datagram with a request, one with its reply (WSP 6.4, 7.2).
//!
//! There is no transaction below and no session above, so the sender of a datagram has no proof of
//! its address, and no other layer repeats or remembers a request. Requests are limited per
//! address, and replies are kept small. A request that must not be executed twice is recognised for
//! a while by its sender, its TID and its octets.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::time::Duration;

use bytes::Bytes;
use derive_more::AddAssign;
use hashbrown::HashMap;
use slab::Slab;

use crate::limit::{Rate, RateLimiter};
use crate::random::{Keyed, Random};
use crate::time::Instant;
use crate::wdp::{Peer, Transmit, source_prefix};
use crate::wsp::header::{self, EncodingVersion};
use crate::wsp::indication::PushOutcome;
use crate::wsp::method::Invocation;
use crate::wsp::pdu::{self, Pdu};
use crate::wsp::reply_limit::ReplyLimit;
use crate::wtp::Report;

/// Settings of connectionless mode.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Requests a second from one address (one /64 of IPv6) in the long run; excess requests are
    /// dropped. Default: 5.
    pub rate: u32,
    /// Requests of one address that may come at once. Default: 20.
    pub burst: u32,
    /// Addresses with a recorded rate. At the limit requests of new addresses are dropped until
    /// other addresses have been quiet. Default: 65,536.
    pub max_addresses: usize,
    /// Octets of a reply with its TID. A reply that exceeds one packet of the bearer would be
    /// fragmented. Default: 1,452: a page of 1,400 octets with its headers, in one packet of
    /// Ethernet.
    pub max_reply: usize,
    /// Octets of a reply for each octet of its request, for addresses outside of the networks that
    /// the operator named: the sender has no proof of its address, and a large reply to a forged
    /// address is an attack. Applies to the gateway's own replies to all addresses. Default: 3.
    pub amplification: usize,
    /// How long a request that must not be done twice (POST, PUT, DELETE and their like) is
    /// recognised after its answer. Default: 10 s.
    pub remember: Duration,
    /// Requests outstanding or recognised at once; of the latter the oldest is forgotten first.
    /// Default: 4,096.
    pub max_remembered: usize,
    /// Octets of the remembered replies. At the limit the oldest reply is dropped. Default: 4 MiB.
    pub max_remembered_octets: usize,
    /// Answers and pushes that wait to be sent; beyond, the oldest is dropped. Default: 1,024.
    pub max_waiting: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rate: 5,
            burst: 20,
            max_addresses: 65_536,
            max_reply: 1_452,
            amplification: 3,
            remember: Duration::from_secs(10),
            max_remembered: 4_096,
            max_remembered_octets: 4 << 20,
            max_waiting: 1_024,
        }
    }
}

/// Identifies one request. The id of an ended request matches none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId {
    slot: usize,
    serial: u64,
}

/// Counters of connectionless mode; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, AddAssign)]
pub struct Stats {
    /// Requests shown to the user.
    pub methods: u64,
    /// Replies sent, repeated ones included.
    pub replies: u64,
    /// Requests recognised and answered again, or left to the answer that is still to come.
    pub duplicates: u64,
    /// Pushes sent.
    pub pushes: u64,
    /// Datagrams dropped because their address sent too many.
    pub too_many: u64,
    /// Datagrams dropped because there was no room for them.
    pub congested: u64,
    /// Datagrams that are no request.
    pub malformed: u64,
    /// Answers dropped because the way out was full.
    pub dropped: u64,
}

/// Connectionless mode of one shard.
#[derive(Debug)]
pub struct Connectionless {
    config: Config,
    limiter: RateLimiter<u128>,
    requests: Slab<Request>,
    by_key: HashMap<Key, usize, Keyed>,
    /// Answered requests, oldest first.
    answered: VecDeque<(Instant, UnitId)>,
    remembered_octets: usize,
    digest: Keyed,
    next_serial: u64,
    next_push: u8,
    indications: VecDeque<(UnitId, Invocation)>,
    waiting: VecDeque<(Peer, u8, Bytes)>,
    stats: Stats,
}

/// The key by which two datagrams are the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    peer: Peer,
    tid: u8,
    digest: u64,
}

#[derive(Debug)]
struct Request {
    serial: u64,
    key: Key,
    /// Executing the request twice has the same effect as once.
    safe: bool,
    received: Instant,
    /// Of its datagram.
    octets: usize,
    reply: Option<Bytes>,
}

impl Connectionless {
    /// No requests so far. `seed` decides the hashing.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            limiter: RateLimiter::new(random.hasher()),
            requests: Slab::new(),
            by_key: HashMap::with_hasher(random.hasher()),
            answered: VecDeque::new(),
            remembered_octets: 0,
            digest: random.hasher(),
            next_serial: 0,
            next_push: 0,
            indications: VecDeque::new(),
            waiting: VecDeque::new(),
            stats: Stats::default(),
            config,
        }
    }

    /// Replaces the settings.
    pub const fn set_config(&mut self, config: Config) {
        self.config = config;
    }

    /// Unitdata.ind: a datagram came. A `trusted` peer is in a network where no address is forged,
    /// or has proved its address to the layer below; its replies may have [`Config::max_reply`] octets.
    pub fn handle_datagram(&mut self, now: Instant, peer: Peer, payload: &[u8], trusted: bool) {
        let rate = Rate {
            per_second: self.config.rate,
            burst: self.config.burst,
        };
        let source = source_prefix(peer.remote.ip());
        let max = self.config.max_addresses;
        if self.limiter.take(now, source, rate, max).is_err() {
            self.stats.too_many += 1;
            return;
        }
        self.forget_expired(now);
        let Some((tid, sdu)) = payload.split_first() else {
            self.stats.malformed += 1;
            return;
        };
        let Ok(pdu @ (Pdu::Get(_) | Pdu::Post(_))) = Pdu::decode(sdu) else {
            self.stats.malformed += 1;
            return;
        };
        let key = Key {
            peer,
            tid: *tid,
            digest: self.digest.hash_one(sdu),
        };
        if let Some(request) = self.by_key.get(&key).and_then(|s| self.requests.get(*s)) {
            self.stats.duplicates += 1;
            if let Some(reply) = request.reply.clone() {
                self.send(peer, *tid, reply);
            }
            return;
        }
        if self.requests.len() >= self.config.max_remembered && !self.forget_oldest() {
            self.stats.congested += 1;
            return;
        }
        let amplified = payload.len().saturating_mul(self.config.amplification);
        let max_reply = match trusted {
            true => self.config.max_reply,
            false => amplified.min(self.config.max_reply),
        };
        let invocation = invocation(peer, &pdu, max_reply, amplified);
        self.next_serial += 1;
        let serial = self.next_serial;
        let slot = self.requests.insert(Request {
            serial,
            key,
            safe: is_safe(invocation.method),
            received: now,
            octets: payload.len(),
            reply: None,
        });
        self.by_key.insert(key, slot);
        self.stats.methods += 1;
        self.indications
            .push_back((UnitId { slot, serial }, invocation));
    }

    /// S-Unit-MethodResult.req: the reply to a request, an encoded Reply PDU. Each request gets one
    /// reply. Returns the packets and octets of request and reply; `None` if the request has a
    /// reply already.
    pub fn reply(&mut self, now: Instant, id: UnitId, sdu: Bytes) -> Option<Report> {
        let request = self
            .requests
            .get_mut(id.slot)
            .filter(|request| request.serial == id.serial && request.reply.is_none())?;
        let octets = |octets| u32::try_from(octets).unwrap_or(u32::MAX);
        let report = Report {
            started: request.received,
            updated: now,
            pdus_in: 1,
            pdus_out: 1,
            octets_in: octets(request.octets),
            octets_out: octets(sdu.len() + 1),
            ..Report::default()
        };
        let Key { peer, tid, .. } = request.key;
        if request.safe {
            self.forget(id);
        } else {
            request.reply = Some(sdu.clone());
            self.remembered_octets += sdu.len();
            self.answered.push_back((now + self.config.remember, id));
            while self.remembered_octets > self.config.max_remembered_octets && self.forget_oldest()
            {
            }
        }
        self.send(peer, tid, sdu);
        Some(report)
    }

    /// S-Unit-Push.req: content for a client, in one datagram.
    ///
    /// # Errors
    ///
    /// The content is larger than allowed, or the queue of datagrams is full.
    pub fn push(&mut self, peer: Peer, headers: &[u8], data: &[u8]) -> Result<(), PushOutcome> {
        let mut sdu = Vec::with_capacity(headers.len() + data.len() + 4);
        Pdu::Push(pdu::Push { headers, data }).encode(&mut sdu);
        if sdu.len() >= self.config.max_reply {
            return Err(PushOutcome::TooLarge);
        }
        // A push can wait for its sender; the datagrams that are queued cannot.
        if self.waiting.len() >= self.config.max_waiting {
            return Err(PushOutcome::Busy);
        }
        self.next_push = self.next_push.wrapping_add(1);
        self.stats.pushes += 1;
        self.enqueue(peer, self.next_push, sdu.into());
        Ok(())
    }

    /// S-Unit-MethodInvoke.ind: the next request.
    pub fn poll_indication(&mut self) -> Option<(UnitId, Invocation)> {
        self.indications.pop_front()
    }

    /// Appends the next datagram to `buf`.
    pub fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<Transmit> {
        let (peer, tid, sdu) = self.waiting.pop_front()?;
        buf.push(tid);
        buf.extend_from_slice(&sdu);
        Some(Transmit {
            peer,
            len: sdu.len() + 1,
        })
    }

    /// Counters.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Requests outstanding or recognised.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.requests.len()
    }

    fn send(&mut self, peer: Peer, tid: u8, sdu: Bytes) {
        self.stats.replies += 1;
        self.enqueue(peer, tid, sdu);
    }

    fn enqueue(&mut self, peer: Peer, tid: u8, sdu: Bytes) {
        if self.waiting.len() >= self.config.max_waiting {
            self.waiting.pop_front();
            self.stats.dropped += 1;
        }
        self.waiting.push_back((peer, tid, sdu));
    }

    fn forget_expired(&mut self, now: Instant) {
        while self
            .answered
            .front()
            .is_some_and(|(until, _)| *until <= now)
        {
            self.forget_oldest();
        }
    }

    /// Drops the request that was answered longest ago. Returns false if there is none.
    fn forget_oldest(&mut self) -> bool {
        match self.answered.pop_front() {
            Some((_, id)) => {
                self.forget(id);
                true
            }
            None => false,
        }
    }

    fn forget(&mut self, id: UnitId) {
        if let Some(request) = self.requests.try_remove(id.slot) {
            self.by_key.remove(&request.key);
            self.remembered_octets -= request.reply.as_ref().map_or(0, Bytes::len);
        }
    }
}

/// Whether doing it twice does no harm (RFC 9110 9.2.1).
const fn is_safe(method: pdu::Method) -> bool {
    matches!(
        method,
        pdu::Method::GET | pdu::Method::OPTIONS | pdu::Method::HEAD | pdu::Method::TRACE
    )
}

/// S-Unit-MethodInvoke.ind, to be answered with at most so many octets, TID included; with
/// `max_problem` by the gateway itself.
fn invocation(peer: Peer, pdu: &Pdu<'_>, max_reply: usize, max_problem: usize) -> Invocation {
    let (method, uri, headers, body) = match *pdu {
        Pdu::Post(post) => (post.method, post.uri, post.headers, Some(post.data)),
        Pdu::Get(get) => (get.method, get.uri, get.headers, None),
        _ => (pdu::Method::GET, &[][..], &[][..], None),
    };
    let fields = match body {
        None => Some(headers),
        Some(_) => header::decode_content_type(headers)
            .ok()
            .map(|(_, fields)| fields),
    };
    let encoding = header::encoding_version(fields.unwrap_or_default());
    Invocation {
        peer,
        session: None,
        method,
        uri: Bytes::copy_from_slice(uri),
        client: None,
        headers: Bytes::copy_from_slice(headers),
        trailers: Bytes::new(),
        body: body.map(Bytes::copy_from_slice),
        encoding: EncodingVersion::agreed(encoding),
        pages: Box::default(),
        extended: None,
        max_reply: Some(max_reply.saturating_sub(1)),
        reply_limit: ReplyLimit::Datagram,
        max_problem: Some(max_problem.saturating_sub(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn peer(port: u16) -> Peer {
        Peer::new(
            SocketAddr::from(([192, 0, 2, 7], port)),
            SocketAddr::from(([198, 51, 100, 1], 9200)),
        )
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    /// TID 5, Get, "u".
    const GET: &[u8] = &[5, 0x40, 1, b'u'];
    /// TID 5, Post, "u", text/plain, "b".
    const POST: &[u8] = &[5, 0x60, 1, 1, b'u', 0x83, b'b'];

    fn said(unit: &mut Connectionless) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| {
            let mut buf = Vec::new();
            unit.poll_transmit(&mut buf).map(|_| buf)
        })
        .collect()
    }

    #[test]
    fn a_reply_carries_the_tid_of_its_request() {
        let mut unit = Connectionless::new(Config::default(), 1);
        unit.handle_datagram(at(0), peer(1), GET, false);
        let (id, invocation) = unit.poll_indication().unwrap();
        assert_eq!((&invocation.uri[..], invocation.body), (&b"u"[..], None));
        unit.reply(at(1), id, Bytes::from_static(&[4, 0x20, 1, 0x80]));
        assert_eq!(said(&mut unit), [[5, 4, 0x20, 1, 0x80]]);
        assert_eq!(unit.remembered(), 0, "a safe request is not remembered");
    }

    #[test]
    fn a_post_is_shown_once_and_answered_as_often_as_it_comes() {
        let mut unit = Connectionless::new(Config::default(), 1);
        unit.handle_datagram(at(0), peer(1), POST, false);
        let (id, _) = unit.poll_indication().unwrap();
        unit.handle_datagram(at(1), peer(1), POST, false);
        assert!(unit.poll_indication().is_none() && said(&mut unit).is_empty());
        unit.reply(at(2), id, Bytes::from_static(&[4, 0x20, 1, 0x80]));
        unit.handle_datagram(at(3), peer(1), POST, false);
        assert_eq!(said(&mut unit).len(), 2);
        assert!(unit.poll_indication().is_none());
        // From another port, with another TID or another body, or later, it is another request.
        unit.handle_datagram(at(3), peer(2), POST, false);
        unit.handle_datagram(at(3), peer(1), &[6, 0x60, 1, 1, b'u', 0x83, b'b'], false);
        unit.handle_datagram(at(3), peer(1), &[5, 0x60, 1, 1, b'u', 0x83, b'c'], false);
        unit.handle_datagram(at(13), peer(1), POST, false);
        assert_eq!(std::iter::from_fn(|| unit.poll_indication()).count(), 4);
    }

    #[test]
    fn a_reply_has_room_in_proportion_to_its_request_where_addresses_may_be_forged() {
        let mut unit = Connectionless::new(Config::default(), 1);
        let mut room = |datagram: &[u8], trusted| {
            unit.handle_datagram(at(0), peer(1), datagram, trusted);
            let (_, invocation) = unit.poll_indication().unwrap();
            assert_eq!(invocation.max_problem.unwrap() + 1, 3 * datagram.len());
            invocation.max_reply.unwrap() + 1
        };
        assert_eq!(room(GET, false), 3 * GET.len());
        assert_eq!(room(&[POST, &[0; 200]].concat(), false), 3 * 207);
        assert_eq!(room(&[POST, &[0; 1_000]].concat(), false), 1_452);
        assert_eq!(room(&[GET, b"?"].concat(), true), 1_452);
    }

    #[test]
    fn an_address_has_its_burst_and_its_rate() {
        let mut unit = Connectionless::new(Config::default(), 1);
        for port in 0..100 {
            unit.handle_datagram(at(0), peer(port), GET, false);
        }
        assert_eq!((unit.stats().methods, unit.stats().too_many), (20, 80));
        for port in 100..200 {
            unit.handle_datagram(at(1), peer(port), GET, false);
        }
        assert_eq!(unit.stats().methods, 25);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let config = Config {
            max_remembered: 3,
            max_remembered_octets: 10,
            rate: 1_000,
            burst: 1_000,
            ..Config::default()
        };
        let mut unit = Connectionless::new(config, 1);
        for port in 0..5 {
            unit.handle_datagram(at(0), peer(port), POST, false);
        }
        assert_eq!((unit.remembered(), unit.stats().congested), (3, 2));
        while let Some((id, _)) = unit.poll_indication() {
            unit.reply(at(0), id, Bytes::from_static(&[4, 0x20, 1, 0x80]));
        }
        assert_eq!(unit.remembered(), 2, "octets are bounded too");
        unit.handle_datagram(at(11), peer(9), b"", false);
        assert_eq!(unit.remembered(), 0);
    }

    #[test]
    fn replies_pushes_and_noise_are_no_requests() {
        let mut unit = Connectionless::new(Config::default(), 1);
        for octets in [
            &[][..],
            &[1],
            &[1, 4, 0x20, 0],
            &[1, 6, 1, 0x83],
            &[1, 0x40, 9],
        ] {
            unit.handle_datagram(at(0), peer(1), octets, false);
        }
        assert_eq!((unit.stats().malformed, unit.stats().methods), (5, 0));
    }

    #[test]
    fn a_push_is_one_datagram() {
        let mut unit = Connectionless::new(Config::default(), 1);
        assert_eq!(unit.push(peer(2948), &[0x83], b"hi"), Ok(()));
        let large = unit.push(peer(2948), &[0x83], &[0; 1_452]);
        assert_eq!(large, Err(PushOutcome::TooLarge));
        assert_eq!(said(&mut unit), [[1, 6, 1, 0x83, b'h', b'i']]);
    }

    #[test]
    fn a_push_displaces_nothing_that_is_queued() {
        let config = Config {
            max_waiting: 2,
            ..Config::default()
        };
        let mut unit = Connectionless::new(config, 1);
        for (data, expected) in [
            (b"1", Ok(())),
            (b"2", Ok(())),
            (b"3", Err(PushOutcome::Busy)),
        ] {
            assert_eq!(unit.push(peer(2948), &[0x83], data), expected);
        }
        assert_eq!(said(&mut unit).len(), 2);
        assert_eq!(unit.stats().dropped, 0);
        assert_eq!(unit.push(peer(2948), &[0x83], b"3"), Ok(()));
    }
}
