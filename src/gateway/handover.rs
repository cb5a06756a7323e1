//! A session on its way from one shard to another.

use crate::gateway::cookies::CookieJar;
use crate::syncml::large_object::Transfer;
use crate::wsp::saved::SessionRecord;

/// Identifies one [`Command::Release`](super::Command::Release) for its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A session that moves: its record, and the gateway's own state for it.
#[derive(Clone, Debug)]
pub struct Handover {
    /// The session.
    pub session: SessionRecord,
    kept: Kept,
}

/// The gateway's own state for a session, which is never stored.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub(super) cookies: CookieJar,
    /// The large objects under way, if a route translates the session's messages.
    pub(super) transfer: Option<Transfer>,
}

impl Handover {
    pub(super) const fn new(session: SessionRecord, kept: Kept) -> Self {
        Self { session, kept }
    }

    pub(super) fn into_parts(self) -> (SessionRecord, Kept) {
        (self.session, self.kept)
    }
}

/// A session that a store remembered. Cookies are credentials and are not stored.
impl From<SessionRecord> for Handover {
    fn from(session: SessionRecord) -> Self {
        Self::new(session, Kept::default())
    }
}
