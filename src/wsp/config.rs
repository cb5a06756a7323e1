//! Settings of the session layer.

use std::time::Duration;

use crate::wsp::capability::{ProtocolOptions, ServerLimits};

/// Settings of the session layer.
#[derive(Clone, Debug)]
pub struct Config {
    /// Sessions held at once per shard. A Connect beyond it is aborted with CONGESTION. Default:
    /// 200 000.
    pub max_sessions: usize,
    /// Sessions of one address (of one /64 of IPv6) held at once per shard. A Connect beyond it is
    /// aborted with CONGESTION. Default: 10,000.
    pub max_sessions_per_address: u32,
    /// Octets per shard for the headers and capabilities of Connects; equal ones count once. A
    /// Connect or Resume that does not fit is aborted with CONGESTION. Default: 64 MiB.
    pub max_profiles: usize,
    /// Methods a session may have outstanding; a client that asks for more gets this many. Default:
    /// 8.
    pub max_methods: u8,
    /// Largest request SDU that the gateway agrees to, in octets, and the limit of requests from
    /// clients that named no size. Default: 1 MiB.
    pub max_server_sdu: u32,
    /// Largest reply SDU agreed to, in octets. Default: 1 MiB.
    pub max_client_sdu: u32,
    /// Confirmed pushes a session may have outstanding; a client that asks for more gets this many.
    /// Default: 4.
    pub max_pushes: u8,
    /// Facilities agreed to, if the client asks for them. Default: all.
    pub options: ProtocolOptions,
    /// Whether the user sends pushes. If not, both push facilities are refused, whatever `options`
    /// has. Default: no.
    pub serves_pushes: bool,
    /// Names of methods beyond HTTP's that are forwarded. Default: none.
    pub extended_methods: Vec<Box<str>>,
    /// Our other addresses, as records of [`BearerAddress`](super::pdu::BearerAddress), sent to
    /// clients that send theirs. Default: none.
    pub aliases: Vec<u8>,
    /// How long a method waits for its Connect: the two may share a datagram or arrive in the other
    /// order. A longer time delays the Abort for a handset whose session is gone. Default: 1.5 s.
    pub early_wait: Duration,
    /// Methods that wait in this way at once per shard; one peer has a sixteenth. Further methods
    /// are aborted with DISCONNECT. Default: 256.
    pub max_early: usize,
    /// Octets of all methods held so, together; beyond, as above. Default: 4 MiB.
    pub max_early_octets: usize,
    /// How long a Resume waits for a session of another shard or of the store. A longer time delays
    /// the Abort for a handset whose session is gone. Default: 2 s.
    pub claim_wait: Duration,
    /// Open claims per shard; one peer has four. Further Resumes are aborted with DISCONNECT.
    /// Default: 1,024.
    pub max_claims: usize,
    /// Octets held per shard for requests that come in several SDUs (Large Data Transfer) and are
    /// not yet whole; beyond, they are aborted with CONGESTION. Default: 16 MiB.
    pub max_gathered: usize,
    /// A session that is unused for this long is removed, since the loss of a peer cannot be seen
    /// otherwise (WSP 7.1.5). The next method of a removed session is aborted with DISCONNECT, and
    /// the handset connects again. The removal may come a 64th of the time later. Default: 12 h.
    pub idle_timeout: Duration,
}

/// Octets of memory for each idle session, with its places in all tables of this layer. The
/// client's headers count under [`Config::max_profiles`]. `tests/allocations.rs` checks the number.
pub const OCTETS_PER_SESSION: usize = 176;

impl Config {
    /// The same, as the bounds of a negotiation.
    pub(super) fn server_limits(&self) -> ServerLimits {
        ServerLimits {
            client_sdu: self.max_client_sdu,
            server_sdu: self.max_server_sdu,
            client_message: self.max_client_sdu,
            server_message: self.max_server_sdu,
            options: match self.serves_pushes {
                true => self.options,
                false => ProtocolOptions(self.options.0 & !PUSHES),
            },
            method_mor: self.max_methods,
            push_mor: self.max_pushes,
            extended_methods: self.extended_methods.clone(),
            code_pages: true,
            aliases: self.aliases.clone(),
        }
    }
}

impl Config {
    /// Sessions that one source prefix may have: never more than a quarter of the table.
    pub(super) fn max_sessions_of_source(&self) -> usize {
        let share = (self.max_sessions / 4).max(SMALLEST_SHARE);
        share.min(self.max_sessions_per_address as usize)
    }

    /// Octets of the largest request.
    pub(super) const fn max_whole(&self) -> usize {
        self.max_server_sdu as usize
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
            serves_pushes: false,
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

/// The facilities of pushes.
const PUSHES: u8 = ProtocolOptions::PUSH.0 | ProtocolOptions::CONFIRMED_PUSH.0;

/// Sessions that one source prefix may have in any case.
const SMALLEST_SHARE: usize = 64;

/// Octets of headers and capabilities of a client that are kept for as long as its session, and
/// read again with each of its methods. Handsets send one or two thousand.
pub(super) const MAX_KEPT: usize = 16 * 1024;
