//! WBXML to XML text, straight from the decoder into a buffer.

use std::borrow::Cow;
use std::ops::Range;

use super::escape::{self, Forbidden};
use super::meaning::{Level, Meaning, Role};
use super::{
    UNASSIGNED_ATTRIBUTE, UNASSIGNED_TAG, XmlOptions, datetime, is_name, untranslatable, variables,
};
use crate::wbxml::charset::Charset;
use crate::wbxml::decoder::Decoder;
use crate::wbxml::error::{Error, Fault};
use crate::wbxml::event::{AttributeName, Event, Extension, Name, Tag};
use crate::wbxml::vocabulary::Space;

/// Appends the XML text of a whole WBXML document to `out`; nothing if it fails.
///
/// # Errors
///
/// The document is malformed, exceeds a limit, or holds something XML has no way to say.
pub fn to_xml(wbxml: &[u8], options: &XmlOptions, out: &mut Vec<u8>) -> Result<(), Error> {
    let begin = out.len();
    out.reserve(wbxml.len() + wbxml.len() / 2 + 256);
    let written = write(wbxml, options, None, out);
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
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let mut decoder = Decoder::new(wbxml, &options.decode)?;
    let vocabulary = decoder.vocabulary();
    if inside.is_some() && vocabulary.root != "DevInf" {
        return Err(untranslatable(0, "device information"));
    }
    let mut writer = Writer {
        limit: out.len().saturating_add(options.decode.limits.output),
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
        meta: MetaPlaces::default(),
        command_type: 0..0,
        encoded: false,
    };
    if inside.is_none() {
        writer.prolog(&decoder);
    }
    while let Some(event) = decoder.next()? {
        writer.event(&event, &mut decoder)?;
        if writer.out.len() > writer.limit {
            return Err(Error {
                fault: Fault::TooLarge,
                offset: decoder.offset(),
                token: None,
                expected: "a shorter document in XML",
            });
        }
    }
    if writer.indent.is_some() && inside.is_none() {
        writer.out.push(b'\n');
    }
    Ok(())
}

pub(super) struct Writer<'o, 'p> {
    pub(super) out: &'o mut Vec<u8>,
    limit: usize,
    pub(super) options: &'p XmlOptions,
    /// The elements whose end tag is to come.
    pub(super) open: Vec<Open>,
    /// The namespace in force.
    scope: Scope,
    namespaced: bool,
    variables: bool,
    /// Levels outside this document, if it is indented.
    pub(super) indent: Option<usize>,
    pub(super) meaning: Option<Meaning>,
    place: Place,
    /// The element whose attributes are being written.
    tag: Started,
    /// Where the names of its attributes stand in the output.
    attribute_names: Vec<Range<usize>>,
    /// The attribute is one whose value is a date.
    date: bool,
    pub(super) meta: MetaPlaces,
    /// Where the type that a command's Meta names stands in the output.
    pub(super) command_type: Range<usize>,
    /// The Data so far was put into base64.
    pub(super) encoded: bool,
}

/// An element whose end tag is to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    /// The namespace in force outside it.
    outside: Scope,
    role: Role,
    /// Where its start tag begins and its content begins.
    pub(super) tag_at: usize,
    pub(super) content_at: usize,
    pub(super) children: bool,
}

/// Which namespace unprefixed names are in: that of a code page, or one a literal `xmlns` named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scope(u16);

impl Scope {
    const NONE: Self = Self(256);
    const FOREIGN: Self = Self(257);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Content,
    /// In an attribute list, before the first attribute.
    Attributes,
    /// In the value of an attribute.
    Value,
    /// In a processing instruction whose value begins here.
    Pi(usize),
}

#[derive(Clone, Copy, Debug, Default)]
struct Started {
    content: bool,
}

/// Where the Meta read last stands in the output, for a Format that has to be added.
#[derive(Clone, Debug, Default)]
pub(super) struct MetaPlaces {
    /// Where its content begins and ends; 0 if it has none.
    pub(super) content_at: usize,
    pub(super) end_at: usize,
    /// Where the text of its Format is.
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
        self.open.push(Open {
            outside,
            role,
            tag_at,
            content_at: 0,
            children: false,
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

    fn end(&mut self, tag: Tag<'_>, decoder: &Decoder<'_>) -> Result<(), Error> {
        let Some(open) = self.open.pop() else {
            return Err(self.cannot(decoder, "an element that is open")); // the decoder has seen to it
        };
        if open.role.is_examined() {
            self.examine(&open);
        }
        if open.role == Role::Meta {
            self.meta.end_at = self.out.len();
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

    /// The whole text of a type, a format or a size is there: remembers it, and changes what has to change.
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

    fn put_literal(&mut self, name: &[u8], decoder: &Decoder<'_>) -> Result<(), Error> {
        match decoder.charset().decode(name) {
            Some(name) if is_name(name.as_bytes()) && escape::check(name.as_bytes()).is_ok() => {
                self.put(&name);
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
        if self.attribute_names.len() >= MAX_ATTRIBUTES
            || self
                .attribute_names
                .iter()
                .any(|earlier| text(earlier) == text(&name))
        {
            return Err(self.cannot(decoder, "a few different attributes"));
        }
        self.date = decoder
            .vocabulary()
            .datetimes
            .iter()
            .any(|date| date.as_bytes() == text(&name));
        if text(&name) == b"xmlns" {
            // The element itself would be taken for one of that namespace.
            if self.scope != self.open.last().map_or(Scope::NONE, |open| open.outside) {
                return Err(self.cannot(decoder, "one namespace for an element"));
            }
            self.scope = Scope::FOREIGN;
        }
        self.attribute_names.push(name);
        self.put("=\"");
        self.place = Place::Value;
        self.characters(attribute.prefix.as_bytes(), decoder)
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
        let text = self.decode(octets, decoder)?;
        if self.variables && text.contains('$') {
            return self.characters(text.replace('$', "$$").as_bytes(), decoder);
        }
        if let Some(open) = self.open.last()
            && matches!(open.role, Role::ItemData | Role::Credential)
            && self.place == Place::Content
        {
            return self.data(open.role, text.as_bytes(), false, decoder);
        }
        self.characters(text.as_bytes(), decoder)
    }

    fn opaque(&mut self, octets: &[u8], decoder: &Decoder<'_>) -> Result<(), Error> {
        if self.place == Place::Value && self.date {
            let date = datetime::to_text(octets)
                .ok_or_else(|| self.cannot(decoder, "the digits of a date"))?;
            return self.characters(date.as_bytes(), decoder);
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
        let (number, name) = match extension {
            Extension::Text(number, name) => (number, name),
            Extension::Integer(number, index) => (number, decoder.string(index)?),
            Extension::Single(_) => return Err(self.cannot(decoder, "an extension with a meaning")),
        };
        if !self.variables {
            return Err(self.cannot(decoder, "an extension with a meaning"));
        }
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
        {
            return Err(self.cannot(decoder, "a processing instruction without ?>"));
        }
        self.place = Place::Content;
        self.put("?>");
        Ok(())
    }

    /// Characters wherever we are. `text` is UTF-8.
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

    fn decode<'t>(&self, octets: &'t [u8], decoder: &Decoder<'_>) -> Result<Cow<'t, str>, Error> {
        decoder
            .charset()
            .decode(octets)
            .ok_or_else(|| self.cannot(decoder, "text in the charset of the document"))
    }

    /// A new line for an element, where lines are broken.
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
        untranslatable(decoder.offset(), expected)
    }
}

/// Attributes of one element; comparing each with each stays cheap.
const MAX_ATTRIBUTES: usize = 64;
