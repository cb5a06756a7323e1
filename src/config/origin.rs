//! The TLS settings of a `[[route]]`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::destination::Leads;
use super::mask;
use super::section::Section;
use super::value::{Value, Wrong, string, text, words};
use crate::route::Address;
use crate::upstream::{ClientIdentity, KeyPin, OriginTls, Tls, TlsError, TlsVersion};

/// Reads the TLS settings of a route, and sets them for the route's name.
pub(super) fn read(
    section: &Section<'_, '_>,
    route: Arc<str>,
    leads: Option<&Leads>,
    directory: &Path,
    tls: Option<&mut Tls>,
) {
    let first_key = KEYS.iter().find(|key| section.has(key));
    let certificate = section.spanned::<PathBuf>("client_certificate");
    let key = section.spanned::<PathBuf>("client_key");
    let origin = OriginTls {
        min_version: section.or("tls_min_version", TlsVersion::default()),
        client: certificate.as_ref().map(|certificate| {
            let key = key.as_ref().unwrap_or(certificate);
            ClientIdentity {
                certificate: directory.join(certificate.get_ref()),
                key: directory.join(key.get_ref()),
            }
        }),
        pins: section
            .list::<KeyPin>("pin")
            .map(Spanned::into_inner)
            .unwrap_or_default(),
    };
    if let (Some(key), None) = (&key, &certificate) {
        section.invalid(
            "client_key",
            key.span(),
            Wrong::new(
                "a key without its certificate",
                "add `client_certificate` to this route",
            ),
        );
    }
    let Some(leads) = leads else {
        return;
    };
    let upstreams = &leads.hosts;
    if let Some(key) = first_key
        && !upstreams.get_ref().iter().all(Address::is_secure)
    {
        section.invalid(
            key,
            upstreams.span(),
            Wrong::new(
                "there is no TLS with this",
                "use https://, or remove the key",
            ),
        );
        return;
    }
    if first_key.is_some()
        && let Some(tls) = tls
        && let Err(TlsError::File { path, why }) = tls.set_route(route, &origin)
    {
        let is_key = key
            .as_ref()
            .is_some_and(|key| path.ends_with(key.get_ref()));
        let (name, at) = match (&certificate, &key) {
            (_, Some(key)) if is_key => ("client_key", key.span()),
            (Some(certificate), _) => ("client_certificate", certificate.span()),
            _ => ("client_certificate", upstreams.span()),
        };
        let label = format!("{}: {why}", mask::file(&path));
        let help = "these are PEM files, relative to the directory of this file";
        section.invalid(name, at, Wrong::new(label, help));
    }
}

words!(
    TlsVersion,
    "\"1.2\" or \"1.3\"",
    [("1.2", Self::V1_2), ("1.3", Self::V1_3)]
);

impl Value for KeyPin {
    const EXPECTED: &'static str = "the SHA-256 digest of a public key, in 64 hexadecimal digits";

    fn show(&self) -> toml::Value {
        string(self.to_string())
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value)?.parse().map_err(|_| {
            Wrong::new(
                format!("expected {}", Self::EXPECTED),
                "openssl x509 -in origin.pem -noout -pubkey | openssl pkey -pubin -outform der | \
                 openssl dgst -sha256",
            )
        })
    }
}

const KEYS: [&str; 4] = ["tls_min_version", "client_certificate", "client_key", "pin"];
