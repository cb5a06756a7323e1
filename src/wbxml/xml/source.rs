//! XML before it is parsed: its charset, its document type, its references.

use std::borrow::Cow;

use super::escape;
use crate::wbxml::charset::Charset;
use crate::wbxml::error::{Error, Fault};
use crate::wbxml::tables;
use crate::wbxml::vocabulary::Vocabulary;

/// The text of an XML document, by the transport's charset, its byte order mark or its own
/// declaration.
pub fn text(xml: &[u8], transport: Option<Charset>) -> Result<Cow<'_, str>, Error> {
    let (charset, xml) = match xml {
        [0xEF, 0xBB, 0xBF, rest @ ..] => (Charset::UTF_8, rest),
        [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] => (Charset::UTF_16, xml),
        [0x00, b'<', ..] => (Charset::UTF_16BE, xml),
        [b'<', 0x00, ..] => (Charset::UTF_16LE, xml),
        _ => (
            transport
                .or_else(|| declared(xml))
                .unwrap_or(Charset::UTF_8),
            xml,
        ),
    };
    charset.decode(xml).ok_or(Error {
        fault: Fault::Charset,
        offset: 0,
        token: None,
        expected: "text in the charset of the document",
    })
}

/// The charset of `<?xml version="1.0" encoding="..."?>`. The declaration is ASCII in every
/// charset. An unknown charset is 999999.
fn declared(xml: &[u8]) -> Option<Charset> {
    let declaration = xml.strip_prefix(b"<?xml")?;
    let end = declaration
        .iter()
        .take(256)
        .position(|&octet| octet == b'>')?;
    let declaration = std::str::from_utf8(declaration.get(..end)?).ok()?;
    let (_, after) = declaration.split_once("encoding")?;
    let after = after.trim_start().strip_prefix('=')?.trim_start();
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (name, _) = after.get(1..)?.split_once(quote)?;
    Some(Charset::by_name(name).unwrap_or(Charset(999_999)))
}

/// The parts before the document element.
#[derive(Debug, Default)]
pub(super) struct Prolog {
    /// The formal public identifier, empty if there is a DOCTYPE without.
    pub(super) public_id: Option<String>,
    /// Processing instructions, target and value.
    pub(super) instructions: Vec<(String, String)>,
}

impl Prolog {
    /// Takes the public identifier from a DOCTYPE. Its other parts are ignored, above all its
    /// declarations.
    pub(super) fn doctype(&mut self, doctype: &str) {
        let external = doctype.split('[').next().unwrap_or_default();
        let public = external.split_once("PUBLIC").and_then(|(_, after)| {
            let after = after.trim_start();
            let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            after
                .get(1..)?
                .split_once(quote)
                .map(|(public, _)| public.to_owned())
        });
        self.public_id = Some(public.unwrap_or_default());
    }

    /// The document's type: by its DOCTYPE, else by its document element and the version it names.
    pub(super) fn vocabulary(
        &self,
        root: &str,
        attributes: &str,
        text: &str,
    ) -> Option<&'static Vocabulary> {
        let public_id = self.public_id.as_deref().unwrap_or_default();
        Vocabulary::by_public_id(public_id.as_bytes()).or_else(|| by_root(root, attributes, text))
    }
}

fn by_root(root: &str, attributes: &str, text: &str) -> Option<&'static Vocabulary> {
    let with_root = |root: &str| -> Vec<&'static Vocabulary> {
        let same = |vocabulary: &&&'static Vocabulary| vocabulary.root == root && !root.is_empty();
        tables::ALL.iter().filter(same).copied().collect()
    };
    // The prefix is a part of the name where the type has no namespaces.
    let local = root.rsplit(':').next().unwrap_or_default();
    let candidates = match with_root(root) {
        candidates if candidates.is_empty() => with_root(local),
        candidates => candidates,
    };
    let attributes = attributes.to_ascii_lowercase();
    let named = candidates
        .iter()
        .find(|vocabulary| {
            vocabulary.is_syncml()
                && attributes.contains(&vocabulary.namespace(0).to_ascii_lowercase())
        })
        .or_else(|| {
            let minor = version(text)?;
            candidates
                .iter()
                .find(|vocabulary| vocabulary.name.ends_with(minor))
        });
    named.or_else(|| candidates.last()).copied()
}

/// `1.` and a digit in the first VerDTD, near the beginning.
fn version(text: &str) -> Option<&str> {
    let mut end = text.len().min(4096);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let (_, after) = text.get(..end)?.split_once("VerDTD>")?;
    after.get(..3).filter(|version| version.starts_with("1."))
}

/// The character of `&...;`: one of the five, or by number. Nothing else is expanded.
pub(super) fn reference(content: &str) -> Option<char> {
    let character = match content {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let digits = content.strip_prefix('#')?;
            let number = match digits.strip_prefix('x') {
                Some(digits) if digits.bytes().all(|octet| octet.is_ascii_hexdigit()) => {
                    u32::from_str_radix(digits, 16)
                }
                None if digits.bytes().all(|octet| octet.is_ascii_digit()) => digits.parse(),
                _ => return None,
            };
            char::from_u32(number.ok()?)?
        }
    };
    escape::check(character.encode_utf8(&mut [0; 4]).as_bytes())
        .ok()
        .map(|()| character)
}

/// The value of an attribute, references resolved and line breaks made spaces (XML 3.3.3).
pub(super) fn attribute_value(raw: &str) -> Option<Cow<'_, str>> {
    if !raw
        .bytes()
        .any(|octet| matches!(octet, b'&' | b'\t' | b'\r' | b'\n'))
    {
        return Some(Cow::Borrowed(raw));
    }
    let raw = raw.replace("\r\n", " ").replace(['\t', '\r', '\n'], " ");
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw.as_str();
    while let Some((plain, after)) = rest.split_once('&') {
        value.push_str(plain);
        let (content, after) = after.split_once(';')?;
        value.push(reference(content)?);
        rest = after;
    }
    value.push_str(rest);
    Some(Cow::Owned(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_charset_is_found_as_xml_says() {
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xE9</a>";
        assert!(text(latin, None).unwrap().contains('é'));
        assert_eq!(text("<a>é</a>".as_bytes(), None).unwrap(), "<a>é</a>");
        assert_eq!(
            text(b"<a>\xE9</a>", Some(Charset::ISO_8859_1)).unwrap(),
            "<a>é</a>"
        );
        assert_eq!(text(b"\xFF\xFE<\0a\0/\0>\0", None).unwrap(), "<a/>");
        assert_eq!(text(b"\0<\0a\0/\0>", None).unwrap(), "<a/>");
        assert_eq!(text(b"\xEF\xBB\xBF<a/>", None).unwrap(), "<a/>");
        for wrong in [
            &b"<a>\xE9</a>"[..],
            b"<?xml version='1.0' encoding='no-such'?><a/>",
        ] {
            assert_eq!(text(wrong, None).unwrap_err().fault, Fault::Charset);
        }
    }

    #[test]
    fn only_the_five_entities_and_numbers_are_expanded() {
        for (content, character) in [
            ("lt", '<'),
            ("amp", '&'),
            ("#13", '\r'),
            ("#x41", 'A'),
            ("#x1F600", '😀'),
        ] {
            assert_eq!(reference(content), Some(character));
        }
        for content in [
            "nbsp",
            "xxe",
            "#0",
            "#x1",
            "#xD800",
            "#x110000",
            "#+65",
            "#x",
            "#",
            "#99999999999",
            "",
        ] {
            assert_eq!(reference(content), None, "{content}");
        }
        assert_eq!(attribute_value("a&amp;b\r\nc").unwrap(), "a&b c");
        assert_eq!(attribute_value("a&b"), None);
        assert_eq!(attribute_value("&nbsp;"), None);
    }

    #[test]
    fn the_document_type_is_found_in_several_ways() {
        let name = |doctype: &str, root: &str, attributes: &str, text: &str| {
            let mut prolog = Prolog::default();
            if !doctype.is_empty() {
                prolog.doctype(doctype);
            }
            prolog
                .vocabulary(root, attributes, text)
                .map(|vocabulary| vocabulary.name)
        };
        assert_eq!(
            name(" x PUBLIC '-//SYNCML//DTD SyncML 1.1//EN' 'y'", "x", "", ""),
            Some("SyncML 1.1")
        );
        assert_eq!(
            name("", "SyncML", " xmlns='SYNCML:SYNCML1.0'", ""),
            Some("SyncML 1.0")
        );
        assert_eq!(
            name("", "SyncML", "", "<SyncML><SyncHdr><VerDTD>1.1</VerDTD>"),
            Some("SyncML 1.1")
        );
        assert_eq!(name("", "SyncML", "", ""), Some("SyncML 1.2"));
        assert_eq!(name("", "wml", "", ""), Some("WML 1.3"));
        assert_eq!(
            name(" si SYSTEM 'x' [<!ENTITY PUBLIC 'z'>]", "other", "", ""),
            None
        );
    }
}
