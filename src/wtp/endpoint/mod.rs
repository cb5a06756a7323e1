//! One end of WTP: all transactions with all peers over one port, both sides.

mod begin;
mod evict;
mod query;
mod receive;
mod transmit;

use std::collections::VecDeque;

use bytes::Bytes;

use crate::time::{Instant, Timers};
use crate::wdp::{Peer, Transmit};
use crate::wtp::abort::AbortReason;
use crate::wtp::aborted::Aborted;
use crate::wtp::capabilities::Capabilities;
use crate::wtp::concat::{self, Joiner};
use crate::wtp::config::Config;
use crate::wtp::counter::TidCounter;
use crate::wtp::indication::{Fragment, Handle, Indication};
use crate::wtp::initiator::{self, Initiator};
use crate::wtp::pdu::{Class, Pdu};
use crate::wtp::pool::{Charge, Pool};
use crate::wtp::report::{Report, Stats};
use crate::wtp::responder;
use crate::wtp::shared::{AckReceipt, Outcome, Shared, StepContext};
use crate::wtp::slots::{FROM_RESPONDER, Slots};
use crate::wtp::tid::Peers;
use crate::wtp::transaction::{Side, Transaction};
use crate::wtp::unowned::UnownedRing;
use crate::wtp::validation::Validation;

/// A WTP provider, initiator and responder, that does no I/O.
///
/// Give it datagrams, the time, and its user's primitives; after each, drain
/// [`poll_indication`](Self::poll_indication) and [`poll_transmit`](Self::poll_transmit), and call
/// [`handle_timeout`](Self::handle_timeout) at the moment [`poll_timeout`](Self::poll_timeout)
/// names. Time never runs backwards. Two endpoints with one seed and one history are identical
/// octet for octet.
#[derive(Clone, Debug)]
pub struct Endpoint {
    config: Config,
    slots: Slots,
    peers: Peers,
    pool: Pool,
    validation: Validation,
    aborted: Aborted<Key>,
    timers: Timers,
    /// Transactions with something to say, in the order they came to have it.
    ready: VecDeque<Handle>,
    unowned: UnownedRing,
    indications: VecDeque<Indication>,
    /// Invokes with TIDnew that are not confirmed, and the Invokes that wait for them.
    tid_new: Vec<(Peer, Handle)>,
    held: Vec<Handle>,
    /// Transactions that began incomplete, oldest first; some are complete or over since.
    incomplete: VecDeque<Handle>,
    /// New Invokes are left to the next process.
    leaving: bool,
    tids: TidCounter,
    /// The latest time given to the endpoint.
    now: Instant,
    stats: Stats,
}

/// The key of a transaction: the quadruplet, and the TID as the peer sends it, with the direction
/// bit.
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
    /// The message fits neither in one datagram nor in the segments that the peer accepts.
    #[error("message too large")]
    TooLarge,
    /// 16,384 transactions were begun within `tid_lifetime`; more would confuse old with new (WTP
    /// 7.8.3.1).
    #[error("transaction identifiers used up for now")]
    NoTid,
}

impl Endpoint {
    /// An endpoint without known peers. It verifies unknown peers until `tid_lifetime` after `now`.
    #[must_use]
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        Self {
            slots: Slots::new(seed),
            peers: Peers::new(seed, now, &config),
            pool: Pool::new(seed),
            validation: Validation::new(seed),
            aborted: Aborted::new(seed),
            timers: Timers::new(),
            ready: VecDeque::new(),
            unowned: UnownedRing::default(),
            indications: VecDeque::new(),
            tid_new: Vec::new(),
            held: Vec::new(),
            incomplete: VecDeque::new(),
            leaving: false,
            tids: TidCounter::new(seed),
            now,
            stats: Stats::default(),
            config,
        }
    }

    /// The same where peers at these of our ports have proved their addresses to the layer below:
    /// Results to them go out as if `validate_addresses` were off.
    #[must_use]
    pub fn with_proved_ports(mut self, ports: Vec<u16>) -> Self {
        self.validation.set_proved_ports(ports);
        self
    }

    // --- Inputs ---

    /// A datagram came.
    pub fn handle_datagram(&mut self, now: Instant, peer: Peer, payload: &[u8]) {
        self.set_time(now);
        self.stats.datagrams_in += 1;
        let mut pdus = concat::separate(payload);
        for octets in pdus.by_ref() {
            match Pdu::decode(octets) {
                Ok(pdu) => {
                    self.stats.pdus_in += 1;
                    self.handle_pdu(peer, &pdu, octets.len());
                }
                Err(malformed) => self.handle_malformed(peer, malformed, octets.len()),
            }
        }
        if pdus.is_broken() {
            self.stats.malformed += 1;
        }
    }

    /// The moment [`poll_timeout`](Self::poll_timeout) named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.set_time(now);
        while let Some(slot) = self.timers.pop_due(self.now) {
            let Some(transaction) = self.slots.at(slot) else {
                continue;
            };
            match transaction.deadline() {
                Some(deadline) if deadline <= self.now => {
                    let handle = transaction.shared.handle;
                    self.step(handle, Transaction::expire);
                }
                Some(deadline) => self.timers.schedule(deadline, slot),
                None => {}
            }
        }
    }

    /// Whether new transactions of class 1 and 2 are left to the next process on this port. Their
    /// Invokes get no answer, and the initiators repeat them.
    pub const fn set_leaving(&mut self, leaving: bool) {
        self.leaving = leaving;
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
    /// [`invoke_data`](Self::invoke_data) sends more data. A peer without extended SAR gets only
    /// the data that fits in 256 packets.
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
        let tid = self.next_tid(peer)?;
        self.begin(peer, tid, (class, user_ack), (data, fragment))
    }

    fn begin(
        &mut self,
        peer: Peer,
        tid: u16,
        (class, user_ack): (Class, bool),
        invoke: (Bytes, Fragment),
    ) -> Result<Handle, Refused> {
        let shared = self.shared(peer, tid, class, user_ack);
        let shared = Shared {
            capabilities: Capabilities {
                sar: true,
                offered: self.config.offer_extended_sar && self.config.num_groups > 0,
                ..Capabilities::default()
            },
            ..shared
        };
        let behind = self.is_behind_tid_new(peer);
        let tid_new = !behind && self.peers.is_doubting(peer);
        let side = if behind {
            Initiator::held(invoke.0, invoke.1)
        } else {
            Initiator::start(invoke, tid_new, &shared, self.now, &self.config)
                .map_err(|_| Refused::TooLarge)?
        };
        self.stats.initiated += 1;
        let handle = self.insert(shared, Side::Initiator(side));
        if behind {
            self.hold(handle);
        }
        if tid_new {
            self.tid_new.push((peer, handle));
        }
        self.settle(handle);
        Ok(handle)
    }

    /// TR-InvokeData.req: a further data unit of an Invoke that announced more (extended SAR).
    /// Ignored if it did not.
    pub fn invoke_data(&mut self, now: Instant, handle: Handle, data: Bytes, fragment: Fragment) {
        self.initiator_step(now, handle, initiator::Event::InvokeData(data, fragment));
    }

    /// TR-Invoke.res: the user has the Invoke, and answers later (class 2) or not at all (class 1).
    ///
    /// `exit_info`, at most 255 octets, goes with the ack of class 1 and is ignored for class 2.
    /// Ignored when it comes too late.
    pub fn accept(&mut self, now: Instant, handle: Handle, exit_info: &[u8]) {
        self.responder_step(now, handle, responder::Event::Accept(exit_info));
    }

    /// TR-Result.req: the answer to a class 2 Invoke, in segments where needed and possible.
    ///
    /// If the peer cannot take it, the transaction is aborted and an [`Indication::Abort`] follows.
    pub fn result(&mut self, now: Instant, handle: Handle, data: Bytes) {
        self.result_data(now, handle, data, Fragment::WHOLE);
    }

    /// TR-Result.req and TR-ResultData.req with the parameters More Data and Frame Boundary
    /// (extended SAR).
    pub fn result_data(&mut self, now: Instant, handle: Handle, data: Bytes, fragment: Fragment) {
        self.responder_step(now, handle, responder::Event::Result(data, fragment));
    }

    /// TR-Result.res: the user of a class 2 initiator has the Result. `exit_info`, at most 255
    /// octets, goes with the last ack.
    pub fn acknowledge(&mut self, now: Instant, handle: Handle, exit_info: &[u8]) {
        self.initiator_step(now, handle, initiator::Event::Acknowledge(exit_info));
    }

    /// TR-Abort.req: ends a transaction; the peer's user is given the reason. No indication
    /// follows.
    pub fn abort(&mut self, now: Instant, handle: Handle, reason: u8) {
        self.set_time(now);
        self.step(handle, |transaction, cx| match &mut transaction.side {
            Side::Responder(side) => side.step(
                responder::Event::AbortRequest(reason),
                &mut transaction.shared,
                cx,
            ),
            Side::Initiator(side) => side.step(
                initiator::Event::AbortRequest(reason),
                &mut transaction.shared,
                cx,
            ),
        });
    }

    // --- Outputs ---

    /// The next indication for the user, oldest first.
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
        self.encode_ready(peer, limit, &mut joiner, buf);
        self.stats.datagrams_out += 1;
        Some(Transmit {
            peer,
            len: buf.len().saturating_sub(start),
        })
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called. A call may find that no timer
    /// has expired.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// When [`tidy`](Self::tidy) is worth a call.
    #[must_use]
    pub fn tidy_at(&self) -> Option<Instant> {
        self.peers.tidy_at()
    }

    /// Releases the memory of peers that send no more. Traffic releases it along the way; this call
    /// matters after a burst that is followed by silence.
    pub fn tidy(&mut self, now: Instant) {
        self.set_time(now);
        self.peers.tidy(self.now);
    }

    // --- Settings ---

    /// Replaces the settings. Live transactions use the new ones, except for announced values and
    /// running timers.
    pub fn set_config(&mut self, config: Config) {
        self.config = config;
    }

    // --- Transactions ---

    fn set_time(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    fn shared(&self, peer: Peer, send_tid: u16, class: Class, user_ack: bool) -> Shared {
        Shared {
            handle: Handle::OVER,
            peer,
            send_tid,
            class,
            user_ack,
            capabilities: Capabilities::default(),
            complaint: None,
            ack_receipt: AckReceipt::NotYet { groups: 0 },
            report: Report {
                started: self.now,
                updated: self.now,
                ..Report::default()
            },
        }
    }

    fn insert(&mut self, shared: Shared, side: Side) -> Handle {
        let by_peer = matches!(side, Side::Responder(_));
        let (now, config, stats) = (self.now, &self.config, &mut self.stats);
        self.peers.begin(now, shared.peer, by_peer, config, stats);
        if by_peer {
            self.pool.begin(shared.peer.remote.ip());
        }
        let duplicates = !self.config.duplicate_recognition;
        self.slots.insert(duplicates, shared, |shared| Transaction {
            shared,
            side,
            queued: false,
            charge: Charge::default(),
        })
    }

    fn responder_step(&mut self, now: Instant, handle: Handle, event: responder::Event<'_>) {
        self.set_time(now);
        self.step(handle, |transaction, cx| match &mut transaction.side {
            Side::Responder(side) => side.step(event, &mut transaction.shared, cx),
            Side::Initiator(_) => Outcome::Lives,
        });
    }

    fn initiator_step(&mut self, now: Instant, handle: Handle, event: initiator::Event<'_>) {
        self.set_time(now);
        self.step(handle, |transaction, cx| match &mut transaction.side {
            Side::Initiator(side) => side.step(event, &mut transaction.shared, cx),
            Side::Responder(_) => Outcome::Lives,
        });
    }

    /// Runs one step of a transaction and updates the tables afterwards. Returns whether the
    /// transaction exists.
    fn step(
        &mut self,
        handle: Handle,
        step: impl FnOnce(&mut Transaction, &mut StepContext<'_>) -> Outcome,
    ) -> bool {
        let Some(transaction) = self.slots.get_mut(handle) else {
            return false;
        };
        transaction.shared.report.updated = self.now;
        let mut cx = StepContext {
            now: self.now,
            config: &self.config,
            indications: &mut self.indications,
            unowned: &mut self.unowned,
            stats: &mut self.stats,
            peers: &mut self.peers,
            pool: &self.pool,
            validation: &mut self.validation,
        };
        match step(transaction, &mut cx) {
            Outcome::Lives => self.settle(handle),
            Outcome::Over => self.remove(handle, None),
            Outcome::Aborted(reason) => self.remove(handle, Some(reason)),
        }
        if !self.tid_new.is_empty() {
            self.release_held(handle);
        }
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
        if !transaction.queued && transaction.has_pdu() {
            transaction.queued = true;
            self.ready.push_back(handle);
        }
        if let Some(deadline) = transaction.deadline() {
            self.timers.schedule(deadline, handle.slot);
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
        if let (Side::Responder(_), Some(reason)) = (&transaction.side, aborted) {
            self.aborted.remember(self.now, key, reason, &self.config);
        }
        self.pool
            .charge(key.peer.remote.ip(), transaction.charge, Charge::default());
        let by_peer = matches!(transaction.side, Side::Responder(_));
        if by_peer {
            self.pool.end(key.peer.remote.ip());
        }
        self.peers.end(self.now, key.peer, by_peer, &self.config);
    }
}
