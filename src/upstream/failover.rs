//! Hosts of one route that stand in for one another: which is tried when, and what their failures
//! lead to.

use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{StatusCode, Uri};
use tokio::time::Instant;
use tracing::warn;

use super::error::AttemptError;
use super::host_state::{HostState, UnderWay};
use super::hosts::Hosts;
use crate::gateway::fetch::Failure;
use crate::route::{HostPolicy, Outlier, RouteSettings};

/// The hosts of one route.
#[derive(Debug)]
pub(super) struct RouteHosts {
    /// In the order of the configuration, without duplicates.
    hosts: Vec<Arc<HostState>>,
    /// They serve the same, so a request may go to any of them.
    stand_in: bool,
    policy: HostPolicy,
    states: Hosts,
}

/// The hosts in the order in which a request tries them.
pub(super) type Candidates = Vec<Arc<HostState>>;

impl RouteHosts {
    /// The hosts of a route, with the states that all shards share. They `stand_in` for the first
    /// one of them, or are each asked for by name.
    pub(super) fn new(
        route: &RouteSettings,
        hosts: impl IntoIterator<Item = Authority>,
        stand_in: bool,
        states: &Hosts,
    ) -> Self {
        let mut distinct: Vec<Arc<HostState>> = Vec::new();
        for host in hosts {
            if !distinct.iter().any(|known| *known.host() == host) {
                distinct.push(states.state_of(&route.name, &host));
            }
        }
        Self {
            stand_in: stand_in && distinct.len() > 1,
            hosts: distinct,
            policy: route.host_policy.clone(),
            states: states.clone(),
        }
    }

    /// Whether a request may go to any of them.
    pub(super) const fn stand_in(&self) -> bool {
        self.stand_in
    }

    /// The hosts in the order of attempts: first those in service, then the others, since a host
    /// may have recovered.
    pub(super) fn candidates(&self, now: Instant) -> Candidates {
        let in_service = |host: &&Arc<HostState>| host.is_in_service(now);
        let (mut order, others): (Candidates, Candidates) = self
            .hosts
            .iter()
            .cloned()
            .partition(|host| in_service(&host));
        order.extend(others);
        order
    }

    /// A request to a host begins.
    ///
    /// # Errors
    ///
    /// `max_requests` are under way there.
    pub(super) fn begin(&self, host: &Arc<HostState>) -> Result<UnderWay, AttemptError> {
        let max = self.policy.max_requests;
        host.begin(max)
            .ok_or_else(|| AttemptError::host_busy(host.host(), max.unwrap_or_default()))
    }

    /// The same for a host by its name; one that the route does not name has no limit.
    pub(super) fn begin_at(
        &self,
        host: Option<&Authority>,
    ) -> Result<Option<UnderWay>, AttemptError> {
        let known = host.and_then(|host| self.hosts.iter().find(|known| known.host() == host));
        known.map(|host| self.begin(host)).transpose()
    }

    /// A host could not be connected to.
    pub(super) fn not_connected(&self, host: &HostState, now: Instant) {
        let begun = host.not_connected(now, &self.times());
        tell(host, begun, "it cannot be connected to");
    }

    /// A host replied with this status.
    pub(super) fn answered(&self, host: &HostState, now: Instant, status: StatusCode) {
        match status.is_server_error() {
            true => {
                // It can be connected to.
                if self.policy.outlier.is_none() {
                    host.worked(now);
                }
                self.count_failure(host, now);
            }
            false => host.worked(now),
        }
    }

    /// A request that a host may have processed got no reply.
    pub(super) fn failed(&self, host: &HostState, now: Instant, failure: Failure) {
        match failure {
            // It replied, or it was never asked.
            Failure::TooLarge | Failure::NoMemory => host.worked(now),
            Failure::NoConnection | Failure::HostBusy => {}
            Failure::Resolve
            | Failure::Connect
            | Failure::Tls
            | Failure::Reset
            | Failure::Timeout
            | Failure::Malformed => self.count_failure(host, now),
        }
    }

    fn count_failure(&self, host: &HostState, now: Instant) {
        let Some(outlier) = &self.policy.outlier else {
            return;
        };
        let _ejecting = self.states.ejecting();
        let mut others = self.hosts.iter().filter(|other| !is_same(other, host));
        let is_last = !others.any(|other| other.is_in_service(now));
        let begun = host.failed(now, outlier, is_last);
        tell(host, begun, "requests to it failed");
    }

    fn times(&self) -> Outlier {
        self.policy.outlier.unwrap_or_default()
    }
}

fn is_same(one: &Arc<HostState>, other: &HostState) -> bool {
    std::ptr::eq(Arc::as_ptr(one), other)
}

fn tell(host: &HostState, ejected: Option<Duration>, why: &str) {
    if let Some(length) = ejected {
        let (route, host) = (host.route(), host.host());
        warn!(%route, %host, ?length, why, "host ejected: it is tried last");
    }
}

/// The same URI at another host.
pub(super) fn at_host(uri: &Uri, host: Authority) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(uri.scheme().cloned().unwrap_or(Scheme::HTTPS));
    parts.authority = Some(host);
    parts.path_and_query = Some(
        uri.path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/")),
    );
    Uri::from_parts(parts).expect("scheme, authority and path make a URI")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Outlier;

    /// A host that could not be connected to is tried last for so long.
    const DOWN: Duration = Duration::from_secs(10);

    fn host(name: &'static str) -> Authority {
        Authority::from_static(name)
    }

    fn route(outlier: Option<Outlier>) -> RouteSettings {
        let mut route = RouteSettings::from_prefix("http://a/", "https://b/").unwrap();
        route.host_policy.outlier = outlier;
        route
    }

    fn hosts(names: &[&'static str], outlier: Option<Outlier>, states: &Hosts) -> RouteHosts {
        let names = names.iter().copied().map(host);
        RouteHosts::new(&route(outlier), names, true, states)
    }

    fn order(hosts: &RouteHosts, now: Instant) -> Vec<String> {
        let candidates = hosts.candidates(now).into_iter();
        candidates.map(|host| host.host().to_string()).collect()
    }

    fn state<'a>(hosts: &'a RouteHosts, name: &str) -> &'a Arc<HostState> {
        hosts.hosts.iter().find(|host| host.host() == name).unwrap()
    }

    #[test]
    fn a_host_that_failed_is_tried_last_for_a_while() {
        let hosts = hosts(&["a", "b", "c:1", "b"], None, &Hosts::default());
        let now = Instant::now();
        assert_eq!(order(&hosts, now), ["a", "b", "c:1"]);
        hosts.not_connected(state(&hosts, "a"), now);
        assert_eq!(order(&hosts, now), ["b", "c:1", "a"]);
        hosts.not_connected(state(&hosts, "b"), now);
        assert_eq!(order(&hosts, now), ["c:1", "a", "b"]);
        hosts.answered(state(&hosts, "a"), now, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(order(&hosts, now), ["a", "c:1", "b"]);
        assert_eq!(order(&hosts, now + DOWN), ["a", "b", "c:1"]);
    }

    #[test]
    fn every_shard_and_a_reload_know_that_a_host_is_ejected() {
        let states = Hosts::default();
        let before = hosts(&["a", "b"], None, &states);
        let other_shard = hosts(&["a", "b"], None, &states);
        let now = Instant::now();
        before.not_connected(state(&before, "a"), now);
        assert_eq!(order(&other_shard, now), ["b", "a"]);
        let after = hosts(&["a", "c"], None, &states);
        drop((before, other_shard));
        assert_eq!(order(&after, now), ["c", "a"]);
        let elsewhere = hosts(&["a", "c"], None, &Hosts::default());
        assert_eq!(order(&elsewhere, now), ["a", "c"]);
    }

    #[test]
    fn failures_of_any_kind_eject_where_the_route_says_so_and_never_the_last_host() {
        let outlier = Outlier {
            consecutive: 3,
            ..Outlier::default()
        };
        let fail = |hosts: &RouteHosts, name: &str, now| {
            hosts.failed(state(hosts, name), now, Failure::Reset);
            hosts.failed(state(hosts, name), now, Failure::Timeout);
            hosts.answered(state(hosts, name), now, StatusCode::BAD_GATEWAY);
        };
        let now = Instant::now();
        let by_default = hosts(&["a", "b"], None, &Hosts::default());
        fail(&by_default, "a", now);
        assert_eq!(order(&by_default, now), ["a", "b"]);

        let hosts = hosts(&["a", "b"], Some(outlier), &Hosts::default());
        fail(&hosts, "a", now);
        assert_eq!(order(&hosts, now), ["b", "a"]);
        fail(&hosts, "b", now);
        fail(&hosts, "b", now);
        assert_eq!(order(&hosts, now), ["b", "a"]);
        assert!(state(&hosts, "b").is_in_service(now));
        // A reply that is too large for the gateway is one.
        hosts.failed(state(&hosts, "b"), now, Failure::TooLarge);
        let back = now + outlier.base;
        hosts.failed(state(&hosts, "b"), back, Failure::Reset);
        assert_eq!(order(&hosts, back), ["a", "b"]);
    }

    #[test]
    fn only_the_host_changes() {
        let uri = Uri::from_static("https://a:1/x/y?z=%20");
        assert_eq!(at_host(&uri, host("b")), "https://b/x/y?z=%20");
    }
}
