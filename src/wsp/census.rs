//! A look at the sessions held, a stretch at a time: for operators who ask who is there.

use std::net::IpAddr;
use std::time::Duration;

use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::header::EncodingVersion;
use crate::wsp::session::Session;
use crate::wsp::sessions::Sessions;

/// Which sessions to show, and where to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The place to begin at: 0, or what the last stretch ended with.
    pub from: u32,
    /// Sessions to show at most.
    pub limit: usize,
    /// Only those of this handset.
    pub address: Option<IpAddr>,
    /// Only those in this state, by its name in the specification: `CONNECTED`, `SUSPENDED` and so on.
    pub state: Option<String>,
}

/// A stretch of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// The sessions found in it.
    pub sessions: Vec<Summary>,
    /// Where the next one begins; `None` at the end of the table.
    pub next: Option<u32>,
}

/// One session. What its client said of itself in headers is nobody's business and not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The session id.
    pub id: u32,
    /// Its conversation.
    pub peer: Peer,
    /// The state's name in the specification.
    pub state: &'static str,
    /// How long nothing has been heard on it.
    pub idle: Duration,
    /// Octets of the largest SDU to the client; 0 is no limit, here and below.
    pub client_sdu: u32,
    /// Octets of the largest SDU from the client.
    pub server_sdu: u32,
    /// Octets of the largest message to the client, in several SDUs.
    pub client_message: u32,
    /// Octets of the largest message from the client, in several SDUs.
    pub server_message: u32,
    /// Methods the client may have outstanding.
    pub method_mor: u8,
    /// Methods it has outstanding.
    pub methods: usize,
    /// Confirmed pushes outstanding.
    pub pushes: usize,
    /// The newest header encoding the client understands, if it said.
    pub encoding: Option<EncodingVersion>,
}

impl Sessions {
    /// A stretch of the table. It looks at [`STRIDE`] places at most, however many sessions there are, so a
    /// stretch may be empty and not the last. A session that comes or goes between two stretches may be
    /// missed; none is shown twice.
    #[must_use]
    pub fn stretch(&self, now: Instant, query: &Query) -> Stretch {
        let end = self.registry.end();
        let mut found = Vec::new();
        let mut slot = query.from;
        let stop = query.from.saturating_add(STRIDE).min(end);
        while slot < stop && found.len() < query.limit {
            if let Some(session) = self.registry.get(slot)
                && query.wants(session)
            {
                found.push(Summary::of(session, self.methods_of(session).count(), now));
            }
            slot += 1;
        }
        Stretch {
            sessions: found,
            next: (slot < end).then_some(slot),
        }
    }
}

impl Query {
    fn wants(&self, session: &Session) -> bool {
        let remote = session.peer.remote.ip();
        self.address
            .is_none_or(|address| address.to_canonical() == remote)
            && self
                .state
                .as_deref()
                .is_none_or(|state| state.eq_ignore_ascii_case(session.state.name()))
    }
}

impl Summary {
    fn of(session: &Session, methods: usize, now: Instant) -> Self {
        let agreed = &session.profile.agreed;
        Self {
            id: session.id,
            peer: session.peer,
            state: session.state.name(),
            idle: now.since(session.used),
            client_sdu: agreed.client_sdu,
            server_sdu: agreed.server_sdu,
            client_message: agreed.client_message,
            server_message: agreed.server_message,
            method_mor: agreed.method_mor,
            methods,
            pushes: session.pushing(),
            encoding: session.profile.encoding,
        }
    }
}

/// Places looked at for one stretch: some microseconds of the shard's time.
pub const STRIDE: u32 = 4_096;
