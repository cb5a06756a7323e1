//! Lists sessions for operators, a page at a time.

use std::net::IpAddr;
use std::time::Duration;

use crate::wdp::Peer;
use crate::wsp::header::EncodingVersion;
use crate::wsp::session::Session;

/// Which sessions to show, and where to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The start of the page: 0, or `next` of the last page.
    pub from: u32,
    /// Sessions to show at most.
    pub limit: usize,
    /// Only sessions of this address.
    pub address: Option<IpAddr>,
    /// Only sessions in this state, by its name in the specification: `CONNECTED`, `SUSPENDED` and
    /// so on.
    pub state: Option<String>,
}

/// A page of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The sessions found in it.
    pub sessions: Vec<Summary>,
    /// The start of the next page; `None` at the end of the table.
    pub next: Option<u32>,
}

/// One session, without the headers of its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The session id.
    pub id: u32,
    /// Its conversation.
    pub peer: Peer,
    /// The state's name in the specification.
    pub state: &'static str,
    /// Time since the last PDU of the session.
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
    /// The newest header encoding of the client, if it named one.
    pub encoding: Option<EncodingVersion>,
}

impl Query {
    pub(super) fn wants(&self, session: &Session) -> bool {
        let remote = session.peer().remote.ip();
        self.address
            .is_none_or(|address| address.to_canonical() == remote)
            && self
                .state
                .as_deref()
                .is_none_or(|state| state.eq_ignore_ascii_case(session.state_name()))
    }
}

impl Summary {
    pub(super) fn of(session: &Session, methods: usize, idle: Duration) -> Self {
        let profile = session.profile();
        let agreed = &profile.agreed;
        Self {
            id: session.id(),
            peer: session.peer(),
            state: session.state_name(),
            idle,
            client_sdu: agreed.client_sdu,
            server_sdu: agreed.server_sdu,
            client_message: agreed.client_message,
            server_message: agreed.server_message,
            method_mor: agreed.method_mor,
            methods,
            pushes: session.pushing(),
            encoding: profile.encoding,
        }
    }
}

/// Places looked at for one page: some microseconds of the shard's time.
pub const SLOTS_PER_PAGE: u32 = 4_096;
