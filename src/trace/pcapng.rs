//! A recording as a capture file, for Wireshark and similar programs.
//!
//! The packets are synthetic: IP and UDP headers with the true addresses, ports and checksums
//! around each datagram; the port of a datagram that came through a secure port is that of its
//! plaintext. Each packet has its summary as a comment, and its direction.

use std::net::{IpAddr, SocketAddr};

use super::observation::{Entry, Observation};
use super::recording::Recording;
use crate::wdp::{Peer, Service};

/// Appends the blocks before the packets to `out`.
pub fn begin(recording: &Recording, out: &mut Vec<u8>) {
    let note = match recording.is_raw() {
        true => {
            "Everything is as it was, credentials included: keep this file as you would keep passwords."
        }
        false => "Credentials, contents and what could not be read are overwritten with asterisks.",
    };
    let application = concat!("wapbridge ", env!("CARGO_PKG_VERSION"));
    block(out, SECTION_HEADER, |body| {
        body.extend_from_slice(&0x1A2B_3C4D_u32.to_le_bytes());
        body.extend_from_slice(&[1, 0, 0, 0]);
        body.extend_from_slice(&[0xFF; 8]);
        option(body, COMMENT, note.as_bytes());
        option(body, SHB_USERAPPL, application.as_bytes());
        option(body, END, &[]);
    });
    block(out, INTERFACE_DESCRIPTION, |body| {
        body.extend_from_slice(&LINKTYPE_RAW.to_le_bytes());
        // Reserved; no bound on a packet's length.
        body.extend_from_slice(&[0; 6]);
        option(body, IF_NAME, b"wapbridge");
        option(body, IF_TSRESOL, &[6]);
        option(body, END, &[]);
    });
}

/// Appends the entry of this number to `out`, if there is one and it is a datagram.
pub fn packet(recording: &Recording, number: usize, out: &mut Vec<u8>) {
    let Some(Entry {
        at,
        seen:
            Observation::Datagram {
                peer,
                service,
                sent,
                octets,
            },
        ..
    }) = recording.entries().get(number)
    else {
        return;
    };
    let comment = recording.event(number).map(|told| told.summary);
    let micros = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
    let packet = made_up(&shown(*peer, *service), *sent, octets);
    let len = u32::try_from(packet.len())
        .unwrap_or(u32::MAX)
        .to_le_bytes();
    block(out, ENHANCED_PACKET, |body| {
        body.extend_from_slice(&[0; 4]);
        let halves = micros.to_le_bytes();
        body.extend_from_slice(halves.get(4..).unwrap_or_default());
        body.extend_from_slice(halves.get(..4).unwrap_or_default());
        body.extend_from_slice(&len);
        body.extend_from_slice(&len);
        body.extend_from_slice(&packet);
        pad(body);
        option(body, COMMENT, comment.unwrap_or_default().as_bytes());
        let direction = if *sent { OUTBOUND } else { INBOUND };
        option(body, EPB_FLAGS, &direction.to_le_bytes());
        option(body, END, &[]);
    });
}

/// The addresses of a packet. Readers take a datagram at a secure port for WTLS records. The
/// capture has what was inside the record, so the packet gets the port of the same service without
/// WTLS.
fn shown(peer: Peer, service: Service) -> Peer {
    let port = match service {
        Service::SecureConnectionMode => 9201,
        Service::SecureConnectionless => 9200,
        Service::ConnectionMode | Service::Connectionless => return peer,
    };
    Peer::new(peer.remote.into(), SocketAddr::new(peer.local.ip(), port))
}

fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let mut octets = Vec::new();
    body(&mut octets);
    let len = u32::try_from(octets.len() + 12)
        .unwrap_or(u32::MAX)
        .to_le_bytes();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&len);
    out.extend_from_slice(&octets);
    out.extend_from_slice(&len);
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
    body.extend_from_slice(&code.to_le_bytes());
    body.extend_from_slice(&u16::try_from(value.len()).unwrap_or(0).to_le_bytes());
    body.extend_from_slice(value);
    pad(body);
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

/// The datagram in UDP in IP.
fn made_up(peer: &Peer, sent: bool, payload: &[u8]) -> Vec<u8> {
    let (remote, local) = (SocketAddr::from(peer.remote), SocketAddr::from(peer.local));
    let (from, to) = if sent {
        (local, remote)
    } else {
        (remote, local)
    };
    let len = u16::try_from(payload.len() + 8).unwrap_or(u16::MAX);
    let mut udp = Vec::with_capacity(payload.len() + 8);
    for field in [from.port(), to.port(), len, 0] {
        udp.extend_from_slice(&field.to_be_bytes());
    }
    udp.extend_from_slice(payload);
    let (ip, pseudo) = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let addresses = [from.octets(), to.octets()].concat();
            (
                ipv4(len, &addresses),
                [&addresses[..], &[0, UDP], &len.to_be_bytes()].concat(),
            )
        }
        (from, to) => {
            let addresses = [six(from), six(to)].concat();
            let head = [
                &[0x60, 0, 0, 0][..],
                &len.to_be_bytes(),
                &[UDP, HOPS],
                &addresses,
            ]
            .concat();
            (
                head,
                [&addresses[..], &[0, 0], &len.to_be_bytes(), &[0, 0, 0, UDP]].concat(),
            )
        }
    };
    // Zero would mean that there is no checksum.
    let sum = match checksum(&[&pseudo[..], &udp].concat()) {
        0 => 0xFFFF,
        sum => sum,
    };
    if let Some(place) = udp.get_mut(6..8) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
    [ip, udp].concat()
}

fn ipv4(len: u16, addresses: &[u8]) -> Vec<u8> {
    let total = len.saturating_add(20).to_be_bytes();
    // No options, no identification, do not fragment.
    let before = [&[0x45, 0][..], &total, &[0, 0, 0x40, 0, HOPS, UDP]].concat();
    let sum = checksum(&[&before[..], &[0, 0], addresses].concat());
    [&before[..], &sum.to_be_bytes(), addresses].concat()
}

fn six(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// RFC 1071.
fn checksum(octets: &[u8]) -> u16 {
    let words = octets.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        [high] => u32::from(*high) << 8,
        _ => 0,
    });
    let mut sum = words.fold(0u32, u32::wrapping_add);
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const LINKTYPE_RAW: u16 = 101;

const END: u16 = 0;
const COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

const UDP: u8 = 17;
const HOPS: u8 = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::explain;
    use crate::wsp::log_id::LogIds;

    fn recording(remote: &str, local: &str, payload: &[u8]) -> Recording {
        recording_of(Service::ConnectionMode, remote, local, payload)
    }

    fn recording_of(service: Service, remote: &str, local: &str, payload: &[u8]) -> Recording {
        let mut recording = Recording::new(1 << 20, true, LogIds::new(&[0; 16]));
        let peer = Peer::new(remote.parse().unwrap(), local.parse().unwrap());
        for sent in [false, true] {
            let octets = payload.to_vec();
            let seen = Observation::Datagram {
                peer,
                service,
                sent,
                octets,
            };
            recording.add(Duration::new(1_700_000_000, 123_456_000), seen);
        }
        recording.add(
            Duration::ZERO,
            Observation::Note("nothing of the air".to_owned()),
        );
        recording
    }

    #[test]
    fn our_own_reader_reads_it() {
        for (remote, local) in [
            ("192.0.2.7:49152", "192.0.2.1:9201"),
            ("[2001:db8::7]:49152", "[2001:db8::1]:9201"),
        ] {
            let mut file = Vec::new();
            let recording = recording(remote, local, b"\x0A\x12\x34\x02\x40\x02/a\x80\x94");
            begin(&recording, &mut file);
            (0..3).for_each(|number| packet(&recording, number, &mut file));
            let captured: Vec<_> = explain::captured(&file).unwrap().collect();
            assert_eq!(captured.len(), 2);
            assert_eq!(captured[0].time, Duration::new(1_700_000_000, 123_456_000));
            assert_eq!(captured[0].source.to_string(), remote);
            assert_eq!(captured[1].source.to_string(), local);
            assert_eq!(captured[1].explanation.fault(), None);
        }
    }

    /// Wireshark takes port 9203 for WTLS, and the plaintext at it for a malformed record.
    #[test]
    fn plaintext_of_a_secure_port_is_shown_at_the_port_of_its_service() {
        let mut file = Vec::new();
        let service = Service::SecureConnectionMode;
        let recording = recording_of(
            service,
            "192.0.2.7:49152",
            "192.0.2.1:9203",
            b"\x0A\x12\x34\x02\x40\x02/a\x80\x94",
        );
        assert!(recording.event(0).unwrap().secured);
        begin(&recording, &mut file);
        packet(&recording, 1, &mut file);
        let captured: Vec<_> = explain::captured(&file).unwrap().collect();
        assert_eq!(captured[0].source.to_string(), "192.0.2.1:9201");
        assert_eq!(captured[0].explanation.kind, explain::Kind::Wtp);
    }

    proptest! {
        #[test]
        fn checksums_are_right(payload: Vec<u8>, six: bool) {
            let (remote, local) = if six { ("[2001:db8::7]:1", "[2001:db8::1]:9201") } else { ("192.0.2.7:1", "192.0.2.1:9201") };
            let peer = Peer::new(remote.parse().unwrap(), local.parse().unwrap());
            let packet = made_up(&peer, false, &payload);
            let (head, addresses) = if six { (40, &packet[8..40]) } else { (20, &packet[12..20]) };
            if !six {
                prop_assert_eq!(checksum(&packet[..20]), 0);
            }
            let len = u16::try_from(packet.len() - head).unwrap();
            let sum = [addresses, &[0, UDP], &len.to_be_bytes(), &packet[head..]].concat();
            prop_assert_eq!(checksum(&sum), 0);
        }
    }
}
