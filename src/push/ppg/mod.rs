//! The Push Proxy Gateway (WAP-249): submissions, and one delivery for each recipient.
//!
//! [`Ppg`] does no I/O. Its inputs are operations of initiators, outcomes of attempts and of
//! notifications, and the time in milliseconds since 1970. Its outputs are [`Event`]s, changes for
//! a store, and the time of its next timer. Every recipient of an accepted push ends in one final
//! state, and an initiator that asked for results is told each.
//!
//! Delivery over the air is at least once: a push whose attempt was under way when the process
//! ended is sent again.

mod answer;
mod attempt;
mod config;
mod notify;
mod plan;
mod report;
mod saved;
mod submit;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use crate::push::pap::{MessageState, Priority, Quality, Status, Versions};
use crate::push::{Address, AttemptId, Bearer, Deliver, PushMessage, Recipient};
use crate::random::{Keyed, Random};

pub use answer::{Listed, Listing, Page};
pub use config::Config;
pub use notify::Notice;
use notify::Notifications;
pub use report::{DeliveryRecord, Stats};
pub use submit::Initiator;

/// Work for the shell.
#[derive(Clone, Debug)]
pub enum Event {
    /// Make an attempt: owed one [`Ppg::handle_outcome`].
    Deliver(Deliver),
    /// Tell an initiator a result: owed one [`Ppg::handle_notified`].
    Notify(Notice),
    /// A push has its final state for one recipient: for the access log.
    Finished(Box<DeliveryRecord>),
}

/// The gateway of pushes.
#[derive(Debug)]
pub struct Ppg {
    config: Config,
    /// In the order in which they came.
    pushes: BTreeMap<u64, Push>,
    by_id: HashMap<(Arc<str>, Arc<str>), u64, Keyed>,
    /// Recipients of the pushes held; those of each initiator; pending pushes of each recipient.
    held: usize,
    of_initiator: HashMap<Arc<str>, usize, Keyed>,
    of_recipient: HashMap<Address, u32, Keyed>,
    /// Clients that were asked to connect.
    initiated: HashMap<Address, Asked, Keyed>,
    /// When the table of these clients is next freed of entries that are too old.
    next_sweep: u64,
    next_push: u64,
    next_attempt: u64,
    attempts: HashMap<AttemptId, (Place, Bearer), Keyed>,
    /// Attempts that count against [`Config::max_in_flight`]. Short messages do not: the SMS
    /// centres have limits of their own, and a receipt comes when the telephone is on again.
    in_flight: usize,
    timers: BTreeSet<(u64, Place)>,
    /// Deliveries that are due, in the order of their priority and their time.
    ready: BTreeSet<(Priority, u64, Place)>,
    notifications: Notifications,
    events: VecDeque<Event>,
    /// Entries that differ from the store; `None` without a store.
    dirty: Option<BTreeSet<Place>>,
    stats: Stats,
}

/// A recipient of a push; or, behind the last one, the push itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    push: u64,
    recipient: u32,
}

impl Place {
    /// The push itself.
    const fn whole(push: u64) -> Self {
        Self {
            push,
            recipient: u32::MAX,
        }
    }
}

/// A submission that is held.
#[derive(Debug)]
struct Push {
    initiator: Arc<str>,
    push_id: Arc<str>,
    versions: Versions,
    received: u64,
    expires: u64,
    quality: Option<Quality>,
    notify_to: Option<String>,
    message: Arc<PushMessage>,
    /// Whether the push was refused and is only kept for status queries.
    rejected: bool,
    deliveries: Vec<Delivery>,
}

impl Push {
    /// How much of [`Config::max_pushes`] it takes: one for each recipient.
    fn count(&self) -> usize {
        self.deliveries.len().max(1)
    }

    fn priority(&self) -> Priority {
        self.quality
            .as_ref()
            .map(|quality| quality.priority)
            .unwrap_or_default()
    }
}

/// One recipient of a push.
#[derive(Debug)]
struct Delivery {
    recipient: Recipient,
    state: State,
    /// Attempts made, and rounds of them that failed.
    attempts: u32,
    rounds: u32,
    notice: Noticing,
    /// Its entry in the timers.
    timer: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// For its time, or for room.
    Waiting {
        at: u64,
        /// The place in the plan of bearers.
        step: usize,
        timed_out: bool,
    },
    Attempting {
        attempt: AttemptId,
        bearer: Bearer,
        step: usize,
    },
    Final(Ending),
}

/// A client that was asked to connect.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    /// When that was last.
    at: u64,
    /// The receipt that an SMS centre owes for a request.
    receipt: Option<ReceiptDue>,
}

/// A session initiation request with an SMS centre.
#[derive(Clone, Copy, Debug)]
struct ReceiptDue {
    attempt: AttemptId,
    /// When the centre drops the message.
    until: u64,
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ending {
    state: MessageState,
    code: Status,
    desc: Option<String>,
    at: u64,
    confirmed: bool,
    bearer: Option<Bearer>,
}

/// The notification of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noticing {
    /// Nothing: the initiator did not ask, or was told, or is not reached.
    Nothing,
    /// A notification, once the delivery has ended.
    Wanted,
    /// A notification at a moment.
    Waiting { at: u64, tries: u32 },
    /// A notification that is under way.
    UnderWay { tries: u32 },
}

impl Ppg {
    /// No pushes. `seed` decides the hashing; `stored` whether changes are collected for a store.
    #[must_use]
    pub fn new(config: Config, seed: u64, stored: bool) -> Self {
        let mut random = Random::new(seed);
        Self {
            config,
            pushes: BTreeMap::new(),
            by_id: HashMap::with_hasher(random.hasher()),
            held: 0,
            of_initiator: HashMap::with_hasher(random.hasher()),
            of_recipient: HashMap::with_hasher(random.hasher()),
            initiated: HashMap::with_hasher(random.hasher()),
            next_sweep: 0,
            next_push: 1,
            next_attempt: 1,
            attempts: HashMap::with_hasher(random.hasher()),
            in_flight: 0,
            timers: BTreeSet::new(),
            ready: BTreeSet::new(),
            notifications: Notifications::default(),
            events: VecDeque::new(),
            dirty: stored.then(BTreeSet::new),
            stats: Stats::default(),
        }
    }

    /// Replaces the settings; pushes that are held stay.
    pub fn set_config(&mut self, config: Config) {
        self.config = config;
    }

    /// Handles every timer that is due.
    pub fn handle_timeout(&mut self, now: u64) {
        while let Some(&(at, place)) = self.timers.first() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            if place.recipient == u32::MAX {
                self.forget(place.push);
                continue;
            }
            let Some(push) = self.pushes.get_mut(&place.push) else {
                continue;
            };
            let (priority, expires) = (push.priority(), push.expires);
            let Some(delivery) = push.deliveries.get_mut(place.recipient as usize) else {
                continue;
            };
            delivery.timer = None;
            match delivery.state {
                State::Waiting { timed_out, .. } if now >= expires => {
                    self.expire(now, place, timed_out);
                }
                State::Waiting { at, .. } => {
                    self.ready.insert((priority, at, place));
                    self.set_timer(place, expires);
                }
                State::Attempting { attempt, .. } => {
                    self.outcome(now, attempt, crate::push::Outcome::TimedOut);
                }
                State::Final(_) => self.notice_due(place),
            }
        }
        if now >= self.next_sweep {
            self.next_sweep = now.saturating_add(SWEEP_INTERVAL);
            let pause = self.config.longest_pause();
            let attempts = &mut self.attempts;
            self.initiated.retain(|_, asked| {
                if let Some(due) = asked.receipt.take_if(|due| due.until <= now) {
                    attempts.remove(&due.attempt);
                }
                asked.receipt.is_some() || asked.at.saturating_add(pause) > now
            });
        }
        self.start(now);
        self.notify();
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            pushes: self.pushes.len() as u64,
            recipients: self.held as u64,
            in_flight: self.attempts.len() as u64,
            ..self.stats
        }
    }

    fn set_timer(&mut self, place: Place, at: u64) {
        let Some(delivery) = self.delivery_mut(place) else {
            return;
        };
        if let Some(before) = delivery.timer.replace(at) {
            self.timers.remove(&(before, place));
        }
        self.timers.insert((at, place));
    }

    fn delivery(&self, place: Place) -> Option<(&Push, &Delivery)> {
        let push = self.pushes.get(&place.push)?;
        let delivery = push.deliveries.get(place.recipient as usize)?;
        Some((push, delivery))
    }

    fn delivery_mut(&mut self, place: Place) -> Option<&mut Delivery> {
        let push = self.pushes.get_mut(&place.push)?;
        push.deliveries.get_mut(place.recipient as usize)
    }

    fn changed(&mut self, place: Place) {
        if let Some(dirty) = &mut self.dirty {
            dirty.insert(place);
        }
    }

    /// The delivery has its final state.
    fn finish(&mut self, place: Place, ending: Ending) {
        let Some((push, delivery)) = self.delivery(place) else {
            return;
        };
        let record = DeliveryRecord {
            initiator: Arc::clone(&push.initiator),
            push_id: Arc::clone(&push.push_id),
            recipient: delivery.recipient.clone(),
            received: push.received,
            finished: ending.at,
            state: ending.state,
            code: ending.code,
            bearer: ending.bearer,
            attempts: delivery.attempts,
            octets: push.message.body.len(),
            content_type: push.message.content_type().to_owned(),
        };
        let at = ending.at;
        let index = MessageState::FINAL
            .iter()
            .position(|state| *state == ending.state);
        if let Some(count) = index.and_then(|index| self.stats.finished.get_mut(index)) {
            *count += 1;
        }
        self.stats.pending -= 1;
        self.unwait(record.recipient.address());
        self.events.push_back(Event::Finished(Box::new(record)));
        let mut before = None;
        let mut wanted = false;
        if let Some(delivery) = self.delivery_mut(place) {
            delivery.state = State::Final(ending);
            before = delivery.timer.take();
            wanted = delivery.notice == Noticing::Wanted;
            if wanted {
                delivery.notice = Noticing::Waiting { at, tries: 0 };
            }
        }
        if let Some(before) = before {
            self.timers.remove(&(before, place));
        }
        if wanted {
            self.stats.notifications += 1;
            self.set_timer(place, at);
        }
        self.changed(place);
        self.settle(place.push, at);
    }

    /// One push fewer waits for a recipient.
    fn unwait(&mut self, address: &Address) {
        if let Some(count) = self.of_recipient.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                self.of_recipient.remove(address);
            }
        }
    }

    /// If nothing is left to do for a push, its results are kept for a while.
    fn settle(&mut self, id: u64, now: u64) {
        let is_over = self.pushes.get(&id).is_some_and(|push| {
            push.deliveries.iter().all(|delivery| {
                matches!(delivery.state, State::Final(_)) && delivery.notice == Noticing::Nothing
            })
        });
        if is_over {
            let keep = millis(self.config.keep_results);
            self.timers
                .insert((now.saturating_add(keep), Place::whole(id)));
        }
    }

    fn forget(&mut self, id: u64) {
        let Some(push) = self.pushes.remove(&id) else {
            return;
        };
        self.by_id
            .remove(&(Arc::clone(&push.initiator), Arc::clone(&push.push_id)));
        self.held -= push.count();
        if let Some(count) = self.of_initiator.get_mut(&push.initiator) {
            *count -= push.count();
            if *count == 0 {
                self.of_initiator.remove(&push.initiator);
            }
        }
        self.stats.octets -= push.octets();
        if push.rejected {
            return;
        }
        self.changed(Place::whole(id));
        for recipient in 0..push.deliveries.len() {
            let recipient = u32::try_from(recipient).unwrap_or(u32::MAX);
            self.changed(Place {
                push: id,
                recipient,
            });
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How often the table of clients that were asked to connect is swept.
const SWEEP_INTERVAL: u64 = 60_000;
