//! Queries about an endpoint and its transactions.

use std::hash::{Hash, Hasher};

use super::Endpoint;
use crate::time::Instant;
use crate::wtp::indication::Handle;
use crate::wtp::report::{Report, Stats};
use crate::wtp::sender::{LARGEST_LONE_PACKET, largest_plain};
use crate::wtp::transaction::Side;
use crate::wtp::validation::LARGEST_UNVALIDATED;

impl Endpoint {
    /// Counters since the start.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Transactions alive, including those that wait for their timeout.
    #[must_use]
    pub const fn transactions(&self) -> usize {
        self.slots.len()
    }

    /// Peers whose last TID is remembered.
    #[must_use]
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    /// Octets held for messages not yet whole or not yet verified.
    #[must_use]
    pub const fn held_octets(&self) -> usize {
        self.pool.held().reassembly
    }

    /// Whether the peer of a transaction can re-assemble segments. If not, a Result goes as one
    /// datagram whatever its size (WTP table 1, SIN 002).
    #[must_use]
    pub fn can_segment(&self, handle: Handle) -> bool {
        self.slots
            .get(handle)
            .is_some_and(|transaction| transaction.shared.capabilities.sar)
    }

    /// Whether a Result may go in several data units: both sides do extended SAR (WTP 7.15).
    #[must_use]
    pub fn has_extended_sar(&self, handle: Handle) -> bool {
        self.slots.get(handle).is_some_and(|transaction| {
            let peer = &transaction.shared.capabilities;
            peer.window(&self.config).is_some()
        })
    }

    /// Octets of a Result that the peer of a transaction accepts, if it announced a limit. A longer
    /// Result is aborted.
    #[must_use]
    pub fn max_receive_unit(&self, handle: Handle) -> Option<u32> {
        self.slots.get(handle)?.shared.capabilities.max_receive_unit
    }

    /// Whether a transaction's peer that cannot re-assemble may be sent large packets.
    fn takes_large_packets(&self, handle: Handle) -> bool {
        let transaction = self.slots.get(handle);
        transaction.is_some_and(|transaction| {
            self.validation
                .takes_large_packets(transaction.shared.peer, &self.config)
        })
    }

    /// The largest Result the transport itself can get to the peer of a transaction.
    #[must_use]
    pub fn max_result(&self, handle: Handle) -> Option<usize> {
        let peer = &self.slots.get(handle)?.shared.capabilities;
        let packets = if !peer.sar {
            match self.takes_large_packets(handle) {
                true => LARGEST_LONE_PACKET,
                false => LARGEST_UNVALIDATED,
            }
        } else if peer.window(&self.config).is_some() {
            usize::MAX
        } else {
            largest_plain(peer, &self.config)
        };
        let unit = peer
            .max_receive_unit
            .map_or(usize::MAX, |unit| unit as usize);
        Some(packets.min(unit))
    }

    /// The packets, octets and repetitions of a transaction so far.
    #[must_use]
    pub fn report(&self, handle: Handle) -> Option<Report> {
        self.slots
            .get(handle)
            .map(|transaction| transaction.shared.report)
    }

    /// The name of a transaction's state in the specification's tables.
    #[doc(hidden)]
    #[must_use]
    pub fn state_name(&self, handle: Handle) -> Option<&'static str> {
        match &self.slots.get(handle)?.side {
            Side::Responder(side) => Some(side.state_name()),
            Side::Initiator(side) => Some(side.state_name()),
        }
    }

    /// When something is due for a transaction.
    #[doc(hidden)]
    #[must_use]
    pub fn deadline(&self, handle: Handle) -> Option<Instant> {
        self.slots.get(handle)?.deadline()
    }

    /// Feeds everything that can change behaviour later to a hasher: two endpoints, drained and of
    /// equal configuration, that feed the same behave the same. For exhaustive search.
    #[doc(hidden)]
    pub fn digest(&self, sink: &mut impl Hasher) {
        for transaction in self.slots.iter() {
            let shared = &transaction.shared;
            (shared.peer, shared.send_tid, shared.class, shared.user_ack).hash(sink);
            (
                shared.capabilities,
                shared.complaint,
                shared.ack_receipt,
                shared.report.verified,
            )
                .hash(sink);
            transaction.side.hash(sink);
        }
        self.peers.digest(sink);
        self.aborted.digest(sink);
        self.unowned.hash(sink);
        self.tids.hash(sink);
        self.leaving.hash(sink);
    }

    /// The transactions alive, for tests that look inside.
    #[doc(hidden)]
    pub fn handles(&self) -> impl Iterator<Item = Handle> {
        self.slots
            .iter()
            .map(|transaction| transaction.shared.handle)
    }
}
