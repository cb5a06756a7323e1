//! Every failure's one wire answer.
//!
//! Whose fault is it: the handset's (4xx), the origin's (502, 504), or ours (503)? This file is the only
//! place that turns a failure into a status the handset understands, a stable label and a remedy.

use crate::gateway::fetch::Failure;
use crate::route::Refusal;

/// Why a request was answered by the gateway itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Problem {
    /// The URI or a header block cannot be read.
    BadRequest,
    /// A header uses a code page that was not agreed on, or a number nobody assigned.
    Encoding,
    /// The URI is longer than we take.
    UriTooLong,
    /// No route allows the URI; it was not fetched.
    NoRoute,
    /// The method is none we can forward.
    UnknownMethod,
    /// The route does not allow the method.
    MethodNotAllowed,
    /// More requests are in flight upstream than allowed.
    Busy,
    /// The subscriber asks more often than allowed.
    TooMany,
    /// The gateway takes nothing new: it is draining, mostly because it stops.
    Draining,
    /// The gateway serves only those who have a session.
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
            Self::BadRequest | Self::Encoding => 400,
            Self::UriTooLong => 414,
            Self::NoRoute => 403,
            Self::RequestTooLarge => 413,
            Self::UnknownMethod => 501,
            Self::MethodNotAllowed => 405,
            Self::Busy | Self::TooMany | Self::Draining | Self::Isolated => 503,
            Self::Deadline | Self::Upstream(Failure::Timeout) => 504,
            // 413 would blame the handset's request; it is only passed on when the origin said so.
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
            Self::Busy => "busy",
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

    /// What the handset's user may see: no addresses, no internals.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::BadRequest | Self::Encoding => "The gateway could not read the request.",
            Self::UriTooLong => "The address is too long.",
            Self::NoRoute => "The gateway does not forward to this address.",
            Self::UnknownMethod => "The gateway does not know this method.",
            Self::MethodNotAllowed => "This method is not allowed here.",
            Self::TooMany => "Too many requests. Try again later.",
            Self::Busy | Self::Draining | Self::Isolated => "The gateway is busy. Try again later.",
            Self::RequestTooLarge => "The message is too large.",
            Self::Untranslatable => "The message could not be translated.",
            Self::ReplyTooLarge | Self::Upstream(Failure::TooLarge) => {
                "The answer is too large for this phone."
            }
            Self::Deadline | Self::Upstream(Failure::Timeout) => {
                "The server did not answer in time."
            }
            Self::Upstream(_) => "The server could not be reached.",
        }
    }

    /// What an operator can do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::BadRequest | Self::Encoding | Self::UriTooLong | Self::UnknownMethod => {
                "look at what the handset sent with `wapbridge decode`"
            }
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
            Self::Draining => "none needed: the gateway is draining, as it was told",
            Self::Isolated => {
                "none needed: the gateway is isolated, as it was told; `running` ends it"
            }
            Self::RequestTooLarge => "raise max_message in [limits]",
            Self::Untranslatable => {
                "see detail; `untranslatable = \"pass\"` in the route passes such messages as they are"
            }
            Self::ReplyTooLarge => {
                "lower MaxMsgSize at the origin: the handset's SDU size is smaller"
            }
            Self::Deadline => "the origin is slow: look at its load, or raise the route's timeout",
            Self::Upstream(failure) => failure.remedy(),
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
            Failure::Malformed,
        ] {
            assert_eq!(Problem::Upstream(failure).status(), 502);
        }
        assert_eq!(Problem::Upstream(Failure::Timeout).status(), 504);
        assert_eq!(Problem::NoRoute.status(), 403);
    }
}
