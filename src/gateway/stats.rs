//! Counters of one core: plain integers. `admin/metrics/table.rs` gives them names and labels.

use derive_more::AddAssign;

use crate::gateway::answer::Problem;
use crate::gateway::coding;
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
    /// Gauge: methods held because they came before their session.
    pub early: u64,
    /// Gauge: sessions claimed from elsewhere.
    pub open_claims: u64,
    /// Gauge: addresses whose use is recorded.
    pub watched_addresses: u64,
    /// Datagrams and requests refused, and datagrams not sent.
    pub protection: protection::Stats,
    /// Methods taken in.
    pub exchanges_begun: u64,
    /// Exchanges whose reply the handset acknowledged.
    pub acknowledged: u64,
    /// Exchanges whose reply was sent and never acknowledged.
    pub unacknowledged: u64,
    /// Exchanges that the handset aborted, or whose session ended.
    pub aborted: u64,
    /// Upstream requests cancelled because their exchange ended.
    pub cancelled: u64,
    /// Upstream replies that found their exchange over.
    pub late_replies: u64,
    /// Counters of SyncML messages.
    pub syncml: syncml::Stats,
    /// What content codings replies came in.
    pub codings: coding::Stats,
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
const PROBLEMS: [Problem; 26] = [
    Problem::BadRequest,
    Problem::Encoding,
    Problem::UriTooLong,
    Problem::NoRoute,
    Problem::UnknownMethod,
    Problem::MethodNotAllowed,
    Problem::MaxForwards,
    Problem::Busy,
    Problem::Share,
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
    Problem::Upstream(Failure::NoMemory),
    Problem::Upstream(Failure::NoConnection),
    Problem::Upstream(Failure::HostBusy),
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

    /// A problem that is missing in the list would not be counted.
    #[test]
    fn no_problem_is_missing() {
        let answer = include_str!("answer.rs");
        let variants = answer
            .split_once("pub enum Problem {")
            .and_then(|(_, rest)| rest.split_once("\n}"))
            .map(|(variants, _)| variants);
        let failures = include_str!("fetch.rs")
            .split_once("pub enum Failure {")
            .and_then(|(_, rest)| rest.split_once("\n}"))
            .map(|(variants, _)| variants);
        let count = |text: Option<&str>| {
            let lines = text.unwrap().lines().map(str::trim);
            let is_variant = |line: &&str| line.ends_with(',') && !line.starts_with("//");
            lines.filter(is_variant).count()
        };
        // `Upstream` stands for each failure.
        assert_eq!(count(variants) - 1 + count(failures), PROBLEMS.len());
    }
}
