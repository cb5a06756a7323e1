//! A shard's end of the records: lines are gathered here and handed over in bulk.

use std::time::Duration;

use super::access::{self, Format};
use super::outlet::Inlet;
use super::stamp::Stamp;
use crate::gateway::record::ExchangeRecord;
use crate::time::Instant;

/// Where the shards' records go.
#[derive(Clone, Debug, Default)]
pub struct Sinks {
    /// The access log, if there is one.
    pub access: Option<(Format, Inlet)>,
}

/// What one shard has to write down. Dropping it hands over the rest.
#[derive(Debug)]
pub struct Recorder {
    access: Option<Access>,
    /// When what is gathered has to be handed over, however little it is.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Access {
    format: Format,
    inlet: Inlet,
    stamp: Stamp,
    lines: Vec<u8>,
    count: u64,
}

impl Recorder {
    /// A recorder that has nothing to write yet.
    #[must_use]
    pub fn new(sinks: &Sinks) -> Self {
        Self {
            access: sinks.access.clone().map(|(format, inlet)| Access {
                format,
                inlet,
                stamp: Stamp::default(),
                lines: Vec::new(),
                count: 0,
            }),
            due: None,
        }
    }

    /// An exchange is over. It is `micros` microseconds after 1970.
    pub fn finished(&mut self, now: Instant, micros: u64, record: &ExchangeRecord) {
        let Some(access) = &mut self.access else {
            return;
        };
        access.add(record, micros);
        self.due.get_or_insert(now + INTERVAL);
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Hands over what has waited long enough. Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.flush();
        }
    }

    fn flush(&mut self) {
        if let Some(access) = &mut self.access {
            access.flush();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.flush();
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
const BULK: usize = 16 << 10;

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
        let mut recorder = Recorder::new(&Sinks {
            access: Some((Format::Text, outlet.inlet())),
        });
        recorder.finished(at(2_000), 0, &exchange());
        recorder.finished(at(2_050), 1, &exchange());
        assert_eq!(recorder.poll_timeout(), Some(at(2_100)));
        recorder.handle_timeout(at(2_099));
        assert_eq!(recorder.poll_timeout(), Some(at(2_100)));
        recorder.handle_timeout(at(2_100));
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
        let mut recorder = Recorder::new(&Sinks {
            access: Some((Format::Json, outlet.inlet())),
        });
        for _ in 0..1_000 {
            recorder.finished(at(0), 0, &exchange());
            let waiting = recorder.access.as_ref().unwrap().lines.len();
            assert!(waiting < BULK, "{waiting}");
        }
        drop(reader);
    }
}
