//! From a captured packet to the UDP datagram in it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp<'a> {
    /// Who sent it.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
    /// What it carries, as much as was captured.
    pub payload: &'a [u8],
}

/// The UDP datagram in a packet of this link type (a LINKTYPE number); `None` if there is none, or only a later
/// fragment of one.
#[must_use]
pub fn udp(link: u32, packet: &[u8]) -> Option<Udp<'_>> {
    match link {
        // NULL and LOOP: four octets of address family, in one order or the other.
        0 | 108 => ip(packet.get(4..)?),
        1 => ethernet(packet.get(12..)?),
        // RAW, under its three numbers, and IPv4 or IPv6 alone.
        12 | 14 | 101 | 228 | 229 => ip(packet),
        // Linux "cooked": the protocol is where an Ethernet type would be.
        113 => ethernet(packet.get(14..)?),
        276 => of_type(u16_at(packet, 0)?, packet.get(20..)?),
        _ => None,
    }
}

/// From the Ethernet type on; tags of virtual networks stand before it.
fn ethernet(mut rest: &[u8]) -> Option<Udp<'_>> {
    const TAGS: [u16; 2] = [0x8100, 0x88A8];
    while TAGS.contains(&u16_at(rest, 0)?) {
        rest = rest.get(4..)?;
    }
    of_type(u16_at(rest, 0)?, rest.get(2..)?)
}

fn of_type(ethernet_type: u16, packet: &[u8]) -> Option<Udp<'_>> {
    matches!(ethernet_type, 0x0800 | 0x86DD).then(|| ip(packet))?
}

fn ip(packet: &[u8]) -> Option<Udp<'_>> {
    match packet.first()? >> 4 {
        4 => ipv4(packet),
        6 => ipv6(packet),
        _ => None,
    }
}

const UDP: u8 = 17;

fn ipv4(packet: &[u8]) -> Option<Udp<'_>> {
    let header = usize::from(packet.first()? & 0x0F) * 4;
    let is_later_fragment = u16_at(packet, 6)? & 0x1FFF != 0;
    if *packet.get(9)? != UDP || is_later_fragment {
        return None;
    }
    let source = Ipv4Addr::from(*packet.get(12..)?.first_chunk::<4>()?);
    let destination = Ipv4Addr::from(*packet.get(16..)?.first_chunk::<4>()?);
    datagram(source.into(), destination.into(), packet.get(header..)?)
}

fn ipv6(packet: &[u8]) -> Option<Udp<'_>> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const DESTINATION: u8 = 60;
    let source = Ipv6Addr::from(*packet.get(8..)?.first_chunk::<16>()?);
    let destination = Ipv6Addr::from(*packet.get(24..)?.first_chunk::<16>()?);
    let (mut next, mut rest) = (*packet.get(6)?, packet.get(40..)?);
    loop {
        let len = match next {
            UDP => return datagram(source.into(), destination.into(), rest),
            HOP_BY_HOP | ROUTING | DESTINATION => 8 + 8 * usize::from(*rest.get(1)?),
            FRAGMENT if u16_at(rest, 2)? & 0xFFF8 == 0 => 8,
            _ => return None,
        };
        next = *rest.first()?;
        rest = rest.get(len..)?;
    }
}

fn datagram(source: IpAddr, destination: IpAddr, udp: &[u8]) -> Option<Udp<'_>> {
    let len = usize::from(u16_at(udp, 4)?);
    let payload = udp.get(8..)?;
    // Padding of the link follows a short datagram; a long one may be cut by the capture.
    let payload = payload.get(..len.checked_sub(8)?).unwrap_or(payload);
    Some(Udp {
        source: SocketAddr::new(source, u16_at(udp, 0)?),
        destination: SocketAddr::new(destination, u16_at(udp, 2)?),
        payload,
    })
}

fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    octets
        .get(at..)?
        .first_chunk::<2>()
        .map(|pair| u16::from_be_bytes(*pair))
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
