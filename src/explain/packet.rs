//! From a captured packet to the UDP datagram or the TCP segment in it.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, IpNumber, Ipv6ExtensionSlice, LaxIpPayloadSlice, LaxNetSlice, LaxSlicedPacket,
    TcpSlice, UdpSlice, ip_number,
};

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp<'a> {
    /// The sender.
    pub source: SocketAddr,
    /// The receiver.
    pub destination: SocketAddr,
    /// The captured part of the payload.
    pub payload: &'a [u8],
}

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tcp<'a> {
    /// The sender.
    pub(super) source: SocketAddr,
    /// The receiver.
    pub(super) destination: SocketAddr,
    /// The sequence number of the first octet, or of SYN.
    pub(super) sequence: u32,
    /// Whether the connection begins.
    pub(super) syn: bool,
    /// The captured part of the payload.
    pub(super) payload: &'a [u8],
}

/// The UDP datagram in a packet of this link type (a LINKTYPE number). `None` for other packets and
/// for later fragments. A first fragment, and a packet that the capture cut, give the beginning of
/// the payload.
#[must_use]
pub fn udp(link: u32, packet: &[u8]) -> Option<Udp<'_>> {
    let (source, destination, payload) = ip(link, packet, ip_number::UDP)?;
    // etherparse does not decode the transport layer of a first fragment.
    let udp = UdpSlice::from_slice_lax(payload.payload).ok()?;
    Some(Udp {
        source: SocketAddr::new(source, udp.source_port()),
        destination: SocketAddr::new(destination, udp.destination_port()),
        payload: udp.payload(),
    })
}

/// Sender and receiver of a packet with UDP or TCP in it.
#[must_use]
pub fn ends(link: u32, packet: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let of_udp = udp(link, packet).map(|udp| (udp.source, udp.destination));
    of_udp.or_else(|| tcp(link, packet).map(|tcp| (tcp.source, tcp.destination)))
}

/// The TCP segment in a packet, likewise.
pub(super) fn tcp(link: u32, packet: &[u8]) -> Option<Tcp<'_>> {
    let (source, destination, payload) = ip(link, packet, ip_number::TCP)?;
    let tcp = TcpSlice::from_slice(payload.payload).ok()?;
    Some(Tcp {
        source: SocketAddr::new(source, tcp.source_port()),
        destination: SocketAddr::new(destination, tcp.destination_port()),
        sequence: tcp.sequence_number(),
        syn: tcp.syn(),
        payload: tcp.payload(),
    })
}

/// Source, destination and payload of a packet whose payload is of this protocol.
fn ip(
    link: u32,
    packet: &[u8],
    protocol: IpNumber,
) -> Option<(IpAddr, IpAddr, LaxIpPayloadSlice<'_>)> {
    let sliced = match link {
        // NULL and LOOP: four octets of address family, in one order or the other.
        0 | 108 => LaxSlicedPacket::from_ip(packet.get(4..)?).ok()?,
        1 => LaxSlicedPacket::from_ethernet(packet).ok()?,
        // RAW, under its three numbers, and IPv4 or IPv6 alone.
        12 | 14 | 101 | 228 | 229 => LaxSlicedPacket::from_ip(packet).ok()?,
        // Linux "cooked", both versions. etherparse knows the first one only, and only of some
        // interfaces.
        113 => cooked(packet, 14, 16)?,
        276 => cooked(packet, 0, 20)?,
        _ => return None,
    };
    let (source, destination, payload): (IpAddr, IpAddr, _) = match sliced.net? {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            if header.fragments_offset().value() != 0 {
                return None;
            }
            let (source, destination) = (header.source_addr(), header.destination_addr());
            (source.into(), destination.into(), ip.payload().clone())
        }
        LaxNetSlice::Ipv6(ip) => {
            if ip
                .extensions()
                .clone()
                .into_iter()
                .any(|extension| is_later_fragment(&extension))
            {
                return None;
            }
            let header = ip.header();
            let (source, destination) = (header.source_addr(), header.destination_addr());
            (source.into(), destination.into(), ip.payload().clone())
        }
        LaxNetSlice::Arp(_) => return None,
    };
    (payload.ip_number == protocol).then_some((source, destination, payload))
}

/// A packet with its Ethernet type and its network layer at these offsets.
fn cooked(packet: &[u8], ether_type: usize, network: usize) -> Option<LaxSlicedPacket<'_>> {
    let ether_type = packet.get(ether_type..)?.first_chunk::<2>()?;
    Some(LaxSlicedPacket::from_ether_type(
        EtherType(u16::from_be_bytes(*ether_type)),
        packet.get(network..)?,
    ))
}

fn is_later_fragment(extension: &Ipv6ExtensionSlice<'_>) -> bool {
    matches!(extension, Ipv6ExtensionSlice::Fragment(header) if header.fragment_offset().value() != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IPV4: &[u8] =
        b"\x45\0\0\x1F\0\0\0\0\x40\x11\0\0\x0A\0\0\x01\x0A\0\0\x02\xBF\x68\x23\xF1\0\x0B\0\0abc";

    fn ipv6() -> Vec<u8> {
        let mut packet = b"\x60\0\0\0\0\x13\0\x40".to_vec();
        packet.extend([0; 15]);
        packet.push(1);
        packet.extend([0; 15]);
        packet.push(2);
        // Hop-by-hop options before UDP.
        packet.extend(b"\x11\0\0\0\0\0\0\0");
        packet.extend(&IPV4[20..]);
        packet
    }

    #[test]
    fn every_link_leads_to_the_datagram() {
        let after = |prefix: &[u8]| [prefix, IPV4].concat();
        for (link, packet) in [
            (101, IPV4.to_vec()),
            (0, after(b"\x02\0\0\0")),
            (1, after(b"............\x08\0")),
            (1, after(b"............\x81\0\0\x07\x08\0")),
            (1, after(b"............\x88\xA8\0\x07\x81\0\0\x07\x08\0")),
            (113, after(b"..............\x08\0")),
            (276, after(b"\x08\0..................")),
        ] {
            let read = udp(link, &packet).unwrap_or_else(|| panic!("link {link}"));
            assert_eq!(read.source.to_string(), "10.0.0.1:49000");
            assert_eq!(read.destination.to_string(), "10.0.0.2:9201");
            assert_eq!(read.payload, b"abc");
        }
        let packet = ipv6();
        let read = udp(101, &packet).unwrap();
        assert_eq!(
            (read.source.to_string().as_str(), read.payload),
            ("[::1]:49000", &b"abc"[..])
        );
    }

    #[test]
    fn what_is_no_whole_datagram_is_passed_over() {
        let mut fragment = IPV4.to_vec();
        fragment[7] = 1;
        assert_eq!(udp(101, &fragment), None);
        let fragment = |offset: u8| {
            let mut packet = ipv6();
            packet[6] = 44;
            packet[43] = offset;
            packet
        };
        assert_eq!(udp(101, &fragment(8)), None);
        // The first fragment has the ports, and the beginning of the payload.
        assert_eq!(udp(101, &fragment(1)).unwrap().payload, b"abc");
        let mut first = IPV4.to_vec();
        first[6] = 0x20;
        assert_eq!(udp(101, &first).unwrap().payload, b"abc");
        let mut tcp = IPV4.to_vec();
        tcp[9] = 6;
        assert_eq!(udp(101, &tcp), None);
        assert_eq!(udp(1, b"............\x08\x06"), None);
        assert_eq!(udp(147, IPV4), None);
        // Link padding is dropped, and a capture that cut the packet leaves what it has.
        let padded = [IPV4, b"\0\0\0"].concat();
        assert_eq!(udp(101, &padded).unwrap().payload, b"abc");
        assert_eq!(udp(101, &IPV4[..30]).unwrap().payload, b"ab");
    }

    proptest! {
        #[test]
        fn any_packet_is_read_or_passed_over(octets: Vec<u8>, link in prop::sample::select(vec![0, 1, 101, 113, 276])) {
            let _ = udp(link, &octets);
            let _ = udp(link, &[IPV4, &octets[..]].concat());
            let _ = udp(link, &[&ipv6()[..40], &octets[..]].concat());
        }
    }
}
