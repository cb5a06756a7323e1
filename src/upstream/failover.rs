//! Hosts of one route that stand in for one another, and their recent failures.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use tokio::time::Instant;

/// The hosts of one route that serve the same.
#[derive(Debug)]
pub(super) struct Failover {
    /// In the order of the configuration, without duplicates.
    hosts: Vec<Authority>,
    /// Until when a host is tried last after it could not be connected to.
    down: Arc<Mutex<HashMap<Authority, Instant>>>,
}

impl Failover {
    /// Hosts that stand in for the first one of them.
    pub(super) fn new(hosts: impl IntoIterator<Item = Authority>) -> Self {
        let mut distinct = Vec::new();
        for host in hosts {
            if !distinct.contains(&host) {
                distinct.push(host);
            }
        }
        Self {
            hosts: distinct,
            down: Arc::default(),
        }
    }

    /// The same hosts, with the recent failures that another configuration recorded for the route.
    pub(super) fn with_state_of(self, other: &Self) -> Self {
        let mut down = other.down.lock().unwrap_or_else(PoisonError::into_inner);
        down.retain(|host, _| self.hosts.contains(host));
        drop(down);
        Self {
            down: Arc::clone(&other.down),
            ..self
        }
    }

    /// The hosts in the order of attempts: first those without a recent failure, then the others,
    /// since a host may have recovered.
    pub(super) fn candidates(&self, now: Instant) -> Vec<Authority> {
        let down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        let is_down = |host: &&Authority| down.get(*host).is_some_and(|until| now < *until);
        let up = self.hosts.iter().filter(|host| !is_down(host));
        up.chain(self.hosts.iter().filter(is_down))
            .cloned()
            .collect()
    }

    /// Remembers that a host could not be connected to.
    pub(super) fn failed(&self, host: &Authority, now: Instant) {
        let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        down.insert(host.clone(), now + DOWN);
    }

    /// Remembers that a host could be connected to.
    pub(super) fn worked(&self, host: &Authority) {
        let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        down.remove(host);
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

/// A host that could not be connected to is tried last for so long. It bounds how many handsets
/// wait for a connect timeout, and how long a host that is back stays idle.
const DOWN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &'static str) -> Authority {
        Authority::from_static(name)
    }

    #[test]
    fn a_host_that_failed_is_tried_last_for_a_while() {
        let failover = Failover::new([host("a"), host("b"), host("c:1"), host("b")]);
        let order = |failover: &Failover, now| failover.candidates(now);
        let now = Instant::now();
        assert_eq!(order(&failover, now), ["a", "b", "c:1"]);
        failover.failed(&host("a"), now);
        assert_eq!(order(&failover, now), ["b", "c:1", "a"]);
        failover.failed(&host("b"), now);
        assert_eq!(order(&failover, now), ["c:1", "a", "b"]);
        failover.worked(&host("a"));
        assert_eq!(order(&failover, now), ["a", "c:1", "b"]);
        assert_eq!(order(&failover, now + DOWN), ["a", "b", "c:1"]);
    }

    #[test]
    fn a_reload_does_not_forget_that_a_host_is_down() {
        let before = Failover::new([host("a"), host("b")]);
        let now = Instant::now();
        before.failed(&host("a"), now);
        let after = Failover::new([host("a"), host("c")]).with_state_of(&before);
        assert_eq!(after.candidates(now), ["c", "a"]);
        before.worked(&host("a"));
        assert_eq!(after.candidates(now), ["a", "c"]);
    }

    #[test]
    fn only_the_host_changes() {
        let uri = Uri::from_static("https://a:1/x/y?z=%20");
        assert_eq!(at_host(&uri, host("b")), "https://b/x/y?z=%20");
    }
}
