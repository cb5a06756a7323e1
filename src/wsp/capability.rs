//! Capability negotiation: the features and sizes of a session (WSP 8.3).
//!
//! The client asks in its Connect ([`Offer`]). The server may lower each value ([`negotiate`]) and
//! sends the result ([`encode_reply`]). A capability missing in the reply would count as accepted,
//! so the reply has every capability that the client named.

use std::fmt;

use crate::codec::{
    DecodeError, Parsed, assigned_numbers, fail, located, octets, put_uintvar, terminated, uint8,
    uintvar, uintvar_of,
};
use crate::wsp::header::{CodePage, Page};

/// The agreed capabilities of a session. An idle session keeps them, so the type is small, and the
/// rare lists are boxed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Octets of the largest SDU to send to the client; 0 is no limit.
    pub client_sdu: u32,
    /// Octets of the largest SDU the client may send; 0 is no limit. See also [`Self::server_mru`].
    pub server_sdu: u32,
    /// Octets of the largest message to send to the client in several SDUs; 0 is no limit.
    pub client_message: u32,
    /// Octets of the largest message the client may send in several SDUs; 0 is no limit.
    pub server_message: u32,
    /// The optional facilities.
    pub options: ProtocolOptions,
    /// Methods the client may have outstanding.
    pub method_mor: u8,
    /// Confirmed pushes the server may have outstanding.
    pub push_mor: u8,
    /// Whether the client named its Server-SDU-Size.
    server_sdu_named: bool,
    lists: Option<Box<Lists>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Lists {
    methods: Vec<ExtendedMethod>,
    pages: Vec<CodePage>,
    aliases: Box<[u8]>,
}

/// A method beyond HTTP's and the PDU type it has in this session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedMethod {
    /// 0x50-0x5F without a body, 0x70-0x7F with one.
    pub code: u8,
    /// The HTTP method; always a token.
    pub name: Box<str>,
}

/// The optional facilities of a session (WSP 8.3.2.3).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ProtocolOptions(pub u8);

impl ProtocolOptions {
    /// Pushes that the client confirms.
    pub const CONFIRMED_PUSH: Self = Self(0x80);
    /// Pushes that it does not.
    pub const PUSH: Self = Self(0x40);
    /// Suspend and Resume.
    pub const SESSION_RESUME: Self = Self(0x20);
    /// Fields in the acknowledgement of a result or a push.
    pub const ACKNOWLEDGEMENT_HEADERS: Self = Self(0x10);
    /// Messages in several SDUs.
    pub const LARGE_DATA: Self = Self(0x08);
    /// Every facility there is.
    pub const ALL: Self = Self(0xF8);

    /// Whether all of `options` are on.
    #[must_use]
    pub const fn has(self, options: Self) -> bool {
        self.0 & options.0 == options.0
    }

    /// Those of either.
    #[must_use]
    pub const fn with(self, options: Self) -> Self {
        Self(self.0 | options.0)
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, options: Self) -> Self {
        Self(self.0 & options.0)
    }
}

impl fmt::Display for ProtocolOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (option, name) in [
            (Self::CONFIRMED_PUSH, "confirmed push"),
            (Self::PUSH, "push"),
            (Self::SESSION_RESUME, "session resume"),
            (Self::ACKNOWLEDGEMENT_HEADERS, "acknowledgement headers"),
            (Self::LARGE_DATA, "large data transfer"),
        ] {
            if self.has(option) {
                write!(f, "{separator}{name}")?;
                separator = ", ";
            }
        }
        if separator.is_empty() {
            f.write_str("none")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ProtocolOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The size of an SDU or message without a capability for it (WSP 8.3.3).
pub const DEFAULT_SIZE: u32 = 1400;
/// Outstanding requests or pushes without a capability for them.
pub const DEFAULT_MOR: u8 = 1;

impl Default for Capabilities {
    /// The settings of a session whose client named no capability (WSP 8.3.3).
    fn default() -> Self {
        Self {
            client_sdu: DEFAULT_SIZE,
            server_sdu: DEFAULT_SIZE,
            client_message: DEFAULT_SIZE,
            server_message: DEFAULT_SIZE,
            options: ProtocolOptions(0),
            method_mor: DEFAULT_MOR,
            push_mor: DEFAULT_MOR,
            server_sdu_named: false,
            lists: None,
        }
    }
}

impl Capabilities {
    /// The size above which a request violates the agreement. `None` if there is no limit or the
    /// client named no size: many such clients send more than the default, and only the hard cap
    /// limits them.
    #[must_use]
    pub fn server_mru(&self) -> Option<u32> {
        Some(self.server_sdu).filter(|size| self.server_sdu_named && *size > 0)
    }

    /// The methods beyond HTTP's that were accepted.
    #[must_use]
    pub fn extended_methods(&self) -> &[ExtendedMethod] {
        self.lists.as_ref().map_or(&[], |lists| &lists.methods)
    }

    /// The extended method of a PDU type.
    #[must_use]
    pub fn extended_method(&self, code: u8) -> Option<&str> {
        let methods = self.extended_methods();
        methods
            .iter()
            .find(|method| method.code == code)
            .map(|method| &*method.name)
    }

    /// The header code pages in use.
    #[must_use]
    pub fn code_pages(&self) -> &[CodePage] {
        self.lists.as_ref().map_or(&[], |lists| &lists.pages)
    }

    /// Where else the peer can be reached; see [`super::pdu::addresses`].
    #[must_use]
    pub fn aliases(&self) -> &[u8] {
        self.lists.as_ref().map_or(&[], |lists| &lists.aliases)
    }

    /// The same, asking for these methods too (a client's side).
    #[must_use]
    pub fn with_extended_methods(mut self, methods: Vec<ExtendedMethod>) -> Self {
        self.lists.get_or_insert_default().methods = methods;
        self
    }

    /// The same, asking for these pages too (a client's side).
    #[must_use]
    pub fn with_code_pages(mut self, pages: Vec<CodePage>) -> Self {
        self.lists.get_or_insert_default().pages = pages;
        self
    }

    /// The same, with other addresses of ours (a client's side).
    #[must_use]
    pub fn with_aliases(mut self, aliases: &[u8]) -> Self {
        self.lists.get_or_insert_default().aliases = aliases.into();
        self
    }

    /// The same, with a Client-SDU-Size.
    #[must_use]
    pub const fn with_client_sdu(mut self, size: u32) -> Self {
        self.client_sdu = size;
        self
    }

    /// The same, with a Server-SDU-Size that counts as named.
    #[must_use]
    pub const fn with_server_sdu(mut self, size: u32) -> Self {
        self.server_sdu = size;
        self.server_sdu_named = true;
        self
    }
}

/// The most that we accept. Each is an upper bound; the client's wish is the other one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Octets of the largest SDU to send; 0 is no limit.
    pub client_sdu: u32,
    /// Octets of the largest SDU to receive; 0 is no limit. Less than 1400 breaks early methods
    /// (8.3.2.1).
    pub server_sdu: u32,
    /// Octets of the largest message to send; 0 is no limit.
    pub client_message: u32,
    /// Octets of the largest message to receive; 0 is no limit.
    pub server_message: u32,
    /// The facilities we offer.
    pub options: ProtocolOptions,
    /// Methods of one session at a time.
    pub method_mor: u8,
    /// Confirmed pushes of one session at a time.
    pub push_mor: u8,
    /// Extended methods to accept, by name.
    pub extended_methods: Vec<Box<str>>,
    /// Whether to accept the header code pages we know.
    pub code_pages: bool,
    /// Our other addresses, as records of [`super::pdu::BearerAddress`]; if empty, none is sent.
    pub aliases: Vec<u8>,
}

assigned_numbers! {
    /// A capability's identifier (WSP table 37).
    pub struct Id(u8) {
        /// The largest SDU the client takes.
        CLIENT_SDU_SIZE = 0x00 => "Client-SDU-Size",
        /// The largest SDU the server takes.
        SERVER_SDU_SIZE = 0x01 => "Server-SDU-Size",
        /// Facilities.
        PROTOCOL_OPTIONS = 0x02 => "Protocol Options",
        /// Methods outstanding.
        METHOD_MOR = 0x03 => "Method-MOR",
        /// Pushes outstanding.
        PUSH_MOR = 0x04 => "Push-MOR",
        /// Methods beyond HTTP's.
        EXTENDED_METHODS = 0x05 => "Extended Methods",
        /// Field numbers beyond the default page.
        HEADER_CODE_PAGES = 0x06 => "Header Code Pages",
        /// Other addresses.
        ALIASES = 0x07 => "Aliases",
        /// The largest message the client takes.
        CLIENT_MESSAGE_SIZE = 0x08 => "Client-Message-Size",
        /// The largest message the server takes.
        SERVER_MESSAGE_SIZE = 0x09 => "Server-Message-Size",
    }
}

/// One capability as it stands in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability<'a> {
    /// The capability, or the octets of an unknown name.
    pub id: Result<Id, &'a [u8]>,
    /// Its parameters, unread.
    pub parameters: &'a [u8],
}

/// The capabilities of a block in order. A length beyond the end of the block is an error, after
/// which the iterator ends.
pub fn capabilities(block: &[u8]) -> impl Iterator<Item = Result<Capability<'_>, DecodeError>> {
    let mut rest = block;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let offset = block.len() - rest.len();
        match located(rest, capability) {
            Ok((after, capability)) => {
                rest = after;
                Some(Ok(capability))
            }
            Err(error) => {
                rest = &[];
                Some(Err(DecodeError {
                    offset: offset + error.offset,
                    ..error
                }))
            }
        }
    })
}

/// The capabilities of a Connect.
///
/// Several instances of one capability are alternatives. The first one is the client's preference
/// and is used, since the server may lower it as far as necessary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offer<'a> {
    block: &'a [u8],
    client_sdu: Option<u32>,
    server_sdu: Option<u32>,
    client_message: Option<u32>,
    server_message: Option<u32>,
    options: Option<ProtocolOptions>,
    method_mor: Option<u8>,
    push_mor: Option<u8>,
    methods: Option<&'a [u8]>,
    pages: Option<&'a [u8]>,
    aliases: Option<&'a [u8]>,
}

impl<'a> Offer<'a> {
    /// Decodes the capability block of a Connect or ConnectReply.
    ///
    /// # Errors
    ///
    /// A length that does not fit, or an invalid size or number: the session must be refused.
    pub fn decode(block: &'a [u8]) -> Result<Self, DecodeError> {
        let mut offer = Self {
            block,
            ..Self::default()
        };
        let mut rest = block;
        while !rest.is_empty() {
            let start = block.len() - rest.len();
            let at = |offset| {
                move |error: DecodeError| DecodeError {
                    offset: offset + error.offset,
                    ..error
                }
            };
            let (after, capability) = located(rest, capability).map_err(at(start))?;
            rest = after;
            if let Ok(id) = capability.id {
                let end = block.len() - rest.len();
                let parameters = capability.parameters;
                offer
                    .take(id, parameters)
                    .map_err(at(end - parameters.len()))?;
            }
        }
        Ok(offer)
    }

    fn take(&mut self, id: Id, parameters: &'a [u8]) -> Result<(), DecodeError> {
        let size = || located(parameters, uintvar).map(|(_, size)| size);
        let number = || located(parameters, uint8).map(|(_, number)| number);
        match id {
            Id::CLIENT_SDU_SIZE => first(&mut self.client_sdu, size()?),
            Id::SERVER_SDU_SIZE => first(&mut self.server_sdu, size()?),
            Id::CLIENT_MESSAGE_SIZE => first(&mut self.client_message, size()?),
            Id::SERVER_MESSAGE_SIZE => first(&mut self.server_message, size()?),
            // Octets after the first hold flags of versions that never came.
            Id::PROTOCOL_OPTIONS => first(&mut self.options, ProtocolOptions(number()?)),
            Id::METHOD_MOR => first(&mut self.method_mor, number()?),
            Id::PUSH_MOR => first(&mut self.push_mor, number()?),
            Id::EXTENDED_METHODS => first(&mut self.methods, parameters),
            Id::HEADER_CODE_PAGES => first(&mut self.pages, parameters),
            Id::ALIASES => first(&mut self.aliases, parameters),
            _ => {}
        }
        Ok(())
    }

    /// The sizes, numbers and flags named, or the default where one was not.
    fn integers(&self) -> Capabilities {
        Capabilities {
            client_sdu: usable(self.client_sdu),
            server_sdu: usable(self.server_sdu),
            client_message: usable(self.client_message),
            server_message: usable(self.server_message),
            options: self.options.unwrap_or_default().and(ProtocolOptions::ALL),
            method_mor: self.method_mor.unwrap_or(DEFAULT_MOR),
            push_mor: self.push_mor.unwrap_or(DEFAULT_MOR),
            server_sdu_named: self.server_sdu.is_some(),
            lists: None,
        }
    }
}

/// A size that a client names. One that is too small for any reply or request counts as the
/// default: a client that sent 3 octets meant another number.
fn usable(size: Option<u32>) -> u32 {
    match size {
        None | Some(1..SMALLEST) => DEFAULT_SIZE,
        Some(size) => size,
    }
}

/// Octets of a reply with a status, one header field and a line of text, or of a request with a
/// short URI.
const SMALLEST: u32 = 32;

fn first<T>(setting: &mut Option<T>, value: T) {
    setting.get_or_insert(value);
}

/// Agrees on the lesser of the client's values and ours.
#[must_use]
pub fn negotiate(offer: &Offer<'_>, limits: &ServerLimits) -> Capabilities {
    let asked = offer.integers();
    let methods: Vec<_> = assignments(offer.methods.unwrap_or_default())
        .filter_map(|(code, name)| {
            let mut known = limits.extended_methods.iter();
            let known = known.find(|known| known.as_bytes() == name)?;
            super::pdu::Method(code)
                .is_extended()
                .then(|| ExtendedMethod {
                    code,
                    name: known.clone(),
                })
        })
        .take(MAX_ASSIGNMENTS)
        .collect();
    let pages: Vec<_> = assignments(offer.pages.unwrap_or_default())
        .filter(|_| limits.code_pages)
        .filter(|(code, _)| APPLICATION_PAGES.contains(code))
        .filter_map(|(code, name)| {
            let page = Page::find(name)?;
            Some(CodePage { code, page })
        })
        .take(MAX_ASSIGNMENTS)
        .collect();
    let aliases = offer.aliases.unwrap_or_default();
    let lists = Lists {
        methods,
        pages,
        aliases: aliases.into(),
    };
    Capabilities {
        client_sdu: lower(asked.client_sdu, limits.client_sdu),
        server_sdu: lower(asked.server_sdu, limits.server_sdu),
        client_message: lower(asked.client_message, limits.client_message),
        server_message: lower(asked.server_message, limits.server_message),
        options: asked.options.and(limits.options),
        method_mor: asked.method_mor.min(limits.method_mor),
        push_mor: asked.push_mor.min(limits.push_mor),
        server_sdu_named: asked.server_sdu_named,
        lists: (lists != Lists::default()).then(|| Box::new(lists)),
    }
}

/// Code pages of applications; lower numbers are WAP's own (WSP 8.4.1.1).
const APPLICATION_PAGES: std::ops::RangeInclusive<u8> = 16..=127;
/// There are 32 PDU types for extended methods, and no client has that many pages.
const MAX_ASSIGNMENTS: usize = 32;

/// The lesser of two sizes of which zero is the greatest.
fn lower(a: u32, b: u32) -> u32 {
    match (a, b) {
        (0, size) | (size, 0) => size,
        (a, b) => a.min(b),
    }
}

/// Appends the capability block of a ConnectReply. The block has each capability that the client
/// named, with the agreed value. A capability that the client did not name is included only where
/// we accept less than the default. An unknown capability is included without parameters, which
/// means that it is unknown.
pub fn encode_reply(
    offer: &Offer<'_>,
    agreed: &Capabilities,
    limits: &ServerLimits,
    out: &mut Vec<u8>,
) {
    let sizes = [
        (Id::CLIENT_SDU_SIZE, offer.client_sdu, agreed.client_sdu),
        (Id::SERVER_SDU_SIZE, offer.server_sdu, agreed.server_sdu),
    ];
    for (id, named, size) in sizes {
        if named.is_some() || size != DEFAULT_SIZE {
            put_size(out, id, size);
        }
    }
    if offer.options.is_some() {
        put(out, &octet_of(Id::PROTOCOL_OPTIONS), &[agreed.options.0]);
    }
    let numbers = [
        (Id::METHOD_MOR, offer.method_mor, agreed.method_mor),
        (Id::PUSH_MOR, offer.push_mor, agreed.push_mor),
    ];
    for (id, named, number) in numbers {
        if named.is_some() || number != DEFAULT_MOR {
            put(out, &octet_of(id), &[number]);
        }
    }
    if offer.methods.is_some() {
        let codes: Vec<_> = agreed
            .extended_methods()
            .iter()
            .map(|method| method.code)
            .collect();
        put(out, &octet_of(Id::EXTENDED_METHODS), &codes);
    }
    if offer.pages.is_some() {
        let codes: Vec<_> = agreed.code_pages().iter().map(|page| page.code).collect();
        put(out, &octet_of(Id::HEADER_CODE_PAGES), &codes);
    }
    // A client that sends its own addresses understands ours.
    if offer.aliases.is_some() && !limits.aliases.is_empty() {
        put(out, &octet_of(Id::ALIASES), &limits.aliases);
    }
    // Older clients do not know message sizes.
    let sizes = [
        (
            Id::CLIENT_MESSAGE_SIZE,
            offer.client_message,
            agreed.client_message,
        ),
        (
            Id::SERVER_MESSAGE_SIZE,
            offer.server_message,
            agreed.server_message,
        ),
    ];
    for (id, named, size) in sizes {
        if named.is_some() {
            put_size(out, id, size);
        }
    }
    for capability in capabilities(offer.block).flatten() {
        if let Err(unknown) = capability.id {
            put(out, unknown, &[]);
        }
    }
}

/// Appends the capability block of a Connect: the values that differ from the defaults (client
/// side).
pub fn encode_request(wanted: &Capabilities, out: &mut Vec<u8>) {
    let default = Capabilities::default();
    let sizes = [
        (Id::CLIENT_SDU_SIZE, wanted.client_sdu, default.client_sdu),
        (
            Id::CLIENT_MESSAGE_SIZE,
            wanted.client_message,
            default.client_message,
        ),
        (
            Id::SERVER_MESSAGE_SIZE,
            wanted.server_message,
            default.server_message,
        ),
    ];
    for (id, size, default) in sizes {
        if size != default {
            put_size(out, id, size);
        }
    }
    if wanted.server_sdu_named || wanted.server_sdu != default.server_sdu {
        put_size(out, Id::SERVER_SDU_SIZE, wanted.server_sdu);
    }
    if wanted.options != default.options {
        put(out, &octet_of(Id::PROTOCOL_OPTIONS), &[wanted.options.0]);
    }
    if wanted.method_mor != default.method_mor {
        put(out, &octet_of(Id::METHOD_MOR), &[wanted.method_mor]);
    }
    if wanted.push_mor != default.push_mor {
        put(out, &octet_of(Id::PUSH_MOR), &[wanted.push_mor]);
    }
    let methods = wanted
        .extended_methods()
        .iter()
        .map(|m| (m.code, m.name.as_bytes()));
    put_assignments(out, Id::EXTENDED_METHODS, methods);
    let pages = wanted
        .code_pages()
        .iter()
        .map(|p| (p.code, p.page.name.as_bytes()));
    put_assignments(out, Id::HEADER_CODE_PAGES, pages);
    if !wanted.aliases().is_empty() {
        put(out, &octet_of(Id::ALIASES), wanted.aliases());
    }
}

/// Decodes the block of a ConnectReply into the agreed part of `wanted` (client side). A capability
/// missing in the block is accepted as wanted.
///
/// # Errors
///
/// See [`Offer::decode`].
pub fn decode_reply(wanted: &Capabilities, block: &[u8]) -> Result<Capabilities, DecodeError> {
    let reply = Offer::decode(block)?;
    let mut agreed = wanted.clone();
    let set = |setting: &mut u32, value: Option<u32>| *setting = value.unwrap_or(*setting);
    set(&mut agreed.client_sdu, reply.client_sdu);
    set(&mut agreed.server_sdu, reply.server_sdu);
    set(&mut agreed.client_message, reply.client_message);
    set(&mut agreed.server_message, reply.server_message);
    agreed.options = reply.options.unwrap_or(agreed.options);
    agreed.method_mor = reply.method_mor.unwrap_or(agreed.method_mor);
    agreed.push_mor = reply.push_mor.unwrap_or(agreed.push_mor);
    if let Some(lists) = &mut agreed.lists {
        if let Some(codes) = reply.methods {
            lists.methods.retain(|method| codes.contains(&method.code));
        }
        if let Some(codes) = reply.pages {
            lists.pages.retain(|page| codes.contains(&page.code));
        }
        lists.aliases = reply.aliases.unwrap_or_default().into();
    } else if let Some(aliases) = reply.aliases {
        agreed.lists.get_or_insert_default().aliases = aliases.into();
    }
    Ok(agreed)
}

/// Pairs of a code and a name from the client; the first malformed one ends the iteration.
pub fn assignments(mut list: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (rest, code) = uint8(list).ok()?;
        let (rest, name) = terminated(rest).ok()?;
        list = rest;
        Some((code, name))
    })
}

fn capability(input: &[u8]) -> Parsed<'_, Capability<'_>> {
    let (rest, len) = uintvar(input)?;
    let (rest, content) = octets(usize::try_from(len).unwrap_or(usize::MAX))(rest)?;
    let (parameters, id) = identifier(content)?;
    Ok((rest, Capability { id, parameters }))
}

/// A Short-integer or a name, as a field has it.
fn identifier(input: &[u8]) -> Parsed<'_, Result<Id, &[u8]>> {
    let (rest, first) = uint8(input).map_err(|_| fail(input, "a capability identifier"))?;
    let (rest, known) = if first >= 0x80 {
        let id = Id(first & 0x7F);
        (rest, id.name().map(|_| id))
    } else {
        let (rest, name) = terminated(input)?;
        (rest, named(name))
    };
    let (octets, _) = input
        .split_at_checked(input.len() - rest.len())
        .unwrap_or((input, &[]));
    Ok((rest, known.ok_or(octets)))
}

fn named(name: &[u8]) -> Option<Id> {
    // The table writes some names with blanks, which no token has; a client must write something
    // else.
    let same = |known: &str| {
        known.len() == name.len()
            && known
                .bytes()
                .zip(name)
                .all(|(a, &b)| a.eq_ignore_ascii_case(&b) || a == b' ' && b == b'-')
    };
    (0..=9).map(Id).find(|id| id.name().is_some_and(same))
}

/// A known identifier on the wire.
const fn octet_of(id: Id) -> [u8; 1] {
    [id.0 | 0x80]
}

fn put(out: &mut Vec<u8>, id: &[u8], parameters: &[u8]) {
    put_uintvar(out, uintvar_of(id.len() + parameters.len()));
    out.extend_from_slice(id);
    out.extend_from_slice(parameters);
}

fn put_size(out: &mut Vec<u8>, id: Id, size: u32) {
    let mut parameters = Vec::with_capacity(5);
    put_uintvar(&mut parameters, size);
    put(out, &octet_of(id), &parameters);
}

fn put_assignments<'a>(out: &mut Vec<u8>, id: Id, list: impl Iterator<Item = (u8, &'a [u8])>) {
    let mut parameters = Vec::new();
    for (code, name) in list {
        parameters.push(code);
        parameters.extend_from_slice(name);
        parameters.push(0);
    }
    if !parameters.is_empty() {
        put(out, &octet_of(id), &parameters);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wsp::header::X_UP_1;

    fn limits() -> ServerLimits {
        ServerLimits {
            client_sdu: 8000,
            server_sdu: 4000,
            client_message: 0,
            server_message: 100_000,
            options: ProtocolOptions::SESSION_RESUME.with(ProtocolOptions::PUSH),
            method_mor: 4,
            push_mor: 2,
            extended_methods: vec!["PROPFIND".into()],
            code_pages: true,
            aliases: Vec::new(),
        }
    }

    fn agree(block: &[u8]) -> (Capabilities, Vec<u8>) {
        let offer = Offer::decode(block).unwrap();
        let agreed = negotiate(&offer, &limits());
        let mut reply = Vec::new();
        encode_reply(&offer, &agreed, &limits(), &mut reply);
        (agreed, reply)
    }

    #[test]
    fn a_client_sdu_that_fits_no_reply_counts_as_the_default() {
        for (named, agreed) in [(1, 1_400), (3, 1_400), (31, 1_400), (32, 32), (0, 0)] {
            let offer = Offer {
                client_sdu: Some(named),
                client_message: Some(named),
                ..Offer::default()
            };
            let asked = offer.integers();
            assert_eq!((asked.client_sdu, asked.client_message), (agreed, agreed));
        }
    }

    #[test]
    fn a_client_that_names_nothing_gets_the_defaults() {
        let (agreed, reply) = agree(b"");
        assert_eq!(agreed, Capabilities::default());
        assert_eq!(agreed.server_mru(), None);
        assert_eq!(reply, b"");
    }

    #[test]
    fn a_size_that_nothing_fits_into_counts_as_the_default() {
        for (octets, counts) in [(3, DEFAULT_SIZE), (31, DEFAULT_SIZE), (32, 32)] {
            let block = [2, 0x80, octets, 2, 0x81, octets];
            let (agreed, reply) = agree(&block);
            assert_eq!((agreed.client_sdu, agreed.server_sdu), (counts, counts));
            let size: &[u8] = if counts == 32 {
                &[2, 0x80, 32]
            } else {
                &[3, 0x80, 0x8A, 0x78]
            };
            assert!(reply.starts_with(size));
        }
    }

    #[test]
    fn what_the_client_names_is_answered_and_lowered() {
        // 8.3: sizes 65535 and none, all options, MORs of 10 and 1.
        let (agreed, reply) =
            agree(b"\x04\x80\x83\xFF\x7F\x02\x81\x00\x02\x82\xF8\x02\x83\x0A\x02\x84\x01");
        assert_eq!(agreed.client_sdu, 8000);
        assert_eq!(agreed.server_mru(), Some(4000));
        assert_eq!(agreed.options, ProtocolOptions(0x60));
        assert_eq!((agreed.method_mor, agreed.push_mor), (4, 1));
        assert_eq!(
            reply,
            b"\x03\x80\xBE\x40\x03\x81\x9F\x20\x02\x82\x60\x02\x83\x04\x02\x84\x01"
        );
    }

    #[test]
    fn lists_are_accepted_in_part_and_always_answered() {
        let block = [
            &b"\x0E\x85\x50PROPFIND\0\x70X\0"[..],
            b"\x09\x86\x10x-up-1\0",
        ]
        .concat();
        let (agreed, reply) = agree(&block);
        assert_eq!(agreed.extended_method(0x50), Some("PROPFIND"));
        assert_eq!(agreed.extended_method(0x70), None);
        assert_eq!(
            agreed.code_pages(),
            [CodePage {
                code: 0x10,
                page: &X_UP_1
            }]
        );
        assert_eq!(reply, b"\x02\x85\x50\x02\x86\x10");
        // An empty list is sent too: without it the client would take all as accepted.
        let (_, reply) = agree(b"\x04\x85\x70X\0\x05\x86\x10xx\0");
        assert_eq!(reply, b"\x01\x85\x01\x86");
    }

    #[test]
    fn an_unknown_capability_comes_back_empty() {
        let (agreed, reply) = agree(b"\x03\x8A\x01\x02\x08x-mine\0\x05\x02\x83\x02");
        assert_eq!(agreed.method_mor, 2);
        assert_eq!(reply, b"\x02\x83\x02\x01\x8A\x07x-mine\0");
    }

    #[test]
    fn a_capability_may_be_named_in_text() {
        let (agreed, reply) = agree(b"\x0Cmethod-mor\0\x03");
        assert_eq!(agreed.method_mor, 3);
        assert_eq!(reply, b"\x02\x83\x03");
        let (agreed, _) = agree(b"\x12Protocol-Options\0\x20");
        assert_eq!(agreed.options, ProtocolOptions::SESSION_RESUME);
    }

    #[test]
    fn the_first_of_several_instances_is_preferred() {
        let (agreed, _) = agree(b"\x02\x83\x02\x02\x83\x03");
        assert_eq!(agreed.method_mor, 2);
    }

    #[test]
    fn a_broken_block_says_where() {
        let error = |block| Offer::decode(block).unwrap_err().offset;
        assert_eq!(error(b"\x02\x83\x01\x01\x80"), 5);
        assert_eq!(error(b"\x05\x80"), 1);
        assert_eq!(error(b"\x00"), 1);
        assert_eq!(error(b"\x02\x83\x01\x07\x80\x90\x80\x80\x80\x80\x01"), 5);
    }

    #[test]
    fn an_idle_session_keeps_little() {
        assert!(size_of::<Capabilities>() <= 32);
    }

    proptest! {
        #[test]
        fn a_client_learns_what_the_server_agreed_to(
            client_sdu: u32, server_sdu: u32, client_message: u32, server_message: u32,
            options: u8, method_mor: u8, push_mor: u8, page in 16..=127u8,
        ) {
            let wanted = Capabilities {
                client_sdu, client_message, server_message, method_mor, push_mor,
                options: ProtocolOptions(options & 0xF8),
                ..Capabilities::default()
            }
            .with_server_sdu(server_sdu)
            .with_code_pages(vec![CodePage { code: page, page: &X_UP_1 }])
            .with_extended_methods(vec![ExtendedMethod { code: 0x51, name: "PROPFIND".into() }]);
            let mut request = Vec::new();
            encode_request(&wanted, &mut request);
            let offer = Offer::decode(&request).unwrap();
            let agreed = negotiate(&offer, &limits());
            let mut reply = Vec::new();
            encode_reply(&offer, &agreed, &limits(), &mut reply);
            prop_assert_eq!(decode_reply(&wanted, &reply).unwrap(), agreed.clone());
            prop_assert!(agreed.client_sdu > 0 && agreed.client_sdu <= limits().client_sdu);
            prop_assert!(wanted.options.has(agreed.options));
        }

        #[test]
        fn any_block_is_read_or_refused(block: Vec<u8>) {
            capabilities(&block).count();
            if let Ok(offer) = Offer::decode(&block) {
                let agreed = negotiate(&offer, &limits());
                let mut reply = Vec::new();
                encode_reply(&offer, &agreed, &limits(), &mut reply);
                prop_assert!(Offer::decode(&reply).is_ok());
                prop_assert!(reply.len() <= block.len() + 12);
            }
        }
    }
}
