//! The access log: one line per exchange.
//!
//! Query strings may carry credentials and identities, so they are cut; bodies, cookies and credentials are
//! never looked at. What went wrong is named with its remedy.

use std::fmt::Write;

use super::line::{Fields, Json, Text};
use super::stamp::Stamp;
use crate::gateway::answer::Problem;
use crate::gateway::record::ExchangeRecord;
use crate::gateway::syncml::label;
use crate::route::{Private, private};
use crate::syncml::summary::Codes;
use crate::wsp::pseudonym::Pseudonyms;

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `name=value`, for people.
    #[default]
    Text,
    /// One JSON object, for machines.
    Json,
}

/// Writes the line of an exchange that ended `micros` microseconds after 1970.
pub(super) fn write(
    record: &ExchangeRecord,
    micros: u64,
    format: Format,
    names: Pseudonyms,
    stamp: &mut Stamp,
    out: &mut Vec<u8>,
) {
    match format {
        Format::Text => {
            stamp.write(micros, out);
            out.extend_from_slice(b"  INFO access: exchange");
            fields(record, names, &mut Text(out));
        }
        Format::Json => {
            out.extend_from_slice(b"{\"timestamp\":\"");
            stamp.write(micros, out);
            out.extend_from_slice(b"\",\"level\":\"INFO\",\"message\":\"exchange\"");
            fields(record, names, &mut Json { out, nulls: false });
            out.extend_from_slice(b",\"target\":\"access\"}");
        }
    }
    out.push(b'\n');
}

/// Three phases make up `total_ms`: `air_in_ms` until the request is whole, `upstream_ms` until the reply is
/// ready, `air_out_ms` until the handset has it or is given up. `resent` are packets we sent again, `repeats`
/// those we heard again; `air_*_octets` count every packet, headers and repetitions included.
fn fields(record: &ExchangeRecord, names: Pseudonyms, line: &mut impl Fields) {
    // Without a transaction there is one packet in and one out, and no time between the first and the last.
    let air = record.air.unwrap_or_default();
    let air_in = record.air_in_time().unwrap_or_default();
    line.word("peer", record.peer);
    if let Some(session) = record.session {
        line.word("session", names.of(session));
    }
    line.word("method", record.method);
    line.text("uri", &loggable(&record.uri));
    line.text("route", record.route.as_deref().unwrap_or("-"));
    line.number("status", record.status.unwrap_or(0).into());
    line.text("ending", record.ending.label());
    if let Some(syncml) = record.syncml.as_deref() {
        line.text("syncml", label(syncml.protocol));
        line.text("syncml_encoding", syncml.encoding.label());
        line.text("syncml_session", &syncml.session);
        line.text("syncml_message", &syncml.message);
        line.text_if("syncml_alerts", codes(&syncml.request.alerts).as_deref());
        let statuses = syncml.reply.as_ref().and_then(|it| codes(&it.statuses));
        line.text_if("syncml_statuses", statuses.as_deref());
    }
    line.text_if("problem", record.problem.map(Problem::label));
    line.text_if("detail", record.detail.as_deref());
    line.text_if("remedy", record.problem.map(Problem::remedy));
    line.number("request_octets", record.request_octets as u64);
    line.number("reply_octets", record.reply_octets as u64);
    line.number("air_in_octets", air.octets_in.into());
    line.number("air_out_octets", air.octets_out.into());
    line.millis("air_in_ms", air_in);
    line.millis_if("upstream_ms", record.upstream_time());
    line.millis_if("air_out_ms", record.air_out_time());
    let total = air_in + record.finished.since(record.received);
    line.millis("total_ms", total);
    line.number("resent", air.retransmissions.into());
    line.number("repeats", air.duplicates.into());
}

/// The part of a URI that may be logged: no query, no fragment, no user information, nothing a terminal
/// would obey.
#[must_use]
pub fn loggable(uri: &[u8]) -> String {
    let Private { user, query } = private(uri);
    let shown = uri.get(..query.start).unwrap_or_default();
    let (shown, cut) = match shown.split_last() {
        Some((b'?' | b'#', before)) => (before, true),
        _ => (shown, false),
    };
    let (scheme, rest) = shown.split_at_checked(user.start).unwrap_or_default();
    // With the user goes the `@` behind it.
    let skipped = user.len() + usize::from(!user.is_empty());
    // Cut to its length only now: a long password would hide the `@` that marks it as one.
    let mut text: String = scheme
        .iter()
        .chain(rest.iter().skip(skipped))
        .take(LONGEST_URI)
        .map(|octet| {
            if octet.is_ascii_graphic() {
                char::from(*octet)
            } else {
                '.'
            }
        })
        .collect();
    if cut {
        text.push_str("?…");
    }
    text
}

/// Codes and how often each was there: `200:11 201:3`. `None` if there was none.
pub(super) fn codes(codes: &Codes) -> Option<String> {
    let mut text = String::new();
    for (code, times) in &codes.counts {
        let separator = if text.is_empty() { "" } else { " " };
        // Writing to memory cannot fail.
        let _ = write!(text, "{separator}{code}:{times}");
    }
    (!text.is_empty()).then_some(text)
}

const LONGEST_URI: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample::exchange;

    fn names() -> Pseudonyms {
        Pseudonyms::new(&[3; 16])
    }

    fn line(format: Format) -> String {
        let mut out = Vec::new();
        write(
            &exchange(),
            1_795_421_456_123_456,
            format,
            names(),
            &mut Stamp::default(),
            &mut out,
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_for_people_has_every_field() {
        let session = names().of(123_456_789);
        assert_eq!(
            line(Format::Text).replace(&session.to_string(), "SESSION"),
            "2026-11-23T08:10:56.123456Z  INFO access: exchange peer=10.20.30.40:49152 session=SESSION \
             method=POST uri=\"http://sync.example.com/syncml?…\" route=\"sync\" status=200 \
             ending=\"acknowledged\" syncml=\"1.1\" syncml_encoding=\"xml\" syncml_session=\"7\" \
             syncml_message=\"2\" syncml_alerts=\"201:1\" request_octets=512 reply_octets=500 \
             air_in_octets=600 air_out_octets=580 air_in_ms=20.000 upstream_ms=1.000 air_out_ms=100.000 \
             total_ms=121.050 resent=1 repeats=2\n"
        );
    }

    #[test]
    fn a_line_for_machines_says_the_same() {
        let line = line(Format::Json);
        assert!(line.ends_with("}\n"));
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["timestamp"], "2026-11-23T08:10:56.123456Z");
        assert_eq!(
            (&line["target"], &line["level"]),
            (&"access".into(), &"INFO".into())
        );
        assert_eq!(line["session"], names().of(123_456_789).to_string());
        assert_eq!(line["status"], 200);
        assert_eq!(line["total_ms"], 121.05);
        assert_eq!(line["syncml_alerts"], "201:1");
        assert_eq!(line.get("problem"), None);
    }

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
