//! What a `[[route]]` says about TLS with the hosts it leads to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::uri::Authority;
use toml::Spanned;
use toml::de::DeValue;

use super::destination::Leads;
use super::report::Problem;
use super::section::Section;
use super::value::{Value, Wrong, one_of, text};
use crate::route::{Address, Destination, Network};
use crate::upstream::{ClientIdentity, KeyPin, OriginTls, Tls, TlsError, TlsVersion};

/// How an origin is spoken to: what it asks for, where it must be if it is not the operator's choice, and
/// through which proxy.
type Manner = (OriginTls, Option<Arc<[Network]>>, Option<Address>);

/// The origins named so far and what they ask for: connections are shared between routes, so each origin
/// can be spoken to in one way only.
#[derive(Default)]
pub(super) struct Origins {
    seen: Vec<(String, Manner)>,
}

impl Origins {
    /// Reads what a route says about TLS, and sets it for the hosts it leads to.
    pub(super) fn read(
        &mut self,
        section: &Section<'_, '_>,
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
        let networks = match &leads.destination {
            Destination::Fixed { .. } => None,
            Destination::AsRequested { allow_addresses } => Some(Arc::clone(allow_addresses)),
        };
        if let Err(other) = self.agree(
            upstreams.get_ref(),
            &(origin.clone(), networks, leads.http_proxy.clone()),
        ) {
            section.problem(Problem {
                title: format!("two routes want to speak to {other} in different ways"),
                at: upstreams.span(),
                label: "an earlier route leads there otherwise".to_owned(),
                related: None,
                help: format!(
                    "connections are shared: give both the same http_proxy, {}",
                    KEYS.join(", ")
                ),
            });
        }
        if first_key.is_some()
            && let Some(tls) = tls
        {
            let set = set(tls, upstreams.get_ref(), &origin);
            if let Err(TlsError::File { path, why }) = set {
                let is_key = key
                    .as_ref()
                    .is_some_and(|key| path.ends_with(key.get_ref()));
                let (name, at) = match (&certificate, &key) {
                    (_, Some(key)) if is_key => ("client_key", key.span()),
                    (Some(certificate), _) => ("client_certificate", certificate.span()),
                    _ => ("client_certificate", upstreams.span()),
                };
                let label = format!("{}: {why}", path.display());
                let help = "these are PEM files, relative to the directory of this file";
                section.invalid(name, at, Wrong::new(label, help));
            }
        }
    }

    /// Remembers what is wanted of these origins, unless one of them was wanted otherwise before.
    fn agree<'a>(&mut self, upstreams: &'a [Address], wanted: &Manner) -> Result<(), &'a str> {
        for host in upstreams.iter().map(Address::authority) {
            match self.seen.iter().find(|(seen, _)| seen == host) {
                Some((_, before)) if before != wanted => return Err(host),
                Some(_) => {}
                None => self.seen.push((host.to_owned(), wanted.clone())),
            }
        }
        Ok(())
    }
}

fn set(tls: &mut Tls, upstreams: &[Address], origin: &OriginTls) -> Result<(), TlsError> {
    for upstream in upstreams {
        if let Ok(host) = upstream.authority().parse::<Authority>() {
            tls.set_origin(host, origin)?;
        }
    }
    Ok(())
}

impl Value for TlsVersion {
    const EXPECTED: &'static str = "\"1.2\" or \"1.3\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        one_of(value, &[("1.2", Self::V1_2), ("1.3", Self::V1_3)])
    }
}

impl Value for KeyPin {
    const EXPECTED: &'static str = "the SHA-256 digest of a public key, in 64 hexadecimal digits";

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
