//! `/status`: the state of the gateway as JSON. Names are stable; names may be added.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Collectors, CurrentSettings, ServerHandle};
use crate::server::ShardSnapshot;
use crate::upstream::{Expiry, GroupStatus, Health, HostStatus, Outcome};

/// The sources of the answer.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) server: ServerHandle,
    pub(super) settings: CurrentSettings,
    pub(super) collectors: Collectors,
}

pub(super) fn router(sources: Sources) -> Router {
    Router::new().route("/status", get(status).with_state(sources))
}

#[derive(Debug, Serialize)]
struct Status {
    version: &'static str,
    /// `node` of `[records]`, else the host's name.
    node: String,
    state: &'static str,
    pid: u32,
    /// RFC 3339.
    started: Option<String>,
    uptime_seconds: f64,
    shards: Vec<Shard>,
    tables: BTreeMap<&'static str, Table>,
    routes: Vec<Route>,
    targets: Vec<Target>,
    certificates: Vec<Certificate>,
}

#[derive(Debug, Serialize)]
struct Shard {
    /// Age of its counters, which it publishes once a second; `null` before the first time.
    heartbeat_age_seconds: Option<f64>,
    sessions: u64,
    transactions: u64,
    exchanges: u64,
    datagrams_in: u64,
    datagrams_out: u64,
}

/// A table with a limit, summed over all shards.
#[derive(Debug, Serialize)]
struct Table {
    used: u64,
    limit: u64,
}

#[derive(Debug, Serialize)]
struct Route {
    name: String,
    /// Its conditions and its upstream, as `wapbridge check` prints them.
    rule: String,
    exchanges: u64,
    upstream_errors: u64,
    upstream_seconds: f64,
    /// Its upstream hosts, which `targets` lists.
    hosts: Vec<String>,
    /// The same hosts with their state on this route.
    upstreams: Vec<Upstream>,
    /// The same hosts together; `null` where no host stands in for another.
    group: Option<Group>,
}

/// The hosts of a route together.
#[derive(Debug, Serialize)]
struct Group {
    /// Sessions and addresses whose host is known.
    affinity_entries: u64,
    /// Entries dropped before their time.
    affinity_displaced: u64,
    /// Requests whose host was out of service.
    affinity_moved: u64,
    /// Requests tried at another host after one could not be connected to.
    failovers: u64,
    /// Requests that were not, because of `retry_budget`.
    failovers_refused: u64,
}

/// A host of a route, as all shards see it.
#[derive(Debug, Serialize)]
struct Upstream {
    host: String,
    /// `in_service`, `slow_start`, `on_trial`, `ejected` or `failing_checks`.
    condition: &'static str,
    /// RFC 3339; `null` unless it is ejected.
    ejected_until: Option<String>,
    ejections: u64,
    checks_passed: u64,
    checks_failed: u64,
    last_check_seconds: Option<f64>,
    /// Why the host failed its last check; `null` if it passed.
    last_check_failure: Option<String>,
    /// Requests under way.
    requests: u32,
    /// Requests that found `max_requests` reached.
    busy: u64,
    /// As configured.
    weight: u32,
    /// At the moment, as a share of `weight`: less than 1 during `slow_start`.
    weight_share: f64,
    /// Requests answered with a status below 500.
    answered: u64,
    /// Requests answered with a status of 500 and above.
    server_errors: u64,
    /// Requests without a connection or a whole reply.
    failed: u64,
}

#[derive(Debug, Serialize)]
struct Target {
    host: String,
    /// `unknown`, `answering` or `failing`, by its last request.
    condition: &'static str,
    answered: u64,
    failed: u64,
    last_answer_seconds: Option<f64>,
    last_failure_seconds: Option<f64>,
    /// The failure of the last failed request.
    last_failure: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Certificate {
    file: String,
    subject: String,
    /// `authority`, `client`, `listener`, `wtls` or `wtls_authority`.
    role: &'static str,
    /// RFC 3339.
    not_after: Option<String>,
    days_left: i64,
}

async fn status(State(sources): State<Sources>) -> Json<Status> {
    let settings = sources.settings.get();
    let now = OffsetDateTime::now_utc();
    let snapshot = sources.collectors.snapshot();
    let published = sources.server.published();
    let ages = sources.server.heartbeats();
    let started = snapshot.started.as_secs_f64();
    let routes = settings.routes.iter().map(|route| {
        let stats = snapshot
            .routes
            .get(&route.name)
            .copied()
            .unwrap_or_default();
        Route {
            name: route.name.to_string(),
            rule: route.to_string(),
            exchanges: stats.exchanges,
            upstream_errors: stats.upstream_errors,
            upstream_seconds: stats.upstream_time.as_secs_f64(),
            hosts: route
                .hosts()
                .map(|host| host.authority().to_owned())
                .collect(),
            upstreams: (snapshot.hosts.iter())
                .filter(|host| host.route == route.name)
                .map(|host| Upstream::of(host, now))
                .collect(),
            group: (snapshot.groups.iter())
                .find(|group| group.route == route.name)
                .map(Group::of),
        }
    });
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        node: settings
            .records
            .as_ref()
            .map_or_else(crate::config::host, |records| records.node.clone()),
        state: snapshot.state.name(),
        pid: std::process::id(),
        started: moment(started),
        uptime_seconds: (as_seconds(now) - started).max(0.0),
        shards: published
            .iter()
            .zip(ages)
            .map(|(shown, age)| Shard::of(shown, age))
            .collect(),
        tables: snapshot
            .tables()
            .into_iter()
            .map(|(name, used, limit)| (name, Table { used, limit }))
            .collect(),
        routes: routes.collect(),
        targets: snapshot.targets.iter().map(Target::of).collect(),
        certificates: settings
            .certificates
            .iter()
            .map(|expiry| Certificate::of(expiry, now))
            .collect(),
    })
}

impl Shard {
    fn of(shown: &ShardSnapshot, age: Option<Duration>) -> Self {
        Self {
            heartbeat_age_seconds: age.map(|age| age.as_secs_f64()),
            sessions: shown.stats.sessions,
            transactions: shown.stats.transactions,
            exchanges: shown.stats.exchanges,
            datagrams_in: shown.sockets.received,
            datagrams_out: shown.sockets.sent,
        }
    }
}

impl Target {
    fn of(health: &Health) -> Self {
        Self {
            host: health.host.clone(),
            condition: health.condition.label(),
            answered: health.answered,
            failed: health.failed,
            last_answer_seconds: health.last_answer.map(|ago| ago.as_secs_f64()),
            last_failure_seconds: health.last_failure.map(|(_, ago)| ago.as_secs_f64()),
            last_failure: health.last_failure.map(|(failure, _)| failure.label()),
        }
    }
}

impl Upstream {
    fn of(host: &HostStatus, now: OffsetDateTime) -> Self {
        let last = host.last_check.as_ref();
        Self {
            host: host.host.clone(),
            condition: host.condition.label(),
            ejected_until: host
                .ejected_for
                .and_then(|rest| moment(as_seconds(now) + rest.as_secs_f64())),
            ejections: host.ejections,
            checks_passed: host.checks_passed,
            checks_failed: host.checks_failed,
            last_check_seconds: last.map(|(ago, _)| ago.as_secs_f64()),
            last_check_failure: last.and_then(|(_, why)| why.clone()),
            requests: host.requests,
            busy: host.refused,
            weight: host.weight,
            weight_share: f64::from(host.weight_now) / (1000.0 * f64::from(host.weight)),
            answered: host.count(Outcome::Answered),
            server_errors: host.count(Outcome::ServerError),
            failed: host.count(Outcome::Failed),
        }
    }
}

impl Group {
    const fn of(group: &GroupStatus) -> Self {
        Self {
            affinity_entries: group.affinity_entries,
            affinity_displaced: group.affinity_displaced,
            affinity_moved: group.affinity_moved,
            failovers: group.failovers,
            failovers_refused: group.failovers_refused,
        }
    }
}

impl Certificate {
    fn of(expiry: &Expiry, now: OffsetDateTime) -> Self {
        let at = OffsetDateTime::from_unix_timestamp(expiry.not_after).ok();
        Self {
            file: expiry.file.display().to_string(),
            subject: expiry.subject.clone(),
            role: expiry.role.label(),
            not_after: at.and_then(|at| at.format(&Rfc3339).ok()),
            days_left: (expiry.not_after - now.unix_timestamp()).div_euclid(24 * 3600),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
fn as_seconds(at: OffsetDateTime) -> f64 {
    at.unix_timestamp() as f64
}

/// Seconds since 1970 as RFC 3339.
fn moment(seconds: f64) -> Option<String> {
    let since = time::Duration::checked_seconds_f64(seconds)?;
    let at = OffsetDateTime::UNIX_EPOCH.checked_add(since)?;
    at.replace_nanosecond(0).ok()?.format(&Rfc3339).ok()
}
