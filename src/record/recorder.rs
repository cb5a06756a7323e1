//! A shard's end of the records: lines are gathered here and handed over in bulk.

use std::time::Duration;

use super::access::{self, Format};
use super::charging::{Batch, Desk, Form, Now};
use super::outlet::Inlet;
use super::stamp::Stamp;
use crate::gateway::Gateway;
use crate::gateway::fetch::RequestId;
use crate::gateway::record::ExchangeRecord;
use crate::time::Instant;
use crate::wsp::pseudonym::Pseudonyms;

/// Where the shards' records go.
#[derive(Clone, Debug, Default)]
pub struct Sinks {
    /// The access log, if there is one.
    pub access: Option<(Format, Inlet)>,
    /// The charging records, if they are kept.
    pub charging: Option<Desk>,
}

/// What one shard has to write down. Dropping it hands over the rest.
#[derive(Debug)]
pub struct Recorder {
    access: Option<Access>,
    charging: Option<Charging>,
    /// When what is gathered has to be handed over, however little it is.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Charging {
    desk: Desk,
    form: Form,
    batch: Batch,
    /// Answered since the last batch: what is over by the time of the next needs no line in the journal.
    answered: Vec<RequestId>,
}

#[derive(Debug)]
struct Access {
    format: Format,
    names: Pseudonyms,
    inlet: Inlet,
    stamp: Stamp,
    lines: Vec<u8>,
    count: u64,
}

impl Recorder {
    /// The recorder of one shard, which has nothing to write yet, and calls sessions by these names.
    #[must_use]
    pub fn new(sinks: &Sinks, names: Pseudonyms, shard: usize) -> Self {
        Self {
            access: sinks.access.clone().map(|(format, inlet)| Access {
                format,
                names,
                inlet,
                stamp: Stamp::default(),
                lines: Vec::new(),
                count: 0,
            }),
            charging: sinks.charging.clone().map(|desk| Charging {
                form: desk.form(shard as u64, names),
                desk,
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
            let now = Now { at: now, micros };
            charging.batch.over(&mut charging.form, now, record);
            if charging.batch.len() >= BULK {
                charging.flush();
            }
            self.due.get_or_insert(now.at + INTERVAL);
        }
    }

    /// The shard stops: what is not over will have no end that anybody sees.
    pub fn stop(&mut self, now: Instant, micros: u64, gateway: &Gateway) {
        if let Some(charging) = &mut self.charging {
            let now = Now { at: now, micros };
            for record in gateway.records() {
                charging.batch.interrupted(&mut charging.form, now, record);
            }
        }
        self.flush();
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Hands over what has waited long enough. Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: Instant, micros: u64, gateway: &Gateway) {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            if let Some(charging) = &mut self.charging {
                let now = Now { at: now, micros };
                for id in charging.answered.drain(..) {
                    if let Some(record) = gateway.record(id) {
                        charging.batch.answered(&mut charging.form, now, record);
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
            self.desk.hand_over(std::mem::take(&mut self.batch));
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
            &mut self.stamp,
            &mut self.lines,
        );
        self.count += 1;
        if self.lines.len() >= BULK {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.count > 0 {
            self.inlet.offer(&mut self.lines, self.count);
            self.count = 0;
        }
    }
}

/// Octets that are handed over at once.
const BULK: usize = 64 << 10;

/// Room for what the last line has above [`BULK`], mostly.
const LONGEST_LINE: usize = 1 << 10;

/// How long a line may wait for more to come.
const INTERVAL: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::io::{self, Read};

    use super::*;
    use crate::record::outlet::Outlet;
    use crate::record::sample::exchange;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    #[test]
    fn lines_wait_for_more_to_come_and_not_for_long() {
        let (mut reader, writer) = io::pipe().unwrap();
        let outlet = Outlet::to(Box::new(writer)).unwrap();
        let mut recorder = Recorder::new(
            &Sinks {
                access: Some((Format::Text, outlet.inlet())),
                charging: None,
            },
            Pseudonyms::new(&[0; 16]),
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
        drop(outlet);
        let mut written = String::new();
        reader.read_to_string(&mut written).unwrap();
        let moments: Vec<&str> = written.lines().map(|line| &line[19..27]).collect();
        assert_eq!(moments, [".000000Z", ".000001Z", ".000002Z"]);
    }

    #[test]
    fn many_lines_do_not_wait() {
        let (reader, writer) = io::pipe().unwrap();
        let outlet = Outlet::to(Box::new(writer)).unwrap();
        let mut recorder = Recorder::new(
            &Sinks {
                access: Some((Format::Json, outlet.inlet())),
                charging: None,
            },
            Pseudonyms::new(&[0; 16]),
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
