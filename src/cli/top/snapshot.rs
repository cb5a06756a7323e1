//! The figures between two readings. An unknown figure, as after a restart, is `None` and not 0.

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::errors::Error;
use super::quantiles::Latency;
use super::rates::{Rates, is_other_process, rounded};
use super::reading::Reading;
use super::rows::{Route, Shard, Target};

/// All figures, as `--json` prints them. Rates are per second; times are in seconds.
#[derive(Debug, Default, Serialize)]
pub(super) struct Snapshot {
    /// RFC 3339.
    pub(super) at: String,
    /// The interval of the rates.
    pub(super) interval_seconds: Option<f64>,
    /// The gateway is another process than a reading ago.
    pub(super) restarted: bool,
    pub(super) version: String,
    pub(super) state: String,
    pub(super) pid: u32,
    pub(super) uptime_seconds: Option<f64>,
    pub(super) exchanges: Exchanges,
    pub(super) sessions: Sessions,
    pub(super) transactions: Transactions,
    pub(super) datagrams: Datagrams,
    pub(super) process: Process,
    pub(super) tables: BTreeMap<String, Table>,
    pub(super) shards: Vec<Shard>,
    pub(super) targets: Vec<Target>,
    pub(super) routes: Vec<Route>,
    /// The most frequent first, then earlier ones.
    pub(super) errors: Vec<Error>,
}

/// Requests, from a handset's first packet to its last acknowledgement.
#[derive(Debug, Default, Serialize)]
pub(super) struct Exchanges {
    pub(super) per_second: Option<f64>,
    /// Taken in, by mode.
    pub(super) connection_mode_per_second: Option<f64>,
    pub(super) connectionless_per_second: Option<f64>,
    pub(super) in_flight: Option<f64>,
    pub(super) at_origins: Option<f64>,
    pub(super) latency_seconds: Option<Latency>,
    pub(super) origin_latency_seconds: Option<Latency>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Sessions {
    pub(super) held: Option<f64>,
    pub(super) connects_per_second: Option<f64>,
    pub(super) resumes_per_second: Option<f64>,
    pub(super) ended_per_second: Option<f64>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Transactions {
    pub(super) held: Option<f64>,
    pub(super) per_second: Option<f64>,
    /// Packets sent again, and packets received again.
    pub(super) retransmissions_per_second: Option<f64>,
    pub(super) duplicates_per_second: Option<f64>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Datagrams {
    pub(super) in_per_second: Option<f64>,
    pub(super) out_per_second: Option<f64>,
    pub(super) bytes_in_per_second: Option<f64>,
    pub(super) bytes_out_per_second: Option<f64>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Process {
    /// Cores in use.
    pub(super) cpu: Option<f64>,
    pub(super) resident_bytes: Option<f64>,
    pub(super) open_files: Option<f64>,
    pub(super) max_files: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Table {
    pub(super) used: u64,
    pub(super) limit: u64,
}

impl Snapshot {
    /// The changes between two readings, and the present values.
    pub(super) fn between(then: Option<&Reading>, now: &Reading) -> Self {
        let restarted = then.is_some_and(|then| is_other_process(then, now));
        let rates = Rates::new(then.filter(|_| !restarted), now);
        let status = &now.status;
        let gauge = |name| now.metrics.sum(name, &[]);
        let tables = status.tables.iter();
        Self {
            at: moment(now.unix),
            interval_seconds: rates.counted.map(|span| rounded(span, 1e3)),
            restarted,
            version: status.version.clone(),
            state: status.state.clone(),
            pid: status.pid,
            uptime_seconds: status.uptime_seconds.map(|uptime| rounded(uptime, 1e2)),
            exchanges: Exchanges::of(&rates),
            sessions: Sessions {
                held: gauge("wapbridge_wsp_sessions"),
                connects_per_second: rates.of("wapbridge_wsp_connects_total", &[]),
                resumes_per_second: rates.of("wapbridge_wsp_resumes_total", &[]),
                ended_per_second: rates.of("wapbridge_wsp_sessions_ended_total", &[]),
            },
            transactions: Transactions {
                held: gauge("wapbridge_wtp_transactions"),
                per_second: rates.of("wapbridge_wtp_transactions_total", &[]),
                retransmissions_per_second: rates.of("wapbridge_wtp_retransmissions_total", &[]),
                duplicates_per_second: rates.of("wapbridge_wtp_duplicates_total", &[]),
            },
            datagrams: Datagrams::of(&rates),
            process: Process {
                cpu: rates.cpu("process_cpu_seconds_total", &[]),
                resident_bytes: gauge("process_resident_memory_bytes"),
                open_files: gauge("process_open_fds"),
                max_files: gauge("process_max_fds"),
            },
            tables: tables
                .map(|(name, table)| {
                    let (used, limit) = (table.used, table.limit);
                    (name.clone(), Table { used, limit })
                })
                .collect(),
            shards: rates.shards(),
            targets: rates.targets(),
            routes: rates.routes(),
            errors: Error::all(&rates),
        }
    }
}

impl Exchanges {
    fn of(rates: &Rates<'_>) -> Self {
        let gauge = |name| rates.now.metrics.sum(name, &[]);
        let latency = |name| Latency::between(&rates.then?.metrics, &rates.now.metrics, name);
        Self {
            per_second: rates.of("wapbridge_exchanges_ended_total", &[]),
            connection_mode_per_second: rates.of("wapbridge_wsp_methods_total", &[]),
            connectionless_per_second: rates.of("wapbridge_connectionless_methods_total", &[]),
            in_flight: gauge("wapbridge_exchanges"),
            at_origins: gauge("wapbridge_upstream_in_flight"),
            latency_seconds: latency("wapbridge_exchange_duration_seconds"),
            origin_latency_seconds: latency("wapbridge_exchange_upstream_seconds"),
        }
    }
}

impl Datagrams {
    fn of(rates: &Rates<'_>) -> Self {
        let datagrams =
            |direction| rates.of("wapbridge_datagrams_total", &[("direction", direction)]);
        let octets = |direction| {
            rates.of(
                "wapbridge_datagram_bytes_total",
                &[("direction", direction)],
            )
        };
        Self {
            in_per_second: datagrams("in"),
            out_per_second: datagrams("out"),
            bytes_in_per_second: octets("in"),
            bytes_out_per_second: octets("out"),
        }
    }
}

fn moment(unix: u64) -> String {
    let at = i64::try_from(unix)
        .ok()
        .and_then(|unix| OffsetDateTime::from_unix_timestamp(unix).ok());
    at.and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::admin::families::families;
    use crate::cli::top::exposition::Exposition;
    use crate::time::Instant;

    /// What a gateway of two shards says so many seconds after it started, if everything goes on as
    /// it began; what it shows was counted half a second ago.
    pub(in crate::cli::top) fn reading(pid: u32, uptime: u64) -> Reading {
        let counted = uptime * 10 - 5;
        let times = |each_second: u64| counted * each_second / 10;
        let shard = |share: u64| {
            serde_json::json!({
                "heartbeat_age_seconds": 0.5, "sessions": 30, "transactions": 4, "exchanges": 2,
                "datagrams_in": times(100 * share), "datagrams_out": times(100 * share),
            })
        };
        let status = serde_json::json!({
            "version": "0.1.0", "state": "running", "pid": pid, "uptime_seconds": uptime,
            "shards": [shard(1), shard(3)],
            "tables": {
                "sessions": {"used": 60, "limit": 1000}, "exchange_bytes": {"used": 900 << 20, "limit": 1 << 30}
            },
            "routes": [{
                "name": "contacts", "exchanges": times(40), "upstream_errors": times(2),
                "upstream_seconds": times(40) as f64 * 0.005
            }],
            "targets": [
                {"host": "a.example:443", "condition": "failing", "answered": times(38), "failed": times(2),
                 "last_failure_seconds": 3.5, "last_failure": "connect_refused"},
                {"host": "b.example:443", "condition": "unknown", "answered": 0, "failed": 0,
                 "last_failure_seconds": null, "last_failure": null}
            ],
            "more": "than we know",
        });
        let cpu = uptime as f64 * 0.4;
        let (datagrams, exchanges, good) = (times(400), times(40), times(39));
        let (problems, unacknowledged, octets) = (times(2), times(1), times(40_000));
        Reading {
            at: Instant::ZERO + Duration::from_secs(1000 + uptime),
            unix: 1_800_000_000 + uptime,
            status: serde_json::from_value(status).unwrap(),
            metrics: Exposition::parse(&format!(
                "wapbridge_datagrams_total{{direction=\"in\"}} {datagrams}\n\
                 wapbridge_datagrams_total{{direction=\"out\"}} {datagrams}\n\
                 wapbridge_datagram_bytes_total{{direction=\"in\"}} {octets}\n\
                 wapbridge_datagram_bytes_total{{direction=\"out\"}} {octets}\n\
                 wapbridge_exchanges_ended_total{{ending=\"acknowledged\"}} {good}\n\
                 wapbridge_exchanges_ended_total{{ending=\"unacknowledged\"}} {unacknowledged}\n\
                 wapbridge_exchanges_ended_total{{ending=\"aborted\"}} 0\n\
                 wapbridge_problems_total{{problem=\"no_route\"}} 500\n\
                 wapbridge_problems_total{{problem=\"upstream_connect\"}} {problems}\n\
                 wapbridge_wtp_malformed_total 0\nwapbridge_wtp_retransmissions_total {problems}\n\
                 wapbridge_wsp_sessions 60\nprocess_cpu_seconds_total {cpu}\n\
                 wapbridge_shard_cpu_seconds_total{{shard=\"0\"}} {cpu}\n\
                 wapbridge_exchange_duration_seconds_bucket{{le=\"0.01\"}} {exchanges}\n\
                 wapbridge_exchange_duration_seconds_bucket{{le=\"+Inf\"}} {exchanges}\n\
                 wapbridge_exchange_duration_seconds_sum {}\n",
                exchanges as f64 * 0.004,
            )),
        }
    }

    fn is(shown: Option<f64>, wanted: f64) {
        assert!((shown.unwrap() - wanted).abs() < 1e-3, "{shown:?} {wanted}");
    }

    #[test]
    fn rates_are_about_the_time_between_two_countings() {
        let (then, mut now) = (reading(7, 100), reading(7, 110));
        // A second later, without a new count.
        now.at += Duration::from_secs(1);
        for shard in &mut now.status.shards {
            shard.heartbeat_age_seconds = Some(1.5);
        }
        let snapshot = Snapshot::between(Some(&then), &now);
        assert!(!snapshot.restarted);
        is(snapshot.interval_seconds, 10.0);
        is(snapshot.exchanges.per_second, 40.0);
        is(snapshot.datagrams.bytes_in_per_second, 40_000.0);
        is(snapshot.transactions.retransmissions_per_second, 2.0);
        is(snapshot.sessions.held, 60.0);
        // Figures that are missing.
        assert_eq!(snapshot.sessions.connects_per_second, None);
        is(snapshot.process.cpu, 0.4 * 10.0 / 11.0);
        is(snapshot.shards[1].datagrams_in_per_second, 300.0);
        is(snapshot.shards[0].cpu, 0.4 * 10.0 / 11.0);
        assert_eq!(snapshot.shards[1].cpu, None);
        is(snapshot.targets[0].failed_per_second, 2.0);
        is(snapshot.targets[1].answered_per_second, 0.0);
        is(snapshot.routes[0].upstream_mean_seconds, 0.005);
        // A gateway that says nothing of hosts on routes has hosts in service.
        assert_eq!(snapshot.targets[0].condition, "failing");
        let host = serde_json::json!({"host": "a.example:443", "condition": "ejected"});
        now.status.routes[0].upstreams = vec![serde_json::from_value(host).unwrap()];
        let conditions = Snapshot::between(Some(&then), &now).targets;
        assert_eq!(conditions[0].condition, "ejected");
        assert_eq!(conditions[1].condition, "unknown");
        let latency = snapshot.exchanges.latency_seconds.unwrap();
        is(Some(latency.p50), 0.005);
        is(Some(latency.mean), 0.004);
        assert_eq!(snapshot.exchanges.origin_latency_seconds, None);
    }

    #[test]
    fn a_shard_that_hangs_does_not_make_the_others_fast() {
        let (then, mut now) = (reading(7, 100), reading(7, 110));
        now.status.shards[0].heartbeat_age_seconds = Some(10.5);
        let snapshot = Snapshot::between(Some(&then), &now);
        is(snapshot.interval_seconds, 10.0);
        is(snapshot.exchanges.per_second, 40.0);
        assert_eq!(snapshot.shards[0].datagrams_in_per_second, None);
        is(snapshot.shards[1].datagrams_in_per_second, 300.0);
    }

    #[test]
    fn errors_are_told_by_cause_with_those_of_now_first() {
        let snapshot = Snapshot::between(Some(&reading(7, 100)), &reading(7, 110));
        let told = snapshot.errors.iter().map(|error| {
            let cause = error.cause.as_deref().unwrap();
            (cause, error.per_second.unwrap())
        });
        let wanted = [
            ("upstream_connect", 2.0),
            ("unacknowledged", 1.0),
            ("no_route", 0.0),
        ];
        assert_eq!(told.collect::<Vec<_>>(), wanted);
        is(Some(snapshot.errors[2].total), 500.0);
    }

    #[test]
    fn after_a_restart_or_at_the_beginning_there_are_no_rates() {
        let now = reading(8, 1);
        // Another process, or in a container the same number for a younger one.
        for then in [Some(reading(7, 100)), Some(reading(8, 100)), None] {
            let mut now = now.clone();
            if let Some(then) = &then {
                now.at = then.at + Duration::from_secs(2);
            }
            let snapshot = Snapshot::between(then.as_ref(), &now);
            assert_eq!(snapshot.restarted, then.is_some());
            assert_eq!(snapshot.exchanges.per_second, None);
            assert_eq!(snapshot.exchanges.latency_seconds, None);
            assert_eq!(snapshot.shards[0].datagrams_in_per_second, None);
            assert_eq!(snapshot.targets[0].failed_per_second, None);
            is(snapshot.sessions.held, 60.0);
            assert!(
                snapshot
                    .errors
                    .iter()
                    .all(|error| error.per_second.is_none())
            );
        }
    }

    #[test]
    fn a_counter_that_went_back_has_no_rate() {
        // A reload restarts the counts of new targets and routes.
        let (then, mut now) = (reading(7, 100), reading(7, 110));
        now.status.targets[0].answered = 3;
        now.status.routes[0].exchanges = 3;
        let snapshot = Snapshot::between(Some(&then), &now);
        assert_eq!(snapshot.targets[0].answered_per_second, None);
        assert_eq!(snapshot.routes[0].exchanges_per_second, None);
        assert_eq!(snapshot.routes[0].upstream_mean_seconds, None);
        is(snapshot.exchanges.per_second, 40.0);
    }

    #[test]
    fn every_metric_that_is_read_is_there() {
        let families = families();
        let sources = [
            include_str!("snapshot.rs"),
            include_str!("rates.rs"),
            include_str!("rows.rs"),
            include_str!("errors.rs"),
        ];
        let quoted = sources.iter().flat_map(|source| {
            let source = source.split("#[cfg(test)]").next().unwrap();
            source.split('"').skip(1).step_by(2)
        });
        let is_metric =
            |word: &&str| word.starts_with("wapbridge_") || word.starts_with("process_");
        let mut seen = 0;
        for name in quoted.filter(is_metric) {
            assert!(families.iter().any(|family| family.name == name), "{name}");
            seen += 1;
        }
        assert!(seen > 30, "{seen}");
    }
}
