//! Stands for the export in a program without the feature `otlp`: there is none.

use crate::gateway::record::ExchangeRecord;
use crate::time::Instant;
use crate::wsp::log_id::LogIds;

/// There is none.
#[derive(Debug)]
pub enum SpanExporter {}

/// There is none.
#[derive(Clone, Debug)]
pub enum SpanSink {}

/// There is none.
#[derive(Debug)]
pub(in crate::record) enum SpanBatch {}

impl SpanExporter {
    /// There is none.
    pub fn stop(self) {
        match self {}
    }

    /// There is none.
    #[must_use]
    pub fn sink(&self) -> SpanSink {
        match *self {}
    }
}

impl SpanBatch {
    pub(in crate::record) fn new(sink: SpanSink) -> Self {
        match sink {}
    }

    pub(in crate::record) fn add(&mut self, _: Instant, _: u64, _: Box<ExchangeRecord>, _: LogIds) {
        match *self {}
    }

    pub(in crate::record) fn flush(&mut self) {
        match *self {}
    }
}
