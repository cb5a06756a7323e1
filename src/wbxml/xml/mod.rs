//! WBXML to XML text and back.
//!
//! The two notations of a SyncML message differ in more than tokens: device information is a document inside the
//! document, its Meta Type names the notation, raw octets need base64 in XML, and line ends need care. All of it is
//! kept here, to the octet, so that a message may change its notation without its meaning.
//!
//! XML is read with `quick-xml`, without expanding anything but the five entities and character references, and
//! without fetching anything.

mod data;
mod datetime;
mod document;
mod escape;
mod meaning;
mod reader;
mod source;
mod variables;
mod writer;

use crate::wbxml::charset::Charset;
use crate::wbxml::decoder;
use crate::wbxml::error::{Error, Fault, Limits};
use crate::wbxml::vocabulary::Vocabulary;

pub use reader::from_xml;
pub use writer::to_xml;

/// How WBXML becomes XML.
#[derive(Clone, Copy, Debug)]
pub struct XmlOptions {
    /// What the document does not say about itself, and what it may cost.
    pub decode: decoder::Options,
    /// Writes the XML declaration. Default: yes.
    pub declaration: bool,
    /// Writes the document type declaration, where the type is known. Default: yes.
    pub doctype: bool,
    /// Breaks and indents lines where white space means nothing. Default: no.
    pub indent: bool,
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
            announce: Announce::default(),
        }
    }
}

/// How XML becomes WBXML.
#[derive(Clone, Copy, Debug)]
pub struct WbxmlOptions {
    /// What the document may cost.
    pub limits: Limits,
    /// Its type, if neither its DOCTYPE nor its document element says (from its media type).
    pub vocabulary: Option<&'static Vocabulary>,
    /// Its charset according to the transport, which has precedence.
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

/// What becomes of the sizes a SyncML peer announces in MetInf, so that what comes back still fits after
/// translation.
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
    /// It is divided by this; 0 and 1 leave it alone.
    pub divisor: u32,
    /// And then is at most this.
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
    /// What to announce instead of `text`; `None` to leave it as it is, also where it is no number.
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

/// Whether `name` may name an element or an attribute. Beyond ASCII anything is taken for a letter.
fn is_name(name: &[u8]) -> bool {
    let begins = |octet: u8| octet.is_ascii_alphabetic() || matches!(octet, b'_' | b':' | 0x80..);
    let goes_on =
        |octet: u8| begins(octet) || octet.is_ascii_digit() || matches!(octet, b'-' | b'.');
    name.first().is_some_and(|&octet| begins(octet)) && name.iter().all(|&octet| goes_on(octet))
}

/// The name in XML for a token nobody assigned, so that it finds its way back.
const UNASSIGNED_TAG: &str = "wbxml-tag";
const UNASSIGNED_ATTRIBUTE: &str = "wbxml-attribute";
