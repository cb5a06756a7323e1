//! The records of pushes: each recipient has a line in the access log and a charging record.

use super::access::{self, Format};
use super::charging::{Batch, CdrEncoder, CdrHandle};
use super::log_writer::LogHandle;
use super::recorder::Sinks;
use super::timestamp::Timestamp;
use crate::identity::Identity;
use crate::push::ppg::DeliveryRecord;
use crate::wsp::log_id::LogIds;

/// Gathers the records of pushes, and hands them over with [`PushRecorder::flush`].
#[derive(Debug)]
pub struct PushRecorder {
    access: Option<Access>,
    charging: Option<Charging>,
    /// The number of the last record.
    last: u64,
}

#[derive(Debug)]
struct Access {
    format: Format,
    handle: LogHandle,
    timestamp: Timestamp,
    lines: Vec<u8>,
    count: u64,
}

#[derive(Debug)]
struct Charging {
    handle: CdrHandle,
    encoder: CdrEncoder,
    batch: Batch,
}

impl PushRecorder {
    /// No records so far. `shards` is the number of shards: ids of records name the shard, and the
    /// one behind the last shard stands for pushes.
    #[must_use]
    pub fn new(sinks: &Sinks, shards: usize) -> Self {
        // The record of a push names no session.
        let names = LogIds::new(&[0; 16]);
        Self {
            access: sinks.access.clone().map(|(format, handle)| Access {
                format,
                handle,
                timestamp: Timestamp::default(),
                lines: Vec::new(),
                count: 0,
            }),
            charging: sinks.charging.clone().map(|handle| Charging {
                encoder: handle.encoder(shards as u64, names),
                handle,
                batch: Batch::default(),
            }),
            last: 0,
        }
    }

    /// A push is over for a recipient. `identity` is the subscriber at this moment, if the access
    /// network reported one.
    pub fn finished(&mut self, record: &DeliveryRecord, identity: Option<&Identity>) {
        if let Some(access) = &mut self.access {
            let (timestamp, lines) = (&mut access.timestamp, &mut access.lines);
            access::write_push(record, access.format, timestamp, lines);
            access.count += 1;
        }
        self.last += 1;
        if let Some(charging) = &mut self.charging {
            let encoder = &mut charging.encoder;
            charging.batch.pushed(encoder, self.last, record, identity);
        }
    }

    /// Hands the gathered records over.
    pub fn flush(&mut self) {
        if let Some(access) = &mut self.access
            && access.count > 0
        {
            access.handle.offer(&mut access.lines, access.count);
            access.count = 0;
        }
        if let Some(charging) = &mut self.charging
            && !charging.batch.is_empty()
        {
            charging.handle.offer(std::mem::take(&mut charging.batch));
        }
    }
}

impl Drop for PushRecorder {
    fn drop(&mut self) {
        self.flush();
    }
}
