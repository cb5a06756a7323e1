//! Records: several in a datagram, each with its own fields, encrypted and with a MAC (9.2).

use crate::codec::{Parsed, fail, octets, uint8, uint16};
use crate::wtls::cipher::BLOCK;
use crate::wtls::hash::same;
use crate::wtls::keys::KeyBlock;
use crate::wtls::suite::CipherSuite;

/// The content type of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentType {
    /// A change of cipher spec.
    ChangeCipherSpec,
    /// An alert.
    Alert,
    /// Handshake messages.
    Handshake,
    /// A datagram of the layer above.
    ApplicationData,
}

impl ContentType {
    const fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::ChangeCipherSpec,
            2 => Self::Alert,
            3 => Self::Handshake,
            4 => Self::ApplicationData,
            _ => return None,
        })
    }

    const fn number(self) -> u8 {
        match self {
            Self::ChangeCipherSpec => 1,
            Self::Alert => 2,
            Self::Handshake => 3,
            Self::ApplicationData => 4,
        }
    }
}

/// A record as received: a fragment under a cipher spec is still encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The first octet, with its flags.
    pub record_type: u8,
    /// The content type.
    pub content_type: ContentType,
    /// The sequence number. Records in datagrams always have one.
    pub sequence: u16,
    /// The fragment, as transmitted.
    pub fragment: &'a [u8],
    /// All octets of the record.
    pub octets: &'a [u8],
}

impl Record<'_> {
    /// Whether the record is under a cipher spec.
    #[must_use]
    pub const fn is_ciphered(&self) -> bool {
        self.record_type & CIPHERED != 0
    }

    /// Whether the record has a length field.
    #[must_use]
    pub const fn has_length(&self) -> bool {
        self.record_type & LENGTH != 0
    }
}

/// The first record of a datagram.
pub fn record(input: &[u8]) -> Parsed<'_, Record<'_>> {
    let (rest, record_type) = uint8(input)?;
    let content_type = ContentType::of(record_type & 0x0F)
        .filter(|_| record_type & RESERVED == 0)
        .ok_or_else(|| fail(input, "a record type"))?;
    if record_type & SEQUENCE == 0 {
        return Err(fail(input, "a record with a sequence number"));
    }
    let (rest, sequence) = uint16(rest)?;
    let (rest, fragment) = match record_type & LENGTH {
        0 => (&[][..], rest),
        _ => {
            let (rest, length) = uint16(rest)?;
            octets(length.into())(rest)?
        }
    };
    if fragment.is_empty() {
        return Err(fail(rest, "a fragment"));
    }
    let (octets, _) = input
        .split_at_checked(input.len() - rest.len())
        .unwrap_or_default();
    let record = Record {
        record_type,
        content_type,
        sequence,
        fragment,
        octets,
    };
    Ok((rest, record))
}

/// The records of a datagram, up to the first that is malformed; and whether there is one.
#[must_use]
pub fn records(datagram: &[u8]) -> (Vec<Record<'_>>, bool) {
    let mut records = Vec::new();
    let mut rest = datagram;
    while !rest.is_empty() {
        match record(rest) {
            Ok((after, record)) if records.len() < MOST_RECORDS => {
                records.push(record);
                rest = after;
            }
            _ => return (records, true),
        }
    }
    (records, false)
}

/// Appends a record without a cipher spec.
pub(super) fn put_plain(
    out: &mut Vec<u8>,
    content_type: ContentType,
    sequence: u16,
    with_length: bool,
    content: &[u8],
) {
    out.push(flags(with_length) | content_type.number());
    out.extend_from_slice(&sequence.to_be_bytes());
    if with_length {
        out.extend_from_slice(&length_of(content.len()).to_be_bytes());
    }
    out.extend_from_slice(content);
}

/// Appends a record under a cipher spec.
pub(super) fn seal(
    out: &mut Vec<u8>,
    keys: &KeyBlock,
    suite: CipherSuite,
    head: (ContentType, u16, bool),
    content: &[u8],
) {
    let (content_type, sequence, with_length) = head;
    let record_type = flags(with_length) | CIPHERED | content_type.number();
    let unpadded = content.len() + suite.mac.size;
    let padding = match suite.bulk.block {
        0 => None,
        block => Some(block - 1 - unpadded % block),
    };
    let length = unpadded + padding.map_or(0, |padding| padding + 1);
    out.push(record_type);
    out.extend_from_slice(&sequence.to_be_bytes());
    if with_length {
        out.extend_from_slice(&length_of(length).to_be_bytes());
    }
    let begin = out.len();
    out.extend_from_slice(content);
    if suite.mac.size > 0 {
        let (mac, _) = mac(keys, record_type, sequence, content);
        out.extend_from_slice(mac.get(..suite.mac.size).unwrap_or_default());
    }
    if let Some(padding) = padding {
        let octet = u8::try_from(padding).unwrap_or(0);
        out.resize(out.len() + padding + 1, octet);
    }
    let fragment = out.get_mut(begin..).unwrap_or_default();
    keys.cipher.encrypt(keys.record_iv(sequence), fragment);
}

/// The content of a record under a cipher spec, or nothing if the record is wrong. Nothing tells
/// wrong padding from a wrong MAC: both are computed, and as much is hashed either way.
pub(super) fn open(keys: &KeyBlock, suite: CipherSuite, record: &Record<'_>) -> Option<Vec<u8>> {
    let mut octets = record.fragment.to_vec();
    let mac_size = suite.mac.size;
    let mut good = true;
    let mut removed = mac_size;
    if suite.bulk.block > 0 {
        if !octets.len().is_multiple_of(BLOCK) || octets.len() < mac_size + 1 {
            return None;
        }
        keys.cipher
            .decrypt(keys.record_iv(record.sequence), &mut octets);
        let padding = octets.last().copied().unwrap_or(0);
        let fits = usize::from(padding) + 1 + mac_size <= octets.len();
        let differing = octets
            .iter()
            .rev()
            .zip(0_u16..=256)
            .fold(0, |acc, (octet, at)| {
                let within = u8::from(at <= u16::from(padding)).wrapping_neg();
                acc | (within & (octet ^ padding))
            });
        good = fits & (std::hint::black_box(differing) == 0);
        removed += match good {
            true => usize::from(padding) + 1,
            false => 1,
        };
    }
    let content_len = octets.len().checked_sub(removed)?;
    let (content, rest) = octets.split_at_checked(content_len)?;
    if mac_size > 0 {
        let (expected, _) = mac(keys, record.record_type, record.sequence, content);
        let received = rest.get(..mac_size).unwrap_or_default();
        good &= same(expected.get(..mac_size).unwrap_or_default(), received);
        // As many blocks are hashed as the shortest padding would have needed.
        let longest = octets.len().saturating_sub(mac_size + 1);
        let blocks = hashed_blocks(longest).saturating_sub(hashed_blocks(content_len));
        let filler = octets.get(..(blocks * HASH_BLOCK).min(octets.len()))?;
        std::hint::black_box(keys.mac.mac(&[filler]));
    }
    if !good || content_len == 0 {
        return None;
    }
    octets.truncate(content_len);
    Some(octets)
}

/// The MAC over the number, the type as transmitted, the length of the content, and the content
/// (9.2.3.2).
fn mac(keys: &KeyBlock, record_type: u8, sequence: u16, content: &[u8]) -> ([u8; 20], usize) {
    let [a, b] = sequence.to_be_bytes();
    let [c, d] = length_of(content.len()).to_be_bytes();
    keys.mac.mac(&[&[a, b, record_type, c, d], content])
}

const fn hashed_blocks(content: usize) -> usize {
    (content + 5 + 9).div_ceil(HASH_BLOCK)
}

const fn flags(with_length: bool) -> u8 {
    match with_length {
        true => LENGTH | SEQUENCE,
        false => SEQUENCE,
    }
}

/// Datagrams are shorter than a length can say.
fn length_of(octets: usize) -> u16 {
    u16::try_from(octets).unwrap_or(u16::MAX)
}

const LENGTH: u8 = 0x80;
const SEQUENCE: u8 = 0x40;
const CIPHERED: u8 = 0x20;
const RESERVED: u8 = 0x10;

/// Octets that either hash takes at a time.
const HASH_BLOCK: usize = 64;

/// Records looked at in one datagram: a flight has no more than six.
const MOST_RECORDS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wtls::keys::{MasterSecret, Security, Side};
    use crate::wtls::suite::{BULKS, MACS};

    fn keys(suite: CipherSuite) -> KeyBlock {
        let master = MasterSecret::new([9; 20]);
        Security::new(suite, master, [1; 16], [2; 16], 2).key_block(Side::Client, 4)
    }

    #[test]
    fn every_suite_opens_what_it_sealed_and_nothing_that_was_changed() {
        for (bulk, mac) in BULKS
            .iter()
            .flat_map(|bulk| MACS.iter().map(move |mac| (bulk, mac)))
        {
            let suite = CipherSuite { bulk, mac };
            let keys = keys(suite);
            for len in [1, 2, 7, 8, 9, 59, 300] {
                let content = vec![0x5A; len];
                let mut out = Vec::new();
                seal(
                    &mut out,
                    &keys,
                    suite,
                    (ContentType::ApplicationData, 5, true),
                    &content,
                );
                let (_, record) = record(&out).unwrap();
                assert_eq!(open(&keys, suite, &record), Some(content), "{suite} {len}");
                if mac.size == 0 {
                    continue;
                }
                for at in [0, 2, 5, out.len() - 1] {
                    let mut changed = out.clone();
                    changed[at] ^= 1;
                    let (read, _) = records(&changed);
                    let opened = read.first().and_then(|record| open(&keys, suite, record));
                    assert_eq!(opened, None, "{suite} {len} {at}");
                }
            }
        }
    }

    /// A record with this padding and MAC, sealed by hand.
    fn padded(keys: &KeyBlock, suite: CipherSuite, content: &[u8], padding: &[u8]) -> Vec<u8> {
        let mut octets = content.to_vec();
        let (mac, _) = mac(keys, 0xE4, 4, content);
        octets.extend_from_slice(&mac[..suite.mac.size]);
        octets.extend_from_slice(padding);
        assert_eq!(octets.len() % BLOCK, 0);
        keys.cipher.encrypt(keys.record_iv(4), &mut octets);
        let mut out = vec![0xE4, 0, 4];
        out.extend_from_slice(&u16::try_from(octets.len()).unwrap().to_be_bytes());
        out.extend_from_slice(&octets);
        out
    }

    #[test]
    fn every_padding_up_to_255_is_taken_and_one_wrong_octet_of_it_is_not() {
        for mac in MACS.iter().filter(|mac| mac.size > 0) {
            let suite = CipherSuite::of(3, mac.number).unwrap();
            let keys = keys(suite);
            for padding in 0..=255_u8 {
                let octets = usize::from(padding) + 1;
                // As much content as fills the blocks.
                let len = BLOCK + (BLOCK - (mac.size + octets) % BLOCK) % BLOCK;
                let content = vec![0x44; len];
                let mut pad = vec![padding; octets];
                let out = padded(&keys, suite, &content, &pad);
                let (_, read) = record(&out).unwrap();
                assert_eq!(
                    open(&keys, suite, &read),
                    Some(content.clone()),
                    "{padding}"
                );
                if padding > 0 {
                    pad[0] ^= 1;
                    let out = padded(&keys, suite, &content, &pad);
                    let (_, read) = record(&out).unwrap();
                    assert_eq!(open(&keys, suite, &read), None, "{padding}");
                }
            }
        }
    }

    #[test]
    fn padding_that_leaves_no_room_for_a_mac_is_wrong() {
        let suite = CipherSuite::of(3, 2).unwrap();
        let keys = keys(suite);
        for padding in [5, 6, 15, 16, 100, 255] {
            let mut octets = vec![padding; 16];
            keys.cipher.encrypt(keys.record_iv(4), &mut octets);
            let mut out = vec![0xE4, 0, 4, 0, 16];
            out.extend_from_slice(&octets);
            let (_, read) = record(&out).unwrap();
            assert_eq!(open(&keys, suite, &read), None, "{padding}");
        }
    }

    #[test]
    fn a_mac_covers_number_type_and_length_and_is_compared_as_far_as_it_goes() {
        for mac in MACS.iter().filter(|mac| mac.size > 0) {
            for bulk in [0, 3] {
                let suite = CipherSuite::of(bulk, mac.number).unwrap();
                let keys = keys(suite);
                for with_length in [true, false] {
                    let head = (ContentType::ApplicationData, 5, with_length);
                    let mut out = Vec::new();
                    seal(&mut out, &keys, suite, head, b"content");
                    let (_, read) = record(&out).unwrap();
                    assert_eq!(read.has_length(), with_length);
                    assert_eq!(open(&keys, suite, &read).as_deref(), Some(&b"content"[..]));
                    let other = Record {
                        record_type: read.record_type ^ LENGTH,
                        ..read
                    };
                    assert_eq!(open(&keys, suite, &other), None, "type {suite}");
                    let other = Record {
                        sequence: 6,
                        ..read
                    };
                    assert_eq!(open(&keys, suite, &other), None, "number {suite}");
                    // Without a cipher the last octets are the MAC: each counts.
                    for at in 1..=mac.size {
                        let mut changed = read.fragment.to_vec();
                        let at = changed.len() - at;
                        changed[at] ^= 0x80;
                        let other = Record {
                            fragment: &changed,
                            ..read
                        };
                        assert_eq!(open(&keys, suite, &other), None, "{suite} {at}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_datagram_has_many_records_with_lengths_and_a_last_one_without() {
        let suite = CipherSuite::of(6, 7).unwrap();
        let keys = keys(suite);
        let mut datagram = Vec::new();
        for number in 4..8_u16 {
            let head = (ContentType::ApplicationData, number, number < 7);
            seal(&mut datagram, &keys, suite, head, &number.to_be_bytes());
        }
        let (found, malformed) = records(&datagram);
        assert!(!malformed);
        let opened: Vec<_> = found.iter().map(|it| open(&keys, suite, it)).collect();
        let expected: Vec<_> = (4..8_u16)
            .map(|it| Some(it.to_be_bytes().to_vec()))
            .collect();
        assert_eq!(opened, expected);
        // More than anybody needs are not looked at.
        let many = [0xC4, 0, 0, 0, 1, 7].repeat(33);
        let (found, malformed) = records(&many);
        assert_eq!((found.len(), malformed), (MOST_RECORDS, true));
    }

    #[test]
    fn a_record_without_a_length_is_the_last_of_its_datagram() {
        let datagram = [0xC3, 0, 0, 0, 1, 9, 0x44, 0, 1, 7, 7];
        let (records, malformed) = records(&datagram);
        assert!(!malformed);
        assert_eq!(records.len(), 2);
        assert_eq!(records[1].fragment, [7, 7]);
        assert_eq!(records[0].octets.len(), 6);
    }

    #[test]
    fn what_is_no_record_is_said_so() {
        for datagram in [
            &[0x03, 1][..],
            &[0x53, 0, 0, 1],
            &[0xC5, 0, 0, 0, 0],
            &[0xC3, 0, 0, 0, 9, 1],
            &[0x44, 0, 0],
        ] {
            assert_eq!(records(datagram), (Vec::new(), true));
        }
    }
}
