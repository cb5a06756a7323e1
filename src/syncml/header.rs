//! Parses SyncHdr: source, target, session and version of a message.
//!
//! The parser reads a message as far as the end of SyncHdr, and its last few octets. The result
//! borrows from the message. The parser skips credentials, and `Debug` hides the source.

use std::borrow::Cow;
use std::fmt;

use crate::syncml::Encoding;
use crate::syncml::walk::{Element, Step, Text, Walk};

/// The header of a message. Any field may be missing, and is empty then.
#[derive(Clone, PartialEq, Eq)]
pub struct SyncHdr<'a> {
    /// The notation of the message.
    pub encoding: Encoding,
    /// Version of the representation: `1.0`, `1.1`, `1.2`.
    pub ver_dtd: Cow<'a, str>,
    /// Protocol and its version: `SyncML/1.2`, `DM/1.2`.
    pub ver_proto: Cow<'a, str>,
    /// The id of the session, the same in all its messages.
    pub session_id: Cow<'a, str>,
    /// The number of the message among those of one side in a session, from 1. A repeated message
    /// has the same number.
    pub msg_id: Cow<'a, str>,
    /// LocURI of the receiver.
    pub target: Cow<'a, str>,
    /// LocURI of the sender, often an IMEI.
    pub source: Cow<'a, str>,
    /// The URI for the next message of the session, if the sender names another one.
    pub resp_uri: Cow<'a, str>,
    /// The kind of the credentials.
    pub credentials: Credentials,
    /// The largest message the sender can receive, in octets of this notation.
    pub max_msg_size: Option<u32>,
    /// The largest object the sender can receive.
    pub max_obj_size: Option<u32>,
    /// The message is the last of its package.
    pub is_final: bool,
}

/// The kind of credentials in a SyncHdr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// No authentication.
    #[default]
    None,
    /// `syncml:auth-basic`.
    Basic,
    /// `syncml:auth-md5`.
    Md5,
    /// `syncml:auth-MAC`: the transport carries a digest of the whole message.
    Mac,
    /// Another type, or no type named.
    Other,
}

/// The purpose of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Data synchronization.
    Data,
    /// Device management.
    Management,
    /// VerProto names neither purpose.
    Unknown,
}

impl SyncHdr<'_> {
    /// Data synchronization or device management, by VerProto.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        match self.ver_proto.split('/').next() {
            Some("SyncML") => Purpose::Data,
            Some("DM") => Purpose::Management,
            _ => Purpose::Unknown,
        }
    }
}

/// Parses the SyncHdr at the beginning of `message`. `None` if the message has no complete one.
#[must_use]
pub fn peek(message: &[u8]) -> Option<SyncHdr<'_>> {
    // Nearly every header ends within the first window; one with a huge URI gets a second chance.
    header(message, WINDOW).or_else(|| match Encoding::of(message) {
        Some(Encoding::Xml) if message.len() > WINDOW => header(message, 32 * WINDOW),
        _ => None,
    })
}

const WINDOW: usize = 2048;

fn header(message: &[u8], window: usize) -> Option<SyncHdr<'_>> {
    let mut walk = Walk::new(message, window)?;
    let mut found = SyncHdr {
        encoding: Encoding::of(message)?,
        ver_dtd: Cow::default(),
        ver_proto: Cow::default(),
        session_id: Cow::default(),
        msg_id: Cow::default(),
        target: Cow::default(),
        source: Cow::default(),
        resp_uri: Cow::default(),
        credentials: Credentials::None,
        max_msg_size: None,
        max_obj_size: None,
        is_final: false,
    };
    // Four levels suffice: SyncML, SyncHdr, a field, its content.
    let mut path = [Element::Other; 8];
    let mut depth = 0usize;
    loop {
        match walk.next()? {
            Step::Start(element) => {
                match (depth, element) {
                    (0, Element::SyncMl) | (1, Element::SyncHdr) | (2.., _) => {}
                    _ => return None,
                }
                if let Some(place) = path.get_mut(depth) {
                    *place = element;
                }
                depth += 1;
                if depth == 3 && element == Element::Cred {
                    found.credentials = Credentials::Other;
                }
            }
            Step::End => {
                depth = depth.checked_sub(1)?;
                if depth == 1 {
                    found.is_final = is_final(message, found.encoding);
                    return Some(found);
                }
            }
            Step::Text(text) => {
                let inside = path.get(2..depth).unwrap_or_default();
                found.take(inside, text);
            }
        }
    }
}

impl<'a> SyncHdr<'a> {
    /// Text at this path below SyncHdr.
    fn take(&mut self, path: &[Element], text: Text<'a>) {
        let number = |text: Text<'_>| text.read()?.trim().parse().ok();
        let field = match path {
            [Element::VerDtd] => &mut self.ver_dtd,
            [Element::VerProto] => &mut self.ver_proto,
            [Element::SessionId] => &mut self.session_id,
            [Element::MsgId] => &mut self.msg_id,
            [Element::RespUri] => &mut self.resp_uri,
            [Element::Target, Element::LocUri] => &mut self.target,
            [Element::Source, Element::LocUri] => &mut self.source,
            [Element::Cred, Element::Meta, Element::Type] => {
                self.credentials = match text.read().as_deref() {
                    Some("syncml:auth-basic") => Credentials::Basic,
                    Some("syncml:auth-md5") => Credentials::Md5,
                    Some("syncml:auth-MAC") => Credentials::Mac,
                    Some(_) => Credentials::Other,
                    None => return,
                };
                return;
            }
            [Element::Meta, .., Element::MaxMsgSize] => {
                self.max_msg_size = number(text);
                return;
            }
            [Element::Meta, .., Element::MaxObjSize] => {
                self.max_obj_size = number(text);
                return;
            }
            _ => return,
        };
        let Some(text) = text.read() else {
            return;
        };
        if field.is_empty() {
            *field = text;
        } else {
            field.to_mut().push_str(&text);
        }
    }
}

/// Whether SyncBody ends with Final, by the last octets of the message.
fn is_final(message: &[u8], encoding: Encoding) -> bool {
    match encoding {
        // Final, END of SyncBody, END of SyncML. The tag of Final may have the content flag with
        // empty content.
        Encoding::Wbxml => {
            message.ends_with(&[0x12, 0x01, 0x01]) || message.ends_with(&[0x52, 0x01, 0x01, 0x01])
        }
        Encoding::Xml => {
            let mut rest = message;
            for name in [&b"SyncML"[..], b"SyncBody"] {
                match end_tag(rest, name) {
                    Some(before) => rest = before,
                    None => return false,
                }
            }
            let rest = rest.trim_ascii_end();
            end_tag(rest, b"Final").is_some() || empty_tag(rest, b"Final")
        }
    }
}

/// The text before an end tag of this name, with or without a prefix, at the end of `text`.
fn end_tag<'t>(text: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
    let tag = text
        .trim_ascii_end()
        .strip_suffix(b">")?
        .trim_ascii_end()
        .strip_suffix(name)?;
    let prefix = tag.iter().rev().take(64).position(|&octet| octet == b'<')?;
    let (before, tag) = tag.split_at_checked(tag.len() - prefix - 1)?;
    matches!(tag, [b'<', b'/'] | [b'<', b'/', .., b':']).then_some(before)
}

fn empty_tag(text: &[u8], name: &[u8]) -> bool {
    let tag = text
        .strip_suffix(b"/>")
        .and_then(|tag| tag.trim_ascii_end().strip_suffix(name));
    tag.is_some_and(|tag| tag.ends_with(b"<") || tag.ends_with(b":"))
}

impl fmt::Debug for SyncHdr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncHdr")
            .field("encoding", &self.encoding)
            .field("ver_proto", &self.ver_proto)
            .field("session_id", &self.session_id)
            .field("msg_id", &self.msg_id)
            .field("credentials", &self.credentials)
            .field("max_msg_size", &self.max_msg_size)
            .field("max_obj_size", &self.max_obj_size)
            .field("is_final", &self.is_final)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const XML: &str = "<?xml version=\"1.0\"?><SyncML xmlns='SYNCML:SYNCML1.1'><SyncHdr><VerDTD>1.1</VerDTD>\
        <VerProto>SyncML/1.1</VerProto><SessionID>5</SessionID><MsgID>2</MsgID>\
        <Target><LocURI>http://a/?b&amp;c</LocURI></Target><Source><LocURI>IMEI:1</LocURI><LocName>bob</LocName></Source>\
        <RespURI>http://a/r</RespURI><Cred><Meta><Type xmlns='syncml:metinf'>syncml:auth-md5</Type></Meta>\
        <Data>c2VjcmV0</Data></Cred><Meta><MaxMsgSize xmlns='syncml:metinf'>150000</MaxMsgSize>\
        <MaxObjSize xmlns='syncml:metinf'>4000000</MaxObjSize></Meta></SyncHdr><SyncBody><Final/></SyncBody></SyncML>";

    #[test]
    fn both_notations_say_the_same() {
        let xml = peek(XML.as_bytes()).unwrap();
        let mut wbxml = Vec::new();
        crate::wbxml::xml::from_xml(XML.as_bytes(), &Default::default(), &mut wbxml).unwrap();
        let binary = peek(&wbxml).unwrap();
        assert_eq!(
            SyncHdr {
                encoding: Encoding::Wbxml,
                ..xml.clone()
            },
            binary
        );
        assert_eq!(
            (&*xml.ver_dtd, &*xml.session_id, &*xml.msg_id),
            ("1.1", "5", "2")
        );
        assert_eq!((&*xml.target, &*xml.source), ("http://a/?b&c", "IMEI:1"));
        assert_eq!(
            (&*xml.resp_uri, xml.credentials),
            ("http://a/r", Credentials::Md5)
        );
        assert_eq!(
            (xml.max_msg_size, xml.max_obj_size),
            (Some(150_000), Some(4_000_000))
        );
        assert!(xml.is_final);
        assert_eq!(xml.purpose(), Purpose::Data);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let printed = format!("{:?}", peek(XML.as_bytes()).unwrap());
        for secret in ["IMEI", "bob", "c2VjcmV0"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }

    #[test]
    fn final_is_seen_however_it_is_written() {
        let ends = |end: &str| {
            peek(XML.replace("<Final/></SyncBody></SyncML>", end).as_bytes())
                .unwrap()
                .is_final
        };
        assert!(ends("<Final></Final></SyncBody></SyncML>"));
        assert!(ends("<s:Final /> \n</s:SyncBody>\r\n</s:SyncML >\n"));
        assert!(!ends("</SyncBody></SyncML>"));
        assert!(!ends("<Alert/></SyncBody></SyncML>"));
        assert!(!ends("<NotFinal/></SyncBody></SyncML>"));
    }

    #[test]
    fn what_is_no_message_has_no_header() {
        for wrong in [
            &b""[..],
            b"<a/>",
            b"<SyncML><SyncBody/></SyncML>",
            b"<SyncML><SyncHdr><VerDTD>",
            b"\x02\x9F\x53",
        ] {
            assert_eq!(peek(wrong), None);
        }
    }

    #[test]
    fn a_header_longer_than_the_window_is_read() {
        let long = XML.replace("http://a/r", &"x".repeat(WINDOW));
        assert_eq!(peek(long.as_bytes()).unwrap().resp_uri.len(), WINDOW);
    }

    proptest! {
        #[test]
        fn arbitrary_octets_never_panic(octets: Vec<u8>, cut in 0usize..400) {
            let _ = peek(&octets);
            let _ = peek(XML.as_bytes().get(..cut).unwrap_or_default());
        }
    }
}
