//! An accounting session in octets, for a store to keep while the process is away.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::directory::{At, Happened, Key, Session};
use super::{Identity, Prefix, Private, Source};

/// A session as it is kept. Fields that are missing are unknown, so that versions can differ.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Saved {
    reporter: String,
    nas: String,
    session: String,
    prefixes: Vec<String>,
    heard: u64,
    stamp: Option<u32>,
    /// The same of its beginning: when it was heard, and the access server's clock.
    began: Option<(u64, Option<u32>)>,
    /// By the calendar, in seconds since 1970.
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

/// What tells it from others in the store.
pub(super) fn name(key: &Key) -> Vec<u8> {
    let Key {
        reporter,
        nas,
        session,
    } = key;
    format!("{reporter}\0{nas}\0{session}").into_bytes()
}

pub(super) fn encode(session: &Session, at: At) -> Vec<u8> {
    let private = |text: &Option<Private>| text.as_ref().map(|text| text.reveal().to_owned());
    let plain = |text: &Option<Box<str>>| text.as_ref().map(ToString::to_string);
    let Session { key, identity, .. } = session;
    let saved = Saved {
        reporter: key.reporter.to_string(),
        nas: key.nas.to_string(),
        session: key.session.to_string(),
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

/// The session, unless it has expired meanwhile or cannot be read. What was heard was heard before now, and it
/// lives no longer than `lifetime` from now, whatever the calendar was when it was saved.
pub(super) fn decode(octets: &[u8], at: At, lifetime: Duration) -> Option<Session> {
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
    let happened = |heard: u64, stamp| Happened {
        heard: heard.min(at.unix),
        stamp,
    };
    let latest = happened(saved.heard, saved.stamp);
    Some(Session {
        key: Key {
            reporter: saved.reporter.into(),
            nas: saved.nas.into(),
            session: saved.session.into(),
        },
        prefixes: prefixes.ok()?,
        identity: Arc::new(identity),
        began: saved
            .began
            .map_or(latest, |(heard, stamp)| happened(heard, stamp)),
        latest,
        expires,
        saved: Some(expires),
    })
}
