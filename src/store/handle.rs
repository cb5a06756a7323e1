//! The store, and the handle that sends changes to it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;

use super::change::{Change, Entries, Table};
use super::message::{Answer, Counts, Message, Stats};
use super::{OpenError, Place, Settings, file, shared};
use crate::worker::{self, Handle, Worker};
use crate::wsp::claim::ClaimKey;
use crate::wsp::log_id::LogIds;
use crate::wsp::saved::SessionRecord;

/// An open store. Dropping or [closing](Self::close) it commits the queued changes.
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
    /// Opens the store at its place, and starts its thread.
    ///
    /// # Errors
    /// The file cannot be opened or written, is damaged or no store of wapbridge, or another
    /// process has it open. Another process has the name of this node. A shared store that does not
    /// answer is no error.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        let queue = worker::queue(QUEUE);
        let counts = Arc::new(Counts::default());
        let handle = StoreHandle {
            queue: queue.0.clone(),
            counts: Arc::clone(&counts),
        };
        let (worker, names) = match &settings.place {
            Place::File(path) => file::start(path, settings.limits, queue, &counts)?,
            Place::Shared(shared) => shared::start(shared, settings.limits, queue, &counts)?,
        };
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

    /// The log ids of sessions: the same for as long as the store lives.
    #[must_use]
    pub const fn names(&self) -> LogIds {
        self.names
    }

    /// Sets the greatest age and number of sessions. The place stays.
    pub fn reload(&self, settings: &Settings) {
        let limits = Message::Limits(settings.limits);
        self.handle.queue.send(limits);
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

    /// Sets the receiver of the ids of sessions that another process took over. The sessions have to
    /// end here, without a word to their handsets and to the store. Only a shared store has any.
    pub fn on_lost(&self, on_lost: impl Fn(u32) + Send + 'static) {
        self.queue.send(Message::OnLost(Box::new(on_lost)));
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
/// Changes kept while they cannot be written.
pub(super) const MAX_PENDING: usize = 1_000_000;
