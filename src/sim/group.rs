//! Several shards, the directory that settles their claims, a store, and the mailboxes between
//! them.
//!
//! The directory is the real one. The mailboxes delay messages, keep their order, and may be too
//! full for messages that can be refused. The store is a stand-in.

use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasher;
use std::time::Duration;

use crate::gateway::directory::{Action, SessionDirectory};
use crate::gateway::handover::{Handover, Ticket};
use crate::gateway::{Command, Gateway};
use crate::random::{Keyed, Random};
use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::claim::{ClaimId, ClaimKey, ShardTopology};
use crate::wsp::id_key::{IdKey, KEY_LEN};
use crate::wsp::saved::SessionRecord;

/// The shards besides the first, and the mailboxes between all of them.
pub(super) struct ShardGroup {
    pub(super) shards: u32,
    pub(super) others: Vec<Gateway>,
    pub(super) directory: SessionDirectory,
    pub(super) store: Option<Store>,
    /// Probability that a mailbox is too full for a message that can be refused.
    pub(super) busy: f64,
    hasher: Keyed,
    /// Messages of this turn that are not sent yet.
    said: Vec<(u32, ShardMessage)>,
    looked: Vec<(Ticket, Option<SessionRecord>)>,
    /// The arrival of the last message of each mailbox. The next message does not overtake it.
    last: BTreeMap<Mailbox, Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mailbox {
    Directory,
    Shard(u32),
    Store,
}

/// A message between shards, directory and store.
pub(super) enum Message {
    Up(u32, ShardMessage),
    Down(u32, ShardCommand),
    Looked(Ticket, Option<SessionRecord>),
}

/// A message of a shard.
pub(super) enum ShardMessage {
    Claim(ClaimId, ClaimKey),
    Released(Ticket, Option<Box<Handover>>),
    Save(Box<SessionRecord>),
    Forget(u32),
}

/// A message to a shard.
pub(super) enum ShardCommand {
    Command(Command),
    Claimed(ClaimId, Option<Box<Handover>>),
}

/// The store's stand-in.
#[derive(Default)]
pub(super) struct Store {
    sessions: BTreeMap<u32, (SessionRecord, u32)>,
    /// Number of starts; sessions saved since the last one are live.
    starts: u32,
}

impl ShardGroup {
    pub(super) fn new(seed: u64) -> Self {
        let hasher = Random::new(seed ^ 0x5A4D).hasher();
        Self {
            shards: 1,
            others: Vec::new(),
            directory: SessionDirectory::new(ShardTopology::single(), 0, hasher),
            store: None,
            busy: 0.0,
            hasher,
            said: Vec::new(),
            looked: Vec::new(),
            last: BTreeMap::new(),
        }
    }

    /// Restarts all shards; the store keeps its sessions.
    pub(super) fn start(&mut self) {
        self.others.clear();
        self.said.clear();
        self.looked.clear();
        self.last.clear();
        self.directory = SessionDirectory::new(self.topology(0), 1_000, self.hasher);
        if let Some(store) = &mut self.store {
            store.starts += 1;
        }
    }

    pub(super) fn topology(&self, shard: u32) -> ShardTopology {
        ShardTopology {
            shard,
            shards: self.shards,
            stored: self.store.is_some(),
            id_key: IdKey::new(&ID_KEY),
        }
    }

    /// The shard whose socket the kernel would choose.
    pub(super) fn shard_of(&self, peer: Peer) -> u32 {
        let hash = self.hasher.hash_one(peer) % u64::from(self.shards);
        u32::try_from(hash).unwrap_or(0)
    }

    /// A message of a shard leaves.
    pub(super) fn send(&mut self, shard: u32, message: ShardMessage) {
        self.said.push((shard, message));
    }

    /// A message of a shard arrives.
    pub(super) fn deliver(&mut self, shard: u32, message: ShardMessage) {
        match message {
            ShardMessage::Claim(claim, key) => self.directory.handle_claim(shard, claim, key),
            ShardMessage::Released(ticket, found) => self.directory.handle_released(ticket, found),
            ShardMessage::Save(session) => {
                if let Some(store) = &mut self.store {
                    store.sessions.insert(session.id, (*session, store.starts));
                }
            }
            ShardMessage::Forget(id) => {
                self.directory.handle_forget(shard, id);
                if let Some(store) = &mut self.store {
                    store.sessions.remove(&id);
                }
            }
        }
    }

    /// Sends the messages of this turn: every message with its arrival.
    pub(super) fn drain(&mut self, now: Instant, random: &mut Random) -> Vec<(Instant, Message)> {
        let mut sent = Vec::new();
        let said = std::mem::take(&mut self.said);
        for (shard, told) in said {
            match told {
                ShardMessage::Claim(claim, _) if random.chance(self.busy) => {
                    let order = ShardCommand::Claimed(claim, None);
                    sent.push((now, Message::Down(shard, order)));
                }
                ShardMessage::Save(_) if random.chance(self.busy) => {}
                told => {
                    let at = self.arrival(now, Mailbox::Directory, random);
                    sent.push((at, Message::Up(shard, told)));
                }
            }
        }
        while let Some(action) = self.directory.poll_action() {
            let (shard, order) = match action {
                Action::Release(_, ticket, _) if random.chance(self.busy) => {
                    self.directory.handle_unreachable(ticket);
                    continue;
                }
                Action::Lookup(ticket, key) => {
                    let store = self.store.as_ref();
                    self.looked
                        .push((ticket, store.and_then(|store| store.look(key))));
                    continue;
                }
                Action::Release(shard, ticket, id) => {
                    (shard, ShardCommand::Command(Command::Release(ticket, id)))
                }
                Action::Claimed(shard, claim, found) => {
                    (shard, ShardCommand::Claimed(claim, found))
                }
                Action::EndedElsewhere(shard, id) => {
                    (shard, ShardCommand::Command(Command::EndedElsewhere(id)))
                }
                Action::Taken(shard, id) => (shard, ShardCommand::Command(Command::Taken(id))),
            };
            let at = self.arrival(now, Mailbox::Shard(shard), random);
            sent.push((at, Message::Down(shard, order)));
        }
        for (ticket, found) in std::mem::take(&mut self.looked) {
            let at = self.arrival(now, Mailbox::Store, random);
            sent.push((at, Message::Looked(ticket, found)));
        }
        sent
    }

    /// Checks that every session is in one shard at most.
    pub(super) fn check(&self, first: &Gateway) {
        if self.others.is_empty() {
            return;
        }
        let mut seen = HashSet::new();
        for gateway in std::iter::once(first).chain(&self.others) {
            for id in gateway.sessions().ids() {
                assert!(seen.insert(id), "session {id} lives in two shards");
            }
        }
    }

    /// The arrival of a message: soon in most cases, at times after seconds, and never before an
    /// earlier message.
    fn arrival(&mut self, now: Instant, mailbox: Mailbox, random: &mut Random) -> Instant {
        let slow = random.chance(self.busy / 4.0);
        let most = if slow { 4_000_000 } else { 2_000 };
        let at = now + Duration::from_micros(random.below(most));
        let last = self.last.entry(mailbox).or_insert(at);
        *last = at.max(*last);
        *last
    }
}

impl Store {
    /// A session that no shard has had since the last start.
    fn look(&self, key: ClaimKey) -> Option<SessionRecord> {
        let found = match key {
            ClaimKey::Id(id) => self.sessions.get(&id).filter(|(it, _)| it.may_resume()),
            ClaimKey::Peer(peer) => self.sessions.values().find(|(it, _)| it.peer == peer),
        };
        found
            .filter(|(_, start)| *start < self.starts)
            .map(|(session, _)| session.clone())
    }
}

/// The secret of the shards, the same for every run.
const ID_KEY: [u8; KEY_LEN] = [0x5D; KEY_LEN];
