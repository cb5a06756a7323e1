//! The wire answer of every failure.
//!
//! A status gives the side at fault: the handset (4xx), the origin (502, 504), or the gateway
//! (503). Only this file turns a failure into a status for the handset, a stable label and a
//! remedy.

use crate::gateway::fetch::Failure;
use crate::route::Refusal;

/// Why a request was answered by the gateway itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Problem {
    /// The URI or a header block cannot be read.
    BadRequest,
    /// A header uses a code page that was not agreed on, or an unassigned number.
    Encoding,
    /// The URI is longer than we take.
    UriTooLong,
    /// No route allows the URI; it was not fetched.
    NoRoute,
    /// The method cannot be forwarded.
    UnknownMethod,
    /// The route does not allow the method.
    MethodNotAllowed,
    /// Max-Forwards ended the request here, and the gateway answers it. This is no failure.
    MaxForwards,
    /// More requests are in flight upstream than allowed.
    Busy,
    /// One address, or one origin, uses its share of the resources of all requests.
    Share,
    /// The subscriber asks more often than allowed.
    TooMany,
    /// The gateway accepts no new requests: it drains, in most cases because it stops.
    Draining,
    /// The gateway serves only handsets with a session.
    Isolated,
    /// The request, translated, is larger than a message may be.
    RequestTooLarge,
    /// A message has to be translated for its receiver and cannot be.
    Untranslatable,
    /// The reply is larger than the handset can take.
    ReplyTooLarge,
    /// The exchange's time was over before the origin answered.
    Deadline,
    /// The origin failed us.
    Upstream(Failure),
}

impl Problem {
    /// The HTTP status the handset is given.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::MaxForwards => 200,
            Self::BadRequest | Self::Encoding => 400,
            Self::UriTooLong => 414,
            Self::NoRoute => 403,
            Self::RequestTooLarge => 413,
            Self::UnknownMethod => 501,
            Self::MethodNotAllowed => 405,
            Self::Busy | Self::Share | Self::TooMany | Self::Draining | Self::Isolated => 503,
            Self::Upstream(Failure::NoConnection | Failure::HostBusy) => 503,
            Self::Deadline | Self::Upstream(Failure::Timeout) => 504,
            // 413 would blame the handset's request, so it is passed on only when the origin sent
            // it. `NoMemory` is not 503: the origin has processed the request, and
            // the handset had better not repeat it.
            Self::ReplyTooLarge | Self::Untranslatable | Self::Upstream(_) => 502,
        }
    }

    /// Seconds after which the handset may try again, if that is known.
    #[must_use]
    pub const fn retry_after(self) -> Option<&'static str> {
        match self {
            Self::TooMany => Some("5"),
            _ => None,
        }
    }

    /// The stable name used in logs and as a metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Encoding => "encoding",
            Self::UriTooLong => "uri_too_long",
            Self::NoRoute => "no_route",
            Self::UnknownMethod => "unknown_method",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::MaxForwards => "max_forwards",
            Self::Busy => "busy",
            Self::Share => "share",
            Self::TooMany => "too_many",
            Self::Draining => "draining",
            Self::Isolated => "isolated",
            Self::RequestTooLarge => "request_too_large",
            Self::Untranslatable => "untranslatable",
            Self::ReplyTooLarge => "reply_too_large",
            Self::Deadline => "deadline",
            Self::Upstream(failure) => failure.label(),
        }
    }

    /// Text for the handset's user, without addresses and internals.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::BadRequest | Self::Encoding => "The gateway could not read the request.",
            Self::UriTooLong => "The address is too long.",
            Self::NoRoute => "The gateway does not forward to this address.",
            Self::UnknownMethod => "The gateway does not know this method.",
            Self::MethodNotAllowed => "This method is not allowed here.",
            Self::MaxForwards => "",
            Self::TooMany => "Too many requests. Try again later.",
            Self::Busy | Self::Share | Self::Draining | Self::Isolated => {
                "The gateway is busy. Try again later."
            }
            Self::RequestTooLarge => "The message is too large.",
            Self::Untranslatable => "The message could not be translated.",
            Self::ReplyTooLarge | Self::Upstream(Failure::TooLarge) => {
                "The answer is too large for this phone."
            }
            Self::Deadline | Self::Upstream(Failure::Timeout) => {
                "The server did not answer in time."
            }
            Self::Upstream(Failure::NoConnection | Failure::HostBusy) => {
                "The gateway is busy. Try again later."
            }
            // The origin has processed the request: no advice to repeat it.
            Self::Upstream(Failure::NoMemory) => "The gateway had no room for the answer.",
            Self::Upstream(_) => "The server could not be reached.",
        }
    }

    /// A remedy for the operator.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::BadRequest | Self::Encoding | Self::UriTooLong => {
                "examine the handset's request with `wapbridge decode`"
            }
            Self::UnknownMethod => "none: a handset sent a method that HTTP does not have",
            Self::NoRoute => {
                "add a [[route]] whose match is a prefix of this URI, if it should be forwarded"
            }
            Self::MethodNotAllowed => {
                "add the method to the route's allowed_methods, if handsets should use it"
            }
            Self::TooMany => {
                "none, if this handset asks too often; else raise subscriber_rate in [protection]"
            }
            Self::Busy => {
                "raise max_exchanges or max_octets in [limits], or look why the origin is slow"
            }
            Self::Share => {
                "look why the requests that detail counts stay open; raise max_exchanges or max_octets in [limits] if \
                 one address or origin needs more"
            }
            Self::MaxForwards => "none needed: the handset asked the gateway itself",
            Self::Draining => "none needed: the gateway is draining on command",
            Self::Isolated => "none needed: the gateway is isolated on command; `running` ends it",
            Self::RequestTooLarge => "raise max_message in [limits]",
            Self::Untranslatable => {
                "see detail; `untranslatable = \"pass\"` in the route passes such messages as they are"
            }
            Self::ReplyTooLarge => {
                "see detail, which names the limit and its setting: lower MaxMsgSize at the origin, or drop fields with \
                 drop_to_handset in [headers]"
            }
            Self::Deadline => "the origin is slow: look at its load, or raise the route's timeout",
            Self::Upstream(failure) => failure.remedy(),
        }
    }
}

/// A request that the gateway does not forward.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) problem: Problem,
    /// For the operator.
    pub(super) detail: Option<String>,
    /// The code page that was not agreed on.
    pub(super) page: Option<u8>,
    /// The methods that would have been allowed, as `Allow` names them.
    pub(super) allow: Option<String>,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            detail: None,
            page: None,
            allow: None,
        }
    }
}

impl From<(Problem, Option<String>)> for Refused {
    fn from((problem, detail): (Problem, Option<String>)) -> Self {
        Self {
            detail,
            ..problem.into()
        }
    }
}

/// The problem behind a route's refusal.
pub(super) const fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::TooLong => Problem::UriTooLong,
        Refusal::Address(_) | Refusal::NoRoute => Problem::NoRoute,
        Refusal::Method => Problem::MethodNotAllowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origins_faults_are_502_or_504_and_never_blame_the_handset() {
        for failure in [
            Failure::Resolve,
            Failure::Connect,
            Failure::Tls,
            Failure::Reset,
            Failure::TooLarge,
            Failure::NoMemory,
            Failure::Malformed,
        ] {
            assert_eq!(Problem::Upstream(failure).status(), 502);
        }
        for failure in [Failure::NoConnection, Failure::HostBusy] {
            assert_eq!(Problem::Upstream(failure).status(), 503);
        }
        assert_eq!(Problem::Upstream(Failure::Timeout).status(), 504);
        assert_eq!(Problem::NoRoute.status(), 403);
    }
}
