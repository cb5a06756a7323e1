//! The hosts of all routes, in one view of the whole process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use http::uri::Authority;
use tokio::time::Instant;

use super::host_group::{GroupState, GroupStatus};
use super::host_state::{HostState, HostStatus};

/// The states of the hosts that routes name, which all shards share. Clones share them.
///
/// The state of a host lives as long as a configuration that is in use names it, so a host that
/// stays through a reload keeps its state.
#[derive(Clone, Debug, Default)]
pub struct Hosts(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    states: Mutex<States>,
    groups: Mutex<HashMap<Arc<str>, Weak<GroupState>>>,
    /// How many hosts there have been.
    numbers: AtomicU32,
    /// Held while the ejection of a host is decided.
    ejecting: Mutex<()>,
}

/// By the name of the route and the host.
type States = HashMap<(Arc<str>, Authority), Weak<HostState>>;

impl Hosts {
    /// The state of a host of a route.
    pub(super) fn state_of(&self, route: &Arc<str>, host: &Authority) -> Arc<HostState> {
        let mut states = self.0.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.retain(|_, state| state.strong_count() > 0);
        let place = states.entry((Arc::clone(route), host.clone())).or_default();
        place.upgrade().unwrap_or_else(|| {
            let number = self.0.numbers.fetch_add(1, Ordering::Relaxed);
            let state = HostState::new(Arc::clone(route), host.clone(), number);
            let state = Arc::new(state);
            *place = Arc::downgrade(&state);
            state
        })
    }

    /// The state of the hosts of a route together.
    pub(super) fn group_of(&self, route: &Arc<str>) -> Arc<GroupState> {
        let mut groups = self.0.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.retain(|_, group| group.strong_count() > 0);
        let place = groups.entry(Arc::clone(route)).or_default();
        place.upgrade().unwrap_or_else(|| {
            let group = Arc::new(GroupState::default());
            *place = Arc::downgrade(&group);
            group
        })
    }

    /// Until this is dropped, no other host is ejected for its failures, so that two hosts cannot
    /// both take the other for the one that stays.
    pub(super) fn ejecting(&self) -> MutexGuard<'_, ()> {
        let ejecting = &self.0.ejecting;
        ejecting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The routes whose hosts stand in for one another, by name.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupStatus> {
        let groups = self.0.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let groups = groups.iter();
        let mut all: Vec<_> = groups
            .filter_map(|(route, group)| Some(group.upgrade()?.status(route)))
            .collect();
        all.sort_unstable_by(|one, other| one.route.cmp(&other.route));
        all
    }

    /// All of them, by route and host.
    #[must_use]
    pub fn status(&self) -> Vec<HostStatus> {
        let now = Instant::now();
        let states = self.0.states.lock().unwrap_or_else(PoisonError::into_inner);
        let states = states.values().filter_map(Weak::upgrade);
        let mut all: Vec<_> = states.map(|state| state.status(now)).collect();
        all.sort_unstable_by(|one, other| {
            (&one.route, &one.host).cmp(&(&other.route, &other.host))
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_state_on_each_route_while_somebody_uses_it() {
        let hosts = Hosts::default();
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let host = Authority::from_static("a.example:8443");
        let first = hosts.state_of(&one, &host);
        assert!(Arc::ptr_eq(&first, &hosts.clone().state_of(&one, &host)));
        let second = hosts.state_of(&other, &host);
        assert!(!Arc::ptr_eq(&first, &second));
        let routes = |hosts: &Hosts| -> Vec<Arc<str>> {
            let status = hosts.status().into_iter();
            status.map(|status| status.route).collect()
        };
        assert_eq!(routes(&hosts), [Arc::clone(&one), Arc::clone(&other)]);
        drop(first);
        assert_eq!(routes(&hosts), [other]);
        hosts.state_of(&one, &host);
        assert!(hosts.0.states.lock().unwrap().len() <= 2);
    }
}
