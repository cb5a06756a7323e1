//! XML text to WBXML.

use quick_xml::Reader;
use quick_xml::events::attributes::AttrError;
use quick_xml::events::{BytesStart, Event};

use super::chunks::Chunks;
use super::document::{Document, Namespace, devinf_of, embedded_of};
use super::escape::{self, Forbidden};
use super::meaning::{Kind, Role};
use super::source::{self, Prolog};
use super::{WbxmlOptions, is_name, untranslatable};
use crate::codec::{decode_base64, within};
use crate::wbxml::error::{Error, Fault};
use crate::wbxml::header::Header;
use crate::wbxml::tables;
use crate::wbxml::vocabulary::{Opaque, Space, Vocabulary};

/// Appends the WBXML of a whole XML document to `out`. After an error `out` is unchanged.
///
/// # Errors
///
/// The text is not well-formed, exceeds a limit, refers to an entity other than the five, or has a
/// part without a form in WBXML.
pub fn from_xml(xml: &[u8], options: &WbxmlOptions, out: &mut Vec<u8>) -> Result<(), Error> {
    translate(xml, options, None, out).map(|_| ())
}

/// The same for a message of a SyncML session. `chunks` is the state of large objects after the
/// earlier messages; success updates it.
///
/// # Errors
///
/// As [`from_xml`]. [`Fault::Untranslatable`] where device information comes in chunks: it can only
/// be translated as a whole.
pub fn from_xml_in(
    chunks: &mut Chunks,
    xml: &[u8],
    options: &WbxmlOptions,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let after = translate(xml, options, Some(*chunks), out)?;
    *chunks = after.unwrap_or(*chunks);
    Ok(())
}

fn translate(
    xml: &[u8],
    options: &WbxmlOptions,
    chunks: Option<Chunks>,
    out: &mut Vec<u8>,
) -> Result<Option<Chunks>, Error> {
    let begin = out.len();
    let text = source::text(xml, options.source_charset)?;
    out.reserve(text.len() / 2 + 64);
    let mut session = Session::new(&text, options, 0);
    let mut read = session.document(chunks, out);
    // A type without an identifier is recognised by its first elements only. A document with other
    // first elements keeps its names as literals.
    let vocabulary = session.vocabulary;
    if read.is_ok() && !vocabulary.is_named() && !is_recognised(vocabulary, out.get(begin..)) {
        out.truncate(begin);
        session = Session::new(&text, options, 0);
        session.is_literal = true;
        read = session.document(chunks, out);
    }
    if read.is_err() {
        out.truncate(begin);
    }
    read
}

/// Whether a decoder recognises a document as one of this type.
fn is_recognised(vocabulary: &Vocabulary, wbxml: Option<&[u8]>) -> bool {
    Header::parse(wbxml.unwrap_or_default())
        .ok()
        .and_then(|(body, header)| header.vocabulary(body))
        .is_some_and(|found| std::ptr::eq(found, vocabulary))
}

/// One pass over a text.
struct Session<'i, 'p> {
    text: &'i str,
    reader: Reader<&'i [u8]>,
    /// The offset of the current event.
    at: usize,
    options: &'p WbxmlOptions,
    /// The type of the document.
    vocabulary: &'static Vocabulary,
    /// All names are literals, for any type.
    is_literal: bool,
    open: Vec<Open>,
    /// Open elements around this text, which may be the text of an element.
    outside: usize,
    /// Namespace prefixes in force.
    prefixes: Vec<(String, Namespace)>,
    /// Character data since the last tag.
    characters: String,
}

/// An open element.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// The default namespace inside it.
    namespace: Namespace,
    role: Role,
    /// Prefixes in force outside it.
    prefixes: usize,
    children: bool,
    /// The meaning of binary data in the element, if the document's type defines one.
    opaque: Option<Opaque>,
}

impl<'i, 'p> Session<'i, 'p> {
    fn new(text: &'i str, options: &'p WbxmlOptions, outside: usize) -> Self {
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.check_comments = true;
        config.check_end_names = true;
        Self {
            text,
            reader,
            at: 0,
            options,
            vocabulary: &tables::UNKNOWN,
            is_literal: false,
            open: Vec::with_capacity(16),
            outside,
            prefixes: Vec::new(),
            characters: String::new(),
        }
    }

    /// `document = prolog element Misc*`
    fn document(
        &mut self,
        chunks: Option<Chunks>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Chunks>, Error> {
        let mut prolog = Prolog::default();
        let (root, empty) = loop {
            match self.next()? {
                Event::Start(root) => break (root, false),
                Event::Empty(root) => break (root, true),
                Event::Decl(_) if self.at == 0 => {}
                Event::DocType(doctype) if prolog.public_id.is_none() => prolog.doctype(&doctype),
                Event::PI(pi) => prolog.instructions.push(self.instruction(&pi)?),
                Event::Comment(comment) => self.check(&comment)?,
                Event::Text(text) if is_blank(&text) => {}
                _ => return Err(self.malformed("the document element")),
            }
        };
        let vocabulary = prolog
            .vocabulary(root.name().as_ref(), root.attributes_raw(), self.text)
            .or(self.options.vocabulary)
            .filter(|_| !self.is_literal)
            .unwrap_or(&tables::UNKNOWN);
        self.vocabulary = vocabulary;
        if self.outside > 0 && !vocabulary.is_embedded() {
            return Err(untranslatable(self.at, "a document that belongs into Data"));
        }
        let mut document = Document::new(vocabulary, self.options, self.text.len(), chunks, out);
        for (target, value) in &prolog.instructions {
            document
                .instruction(target, value)
                .map_err(|error| self.located(error))?;
        }
        self.element(root, empty, &mut document)?;
        loop {
            match self.next()? {
                Event::Eof => break,
                Event::PI(pi) => {
                    let (target, value) = self.instruction(&pi)?;
                    document
                        .instruction(&target, &value)
                        .map_err(|error| self.located(error))?;
                }
                Event::Comment(comment) => self.check(&comment)?,
                Event::Text(text) if is_blank(&text) => {}
                _ => return Err(self.malformed("the end of the document")),
            }
        }
        let chunks = document.chunk.chunks;
        document.encoder.finish();
        Ok(chunks)
    }

    /// One element with its content.
    fn element(
        &mut self,
        start: BytesStart<'i>,
        empty: bool,
        document: &mut Document<'_>,
    ) -> Result<(), Error> {
        let floor = self.open.len();
        self.start(&start, document)?;
        if empty {
            self.end(true, document)?;
        }
        while self.open.len() > floor {
            self.at = self.offset();
            // Matched by reference: a copy of the event would cost more than its parsing.
            match self.reader.read_event() {
                Err(_) => return Err(self.not_well_formed()),
                Ok(Event::Text(text)) => {
                    self.check_character_data(&text)?;
                    self.characters.push_str(&text);
                }
                Ok(Event::Start(start)) => self.child(start, false, document)?,
                Ok(Event::End(_)) => self.end(false, document)?,
                Ok(Event::Empty(start)) => self.child(start, true, document)?,
                Ok(Event::CData(section)) => {
                    self.check(&section)?;
                    self.characters.push_str(&section);
                }
                Ok(Event::GeneralRef(reference)) => {
                    let character = source::reference(&reference).ok_or_else(|| self.entity())?;
                    self.characters.push(character);
                }
                Ok(Event::Comment(comment)) => self.check(&comment)?,
                Ok(Event::PI(pi)) => {
                    self.flush(document);
                    let (target, value) = self.instruction(&pi)?;
                    document
                        .instruction(&target, &value)
                        .map_err(|error| self.located(error))?;
                }
                Ok(Event::Eof) => return Err(self.malformed("the end of an element")),
                Ok(Event::Decl(_) | Event::DocType(_)) => {
                    return Err(self.malformed("content of an element"));
                }
            }
        }
        Ok(())
    }

    fn child(
        &mut self,
        start: BytesStart<'i>,
        empty: bool,
        document: &mut Document<'_>,
    ) -> Result<(), Error> {
        self.flush(document);
        if let Some(open) = self.open.last_mut() {
            open.children = true;
            if open.role == Role::ItemData
                && let Some(inner) =
                    embedded_of(start.local_name().as_ref(), document.config.vocabulary)
            {
                return self.embedded(start, empty, inner, document);
            }
        }
        self.start(&start, document)?;
        if empty {
            self.end(true, document)?;
        }
        Ok(())
    }

    /// A document inside the document, such as device information in an item, as opaque data.
    fn embedded(
        &mut self,
        start: BytesStart<'i>,
        empty: bool,
        vocabulary: &'static Vocabulary,
        document: &mut Document<'_>,
    ) -> Result<(), Error> {
        self.begin_devinf(document)?;
        let mut octets = Vec::with_capacity(4096);
        let mut inner = Document::new(vocabulary, self.options, self.text.len(), None, &mut octets);
        // In the embedded document its own namespace is the default one.
        let outside = self.open.last().map(|open| open.namespace);
        if let Some(open) = self.open.last_mut() {
            open.namespace = Namespace::None;
        }
        self.element(start, empty, &mut inner)?;
        if let (Some(open), Some(outside)) = (self.open.last_mut(), outside) {
            open.namespace = outside;
        }
        inner.encoder.finish();
        document.encoder.opaque(&octets);
        Ok(())
    }

    /// The current Item holds device information, which has to be whole.
    fn begin_devinf(&self, document: &mut Document<'_>) -> Result<(), Error> {
        document.has_devinf = true;
        if document.chunk.is_chunk() {
            return Err(self.cut_devinf());
        }
        Ok(())
    }

    #[cold]
    fn cut_devinf(&self) -> Error {
        untranslatable(self.at, "device information whole in one message")
    }

    fn start(&mut self, start: &BytesStart<'i>, document: &mut Document<'_>) -> Result<(), Error> {
        if self.open.len() + self.outside >= self.options.limits.depth {
            return Err(Error {
                fault: Fault::TooDeep,
                ..self.malformed("fewer elements inside each other")
            });
        }
        let outside = self
            .open
            .last()
            .map_or(Namespace::None, |open| open.namespace);
        let prefixes = self.prefixes.len();
        let mut namespace = outside;
        let bare = start.attributes_raw().is_empty();
        let mut others = !bare;
        if !bare && document.is_namespaced() {
            (namespace, others) = self.declare(start, namespace, document)?;
        }
        let qualified = start.name();
        let name: &str = qualified.as_ref();
        let (prefix, local) = split_name(name);
        // Without namespaces a prefix is a part of the name.
        let local = match document.is_namespaced() {
            true => local,
            false => name,
        };
        let of = match prefix {
            "" => namespace,
            _ if !document.is_namespaced() => Namespace::None,
            _ => self
                .prefixes
                .iter()
                .rev()
                .find(|(known, _)| known == prefix)
                .map_or(Namespace::Foreign, |(_, of)| *of),
        };
        let token = document.token(
            of,
            if of == Namespace::Foreign {
                name
            } else {
                local
            },
        );
        let role = match token {
            Some((page, token)) => {
                document.encoder.start(page, token);
                document
                    .meaning
                    .as_mut()
                    .map_or(Role::Plain, |meaning| meaning.enter(page, token))
            }
            None => {
                let name = if matches!(of, Namespace::Page(_)) {
                    local
                } else {
                    name
                };
                if !is_name(name.as_bytes()) {
                    return Err(self.malformed("a name"));
                }
                document
                    .encoder
                    .start_literal(name)
                    .map_err(|error| self.located(error))?;
                document
                    .meaning
                    .as_mut()
                    .map_or(Role::Plain, |meaning| meaning.enter(0, 0))
            }
        };
        match (role, &document.meaning) {
            (Role::ItemData, Some(meaning)) if !meaning.is_remark() => {
                document.chunk.data_begins(meaning.effective(role).sized);
            }
            (Role::MoreData, _) if document.has_devinf && document.chunk.chunks.is_some() => {
                return Err(self.cut_devinf());
            }
            (Role::MoreData, _) => document.chunk.more_data(),
            (Role::Item, _) => document.has_devinf = false,
            _ => {}
        }
        if others || !bare && token.is_none() {
            self.attributes(start, token.is_some(), document)?;
        }
        self.open.push(Open {
            namespace,
            role,
            prefixes,
            children: false,
            opaque: token.and_then(|_| document.config.vocabulary.opaque(local)),
        });
        Ok(())
    }

    /// Takes in the namespace declarations of a start tag; returns the default namespace inside it,
    /// and whether there is any attribute that a code page does not imply.
    fn declare(
        &mut self,
        start: &BytesStart<'i>,
        mut namespace: Namespace,
        document: &Document<'_>,
    ) -> Result<(Namespace, bool), Error> {
        let mut others = false;
        for (index, attribute) in start.attributes().enumerate() {
            // quick-xml refuses, among others, an attribute that stands twice.
            let attribute = attribute.map_err(|error| self.attribute_error(&error))?;
            if index >= MAX_ATTRIBUTES || self.prefixes.len() >= MAX_PREFIXES {
                return Err(self.malformed("a few attributes"));
            }
            let name: &str = attribute.key.as_ref();
            if name == "xmlns" {
                namespace = document.namespace(&attribute.value);
                others |= !matches!(namespace, Namespace::Page(_) | Namespace::DevInf);
            } else if let Some(prefix) = name.strip_prefix("xmlns:") {
                let of = document.namespace(&attribute.value);
                self.prefixes.push((prefix.to_owned(), of));
                others |= !matches!(of, Namespace::Page(_) | Namespace::DevInf);
            } else {
                others = true;
            }
        }
        Ok((namespace, others))
    }

    fn attributes(
        &mut self,
        start: &BytesStart<'i>,
        assigned: bool,
        document: &mut Document<'_>,
    ) -> Result<(), Error> {
        for (index, attribute) in start.attributes().enumerate() {
            let attribute = attribute.map_err(|error| self.attribute_error(&error))?;
            let name: &str = attribute.key.as_ref();
            if index >= MAX_ATTRIBUTES || !is_name(name.as_bytes()) {
                return Err(self.malformed("the name of an attribute, one of a few"));
            }
            if attribute.value.contains('<') {
                return Err(self.malformed("&lt; in the value of an attribute"));
            }
            let value = source::attribute_value(&attribute.value).ok_or_else(|| self.entity())?;
            self.check(&value)?;
            if document.is_namespaced() && implied_by_page(name, &value, assigned, document) {
                continue;
            }
            document
                .attribute(name, &value)
                .map_err(|error| self.located(error))?;
        }
        document.end_attributes();
        Ok(())
    }

    /// An element begins, which ends character data.
    fn flush(&mut self, document: &mut Document<'_>) {
        if self.characters.is_empty() {
            return;
        }
        if document.config.vocabulary.space != Space::Ignorable || !is_blank(&self.characters) {
            document.text(&self.characters);
        }
        self.characters.clear();
    }

    fn end(&mut self, empty: bool, document: &mut Document<'_>) -> Result<(), Error> {
        let Some(open) = self.open.pop() else {
            return Err(self.malformed("no end of an element, as nothing is open"));
        };
        if !empty {
            let characters = std::mem::take(&mut self.characters);
            self.content(&open, &characters, document)?;
            self.characters = characters;
            self.characters.clear();
        }
        document.end(open.role);
        if open.role == Role::Item {
            document
                .chunk
                .item_ends()
                .ok_or_else(|| untranslatable(self.at, "the rest of a character"))?;
        }
        self.prefixes.truncate(open.prefixes);
        if document.encoder.position() > document.limit {
            let limits = &self.options.limits;
            return Err(limits.exceeded(self.text.len(), self.at));
        }
        Ok(())
    }

    /// The character data before an end tag; the whole content of an element without children.
    fn content(
        &mut self,
        open: &Open,
        characters: &str,
        document: &mut Document<'_>,
    ) -> Result<(), Error> {
        let data = matches!(open.role, Role::ItemData | Role::Credential);
        if document.config.vocabulary.space == Space::Ignorable
            && is_blank(characters)
            && (open.children || !data && characters.contains('\n'))
        {
            return Ok(());
        }
        if characters.is_empty() {
            document.encoder.begin_content();
            return Ok(());
        }
        let Some(meaning) = &mut document.meaning else {
            match open.opaque.and_then(|kind| kind.octets(characters)) {
                Some(octets) => document.encoder.opaque(&octets),
                None => document.text(characters),
            }
            return Ok(());
        };
        if !data {
            match meaning.examine(open.role, characters.as_bytes(), &self.options.announce) {
                Some(changed) => document.encoder.text(&String::from_utf8_lossy(&changed)),
                None => document.encoder.text(characters),
            }
            return Ok(());
        }
        if meaning.is_remark() {
            document.encoder.text(characters);
            return Ok(());
        }
        let meta = meaning.effective(open.role);
        if open.role == Role::ItemData {
            if meta.kind == Kind::DevInf {
                self.begin_devinf(document)?;
            }
            if meta.kind == Kind::DevInf && characters.trim_ascii_start().starts_with('<') {
                return self.embedded_text(characters, document);
            }
            let octets = document
                .octets(characters)
                .ok_or_else(|| self.unencodable())?;
            document.encoder.opaque(&octets);
        } else if document.raw_digest {
            let digest =
                decode_base64(characters.trim().as_bytes()).filter(|digest| digest.len() == 16);
            let digest =
                digest.ok_or_else(|| untranslatable(self.at, "an MD5 digest in base64"))?;
            document.encoder.opaque(&digest);
        } else {
            document.encoder.text(characters);
        }
        Ok(())
    }

    /// Device information as text, perhaps in a CDATA section.
    fn embedded_text(&mut self, text: &str, document: &mut Document<'_>) -> Result<(), Error> {
        let options = WbxmlOptions {
            vocabulary: Some(devinf_of(document.config.vocabulary)),
            ..*self.options
        };
        let mut octets = Vec::with_capacity(text.len() / 2);
        let begin = text.len() - text.trim_ascii_start().len();
        let depth = self.open.len() + self.outside + 1;
        let text = text.get(begin..).unwrap_or_default();
        let read = Session::new(text, &options, depth).document(None, &mut octets);
        read.map_err(|error| match document.chunk.chunks {
            // Text that is no document by itself may be a chunk of one.
            Some(_) if error.fault == Fault::Malformed => self.cut_devinf(),
            _ => self.located(error),
        })?;
        document.encoder.opaque(&octets);
        Ok(())
    }

    fn instruction(&self, pi: &quick_xml::events::BytesPI<'i>) -> Result<(String, String), Error> {
        let (target, value) = (pi.target(), pi.content().trim_ascii_start());
        if !is_name(target.as_bytes()) || target.eq_ignore_ascii_case("xml") {
            return Err(self.malformed("the target of a processing instruction"));
        }
        self.check(value)?;
        Ok((target.to_owned(), value.to_owned()))
    }

    fn next(&mut self) -> Result<Event<'i>, Error> {
        self.at = self.offset();
        self.reader.read_event().map_err(|_| self.not_well_formed())
    }

    #[cold]
    fn not_well_formed(&self) -> Error {
        Error {
            fault: Fault::Malformed,
            offset: usize::try_from(self.reader.error_position()).unwrap_or(usize::MAX),
            token: None,
            expected: "well-formed XML",
        }
    }

    fn offset(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    #[inline]
    fn check(&self, text: &str) -> Result<(), Error> {
        escape::check(text.as_bytes()).map_err(|forbidden| Error {
            offset: self.place(text, forbidden),
            ..self.malformed("characters of XML")
        })
    }

    #[inline]
    fn check_character_data(&self, text: &str) -> Result<(), Error> {
        escape::check_character_data(text.as_bytes()).map_err(|forbidden| Error {
            offset: self.place(text, forbidden),
            ..self.malformed("character data of XML")
        })
    }

    /// The offset in the whole text of a character in a part of it.
    #[cold]
    fn place(&self, part: &str, Forbidden(at): Forbidden) -> usize {
        within(self.text.as_bytes(), part.as_bytes()).map_or(self.at, |place| place.start + at)
    }

    #[cold]
    fn malformed(&self, expected: &'static str) -> Error {
        Error {
            fault: Fault::Malformed,
            offset: self.at,
            token: None,
            expected,
        }
    }

    /// An attribute that is wrong, in the start tag at hand.
    #[cold]
    fn attribute_error(&self, error: &AttrError) -> Error {
        let (AttrError::ExpectedEq(at)
        | AttrError::ExpectedValue(at)
        | AttrError::UnquotedValue(at)
        | AttrError::ExpectedQuote(at, _)
        | AttrError::Duplicated(at, _)) = error;
        Error {
            offset: self.at + 1 + at,
            ..self.malformed("attributes of XML")
        }
    }

    #[cold]
    fn entity(&self) -> Error {
        self.malformed("one of the five entities or a character reference")
    }

    #[cold]
    fn unencodable(&self) -> Error {
        untranslatable(self.at, "data that the charset can hold")
    }

    #[cold]
    fn located(&self, error: Error) -> Error {
        Error {
            offset: self.at,
            ..error
        }
    }
}

/// Prefix and local part of a name; names are short.
#[inline]
fn split_name(name: &str) -> (&str, &str) {
    let colon = name.bytes().position(|octet| octet == b':');
    let parts = colon.and_then(|colon| Some((name.get(..colon)?, name.get(colon + 1..)?)));
    parts.unwrap_or(("", name))
}

/// Whether an attribute is a namespace declaration that the code page of a token makes anyway.
fn implied_by_page(name: &str, value: &str, assigned: bool, document: &Document<'_>) -> bool {
    match name.strip_prefix("xmlns") {
        Some("") => assigned,
        Some(prefix) if prefix.starts_with(':') => {
            matches!(
                document.namespace(value),
                Namespace::Page(_) | Namespace::DevInf
            )
        }
        _ => false,
    }
}

#[inline]
fn is_blank(text: &str) -> bool {
    text.bytes()
        .all(|octet| matches!(octet, b' ' | b'\t' | b'\r' | b'\n'))
}

/// The most attributes of one element: each is compared with each.
const MAX_ATTRIBUTES: usize = 64;

/// The most namespace prefixes in force: a look-up goes through all of them.
const MAX_PREFIXES: usize = 64;
