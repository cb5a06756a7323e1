//! `/livez` and `/readyz`: the probes of Kubernetes and of load balancers.
//!
//! `?verbose` lists each check on its own line, as Kubernetes does. `[+]` is a check that passed,
//! `[!]` a warning that leaves the status at 200, `[-]` a failure that makes it 503.

use std::fmt::Write;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::routing::get;

use super::{Collectors, CurrentSettings, ServerHandle};
use crate::server;
use crate::store;
use crate::upstream::{Condition, HostCondition};

/// The sources of the checks.
#[derive(Clone)]
pub(super) struct Checks {
    pub(super) server: ServerHandle,
    pub(super) settings: CurrentSettings,
    pub(super) collectors: Collectors,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Check {
    name: String,
    status: CheckStatus,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CheckStatus {
    Ok,
    Warning,
    Failed,
}

impl CheckStatus {
    const fn mark(self) -> &'static str {
        match self {
            Self::Ok => "[+]",
            Self::Warning => "[!]",
            Self::Failed => "[-]",
        }
    }
}

impl Check {
    fn new(name: impl Into<String>, status: CheckStatus, message: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            status,
            message: message.into(),
        }
    }
}

pub(super) fn router(checks: Checks) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(checks)
}

/// Fails when a shard hangs: only a restart helps then.
async fn livez(State(checks): State<Checks>, RawQuery(query): RawQuery) -> (StatusCode, String) {
    answer(
        "livez",
        "ok",
        &[checks.shards()],
        is_verbose(query.as_deref()),
    )
}

async fn readyz(State(checks): State<Checks>, RawQuery(query): RawQuery) -> (StatusCode, String) {
    let mut all = vec![checks.state(), checks.shards()];
    all.extend(checks.targets());
    all.extend(checks.hosts());
    all.extend(checks.certificates());
    all.extend(checks.store());
    all.extend(checks.tables());
    all.push(verdict(&all));
    answer("readyz", "ready", &all, is_verbose(query.as_deref()))
}

/// The state of the gateway in one word, and why: `running`, `degraded` by the checks that warn, or
/// the message of the check that failed.
fn verdict(checks: &[Check]) -> Check {
    let of = |status| checks.iter().filter(move |check| check.status == status);
    if let Some(failed) = of(CheckStatus::Failed).next() {
        return Check::new("verdict", CheckStatus::Failed, failed.message.clone());
    }
    let warnings: Vec<String> = of(CheckStatus::Warning)
        .map(|check| format!("{} {}", check.name, check.message))
        .collect();
    match warnings.as_slice() {
        [] => Check::new("verdict", CheckStatus::Ok, "running"),
        warnings => {
            let message = format!("degraded: {}", warnings.join("; "));
            Check::new("verdict", CheckStatus::Warning, message)
        }
    }
}

fn is_verbose(query: Option<&str>) -> bool {
    query.is_some_and(|query| {
        query
            .split('&')
            .any(|part| part.split('=').next() == Some("verbose"))
    })
}

fn answer(name: &str, good: &str, checks: &[Check], verbose: bool) -> (StatusCode, String) {
    let failed = checks
        .iter()
        .find(|check| check.status == CheckStatus::Failed);
    let status = match failed {
        None => StatusCode::OK,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    if !verbose {
        let message = failed.map_or(good, |check| &check.message);
        return (status, format!("{message}\n"));
    }
    let mut text = String::new();
    // Writing to a String cannot fail.
    for Check {
        name,
        status,
        message,
    } in checks
    {
        let _ = writeln!(text, "{}{name} {message}", status.mark());
    }
    let result = if failed.is_none() { "passed" } else { "failed" };
    let _ = writeln!(text, "{name} check {result}");
    (status, text)
}

impl Checks {
    fn state(&self) -> Check {
        let state = self.server.control.state();
        let status = match state {
            server::State::Running => CheckStatus::Ok,
            server::State::Starting | server::State::Isolated | server::State::Draining => {
                CheckStatus::Failed
            }
        };
        Check::new("state", status, state.name())
    }

    /// Each shard publishes its counters once a second. One that stops doing so hangs.
    fn shards(&self) -> Check {
        let silent: Vec<String> = self
            .server
            .heartbeats()
            .into_iter()
            .enumerate()
            .filter(|(_, age)| age.is_some_and(|age| age > HEARTBEAT_TIMEOUT))
            .map(|(shard, age)| format!("{shard} for {} s", age.unwrap_or_default().as_secs()))
            .collect();
        if silent.is_empty() {
            Check::new("shards", CheckStatus::Ok, "ok")
        } else {
            let message = format!("silent: {}", silent.join(", "));
            Check::new("shards", CheckStatus::Failed, message)
        }
    }

    /// A failing origin is a warning only: another gateway cannot reach it either.
    fn targets(&self) -> Vec<Check> {
        let check = |target: &crate::upstream::Health| {
            let status = match target.condition {
                Condition::Failing => CheckStatus::Warning,
                Condition::Unknown | Condition::Answering => CheckStatus::Ok,
            };
            let mut message = target.condition.label().to_owned();
            if let (CheckStatus::Warning, Some((failure, ago))) = (status, target.last_failure) {
                let (why, ago) = (failure.label(), ago.as_secs());
                let _ = write!(message, ": {why}, {ago} s ago ({})", failure.remedy());
            }
            Check::new(format!("target {}", target.host), status, message)
        };
        self.server.targets().iter().map(check).collect()
    }

    /// The hosts that are tried last. This is a warning only: others stand in, or are tried all the
    /// same.
    fn hosts(&self) -> Vec<Check> {
        let hosts = self.collectors.snapshot().hosts.into_iter();
        let last = hosts.filter(|host| !host.condition.is_in_service());
        last.map(|host| {
            let name = format!("route {} host {}", host.route, host.host);
            let mut message = host.condition.label().to_owned();
            if let (HostCondition::FailingChecks, Some((_, Some(why)))) =
                (host.condition, host.last_check)
            {
                let _ = write!(message, ": {why}");
            }
            Check::new(name, CheckStatus::Warning, message)
        })
        .collect()
    }

    /// A store that cannot be written is a warning only, unless the configuration requires it:
    /// handsets are served without it.
    fn store(&self) -> Option<Check> {
        let stats = self.collectors.snapshot().store?;
        let settings = self.settings.get();
        let store = settings.store.as_ref();
        let message = match store.is_some_and(|store| store.file().is_none()) {
            true => "does not answer: this node goes on alone; the log says why",
            false => "failing: changes are lost by a restart; the log says why",
        };
        let status = match store.is_some_and(store::Settings::is_required) {
            true => CheckStatus::Failed,
            false => CheckStatus::Warning,
        };
        Some(match stats.failing {
            true => Check::new("store", status, message),
            false => Check::new("store", CheckStatus::Ok, "ok"),
        })
    }

    /// A table that is nearly full will soon refuse handsets.
    fn tables(&self) -> Vec<Check> {
        let snapshot = self.collectors.snapshot();
        let check = |(name, used, limit): (&str, u64, u64)| {
            let percent = used.saturating_mul(100).checked_div(limit).unwrap_or(0);
            let status = match percent {
                0..TABLE_WARNING_PERCENT => CheckStatus::Ok,
                _ => CheckStatus::Warning,
            };
            Check::new(format!("table {name}"), status, format!("{percent} % full"))
        };
        snapshot.tables().into_iter().map(check).collect()
    }

    fn certificates(&self) -> Vec<Check> {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let settings = self.settings.get();
        let check = |expiry: &crate::upstream::Expiry| {
            let days = (expiry.not_after - now).div_euclid(SECONDS_PER_DAY);
            let (status, message) = if expiry.not_after < now {
                (CheckStatus::Warning, "expired".to_owned())
            } else if days < EXPIRY_WARNING_DAYS {
                (CheckStatus::Warning, format!("expires in {days} days"))
            } else {
                (CheckStatus::Ok, format!("expires in {days} days"))
            };
            let name = format!("certificate {}", expiry.file.display());
            Check::new(name, status, message)
        };
        settings.certificates.iter().map(check).collect()
    }
}

/// Age of the last counters from which on a shard is said to hang.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);
/// Days of validity below which a certificate is warned of.
const EXPIRY_WARNING_DAYS: i64 = 21;
/// The fill level of a table above which a warning is given.
const TABLE_WARNING_PERCENT: u64 = 80;
const SECONDS_PER_DAY: i64 = 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_shown_and_a_failure_decides() {
        let ok = Check::new("state", CheckStatus::Ok, "running");
        let warning = Check::new("target a:1", CheckStatus::Warning, "failing");
        let failed = Check::new("shards", CheckStatus::Failed, "silent: 0 for 12 s");
        let (status, text) = answer("readyz", "ready", &[ok.clone(), warning.clone()], true);
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            text,
            "[+]state running\n[!]target a:1 failing\nreadyz check passed\n"
        );
        let all = [ok, warning, failed];
        let (status, text) = answer("readyz", "ready", &all, true);
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.ends_with("[-]shards silent: 0 for 12 s\nreadyz check failed\n"));
        let (_, text) = answer("readyz", "ready", &all, false);
        assert_eq!(text, "silent: 0 for 12 s\n");
        assert_eq!(
            verdict(&all),
            Check::new("verdict", CheckStatus::Failed, "silent: 0 for 12 s")
        );
        let degraded = Check::new(
            "verdict",
            CheckStatus::Warning,
            "degraded: target a:1 failing",
        );
        assert_eq!(verdict(&all[..2]), degraded);
        assert_eq!(
            verdict(&all[..1]),
            Check::new("verdict", CheckStatus::Ok, "running")
        );
        assert!(is_verbose(Some("verbose")) && is_verbose(Some("a=b&verbose=1")));
        assert!(!is_verbose(Some("verbosely")) && !is_verbose(None));
    }
}
