//! Octets in words: datagrams, messages and captures, layer by layer.
//!
//! Malformed octets are explained up to the first error. The error is a [`Node`] of its own at its
//! octet, and names the expected octets.

mod annotator;
mod capture;
mod detect;
mod digest;
mod dissector;
mod document;
mod notification;
mod obex;
mod packet;
mod sms;
mod stream;
mod syncml;
mod wsp;
#[cfg(feature = "wtls")]
mod wtls;
mod wtp;

use std::fmt;

use serde::Serialize;

use self::annotator::Annotator;
pub use self::capture::{CaptureError, CaptureStream, Packet, is_capture, packets};
pub use self::detect::{Candidate, candidates, detect, is_media_type, is_text, nearest};
pub use self::digest::digest_fits;
pub use self::dissector::{CapturedDatagram, Dissector, Plaintext, captured};
pub use self::packet::{Udp, ends, udp};
use crate::printable::Printable;

/// An annotated tree over some octets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The layer in which the octets are explained.
    pub kind: Kind,
    /// The number of octets.
    pub len: usize,
    /// The notes on the octets, in their order.
    pub nodes: Vec<Node>,
}

/// A range of octets and its meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// The offset of the range from the start.
    pub offset: usize,
    /// The length of the range; 0 where an expected part is missing.
    pub len: usize,
    /// The octets, in hexadecimal when serialised. A node with parts leaves them to its parts.
    #[serde(serialize_with = "hexadecimal")]
    pub octets: Vec<u8>,
    /// Their meaning in words.
    pub meaning: String,
    /// Whether the meaning is an error.
    pub fault: bool,
    /// The parts of the range.
    pub parts: Vec<Self>,
}

/// A layer, or a kind of file or document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A capture file, pcap or pcapng.
    Capture,
    /// A datagram of WTP, with its WSP messages.
    Wtp,
    /// A message of connection-mode WSP.
    Wsp,
    /// A datagram of connectionless WSP.
    WspConnectionless,
    /// A datagram of WTLS: records.
    #[cfg(feature = "wtls")]
    Wtls,
    /// A WBXML document.
    Wbxml,
    /// A server-alerted notification of OMA DS or DM.
    Notification,
    /// The user data of a short message: its header, and a datagram or a part of one.
    Sms,
    /// Packets of OBEX, in the order of one direction of a connection.
    Obex,
    /// None of these.
    Unknown,
}

impl fmt::Display for Kind {
    /// The name that `decode --as` takes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Capture => "pcap",
            Self::Wtp => "wtp",
            Self::Wsp => "wsp",
            Self::WspConnectionless => "wsp-connectionless",
            #[cfg(feature = "wtls")]
            Self::Wtls => "wtls",
            Self::Wbxml => "wbxml",
            Self::Notification => "notification",
            Self::Sms => "sms",
            Self::Obex => "obex",
            Self::Unknown => "unknown",
        })
    }
}

/// Explains a datagram of port 9201: WTP and the WSP in it.
#[must_use]
pub fn wtp(datagram: &[u8]) -> Explanation {
    with(Kind::Wtp, datagram, wtp::datagram)
}

/// Explains a WSP message: one from WTP, or, if `connectionless`, a datagram of port 9200.
#[must_use]
pub fn wsp(sdu: &[u8], connectionless: bool) -> Explanation {
    let kind = match connectionless {
        true => Kind::WspConnectionless,
        false => Kind::Wsp,
    };
    with(kind, sdu, |annotator| wsp::sdu(annotator, connectionless))
}

/// Explains octets as one of this kind. For a capture see [`captured`].
#[must_use]
pub fn explain(kind: Kind, octets: &[u8]) -> Explanation {
    match kind {
        Kind::Wtp | Kind::Capture => wtp(octets),
        Kind::Wsp => wsp(octets, false),
        Kind::WspConnectionless => wsp(octets, true),
        #[cfg(feature = "wtls")]
        Kind::Wtls => with(kind, octets, wtls::datagram),
        Kind::Wbxml => with(kind, octets, document::nodes),
        Kind::Notification => with(kind, octets, notification::nodes),
        Kind::Sms => with(kind, octets, sms::nodes),
        Kind::Obex => with(kind, octets, obex::nodes),
        Kind::Unknown => with(kind, octets, |annotator| {
            let len = annotator.rest().len();
            annotator.annotate(len, format!("not recognised: {len} octets"));
        }),
    }
}

fn with(kind: Kind, octets: &[u8], nodes: impl FnOnce(&mut Annotator<'_>)) -> Explanation {
    let mut annotator = Annotator::new(octets);
    nodes(&mut annotator);
    Explanation::new(kind, octets, annotator)
}

impl Explanation {
    fn new(kind: Kind, octets: &[u8], annotator: Annotator<'_>) -> Self {
        Self {
            kind,
            len: octets.len(),
            nodes: annotator.finish(),
        }
    }

    /// The first error.
    #[must_use]
    pub fn fault(&self) -> Option<&Node> {
        self.nodes.iter().find_map(Node::first_fault)
    }
}

impl Explanation {
    /// Whether a document was recognised in some body.
    fn has_document(&self) -> bool {
        fn is_document(node: &Node) -> bool {
            let starts = ["SyncML", "WBXML "];
            starts.iter().any(|start| node.meaning.starts_with(start))
                || node.parts.iter().any(is_document)
        }
        self.nodes.iter().any(is_document)
    }
}

impl Node {
    fn missing(offset: usize, expected: &str) -> Self {
        Self {
            offset,
            len: 0,
            octets: Vec::new(),
            meaning: format!("{expected} was expected here"),
            fault: true,
            parts: Vec::new(),
        }
    }

    fn first_fault(&self) -> Option<&Self> {
        if self.fault {
            return Some(self);
        }
        self.parts.iter().find_map(Self::first_fault)
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        const SHOWN: usize = 8;
        let mut hex = String::new();
        for octet in self.octets.iter().take(SHOWN) {
            hex.push_str(&format!("{octet:02x} "));
        }
        if self.octets.len() > SHOWN {
            hex.push('…');
        }
        let mark = if self.fault { "! " } else { "" };
        let indent = 2 * depth;
        let (offset, meaning) = (self.offset, Printable(&self.meaning));
        let line = format!("{offset:04x}  {hex:<26}{:indent$}{mark}{meaning}", "");
        writeln!(f, "{}", line.trim_end())?;
        self.parts
            .iter()
            .try_for_each(|part| part.write(f, depth + 1))
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.nodes.iter().try_for_each(|node| node.write(f, 0))
    }
}

fn hexadecimal<S: serde::Serializer>(octets: &[u8], to: S) -> Result<S::Ok, S::Error> {
    let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    to.serialize_str(&hex)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An Invoke that carries a Get of `/a` with two fields.
    const INVOKE: &[u8] = b"\x0A\x12\x34\x02\x40\x02/a\x80\x94\x81\xEA";

    #[test]
    fn an_invoke_is_explained_down_to_its_fields() {
        assert_eq!(
            wtp(INVOKE).to_string(),
            "\
0000                            WTP Invoke
0000  0a                          Invoke, last packet of the message
0001  12 34                       TID 0x1234, from the initiator
0003  02                          version 0, class 2
0004                              WSP Get
0004  40                            GET
0005  02                            URI length: 2
0006  2f 61                         URI: /a
0008                                headers
0008  80 94                           accept: application/vnd.wap.wmlc
000a  81 ea                           accept-charset: utf-8
"
        );
        assert_eq!(wtp(INVOKE).fault(), None);
    }

    #[test]
    fn a_fault_stands_where_it_is() {
        let cut = wtp(&INVOKE[..11]);
        let fault = cut.fault().unwrap();
        assert_eq!(fault.offset, 11);
        assert_eq!(fault.meaning, "a field's value was expected here");
    }

    proptest! {
        #[test]
        fn any_octets_are_explained_within_their_bounds(octets: Vec<u8>, kind in prop::sample::select(vec![Kind::Wtp, Kind::Wsp, Kind::WspConnectionless, Kind::Wbxml, Kind::Notification, Kind::Sms, Kind::Obex])) {
            let explained = explain(kind, &octets);
            fn check(node: &Node, len: usize) -> bool {
                node.offset + node.len <= len && node.parts.iter().all(|part| check(part, len))
            }
            prop_assert!(explained.nodes.iter().all(|node| check(node, octets.len())), "{explained}");
            let _ = (explained.to_string(), detect(&octets), nearest(&octets));
        }

        #[test]
        fn an_invoke_with_any_content_is_explained(content: Vec<u8>) {
            let datagram = [&INVOKE[..4], &content].concat();
            let _ = wtp(&datagram).to_string();
        }
    }
}
