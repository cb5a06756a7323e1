//! XML for display: with parts that have no form in XML, and with the readable beginning of a
//! malformed document.

use std::fmt::Write as _;

use super::XmlOptions;
use super::escape;
use super::writer::{Place, Writer, write};
use crate::wbxml::decoder::{Decoder, Options};
use crate::wbxml::error::Error;
use crate::wbxml::event::{Event, Extension};
use crate::wbxml::header::Header;

/// Appends the XML text of a document to `out`, up to the first error.
///
/// # Errors
///
/// The document is malformed or exceeds a limit; `out` has the text before the error.
pub(in crate::wbxml) fn to_readable_xml(
    wbxml: &[u8],
    options: &Options,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let options = XmlOptions {
        decode: *options,
        indent: true,
        readable: true,
        ..XmlOptions::default()
    };
    write(wbxml, &options, None, None, out).map(|_| ())
}

impl Writer<'_, '_> {
    /// Shows character data that XML cannot hold.
    pub(super) fn show(&mut self, event: &Event<'_>, decoder: &Decoder<'_>) {
        let charset = decoder.charset();
        let lossy = |octets: &[u8]| match charset.decode(octets) {
            Some(text) => text.into_owned(),
            None => String::from_utf8_lossy(octets).into_owned(),
        };
        match *event {
            Event::Text(octets) => self.show_text(&lossy(octets)),
            Event::Entity(character) => self.show_text(character.encode_utf8(&mut [0; 4])),
            Event::Value(token, _) => self.note(&format!("attribute value {token:#04x}")),
            Event::Extension(extension) => {
                let note = match extension {
                    Extension::Text(number, text) => format!("EXT_I_{number} {}", lossy(text)),
                    Extension::Integer(number, value) => format!("EXT_T_{number} {value}"),
                    Extension::Single(number) => format!("EXT_{number}"),
                };
                self.note(&note);
            }
            Event::Opaque(octets) => self.show_opaque(octets),
            Event::Start { .. }
            | Event::End(_)
            | Event::Attribute(_)
            | Event::EndAttributes
            | Event::Pi(_)
            | Event::EndPi => {}
        }
    }

    fn show_opaque(&mut self, octets: &[u8]) {
        if self.place == Place::Content && self.show_document(octets) {
            return;
        }
        if let Ok(text) = std::str::from_utf8(octets)
            && escape::check(text.as_bytes()).is_ok()
        {
            self.show_text(text);
            return;
        }
        let mut note = match octets.len() {
            1 => "1 octet:".to_owned(),
            len => format!("{len} octets:"),
        };
        for octet in octets.iter().take(MAX_OCTETS) {
            let _ = write!(note, " {octet:02x}");
        }
        if octets.len() > MAX_OCTETS {
            note.push_str(" ...");
        }
        self.note(&note);
    }

    /// A document of a known type inside this one.
    fn show_document(&mut self, octets: &[u8]) -> bool {
        let is_known = matches!(octets.first(), Some(0x01..=0x03))
            && Header::parse(octets).is_ok_and(|(body, header)| header.vocabulary(body).is_some());
        let mut decode = self.options.decode;
        let Some(depth) = decode.limits.depth.checked_sub(self.open.len()) else {
            return false;
        };
        decode.limits.depth = depth;
        (decode.vocabulary, decode.charset) = (None, None);
        let options = XmlOptions {
            decode,
            ..*self.options
        };
        let (begin, inside) = (self.out.len(), self.indent.unwrap_or(0) + self.open.len());
        if is_known && write(octets, &options, Some(inside), None, self.out).is_ok() {
            if let Some(open) = self.open.last_mut() {
                open.children = true;
            }
            return true;
        }
        self.out.truncate(begin);
        false
    }

    fn show_text(&mut self, text: &str) {
        for character in text.chars() {
            let mut octets = [0; 4];
            let text = character.encode_utf8(&mut octets).as_bytes();
            let shown = match self.place {
                Place::Content => escape::text(text, self.out),
                Place::Value | Place::Attributes | Place::Pi(_) => {
                    escape::attribute(text, self.out)
                }
            };
            if shown.is_err() {
                let number = format!("[U+{:04X}]", u32::from(character));
                self.out.extend_from_slice(number.as_bytes());
            }
        }
    }

    /// A comment, or brackets in an attribute, where XML has no comments.
    fn note(&mut self, note: &str) {
        let in_content = self.place == Place::Content;
        let (begin, end) = match in_content {
            true => ("<!-- ", " -->"),
            false => ("[", "]"),
        };
        self.out.extend_from_slice(begin.as_bytes());
        match in_content {
            true => self.show_text(&note.replace("--", "- -")),
            false => self.show_text(note),
        }
        self.out.extend_from_slice(end.as_bytes());
    }
}

/// Octets of binary data that are shown.
const MAX_OCTETS: usize = 16;
