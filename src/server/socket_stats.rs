//! Counters of one shard's sockets.

use derive_more::AddAssign;

use crate::server::secure::SecureStats;
use crate::upstream::UpstreamStats;

/// Counters of one shard's sockets.
#[derive(Clone, Copy, Debug, Default, AddAssign)]
pub struct SocketStats {
    /// Datagrams received.
    pub received: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams discarded because they arrived before every socket was bound.
    pub discarded: u64,
    /// Octets received.
    pub received_octets: u64,
    /// Octets sent.
    pub sent_octets: u64,
    /// Datagrams the kernel refused to send.
    pub send_errors: u64,
    /// Datagrams too large to send.
    pub too_large: u64,
    /// Times the socket was full and sending had to wait.
    pub blocked: u64,
    /// Claims and session changes lost because the queue to the directory or the store was full.
    pub untold: u64,
    /// WTLS on the secure ports.
    pub secure: SecureStats,
    /// Requests to origins.
    pub upstream: UpstreamStats,
}
