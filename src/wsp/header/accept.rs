//! Character sets, content codings and languages that a client accepts, with quality factors (WSP
//! 8.4.2.8 to 8.4.2.10, 8.4.2.64).
//!
//! The fields share one form: a number or token alone, or with a quality factor behind a length.

use std::borrow::Cow;

use super::value::{Decoded, Value, number_of, put_token, token};
use super::wire::{self, ASSIGNED, Raw};
use super::{charset, language, text};
use crate::codec::Malformed;

const CODINGS: &[(u8, &str)] = &[(0, "gzip"), (1, "compress"), (2, "deflate"), (3, "*")];
const TRANSFER_CODINGS: &[(u8, &str)] = &[
    (1, "trailers"),
    (2, "chunked"),
    (3, "identity"),
    (4, "gzip"),
    (5, "compress"),
    (6, "deflate"),
];

/// Reads an Accept-Charset value.
pub(crate) fn charset(value: Value<'_>) -> Decoded<'_> {
    weighted(value, charset::name)
}

/// Reads an Accept-Language value.
pub(crate) fn language(value: Value<'_>) -> Decoded<'_> {
    weighted(value, language::name)
}

/// Reads an Accept-Encoding value.
pub(crate) fn encoding(value: Value<'_>) -> Decoded<'_> {
    weighted(value, |number| token(CODINGS, number))
}

/// Decodes a TE value, whose quality factor has a token before it.
pub(crate) fn te(value: Value<'_>) -> Decoded<'_> {
    let name = |number| token(TRANSFER_CODINGS, number);
    let Raw::Data(data) = value.raw else {
        return value.named(name);
    };
    let (rest, coding) = element(value, data, name)?;
    with_q(coding, rest.strip_prefix(&[0x80]).unwrap_or(rest))
}

fn weighted<'a>(value: Value<'a>, name: impl Fn(u64) -> Option<&'static str>) -> Decoded<'a> {
    let Raw::Data(data) = value.raw else {
        return value.named(name);
    };
    match element(value, data, &name) {
        Ok((rest, element)) => with_q(element, rest),
        // A Long-integer without a length of its own around it.
        Err(_) if data.len() <= 2 => value.named(name),
        Err(error) => Err(error),
    }
}

/// The text of an element, and the octets after it.
type Element<'a> = Result<(&'a [u8], &'a [u8]), nom::Err<Malformed<'a>>>;

fn element<'a>(
    value: Value<'a>,
    data: &'a [u8],
    name: impl Fn(u64) -> Option<&'static str>,
) -> Element<'a> {
    if wire::is_text(data) {
        return wire::text_string(data);
    }
    let (rest, number) = wire::integer(data)?;
    match name(number) {
        Some(name) => Ok((rest, name.as_bytes())),
        None => value.refuse(ASSIGNED),
    }
}

fn with_q<'a>(element: &'a [u8], rest: &'a [u8]) -> Decoded<'a> {
    if rest.is_empty() {
        return Ok(Cow::Borrowed(element));
    }
    let (_, factor) = wire::q_value(rest)?;
    let mut out = Vec::with_capacity(element.len() + 8);
    out.extend_from_slice(element);
    text::put_q(&mut out, factor);
    Ok(Cow::Owned(out))
}

/// Appends an Accept-Charset value.
pub(crate) fn put_charset(out: &mut Vec<u8>, value: &[u8]) -> Option<()> {
    let (name, factor) = factor(value)?;
    put_weighted(out, name, charset::number(name).map(u64::from), factor)
}

/// Appends an Accept-Language value.
pub(crate) fn put_language(out: &mut Vec<u8>, value: &[u8]) -> Option<()> {
    let (name, factor) = factor(value)?;
    put_weighted(out, name, language::number(name).map(u64::from), factor)
}

/// Appends an Accept-Encoding value. Any coding is only defined in the general form.
pub(crate) fn put_encoding(out: &mut Vec<u8>, value: &[u8]) -> Option<()> {
    let (name, factor) = factor(value)?;
    let number = number_of(CODINGS, name).map(u64::from);
    if name == b"*" && factor.is_none() {
        return wire::put_with_length(out, |out| put_element(out, name, number));
    }
    put_weighted(out, name, number, factor)
}

/// Appends a TE value. Trailers take no quality factor and stand alone.
pub(crate) fn put_te(out: &mut Vec<u8>, value: &[u8]) -> Option<()> {
    let (name, factor) = factor(value)?;
    let number = number_of(TRANSFER_CODINGS, name);
    if name.eq_ignore_ascii_case(b"trailers") {
        return number
            .filter(|_| factor.is_none())
            .map(|number| wire::put_short(out, number));
    }
    wire::put_with_length(out, |out| {
        put_element(out, name, number.map(u64::from))?;
        if let Some(factor) = factor {
            wire::put_short(out, 0);
            wire::put_q(out, factor);
        }
        Some(())
    })
}

/// `name;q=0.5`: the name, and the factor in thousandths. A factor of one is `None`.
fn factor(value: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let (name, parameter) = text::cut(value, b';');
    let Some(parameter) = parameter else {
        return Some((name, None));
    };
    match text::parameter(parameter) {
        ([b'q' | b'Q'], Some(factor)) => {
            let factor = text::q(factor)?;
            Some((name, Some(factor).filter(|factor| *factor < 1000)))
        }
        _ => None,
    }
}

fn put_weighted(
    out: &mut Vec<u8>,
    name: &[u8],
    number: Option<u64>,
    factor: Option<u16>,
) -> Option<()> {
    match (factor, number) {
        (None, Some(short @ 0..=0x7F)) => {
            wire::put_integer(out, short);
            Some(())
        }
        (None, None) => put_token(out, name),
        _ => wire::put_with_length(out, |out| {
            put_element(out, name, number)?;
            if let Some(factor) = factor {
                wire::put_q(out, factor);
            }
            Some(())
        }),
    }
}

fn put_element(out: &mut Vec<u8>, name: &[u8], number: Option<u64>) -> Option<()> {
    match number {
        Some(number) => {
            wire::put_integer(out, number);
            Some(())
        }
        None => put_token(out, name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wsp::header::tests::read_value as read;

    #[test]
    fn an_integer_without_a_length_around_it_is_read() {
        assert_eq!(
            read(b"\x02\x03\xE8", charset).as_deref(),
            Some("iso-10646-ucs-2")
        );
        assert_eq!(
            read(b"\x03\x02\x03\xE8", charset).as_deref(),
            Some("iso-10646-ucs-2")
        );
        // This one is a length and a Short-integer, not a Long-integer.
        assert_eq!(read(b"\x01\x8C", language).as_deref(), Some("bh"));
        assert_eq!(read(b"\x02\x01\x8C", language).as_deref(), Some("rm"));
    }

    #[test]
    fn unassigned_values_are_refused() {
        assert_eq!(read(b"\xFF", encoding), None);
        assert_eq!(read(b"\x02\xFF\x47", encoding), None);
        assert_eq!(read(b"\x02\x80\x00", encoding), None, "a factor of nothing");
        assert_eq!(read(b"\x80", te), None, "the token of the factor");
    }

    #[test]
    fn parameters_but_the_factor_do_not_fit() {
        let mut out = Vec::new();
        assert_eq!(put_language(&mut out, b"en;level=1"), None);
        assert_eq!(put_charset(&mut out, b"utf-8;q=2"), None);
        assert_eq!(put_te(&mut out, b"trailers;q=0.5"), None);
        assert_eq!(put_encoding(&mut out, b"a b"), None);
    }
}
