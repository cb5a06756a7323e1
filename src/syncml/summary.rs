//! Counts the commands and statuses of a message, for logs and metrics.

use crate::syncml::Encoding;
use crate::syncml::scan::{self, Scan};
use crate::syncml::tokens::{self, Tokens};
use crate::syncml::walk::{Element, by_name, by_token};

/// Counts over one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Commands with an effect: Add, Replace, Sync and so on.
    pub commands: u32,
    /// Alert codes, such as 200 for a two-way synchronization.
    pub alerts: Codes,
    /// Status codes, such as 212 for authenticated.
    pub statuses: Codes,
}

/// Number of each code, in the order of first occurrence. Codes beyond the limit of different ones
/// are counted under `others`: only a hostile message has so many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codes {
    /// Each code with its number of occurrences.
    pub counts: Vec<(u16, u32)>,
    /// Codes beyond the limit, and codes that are no numbers.
    pub others: u32,
}

impl Codes {
    fn count(&mut self, code: Option<u16>) {
        let full = self.counts.len() >= MAX_CODES;
        let known = self
            .counts
            .iter_mut()
            .find(|(known, _)| Some(*known) == code);
        match (known, code) {
            (Some((_, count)), _) => *count = count.saturating_add(1),
            (None, Some(code)) if !full => self.counts.push((code, 1)),
            _ => self.others = self.others.saturating_add(1),
        }
    }
}

const MAX_CODES: usize = 64;

/// Counts over the whole message, as far as it is well-formed.
#[must_use]
pub fn summarize(message: &[u8]) -> Summary {
    let mut counter = Counter::new();
    // Each notation has a loop of its own: every message is counted, and of a WBXML token only its
    // number matters.
    match Encoding::of(message) {
        Some(Encoding::Wbxml) => {
            if let Some(tokens) = Tokens::new(message) {
                counter.wbxml(tokens);
            }
        }
        Some(Encoding::Xml) => counter.xml(Scan::new(message)),
        None => {}
    }
    counter.summary
}

/// The counts so far, and where in the message the walk is.
struct Counter {
    summary: Summary,
    /// The two innermost elements decide.
    open: [Element; MAX_DEPTH],
    depth: usize,
}

impl Counter {
    fn new() -> Self {
        Self {
            summary: Summary::default(),
            open: [Element::Other; MAX_DEPTH],
            depth: 0,
        }
    }

    fn wbxml(&mut self, mut tokens: Tokens<'_>) {
        let charset = tokens.charset();
        // In a charset of one octet for each digit, digits need no decoding.
        let is_plain = charset.nul_len() == 1;
        while let Some(token) = tokens.next() {
            match token {
                tokens::Token::Start(page, number) => {
                    if !self.start(by_token(page, number)) {
                        return;
                    }
                }
                tokens::Token::End => self.end(),
                tokens::Token::Text(octets) => {
                    if let Some(codes) = self.codes() {
                        let plain = is_plain.then(|| digits(octets)).flatten();
                        match plain {
                            Some(code) => codes.count(Some(code)),
                            None => {
                                if let Some(text) = charset.decode(octets) {
                                    codes.count(text.trim().parse().ok());
                                }
                            }
                        }
                    }
                }
                tokens::Token::Entity(character) => {
                    if let Some(codes) = self.codes() {
                        codes.count(
                            character
                                .to_digit(10)
                                .and_then(|digit| digit.try_into().ok()),
                        );
                    }
                }
            }
        }
    }

    fn xml(&mut self, mut scan: Scan<'_>) {
        while let Some(token) = scan.next() {
            match token {
                scan::Token::Start(name) => {
                    if !self.start(by_name(name)) {
                        return;
                    }
                }
                scan::Token::End => self.end(),
                scan::Token::Text(text) => {
                    if let Some(codes) = self.codes() {
                        codes.count(text.trim().parse().ok());
                    }
                }
            }
        }
    }

    /// Returns whether the message is not too deep.
    #[inline(always)]
    fn start(&mut self, element: Element) -> bool {
        if element == Element::Command {
            self.summary.commands = self.summary.commands.saturating_add(1);
        }
        let Some(place) = self.open.get_mut(self.depth) else {
            return false;
        };
        *place = element;
        self.depth += 1;
        true
    }

    #[inline(always)]
    fn end(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// The counts for the text at this place.
    #[inline(always)]
    fn codes(&mut self) -> Option<&mut Codes> {
        match self.open.get(..self.depth)? {
            [.., Element::Alert, Element::Data] => Some(&mut self.summary.alerts),
            [.., Element::Status, Element::Data] => Some(&mut self.summary.statuses),
            _ => None,
        }
    }
}

/// A number of one to four decimal digits.
fn digits(octets: &[u8]) -> Option<u16> {
    if octets.is_empty() || octets.len() > 4 {
        return None;
    }
    octets.iter().try_fold(0, |number, octet| {
        let digit = octet.wrapping_sub(b'0');
        (digit < 10).then(|| number * 10 + u16::from(digit))
    })
}

const MAX_DEPTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_commands_are_counted() {
        let xml = b"<SyncML><SyncBody><Status><Data>212</Data></Status><Status><Data>200</Data></Status>\
            <Status><Data>200</Data><Item><Data>7</Data></Item></Status><Alert><Data>201</Data></Alert><Sync><Add>\
            <Item><Data>9</Data></Item></Add></Sync></SyncBody></SyncML>";
        let mut wbxml = Vec::new();
        crate::wbxml::xml::from_xml(xml, &Default::default(), &mut wbxml).unwrap();
        for message in [&xml[..], &wbxml] {
            let summary = summarize(message);
            assert_eq!(summary.commands, 2);
            assert_eq!(summary.statuses.counts, [(212, 1), (200, 2)]);
            assert_eq!(summary.alerts.counts, [(201, 1)]);
        }
    }

    #[test]
    fn numbers_of_any_length_and_kind_are_read_or_counted_apart() {
        for (text, code) in [
            ("7", Some(7)),
            ("0200", Some(200)),
            ("65535", Some(65_535)),
            (" 201 ", Some(201)),
            ("+5", Some(5)),
            ("65536", None),
            ("2x1", None),
            ("-1", None),
        ] {
            let xml = format!(
                "<SyncML><SyncBody><Status><Data>{text}</Data></Status></SyncBody></SyncML>"
            );
            let mut wbxml = Vec::new();
            crate::wbxml::xml::from_xml(xml.as_bytes(), &Default::default(), &mut wbxml).unwrap();
            for message in [xml.as_bytes(), &wbxml] {
                let Codes { counts, others } = summarize(message).statuses;
                let expected: Vec<_> = code.map(|code| (code, 1)).into_iter().collect();
                assert_eq!(counts, expected, "{text}");
                assert_eq!(others, u32::from(code.is_none()), "{text}");
            }
        }
    }

    #[test]
    fn different_codes_are_bounded() {
        let mut xml = String::from("<SyncML><SyncBody>");
        for code in 0..100 {
            xml += &format!("<Status><Data>{code}</Data></Status>");
        }
        let summary = summarize(xml.as_bytes());
        assert_eq!(
            (summary.statuses.counts.len(), summary.statuses.others),
            (64, 36)
        );
    }
}
