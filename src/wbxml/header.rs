//! The header of a document: version, public id, charset, string table (WBXML 5.4 to 5.7).

use nom::Parser;

use crate::codec::{Parsed, fail, octets, uint8, uintvar};
use crate::wbxml::charset::Charset;
use crate::wbxml::tables;
use crate::wbxml::vocabulary::Vocabulary;

/// The four fields before the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The version octet: 00 is WBXML 1.0, 03 is 1.3.
    pub version: u8,
    /// The document type, as the document names it.
    pub public_id: PublicId<'a>,
    /// The charset field; WBXML 1.0 has none.
    pub charset: Charset,
    /// The string table.
    pub strings: StringTable<'a>,
}

/// How a document names its type (WBXML 5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicId<'a> {
    /// An assigned number; 1 means unknown.
    Number(u32),
    /// A formal public identifier from the string table.
    Literal(&'a [u8]),
}

/// Strings that the body refers to by octet offset (WBXML 5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StringTable<'a> {
    octets: &'a [u8],
    nul_len: usize,
}

impl<'a> StringTable<'a> {
    /// A table of these octets, in which a NUL has `nul_len` octets.
    #[must_use]
    pub fn new(octets: &'a [u8], nul_len: usize) -> Self {
        Self {
            octets,
            nul_len: nul_len.max(1),
        }
    }

    /// The string that begins at `index`, without its NUL.
    ///
    /// The last string may lack its NUL: real SyncML 1.0 clients send their public id so.
    #[must_use]
    pub fn at(&self, index: u32) -> Option<&'a [u8]> {
        let index = usize::try_from(index).ok()?;
        let string = self
            .octets
            .get(index..)
            .filter(|string| !string.is_empty())?;
        let end = find_nul(string, self.nul_len).unwrap_or(string.len());
        string.get(..end)
    }

    /// The whole table.
    #[must_use]
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }
}

/// The offset of the NUL that ends a string, searched in steps of whole characters.
pub(crate) fn find_nul(string: &[u8], nul_len: usize) -> Option<usize> {
    if nul_len == 1 {
        return first_zero(string);
    }
    let character = string
        .chunks_exact(nul_len)
        .position(|c| c.iter().all(|&octet| octet == 0))?;
    Some(character * nul_len)
}

impl<'a> Header<'a> {
    /// Reads the header. The body remains.
    pub fn parse(input: &'a [u8]) -> Parsed<'a, Self> {
        let (rest, version) = version(input)?;
        let (rest, number) = uintvar(rest)?;
        let index_at = rest;
        let (rest, index) = if number == 0 {
            uintvar.map(Some).parse(rest)?
        } else {
            (rest, None)
        };
        let charset_at = rest;
        // WBXML 1.0 had no charset field.
        let (rest, charset) = if version == 0 {
            (rest, Charset::UNKNOWN.0)
        } else {
            uintvar(rest)?
        };
        let charset = Charset(charset);
        if !charset.is_supported() {
            return Err(fail(charset_at, "a charset this gateway can read"));
        }
        let (rest, length) = uintvar(rest)?;
        let (rest, table) = octets(usize::try_from(length).unwrap_or(usize::MAX))(rest)?;
        let strings = StringTable::new(table, charset.nul_len());
        let public_id = match index {
            None => PublicId::Number(number),
            Some(index) => match strings.at(index) {
                Some(name) => PublicId::Literal(name),
                None => {
                    return Err(fail(
                        index_at,
                        "the index of a public id in the string table",
                    ));
                }
            },
        };
        Ok((
            rest,
            Self {
                version,
                public_id,
                charset,
                strings,
            },
        ))
    }

    /// The vocabulary of a document with this header and `body`: by its public id, else by its
    /// first elements.
    #[must_use]
    pub fn vocabulary(&self, body: &[u8]) -> Option<&'static Vocabulary> {
        let named = match self.public_id {
            PublicId::Number(number) => Vocabulary::by_number(number),
            PublicId::Literal(name) => Vocabulary::by_public_id(name),
        };
        named.or_else(|| by_beginning(body))
    }
}

fn version(input: &[u8]) -> Parsed<'_, u8> {
    match uint8(input)? {
        (rest, version @ 0x00..=0x03) => Ok((rest, version)),
        _ => Err(fail(input, "a WBXML version from 1.0 to 1.3")),
    }
}

/// By the first elements: many senders say that their public id is unknown.
fn by_beginning(body: &[u8]) -> Option<&'static Vocabulary> {
    match body {
        // `<SyncML><SyncHdr><VerDTD>1.` and a digit.
        [0x6D, 0x6C, 0x71, 0x03, b'1', b'.', minor, 0x00, ..] => match minor {
            b'0' => Some(&tables::SYNCML_1_0),
            b'1' => Some(&tables::SYNCML_1_1),
            _ => Some(&tables::SYNCML_1_2),
        },
        // `<CHARACTERISTIC-LIST><CHARACTERISTIC TYPE="`, and a type that its end or a value
        // follows.
        [
            0x45,
            0xC6 | 0x86,
            0x06..=0x08 | 0x7C | 0x7D | 0x7F,
            0x01 | 0x11,
            ..,
        ] => Some(&tables::OTA),
        // `<WV-CSP-Message xmlns="http://www.wireless-village.org/CSP1.`, or that of OMA.
        [0xC9, 0x05, 0x03, b'1', b'.', ..] => Some(&tables::CSP_1_1),
        [0xC9, 0x08, 0x03, b'1', b'.', ..] => Some(&tables::CSP_1_2),
        _ => None,
    }
}

/// The offset of the first zero octet, eight octets at a time: the search for the ends of strings
/// takes most of the time of decoding.
#[inline(always)]
pub(super) fn first_zero(string: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
    let mut rest = string;
    while let Some((chunk, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        // The lowest high bit that this sets is that of the first zero octet.
        let zeros = word.wrapping_sub(ONES) & !word & HIGHS;
        if zeros != 0 {
            return Some(string.len() - rest.len() + zeros.trailing_zeros() as usize / 8);
        }
        rest = after;
    }
    let tail = rest.iter().position(|&octet| octet == 0)?;
    Some(string.len() - rest.len() + tail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_wbxml_8_2() {
        let wire = b"\x03\x01\x6A\x12abc\0 Enter name: \0\x47";
        let (rest, header) = Header::parse(wire).unwrap();
        assert_eq!(rest, [0x47]);
        assert_eq!((header.version, header.public_id), (3, PublicId::Number(1)));
        assert_eq!(header.charset, Charset::UTF_8);
        assert_eq!(header.strings.at(0), Some(&b"abc"[..]));
        assert_eq!(header.strings.at(4), Some(&b" Enter name: "[..]));
        assert_eq!(header.strings.at(6), Some(&b"nter name: "[..]));
        assert_eq!(header.strings.at(17), Some(&b""[..]));
        assert_eq!(header.strings.at(18), None);
    }

    #[test]
    fn a_literal_public_id_may_end_with_the_table() {
        let wire = b"\x02\x00\x00\x6A\x1D-//SYNCML//DTD SyncML 1.0//EN";
        let (rest, header) = Header::parse(wire).unwrap();
        assert_eq!(
            header.public_id,
            PublicId::Literal(b"-//SYNCML//DTD SyncML 1.0//EN")
        );
        assert_eq!(header.vocabulary(rest).map(|v| v.name), Some("SyncML 1.0"));
    }

    #[test]
    fn wbxml_1_0_has_no_charset() {
        let (rest, header) = Header::parse(&[0x00, 0x04, 0x00, 0x3F]).unwrap();
        assert_eq!((header.charset, rest), (Charset::UNKNOWN, &[0x3F][..]));
    }

    #[test]
    fn an_unknown_public_id_does_not_hide_syncml() {
        let wire = b"\x03\x01\x6A\x00\x6D\x6C\x71\x031.1\x00\x01";
        let (rest, header) = Header::parse(wire).unwrap();
        assert_eq!(header.vocabulary(rest).map(|v| v.name), Some("SyncML 1.1"));
    }

    #[test]
    fn strings_of_two_octet_characters_end_with_two_zeros() {
        let table = StringTable::new(&[0x01, 0x00, 0x00, 0x41, 0x00, 0x00, 0x00, 0x42], 2);
        assert_eq!(table.at(0), Some(&[0x01, 0x00, 0x00, 0x41][..]));
        assert_eq!(table.at(6), Some(&[0x00, 0x42][..]));
    }

    proptest! {
        #[test]
        fn eight_at_a_time_finds_the_same_zero(octets in prop::collection::vec(0u8..3, 0..40)) {
            prop_assert_eq!(first_zero(&octets), octets.iter().position(|&octet| octet == 0));
        }

        #[test]
        fn high_octets_are_not_zero(octets in prop::collection::vec(prop_oneof![Just(0x80u8), Just(0xFF), Just(1), Just(0)], 0..40)) {
            prop_assert_eq!(first_zero(&octets), octets.iter().position(|&octet| octet == 0));
        }
    }
}
