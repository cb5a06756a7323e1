//! Errors of TLS handshakes in words for the operator.

use std::time::Duration;

use rustls::{AlertDescription, CertificateError, InvalidMessage};

use super::pin::PinMismatch;

/// Which check of a handshake failed, in words for the operator.
pub(super) fn describe(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => describe_certificate(error),
        rustls::Error::AlertReceived(alert) => describe_alert(*alert),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server there does not speak TLS".to_owned()
        }
        other => other.to_string(),
    }
}

fn describe_certificate(error: &CertificateError) -> String {
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
        CertificateError::Other(other) => match other.0.downcast_ref::<PinMismatch>() {
            Some(mismatch) => mismatch.to_string(),
            None => format!("the certificate is invalid: {other}"),
        },
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

fn describe_alert(alert: AlertDescription) -> String {
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
