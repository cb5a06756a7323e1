//! The assigned numbers of appendix A: key exchange suites, bulk ciphers and MACs.

use crate::wtls::hash::Hash;

/// A key exchange suite (table 4). Numbers without a name here are not offered and not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyExchange(pub u8);

impl KeyExchange {
    /// Diffie-Hellman without authentication.
    pub const DH_ANON: Self = Self(2);
    /// The same, with primes of at most 512 bits.
    pub const DH_ANON_512: Self = Self(3);
    /// The same, with primes of at most 768 bits.
    pub const DH_ANON_768: Self = Self(4);
    /// RSA without authentication.
    pub const RSA_ANON: Self = Self(5);
    /// The same, with moduli of at most 512 bits.
    pub const RSA_ANON_512: Self = Self(6);
    /// The same, with moduli of at most 768 bits.
    pub const RSA_ANON_768: Self = Self(7);
    /// RSA with certificates.
    pub const RSA: Self = Self(8);
    /// The same, with moduli of at most 512 bits.
    pub const RSA_512: Self = Self(9);
    /// The same, with moduli of at most 768 bits.
    pub const RSA_768: Self = Self(10);
    /// Elliptic curve Diffie-Hellman without authentication, compressed points.
    pub const ECDH_ANON: Self = Self(11);
    /// The same, on fields of at most 113 bits.
    pub const ECDH_ANON_113: Self = Self(12);
    /// The same, on fields of at most 131 bits.
    pub const ECDH_ANON_131: Self = Self(13);
    /// Elliptic curve Diffie-Hellman without authentication, uncompressed points.
    pub const ECDH_ANON_UNCOMP: Self = Self(15);
    /// The same, on fields of at most 113 bits.
    pub const ECDH_ANON_UNCOMP_113: Self = Self(16);
    /// The same, on fields of at most 131 bits.
    pub const ECDH_ANON_UNCOMP_131: Self = Self(17);

    /// The name of table 4, if the suite is known.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        let known = KEY_EXCHANGES.iter().find(|(_, known)| *known == self);
        known.map(|(name, _)| *name)
    }

    /// The suite of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let found = KEY_EXCHANGES.iter().find(|(known, _)| *known == name);
        found.map(|(_, exchange)| *exchange)
    }

    /// The method and the limit of the suite's keys, in bits.
    #[must_use]
    pub const fn method(self) -> Option<(Method, Option<usize>)> {
        let compressed = Method::Ecdh { compressed: true };
        let uncompressed = Method::Ecdh { compressed: false };
        Some(match self {
            Self::DH_ANON => (Method::Dh, None),
            Self::DH_ANON_512 => (Method::Dh, Some(512)),
            Self::DH_ANON_768 => (Method::Dh, Some(768)),
            Self::RSA_ANON => (Method::RsaAnonymous, None),
            Self::RSA_ANON_512 => (Method::RsaAnonymous, Some(512)),
            Self::RSA_ANON_768 => (Method::RsaAnonymous, Some(768)),
            Self::RSA => (Method::Rsa, None),
            Self::RSA_512 => (Method::Rsa, Some(512)),
            Self::RSA_768 => (Method::Rsa, Some(768)),
            Self::ECDH_ANON => (compressed, None),
            Self::ECDH_ANON_113 => (compressed, Some(113)),
            Self::ECDH_ANON_131 => (compressed, Some(131)),
            Self::ECDH_ANON_UNCOMP => (uncompressed, None),
            Self::ECDH_ANON_UNCOMP_113 => (uncompressed, Some(113)),
            Self::ECDH_ANON_UNCOMP_131 => (uncompressed, Some(131)),
            _ => return None,
        })
    }
}

/// The suites that are known, under the names of table 4, in the order in which messages list them.
pub const KEY_EXCHANGES: &[(&str, KeyExchange)] = &[
    ("RSA", KeyExchange::RSA),
    ("RSA_768", KeyExchange::RSA_768),
    ("RSA_512", KeyExchange::RSA_512),
    ("RSA_anon", KeyExchange::RSA_ANON),
    ("RSA_anon_768", KeyExchange::RSA_ANON_768),
    ("RSA_anon_512", KeyExchange::RSA_ANON_512),
    ("ECDH_anon", KeyExchange::ECDH_ANON),
    ("ECDH_anon_131", KeyExchange::ECDH_ANON_131),
    ("ECDH_anon_113", KeyExchange::ECDH_ANON_113),
    ("ECDH_anon_uncomp", KeyExchange::ECDH_ANON_UNCOMP),
    ("ECDH_anon_uncomp_131", KeyExchange::ECDH_ANON_UNCOMP_131),
    ("ECDH_anon_uncomp_113", KeyExchange::ECDH_ANON_UNCOMP_113),
    ("DH_anon", KeyExchange::DH_ANON),
    ("DH_anon_768", KeyExchange::DH_ANON_768),
    ("DH_anon_512", KeyExchange::DH_ANON_512),
];

/// How a suite exchanges its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The client encrypts the secret for the key of a certificate.
    Rsa,
    /// The client encrypts the secret for a key without a certificate.
    RsaAnonymous,
    /// Diffie-Hellman with keys without certificates.
    Dh,
    /// The same on an elliptic curve.
    Ecdh {
        /// Whether public keys are sent as compressed points.
        compressed: bool,
    },
}

/// A bulk cipher (table 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bulk {
    /// The assigned number.
    pub number: u8,
    /// The name of table 5.
    pub name: &'static str,
    /// Whether keys are made longer by another step, and IVs come from the randoms alone (11.2).
    pub(super) exportable: bool,
    /// Octets taken from the key block.
    pub(super) material: usize,
    /// Octets of the key.
    pub(super) expanded: usize,
    /// Octets of the IV and of a block; zero for the cipher that does nothing.
    pub(super) block: usize,
    /// Bits an attacker has to guess.
    pub security: u16,
}

impl Bulk {
    /// The cipher of an assigned number.
    #[must_use]
    pub fn of(number: u8) -> Option<&'static Self> {
        BULKS.iter().find(|bulk| bulk.number == number)
    }

    /// The cipher of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        BULKS.iter().find(|bulk| bulk.name == name)
    }
}

/// Table 5. The rounds of RC5_CBC_64 are not stated; other exportable forms of RC5 have 12.
pub const BULKS: &[Bulk] = &[
    bulk(0, "NULL", true, 0, 0, 0, 0),
    bulk(1, "RC5_CBC_40", true, 5, 16, 8, 40),
    bulk(2, "RC5_CBC_56", true, 7, 16, 8, 56),
    bulk(3, "RC5_CBC", false, 16, 16, 8, 128),
    bulk(4, "DES_CBC_40", true, 5, 8, 8, 40),
    bulk(5, "DES_CBC", false, 8, 8, 8, 56),
    bulk(6, "3DES_CBC_EDE", false, 24, 24, 8, 112),
    bulk(7, "IDEA_CBC_40", true, 5, 16, 8, 40),
    bulk(8, "IDEA_CBC_56", true, 7, 16, 8, 56),
    bulk(9, "IDEA_CBC", false, 16, 16, 8, 128),
    bulk(10, "RC5_CBC_64", true, 8, 16, 8, 64),
    bulk(11, "IDEA_CBC_64", true, 8, 16, 8, 64),
];

const fn bulk(
    number: u8,
    name: &'static str,
    exportable: bool,
    material: usize,
    expanded: usize,
    block: usize,
    security: u16,
) -> Bulk {
    Bulk {
        number,
        name,
        exportable,
        material,
        expanded,
        block,
        security,
    }
}

/// A keyed MAC (table 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mac {
    /// The assigned number. 4 was removed and is never selected.
    pub number: u8,
    /// The name of table 6.
    pub name: &'static str,
    /// The hash, which is that of the PRF and of the handshake too, at full length.
    pub(super) hash: Hash,
    /// Octets of the key.
    pub(super) key: usize,
    /// Octets of the MAC.
    pub size: usize,
}

impl Mac {
    /// The MAC of an assigned number.
    #[must_use]
    pub fn of(number: u8) -> Option<&'static Self> {
        MACS.iter().find(|mac| mac.number == number)
    }

    /// The MAC of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        MACS.iter().find(|mac| mac.name == name)
    }
}

/// Table 6.
pub const MACS: &[Mac] = &[
    mac(0, "SHA_0", Hash::Sha1, 0, 0),
    mac(1, "SHA_40", Hash::Sha1, 20, 5),
    mac(2, "SHA_80", Hash::Sha1, 20, 10),
    mac(3, "SHA", Hash::Sha1, 20, 20),
    mac(5, "MD5_40", Hash::Md5, 16, 5),
    mac(6, "MD5_80", Hash::Md5, 16, 10),
    mac(7, "MD5", Hash::Md5, 16, 16),
];

const fn mac(number: u8, name: &'static str, hash: Hash, key: usize, size: usize) -> Mac {
    Mac {
        number,
        name,
        hash,
        key,
        size,
    }
}

/// A bulk cipher and a MAC: rows of the tables, since every connection keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CipherSuite {
    /// The cipher.
    pub bulk: &'static Bulk,
    /// The MAC.
    pub mac: &'static Mac,
}

impl CipherSuite {
    /// The suite of two assigned numbers, if both are known.
    #[must_use]
    pub fn of(bulk: u8, mac: u8) -> Option<Self> {
        Some(Self {
            bulk: Bulk::of(bulk)?,
            mac: Mac::of(mac)?,
        })
    }

    /// The suite of a name like `RC5_CBC/SHA`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (bulk, mac) = name.split_once('/')?;
        Some(Self {
            bulk: Bulk::named(bulk)?,
            mac: Mac::named(mac)?,
        })
    }

    /// Bits an attacker has to guess to read.
    #[must_use]
    pub const fn security(self) -> u16 {
        self.bulk.security
    }
}

impl std::fmt::Display for CipherSuite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.bulk.name, self.mac.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_known_by_its_numbers_and_by_its_name() {
        let suite = CipherSuite::named("RC5_CBC_56/SHA_80").unwrap();
        assert_eq!(suite, CipherSuite::of(2, 2).unwrap());
        assert_eq!(suite.to_string(), "RC5_CBC_56/SHA_80");
    }

    #[test]
    fn a_key_exchange_has_a_name_exactly_if_it_has_a_method() {
        for number in 0..=u8::MAX {
            let exchange = KeyExchange(number);
            assert_eq!(
                exchange.name().is_some(),
                exchange.method().is_some(),
                "{number}"
            );
            assert_eq!(
                exchange.name().and_then(KeyExchange::named),
                exchange.name().map(|_| exchange)
            );
        }
        assert_eq!(KeyExchange::named("NULL"), None);
    }

    #[test]
    fn the_mac_that_was_removed_is_none() {
        assert_eq!(Mac::of(4), None);
        assert_eq!(CipherSuite::of(3, 4), None);
    }
}
