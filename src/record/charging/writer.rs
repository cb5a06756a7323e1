//! The thread that numbers charging records and writes them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tracing::{error, info};

use super::encode::{CdrEncoder, EntryKind, TransactionKey};
use super::spool::{Spool, answered_line, finished_line};
use super::{Batch, Format, Settings};
use crate::worker::{self, Handle, Inbox, Load, Received, Unsent, Worker};
use crate::wsp::log_id::LogIds;

/// The thread. Dropping it writes the queued records and closes the file. The shards must have
/// ended before.
#[derive(Debug)]
pub struct CdrWriter {
    handle: CdrHandle,
    _worker: Worker<Message>,
}

/// Sends records to a [`CdrWriter`]. Clones send to the same one.
#[derive(Clone, Debug)]
pub struct CdrHandle {
    queue: Handle<Message>,
    shared: Arc<Shared>,
    format: Format,
    node: Arc<str>,
    run: u64,
}

#[derive(Debug)]
enum Message {
    Records(Batch),
    /// The queue was full: the transactions that ended in a batch that is lost.
    Lost(Vec<TransactionKey>),
}

/// Counters since the start, and two gauges.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Records written.
    pub written: u64,
    /// Records lost: the disk accepted no octets for so long that the queue was full.
    pub lost: u64,
    /// Files closed.
    pub files: u64,
    /// Gauge: octets that wait to be written.
    pub waiting: u64,
    /// Whether the latest attempt to write failed.
    pub failing: bool,
}

#[derive(Debug, Default)]
struct Shared {
    /// Keys in [`Message::Lost`] that wait in the queue.
    keys: AtomicUsize,
    /// Lost records whose numbers are not skipped yet.
    unnumbered: AtomicU64,
    written: AtomicU64,
    lost: AtomicU64,
    files: AtomicU64,
    failing: AtomicBool,
}

impl CdrWriter {
    /// Repairs the files of an earlier run, and starts the thread. `run` identifies this run of the
    /// program; `wall` gives the microseconds since 1970.
    ///
    /// # Errors
    /// The files cannot be written, another process writes them, or the system refuses a thread.
    pub fn start(settings: Settings, run: u64, wall: fn() -> u64) -> io::Result<Self> {
        let (handle, worker, inbox) = open(settings, run, wall)?;
        let queue = (handle.queue.clone(), inbox);
        let worker = Worker::start("records", queue, move |inbox| worker.run(&inbox))?;
        Ok(Self {
            handle,
            _worker: worker,
        })
    }

    /// A handle to send records through.
    #[must_use]
    pub fn handle(&self) -> CdrHandle {
        self.handle.clone()
    }
}

/// The thread's state, and both ends of its queue.
fn open(
    settings: Settings,
    run: u64,
    wall: fn() -> u64,
) -> io::Result<(CdrHandle, CdrWorker, Inbox<Message>)> {
    let (queue, inbox) = worker::queue(MAX_WAITING);
    let shared = Arc::new(Shared::default());
    let handle = CdrHandle {
        queue,
        shared: Arc::clone(&shared),
        format: settings.format,
        node: settings.node.as_str().into(),
        run,
    };
    let path = settings.path.clone();
    let (spool, made) = Spool::recover(settings, wall())?;
    info!(path = %path.display(), next = spool.next, interrupted = made, "charging records");
    shared.written.fetch_add(made, Ordering::Relaxed);
    let worker = CdrWorker {
        format: handle.format,
        run,
        spool,
        wall,
        shared,
        answered: BTreeMap::new(),
        staged: Staged::default(),
        reported_at: None,
    };
    Ok((handle, worker, inbox))
}

impl CdrHandle {
    /// The encoder for the records of one shard.
    pub(in crate::record) fn encoder(&self, shard: u64, names: LogIds) -> CdrEncoder {
        CdrEncoder::new(self.format, Arc::clone(&self.node), self.run, shard, names)
    }

    /// Sends records, and never waits. Records that find the queue full are lost and counted.
    pub(in crate::record) fn offer(&self, batch: Batch) {
        let octets = batch.len();
        let sent = self.queue.try_send(Message::Records(batch), octets);
        if let Err(Message::Records(batch)) = sent.map_err(Unsent::into_message) {
            self.lose(&batch);
        }
    }

    /// Counts a batch as lost, and tells the thread which transactions get no record any more.
    fn lose(&self, batch: &Batch) {
        let shared = &self.shared;
        let records = batch.keys().count();
        shared.lost.fetch_add(records as u64, Ordering::Relaxed);
        shared
            .unnumbered
            .fetch_add(records as u64, Ordering::Relaxed);
        if records == 0 {
            return;
        }
        let before = shared.keys.fetch_add(records, Ordering::Relaxed);
        if before + records > MAX_LOST_KEYS {
            shared.keys.fetch_sub(records, Ordering::Relaxed);
        } else {
            self.queue.send(Message::Lost(batch.keys().collect()));
        }
    }

    /// The counters.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let shared = &self.shared;
        Counts {
            written: shared.written.load(Ordering::Relaxed),
            lost: shared.lost.load(Ordering::Relaxed),
            files: shared.files.load(Ordering::Relaxed),
            waiting: self.queue.load() as u64,
            failing: shared.failing.load(Ordering::Relaxed),
        }
    }
}

/// Octets that must still be written, in this order.
#[derive(Debug, Default)]
struct Staged {
    /// The journal's lines of answered transactions.
    answered: Vec<u8>,
    /// Records, with their numbers.
    records: Vec<u8>,
    count: u64,
    /// The journal's lines of finished transactions.
    finished: Vec<u8>,
    /// The room that all of this still takes in the queue.
    load: Load,
}

impl Staged {
    const fn len(&self) -> usize {
        self.answered.len() + self.records.len() + self.finished.len()
    }
}

struct CdrWorker {
    format: Format,
    run: u64,
    spool: Spool,
    wall: fn() -> u64,
    shared: Arc<Shared>,
    /// Transactions that are answered and not finished, by id: the journal's content.
    answered: BTreeMap<String, Vec<u8>>,
    staged: Staged,
    /// When a failure was last logged, in microseconds since 1970.
    reported_at: Option<u64>,
}

impl CdrWorker {
    fn run(mut self, inbox: &Inbox<Message>) {
        loop {
            let mut received = inbox.recv_timeout(IDLE_INTERVAL);
            // One write takes everything that is there.
            let stop = loop {
                match received {
                    Received::Message(message, load) => self.take(message, load),
                    Received::Idle => break false,
                    Received::Stop => break true,
                }
                received = inbox.try_recv();
            };
            if stop {
                self.interrupt_all();
            }
            let outcome = self.write(stop);
            self.report(outcome);
            if stop {
                return;
            }
        }
    }

    /// Stages the records of a message.
    fn take(&mut self, message: Message, load: Load) {
        self.skip_lost();
        match message {
            Message::Records(batch) => self.number(&batch, load),
            Message::Lost(keys) => {
                self.shared.keys.fetch_sub(keys.len(), Ordering::Relaxed);
                for key in keys {
                    self.finish(&self.id(key));
                }
            }
        }
    }

    /// Numbers the records of a batch and stages them.
    fn number(&mut self, batch: &Batch, load: Load) {
        self.staged.load.absorb(load);
        let mut from = 0;
        for entry in &batch.entries {
            let line = batch.text.get(from..entry.end).unwrap_or_default();
            from = entry.end;
            let id = self.id(entry.key);
            match entry.kind {
                EntryKind::Answered => {
                    answered_line(&id, line, &mut self.staged.answered);
                    self.answered.insert(id, line.to_vec());
                }
                EntryKind::Finished => {
                    self.stage(line);
                    self.finish(&id);
                }
            }
        }
    }

    /// The shards are gone: transactions without an end get their records now.
    fn interrupt_all(&mut self) {
        self.skip_lost();
        for (id, line) in std::mem::take(&mut self.answered) {
            self.stage(&line);
            finished_line(&id, &mut self.staged.finished);
        }
    }

    fn id(&self, key: TransactionKey) -> String {
        format!("{:016x}-{}-{}", self.run, key.shard, key.number)
    }

    /// A transaction has its record, or has lost it: it leaves the journal.
    fn finish(&mut self, id: &str) {
        if self.answered.remove(id).is_some() {
            finished_line(id, &mut self.staged.finished);
        }
    }

    fn stage(&mut self, line: &[u8]) {
        self.spool
            .number(self.format, line, &mut self.staged.records);
        self.staged.count += 1;
    }

    /// Skips the numbers of lost records, so that the gap shows, also after a restart.
    fn skip_lost(&mut self) {
        let lost = self.shared.unnumbered.swap(0, Ordering::Relaxed);
        if lost > 0 {
            self.spool.next += lost;
            let next = format!("N {}\n", self.spool.next);
            self.staged.finished.extend_from_slice(next.as_bytes());
        }
    }

    /// Writes the staged records. After a failure they stay staged and keep their room in the
    /// queue.
    fn write(&mut self, stop: bool) -> io::Result<()> {
        let now = (self.wall)();
        self.spool.note(&self.staged.answered)?;
        self.staged.answered.clear();
        self.spool.append(&self.staged.records, now)?;
        self.staged.records.clear();
        self.shared
            .written
            .fetch_add(self.staged.count, Ordering::Relaxed);
        self.staged.count = 0;
        self.spool.note(&self.staged.finished)?;
        self.staged.finished.clear();
        self.staged.load = Load::default();
        self.spool.sync()?;
        if stop || (self.spool.journal_len() > LONG_JOURNAL && self.is_mostly_finished()) {
            self.spool.compact(&self.answered)?;
        }
        if (stop || self.spool.is_due(now)) && self.spool.close(now)?.is_some() {
            self.shared.files.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether most of the journal is of finished transactions.
    fn is_mostly_finished(&self) -> bool {
        let live: usize = self.answered.values().map(Vec::len).sum();
        self.spool.journal_len() > 4 * live as u64
    }

    /// Logs the first failure, then one a minute, and the recovery.
    fn report(&mut self, outcome: io::Result<()>) {
        self.shared
            .failing
            .store(outcome.is_err(), Ordering::Relaxed);
        let lost = self.shared.lost.load(Ordering::Relaxed);
        match outcome {
            Ok(()) => {
                if self.reported_at.take().is_some() {
                    info!(lost, "charging records are written again");
                }
            }
            Err(error) => {
                let now = (self.wall)();
                if self
                    .reported_at
                    .is_none_or(|at| now.saturating_sub(at) > 60_000_000)
                {
                    self.reported_at = Some(now);
                    error!(
                        %error,
                        lost,
                        waiting_octets = self.staged.len(),
                        "charging records cannot be written; make room on their disk, or see who may write there"
                    );
                }
            }
        }
    }
}

/// Octets that may wait, from the shard to the file: some twenty thousand records.
const MAX_WAITING: usize = 32 << 20;

/// Keys of lost records that may wait in the queue: more than there are transactions that wait for
/// their end.
const MAX_LOST_KEYS: usize = 262_144;

/// The longest wait for messages, after which the thread checks whether a file is due, or retries.
const IDLE_INTERVAL: Duration = Duration::from_millis(500);

/// Length of the journal in octets at which a rewrite pays.
const LONG_JOURNAL: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::super::Sync;
    use super::super::encode::Entry;
    use super::*;

    fn batch(number: u64, kind: EntryKind) -> Batch {
        let text = format!("\"0000000000000009-0-{number}\",\"node\":\"n\"}}\n").into_bytes();
        let end = text.len();
        let key = TransactionKey { shard: 0, number };
        let entries = vec![Entry { key, kind, end }];
        Batch { text, entries }
    }

    /// A finished transaction whose record has this many octets.
    fn large(number: u64, octets: usize) -> Batch {
        let mut batch = batch(number, EntryKind::Finished);
        batch.text.resize(octets - 1, b' ');
        batch.text.push(b'\n');
        batch.entries[0].end = octets;
        batch
    }

    fn worker(directory: &tempfile::TempDir) -> (CdrHandle, CdrWorker, Inbox<Message>) {
        let settings = Settings {
            path: directory.path().join("r.jsonl"),
            format: Format::Json,
            rotate_size: 1 << 20,
            rotate_every: Duration::from_secs(900),
            sync: Sync::Never,
            node: "n".to_owned(),
        };
        open(settings, 9, || 0).unwrap()
    }

    fn take_all(worker: &mut CdrWorker, inbox: &Inbox<Message>) {
        while let Received::Message(message, load) = inbox.try_recv() {
            worker.take(message, load);
        }
    }

    fn ids(written: &str) -> Vec<&str> {
        let lines = written.lines();
        lines
            .filter_map(|line| line.split("0009-0-").nth(1)?.split('"').next())
            .collect()
    }

    #[test]
    fn a_lost_record_is_not_written_as_interrupted_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let (handle, mut worker, inbox) = worker(&directory);
        for number in 1..=4 {
            handle.offer(batch(number, EntryKind::Answered));
        }
        take_all(&mut worker, &inbox);
        // No room is left: two records are lost, the third finds room again.
        let room = MAX_WAITING - handle.queue.load();
        handle.offer(large(5, room));
        handle.offer(batch(1, EntryKind::Finished));
        handle.offer(batch(2, EntryKind::Finished));
        take_all(&mut worker, &inbox);
        worker.write(false).unwrap();
        handle.offer(batch(3, EntryKind::Finished));
        take_all(&mut worker, &inbox);
        worker.interrupt_all();
        worker.write(true).unwrap();

        assert_eq!((handle.counts().lost, handle.counts().written), (2, 3));
        assert_eq!(handle.counts().waiting, 0);
        assert_eq!(handle.shared.keys.load(Ordering::Relaxed), 0);
        let mut written = String::new();
        for file in std::fs::read_dir(directory.path()).unwrap() {
            let path = file.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "jsonl")
            {
                written.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
        let mut ids = ids(&written);
        ids.sort_unstable();
        assert_eq!(ids, ["3", "4", "5"], "{written}");
    }

    /// While the disk accepts no octets, 32 MiB of records wait, in the queue and in the writer
    /// together.
    #[test]
    fn no_record_is_lost_before_32_mib_wait() {
        let directory = tempfile::tempdir().unwrap();
        let (handle, mut worker, inbox) = worker(&directory);
        worker.spool.fill_disk_for_test();
        for number in 0..32 {
            handle.offer(large(number, 1 << 20));
            take_all(&mut worker, &inbox);
            assert!(worker.write(false).is_err());
        }
        assert_eq!(handle.counts().lost, 0);
        assert_eq!(handle.counts().waiting, 32 << 20);
        handle.offer(large(99, 1 << 10));
        assert_eq!(handle.counts().lost, 1);
        assert_eq!(handle.counts().waiting, 32 << 20);
    }
}
