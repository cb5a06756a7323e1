//! What one core counts: plain integers, given names and labels outside.

use crate::gateway::answer::Problem;
use crate::gateway::fetch::Failure;
use crate::{wsp, wtp};

/// Counters (they only grow) and gauges of one core.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// The transaction layer's.
    pub wtp: wtp::Stats,
    /// The session layer's.
    pub wsp: wsp::sessions::Stats,
    /// Gauge: sessions held.
    pub sessions: u64,
    /// Gauge: transactions held.
    pub transactions: u64,
    /// Gauge: exchanges not over yet.
    pub exchanges: u64,
    /// Gauge: of these, waiting for an origin.
    pub in_flight: u64,
    /// Methods taken in.
    pub exchanges_begun: u64,
    /// Exchanges whose reply the handset acknowledged.
    pub acknowledged: u64,
    /// Exchanges whose reply was sent and never acknowledged.
    pub unacknowledged: u64,
    /// Exchanges the handset aborted, or whose session ended.
    pub aborted: u64,
    /// Upstream requests cancelled because their exchange ended.
    pub cancelled: u64,
    /// Upstream replies that found their exchange over.
    pub late_replies: u64,
    /// Datagrams on the connectionless port.
    pub connectionless_ignored: u64,
    /// Requests answered by the gateway itself, by [`Problem`].
    pub problems: [u64; PROBLEMS.len()],
}

/// Every problem, in the order of [`Stats::problems`].
pub const PROBLEMS: [Problem; 15] = [
    Problem::BadRequest,
    Problem::UriTooLong,
    Problem::NoRoute,
    Problem::UnknownMethod,
    Problem::Busy,
    Problem::Draining,
    Problem::ReplyTooLarge,
    Problem::Deadline,
    Problem::Upstream(Failure::Resolve),
    Problem::Upstream(Failure::Connect),
    Problem::Upstream(Failure::Tls),
    Problem::Upstream(Failure::Reset),
    Problem::Upstream(Failure::Timeout),
    Problem::Upstream(Failure::TooLarge),
    Problem::Upstream(Failure::Malformed),
];

impl Stats {
    /// Counts one request answered by the gateway itself.
    pub(super) fn count(&mut self, problem: Problem) {
        let place = PROBLEMS.iter().position(|other| *other == problem);
        if let Some(count) = place.and_then(|place| self.problems.get_mut(place)) {
            *count += 1;
        }
    }
}
