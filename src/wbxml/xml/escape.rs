//! Characters to XML: what must be escaped, what must not appear, and everything else as fast as
//! copying.

/// Appends character data. `None` for octets that are not UTF-8, and for characters that XML cannot
/// hold. The search for markup also proves that a text is ASCII, as most texts are; only other
/// texts need a check for UTF-8.
#[inline]
pub(super) fn octets(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = text;
    loop {
        let (plain, after) = rest
            .split_at_checked(ascii_len(rest))
            .unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        match after {
            [] => return Some(()),
            [b'\r', b'\n', next @ ..] => {
                out.extend_from_slice(b"&#13;\n");
                rest = next;
            }
            [octet, next @ ..] if octet.is_ascii() => {
                if is_forbidden(after) {
                    return None;
                }
                push_escaped(*octet, out);
                rest = next;
            }
            _ => return self::text(std::str::from_utf8(after).ok()?.as_bytes(), out).ok(),
        }
    }
}

#[inline]
fn push_escaped(octet: u8, out: &mut Vec<u8>) {
    match octet {
        b'<' => out.extend_from_slice(b"&lt;"),
        b'>' => out.extend_from_slice(b"&gt;"),
        b'&' => out.extend_from_slice(b"&amp;"),
        b'\r' => out.extend_from_slice(b"&#13;"),
        other => out.push(other),
    }
}

/// The offset of a character that XML 1.0 cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forbidden(pub(super) usize);

/// Appends character data. `text` is UTF-8.
///
/// CR becomes a reference: an XML reader turns a bare one into LF, and a vCard needs its CR LF.
pub(super) fn text(text: &[u8], out: &mut Vec<u8>) -> Result<(), Forbidden> {
    escape(text, out, push_escaped)
}

/// Appends a part of an attribute value that stands between double quotes. `text` is UTF-8.
pub(super) fn attribute(text: &[u8], out: &mut Vec<u8>) -> Result<(), Forbidden> {
    let mut done = 0;
    for part in text.split_inclusive(|&octet| octet == b'"') {
        let (plain, quote) = match part.split_last() {
            Some((b'"', plain)) => (plain, true),
            _ => (part, false),
        };
        escape(plain, out, |octet, out| match octet {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'\r' => out.extend_from_slice(b"&#13;"),
            b'\n' => out.extend_from_slice(b"&#10;"),
            b'\t' => out.extend_from_slice(b"&#9;"),
            other => out.push(other),
        })
        .map_err(|Forbidden(at)| Forbidden(done + at))?;
        if quote {
            out.extend_from_slice(b"&quot;");
        }
        done += part.len();
    }
    Ok(())
}

/// Checks that XML can hold all characters of `text`, which is UTF-8.
pub(super) fn check(text: &[u8]) -> Result<(), Forbidden> {
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        at += plain_len(rest);
        let rest = text.get(at..).unwrap_or_default();
        if is_forbidden(rest) {
            return Err(Forbidden(at));
        }
        at += 1;
    }
    Ok(())
}

/// Checks that `text` may stand unescaped between tags: as [`check`], and without `]]>`.
pub(super) fn check_character_data(text: &[u8]) -> Result<(), Forbidden> {
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        at += plain_len(rest);
        let rest = text.get(at..).unwrap_or_default();
        let ends_section = rest.first() == Some(&b'>')
            && text.get(..at).is_some_and(|before| before.ends_with(b"]]"));
        if is_forbidden(rest) || ends_section {
            return Err(Forbidden(at));
        }
        at += 1;
    }
    Ok(())
}

#[inline]
fn escape(
    text: &[u8],
    out: &mut Vec<u8>,
    special: impl Fn(u8, &mut Vec<u8>),
) -> Result<(), Forbidden> {
    let mut rest = text;
    loop {
        let (plain, after) = rest
            .split_at_checked(plain_len(rest))
            .unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        let Some((&octet, next)) = after.split_first() else {
            return Ok(());
        };
        if is_forbidden(after) {
            return Err(Forbidden(text.len() - after.len()));
        }
        special(octet, out);
        rest = next;
    }
}

/// Whether `rest` begins with a character that XML 1.0 lacks: C0 controls but TAB, LF, CR; U+FFFE
/// and U+FFFF.
fn is_forbidden(rest: &[u8]) -> bool {
    matches!(rest, [0x00..=0x08 | 0x0B | 0x0C | 0x0E..=0x1F, ..] | [0xEF, 0xBF, 0xBE | 0xBF, ..])
}

/// The number of octets at the beginning without a control, markup or the first octet of U+FFFE.
/// Eight octets at a time.
#[inline]
fn plain_len(text: &[u8]) -> usize {
    run_len(text, 0, |octet| {
        matches!(octet, 0x00..=0x1F | b'<' | b'>' | b'&' | 0xEF)
    })
}

/// The same for ASCII alone.
#[inline]
fn ascii_len(text: &[u8]) -> usize {
    run_len(
        text,
        HIGHS,
        |octet| matches!(octet, 0x00..=0x1F | b'<' | b'>' | b'&' | 0x80..),
    )
}

/// Stops at controls, at markup, and at octets with a bit of `high`. `stops` decides the same about
/// one octet.
#[inline(always)]
fn run_len(text: &[u8], high: u64, stops: impl Fn(u8) -> bool) -> usize {
    let mut rest = text;
    while let Some((chunk, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        // A zero octet in `x` sets its high bit; the lowest bit set is exact.
        let zero = |x: u64| x.wrapping_sub(ONES) & !x;
        let below_space = word.wrapping_sub(ONES * 0x20) & !word;
        let angle = zero((word | (ONES * 0x02)) ^ (ONES * 0x3E)); // `<` and `>` differ in that bit
        let others = zero(word ^ (ONES * 0x26)) | zero(word ^ (ONES * 0xEF));
        let hits = (below_space | angle | others) & HIGHS | word & high;
        if hits != 0 {
            return text.len() - rest.len() + hits.trailing_zeros() as usize / 8;
        }
        rest = after;
    }
    let tail = rest.iter().position(|&octet| stops(octet));
    text.len() - rest.len() + tail.unwrap_or(rest.len())
}

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGHS: u64 = ONES << 7;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(input: &str) -> Result<String, Forbidden> {
        let mut out = Vec::new();
        text(input.as_bytes(), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn markup_and_cr_are_escaped_and_lf_is_not() {
        assert_eq!(
            escaped("a<b>&c\r\n\td").unwrap(),
            "a&lt;b&gt;&amp;c&#13;\n\td"
        );
        assert_eq!(escaped("]]>").unwrap(), "]]&gt;");
        let mut out = Vec::new();
        attribute("a\"b\n<".as_bytes(), &mut out).unwrap();
        assert_eq!(out, b"a&quot;b&#10;&lt;");
    }

    #[test]
    fn what_xml_lacks_is_refused_where_it_stands() {
        assert_eq!(escaped("0123456789\u{1}"), Err(Forbidden(10)));
        assert_eq!(escaped("0123456789\u{FFFF}"), Err(Forbidden(10)));
        assert_eq!(
            escaped("\u{FEFF}\u{FFFD}\u{7F}").unwrap(),
            "\u{FEFF}\u{FFFD}\u{7F}"
        );
        assert_eq!(attribute(b"ab\"\x02", &mut Vec::new()), Err(Forbidden(3)));
    }

    proptest! {
        #[test]
        fn eight_at_a_time_finds_what_one_at_a_time_finds(octets: Vec<u8>) {
            let slowly = octets.iter().position(|o| *o < 0x20 || b"<>&\xEF".contains(o));
            prop_assert_eq!(plain_len(&octets), slowly.unwrap_or(octets.len()));
        }

        #[test]
        fn octets_are_checked_and_escaped_at_once(
            input in prop_oneof![
                any::<Vec<u8>>(),
                any::<String>().prop_map(String::into_bytes),
                "[a-z\r\n<>&é日\u{FFFF}]{0,40}".prop_map(String::into_bytes),
            ]
        ) {
            let mut out = Vec::new();
            let one_by_one = std::str::from_utf8(&input).ok().and_then(|input| escaped(input).ok());
            let at_once = octets(&input, &mut out).map(|()| String::from_utf8(out).unwrap());
            prop_assert_eq!(at_once, one_by_one);
        }

        #[test]
        fn check_and_escape_agree(input: String) {
            prop_assert_eq!(check(input.as_bytes()), escaped(&input).map(|_| ()));
        }
    }
}
