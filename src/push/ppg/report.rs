//! Reports of the Push Proxy Gateway: the end of each delivery, and counters.

use std::sync::Arc;

use crate::push::pap::{MessageState, Status};
use crate::push::{Bearer, Recipient};

/// The end of a delivery.
#[derive(Clone, Debug)]
pub struct DeliveryRecord {
    /// The initiator's name in the configuration.
    pub initiator: Arc<str>,
    /// The initiator's name for the push.
    pub push_id: Arc<str>,
    /// The recipient; printed, it is masked.
    pub recipient: Recipient,
    /// When the push came, and when it ended: milliseconds since 1970.
    pub received: u64,
    /// See `received`.
    pub finished: u64,
    /// The state and the status.
    pub state: MessageState,
    /// See `state`.
    pub code: Status,
    /// The bearer that was used last.
    pub bearer: Option<Bearer>,
    /// Attempts that were made.
    pub attempts: u32,
    /// Octets of the content.
    pub octets: usize,
    /// The media type of the content.
    pub content_type: String,
}

/// Counters of pushes, and gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Pushes accepted.
    pub accepted: u64,
    /// Pushes refused as malformed or by their content.
    pub invalid: u64,
    /// Pushes refused because a limit was reached.
    pub limited: u64,
    /// Pushes refused for other reasons.
    pub refused: u64,
    /// Attempts begun, by bearer: UDP, session, confirmed in a session, initiation requests, short
    /// messages, OTA-HTTP.
    pub attempts: [u64; 6],
    /// Attempts that failed and were followed by another.
    pub retries: u64,
    /// Recipients by final state, in the order of [`MessageState::FINAL`].
    pub finished: [u64; MessageState::FINAL.len()],
    /// Notifications told.
    pub notified: u64,
    /// Notifications tried again.
    pub notify_retries: u64,
    /// Notifications given up.
    pub notify_lost: u64,
    /// Gauge: pushes held.
    pub pushes: u64,
    /// Gauge: their recipients, which `max_pushes` counts.
    pub recipients: u64,
    /// Gauge: recipients whose delivery is pending.
    pub pending: u64,
    /// Gauge: attempts under way.
    pub in_flight: u64,
    /// Gauge: octets held, which `max_octets` counts.
    pub octets: u64,
    /// Gauge: notifications that wait or are under way.
    pub notifications: u64,
}
