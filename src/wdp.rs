//! Datagrams as WDP sees them: who talks to whom, and over which service (WAP-259).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// One end of a conversation: an address and a UDP port, kept in 18 octets.
///
/// IPv4 addresses are held IPv4-mapped, so that the same handset is the same key whether it was heard on
/// an IPv4 or on a dual-stack socket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    ip: [u8; 16],
    port: u16,
}

impl Address {
    /// The address, IPv4 when it is one.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        Ipv6Addr::from(self.ip).to_canonical()
    }

    /// The UDP port.
    #[must_use]
    pub const fn port(self) -> u16 {
        self.port
    }
}

/// An address as one subscriber has it: one of IPv4, the /64 of IPv6.
#[must_use]
pub fn household(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits() & !u128::from(u64::MAX),
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        Self {
            ip: ip.octets(),
            port: address.port(),
        }
    }
}

impl From<Address> for SocketAddr {
    fn from(address: Address) -> Self {
        Self::new(address.ip(), address.port)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

/// The address quadruplet that names a conversation (WAP-259 5.4): the far end and ours.
///
/// `local` is the address the datagram was *sent to*, so that an answer leaves from it even on a host with
/// several addresses (WAP-259 appendix E).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// The far end.
    pub remote: Address,
    /// Our end.
    pub local: Address,
}

impl Peer {
    /// The quadruplet of two socket addresses.
    #[must_use]
    pub fn new(remote: SocketAddr, local: SocketAddr) -> Self {
        Self {
            remote: remote.into(),
            local: local.into(),
        }
    }
}

/// In one piece: the hash of a peer is asked for with every datagram, and pieces cost more than octets.
impl Hash for Peer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut octets = [0; 36];
        let ports = [self.remote.port, self.local.port];
        let [remote, local] = ports.map(u16::to_be_bytes);
        let parts = [&self.remote.ip[..], &self.local.ip, &remote, &local];
        for (place, octet) in octets.iter_mut().zip(parts.iter().copied().flatten()) {
            *place = *octet;
        }
        state.write(&octets);
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}→{}", self.remote, self.local)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.remote.fmt(f)
    }
}

/// What a port carries. The configuration says which port is which; the defaults are the assigned ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// WSP over WTP, port 9201.
    ConnectionMode,
    /// Bare WSP, port 9200.
    Connectionless,
}

/// A datagram that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Who sent it, to which of our addresses.
    pub peer: Peer,
    /// What the port it came to carries.
    pub service: Service,
    /// Its octets, borrowed from the receive buffer.
    pub payload: &'a [u8],
}

/// A datagram to send: the octets were appended to the buffer given to `poll_transmit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// To whom, and from which of our addresses.
    pub peer: Peer,
    /// Octets appended.
    pub len: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_the_same_peer_as_the_ipv4_one() {
        let v4 = Address::from("192.0.2.7:9201".parse::<SocketAddr>().unwrap());
        let mapped = Address::from("[::ffff:192.0.2.7]:9201".parse::<SocketAddr>().unwrap());
        assert_eq!(v4, mapped);
        assert_eq!(v4.to_string(), "192.0.2.7:9201");
    }

    #[test]
    fn a_subscriber_of_ipv6_has_all_of_a_64() {
        let of = |text: &str| household(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
    }
}
