//! A fast scanner of WBXML for the parser of SyncHdr: elements and text, with few checks.
//!
//! The scanner is to [`Decoder`](crate::wbxml::Decoder) what [`scan`](super::scan) is to an XML
//! parser. It looks up no names and decodes no text, because every message is scanned. The tests
//! compare it with the decoder.

use crate::codec::uintvar;
use crate::wbxml::token::{
    ATTRIBUTES, CONTENT, END, ENTITY, EXT_0, EXT_2, EXT_I_0, EXT_I_2, EXT_T_0, EXT_T_2, IDENTITY,
    LITERAL, OPAQUE, PI, STR_I, STR_T, SWITCH_PAGE,
};
use crate::wbxml::{Charset, Header, Limits, find_nul};

/// Scans a document.
pub(super) struct Tokens<'a> {
    rest: &'a [u8],
    /// Octets of the whole document.
    len: usize,
    header: Header<'a>,
    nul_len: usize,
    page: u8,
    /// The number of open elements.
    depth: usize,
    /// The element that has just begun has no content.
    empty: bool,
    /// Octets that references to the string table may still add up to.
    strings_left: usize,
}

/// A token of the scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// An element begins: its code page and number. An element without content gives a start and an
    /// end.
    Start(u8, u8),
    End,
    /// Octets of text in the document's charset, or of opaque data.
    Text(&'a [u8]),
    /// One character.
    Entity(char),
}

impl<'a> Tokens<'a> {
    /// Starts a scan; `None` if the document has no header.
    pub(super) fn new(document: &'a [u8]) -> Option<Self> {
        let (rest, header) = Header::parse(document).ok()?;
        let limits = Limits::default();
        Some(Self {
            rest,
            len: document.len(),
            nul_len: header.charset.nul_len(),
            header,
            page: 0,
            depth: 0,
            empty: false,
            strings_left: document
                .len()
                .saturating_mul(limits.strings_per_octet)
                .saturating_add(limits.strings),
        })
    }

    /// Octets scanned so far.
    pub(super) const fn offset(&self) -> usize {
        self.len - self.rest.len()
    }

    pub(super) const fn charset(&self) -> Charset {
        self.header.charset
    }

    /// The next token. `None` at the end of the document element, or where the document is
    /// truncated or malformed.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        if std::mem::take(&mut self.empty) {
            return Some(self.end());
        }
        loop {
            let token = self.octet()?;
            let found = match token {
                // The most frequent tokens come first.
                0x05..=0x3F | 0x45..=0x7F => return self.element(token),
                STR_I if self.depth > 0 => return Some(Token::Text(self.string()?)),
                END if self.depth == 0 => return None,
                END => {
                    self.depth -= 1;
                    return Some(self.end());
                }
                SWITCH_PAGE => {
                    self.page = self.octet()?;
                    continue;
                }
                PI => {
                    self.skip_attributes()?;
                    continue;
                }
                _ => match self.character_data(token)? {
                    Data::Other => return self.element(token),
                    Data::Nothing => None,
                    Data::Found(found) => Some(found),
                },
            };
            // There is no text outside the document element.
            if self.depth == 0 {
                return None;
            }
            if found.is_some() {
                return found;
            }
        }
    }

    #[inline(always)]
    fn element(&mut self, token: u8) -> Option<Token<'a>> {
        let number = token & IDENTITY;
        if number == LITERAL {
            self.integer()?;
        }
        if self.depth >= Limits::default().depth {
            return None;
        }
        self.empty = token & CONTENT == 0;
        self.depth += usize::from(!self.empty);
        if token & ATTRIBUTES != 0 {
            self.skip_attributes()?;
        }
        Some(Token::Start(self.page, number))
    }

    /// Octets behind the document element are ignored.
    fn end(&mut self) -> Token<'a> {
        if self.depth == 0 {
            self.rest = &[];
        }
        Token::End
    }

    /// Tokens that content and attribute values share.
    #[inline]
    fn character_data(&mut self, token: u8) -> Option<Data<'a>> {
        Some(match token {
            STR_I => Data::Found(Token::Text(self.string()?)),
            STR_T => {
                let index = self.integer()?;
                let string = self.header.strings.at(index)?;
                self.strings_left = self.strings_left.checked_sub(string.len() + 1)?;
                Data::Found(Token::Text(string))
            }
            OPAQUE => {
                let len = usize::try_from(self.integer()?).ok()?;
                let (octets, rest) = self.rest.split_at_checked(len)?;
                self.rest = rest;
                Data::Found(Token::Text(octets))
            }
            ENTITY => Data::Found(Token::Entity(char::from_u32(self.integer()?)?)),
            EXT_I_0..=EXT_I_2 => {
                self.string()?;
                Data::Nothing
            }
            EXT_T_0..=EXT_T_2 => {
                self.integer()?;
                Data::Nothing
            }
            EXT_0..=EXT_2 => Data::Nothing,
            _ => Data::Other,
        })
    }

    /// A list of attributes up to its END, or the rest of a processing instruction.
    #[cold]
    fn skip_attributes(&mut self) -> Option<()> {
        loop {
            match self.octet()? {
                END => return Some(()),
                SWITCH_PAGE => drop(self.octet()?),
                LITERAL => drop(self.integer()?),
                token => {
                    self.character_data(token)?;
                }
            }
        }
    }

    #[inline]
    fn octet(&mut self) -> Option<u8> {
        let (octet, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*octet)
    }

    /// `mb_u_int32`, of one octet nearly always.
    #[inline(always)]
    fn integer(&mut self) -> Option<u32> {
        match self.rest.split_first() {
            Some((&octet, rest)) if octet < 0x80 => {
                self.rest = rest;
                Some(u32::from(octet))
            }
            _ => {
                let (rest, integer) = uintvar(self.rest).ok()?;
                self.rest = rest;
                Some(integer)
            }
        }
    }

    /// `termstr`: up to the charset's NUL.
    #[inline]
    fn string(&mut self) -> Option<&'a [u8]> {
        let (string, rest) = self
            .rest
            .split_at_checked(find_nul(self.rest, self.nul_len)?)?;
        self.rest = rest.get(self.nul_len..)?;
        Some(string)
    }
}

/// A token that may be character data.
enum Data<'a> {
    Found(Token<'a>),
    /// An extension. SyncML has no extensions.
    Nothing,
    /// No character data.
    Other,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::random::Random;
    use crate::wbxml::{Decoder, Event, Options};

    /// The decoder's tokens, and whether it reached the end.
    fn decoded(document: &[u8]) -> (Vec<Token<'_>>, bool) {
        let mut seen = Vec::new();
        let Ok(mut decoder) = Decoder::new(document, &Options::default()) else {
            return (seen, false);
        };
        let mut in_attributes = false;
        loop {
            match decoder.next() {
                Err(_) => return (seen, false),
                Ok(None) => return (seen, true),
                Ok(Some(event)) => match event {
                    Event::Start {
                        tag,
                        attributes,
                        content,
                    } => {
                        in_attributes = attributes;
                        seen.push(Token::Start(tag.page, tag.token));
                        if !content {
                            seen.push(Token::End);
                        }
                    }
                    Event::End(_) => seen.push(Token::End),
                    Event::EndAttributes | Event::EndPi => in_attributes = false,
                    Event::Pi(_) => in_attributes = true,
                    Event::Text(octets) | Event::Opaque(octets) if !in_attributes => {
                        seen.push(Token::Text(octets));
                    }
                    Event::Entity(character) if !in_attributes => {
                        seen.push(Token::Entity(character));
                    }
                    _ => {}
                },
            }
        }
    }

    fn scanned(document: &[u8]) -> Vec<Token<'_>> {
        let scan = Tokens::new(document);
        let mut seen = Vec::new();
        if let Some(mut scan) = scan {
            while let Some(token) = scan.next() {
                seen.push(token);
            }
        }
        seen
    }

    fn corpus() -> Vec<Vec<u8>> {
        let sessions = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/syncml-sessions");
        let mut messages = Vec::new();
        for session in std::fs::read_dir(sessions).unwrap() {
            let session = session.unwrap().path();
            for file in std::fs::read_dir(&session).into_iter().flatten() {
                let file = file.unwrap().path();
                if file.extension().is_some_and(|it| it == "wbxml") {
                    messages.push(std::fs::read(file).unwrap());
                }
            }
        }
        assert!(messages.len() > 50);
        messages
    }

    #[test]
    fn the_scanner_equals_the_decoder() {
        for message in corpus() {
            let (seen, whole) = decoded(&message);
            assert!(whole);
            assert_eq!(scanned(&message), seen);
        }
    }

    #[test]
    fn it_sees_the_same_in_damaged_messages_as_far_as_they_make_sense() {
        let mut random = Random::new(23);
        let mut whole = 0;
        for message in corpus().iter().filter(|message| message.len() < 2_000) {
            for _ in 0..40 {
                let mut damaged = message.clone();
                let at = usize::try_from(random.below(damaged.len() as u64)).unwrap();
                damaged[at] = random.u32().to_le_bytes()[0];
                let (seen, is_whole) = decoded(&damaged);
                let scanned = scanned(&damaged);
                if is_whole {
                    whole += 1;
                    assert_eq!(scanned, seen);
                }
                let common = scanned.iter().zip(&seen);
                assert!(common.clone().all(|(one, other)| one == other));
            }
        }
        assert!(whole > 100, "{whole}");
    }

    #[test]
    fn attributes_literals_entities_and_pages_are_stepped_over() {
        // Charset UTF-8, a string table "ab"; PI; a literal with attributes and content; an entity;
        // page 1.
        let document = [
            0x03, 0x01, 0x6A, 0x03, b'a', b'b', 0, 0x43, 0x05, 0x03, b'x', 0, 0x01, 0xC4, 0x00,
            0x05, 0x83, 0x00, 0x01, 0x02, 0x41, 0x00, 0x01, 0x13, 0x83, 0x01, 0x01,
        ];
        let (seen, whole) = decoded(&document);
        assert!(whole);
        assert_eq!(scanned(&document), seen);
        assert!(seen.contains(&Token::Entity('A')) && seen.contains(&Token::Start(1, 0x13)));
    }
}
