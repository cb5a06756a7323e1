//! Many networks at once: whether an address is in any of them is found by halving, not by going
//! through them.

use std::net::IpAddr;
use std::str::FromStr;

use super::network::{Network, NotANetwork};

/// A set of networks. Overlapping and adjacent networks are merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    /// First and last addresses in order, without overlaps. IPv4 addresses are IPv4-mapped.
    ranges: Box<[(u128, u128)]>,
}

impl Networks {
    /// Whether an address is in one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let behind = self.ranges.partition_point(|(first, _)| *first <= bits);
        let before = behind.checked_sub(1).and_then(|at| self.ranges.get(at));
        before.is_some_and(|(_, last)| bits <= *last)
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Parses a list of networks, one a line. `#` begins a comment.
    ///
    /// # Errors
    ///
    /// The number of the first invalid line, with its error.
    pub fn lines(text: &str) -> Result<Vec<Network>, (usize, NotANetwork)> {
        let mut networks = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                networks.push(Network::from_str(line).map_err(|error| (number, error))?);
            }
        }
        Ok(networks)
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<T: IntoIterator<Item = Network>>(networks: T) -> Self {
        let mut ranges: Vec<_> = networks
            .into_iter()
            .map(|network| network.range())
            .collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Self {
            ranges: merged.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_has_networks_and_comments() {
        let list = "# ours\n10.0.0.0/8\n\n2001:db8::/32 # lab\n";
        let networks: Networks = Networks::lines(list).unwrap().into_iter().collect();
        for (address, is_in) in [
            ("10.255.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("11.0.0.0", false),
            ("9.255.255.255", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::", false),
        ] {
            assert_eq!(
                networks.contains(address.parse().unwrap()),
                is_in,
                "{address}"
            );
        }
        let wrong = Networks::lines("10.0.0.0/8\n10.0.0.1/8\n");
        assert_eq!(wrong, Err((2, NotANetwork::HostBits)));
        assert!(!Networks::default().contains("10.0.0.1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn a_set_answers_like_its_networks(
            given in proptest::collection::vec((0u32..256, 22u32..=32), 0..40),
            asked in 0u32..260,
        ) {
            let ip = |bits: u32| IpAddr::from(std::net::Ipv4Addr::from_bits(bits));
            let networks: Vec<Network> = given
                .iter()
                .map(|(bits, length)| {
                    let bits = bits & u32::MAX.checked_shl(32 - length).unwrap_or(0);
                    format!("{}/{length}", ip(bits)).parse().unwrap()
                })
                .collect();
            let expected = networks.iter().any(|network| network.contains(ip(asked)));
            let set: Networks = networks.into_iter().collect();
            prop_assert_eq!(set.contains(ip(asked)), expected);
        }
    }
}
