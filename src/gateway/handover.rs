//! A session on its way from one shard to another.

use crate::gateway::cookies::Jar;
use crate::wsp::saved::SessionRecord;

/// Names one [`Command::Release`](super::Command::Release), for whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// All of a session that moves: its record, and the cookies kept for it.
#[derive(Clone, Debug)]
pub struct Handover {
    /// The session.
    pub session: SessionRecord,
    cookies: Jar,
}

impl Handover {
    pub(super) const fn new(session: SessionRecord, cookies: Jar) -> Self {
        Self { session, cookies }
    }

    pub(super) fn into_parts(self) -> (SessionRecord, Jar) {
        (self.session, self.cookies)
    }
}

/// A session that a store remembered. Cookies are credentials and are not stored.
impl From<SessionRecord> for Handover {
    fn from(session: SessionRecord) -> Self {
        Self::new(session, Jar::default())
    }
}
