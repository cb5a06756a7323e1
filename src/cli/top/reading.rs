//! What a gateway says of itself at one moment: `/status` and `/metrics`, one after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use hyper::http::Method;
use serde::Deserialize;

use super::exposition::Exposition;
use super::figures::Figures;
use crate::cli::remote::Remote;
use crate::server::clock::Clock;
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
    /// When each shard counted what it shows, in seconds on our clock.
    pub(super) fn counted(&self) -> impl Iterator<Item = Option<f64>> {
        let now = seconds(self.at);
        let shards = self.status.shards.iter();
        shards.map(move |shard| shard.heartbeat_age_seconds.map(|age| now - age))
    }

    /// Whether no shard counted anew between the two answers, so that they are about the same moments.
    fn is_whole(&self) -> bool {
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

    /// Whether a shard has counted anew since.
    fn is_newer(&self, than: &Self) -> bool {
        let silent = self.status.shards.is_empty();
        silent || self.status.pid != than.status.pid || since_counted(than, self).is_some()
    }
}

/// How long shards counted between two readings, on average over those that did: what they show is up to a second old.
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

/// Reads a gateway again and again.
pub(super) struct Feed {
    remote: Remote,
    clock: Clock,
    last: Option<Reading>,
}

impl Feed {
    pub(super) fn new(remote: Remote) -> Self {
        Self {
            remote,
            clock: Clock::start(),
            last: None,
        }
    }

    /// The figures between the last reading that succeeded and now; without rates the first time.
    pub(super) async fn next(&mut self) -> anyhow::Result<Figures> {
        let asked = tokio::time::timeout(PATIENCE, self.whole()).await;
        let Ok(now) = asked else {
            bail!(
                "{}: no answer in {} s; is that the gateway's admin address, and is the gateway well?",
                self.remote.name(),
                PATIENCE.as_secs()
            );
        };
        let now = now?;
        let figures = Figures::between(self.last.as_ref(), &now);
        self.last = Some(now);
        Ok(figures)
    }

    /// A reading that is whole, and newer than the last one where there is hope of that.
    async fn whole(&self) -> anyhow::Result<Reading> {
        let mut tries = 0;
        loop {
            tries += 1;
            let now = self.read().await?;
            let is_newer = self.last.as_ref().is_none_or(|last| now.is_newer(last));
            if now.is_whole() && is_newer || tries == TRIES {
                return Ok(now);
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
    }

    async fn read(&self) -> anyhow::Result<Reading> {
        let status = self.remote.whole(Method::GET, "/status", None).await?;
        let at = self.clock.now();
        let metrics = self.remote.whole(Method::GET, "/metrics", None).await?;
        Ok(Reading {
            at,
            unix: self.clock.wall() / 1_000_000,
            status: serde_json::from_slice(&status).with_context(|| {
                let gateway = self.remote.name();
                format!("{gateway}: its /status is not that of a wapbridge of this version")
            })?,
            metrics: Exposition::parse(&String::from_utf8_lossy(&metrics)),
        })
    }
}

/// For an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Shards count once a second, so after these two seconds they hang, and that is shown.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);
/// Seconds: what lies closer together is the same moment, told twice.
const A_MOMENT: f64 = 0.2;
