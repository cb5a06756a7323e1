//! The secret behind session ids, which all shards of a gateway share.
//!
//! A client that knows a session's id can resume the session from any address (WSP 7.2). So an id
//! must not reveal another id, nor the shard that made it.

use std::fmt;
use std::hash::Hasher;
use std::num::NonZeroU32;

use siphasher::sip::SipHasher13;

/// A keyed permutation of the numbers of 32 bits, and a keyed digest of subscribers' names.
#[derive(Clone, Copy)]
pub struct IdKey(SipHasher13);

/// The digest of a subscriber's name. Two names have the same digest once in four thousand million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscriber(NonZeroU32);

impl IdKey {
    /// The permutation under this key. A store keeps the key, so that ids mean the same after a
    /// restart.
    #[must_use]
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(SipHasher13::new_with_key(key))
    }

    /// The id of a number: a Feistel network of halves of 16 bits.
    #[must_use]
    pub(crate) fn id(self, number: u32) -> u32 {
        let mut halves = split(number);
        for round in 0..ROUNDS {
            halves = (halves.1, halves.0 ^ self.round(round, halves.1));
        }
        join(halves)
    }

    /// The number of an id.
    pub(super) fn number(self, id: u32) -> u32 {
        let mut halves = split(id);
        for round in (0..ROUNDS).rev() {
            halves = (halves.1 ^ self.round(round, halves.0), halves.0);
        }
        join(halves)
    }

    fn round(self, round: u8, half: u16) -> u16 {
        let mut hasher = self.0;
        hasher.write_u8(round);
        hasher.write_u16(half);
        let [low, high, ..] = hasher.finish().to_le_bytes();
        u16::from_le_bytes([low, high])
    }

    /// The digest of a subscriber's name.
    #[must_use]
    pub fn subscriber(self, name: &str) -> Subscriber {
        let mut hasher = self.0;
        hasher.write(b"subscriber");
        hasher.write(name.as_bytes());
        let [a, b, c, d, ..] = hasher.finish().to_le_bytes();
        let digest = NonZeroU32::new(u32::from_le_bytes([a, b, c, d]));
        Subscriber(digest.unwrap_or(NonZeroU32::MIN))
    }
}

impl fmt::Debug for IdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdKey(..)")
    }
}

impl Subscriber {
    /// As a store keeps it.
    pub(super) const fn octets(self) -> [u8; 4] {
        self.0.get().to_be_bytes()
    }

    /// The subscriber's digest from the store; zero means no subscriber.
    pub(super) const fn from_octets(octets: [u8; 4]) -> Option<Self> {
        match NonZeroU32::new(u32::from_be_bytes(octets)) {
            Some(digest) => Some(Self(digest)),
            None => None,
        }
    }
}

const fn split(number: u32) -> (u16, u16) {
    let [a, b, c, d] = number.to_be_bytes();
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

const fn join((high, low): (u16, u16)) -> u32 {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    u32::from_be_bytes([a, b, c, d])
}

/// Octets of a key.
pub const KEY_LEN: usize = 16;
const ROUNDS: u8 = 8;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_has_one_number(key: [u8; KEY_LEN], number: u32) {
            let key = IdKey::new(&key);
            prop_assert_eq!(key.number(key.id(number)), number);
            prop_assert_eq!(key.id(key.number(number)), number);
        }
    }

    #[test]
    fn numbers_in_a_row_have_ids_all_over() {
        let key = IdKey::new(&[7; KEY_LEN]);
        let ids: HashSet<_> = (0..10_000).map(|number| key.id(number)).collect();
        assert_eq!(ids.len(), 10_000);
        // The remainder by the number of shards does not reveal the shard.
        for remainder in 0..4 {
            let count = ids.iter().filter(|id| *id % 4 == remainder).count();
            assert!((2_300..2_700).contains(&count), "{count}");
        }
        let high = ids.iter().filter(|id| **id >= 1 << 31).count();
        assert!((4_800..5_200).contains(&high), "{high}");
    }

    #[test]
    fn the_key_is_not_shown() {
        let key = IdKey::new(&[7; KEY_LEN]);
        assert_eq!(format!("{key:?}"), "IdKey(..)");
        assert_ne!(key.subscriber("a"), key.subscriber("b"));
    }
}
