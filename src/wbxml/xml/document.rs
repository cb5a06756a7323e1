//! The WBXML document that is made from XML: names and values become tokens, text becomes strings.

use std::borrow::Cow;

use super::chunks::{ChunkReader, Chunks};
use super::meaning::{Meaning, Role};
use super::{UNASSIGNED_ATTRIBUTE, UNASSIGNED_TAG, WbxmlOptions, datetime, variables};
use crate::codec::decode_base64;
use crate::wbxml::charset::Charset;
use crate::wbxml::encoder::{Encoder, EncoderConfig};
use crate::wbxml::error::Error;
use crate::wbxml::tables;
use crate::wbxml::vocabulary::{Space, Vocabulary};

/// The meaning of a namespace name in the document's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Namespace {
    /// No namespace was declared: the name alone decides.
    None,
    /// A code page.
    Page(u8),
    /// Device information, a document of its own.
    DevInf,
    /// An unknown namespace: its names are literals.
    Foreign,
}

/// One document: the message, or device information inside it.
pub(super) struct Document<'o> {
    pub(super) encoder: Encoder<'o>,
    pub(super) config: EncoderConfig,
    pub(super) meaning: Option<Meaning>,
    /// The current credential has to be a raw digest.
    pub(super) raw_digest: bool,
    /// Octets of output that the document may reach.
    pub(super) limit: usize,
    pub(super) chunk: ChunkReader,
    /// The current Item holds device information.
    pub(super) has_devinf: bool,
    /// The attribute whose value is octets, because of the last attribute of the element.
    base64: Option<&'static str>,
}

impl<'o> Document<'o> {
    pub(super) fn new(
        vocabulary: &'static Vocabulary,
        options: &WbxmlOptions,
        input: usize,
        chunks: Option<Chunks>,
        out: &'o mut Vec<u8>,
    ) -> Self {
        let config = EncoderConfig {
            version: options.version,
            charset: options.charset,
            ..EncoderConfig::new(vocabulary)
        };
        Self {
            limit: out.len().saturating_add(options.limits.output_of(input)),
            encoder: Encoder::new(out, &config),
            config,
            meaning: vocabulary.is_syncml().then(Meaning::default),
            raw_digest: false,
            chunk: ChunkReader::new(chunks),
            has_devinf: false,
            base64: None,
        }
    }

    pub(super) fn is_namespaced(&self) -> bool {
        self.config
            .vocabulary
            .pages
            .iter()
            .any(|page| !page.namespace.is_empty())
    }

    #[inline]
    pub(super) fn is_syncml_1_0(&self) -> bool {
        self.config.vocabulary.number == tables::SYNCML_1_0.number
    }

    /// The meaning of a namespace name. Real messages vary in case and in the version at the end.
    pub(super) fn namespace(&self, name: &str) -> Namespace {
        let plain = |name: &str| {
            name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.')
                .to_ascii_lowercase()
        };
        if name.is_empty() {
            return Namespace::None;
        }
        let pages = self.config.vocabulary.pages;
        let page = pages
            .iter()
            .find(|page| page.namespace == name)
            .or_else(|| {
                pages
                    .iter()
                    .find(|page| plain(page.namespace) == plain(name))
            });
        match page {
            Some(page) => Namespace::Page(page.number),
            None if plain(name) == "syncml:devinf" => Namespace::DevInf,
            None => Namespace::Foreign,
        }
    }

    /// The page and token of a tag, `None` if it has to be a literal.
    #[inline]
    pub(super) fn token(&self, namespace: Namespace, name: &str) -> Option<(u8, u8)> {
        let vocabulary = self.config.vocabulary;
        let on = |page: u8| {
            vocabulary
                .tags(page)
                .token(name.as_bytes())
                .map(|token| (page, token))
        };
        let found = match namespace {
            Namespace::Page(page) => on(page),
            Namespace::Foreign => return None,
            Namespace::None | Namespace::DevInf => on(self.encoder.tag_page())
                .or_else(|| vocabulary.pages.iter().find_map(|page| on(page.number))),
        };
        found.or_else(|| {
            unassigned(name, UNASSIGNED_TAG).filter(|(_, token)| (5..0x40).contains(token))
        })
    }

    pub(super) fn attribute(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let vocabulary = self.config.vocabulary;
        let current = self.encoder.attribute_page();
        let start = vocabulary
            .attribute_pages
            .iter()
            .filter_map(|page| {
                let (token, prefix) = page.attributes.longest_start(name, value)?;
                Some((page.number, token, prefix))
            })
            .max_by_key(|(page, _, prefix)| (prefix.len(), *page == current));
        let rest = match start {
            Some((page, token, prefix)) => {
                self.encoder.attribute(page, token);
                value.strip_prefix(prefix).unwrap_or(value)
            }
            None => {
                match unassigned(name, UNASSIGNED_ATTRIBUTE)
                    .filter(|(_, token)| (5..0x80).contains(token))
                {
                    Some((page, token)) => self.encoder.attribute(page, token),
                    None => self.encoder.attribute_literal(name)?,
                }
                value
            }
        };
        let announced = self.base64.take();
        self.base64 = vocabulary
            .base64
            .iter()
            .find(|(known, octets, _)| (*known, *octets) == (name, value))
            .map(|(_, _, octets)| *octets);
        if announced == Some(name)
            && let Some(octets) = decode_base64(rest.as_bytes())
        {
            self.encoder.opaque(&octets);
            return Ok(());
        }
        if vocabulary.datetimes.contains(&name)
            && let Some(digits) = datetime::from_text(rest)
        {
            self.encoder.opaque(&digits);
            return Ok(());
        }
        self.attribute_value(rest);
        if value.is_empty() {
            self.encoder.empty_string();
        }
        Ok(())
    }

    pub(super) fn end_attributes(&mut self) {
        self.base64 = None;
        self.encoder.end_attributes();
    }

    /// An attribute value, by its tokens where there are any.
    pub(super) fn attribute_value(&mut self, value: &str) {
        let page = self.encoder.attribute_page();
        let attributes = self.config.vocabulary.attributes(page);
        let mut plain = 0;
        let mut at = 0;
        while let Some(&octet) = value.as_bytes().get(at) {
            let token = attributes
                .may_begin_value(octet)
                .then(|| {
                    value
                        .get(at..)
                        .and_then(|rest| attributes.longest_value(rest))
                })
                .flatten();
            match token {
                Some((token, text)) => {
                    self.text(value.get(plain..at).unwrap_or_default());
                    self.encoder.value(page, token);
                    at += text.len();
                    plain = at;
                }
                None => at += 1,
            }
        }
        self.text(value.get(plain..).unwrap_or_default());
    }

    #[inline]
    pub(super) fn text(&mut self, text: &str) {
        if self.config.vocabulary.space == Space::Variables {
            variables::encode(text, &mut self.encoder);
        } else {
            self.encoder.text(text);
        }
    }

    /// Text as opaque data.
    pub(super) fn octets<'t>(&self, text: &'t str) -> Option<Cow<'t, [u8]>> {
        if self.config.charset == Charset::UTF_8 {
            return Some(Cow::Borrowed(text.as_bytes()));
        }
        let mut octets = Vec::with_capacity(text.len());
        self.config
            .charset
            .encode(text, &mut octets)
            .is_none()
            .then_some(Cow::Owned(octets))
    }

    #[inline]
    pub(super) fn end(&mut self, role: Role) {
        let tag_at = self.encoder.tag_at();
        self.encoder.end();
        let Some(meaning) = &mut self.meaning else {
            return;
        };
        let digest = role == Role::Format && meaning.is_digest();
        meaning.leave();
        // A SyncML 1.0 client sends a raw digest without a Format until the server asks for base64.
        // The translation to XML added the Format of such a digest after the Type, so a Format
        // there is removed again. A Format before the Type is the client's own.
        if digest && self.is_syncml_1_0() {
            self.encoder.take_back(tag_at..self.encoder.position());
            self.raw_digest = true;
        }
        if role == Role::Credential {
            self.raw_digest = false;
        }
    }

    pub(super) fn instruction(&mut self, target: &str, value: &str) -> Result<(), Error> {
        self.encoder.pi(target)?;
        self.encoder.text(value);
        self.encoder.end_pi();
        Ok(())
    }
}

/// Page and token of a name that [`super::writer`] made for an unassigned token.
fn unassigned(name: &str, kind: &str) -> Option<(u8, u8)> {
    let (page, token) = name
        .strip_prefix(kind)?
        .strip_prefix('-')?
        .split_once('-')?;
    Some((page.parse().ok()?, u8::from_str_radix(token, 16).ok()?))
}

/// The document of this root that belongs into Data.
pub(super) fn embedded_of(root: &str, vocabulary: &Vocabulary) -> Option<&'static Vocabulary> {
    match root {
        "DevInf" => Some(devinf_of(vocabulary)),
        "MgmtTree" => Some(&tables::DDF_1_2),
        _ => None,
    }
}

/// The device information that goes with a version of SyncML.
pub(super) fn devinf_of(vocabulary: &Vocabulary) -> &'static Vocabulary {
    match vocabulary.number {
        0x0FD1 => &tables::DEVINF_1_0,
        0x0FD3 => &tables::DEVINF_1_1,
        _ => &tables::DEVINF_1_2,
    }
}
