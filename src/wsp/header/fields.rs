//! Reading a header block.

use std::borrow::Cow;

use super::form;
use super::value::{Form, Value};
use super::wire::{self, Raw};
use super::{CodePage, DEFAULT_PAGE, Field, FieldError, Page, SHIFT, safe, table};
use crate::codec::{DecodeError, located, terminated, uint8};

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

/// A copy of a block without the credentials of the client: Authorization, Proxy-Authorization,
/// Cookie. Fields behind a malformed one are left out.
#[must_use]
pub fn without_credentials(block: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(block.len());
    let mut fields = fields(block, &[]);
    let mut start = 0;
    loop {
        let field = fields.next();
        let end = fields.offset();
        let is_kept = match &field {
            None | Some(Err(FieldError::Malformed(_))) => return kept,
            Some(Ok(field)) => !CREDENTIALS
                .iter()
                .any(|name| field.name.eq_ignore_ascii_case(name)),
            // A value that cannot be read may be a credential all the same.
            Some(Err(FieldError::Value(_))) => false,
            Some(Err(FieldError::Unassigned(_) | FieldError::Page { .. })) => true,
        };
        let octets = block.get(start..end).unwrap_or_default();
        // A shift of the page before a credential is for the fields after it too.
        let len = if is_kept {
            octets.len()
        } else {
            shift_len(octets)
        };
        kept.extend_from_slice(octets.get(..len).unwrap_or_default());
        start = end;
    }
}

/// Octets of the page shifts at the start of a block.
fn shift_len(block: &[u8]) -> usize {
    let mut rest = block;
    loop {
        rest = match rest {
            [0x01..=0x1F, after @ ..] | [SHIFT, _, after @ ..] => after,
            _ => return block.len() - rest.len(),
        };
    }
}

/// The names of fields by which a client proves itself, in lower case.
const CREDENTIALS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

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
    /// Gives the length of the body, which Content-Range needs for its last position.
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
            form::decode(form, value, self.body).map(|text| (&[][..], text))
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
        // A name in text asks for a value in text (WSP 8.4.1.2), but X-WAP.TOD is older than that
        // rule.
        let form = match value.raw {
            Raw::Text(_) => match table::rows(name.as_bytes()).next().map(|row| row.form) {
                Some(form @ (Form::Accept | Form::ContentType | Form::Disposition)) => form,
                _ => Form::Text,
            },
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

/// The first octet decides the form of fields of an extension page, and of named fields in binary.
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
