//! Which hosts can stand in for which, and which of them are thought to be down.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use tokio::time::Instant;

/// The hosts that serve the same, by the one that routes name.
#[derive(Debug, Default)]
pub(super) struct Failover {
    groups: HashMap<Authority, Vec<Authority>>,
    /// Until when a host is left alone after it could not be connected to. Only hosts of a group get here,
    /// so the configuration bounds it.
    down: Mutex<HashMap<Authority, Instant>>,
}

impl Failover {
    /// Lets `others` stand in for `first`.
    pub(super) fn add(&mut self, first: Authority, others: impl IntoIterator<Item = Authority>) {
        let group = self
            .groups
            .entry(first.clone())
            .or_insert_with(|| vec![first]);
        for other in others {
            if !group.contains(&other) {
                group.push(other);
            }
        }
    }

    /// The hosts to try for `uri`, in order: those thought to be up, then the others, since one that was
    /// down may be up again. Nothing if no other host can stand in.
    pub(super) fn candidates(&self, uri: &Uri, now: Instant) -> Option<Vec<Authority>> {
        let group = self.groups.get(uri.authority()?)?;
        let down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        let is_down = |host: &&Authority| down.get(*host).is_some_and(|until| now < *until);
        let up = group.iter().filter(|host| !is_down(host));
        Some(up.chain(group.iter().filter(is_down)).cloned().collect())
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

/// A host that could not be connected to is tried last for so long. It bounds how many handsets wait for a
/// connect timeout, and how long a host that is back stays idle.
const DOWN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &'static str) -> Authority {
        Authority::from_static(name)
    }

    #[test]
    fn a_host_that_failed_is_tried_last_for_a_while() {
        let mut failover = Failover::default();
        failover.add(host("a"), [host("b"), host("c:1"), host("b")]);
        let uri = Uri::from_static("https://a/x?y");
        let order = |failover: &Failover, now| failover.candidates(&uri, now).unwrap();
        let now = Instant::now();
        assert_eq!(order(&failover, now), ["a", "b", "c:1"]);
        failover.failed(&host("a"), now);
        assert_eq!(order(&failover, now), ["b", "c:1", "a"]);
        failover.failed(&host("b"), now);
        assert_eq!(order(&failover, now), ["c:1", "a", "b"]);
        failover.worked(&host("a"));
        assert_eq!(order(&failover, now), ["a", "c:1", "b"]);
        assert_eq!(order(&failover, now + DOWN), ["a", "b", "c:1"]);
        let alone = Uri::from_static("https://b/");
        assert_eq!(failover.candidates(&alone, now), None);
    }

    #[test]
    fn only_the_host_changes() {
        let uri = Uri::from_static("https://a:1/x/y?z=%20");
        assert_eq!(at_host(&uri, host("b")), "https://b/x/y?z=%20");
    }
}
