//! Explains WBXML documents that are not SyncML: service indications, settings and the like.

use super::Node;
use super::annotator::{Annotator, escaped};
use crate::wbxml::{Decoder, Error, Event, Header, Options, explain};

/// Whether octets are one WBXML document to their end, with at least one element.
pub(super) fn is_whole(octets: &[u8]) -> bool {
    matches!(octets.first(), Some(0..=3)) && read(octets).is_ok_and(|elements| elements > 0)
}

/// Explains the octets of a document: its header, then its content as XML.
pub(super) fn nodes(annotator: &mut Annotator<'_>) {
    let octets = annotator.rest();
    let title = match Header::parse(octets) {
        Ok((body, header)) => format!(
            "WBXML 1.{} document, {}",
            header.version,
            header
                .vocabulary(body)
                .map_or("of an unknown type", |known| known.name)
        ),
        Err(_) => "WBXML document".to_owned(),
    };
    annotator.rest_as(&title, |annotator| {
        let (text, error) = explain::xml(octets, &Options::default(), false);
        let at = annotator.offset();
        for line in text.lines().take(MAX_LINES) {
            annotator.push(Node {
                offset: at,
                len: 0,
                octets: Vec::new(),
                meaning: escaped(line.to_owned()),
                fault: false,
                parts: Vec::new(),
            });
        }
        let len = error.map_or(octets.len(), |error| error.offset);
        annotator.annotate(
            len,
            match text.lines().count().saturating_sub(MAX_LINES) {
                0 => format!("{len} octets"),
                more => format!("{len} octets; {more} more lines are not shown"),
            },
        );
        if let Some(error) = error {
            let left = annotator.rest().len();
            annotator.fault(left, words(&error, left));
        }
    });
}

/// The error in words, without its place: the node has the place.
fn words(error: &Error, left: usize) -> String {
    let found = match error.token {
        Some(token) => format!(", found {token:#04x}; {left} octets are left"),
        None => String::new(),
    };
    format!(
        "{}: expected {}{found}",
        error.fault.label(),
        error.expected
    )
}

/// The number of elements.
fn read(octets: &[u8]) -> Result<u32, Error> {
    let mut decoder = Decoder::new(octets, &Options::default())?;
    let mut elements = 0;
    while let Some(event) = decoder.next()? {
        elements += u32::from(matches!(event, Event::Start { .. }));
    }
    Ok(elements)
}

/// Lines of XML that are shown of one document.
const MAX_LINES: usize = 200;
