//! The status codes of PAP (WAP-247 8.13), and the states of a message.

use std::fmt;

/// A status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(pub u16);

macro_rules! statuses {
    ($($code:literal $name:ident $text:literal)*) => {
        impl Status {
            $(#[doc = $text] pub const $name: Self = Self($code);)*

            /// The name of the code in the specification; that of its class for a code that has
            /// none.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self.0 {
                    $($code => $text,)*
                    _ => match self.class() {
                        1 => "OK",
                        2 => "Bad Request",
                        3 => "Internal Server Error",
                        4 => "Service Failure",
                        5 => "Mobile Client Aborted",
                        _ => "unknown",
                    },
                }
            }
        }
    };
}

statuses! {
    1000 OK "OK"
    1001 ACCEPTED "Accepted for Processing"
    2000 BAD_REQUEST "Bad Request"
    2001 FORBIDDEN "Forbidden"
    2002 ADDRESS_ERROR "Address Error"
    2003 ADDRESS_NOT_FOUND "Address Not Found"
    2004 PUSH_ID_NOT_FOUND "Push ID Not Found"
    2005 CAPABILITIES_MISMATCH "Capabilities Mismatch"
    2006 CAPABILITIES_NOT_SUPPORTED "Required Capabilities Not Supported"
    2007 DUPLICATE_PUSH_ID "Duplicate Push ID"
    2008 CANCELLATION_NOT_POSSIBLE "Cancellation not possible"
    3000 SERVER_ERROR "Internal Server Error"
    3001 NOT_IMPLEMENTED "Not Implemented"
    3002 VERSION_NOT_SUPPORTED "Version not Supported"
    3003 NOT_POSSIBLE "Not Possible"
    3004 CAPABILITY_MATCHING "Capability Matching not Supported"
    3005 MULTIPLE_ADDRESSES "Multiple Addresses Not Supported"
    3006 TRANSFORMATION_FAILURE "Transformation Failure"
    3007 DELIVERY_METHOD "Specified Delivery Method Not Possible"
    3008 CAPABILITIES_NOT_AVAILABLE "Capabilities Not Available"
    3009 NETWORK_NOT_AVAILABLE "Required Network Not Available"
    3010 BEARER_NOT_AVAILABLE "Required Bearer Not Available"
    3011 REPLACEMENT "Replacement Not Supported"
    4000 SERVICE_FAILURE "Service Failure"
    4001 SERVICE_UNAVAILABLE "Service Unavailable"
    5000 CLIENT_ABORTED "Mobile Client Aborted"
}

impl Status {
    /// The first digit: 1 is success.
    #[must_use]
    pub const fn class(self) -> u16 {
        self.0 / 1000
    }

    /// Whether the action succeeded. Only the class of an unknown code counts.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.class() == 1
    }

    /// The code of an abort by the client: `5abc`, the reason in three decimal digits (8.14.5).
    #[must_use]
    pub fn aborted(reason: u8) -> Self {
        Self(5000 + u16::from(reason))
    }

    /// Reads a code: a number of four digits with a known class.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_number = text.len() == 4 && text.bytes().all(|digit| digit.is_ascii_digit());
        let code = Self(text.parse().ok().filter(|_| is_number)?);
        (1..=5).contains(&code.class()).then_some(code)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

/// The state of a message for one recipient (8.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageState {
    /// It was not accepted.
    Rejected,
    /// It is in process.
    Pending,
    /// The client has the message, or the message was sent unconfirmed.
    Delivered,
    /// It could not be delivered.
    Undeliverable,
    /// Its time is over.
    Expired,
    /// The client aborted it.
    Aborted,
    /// The delivery timed out.
    Timeout,
    /// It was cancelled.
    Cancelled,
    /// The gateway does not know.
    Unknown,
}

impl MessageState {
    /// All states.
    pub const ALL: [Self; 9] = [
        Self::Rejected,
        Self::Pending,
        Self::Delivered,
        Self::Undeliverable,
        Self::Expired,
        Self::Aborted,
        Self::Timeout,
        Self::Cancelled,
        Self::Unknown,
    ];

    /// States in which a delivery ends.
    pub const FINAL: [Self; 6] = [
        Self::Delivered,
        Self::Undeliverable,
        Self::Expired,
        Self::Aborted,
        Self::Timeout,
        Self::Cancelled,
    ];

    /// The name in documents, in logs and as a metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Undeliverable => "undeliverable",
            Self::Expired => "expired",
            Self::Aborted => "aborted",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }

    /// The state of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_code_counts_as_the_first_of_its_class() {
        let code = Status::parse("1567").unwrap();
        assert!(code.is_success());
        assert_eq!(Status::parse("2999").unwrap().text(), "Bad Request");
        for wrong in ["", "200", "20000", "0200", "6000", "+200", "abcd"] {
            assert_eq!(Status::parse(wrong), None, "{wrong}");
        }
    }

    /// WAP-235, and WSP table 35: USERREQ is 0xEA, USERDCR 0xEE.
    #[test]
    fn an_abort_has_its_reason_in_decimal() {
        assert_eq!(Status::aborted(0xEA).to_string(), "5234");
        assert_eq!(Status::aborted(0xEE).to_string(), "5238");
        assert_eq!(Status::aborted(9).to_string(), "5009");
    }
}
