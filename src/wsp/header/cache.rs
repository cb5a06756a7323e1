//! Cache directives (WSP 8.4.2.15).

use std::borrow::Cow;

use super::value::{Decoded, Value, number_of, put_token, token};
use super::wire::{self, ASSIGNED, Raw, text_string};
use super::{EncodingVersion, parameter, table, text};
use crate::codec::uint8;

const DIRECTIVES: &[(u8, &str)] = &[
    (0, "no-cache"),
    (1, "no-store"),
    (2, "max-age"),
    (3, "max-stale"),
    (4, "min-fresh"),
    (5, "only-if-cached"),
    (6, "public"),
    (7, "private"),
    (8, "no-transform"),
    (9, "must-revalidate"),
    (10, "proxy-revalidate"),
    (11, "s-maxage"),
];
const NO_CACHE: u8 = 0;
const MAX_AGE: u8 = 2;
const MAX_STALE: u8 = 3;
const MIN_FRESH: u8 = 4;
const PRIVATE: u8 = 7;
const S_MAXAGE: u8 = 11;

/// Reads one directive.
pub(crate) fn decode(value: Value<'_>) -> Decoded<'_> {
    let Raw::Data(data) = value.raw else {
        return value.named(|number| token(DIRECTIVES, number));
    };
    let mut out = Vec::with_capacity(2 * data.len());
    if wire::is_text(data) {
        parameter::parameter(data, parameter::Scope::Plain, &mut out)?;
        return Ok(Cow::Owned(out));
    }
    let (mut rest, octet) = uint8(data)?;
    let Some(directive) = token(DIRECTIVES, u64::from(octet).wrapping_sub(0x80)) else {
        return value.refuse(ASSIGNED);
    };
    out.extend_from_slice(directive.as_bytes());
    match octet & 0x7F {
        _ if rest.is_empty() => {}
        NO_CACHE | PRIVATE => {
            let mut separator: &[u8] = b"=\"";
            while !rest.is_empty() {
                out.extend_from_slice(separator);
                separator = b", ";
                if wire::is_text(rest) {
                    let (after, name) = text_string(rest)?;
                    text::put_escaped(&mut out, name);
                    rest = after;
                } else {
                    let (after, number) = wire::integer(rest)?;
                    let Some(name) = table::name(number) else {
                        return value.refuse(ASSIGNED);
                    };
                    out.extend_from_slice(name.as_bytes());
                    rest = after;
                }
            }
            out.push(b'"');
        }
        _ => {
            let (_, seconds) = wire::integer(rest)?;
            out.push(b'=');
            text::put_decimal(&mut out, seconds);
        }
    }
    Ok(Cow::Owned(out))
}

/// Appends one directive; `None` if it must have a value and has none, or the reverse.
pub(crate) fn put(out: &mut Vec<u8>, version: EncodingVersion, value: &[u8]) -> Option<()> {
    let (name, content) = text::parameter(value);
    // s-maxage came with 1.3, and so did the field number that knows it.
    let known = number_of(DIRECTIVES, name)
        .filter(|directive| *directive != S_MAXAGE || version.knows(EncodingVersion::V1_3));
    match (known, content) {
        (Some(MAX_AGE | MIN_FRESH | S_MAXAGE), None) => None,
        (Some(directive), None) => {
            wire::put_short(out, directive);
            Some(())
        }
        (Some(directive @ (MAX_AGE | MAX_STALE | MIN_FRESH | S_MAXAGE)), Some(seconds)) => {
            let seconds = text::decimal(&text::unquoted(seconds))?;
            wire::put_with_length(out, |out| {
                wire::put_short(out, directive);
                wire::put_integer(out, seconds);
            });
            Some(())
        }
        (Some(directive @ (NO_CACHE | PRIVATE)), Some(names)) => {
            // Without a name it would read as the directive for everything.
            text::split(&text::unquoted(names), b',', false).next()?;
            wire::put_with_length(out, |out| {
                wire::put_short(out, directive);
                for name in text::split(&text::unquoted(names), b',', false) {
                    match table::code(version, name) {
                        Some(code) => wire::put_short(out, code),
                        None => put_token(out, name)?,
                    }
                }
                Some(())
            })
        }
        (Some(_), Some(_)) => None,
        (None, None) => put_token(out, name),
        (None, Some(_)) => wire::put_with_length(out, |out| {
            parameter::put(out, version, parameter::Scope::Auth, name, content)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wsp::header::tests::read_value as read;

    #[test]
    fn a_directive_needs_what_its_rule_says() {
        let put = |value: &str| put(&mut Vec::new(), EncodingVersion::V1_4, value.as_bytes());
        assert_eq!(put("max-age"), None);
        assert_eq!(put("max-age=soon"), None);
        assert_eq!(put("no-store=1"), None);
        assert_eq!(put("private=\"\""), None);
        assert_eq!(put("private=\"a b\""), None);
        assert_eq!(put("max-age=\"5\""), Some(()));
    }

    #[test]
    fn older_readers_get_a_newer_directive_as_an_extension() {
        let mut out = Vec::new();
        put(&mut out, EncodingVersion::V1_2, b"s-maxage=5").unwrap();
        assert_eq!(out, b"\x0As-maxage\0\x85");
        assert_eq!(read(&out, decode).as_deref(), Some("s-maxage=5"));
    }

    #[test]
    fn a_directive_without_its_value_is_read_bare() {
        assert_eq!(read(b"\x01\x82", decode).as_deref(), Some("max-age"));
        assert_eq!(read(b"\x8C", decode), None);
        assert_eq!(read(b"\x02\x80\xFF", decode), None);
    }
}
