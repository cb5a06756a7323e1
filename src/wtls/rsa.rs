//! RSA with PKCS#1 version 1.5 as WTLS has it (11.1.1): block type 2 for the secret, block type 1 over a bare hash of
//! 20 octets for signatures.
//!
//! The crate `rsa` computes in constant time and with blinding, which its advisory about timing asked for; the crate
//! `aws-lc-rs` would need cmake. What an attacker could learn from padding is decided here, not there: the padding is
//! looked at in constant time, and a secret that was not well encrypted is replaced by a random one.

use rsa::hazmat::rsa_decrypt_and_check;
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, Pkcs1v15Encrypt, Pkcs1v15Sign};
use zeroize::Zeroizing;

use crate::wtls::message::RsaPublicKey;
use crate::wtls::secret_random::SecretRandom;

/// The secret that a client sends: its version, and 19 random octets.
pub(super) const SECRET: usize = 20;

/// A private key. Not shown by `Debug`; the crate wipes keys when they are dropped.
pub struct PrivateKey {
    key: rsa::PrivateKey,
    exponent: Vec<u8>,
    modulus: Vec<u8>,
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrivateKey of {} bits", self.bits())
    }
}

/// Why a key is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The octets are not the DER of an RSA key.
    #[error("not an RSA private key in PKCS#1 or PKCS#8")]
    Encoding,
    /// Its numbers do not belong together, or are too large.
    #[error("the numbers of the RSA key do not belong together, or are larger than 4096 bits")]
    Numbers,
}

impl PrivateKey {
    /// The key of a DER encoding, PKCS#1 or PKCS#8.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let numbers = rsa_numbers(der).ok_or(KeyError::Encoding)?;
        let [n, e, d, p, q] =
            numbers.map(|octets| BoxedUint::from_be_slice_vartime(stripped(octets)));
        let key =
            rsa::PrivateKey::from_components(n, e, d, vec![p, q]).map_err(|_| KeyError::Numbers)?;
        key.validate().map_err(|_| KeyError::Numbers)?;
        Ok(Self {
            exponent: stripped(&key.e_bytes()).to_vec(),
            modulus: stripped(&key.n_bytes()).to_vec(),
            key,
        })
    }

    /// The public key, without octets of zero in front.
    #[must_use]
    pub fn public(&self) -> RsaPublicKey<'_> {
        RsaPublicKey {
            exponent: &self.exponent,
            modulus: &self.modulus,
        }
    }

    /// Bits of the modulus.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.modulus.len() * 8
    }

    /// The secret that a client encrypted. If it is not well encrypted, or not of that version, a random one: nothing
    /// tells the two apart (Bleichenbacher; 10.5.7.1).
    pub(super) fn decrypt_secret(
        &self,
        encrypted: &[u8],
        version: u8,
        random: &mut SecretRandom,
    ) -> Zeroizing<[u8; SECRET]> {
        let mut fallback = Zeroizing::new([0; SECRET]);
        random.fill(&mut *fallback);
        let size = self.modulus.len();
        let bits = u32::try_from(size * 8).unwrap_or(u32::MAX);
        let encrypted = stripped(encrypted);
        // The length and the size of what the client sent are no secrets.
        let number = BoxedUint::from_be_slice(encrypted, bits).ok();
        let decrypted =
            number.and_then(|number| rsa_decrypt_and_check(&self.key, Some(random), &number).ok());
        let Some(decrypted) = decrypted.map(Zeroizing::new) else {
            return fallback;
        };
        let whole = Zeroizing::new(decrypted.to_be_bytes());
        let Some(block) = whole.get(whole.len().saturating_sub(size)..) else {
            return fallback;
        };
        let Some((head, secret)) = block.split_last_chunk::<SECRET>() else {
            return fallback;
        };
        let Some((&[zero, block_type], padding)) = head.split_first_chunk::<2>() else {
            return fallback;
        };
        let Some((end, padding)) = padding.split_last() else {
            return fallback;
        };
        let mut bad = zero | (block_type ^ 2) | end | (secret[0] ^ version);
        for octet in padding {
            bad |= is_zero(*octet);
        }
        // 0xFF if anything is bad, and 0 if nothing is.
        let bad = std::hint::black_box(!is_zero(bad));
        let mut chosen = Zeroizing::new([0; SECRET]);
        let octets = secret.iter().zip(fallback.iter());
        for (place, (good, random)) in chosen.iter_mut().zip(octets) {
            *place = (good & !bad) | (random & bad);
        }
        chosen
    }

    /// The plaintext, with its padding.
    #[cfg(test)]
    pub(super) fn decrypt_raw(&self, encrypted: &[u8]) -> Vec<u8> {
        let number = BoxedUint::from_be_slice_vartime(encrypted);
        let none: Option<&mut SecretRandom> = None;
        let decrypted = rsa_decrypt_and_check(&self.key, none, &number).unwrap();
        decrypted.to_be_bytes().to_vec()
    }

    /// The signature over a hash (block type 1, no DigestInfo).
    ///
    /// # Errors
    /// When the key is too short for the hash.
    pub fn sign(&self, hash: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.key
            .sign(Pkcs1v15Sign::new_unprefixed(), hash)
            .map_err(|_| KeyError::Numbers)
    }
}

impl RsaPublicKey<'_> {
    fn key(&self) -> Option<rsa::PublicKey> {
        let modulus = BoxedUint::from_be_slice_vartime(stripped(self.modulus));
        let exponent = BoxedUint::from_be_slice_vartime(stripped(self.exponent));
        if self.modulus.len() > LARGEST || self.exponent.len() > 8 {
            return None;
        }
        rsa::PublicKey::new_with_size_limits(modulus, exponent, 512..=8 * LARGEST).ok()
    }

    /// Encrypts the client's secret.
    pub(super) fn encrypt(
        &self,
        secret: &[u8; SECRET],
        random: &mut SecretRandom,
    ) -> Option<Vec<u8>> {
        self.key()?.encrypt(random, Pkcs1v15Encrypt, secret).ok()
    }

    /// Whether a signature over a hash is genuine.
    #[must_use]
    pub fn verifies(&self, hash: &[u8], signature: &[u8]) -> bool {
        let Some(key) = self.key() else {
            return false;
        };
        key.verify(Pkcs1v15Sign::new_unprefixed(), hash, signature)
            .is_ok()
    }
}

/// 0xFF for zero, and 0 for anything else.
const fn is_zero(octet: u8) -> u8 {
    // Negative only for zero.
    let borrow = (octet as u16).wrapping_sub(1) >> 8;
    (borrow & 0xFF) as u8
}

/// Without octets of zero in front.
pub(super) fn stripped(octets: &[u8]) -> &[u8] {
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    octets.get(zeros..).unwrap_or_default()
}

/// Modulus, public exponent, private exponent and primes of an RSAPrivateKey (RFC 8017, A.1.2), bare or in PKCS#8.
fn rsa_numbers(der: &[u8]) -> Option<[&[u8]; 5]> {
    let (sequence, _) = der_element(der, 0x30)?;
    let (version, rest) = der_element(sequence, 0x02)?;
    // PKCS#8: version, algorithm, and the key as an octet string.
    if let Some((_, rest)) = der_element(rest, 0x30) {
        return rsa_numbers(der_element(rest, 0x04)?.0);
    }
    let _ = version;
    let (n, rest) = der_element(rest, 0x02)?;
    let (e, rest) = der_element(rest, 0x02)?;
    let (d, rest) = der_element(rest, 0x02)?;
    let (p, rest) = der_element(rest, 0x02)?;
    let (q, _) = der_element(rest, 0x02)?;
    Some([n, e, d, p, q])
}

/// The content of the DER element of this tag at the beginning, and what follows it.
pub(super) fn der_element(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[first, length], rest) = input.split_first_chunk::<2>()?;
    if first != tag {
        return None;
    }
    match length {
        0..=0x7F => rest.split_at_checked(length.into()),
        0x81..=0x83 => {
            let (octets, rest) = rest.split_at_checked(usize::from(length & 0x7F))?;
            let length = octets
                .iter()
                .fold(0, |sum, octet| sum << 8 | usize::from(*octet));
            rest.split_at_checked(length)
        }
        _ => None,
    }
}

/// Octets of the largest modulus that is worked with.
const LARGEST: usize = 512;
