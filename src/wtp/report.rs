//! Counters of one transaction and of an endpoint.

use derive_more::AddAssign;

use crate::time::Instant;

/// Counters of one transaction, for its line in the access log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Report {
    /// When its first PDU came or was asked for.
    pub started: Instant,
    /// When the latest thing happened to it; in a final report, when it ended.
    pub updated: Instant,
    /// PDUs received.
    pub pdus_in: u32,
    /// PDUs sent.
    pub pdus_out: u32,
    /// Octets of the PDUs received, without headers of lower layers.
    pub octets_in: u32,
    /// Octets of the PDUs sent, without headers of lower layers.
    pub octets_out: u32,
    /// Data packets we sent again.
    pub retransmissions: u16,
    /// Data packets received again.
    pub duplicates: u16,
    /// Whether its TID was verified.
    pub verified: bool,
}

/// Plain counters of an endpoint since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, AddAssign)]
pub struct Stats {
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// PDUs received that could be decoded.
    pub pdus_in: u64,
    /// PDUs sent.
    pub pdus_out: u64,
    /// Malformed PDUs, and datagrams with a malformed concatenation.
    pub malformed: u64,
    /// Invokes of another version.
    pub other_versions: u64,
    /// PDUs for no transaction, ignored (WTP table 37).
    pub strays: u64,
    /// Transactions begun by peers, classes 1 and 2.
    pub responded: u64,
    /// Transactions begun here, classes 1 and 2.
    pub initiated: u64,
    /// Class 0 messages received.
    pub unreliable_in: u64,
    /// Class 0 messages sent.
    pub unreliable_out: u64,
    /// Data packets sent again.
    pub retransmissions: u64,
    /// Data packets received again.
    pub duplicates: u64,
    /// Messages re-assembled from segments.
    pub reassembled: u64,
    /// Acks that ask for verification sent.
    pub verifications: u64,
    /// Verifications that failed or were never answered.
    pub unverified: u64,
    /// Aborts sent.
    pub aborts_out: u64,
    /// Aborts received for a live transaction.
    pub aborts_in: u64,
    /// Transactions given up because the peer never answered.
    pub unanswered: u64,
    /// Invokes ignored because of `max_transactions`.
    pub refused_transactions: u64,
    /// Invokes ignored because of `max_transactions_per_peer`.
    pub refused_peer: u64,
    /// Invokes ignored because of `max_transactions_per_address`.
    pub refused_address: u64,
    /// Transactions given up for newer ones: incomplete, and their initiator had not answered yet.
    pub evicted_incomplete: u64,
    /// Invokes left unanswered for the next process on this port.
    pub left: u64,
    /// Transactions aborted because of `max_message`.
    pub refused_message: u64,
    /// Transactions aborted because of `max_reassembly`.
    pub refused_reassembly: u64,
    /// Invokes whose body was dropped at the limits for unverified octets.
    pub refused_unverified: u64,
    /// Segmented messages dropped because no packet came any more.
    pub abandoned: u64,
    /// Answers that belong to no transaction and were dropped because of `max_unowned`.
    pub dropped_unowned: u64,
    /// Peers forgotten because of `tid_cache_capacity`.
    pub evicted_peers: u64,
}
