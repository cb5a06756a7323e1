//! The store, and the handle that sends changes to it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;

use tracing::info;

use super::Settings;
use super::error::OpenError;
use super::file::{self, Opened};
use super::message::{Answer, Counts, Limits, Message, Stats};
use super::tables::{Change, Entries, Table};
use super::worker::{MAX_PENDING, StoreWorker};
use crate::worker::{self, Handle, Worker};
use crate::wsp::claim::ClaimKey;
use crate::wsp::log_id::LogIds;
use crate::wsp::saved::SessionRecord;

/// A store in a file. Dropping or [closing](Self::close) it commits the queued changes and closes
/// the file.
#[derive(Debug)]
pub struct Store {
    handle: StoreHandle,
    names: LogIds,
    worker: Worker<Message>,
}

/// Sends changes to a [`Store`]. Clones send to the same one.
#[derive(Clone, Debug)]
pub struct StoreHandle {
    pub(super) queue: Handle<Message>,
    pub(super) counts: Arc<Counts>,
}

impl Store {
    /// Opens the file, or makes it, and starts the thread that writes it.
    ///
    /// # Errors
    /// The file cannot be opened or written, is damaged or no store of wapbridge, or another
    /// process has it open.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        let path = &settings.path;
        let Opened {
            mut tables,
            sessions,
            mut watch,
        } = file::open(path, settings)?;
        let (names, key) = file::names(path, &mut tables)?;
        // A file that cannot be written is an error now, not with the first session.
        tables
            .commit()
            .map_err(|error| OpenError::other(path, error))?;
        watch.written();
        info!(path = %path.display(), sessions = sessions.held(), "store opened");
        let queue = worker::queue(QUEUE);
        let handle = StoreHandle {
            queue: queue.0.clone(),
            counts: Arc::new(Counts::default()),
        };
        let opened = Opened {
            tables,
            sessions,
            watch,
        };
        let worker = StoreWorker::new(settings.clone(), key, opened, Arc::clone(&handle.counts));
        let worker = Worker::start("store", queue, move |inbox| worker.run(&inbox))
            .map_err(|error| OpenError::io(path, error))?;
        Ok(Self {
            handle,
            names,
            worker,
        })
    }

    /// A handle to it.
    #[must_use]
    pub fn handle(&self) -> StoreHandle {
        self.handle.clone()
    }

    /// The log ids of sessions: the same for as long as the file lives.
    #[must_use]
    pub const fn names(&self) -> LogIds {
        self.names
    }

    /// Sets the greatest age and number of sessions. The file stays.
    pub fn reload(&self, settings: &Settings) {
        let limits = Limits {
            max_age: settings.max_age,
            max_sessions: settings.max_sessions,
        };
        self.handle.queue.send(Message::Limits(limits));
    }

    /// Waits until the queued changes are committed. Later changes are refused.
    pub fn close(self) {
        drop(self.worker);
    }
}

impl StoreHandle {
    /// Queues changes, which are committed together. Returns false, and counts a refusal, if the
    /// queue is full or too many changes wait for a failing disk. Accepted changes are kept until
    /// they are committed.
    pub fn write(&self, changes: Vec<Change>) -> bool {
        if self.counts.pending.load(Relaxed) >= MAX_PENDING as u64 {
            self.counts.refused.fetch_add(1, Relaxed);
            return false;
        }
        self.queue(Message::Change(changes))
    }

    /// Remembers a session, or its new state.
    pub fn save(&self, session: Box<SessionRecord>) -> bool {
        self.queue(Message::Save(session))
    }

    /// Forgets a session: it has ended.
    pub fn forget(&self, id: u32) -> bool {
        self.queue(Message::Forget(id))
    }

    /// Looks up a session that no shard has had since the start. The store's thread calls `answer`
    /// once. If the queue is full, `answer` is called at once with `None`.
    pub fn look(&self, key: ClaimKey, answer: impl FnOnce(Option<SessionRecord>) + Send + 'static) {
        let answer = Answer(Some(Box::new(answer)));
        // A message that is not sent is dropped, and so answered.
        let _ = self.queue.try_send(Message::Look(key, answer), 1);
    }

    /// All entries of a table in the order of their keys, with queued changes. Waits for the store
    /// and holds the table in memory: for the start of a module that keeps its state there.
    #[must_use]
    pub fn entries(&self, table: Table) -> Entries {
        let (tell, answer) = mpsc::channel();
        self.queue.send(Message::Entries(table, tell));
        answer.recv().unwrap_or_default()
    }

    /// Waits until the queued changes are committed, or have failed.
    pub fn flush(&self) {
        let (tell, answer) = mpsc::channel();
        self.queue.send(Message::Flush(tell));
        let _ = answer.recv();
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.counts.stats()
    }

    fn queue(&self, message: Message) -> bool {
        let is_taken = self.queue.try_send(message, 1).is_ok();
        let count = match is_taken {
            true => &self.counts.writes,
            false => &self.counts.refused,
        };
        count.fetch_add(1, Relaxed);
        is_taken
    }
}

/// Messages that may wait for the thread: some seconds of the busiest gateway on a slow disk.
const QUEUE: usize = 65_536;
