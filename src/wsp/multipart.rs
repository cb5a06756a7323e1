//! Multipart bodies: WSP's binary form and MIME's, turned into each other (WSP 8.5).
//!
//! `multipart/X` and `application/vnd.wap.multipart.X` are the same thing in two codings. A part
//! that is itself a multipart is turned, too.

use crate::codec::{DecodeError, Parsed, located, octets, put_uintvar, uintvar, uintvar_of};
use crate::wsp::header::{
    Encoder, EncodingVersion, decode_content_type, encode_content_type, fields,
};

/// One part of a binary body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// The content type first, then fields.
    pub headers: &'a [u8],
    /// The part's body.
    pub data: &'a [u8],
}

/// Why a body cannot be turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MultipartError {
    /// The binary body violates WSP 8.5.
    #[error("{0}")]
    Malformed(#[from] DecodeError),
    /// The MIME content type names no boundary, or the body has no line with it.
    #[error("no boundary")]
    NoBoundary,
    /// More than [`MAX_PARTS`], nested ones included.
    #[error("more than {MAX_PARTS} parts")]
    TooManyParts,
    /// The fields of its parts grow out of proportion: two octets of WSP may be thirty of MIME.
    #[error("its parts have too many fields")]
    Amplified,
}

/// Parts that a body may have: each costs some octets of text for two of binary.
pub const MAX_PARTS: usize = 1000;
/// Octets of boundaries and fields in MIME: a fixed part, and a part for each octet of the body.
const MAX_FIELDS: usize = 64 << 10;
const MAX_FIELDS_PER_OCTET: usize = 2;
/// Multiparts inside each other that are turned; one still deeper stays as it is.
const MAX_DEPTH: usize = 4;

/// Octets of a boundary (RFC 2046 5.1.1); looking for a longer one could cost more than its body is
/// worth.
const MAX_BOUNDARY: usize = 70;

const BINARY: &str = "application/vnd.wap.multipart.";
const MIME: &str = "multipart/";

/// Whether a body of this type is in the binary form.
#[must_use]
pub fn is_binary(content_type: &str) -> bool {
    strip_prefix(content_type, BINARY).is_some()
}

/// Whether a body of this type is in MIME's form.
#[must_use]
pub fn is_mime(content_type: &str) -> bool {
    strip_prefix(content_type, MIME).is_some()
}

/// The parts of a binary body.
///
/// The number of entries at its start was dropped after encoding version 1.3 and is often wrong: it
/// only decides whether octets that are no part, after the last one, are an error.
pub fn parts(body: &[u8]) -> impl Iterator<Item = Result<Part<'_>, DecodeError>> {
    let (mut rest, count, mut failed) = match located(body, uintvar) {
        Ok((rest, count)) => (rest, count, None),
        Err(error) => (&[][..], 0, Some(error)),
    };
    let mut seen = 0u32;
    std::iter::from_fn(move || {
        if let Some(error) = failed.take() {
            return Some(Err(error));
        }
        if rest.is_empty() {
            return None;
        }
        let offset = body.len() - rest.len();
        match located(rest, part) {
            Ok((after, part)) => {
                rest = after;
                seen = seen.saturating_add(1);
                Some(Ok(part))
            }
            Err(error) => {
                rest = &[];
                let all_seen = count > 0 && seen >= count;
                (!all_seen).then_some(Err(DecodeError {
                    offset: offset + error.offset,
                    ..error
                }))
            }
        }
    })
}

fn part(input: &[u8]) -> Parsed<'_, Part<'_>> {
    let (rest, headers) = uintvar(input)?;
    let (rest, data) = uintvar(rest)?;
    let len = |len| usize::try_from(len).unwrap_or(usize::MAX);
    let (rest, headers) = octets(len(headers))(rest)?;
    let (rest, data) = octets(len(data))(rest)?;
    Ok((rest, Part { headers, data }))
}

/// Appends one part of a binary body.
pub fn put_part(out: &mut Vec<u8>, part: Part<'_>) {
    put_uintvar(out, uintvar_of(part.headers.len()));
    put_uintvar(out, uintvar_of(part.data.len()));
    out.extend_from_slice(part.headers);
    out.extend_from_slice(part.data);
}

/// Converts a binary body to MIME. Returns the content type, with a boundary, and the body.
///
/// The boundary comes from `seed`, which must be unpredictable for the sender.
///
/// # Errors
///
/// The body is malformed or has too many parts.
pub fn to_mime(
    content_type: &str,
    body: &[u8],
    seed: u64,
) -> Result<(String, Vec<u8>), MultipartError> {
    let mut out = Vec::with_capacity(body.len() + body.len() / 2 + 256);
    let mut turn = Turn {
        left: MAX_PARTS,
        fields_left: body
            .len()
            .saturating_mul(MAX_FIELDS_PER_OCTET)
            .saturating_add(MAX_FIELDS),
        seed,
    };
    let content_type = turn.mime(content_type, body, MAX_DEPTH, &mut out)?;
    Ok((content_type, out))
}

/// Turns a MIME body into the binary form for a reader of this version. Returns the content type,
/// without the boundary, and the body.
///
/// # Errors
///
/// The boundary is missing or there are too many parts.
pub fn from_mime(
    version: EncodingVersion,
    content_type: &str,
    body: &[u8],
) -> Result<(String, Vec<u8>), MultipartError> {
    let mut out = Vec::with_capacity(body.len());
    let mut turn = Turn {
        left: MAX_PARTS,
        fields_left: usize::MAX,
        seed: 0,
    };
    let content_type = turn.binary(version, content_type, body, MAX_DEPTH, &mut out)?;
    Ok((content_type, out))
}

/// A conversion: its remaining budget, and the source of its boundaries.
struct Turn {
    left: usize,
    fields_left: usize,
    seed: u64,
}

impl Turn {
    fn count(&mut self) -> Result<(), MultipartError> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or(MultipartError::TooManyParts)?;
        Ok(())
    }

    /// Counts octets of boundaries and fields, before the body of a part is copied.
    fn count_fields(&mut self, octets: usize) -> Result<(), MultipartError> {
        self.fields_left = self
            .fields_left
            .checked_sub(octets)
            .ok_or(MultipartError::Amplified)?;
        Ok(())
    }

    fn mime(
        &mut self,
        content_type: &str,
        body: &[u8],
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<String, MultipartError> {
        let boundary = self.boundary(body);
        for part in parts(body) {
            let part = part?;
            self.count()?;
            let (part_type, block) = decode_content_type(part.headers)?;
            let mut nested = Vec::new();
            let turned = match is_binary(&part_type) && depth > 0 {
                true => Some(self.mime(&part_type, part.data, depth - 1, &mut nested)?),
                false => None,
            };
            let mut head = format!("--{boundary}\r\n").into_bytes();
            let part_type = turned.as_deref().unwrap_or(&part_type);
            if !part_type.is_empty() {
                put_line(&mut head, "Content-Type", part_type.as_bytes());
            }
            for field in fields(block, &[]).with_body(part.data.len()) {
                match field {
                    Ok(field) => put_line(&mut head, &field.name, &field.value),
                    Err(error) if error.is_fatal() => {
                        return Err(MultipartError::Malformed(DecodeError {
                            offset: error.offset(),
                            expected: "a part's fields",
                        }));
                    }
                    // One field that cannot be read does not cost the part.
                    Err(_) => {}
                }
                if head.len() > self.fields_left {
                    return Err(MultipartError::Amplified);
                }
            }
            self.count_fields(head.len())?;
            out.extend_from_slice(&head);
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(if turned.is_some() { &nested } else { part.data });
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        let kind = strip_prefix(content_type, BINARY).unwrap_or(content_type);
        Ok(format!("{MIME}{kind}; boundary=\"{boundary}\""))
    }

    /// A boundary that no line of the body begins with.
    fn boundary(&mut self, body: &[u8]) -> String {
        loop {
            // SplitMix64: all it must do is not repeat and not be guessed without the seed.
            self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = self.seed;
            mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
            let boundary = format!("part-{:016x}", mixed ^ mixed >> 31);
            if !body
                .windows(boundary.len())
                .any(|window| window == boundary.as_bytes())
            {
                return boundary;
            }
        }
    }

    fn binary(
        &mut self,
        version: EncodingVersion,
        content_type: &str,
        body: &[u8],
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<String, MultipartError> {
        let (content_type, boundary) = without_boundary(content_type);
        let boundary = boundary.ok_or(MultipartError::NoBoundary)?;
        let mut entries = Vec::with_capacity(body.len());
        let mut count = 0u32;
        for part in mime_parts(body, &boundary).ok_or(MultipartError::NoBoundary)? {
            self.count()?;
            count += 1;
            let (lines, data) = head_and_body(part);
            let mut part_type = String::from("text/plain");
            let mut encoder = Encoder::new(version);
            let mut block = Vec::new();
            for_each_field(lines, |name, value| {
                if name.eq_ignore_ascii_case("content-type") {
                    part_type = String::from_utf8_lossy(value).into_owned();
                } else {
                    encoder.field(name, value, &mut block);
                }
            });
            let mut nested = Vec::new();
            let turned = match is_mime(&part_type) && depth > 0 {
                true => self
                    .binary(version, &part_type, data, depth - 1, &mut nested)
                    .ok(),
                false => None,
            };
            let mut headers = Vec::with_capacity(block.len() + 40);
            encode_content_type(
                version,
                turned.as_deref().unwrap_or(&part_type),
                &mut headers,
            );
            headers.extend_from_slice(&block);
            let data = if turned.is_some() { &nested } else { data };
            put_part(
                &mut entries,
                Part {
                    headers: &headers,
                    data,
                },
            );
        }
        // Above 1.3 the number is not read any more and sent as zero (WSP 8.5.2).
        put_uintvar(
            out,
            if version > EncodingVersion::V1_3 {
                0
            } else {
                count
            },
        );
        out.extend_from_slice(&entries);
        let kind = strip_prefix(&content_type, MIME).unwrap_or(&content_type);
        Ok(format!("{BINARY}{kind}"))
    }
}

fn strip_prefix<'a>(content_type: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = content_type.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn put_line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Takes the boundary out of a content type's parameters.
fn without_boundary(content_type: &str) -> (String, Option<String>) {
    let mut kept = String::with_capacity(content_type.len());
    let mut boundary = None;
    for part in split_parameters(content_type) {
        match part.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("boundary") => {
                boundary = Some(value.trim().trim_matches('"').to_owned());
            }
            _ => {
                if !kept.is_empty() {
                    kept.push_str("; ");
                }
                kept.push_str(part);
            }
        }
    }
    let is_one = |boundary: &String| (1..=MAX_BOUNDARY).contains(&boundary.len());
    (kept, boundary.filter(is_one))
}

/// The parts between semicolons outside quotation marks.
fn split_parameters(content_type: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let parts = content_type.split(move |sign| {
        quoted ^= sign == '"';
        sign == ';' && !quoted
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

/// The parts between the boundary lines, without preamble and epilogue. `None` without a boundary
/// line.
fn mime_parts<'a>(body: &'a [u8], boundary: &str) -> Option<impl Iterator<Item = &'a [u8]>> {
    let delimiter = format!("--{boundary}").into_bytes();
    let (_, mut rest) = next_delimiter(body, &delimiter)?;
    Some(std::iter::from_fn(move || {
        if rest.starts_with(b"--") {
            return None;
        }
        let start = after_line(rest);
        // A body that ends without its last boundary is taken as far as it goes.
        let (part, after) = next_delimiter(start, &delimiter).unwrap_or((start, b"--"));
        rest = after;
        Some(part)
    }))
}

/// The text before the next delimiter at the start of a line (without that line's break), and the
/// text after it.
fn next_delimiter<'a>(text: &'a [u8], delimiter: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut from = 0;
    loop {
        let rest = text.get(from..)?;
        let at = from
            + rest
                .windows(delimiter.len())
                .position(|window| window == delimiter)?;
        let (before, after) = text.split_at_checked(at)?;
        let after = after.get(delimiter.len()..)?;
        let begins_line = before.is_empty() || before.ends_with(b"\n");
        let ends = matches!(
            after.first(),
            None | Some(b'-' | b'\r' | b'\n' | b' ' | b'\t')
        );
        if begins_line && ends {
            let before = before.strip_suffix(b"\n").unwrap_or(before);
            return Some((before.strip_suffix(b"\r").unwrap_or(before), after));
        }
        from = at + 1;
    }
}

fn after_line(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|&octet| octet == b'\n');
    end.and_then(|end| text.get(end + 1..)).unwrap_or_default()
}

/// The field lines of a part and, after an empty line, its body.
fn head_and_body(part: &[u8]) -> (&[u8], &[u8]) {
    let mut rest = part;
    loop {
        let line_end = rest.iter().position(|&octet| octet == b'\n');
        let line = line_end.and_then(|end| rest.get(..end)).unwrap_or(rest);
        if line.is_empty() || line == b"\r" {
            let head = part.get(..part.len() - rest.len()).unwrap_or_default();
            return (head, after_line(rest));
        }
        if line_end.is_none() {
            return (part, &[]);
        }
        rest = after_line(rest);
    }
}

/// Gives every field to `each`, one folded over several lines as one.
fn for_each_field(lines: &[u8], mut each: impl FnMut(&str, &[u8])) {
    let mut give = |line: &[u8]| {
        let colon = line.iter().position(|&octet| octet == b':');
        let Some((name, value)) = colon.and_then(|colon| line.split_at_checked(colon)) else {
            return;
        };
        let value = value.strip_prefix(b":").unwrap_or(value);
        if let Ok(name) = std::str::from_utf8(name) {
            each(name.trim(), value.trim_ascii());
        }
    };
    let mut field: Vec<u8> = Vec::new();
    for line in lines.split(|&octet| octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            give(&field);
            field.clear();
        }
        field.extend_from_slice(line);
    }
    give(&field);
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    // 8.5: two entries, text/plain with a Content-Location and image/gif.
    const WIRE: &[u8] = b"\x02\x04\x05\x83\x8Ea\0hello\x01\x03\x9DGIF";

    #[test]
    fn a_body_of_many_short_fields_does_not_grow_out_of_proportion() {
        // Content-Language: Afar, in two octets; one part of each hundred of them.
        let fields = b"\x8B\x81".repeat(100);
        let mut body = vec![0x81, 0x00];
        for _ in 0..900 {
            let headers = [&b"\x83"[..], &fields].concat();
            put_part(
                &mut body,
                Part {
                    headers: &headers,
                    data: b"",
                },
            );
        }
        let few = &body[..2 + 200 * 204];
        let (_, mime) = to_mime("application/vnd.wap.multipart.mixed", few, 1).unwrap_or_default();
        assert!(mime.len() <= 3 * few.len() + MAX_FIELDS);
        let turned = to_mime("application/vnd.wap.multipart.mixed", &body, 1);
        assert_eq!(turned, Err(MultipartError::Amplified));
    }

    #[test]
    fn a_binary_body_comes_apart() {
        let read: Result<Vec<_>, _> = parts(WIRE).collect();
        assert_eq!(
            read.unwrap(),
            [
                Part {
                    headers: b"\x83\x8Ea\0",
                    data: b"hello"
                },
                Part {
                    headers: b"\x9D",
                    data: b"GIF"
                },
            ]
        );
    }

    #[test]
    fn the_number_of_entries_is_not_believed() {
        let mut wire = WIRE.to_vec();
        wire[0] = 0;
        assert_eq!(parts(&wire).filter(Result::is_ok).count(), 2);
        wire[0] = 1;
        assert_eq!(parts(&wire).filter(Result::is_ok).count(), 2);
        wire[0] = 2;
        wire.extend_from_slice(b"\x09");
        assert!(parts(&wire).all(|part| part.is_ok()), "junk after the last");
        wire[0] = 0;
        assert_eq!(parts(&wire).last().unwrap().unwrap_err().offset, 19);
    }

    #[test]
    fn binary_becomes_mime_and_back() {
        let kind = "application/vnd.wap.multipart.related; type=\"text/plain\"; start=\"<a>\"";
        let (mime_type, mime) = to_mime(kind, WIRE, 7).unwrap();
        let boundary = mime_type
            .split("boundary=\"")
            .nth(1)
            .unwrap()
            .trim_end_matches('"');
        let expected = format!(
            "--{boundary}\r\nContent-Type: text/plain\r\ncontent-location: a\r\n\r\nhello\r\n\
             --{boundary}\r\nContent-Type: image/gif\r\n\r\nGIF\r\n--{boundary}--\r\n"
        );
        assert_eq!(String::from_utf8(mime.clone()).unwrap(), expected);
        assert!(
            mime_type
                .starts_with("multipart/related; type=\"text/plain\"; start=\"<a>\"; boundary=")
        );
        let (binary_type, binary) = from_mime(EncodingVersion::V1_2, &mime_type, &mime).unwrap();
        assert_eq!(binary_type, kind);
        assert_eq!(binary, WIRE);
        let (_, newer) = from_mime(EncodingVersion::V1_4, &mime_type, &mime).unwrap();
        assert_eq!((newer[0], &newer[1..]), (0, &WIRE[1..]));
    }

    #[test]
    fn a_nested_multipart_is_turned_too() {
        let mime = b"preamble\r\n--o\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\n\r\nx\r\n--i--\r\n--o--";
        let (kind, wire) = from_mime(
            EncodingVersion::V1_2,
            "multipart/mixed; boundary=\"o\"",
            mime,
        )
        .unwrap();
        assert_eq!(kind, "application/vnd.wap.multipart.mixed");
        assert_eq!(wire, b"\x01\x01\x05\xA6\x01\x01\x01\x83x");
        let (_, again) = to_mime(&kind, &wire, 1).unwrap();
        let again = String::from_utf8(again).unwrap();
        assert!(
            again.contains("Content-Type: multipart/alternative; boundary="),
            "{again}"
        );
        assert!(
            again.contains("Content-Type: text/plain\r\n\r\nx\r\n"),
            "{again}"
        );
    }

    #[test]
    fn sloppy_mime_is_read() {
        // Bare line feeds, folded fields, no content type, no last boundary, a boundary inside a
        // line.
        let mime = b"--o\nX-A: b\n c\n\nbody --o\n--other\n--o\nContent-Type: text/html\n\n";
        let (_, wire) =
            from_mime(EncodingVersion::V1_2, "multipart/mixed; boundary=o", mime).unwrap();
        assert_eq!(
            wire,
            b"\x02\x09\x10\x83X-A\0b c\0body --o\n--other\x01\x00\x82"
        );
        let error = |kind, body| from_mime(EncodingVersion::V1_2, kind, body).unwrap_err();
        assert_eq!(error("multipart/mixed", mime), MultipartError::NoBoundary);
        assert_eq!(
            error("multipart/mixed; boundary=x", mime),
            MultipartError::NoBoundary
        );
    }

    #[test]
    fn too_many_parts_are_refused() {
        let bomb = [&[0][..], &[0, 0].repeat(MAX_PARTS + 1)].concat();
        let error = to_mime("application/vnd.wap.multipart.mixed", &bomb, 1).unwrap_err();
        assert_eq!(error, MultipartError::TooManyParts);
    }

    fn any_parts() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
        vec((0x82..=0x8Au8, vec(any::<u8>(), 0..40)), 0..6)
    }

    proptest! {
        #[test]
        fn parts_survive_the_way_there_and_back(list in any_parts(), seed: u64) {
            let mut wire = Vec::new();
            put_uintvar(&mut wire, uintvar_of(list.len()));
            for (kind, data) in &list {
                put_part(&mut wire, Part { headers: &[*kind], data });
            }
            let (kind, mime) = to_mime("application/vnd.wap.multipart.mixed", &wire, seed).unwrap();
            let (kind, again) = from_mime(EncodingVersion::V1_2, &kind, &mime).unwrap();
            prop_assert_eq!(kind, "application/vnd.wap.multipart.mixed");
            prop_assert_eq!(again, wire);
        }

        #[test]
        fn any_body_is_turned_or_refused(body: Vec<u8>, seed: u64) {
            let _ = to_mime("application/vnd.wap.multipart.mixed", &body, seed);
            let text = [b"--b\r\n", &body[..], b"\r\n--b--"].concat();
            let _ = from_mime(EncodingVersion::V1_2, "multipart/mixed; boundary=b", &text);
        }
    }
}
