//! A message on its way out, and how it is cut into packets.

use bytes::Bytes;

use super::indication::Fragment;
use super::tpi::Psn;

/// The octets of a message, cut into packets when needed, because the peer may ask for smaller
/// groups meanwhile. A packet keeps its limits, because a repeated packet must equal the first one.
#[derive(Clone, Debug, Hash)]
pub(super) struct Message {
    first: Unit,
    /// Further data units, with extended SAR only.
    later: Vec<Unit>,
    /// How packets are cut from packet 0 on.
    cut: Cut,
    /// Where they begin to be of another size or unit.
    recuts: Vec<Cut>,
}

/// The data of one service primitive.
#[derive(Clone, Debug, Hash)]
struct Unit {
    data: Bytes,
    fragment: Fragment,
}

/// From packet `psn` on, packets hold `size` octets each of data unit `unit` from `offset` on.
#[derive(Clone, Copy, Debug, Hash)]
struct Cut {
    psn: Psn,
    unit: usize,
    offset: usize,
    size: usize,
}

/// One packet's part of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub(super) data: &'a [u8],
    pub(super) ends_message: bool,
    /// It ends a data unit and more follow.
    pub(super) unit_ends: bool,
    pub(super) frame_starts: bool,
}

impl Message {
    /// A message that begins with this data unit, in packets of `size` octets.
    pub(super) fn new(unit: (Bytes, Fragment), size: usize) -> Self {
        let (data, fragment) = unit;
        Self {
            first: Unit { data, fragment },
            later: Vec::new(),
            cut: Cut {
                psn: 0,
                unit: 0,
                offset: 0,
                size: size.max(1),
            },
            recuts: Vec::new(),
        }
    }

    /// Adds a data unit, if the one before announced more.
    pub(super) fn push(&mut self, unit: (Bytes, Fragment)) -> bool {
        let last = self.later.last().unwrap_or(&self.first);
        if !last.fragment.more {
            return false;
        }
        let (data, fragment) = unit;
        self.later.push(Unit { data, fragment });
        true
    }

    /// The part of the message in packet `psn`.
    pub(super) fn part(&self, psn: Psn) -> Part<'_> {
        let (at, from) = self.position(psn);
        let unit = self.unit(at.unit).unwrap_or(&self.first);
        let to = from.saturating_add(at.size).min(unit.data.len());
        let ends = to == unit.data.len();
        Part {
            data: unit.data.get(from..to).unwrap_or(&[]),
            ends_message: ends && !unit.fragment.more,
            unit_ends: ends && unit.fragment.more,
            frame_starts: from == 0 && unit.fragment.frame_boundary,
        }
    }

    /// Whether the packets before `next` hold all of the message.
    pub(super) fn ends_before(&self, next: Psn) -> bool {
        let (at, from) = self.position(next);
        let unit = self.unit(at.unit);
        next > 0 && unit.is_some_and(|unit| !unit.fragment.more && from >= unit.data.len())
    }

    /// Whether there is something for packet `next` to carry.
    pub(super) fn has_part(&self, next: Psn) -> bool {
        let (at, from) = self.position(next);
        let rest_of_unit = self
            .unit(at.unit)
            .is_some_and(|unit| from < unit.data.len());
        next == 0 || rest_of_unit || self.unit(at.unit + 1).is_some()
    }

    /// Octets left from packet `next` on in the data unit it belongs to.
    pub(super) fn rest(&self, next: Psn) -> usize {
        let (unit, from) = self.start(next);
        self.unit(unit)
            .map_or(0, |unit| unit.data.len().saturating_sub(from))
    }

    /// Octets in packet `psn`, but for the last of a data unit.
    pub(super) fn size(&self, psn: Psn) -> usize {
        self.cut_at(psn).size
    }

    /// From packet `next` on, packets are to hold `size` octets.
    pub(super) fn recut(&mut self, next: Psn, size: usize) {
        let (unit, offset) = self.start(next);
        let at = self.cut_at(next);
        if next > 0 && (at.unit, at.size) != (unit, size) {
            self.recuts.push(Cut {
                psn: next,
                unit,
                offset,
                size: size.max(1),
            });
        }
    }

    /// Whether the user has announced data that it has not given yet.
    pub(super) fn awaits_more(&self) -> bool {
        let last = self.later.last().unwrap_or(&self.first);
        last.fragment.more
    }

    /// Octets in the largest packet so far.
    pub(super) fn largest_packet(&self) -> usize {
        let sizes = self.recuts.iter().map(|cut| cut.size);
        let size = sizes.fold(self.cut.size, usize::max);
        if self.later.is_empty() {
            size.min(self.first.data.len())
        } else {
            size
        }
    }

    /// The data unit that packet `next` belongs to, and where in it the packet begins.
    fn start(&self, next: Psn) -> (usize, usize) {
        let (at, from) = self.position(next);
        let len = self.unit(at.unit).map_or(0, |unit| unit.data.len());
        if from >= len && next > 0 {
            (at.unit + 1, 0)
        } else {
            (at.unit, from)
        }
    }

    /// How packet `psn` is cut, and its offset if it is of the same unit.
    fn position(&self, psn: Psn) -> (Cut, usize) {
        let at = self.cut_at(psn);
        let packets = (psn - at.psn) as usize;
        let from = at.offset.saturating_add(packets.saturating_mul(at.size));
        (at, from)
    }

    fn cut_at(&self, psn: Psn) -> Cut {
        let later = self.recuts.iter().rev().find(|cut| cut.psn <= psn);
        *later.unwrap_or(&self.cut)
    }

    fn unit(&self, index: usize) -> Option<&Unit> {
        match index.checked_sub(1) {
            None => Some(&self.first),
            Some(later) => self.later.get(later),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Fragment = Fragment {
        more: true,
        frame_boundary: false,
    };

    #[test]
    fn packets_stay_as_they_were_cut() {
        let mut message = Message::new((Bytes::from_static(b"abcdefghij"), Fragment::WHOLE), 3);
        assert_eq!(
            (message.part(0).data, message.part(1).data),
            (&b"abc"[..], &b"def"[..])
        );
        message.recut(2, 2);
        assert_eq!(message.part(1).data, b"def");
        assert_eq!(
            (message.part(2).data, message.part(3).data),
            (&b"gh"[..], &b"ij"[..])
        );
        assert!(message.part(3).ends_message && !message.part(2).ends_message);
        assert_eq!((message.rest(3), message.has_part(4)), (2, false));
        assert!(message.ends_before(4) && !message.ends_before(3));
    }

    #[test]
    fn an_empty_message_is_one_packet() {
        let message = Message::new((Bytes::new(), Fragment::WHOLE), 0);
        assert!(message.has_part(0) && message.part(0).ends_message);
        assert!(message.ends_before(1) && !message.has_part(1));
    }

    #[test]
    fn a_data_unit_ends_its_packet() {
        let mut message = Message::new((Bytes::from_static(b"abcd"), OPEN), 3);
        assert!(message.part(1).unit_ends && message.awaits_more());
        assert!(!message.has_part(2) && !message.ends_before(2));
        assert!(message.push((Bytes::from_static(b"efg"), Fragment::WHOLE)));
        assert!(!message.push((Bytes::from_static(b"x"), Fragment::WHOLE)));
        assert!(message.has_part(2));
        message.recut(2, 3);
        assert_eq!(message.part(2).data, b"efg");
        assert_eq!(message.part(1).data, b"d");
    }
}
