//! Spans of exchanges, for a collector of OpenTelemetry (feature `otlp`).
//!
//! A shard keeps the records of exchanges whose trace is sampled, and hands them over in batches
//! ([`SpanSink`]). A thread of its own makes spans of them and sends these to the collector
//! ([`SpanExporter`]). The queue between them is bounded: no shard waits for a collector.

#[cfg(not(feature = "otlp"))]
mod absent;
#[cfg(feature = "otlp")]
mod client;
#[cfg(feature = "otlp")]
mod exporter;
#[cfg(feature = "otlp")]
mod span;

use std::time::Duration;

use http::{HeaderName, HeaderValue};

#[cfg(not(feature = "otlp"))]
pub(super) use absent::SpanBatch;
#[cfg(not(feature = "otlp"))]
pub use absent::{SpanExporter, SpanSink};
#[cfg(feature = "otlp")]
pub(super) use exporter::SpanBatch;
#[cfg(feature = "otlp")]
pub use exporter::{SpanExporter, SpanSink, StartError};

/// Settings of the export of spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportSettings {
    /// The collector, which gets the spans at `/v1/traces` below this URL. Default: that of the
    /// environment variable `OTEL_EXPORTER_OTLP_ENDPOINT`; without it nothing is exported.
    pub endpoint: Option<String>,
    /// Fields of each request to the collector, such as a key. Default: none.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Time for one request to the collector, connecting and further attempts included. Default:
    /// 10 s.
    pub timeout: Duration,
    /// Exchanges that wait for the collector. Further ones are not exported, and are counted.
    /// Default: 8,192.
    pub max_queued: usize,
}

impl Default for ExportSettings {
    fn default() -> Self {
        Self {
            endpoint: None,
            headers: Vec::new(),
            timeout: Duration::from_secs(10),
            max_queued: 8_192,
        }
    }
}

/// Counters of the export; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportCounts {
    /// Spans that the collector has taken.
    pub exported: u64,
    /// Exchanges without spans at the collector because the queue was full.
    pub queue_full: u64,
    /// Exchanges whose spans the collector did not get, or refused.
    pub failed: u64,
}
