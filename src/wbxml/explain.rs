//! A document for people: readable XML, in colour if they like, JSON for their scripts, and errors that show where.

use std::fmt::Write as _;

use crate::wbxml::decoder::{Decoder, Options};
use crate::wbxml::error::Error;
use crate::wbxml::event::{AttributeName, Event, Extension, Name, Tag};
use crate::wbxml::header::{Header, PublicId};
use crate::wbxml::xml::{XmlOptions, to_xml};

/// Readable XML: one element a line, documents inside unfolded. With `colour`, for a terminal.
///
/// # Errors
///
/// As for [`to_xml`]; what XML cannot say, [`json`] can.
pub fn xml(wbxml: &[u8], options: &Options, colour: bool) -> Result<String, Error> {
    let mut out = Vec::new();
    to_xml(
        wbxml,
        &XmlOptions {
            decode: *options,
            indent: true,
            ..XmlOptions::default()
        },
        &mut out,
    )?;
    let mut text = String::from_utf8_lossy(&out).into_owned();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(if colour { painted(&text) } else { text })
}

/// The error in words, and the octets around it with a mark under the one meant.
#[must_use]
pub fn error(error: &Error, input: &[u8]) -> String {
    let mut out = format!("{error}\n");
    let row = error.offset.min(input.len()) / 16 * 16;
    for begin in [row.checked_sub(16), Some(row), Some(row + 16)]
        .into_iter()
        .flatten()
    {
        let octets: Vec<u8> = input.iter().skip(begin).take(16).copied().collect();
        if octets.is_empty() && begin != row {
            continue;
        }
        let hex: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        let text: String = octets
            .iter()
            .map(|&octet| {
                if octet.is_ascii_graphic() {
                    char::from(octet)
                } else {
                    '.'
                }
            })
            .collect();
        let _ = writeln!(out, "{begin:08x}  {:<47}  {text}", hex.join(" "));
        if begin == row {
            let _ = writeln!(
                out,
                "{:1$}^^",
                "",
                10 + 3 * (error.offset.min(input.len()) - row)
            );
        }
    }
    out
}

/// The document as JSON: header fields, then `root` with `tag`, `page`, `attributes` as pairs and `content`.
///
/// Text is a string, opaque data an object with `opaque` in hexadecimal or `document`, whatever XML could hold.
///
/// # Errors
///
/// The document is malformed or exceeds a limit.
pub fn json(wbxml: &[u8], options: &Options) -> Result<String, Error> {
    let mut out = String::with_capacity(wbxml.len() * 4);
    document(wbxml, options, &mut out)?;
    out.push('\n');
    Ok(out)
}

fn document(wbxml: &[u8], options: &Options, out: &mut String) -> Result<(), Error> {
    let mut decoder = Decoder::new(wbxml, options)?;
    let header = *decoder.header();
    let _ = write!(out, "{{\"version\":\"1.{}\",\"public_id\":", header.version);
    match header.public_id {
        PublicId::Number(number) => drop(write!(out, "{number}")),
        PublicId::Literal(name) => quote(&String::from_utf8_lossy(name), out),
    }
    out.push_str(",\"type\":");
    quote(decoder.vocabulary().name, out);
    out.push_str(",\"charset\":");
    quote(decoder.charset().name().unwrap_or("unknown"), out);
    let mut tree = Tree {
        out,
        text: None,
        first: true,
        place: Place::Content,
    };
    tree.out.push_str(",\"content\":[");
    while let Some(event) = decoder.next()? {
        tree.event(&event, &mut decoder, options)?;
    }
    tree.end_text();
    tree.out.push_str("]}");
    Ok(())
}

struct Tree<'o> {
    out: &'o mut String,
    /// Text that may go on.
    text: Option<String>,
    /// Nothing stands in the list at hand yet.
    first: bool,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Content,
    /// In the list of attributes; whether its element has content.
    Attributes(bool),
    /// In the value of an attribute.
    Value(bool),
    Pi,
}

impl Tree<'_> {
    fn event(
        &mut self,
        event: &Event<'_>,
        decoder: &mut Decoder<'_>,
        options: &Options,
    ) -> Result<(), Error> {
        let charset = decoder.charset();
        let lossy = |octets: &[u8]| {
            charset.decode(octets).map_or_else(
                || String::from_utf8_lossy(octets).into_owned(),
                std::borrow::Cow::into_owned,
            )
        };
        match *event {
            Event::Start {
                tag,
                attributes,
                content,
            } => {
                self.item();
                self.out.push_str("{\"tag\":");
                quote(&tag_name(tag, &lossy), self.out);
                let _ = write!(self.out, ",\"page\":{}", tag.page);
                if attributes {
                    self.out.push_str(",\"attributes\":[");
                    self.first = true;
                    self.place = Place::Attributes(content);
                } else {
                    self.open(content);
                }
            }
            Event::EndAttributes => {
                self.end_value();
                self.out.push(']');
                if let Place::Attributes(content) = self.place {
                    self.open(content);
                }
                self.place = Place::Content;
            }
            Event::End(_) => {
                self.end_text();
                self.out.push_str("]}");
                self.first = false;
            }
            Event::Attribute(name) => {
                self.end_value();
                self.item();
                self.out.push('[');
                quote(&attribute_name(&name, &lossy), self.out);
                if let Place::Attributes(content) = self.place {
                    self.place = Place::Value(content);
                }
                self.text = Some(name.prefix.to_owned());
            }
            Event::Pi(target) => {
                self.item();
                self.out.push_str("{\"pi\":");
                quote(&attribute_name(&target, &lossy), self.out);
                self.out.push_str(",\"value\":");
                self.text = Some(target.prefix.to_owned());
                self.place = Place::Pi;
            }
            Event::EndPi => {
                quote(&self.text.take().unwrap_or_default(), self.out);
                self.out.push('}');
                self.first = false;
                self.place = Place::Content;
            }
            Event::Value(token, text) => match text {
                Some(text) => self.characters(text),
                None => self.characters(&format!("[{token:02x}]")),
            },
            Event::Text(octets) => self.characters(&lossy(octets)),
            Event::Entity(character) => self.characters(character.encode_utf8(&mut [0; 4])),
            Event::Opaque(octets) => self.opaque(octets, options)?,
            Event::Extension(extension) => {
                let text = match extension {
                    Extension::Text(number, text) => {
                        format!("[extension {number}: {}]", lossy(text))
                    }
                    Extension::Integer(number, value) => format!("[extension {number}: {value}]"),
                    Extension::Single(number) => format!("[extension {number}]"),
                };
                self.characters(&text);
            }
        }
        Ok(())
    }

    fn opaque(&mut self, octets: &[u8], options: &Options) -> Result<(), Error> {
        if self.place != Place::Content {
            let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
            self.characters(&format!("[opaque {hex}]"));
            return Ok(());
        }
        if let Ok((body, header)) = Header::parse(octets)
            && header.vocabulary(body).is_some()
            && let Some(depth) = options.limits.depth.checked_sub(16)
        {
            let mut inner = *options;
            inner.limits.depth = depth;
            inner.vocabulary = None;
            let mut json = String::new();
            if document(octets, &inner, &mut json).is_ok() {
                self.item();
                let _ = write!(self.out, "{{\"document\":{json}}}");
                return Ok(());
            }
        }
        match std::str::from_utf8(octets) {
            Ok(text) => self.characters(text),
            Err(_) => {
                self.item();
                self.out.push_str("{\"opaque\":\"");
                for octet in octets {
                    let _ = write!(self.out, "{octet:02x}");
                }
                self.out.push_str("\"}");
            }
        }
        Ok(())
    }

    fn open(&mut self, content: bool) {
        if content {
            self.out.push_str(",\"content\":[");
            self.first = true;
        } else {
            self.out.push('}');
            self.first = false;
        }
    }

    fn characters(&mut self, text: &str) {
        self.text.get_or_insert_default().push_str(text);
    }

    /// Something begins in a list.
    fn item(&mut self) {
        self.end_text();
        if !std::mem::take(&mut self.first) {
            self.out.push(',');
        }
    }

    fn end_text(&mut self) {
        if let Some(text) = self.text.take() {
            if !std::mem::take(&mut self.first) {
                self.out.push(',');
            }
            quote(&text, self.out);
        }
    }

    fn end_value(&mut self) {
        if let Place::Value(content) = self.place {
            self.out.push(',');
            quote(&self.text.take().unwrap_or_default(), self.out);
            self.out.push(']');
            self.place = Place::Attributes(content);
        }
    }
}

fn tag_name(tag: Tag<'_>, lossy: &impl Fn(&[u8]) -> String) -> String {
    match tag.name {
        Name::Assigned(name) => name.to_owned(),
        Name::Literal(name) => lossy(name),
        Name::Unassigned => format!("[{:02x}]", tag.token),
    }
}

fn attribute_name(name: &AttributeName<'_>, lossy: &impl Fn(&[u8]) -> String) -> String {
    match name.name {
        Name::Assigned(name) => name.to_owned(),
        Name::Literal(name) => lossy(name),
        Name::Unassigned => format!("[{:02x}]", name.token),
    }
}

/// A JSON string.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x1F' | '\x7F' => drop(write!(out, "\\u{:04x}", u32::from(character))),
            other => out.push(other),
        }
    }
    out.push('"');
}

/// XML in a terminal's colours: tags blue, attributes cyan, what is not data faint. Control characters of the
/// document never get this far: XML has none.
fn painted(xml: &str) -> String {
    const TAG: &str = "\x1b[34m";
    const ATTRIBUTE: &str = "\x1b[36m";
    const FAINT: &str = "\x1b[2m";
    const PLAIN: &str = "\x1b[0m";
    let mut out = String::with_capacity(xml.len() * 2);
    let mut rest = xml;
    while let Some((text, after)) = rest.split_once('<') {
        out.push_str(text);
        let (tag, after) = after.split_once('>').unwrap_or((after, ""));
        if tag.starts_with(['?', '!']) {
            let _ = write!(out, "{FAINT}<{tag}>{PLAIN}");
        } else {
            let end = tag.find(' ').unwrap_or(tag.len());
            let (name, attributes) = tag.split_at_checked(end).unwrap_or((tag, ""));
            let _ = write!(out, "{TAG}<{name}");
            if !attributes.is_empty() {
                let _ = write!(out, "{ATTRIBUTE}{attributes}{TAG}");
            }
            let _ = write!(out, ">{PLAIN}");
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_xml_unfolds_what_is_inside() {
        let text = xml(b"\x02\xA4\x01\x6A\x00\x6D\x6B\x45\x54\x4F\xC3\x08\x02\xA4\x03\x6A\x00\x4A\x28\x01\x01\x01\x01\x01\x01", &Options::default(), false);
        let text = text.unwrap();
        let body: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            body,
            [
                "<SyncML xmlns=\"SYNCML:SYNCML1.2\">",
                "  <SyncBody>",
                "    <Add>",
                "      <Item>",
                "        <Data>",
                "          <DevInf xmlns=\"syncml:devinf\">",
                "            <UTC/>",
                "          </DevInf>",
                "        </Data>",
                "      </Item>",
                "    </Add>",
                "  </SyncBody>",
                "</SyncML>",
            ]
        );
    }

    #[test]
    fn colours_add_nothing_else() {
        let wbxml = b"\x02\x05\x6A\x00\x45\xC6\x0B\x03a\0\x01\x03<\0\x01\x01";
        let plain = xml(wbxml, &Options::default(), false).unwrap();
        let mut painted = xml(wbxml, &Options::default(), true).unwrap();
        assert!(
            painted.contains("\x1b[36m href=\"a\"\x1b[34m>"),
            "{painted:?}"
        );
        for code in ["\x1b[34m", "\x1b[36m", "\x1b[2m", "\x1b[0m"] {
            painted = painted.replace(code, "");
        }
        assert_eq!(painted, plain);
    }

    #[test]
    fn json_holds_what_xml_cannot() {
        let wire = b"\x02\x01\x6A\x02a\0\x45\xC5\x04\x00\x03v\"\0\x85\x01\xC3\x01\xFF\x03t\0\x02\x0A\x01\x43\x04\x00\x03p\0\x01\x07\x01";
        assert_eq!(
            json(wire, &Options::default()).unwrap(),
            "{\"version\":\"1.2\",\"public_id\":1,\"type\":\"unknown\",\"charset\":\"UTF-8\",\"content\":[{\"tag\":\"[05]\",\"page\":0,\
             \"content\":[{\"tag\":\"[05]\",\"page\":0,\"attributes\":[[\"a\",\"v\\\"[85]\"]],\"content\":[{\"opaque\":\"ff\"},\"t\\n\"]},\
             {\"pi\":\"a\",\"value\":\"p\"},{\"tag\":\"[07]\",\"page\":0}]}]}\n"
        );
    }

    #[test]
    fn json_unfolds_documents() {
        let wire = b"\x02\xA4\x01\x6A\x00\x4F\xC3\x08\x02\xA4\x03\x6A\x00\x4A\x28\x01\x01";
        let text = json(wire, &Options::default()).unwrap();
        assert!(
            text.contains(
                "[{\"document\":{\"version\":\"1.2\",\"public_id\":4611,\"type\":\"DevInf 1.2\""
            ),
            "{text}"
        );
    }

    #[test]
    fn an_error_shows_the_octets_around_it() {
        let wire = b"\x02\x01\x6A\x00\x45\x03abcdefghijklmnopqrs";
        let failure = json(wire, &Options::default()).unwrap_err();
        assert_eq!(
            error(&failure, wire),
            "malformed: expected a string that ends with NUL at offset 6, found 0x61\n\
             00000000  02 01 6a 00 45 03 61 62 63 64 65 66 67 68 69 6a  ..j.E.abcdefghij\n\
             \u{20}                           ^^\n\
             00000010  6b 6c 6d 6e 6f 70 71 72 73                       klmnopqrs\n"
        );
        let end = Error {
            offset: 16,
            ..failure
        };
        assert!(error(&end, &wire[..16]).ends_with(
            "00000010                                                   \n          ^^\n"
        ));
    }
}
