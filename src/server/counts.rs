//! What a shard counts of its datagrams.

use derive_more::AddAssign;

/// What the shell of a shard counts.
#[derive(Clone, Copy, Debug, Default, AddAssign)]
pub struct ShellStats {
    /// Datagrams received.
    pub received: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams thrown away because they came before every socket was bound.
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
    /// Claims, and changes in sessions, that could not be told: too much waited to be settled or stored.
    pub untold: u64,
}
