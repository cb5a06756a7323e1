//! Explains WSP PDUs (WAP-230, section 8).

use super::annotator::{Annotator, shown};
use super::{document, notification, syncml};
use crate::wsp::capability::{Capability, Id, ProtocolOptions, assignments, capabilities};
use crate::wsp::header::{FieldError, decode_content_type, fields};
use crate::wsp::multipart::is_binary;
use crate::wsp::pdu::{AbortReason, Method, Type, addresses};
use crate::wsp::status;

/// Explains a message, and the TID octet before it if it is connectionless.
pub(super) fn sdu(annotator: &mut Annotator<'_>, connectionless: bool) {
    if connectionless {
        let said = annotator.octet(|tid| format!("transaction id {tid:#04x}"));
        if said.is_none() {
            return;
        }
    }
    let name = name(annotator.peek());
    annotator.rest_as(&format!("WSP {name}"), |annotator| {
        // `None` means an error, which has its note already.
        let _ = pdu(annotator);
    });
}

/// The meaning of an Abort's reason from WSP.
pub(super) fn abort_reason(reason: u8) -> String {
    AbortReason(reason).to_string()
}

fn name(kind: Option<u8>) -> String {
    match kind.map(Type) {
        Some(Type(0x40..=0x5F)) => "Get".to_owned(),
        Some(Type(0x60..=0x7F)) => "Post".to_owned(),
        Some(kind) => kind.name().unwrap_or("PDU").to_owned(),
        None => "PDU".to_owned(),
    }
}

fn pdu(annotator: &mut Annotator<'_>) -> Option<()> {
    let Some(kind) = annotator.peek().map(Type) else {
        annotator.octet(|_| String::new());
        return None;
    };
    match kind {
        Type(0x40..=0x5F) => {
            annotator.octet(method)?;
            let len = length(annotator, "URI length")?;
            uri(annotator, len)?;
            let len = annotator.rest().len();
            headers(annotator, len)
        }
        Type(0x60..=0x7F) => {
            annotator.octet(method)?;
            let uri_len = length(annotator, "URI length")?;
            let headers_len = length(annotator, "headers length")?;
            uri(annotator, uri_len)?;
            entity(annotator, headers_len)
        }
        Type(octet) if kind.name().is_none() => {
            let len = annotator.rest().len();
            annotator.fault(len, format!("{octet:#04x} is no assigned PDU type"));
            None
        }
        _ => {
            annotator.octet(|_| kind.to_string())?;
            named(annotator, kind)
        }
    }
}

fn named(annotator: &mut Annotator<'_>, kind: Type) -> Option<()> {
    match kind {
        Type::CONNECT => {
            annotator.octet(|version| format!("version {}.{}", version >> 4, version & 0x0F))?;
            blocks(annotator, true)?;
            annotator.end_of_pdu();
            Some(())
        }
        Type::CONNECT_REPLY => {
            annotator.uintvar("session id")?;
            blocks(annotator, false)?;
            annotator.end_of_pdu();
            Some(())
        }
        Type::REDIRECT => {
            annotator.octet(|flags| {
                let permanent = if flags & 0x80 != 0 {
                    "permanent"
                } else {
                    "for this session"
                };
                let security = if flags & 0x40 != 0 {
                    ", the security session may be kept"
                } else {
                    ""
                };
                format!("redirect {permanent}{security}")
            })?;
            let len = annotator.rest().len();
            address_list(annotator, len)
        }
        Type::REPLY => {
            annotator.octet(|octet| match status::to_http(octet) {
                Some(status) => format!("status {status}"),
                None => format!("status {octet:#04x}, unassigned"),
            })?;
            let len = length(annotator, "headers length")?;
            entity(annotator, len)
        }
        Type::PUSH | Type::CONFIRMED_PUSH => {
            let len = length(annotator, "headers length")?;
            entity(annotator, len)
        }
        Type::DISCONNECT | Type::SUSPEND => {
            annotator.uintvar("session id")?;
            annotator.end_of_pdu();
            Some(())
        }
        Type::RESUME => {
            annotator.uintvar("session id")?;
            let len = length(annotator, "capabilities length")?;
            if len > 0 {
                annotator.octets(len, "capabilities", |_| {
                    "capabilities, which must be empty here".to_owned()
                })?;
            }
            let len = annotator.rest().len();
            headers(annotator, len)
        }
        _ => {
            // Data Fragment: fields without a content type.
            let len = length(annotator, "headers length")?;
            headers(annotator, len)?;
            body(annotator, "")
        }
    }
}

fn method(octet: u8) -> String {
    let method = Method(octet);
    match method.name() {
        Some(name) => name.to_owned(),
        None if method.is_extended() => format!("extended method {octet:#04x}"),
        None => format!("{octet:#04x}, an unassigned method"),
    }
}

fn length(annotator: &mut Annotator<'_>, what: &str) -> Option<usize> {
    usize::try_from(annotator.uintvar(what)?).ok()
}

fn uri(annotator: &mut Annotator<'_>, len: usize) -> Option<()> {
    annotator.octets(len, "URI", |uri| match uri.strip_suffix(b"\0") {
        Some(uri) => format!("URI: {} (and a NUL that should not be there)", shown(uri)),
        None => format!("URI: {}", shown(uri)),
    })?;
    Some(())
}

/// Capabilities and fields, each behind the two lengths.
fn blocks(annotator: &mut Annotator<'_>, request: bool) -> Option<()> {
    let capabilities_len = length(annotator, "capabilities length")?;
    let headers_len = length(annotator, "headers length")?;
    if capabilities_len > 0 {
        annotator.group(capabilities_len, "capabilities", |annotator| {
            capability_block(annotator, request);
        })?;
    }
    headers(annotator, headers_len)
}

fn capability_block(annotator: &mut Annotator<'_>, request: bool) {
    for capability in capabilities(annotator.rest()) {
        let Ok(capability) = capability else { break };
        let meaning = capability_meaning(capability, request);
        // Length, identifier and parameters follow each other without gaps.
        match crate::codec::located(annotator.rest(), crate::codec::uintvar) {
            Ok((after, len)) => {
                let prefix = annotator.rest().len() - after.len();
                annotator.annotate(prefix + usize::try_from(len).unwrap_or(usize::MAX), meaning);
            }
            Err(error) => annotator.expected(error),
        }
    }
    let rest = annotator.rest();
    if let Some(Err(error)) = capabilities(rest).next() {
        annotator.expected(error);
    }
}

fn capability_meaning(capability: Capability<'_>, request: bool) -> String {
    let Capability { id, parameters } = capability;
    let id = match id {
        Ok(id) => id,
        Err(octets) => return format!("unknown capability {}", shown(octets)),
    };
    let size = || match crate::codec::uintvar(parameters) {
        Ok((_, 0)) => "no limit".to_owned(),
        Ok((_, size)) => format!("{size} octets"),
        Err(_) => "not a size".to_owned(),
    };
    let first = parameters.first().copied();
    let value = match id {
        Id::CLIENT_SDU_SIZE
        | Id::SERVER_SDU_SIZE
        | Id::CLIENT_MESSAGE_SIZE
        | Id::SERVER_MESSAGE_SIZE => size(),
        Id::PROTOCOL_OPTIONS => {
            first.map_or_else(String::new, |flags| ProtocolOptions(flags).to_string())
        }
        Id::METHOD_MOR | Id::PUSH_MOR => {
            first.map_or_else(String::new, |number| number.to_string())
        }
        Id::EXTENDED_METHODS | Id::HEADER_CODE_PAGES if request => {
            let pairs =
                assignments(parameters).map(|(code, name)| format!("{code:#04x} {}", shown(name)));
            pairs.collect::<Vec<_>>().join(", ")
        }
        Id::EXTENDED_METHODS | Id::HEADER_CODE_PAGES => {
            let codes = parameters.iter().map(|code| format!("{code:#04x}"));
            codes.collect::<Vec<_>>().join(", ")
        }
        _ => format!("{} octets", parameters.len()),
    };
    let value = if value.is_empty() {
        "none".to_owned()
    } else {
        value
    };
    format!("{id}: {value}")
}

fn address_list(annotator: &mut Annotator<'_>, len: usize) -> Option<()> {
    annotator.group(len, "addresses", |annotator| {
        let mut before = annotator.rest();
        for address in addresses(annotator.rest()) {
            match address {
                Ok(address) => {
                    let taken = 1
                        + usize::from(address.bearer.is_some())
                        + 2 * usize::from(address.port.is_some())
                        + address.address.len();
                    before = before.get(taken..).unwrap_or_default();
                    let ip = <[u8; 4]>::try_from(address.address).map(std::net::Ipv4Addr::from);
                    let mut meaning = match ip {
                        Ok(ip) => ip.to_string(),
                        Err(_) => format!("address of {} octets", address.address.len()),
                    };
                    if let Some(port) = address.port {
                        meaning.push_str(&format!(", port {port}"));
                    }
                    if let Some(bearer) = address.bearer {
                        meaning.push_str(&format!(", bearer {bearer:#04x}"));
                    }
                    annotator.annotate(taken, meaning);
                }
                Err(error) => {
                    let error = crate::codec::DecodeError {
                        offset: error.offset.saturating_sub(len - before.len()),
                        ..error
                    };
                    annotator.expected(error);
                    break;
                }
            }
        }
    })
}

/// Content type, fields and body.
fn entity(annotator: &mut Annotator<'_>, headers_len: usize) -> Option<()> {
    let mut media = String::new();
    let body_len = annotator.rest().len().saturating_sub(headers_len);
    if headers_len > 0 {
        annotator.group(headers_len, "headers", |annotator| {
            media = content_type(annotator);
            field_block(annotator, body_len);
        })?;
    }
    body(annotator, &media)
}

fn content_type(annotator: &mut Annotator<'_>) -> String {
    match decode_content_type(annotator.rest()) {
        Ok((media, after)) => {
            let media = media.into_owned();
            annotator.annotate(
                annotator.rest().len() - after.len(),
                format!("content type: {media}"),
            );
            media
        }
        Err(error) => {
            annotator.expected(error);
            String::new()
        }
    }
}

fn headers(annotator: &mut Annotator<'_>, len: usize) -> Option<()> {
    if len == 0 {
        return Some(());
    }
    let body_len = annotator.rest().len().saturating_sub(len);
    annotator.group(len, "headers", |annotator| field_block(annotator, body_len))
}

fn field_block(annotator: &mut Annotator<'_>, body_len: usize) {
    let mut list = fields(annotator.rest(), &[]).with_body(body_len);
    let mut before = 0;
    while let Some(field) = list.next() {
        let len = list.offset() - before;
        match field {
            Ok(field) => {
                let value = shown_value(&field.value);
                annotator.annotate(len, format!("{}: {value}", field.name));
            }
            Err(FieldError::Page { page, .. }) => {
                annotator.annotate(len, format!("shift to header code page {page:#04x}, which the session must have agreed on"));
            }
            Err(FieldError::Malformed(mut error)) => {
                error.offset = error.offset.saturating_sub(before);
                annotator.expected(error);
                return;
            }
            Err(FieldError::Value(mut error) | FieldError::Unassigned(mut error)) => {
                error.offset = error.offset.saturating_sub(before);
                let meaning = "a field that cannot be read".to_owned();
                annotator.annotate_faulty(len, meaning, error);
            }
        }
        before = list.offset();
    }
    let left = annotator.rest().len();
    if left > 0 {
        annotator.annotate(left, "fields of that page".to_owned());
    }
}

fn shown_value(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(value) => value.to_owned(),
        Err(_) => value.iter().map(|&octet| char::from(octet)).collect(),
    }
}

fn body(annotator: &mut Annotator<'_>, media: &str) -> Option<()> {
    let len = annotator.rest().len();
    if len == 0 {
        return Some(());
    }
    if is_binary(media) {
        return annotator.group(len, "multipart body", |annotator| {
            multipart(annotator, MAX_DEPTH);
        });
    }
    if let Some(node) = syncml::message(annotator.rest(), annotator.offset()) {
        annotator.push(node);
        return Some(());
    }
    if document::is_whole(annotator.rest()) {
        annotator.rest_as("body", document::nodes);
        return Some(());
    }
    if notification::is_media_type(media) {
        notification::nodes(annotator);
        return Some(());
    }
    annotator.octets(len, "body", |body| format!("body: {}", shown(body)))?;
    Some(())
}

/// The most levels of nested multiparts that are explained.
const MAX_DEPTH: usize = 4;

fn multipart(annotator: &mut Annotator<'_>, depth: usize) {
    if annotator.uintvar("entries").is_none() {
        return;
    }
    while !annotator.rest().is_empty() {
        if part(annotator, depth).is_none() {
            return;
        }
    }
}

fn part(annotator: &mut Annotator<'_>, depth: usize) -> Option<()> {
    let headers_len = length(annotator, "headers length")?;
    let data_len = length(annotator, "data length")?;
    let mut media = String::new();
    annotator.group(headers_len, "part's headers", |annotator| {
        media = content_type(annotator);
        field_block(annotator, data_len);
    })?;
    if is_binary(&media) && depth > 0 {
        return annotator.group(data_len, "part: a multipart", |annotator| {
            multipart(annotator, depth - 1);
        });
    }
    let data = annotator.rest().get(..data_len).unwrap_or_default();
    if let Some(node) = syncml::message(data, annotator.offset()) {
        annotator.push(node);
        return Some(());
    }
    if document::is_whole(data) {
        return annotator.group(data_len, "part", document::nodes);
    }
    annotator.octets(data_len, "part", |data| format!("part: {}", shown(data)))?;
    Some(())
}

#[cfg(test)]
mod tests {
    use crate::explain::wsp;

    #[test]
    fn a_connect_is_explained() {
        let text = wsp(
            b"\x01\x10\x12\x02\x04\x80\x82\xE0\x00\x02\x82\xF0\x06\x86\x10x-u\0\x02\x8A\x01\x80\x94",
            false,
        )
        .to_string();
        for line in [
            "WSP Connect",
            "version 1.0",
            "capabilities length: 18",
            "Client-SDU-Size: 45056 octets",
            "Protocol Options: confirmed push, push, session resume, acknowledgement headers",
            "Header Code Pages: 0x10 x-u",
            "unknown capability",
            "accept: application/vnd.wap.wmlc",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    #[test]
    fn a_reply_with_a_multipart_is_explained() {
        let text = wsp(b"\x77\x04\x20\x03\xA3\x8D\x8A\x01\x01\x03\x83abc", true).to_string();
        for line in [
            "transaction id 0x77",
            "status 200",
            "content type: application/vnd.wap.multipart.mixed",
            "content-length: 10",
            "entries: 1",
            "content type: text/plain",
            "part: abc",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    #[test]
    fn faults_are_named() {
        for (wire, offset, words) in [
            (&b"\x3F"[..], 0, "0x3f is no assigned PDU type"),
            (b"\x40\x09/a", 2, "URI: 9 octets announced, 2 are left"),
            (
                b"\x40\x02/a\xFE\x81",
                4,
                "an assigned field number was expected here",
            ),
            (
                b"\x01\x10\x03\x00\x05\x80\x83",
                5,
                "as many octets as the length says was expected here",
            ),
            (b"\x04\x20\x81", 2, "a uintvar was expected here"),
            (
                b"\x03\x80\x04\x0A\x00",
                3,
                "as many octets as the length says was expected here",
            ),
        ] {
            let explained = wsp(wire, false);
            let fault = explained.fault().unwrap_or_else(|| panic!("{explained}"));
            assert_eq!(
                (fault.offset, &*fault.meaning),
                (offset, words),
                "{explained}"
            );
        }
    }
}
