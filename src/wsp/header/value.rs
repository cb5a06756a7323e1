//! A field's value on the wire, the forms that a value may take (WSP 8.4.2.7 and after), and what
//! forms share.

use std::borrow::Cow;

use super::wire::{self, ASSIGNED, Raw};
use crate::codec::{Malformed, fail};

/// The form of a field's value. Values that are text where a form asks for more are taken as they
/// are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text-string or Uri-value.
    Text,
    /// One octet for each of these, or Token-text.
    Tokens(&'static [(u8, &'static str)]),
    /// Integer-value or Delta-seconds-value.
    Integer,
    /// Short-integer only.
    ShortInteger,
    /// Date-value.
    Date,
    /// Date-value or Text-string: If-Range.
    DateOrText,
    /// X-Wap-Tod: a date, or zero to ask for one.
    TimeOfDay,
    /// A media range with a quality factor.
    Accept,
    /// A character set with a quality factor.
    AcceptCharset,
    /// A content coding with a quality factor.
    AcceptEncoding,
    /// A language with a quality factor.
    AcceptLanguage,
    /// A language.
    ContentLanguage,
    /// A transfer coding with a quality factor.
    Te,
    /// A media type.
    ContentType,
    /// form-data, attachment, inline or a token, with parameters.
    Disposition,
    /// An assigned method.
    Method,
    /// An assigned method or a token.
    MethodOrToken,
    /// Basic or another scheme's answer.
    Credentials,
    /// Basic or another scheme's question.
    Challenge,
    /// A cache directive.
    CacheControl,
    /// no-cache or a parameter.
    Pragma,
    /// 100-continue or an expression.
    Expect,
    /// Sixteen octets.
    Md5,
    /// Where the body stands in the whole.
    ContentRange {
        /// Whether the whole's length may be left open.
        unknown: bool,
    },
    /// The octets wanted.
    Range,
    /// A date or seconds.
    RetryAfter,
    /// The number or name of a field.
    FieldName,
    /// A warning of HTTP.
    Warning,
    /// A warning about a profile.
    ProfileWarning,
    /// The number or URI of a push application.
    Application,
    /// The same, or any.
    AcceptApplication,
    /// WBXML that only the user understands; base64 in text.
    Octets,
    /// A Quoted-string without its marks.
    ContentId,
    /// A cookie to keep.
    SetCookie,
    /// The cookies kept.
    Cookie,
    /// The encoding versions themselves.
    EncodingVersion,
}

/// A value as text, or its error.
pub(crate) type Decoded<'a> = Result<Cow<'a, [u8]>, nom::Err<Malformed<'a>>>;

/// A value on the wire: as its first octet classifies it, and whole for errors to point at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    pub(crate) raw: Raw<'a>,
    pub(crate) whole: &'a [u8],
}

impl<'a> Value<'a> {
    /// That this value is not `expected`.
    pub(crate) fn refuse<T>(self, expected: &'static str) -> Result<T, nom::Err<Malformed<'a>>> {
        Err(fail(self.whole, expected))
    }

    /// The number, if it is an Integer-value.
    pub(crate) fn integer(self) -> Option<u64> {
        match self.raw {
            Raw::Short(short) => Some(u64::from(short)),
            Raw::Data(data) => wire::big_endian(data),
            Raw::Text(_) => None,
        }
    }

    /// The name of an assigned number.
    pub(crate) fn named(self, name: impl Fn(u64) -> Option<&'static str>) -> Decoded<'a> {
        match self.integer().and_then(name) {
            Some(name) => Ok(Cow::Borrowed(name.as_bytes())),
            None => self.refuse(ASSIGNED),
        }
    }
}

/// Appends Token-text; `None` if the value is not one token.
pub(crate) fn put_token(out: &mut Vec<u8>, value: &[u8]) -> Option<()> {
    wire::is_token(value).then(|| wire::put_terminated(out, value))
}

/// The name in a list of one-octet tokens.
pub(crate) fn token(tokens: &[(u8, &'static str)], number: u64) -> Option<&'static str> {
    let found = tokens.iter().find(|(code, _)| u64::from(*code) == number);
    found.map(|(_, name)| *name)
}

/// The number in a list of one-octet tokens.
pub(crate) fn number_of(tokens: &[(u8, &str)], name: &[u8]) -> Option<u8> {
    let found = tokens
        .iter()
        .find(|(_, known)| name.eq_ignore_ascii_case(known.as_bytes()));
    found.map(|(code, _)| *code)
}
