//! Trace Context of the W3C: the ids of a trace, and the header field `traceparent` that carries
//! them from one server to the next.
//!
//! Each exchange has a trace id, with or without a tracing system: it is the name of the exchange
//! in logs, in records and, where the route says so, at the origin.

use std::fmt;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::random::Random;

/// Names one trace: the exchange, and the work of every server for it. Never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId([u8; 16]);

/// Names one span: a piece of work within a trace. Never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

/// The trace that an exchange belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span of the exchange.
    pub span_id: SpanId,
    /// The span of the request upstream, which is the parent of the origin's.
    pub upstream_id: SpanId,
    /// The caller's span, if the exchange continues a trace.
    pub parent: Option<SpanId>,
    /// Whether the spans of the trace are kept.
    pub sampled: bool,
}

/// The fields by which a caller passes its trace on.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The caller's trace and span, and whether it keeps its spans. `None` without a valid
    /// `traceparent`.
    parent: Option<(TraceId, SpanId, bool)>,
    /// The values of `tracestate`, for tracing systems along the way.
    state: Vec<HeaderValue>,
}

/// The part of the traces that is sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleRatio(f64);

impl TraceContext {
    /// A trace that begins here, or continues the one of a caller. The caller has decided whether
    /// its trace is sampled; `ratio` decides for others.
    #[must_use]
    pub fn new(random: &mut Random, ratio: SampleRatio, caller: &Caller) -> Self {
        let (trace_id, parent, sampled) = match caller.parent {
            Some((trace_id, parent, sampled)) => (trace_id, Some(parent), sampled),
            None => {
                let trace_id = TraceId::new(random);
                (trace_id, None, ratio.takes(trace_id))
            }
        };
        Self {
            trace_id,
            span_id: SpanId::new(random),
            upstream_id: SpanId::new(random),
            parent,
            sampled,
        }
    }

    /// Sets the fields that carry the trace to an origin.
    pub fn put(&self, caller: &Caller, headers: &mut HeaderMap) {
        let Self {
            trace_id,
            upstream_id,
            sampled,
            ..
        } = self;
        let text = format!("00-{trace_id}-{upstream_id}-{:02x}", u8::from(*sampled));
        if let Ok(mut value) = HeaderValue::try_from(text) {
            // Each request has a value of its own: it is of no use in the table of HTTP/2.
            value.set_sensitive(true);
            headers.insert(TRACEPARENT, value);
        }
        for state in &caller.state {
            headers.append(TRACESTATE, state.clone());
        }
    }
}

impl Caller {
    /// Takes the fields out of a request. Without a valid `traceparent` there is no `tracestate`
    /// either (Trace Context 3.3).
    #[must_use]
    pub fn take(headers: &mut HeaderMap) -> Self {
        if !headers.contains_key(TRACEPARENT) {
            return Self::default();
        }
        let mut values = headers.get_all(TRACEPARENT).iter();
        let parent = match (values.next(), values.next()) {
            (Some(value), None) => parse(value.as_bytes()),
            _ => None,
        };
        let state = match parent {
            Some(_) => headers.get_all(TRACESTATE).iter().cloned().collect(),
            None => Vec::new(),
        };
        headers.remove(TRACEPARENT);
        headers.remove(TRACESTATE);
        Self { parent, state }
    }
}

/// Reads a `traceparent` (Trace Context 3.2). A version above 0 may have more behind its flags.
fn parse(value: &[u8]) -> Option<(TraceId, SpanId, bool)> {
    let (known, more) = value.split_at_checked(LENGTH)?;
    let mut parts = known.split(|octet| *octet == b'-');
    let [version] = hex(parts.next()?)?;
    let trace_id = hex(parts.next()?)?;
    let span_id = hex(parts.next()?)?;
    let [flags] = hex(parts.next()?)?;
    let has_form = match version {
        0 => more.is_empty(),
        INVALID_VERSION => false,
        _ => more.is_empty() || more.starts_with(b"-"),
    };
    let is_valid = has_form && trace_id != [0; 16] && span_id != [0; 8];
    is_valid.then_some((TraceId(trace_id), SpanId(span_id), flags & SAMPLED != 0))
}

/// Octets written as lower-case hexadecimal digits.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |octet: u8| match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'a'..=b'f' => Some(octet - b'a' + 10),
        _ => None,
    };
    let mut octets = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (octet, pair) in octets.iter_mut().zip(text.chunks(2)) {
        let [high, low] = pair else {
            return None;
        };
        *octet = digit(*high)? << 4 | digit(*low)?;
    }
    Some(octets)
}

impl TraceId {
    /// An id that nobody can guess.
    fn new(random: &mut Random) -> Self {
        let mut octets = [0; 16];
        let (high, low) = octets.split_at_mut(8);
        high.copy_from_slice(&random.u64().to_be_bytes());
        low.copy_from_slice(&random.u64().max(1).to_be_bytes());
        Self(octets)
    }

    /// The id with these octets, which are not all zero.
    #[must_use]
    pub const fn from_octets(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// Its octets.
    #[must_use]
    pub const fn octets(self) -> [u8; 16] {
        self.0
    }
}

impl SpanId {
    /// An id that nobody can guess.
    #[must_use]
    pub fn new(random: &mut Random) -> Self {
        Self(random.u64().max(1).to_be_bytes())
    }

    /// The id with these octets, which are not all zero.
    #[must_use]
    pub const fn from_octets(octets: [u8; 8]) -> Self {
        Self(octets)
    }

    /// Its octets.
    #[must_use]
    pub const fn octets(self) -> [u8; 8] {
        self.0
    }
}

impl SampleRatio {
    /// Every trace.
    pub const ALL: Self = Self(1.0);

    /// So many of all traces: 0 for none, 1 for all. `None` for any other number.
    #[must_use]
    pub fn new(ratio: f64) -> Option<Self> {
        (0.0..=1.0).contains(&ratio).then_some(Self(ratio))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// Whether a trace is sampled. The last octets of its id decide, as in the samplers of
    /// OpenTelemetry, so that servers with one ratio agree.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio needs no more than 53 bits"
    )]
    fn takes(self, id: TraceId) -> bool {
        let [.., a, b, c, d, e, f, g, h] = id.0;
        let low = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
        self.0 >= 1.0 || (low as f64) < self.0 * TWO_POW_63
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The field with the ids (Trace Context 3.2).
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The field with what tracing systems add (Trace Context 3.3).
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Octets of a `traceparent` of version 0.
const LENGTH: usize = 55;
/// No version (Trace Context 3.2.2.1).
const INVALID_VERSION: u8 = 0xFF;
/// The flag of a trace whose spans are kept.
const SAMPLED: u8 = 0x01;
const TWO_POW_63: f64 = 9_223_372_036_854_775_808.0;

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(parents: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for parent in parents {
            headers.append(TRACEPARENT, parent.parse().unwrap());
        }
        headers.append(TRACESTATE, "a=1".parse().unwrap());
        headers.append(TRACESTATE, "b=2,c=3".parse().unwrap());
        headers
    }

    /// The fields for the origin of a request with these.
    fn passed_on(parents: &[&str]) -> (TraceContext, Vec<String>) {
        let mut headers = headers(parents);
        let caller = Caller::take(&mut headers);
        headers.remove(TRACESTATE);
        assert!(headers.is_empty(), "{headers:?}");
        let context = TraceContext::new(&mut Random::new(1), SampleRatio(0.0), &caller);
        context.put(&caller, &mut headers);
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        (context, headers.values().map(text).collect())
    }

    #[test]
    fn a_trace_is_continued_with_a_span_of_our_own() {
        let (context, fields) = passed_on(&[PARENT]);
        assert_eq!(
            context.parent.unwrap().to_string(),
            "b7ad6b7169203331",
            "the caller's span"
        );
        assert!(context.sampled, "as its caller decided");
        let ours = format!(
            "00-0af7651916cd43dd8448eb211c80319c-{}-01",
            context.upstream_id
        );
        assert_eq!(fields, [ours.as_str(), "a=1", "b=2,c=3"]);
        let not_sampled = PARENT.replace("-01", "-00");
        assert!(!passed_on(&[&not_sampled]).0.sampled);
        // A later version may have more, of which nothing is passed on.
        let later = PARENT.replace("00-0af", "cc-0af") + "-what";
        let (context, fields) = passed_on(&[&later]);
        assert!(context.parent.is_some());
        assert_eq!(fields[0].len(), LENGTH);
        assert!(fields[0].starts_with("00-0af7"));
    }

    #[test]
    fn what_is_no_traceparent_begins_a_trace() {
        for wrong in [
            "",
            "00",
            &PARENT.replace("00-0af", "ff-0af"),
            &PARENT.to_uppercase(),
            &PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &PARENT.replace("b7ad6b7169203331", &"0".repeat(16)),
            &PARENT.replace("-01", "-0g"),
            &PARENT.replace("-01", "_01"),
            &format!("{PARENT}-more"),
            &PARENT.replace("00-0af", "01-0af").replace("-01", "-01x"),
            &PARENT.replace("af7651916cd43dd8448eb211c80319c-b", "-b"),
        ] {
            let (context, fields) = passed_on(&[wrong]);
            assert_eq!(context.parent, None, "{wrong}");
            assert!(!context.sampled, "{wrong}");
            assert_eq!(fields.len(), 1, "no tracestate without it: {fields:?}");
            assert!(!fields[0].contains("0af7651916cd43dd"), "{fields:?}");
        }
        assert_eq!(passed_on(&[PARENT, PARENT]).0.parent, None, "two of them");
    }

    #[test]
    fn the_ratio_is_that_of_sampled_traces() {
        let mut random = Random::new(7);
        let mut sampled = |ratio| {
            let ratio = SampleRatio::new(ratio).unwrap();
            let trace = |_: &u32| TraceContext::new(&mut random, ratio, &Caller::default()).sampled;
            (0..10_000).filter(trace).count()
        };
        assert_eq!(sampled(0.0), 0);
        assert_eq!(sampled(1.0), 10_000);
        let tenth = sampled(0.1);
        assert!((900..1_100).contains(&tenth), "{tenth}");
        for wrong in [-0.1, 1.1, f64::NAN] {
            assert_eq!(SampleRatio::new(wrong), None);
        }
    }

    #[test]
    fn ids_differ_and_are_written_in_full() {
        let mut random = Random::new(3);
        let one = TraceContext::new(&mut random, SampleRatio::ALL, &Caller::default());
        let other = TraceContext::new(&mut random, SampleRatio::ALL, &Caller::default());
        assert_ne!(one.trace_id, other.trace_id);
        assert_ne!(one.span_id, one.upstream_id);
        let id = TraceId::from_octets([0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xA]);
        assert_eq!(id.to_string(), "0001000000000000000000000000000a");
        assert_eq!(
            SpanId::from_octets([0, 0, 0, 0, 0, 0, 0, 0xFF]).to_string(),
            "00000000000000ff"
        );
    }
}
