//! The thread that settles claims to sessions, and the shards' way to it. It is not on the way of a
//! datagram.
//!
//! Its queue is bounded. A session that a shard has given away must not be lost: it waits with that
//! shard. Claims and saves that find the queue full are lost and counted. The place of the answer
//! is reserved in the shard's mailbox when its claim comes, so that a session that was found can
//! always be delivered.

use std::collections::{HashMap, VecDeque};
use std::io;

use tokio::sync::{mpsc, watch};
use tracing::debug;

use super::clock;
use super::shard::command::ShardCommand;
use crate::gateway::Command;
use crate::gateway::directory::{Action, SessionDirectory, Stats};
use crate::gateway::handover::{Handover, Ticket};
use crate::random::Random;
use crate::store::StoreHandle;
use crate::worker::{self, Handle, Inbox, Received, Unsent, Worker};
use crate::wsp::claim::{ClaimId, ClaimKey, ShardTopology};
use crate::wsp::saved::SessionRecord;

/// A message of a shard to the session directory.
#[derive(Debug)]
pub(super) enum ClaimMessage {
    /// A Resume came for a session that the shard does not have.
    Claim(ClaimId, ClaimKey),
    /// The shard has released a session, or has none to release.
    Released(Ticket, Option<Box<Handover>>),
    /// A session changed.
    Save(Box<SessionRecord>),
    /// A session ended.
    Forget(u32),
}

/// A message to the thread.
#[derive(Debug)]
pub(super) enum Message {
    /// By the shard of this number.
    Shard(u32, ClaimMessage),
    /// The store's answer to a look-up.
    Found(Ticket, Option<SessionRecord>),
    /// Another node has taken this session over.
    Taken(u32),
}

/// Both ends of the thread's queue.
pub(super) type Queue = (Handle<Message>, Inbox<Message>);

/// The queue, for as many shards as there are.
pub(super) fn queue() -> Queue {
    worker::queue(QUEUE)
}

/// A shard's sender to the directory.
#[derive(Debug)]
pub(super) struct ClaimHandle {
    shard: u32,
    queue: Handle<Message>,
    /// Messages that must not be lost and found the queue full, oldest first.
    backlog: VecDeque<ClaimMessage>,
    lost: u64,
}

impl ClaimHandle {
    pub(super) const fn new(shard: u32, queue: Handle<Message>) -> Self {
        Self {
            shard,
            queue,
            backlog: VecDeque::new(),
            lost: 0,
        }
    }

    /// Sends a message, now or as soon as there is room. A claim that cannot be sent ends at its
    /// deadline.
    pub(super) fn send(&mut self, message: ClaimMessage) {
        self.flush();
        let message = match self.backlog.is_empty() {
            true => self.try_send(message),
            false => Some(message),
        };
        if let Some(message) = message {
            self.retain(message);
        }
    }

    /// Sends the messages that had to wait.
    pub(super) fn flush(&mut self) {
        while let Some(message) = self.backlog.pop_front() {
            if let Some(message) = self.try_send(message) {
                self.backlog.push_front(message);
                return;
            }
        }
    }

    /// Claims and saves that found the queue full, and ends of sessions that found the backlog
    /// full.
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    /// The message, if the queue is full.
    fn try_send(&self, message: ClaimMessage) -> Option<ClaimMessage> {
        match self.queue.try_send(Message::Shard(self.shard, message), 1) {
            Err(Unsent::Full(Message::Shard(_, message))) => Some(message),
            // Without a directory, or at the end of the process, no shard waits for the answer.
            Ok(()) | Err(Unsent::Ended(_) | Unsent::Full(_)) => None,
        }
    }

    fn retain(&mut self, message: ClaimMessage) {
        let retained = match message {
            // There are as many as there are orders to release.
            ClaimMessage::Released(..) => true,
            ClaimMessage::Forget(_) => self.backlog.len() < BACKLOG,
            ClaimMessage::Claim(..) | ClaimMessage::Save(_) => false,
        };
        if retained {
            self.backlog.push_back(message);
        } else {
            self.lost += 1;
        }
    }
}

/// The thread and its directory's counters. Dropping it handles the messages sent before, then ends
/// the thread.
#[derive(Debug)]
pub(super) struct Claims {
    stats: watch::Receiver<Stats>,
    _worker: Worker<Message>,
}

impl Claims {
    /// Starts the thread. `mailboxes` are the shards', in their order.
    pub(super) fn start(
        mailboxes: Vec<mpsc::Sender<ShardCommand>>,
        queue: Queue,
        topology: ShardTopology,
        max_elsewhere: usize,
        store: Option<StoreHandle>,
    ) -> io::Result<Self> {
        let hasher = Random::new(clock::seed()?).hasher();
        if let Some(store) = &store {
            let queue = queue.0.clone();
            // One for each session that this process had.
            store.on_lost(move |id| queue.send(Message::Taken(id)));
        }
        let (shown, stats) = watch::channel(Stats::default());
        let worker = ClaimWorker {
            directory: SessionDirectory::new(topology, max_elsewhere, hasher),
            mailboxes,
            queue: queue.0.clone(),
            store,
            reply_permits: HashMap::new(),
            shown,
        };
        let worker = Worker::start("claims", queue, move |inbox| worker.run(&inbox))?
            .with_patience(super::STOP_TIMEOUT);
        Ok(Self {
            stats,
            _worker: worker,
        })
    }

    /// The directory's counters.
    pub(super) fn stats(&self) -> watch::Receiver<Stats> {
        self.stats.clone()
    }
}

/// The thread's state.
struct ClaimWorker {
    directory: SessionDirectory,
    mailboxes: Vec<mpsc::Sender<ShardCommand>>,
    /// For the store's answers.
    queue: Handle<Message>,
    store: Option<StoreHandle>,
    /// Places in the mailboxes for the answers that are owed.
    reply_permits: HashMap<(u32, ClaimId), mpsc::OwnedPermit<ShardCommand>>,
    shown: watch::Sender<Stats>,
}

impl ClaimWorker {
    fn run(mut self, inbox: &Inbox<Message>) {
        while let Received::Message(message, _) = inbox.recv() {
            match message {
                Message::Shard(shard, message) => self.handle(shard, message),
                Message::Found(ticket, found) => self.directory.handle_lookup(ticket, found),
                Message::Taken(id) => self.directory.handle_taken(id),
            }
            while let Some(action) = self.directory.poll_action() {
                self.act(action);
            }
            self.shown.send_replace(self.directory.stats());
        }
    }

    fn handle(&mut self, shard: u32, message: ClaimMessage) {
        match message {
            ClaimMessage::Claim(claim, key) => {
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
                self.reply_permits.insert((shard, claim), permit);
                self.directory.handle_claim(shard, claim, key);
            }
            ClaimMessage::Released(ticket, found) => self.directory.handle_released(ticket, found),
            // The store counts the sessions that it refuses.
            ClaimMessage::Save(session) => {
                if let Some(store) = &self.store {
                    store.save(session);
                }
            }
            ClaimMessage::Forget(id) => {
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
                let order = ShardCommand::Core(Command::Release(ticket, id));
                let mailbox = self.mailbox(shard);
                if mailbox.is_none_or(|mailbox| mailbox.try_send(order).is_err()) {
                    self.directory.handle_unreachable(ticket);
                }
            }
            Action::Lookup(ticket, key) => {
                let queue = self.queue.clone();
                // There are no more answers than claims, which are bounded.
                let answer = move |found| queue.send(Message::Found(ticket, found));
                match &self.store {
                    Some(store) => store.look(key, answer),
                    None => answer(None),
                }
            }
            Action::Claimed(shard, claim, found) => {
                if let Some(way) = self.reply_permits.remove(&(shard, claim)) {
                    way.send(ShardCommand::Claimed(claim, found));
                }
            }
            Action::Taken(shard, id) => {
                // Lost, it means that the session stays here until it is idle too long.
                let order = ShardCommand::Core(Command::Taken(id));
                if let Some(mailbox) = self.mailbox(shard) {
                    let _ = mailbox.try_send(order);
                }
            }
            Action::EndedElsewhere(shard, id) => {
                // Lost, it means that this id is not given away again.
                let order = ShardCommand::Core(Command::EndedElsewhere(id));
                if let Some(mailbox) = self.mailbox(shard) {
                    let _ = mailbox.try_send(order);
                }
            }
        }
    }

    fn mailbox(&self, shard: u32) -> Option<&mpsc::Sender<ShardCommand>> {
        self.mailboxes.get(usize::try_from(shard).ok()?)
    }
}

/// Messages of all shards that may wait for the directory: one second of the busiest gateway.
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
            subscriber: None,
        };
        Box::new(session.into())
    }

    #[test]
    fn a_session_given_away_is_not_lost_to_a_full_queue() {
        let (queue, inbox) = worker::queue(1);
        let received = || match inbox.try_recv() {
            Received::Message(Message::Shard(3, message), _) => Some(message),
            _ => None,
        };
        let mut claims = ClaimHandle::new(3, queue);
        claims.send(ClaimMessage::Forget(1));
        claims.send(ClaimMessage::Released(Ticket(7), Some(handover(2))));
        claims.send(ClaimMessage::Forget(4));
        claims.send(ClaimMessage::Save(Box::new(handover(5).session)));
        assert_eq!(claims.lost(), 1, "the Save");
        assert!(matches!(received(), Some(ClaimMessage::Forget(1))));
        claims.flush();
        assert!(matches!(
            received(),
            Some(ClaimMessage::Released(Ticket(7), Some(_)))
        ));
        claims.flush();
        assert!(matches!(received(), Some(ClaimMessage::Forget(4))));
        assert!(received().is_none());
        drop(inbox);
        claims.send(ClaimMessage::Forget(6));
        assert_eq!(claims.lost(), 1, "nobody settles claims any more");
    }
}
