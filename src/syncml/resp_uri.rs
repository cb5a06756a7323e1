//! RespURI: the address for the next message of a session (SyncML representation, 5.1.14).
//!
//! Only the octets of RespURI change. The octets before and after them are copied, in either
//! notation.

use crate::syncml::Encoding;
use crate::syncml::walk::{Element, Step, Walk};
use crate::wbxml::token::{END, STR_I};

/// The message with another RespURI. `None` if its SyncHdr has no RespURI, or `map` has no
/// replacement.
#[must_use]
pub fn rewrite(message: &[u8], map: impl FnOnce(&str) -> Option<String>) -> Option<Vec<u8>> {
    let mut walk = Walk::new(message, WINDOW)?;
    let mut depth = 0usize;
    let mut found: Option<(usize, String)> = None;
    loop {
        let at = walk.offset();
        match walk.next()? {
            Step::Start(element) => {
                match (depth, element) {
                    (0, Element::SyncMl) | (1, Element::SyncHdr) | (2.., _) => depth += 1,
                    _ => return None,
                }
                if depth == 3 && element == Element::RespUri {
                    found = Some((walk.offset(), String::new()));
                }
            }
            Step::Text(text) => {
                if let Some((_, uri)) = &mut found
                    && let Some(text) = text.read()
                {
                    uri.push_str(&text);
                }
            }
            Step::End => {
                depth = depth.checked_sub(1)?;
                if let (2, Some((from, uri))) = (depth, &found) {
                    let content = notation(message, &map(uri.trim())?, &walk)?;
                    return splice(message, *from, at, &content);
                }
                if depth == 1 {
                    return None;
                }
            }
        }
    }
}

/// The content of an element with the text `uri`.
fn notation(message: &[u8], uri: &str, walk: &Walk<'_>) -> Option<Vec<u8>> {
    match Encoding::of(message)? {
        Encoding::Xml => Some(quick_xml::escape::escape(uri).into_owned().into_bytes()),
        // A URI is ASCII, but some charsets write ASCII in other octets.
        Encoding::Wbxml if uri.is_ascii() && walk.writes_ascii() => {
            let mut content = vec![STR_I];
            content.extend_from_slice(uri.as_bytes());
            content.push(0);
            Some(content)
        }
        Encoding::Wbxml => None,
    }
}

/// The message with `content` between two offsets. `None` unless an element ends at the second one.
fn splice(message: &[u8], from: usize, to: usize, content: &[u8]) -> Option<Vec<u8>> {
    let (before, after) = (message.get(..from)?, message.get(to..)?);
    let ends = after.first() == Some(&END) || after.starts_with(b"</");
    ends.then(|| [before, content, after].concat())
}

/// Octets of an XML message that are searched. A SyncHdr is much shorter.
const WINDOW: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::syncml::header::peek;

    const XML: &str = "<?xml version=\"1.0\"?><!-- RespURI --><s:SyncML xmlns:s='SYNCML:SYNCML1.1'><s:SyncHdr>\
        <s:VerDTD>1.1</s:VerDTD><s:VerProto>SyncML/1.1</s:VerProto><s:SessionID>5</s:SessionID><s:MsgID>2</s:MsgID>\
        <s:Target><s:LocURI>IMEI:1</s:LocURI></s:Target><s:Source><s:LocURI>http://in/</s:LocURI></s:Source>\
        <s:RespURI>http://in/r?a=1&amp;b=2</s:RespURI></s:SyncHdr><s:SyncBody><s:Final/></s:SyncBody></s:SyncML>";

    fn outside(uri: &str) -> Option<String> {
        let rest = uri.strip_prefix("http://in/")?;
        Some(format!("http://outside.example/{rest}"))
    }

    #[test]
    fn only_the_uri_changes_in_xml() {
        let rewritten = rewrite(XML.as_bytes(), outside).unwrap();
        let expected = XML.replace("http://in/r", "http://outside.example/r");
        assert_eq!(String::from_utf8(rewritten).unwrap(), expected);
    }

    /// WBXML 1.1, UTF-8, "SYNCML//DTD SyncML 1.1" by number; a RespURI as text, as opaque data, and
    /// from the string table.
    #[test]
    fn only_the_uri_changes_in_wbxml_however_it_is_written() {
        let head = |table: &[u8]| {
            let mut head = vec![0x02, 0x9F, 0x53, 0x6A, u8::try_from(table.len()).unwrap()];
            head.extend_from_slice(table);
            head.extend_from_slice(b"\x6D\x6C\x71\x031.1\0\x01");
            head
        };
        let tail = b"\x01\x6B\x12\x01\x01";
        for (table, content) in [
            (&b""[..], &b"\x03http://in/r\0"[..]),
            (b"", b"\xC3\x0Bhttp://in/r"),
            (b"http://in/r\0", b"\x83\x00"),
            (b"", b"\x03http:\0\x03//in/r\0"),
        ] {
            let before = [&head(table)[..], b"\x61"].concat();
            let message = [&before[..], content, b"\x01", tail].concat();
            assert_eq!(peek(&message).unwrap().resp_uri, "http://in/r");
            let rewritten = rewrite(&message, outside).unwrap();
            let expected = [
                &before[..],
                b"\x03http://outside.example/r\0\x01",
                &tail[..],
            ];
            assert_eq!(rewritten, expected.concat());
        }
    }

    #[test]
    fn what_has_no_such_uri_is_left_alone() {
        assert_eq!(rewrite(XML.as_bytes(), |_| None), None);
        let without = XML.replace("s:RespURI", "s:LocName");
        assert_eq!(rewrite(without.as_bytes(), outside), None);
        let empty = XML.replace("http://in/r?a=1&amp;b=2", "");
        assert_eq!(rewrite(empty.as_bytes(), outside), None);
        for wrong in [
            &b""[..],
            b"<a/>",
            b"\x02\x9F\x53",
            b"<SyncML><SyncBody/></SyncML>",
        ] {
            assert_eq!(rewrite(wrong, outside), None);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_octets_never_panic(octets: Vec<u8>, cut in 0usize..400) {
            let some = |_: &str| Some("x".to_owned());
            let _ = rewrite(&octets, some);
            let _ = rewrite(XML.as_bytes().get(..cut).unwrap_or_default(), some);
        }
    }
}
