//! Cancellations, status queries and lists (WAP-247 8.4 to 8.9).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Delivery, Ending, Noticing, Place, Ppg, Push, State};
use crate::push::pap::{
    CancelResult, MessageState, Method, Quality, Query, Response, Status, StatusResult,
};
use crate::push::{Address, AddressError, Recipient};

/// Which pushes to list, and where to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Behind this place: [`Page::next`] of the page before.
    pub after: Option<(u64, u32)>,
    /// Deliveries on a page. One page looks at 10,000 deliveries at most, so a page may be empty
    /// without being the last.
    pub limit: usize,
    /// Only those in this state.
    pub state: Option<MessageState>,
    /// Only those of this initiator.
    pub initiator: Option<String>,
}

/// A page of the list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The deliveries.
    pub listed: Vec<Listed>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<(u64, u32)>,
}

/// A delivery in a list. Its recipient is masked when it is printed.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The initiator.
    pub initiator: Arc<str>,
    /// The push.
    pub push_id: Arc<str>,
    /// The recipient.
    pub recipient: Recipient,
    /// The state.
    pub state: MessageState,
    /// When the push came, and when it expires: milliseconds since 1970.
    pub received: u64,
    /// See `received`.
    pub expires: u64,
    /// When the next attempt is made, if one is.
    pub next: Option<u64>,
    /// Attempts made.
    pub attempts: u32,
    /// Octets of its content.
    pub octets: usize,
}

impl Ppg {
    pub(super) fn find(&self, initiator: &Arc<str>, push_id: &str) -> Option<u64> {
        self.by_id
            .get(&(Arc::clone(initiator), push_id.into()))
            .copied()
    }

    /// The deliveries of a push to these clients.
    pub(super) fn places_of<'a>(
        &self,
        push: u64,
        addresses: impl Iterator<Item = &'a Address>,
    ) -> Vec<Option<Place>> {
        let held = self.pushes.get(&push);
        let held = held.map_or(&[][..], |push| push.deliveries.as_slice());
        let own = held.iter().map(|delivery| delivery.recipient.address());
        // A push and a query may have thousands of addresses each.
        let places: BTreeMap<&Address, u32> = own.zip(0..).collect();
        let place = |address| {
            let recipient = places.get(address).copied()?;
            Some(Place { push, recipient })
        };
        addresses.map(place).collect()
    }

    /// The deliveries of a push that a query asks for, as far as its addresses can be read.
    fn asked(&self, push: u64, query: &Query) -> Vec<Result<Place, Status>> {
        let addresses = query.addresses.iter().map(|text| Recipient::parse(text));
        let addresses: Vec<_> = addresses.collect();
        let readable = addresses.iter().flatten().map(Recipient::address);
        let mut places = self.places_of(push, readable).into_iter();
        let place = |address: &Result<Recipient, AddressError>| match address {
            Ok(_) => places.next().flatten().ok_or(Status::ADDRESS_NOT_FOUND),
            Err(_) => Err(Status::ADDRESS_ERROR),
        };
        addresses.iter().map(place).collect()
    }

    fn places(&self, push: u64) -> Vec<Place> {
        let count = self
            .pushes
            .get(&push)
            .map_or(0, |push| push.deliveries.len());
        let recipients = 0..u32::try_from(count).unwrap_or(0);
        recipients
            .map(|recipient| Place { push, recipient })
            .collect()
    }

    /// `cancel-message`.
    pub fn cancel(&mut self, now: u64, initiator: &Arc<str>, query: &Query) -> Response {
        let mut results: Vec<CancelResult> = Vec::new();
        let mut add = |address: Option<&str>, code: Status| {
            let known = results.iter_mut().find(|result| result.code == code);
            let result = match known {
                Some(result) => result,
                None => {
                    results.push(CancelResult {
                        addresses: Vec::new(),
                        code,
                        desc: None,
                    });
                    let Some(last) = results.last_mut() else {
                        return;
                    };
                    last
                }
            };
            result.addresses.extend(address.map(str::to_owned));
        };
        match self.find(initiator, &query.push_id) {
            None => add(None, Status::PUSH_ID_NOT_FOUND),
            Some(push) if query.addresses.is_empty() => {
                for place in self.places(push) {
                    let code = self.cancel_one(now, place);
                    let text = self
                        .delivery(place)
                        .map(|(_, it)| it.recipient.text().to_owned());
                    add(text.as_deref(), code);
                }
            }
            Some(push) => {
                for (address, place) in query.addresses.iter().zip(self.asked(push, query)) {
                    let code = place.map_or_else(|code| code, |place| self.cancel_one(now, place));
                    add(Some(address), code);
                }
            }
        }
        self.handle_timeout(now);
        Response::Cancel {
            push_id: query.push_id.clone(),
            results,
        }
    }

    /// Cancels a delivery that waits. An attempt under way cannot be stopped (2008); a final state
    /// stays (3003).
    pub(super) fn cancel_one(&mut self, now: u64, place: Place) -> Status {
        let Some((_, delivery)) = self.delivery(place) else {
            return Status::ADDRESS_NOT_FOUND;
        };
        match delivery.state {
            State::Waiting { .. } => {
                self.finish(
                    place,
                    Ending {
                        state: MessageState::Cancelled,
                        code: Status::OK,
                        desc: Some("cancelled by the initiator".to_owned()),
                        at: now,
                        confirmed: false,
                        bearer: None,
                    },
                );
                Status::OK
            }
            State::Attempting { .. } => Status::CANCELLATION_NOT_POSSIBLE,
            State::Final(_) => Status::NOT_POSSIBLE,
        }
    }

    /// `statusquery-message`.
    #[must_use]
    pub fn status(&self, initiator: &Arc<str>, query: &Query) -> Response {
        let unknown = |addresses: Vec<String>, code: Status| StatusResult {
            addresses,
            quality: None,
            event_time: None,
            state: MessageState::Unknown,
            code,
            desc: None,
        };
        let results = match self.find(initiator, &query.push_id) {
            None => vec![unknown(query.addresses.clone(), Status::PUSH_ID_NOT_FOUND)],
            Some(push) if query.addresses.is_empty() => {
                let places = self.places(push).into_iter();
                places.filter_map(|place| self.status_of(place)).collect()
            }
            Some(push) => {
                let places = query.addresses.iter().zip(self.asked(push, query));
                let result = |(address, place): (&String, Result<Place, Status>)| {
                    let found = place.and_then(|place| {
                        let found = self.status_of(place);
                        found.ok_or(Status::ADDRESS_NOT_FOUND)
                    });
                    let mut found = found.unwrap_or_else(|code| unknown(Vec::new(), code));
                    found.addresses = vec![address.clone()];
                    found
                };
                places.map(result).collect()
            }
        };
        Response::Status {
            push_id: query.push_id.clone(),
            results,
        }
    }

    fn status_of(&self, place: Place) -> Option<StatusResult> {
        let (push, delivery) = self.delivery(place)?;
        let (state, code, desc, event_time) = match &delivery.state {
            State::Final(ending) => (
                ending.state,
                ending.code,
                ending.desc.clone(),
                Some(ending.at),
            ),
            _ => (MessageState::Pending, Status::OK, None, None),
        };
        Some(StatusResult {
            addresses: vec![delivery.recipient.text().to_owned()],
            quality: used(push, &delivery.state),
            event_time,
            state,
            code,
            desc,
        })
    }

    /// A page of deliveries, in the order the pushes came.
    #[must_use]
    pub fn list(&self, listing: &Listing) -> Page {
        let from = listing.after.unwrap_or_default();
        let pushes = self.pushes.range(from.0..);
        let deliveries = pushes.flat_map(|(id, push)| {
            let deliveries = (0..).zip(&push.deliveries);
            deliveries.map(move |(recipient, delivery)| ((*id, recipient), push, delivery))
        });
        let deliveries =
            deliveries.skip_while(|(place, ..)| listing.after.is_some_and(|after| *place <= after));
        let mut page = Page::default();
        let mut last = None;
        for (seen, (place, push, delivery)) in deliveries.enumerate() {
            if page.listed.len() >= listing.limit || seen >= MOST_SEEN {
                page.next = last;
                break;
            }
            last = Some(place);
            let listed = Listed::of(push, delivery);
            let is_wanted = listing.state.is_none_or(|wanted| wanted == listed.state);
            let initiator = listing.initiator.as_deref();
            if is_wanted && initiator.is_none_or(|name| name == &*listed.initiator) {
                page.listed.push(listed);
            }
        }
        page
    }
}

impl Listed {
    fn of(push: &Push, delivery: &Delivery) -> Self {
        let (state, next) = match &delivery.state {
            State::Final(ending) => (ending.state, None),
            State::Waiting { at, .. } => (MessageState::Pending, Some(*at)),
            State::Attempting { .. } => (MessageState::Pending, None),
        };
        Self {
            initiator: Arc::clone(&push.initiator),
            push_id: Arc::clone(&push.push_id),
            recipient: delivery.recipient.clone(),
            state,
            received: push.received,
            expires: push.expires,
            next,
            attempts: delivery.attempts,
            octets: push.message.body.len(),
        }
    }
}

/// The quality of service that was used, if the submission asked for one (8.6): confirmed or not,
/// and the bearer.
pub(super) fn used(push: &Push, state: &State) -> Option<Quality> {
    let asked = push.quality.as_ref()?;
    let State::Final(ending) = state else {
        return Some(asked.clone());
    };
    Some(Quality {
        method: match ending.confirmed {
            true => Method::Confirmed,
            false => Method::Unconfirmed,
        },
        bearer: match ending.bearer {
            Some(bearer) if bearer.is_by_sms() => Some("SMS".to_owned()),
            _ => asked.bearer.clone(),
        },
        ..asked.clone()
    })
}

impl Noticing {
    /// Whether a notification is still owed.
    pub(super) const fn is_owed(self) -> bool {
        !matches!(self, Self::Nothing)
    }
}

/// Deliveries that one page looks at.
const MOST_SEEN: usize = 10_000;
