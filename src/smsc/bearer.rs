//! The SMS centres as a bearer of the push proxy gateway.

use std::time::Duration;

use super::{Outcome, Submission};
use crate::identity::Private;
use crate::push::{self, Deliver};
use crate::sms::Ports;

impl Submission {
    /// An attempt by SMS at the moment `now`, in milliseconds since 1970.
    #[must_use]
    pub fn of(now: u64, number: &str, deliver: &Deliver) -> Self {
        let [.., transaction] = deliver.attempt.0.to_be_bytes();
        Self {
            id: deliver.attempt.0,
            number: Private::new(number),
            ports: Ports {
                destination: deliver.port,
                source: SOURCE_PORT,
            },
            datagram: deliver.message.unit_push(transaction),
            lifetime: Duration::from_millis(deliver.expires.saturating_sub(now)),
        }
    }
}

impl From<Outcome> for push::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Sent => Self::Sent,
            Outcome::Delivered => Self::Confirmed,
            Outcome::Unreachable => Self::Unreachable,
            Outcome::Busy => Self::Busy,
            Outcome::TooLarge => Self::TooLarge,
            Outcome::Expired => Self::TimedOut,
            Outcome::Refused { permanent, reason } => Self::Refused { permanent, reason },
        }
    }
}

/// The port that pushes without a session are from (WAP-235, 6.3).
const SOURCE_PORT: u16 = 9200;
