//! Octets in words: what a datagram, a message or a capture says, layer by layer.
//!
//! Everything is explained as far as it goes. What is wrong is a [`Node`] of its own, at the octet where it is
//! wrong, saying what should stand there.

mod capture;
mod packet;
mod syncml;
mod walk;
mod wsp;
mod wtp;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

pub use self::capture::{CaptureError, Packet, packets};
pub use self::packet::{Udp, udp};
use self::walk::Walk;

/// An annotated tree over some octets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Which layer the octets were taken for.
    pub kind: Kind,
    /// How many octets there are.
    pub len: usize,
    /// What they say, in their order.
    pub nodes: Vec<Node>,
}

/// Some octets and what they mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Octets from the start.
    pub offset: usize,
    /// How many octets it is about; none if something should stand here and does not.
    pub len: usize,
    /// The octets, in hexadecimal when serialised. A node with parts leaves them to its parts.
    #[serde(serialize_with = "hexadecimal")]
    pub octets: Vec<u8>,
    /// Their meaning in words.
    pub meaning: String,
    /// Whether this says what is wrong.
    pub fault: bool,
    /// The smaller things it is made of.
    pub parts: Vec<Self>,
}

/// What octets are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A capture file, pcap or pcapng.
    Capture,
    /// A datagram of WTP, with what it carries.
    Wtp,
    /// A message of connection-mode WSP.
    Wsp,
    /// A datagram of connectionless WSP.
    WspConnectionless,
}

/// Explains a datagram of port 9201: WTP and the WSP in it.
#[must_use]
pub fn wtp(datagram: &[u8]) -> Explanation {
    let mut walk = Walk::new(datagram);
    wtp::datagram(&mut walk);
    Explanation::new(Kind::Wtp, datagram, walk)
}

/// Explains a WSP message: what WTP carries, or, if `connectionless`, a datagram of port 9200.
#[must_use]
pub fn wsp(sdu: &[u8], connectionless: bool) -> Explanation {
    let mut walk = Walk::new(sdu);
    wsp::sdu(&mut walk, connectionless);
    let kind = match connectionless {
        true => Kind::WspConnectionless,
        false => Kind::Wsp,
    };
    Explanation::new(kind, sdu, walk)
}

/// Guesses what octets are: a capture by its first ones, else the first layer in which nothing is wrong, else
/// the one in which most makes sense before something is.
#[must_use]
pub fn detect(octets: &[u8]) -> Kind {
    if capture::is_capture(octets) {
        return Kind::Capture;
    }
    let candidates = [wtp(octets), wsp(octets, false), wsp(octets, true)];
    let score = |explained: &Explanation| explained.fault().map_or(usize::MAX, |node| node.offset);
    // Of several equal ones the first: more traffic is WTP than anything else.
    let best = candidates
        .iter()
        .rev()
        .max_by_key(|explained| score(explained));
    best.map_or(Kind::Wtp, |explained| explained.kind)
}

/// Explains octets that are no capture as what they are taken for.
#[must_use]
pub fn explain(kind: Kind, octets: &[u8]) -> Explanation {
    match kind {
        Kind::Wtp | Kind::Capture => wtp(octets),
        Kind::Wsp => wsp(octets, false),
        Kind::WspConnectionless => wsp(octets, true),
    }
}

/// A UDP datagram of a capture, explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Captured {
    /// The packet's number in the capture, from one, as other tools count.
    pub number: usize,
    /// When it was captured, since 1970.
    pub time: Duration,
    /// Who sent it.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
    /// What it says.
    pub explanation: Explanation,
}

/// Explains the UDP datagrams of a capture; other packets are passed over. A packet cut short by the capture
/// is explained as far as it goes.
///
/// # Errors
///
/// The file is no capture. A capture that ends in the middle of a packet just ends.
pub fn captured(file: &[u8]) -> Result<impl Iterator<Item = Captured>, CaptureError> {
    let numbered = packets(file)?.enumerate();
    Ok(numbered.filter_map(|(place, packet)| {
        let udp = udp(packet.link, packet.data)?;
        let explanation = match service(udp.source.port(), udp.destination.port()) {
            Some(kind) => explain(kind, udp.payload),
            None => explain(detect(udp.payload), udp.payload),
        };
        Some(Captured {
            number: place + 1,
            time: packet.time,
            source: udp.source,
            destination: udp.destination,
            explanation,
        })
    }))
}

/// What the assigned ports say of a datagram's content (WAP-259 appendix B).
fn service(source: u16, destination: u16) -> Option<Kind> {
    let of = |port| match port {
        9201 => Some(Kind::Wtp),
        9200 | 2948 => Some(Kind::WspConnectionless),
        _ => None,
    };
    of(destination).or_else(|| of(source))
}

impl Explanation {
    fn new(kind: Kind, octets: &[u8], walk: Walk<'_>) -> Self {
        Self {
            kind,
            len: octets.len(),
            nodes: walk.finish(),
        }
    }

    /// The first thing that is wrong.
    #[must_use]
    pub fn fault(&self) -> Option<&Node> {
        self.nodes.iter().find_map(Node::first_fault)
    }
}

impl Node {
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
        let (offset, meaning) = (self.offset, &self.meaning);
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

impl fmt::Display for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.time.as_secs(), self.time.subsec_micros());
        let (number, source, destination) = (self.number, self.source, self.destination);
        writeln!(
            f,
            "packet {number} at {seconds}.{micros:06}, {source} to {destination}"
        )?;
        self.explanation.fmt(f)
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

    #[test]
    fn kinds_are_told_apart() {
        assert_eq!(detect(INVOKE), Kind::Wtp);
        assert_eq!(
            detect(b"\x00\x04\x18\x92\x34\x00\x04\x20\x92\x35\x01"),
            Kind::Wtp
        );
        assert_eq!(detect(&INVOKE[4..]), Kind::Wsp);
        assert_eq!(detect(b"\x01\x10\x00\x00"), Kind::Wsp);
        assert_eq!(detect(b"\x77\x40\x02/a\x80\x94"), Kind::WspConnectionless);
        assert_eq!(detect(b"\xD4\xC3\xB2\xA1\0\0\0\0"), Kind::Capture);
    }

    proptest! {
        #[test]
        fn any_octets_are_explained_within_their_bounds(octets: Vec<u8>, kind in 0..3u8) {
            let explained = match kind {
                0 => wtp(&octets),
                _ => wsp(&octets, kind == 1),
            };
            fn check(node: &Node, len: usize) -> bool {
                node.offset + node.len <= len && node.parts.iter().all(|part| check(part, len))
            }
            prop_assert!(explained.nodes.iter().all(|node| check(node, octets.len())), "{explained}");
            let _ = (explained.to_string(), detect(&octets));
        }

        #[test]
        fn an_invoke_with_any_content_is_explained(content: Vec<u8>) {
            let datagram = [&INVOKE[..4], &content].concat();
            let _ = wtp(&datagram).to_string();
        }
    }
}
