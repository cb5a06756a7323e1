//! Metrics, for Prometheus to collect.
//!
//! The core counts in plain integers; whoever has their sums over all shards names them here, once a
//! second. Names start with `wapbridge_`, units are base units, and a label's values are a closed set.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// What a number is now, under which name.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    name: &'static str,
    help: &'static str,
    label: Option<(&'static str, &'static str)>,
    kind: Kind,
    value: u64,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Counter,
    Gauge,
}

impl Sample {
    /// Something that was counted since the process started and never becomes less; name it `..._total`.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self {
            name,
            help,
            label: None,
            kind: Kind::Counter,
            value,
        }
    }

    /// Something there is now.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        Self {
            kind: Kind::Gauge,
            ..Self::counter(name, help, value)
        }
    }

    /// The name and the label, which together are unique.
    #[must_use]
    pub const fn identity(&self) -> (&'static str, Option<(&'static str, &'static str)>) {
        (self.name, self.label)
    }

    /// Whether it only grows.
    #[must_use]
    pub const fn is_counter(&self) -> bool {
        matches!(self.kind, Kind::Counter)
    }

    /// The same with a label, whose value must come from a closed set.
    #[must_use]
    pub const fn label(self, name: &'static str, value: &'static str) -> Self {
        Self {
            label: Some((name, value)),
            ..self
        }
    }
}

/// The process's metrics. Clones are the same metrics.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    described: Arc<Mutex<HashSet<&'static str>>>,
}

impl Metrics {
    /// Makes this process's metrics collectable, so that `metrics::histogram!` and its like are kept from
    /// here on. Every call gives the same metrics.
    #[must_use]
    pub fn install() -> Self {
        static INSTALLED: OnceLock<Metrics> = OnceLock::new();
        INSTALLED.get_or_init(Self::new).clone()
    }

    fn new() -> Self {
        let suffix = |suffix: &str| Matcher::Suffix(suffix.to_owned());
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(suffix("_seconds"), &SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(suffix("_bytes"), &BYTES))
            .expect("there is at least one bucket")
            .build_recorder();
        let handle = recorder.handle();
        // It fails only if there is a recorder already; then what goes there is not ours to show.
        let _ = metrics::set_global_recorder(recorder);
        let metrics = Self {
            handle,
            described: Arc::default(),
        };
        metrics.publish(&[Sample::gauge(
            "wapbridge_build_info",
            "Always 1; the label tells the version.",
            1,
        )
        .label("version", env!("CARGO_PKG_VERSION"))]);
        metrics
    }

    /// Sets the numbers. A counter that is given less than before keeps its value.
    pub fn publish(&self, samples: &[Sample]) {
        for sample in samples {
            self.describe(sample);
            match (sample.kind, sample.label) {
                (Kind::Counter, None) => metrics::counter!(sample.name).absolute(sample.value),
                (Kind::Counter, Some((name, value))) => {
                    metrics::counter!(sample.name, name => value).absolute(sample.value);
                }
                (Kind::Gauge, None) => metrics::gauge!(sample.name).set(as_float(sample.value)),
                (Kind::Gauge, Some((name, value))) => {
                    metrics::gauge!(sample.name, name => value).set(as_float(sample.value));
                }
            }
        }
    }

    /// All metrics, in the text format of Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Empties what histograms have gathered into their buckets, for ever: without it memory grows.
    pub async fn upkeep(self) {
        let mut interval = tokio::time::interval(UPKEEP);
        loop {
            interval.tick().await;
            self.handle.run_upkeep();
        }
    }

    fn describe(&self, sample: &Sample) {
        debug_assert!(sample.name.starts_with("wapbridge_"), "{}", sample.name);
        let mut described = self
            .described
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if described.insert(sample.name) {
            match sample.kind {
                Kind::Counter => metrics::describe_counter!(sample.name, sample.help),
                Kind::Gauge => metrics::describe_gauge!(sample.name, sample.help),
            }
        }
    }
}

pub(super) fn router(metrics: Metrics) -> Router {
    Router::new().route("/metrics", get(scrape).with_state(metrics))
}

async fn scrape(State(metrics): State<Metrics>) -> Response {
    ([(CONTENT_TYPE, PROMETHEUS_TEXT)], metrics.render()).into_response()
}

const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A gauge's value; above 2^53 it is rounded, and nothing we have that many of.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows only floats")]
const fn as_float(value: u64) -> f64 {
    value as f64
}

const UPKEEP: Duration = Duration::from_secs(5);

/// From a LAN origin's answer to the patience of a handset.
const SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0,
];
/// From an empty SyncML message to the largest reply.
const BYTES: [f64; 9] = [
    256.0,
    1024.0,
    2048.0,
    4096.0,
    8192.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_gauges_and_histograms_are_rendered() {
        let metrics = Metrics::install();
        let failed = |value| {
            Sample::counter("wapbridge_test_failures_total", "Failures.", value)
                .label("failure", "tls")
        };
        metrics.publish(&[
            failed(3),
            Sample::gauge("wapbridge_test_sessions", "Sessions now.", 5),
        ]);
        metrics.publish(&[
            failed(4),
            Sample::gauge("wapbridge_test_sessions", "Sessions now.", 2),
        ]);
        metrics::histogram!("wapbridge_test_duration_seconds").record(0.3);
        let text = metrics.render();
        for line in [
            "# HELP wapbridge_test_failures_total Failures.",
            "# TYPE wapbridge_test_failures_total counter",
            "wapbridge_test_failures_total{failure=\"tls\"} 4",
            "# TYPE wapbridge_test_sessions gauge",
            "wapbridge_test_sessions 2",
            "# TYPE wapbridge_test_duration_seconds histogram",
            "wapbridge_test_duration_seconds_bucket{le=\"0.25\"} 0",
            "wapbridge_test_duration_seconds_bucket{le=\"0.5\"} 1",
            concat!(
                "wapbridge_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line}\n---\n{text}"
            );
        }
    }
}
