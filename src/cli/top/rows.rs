//! The figures of each shard, each host that routes name, and each route.

use serde::Serialize;

use super::rates::{Rates, grown, rate, rounded};
use super::reading::{self, float};

#[derive(Debug, Serialize)]
pub(super) struct Shard {
    pub(super) shard: usize,
    /// 1 is full.
    pub(super) cpu: Option<f64>,
    pub(super) sessions: u64,
    pub(super) transactions: u64,
    pub(super) exchanges: u64,
    pub(super) datagrams_in_per_second: Option<f64>,
    pub(super) datagrams_out_per_second: Option<f64>,
    pub(super) heartbeat_age_seconds: Option<f64>,
}

/// A host that routes name.
#[derive(Debug, Serialize)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) condition: String,
    pub(super) answered_per_second: Option<f64>,
    pub(super) failed_per_second: Option<f64>,
    pub(super) answered: u64,
    pub(super) failed: u64,
    pub(super) last_failure: Option<String>,
    pub(super) last_failure_seconds: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Route {
    pub(super) name: String,
    pub(super) exchanges_per_second: Option<f64>,
    pub(super) upstream_errors_per_second: Option<f64>,
    /// How long origins took, on average.
    pub(super) upstream_mean_seconds: Option<f64>,
}

impl Rates<'_> {
    pub(super) fn shards(&self) -> Vec<Shard> {
        let of = |(number, shard): (usize, &reading::Shard)| {
            let then = self.then.and_then(|then| {
                let counted = then.counted().nth(number)??;
                Some((then.status.shards.get(number)?, counted))
            });
            let passed = then
                .zip(self.now.counted().nth(number).flatten())
                .map(|((_, then), now)| now - then);
            let rate = |count: fn(&reading::Shard) -> u64| {
                let grown =
                    then.and_then(|(then, _)| grown(float(count(then)), float(count(shard))));
                rate(grown, passed)
            };
            Shard {
                shard: number,
                cpu: self.cpu(
                    "wapbridge_shard_cpu_seconds_total",
                    &[("shard", &number.to_string())],
                ),
                sessions: shard.sessions,
                transactions: shard.transactions,
                exchanges: shard.exchanges,
                datagrams_in_per_second: rate(|shard| shard.datagrams_in),
                datagrams_out_per_second: rate(|shard| shard.datagrams_out),
                heartbeat_age_seconds: shard.heartbeat_age_seconds.map(|age| rounded(age, 1e3)),
            }
        };
        self.now.status.shards.iter().enumerate().map(of).collect()
    }

    pub(super) fn targets(&self) -> Vec<Target> {
        let of = |target: &reading::Target| {
            let then = self.then.and_then(|then| {
                let mut targets = then.status.targets.iter();
                targets.find(|then| then.host == target.host)
            });
            let rate = |count: fn(&reading::Target) -> u64| {
                let grown = then.and_then(|then| grown(float(count(then)), float(count(target))));
                rate(grown, self.counted)
            };
            Target {
                host: target.host.clone(),
                condition: self.condition(target),
                answered_per_second: rate(|target| target.answered),
                failed_per_second: rate(|target| target.failed),
                answered: target.answered,
                failed: target.failed,
                last_failure: target.last_failure.clone(),
                last_failure_seconds: target.last_failure_seconds,
            }
        };
        self.now.status.targets.iter().map(of).collect()
    }

    /// The condition of a host on a route where it is not simply in service, else that by its last
    /// request.
    fn condition(&self, target: &reading::Target) -> String {
        let routes = self.now.status.routes.iter();
        let mut upstreams = routes.flat_map(|route| &route.upstreams);
        let special = upstreams
            .find(|host| host.host == target.host && host.condition != "in_service")
            .map(|host| host.condition.clone());
        special.unwrap_or_else(|| target.condition.clone())
    }

    pub(super) fn routes(&self) -> Vec<Route> {
        let of = |route: &reading::Route| {
            let then = self.then.and_then(|then| {
                let mut routes = then.status.routes.iter();
                routes.find(|then| then.name == route.name)
            });
            let exchanges =
                then.and_then(|then| grown(float(then.exchanges), float(route.exchanges)));
            let errors = then
                .and_then(|then| grown(float(then.upstream_errors), float(route.upstream_errors)));
            let waited = then.and_then(|then| grown(then.upstream_seconds, route.upstream_seconds));
            Route {
                name: route.name.clone(),
                exchanges_per_second: rate(exchanges, self.counted),
                upstream_errors_per_second: rate(errors, self.counted),
                upstream_mean_seconds: waited
                    .zip(exchanges)
                    .filter(|(_, exchanges)| *exchanges > 0.0)
                    .map(|(waited, exchanges)| rounded(waited / exchanges, 1e6)),
            }
        };
        self.now.status.routes.iter().map(of).collect()
    }
}
