//! Octets in words: datagrams, messages and captures, layer by layer.
//!
//! Malformed octets are explained up to the first error. The error is a [`Node`] of its own at its
//! octet, and names the expected octets.

mod annotator;
mod capture;
mod detect;
mod digest;
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

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use self::annotator::Annotator;
pub use self::capture::{CaptureError, Packet, packets};
pub use self::detect::{Candidate, candidates, detect, is_media_type, is_text, nearest};
pub use self::digest::digest_fits;
use self::packet::tcp;
pub use self::packet::{Udp, udp};
use self::stream::Streams;
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

/// A UDP datagram of a capture, or an OBEX packet of a TCP connection to port 650, explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CapturedDatagram {
    /// The packet's number in the capture, from one, as other tools count; of an OBEX packet in
    /// several segments the last one's.
    pub number: usize,
    /// The time of the capture, since 1970.
    pub time: Duration,
    /// The sender.
    pub source: SocketAddr,
    /// The receiver.
    pub destination: SocketAddr,
    /// The meaning of its payload.
    pub explanation: Explanation,
    /// What is in its WTLS records, as far as their secrets are known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plaintexts: Vec<Plaintext>,
}

/// The plaintext of a WTLS record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plaintext {
    /// The sequence number of the record.
    pub sequence: u16,
    /// What the plaintext says. Offsets count from its start.
    pub explanation: Explanation,
}

impl CapturedDatagram {
    /// The first thing that is wrong.
    #[must_use]
    pub fn fault(&self) -> Option<&Node> {
        let inside = self
            .plaintexts
            .iter()
            .find_map(|plaintext| plaintext.explanation.fault());
        self.explanation.fault().or(inside)
    }
}

/// Explains the UDP datagrams and the OBEX packets of a capture, and skips other packets. A packet that the capture cut
/// short is explained up to its end.
///
/// # Errors
///
/// The file is no capture. An incomplete packet at the end is no error.
pub fn captured(file: &[u8]) -> Result<impl Iterator<Item = CapturedDatagram>, CaptureError> {
    captured_by(file, |_, _| None)
}

/// The same, with the plaintext of WTLS records as far as the observer's key log has their secrets.
/// At ports that are not assigned, a conversation is one of WTLS if the key log has a secret of it.
///
/// # Errors
///
/// As [`captured`].
#[cfg(feature = "wtls")]
pub fn captured_with_secrets(
    file: &[u8],
    mut observer: crate::wtls::Observer,
) -> Result<impl Iterator<Item = CapturedDatagram>, CaptureError> {
    let mut conversations = Conversations::default();
    captured_by(file, move |udp, assigned| {
        let (records, _) = crate::wtls::records(udp.payload);
        let is_known = || observer.knows(udp.source, udp.destination, &records);
        if !assigned.map_or_else(is_known, |kind| kind == Kind::Wtls) {
            return None;
        }
        let open = |record: crate::wtls::Record<'_>| {
            let octets = observer.open(udp.source, udp.destination, &record)?;
            let explanation = match record.content_type {
                crate::wtls::ContentType::ApplicationData => {
                    let kind = inside(udp.source.port(), udp.destination.port());
                    let kind = kind.unwrap_or_else(|| conversations.kind(udp, &octets));
                    explain(kind, &octets)
                }
                other => with(Kind::Wtls, &octets, |annotator| {
                    wtls::content(annotator, other);
                }),
            };
            Some(Plaintext {
                sequence: record.sequence,
                explanation,
            })
        };
        Some((Kind::Wtls, records.into_iter().filter_map(open).collect()))
    })
}

/// What the records of the assigned ports carry.
#[cfg(feature = "wtls")]
fn inside(source: u16, destination: u16) -> Option<Kind> {
    let of = |port| match port {
        9203 => Some(Kind::Wtp),
        9202 | 2949 => Some(Kind::WspConnectionless),
        _ => None,
    };
    of(destination).or_else(|| of(source))
}

/// `secure`: the kind and the plaintexts of a datagram, given the kind of its ports, if the datagram
/// is one of WTLS.
fn captured_by(
    file: &[u8],
    mut secure: impl FnMut(&Udp<'_>, Option<Kind>) -> Option<(Kind, Vec<Plaintext>)>,
) -> Result<impl Iterator<Item = CapturedDatagram>, CaptureError> {
    let numbered = packets(file)?.enumerate();
    let mut conversations = Conversations::default();
    let mut streams = Streams::default();
    Ok(numbered.flat_map(move |(place, packet)| {
        let Some(udp) = udp(packet.link, packet.data) else {
            let Some(tcp) = tcp(packet.link, packet.data) else {
                return Vec::new();
            };
            let packets = streams.packets(&tcp).into_iter();
            let explained = packets.map(|octets| CapturedDatagram {
                number: place + 1,
                time: packet.time,
                source: tcp.source,
                destination: tcp.destination,
                explanation: explain(Kind::Obex, &octets),
                plaintexts: Vec::new(),
            });
            return explained.collect();
        };
        let assigned = service(udp.source.port(), udp.destination.port());
        let (kind, plaintexts) = secure(&udp, assigned).unwrap_or_else(|| {
            let kind = assigned.unwrap_or_else(|| conversations.kind(&udp, udp.payload));
            (kind, Vec::new())
        });
        vec![CapturedDatagram {
            number: place + 1,
            time: packet.time,
            source: udp.source,
            destination: udp.destination,
            explanation: explain(kind, udp.payload),
            plaintexts,
        }]
    }))
}

/// The kinds of the conversations at ports that are not assigned, by their ends.
#[derive(Default)]
struct Conversations(BTreeMap<(SocketAddr, SocketAddr), Kind>);

impl Conversations {
    /// The kind of octets in a datagram. A segment or an Ack cannot be recognised alone: it has the
    /// kind of the earlier octets between the same ends.
    fn kind(&mut self, udp: &Udp<'_>, octets: &[u8]) -> Kind {
        let (one, other) = (udp.source, udp.destination);
        let ends = (one.min(other), one.max(other));
        match detect(octets) {
            Some(kind) => *self.0.entry(ends).or_insert(kind),
            None => self.0.get(&ends).copied().unwrap_or(Kind::Unknown),
        }
    }
}

/// The kind of a datagram, by the assigned ports (WAP-259 appendix B).
fn service(source: u16, destination: u16) -> Option<Kind> {
    let of = |port| match port {
        9201 => Some(Kind::Wtp),
        9200 | 2948 => Some(Kind::WspConnectionless),
        #[cfg(feature = "wtls")]
        9202 | 9203 | 2949 => Some(Kind::Wtls),
        _ => None,
    };
    of(destination).or_else(|| of(source))
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

impl fmt::Display for CapturedDatagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.time.as_secs(), self.time.subsec_micros());
        let (number, source, destination) = (self.number, self.source, self.destination);
        writeln!(
            f,
            "packet {number} at {seconds}.{micros:06}, {source} to {destination}"
        )?;
        self.explanation.fmt(f)?;
        for plaintext in &self.plaintexts {
            writeln!(f, "plaintext of record {}", plaintext.sequence)?;
            plaintext.explanation.fmt(f)?;
        }
        Ok(())
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

    /// A pcap file of IPv4 packets (LINKTYPE_RAW) with TCP segments of a client to port 650.
    #[test]
    fn obex_of_a_capture_is_explained_packet_by_packet() {
        let mut file = vec![0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        file.extend([0xFF, 0xFF, 0, 0, 101, 0, 0, 0]);
        let connect = b"\x80\x00\x07\x10\x00\x04\x00";
        let disconnect = b"\x81\x00\x03";
        let stream = [&connect[..], disconnect].concat();
        for (sequence, payload) in [(1, &stream[..4]), (5, &stream[4..])] {
            let len = u8::try_from(40 + payload.len()).unwrap();
            // IPv4 without options, protocol 6, then TCP from 4711 to 650 with ACK.
            let mut packet = vec![0x45, 0, 0, len, 0, 0, 0, 0, 64, 6, 0, 0];
            packet.extend([192, 0, 2, 1, 192, 0, 2, 2]);
            packet.extend([0x12, 0x67, 0x02, 0x8A, 0, 0, 0, sequence]);
            packet.extend([0, 0, 0, 0, 0x50, 0x10, 4, 0, 0, 0, 0, 0]);
            packet.extend(payload);
            file.extend([[0; 4], [0; 4], [len, 0, 0, 0], [len, 0, 0, 0]].concat());
            file.extend(packet);
        }
        let found: Vec<_> = captured(&file).unwrap().collect();
        assert_eq!(found.len(), 2);
        assert!(
            found
                .iter()
                .all(|packet| packet.number == 2 && packet.fault().is_none())
        );
        assert!(
            found[0].to_string().contains("OBEX CONNECT"),
            "{}",
            found[0]
        );
        assert!(
            found[1].to_string().contains("OBEX DISCONNECT"),
            "{}",
            found[1]
        );
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
