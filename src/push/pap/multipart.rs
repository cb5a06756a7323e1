//! The entities of a PAP message: control, content and capabilities (WAP-247 7), in
//! `multipart/related` as initiators write it.
//!
//! They write an empty line before the first boundary, lines that end in LF only, a preamble,
//! boundaries in quotation marks or none in the field at all, the control entity at another place
//! than the first (`start`), and transfer codings.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

/// The entities of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entities {
    /// The document.
    pub control: Bytes,
    /// The content for the client.
    pub content: Option<Entity>,
    /// The capabilities that the initiator assumes of the client, in RDF.
    pub capabilities: Option<Entity>,
}

/// A part: its header fields and its body, without its transfer coding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entity {
    /// The fields, names in lower case.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Entity {
    /// The value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Why a message has no entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntityError {
    /// No boundary line.
    #[error("no boundary")]
    NoBoundary,
    /// More than [`MAX_PARTS`] parts, or a part with too many header fields.
    #[error("too many parts or header fields")]
    TooMany,
    /// The body of a part is not in its transfer coding.
    #[error("a part is not in its transfer coding")]
    Coding,
    /// No part at all, or not the one that `start` names.
    #[error("no control entity")]
    NoControl,
}

/// Takes a message apart. One that is not multipart is its control entity.
///
/// # Errors
///
/// An [`EntityError`] if it is multipart and cannot be taken apart.
pub fn entities(content_type: &str, body: &Bytes) -> Result<Entities, EntityError> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let is_multipart = essence
        .get(..10)
        .is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
    if !is_multipart {
        return Ok(Entities {
            control: body.clone(),
            content: None,
            capabilities: None,
        });
    }
    let named = parameter(content_type, "boundary").filter(|boundary| !boundary.is_empty());
    let boundary = match &named {
        Some(boundary) if boundary.len() <= MAX_BOUNDARY => boundary.as_bytes(),
        Some(_) => return Err(EntityError::NoBoundary),
        None => first_boundary(body).ok_or(EntityError::NoBoundary)?,
    };
    let mut parts = Vec::new();
    for range in ranges(body, boundary)? {
        parts.push(part(body.slice(range))?);
    }
    let start = parameter(content_type, "start");
    let first = match &start {
        // A `start` that names nothing is passed over: the specification wants the first.
        Some(id) => parts
            .iter()
            .position(|part| {
                part.field("content-id")
                    .is_some_and(|own| bare(own) == bare(id))
            })
            .unwrap_or(0),
        None => 0,
    };
    if parts.is_empty() {
        return Err(EntityError::NoControl);
    }
    let control = parts.remove(first).body;
    let mut rest = parts.into_iter();
    Ok(Entities {
        control,
        content: rest.next(),
        capabilities: rest.next(),
    })
}

/// The value of a parameter of a media type.
#[must_use]
pub fn parameter(media_type: &str, name: &str) -> Option<String> {
    let mut rest = media_type.split_once(';')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted_string(quoted),
            None => {
                let (value, next) = after.split_once(';').unwrap_or((after, ""));
                (value.trim().to_owned(), next)
            }
        };
        let key = key.trim().trim_start_matches(';').trim();
        if key.eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = next.trim_start().strip_prefix(';').unwrap_or(next);
    }
}

/// A quoted string behind its first mark, and the rest.
fn quoted_string(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, text.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

/// A Content-ID without its angle brackets.
fn bare(id: &str) -> &str {
    id.trim().trim_start_matches('<').trim_end_matches('>')
}

/// The boundary in the first line that begins with two hyphens.
fn first_boundary(body: &[u8]) -> Option<&[u8]> {
    let mut lines = body.split(|octet| *octet == b'\n').take(MOST_LINES);
    let line = lines
        .find_map(|line| line.strip_prefix(b"--"))?
        .trim_ascii_end();
    (1..=MAX_BOUNDARY).contains(&line.len()).then_some(line)
}

/// Where the parts are. A body without a closing boundary is taken as far as it goes.
fn ranges(body: &[u8], boundary: &[u8]) -> Result<Vec<std::ops::Range<usize>>, EntityError> {
    let mut ranges = Vec::new();
    let mut begin = None;
    let mut at = 0;
    while at < body.len() {
        let line = body.get(at..).unwrap_or_default();
        let length = line
            .iter()
            .position(|octet| *octet == b'\n')
            .map_or(line.len(), |end| end + 1);
        let line = line.get(..length).unwrap_or_default();
        if let Some(closes) = delimiter(line, boundary) {
            if let Some(begin) = begin {
                ranges.push(begin..before_line(body, begin, at));
            }
            if closes {
                return Ok(ranges);
            }
            if ranges.len() >= MAX_PARTS {
                return Err(EntityError::TooMany);
            }
            begin = Some(at + length);
        }
        at += length;
    }
    let begin = begin.ok_or(EntityError::NoBoundary)?;
    ranges.push(begin..body.len());
    Ok(ranges)
}

/// Whether a line is a boundary, and whether it is the closing one.
fn delimiter(line: &[u8], boundary: &[u8]) -> Option<bool> {
    let after = line.strip_prefix(b"--")?.strip_prefix(boundary)?;
    let (rest, closes) = match after.strip_prefix(b"--") {
        Some(rest) => (rest, true),
        None => (after, false),
    };
    rest.trim_ascii().is_empty().then_some(closes)
}

/// The end of a part: the line break before a boundary belongs to the boundary.
fn before_line(body: &[u8], begin: usize, at: usize) -> usize {
    let part = body.get(begin..at).unwrap_or_default();
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    begin + part.strip_suffix(b"\r").unwrap_or(part).len()
}

fn part(octets: Bytes) -> Result<Entity, EntityError> {
    let (head, from) = head(&octets);
    let mut fields: Vec<(String, String)> = Vec::new();
    let head = String::from_utf8_lossy(head);
    for line in head.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.starts_with([' ', '\t']) && !fields.is_empty() {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            if fields.len() >= MAX_FIELDS {
                return Err(EntityError::TooMany);
            }
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let mut entity = Entity {
        fields,
        body: octets.slice(from..),
    };
    let coding = entity
        .field("content-transfer-encoding")
        .unwrap_or_default();
    if coding.eq_ignore_ascii_case("base64") {
        let text: Vec<u8> = entity
            .body
            .iter()
            .copied()
            .filter(|octet| !octet.is_ascii_whitespace())
            .collect();
        entity.body = BASE64.decode(text).map_err(|_| EntityError::Coding)?.into();
    } else if coding.eq_ignore_ascii_case("quoted-printable") {
        entity.body = quoted_printable(&entity.body)
            .ok_or(EntityError::Coding)?
            .into();
    }
    entity
        .fields
        .retain(|(name, _)| name != "content-transfer-encoding");
    Ok(entity)
}

/// The field lines of a part, and where its body begins.
fn head(part: &[u8]) -> (&[u8], usize) {
    let mut at = 0;
    loop {
        let rest = part.get(at..).unwrap_or_default();
        let Some(end) = rest.iter().position(|octet| *octet == b'\n') else {
            return (part, part.len());
        };
        if matches!(rest.get(..end), Some(b"" | b"\r")) {
            return (part.get(..at).unwrap_or_default(), at + end + 1);
        }
        at += end + 1;
    }
}

/// RFC 2045 6.7.
fn quoted_printable(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [octet, after @ ..] = rest {
        rest = after;
        if *octet != b'=' {
            out.push(*octet);
            continue;
        }
        rest = match after {
            // A soft line break, perhaps behind white space.
            [b'\r', b'\n', after @ ..] | [b'\n', after @ ..] => after,
            [high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).ok()?;
                out.push(u8::from_str_radix(digits, 16).ok()?);
                after
            }
            after if after.trim_ascii().is_empty() => &[],
            _ => return None,
        };
    }
    Some(out)
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Parts of a message; three mean something.
pub const MAX_PARTS: usize = 16;
/// Header fields of a part.
const MAX_FIELDS: usize = 64;
/// Octets of a boundary (RFC 2046 5.1.1 has 70; some initiators do not count).
const MAX_BOUNDARY: usize = 200;
/// Lines in which a boundary is looked for that no parameter names.
const MOST_LINES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(content_type: &str, body: &str) -> Result<(String, String, bool), EntityError> {
        let entities = entities(content_type, &Bytes::copy_from_slice(body.as_bytes()))?;
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
        Ok((
            text(&entities.control),
            entities
                .content
                .map(|part| text(&part.body))
                .unwrap_or_default(),
            entities.capabilities.is_some(),
        ))
    }

    fn found(
        control: &str,
        content: &str,
        capabilities: bool,
    ) -> Result<(String, String, bool), EntityError> {
        Ok((control.to_owned(), content.to_owned(), capabilities))
    }

    #[test]
    fn initiators_write_multipart_in_many_ways() {
        let related = "multipart/related; type=\"application/xml\"; boundary=\"a b\"";
        for (content_type, body) in [
            (
                related,
                "--a b\r\nContent-Type: application/xml\r\n\r\n<pap/>\r\n--a b\r\nContent-Type: x/y\r\n\r\nC\r\n--a b--\r\n",
            ),
            // A line break before the first boundary, LF only, a preamble, no last boundary.
            (
                related,
                "\r\n--a b\nContent-Type: application/xml\n\n<pap/>\n--a b\nContent-Type: x/y\n\nC\n--a b--\n",
            ),
            (related, "preamble\n--a b \n\n<pap/>\n--a b\t\n\nC"),
            (
                "Multipart/Related;boundary=x",
                "--x\n\n<pap/>\n--x\n\nC\n--x--",
            ),
            // No boundary in the field.
            (
                "multipart/related; type=application/xml",
                "--zz\n\n<pap/>\n--zz\n\nC\n--zz--",
            ),
            // Transfer codings.
            (
                "multipart/related; boundary=x",
                "--x\nContent-Transfer-Encoding: BASE64\n\nPHBh\ncC8+\n--x\ncontent-transfer-encoding: quoted-printable\n\n=4=\n3\n--x--",
            ),
        ] {
            let expected = match body.contains("=4=") {
                true => Err(EntityError::Coding),
                false => found("<pap/>", "C", false),
            };
            assert_eq!(parts(content_type, body), expected, "{body}");
        }
        let soft = "--x\nContent-Transfer-Encoding: base64\n\nPHBhcC8+\n--x\nContent-Transfer-Encoding: quoted-printable\n\n=\r\n=43=\n\n--x\n\nrdf\n--x--";
        assert_eq!(
            parts("multipart/related; boundary=x", soft),
            found("<pap/>", "C", true)
        );
    }

    #[test]
    fn start_names_the_control_entity() {
        let body = "--x\nContent-ID: <c>\n\nC\n--x\nContent-ID: <p@q>\n\n<pap/>\n--x--";
        let content_type = "multipart/related; start=\"<p@q>\"; boundary=x";
        assert_eq!(parts(content_type, body), found("<pap/>", "C", false));
    }

    #[test]
    fn a_boundary_is_a_whole_line() {
        let body = "--x\n\n<pap/>\n--xy\n--x\n\na--x\n--x--";
        assert_eq!(
            parts("multipart/related; boundary=x", body),
            found("<pap/>\n--xy", "a--x", false)
        );
    }

    #[test]
    fn bombs_of_parts_are_refused() {
        let body = "--x\n\nA\n".repeat(1_000);
        assert_eq!(
            parts("multipart/related; boundary=x", &body),
            Err(EntityError::TooMany)
        );
        let fields = format!("--x\n{}\n\nA\n--x--", "A: b\n".repeat(1_000));
        assert_eq!(
            parts("multipart/related; boundary=x", &fields),
            Err(EntityError::TooMany)
        );
        assert_eq!(
            parts("multipart/related; boundary=x", "nothing"),
            Err(EntityError::NoBoundary)
        );
        assert_eq!(
            parts("multipart/related; boundary=x", "--x--"),
            Err(EntityError::NoControl)
        );
    }

    #[test]
    fn what_is_not_multipart_is_control() {
        assert_eq!(parts("text/xml", "<pap/>"), found("<pap/>", "", false));
    }
}
