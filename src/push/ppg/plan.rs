//! Which bearers a push may take, in the order they are tried (WAP-249 5.1.2.2).

use super::Config;
use crate::push::pap::{Method, Quality, Status};
use crate::push::{Address, Bearer};

/// The bearers for a recipient.
///
/// # Errors
///
/// The status of a quality of service that cannot be honoured.
pub(super) fn bearers(
    config: &Config,
    quality: Option<&Quality>,
    address: &Address,
) -> Result<Vec<Bearer>, Status> {
    let default = Quality::default();
    let quality = quality.unwrap_or(&default);
    let network = quality.network.as_deref();
    let is_served = |name: &str| {
        config
            .networks
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    };
    if quality.network_required && !network.is_some_and(is_served) {
        return Err(Status::NETWORK_NOT_AVAILABLE);
    }
    let has_sms = config.sms && !matches!(address, Address::Ip(_));
    let wanted = quality.bearer.as_deref();
    let is_sms = wanted.is_some_and(|name| name.to_ascii_uppercase().contains("SMS"));
    let is_packet =
        wanted.is_some_and(|name| PACKET.iter().any(|known| known.eq_ignore_ascii_case(name)));
    if quality.bearer_required && !(is_sms && has_sms || is_packet) {
        return Err(Status::BEARER_NOT_AVAILABLE);
    }
    let confirmed = Bearer::Session { confirmed: true };
    let unconfirmed = Bearer::Session { confirmed: false };
    let mut bearers = match quality.method {
        Method::Confirmed => {
            let mut bearers = vec![confirmed];
            bearers.extend(config.http.then_some(Bearer::Http));
            if !config.contacts.is_empty() {
                bearers.push(Bearer::Sir);
                if has_sms {
                    bearers.push(Bearer::SirBySms);
                }
            }
            bearers
        }
        Method::Unconfirmed => vec![unconfirmed, Bearer::UdpConnectionless],
        Method::PreferConfirmed | Method::NotSpecified => {
            let http = config.http.then_some(Bearer::Http);
            let others = [unconfirmed, Bearer::UdpConnectionless];
            [confirmed].into_iter().chain(http).chain(others).collect()
        }
    };
    if has_sms && quality.method != Method::Confirmed {
        match is_sms {
            true => bearers.insert(0, Bearer::Sms),
            false => bearers.push(Bearer::Sms),
        }
    }
    if quality.bearer_required {
        bearers.retain(|bearer| (*bearer == Bearer::Sms) == is_sms);
    }
    // A short message is nothing that a client confirms.
    match bearers.is_empty() {
        true => Err(Status::DELIVERY_METHOD),
        false => Ok(bearers),
    }
}

/// Bearers that carry IP, as WDP's appendix and initiators name them.
const PACKET: [&str; 10] = [
    "ANY",
    "IP",
    "GPRS",
    "CSD",
    "HSCSD",
    "EDGE",
    "UMTS",
    "PACKET",
    "PACKET DATA",
    "GSM CSD",
];
