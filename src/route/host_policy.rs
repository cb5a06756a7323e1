//! How a route treats its hosts: which one a request tries first, checks, ejection, requests at a
//! time, and retries.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::StatusCode;
use http::uri::PathAndQuery;

/// How a route treats each of its hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostPolicy {
    /// Asks each host regularly whether it is well. Default: no host is asked.
    pub check: Option<HealthCheck>,
    /// Ejects a host after failures of any kind. Default: only a host that cannot be connected to
    /// is ejected, with the times of [`Outlier::default`].
    pub outlier: Option<Outlier>,
    /// Requests to one host under way at a time, of all shards together. A request beyond goes to
    /// the next host of the route; without another host the handset gets 503. Default: no limit
    /// but those of all requests.
    pub max_requests: Option<u32>,
    /// Which host a request tries first. Default: the first one in service.
    pub balance: Balance,
    /// The weights of the hosts, in their order, for a route that balances: a host of weight 3 gets
    /// three times the requests of a host of weight 1. Default: 1 for each host.
    pub weights: Vec<u32>,
    /// Which requests of a route that balances stay at one host. Default: those of a session.
    pub affinity: Affinity,
    /// Time in which the weight of a host that is back grows from nothing to the whole, for a route
    /// that balances. Default: none, the whole weight at once.
    pub slow_start: Duration,
    /// Bounds the requests that are tried at another host after one could not be connected to.
    /// Default: no bound.
    pub retry_budget: Option<RetryBudget>,
}

impl HostPolicy {
    /// The weight of a host by its place.
    #[must_use]
    pub fn weight(&self, place: usize) -> u32 {
        self.weights.get(place).copied().unwrap_or(1)
    }
}

/// The choice of the host that a request tries first, among those in service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// The first one in the order of the configuration; the others stand in for it.
    #[default]
    First,
    /// Each in its turn, by weight (smooth weighted round robin, as in nginx).
    RoundRobin,
    /// The one with the fewest requests under way by weight; among equals as `RoundRobin`.
    LeastOutstanding,
}

impl Balance {
    /// Every choice with its name in the configuration.
    pub const ALL: [(&'static str, Self); 3] = [
        ("first", Self::First),
        ("round_robin", Self::RoundRobin),
        ("least_outstanding", Self::LeastOutstanding),
    ];
}

/// The requests that stay at the host that got the first of them, as long as it is in service.
///
/// The messages of a SyncML session belong together: a server that shares no state with the others
/// knows only the sessions that began there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Affinity {
    /// Those of a WSP session; without a session those of the handset's address.
    #[default]
    Session,
    /// Those of the handset's address.
    Address,
    /// None: the hosts share their state.
    Off,
}

impl Affinity {
    /// Every affinity with its name in the configuration.
    pub const ALL: [(&'static str, Self); 3] = [
        ("session", Self::Session),
        ("address", Self::Address),
        ("none", Self::Off),
    ];
}

/// A bound on the requests of a route that are tried at another host at a time.
///
/// Without it, the failure of one host may double the connections to the others, which then fail,
/// too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// Percent of the requests of the route under way. Default: 20.
    pub budget_percent: u32,
    /// So many are allowed whatever their share. Default: 3.
    pub min_retry_concurrency: u32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            budget_percent: 20,
            min_retry_concurrency: 3,
        }
    }
}

/// A regular GET to each host of a route.
///
/// Every check makes a new connection, in the way of the route's requests. A host that fails
/// `unhealthy` checks in a row is tried last, until it passes `healthy` checks in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// Path and query.
    pub path: PathAndQuery,
    /// Time from one check of a host to the next; each is up to a tenth shorter or longer, so that
    /// the checks of many gateways spread. Default: 10 s.
    pub interval: Duration,
    /// Time for the whole check, connecting included. Default: 3 s.
    pub timeout: Duration,
    /// The statuses of a host that is well. Default: 200 to 399.
    pub expect: Vec<StatusRange>,
    /// Failed checks in a row after which a host is tried last. Default: 3.
    pub unhealthy: u32,
    /// Passed checks in a row after which such a host is tried in its turn again. Default: 2.
    pub healthy: u32,
}

impl HealthCheck {
    /// Checks of a path, with every other setting at its default.
    #[must_use]
    pub fn new(path: PathAndQuery) -> Self {
        Self {
            path,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(3),
            expect: vec![StatusRange::USUAL],
            unhealthy: 3,
            healthy: 2,
        }
    }

    /// Whether a status is that of a host that is well.
    #[must_use]
    pub fn expects(&self, status: StatusCode) -> bool {
        self.expect.iter().any(|range| range.contains(status))
    }
}

/// When a host is ejected, which means that it is tried last for a time. Then it is on trial: one
/// request at a time tries it in its turn, until one is answered well. Another failure ejects it
/// again.
///
/// The first ejection lasts `base`, each further one twice as long as the one before, up to `max`.
/// A host that has worked since its last ejection, and stayed for as long as that lasted, begins
/// with `base` again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlier {
    /// Failures in a row: no connection, no TLS, a connection that ends, no reply in time, a reply
    /// that is not HTTP, or a status of 500 and above. Default: 5.
    pub consecutive: u32,
    /// The first ejection. Default: 10 s.
    pub base: Duration,
    /// The longest ejection. Default: 5 min.
    pub max: Duration,
}

impl Default for Outlier {
    fn default() -> Self {
        Self {
            consecutive: 5,
            base: Duration::from_secs(10),
            max: Duration::from_secs(300),
        }
    }
}

/// Statuses from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

impl StatusRange {
    /// Successes and redirections.
    pub const USUAL: Self = Self {
        first: 200,
        last: 399,
    };

    fn contains(self, status: StatusCode) -> bool {
        (self.first..=self.last).contains(&status.as_u16())
    }
}

/// The text is no range of statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no status, class of statuses or range of statuses")]
pub struct NotARange;

impl FromStr for StatusRange {
    type Err = NotARange;

    /// Reads `204`, `2xx` or `200-399`.
    fn from_str(text: &str) -> Result<Self, NotARange> {
        let status = |text: &str| {
            let status = text.trim().parse().map_err(|_| NotARange)?;
            // A final status (RFC 9110 15).
            (200..=599)
                .contains(&status)
                .then_some(status)
                .ok_or(NotARange)
        };
        if let Some(class) = text.strip_suffix("xx") {
            let first = status(&format!("{class}00"))?;
            return Ok(Self {
                first,
                last: first + 99,
            });
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (status(first)?, status(last)?);
        match first <= last {
            true => Ok(Self { first, last }),
            false => Err(NotARange),
        }
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_a_status_a_class_or_two_ends() {
        for (text, shown) in [
            ("204", "204"),
            ("2xx", "200-299"),
            ("200-399", "200-399"),
            ("200 - 204", "200-204"),
            ("500-500", "500"),
        ] {
            let range: StatusRange = text.parse().unwrap();
            assert_eq!(range.to_string(), shown);
        }
        for wrong in [
            "", "x", "xx", "100", "600", "9xx", "399-200", "200-", "-1", "20xx",
        ] {
            assert_eq!(wrong.parse::<StatusRange>(), Err(NotARange), "{wrong}");
        }
    }

    #[test]
    fn the_ends_of_a_range_are_in_it() {
        let mut check = HealthCheck::new(PathAndQuery::from_static("/healthz"));
        for (status, expected) in [(199, false), (200, true), (399, true), (400, false)] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(check.expects(status), expected, "{status}");
        }
        check.expect = vec!["204".parse().unwrap(), "4xx".parse().unwrap()];
        assert!(check.expects(StatusCode::NO_CONTENT) && check.expects(StatusCode::NOT_FOUND));
        assert!(!check.expects(StatusCode::OK));
    }
}
