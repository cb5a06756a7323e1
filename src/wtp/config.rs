//! Settings of an endpoint: timers, sizes and limits.

use std::time::Duration;

use super::tpi::DEFAULT_GROUP;

/// Settings of an [`Endpoint`](super::Endpoint). The defaults are those for bearers that carry IP.
#[derive(Clone, Debug)]
pub struct Config {
    /// Pause before a hold-on ack while the user thinks about a class 2 Invoke (B_A). Shorter costs
    /// datagrams; longer than the peer's retry interval makes it repeat the Invoke. Default: 2 s.
    pub base_ack: Duration,
    /// Time the user has to acknowledge a class 1 Invoke that asked for it (S_A with user
    /// acknowledgement; without, the ack goes at once). Default: 1 s, spent `max_ack_expirations +
    /// 1` times.
    pub short_ack: Duration,
    /// Time the user of an initiator has to acknowledge a Result (L_A). Default: 4 s.
    pub long_ack: Duration,
    /// Pause before a class 2 Invoke is sent again (B_R). Shorter repeats needlessly on slow links,
    /// longer makes each lost datagram cost more. Default: 5 s.
    pub base_retry: Duration,
    /// The same for a class 1 Invoke (S_R). With user acknowledgement `short_ack` is added.
    /// Default: 3 s.
    pub short_retry: Duration,
    /// The same for a Result (L_R). Default: 7 s.
    pub long_retry: Duration,
    /// The same for the last packet of a packet group (G_R). Without a measured round trip the
    /// first repetition comes after half of this time. Default: 3 s.
    pub group_retry: Duration,
    /// How long a transaction is remembered after its last acknowledgement, to repeat that (W), and
    /// how long an unfinished segmented message is kept after its latest packet. Longer costs
    /// memory. Default: 40 s.
    pub wait_timeout: Duration,
    /// Added to a retry interval per 1024 octets under way (M of WTP B.1). Too short repeats
    /// trailing packets on slow links, too long makes a lost one costly on fast links. Default: 0.2
    /// s.
    pub round_trip_per_kbyte: Duration,
    /// Least interval a measured round trip may shorten `group_retry` to. Shorter finds a lost
    /// trailing packet sooner and repeats more of them needlessly. Default: 1 s.
    pub min_group_retry: Duration,
    /// Half of a usual round trip: the pause before missing packets are asked for, restarted when
    /// one arrives (WTP 7.14.4). Shorter asks for packets that were only late. Default: 0.3 s.
    pub nack_delay: Duration,
    /// How often a PDU is sent again before the transaction is given up (RCR_MAX). Default: 8.
    pub max_retransmissions: u8,
    /// How often the time to acknowledge may run out before NORESPONSE (AEC_MAX). Default: 6.
    pub max_ack_expirations: u8,

    /// Octets of user data in one packet of a segmented message; larger messages are segmented if
    /// the peer can re-assemble them. Above the path's MTU less 60 octets, IP fragments. Default:
    /// 1400.
    pub segment_size: u16,
    /// Octets a datagram may grow to by concatenation. A single PDU may exceed it. Default: 1432.
    pub max_datagram: u16,
    /// Octets of data in the packet groups we receive, announced to peers (Maximum Group). `None`
    /// announces no size: peers then use 1405, which means one round trip per packet. The cost is
    /// the memory of a message in re-assembly, which has its own limits. Default: 65,536.
    pub receive_group: Option<u32>,
    /// Octets of data in the packet groups sent to a peer that announced no Maximum Group. More
    /// than 1405 is faster and asks more of the peer than it promised. Default: 1405.
    pub unannounced_group: u32,
    /// Octets of data in a packet group to a peer that announced more. Larger groups cost fewer
    /// round trips and come as one burst. Default: 65,536.
    pub send_group: u32,
    /// Packet groups we receive at a time, announced to peers that offer extended SAR (NumGroups).
    /// 0 means plain SAR only. Default: 4.
    pub num_groups: u8,
    /// Whether our own Invokes offer extended SAR. Costs two octets each; a peer without it answers
    /// with an Error TPI at worst. Default: no.
    pub offer_extended_sar: bool,
    /// Octets of a Result that we accept, announced in our class 2 Invokes (Maximum Receive Unit).
    /// `None` announces no limit. Default: `None`.
    pub max_receive_unit: Option<u32>,

    /// Octets of one received message; beyond, the transaction is aborted with MESSAGETOOLARGE.
    /// Default: 1 MiB.
    pub max_message: usize,
    /// How long a segmented message may take from its first packet to its last. Shorter than
    /// `max_message` takes on the slowest link breaks uploads. Default: 20 minutes.
    pub reassembly_lifetime: Duration,
    /// Octets held for incomplete segmented messages and for Invokes that wait for verification, of
    /// all peers together. At the limit the oldest message of a peer that has not answered yet is
    /// dropped, else one of a network (an IPv4 /24, an IPv6 /48) or a region (a /16, a /32) that
    /// holds more than a sixteenth and more than the new one's, or one without a new packet for
    /// 10 s. If there is none, the new one gets Abort CAPTEMPEXCEEDED. One
    /// source holds a quarter at most. Default: 64 MiB.
    pub max_reassembly: usize,
    /// Octets held for Invokes of one address that wait for verification; beyond, the body is
    /// dropped and taken from the repeated Invoke. Default: 64 KiB.
    pub max_unverified_per_address: usize,
    /// Octets held for Invokes that wait for verification, all addresses together; beyond, as
    /// above. Default: 8 MiB.
    pub max_unverified: usize,
    /// Transactions alive at a time, including those that wait for their timeout. At the limit the
    /// oldest incomplete transaction of an initiator that has not answered yet is dropped. If there
    /// is no such transaction, the new Invoke is ignored (WTP 7.6) and counted. Default: 200,000.
    pub max_transactions: usize,
    /// The same limit for the transactions of one peer (address quadruplet). Default: 64.
    pub max_transactions_per_peer: usize,
    /// The same limit for the transactions of one source (an IPv4 address or an IPv6 /64), over all
    /// its ports. The limit is never more than a quarter of `max_transactions`. Default: 10,000.
    pub max_transactions_per_address: u32,
    /// Answers that belong to no transaction and wait to be sent; beyond, the oldest is dropped and
    /// counted. Default: 1024.
    pub max_unowned: usize,

    /// Transactions we aborted after the user had seen their Invoke, remembered to answer a
    /// repeated Invoke with the same Abort; beyond, the oldest is forgotten, and if that Abort was
    /// lost the user may see the Invoke twice. Default: 4096.
    pub max_aborted: usize,

    /// Peers whose last TID is remembered. At the limit the entry that was unused longest is
    /// removed, first of networks (an IPv4 /24, an IPv6 /48) that have more than a quarter. New
    /// peers, then only those of that network, are verified for `tid_lifetime`. Default: 200,000.
    pub tid_cache_capacity: usize,
    /// How long a peer's last TID is remembered after its last use, and how long after a start new
    /// peers are verified. Never below the longest life of a packet in the network. Default: 240 s.
    pub tid_lifetime: Duration,
    /// Verify the TID of every unknown peer, even where the cache proves that the TID is new. The
    /// cost is one round trip for each peer and `tid_lifetime`. The proof is weak: the initiator
    /// chose the TID, so a forged address can answer without having received the question. Default:
    /// no.
    pub verify_new_peers: bool,

    /// Whether an address gets few packets at a time until its Acks have proved that it receives.
    /// Costs a round trip or three on the first large Result to each address. Default: no; the
    /// gateway sets it unless the operator has named the handsets' networks.
    pub validate_addresses: bool,

    /// Whether an Ack that asks for verification carries the last TID we know (Options Current TID,
    /// No Cached TID). Some old initiators expect no variable header there. Default: no.
    pub explain_verification: bool,

    /// Whether repeated Invokes are recognised. Without recognition every copy makes a new
    /// transaction. Only for a demonstration that must fail.
    #[doc(hidden)]
    pub duplicate_recognition: bool,
}

/// Sources that share a pool before it is full, and the least share of one.
const SOURCES_AT_LEAST: usize = 4;
const SMALLEST_TRANSACTIONS: usize = 64;
const SMALLEST_PEERS: usize = 64;
/// Networks that share a full pool.
const NETWORKS_WHEN_FULL: usize = 16;
const SMALLEST_REASSEMBLY: usize = 64 << 10;

/// Octets of memory for each peer whose last TID is remembered, with its places in all tables.
/// `tests/allocations.rs` checks the number.
pub const OCTETS_PER_PEER: usize = 128;

/// Octets of memory for each transaction, without its messages.
pub const OCTETS_PER_TRANSACTION: usize = 640;

impl Config {
    /// Transactions that one source may have begun: never more than a quarter of all.
    pub(super) fn max_transactions_of_source(&self) -> usize {
        let share = (self.max_transactions / SOURCES_AT_LEAST).max(SMALLEST_TRANSACTIONS);
        share.min(self.max_transactions_per_address as usize)
    }

    /// Octets of messages not yet whole that one network may hold while others find no room.
    pub(super) const fn max_reassembly_when_full(&self) -> usize {
        self.max_reassembly / NETWORKS_WHEN_FULL
    }

    /// Peers of one network whose last TID is remembered while the table is full.
    pub(super) fn max_peers_of_network(&self) -> usize {
        (self.tid_cache_capacity / SOURCES_AT_LEAST).max(SMALLEST_PEERS)
    }

    /// Octets of messages not yet whole that one source may hold: a quarter of all, and room for
    /// one message.
    pub(super) fn max_reassembly_of_source(&self) -> usize {
        let share = (self.max_reassembly / SOURCES_AT_LEAST).max(SMALLEST_REASSEMBLY);
        share.max(self.max_message)
    }

    /// Bearers that carry IP (WTP appendix A): GPRS, EDGE, 3G.
    #[must_use]
    pub const fn ip() -> Self {
        Self {
            base_ack: Duration::from_secs(2),
            short_ack: Duration::from_secs(1),
            long_ack: Duration::from_secs(4),
            base_retry: Duration::from_secs(5),
            short_retry: Duration::from_secs(3),
            long_retry: Duration::from_secs(7),
            group_retry: Duration::from_secs(3),
            wait_timeout: Duration::from_secs(40),
            round_trip_per_kbyte: Duration::from_millis(200),
            min_group_retry: Duration::from_secs(1),
            nack_delay: Duration::from_millis(300),
            max_retransmissions: 8,
            max_ack_expirations: 6,
            segment_size: 1400,
            max_datagram: 1432,
            receive_group: Some(65_536),
            unannounced_group: DEFAULT_GROUP,
            send_group: 65_536,
            num_groups: 4,
            offer_extended_sar: false,
            max_receive_unit: None,
            max_message: 1 << 20,
            reassembly_lifetime: Duration::from_secs(20 * 60),
            max_reassembly: 64 << 20,
            max_unverified_per_address: 64 << 10,
            max_unverified: 8 << 20,
            max_transactions: 200_000,
            max_transactions_per_peer: 64,
            max_transactions_per_address: 10_000,
            max_unowned: 1024,
            max_aborted: 4096,
            tid_cache_capacity: 200_000,
            tid_lifetime: Duration::from_secs(240),
            verify_new_peers: false,
            validate_addresses: false,
            explain_verification: false,
            duplicate_recognition: true,
        }
    }

    /// GSM USSD (WTP appendix A).
    #[must_use]
    pub const fn ussd() -> Self {
        Self {
            base_ack: Duration::from_secs(10),
            short_ack: Duration::from_secs(5),
            long_ack: Duration::from_secs(10),
            base_retry: Duration::from_secs(20),
            short_retry: Duration::from_secs(14),
            long_retry: Duration::from_secs(20),
            group_retry: Duration::from_secs(10),
            wait_timeout: Duration::from_secs(60),
            round_trip_per_kbyte: Duration::from_secs(3),
            min_group_retry: Duration::from_secs(10),
            nack_delay: Duration::from_secs(3),
            max_retransmissions: 4,
            max_ack_expirations: 4,
            ..Self::ip()
        }
    }

    /// GSM SMS (WTP appendix A).
    #[must_use]
    pub const fn sms() -> Self {
        Self {
            base_ack: Duration::from_secs(10),
            short_ack: Duration::from_secs(5),
            long_ack: Duration::from_secs(20),
            base_retry: Duration::from_secs(60),
            short_retry: Duration::from_secs(35),
            long_retry: Duration::from_secs(70),
            group_retry: Duration::from_secs(45),
            wait_timeout: Duration::from_secs(300),
            round_trip_per_kbyte: Duration::from_secs(5),
            min_group_retry: Duration::from_secs(45),
            nack_delay: Duration::from_secs(5),
            max_retransmissions: 4,
            max_ack_expirations: 4,
            tid_lifetime: Duration::from_secs(600),
            reassembly_lifetime: Duration::from_secs(2 * 60 * 60),
            ..Self::ip()
        }
    }

    /// A circuit switched data call (9.6 kbit/s over PPP). Not in the specification's tables, whose
    /// IP values assume 40 kbit/s and more: a kilobyte takes 0.85 s here, so 0.9 s are allowed for
    /// it, and retries wait one second longer.
    #[must_use]
    pub const fn circuit_switched() -> Self {
        Self {
            base_retry: Duration::from_secs(6),
            short_retry: Duration::from_secs(4),
            long_retry: Duration::from_secs(8),
            group_retry: Duration::from_secs(4),
            round_trip_per_kbyte: Duration::from_millis(900),
            ..Self::ip()
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::ip()
    }
}
