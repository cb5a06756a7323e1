//! The destinations of log lines.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::journald::JournalSender;
use super::syslog::SyslogSender;

/// A destination of lines.
pub(super) enum Destination {
    /// Standard error, or any other stream.
    Stream(Box<dyn Write + Send>),
    /// A file, and its name.
    File(File, PathBuf),
    /// A syslog server.
    Syslog(SyslogSender),
    /// The journal of systemd.
    Journal(JournalSender),
}

impl Destination {
    /// The file at `path`, made if it is not there, readable for its owner and group.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(super) fn file(path: &Path) -> io::Result<Self> {
        Ok(Self::File(open(path)?, path.to_owned()))
    }

    /// Writes whole lines, `count` of them.
    ///
    /// # Errors
    /// The number of lines that are lost, and the first failure.
    pub(super) fn write(&mut self, lines: &[u8], count: u64) -> Result<(), (u64, io::Error)> {
        match self {
            Self::Stream(writer) => writer.write_all(lines).map_err(|error| (count, error)),
            Self::File(file, _) => file.write_all(lines).map_err(|error| (count, error)),
            Self::Syslog(sender) => each(lines, |line| sender.send(line)),
            Self::Journal(sender) => each(lines, |line| sender.send(line)),
        }
    }

    /// Opens a file again by its name. No effect elsewhere.
    ///
    /// # Errors
    /// The file cannot be opened; lines still go to the old one.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let Self::File(file, path) = self {
            *file = open(path)?;
        }
        Ok(())
    }

    /// Writes out the buffer of a stream.
    pub(super) fn flush(&mut self) {
        if let Self::Stream(writer) = self {
            let _ = writer.flush();
        }
    }
}

/// The name in messages; of a stream it is empty.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(_) => Ok(()),
            Self::File(_, path) => path.display().fmt(f),
            Self::Syslog(sender) => sender.syslog().fmt(f),
            Self::Journal(_) => f.write_str("journald"),
        }
    }
}

/// Sends each line by itself. A line that fails does not keep the next ones back.
fn each(
    lines: &[u8],
    mut send: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), (u64, io::Error)> {
    let mut lost = 0;
    let mut first = None;
    for line in lines
        .split(|octet| *octet == b'\n')
        .filter(|line| !line.is_empty())
    {
        if let Err(error) = send(line) {
            lost += 1;
            first.get_or_insert(error);
        }
    }
    first.map_or(Ok(()), |error| Err((lost, error)))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}
