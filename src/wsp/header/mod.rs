//! Header blocks: HTTP fields in WSP's compact coding (WSP 8.4).
//!
//! [`fields`] reads a block as HTTP text and [`Encoder`] (or [`encode_field`]) writes one. What either side
//! has no number for travels as text, so nothing is lost but the saving.
//!
//! `table` says which field has which number and form; `value` has the forms.

mod accept;
mod application;
mod assigned;
mod auth;
mod base64;
mod cache;
mod charset;
mod cookie;
pub(crate) mod date;
#[cfg(test)]
mod fixtures;
mod language;
mod media;
mod parameter;
mod range;
mod table;
mod text;
mod value;
mod version;
mod warning;
mod wire;

use std::borrow::Cow;

pub use self::table::{Page, X_UP_1};
use self::value::{Form, Peer, Value};
pub use self::version::EncodingVersion;
use self::wire::Raw;
use crate::codec::{DecodeError, located, terminated, uint8};

/// A field in HTTP's text form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name: in lower case where it came as a number, as sent where it came as text. Always a token.
    pub name: Cow<'a, str>,
    /// The value. Never holds a control other than a tab, so it cannot break an HTTP header.
    pub value: Cow<'a, [u8]>,
}

/// Why a field, or the rest of a block, is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The block cannot be read from here on. It is the last thing the iterator says.
    #[error("{0}")]
    Malformed(DecodeError),
    /// This field's value is not in its form. The fields after it are read.
    #[error("{0}")]
    Value(DecodeError),
    /// A field's name or its value is a number that nobody assigned. The fields after it are read.
    #[error("{0}")]
    Unassigned(DecodeError),
    /// The block shifts to a page that was not agreed; its numbered fields are left out. Answered with 400
    /// and an Encoding-Version field that refuses the page ([`Encoder::refuse_page`]).
    #[error("header code page {page:#04x} was not agreed (offset {offset})")]
    Page {
        /// The page's number.
        page: u8,
        /// Where the shift stands.
        offset: usize,
    },
}

impl FieldError {
    /// Whether the rest of the block is lost.
    #[must_use]
    pub const fn is_fatal(self) -> bool {
        matches!(self, Self::Malformed(_))
    }

    /// Octets from the start of the block.
    #[must_use]
    pub const fn offset(self) -> usize {
        match self {
            Self::Malformed(error) | Self::Value(error) | Self::Unassigned(error) => error.offset,
            Self::Page { offset, .. } => offset,
        }
    }
}

/// An extension page as a session agreed on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodePage {
    /// The number the client gave it.
    pub code: u8,
    /// What its numbers mean.
    pub page: &'static Page,
}

/// The page that every block begins on.
const DEFAULT_PAGE: u8 = 1;
const SHIFT: u8 = 0x7F;

/// Reads a block's fields in their order; a list comes as one field per element.
#[must_use]
pub fn fields<'a>(block: &'a [u8], pages: &'a [CodePage]) -> Fields<'a> {
    Fields {
        block,
        rest: block,
        pages,
        page: On::Default,
        body: None,
    }
}

/// The fields of a block; see [`fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    block: &'a [u8],
    rest: &'a [u8],
    pages: &'a [CodePage],
    page: On,
    body: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum On {
    Default,
    Agreed(&'static Page),
    Unknown,
}

impl<'a> Fields<'a> {
    /// Says how long the body is that the fields describe: Content-Range leaves out what follows from it.
    #[must_use]
    pub fn with_body(mut self, len: usize) -> Self {
        self.body = u64::try_from(len).ok();
        self
    }

    /// Octets read so far: where the next field begins.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.block.len() - self.rest.len()
    }

    fn shift(&mut self, page: u8, rest: &'a [u8]) -> Option<FieldError> {
        let offset = self.offset();
        self.rest = rest;
        let agreed = self.pages.iter().find(|known| known.code == page);
        self.page = match agreed {
            _ if page == DEFAULT_PAGE => On::Default,
            Some(agreed) => On::Agreed(agreed.page),
            None => On::Unknown,
        };
        matches!(self.page, On::Unknown).then_some(FieldError::Page { page, offset })
    }

    fn malformed(&mut self, error: DecodeError, start: usize) -> FieldError {
        self.rest = &[];
        FieldError::Malformed(DecodeError {
            offset: start + error.offset,
            ..error
        })
    }

    /// The value at `rest`, which begins `start` octets into the block.
    fn value(&mut self, rest: &'a [u8], start: usize) -> Result<Value<'a>, FieldError> {
        let (after, raw) =
            located(rest, wire::raw).map_err(|error| self.malformed(error, start))?;
        let (whole, _) = rest
            .split_at_checked(rest.len() - after.len())
            .unwrap_or((rest, &[]));
        self.rest = after;
        Ok(Value { raw, whole })
    }

    fn decoded(
        &self,
        form: Form,
        value: Value<'a>,
        start: usize,
    ) -> Result<Cow<'a, [u8]>, FieldError> {
        let read = located(value.whole, |_| {
            value::decode(form, value, self.body).map(|text| (&[][..], text))
        });
        match read {
            Ok((_, text)) => Ok(safe(text)),
            Err(error) => {
                let unassigned = error.expected == wire::ASSIGNED;
                let error = DecodeError {
                    offset: start + error.offset,
                    ..error
                };
                Err(if unassigned {
                    FieldError::Unassigned(error)
                } else {
                    FieldError::Value(error)
                })
            }
        }
    }

    fn numbered(&mut self, code: u8, rest: &'a [u8]) -> Option<Result<Field<'a>, FieldError>> {
        let at = self.offset();
        let value = match self.value(rest, at + 1) {
            Ok(value) => value,
            Err(error) => return Some(Err(error)),
        };
        let (name, form) = match self.page {
            On::Unknown => return None,
            On::Default => match table::row(code) {
                Some(row) => (row.name, row.form),
                None => return Some(Err(unassigned(at))),
            },
            On::Agreed(page) => match page.field(code) {
                Some(name) => (name, extension_form(value.raw)),
                None => return Some(Err(unassigned(at))),
            },
        };
        Some(self.decoded(form, value, at + 1).map(|value| Field {
            name: Cow::Borrowed(name),
            value,
        }))
    }

    fn named(&mut self) -> Result<Field<'a>, FieldError> {
        let at = self.offset();
        let (rest, name) =
            located(self.rest, terminated).map_err(|error| self.malformed(error, at))?;
        let start = self.block.len() - rest.len();
        let value = self.value(rest, start)?;
        let Some(name) = token(name) else {
            return Err(FieldError::Value(DecodeError {
                offset: at,
                expected: "a field's name",
            }));
        };
        // A name in text asks for a value in text (WSP 8.4.1.2), but X-WAP.TOD is older than that rule.
        let form = match value.raw {
            Raw::Text(_) => Form::Text,
            raw => match table::rows(name.as_bytes()).next() {
                Some(row) => row.form,
                None if name.eq_ignore_ascii_case("x-wap.tod") => Form::TimeOfDay,
                None => extension_form(raw),
            },
        };
        self.decoded(form, value, start).map(|value| Field {
            name: Cow::Borrowed(name),
            value,
        })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, FieldError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (rest, first) = uint8(self.rest).ok()?;
            match first {
                0x00 => {
                    let at = self.offset();
                    let error = DecodeError {
                        offset: 0,
                        expected: "a field's name",
                    };
                    return Some(Err(self.malformed(error, at)));
                }
                0x01..=0x1F => {
                    if let Some(error) = self.shift(first, rest) {
                        return Some(Err(error));
                    }
                }
                SHIFT => {
                    let Ok((rest, page)) = uint8(rest) else {
                        let at = self.offset();
                        let error = DecodeError {
                            offset: 1,
                            expected: "a header code page",
                        };
                        return Some(Err(self.malformed(error, at)));
                    };
                    if let Some(error) = self.shift(page, rest) {
                        return Some(Err(error));
                    }
                }
                0x20.. if first < SHIFT => return Some(self.named()),
                _ => {
                    if let Some(field) = self.numbered(first & 0x7F, rest) {
                        return Some(field);
                    }
                }
            }
        }
    }
}

/// Fields of an extension page, and named fields in binary, are whatever their first octet says.
fn extension_form(raw: Raw<'_>) -> Form {
    match raw {
        Raw::Text(_) => Form::Text,
        Raw::Short(_) => Form::Integer,
        Raw::Data(data) if data.len() <= 8 => Form::Integer,
        Raw::Data(_) => Form::Octets,
    }
}

fn unassigned(offset: usize) -> FieldError {
    FieldError::Unassigned(DecodeError {
        offset,
        expected: "an assigned field number",
    })
}

fn token(name: &[u8]) -> Option<&str> {
    std::str::from_utf8(name)
        .ok()
        .filter(|_| wire::is_token(name))
}

/// Makes a value safe for an HTTP header: any control but a tab becomes a space, and the ends are trimmed.
fn safe(value: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let trimmed = text::trim(&value);
    if !trimmed.iter().copied().any(wire::is_forbidden) {
        return match value {
            Cow::Borrowed(value) => Cow::Borrowed(text::trim(value)),
            Cow::Owned(value) if trimmed.len() == value.len() => Cow::Owned(value),
            Cow::Owned(_) => Cow::Owned(trimmed.to_vec()),
        };
    }
    let spaced = |&octet: &u8| {
        if wire::is_forbidden(octet) {
            b' '
        } else {
            octet
        }
    };
    Cow::Owned(trimmed.iter().map(spaced).collect())
}

/// Writes a block for one reader.
///
/// A block is written by one encoder from its first field to its last, since it remembers the page.
#[derive(Clone, Debug)]
pub struct Encoder<'p> {
    peer: Peer,
    pages: &'p [CodePage],
    page: u8,
}

impl<'p> Encoder<'p> {
    /// An encoder for a reader of this version.
    #[must_use]
    pub const fn new(version: EncodingVersion) -> Self {
        Self {
            peer: Peer {
                version,
                registered: false,
            },
            pages: &[],
            page: DEFAULT_PAGE,
        }
    }

    /// Uses the extension pages of a session: agreeing on a page means having to use it (WSP 8.3.2.6).
    #[must_use]
    pub const fn with_pages(mut self, pages: &'p [CodePage]) -> Self {
        self.pages = pages;
        self
    }

    /// Sends registered media types (0x0201 and up, SyncML's among them) as numbers. Only for a reader that
    /// has sent such a number itself: many know none.
    #[must_use]
    pub const fn with_registered_media(mut self) -> Self {
        self.peer.registered = true;
        self
    }

    /// Appends a field: as one header per element if it is a list, and whatever its number's form cannot hold
    /// as text. A name that is no HTTP token cannot be sent at all and is left out.
    pub fn field(&mut self, name: &str, value: &[u8], out: &mut Vec<u8>) {
        if !wire::is_token(name.as_bytes()) {
            return;
        }
        if let Some((page, code)) = self.extension(name) {
            self.shift(page, out);
            wire::put_short(out, code);
            match text::decimal(value) {
                Some(number) => wire::put_integer(out, number),
                None => wire::put_text(out, text::trim(value)),
            }
            return;
        }
        let Some(row) = table::row_for(self.peer.version, name.as_bytes()) else {
            put_named(out, name, value);
            return;
        };
        if text::trim(value).is_empty() && row.form != Form::TimeOfDay {
            put_named(out, name, value);
            return;
        }
        row.list
            .each(value, |element| self.element(row, name, element, out));
    }

    fn element(&mut self, row: &table::Row, name: &str, element: &[u8], out: &mut Vec<u8>) {
        let (start, page) = (out.len(), self.page);
        self.shift(DEFAULT_PAGE, out);
        wire::put_short(out, row.code);
        if value::encode(row.form, self.peer, element, out).is_none() {
            // A name in text stands on any page.
            out.truncate(start);
            self.page = page;
            put_named(out, name, element);
        }
    }

    /// Appends the field that names the encoding version in use (WSP 8.4.2.70).
    pub fn encoding_version(&mut self, out: &mut Vec<u8>) {
        let version = self.peer.version.to_string();
        self.field("encoding-version", version.as_bytes(), out);
    }

    /// Appends the field that refuses a page: it has the page's number and no version.
    pub fn refuse_page(&mut self, page: u8, out: &mut Vec<u8>) {
        self.shift(DEFAULT_PAGE, out);
        wire::put_short(out, ENCODING_VERSION);
        value::put_page_refused(out, page);
    }

    fn extension(&self, name: &str) -> Option<(u8, u8)> {
        let coded = |agreed: &CodePage| Some((agreed.code, agreed.page.code(name.as_bytes())?));
        self.pages.iter().find_map(coded)
    }

    fn shift(&mut self, page: u8, out: &mut Vec<u8>) {
        if page == self.page {
            return;
        }
        self.page = page;
        if page > 0x1F {
            out.push(SHIFT);
        }
        out.push(page);
    }
}

const ENCODING_VERSION: u8 = 0x43;

/// Appends one field for a reader of this version that agreed on no extension page; see [`Encoder::field`].
pub fn encode_field(version: EncodingVersion, name: &str, value: &[u8], out: &mut Vec<u8>) {
    Encoder::new(version).field(name, value, out);
}

fn put_named(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    wire::put_terminated(out, name.as_bytes());
    wire::put_text(out, text::trim(value));
}

/// Reads the content type at the start of a Post's, Reply's or Push's block, and returns the fields after it.
///
/// An empty block has an empty content type. A number that nobody assigned is `application/octet-stream`.
/// Text that is not UTF-8 is taken for ISO 8859-1.
///
/// # Errors
///
/// What stands there is no content type.
pub fn decode_content_type(block: &[u8]) -> Result<(Cow<'_, str>, &[u8]), DecodeError> {
    if block.is_empty() {
        return Ok((Cow::Borrowed(""), block));
    }
    let (rest, value) = located(block, media::content_type)?;
    let text = match safe(value) {
        Cow::Borrowed(value) => match std::str::from_utf8(value) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => Cow::Owned(from_latin1(value)),
        },
        Cow::Owned(value) => Cow::Owned(
            String::from_utf8(value).unwrap_or_else(|error| from_latin1(error.as_bytes())),
        ),
    };
    Ok((text, rest))
}

fn from_latin1(octets: &[u8]) -> String {
    octets.iter().map(|&octet| char::from(octet)).collect()
}

/// Appends a content type for a reader of this version; an empty one becomes `*/*`. Registered types, SyncML's
/// among them, go as text, which every reader takes; see [`encode_registered_content_type`].
pub fn encode_content_type(version: EncodingVersion, value: &str, out: &mut Vec<u8>) {
    media::put_content_type(out, version, false, value.as_bytes());
}

/// The same for a reader that is known to take registered types as numbers, because it sent one.
pub fn encode_registered_content_type(version: EncodingVersion, value: &str, out: &mut Vec<u8>) {
    media::put_content_type(out, version, true, value.as_bytes());
}

/// The newest encoding of the default page a block's sender says it understands, if it says so (WSP 8.4.2.70).
#[must_use]
pub fn encoding_version(block: &[u8]) -> Option<EncodingVersion> {
    fields(block, &[])
        .filter_map(Result::ok)
        .find(|field| field.name.eq_ignore_ascii_case("encoding-version"))
        .and_then(|field| EncodingVersion::parse(&field.value))
}

/// Whether a content type is a registered one sent as a number (WSP: 0x0100 and up), as in `03 02 03 03`.
#[must_use]
pub fn is_registered_number(block: &[u8]) -> bool {
    match wire::raw(block) {
        Ok((_, Raw::Data(data))) => matches!(data.first(), Some(2 | 3)) && data.len() >= 2,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn read(block: &[u8]) -> Vec<(String, String)> {
        fields(block, &[])
            .map(|field| field.unwrap())
            .map(|field| {
                let value = String::from_utf8_lossy(&field.value).into_owned();
                (field.name.into_owned(), value)
            })
            .collect()
    }

    fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        fields.iter().map(owned).collect()
    }

    fn encoded(version: EncodingVersion, name: &str, value: &str) -> Vec<u8> {
        let mut out = Vec::new();
        encode_field(version, name, value.as_bytes(), &mut out);
        out
    }

    #[test]
    fn examples_of_appendix_b() {
        use EncodingVersion as V;
        for (name, value, wire, elements) in [
            (
                "accept",
                "application/vnd.wap.wmlc",
                &b"\x80\x94"[..],
                &["application/vnd.wap.wmlc"][..],
            ),
            (
                "accept-language",
                "en;q=0.7",
                b"\x83\x02\x99\x47",
                &["en; q=0.7"],
            ),
            (
                "accept-language",
                "en, sv",
                b"\x83\x99\x83\xF0",
                &["en", "sv"],
            ),
            (
                "date",
                "Thu, 23 Apr 1998 13:41:37 GMT",
                b"\x92\x04\x35\x3F\x45\x11",
                &["Thu, 23 Apr 1998 13:41:37 GMT"],
            ),
            (
                "content-range",
                "bytes 0-499/1025",
                b"\x90\x03\x00\x88\x01",
                &["bytes 0-499/1025"],
            ),
            (
                "accept-ranges",
                "new-range-unit",
                b"\x84new-range-unit\0",
                &["new-range-unit"],
            ),
            ("X-New-header", "foo", b"X-New-header\0foo\0", &["foo"]),
            (
                "X-New-header",
                "foo, bar",
                b"X-New-header\0foo, bar\0",
                &["foo, bar"],
            ),
        ] {
            assert_eq!(encoded(V::V1_2, name, value), wire, "{name}: {value}");
            let expected: Vec<_> = elements.iter().map(|element| (name, *element)).collect();
            let read: Vec<_> = fields(wire, &[])
                .with_body(500)
                .map(|field| field.unwrap())
                .map(|field| {
                    (
                        field.name.into_owned(),
                        String::from_utf8(field.value.into_owned()).unwrap(),
                    )
                })
                .collect();
            assert_eq!(read, pairs(&expected));
        }
    }

    #[test]
    fn newer_fields_go_as_text() {
        assert_eq!(
            encoded(EncodingVersion::V1_2, "Cookie", "a=b"),
            b"Cookie\0a=b\0"
        );
        assert_eq!(
            encoded(EncodingVersion::V1_3, "Cookie", "a=b"),
            b"\xC2\x070\0\x04a\0b\0"
        );
        // Numbers up to 1.2 are for everybody (8.4.1.1).
        assert_eq!(
            encoded(EncodingVersion::V1_1, "Push-Flag", "4"),
            b"\xB4\x84"
        );
    }

    #[test]
    fn what_does_not_fit_its_form_goes_as_text() {
        assert_eq!(
            encoded(EncodingVersion::V1_2, "Date", "soon"),
            b"Date\0soon\0"
        );
        assert_eq!(encoded(EncodingVersion::V1_2, "age", "-1"), b"age\0-1\0");
        assert_eq!(
            encoded(EncodingVersion::V1_2, "accept-encoding", ""),
            b"accept-encoding\0\0"
        );
        assert_eq!(encoded(EncodingVersion::V1_2, "bad name", "x"), b"");
        assert_eq!(
            encoded(EncodingVersion::V1_2, "x-a", "b\0c\r\nd"),
            b"x-a\0b c  d\0"
        );
    }

    #[test]
    fn sloppy_handsets_are_understood() {
        // An empty value, a closing quotation mark, X-Wap-Tod in binary under a text name or as 0x80.
        assert_eq!(
            read(b"\x80\0\x81\xEA"),
            pairs(&[("accept", ""), ("accept-charset", "utf-8")])
        );
        assert_eq!(read(b"\xC0\"<a@b>\"\0"), pairs(&[("content-id", "<a@b>")]));
        assert_eq!(
            read(b"X-WAP.TOD\0\x04\x35\x3F\x45\x11"),
            pairs(&[("X-WAP.TOD", "Thu, 23 Apr 1998 13:41:37 GMT")])
        );
        assert_eq!(read(b"X-Wap-Tod\0\x80"), pairs(&[("X-Wap-Tod", "")]));
        assert_eq!(read(b"\xBF\x80"), pairs(&[("x-wap-tod", "")]));
        assert_eq!(read(b"\xA9\x7FNokia\0"), pairs(&[("user-agent", "Nokia")]));
    }

    #[test]
    fn a_bad_value_costs_only_its_field() {
        let mut fields = fields(b"\x92\x85\xFE\x81\x81\xFF\x80\x94", &[]);
        assert_eq!(
            fields.next().unwrap().unwrap().value.as_ref(),
            b"Thu, 01 Jan 1970 00:00:05 GMT"
        );
        let error = fields.next().unwrap().unwrap_err();
        assert_eq!((error, error.offset()), (unassigned(2), 2));
        let error = fields.next().unwrap().unwrap_err();
        assert!(matches!(error, FieldError::Unassigned(_)));
        assert_eq!(error.offset(), 5);
        assert!(fields.next().unwrap().is_ok());
        assert!(fields.next().is_none());
    }

    #[test]
    fn a_block_that_ends_early_is_malformed() {
        let mut fields = fields(b"\x80\x94\x92\x04\x35", &[]);
        assert!(fields.next().unwrap().is_ok());
        let error = fields.next().unwrap().unwrap_err();
        assert!(error.is_fatal());
        assert_eq!(error.offset(), 4);
        assert!(fields.next().is_none());
    }

    #[test]
    fn pages_shift_and_one_that_was_not_agreed_is_told_apart() {
        let pages = [CodePage {
            code: 0x10,
            page: &X_UP_1,
        }];
        let mut encoder = Encoder::new(EncodingVersion::V1_3).with_pages(&pages);
        let mut block = Vec::new();
        encoder.field("accept", b"*/*", &mut block);
        encoder.field("x-up-devcap-softkey-size", b"12", &mut block);
        encoder.field("x-up-proxy-home-page", b"http://a/", &mut block);
        encoder.field("x-own", b"y", &mut block);
        encoder.field("date", b"soon", &mut block);
        encoder.field("accept", b"text/html", &mut block);
        assert_eq!(
            block,
            b"\x80\x80\x10\x88\x8C\x85http://a/\0x-own\0y\0date\0soon\0\x01\x80\x82"
        );
        assert!(fields(&block, &pages).all(|field| field.is_ok()));
        assert_eq!(fields(&block, &pages).count(), 6);
        let refused: Vec<_> = fields(&block, &[]).collect();
        assert_eq!(
            refused[1],
            Err(FieldError::Page {
                page: 0x10,
                offset: 2
            })
        );
        // The numbers of the unknown page are left out, names and the pages after it are not.
        assert_eq!(refused.len(), 5);
        block.clear();
        encoder.refuse_page(0x10, &mut block);
        assert_eq!(block, b"\xC3\x01\x90");
        // B.2.1: the long form.
        assert!(matches!(
            fields(b"\x7F\x40\x80\x94", &[]).next(),
            Some(Err(FieldError::Page { page: 0x40, .. }))
        ));
    }

    #[test]
    fn a_content_type_leaves_the_fields() {
        let (text, rest) = decode_content_type(b"\x03\x83\x81\xEA\x80\x94").unwrap();
        assert_eq!(
            (&*text, rest),
            ("text/plain; charset=utf-8", &b"\x80\x94"[..])
        );
        assert_eq!(decode_content_type(b"").unwrap().0, "");
        assert_eq!(
            decode_content_type(b"\x08\x83\x85\xE4.gif\0\x80\x80")
                .unwrap()
                .0,
            "text/plain; name=\"ä.gif\""
        );
        assert!(is_registered_number(b"\x03\x02\x03\x03"));
        assert!(!is_registered_number(b"\x03\x83\x81\xEA"));
    }

    fn any_block() -> impl Strategy<Value = Vec<u8>> {
        // Octets that mean something in a block stand more often than others.
        let octet = prop_oneof![
            3 => any::<u8>(),
            2 => 0x80..=0xCAu8,
            2 => 0u8..=8,
            2 => prop::sample::select(b"ab=\";, \x7F\x1F\x22\0".to_vec()),
        ];
        vec(octet, 0..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_block_is_read_into_valid_http(block in any_block()) {
            let pages = [CodePage { code: 0x10, page: &X_UP_1 }];
            for field in fields(&block, &pages).with_body(7).flatten() {
                prop_assert!(http::HeaderName::from_bytes(field.name.as_bytes()).is_ok(), "{field:?}");
                prop_assert!(http::HeaderValue::from_bytes(&field.value).is_ok(), "{field:?}");
            }
            for error in fields(&block, &pages).filter_map(Result::err) {
                prop_assert!(error.offset() <= block.len());
            }
            if let Ok((text, _)) = decode_content_type(&block) {
                prop_assert!(http::HeaderValue::from_str(&text).is_ok(), "{text}");
            }
        }

        #[test]
        fn what_was_read_is_stable(block in any_block(), minor in 1..=5u8) {
            let version = EncodingVersion::new(1, minor).unwrap();
            let once: Vec<_> = fields(&block, &[]).with_body(7).flatten().collect();
            let mut wire = Vec::new();
            for field in &once {
                encode_field(version, &field.name, &field.value, &mut wire);
            }
            // Reading what we wrote never fails, and writing that again changes nothing.
            let twice: Result<Vec<_>, _> = fields(&wire, &[]).with_body(7).collect();
            let twice = match twice {
                Ok(twice) => twice,
                Err(error) => return Err(TestCaseError::fail(format!("{error}: {once:?}"))),
            };
            let mut again = Vec::new();
            for field in &twice {
                encode_field(version, &field.name, &field.value, &mut again);
            }
            let thrice: Vec<_> = fields(&again, &[]).with_body(7).flatten().collect();
            prop_assert_eq!(&twice, &thrice);
        }

        #[test]
        fn any_text_can_be_written(
            name in prop::sample::select(NAMES.to_vec()), value in "\\PC{0,40}|[ -~]{0,40}", minor in 1..=5u8,
        ) {
            let version = EncodingVersion::new(1, minor).unwrap();
            let mut wire = Vec::new();
            encode_field(version, name, value.as_bytes(), &mut wire);
            for field in fields(&wire, &[]) {
                let field = field.map_err(|error| TestCaseError::fail(format!("{error}: {wire:02x?}")))?;
                prop_assert!(field.name.eq_ignore_ascii_case(name));
            }
        }
    }

    const NAMES: [&str; 30] = [
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "authorization",
        "cache-control",
        "content-disposition",
        "content-id",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "encoding-version",
        "expect",
        "if-range",
        "pragma",
        "profile-warning",
        "range",
        "retry-after",
        "set-cookie",
        "te",
        "trailer",
        "vary",
        "via",
        "warning",
        "www-authenticate",
        "x-wap-application-id",
        "x-wap-tod",
        "profile-diff",
        "x-own",
    ];
}
