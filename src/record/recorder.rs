//! A shard's recorder: gathers lines, and hands them over in bulk.

use std::time::Duration;

use super::access::{self, Format};
use super::charging::{Batch, CdrEncoder, CdrHandle, Clocks};
use super::log_writer::LogHandle;
use super::timestamp::Timestamp;
use crate::gateway::Gateway;
use crate::gateway::fetch::RequestId;
use crate::gateway::record::ExchangeRecord;
use crate::time::Instant;
use crate::wsp::log_id::LogIds;

/// The destinations of the shards' records.
#[derive(Clone, Debug, Default)]
pub struct Sinks {
    /// The access log, if there is one.
    pub access: Option<(Format, LogHandle)>,
    /// The charging records, if they are kept.
    pub charging: Option<CdrHandle>,
}

/// Records of one shard. Dropping it hands over the rest.
#[derive(Debug)]
pub struct Recorder {
    access: Option<Access>,
    charging: Option<Charging>,
    /// The time at which even a few gathered records are handed over.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Charging {
    handle: CdrHandle,
    encoder: CdrEncoder,
    batch: Batch,
    /// Transactions answered since the last batch. One that ends before the next batch needs no
    /// line in the journal.
    answered: Vec<RequestId>,
}

#[derive(Debug)]
struct Access {
    format: Format,
    names: LogIds,
    handle: LogHandle,
    timestamp: Timestamp,
    lines: Vec<u8>,
    count: u64,
}

impl Recorder {
    /// The recorder of one shard, without records so far. `names` gives the names of sessions.
    #[must_use]
    pub fn new(sinks: &Sinks, names: LogIds, shard: usize) -> Self {
        Self {
            access: sinks.access.clone().map(|(format, handle)| Access {
                format,
                names,
                handle,
                timestamp: Timestamp::default(),
                lines: Vec::new(),
                count: 0,
            }),
            charging: sinks.charging.clone().map(|handle| Charging {
                encoder: handle.encoder(shard as u64, names),
                handle,
                batch: Batch::default(),
                answered: Vec::new(),
            }),
            due: None,
        }
    }

    /// An exchange was answered and waits for its end.
    pub fn answered(&mut self, now: Instant, id: RequestId) {
        if let Some(charging) = &mut self.charging {
            charging.answered.push(id);
            self.due.get_or_insert(now + INTERVAL);
        }
    }

    /// An exchange is over. It is `micros` microseconds after 1970.
    pub fn finished(&mut self, now: Instant, micros: u64, record: &ExchangeRecord) {
        if let Some(access) = &mut self.access {
            access.add(record, micros);
            self.due.get_or_insert(now + INTERVAL);
        }
        if let Some(charging) = &mut self.charging {
            let now = Clocks { at: now, micros };
            charging.batch.finished(&mut charging.encoder, now, record);
            if charging.batch.len() >= BULK {
                charging.flush();
            }
            self.due.get_or_insert(now.at + INTERVAL);
        }
    }

    /// The shard stops: the end of open transactions will not be recorded otherwise.
    pub fn stop(&mut self, now: Instant, micros: u64, gateway: &Gateway) {
        if let Some(charging) = &mut self.charging {
            let now = Clocks { at: now, micros };
            for record in gateway.records() {
                charging
                    .batch
                    .interrupted(&mut charging.encoder, now, record);
            }
        }
        self.flush();
    }

    /// The time at which [`handle_timeout`](Self::handle_timeout) is due.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Hands over records that have waited long enough. An early call has no effect.
    pub fn handle_timeout(&mut self, now: Instant, micros: u64, gateway: &Gateway) {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            if let Some(charging) = &mut self.charging {
                let now = Clocks { at: now, micros };
                for id in charging.answered.drain(..) {
                    if let Some(record) = gateway.record(id) {
                        charging.batch.answered(&mut charging.encoder, now, record);
                    }
                }
            }
            self.flush();
        }
    }

    fn flush(&mut self) {
        if let Some(access) = &mut self.access {
            access.flush();
        }
        if let Some(charging) = &mut self.charging {
            charging.flush();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Charging {
    fn flush(&mut self) {
        if !self.batch.is_empty() {
            self.handle.offer(std::mem::take(&mut self.batch));
        }
    }
}

impl Access {
    fn add(&mut self, record: &ExchangeRecord, micros: u64) {
        if self.lines.capacity() == 0 {
            self.lines.reserve_exact(BULK + LONGEST_LINE);
        }
        access::write(
            record,
            micros,
            self.format,
            self.names,
            &mut self.timestamp,
            &mut self.lines,
        );
        self.count += 1;
        if self.lines.len() >= BULK {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.count > 0 {
            self.handle.offer(&mut self.lines, self.count);
            self.count = 0;
        }
    }
}

/// Octets that are handed over at once.
const BULK: usize = 64 << 10;

/// Room for the part of the last line above [`BULK`], in most cases.
const LONGEST_LINE: usize = 1 << 10;

/// The longest time a line waits for further ones.
const INTERVAL: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::io::{self, Read};

    use super::*;
    use crate::record::log_writer::LogWriter;
    use crate::record::sample::exchange;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    #[test]
    fn lines_wait_for_more_to_come_and_not_for_long() {
        let (mut reader, writer) = io::pipe().unwrap();
        let writer = LogWriter::to(Box::new(writer)).unwrap();
        let mut recorder = Recorder::new(
            &Sinks {
                access: Some((Format::Text, writer.handle())),
                charging: None,
            },
            LogIds::new(&[0; 16]),
            0,
        );
        let config = crate::gateway::Config::new(crate::route::Routes::new(Vec::new()).into());
        let gateway = Gateway::new(config.into(), 0, at(0));
        recorder.finished(at(2_000), 0, &exchange());
        recorder.finished(at(2_050), 1, &exchange());
        assert_eq!(recorder.poll_timeout(), Some(at(2_100)));
        recorder.handle_timeout(at(2_099), 0, &gateway);
        assert_eq!(recorder.poll_timeout(), Some(at(2_100)));
        recorder.handle_timeout(at(2_100), 0, &gateway);
        assert_eq!(recorder.poll_timeout(), None);
        recorder.finished(at(2_200), 2, &exchange());
        drop(recorder);
        drop(writer);
        let mut written = String::new();
        reader.read_to_string(&mut written).unwrap();
        let moments: Vec<&str> = written.lines().map(|line| &line[19..27]).collect();
        assert_eq!(moments, [".000000Z", ".000001Z", ".000002Z"]);
    }

    #[test]
    fn many_lines_do_not_wait() {
        let (reader, writer) = io::pipe().unwrap();
        let writer = LogWriter::to(Box::new(writer)).unwrap();
        let mut recorder = Recorder::new(
            &Sinks {
                access: Some((Format::Json, writer.handle())),
                charging: None,
            },
            LogIds::new(&[0; 16]),
            0,
        );
        for _ in 0..1_000 {
            recorder.finished(at(0), 0, &exchange());
            let waiting = recorder.access.as_ref().unwrap().lines.len();
            assert!(waiting < BULK, "{waiting}");
        }
        drop(reader);
    }
}
