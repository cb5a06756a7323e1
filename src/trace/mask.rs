//! Masks the confidential part of a subscriber's traffic, octet by octet, so that lengths stay and
//! every dissector still reads the rest.
//!
//! Values that are known to be harmless are shown. All others are overwritten with `*`:
//!
//! - In a URI: its query, and the user before the host.
//! - In PDUs that begin, resume or end a session: its id, with which the session could be resumed.
//! - In fields: values of names about authentication, cookies, tokens, sessions and the like; of
//!   numbered fields on pages other than WSP's own; and of unreadable fields.
//! - In a SyncML body: the text of every element that is not on the list of harmless ones
//!   (`policy.rs`). So credentials, nonces and the contents of items are masked; commands, codes,
//!   anchors and device information are shown.
//! - In other bodies in XML or WBXML: all text. In any other body: all octets.

use std::ops::Range;

use super::blank::{BLANK, blank, secret_in_uri, uri};
use super::fields;
use super::policy::{Policy, Visibility};
use crate::codec::uintvar;
use crate::explain::is_media_type;
use crate::syncml::spans::{SpanKind, Spans};
use crate::wsp::header::decode_content_type;
use crate::wsp::multipart::is_binary;
use crate::wsp::pdu::Type;

/// Masks a WSP message: the content of a WTP message or, if `connectionless`, a datagram of port
/// 9200.
pub fn sdu(sdu: &mut [u8], connectionless: bool) {
    let pdu = match connectionless {
        true => sdu.get_mut(1..).unwrap_or_default(),
        false => sdu,
    };
    let Some((kind, rest)) = pdu.split_first_mut() else {
        return;
    };
    // Octets behind a malformed one are masked.
    let mut rest = rest;
    let _ = match Type(*kind) {
        Type(0x40..=0x5F) => get(&mut rest),
        Type(0x60..=0x7F) => post(&mut rest),
        kind => named(&mut rest, kind),
    };
    blank(rest);
}

/// The octets that are not examined yet. Functions take octets from the front.
type Rest<'a> = &'a mut [u8];

fn get(rest: &mut Rest<'_>) -> Option<()> {
    let len = length(rest)?;
    uri(take(rest, len)?);
    fields::mask(take(rest, rest.len())?);
    Some(())
}

fn post(rest: &mut Rest<'_>) -> Option<()> {
    let uri_len = length(rest)?;
    let headers_len = length(rest)?;
    uri(take(rest, uri_len)?);
    entity(rest, headers_len)
}

fn named(rest: &mut Rest<'_>, kind: Type) -> Option<()> {
    match kind {
        Type::CONNECT | Type::CONNECT_REPLY => {
            match kind {
                Type::CONNECT => drop(take(rest, 1)?),
                _ => session(rest)?,
            }
            let capabilities_len = length(rest)?;
            let headers_len = length(rest)?;
            take(rest, capabilities_len)?;
            fields::mask(take(rest, headers_len)?);
            Some(())
        }
        Type::REPLY => {
            take(rest, 1)?;
            let len = length(rest)?;
            entity(rest, len)
        }
        Type::PUSH | Type::CONFIRMED_PUSH => {
            let len = length(rest)?;
            entity(rest, len)
        }
        Type::RESUME => {
            session(rest)?;
            let capabilities_len = length(rest)?;
            take(rest, capabilities_len)?;
            fields::mask(take(rest, rest.len())?);
            Some(())
        }
        Type::DISCONNECT | Type::SUSPEND => session(rest),
        Type::REDIRECT => take(rest, rest.len()).map(drop),
        // Data Fragment: fields without a content type, and a span of some body.
        Type::DATA_FRAGMENT => {
            let len = length(rest)?;
            fields::mask(take(rest, len)?);
            Some(())
        }
        _ => None,
    }
}

/// Content type, fields and body.
fn entity(rest: &mut Rest<'_>, headers_len: usize) -> Option<()> {
    let media = headers(take(rest, headers_len)?)?;
    let data = take(rest, rest.len())?;
    content(data, &media, MAX_DEPTH);
    Some(())
}

/// Masks a content type and the fields behind it; returns the media type.
///
/// Without a readable media type the beginning of the fields is unknown, and all octets are blank.
fn headers(block: &mut [u8]) -> Option<String> {
    let read = decode_content_type(block)
        .ok()
        .filter(|(media, _)| is_media_type(media))
        .map(|(media, after)| (media.into_owned(), block.len() - after.len()));
    let Some((media, at)) = read else {
        blank(block);
        return Some(String::new());
    };
    let (content_type, rest) = block.split_at_mut_checked(at)?;
    parameters(content_type);
    fields::mask(rest);
    Some(media)
}

/// Blanks the text in the parameters of a content type, but for well-known values.
fn parameters(content_type: &mut [u8]) {
    let start = match content_type.first() {
        // A media type in text: its parameters follow a semicolon.
        Some(b' '..=0x7F) => content_type.iter().position(|octet| *octet == b';'),
        // A length, the media type as a number or in text, then parameters.
        Some(0..=31) => content_type
            .iter()
            .skip(1)
            .position(|octet| *octet >= 0x80 || *octet == 0)
            .map(|at| at + 2),
        _ => None,
    };
    let rest = start.and_then(|start| content_type.get_mut(start..));
    for text in rest
        .unwrap_or_default()
        .split_mut(|octet| !(b' '..=b'~').contains(octet))
    {
        let is_known = |known: &&[u8]| text.eq_ignore_ascii_case(known);
        let is_common = COMMON_PARAMETERS.iter().any(is_known);
        if text.len() > 1 && !is_common {
            blank(text);
        }
    }
}

/// Names and values of parameters without information about a subscriber.
const COMMON_PARAMETERS: &[&[u8]] = &[
    b"charset",
    b"utf-8",
    b"iso-8859-1",
    b"us-ascii",
    b"; charset=utf-8",
    b";charset=utf-8",
    b"; charset=iso-8859-1",
    b"; charset=us-ascii",
    b"type",
    b"start",
    b"boundary",
    b"application/smil",
];

fn content(data: &mut [u8], media: &str, depth: usize) {
    if is_binary(media) && depth > 0 {
        let mut rest = data;
        let _ = multipart(&mut rest, depth);
        blank(rest);
    } else if message(data, MAX_INSIDE).is_none() {
        blank(data);
    }
}

fn multipart(rest: &mut Rest<'_>, depth: usize) -> Option<()> {
    length(rest)?;
    while !rest.is_empty() {
        let headers_len = length(rest)?;
        let data_len = length(rest)?;
        let media = headers(take(rest, headers_len)?)?;
        content(take(rest, data_len)?, &media, depth - 1);
    }
    Some(())
}

/// Blanks all but the harmless text of a document. `None`, without a change, for a document that
/// cannot be read.
fn message(octets: &mut [u8], inside: usize) -> Option<()> {
    let mut covered = Vec::new();
    let mut documents = Vec::new();
    let mut shown = Vec::new();
    let is_wbxml;
    let broken;
    let strings;
    {
        let mut spans = Spans::new(octets)?;
        is_wbxml = spans.is_wbxml();
        strings = spans.strings();
        let mut policy = Policy::default();
        for span in spans.by_ref() {
            let at = span.at;
            match span.kind {
                SpanKind::Start(name) => policy.start(&name),
                SpanKind::End => policy.end(),
                SpanKind::Text(text) => match policy.visibility(&text) {
                    Visibility::Show => shown.push(at),
                    Visibility::Uri => match secret_in_uri(octets.get(at.clone())?) {
                        parts if parts.is_empty() => shown.push(at),
                        parts => {
                            let start = at.start;
                            let parts = parts.into_iter();
                            covered.extend(
                                parts.map(|part| (start + part.start..start + part.end, false)),
                            );
                        }
                    },
                    Visibility::Hide => covered.push((at, false)),
                },
                SpanKind::Reference(_) => {
                    policy.reference();
                    covered.push((at, is_wbxml));
                }
                SpanKind::Opaque(_) => documents.push(at),
                SpanKind::Markup => covered.push((at, false)),
            }
        }
        broken = spans.broken();
    }
    if let Some((table, id)) = strings {
        shown.extend(id);
        unshown(octets, &table, &shown);
    }
    for (at, is_number) in covered {
        let part = octets.get_mut(at).unwrap_or_default();
        match is_number {
            true => blank_number(part),
            false => blank(part),
        }
    }
    for at in documents {
        let document = octets.get_mut(at).unwrap_or_default();
        let known = inside
            .checked_sub(1)
            .and_then(|inside| message(document, inside));
        if known.is_none() {
            blank(document);
        }
    }
    if let Some(at) = broken {
        blank(octets.get_mut(at..).unwrap_or_default());
    }
    Some(())
}

/// Blanks the octets of the string table that no span shows.
fn unshown(octets: &mut [u8], table: &Range<usize>, shown: &[Range<usize>]) {
    let mut kept = vec![false; table.len()];
    for range in shown {
        let start = range.start.checked_sub(table.start);
        let end = range.end.checked_sub(table.start);
        if let (Some(start), Some(end)) = (start, end) {
            kept.get_mut(start..end).unwrap_or_default().fill(true);
        }
    }
    let strings = octets.get_mut(table.clone()).unwrap_or_default();
    for (octet, kept) in strings.iter_mut().zip(kept) {
        if !kept && *octet != 0 {
            *octet = BLANK;
        }
    }
}

/// Blanks a number of seven bits an octet, so that each octet is still such a number.
fn blank_number(octets: &mut [u8]) {
    if let Some((last, first)) = octets.split_last_mut() {
        first.fill(0x80);
        *last = BLANK;
    }
}

/// A uintvar, which stays readable.
fn length(rest: &mut Rest<'_>) -> Option<usize> {
    let (after, value) = uintvar(rest).ok()?;
    let taken = rest.len() - after.len();
    take(rest, taken)?;
    usize::try_from(value).ok()
}

/// Blanks a session's id, so that it is still a number.
fn session(rest: &mut Rest<'_>) -> Option<()> {
    let (after, _) = uintvar(rest).ok()?;
    let taken = rest.len() - after.len();
    blank_number(take(rest, taken)?);
    Some(())
}

/// The session that a WSP message names by its id, before it is blank.
pub(super) fn session_of(sdu: &[u8], connectionless: bool) -> Option<u32> {
    let (kind, rest) = sdu.get(usize::from(connectionless)..)?.split_first()?;
    let names_it = matches!(
        Type(*kind),
        Type::CONNECT_REPLY | Type::RESUME | Type::DISCONNECT | Type::SUSPEND
    );
    let (_, session) = uintvar(rest).ok().filter(|_| names_it)?;
    Some(session)
}

/// Takes `len` octets from the front.
fn take<'a>(rest: &mut Rest<'a>, len: usize) -> Option<&'a mut [u8]> {
    if len > rest.len() {
        return None;
    }
    let (taken, after) = std::mem::take(rest).split_at_mut(len);
    *rest = after;
    Some(taken)
}

/// The most levels of nested multiparts.
const MAX_DEPTH: usize = 4;
/// The most levels of embedded documents.
const MAX_INSIDE: usize = 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::explain;

    const XML: &str = "<?xml version=\"1.0\"?><!-- SECRET --><SyncML x='SECRET'><SyncHdr><VerDTD>1.2</VerDTD>\
        <VerProto>SyncML/1.2</VerProto><SessionID>7</SessionID><MsgID>1</MsgID>\
        <Target><LocURI>http://SECRET@s/p?s=SECRET</LocURI></Target><Source><LocURI>IMEI:1</LocURI></Source>\
        <Cred><Meta><Type xmlns='syncml:metinf'>syncml:auth-md5</Type></Meta><Data>SECRET</Data></Cred></SyncHdr>\
        <SyncBody><Status><CmdID>1</CmdID><MsgRef>1</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd>\
        <Chal><Meta><Type xmlns='syncml:metinf'>syncml:auth-md5</Type><NextNonce xmlns='syncml:metinf'>SECRET</NextNonce>\
        </Meta></Chal><Data>407</Data></Status><Sync><CmdID>2</CmdID><Add><CmdID>3</CmdID><Item><Data>SECRET</Data>\
        </Item></Add></Sync><Final/></SyncBody></SyncML>";

    fn wbxml(xml: &str) -> Vec<u8> {
        let mut wbxml = Vec::new();
        crate::wbxml::xml::from_xml(xml.as_bytes(), &Default::default(), &mut wbxml).unwrap();
        wbxml
    }

    fn post(headers: &[u8], body: &[u8]) -> Vec<u8> {
        let uri = b"http://SECRET:SECRET@h/p?a=SECRET";
        let mut sdu = vec![0x60, u8::try_from(uri.len()).unwrap()];
        sdu.push(u8::try_from(headers.len()).unwrap());
        sdu.extend_from_slice(uri);
        sdu.extend_from_slice(headers);
        sdu.extend_from_slice(body);
        sdu
    }

    fn holds(octets: &[u8], secret: &[u8]) -> bool {
        octets.windows(secret.len()).any(|found| found == secret)
    }

    fn masked(message: &[u8]) -> Vec<u8> {
        let mut octets = message.to_vec();
        sdu(&mut octets, false);
        assert_eq!(octets.len(), message.len());
        octets
    }

    #[test]
    fn secrets_of_a_post_are_blank_and_all_else_can_be_read() {
        let headers =
            b"\xBF\x87\x11\x80SECRET\0SECRETab\0Authorization\0Basic SECRET\0Cookie\0s=SECRET\0\
            X-Session-Token\0SECRET\0\x91http://SECRET@h/?SECRET\0\x80\x94";
        for body in [wbxml(XML), XML.as_bytes().to_vec()] {
            let octets = masked(&post(headers, &body));
            assert!(
                !holds(&octets, b"SECRET"),
                "{}",
                explain::wsp(&octets, false)
            );
            let explained = explain::wsp(&octets, false);
            assert_eq!(explained.fault(), None, "{explained}");
            let text = explained.to_string();
            for words in [
                "SyncML/1.2, session 7, message 1",
                "credentials: syncml:auth-md5, 6 octets",
                "407 missing credentials",
                "http://******@s/p?********",
                "from: IMEI:1",
                "accept: application/vnd.wap.wmlc",
            ] {
                assert!(text.contains(words), "{words} in\n{text}");
            }
        }
    }

    #[test]
    fn secrets_hide_nowhere_in_wbxml() {
        // In the string table, as entities, as opaque data, in a literal element, in a document in
        // a document.
        let inner = wbxml("<SyncML><SyncHdr><Cred><Data>SECRET</Data></Cred></SyncHdr></SyncML>");
        let opaque = [&[0xC3, u8::try_from(inner.len()).unwrap()][..], &inner].concat();
        for content in [
            &b"\x4E\x4F\x83\x02\x01\x01"[..],
            b"\x4E\x4F\x02\x53\x02\x45\x02\x43\x02\x52\x02\x45\x02\x54\x01\x01",
            b"\x4E\x4F\xC3\x06SECRET\x01\x01",
            b"\x44\x00\x03SECRET\0\x01",
            &[&b"\x54\x4F"[..], &opaque, b"\x01\x01"].concat(),
        ] {
            let document = [
                &b"\x02\xA4\x01\x6A\x09x\0SECRET\0\x6D\x6C"[..],
                content,
                b"\x01\x01",
            ]
            .concat();
            let octets = masked(&post(b"\x80", &document));
            assert!(
                !holds(&octets, b"SECRET") && !holds(&octets, b"\x53\x02\x45"),
                "{octets:02x?}"
            );
        }
    }

    /// Each begins with something that is no content type, or a damaged one, so that what follows
    /// may be read from the wrong octet.
    #[test]
    fn a_malformed_content_type_never_turns_a_secret_into_a_name() {
        for headers in [
            &b"\x87SECRET\0\x80\x94"[..],
            b"\x87Basic SECRET\0\x80\x94",
            b"\x87\x10\x80SECRET\0SECRETpw\0\0",
            b"Authorization\0SECRET\0\x80\x94",
            b"SECRET\0Authorization\0Basic SECRET\0",
            b"\x05text/plain\0Cookie\0SECRET\0",
            b"\x02\x80\x80SECRET\0Accept\0x\0",
            b"\x1F\x81\x00SECRET\0SECRET\0",
            b"text/plain; token=SECRET\0\x80\x94",
            b"\x0A\x83token\0\x00SECRET\0SECRET\0",
            b"\x10\x83x-token\0SECRET\0\x80\x94",
            b"\xFESECRET\0x\0",
            b"\xFFSECRET\0x\0",
        ] {
            let octets = masked(&post(headers, b""));
            assert!(
                !holds(&octets, b"SECRET"),
                "{headers:02x?}\n{}",
                explain::wsp(&octets, false)
            );
        }
    }

    #[test]
    fn other_bodies_are_blank() {
        for body in [
            &b"user=x&password=SECRET"[..],
            b"\x1F\x8BSECRET",
            b"<html><p>SECRET",
            b"<html>SECRET</html>",
        ] {
            assert!(!holds(&masked(&post(b"\x80", body)), b"SECRET"));
        }
        // A part of a multipart, with a field of its own.
        let part = b"\x01\x10\x06\x80Cookie\0SECRET\0\0SECRET";
        assert!(!holds(&masked(&post(b"\x80\xA3", part)), b"SECRET"));
    }

    #[test]
    fn recorded_credentials_do_not_survive() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/syncml-sessions");
        let mut hidden = 0;
        for session in std::fs::read_dir(directory).unwrap() {
            let Ok(files) = std::fs::read_dir(session.unwrap().path()) else {
                continue;
            };
            for file in files {
                let path = file.unwrap().path();
                if !matches!(
                    path.extension().and_then(|e| e.to_str()),
                    Some("wbxml" | "xml")
                ) {
                    continue;
                }
                let body = std::fs::read(&path).unwrap();
                let mut secrets = Vec::new();
                let mut open: Vec<String> = Vec::new();
                for span in Spans::new(&body).unwrap() {
                    match span.kind {
                        SpanKind::Start(name) => open.push(name.into_owned()),
                        SpanKind::End => drop(open.pop()),
                        SpanKind::Text(text) => {
                            let innermost = open.last().unwrap();
                            let above = &open[open.len().saturating_sub(2)];
                            if innermost == "NextNonce"
                                || innermost == "Data" && matches!(&**above, "Cred" | "Item")
                            {
                                secrets.push(text.into_owned());
                            }
                        }
                        _ => {}
                    }
                }
                let octets = masked(&post(b"\x80", &body));
                assert_eq!(explain::wsp(&octets, false).fault(), None);
                for secret in secrets
                    .iter()
                    .map(|secret| secret.trim())
                    .filter(|secret| secret.len() > 5)
                {
                    hidden += 1;
                    assert!(
                        !holds(&octets, secret.as_bytes()),
                        "{secret} in {}",
                        path.display()
                    );
                }
            }
        }
        assert!(hidden > 20, "{hidden}");
    }

    proptest! {
        /// Wherever a credential stands in a message, and whatever surrounds it.
        #[test]
        fn no_secret_survives(secret in "[A-Za-z0-9+/]{8,24}", before in "[ -;=-~]{0,8}", kind in 0..6u8, xml: bool) {
            let content = match kind {
                0 => format!("<SyncHdr><Cred><Data>{secret}</Data></Cred></SyncHdr>"),
                1 => format!("<SyncHdr><RespURI>http://h/?{secret}</RespURI></SyncHdr>"),
                2 => format!("<SyncBody><Status><Chal><Meta><NextNonce xmlns='syncml:metinf'>{secret}</NextNonce></Meta></Chal></Status></SyncBody>"),
                3 => format!("<SyncBody><Replace><Item><Data>{secret}</Data></Item></Replace></SyncBody>"),
                4 => format!("<SyncBody><Status><Data>{secret}</Data></Status></SyncBody>"),
                _ => format!("<SyncHdr><Cred><Data><![CDATA[{secret}]]></Data></Cred></SyncHdr>"),
            };
            let document = format!("<SyncML>{content}</SyncML>");
            let body = if xml { document.into_bytes() } else { wbxml(&document) };
            let headers = [b"\x80X-Auth\0", before.trim_start().replace('\0', "").as_bytes(), secret.as_bytes(), b"\0"].concat();
            let octets = masked(&post(&headers, &body));
            prop_assert!(!holds(&octets, secret.as_bytes()));
        }

        /// Whatever is cut off or broken, what stood behind is blank as well.
        #[test]
        fn no_secret_survives_in_a_broken_message(at in 0usize..400, octet: u8, xml: bool) {
            let body = if xml { XML.as_bytes().to_vec() } else { wbxml(XML) };
            let mut message = post(b"\x80Authorization\0Basic SECRET\0", &body);
            // Not in a secret itself, which then is none any more; nor its name or the type, which
            // then says it is harmless.
            let place = at % message.len();
            let (start, end) = (place.saturating_sub(40), (place + 40).min(message.len()));
            if !holds(&message[start..end], b"SECRET") && place > 60 {
                message[place] = octet;
            }
            let octets = masked(&message);
            prop_assert!(!holds(&octets, b"SECRET"), "{}", String::from_utf8_lossy(&octets));
        }

        #[test]
        fn any_octets_are_masked_to_the_same_length(mut octets: Vec<u8>, connectionless: bool) {
            let len = octets.len();
            sdu(&mut octets, connectionless);
            prop_assert_eq!(octets.len(), len);
        }
    }
}
