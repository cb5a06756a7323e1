//! Pushes in the store: one entry for a submission, which does not change, and one for each
//! recipient.
//!
//! A key is the number of the push and of the recipient, in eight and four octets. The entry of a
//! submission is a length in four octets, a JSON document of that length, and the content.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::{Delivery, Ending, Noticing, Place, Ppg, Push, State};
use crate::push::pap::{MessageState, Method, Priority, Quality, Status, Version, Versions};
use crate::push::{Bearer, PushMessage, Recipient};

#[derive(Serialize, Deserialize)]
struct SavedPush {
    initiator: String,
    push_id: String,
    version: (u16, u16),
    /// Whether the initiator has a version above 1.0.
    above: bool,
    received: u64,
    expires: u64,
    quality: Option<SavedQuality>,
    notify_to: Option<String>,
    headers: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
struct SavedQuality {
    priority: u8,
    method: u8,
    network: Option<String>,
    network_required: bool,
    bearer: Option<String>,
    bearer_required: bool,
}

#[derive(Serialize, Deserialize)]
struct SavedDelivery {
    address: String,
    attempts: u32,
    rounds: u32,
    /// When the next attempt is made, if the delivery is not over.
    at: u64,
    ending: Option<SavedEnding>,
    /// Whether a notification is owed, and how often it was tried.
    notify: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct SavedEnding {
    state: String,
    code: u16,
    desc: Option<String>,
    at: u64,
    confirmed: bool,
    /// The label of the bearer that was used.
    #[serde(default)]
    bearer: Option<String>,
}

/// Bearers by which a push ends.
const BEARERS: [Bearer; 7] = [
    Bearer::UdpConnectionless,
    Bearer::Session { confirmed: false },
    Bearer::Session { confirmed: true },
    Bearer::Http,
    Bearer::Sir,
    Bearer::Sms,
    Bearer::SirBySms,
];
const PRIORITIES: [Priority; 3] = [Priority::High, Priority::Medium, Priority::Low];
const METHODS: [Method; 4] = [
    Method::Confirmed,
    Method::PreferConfirmed,
    Method::Unconfirmed,
    Method::NotSpecified,
];

impl Ppg {
    /// The changes since the last call: keys with their new values; a key without a value is
    /// deleted.
    pub fn take_changes(&mut self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let Some(dirty) = &mut self.dirty else {
            return Vec::new();
        };
        let dirty = std::mem::take(dirty);
        let mut changes = Vec::with_capacity(dirty.len());
        for place in dirty {
            let push = self.pushes.get(&place.push);
            if place.recipient == u32::MAX {
                changes.push((key(place), push.map(encode_push)));
                // A push is new once, and its recipients with it.
                for recipient in (0..).zip(push.map_or(&[][..], |push| &push.deliveries)) {
                    let place = Place {
                        push: place.push,
                        recipient: recipient.0,
                    };
                    changes.push((key(place), Some(encode_delivery(recipient.1))));
                }
                continue;
            }
            let delivery = self
                .delivery(place)
                .map(|(_, delivery)| encode_delivery(delivery));
            changes.push((key(place), delivery));
        }
        changes
    }

    /// Restores stored entries. Returns the keys of unreadable ones. An attempt that was under way
    /// is made again.
    pub fn restore(&mut self, now: u64, entries: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<Vec<u8>> {
        let mut useless = Vec::new();
        let mut deliveries = std::collections::BTreeMap::<u64, Vec<(Vec<u8>, Delivery)>>::new();
        let mut pushes = Vec::new();
        for (key, value) in entries {
            let place = place(&key);
            match place {
                Some(place) if place.recipient == u32::MAX => match decode_push(&value) {
                    Some(push) => pushes.push((key, place.push, push)),
                    None => useless.push(key),
                },
                Some(place) => match decode_delivery(&value, now) {
                    Some(delivery) => deliveries
                        .entry(place.push)
                        .or_default()
                        .push((key, delivery)),
                    None => useless.push(key),
                },
                None => useless.push(key),
            }
        }
        for (key, id, mut push) in pushes {
            let Some(found) = deliveries.remove(&id) else {
                useless.push(key);
                continue;
            };
            push.deliveries = found.into_iter().map(|(_, delivery)| delivery).collect();
            let id_known = (Arc::clone(&push.initiator), Arc::clone(&push.push_id));
            if self.by_id.contains_key(&id_known) {
                useless.push(key);
                continue;
            }
            self.hold(id, push);
            self.schedule(id);
            self.settle(id, now);
        }
        useless.extend(deliveries.into_values().flatten().map(|(key, _)| key));
        self.handle_timeout(now);
        useless
    }
}

fn key(place: Place) -> Vec<u8> {
    let mut key = place.push.to_be_bytes().to_vec();
    // The submission comes before its recipients.
    key.extend(place.recipient.wrapping_add(1).to_be_bytes());
    key
}

fn place(key: &[u8]) -> Option<Place> {
    let (push, recipient) = key.split_first_chunk()?;
    let recipient = u32::from_be_bytes(recipient.try_into().ok()?);
    Some(Place {
        push: u64::from_be_bytes(*push),
        recipient: recipient.wrapping_sub(1),
    })
}

fn index<T: PartialEq>(all: &[T], value: &T) -> u8 {
    let found = all.iter().position(|known| known == value);
    u8::try_from(found.unwrap_or(0)).unwrap_or(0)
}

fn encode_push(push: &Push) -> Vec<u8> {
    let headers = push.message.headers.iter().map(|(name, value)| {
        (
            name.to_string(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    });
    let document = push.versions.document;
    let saved = SavedPush {
        initiator: push.initiator.to_string(),
        push_id: push.push_id.to_string(),
        version: (document.major, document.minor),
        above: push.versions.is_above_1_0(),
        received: push.received,
        expires: push.expires,
        quality: push.quality.as_ref().map(|quality| SavedQuality {
            priority: index(&PRIORITIES, &quality.priority),
            method: index(&METHODS, &quality.method),
            network: quality.network.clone(),
            network_required: quality.network_required,
            bearer: quality.bearer.clone(),
            bearer_required: quality.bearer_required,
        }),
        notify_to: push.notify_to.clone(),
        headers: headers.collect(),
    };
    // A document of text and numbers can always be written.
    let json = serde_json::to_vec(&saved).unwrap_or_default();
    let mut out = u32::try_from(json.len())
        .unwrap_or(0)
        .to_be_bytes()
        .to_vec();
    out.extend(json);
    out.extend_from_slice(&push.message.body);
    out
}

fn decode_push(octets: &[u8]) -> Option<Push> {
    let (length, rest) = octets.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (json, body) = rest.split_at_checked(length)?;
    let saved: SavedPush = serde_json::from_slice(json).ok()?;
    let mut headers = HeaderMap::new();
    for (name, value) in &saved.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_str(value).ok()?);
    }
    let (major, minor) = saved.version;
    let quality = saved.quality.map(|quality| {
        Some(Quality {
            priority: PRIORITIES.get(usize::from(quality.priority)).copied()?,
            method: METHODS.get(usize::from(quality.method)).copied()?,
            network: quality.network,
            network_required: quality.network_required,
            bearer: quality.bearer,
            bearer_required: quality.bearer_required,
        })
    });
    let quality = match quality {
        Some(quality) => Some(quality?),
        None => None,
    };
    Some(Push {
        initiator: saved.initiator.into(),
        push_id: saved.push_id.into(),
        versions: Versions::restored(Version { major, minor }, saved.above),
        received: saved.received,
        expires: saved.expires,
        quality,
        notify_to: saved.notify_to,
        message: Arc::new(PushMessage {
            headers,
            body: Bytes::copy_from_slice(body),
        }),
        rejected: false,
        deliveries: Vec::new(),
    })
}

fn encode_delivery(delivery: &Delivery) -> Vec<u8> {
    let (at, ending) = match &delivery.state {
        State::Waiting { at, .. } => (*at, None),
        State::Attempting { .. } => (0, None),
        State::Final(ending) => (
            0,
            Some(SavedEnding {
                state: ending.state.name().to_owned(),
                code: ending.code.0,
                desc: ending.desc.clone(),
                at: ending.at,
                confirmed: ending.confirmed,
                bearer: ending.bearer.map(|bearer| bearer.label().to_owned()),
            }),
        ),
    };
    let saved = SavedDelivery {
        address: delivery.recipient.text().to_owned(),
        attempts: delivery.attempts,
        rounds: delivery.rounds,
        at,
        ending,
        notify: delivery.notice.is_owed().then_some(match delivery.notice {
            Noticing::Waiting { tries, .. } | Noticing::UnderWay { tries } => tries,
            Noticing::Wanted | Noticing::Nothing => 0,
        }),
    };
    serde_json::to_vec(&saved).unwrap_or_default()
}

fn decode_delivery(octets: &[u8], now: u64) -> Option<Delivery> {
    let saved: SavedDelivery = serde_json::from_slice(octets).ok()?;
    let state = match saved.ending {
        None => State::Waiting {
            at: saved.at.max(now),
            step: 0,
            timed_out: false,
        },
        Some(ending) => State::Final(Ending {
            state: MessageState::parse(&ending.state)?,
            code: Status(ending.code),
            desc: ending.desc,
            at: ending.at,
            confirmed: ending.confirmed,
            bearer: ending.bearer.and_then(|label| {
                let mut known = BEARERS.into_iter();
                known.find(|bearer| bearer.label() == label)
            }),
        }),
    };
    let notice = match (saved.notify, &state) {
        (None, _) => Noticing::Nothing,
        (Some(tries), State::Final(_)) => Noticing::Waiting { at: now, tries },
        (Some(_), _) => Noticing::Wanted,
    };
    Some(Delivery {
        recipient: Recipient::parse(&saved.address).ok()?,
        state,
        attempts: saved.attempts,
        rounds: saved.rounds,
        notice,
        timer: None,
    })
}
