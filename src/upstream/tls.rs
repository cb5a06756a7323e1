//! TLS with origins: the authorities trusted, pinned keys and client certificates, as rustls
//! configurations.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, SupportedProtocolVersion, version};
use rustls_platform_verifier::Verifier;

use super::expiry::{self, Expiry, Role};
use super::pin::{KeyPin, Pinned};

/// Trusted authorities.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// PEM files with trusted authorities besides the system's. Default: none.
    pub ca_files: Vec<PathBuf>,
}

/// TLS settings of one origin besides verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginTls {
    /// The oldest version spoken with it. Default: TLS 1.2.
    pub min_version: TlsVersion,
    /// The gateway's certificate. Default: none.
    pub client: Option<ClientIdentity>,
    /// Keys of which the origin must have one. Default: any key with a valid certificate.
    pub pins: Vec<KeyPin>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

/// The PEM files of a client certificate; they may be one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The certificate, and its chain to an authority that the origin trusts.
    pub certificate: PathBuf,
    /// Its private key, without a passphrase.
    pub key: PathBuf,
}

/// Why TLS cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be used.
    #[error("{path}: {why}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error.
        why: String,
    },
    /// Neither the system nor a file has a root.
    #[error("no trusted authority: this system has no certificate store and no ca_file is set")]
    NoRoots,
}

/// TLS for origins: settings and files, loaded and checked. Cheap to clone.
///
/// Verification of chain, name and time cannot be switched off.
#[derive(Clone, Debug)]
pub struct Tls {
    verifier: Arc<dyn ServerCertVerifier>,
    /// For routes without settings of their own.
    usual: Arc<ClientConfig>,
    /// For the others, by their names.
    routes: HashMap<Arc<str>, (OriginTls, Arc<ClientConfig>)>,
    expiries: Vec<Expiry>,
}

impl Tls {
    /// Loads the system's roots and the files. Reads from disk: call it at start and at a reload.
    ///
    /// # Errors
    ///
    /// [`TlsError`] if a file cannot be used or if there is no root.
    pub fn load(settings: &TlsSettings) -> Result<Self, TlsError> {
        let mut own_roots = Vec::new();
        let mut expiries = Vec::new();
        for path in &settings.ca_files {
            let authorities = read_authorities(path)?;
            expiries.extend(expiry::expiries_of(path, Role::Authority, &authorities));
            own_roots.extend(authorities);
        }
        // Malformed roots were refused above, so this error means that there is no root.
        let verifier =
            Verifier::new_with_extra_roots(own_roots, provider()).map_err(|_| TlsError::NoRoots)?;
        let verifier: Arc<dyn ServerCertVerifier> = Arc::new(verifier);
        let usual = client_config(Arc::clone(&verifier), &OriginTls::default())?;
        Ok(Self {
            verifier,
            usual,
            routes: HashMap::new(),
            expiries,
        })
    }

    /// Sets how the route of this name speaks TLS to its hosts. Reads from disk.
    ///
    /// # Errors
    ///
    /// [`TlsError`] if a file cannot be used.
    pub fn set_route(&mut self, route: Arc<str>, origin: &OriginTls) -> Result<(), TlsError> {
        let mut verifier = Arc::clone(&self.verifier);
        if !origin.pins.is_empty() {
            verifier = Arc::new(Pinned {
                inner: verifier,
                pins: origin.pins.clone(),
            });
        }
        let config = client_config(verifier, origin)?;
        if let Some(ClientIdentity { certificate, .. }) = &origin.client
            && !self.expiries.iter().any(|known| known.file == *certificate)
        {
            let chain = read_certificates(certificate)?;
            let found = expiry::expiries_of(certificate, Role::Client, &chain);
            self.expiries.extend(found);
        }
        self.routes.insert(route, (origin.clone(), config));
        Ok(())
    }

    /// The configuration for hosts that ask for nothing special. No protocol is offered above TLS.
    #[must_use]
    pub fn client_config(&self) -> ClientConfig {
        ClientConfig::clone(&self.usual)
    }

    /// When the certificates of the files end.
    #[must_use]
    pub fn expiries(&self) -> &[Expiry] {
        &self.expiries
    }

    /// The TLS settings of the route of this name.
    pub(super) fn settings_of(&self, route: &str) -> OriginTls {
        let settings = self.routes.get(route);
        settings.map_or_else(OriginTls::default, |(origin, _)| origin.clone())
    }

    /// The configuration for these settings, which the default or a route has. Its session store is
    /// its own, so that shards share no lock.
    pub(super) fn config(&self, settings: &OriginTls) -> ClientConfig {
        let routes = self.routes.values();
        let special = routes.into_iter().find(|(origin, _)| origin == settings);
        let config = special.map_or(&self.usual, |(_, config)| config);
        let mut config = ClientConfig::clone(config);
        config.resumption = Resumption::in_memory_sessions(RESUMABLE_SESSIONS);
        config
    }
}

fn client_config(
    verifier: Arc<dyn ServerCertVerifier>,
    origin: &OriginTls,
) -> Result<Arc<ClientConfig>, TlsError> {
    let versions: &[&SupportedProtocolVersion] = match origin.min_version {
        TlsVersion::V1_2 => &[&version::TLS13, &version::TLS12],
        TlsVersion::V1_3 => &[&version::TLS13],
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .expect("ring supports TLS 1.2 and 1.3")
        .dangerous() // rustls calls every verifier of one's own so; this one is the platform's
        .with_custom_certificate_verifier(verifier);
    let config = match &origin.client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let certificates = read_certificates(&client.certificate)?;
            let key = PrivateKeyDer::from_pem_file(&client.key)
                .map_err(|error| unusable(&client.key, format!("no private key in it: {error}")))?;
            builder
                .with_client_auth_cert(certificates, key)
                .map_err(|error| unusable(&client.key, error.to_string()))?
        }
    };
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The certificates in a PEM file, each of them fit to be a root.
fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let authorities = read_certificates(path)?;
    for authority in &authorities {
        RootCertStore::empty()
            .add(authority.clone())
            .map_err(|error| unusable(path, format!("not a usable certificate: {error}")))?;
    }
    Ok(authorities)
}

/// The certificates in a PEM file, one at least.
fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = std::fs::read(path).map_err(|error| unusable(path, error.to_string()))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(path, format!("not PEM: {error}")))?;
    if certificates.is_empty() {
        let why = "no certificate in it (PEM, \"-----BEGIN CERTIFICATE-----\")";
        return Err(unusable(path, why.to_owned()));
    }
    Ok(certificates)
}

fn unusable(path: &Path, why: String) -> TlsError {
    TlsError::File {
        path: path.to_owned(),
        why,
    }
}

/// TLS sessions kept for resumption, per shard.
const RESUMABLE_SESSIONS: usize = 64;
