//! The large objects under way in each session, for routes that translate SyncML.

use hashbrown::HashMap;

use crate::random::Keyed;
use crate::syncml::large_object::Transfer;

/// The state of each session's large objects. A session without an entry has an unknown past, which
/// is safe: its messages are translated only where that cannot damage an object.
#[derive(Debug)]
pub(super) struct Transfers {
    by_session: HashMap<u32, Transfer, Keyed>,
}

impl Transfers {
    pub(super) fn new(hasher: Keyed) -> Self {
        Self {
            by_session: HashMap::with_hasher(hasher),
        }
    }

    /// The state of a session; a new one if the session has none.
    pub(super) fn of(&mut self, session: u32) -> &mut Transfer {
        if self.by_session.len() >= MAX_SESSIONS && !self.by_session.contains_key(&session) {
            let victim = self.by_session.keys().next().copied();
            victim.and_then(|victim| self.by_session.remove(&victim));
        }
        self.by_session.entry(session).or_default()
    }

    /// The session ends here, or moves to another shard.
    pub(super) fn take(&mut self, session: u32) -> Option<Transfer> {
        self.by_session.remove(&session)
    }

    /// The session comes from another shard.
    pub(super) fn put(&mut self, session: u32, transfer: Option<Transfer>) {
        if let Some(transfer) = transfer {
            *self.of(session) = transfer;
        }
    }
}

/// Sessions with such state, at some 200 octets each.
const MAX_SESSIONS: usize = 65_536;
