//! The files: the one being written, those that are closed, and the journal of what is not over.
//!
//! The journal has lines of four kinds: `N 42` says the next sequence number, `A ID LINE` that a transaction was
//! answered and what to write should nobody see its end, `F ID` that its end was written. At a start whatever has
//! an `A` and neither an `F` nor a record in the open file becomes a record. A line that was being written when
//! the process died is cut off: a record that was part of it is still in the journal, or was not yet answered
//! for as long as is promised.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::form::{begin, head, heading};
use super::{Format, Settings, Sync};
use crate::record::stamp::Stamp;

/// The files of one path.
#[derive(Debug)]
pub(super) struct Spool {
    settings: Settings,
    /// Nothing if it could not be begun when the one before was closed; the next record begins it.
    open: Option<Appended>,
    journal: Appended,
    /// The first sequence number in the open file, once it has a record.
    first: Option<u64>,
    /// The next sequence number.
    pub(super) next: u64,
    /// When the open file got its first record, in microseconds since 1970.
    since: u64,
    stamp: Stamp,
    /// Held for as long as we write; nobody else may.
    _lock: File,
}

impl Spool {
    /// Takes the files as whoever wrote last has left them, and makes them whole. It is `now` microseconds after
    /// 1970. Also says how many records were made of what the journal had.
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
        let journal = Left::read(&beside(&settings.path, "journal"))?;
        let path = beside(&settings.path, "open");
        let mut unfinished = journal.answered;
        let mut open = Appended::open(&path)?;
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
            journal: Appended::open(&beside(&settings.path, "journal"))?,
            first,
            next: next.into_iter().flatten().max().unwrap_or(1),
            open: Some(open),
            since: now,
            stamp: Stamp::default(),
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
        // Only now, when its records are in the open file, and before that is closed: at every moment each of
        // them is in one of the two.
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
            none => none.insert(Appended::open(&beside(&self.settings.path, "open"))?),
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

    /// Octets in the journal.
    pub(super) const fn journal_len(&self) -> u64 {
        self.journal.len
    }

    /// Writes the journal anew, with what is not over.
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
        let mut journal = Appended::open(&fresh)?;
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

    /// Closes the open file, if there is a record in it: it gets its name for good, and a new one is begun.
    pub(super) fn close(&mut self, now: u64) -> io::Result<Option<PathBuf>> {
        let (Some(first), Some(open)) = (self.first, &self.open) else {
            return Ok(None);
        };
        let mut directory = None;
        if self.settings.sync != Sync::Never {
            open.file.sync_data()?;
            let parent = self.settings.path.parent();
            // Opened now, when nothing has happened yet, should there be no descriptor left.
            directory = parent
                .filter(|it| !it.as_os_str().is_empty())
                .map(File::open)
                .transpose()?;
        }
        // First, so that the number survives though somebody takes the closed file away at once.
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
        // Nothing more goes into the file that has its name for good, whatever comes of this.
        self.open = Appended::open(&path).ok();
        if let Some(directory) = directory {
            directory.sync_all()?;
        }
        Ok(Some(closed))
    }

    /// `STEM-TIME-FIRST-LAST.EXTENSION`.
    fn closed(&mut self, now: u64, first: u64) -> PathBuf {
        let (stem, extension) = name(&self.settings.path);
        let mut time = Vec::new();
        self.stamp.write_compact(now, &mut time);
        let time = String::from_utf8(time).unwrap_or_default();
        let last = self.next - 1;
        self.settings
            .path
            .with_file_name(format!("{stem}-{time}-{first:012}-{last:012}{extension}"))
    }

    /// Waits until the disk has everything, if that is wanted.
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

/// The journal's line of a transaction whose record is written.
pub(super) fn finished_line(id: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"F ");
    out.extend_from_slice(id.as_bytes());
    out.push(b'\n');
}

/// What a journal said when its writer died.
#[derive(Debug, Default)]
struct Left {
    next: Option<u64>,
    /// By id, with the line's end.
    answered: BTreeMap<String, Vec<u8>>,
}

impl Left {
    fn read(path: &Path) -> io::Result<Self> {
        let mut left = Self::default();
        let mut over = BTreeSet::new();
        let octets = match std::fs::read(path) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(left),
            Err(error) => return Err(error),
        };
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            let Some(whole) = line.strip_suffix(b"\n") else {
                break;
            };
            match (whole.split_at_checked(2), std::str::from_utf8(whole)) {
                (Some((b"N ", _)), Ok(text)) => {
                    let next = text.get(2..).and_then(|number| number.parse().ok());
                    left.next = left.next.max(next);
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
                        left.answered.insert(id.to_owned(), record);
                    }
                }
                _ => {}
            }
        }
        left.answered.retain(|id, _| !over.contains(id));
        Ok(left)
    }
}

/// A file that is appended to, and whose length we know: what was written in part is cut off again.
#[derive(Debug)]
struct Appended {
    file: File,
    len: u64,
    /// There may be more in it than `len` octets.
    torn: bool,
}

impl Appended {
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

/// What stands before and from the last dot of a file's name.
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
mod tests {
    use super::*;
    use std::time::Duration;

    fn settings(directory: &Path) -> Settings {
        Settings {
            path: directory.join("records.jsonl"),
            format: Format::Json,
            rotate_size: 1_000_000,
            rotate_every: Duration::from_secs(900),
            sync: Sync::Closed,
            node: "n".to_owned(),
        }
    }

    fn record(id: &str) -> Vec<u8> {
        format!("\"{id}\",\"node\":\"n\"}}\n").into_bytes()
    }

    /// Numbers and ids of all files, the closed ones in their order.
    fn written(directory: &Path) -> Vec<(u64, String)> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_str().unwrap().ends_with(".jsonl"))
            .collect();
        files.sort();
        files.push(directory.join("records.jsonl.open"));
        let lines: Vec<u8> = files
            .iter()
            .flat_map(|file| std::fs::read(file).unwrap())
            .collect();
        lines
            .split_inclusive(|octet| *octet == b'\n')
            .map(|line| head(line).unwrap())
            .map(|(_, sequence, id)| (sequence, id.to_owned()))
            .collect()
    }

    #[test]
    fn numbers_go_on_after_a_restart_though_files_were_taken_away() {
        let directory = tempfile::tempdir().unwrap();
        let (mut spool, made) = Spool::recover(settings(directory.path()), 0).unwrap();
        assert_eq!((spool.next, made), (1, 0));
        let mut out = Vec::new();
        spool.number(Format::Json, &record("a"), &mut out);
        spool.number(Format::Json, &record("b"), &mut out);
        spool.append(&out, 0).unwrap();
        let closed = spool.close(1_000_000).unwrap().unwrap();
        let name = closed.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(
            name,
            "records-19700101T000001Z-000000000001-000000000002.jsonl"
        );
        drop(spool);
        std::fs::remove_file(&closed).unwrap();
        let (spool, _) = Spool::recover(settings(directory.path()), 0).unwrap();
        assert_eq!(spool.next, 3);
        drop(spool);
        std::fs::remove_file(directory.path().join("records.jsonl.journal")).unwrap();
        std::fs::write(&closed, "").unwrap();
        let (spool, _) = Spool::recover(settings(directory.path()), 0).unwrap();
        assert_eq!(spool.next, 3, "the name of the closed file tells");
    }

    /// In a process of its own, whose files can be used up without hurting other tests.
    #[test]
    fn a_file_that_cannot_be_begun_is_begun_with_the_next_record() {
        if std::env::var_os(ALONE).is_none() {
            let run = std::process::Command::new("sh")
                .args(["-c", "ulimit -n 64 && exec \"$0\" --exact \"$1\""])
                .arg(std::env::current_exe().unwrap())
                .arg(std::thread::current().name().unwrap())
                .env(ALONE, "1")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&run.stdout);
            assert!(run.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        for sync in [Sync::Never, Sync::Closed] {
            let settings = Settings {
                sync,
                ..settings(directory.path())
            };
            let (mut spool, _) = Spool::recover(settings, 0).unwrap();
            let write = |spool: &mut Spool, id| {
                let (mut out, next) = (Vec::new(), spool.next);
                spool.number(Format::Json, &record(id), &mut out);
                let outcome = spool.append(&out, 0);
                if outcome.is_err() {
                    spool.next = next;
                }
                outcome
            };
            write(&mut spool, "a").unwrap();
            let mut used = Vec::new();
            let mut use_up = || used.extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
            use_up();
            assert_eq!(spool.close(1_000_000).is_ok(), sync == Sync::Never);
            // That of the closed file is free now.
            use_up();
            let outcome = write(&mut spool, "b");
            assert_eq!(outcome.is_ok(), sync == Sync::Closed, "{outcome:?}");
            drop(used);
            write(&mut spool, "c").unwrap();
            spool.close(2_000_000).unwrap().unwrap();
        }
        let expected = ["a", "c", "a", "b", "c"].map(str::to_owned);
        let expected: Vec<(u64, String)> = (1..).zip(expected).collect();
        assert_eq!(written(directory.path()), expected);
    }

    const ALONE: &str = "WAPBRIDGE_TEST_ALONE";

    #[test]
    fn what_was_answered_and_is_not_over_is_recorded_once() {
        let directory = tempfile::tempdir().unwrap();
        let (mut spool, _) = Spool::recover(settings(directory.path()), 0).unwrap();
        let mut journal = Vec::new();
        for id in ["a", "b", "c"] {
            answered_line(id, &record(id), &mut journal);
        }
        finished_line("a", &mut journal);
        spool.note(&journal).unwrap();
        let mut out = Vec::new();
        // The process dies between the record of b and its line in the journal.
        spool.number(Format::Json, &record("a"), &mut out);
        spool.number(Format::Json, &record("b"), &mut out);
        spool.append(&out, 0).unwrap();
        drop(spool);
        let expected: Vec<(u64, String)> = [(1, "a"), (2, "b"), (3, "c")]
            .map(|(sequence, id)| (sequence, id.to_owned()))
            .to_vec();
        for round in 0..3 {
            let (spool, made) = Spool::recover(settings(directory.path()), round).unwrap();
            assert_eq!(made, u64::from(round == 0));
            assert_eq!(spool.next, 4);
            assert_eq!(written(directory.path()), expected);
        }
    }

    /// Whatever octet was the last to be written, nothing is doubled, and nothing lost that was whole.
    #[test]
    fn a_torn_end_is_cut_off_at_any_octet() {
        let whole: Vec<u8> = [1_u64, 2]
            .iter()
            .flat_map(|sequence| {
                let mut out = Vec::new();
                begin(Format::Json, *sequence, &mut out);
                out.extend(record(&format!("r{sequence}")));
                out
            })
            .collect();
        let mut journal = Vec::new();
        answered_line("r2", &record("r2"), &mut journal);
        for cut in 0..=whole.len() {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("records.jsonl.open"), &whole[..cut]).unwrap();
            std::fs::write(directory.path().join("records.jsonl.journal"), &journal).unwrap();
            let (_spool, _) = Spool::recover(settings(directory.path()), 0).unwrap();
            let written = written(directory.path());
            let ids: Vec<&str> = written.iter().map(|(_, id)| id.as_str()).collect();
            let first_is_whole = cut > whole.len() / 2 - 1;
            assert_eq!(
                ids,
                if first_is_whole {
                    vec!["r1", "r2"]
                } else {
                    vec!["r2"]
                },
                "{cut}"
            );
            let numbers: Vec<u64> = written.iter().map(|(sequence, _)| *sequence).collect();
            assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_second_writer_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (_spool, _) = Spool::recover(settings(directory.path()), 0).unwrap();
        let error = Spool::recover(settings(directory.path()), 0).unwrap_err();
        assert!(error.to_string().contains("another process"), "{error}");
    }
}
