//! Warnings of HTTP and of user agent profiles (WSP 8.4.2.51, 8.4.2.62).

use std::borrow::Cow;

use super::value::{Decoded, Value};
use super::wire::{self, ASSIGNED, Raw, text_string};
use super::{date, text};
use crate::codec::uint8;

/// Codes as a Short-integer and in HTTP. 199 and 299 share a number, which means 199 here; 299 goes
/// as text.
const CODES: &[(u8, u64)] = &[
    (10, 110),
    (11, 111),
    (12, 112),
    (13, 113),
    (14, 214),
    (99, 199),
];
const PROFILE_CODES: &[(u8, u64)] = &[
    (0x10, 100),
    (0x11, 101),
    (0x12, 102),
    (0x20, 200),
    (0x21, 201),
    (0x22, 202),
    (0x23, 203),
];

/// Decodes Warning: `110 agent "text"`. A code without an agent gets the agent `-`, which HTTP
/// requires.
pub(crate) fn decode(value: Value<'_>) -> Decoded<'_> {
    let (code, rest) = code(value, CODES)?;
    let mut out = Vec::new();
    text::put_decimal(&mut out, code);
    if rest.is_empty() {
        out.extend_from_slice(b" - \"\"");
        return Ok(Cow::Owned(out));
    }
    let (rest, agent) = text_string(rest)?;
    let (_, words) = text_string(rest)?;
    out.push(b' ');
    out.extend_from_slice(if agent.is_empty() { b"-" } else { agent });
    out.push(b' ');
    match text::quoted(words) {
        Some(_) => out.extend_from_slice(words),
        None => text::put_quoted(&mut out, words),
    }
    Ok(Cow::Owned(out))
}

/// Appends Warning; `None` if its code has no number, or if it has a date, which the form cannot
/// hold.
pub(crate) fn put(out: &mut Vec<u8>, value: &[u8]) -> Option<()> {
    let (code, rest) = text::cut(value, b' ');
    let code = short(CODES, code)?;
    let (agent, words) = text::cut(rest?, b' ');
    let words = words.unwrap_or_default();
    text::quoted(words)?;
    if agent == b"-" && words == b"\"\"" {
        wire::put_short(out, code);
        return Some(());
    }
    wire::put_with_length(out, |out| {
        wire::put_short(out, code);
        wire::put_text(out, agent);
        wire::put_text(out, words);
    });
    Some(())
}

/// Reads Profile-Warning: `102 target "date"`.
pub(crate) fn decode_profile(value: Value<'_>) -> Decoded<'_> {
    let (code, rest) = code(value, PROFILE_CODES)?;
    let mut out = Vec::new();
    text::put_decimal(&mut out, code);
    if rest.is_empty() {
        return Ok(Cow::Owned(out));
    }
    let (mut rest, target) = text_string(rest)?;
    out.push(b' ');
    out.extend_from_slice(target);
    while !rest.is_empty() {
        let (after, seconds) = wire::integer(rest)?;
        let Some(date) = date::text(seconds) else {
            return value.refuse("a date");
        };
        out.push(b' ');
        text::put_quoted(&mut out, date.as_bytes());
        rest = after;
    }
    Ok(Cow::Owned(out))
}

/// Appends Profile-Warning.
pub(crate) fn put_profile(out: &mut Vec<u8>, value: &[u8]) -> Option<()> {
    let mut parts = text::split(value, b' ', false);
    let code = short(PROFILE_CODES, parts.next()?)?;
    let Some(target) = parts.next() else {
        wire::put_short(out, code);
        return Some(());
    };
    wire::put_with_length(out, |out| {
        wire::put_short(out, code);
        wire::put_text(out, target);
        for quoted in parts {
            wire::put_long(out, date::on_wire(text::quoted(quoted)?)?);
        }
        Some(())
    })
}

type Code<'a> = Result<(u64, &'a [u8]), nom::Err<crate::codec::Malformed<'a>>>;

/// The code at the start in HTTP's notation, and the rest.
fn code<'a>(value: Value<'a>, codes: &[(u8, u64)]) -> Code<'a> {
    let (number, rest): (u8, &[u8]) = match value.raw {
        Raw::Short(number) => (number, &[]),
        Raw::Data(data) => {
            let (rest, octet) = uint8(data)?;
            (octet & 0x7F, rest)
        }
        Raw::Text(_) => return value.refuse("a warning code"),
    };
    match codes.iter().find(|(known, _)| *known == number) {
        Some((_, code)) => Ok((*code, rest)),
        None => value.refuse(ASSIGNED),
    }
}

fn short(codes: &[(u8, u64)], code: &[u8]) -> Option<u8> {
    let code = text::decimal(code)?;
    let found = codes.iter().find(|(_, known)| *known == code);
    found.map(|(short, _)| *short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wsp::header::tests::read_value as read;

    #[test]
    fn a_warning_of_http_needs_an_agent_and_a_text() {
        assert_eq!(read(b"\x8B", decode).as_deref(), Some("111 - \"\""));
        assert_eq!(read(b"\x05\x8B\0a b", decode), None, "the text has no end");
        assert_eq!(
            read(b"\x06\x8B\0a b\0", decode).as_deref(),
            Some("111 - \"a b\"")
        );
        assert_eq!(read(b"\x80", decode), None);
    }

    #[test]
    fn what_has_no_place_goes_as_text() {
        let put = |value: &str| put(&mut Vec::new(), value.as_bytes());
        assert_eq!(put("113 a \"b\""), Some(()));
        assert_eq!(put("113 a \"b\" \"Thu, 23 Apr 1998 13:41:37 GMT\""), None);
        assert_eq!(put("113 a b"), None);
        assert_eq!(put("117 a \"b\""), None);
        assert_eq!(put("299 a \"b\""), None);
        assert_eq!(put("110"), None);
    }

    #[test]
    fn a_profile_warning_may_have_several_dates() {
        let wire = b"\x08\x91a\0\x01\x05\x02\x01\x00";
        let text = read(wire, decode_profile).unwrap();
        assert_eq!(
            text,
            "101 a \"Thu, 01 Jan 1970 00:00:05 GMT\" \"Thu, 01 Jan 1970 00:04:16 GMT\""
        );
        let mut out = Vec::new();
        put_profile(&mut out, text.as_bytes()).unwrap();
        assert_eq!(out, wire);
        assert_eq!(read(b"\xFF", decode_profile), None);
    }
}
