//! Why a request failed, and whether the origin may have seen it.

use std::error::Error;
use std::io;

use http::uri::Authority;

use super::MAX_HEAD;
use super::connect::{causes, root_cause, tls_error};
use super::explain::explain;
use crate::gateway::fetch::{Failure, FetchError};

/// A request that failed.
pub(super) struct Failed {
    pub(super) error: FetchError,
    /// It certainly was not sent, so that sending it elsewhere is no second request.
    pub(super) unsent: bool,
    /// Nothing of a reply had come.
    pub(super) before_reply: bool,
}

impl Failed {
    /// A failure after the request was, or may have been, sent.
    pub(super) fn sent(host: Option<&Authority>, failure: Failure, cause: &str) -> Self {
        let host = host.map_or("", Authority::as_str);
        Self {
            error: FetchError {
                failure,
                detail: format!("{host}: {cause}"),
            },
            unsent: false,
            before_reply: false,
        }
    }

    /// What hyper's error means.
    pub(super) fn from_http(host: Option<&Authority>, error: &(dyn Error + 'static)) -> Self {
        // What the connector says is told by it whole, and it comes before anything is sent.
        if let Some(error) = causes(error).find_map(|cause| cause.downcast_ref::<FetchError>()) {
            return Self {
                error: error.clone(),
                unsent: true,
                before_reply: true,
            };
        }
        let (failure, cause) = classify(error);
        Self::sent(host, failure, &cause)
    }
}

/// Whose fault the failure of a request is that may have been sent.
fn classify(error: &(dyn Error + 'static)) -> (Failure, String) {
    // With TLS 1.3 an origin refuses our lack of a certificate only after the handshake.
    if let Some(error) = tls_error(error) {
        return (Failure::Tls, explain(error));
    }
    if let Some(error) = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>()) {
        if error.is_parse_too_large() {
            let cause = format!("the reply's header fields exceed {MAX_HEAD} octets");
            return (Failure::Malformed, cause);
        }
        if error.is_incomplete_message() {
            let cause = "it closed the connection before the reply was whole";
            return (Failure::Reset, cause.to_owned());
        }
        if error.is_parse() {
            let cause = format!("the reply is not HTTP: {}", root_cause(error));
            return (Failure::Malformed, cause);
        }
    }
    if breaks_framing(error) {
        let cause = format!("the reply breaks off HTTP: {}", root_cause(error));
        return (Failure::Malformed, cause);
    }
    (Failure::Reset, root_cause(error).to_string())
}

/// Whether chunks or frames are not what HTTP/1 or HTTP/2 says.
fn breaks_framing(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            use io::ErrorKind::{InvalidData, InvalidInput};
            return matches!(error.kind(), InvalidData | InvalidInput);
        }
        cause
            .downcast_ref::<h2::Error>()
            .is_some_and(h2::Error::is_library)
    })
}
