//! The spans of one exchange, with the attributes of OpenTelemetry's semantic conventions.
//!
//! The span of the exchange is the handset's request (kind server). Its children are the phases of
//! the access log: `air_in`, `upstream` and `air_out`. The one for `upstream` is the request to the
//! origin (kind client), and the parent of the origin's own spans where the route passes the trace
//! on. Queries, credentials, subscribers and addresses of handsets are in none.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::gateway::answer::Problem;
use crate::gateway::record::{Binding, Ending, ExchangeRecord};
use crate::random::Random;
use crate::record::access::loggable;
use crate::time::Instant;
use crate::trace_context;
use crate::wsp::log_id::LogId;

/// An exchange that is over, and what its record does not have.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) record: Box<ExchangeRecord>,
    /// A moment on the shard's clock, and the same in microseconds since 1970.
    pub(super) at: Instant,
    pub(super) micros: u64,
    /// The session, by its name in logs.
    pub(super) session: Option<LogId>,
}

/// Appends the spans of an exchange.
pub(super) fn spans(
    ended: &Ended,
    scope: &InstrumentationScope,
    random: &mut Random,
    out: &mut Vec<SpanData>,
) {
    let record = &*ended.record;
    let trace = record.trace;
    let began = record.air.map_or(record.received, |air| air.started);
    let whole = Part {
        id: trace.span_id,
        parent: trace.parent,
        kind: SpanKind::Server,
        name: name(&record.method),
        from: began,
        to: record.finished,
    };
    out.push(whole.span(ended, scope, of_exchange(ended), status(record)));
    let phase = |id, name, from, to| Part {
        id,
        parent: Some(trace.span_id),
        kind: SpanKind::Internal,
        name: Cow::Borrowed(name),
        from,
        to,
    };
    if began < record.received {
        let part = phase(
            trace_context::SpanId::new(random),
            "air_in",
            began,
            record.received,
        );
        out.push(part.span(ended, scope, Vec::new(), Status::Unset));
    }
    if let (Some(fetched), Some(replied)) = (record.fetched, record.replied) {
        let part = Part {
            kind: SpanKind::Client,
            name: name(&record.method),
            ..phase(trace.upstream_id, "upstream", fetched, replied)
        };
        let status = match error_upstream(record) {
            Some(_) => Status::error(""),
            None => Status::Unset,
        };
        out.push(part.span(ended, scope, of_request(record, fetched), status));
    }
    if let (Some(replied), Some(_)) = (record.replied, record.air) {
        let part = phase(
            trace_context::SpanId::new(random),
            "air_out",
            replied,
            record.finished,
        );
        out.push(part.span(ended, scope, of_air(record), Status::Unset));
    }
}

/// One span.
struct Part {
    id: trace_context::SpanId,
    parent: Option<trace_context::SpanId>,
    kind: SpanKind,
    name: Cow<'static, str>,
    from: Instant,
    to: Instant,
}

impl Part {
    fn span(
        self,
        ended: &Ended,
        scope: &InstrumentationScope,
        attributes: Vec<KeyValue>,
        status: Status,
    ) -> SpanData {
        let trace = ended.record.trace;
        let id = |id: trace_context::SpanId| SpanId::from_bytes(id.octets());
        SpanData {
            span_context: SpanContext::new(
                TraceId::from_bytes(trace.trace_id.octets()),
                id(self.id),
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: self.parent.map_or(SpanId::INVALID, id),
            parent_span_is_remote: self.id == trace.span_id && self.parent.is_some(),
            span_kind: self.kind,
            name: self.name,
            start_time: ended.moment(self.from),
            end_time: ended.moment(self.to),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: scope.clone(),
        }
    }
}

impl Ended {
    /// The time of the calendar at a moment before [`at`](Self::at).
    fn moment(&self, at: Instant) -> SystemTime {
        let ago = u64::try_from(self.at.since(at).as_micros()).unwrap_or(u64::MAX);
        SystemTime::UNIX_EPOCH + Duration::from_micros(self.micros.saturating_sub(ago))
    }
}

fn of_exchange(ended: &Ended) -> Vec<KeyValue> {
    let record = &*ended.record;
    let mut attributes = of_method(&record.method);
    let uri = loggable(&record.uri);
    if let Ok(uri) = uri.parse::<http::Uri>() {
        of_address(&uri, &mut attributes);
    }
    attributes.push(KeyValue::new("url.full", uri.into_owned()));
    let protocol = match record.binding {
        Binding::Wsp => "wsp",
        other => other.label(),
    };
    attributes.push(KeyValue::new("network.protocol.name", protocol));
    if let Some(route) = &record.route {
        attributes.push(KeyValue::new("wapbridge.route", route.to_string()));
    }
    if let Some(session) = ended.session {
        attributes.push(KeyValue::new("wapbridge.session", session.to_string()));
    }
    attributes.push(KeyValue::new("wapbridge.secured", record.secured));
    attributes.push(KeyValue::new("wapbridge.ending", record.ending.label()));
    attributes.push(KeyValue::new(
        "http.request.body.size",
        whole(record.request_octets),
    ));
    if let Some(status) = record.status {
        attributes.push(KeyValue::new(
            "http.response.status_code",
            i64::from(status),
        ));
        attributes.push(KeyValue::new(
            "http.response.body.size",
            whole(record.reply_octets),
        ));
    }
    attributes.extend(error(record).map(|error| KeyValue::new("error.type", error)));
    attributes
}

fn of_request(record: &ExchangeRecord, fetched: Instant) -> Vec<KeyValue> {
    let mut attributes = of_method(&record.method);
    if let Some(uri) = &record.upstream_uri {
        of_address(uri, &mut attributes);
        let uri = uri.to_string();
        attributes.push(KeyValue::new(
            "url.full",
            loggable(uri.as_bytes()).into_owned(),
        ));
    }
    if let Some(began) = record.reply_began {
        let micros = began.since(fetched).as_secs_f64();
        attributes.push(KeyValue::new("wapbridge.first_byte_seconds", micros));
    }
    match error_upstream(record) {
        Some(error) => attributes.push(KeyValue::new("error.type", error)),
        None => {
            let status = record.status.filter(|_| record.problem.is_none());
            attributes.extend(
                status.map(|status| KeyValue::new("http.response.status_code", i64::from(status))),
            );
        }
    }
    attributes
}

/// The way of the reply: packets that were sent again, and packets of the handset that came again.
fn of_air(record: &ExchangeRecord) -> Vec<KeyValue> {
    let air = record.air.unwrap_or_default();
    vec![
        KeyValue::new("wapbridge.resent", i64::from(air.retransmissions)),
        KeyValue::new("wapbridge.repeats", i64::from(air.duplicates)),
    ]
}

/// The method; one that the conventions do not know is `_OTHER`.
fn of_method(method: &http::Method) -> Vec<KeyValue> {
    match KNOWN_METHODS
        .iter()
        .find(|known| **known == method.as_str())
    {
        Some(known) => vec![KeyValue::new("http.request.method", *known)],
        None => vec![
            KeyValue::new("http.request.method", "_OTHER"),
            KeyValue::new("http.request.method_original", method.to_string()),
        ],
    }
}

fn of_address(uri: &http::Uri, attributes: &mut Vec<KeyValue>) {
    if let Some(host) = uri.host() {
        attributes.push(KeyValue::new("server.address", host.to_owned()));
        let usual = match uri.scheme_str() {
            Some("https") => 443,
            _ => 80,
        };
        let port = uri.port_u16().unwrap_or(usual);
        attributes.push(KeyValue::new("server.port", i64::from(port)));
    }
}

/// The name of a span: handsets choose URIs, and methods beyond those of HTTP.
fn name(method: &http::Method) -> Cow<'static, str> {
    let known = KNOWN_METHODS
        .iter()
        .find(|known| **known == method.as_str());
    Cow::Borrowed(known.copied().unwrap_or("HTTP"))
}

fn status(record: &ExchangeRecord) -> Status {
    match error(record) {
        Some(_) => Status::error(""),
        None => Status::Unset,
    }
}

/// Why the exchange failed: a status of 4xx is the handset's failure, and no error here.
fn error(record: &ExchangeRecord) -> Option<Value> {
    let of_status = record.status.filter(|status| *status >= 500);
    let failed = matches!(record.ending, Ending::Unacknowledged);
    let problem = record.problem.filter(|_| of_status.is_some());
    problem
        .map(|problem| problem.label().into())
        .or_else(|| of_status.map(|status| status.to_string().into()))
        .or_else(|| failed.then(|| record.ending.label().into()))
}

/// Why the request upstream failed: for a client a status of 4xx is an error, too.
fn error_upstream(record: &ExchangeRecord) -> Option<Value> {
    if let Some(problem) = record.problem {
        let is_upstream = matches!(problem, Problem::Upstream(_) | Problem::Deadline);
        return is_upstream.then(|| problem.label().into());
    }
    let status = record.status.filter(|status| *status >= 400)?;
    Some(status.to_string().into())
}

fn whole(octets: usize) -> i64 {
    i64::try_from(octets).unwrap_or(i64::MAX)
}

/// The methods of RFC 9110 and PATCH.
const KNOWN_METHODS: [&str; 9] = [
    "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PATCH",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::fetch::Failure;
    use crate::record::sample::exchange;
    use crate::wsp::log_id::LogIds;

    /// What the spans of an exchange say.
    fn spans_of(change: impl Fn(&mut ExchangeRecord)) -> Vec<SpanData> {
        let mut record = exchange();
        change(&mut record);
        let ended = Ended {
            session: record.session.map(|id| LogIds::new(&[3; 16]).of(id)),
            at: record.finished,
            micros: 1_795_421_456_000_000,
            record: Box::new(record),
        };
        let mut found = Vec::new();
        let scope = InstrumentationScope::builder("test").build();
        spans(&ended, &scope, &mut Random::new(1), &mut found);
        found
    }

    fn attribute(span: &SpanData, name: &str) -> Option<String> {
        let found = span.attributes.iter().find(|it| it.key.as_str() == name)?;
        Some(found.value.to_string())
    }

    fn unix_micros(at: SystemTime) -> u128 {
        at.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_micros()
    }

    #[test]
    fn an_exchange_has_a_span_for_itself_and_one_for_each_phase() {
        let spans = spans_of(|_| {});
        let shape: Vec<_> = spans
            .iter()
            .map(|span| {
                let from = unix_micros(span.start_time) - 1_795_421_455_000_000;
                let to = unix_micros(span.end_time) - 1_795_421_455_000_000;
                (&*span.name, span.span_kind.clone(), from, to)
            })
            .collect();
        assert_eq!(
            shape,
            [
                ("POST", SpanKind::Server, 878_950, 1_000_000),
                ("air_in", SpanKind::Internal, 878_950, 898_950),
                ("POST", SpanKind::Client, 899_000, 900_000),
                ("air_out", SpanKind::Internal, 900_000, 1_000_000),
            ]
        );
        let root = &spans[0];
        let trace = root.span_context.trace_id().to_string();
        assert_eq!(trace, "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(root.parent_span_id, SpanId::INVALID);
        for child in &spans[1..] {
            assert_eq!(child.parent_span_id, root.span_context.span_id());
            assert_eq!(child.span_context.trace_id(), root.span_context.trace_id());
        }
        let upstream = spans[2].span_context.span_id();
        assert_eq!(
            upstream.to_string(),
            "0202020202020202",
            "as in traceparent"
        );
    }

    #[test]
    fn the_attributes_are_those_of_the_conventions() {
        let spans = spans_of(|_| {});
        for (name, value) in [
            ("http.request.method", "POST"),
            ("url.full", "http://sync.example.com/syncml?…"),
            ("server.address", "sync.example.com"),
            ("server.port", "80"),
            ("http.response.status_code", "200"),
            ("http.response.body.size", "500"),
            ("network.protocol.name", "wsp"),
            ("wapbridge.route", "sync"),
            ("wapbridge.ending", "acknowledged"),
        ] {
            assert_eq!(attribute(&spans[0], name).as_deref(), Some(value), "{name}");
        }
        for (name, value) in [
            ("url.full", "https://sync.internal.example:8443/ds?…"),
            ("server.address", "sync.internal.example"),
            ("server.port", "8443"),
            ("http.response.status_code", "200"),
            ("wapbridge.first_byte_seconds", "0.00085"),
        ] {
            assert_eq!(attribute(&spans[2], name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(spans[0].status, Status::Unset);
        assert_eq!(attribute(&spans[0], "error.type"), None);
    }

    #[test]
    fn errors_have_a_type() {
        let failed = spans_of(|record| {
            record.problem = Some(Problem::Upstream(Failure::Reset));
            record.status = Some(502);
        });
        for span in [&failed[0], &failed[2]] {
            assert_eq!(span.status, Status::error(""));
            assert_eq!(attribute(span, "error.type").as_deref(), Some("reset"));
        }
        assert_eq!(attribute(&failed[2], "http.response.status_code"), None);

        let missing = spans_of(|record| record.status = Some(404));
        assert_eq!(missing[0].status, Status::Unset, "the handset's failure");
        assert_eq!(attribute(&missing[2], "error.type").as_deref(), Some("404"));

        let lost = spans_of(|record| record.ending = Ending::Unacknowledged);
        let told = attribute(&lost[0], "error.type");
        assert_eq!(told.as_deref(), Some("unacknowledged"));

        let refused = spans_of(|record| {
            record.problem = Some(Problem::BadRequest);
            record.status = Some(400);
            (record.fetched, record.upstream_uri) = (None, None);
        });
        let kinds: Vec<&str> = refused.iter().map(|span| &*span.name).collect();
        assert_eq!(kinds, ["POST", "air_in", "air_out"]);
        assert_eq!(attribute(&refused[0], "error.type"), None);
    }

    #[test]
    fn a_method_of_the_handsets_own_is_no_name() {
        let spans = spans_of(|record| record.method = "X-SECRET".parse().unwrap());
        assert_eq!(&*spans[0].name, "HTTP");
        let method = attribute(&spans[0], "http.request.method");
        assert_eq!(method.as_deref(), Some("_OTHER"));
    }

    #[test]
    fn a_continued_trace_has_its_parent_elsewhere() {
        let caller = trace_context::SpanId::from_octets([9; 8]);
        let spans = spans_of(|record| record.trace.parent = Some(caller));
        assert!(spans[0].parent_span_is_remote);
        assert_eq!(spans[0].parent_span_id.to_string(), "0909090909090909");
        assert!(spans[1..].iter().all(|span| !span.parent_span_is_remote));
    }

    #[test]
    fn nothing_secret_is_in_a_span() {
        let text = format!("{:?}", spans_of(|_| {}));
        for secret in ["secret", "10.20.30.40", "123456789"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}
