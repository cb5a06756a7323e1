//! The basic rules of header encoding: strings, integers, lengths (WSP 8.4.2.1 to 8.4.2.3).
//!
//! Readers are liberal where handsets are known to be sloppy; writers are strict.

use crate::codec::{Parsed, fail, octets, put_uintvar, terminated, uint8, uintvar, uintvar_of};

/// Marks text whose first octet is above 127.
pub(crate) const QUOTE: u8 = 0x7F;
/// Opens a Quoted-string, which has no closing mark.
pub(crate) const QUOTATION: u8 = b'"';
const LENGTH_QUOTE: u8 = 0x1F;
/// The element that an unassigned number violates.
pub(crate) const ASSIGNED: &str = "an assigned number";
/// The longest length that is a single octet.
const MAX_SHORT: u8 = 30;

/// A field's value as its first octet classifies it (WSP 8.4.1.2).
///
/// This is all one needs to know to skip a value, and the first step of reading one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Raw<'a> {
    /// One octet above 127, less its top bit.
    Short(u8),
    /// A string, without Quote and NUL.
    Text(&'a [u8]),
    /// Octets with a length. An empty string also appears as no octets.
    Data(&'a [u8]),
}

/// Any field's value.
pub(crate) fn raw(input: &[u8]) -> Parsed<'_, Raw<'_>> {
    let (_, first) = uint8(input).map_err(|_| fail(input, "a field's value"))?;
    match first {
        0x00..=LENGTH_QUOTE => {
            let (input, len) = value_length(input)?;
            let (input, data) = octets(len)(input)?;
            Ok((input, Raw::Data(data)))
        }
        0x20..=QUOTE => {
            let (input, text) = text_string(input)?;
            Ok((input, Raw::Text(text)))
        }
        0x80.. => {
            let (input, short) = uint8(input)?;
            Ok((input, Raw::Short(short & 0x7F)))
        }
    }
}

/// Value-length.
pub(crate) fn value_length(input: &[u8]) -> Parsed<'_, usize> {
    match uint8(input)? {
        (input, LENGTH_QUOTE) => {
            let (input, len) = uintvar(input)?;
            Ok((input, usize::try_from(len).unwrap_or(usize::MAX)))
        }
        (input, len @ 0..=MAX_SHORT) => Ok((input, usize::from(len))),
        _ => Err(fail(input, "a value length")),
    }
}

/// Text-string, Token-text or Extension-media. Quote is taken off even where it need not stand.
pub(crate) fn text_string(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (input, text) = terminated(input)?;
    Ok((input, text.strip_prefix(&[QUOTE]).unwrap_or(text)))
}

/// Integer-value: Short-integer or Long-integer.
pub(crate) fn integer(input: &[u8]) -> Parsed<'_, u64> {
    match uint8(input)? {
        (input, short @ 0x80..) => Ok((input, u64::from(short & 0x7F))),
        (rest, len @ 0..=MAX_SHORT) => {
            let (rest, number) = octets(usize::from(len))(rest)?;
            match big_endian(number) {
                Some(value) => Ok((rest, value)),
                None => Err(fail(input, "an integer of at most 64 bits")),
            }
        }
        _ => Err(fail(input, "an integer")),
    }
}

/// The value of a Multi-octet-integer; `None` above 64 bits.
pub(crate) fn big_endian(octets: &[u8]) -> Option<u64> {
    octets.iter().try_fold(0u64, |value, &octet| {
        (value >> 56 == 0).then_some(value << 8 | u64::from(octet))
    })
}

/// Whether the next value is a string rather than an integer (an octet of 32 to 127, or the NUL of
/// an empty string).
pub(crate) fn is_text(input: &[u8]) -> bool {
    matches!(input.first(), Some(0x20..=QUOTE))
}

/// The words of an HTTP token (RFC 2616 2.2).
pub(crate) const fn is_token_octet(octet: u8) -> bool {
    matches!(octet,
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z'
        | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// Whether these octets are one token.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().copied().all(is_token_octet)
}

/// Appends a Text-string. An octet that no WSP or HTTP text may hold (a control, above all NUL,
/// which would end the string early) becomes a space.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    if text.first().is_some_and(|&first| first >= QUOTE) {
        out.push(QUOTE);
    }
    put_terminated(out, text);
}

/// Appends a Quoted-string: the text between the quotation marks.
pub(crate) fn put_quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(QUOTATION);
    put_terminated(out, text);
}

/// Appends a string whose first octet needs no Quote.
pub(crate) fn put_terminated(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(
        text.iter()
            .map(|&octet| if is_forbidden(octet) { b' ' } else { octet }),
    );
    out.push(0);
}

/// Whether an octet may stand in no field value (RFC 9110 5.5).
pub(crate) const fn is_forbidden(octet: u8) -> bool {
    octet < 0x20 && octet != b'\t' || octet == 0x7F
}

/// Appends a Short-integer; the top bit of `value` is lost.
pub(crate) fn put_short(out: &mut Vec<u8>, value: u8) {
    out.push(value | 0x80);
}

/// Appends an Integer-value in its shortest form.
pub(crate) fn put_integer(out: &mut Vec<u8>, value: u64) {
    match u8::try_from(value) {
        Ok(short @ 0..=0x7F) => put_short(out, short),
        _ => put_long(out, value),
    }
}

/// Appends a Long-integer in the fewest octets, of which zero still takes one.
pub(crate) fn put_long(out: &mut Vec<u8>, value: u64) {
    let octets = value.to_be_bytes();
    let zeros = octets
        .iter()
        .take(7)
        .take_while(|&&octet| octet == 0)
        .count();
    let number = octets.get(zeros..).unwrap_or(&octets);
    out.extend(u8::try_from(number.len()));
    out.extend_from_slice(number);
}

/// Appends Value-length and then the octets that `write` appends.
pub(crate) fn put_with_length<T>(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let start = out.len();
    let value = write(out);
    let mut prefix = Vec::with_capacity(6);
    put_value_length(&mut prefix, out.len().saturating_sub(start));
    out.splice(start..start, prefix);
    value
}

fn put_value_length(out: &mut Vec<u8>, len: usize) {
    match u8::try_from(len) {
        Ok(short @ 0..=MAX_SHORT) => out.push(short),
        _ => {
            out.push(LENGTH_QUOTE);
            put_uintvar(out, uintvar_of(len));
        }
    }
}

/// Q-value, in thousandths.
pub(crate) fn q_value(input: &[u8]) -> Parsed<'_, u16> {
    let (rest, value) = uintvar(input)?;
    match u16::try_from(value) {
        Ok(value @ 1..=100) => Ok((rest, (value - 1) * 10)),
        Ok(value @ 101..=1099) => Ok((rest, value - 100)),
        _ => Err(fail(input, "a quality factor")),
    }
}

/// Appends a Q-value. A factor of one is the default and is never sent.
pub(crate) fn put_q(out: &mut Vec<u8>, thousandths: u16) {
    let thousandths = thousandths.min(999);
    let value = match thousandths % 10 {
        0 => thousandths / 10 + 1,
        _ => thousandths + 100,
    };
    put_uintvar(out, u32::from(value));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn put(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn quality_factors_of_8_4_2_3() {
        for (thousandths, wire) in [
            (100, &[0x0B][..]),
            (990, &[0x64]),
            (333, &[0x83, 0x31]),
            (0, &[0x01]),
            (700, &[0x47]),
            (999, &[0x88, 0x4B]),
        ] {
            assert_eq!(put(|out| put_q(out, thousandths)), wire);
            assert_eq!(q_value(wire), Ok((&[][..], thousandths)));
        }
        assert!(q_value(&[0x00]).is_err());
        assert!(q_value(&[0x88, 0x4C]).is_err());
    }

    #[test]
    fn integers_take_the_fewest_octets() {
        assert_eq!(put(|out| put_integer(out, 127)), [0xFF]);
        assert_eq!(put(|out| put_integer(out, 128)), [0x01, 0x80]);
        assert_eq!(put(|out| put_long(out, 0)), [0x01, 0x00]);
        // B.1.4
        assert_eq!(
            put(|out| put_long(out, 0x353F_4511)),
            [0x04, 0x35, 0x3F, 0x45, 0x11]
        );
    }

    #[test]
    fn the_first_octet_tells_how_far_a_value_goes() {
        assert_eq!(raw(b"\x94!"), Ok((&b"!"[..], Raw::Short(0x14))));
        assert_eq!(raw(b"abc\0!"), Ok((&b"!"[..], Raw::Text(b"abc"))));
        assert_eq!(raw(b"\x7F\xE4\0!"), Ok((&b"!"[..], Raw::Text(b"\xE4"))));
        assert_eq!(
            raw(b"\x02\x99\x47!"),
            Ok((&b"!"[..], Raw::Data(b"\x99\x47")))
        );
        assert_eq!(raw(b"\x1F\x01a!"), Ok((&b"!"[..], Raw::Data(b"a"))));
        assert_eq!(raw(b"\x00!"), Ok((&b"!"[..], Raw::Data(b""))));
        assert!(raw(b"").is_err());
        assert!(raw(b"abc").is_err());
        assert!(raw(b"\x1F\x8F\xFF\xFF\xFF\x7Fa").is_err());
    }

    #[test]
    fn text_that_wsp_cannot_carry_is_made_safe() {
        assert_eq!(put(|out| put_text(out, b"a\0b\r\nc")), b"a b  c\0");
        assert_eq!(put(|out| put_text(out, b"\xFFa")), b"\x7F\xFFa\0");
    }

    proptest! {
        #[test]
        fn integers_round_trip(value: u64) {
            let (short, long) = (put(|out| put_integer(out, value)), put(|out| put_long(out, value)));
            prop_assert_eq!(integer(&short), Ok((&[][..], value)));
            prop_assert_eq!(integer(&long), Ok((&[][..], value)));
        }

        #[test]
        fn lengths_round_trip(data: Vec<u8>) {
            let wire = put(|out| put_with_length(out, |out| out.extend_from_slice(&data)));
            prop_assert_eq!(raw(&wire), Ok((&[][..], Raw::Data(&data))));
        }
    }
}
