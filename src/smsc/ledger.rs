//! The submissions of one centre: their short messages, the answers, and the receipts.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::settings::{ReceiptId, Settings};
use super::stats::{Shared, add};
use super::{Outcome, Submission};
use crate::identity::Private;
use crate::smpp::{Answer, Fault, Receipt, State};
use crate::time::Instant;

/// A submission, cut into short messages.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: u64,
    pub(super) number: Private,
    pub(super) messages: Vec<Vec<u8>>,
    pub(super) expires: Instant,
}

/// A short message to be submitted now.
#[derive(Debug)]
pub(super) struct Next<'a> {
    pub(super) tag: u64,
    pub(super) number: &'a str,
    pub(super) user_data: &'a [u8],
    pub(super) expires: Instant,
    pub(super) more: bool,
}

/// The submissions of one centre. Outcomes are collected, and taken with [`Ledger::outcomes`].
#[derive(Debug)]
pub(super) struct Ledger {
    settings: Limits,
    /// Jobs with messages to submit, in their order.
    sending: VecDeque<u64>,
    jobs: HashMap<u64, Progress>,
    /// Jobs that wait for receipts, by the time they are given up.
    awaiting: BTreeSet<(Instant, u64)>,
    /// The messages whose receipts are awaited, by the centre's names.
    by_message: HashMap<Box<str>, u64>,
    /// Receipts that came ahead of the response that names their message.
    early: VecDeque<(Box<str>, State)>,
    outcomes: Vec<(u64, Outcome)>,
    /// The next job's own name.
    last: u64,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    receipts: bool,
    receipt_id: ReceiptId,
    max_receipts: usize,
    receipt_timeout: std::time::Duration,
}

#[derive(Debug)]
struct Progress {
    job: Job,
    /// The first message that was never submitted.
    next: usize,
    /// Messages to be submitted again.
    again: VecDeque<usize>,
    /// How often the centre has throttled one of them.
    throttled: u32,
    /// Messages that the centre has not accepted yet.
    unanswered: usize,
    /// Messages without a receipt that says delivered.
    unconfirmed: usize,
    /// The centre's names for those.
    names: Vec<Box<str>>,
    /// When its receipts are given up, once the centre has accepted all messages.
    deadline: Option<Instant>,
}

impl Ledger {
    pub(super) fn new(settings: &Settings) -> Self {
        let settings = Limits {
            receipts: settings.session.receipts,
            receipt_id: settings.receipt_id,
            max_receipts: settings.max_receipts,
            receipt_timeout: settings.receipt_timeout,
        };
        Self {
            settings,
            sending: VecDeque::new(),
            jobs: HashMap::new(),
            awaiting: BTreeSet::new(),
            by_message: HashMap::new(),
            early: VecDeque::new(),
            outcomes: Vec::new(),
            last: 0,
        }
    }

    /// Takes in a job.
    pub(super) fn push(&mut self, job: Job) {
        self.last += 1;
        let messages = job.messages.len();
        let progress = Progress {
            job,
            next: 0,
            again: VecDeque::new(),
            throttled: 0,
            unanswered: messages,
            unconfirmed: messages,
            names: Vec::new(),
            deadline: None,
        };
        self.jobs.insert(self.last, progress);
        self.sending.push_back(self.last);
    }

    /// Jobs with messages to submit.
    pub(super) fn queued(&self) -> usize {
        self.sending.len()
    }

    /// Jobs that wait for receipts.
    pub(super) fn awaiting(&self) -> usize {
        self.awaiting.len()
    }

    /// The next message to submit, which is now under way. The messages of one job follow each
    /// other.
    pub(super) fn next(&mut self, now: Instant) -> Option<Next<'_>> {
        loop {
            let key = *self.sending.front()?;
            let progress = self.jobs.get_mut(&key);
            let (is_over, place) = match progress {
                None => (true, None),
                Some(progress) if progress.job.expires <= now => {
                    self.end(key, Outcome::Expired);
                    continue;
                }
                Some(progress) => {
                    let place = progress.again.pop_front().or_else(|| {
                        let next = progress.next;
                        (next < progress.job.messages.len()).then(|| {
                            progress.next += 1;
                            next
                        })
                    });
                    let left = progress.next < progress.job.messages.len();
                    (!left && progress.again.is_empty(), place)
                }
            };
            if is_over {
                self.sending.pop_front();
            }
            let Some(place) = place else { continue };
            let progress = self.jobs.get(&key)?;
            return Some(Next {
                tag: key << 8 | place as u64,
                number: progress.job.number.reveal(),
                user_data: progress.job.messages.get(place)?,
                expires: progress.job.expires,
                more: place + 1 < progress.job.messages.len(),
            });
        }
    }

    /// The centre has answered a message.
    pub(super) fn answered(&mut self, now: Instant, tag: u64, answer: Answer, stats: &Shared) {
        let (key, place) = (tag >> 8, usize::from((tag & 0xFF) as u8));
        let counter = match &answer {
            Answer::Accepted(_) => &stats.accepted,
            Answer::Lost => &stats.lost,
            Answer::Refused(status) => match status.fault() {
                Fault::Throttled => &stats.throttled,
                Fault::Temporary => &stats.failed,
                Fault::Permanent => &stats.refused,
            },
        };
        add(counter, 1);
        let Some(progress) = self.jobs.get_mut(&key) else {
            return;
        };
        match answer {
            Answer::Accepted(name) => {
                progress.unanswered -= 1;
                self.accepted(now, key, &name, stats);
            }
            Answer::Lost => self.end(key, Outcome::Unreachable),
            Answer::Refused(status) if status.fault() == Fault::Throttled => {
                progress.throttled += 1;
                if progress.throttled > MOST_THROTTLED {
                    return self.end(key, Outcome::Busy);
                }
                progress.again.push_back(place);
                if !self.sending.contains(&key) {
                    self.sending.push_front(key);
                }
            }
            Answer::Refused(status) => {
                let permanent = status.fault() == Fault::Permanent;
                let reason = status.to_string();
                self.end(key, Outcome::Refused { permanent, reason });
            }
        }
    }

    fn accepted(&mut self, now: Instant, key: u64, name: &str, stats: &Shared) {
        let Some(progress) = self.jobs.get_mut(&key) else {
            return;
        };
        let expected = self.settings.receipts && !name.is_empty();
        if expected {
            let name = normal(name);
            progress.names.push(name.clone());
            self.by_message.insert(name, key);
        }
        if progress.unanswered == 0 {
            // A message without a name has no receipt that we would recognise.
            if progress.names.len() < progress.job.messages.len() {
                return self.end(key, Outcome::Sent);
            }
            // The centre has the octets; a job that waits for receipts needs none.
            for message in &mut progress.job.messages {
                *message = Vec::new();
            }
            let deadline = now + self.settings.receipt_timeout;
            progress.deadline = Some(deadline);
            self.awaiting.insert((deadline, key));
            if self.awaiting.len() > self.settings.max_receipts
                && let Some(&(_, oldest)) = self.awaiting.first()
            {
                add(&stats.abandoned, 1);
                self.end(oldest, Outcome::Sent);
            }
        }
        if expected {
            let name = normal(name);
            if let Some(place) = self.early.iter().position(|(early, _)| *early == name)
                && let Some((name, state)) = self.early.remove(place)
            {
                self.settle(&name, state, stats);
            }
        }
    }

    /// A receipt has come.
    pub(super) fn receipt(&mut self, receipt: &Receipt, stats: &Shared) {
        let name = match self.settings.receipt_id {
            ReceiptId::Same => normal(&receipt.message_id),
            ReceiptId::Decimal => match receipt.message_id.trim().parse::<u128>() {
                Ok(number) => format!("{number:x}").into(),
                Err(_) => normal(&receipt.message_id),
            },
        };
        if self.by_message.contains_key(&name) {
            return self.settle(&name, receipt.state, stats);
        }
        if receipt.state == State::Pending {
            return;
        }
        if self.early.len() >= MOST_EARLY && self.early.pop_front().is_some() {
            add(&stats.strays, 1);
        }
        self.early.push_back((name, receipt.state));
    }

    fn settle(&mut self, name: &str, state: State, stats: &Shared) {
        let Some(&key) = self.by_message.get(name) else {
            return;
        };
        match state {
            State::Pending => {}
            State::Delivered => {
                add(&stats.delivered, 1);
                self.by_message.remove(name);
                if let Some(progress) = self.jobs.get_mut(&key) {
                    progress.unconfirmed -= 1;
                    if progress.unconfirmed == 0 {
                        self.end(key, Outcome::Delivered);
                    }
                }
            }
            State::Failed(word) => {
                add(&stats.undelivered, 1);
                let permanent = word != "UNKNOWN";
                let reason = word.to_owned();
                self.end(key, Outcome::Refused { permanent, reason });
            }
        }
    }

    /// The session has ended: what the centre has not taken is unreachable. What it has may still
    /// get its receipts.
    pub(super) fn disconnected(&mut self) {
        let mut unsent: Vec<u64> = self
            .jobs
            .iter()
            .filter(|(_, progress)| progress.unanswered > 0)
            .map(|(key, _)| *key)
            .collect();
        unsent.sort_unstable();
        for key in unsent {
            self.end(key, Outcome::Unreachable);
        }
    }

    /// The end of the process: no receipt will come, and messages that no centre has are
    /// unreachable.
    pub(super) fn finish(&mut self) {
        self.disconnected();
        for (_, key) in std::mem::take(&mut self.awaiting) {
            self.end(key, Outcome::Sent);
        }
    }

    /// Gives up the receipts that come too late.
    pub(super) fn expire(&mut self, now: Instant, stats: &Shared) {
        while let Some(&(deadline, key)) = self.awaiting.first()
            && deadline <= now
        {
            add(&stats.abandoned, 1);
            self.end(key, Outcome::Sent);
        }
    }

    /// When [`Ledger::expire`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.awaiting.first().map(|(deadline, _)| *deadline)
    }

    /// Takes the outcomes.
    pub(super) fn outcomes(&mut self) -> Vec<(u64, Outcome)> {
        std::mem::take(&mut self.outcomes)
    }

    fn end(&mut self, key: u64, outcome: Outcome) {
        let Some(progress) = self.jobs.remove(&key) else {
            return;
        };
        for name in &progress.names {
            if self.by_message.get(name) == Some(&key) {
                self.by_message.remove(name);
            }
        }
        match progress.deadline {
            Some(deadline) => {
                self.awaiting.remove(&(deadline, key));
            }
            None => self.sending.retain(|sending| *sending != key),
        }
        self.outcomes.push((progress.job.id, outcome));
    }
}

impl Job {
    pub(super) fn new(submission: &Submission, messages: Vec<Vec<u8>>, now: Instant) -> Self {
        Self {
            id: submission.id,
            number: submission.number.clone(),
            messages,
            expires: now + submission.lifetime,
        }
    }
}

/// A name as it is compared: in lower case, without zeros in front.
fn normal(name: &str) -> Box<str> {
    let name = name.trim().to_ascii_lowercase();
    match name.trim_start_matches('0') {
        "" => name.into(),
        rest => rest.into(),
    }
}

/// How often a centre may throttle a submission before it is given up.
const MOST_THROTTLED: u32 = 20;
/// Receipts kept that name no message yet.
const MOST_EARLY: usize = 256;
