//! An encoder that appends one document to a buffer (WBXML 5).
//!
//! Its calls follow the order of a decoder's events. The tag octet gets its flags for attributes
//! and content once they come. The string table is complete only at the end, and is inserted
//! before the body then.

use std::collections::BTreeMap;

use crate::codec::{put_uintvar, uintvar_of};
use crate::wbxml::charset::Charset;
use crate::wbxml::error::{Error, Fault};
use crate::wbxml::event::{AttributeName, Event, Extension, Name, Tag};
use crate::wbxml::token::{
    ATTRIBUTES, CONTENT, END, ENTITY, EXT_0, EXT_I_0, EXT_T_0, LITERAL, OPAQUE, PI, STR_I, STR_T,
    SWITCH_PAGE,
};
use crate::wbxml::vocabulary::Vocabulary;

/// The settings of an encoder.
#[derive(Clone, Copy, Debug)]
pub struct EncoderConfig {
    /// The document's type.
    pub vocabulary: &'static Vocabulary,
    /// The version octet, 01 to 03 for WBXML 1.1 to 1.3; 00 leaves the charset field out. Default:
    /// 02, which every SyncML client seen so far sends.
    pub version: u8,
    /// The charset of text. Default: UTF-8.
    pub charset: Charset,
    /// Names the type by its formal public identifier in the string table instead of its number.
    /// Default: for types without a number, and for SyncML 1.0 and DevInf 1.0, as real peers of
    /// that age do.
    pub literal_public_id: bool,
}

impl EncoderConfig {
    /// The usual choices for a document type.
    #[must_use]
    pub fn new(vocabulary: &'static Vocabulary) -> Self {
        Self {
            vocabulary,
            version: 0x02,
            charset: Charset::UTF_8,
            literal_public_id: matches!(vocabulary.number, 1 | 0x0FD1 | 0x0FD2),
        }
    }
}

/// Writes one document.
#[derive(Debug)]
pub struct Encoder<'o> {
    out: &'o mut Vec<u8>,
    /// The offset of the string table's length, which has one octet until the end.
    table_at: usize,
    table: Vec<u8>,
    literals: BTreeMap<Vec<u8>, u32>,
    charset: Charset,
    nul_len: usize,
    tag_page: u8,
    attribute_page: u8,
    /// The offset of the tag octet of each open element.
    open: Vec<usize>,
    /// The innermost element's attribute list is open.
    in_attributes: bool,
    in_pi: bool,
}

impl<'o> Encoder<'o> {
    /// Begins a document at the end of `out`.
    pub fn new(out: &'o mut Vec<u8>, config: &EncoderConfig) -> Self {
        let charset = if config.version == 0 {
            Charset::UNKNOWN
        } else {
            config.charset
        };
        let mut table = Vec::new();
        out.push(config.version);
        if config.literal_public_id && !config.vocabulary.public_id.is_empty() {
            put_uintvar(out, 0);
            put_uintvar(out, 0);
            // Real peers leave out its NUL when nothing follows; `intern` adds it if something
            // does.
            charset.encode(config.vocabulary.public_id, &mut table);
        } else {
            put_uintvar(out, config.vocabulary.number);
        }
        if config.version != 0 {
            put_uintvar(out, charset.0);
        }
        let table_at = out.len();
        out.push(0);
        Self {
            out,
            table_at,
            table,
            literals: BTreeMap::new(),
            charset,
            nul_len: charset.nul_len(),
            tag_page: 0,
            attribute_page: 0,
            open: Vec::with_capacity(16),
            in_attributes: false,
            in_pi: false,
        }
    }

    /// Octets in the buffer: those of this document and any before it.
    #[must_use]
    pub fn written(&self) -> usize {
        self.out.len() + self.table.len()
    }

    /// The tag page in force.
    #[must_use]
    pub fn tag_page(&self) -> u8 {
        self.tag_page
    }

    /// The attribute page in force.
    #[must_use]
    pub fn attribute_page(&self) -> u8 {
        self.attribute_page
    }

    /// The offset in the buffer of the innermost element's tag octet.
    pub(super) fn tag_at(&self) -> usize {
        self.open.last().copied().unwrap_or(0)
    }

    /// The offset in the buffer of the next octet.
    pub(super) fn position(&self) -> usize {
        self.out.len()
    }

    /// Removes an element that has ended, by its range in the buffer. No element that began after
    /// it may be open.
    pub(super) fn take_back(&mut self, element: std::ops::Range<usize>) {
        drop(self.out.drain(element));
    }

    /// Begins an element by its token.
    #[inline]
    pub fn start(&mut self, page: u8, token: u8) {
        self.begin_content();
        if page != self.tag_page {
            self.out.extend_from_slice(&[SWITCH_PAGE, page]);
            self.tag_page = page;
        }
        self.open.push(self.out.len());
        self.out.push(token);
    }

    /// Begins an element by its name; an error if the charset cannot hold it (WBXML 5.2).
    pub fn start_literal(&mut self, name: &str) -> Result<(), Error> {
        let index = self.intern(name)?;
        self.begin_content();
        self.open.push(self.out.len());
        self.out.push(LITERAL);
        put_uintvar(self.out, index);
        Ok(())
    }

    /// Flags the innermost element as one with content, even if no content follows.
    #[inline]
    pub fn begin_content(&mut self) {
        self.end_attributes();
        self.flag(CONTENT);
    }

    /// Ends the innermost element.
    #[inline]
    pub fn end(&mut self) {
        self.end_attributes();
        if self.has_content() {
            self.out.push(END);
        }
        self.open.pop();
    }

    /// Begins an attribute of the element just begun, by its token.
    pub fn attribute(&mut self, page: u8, token: u8) {
        self.begin_attribute();
        self.switch_attribute_page(page);
        self.out.push(token);
    }

    /// Begins an attribute by its name.
    pub fn attribute_literal(&mut self, name: &str) -> Result<(), Error> {
        let index = self.intern(name)?;
        self.begin_attribute();
        self.out.push(LITERAL);
        put_uintvar(self.out, index);
        Ok(())
    }

    /// An attribute value token.
    pub fn value(&mut self, page: u8, token: u8) {
        self.switch_attribute_page(page);
        self.out.push(token);
    }

    /// Ends the attribute list, if one is open.
    #[inline]
    pub fn end_attributes(&mut self) {
        if self.in_attributes {
            self.in_attributes = false;
            self.out.push(END);
        }
    }

    /// A processing instruction; values and [`Self::end_pi`] follow.
    pub fn pi(&mut self, target: &str) -> Result<(), Error> {
        let index = self.intern(target)?;
        self.begin_content();
        self.out.extend_from_slice(&[PI, LITERAL]);
        put_uintvar(self.out, index);
        self.in_pi = true;
        Ok(())
    }

    /// Ends the processing instruction.
    pub fn end_pi(&mut self) {
        self.in_pi = false;
        self.out.push(END);
    }

    /// Text, in content or in the value of an attribute. Characters the charset does not have
    /// become ENTITY.
    pub fn text(&mut self, text: &str) {
        self.begin_data();
        let mut rest = text;
        while !rest.is_empty() {
            // A NUL would end the string.
            let (plain, after) = match rest.split_once('\0') {
                Some((plain, after)) => (plain, Some(after)),
                None => (rest, None),
            };
            self.text_without_nul(plain);
            if after.is_some() {
                self.put_entity('\0');
            }
            rest = after.unwrap_or_default();
        }
    }

    /// A string without characters. Only the value of an attribute may need one (WBXML 5.8.4.1).
    pub fn empty_string(&mut self) {
        self.begin_data();
        self.out.push(STR_I);
        self.push_nul();
    }

    /// Text from the string table: cheaper where it repeats.
    pub fn shared_text(&mut self, text: &str) -> Result<(), Error> {
        let index = self.intern(text)?;
        self.begin_data();
        self.out.push(STR_T);
        put_uintvar(self.out, index);
        Ok(())
    }

    fn text_without_nul(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let begin = self.out.len();
            self.out.push(STR_I);
            let missing = self.charset.encode(rest, self.out);
            if self.out.len() == begin + 1 {
                self.out.truncate(begin); // not even the first character
            } else {
                self.push_nul();
            }
            rest = match missing {
                Some((character, rest)) => {
                    self.put_entity(character);
                    rest
                }
                None => "",
            };
        }
    }

    /// A character by its number.
    pub fn entity(&mut self, character: char) {
        self.begin_data();
        self.put_entity(character);
    }

    /// Opaque data.
    pub fn opaque(&mut self, octets: &[u8]) {
        self.begin_data();
        self.out.push(OPAQUE);
        put_uintvar(self.out, uintvar_of(octets.len()));
        self.out.extend_from_slice(octets);
    }

    /// A document type's own token; `text` already in the charset.
    pub fn extension(&mut self, extension: Extension<'_>) {
        self.begin_data();
        match extension {
            Extension::Text(number, text) => {
                self.out.push(EXT_I_0 + number);
                self.out.extend_from_slice(text);
                self.push_nul();
            }
            Extension::Integer(number, value) => {
                self.out.push(EXT_T_0 + number);
                put_uintvar(self.out, value);
            }
            Extension::Single(number) => self.out.push(EXT_0 + number),
        }
    }

    /// A document type's own token with a string, of characters that every charset has.
    pub fn extension_text(&mut self, number: u8, text: &str) {
        let mut octets = Vec::with_capacity(text.len());
        self.charset.encode(text, &mut octets);
        self.extension(Extension::Text(number, &octets));
    }

    /// Writes an event of a decoder, whose document is in `charset`: from WBXML to WBXML.
    pub fn event(&mut self, event: &Event<'_>, charset: Charset) -> Result<(), Error> {
        let decode = |octets| {
            charset
                .decode(octets)
                .ok_or_else(|| error("text in the charset of the document"))
        };
        match *event {
            Event::Start {
                tag: Tag { page, token, name },
                attributes,
                content,
            } => {
                match name {
                    Name::Literal(name) => self.start_literal(&decode(name)?)?,
                    Name::Assigned(_) | Name::Unassigned => self.start(page, token),
                }
                match (content, attributes) {
                    (true, _) => self.flag(CONTENT),
                    (false, true) => {} // ends with its attributes
                    (false, false) => self.end(),
                }
            }
            Event::End(_) => self.end(),
            Event::Attribute(AttributeName {
                page, token, name, ..
            }) => match name {
                Name::Literal(name) => self.attribute_literal(&decode(name)?)?,
                Name::Assigned(_) | Name::Unassigned => self.attribute(page, token),
            },
            Event::EndAttributes => {
                self.end_attributes();
                if !self.has_content() {
                    self.open.pop();
                }
            }
            Event::Pi(AttributeName {
                page, token, name, ..
            }) => match name {
                Name::Literal(name) => self.pi(&decode(name)?)?,
                Name::Assigned(_) | Name::Unassigned => {
                    self.begin_content();
                    self.out.push(PI);
                    self.switch_attribute_page(page);
                    self.out.push(token);
                    self.in_pi = true;
                }
            },
            Event::EndPi => self.end_pi(),
            Event::Value(token, _) => self.value(self.attribute_page, token),
            Event::Text(octets) => self.text(&decode(octets)?),
            Event::Entity(character) => self.entity(character),
            Event::Opaque(octets) => self.opaque(octets),
            Event::Extension(extension) => self.extension(extension),
        }
        Ok(())
    }

    /// Ends the document: inserts the string table before the body.
    pub fn finish(self) {
        if self.table.is_empty() {
            return;
        }
        let mut field = Vec::with_capacity(self.table.len() + 5);
        put_uintvar(&mut field, uintvar_of(self.table.len()));
        field.extend_from_slice(&self.table);
        self.out.splice(self.table_at..=self.table_at, field);
    }
}

impl Encoder<'_> {
    fn has_content(&self) -> bool {
        self.open
            .last()
            .and_then(|&at| self.out.get(at))
            .is_some_and(|tag| tag & CONTENT != 0)
    }

    fn flag(&mut self, bit: u8) {
        if let Some(&at) = self.open.last()
            && let Some(tag) = self.out.get_mut(at)
        {
            *tag |= bit;
        }
    }

    fn begin_attribute(&mut self) {
        if !self.in_attributes {
            self.in_attributes = true;
            self.flag(ATTRIBUTES);
        }
    }

    fn begin_data(&mut self) {
        if !self.in_attributes && !self.in_pi {
            self.flag(CONTENT);
        }
    }

    fn switch_attribute_page(&mut self, page: u8) {
        if page != self.attribute_page {
            self.out.extend_from_slice(&[SWITCH_PAGE, page]);
            self.attribute_page = page;
        }
    }

    fn put_entity(&mut self, character: char) {
        self.out.push(ENTITY);
        put_uintvar(self.out, u32::from(character));
    }

    fn push_nul(&mut self) {
        for _ in 0..self.nul_len {
            self.out.push(0);
        }
    }

    /// The index of a string in the table. A new string is added.
    fn intern(&mut self, string: &str) -> Result<u32, Error> {
        let mut octets = Vec::with_capacity(string.len() + self.nul_len);
        if string.contains('\0') || self.charset.encode(string, &mut octets).is_some() {
            return Err(error("a name that the charset can hold"));
        }
        if let Some(&index) = self.literals.get(&octets) {
            return Ok(index);
        }
        if self.literals.is_empty() && !self.table.is_empty() {
            self.table.resize(self.table.len() + self.nul_len, 0);
        }
        let index = uintvar_of(self.table.len());
        self.table.extend_from_slice(&octets);
        self.table.resize(self.table.len() + self.nul_len, 0);
        self.literals.insert(octets, index);
        Ok(index)
    }
}

#[cold]
fn error(expected: &'static str) -> Error {
    Error {
        fault: Fault::Untranslatable,
        offset: 0,
        token: None,
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wbxml::tables::{SYNCML_1_0, SYNCML_1_2, UNKNOWN};

    fn encode(config: &EncoderConfig, write: impl FnOnce(&mut Encoder<'_>)) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(&mut out, config);
        write(&mut encoder);
        encoder.finish();
        out
    }

    #[test]
    fn pages_are_switched_only_where_they_differ() {
        let wire = encode(&EncoderConfig::new(&SYNCML_1_2), |e| {
            e.start(0, 0x1A);
            e.start(1, 0x07);
            e.text("b64");
            e.end();
            e.start(1, 0x12);
            e.end();
            e.end();
            e.start(0, 0x12);
            e.end();
        });
        assert_eq!(
            wire,
            b"\x02\xA4\x01\x6A\x00\x5A\x00\x01\x47\x03b64\0\x01\x12\x01\x00\x00\x12"
        );
    }

    #[test]
    fn an_old_public_id_is_written_as_old_clients_do() {
        let wire = encode(&EncoderConfig::new(&SYNCML_1_0), |e| e.start(0, 0x2D));
        assert_eq!(
            wire,
            b"\x02\x00\x00\x6A\x1D-//SYNCML//DTD SyncML 1.0//EN\x2D"
        );
        let wire = encode(&EncoderConfig::new(&SYNCML_1_0), |e| {
            e.start_literal("X").unwrap();
        });
        assert_eq!(
            wire,
            b"\x02\x00\x00\x6A\x20-//SYNCML//DTD SyncML 1.0//EN\0X\0\x04\x1E"
        );
    }

    #[test]
    fn what_the_charset_lacks_becomes_an_entity() {
        // WBXML 8.1
        let config = EncoderConfig {
            version: 3,
            charset: Charset::US_ASCII,
            ..EncoderConfig::new(&UNKNOWN)
        };
        let wire = encode(&config, |e| {
            e.start(0, 0x06);
            e.text("\u{A0}X\u{A0}=\u{A0}1 ");
            e.end();
        });
        assert_eq!(
            wire,
            b"\x03\x01\x03\x00\x46\x02\x81\x20\x03X\0\x02\x81\x20\x03=\0\x02\x81\x20\x031 \0\x01"
        );
    }

    #[test]
    fn strings_end_with_the_nul_of_the_charset() {
        let config = EncoderConfig {
            charset: Charset::UCS_2,
            ..EncoderConfig::new(&UNKNOWN)
        };
        let wire = encode(&config, |e| {
            e.start_literal("X").unwrap();
            e.text("é\0");
            e.end();
        });
        assert_eq!(
            wire,
            b"\x02\x01\x87\x68\x04\0X\0\0\x44\x00\x03\0\xE9\0\0\x02\x00\x01"
        );
    }

    #[test]
    fn attributes_come_before_content_and_names_are_kept_once() {
        let wire = encode(&EncoderConfig::new(&UNKNOWN), |e| {
            e.start(0, 0x05);
            e.attribute_literal("a").unwrap();
            e.text("1");
            e.attribute_literal("b").unwrap();
            e.end_attributes();
            e.start_literal("a").unwrap();
            e.end();
            e.shared_text("b").unwrap();
            e.end();
        });
        assert_eq!(
            wire,
            b"\x02\x01\x6A\x04a\0b\0\xC5\x04\x00\x031\0\x04\x02\x01\x04\x00\x83\x02\x01"
        );
    }
}
