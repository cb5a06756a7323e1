//! The access log: one line per exchange, and one per recipient of a push.
//!
//! Query strings and path parameters may carry credentials and identities, so they are cut. Bodies,
//! cookies and credentials are never logged. A failure is logged with its remedy.

use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use super::line::{Fields, Json, Text};
use super::timestamp::Timestamp;
use crate::gateway::answer::Problem;
use crate::gateway::record::{Binding, ExchangeRecord};
use crate::gateway::syncml::label;
use crate::printable::{put_address, put_decimal};
use crate::push::Bearer;
use crate::push::ppg::DeliveryRecord;
use crate::route::{UriSecrets, uri_secrets};
use crate::syncml::summary::Codes;
use crate::wdp::Peer;
use crate::wsp::log_id::LogIds;

/// The format of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `name=value`, for operators.
    #[default]
    Text,
    /// One JSON object, for programs.
    Json,
}

/// Writes the line of an exchange that ended `micros` microseconds after 1970.
pub(super) fn write(
    record: &ExchangeRecord,
    micros: u64,
    format: Format,
    names: LogIds,
    timestamp: &mut Timestamp,
    out: &mut Vec<u8>,
) {
    begin("exchange", micros, format, timestamp, out);
    match format {
        Format::Text => fields(record, names, &mut Text(out)),
        Format::Json => fields(record, names, &mut Json { out, nulls: false }),
    }
    end(format, out);
}

/// Writes the line of a push that is over for a recipient.
pub(super) fn write_push(
    record: &DeliveryRecord,
    format: Format,
    timestamp: &mut Timestamp,
    out: &mut Vec<u8>,
) {
    begin("push", record.finished * 1_000, format, timestamp, out);
    match format {
        Format::Text => push_fields(record, &mut Text(out)),
        Format::Json => push_fields(record, &mut Json { out, nulls: false }),
    }
    end(format, out);
}

/// The time and the subject of a line.
fn begin(subject: &str, micros: u64, format: Format, timestamp: &mut Timestamp, out: &mut Vec<u8>) {
    match format {
        Format::Text => {
            timestamp.write(micros, out);
            out.extend_from_slice(b"  INFO access: ");
            out.extend_from_slice(subject.as_bytes());
        }
        Format::Json => {
            out.extend_from_slice(b"{\"timestamp\":\"");
            timestamp.write(micros, out);
            out.extend_from_slice(b"\",\"level\":\"INFO\",\"message\":\"");
            out.extend_from_slice(subject.as_bytes());
            out.push(b'"');
        }
    }
}

fn end(format: Format, out: &mut Vec<u8>) {
    if format == Format::Json {
        out.extend_from_slice(b",\"target\":\"access\"}");
    }
    out.push(b'\n');
}

/// The recipient is masked, like subscribers everywhere in logs.
fn push_fields(record: &DeliveryRecord, line: &mut impl Fields) {
    line.text("initiator", &record.initiator);
    line.text("push_id", &record.push_id);
    line.text("recipient", &record.recipient.to_string());
    line.text("state", record.state.name());
    line.number("code", record.code.0.into());
    line.text("bearer", record.bearer.map_or("-", Bearer::label));
    line.number("attempts", record.attempts.into());
    line.number("octets", record.octets as u64);
    line.text("content_type", &record.content_type);
    let total = record.finished.saturating_sub(record.received);
    line.millis("total_ms", Duration::from_millis(total));
}

/// Three phases make up `total_ms`: `air_in_ms` until the request is complete, `upstream_ms` until
/// the reply is ready, `air_out_ms` until the handset has acknowledged the reply or the gateway
/// gives up. `resent` counts packets that we sent again, `repeats` packets that we received again.
/// `air_*_octets` count every packet, with headers and repetitions.
fn fields(record: &ExchangeRecord, names: LogIds, line: &mut impl Fields) {
    // Without a transaction there is one packet in and one out, and no time between the first and
    // the last.
    let air = record.air.unwrap_or_default();
    let air_in = record.air_in_time().unwrap_or_default();
    line.word("peer", peer(record.peer));
    if let Some(session) = record.session {
        line.word("session", names.of(session));
    }
    if record.secured {
        line.flag("secured", true);
    }
    if record.binding != Binding::Wsp {
        line.word("binding", record.binding);
    }
    line.word("method", &record.method);
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
    line.text_if("remedy", record.remedy());
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
    line.word("trace_id", record.trace.trace_id);
}

/// The part of a URI that may be logged: no parameters of the path, no query, no fragment, no user
/// information, and no characters that control a terminal.
#[must_use]
pub fn loggable(uri: &[u8]) -> Cow<'_, str> {
    let UriSecrets {
        user_info: user,
        query,
    } = uri_secrets(uri);
    let shown = uri.get(..query.start).unwrap_or_default();
    let (shown, cut) = match shown.split_last() {
        Some((b'?' | b'#', before)) => (before, Some("?…")),
        Some((b';', before)) => (before, Some(";…")),
        Some((b'&', before)) => (before, Some("&…")),
        _ if query.is_empty() => (shown, None),
        _ => (shown, Some("…")),
    };
    let is_plain = shown.iter().all(u8::is_ascii_graphic);
    if is_plain && user.is_empty() && cut.is_none() && shown.len() <= LONGEST_URI {
        return String::from_utf8_lossy(shown);
    }
    let (scheme, rest) = shown.split_at_checked(user.start).unwrap_or_default();
    // The length is cut last: a long password would hide the `@` behind it.
    let mut text: String = scheme
        .iter()
        .chain(rest.iter().skip(user.len()))
        .take(LONGEST_URI)
        .map(|octet| {
            if octet.is_ascii_graphic() {
                char::from(*octet)
            } else {
                '.'
            }
        })
        .collect();
    text.push_str(cut.unwrap_or_default());
    text.into()
}

/// The handset's address and port.
pub(super) fn peer(peer: Peer) -> String {
    let mut text = String::with_capacity(48);
    match peer.remote.ip() {
        IpAddr::V6(v6) => {
            let _ = write!(text, "[{v6}]");
        }
        v4 => put_address(v4, &mut text),
    }
    text.push(':');
    put_decimal(peer.remote.port().into(), &mut text);
    text
}

/// Codes and their numbers: `200:11 201:3`. `None` without codes.
pub(super) fn codes(codes: &Codes) -> Option<String> {
    let mut text = String::with_capacity(8 * codes.counts.len());
    for (code, times) in &codes.counts {
        if !text.is_empty() {
            text.push(' ');
        }
        put_decimal((*code).into(), &mut text);
        text.push(':');
        put_decimal((*times).into(), &mut text);
    }
    (!text.is_empty()).then_some(text)
}

const LONGEST_URI: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample::{exchange, push};

    fn names() -> LogIds {
        LogIds::new(&[3; 16])
    }

    fn line(format: Format) -> String {
        let mut out = Vec::new();
        write(
            &exchange(),
            1_795_421_456_123_456,
            format,
            names(),
            &mut Timestamp::default(),
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
             total_ms=121.050 resent=1 repeats=2 trace_id=0af7651916cd43dd8448eb211c80319c\n"
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
        assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(line["syncml_alerts"], "201:1");
        assert_eq!(line.get("problem"), None);
    }

    /// The names of all fields.
    #[derive(Default)]
    struct Names(Vec<String>);

    impl Fields for Names {
        fn text(&mut self, name: &str, _: &str) {
            self.0.push(name.to_owned());
        }
        fn word(&mut self, name: &str, _: impl std::fmt::Display) {
            self.0.push(name.to_owned());
        }
        fn number(&mut self, name: &str, _: u64) {
            self.0.push(name.to_owned());
        }
        fn millis(&mut self, name: &str, _: Duration) {
            self.0.push(name.to_owned());
        }
        fn absent(&mut self, name: &str) {
            self.0.push(name.to_owned());
        }
    }

    #[test]
    fn operators_have_a_row_for_every_field() {
        let mut found = Names::default();
        let mut record = exchange();
        record.secured = true;
        record.binding = Binding::Http;
        fields(&record, names(), &mut found);
        let manual = include_str!("../../deploy/OPERATIONS.md");
        let (_, table) = manual.split_once("\n## Access log\n").unwrap();
        let rows: String = table
            .lines()
            .skip_while(|line| !line.starts_with('|'))
            .take_while(|line| line.starts_with('|'))
            .filter_map(|line| line.split('|').nth(1))
            .collect();
        for name in &found.0 {
            assert!(rows.contains(&format!("`{name}`")), "{name} has no row");
        }
    }

    #[test]
    fn a_push_is_one_line_without_its_recipient_in_full() {
        let line = |format| {
            let mut out = Vec::new();
            write_push(&push(), format, &mut Timestamp::default(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            line(Format::Text),
            "2026-11-23T08:10:57.500000Z  INFO access: push initiator=\"sync\" \
             push_id=\"a \\\"b\\\"@sync.example\" recipient=\"PLMN …67\" state=\"delivered\" code=1000 \
             bearer=\"sms\" attempts=2 octets=12 content_type=\"text/vnd.wap.si\" total_ms=1500.000\n"
        );
        let json: serde_json::Value = serde_json::from_str(&line(Format::Json)).unwrap();
        assert_eq!(
            (&json["message"], &json["target"]),
            (&"push".into(), &"access".into())
        );
        assert_eq!(
            (&json["code"], &json["recipient"]),
            (&1000.into(), &"PLMN …67".into())
        );
    }

    #[test]
    fn secrets_in_a_uri_are_not_logged() {
        assert_eq!(loggable(b"http://h/p?session=secret"), "http://h/p?…");
        assert_eq!(loggable(b"http://user:pass@h/p"), "http://h/p");
        assert_eq!(loggable(b"http://h/p\x1b[31m"), "http://h/p.[31m");
        assert_eq!(loggable(b"http://h/a@b"), "http://h/a@b");
        assert_eq!(loggable(b"http://h/ds;jsessionid=1A?q"), "http://h/ds;…");
        assert_eq!(loggable(b"http://h/ds%3bsession=1A"), "http://h/ds%3b…");
        let long = format!("http://user:{}@h/p", "secret".repeat(100));
        assert_eq!(loggable(long.as_bytes()), "http://h/p");
        let long = format!("http://h/{}", "x".repeat(1_000));
        assert_eq!(loggable(long.as_bytes()).len(), LONGEST_URI);
    }
}
