//! An entry of a trace in words: one line, and layer by layer.

use std::fmt;

use serde::Serialize;

use super::blank::uri_text;
use super::fields::is_secret;
use super::observation::{Entry, Observation};
use crate::explain::{self, Explanation, Node};
use crate::gateway::record::{Ending, ExchangeRecord};
use crate::printable;
use crate::wdp::{Peer, Service};
use crate::wsp::log_id::LogId;

/// An entry for operators and their scripts.
#[derive(Clone, Debug, Serialize)]
pub struct TraceEvent {
    /// Its number in the trace, from one.
    pub number: usize,
    /// Time in microseconds since 1970.
    pub unix_us: u64,
    /// `datagram`, `upstream`, `exchange` or `note`.
    pub kind: &'static str,
    /// `in` from the handset or the origin, `out` to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<&'static str>,
    /// The handset's address and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The gateway's address and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<String>,
    /// Whether the datagram or the exchange came through a secure port. A datagram is shown as it
    /// was inside its record.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub secured: bool,
    /// Octets of the datagram or the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub octets: Option<usize>,
    /// The session, by its name in logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The trace of an exchange or of a request upstream, as in the access log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The entry in one line.
    pub summary: String,
    /// Whether the entry shows a failure: an Abort, a status from 400 on, a failed or
    /// unacknowledged exchange, or octets that violate the specification.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// The datagram layer by layer, and the message it completes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Explanation>,
}

impl TraceEvent {
    /// Describes an entry. The words quote the handset and the origin, and are made printable.
    pub(super) fn of(number: usize, entry: &Entry) -> Self {
        let event = Self::describe(number, entry);
        Self {
            summary: printable::line(&event.summary).into_owned(),
            ..event
        }
    }

    fn describe(number: usize, entry: &Entry) -> Self {
        let base = Self {
            number,
            unix_us: u64::try_from(entry.at.as_micros()).unwrap_or(u64::MAX),
            kind: "note",
            direction: None,
            peer: None,
            local: None,
            secured: false,
            octets: None,
            session: entry.session.map(|session| session.to_string()),
            trace_id: None,
            summary: String::new(),
            failed: false,
            layers: Vec::new(),
        };
        let from = |base, peer: &Peer, kind, direction| Self {
            kind,
            direction: Some(direction),
            peer: Some(peer.remote.to_string()),
            local: Some(peer.local.to_string()),
            ..base
        };
        match &entry.seen {
            Observation::Datagram {
                peer,
                service,
                sent,
                octets,
            } => {
                let mut layers = layers(*service, octets, entry.message.as_deref());
                name_session(&mut layers, entry.session);
                let secured = service.is_secured();
                Self {
                    secured,
                    octets: Some(octets.len()),
                    summary: with_session(with_secured(summary(&layers), secured), entry.session),
                    failed: layers.iter().flat_map(|layer| &layer.nodes).any(is_failure),
                    layers,
                    ..from(base, peer, "datagram", if *sent { "out" } else { "in" })
                }
            }
            Observation::Request {
                peer,
                method,
                uri,
                octets,
                request,
                trace,
            } => Self {
                trace_id: trace.as_ref().map(ToString::to_string),
                octets: Some(*octets),
                summary: format!("request {request}: {method} {}", few(&uri_text(uri))),
                ..from(base, peer, "upstream", "out")
            },
            Observation::Response {
                peer,
                request,
                answer,
            } => Self {
                octets: answer.as_ref().ok().map(|(_, octets)| *octets),
                failed: answer.as_ref().map_or(true, |(status, _)| *status >= 400),
                summary: match answer {
                    Ok((status, _)) => {
                        format!("request {request}: answered with {}", named(*status))
                    }
                    Err(why) => format!("request {request}: failed, {why}"),
                },
                ..from(base, peer, "upstream", "in")
            },
            Observation::Cancelled { peer, request } => Self {
                summary: format!("request {request}: cancelled, its exchange is over"),
                ..from(base, peer, "upstream", "out")
            },
            Observation::ExchangeEnded(record) => Self {
                kind: "exchange",
                trace_id: Some(record.trace.trace_id.to_string()),
                secured: record.secured,
                peer: Some(record.peer.remote.to_string()),
                local: Some(record.peer.local.to_string()),
                failed: record.problem.is_some()
                    || record.status.is_some_and(|status| status >= 400)
                    || !matches!(record.ending, Ending::Acknowledged | Ending::Sent),
                summary: with_session(
                    with_secured(exchange(record), record.secured),
                    entry.session,
                ),
                ..base
            },
            Observation::Note(text) => Self {
                summary: text.clone(),
                ..base
            },
        }
    }
}

impl fmt::Display for TraceEvent {
    /// One line, then its layers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.layers.iter().try_for_each(|layer| layer.fmt(f))
    }
}

fn layers(service: Service, octets: &[u8], message: Option<&[u8]>) -> Vec<Explanation> {
    let mut layers = vec![match service {
        Service::ConnectionMode | Service::SecureConnectionMode => explain::wtp(octets),
        Service::Connectionless | Service::SecureConnectionless => explain::wsp(octets, true),
    }];
    layers.extend(message.map(|message| explain::wsp(message, false)));
    for layer in &mut layers {
        layer.nodes.iter_mut().for_each(hide);
    }
    layers
}

/// Replaces masked values by words, and long runs of asterisks by short ones.
fn hide(node: &mut Node) {
    if let Some((name, value)) = node.meaning.split_once(": ")
        && is_secret(name)
        && !name.contains(' ')
        && !value.ends_with("not shown")
    {
        let scheme = value.split_once(' ').map_or("", |(scheme, _)| scheme);
        let space = if scheme.is_empty() { "" } else { " " };
        node.meaning = format!("{name}: {scheme}{space}(masked)");
    }
    node.meaning = few(&node.meaning);
    node.parts.iter_mut().for_each(hide);
}

/// The name of the session in place of its id.
fn name_session(layers: &mut [Explanation], session: Option<LogId>) {
    fn name(node: &mut Node, words: &str) {
        if node.meaning.starts_with("session id: ") {
            words.clone_into(&mut node.meaning);
        }
        node.parts.iter_mut().for_each(|part| name(part, words));
    }
    let words = session.map_or_else(
        || "session id: (masked)".to_owned(),
        |session| format!("session {session}"),
    );
    for layer in layers {
        layer.nodes.iter_mut().for_each(|node| name(node, &words));
    }
}

fn with_session(words: String, session: Option<LogId>) -> String {
    match session {
        Some(session) => format!("{words}, session {session}"),
        None => words,
    }
}

fn with_secured(words: String, secured: bool) -> String {
    match secured {
        true => words + ", secured",
        false => words,
    }
}

/// Three asterisks in place of more.
fn few(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut run = 0;
    for sign in text.chars() {
        run = if sign == '*' { run + 1 } else { 0 };
        if run <= 3 {
            short.push(sign);
        }
    }
    short
}

/// A datagram in one line.
fn summary(layers: &[Explanation]) -> String {
    let mut words = Vec::new();
    for node in layers.iter().flat_map(|layer| &layer.nodes) {
        headlines(node, &mut words);
    }
    words.join(" · ")
}

fn headlines(node: &Node, words: &mut Vec<String>) {
    const COMMANDS: usize = 8;
    let meaning = &node.meaning;
    let is = |start: &str| meaning.starts_with(start);
    if is("SyncML") {
        words.push(meaning.clone());
        let commands = node
            .parts
            .iter()
            .filter(|part| part.meaning != "SyncHdr" && !part.meaning.starts_with("Final"));
        words.extend(
            commands
                .clone()
                .take(COMMANDS)
                .map(|part| part.meaning.clone()),
        );
        let more = commands.count().saturating_sub(COMMANDS);
        if more > 0 {
            words.push(format!("{more} more"));
        }
        return;
    }
    if let Some(uri) = meaning.strip_prefix("URI: ") {
        words.push(uri.to_owned());
    } else if let Some(status) = meaning.strip_prefix("status ") {
        words.push(status.parse().map_or_else(|_| status.to_owned(), named));
    } else if is("WTP ")
        || is("WSP ")
        || is("reason ")
        || is("packet ")
        || is("packets ")
        || node.fault
    {
        words.push(meaning.clone());
    } else if is("Result, ") || is("Invoke, ") || is("Segmented ") || is("Ack,") {
        words.extend(
            meaning
                .contains("sent before")
                .then(|| "sent before".to_owned()),
        );
        words.extend(
            meaning
                .contains("TID verification")
                .then(|| "TID verification".to_owned()),
        );
    }
    node.parts.iter().for_each(|part| headlines(part, words));
}

/// Whether a part of a datagram is a failure: an Abort, a status from 400 on, or malformed octets.
fn is_failure(node: &Node) -> bool {
    let status = node.meaning.strip_prefix("status ");
    let status = status.and_then(|status| status.parse::<u16>().ok());
    node.fault
        || node.meaning.starts_with("WTP Abort")
        || status.is_some_and(|status| status >= 400)
        || node.parts.iter().any(is_failure)
}

/// An HTTP status with its words.
fn named(status: u16) -> String {
    let code = http::StatusCode::from_u16(status).ok();
    match code.and_then(|code| code.canonical_reason()) {
        Some(reason) => format!("{status} {reason}"),
        None => status.to_string(),
    }
}

fn exchange(record: &ExchangeRecord) -> String {
    let uri = few(&uri_text(&String::from_utf8_lossy(&record.uri)));
    let mut words = vec![format!("exchange over: {} {uri}", record.method)];
    words.extend(record.status.map(named));
    words.push(record.ending.label().replace('_', " "));
    words.extend(record.route.as_ref().map(|route| format!("route {route}")));
    if let (Some(problem), Some(remedy)) = (record.problem, record.remedy()) {
        words.push(format!("{}: {remedy}", problem.label()));
    }
    words.extend(
        record
            .upstream_time()
            .map(|time| format!("upstream {} ms", time.as_millis())),
    );
    let total = record.air_in_time().unwrap_or_default() + record.finished.since(record.received);
    words.push(format!("{} ms in all", total.as_millis()));
    if let Some(air) = record.air {
        words.push(format!(
            "{} packets sent again, {} heard again",
            air.retransmissions, air.duplicates
        ));
    }
    words.push(format!("trace {}", record.trace.trace_id));
    words.join(", ")
}
