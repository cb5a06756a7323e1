//! A shard's table of addresses and subscribers: the longest prefix wins, with one hash look-up per
//! length in use.

use std::fmt;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use hashbrown::HashMap;

use super::Identity;
use crate::random::Keyed;

/// Addresses that belong to one subscriber: one address of IPv4, mostly a /64 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    /// IPv4 addresses are IPv4-mapped; the bits after the prefix are zero.
    bits: u128,
    length: u8,
}

impl Prefix {
    /// This address alone.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self {
            bits: bits(address),
            length: 128,
        }
    }

    /// The `length` leading bits of an address. `None` if the address is shorter.
    #[must_use]
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let (whole, offset) = match address {
            IpAddr::V4(_) => (32, 96),
            IpAddr::V6(_) => (128, 0),
        };
        (length <= whole).then(|| Self::cut(bits(address), length + offset))
    }

    /// Whether an address is among them.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        Self::cut(bits(address), self.length) == self
    }

    /// The first address, and the number of leading bits.
    #[must_use]
    pub fn parts(self) -> (IpAddr, u8) {
        let address = std::net::Ipv6Addr::from_bits(self.bits).to_canonical();
        match address {
            IpAddr::V4(_) if self.length >= 96 => (address, self.length - 96),
            _ => (std::net::Ipv6Addr::from_bits(self.bits).into(), self.length),
        }
    }

    /// Number of leading bits in IPv6 notation: an IPv4 address has 96 more.
    #[must_use]
    pub const fn length(self) -> u8 {
        self.length
    }

    fn cut(bits: u128, length: u8) -> Self {
        let rest = 128 - u32::from(length.min(128));
        Self {
            bits: bits & u128::MAX.checked_shl(rest).unwrap_or(0),
            length,
        }
    }
}

/// Text that is no prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not an address, or a network whose bits beyond its length are zero")]
pub struct NotAPrefix;

impl FromStr for Prefix {
    type Err = NotAPrefix;

    fn from_str(text: &str) -> Result<Self, NotAPrefix> {
        let Some((address, length)) = text.split_once('/') else {
            return text.parse().map(Self::address).map_err(|_| NotAPrefix);
        };
        let address: IpAddr = address.parse().map_err(|_| NotAPrefix)?;
        let length = length.parse().map_err(|_| NotAPrefix)?;
        Self::new(address, length)
            .filter(|prefix| prefix.parts() == (address, length))
            .ok_or(NotAPrefix)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, length) = self.parts();
        write!(f, "{address}/{length}")
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// A change of the addresses of a prefix: they have a new subscriber, or none.
#[derive(Clone, Debug)]
pub struct Change {
    /// The addresses.
    pub prefix: Prefix,
    /// The new subscriber.
    pub identity: Option<Arc<Identity>>,
}

/// Subscribers by address.
///
/// The table applies the changes it is given. Its owner outside the core bounds it, expires
/// entries, and gives every shard the same changes.
#[derive(Debug)]
pub struct Table {
    entries: HashMap<Prefix, Arc<Identity>, Keyed>,
    /// The lengths in use and how many entries have them, longest first: mostly one or two.
    lengths: Vec<(u8, usize)>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(hasher: Keyed) -> Self {
        Self {
            entries: HashMap::with_hasher(hasher),
            lengths: Vec::new(),
        }
    }

    /// Applies changes in order.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            let length = change.prefix.length;
            let had = match &change.identity {
                Some(identity) => self
                    .entries
                    .insert(change.prefix, Arc::clone(identity))
                    .is_some(),
                None => self.entries.remove(&change.prefix).is_some(),
            };
            match (had, change.identity.is_some()) {
                (false, true) => self.count(length, true),
                (true, false) => self.count(length, false),
                (true, true) | (false, false) => {}
            }
        }
        if self.entries.capacity() > 1_024 && self.entries.len() < self.entries.capacity() / 8 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }

    /// The subscriber of an address.
    #[must_use]
    pub fn find(&self, address: IpAddr) -> Option<&Arc<Identity>> {
        let bits = bits(address);
        self.lengths
            .iter()
            .find_map(|(length, _)| self.entries.get(&Prefix::cut(bits, *length)))
    }

    /// A short hash of a text under the table's secret key.
    #[must_use]
    pub fn digest(&self, text: &str) -> u64 {
        self.entries.hasher().hash_one(text)
    }

    /// Prefixes known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the table is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn count(&mut self, length: u8, more: bool) {
        let place = self
            .lengths
            .binary_search_by(|(other, _)| length.cmp(other));
        match (place, more) {
            (Err(place), true) => self.lengths.insert(place, (length, 1)),
            (Err(_), false) => {}
            (Ok(place), _) => {
                if let Some((_, count)) = self.lengths.get_mut(place) {
                    *count = if more { *count + 1 } else { *count - 1 };
                    if *count == 0 {
                        self.lengths.remove(place);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::Private;
    use crate::random::Random;

    fn somebody(name: &str) -> Arc<Identity> {
        Arc::new(Identity {
            msisdn: Some(Private::new(name)),
            ..Identity::default()
        })
    }

    fn prefix(text: &str, length: u8) -> Prefix {
        Prefix::new(text.parse().unwrap(), length).unwrap()
    }

    fn set(prefix: Prefix, name: &str) -> Change {
        Change {
            prefix,
            identity: Some(somebody(name)),
        }
    }

    fn table() -> Table {
        Table::new(Random::new(1).hasher())
    }

    fn who(table: &Table, address: &str) -> Option<String> {
        let found = table.find(address.parse().unwrap())?;
        Some(found.msisdn.as_ref()?.reveal().to_owned())
    }

    #[test]
    fn the_longest_prefix_wins() {
        let mut table = table();
        table.apply(&[
            set(prefix("2001:db8:1::", 64), "net"),
            set(Prefix::address("2001:db8:1::7".parse().unwrap()), "host"),
            set(prefix("10.1.0.0", 16), "pool"),
            set(Prefix::address("10.1.2.3".parse().unwrap()), "one"),
        ]);
        assert_eq!(who(&table, "2001:db8:1::7").unwrap(), "host");
        assert_eq!(who(&table, "2001:db8:1::8").unwrap(), "net");
        assert_eq!(who(&table, "2001:db8:2::8"), None);
        assert_eq!(who(&table, "10.1.2.3").unwrap(), "one");
        assert_eq!(who(&table, "::ffff:10.1.2.3").unwrap(), "one");
        assert_eq!(who(&table, "10.1.2.4").unwrap(), "pool");
        assert_eq!(who(&table, "10.2.2.4"), None);
    }

    #[test]
    fn what_is_gone_is_not_found_and_its_length_not_looked_for() {
        let mut table = table();
        let one = prefix("2001:db8:1::", 64);
        table.apply(&[set(one, "a"), set(one, "b")]);
        assert_eq!(who(&table, "2001:db8:1::8").unwrap(), "b");
        let gone = Change {
            prefix: one,
            identity: None,
        };
        table.apply(&[gone.clone(), gone]);
        assert_eq!(who(&table, "2001:db8:1::8"), None);
        assert!(table.is_empty() && table.lengths.is_empty());
    }

    #[test]
    fn a_prefix_has_its_address_and_length() {
        for (address, length) in [
            ("10.0.0.0", 8),
            ("10.1.2.3", 32),
            ("2001:db8::", 64),
            ("::", 0),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(
                Prefix::new(address, length).unwrap().parts(),
                (address, length)
            );
        }
        assert_eq!(Prefix::new("10.0.0.0".parse().unwrap(), 33), None);
    }

    proptest! {
        /// The same as looking at every entry.
        #[test]
        fn look_ups_equal_those_of_a_plain_search(
            changes in proptest::collection::vec((0u32..64, 26u8..=32, any::<bool>()), 0..60),
            asked in 0u32..64,
        ) {
            let mut table = table();
            let mut plain: Vec<(Prefix, String)> = Vec::new();
            for (nth, (address, length, known)) in changes.into_iter().enumerate() {
                let prefix = Prefix::new(std::net::Ipv4Addr::from_bits(address).into(), length).unwrap();
                plain.retain(|(other, _)| *other != prefix);
                let name = nth.to_string();
                table.apply(&[Change { prefix, identity: known.then(|| somebody(&name)) }]);
                if known {
                    plain.push((prefix, name));
                }
            }
            let asked: IpAddr = std::net::Ipv4Addr::from_bits(asked).into();
            plain.retain(|(prefix, _)| prefix.contains(asked));
            plain.sort_by_key(|(prefix, _)| prefix.length);
            let expected = plain.pop().map(|(_, name)| name);
            prop_assert_eq!(who(&table, &asked.to_string()), expected);
        }
    }
}
