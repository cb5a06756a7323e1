//! Media types with their parameters, as Content-Type and Accept have them (WSP 8.4.2.24).
//!
//! Both fields share one form: a number or a text, alone or with parameters behind a
//! length.

use std::borrow::Cow;

use super::media_types::{name, registered_number, short_number};
use super::parameter::{self, Scope};
use super::wire::{self, Raw, text_string};
use super::{EncodingVersion, text};
use crate::codec::{Malformed, Parsed, fail};

/// The type of a body with an unassigned number.
const UNKNOWN: &str = "application/octet-stream";

/// A media type or disposition that came as text. A parameter without a value gets an empty one:
/// HTTP has no other (RFC 9110 5.6.6).
pub(crate) fn from_text(text: &[u8]) -> Cow<'_, [u8]> {
    let (media, parameters) = text::cut(text, b';');
    let parts = || text::split(parameters.unwrap_or_default(), b';', false);
    let is_bare = |part: &[u8]| wire::is_token(part);
    if !parts().any(is_bare) {
        return Cow::Borrowed(text);
    }
    let mut out = media.to_vec();
    for part in parts() {
        out.extend_from_slice(b"; ");
        out.extend_from_slice(part);
        if is_bare(part) {
            out.extend_from_slice(b"=\"\"");
        }
    }
    Cow::Owned(out)
}

/// Reads a content type at the start of a block (WSP 8.4.2.24).
pub(crate) fn content_type(block: &[u8]) -> Parsed<'_, Cow<'_, [u8]>> {
    let (rest, raw) = wire::raw(block)?;
    let unknown = |name: Option<&'static str>| Cow::Borrowed(name.unwrap_or(UNKNOWN).as_bytes());
    match raw {
        Raw::Short(number) => Ok((rest, unknown(name(u64::from(number))))),
        Raw::Text(media) => Ok((rest, from_text(media))),
        Raw::Data([]) => Ok((rest, Cow::Borrowed(b""))),
        Raw::Data(data) => match general_form(data) {
            Ok((number, None)) => Ok((rest, unknown(number))),
            Ok((_, Some(mut text))) => {
                if text.starts_with(b";") {
                    text.splice(0..0, UNKNOWN.bytes());
                }
                Ok((rest, Cow::Owned(text)))
            }
            Err(error) => match bare_number(data) {
                Some(number) => Ok((rest, unknown(name(number)))),
                None => Err(error),
            },
        },
    }
}

/// Decodes an Accept value (WSP 8.4.2.7): a media range with an assigned number.
pub(crate) fn accept<'a>(
    raw: Raw<'a>,
    whole: &'a [u8],
) -> Result<Cow<'a, [u8]>, nom::Err<Malformed<'a>>> {
    let assigned = |number| match name(number) {
        Some(name) => Ok(Cow::Borrowed(name.as_bytes())),
        None => Err(fail(whole, wire::ASSIGNED)),
    };
    match raw {
        Raw::Short(number) => assigned(u64::from(number)),
        Raw::Text(media) => Ok(from_text(media)),
        Raw::Data([]) => Ok(Cow::Borrowed(b"")),
        Raw::Data(data) => match general_form(data) {
            Ok((Some(name), None)) => Ok(Cow::Borrowed(name.as_bytes())),
            Ok((None, None)) => Err(fail(whole, wire::ASSIGNED)),
            Ok((_, Some(text))) if !text.starts_with(b";") => Ok(Cow::Owned(text)),
            Ok(_) => Err(fail(whole, wire::ASSIGNED)),
            Err(error) => bare_number(data).map_or(Err(error), assigned),
        },
    }
}

/// A media type and parameters. The text is only made when there is something to add to the name.
type General = (Option<&'static str>, Option<Vec<u8>>);

fn general_form(data: &[u8]) -> Result<General, nom::Err<Malformed<'_>>> {
    let (parameters, known, media) = if wire::is_text(data) {
        let (rest, media) = text_string(data)?;
        (rest, None, media)
    } else {
        let (rest, number) = wire::integer(data)?;
        let known = name(number);
        (rest, known, known.unwrap_or_default().as_bytes())
    };
    if parameters.is_empty() && (known.is_some() || media.is_empty()) {
        return Ok((known, None));
    }
    let mut text = Vec::with_capacity(media.len() + 2 * parameters.len());
    text.extend_from_slice(media);
    parameter::parameters(parameters, Scope::of_media(media), &mut text)?;
    Ok((known, Some(text)))
}

/// A Long-integer without a length of its own around it, as some handsets send (`02 03 02`, `01
/// 42`).
fn bare_number(data: &[u8]) -> Option<u64> {
    (data.len() <= 2).then(|| wire::big_endian(data))?
}

/// Appends a content type. Registered types become text unless `registered` says that the peer
/// knows their numbers.
pub(crate) fn put_content_type(
    out: &mut Vec<u8>,
    version: EncodingVersion,
    registered: bool,
    value: &[u8],
) {
    let start = out.len();
    if put_media(out, version, registered, value, false).is_none() {
        // One parameter is malformed: the whole value is sent as text, which the peer may still
        // understand.
        out.truncate(start);
        wire::put_text(out, text::trim(value));
    }
}

/// Appends an Accept value; `None` if the text is not one.
pub(crate) fn put_accept(
    out: &mut Vec<u8>,
    version: EncodingVersion,
    registered: bool,
    value: &[u8],
) -> Option<()> {
    put_media(out, version, registered, value, true)
}

fn put_media(
    out: &mut Vec<u8>,
    version: EncodingVersion,
    registered: bool,
    value: &[u8],
    accept: bool,
) -> Option<()> {
    let (media, parameters) = text::cut(value, b';');
    let media = match media {
        b"" if accept => return None,
        b"" => b"*/*",
        media => media,
    };
    let number = match short_number(version, media) {
        Some(short) => Some(u64::from(short)),
        None if registered => registered_number(media).map(u64::from),
        None => None,
    };
    let parameters = parameters.unwrap_or_default();
    if parameters.is_empty() || accept && is_default_q(parameters) {
        match number {
            Some(short @ 0..=0x7F) => wire::put_integer(out, short),
            Some(long) => wire::put_with_length(out, |out| wire::put_long(out, long)),
            None => wire::put_text(out, media),
        }
        return Some(());
    }
    let scope = Scope::of_media(media);
    wire::put_with_length(out, |out| {
        match number {
            Some(number) => wire::put_integer(out, number),
            None => wire::put_text(out, media),
        }
        for part in text::split(parameters, b';', false) {
            let (name, value) = text::parameter(part);
            if accept && name.eq_ignore_ascii_case(b"q") {
                let factor = text::q(value?)?;
                if factor < 1000 {
                    wire::put_short(out, 0);
                    wire::put_q(out, factor);
                }
            } else {
                parameter::put(out, version, scope, name, value)?;
            }
        }
        Some(())
    })
}

fn is_default_q(part: &[u8]) -> bool {
    let (name, value) = text::parameter(part);
    name.eq_ignore_ascii_case(b"q") && value.and_then(text::q) == Some(1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wsp::header::media_types::MEDIA;

    fn decoded(wire: &[u8]) -> String {
        let (rest, value) = content_type(wire).unwrap();
        assert!(rest.is_empty());
        String::from_utf8(value.into_owned()).unwrap()
    }

    fn encoded(version: EncodingVersion, value: &str) -> Vec<u8> {
        let mut out = Vec::new();
        put_content_type(&mut out, version, false, value.as_bytes());
        out
    }

    #[test]
    fn a_parameter_without_a_value_is_no_invalid_http() {
        for (wire, text) in [
            (&b"text/plain; foo\0"[..], "text/plain; foo=\"\""),
            (
                b"text/plain;foo;charset=utf-8\0",
                "text/plain; foo=\"\"; charset=utf-8",
            ),
            (b"\x06\x83foo\0\0", "text/plain; foo=\"\""),
            (b"\x05\x83\x81\x02\x27\x0F", "text/plain"),
        ] {
            assert_eq!(decoded(wire), text);
        }
    }

    #[test]
    fn every_media_type_goes_both_ways() {
        for row in MEDIA.rows() {
            let number = u64::from(row.number);
            let mut wire = Vec::new();
            if row.number < 0x80 {
                wire::put_integer(&mut wire, number);
            } else {
                wire::put_with_length(&mut wire, |out| wire::put_long(out, number));
            }
            assert_eq!(decoded(&wire), row.name);
            // One name has a parameter, so that no media type equals it.
            if !row.name.contains(';') {
                let mut out = Vec::new();
                put_content_type(&mut out, EncodingVersion::NEVER, true, row.name.as_bytes());
                assert_eq!(out, wire, "{}", row.name);
            }
        }
    }

    #[test]
    fn syncml_is_read_in_all_its_forms_and_sent_as_text() {
        for wire in [
            &b"application/vnd.syncml+wbxml\0"[..],
            b"\x03\x02\x03\x03",
            b"\x02\x03\x03",
        ] {
            assert_eq!(decoded(wire), "application/vnd.syncml+wbxml");
        }
        assert_eq!(
            encoded(EncodingVersion::V1_5, "application/vnd.syncml+xml"),
            b"application/vnd.syncml+xml\0"
        );
        let dm = "application/vnd.syncml.dm+wbxml";
        assert_eq!(decoded(b"\xC2"), dm);
        assert_eq!(decoded(b"\x01\x42"), dm);
        assert_eq!(decoded(b"\x02\x01\x42"), dm);
        assert_eq!(encoded(EncodingVersion::V1_5, dm), b"\xC2");
        assert_eq!(
            encoded(EncodingVersion::V1_2, dm),
            b"application/vnd.syncml.dm+wbxml\0"
        );
    }

    #[test]
    fn parameters_need_the_general_form() {
        let text = "text/plain; charset=utf-8";
        assert_eq!(encoded(EncodingVersion::V1_2, text), b"\x03\x83\x81\xEA");
        assert_eq!(decoded(b"\x03\x83\x81\xEA"), text);
        let own = "application/x-mine; a=b";
        assert_eq!(
            encoded(EncodingVersion::V1_2, own),
            b"\x17application/x-mine\0a\0b\0"
        );
        assert_eq!(decoded(b"\x17application/x-mine\0a\0b\0"), own);
    }

    #[test]
    fn unassigned_types_become_octet_stream() {
        assert_eq!(decoded(b"\xFE"), "application/octet-stream");
        assert_eq!(decoded(b"\x03\x02\x7F\x7F"), "application/octet-stream");
        assert_eq!(decoded(b"\x00"), "");
    }

    #[test]
    fn an_odd_content_type_goes_as_it_stands() {
        assert_eq!(
            encoded(EncodingVersion::V1_2, "text/plain; ?=1"),
            b"text/plain; ?=1\0"
        );
        assert_eq!(encoded(EncodingVersion::V1_2, ""), b"\x80");
    }
}
