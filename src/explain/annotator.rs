//! An annotator: goes through octets and notes their meaning.

use std::borrow::Cow;

use super::Node;
use crate::codec::{self, DecodeError};
use crate::printable;

/// A position in a block of octets, and the notes on the octets before it.
///
/// Meanings quote the peer, so every meaning is escaped.
#[derive(Debug)]
pub(super) struct Annotator<'a> {
    /// The offset of `block` from the start of all octets.
    origin: usize,
    block: &'a [u8],
    rest: &'a [u8],
    nodes: Vec<Node>,
}

impl<'a> Annotator<'a> {
    pub(super) const fn new(octets: &'a [u8]) -> Self {
        Self::within(0, octets)
    }

    const fn within(origin: usize, block: &'a [u8]) -> Self {
        Self {
            origin,
            block,
            rest: block,
            nodes: Vec::new(),
        }
    }

    /// Ends the annotation, and returns its notes.
    pub(super) fn finish(self) -> Vec<Node> {
        self.nodes
    }

    /// The octets that have no note yet.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The offset of the first octet without a note.
    pub(super) const fn offset(&self) -> usize {
        self.origin + (self.block.len() - self.rest.len())
    }

    /// The next octet and its meaning.
    pub(super) fn octet(&mut self, meaning: impl FnOnce(u8) -> String) -> Option<u8> {
        let Some(&octet) = self.rest.first() else {
            self.missing("an octet");
            return None;
        };
        self.annotate(1, meaning(octet));
        Some(octet)
    }

    /// The next octet, without a note on it.
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next two octets, most significant first.
    pub(super) fn uint16(&mut self, meaning: impl FnOnce(u16) -> String) -> Option<u16> {
        match codec::uint16(self.rest) {
            Ok((_, value)) => {
                self.annotate(2, meaning(value));
                Some(value)
            }
            Err(_) => {
                self.missing("two octets");
                None
            }
        }
    }

    /// The next uintvar, under the name `what`.
    pub(super) fn uintvar(&mut self, what: &str) -> Option<u32> {
        match codec::located(self.rest, codec::uintvar) {
            Ok((after, value)) => {
                self.annotate(self.rest.len() - after.len(), format!("{what}: {value}"));
                Some(value)
            }
            Err(error) => {
                self.expected(error);
                None
            }
        }
    }

    /// The next `len` octets and their meaning.
    pub(super) fn octets(
        &mut self,
        len: usize,
        what: &str,
        meaning: impl FnOnce(&'a [u8]) -> String,
    ) -> Option<&'a [u8]> {
        let taken = self.announced(len, what)?;
        let meaning = meaning(taken);
        self.annotate(len, meaning);
        Some(taken)
    }

    /// The next `len` octets as one unit with the name `what`. `inside` explains its parts.
    pub(super) fn group(
        &mut self,
        len: usize,
        what: &str,
        inside: impl FnOnce(&mut Self),
    ) -> Option<()> {
        let block = self.announced(len, what)?;
        let mut annotator = Annotator::within(self.offset(), block);
        inside(&mut annotator);
        let parts = annotator.finish();
        self.annotate(len, what.to_owned());
        if let Some(node) = self.nodes.last_mut().filter(|_| !parts.is_empty()) {
            node.octets = Vec::new();
            node.parts = parts;
        }
        Some(())
    }

    /// All remaining octets, as [`Annotator::group`].
    pub(super) fn rest_as(&mut self, what: &str, inside: impl FnOnce(&mut Self)) {
        self.group(self.rest.len(), what, inside);
    }

    /// Takes `len` octets with this meaning.
    pub(super) fn annotate(&mut self, len: usize, meaning: String) {
        let (octets, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, &[]));
        self.nodes.push(Node {
            offset: self.offset(),
            len: octets.len(),
            octets: octets.to_vec(),
            meaning: escaped(meaning),
            fault: false,
            parts: Vec::new(),
        });
        self.rest = rest;
    }

    /// Takes the octets of a node that is complete.
    pub(super) fn push(&mut self, node: Node) {
        self.rest = self.rest.get(node.len..).unwrap_or_default();
        self.nodes.push(node);
    }

    /// Takes `len` octets that are wrong.
    pub(super) fn fault(&mut self, len: usize, meaning: String) {
        self.annotate(len, meaning);
        if let Some(node) = self.nodes.last_mut() {
            node.fault = true;
        }
    }

    /// Notes an expectation that fails at an offset from here. The remaining octets get no notes.
    pub(super) fn expected(&mut self, error: DecodeError) {
        let offset = (self.offset() + error.offset).min(self.origin + self.block.len());
        self.nodes.push(Node::missing(offset, error.expected));
        self.rest = &[];
    }

    /// Takes `len` octets, in which an expectation fails at an offset from here.
    pub(super) fn annotate_faulty(&mut self, len: usize, meaning: String, error: DecodeError) {
        let offset = (self.offset() + error.offset).min(self.origin + self.block.len());
        self.annotate(len, meaning);
        if let Some(node) = self.nodes.last_mut() {
            node.parts.push(Node::missing(offset, error.expected));
        }
    }

    /// Takes all octets after the end of a PDU.
    pub(super) fn end_of_pdu(&mut self) {
        let left = self.rest.len();
        if left > 0 {
            self.fault(left, format!("{left} octets after the end of the PDU"));
        }
    }

    fn missing(&mut self, expected: &'static str) {
        self.expected(DecodeError {
            offset: 0,
            expected,
        });
    }

    fn announced(&mut self, len: usize, what: &str) -> Option<&'a [u8]> {
        let taken = self.rest.get(..len);
        if taken.is_none() {
            let left = self.rest.len();
            self.fault(
                left,
                format!("{what}: {len} octets announced, {left} are left"),
            );
        }
        taken
    }
}

/// The text with control characters escaped.
pub(super) fn escaped(text: String) -> String {
    match printable::line(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(escaped) => escaped,
    }
}

/// Printable text, cut if it is long; for other octets their number.
pub(super) fn shown(octets: &[u8]) -> String {
    const SHOWN: usize = 60;
    match std::str::from_utf8(octets) {
        Ok(text)
            if !text
                .chars()
                .any(|sign| sign.is_control() && !sign.is_ascii_whitespace()) =>
        {
            let mut start: String = text.chars().take(SHOWN).collect();
            if start.len() < text.len() {
                start.push('…');
            }
            start
                .escape_debug()
                .to_string()
                .replace("\\\"", "\"")
                .replace("\\'", "'")
        }
        _ => format!("{} octets", octets.len()),
    }
}
