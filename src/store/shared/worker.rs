//! The thread of a shared store: takes messages, sends batches, and goes on alone while the store
//! does not answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::OpenError;
use super::changes::{Change, Changes, Target};
use super::exchange::{Claimed, Context, Why, Write, Written};
use super::keys::Keys;
use super::lease::{Lease, RENEWAL, in_words};
use super::link::{Link, OnPush};
use super::node::{Event, Joined, NotJoined, event, join, owner};
use super::settings::Settings;
use crate::store::change::{Entries, Table};
use crate::store::handle::MAX_PENDING;
use crate::store::message::{Answer, Counts, Message, OnLost};
use crate::store::{self, Limits};
use crate::worker::{Handle, Inbox, Received};
use crate::wsp::claim::ClaimKey;
use crate::wsp::log_id::KEY_LEN;
use crate::wsp::saved::SessionRecord;

/// What the thread begins with.
pub(super) struct Parts {
    pub(super) settings: Settings,
    pub(super) limits: Limits,
    pub(super) counts: Arc<Counts>,
    pub(super) queue: Handle<Message>,
    /// The secret of session ids if the store has none.
    pub(super) secret: [u8; KEY_LEN],
}

/// The thread's state.
pub(super) struct SharedWorker {
    parts: Parts,
    runtime: Runtime,
    keys: Keys,
    /// `None` while the store does not answer.
    link: Option<Link>,
    lease: Option<Lease>,
    /// This process, as the owner of sessions; empty before it has joined for the first time.
    owner: String,
    /// Whether the store has the secret of this process. Else digests of subscribers mean something
    /// else at other nodes.
    shares_secret: bool,
    owned: HashMap<u32, Owned>,
    changes: Changes,
    looks: Vec<(ClaimKey, Answer)>,
    /// Those who wait until everything is written.
    flushes: Vec<Sender<()>>,
    on_lost: Option<OnLost>,
    renewed: Instant,
    /// The earliest next attempt to join.
    retry: Instant,
    is_joining: bool,
    /// Whether the store did not answer the last time.
    failing: bool,
}

/// A session of this process.
#[derive(Clone, Copy, Debug)]
struct Owned {
    epoch: u64,
    /// Whether a shard has the session, and saved it since. A claimed session may not have found its
    /// way to a shard.
    is_confirmed: bool,
}

impl SharedWorker {
    pub(super) fn new(parts: Parts, runtime: Runtime) -> Self {
        let now = store::clock();
        Self {
            keys: Keys::new(&parts.settings.prefix, &parts.settings.node),
            parts,
            runtime,
            link: None,
            lease: None,
            owner: String::new(),
            shares_secret: false,
            owned: HashMap::new(),
            changes: Changes::default(),
            looks: Vec::new(),
            flushes: Vec::new(),
            on_lost: None,
            renewed: now,
            retry: now,
            is_joining: false,
            failing: false,
        }
    }

    /// Runs until the inbox says stop. `tell` gets the secret of session ids, or the reason why the
    /// store cannot be opened.
    pub(super) fn run(
        mut self,
        inbox: &Inbox<Message>,
        tell: &Sender<Result<[u8; KEY_LEN], OpenError>>,
    ) {
        let begun = self.begin();
        let is_refused = begun.is_err();
        self.publish();
        // The opener waits for it.
        let _ = tell.send(begun);
        if is_refused {
            return;
        }
        loop {
            // What waits for the store is sent at once; without it, the thread sleeps.
            let has_more = self.link.is_some() && self.changes.len() > 0;
            let mut patience = (!has_more).then_some(TICK);
            let mut is_over = false;
            for _ in 0..BATCH {
                let received = match patience.take() {
                    Some(patience) => inbox.recv_timeout(patience),
                    None => inbox.try_recv(),
                };
                match received {
                    Received::Message(message, _) => self.handle(message),
                    Received::Idle => break,
                    Received::Stop => {
                        is_over = true;
                        break;
                    }
                }
            }
            self.exchange();
            self.keep_up();
            self.publish();
            if is_over {
                break;
            }
        }
        self.flush();
        if let (Some(link), Some(lease)) = (&mut self.link, &self.lease) {
            let released = lease.release(link, &self.keys);
            let latency = self.parts.settings.latency;
            // A lease that stays lapses soon.
            let _ = self
                .runtime
                .block_on(async { timeout(latency, released).await });
        }
        self.publish();
        // A name may still be looked up, which has no end in sight.
        self.runtime.shutdown_background();
    }

    /// Joins the other nodes for the first time. A store that does not answer is no error.
    fn begin(&mut self) -> Result<[u8; KEY_LEN], OpenError> {
        let attempt = self.attempt();
        match self.runtime.block_on(attempt) {
            Ok(joined) => {
                self.parts.secret = joined.secret;
                info!(
                    place = %self.parts.settings,
                    node = self.parts.settings.node,
                    epoch = joined.lease.epoch,
                    "store opened"
                );
                self.joined(joined);
            }
            Err(NotJoined::Taken(lease)) => {
                return Err(OpenError::Taken {
                    node: self.parts.settings.node.clone(),
                    holder: in_words(&lease).to_owned(),
                });
            }
            Err(why) => self.away(&why),
        }
        Ok(self.parts.secret)
    }

    /// One attempt to join.
    fn attempt(&self) -> impl Future<Output = Result<Joined, NotJoined>> + Send + 'static {
        let queue = self.parts.queue.clone();
        let channels = self.keys.channels();
        let on_push: OnPush = Arc::new(move |info| {
            if let Some(event) = event(info, &channels) {
                // One for each claim of a session that this process had.
                queue.send(Message::Shared(event));
            }
        });
        join(
            self.parts.settings.clone(),
            self.keys.clone(),
            self.lease.clone(),
            self.parts.secret,
            on_push,
        )
    }

    fn joined(&mut self, joined: Joined) {
        self.owner = owner(&self.parts.settings.node, &joined.lease);
        self.shares_secret = joined.secret == self.parts.secret;
        self.link = Some(joined.link);
        self.lease = Some(joined.lease);
        // The renewal shows that the store answers in time.
        let now = store::clock();
        self.renewed = now.checked_sub(RENEWAL).unwrap_or(now);
    }

    /// The store cannot be used for now.
    fn away(&mut self, why: &NotJoined) {
        self.link = None;
        self.retry = store::clock() + RETRY;
        self.parts.counts.errors.fetch_add(1, Relaxed);
        if self.failing {
            return;
        }
        self.failing = true;
        let place = &self.parts.settings;
        match why {
            NotJoined::Why(_) => warn!(
                %place, %why,
                "the store does not answer; this node goes on alone, and its changes wait"
            ),
            NotJoined::Taken(_) => error!(
                %place, %why,
                "this node goes on alone; give each gateway its own `node` in [cluster]"
            ),
        }
    }

    fn is_back(&mut self) {
        if std::mem::take(&mut self.failing) {
            info!(
                place = %self.parts.settings,
                changes = self.changes.len(),
                "the store answers again"
            );
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Change(changes) => {
                for change in changes {
                    let target = Target::Entry(change.table, change.key);
                    let change = change.value.map_or(Change::Delete, Change::Put);
                    self.changes.insert(target, change);
                }
            }
            Message::Save(session) => self.save(session),
            Message::Forget(id) => {
                if let Some(owned) = self.owned.remove(&id) {
                    let forget = Change::Forget(owned.epoch);
                    self.changes.insert(Target::Session(id), forget);
                }
            }
            Message::Look(key, answer) => match key {
                ClaimKey::Id(id) if self.is_live_or_over(id) => answer.give(None),
                _ => self.looks.push((key, answer)),
            },
            Message::Entries(table, answer) => {
                self.flush();
                // The asker waits for it.
                let _ = answer.send(self.entries(table));
            }
            Message::Flush(done) => self.flushes.push(done),
            Message::Limits(limits) => self.parts.limits = limits,
            Message::OnLost(on_lost) => self.on_lost = Some(on_lost),
            Message::Shared(Event::Claimed(id, epoch)) => {
                if self.owned.get(&id).is_some_and(|owned| owned.epoch < epoch) {
                    self.changes.remove(&Target::Session(id));
                    self.lose(id);
                }
            }
            Message::Shared(Event::Joined(result)) => {
                self.is_joining = false;
                match *result {
                    Ok(joined) => self.joined(joined),
                    Err(why) => self.away(&why),
                }
            }
        }
    }

    fn save(&mut self, mut session: Box<SessionRecord>) {
        let id = session.id;
        let is_full = match self.owned.get_mut(&id) {
            Some(owned) => {
                owned.is_confirmed = true;
                false
            }
            None => self.owned.len() as u64 >= self.parts.limits.max_sessions,
        };
        if is_full || self.changes.len() >= MAX_PENDING {
            self.parts.counts.refused.fetch_add(1, Relaxed);
            return;
        }
        self.owned.entry(id).or_insert(Owned {
            epoch: FIRST_EPOCH,
            is_confirmed: true,
        });
        if !self.shares_secret {
            session.subscriber = None;
        }
        self.changes
            .insert(Target::Session(id), Change::Save(session));
    }

    /// Whether a shard has the session, or it has just ended here.
    fn is_live_or_over(&self, id: u32) -> bool {
        let is_live = self.owned.get(&id).is_some_and(|owned| owned.is_confirmed);
        let change = self.changes.get(&Target::Session(id));
        is_live || matches!(change, Some(Change::Forget(_)))
    }

    /// Another process has this session now.
    fn lose(&mut self, id: u32) {
        self.owned.remove(&id);
        if let Some(on_lost) = &self.on_lost {
            on_lost(id);
        }
    }

    /// Sends one batch of changes and all look-ups, and waits for the answers.
    fn exchange(&mut self) {
        let looks = std::mem::take(&mut self.looks);
        let Some(link) = self.link.clone() else {
            // Dropped, a look-up is answered with nothing.
            let unanswered = looks.len() as u64;
            self.parts.counts.unanswered.fetch_add(unanswered, Relaxed);
            return;
        };
        let writes = self.writes();
        if writes.is_empty() && looks.is_empty() {
            return;
        }
        let (keys, answers): (Vec<_>, Vec<_>) = looks.into_iter().unzip();
        let begun = store::clock();
        let context = self.context(&link, self.parts.settings.latency);
        let (written, found) = self
            .runtime
            .block_on(async { tokio::join!(context.write_all(&writes), context.look_all(&keys)) });
        self.took(begun.elapsed());
        let mut why = None;
        let mut is_committed = false;
        for (write, written) in writes.into_iter().zip(written) {
            let Write { target, change, .. } = write;
            match written {
                Written::Yes => is_committed = true,
                Written::Stale => {
                    self.parts.counts.stale.fetch_add(1, Relaxed);
                    if let Target::Session(id) = target {
                        self.lose(id);
                    }
                }
                Written::Not(reason) => {
                    why = Some(reason);
                    self.changes.put_back(target, change);
                }
                Written::Never(error) => {
                    self.parts.counts.errors.fetch_add(1, Relaxed);
                    error!(%error, "the store refuses a change; a key of ours has a foreign value");
                }
            }
        }
        for (answer, found) in answers.into_iter().zip(found) {
            match found {
                Ok(found) => {
                    let found = found.and_then(|claimed| self.claimed(claimed));
                    answer.give(found);
                }
                Err(reason) => {
                    self.parts.counts.unanswered.fetch_add(1, Relaxed);
                    why = Some(reason);
                }
            }
        }
        self.parts
            .counts
            .commits
            .fetch_add(u64::from(is_committed), Relaxed);
        if let Some(why) = why {
            self.away(&why.into());
        }
    }

    /// The oldest changes, with what is known of their sessions now.
    fn writes(&mut self) -> Vec<Write> {
        let taken = self.changes.take(BATCH).into_iter();
        let owned = &self.owned;
        let write = |(target, change)| {
            let epoch = match &target {
                Target::Session(id) => owned.get(id).map_or(FIRST_EPOCH, |owned| owned.epoch),
                Target::Entry(..) => FIRST_EPOCH,
            };
            Write {
                target,
                change,
                epoch,
            }
        };
        taken.map(write).collect()
    }

    /// A look-up claimed a session. Returns it if no shard has it.
    fn claimed(&mut self, claimed: Claimed) -> Option<SessionRecord> {
        let Claimed { epoch, mut session } = claimed;
        let id = session.id;
        // It ended while it was looked up by its peer.
        if let Some(Change::Forget(_)) = self.changes.get(&Target::Session(id)) {
            self.changes
                .insert(Target::Session(id), Change::Forget(epoch));
            return None;
        }
        let owned = self.owned.entry(id).or_insert(Owned {
            epoch,
            is_confirmed: false,
        });
        owned.epoch = owned.epoch.max(epoch);
        if owned.is_confirmed {
            return None;
        }
        if !self.shares_secret {
            session.subscriber = None;
        }
        Some(session)
    }

    fn context<'a>(&'a self, link: &'a Link, patience: Duration) -> Context<'a> {
        Context {
            link,
            keys: &self.keys,
            owner: &self.owner,
            max_age: self.parts.limits.max_age,
            deadline: tokio::time::Instant::now() + patience,
        }
    }

    /// Writes everything that waits, as long as the store answers.
    fn flush(&mut self) {
        while self.link.is_some() && self.changes.len() > 0 {
            self.exchange();
        }
    }

    fn entries(&mut self, table: Table) -> Entries {
        let Some(link) = self.link.clone() else {
            return Entries::new();
        };
        let context = self.context(&link, ENTRIES);
        let read = async { timeout(ENTRIES, context.entries(table)).await };
        let why = match self.runtime.block_on(read) {
            Ok(Ok(entries)) => return entries,
            Ok(Err(error)) => Why::Error(error),
            Err(_) => Why::Late,
        };
        self.away(&why.into());
        Entries::new()
    }

    /// Renews the lease, or tries to join again.
    fn keep_up(&mut self) {
        let now = store::clock();
        let (Some(mut link), Some(lease)) = (self.link.clone(), self.lease.clone()) else {
            if !self.is_joining && self.link.is_none() && now >= self.retry {
                self.is_joining = true;
                let (attempt, queue) = (self.attempt(), self.parts.queue.clone());
                self.runtime.spawn(async move {
                    let result = Box::new(attempt.await);
                    queue.send(Message::Shared(Event::Joined(result)));
                });
            }
            return;
        };
        if now.duration_since(self.renewed) < RENEWAL {
            return;
        }
        self.renewed = now;
        let latency = self.parts.settings.latency;
        let renewal = lease.renew(&mut link, &self.keys);
        let renewed = self
            .runtime
            .block_on(async { timeout(latency, renewal).await });
        self.took(now.elapsed());
        match renewed {
            Ok(Ok(None)) => self.is_back(),
            Ok(Ok(Some(other))) => self.away(&NotJoined::Taken(other)),
            Ok(Err(error)) => self.away(&Why::Error(error).into()),
            Err(_) => self.away(&Why::Late.into()),
        }
    }

    fn took(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.parts.counts.latency.store(micros, Relaxed);
    }

    /// Shows the figures, and answers those who wait until everything is written, or cannot be.
    fn publish(&mut self) {
        let counts = &self.parts.counts;
        counts.pending.store(self.changes.len() as u64, Relaxed);
        counts.sessions.store(self.owned.len() as u64, Relaxed);
        counts.failing.store(self.failing, Relaxed);
        // After the figures, which tell whether it was written.
        if self.link.is_none() || self.changes.len() == 0 {
            for done in self.flushes.drain(..) {
                let _ = done.send(());
            }
        }
    }
}

/// The epoch of a session that was never claimed.
const FIRST_EPOCH: u64 = 1;
/// Messages and changes of one exchange.
const BATCH: usize = 512;
/// Longest time between two looks at the clock.
const TICK: Duration = Duration::from_millis(250);
/// The pause after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// The time to read a table at the start of its module.
const ENTRIES: Duration = Duration::from_secs(10);
