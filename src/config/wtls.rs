//! `[wtls]`: handshakes and connections of the secure ports.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::pem::{PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use toml::Spanned;
use toml::de::DeValue;

use super::listen::ListenSettings;
use super::mask;
use super::section::Section;
use super::value::{Value, Wrong, string, text};
use crate::limit::Rate;
use crate::upstream::{Expiry, Role};
use crate::wtls::{
    CipherSuite, Config, Credentials, DEFAULT_SECURITY, KEY_EXCHANGES, KeyExchange, Method,
    PrivateKey, Stored, default_suites,
};

/// The settings, and when the certificates end that they name.
pub(super) fn read(
    section: &Section<'_, '_>,
    directory: &Path,
    listen: &ListenSettings,
) -> (Config, Vec<Expiry>) {
    let mut expiries = Vec::new();
    let default = Config::default();
    let certificate = section.spanned::<PathBuf>("certificate");
    let key = section.spanned::<PathBuf>("key");
    let (has_certificate, has_key) = (certificate.is_some(), key.is_some());
    let chain = certificate.as_ref().map(|file| {
        let chain = read_certificates(section, "certificate", file, directory);
        expiries.extend(expiries_of(file, directory, Role::Wtls, &chain));
        chain
    });
    let credentials = read_credentials(section, directory, chain, key);
    let min_security = section.within("min_security", 0..=128, DEFAULT_SECURITY);
    let suites = read_suites(section, min_security);
    let key_exchanges = section.list::<KeyExchange>("key_exchanges");
    if key_exchanges.is_none() {
        section.default("key_exchanges", &default.key_exchanges);
    }
    let authorities = section.spanned::<PathBuf>("client_ca_file");
    let asks_clients = authorities.is_some();
    let is_possible = |exchange: &KeyExchange| match exchange.method() {
        Some((Method::Rsa, _)) => has_certificate,
        Some((Method::RsaAnonymous, _)) => has_key && !asks_clients,
        Some((Method::Dh | Method::Ecdh { .. }, _)) => !asks_clients,
        None => false,
    };
    match &key_exchanges {
        Some(named) if !named.get_ref().iter().any(is_possible) => section.invalid(
            "key_exchanges",
            named.span(),
            Wrong::new(
                "no handshake is possible with these".to_owned(),
                "RSA needs `certificate`, RSA_anon needs `key`, and with `client_ca_file` there is only RSA",
            ),
        ),
        None if asks_clients && !has_certificate => section.missing(
            "certificate",
            "with `client_ca_file` there is only RSA, which needs `certificate`",
        ),
        _ => {}
    }
    let key_exchanges = key_exchanges.map_or(default.key_exchanges, Spanned::into_inner);
    let client_authorities = authorities
        .map(|file| {
            let found = read_certificates(section, "client_ca_file", &file, directory);
            let role = Role::WtlsAuthority;
            expiries.extend(expiries_of(&file, directory, role, &found));
            found
        })
        .unwrap_or_default();
    let per_second = section.within(
        "key_operations",
        1..=100_000,
        default.key_operations.per_second,
    );
    let config = Config {
        credentials: credentials.map(Arc::new),
        key_exchanges,
        suites,
        key_refresh: section.within("key_refresh", 0..=15, default.key_refresh),
        client_authorities: client_authorities.into(),
        max_handshakes: section.within("max_handshakes", 1..=1_000_000, default.max_handshakes),
        max_handshakes_per_address: section.within(
            "max_handshakes_per_address",
            1..=1_000_000,
            default.max_handshakes_per_address,
        ),
        max_connections: section.within("max_connections", 1..=10_000_000, default.max_connections),
        max_sessions: section.within("max_sessions", 0..=10_000_000, default.max_sessions),
        session_lifetime: section.within(
            "session_lifetime",
            Duration::from_secs(1)..=LONGEST,
            default.session_lifetime,
        ),
        idle_timeout: section.within(
            "idle_timeout",
            Duration::from_secs(60)..=LONGEST,
            default.idle_timeout,
        ),
        key_operations: Rate {
            per_second,
            burst: per_second.saturating_mul(2),
        },
        ..default
    };
    if !listen.has_secure() {
        section.without_effect();
        expiries.clear();
    }
    (config, expiries)
}

fn expiries_of(
    file: &Spanned<PathBuf>,
    directory: &Path,
    role: Role,
    certificates: &[Stored],
) -> impl Iterator<Item = Expiry> {
    let file = directory.join(file.get_ref());
    certificates.iter().map(move |certificate| Expiry {
        file: file.clone(),
        subject: certificate.subject(),
        role,
        not_after: certificate.not_after(),
    })
}

fn read_credentials(
    section: &Section<'_, '_>,
    directory: &Path,
    chain: Option<Vec<Stored>>,
    key_file: Option<Spanned<PathBuf>>,
) -> Option<Credentials> {
    let Some(key_file) = key_file else {
        if chain.is_some() {
            section.missing(
                "key",
                "add `key = \"FILE\"`: the certificate's private key in PEM",
            );
        }
        return None;
    };
    let path = directory.join(key_file.get_ref());
    let invalid = |label: String, help: &str| {
        section.invalid("key", key_file.span(), Wrong::new(label, help));
    };
    let key = match PrivateKeyDer::from_pem_file(&path) {
        Ok(der) => PrivateKey::from_der(der.secret_der()),
        Err(error) => {
            invalid(
                format!("{}: {error}", mask::file(&path)),
                "it is the PEM of an RSA key",
            );
            return None;
        }
    };
    let key = match key {
        Ok(key) => key,
        Err(error) => {
            invalid(
                format!("{}: {error}", mask::file(&path)),
                "make one with: openssl genrsa -traditional -out FILE 2048",
            );
            return None;
        }
    };
    match Credentials::new(key, chain.unwrap_or_default()) {
        Ok(credentials) => Some(credentials),
        Err(error) => {
            invalid(
                error.to_string(),
                "`certificate` begins with the certificate of this key",
            );
            None
        }
    }
}

/// The suites that `suites` names, or all that are worth `min_security` bits.
fn read_suites(section: &Section<'_, '_>, min_security: u16) -> Vec<CipherSuite> {
    let Some(named) = section.list::<CipherSuite>("suites") else {
        let suites = default_suites(min_security);
        section.default("suites", &suites);
        return suites;
    };
    let at = named.span();
    let suites = named.into_inner();
    // A suite without encryption is named on purpose. Every other suite must have the wanted
    // security.
    let weak = suites
        .iter()
        .find(|suite| (1..min_security).contains(&suite.security()));
    if let Some(weak) = weak {
        section.invalid(
            "suites",
            at,
            Wrong::new(
                format!(
                    "{weak} is worth {} bits, and min_security is {min_security}",
                    weak.security()
                ),
                "remove it, or lower `min_security`",
            ),
        );
    }
    suites
}

/// The certificates of a file: PEM with certificates of X.509 or of WTLS, or one of either in
/// binary.
fn read_certificates(
    section: &Section<'_, '_>,
    key: &'static str,
    file: &Spanned<PathBuf>,
    directory: &Path,
) -> Vec<Stored> {
    let path = directory.join(file.get_ref());
    let invalid = |label: String| {
        let help =
            "it is PEM with CERTIFICATE (X.509) or WTLS CERTIFICATE, or one of them in binary";
        section.invalid(key, file.span(), Wrong::new(label, help));
    };
    let octets = match std::fs::read(&path) {
        Ok(octets) => octets,
        Err(error) => {
            invalid(format!("{}: {error}", mask::file(&path)));
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for der in certificates(&octets) {
        match Stored::new(&der) {
            Ok(certificate) => found.push(certificate),
            Err(error) => invalid(format!("{}: {error}", mask::file(&path))),
        }
    }
    if found.is_empty() {
        invalid(format!("{} has no certificate", mask::file(&path)));
    }
    found
}

/// The octets of the certificates in a file.
#[must_use]
pub(crate) fn certificates(octets: &[u8]) -> Vec<Vec<u8>> {
    if !octets.starts_with(b"-----BEGIN") && !octets.windows(11).any(|it| it == b"-----BEGIN ") {
        return vec![octets.to_vec()];
    }
    // The PEM reader knows no label of WTLS.
    let text = String::from_utf8_lossy(octets).replace("WTLS CERTIFICATE", "CERTIFICATE");
    let all = <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes());
    all.filter_map(Result::ok)
        .filter(|(kind, _)| *kind == SectionKind::Certificate)
        .map(|(_, der)| CertificateDer::from(der).to_vec())
        .collect()
}

impl Value for CipherSuite {
    const EXPECTED: &'static str = "a cipher and a MAC such as \"RC5_CBC/SHA\"";

    fn show(&self) -> toml::Value {
        string(self.to_string())
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let name = text::<Self>(value)?;
        // Records without a MAC could be changed on their way.
        let known = Self::named(name).filter(|suite| suite.mac.size > 0);
        known.ok_or_else(|| {
            Wrong::new(
                format!("expected {}", Self::EXPECTED),
                "ciphers: RC5_CBC, RC5_CBC_64, RC5_CBC_56, RC5_CBC_40, 3DES_CBC_EDE, DES_CBC, DES_CBC_40, IDEA_CBC, \
                 IDEA_CBC_64, IDEA_CBC_56, IDEA_CBC_40, NULL; MACs: SHA, SHA_80, SHA_40, MD5, MD5_80, MD5_40",
            )
        })
    }
}

impl Value for KeyExchange {
    const EXPECTED: &'static str = "a key exchange such as \"RSA\" or \"ECDH_anon\"";

    fn show(&self) -> toml::Value {
        string(self.name().unwrap_or("unknown"))
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let name = text::<Self>(value)?;
        Self::named(name).ok_or_else(|| {
            let names: Vec<&str> = KEY_EXCHANGES.iter().map(|(name, _)| *name).collect();
            Wrong::new(
                format!("expected {}", Self::EXPECTED),
                format!("known: {}", names.join(", ")),
            )
        })
    }
}

/// The longest lifetime: no handset keeps a session longer.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
