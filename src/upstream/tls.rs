//! How we know that an origin is who it says: trusted roots, and which check failed when it is not.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{AlertDescription, CertificateError, InvalidMessage, RootCertStore};
use rustls_platform_verifier::Verifier;

/// Whom to trust.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// PEM files with authorities trusted besides the system's. Default: none.
    pub ca_files: Vec<PathBuf>,
}

/// Why there is nothing to verify origins with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file of authorities cannot be used.
    #[error("{path}: {why}", path = path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Neither the system nor a file gives a single root.
    #[error("no trusted authority: this system has no certificate store and no ca_file is set")]
    NoRoots,
}

/// What is needed to speak TLS to origins, loaded and checked. Cheap to clone.
///
/// Verification of chain, name and time cannot be switched off.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Loads the system's roots and the files'. Reads from disk: call it at start and on reload.
    ///
    /// # Errors
    ///
    /// [`TlsError`] if a file cannot be used or if there is nobody to trust.
    pub fn load(settings: &TlsSettings) -> Result<Self, TlsError> {
        let mut own_roots = Vec::new();
        for path in &settings.ca_files {
            own_roots.extend(read_authorities(path)?);
        }
        let provider = Arc::new(ring::default_provider());
        // A root that does not parse was refused above, so what fails here is the lack of any.
        let verifier = Verifier::new_with_extra_roots(own_roots, Arc::clone(&provider))
            .map_err(|_| TlsError::NoRoots)?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring supports TLS 1.2 and 1.3")
            .dangerous() // rustls calls every verifier of one's own so; this one is the platform's
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// A client configuration with a session store of its own, so that shards share no lock.
    pub(super) fn client_config(&self) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::in_memory_sessions(RESUMABLE_SESSIONS);
        Arc::new(config)
    }
}

/// The certificates in a PEM file, each of them fit to be a root.
fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable = |why: String| TlsError::CaFile {
        path: path.to_owned(),
        why,
    };
    let text = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let mut authorities = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| unusable(format!("not PEM: {error}")))?;
        RootCertStore::empty()
            .add(certificate.clone())
            .map_err(|error| unusable(format!("not a usable certificate: {error}")))?;
        authorities.push(certificate);
    }
    if authorities.is_empty() {
        return Err(unusable(
            "no certificate in it (PEM, \"-----BEGIN CERTIFICATE-----\")".to_owned(),
        ));
    }
    Ok(authorities)
}

/// Which check of a handshake failed, in words for the operator.
pub(super) fn explain(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => explain_certificate(error),
        rustls::Error::AlertReceived(alert) => explain_alert(*alert),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "what answers there does not speak TLS".to_owned()
        }
        other => other.to_string(),
    }
}

fn explain_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired => "the certificate has expired".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => format!(
            "the certificate has expired, {} ago",
            rough(time.as_secs().saturating_sub(not_after.as_secs()))
        ),
        CertificateError::NotValidYet => "the certificate is not valid yet".to_owned(),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the certificate will only be valid in {}; is this host's clock right?",
            rough(not_before.as_secs().saturating_sub(time.as_secs()))
        ),
        CertificateError::NotValidForName => "the certificate is for another name".to_owned(),
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => format!(
            "the certificate is for another name: asked for {}, it names {}",
            expected.to_str(),
            names(presented)
        ),
        CertificateError::UnknownIssuer => {
            "the certificate's issuer is not trusted; if it is your own authority, name its \
             certificate in ca_file"
                .to_owned()
        }
        CertificateError::Revoked => "the certificate is revoked".to_owned(),
        CertificateError::BadSignature => "the certificate's signature is wrong".to_owned(),
        other => format!("the certificate is invalid: {other}"),
    }
}

/// The names a certificate is for, which rustls gives as `DnsName("...")`.
fn names(presented: &[String]) -> String {
    if presented.is_empty() {
        return "none".to_owned();
    }
    let bare = presented
        .iter()
        .map(|name| name.split('"').nth(1).unwrap_or(name));
    bare.collect::<Vec<_>>().join(", ")
}

fn explain_alert(alert: AlertDescription) -> String {
    let meaning = match alert {
        AlertDescription::HandshakeFailure => "it shares no version or cipher suite with us",
        AlertDescription::ProtocolVersion => "it speaks neither TLS 1.2 nor TLS 1.3",
        AlertDescription::CertificateRequired => "it wants a client certificate",
        AlertDescription::UnrecognisedName => "it does not serve that name",
        AlertDescription::NoApplicationProtocol => "it speaks neither HTTP/1.1 nor HTTP/2",
        _ => return format!("the origin refused with alert {alert:?}"),
    };
    format!("the origin refused with alert {alert:?}: {meaning}")
}

fn rough(seconds: u64) -> String {
    let duration = Duration::from_secs(seconds);
    match duration.as_secs() / 60 {
        0 => format!("{seconds} s"),
        minutes @ 1..120 => format!("{minutes} min"),
        minutes @ 120..2880 => format!("{} h", minutes / 60),
        minutes => format!("{} days", minutes / 1440),
    }
}

/// TLS sessions kept for resumption, per shard.
const RESUMABLE_SESSIONS: usize = 64;
