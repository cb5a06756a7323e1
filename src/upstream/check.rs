//! Checks of hosts: one GET, over a new connection, in the way of the route's requests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderValue, USER_AGENT};
use http::uri::Authority;
use http::{Method, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use super::body::RequestBody;
use super::connections::Connections;
use super::error::AttemptError;
use super::failover::at_host;
use super::host_state::HostState;
use super::hosts::Hosts;
use super::pool::{Pool, PoolSettings};
use super::tls::Tls;
use crate::random::Random;
use crate::route::{HealthCheck, Routes};

/// The checks of one host of one route.
pub struct HostCheck {
    state: Arc<HostState>,
    uri: Uri,
    settings: HealthCheck,
    pool: PoolSettings,
    tls: Tls,
    connections: Arc<Connections>,
}

/// The checks that routes ask for: one for each of their hosts, in their order.
///
/// A check takes one descriptor while it lasts. The limit of connections to origins does not apply
/// to it: a gateway whose requests use all connections still knows how its hosts are.
#[must_use]
pub fn checks_of(tls: &Tls, routes: &Routes, hosts: &Hosts) -> Vec<HostCheck> {
    let connections = Arc::new(Connections::new(usize::MAX));
    let mut checks: Vec<HostCheck> = Vec::new();
    for route in routes.iter() {
        let Some(settings) = &route.host_policy.check else {
            continue;
        };
        for address in route.hosts() {
            let (Ok(base), Ok(host)) = (
                address.to_string().parse::<Uri>(),
                address.authority().parse::<Authority>(),
            ) else {
                continue;
            };
            let state = hosts.state_of(&route.name, &host);
            if checks.iter().any(|known| Arc::ptr_eq(&known.state, &state)) {
                continue;
            }
            let mut parts = base.into_parts();
            parts.path_and_query = Some(settings.path.clone());
            let Ok(uri) = Uri::from_parts(parts) else {
                continue;
            };
            checks.push(HostCheck {
                state,
                uri: at_host(&uri, host),
                settings: settings.clone(),
                pool: PoolSettings::of(route, tls),
                tls: tls.clone(),
                connections: Arc::clone(&connections),
            });
        }
    }
    checks
}

impl HostCheck {
    /// Whether both are of the same host of a route.
    #[must_use]
    pub fn is_of_same_host(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }

    /// Checks the host for ever. The first check comes within a second, or when the last run would
    /// have made the next one. `random` decides how much earlier or later than its interval each
    /// following one comes.
    pub async fn run(&self, mut random: Random) {
        loop {
            let now = Instant::now();
            let due = self.state.check_due().unwrap_or_else(|| {
                let spread = self.settings.interval.min(FIRST_WITHIN);
                now + part(spread, &mut random)
            });
            self.state.set_check_due(due);
            sleep_until(due).await;
            self.check().await;
            self.state
                .set_check_due(due.max(now) + self.pause(&mut random));
        }
    }

    /// Checks the host once, and records the result.
    pub async fn check(&self) {
        let limit = self.settings.timeout;
        let asked = timeout(limit, self.ask()).await;
        let failure = asked.unwrap_or_else(|_| Some(format!("no reply within {limit:?}")));
        let changed = self
            .state
            .checked(Instant::now(), failure.clone(), &self.settings);
        let (route, host) = (self.state.route(), self.state.host());
        match changed {
            Some(true) => {
                let why = failure.unwrap_or_default();
                warn!(%route, %host, why, "host fails its checks: it is tried last");
            }
            Some(false) => info!(%route, %host, "host passes its checks: it is tried in its turn"),
            None => {}
        }
    }

    /// The host is checked no more: the results so far have no effect.
    pub fn forget(&self) {
        self.state.forget_checks();
    }

    /// Asks the host. Returns why it is not well.
    async fn ask(&self) -> Option<String> {
        let (body, progress) = RequestBody::new(Bytes::new());
        let mut http = http::Request::new(body);
        *http.method_mut() = Method::GET;
        *http.uri_mut() = self.uri.clone();
        let fields = http.headers_mut();
        fields.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        fields.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let pool = Pool::new(&self.pool, &self.tls, &self.connections);
        match pool.send(http, false).await {
            Ok(response) => {
                let status = response.status();
                drain(response.into_body()).await;
                let expected = self.settings.expects(status);
                (!expected).then(|| format!("status {}", status.as_u16()))
            }
            Err(error) => {
                let host = Some(self.state.host());
                let failed = AttemptError::before_reply(host, &error, &progress);
                Some(failed.error.to_string())
            }
        }
    }

    /// The interval, give or take a tenth.
    fn pause(&self, random: &mut Random) -> Duration {
        let interval = self.settings.interval;
        interval - interval / 10 + part(interval / 5, random)
    }
}

/// A part of a duration, by chance.
fn part(whole: Duration, random: &mut Random) -> Duration {
    let micros = u64::try_from(whole.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(random.below(micros.saturating_add(1)))
}

/// Reads a body, so that the origin can finish its reply. The status has told everything.
async fn drain(mut body: Incoming) {
    let mut left = MAX_BODY;
    while let Some(Ok(frame)) = body.frame().await {
        let octets = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(octets) {
            Some(less) => left = less,
            None => return,
        }
    }
}

/// How the gateway names itself in checks.
const AGENT: &str = concat!("wapbridge/", env!("CARGO_PKG_VERSION"), " (health check)");
/// The first check of a host comes within this time.
const FIRST_WITHIN: Duration = Duration::from_secs(1);
/// Octets of the reply to a check that are read.
const MAX_BODY: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Address, Destination, RouteSettings};
    use crate::upstream::TlsSettings;
    use http::uri::PathAndQuery;

    fn checks(names: &[&str], hosts: &Hosts) -> Vec<HostCheck> {
        let tls = Tls::load(&TlsSettings::default()).unwrap();
        let address =
            |name: &&str| Address::parse_prefix(&format!("https://{name}/deep/path")).unwrap();
        let mut addresses = names.iter().map(address);
        let mut route = RouteSettings::from_prefix("http://a/", "https://b/").unwrap();
        route.destination = Destination::Fixed {
            upstream: addresses.next().unwrap(),
            fallbacks: addresses.collect(),
        };
        let unchecked = RouteSettings {
            name: "unchecked".into(),
            ..route.clone()
        };
        let path = PathAndQuery::from_static("/healthz?deep=1");
        route.host_policy.check = Some(HealthCheck::new(path));
        checks_of(&tls, &Routes::new(vec![route, unchecked]), hosts)
    }

    #[test]
    fn each_host_of_a_route_with_checks_is_asked_once_at_the_path_of_checks() {
        let checks = checks(
            &["a.example", "b.example:8443", "a.example"],
            &Hosts::default(),
        );
        let uris: Vec<String> = checks.iter().map(|check| check.uri.to_string()).collect();
        assert_eq!(
            uris,
            [
                "https://a.example/healthz?deep=1",
                "https://b.example:8443/healthz?deep=1"
            ]
        );
    }

    #[test]
    fn a_seed_decides_on_the_pauses_which_differ_by_a_tenth() {
        let checks = checks(&["a.example"], &Hosts::default());
        let pauses = |seed| {
            let mut random = Random::new(seed);
            (0..50)
                .map(|_| checks[0].pause(&mut random))
                .collect::<Vec<_>>()
        };
        let (least, most) = (Duration::from_secs(9), Duration::from_secs(11));
        assert!(pauses(1).iter().all(|pause| (least..=most).contains(pause)));
        assert_eq!(pauses(1), pauses(1));
        assert_ne!(pauses(1), pauses(2));
    }
}
