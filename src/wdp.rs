//! Datagrams in the view of WDP: peers and services (WAP-259).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// An address and a UDP port, in 18 octets.
///
/// IPv4 addresses are stored IPv4-mapped, so that a handset has one key on an IPv4 and on a
/// dual-stack socket.
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
pub fn source_prefix(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits() & !u128::from(u64::MAX),
    }
}

/// The network that an address is in: the /24 of IPv4, the /48 of IPv6. One household, or one
/// customer of a provider, may have as many [sources](source_prefix) as a network has.
#[must_use]
pub fn network_prefix(address: IpAddr) -> u128 {
    leading(address, 24, 48)
}

/// The region that an address is in: the /16 of IPv4, the /32 of IPv6, which registries give to one
/// provider.
#[must_use]
pub fn region_prefix(address: IpAddr) -> u128 {
    leading(address, 16, 32)
}

/// The leading bits of an address, so many of IPv4 and so many of IPv6.
fn leading(address: IpAddr, of_v4: u32, of_v6: u32) -> u128 {
    let (bits, host) = match address {
        IpAddr::V4(v4) => (v4.to_ipv6_mapped().to_bits(), 32 - of_v4),
        IpAddr::V6(v6) => (v6.to_bits(), 128 - of_v6),
    };
    bits >> host << host
}

/// Whether an address is for use within a network (RFC 1918, 6598, 4193, 3927, loopback): a
/// datagram to it leaves no network, even with a forged source.
#[must_use]
pub const fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xC0 == 64;
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_private(IpAddr::V4(v4)),
            None => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
        },
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
/// `local` is the address the datagram was *sent to*, so that an answer leaves from it even on a
/// host with several addresses (WAP-259 appendix E).
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

/// In one piece: the hash of a peer is asked for with every datagram, and pieces cost more than
/// octets.
impl Hash for Peer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut octets = [0; 36];
        octets[..16].copy_from_slice(&self.remote.ip);
        octets[16..32].copy_from_slice(&self.local.ip);
        octets[32..34].copy_from_slice(&self.remote.port.to_be_bytes());
        octets[34..].copy_from_slice(&self.local.port.to_be_bytes());
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

/// The service of a port. The configuration assigns ports; the defaults are the registered ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// WSP over WTP, port 9201.
    ConnectionMode,
    /// Bare WSP, port 9200.
    Connectionless,
    /// WSP over WTP in WTLS records, port 9203.
    SecureConnectionMode,
    /// Bare WSP in WTLS records, port 9202.
    SecureConnectionless,
}

impl Service {
    /// Whether WTLS is spoken.
    #[must_use]
    pub const fn is_secured(self) -> bool {
        matches!(
            self,
            Self::SecureConnectionMode | Self::SecureConnectionless
        )
    }

    /// What is inside WTLS records, or the service itself.
    #[must_use]
    pub const fn inside(self) -> Self {
        match self {
            Self::ConnectionMode | Self::SecureConnectionMode => Self::ConnectionMode,
            Self::Connectionless | Self::SecureConnectionless => Self::Connectionless,
        }
    }
}

/// A datagram that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// The sender, and the gateway's address.
    pub peer: Peer,
    /// The service of the port.
    pub service: Service,
    /// Its octets, borrowed from the receive buffer.
    pub payload: &'a [u8],
}

/// A datagram to send: the octets were appended to the buffer given to `poll_transmit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The receiver, and the gateway's address.
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
        let of = |text: &str| source_prefix(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
    }

    #[test]
    fn networks_and_regions_have_many_sources() {
        let network = |text: &str| network_prefix(text.parse().unwrap());
        assert_eq!(network("192.0.2.7"), network("192.0.2.250"));
        assert_ne!(network("192.0.2.7"), network("192.0.3.7"));
        assert_eq!(network("2001:db8:5:6::1"), network("2001:db8:5:7::1"));
        assert_ne!(network("2001:db8:5::1"), network("2001:db8:6::1"));
        let region = |text: &str| region_prefix(text.parse().unwrap());
        assert_eq!(region("192.0.2.7"), region("192.0.3.7"));
        assert_ne!(region("192.0.2.7"), region("192.1.2.7"));
        assert_eq!(region("2001:db8:5::1"), region("2001:db8:6::1"));
        assert_ne!(region("2001:db8::1"), region("2001:db9::1"));
    }
}
