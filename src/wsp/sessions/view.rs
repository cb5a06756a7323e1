//! Queries: sessions, negotiated values, counters.

use std::net::IpAddr;

use bytes::Bytes;

use super::{Sessions, Stats};
use crate::time::Instant;
use crate::wdp::{Peer, source_prefix};
use crate::wsp::capability::{Capabilities, ProtocolOptions};
use crate::wsp::header::EncodingVersion;
use crate::wsp::key::SessionKey;
use crate::wsp::listing::{Page, Query, SLOTS_PER_PAGE, Summary};
use crate::wsp::session::Session;

/// The negotiated values of a session, for a user that pushes.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// The session.
    pub key: SessionKey,
    /// Its conversation.
    pub peer: Peer,
    /// The newest header encoding the client understands.
    pub encoding: EncodingVersion,
    /// The agreed capabilities.
    pub agreed: Capabilities,
    /// The client's session headers, as it encoded them.
    pub headers: Bytes,
}

impl Sessions {
    /// Counters.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    /// Methods held because they came before their session.
    #[must_use]
    pub fn early(&self) -> usize {
        self.pending.len()
    }

    /// Sessions asked for elsewhere at the moment.
    #[must_use]
    pub fn open_claims(&self) -> usize {
        self.claims.len()
    }

    /// Sessions held.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no session is held.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.table.len() == 0
    }

    /// Methods outstanding.
    #[must_use]
    pub const fn methods(&self) -> usize {
        self.children.methods.len()
    }

    /// The session with an id, and its negotiated values.
    #[must_use]
    pub fn find(&self, id: u32) -> Option<SessionInfo> {
        let key = self.table.of_id(id)?;
        Some(info(key, self.table.get(key)?))
    }

    /// The newest session at an address that can take a push of this kind now. A session that
    /// agreed to the other kind only is returned if there is no better one.
    #[must_use]
    pub fn find_for_push(&self, address: IpAddr, confirmed: bool) -> Option<SessionInfo> {
        let option = match confirmed {
            true => ProtocolOptions::CONFIRMED_PUSH,
            false => ProtocolOptions::PUSH,
        };
        let sessions = self
            .table
            .pushable(source_prefix(address.to_canonical()))
            .filter(|(_, session)| session.takes_pushes())
            .take(MOST_CANDIDATES);
        let mut other = None;
        for (key, session) in sessions {
            if session.profile().agreed.options.has(option) {
                return Some(info(key, session));
            }
            other.get_or_insert((key, session));
        }
        other.map(|(key, session)| info(key, session))
    }

    /// A page of the table. One call looks at [`SLOTS_PER_PAGE`] slots at most, so a page may be
    /// empty without being the last. A session that begins or ends between two pages may be missed;
    /// no session is shown twice.
    #[must_use]
    pub fn page(&self, now: Instant, query: &Query) -> Page {
        let end = self.table.end();
        let mut found = Vec::new();
        let mut slot = query.from;
        let stop = query.from.saturating_add(SLOTS_PER_PAGE).min(end);
        while slot < stop && found.len() < query.limit {
            if let Some((_, session, used)) = self.table.at(slot)
                && query.wants(session)
            {
                let methods = self.children.methods.count(session.methods());
                found.push(Summary::of(session, methods, now.since(used)));
            }
            slot += 1;
        }
        Page {
            sessions: found,
            next: (slot < end).then_some(slot),
        }
    }

    /// The ids of the sessions held, in no order.
    #[doc(hidden)]
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.table.ids()
    }

    /// The name of a session's state in the specification's tables; `None` is NULL.
    #[doc(hidden)]
    #[must_use]
    pub fn state_name(&self, id: u32) -> Option<&'static str> {
        let session = self.table.get(self.table.of_id(id)?)?;
        Some(session.state_name())
    }

    /// The names of the states of a session's methods, oldest first.
    #[doc(hidden)]
    #[must_use]
    pub fn method_states(&self, id: u32) -> Vec<&'static str> {
        let session = self.table.of_id(id).and_then(|key| self.table.get(key));
        let methods = &self.children.methods;
        session.map_or_else(Vec::new, |session| methods.state_names(session.methods()))
    }

    /// Confirmed pushes a session has outstanding.
    #[doc(hidden)]
    #[must_use]
    pub fn pushing(&self, id: u32) -> usize {
        let session = self.table.of_id(id).and_then(|key| self.table.get(key));
        session.map_or(0, Session::pushing)
    }

    /// Whether this peer has a session and has acknowledged an answer of ours. The sender of a
    /// Connect or Resume, and of a method that comes with it, may be forged; WTP has no better
    /// proof of an address.
    #[must_use]
    pub fn has_proved(&self, peer: Peer) -> bool {
        let key = self.table.of_peer(peer);
        let session = key.and_then(|key| self.table.get(key));
        session.is_some_and(Session::has_proved)
    }
}

fn info(key: SessionKey, session: &Session) -> SessionInfo {
    let profile = session.profile();
    SessionInfo {
        key,
        peer: session.peer(),
        encoding: profile.encoding.unwrap_or_default(),
        agreed: profile.agreed.clone(),
        headers: profile.headers.clone(),
    }
}

/// Sessions of one address that are examined for one push.
const MOST_CANDIDATES: usize = 64;
