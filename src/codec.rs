//! Primitive productions and the error type that every layer's decoder and encoder shares.
//!
//! Decoders are `nom` parsers: functions from a slice to `(rest, value)`, named after the
//! production in the specification. Inside a layer they fail with [`Malformed`], which points at
//! the octets. At the layer's edge [`located`] turns that into a [`DecodeError`] with an offset.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nom::bytes::complete as bytes;
use nom::error::{ErrorKind, ParseError};
use nom::{IResult, Parser};

/// The result of a parser: the rest of the input and a value.
pub type Parsed<'a, T> = IResult<&'a [u8], T, Malformed<'a>>;

/// A parser's failure: the position, and the element expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed<'a> {
    at: &'a [u8],
    expected: &'static str,
}

/// Octets that violate the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} at offset {offset}")]
pub struct DecodeError {
    /// Offset in octets from the start of the decoded input.
    pub offset: usize,
    /// The element that the specification requires there.
    pub expected: &'static str,
}

impl<'a> ParseError<&'a [u8]> for Malformed<'a> {
    // Parsers here name the expected element themselves. nom's own kinds appear only for a bare
    // combinator.
    fn from_error_kind(at: &'a [u8], _: ErrorKind) -> Self {
        Self {
            at,
            expected: "well-formed octets",
        }
    }

    fn append(_: &'a [u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

/// The failure of a parser that stood `at` these octets and wanted `expected`.
pub fn fail<'a>(at: &'a [u8], expected: &'static str) -> nom::Err<Malformed<'a>> {
    nom::Err::Error(Malformed { at, expected })
}

/// Runs a parser over `input` and maps its failure to an offset. The rest of the input is returned
/// with the value.
pub fn located<'a, T>(
    input: &'a [u8],
    mut parser: impl FnMut(&'a [u8]) -> Parsed<'a, T>,
) -> Result<(&'a [u8], T), DecodeError> {
    parser(input).map_err(|error| match error {
        nom::Err::Error(m) | nom::Err::Failure(m) => DecodeError {
            offset: input.len().saturating_sub(m.at.len()),
            expected: m.expected,
        },
        nom::Err::Incomplete(_) => DecodeError {
            offset: input.len(),
            expected: "more octets",
        },
    })
}

/// One octet.
pub fn uint8(input: &[u8]) -> Parsed<'_, u8> {
    match input.split_first() {
        Some((&octet, rest)) => Ok((rest, octet)),
        None => Err(fail(input, "an octet")),
    }
}

/// Two octets, most significant first.
pub fn uint16(input: &[u8]) -> Parsed<'_, u16> {
    match input.split_first_chunk::<2>() {
        Some((octets, rest)) => Ok((rest, u16::from_be_bytes(*octets))),
        None => Err(fail(input, "two octets")),
    }
}

/// Exactly `count` octets.
pub fn octets<'a>(count: usize) -> impl FnMut(&'a [u8]) -> Parsed<'a, &'a [u8]> {
    move |input| match input.split_at_checked(count) {
        Some((taken, rest)) => Ok((rest, taken)),
        None => Err(fail(input, "as many octets as the length says")),
    }
}

/// An unsigned integer of one to five octets, seven bits each (WSP 8.1.2).
///
/// Leading octets `80` are accepted and have no value. More than 32 bits are an error.
pub fn uintvar(input: &[u8]) -> Parsed<'_, u32> {
    let mut value = 0u32;
    let mut rest = input;
    for _ in 0..5 {
        let (after, octet) = uint8(rest).map_err(|_| fail(input, "a uintvar"))?;
        if value >> 25 != 0 {
            return Err(fail(input, "a uintvar of at most 32 bits"));
        }
        value = value << 7 | u32::from(octet & 0x7F);
        rest = after;
        if octet & 0x80 == 0 {
            return Ok((rest, value));
        }
    }
    Err(fail(input, "a uintvar of at most five octets"))
}

/// Octets up to a NUL, which is consumed and not returned (the tail of WSP's Text-string, WBXML's
/// termstr).
pub fn terminated(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, text) = bytes::take_while(|octet| octet != 0).parse(input)?;
    match rest.split_first() {
        Some((_, rest)) => Ok((rest, text)),
        None => Err(fail(rest, "the NUL that ends a string")),
    }
}

/// Appends a uintvar in its shortest form (WSP 8.1.2).
pub fn put_uintvar(out: &mut Vec<u8>, value: u32) {
    let septet = |shift: u32| (value >> shift & 0x7F) as u8;
    for shift in [28, 21, 14, 7] {
        if value >> shift != 0 {
            out.push(septet(shift) | 0x80);
        }
    }
    out.push(septet(0));
}

/// Octets that [`put_uintvar`] appends for `value`.
#[must_use]
pub const fn uintvar_len(value: u32) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x001F_FFFF => 3,
        0x0020_0000..=0x0FFF_FFFF => 4,
        _ => 5,
    }
}

/// A length as a uintvar's value. Every length that a peer can send or a limit allows fits.
#[must_use]
pub fn uintvar_of(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Appends octets in base64 with padding (RFC 4648).
pub fn put_base64(out: &mut Vec<u8>, octets: &[u8]) {
    let start = out.len();
    out.resize(start + octets.len().div_ceil(3) * 4, 0);
    let place = out.get_mut(start..).unwrap_or_default();
    let written = STANDARD.encode_slice(octets, place);
    debug_assert_eq!(
        written,
        Ok(out.len() - start),
        "base64 needs four octets for three"
    );
}

/// The octets of base64 text; `None` unless the text equals the output of [`put_base64`] for them.
#[must_use]
pub fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The range of a part of some octets in them.
#[must_use]
pub fn within(whole: &[u8], part: &[u8]) -> Option<std::ops::Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}

/// Defines a newtype over the wire's number with a named constant per assigned value, so that an
/// unassigned value survives the round trip, and `name()` for logs.
macro_rules! assigned_numbers {
    (
        $(#[$meta:meta])*
        $vis:vis struct $Name:ident($Repr:ty) {
            $( $(#[$vmeta:meta])* $CONST:ident = $value:literal => $text:literal ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis struct $Name(pub $Repr);

        impl $Name {
            $( $(#[$vmeta])* pub const $CONST: Self = Self($value); )*

            /// The assigned name, or `None` for an unassigned number.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $( $value => Some($text), )*
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{:#04x}", self.0),
                }
            }
        }

        impl std::fmt::Debug for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    };
}
pub(crate) use assigned_numbers;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn uintvar_examples_of_wsp_8_1_2() {
        for (value, wire) in [
            (0u32, &[0x00][..]),
            (0x7F, &[0x7F]),
            (0x87A5, &[0x82, 0x8F, 0x25]),
            (u32::MAX, &[0x8F, 0xFF, 0xFF, 0xFF, 0x7F]),
        ] {
            let mut out = Vec::new();
            put_uintvar(&mut out, value);
            assert_eq!(out, wire);
            assert_eq!(uintvar(wire), Ok((&[][..], value)));
        }
    }

    #[test]
    fn uintvar_is_liberal_with_leading_zeros_and_strict_on_overflow() {
        assert_eq!(uintvar(&[0x80, 0x80, 0x05]), Ok((&[][..], 5)));
        let error = |wire| located(wire, uintvar).unwrap_err();
        assert_eq!(
            error(&[0x90, 0x80, 0x80, 0x80, 0x00]).expected,
            "a uintvar of at most 32 bits"
        );
        assert_eq!(
            error(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]).expected,
            "a uintvar of at most five octets"
        );
        assert_eq!(error(&[0x81]).expected, "a uintvar");
    }

    #[test]
    fn an_error_says_where() {
        let error = located(b"ab\0cd", |input| {
            let (rest, _) = terminated(input)?;
            terminated(rest)
        })
        .unwrap_err();
        assert_eq!(error.offset, 5);
        assert_eq!(
            error.to_string(),
            "expected the NUL that ends a string at offset 5"
        );
    }

    #[test]
    fn examples_of_rfc_4648_and_rfc_7617() {
        for (octets, text) in [
            (&b""[..], &b""[..]),
            (b"f", b"Zg=="),
            (b"fo", b"Zm8="),
            (b"foo", b"Zm9v"),
            (b"Aladdin:open sesame", b"QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ] {
            let mut out = Vec::new();
            put_base64(&mut out, octets);
            assert_eq!(out, text);
            assert_eq!(decode_base64(text).as_deref(), Some(octets));
        }
        for bad in [&b"Zg"[..], b"Zh==", b"====", b"Zm9v=", b"Z=9v", b"Zm9 "] {
            assert_eq!(decode_base64(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn octets_round_trip(octets: Vec<u8>) {
            let mut text = Vec::new();
            put_base64(&mut text, &octets);
            prop_assert_eq!(decode_base64(&text), Some(octets));
        }

        #[test]
        fn any_text_is_read_or_refused(text: Vec<u8>) {
            let _ = decode_base64(&text);
        }
    }
    proptest! {
        #[test]
        fn uintvar_round_trips(value: u32, tail: Vec<u8>) {
            let mut wire = Vec::new();
            put_uintvar(&mut wire, value);
            prop_assert_eq!(wire.len(), uintvar_len(value));
            wire.extend_from_slice(&tail);
            prop_assert_eq!(uintvar(&wire), Ok((&tail[..], value)));
        }
    }
}
