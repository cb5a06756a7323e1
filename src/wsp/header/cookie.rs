//! Cookies (WSP 8.4.2.68, 8.4.2.69).

use std::borrow::Cow;

use super::parameter::{self, Scope};
use super::value::{Decoded, Value};
use super::version::{short_version, version_value};
use super::wire::{self, Raw, text_string};
use super::{EncodingVersion, text};
use crate::codec::{Malformed, Parsed, fail, octets, put_uintvar, uintvar, uintvar_of};

/// The version of a cookie without one: Netscape's, which all of today's cookies have.
const UNVERSIONED: &[u8] = b"0";

/// Reads Set-Cookie: `name=value; path=/`, with `version` if it is not zero.
pub(crate) fn decode_set(value: Value<'_>) -> Decoded<'_> {
    let Raw::Data(data) = value.raw else {
        return value.refuse("a cookie");
    };
    let mut version = Vec::new();
    let (rest, ()) = version_value(data, &mut version)?;
    let (rest, (name, content)) = name_and_value(rest)?;
    let mut out = Vec::with_capacity(2 * data.len());
    put_pair(&mut out, name, content);
    if !is_unversioned(&version) {
        out.extend_from_slice(b"; version=");
        text::put_plain(&mut out, &version);
    }
    parameter::parameters(rest, Scope::Cookie, &mut out)?;
    Ok(Cow::Owned(out))
}

/// Reads Cookie: `a=b; c=d`, with `$Version`, `$Path` and `$Domain` where they are (RFC 2109).
pub(crate) fn decode(value: Value<'_>) -> Decoded<'_> {
    let Raw::Data(data) = value.raw else {
        return value.refuse("cookies");
    };
    let mut version = Vec::new();
    let (mut rest, ()) = version_value(data, &mut version)?;
    let mut out = Vec::with_capacity(2 * data.len());
    if !is_unversioned(&version) {
        put_attribute(&mut out, b"$Version", &version);
    }
    while !rest.is_empty() {
        let (after, len) = uintvar(rest)?;
        let (after, cookie) = octets(usize::try_from(len).unwrap_or(usize::MAX))(after)?;
        rest = after;
        one(cookie, &mut out)?;
    }
    Ok(Cow::Owned(out))
}

fn one<'a>(cookie: &'a [u8], out: &mut Vec<u8>) -> Result<(), nom::Err<Malformed<'a>>> {
    let (rest, (name, content)) = name_and_value(cookie)?;
    if !out.is_empty() {
        out.extend_from_slice(b"; ");
    }
    put_pair(out, name, content);
    for attribute in [&b"$Path"[..], b"$Domain"] {
        let rest = attribute_text(rest, attribute == b"$Domain")?;
        if let Some(text) = rest.filter(|text| !text.is_empty()) {
            put_attribute(out, attribute, text);
        }
    }
    Ok(())
}

/// The path, which comes first, or the domain, which comes after it.
fn attribute_text(input: &[u8], second: bool) -> Result<Option<&[u8]>, nom::Err<Malformed<'_>>> {
    let mut input = input;
    for place in 0..2 {
        if input.is_empty() {
            return Ok(None);
        }
        let (rest, text) = text_string(input)?;
        if (place == 1) == second {
            return Ok(Some(text));
        }
        input = rest;
    }
    Ok(None)
}

fn name_and_value(input: &[u8]) -> Parsed<'_, (&[u8], &[u8])> {
    let (rest, name) = text_string(input)?;
    if !wire::is_token(name) {
        return Err(fail(input, "a cookie's name"));
    }
    let (rest, content) = text_string(rest)?;
    Ok((rest, (name, content)))
}

/// A value is quoted where it could end early and start another cookie.
fn put_pair(out: &mut Vec<u8>, name: &[u8], content: &[u8]) {
    out.extend_from_slice(name);
    out.push(b'=');
    let breaks = content.iter().any(|octet| matches!(octet, b';' | b','));
    if breaks && text::quoted(content).is_none() {
        text::put_quoted(out, content);
    } else {
        out.extend_from_slice(content);
    }
}

fn put_attribute(out: &mut Vec<u8>, name: &[u8], content: &[u8]) {
    if !out.is_empty() {
        out.extend_from_slice(b"; ");
    }
    out.extend_from_slice(name);
    out.push(b'=');
    match text::quoted(content) {
        Some(_) => out.extend_from_slice(content),
        None => text::put_quoted(out, content),
    }
}

fn is_unversioned(version: &[u8]) -> bool {
    // Some write major zero into the octet, though the encoding has no place for it.
    matches!(version, b"" | b"0" | b"0.0")
}

/// Appends Set-Cookie; `None` if an attribute would not survive the encoding, such as a date with
/// its commas.
pub(crate) fn put_set(out: &mut Vec<u8>, version: EncodingVersion, value: &[u8]) -> Option<()> {
    let mut parts = text::split(value, b';', false);
    let (name, content) = text::parameter(parts.next()?);
    let attributes: Vec<_> = parts.map(text::parameter).collect();
    let is_version = |name: &[u8]| name.eq_ignore_ascii_case(b"version");
    let stated = attributes.iter().find(|(name, _)| is_version(name));
    let stated = stated.map_or(Some(UNVERSIONED), |(_, version)| *version)?;
    wire::put_with_length(out, |out| {
        put_version(out, &text::unquoted(stated));
        put_cookie(out, name, content?)?;
        for (name, content) in attributes.iter().filter(|(name, _)| !is_version(name)) {
            let survives = content.is_none_or(|content| {
                is_attribute(name) || wire::is_token(content) || text::quoted(content).is_some()
            });
            survives.then_some(())?;
            parameter::put(out, version, Scope::Cookie, name, *content)?;
        }
        Some(())
    })
}

/// Attributes whose values the decoder returns without quotes.
fn is_attribute(name: &[u8]) -> bool {
    ["path", "domain"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Appends Cookie; `None` if the value is no list of cookies.
pub(crate) fn put(out: &mut Vec<u8>, value: &[u8]) -> Option<()> {
    let mut parts = text::split(value, b';', false)
        .map(text::parameter)
        .peekable();
    let version = parts.next_if(|(name, _)| name.eq_ignore_ascii_case(b"$version"));
    wire::put_with_length(out, |out| {
        match version {
            Some((_, version)) => put_version(out, &text::unquoted(version?)),
            None => put_version(out, UNVERSIONED),
        }
        while let Some((name, content)) = parts.next() {
            let path = parts.next_if(|(name, _)| name.eq_ignore_ascii_case(b"$path"));
            let domain = parts.next_if(|(name, _)| name.eq_ignore_ascii_case(b"$domain"));
            let mut cookie = Vec::new();
            put_cookie(&mut cookie, name, content?)?;
            let unquoted = |attribute: Option<(_, Option<&[u8]>)>| match attribute {
                Some((_, text)) => text::unquoted(text.unwrap_or_default()),
                None => Vec::new(),
            };
            if path.is_some() || domain.is_some() {
                wire::put_text(&mut cookie, &unquoted(path));
            }
            if domain.is_some() {
                wire::put_text(&mut cookie, &unquoted(domain));
            }
            put_uintvar(out, uintvar_of(cookie.len()));
            out.extend_from_slice(&cookie);
        }
        Some(())
    })
}

fn put_cookie(out: &mut Vec<u8>, name: &[u8], content: &[u8]) -> Option<()> {
    // A `$` begins an attribute, and one that stands in the wrong place is no cookie.
    (wire::is_token(name) && !name.starts_with(b"$")).then_some(())?;
    wire::put_terminated(out, name);
    wire::put_text(out, content);
    Some(())
}

fn put_version(out: &mut Vec<u8>, version: &[u8]) {
    match short_version(version) {
        Some(octet) => out.push(octet),
        None => wire::put_text(out, version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &[u8], decode: impl for<'a> Fn(Value<'a>) -> Decoded<'a>) -> String {
        let (_, raw) = wire::raw(wire).unwrap();
        let text = decode(Value { raw, whole: wire }).unwrap();
        String::from_utf8(text.into_owned()).unwrap()
    }

    #[test]
    fn cookies_go_both_ways() {
        for (text, wire) in [
            ("a=b", &b"\x070\0\x04a\0b\0"[..]),
            ("a=b; c=\"d;e\"", b"\x100\0\x04a\0b\0\x08c\0\"d;e\"\0"),
            (
                "$Version=\"1\"; a=b; $Path=\"/x\"; $Domain=\"y\"; c=d; $Domain=\"z\"",
                b"\x13\x9F\x09a\0b\0/x\0y\0\x07c\0d\0\0z\0",
            ),
        ] {
            let mut out = Vec::new();
            put(&mut out, text.as_bytes()).unwrap();
            assert_eq!(out, wire, "{text}");
            assert_eq!(read(wire, decode), text);
        }
        assert_eq!(put(&mut Vec::new(), b"$Path=/; a=b"), None);
        assert_eq!(put(&mut Vec::new(), b"novalue"), None);
    }

    #[test]
    fn set_cookie_goes_both_ways() {
        for (version, text, wire) in [
            (
                EncodingVersion::V1_3,
                "a=b; path=/; secure; max-age=60",
                &b"\x0D0\0a\0b\0\x8F/\0\x90\0\x8E\xBC"[..],
            ),
            (
                EncodingVersion::V1_4,
                "a=b; version=1; domain=.x.example; path=/",
                b"\x16\x9Fa\0b\0\x9C\".x.example\0\x9D\"/\0",
            ),
            (
                EncodingVersion::V1_3,
                "a=b; httponly",
                b"\x100\0a\0b\0httponly\0\0",
            ),
        ] {
            let mut out = Vec::new();
            put_set(&mut out, version, text.as_bytes()).unwrap();
            if !text.contains("domain") {
                assert_eq!(out, wire, "{text}");
            }
            assert_eq!(read(&out, decode_set), text);
        }
        // An odd version is quoted in text and bare on the wire.
        let mut out = Vec::new();
        put_set(&mut out, EncodingVersion::V1_3, b"a=b; version=\"=\"").unwrap();
        assert_eq!(out, b"\x06=\0a\0b\0");
        let expires = b"a=b; expires=Wed, 09 Jun 2021 10:18:14 GMT";
        assert_eq!(
            put_set(&mut Vec::new(), EncodingVersion::V1_4, expires),
            None
        );
    }

    #[test]
    fn a_cookie_cannot_smuggle_in_another() {
        assert_eq!(read(b"\x0B0\0\x08a\0b;c=d\0", decode), "a=\"b;c=d\"");
    }
}
