//! The meaning of elements of a SyncML message in which the two notations differ.
//!
//! Both directions of translation use it. It follows the open elements, and knows which text is an
//! item's data, a credential, a type or an announced size, and which Meta is in force.

use super::Announce;

/// The role of an element's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// No special role.
    Plain,
    /// MetInf Type.
    Type,
    /// MetInf Format.
    Format,
    /// MetInf MaxMsgSize.
    MaxMsgSize,
    /// MetInf MaxObjSize.
    MaxObjSize,
    /// MetInf Size.
    Size,
    /// A Meta.
    Meta,
    /// Data of an Item: in WBXML it is OPAQUE.
    ItemData,
    /// Data of a Cred.
    Credential,
    /// An Item.
    Item,
    /// MoreData of an Item.
    MoreData,
}

impl Role {
    /// Whether the whole text of such an element is examined at its end.
    pub(super) fn is_examined(self) -> bool {
        matches!(
            self,
            Self::Type | Self::Format | Self::MaxMsgSize | Self::MaxObjSize | Self::Size
        )
    }
}

/// The statements of a Meta about its Data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) format: Format,
    pub(super) kind: Kind,
    /// The Meta has a Size: the Data is a whole object, or the first chunk of one.
    pub(super) sized: bool,
}

/// MetInf Format, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    #[default]
    Unsaid,
    Base64,
    /// Raw octets, which XML cannot hold.
    Binary,
    Other,
}

/// MetInf Type, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Unsaid,
    /// Device information, itself a document.
    DevInf,
    /// An MD5 digest.
    Md5,
    Other,
}

pub(super) const DEVINF_XML: &[u8] = b"application/vnd.syncml-devinf+xml";
pub(super) const DEVINF_WBXML: &[u8] = b"application/vnd.syncml-devinf+wbxml";
const DDF_XML: &[u8] = b"application/vnd.syncml.dmtnds+xml";
const DDF_WBXML: &[u8] = b"application/vnd.syncml.dmtnds+wbxml";

/// The element that a Meta belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// A command, a Cred or a Chal.
    Command,
    /// An Item, which overrides its command.
    Item,
}

/// Follows the open elements of a SyncML message.
#[derive(Debug, Default)]
pub(super) struct Meaning {
    open: Vec<(u8, u8)>,
    command: Meta,
    item: Meta,
    level: Option<Level>,
}

impl Meaning {
    /// An element begins. `0, 0` stands for one that is not in the tables.
    #[inline]
    pub(super) fn enter(&mut self, page: u8, token: u8) -> Role {
        let parent = self.open.last().copied().unwrap_or_default();
        self.open.push((page, token));
        match (page, token) {
            (METINF, 0x13) => Role::Type,
            (METINF, 0x07) => Role::Format,
            (METINF, 0x0C) => Role::MaxMsgSize,
            (METINF, 0x15) => Role::MaxObjSize,
            (METINF, 0x12) => Role::Size,
            (SYNCML, DATA) if parent == (SYNCML, ITEM) => Role::ItemData,
            (SYNCML, DATA) if parent == (SYNCML, CRED) => Role::Credential,
            (SYNCML, META) => {
                self.level = Some(if parent == (SYNCML, ITEM) {
                    Level::Item
                } else {
                    Level::Command
                });
                *self.meta_mut() = Meta::default();
                Role::Meta
            }
            (SYNCML, MORE_DATA) if parent == (SYNCML, ITEM) => Role::MoreData,
            (SYNCML, ITEM) => {
                self.item = Meta::default();
                Role::Item
            }
            (SYNCML, CRED | CHAL) => {
                self.command = Meta::default();
                Role::Plain
            }
            _ => {
                if matches!(parent, (SYNCML, SYNC_BODY | SYNC | ATOMIC | SEQUENCE)) {
                    self.command = Meta::default();
                }
                Role::Plain
            }
        }
    }

    /// The innermost element ends.
    #[inline]
    pub(super) fn leave(&mut self) {
        self.open.pop();
    }

    /// Takes the whole text of an examined element, in the notation of the source. Returns the text
    /// for the other notation, if it differs.
    pub(super) fn examine(
        &mut self,
        role: Role,
        text: &[u8],
        announce: &Announce,
    ) -> Option<Vec<u8>> {
        let text = text.trim_ascii();
        match role {
            Role::Type => {
                let (kind, other) = match text {
                    b"syncml:auth-md5" => (Kind::Md5, None),
                    _ if text == DEVINF_XML => (Kind::DevInf, Some(DEVINF_WBXML)),
                    _ if text == DEVINF_WBXML => (Kind::DevInf, Some(DEVINF_XML)),
                    _ if text == DDF_XML => (Kind::Other, Some(DDF_WBXML)),
                    _ if text == DDF_WBXML => (Kind::Other, Some(DDF_XML)),
                    _ => (Kind::Other, None),
                };
                self.meta_mut().kind = kind;
                other.map(<[u8]>::to_vec)
            }
            Role::Format => {
                self.meta_mut().format = match text {
                    b"b64" => Format::Base64,
                    b"bin" => Format::Binary,
                    _ => Format::Other,
                };
                None
            }
            Role::MaxMsgSize => announce.message.of(text),
            Role::MaxObjSize => announce.object.of(text),
            Role::Size => {
                self.meta_mut().sized = true;
                None
            }
            Role::Plain
            | Role::Meta
            | Role::ItemData
            | Role::Credential
            | Role::Item
            | Role::MoreData => None,
        }
    }

    /// The Meta in force for the Data that has just begun.
    pub(super) fn effective(&self, role: Role) -> Meta {
        match role {
            Role::ItemData => Meta {
                format: if self.item.format == Format::Unsaid {
                    self.command.format
                } else {
                    self.item.format
                },
                kind: if self.item.kind == Kind::Unsaid {
                    self.command.kind
                } else {
                    self.item.kind
                },
                sized: self.item.sized || self.command.sized,
            },
            _ => self.command,
        }
    }

    /// Whether the innermost Data is that of an Item in a Status or an Alert: readable text, which
    /// peers send as strings.
    pub(super) fn is_remark(&self) -> bool {
        matches!(
            self.open.iter().rev().nth(2),
            Some(&(SYNCML, STATUS | ALERT))
        )
    }

    /// Whether the Meta being read belongs to an MD5 credential in base64.
    pub(super) fn is_digest(&self) -> bool {
        let in_cred = self
            .open
            .iter()
            .rev()
            .take(3)
            .any(|&tag| tag == (SYNCML, CRED));
        in_cred && self.command.format == Format::Base64 && self.command.kind == Kind::Md5
    }

    /// Whether the command's own Meta names a Size.
    pub(super) fn is_command_sized(&self) -> bool {
        self.command.sized
    }

    /// The level whose Meta was read last.
    pub(super) fn level(&self) -> Option<Level> {
        self.level
    }

    fn meta_mut(&mut self) -> &mut Meta {
        match self.level {
            Some(Level::Item) => &mut self.item,
            _ => &mut self.command,
        }
    }
}

const SYNCML: u8 = 0;
const METINF: u8 = 1;
const ALERT: u8 = 0x06;
const ATOMIC: u8 = 0x08;
const CHAL: u8 = 0x09;
const CRED: u8 = 0x0E;
const DATA: u8 = 0x0F;
const ITEM: u8 = 0x14;
const META: u8 = 0x1A;
const MORE_DATA: u8 = 0x34;
const SEQUENCE: u8 = 0x24;
const STATUS: u8 = 0x29;
const SYNC: u8 = 0x2A;
const SYNC_BODY: u8 = 0x2B;
