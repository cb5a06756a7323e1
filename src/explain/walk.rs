//! Going through octets and saying what each is.

use super::Node;
use crate::codec::{self, DecodeError};

/// A place in some octets, and what was said of those before it.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    /// Where `block` begins in what is explained.
    origin: usize,
    block: &'a [u8],
    rest: &'a [u8],
    nodes: Vec<Node>,
}

impl<'a> Walk<'a> {
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

    /// What was said.
    pub(super) fn finish(self) -> Vec<Node> {
        self.nodes
    }

    /// What is still to be explained.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Where it begins.
    pub(super) const fn offset(&self) -> usize {
        self.origin + (self.block.len() - self.rest.len())
    }

    /// The next octet and its meaning.
    pub(super) fn octet(&mut self, meaning: impl FnOnce(u8) -> String) -> Option<u8> {
        let Some(&octet) = self.rest.first() else {
            self.missing("an octet");
            return None;
        };
        self.say(1, meaning(octet));
        Some(octet)
    }

    /// The next octet, not yet said anything of.
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next two octets, most significant first.
    pub(super) fn uint16(&mut self, meaning: impl FnOnce(u16) -> String) -> Option<u16> {
        match codec::uint16(self.rest) {
            Ok((_, value)) => {
                self.say(2, meaning(value));
                Some(value)
            }
            Err(_) => {
                self.missing("two octets");
                None
            }
        }
    }

    /// A uintvar, called `what`.
    pub(super) fn uintvar(&mut self, what: &str) -> Option<u32> {
        match codec::located(self.rest, codec::uintvar) {
            Ok((after, value)) => {
                self.say(self.rest.len() - after.len(), format!("{what}: {value}"));
                Some(value)
            }
            Err(error) => {
                self.wrong(error);
                None
            }
        }
    }

    /// So many octets with their meaning.
    pub(super) fn octets(
        &mut self,
        len: usize,
        what: &str,
        meaning: impl FnOnce(&'a [u8]) -> String,
    ) -> Option<&'a [u8]> {
        let taken = self.announced(len, what)?;
        let meaning = meaning(taken);
        self.say(len, meaning);
        Some(taken)
    }

    /// So many octets that are a whole of their own, called `what` and explained by `inside`.
    pub(super) fn group(
        &mut self,
        len: usize,
        what: &str,
        inside: impl FnOnce(&mut Self),
    ) -> Option<()> {
        let block = self.announced(len, what)?;
        let mut walk = Walk::within(self.offset(), block);
        inside(&mut walk);
        let parts = walk.finish();
        self.say(len, what.to_owned());
        if let Some(node) = self.nodes.last_mut().filter(|_| !parts.is_empty()) {
            node.octets = Vec::new();
            node.parts = parts;
        }
        Some(())
    }

    /// Everything that is left, as [`Walk::group`].
    pub(super) fn rest_as(&mut self, what: &str, inside: impl FnOnce(&mut Self)) {
        self.group(self.rest.len(), what, inside);
    }

    /// Takes octets that were explained otherwise.
    pub(super) fn say(&mut self, len: usize, meaning: String) {
        let (octets, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, &[]));
        self.nodes.push(Node {
            offset: self.offset(),
            len: octets.len(),
            octets: octets.to_vec(),
            meaning,
            fault: false,
            parts: Vec::new(),
        });
        self.rest = rest;
    }

    /// Takes octets that a node explains already.
    pub(super) fn explained(&mut self, node: Node) {
        self.rest = self.rest.get(node.len..).unwrap_or_default();
        self.nodes.push(node);
    }

    /// Takes octets that are wrong.
    pub(super) fn say_fault(&mut self, len: usize, meaning: String) {
        self.say(len, meaning);
        if let Some(node) = self.nodes.last_mut() {
            node.fault = true;
        }
    }

    /// Names the whole, once its first octets said what it is.
    pub(super) fn wrong(&mut self, error: DecodeError) {
        let offset = (self.offset() + error.offset).min(self.origin + self.block.len());
        self.nodes.push(Node {
            offset,
            len: 0,
            octets: Vec::new(),
            meaning: format!("{} was expected here", error.expected),
            fault: true,
            parts: Vec::new(),
        });
        self.rest = &[];
    }

    fn missing(&mut self, expected: &'static str) {
        self.wrong(DecodeError {
            offset: 0,
            expected,
        });
    }

    fn announced(&mut self, len: usize, what: &str) -> Option<&'a [u8]> {
        let taken = self.rest.get(..len);
        if taken.is_none() {
            let left = self.rest.len();
            self.say_fault(
                left,
                format!("{what}: {len} octets announced, {left} are left"),
            );
        }
        taken
    }
}

/// Text as it stands if it can be read, else how many octets there are; cut if it is long.
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
