//! XML text to WBXML.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::document::{Document, Namespace, devinf_of};
use super::escape::{self, Forbidden};
use super::meaning::{Kind, Role};
use super::source::{self, Prolog};
use super::{WbxmlOptions, is_name, untranslatable};
use crate::codec::decode_base64;
use crate::wbxml::error::{Error, Fault};
use crate::wbxml::tables;
use crate::wbxml::vocabulary::Space;

/// Appends the WBXML of a whole XML document to `out`; nothing if it fails.
///
/// # Errors
///
/// The text is not well-formed, exceeds a limit, refers to an entity other than the five, or holds something
/// WBXML has no way to say.
pub fn from_xml(xml: &[u8], options: &WbxmlOptions, out: &mut Vec<u8>) -> Result<(), Error> {
    let begin = out.len();
    let text = source::text(xml, options.source_charset)?;
    out.reserve(text.len() / 2 + 64);
    let read = Session::new(&text, options, 0).document(out);
    if read.is_err() {
        out.truncate(begin);
    }
    read
}

/// One pass over a text.
struct Session<'i, 'p> {
    text: &'i str,
    reader: Reader<&'i [u8]>,
    options: &'p WbxmlOptions,
    open: Vec<Open>,
    /// Elements open around this text, when it is itself the text of one.
    outside: usize,
    /// Namespace prefixes in force.
    prefixes: Vec<(String, Namespace)>,
    /// Character data since the last tag.
    characters: String,
}

/// An element whose end is to come.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// The default namespace inside it.
    namespace: Namespace,
    role: Role,
    /// Prefixes in force outside it.
    prefixes: usize,
    children: bool,
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
            options,
            open: Vec::with_capacity(16),
            outside,
            prefixes: Vec::new(),
            characters: String::new(),
        }
    }

    /// `document = prolog element Misc*`
    fn document(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut prolog = Prolog::default();
        let (root, empty) = loop {
            let at = self.offset();
            match self.next()? {
                Event::Start(root) => break (root, false),
                Event::Empty(root) => break (root, true),
                Event::Decl(_) if at == 0 => {}
                Event::DocType(doctype) if prolog.public_id.is_none() => prolog.doctype(&doctype),
                Event::PI(pi) => prolog.instructions.push(self.instruction(&pi)?),
                Event::Comment(comment) => self.check(&comment)?,
                Event::Text(text) if is_blank(&text) => {}
                _ => return Err(self.malformed("the document element")),
            }
        };
        let vocabulary = prolog
            .vocabulary(root.local_name().as_ref(), root.attributes_raw(), self.text)
            .or(self.options.vocabulary)
            .unwrap_or(&tables::UNKNOWN);
        if self.outside > 0 && vocabulary.root != "DevInf" {
            return Err(untranslatable(self.offset(), "device information"));
        }
        let mut document = Document::new(vocabulary, self.options, out);
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
        document.encoder.finish();
        Ok(())
    }

    /// One element with all it holds.
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
            // Matched where it stands: copying the event would cost more than reading it.
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
            if open.role == Role::ItemData && start.local_name().as_ref() == "DevInf" {
                return self.embedded(start, empty, document);
            }
        }
        self.start(&start, document)?;
        if empty {
            self.end(true, document)?;
        }
        Ok(())
    }

    /// Device information in an item: a document of its own, as opaque data.
    fn embedded(
        &mut self,
        start: BytesStart<'i>,
        empty: bool,
        document: &mut Document<'_>,
    ) -> Result<(), Error> {
        let mut octets = Vec::with_capacity(4096);
        let mut inner = Document::new(
            devinf_of(document.config.vocabulary),
            self.options,
            &mut octets,
        );
        // Inside, the device information's own namespace is the one that names need not mention.
        self.element(start, empty, &mut inner)?;
        inner.encoder.finish();
        document.encoder.opaque(&octets);
        Ok(())
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
        let of = match prefix {
            "" => namespace,
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
        if others || !bare && token.is_none() {
            self.attributes(start, token.is_some(), document)?;
        }
        self.open.push(Open {
            namespace,
            role,
            prefixes,
            children: false,
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
            // Among others, quick-xml refuses an attribute that is there twice.
            let attribute = attribute.map_err(|_| self.malformed("attributes of XML"))?;
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
            let attribute = attribute.map_err(|_| self.malformed("attributes of XML"))?;
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
        document.encoder.end_attributes();
        Ok(())
    }

    /// Character data ends because an element begins.
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
        self.prefixes.truncate(open.prefixes);
        if document.encoder.position() > document.limit {
            return Err(Error {
                fault: Fault::TooLarge,
                ..self.malformed("a shorter document in WBXML")
            });
        }
        Ok(())
    }

    /// The character data before an end tag; all there is if there are no children.
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
            document.text(characters);
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
                digest.ok_or_else(|| untranslatable(self.offset(), "an MD5 digest in base64"))?;
            document.encoder.opaque(&digest);
        } else {
            document.encoder.text(characters);
        }
        Ok(())
    }

    /// Device information that came as text, in a CDATA section perhaps.
    fn embedded_text(&mut self, text: &str, document: &mut Document<'_>) -> Result<(), Error> {
        let options = WbxmlOptions {
            vocabulary: Some(devinf_of(document.config.vocabulary)),
            ..*self.options
        };
        let mut octets = Vec::with_capacity(text.len() / 2);
        let begin = text.len() - text.trim_ascii_start().len();
        let depth = self.open.len() + self.outside + 1;
        let text = text.get(begin..).unwrap_or_default();
        let read = Session::new(text, &options, depth).document(&mut octets);
        read.map_err(|error| Error {
            offset: self.offset(),
            ..error
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
        escape::check(text.as_bytes()).map_err(|Forbidden(_)| self.malformed("characters of XML"))
    }

    #[inline]
    fn check_character_data(&self, text: &str) -> Result<(), Error> {
        escape::check_character_data(text.as_bytes())
            .map_err(|Forbidden(_)| self.malformed("character data of XML"))
    }

    #[cold]
    fn malformed(&self, expected: &'static str) -> Error {
        Error {
            fault: Fault::Malformed,
            offset: self.offset(),
            token: None,
            expected,
        }
    }

    #[cold]
    fn entity(&self) -> Error {
        self.malformed("one of the five entities or a character reference")
    }

    #[cold]
    fn unencodable(&self) -> Error {
        untranslatable(self.offset(), "data that the charset can hold")
    }

    #[cold]
    fn located(&self, error: Error) -> Error {
        Error {
            offset: self.offset(),
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

/// Attributes of one element; comparing each with each stays cheap.
const MAX_ATTRIBUTES: usize = 64;

/// Namespace prefixes in force; looking one up stays cheap.
const MAX_PREFIXES: usize = 64;
