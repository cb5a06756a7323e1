//! Warnings of HTTP and of user agent profiles (WSP 8.4.2.51, 8.4.2.62).

use std::borrow::Cow;

use super::value::{Decoded, Value};
use super::wire::{self, ASSIGNED, Raw, text_string};
use super::{date, text};
use crate::codec::uint8;

/// Codes as a Short-integer and in HTTP. 199 and 299 share a number, of which we read the first.
const CODES: &[(u8, u64)] = &[
    (10, 110),
    (11, 111),
    (12, 112),
    (13, 113),
    (14, 214),
    (99, 199),
    (99, 299),
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

/// Reads Warning: `110 agent "text"`. A code that came alone gets the nobody that HTTP asks for.
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

/// Appends Warning; `None` if its code has no number or it is dated, for which there is no place.
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
            wire::put_long(out, date::parse(text::quoted(quoted)?)?);
        }
        Some(())
    })
}

type Code<'a> = Result<(u64, &'a [u8]), nom::Err<crate::codec::Malformed<'a>>>;

/// The code at the start, as HTTP has it, and what follows.
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
