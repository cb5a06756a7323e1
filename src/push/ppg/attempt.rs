//! Attempts to deliver, one bearer after the other, and their outcomes.

use std::sync::Arc;

use super::{Asked, Ending, Event, Place, Ppg, Push, ReceiptDue, State, millis, plan};
use crate::push::pap::{MessageState, Status};
use crate::push::{
    Address, AttemptId, Bearer, Deliver, Outcome, PUSH_PORT, PushMessage, initiation,
};
use crate::wsp::AbortReason;

impl Ppg {
    /// Starts the attempts that are due, up to `max_in_flight`.
    pub(super) fn start(&mut self, now: u64) {
        while self.in_flight < self.config.max_in_flight {
            let Some((_, _, place)) = self.ready.pop_first() else {
                return;
            };
            self.attempt(now, place);
        }
    }

    fn attempt(&mut self, now: u64, place: Place) {
        let Some((push, delivery)) = self.delivery(place) else {
            return;
        };
        let State::Waiting {
            step, timed_out, ..
        } = delivery.state
        else {
            return;
        };
        let expires = push.expires;
        if now >= expires {
            return self.expire(now, place, timed_out);
        }
        let address = delivery.recipient.address();
        let bearers = plan::bearers(&self.config, push.quality.as_ref(), address);
        let bearer = match &bearers {
            Ok(bearers) => bearers.get(step).copied(),
            // The settings have changed since the push was accepted.
            Err(code) => {
                let ending = failed(now, MessageState::Undeliverable, *code, None);
                return self.finish(place, ending);
            }
        };
        let Some(bearer) = bearer else {
            return self.next_round(now, place, timed_out);
        };
        if bearer.is_request() {
            let longest = self.config.longest_pause();
            let pause = millis(self.config.initiation_interval)
                .saturating_mul(1 << delivery.rounds.saturating_sub(1).min(20))
                .min(longest);
            let asked = self.initiated.get(address).copied();
            let next = asked.map_or(now, |asked| asked.at.saturating_add(pause));
            // One short message is enough: a centre may still have it.
            let has_receipt_due = bearer == Bearer::SirBySms
                && asked.is_some_and(|asked| asked.receipt.is_some_and(|due| due.until > now));
            if has_receipt_due || next > now {
                // The client was asked; its session is looked for again, the more rarely the longer
                // ago that was.
                let since = now.saturating_sub(asked.map_or(now, |asked| asked.at));
                let again = now + SESSION_POLL.max(since.min(longest) / 8);
                let again = match has_receipt_due {
                    true => again,
                    false => again.min(next),
                };
                return self.set_waiting(place, again, 0, timed_out);
            }
            if delivery.rounds >= self.config.max_attempts {
                return self.give_up(now, place, timed_out);
            }
        }
        let attempt = AttemptId(self.next_attempt);
        let message = self.message(bearer, push);
        let deliver = Deliver {
            attempt,
            recipient: delivery.recipient.clone(),
            bearer,
            message,
            port: self.port(bearer, push),
            expires,
        };
        self.next_attempt += 1;
        self.attempts.insert(attempt, (place, bearer));
        self.in_flight += usize::from(!bearer.is_by_sms());
        let count = match bearer {
            Bearer::UdpConnectionless => 0,
            Bearer::Session { confirmed: false } => 1,
            Bearer::Session { confirmed: true } => 2,
            Bearer::Sir | Bearer::SirBySms => 3,
            Bearer::Sms => 4,
            Bearer::Http => 5,
        };
        if let Some(count) = self.stats.attempts.get_mut(count) {
            *count += 1;
        }
        if bearer == Bearer::SirBySms {
            let until = expires;
            let receipt = Some(ReceiptDue { attempt, until });
            let address = deliver.recipient.address().clone();
            let before = self.initiated.insert(address, Asked { at: now, receipt });
            // The receipt of the request before is not waited for any more.
            if let Some(due) = before.and_then(|asked| asked.receipt) {
                self.attempts.remove(&due.attempt);
            }
            // The client may connect before the receipt comes.
            self.set_waiting(place, now + SESSION_POLL, 0, timed_out);
        } else {
            // A short message's receipt comes when the telephone is on again.
            let until = match bearer {
                Bearer::Sms => expires.saturating_add(SMS_GRACE),
                _ => now.saturating_add(millis(self.config.attempt_timeout)),
            };
            if let Some(delivery) = self.delivery_mut(place) {
                delivery.state = State::Attempting {
                    attempt,
                    bearer,
                    step,
                };
            }
            self.set_timer(place, until);
        }
        if let Some(delivery) = self.delivery_mut(place) {
            delivery.attempts += 1;
        }
        self.events.push_back(Event::Deliver(deliver));
    }

    /// The content for a bearer: the message, or the session initiation request.
    fn message(&self, bearer: Bearer, push: &Push) -> Arc<PushMessage> {
        if !bearer.is_request() {
            return Arc::clone(&push.message);
        }
        let application = application(push);
        Arc::new(initiation::request(&[application], &self.config.contacts))
    }

    fn port(&self, bearer: Bearer, push: &Push) -> u16 {
        if bearer.is_request() {
            return PUSH_PORT;
        }
        let application = application(push);
        let number = |id: &str| crate::wsp::header::application_number(id).map(|it| it.to_string());
        let mut ports = self.config.ports.iter();
        let own =
            ports.find(|(id, _)| id == application || number(id).as_deref() == Some(application));
        own.map_or(PUSH_PORT, |(_, port)| *port)
    }

    /// The outcome of an attempt.
    pub fn handle_outcome(&mut self, now: u64, attempt: AttemptId, outcome: Outcome) {
        self.outcome(now, attempt, outcome);
        self.handle_timeout(now);
    }

    /// Applies an outcome. The caller handles the timers that follow from it.
    pub(super) fn outcome(&mut self, now: u64, attempt: AttemptId, outcome: Outcome) {
        let Some((place, bearer)) = self.attempts.remove(&attempt) else {
            return;
        };
        self.in_flight -= usize::from(!bearer.is_by_sms());
        if bearer == Bearer::SirBySms {
            return self.request_by_sms_ended(now, attempt, place, outcome);
        }
        let Some((_, delivery)) = self.delivery(place) else {
            return;
        };
        let State::Attempting { bearer, step, .. } = delivery.state else {
            return;
        };
        match outcome {
            Outcome::Sent | Outcome::Confirmed if bearer == Bearer::Sir => {
                let address = delivery.recipient.address().clone();
                // The limits of pushes bound the entries of one sweep interval.
                self.initiated.entry(address).or_default().at = now;
                if let Some(delivery) = self.delivery_mut(place) {
                    delivery.rounds += 1;
                }
                self.wait(place, now + SESSION_POLL, 0, false);
            }
            Outcome::Sent | Outcome::Confirmed => {
                if matches!(bearer, Bearer::Session { .. }) {
                    let address = delivery.recipient.address().clone();
                    self.has_connected(&address);
                }
                let is_by_client =
                    matches!(bearer, Bearer::Session { confirmed: true } | Bearer::Http);
                self.finish(
                    place,
                    Ending {
                        state: MessageState::Delivered,
                        code: Status::OK,
                        desc: None,
                        at: now,
                        confirmed: outcome == Outcome::Confirmed && is_by_client,
                        bearer: Some(bearer),
                    },
                );
            }
            Outcome::Aborted(reason) if is_of_session(reason) => self.next_round(now, place, false),
            Outcome::Aborted(reason) => {
                let desc = format!("the client aborted the push: {:?}", AbortReason(reason));
                let mut ending = failed(
                    now,
                    MessageState::Aborted,
                    Status::aborted(reason),
                    Some(bearer),
                );
                ending.desc = Some(desc);
                self.finish(place, ending);
            }
            Outcome::TimedOut => self.next_round(now, place, true),
            Outcome::Busy => self.next_round(now, place, false),
            Outcome::Unreachable | Outcome::NotAgreed => self.next_step(now, place, step),
            Outcome::TooLarge if self.has_more(place, step) => self.next_step(now, place, step),
            Outcome::TooLarge => {
                let code = Status::CAPABILITIES_NOT_SUPPORTED;
                let mut ending = failed(now, MessageState::Undeliverable, code, Some(bearer));
                ending.desc = Some("the message is larger than the client takes".to_owned());
                self.finish(place, ending);
            }
            Outcome::Refused {
                permanent: false, ..
            } => self.next_round(now, place, false),
            Outcome::Refused { reason, .. } => self.refused(now, place, bearer, reason),
        }
    }

    /// The centre's receipt of a session initiation request, or what else became of it.
    fn request_by_sms_ended(
        &mut self,
        now: u64,
        attempt: AttemptId,
        place: Place,
        outcome: Outcome,
    ) {
        // Of a push that is forgotten, the entry is swept once the push would have expired.
        let Some((_, delivery)) = self.delivery(place) else {
            return;
        };
        let address = delivery.recipient.address().clone();
        if let Some(asked) = self.initiated.get_mut(&address)
            && asked.receipt.is_some_and(|due| due.attempt == attempt)
        {
            asked.receipt = None;
            match outcome {
                // No receipt came: the client was asked when the centre got the message, if ever.
                Outcome::Sent => {}
                Outcome::Confirmed => asked.at = now,
                _ => drop(self.initiated.remove(&address)),
            }
        }
        let Some((_, delivery)) = self.delivery(place) else {
            return;
        };
        // An attempt in a session that the client has meanwhile decides by itself.
        let waiting = match delivery.state {
            State::Waiting { timed_out, .. } => Some(timed_out),
            State::Attempting { .. } => None,
            State::Final(_) => return,
        };
        match (outcome, waiting) {
            (Outcome::Sent | Outcome::Confirmed, _) => {
                if let Some(delivery) = self.delivery_mut(place) {
                    delivery.rounds += 1;
                }
                if let Some(timed_out) = waiting {
                    self.wait(place, now + SESSION_POLL, 0, timed_out);
                }
            }
            (_, None) => {}
            (
                Outcome::Refused {
                    permanent: true,
                    reason,
                },
                Some(_),
            ) => self.refused(now, place, Bearer::SirBySms, reason),
            (_, Some(timed_out)) => self.next_round(now, place, timed_out),
        }
    }

    /// The client has a session: a request by SMS has served its purpose, received or not.
    fn has_connected(&mut self, address: &Address) {
        let asked = self.initiated.get_mut(address);
        if let Some(due) = asked.and_then(|asked| asked.receipt.take()) {
            self.attempts.remove(&due.attempt);
        }
    }

    /// The bearer has refused the push for good.
    fn refused(&mut self, now: u64, place: Place, bearer: Bearer, reason: String) {
        let code = Status::SERVICE_FAILURE;
        let mut ending = failed(now, MessageState::Undeliverable, code, Some(bearer));
        ending.desc = Some(reason);
        self.finish(place, ending);
    }

    fn has_more(&self, place: Place, step: usize) -> bool {
        let Some((push, delivery)) = self.delivery(place) else {
            return false;
        };
        let address = delivery.recipient.address();
        plan::bearers(&self.config, push.quality.as_ref(), address)
            .is_ok_and(|bearers| step + 1 < bearers.len())
    }

    /// The next bearer, at once; after the last one another round.
    fn next_step(&mut self, now: u64, place: Place, step: usize) {
        match self.has_more(place, step) {
            true => self.wait(place, now, step + 1, false),
            false => self.next_round(now, place, false),
        }
    }

    /// From the first bearer again, after a pause that doubles.
    fn next_round(&mut self, now: u64, place: Place, timed_out: bool) {
        let (retry, most) = (millis(self.config.retry), millis(self.config.retry_most));
        let max_attempts = self.config.max_attempts;
        let Some(delivery) = self.delivery_mut(place) else {
            return;
        };
        let pause = retry.saturating_mul(1 << delivery.rounds.min(20)).min(most);
        delivery.rounds += 1;
        if delivery.rounds >= max_attempts {
            return self.give_up(now, place, timed_out);
        }
        self.stats.retries += 1;
        self.wait(place, now.saturating_add(pause), 0, timed_out);
    }

    /// The rounds of attempts are used up.
    fn give_up(&mut self, now: u64, place: Place, timed_out: bool) {
        let (state, desc) = match timed_out {
            true => (MessageState::Timeout, "the client did not confirm in time"),
            false => (MessageState::Undeliverable, "no bearer reaches the client"),
        };
        let mut ending = failed(now, state, Status::SERVICE_FAILURE, None);
        ending.desc = Some(desc.to_owned());
        self.finish(place, ending);
    }

    fn wait(&mut self, place: Place, at: u64, step: usize, timed_out: bool) {
        self.set_waiting(place, at, step, timed_out);
        if step == 0 {
            self.changed(place);
        }
    }

    /// Waits without a change for the store.
    fn set_waiting(&mut self, place: Place, at: u64, step: usize, timed_out: bool) {
        let Some(expires) = self.pushes.get(&place.push).map(|push| push.expires) else {
            return;
        };
        if let Some(delivery) = self.delivery_mut(place) {
            delivery.state = State::Waiting {
                at,
                step,
                timed_out,
            };
        }
        self.set_timer(place, at.min(expires));
    }

    /// The time of a push is over.
    pub(super) fn expire(&mut self, now: u64, place: Place, timed_out: bool) {
        let (state, desc) = match timed_out {
            true => (MessageState::Timeout, "the client did not confirm in time"),
            false => (
                MessageState::Expired,
                "the push expired before the client could be reached",
            ),
        };
        let mut ending = failed(now, state, Status::SERVICE_FAILURE, None);
        ending.desc = Some(desc.to_owned());
        self.finish(place, ending);
    }
}

fn failed(at: u64, state: MessageState, code: Status, bearer: Option<Bearer>) -> Ending {
    Ending {
        state,
        code,
        desc: Some(code.text().to_owned()),
        at,
        confirmed: false,
        bearer,
    }
}

/// The application a push is for, as X-Wap-Application-Id has it.
fn application(push: &Push) -> &str {
    let value = push.message.headers.get("x-wap-application-id");
    value.and_then(|value| value.to_str().ok()).unwrap_or("2")
}

/// Whether an abort means the session or the network and not the push.
fn is_of_session(reason: u8) -> bool {
    [
        AbortReason::DISCONNECT,
        AbortReason::SUSPEND,
        AbortReason::RESUME,
        AbortReason::CONGESTION,
        AbortReason::MOREXCEEDED,
        AbortReason::NETERR,
    ]
    .contains(&AbortReason(reason))
}

/// The first pause between two looks for the session of a client that was asked to connect.
const SESSION_POLL: u64 = 2_000;
/// How long after its expiry the receipt of a short message is waited for.
const SMS_GRACE: u64 = 3_600_000;
