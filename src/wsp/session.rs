//! One WSP session as the server keeps it (WSP 7.1.6.4): its state and what was agreed.

use std::sync::Arc;
use std::time::Duration;

use crate::table::Links;
use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::capability::{self, ProtocolOptions, ServerLimits};
use crate::wsp::method::NO_METHOD;
use crate::wsp::profile::Profile;
use crate::wtp::Handle;

/// What the session layer allows.
#[derive(Clone, Debug)]
pub struct Config {
    /// Sessions held at once per shard. A Connect beyond it is aborted with CONGESTION. Default: 200 000.
    pub max_sessions: usize,
    /// Sessions of one address (of one /64 of IPv6) held at once per shard. A Connect beyond it is aborted with
    /// CONGESTION. Default: 10,000.
    pub max_sessions_per_address: u32,
    /// Octets held per shard of what clients say at length when they connect, equal ones counted once; a Connect or
    /// Resume that does not fit is aborted with CONGESTION. Default: 64 MiB.
    pub max_profiles: usize,
    /// Methods a session may have outstanding; a client that asks for more gets this many. Default: 8.
    pub max_methods: u8,
    /// Largest request SDU agreed to, in octets; also what a client may post that named no size of its
    /// own. Default: 1 MiB.
    pub max_server_sdu: u32,
    /// Largest reply SDU agreed to, in octets. Default: 1 MiB.
    pub max_client_sdu: u32,
    /// Confirmed pushes a session may have outstanding; a client that asks for more gets this many.
    /// Default: 4.
    pub max_pushes: u8,
    /// Facilities agreed to, if the client asks for them. Default: all.
    pub options: ProtocolOptions,
    /// Methods beyond HTTP's that are forwarded, by name. Default: none.
    pub extended_methods: Vec<Box<str>>,
    /// Our other addresses, as records of [`BearerAddress`](super::pdu::BearerAddress), told to clients
    /// that tell theirs. Default: none.
    pub aliases: Vec<u8>,
    /// How long a method waits that came before the Connect it belongs to: the two may share a datagram or
    /// overtake each other on the way. Longer keeps a handset waiting whose session is gone. Default: 1.5 s.
    pub early_wait: Duration,
    /// Methods that wait so at once per shard, and of one peer a sixteenth; what comes on top is aborted
    /// with DISCONNECT. Default: 256.
    pub max_early: usize,
    /// Octets of all methods held so, together; beyond, as above. Default: 4 MiB.
    pub max_early_octets: usize,
    /// How long a Resume waits for a session that another shard or the store may have. Longer keeps a handset
    /// waiting whose session is gone. Default: 2 s.
    pub claim_wait: Duration,
    /// Sessions asked for elsewhere at once per shard, and of one peer four; what comes on top is aborted with
    /// DISCONNECT. Default: 1,024.
    pub max_claims: usize,
    /// Octets held per shard for requests that come in several SDUs (Large Data Transfer) and are not yet
    /// whole; beyond, they are aborted with CONGESTION. Default: 16 MiB.
    pub max_gathered: usize,
    /// A session unused for this long is forgotten; the loss of a peer cannot be seen otherwise (WSP
    /// 7.1.5). The next method of a forgotten session is aborted with DISCONNECT, and the handset connects
    /// anew. It may happen a 64th of the time later. Default: 12 h.
    pub idle_timeout: Duration,
}

/// Octets of memory for each idle session, with its places in all tables of this layer; what its client said at
/// length is counted by [`Config::max_profiles`]. `tests/allocations.rs` holds us to it.
pub const OCTETS_PER_SESSION: usize = 176;

impl Config {
    /// The same, as the bounds of a negotiation.
    pub(super) fn server_limits(&self) -> ServerLimits {
        ServerLimits {
            client_sdu: self.max_client_sdu,
            server_sdu: self.max_server_sdu,
            client_message: self.max_client_sdu,
            server_message: self.max_server_sdu,
            options: self.options,
            method_mor: self.max_methods,
            push_mor: self.max_pushes,
            extended_methods: self.extended_methods.clone(),
            code_pages: true,
            aliases: self.aliases.clone(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_sessions: 200_000,
            max_sessions_per_address: 10_000,
            max_profiles: 64 << 20,
            max_methods: 8,
            max_server_sdu: 1 << 20,
            max_client_sdu: 1 << 20,
            max_pushes: 4,
            options: ProtocolOptions::ALL,
            extended_methods: Vec::new(),
            aliases: Vec::new(),
            early_wait: Duration::from_millis(1_500),
            max_early: 256,
            max_early_octets: 4 << 20,
            claim_wait: Duration::from_secs(2),
            max_claims: 1_024,
            max_gathered: 16 << 20,
            idle_timeout: Duration::from_secs(12 * 3600),
        }
    }
}

/// Names one session: its place, and its id as proof that the place was not given away since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    pub(super) slot: u32,
    /// The session id the peer knows.
    pub id: u32,
}

/// A session. An idle one is this and two entries of an index; what its client said at length it mostly shares.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: u32,
    pub(super) peer: Peer,
    pub(super) state: State,
    /// Whether somebody at `peer` acknowledged what only this peer was sent.
    pub(super) proved: bool,
    pub(super) profile: Arc<Profile>,
    /// The place of the oldest method outstanding, which knows the next; or [`NO_METHOD`].
    pub(super) method: u32,
    /// Confirmed pushes outstanding, oldest first.
    #[expect(clippy::box_collection, reason = "hardly any session has some")]
    pub(super) pushes: Option<Box<Vec<Handle>>>,
    /// When the peer was last heard on this session.
    pub(super) used: Instant,
    /// When it took its place in the queue of the unused.
    pub(super) queued: Instant,
    pub(super) links: Links,
}

impl Session {
    /// Whether the client may suspend and resume it.
    pub(super) fn may_resume(&self) -> bool {
        self.profile
            .agreed
            .options
            .has(ProtocolOptions::SESSION_RESUME)
    }

    /// Whether methods or pushes are outstanding.
    pub(super) fn is_busy(&self) -> bool {
        self.method != NO_METHOD || self.pushing() > 0
    }

    /// Confirmed pushes outstanding.
    pub(super) fn pushing(&self) -> usize {
        self.pushes.as_ref().map_or(0, |pushes| pushes.len())
    }

    /// The Connect or Resume transaction still open.
    pub(super) const fn setup(&self) -> Option<Handle> {
        match &self.state {
            State::Connecting { transaction, .. }
            | State::Connecting2 { transaction, .. }
            | State::Resuming2 { transaction, .. } => Some(*transaction),
            State::Resuming(resuming) => Some(resuming.transaction),
            State::Connected | State::Suspended => None,
        }
    }

    /// Whether methods that come are shown to the user, or held until the session is set up.
    pub(super) const fn releases(&self) -> bool {
        !matches!(self.state, State::Connecting { .. } | State::Resuming(_))
    }

    /// Octets of the largest SDU the client may send.
    pub(super) fn max_request(&self) -> Option<usize> {
        self.profile
            .agreed
            .server_mru()
            .and_then(|max| usize::try_from(max).ok())
    }

    /// Octets of the largest request the client may send in several SDUs, within our own `cap`. A size left
    /// at the default binds nobody: it is what clients say that have never heard of message sizes.
    pub(super) fn max_gathered(&self, cap: u32) -> usize {
        match self.profile.agreed.server_message {
            0 | capability::DEFAULT_SIZE => cap as usize,
            size => size.min(cap) as usize,
        }
    }

    /// Octets of the largest SDU to send to the client.
    pub(super) fn max_unit(&self) -> Option<usize> {
        let size = self.profile.agreed.client_sdu as usize;
        (size != 0).then_some(size)
    }

    /// Whether replies may come in several SDUs. A client that wants crumbs is given no such reply: each SDU
    /// would cost more than it carries, and a large reply would have a million of them.
    pub(super) fn takes_several(&self) -> bool {
        self.profile.agreed.options.has(ProtocolOptions::LARGE_DATA)
            && self.max_unit().is_none_or(|unit| unit >= SMALLEST_UNIT)
    }

    /// Octets of the largest reply: in one SDU, or in several if both sides and their transaction can.
    pub(super) fn max_reply(&self, in_several: bool) -> Option<usize> {
        let one = self.max_unit()?;
        if !(in_several && self.takes_several()) {
            return Some(one);
        }
        match self.profile.agreed.client_message as usize {
            0 => None,
            size => Some(size.max(one)),
        }
    }
}

/// Octets of the smallest SDU of several.
const SMALLEST_UNIT: usize = 64;

/// Where a session stands (WSP 7.1.6.4). NULL is not being in the table; TERMINATING is no more than an open
/// transaction without a session.
///
/// A state that waits for a transaction holds its handle, so that leaving the state forgets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Connect heard, our answer not decided: a proto-session, not yet the peer's.
    Connecting {
        /// The Connect transaction.
        transaction: Handle,
    },
    /// ConnectReply sent, its last Ack outstanding.
    Connecting2 {
        /// The Connect transaction.
        transaction: Handle,
        /// A method came, so the client has our answer whether or not its Ack arrives.
        used: bool,
    },
    /// In use.
    Connected,
    /// The client went away and said so; nothing is exchanged until it resumes.
    Suspended,
    /// Resume heard, our answer not decided.
    Resuming(Box<Resuming>),
    /// Reply to a Resume sent, its last Ack outstanding.
    Resuming2 {
        /// The Resume transaction.
        transaction: Handle,
        /// As in CONNECTING_2.
        used: bool,
    },
}

/// A Resume that waits for our answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resuming {
    pub(super) transaction: Handle,
    /// Whence it came: the session's peer once it is accepted.
    pub(super) from: Peer,
}

impl State {
    /// The name in the specification's table.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Connecting { .. } => "CONNECTING",
            Self::Connecting2 { .. } => "CONNECTING_2",
            Self::Connected => "CONNECTED",
            Self::Suspended => "SUSPENDED",
            Self::Resuming(_) => "RESUMING",
            Self::Resuming2 { .. } => "RESUMING_2",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an idle session keeps besides two entries of five octets in an index; at a million of them each octet
    /// is a megabyte.
    #[test]
    fn an_idle_session_stays_below_112_octets() {
        assert!(
            size_of::<Option<Session>>() <= 112,
            "{}",
            size_of::<Session>()
        );
    }
}
