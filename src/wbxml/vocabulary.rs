//! What a document type adds to WBXML: names for tokens, one table per code page.

use crate::wbxml::tables;

/// A document type.
#[derive(Debug)]
pub struct Vocabulary {
    /// For people: `SyncML 1.2`.
    pub name: &'static str,
    /// The assigned public identifier; 1 (unknown) where there is none.
    pub number: u32,
    /// The formal public identifier of the DTD, empty if unknown.
    pub public_id: &'static str,
    /// Where the DTD was published.
    pub system_id: &'static str,
    /// The document element.
    pub root: &'static str,
    /// Tag code pages.
    pub pages: &'static [Page],
    /// Attribute code pages.
    pub attribute_pages: &'static [AttributePage],
    /// Attributes whose value is a date, which travels as OPAQUE digits (WAP-167 8.2.2).
    pub datetimes: &'static [&'static str],
    /// Element, attribute and the value the DTD gives it where it is absent (WBXML 6.3).
    pub defaults: &'static [(&'static str, &'static str, &'static str)],
    /// What white space means between elements.
    pub space: Space,
}

/// What white space between elements means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Nothing: an element holds elements or text, never both.
    Ignorable,
    /// As much as other text.
    Kept,
    /// As much as other text, in which `$` begins a variable (WML).
    Variables,
}

impl Vocabulary {
    /// The document type with this assigned public identifier.
    #[must_use]
    pub fn by_number(number: u32) -> Option<&'static Self> {
        tables::ALL
            .into_iter()
            .find(|v| v.number == number && number > 1)
    }

    /// The document type with this formal public identifier.
    #[must_use]
    pub fn by_public_id(public_id: &[u8]) -> Option<&'static Self> {
        tables::ALL
            .into_iter()
            .find(|v| v.public_id.as_bytes() == public_id && !public_id.is_empty())
    }

    /// The tags of a code page; a page nobody assigned has none.
    #[must_use]
    pub fn tags(&self, page: u8) -> &'static Tags {
        self.pages
            .iter()
            .find(|p| p.number == page)
            .map_or(&NO_TAGS, |p| p.tags)
    }

    /// The namespace a code page stands for, empty where it stands for none.
    #[must_use]
    pub fn namespace(&self, page: u8) -> &'static str {
        self.pages
            .iter()
            .find(|p| p.number == page)
            .map_or("", |p| p.namespace)
    }

    /// The attributes of a code page; a page nobody assigned has none.
    #[must_use]
    pub fn attributes(&self, page: u8) -> &'static Attributes {
        self.attribute_pages
            .iter()
            .find(|p| p.number == page)
            .map_or(&NO_ATTRIBUTES, |p| p.attributes)
    }

    /// The value of an attribute that is absent: an encoder may have left out the DTD's default (WBXML 6.3).
    #[must_use]
    pub fn default_value(&self, element: &str, attribute: &str) -> Option<&'static str> {
        let row = self
            .defaults
            .iter()
            .find(|row| (row.0, row.1) == (element, attribute));
        row.map(|row| row.2)
    }

    /// Whether documents of this type are SyncML messages.
    #[must_use]
    pub fn is_syncml(&self) -> bool {
        self.root == "SyncML"
    }
}

/// A tag code page in a document type.
#[derive(Debug)]
pub struct Page {
    /// Its number.
    pub number: u8,
    /// The XML namespace it stands for, empty if none.
    pub namespace: &'static str,
    /// Its names.
    pub tags: &'static Tags,
}

/// An attribute code page in a document type.
#[derive(Debug)]
pub struct AttributePage {
    /// Its number.
    pub number: u8,
    /// Its names and values.
    pub attributes: &'static Attributes,
}

/// The names of one tag code page: an array one way, a small hash table the other, both made by the compiler.
#[derive(Debug)]
pub struct Tags {
    names: [&'static str; 64],
    slots: [u8; SLOTS],
}

/// A page without names.
pub static NO_TAGS: Tags = Tags::new(&[]);
/// A page without attributes.
pub static NO_ATTRIBUTES: Attributes = Attributes::new(&[], &[]);

impl Tags {
    /// A page from its rows of token and name.
    #[expect(
        clippy::indexing_slicing,
        reason = "runs in the compiler, where an error is a build error"
    )]
    pub(super) const fn new(rows: &[(u8, &'static str)]) -> Self {
        let mut page = Self {
            names: [""; 64],
            slots: [0; SLOTS],
        };
        let mut row = 0;
        while row < rows.len() {
            let (token, name) = rows[row];
            assert!(page.names[token as usize].is_empty() && token >= 5);
            page.names[token as usize] = name;
            let mut slot = slot(name.as_bytes());
            while page.slots[slot] != 0 {
                slot = (slot + 1) % SLOTS;
            }
            page.slots[slot] = token;
            row += 1;
        }
        page
    }

    /// The name of a token (its lower six bits).
    #[must_use]
    pub fn name(&self, token: u8) -> Option<&'static str> {
        self.names
            .get(usize::from(token & 0x3F))
            .copied()
            .filter(|name| !name.is_empty())
    }

    /// The token of a name.
    #[must_use]
    pub fn token(&self, name: &[u8]) -> Option<u8> {
        let mut at = slot(name);
        loop {
            match self.slots.get(at) {
                Some(&token) if token != 0 => {
                    if self
                        .names
                        .get(usize::from(token))
                        .is_some_and(|known| known.as_bytes() == name)
                    {
                        return Some(token);
                    }
                }
                _ => return None,
            }
            at = (at + 1) % SLOTS;
        }
    }
}

/// More than any page has tags, so that a search always meets an empty slot.
const SLOTS: usize = 256;

const fn slot(name: &[u8]) -> usize {
    let (first, last) = match name {
        [first, .., last] => (*first as usize, *last as usize),
        [only] => (*only as usize, 0),
        [] => (0, 0),
    };
    let third = match name {
        [_, _, third, ..] => *third as usize,
        _ => 0,
    };
    (name.len() * 37 + first * 7 + third * 13 + last * 29) % SLOTS
}

/// The names and values of one attribute code page.
#[derive(Debug)]
pub struct Attributes {
    starts: [Option<(&'static str, &'static str)>; 128],
    values: [&'static str; 128],
    begins_value: [bool; 256],
}

impl Attributes {
    /// A page from its rows: attribute starts (token, name, beginning of the value), then values.
    #[expect(
        clippy::indexing_slicing,
        reason = "runs in the compiler, where an error is a build error"
    )]
    pub(super) const fn new(
        starts: &[(u8, &'static str, &'static str)],
        values: &[(u8, &'static str)],
    ) -> Self {
        let mut page = Self {
            starts: [None; 128],
            values: [""; 128],
            begins_value: [false; 256],
        };
        let mut row = 0;
        while row < starts.len() {
            let (token, name, prefix) = starts[row];
            assert!(page.starts[token as usize].is_none() && token >= 5);
            page.starts[token as usize] = Some((name, prefix));
            row += 1;
        }
        row = 0;
        while row < values.len() {
            let (token, value) = values[row];
            assert!(page.values[token as usize - 128].is_empty() && token >= 0x85);
            page.values[token as usize - 128] = value;
            page.begins_value[value.as_bytes()[0] as usize] = true;
            row += 1;
        }
        page
    }

    /// Name and beginning of the value for an attribute start token.
    #[must_use]
    pub fn start(&self, token: u8) -> Option<(&'static str, &'static str)> {
        self.starts.get(usize::from(token)).copied().flatten()
    }

    /// The text of an attribute value token.
    #[must_use]
    pub fn value(&self, token: u8) -> Option<&'static str> {
        let index = usize::from(token).checked_sub(128)?;
        self.values
            .get(index)
            .copied()
            .filter(|value| !value.is_empty())
    }

    /// The start token that covers most of this attribute: the longest beginning of its value.
    pub(super) fn longest_start(&self, name: &str, value: &str) -> Option<(u8, &'static str)> {
        (0u8..=127)
            .zip(&self.starts)
            .filter_map(|(token, start)| start.map(|(known, prefix)| (token, known, prefix)))
            .filter(|(_, known, prefix)| *known == name && value.starts_with(prefix))
            .max_by_key(|(_, _, prefix)| prefix.len())
            .map(|(token, _, prefix)| (token, prefix))
    }

    /// The value token that covers most of the beginning of `text`.
    pub(super) fn longest_value(&self, text: &str) -> Option<(u8, &'static str)> {
        (128u8..=255)
            .zip(&self.values)
            .filter(|(_, value)| !value.is_empty() && text.starts_with(**value))
            .max_by_key(|(_, value)| value.len())
            .map(|(token, value)| (token, *value))
    }

    /// Whether some value token begins with this octet; spares the search at most places.
    pub(super) fn may_begin_value(&self, octet: u8) -> bool {
        self.begins_value.get(usize::from(octet)) == Some(&true)
    }
}
