//! Small XML documents as trees: those of PAP, and content that is validated.
//!
//! No entity but the five predefined ones and character references is known; a document that
//! declares one is refused. Nothing external is ever read. The number of elements, their depth and
//! their attributes are bounded.

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

use crate::wbxml::xml::text;

/// An XML document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    /// The document type declaration without its keyword, if there is one.
    pub(super) doctype: Option<String>,
    /// Processing instructions before the document element, with those in the declaration.
    pub(super) instructions: Vec<String>,
    /// The document element.
    pub(super) root: Element,
}

/// An element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Self>,
    /// Whether text other than white space stands in the element.
    pub(super) has_text: bool,
}

impl Element {
    /// The value of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Why a document cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum XmlError {
    #[error("the document is not in the charset it names")]
    Charset,
    #[error("the document is not well-formed XML")]
    NotWellFormed,
    #[error("entities are not allowed")]
    Entity,
    #[error("the document has too many elements")]
    TooLarge,
    #[error("an element has too many attributes or ancestors")]
    TooDeep,
}

/// The prolog of a document. It is kept when the rest of the document is malformed.
#[derive(Clone, Debug, Default)]
pub(super) struct Prolog {
    pub(super) doctype: Option<String>,
    pub(super) instructions: Vec<String>,
}

/// Reads a document of at most `max_elements` elements. `prolog` is filled as far as the reading
/// gets.
pub(super) fn read(
    octets: &[u8],
    max_elements: usize,
    prolog: &mut Prolog,
) -> Result<Document, XmlError> {
    let text = text(octets, None).map_err(|_| XmlError::Charset)?;
    if text.chars().any(is_forbidden) {
        return Err(XmlError::NotWellFormed);
    }
    let mut reader = Reader::from_str(text.trim_start());
    let config = reader.config_mut();
    config.check_comments = true;
    config.check_end_names = true;
    let mut open: Vec<Element> = Vec::new();
    let mut root: Option<Element> = None;
    let mut left = max_elements;
    loop {
        let event = reader.read_event().map_err(|_| XmlError::NotWellFormed)?;
        match event {
            Event::Start(start) => {
                let element = begin(&start, &mut left, open.len())?;
                if root.is_some() {
                    return Err(XmlError::NotWellFormed);
                }
                open.push(element);
            }
            Event::Empty(start) => {
                let element = begin(&start, &mut left, open.len())?;
                add(element, &mut open, &mut root)?;
            }
            Event::End(_) => {
                let element = open.pop().ok_or(XmlError::NotWellFormed)?;
                add(element, &mut open, &mut root)?;
            }
            Event::Text(text) => {
                let is_blank = text.chars().all(|c| c.is_ascii_whitespace());
                match open.last_mut() {
                    Some(element) => element.has_text |= !is_blank,
                    None if is_blank => {}
                    None => return Err(XmlError::NotWellFormed),
                }
            }
            Event::CData(_) => {
                let element = open.last_mut().ok_or(XmlError::NotWellFormed)?;
                element.has_text = true;
            }
            Event::GeneralRef(reference) => {
                let name: &str = &reference;
                let is_known =
                    name.starts_with('#') || matches!(name, "lt" | "gt" | "amp" | "apos" | "quot");
                if !is_known {
                    return Err(XmlError::Entity);
                }
                let element = open.last_mut().ok_or(XmlError::NotWellFormed)?;
                element.has_text = true;
            }
            Event::DocType(doctype) => {
                if prolog.doctype.is_some() || root.is_some() || !open.is_empty() {
                    return Err(XmlError::NotWellFormed);
                }
                let doctype = doctype.to_string();
                let has_entity = doctype.contains("<!ENTITY");
                prolog.instructions.extend(instructions(&doctype));
                prolog.doctype = Some(doctype);
                if has_entity {
                    return Err(XmlError::Entity);
                }
            }
            Event::PI(instruction) => {
                if root.is_none() && open.is_empty() && prolog.instructions.len() < MAX_ATTRIBUTES {
                    prolog.instructions.push(instruction.to_string());
                }
            }
            Event::Decl(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    match root {
        Some(root) if open.is_empty() => Ok(Document {
            doctype: prolog.doctype.clone(),
            instructions: prolog.instructions.clone(),
            root,
        }),
        _ => Err(XmlError::NotWellFormed),
    }
}

/// XML 1.0 2.2: characters that no document may hold, literally or by reference.
fn is_forbidden(c: char) -> bool {
    c < ' ' && !matches!(c, '\t' | '\n' | '\r') || matches!(c, '\u{FFFE}' | '\u{FFFF}')
}

fn add(element: Element, open: &mut [Element], root: &mut Option<Element>) -> Result<(), XmlError> {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None if root.is_none() => *root = Some(element),
        None => return Err(XmlError::NotWellFormed),
    }
    Ok(())
}

fn begin(start: &BytesStart<'_>, left: &mut usize, depth: usize) -> Result<Element, XmlError> {
    *left = left.checked_sub(1).ok_or(XmlError::TooLarge)?;
    if depth >= MAX_DEPTH {
        return Err(XmlError::TooDeep);
    }
    let mut element = Element {
        name: start.name().as_ref().to_owned(),
        ..Element::default()
    };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|_| XmlError::NotWellFormed)?;
        let value = attribute
            .normalized_value_with(XmlVersion::Implicit1_0, 1, resolve_predefined_entity)
            .map_err(|_| XmlError::Entity)?;
        if value.chars().any(is_forbidden) {
            return Err(XmlError::NotWellFormed);
        }
        let name = attribute.key.as_ref().to_owned();
        if element.attributes.len() >= MAX_ATTRIBUTES {
            return Err(XmlError::TooDeep);
        }
        element.attributes.push((name, value.into_owned()));
    }
    Ok(element)
}

/// The processing instructions in the internal subset of a document type declaration.
fn instructions(doctype: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = doctype;
    while let Some((_, after)) = rest.split_once("<?") {
        let Some((instruction, after)) = after.split_once("?>") else {
            break;
        };
        if found.len() < MAX_ATTRIBUTES {
            found.push(instruction.to_owned());
        }
        rest = after;
    }
    found
}

/// Elements inside each other; PAP needs four.
const MAX_DEPTH: usize = 16;
/// Attributes of an element; PAP has eight at most.
const MAX_ATTRIBUTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Document, XmlError> {
        read(text.as_bytes(), 100, &mut Prolog::default())
    }

    #[test]
    fn entities_are_refused_wherever_they_are() {
        let bomb = "<!DOCTYPE a [<!ENTITY b \"bb\"><!ENTITY c \"&b;&b;\">]><a x=\"&c;\">&c;</a>";
        assert_eq!(parsed(bomb), Err(XmlError::Entity));
        assert_eq!(parsed("<a x='&b;'/>"), Err(XmlError::Entity));
        assert_eq!(parsed("<a>&b;</a>"), Err(XmlError::Entity));
        let known = parsed("<a x='&lt;&#65;&amp;'>&gt;</a>").unwrap();
        assert_eq!(known.root.attribute("x"), Some("<A&"));
    }

    #[test]
    fn sizes_are_bounded() {
        let deep = "<a>".repeat(20) + &"</a>".repeat(20);
        assert_eq!(parsed(&deep), Err(XmlError::TooDeep));
        let wide = format!("<a>{}</a>", "<b/>".repeat(100));
        assert_eq!(parsed(&wide), Err(XmlError::TooLarge));
        let many: String = (0..40).map(|n| format!(" a{n}=''")).collect();
        assert_eq!(parsed(&format!("<a{many}/>")), Err(XmlError::TooDeep));
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for text in [
            "",
            "a",
            "<a>",
            "</a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "<a x='1' x='2'/>",
            "<a \u{1}/>",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
        assert!(parsed("<?xml version='1.0'?>\r\n<!-- c --><a>\n<b/></a>\n").is_ok());
    }
}
