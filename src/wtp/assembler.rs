//! Putting a segmented message together again (WTP 7.14, 7.15).

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::defects;
use super::indication::Fragment;
use super::pdu::Trailer;
use super::tpi::Psn;

/// Re-assembles the packets of one message.
///
/// Packets without a gap form one growing buffer. A packet that arrives before an earlier one is
/// kept apart.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Assembler {
    /// Everything before `next` that was not taken yet.
    whole: Vec<u8>,
    /// The first packet that is missing.
    next: Psn,
    /// Packets beyond a hole.
    early: BTreeMap<Psn, Early>,
    /// The highest packet received that ends a group.
    trailer: Option<Psn>,
    /// The packet that ends the message.
    last: Option<Psn>,
    /// Octets of the data units already taken.
    taken: usize,
    /// Data units that are complete but not taken: where they end in `whole`, and how.
    units: VecDeque<(usize, Fragment)>,
    /// Whether the unit now growing starts a frame.
    frame: bool,
}

#[derive(Clone, Debug, Hash)]
struct Early {
    data: Box<[u8]>,
    marks: Marks,
}

/// The place of a packet in its message, by the GTR and TTR flags of its header.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) trailer: Trailer,
    /// SDU Boundary TPI.
    pub(super) unit_ends: bool,
    /// Frame Boundary TPI.
    pub(super) frame_starts: bool,
}

/// The result of adding a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Insertion {
    /// The packet is stored and needs no answer yet.
    Stored,
    /// The packet was received before. It needs an answer only if it ends a group.
    Duplicate,
    /// It cannot belong to this message.
    Impossible,
}

/// The state of the groups received so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Groups {
    /// No packet that ends a group was received.
    Open,
    /// All packets up to this end of a group are here.
    Complete(Psn),
    /// The packet that ends the group was received, and packets before it are missing.
    Missing(Psn),
}

impl Assembler {
    /// Takes in a packet of which the low octet of the number and perhaps the high ones are known.
    pub(super) fn insert(&mut self, psn: Psn, marks: Marks, data: &[u8]) -> Insertion {
        let beyond = self.last.is_some_and(|last| psn > last);
        if beyond || psn > self.next.saturating_add(FARTHEST) {
            return Insertion::Impossible;
        }
        if psn < self.next || self.early.contains_key(&psn) {
            return Insertion::Duplicate;
        }
        if marks.trailer.ends_message() {
            if self
                .early
                .keys()
                .next_back()
                .is_some_and(|&highest| highest > psn)
            {
                return Insertion::Impossible;
            }
            self.last = Some(psn);
        }
        if marks.trailer != Trailer::Inside {
            self.trailer = self.trailer.max(Some(psn));
        }
        if psn == self.next {
            self.append(marks, data);
            while let Some(early) = self.early.remove(&self.next) {
                self.append(early.marks, &early.data);
            }
        } else {
            let data = data.into();
            self.early.insert(psn, Early { data, marks });
        }
        Insertion::Stored
    }

    /// Where the groups stand.
    pub(super) fn groups(&self) -> Groups {
        match self.trailer {
            None => Groups::Open,
            Some(trailer) if trailer < self.next => Groups::Complete(trailer),
            Some(trailer) if defects::ACK_OVER_HOLE.is_planted() => Groups::Complete(trailer),
            Some(trailer) => Groups::Missing(trailer),
        }
    }

    /// The packets missing before the latest end of a group, at most as many as a Nack can name.
    pub(super) fn missing(&self) -> impl Iterator<Item = Psn> {
        let end = self.trailer.unwrap_or(self.next);
        (self.next..=end)
            .filter(|psn| !self.early.contains_key(psn))
            .take(255)
    }

    /// The highest packet received that ends a group.
    pub(super) const fn trailer(&self) -> Option<Psn> {
        self.trailer
    }

    /// Takes the next complete data unit and its place in the message.
    pub(super) fn take_unit(&mut self) -> Option<(Bytes, Fragment)> {
        let (end, fragment) = self.units.pop_front()?;
        let rest = self.whole.split_off(end.min(self.whole.len()));
        let unit = std::mem::replace(&mut self.whole, rest);
        for (later, _) in &mut self.units {
            *later = later.saturating_sub(end);
        }
        self.taken += end;
        Some((unit.into(), fragment))
    }

    /// Whether every packet is here.
    pub(super) fn is_complete(&self) -> bool {
        let hasty = defects::ACK_OVER_HOLE.is_planted() && self.last.is_some();
        hasty || self.last.is_some_and(|last| last < self.next)
    }

    /// The octets of an incomplete message without its gaps: for a test receiver that ignores
    /// missing packets.
    pub(super) fn take_hasty(&mut self) -> Bytes {
        std::mem::take(&mut self.whole).into()
    }

    /// Octets of the message received so far, including those taken already.
    pub(super) fn message_len(&self) -> usize {
        self.taken + self.held()
    }

    /// Octets held, with something for the bookkeeping of each packet apart.
    pub(super) fn footprint(&self) -> usize {
        size_of::<Self>() + self.held() + self.early.len() * EARLY_OVERHEAD
    }

    fn held(&self) -> usize {
        self.whole.len()
            + self
                .early
                .values()
                .map(|early| early.data.len())
                .sum::<usize>()
    }

    fn append(&mut self, marks: Marks, data: &[u8]) {
        self.frame |= marks.frame_starts;
        self.whole.extend_from_slice(data);
        let ends = marks.trailer.ends_message();
        if ends || marks.unit_ends {
            let fragment = Fragment {
                more: !ends,
                frame_boundary: std::mem::take(&mut self.frame),
            };
            self.units.push_back((self.whole.len(), fragment));
        }
        self.next += 1;
    }
}

/// How far beyond a hole a packet may be: no sender has more than 255 packets under way (WTP
/// 7.15.4).
const FARTHEST: Psn = 255;

/// Memory of a packet that is kept apart, beside its octets.
const EARLY_OVERHEAD: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn marks(trailer: Trailer) -> Marks {
        Marks {
            trailer,
            unit_ends: false,
            frame_starts: false,
        }
    }

    fn missing(assembler: &Assembler) -> Vec<Psn> {
        assembler.missing().collect()
    }

    #[test]
    fn the_example_of_7_14_4_misses_4_and_6() {
        let mut assembler = Assembler::default();
        for psn in [0, 1, 2, 3, 5] {
            assert_eq!(
                assembler.insert(psn, marks(Trailer::Inside), b"x"),
                Insertion::Stored
            );
            assert_eq!(assembler.groups(), Groups::Open);
        }
        assembler.insert(7, marks(Trailer::Group), b"x");
        assert_eq!(assembler.groups(), Groups::Missing(7));
        assert_eq!(missing(&assembler), [4, 6]);
        assert_eq!(
            assembler.insert(6, marks(Trailer::Inside), b"x"),
            Insertion::Stored
        );
        assert_eq!(missing(&assembler), [4]);
        assembler.insert(4, marks(Trailer::Inside), b"x");
        assert_eq!(assembler.groups(), Groups::Complete(7));
        assert!(!assembler.is_complete());
    }

    #[test]
    fn packets_that_cannot_be_are_refused() {
        let mut assembler = Assembler::default();
        assert_eq!(
            assembler.insert(300, marks(Trailer::Inside), b""),
            Insertion::Impossible
        );
        assembler.insert(2, marks(Trailer::Message), b"c");
        assert_eq!(
            assembler.insert(3, marks(Trailer::Inside), b""),
            Insertion::Impossible
        );
        assert_eq!(
            assembler.insert(2, marks(Trailer::Message), b"c"),
            Insertion::Duplicate
        );
        assert_eq!(
            assembler.insert(0, marks(Trailer::Inside), b"a"),
            Insertion::Stored
        );
        assert_eq!(
            assembler.insert(0, marks(Trailer::Inside), b"z"),
            Insertion::Duplicate
        );
        assert_eq!(
            assembler.insert(1, marks(Trailer::Inside), b"b"),
            Insertion::Stored
        );
        assert!(assembler.is_complete());
        let (data, fragment) = assembler.take_unit().unwrap();
        assert_eq!((&data[..], fragment), (&b"abc"[..], Fragment::WHOLE));
    }

    #[test]
    fn data_units_of_extended_sar_come_out_in_order() {
        let mut assembler = Assembler::default();
        let unit_ends = Marks {
            unit_ends: true,
            ..marks(Trailer::Group)
        };
        let frame_starts = Marks {
            frame_starts: true,
            ..marks(Trailer::Message)
        };
        assembler.insert(1, unit_ends, b"b");
        assembler.insert(2, frame_starts, b"c");
        assert_eq!(assembler.take_unit(), None);
        assembler.insert(0, marks(Trailer::Inside), b"a");
        let first = Fragment {
            more: true,
            frame_boundary: false,
        };
        let second = Fragment {
            more: false,
            frame_boundary: true,
        };
        assert_eq!(
            assembler.take_unit(),
            Some((Bytes::from_static(b"ab"), first))
        );
        assert_eq!(
            assembler.take_unit(),
            Some((Bytes::from_static(b"c"), second))
        );
        assert_eq!(assembler.message_len(), 3);
    }

    proptest! {
        /// The twin keeps every packet in a plain map and looks at all of them each time.
        #[test]
        fn an_assembler_agrees_with_its_naive_twin(
            packets in proptest::collection::vec((0u32..12, 0u8..4, any::<u8>()), 0..40)
        ) {
            let mut assembler = Assembler::default();
            let mut twin: BTreeMap<Psn, (u8, u8)> = BTreeMap::new();
            for (psn, kind, octet) in packets {
                let trailer = match kind {
                    0 | 1 => Trailer::Inside,
                    2 => Trailer::Group,
                    _ => Trailer::Message,
                };
                let last = twin.iter().find(|(_, (kind, _))| *kind == 3).map(|(psn, _)| *psn);
                let expected = if last.is_some_and(|last| psn > last) {
                    Insertion::Impossible
                } else if twin.contains_key(&psn) {
                    Insertion::Duplicate
                } else if kind == 3 && twin.keys().any(|&other| other > psn) {
                    Insertion::Impossible
                } else {
                    twin.insert(psn, (kind, octet));
                    Insertion::Stored
                };
                prop_assert_eq!(assembler.insert(psn, marks(trailer), &[octet]), expected);
                let trailer = twin.iter().rev().find(|(_, (kind, _))| *kind >= 2).map(|(psn, _)| *psn);
                let holes: Vec<Psn> = trailer
                    .map(|end| (0..=end).filter(|psn| !twin.contains_key(psn)).collect())
                    .unwrap_or_default();
                let groups = match trailer {
                    None => Groups::Open,
                    Some(end) if holes.is_empty() => Groups::Complete(end),
                    Some(end) => Groups::Missing(end),
                };
                prop_assert_eq!(assembler.groups(), groups);
                if let Groups::Missing(_) = groups {
                    prop_assert_eq!(missing(&assembler), holes);
                }
            }
            let whole = twin.iter().enumerate().all(|(at, (psn, _))| at == *psn as usize)
                && twin.values().any(|(kind, _)| *kind == 3);
            prop_assert_eq!(assembler.is_complete(), whole);
            if whole {
                let (data, _) = assembler.take_unit().unwrap();
                let expected: Vec<u8> = twin.values().map(|(_, octet)| *octet).collect();
                prop_assert_eq!(&data[..], &expected[..]);
            }
        }
    }
}
