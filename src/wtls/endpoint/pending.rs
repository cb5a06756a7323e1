//! Handshakes under way, and their deadlines.

use crate::table::Links;
use crate::time::Instant;
use crate::wdp::Peer;
use crate::wtls::alert::{Description, checksum};
use crate::wtls::connection::Secure;
use crate::wtls::defects;
use crate::wtls::endpoint::limits::Holders;
use crate::wtls::endpoint::receive::Incoming;
use crate::wtls::endpoint::{Connection, Endpoint, Known};
use crate::wtls::exchange::ServerExchange;
use crate::wtls::flight::Under;
use crate::wtls::hash::Running;
use crate::wtls::record::records;
use crate::wtls::session_cache::SessionId;
use crate::wtls::suite::CipherSuite;

/// A handshake under way: the state table's EXCHANGE or COMMIT.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Pending {
    /// Whether it is spoken under the cipher spec of a connection.
    pub(super) is_secured: bool,
    /// The ClientHello, to know it when it comes again.
    pub(super) hello: Vec<u8>,
    /// The checksum of its record.
    pub(super) hello_checksum: [u8; 4],
    pub(super) digest: u64,
    /// Our flight that answers it.
    pub(super) flight: Vec<u8>,
    /// When the repetitions of the flight under a cipher spec are worked off.
    pub(super) repeated: Instant,
    /// The number of our next record in clear text.
    pub(super) sequence: u16,
    pub(super) version: u8,
    pub(super) session: Option<SessionId>,
    pub(super) deadline: Instant,
    pub(super) with_length: bool,
    pub(super) transcript: Transcript,
    pub(super) stage: Stage,
}

/// The hash of the messages so far.
#[cfg_attr(test, derive(Clone))]
pub(super) struct Transcript(pub(super) Running);

impl std::fmt::Debug for Transcript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transcript")
    }
}

/// Which of its two states a handshake is in.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) enum Stage {
    /// The client's part of the key exchange is expected.
    Exchange {
        exchange: ServerExchange,
        suite: CipherSuite,
        client_random: [u8; 16],
        server_random: [u8; 16],
        refresh: u8,
        wants_certificate: bool,
    },
    /// The keys are known; the client's Finished is expected.
    Commit {
        secure: Box<Secure>,
        is_authenticated: bool,
    },
}

impl Pending {
    /// Whether a checksum is that of a record of our flight.
    pub(super) fn has_sent(&self, sum: [u8; 4]) -> bool {
        let (sent, _) = records(&self.flight);
        sent.iter().any(|record| checksum(record.octets) == sum)
    }
}

impl Endpoint {
    /// The handshake of a quadruplet is this one from now on.
    pub(super) fn install(&mut self, now: Instant, incoming: &Incoming<'_>, pending: Box<Pending>) {
        let peer = incoming.datagram.peer;
        let (deadline, digest, is_secured) = (pending.deadline, pending.digest, pending.is_secured);
        let slot = match self.by_peer.find(&self.connections, &peer) {
            Some(slot) => slot,
            None => {
                let slot = self.connections.insert(Connection {
                    peer,
                    service: incoming.datagram.service.inside(),
                    links: Links::default(),
                    used: now,
                    is_active: false,
                    established: None,
                    pending: None,
                });
                self.by_peer.insert(&self.connections, slot);
                slot
            }
        };
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if connection.pending.replace(pending).is_none() {
            self.handshakes += 1;
            for holder in Holders::of(peer).all() {
                self.handshakes_of.add(holder, 1);
            }
        }
        self.deadlines.schedule(deadline, slot);
        if !is_secured {
            self.note_waiting(now, slot, digest);
        }
        if defects::HELLO_ENDS_CONNECTION.is_planted() {
            self.end_established(slot);
        }
    }

    pub(super) fn count_handshake_end(&mut self, slot: u32) {
        if let Some(connection) = self.connections.get(slot) {
            self.handshakes = self.handshakes.saturating_sub(1);
            for holder in Holders::of(connection.peer).all() {
                self.handshakes_of.remove(holder, 1);
            }
        }
    }

    /// Forgets the handshake of a slot.
    pub(super) fn forget_pending(&mut self, slot: u32) {
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if let Some(pending) = connection.pending.take() {
            if self.hellos.get(&pending.digest).is_some() {
                let (until, forgotten) = (pending.deadline, Known::Forgotten);
                // The ClientHello keeps the expiry that it has.
                self.hellos
                    .insert(until, pending.digest, forgotten, MOST_HELLOS);
            }
            self.count_handshake_end(slot);
        }
    }

    /// Forgets the handshake of a slot, and the slot if there is nothing else.
    pub(super) fn abandon(&mut self, slot: u32) {
        self.forget_pending(slot);
        let is_empty = self
            .connections
            .get(slot)
            .is_some_and(|connection| connection.established.is_none());
        if is_empty {
            self.end(slot);
        }
    }

    /// The deadline of a handshake has come, unless it moved.
    pub(super) fn end_late_handshake(&mut self, now: Instant, slot: u32) {
        let deadline = self
            .connections
            .get(slot)
            .and_then(|connection| connection.pending.as_ref())
            .map(|pending| pending.deadline);
        match deadline {
            Some(deadline) if deadline <= now => {
                self.stats.timed_out += 1;
                self.abandon(slot);
            }
            Some(deadline) => self.deadlines.schedule(deadline, slot),
            None => {}
        }
    }

    pub(super) fn under<'a>(
        &'a mut self,
        peer: Peer,
        is_secured: bool,
        sequence: &'a mut u16,
    ) -> Result<Under<'a>, Description> {
        if !is_secured {
            return Ok(Under::Clear(sequence));
        }
        let slot = self.by_peer.find(&self.connections, &peer);
        slot.and_then(|slot| self.connections.get_mut(slot)?.established.as_mut())
            // A flight without some of its records would be answered by nobody.
            .filter(|established| established.secure.left() > LONGEST_FLIGHT)
            .map(|established| Under::Cipher(&mut established.secure))
            .ok_or(Description::INTERNAL_ERROR)
    }
}

/// ClientHellos that are known.
pub(super) const MOST_HELLOS: usize = 65_536;
/// Records of a flight, and one for the alert that closes the connection.
const LONGEST_FLIGHT: u32 = 8;
