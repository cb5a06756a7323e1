//! A certificate authority that the tests trust, and certificates that are good or wrong.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use wapbridge::upstream::{Tls, TlsSettings};

/// An authority with its key.
pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

/// A fault of a certificate.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Certificate {
    Good,
    Expired,
    NotYetValid,
    WrongName,
    Untrusted,
}

/// A new authority.
pub(crate) fn new_authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// The authority that the tests of this process trust, and the file with its certificate. The file stays in the
/// build's directory for temporary files.
fn trusted() -> &'static (Authority, PathBuf) {
    static TRUSTED: OnceLock<(Authority, PathBuf)> = OnceLock::new();
    TRUSTED.get_or_init(|| {
        let authority = new_authority("Test authority");
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("test-authority-{}.pem", std::process::id()));
        std::fs::write(&file, authority.pem()).unwrap();
        (authority, file)
    })
}

/// The file with the authority that the tests of this process trust.
pub(crate) fn ca_file() -> &'static Path {
    &trusted().1
}

/// TLS that trusts this authority.
pub(crate) fn tls() -> Tls {
    Tls::load(&TlsSettings {
        ca_files: vec![ca_file().to_owned()],
    })
    .unwrap()
}

/// A certificate of the trusted authority, and its key.
pub(crate) fn identity(name: &str) -> (rcgen::Certificate, KeyPair) {
    issue(name, &trusted().0)
}

/// A client that trusts this authority.
pub(crate) fn connector() -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted().0.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// An acceptor for localhost that offers these protocols by ALPN.
pub(crate) fn acceptor(certificate: Certificate, protocols: &[&[u8]]) -> TlsAcceptor {
    let name = match certificate {
        Certificate::WrongName => "other.example",
        _ => "localhost",
    };
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    match certificate {
        Certificate::Expired => params.not_after = date_time_ymd(2001, 2, 3),
        Certificate::NotYetValid => params.not_before = date_time_ymd(2901, 2, 3),
        _ => {}
    }
    let identity = match certificate {
        Certificate::Untrusted => signed(params, &new_authority("Somebody else")),
        _ => signed(params, &trusted().0),
    };
    let mut config = server_config(&identity, rustls::DEFAULT_VERSIONS, None);
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// An acceptor for localhost with a certificate of this authority.
pub(crate) fn acceptor_of(authority: &Authority) -> TlsAcceptor {
    let identity = issue("localhost", authority);
    let config = server_config(&identity, rustls::DEFAULT_VERSIONS, None);
    TlsAcceptor::from(Arc::new(config))
}

/// A certificate of this authority for a name, and its key.
pub(crate) fn issue(name: &str, by: &Authority) -> (rcgen::Certificate, KeyPair) {
    signed(CertificateParams::new(vec![name.to_owned()]).unwrap(), by)
}

/// An acceptor that asks clients for a certificate of the trusted authority.
pub(crate) fn client_auth_acceptor() -> TlsAcceptor {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted().0.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let config = server_config(
        &identity("localhost"),
        rustls::DEFAULT_VERSIONS,
        Some(verifier.unwrap()),
    );
    TlsAcceptor::from(Arc::new(config))
}

/// An acceptor that speaks TLS 1.2 only, and its certificate.
pub(crate) fn tls12_acceptor() -> (TlsAcceptor, CertificateDer<'static>) {
    let identity = identity("localhost");
    let config = server_config(&identity, &[&rustls::version::TLS12], None);
    let certificate = identity.0.der().clone();
    (TlsAcceptor::from(Arc::new(config)), certificate)
}

fn signed(params: CertificateParams, by: &Authority) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, by).unwrap();
    (certificate, key)
}

fn server_config(
    (certificate, key): &(rcgen::Certificate, KeyPair),
    versions: &[&'static rustls::SupportedProtocolVersion],
    clients: Option<Arc<dyn rustls::server::danger::ClientCertVerifier>>,
) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap();
    let builder = match clients {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    builder
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap()
}
