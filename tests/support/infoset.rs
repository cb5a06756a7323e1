//! The content of a document in a form for comparison, independent of its notation.

#![allow(dead_code, reason = "each test uses what it needs")]

use quick_xml::events::Event as Xml;
use wapbridge::wbxml::{Decoder, Event, Extension, Name, Options};

/// One line per element, attribute and run of text. Text is text, whether inline, from the table or opaque;
/// device information inside is unfolded.
pub(crate) fn of_wbxml(wbxml: &[u8], options: &Options) -> Vec<String> {
    let mut decoder = Decoder::new(wbxml, options).unwrap();
    let charset = decoder.charset();
    let decode = |octets: &[u8]| {
        charset
            .decode(octets)
            .map(std::borrow::Cow::into_owned)
            .unwrap_or_else(|| format!("{octets:02x?}"))
    };
    let name = |name: Name<'_>, page: u8, token: u8| match name {
        Name::Assigned(name) => name.to_owned(),
        Name::Literal(name) => decode(name),
        Name::Unassigned => format!("?{page}:{token:02x}"),
    };
    let mut lines = Lines(Vec::new());
    let mut empty = false;
    while let Some(event) = decoder.next().unwrap() {
        match event {
            Event::Start {
                tag,
                content,
                attributes,
            } => {
                lines.push(format!(
                    "<{}:{}",
                    tag.page,
                    name(tag.name, tag.page, tag.token)
                ));
                if !content && !attributes {
                    lines.push(">".to_owned());
                }
                empty = !content;
            }
            Event::End(_) => lines.push(">".to_owned()),
            Event::Attribute(a) => {
                lines.push(format!("@{}", name(a.name, 0, a.token)));
                lines.text(a.prefix);
            }
            Event::EndAttributes => {
                lines.push(";".to_owned());
                if std::mem::take(&mut empty) {
                    lines.push(">".to_owned());
                }
            }
            Event::EndPi => lines.push(";".to_owned()),
            Event::Pi(a) => lines.push(format!("?{}", name(a.name, 0, a.token))),
            Event::Value(token, text) => lines.text(text.unwrap_or(&format!("?{token:02x}"))),
            Event::Text(octets) => lines.text(&decode(octets)),
            Event::Entity(c) => lines.text(&c.to_string()),
            Event::Opaque(octets) => match Decoder::new(octets, &Options::default()) {
                Ok(inner) if inner.vocabulary().is_embedded() => {
                    lines.0.extend(of_wbxml(octets, &Options::default()));
                }
                _ => lines.text(
                    &String::from_utf8(octets.to_vec())
                        .unwrap_or_else(|_| format!("{octets:02x?}")),
                ),
            },
            Event::Extension(Extension::Text(n, text)) => {
                lines.push(format!("ext{n}:{}", decode(text)));
            }
            Event::Extension(Extension::Integer(n, value))
                if decoder.vocabulary().extension(n, value).is_some() =>
            {
                lines.text(decoder.vocabulary().extension(n, value).unwrap());
            }
            Event::Extension(Extension::Integer(n, index)) => {
                let text = decoder.string(index).map(decode).unwrap();
                lines.push(format!("ext{n}:{text}"));
            }
            Event::Extension(other) => lines.push(format!("{other:?}")),
        }
    }
    lines.0
}

/// The same for XML, with white space between elements and around text left out unless it is kept.
pub(crate) fn of_xml(xml: &[u8], keep_space: bool) -> Vec<String> {
    let text = std::str::from_utf8(xml).unwrap();
    let mut reader = quick_xml::Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut lines = Lines(Vec::new());
    let mut characters = String::new();
    loop {
        let event = reader.read_event().unwrap();
        match &event {
            Xml::Text(text) => {
                characters.push_str(text);
                continue;
            }
            Xml::CData(text) => {
                characters.push_str(text);
                continue;
            }
            Xml::GeneralRef(reference) => {
                characters.push(match &**reference {
                    "lt" => '<',
                    "gt" => '>',
                    "amp" => '&',
                    "quot" => '"',
                    "apos" => '\'',
                    _ => reference.resolve_char_ref().unwrap().unwrap(),
                });
                continue;
            }
            Xml::Comment(_) => continue,
            _ => {}
        }
        if keep_space || !characters.trim().is_empty() {
            lines.text(&characters);
        }
        characters.clear();
        match event {
            Xml::Start(start) => {
                lines.push(format!("<{}", start.name().as_ref() as &str));
                let mut attributes: Vec<_> = start
                    .attributes()
                    .map(|a| a.unwrap())
                    .map(|a| {
                        let value = quick_xml::escape::unescape(&a.value).unwrap().into_owned();
                        format!("@{}={value}", a.key.as_ref() as &str)
                    })
                    .collect();
                attributes.sort();
                lines.0.extend(attributes);
            }
            Xml::End(_) => lines.push(">".to_owned()),
            Xml::PI(pi) => lines.push(format!("?{}", &*pi)),
            Xml::Eof => return lines.0,
            _ => {}
        }
    }
}

struct Lines(Vec<String>);

impl Lines {
    fn push(&mut self, line: String) {
        self.0.push(line);
    }

    /// Adjacent runs of text are one.
    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some(last) if last.starts_with('\'') => last.push_str(text),
            _ => self.0.push(format!("'{text}")),
        }
    }
}
