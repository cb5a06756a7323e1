//! Hashes, HMAC and the pseudo-random function (11.3).

use hmac::{Hmac, KeyInit};
use md5::Md5;
use sha1::{Digest as _, Sha1};
use zeroize::Zeroizing;

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    /// SHA-1, 20 octets.
    Sha1,
    /// MD5, 16 octets.
    Md5,
}

impl Hash {
    /// The hash of octets given in parts.
    pub(super) fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        let mut running = Running::new(self);
        for part in parts {
            running.update(part);
        }
        running.finish()
    }
}

/// A hash that is being computed: the handshake's.
#[derive(Clone)]
pub(super) enum Running {
    Sha1(Sha1),
    Md5(Md5),
}

impl Running {
    pub(super) fn new(hash: Hash) -> Self {
        match hash {
            Hash::Sha1 => Self::Sha1(Sha1::new()),
            Hash::Md5 => Self::Md5(Md5::new()),
        }
    }

    pub(super) fn update(&mut self, octets: &[u8]) {
        match self {
            Self::Sha1(hash) => hash.update(octets),
            Self::Md5(hash) => hash.update(octets),
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha1(hash) => hash.finalize().to_vec(),
            Self::Md5(hash) => hash.finalize().to_vec(),
        }
    }
}

/// HMAC with its key worked in.
#[derive(Clone)]
pub(super) enum HmacKey {
    Sha1(Hmac<Sha1>),
    Md5(Hmac<Md5>),
}

impl HmacKey {
    pub(super) fn new(hash: Hash, key: &[u8]) -> Self {
        const ANY: &str = "HMAC takes keys of any length";
        match hash {
            Hash::Sha1 => Self::Sha1(Hmac::new_from_slice(key).expect(ANY)),
            Hash::Md5 => Self::Md5(Hmac::new_from_slice(key).expect(ANY)),
        }
    }

    /// The MAC of octets given in parts, in the first octets of the result; and how many these are.
    pub(super) fn mac(&self, parts: &[&[u8]]) -> ([u8; 20], usize) {
        let mut out = [0; 20];
        let len = match self {
            Self::Sha1(keyed) => finish(keyed.clone(), parts, &mut out),
            Self::Md5(keyed) => finish(keyed.clone(), parts, &mut out),
        };
        (out, len)
    }
}

fn finish<M: hmac::Mac>(mut keyed: M, parts: &[&[u8]], out: &mut [u8; 20]) -> usize {
    for part in parts {
        keyed.update(part);
    }
    let mac = keyed.finalize().into_bytes();
    for (place, octet) in out.iter_mut().zip(mac.iter()) {
        *place = *octet;
    }
    mac.len()
}

/// `PRF(secret, label, seed)`, as many octets as `out` has (11.3.2). The seed is given in parts.
pub(super) fn prf(hash: Hash, secret: &[u8], label: &str, seed: &[&[u8]], out: &mut [u8]) {
    let key = HmacKey::new(hash, secret);
    let mut whole = label.as_bytes().to_vec();
    for part in seed {
        whole.extend_from_slice(part);
    }
    let (first, len) = key.mac(&[&whole]);
    // Whoever has one of these has what the secret protects.
    let mut a = Zeroizing::new(first);
    for chunk in out.chunks_mut(len) {
        let used = a.get(..len).unwrap_or_default();
        let block = Zeroizing::new(key.mac(&[used, &whole]).0);
        for (place, octet) in chunk.iter_mut().zip(block.iter()) {
            *place = *octet;
        }
        let next = key.mac(&[used]).0;
        *a = next;
    }
}

/// Whether two octet strings are the same; the time does not depend on where they differ.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |acc, (a, b)| acc | (a ^ b));
    one.len() == other.len() && std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202, test case 2 of either hash.
    #[test]
    fn hmac_is_that_of_rfc_2202() {
        let data: &[u8] = b"what do ya want for nothing?";
        let (mac, len) = HmacKey::new(Hash::Md5, b"Jefe").mac(&[data]);
        assert_eq!(len, 16);
        assert_eq!(mac[..4], [0x75, 0x0c, 0x78, 0x3e]);
        let (mac, len) = HmacKey::new(Hash::Sha1, b"Jefe").mac(&[data]);
        assert_eq!(len, 20);
        assert_eq!(mac[..4], [0xef, 0xfc, 0xdf, 0x6a]);
    }

    #[test]
    fn a_longer_output_begins_with_the_shorter_one() {
        let mut short = [0; 12];
        let mut long = [0; 60];
        prf(Hash::Md5, b"secret", "label", &[b"se", b"ed"], &mut short);
        prf(Hash::Md5, b"secret", "label", &[b"seed"], &mut long);
        assert_eq!(short, long[..12]);
    }
}
