//! The counters of an endpoint.

use derive_more::AddAssign;

/// Counters and gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, AddAssign)]
pub struct Stats {
    /// Connections now.
    pub connections: u64,
    /// Handshakes under way now.
    pub handshakes: u64,
    /// Sessions that can be resumed now.
    pub sessions: u64,
    /// Full handshakes completed.
    pub full: u64,
    /// Abbreviated handshakes completed.
    pub abbreviated: u64,
    /// Handshakes that failed: no common suite, a wrong message, a wrong Finished.
    pub failed: u64,
    /// Handshakes that the client did not go on with in time.
    pub timed_out: u64,
    /// ClientHellos refused because of the limits of handshakes, or in clear text because their peer
    /// has a connection, and was answered lately or has a handshake under its cipher spec.
    pub refused: u64,
    /// Handshakes refused because of the rate of key operations.
    pub key_operations_refused: u64,
    /// Flights repeated because the client repeated its own.
    pub repeated: u64,
    /// Datagrams that are no records.
    pub malformed: u64,
    /// Records whose sequence number was received before, or is too old; ClientHellos and Finished
    /// that came before.
    pub replayed: u64,
    /// Records with wrong padding or a wrong MAC.
    pub bad: u64,
    /// Records that the state of the connection does not allow, or in clear text on a secure
    /// connection.
    pub unexpected: u64,
    /// Records of peers without a connection.
    pub unknown: u64,
    /// Alerts received, those with a wrong checksum excepted.
    pub alerts_received: u64,
    /// Alerts with a wrong checksum.
    pub alerts_ignored: u64,
    /// Alerts sent.
    pub alerts_sent: u64,
    /// Datagrams of the layers above for which there was no connection.
    pub unsent: u64,
    /// Datagrams discarded because too many waited to be sent.
    pub overflowed: u64,
    /// Answers withheld from an unproved address that had sent too little.
    pub withheld: u64,
    /// Connections that ended to make room for new ones.
    pub evicted: u64,
    /// Connections that ended unused.
    pub idle: u64,
    /// Connections that ended because their sequence numbers did.
    pub exhausted: u64,
    /// Records opened.
    pub opened: u64,
    /// Records sealed.
    pub sealed: u64,
}
