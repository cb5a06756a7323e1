//! A shard's recorder: gathers lines, and hands them over in bulk.

use std::time::Duration;

use super::access::{self, Format};
use super::buffer::{BULK, ChargingRecords, LogLines};
use super::charging::{CdrHandle, Clocks};
use super::log_writer::LogHandle;
use super::spans::{SpanBatch, SpanSink};
use crate::gateway::Gateway;
use crate::gateway::fetch::RequestId;
use crate::gateway::record::ExchangeRecord;
use crate::time::Instant;
use crate::wsp::log_id::LogIds;

/// The destinations of the shards' records.
#[derive(Clone, Debug, Default)]
pub struct Sinks {
    /// The access log, if there is one.
    pub access: Option<AccessSink>,
    /// The charging records, if they are kept.
    pub charging: Option<CdrHandle>,
    /// The spans, if they are exported.
    pub spans: Option<SpanSink>,
}

/// The access log.
#[derive(Clone, Debug)]
pub struct AccessSink {
    /// The format of its lines.
    pub format: Format,
    /// The writer of its lines.
    pub handle: LogHandle,
    /// Of exchanges that went well each shard logs one in so many; 0 and 1 mean all.
    pub sample: u32,
}

/// Records of one shard. Dropping it hands over the rest.
#[derive(Debug)]
pub struct Recorder {
    access: Option<LogLines>,
    charging: Option<ChargingRecords>,
    spans: Option<SpanBatch>,
    /// Transactions answered since the last batch. One that ends before the next batch needs no
    /// line in the journal.
    answered: Vec<RequestId>,
    names: LogIds,
    /// The time at which even a few gathered records are handed over.
    due: Option<Instant>,
}

impl Recorder {
    /// The recorder of one shard, without records so far. `names` gives the names of sessions.
    #[must_use]
    pub fn new(sinks: &Sinks, names: LogIds, shard: usize) -> Self {
        Self {
            access: sinks.access.clone().map(LogLines::new),
            charging: sinks.charging.clone().map(|handle| {
                let encoder = handle.encoder(shard as u64, names);
                ChargingRecords::new(handle, encoder)
            }),
            spans: sinks.spans.clone().map(SpanBatch::new),
            answered: Vec::new(),
            names,
            due: None,
        }
    }

    /// An exchange was answered and waits for its end.
    pub fn answered(&mut self, now: Instant, id: RequestId) {
        if self.charging.is_some() {
            self.answered.push(id);
            self.due.get_or_insert(now + INTERVAL);
        }
    }

    /// An exchange is over. It is `micros` microseconds after 1970.
    pub fn finished(&mut self, now: Instant, micros: u64, record: &ExchangeRecord) {
        if let Some(access) = &mut self.access
            && access.takes(record.went_well())
        {
            access.add(|format, timestamp, lines| {
                access::write(record, micros, format, self.names, timestamp, lines);
            });
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

    /// The same exchange, after its records are written: spans are made of it, if its trace is
    /// sampled.
    pub fn trace(&mut self, now: Instant, micros: u64, record: Box<ExchangeRecord>) {
        if let Some(spans) = &mut self.spans
            && record.trace.sampled
        {
            spans.add(now, micros, record, self.names);
            self.due.get_or_insert(now + INTERVAL);
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
                for id in self.answered.drain(..) {
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
        if let Some(spans) = &mut self.spans {
            spans.flush();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The longest time a line waits for further ones.
const INTERVAL: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::io::{self, Read};

    use super::*;
    use crate::gateway::record::Ending;
    use crate::record::log_writer::LogWriter;
    use crate::record::sample::exchange;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    fn all(format: Format, writer: &LogWriter) -> AccessSink {
        AccessSink {
            format,
            handle: writer.handle(),
            sample: 1,
        }
    }

    #[test]
    fn of_exchanges_that_went_well_one_in_so_many_is_logged() {
        let (mut reader, writer) = io::pipe().unwrap();
        let writer = LogWriter::to(Box::new(writer)).unwrap();
        let access = AccessSink {
            sample: 4,
            ..all(Format::Text, &writer)
        };
        let sinks = Sinks {
            access: Some(access),
            ..Sinks::default()
        };
        let mut recorder = Recorder::new(&sinks, LogIds::new(&[0; 16]), 0);
        for number in 0..10 {
            recorder.finished(at(0), number, &exchange());
            for (status, ending) in [
                (Some(404), Ending::Acknowledged),
                (Some(200), Ending::Unacknowledged),
                (None, Ending::Aborted),
            ] {
                let mut record = exchange();
                (record.status, record.ending) = (status, ending);
                recorder.finished(at(0), number, &record);
            }
        }
        drop(recorder);
        drop(writer);
        let mut written = String::new();
        reader.read_to_string(&mut written).unwrap();
        let well = |line: &&str| line.contains("status=200 ending=\"acknowledged\"");
        let (well, ill): (Vec<_>, Vec<_>) = written.lines().partition(well);
        let moments: Vec<&str> = well.iter().map(|line| &line[19..27]).collect();
        assert_eq!(moments, [".000000Z", ".000004Z", ".000008Z"]);
        assert_eq!(ill.len(), 30);
    }

    #[test]
    fn lines_wait_for_more_to_come_and_not_for_long() {
        let (mut reader, writer) = io::pipe().unwrap();
        let writer = LogWriter::to(Box::new(writer)).unwrap();
        let mut recorder = Recorder::new(
            &Sinks {
                access: Some(all(Format::Text, &writer)),
                ..Sinks::default()
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
                access: Some(all(Format::Json, &writer)),
                ..Sinks::default()
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
