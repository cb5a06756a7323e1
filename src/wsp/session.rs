//! One WSP session as the server keeps it (WSP 7.1.6.4): its state and what was agreed.

use std::time::Duration;

use bytes::Bytes;

use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::capability::{self, Capabilities, ProtocolOptions, ServerLimits};
use crate::wsp::header::EncodingVersion;
use crate::wsp::method::MethodId;
use crate::wtp::Handle;

/// What the session layer allows.
#[derive(Clone, Debug)]
pub struct Config {
    /// Sessions held at once per shard. A Connect beyond it is aborted with CONGESTION. Default: 200 000.
    pub max_sessions: usize,
    /// Sessions of one address (of one /64 of IPv6) held at once per shard. A Connect beyond it is aborted with
    /// CONGESTION. Default: 10,000.
    pub max_sessions_per_address: u32,
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
    /// anew. Default: 12 h.
    pub idle_timeout: Duration,
}

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
    pub(super) slot: usize,
    /// The session id the peer knows.
    pub id: u32,
}

/// A session. An idle one is this, three table entries and what its client said at length.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: u32,
    pub(super) peer: Peer,
    pub(super) state: State,
    pub(super) agreed: Capabilities,
    /// The client's session headers, as it encoded them; merged with each method's when it is invoked.
    pub(super) headers: Bytes,
    /// The newest header encoding the client said it understands.
    pub(super) encoding: Option<EncodingVersion>,
    /// Methods outstanding, oldest first.
    pub(super) methods: Vec<MethodId>,
    /// Confirmed pushes outstanding, oldest first.
    pub(super) pushes: Vec<Handle>,
    /// When the peer was last heard on this session.
    pub(super) used: Instant,
}

impl Session {
    /// Whether the client may suspend and resume it.
    pub(super) const fn may_resume(&self) -> bool {
        self.agreed.options.has(ProtocolOptions::SESSION_RESUME)
    }

    /// The Connect or Resume transaction still open.
    pub(super) const fn setup(&self) -> Option<Handle> {
        match &self.state {
            State::Connecting { transaction, .. }
            | State::Connecting2 { transaction, .. }
            | State::Resuming { transaction, .. }
            | State::Resuming2 { transaction, .. } => Some(*transaction),
            State::Connected | State::Suspended => None,
        }
    }

    /// Whether methods that come are shown to the user, or held until the session is set up.
    pub(super) const fn releases(&self) -> bool {
        !matches!(
            self.state,
            State::Connecting { .. } | State::Resuming { .. }
        )
    }

    /// Octets of the largest SDU the client may send.
    pub(super) fn max_request(&self) -> Option<usize> {
        self.agreed
            .server_mru()
            .and_then(|max| usize::try_from(max).ok())
    }

    /// Octets of the largest request the client may send in several SDUs, within our own `cap`. A size left
    /// at the default binds nobody: it is what clients say that have never heard of message sizes.
    pub(super) fn max_gathered(&self, cap: u32) -> usize {
        match self.agreed.server_message {
            0 | capability::DEFAULT_SIZE => cap as usize,
            size => size.min(cap) as usize,
        }
    }

    /// Octets of the largest SDU to send to the client.
    pub(super) fn max_unit(&self) -> Option<usize> {
        let size = self.agreed.client_sdu as usize;
        (size != 0).then_some(size)
    }

    /// Whether replies may come in several SDUs. A client that wants crumbs is given no such reply: each SDU
    /// would cost more than it carries, and a large reply would have a million of them.
    pub(super) fn takes_several(&self) -> bool {
        self.agreed.options.has(ProtocolOptions::LARGE_DATA)
            && self.max_unit().is_none_or(|unit| unit >= SMALLEST_UNIT)
    }

    /// Octets of the largest reply: in one SDU, or in several if both sides and their transaction can.
    pub(super) fn max_reply(&self, in_several: bool) -> Option<usize> {
        let one = self.max_unit()?;
        if !(in_several && self.takes_several()) {
            return Some(one);
        }
        match self.agreed.client_message as usize {
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
        /// The capabilities it asked for, as encoded.
        offer: Box<[u8]>,
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
    Resuming {
        /// The Resume transaction.
        transaction: Handle,
        /// Whence it came: the session's peer once it is accepted.
        from: Box<Peer>,
    },
    /// Reply to a Resume sent, its last Ack outstanding.
    Resuming2 {
        /// The Resume transaction.
        transaction: Handle,
        /// As in CONNECTING_2.
        used: bool,
    },
}

impl State {
    /// The name in the specification's table.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Connecting { .. } => "CONNECTING",
            Self::Connecting2 { .. } => "CONNECTING_2",
            Self::Connected => "CONNECTED",
            Self::Suspended => "SUSPENDED",
            Self::Resuming { .. } => "RESUMING",
            Self::Resuming2 { .. } => "RESUMING_2",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an idle session keeps: itself and its places in the tables by peer, by id and by time, these at
    /// their worst (a table that has just doubled), and its client's headers.
    #[test]
    fn an_idle_session_stays_below_512_octets() {
        let entry = |size: usize| 2 * (size + 1);
        let tables = entry(size_of::<(Peer, usize)>()) + entry(size_of::<(u32, usize)>());
        let wakeup = 2 * (size_of::<(Instant, usize)>() + size_of::<Option<Instant>>());
        let session = size_of::<Session>() + tables + wakeup;
        assert!(
            session <= 448,
            "{session} octets besides what its client said"
        );
    }
}
