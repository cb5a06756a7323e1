//! Sessions in the store, and changes that the store does not have yet.

use std::collections::BTreeSet;

use super::AddressDirectory;
use crate::identity::saved;
use crate::identity::session::Moment;

impl AddressDirectory {
    /// Restores sessions that an earlier process saved, by their names, and starts to record
    /// changes for the store. Returns the names of useless entries: expired, unreadable, or without
    /// room. Left in the store they would come back after another restart, long after their Stop.
    #[must_use]
    pub fn restore(
        &mut self,
        at: Moment,
        saved: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Vec<Vec<u8>> {
        self.unsaved = Some(BTreeSet::new());
        let mut useless = Vec::new();
        for (name, octets) in saved {
            let session = saved::decode(&octets, at, self.limits.lifetime).filter(|session| {
                self.sessions.len() < self.limits.max_sessions
                    && !self.by_key.contains_key(&session.key)
            });
            let Some(mut session) = session else {
                useless.push(name);
                continue;
            };
            let prefixes = std::mem::take(&mut session.prefixes);
            let slot = self.insert(session);
            for prefix in prefixes {
                self.give(slot, prefix);
            }
        }
        useless
    }

    /// Changes for the store, at most `most`: a name, and octets for [`restore`](Self::restore);
    /// `None` for a session that is over. A change is returned again until it is
    /// [saved](Self::saved). Without an earlier `restore` there are no changes.
    #[must_use]
    pub fn unsaved(&self, at: Moment, most: usize) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let keys = self.unsaved.iter().flatten().take(most);
        keys.map(|key| {
            let slot = self.by_key.get(key);
            let session = slot.and_then(|slot| self.sessions.get(*slot));
            let octets = session.map(|session| saved::encode(session, at));
            (saved::name(key), octets)
        })
        .collect()
    }

    /// The store has taken the first `count` of the [unsaved](Self::unsaved) changes.
    pub fn saved(&mut self, count: usize) {
        let Some(unsaved) = &mut self.unsaved else {
            return;
        };
        for key in std::iter::from_fn(|| unsaved.pop_first()).take(count) {
            let slot = self.by_key.get(&key).copied();
            if let Some(session) = slot.and_then(|slot| self.sessions.get_mut(slot)) {
                session.saved = Some(session.expires);
            }
        }
    }

    pub(super) fn is_unsaved(&mut self, slot: u32) {
        if let (Some(unsaved), Some(session)) = (&mut self.unsaved, self.sessions.get(slot)) {
            unsaved.insert(session.key.clone());
        }
    }
}
