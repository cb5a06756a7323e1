//! WBXML to XML text, straight from the decoder into a buffer.

use std::borrow::Cow;
use std::ops::Range;

use super::chunks::{ChunkReader, Chunks};
use super::escape::{self, Forbidden};
use super::meaning::{Level, Meaning, Role};
use super::{
    UNASSIGNED_ATTRIBUTE, UNASSIGNED_TAG, XmlOptions, datetime, is_name, untranslatable, variables,
};
use crate::codec::put_base64;
use crate::wbxml::charset::Charset;
use crate::wbxml::decoder::Decoder;
use crate::wbxml::error::Error;
use crate::wbxml::event::{AttributeName, Event, Extension, Name, Tag};
use crate::wbxml::vocabulary::{Opaque, Space, Vocabulary};

/// Appends the XML text of a whole WBXML document to `out`. After an error `out` is unchanged.
///
/// # Errors
///
/// The document is malformed, exceeds a limit, or has a part without a form in XML.
pub fn to_xml(wbxml: &[u8], options: &XmlOptions, out: &mut Vec<u8>) -> Result<(), Error> {
    translate(wbxml, options, None, out).map(|_| ())
}

/// The same for a message of a SyncML session. All chunks of a large object are written as text, or
/// refused. `chunks` is the state of large objects after the earlier messages; success updates it.
///
/// # Errors
///
/// As [`to_xml`]. `Fault::Untranslatable` where a chunk is not text in UTF-8: a chunk in base64
/// would give an object in two notations, and its Size would be false.
pub fn to_xml_in(
    chunks: &mut Chunks,
    wbxml: &[u8],
    options: &XmlOptions,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let after = translate(wbxml, options, Some(*chunks), out)?;
    *chunks = after.unwrap_or(*chunks);
    Ok(())
}

fn translate(
    wbxml: &[u8],
    options: &XmlOptions,
    chunks: Option<Chunks>,
    out: &mut Vec<u8>,
) -> Result<Option<Chunks>, Error> {
    let begin = out.len();
    out.reserve(wbxml.len() + wbxml.len() / 2 + 256);
    let written = write(wbxml, options, None, chunks, out);
    if written.is_err() {
        out.truncate(begin);
    }
    written
}

/// Writes one document, at the top or inside the Data of a SyncML message that is indented so far.
pub(super) fn write(
    wbxml: &[u8],
    options: &XmlOptions,
    inside: Option<usize>,
    chunks: Option<Chunks>,
    out: &mut Vec<u8>,
) -> Result<Option<Chunks>, Error> {
    let mut decoder = Decoder::new(wbxml, &options.decode)?;
    let vocabulary = decoder.vocabulary();
    if inside.is_some() && !vocabulary.is_embedded() && !options.readable {
        return Err(untranslatable(0, "a document that belongs into Data"));
    }
    let mut writer = Writer {
        limit: out
            .len()
            .saturating_add(options.decode.limits.output_of(wbxml.len())),
        out,
        options,
        open: Vec::with_capacity(16),
        scope: Scope::NONE,
        namespaced: vocabulary
            .pages
            .iter()
            .any(|page| !page.namespace.is_empty()),
        variables: vocabulary.space == Space::Variables,
        indent: (options.indent && vocabulary.space == Space::Ignorable)
            .then_some(inside.unwrap_or(0)),
        meaning: vocabulary.is_syncml().then(Meaning::default),
        place: Place::Content,
        tag: Started::default(),
        attribute_names: Vec::new(),
        date: false,
        base64: false,
        meta: MetaPlaces::default(),
        command_type: 0..0,
        command_size: 0..0,
        encoded: false,
        chunk: ChunkReader::new(chunks),
    };
    if inside.is_none() {
        writer.prolog(&decoder);
    }
    while let Some(event) = decoder.next()? {
        let before = writer.out.len();
        if let Err(error) = writer.event(&event, &mut decoder) {
            // In readable XML an event of another kind becomes a comment, and is no error.
            if !options.readable || !event.is_character_data() {
                return Err(error);
            }
            writer.out.truncate(before);
            writer.show(&event, &decoder);
        }
        if writer.out.len() > writer.limit {
            let limits = &options.decode.limits;
            return Err(limits.exceeded(wbxml.len(), decoder.event_offset()));
        }
    }
    if writer.indent.is_some() && inside.is_none() {
        writer.out.push(b'\n');
    }
    Ok(writer.chunk.chunks)
}

pub(super) struct Writer<'o, 'p> {
    pub(super) out: &'o mut Vec<u8>,
    limit: usize,
    pub(super) options: &'p XmlOptions,
    /// Open elements, the innermost last.
    pub(super) open: Vec<Open>,
    /// The namespace in force.
    scope: Scope,
    namespaced: bool,
    variables: bool,
    /// Levels outside this document, if it is indented.
    pub(super) indent: Option<usize>,
    pub(super) meaning: Option<Meaning>,
    pub(super) place: Place,
    /// The element whose attributes are being written.
    tag: Started,
    /// The ranges of the names of its attributes in the output.
    attribute_names: Vec<Range<usize>>,
    /// The value of the current attribute is a date.
    date: bool,
    /// The value of the current attribute is octets.
    base64: bool,
    pub(super) meta: MetaPlaces,
    /// The range in the output of the Type in a command's Meta.
    pub(super) command_type: Range<usize>,
    /// The same for its Size.
    pub(super) command_size: Range<usize>,
    /// The Data so far was put into base64.
    pub(super) encoded: bool,
    pub(super) chunk: ChunkReader,
}

/// An open element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    /// The namespace in force outside it.
    outside: Scope,
    role: Role,
    /// The offsets of its start tag and of its content.
    pub(super) tag_at: usize,
    pub(super) content_at: usize,
    pub(super) children: bool,
    /// The meaning of binary data in the element, if the document's type defines one.
    opaque: Option<Opaque>,
}

/// The namespace of names without a prefix: that of a code page, or that of a literal `xmlns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scope(u16);

impl Scope {
    const NONE: Self = Self(256);
    const FOREIGN: Self = Self(257);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Content,
    /// In an attribute list, before the first attribute.
    Attributes,
    /// In the value of an attribute.
    Value,
    /// In a processing instruction. Its value begins at this offset.
    Pi(usize),
}

#[derive(Clone, Copy, Debug, Default)]
struct Started {
    content: bool,
}

/// The place of the last Meta in the output, where a Format may have to be added.
#[derive(Clone, Debug, Default)]
pub(super) struct MetaPlaces {
    /// The offsets of its content; 0 without content.
    pub(super) content_at: usize,
    pub(super) end_at: usize,
    /// The range of the text of its Format.
    pub(super) format: Option<Range<usize>>,
}

impl Writer<'_, '_> {
    fn prolog(&mut self, decoder: &Decoder<'_>) {
        let vocabulary = decoder.vocabulary();
        if self.options.declaration {
            self.put("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
        }
        if self.options.doctype && !vocabulary.public_id.is_empty() {
            if self.options.declaration {
                self.put("\n");
            }
            for part in [
                "<!DOCTYPE ",
                vocabulary.root,
                " PUBLIC \"",
                vocabulary.public_id,
                "\" \"",
                vocabulary.system_id,
            ] {
                self.put(part);
            }
            self.put("\">");
            if self.indent.is_none() {
                self.put("\n");
            }
        } else if self.options.readable && self.indent.is_none() {
            self.put("\n");
        }
    }

    #[inline]
    fn event(&mut self, event: &Event<'_>, decoder: &mut Decoder<'_>) -> Result<(), Error> {
        match *event {
            Event::Start {
                tag,
                attributes,
                content,
            } => self.start(tag, attributes, content, decoder),
            Event::End(tag) => self.end(tag, decoder),
            Event::Text(octets) => self.text(octets, decoder),
            Event::Opaque(octets) => self.opaque(octets, decoder),
            Event::Attribute(name) => self.attribute(&name, decoder),
            Event::EndAttributes => {
                self.close_value();
                self.place = Place::Content;
                self.close_start(self.tag.content);
                Ok(())
            }
            Event::Value(_, Some(text)) => self.characters(text.as_bytes(), decoder),
            Event::Value(_, None) => Err(self.cannot(decoder, "an attribute value of the tables")),
            Event::Entity(character) => {
                if !self.chunk.carry().is_empty() {
                    return Err(self.cannot(decoder, "the rest of a character"));
                }
                self.characters(character.encode_utf8(&mut [0; 4]).as_bytes(), decoder)
            }
            Event::Extension(extension) => self.extension(extension, decoder),
            Event::Pi(target) => self.pi(&target, decoder),
            Event::EndPi => self.end_pi(decoder),
        }
    }

    fn start(
        &mut self,
        tag: Tag<'_>,
        attributes: bool,
        content: bool,
        decoder: &Decoder<'_>,
    ) -> Result<(), Error> {
        self.break_line();
        let tag_at = self.out.len();
        let outside = self.scope;
        self.out.push(b'<');
        self.put_tag_name(tag, decoder)?;
        if self.namespaced
            && matches!(tag.name, Name::Assigned(_))
            && self.scope != Scope(u16::from(tag.page))
        {
            let namespace = decoder.vocabulary().namespace(tag.page);
            self.put(" xmlns=\"");
            self.put(namespace);
            self.put("\"");
            self.scope = Scope(u16::from(tag.page));
        }
        let role = match (&mut self.meaning, tag.name) {
            (None, _) => Role::Plain,
            (Some(meaning), Name::Assigned(_)) => meaning.enter(tag.page, tag.token),
            (Some(meaning), _) => meaning.enter(0, 0),
        };
        match (role, &self.meaning) {
            (Role::ItemData, Some(meaning)) if !meaning.is_remark() => {
                self.chunk.data_begins(meaning.effective(role).sized);
            }
            (Role::MoreData, _) => self.chunk.more_data(),
            _ => {}
        }
        let opaque = match tag.name {
            Name::Assigned(name) => decoder.vocabulary().opaque(name),
            _ => None,
        };
        self.open.push(Open {
            outside,
            role,
            tag_at,
            content_at: 0,
            children: false,
            opaque,
        });
        self.tag = Started { content };
        if attributes {
            self.place = Place::Attributes;
            self.attribute_names.clear();
        } else {
            self.close_start(content);
        }
        Ok(())
    }

    /// The end of a start tag.
    fn close_start(&mut self, content: bool) {
        self.encoded = false;
        if content {
            self.out.push(b'>');
            let at = self.out.len();
            if let Some(open) = self.open.last_mut() {
                open.content_at = at;
                if open.role == Role::Meta {
                    self.meta = MetaPlaces {
                        content_at: at,
                        end_at: at,
                        format: None,
                    };
                }
            }
            return;
        }
        self.put("/>");
        if let Some(open) = self.open.pop() {
            self.scope = open.outside;
        }
        if let Some(meaning) = &mut self.meaning {
            meaning.leave();
        }
    }

    fn item_ends(&mut self, decoder: &Decoder<'_>) -> Result<(), Error> {
        self.chunk
            .item_ends()
            .ok_or_else(|| self.cannot(decoder, "the rest of a character"))
    }

    fn end(&mut self, tag: Tag<'_>, decoder: &Decoder<'_>) -> Result<(), Error> {
        let Some(open) = self.open.pop() else {
            return Err(self.cannot(decoder, "an element that is open")); // the decoder has seen to it
        };
        if open.role.is_examined() {
            self.examine(&open);
        }
        match open.role {
            Role::Meta => self.meta.end_at = self.out.len(),
            Role::Item => self.item_ends(decoder)?,
            _ => {}
        }
        if open.children {
            self.put_indent(self.open.len());
        }
        self.put("</");
        match tag.name {
            Name::Assigned(name) => self.put(name),
            _ => self.put_tag_name(tag, decoder)?,
        }
        self.out.push(b'>');
        self.scope = open.outside;
        if let Some(meaning) = &mut self.meaning {
            meaning.leave();
        }
        Ok(())
    }

    /// Takes the whole text of a type, a format or a size, and changes it in the output if the
    /// other notation needs another one.
    fn examine(&mut self, open: &Open) {
        let Some(meaning) = &mut self.meaning else {
            return;
        };
        let text = self.out.get(open.content_at..).unwrap_or_default();
        if let Some(changed) = meaning.examine(open.role, text, &self.options.announce) {
            self.out.truncate(open.content_at);
            self.out.extend_from_slice(&changed);
        }
        let range = open.content_at..self.out.len();
        match open.role {
            Role::Format => self.meta.format = Some(range),
            Role::Type if meaning.level() == Some(Level::Command) => self.command_type = range,
            Role::Size if meaning.level() == Some(Level::Command) => self.command_size = range,
            _ => {}
        }
    }

    fn put_tag_name(&mut self, tag: Tag<'_>, decoder: &Decoder<'_>) -> Result<(), Error> {
        match tag.name {
            Name::Assigned(name) => self.put(name),
            Name::Literal(name) => self.put_literal(name, decoder)?,
            Name::Unassigned => {
                self.put(&format!("{UNASSIGNED_TAG}-{}-{:02X}", tag.page, tag.token));
            }
        }
        Ok(())
    }

    fn put_literal(&mut self, name_octets: &[u8], decoder: &Decoder<'_>) -> Result<(), Error> {
        match decoder.charset().decode(name_octets) {
            Some(name) if is_name(name.as_bytes()) && escape::check(name.as_bytes()).is_ok() => {
                self.put(&name);
                Ok(())
            }
            name if self.options.readable => {
                let name = name.map_or_else(
                    || String::from_utf8_lossy(name_octets).into_owned(),
                    Cow::into_owned,
                );
                let is_plain =
                    |octet: char| octet.is_ascii_alphanumeric() || ":._-".contains(octet);
                self.put("_");
                self.put(&name.replace(|character| !is_plain(character), "_"));
                Ok(())
            }
            _ => Err(self.cannot(decoder, "a literal that is a name in XML")),
        }
    }

    fn attribute(
        &mut self,
        attribute: &AttributeName<'_>,
        decoder: &Decoder<'_>,
    ) -> Result<(), Error> {
        self.close_value();
        self.out.push(b' ');
        let at = self.out.len();
        self.put_attribute_name(attribute, decoder)?;
        let name = at..self.out.len();
        let text = |range: &Range<usize>| self.out.get(range.clone()).unwrap_or_default();
        let is_repeated = self
            .attribute_names
            .iter()
            .any(|earlier| text(earlier) == text(&name));
        if self.attribute_names.len() >= MAX_ATTRIBUTES || is_repeated && !self.options.readable {
            return Err(self.cannot(decoder, "a few different attributes"));
        }
        let vocabulary = decoder.vocabulary();
        self.date = vocabulary
            .datetimes
            .iter()
            .any(|date| date.as_bytes() == text(&name));
        self.base64 = self.is_base64(vocabulary, &name);
        if text(&name) == b"xmlns" {
            // Readers would take the element itself for one of this namespace.
            let outside = self.open.last().map_or(Scope::NONE, |open| open.outside);
            if self.scope != outside && !self.options.readable {
                return Err(self.cannot(decoder, "one namespace for an element"));
            }
            self.scope = Scope::FOREIGN;
        }
        self.attribute_names.push(name);
        self.put("=\"");
        self.place = Place::Value;
        self.characters(attribute.prefix.as_bytes(), decoder)
    }

    /// Whether an earlier attribute makes the value of the attribute with this name octets.
    fn is_base64(&self, vocabulary: &Vocabulary, name: &Range<usize>) -> bool {
        let text = |range: Range<usize>| self.out.get(range).unwrap_or_default();
        let Some(before) = self.attribute_names.last() else {
            return false;
        };
        vocabulary.base64.iter().any(|(attribute, value, octets)| {
            text(name.clone()) == octets.as_bytes()
                && text(before.start..name.start).trim_ascii_end()
                    == format!("{attribute}=\"{value}\"").as_bytes()
        })
    }

    fn put_attribute_name(
        &mut self,
        attribute: &AttributeName<'_>,
        decoder: &Decoder<'_>,
    ) -> Result<(), Error> {
        match attribute.name {
            Name::Assigned(name) => self.put(name),
            Name::Literal(name) => self.put_literal(name, decoder)?,
            Name::Unassigned => {
                self.put(&format!(
                    "{UNASSIGNED_ATTRIBUTE}-{}-{:02X}",
                    attribute.page, attribute.token
                ));
            }
        }
        Ok(())
    }

    fn close_value(&mut self) {
        if self.place == Place::Value {
            self.out.push(b'"');
        }
    }

    #[inline]
    fn text(&mut self, octets: &[u8], decoder: &Decoder<'_>) -> Result<(), Error> {
        let data = self
            .open
            .last()
            .is_some_and(|open| matches!(open.role, Role::ItemData | Role::Credential));
        if self.place == Place::Content
            && !data
            && !self.variables
            && decoder.charset() == Charset::UTF_8
        {
            return escape::octets(octets, self.out)
                .ok_or_else(|| self.cannot(decoder, "text of XML in the charset of the document"));
        }
        if let Some(open) = self.open.last()
            && data
            && self.place == Place::Content
        {
            return self.string_data(open.role, octets, decoder);
        }
        let text = self.decode(octets, decoder)?;
        if self.variables && text.contains('$') {
            return self.characters(text.replace('$', "$$").as_bytes(), decoder);
        }
        self.characters(text.as_bytes(), decoder)
    }

    fn opaque(&mut self, octets: &[u8], decoder: &Decoder<'_>) -> Result<(), Error> {
        if self.place == Place::Value && self.date {
            let date = datetime::to_text(octets)
                .ok_or_else(|| self.cannot(decoder, "the digits of a date"))?;
            return self.characters(date.as_bytes(), decoder);
        }
        if self.place == Place::Value && self.base64 {
            put_base64(self.out, octets);
            return Ok(());
        }
        if self.place == Place::Content
            && let Some(kind) = self.open.last().and_then(|open| open.opaque)
        {
            let text = kind
                .text(octets)
                .ok_or_else(|| self.cannot(decoder, "an integer or a date"))?;
            return self.characters(text.as_bytes(), decoder);
        }
        match self.open.last() {
            Some(open) if self.place == Place::Content && self.meaning.is_some() => {
                self.data(open.role, octets, true, decoder)
            }
            _ => {
                let text = self.decode(octets, decoder)?;
                self.characters(text.as_bytes(), decoder)
            }
        }
    }

    fn extension(
        &mut self,
        extension: Extension<'_>,
        decoder: &mut Decoder<'_>,
    ) -> Result<(), Error> {
        if let Extension::Integer(number, value) = extension
            && let Some(text) = decoder.vocabulary().extension(number, value)
        {
            return self.characters(text.as_bytes(), decoder);
        }
        let (number, name) = match extension {
            Extension::Text(number, name) if self.variables => (number, name),
            Extension::Integer(number, index) if self.variables => (number, decoder.string(index)?),
            _ => return Err(self.cannot(decoder, "an extension with a meaning")),
        };
        let name = self.decode(name, decoder)?;
        let mut text = Vec::with_capacity(name.len() + 10);
        variables::to_text(number, name.as_bytes(), &mut text);
        self.characters(&text, decoder)
    }

    fn pi(&mut self, target: &AttributeName<'_>, decoder: &Decoder<'_>) -> Result<(), Error> {
        if self.place == Place::Content {
            self.break_line();
        }
        self.put("<?");
        let at = self.out.len();
        self.put_attribute_name(target, decoder)?;
        if self
            .out
            .get(at..)
            .is_some_and(|name| name.eq_ignore_ascii_case(b"xml"))
            && !self.options.readable
        {
            return Err(self.cannot(decoder, "another target of a processing instruction"));
        }
        self.place = Place::Pi(self.out.len());
        self.characters(target.prefix.as_bytes(), decoder)
    }

    fn end_pi(&mut self, decoder: &Decoder<'_>) -> Result<(), Error> {
        if let Place::Pi(at) = self.place
            && self
                .out
                .get(at..)
                .is_some_and(|value| value.windows(2).any(|pair| pair == b"?>"))
            && !self.options.readable
        {
            return Err(self.cannot(decoder, "a processing instruction without ?>"));
        }
        self.place = Place::Content;
        self.put("?>");
        Ok(())
    }

    /// Characters in content, in an attribute or in a processing instruction. `text` is UTF-8.
    fn characters(&mut self, text: &[u8], decoder: &Decoder<'_>) -> Result<(), Error> {
        match self.place {
            Place::Content => escape::text(text, self.out),
            Place::Value | Place::Attributes => escape::attribute(text, self.out),
            Place::Pi(at) => escape::check(text).map(|()| {
                if self.out.len() == at && !text.is_empty() {
                    self.out.push(b' ');
                }
                self.out.extend_from_slice(text);
            }),
        }
        .map_err(|Forbidden(_)| self.cannot(decoder, "characters that XML can hold"))
    }

    pub(super) fn decode<'t>(
        &self,
        octets: &'t [u8],
        decoder: &Decoder<'_>,
    ) -> Result<Cow<'t, str>, Error> {
        decoder
            .charset()
            .decode(octets)
            .ok_or_else(|| self.cannot(decoder, "text in the charset of the document"))
    }

    /// Begins a new line for an element, if lines are broken.
    fn break_line(&mut self) {
        if self.indent.is_none() {
            return;
        }
        if let Some(open) = self.open.last_mut() {
            let empty = open.content_at == self.out.len();
            if !(open.children || empty) {
                return; // after text
            }
            open.children = true;
        }
        if !self.out.is_empty() {
            self.put_indent(self.open.len());
        }
    }

    fn put_indent(&mut self, depth: usize) {
        if let Some(outside) = self.indent {
            self.out.push(b'\n');
            self.out
                .resize(self.out.len() + 2 * (outside + depth), b' ');
        }
    }

    fn put(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    #[cold]
    pub(super) fn cannot(&self, decoder: &Decoder<'_>, expected: &'static str) -> Error {
        untranslatable(decoder.event_offset(), expected)
    }
}

/// The most attributes of one element: each is compared with each.
const MAX_ATTRIBUTES: usize = 64;
