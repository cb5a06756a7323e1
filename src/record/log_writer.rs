//! The log's writer: a thread of its own writes lines to standard error, a file, a syslog server or
//! the journal.
//!
//! A full disk, a stopped terminal or a slow reader delays only that thread. Lines that find the
//! queue full are lost and counted.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::access::Format;
use super::destination::Destination;
use super::journald::{self, JournalSender};
use super::syslog::{Syslog, SyslogSender};
use crate::worker::{self, Handle, Inbox, Received, Worker};

/// The thread and its output. Dropping it writes the queued lines, for two seconds at most.
#[derive(Debug)]
pub struct LogWriter {
    worker: Worker<Message>,
    lost: Arc<AtomicU64>,
}

/// Sends lines to a [`LogWriter`]. Clones send to the same one.
#[derive(Clone, Debug)]
pub struct LogHandle {
    queue: Handle<Message>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    /// Whole lines, and their number.
    Lines(Vec<u8>, u64),
    /// Open the file again by its name.
    Reopen,
}

impl LogWriter {
    /// Writes to standard error.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn stderr() -> io::Result<Self> {
        Self::to(Box::new(io::stderr()))
    }

    /// Writes to any writer.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn to(writer: Box<dyn Write + Send>) -> io::Result<Self> {
        Self::start(Destination::Stream(writer))
    }

    /// Sends each line to a syslog server. `format` is that of the lines.
    ///
    /// # Errors
    /// The system refuses a socket or a thread.
    pub fn syslog(syslog: Syslog, format: Format) -> io::Result<Self> {
        Self::start(Destination::Syslog(SyslogSender::open(syslog, format)?))
    }

    /// Sends each line, which is to be JSON, to the journal of systemd.
    ///
    /// # Errors
    /// The system refuses a socket or a thread.
    pub fn journald() -> io::Result<Self> {
        let sender = JournalSender::open(journald::SOCKET.into())?;
        Self::start(Destination::Journal(sender))
    }

    /// Appends to a file. It is made if it is not there, readable for its owner and group.
    ///
    /// # Errors
    /// The file cannot be opened, or the system refuses a thread.
    pub fn file(path: &Path) -> io::Result<Self> {
        Self::start(Destination::file(path)?)
    }

    fn start(destination: Destination) -> io::Result<Self> {
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&lost);
        let queue = worker::queue(MAX_QUEUED);
        let worker = Worker::start("log", queue, move |inbox| {
            run(destination, &inbox, &counter);
        })?
        .with_patience(SHUTDOWN_TIMEOUT);
        Ok(Self { worker, lost })
    }

    /// A handle to send lines through.
    #[must_use]
    pub fn handle(&self) -> LogHandle {
        LogHandle {
            queue: self.worker.handle(),
            lost: Arc::clone(&self.lost),
        }
    }
}

impl LogHandle {
    /// Sends whole lines, `count` of them, and never waits. `lines` is empty afterwards.
    pub fn offer(&self, lines: &mut Vec<u8>, count: u64) {
        let lines = std::mem::take(lines);
        let octets = lines.len();
        if self
            .queue
            .try_send(Message::Lines(lines, count), octets)
            .is_err()
        {
            self.lost.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Lines that found the queue full, or could not be written.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Opens the file again by its name, after the lines sent before: log rotation has moved the
    /// old file. No effect for standard error.
    pub fn reopen(&self) {
        self.queue.send(Message::Reopen);
    }
}

/// Writes lines until the inbox is closed. Lines that cannot be written are counted, and the first of
/// them is logged. A failure of standard error itself can be logged nowhere.
fn run(mut destination: Destination, inbox: &Inbox<Message>, lost: &AtomicU64) {
    let name = destination.to_string();
    let complain = |what: &'static str, error: &io::Error| {
        if !name.is_empty() {
            tracing::error!(to = %name, %error, "{what}");
        }
    };
    let mut failing = false;
    // The load is held until the lines are written: they take their room until then.
    while let Received::Message(message, _load) = inbox.recv() {
        match message {
            Message::Lines(lines, count) => {
                let written = destination.write(&lines, count);
                if let Err((count, error)) = &written {
                    lost.fetch_add(*count, Ordering::Relaxed);
                    if !failing {
                        complain("lines of the access log are lost", error);
                    }
                }
                failing = written.is_err();
            }
            Message::Reopen => {
                if let Err(error) = destination.reopen() {
                    complain("the old file is kept", &error);
                }
            }
        }
    }
    destination.flush();
}

/// Octets that may be queued: some tens of thousands of lines.
const MAX_QUEUED: usize = 8 << 20;

/// The longest wait at the end for the last lines.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_written_in_order_before_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let writer = LogWriter::file(&path).unwrap();
        let expected: String = (0..1_000).map(|line| format!("{line}\n")).collect();
        for line in 0..1_000 {
            writer
                .handle()
                .offer(&mut format!("{line}\n").into_bytes(), 1);
        }
        drop(writer);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    }

    #[test]
    fn a_file_that_was_moved_is_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let moved = directory.path().join("access.log.1");
        let writer = LogWriter::file(&path).unwrap();
        let handle = writer.handle();
        handle.offer(&mut b"before\n".to_vec(), 1);
        std::fs::rename(&path, &moved).unwrap();
        handle.offer(&mut b"between\n".to_vec(), 1);
        handle.reopen();
        handle.offer(&mut b"after\n".to_vec(), 1);
        drop(writer);
        assert_eq!(std::fs::read(&moved).unwrap(), b"before\nbetween\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"after\n");
        assert_eq!(handle.lost(), 0);
    }

    #[test]
    fn a_slow_reader_delays_no_shard() {
        let (reader, writer) = io::pipe().unwrap();
        let writer = LogWriter::to(Box::new(writer)).unwrap();
        let handle = writer.handle();
        // The pipe takes some, the queue takes its share, the rest is counted.
        let lines = 64;
        for _ in 0..lines {
            handle.offer(&mut vec![b'x'; MAX_QUEUED / 32], 1);
        }
        assert!(handle.lost() >= lines - 33, "{}", handle.lost());
        drop(reader);
    }

    #[test]
    fn what_a_full_disk_refuses_is_counted() {
        let writer = LogWriter::file(Path::new("/dev/full")).unwrap();
        let handle = writer.handle();
        handle.offer(&mut b"one\ntwo\n".to_vec(), 2);
        drop(writer);
        assert_eq!(handle.lost(), 2);
    }
}
