//! The events of a document: a decoder returns them, an encoder takes them.

/// One step through a document.
///
/// An element is `Start`, then its attributes up to `EndAttributes` if it has any, then its content
/// up to `End` if it has `content`. The value of an attribute is the `Value`, `Text`, `Entity`,
/// `Opaque` and `Extension` events before the next `Attribute` or `EndAttributes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// An element begins.
    Start {
        /// Its tag.
        tag: Tag<'a>,
        /// Whether a list of attributes follows.
        attributes: bool,
        /// Whether content and an `End` follow.
        content: bool,
    },
    /// The innermost element with content ends.
    End(Tag<'a>),
    /// An attribute begins.
    Attribute(AttributeName<'a>),
    /// The list of attributes ends.
    EndAttributes,
    /// A processing instruction with this target. Its value follows, up to `EndPi`.
    Pi(AttributeName<'a>),
    /// The processing instruction ends.
    EndPi,
    /// An attribute value token, with its text if it is an assigned one.
    Value(u8, Option<&'static str>),
    /// Characters, in the charset of the document.
    Text(&'a [u8]),
    /// One character by its number.
    Entity(char),
    /// Octets whose meaning is the application's.
    Opaque(&'a [u8]),
    /// A token whose meaning is the document type's.
    Extension(Extension<'a>),
}

impl Event<'_> {
    /// Whether this is character data in any form: text, a character, opaque data, an extension.
    #[must_use]
    pub fn is_character_data(&self) -> bool {
        matches!(
            self,
            Self::Value(..)
                | Self::Text(_)
                | Self::Entity(_)
                | Self::Opaque(_)
                | Self::Extension(_)
        )
    }
}

/// A tag or attribute name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// From the tables.
    Assigned(&'static str),
    /// From the document's string table, in its charset.
    Literal(&'a [u8]),
    /// A token without a name on its page.
    Unassigned,
}

/// A tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag<'a> {
    /// The code page in force.
    pub page: u8,
    /// The lower six bits; 4 for a literal.
    pub token: u8,
    /// Its name.
    pub name: Name<'a>,
}

/// An attribute start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttributeName<'a> {
    /// The code page in force.
    pub page: u8,
    /// The token; 4 for a literal.
    pub token: u8,
    /// Its name.
    pub name: Name<'a>,
    /// The beginning of its value.
    pub prefix: &'static str,
}

/// A document type's own token, 0 to 2 in each of three forms (WBXML 5.8.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension<'a> {
    /// With a string.
    Text(u8, &'a [u8]),
    /// With an integer.
    Integer(u8, u32),
    /// Alone.
    Single(u8),
}
