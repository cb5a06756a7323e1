//! A snapshot of all counters of the process, read by `/metrics` and `/status`.
//!
//! A component with counters has a field in [`Snapshot`], rows in `metrics/table.rs`, and a
//! collector that fills the field ([`Collectors::register`]).

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::refusals::{Refusal, Refusals};
use crate::gateway::{self, Stats, directory};
use crate::record::charging::Counts;
use crate::record::spans::ExportCounts;
use crate::server::{
    HttpRefusal, Known, ObexRefusal, PushCounts, RouteStats, SocketStats, State, TcpCounts,
};
use crate::smsc;
use crate::store;
use crate::upstream::{Expiry, GroupStatus, Health, HostStatus, Role};

/// All counters at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The state of the gateway.
    pub state: State,
    /// Counters of the cores.
    pub stats: Stats,
    /// Counters of the shards' sockets.
    pub sockets: SocketStats,
    /// Counters of the routes, by name.
    pub routes: BTreeMap<Arc<str>, RouteStats>,
    /// Measurements missing in the histograms.
    pub measurements_lost: u64,
    /// Counters of the session directory; one shard without a store has none.
    pub directory: Option<directory::Stats>,
    /// Counters of the store, if there is one.
    pub store: Option<store::Stats>,
    /// The hosts that routes name.
    pub targets: Vec<Health>,
    /// The same hosts on each route, as all shards see them.
    pub hosts: Vec<HostStatus>,
    /// Of each route the hosts together.
    pub groups: Vec<GroupStatus>,
    /// The certificates that the configuration names.
    pub certificates: Vec<Expiry>,
    /// Counters of subscribers and RADIUS.
    pub known: Known,
    /// The SMS centres.
    pub smsc: Vec<smsc::Status>,
    /// Log lines lost.
    pub log_lines_lost: u64,
    /// Counters of charging records, if they are kept.
    pub records: Option<Counts>,
    /// Counters of the export of spans, if there is one.
    pub spans: Option<ExportCounts>,
    /// Counters of the HTTP port, if there is one.
    pub http: Option<TcpCounts>,
    /// Counters of the OBEX port, if there is one.
    pub obex: Option<TcpCounts>,
    /// Counters of pushes, if there are push initiators.
    pub pushes: Option<PushCounts>,
    /// The limits of tables, of all shards together.
    pub(super) limits: TableLimits,
    /// The start of the process, since 1970.
    pub(super) started: Duration,
    /// Processor time of each shard's thread.
    pub(super) shard_cpu: Vec<(String, Duration)>,
    /// Running traces.
    pub(super) traces: u64,
    /// Refusals of the admin port.
    pub(super) refused: Vec<(Refusal, u64)>,
}

impl Snapshot {
    /// A snapshot with a value for every metric, all 0. Names from the configuration are
    /// [`CONFIGURED`].
    #[must_use]
    pub(super) fn example() -> Self {
        let certificate = |role| Expiry {
            file: CONFIGURED.into(),
            subject: String::new(),
            role,
            not_after: 0,
        };
        Self {
            routes: BTreeMap::from([(CONFIGURED.into(), RouteStats::default())]),
            certificates: Role::ALL.map(certificate).to_vec(),
            records: Some(Counts::default()),
            spans: Some(ExportCounts::default()),
            http: Some(TcpCounts::none::<HttpRefusal>()),
            obex: Some(TcpCounts::none::<ObexRefusal>()),
            pushes: Some(PushCounts::default()),
            directory: Some(directory::Stats::default()),
            store: Some(store::Stats::default()),
            targets: vec![Health::unknown(CONFIGURED)],
            hosts: vec![HostStatus::new(CONFIGURED, CONFIGURED)],
            groups: vec![GroupStatus::new(CONFIGURED)],
            smsc: vec![smsc::Status {
                name: CONFIGURED.into(),
                bound: false,
                counts: smsc::Counts::default(),
            }],
            shard_cpu: vec![(CONFIGURED.to_owned(), Duration::ZERO)],
            refused: Refusals::default().iter().collect(),
            ..Self::default()
        }
    }

    /// Each limited table: its name, its entries and its limit.
    pub(super) fn tables(&self) -> [(&'static str, u64, u64); 8] {
        let (stats, limits) = (&self.stats, &self.limits);
        [
            ("sessions", stats.sessions, limits.sessions),
            ("transactions", stats.transactions, limits.transactions),
            ("upstream_in_flight", stats.in_flight, limits.in_flight),
            (
                "exchange_bytes",
                stats.exchange_octets,
                limits.exchange_octets,
            ),
            ("early_methods", stats.early, limits.early),
            ("claims", stats.open_claims, limits.claims),
            ("watched_addresses", stats.watched_addresses, limits.watched),
            (
                "upstream_connections",
                self.sockets.upstream.connections,
                self.sockets.upstream.max_connections,
            ),
        ]
    }

    /// The first end, in seconds since 1970, of the certificates of each file and role.
    pub(super) fn certificates_by_file(&self) -> BTreeMap<(String, &'static str), u64> {
        let mut first = BTreeMap::new();
        for expiry in &self.certificates {
            let key = (expiry.file.display().to_string(), expiry.role.label());
            let end = u64::try_from(expiry.not_after).unwrap_or(0);
            let known = first.entry(key).or_insert(end);
            *known = end.min(*known);
        }
        first
    }
}

/// The limits of tables, of all shards together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TableLimits {
    sessions: u64,
    transactions: u64,
    in_flight: u64,
    exchange_octets: u64,
    early: u64,
    claims: u64,
    watched: u64,
}

impl TableLimits {
    /// The limits of a configuration with this number of shards.
    pub(super) fn new(config: &gateway::Config, shards: usize) -> Self {
        let per_shard = |limit: usize| (shards * limit) as u64;
        Self {
            sessions: config.wsp.max_sessions as u64,
            transactions: config.wtp.max_transactions as u64,
            in_flight: config.limits.max_exchanges as u64,
            exchange_octets: config.limits.max_octets as u64,
            early: per_shard(config.wsp.max_early),
            claims: per_shard(config.wsp.max_claims),
            watched: per_shard(config.protection.max_addresses),
        }
    }
}

/// Stands for a name from the configuration.
pub(super) const CONFIGURED: &str = "\u{2026}";

type Collector = Box<dyn Fn(&mut Snapshot) + Send + Sync>;

/// The collectors that fill a snapshot. Clones share them.
#[derive(Clone, Default)]
pub struct Collectors(Arc<RwLock<Vec<Collector>>>);

impl Collectors {
    /// Adds a collector, which fills its part of every snapshot. It must not wait.
    pub fn register(&self, collector: impl Fn(&mut Snapshot) + Send + Sync + 'static) {
        let mut collectors = self.0.write().unwrap_or_else(PoisonError::into_inner);
        collectors.push(Box::new(collector));
    }

    /// The counters now. Those of the shards are up to a second old.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for collector in self.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            collector(&mut snapshot);
        }
        snapshot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_collector_fills_its_part() {
        let collectors = Collectors::default();
        collectors.register(|snapshot| snapshot.state = State::Running);
        collectors
            .clone()
            .register(|snapshot| snapshot.stats.sessions = 7);
        let now = collectors.snapshot();
        assert_eq!((now.state, now.stats.sessions), (State::Running, 7));
    }
}
