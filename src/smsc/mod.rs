//! The SMS bearer: connections to SMS centres over SMPP, and which of them takes which number.
//!
//! A [`Submission`] is cut into short messages and queued for a centre that takes its number and is
//! bound. One [`Outcome`] is owed for every submission. A centre's queue, its window and the
//! submissions that wait for their receipts are bounded.

mod bearer;
mod centres;
mod ledger;
mod link;
mod settings;
mod stats;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use centres::{Centres, Outcomes};
pub use settings::{ReceiptId, ReferenceSize, Settings};
pub use stats::{Counts, Status};

use crate::identity::Private;
use crate::sms::Ports;

/// A datagram for a phone.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The caller's name for it.
    pub id: u64,
    /// The number, in digits with the country code and without a sign.
    pub number: Private,
    /// The ports of the datagram.
    pub ports: Ports,
    /// Its octets.
    pub datagram: Vec<u8>,
    /// How long it is worth anything.
    pub lifetime: Duration,
}

/// The end of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A centre has all of it, and no receipt told more: none was asked for, none came in time, or
    /// too many are awaited.
    Sent,
    /// The centre's receipts say that the phone has all of it.
    Delivered,
    /// No centre that takes the number is bound, or the connection ended before the centre had all
    /// of it.
    Unreachable,
    /// The queue of the centre is full, or the centre throttles for too long.
    Busy,
    /// The datagram needs more than 255 messages.
    TooLarge,
    /// Its lifetime ended before a centre had all of it.
    Expired,
    /// A centre refused a message of it, or could not deliver it; or no centre takes the number.
    Refused {
        /// Whether another attempt would be refused, too.
        permanent: bool,
        /// The status, or the state of the receipt, by name.
        reason: String,
    },
}
