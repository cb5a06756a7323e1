//! Parameters of a value: `; charset=utf-8` (WSP 8.4.2.4, table 38).

use super::assigned::compare;
use super::version::{short_version, version_value};
use super::wire::{self, QUOTATION, q_value, text_string};
use super::{EncodingVersion, charset, date, media_types, table, text};
use crate::codec::{Malformed, Parsed};

/// The place of a parameter, which decides the meaning of its name and the form of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// In a value like any other.
    Plain,
    /// In multipart/related, which has a `type` of its own.
    Related,
    /// In OTA provisioning (connectivity-wbxml), which has SEC and MAC.
    Connectivity,
    /// In a cookie, where values are written bare if they can be.
    Cookie,
    /// In credentials or a challenge: the scheme decides the meaning of names, and quoted values
    /// stay quoted.
    Auth,
}

impl Scope {
    /// The scope of a media type's parameters.
    pub(crate) fn of_media(essence: &[u8]) -> Self {
        let is = |name: &str| essence.eq_ignore_ascii_case(name.as_bytes());
        if is("multipart/related") || is("application/vnd.wap.multipart.related") {
            Self::Related
        } else if is("application/vnd.wap.connectivity-wbxml") {
            Self::Connectivity
        } else {
            Self::Plain
        }
    }
}

/// How a parameter's value is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Q,
    Charset,
    Version,
    Integer,
    ShortInteger,
    TextString,
    TextValue,
    FieldName,
    Media,
    NoValue,
    Date,
}

struct Row {
    code: u8,
    since: EncodingVersion,
    name: &'static str,
    kind: Kind,
    /// The one scope it belongs to, if there is one.
    only: Option<Scope>,
}

const fn row(code: u8, since: EncodingVersion, name: &'static str, kind: Kind) -> Row {
    Row {
        code,
        since,
        name,
        kind,
        only: None,
    }
}

impl Row {
    const fn only(mut self, scope: Scope) -> Self {
        self.only = Some(scope);
        self
    }
}

/// Appends every parameter in `input` as `; name=value`.
pub(crate) fn parameters<'a>(
    mut input: &'a [u8],
    scope: Scope,
    out: &mut Vec<u8>,
) -> Result<(), nom::Err<Malformed<'a>>> {
    let mut separator: &[u8] = if scope == Scope::Auth { b" " } else { b"; " };
    while !input.is_empty() {
        let start = out.len();
        out.extend_from_slice(separator);
        let named = out.len();
        (input, ()) = parameter(input, scope, out)?;
        let text = out.get(named..).unwrap_or_default();
        let has_value = text.contains(&b'=');
        if text.is_empty() {
            out.truncate(start);
        } else if !has_value && !matches!(scope, Scope::Cookie | Scope::Auth) {
            // HTTP's media types and dispositions have no parameter without a value (RFC 9110
            // 5.6.6).
            out.extend_from_slice(b"=\"\"");
        } else if scope == Scope::Auth {
            separator = b", ";
        }
    }
    Ok(())
}

/// Appends one parameter as `name=value`, or no octet if its number is unassigned.
pub(crate) fn parameter<'a>(input: &'a [u8], scope: Scope, out: &mut Vec<u8>) -> Parsed<'a, ()> {
    if let Some(rest) = input.strip_prefix(&[0]) {
        // Padding: some encoders count the NUL of a string that they then left out.
        return Ok((rest, ()));
    }
    if wire::is_text(input) {
        let (input, name) = text_string(input)?;
        if !wire::is_token(name) {
            let mut nowhere = Vec::new();
            return untyped_value(input, scope, &mut nowhere);
        }
        out.extend_from_slice(name);
        return untyped_value(input, scope, out);
    }
    let (input, number) = wire::integer(input)?;
    match ROWS.iter().find(|row| u64::from(row.code) == number) {
        Some(row) => {
            out.extend_from_slice(row.name.as_bytes());
            typed_value(input, row.kind, scope, out)
        }
        None => {
            let mut nowhere = Vec::new();
            untyped_value(input, scope, &mut nowhere)
        }
    }
}

fn untyped_value<'a>(input: &'a [u8], scope: Scope, out: &mut Vec<u8>) -> Parsed<'a, ()> {
    if wire::is_text(input) || input.first() == Some(&0) {
        return text_value(input, scope, out);
    }
    let (input, number) = wire::integer(input)?;
    out.push(b'=');
    text::put_decimal(out, number);
    Ok((input, ()))
}

/// A parameter of any type may have a text instead of its value, or no value.
fn typed_value<'a>(input: &'a [u8], kind: Kind, scope: Scope, out: &mut Vec<u8>) -> Parsed<'a, ()> {
    match kind {
        Kind::Q => {
            let (input, factor) = q_value(input)?;
            out.push(b'=');
            text::put_factor(out, factor);
            return Ok((input, ()));
        }
        Kind::TextString if input.first() == Some(&0) => {
            out.extend_from_slice(b"=\"\"");
            return Ok((input.get(1..).unwrap_or_default(), ()));
        }
        // Only text is possible here, so an octet above 127 begins a text even without Quote.
        Kind::TextString | Kind::TextValue => return text_value(input, scope, out),
        _ if wire::is_text(input) || input.first() == Some(&0) => {
            return text_value(input, scope, out);
        }
        _ => {}
    }
    let named = out.len();
    out.push(b'=');
    if kind == Kind::Version {
        return version_value(input, out);
    }
    let (input, number) = wire::integer(input)?;
    let name = match kind {
        // Zero is any character set, which no content is in.
        Kind::Charset => charset::name(number).filter(|_| number != 0),
        Kind::Media => media_types::name(number),
        Kind::FieldName => table::name(number),
        Kind::Date => {
            if let Some(date) = date::text(number) {
                text::put_quoted(out, date.as_bytes());
                return Ok((input, ()));
            }
            None
        }
        _ => None,
    };
    match (name, kind) {
        (Some(name), _) => text::put_plain(out, name.as_bytes()),
        // HTTP has no name for an unassigned number: the parameter is left out.
        (None, Kind::Charset | Kind::Media | Kind::FieldName | Kind::Date) => {
            let name = out.get(..named).unwrap_or_default();
            let start = name.iter().rposition(|octet| !wire::is_token_octet(*octet));
            out.truncate(start.map_or(0, |last| last + 1));
        }
        (None, _) => text::put_decimal(out, number),
    }
    Ok((input, ()))
}

/// No-value, Token-text or Quoted-string; any Text-string is taken too.
fn text_value<'a>(input: &'a [u8], scope: Scope, out: &mut Vec<u8>) -> Parsed<'a, ()> {
    if let Some(rest) = input.strip_prefix(&[0]) {
        return Ok((rest, ()));
    }
    out.push(b'=');
    if let Some(input) = input.strip_prefix(&[QUOTATION]) {
        let (input, inner) = crate::codec::terminated(input)?;
        if scope == Scope::Cookie && is_bare(inner) {
            out.extend_from_slice(inner);
        } else {
            text::put_requoted(out, inner);
        }
        return Ok((input, ()));
    }
    let (input, plain) = text_string(input)?;
    if scope == Scope::Cookie && is_bare(plain) {
        out.extend_from_slice(plain);
    } else {
        text::put_plain(out, plain);
    }
    Ok((input, ()))
}

/// Whether a cookie's value can do without quotation marks.
fn is_bare(text: &[u8]) -> bool {
    let special = |octet: &u8| {
        octet.is_ascii_whitespace() || octet.is_ascii_control() || b"\",;\\".contains(octet)
    };
    !text.is_empty() && !text.iter().any(special)
}

/// Appends a parameter given as in HTTP: in the newest form that the peer knows, else by name.
/// `None` if its name is no token.
pub(crate) fn put(
    out: &mut Vec<u8>,
    version: EncodingVersion,
    scope: Scope,
    name: &[u8],
    value: Option<&[u8]>,
) -> Option<()> {
    let start = out.len();
    for row in ROWS.iter().rev() {
        let fits = compare(row.name.as_bytes(), name).is_eq()
            && version.knows(row.since)
            && row.only.is_none_or(|only| only == scope)
            && scope != Scope::Auth;
        if fits {
            wire::put_short(out, row.code);
            if put_typed(out, row.kind, version, value).is_some() {
                return Some(());
            }
            out.truncate(start);
        }
    }
    if !wire::is_token(name) {
        return None;
    }
    wire::put_terminated(out, name);
    match value.and_then(text::decimal) {
        Some(number) => wire::put_integer(out, number),
        None => put_text_value(out, value),
    }
    Some(())
}

/// Appends a value in the form of its parameter; `None` if the value does not fit, so that the
/// caller may try another form of the parameter.
fn put_typed(
    out: &mut Vec<u8>,
    kind: Kind,
    version: EncodingVersion,
    value: Option<&[u8]>,
) -> Option<()> {
    let plain = value.map(text::unquoted);
    let plain = plain.as_deref();
    match kind {
        // A quality factor is written with the value it belongs to.
        Kind::Q => return None,
        Kind::NoValue => {
            if plain.is_some_and(|value| !value.is_empty()) {
                return None;
            }
            out.push(0);
        }
        Kind::Charset => match charset::number(plain?).filter(|number| *number != 0) {
            Some(number) => wire::put_integer(out, u64::from(number)),
            None => put_text_value(out, value),
        },
        Kind::Version => match short_version(plain?) {
            Some(octet) => out.push(octet),
            None => put_text_value(out, value),
        },
        Kind::Integer => wire::put_integer(out, text::decimal(plain?)?),
        Kind::ShortInteger => {
            let number = text::decimal(plain?).filter(|number| *number < 0x80)?;
            wire::put_integer(out, number);
        }
        Kind::TextString => wire::put_text(out, plain?),
        Kind::TextValue => put_text_value(out, value),
        Kind::FieldName => match table::code(version, plain?) {
            Some(code) => wire::put_short(out, code),
            None => put_text_value(out, value),
        },
        Kind::Media => match media_types::short_number(version, plain?) {
            Some(short) => wire::put_short(out, short),
            None => wire::put_text(out, plain?),
        },
        Kind::Date => wire::put_long(out, date::on_wire(plain?)?),
    }
    Some(())
}

/// Appends a Text-value: no value, a token, or the text between quotation marks.
pub(crate) fn put_text_value(out: &mut Vec<u8>, value: Option<&[u8]>) {
    let Some(value) = value else {
        out.push(0);
        return;
    };
    if wire::is_token(value) {
        wire::put_terminated(out, value);
    } else if let Some(inner) = text::quoted(value) {
        wire::put_quoted(out, inner);
    } else {
        let mut inner = Vec::with_capacity(value.len());
        text::put_escaped(&mut inner, value);
        wire::put_quoted(out, &inner);
    }
}

/// Table 38, in the order of the numbers; the last of a name is the one to prefer.
const ROWS: [Row; 29] = {
    use EncodingVersion as V;
    use Kind::*;
    [
        row(0x00, V::V1_1, "q", Q),
        row(0x01, V::V1_1, "charset", Charset),
        row(0x02, V::V1_1, "level", Version),
        row(0x03, V::V1_1, "type", Integer),
        row(0x05, V::V1_1, "name", TextString),
        row(0x06, V::V1_1, "filename", TextString),
        row(0x07, V::V1_1, "differences", FieldName),
        row(0x08, V::V1_1, "padding", ShortInteger),
        row(0x09, V::V1_2, "type", Media).only(Scope::Related),
        row(0x0A, V::V1_2, "start", TextString).only(Scope::Related),
        row(0x0B, V::V1_2, "start-info", TextString).only(Scope::Related),
        row(0x0C, V::V1_3, "comment", TextString),
        row(0x0D, V::V1_3, "domain", TextString),
        row(0x0E, V::V1_3, "max-age", Integer),
        row(0x0F, V::V1_3, "path", TextString),
        row(0x10, V::V1_3, "secure", NoValue),
        row(0x11, V::V1_4, "sec", ShortInteger).only(Scope::Connectivity),
        row(0x12, V::V1_4, "mac", TextValue).only(Scope::Connectivity),
        row(0x13, V::V1_4, "creation-date", Date),
        row(0x14, V::V1_4, "modification-date", Date),
        row(0x15, V::V1_4, "read-date", Date),
        row(0x16, V::V1_4, "size", Integer),
        row(0x17, V::V1_4, "name", TextValue),
        row(0x18, V::V1_4, "filename", TextValue),
        row(0x19, V::V1_4, "start", TextValue).only(Scope::Related),
        row(0x1A, V::V1_4, "start-info", TextValue).only(Scope::Related),
        row(0x1B, V::V1_4, "comment", TextValue),
        row(0x1C, V::V1_4, "domain", TextValue),
        row(0x1D, V::V1_4, "path", TextValue),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(wire: &[u8], scope: Scope) -> String {
        let mut out = Vec::new();
        parameters(wire, scope, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn encoded(version: EncodingVersion, scope: Scope, name: &str, value: Option<&str>) -> Vec<u8> {
        let mut out = Vec::new();
        put(
            &mut out,
            version,
            scope,
            name.as_bytes(),
            value.map(str::as_bytes),
        )
        .unwrap();
        out
    }

    #[test]
    fn every_parameter_goes_both_ways() {
        use EncodingVersion as V;
        use Scope::*;
        for (scope, version, name, value, wire) in [
            (Plain, V::V1_1, "charset", Some("utf-8"), &b"\x81\xEA"[..]),
            (Plain, V::V1_1, "charset", Some("x-mine"), b"\x81x-mine\0"),
            (Plain, V::V1_1, "level", Some("1.3"), b"\x82\x93"),
            (Plain, V::V1_1, "level", Some("1"), b"\x82\x9F"),
            (Plain, V::V1_1, "type", Some("7"), b"\x83\x87"),
            (
                Plain,
                V::V1_1,
                "type",
                Some("\"text/xml\""),
                b"type\0\"text/xml\0",
            ),
            (Plain, V::V1_1, "name", Some("\"a b\""), b"\x85a b\0"),
            (Plain, V::V1_3, "filename", Some("x.gif"), b"\x86x.gif\0"),
            (Plain, V::V1_2, "differences", Some("accept"), b"\x87\x80"),
            (
                Plain,
                V::V1_2,
                "differences",
                Some("x-what"),
                b"\x87x-what\0",
            ),
            (Plain, V::V1_2, "padding", Some("9"), b"\x88\x89"),
            (
                Related,
                V::V1_2,
                "type",
                Some("\"application/smil\""),
                b"\x89application/smil\0",
            ),
            (
                Related,
                V::V1_2,
                "type",
                Some("\"text/plain\""),
                b"\x89\x83",
            ),
            (Related, V::V1_2, "start", Some("\"<a@b>\""), b"\x8A<a@b>\0"),
            (Related, V::V1_2, "start-info", Some("abc"), b"\x8Babc\0"),
            (Cookie, V::V1_3, "comment", Some("abc"), b"\x8Cabc\0"),
            (
                Cookie,
                V::V1_3,
                "domain",
                Some(".a.example"),
                b"\x8D.a.example\0",
            ),
            (
                Cookie,
                V::V1_3,
                "max-age",
                Some("3600"),
                b"\x8E\x02\x0E\x10",
            ),
            (Cookie, V::V1_3, "path", Some("/"), b"\x8F/\0"),
            (Cookie, V::V1_3, "secure", None, b"\x90\0"),
            (Connectivity, V::V1_4, "sec", Some("1"), b"\x91\x81"),
            (Connectivity, V::V1_4, "mac", Some("0AFF"), b"\x920AFF\0"),
            (
                Plain,
                V::V1_4,
                "creation-date",
                Some("\"Sun, 06 Nov 1994 08:49:37 GMT\""),
                b"\x93\x04\x2E\xBC\x98\xA1",
            ),
            (
                Plain,
                V::V1_4,
                "modification-date",
                Some("\"Sun, 06 Nov 1994 08:49:37 GMT\""),
                b"\x94\x04\x2E\xBC\x98\xA1",
            ),
            (
                Plain,
                V::V1_4,
                "read-date",
                Some("\"Sun, 06 Nov 1994 08:49:37 GMT\""),
                b"\x95\x04\x2E\xBC\x98\xA1",
            ),
            (
                Plain,
                V::V1_4,
                "size",
                Some("65536"),
                b"\x96\x03\x01\x00\x00",
            ),
            (Plain, V::V1_4, "name", Some("\"a b\""), b"\x97\"a b\0"),
            (Plain, V::V1_4, "filename", Some("x.gif"), b"\x98x.gif\0"),
            (Related, V::V1_4, "start", Some("\"<a>\""), b"\x99\"<a>\0"),
            (Related, V::V1_4, "start-info", Some("abc"), b"\x9Aabc\0"),
            (Cookie, V::V1_4, "comment", Some("abc"), b"\x9Babc\0"),
            (
                Cookie,
                V::V1_4,
                "domain",
                Some("a.example"),
                b"\x9Ca.example\0",
            ),
            (Cookie, V::V1_4, "path", Some("/a"), b"\x9D\"/a\0"),
            (Plain, V::V1_5, "foo", Some("5"), b"foo\0\x85"),
            (Plain, V::V1_5, "foo", Some("05"), b"foo\x0005\0"),
            (Auth, V::V1_5, "domain", Some("\"/a\""), b"domain\0\"/a\0"),
        ] {
            let read = decoded(wire, scope);
            let text = match value {
                Some(value) => format!("{name}={value}"),
                None => name.to_owned(),
            };
            assert_eq!(read.trim_start_matches([';', ' ']), text);
            assert_eq!(encoded(version, scope, name, value), wire, "{text}");
        }
        assert_eq!(decoded(b"\x80\x47", Plain), "; q=0.7");
    }

    #[test]
    fn what_http_has_no_form_for_does_not_break_it() {
        // A parameter without a value, and unassigned numbers: of a character set, a media type, a
        // date.
        for (wire, scope, text) in [
            (
                &b"foo\0\0\x81\xEA"[..],
                Scope::Plain,
                "; foo=\"\"; charset=utf-8",
            ),
            (b"\x81\x02\x27\x0F\x85a\0", Scope::Plain, "; name=a"),
            (b"\x81\x80", Scope::Plain, ""),
            (b"\x89\xFF\x81\xEA", Scope::Related, "; charset=utf-8"),
            (
                b"\x93\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
                Scope::Plain,
                "",
            ),
            (b"\x90\0", Scope::Cookie, "; secure"),
        ] {
            assert_eq!(decoded(wire, scope), text);
        }
        let bare = encoded(EncodingVersion::V1_5, Scope::Plain, "foo", None);
        assert_eq!(bare, b"foo\0\0", "an origin's is sent as it is");
    }

    #[test]
    fn newer_parameters_go_by_name() {
        assert_eq!(
            encoded(EncodingVersion::V1_3, Scope::Plain, "size", Some("5")),
            b"size\0\x85"
        );
    }

    #[test]
    fn sloppy_parameters_are_read() {
        // A superfluous closing mark, a stray NUL, and an unassigned number.
        assert_eq!(decoded(b"\x97\"a b\"\0", Scope::Plain), "; name=\"a b\"");
        assert_eq!(decoded(b"\x81\xEA\0", Scope::Plain), "; charset=utf-8");
        assert_eq!(
            decoded(b"\xD0abc\0\x81\xEA", Scope::Plain),
            "; charset=utf-8"
        );
        assert_eq!(decoded(b"\x81utf-8\0", Scope::Plain), "; charset=utf-8");
        assert_eq!(
            decoded(b"\x97a\"; b=\"c\0", Scope::Plain),
            r#"; name="a\"; b=\"c""#
        );
    }
}
