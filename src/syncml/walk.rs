//! Walks through the elements of a message in either notation, without copies.

use std::borrow::Cow;

use crate::syncml::Encoding;
use crate::syncml::scan::{Scan, Token};
use crate::syncml::tokens::{self, Tokens};
use crate::wbxml::Charset;

/// The elements that the gateway needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    SyncMl,
    SyncHdr,
    SyncBody,
    VerDtd,
    VerProto,
    SessionId,
    MsgId,
    Target,
    Source,
    LocUri,
    RespUri,
    Cred,
    Chal,
    Meta,
    Type,
    MaxMsgSize,
    MaxObjSize,
    Alert,
    Status,
    Data,
    /// A command with an effect: Add, Replace, Sync and so on.
    Command,
    Final,
    MoreData,
    Other,
}

/// One step.
#[derive(Clone, Debug)]
pub(super) enum Step<'a> {
    Start(Element),
    End,
    Text(Text<'a>),
}

/// Undecoded text. The caller decodes it on demand.
#[derive(Clone, Debug)]
pub(super) enum Text<'a> {
    Octets(&'a [u8], Charset),
    Read(Cow<'a, str>),
}

impl<'a> Text<'a> {
    /// The decoded text; `None` if the octets are invalid in the message's charset.
    pub(super) fn read(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Octets(octets, charset) => charset.decode(octets),
            Self::Read(text) => Some(text),
        }
    }
}

/// A walk through a message.
pub(super) enum Walk<'a> {
    Wbxml(Tokens<'a>),
    Xml(Scan<'a>),
}

impl<'a> Walk<'a> {
    /// Starts a walk. Of an XML message the walk covers the first `window` octets. `None` if the
    /// octets are no message.
    pub(super) fn new(message: &'a [u8], window: usize) -> Option<Self> {
        match Encoding::of(message)? {
            Encoding::Wbxml => Tokens::new(message).map(Self::Wbxml),
            Encoding::Xml => {
                let part = message.get(..window).unwrap_or(message);
                Some(Self::Xml(Scan::new(part)))
            }
        }
    }

    /// Where in the message the walk is.
    pub(super) fn offset(&self) -> usize {
        match self {
            Self::Wbxml(tokens) => tokens.offset(),
            Self::Xml(scan) => scan.offset(),
        }
    }

    /// Whether ASCII text is written in the message as it is.
    pub(super) fn writes_ascii(&self) -> bool {
        match self {
            Self::Wbxml(tokens) => {
                tokens.charset().decode(b"http://x").as_deref() == Some("http://x")
            }
            Self::Xml(_) => true,
        }
    }

    /// The next step. `None` at the end, or where the message is malformed.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Step<'a>> {
        match self {
            Self::Wbxml(scan) => scan.next().map(|token| match token {
                tokens::Token::Start(page, number) => Step::Start(by_token(page, number)),
                tokens::Token::End => Step::End,
                tokens::Token::Text(octets) => Step::Text(Text::Octets(octets, scan.charset())),
                tokens::Token::Entity(character) => {
                    Step::Text(Text::Read(character.to_string().into()))
                }
            }),
            Self::Xml(scan) => scan.next().map(|token| match token {
                Token::Start(name) => Step::Start(by_name(name)),
                Token::End => Step::End,
                Token::Text(text) => Step::Text(Text::Read(text)),
            }),
        }
    }
}

/// The element of a token. Those of the SyncML page are looked up in a table, as nearly all are.
#[inline(always)]
pub(super) fn by_token(page: u8, token: u8) -> Element {
    match page {
        0 => PAGE_0
            .get(usize::from(token))
            .copied()
            .unwrap_or(Element::Other),
        _ => assigned(page, token),
    }
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const PAGE_0: [Element; 64] = {
    let mut elements = [Element::Other; 64];
    let mut token = 0;
    while token < 64 {
        elements[token as usize] = assigned(0, token);
        token += 1;
    }
    elements
};

const fn assigned(page: u8, token: u8) -> Element {
    match (page, token) {
        (0, 0x2D) => Element::SyncMl,
        (0, 0x2C) => Element::SyncHdr,
        (0, 0x2B) => Element::SyncBody,
        (0, 0x31) => Element::VerDtd,
        (0, 0x32) => Element::VerProto,
        (0, 0x25) => Element::SessionId,
        (0, 0x1B) => Element::MsgId,
        (0, 0x2E) => Element::Target,
        (0, 0x27) => Element::Source,
        (0, 0x17) => Element::LocUri,
        (0, 0x21) => Element::RespUri,
        (0, 0x0E) => Element::Cred,
        (0, 0x09) => Element::Chal,
        (0, 0x1A) => Element::Meta,
        (1, 0x13) => Element::Type,
        (1, 0x0C) => Element::MaxMsgSize,
        (1, 0x15) => Element::MaxObjSize,
        (0, 0x06) => Element::Alert,
        (0, 0x29) => Element::Status,
        (0, 0x0F) => Element::Data,
        (0, 0x12) => Element::Final,
        (0, 0x34) => Element::MoreData,
        (
            0,
            0x05 | 0x08 | 0x0D | 0x10 | 0x11 | 0x13 | 0x18 | 0x1F | 0x20 | 0x22 | 0x23 | 0x24
            | 0x2A | 0x3B,
        ) => Element::Command,
        _ => Element::Other,
    }
}

#[inline]
pub(super) fn by_name(name: &[u8]) -> Element {
    let colon = name.iter().position(|&octet| octet == b':');
    match colon
        .and_then(|colon| name.get(colon + 1..))
        .unwrap_or(name)
    {
        b"SyncML" => Element::SyncMl,
        b"SyncHdr" => Element::SyncHdr,
        b"SyncBody" => Element::SyncBody,
        b"VerDTD" => Element::VerDtd,
        b"VerProto" => Element::VerProto,
        b"SessionID" => Element::SessionId,
        b"MsgID" => Element::MsgId,
        b"Target" => Element::Target,
        b"Source" => Element::Source,
        b"LocURI" => Element::LocUri,
        b"RespURI" => Element::RespUri,
        b"Cred" => Element::Cred,
        b"Chal" => Element::Chal,
        b"Meta" => Element::Meta,
        b"Type" => Element::Type,
        b"MaxMsgSize" => Element::MaxMsgSize,
        b"MaxObjSize" => Element::MaxObjSize,
        b"Alert" => Element::Alert,
        b"Status" => Element::Status,
        b"Data" => Element::Data,
        b"Final" => Element::Final,
        b"MoreData" => Element::MoreData,
        b"Add" | b"Atomic" | b"Copy" | b"Delete" | b"Exec" | b"Get" | b"Map" | b"Put"
        | b"Replace" | b"Results" | b"Search" | b"Sequence" | b"Sync" | b"Move" => Element::Command,
        _ => Element::Other,
    }
}
