//! One reading of a gateway: `/status` and `/metrics`, one after the other.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::exposition::Exposition;
use crate::time::Instant;

/// Both, and when they were read.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) at: Instant,
    /// Seconds since 1970.
    pub(super) unix: u64,
    pub(super) status: Status,
    pub(super) metrics: Exposition,
}

/// The part of `/status` that is shown.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) state: String,
    pub(super) pid: u32,
    pub(super) uptime_seconds: Option<f64>,
    pub(super) shards: Vec<Shard>,
    pub(super) tables: BTreeMap<String, Table>,
    pub(super) routes: Vec<Route>,
    pub(super) targets: Vec<Target>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Shard {
    pub(super) heartbeat_age_seconds: Option<f64>,
    pub(super) sessions: u64,
    pub(super) transactions: u64,
    pub(super) exchanges: u64,
    pub(super) datagrams_in: u64,
    pub(super) datagrams_out: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Table {
    pub(super) used: u64,
    pub(super) limit: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Route {
    pub(super) name: String,
    pub(super) exchanges: u64,
    pub(super) upstream_errors: u64,
    pub(super) upstream_seconds: f64,
    /// A gateway of an earlier version has none.
    #[serde(default)]
    pub(super) upstreams: Vec<Upstream>,
}

/// A host of a route.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Upstream {
    pub(super) host: String,
    pub(super) condition: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) condition: String,
    pub(super) answered: u64,
    pub(super) failed: u64,
    pub(super) last_failure_seconds: Option<f64>,
    pub(super) last_failure: Option<String>,
}

impl Reading {
    /// The time of each shard's counters, in seconds on our clock.
    pub(super) fn counted(&self) -> impl Iterator<Item = Option<f64>> {
        let now = seconds(self.at);
        let shards = self.status.shards.iter();
        shards.map(move |shard| shard.heartbeat_age_seconds.map(|age| now - age))
    }

    /// Whether no shard published new counters between the two answers, so that both have the same
    /// counters.
    pub(super) fn is_whole(&self) -> bool {
        let count = |direction| {
            let labels = [("direction", direction)];
            self.metrics.sum("wapbridge_datagrams_total", &labels)
        };
        let shards = &self.status.shards;
        let said = |of: fn(&Shard) -> u64| float(shards.iter().map(of).sum());
        shards.is_empty()
            || count("in") == Some(said(|shard| shard.datagrams_in))
                && count("out") == Some(said(|shard| shard.datagrams_out))
    }

    /// Whether a shard has published new counters since.
    pub(super) fn is_newer(&self, than: &Self) -> bool {
        let silent = self.status.shards.is_empty();
        silent || self.status.pid != than.status.pid || since_counted(than, self).is_some()
    }
}

/// The time between the counters of two readings, on average over the shards that published new
/// ones: counters are up to a second old.
pub(super) fn since_counted(then: &Reading, now: &Reading) -> Option<f64> {
    let spans = then.counted().zip(now.counted());
    let spans = spans.filter_map(|(then, now)| Some(now? - then?));
    let spans: Vec<f64> = spans.filter(|span| *span > A_MOMENT).collect();
    (!spans.is_empty()).then(|| spans.iter().sum::<f64>() / float(spans.len() as u64))
}

pub(super) fn seconds(at: Instant) -> f64 {
    at.since(Instant::ZERO).as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "for people to look at")]
pub(super) const fn float(count: u64) -> f64 {
    count as f64
}

/// Seconds: closer times are one time, read twice.
const A_MOMENT: f64 = 0.2;
