//! Hosts of one route that stand in for one another: which is tried when, and what their failures
//! lead to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{StatusCode, Uri};
use tokio::time::Instant;
use tracing::warn;

use super::affinity::Key;
use super::balance::{Choice, choose};
use super::error::AttemptError;
use super::host_group::{GroupState, Round};
use super::host_state::{HostCondition, HostState, Trial, TrialTaken, UnderWay};
use super::hosts::Hosts;
use super::retry_budget::{Active, BudgetSpent, Retrying};
use crate::gateway::fetch::{Failure, Request};
use crate::route::{Balance, HostPolicy, Outlier, RouteSettings};

/// The hosts of one route.
#[derive(Debug)]
pub(super) struct RouteHosts {
    /// In the order of the configuration, without duplicates.
    hosts: Vec<Arc<HostState>>,
    /// They serve the same, so a request may go to any of them.
    stand_in: bool,
    policy: HostPolicy,
    states: Hosts,
    group: Arc<GroupState>,
}

/// A request on its way to one of the hosts: where it has been, and which requests it belongs to.
#[derive(Debug, Default)]
pub(super) struct Itinerary {
    /// The host that may have it, and is the only one from then on.
    pub(super) sent_to: Option<Arc<HostState>>,
    /// The requests that stay at one host.
    key: Option<Key>,
    /// The host that it chose, by its number: another attempt goes there, too.
    chosen: Option<u32>,
    _active: Option<Active>,
}

/// The hosts in the order in which a request tries them.
#[derive(Debug)]
pub(super) struct Candidates {
    /// Those in service, in their turn.
    in_turn: VecDeque<Arc<HostState>>,
    /// The others, since one of them may have recovered.
    others: VecDeque<Arc<HostState>>,
}

/// A host to try now; the trial, if it is on trial.
pub(super) type Next = (Arc<HostState>, Option<Trial>);

impl Candidates {
    /// The host that may have the request already.
    pub(super) fn only(host: Arc<HostState>) -> Self {
        Self {
            in_turn: VecDeque::new(),
            others: VecDeque::from([host]),
        }
    }

    /// The next host. One that another request tries meanwhile is not in its turn any more.
    pub(super) fn next(&mut self, now: Instant) -> Option<Next> {
        while let Some(host) = self.in_turn.pop_front() {
            match host.try_in_turn(now) {
                Ok(trial) => return Some((host, trial)),
                Err(TrialTaken) => self.others.push_front(host),
            }
        }
        Some((self.others.pop_front()?, None))
    }
}

impl RouteHosts {
    /// The hosts of a route, with the states that all shards share. They `stand_in` for the first
    /// one of them, or are each asked for by name.
    pub(super) fn new(
        route: &RouteSettings,
        hosts: impl IntoIterator<Item = Authority>,
        stand_in: bool,
        states: &Hosts,
    ) -> Self {
        let policy = &route.host_policy;
        let mut distinct: Vec<Arc<HostState>> = Vec::new();
        for (place, host) in hosts.into_iter().enumerate() {
            if !distinct.iter().any(|known| *known.host() == host) {
                let state = states.state_of(&route.name, &host);
                state.set_weight(policy.weight(place), policy.slow_start);
                distinct.push(state);
            }
        }
        let stand_in = stand_in && distinct.len() > 1;
        Self {
            stand_in,
            hosts: distinct,
            policy: policy.clone(),
            states: states.clone(),
            group: match stand_in {
                true => states.group_of(&route.name),
                false => Arc::default(),
            },
        }
    }

    /// Whether a request may go to any of them.
    pub(super) const fn stand_in(&self) -> bool {
        self.stand_in
    }

    /// A request to one of them begins.
    pub(super) fn itinerary(&self, request: &Request) -> Itinerary {
        let balances = self.policy.balance != Balance::First;
        let key = Key::of(request, self.policy.affinity);
        Itinerary {
            sent_to: None,
            key: key.filter(|_| balances),
            chosen: None,
            _active: (self.policy.retry_budget.is_some()).then(|| self.group.budget.begin()),
        }
    }

    /// The hosts in the order of attempts: first those in service, then the others, since a host
    /// may have recovered.
    ///
    /// Among those in service the first is the host of the requests to which this one belongs, or
    /// the one that the route's balance chooses; the others follow in the order of the
    /// configuration, from there on. A host on trial is among them if no other request tries it.
    pub(super) fn candidates(&self, now: Instant, itinerary: &mut Itinerary) -> Candidates {
        let (mut in_turn, mut others) = (Vec::new(), Vec::new());
        let mut last = Vec::new();
        for host in &self.hosts {
            let condition = host.condition(now);
            let list = match condition {
                HostCondition::OnTrial if host.has_trial() => &mut others,
                HostCondition::Ejected | HostCondition::FailingChecks => &mut last,
                _ => &mut in_turn,
            };
            list.push((Arc::clone(host), condition == HostCondition::OnTrial));
        }
        others.append(&mut last);
        let first = match self.policy.balance {
            Balance::First => 0,
            balance => self.first(now, balance, &in_turn, itinerary),
        };
        let hosts = |list: Vec<(Arc<HostState>, bool)>| list.into_iter().map(|(host, _)| host);
        let mut in_turn: VecDeque<_> = hosts(in_turn).collect();
        in_turn.rotate_left(first);
        Candidates {
            in_turn,
            others: hosts(others).collect(),
        }
    }

    /// The place of the host to try first; 0 if there is none.
    fn first(
        &self,
        now: Instant,
        balance: Balance,
        in_turn: &[(Arc<HostState>, bool)],
        itinerary: &mut Itinerary,
    ) -> usize {
        let mut round = self.group.round();
        let stays_at = itinerary.chosen.or_else(|| {
            let key = itinerary.key?;
            round.affinity.host_of(now, key)
        });
        // Requests do not stay for a trial: they would be the ones to fail.
        let stays = |(host, on_trial): &(Arc<HostState>, bool)| {
            !on_trial && Some(host.number()) == stays_at
        };
        let place = in_turn.iter().position(stays).or_else(|| {
            round.moved += u64::from(itinerary.chosen.is_none() && stays_at.is_some());
            let mut choices: Vec<Choice> =
                in_turn.iter().map(|(host, _)| host.choice(now)).collect();
            let place = choose(balance, &mut choices)?;
            for ((host, _), choice) in in_turn.iter().zip(&choices) {
                host.set_turn(choice.turn);
            }
            Some(place)
        });
        let first = place.and_then(|place| in_turn.get(place));
        if let Some((host, _)) = first {
            itinerary.goes_to(now, host, &mut round);
        }
        place.unwrap_or(0)
    }

    /// A request goes to a host; those that belong to it follow.
    pub(super) fn goes_to(&self, now: Instant, host: &HostState, itinerary: &mut Itinerary) {
        if self.policy.balance != Balance::First && itinerary.chosen != Some(host.number()) {
            itinerary.goes_to(now, host, &mut self.group.round());
        }
    }

    /// A request that could not be connected to one host is to be tried at another.
    ///
    /// # Errors
    ///
    /// [`BudgetSpent`] if as many are already as the route allows.
    pub(super) fn retry(&self) -> Result<Retrying, BudgetSpent> {
        let budget = self.policy.retry_budget.as_ref();
        self.group.budget.retry(budget)
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
        let is_last = !others.any(|other| other.condition(now).is_in_service());
        let begun = host.failed(now, outlier, is_last);
        tell(host, begun, "requests to it failed");
    }

    fn times(&self) -> Outlier {
        self.policy.outlier.unwrap_or_default()
    }
}

impl Itinerary {
    fn goes_to(&mut self, now: Instant, host: &HostState, round: &mut Round) {
        self.chosen = Some(host.number());
        if let Some(key) = self.key {
            round.affinity.went_to(now, key, host.number());
        }
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
    use std::collections::HashMap;

    use super::*;
    use crate::random::Random;
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
        let mut candidates = hosts.candidates(now, &mut Itinerary::default());
        let order = std::iter::from_fn(|| candidates.next(now));
        order.map(|(host, _)| host.host().to_string()).collect()
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
        assert!(state(&hosts, "b").condition(now).is_in_service());
        // A reply that is too large for the gateway is one.
        hosts.failed(state(&hosts, "b"), now, Failure::TooLarge);
        let back = now + outlier.base;
        hosts.failed(state(&hosts, "b"), back, Failure::Reset);
        assert_eq!(order(&hosts, back), ["a", "b"]);
        // On trial one failure is enough, and not if the other host is ejected.
        hosts.failed(state(&hosts, "a"), back, Failure::Reset);
        assert_eq!(order(&hosts, back), ["b", "a"]);
        fail(&hosts, "b", back);
        let both = back + outlier.base * 2;
        assert_eq!(order(&hosts, both), ["a", "b"]);
    }

    #[test]
    fn after_an_ejection_one_request_tries_the_host_and_the_others_go_elsewhere() {
        let hosts = hosts(&["a", "b"], None, &Hosts::default());
        let now = Instant::now();
        hosts.not_connected(state(&hosts, "a"), now);
        let back = now + DOWN;
        let candidates = |hosts: &RouteHosts| {
            let mut all = hosts.candidates(back, &mut Itinerary::default());
            std::iter::from_fn(|| all.next(back)).collect::<Vec<_>>()
        };
        let name = |all: &[Next]| -> Vec<(String, bool)> {
            let all = all.iter();
            all.map(|(host, trial)| (host.host().to_string(), trial.is_some()))
                .collect()
        };
        // Both chose before either began.
        let mut late = hosts.candidates(back, &mut Itinerary::default());
        let trial = candidates(&hosts);
        assert_eq!(name(&trial), [("a".into(), true), ("b".into(), false)]);
        let late: Vec<_> = std::iter::from_fn(|| late.next(back)).collect();
        let elsewhere = [("b".into(), false), ("a".into(), false)];
        assert_eq!(name(&late), elsewhere);
        assert_eq!(name(&candidates(&hosts)), elsewhere);
        hosts.answered(state(&hosts, "a"), back, StatusCode::OK);
        assert_eq!(
            name(&candidates(&hosts)),
            [("a".into(), false), ("b".into(), false)]
        );
    }

    fn balanced(names: &[&'static str], change: impl FnOnce(&mut HostPolicy)) -> RouteHosts {
        let mut route = route(None);
        route.host_policy.balance = Balance::RoundRobin;
        change(&mut route.host_policy);
        let names = names.iter().copied().map(host);
        RouteHosts::new(&route, names, true, &Hosts::default())
    }

    fn of(session: u32) -> Itinerary {
        Itinerary {
            key: Some(Key::Session(session)),
            ..Itinerary::default()
        }
    }

    /// Where a request goes.
    fn first(hosts: &RouteHosts, now: Instant, mut itinerary: Itinerary) -> String {
        let (host, _trial) = hosts.candidates(now, &mut itinerary).next(now).unwrap();
        hosts.goes_to(now, &host, &mut itinerary);
        host.host().to_string()
    }

    #[test]
    fn new_sessions_are_shared_by_weight_and_each_stays_at_its_host() {
        let hosts = balanced(&["a", "b", "c"], |policy| policy.weights = vec![3, 2, 1]);
        let now = Instant::now();
        let placed: Vec<String> = (0..60).map(|id| first(&hosts, now, of(id))).collect();
        for (name, share) in [("a", 30), ("b", 20), ("c", 10)] {
            let count = placed.iter().filter(|host| *host == name).count();
            assert_eq!(count, share, "{name}");
        }
        let mut random = Random::new(6);
        for _ in 0..500 {
            let session = random.u32() % 60;
            let host = first(&hosts, now, of(session));
            assert_eq!(host, placed[session as usize]);
        }
        assert_eq!(hosts.group.round().moved, 0);
    }

    /// Hosts come and go by chance. A session moves only if its host is out of service.
    #[test]
    fn a_session_stays_at_its_host_as_long_as_that_is_in_service() {
        let names = ["a", "b", "c", "d"];
        let mut random = Random::new(7);
        for seed in 0..20 {
            let balance = Balance::ALL[1 + seed % 2].1;
            let hosts = balanced(&names, |policy| {
                policy.balance = balance;
                policy.slow_start = Duration::from_secs(30);
            });
            let mut now = Instant::now();
            let mut at: HashMap<u32, String> = HashMap::new();
            let mut moved = 0;
            for _ in 0..1000 {
                now += Duration::from_millis(random.below(1_000));
                let one = state(&hosts, names[(random.u32() % 4) as usize]);
                match random.below(20) {
                    0 => hosts.not_connected(one, now),
                    1..5 => hosts.answered(one, now, StatusCode::OK),
                    _ => {}
                }
                let session = random.u32() % 30;
                let before = at.get(&session).cloned();
                let proven = |name: &String| {
                    let condition = state(&hosts, name).condition(now);
                    condition.is_in_service() && condition != HostCondition::OnTrial
                };
                let stays = before.as_ref().is_some_and(proven);
                let host = first(&hosts, now, of(session));
                match stays {
                    true => assert_eq!(Some(&host), before.as_ref()),
                    false => moved += u64::from(before.is_some()),
                }
                at.insert(session, host);
            }
            assert!(moved > 10);
            assert_eq!(hosts.group.round().moved, moved);
        }
    }

    #[test]
    fn a_host_that_is_back_gets_new_sessions_only_and_more_and_more_of_them() {
        let hosts = balanced(&["a", "b"], |policy| {
            policy.slow_start = Duration::from_secs(100);
        });
        let now = Instant::now();
        hosts.not_connected(state(&hosts, "b"), now);
        assert!((0..50).all(|id| first(&hosts, now, of(id)) == "a"));
        let back = now + DOWN;
        hosts.answered(state(&hosts, "b"), back, StatusCode::OK);
        let mut counts = Vec::new();
        for second in 0..120 {
            let at = back + Duration::from_secs(second);
            assert!((0..50).all(|id| first(&hosts, at, of(id)) == "a"));
            if second % 20 == 0 {
                counts.push(0);
            }
            let new = (0..30).map(|nth| 1000 + u32::try_from(second).unwrap() * 30 + nth);
            let here = new.filter(|id| first(&hosts, at, of(*id)) == "b");
            *counts.last_mut().unwrap() += here.count();
        }
        // Of 600 in 20 s; a weight of 0.1 beside 1 is one in eleven.
        assert!(counts.is_sorted(), "{counts:?}");
        assert!((40..=60).contains(&counts[0]), "{counts:?}");
        assert!((299..=301).contains(&counts[5]), "{counts:?}");
    }

    #[test]
    fn an_attempt_after_another_goes_to_the_host_that_was_chosen() {
        let hosts = balanced(&["a", "b", "c"], |_| {});
        let now = Instant::now();
        let mut itinerary = Itinerary::default();
        for _ in 0..5 {
            let mut candidates = hosts.candidates(now, &mut itinerary);
            assert_eq!(candidates.next(now).unwrap().0.host(), "a");
        }
        // It went on to the next host, where its session is from now on.
        let mut itinerary = of(1);
        let mut candidates = hosts.candidates(now, &mut itinerary);
        let names = [candidates.next(now), candidates.next(now)].map(Option::unwrap);
        let names = names.map(|(host, _)| {
            hosts.goes_to(now, &host, &mut itinerary);
            host.host().to_string()
        });
        assert_eq!(names, ["b", "c"]);
        assert_eq!(first(&hosts, now, of(1)), "c");
        assert_eq!(hosts.group.round().moved, 0);
    }

    #[test]
    fn only_the_host_changes() {
        let uri = Uri::from_static("https://a:1/x/y?z=%20");
        assert_eq!(at_host(&uri, host("b")), "https://b/x/y?z=%20");
    }
}
