//! The stored form of an accounting session.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::session::{EventTime, Key, Moment, Session};
use super::{Identity, Prefix, Private, Source};

/// The stored session. A missing field is unknown, so that versions can differ.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Saved {
    reporter: String,
    nas: String,
    session: String,
    reported_by: Option<String>,
    prefixes: Vec<String>,
    heard: u64,
    stamp: Option<u32>,
    /// Start of the session: when the report was received, and the access server's time.
    began: Option<(u64, Option<u32>)>,
    /// The expiry by the calendar, in seconds since 1970.
    expires: u64,
    msisdn: Option<String>,
    alias: Option<String>,
    imsi: Option<String>,
    imei: Option<String>,
    sgsn: Option<String>,
    ggsn: Option<String>,
    charging_id: Option<u32>,
    network: Option<String>,
    rat: Option<u8>,
    location: Option<String>,
    apn: Option<String>,
}

/// The session's key in the store.
pub(super) fn name(key: &Key) -> Vec<u8> {
    let Key {
        reporter,
        nas,
        session,
    } = key;
    format!("{reporter}\0{nas}\0{session}").into_bytes()
}

pub(super) fn encode(session: &Session, at: Moment) -> Vec<u8> {
    let private = |text: &Option<Private>| text.as_ref().map(|text| text.reveal().to_owned());
    let plain = |text: &Option<Box<str>>| text.as_ref().map(ToString::to_string);
    let Session { key, identity, .. } = session;
    let saved = Saved {
        reporter: key.reporter.to_string(),
        nas: key.nas.to_string(),
        session: key.session.to_string(),
        reported_by: session.reported_by.map(|address| address.to_string()),
        prefixes: session.prefixes.iter().map(ToString::to_string).collect(),
        heard: session.latest.heard,
        stamp: session.latest.stamp,
        began: Some((session.began.heard, session.began.stamp)),
        expires: at.unix + session.expires.since(at.now).as_secs(),
        msisdn: private(&identity.msisdn),
        alias: private(&identity.alias),
        imsi: private(&identity.imsi),
        imei: private(&identity.imei),
        sgsn: identity.sgsn.map(|address| address.to_string()),
        ggsn: identity.ggsn.map(|address| address.to_string()),
        charging_id: identity.charging_id,
        network: plain(&identity.network),
        rat: identity.rat,
        location: private(&identity.location),
        apn: plain(&identity.apn),
    };
    serde_json::to_vec(&saved).unwrap_or_default()
}

/// The session; `None` if it has expired or cannot be decoded. Its report counts as received before
/// now, and it expires at most `lifetime` from now, even if the calendar was changed meanwhile.
pub(super) fn decode(octets: &[u8], at: Moment, lifetime: Duration) -> Option<Session> {
    let saved: Saved = serde_json::from_slice(octets).ok()?;
    let left = saved
        .expires
        .checked_sub(at.unix)
        .filter(|left| *left > 0)?;
    let private = |text: Option<String>| text.map(Private::new);
    let plain = |text: Option<String>| text.map(String::into_boxed_str);
    let address = |text: Option<String>| text.and_then(|text| text.parse().ok());
    let prefixes: Result<Vec<Prefix>, _> = saved.prefixes.iter().map(|text| text.parse()).collect();
    let identity = Identity {
        msisdn: private(saved.msisdn),
        alias: private(saved.alias),
        imsi: private(saved.imsi),
        imei: private(saved.imei),
        sgsn: address(saved.sgsn),
        ggsn: address(saved.ggsn),
        charging_id: saved.charging_id,
        network: plain(saved.network),
        rat: saved.rat,
        location: private(saved.location),
        apn: plain(saved.apn),
        nas: (!saved.nas.is_empty()).then(|| saved.nas.clone().into()),
        session: Some(saved.session.clone().into()),
        source: Source::Radius,
    };
    let expires = at.now + Duration::from_secs(left).min(lifetime);
    let time = |heard: u64, stamp| EventTime {
        heard: heard.min(at.unix),
        stamp,
    };
    let latest = time(saved.heard, saved.stamp);
    Some(Session {
        key: Key {
            reporter: saved.reporter.into(),
            nas: saved.nas.into(),
            session: saved.session.into(),
        },
        reported_by: address(saved.reported_by),
        prefixes: prefixes.ok()?,
        identity: Arc::new(identity),
        began: saved
            .began
            .map_or(latest, |(heard, stamp)| time(heard, stamp)),
        latest,
        expires,
        saved: Some(expires),
    })
}
