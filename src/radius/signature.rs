//! Signatures of packets: digests with a shared secret (RFC 2866, 3; RFC 2869, 5.14).

use std::fmt;
use std::ops::Range;

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};

use super::{Code, Kind, Packet};

/// The shared secret of a client and a server. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes the octets of a secret.
    #[must_use]
    pub fn new(octets: impl Into<Box<[u8]>>) -> Self {
        Self(octets.into())
    }

    /// Whether the secret, as text, has a property: for warnings about well-known secrets.
    #[must_use]
    pub fn reveals(&self, property: impl Fn(&str) -> bool) -> bool {
        property(&String::from_utf8_lossy(&self.0))
    }

    pub(super) fn sign(&self, packet: &[u8]) -> [u8; 16] {
        let mut digest = Md5::new();
        digest.update(packet);
        digest.update(&self.0);
        digest.finalize().into()
    }

    /// The HMAC-MD5 of a packet, for Message-Authenticator.
    fn hmac(&self, packet: &[u8]) -> Option<Hmac<Md5>> {
        let mut mac = Hmac::<Md5>::new_from_slice(&self.0).ok()?;
        mac.update(packet);
        Some(mac)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The reason why a packet counts as forged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// The secrets differ, or the packet was changed on the way.
    #[error("the authenticator is wrong: the secrets differ")]
    Authenticator,
    /// The same, by the Message-Authenticator.
    #[error("the Message-Authenticator is wrong: the secrets differ")]
    MessageAuthenticator,
}

impl Packet<'_> {
    /// Whether an accounting request was signed with this secret, and so was its
    /// Message-Authenticator, if it has one.
    ///
    /// # Errors
    ///
    /// A signature is wrong. The caller drops the packet silently (RFC 2866, 4.1).
    pub fn verify(&self, secret: &Secret) -> Result<(), Unsigned> {
        if self.code == Code::STATUS_SERVER {
            // The authenticator is random; the attribute holds the signature (RFC 5997, 3).
            let signed = self.is_keyed(self.authenticator, secret) == Some(true);
            return signed.then_some(()).ok_or(Unsigned::MessageAuthenticator);
        }
        let unsigned = self.with([0; 16]).ok_or(Unsigned::Authenticator)?;
        if !same(&secret.sign(&unsigned), &self.authenticator) {
            return Err(Unsigned::Authenticator);
        }
        // The client computes it first, over an authenticator of zeros.
        if self.is_keyed([0; 16], secret) == Some(false) {
            return Err(Unsigned::MessageAuthenticator);
        }
        Ok(())
    }

    /// Whether the packet is the response to a request, signed with this secret.
    #[must_use]
    pub fn answers(&self, request: &Packet<'_>, secret: &Secret) -> bool {
        let Some(unsigned) = self.with(request.authenticator) else {
            return false;
        };
        self.id == request.id
            && self.code == Code::ACCOUNTING_RESPONSE
            && same(&secret.sign(&unsigned), &self.authenticator)
            && self.is_keyed(request.authenticator, secret) != Some(false)
    }

    /// Whether the packet's Message-Authenticators are right; `None` if it has none.
    fn is_keyed(&self, authenticator: [u8; 16], secret: &Secret) -> Option<bool> {
        let given = self.first(Kind::MESSAGE_AUTHENTICATOR)?;
        let mut packet = self.with(authenticator)?;
        let mut at = HEADER;
        for attribute in self.attributes() {
            let end = at + 2 + attribute.value.len();
            if attribute.kind == Kind::MESSAGE_AUTHENTICATOR {
                packet.get_mut(at + 2..end)?.fill(0);
            }
            at = end;
        }
        Some(secret.hmac(&packet)?.verify_slice(given).is_ok())
    }

    /// The octets of the packet with another authenticator.
    fn with(&self, authenticator: [u8; 16]) -> Option<Vec<u8>> {
        let length = u16::try_from(HEADER + self.attributes.len()).ok()?;
        let mut octets = Vec::with_capacity(usize::from(length));
        octets.extend_from_slice(&[self.code.0, self.id]);
        octets.extend_from_slice(&length.to_be_bytes());
        octets.extend_from_slice(&authenticator);
        octets.extend_from_slice(self.attributes);
        Some(octets)
    }
}

/// Compares in constant time.
fn same(one: &[u8; 16], other: &[u8; 16]) -> bool {
    let differing = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(differing) == 0
}

/// Octets before the attributes.
pub(super) const HEADER: usize = 20;
/// The range of the authenticator.
pub(super) const AUTHENTICATOR: Range<usize> = 4..20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radius::{Attribute, encode};

    fn keyed(secret: &Secret, right: bool) -> Vec<u8> {
        let attribute = |kind, value| Attribute {
            kind: Kind(kind),
            value,
        };
        let zeros = [0; 16];
        let all = [attribute(40, &[0, 0, 0, 1]), attribute(80, &zeros)];
        let plain = encode(Code::ACCOUNTING_REQUEST, 3, [0; 16], &all).unwrap();
        let mut mac: [u8; 16] = secret.hmac(&plain).unwrap().finalize().into_bytes().into();
        if !right {
            mac[0] ^= 1;
        }
        let all = [attribute(40, &[0, 0, 0, 1]), attribute(80, &mac)];
        Packet::request(3, &all, secret).unwrap()
    }

    #[test]
    fn a_message_authenticator_must_be_right_if_it_is_there() {
        let secret = Secret::new(*b"testing123");
        let right = keyed(&secret, true);
        assert_eq!(Packet::decode(&right).unwrap().verify(&secret), Ok(()));
        let wrong = keyed(&secret, false);
        assert_eq!(
            Packet::decode(&wrong).unwrap().verify(&secret),
            Err(Unsigned::MessageAuthenticator)
        );
        assert_eq!(
            Packet::decode(&right)
                .unwrap()
                .verify(&Secret::new(*b"other")),
            Err(Unsigned::Authenticator)
        );
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new(*b"testing123")), "…");
    }
}
