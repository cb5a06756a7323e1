//! A document for operators: readable XML, in colour on request, JSON for scripts, and errors with
//! their place.

use std::fmt::Write as _;

use crate::wbxml::decoder::{Decoder, Options};
use crate::wbxml::error::{Error, Fault};
use crate::wbxml::event::{AttributeName, Event, Extension, Name, Tag};
use crate::wbxml::header::{Header, PublicId};
use crate::wbxml::vocabulary::Space;
use crate::wbxml::xml::{to_readable_xml, variable_to_text};

/// Readable XML: one element a line, with embedded documents in place. `colour` adds the colours of
/// a terminal. A malformed document gives the XML before the error, and the error.
///
/// Binary data, extensions and tokens without a form in XML become comments, in attributes
/// brackets.
#[must_use]
pub fn xml(wbxml: &[u8], options: &Options, colour: bool) -> (String, Option<Error>) {
    let mut out = Vec::new();
    let error = to_readable_xml(wbxml, options, &mut out).err();
    let mut text = String::from_utf8_lossy(&out).into_owned();
    if !text.ends_with('\n') && !text.is_empty() {
        text.push('\n');
    }
    (if colour { painted(&text) } else { text }, error)
}

/// The error in words, and the octets around its offset, with a mark under the octet at the offset.
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

/// The document as JSON: header fields, then `root` with `tag`, `page`, `attributes` as pairs and
/// `content`.
///
/// Text is a string. Opaque data is an object with `opaque` in hexadecimal, or with `document`.
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
    /// Text that more text may follow.
    text: Option<String>,
    /// The current list is empty so far.
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
                let vocabulary = decoder.vocabulary();
                let has_variables = vocabulary.space == Space::Variables;
                let variable = |number, name: &[u8]| {
                    let mut text = Vec::new();
                    variable_to_text(number, lossy(name).as_bytes(), &mut text);
                    String::from_utf8_lossy(&text).into_owned()
                };
                let text = match extension {
                    Extension::Text(number, name) if has_variables => variable(number, name),
                    Extension::Integer(number, index) if has_variables => {
                        match decoder.string(index) {
                            Ok(name) => variable(number, name),
                            // A variable without a name is shown, as other unknown tokens are.
                            Err(error) if error.fault == Fault::Malformed => {
                                format!("[EXT_T_{number} {index}]")
                            }
                            Err(error) => return Err(error),
                        }
                    }
                    Extension::Integer(number, value) => {
                        match vocabulary.extension(number, value) {
                            Some(text) => text.to_owned(),
                            None => format!("[EXT_T_{number} {value}]"),
                        }
                    }
                    Extension::Text(number, text) => format!("[EXT_I_{number} {}]", lossy(text)),
                    Extension::Single(number) => format!("[EXT_{number}]"),
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

/// XML in a terminal's colours: tags blue, attributes cyan, declarations and comments faint.
/// Control characters of the document cannot occur: XML has none.
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
    fn a_variable_whose_name_is_not_there_is_shown_by_its_index() {
        // WML 1.1 with EXT_T_0 and an index beyond the string table.
        let document = b"\x02\x04\x6A\x04abc\0\x45\x80\x04\x01";
        let shown = json(document, &Options::default()).unwrap();
        assert!(shown.contains("[EXT_T_0 4]"), "{shown}");
    }

    #[test]
    fn readable_xml_unfolds_what_is_inside() {
        let (text, error) = xml(b"\x02\xA4\x01\x6A\x00\x6D\x6B\x45\x54\x4F\xC3\x08\x02\xA4\x03\x6A\x00\x4A\x28\x01\x01\x01\x01\x01\x01", &Options::default(), false);
        assert_eq!(error, None);
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
        let (plain, _) = xml(wbxml, &Options::default(), false);
        let (mut painted, _) = xml(wbxml, &Options::default(), true);
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

    fn readable(wbxml: &[u8]) -> (Vec<String>, Option<Error>) {
        let (text, error) = xml(wbxml, &Options::default(), false);
        let lines = text.lines().map(|line| line.trim_start().to_owned());
        let is_prolog = |line: &String| line.starts_with("<?") || line.starts_with("<!D");
        (lines.filter(|line| !is_prolog(line)).collect(), error)
    }

    #[test]
    fn extensions_mean_what_the_document_type_says() {
        // Wireless Village: a value of the table, an integer and a date.
        let wire = b"\x03\x11\x6A\x00\x49\x4B\xC3\x02\x00\xC8\x01\x51\xC3\x06\x1F\x94\x4C\x59\x00\x5A\x01\x65\x80\x12\x01\x01";
        let (lines, error) = readable(wire);
        assert_eq!(error, None);
        assert_eq!(
            lines,
            [
                "<WV-CSP-Message>",
                "<Code>200</Code>",
                "<DateTime>20210106T053600Z</DateTime>",
                "<Property>IM</Property>",
                "</WV-CSP-Message>",
            ]
        );
        // WML: variables.
        let wml = b"\x03\x0A\x6A\x02n\0\x60\x40m\0\x82\x00\x01";
        let text = json(wml, &Options::default()).unwrap();
        assert!(text.contains("$(m:escape)$(n)"), "{text}");
        let (lines, error) = readable(wml);
        assert_eq!(
            (lines, error),
            (vec!["<p>$(m:escape)$(n)</p>".to_owned()], None)
        );
        // A type that knows no extensions, and values that a type does not know.
        let (lines, error) = readable(b"\x03\x05\x6A\x00\x45\x80\x05\x41x\0\xC2\x01");
        assert_eq!(error, None);
        assert_eq!(
            lines,
            ["<si><!-- EXT_T_0 5 --><!-- EXT_I_1 x --><!-- EXT_2 --></si>"]
        );
        let (lines, error) = readable(b"\x03\x11\x6A\x00\x49\x65\x80\x81\x00\x01\x01");
        assert_eq!(
            (lines[1].as_str(), error),
            ("<Property><!-- EXT_T_0 128 --></Property>", None)
        );
        assert!(json(wire, &Options::default()).unwrap().contains("\"IM\""));
    }

    #[test]
    fn one_piece_of_binary_data_does_not_hide_the_document() {
        let wire = b"\x02\x01\x6A\x02a\0\x45\xC6\x04\x00\xC3\x02\x00\xFF\x85\x01\xC3\x03\x00\x01\xFF\x03t\x01\0\x01\x07\x01";
        let (lines, error) = readable(wire);
        assert_eq!(error, None);
        assert_eq!(
            lines.concat(),
            "<wbxml-tag-0-05><wbxml-tag-0-06 a=\"[2 octets: 00 ff][attribute value 0x85]\"><!-- 3 octets: 00 01 ff -->t[U+0001]\
             </wbxml-tag-0-06><wbxml-tag-0-07/></wbxml-tag-0-05>"
        );
    }

    #[test]
    fn what_comes_before_an_error_is_shown() {
        let (lines, error) = readable(b"\x03\x01\x6A\x00\x0D\x45\x48\x03240\0\x01\x01");
        assert_eq!(lines, ["<wbxml-tag-0-0D/>"]);
        let error = error.unwrap();
        assert_eq!(
            (error.offset, error.expected),
            (5, "the end of the document")
        );
        let (lines, error) = readable(b"\x03\x05\x6A\x00\x45\x03text\0\x03");
        assert_eq!(lines, ["<si>text"]);
        assert_eq!(error.unwrap().offset, 12);
    }
}
