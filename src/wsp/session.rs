//! One WSP session as the server keeps it (WSP 7.1.6.4): its state and what was agreed.

use std::time::Duration;

use bytes::Bytes;

use crate::time::Instant;
use crate::wdp::Peer;
use crate::wsp::capability::{Capabilities, ProtocolOptions, ServerLimits};
use crate::wsp::header::EncodingVersion;
use crate::wsp::method::MethodId;
use crate::wtp::Handle;

/// What the session layer allows.
#[derive(Clone, Debug)]
pub struct Config {
    /// Sessions held at once per shard. A Connect beyond it is aborted with CONGESTION. Default: 200 000.
    pub max_sessions: usize,
    /// Methods a session may have outstanding; a client that asks for more gets this many. Default: 8.
    pub max_methods: u8,
    /// Largest request SDU agreed to, in octets; also what a client may post that named no size of its
    /// own. Default: 1 MiB.
    pub max_server_sdu: u32,
    /// Largest reply SDU agreed to, in octets. Default: 1 MiB.
    pub max_client_sdu: u32,
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
            options: ProtocolOptions::SESSION_RESUME,
            method_mor: self.max_methods,
            push_mor: 0,
            extended_methods: Vec::new(),
            code_pages: true,
            aliases: Vec::new(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_sessions: 200_000,
            max_methods: 8,
            max_server_sdu: 1 << 20,
            max_client_sdu: 1 << 20,
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

/// A session.
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
    /// When the peer was last heard on this session.
    pub(super) used: Instant,
}

/// Where a session stands (WSP 7.1.6.4). NULL is not being in the table.
///
/// A state that waits for a transaction holds its handle, so that leaving the state forgets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Connect heard, our answer not decided.
    Connecting {
        /// The Connect transaction.
        transaction: Handle,
        /// The capabilities it asked for, as encoded.
        offer: Bytes,
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
    /// Reply to a Resume sent, its last Ack outstanding. (RESUMING passes within one call: a session that
    /// is found is resumed.)
    Resuming2 {
        /// The Resume transaction.
        transaction: Handle,
        /// As in CONNECTING_2.
        used: bool,
    },
}
