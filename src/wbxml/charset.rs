//! Character sets by their MIBenum, as the charset field of a document names them (WBXML 5.6).
//!
//! Most come from `encoding_rs`. Written here are those it has only under the web's rules (US-ASCII
//! and ISO-8859-1 are not windows-1252 to us), in the wrong octet order (UCS-2 on the air is
//! big-endian) or for reading only (UTF-16).

use std::borrow::Cow;

use encoding_rs as enc;

/// A character set, by its MIBenum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Charset(pub u32);

impl Charset {
    /// The document names none; the transport may. Read as UTF-8.
    pub const UNKNOWN: Self = Self(0);
    /// Seven bits.
    pub const US_ASCII: Self = Self(3);
    /// Latin 1, octet for octet the first 256 characters.
    pub const ISO_8859_1: Self = Self(4);
    /// UTF-8, which nearly all documents use.
    pub const UTF_8: Self = Self(106);
    /// Two octets a character, most significant first.
    pub const UCS_2: Self = Self(1000);
    /// Four octets a character, most significant first.
    pub const UCS_4: Self = Self(1001);
    /// UTF-16, most significant octet first.
    pub const UTF_16BE: Self = Self(1013);
    /// UTF-16, least significant octet first.
    pub const UTF_16LE: Self = Self(1014);
    /// UTF-16 with a byte order mark; without one, most significant octet first.
    pub const UTF_16: Self = Self(1015);

    /// The charset's IANA name; `None` for a charset without a decoder here.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        ROWS.iter().find(|row| row.0 == self.0).map(|row| row.1)
    }

    /// The charset of this IANA name or common alias, in any case.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let alias = ALIASES
            .iter()
            .find(|(alias, _)| alias.eq_ignore_ascii_case(name));
        let name = alias.map_or(name, |(_, name)| name);
        ROWS.iter()
            .find(|row| row.1.eq_ignore_ascii_case(name))
            .map(|row| Self(row.0))
    }

    /// Whether there is a decoder for this charset.
    #[must_use]
    pub fn is_supported(self) -> bool {
        self.form().is_some()
    }

    /// Octets of the NUL that ends a string (WBXML 5.2).
    #[must_use]
    pub fn nul_len(self) -> usize {
        match self.form() {
            Some(Form::Utf16(_)) => 2,
            Some(Form::Ucs4) => 4,
            _ => 1,
        }
    }

    /// The text of `octets`; `None` when they are not text in this charset.
    #[must_use]
    pub fn decode(self, octets: &[u8]) -> Option<Cow<'_, str>> {
        match self.form()? {
            Form::Utf8 => std::str::from_utf8(octets).ok().map(Cow::Borrowed),
            // Some senders say ASCII and send UTF-8. Every ASCII text is also UTF-8.
            Form::Ascii => std::str::from_utf8(octets).ok().map(Cow::Borrowed),
            Form::Latin1 => Some(enc::mem::decode_latin1(octets)),
            Form::Utf16(order) => decode_utf16(octets, order).map(Cow::Owned),
            Form::Ucs4 => decode_ucs4(octets).map(Cow::Owned),
            Form::Table(encoding) => {
                encoding.decode_without_bom_handling_and_without_replacement(octets)
            }
        }
    }

    /// Appends `text` up to the first character that this charset lacks. Returns this character
    /// and the text after it: the caller writes an ENTITY and continues.
    pub fn encode<'t>(self, text: &'t str, out: &mut Vec<u8>) -> Option<(char, &'t str)> {
        match self.form() {
            Some(Form::Utf8) | None => {
                out.extend_from_slice(text.as_bytes());
                None
            }
            Some(Form::Ascii) => {
                self.encode_each(text, out, |c, out| c.is_ascii() && push_octet(c, out))
            }
            Some(Form::Latin1) => self.encode_each(text, out, push_octet),
            Some(Form::Utf16(order)) => {
                let surrogates = self != Self::UCS_2;
                self.encode_each(text, out, |c, out| {
                    (surrogates || c.len_utf16() == 1) && push_utf16(c, order, out)
                })
            }
            Some(Form::Ucs4) => self.encode_each(text, out, |c, out| {
                out.extend_from_slice(&u32::from(c).to_be_bytes());
                true
            }),
            Some(Form::Table(encoding)) => {
                let missing = |c: char| encoding.encode(c.encode_utf8(&mut [0; 4])).2;
                let at = text.find(missing).unwrap_or(text.len());
                let (before, after) = text.split_at_checked(at)?;
                // In one piece: some charsets shift between sets.
                out.extend_from_slice(&encoding.encode(before).0);
                let mut after = after.chars();
                after.next().map(|character| (character, after.as_str()))
            }
        }
    }

    fn encode_each<'t>(
        self,
        text: &'t str,
        out: &mut Vec<u8>,
        push: impl Fn(char, &mut Vec<u8>) -> bool,
    ) -> Option<(char, &'t str)> {
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if !push(c, out) {
                return Some((c, chars.as_str()));
            }
        }
        None
    }

    fn form(self) -> Option<Form> {
        if self == Self::UTF_8 {
            return Some(Form::Utf8); // before the search: nearly always
        }
        ROWS.iter().find(|row| row.0 == self.0).map(|row| row.2)
    }
}

/// The way to read a charset.
#[derive(Clone, Copy, Debug)]
enum Form {
    Utf8,
    Ascii,
    Latin1,
    Utf16(ByteOrder),
    Ucs4,
    Table(&'static enc::Encoding),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ByteOrder {
    Big,
    Little,
    /// In the order of the byte order mark. The mark is not text.
    Marked,
}

fn decode_utf16(octets: &[u8], order: ByteOrder) -> Option<String> {
    let (octets, order) = match (order, octets) {
        (ByteOrder::Marked, [0xFE, 0xFF, rest @ ..]) => (rest, ByteOrder::Big),
        (ByteOrder::Marked, [0xFF, 0xFE, rest @ ..]) => (rest, ByteOrder::Little),
        _ => (octets, order),
    };
    let pairs = octets.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    let units = pairs
        .filter_map(|pair| pair.first_chunk::<2>())
        .map(|pair| match order {
            ByteOrder::Little => u16::from_le_bytes(*pair),
            ByteOrder::Big | ByteOrder::Marked => u16::from_be_bytes(*pair),
        });
    char::decode_utf16(units).collect::<Result<_, _>>().ok()
}

fn decode_ucs4(octets: &[u8]) -> Option<String> {
    let quads = octets.chunks_exact(4);
    if !quads.remainder().is_empty() {
        return None;
    }
    quads
        .filter_map(|quad| quad.first_chunk::<4>())
        .map(|quad| char::from_u32(u32::from_be_bytes(*quad)))
        .collect()
}

fn push_octet(c: char, out: &mut Vec<u8>) -> bool {
    u8::try_from(c).map(|octet| out.push(octet)).is_ok()
}

fn push_utf16(c: char, order: ByteOrder, out: &mut Vec<u8>) -> bool {
    for unit in c.encode_utf16(&mut [0; 2]) {
        out.extend_from_slice(&match order {
            ByteOrder::Little => unit.to_le_bytes(),
            ByteOrder::Big | ByteOrder::Marked => unit.to_be_bytes(),
        });
    }
    true
}

/// MIBenum, IANA name and form of every registered charset with a decoder. The others (UTF-7,
/// EBCDIC and national 7-bit sets) are refused by name.
const ROWS: [(u32, &str, Form); 49] = [
    (106, "UTF-8", Form::Utf8),
    (0, "unknown", Form::Utf8),
    (3, "US-ASCII", Form::Ascii),
    (4, "ISO-8859-1", Form::Latin1),
    (5, "ISO-8859-2", Form::Table(enc::ISO_8859_2)),
    (6, "ISO-8859-3", Form::Table(enc::ISO_8859_3)),
    (7, "ISO-8859-4", Form::Table(enc::ISO_8859_4)),
    (8, "ISO-8859-5", Form::Table(enc::ISO_8859_5)),
    (9, "ISO-8859-6", Form::Table(enc::ISO_8859_6)),
    (10, "ISO-8859-7", Form::Table(enc::ISO_8859_7)),
    (11, "ISO-8859-8", Form::Table(enc::ISO_8859_8)),
    (12, "ISO-8859-9", Form::Table(enc::WINDOWS_1254)),
    (13, "ISO-8859-10", Form::Table(enc::ISO_8859_10)),
    (17, "Shift_JIS", Form::Table(enc::SHIFT_JIS)),
    (18, "EUC-JP", Form::Table(enc::EUC_JP)),
    (38, "EUC-KR", Form::Table(enc::EUC_KR)),
    (39, "ISO-2022-JP", Form::Table(enc::ISO_2022_JP)),
    (85, "ISO-8859-8-I", Form::Table(enc::ISO_8859_8_I)),
    (109, "ISO-8859-13", Form::Table(enc::ISO_8859_13)),
    (110, "ISO-8859-14", Form::Table(enc::ISO_8859_14)),
    (111, "ISO-8859-15", Form::Table(enc::ISO_8859_15)),
    (112, "ISO-8859-16", Form::Table(enc::ISO_8859_16)),
    (113, "GBK", Form::Table(enc::GBK)),
    (114, "GB18030", Form::Table(enc::GB18030)),
    (1000, "ISO-10646-UCS-2", Form::Utf16(ByteOrder::Big)),
    (1001, "ISO-10646-UCS-4", Form::Ucs4),
    (1013, "UTF-16BE", Form::Utf16(ByteOrder::Big)),
    (1014, "UTF-16LE", Form::Utf16(ByteOrder::Little)),
    (1015, "UTF-16", Form::Utf16(ByteOrder::Marked)),
    (1018, "UTF-32BE", Form::Ucs4),
    (2024, "Windows-31J", Form::Table(enc::SHIFT_JIS)),
    (2025, "GB2312", Form::Table(enc::GBK)),
    (2026, "Big5", Form::Table(enc::BIG5)),
    (2027, "macintosh", Form::Table(enc::MACINTOSH)),
    (2084, "KOI8-R", Form::Table(enc::KOI8_R)),
    (2086, "IBM866", Form::Table(enc::IBM866)),
    (2088, "KOI8-U", Form::Table(enc::KOI8_U)),
    (2101, "Big5-HKSCS", Form::Table(enc::BIG5)),
    (2109, "windows-874", Form::Table(enc::WINDOWS_874)),
    (2250, "windows-1250", Form::Table(enc::WINDOWS_1250)),
    (2251, "windows-1251", Form::Table(enc::WINDOWS_1251)),
    (2252, "windows-1252", Form::Table(enc::WINDOWS_1252)),
    (2253, "windows-1253", Form::Table(enc::WINDOWS_1253)),
    (2254, "windows-1254", Form::Table(enc::WINDOWS_1254)),
    (2255, "windows-1255", Form::Table(enc::WINDOWS_1255)),
    (2256, "windows-1256", Form::Table(enc::WINDOWS_1256)),
    (2257, "windows-1257", Form::Table(enc::WINDOWS_1257)),
    (2258, "windows-1258", Form::Table(enc::WINDOWS_1258)),
    (2259, "TIS-620", Form::Table(enc::WINDOWS_874)),
];

const ALIASES: [(&str, &str); 8] = [
    ("utf8", "UTF-8"),
    ("ascii", "US-ASCII"),
    ("latin1", "ISO-8859-1"),
    ("iso8859-1", "ISO-8859-1"),
    ("iso_8859-1", "ISO-8859-1"),
    ("ucs-2", "ISO-10646-UCS-2"),
    ("ucs-4", "ISO-10646-UCS-4"),
    ("sjis", "Shift_JIS"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(charset: Charset, text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        assert_eq!(charset.encode(text, &mut out), None, "{charset:?}");
        assert_eq!(charset.decode(&out).as_deref(), Some(text), "{charset:?}");
        out
    }

    #[test]
    fn every_charset_reads_back_what_it_wrote() {
        for (number, name, _) in ROWS {
            round_trip(Charset(number), "plain text 123");
            assert_eq!(
                Charset::by_name(&name.to_lowercase()),
                Some(Charset(number))
            );
        }
        assert_eq!(round_trip(Charset::ISO_8859_1, "é\u{85}"), [0xE9, 0x85]);
        assert_eq!(round_trip(Charset::UCS_2, "Aé"), [0, 0x41, 0, 0xE9]);
        assert_eq!(
            round_trip(Charset::UTF_16LE, "😀"),
            [0x3D, 0xD8, 0x00, 0xDE]
        );
        assert_eq!(round_trip(Charset::UCS_4, "😀"), [0, 1, 0xF6, 0]);
        assert_eq!(round_trip(Charset(17), "ｱ漢"), [0xB1, 0x8A, 0xBF]);
        round_trip(Charset(39), "漢字 and ASCII");
        round_trip(Charset(114), "😀漢é");
    }

    #[test]
    fn a_character_the_charset_lacks_is_handed_back() {
        let mut out = Vec::new();
        assert_eq!(
            Charset::US_ASCII.encode("a\u{A0}b", &mut out),
            Some(('\u{A0}', "b"))
        );
        assert_eq!(out, b"a");
        out.clear();
        assert_eq!(Charset::UCS_2.encode("a😀", &mut out), Some(('😀', "")));
        out.clear();
        assert_eq!(Charset(5).encode("ł日x", &mut out), Some(('日', "x")));
        assert_eq!(out, [0xB3]);
    }

    #[test]
    fn octets_that_are_not_text_are_refused() {
        assert_eq!(Charset::UTF_8.decode(&[0xC3]), None);
        assert_eq!(Charset::US_ASCII.decode(&[0x80]), None);
        assert_eq!(Charset::UTF_16BE.decode(&[0xD8, 0x00]), None);
        assert_eq!(Charset::UTF_16BE.decode(&[0x00]), None);
        assert_eq!(Charset::UCS_4.decode(&[0, 0x11, 0, 0]), None);
        assert_eq!(Charset(17).decode(&[0x81]), None);
        assert_eq!(Charset(999).decode(b"a"), None);
    }

    #[test]
    fn a_byte_order_mark_is_not_text() {
        assert_eq!(
            Charset::UTF_16.decode(&[0xFF, 0xFE, 0x41, 0]).as_deref(),
            Some("A")
        );
        assert_eq!(
            Charset::UTF_16.decode(&[0xFE, 0xFF, 0, 0x41]).as_deref(),
            Some("A")
        );
        assert_eq!(Charset::UTF_16.decode(&[0, 0x41]).as_deref(), Some("A"));
    }
}
