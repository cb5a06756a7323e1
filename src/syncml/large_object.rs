//! State of the large objects of a SyncML session (SyncML representation 1.1, MoreData and Size).
//!
//! The chunks of an object come in several messages, and a translating gateway sees one message at
//! a time. This state connects them: an object is translated as a whole or not at all.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::syncml::header::peek;
use crate::syncml::walk::{Element, Step, Walk};
use crate::wbxml::xml::Chunks;

/// The large objects that a SyncML session transfers, in both directions. It belongs to a WSP
/// session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// From the handset to the origin.
    pub requests: Direction,
    /// From the origin to the handset.
    pub replies: Direction,
}

/// The state of one direction. The last message may be repeated, so the state before it is kept as
/// well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Direction {
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Last {
    session: u64,
    message: u64,
    before: Progress,
    after: Progress,
}

/// The state of the session's large object between two messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Messages are translated.
    Translated(Chunks),
    /// An object is open, and its chunks pass untouched.
    Untouched,
}

/// The key of a message: its session, and its number in the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    session: u64,
    message: u64,
    /// The message is the first one of its session.
    pub(super) is_first: bool,
}

/// The key of a message; `None` if the message has no complete SyncHdr.
pub(super) fn key(message: &[u8]) -> Option<Key> {
    let header = peek(message)?;
    let of = |text: &str| {
        let mut hasher = DefaultHasher::new();
        text.trim().hash(&mut hasher);
        hasher.finish()
    };
    Some(Key {
        session: of(&header.session_id),
        message: of(&header.msg_id),
        is_first: header.msg_id.trim() == "1",
    })
}

/// Whether the last Item of a message goes on in the next one.
pub(super) fn has_more_data(message: &[u8]) -> bool {
    let Some(mut walk) = Walk::new(message, message.len()) else {
        return false;
    };
    while let Some(step) = walk.next() {
        if matches!(step, Step::Start(Element::MoreData)) {
            return true;
        }
    }
    false
}

impl Direction {
    /// Whether no message was recorded yet.
    pub(super) const fn is_fresh(&self) -> bool {
        self.last.is_none()
    }

    /// The state before this message. A message with the key of the last one is a repetition.
    pub(super) fn before(&self, key: &Key) -> Progress {
        match &self.last {
            _ if key.is_first => Progress::Translated(Chunks::Closed),
            Some(last) if last.session == key.session && last.message == key.message => last.before,
            Some(last) if last.session == key.session => last.after,
            _ => Progress::Translated(Chunks::Unknown),
        }
    }

    pub(super) fn record(&mut self, key: &Key, before: Progress, after: Progress) {
        self.last = Some(Last {
            session: key.session,
            message: key.message,
            before,
            after,
        });
    }
}

impl Progress {
    /// Whether octets of the object are still to be sent with its next chunk.
    pub(super) const fn is_cut(self) -> bool {
        matches!(self, Self::Translated(Chunks::Open(carry)) if !carry.is_empty())
    }

    /// The same after a message that leaves no object open.
    pub(super) const fn closed(self) -> Self {
        match self {
            Self::Translated(Chunks::Unknown) => self,
            _ => Self::Translated(Chunks::Closed),
        }
    }
}
