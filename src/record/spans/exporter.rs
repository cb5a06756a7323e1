//! The thread that makes spans of exchanges and sends them to the collector.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use rustls::ClientConfig;
use tokio::runtime::Runtime;
use tracing::{info, warn};

use super::client::{Client, Outcome};
use super::span::{Ended, spans};
use super::{ExportCounts, ExportSettings};
use crate::gateway::record::ExchangeRecord;
use crate::random::Random;
use crate::time::Instant;
use crate::worker::{Handle, Inbox, Load, Received, Worker, queue};
use crate::wsp::log_id::LogIds;

/// The export of spans. At its end it sends what waits, for as long as one request may take.
#[derive(Debug)]
pub struct SpanExporter {
    worker: Worker<Vec<Ended>>,
    counters: Arc<Counters>,
}

/// A shard's way to the exporter.
#[derive(Clone, Debug)]
pub struct SpanSink {
    handle: Handle<Vec<Ended>>,
    counters: Arc<Counters>,
}

/// Why the export cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The URL of the collector, or an environment variable for it, is wrong.
    #[error("{0}")]
    Settings(#[from] ExporterBuildError),
    /// The system refuses a thread.
    #[error("no thread: {0}")]
    Thread(#[from] std::io::Error),
}

#[derive(Debug, Default)]
struct Counters {
    exported: AtomicU64,
    queue_full: AtomicU64,
    failed: AtomicU64,
}

impl SpanExporter {
    /// Starts the export, if the settings or the environment name a collector. `seed` gives the ids
    /// of spans that no other server knows.
    ///
    /// # Errors
    /// A [`StartError`].
    pub fn start(
        settings: &ExportSettings,
        tls: ClientConfig,
        seed: u64,
    ) -> Result<Option<Self>, StartError> {
        if settings.endpoint.is_none() && !ENDPOINTS.iter().any(is_set) {
            return Ok(None);
        }
        let (client, outcome) = Client::new(tls, settings.timeout);
        let headers = settings.headers.iter();
        let headers = headers.map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        });
        let mut builder = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_headers(headers.collect())
            .with_timeout(settings.timeout)
            .with_protocol(Protocol::HttpBinary);
        if let Some(endpoint) = &settings.endpoint {
            let base = endpoint.trim_end_matches('/');
            builder = builder.with_endpoint(format!("{base}{TRACES}"));
        }
        let mut exporter = builder.build()?;
        exporter.set_resource(&resource());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let counters = Arc::new(Counters::default());
        let mut thread = Thread {
            exporter,
            outcome,
            runtime,
            scope: InstrumentationScope::builder("wapbridge")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
            random: Random::new(seed),
            counters: Arc::clone(&counters),
            is_failing: false,
        };
        let worker = Worker::start("spans", queue(settings.max_queued), move |inbox| {
            thread.run(&inbox);
        })?
        .with_patience(settings.timeout);
        Ok(Some(Self { worker, counters }))
    }

    /// Sends what waits, and ends.
    pub fn stop(self) {
        drop(self.worker);
    }

    /// A shard's way to it.
    #[must_use]
    pub fn sink(&self) -> SpanSink {
        SpanSink {
            handle: self.worker.handle(),
            counters: Arc::clone(&self.counters),
        }
    }
}

impl SpanSink {
    /// The counters of the export.
    #[must_use]
    pub fn counts(&self) -> ExportCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ExportCounts {
            exported: read(&self.counters.exported),
            queue_full: read(&self.counters.queue_full),
            failed: read(&self.counters.failed),
        }
    }

    /// Hands exchanges over, and never waits.
    fn offer(&self, exchanges: Vec<Ended>) {
        let count = exchanges.len();
        if self.handle.try_send(exchanges, count).is_err() {
            self.counters
                .queue_full
                .fetch_add(count as u64, Ordering::Relaxed);
        }
    }
}

/// Exchanges of one shard that wait to be handed over in bulk.
#[derive(Debug)]
pub(in crate::record) struct SpanBatch {
    sink: SpanSink,
    waiting: Vec<Ended>,
}

impl SpanBatch {
    pub(in crate::record) const fn new(sink: SpanSink) -> Self {
        Self {
            sink,
            waiting: Vec::new(),
        }
    }

    /// Adds an exchange that ended at `now`, which is `micros` microseconds after 1970. Nothing that
    /// tells of the subscriber stays with it.
    pub(in crate::record) fn add(
        &mut self,
        now: Instant,
        micros: u64,
        mut record: Box<ExchangeRecord>,
        names: LogIds,
    ) {
        (record.identity, record.syncml, record.detail) = (None, None, None);
        let session = record.session.map(|id| names.of(id));
        self.waiting.push(Ended {
            record,
            at: now,
            micros,
            session,
        });
        if self.waiting.len() >= BULK {
            self.flush();
        }
    }

    pub(in crate::record) fn flush(&mut self) {
        if !self.waiting.is_empty() {
            self.sink.offer(std::mem::take(&mut self.waiting));
        }
    }
}

/// The state of the exporter's thread.
struct Thread {
    exporter: opentelemetry_otlp::SpanExporter,
    outcome: Arc<Mutex<Outcome>>,
    runtime: Runtime,
    scope: InstrumentationScope,
    random: Random,
    counters: Arc<Counters>,
    /// The last request failed, and the log says so.
    is_failing: bool,
}

impl Thread {
    fn run(&mut self, inbox: &Inbox<Vec<Ended>>) {
        loop {
            let (first, load) = match inbox.recv() {
                Received::Message(exchanges, load) => (exchanges, load),
                Received::Idle => continue,
                Received::Stop => return,
            };
            let stops = self.gather(inbox, first, load);
            if stops {
                return;
            }
        }
    }

    /// Exports a batch, and what comes shortly after it. Returns whether the thread has to stop.
    fn gather(&mut self, inbox: &Inbox<Vec<Ended>>, first: Vec<Ended>, mut load: Load) -> bool {
        let mut batch = Vec::new();
        let mut exchanges = first.len();
        self.add(&first, &mut batch);
        let mut stops = false;
        while exchanges < MOST_AT_ONCE {
            match inbox.recv_timeout(GATHER) {
                Received::Message(more, its_load) => {
                    load.absorb(its_load);
                    exchanges += more.len();
                    self.add(&more, &mut batch);
                }
                Received::Idle => break,
                Received::Stop => {
                    stops = true;
                    break;
                }
            }
        }
        self.export(batch, exchanges);
        // Until here they have taken room in the queue.
        drop(load);
        stops
    }

    fn add(&mut self, exchanges: &[Ended], batch: &mut Vec<SpanData>) {
        for ended in exchanges {
            spans(ended, &self.scope, &mut self.random, batch);
        }
    }

    fn export(&mut self, batch: Vec<SpanData>, exchanges: usize) {
        let count = batch.len() as u64;
        let result = self.runtime.block_on(self.exporter.export(batch));
        let outcome =
            std::mem::take(&mut *self.outcome.lock().unwrap_or_else(PoisonError::into_inner));
        let add = |counter: &AtomicU64, count: u64| counter.fetch_add(count, Ordering::Relaxed);
        match result {
            Ok(()) => {
                let refused = outcome.refused.min(count);
                add(&self.counters.exported, count - refused);
                // Which exchanges they belong to is not told.
                add(&self.counters.failed, refused.min(exchanges as u64));
            }
            Err(_) => {
                add(&self.counters.failed, exchanges as u64);
            }
        }
        let error = match &result {
            Ok(()) => outcome.error,
            Err(error) => Some(outcome.error.unwrap_or_else(|| error.to_string())),
        };
        match (error, self.is_failing) {
            (Some(error), false) => {
                warn!(%error, "spans cannot be exported; further failures are only counted");
                self.is_failing = true;
            }
            (None, true) => {
                info!("spans are exported again");
                self.is_failing = false;
            }
            (Some(_), true) | (None, false) => {}
        }
    }
}

/// The names of this service and of its version. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`
/// come first.
fn resource() -> Resource {
    let builder = Resource::builder();
    let builder = match ["OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"]
        .iter()
        .any(names_service)
    {
        true => builder,
        false => builder.with_service_name("wapbridge"),
    };
    builder
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

fn names_service(variable: &&str) -> bool {
    let is_name = |value: &str| *variable == "OTEL_SERVICE_NAME" || value.contains("service.name=");
    std::env::var(variable).is_ok_and(|value| !value.is_empty() && is_name(&value))
}

fn is_set(variable: &&str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// Variables that name the collector.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];
/// The path of traces below the URL of a collector.
const TRACES: &str = "/v1/traces";
/// Exchanges that a shard hands over at once.
const BULK: usize = 128;
/// Exchanges in one request, about.
const MOST_AT_ONCE: usize = 512;
/// The longest pause between two batches of one request.
const GATHER: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample::exchange;

    #[test]
    fn a_full_queue_costs_spans_and_a_counter() {
        let (handle, inbox) = queue(2 * BULK);
        let sink = SpanSink {
            handle,
            counters: Arc::default(),
        };
        let mut batch = SpanBatch::new(sink.clone());
        let names = LogIds::new(&[0; 16]);
        for _ in 0..3 * BULK + 1 {
            batch.add(Instant::ZERO, 0, Box::new(exchange()), names);
        }
        assert_eq!(sink.counts().queue_full, BULK as u64);
        // What the exporter has taken makes room once it is exported.
        let Received::Message(first, load) = inbox.try_recv() else {
            panic!("no exchanges");
        };
        assert_eq!(first.len(), BULK);
        batch.flush();
        assert_eq!(sink.counts().queue_full, BULK as u64 + 1);
        drop(load);
        batch.add(Instant::ZERO, 0, Box::new(exchange()), names);
        batch.flush();
        assert_eq!(sink.counts().queue_full, BULK as u64 + 1);
    }

    #[test]
    fn what_tells_of_a_subscriber_does_not_wait_for_the_collector() {
        let (handle, inbox) = queue(1);
        let counters = Arc::default();
        let mut batch = SpanBatch::new(SpanSink { handle, counters });
        let mut record = exchange();
        record.identity = Some(Arc::default());
        record.detail = Some("a detail".to_owned());
        let names = LogIds::new(&[0; 16]);
        batch.add(Instant::ZERO, 0, Box::new(record), names);
        batch.flush();
        let Received::Message(kept, _) = inbox.try_recv() else {
            panic!("no exchange");
        };
        let record = &kept.first().unwrap().record;
        assert!(record.identity.is_none() && record.syncml.is_none() && record.detail.is_none());
    }
}
