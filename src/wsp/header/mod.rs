//! Header blocks: HTTP fields in WSP's compact coding (WSP 8.4).
//!
//! [`fields`] decodes a block to HTTP text, and [`Encoder`] (or [`encode_field`]) encodes one. A
//! field without an assigned number is sent as text.
//!
//! `table` has the number and the form of each field; `value` has the forms. A new header field is
//! a row in `table`.

mod accept;
mod application;
mod assigned;
mod auth;
mod cache;
mod charset;
mod cookie;
pub(crate) mod date;
mod encoder;
mod fields;
#[cfg(test)]
mod fixtures;
mod form;
mod language;
mod media;
mod media_types;
mod parameter;
mod range;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod value;
mod version;
mod warning;
mod wire;

use std::borrow::Cow;

pub use self::encoder::{Encoder, encode_field};
pub use self::fields::{Fields, fields, without_credentials};
pub use self::table::{Page, X_UP_1};
pub use self::version::EncodingVersion;
use self::wire::Raw;
use crate::codec::{DecodeError, located};

/// A field in HTTP's text form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name: in lower case where it came as a number, as sent where it came as text. Always a
    /// token.
    pub name: Cow<'a, str>,
    /// The value. Never holds a control other than a tab, so it cannot break an HTTP header.
    pub value: Cow<'a, [u8]>,
}

/// Why a field, or the rest of a block, is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The rest of the block cannot be decoded. The iterator ends after this error.
    #[error("{0}")]
    Malformed(DecodeError),
    /// This field's value is not in its form. The fields after it are read.
    #[error("{0}")]
    Value(DecodeError),
    /// The number of a field's name or value is unassigned. The fields after it are decoded.
    #[error("{0}")]
    Unassigned(DecodeError),
    /// The block shifts to a page that was not agreed; its numbered fields are left out. Answered
    /// with 400 and an Encoding-Version field that refuses the page ([`Encoder::refuse_page`]).
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
    /// The code page of its numbers.
    pub page: &'static Page,
}

/// The page that every block begins on.
const DEFAULT_PAGE: u8 = 1;
const SHIFT: u8 = 0x7F;

/// Whether a field of this name, in lower case, has a number in some version of the encoding.
#[must_use]
pub fn is_assigned(name: &[u8]) -> bool {
    table::rows(name).next().is_some()
}

/// The media type of an assigned number, well-known or registered (WINA).
#[must_use]
pub fn media_name(number: u32) -> Option<&'static str> {
    media_types::name(number.into())
}

/// The assigned number of a media type, in upper or lower case.
#[must_use]
pub fn media_number(name: &str) -> Option<u16> {
    media_types::number(name.as_bytes())
}

/// The number of a push application's URI, if it is registered.
#[must_use]
pub fn application_number(uri: &str) -> Option<u16> {
    application::number(uri.as_bytes())
}

/// The URI of a push application's number, if it is registered.
#[must_use]
pub fn application_name(number: u64) -> Option<&'static str> {
    application::name(number)
}

/// Decodes the content type at the start of a Post's, Reply's or Push's block, and returns the
/// fields after it.
///
/// An empty block has an empty content type. An unassigned number becomes
/// `application/octet-stream`. Text that is not UTF-8 is decoded as ISO 8859-1.
///
/// # Errors
///
/// The block starts with no content type.
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

/// Appends a content type for a reader of this version; an empty one becomes `*/*`. Registered
/// types, SyncML's among them, go as text, which every reader takes; see
/// [`encode_registered_content_type`].
pub fn encode_content_type(version: EncodingVersion, value: &str, out: &mut Vec<u8>) {
    media::put_content_type(out, version, false, value.as_bytes());
}

/// The same for a reader that is known to take registered types as numbers, because it sent one.
pub fn encode_registered_content_type(version: EncodingVersion, value: &str, out: &mut Vec<u8>) {
    media::put_content_type(out, version, true, value.as_bytes());
}

/// The newest encoding version of the default page in a block's Encoding-Version field, if there is
/// one (WSP 8.4.2.70).
#[must_use]
pub fn encoding_version(block: &[u8]) -> Option<EncodingVersion> {
    fields(block, &[])
        .filter_map(Result::ok)
        .find(|field| field.name.eq_ignore_ascii_case("encoding-version"))
        .and_then(|field| EncodingVersion::parse(&field.value))
}

/// Whether a content type is a registered one sent as a number (WSP: 0x0100 and up), as in `03 02
/// 03 03`.
#[must_use]
pub fn is_registered_number(block: &[u8]) -> bool {
    match wire::raw(block) {
        Ok((_, Raw::Data(data))) => matches!(data.first(), Some(2 | 3)) && data.len() >= 2,
        _ => false,
    }
}

/// Makes a value safe for an HTTP header: any control but a tab becomes a space, and the ends are
/// trimmed.
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
