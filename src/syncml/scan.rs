//! A fast scanner of XML for the parser of SyncHdr: tags and text, with few checks.
//!
//! The scanner is no parser, and no translation uses it: a message that it accepts may not be
//! well-formed. It exists because every message is scanned, and an XML parser spends most of its
//! time on checks. The tests compare it with `quick-xml`.

use std::borrow::Cow;

/// Scans a text.
pub(super) struct Scan<'a> {
    rest: &'a [u8],
    /// Octets of the whole text.
    len: usize,
    /// The element that has just begun is an empty one.
    empty: bool,
}

/// A token of the scanner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A start tag, with its name. An empty element gives a start and an end.
    Start(&'a [u8]),
    End,
    /// Character data, references resolved.
    Text(Cow<'a, str>),
}

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            rest: text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text),
            len: text.len(),
            empty: false,
        }
    }

    /// Octets scanned so far.
    pub(super) const fn offset(&self) -> usize {
        self.len - self.rest.len()
    }

    /// The next token. `None` at the end, or where the text is truncated or malformed.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        loop {
            if std::mem::take(&mut self.empty) {
                return Some(Token::End);
            }
            match self.rest {
                [b'<', b'/', ..] => {
                    self.until(b">")?;
                    return Some(Token::End);
                }
                [b'<', b'?', ..] => drop(self.until(b"?>")?),
                [b'<', b'!', b'-', b'-', after @ ..] => {
                    self.rest = after;
                    self.until(b"-->")?;
                }
                [b'<', b'!', b'[', ..] => {
                    self.rest = self.rest.strip_prefix(b"<![CDATA[")?;
                    let text = self.until(b"]]>")?;
                    return Some(Token::Text(Cow::Borrowed(std::str::from_utf8(text).ok()?)));
                }
                [b'<', b'!', after @ ..] => self.rest = after_declaration(after)?,
                [b'<', after @ ..] => return self.start(after),
                _ => return self.text(),
            }
        }
    }

    fn start(&mut self, tag: &'a [u8]) -> Option<Token<'a>> {
        let ends = |octet: &u8| matches!(octet, b'>' | b'/' | b' ' | b'\t' | b'\r' | b'\n');
        let (name, mut rest) = tag.split_at_checked(tag.iter().position(ends)?)?;
        // A `>` may stand in the value of an attribute.
        loop {
            let at = rest
                .iter()
                .position(|octet| matches!(octet, b'>' | b'"' | b'\''))?;
            let (before, after) = rest.split_at_checked(at)?;
            let (&found, after) = after.split_first()?;
            if found == b'>' {
                self.empty = before.last() == Some(&b'/');
                self.rest = after;
                return Some(Token::Start(name));
            }
            rest = after.get(position(after, found)? + 1..)?;
        }
    }

    fn text(&mut self) -> Option<Token<'a>> {
        let (text, rest) = self.rest.split_at_checked(position(self.rest, b'<')?)?;
        self.rest = rest;
        let text = std::str::from_utf8(text).ok()?;
        if position(text.as_bytes(), b'&').is_none() {
            return Some(Token::Text(Cow::Borrowed(text)));
        }
        quick_xml::escape::unescape(text).ok().map(Token::Text)
    }

    /// The text before `end`. The scanner continues after `end`.
    fn until(&mut self, end: &[u8]) -> Option<&'a [u8]> {
        let (&last, first) = end.split_last()?;
        let mut from = 0;
        loop {
            let at = from + position(self.rest.get(from..)?, last)?;
            let before = self.rest.get(..at)?;
            from = at + 1;
            if let Some(before) = before.strip_suffix(first) {
                self.rest = self.rest.get(from..)?;
                return Some(before);
            }
        }
    }
}

/// The text after a declaration, which may have an internal subset with quoted strings.
fn after_declaration(declaration: &[u8]) -> Option<&[u8]> {
    let mut quote = None;
    let mut depth = 0u32;
    for (at, &octet) in declaration.iter().enumerate() {
        match (quote, octet) {
            (Some(open), _) if octet == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(octet),
            (None, b'[' | b'<') => depth += 1,
            (None, b']') => depth = depth.checked_sub(1)?,
            (None, b'>') if depth == 0 => return declaration.get(at + 1..),
            (None, b'>') => depth -= u32::from(depth > 1),
            _ => {}
        }
    }
    None
}

/// The offset of the first occurrence of an octet, eight octets at a time.
#[inline]
fn position(text: &[u8], octet: u8) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
    let mut rest = text;
    while let Some((chunk, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk) ^ (ONES * u64::from(octet));
        let hits = word.wrapping_sub(ONES) & !word & HIGHS;
        if hits != 0 {
            return Some(text.len() - rest.len() + hits.trailing_zeros() as usize / 8);
        }
        rest = after;
    }
    let tail = rest.iter().position(|&found| found == octet)?;
    Some(text.len() - rest.len() + tail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quick_xml::Reader;
    use quick_xml::events::Event;

    use super::*;

    /// Starts, ends and runs of text.
    fn scanned(xml: &str) -> Vec<String> {
        let mut scan = Scan::new(xml.as_bytes());
        let mut found = Vec::new();
        while let Some(token) = scan.next() {
            match token {
                Token::Start(name) => found.push(format!("<{}", String::from_utf8_lossy(name))),
                Token::End => found.push(">".to_owned()),
                Token::Text(text) => push_text(&mut found, &text),
            }
        }
        found
    }

    fn parsed(xml: &str) -> Vec<String> {
        let mut reader = Reader::from_str(xml);
        reader.config_mut().expand_empty_elements = true;
        let mut found = Vec::new();
        loop {
            match reader.read_event().unwrap() {
                Event::Start(start) => found.push(format!("<{}", start.name().as_ref() as &str)),
                Event::End(_) => found.push(">".to_owned()),
                Event::Text(text) => push_text(&mut found, &text),
                Event::CData(text) => push_text(&mut found, &text),
                Event::GeneralRef(reference) => {
                    let text = format!("&{};", &*reference);
                    push_text(&mut found, &quick_xml::escape::unescape(&text).unwrap());
                }
                Event::Eof => return found,
                _ => {}
            }
        }
    }

    fn push_text(found: &mut Vec<String>, text: &str) {
        match found.last_mut() {
            _ if text.is_empty() => {}
            Some(last) if last.starts_with('\'') => last.push_str(text),
            _ => found.push(format!("'{text}")),
        }
    }

    #[test]
    fn the_scanner_equals_a_parser() {
        for xml in [
            "<?xml version='1.0'?><!DOCTYPE a PUBLIC \"-//>\" 'x' [<!ELEMENT a (b)><!ENTITY c \"]>\">]><a><!-- <b> --><b c='>' d=\"/>\"/></a>",
            "<a:b\n c = 'd'\t>t&amp;&#13;&lt;x<![CDATA[<]]]]><![CDATA[>&amp;]]></a:b >",
            "<a><b/><b /><b></b>t<?pi <x> ?>u</a>",
            "\u{FEFF}<a>日本</a>",
        ] {
            assert_eq!(scanned(xml), parsed(xml), "{xml}");
        }
    }

    #[test]
    fn it_stops_where_the_text_is_cut() {
        let xml = "<a b='c'>t&amp;<![CDATA[d]]><!-- e --></a>";
        let whole = scanned(xml);
        for cut in 0..xml.len() {
            let part = scanned(&xml[..cut]);
            assert!(part.len() <= whole.len(), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_parser(parts in prop::collection::vec(prop_oneof![
            Just("<a>t</a>"), Just("<b c='>'/>"), Just("&amp;"), Just("x&#65;y"), Just("<![CDATA[<&]]>"), Just("<!-- - > -->"),
            Just("<?p ?>"), Just("<c:d e=\"'\">日</c:d>"), Just("\r\n "), Just("]]"),
        ], 0..20)) {
            let xml = format!("<r>{}</r>", parts.concat());
            prop_assert_eq!(scanned(&xml), parsed(&xml));
        }

        #[test]
        fn arbitrary_text_never_panics(xml in "[<>/!?\\[\\]a&;'\"= -]{0,60}") {
            scanned(&xml);
        }

        #[test]
        fn eight_at_a_time_finds_the_same(text: Vec<u8>, octet: u8) {
            prop_assert_eq!(position(&text, octet), text.iter().position(|&found| found == octet));
        }
    }
}
