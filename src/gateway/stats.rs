//! What one core counts: plain integers, given names and labels outside.

use derive_more::AddAssign;

use crate::gateway::answer::Problem;
use crate::gateway::content;
use crate::gateway::fetch::Failure;
use crate::gateway::protection;
use crate::gateway::syncml;
use crate::{wsp, wtp};

/// Counters (they only grow) and gauges of one core.
#[derive(Clone, Copy, Debug, Default, AddAssign)]
pub struct Stats {
    /// The transaction layer's.
    pub wtp: wtp::Stats,
    /// The session layer's.
    pub wsp: wsp::sessions::Stats,
    /// Connectionless mode's.
    pub connectionless: wsp::connectionless::Stats,
    /// Gauge: sessions held.
    pub sessions: u64,
    /// Gauge: transactions held.
    pub transactions: u64,
    /// Gauge: exchanges not over yet.
    pub exchanges: u64,
    /// Gauge: of these, waiting for an origin.
    pub in_flight: u64,
    /// Gauge: octets of bodies held for exchanges.
    pub exchange_octets: u64,
    /// What was not let in, or out.
    pub protection: protection::Stats,
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
    /// What the SyncML messages said.
    pub syncml: syncml::Stats,
    /// Translation's.
    pub content: content::Stats,
    /// Requests answered by the gateway itself.
    pub problems: ProblemCounts,
}

/// How often each problem came up.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProblemCounts([u64; PROBLEMS.len()]);

impl ProblemCounts {
    /// Every problem with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Problem, u64)> {
        PROBLEMS.into_iter().zip(self.0)
    }

    /// Counts one.
    pub(super) fn add(&mut self, problem: Problem) {
        let place = PROBLEMS.iter().position(|other| *other == problem);
        if let Some(count) = place.and_then(|place| self.0.get_mut(place)) {
            *count += 1;
        }
    }
}

impl std::ops::AddAssign for ProblemCounts {
    fn add_assign(&mut self, other: Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }
}

/// Every problem there is.
const PROBLEMS: [Problem; 21] = [
    Problem::BadRequest,
    Problem::Encoding,
    Problem::UriTooLong,
    Problem::NoRoute,
    Problem::UnknownMethod,
    Problem::MethodNotAllowed,
    Problem::Busy,
    Problem::TooMany,
    Problem::Draining,
    Problem::Isolated,
    Problem::RequestTooLarge,
    Problem::Untranslatable,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_a_place_and_a_label_of_its_own() {
        let mut counts = ProblemCounts::default();
        for problem in PROBLEMS {
            counts.add(problem);
        }
        counts += counts;
        assert!(counts.iter().all(|(_, count)| count == 2));
        let mut labels: Vec<_> = PROBLEMS.iter().map(|problem| problem.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), PROBLEMS.len());
    }
}
