//! The task that owns the pushes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::{error, info};

use super::PushCounts;
use super::bearer::Bearers;
use super::initiators::{Initiators, Known};
use super::notifier::Notifier;
use crate::initiator::TerminalSettings;
use crate::push::pap::multipart::Entity;
use crate::push::pap::{Operation, Response, Status, Versions};
use crate::push::ppg::{self, DeliveryRecord, Event, Listing, Page, Ppg};
use crate::push::{AttemptId, Bearer, Outcome, Recipient};
use crate::record::PushRecorder;
use crate::server::clock::Clock;
use crate::store::{Change, StoreHandle, Table};

/// A request to the task.
#[derive(Debug)]
pub(super) enum Request {
    /// An operation of an initiator, with the content of a submission.
    Operate {
        known: Arc<Known>,
        versions: Versions,
        operation: Operation,
        content: Option<Entity>,
        answer: oneshot::Sender<Response>,
    },
    /// A page of the pushes.
    List(Listing, oneshot::Sender<Page>),
    /// New settings, and those of terminals.
    Configure(Box<ppg::Config>, Option<Arc<TerminalSettings>>),
    /// The end: the first answer comes once it is known, and from then on a short message without a
    /// centre counts as no attempt. The second comes once the last outcomes are stored.
    Stop(oneshot::Sender<()>, oneshot::Sender<()>),
}

pub(super) struct Keeper {
    ppg: Ppg,
    clock: Clock,
    bearers: Bearers,
    notifier: Notifier,
    store: Option<StoreHandle>,
    shown: watch::Sender<PushCounts>,
    initiators: Initiators,
    records: PushRecorder,
    /// Changes that the store did not take yet, by key.
    unsaved: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Short messages under way.
    by_sms: usize,
    /// Told once the task has ended in order.
    stopping: Option<oneshot::Sender<()>>,
}

/// A result of a task that does I/O.
enum Done {
    Attempt(AttemptId, Bearer, Outcome),
    Notice((u64, u32), bool),
}

impl Keeper {
    pub(super) fn new(
        ppg: Ppg,
        bearers: Bearers,
        notifier: Notifier,
        store: Option<StoreHandle>,
        shown: watch::Sender<PushCounts>,
        initiators: Initiators,
        records: PushRecorder,
    ) -> Self {
        Self {
            ppg,
            clock: Clock::start(),
            bearers,
            notifier,
            store,
            shown,
            initiators,
            records,
            unsaved: BTreeMap::new(),
            by_sms: 0,
            stopping: None,
        }
    }

    /// Milliseconds since 1970 that never run backwards while the process lives.
    fn now(&self) -> u64 {
        let since = self.clock.now().as_micros() / 1_000;
        let start = self.clock.unix().saturating_sub(since / 1_000);
        start * 1_000 + since
    }

    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        // Each attempt and each notification ends in one message, and their number is limited.
        let (done, mut came) = mpsc::unbounded_channel();
        self.restore();
        // Pushes may have expired meanwhile. Their ends are stored before they are told.
        self.save(Vec::new()).await;
        self.drain(&done);
        let mut batch = Vec::new();
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            let now = self.now();
            let due = self
                .ppg
                .poll_timeout()
                .map(|at| Duration::from_millis(at.saturating_sub(now)));
            let wake = tokio::time::sleep(due.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP));
            let mut answers = Vec::new();
            tokio::select! {
                count = requests.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    for request in batch.drain(..) {
                        self.obey(request, &mut answers);
                    }
                }
                Some(first) = came.recv() => {
                    self.end(first);
                    while let Ok(next) = came.try_recv() {
                        self.end(next);
                    }
                }
                () = wake => {
                    let now = self.now();
                    self.ppg.handle_timeout(now);
                }
                _ = second.tick() => {}
            }
            self.save(answers).await;
            if let Some(stopped) = self.stopping.take() {
                self.finish(&mut came).await;
                let _ = stopped.send(());
                return;
            }
            self.drain(&done);
            self.shown.send_replace(PushCounts {
                ppg: self.ppg.stats(),
                requests: self.initiators.counts(),
            });
        }
    }

    /// Takes in the outcomes of short messages, which would be sent again after the next start.
    /// Begins nothing.
    async fn finish(&mut self, came: &mut mpsc::UnboundedReceiver<Done>) {
        let outcomes = async {
            while self.by_sms > 0
                && let Some(next) = came.recv().await
            {
                match next {
                    // Not sent: after the next start the same attempt is made again.
                    Done::Attempt(_, bearer, Outcome::Unreachable | Outcome::Busy)
                        if bearer.is_by_sms() =>
                    {
                        self.by_sms -= 1;
                    }
                    next => self.end(next),
                }
            }
        };
        let _ = timeout(LAST_OUTCOMES, outcomes).await;
        while let Some(event) = self.ppg.poll_event() {
            if let Event::Finished(record) = event {
                self.record(&record);
            }
        }
        self.records.flush();
        self.save(Vec::new()).await;
    }

    fn restore(&mut self) {
        let Some(store) = self.store.clone() else {
            return;
        };
        let now = self.now();
        let useless = self.ppg.restore(now, store.entries(TABLE));
        let held = self.ppg.stats().pushes;
        if held > 0 {
            info!(held, "pushes restored");
        }
        let changes = useless.into_iter().map(|key| Change::delete(TABLE, key));
        store.write(changes.collect());
    }

    /// Writes the changes to the store, then gives the answers. A submission that the store does
    /// not have is not accepted.
    async fn save(&mut self, answers: Vec<(oneshot::Sender<Response>, Response)>) {
        self.unsaved.extend(self.ppg.take_changes());
        let mut is_stored = true;
        if let (Some(store), false) = (&self.store, self.unsaved.is_empty()) {
            let changes = self.unsaved.iter().map(|(key, value)| Change {
                table: TABLE,
                key: key.clone(),
                value: value.clone(),
            });
            // A full queue takes nothing; the same changes are written the next time.
            is_stored = store.write(changes.collect());
            if is_stored {
                self.unsaved.clear();
                // Results that were told are committed at once, too: a crash would tell them again.
                let flushed = store.clone();
                let _ = tokio::task::spawn_blocking(move || flushed.flush()).await;
                is_stored = !store.stats().failing;
            }
            if !is_stored {
                error!("pushes cannot be stored");
            }
        }
        for (answer, response) in answers {
            let response = match response {
                Response::Push {
                    push_id,
                    sender_name,
                    reply_time,
                    notes,
                    code: Status::ACCEPTED,
                    ..
                } if !is_stored => Response::Push {
                    push_id,
                    sender_name,
                    reply_time,
                    notes,
                    code: Status::SERVICE_FAILURE,
                    desc: Some(
                        "the push could not be stored; it may be delivered all the same".to_owned(),
                    ),
                },
                response => response,
            };
            // The initiator may have gone.
            let _ = answer.send(response);
        }
    }

    fn obey(&mut self, request: Request, answers: &mut Vec<(oneshot::Sender<Response>, Response)>) {
        let now = self.now();
        match request {
            Request::Operate {
                known,
                versions,
                operation,
                content,
                answer,
            } => {
                let response = self.operate(now, &known, &versions, operation, content.as_ref());
                answers.push((answer, response));
            }
            Request::List(listing, answer) => {
                let _ = answer.send(self.ppg.list(&listing));
            }
            Request::Configure(config, terminals) => {
                self.ppg.set_config(*config);
                self.bearers.set_terminals(terminals);
            }
            Request::Stop(began, stopped) => {
                self.stopping = Some(stopped);
                // The requester may have gone.
                let _ = began.send(());
            }
        }
    }

    fn operate(
        &mut self,
        now: u64,
        known: &Known,
        versions: &Versions,
        operation: Operation,
        content: Option<&Entity>,
    ) -> Response {
        let initiator = known.initiator();
        match operation {
            Operation::Push(submission) => {
                let may_reach = |recipient: &Recipient| known.may_reach(recipient);
                let notifier = self.notifier.clone();
                let may = (may_reach, |url: &str| notifier.may_tell(url));
                self.ppg
                    .submit(now, &initiator, versions, &submission, content, may)
            }
            Operation::Cancel(query) => self.ppg.cancel(now, &initiator.name, &query),
            Operation::Status(query) => self.ppg.status(&initiator.name, &query),
            // The listener answers capability queries: a session has the answer, and no push.
            Operation::Capabilities { .. } | Operation::Notification(_) => Response::BadMessage {
                code: Status::BAD_REQUEST,
                desc: Some("results are told by the gateway and not to it".to_owned()),
                fragment: None,
            },
        }
    }

    fn end(&mut self, done: Done) {
        let now = self.now();
        match done {
            Done::Attempt(attempt, bearer, outcome) => {
                self.by_sms -= usize::from(bearer.is_by_sms());
                self.ppg.handle_outcome(now, attempt, outcome);
            }
            Done::Notice(place, told) => self.ppg.handle_notified(now, place, told),
        }
    }

    /// Executes the events of the gateway.
    fn drain(&mut self, done: &mpsc::UnboundedSender<Done>) {
        while let Some(event) = self.ppg.poll_event() {
            match event {
                Event::Deliver(deliver) => {
                    let (bearers, done) = (self.bearers.clone(), done.clone());
                    self.by_sms += usize::from(deliver.bearer.is_by_sms());
                    tokio::spawn(async move {
                        let (attempt, bearer) = (deliver.attempt, deliver.bearer);
                        let outcome = bearers.deliver(deliver).await;
                        let _ = done.send(Done::Attempt(attempt, bearer, outcome));
                    });
                }
                Event::Notify(notice) => {
                    let (notifier, done) = (self.notifier.clone(), done.clone());
                    tokio::spawn(async move {
                        let place = notice.place;
                        let told = notifier.tell(notice).await;
                        let _ = done.send(Done::Notice(place, told));
                    });
                }
                Event::Finished(record) => self.record(&record),
            }
        }
        self.records.flush();
    }

    fn record(&mut self, record: &DeliveryRecord) {
        let identity = self.bearers.identity(&record.recipient);
        self.records.finished(record, identity.as_deref());
    }
}

/// The store's table of pushes.
const TABLE: Table = Table("pushes");
/// Requests answered with one commit of the store.
const BATCH: usize = 256;
/// Time for the last outcomes of short messages. Their bearer stops at the same time and takes 4 s
/// at most.
const LAST_OUTCOMES: Duration = Duration::from_secs(5);
const LONGEST_SLEEP: Duration = Duration::from_secs(3_600);
