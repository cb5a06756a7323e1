//! The network that handsets have their addresses from.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// A network of this host's own, IPv4: handset `n` has its address `n + 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AddressPool {
    network: u32,
    prefix: u8,
}

impl AddressPool {
    /// Loopback has all of 127/8; its first part is left to other programs.
    pub(super) const LOOPBACK: Self = Self {
        network: 0x7F40_0000,
        prefix: 10,
    };

    /// The address of a handset.
    pub(super) fn address(self, who: u32) -> IpAddr {
        Ipv4Addr::from(self.network.wrapping_add(who).wrapping_add(1)).into()
    }

    /// The handset with this address.
    pub(super) fn index_of(self, address: IpAddr) -> Option<u32> {
        let IpAddr::V4(address) = address.to_canonical() else {
            return None;
        };
        u32::from(address)
            .checked_sub(self.network)?
            .checked_sub(1)
            .filter(|who| self.holds(who.checked_add(1).unwrap_or(u32::MAX)))
    }

    /// Whether there are addresses for so many.
    pub(super) fn holds(self, handsets: u32) -> bool {
        let addresses = 1_u64 << (32 - u32::from(self.prefix.min(32)));
        u64::from(handsets) + 2 <= addresses
    }
}

impl FromStr for AddressPool {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "write an IPv4 network as ADDRESS/BITS, such as 10.9.0.0/16".to_owned();
        let (address, prefix) = text.split_once('/').ok_or_else(form)?;
        let address: Ipv4Addr = address.parse().map_err(|_| form())?;
        let prefix: u8 = prefix.parse().map_err(|_| form())?;
        if !(1..=30).contains(&prefix) {
            return Err(format!(
                "/{prefix} has no room for handsets, each of which takes an address: BITS is 1 to 30"
            ));
        }
        let mask = u32::MAX << (32 - u32::from(prefix));
        Ok(Self {
            network: u32::from(address) & mask,
            prefix,
        })
    }
}

impl fmt::Display for AddressPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.network), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_handset_has_an_address_of_its_own() {
        let source: AddressPool = "10.9.3.0/16".parse().unwrap();
        assert_eq!(source.to_string(), "10.9.0.0/16");
        for who in [0, 1, 255, 65_533] {
            assert_eq!(source.index_of(source.address(who)), Some(who));
        }
        assert_eq!(source.address(0).to_string(), "10.9.0.1");
        assert_eq!(source.index_of("10.10.0.1".parse().unwrap()), None);
        assert_eq!(source.index_of("10.8.0.1".parse().unwrap()), None);
        assert!(source.holds(65_534) && !source.holds(65_535));
        assert!(AddressPool::LOOPBACK.holds(4_000_000));
        assert!("10.9.0.0".parse::<AddressPool>().is_err());
    }
}
