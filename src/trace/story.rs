//! The story of a trace: datagrams in the order they were seen, segmented messages put together, secrets blank.
//!
//! A piece of a longer message is blank until the message is whole: only then can be told what in it is secret, and
//! its pieces are shown as far as they may be. What never becomes whole stays blank.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use super::mask::{self, blank};
use super::told::Told;
use crate::codec::within;
use crate::gateway::record::ExchangeRecord;
use crate::wdp::{Peer, Service};
use crate::wsp::pseudonym::{Pseudonym, Pseudonyms};
use crate::wtp::concat::separate;
use crate::wtp::pdu::{Packet, Pdu};

/// Something that was seen of a subscriber.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A datagram.
    Datagram {
        /// The handset's end and ours.
        peer: Peer,
        /// What its port carries.
        service: Service,
        /// From us to the handset.
        sent: bool,
        /// Its octets.
        octets: Vec<u8>,
    },
    /// A request went upstream.
    Asked {
        /// The handset's end and ours.
        peer: Peer,
        /// Its name.
        request: String,
        /// GET, POST and so on.
        method: String,
        /// Where to.
        uri: String,
        /// Octets of its body.
        octets: usize,
    },
    /// It was answered, or failed.
    Answered {
        /// The handset's end and ours.
        peer: Peer,
        /// Its name.
        request: String,
        /// The status and the octets of the body, or why there are none.
        answer: Result<(u16, usize), String>,
    },
    /// Nobody waits for its answer any more.
    Cancelled {
        /// The handset's end and ours.
        peer: Peer,
        /// Its name.
        request: String,
    },
    /// An exchange is over.
    Finished(Box<ExchangeRecord>),
    /// Something to know about the trace itself.
    Note(String),
}

/// One step of the story.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When, since 1970.
    pub at: Duration,
    /// What was seen, blank where it may not be shown.
    pub seen: Seen,
    /// The whole message of which this datagram was the last piece to come.
    pub message: Option<Vec<u8>>,
    /// The session it speaks of, by the name it has everywhere.
    pub session: Option<Pseudonym>,
}

/// Everything that was seen.
#[derive(Debug)]
pub struct Story {
    /// Nothing is blank.
    raw: bool,
    names: Pseudonyms,
    entries: Vec<Entry>,
    /// Octets kept, with something for each entry.
    octets: usize,
    max_octets: usize,
    datagrams: u64,
    assemblies: BTreeMap<Key, Assembly>,
    /// Their keys, oldest first.
    ages: VecDeque<Key>,
    /// Octets kept in assemblies.
    held: usize,
}

/// Which message a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    peer: Peer,
    sent: bool,
    result: bool,
    tid: u16,
}

/// A message that comes in pieces.
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
    /// The same, blank where it must be, once that is known.
    shown: Vec<u8>,
}

/// A part of a datagram and what is to become of it.
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

impl Story {
    /// A story of at most about so many octets that calls sessions by these names; `raw` if nothing in it is to be
    /// blank.
    #[must_use]
    pub const fn new(max_octets: usize, raw: bool, names: Pseudonyms) -> Self {
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

    /// What was seen so far. Pieces of messages may become less blank; nothing else changes.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether nothing more will be taken in.
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
    pub fn told(&self, number: usize) -> Option<Told> {
        let entry = self.entries.get(number)?;
        Some(Told::of(number + 1, entry))
    }

    /// Takes in what was seen, unless the story is full.
    pub fn add(&mut self, at: Duration, seen: Seen) {
        if self.is_full() {
            return;
        }
        self.octets += ENTRY;
        match seen {
            Seen::Datagram {
                peer,
                service,
                sent,
                octets,
            } => self.datagram(at, peer, service, sent, octets),
            seen => {
                let session = match &seen {
                    Seen::Finished(record) => record.session,
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
            Service::Connectionless => session = self.mask(&mut octets, true),
            Service::ConnectionMode => {
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
            seen: Seen::Datagram {
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

    /// Blanks a message, and says which session it named.
    fn mask(&self, sdu: &mut [u8], connectionless: bool) -> Option<Pseudonym> {
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
            // Sent again.
            Some(before) if before.octets == piece.octets => {
                if known.is_some_and(|assembly| assembly.whole) {
                    let shown = before.shown.clone();
                    self.show(piece.entry, &piece.at, &shown);
                }
                return;
            }
            // Another message under the same name, from its beginning.
            Some(_) if psn == 0 => self.forget(key),
            // Part of neither, as far as can be told: it stays blank.
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

    /// The message is whole: its pieces are shown as far as they may be.
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
            seen: Seen::Datagram { octets, .. },
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
        // No two pieces have one number, so as many as there should be are all of them.
        self.last.is_some_and(|last| {
            self.pieces.len() == usize::from(last) + 1
                && self.pieces.keys().next_back() == Some(&last)
        })
    }
}

/// What a datagram of WTP holds.
fn parts(datagram: &[u8], peer: Peer, sent: bool) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut end = 0;
    for octets in separate(datagram) {
        let Some(place) = within(datagram, octets) else {
            continue;
        };
        end = place.end;
        let Ok(pdu) = Pdu::decode(octets) else {
            // The first octets say what it wanted to be.
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
        // Several PDUs, the rest of which is given up.
        parts.push(Part::Unreadable(end.max(1)..datagram.len()));
    }
    parts
}

/// What an entry costs besides its octets.
const ENTRY: usize = 256;
/// Octets of messages in pieces that are kept to put them together, and to know their repetitions.
const MAX_HELD: usize = 2 << 20;
/// Octets of a PDU's header that are shown though it cannot be read.
const HEADER: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &[u8] = b"Zm9vOnNlY3JldA";

    fn peer() -> Peer {
        Peer::new(
            "192.0.2.7:49152".parse().unwrap(),
            "192.0.2.1:9201".parse().unwrap(),
        )
    }

    /// A Post with a credential in a field, and one in SyncML.
    fn post() -> Vec<u8> {
        let body = format!(
            "<SyncML><SyncHdr><VerProto>SyncML/1.1</VerProto><SessionID>1</SessionID><MsgID>1</MsgID><Cred><Data>{}</Data></Cred></SyncHdr></SyncML>",
            String::from_utf8_lossy(SECRET)
        );
        let field = [b"\x80Authorization\0Basic ", SECRET, b"\0"].concat();
        let mut sdu = vec![0x60, 9, u8::try_from(field.len()).unwrap()];
        sdu.extend_from_slice(b"http://h/");
        sdu.extend_from_slice(&field);
        sdu.extend_from_slice(body.as_bytes());
        sdu
    }

    /// The packets of a message of which each but the last has so many octets.
    fn packets(sdu: &[u8], size: usize, tid: u8) -> Vec<Vec<u8>> {
        let chunks: Vec<_> = sdu.chunks(size).collect();
        let last = chunks.len() - 1;
        let packet = |(number, chunk): (usize, &&[u8])| {
            let flags = if number == last { 2 } else { 0 };
            let head = match number {
                0 => vec![0x08 | flags, 0, tid, 2],
                _ => vec![0x28 | flags, 0, tid, u8::try_from(number).unwrap()],
            };
            [&head[..], chunk].concat()
        };
        chunks.iter().enumerate().map(packet).collect()
    }

    fn hear(story: &mut Story, octets: &[u8]) {
        let seen = Seen::Datagram {
            peer: peer(),
            service: Service::ConnectionMode,
            sent: false,
            octets: octets.to_vec(),
        };
        story.add(Duration::from_secs(1), seen);
    }

    fn octets(story: &Story) -> Vec<Vec<u8>> {
        let seen = story.entries().iter().map(|entry| &entry.seen);
        seen.map(|seen| match seen {
            Seen::Datagram { octets, .. } => octets.clone(),
            _ => Vec::new(),
        })
        .collect()
    }

    /// As a whole, across pieces.
    fn shows_secret(story: &Story) -> bool {
        let data: Vec<u8> = octets(story)
            .iter()
            .flat_map(|octets| octets[4..].to_vec())
            .collect();
        let told: String = (0..story.entries().len())
            .map(|number| serde_json::to_string(&story.told(number).unwrap()).unwrap())
            .collect();
        let part = String::from_utf8_lossy(&SECRET[..6]).into_owned();
        data.windows(6).any(|found| found == &SECRET[..6]) || told.contains(&part)
    }

    #[test]
    fn a_message_in_pieces_is_blank_until_it_is_whole() {
        let sdu = post();
        let mut story = Story::new(1 << 20, false, Pseudonyms::new(&[0; 16]));
        let packets = packets(&sdu, 50, 7);
        let (last, first) = packets.split_last().unwrap();
        for packet in first {
            hear(&mut story, packet);
        }
        assert!(
            octets(&story)
                .iter()
                .all(|octets| octets[4..].iter().all(|octet| *octet == b'*'))
        );
        hear(&mut story, last);
        let shown: Vec<u8> = octets(&story)
            .iter()
            .flat_map(|octets| octets[4..].to_vec())
            .collect();
        let mut masked = sdu;
        mask::sdu(&mut masked, false);
        assert_eq!(shown, masked);
        assert!(!shows_secret(&story));
        let told = story.told(packets.len() - 1).unwrap();
        assert!(
            told.summary.contains("SyncML/1.1, session 1, message 1"),
            "{}",
            told.summary
        );
        // A repetition is shown as well, and one that differs is not.
        hear(&mut story, &packets[1]);
        assert_eq!(octets(&story).last(), octets(&story).get(1));
        let mut other = packets[1].clone();
        other[10] ^= 1;
        hear(&mut story, &other);
        assert!(
            octets(&story).last().unwrap()[4..]
                .iter()
                .all(|octet| *octet == b'*')
        );
    }

    #[test]
    fn a_session_has_its_name_in_place_of_its_id() {
        let id = 0x0CAF_FE42u32;
        let mut octets = Vec::new();
        for shift in [21, 14, 7, 0] {
            let septet = u8::try_from(id >> shift & 0x7F).unwrap();
            octets.push(septet | if shift > 0 { 0x80 } else { 0 });
        }
        let name = Pseudonyms::new(&[0; 16]).of(id).to_string();
        // Connect Reply, Resume, Suspend, Disconnect; the first behind the head of a Result, the rest of an Invoke.
        for (head, sdu) in [
            (&b"\x12\x80\x07"[..], [&[2][..], &octets, &[0, 0]].concat()),
            (b"\x0A\x00\x07\x02", [&[9][..], &octets, &[0]].concat()),
            (b"\x0A\x00\x07\x00", [&[8][..], &octets].concat()),
            (b"\x0A\x00\x07\x00", [&[5][..], &octets].concat()),
        ] {
            let mut story = Story::new(1 << 20, false, Pseudonyms::new(&[0; 16]));
            hear(&mut story, &[head, &sdu].concat());
            let shown = self::octets(&story).remove(0);
            assert!(
                !shown.windows(4).any(|found| found == octets),
                "{shown:02x?}"
            );
            let told = story.told(0).unwrap();
            assert_eq!(told.session.as_ref(), Some(&name));
            assert!(
                told.summary.ends_with(&format!(", session {name}")),
                "{}",
                told.summary
            );
            let all = told.to_string();
            assert!(all.contains(&format!("session {name}")), "{all}");
            assert!(
                !all.contains("session id") && !all.contains("not readable"),
                "{all}"
            );
        }
    }

    #[test]
    fn raw_is_raw_and_is_put_together_too() {
        let mut story = Story::new(1 << 20, true, Pseudonyms::new(&[0; 16]));
        let packets = packets(&post(), 50, 7);
        for packet in &packets {
            hear(&mut story, packet);
        }
        assert_eq!(octets(&story), packets);
        assert_eq!(story.entries().last().unwrap().message, Some(post()));
    }

    #[test]
    fn a_full_story_takes_nothing_in() {
        let mut story = Story::new(1_000, false, Pseudonyms::new(&[0; 16]));
        for _ in 0..10 {
            hear(&mut story, &[0x18, 0, 1]);
        }
        assert!(story.is_full() && story.entries().len() == 4);
    }

    #[test]
    fn messages_that_never_become_whole_are_forgotten() {
        let mut story = Story::new(usize::MAX, false, Pseudonyms::new(&[0; 16]));
        let packet = [&[0x08, 0, 0, 2][..], &[b'x'; 1_400]].concat();
        for tid in 0..2_000u16 {
            let mut packet = packet.clone();
            packet[1..3].copy_from_slice(&tid.to_be_bytes());
            hear(&mut story, &packet);
        }
        assert!(story.held <= MAX_HELD && story.assemblies.len() == story.ages.len());
        assert!(story.assemblies.len() > 1_000);
    }

    proptest! {
        /// Whatever is lost, repeated or out of order, and wherever a message is cut into pieces.
        #[test]
        fn no_secret_survives_however_its_message_is_cut(size in 4..120usize, order in prop::collection::vec(any::<prop::sample::Index>(), 0..60), joined: bool) {
            let packets = packets(&post(), size, 7);
            let mut story = Story::new(1 << 20, false, Pseudonyms::new(&[0; 16]));
            for index in order {
                let packet = index.get(&packets);
                match joined {
                    // Behind an Ack in one datagram.
                    true => {
                        let len = u8::try_from(packet.len()).unwrap();
                        let length = if len < 0x80 { vec![len] } else { vec![0x80, len] };
                        hear(&mut story, &[&[0, 3, 0x18, 0, 9][..], &length, packet].concat());
                    }
                    false => hear(&mut story, packet),
                }
            }
            prop_assert!(!shows_secret(&story));
        }

        #[test]
        fn any_datagrams_are_told(datagrams in prop::collection::vec(any::<Vec<u8>>(), 0..20), connectionless: bool) {
            let mut story = Story::new(1 << 20, false, Pseudonyms::new(&[0; 16]));
            let service = if connectionless { Service::Connectionless } else { Service::ConnectionMode };
            for octets in datagrams {
                story.add(Duration::ZERO, Seen::Datagram { peer: peer(), service, sent: true, octets });
            }
            for number in 0..story.entries().len() {
                prop_assert!(story.told(number).is_some());
            }
        }
    }
}
