//! Authentication and rates of initiators.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::{hmac, rand};
use rustls::pki_types::CertificateDer;

use crate::initiator::{InitiatorSettings, PushSettings};
use crate::limit::Rate;
use crate::push::{Recipient, content, ppg};
use crate::server::clock::Clock;
use crate::time::Instant;

/// The initiators in force. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Initiators(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Secrets are compared by their tags under a key of this process, which takes the same time
    /// for every secret.
    key: hmac::Key,
    clock: Clock,
    all: RwLock<Arc<[Arc<Known>]>>,
    counts: Mutex<[u64; 5]>,
}

/// One initiator.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) settings: InitiatorSettings,
    /// The tag of `user:password`.
    password: Option<hmac::Tag>,
    token: Option<hmac::Tag>,
    /// When the operations so far are worked off, by its rate.
    due: Mutex<Instant>,
}

/// The sender of a request.
#[derive(Debug)]
pub(super) enum Who {
    Known(Arc<Known>),
    /// Credentials are missing or wrong.
    Unauthenticated,
    /// No initiator has the sender's network.
    Forbidden,
}

/// Outcomes of requests, for the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    Answered,
    Unauthenticated,
    Forbidden,
    Oversized,
    Connections,
}

impl Initiators {
    pub(super) fn new(settings: &PushSettings) -> io::Result<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new())
            .map_err(|_| io::Error::other("the system has no randomness to give"))?;
        let initiators = Self(Arc::new(Shared {
            key,
            clock: Clock::start(),
            all: RwLock::default(),
            counts: Mutex::default(),
        }));
        initiators.replace(settings);
        Ok(initiators)
    }

    /// Applies new settings to the following requests.
    pub(super) fn replace(&self, settings: &PushSettings) {
        let sign = |text: &str| hmac::sign(&self.0.key, text.as_bytes());
        let known = settings.initiators.iter().map(|settings| {
            let password = settings.password.as_ref();
            Arc::new(Known {
                password: password.map(|(user, password)| sign(&format!("{user}:{password}"))),
                token: settings.token.as_deref().map(sign),
                settings: settings.clone(),
                due: Mutex::new(Instant::ZERO),
            })
        });
        let known: Arc<[Arc<Known>]> = known.collect();
        *self.0.all.write().unwrap_or_else(PoisonError::into_inner) = known;
    }

    /// The first initiator that everything fits.
    pub(super) fn identify(
        &self,
        from: IpAddr,
        headers: &HeaderMap,
        certificate: Option<&CertificateDer<'static>>,
    ) -> Who {
        let all = Arc::clone(&self.0.all.read().unwrap_or_else(PoisonError::into_inner));
        let (basic, bearer) = credentials(headers);
        let is = |tag: &Option<hmac::Tag>, shown: &Option<Vec<u8>>| match (tag, shown) {
            (None, _) => true,
            (Some(tag), Some(shown)) => hmac::verify(&self.0.key, shown, tag.as_ref()).is_ok(),
            (Some(_), None) => false,
        };
        let mut from_there = false;
        let mut found = None;
        // Every initiator is compared, so that the time tells nothing about which one was near.
        for known in all.iter() {
            let networks = &known.settings.networks;
            let fits_network =
                networks.is_empty() || networks.iter().any(|network| network.contains(from));
            let fits = is(&known.password, &basic) && is(&known.token, &bearer);
            let shown = known.settings.certificate.as_ref();
            let fits_certificate = shown.is_none_or(|shown| certificate == Some(shown));
            from_there |= fits_network;
            if fits_network && fits && fits_certificate && found.is_none() {
                found = Some(Arc::clone(known));
            }
        }
        match (found, from_there) {
            (Some(known), _) => Who::Known(known),
            (None, true) => Who::Unauthenticated,
            (None, false) => Who::Forbidden,
        }
    }

    /// Takes one operation of an initiator's rate.
    pub(super) fn may_ask(&self, known: &Known) -> bool {
        let now = self.0.clock.now();
        let rate: Rate = known.settings.rate;
        let mut due = known.due.lock().unwrap_or_else(PoisonError::into_inner);
        match rate.take(now, *due, 1) {
            Ok(next) => {
                *due = next;
                true
            }
            Err(_) => false,
        }
    }

    pub(super) fn count(&self, what: Counted) {
        let place = match what {
            Counted::Answered => 0,
            Counted::Unauthenticated => 1,
            Counted::Forbidden => 2,
            Counted::Oversized => 3,
            Counted::Connections => 4,
        };
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(place) {
            *count += 1;
        }
    }

    pub(super) fn counts(&self) -> [u64; 5] {
        *self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Whether the initiator may push to a recipient, and query the capabilities of its client.
    pub(super) fn may_reach(&self, recipient: &Recipient) -> bool {
        let mut targets = self.settings.targets.iter();
        targets.any(|target| target.contains(recipient))
    }

    /// The initiator as [`ppg`] knows it. Password, token and certificate authenticate; a network
    /// does not.
    pub(super) fn initiator(&self) -> ppg::Initiator {
        let settings = &self.settings;
        let is_proved = settings.password.is_some()
            || settings.token.is_some()
            || settings.certificate.is_some();
        ppg::Initiator {
            name: Arc::clone(&settings.name),
            origin: content::Initiator {
                authenticated_uri: settings.uri.clone().filter(|_| is_proved),
            },
            max_pushes: settings.max_pushes,
        }
    }
}

/// `user:password`, and the token.
fn credentials(headers: &HeaderMap) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let value = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let Some((scheme, rest)) = value.and_then(|value| value.split_once(' ')) else {
        return (None, None);
    };
    if scheme.eq_ignore_ascii_case("basic") {
        (STANDARD.decode(rest.trim()).ok(), None)
    } else if scheme.eq_ignore_ascii_case("bearer") {
        (None, Some(rest.trim().as_bytes().to_vec()))
    } else {
        (None, None)
    }
}
