//! The store's thread, and the way to it.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redb::Database;
use redb::backends::FileBackend;
use tokio::sync::oneshot;
use tracing::{error, info};

use super::Settings;
use super::error::OpenError;
use super::sessions::{Saved, Sessions};
use super::tables::{Change, Entries, Table, Tables};
use crate::wsp::claim::ClaimKey;
use crate::wsp::pseudonym::{KEY_LEN, Pseudonyms};
use crate::wsp::saved::SessionRecord;

/// A store in a file. Dropped, or [closed](Self::close), it commits what is queued and gives the file up.
#[derive(Debug)]
pub struct Embedded {
    writer: Option<Writer>,
    names: Pseudonyms,
    thread: Option<JoinHandle<()>>,
}

/// The way to the store. Clones lead to the same one.
#[derive(Clone, Debug)]
pub struct Writer {
    queue: SyncSender<Message>,
    counts: Arc<Counts>,
}

/// What a store counts; only the gauges ever fall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Changes taken into the queue.
    pub writes: u64,
    /// Changes not taken: the queue was full, or there were too many sessions.
    pub refused: u64,
    /// Batches committed.
    pub commits: u64,
    /// Commits and reads that failed.
    pub errors: u64,
    /// Sessions forgotten because they were too old.
    pub expired: u64,
    /// Gauge: changes that wait for the next commit.
    pub pending: u64,
    /// Gauge: sessions remembered.
    pub sessions: u64,
}

#[derive(Debug, Default)]
struct Counts {
    writes: AtomicU64,
    refused: AtomicU64,
    commits: AtomicU64,
    errors: AtomicU64,
    expired: AtomicU64,
    pending: AtomicU64,
    sessions: AtomicU64,
}

enum Message {
    Change(Vec<Change>),
    Save(Box<SessionRecord>),
    Forget(u32),
    Look(ClaimKey, oneshot::Sender<Option<SessionRecord>>),
    Entries(Table, std::sync::mpsc::Sender<Entries>),
    Flush(std::sync::mpsc::Sender<()>),
    Close,
}

impl Embedded {
    /// Opens the file, or makes it, and starts the thread that writes it.
    ///
    /// # Errors
    /// When the file cannot be opened or written, is not ours or damaged, or another process has it.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        let path = &settings.path;
        let (mut tables, sessions) = open(path, settings)?;
        let names = names(path, &mut tables)?;
        // Whatever keeps it from being written is better known now than with the first session.
        tables
            .commit()
            .map_err(|error| OpenError::other(path, error))?;
        info!(path = %path.display(), sessions = sessions.held(), "store opened");
        let counts = Arc::new(Counts::default());
        let (queue, messages) = sync_channel(QUEUE);
        let keeper = Keeper {
            tables,
            sessions,
            counts: Arc::clone(&counts),
            since: None,
            failing: false,
        };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || keeper.run(&messages))
            .map_err(|error| OpenError::io(path, error))?;
        Ok(Self {
            writer: Some(Writer { queue, counts }),
            names,
            thread: Some(thread),
        })
    }

    /// The way to it.
    ///
    /// # Panics
    /// Never: it is there until the store is closed.
    #[must_use]
    pub fn writer(&self) -> Writer {
        self.writer.clone().expect("a store that is not closed")
    }

    /// What sessions are called: as long as the file lives, the same.
    #[must_use]
    pub const fn names(&self) -> Pseudonyms {
        self.names
    }

    /// Waits until what was queued before is committed. What others write later is refused.
    pub fn close(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let (Some(writer), Some(thread)) = (self.writer.take(), self.thread.take()) {
            let _ = writer.queue.send(Message::Close);
            // A panic there has been told on standard error.
            let _ = thread.join();
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.end();
    }
}

impl Writer {
    /// Queues changes, which are committed together. False, and nothing done, when the queue is full or too much
    /// waits for a disk that fails, which is counted; what was taken is kept until it is committed.
    pub fn write(&self, changes: Vec<Change>) -> bool {
        if self.counts.pending.load(Relaxed) >= MAX_PENDING as u64 {
            self.counts.refused.fetch_add(1, Relaxed);
            return false;
        }
        self.queue(Message::Change(changes))
    }

    /// Remembers a session, or what it is now.
    pub fn save(&self, session: Box<SessionRecord>) -> bool {
        self.queue(Message::Save(session))
    }

    /// A session is over.
    pub fn forget(&self, id: u32) -> bool {
        self.queue(Message::Forget(id))
    }

    /// Looks for a session that no shard has had since the start. Nothing is answered when the queue is full.
    #[must_use]
    pub fn look(&self, key: ClaimKey) -> oneshot::Receiver<Option<SessionRecord>> {
        let (tell, told) = oneshot::channel();
        let _ = self.queue.try_send(Message::Look(key, tell));
        told
    }

    /// All entries of a table in the order of their keys, with what is queued. It waits for the store and holds
    /// the table in memory: for the start of who keeps something in it.
    #[must_use]
    pub fn entries(&self, table: Table) -> Entries {
        let (tell, told) = std::sync::mpsc::channel();
        let _ = self.queue.send(Message::Entries(table, tell));
        told.recv().unwrap_or_default()
    }

    /// Waits until what was queued before is committed, or could not be.
    pub fn flush(&self) {
        let (tell, told) = std::sync::mpsc::channel();
        let _ = self.queue.send(Message::Flush(tell));
        let _ = told.recv();
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let Counts {
            writes,
            refused,
            commits,
            errors,
            expired,
            pending,
            sessions,
        } = &*self.counts;
        Stats {
            writes: writes.load(Relaxed),
            refused: refused.load(Relaxed),
            commits: commits.load(Relaxed),
            errors: errors.load(Relaxed),
            expired: expired.load(Relaxed),
            pending: pending.load(Relaxed),
            sessions: sessions.load(Relaxed),
        }
    }

    fn queue(&self, message: Message) -> bool {
        let taken = self.queue.try_send(message).is_ok();
        let count = match taken {
            true => &self.counts.writes,
            false => &self.counts.refused,
        };
        count.fetch_add(1, Relaxed);
        taken
    }
}

/// Opens the file and begins a start.
fn open(path: &Path, settings: &Settings) -> Result<(Tables, Sessions), OpenError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| OpenError::io(path, error))?;
    let backend = FileBackend::new(file).map_err(|error| OpenError::database(path, error))?;
    let database = Database::builder()
        .set_cache_size(CACHE)
        // A file that was changed behind our back is an error here, and else would be a panic later.
        .set_check_integrity_on_open(true)
        .create_with_backend(backend)
        .map_err(|error| OpenError::database(path, error))?;
    let mut tables = Tables::new(database);
    let other = |error| OpenError::other(path, error);
    let format = tables.get(META, FORMAT).map_err(other)?;
    if format.is_some_and(|format| format != OURS) {
        return Err(OpenError::later(path));
    }
    tables.change(Change::put(META, FORMAT, OURS));
    let sessions =
        Sessions::begin(&mut tables, settings.max_age, settings.max_sessions).map_err(other)?;
    Ok((tables, sessions))
}

/// The names of sessions, under the key in the file; a file without one gets one.
fn names(path: &Path, tables: &mut Tables) -> Result<Pseudonyms, OpenError> {
    let known = tables.get(META, NAMES_KEY);
    let known = known.map_err(|error| OpenError::other(path, error))?;
    if let Some(key) = known.and_then(|key| <[u8; KEY_LEN]>::try_from(key).ok()) {
        return Ok(Pseudonyms::new(&key));
    }
    let mut key = [0; KEY_LEN];
    getrandom::fill(&mut key).map_err(|error| OpenError::io(path, std::io::Error::other(error)))?;
    tables.change(Change::put(META, NAMES_KEY, key));
    Ok(Pseudonyms::new(&key))
}

/// What the thread works on.
struct Keeper {
    tables: Tables,
    sessions: Sessions,
    counts: Arc<Counts>,
    /// When the first of the changes that wait came.
    since: Option<Instant>,
    /// Whether the last commit failed.
    failing: bool,
}

impl Keeper {
    /// Until it is closed.
    fn run(mut self, messages: &Receiver<Message>) {
        let mut swept = clock();
        loop {
            let patience = match self.since {
                Some(since) if !self.failing => COMMIT_INTERVAL.saturating_sub(since.elapsed()),
                _ => SWEEP_INTERVAL,
            };
            match messages.recv_timeout(patience) {
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(message) => self.hear(message),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.tables.pending() > 0 {
                let since = *self.since.get_or_insert_with(clock);
                let interval = match self.failing {
                    true => SWEEP_INTERVAL,
                    false => COMMIT_INTERVAL,
                };
                if since.elapsed() >= interval {
                    self.commit();
                }
            }
            if swept.elapsed() >= SWEEP_INTERVAL {
                swept = clock();
                let before = self.sessions.held();
                let swept = self.sessions.sweep(today(), &mut self.tables);
                self.judge(swept);
                let expired = before.saturating_sub(self.sessions.held());
                self.counts.expired.fetch_add(expired, Relaxed);
            }
            self.counts
                .pending
                .store(self.tables.pending() as u64, Relaxed);
            self.counts.sessions.store(self.sessions.held(), Relaxed);
        }
        self.commit();
    }

    fn hear(&mut self, message: Message) {
        // While nothing can be written there is an end to what is kept for later. Changes were refused when they
        // came: whoever wrote these was told that they are taken.
        let is_full = self.tables.pending() >= MAX_PENDING;
        match message {
            Message::Save(_) if is_full => self.refuse(),
            Message::Change(changes) => {
                for change in changes {
                    self.tables.change(change);
                }
            }
            Message::Save(session) => {
                let saved = self.sessions.save(today(), *session, &mut self.tables);
                if self.judge(saved) == Some(Saved::Full) {
                    self.refuse();
                }
            }
            Message::Forget(id) => {
                let forgotten = self.sessions.forget(id, &mut self.tables);
                self.judge(forgotten);
            }
            Message::Look(key, answer) => {
                let found = self.sessions.look(today(), key, &self.tables);
                // Whoever asked may have gone.
                let _ = answer.send(self.judge(found).flatten());
            }
            Message::Entries(table, answer) => {
                self.commit();
                let entries = self.tables.stretch(table, &[], usize::MAX);
                let _ = answer.send(self.judge(entries).unwrap_or_default());
            }
            Message::Flush(done) => {
                self.commit();
                let _ = done.send(());
            }
            Message::Close => {}
        }
    }

    fn commit(&mut self) {
        self.since = None;
        if self.tables.pending() == 0 {
            return;
        }
        let committed = self.tables.commit();
        let failed = committed.is_err();
        self.judge(committed);
        if failed {
            self.since = Some(clock());
        } else {
            self.counts.commits.fetch_add(1, Relaxed);
            if self.failing {
                info!("the store can be written again");
            }
        }
        self.failing = failed;
    }

    /// What came of asking the file; a failure is counted, and told when it is new.
    fn judge<T>(&self, result: Result<T, redb::Error>) -> Option<T> {
        if let Err(error) = &result {
            self.counts.errors.fetch_add(1, Relaxed);
            if !self.failing {
                error!(%error, "the store cannot be used; what changes from now on may not outlive a restart");
            }
        }
        result.ok()
    }

    fn refuse(&self) {
        self.counts.refused.fetch_add(1, Relaxed);
    }
}

#[expect(clippy::disallowed_methods, reason = "for how long to wait")]
fn clock() -> Instant {
    Instant::now()
}

/// Seconds since 1970, which is what outlives a process.
#[expect(
    clippy::disallowed_methods,
    reason = "the age of a record is told in days"
)]
fn today() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

/// What changes is in the file so much later at the latest, and what changes meanwhile goes with it.
pub const COMMIT_INTERVAL: Duration = Duration::from_millis(200);
/// How often some sessions are looked at for their age, and how often a commit that failed is tried again.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Messages that may wait for the thread: some seconds of the busiest gateway, should the disk be slow.
const QUEUE: usize = 65_536;
/// Changes kept while they cannot be written.
const MAX_PENDING: usize = 1_000_000;
/// Octets of the file kept in memory.
const CACHE: usize = 32 << 20;

const META: Table = Table("meta");
/// In META: what the tables mean.
const FORMAT: &[u8] = b"format";
const OURS: &[u8] = &[1];
/// In META: the key under which sessions have names.
const NAMES_KEY: &[u8] = b"session names";

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A file of its own in the build's directory, removed at the end.
    struct File(PathBuf);

    impl File {
        fn new(name: &str) -> Self {
            let directory = std::env::temp_dir();
            let path = directory.join(format!("wapbridge-{name}-{}.redb", std::process::id()));
            let _ = std::fs::remove_file(&path);
            Self(path)
        }

        fn open(&self) -> Result<Embedded, OpenError> {
            Embedded::open(&Settings {
                path: self.0.clone(),
                max_age: Duration::from_secs(100),
                max_sessions: 100,
            })
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    const NAMES: Table = Table("names");

    #[test]
    fn what_is_written_is_there_after_the_next_start() {
        let file = File::new("written");
        let store = file.open().unwrap();
        let writer = store.writer();
        let changes = (0..1_000u32).map(|n| Change::put(NAMES, n.to_be_bytes(), n.to_string()));
        assert!(writer.write(changes.collect()));
        assert!(writer.write(vec![Change::delete(NAMES, 7u32.to_be_bytes())]));
        assert_eq!(writer.entries(NAMES).len(), 999, "what is queued counts");
        assert!(writer.write(vec![Change::put(NAMES, 8u32.to_be_bytes(), "eight")]));
        drop(writer);
        store.close();

        let store = file.open().unwrap();
        let entries = store.writer().entries(NAMES);
        assert_eq!(entries.len(), 999);
        assert_eq!(entries[7], (8u32.to_be_bytes().to_vec(), b"eight".to_vec()));
        assert!(store.writer().entries(Table("others")).is_empty());
    }

    #[test]
    fn sessions_keep_their_names_as_long_as_there_is_the_file() {
        let name = |file: &File| {
            let store = file.open().unwrap();
            let name = store.names().of(7);
            store.close();
            name
        };
        let file = File::new("named");
        assert_eq!(name(&file), name(&file));
        assert_ne!(name(&file), name(&File::new("named-otherwise")));
    }

    #[test]
    fn changes_are_committed_together_and_soon() {
        let file = File::new("together");
        let store = file.open().unwrap();
        let writer = store.writer();
        for n in 0..500u32 {
            assert!(writer.write(vec![Change::put(NAMES, n.to_be_bytes(), "x")]));
        }
        let begun = clock();
        while writer.stats().commits == 0 {
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::yield_now();
        }
        writer.flush();
        let stats = writer.stats();
        assert_eq!((stats.writes, stats.refused, stats.errors), (500, 0, 0));
        assert!(stats.commits < 10, "{stats:?}");
    }

    /// Nobody is told that a change was taken which is then dropped: its writer would not tell it again.
    #[test]
    fn changes_are_refused_when_they_come_or_kept() {
        let file = File::new("kept");
        let (mut tables, sessions) = open(
            &file.0,
            &Settings {
                path: file.0.clone(),
                max_age: Duration::from_secs(100),
                max_sessions: 100,
            },
        )
        .unwrap();
        for n in 0..u32::try_from(MAX_PENDING).unwrap() {
            tables.change(Change::put(NAMES, n.to_be_bytes(), []));
        }
        let counts = Arc::new(Counts::default());
        let (queue, messages) = sync_channel(1);
        let writer = Writer {
            queue,
            counts: Arc::clone(&counts),
        };
        assert!(writer.write(vec![Change::delete(NAMES, *b"late")]));
        counts.pending.store(tables.pending() as u64, Relaxed);
        let mut keeper = Keeper {
            tables,
            sessions,
            counts,
            since: None,
            failing: true,
        };
        let before = keeper.tables.pending();
        keeper.hear(messages.recv().unwrap());
        assert_eq!(keeper.tables.pending(), before + 1);
        assert!(!writer.write(vec![Change::delete(NAMES, *b"later")]));
        assert!(messages.try_recv().is_err());
        assert_eq!(writer.stats().refused, 1);
    }

    fn refusal(file: &File) -> String {
        file.open().unwrap_err().to_string()
    }

    #[test]
    fn a_file_in_use_or_not_ours_is_refused_with_the_remedy() {
        let file = File::new("refused");
        let store = file.open().unwrap();
        let told = refusal(&file);
        assert!(told.contains("another process"), "{told}");
        assert!(
            told.contains("[store]") && told.contains("wapbridge-refused"),
            "{told}"
        );
        store.close();

        // Every page of it in turn, and its end.
        let whole = std::fs::read(&file.0).unwrap();
        let mut refused = 0;
        for at in (0..whole.len()).step_by(4096) {
            let mut damaged = whole.clone();
            for octet in &mut damaged[at..(at + 512).min(whole.len())] {
                *octet ^= 0x5A;
            }
            std::fs::write(&file.0, &damaged).unwrap();
            match file.open() {
                Ok(store) => store.close(),
                Err(error) => {
                    refused += 1;
                    assert!(error.to_string().contains("move"), "{error}");
                }
            }
        }
        assert!(refused > 0);
        std::fs::write(&file.0, &whole[..whole.len() / 2]).unwrap();
        assert!(
            refusal(&file).contains("move it away"),
            "{}",
            refusal(&file)
        );

        std::fs::write(&file.0, "[store]\npath = \"this is another file\"\n").unwrap();
        assert!(
            refusal(&file).contains("no store of ours"),
            "{}",
            refusal(&file)
        );

        let nowhere = File(PathBuf::from("/nonexistent/state.redb"));
        assert!(
            refusal(&nowhere).contains("StateDirectory"),
            "{}",
            refusal(&nowhere)
        );
    }

    #[test]
    fn a_store_of_a_later_version_is_left_alone() {
        let file = File::new("later");
        let store = file.open().unwrap();
        store.writer().write(vec![Change::put(META, FORMAT, [2])]);
        store.close();
        assert!(
            refusal(&file).contains("later version"),
            "{}",
            refusal(&file)
        );
    }
}
