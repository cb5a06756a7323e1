//! Names of sessions in logs, records, lists and traces.
//!
//! A client that knows a session's id can resume the session from any address (WSP 7.2 asks for no
//! more). So the id goes to its handset only, and all other outputs use a name derived from it.

use std::fmt;
use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::wsp::id_key::IdKey;

/// Gives sessions other names: always the same one under one key, and without the key no way back,
/// although there are few enough ids to try them all.
#[derive(Clone, Copy)]
pub struct LogIds(SipHasher13);

/// The name of a session, shown as twelve hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogId(u64);

impl LogIds {
    /// Names under this key, which is to be a secret.
    #[must_use]
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(SipHasher13::new_with_key(key))
    }

    /// The key of session ids that belongs to this key.
    #[must_use]
    pub fn id_key(&self) -> IdKey {
        let half = |label: &[u8]| {
            let mut hasher = self.0;
            hasher.write(label);
            hasher.finish().to_le_bytes()
        };
        let mut key = [0; KEY_LEN];
        let halves = [half(b"session ids, 1"), half(b"session ids, 2")];
        for (to, from) in key.iter_mut().zip(halves.iter().flatten()) {
            *to = *from;
        }
        IdKey::new(&key)
    }

    /// The name of the session with this id.
    #[must_use]
    pub fn of(&self, session: u32) -> LogId {
        let mut hasher = self.0;
        hasher.write_u32(session);
        LogId(hasher.finish() >> (u64::BITS - SHOWN_BITS))
    }
}

impl fmt::Debug for LogIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogIds(..)")
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

/// Octets of a key.
pub const KEY_LEN: usize = 16;
/// Enough for millions of sessions without two of one name, mostly, and short enough to be read
/// out.
const SHOWN_BITS: u32 = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_under_its_key_and_another_under_another() {
        let names = LogIds::new(&[1; KEY_LEN]);
        let name = names.of(123_456_789).to_string();
        assert_eq!(name, LogIds::new(&[1; KEY_LEN]).of(123_456_789).to_string());
        assert_ne!(name, names.of(123_456_788).to_string());
        assert_ne!(name, LogIds::new(&[2; KEY_LEN]).of(123_456_789).to_string());
    }

    #[test]
    fn a_name_has_twelve_digits_and_the_key_is_not_shown() {
        let names = LogIds::new(&[7; KEY_LEN]);
        for id in 0..1_000 {
            let name = names.of(id).to_string();
            assert!(
                name.len() == 12 && u64::from_str_radix(&name, 16).is_ok(),
                "{name}"
            );
        }
        assert_eq!(format!("{names:?}"), "LogIds(..)");
    }
}
