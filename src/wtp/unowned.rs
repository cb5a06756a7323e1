//! Queue of PDUs without a transaction: Aborts, and messages of class 0.

use std::collections::VecDeque;

use bytes::Bytes;

use super::abort::AbortReason;
use super::config::Config;
use super::pdu::{Abort, Class, Invoke, Packet, Pdu, Trailer};
use super::report::Stats;
use super::tpi::Tpis;
use crate::wdp::Peer;

/// Something to say once.
#[derive(Clone, Debug, Hash)]
pub(super) enum Unowned {
    /// The end of a transaction that is forgotten already, or never was.
    Abort { tid: u16, reason: AbortReason },
    /// A class 0 message.
    Invoke { tid: u16, data: Bytes },
}

/// They wait in one bounded ring; the oldest is dropped when there are too many.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct UnownedRing {
    ring: VecDeque<(Peer, Unowned)>,
}

impl UnownedRing {
    pub(super) fn push(
        &mut self,
        peer: Peer,
        unowned: Unowned,
        config: &Config,
        stats: &mut Stats,
    ) {
        if self.ring.len() >= config.max_unowned.max(1) {
            self.ring.pop_front();
            stats.dropped_unowned += 1;
        }
        self.ring.push_back((peer, unowned));
    }

    /// The peer of the next PDU.
    pub(super) fn next_peer(&self) -> Option<Peer> {
        self.ring.front().map(|(peer, _)| *peer)
    }

    /// Takes the next, if it is for `peer`.
    pub(super) fn pop_for(&mut self, peer: Peer) -> Option<Unowned> {
        if self.next_peer() != Some(peer) {
            return None;
        }
        self.ring.pop_front().map(|(_, unowned)| unowned)
    }

    /// Puts back the PDU that was taken last.
    pub(super) fn unpop(&mut self, peer: Peer, unowned: Unowned) {
        self.ring.push_front((peer, unowned));
    }
}

impl Unowned {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Abort { tid, reason } => Pdu::Abort(Abort {
                tid: *tid,
                reason: *reason,
                tpis: Tpis::NONE,
            }),
            // Without state there is no re-assembly, hence the flags that deny it (SIN 002, 8.2.2).
            Self::Invoke { tid, data } => Pdu::Invoke(Invoke {
                class: Class::Zero,
                tid_new: false,
                user_ack: false,
                packet: Packet {
                    tid: *tid,
                    repeated: false,
                    trailer: Trailer::NoSar,
                    tpis: Tpis::NONE,
                    data,
                },
            }),
        }
        .encode(out);
    }
}
