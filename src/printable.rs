//! Makes text of peers safe to print.
//!
//! Terminals execute control characters. Characters that turn the direction of text, and invisible
//! ones, deceive a reader. Logs, records and tools show such characters as `\u{202e}`.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::net::IpAddr;

/// Whether a character can be printed as it is.
///
/// These cannot: controls (C0, DEL, C1), line and paragraph separators, marks of direction (bidi),
/// characters of no width, and tags.
#[must_use]
pub const fn is_printable(character: char) -> bool {
    !matches!(
        character,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Text for one line: control characters appear as `\n`, `\t`, `\r` or `\u{1b}`.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(|character| !is_printable(character)) {
            let (plain, behind) = rest.split_at_checked(at).unwrap_or((rest, ""));
            f.write_str(plain)?;
            let mut characters = behind.chars();
            if let Some(character) = characters.next() {
                escape(character, f)?;
            }
            rest = characters.as_str();
        }
        f.write_str(rest)
    }
}

/// Appends an address. Logs and header fields have one for each request, and the formatter takes
/// several times as long.
pub fn put_address(address: IpAddr, out: &mut String) {
    match address {
        IpAddr::V4(v4) => {
            for (place, octet) in v4.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push('.');
                }
                put_decimal(octet.into(), out);
            }
        }
        // Writing to memory cannot fail.
        IpAddr::V6(v6) => drop(write!(out, "{v6}")),
    }
}

/// Appends a number.
pub fn put_decimal(value: u64, out: &mut String) {
    if value >= 10 {
        put_decimal(value / 10, out);
    }
    let digit = u8::try_from(value % 10).unwrap_or_default();
    out.push(char::from(b'0' + digit));
}

/// The text of [`Printable`], borrowed if it needs no escape.
///
/// A backslash stays as it is, so that text may pass here twice: once when octets become words, and
/// once when words are printed.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    match text.contains(|character| !is_printable(character)) {
        true => Cow::Owned(Printable(text).to_string()),
        false => Cow::Borrowed(text),
    }
}

/// Text of several lines: line feeds stay, every line is made printable.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    match text.contains(|character| character != '\n' && !is_printable(character)) {
        true => Cow::Owned(text.split('\n').map(line).collect::<Vec<_>>().join("\n")),
        false => Cow::Borrowed(text),
    }
}

/// Serialised JSON of the same value, in whose strings every character can be printed.
///
/// Serialisers escape C0 controls in strings; those that are left are white space between tokens.
#[must_use]
pub fn json(json: &str) -> Cow<'_, str> {
    let is_unsafe = |character| character > '\u{1f}' && !is_printable(character);
    if !json.contains(is_unsafe) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        match is_unsafe(character) {
            true => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            false => out.push(character),
        }
    }
    Cow::Owned(out)
}

/// Writes one character as an escape.
fn escape(character: char, out: &mut impl Write) -> fmt::Result {
    match character {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        other => write!(out, "\\u{{{:x}}}", u32::from(other)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_obeys_or_a_reader_misses_is_escaped() {
        for (text, shown) in [
            ("plain é… 漢", "plain é… 漢"),
            ("\x1b[31m", "\\u{1b}[31m"),
            ("a\u{9b}31m", "a\\u{9b}31m"),
            ("a\nb\r\tc\0", "a\\nb\\r\\tc\\u{0}"),
            ("\u{202e}gnp.exe", "\\u{202e}gnp.exe"),
            ("a\u{200b}\u{feff}\u{2066}", "a\\u{200b}\\u{feff}\\u{2066}"),
            ("\u{2028}\u{7f}\u{e0041}", "\\u{2028}\\u{7f}\\u{e0041}"),
            ("", ""),
        ] {
            assert_eq!(Printable(text).to_string(), shown);
        }
    }

    #[test]
    fn lines_stay_lines() {
        assert_eq!(lines("a\n\x1bb\r\n"), "a\n\\u{1b}b\\r\n");
        assert!(matches!(lines("a\nb\n"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn nothing_unprintable_is_left_and_a_second_pass_changes_nothing(text: String) {
            let once = line(&text).into_owned();
            prop_assert!(once.chars().all(is_printable));
            prop_assert_eq!(line(&once), &*once);
            let serialised = serde_json::to_string(&(&text, "\u{9b}\u{202e}\u{e0041}\u{7f}")).unwrap();
            let escaped = json(&serialised).into_owned();
            prop_assert!(escaped.chars().all(is_printable));
            let (back, _): (String, String) = serde_json::from_str(&escaped).unwrap();
            prop_assert_eq!(back, text);
        }
    }

    #[test]
    fn every_control_and_format_character_is_caught() {
        for character in ('\0'..='\u{10ffff}').filter(|character| character.is_control()) {
            assert!(!is_printable(character), "{character:?}");
        }
        // The bidirectional controls of UAX 9.
        for character in "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\
                          \u{2066}\u{2067}\u{2068}\u{2069}"
            .chars()
        {
            assert!(!is_printable(character), "{character:?}");
        }
    }
}
