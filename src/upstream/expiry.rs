//! Expiry of the configured certificates, so that operators are warned before requests fail.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

/// One certificate of a file of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The file.
    pub file: PathBuf,
    /// The subject.
    pub subject: String,
    /// The use.
    pub role: Role,
    /// The last second it is valid, in seconds since 1970.
    pub not_after: i64,
}

/// The use of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An authority that certificates of origins, clients or push initiators may come from.
    Authority,
    /// Ours, shown to origins, or one that leads from it to an authority.
    Client,
    /// Ours, shown to push initiators that connect, or one that leads from it to an authority.
    Listener,
    /// Ours, shown to handsets at the secure ports, or one that leads from it to an authority.
    Wtls,
    /// An authority that handsets' certificates may come from.
    WtlsAuthority,
}

impl Role {
    /// All uses.
    pub const ALL: [Self; 5] = [
        Self::Authority,
        Self::Client,
        Self::Listener,
        Self::Wtls,
        Self::WtlsAuthority,
    ];

    /// The stable name in documents and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Authority => "authority",
            Self::Client => "client",
            Self::Listener => "listener",
            Self::Wtls => "wtls",
            Self::WtlsAuthority => "wtls_authority",
        }
    }
}

/// Expiry of the certificates of a file. Unreadable certificates were refused when the file was
/// loaded.
#[must_use]
pub fn expiries_of(file: &Path, role: Role, certificates: &[CertificateDer<'_>]) -> Vec<Expiry> {
    certificates
        .iter()
        .filter_map(|der| {
            let (_, certificate) = X509Certificate::from_der(der).ok()?;
            Some(Expiry {
                file: file.to_owned(),
                subject: certificate.subject().to_string(),
                role,
                not_after: certificate.validity().not_after.timestamp(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_end_is_read_from_the_certificate() {
        let mut params = CertificateParams::default();
        params.not_after = date_time_ymd(2031, 2, 3);
        params.distinguished_name.push(DnType::CommonName, "ours");
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let found = expiries_of(Path::new("c.pem"), Role::Client, &[made.der().clone()]);
        assert_eq!(found.len(), 1);
        assert!(found[0].subject.contains("ours"), "{:?}", found[0]);
        assert_eq!(found[0].not_after, 1_927_843_200);
    }
}
