//! Result notifications: one for each recipient, repeated until the initiator has it (WAP-247 5.2).

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use super::answer::used;
use super::{Event, Noticing, Place, Ppg, State, millis};
use crate::push::pap::{Operation, ResultNotification, write_operation};

/// A notification to send.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Names it in [`Ppg::handle_notified`].
    pub place: (u64, u32),
    /// Where to.
    pub url: String,
    /// The document, in the version of the submission (9.5).
    pub document: String,
}

/// Notifications that are due, and those under way, by initiator: one whose server does not answer
/// keeps no other waiting.
#[derive(Debug, Default)]
pub(super) struct Notifications {
    due: BTreeMap<Arc<str>, VecDeque<Place>>,
    under_way: BTreeMap<Arc<str>, usize>,
    all_under_way: usize,
    /// Whose turn was last.
    last: Option<Arc<str>>,
}

impl Notifications {
    fn add(&mut self, initiator: Arc<str>, place: Place) {
        self.due.entry(initiator).or_default().push_back(place);
    }

    /// The next one to send: the initiators take turns.
    fn next(&mut self) -> Option<(Arc<str>, Place)> {
        if self.all_under_way >= MAX_UNDER_WAY {
            return None;
        }
        let after = |last: &Arc<str>| {
            (
                Bound::Excluded(Arc::clone(last)),
                Bound::<Arc<str>>::Unbounded,
            )
        };
        let behind = self
            .last
            .iter()
            .flat_map(|last| self.due.range(after(last)));
        let has_room = |name: &&Arc<str>| {
            let own = self.under_way.get(*name).copied().unwrap_or(0);
            own < MAX_OF_INITIATOR
        };
        let mut names = behind.chain(&self.due).map(|(name, _)| name);
        let name = Arc::clone(names.find(has_room)?);
        let due = self.due.get_mut(&name)?;
        let place = due.pop_front()?;
        if due.is_empty() {
            self.due.remove(&name);
        }
        self.last = Some(Arc::clone(&name));
        Some((name, place))
    }

    fn begun(&mut self, initiator: Arc<str>) {
        self.all_under_way += 1;
        *self.under_way.entry(initiator).or_default() += 1;
    }

    fn ended(&mut self, initiator: &Arc<str>) {
        self.all_under_way -= 1;
        if let Some(count) = self.under_way.get_mut(initiator) {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(initiator);
            }
        }
    }
}

impl Ppg {
    /// The time for a notification has come.
    pub(super) fn notice_due(&mut self, place: Place) {
        if let Some((push, _)) = self.delivery(place) {
            let initiator = Arc::clone(&push.initiator);
            self.notifications.add(initiator, place);
        }
    }

    /// Sends notifications, as far as there is room.
    pub(super) fn notify(&mut self) {
        while let Some((initiator, place)) = self.notifications.next() {
            let name = self.config.name.clone();
            let Some((push, delivery)) = self.delivery(place) else {
                continue;
            };
            let (State::Final(ending), Noticing::Waiting { tries, .. }, Some(url)) =
                (&delivery.state, delivery.notice, &push.notify_to)
            else {
                continue;
            };
            let result = ResultNotification {
                push_id: push.push_id.to_string(),
                address: delivery.recipient.text().to_owned(),
                sender_name: Some(name),
                received_time: Some(push.received),
                event_time: Some(ending.at),
                state: ending.state,
                code: ending.code,
                desc: ending.desc.clone(),
                quality: used(push, &delivery.state),
            };
            let notice = Notice {
                place: (place.push, place.recipient),
                url: url.clone(),
                document: write_operation(
                    &push.versions,
                    &Operation::Notification(Box::new(result)),
                ),
            };
            if let Some(delivery) = self.delivery_mut(place) {
                delivery.notice = Noticing::UnderWay { tries };
            }
            self.notifications.begun(initiator);
            self.events.push_back(Event::Notify(notice));
        }
    }

    /// Whether the initiator has a notification.
    pub fn handle_notified(&mut self, now: u64, (push, recipient): (u64, u32), told: bool) {
        let place = Place { push, recipient };
        let (retry, most) = (millis(self.config.retry), millis(self.config.retry_most));
        let lifetime = millis(self.config.notify_lifetime);
        let Some(delivery) = self.delivery_mut(place) else {
            return;
        };
        let (Noticing::UnderWay { tries }, State::Final(ending)) =
            (delivery.notice, &delivery.state)
        else {
            return;
        };
        let pause = retry.saturating_mul(1 << tries.min(20)).min(most);
        let at = now.saturating_add(pause);
        let is_over = told || at > ending.at.saturating_add(lifetime);
        delivery.notice = match is_over {
            true => Noticing::Nothing,
            false => Noticing::Waiting {
                at,
                tries: tries + 1,
            },
        };
        if let Some(held) = self.pushes.get(&push) {
            self.notifications.ended(&held.initiator);
        }
        match (told, is_over) {
            (true, _) => self.stats.notified += 1,
            (false, true) => self.stats.notify_lost += 1,
            (false, false) => self.stats.notify_retries += 1,
        }
        self.changed(place);
        if is_over {
            self.stats.notifications -= 1;
            self.settle(push, now);
        } else {
            self.set_timer(place, at);
        }
        self.handle_timeout(now);
    }
}

/// Notifications under way at once.
const MAX_UNDER_WAY: usize = 32;
/// Of these, notifications of one initiator.
const MAX_OF_INITIATOR: usize = 8;
