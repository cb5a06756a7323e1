//! Reading and writing the HTTP side: tokens, quoted strings, lists and parameters (RFC 2616 2.2).

use super::wire::{is_forbidden, is_token, is_token_octet};

/// Without white space at either end.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    let is_space = |octet: &u8| is_forbidden(*octet) || matches!(*octet, b' ' | b'\t');
    let start = text.iter().position(|o| !is_space(o)).unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(|o| !is_space(o))
        .map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

/// The two sides of the first `separator`, trimmed; the second one is `None` without a separator.
pub(crate) fn cut(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    let at = text.iter().position(|&octet| octet == separator);
    match at.and_then(|at| text.split_at_checked(at)) {
        Some((before, rest)) => (trim(before), Some(trim(rest.get(1..).unwrap_or_default()))),
        None => (trim(text), None),
    }
}

/// The parts between `separator`s that stand outside quotation marks (and outside comments, if
/// there may be any); trimmed, empty ones left out.
pub(crate) fn split(text: &[u8], separator: u8, comments: bool) -> impl Iterator<Item = &[u8]> {
    split_where(text, comments, move |rest| rest.first() == Some(&separator))
}

/// Splits the text at the octets where `ends` is true of the rest of the text. These octets are
/// dropped.
pub(crate) fn split_where(
    text: &[u8],
    comments: bool,
    ends: impl Fn(&[u8]) -> bool,
) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        loop {
            let text = rest?;
            let at = scan(text, comments, &ends);
            let (part, after) = text.split_at_checked(at)?;
            rest = after.split_first().map(|(_, after)| after);
            let part = trim(part);
            if !part.is_empty() {
                return Some(part);
            }
        }
    })
}

/// Octets before the first end that is neither quoted nor in a comment.
fn scan(text: &[u8], comments: bool, ends: impl Fn(&[u8]) -> bool) -> usize {
    let (mut quoted, mut escaped, mut depth) = (false, false, 0usize);
    for (at, &octet) in text.iter().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted || depth > 0 => escaped = true,
            b'"' if depth == 0 => quoted = !quoted,
            b'(' if comments && !quoted => depth += 1,
            b')' if comments && !quoted => depth = depth.saturating_sub(1),
            _ if !quoted && depth == 0 && ends(text.get(at..).unwrap_or_default()) => return at,
            _ => {}
        }
    }
    text.len()
}

/// How a header's value is a list, and so where it comes apart (WSP 8.4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    /// It is one value.
    No,
    /// At every comma.
    Commas,
    /// At every comma outside a comment.
    Commented,
    /// At a comma before a cookie's `name=`: dates have commas of their own.
    Cookies,
    /// At a comma before a scheme: challenges have commas of their own.
    Challenges,
}

impl List {
    /// Gives each element of a value to `each`.
    pub(crate) fn each<'a>(self, value: &'a [u8], mut each: impl FnMut(&'a [u8])) {
        let value = trim(value);
        match self {
            Self::No => each(value),
            Self::Commas => split(value, b',', false).for_each(each),
            Self::Commented => split(value, b',', true).for_each(each),
            Self::Cookies => {
                split_where(value, false, |rest| comma_before(rest, starts_cookie)).for_each(each);
            }
            Self::Challenges => {
                split_where(value, false, |rest| comma_before(rest, starts_challenge))
                    .for_each(each);
            }
        }
    }
}

fn comma_before(rest: &[u8], starts: impl Fn(&[u8]) -> bool) -> bool {
    rest.strip_prefix(b",")
        .is_some_and(|next| starts(trim(next)))
}

fn starts_cookie(text: &[u8]) -> bool {
    let (token, rest) = leading_token(text);
    !token.is_empty() && trim(rest).first() == Some(&b'=')
}

fn starts_challenge(text: &[u8]) -> bool {
    let (token, rest) = leading_token(text);
    let next = trim(rest).first();
    !token.is_empty()
        && next != Some(&b'=')
        && (rest.first() == Some(&b' ') || matches!(next, None | Some(&b',')))
}

/// The token at the start, and the text after it.
pub(crate) fn leading_token(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|&octet| !is_token_octet(octet))
        .unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, &[]))
}

/// `name`, `name=token` or `name="quoted"`: its name, and its value as written.
pub(crate) fn parameter(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    cut(text, b'=')
}

/// The text between the quotation marks, with its escapes; `None` if the text is not quoted.
pub(crate) fn quoted(text: &[u8]) -> Option<&[u8]> {
    let inner = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    // A mark inside must be escaped, and the last one must not be.
    let mut escaped = false;
    for &octet in inner {
        match octet {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return None,
            _ => {}
        }
    }
    (!escaped).then_some(inner)
}

/// The content of a token or quoted string, without marks and escapes.
pub(crate) fn unquoted(text: &[u8]) -> Vec<u8> {
    let Some(inner) = quoted(text) else {
        return text.to_vec();
    };
    let mut plain = Vec::with_capacity(inner.len());
    let mut escaped = false;
    for &octet in inner {
        if octet == b'\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            plain.push(octet);
        }
    }
    plain
}

/// Appends plain text as a token if it is one, else quoted.
pub(crate) fn put_plain(out: &mut Vec<u8>, plain: &[u8]) {
    if is_token(plain) {
        out.extend_from_slice(plain);
    } else {
        put_quoted(out, plain);
    }
}

/// Appends plain text as a quoted string.
pub(crate) fn put_quoted(out: &mut Vec<u8>, plain: &[u8]) {
    out.push(b'"');
    put_escaped(out, plain);
    out.push(b'"');
}

/// Appends plain text with the escapes that a quoted string needs.
pub(crate) fn put_escaped(out: &mut Vec<u8>, plain: &[u8]) {
    for &octet in plain {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(octet);
    }
}

/// Appends a quoted string from text that has its escapes already, as in a WSP Quoted-string. A
/// mark that would end the string early is escaped, and a lone backslash at the end is doubled.
pub(crate) fn put_requoted(out: &mut Vec<u8>, inner: &[u8]) {
    // Some stacks send the closing mark, which the encoding leaves out.
    let inner = inner
        .strip_suffix(b"\"")
        .filter(|rest| !ends_escaped(rest))
        .unwrap_or(inner);
    out.push(b'"');
    let mut escaped = false;
    for &octet in inner {
        if octet == b'"' && !escaped {
            out.push(b'\\');
        }
        escaped = octet == b'\\' && !escaped;
        out.push(octet);
    }
    if escaped {
        out.push(b'\\');
    }
    out.push(b'"');
}

fn ends_escaped(text: &[u8]) -> bool {
    text.iter()
        .rev()
        .take_while(|&&octet| octet == b'\\')
        .count()
        % 2
        == 1
}

/// Appends a number in decimal.
pub(crate) fn put_decimal(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(number.to_string().as_bytes());
}

/// A number written the one way we would write it: digits, no leading zeros, at most 64 bits.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    let canonical =
        matches!(text, [b'0'] | [b'1'..=b'9', ..]) && text.iter().all(u8::is_ascii_digit);
    if !canonical {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A quality factor in thousandths, at most 1000; digits beyond the third are not significant.
pub(crate) fn q(text: &[u8]) -> Option<u16> {
    let (whole, fraction) = cut(text, b'.');
    let fraction = fraction.unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |at: usize| u16::from(fraction.get(at).map_or(0, |digit| digit - b'0'));
    let thousandths = digit(0) * 100 + digit(1) * 10 + digit(2);
    match whole {
        b"" | b"0" => Some(thousandths),
        b"1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// Appends `; q=` and the factor.
pub(crate) fn put_q(out: &mut Vec<u8>, thousandths: u16) {
    out.extend_from_slice(b"; q=");
    put_factor(out, thousandths);
}

/// Appends a factor below one with as many digits as it needs.
pub(crate) fn put_factor(out: &mut Vec<u8>, thousandths: u16) {
    let text = format!("0.{thousandths:03}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(list: List, value: &str) -> Vec<String> {
        let mut elements = Vec::new();
        list.each(value.as_bytes(), |element| {
            elements.push(String::from_utf8_lossy(element).into_owned());
        });
        elements
    }

    #[test]
    fn lists_come_apart_by_their_own_grammar() {
        assert_eq!(
            elements(List::Commas, "a, \"b,c\" ,,d"),
            ["a", "\"b,c\"", "d"]
        );
        assert_eq!(
            elements(List::Commented, "1.1 a (x, y), 1.0 b"),
            ["1.1 a (x, y)", "1.0 b"]
        );
        assert_eq!(
            elements(
                List::Cookies,
                "a=b; expires=Wed, 09 Jun 2021 10:18:14 GMT, c=d"
            ),
            ["a=b; expires=Wed, 09 Jun 2021 10:18:14 GMT", "c=d"]
        );
        assert_eq!(
            elements(
                List::Challenges,
                "Digest realm=\"a,b\", nonce = x, Negotiate, Basic realm=\"c\""
            ),
            [
                "Digest realm=\"a,b\", nonce = x",
                "Negotiate",
                "Basic realm=\"c\""
            ]
        );
        assert_eq!(elements(List::No, " a, b "), ["a, b"]);
    }

    #[test]
    fn quoted_strings_keep_their_escapes_and_cannot_break_out() {
        assert_eq!(quoted(br#""a\"b""#), Some(&br#"a\"b"#[..]));
        assert_eq!(quoted(br#""a"b""#), None);
        assert_eq!(quoted(br#""a\""#), None);
        assert_eq!(unquoted(br#""a\"b\\""#), br#"a"b\"#);
        let mut out = Vec::new();
        put_requoted(&mut out, br#"a"; evil="x"#);
        assert_eq!(out, br#""a\"; evil=\"x""#);
        out.clear();
        put_requoted(&mut out, br#"a""#);
        assert_eq!(out, br#""a""#);
        out.clear();
        put_requoted(&mut out, br"a\");
        assert_eq!(out, br#""a\\""#);
    }

    #[test]
    fn numbers_are_read_only_as_we_write_them() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"00000001"), None);
        assert_eq!(decimal(b"18446744073709551616"), None);
        assert_eq!(decimal(b""), None);
    }

    #[test]
    fn quality_factors_in_text() {
        for (text, thousandths) in [
            ("0.7", 700),
            ("0", 0),
            (".25", 250),
            ("1.000", 1000),
            ("0.3333", 333),
        ] {
            assert_eq!(q(text.as_bytes()), Some(thousandths), "{text}");
        }
        assert_eq!(q(b"1.5"), None);
        assert_eq!(q(b"a"), None);
        let mut out = Vec::new();
        put_q(&mut out, 0);
        put_q(&mut out, 50);
        assert_eq!(out, b"; q=0; q=0.05");
    }
}
