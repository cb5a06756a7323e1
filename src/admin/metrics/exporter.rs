//! `/metrics`: the text format of Prometheus, or that of OpenMetrics for clients that ask for it.
//!
//! Counters and gauges are set from a snapshot of the shards' plain integers whenever a client
//! scrapes, in a recorder of that scrape: `absolute` of the facade keeps the greatest value and the
//! facade removes no series, but a reload removes routes and hosts and restarts the counters of
//! others. Histograms are in a recorder of this exporter, which lives as long as the process. Both
//! recorders are local, so that several gateways in one process share nothing.
//!
//! The thread `metrics` observes the histograms, and takes the samples of the history once a second.
//! Shards send it their measurements in batches, once a second.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics::{
    Label, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
    with_local_recorder,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};

use super::open_metrics::{self, Exemplars};
use super::row::{Kind, Metric, Read, Value};
use super::table::METRICS;
use crate::admin::history::SharedHistory;
use crate::admin::snapshot::{Collectors, Snapshot};
use crate::server::clock::Clock;
use crate::server::{MeasurementBatch, MeasurementHandle};
use crate::worker::{self, Inbox, Received, Worker};

/// Renders the metrics of one gateway. Clones share the histograms.
#[derive(Clone)]
pub(in crate::admin) struct Exporter {
    collectors: Collectors,
    histograms: Arc<PrometheusRecorder>,
    exemplars: Arc<Mutex<Exemplars>>,
    measurements: MeasurementHandle,
    history: SharedHistory,
    /// Dropped with the last clone, which stops the thread. The lock makes it `Sync`.
    _observer: Arc<Mutex<Worker<MeasurementBatch>>>,
}

impl Exporter {
    /// Starts the thread that observes the histograms.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(in crate::admin) fn start(collectors: Collectors) -> io::Result<Self> {
        let histograms = Arc::new(histogram_recorder());
        let recorder = Arc::clone(&histograms);
        let history = SharedHistory::start();
        let samples = (collectors.clone(), history.clone());
        let exemplars = Arc::<Mutex<Exemplars>>::default();
        let kept = Arc::clone(&exemplars);
        let observer = Worker::start("metrics", worker::queue(MAX_QUEUED), move |inbox| {
            observe(&inbox, &recorder, &kept, &samples);
        })?;
        Ok(Self {
            collectors,
            histograms,
            exemplars,
            measurements: observer.handle(),
            history,
            _observer: Arc::new(Mutex::new(observer)),
        })
    }

    /// The handle by which shards send their measurements.
    pub(in crate::admin) fn measurements(&self) -> MeasurementHandle {
        self.measurements.clone()
    }

    /// The figures of the last two hours.
    pub(in crate::admin) fn history(&self) -> SharedHistory {
        self.history.clone()
    }

    /// All metrics, in the order of their names.
    fn render(&self, format: ExpositionFormat) -> String {
        let snapshot = self.collectors.snapshot();
        // A route has its histogram from the start, with no observation.
        with_local_recorder(&*self.histograms, || {
            for metric in METRICS
                .iter()
                .filter(|metric| metric.kind == Kind::Histogram)
            {
                metric.series(&snapshot, &mut |values, _| {
                    let _ = histogram!(metric.name, labels(metric, values));
                });
            }
        });
        let scalars = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&scalars, || set(&snapshot));
        let text = scalars.handle().render() + &self.histograms.handle().render();
        match format {
            ExpositionFormat::Prometheus => ordered(&text, prometheus),
            ExpositionFormat::OpenMetrics => {
                let exemplars = self.exemplars.lock();
                let exemplars = exemplars.unwrap_or_else(PoisonError::into_inner);
                let text = ordered(&text, |metric, series| {
                    open_metrics::family(metric, series, &exemplars)
                });
                text + open_metrics::END
            }
        }
    }
}

fn histogram_recorder() -> PrometheusRecorder {
    let builder = METRICS
        .iter()
        .fold(PrometheusBuilder::new(), |builder, metric| {
            let Read::Observed(buckets, _) = metric.read else {
                return builder;
            };
            let name = Matcher::Full(metric.name.to_owned());
            builder
                .set_buckets_for_metric(name, buckets)
                .expect("every histogram has buckets")
        });
    let recorder = builder.build_recorder();
    with_local_recorder(&recorder, || describe(Kind::Histogram));
    recorder
}

fn describe(kind: Kind) {
    for metric in METRICS.iter().filter(|metric| metric.kind == kind) {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
            Kind::Histogram => describe_histogram!(metric.name, metric.help),
        }
    }
}

/// Sets every counter and gauge of the local recorder.
fn set(snapshot: &Snapshot) {
    describe(Kind::Counter);
    describe(Kind::Gauge);
    metrics_process::Collector::default().collect();
    for metric in METRICS {
        metric.series(snapshot, &mut |values, value| {
            let labels = || labels(metric, values);
            match (metric.kind, value) {
                (Kind::Counter, Value::Whole(value)) => {
                    counter!(metric.name, labels()).absolute(value);
                }
                (_, Value::Whole(value)) => gauge!(metric.name, labels()).set(as_float(value)),
                // Counters of the facade are whole numbers; `ordered` restores the kind.
                (_, Value::Seconds(time)) => gauge!(metric.name, labels()).set(time.as_secs_f64()),
                (_, Value::Elsewhere) => {}
            }
        });
    }
}

fn labels(metric: &Metric, values: &[&str]) -> Vec<Label> {
    let names = metric.labels.iter();
    names
        .zip(values)
        .map(|(name, value)| Label::new(*name, (*value).to_owned()))
        .collect()
}

/// A number for Prometheus; above 2^53 it is rounded.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows only floats")]
const fn as_float(value: u64) -> f64 {
    value as f64
}

/// The formats of the exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExpositionFormat {
    Prometheus,
    OpenMetrics,
}

/// Sorts families and series, which the exporter writes in the order of its hash tables, and writes
/// the kind that the table says: seconds of a counter are a gauge to the facade.
fn ordered(text: &str, write: impl Fn(&Metric, &[&str]) -> String) -> String {
    let mut families = BTreeMap::new();
    for family in text.split_terminator("\n\n") {
        let (comments, mut series): (Vec<&str>, Vec<&str>) =
            family.lines().partition(|line| line.starts_with('#'));
        let name = comments.last().and_then(|line| line.split(' ').nth(2));
        let Some(metric) = METRICS.iter().find(|metric| Some(metric.name) == name) else {
            continue;
        };
        // The buckets of a histogram are in their order.
        if metric.kind != Kind::Histogram {
            series.sort_unstable();
        }
        families.insert(metric.name, write(metric, &series));
    }
    families.into_values().collect()
}

/// One family in the text format of Prometheus.
fn prometheus(metric: &Metric, series: &[&str]) -> String {
    let Metric {
        name, kind, help, ..
    } = metric;
    let (kind, series) = (kind.name(), series.join("\n"));
    format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{series}\n")
}

/// Observes the shards' measurements, and takes samples, until the worker is dropped.
fn observe(
    inbox: &Inbox<MeasurementBatch>,
    recorder: &PrometheusRecorder,
    exemplars: &Mutex<Exemplars>,
    (collectors, history): &(Collectors, SharedHistory),
) {
    let clock = Clock::start();
    let mut upkeep_at = clock.now() + UPKEEP_INTERVAL;
    let mut sample_at = clock.now();
    loop {
        match inbox.recv_timeout(upkeep_at.min(sample_at).since(clock.now())) {
            Received::Message(batch, _load) => {
                with_local_recorder(recorder, || record(&batch));
                let kept = exemplars.lock();
                kept.unwrap_or_else(PoisonError::into_inner).observe(&batch);
                history.observe(&batch);
            }
            Received::Idle => {}
            Received::Stop => return,
        }
        let now = clock.now();
        if sample_at <= now {
            history.sample(&collectors.snapshot());
            // Samples that a pause has left out stay out.
            let next = sample_at + SAMPLE_INTERVAL;
            sample_at = if next > now {
                next
            } else {
                now + SAMPLE_INTERVAL
            };
        }
        if upkeep_at <= clock.now() {
            upkeep_at = clock.now() + UPKEEP_INTERVAL;
            // Moves observations into their buckets; without it they would take memory until the
            // next scrape.
            recorder.handle().run_upkeep();
        }
    }
}

fn record(batch: &MeasurementBatch) {
    for metric in METRICS {
        let Read::Observed(_, value) = metric.read else {
            continue;
        };
        if metric.labels.is_empty() {
            let histogram = histogram!(metric.name);
            for value in batch.measurements.iter().filter_map(value) {
                histogram.record(value);
            }
            continue;
        }
        let routes: Vec<_> = batch
            .routes
            .iter()
            .map(|route| histogram!(metric.name, labels(metric, &[route])))
            .collect();
        for measurement in &batch.measurements {
            let route = measurement.route.and_then(|route| routes.get(route));
            if let (Some(histogram), Some(value)) = (route, value(measurement)) {
                histogram.record(value);
            }
        }
    }
}

pub(in crate::admin) fn router(exporter: Exporter) -> Router {
    Router::new().route("/metrics", get(scrape).with_state(exporter))
}

async fn scrape(State(exporter): State<Exporter>, headers: HeaderMap) -> Response {
    let mut accepted = headers.get_all(ACCEPT).iter();
    let is_wanted = accepted.any(|value| value.to_str().is_ok_and(open_metrics::is_wanted));
    let (media_type, format) = match is_wanted {
        true => (open_metrics::MEDIA_TYPE, ExpositionFormat::OpenMetrics),
        false => (TEXT_FORMAT, ExpositionFormat::Prometheus),
    };
    ([(CONTENT_TYPE, media_type)], exporter.render(format)).into_response()
}

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Measurements queued for the thread, of about a hundred octets each.
const MAX_QUEUED: usize = 1 << 18;
/// The interval that the exporter's documentation recommends.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::server::{Measurement, RouteStats};
    use crate::trace_context::TraceId;

    fn exporter() -> Exporter {
        let collectors = Collectors::default();
        collectors.register(|snapshot| {
            snapshot.stats.sessions = 7;
            snapshot.started = Duration::from_millis(1_795_421_456_500);
            let route = RouteStats {
                exchanges: 3,
                upstream_errors: 1,
                upstream_time: Duration::from_millis(2_250),
                ..RouteStats::default()
            };
            snapshot.routes.insert("a \"b\" \\".into(), route);
        });
        Exporter::start(collectors).unwrap()
    }

    /// The exposition once it has this line.
    fn until(exporter: &Exporter, line: &str) -> String {
        for _ in 0..1_000 {
            let text = exporter.render(ExpositionFormat::Prometheus);
            if text.lines().any(|shown| shown == line) {
                return text;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!(
            "never {line}: {}",
            exporter.render(ExpositionFormat::Prometheus)
        );
    }

    #[test]
    fn counters_gauges_and_histograms_are_rendered() {
        let exporter = exporter();
        let measurement = Measurement {
            route: Some(0),
            duration: Duration::from_millis(300),
            ..Measurement::default()
        };
        let batch = MeasurementBatch {
            routes: Arc::new(["sync".into()]),
            measurements: vec![measurement; 2],
        };
        exporter.measurements().send(batch);
        let text = until(&exporter, "wapbridge_exchange_duration_seconds_count 2");
        for line in [
            "# HELP wapbridge_wsp_sessions Sessions held.",
            "# TYPE wapbridge_wsp_sessions gauge",
            "wapbridge_wsp_sessions 7",
            "# TYPE wapbridge_route_exchanges_total counter",
            r#"wapbridge_route_exchanges_total{route="a \"b\" \\"} 3"#,
            "# TYPE wapbridge_route_upstream_seconds_total counter",
            r#"wapbridge_route_upstream_seconds_total{route="a \"b\" \\"} 2.25"#,
            "# TYPE process_cpu_seconds_total counter",
            "process_start_time_seconds 1795421456.5",
            "# TYPE wapbridge_exchange_duration_seconds histogram",
            r#"wapbridge_exchange_duration_seconds_bucket{le="0.25"} 0"#,
            r#"wapbridge_exchange_duration_seconds_bucket{le="0.5"} 2"#,
            r#"wapbridge_exchange_duration_seconds_bucket{le="+Inf"} 2"#,
            "wapbridge_exchange_duration_seconds_sum 0.6",
            "wapbridge_exchange_air_in_seconds_count 0",
            "wapbridge_exchange_request_bytes_count 2",
        ] {
            assert!(
                text.lines().any(|shown| shown == line),
                "{line}\n---\n{text}"
            );
        }
    }

    #[test]
    fn open_metrics_have_the_last_sampled_trace_of_a_bucket() {
        let exporter = exporter();
        let trace = |last| {
            let mut octets = [0xAB; 16];
            octets[15] = last;
            Some(TraceId::from_octets(octets))
        };
        let exchange = |trace, millis| Measurement {
            route: Some(0),
            trace,
            duration: Duration::from_millis(millis),
            response: Some(Duration::from_millis(millis)),
            ..Measurement::default()
        };
        exporter.measurements().send(MeasurementBatch {
            routes: Arc::new(["a \"b\" \\".into()]),
            measurements: vec![
                exchange(trace(1), 250),
                exchange(trace(2), 300),
                exchange(trace(3), 310),
                exchange(None, 320),
                exchange(trace(4), 999_000),
            ],
        });
        let plain = until(&exporter, "wapbridge_exchange_duration_seconds_count 5");
        assert!(!plain.contains("trace_id"), "{plain}");
        let text = exporter.render(ExpositionFormat::OpenMetrics);
        for line in [
            "# TYPE wapbridge_route_exchanges counter",
            r#"wapbridge_route_exchanges_total{route="a \"b\" \\"} 3"#,
            "# TYPE wapbridge_wsp_sessions gauge",
            "# TYPE wapbridge_exchanges gauge",
            "# TYPE wapbridge_exchanges_total unknown",
            "# TYPE wapbridge_exchange_duration_seconds histogram",
            r#"wapbridge_exchange_duration_seconds_bucket{le="0.25"} 1 # {trace_id="@01"} 0.25"#,
            r#"wapbridge_exchange_duration_seconds_bucket{le="0.5"} 4 # {trace_id="@03"} 0.31"#,
            r#"wapbridge_exchange_duration_seconds_bucket{le="1.0"} 4"#,
            r#"wapbridge_exchange_duration_seconds_bucket{le="+Inf"} 5 # {trace_id="@04"} 999"#,
            r#"wapbridge_route_response_seconds_bucket{route="a \"b\" \\",le="0.5"} 4 # {trace_id="@03"} 0.31"#,
        ] {
            let line = line.replace('@', &"ab".repeat(15));
            assert!(
                text.lines().any(|shown| shown == line),
                "{line}\n---\n{text}"
            );
        }
        let families: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
            .collect();
        let unique: BTreeSet<&str> = families.iter().copied().collect();
        assert_eq!(families.len(), unique.len(), "{families:?}");
        assert!(
            text.ends_with("\n# EOF\n") && !text.contains("\n\n"),
            "{text}"
        );
    }

    #[test]
    fn the_exposition_has_every_metric_once_and_in_order() {
        let text = exporter().render(ExpositionFormat::Prometheus);
        let shown: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .collect();
        assert!(shown.is_sorted(), "{shown:?}");
        let mut wanted: Vec<String> = METRICS
            .iter()
            // Without a store and so on, those have no values.
            .filter(|metric| {
                let mut any = false;
                metric.series(&exporter().collectors.snapshot(), &mut |_, _| any = true);
                any
            })
            .map(|metric| format!("{} {}", metric.name, metric.kind.name()))
            .collect();
        wanted.sort_unstable();
        assert_eq!(shown, wanted);
    }

    #[test]
    fn a_removed_series_is_not_shown_and_a_counter_may_restart() {
        let exporter = exporter();
        let shown = until(&exporter, "wapbridge_wsp_sessions 7");
        assert!(shown.contains("wapbridge_route_exchanges_total{"));
        exporter.collectors.register(|snapshot| {
            snapshot.routes.clear();
            snapshot.stats.exchanges_begun = 5;
        });
        let shown = until(&exporter, "wapbridge_exchanges_total 5");
        assert!(
            !shown.contains("wapbridge_route_exchanges_total{"),
            "{shown}"
        );
        exporter
            .collectors
            .register(|snapshot| snapshot.stats.exchanges_begun = 2);
        until(&exporter, "wapbridge_exchanges_total 2");
    }

    #[test]
    fn two_gateways_in_one_process_share_nothing() {
        let (one, other) = (exporter(), exporter());
        let batch = MeasurementBatch {
            routes: Arc::new([]),
            measurements: vec![Measurement::default()],
        };
        one.measurements().send(batch);
        until(&one, "wapbridge_exchange_duration_seconds_count 1");
        until(&other, "wapbridge_exchange_duration_seconds_count 0");
    }
}
