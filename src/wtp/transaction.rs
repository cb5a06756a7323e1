//! One transaction: what is the same for both state machines, and which of them it has.

use super::initiator::{self, Initiator};
use super::pool::Charge;
use super::responder::{self, Responder};
use super::shared::{EncodeContext, Encoded, Outcome, Shared, StepContext};
use crate::time::Instant;

/// One transaction, of either side.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub(super) shared: Shared,
    pub(super) side: Side,
    /// The transaction is in the queue of those with PDUs to send.
    pub(super) queued: bool,
    /// Octets it was charged for in the pool.
    pub(super) charge: Charge,
}

/// Which side of the transaction we are.
#[derive(Clone, Debug, Hash)]
pub(super) enum Side {
    Responder(Responder),
    Initiator(Initiator),
}

impl Transaction {
    /// When it wants to be looked at.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.side {
            Side::Responder(responder) => responder.deadline(),
            Side::Initiator(initiator) => initiator.deadline(),
        }
    }

    /// Whether [`encode_next`](Self::encode_next) would write a PDU.
    pub(super) fn has_pdu(&self) -> bool {
        match &self.side {
            Side::Responder(responder) => responder.has_pdu(),
            Side::Initiator(initiator) => initiator.has_pdu(),
        }
    }

    /// Appends the next PDU, if there is one.
    pub(super) fn encode_next(
        &mut self,
        context: &EncodeContext<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Encoded> {
        let from = out.len();
        let encoded = match &mut self.side {
            Side::Responder(responder) => responder.encode_next(&self.shared, context, out),
            Side::Initiator(initiator) => initiator.encode_next(&self.shared, context, out),
        }?;
        let report = &mut self.shared.report;
        report.pdus_out += 1;
        report.octets_out += u32::try_from(out.len().saturating_sub(from)).unwrap_or(0);
        if encoded == Encoded::AgainData {
            report.retransmissions = report.retransmissions.saturating_add(1);
        }
        Some(encoded)
    }

    /// Whether the next PDU may share a datagram of `limit` octets in which `len` are taken.
    pub(super) fn place(&self, limit: usize, len: usize) -> Place {
        let largest = match &self.side {
            Side::Responder(responder) => responder.largest_shared(),
            Side::Initiator(initiator) => initiator.largest_shared(),
        };
        match largest {
            None => Place::Alone,
            Some(largest) if len + largest + CONCATENATION <= limit => Place::Here,
            Some(_) => Place::Next,
        }
    }

    /// Notes a PDU that came.
    pub(super) fn count_received(&mut self, octets: usize, now: Instant) {
        let report = &mut self.shared.report;
        report.updated = now;
        report.pdus_in += 1;
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        report.octets_in = report.octets_in.saturating_add(octets);
    }

    /// Its deadline has passed.
    pub(super) fn expire(&mut self, cx: &mut StepContext<'_>) -> Outcome {
        let shared = &mut self.shared;
        match &mut self.side {
            Side::Responder(side) => side.step(responder::Event::Timeout, shared, cx),
            Side::Initiator(side) => side.step(initiator::Event::Timeout, shared, cx),
        }
    }

    /// Octets held against the limits.
    pub(super) fn footprint(&self) -> Charge {
        match &self.side {
            Side::Responder(responder) => responder.footprint(),
            Side::Initiator(initiator) => initiator.footprint(),
        }
    }
}

/// The datagram of a PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The one that has begun.
    Here,
    /// The next one: the PDU might not fit into the one that has begun.
    Next,
    /// One of its own.
    Alone,
}

/// Lengths that concatenation adds for two PDUs.
const CONCATENATION: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_some_hundred_octets() {
        // Its boxes come on top while it sends or re-assembles.
        assert!(size_of::<Transaction>() <= 256);
    }
}
