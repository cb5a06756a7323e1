//! The files of charging records: the open file, the closed files, and the journal of open
//! transactions.
//!
//! The journal has lines of four kinds. `N 42` gives the next sequence number. `A ID LINE` says
//! that a transaction was answered, and gives its record in case its end is never written. `F ID`
//! says that its end was written. A start makes a record of every transaction with an `A` and
//! neither an `F` nor a record in the open file. A start also cuts off a line that was incomplete
//! when the process died: the transaction of such a record is still in the journal, or was answered
//! more recently than the promise covers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::encode::{begin, head, heading};
use super::{Format, Settings, Sync};
use crate::record::timestamp::Timestamp;

/// The files of one path.
#[derive(Debug)]
pub(super) struct Spool {
    settings: Settings,
    /// `None` if the new file could not be opened when the last one was closed. The next record
    /// opens it.
    open: Option<AppendFile>,
    journal: AppendFile,
    /// The first sequence number in the open file, once it has a record.
    first: Option<u64>,
    /// The next sequence number.
    pub(super) next: u64,
    /// When the open file got its first record, in microseconds since 1970.
    since: u64,
    timestamp: Timestamp,
    /// The lock against other processes, held while this one writes.
    _lock: File,
}

impl Spool {
    /// Opens and repairs the files of the last process. `now` is in microseconds since 1970. Also
    /// returns the number of records made from the journal.
    pub(super) fn recover(settings: Settings, now: u64) -> io::Result<(Self, u64)> {
        if let Some(directory) = settings
            .path
            .parent()
            .filter(|it| !it.as_os_str().is_empty())
        {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o750)
                .create(directory)?;
        }
        let lock = lock(&beside(&settings.path, "lock"))?;
        let journal = JournalState::read(&beside(&settings.path, "journal"))?;
        let path = beside(&settings.path, "open");
        let mut unfinished = journal.answered;
        let mut open = AppendFile::open(&path)?;
        let (mut first, mut last, mut whole) = (None, None, 0);
        let mut reader = BufReader::new(File::open(&path)?);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            if line.last() != Some(&b'\n') {
                break;
            }
            whole += line.len() as u64;
            if let Some((_, sequence, id)) = head(&line) {
                first.get_or_insert(sequence);
                last = Some(sequence);
                unfinished.remove(id);
            }
            line.clear();
        }
        open.cut(whole)?;
        let next = [
            journal.next,
            last.map(|last| last + 1),
            newest(&settings.path)?,
        ];
        let mut spool = Self {
            journal: AppendFile::open(&beside(&settings.path, "journal"))?,
            first,
            next: next.into_iter().flatten().max().unwrap_or(1),
            open: Some(open),
            since: now,
            timestamp: Timestamp::default(),
            settings,
            _lock: lock,
        };
        let made = unfinished.len() as u64;
        let mut out = Vec::new();
        for line in unfinished.into_values() {
            let format = match line.starts_with(b"\"") {
                true => Format::Json,
                false => Format::Csv,
            };
            spool.number(format, &line, &mut out);
        }
        spool.append(&out, now)?;
        // Only now, when its records are in the open file, and before that is closed: at every
        // moment each of them is in one of the two.
        spool.compact(&BTreeMap::new())?;
        spool.close(now)?;
        Ok((spool, made))
    }

    /// Gives a record its number.
    pub(super) fn number(&mut self, format: Format, line: &[u8], out: &mut Vec<u8>) {
        begin(format, self.next, out);
        out.extend_from_slice(line);
        self.next += 1;
    }

    /// Appends records to the open file: all of them, or none.
    pub(super) fn append(&mut self, records: &[u8], now: u64) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(AppendFile::open(&beside(&self.settings.path, "open"))?),
        };
        if open.len == 0 {
            open.append(&heading(self.settings.format))?;
        }
        open.append(records)?;
        if self.first.is_none() {
            self.first = records
                .split(|octet| *octet == b'\n')
                .find_map(head)
                .map(|(_, it, _)| it);
            self.since = now;
        }
        Ok(())
    }

    /// Appends lines to the journal: all of them, or none.
    pub(super) fn note(&mut self, lines: &[u8]) -> io::Result<()> {
        match lines {
            [] => Ok(()),
            lines => self.journal.append(lines),
        }
    }

    /// From now on the disk is full.
    #[cfg(test)]
    pub(super) fn fill_disk_for_test(&mut self) {
        let full = || AppendFile {
            file: OpenOptions::new().append(true).open("/dev/full").unwrap(),
            len: 0,
            torn: false,
        };
        self.journal = full();
        self.open = Some(full());
    }

    /// Octets in the journal.
    pub(super) const fn journal_len(&self) -> u64 {
        self.journal.len
    }

    /// Rewrites the journal with the open transactions.
    pub(super) fn compact(&mut self, answered: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
        let path = beside(&self.settings.path, "journal");
        let fresh = beside(&self.settings.path, "journal.new");
        let mut text = format!("N {}\n", self.next).into_bytes();
        for (id, line) in answered {
            answered_line(id, line, &mut text);
        }
        if let Err(error) = std::fs::remove_file(&fresh)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut journal = AppendFile::open(&fresh)?;
        journal.append(&text)?;
        if self.settings.sync != Sync::Never {
            journal.file.sync_data()?;
        }
        std::fs::rename(&fresh, &path)?;
        self.journal = journal;
        Ok(())
    }

    /// Whether the open file has grown large or old enough.
    pub(super) fn is_due(&self, now: u64) -> bool {
        let age = u64::try_from(self.settings.rotate_every.as_micros()).unwrap_or(u64::MAX);
        let len = self.open.as_ref().map_or(0, |open| open.len);
        self.first.is_some()
            && (len >= self.settings.rotate_size || now.saturating_sub(self.since) >= age)
    }

    /// Closes the open file, if there is a record in it: the file gets its final name, and a new
    /// one is opened.
    pub(super) fn close(&mut self, now: u64) -> io::Result<Option<PathBuf>> {
        let (Some(first), Some(open)) = (self.first, &self.open) else {
            return Ok(None);
        };
        let mut directory = None;
        if self.settings.sync != Sync::Never {
            open.file.sync_data()?;
            let parent = self.settings.path.parent();
            // The directory is opened before any change, in case there is no descriptor left.
            directory = parent
                .filter(|it| !it.as_os_str().is_empty())
                .map(File::open)
                .transpose()?;
        }
        // The number is written first, so that it survives when another program removes the closed
        // file at once.
        self.note(format!("N {}\n", self.next).as_bytes())?;
        let path = beside(&self.settings.path, "open");
        let closed = self.closed(now, first);
        if closed.exists() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("{} is there already", closed.display()),
            ));
        }
        std::fs::rename(&path, &closed)?;
        self.first = None;
        // The file has its final name and must get no more records, even if opening the next one
        // fails.
        self.open = AppendFile::open(&path).ok();
        if let Some(directory) = directory {
            directory.sync_all()?;
        }
        Ok(Some(closed))
    }

    /// `STEM-TIME-FIRST-LAST.EXTENSION`.
    fn closed(&mut self, now: u64, first: u64) -> PathBuf {
        let (stem, extension) = name(&self.settings.path);
        let mut time = Vec::new();
        self.timestamp.write_compact(now, &mut time);
        let time = String::from_utf8(time).unwrap_or_default();
        let last = self.next - 1;
        self.settings
            .path
            .with_file_name(format!("{stem}-{time}-{first:012}-{last:012}{extension}"))
    }

    /// Synchronises the files to the disk, if `sync` is `always`.
    pub(super) fn sync(&self) -> io::Result<()> {
        if self.settings.sync == Sync::Always {
            if let Some(open) = &self.open {
                open.file.sync_data()?;
            }
            self.journal.file.sync_data()?;
        }
        Ok(())
    }
}

/// The journal's line of a transaction that was answered.
pub(super) fn answered_line(id: &str, line: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"A ");
    out.extend_from_slice(id.as_bytes());
    out.push(b' ');
    out.extend_from_slice(line);
}

/// The journal's line for a transaction whose record is written.
pub(super) fn finished_line(id: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"F ");
    out.extend_from_slice(id.as_bytes());
    out.push(b'\n');
}

/// The content of a journal after its writer died.
#[derive(Debug, Default)]
struct JournalState {
    next: Option<u64>,
    /// By id, with the line's end.
    answered: BTreeMap<String, Vec<u8>>,
}

impl JournalState {
    fn read(path: &Path) -> io::Result<Self> {
        let mut state = Self::default();
        let mut over = BTreeSet::new();
        let octets = match std::fs::read(path) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(state),
            Err(error) => return Err(error),
        };
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            let Some(whole) = line.strip_suffix(b"\n") else {
                break;
            };
            match (whole.split_at_checked(2), std::str::from_utf8(whole)) {
                (Some((b"N ", _)), Ok(text)) => {
                    let next = text.get(2..).and_then(|number| number.parse().ok());
                    state.next = state.next.max(next);
                }
                (Some((b"F ", _)), Ok(text)) => {
                    over.insert(text.get(2..).unwrap_or_default().to_owned());
                }
                (Some((b"A ", rest)), _) => {
                    let mut parts = rest.splitn(2, |octet| *octet == b' ');
                    let id = parts.next().and_then(|id| std::str::from_utf8(id).ok());
                    if let (Some(id), Some(record)) = (id, parts.next()) {
                        let mut record = record.to_vec();
                        record.push(b'\n');
                        state.answered.insert(id.to_owned(), record);
                    }
                }
                _ => {}
            }
        }
        state.answered.retain(|id, _| !over.contains(id));
        Ok(state)
    }
}

/// A file for appending, with its known length: a partial write is cut off again.
#[derive(Debug)]
struct AppendFile {
    file: File,
    len: u64,
    /// The file may have octets behind `len`.
    torn: bool,
}

impl AppendFile {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .open(path)?;
        let len = file.metadata()?.len();
        Ok(Self {
            file,
            len,
            torn: false,
        })
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        if len != self.len {
            self.file.set_len(len)?;
            self.len = len;
        }
        Ok(())
    }

    fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.len)?;
        }
        self.torn = true;
        if let Err(error) = self.file.write_all(octets) {
            self.torn = self.file.set_len(self.len).is_err();
            return Err(error);
        }
        self.torn = false;
        self.len += octets.len() as u64;
        Ok(())
    }
}

/// The sequence number after the last one of all closed files that are still here.
fn newest(path: &Path) -> io::Result<Option<u64>> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let (stem, extension) = name(path);
    let mut newest = None;
    for entry in std::fs::read_dir(directory)? {
        let file = entry?.file_name();
        let last = file
            .to_str()
            .and_then(|file| file.strip_prefix(&*stem)?.strip_suffix(&*extension))
            .and_then(|middle| middle.rsplit('-').next())
            .and_then(|last| last.parse::<u64>().ok());
        newest = newest.max(last.map(|last| last + 1));
    }
    Ok(newest)
}

/// The parts of a file's name before and from the last dot.
fn name(path: &Path) -> (String, String) {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path
        .extension()
        .map(|it| format!(".{}", it.to_string_lossy()));
    (stem.into_owned(), extension.unwrap_or_default())
}

/// `records.jsonl.open` for `open`.
pub(super) fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(what);
    path.with_file_name(name)
}

fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .open(path)?;
    file.try_lock().map_err(|error| match error {
        std::fs::TryLockError::WouldBlock => io::Error::new(
            io::ErrorKind::ResourceBusy,
            "another process writes records there; give each a path of its own",
        ),
        std::fs::TryLockError::Error(error) => error,
    })?;
    Ok(file)
}

#[cfg(test)]
mod tests;
