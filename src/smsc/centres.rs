//! The centres together: which one a submission goes to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustls::client::ClientConfig;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant as Clock;
use tokio_util::sync::CancellationToken;

use super::ledger::Job;
use super::link::Link;
use super::settings::{ReferenceSize, Settings};
use super::stats::{Shared, Status, add};
use super::{Outcome, Submission};
use crate::sms::{Reference, segments};
use crate::time::Instant;

/// The outcomes of submissions by their names, in the order in which they came about.
pub type Outcomes = mpsc::Receiver<(u64, Outcome)>;

/// The centres of the configuration. Clones are the same centres.
#[derive(Clone, Debug)]
pub struct Centres(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    centres: Vec<Centre>,
    /// Counts the datagrams that need several messages.
    references: AtomicU32,
    start: Clock,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Centre {
    settings: Arc<Settings>,
    jobs: mpsc::Sender<Job>,
    stats: Arc<Shared>,
}

impl Centres {
    /// Starts a task for each centre, which connects and stays connected. `seed` is where
    /// concatenation references begin.
    ///
    /// Outcomes wait in a bounded queue: while the caller takes none, the centres rest. The tasks of
    /// the set end after [`Centres::stop`].
    pub fn start(
        settings: Vec<Settings>,
        tls: &Arc<ClientConfig>,
        seed: u32,
    ) -> (Self, Outcomes, JoinSet<()>) {
        let (outcomes, received) = mpsc::channel(WAITING_OUTCOMES);
        let (start, stop) = (Clock::now(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        let centres = settings
            .into_iter()
            .map(|settings| {
                let settings = Arc::new(settings);
                let stats = Arc::new(Shared::default());
                let (jobs, waiting) = mpsc::channel(settings.queue.max(1));
                let link = Link::new(
                    Arc::clone(&settings),
                    Arc::clone(tls),
                    Arc::clone(&stats),
                    outcomes.clone(),
                    start,
                );
                tasks.spawn(link.run(waiting, stop.clone()));
                Centre {
                    settings,
                    jobs,
                    stats,
                }
            })
            .collect();
        let inner = Inner {
            centres,
            references: AtomicU32::new(seed),
            start,
            stop,
        };
        (Self(Arc::new(inner)), received, tasks)
    }

    /// Gives a submission to the best centre that is bound: the one with the longest prefix of the
    /// number, and of several the one the configuration names first.
    ///
    /// # Errors
    ///
    /// The outcome, if it is known at once; no other follows then.
    pub fn submit(&self, submission: &Submission) -> Result<(), Outcome> {
        let number = submission.number.reveal();
        let mut candidates: Vec<(usize, &Centre)> = self
            .0
            .centres
            .iter()
            .filter_map(|centre| Some((centre.settings.takes(number)?, centre)))
            .collect();
        if candidates.is_empty() || !is_number(number) {
            return Err(Outcome::Refused {
                permanent: true,
                reason: "no SMS centre takes this number".to_owned(),
            });
        }
        candidates.sort_by_key(|(prefix, _)| std::cmp::Reverse(*prefix));
        let mut outcome = Outcome::Unreachable;
        for (_, centre) in candidates {
            if !centre.stats.bound.load(Ordering::Relaxed) {
                continue;
            }
            let job = self.job(submission, centre.settings.reference)?;
            match centre.jobs.try_send(job) {
                Ok(()) => return Ok(()),
                Err(_) => {
                    add(&centre.stats.full, 1);
                    outcome = Outcome::Busy;
                }
            }
        }
        Err(outcome)
    }

    /// Whether some centre would take this number, bound or not.
    #[must_use]
    pub fn take(&self, number: &str) -> bool {
        let mut centres = self.0.centres.iter();
        centres.any(|centre| centre.settings.takes(number).is_some())
    }

    /// Whether every centre is bound, or has been stopped.
    #[must_use]
    pub fn are_bound(&self) -> bool {
        let mut centres = self.0.centres.iter();
        self.0.stop.is_cancelled()
            || centres.all(|centre| centre.stats.bound.load(Ordering::Relaxed))
    }

    /// The state of each centre, in the order of the configuration.
    #[must_use]
    pub fn status(&self) -> Vec<Status> {
        let of = |centre: &Centre| Status {
            name: Arc::clone(&centre.settings.name),
            bound: centre.stats.bound.load(Ordering::Relaxed),
            counts: centre.stats.counts(),
        };
        self.0.centres.iter().map(of).collect()
    }

    /// Ends every session. Submissions that no centre has taken yet become unreachable.
    pub fn stop(&self) {
        self.0.stop.cancel();
    }

    fn job(&self, submission: &Submission, size: ReferenceSize) -> Result<Job, Outcome> {
        let count = self.0.references.fetch_add(1, Ordering::Relaxed);
        let [_, _, high, low] = count.to_be_bytes();
        let reference = match size {
            ReferenceSize::Short => Reference::Short(low),
            ReferenceSize::Long => Reference::Long(u16::from_be_bytes([high, low])),
        };
        let messages = segments(&submission.datagram, submission.ports, reference)
            .map_err(|_| Outcome::TooLarge)?;
        Ok(Job::new(submission, messages, self.now()))
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.0.start.elapsed()
    }
}

/// Whether a PDU takes it: 20 digits at most.
fn is_number(number: &str) -> bool {
    (1..=20).contains(&number.len()) && number.bytes().all(|digit| digit.is_ascii_digit())
}

/// Outcomes that may wait to be taken.
const WAITING_OUTCOMES: usize = 1_024;
