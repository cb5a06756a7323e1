//! Certificates: those of WTLS and those of X.509 (10.5.2), and chains of them.

use x509_parser::prelude::{FromDer, X509Certificate};

use crate::codec::{Parsed, fail, octets, uint8};
use crate::wtls::hash::Hash;
use crate::wtls::message::{
    Identifier, Parameters, RsaPublicKey, all, identifier, parameters, put_identifier,
    put_parameters, put_vector16, rsa_public_key, vector8, vector16,
};
use crate::wtls::rsa::{KeyError, PrivateKey, der_element, stripped};

/// A certificate in a Certificate message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Certificate<'a> {
    /// The form of WTLS.
    Wtls(WtlsCertificate<'a>),
    /// The DER of an X.509 certificate.
    X509(&'a [u8]),
    /// Where a certificate is. We fetch none.
    Url(&'a [u8]),
}

/// A WTLS certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WtlsCertificate<'a> {
    /// 0 anonymous, 1 ECDSA with SHA, 2 RSA with SHA.
    pub(super) signature_algorithm: u8,
    /// The signing authority.
    pub(super) issuer: Identifier<'a>,
    /// Seconds since 1970.
    pub(super) not_before: u32,
    /// Seconds since 1970.
    pub(super) not_after: u32,
    /// The holder of the key.
    pub(super) subject: Identifier<'a>,
    /// The key, if this is an RSA key.
    pub(super) key: Option<RsaPublicKey<'a>>,
    /// The signature.
    pub(super) signature: &'a [u8],
    /// The octets under the signature.
    pub(super) signed: &'a [u8],
    /// All octets.
    pub(super) octets: &'a [u8],
}

/// The body of a Certificate message.
pub(super) fn certificates(input: &[u8]) -> Parsed<'_, Vec<Certificate<'_>>> {
    let (rest, list) = vector16(input)?;
    Ok((rest, all(list, certificate)?))
}

/// One certificate with its format.
fn certificate(input: &[u8]) -> Parsed<'_, Certificate<'_>> {
    let (rest, format) = uint8(input)?;
    match format {
        WTLS => wtls(rest).map(|(rest, found)| (rest, Certificate::Wtls(found))),
        X509 => vector16(rest).map(|(rest, der)| (rest, Certificate::X509(der))),
        URL => vector8(rest).map(|(rest, url)| (rest, Certificate::Url(url))),
        _ => Err(fail(input, "a certificate format")),
    }
}

/// A WTLS certificate, without the octet of its format.
pub(super) fn wtls(input: &[u8]) -> Parsed<'_, WtlsCertificate<'_>> {
    let (rest, version) = uint8(input)?;
    if version != 1 {
        return Err(fail(input, "a certificate of version 1"));
    }
    let (rest, signature_algorithm) = uint8(rest)?;
    let (rest, issuer) = identifier(rest)?;
    let (rest, not_before) = uint32(rest)?;
    let (rest, not_after) = uint32(rest)?;
    let (rest, subject) = identifier(rest)?;
    let (rest, key_type) = uint8(rest)?;
    let (rest, _) = parameters(rest)?;
    let (rest, key) = match key_type {
        KEY_RSA => rsa_public_key(rest).map(|(rest, key)| (rest, Some(key)))?,
        3 | 4 => vector8(rest).map(|(rest, _)| (rest, None))?,
        _ => return Err(fail(rest, "a public key type")),
    };
    let (signed, _) = input
        .split_at_checked(input.len() - rest.len())
        .unwrap_or_default();
    let (rest, signature) = match signature_algorithm {
        0 => (rest, &[][..]),
        _ => vector16(rest)?,
    };
    let (all, _) = input
        .split_at_checked(input.len() - rest.len())
        .unwrap_or_default();
    let certificate = WtlsCertificate {
        signature_algorithm,
        issuer,
        not_before,
        not_after,
        subject,
        key,
        signature,
        signed,
        octets: all,
    };
    Ok((rest, certificate))
}

fn uint32(input: &[u8]) -> Parsed<'_, u32> {
    let (rest, taken) = octets(4)(input)?;
    Ok((
        rest,
        u32::from_be_bytes(taken.try_into().unwrap_or_default()),
    ))
}

/// The content of a new WTLS certificate.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// The name of the signing authority, as `service; organisation; country; common name`.
    pub issuer: &'a str,
    /// The name of the holder of the key.
    pub subject: &'a str,
    /// Seconds since 1970.
    pub not_before: u32,
    /// Seconds since 1970.
    pub not_after: u32,
    /// The key.
    pub key: RsaPublicKey<'a>,
}

impl Statement<'_> {
    /// The certificate with the signature of an authority's key.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self, authority: &PrivateKey) -> Result<Vec<u8>, KeyError> {
        let mut out = vec![1, RSA_SHA];
        put_identifier(&mut out, Identifier::Text(UTF_8, self.issuer.as_bytes()));
        out.extend_from_slice(&self.not_before.to_be_bytes());
        out.extend_from_slice(&self.not_after.to_be_bytes());
        put_identifier(&mut out, Identifier::Text(UTF_8, self.subject.as_bytes()));
        out.push(KEY_RSA);
        put_parameters(&mut out, Parameters::index(0));
        self.key.put(&mut out);
        let signature = authority.sign(&Hash::Sha1.digest(&[&out]))?;
        put_vector16(&mut out, |out| out.extend_from_slice(&signature));
        Ok(out)
    }
}

/// A certificate of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    is_x509: bool,
    octets: Vec<u8>,
}

/// The fault of a certificate. Each has an alert of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The certificate is malformed, or the signature is wrong.
    #[error("the certificate is malformed or its signature is wrong")]
    Bad,
    /// The format, or the kind of key, is not supported.
    #[error("the certificate or its key is of a kind that is not supported")]
    Unsupported,
    /// The certificate is not yet valid, or no longer.
    #[error("the certificate is not valid at this time")]
    Expired,
    /// No trusted authority signed the certificate.
    #[error("no trusted authority signed the certificate")]
    UnknownAuthority,
    /// The certificate names another host.
    #[error("the certificate names another host")]
    WrongName,
}

impl Stored {
    /// A certificate of X.509, or if it is none, one of WTLS. RSA keys only.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn new(octets: &[u8]) -> Result<Self, CertificateError> {
        let is_x509 = der_element(octets, 0x30).is_some();
        let stored = Self {
            is_x509,
            octets: octets.to_vec(),
        };
        match Facts::of(&stored.view().ok_or(CertificateError::Bad)?) {
            Some(_) => Ok(stored),
            None => Err(CertificateError::Unsupported),
        }
    }

    fn view(&self) -> Option<Certificate<'_>> {
        match self.is_x509 {
            true => Some(Certificate::X509(&self.octets)),
            false => match wtls(&self.octets) {
                Ok(([], certificate)) => Some(Certificate::Wtls(certificate)),
                _ => None,
            },
        }
    }

    fn facts(&self) -> Option<Facts> {
        Facts::of(&self.view()?)
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self.is_x509 {
            true => {
                out.push(X509);
                put_vector16(out, |out| out.extend_from_slice(&self.octets));
            }
            false => {
                out.push(WTLS);
                out.extend_from_slice(&self.octets);
            }
        }
    }

    /// The subject for people.
    #[must_use]
    pub fn subject(&self) -> String {
        match self.view() {
            Some(Certificate::Wtls(found)) => match found.subject {
                Identifier::Text(_, name) => String::from_utf8_lossy(name).into_owned(),
                _ => String::new(),
            },
            Some(Certificate::X509(der)) => X509Certificate::from_der(der)
                .map(|(_, found)| found.subject().to_string())
                .unwrap_or_default(),
            Some(Certificate::Url(_)) | None => String::new(),
        }
    }

    /// The last second of validity, in seconds since 1970.
    #[must_use]
    pub fn not_after(&self) -> i64 {
        self.facts().map_or(0, |facts| facts.not_after)
    }

    /// Whether the certificate is of this public key.
    #[must_use]
    pub fn has_key(&self, key: RsaPublicKey<'_>) -> bool {
        self.facts()
            .is_some_and(|facts| facts.modulus == key.modulus)
    }

    /// Whether issuer and subject are the same: a root, which is never sent.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.facts()
            .is_some_and(|facts| facts.issuer == facts.subject)
    }

    /// Whether a client that knows its authorities by these identifiers knows the one that signed
    /// this certificate. However many they are, certificates are read once.
    pub(super) fn is_issued_by_any<'a>(
        &self,
        mut identifiers: impl Iterator<Item = Identifier<'a>>,
        authority: Option<&Self>,
    ) -> bool {
        let Some(facts) = self.facts() else {
            return false;
        };
        let hash = authority
            .and_then(Self::facts)
            .map(|facts| Hash::Sha1.digest(&[&facts.modulus]));
        identifiers.any(|identifier| match identifier {
            Identifier::Null => true,
            Identifier::Text(_, name) => !self.is_x509 && facts.issuer == name,
            Identifier::X509Name(name) => self.is_x509 && facts.issuer == name,
            Identifier::KeyHash(named) => hash.as_deref() == Some(named),
            Identifier::Binary(_) => false,
        })
    }
}

/// The facts that handshakes need of a certificate of either form.
pub(super) struct Facts {
    issuer: Vec<u8>,
    subject: Vec<u8>,
    not_before: i64,
    not_after: i64,
    pub(super) exponent: Vec<u8>,
    pub(super) modulus: Vec<u8>,
    is_authority: bool,
    hosts: Vec<String>,
}

impl Facts {
    /// The facts of a certificate with an RSA key.
    pub(super) fn of(certificate: &Certificate<'_>) -> Option<Self> {
        match certificate {
            Certificate::Wtls(found) => {
                let key = found.key?;
                let (Identifier::Text(_, subject), Identifier::Text(_, issuer)) =
                    (found.subject, found.issuer)
                else {
                    return None;
                };
                let fields = name_fields(subject);
                Some(Self {
                    issuer: issuer.to_vec(),
                    subject: subject.to_vec(),
                    not_before: found.not_before.into(),
                    not_after: found.not_after.into(),
                    exponent: stripped(key.exponent).to_vec(),
                    modulus: stripped(key.modulus).to_vec(),
                    is_authority: issuer == subject
                        || fields.iter().skip(4).any(|field| field == "T=ca"),
                    hosts: fields.into_iter().nth(3).into_iter().collect(),
                })
            }
            Certificate::X509(der) => {
                let (_, found) = X509Certificate::from_der(der).ok()?;
                let key = found.public_key().parsed().ok()?;
                let x509_parser::public_key::PublicKey::RSA(key) = key else {
                    return None;
                };
                let names = found.subject_alternative_name().ok().flatten();
                let names = names.iter().flat_map(|names| &names.value.general_names);
                let mut hosts: Vec<String> = names
                    .filter_map(|name| match name {
                        x509_parser::extensions::GeneralName::DNSName(name) => {
                            Some((*name).to_owned())
                        }
                        x509_parser::extensions::GeneralName::IPAddress(octets) => address(octets),
                        _ => None,
                    })
                    .collect();
                if hosts.is_empty() {
                    let names = found.subject().iter_common_name();
                    hosts.extend(
                        names
                            .filter_map(|name| name.as_str().ok())
                            .map(str::to_owned),
                    );
                }
                Some(Self {
                    issuer: found.issuer().as_raw().to_vec(),
                    subject: found.subject().as_raw().to_vec(),
                    not_before: found.validity().not_before.timestamp(),
                    not_after: found.validity().not_after.timestamp(),
                    exponent: stripped(key.exponent).to_vec(),
                    modulus: stripped(key.modulus).to_vec(),
                    is_authority: found.is_ca(),
                    hosts,
                })
            }
            Certificate::Url(_) => None,
        }
    }

    pub(super) fn key(&self) -> RsaPublicKey<'_> {
        RsaPublicKey {
            exponent: &self.exponent,
            modulus: &self.modulus,
        }
    }
}

/// Verifies a chain, the sender's certificate first, and returns what the sender's says. `now`: seconds since 1970, if
/// they are known; `host`: the name that must be in it, if any must.
pub(super) fn verify(
    chain: &[Certificate<'_>],
    authorities: &[Stored],
    now: Option<i64>,
    host: Option<&str>,
) -> Result<Facts, CertificateError> {
    let (first, rest) = chain
        .split_first()
        .ok_or(CertificateError::UnknownAuthority)?;
    let facts = Facts::of(first).ok_or(CertificateError::Unsupported)?;
    check_time(&facts, now)?;
    if let Some(host) = host
        && !facts.hosts.iter().any(|name| matches(name, host))
    {
        return Err(CertificateError::WrongName);
    }
    let mut signed = first;
    let mut last = facts.issuer.clone();
    for above in rest.iter().take(LONGEST_CHAIN) {
        let issuer = Facts::of(above).ok_or(CertificateError::Unsupported)?;
        check_time(&issuer, now)?;
        // "MUST reject any non-root CA certificate if the certificate does not have a name extension T=ca".
        if !issuer.is_authority || issuer.subject != last || !is_signed_by(signed, &issuer) {
            return Err(CertificateError::Bad);
        }
        signed = above;
        last = issuer.issuer;
    }
    let trusted = authorities.iter().filter_map(Stored::facts);
    for authority in trusted.filter(|authority| authority.subject == last) {
        check_time(&authority, now)?;
        if is_signed_by(signed, &authority) {
            return Ok(facts);
        }
    }
    // Not signed by any of the trusted, but one of them itself.
    let is_trusted = authorities.iter().any(|stored| match signed {
        Certificate::Wtls(found) => found.octets == stored.octets,
        Certificate::X509(der) => *der == stored.octets,
        Certificate::Url(_) => false,
    });
    match is_trusted {
        true => Ok(facts),
        false => Err(CertificateError::UnknownAuthority),
    }
}

const fn check_time(facts: &Facts, now: Option<i64>) -> Result<(), CertificateError> {
    match now {
        Some(now) if now < facts.not_before || now > facts.not_after => {
            Err(CertificateError::Expired)
        }
        _ => Ok(()),
    }
}

fn is_signed_by(certificate: &Certificate<'_>, authority: &Facts) -> bool {
    match certificate {
        Certificate::Wtls(found) if found.signature_algorithm == RSA_SHA => {
            let hash = Hash::Sha1.digest(&[found.signed]);
            authority.key().verifies(&hash, found.signature)
        }
        Certificate::X509(der) => {
            let Ok((_, found)) = X509Certificate::from_der(der) else {
                return false;
            };
            verify_x509(&found, authority)
        }
        Certificate::Wtls(_) | Certificate::Url(_) => false,
    }
}

/// SHA-1 or SHA-256 with RSA: the algorithms of handsets and of today's authorities.
fn verify_x509(certificate: &X509Certificate<'_>, authority: &Facts) -> bool {
    let algorithm = certificate.signature_algorithm.algorithm.to_id_string();
    let signed = certificate.tbs_certificate.as_ref();
    let (prefix, hash): (&[u8], Vec<u8>) = match algorithm.as_str() {
        "1.2.840.113549.1.1.5" => (SHA_1_PREFIX, Hash::Sha1.digest(&[signed])),
        "1.2.840.113549.1.1.11" => {
            use rsa::sha2::Digest as _;
            (SHA_256_PREFIX, rsa::sha2::Sha256::digest(signed).to_vec())
        }
        _ => return false,
    };
    let info = [prefix, &hash].concat();
    authority
        .key()
        .verifies(&info, &certificate.signature_value.data)
}

/// The fields of a name: they are separated by "; ", and ";;" is a semicolon.
fn name_fields(name: &[u8]) -> Vec<String> {
    let name = String::from_utf8_lossy(name).replace(";;", "\u{1}");
    name.split("; ")
        .map(|field| field.replace('\u{1}', ";"))
        .collect()
}

fn address(octets: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Some(std::net::Ipv4Addr::from(v4).to_string());
    }
    let v6 = <[u8; 16]>::try_from(octets).ok()?;
    Some(std::net::Ipv6Addr::from(v6).to_string())
}

/// Whether a name of a certificate is that of a host. `*` in the name stands for one label.
fn matches(name: &str, host: &str) -> bool {
    if name.eq_ignore_ascii_case(host) {
        return true;
    }
    let below = name.strip_prefix("*.");
    let rest = host.split_once('.').map(|(_, rest)| rest);
    below.zip(rest).is_some_and(|(below, rest)| {
        below.eq_ignore_ascii_case(rest) && host.parse::<std::net::IpAddr>().is_err()
    })
}

/// The DER before a hash in a signature of X.509 (RFC 8017, 9.2).
const SHA_1_PREFIX: &[u8] = &[
    0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14,
];
const SHA_256_PREFIX: &[u8] = &[
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

const WTLS: u8 = 1;
const X509: u8 = 2;
const URL: u8 = 4;
const RSA_SHA: u8 = 2;
const KEY_RSA: u8 = 2;
/// The number of UTF-8 at IANA.
const UTF_8: u16 = 106;
/// Certificates between a sender's and a root.
const LONGEST_CHAIN: usize = 4;
