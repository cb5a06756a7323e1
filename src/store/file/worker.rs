//! The store's thread: takes messages, commits changes, and watches the file.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tracing::{error, info, warn};

use super::error::OpenError;
use super::sessions::{Saved, Sessions};
use super::tables::Tables;
use super::watch::{FileWatch, Interference};
use super::{FORMAT, META, NAMES_KEY, OURS, Opened, aside, database};
use crate::store::change::Change;
use crate::store::handle::MAX_PENDING;
use crate::store::message::{Counts, Message};
use crate::store::{Limits, clock};
use crate::worker::{Inbox, Received};
use crate::wsp::log_id::KEY_LEN;

/// The thread's state.
pub(super) struct StoreWorker {
    path: PathBuf,
    limits: Limits,
    names_key: [u8; KEY_LEN],
    pub(super) tables: Tables,
    sessions: Sessions,
    watch: FileWatch,
    /// The time of the last check of the file for interference.
    checked: Instant,
    counts: Arc<Counts>,
    /// The arrival of the first waiting change.
    pending_since: Option<Instant>,
    /// Whether the last commit failed.
    pub(super) failing: bool,
    /// Whether another file has the name of the store's file. It was logged.
    is_replaced: bool,
}

impl StoreWorker {
    pub(super) fn new(
        path: PathBuf,
        limits: Limits,
        names_key: [u8; KEY_LEN],
        opened: Opened,
        counts: Arc<Counts>,
    ) -> Self {
        Self {
            path,
            limits,
            names_key,
            tables: opened.tables,
            sessions: opened.sessions,
            watch: opened.watch,
            checked: clock(),
            counts,
            pending_since: None,
            failing: false,
            is_replaced: false,
        }
    }

    pub(super) fn run(mut self, inbox: &Inbox<Message>) {
        let mut swept = clock();
        loop {
            let patience = match self.pending_since {
                Some(since) if !self.failing => COMMIT_INTERVAL.saturating_sub(since.elapsed()),
                _ => SWEEP_INTERVAL,
            };
            let received = inbox.recv_timeout(patience);
            if self.checked.elapsed() >= CHECK_INTERVAL {
                self.check_file();
            }
            let stop = matches!(received, Received::Stop);
            if let Received::Message(message, _) = received {
                self.guarded(|worker| worker.handle(message));
            }
            if stop {
                break;
            }
            if self.tables.pending() > 0 {
                let since = *self.pending_since.get_or_insert_with(clock);
                let interval = match self.failing {
                    true => SWEEP_INTERVAL,
                    false => COMMIT_INTERVAL,
                };
                if since.elapsed() >= interval {
                    self.guarded(Self::commit);
                }
            }
            if swept.elapsed() >= SWEEP_INTERVAL {
                swept = clock();
                self.guarded(Self::sweep);
            }
            self.publish();
        }
        self.check_file();
        self.guarded(Self::commit);
        self.publish();
    }

    pub(super) fn publish(&self) {
        let counts = &self.counts;
        counts.pending.store(self.tables.pending() as u64, Relaxed);
        counts.sessions.store(self.sessions.held(), Relaxed);
        counts
            .failing
            .store(self.failing || self.is_replaced, Relaxed);
    }

    /// Forgets some of the sessions that are too old.
    fn sweep(&mut self) {
        let before = self.sessions.held();
        let swept = self.sessions.sweep(today(), &mut self.tables);
        self.checked(swept);
        let expired = before.saturating_sub(self.sessions.held());
        self.counts.expired.fetch_add(expired, Relaxed);
    }

    pub(super) fn handle(&mut self, message: Message) {
        // While the file cannot be written, the number of waiting changes is limited, and later
        // changes are refused. The waiting changes were accepted and are kept.
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
                if self.checked(saved) == Some(Saved::Full) {
                    self.refuse();
                }
            }
            Message::Forget(id) => {
                let forgotten = self.sessions.forget(id, &mut self.tables);
                self.checked(forgotten);
            }
            Message::Look(key, answer) => {
                let found = self.sessions.look(today(), key, &self.tables);
                answer.give(self.checked(found).flatten());
            }
            Message::Entries(table, answer) => {
                self.commit();
                let entries = self.tables.page(table, &[], usize::MAX);
                let _ = answer.send(self.checked(entries).unwrap_or_default());
            }
            Message::Flush(done) => {
                self.commit();
                let _ = done.send(());
            }
            Message::Limits(limits) => {
                // Also for a file that is created again.
                self.limits = limits;
                self.sessions.limit(limits.max_age, limits.max_sessions);
            }
            // No other process has a session of this file.
            Message::OnLost(_) | Message::Shared(_) => {}
        }
    }

    fn commit(&mut self) {
        self.pending_since = None;
        if self.tables.pending() == 0 {
            return;
        }
        let committed = self.tables.commit();
        self.watch.written();
        let failed = committed.is_err();
        self.checked(committed);
        if failed {
            self.pending_since = Some(clock());
        } else {
            self.counts.commits.fetch_add(1, Relaxed);
            if self.failing {
                info!("the store can be written again");
            }
        }
        self.failing = failed;
    }

    /// The result of an operation on the file. A failure is counted, and logged when it is new.
    fn checked<T>(&self, result: Result<T, redb::Error>) -> Option<T> {
        if let Err(error) = &result {
            self.counts.errors.fetch_add(1, Relaxed);
            if !self.failing {
                error!(%error, "the store cannot be used; new changes may not survive a restart");
            }
        }
        result.ok()
    }

    fn refuse(&self) {
        self.counts.refused.fetch_add(1, Relaxed);
    }

    /// Runs an operation on the file. redb panics over damaged pages: another program has changed
    /// the file then.
    fn guarded(&mut self, act: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| act(self))).is_err() {
            self.counts.errors.fetch_add(1, Relaxed);
            self.recreate(Interference::Changed);
        }
    }

    /// Checks the file for interference, and begins a new one if it is gone or damaged.
    fn check_file(&mut self) {
        self.checked = clock();
        match self.watch.check() {
            Ok(()) => {
                if std::mem::take(&mut self.is_replaced) {
                    info!("the store's file has its name again");
                }
            }
            // The foreign file may be meant for the next start, so it is not overwritten.
            Err(Interference::Replaced) => {
                if !std::mem::replace(&mut self.is_replaced, true) {
                    error!(
                        path = %self.path.display(),
                        "another file has the name of the store's file; what changes from now on is lost by a \
                         restart; restart to use that file, or move it away to go on with the old one"
                    );
                }
            }
            // If the file is intact, our own write touched it: some network file systems date
            // writes late.
            Err(Interference::Touched) if self.is_whole() => self.watch.written(),
            Err(Interference::Deleted) => self.recreate(Interference::Deleted),
            Err(Interference::Changed | Interference::Touched) => {
                self.recreate(Interference::Changed);
            }
        }
    }

    /// Whether every page of the file is as it was written. Reads the whole file.
    fn is_whole(&mut self) -> bool {
        let tables = AssertUnwindSafe(&mut self.tables);
        catch_unwind(|| { tables }.is_whole()).unwrap_or(false)
    }

    /// Creates a new file. The contents of a deleted file are copied; those of a damaged one are
    /// not.
    fn recreate(&mut self, interference: Interference) {
        let path = self.path.clone();
        let damaged = aside(&path);
        if interference == Interference::Changed {
            // The next start must not find the file, and an operator may want to examine it.
            let _ = std::fs::rename(&path, &damaged);
        }
        let recreated = database(&path).and_then(|(database, file)| {
            let watch = FileWatch::new(&path, file).map_err(|error| OpenError::io(&path, error))?;
            Ok((database, watch))
        });
        let (database, watch) = match recreated {
            Ok(recreated) => recreated,
            Err(error) => {
                if !self.failing {
                    error!(%error, "the store's file {interference}, and a new one cannot be begun yet");
                }
                self.failing = true;
                return;
            }
        };
        let other = |error| OpenError::other(&path, error);
        let begun = match interference {
            Interference::Changed | Interference::Touched => {
                let old = std::mem::replace(self.tables.database(), database);
                // redb may panic about the state of its file.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(old)));
                self.tables.change(Change::put(META, FORMAT, OURS));
                self.tables
                    .change(Change::put(META, NAMES_KEY, self.names_key));
                Sessions::begin(
                    &mut self.tables,
                    self.limits.max_age,
                    self.limits.max_sessions,
                )
                .map(|sessions| self.sessions = sessions)
                .map_err(other)
            }
            Interference::Deleted | Interference::Replaced => {
                self.tables.copy_to(database).map_err(other)
            }
        };
        self.watch = watch;
        self.counts.recreated.fetch_add(1, Relaxed);
        self.failing = false;
        match (begun, interference) {
            (Err(error), _) => {
                self.failing = true;
                error!(%error, "the store's file {interference}, and the new one cannot be written");
            }
            (Ok(()), Interference::Changed | Interference::Touched) => error!(
                path = %path.display(),
                moved_to = %damaged.display(),
                "the store's file {interference} by somebody else; a new one is begun: sessions and subscribers of \
                 before are in it once they change"
            ),
            (Ok(()), Interference::Deleted | Interference::Replaced) => warn!(
                path = %path.display(),
                "the store's file {interference} by another program; a new file has all its contents"
            ),
        }
        self.guarded_commit();
    }

    /// Commits the contents of the new file. A panic now is not caused by the old file.
    fn guarded_commit(&mut self) {
        if catch_unwind(AssertUnwindSafe(|| self.commit())).is_err() {
            self.failing = true;
        }
    }
}

/// Seconds since 1970, a time that is valid in other processes.
#[expect(
    clippy::disallowed_methods,
    reason = "the age of a record is told in days"
)]
fn today() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

/// Longest time from a change to its commit, with all changes meanwhile.
pub const COMMIT_INTERVAL: Duration = Duration::from_millis(200);
/// The interval of sweeps for old sessions, and of retries of a failed commit.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// The least interval between two checks of the file for interference.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_millis(50);
