//! Public keys that an origin is pinned to, besides being verified.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

/// The SHA-256 digest of an origin's public key (its SubjectPublicKeyInfo), written in hexadecimal
/// digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyPin([u8; 32]);

impl KeyPin {
    /// The pin of a certificate's key.
    ///
    /// # Errors
    ///
    /// If it does not parse.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, Error> {
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        let mut octets = [0; 32];
        octets.copy_from_slice(digest(&SHA256, &key).as_ref());
        Ok(Self(octets))
    }
}

impl FromStr for KeyPin {
    type Err = InvalidPin;

    fn from_str(text: &str) -> Result<Self, InvalidPin> {
        let digits: Vec<u8> = text
            .bytes()
            .filter(|octet| *octet != b':') // as openssl prints fingerprints
            .map(|octet| {
                char::from(octet)
                    .to_digit(16)
                    .and_then(|digit| u8::try_from(digit).ok())
            })
            .collect::<Option<_>>()
            .ok_or(InvalidPin)?;
        let (pairs, []) = digits.as_chunks::<2>() else {
            return Err(InvalidPin);
        };
        let octets: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        octets.try_into().map(Self).map_err(|_| InvalidPin)
    }
}

/// Text that is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not 64 hexadecimal digits")]
pub struct InvalidPin;

impl fmt::Display for KeyPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for KeyPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An origin that verifies, with a key it is not pinned to.
#[derive(Debug, thiserror::Error)]
#[error("the certificate is trusted, but its key is none of the pinned ones; its pin is {0}")]
pub(super) struct PinMismatch(KeyPin);

/// Verifies as `inner` does, and then asks for one of the pinned keys.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) inner: Arc<dyn ServerCertVerifier>,
    pub(super) pins: Vec<KeyPin>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
        // Only its own key counts: an origin may send any certificates it likes along with it.
        let pin = KeyPin::of(end_entity)?;
        if self.pins.contains(&pin) {
            return Ok(verified);
        }
        let mismatch = OtherError(Arc::new(PinMismatch(pin)));
        Err(CertificateError::Other(mismatch).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_64_digits() {
        let text = "00ff".repeat(16);
        assert_eq!(text.parse::<KeyPin>().unwrap().to_string(), text);
        let colons = vec!["00:FF"; 16].join(":");
        assert_eq!(colons.parse::<KeyPin>().unwrap().to_string(), text);
        for wrong in [
            "",
            "00",
            "0",
            &"00ff".repeat(15),
            &"00fg".repeat(16),
            &"0".repeat(65),
        ] {
            assert_eq!(wrong.parse::<KeyPin>(), Err(InvalidPin), "{wrong}");
        }
    }
}
