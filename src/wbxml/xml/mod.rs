//! WBXML to XML text and back.
//!
//! The two notations of a SyncML message differ in more than tokens: device information is a
//! document inside the document, its Meta Type names the notation, raw octets need base64 in XML,
//! and line ends need care. The translation keeps every octet of meaning.
//!
//! `quick-xml` reads XML. Only the five entities and character references are expanded, and no
//! external resource is fetched.

mod chunks;
mod data;
mod datetime;
mod document;
mod escape;
mod meaning;
mod readable;
mod reader;
mod source;
mod variables;
mod writer;

use crate::wbxml::charset::Charset;
use crate::wbxml::decoder;
use crate::wbxml::error::{Error, Fault, Limits};
use crate::wbxml::vocabulary::Vocabulary;

pub use chunks::{Carry, Chunks};
pub(super) use readable::to_readable_xml;
pub use reader::{from_xml, from_xml_in};
pub use source::text;
pub(super) use variables::to_text as variable_to_text;
pub use writer::{to_xml, to_xml_in};

/// Settings of the translation from WBXML to XML.
#[derive(Clone, Copy, Debug)]
pub struct XmlOptions {
    /// Settings of the decoder: limits, and facts that the transport knows.
    pub decode: decoder::Options,
    /// Writes the XML declaration. Default: yes.
    pub declaration: bool,
    /// Writes the document type declaration, where the type is known. Default: yes.
    pub doctype: bool,
    /// Breaks and indents lines where white space means nothing. Default: no.
    pub indent: bool,
    /// For display: parts without a form in XML become comments or brackets; else they are an
    /// error. Such XML cannot be translated back. Default: no.
    pub readable: bool,
    /// Changes the sizes that the sender announces.
    pub announce: Announce,
}

impl Default for XmlOptions {
    fn default() -> Self {
        Self {
            decode: decoder::Options::default(),
            declaration: true,
            doctype: true,
            indent: false,
            readable: false,
            announce: Announce::default(),
        }
    }
}

/// Settings of the translation from XML to WBXML.
#[derive(Clone, Copy, Debug)]
pub struct WbxmlOptions {
    /// Limits on the cost of the document.
    pub limits: Limits,
    /// The type for a document whose DOCTYPE and document element name no known type. The media
    /// type tells it.
    pub vocabulary: Option<&'static Vocabulary>,
    /// The charset that the transport names. It has precedence over the declaration's.
    pub source_charset: Option<Charset>,
    /// The version octet to write. Default: 02.
    pub version: u8,
    /// The charset to write. Default: UTF-8.
    pub charset: Charset,
    /// Changes the sizes that the sender announces.
    pub announce: Announce,
}

impl Default for WbxmlOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            vocabulary: None,
            source_charset: None,
            version: 0x02,
            charset: Charset::UTF_8,
            announce: Announce::default(),
        }
    }
}

/// Changes of the sizes that a SyncML peer announces in MetInf, so that replies fit the peer after
/// their translation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announce {
    /// For MaxMsgSize.
    pub message: Share,
    /// For MaxObjSize.
    pub object: Share,
}

/// A part of an announced size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The divisor of the size; 0 and 1 change nothing.
    pub divisor: u32,
    /// The limit of the quotient.
    pub at_most: u32,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            divisor: 1,
            at_most: u32::MAX,
        }
    }
}

impl Share {
    /// The size to announce instead of `text`. `None` if it stays, also where `text` is no number.
    fn of(self, text: &[u8]) -> Option<Vec<u8>> {
        let announced: u64 = std::str::from_utf8(text).ok()?.parse().ok()?;
        let share = (announced / u64::from(self.divisor.max(1))).min(u64::from(self.at_most));
        (share != announced).then(|| share.to_string().into_bytes())
    }
}

#[cold]
fn untranslatable(offset: usize, expected: &'static str) -> Error {
    Error {
        fault: Fault::Untranslatable,
        offset,
        token: None,
        expected,
    }
}

/// Whether `name` may name an element or an attribute. Every character beyond ASCII counts as a
/// letter.
fn is_name(name: &[u8]) -> bool {
    let begins = |octet: u8| octet.is_ascii_alphabetic() || matches!(octet, b'_' | b':' | 0x80..);
    let goes_on =
        |octet: u8| begins(octet) || octet.is_ascii_digit() || matches!(octet, b'-' | b'.');
    name.first().is_some_and(|&octet| begins(octet)) && name.iter().all(|&octet| goes_on(octet))
}

/// The beginning of the name in XML for an unassigned tag token. The reverse translation knows it.
const UNASSIGNED_TAG: &str = "wbxml-tag";
const UNASSIGNED_ATTRIBUTE: &str = "wbxml-attribute";
