//! Blanks what nobody who looks at a subscriber's traffic needs to know, octet by octet, so that nothing moves
//! and every dissector still reads the rest.
//!
//! What is shown is what is known to be harmless; everything else is overwritten with `*`:
//!
//! - Of a URI: its query, and the user before the host.
//! - Of what begins, resumes or ends a session: its id, which is all one needs to resume it.
//! - Of fields: the values of those whose names speak of authentication, cookies, tokens, sessions and the like; of
//!   numbered fields on pages that are not WSP's own; of whatever cannot be read.
//! - Of a body that is SyncML: the text of every element but those on the list of harmless ones (`policy.rs`). So
//!   credentials, nonces and the contents of items are blank; commands, codes, anchors and device information are
//!   not.
//! - Of any other body in XML or WBXML: all text. Of a body that is neither, all of it.

use std::ops::Range;

use super::fields;
use super::policy::{Policy, Verdict};
use crate::codec::uintvar;
use crate::route::{Private, private};
use crate::syncml::pieces::{Pieces, What};
use crate::wsp::header::decode_content_type;
use crate::wsp::multipart::is_binary;
use crate::wsp::pdu::Type;

/// What stands in place of a secret octet.
pub(super) const BLANK: u8 = b'*';

/// Blanks a WSP message: what WTP carries, or, if `connectionless`, a datagram of port 9200.
pub fn sdu(sdu: &mut [u8], connectionless: bool) {
    let pdu = match connectionless {
        true => sdu.get_mut(1..).unwrap_or_default(),
        false => sdu,
    };
    let Some((kind, rest)) = pdu.split_first_mut() else {
        return;
    };
    // What is malformed is blank from there on.
    let mut rest = rest;
    let _ = match Type(*kind) {
        Type(0x40..=0x5F) => get(&mut rest),
        Type(0x60..=0x7F) => post(&mut rest),
        kind => named(&mut rest, kind),
    };
    blank(rest);
}

/// What is left to be looked at; taken from the front.
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
        // Data Fragment: fields without a content type, and a piece of some body.
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

/// Content type and fields; the media type.
fn headers(block: &mut [u8]) -> Option<String> {
    let Ok((media, after)) = decode_content_type(block) else {
        blank(block);
        return Some(String::new());
    };
    let (media, at) = (media.into_owned(), block.len() - after.len());
    fields::mask(block.get_mut(at..)?);
    Some(media)
}

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

/// Blanks what is not harmless in a document. `None`, and nothing done, if it is none we can read.
fn message(octets: &mut [u8], inside: usize) -> Option<()> {
    let mut covered = Vec::new();
    let mut documents = Vec::new();
    let mut shown = Vec::new();
    let is_wbxml;
    let broken;
    let strings;
    {
        let mut pieces = Pieces::new(octets)?;
        is_wbxml = pieces.is_wbxml();
        strings = pieces.strings();
        let mut policy = Policy::default();
        for piece in pieces.by_ref() {
            let at = piece.at;
            match piece.what {
                What::Start(name) => policy.start(&name),
                What::End => policy.end(),
                What::Text(text) => match policy.verdict(&text) {
                    Verdict::Show => shown.push(at),
                    Verdict::Uri => match secret_in_uri(octets.get(at.clone())?) {
                        parts if parts.is_empty() => shown.push(at),
                        parts => {
                            let start = at.start;
                            let parts = parts.into_iter();
                            covered.extend(
                                parts.map(|part| (start + part.start..start + part.end, false)),
                            );
                        }
                    },
                    Verdict::Hide => covered.push((at, false)),
                },
                What::Reference(_) => {
                    policy.reference();
                    covered.push((at, is_wbxml));
                }
                What::Opaque(_) => documents.push(at),
                What::Aside => covered.push((at, false)),
            }
        }
        broken = pieces.broken();
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

/// Blanks what nobody showed of the string table.
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

/// A number in seven bits an octet, so that it is still one: that of an asterisk.
fn blank_number(octets: &mut [u8]) {
    if let Some((last, first)) = octets.split_last_mut() {
        first.fill(0x80);
        *last = BLANK;
    }
}

/// Blanks the query of a URI and the user before its host.
pub(super) fn uri(uri: &mut [u8]) {
    for part in secret_in_uri(uri) {
        blank(uri.get_mut(part).unwrap_or_default());
    }
}

/// A URI with its query and its user blank.
#[must_use]
pub fn uri_text(text: &str) -> String {
    let mut octets = text.as_bytes().to_vec();
    uri(&mut octets);
    String::from_utf8_lossy(&octets).into_owned()
}

fn secret_in_uri(uri: &[u8]) -> Vec<Range<usize>> {
    let Private { user, query } = private(uri);
    let parts = [query, user].into_iter();
    parts.filter(|part| !part.is_empty()).collect()
}

pub(super) fn blank(octets: &mut [u8]) {
    octets.fill(BLANK);
}

/// A uintvar, kept.
fn length(rest: &mut Rest<'_>) -> Option<usize> {
    let (after, value) = uintvar(rest).ok()?;
    let taken = rest.len() - after.len();
    take(rest, taken)?;
    usize::try_from(value).ok()
}

/// A session's id, blanked so that it is still a number.
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

/// So many octets from the front.
fn take<'a>(rest: &mut Rest<'a>, len: usize) -> Option<&'a mut [u8]> {
    if len > rest.len() {
        return None;
    }
    let (taken, after) = std::mem::take(rest).split_at_mut(len);
    *rest = after;
    Some(taken)
}

/// Multiparts inside each other that are taken apart.
const MAX_DEPTH: usize = 4;
/// Documents inside each other.
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
        // In the string table, as entities, as opaque data, in a literal element, in a document in a document.
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
                for piece in Pieces::new(&body).unwrap() {
                    match piece.what {
                        What::Start(name) => open.push(name.into_owned()),
                        What::End => drop(open.pop()),
                        What::Text(text) => {
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
            // Not in a secret itself, which then is none any more; nor its name or the type, which then says it is harmless.
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
