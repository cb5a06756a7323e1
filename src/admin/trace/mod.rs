//! Traces, each of one subscriber.
//!
//! A trace is a task on the control thread. It receives events from the shards and adds them to a
//! [`Recording`]. An ended trace is kept for [`RETENTION`]. The log line of a start and an end has
//! the target `audit`.

mod http;
mod request;

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
use self::request::TraceOptions;
use super::access::Client;
use crate::server::{Shards, TapEvent, TraceSubscription};
use crate::trace::{Observation, Recording};

/// All traces. Clones share one table.
#[derive(Clone)]
pub(super) struct Traces {
    shards: Arc<OnceLock<Shards>>,
    table: Arc<Mutex<TraceTable>>,
}

#[derive(Default)]
struct TraceTable {
    last: u64,
    traces: BTreeMap<u64, Arc<Trace>>,
}

/// One trace, running or over.
struct Trace {
    id: u64,
    subject: String,
    /// The subject as the log may show it.
    logged: String,
    raw: bool,
    began: Instant,
    lasts: Duration,
    stop: CancellationToken,
    recording: Mutex<Recording>,
    /// The number of entries, and the reason of the end.
    progress: watch::Sender<Progress>,
    lost: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    entries: usize,
    ended: Option<(EndReason, Instant)>,
}

/// The reason for the end of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum EndReason {
    /// Its time ran out.
    TimeUp,
    /// An operator stopped it.
    Stopped,
    /// It reached [`MAX_OCTETS`].
    Full,
    /// The shards stopped.
    Gone,
}

/// The reason why a trace did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum StartError {
    #[error("{MAX_RUNNING} traces are running, which is the most: stop one of them")]
    TooMany,
    #[error("the gateway is still starting")]
    Starting,
}

/// A trace as JSON.
#[derive(Debug, Serialize)]
struct TraceInfo {
    id: u64,
    subject: String,
    raw: bool,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<EndReason>,
    /// Seconds until its time runs out.
    remaining_s: u64,
    entries: usize,
    datagrams: u64,
    octets: usize,
    /// Events dropped because the channel to the control thread was full.
    lost: u64,
}

impl Traces {
    pub(super) fn new(shards: Arc<OnceLock<Shards>>) -> Self {
        Self {
            shards,
            table: Arc::default(),
        }
    }

    /// The number of running traces.
    pub(super) fn running(&self) -> usize {
        let table = self.table();
        table
            .traces
            .values()
            .filter(|trace| trace.is_running())
            .count()
    }

    /// Starts a trace. Returns when every shard sends its events.
    async fn begin(&self, options: TraceOptions, client: Client) -> Result<Arc<Trace>, StartError> {
        let shards = self.shards.get().ok_or(StartError::Starting)?.clone();
        let (catch, caught) = mpsc::channel(CHANNEL);
        let trace = {
            let mut table = self.table();
            table.clean();
            let running = table.traces.values().filter(|trace| trace.is_running());
            if running.count() >= MAX_RUNNING {
                return Err(StartError::TooMany);
            }
            table.last += 1;
            let trace = Arc::new(Trace {
                id: table.last,
                subject: options.subject.to_string(),
                logged: options.subject.logged(),
                raw: options.raw,
                began: Instant::now(),
                lasts: options.lasts,
                stop: CancellationToken::new(),
                recording: Mutex::new(Recording::new(MAX_OCTETS, options.raw, shards.names())),
                progress: watch::Sender::default(),
                lost: Arc::default(),
            });
            table.traces.insert(trace.id, Arc::clone(&trace));
            trace
        };
        let (id, subject) = (trace.id, &trace.logged);
        info!(target: "audit", client = %client.0, trace = id, subject, raw = options.raw, seconds = options.lasts.as_secs(), "trace begun");
        let watch = TraceSubscription {
            id,
            subject: options.subject,
            events: catch,
            lost: Arc::clone(&trace.lost),
        };
        // A client that hangs up cancels this function; the task ends the trace in that case too.
        let (tell, armed) = oneshot::channel();
        let running = Arc::clone(&trace);
        tokio::spawn(async move {
            shards.arm(&watch).await;
            // This sender would keep the channel open.
            drop(watch);
            let _ = tell.send(());
            run(running, shards, caught).await;
        });
        let _ = armed.await;
        Ok(trace)
    }

    fn find(&self, id: u64) -> Option<Arc<Trace>> {
        self.table().traces.get(&id).cloned()
    }

    /// Stops a running trace, or removes an ended one.
    fn end(&self, trace: &Trace) {
        if trace.is_running() {
            trace.stop.cancel();
        } else {
            self.table().traces.remove(&trace.id);
        }
    }

    fn list(&self) -> Vec<TraceInfo> {
        let mut table = self.table();
        table.clean();
        table.traces.values().map(|trace| trace.info()).collect()
    }

    fn table(&self) -> MutexGuard<'_, TraceTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TraceTable {
    /// Removes ended traces that are too old, and the oldest while there are too many.
    fn clean(&mut self) {
        let over = |trace: &Arc<Trace>| trace.progress.borrow().ended.map(|(_, at)| at);
        self.traces
            .retain(|_, trace| over(trace).is_none_or(|at| at.elapsed() < RETENTION));
        while self
            .traces
            .values()
            .filter(|trace| over(trace).is_some())
            .count()
            >= MAX_ENDED
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
    fn recording(&self) -> MutexGuard<'_, Recording> {
        self.recording
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn is_running(&self) -> bool {
        self.progress.borrow().ended.is_none()
    }

    fn info(&self) -> TraceInfo {
        let Progress { entries, ended } = *self.progress.borrow();
        let recording = self.recording();
        let remaining = match ended {
            None => self.lasts.saturating_sub(self.began.elapsed()).as_secs(),
            Some(_) => 0,
        };
        TraceInfo {
            id: self.id,
            subject: self.subject.clone(),
            raw: self.raw,
            state: if ended.is_none() { "running" } else { "ended" },
            ended: ended.map(|(why, _)| why),
            remaining_s: remaining,
            entries,
            datagrams: recording.datagrams(),
            octets: recording.octets(),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }

    fn add(&self, at: Duration, seen: Observation) -> bool {
        let (entries, is_full) = {
            let mut recording = self.recording();
            recording.add(at, seen);
            (recording.entries().len(), recording.is_full())
        };
        self.progress
            .send_modify(|progress| progress.entries = entries);
        is_full
    }
}

/// Receives events until the trace ends.
async fn run(trace: Arc<Trace>, shards: Shards, mut caught: mpsc::Receiver<TapEvent>) {
    let end = trace.began + trace.lasts;
    let why = loop {
        let one = tokio::select! {
            one = caught.recv() => one,
            () = tokio::time::sleep_until(end) => break EndReason::TimeUp,
            () = trace.stop.cancelled() => break EndReason::Stopped,
        };
        match one {
            Some(TapEvent::Observed(at, seen)) => {
                if trace.add(at, seen) {
                    break EndReason::Full;
                }
            }
            Some(TapEvent::Session(session)) => shards.follow_session(trace.id, session).await,
            Some(TapEvent::Moved(address)) => shards.follow_address(trace.id, address).await,
            None => break EndReason::Gone,
        }
    };
    shards.disarm(trace.id).await;
    // Events that the shards sent before they were disarmed.
    let rest = async {
        while let Some(one) = caught.recv().await {
            if let TapEvent::Observed(at, seen) = one {
                trace.add(at, seen);
            }
        }
    };
    let _ = tokio::time::timeout(DISARM_TIMEOUT, rest).await;
    trace
        .progress
        .send_modify(|progress| progress.ended = Some((why, Instant::now())));
    let info = trace.info();
    let (datagrams, octets, lost) = (info.datagrams, info.octets, info.lost);
    info!(target: "audit", trace = trace.id, subject = trace.logged, why = ?why, datagrams, octets, lost, seconds = trace.began.elapsed().as_secs(), "trace ended");
}

/// The most traces that run at once.
const MAX_RUNNING: usize = 4;
/// The most ended traces that are kept.
const MAX_ENDED: usize = 8;
/// The time for which an ended trace is kept.
const RETENTION: Duration = Duration::from_secs(15 * 60);
/// The most octets of one trace.
const MAX_OCTETS: usize = 8 << 20;
/// The time in which the shards stop sending.
const DISARM_TIMEOUT: Duration = Duration::from_secs(1);
/// Events queued for the control thread.
const CHANNEL: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Subject;

    #[tokio::test]
    async fn a_trace_whose_client_hangs_up_while_it_begins_ends_all_the_same() {
        let (shards, hanging) = Shards::hanging();
        let traces = Traces::new(Arc::new(OnceLock::from(shards)));
        let options = TraceOptions {
            subject: Subject::Number("491701234567".to_owned()),
            lasts: Duration::from_secs(60),
            raw: false,
        };
        let client = Client(([127, 0, 0, 1], 1).into());
        let begun = traces.begin(options, client);
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
