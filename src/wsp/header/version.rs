//! Encoding versions: which assigned numbers a peer knows (WSP 8.4.1.1, 8.4.2.70).

use std::fmt;

use super::text;
use super::wire;
use crate::codec::{Parsed, uint8};

/// A version of the binary encoding. Values that are newer than the peer's version are sent as
/// text.
///
/// The octet is as on the wire: the major number in the high nibble, the minor number in the low
/// one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EncodingVersion(u8);

impl EncodingVersion {
    /// 1.1
    pub const V1_1: Self = Self(0x11);
    /// 1.2, the version of a client that names none.
    pub const V1_2: Self = Self(0x12);
    /// 1.3
    pub const V1_3: Self = Self(0x13);
    /// 1.4
    pub const V1_4: Self = Self(0x14);
    /// 1.5
    pub const V1_5: Self = Self(0x15);
    /// The highest one implemented here.
    pub const OURS: Self = Self::V1_5;
    /// 1.6 was registered after the last specification; some media types name it.
    pub(crate) const V1_6: Self = Self(0x16);
    /// Assigned without a version: no client is known to support it.
    pub(crate) const NEVER: Self = Self(0xFF);

    /// A version by its two numbers, the minor at most 14.
    #[must_use]
    pub const fn new(major: u8, minor: u8) -> Option<Self> {
        match (major, minor) {
            (1..=7, 0..=14) => Some(Self(major << 4 | minor)),
            _ => None,
        }
    }

    /// Parses the value of an Encoding-Version field in text form: `1.3`.
    ///
    /// A value for an extension page (`10 1.3`) is `None`, because it gives no version of the
    /// default page.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (major, minor) = text::cut(value, b'.');
        let number = |digits| u8::try_from(text::decimal(digits)?).ok();
        Self::new(number(major)?, minor.map_or(Some(0), number)?)
    }

    /// The version of both sides: the highest version of ours that is not above the client's, and
    /// 1.2 for a client that named none.
    #[must_use]
    pub fn agreed(client: Option<Self>) -> Self {
        client.unwrap_or_default().min(Self::OURS)
    }

    /// The version as it stands on the wire.
    pub(in crate::wsp) const fn octet(self) -> u8 {
        self.0
    }

    /// The inverse of [`octet`](Self::octet).
    pub(in crate::wsp) const fn from_octet(octet: u8) -> Self {
        Self(octet)
    }

    /// The major number.
    #[must_use]
    pub const fn major(self) -> u8 {
        self.0 >> 4
    }

    /// The minor number.
    #[must_use]
    pub const fn minor(self) -> u8 {
        self.0 & 0x0F
    }

    /// Whether a peer of this version knows a media type, parameter or token of version `since`.
    pub(crate) fn knows(self, since: Self) -> bool {
        since <= self
    }

    /// Whether a field name of version `since` is sent as a number. Names up to 1.2 always are (WSP
    /// 8.4.1.1).
    pub(crate) fn knows_field(self, since: Self) -> bool {
        since <= self.max(Self::V1_2)
    }
}

impl Default for EncodingVersion {
    fn default() -> Self {
        Self::V1_2
    }
}

impl fmt::Display for EncodingVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major(), self.minor())
    }
}

impl fmt::Debug for EncodingVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads a Version-value and appends it as text: `1.3`, or `1` when it has no minor number (WSP
/// 8.4.2.3).
pub(crate) fn version_value<'a>(input: &'a [u8], out: &mut Vec<u8>) -> Parsed<'a, ()> {
    if wire::is_text(input) || input.first() == Some(&0) {
        let (input, version) = wire::text_string(input)?;
        out.extend_from_slice(version);
        return Ok((input, ()));
    }
    let (rest, octet) = uint8(input)?;
    if octet < 0x80 {
        return Err(crate::codec::fail(input, "a version"));
    }
    put_short_version(octet, out);
    Ok((rest, ()))
}

/// Appends the text of a version in one octet.
pub(crate) fn put_short_version(octet: u8, out: &mut Vec<u8>) {
    text::put_decimal(out, u64::from(octet >> 4 & 0x07));
    let minor = octet & 0x0F;
    if minor != 0x0F {
        out.push(b'.');
        text::put_decimal(out, u64::from(minor));
    }
}

/// The octet of a version that has one: major 1 to 7, minor 0 to 14 or absent.
pub(crate) fn short_version(version: &[u8]) -> Option<u8> {
    let (major, minor) = text::cut(version, b'.');
    let major = text::decimal(major).filter(|major| (1..=7).contains(major))?;
    let minor = match minor {
        Some(minor) => text::decimal(minor).filter(|minor| *minor <= 14)?,
        None => 15,
    };
    u8::try_from(0x80 | major << 4 | minor).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_8_4_2_3() {
        for (octet, text) in [(0x93, "1.3"), (0x9F, "1"), (0xFE, "7.14")] {
            let mut out = Vec::new();
            put_short_version(octet, &mut out);
            assert_eq!(out, text.as_bytes());
            assert_eq!(short_version(text.as_bytes()), Some(octet));
        }
        assert_eq!(short_version(b"0.9"), None);
        assert_eq!(short_version(b"1.15"), None);
        assert_eq!(short_version(b"8.0"), None);
    }

    #[test]
    fn a_client_that_says_nothing_knows_1_2() {
        assert_eq!(EncodingVersion::agreed(None), EncodingVersion::V1_2);
        assert_eq!(
            EncodingVersion::agreed(EncodingVersion::parse(b"1.3")),
            EncodingVersion::V1_3
        );
        assert_eq!(
            EncodingVersion::agreed(EncodingVersion::parse(b"2.0")),
            EncodingVersion::V1_5
        );
        assert_eq!(EncodingVersion::parse(b"10 1.3"), None);
    }
}
