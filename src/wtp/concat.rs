//! Several PDUs in one datagram (WTP 7.5, 8.5).

use crate::codec::{Parsed, fail, octets, uint8};

/// Splits a datagram into its PDUs, in order.
///
/// A datagram that starts with a zero octet is a series of lengths and PDUs. A length of zero, or
/// one that exceeds the datagram, ends the series: the PDUs before it are returned, the rest is
/// dropped.
#[must_use]
pub fn separate(datagram: &[u8]) -> Pdus<'_> {
    let (alone, series) = match datagram.split_first() {
        Some((&CONCATENATED, series)) => (None, series),
        Some(_) => (Some(datagram), &[][..]),
        None => (None, &[][..]),
    };
    Pdus {
        alone,
        series,
        is_broken: datagram.is_empty(),
    }
}

/// The PDUs of a datagram; see [`separate`].
#[derive(Clone, Debug)]
pub struct Pdus<'a> {
    alone: Option<&'a [u8]>,
    series: &'a [u8],
    is_broken: bool,
}

impl Pdus<'_> {
    /// Whether octets were given up, once all PDUs have been taken; and whether there was no octet
    /// at all.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        self.is_broken
    }
}

impl<'a> Iterator for Pdus<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if let Some(pdu) = self.alone.take() {
            return Some(pdu);
        }
        if self.series.is_empty() {
            return None;
        }
        match element(self.series) {
            Ok((rest, pdu)) if !pdu.is_empty() => {
                self.series = rest;
                Some(pdu)
            }
            _ => {
                self.series = &[];
                self.is_broken = true;
                None
            }
        }
    }
}

/// Appends PDUs to a send buffer. Lengths are added once there are two PDUs.
#[derive(Debug)]
pub struct Joiner {
    start: usize,
    pdus: usize,
    limit: usize,
}

impl Joiner {
    /// Starts a datagram at the end of `out` that is not to exceed `limit` octets unless its first
    /// PDU alone does.
    #[must_use]
    pub const fn new(out: &[u8], limit: usize) -> Self {
        Self {
            start: out.len(),
            pdus: 0,
            limit,
        }
    }

    /// Adds the PDU that was appended to `out` from offset `from` on. Returns `false`, and removes
    /// the PDU, if the datagram would become too large.
    pub fn add(&mut self, from: usize, out: &mut Vec<u8>) -> bool {
        if self.pdus == 0 {
            self.pdus = 1;
            return true;
        }
        let pdu = out.len().saturating_sub(from);
        let opening = if self.pdus == 1 {
            let first = from.saturating_sub(self.start);
            length(first).map(|length| 1 + length.as_ref().len())
        } else {
            Some(0)
        };
        let (Some(opening), Some(prefix)) = (opening, length(pdu)) else {
            out.truncate(from);
            return false;
        };
        let total = out.len().saturating_sub(self.start) + opening + prefix.as_ref().len();
        if total > self.limit {
            out.truncate(from);
            return false;
        }
        out.splice(from..from, prefix.as_ref().iter().copied());
        if self.pdus == 1 {
            let first = from.saturating_sub(self.start);
            if let Some(prefix) = length(first) {
                let opening = std::iter::once(CONCATENATED).chain(prefix.as_ref().iter().copied());
                out.splice(self.start..self.start, opening);
            }
        }
        self.pdus += 1;
        true
    }

    /// Octets of the datagram so far.
    #[must_use]
    pub const fn len(&self, out: &[u8]) -> usize {
        out.len().saturating_sub(self.start)
    }

    /// PDUs taken in.
    #[must_use]
    pub const fn pdus(&self) -> usize {
        self.pdus
    }
}

fn element(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, first) = uint8(input)?;
    let (rest, len) = if first & LONG == 0 {
        (rest, usize::from(first))
    } else {
        let (rest, second) = uint8(rest)?;
        (rest, usize::from(first & !LONG) << 8 | usize::from(second))
    };
    octets(len)(rest).map_err(|_| fail(input, "a PDU as long as its length says"))
}

/// A length of 7 or 15 bits, or `None` for a PDU that is too long for a concatenation.
fn length(len: usize) -> Option<Length> {
    match u16::try_from(len).ok()? {
        len @ 1..=0x7F => Some(Length([0, len.to_be_bytes()[1]], 1)),
        len @ 0x80..=0x7FFF => {
            let [high, low] = len.to_be_bytes();
            Some(Length([high | LONG, low], 2))
        }
        _ => None,
    }
}

struct Length([u8; 2], usize);

impl AsRef<[u8]> for Length {
    fn as_ref(&self) -> &[u8] {
        self.0.get(2 - self.1..).unwrap_or(&[])
    }
}

const CONCATENATED: u8 = 0x00;
const LONG: u8 = 0x80;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(pdus: &[Vec<u8>], limit: usize) -> (Vec<u8>, usize) {
        let mut out = b"before".to_vec();
        let mut joiner = Joiner::new(&out, limit);
        for pdu in pdus {
            let from = out.len();
            out.extend_from_slice(pdu);
            if !joiner.add(from, &mut out) {
                break;
            }
        }
        (out.split_off(6), joiner.pdus())
    }

    #[test]
    fn one_pdu_stands_alone_and_two_get_lengths_of_8_5() {
        let pdus = [vec![0x18, 0, 1], vec![0x18, 0, 2]];
        assert_eq!(joined(&pdus[..1], 1400), (vec![0x18, 0, 1], 1));
        let both = vec![0x00, 3, 0x18, 0, 1, 3, 0x18, 0, 2];
        assert_eq!(joined(&pdus, 1400), (both, 2));
    }

    #[test]
    fn long_pdus_get_lengths_of_15_bits() {
        let pdus = [vec![0x0E; 0x80], vec![0x18; 3]];
        let (datagram, _) = joined(&pdus, 1400);
        assert_eq!(datagram[..4], [0x00, 0x80, 0x80, 0x0E]);
        assert_eq!(
            separate(&datagram).collect::<Vec<_>>(),
            [&pdus[0], &pdus[1]]
        );
    }

    #[test]
    fn a_length_that_is_zero_or_too_long_ends_the_datagram() {
        let pdus = |datagram| separate(datagram).collect::<Vec<_>>();
        assert_eq!(pdus(&[0x00, 1, 0x18, 0, 0x18]), [&[0x18]]);
        assert_eq!(pdus(&[0x00, 1, 0x18, 9, 0x18]), [&[0x18]]);
        assert_eq!(pdus(&[0x00, 1, 0x18, 0x80]), [&[0x18]]);
        assert_eq!(pdus(&[0x00]), [&[] as &[u8]; 0]);
        assert_eq!(pdus(&[]), [&[] as &[u8]; 0]);
        let is_broken = |datagram| {
            let mut pdus = separate(datagram);
            pdus.by_ref().for_each(drop);
            pdus.is_broken()
        };
        assert!(is_broken(&[0x00, 1, 0x18, 0, 0x18]));
        assert!(is_broken(&[0x00, 1, 0x18, 9, 0x18]));
        assert!(is_broken(&[]));
        for whole in [&[0x00, 1, 0x18, 1, 0x18][..], &[0x18], &[0x00]] {
            assert!(!is_broken(whole));
        }
    }

    proptest! {
        #[test]
        fn separation_undoes_concatenation(
            pdus in proptest::collection::vec(proptest::collection::vec(1u8.., 1..300), 1..6),
            limit in 0usize..1000,
        ) {
            let (datagram, count) = joined(&pdus, limit);
            prop_assert!(count >= 1);
            prop_assert!(count == 1 || datagram.len() <= limit);
            let back: Vec<_> = separate(&datagram).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(&back[..], &pdus[..count]);
        }

        #[test]
        fn separation_ends(datagram: Vec<u8>) {
            let octets: usize = separate(&datagram).map(<[u8]>::len).sum();
            prop_assert!(octets <= datagram.len());
        }
    }
}
