//! A document type: its names for tokens, one table per code page, and its rules.

/// A document type.
#[derive(Debug)]
pub struct Vocabulary {
    /// The name in explanations, such as `SyncML 1.2`.
    pub name: &'static str,
    /// The assigned public identifier; 1 (unknown) for a type without one.
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
    /// Element, attribute, and the attribute's default value in the DTD (WBXML 6.3).
    pub defaults: &'static [(&'static str, &'static str, &'static str)],
    /// The text that an EXT_T_0 token with this number stands for, by number (WBXML 5.8.4.2).
    pub extensions: &'static [(u32, &'static str)],
    /// Elements whose content travels as binary data.
    pub opaques: &'static [(&'static str, Opaque)],
    /// An attribute, its value, and a second attribute. Where the first one has this value, the
    /// value of the second one is octets: base64 in XML, opaque data in WBXML.
    pub base64: &'static [(&'static str, &'static str, &'static str)],
    /// The meaning of white space between elements.
    pub space: Space,
}

/// The meaning of binary data in an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opaque {
    /// An unsigned integer, most significant octet first.
    Integer,
    /// Six octets: two bits unused, then year, month, day, hour, minute and second in 12, 4, 5, 5,
    /// 6 and 6 bits, and the letter of a time zone (OMA-IMPS-WV-CSP_WBXML).
    DateTime,
}

impl Opaque {
    /// The data as text; `None` if the octets are not of this form.
    #[must_use]
    pub fn text(self, octets: &[u8]) -> Option<String> {
        match self {
            Self::Integer if octets.is_empty() || octets.len() > 8 => None,
            Self::Integer => {
                let value = octets
                    .iter()
                    .fold(0u64, |value, &octet| value << 8 | u64::from(octet));
                Some(value.to_string())
            }
            Self::DateTime => {
                let octets: [u8; 6] = octets.try_into().ok()?;
                let bits = octets
                    .iter()
                    .fold(0u64, |bits, &octet| bits << 8 | u64::from(octet));
                let field = |shift: u32, len: u32| bits >> shift & ((1 << len) - 1);
                let [.., zone] = octets;
                let zone = match char::from(zone) {
                    zone if zone.is_ascii_uppercase() => zone.to_string(),
                    _ => String::new(),
                };
                Some(format!(
                    "{:04}{:02}{:02}T{:02}{:02}{:02}{zone}",
                    field(34, 12),
                    field(30, 4),
                    field(25, 5),
                    field(20, 5),
                    field(14, 6),
                    field(8, 6),
                ))
            }
        }
    }

    /// The octets of a text; `None` if the text is not of this form, and so travels as text.
    #[must_use]
    pub fn octets(self, text: &str) -> Option<Vec<u8>> {
        if !text.is_ascii() {
            return None;
        }
        match self {
            Self::Integer => {
                let value: u64 = text.parse().ok()?;
                let zeros = usize::try_from(value.leading_zeros() / 8).ok()?.min(7);
                value.to_be_bytes().get(zeros..).map(<[u8]>::to_vec)
            }
            Self::DateTime => {
                let (date, time) = text.split_once('T')?;
                let zone = time.get(6..)?.bytes().next().unwrap_or(0);
                let is_whole = date.len() == 8 && time.len() <= 7;
                let number = |digits: Option<&str>, len: u32| {
                    let value: u64 = digits?.parse().ok()?;
                    (value < 1 << len).then_some(value)
                };
                let bits = number(date.get(..4), 12)? << 34
                    | number(date.get(4..6), 4)? << 30
                    | number(date.get(6..8), 5)? << 25
                    | number(time.get(..2), 5)? << 20
                    | number(time.get(2..4), 6)? << 14
                    | number(time.get(4..6), 6)? << 8
                    | u64::from(zone);
                let octets = bits.to_be_bytes().get(2..)?.to_vec();
                // Octets that would give another text are of no use: the text travels itself.
                (is_whole && self.text(&octets).as_deref() == Some(text)).then_some(octets)
            }
        }
    }
}

/// The meaning of white space between elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// White space has no meaning: an element holds elements or text, never both.
    Ignorable,
    /// White space is text.
    Kept,
    /// White space is text, and `$` in text begins a variable (WML).
    Variables,
}

impl Vocabulary {
    /// The tags of a code page; none on an unassigned page.
    #[must_use]
    pub fn tags(&self, page: u8) -> &'static Tags {
        self.pages
            .iter()
            .find(|p| p.number == page)
            .map_or(&NO_TAGS, |p| p.tags)
    }

    /// The namespace of a code page, empty for a page without one.
    #[must_use]
    pub fn namespace(&self, page: u8) -> &'static str {
        self.pages
            .iter()
            .find(|p| p.number == page)
            .map_or("", |p| p.namespace)
    }

    /// The attributes of a code page; none on an unassigned page.
    #[must_use]
    pub fn attributes(&self, page: u8) -> &'static Attributes {
        self.attribute_pages
            .iter()
            .find(|p| p.number == page)
            .map_or(&NO_ATTRIBUTES, |p| p.attributes)
    }

    /// The DTD's default value of an attribute: an encoder may leave out such an attribute (WBXML
    /// 6.3).
    #[must_use]
    pub fn default_value(&self, element: &str, attribute: &str) -> Option<&'static str> {
        let row = self
            .defaults
            .iter()
            .find(|row| (row.0, row.1) == (element, attribute));
        row.map(|row| row.2)
    }

    /// The text of extension token `number` with this value, if the document type has given it one.
    #[must_use]
    pub fn extension(&self, number: u8, value: u32) -> Option<&'static str> {
        let extensions = self.extensions;
        let at = extensions.binary_search_by_key(&value, |(value, _)| *value);
        let found = extensions.get(at.ok()?).filter(|_| number == 0);
        found.map(|(_, text)| *text)
    }

    /// The meaning of binary data in the element of this name.
    #[must_use]
    pub fn opaque(&self, element: &str) -> Option<Opaque> {
        let row = self.opaques.iter().find(|(name, _)| *name == element);
        row.map(|(_, opaque)| *opaque)
    }

    /// Whether documents name this type, by a number or a public identifier. Documents of the other
    /// types are recognised by their first elements. The unknown type needs no name.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.number > 1 || !self.public_id.is_empty() || self.root.is_empty()
    }

    /// Whether documents of this type stand inside the Data of a SyncML message.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        matches!(self.root, "DevInf" | "MgmtTree")
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

/// The names of one tag code page: an array from token to name, and a small hash table from name to
/// token. The compiler makes both.
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

/// Slots of the hash table. A page has fewer tags, so that a search always meets an empty slot.
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

    /// The attribute start token with the longest beginning of this value.
    pub(super) fn longest_start(&self, name: &str, value: &str) -> Option<(u8, &'static str)> {
        (0u8..=127)
            .zip(&self.starts)
            .filter_map(|(token, start)| start.map(|(known, prefix)| (token, known, prefix)))
            .filter(|(_, known, prefix)| *known == name && value.starts_with(prefix))
            .max_by_key(|(_, _, prefix)| prefix.len())
            .map(|(token, _, prefix)| (token, prefix))
    }

    /// The value token with the longest beginning of `text`.
    pub(super) fn longest_value(&self, text: &str) -> Option<(u8, &'static str)> {
        (128u8..=255)
            .zip(&self.values)
            .filter(|(_, value)| !value.is_empty() && text.starts_with(**value))
            .max_by_key(|(_, value)| value.len())
            .map(|(token, value)| (token, *value))
    }

    /// Whether the text of any value token begins with this octet: at most places no search is
    /// needed.
    pub(super) fn may_begin_value(&self, octet: u8) -> bool {
        self.begins_value.get(usize::from(octet)) == Some(&true)
    }
}
