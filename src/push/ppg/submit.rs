//! Submissions: accepted, refused, or taking the place of others (WAP-247 5.1 and 8.2).

use std::sync::Arc;

use super::{Delivery, Ending, Noticing, Place, Ppg, Push, State, millis, plan};
use crate::push::pap::multipart::Entity;
use crate::push::pap::{MessageState, ProgressNote, Response, Status, Submission, Versions};
use crate::push::{AddressError, PushMessage, Recipient, content};

/// The initiator of a submission.
#[derive(Clone, Debug)]
pub struct Initiator {
    /// The name in the configuration, to which push-ids belong.
    pub name: Arc<str>,
    /// The mark on its content.
    pub origin: content::Initiator,
    /// Pushes it may have held at once, one for each recipient.
    pub max_pushes: usize,
}

impl Push {
    /// What of [`Config::max_octets`](super::Config::max_octets) it takes.
    pub(super) fn octets(&self) -> u64 {
        let texts = [Some(&*self.push_id), self.notify_to.as_deref()];
        let recipients = self.deliveries.iter().map(|delivery| &delivery.recipient);
        octets(texts, recipients, &self.message)
    }
}

/// Octets of the content, and of all that an initiator writes about it.
fn octets<'a>(
    texts: [Option<&str>; 2],
    recipients: impl Iterator<Item = &'a Recipient>,
    message: &PushMessage,
) -> u64 {
    let texts = texts.iter().flatten().map(|text| text.len());
    let recipients = recipients.map(|recipient| recipient.text().len());
    let fields = message.headers.iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len());
    let all = texts.chain(recipients).chain(fields).sum::<usize>();
    (all + message.body.len()) as u64
}

/// Why a push is refused for [`Config::max_octets`](super::Config::max_octets).
const TOO_MANY_OCTETS: &str = "as many octets of pushes are held as may be";

/// A status and why.
type Refusal = (Status, String);

impl Ppg {
    /// Takes a submission. `may_reach` tells whether the initiator may push to a recipient,
    /// `may_notify` whether a URL may get results.
    pub fn submit(
        &mut self,
        now: u64,
        initiator: &Initiator,
        versions: &Versions,
        submission: &Submission,
        entity: Option<&Entity>,
        (may_reach, may_notify): (impl Fn(&Recipient) -> bool, impl Fn(&str) -> bool),
    ) -> Response {
        let mut notes = Vec::new();
        let taken = self.take(
            now,
            initiator,
            versions,
            submission,
            entity,
            &may_reach,
            &may_notify,
            &mut notes,
        );
        let (code, desc) = match taken {
            Ok(()) => {
                self.stats.accepted += 1;
                self.handle_timeout(now);
                (Status::ACCEPTED, None)
            }
            Err((code, desc)) => {
                let count = match code {
                    Status::SERVICE_UNAVAILABLE | Status::MULTIPLE_ADDRESSES => {
                        &mut self.stats.limited
                    }
                    Status::BAD_REQUEST
                    | Status::ADDRESS_ERROR
                    | Status::TRANSFORMATION_FAILURE => &mut self.stats.invalid,
                    _ => &mut self.stats.refused,
                };
                *count += 1;
                (code, Some(desc))
            }
        };
        let notes = notes.into_iter().map(|stage: &str| ProgressNote {
            stage: stage.to_owned(),
            note: None,
            time: Some(now),
        });
        Response::Push {
            push_id: submission.push_id.clone(),
            sender_name: Some(self.config.name.clone()),
            reply_time: Some(now),
            notes: notes.filter(|_| submission.progress_notes).collect(),
            code,
            desc,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one submission")]
    fn take(
        &mut self,
        now: u64,
        initiator: &Initiator,
        versions: &Versions,
        submission: &Submission,
        entity: Option<&Entity>,
        may_reach: &impl Fn(&Recipient) -> bool,
        may_notify: &impl Fn(&str) -> bool,
        notes: &mut Vec<&'static str>,
    ) -> Result<(), Refusal> {
        let bad = |text: &str| (Status::BAD_REQUEST, text.to_owned());
        let recipients = self.recipients(submission)?;
        if !recipients.iter().all(may_reach) {
            let text = "the initiator may not push to one of the addresses";
            return Err((Status::FORBIDDEN, text.to_owned()));
        }
        if let Some(url) = &submission.notify_to
            && !may_notify(url)
        {
            return Err((
                Status::FORBIDDEN,
                "ppg-notify-requested-to is not a URL that may be told".to_owned(),
            ));
        }
        notes.push("control entity validated");
        let most = now.saturating_add(millis(self.config.lifetime));
        let expires = submission.deliver_before.unwrap_or(most).min(most);
        let at = submission.deliver_after.unwrap_or(now).max(now);
        if expires <= at {
            return Err(bad("the push would expire before it could be delivered"));
        }
        for recipient in &recipients {
            plan::bearers(
                &self.config,
                submission.quality.as_ref(),
                recipient.address(),
            )
            .map_err(|code| (code, code.text().to_owned()))?;
        }
        let entity = entity.ok_or_else(|| bad("there is no content entity"))?;
        self.check_limits(initiator, submission, &recipients, entity.body.len())?;
        let message = match content::message(entity, &initiator.origin) {
            Ok(message) => Arc::new(message),
            Err(error) if error.is_bad_request() => return Err(bad(&error.to_string())),
            Err(error) => {
                let code = Status::TRANSFORMATION_FAILURE;
                self.keep_rejected(
                    now,
                    initiator,
                    versions,
                    submission,
                    recipients,
                    &error.to_string(),
                );
                return Err((code, error.to_string()));
            }
        };
        notes.push("content validated and translated");
        let texts = [
            Some(submission.push_id.as_str()),
            submission.notify_to.as_deref(),
        ];
        let octets = octets(texts, recipients.iter(), &message);
        if octets + self.stats.octets > self.config.max_octets as u64 {
            return Err((Status::SERVICE_UNAVAILABLE, TOO_MANY_OCTETS.to_owned()));
        }
        let recipients = self.replace(now, initiator, submission, recipients)?;
        let deliveries = recipients.into_iter().map(|recipient| Delivery {
            recipient,
            state: State::Waiting {
                at,
                step: 0,
                timed_out: false,
            },
            attempts: 0,
            rounds: 0,
            notice: match submission.notify_to {
                Some(_) => Noticing::Wanted,
                None => Noticing::Nothing,
            },
            timer: None,
        });
        let push = Push {
            initiator: Arc::clone(&initiator.name),
            push_id: submission.push_id.as_str().into(),
            versions: versions.clone(),
            received: now,
            expires,
            quality: submission.quality.clone(),
            notify_to: submission.notify_to.clone(),
            message,
            rejected: false,
            deliveries: deliveries.collect(),
        };
        let id = self.next_push;
        self.hold(id, push);
        self.changed(Place::whole(id));
        self.schedule(id);
        notes.push("accepted");
        Ok(())
    }

    fn recipients(&self, submission: &Submission) -> Result<Vec<Recipient>, Refusal> {
        if submission.addresses.len() > self.config.max_recipients {
            let text = format!(
                "at most {} addresses are taken at a time",
                self.config.max_recipients
            );
            return Err((Status::MULTIPLE_ADDRESSES, text));
        }
        let mut recipients: Vec<Recipient> = Vec::with_capacity(submission.addresses.len());
        let mut known = std::collections::BTreeSet::new();
        for text in &submission.addresses {
            let recipient = Recipient::parse(text)
                .map_err(|error: AddressError| (Status::ADDRESS_ERROR, error.to_string()))?;
            // The same client twice gets the push once.
            if known.insert(recipient.address().clone()) {
                recipients.push(recipient);
            }
        }
        Ok(recipients)
    }

    fn check_limits(
        &mut self,
        initiator: &Initiator,
        submission: &Submission,
        recipients: &[Recipient],
        octets: usize,
    ) -> Result<(), Refusal> {
        let name = Arc::clone(&initiator.name);
        if let Some(known) = self
            .by_id
            .get(&(name, submission.push_id.as_str().into()))
            .copied()
        {
            if !self.pushes.get(&known).is_some_and(|push| push.rejected) {
                return Err((
                    Status::DUPLICATE_PUSH_ID,
                    "the push-id is known already".to_owned(),
                ));
            }
            self.forget(known);
        }
        let busy = |text: &str| Err((Status::SERVICE_UNAVAILABLE, text.to_owned()));
        let own = self.of_initiator.get(&initiator.name).copied().unwrap_or(0);
        // Each recipient costs an entry here and in the store.
        let count = recipients.len().max(1);
        if own + count > initiator.max_pushes {
            return busy("the initiator would have more pushes here than it may");
        }
        if self.held + count > self.config.max_pushes {
            return busy("more pushes would be held than may be");
        }
        if octets as u64 + self.stats.octets > self.config.max_octets as u64 {
            return busy(TOO_MANY_OCTETS);
        }
        let is_full = |recipient: &Recipient| {
            let waiting = self.of_recipient.get(recipient.address()).copied();
            waiting.unwrap_or(0) >= self.config.max_per_recipient
        };
        if recipients.iter().any(is_full) {
            return busy("as many pushes wait for one of the addresses as may");
        }
        Ok(())
    }

    /// Cancels the replaced push. Returns the recipients of the new one.
    fn replace(
        &mut self,
        now: u64,
        initiator: &Initiator,
        submission: &Submission,
        mut recipients: Vec<Recipient>,
    ) -> Result<Vec<Recipient>, Refusal> {
        let Some(replace) = &submission.replace else {
            return Ok(recipients);
        };
        let old = self.find(&initiator.name, &replace.push_id);
        let Some(old) = old else {
            return match replace.pending_only {
                true => Err((
                    Status::PUSH_ID_NOT_FOUND,
                    "the push to replace is not known".to_owned(),
                )),
                false => Ok(recipients),
            };
        };
        let places = self.places_of(old, recipients.iter().map(Recipient::address));
        let mut cancelled = places
            .into_iter()
            .map(|place| place.is_some_and(|place| self.cancel_one(now, place) == Status::OK));
        if replace.pending_only {
            recipients.retain(|_| cancelled.next().unwrap_or(false));
            if recipients.is_empty() {
                let text = "nothing of the push to replace can be cancelled";
                return Err((Status::CANCELLATION_NOT_POSSIBLE, text.to_owned()));
            }
        } else {
            cancelled.for_each(drop);
        }
        Ok(recipients)
    }

    /// Keeps a submission that was refused because of its content, for status queries (WAP-249
    /// 5.1.2.1.3), in memory only. Another submission may have its push-id.
    fn keep_rejected(
        &mut self,
        now: u64,
        initiator: &Initiator,
        versions: &Versions,
        submission: &Submission,
        recipients: Vec<Recipient>,
        desc: &str,
    ) {
        let deliveries = recipients.into_iter().map(|recipient| Delivery {
            recipient,
            state: State::Final(Ending {
                state: MessageState::Undeliverable,
                code: Status::TRANSFORMATION_FAILURE,
                desc: Some(desc.to_owned()),
                at: now,
                confirmed: false,
                bearer: None,
            }),
            attempts: 0,
            rounds: 0,
            notice: Noticing::Nothing,
            timer: None,
        });
        let push = Push {
            initiator: Arc::clone(&initiator.name),
            push_id: submission.push_id.as_str().into(),
            versions: versions.clone(),
            received: now,
            expires: now,
            quality: submission.quality.clone(),
            notify_to: None,
            message: Arc::new(PushMessage::default()),
            rejected: true,
            deliveries: deliveries.collect(),
        };
        // Without room only the status query goes without an answer.
        if push.octets() + self.stats.octets > self.config.max_octets as u64 {
            return;
        }
        let id = self.next_push;
        self.hold(id, push);
        self.settle(id, now);
    }

    /// Takes a push into the tables.
    pub(super) fn hold(&mut self, id: u64, push: Push) {
        self.next_push = self.next_push.max(id + 1);
        self.by_id
            .insert((Arc::clone(&push.initiator), Arc::clone(&push.push_id)), id);
        *self
            .of_initiator
            .entry(Arc::clone(&push.initiator))
            .or_default() += push.count();
        self.held += push.count();
        self.stats.octets += push.octets();
        self.pushes.insert(id, push);
    }

    /// Sets the timers of a push that is held.
    pub(super) fn schedule(&mut self, id: u64) {
        let Some(push) = self.pushes.get(&id) else {
            return;
        };
        let mut timers = Vec::new();
        let mut pending = Vec::new();
        for (recipient, delivery) in (0..).zip(&push.deliveries) {
            let place = Place {
                push: id,
                recipient,
            };
            match delivery.state {
                State::Waiting { at, .. } => {
                    timers.push((place, at.min(push.expires)));
                    pending.push(delivery.recipient.address().clone());
                }
                State::Attempting { .. } => {}
                State::Final(_) => {
                    if let Noticing::Waiting { at, .. } = delivery.notice {
                        timers.push((place, at));
                        self.stats.notifications += 1;
                    }
                }
            }
        }
        self.stats.pending += pending.len() as u64;
        for address in pending {
            *self.of_recipient.entry(address).or_default() += 1;
        }
        for (place, at) in timers {
            self.set_timer(place, at);
        }
    }
}
