//! Ranges of a body, and when to come again (WSP 8.4.2.23, 8.4.2.42, 8.4.2.44).

use std::borrow::Cow;

use super::value::{Decoded, Value};
use super::wire::{self, ASSIGNED, Raw};
use super::{date, text};
use crate::codec::{put_uintvar, uint8, uintvar};

const BYTE_RANGE: u8 = 0x80;
const SUFFIX_BYTE_RANGE: u8 = 0x81;
const UNKNOWN_LENGTH: u8 = 0x80;
const ABSOLUTE_TIME: u8 = 0x80;
const RELATIVE_TIME: u8 = 0x81;

/// Reads Range.
pub(crate) fn range(value: Value<'_>) -> Decoded<'_> {
    let Raw::Data(data) = value.raw else {
        return value.refuse("a range");
    };
    let (rest, kind) = uint8(data)?;
    let (rest, first) = uintvar(rest)?;
    let text = match kind {
        BYTE_RANGE if rest.is_empty() => format!("bytes={first}-"),
        BYTE_RANGE => {
            let (_, last) = uintvar(rest)?;
            format!("bytes={first}-{last}")
        }
        SUFFIX_BYTE_RANGE => format!("bytes=-{first}"),
        _ => return value.refuse(ASSIGNED),
    };
    Ok(Cow::Owned(text.into_bytes()))
}

/// Appends Range; `None` if the value has several ranges, or a unit other than octets.
pub(crate) fn put_range(out: &mut Vec<u8>, value: &[u8]) -> Option<()> {
    let (unit, ranges) = text::cut(value, b'=');
    unit.eq_ignore_ascii_case(b"bytes").then_some(())?;
    let (first, last) = text::cut(ranges?, b'-');
    let last = last?;
    wire::put_with_length(out, |out| {
        match (first, last) {
            (b"", suffix) => {
                out.push(SUFFIX_BYTE_RANGE);
                put_uintvar(out, position(suffix)?);
            }
            (first, b"") => {
                out.push(BYTE_RANGE);
                put_uintvar(out, position(first)?);
            }
            (first, last) => {
                out.push(BYTE_RANGE);
                put_uintvar(out, position(first)?);
                put_uintvar(out, position(last)?);
            }
        }
        Some(())
    })
}

/// Decodes Content-Range. The wire omits the last position, because the body's length gives it.
/// Without that length the text has only the length of the whole.
pub(crate) fn content_range(value: Value<'_>, body: Option<u64>) -> Decoded<'_> {
    let Raw::Data(data) = value.raw else {
        return value.refuse("a content range");
    };
    let (rest, first) = uintvar(data)?;
    let length = match rest {
        [UNKNOWN_LENGTH] => "*".to_owned(),
        _ => uintvar(rest)?.1.to_string(),
    };
    let text = match body.filter(|body| *body > 0) {
        Some(body) => format!("bytes {first}-{}/{length}", u64::from(first) + body - 1),
        None => format!("bytes */{length}"),
    };
    Ok(Cow::Owned(text.into_bytes()))
}

/// Appends Content-Range; `None` if the peer's form cannot hold it: an unsatisfied range (`*`, with
/// 416), or, in older forms, an unknown length of the whole.
pub(crate) fn put_content_range(out: &mut Vec<u8>, unknown: bool, value: &[u8]) -> Option<()> {
    let (unit, rest) = text::cut(value, b' ');
    unit.eq_ignore_ascii_case(b"bytes").then_some(())?;
    let (range, length) = text::cut(rest?, b'/');
    let length = length?;
    // The wire leaves the last position out: one that is no number, or before the first, cannot
    // follow from a body.
    let (first, last) = text::cut(range, b'-');
    let (first, last) = (position(first)?, position(last?)?);
    if last < first {
        return None;
    }
    wire::put_with_length(out, |out| {
        put_uintvar(out, first);
        match length {
            b"*" if unknown => out.push(UNKNOWN_LENGTH),
            length => put_uintvar(out, position(length)?),
        }
        Some(())
    })
}

fn position(text: &[u8]) -> Option<u32> {
    u32::try_from(text::decimal(text)?).ok()
}

/// Reads Retry-After.
pub(crate) fn retry_after(value: Value<'_>) -> Decoded<'_> {
    let Raw::Data(data) = value.raw else {
        return value.refuse("a date or seconds");
    };
    let (rest, kind) = uint8(data)?;
    let (_, number) = wire::integer(rest)?;
    let text = match kind {
        ABSOLUTE_TIME => date::text(number),
        RELATIVE_TIME => Some(number.to_string()),
        _ => return value.refuse(ASSIGNED),
    };
    match text {
        Some(text) => Ok(Cow::Owned(text.into_bytes())),
        None => value.refuse("a date"),
    }
}

/// Appends Retry-After; `None` if the value is neither a date nor seconds.
pub(crate) fn put_retry_after(out: &mut Vec<u8>, value: &[u8]) -> Option<()> {
    wire::put_with_length(out, |out| {
        if let Some(seconds) = text::decimal(value) {
            out.push(RELATIVE_TIME);
            wire::put_integer(out, seconds);
        } else {
            out.push(ABSOLUTE_TIME);
            wire::put_long(out, date::on_wire(value)?);
        }
        Some(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wsp::header::tests::read_value as read;

    #[test]
    fn the_last_position_follows_from_the_body() {
        let wire = b"\x04\x83\x74\x88\x01";
        let with = |body| read(wire, |value| content_range(value, body));
        assert_eq!(with(Some(500)).as_deref(), Some("bytes 500-999/1025"));
        assert_eq!(with(Some(0)).as_deref(), Some("bytes */1025"));
        assert_eq!(with(None).as_deref(), Some("bytes */1025"));
    }

    #[test]
    fn a_range_that_cannot_be_had_goes_as_text() {
        for value in [
            "bytes */1234",
            "bytes */*",
            "bytes 5-/9",
            "bytes 5-3/9",
            "bytes 5/9",
        ] {
            let mut out = Vec::new();
            assert_eq!(
                put_content_range(&mut out, true, value.as_bytes()),
                None,
                "{value}"
            );
        }
    }

    #[test]
    fn what_does_not_fit_goes_as_text() {
        let mut out = Vec::new();
        assert_eq!(put_content_range(&mut out, false, b"bytes 0-1/*"), None);
        assert_eq!(put_content_range(&mut out, true, b"lines 0-1/2"), None);
        assert_eq!(put_range(&mut out, b"bytes=0-1,5-6"), None);
        assert_eq!(put_range(&mut out, b"bytes=4294967296-"), None);
        assert_eq!(put_retry_after(&mut out, b"soon"), None);
    }

    #[test]
    fn unassigned_kinds_are_refused() {
        assert_eq!(read(b"\x02\x82\x01", range), None);
        assert_eq!(read(b"\x02\x82\x81", retry_after), None);
        assert_eq!(read(b"\x85", range), None);
    }
}
