//! The spans of a SyncML message, in either notation, each with its octets. The explainer shows
//! them, and the trace blanks secrets in place.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::Event as XmlEvent;

use crate::codec::within;
use crate::syncml::Encoding;
use crate::wbxml::{Decoder, Event, Extension, Name, Options, PublicId, tables};

/// Part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span<'a> {
    /// The octets of the span. For characters, exactly the octets that encode them.
    pub at: Range<usize>,
    /// The kind.
    pub kind: SpanKind<'a>,
}

/// The kind of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanKind<'a> {
    /// Start of an element: its local name, empty for an unassigned token.
    Start(Cow<'a, str>),
    /// The innermost element ends.
    End,
    /// Characters.
    Text(Cow<'a, str>),
    /// A character, written by its number or name.
    Reference(char),
    /// Octets that are not text, mostly a document of their own.
    Opaque(&'a [u8]),
    /// Text outside content: comments, values of attributes, processing instructions.
    Markup,
}

/// An iterator over the spans of a message. It ends at the end of the message or at the first
/// error.
pub struct Spans<'a> {
    message: &'a [u8],
    reader: Notation<'a>,
    waiting: VecDeque<Span<'a>>,
    /// The offset of the error that ended reading, if there was one.
    broken: Option<usize>,
}

enum Notation<'a> {
    Wbxml {
        decoder: Decoder<'a>,
        in_attributes: bool,
    },
    Xml {
        reader: Reader<&'a [u8]>,
        /// Octets before the reader's input.
        skipped: usize,
    },
}

impl<'a> Spans<'a> {
    /// Starts reading. `None` if the octets are no message, or in a charset that does not contain
    /// ASCII.
    #[must_use]
    pub fn new(message: &'a [u8]) -> Option<Self> {
        let reader = match Encoding::of(message)? {
            Encoding::Wbxml => {
                let options = Options {
                    vocabulary: Some(&tables::SYNCML_1_2),
                    ..Options::default()
                };
                let decoder = Decoder::new(message, &options).ok()?;
                if decoder.charset().decode(b"a?").as_deref() != Some("a?") {
                    return None;
                }
                Notation::Wbxml {
                    decoder,
                    in_attributes: false,
                }
            }
            Encoding::Xml => {
                let text = message.strip_prefix(BOM).unwrap_or(message);
                std::str::from_utf8(text).ok()?;
                Notation::Xml {
                    reader: Reader::from_reader(text),
                    skipped: message.len() - text.len(),
                }
            }
        };
        Some(Self {
            message,
            reader,
            waiting: VecDeque::new(),
            broken: None,
        })
    }

    /// The offset of the error that ended the iteration.
    #[must_use]
    pub const fn broken(&self) -> Option<usize> {
        self.broken
    }

    /// Whether the message is WBXML.
    #[must_use]
    pub const fn is_wbxml(&self) -> bool {
        matches!(self.reader, Notation::Wbxml { .. })
    }

    /// The octets of the string table of WBXML, and within it the public id.
    #[must_use]
    pub fn strings(&self) -> Option<(Range<usize>, Option<Range<usize>>)> {
        let Notation::Wbxml { decoder, .. } = &self.reader else {
            return None;
        };
        let header = decoder.header();
        let table = within(self.message, header.strings.octets())?;
        let id = match header.public_id {
            PublicId::Literal(name) => within(self.message, name),
            PublicId::Number(_) => None,
        };
        Some((table, id))
    }

    /// The name of the message's own type.
    #[must_use]
    pub fn vocabulary(&self) -> Option<&'static str> {
        match &self.reader {
            Notation::Wbxml { decoder, .. } => Some(decoder.vocabulary().name),
            Notation::Xml { .. } => None,
        }
    }

    fn wbxml(&mut self) -> Option<()> {
        let Notation::Wbxml {
            decoder,
            in_attributes,
        } = &mut self.reader
        else {
            return None;
        };
        let from = decoder.offset();
        let event = match decoder.next() {
            Ok(event) => event?,
            Err(_) => {
                self.broken = Some(from);
                return None;
            }
        };
        let at = from..decoder.offset();
        let charset = decoder.charset();
        let octets = |octets| within(self.message, octets).unwrap_or(from..from);
        let mut push = |at, kind| self.waiting.push_back(Span { at, kind });
        match event {
            Event::Start {
                tag,
                attributes,
                content,
            } => {
                *in_attributes = attributes;
                push(at.clone(), SpanKind::Start(name(tag.name)));
                if !content {
                    push(at.end..at.end, SpanKind::End);
                }
            }
            Event::End(_) => push(at, SpanKind::End),
            Event::Pi(_) => *in_attributes = true,
            Event::EndAttributes | Event::EndPi => *in_attributes = false,
            Event::Text(text) | Event::Opaque(text) if *in_attributes => {
                push(octets(text), SpanKind::Markup);
            }
            Event::Text(text) => match charset.decode(text) {
                Some(decoded) => push(octets(text), SpanKind::Text(decoded)),
                None => push(octets(text), SpanKind::Opaque(text)),
            },
            Event::Opaque(opaque) => match std::str::from_utf8(opaque) {
                // Values of SyncML are written so as well.
                Ok(text) if opaque.first().is_none_or(|first| *first >= b' ') => {
                    push(octets(opaque), SpanKind::Text(text.into()));
                }
                _ => push(octets(opaque), SpanKind::Opaque(opaque)),
            },
            Event::Entity(_) if *in_attributes => push(from + 1..at.end, SpanKind::Markup),
            Event::Entity(character) => push(from + 1..at.end, SpanKind::Reference(character)),
            Event::Extension(Extension::Text(_, text)) => push(octets(text), SpanKind::Markup),
            Event::Extension(_) | Event::Attribute(_) | Event::Value(..) => {}
        }
        Some(())
    }

    fn xml(&mut self) -> Option<()> {
        let Notation::Xml { reader, skipped } = &mut self.reader else {
            return None;
        };
        let place = |reader: &Reader<&[u8]>| {
            usize::try_from(reader.buffer_position()).map_or(0, |at| at + *skipped)
        };
        let from = place(reader);
        let Ok(event) = reader.read_event() else {
            self.broken = Some(from);
            return None;
        };
        let at = from..place(reader);
        let octets = self.message.get(at.clone()).unwrap_or_default();
        let mut push = |at, kind| self.waiting.push_back(Span { at, kind });
        // The content between marks of these lengths.
        let inside = |before: usize, after: usize| {
            let end = at.end.saturating_sub(after).max(at.start);
            (at.start + before).min(end)..end
        };
        match event {
            XmlEvent::Start(start) => {
                push(at.clone(), SpanKind::Start(local(start.name().as_ref())));
                values(octets, at.start, &mut push);
            }
            XmlEvent::Empty(start) => {
                push(at.clone(), SpanKind::Start(local(start.name().as_ref())));
                values(octets, at.start, &mut push);
                push(at.end..at.end, SpanKind::End);
            }
            XmlEvent::End(_) => push(at, SpanKind::End),
            XmlEvent::Text(text) => {
                let text: &str = &text;
                push(at, SpanKind::Text(Cow::Owned(text.to_owned())));
            }
            XmlEvent::CData(_) => {
                let inner = inside(9, 3);
                let text = self.message.get(inner.clone()).unwrap_or_default();
                push(inner, SpanKind::Text(String::from_utf8_lossy(text)));
            }
            XmlEvent::GeneralRef(reference) => {
                let text = format!("&{};", &*reference);
                let unescaped = quick_xml::escape::unescape(&text).ok();
                let character = unescaped.and_then(|text| text.chars().next());
                push(at, SpanKind::Reference(character.unwrap_or('?')));
            }
            XmlEvent::Comment(_) => push(inside(4, 3), SpanKind::Markup),
            XmlEvent::PI(_) => push(inside(2, 2), SpanKind::Markup),
            XmlEvent::DocType(_) if octets.contains(&b'[') => push(inside(9, 1), SpanKind::Markup),
            XmlEvent::DocType(_) | XmlEvent::Decl(_) => {}
            XmlEvent::Eof => return None,
        }
        Some(())
    }
}

impl<'a> Iterator for Spans<'a> {
    type Item = Span<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(span) = self.waiting.pop_front() {
                return Some(span);
            }
            match self.reader {
                Notation::Wbxml { .. } => self.wbxml()?,
                Notation::Xml { .. } => self.xml()?,
            }
        }
    }
}

/// The values of a tag's attributes, but for the names of namespaces.
fn values<'a>(tag: &[u8], origin: usize, push: &mut impl FnMut(Range<usize>, SpanKind<'a>)) {
    let mut rest = tag;
    while let Some(quote_at) = rest.iter().position(|octet| matches!(octet, b'"' | b'\'')) {
        let (before, after) = rest.split_at(quote_at);
        let Some((quote, after)) = after.split_first() else {
            return;
        };
        let Some(len) = after.iter().position(|octet| octet == quote) else {
            return;
        };
        let name = before
            .rsplit(u8::is_ascii_whitespace)
            .find(|word| !word.is_empty() && *word != b"=");
        if !name.is_some_and(|name| name.starts_with(b"xmlns")) {
            let start = origin + (tag.len() - after.len());
            push(start..start + len, SpanKind::Markup);
        }
        rest = after.get(len + 1..).unwrap_or_default();
    }
}

fn local<'a>(name: &str) -> Cow<'a, str> {
    let local = name.rsplit_once(':').map_or(name, |(_, local)| local);
    Cow::Owned(local.to_owned())
}

fn name(name: Name<'_>) -> Cow<'_, str> {
    match name {
        Name::Assigned(name) => Cow::Borrowed(name),
        Name::Literal(name) => String::from_utf8_lossy(name),
        Name::Unassigned => Cow::Borrowed(""),
    }
}

const BOM: &[u8] = b"\xEF\xBB\xBF";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const XML: &str = "<?xml version=\"1.0\"?><!-- c --><s:SyncML xmlns:s='SYNCML:SYNCML1.1' x = \"secret\"><s:Cred><s:Data>a&amp;<![CDATA[b]]></s:Data></s:Cred><Final/></s:SyncML>";

    fn told(message: &[u8]) -> Vec<String> {
        Spans::new(message)
            .unwrap()
            .map(|span| {
                let octets = String::from_utf8_lossy(&message[span.at]).into_owned();
                match span.kind {
                    SpanKind::Start(name) => format!("<{name}"),
                    SpanKind::End => ">".to_owned(),
                    SpanKind::Text(text) => format!("{text}|{octets}"),
                    SpanKind::Reference(character) => format!("&{character}|{octets}"),
                    SpanKind::Opaque(_) => format!("#{octets}"),
                    SpanKind::Markup => format!("~{octets}"),
                }
            })
            .collect()
    }

    #[test]
    fn pieces_of_xml_know_their_place() {
        assert_eq!(
            told(XML.as_bytes()),
            [
                "~ c ", "<SyncML", "~secret", "<Cred", "<Data", "a|a", "&&|&amp;", "b|b", ">", ">",
                "<Final", ">", ">"
            ]
        );
    }

    #[test]
    fn pieces_of_wbxml_know_their_place() {
        // Text in line, from the table, as an entity and opaque; the public id in the table.
        let wire = b"\x02\x00\x00\x6A\x0DSYNCML\0a?b\0x\0\x6D\x4E\x4F\x83\x07\x02\x26\x03cd\0\xC3\x01e\xC3\x02\x02\xA4\x01\x01\x12\x01";
        assert_eq!(
            told(wire),
            [
                "<SyncML",
                "<Cred",
                "<Data",
                "a?b|a?b",
                "&&|&",
                "cd|cd",
                "e|e",
                "#\u{2}\u{FFFD}",
                ">",
                ">",
                "<Final",
                ">",
                ">"
            ]
        );
        let (table, id) = Spans::new(wire).unwrap().strings().unwrap();
        assert_eq!((table, id), (5..18, Some(5..11)));
    }

    #[test]
    fn it_says_where_it_broke() {
        let mut spans = Spans::new(b"<a>t</b>").unwrap();
        assert_eq!(spans.by_ref().count(), 2);
        assert_eq!(spans.broken(), Some(4));
        let mut spans = Spans::new(b"\x02\xA4\x01\x6A\x00\x6D\x03abc").unwrap();
        assert_eq!(spans.by_ref().count(), 1);
        assert_eq!(spans.broken(), Some(6));
    }

    proptest! {
        #[test]
        fn any_octets_are_read_within_their_bounds(octets: Vec<u8>, xml: bool) {
            let start: &[u8] = if xml { b"<SyncML>" } else { b"\x02\xA4\x01\x6A\x00\x6D" };
            let message = [start, &octets].concat();
            for span in Spans::new(&message).into_iter().flatten() {
                prop_assert!(span.at.start <= span.at.end && span.at.end <= message.len());
            }
        }
    }
}
