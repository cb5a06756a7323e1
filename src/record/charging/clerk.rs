//! The thread that numbers records and writes them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::{error, info};

use super::form::{Form, Key, Kind};
use super::spool::{Spool, answered_line, finished_line};
use super::{Batch, Format, Settings};
use crate::wsp::pseudonym::Pseudonyms;

/// The thread. Dropping it writes what is still under way and closes the file; the shards have to be gone by then.
#[derive(Debug)]
pub struct Clerk {
    desk: Desk,
    thread: Option<JoinHandle<()>>,
}

/// Where shards hand over records. Clones lead to the same clerk.
#[derive(Clone, Debug)]
pub struct Desk {
    queue: Sender<Parcel>,
    shared: Arc<Shared>,
    format: Format,
    node: Arc<str>,
    run: u64,
}

#[derive(Debug)]
enum Parcel {
    Records(Batch),
    /// The queue was full: what was over in a batch that is lost.
    Lost(Vec<Key>),
    Stop,
}

/// What became of records since the start, and how it stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Records written.
    pub written: u64,
    /// Records lost: the disk took none for so long that the queue was full.
    pub lost: u64,
    /// Files closed.
    pub files: u64,
    /// Octets that wait to be written.
    pub waiting: u64,
    /// Whether the latest attempt to write failed.
    pub failing: bool,
}

#[derive(Debug, Default)]
struct Shared {
    queued: AtomicUsize,
    staged: AtomicUsize,
    /// Keys of lost records that wait in the queue.
    keys: AtomicUsize,
    /// Records that found the queue full and that no number was spent on yet.
    unnumbered: AtomicU64,
    written: AtomicU64,
    lost: AtomicU64,
    files: AtomicU64,
    failing: AtomicBool,
}

impl Clerk {
    /// Makes whole what an earlier run has left, and starts. `run` tells this run of the program from every other;
    /// `wall` says how many microseconds have passed since 1970.
    ///
    /// # Errors
    /// When the files cannot be written, another process writes them, or the system refuses a thread.
    pub fn start(settings: Settings, run: u64, wall: fn() -> u64) -> io::Result<Self> {
        let (desk, work, parcels) = open(settings, run, wall)?;
        let thread = std::thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || work.run(&parcels))?;
        Ok(Self {
            desk,
            thread: Some(thread),
        })
    }

    /// Where shards hand over records.
    #[must_use]
    pub fn desk(&self) -> Desk {
        self.desk.clone()
    }
}

/// What the thread works on, and the way to it.
fn open(
    settings: Settings,
    run: u64,
    wall: fn() -> u64,
) -> io::Result<(Desk, Work, Receiver<Parcel>)> {
    let (queue, parcels) = mpsc::channel();
    let shared = Arc::new(Shared::default());
    let desk = Desk {
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
    let work = Work {
        format: desk.format,
        run,
        spool,
        wall,
        shared,
        answered: BTreeMap::new(),
        due: Due::default(),
        complained: None,
    };
    Ok((desk, work, parcels))
}

impl Drop for Clerk {
    fn drop(&mut self) {
        let _ = self.desk.queue.send(Parcel::Stop);
        if let Some(thread) = self.thread.take() {
            // Had it panicked, it would have said so.
            let _ = thread.join();
        }
    }
}

impl Desk {
    /// What the records of one shard have in common.
    pub(in crate::record) fn form(&self, shard: u64, names: Pseudonyms) -> Form {
        Form::new(self.format, Arc::clone(&self.node), self.run, shard, names)
    }

    /// Hands over records, and never waits.
    pub(in crate::record) fn hand_over(&self, batch: Batch) {
        let shared = &self.shared;
        let (len, records) = (batch.len(), batch.keys().count());
        let queued = shared.queued.fetch_add(len, Ordering::Relaxed);
        let is_full = queued + len > ROOM;
        let parcel = match is_full {
            false => Some(Parcel::Records(batch)),
            true => {
                let keys = shared.keys.fetch_add(records, Ordering::Relaxed);
                let fit = records > 0 && keys + records <= MOST_KEYS;
                if !fit {
                    shared.keys.fetch_sub(records, Ordering::Relaxed);
                }
                fit.then(|| Parcel::Lost(batch.keys().collect()))
            }
        };
        let is_sent = parcel.is_some_and(|parcel| self.queue.send(parcel).is_ok());
        if is_full || !is_sent {
            shared.queued.fetch_sub(len, Ordering::Relaxed);
            shared.lost.fetch_add(records as u64, Ordering::Relaxed);
            shared
                .unnumbered
                .fetch_add(records as u64, Ordering::Relaxed);
        }
    }

    /// How it stands.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let shared = &self.shared;
        let waiting = shared.queued.load(Ordering::Relaxed) + shared.staged.load(Ordering::Relaxed);
        Counts {
            written: shared.written.load(Ordering::Relaxed),
            lost: shared.lost.load(Ordering::Relaxed),
            files: shared.files.load(Ordering::Relaxed),
            waiting: waiting as u64,
            failing: shared.failing.load(Ordering::Relaxed),
        }
    }
}

/// Octets that must still be written, in this order.
#[derive(Debug, Default)]
struct Due {
    /// What was answered, for the journal.
    answered: Vec<u8>,
    /// Records, with their numbers.
    records: Vec<u8>,
    count: u64,
    /// What is over, for the journal.
    over: Vec<u8>,
}

impl Due {
    const fn len(&self) -> usize {
        self.answered.len() + self.records.len() + self.over.len()
    }
}

struct Work {
    format: Format,
    run: u64,
    spool: Spool,
    wall: fn() -> u64,
    shared: Arc<Shared>,
    /// What is in the journal and not over, by id.
    answered: BTreeMap<String, Vec<u8>>,
    due: Due,
    /// When an operator was last told that something is wrong.
    complained: Option<u64>,
}

impl Work {
    fn run(mut self, parcels: &Receiver<Parcel>) {
        loop {
            let stop = match parcels.recv_timeout(PATIENCE) {
                Ok(parcel) => {
                    let mut stop = self.take(parcel);
                    // Whatever else is there goes with it.
                    while !stop && let Ok(parcel) = parcels.try_recv() {
                        stop = self.take(parcel);
                    }
                    stop
                }
                Err(RecvTimeoutError::Disconnected) => true,
                Err(RecvTimeoutError::Timeout) => false,
            };
            if stop {
                // Of these nobody will see the end: their shard has died.
                for (id, line) in std::mem::take(&mut self.answered) {
                    self.stage(&line);
                    finished_line(&id, &mut self.due.over);
                }
            }
            let outcome = self.settle(stop);
            self.report(outcome);
            if stop {
                return;
            }
        }
    }

    /// Takes what came. Says whether that is all.
    fn take(&mut self, parcel: Parcel) -> bool {
        let skipped = self.shared.unnumbered.swap(0, Ordering::Relaxed);
        self.skip(skipped);
        match parcel {
            Parcel::Records(batch) => self.number(&batch),
            Parcel::Lost(over) => {
                self.shared.keys.fetch_sub(over.len(), Ordering::Relaxed);
                for key in over {
                    self.finish(&self.id(key));
                }
            }
            Parcel::Stop => return true,
        }
        false
    }

    /// Numbers a batch and stages what is to be written of it.
    fn number(&mut self, batch: &Batch) {
        self.shared.queued.fetch_sub(batch.len(), Ordering::Relaxed);
        if self.due.len() + batch.len() > ROOM {
            let mut lost = 0;
            for key in batch.keys() {
                lost += 1;
                self.finish(&self.id(key));
            }
            self.shared.lost.fetch_add(lost, Ordering::Relaxed);
            self.skip(lost);
            return;
        }
        let mut from = 0;
        for entry in &batch.entries {
            let line = batch.text.get(from..entry.end).unwrap_or_default();
            from = entry.end;
            let id = self.id(entry.key);
            match entry.kind {
                Kind::Answered => {
                    answered_line(&id, line, &mut self.due.answered);
                    self.answered.insert(id, line.to_vec());
                }
                Kind::Over => {
                    self.stage(line);
                    self.finish(&id);
                }
            }
        }
        self.shared.staged.store(self.due.len(), Ordering::Relaxed);
    }

    fn id(&self, key: Key) -> String {
        format!("{:016x}-{}-{}", self.run, key.shard, key.number)
    }

    /// A transaction has its record, or has lost it: nothing is to be written should we die.
    fn finish(&mut self, id: &str) {
        if self.answered.remove(id).is_some() {
            finished_line(id, &mut self.due.over);
        }
    }

    fn stage(&mut self, line: &[u8]) {
        self.spool.number(self.format, line, &mut self.due.records);
        self.due.count += 1;
    }

    /// Spends numbers on records that are lost, so that the gap shows; also after a restart.
    fn skip(&mut self, lost: u64) {
        if lost > 0 {
            self.spool.next += lost;
            let next = format!("N {}\n", self.spool.next);
            self.due.over.extend_from_slice(next.as_bytes());
        }
    }

    /// Writes what is staged. What fails stays staged.
    fn settle(&mut self, stop: bool) -> io::Result<()> {
        let now = (self.wall)();
        self.spool.note(&self.due.answered)?;
        self.due.answered.clear();
        self.spool.append(&self.due.records, now)?;
        self.due.records.clear();
        self.shared
            .written
            .fetch_add(self.due.count, Ordering::Relaxed);
        self.due.count = 0;
        self.spool.note(&self.due.over)?;
        self.due.over.clear();
        self.shared.staged.store(0, Ordering::Relaxed);
        self.spool.sync()?;
        if stop || (self.spool.journal_len() > LONG_JOURNAL && self.is_mostly_over()) {
            self.spool.compact(&self.answered)?;
        }
        if (stop || self.spool.is_due(now)) && self.spool.close(now)?.is_some() {
            self.shared.files.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether most of the journal is of transactions that are over.
    fn is_mostly_over(&self) -> bool {
        let live: usize = self.answered.values().map(Vec::len).sum();
        self.spool.journal_len() > 4 * live as u64
    }

    /// Tells an operator when it begins to fail, every minute while it does, and when it is over.
    fn report(&mut self, outcome: io::Result<()>) {
        self.shared
            .failing
            .store(outcome.is_err(), Ordering::Relaxed);
        let lost = self.shared.lost.load(Ordering::Relaxed);
        match outcome {
            Ok(()) => {
                if self.complained.take().is_some() {
                    info!(lost, "charging records are written again");
                }
            }
            Err(error) => {
                let now = (self.wall)();
                if self
                    .complained
                    .is_none_or(|at| now.saturating_sub(at) > 60_000_000)
                {
                    self.complained = Some(now);
                    error!(
                        %error,
                        lost,
                        waiting_octets = self.due.len(),
                        "charging records cannot be written; make room on their disk, or see who may write there"
                    );
                }
            }
        }
    }
}

/// Octets that may wait, in the queue and once more behind it: some ten thousand records each.
const ROOM: usize = 16 << 20;

/// Keys of lost records that may wait in the queue: more than there are transactions that wait for their end.
const MOST_KEYS: usize = 262_144;

/// How long nothing may happen until the clerk looks whether a file is due, or tries again.
const PATIENCE: Duration = Duration::from_millis(500);

/// Octets from which on it pays to write the journal anew.
const LONG_JOURNAL: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::super::Sync;
    use super::super::form::Entry;
    use super::*;

    fn batch(number: u64, kind: Kind) -> Batch {
        let text = format!("\"0000000000000009-0-{number}\",\"node\":\"n\"}}\n").into_bytes();
        let end = text.len();
        let key = Key { shard: 0, number };
        let entries = vec![Entry { key, kind, end }];
        Batch { text, entries }
    }

    #[test]
    fn what_is_lost_is_not_called_interrupted_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings {
            path: directory.path().join("r.jsonl"),
            format: Format::Json,
            rotate_size: 1 << 20,
            rotate_every: Duration::from_secs(900),
            sync: Sync::Never,
            node: "n".to_owned(),
        };
        let (desk, mut work, parcels) = open(settings, 9, || 0).unwrap();
        for number in 1..=4 {
            desk.hand_over(batch(number, Kind::Answered));
        }
        // The first finds the queue full, the second the room behind it; the third is written.
        let waiting = desk.shared.queued.swap(ROOM, Ordering::Relaxed);
        desk.hand_over(batch(1, Kind::Over));
        desk.shared.queued.store(waiting, Ordering::Relaxed);
        while let Ok(parcel) = parcels.try_recv() {
            assert!(!work.take(parcel));
        }
        let records = std::mem::replace(&mut work.due.records, vec![b'x'; ROOM]);
        desk.hand_over(batch(2, Kind::Over));
        work.take(parcels.recv().unwrap());
        work.due.records = records;
        desk.hand_over(batch(3, Kind::Over));
        desk.queue.send(Parcel::Stop).unwrap();
        work.run(&parcels);

        assert_eq!((desk.counts().lost, desk.counts().written), (2, 2));
        assert_eq!(desk.shared.keys.load(Ordering::Relaxed), 0);
        let closed = directory
            .path()
            .join("r-19700101T000000Z-000000000003-000000000004.jsonl");
        let written = std::fs::read_to_string(closed).unwrap();
        let ids: Vec<&str> = written
            .lines()
            .filter_map(|line| line.split("0009-0-").nth(1)?.split('"').next())
            .collect();
        assert_eq!(ids, ["3", "4"], "{written}");
    }
}
