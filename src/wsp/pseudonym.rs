//! What a session is called wherever people and their tools read of it: in logs, records, lists and traces.
//!
//! Whoever knows a session's id can resume it from an address of his own (WSP 7.2 asks for nothing more), so the id
//! is told to the handset and to nobody else.

use std::fmt;
use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// Gives sessions other names: always the same one under one key, and without the key no way back, although there
/// are few enough ids to try them all.
#[derive(Clone, Copy)]
pub struct Pseudonyms(SipHasher13);

/// The name of a session, shown as twelve hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pseudonym(u64);

impl Pseudonyms {
    /// Names under this key, which is to be a secret.
    #[must_use]
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(SipHasher13::new_with_key(key))
    }

    /// The name of the session with this id.
    #[must_use]
    pub fn of(&self, session: u32) -> Pseudonym {
        let mut hasher = self.0;
        hasher.write_u32(session);
        Pseudonym(hasher.finish() >> (u64::BITS - SHOWN_BITS))
    }
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonyms(..)")
    }
}

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

/// Octets of a key.
pub const KEY_LEN: usize = 16;
/// Enough for millions of sessions without two of one name, mostly, and short enough to be read out.
const SHOWN_BITS: u32 = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_under_its_key_and_another_under_another() {
        let names = Pseudonyms::new(&[1; KEY_LEN]);
        let name = names.of(123_456_789).to_string();
        assert_eq!(
            name,
            Pseudonyms::new(&[1; KEY_LEN]).of(123_456_789).to_string()
        );
        assert_ne!(name, names.of(123_456_788).to_string());
        assert_ne!(
            name,
            Pseudonyms::new(&[2; KEY_LEN]).of(123_456_789).to_string()
        );
    }

    #[test]
    fn a_name_has_twelve_digits_and_the_key_is_not_shown() {
        let names = Pseudonyms::new(&[7; KEY_LEN]);
        for id in 0..1_000 {
            let name = names.of(id).to_string();
            assert!(
                name.len() == 12 && u64::from_str_radix(&name, 16).is_ok(),
                "{name}"
            );
        }
        assert_eq!(format!("{names:?}"), "Pseudonyms(..)");
    }
}
