//! The recording of a trace: datagrams in order, segmented messages re-assembled, secrets masked.
//!
//! A packet of a longer message is masked until the message is complete: only the complete message
//! shows which octets are secret. Then the harmless octets of its packets are shown. An incomplete
//! message stays masked.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use super::blank::blank;
use super::event::TraceEvent;
use super::mask;
use super::observation::{Entry, Observation};
use crate::codec::within;
use crate::wdp::{Peer, Service};
use crate::wsp::log_id::{LogId, LogIds};
use crate::wtp::concat::separate;
use crate::wtp::pdu::{Packet, Pdu};

/// The entries of a trace, and incomplete messages.
#[derive(Debug)]
pub struct Recording {
    /// No octet is masked.
    raw: bool,
    names: LogIds,
    entries: Vec<Entry>,
    /// Octets kept: those of the entries, and [`ENTRY`] for each entry.
    octets: usize,
    max_octets: usize,
    datagrams: u64,
    assemblies: BTreeMap<Key, Assembly>,
    /// Their keys, oldest first.
    ages: VecDeque<Key>,
    /// Octets kept in assemblies.
    held: usize,
}

/// The key of a segmented message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    peer: Peer,
    sent: bool,
    result: bool,
    tid: u16,
}

/// A segmented message during its re-assembly.
#[derive(Debug, Default)]
struct Assembly {
    pieces: BTreeMap<u8, Piece>,
    last: Option<u8>,
    whole: bool,
}

#[derive(Debug)]
struct Piece {
    entry: usize,
    at: Range<usize>,
    octets: Vec<u8>,
    /// The masked message, once it is complete.
    shown: Vec<u8>,
}

/// A part of a datagram, and its treatment.
enum Part {
    Message(Range<usize>),
    Piece {
        at: Range<usize>,
        key: Key,
        psn: u8,
        last: bool,
    },
    Unreadable(Range<usize>),
}

impl Recording {
    /// A recording of at most about `max_octets`, with these names of sessions. With `raw` no octet
    /// is masked.
    #[must_use]
    pub const fn new(max_octets: usize, raw: bool, names: LogIds) -> Self {
        Self {
            raw,
            names,
            entries: Vec::new(),
            octets: 0,
            max_octets,
            datagrams: 0,
            assemblies: BTreeMap::new(),
            ages: VecDeque::new(),
            held: 0,
        }
    }

    /// The entries so far. Packets may lose parts of their mask later; entries do not change
    /// otherwise.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether the recording is full.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.octets >= self.max_octets
    }

    /// Datagrams taken in.
    #[must_use]
    pub const fn datagrams(&self) -> u64 {
        self.datagrams
    }

    /// Octets kept.
    #[must_use]
    pub const fn octets(&self) -> usize {
        self.octets
    }

    /// Whether secrets are shown.
    #[must_use]
    pub const fn is_raw(&self) -> bool {
        self.raw
    }

    /// An entry for people.
    #[must_use]
    pub fn event(&self, number: usize) -> Option<TraceEvent> {
        let entry = self.entries.get(number)?;
        Some(TraceEvent::of(number + 1, entry))
    }

    /// Adds an observation, unless the recording is full.
    pub fn add(&mut self, at: Duration, seen: Observation) {
        if self.is_full() {
            return;
        }
        self.octets += ENTRY;
        match seen {
            Observation::Datagram {
                peer,
                service,
                sent,
                octets,
            } => self.datagram(at, peer, service, sent, octets),
            seen => {
                let session = match &seen {
                    Observation::ExchangeEnded(record) => record.session,
                    _ => None,
                };
                self.entries.push(Entry {
                    at,
                    seen,
                    message: None,
                    session: session.map(|session| self.names.of(session)),
                });
            }
        }
    }

    fn datagram(
        &mut self,
        at: Duration,
        peer: Peer,
        service: Service,
        sent: bool,
        octets: Vec<u8>,
    ) {
        self.datagrams += 1;
        self.octets += octets.len();
        let mut octets = octets;
        let mut pieces = Vec::new();
        let mut session = None;
        match service {
            Service::Connectionless | Service::SecureConnectionless => {
                session = self.mask(&mut octets, true);
            }
            Service::ConnectionMode | Service::SecureConnectionMode => {
                for part in parts(&octets, peer, sent) {
                    match part {
                        Part::Message(at) => {
                            let sdu = octets.get_mut(at).unwrap_or_default();
                            session = self.mask(sdu, false).or(session);
                        }
                        Part::Unreadable(at) => self.blank(octets.get_mut(at).unwrap_or_default()),
                        Part::Piece { at, key, psn, last } => {
                            let piece = octets.get_mut(at.clone()).unwrap_or_default();
                            let raw = piece.to_vec();
                            self.blank(piece);
                            pieces.push((key, psn, last, at, raw));
                        }
                    }
                }
            }
        }
        let entry = self.entries.len();
        self.entries.push(Entry {
            at,
            seen: Observation::Datagram {
                peer,
                service,
                sent,
                octets,
            },
            message: None,
            session,
        });
        for (key, psn, last, at, octets) in pieces {
            let piece = Piece {
                entry,
                at,
                octets,
                shown: Vec::new(),
            };
            self.assemble(key, psn, last, piece);
        }
    }

    /// Masks a message, and returns the session that it names.
    fn mask(&self, sdu: &mut [u8], connectionless: bool) -> Option<LogId> {
        let session = mask::session_of(sdu, connectionless);
        if !self.raw {
            mask::sdu(sdu, connectionless);
        }
        session.map(|session| self.names.of(session))
    }

    fn blank(&self, octets: &mut [u8]) {
        if !self.raw {
            blank(octets);
        }
    }

    fn assemble(&mut self, key: Key, psn: u8, last: bool, piece: Piece) {
        let known = self.assemblies.get(&key);
        let before = known.and_then(|assembly| assembly.pieces.get(&psn));
        match before {
            // A retransmission.
            Some(before) if before.octets == piece.octets => {
                if known.is_some_and(|assembly| assembly.whole) {
                    let shown = before.shown.clone();
                    self.show(piece.entry, &piece.at, &shown);
                }
                return;
            }
            // The first packet of another message with the same TID.
            Some(_) if psn == 0 => self.forget(key),
            // The packet may belong to either message: it stays masked.
            Some(_) => return,
            None if known.is_some_and(|assembly| assembly.whole) => return,
            None => {}
        }
        self.held += piece.octets.len() + ENTRY;
        let assembly = self.assemblies.entry(key).or_insert_with(|| {
            self.ages.push_back(key);
            Assembly::default()
        });
        let entry = piece.entry;
        assembly.pieces.insert(psn, piece);
        if last {
            assembly.last = Some(psn);
        }
        if assembly.is_complete() {
            self.complete(key, entry);
        }
        while self.held > MAX_HELD
            && let Some(oldest) = self.ages.front().copied()
        {
            self.forget(oldest);
        }
    }

    /// The message is complete: the harmless octets of its packets are shown.
    fn complete(&mut self, key: Key, entry: usize) {
        let Some(mut assembly) = self.assemblies.remove(&key) else {
            return;
        };
        let pieces = assembly.pieces.values();
        let mut message: Vec<u8> = pieces
            .flat_map(|piece| piece.octets.iter().copied())
            .collect();
        let session = self.mask(&mut message, false);
        let mut rest = &message[..];
        for piece in assembly.pieces.values_mut() {
            let (shown, after) = rest
                .split_at_checked(piece.octets.len())
                .unwrap_or((rest, &[]));
            rest = after;
            piece.shown = shown.to_vec();
            self.show(piece.entry, &piece.at, shown);
        }
        assembly.whole = true;
        self.assemblies.insert(key, assembly);
        self.octets += message.len();
        if let Some(entry) = self.entries.get_mut(entry) {
            entry.message = Some(message);
            entry.session = session.or(entry.session);
        }
    }

    fn show(&mut self, entry: usize, at: &Range<usize>, shown: &[u8]) {
        if let Some(Entry {
            seen: Observation::Datagram { octets, .. },
            ..
        }) = self.entries.get_mut(entry)
            && let Some(place) = octets.get_mut(at.clone())
            && place.len() == shown.len()
        {
            place.copy_from_slice(shown);
        }
    }

    fn forget(&mut self, key: Key) {
        self.ages.retain(|age| *age != key);
        let forgotten = self.assemblies.remove(&key);
        let pieces = forgotten
            .into_iter()
            .flat_map(|assembly| assembly.pieces.into_values());
        let octets: usize = pieces.map(|piece| piece.octets.len() + ENTRY).sum();
        self.held = self.held.saturating_sub(octets);
    }
}

impl Assembly {
    fn is_complete(&self) -> bool {
        // The numbers of packets are unique, so a message with the expected count is complete.
        self.last.is_some_and(|last| {
            self.pieces.len() == usize::from(last) + 1
                && self.pieces.keys().next_back() == Some(&last)
        })
    }
}

/// The parts of a WTP datagram.
fn parts(datagram: &[u8], peer: Peer, sent: bool) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut end = 0;
    for octets in separate(datagram) {
        let Some(place) = within(datagram, octets) else {
            continue;
        };
        end = place.end;
        let Ok(pdu) = Pdu::decode(octets) else {
            // The first octets show the intended kind of PDU.
            let from = (place.start + HEADER).min(place.end);
            parts.push(Part::Unreadable(from..place.end));
            continue;
        };
        let (psn, result, packet): (u8, bool, &Packet<'_>) = match &pdu {
            Pdu::Invoke(invoke) => (0, false, &invoke.packet),
            Pdu::Result(packet) => (0, true, packet),
            Pdu::SegmentedInvoke(psn, packet) => (*psn, false, packet),
            Pdu::SegmentedResult(psn, packet) => (*psn, true, packet),
            Pdu::Ack(_) | Pdu::Nack(_) | Pdu::Abort(_) => continue,
        };
        let Some(at) = within(datagram, packet.data).filter(|at| !at.is_empty()) else {
            continue;
        };
        let is_first = matches!(pdu, Pdu::Invoke(_) | Pdu::Result(_));
        let last = packet.trailer.ends_message();
        let key = Key {
            peer,
            sent,
            result,
            tid: packet.tid,
        };
        parts.push(match is_first && last {
            true => Part::Message(at),
            false => Part::Piece { at, key, psn, last },
        });
    }
    if end < datagram.len() {
        // The PDUs behind a malformed one are not examined.
        parts.push(Part::Unreadable(end.max(1)..datagram.len()));
    }
    parts
}

/// Memory of an entry besides its octets.
const ENTRY: usize = 256;
/// The most octets of segmented messages that are kept for re-assembly and to recognise
/// retransmissions.
const MAX_HELD: usize = 2 << 20;
/// Octets of an unreadable PDU's header that are shown.
const HEADER: usize = 4;

#[cfg(test)]
mod tests;
