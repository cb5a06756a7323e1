//! `/metrics`: what there is to count and to measure, in the text format of Prometheus.
//!
//! Names start with `wapbridge_`, but for the process's own, which Prometheus has names for; units are base
//! units; a label's values are a closed set, of the code or of the configuration.

use std::borrow::Cow;
use std::fmt::Write;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::figures::Figures;
use super::samples;
use crate::server::Histogram;

/// What a number is now, under which name.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    name: &'static str,
    help: &'static str,
    labels: Vec<Label>,
    value: Value,
}

/// What tells samples of one name apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) name: &'static str,
    pub(super) value: Cow<'static, str>,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Counter(f64),
    Gauge(f64),
    Histogram(Box<Histogram>),
}

impl Sample {
    /// Something that was counted since the process started and never becomes less; name it `..._total`.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self::new(name, help, Value::Counter(as_float(value)))
    }

    /// Something there is now.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        Self::new(name, help, Value::Gauge(as_float(value)))
    }

    /// Seconds, which come in fractions, of a counter.
    #[must_use]
    pub const fn seconds_counter(name: &'static str, help: &'static str, seconds: f64) -> Self {
        Self::new(name, help, Value::Counter(seconds))
    }

    /// The same of a gauge.
    #[must_use]
    pub const fn seconds(name: &'static str, help: &'static str, seconds: f64) -> Self {
        Self::new(name, help, Value::Gauge(seconds))
    }

    /// How something measured is distributed.
    #[must_use]
    pub fn histogram(name: &'static str, help: &'static str, histogram: &Histogram) -> Self {
        Self::new(name, help, Value::Histogram(Box::new(histogram.clone())))
    }

    const fn new(name: &'static str, help: &'static str, value: Value) -> Self {
        Self {
            name,
            help,
            labels: Vec::new(),
            value,
        }
    }

    /// The same with a label, whose value must come from a closed set: the code's, or the configuration's. What
    /// handsets or origins say never is one.
    #[must_use]
    pub fn label(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        let value = value.into();
        self.labels.push(Label { name, value });
        self
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    pub(super) const fn help(&self) -> &'static str {
        self.help
    }

    pub(super) fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The kind, as Prometheus calls it.
    pub(super) const fn kind(&self) -> &'static str {
        match self.value {
            Value::Counter(_) => "counter",
            Value::Gauge(_) => "gauge",
            Value::Histogram(_) => "histogram",
        }
    }

    fn write(&self, out: &mut String) {
        match &self.value {
            Value::Counter(value) | Value::Gauge(value) => self.line(out, "", None, *value),
            Value::Histogram(histogram) => {
                for (bound, below) in histogram.buckets() {
                    self.line(out, "_bucket", Some(&bound.to_string()), as_float(below));
                }
                let count = as_float(histogram.count());
                self.line(out, "_bucket", Some("+Inf"), count);
                self.line(out, "_sum", None, histogram.sum());
                self.line(out, "_count", None, count);
            }
        }
    }

    fn line(&self, out: &mut String, suffix: &str, bound: Option<&str>, value: f64) {
        out.push_str(self.name);
        out.push_str(suffix);
        let labels = self.labels.iter().map(|label| (label.name, &*label.value));
        let bound = bound.map(|bound| ("le", bound));
        let mut before = '{';
        for (name, value) in labels.chain(bound) {
            out.push(before);
            before = ',';
            out.push_str(name);
            out.push_str("=\"");
            escape(value, out);
            out.push('"');
        }
        if before == ',' {
            out.push('}');
        }
        // Writing to a String cannot fail.
        let _ = writeln!(out, " {value}");
    }
}

/// A label's value as the format wants it.
fn escape(value: &str, out: &mut String) {
    for letter in value.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

/// Samples in the text format of Prometheus. Those of one name need not stand together.
pub(super) fn render(samples: &[Sample]) -> String {
    let mut out = String::with_capacity(samples.len() * 64);
    let mut names: Vec<&str> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for sample in samples {
        if seen.insert(sample.name) {
            names.push(sample.name);
        }
    }
    for name in names {
        let mut same = samples
            .iter()
            .filter(|sample| sample.name == name)
            .peekable();
        if let Some(first) = same.peek() {
            let _ = writeln!(out, "# HELP {name} {}", first.help);
            let _ = writeln!(out, "# TYPE {name} {}", first.kind());
        }
        for sample in same {
            sample.write(&mut out);
        }
    }
    out
}

pub(super) fn router(figures: Figures) -> Router {
    Router::new().route("/metrics", get(scrape).with_state(figures))
}

async fn scrape(State(figures): State<Figures>) -> Response {
    let text = render(&samples(&figures.now()));
    ([(CONTENT_TYPE, PROMETHEUS_TEXT)], text).into_response()
}

const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A number for Prometheus; above 2^53 it is rounded.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows only floats")]
const fn as_float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::server::Unit;

    #[test]
    fn counters_gauges_and_histograms_are_rendered() {
        let failed = |failure: &'static str, value| {
            Sample::counter("wapbridge_failures_total", "Failures.", value)
                .label("failure", failure)
        };
        let mut histogram = Histogram::new(Unit::Time);
        histogram.time(Duration::from_millis(300));
        let text = render(&[
            failed("tls", 4),
            Sample::gauge("wapbridge_sessions", "Sessions now.", 2)
                .label("route", "a \"quoted\" one".to_owned())
                .label("x", "\\"),
            failed("reset", 0),
            Sample::histogram("wapbridge_duration_seconds", "Durations.", &histogram),
        ]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..6],
            [
                "# HELP wapbridge_failures_total Failures.",
                "# TYPE wapbridge_failures_total counter",
                "wapbridge_failures_total{failure=\"tls\"} 4",
                "wapbridge_failures_total{failure=\"reset\"} 0",
                "# HELP wapbridge_sessions Sessions now.",
                "# TYPE wapbridge_sessions gauge",
            ]
        );
        for line in [
            r#"wapbridge_sessions{route="a \"quoted\" one",x="\\"} 2"#,
            "# TYPE wapbridge_duration_seconds histogram",
            "wapbridge_duration_seconds_bucket{le=\"0.25\"} 0",
            "wapbridge_duration_seconds_bucket{le=\"0.5\"} 1",
            "wapbridge_duration_seconds_bucket{le=\"+Inf\"} 1",
            "wapbridge_duration_seconds_sum 0.3",
            "wapbridge_duration_seconds_count 1",
        ] {
            assert!(lines.contains(&line), "{line}\n---\n{text}");
        }
    }
}
