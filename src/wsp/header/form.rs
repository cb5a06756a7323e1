//! Values in their forms: [`decode`] turns a value into HTTP text, [`encode`] the other way.
//!
//! The simple forms are here. Those with a grammar of their own live in the modules beside this
//! one.

use std::borrow::Cow;

use super::value::{Decoded, Form, Value, number_of, put_token, token};
use super::wire::{self, ASSIGNED, QUOTATION, Raw};
use super::{
    EncodingVersion, accept, application, auth, cache, cookie, date, language, media, parameter,
    range, table, text, version, warning,
};
use crate::codec::{decode_base64, put_base64, uint8};
use crate::wsp::pdu::Method;

/// Reads a value into HTTP text. `body` is the length of the body that the fields describe, where
/// known.
pub(crate) fn decode<'a>(form: Form, value: Value<'a>, body: Option<u64>) -> Decoded<'a> {
    match (form, value.raw) {
        (Form::ContentId, Raw::Text(text)) => Ok(Cow::Borrowed(content_id(text))),
        (Form::Accept | Form::ContentType | Form::Disposition, Raw::Text(text)) => {
            Ok(media::from_text(text))
        }
        // Text is text. This is where Text-string and Token-text end up, and it forgives stacks
        // that send text where the grammar has no place for it. No data at all is how an empty text
        // looks.
        (_, Raw::Text(text)) => Ok(Cow::Borrowed(text)),
        (_, Raw::Data([])) => Ok(Cow::Borrowed(b"")),
        (Form::Text, _) => value.refuse("a text string"),
        (Form::Tokens(tokens), _) => value.named(|number| token(tokens, number)),
        (Form::Integer, _) => match value.integer() {
            Some(number) => Ok(decimal(number)),
            None => value.refuse("an integer of at most 64 bits"),
        },
        (Form::ShortInteger, Raw::Short(number)) => Ok(decimal(u64::from(number))),
        (Form::ShortInteger, Raw::Data(_)) => value.refuse("a short integer"),
        (Form::Date | Form::DateOrText, _) => match value.integer().and_then(date::text) {
            Some(date) => Ok(Cow::Owned(date.into_bytes())),
            None => value.refuse("a date"),
        },
        (Form::TimeOfDay, _) => match value.integer() {
            Some(0) => Ok(Cow::Borrowed(b"")),
            _ => decode(Form::Date, value, body),
        },
        (Form::Accept, raw) => media::accept(raw, value.whole),
        (Form::AcceptCharset, _) => accept::charset(value),
        (Form::AcceptEncoding, _) => accept::encoding(value),
        (Form::AcceptLanguage, _) => accept::language(value),
        (Form::ContentLanguage, _) => value.named(language::name),
        (Form::Te, _) => accept::te(value),
        (Form::ContentType, _) => media::content_type(value.whole).map(|(_, text)| text),
        (Form::Disposition, raw) => disposition(value, raw),
        (Form::Method | Form::MethodOrToken, _) => value.named(method),
        (Form::Credentials, _) => auth::credentials(value),
        (Form::Challenge, _) => auth::challenge(value),
        (Form::CacheControl, _) => cache::decode(value),
        (Form::Pragma, raw) => pragma(value, raw),
        (Form::Expect, raw) => expect(value, raw),
        (Form::Md5, Raw::Data(digest)) if digest.len() == 16 => Ok(base64_of(digest)),
        (Form::Md5, _) => value.refuse("the sixteen octets of a digest"),
        (Form::ContentRange { .. }, _) => range::content_range(value, body),
        (Form::Range, _) => range::range(value),
        (Form::RetryAfter, _) => range::retry_after(value),
        (Form::FieldName, _) => value.named(table::name),
        (Form::Warning, _) => warning::decode(value),
        (Form::ProfileWarning, _) => warning::decode_profile(value),
        (Form::AcceptApplication, Raw::Short(0)) => Ok(Cow::Borrowed(b"*")),
        (Form::Application | Form::AcceptApplication, _) => match value.integer() {
            Some(number) => Ok(match application::name(number) {
                Some(uri) => Cow::Borrowed(uri.as_bytes()),
                None => decimal(number),
            }),
            None => value.refuse("the number of an application"),
        },
        (Form::Octets, Raw::Data(octets)) => Ok(base64_of(octets)),
        (Form::Octets, Raw::Short(_)) => value.refuse("octets behind a length"),
        (Form::ContentId, _) => value.refuse("a quoted string"),
        (Form::SetCookie, _) => cookie::decode_set(value),
        (Form::Cookie, _) => cookie::decode(value),
        (Form::EncodingVersion, raw) => encoding_version(value, raw),
    }
}

/// Appends one element of a field's value in its form. `None`, and `out` unchanged, if the value
/// does not fit and must be sent as text.
pub(crate) fn encode(form: Form, peer: Peer, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let version = peer.version;
    match form {
        Form::Text => wire::put_text(out, value),
        Form::Tokens(tokens) => match number_of(tokens, value) {
            Some(number) => wire::put_short(out, number),
            None => put_token(out, value)?,
        },
        Form::Integer => wire::put_integer(out, text::decimal(value)?),
        Form::ShortInteger => {
            let number = text::decimal(value)?;
            wire::put_short(
                out,
                u8::try_from(number).ok().filter(|number| *number < 0x80)?,
            );
        }
        Form::Date => wire::put_long(out, date::on_wire(value)?),
        Form::DateOrText => match date::on_wire(value) {
            Some(seconds) => wire::put_long(out, seconds),
            None => wire::put_text(out, value),
        },
        Form::TimeOfDay if value.is_empty() => wire::put_long(out, 0),
        Form::TimeOfDay => wire::put_long(out, date::on_wire(value)?),
        Form::Accept => media::put_accept(out, version, peer.registered, value)?,
        Form::AcceptCharset => accept::put_charset(out, value)?,
        Form::AcceptEncoding => accept::put_encoding(out, value)?,
        Form::AcceptLanguage => accept::put_language(out, value)?,
        Form::ContentLanguage => match language::number(value) {
            // Zero is "any language", which no content is in.
            Some(number @ 1..) => wire::put_integer(out, u64::from(number)),
            _ => put_token(out, value)?,
        },
        Form::Te => accept::put_te(out, value)?,
        Form::ContentType => media::put_content_type(out, version, peer.registered, value),
        Form::Disposition => put_disposition(out, version, value)?,
        Form::Method => wire::put_short(out, method_number(value)?),
        Form::MethodOrToken => match method_number(value) {
            Some(number) => wire::put_short(out, number),
            None => put_token(out, value)?,
        },
        Form::Credentials => auth::put_credentials(out, version, value)?,
        Form::Challenge => auth::put_challenge(out, version, value)?,
        Form::CacheControl => cache::put(out, version, value)?,
        Form::Pragma => put_pragma(out, version, value)?,
        Form::Expect => put_expect(out, value)?,
        Form::Md5 => {
            let digest = decode_base64(value).filter(|digest| digest.len() == 16)?;
            wire::put_with_length(out, |out| out.extend_from_slice(&digest));
        }
        Form::ContentRange { unknown } => range::put_content_range(out, unknown, value)?,
        Form::Range => range::put_range(out, value)?,
        Form::RetryAfter => range::put_retry_after(out, value)?,
        Form::FieldName => match table::code(version, value) {
            Some(code) => wire::put_short(out, code),
            None => put_token(out, value)?,
        },
        Form::Warning => warning::put(out, value)?,
        Form::ProfileWarning => warning::put_profile(out, value)?,
        Form::AcceptApplication if value == b"*" => wire::put_short(out, 0),
        Form::Application | Form::AcceptApplication => {
            match application::number(value)
                .map(u64::from)
                .or_else(|| text::decimal(value))
            {
                Some(number) => wire::put_integer(out, number),
                None => wire::put_text(out, value),
            }
        }
        Form::Octets => {
            let octets = decode_base64(value).filter(|octets| !octets.is_empty())?;
            wire::put_with_length(out, |out| out.extend_from_slice(&octets));
        }
        // A mark at the end would be taken for the closing one.
        Form::ContentId if value.ends_with(b"\"") => return None,
        Form::ContentId => wire::put_quoted(out, value),
        Form::SetCookie => cookie::put_set(out, version, value)?,
        Form::Cookie => cookie::put(out, value)?,
        Form::EncodingVersion => put_encoding_version(out, value)?,
    }
    Some(())
}

/// The abilities of the peer that encoding depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) version: EncodingVersion,
    /// Whether it is known to read registered media types as numbers.
    pub(crate) registered: bool,
}

fn decimal(number: u64) -> Cow<'static, [u8]> {
    Cow::Owned(number.to_string().into_bytes())
}

fn base64_of(octets: &[u8]) -> Cow<'static, [u8]> {
    let mut out = Vec::with_capacity(octets.len().div_ceil(3) * 4);
    put_base64(&mut out, octets);
    Cow::Owned(out)
}

fn method(number: u64) -> Option<&'static str> {
    Method(u8::try_from(number).ok()?).name()
}

fn method_number(name: &[u8]) -> Option<u8> {
    let assigned = (0x40..=0x7F).map(Method);
    let mut named = assigned.filter(|method| method.name().is_some_and(|n| n.as_bytes() == name));
    named.next().map(|method| method.0)
}

/// Some stacks send the closing mark, which the encoding leaves out.
fn content_id(text: &[u8]) -> &[u8] {
    let Some(inner) = text.strip_prefix(&[QUOTATION]) else {
        return text;
    };
    inner.strip_suffix(b"\"").unwrap_or(inner)
}

const DISPOSITIONS: &[(u8, &str)] = &[(0, "form-data"), (1, "attachment"), (2, "inline")];

fn disposition<'a>(value: Value<'a>, raw: Raw<'a>) -> Decoded<'a> {
    let Raw::Data(data) = raw else {
        return value.named(|number| token(DISPOSITIONS, number));
    };
    let mut out = Vec::with_capacity(2 * data.len());
    let rest = if wire::is_text(data) {
        let (rest, kind) = wire::text_string(data)?;
        out.extend_from_slice(kind);
        rest
    } else {
        let (rest, octet) = uint8(data)?;
        let number = u64::from(octet & 0x7F);
        match token(DISPOSITIONS, number).filter(|_| octet >= 0x80) {
            Some(kind) => out.extend_from_slice(kind.as_bytes()),
            None => return value.refuse(ASSIGNED),
        }
        rest
    };
    parameter::parameters(rest, parameter::Scope::Plain, &mut out)?;
    Ok(Cow::Owned(out))
}

fn put_disposition(out: &mut Vec<u8>, version: EncodingVersion, value: &[u8]) -> Option<()> {
    let mut parts = text::split(value, b';', false);
    let kind = parts.next()?;
    wire::put_with_length(out, |out| {
        match number_of(DISPOSITIONS, kind) {
            Some(number) => wire::put_short(out, number),
            None => put_token(out, kind)?,
        }
        for part in parts {
            let (name, value) = text::parameter(part);
            parameter::put(out, version, parameter::Scope::Plain, name, value)?;
        }
        Some(())
    })
}

fn pragma<'a>(value: Value<'a>, raw: Raw<'a>) -> Decoded<'a> {
    match raw {
        Raw::Data(data) => {
            let mut out = Vec::with_capacity(2 * data.len());
            parameter::parameter(data, parameter::Scope::Plain, &mut out)?;
            Ok(Cow::Owned(out))
        }
        _ => value.named(|number| (number == 0).then_some("no-cache")),
    }
}

fn put_pragma(out: &mut Vec<u8>, version: EncodingVersion, value: &[u8]) -> Option<()> {
    if value.eq_ignore_ascii_case(b"no-cache") {
        wire::put_short(out, 0);
        return Some(());
    }
    let (name, value) = text::parameter(value);
    wire::put_with_length(out, |out| {
        parameter::put(out, version, parameter::Scope::Plain, name, value)
    })
}

fn expect<'a>(value: Value<'a>, raw: Raw<'a>) -> Decoded<'a> {
    let Raw::Data(data) = raw else {
        return value.named(|number| (number == 0).then_some("100-continue"));
    };
    let mut out = Vec::with_capacity(2 * data.len());
    // An expression and its parameters look alike: a token and a text.
    parameter::parameters(data, parameter::Scope::Plain, &mut out)?;
    let expression = out.strip_prefix(b"; ").unwrap_or(&out).to_vec();
    Ok(Cow::Owned(expression))
}

fn put_expect(out: &mut Vec<u8>, value: &[u8]) -> Option<()> {
    if value.eq_ignore_ascii_case(b"100-continue") {
        wire::put_short(out, 0);
        return Some(());
    }
    wire::put_with_length(out, |out| {
        for part in text::split(value, b';', false) {
            // A token alone would be read back with an empty value.
            if !part.contains(&b'=') {
                return None;
            }
            let (name, value) = text::parameter(part);
            put_token(out, name)?;
            parameter::put_text_value(out, value);
        }
        Some(())
    })
}

/// A version, or the page it is about and the version of that: `1.3`, `10 1.3`, and `10` alone for
/// a page that is not supported (WSP 8.4.3.1; the page is hexadecimal).
fn encoding_version<'a>(value: Value<'a>, raw: Raw<'a>) -> Decoded<'a> {
    let mut out = Vec::with_capacity(8);
    match raw {
        Raw::Short(version) => version::put_short_version(version, &mut out),
        Raw::Data(data) => {
            let (rest, page) = uint8(data)?;
            out.extend_from_slice(format!("{:02x}", page & 0x7F).as_bytes());
            if !rest.is_empty() {
                out.push(b' ');
                version::version_value(rest, &mut out)?;
            }
        }
        Raw::Text(_) => return value.refuse("a version"),
    }
    Ok(Cow::Owned(out))
}

fn put_encoding_version(out: &mut Vec<u8>, value: &[u8]) -> Option<()> {
    let (page, version) = text::cut(value, b' ');
    let Some(version) = version else {
        // A page always has two digits, and a version never has two without a dot.
        if page.len() == 2 {
            let page = hexadecimal(page)?;
            wire::put_with_length(out, |out| wire::put_short(out, page));
        } else {
            out.push(version::short_version(page)?);
        }
        return Some(());
    };
    let (page, version) = (hexadecimal(page)?, version::short_version(version)?);
    wire::put_with_length(out, |out| out.extend([page | 0x80, version]));
    Some(())
}

fn hexadecimal(text: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(text)
        .ok()
        .filter(|text| text.len() <= 2 && text.bytes().all(|sign| sign.is_ascii_hexdigit()))?;
    u8::from_str_radix(text, 16)
        .ok()
        .filter(|page| *page < 0x80)
}

/// Appends the value that refuses a page: its number, and no version (WSP 8.4.2.70).
pub(crate) fn put_page_refused(out: &mut Vec<u8>, page: u8) {
    // A page above 127 has no Short-integer. Such pages are reserved, and no peer can have agreed
    // on one.
    wire::put_with_length(out, |out| wire::put_short(out, page));
}
