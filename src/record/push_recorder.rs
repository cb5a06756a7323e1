//! The records of pushes: each recipient has a line in the access log and a charging record.

use super::access;
use super::buffer::{ChargingRecords, LogLines};
use super::recorder::Sinks;
use crate::identity::Identity;
use crate::push::ppg::DeliveryRecord;
use crate::wsp::log_id::LogIds;

/// Gathers the records of pushes, and hands them over with [`PushRecorder::flush`].
#[derive(Debug)]
pub struct PushRecorder {
    access: Option<LogLines>,
    charging: Option<ChargingRecords>,
    /// The number of the last record.
    last: u64,
}

impl PushRecorder {
    /// No records so far. `shards` is the number of shards: ids of records name the shard, and the
    /// one behind the last shard stands for pushes.
    #[must_use]
    pub fn new(sinks: &Sinks, shards: usize) -> Self {
        // The record of a push names no session.
        let names = LogIds::new(&[0; 16]);
        Self {
            access: sinks.access.clone().map(LogLines::new),
            charging: sinks.charging.clone().map(|handle| {
                let encoder = handle.encoder(shards as u64, names);
                ChargingRecords::new(handle, encoder)
            }),
            last: 0,
        }
    }

    /// A push is over for a recipient. `identity` is the subscriber at this moment, if the access
    /// network reported one.
    pub fn finished(&mut self, record: &DeliveryRecord, identity: Option<&Identity>) {
        if let Some(access) = &mut self.access {
            access.add(|format, timestamp, lines| {
                access::write_push(record, format, timestamp, lines);
            });
        }
        self.last += 1;
        if let Some(charging) = &mut self.charging {
            let encoder = &mut charging.encoder;
            charging.batch.pushed(encoder, self.last, record, identity);
        }
    }

    /// Hands the gathered records over.
    pub fn flush(&mut self) {
        if let Some(access) = &mut self.access {
            access.flush();
        }
        if let Some(charging) = &mut self.charging {
            charging.flush();
        }
    }
}

impl Drop for PushRecorder {
    fn drop(&mut self) {
        self.flush();
    }
}
