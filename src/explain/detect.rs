//! Recognises the layer of octets: the layer in which they parse to their end and make sense.
//!
//! Each layer is tried on all octets. A layer is a candidate only if its parser explains every
//! octet without a fault. Candidates are ranked by plausibility, which counts what random octets
//! rarely have: assigned numbers, URIs, media types, a known document type. Octets are recognised
//! if the best candidate is plausible enough and clearly ahead of the next one.

use std::fmt;

use serde::Serialize;

use super::{Explanation, Kind, explain};
use crate::sms::UserDataHeader;
use crate::syncml::notification::Notification;
use crate::wbxml::{Decoder, Event, Name, Options, PublicId};
use crate::wsp::header::decode_content_type;
use crate::wsp::pdu::{self, Method, Type, addresses};
use crate::wsp::status;
use crate::wtp::concat::separate;
use crate::wtp::pdu::{Class, Pdu};
use crate::wtp::{AbortReason, ProviderAbort};

/// The fit of octets to one layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The layer.
    pub kind: Kind,
    /// 0 to 100. 0 if the octets do not parse to their end, or make no sense.
    pub plausibility: u8,
    /// The offset of the first octet that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
    /// The error at this offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.kind)?;
        match (&self.fault, self.offset) {
            (Some(fault), Some(offset)) => write!(f, "at octet {offset}, {fault}"),
            _ if self.plausibility == 0 => f.write_str("parses, but makes no sense"),
            _ => write!(f, "parses, plausibility {} of 100", self.plausibility),
        }
    }
}

/// The layer of `octets`, or `None` if no layer fits, or two fit alike.
#[must_use]
pub fn detect(octets: &[u8]) -> Option<Kind> {
    if super::capture::is_capture(octets) {
        return Some(Kind::Capture);
    }
    let candidates = candidates(octets);
    let (first, others) = candidates.split_first()?;
    let next = others.first().map_or(0, |next| next.plausibility);
    let is_clear = first.plausibility >= RECOGNISED && first.plausibility >= next + LEAD;
    is_clear.then_some(first.kind)
}

/// All layers that datagrams, messages and documents can belong to, the most plausible first.
/// Layers in which something is wrong follow, the one that makes sense for longest first.
#[must_use]
pub fn candidates(octets: &[u8]) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = KINDS
        .iter()
        .map(|kind| {
            let explained = explain(*kind, octets);
            let fault = explained.fault();
            Candidate {
                kind: *kind,
                plausibility: match fault {
                    None if !is_text(octets) => plausibility(*kind, octets, &explained),
                    _ => 0,
                },
                offset: fault.map(|fault| fault.offset),
                fault: fault.map(|fault| fault.meaning.clone()),
            }
        })
        .collect();
    let begins_as_wbxml = begins_as_wbxml(octets);
    candidates.sort_by_key(|candidate| {
        let fault = candidate.offset.unwrap_or(usize::MAX);
        let has_header = candidate.kind == Kind::Wbxml && begins_as_wbxml;
        std::cmp::Reverse((candidate.plausibility, fault, has_header))
    });
    candidates
}

/// The layer to show for octets that were not recognised: a layer that fits without certainty, else
/// the layer whose first error comes last, if that is behind a header's length and behind the first
/// error of any other layer. Text is never taken for a layer.
#[must_use]
pub fn nearest(octets: &[u8]) -> Option<Kind> {
    if is_text(octets) {
        return None;
    }
    let candidates = candidates(octets);
    if let Some(first) = candidates.first().filter(|first| first.plausibility > 0) {
        return Some(first.kind);
    }
    let mut faulty: Vec<(usize, Kind)> = candidates
        .into_iter()
        .filter_map(|candidate| Some((candidate.offset?, candidate.kind)))
        .collect();
    faulty.sort_by_key(|(offset, _)| std::cmp::Reverse(*offset));
    let (offset, kind) = *faulty.first()?;
    let next = faulty.get(1).map_or(0, |(offset, _)| *offset);
    let is_ahead = offset > next || kind == Kind::Wbxml && begins_as_wbxml(octets);
    (offset >= HEADER && is_ahead).then_some(kind)
}

/// Whether octets begin as nearly all WBXML documents do: version 1.1 to 1.3, a public id, UTF-8,
/// and no string table.
fn begins_as_wbxml(octets: &[u8]) -> bool {
    matches!(octets, [1..=3, 1..=0x7F, 0x6A, 0, ..])
}

/// Whether octets are text that somebody typed: printable UTF-8 without controls but white space.
#[must_use]
pub fn is_text(octets: &[u8]) -> bool {
    let is_printable = |character: char| !character.is_control() || "\t\r\n".contains(character);
    std::str::from_utf8(octets).is_ok_and(|text| text.chars().all(is_printable))
}

fn plausibility(kind: Kind, octets: &[u8], explained: &Explanation) -> u8 {
    match kind {
        Kind::Wtp => wtp(octets),
        Kind::Wsp => wsp(octets, explained),
        Kind::WspConnectionless => wsp(octets.get(1..).unwrap_or_default(), explained),
        Kind::Wbxml => wbxml(octets),
        Kind::Notification => notification(octets),
        Kind::Sms => short_message(octets, explained),
        // Recognised by its ports only: encrypted records look like random octets.
        #[cfg(feature = "wtls")]
        Kind::Wtls => 0,
        // A stream, not a datagram: told by `--as` only.
        Kind::Obex => 0,
        Kind::Capture | Kind::Unknown => 0,
    }
}

/// Of several PDUs the least plausible one counts. Concatenation without a gap speaks for WTP.
fn wtp(datagram: &[u8]) -> u8 {
    let pdus: Vec<u8> = separate(datagram).map(transaction).collect();
    let least = pdus.iter().copied().min().unwrap_or(0);
    match (least, pdus.len()) {
        (0, _) | (_, 1) => least,
        _ => (least + 20).min(100),
    }
}

fn transaction(octets: &[u8]) -> u8 {
    match Pdu::decode(octets) {
        Ok(Pdu::Invoke(invoke)) => {
            let data = invoke.packet.data;
            if !invoke.packet.trailer.ends_message() {
                return match data.first().map(|kind| Type(*kind)) {
                    Some(Type(0x40..=0x7F) | Type::CONNECT | Type::PUSH | Type::CONFIRMED_PUSH) => {
                        60
                    }
                    _ => 0,
                };
            }
            let fits = match data.first().map(|kind| Type(*kind)) {
                Some(Type(0x40..=0x7F) | Type::CONNECT | Type::RESUME) => {
                    invoke.class == Class::Two
                }
                Some(Type::CONFIRMED_PUSH) => invoke.class == Class::One,
                Some(Type::PUSH | Type::DISCONNECT | Type::SUSPEND) => invoke.class == Class::Zero,
                _ => false,
            };
            match (fits, message(data)) {
                (false, _) | (_, 0) => 0,
                (true, plausibility) => (plausibility + 10).min(100),
            }
        }
        Ok(Pdu::Result(packet)) => match packet.data.first().map(|kind| Type(*kind)) {
            Some(Type::REPLY | Type::CONNECT_REPLY | Type::REDIRECT) => {
                match (packet.trailer.ends_message(), message(packet.data)) {
                    (true, 0) => 0,
                    (true, plausibility) => (plausibility + 10).min(100),
                    (false, _) => 60,
                }
            }
            _ => 0,
        },
        // Any octets can be a segment: its header alone is too little to recognise it.
        Ok(Pdu::SegmentedInvoke(psn, packet) | Pdu::SegmentedResult(psn, packet)) => {
            match psn > 0 && packet.data.len() >= HEADER {
                true => RECOGNISED / 2,
                false => 0,
            }
        }
        Ok(Pdu::Ack(_)) => 70,
        Ok(Pdu::Nack(nack)) => match nack.missing.is_empty() {
            false => 60,
            true => 45,
        },
        Ok(Pdu::Abort(abort)) => match abort.reason {
            AbortReason::Provider(reason) if reason <= ProviderAbort::CAPTEMPEXCEEDED => 70,
            AbortReason::User(reason) if (0xE0..=0xEA).contains(&reason) => 70,
            _ => 0,
        },
        Err(_) => 0,
    }
}

/// A WSP message by itself, or without the TID of a datagram.
fn wsp(sdu: &[u8], explained: &Explanation) -> u8 {
    match (message(sdu), explained.has_document()) {
        (0, _) => 0,
        (plausibility, true) => (plausibility + 10).min(100),
        (plausibility, false) => plausibility,
    }
}

fn message(sdu: &[u8]) -> u8 {
    let Ok(pdu) = pdu::Pdu::decode(sdu) else {
        return 0;
    };
    match pdu {
        pdu::Pdu::Connect(connect) if connect.version >> 4 == 1 => 85,
        pdu::Pdu::ConnectReply(reply) if reply.session_id > 0 => {
            match reply.capabilities.is_empty() && reply.headers.is_empty() {
                true => 45,
                false => 70,
            }
        }
        pdu::Pdu::Redirect(redirect) if redirect.flags & 0x3F == 0 => {
            let list: Vec<_> = addresses(redirect.addresses).collect();
            match !list.is_empty() && list.iter().all(Result::is_ok) {
                true => 60,
                false => 0,
            }
        }
        pdu::Pdu::Get(get) if is_assigned(get.method) && is_uri(get.uri) => 85,
        pdu::Pdu::Post(post) if is_assigned(post.method) && is_uri(post.uri) => {
            media(post.headers, 85)
        }
        pdu::Pdu::Reply(reply) if status::to_http(reply.status).is_some() => {
            match reply.headers.is_empty() && reply.data.is_empty() {
                true => 60,
                false => media(reply.headers, 80),
            }
        }
        pdu::Pdu::Push(push) | pdu::Pdu::ConfirmedPush(push) => media(push.headers, 80),
        pdu::Pdu::Resume(resume) => match resume.headers.is_empty() {
            true => 45,
            false => 55,
        },
        pdu::Pdu::Disconnect { session_id } | pdu::Pdu::Suspend { session_id } => {
            match session_id {
                0 => 0,
                _ => 45,
            }
        }
        _ => 0,
    }
}

fn is_assigned(method: Method) -> bool {
    method.name().is_some() || method.is_extended()
}

/// The plausibility of an entity, if its headers begin with a media type.
fn media(headers: &[u8], plausibility: u8) -> u8 {
    match decode_content_type(headers) {
        Ok((media, _)) if is_media_type(&media) => plausibility,
        _ => 0,
    }
}

/// Whether text is a media type: a type and a subtype of token characters, perhaps with parameters.
#[must_use]
pub fn is_media_type(media: &str) -> bool {
    let essence = media.split(';').next().unwrap_or_default().trim();
    let is_token = |part: &str| {
        let is_tchar = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$&^_.+-*".contains(&octet);
        !part.is_empty() && part.bytes().all(is_tchar)
    };
    essence
        .split_once('/')
        .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

/// Whether octets look like a URI that a handset asks for: absolute, or a path.
fn is_uri(uri: &[u8]) -> bool {
    let uri = uri.strip_suffix(b"\0").unwrap_or(uri);
    let is_printable = uri
        .iter()
        .all(|octet| octet.is_ascii_graphic() || *octet >= 0x80);
    let has_scheme = uri
        .iter()
        .position(|octet| *octet == b':')
        .is_some_and(|at| {
            let scheme = uri.get(..at).unwrap_or_default();
            scheme.len() > 1 && scheme.iter().all(u8::is_ascii_alphanumeric)
        });
    is_printable && (has_scheme || uri.first() == Some(&b'/'))
}

fn wbxml(document: &[u8]) -> u8 {
    let options = Options::default();
    let Ok(mut decoder) = Decoder::new(document, &options) else {
        return 0;
    };
    let header = *decoder.header();
    let is_known = header.vocabulary(&[]).is_some();
    let (mut elements, mut unassigned) = (0_u32, 0_u32);
    loop {
        match decoder.next() {
            Ok(Some(Event::Start { tag, .. })) => {
                elements += 1;
                unassigned += u32::from(tag.name == Name::Unassigned);
            }
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(_) => return 0,
        }
    }
    match header.public_id {
        _ if elements == 0 => 0,
        _ if is_known && unassigned == 0 => 95,
        _ if is_known => 70,
        PublicId::Literal(name) if !name.is_empty() && is_text(name) => 85,
        // All types that have no number say 1; other numbers are private ones.
        PublicId::Number(1) if header.version >= 1 && (elements > 1 || unassigned == 0) => 75,
        PublicId::Number(_) if header.version >= 1 && elements > 1 => 60,
        // One element in what begins as nearly all documents do.
        PublicId::Number(1) if begins_as_wbxml(document) => 50,
        _ => 0,
    }
}

/// A server's notification of data synchronization or device management, version 1.2.
fn notification(octets: &[u8]) -> u8 {
    match Notification::parse(octets) {
        Ok(notification)
            if matches!(notification.version, 8 | 11 | 12) && !notification.server.is_empty() =>
        {
            80
        }
        _ => 0,
    }
}

/// The user data of a short message: a header with ports, and a datagram or the first part of one.
fn short_message(user_data: &[u8], explained: &Explanation) -> u8 {
    match UserDataHeader::decode(user_data) {
        Ok((header, [_, ..])) if header.ports.is_some() => match explained.has_document() {
            true => 100,
            false => 90,
        },
        _ => 0,
    }
}

/// The layers to try.
const KINDS: [Kind; 6] = [
    Kind::Wtp,
    Kind::Wsp,
    Kind::WspConnectionless,
    Kind::Wbxml,
    Kind::Notification,
    Kind::Sms,
];
/// The least plausibility with which octets are recognised.
const RECOGNISED: u8 = 40;
/// The least difference between the plausibilities of the first two candidates.
const LEAD: u8 = 5;
/// Octets that a header has in any layer.
const HEADER: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INVOKE: &[u8] = b"\x0A\x12\x34\x02\x40\x02/a\x80\x94\x81\xEA";

    /// Each with the layer it belongs to; `None` for octets that belong to none.
    #[test]
    fn octets_are_recognised_by_the_kind_that_parses_to_its_end() {
        for (octets, kind) in [
            (INVOKE, Some(Kind::Wtp)),
            (&INVOKE[4..], Some(Kind::Wsp)),
            // An Ack and an Abort in one datagram; an Ack alone; a Nack.
            (
                b"\x00\x03\x18\x92\x34\x04\x20\x92\x35\x01",
                Some(Kind::Wtp),
            ),
            (b"\x18\x92\x34", Some(Kind::Wtp)),
            (b"\x38\x92\x34\x02\x03\x04", Some(Kind::Wtp)),
            (b"\x01\x10\x00\x00", Some(Kind::Wsp)),
            (b"\x77\x40\x02/a\x80\x94", Some(Kind::WspConnectionless)),
            (b"\xD4\xC3\xB2\xA1\0\0\0\0", Some(Kind::Capture)),
            // A service indication pushed without a connection, and the document in it alone.
            (
                b"\x01\x06\x04\x03\xAE\x81\xEA\x02\x05\x6A\x00\x45\xC6\x0C\x03h.example/\0\x01\x03Hi\0\x01\x01",
                Some(Kind::WspConnectionless),
            ),
            (
                b"\x02\x05\x6A\x00\x45\xC6\x0C\x03h.example/\0\x01\x03Hi\0\x01\x01",
                Some(Kind::Wbxml),
            ),
            // WBXML 1.3 of a type that has no number, which looks like a Connect after a TID.
            (
                b"\x03\x01\x6A\x00\x00\x0D\x45\x48\x03240\0\x01\x01",
                Some(Kind::Wbxml),
            ),
            // Likewise with one element, and a global token in it.
            (b"\x03\x01\x6A\x00\x45\xC0\x01", Some(Kind::Wbxml)),
            // SyncML 1.2 by its public id.
            (b"\x02\xA4\x01\x6A\x00\x6D\x6C\x01\x01", Some(Kind::Wbxml)),
            (b"just some text, typed by somebody", None),
            (b"   text", None),
            (b"(a)", None),
            (b"8 o'clock", None),
            (b"<SyncML/>", None),
            (b"\xFF\xFE\xFD\xFC\xFB", None),
            (b"\x00", None),
        ] {
            assert_eq!(detect(octets), kind, "{octets:02x?} {:?}", candidates(octets));
        }
    }

    #[test]
    fn a_document_type_that_nobody_knows_is_recognised_once_encoded() {
        let xml = b"<?xml version=\"1.0\"?><!DOCTYPE note PUBLIC \"-//EXAMPLE//DTD NOTE 1.0//EN\" \"note.dtd\">\
            <note to=\"you\"><text>hello</text></note>";
        let mut octets = Vec::new();
        crate::wbxml::xml::from_xml(xml, &Default::default(), &mut octets).unwrap();
        assert_eq!(detect(&octets), Some(Kind::Wbxml), "{octets:02x?}");
        assert_eq!(explain(Kind::Wbxml, &octets).fault(), None);
    }

    #[test]
    fn what_was_cut_short_is_not_recognised_but_has_a_nearest_layer() {
        assert_eq!(detect(&INVOKE[..11]), None);
        assert_eq!(nearest(&INVOKE[..11]), Some(Kind::Wtp));
        assert_eq!(nearest(b"text that is long enough"), None);
        // A second document element, at octet 5, in what begins as WBXML 1.3.
        let document = b"\x03\x01\x6A\x00\x0D\x45\x48\x03240\0\x01\x01";
        assert_eq!(detect(document), None);
        assert_eq!(nearest(document), Some(Kind::Wbxml));
    }

    proptest! {
        /// Text is what people paste by mistake; a claim about it would be wrong.
        #[test]
        fn text_is_never_claimed(text in "[ -~\t\n]{1,200}") {
            prop_assert_eq!(detect(text.as_bytes()), None);
            prop_assert_eq!(nearest(text.as_bytes()), None);
        }
    }

    /// Random octets may look like a short Ack or Disconnect. More than a few in a thousand would
    /// mean that plausibility is worth nothing.
    #[test]
    fn random_octets_are_seldom_claimed() {
        let mut random = crate::random::Random::new(1);
        let claimed = (0..10_000)
            .filter(|_| {
                let len = 8 + random.below(56);
                let octets: Vec<u8> = (0..len).map(|_| random.u32().to_le_bytes()[0]).collect();
                detect(&octets).is_some()
            })
            .count();
        assert!(claimed < 300, "{claimed} of 10,000");
    }
}
