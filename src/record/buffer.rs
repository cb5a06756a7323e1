//! Records that wait to be handed over in bulk.

use super::access::Format;
use super::charging::{Batch, CdrEncoder, CdrHandle};
use super::recorder::AccessSink;
use super::timestamp::Timestamp;

/// Octets that are handed over at once.
pub(super) const BULK: usize = 64 << 10;

/// Room for the part of the last line above [`BULK`], in most cases.
const LONGEST_LINE: usize = 1 << 10;

/// Lines of the access log.
#[derive(Debug)]
pub(super) struct LogLines {
    sink: AccessSink,
    /// Exchanges that went well since the last of them that was logged.
    passed_over: u32,
    timestamp: Timestamp,
    pub(super) lines: Vec<u8>,
    count: u64,
}

impl LogLines {
    pub(super) fn new(sink: AccessSink) -> Self {
        Self {
            passed_over: sink.sample,
            sink,
            timestamp: Timestamp::default(),
            lines: Vec::new(),
            count: 0,
        }
    }

    /// Whether the line of an exchange is to be written: every one that did not go well, and one in
    /// [`AccessSink::sample`] of the others.
    pub(super) const fn takes(&mut self, went_well: bool) -> bool {
        if !went_well {
            return true;
        }
        self.passed_over += 1;
        let taken = self.passed_over >= self.sink.sample;
        if taken {
            self.passed_over = 0;
        }
        taken
    }

    /// Adds the line that `write` appends, and hands the lines over once they are [`BULK`] octets.
    pub(super) fn add(&mut self, write: impl FnOnce(Format, &mut Timestamp, &mut Vec<u8>)) {
        if self.lines.capacity() == 0 {
            self.lines.reserve_exact(BULK + LONGEST_LINE);
        }
        write(self.sink.format, &mut self.timestamp, &mut self.lines);
        self.count += 1;
        if self.lines.len() >= BULK {
            self.flush();
        }
    }

    pub(super) fn flush(&mut self) {
        if self.count > 0 {
            self.sink.handle.offer(&mut self.lines, self.count);
            self.count = 0;
        }
    }
}

/// Charging records.
#[derive(Debug)]
pub(super) struct ChargingRecords {
    handle: CdrHandle,
    pub(super) encoder: CdrEncoder,
    pub(super) batch: Batch,
}

impl ChargingRecords {
    pub(super) fn new(handle: CdrHandle, encoder: CdrEncoder) -> Self {
        Self {
            handle,
            encoder,
            batch: Batch::default(),
        }
    }

    pub(super) fn flush(&mut self) {
        if !self.batch.is_empty() {
            self.handle.offer(std::mem::take(&mut self.batch));
        }
    }
}
