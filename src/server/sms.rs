//! Pushes by SMS: from the gateway of pushes to the SMS centres, and their outcomes back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::clock::Clock;
use crate::push::{Deliver, Outcome};
use crate::smsc::{Centres, Outcomes, Submission};

/// The running bearer. Dropped, its tasks end.
#[derive(Debug)]
pub struct SmsBearer {
    messages: ShortMessages,
    links: JoinSet<()>,
    task: JoinHandle<()>,
}

/// The way to the centres. Clones lead to the same ones.
#[derive(Clone, Debug)]
pub struct ShortMessages(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    centres: Centres,
    /// Whether attempts may begin.
    ready: watch::Receiver<bool>,
    /// Attempts without an outcome. As many as the centres hold: their queues, windows and receipts
    /// are bounded.
    attempts: Mutex<HashMap<u64, oneshot::Sender<Outcome>>>,
}

impl SmsBearer {
    /// Starts the bearer for centres that were just started.
    #[must_use]
    pub fn start((centres, outcomes, links): (Centres, Outcomes, JoinSet<()>)) -> Self {
        let (shown, ready) = watch::channel(false);
        tokio::spawn(wait_for_binds(centres.clone(), shown));
        let messages = ShortMessages(Arc::new(Shared {
            centres,
            ready,
            attempts: Mutex::default(),
        }));
        let task = tokio::spawn(messages.clone().tell(outcomes));
        Self {
            messages,
            links,
            task,
        }
    }

    /// The way to the centres.
    #[must_use]
    pub fn messages(&self) -> ShortMessages {
        self.messages.clone()
    }

    /// The centres.
    #[must_use]
    pub fn centres(&self) -> &Centres {
        &self.messages.0.centres
    }

    /// Unbinds from the centres, and tells the last outcomes.
    pub async fn stop(mut self) {
        self.centres().stop();
        let unbound = async { while self.links.join_next().await.is_some() {} };
        // A centre that does not answer is left.
        let _ = timeout(UNBIND_TIME, unbound).await;
        self.links.shutdown().await;
        // Without links the task ends after the last outcome.
        if timeout(UNBIND_TIME, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

impl ShortMessages {
    /// Makes an attempt for a number. Returns its outcome, which a receipt may bring days later.
    pub async fn deliver(&self, number: &str, deliver: &Deliver) -> Outcome {
        // An end of the sender is as good: nothing is waited for any more.
        let _ = self.0.ready.clone().wait_for(|is_ready| *is_ready).await;
        let now = Clock::start().wall() / 1_000;
        let submission = Submission::of(now, number, deliver);
        let (outcome, told) = oneshot::channel();
        // Before the submission: its outcome may come at once.
        self.attempts().insert(submission.id, outcome);
        if let Err(known) = self.0.centres.submit(&submission) {
            self.attempts().remove(&submission.id);
            return known.into();
        }
        // Without an outcome the bearer has stopped.
        told.await.unwrap_or(Outcome::Busy)
    }

    /// Gives each attempt its outcome. Returns once the links have ended and all outcomes are told.
    async fn tell(self, mut outcomes: Outcomes) {
        while let Some((attempt, outcome)) = outcomes.recv().await {
            if let Some(waiting) = self.attempts().remove(&attempt) {
                // The attempt may have been given up.
                let _ = waiting.send(outcome.into());
            }
        }
        self.attempts().clear();
    }

    fn attempts(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Outcome>>> {
        let attempts = &self.0.attempts;
        attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets attempts begin once the centres are bound, or a while after the start: attempts of the last
/// run would lose a round otherwise.
async fn wait_for_binds(centres: Centres, shown: watch::Sender<bool>) {
    let bound = async {
        while !centres.are_bound() {
            sleep(START_POLL).await;
        }
    };
    let _ = timeout(START_TIME, bound).await;
    shown.send_replace(true);
}

/// Time for the centres to answer the unbind.
const UNBIND_TIME: Duration = Duration::from_secs(2);
/// Time for the first binds.
const START_TIME: Duration = Duration::from_secs(10);
/// How often the binds are looked at meanwhile.
const START_POLL: Duration = Duration::from_millis(50);
