//! Traces of one subscriber each: begun, watched, ended, kept for a while.
//!
//! A trace lives on the control thread: it takes what the shards' taps catch and makes a [`Story`] of it. Who
//! begins and ends one, and for whom, is in the log under the target `audit`.

mod http;
mod wanted;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::info;

pub(super) use self::http::router;
use self::wanted::Wanted;
use super::access::Client;
use crate::server::{Caught, Shards, Watch};
use crate::trace::{Seen, Story};

/// All traces. Clones are the same.
#[derive(Clone)]
pub(super) struct Traces {
    shards: Arc<OnceLock<Shards>>,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    last: u64,
    traces: BTreeMap<u64, Arc<Trace>>,
}

/// One trace, running or over.
struct Trace {
    id: u64,
    subject: String,
    /// The same for the log.
    logged: String,
    raw: bool,
    began: Instant,
    lasts: Duration,
    stop: CancellationToken,
    story: Mutex<Story>,
    /// How many entries there are, and why it is over once it is.
    progress: watch::Sender<Progress>,
    lost: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    entries: usize,
    ended: Option<(Why, Instant)>,
}

/// Why a trace is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Why {
    /// Its time was over.
    TimeUp,
    /// Somebody stopped it.
    Stopped,
    /// It had caught as much as one may keep.
    Full,
    /// The gateway stops.
    Gone,
}

/// Why a trace did not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum NotBegun {
    #[error("{MAX_RUNNING} traces are running, which is the most: stop one of them")]
    TooMany,
    #[error("the gateway is still starting")]
    Starting,
}

/// A trace in a list.
#[derive(Debug, Serialize)]
struct Row {
    id: u64,
    subject: String,
    raw: bool,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Why>,
    /// Seconds until it ends by itself.
    remaining_s: u64,
    entries: usize,
    datagrams: u64,
    octets: usize,
    /// What was seen and not caught, since the trace could not keep up.
    lost: u64,
}

impl Traces {
    pub(super) fn new(shards: Arc<OnceLock<Shards>>) -> Self {
        Self {
            shards,
            known: Arc::default(),
        }
    }

    /// How many run now.
    pub(super) fn running(&self) -> usize {
        let known = self.known();
        known
            .traces
            .values()
            .filter(|trace| trace.is_running())
            .count()
    }

    /// Begins one.
    async fn begin(&self, wanted: Wanted, client: Client) -> Result<Arc<Trace>, NotBegun> {
        let shards = self.shards.get().ok_or(NotBegun::Starting)?.clone();
        let (catch, caught) = mpsc::channel(CHANNEL);
        let trace = {
            let mut known = self.known();
            known.clean();
            let running = known.traces.values().filter(|trace| trace.is_running());
            if running.count() >= MAX_RUNNING {
                return Err(NotBegun::TooMany);
            }
            known.last += 1;
            let trace = Arc::new(Trace {
                id: known.last,
                subject: wanted.subject.to_string(),
                logged: wanted.subject.logged(),
                raw: wanted.raw,
                began: Instant::now(),
                lasts: wanted.lasts,
                stop: CancellationToken::new(),
                story: Mutex::new(Story::new(MAX_OCTETS, wanted.raw, shards.names())),
                progress: watch::Sender::default(),
                lost: Arc::default(),
            });
            known.traces.insert(trace.id, Arc::clone(&trace));
            trace
        };
        let (id, subject) = (trace.id, &trace.logged);
        info!(target: "audit", client = %client.0, trace = id, subject, raw = wanted.raw, seconds = wanted.lasts.as_secs(), "trace begun");
        let watch = Watch {
            id,
            subject: wanted.subject,
            caught: catch,
            lost: Arc::clone(&trace.lost),
        };
        // On a task of its own from here on: whoever asked may hang up, and the trace has to end all the same.
        let (tell, armed) = oneshot::channel();
        let running = Arc::clone(&trace);
        tokio::spawn(async move {
            shards.arm(&watch).await;
            // Else it would hold its own channel open.
            drop(watch);
            let _ = tell.send(());
            run(running, shards, caught).await;
        });
        let _ = armed.await;
        Ok(trace)
    }

    fn find(&self, id: u64) -> Option<Arc<Trace>> {
        self.known().traces.get(&id).cloned()
    }

    /// Stops one, or forgets one that is over.
    fn end(&self, trace: &Trace) {
        if trace.is_running() {
            trace.stop.cancel();
        } else {
            self.known().traces.remove(&trace.id);
        }
    }

    fn rows(&self) -> Vec<Row> {
        let mut known = self.known();
        known.clean();
        known.traces.values().map(|trace| trace.row()).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Forgets what is over for long, and the oldest of what is over if that is too much.
    fn clean(&mut self) {
        let over = |trace: &Arc<Trace>| trace.progress.borrow().ended.map(|(_, at)| at);
        self.traces
            .retain(|_, trace| over(trace).is_none_or(|at| at.elapsed() < KEPT));
        while self
            .traces
            .values()
            .filter(|trace| over(trace).is_some())
            .count()
            >= MAX_KEPT
        {
            let oldest = self.traces.values().find(|trace| over(trace).is_some());
            let Some(id) = oldest.map(|trace| trace.id) else {
                return;
            };
            self.traces.remove(&id);
        }
    }
}

impl Trace {
    fn story(&self) -> MutexGuard<'_, Story> {
        self.story.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_running(&self) -> bool {
        self.progress.borrow().ended.is_none()
    }

    fn row(&self) -> Row {
        let Progress { entries, ended } = *self.progress.borrow();
        let story = self.story();
        let remaining = match ended {
            None => self.lasts.saturating_sub(self.began.elapsed()).as_secs(),
            Some(_) => 0,
        };
        Row {
            id: self.id,
            subject: self.subject.clone(),
            raw: self.raw,
            state: if ended.is_none() { "running" } else { "ended" },
            ended: ended.map(|(why, _)| why),
            remaining_s: remaining,
            entries,
            datagrams: story.datagrams(),
            octets: story.octets(),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }

    fn add(&self, at: Duration, seen: Seen) -> bool {
        let (entries, is_full) = {
            let mut story = self.story();
            story.add(at, seen);
            (story.entries().len(), story.is_full())
        };
        self.progress
            .send_modify(|progress| progress.entries = entries);
        is_full
    }
}

/// Takes in what is caught until it is over, then tells everybody.
async fn run(trace: Arc<Trace>, shards: Shards, mut caught: mpsc::Receiver<Caught>) {
    let end = trace.began + trace.lasts;
    let why = loop {
        let one = tokio::select! {
            one = caught.recv() => one,
            () = tokio::time::sleep_until(end) => break Why::TimeUp,
            () = trace.stop.cancelled() => break Why::Stopped,
        };
        match one {
            Some(Caught::Seen(at, seen)) => {
                if trace.add(at, seen) {
                    break Why::Full;
                }
            }
            Some(Caught::Session(session)) => shards.follow_session(trace.id, session).await,
            Some(Caught::Moved(address)) => shards.follow_address(trace.id, address).await,
            None => break Why::Gone,
        }
    };
    shards.disarm(trace.id).await;
    // What was caught before, until every shard has let go.
    let rest = async {
        while let Some(one) = caught.recv().await {
            if let Caught::Seen(at, seen) = one {
                trace.add(at, seen);
            }
        }
    };
    let _ = tokio::time::timeout(LETTING_GO, rest).await;
    trace
        .progress
        .send_modify(|progress| progress.ended = Some((why, Instant::now())));
    let row = trace.row();
    let (datagrams, octets, lost) = (row.datagrams, row.octets, row.lost);
    info!(target: "audit", trace = trace.id, subject = trace.logged, why = ?why, datagrams, octets, lost, seconds = trace.began.elapsed().as_secs(), "trace ended");
}

/// Traces that run at once.
const MAX_RUNNING: usize = 4;
/// Traces that are over and kept.
const MAX_KEPT: usize = 8;
/// For how long.
const KEPT: Duration = Duration::from_secs(15 * 60);
/// Octets of one trace.
const MAX_OCTETS: usize = 8 << 20;
/// How long the shards may take to let go of one that is over.
const LETTING_GO: Duration = Duration::from_secs(1);
/// What may wait for the control thread.
const CHANNEL: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Subject;

    #[tokio::test]
    async fn a_trace_whose_client_hangs_up_while_it_begins_ends_all_the_same() {
        let (shards, hanging) = Shards::hanging();
        let traces = Traces::new(Arc::new(OnceLock::from(shards)));
        let wanted = Wanted {
            subject: Subject::Number("491701234567".to_owned()),
            lasts: Duration::from_secs(60),
            raw: false,
        };
        let client = Client(([127, 0, 0, 1], 1).into());
        let begun = traces.begin(wanted, client);
        let begun = tokio::time::timeout(Duration::from_millis(1), begun).await;
        assert!(begun.is_err(), "the shard takes no orders");
        assert_eq!(traces.running(), 1);
        drop(hanging);
        let over = async {
            while traces.running() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), over)
            .await
            .expect("the trace ends");
    }
}
