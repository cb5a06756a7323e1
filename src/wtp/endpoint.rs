//! One end of WTP: all transactions with all peers over one port, both sides.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;

use super::abort::{AbortReason, ProviderAbort};
use super::aborted::Aborted;
use super::capabilities::Capabilities;
use super::concat::{self, Joiner};
use super::config::Config;
use super::indication::{Fragment, Handle, Indication};
use super::initiator::{self, Initiator};
use super::keyed::Keyed;
use super::pdu::{Ack, Class, Invoke, Malformed, Packet, Pdu, Trailer};
use super::pool::Pool;
use super::report::{Report, Stats};
use super::responder::{self, Responder};
use super::sender::LARGEST_LONE_PACKET;
use super::slots::Slots;
use super::tid::Peers;
use super::transaction::{Charge, Fate, SayContext, Shared, Side, Transaction, Turn};
use super::unowned::{Unowned, UnownedRing};
use crate::time::{Instant, Timers};
use crate::wdp::{Peer, Transmit};

/// A WTP provider, initiator and responder, that does no I/O.
///
/// Give it datagrams, the time, and its user's primitives; after each, drain
/// [`poll_indication`](Self::poll_indication) and [`poll_transmit`](Self::poll_transmit), and call
/// [`handle_timeout`](Self::handle_timeout) at the moment [`poll_timeout`](Self::poll_timeout) names.
/// Time never runs backwards. Two endpoints with one seed and one history are identical octet for octet.
#[derive(Clone, Debug)]
pub struct Endpoint {
    config: Config,
    slots: Slots,
    by_tid: HashMap<Key, Handle, Keyed>,
    peers: Peers,
    pool: Pool,
    aborted: Aborted<Key>,
    timers: Timers<Handle>,
    /// Transactions with something to say, in the order they came to have it.
    ready: VecDeque<Handle>,
    unowned: UnownedRing,
    indications: VecDeque<Indication>,
    /// Invokes held back behind one with TIDnew.
    held: Vec<Handle>,
    tids: TidCounter,
    /// The latest moment heard of.
    now: Instant,
    stats: Stats,
}

/// What finds a transaction: the quadruplet, and the TID as the peer sends it, direction bit included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    peer: Peer,
    tid: u16,
}

/// Why a transaction could not be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// `max_transactions` are alive.
    #[error("too many transactions")]
    TooManyTransactions,
    /// `max_transactions_per_peer` are alive with this peer.
    #[error("too many transactions with this peer")]
    TooManyForPeer,
    /// The message fits neither one datagram nor the segments the peer is known to take.
    #[error("message too large")]
    TooLarge,
    /// 16,384 transactions were begun within `tid_lifetime`; more would confuse old with new (WTP 7.8.3.1).
    #[error("transaction identifiers used up for now")]
    NoTid,
}

impl Endpoint {
    /// An endpoint that knows nobody. Until `tid_lifetime` after `now` it verifies peers it has not heard.
    #[must_use]
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        Self {
            slots: Slots::default(),
            by_tid: HashMap::with_hasher(Keyed::new(seed)),
            peers: Peers::new(seed, now, &config),
            pool: Pool::new(seed),
            aborted: Aborted::new(seed),
            timers: Timers::new(),
            ready: VecDeque::new(),
            unowned: UnownedRing::default(),
            indications: VecDeque::new(),
            held: Vec::new(),
            tids: TidCounter::new(seed),
            now,
            stats: Stats::default(),
            config,
        }
    }

    // --- Inputs ---

    /// A datagram came.
    pub fn handle_datagram(&mut self, now: Instant, peer: Peer, payload: &[u8]) {
        self.set_time(now);
        self.stats.datagrams_in += 1;
        if !concat::is_whole(payload) {
            self.stats.malformed += 1;
        }
        for octets in concat::separate(payload) {
            match Pdu::decode(octets) {
                Ok(pdu) => {
                    self.stats.pdus_in += 1;
                    self.handle_pdu(peer, &pdu, octets.len());
                }
                Err(malformed) => self.handle_malformed(peer, malformed, octets.len()),
            }
        }
    }

    /// The moment [`poll_timeout`](Self::poll_timeout) named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.set_time(now);
        while let Some(handle) = self.timers.pop_due(self.now) {
            let Some(transaction) = self.slots.get_mut(handle) else {
                continue;
            };
            if transaction.wake_up.is_some_and(|at| at <= self.now) {
                transaction.wake_up = None;
            }
            let due = transaction.deadline().is_some_and(|at| at <= self.now);
            if due {
                self.step(handle, Transaction::expire);
            } else {
                self.settle(handle);
            }
        }
    }

    // --- Primitives ---

    /// TR-Invoke.req: begins a transaction. Of class 0 the handle is over.
    ///
    /// `user_ack` asks the peer's user to acknowledge every message.
    pub fn invoke(
        &mut self,
        now: Instant,
        peer: Peer,
        class: Class,
        user_ack: bool,
        data: Bytes,
    ) -> Result<Handle, Refused> {
        self.invoke_fragment(now, peer, class, user_ack, data, Fragment::WHOLE)
    }

    /// TR-Invoke.req with the parameters More Data and Frame Boundary (extended SAR, WTP 7.15.2).
    ///
    /// More data can be sent with [`invoke_data`](Self::invoke_data). A peer without extended SAR gets
    /// only what 256 packets hold.
    pub fn invoke_fragment(
        &mut self,
        now: Instant,
        peer: Peer,
        class: Class,
        user_ack: bool,
        data: Bytes,
        fragment: Fragment,
    ) -> Result<Handle, Refused> {
        self.set_time(now);
        if class == Class::Zero {
            return self.invoke_unreliably(peer, data);
        }
        if self.slots.len() >= self.config.max_transactions {
            return Err(Refused::TooManyTransactions);
        }
        if self.peers.live(peer) >= self.config.max_transactions_per_peer {
            return Err(Refused::TooManyForPeer);
        }
        let tid = self.next_tid(peer)?;
        let shared = self.shared(peer, tid, class, user_ack);
        let shared = Shared {
            capabilities: Capabilities {
                sar: true,
                ..Capabilities::default()
            },
            ..shared
        };
        let behind = self.is_behind_tid_new(peer);
        let side = if behind {
            Initiator::held(data, fragment)
        } else {
            let tid_new = self.peers.is_doubting(peer);
            Initiator::start((data, fragment), tid_new, &shared, self.now, &self.config)
                .map_err(|_| Refused::TooLarge)?
        };
        self.stats.initiated += 1;
        let handle = self.insert(shared, Side::Initiator(side));
        if behind {
            self.held.push(handle);
        }
        self.settle(handle);
        Ok(handle)
    }

    /// TR-InvokeData.req: a further data unit of an Invoke that announced more (extended SAR). Ignored if
    /// it did not.
    pub fn invoke_data(&mut self, now: Instant, handle: Handle, data: Bytes, fragment: Fragment) {
        self.initiator_step(now, handle, initiator::Event::InvokeData(data, fragment));
    }

    /// TR-Invoke.res: the user has the Invoke, and answers later (class 2) or not at all (class 1).
    ///
    /// `exit_info`, at most 255 octets, goes with the ack of class 1 and is ignored for class 2. Ignored
    /// when it comes too late.
    pub fn accept(&mut self, now: Instant, handle: Handle, exit_info: &[u8]) {
        self.responder_step(now, handle, responder::Event::Accept(exit_info));
    }

    /// TR-Result.req: the answer to a class 2 Invoke, in segments where needed and possible.
    ///
    /// If the peer cannot take it, the transaction is aborted and an [`Indication::Abort`] follows.
    pub fn result(&mut self, now: Instant, handle: Handle, data: Bytes) {
        self.result_data(now, handle, data, Fragment::WHOLE);
    }

    /// TR-Result.req and TR-ResultData.req with the parameters More Data and Frame Boundary (extended SAR).
    pub fn result_data(&mut self, now: Instant, handle: Handle, data: Bytes, fragment: Fragment) {
        self.responder_step(now, handle, responder::Event::Result(data, fragment));
    }

    /// TR-Result.res: the user of a class 2 initiator has the Result. `exit_info`, at most 255 octets, goes
    /// with the last ack.
    pub fn acknowledge(&mut self, now: Instant, handle: Handle, exit_info: &[u8]) {
        self.initiator_step(now, handle, initiator::Event::Acknowledge(exit_info));
    }

    /// TR-Abort.req: ends a transaction; the peer's user is given the reason. No indication follows.
    pub fn abort(&mut self, now: Instant, handle: Handle, reason: u8) {
        self.set_time(now);
        self.step(handle, |transaction, turn| match &mut transaction.side {
            Side::Responder(side) => side.step(
                responder::Event::AbortRequest(reason),
                &mut transaction.shared,
                turn,
            ),
            Side::Initiator(side) => side.step(
                initiator::Event::AbortRequest(reason),
                &mut transaction.shared,
                turn,
            ),
        });
    }

    // --- Outputs ---

    /// What the user is to know, oldest first.
    pub fn poll_indication(&mut self) -> Option<Indication> {
        self.indications.pop_front()
    }

    /// Appends one datagram to `buf`: the PDUs that wait for one peer, as many as fit.
    pub fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<Transmit> {
        let start = buf.len();
        let limit = usize::from(self.config.max_datagram);
        let mut joiner = Joiner::new(buf, limit);
        let peer = self.next_peer()?;
        while let Some(unowned) = self.unowned.pop_for(peer) {
            let from = buf.len();
            unowned.encode(buf);
            if !joiner.add(from, buf) {
                self.unowned.unpop(peer, unowned);
                break;
            }
            self.stats.pdus_out += 1;
        }
        self.say_ready(peer, limit, &mut joiner, buf);
        self.stats.datagrams_out += 1;
        Some(Transmit {
            peer,
            len: buf.len().saturating_sub(start),
        })
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; it may find nothing to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    // --- Queries ---

    /// Counters since the start.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Transactions alive, those waiting for their timeout included.
    #[must_use]
    pub const fn transactions(&self) -> usize {
        self.slots.len()
    }

    /// Peers whose last TID is remembered.
    #[must_use]
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    /// Octets held for messages not yet whole or not yet verified.
    #[must_use]
    pub const fn held_octets(&self) -> usize {
        self.pool.held().reassembly
    }

    /// Whether the peer of a transaction can re-assemble segments. If not, a Result goes as one datagram
    /// whatever its size (WTP table 1, SIN 002).
    #[must_use]
    pub fn can_segment(&self, handle: Handle) -> bool {
        self.slots
            .get(handle)
            .is_some_and(|transaction| transaction.shared.capabilities.sar)
    }

    /// Whether a Result may go in several data units: both sides do extended SAR (WTP 7.15).
    #[must_use]
    pub fn has_extended_sar(&self, handle: Handle) -> bool {
        self.slots.get(handle).is_some_and(|transaction| {
            let peer = &transaction.shared.capabilities;
            peer.window(&self.config).is_some()
        })
    }

    /// Octets of a Result the peer of a transaction takes, if it said so. A longer one is aborted.
    #[must_use]
    pub fn max_receive_unit(&self, handle: Handle) -> Option<u32> {
        self.slots.get(handle)?.shared.capabilities.max_receive_unit
    }

    /// The largest Result the transport itself can get to the peer of a transaction.
    #[must_use]
    pub fn max_result(&self, handle: Handle) -> Option<usize> {
        let peer = &self.slots.get(handle)?.shared.capabilities;
        let packets = if !peer.sar {
            LARGEST_LONE_PACKET
        } else if peer.window(&self.config).is_some() {
            usize::MAX
        } else {
            usize::from(self.config.segment_size.max(1)).min(peer.group(&self.config)) * 256
        };
        let unit = peer
            .max_receive_unit
            .map_or(usize::MAX, |unit| unit as usize);
        Some(packets.min(unit))
    }

    /// What a transaction cost so far.
    #[must_use]
    pub fn report(&self, handle: Handle) -> Option<Report> {
        self.slots
            .get(handle)
            .map(|transaction| transaction.shared.report)
    }

    /// The name of a transaction's state in the specification's tables.
    #[doc(hidden)]
    #[must_use]
    pub fn state_name(&self, handle: Handle) -> Option<&'static str> {
        match &self.slots.get(handle)?.side {
            Side::Responder(side) => Some(side.state_name()),
            Side::Initiator(side) => Some(side.state_name()),
        }
    }

    /// When something is due for a transaction.
    #[doc(hidden)]
    #[must_use]
    pub fn deadline(&self, handle: Handle) -> Option<Instant> {
        self.slots.get(handle)?.deadline()
    }

    /// The transactions alive, for tests that look inside.
    #[doc(hidden)]
    pub fn handles(&self) -> impl Iterator<Item = Handle> {
        self.slots
            .iter()
            .map(|transaction| transaction.shared.handle)
    }

    // --- Receiving ---

    fn set_time(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    fn handle_pdu(&mut self, peer: Peer, pdu: &Pdu<'_>, octets: usize) {
        let tid = pdu.tid();
        let Some(&handle) = self.by_tid.get(&Key { peer, tid }) else {
            return self.handle_unknown(peer, pdu, octets);
        };
        let whole_invoke =
            matches!(pdu, Pdu::Invoke(invoke) if invoke.packet.trailer.ends_message());
        if whole_invoke && !self.config.duplicate_recognition {
            return self.handle_unknown(peer, pdu, octets);
        }
        let stray = self.step(handle, |transaction, turn| {
            transaction.hear(octets, turn.now);
            let shared = &mut transaction.shared;
            match &mut transaction.side {
                Side::Responder(side) => match responder_event(pdu) {
                    Some(event) => {
                        if matches!(event, responder::Event::Abort(_)) {
                            turn.stats.aborts_in += 1;
                        }
                        side.step(event, shared, turn)
                    }
                    None => side.step(responder::Event::ErrorPdu, shared, turn),
                },
                Side::Initiator(side) => match initiator_event(pdu) {
                    Some(event) => {
                        if matches!(event, initiator::Event::Abort(_)) {
                            turn.stats.aborts_in += 1;
                        }
                        side.step(event, shared, turn)
                    }
                    None => side.step(initiator::Event::ErrorPdu, shared, turn),
                },
            }
        });
        debug_assert!(stray, "the map names live transactions only");
    }

    /// A PDU for no transaction (WTP table 37).
    fn handle_unknown(&mut self, peer: Peer, pdu: &Pdu<'_>, octets: usize) {
        match pdu {
            Pdu::Invoke(invoke) if invoke.packet.tid & FROM_RESPONDER == 0 => {
                self.handle_invoke(peer, invoke, octets);
            }
            // Create no state to say no; the initiator of an old copy is not to believe in it.
            Pdu::Ack(Ack {
                verify: true, tid, ..
            }) if tid & FROM_RESPONDER != 0 => {
                let reason = AbortReason::Provider(ProviderAbort::INVALIDTID);
                self.answer_unowned(peer, tid ^ FROM_RESPONDER, reason);
            }
            Pdu::Invoke(_)
            | Pdu::Result(_)
            | Pdu::Ack(_)
            | Pdu::Abort(_)
            | Pdu::SegmentedInvoke(..)
            | Pdu::SegmentedResult(..)
            | Pdu::Nack(_) => self.stats.strays += 1,
        }
    }

    /// LISTEN / RcvInvoke.
    fn handle_invoke(&mut self, peer: Peer, invoke: &Invoke<'_>, octets: usize) {
        if invoke.class == Class::Zero {
            return self.handle_unreliable(peer, invoke, octets);
        }
        if self.slots.len() >= self.config.max_transactions {
            self.stats.refused_transactions += 1;
            return;
        }
        if self.peers.live(peer) >= self.config.max_transactions_per_peer {
            self.stats.refused_peer += 1;
            return;
        }
        let tid = invoke.packet.tid;
        if !invoke.tid_new
            && let Some(reason) = self.aborted.reason(self.now, Key { peer, tid })
        {
            self.stats.duplicates += 1;
            return self.answer_unowned(peer, tid | FROM_RESPONDER, reason);
        }
        let (now, config, stats) = (self.now, &self.config, &mut self.stats);
        let verdict = self
            .peers
            .judge(now, peer, tid, invoke.tid_new, config, stats);
        let mut shared = self.shared(peer, tid | FROM_RESPONDER, invoke.class, invoke.user_ack);
        shared.capabilities.sar = invoke.packet.trailer != Trailer::NoSar;
        shared.learn(invoke.packet.tpis);
        shared.report.pdus_in = 1;
        shared.report.octets_in = u32::try_from(octets).unwrap_or(u32::MAX);
        self.stats.responded += 1;
        // The slot must be known before the machine starts, since its first indication names it.
        let handle = self.insert(shared, Side::Responder(Responder::unborn(now)));
        self.step(handle, |transaction, turn| {
            let (responder, fate) =
                Responder::listen(&mut transaction.shared, invoke, verdict, turn);
            transaction.side = Side::Responder(responder);
            fate
        });
    }

    /// LISTEN / RcvInvoke, class 0: no state, no answer, no look at the TID.
    fn handle_unreliable(&mut self, peer: Peer, invoke: &Invoke<'_>, octets: usize) {
        let packet: &Packet<'_> = &invoke.packet;
        if !packet.trailer.ends_message() || packet.data.len() > self.config.max_message {
            self.stats.malformed += 1;
            return;
        }
        self.stats.unreliable_in += 1;
        self.indications.push_back(Indication::Invoke {
            handle: Handle::OVER,
            peer,
            class: Class::Zero,
            user_ack: false,
            data: Bytes::copy_from_slice(packet.data),
            fragment: Fragment::WHOLE,
            report: Report {
                started: self.now,
                updated: self.now,
                pdus_in: 1,
                octets_in: u32::try_from(octets).unwrap_or(u32::MAX),
                ..Report::default()
            },
        });
    }

    /// RcvErrorPDU, and Invokes of another version (WTP 7.13).
    fn handle_malformed(&mut self, peer: Peer, malformed: Malformed, octets: usize) {
        let Some(tid) = malformed.tid else {
            self.stats.malformed += 1;
            return;
        };
        if malformed.version {
            self.stats.other_versions += 1;
        } else {
            self.stats.malformed += 1;
        }
        // An Abort is never answered, not even one that is wrong.
        if malformed.abort {
            return;
        }
        if let Some(&handle) = self.by_tid.get(&Key { peer, tid }) {
            self.step(handle, |transaction, turn| {
                transaction.hear(octets, turn.now);
                match &mut transaction.side {
                    Side::Responder(side) => {
                        side.step(responder::Event::ErrorPdu, &mut transaction.shared, turn)
                    }
                    Side::Initiator(side) => {
                        side.step(initiator::Event::ErrorPdu, &mut transaction.shared, turn)
                    }
                }
            });
        } else if tid & FROM_RESPONDER == 0 {
            let reason = if malformed.version {
                ProviderAbort::WTPVERSIONONE
            } else {
                ProviderAbort::PROTOERR
            };
            self.answer_unowned(peer, tid | FROM_RESPONDER, AbortReason::Provider(reason));
        }
    }

    fn answer_unowned(&mut self, peer: Peer, tid: u16, reason: AbortReason) {
        self.stats.aborts_out += 1;
        let abort = Unowned::Abort { tid, reason };
        self.unowned
            .push(peer, abort, &self.config, &mut self.stats);
    }

    // --- Sending ---

    fn next_peer(&mut self) -> Option<Peer> {
        if let Some(peer) = self.unowned.next_peer() {
            return Some(peer);
        }
        loop {
            let handle = *self.ready.front()?;
            match self.slots.get_mut(handle) {
                Some(transaction) if transaction.has_something_to_say() => {
                    return Some(transaction.shared.peer);
                }
                Some(transaction) => transaction.queued = false,
                None => {}
            }
            self.ready.pop_front();
        }
    }

    /// Lets the transactions of one peer speak, in their order, until the datagram is full.
    fn say_ready(&mut self, peer: Peer, limit: usize, joiner: &mut Joiner, buf: &mut Vec<u8>) {
        let mut at = 0;
        while at < self.ready.len().min(READY_LOOKAHEAD) {
            let Some(&handle) = self.ready.get(at) else {
                return;
            };
            let context = SayContext {
                config: &self.config,
                now: self.now,
                peers: &self.peers,
            };
            let Some(transaction) = self.slots.get_mut(handle) else {
                self.ready.remove(at);
                continue;
            };
            if transaction.shared.peer != peer {
                at += 1;
                continue;
            }
            // What is said cannot be unsaid: another PDU is begun only if any but the largest would fit,
            // and the largest are let begin a datagram of their own.
            while transaction.has_something_to_say() {
                if joiner.pdus() > 0 && !transaction.fits(limit, joiner.len(buf)) {
                    return;
                }
                let from = buf.len();
                let Some(said) = transaction.say(&context, buf) else {
                    break;
                };
                self.stats.pdus_out += 1;
                self.stats.retransmissions += u64::from(said.is_again());
                let joined = joiner.add(from, buf);
                debug_assert!(joined, "its size was foretold");
            }
            transaction.queued = false;
            self.ready.remove(at);
        }
    }

    // --- Transactions ---

    fn shared(&self, peer: Peer, send_tid: u16, class: Class, user_ack: bool) -> Shared {
        Shared {
            handle: Handle::OVER,
            peer,
            send_tid,
            class,
            user_ack,
            capabilities: Capabilities::default(),
            complaint: None,
            report: Report {
                started: self.now,
                updated: self.now,
                ..Report::default()
            },
        }
    }

    fn insert(&mut self, shared: Shared, side: Side) -> Handle {
        let key = Key {
            peer: shared.peer,
            tid: shared.send_tid ^ FROM_RESPONDER,
        };
        self.peers
            .begin(self.now, key.peer, &self.config, &mut self.stats);
        let handle = self.slots.insert(|handle| Transaction {
            shared: Shared { handle, ..shared },
            side,
            queued: false,
            wake_up: None,
            charge: Charge::default(),
        });
        self.by_tid.insert(key, handle);
        handle
    }

    fn responder_step(&mut self, now: Instant, handle: Handle, event: responder::Event<'_>) {
        self.set_time(now);
        self.step(handle, |transaction, turn| match &mut transaction.side {
            Side::Responder(side) => side.step(event, &mut transaction.shared, turn),
            Side::Initiator(_) => Fate::Lives,
        });
    }

    fn initiator_step(&mut self, now: Instant, handle: Handle, event: initiator::Event<'_>) {
        self.set_time(now);
        self.step(handle, |transaction, turn| match &mut transaction.side {
            Side::Initiator(side) => side.step(event, &mut transaction.shared, turn),
            Side::Responder(_) => Fate::Lives,
        });
    }

    /// Runs one step of a transaction and puts the books in order after it. Says whether there is such a
    /// transaction.
    fn step(
        &mut self,
        handle: Handle,
        step: impl FnOnce(&mut Transaction, &mut Turn<'_>) -> Fate,
    ) -> bool {
        let Some(transaction) = self.slots.get_mut(handle) else {
            return false;
        };
        transaction.shared.report.updated = self.now;
        let mut turn = Turn {
            now: self.now,
            config: &self.config,
            indications: &mut self.indications,
            unowned: &mut self.unowned,
            stats: &mut self.stats,
            peers: &mut self.peers,
            pool: &self.pool,
        };
        match step(transaction, &mut turn) {
            Fate::Lives => self.settle(handle),
            Fate::Over => self.remove(handle, None),
            Fate::Aborted(reason) => self.remove(handle, Some(reason)),
        }
        self.release_held();
        true
    }

    /// Charges, queues and schedules a transaction as its state now asks.
    fn settle(&mut self, handle: Handle) {
        let Some(transaction) = self.slots.get_mut(handle) else {
            return;
        };
        let charge = transaction.footprint();
        let address = transaction.shared.peer.remote;
        if charge != transaction.charge {
            self.pool.charge(address.ip(), transaction.charge, charge);
            transaction.charge = charge;
        }
        if !transaction.queued && transaction.has_something_to_say() {
            transaction.queued = true;
            self.ready.push_back(handle);
        }
        if let Some(deadline) = transaction.deadline()
            && transaction.wake_up.is_none_or(|at| deadline < at)
        {
            transaction.wake_up = Some(deadline);
            self.timers.schedule(deadline, handle);
        }
    }

    fn remove(&mut self, handle: Handle, aborted: Option<AbortReason>) {
        let Some(transaction) = self.slots.remove(handle) else {
            return;
        };
        let shared = &transaction.shared;
        let key = Key {
            peer: shared.peer,
            tid: shared.send_tid ^ FROM_RESPONDER,
        };
        self.by_tid.remove(&key);
        if let (Side::Responder(_), Some(reason)) = (&transaction.side, aborted) {
            self.aborted.remember(self.now, key, reason, &self.config);
        }
        self.pool
            .charge(key.peer.remote.ip(), transaction.charge, Charge::default());
        self.peers.end(self.now, key.peer, &self.config);
        self.drop_stale_wake_ups();
    }

    /// Wake-ups of transactions that ended early are dropped once they are the greater part.
    fn drop_stale_wake_ups(&mut self) {
        if self.timers.len() > 2 * self.slots.len() + STALE_WAKE_UPS {
            let slots = &self.slots;
            self.timers.retain(|&handle| slots.get(handle).is_some());
        }
    }

    // --- Transaction identifiers of ours ---

    fn invoke_unreliably(&mut self, peer: Peer, data: Bytes) -> Result<Handle, Refused> {
        if data.len() > LARGEST_LONE_PACKET {
            return Err(Refused::TooLarge);
        }
        let tid = self.next_tid(peer)?;
        self.stats.unreliable_out += 1;
        let invoke = Unowned::Invoke { tid, data };
        self.unowned
            .push(peer, invoke, &self.config, &mut self.stats);
        Ok(Handle::OVER)
    }

    fn next_tid(&mut self, peer: Peer) -> Result<u16, Refused> {
        let taken = |tid| {
            let tid = tid | FROM_RESPONDER;
            self.by_tid.contains_key(&Key { peer, tid })
        };
        self.tids
            .next(self.now, self.config.tid_lifetime, taken)
            .ok_or(Refused::NoTid)
    }

    /// Whether an Invoke with TIDnew to this peer waits for its confirmation (WTP 7.8.3.2).
    fn is_behind_tid_new(&self, peer: Peer) -> bool {
        // Rare enough to look for: only peers that doubted us repeatedly have such an Invoke.
        self.peers.is_doubting(peer)
            && self.slots.iter().any(|transaction| {
                let waits = match &transaction.side {
                    Side::Initiator(side) => side.is_unconfirmed_tid_new(),
                    Side::Responder(_) => false,
                };
                waits && transaction.shared.peer == peer
            })
    }

    /// Starts the Invokes that nothing holds back any more.
    fn release_held(&mut self) {
        if self.held.is_empty() {
            return;
        }
        for handle in std::mem::take(&mut self.held) {
            let Some(transaction) = self.slots.get(handle) else {
                continue;
            };
            if self.is_behind_tid_new(transaction.shared.peer) {
                self.held.push(handle);
                continue;
            }
            self.step(handle, |transaction, turn| match &mut transaction.side {
                Side::Initiator(side) => {
                    side.step(initiator::Event::Go, &mut transaction.shared, turn)
                }
                Side::Responder(_) => Fate::Lives,
            });
        }
    }
}

/// The counter of 15-bit TIDs, global across peers, and a check that it does not run too fast.
#[derive(Clone, Debug)]
struct TidCounter {
    next: u16,
    /// When each of the last sixteen runs of 1024 TIDs began.
    runs: VecDeque<Instant>,
    in_run: u16,
}

impl TidCounter {
    fn new(seed: u64) -> Self {
        // Any start will do; one that differs from run to run keeps a restart from looking like a replay.
        let mixed = (seed ^ 0x9E37_79B9_7F4A_7C15).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let [high, low, ..] = mixed.to_be_bytes();
        Self {
            next: u16::from_be_bytes([high, low]) & TID_MASK,
            runs: VecDeque::new(),
            in_run: RUN,
        }
    }

    /// The next TID that is not `taken`, unless 2^14 were used within `period`.
    fn next(&mut self, now: Instant, period: Duration, taken: impl Fn(u16) -> bool) -> Option<u16> {
        if self.in_run >= RUN {
            if self.runs.len() >= RUNS {
                if self.runs.front().is_some_and(|&first| now - first < period) {
                    return None;
                }
                self.runs.pop_front();
            }
            self.runs.push_back(now);
            self.in_run = 0;
        }
        for _ in 0..=TID_MASK {
            let tid = self.next;
            self.next = (self.next + 1) & TID_MASK;
            self.in_run += 1;
            if !taken(tid) {
                return Some(tid);
            }
        }
        None
    }
}

fn responder_event<'a>(pdu: &Pdu<'a>) -> Option<responder::Event<'a>> {
    match *pdu {
        Pdu::Invoke(invoke) => Some(responder::Event::Invoke(invoke)),
        Pdu::SegmentedInvoke(psn, packet) => Some(responder::Event::Segment(psn, packet)),
        Pdu::Ack(ack) => Some(responder::Event::Ack(ack)),
        Pdu::Nack(nack) => Some(responder::Event::Nack(nack)),
        Pdu::Abort(abort) => Some(responder::Event::Abort(abort.reason)),
        Pdu::Result(_) | Pdu::SegmentedResult(..) => None,
    }
}

fn initiator_event<'a>(pdu: &Pdu<'a>) -> Option<initiator::Event<'a>> {
    match *pdu {
        Pdu::Result(packet) => Some(initiator::Event::Result(packet)),
        Pdu::SegmentedResult(psn, packet) => Some(initiator::Event::Segment(psn, packet)),
        Pdu::Ack(ack) => Some(initiator::Event::Ack(ack)),
        Pdu::Nack(nack) => Some(initiator::Event::Nack(nack)),
        Pdu::Abort(abort) => Some(initiator::Event::Abort(abort.reason)),
        Pdu::Invoke(_) | Pdu::SegmentedInvoke(..) => None,
    }
}

/// The bit of a TID that says it was sent by the responder.
const FROM_RESPONDER: u16 = 0x8000;

const TID_MASK: u16 = 0x7FFF;

/// TIDs in a run, and runs remembered: 2^14 TIDs.
const RUN: u16 = 1024;
const RUNS: usize = 16;

/// How far the queue of the ready is searched for PDUs to concatenate.
const READY_LOOKAHEAD: usize = 64;

/// Wake-ups that may outlive their transactions before anyone cares.
const STALE_WAKE_UPS: usize = 1024;
