//! Masks a block of header fields in place (WSP 8.4.1).
//!
//! A malformed field can shift how the octets after it are read, so that a value stands where a
//! name is expected. A name in text is therefore shown only if it is a name that handsets use.

use super::blank::{BLANK, blank, uri};
use crate::codec::uintvar;
use crate::wsp::header::{fields, is_assigned};

/// Masks secret values, unknown names, and all octets from the first unreadable one on.
pub(super) fn mask(block: &mut [u8]) {
    let mut rest = block;
    let mut page = DEFAULT_PAGE;
    while let Some(extent) = extent(rest) {
        let (field, after) = std::mem::take(&mut rest).split_at_mut(extent.end);
        rest = after;
        match extent.kind {
            Kind::Shift(to) => page = to,
            Kind::Field { value } => {
                let name = name(field, page).filter(|name| is_known(name));
                if name.is_none() && value > 1 {
                    strings(field.get_mut(..value).unwrap_or_default());
                }
                one(name.as_deref(), field.get_mut(value..).unwrap_or_default());
            }
        }
    }
    blank(rest);
}

/// Whether a field of this name may hold a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|word| name.contains(word))
}

/// Whether a name is one that handsets use: assigned by WSP, or common in HTTP, or an extension.
fn is_known(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    is_assigned(name.as_bytes()) || name.starts_with("x-") || COMMON.contains(&&*name)
}

fn one(name: Option<&str>, value: &mut [u8]) {
    match name {
        Some(name) if !is_secret(name) => {
            // In text all URIs are masked, quoted or not.
            if matches!(value.first(), Some(b' '..=0x7F)) {
                uri(value);
            } else if let Some(inside) = inside(value) {
                uri(inside);
            }
        }
        _ => secret(name.unwrap_or_default(), value),
    }
}

/// Blanks a value, so that it is still one of the same form.
fn secret(name: &str, value: &mut [u8]) {
    match value.first() {
        // A number of seven bits.
        Some(0x80..) | None => {}
        Some(b' '..=0x7F) => {
            let scheme = match name.to_ascii_lowercase().contains("auth") {
                true => scheme(value),
                false => 0,
            };
            strings(value.get_mut(scheme..).unwrap_or_default());
        }
        Some(_) => {
            let Some(inside) = inside(value) else {
                return blank(value);
            };
            // The scheme: Basic by its number.
            let kept = usize::from(inside.first() == Some(&BASIC));
            let inside = inside.get_mut(kept..).unwrap_or_default();
            strings(inside);
            if let Some(last) = inside.last_mut() {
                *last = 0;
            }
        }
    }
}

/// Masks text up to its terminator.
fn strings(octets: &mut [u8]) {
    for octet in octets.iter_mut().filter(|octet| **octet != 0) {
        *octet = BLANK;
    }
}

/// Octets of an authentication scheme, if one stands before credentials.
fn scheme(value: &[u8]) -> usize {
    let known = [&b"basic "[..], b"digest ", b"bearer "].into_iter();
    let begins = |scheme: &&[u8]| {
        let start = value.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    known.filter(begins).map(<[u8]>::len).next().unwrap_or(0)
}

/// The content of a value with a length.
fn inside(value: &mut [u8]) -> Option<&mut [u8]> {
    match value.first()? {
        0..=30 => value.get_mut(1..),
        31 => {
            let (after, _) = uintvar(value.get(1..)?).ok()?;
            let at = value.len() - after.len();
            value.get_mut(at..)
        }
        _ => None,
    }
}

/// The name of a field that can be read.
fn name(field: &[u8], page: u8) -> Option<String> {
    // A number means something on WSP's own page only.
    if page != DEFAULT_PAGE && field.first()? & 0x80 != 0 {
        return None;
    }
    let field = fields(field, &[]).next()?.ok()?;
    Some(field.name.into_owned())
}

struct Extent {
    end: usize,
    kind: Kind,
}

enum Kind {
    Shift(u8),
    /// Where its value begins.
    Field {
        value: usize,
    },
}

/// How far the next field or shift reaches (WSP 8.4.1.2 and 8.4.2.6).
fn extent(block: &[u8]) -> Option<Extent> {
    let value = match *block.first()? {
        0 => return None,
        page @ 1..=31 => {
            return Some(Extent {
                end: 1,
                kind: Kind::Shift(page),
            });
        }
        0x7F => {
            return Some(Extent {
                end: 2,
                kind: Kind::Shift(*block.get(1)?),
            });
        }
        0x80.. => 1,
        _ => text_len(block)?,
    };
    let rest = block.get(value..)?;
    let len = match *rest.first()? {
        len @ 0..=30 => 1 + usize::from(len),
        31 => {
            let inside = rest.get(1..)?;
            let (after, len) = uintvar(inside).ok()?;
            1 + (inside.len() - after.len()) + usize::try_from(len).ok()?
        }
        0x80.. => 1,
        _ => text_len(rest)?,
    };
    let end = value.checked_add(len).filter(|end| *end <= block.len())?;
    Some(Extent {
        end,
        kind: Kind::Field { value },
    })
}

/// Octets of a text with its end.
fn text_len(octets: &[u8]) -> Option<usize> {
    octets.iter().position(|octet| *octet == 0).map(|at| at + 1)
}

const DEFAULT_PAGE: u8 = 1;
/// The scheme Basic (WSP 8.4.2.5).
const BASIC: u8 = 0x80;

/// Names that WSP assigned no number, or only in a later version.
const COMMON: &[&str] = &[
    "accept-ranges",
    "accept-encoding",
    "api-key",
    "authentication-info",
    "cookie",
    "cookie2",
    "device-memory",
    "dnt",
    "drm-version",
    "expect",
    "if-match",
    "keep-alive",
    "msisdn",
    "negotiate",
    "profile",
    "proxy-authentication-info",
    "proxy-connection",
    "set-cookie",
    "set-cookie2",
    "ua-cpu",
    "upgrade-insecure-requests",
    "upgrade",
    "wap-connection",
];

/// Words in the names of fields that may hold a secret.
const SECRET: &[&str] = &[
    "auth",
    "cookie",
    "credential",
    "hmac",
    "key",
    "passw",
    "pwd",
    "secret",
    "session",
    "signature",
    "token",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(block: &[u8]) -> Vec<u8> {
        let mut block = block.to_vec();
        mask(&mut block);
        block
    }

    #[test]
    fn secret_values_are_blank_and_keep_their_form() {
        for (before, after) in [
            (&b"\x80\x94"[..], &b"\x80\x94"[..]),
            (b"\x87\x06\x80ab\0c\0", b"\x87\x06\x80**\0*\0"),
            (b"\x87Basic abc\0", b"\x87Basic ***\0"),
            (b"X-Api-Key\0abc\0\x80\x94", b"X-Api-Key\0***\0\x80\x94"),
            (b"Accept\0a/b\0", b"Accept\0a/b\0"),
            (b"Referer\0http://u:p@h/?q\0", b"Referer\0http://***@h/?*\0"),
            // On another page a number may mean anything.
            (
                b"\x7F\x10\x83abc\0\x7F\x01\x80\x94",
                b"\x7F\x10\x83***\0\x7F\x01\x80\x94",
            ),
            (b"\x10\x83abc\0", b"\x10\x83***\0"),
            // An unknown name may be a value, so the name and the octets behind it are masked.
            (
                b"Zm9vOmJhcg\0a\0Accept\0a/b\0",
                b"**********\0*\0Accept\0a/b\0",
            ),
            // Octets behind a malformed one are masked.
            (b"\x80\x94\x87\x1Eabc", b"\x80\x94*****"),
            (b"Cookie\0abc", b"**********"),
        ] {
            assert_eq!(masked(before), after, "{before:02x?}");
        }
    }
}
