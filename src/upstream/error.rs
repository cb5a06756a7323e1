//! Why a request failed, and whether the origin may have processed it.

use std::error::Error;
use std::io;
use std::sync::Arc;

use http::uri::Authority;
use hyper_util::client::legacy;

use super::body::Progress;
use super::connector::{causes, root_cause, tls_error};
use super::stream::ConnectionEnd;
use super::tls_error::describe;
use super::{MAX_FIELDS, MAX_HEAD};
use crate::gateway::fetch::{Failure, FetchError};

/// One attempt that failed.
#[derive(Debug)]
pub(super) struct AttemptError {
    pub(super) error: FetchError,
    pub(super) processed: Processed,
    /// No octet of a reply had come.
    pub(super) before_reply: bool,
    /// The source of the request occupies its share of the connections: it need not wait for one.
    pub(super) beyond_share: bool,
}

impl AttemptError {
    /// A source, or its network, occupies as many connections to this host as it may.
    pub(super) fn beyond_share(host: Option<&Authority>) -> Self {
        let host = host.map_or("", Authority::as_str);
        Self {
            error: FetchError {
                failure: Failure::NoConnection,
                detail: format!(
                    "{host}: this address or its network occupies as many connections as it may"
                ),
            },
            processed: Processed::NotConnected,
            before_reply: true,
            beyond_share: true,
        }
    }

    /// As many requests to this host are under way as its route allows.
    pub(super) fn host_busy(host: &Authority, max: u32) -> Self {
        Self {
            error: FetchError {
                failure: Failure::HostBusy,
                detail: format!("{host}: max_requests of the route ({max}) are under way"),
            },
            processed: Processed::NotConnected,
            before_reply: true,
            beyond_share: false,
        }
    }
}

/// Whether the origin has processed a request that got no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Processed {
    /// It may have.
    Maybe,
    /// It has not: no connection could be made.
    NotConnected,
    /// It has not, and a new connection may serve the request.
    No(Unprocessed),
}

/// Proof that an origin has not processed a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unprocessed {
    /// The connection ended before the request was sent on it.
    NotSent,
    /// GOAWAY named a last stream below the request's (RFC 9113 6.8).
    GoAway,
    /// RST_STREAM with REFUSED_STREAM (RFC 9113 8.7).
    RefusedStream,
    /// HTTP_1_1_REQUIRED (RFC 9113 7).
    Http11Required,
    /// The origin closed a kept-alive connection and the end of the request met a closed socket.
    ClosedIdle,
    /// Status 421: the origin does not answer for this target on this connection, and another
    /// connection may serve the request, whatever its method (RFC 9110 15.5.20).
    Misdirected,
}

impl Unprocessed {
    /// Every proof, in the order of `index`.
    pub const ALL: [Self; 6] = [
        Self::NotSent,
        Self::GoAway,
        Self::RefusedStream,
        Self::Http11Required,
        Self::ClosedIdle,
        Self::Misdirected,
    ];

    /// The stable name used in logs and as a metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotSent => "not_sent",
            Self::GoAway => "goaway",
            Self::RefusedStream => "refused_stream",
            Self::Http11Required => "http_1_1_required",
            Self::ClosedIdle => "closed_idle",
            Self::Misdirected => "misdirected",
        }
    }

    /// The place of its counter.
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

impl AttemptError {
    /// A failure after which the origin may have processed the request.
    pub(super) fn new(host: Option<&Authority>, failure: Failure, cause: &str) -> Self {
        let host = host.map_or("", Authority::as_str);
        Self {
            error: FetchError {
                failure,
                detail: format!("{host}: {cause}"),
            },
            processed: Processed::Maybe,
            before_reply: false,
            beyond_share: false,
        }
    }

    /// An error of hyper's pool, before a reply began.
    pub(super) fn before_reply(
        host: Option<&Authority>,
        error: &legacy::Error,
        progress: &Progress,
    ) -> Self {
        // The connector reports its errors whole. No octet was sent then.
        if let Some(error) = causes(error).find_map(|cause| cause.downcast_ref::<FetchError>()) {
            return Self {
                error: error.clone(),
                processed: Processed::NotConnected,
                before_reply: true,
                beyond_share: false,
            };
        }
        let (failure, mut cause) = classify(error);
        if let Some(limit) = exceeded_limit(error) {
            cause = limit;
        }
        let processed = match unprocessed(error, progress) {
            Some(proof) => Processed::No(proof),
            None => Processed::Maybe,
        };
        Self {
            processed,
            before_reply: true,
            ..Self::new(host, failure, &cause)
        }
    }

    /// An error of hyper's while the body of a reply was read.
    pub(super) fn in_reply(host: Option<&Authority>, error: &hyper::Error) -> Self {
        let (failure, cause) = classify(error);
        Self::new(host, failure, &cause)
    }
}

/// The limit that the head of an HTTP/1.1 reply exceeds: hyper has one error for both.
fn exceeded_limit(error: &legacy::Error) -> Option<String> {
    let hyper = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>());
    hyper.filter(|error| error.is_parse_too_large())?;
    Some(match connection_end(error)?.reply_octets() < MAX_HEAD {
        true => format!("the reply has more than {MAX_FIELDS} header fields"),
        false => format!("the reply's header exceeds {MAX_HEAD} octets"),
    })
}

/// The connection's own view of the end of a failed request.
fn connection_end(error: &legacy::Error) -> Option<Arc<ConnectionEnd>> {
    let mut extras = http::Extensions::new();
    error.connect_info()?.get_extras(&mut extras);
    extras.remove()
}

/// The proof that the origin has not processed a request, if there is one.
fn unprocessed(error: &legacy::Error, progress: &Progress) -> Option<Unprocessed> {
    let http2 = causes(error).find_map(|cause| cause.downcast_ref::<h2::Error>());
    if let Some(error) = http2.filter(|error| error.is_remote()) {
        let reason = error.reason();
        // h2 fails a stream with the peer's GOAWAY only if its number is above the last one named
        // there, or if it was never opened.
        match (error.is_go_away(), reason) {
            (_, Some(h2::Reason::HTTP_1_1_REQUIRED)) => return Some(Unprocessed::Http11Required),
            (true, _) => return Some(Unprocessed::GoAway),
            (false, Some(h2::Reason::REFUSED_STREAM)) => return Some(Unprocessed::RefusedStream),
            _ => {}
        }
    }
    // hyper had not taken the request from its queue, or had no connection to queue it for.
    let is_unsent = |cause: &(dyn Error + 'static)| {
        cause
            .downcast_ref::<hyper::Error>()
            .is_some_and(|error| error.is_canceled() || error.is_closed())
    };
    if error.is_connect() || causes(error).any(is_unsent) || progress.lacks_body() {
        return Some(Unprocessed::NotSent);
    }
    connection_end(error)?
        .refused_request_of(progress.begun()?)
        .then_some(Unprocessed::ClosedIdle)
}

/// The class of a failure after the request was sent, and its cause in words.
fn classify(error: &(dyn Error + 'static)) -> (Failure, String) {
    // With TLS 1.3 an origin refuses our lack of a certificate only after the handshake.
    if let Some(error) = tls_error(error) {
        return (Failure::Tls, describe(error));
    }
    if let Some(error) = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>()) {
        if error.is_parse_too_large() {
            return (
                Failure::Malformed,
                "the reply's header is too large".to_owned(),
            );
        }
        if error.is_incomplete_message() {
            let cause = "it closed the connection before the reply was whole";
            return (Failure::Reset, cause.to_owned());
        }
        if error.is_parse() {
            let cause = match error.is_parse_status() {
                true => "the status of the reply is not three digits".to_owned(),
                false => format!("the reply is not HTTP: {}", root_cause(error)),
            };
            return (Failure::Malformed, cause);
        }
    }
    if breaks_framing(error) {
        let cause = format!("the reply breaks off HTTP: {}", root_cause(error));
        return (Failure::Malformed, cause);
    }
    (Failure::Reset, root_cause(error).to_string())
}

/// Whether chunks or frames violate HTTP/1 or HTTP/2.
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
