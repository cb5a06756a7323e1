//! The access log: one line per exchange, at `info`, target `access`.
//!
//! Query strings may carry credentials and identities, so they are cut; bodies, cookies and credentials are
//! never looked at. What went wrong is named with its remedy.

use std::time::Duration;

use tracing::info;

use crate::gateway::record::ExchangeRecord;
use crate::gateway::syncml::label;
use crate::syncml::summary::Codes;

/// Writes the line of one exchange.
///
/// Three phases make up `total_ms`: `air_in_ms` until the request is whole, `upstream_ms` until the reply is
/// ready, `air_out_ms` until the handset has it or is given up. `resent` are packets we sent again, `repeats`
/// those we heard again; `air_*_octets` count every packet, headers and repetitions included.
pub fn log(record: &ExchangeRecord) {
    let uri = loggable(&record.uri);
    let route = record.route.as_deref().unwrap_or("-");
    let status = record.status.unwrap_or(0);
    // Without a transaction there is one packet in and one out, and no time between the first and the last.
    let air = record.air.unwrap_or_default();
    let air_in = record.air_in_time().unwrap_or_default();
    let total = air_in + record.finished.since(record.received);
    let syncml = record.syncml.as_deref();
    info!(
        target: "access",
        peer = %record.peer,
        session = record.session.map(tracing::field::display),
        method = %record.method,
        uri,
        route,
        status,
        ending = record.ending.label(),
        syncml = syncml.map(|syncml| label(syncml.protocol)),
        syncml_encoding = syncml.map(|syncml| syncml.encoding.label()),
        syncml_session = syncml.map(|syncml| &*syncml.session),
        syncml_message = syncml.map(|syncml| &*syncml.message),
        syncml_alerts = syncml.and_then(|syncml| codes(&syncml.request.alerts)),
        syncml_statuses = syncml.and_then(|syncml| codes(&syncml.reply.as_ref()?.statuses)),
        problem = record.problem.map(super::super::gateway::answer::Problem::label),
        detail = record.detail.as_deref(),
        remedy = record.problem.map(super::super::gateway::answer::Problem::remedy),
        request_octets = record.request_octets,
        reply_octets = record.reply_octets,
        air_in_octets = air.octets_in,
        air_out_octets = air.octets_out,
        air_in_ms = millis(air_in),
        upstream_ms = record.upstream_time().map(millis),
        air_out_ms = record.air_out_time().map(millis),
        total_ms = millis(total),
        resent = air.retransmissions,
        repeats = air.duplicates,
        "exchange"
    );
}

/// The part of a URI that may be logged: no query, no fragment, no user information, nothing a terminal
/// would obey.
#[must_use]
pub fn loggable(uri: &[u8]) -> String {
    let end = uri
        .iter()
        .position(|octet| matches!(octet, b'?' | b'#'))
        .unwrap_or(uri.len());
    let shown = uri.get(..end).unwrap_or_default();
    let authority = shown
        .windows(3)
        .position(|octets| octets == b"://")
        .map_or(0, |at| at + 3);
    let (scheme, rest) = shown.split_at_checked(authority).unwrap_or_default();
    let path = rest.iter().position(|octet| *octet == b'/');
    let user = rest
        .get(..path.unwrap_or(rest.len()))
        .and_then(|authority| authority.iter().rposition(|octet| *octet == b'@'))
        .map_or(0, |at| at + 1);
    // Cut to its length only now: a long password would hide the `@` that marks it as one.
    let mut text: String = scheme
        .iter()
        .chain(rest.iter().skip(user))
        .take(LONGEST_URI)
        .map(|octet| {
            if octet.is_ascii_graphic() {
                char::from(*octet)
            } else {
                '.'
            }
        })
        .collect();
    if end < uri.len() {
        text.push_str("?…");
    }
    text
}

/// Codes and how often each was there: `200:11 201:3`. `None` if there was none.
fn codes(codes: &Codes) -> Option<String> {
    let mut text = String::new();
    for (code, times) in &codes.counts {
        let separator = if text.is_empty() { "" } else { " " };
        text.push_str(&format!("{separator}{code}:{times}"));
    }
    (!text.is_empty()).then_some(text)
}

fn millis(time: Duration) -> f64 {
    // Three decimals, so that lines stay readable.
    (time.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

const LONGEST_URI: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_a_uri_are_not_logged() {
        assert_eq!(loggable(b"http://h/p?session=secret"), "http://h/p?…");
        assert_eq!(loggable(b"http://user:pass@h/p"), "http://h/p");
        assert_eq!(loggable(b"http://h/p\x1b[31m"), "http://h/p.[31m");
        assert_eq!(loggable(b"http://h/a@b"), "http://h/a@b");
        let long = format!("http://user:{}@h/p", "secret".repeat(100));
        assert_eq!(loggable(long.as_bytes()), "http://h/p");
        let long = format!("http://h/{}", "x".repeat(1_000));
        assert_eq!(loggable(long.as_bytes()).len(), LONGEST_URI);
    }
}
