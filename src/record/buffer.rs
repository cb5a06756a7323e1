//! Records that wait to be handed over in bulk.

use super::access::Format;
use super::charging::{Batch, CdrEncoder, CdrHandle};
use super::log_writer::LogHandle;
use super::timestamp::Timestamp;

/// Octets that are handed over at once.
pub(super) const BULK: usize = 64 << 10;

/// Room for the part of the last line above [`BULK`], in most cases.
const LONGEST_LINE: usize = 1 << 10;

/// Lines of the access log.
#[derive(Debug)]
pub(super) struct LogLines {
    format: Format,
    handle: LogHandle,
    timestamp: Timestamp,
    pub(super) lines: Vec<u8>,
    count: u64,
}

impl LogLines {
    pub(super) fn new((format, handle): (Format, LogHandle)) -> Self {
        Self {
            format,
            handle,
            timestamp: Timestamp::default(),
            lines: Vec::new(),
            count: 0,
        }
    }

    /// Adds the line that `write` appends, and hands the lines over once they are [`BULK`] octets.
    pub(super) fn add(&mut self, write: impl FnOnce(Format, &mut Timestamp, &mut Vec<u8>)) {
        if self.lines.capacity() == 0 {
            self.lines.reserve_exact(BULK + LONGEST_LINE);
        }
        write(self.format, &mut self.timestamp, &mut self.lines);
        self.count += 1;
        if self.lines.len() >= BULK {
            self.flush();
        }
    }

    pub(super) fn flush(&mut self) {
        if self.count > 0 {
            self.handle.offer(&mut self.lines, self.count);
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
