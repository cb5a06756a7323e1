//! The thread that settles claims, and a shard's way to it. Nothing here is on the way of a datagram.
//!
//! Queues are bounded. What a shard may not lose, a session it has given away, waits with the shard; what can be
//! refused is refused and counted. The way back is reserved when a claim comes, so that a session that was found
//! can always be delivered.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::debug;

use super::clock;
use super::shard::Order;
use crate::gateway::Command;
use crate::gateway::directory::{Action, Directory, Stats};
use crate::gateway::handover::{Handover, Ticket};
use crate::random::Random;
use crate::store::Writer;
use crate::wsp::claim::{ClaimId, ClaimKey};
use crate::wsp::saved::SessionRecord;

/// What a shard tells the directory.
#[derive(Debug)]
pub(super) enum Told {
    Claim(ClaimId, ClaimKey),
    Released(Ticket, Option<Box<Handover>>),
    Save(Box<SessionRecord>),
    Forget(u32),
}

/// A shard's way to the directory.
#[derive(Debug)]
pub(super) struct Outlet {
    shard: u32,
    queue: Sender,
    /// What must not be lost and found the queue full, oldest first.
    backlog: VecDeque<Told>,
    lost: u64,
}

/// The way to the directory: who tells something, and what.
pub(super) type Sender = mpsc::Sender<(u32, Told)>;
type Receiver = mpsc::Receiver<(u32, Told)>;

/// The way to the directory, for as many shards as there are.
pub(super) fn queue() -> (Sender, Receiver) {
    mpsc::channel(QUEUE)
}

impl Outlet {
    pub(super) const fn new(shard: u32, queue: Sender) -> Self {
        Self {
            shard,
            queue,
            backlog: VecDeque::new(),
            lost: 0,
        }
    }

    /// Tells it, now or as soon as there is room. A claim that cannot be made ends at its deadline.
    pub(super) fn tell(&mut self, told: Told) {
        self.flush();
        if self.backlog.is_empty() {
            match self.queue.try_send((self.shard, told)) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full((_, told))) => self.keep(told),
                // The process is about to end.
                Err(mpsc::error::TrySendError::Closed(_)) => {}
            }
        } else {
            self.keep(told);
        }
    }

    /// Tells what had to wait.
    pub(super) fn flush(&mut self) {
        while !self.backlog.is_empty() {
            let Ok(permit) = self.queue.try_reserve() else {
                return;
            };
            if let Some(told) = self.backlog.pop_front() {
                permit.send((self.shard, told));
            }
        }
    }

    /// What was lost: claims, and what changed in sessions, that found no room.
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    fn keep(&mut self, told: Told) {
        let keep = match told {
            // As many as there are orders to release.
            Told::Released(..) => true,
            Told::Forget(_) => self.backlog.len() < BACKLOG,
            Told::Claim(..) | Told::Save(_) => false,
        };
        if keep {
            self.backlog.push_back(told);
        } else {
            self.lost += 1;
        }
    }
}

/// Starts the thread. It ends when every shard has.
pub(super) fn start(
    mailboxes: Vec<mpsc::Sender<Order>>,
    told: Receiver,
    max_elsewhere: usize,
    store: Option<Writer>,
) -> io::Result<(watch::Receiver<Stats>, JoinHandle<()>)> {
    let hasher = Random::new(clock::seed()?).hasher();
    let shards = u32::try_from(mailboxes.len()).unwrap_or(u32::MAX);
    let (shown, stats) = watch::channel(Stats::default());
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let claims = Claims {
        directory: Directory::new(shards, store.is_some(), max_elsewhere, hasher),
        mailboxes,
        store,
        ways_back: HashMap::new(),
        looking: JoinSet::new(),
        shown,
    };
    let thread = std::thread::Builder::new()
        .name("claims".to_owned())
        .spawn(move || runtime.block_on(claims.run(told)))?;
    Ok((stats, thread))
}

/// What the thread works on.
struct Claims {
    directory: Directory,
    mailboxes: Vec<mpsc::Sender<Order>>,
    store: Option<Writer>,
    /// Places in the mailboxes for the answers that are owed.
    ways_back: HashMap<(u32, ClaimId), mpsc::OwnedPermit<Order>>,
    looking: JoinSet<(Ticket, Option<SessionRecord>)>,
    shown: watch::Sender<Stats>,
}

impl Claims {
    async fn run(mut self, mut told: Receiver) {
        loop {
            tokio::select! {
                told = told.recv() => match told {
                    Some((shard, told)) => self.hear(shard, told),
                    None => return,
                },
                Some(looked) = self.looking.join_next(), if !self.looking.is_empty() => {
                    if let Ok((ticket, found)) = looked {
                        self.directory.handle_looked(ticket, found);
                    }
                }
            }
            while let Some(action) = self.directory.poll_action() {
                self.act(action);
            }
            self.shown.send_replace(self.directory.stats());
        }
    }

    fn hear(&mut self, shard: u32, told: Told) {
        match told {
            Told::Claim(claim, key) => {
                // Others have orders for it, too.
                let mailbox = self
                    .mailbox(shard)
                    .filter(|mailbox| mailbox.capacity() > SPARE);
                let Some(permit) = mailbox.and_then(|m| m.clone().try_reserve_owned().ok()) else {
                    debug!(
                        shard,
                        "a claim goes unanswered: the shard is behind with its orders"
                    );
                    return;
                };
                self.ways_back.insert((shard, claim), permit);
                self.directory.handle_claim(shard, claim, key);
            }
            Told::Released(ticket, found) => self.directory.handle_released(ticket, found),
            // The store counts what it refuses.
            Told::Save(session) => {
                if let Some(store) = &self.store {
                    store.save(session);
                }
            }
            Told::Forget(id) => {
                self.directory.handle_forget(shard, id);
                if let Some(store) = &self.store {
                    store.forget(id);
                }
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Release(shard, ticket, id) => {
                let order = Order::Core(Command::Release(ticket, id));
                let given = self.mailbox(shard).map(|mailbox| mailbox.try_send(order));
                if !matches!(given, Some(Ok(()))) {
                    self.directory.handle_unreachable(ticket);
                }
            }
            Action::Look(ticket, key) => {
                let looked = self.store.as_ref().map(|store| store.look(key));
                self.looking.spawn(async move {
                    let found = match looked {
                        Some(looked) => looked.await.ok().flatten(),
                        None => None,
                    };
                    (ticket, found)
                });
            }
            Action::Claimed(shard, claim, found) => {
                if let Some(way) = self.ways_back.remove(&(shard, claim)) {
                    way.send(Order::Claimed(claim, found));
                }
            }
            Action::EndedElsewhere(shard, id) => {
                // Lost, it means that this id is not given away again.
                let order = Order::Core(Command::EndedElsewhere(id));
                let _ = self.mailbox(shard).map(|mailbox| mailbox.try_send(order));
            }
        }
    }

    fn mailbox(&self, shard: u32) -> Option<&mpsc::Sender<Order>> {
        self.mailboxes.get(usize::try_from(shard).ok()?)
    }
}

/// What may wait for the directory, of all shards: a second's worth of the busiest gateway.
const QUEUE: usize = 16_384;
/// Ends of sessions that may wait with each shard for room in the queue.
const BACKLOG: usize = 65_536;
/// Places of each mailbox that claims leave to others.
const SPARE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wdp::Peer;
    use crate::wsp::capability::{Capabilities, ProtocolOptions};

    fn handover(id: u32) -> Box<Handover> {
        let mut agreed = Capabilities::default();
        agreed.options = ProtocolOptions::SESSION_RESUME;
        let address = |port| ([127, 0, 0, 1], port).into();
        let session = SessionRecord {
            id,
            peer: Peer::new(address(1), address(2)),
            suspended: true,
            agreed,
            encoding: None,
            headers: bytes::Bytes::new(),
        };
        Box::new(session.into())
    }

    #[test]
    fn a_session_given_away_is_not_lost_to_a_full_queue() {
        let (queue, mut told) = mpsc::channel(1);
        let mut outlet = Outlet::new(3, queue);
        outlet.tell(Told::Forget(1));
        outlet.tell(Told::Released(Ticket(7), Some(handover(2))));
        outlet.tell(Told::Forget(4));
        outlet.tell(Told::Save(Box::new(handover(5).session)));
        assert_eq!(outlet.lost(), 1, "the Save");
        assert!(matches!(told.try_recv(), Ok((3, Told::Forget(1)))));
        outlet.flush();
        assert!(matches!(
            told.try_recv(),
            Ok((3, Told::Released(Ticket(7), Some(_))))
        ));
        outlet.flush();
        assert!(matches!(told.try_recv(), Ok((3, Told::Forget(4)))));
        assert!(told.try_recv().is_err());
    }
}
