//! Putting a segmented message together again (WTP 7.14, 7.15).

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::config::Defect;
use super::indication::Fragment;
use super::pdu::Trailer;
use super::tpi::Psn;

/// The packets of one message, as they come in.
///
/// What follows without a hole is one growing buffer; only packets that overtook others are kept apart.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Assembler {
    /// Everything before `next` that was not taken yet.
    whole: Vec<u8>,
    /// The first packet that is missing.
    next: Psn,
    /// Packets beyond a hole.
    early: BTreeMap<Psn, Early>,
    /// The highest packet heard that ends a group.
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

/// What the header of a packet says about its place.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) trailer: Trailer,
    /// SDU Boundary TPI.
    pub(super) unit_ends: bool,
    /// Frame Boundary TPI.
    pub(super) frame_starts: bool,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Stored; nothing to say yet.
    Stored,
    /// Known already; nothing to say unless it ends a group.
    Duplicate,
    /// It cannot belong to this message.
    Impossible,
}

/// Where the groups heard of stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Groups {
    /// No end of a group was heard.
    Open,
    /// All packets up to this end of a group are here.
    Complete(Psn),
    /// The end of a group was heard and packets before it are missing.
    Missing(Psn),
}

impl Assembler {
    /// Takes in a packet of which the low octet of the number and perhaps the high ones are known.
    pub(super) fn hear(&mut self, psn: Psn, marks: Marks, data: &[u8]) -> Heard {
        let beyond = self.last.is_some_and(|last| psn > last);
        if beyond || psn > self.next.saturating_add(FARTHEST) {
            return Heard::Impossible;
        }
        if psn < self.next || self.early.contains_key(&psn) {
            return Heard::Duplicate;
        }
        if marks.trailer.ends_message() {
            if self
                .early
                .keys()
                .next_back()
                .is_some_and(|&highest| highest > psn)
            {
                return Heard::Impossible;
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
        Heard::Stored
    }

    /// Where the groups stand.
    pub(super) fn groups(&self, defect: Option<Defect>) -> Groups {
        match self.trailer {
            None => Groups::Open,
            Some(trailer) if trailer < self.next => Groups::Complete(trailer),
            Some(trailer) if defect == Some(Defect::AckOverHole) => Groups::Complete(trailer),
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

    /// The highest packet heard that ends a group.
    pub(super) const fn trailer(&self) -> Option<Psn> {
        self.trailer
    }

    /// Takes the next complete data unit and what follows it.
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
    pub(super) fn is_complete(&self, defect: Option<Defect>) -> bool {
        let hasty = defect == Some(Defect::AckOverHole) && self.last.is_some();
        hasty || self.last.is_some_and(|last| last < self.next)
    }

    /// The octets of an incomplete message, holes skipped: what a receiver that does not look gets.
    pub(super) fn take_hasty(&mut self) -> Bytes {
        std::mem::take(&mut self.whole).into()
    }

    /// Octets of the message heard so far, taken ones included.
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

/// How far beyond a hole a packet may be: no sender has more than 255 packets under way (WTP 7.15.4).
const FARTHEST: Psn = 255;

/// What a packet kept apart costs beside its octets.
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
                assembler.hear(psn, marks(Trailer::Inside), b"x"),
                Heard::Stored
            );
            assert_eq!(assembler.groups(None), Groups::Open);
        }
        assembler.hear(7, marks(Trailer::Group), b"x");
        assert_eq!(assembler.groups(None), Groups::Missing(7));
        assert_eq!(missing(&assembler), [4, 6]);
        assert_eq!(
            assembler.hear(6, marks(Trailer::Inside), b"x"),
            Heard::Stored
        );
        assert_eq!(missing(&assembler), [4]);
        assembler.hear(4, marks(Trailer::Inside), b"x");
        assert_eq!(assembler.groups(None), Groups::Complete(7));
        assert!(!assembler.is_complete(None));
    }

    #[test]
    fn packets_that_cannot_be_are_refused() {
        let mut assembler = Assembler::default();
        assert_eq!(
            assembler.hear(300, marks(Trailer::Inside), b""),
            Heard::Impossible
        );
        assembler.hear(2, marks(Trailer::Message), b"c");
        assert_eq!(
            assembler.hear(3, marks(Trailer::Inside), b""),
            Heard::Impossible
        );
        assert_eq!(
            assembler.hear(2, marks(Trailer::Message), b"c"),
            Heard::Duplicate
        );
        assert_eq!(
            assembler.hear(0, marks(Trailer::Inside), b"a"),
            Heard::Stored
        );
        assert_eq!(
            assembler.hear(0, marks(Trailer::Inside), b"z"),
            Heard::Duplicate
        );
        assert_eq!(
            assembler.hear(1, marks(Trailer::Inside), b"b"),
            Heard::Stored
        );
        assert!(assembler.is_complete(None));
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
        assembler.hear(1, unit_ends, b"b");
        assembler.hear(2, frame_starts, b"c");
        assert_eq!(assembler.take_unit(), None);
        assembler.hear(0, marks(Trailer::Inside), b"a");
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
                    Heard::Impossible
                } else if twin.contains_key(&psn) {
                    Heard::Duplicate
                } else if kind == 3 && twin.keys().any(|&other| other > psn) {
                    Heard::Impossible
                } else {
                    twin.insert(psn, (kind, octet));
                    Heard::Stored
                };
                prop_assert_eq!(assembler.hear(psn, marks(trailer), &[octet]), expected);
                let trailer = twin.iter().rev().find(|(_, (kind, _))| *kind >= 2).map(|(psn, _)| *psn);
                let holes: Vec<Psn> = trailer
                    .map(|end| (0..=end).filter(|psn| !twin.contains_key(psn)).collect())
                    .unwrap_or_default();
                let groups = match trailer {
                    None => Groups::Open,
                    Some(end) if holes.is_empty() => Groups::Complete(end),
                    Some(end) => Groups::Missing(end),
                };
                prop_assert_eq!(assembler.groups(None), groups);
                if let Groups::Missing(_) = groups {
                    prop_assert_eq!(missing(&assembler), holes);
                }
            }
            let whole = twin.iter().enumerate().all(|(at, (psn, _))| at == *psn as usize)
                && twin.values().any(|(kind, _)| *kind == 3);
            prop_assert_eq!(assembler.is_complete(None), whole);
            if whole {
                let (data, _) = assembler.take_unit().unwrap();
                let expected: Vec<u8> = twin.values().map(|(_, octet)| *octet).collect();
                prop_assert_eq!(&data[..], &expected[..]);
            }
        }
    }
}
