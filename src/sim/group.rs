//! Several shards, the directory that settles their claims, and a store: what stands between them.
//!
//! The directory is the real one. Here are the mailboxes, each of which takes its time, keeps its order, and may
//! be too full for what can be refused; and a stand-in for the store.

use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasher;
use std::time::Duration;

use crate::gateway::directory::{Action, Directory};
use crate::gateway::handover::{Handover, Ticket};
use crate::gateway::{Command, Gateway};
use crate::random::{Keyed, Random};
use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::claim::{ClaimId, ClaimKey, Place};
use crate::wsp::saved::SessionRecord;

/// The shards besides the first, and what stands between all of them.
pub(super) struct Group {
    pub(super) shards: u32,
    pub(super) others: Vec<Gateway>,
    pub(super) directory: Directory,
    pub(super) store: Option<Store>,
    /// How often a mailbox is too full for what may be refused.
    pub(super) busy: f64,
    hasher: Keyed,
    /// Said in this turn, not sent yet.
    said: Vec<(u32, Told)>,
    looked: Vec<(Ticket, Option<SessionRecord>)>,
    /// When the last message of each mailbox arrives: the next one does not overtake it.
    last: BTreeMap<Mailbox, Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mailbox {
    Directory,
    Shard(u32),
    Store,
}

/// Something between shards.
pub(super) enum Message {
    Up(u32, Told),
    Down(u32, Order),
    Looked(Ticket, Option<SessionRecord>),
}

/// What a shard says.
pub(super) enum Told {
    Claim(ClaimId, ClaimKey),
    Released(Ticket, Option<Box<Handover>>),
    Save(Box<SessionRecord>),
    Forget(u32),
}

/// What a shard is told.
pub(super) enum Order {
    Command(Command),
    Claimed(ClaimId, Option<Box<Handover>>),
}

/// The store's stand-in.
#[derive(Default)]
pub(super) struct Store {
    sessions: BTreeMap<u32, (SessionRecord, u32)>,
    /// Starts so far; what was saved since the last one is live.
    starts: u32,
}

impl Group {
    pub(super) fn new(seed: u64) -> Self {
        let hasher = Random::new(seed ^ 0x5A4D).hasher();
        Self {
            shards: 1,
            others: Vec::new(),
            directory: Directory::new(1, false, 0, hasher),
            store: None,
            busy: 0.0,
            hasher,
            said: Vec::new(),
            looked: Vec::new(),
            last: BTreeMap::new(),
        }
    }

    /// All begin anew; the store remembers.
    pub(super) fn start(&mut self) {
        self.others.clear();
        self.said.clear();
        self.looked.clear();
        self.last.clear();
        self.directory = Directory::new(self.shards, self.store.is_some(), 1_000, self.hasher);
        if let Some(store) = &mut self.store {
            store.starts += 1;
        }
    }

    pub(super) const fn place(&self, shard: u32) -> Place {
        Place {
            shard,
            shards: self.shards,
            stored: self.store.is_some(),
        }
    }

    /// The shard whose socket the kernel would choose.
    pub(super) fn shard_of(&self, peer: Peer) -> u32 {
        let hash = self.hasher.hash_one(peer) % u64::from(self.shards);
        u32::try_from(hash).unwrap_or(0)
    }

    /// A shard says something.
    pub(super) fn tell(&mut self, shard: u32, told: Told) {
        self.said.push((shard, told));
    }

    /// Something a shard said arrives.
    pub(super) fn hear(&mut self, shard: u32, told: Told) {
        match told {
            Told::Claim(claim, key) => self.directory.handle_claim(shard, claim, key),
            Told::Released(ticket, found) => self.directory.handle_released(ticket, found),
            Told::Save(session) => {
                if let Some(store) = &mut self.store {
                    store.sessions.insert(session.id, (*session, store.starts));
                }
            }
            Told::Forget(id) => {
                self.directory.handle_forget(shard, id);
                if let Some(store) = &mut self.store {
                    store.sessions.remove(&id);
                }
            }
        }
    }

    /// What was said is under way now: every message with the moment it arrives.
    pub(super) fn drain(&mut self, now: Instant, random: &mut Random) -> Vec<(Instant, Message)> {
        let mut sent = Vec::new();
        let said = std::mem::take(&mut self.said);
        for (shard, told) in said {
            match told {
                Told::Claim(claim, _) if random.chance(self.busy) => {
                    let order = Order::Claimed(claim, None);
                    sent.push((now, Message::Down(shard, order)));
                }
                Told::Save(_) if random.chance(self.busy) => {}
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
                Action::Look(ticket, key) => {
                    let store = self.store.as_ref();
                    self.looked
                        .push((ticket, store.and_then(|store| store.look(key))));
                    continue;
                }
                Action::Release(shard, ticket, id) => {
                    (shard, Order::Command(Command::Release(ticket, id)))
                }
                Action::Claimed(shard, claim, found) => (shard, Order::Claimed(claim, found)),
                Action::EndedElsewhere(shard, id) => {
                    (shard, Order::Command(Command::EndedElsewhere(id)))
                }
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

    /// A session lives in at most one shard.
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

    /// Mostly soon, at times after seconds, and never before what was sent earlier.
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
    /// A session that nobody has had since the last start.
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
