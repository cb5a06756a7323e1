//! Certificates and keys of the gateway's own TCP listeners.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use toml::Spanned;

use super::mask;
use super::section::Section;
use super::value::Wrong;
use crate::server_tls::ServerTls;
use crate::upstream::{Expiry, Role, expiries_of};

/// The certificates of a listener's clients.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Clients {
    /// None is asked for.
    ShowNone,
    /// Clients may show one of the authorities in `client_ca_file`.
    MayShowCertificates,
}

/// Reads `certificate`, `key` and, where clients may show certificates, `client_ca_file`. Adds the
/// ends of the certificates to `expiries`.
pub(super) fn read(
    section: &Section<'_, '_>,
    directory: &Path,
    clients: Clients,
    expiries: &mut Vec<Expiry>,
) -> Option<ServerTls> {
    let certificate = section.spanned::<PathBuf>("certificate");
    let key = section.spanned::<PathBuf>("key");
    let authorities = match clients {
        Clients::ShowNone => None,
        Clients::MayShowCertificates => section.spanned::<PathBuf>("client_ca_file"),
    };
    let Some(certificate) = certificate else {
        for (name, file) in [("key", key), ("client_ca_file", authorities)] {
            if let Some(file) = file {
                let wrong =
                    Wrong::new("there is no TLS without a certificate", "add `certificate`");
                section.invalid(name, file.span(), wrong);
            }
        }
        return None;
    };
    let key = key.unwrap_or_else(|| certificate.clone());
    let path = |file: &Spanned<PathBuf>| directory.join(file.get_ref());
    let wrong = |name: &str, file: &Spanned<PathBuf>, error: String| {
        let label = format!("{}: {error}", mask::file(&path(file)));
        section.invalid(name, file.span(), Wrong::new(label, PEM));
    };
    let chain = certificates(&path(&certificate));
    let chain = chain
        .map_err(|error| wrong("certificate", &certificate, error))
        .ok()?;
    expiries.extend(expiries_of(&path(&certificate), Role::Listener, &chain));
    let private = PrivateKeyDer::from_pem_file(path(&key));
    let private = private
        .map_err(|error| wrong("key", &key, error.to_string()))
        .ok()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .ok()?;
    let builder = match &authorities {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            let found = certificates(&path(file));
            let found = found
                .map_err(|error| wrong("client_ca_file", file, error))
                .ok()?;
            expiries.extend(expiries_of(&path(file), Role::Authority, &found));
            roots.add_parsable_certificates(found);
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build();
            let verifier =
                verifier.map_err(|error| wrong("client_ca_file", file, error.to_string()));
            builder.with_client_cert_verifier(verifier.ok()?)
        }
    };
    let config = builder.with_single_cert(chain, private);
    let config = config
        .map_err(|error| wrong("certificate", &certificate, error.to_string()))
        .ok()?;
    let mut files = vec![path(&certificate), path(&key)];
    files.extend(authorities.as_ref().map(path));
    Some(ServerTls {
        files,
        config: Arc::new(config),
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?;
    let found: Vec<_> = read
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    match found.is_empty() {
        true => Err("there is no certificate in it".to_owned()),
        false => Ok(found),
    }
}

/// The remedy for a file that cannot be read.
pub(super) const PEM: &str = "these are PEM files, relative to the directory of this file";
