//! Explains the packets of a capture, one after the other.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use super::capture::{CaptureError, Packet, packets};
use super::packet::{Udp, tcp, udp};
use super::stream::Streams;
use super::{Explanation, Kind, Node, detect, explain};
#[cfg(feature = "wtls")]
use super::{with, wtls};

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
/// short is explained up to its end. What it remembers of conversations is bounded: a capture may go on without end.
#[derive(Debug, Default)]
pub struct Dissector {
    conversations: Conversations,
    streams: Streams,
    /// Opens WTLS records, and remembers what was in them.
    #[cfg(feature = "wtls")]
    secrets: Option<(crate::wtls::Observer, Conversations)>,
}

impl Dissector {
    /// A dissector that shows the plaintext of WTLS records as far as the observer's key log has their secrets. At ports
    /// that are not assigned, a conversation is one of WTLS if the key log has a secret of it.
    #[cfg(feature = "wtls")]
    #[must_use]
    pub fn with_secrets(observer: crate::wtls::Observer) -> Self {
        Self {
            secrets: Some((observer, Conversations::default())),
            ..Self::default()
        }
    }

    /// Explains a packet, which has this number in the capture.
    pub fn explain(&mut self, number: usize, packet: &Packet<'_>) -> Vec<CapturedDatagram> {
        let Some(udp) = udp(packet.link, packet.data) else {
            let Some(tcp) = tcp(packet.link, packet.data) else {
                return Vec::new();
            };
            let packets = self.streams.packets(&tcp).into_iter();
            let explained = packets.map(|octets| CapturedDatagram {
                number,
                time: packet.time,
                source: tcp.source,
                destination: tcp.destination,
                explanation: explain(Kind::Obex, &octets),
                plaintexts: Vec::new(),
            });
            return explained.collect();
        };
        let assigned = service(udp.source.port(), udp.destination.port());
        let (kind, plaintexts) = self.secure(&udp, assigned).unwrap_or_else(|| {
            let kind = assigned.unwrap_or_else(|| self.conversations.kind(&udp, udp.payload));
            (kind, Vec::new())
        });
        vec![CapturedDatagram {
            number,
            time: packet.time,
            source: udp.source,
            destination: udp.destination,
            explanation: explain(kind, udp.payload),
            plaintexts,
        }]
    }

    /// The kind and the plaintexts of a datagram, given the kind of its ports, if the datagram is
    /// one of WTLS and there are secrets.
    #[cfg(feature = "wtls")]
    fn secure(&mut self, udp: &Udp<'_>, assigned: Option<Kind>) -> Option<(Kind, Vec<Plaintext>)> {
        let (observer, conversations) = self.secrets.as_mut()?;
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
    }

    #[cfg(not(feature = "wtls"))]
    #[expect(clippy::unused_self, reason = "the other build has secrets")]
    const fn secure(&mut self, _: &Udp<'_>, _: Option<Kind>) -> Option<(Kind, Vec<Plaintext>)> {
        None
    }
}

/// Explains a whole capture.
///
/// # Errors
///
/// The file is no capture. An incomplete packet at the end is no error.
pub fn captured(file: &[u8]) -> Result<impl Iterator<Item = CapturedDatagram>, CaptureError> {
    let numbered = (1..).zip(packets(file)?);
    let mut dissector = Dissector::default();
    Ok(numbered.flat_map(move |(number, packet)| dissector.explain(number, &packet)))
}

/// The kinds of the conversations at ports that are not assigned, by their ends.
#[derive(Debug, Default)]
struct Conversations(BTreeMap<(SocketAddr, SocketAddr), Kind>);

impl Conversations {
    /// The kind of octets in a datagram. A segment or an Ack cannot be recognised alone: it has the
    /// kind of the earlier octets between the same ends.
    fn kind(&mut self, udp: &Udp<'_>, octets: &[u8]) -> Kind {
        let (one, other) = (udp.source, udp.destination);
        let ends = (one.min(other), one.max(other));
        match detect(octets) {
            Some(kind) => {
                // Any conversation is forgotten: its next datagram that can be recognised brings it back.
                if self.0.len() >= MOST_CONVERSATIONS && !self.0.contains_key(&ends) {
                    self.0.pop_first();
                }
                *self.0.entry(ends).or_insert(kind)
            }
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

/// Conversations whose kind is remembered.
const MOST_CONVERSATIONS: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

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
    fn conversations_without_end_take_bounded_memory() {
        let mut conversations = Conversations::default();
        let destination = SocketAddr::from(([192, 0, 2, 1], 4_000));
        for number in 0..MOST_CONVERSATIONS + 10 {
            let [.., high, middle, low] = number.to_be_bytes();
            let udp = Udp {
                source: SocketAddr::from(([10, high, middle, low], 4_000)),
                destination,
                payload: b"\x0A\x12\x34\x02\x40\x02/a",
            };
            assert_eq!(conversations.kind(&udp, udp.payload), Kind::Wtp);
        }
        assert_eq!(conversations.0.len(), MOST_CONVERSATIONS);
    }
}
