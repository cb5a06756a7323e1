//! `/livez` and `/readyz`: for whoever decides whether to restart us, or to send handsets elsewhere.
//!
//! `?verbose` shows each check on a line of its own, as Kubernetes does: `[+]` is well, `[!]` wants to be looked
//! at and changes nothing, `[-]` makes the answer 503.

use std::fmt::Write;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::routing::get;

use super::{InForce, Watch};
use crate::server;
use crate::upstream::Condition;

/// What is looked at.
#[derive(Clone)]
pub(super) struct Checks {
    pub(super) watch: Watch,
    pub(super) settings: InForce,
}

/// What became of one look.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Check {
    name: String,
    verdict: Verdict,
    words: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Well,
    Warning,
    Failed,
}

impl Verdict {
    const fn mark(self) -> &'static str {
        match self {
            Self::Well => "[+]",
            Self::Warning => "[!]",
            Self::Failed => "[-]",
        }
    }
}

impl Check {
    fn new(name: impl Into<String>, verdict: Verdict, words: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            verdict,
            words: words.into(),
        }
    }
}

pub(super) fn router(checks: Checks) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(checks)
}

/// Alive is who serves: a shard that hangs does not come back by waiting.
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
    all.extend(checks.certificates());
    answer("readyz", "ready", &all, is_verbose(query.as_deref()))
}

fn is_verbose(query: Option<&str>) -> bool {
    query.is_some_and(|query| {
        query
            .split('&')
            .any(|part| part.split('=').next() == Some("verbose"))
    })
}

fn answer(name: &str, good: &str, checks: &[Check], verbose: bool) -> (StatusCode, String) {
    let failed = checks.iter().find(|check| check.verdict == Verdict::Failed);
    let status = match failed {
        None => StatusCode::OK,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    if !verbose {
        let words = failed.map_or(good, |check| &check.words);
        return (status, format!("{words}\n"));
    }
    let mut text = String::new();
    // Writing to a String cannot fail.
    for Check {
        name,
        verdict,
        words,
    } in checks
    {
        let _ = writeln!(text, "{}{name} {words}", verdict.mark());
    }
    let result = if failed.is_none() { "passed" } else { "failed" };
    let _ = writeln!(text, "{name} check {result}");
    (status, text)
}

impl Checks {
    fn state(&self) -> Check {
        let state = self.watch.control.state();
        let verdict = match state {
            server::State::Running => Verdict::Well,
            server::State::Starting | server::State::Isolated | server::State::Draining => {
                Verdict::Failed
            }
        };
        Check::new("state", verdict, state.name())
    }

    /// Each shard shows itself once a second, if it has time for it.
    fn shards(&self) -> Check {
        let silent: Vec<String> = self
            .watch
            .heartbeats()
            .into_iter()
            .enumerate()
            .filter(|(_, age)| age.is_some_and(|age| age > SILENT))
            .map(|(shard, age)| format!("{shard} for {} s", age.unwrap_or_default().as_secs()))
            .collect();
        if silent.is_empty() {
            Check::new("shards", Verdict::Well, "ok")
        } else {
            let words = format!("silent: {}", silent.join(", "));
            Check::new("shards", Verdict::Failed, words)
        }
    }

    /// An origin that is down is no reason to send handsets elsewhere: it is down from there, too.
    fn targets(&self) -> Vec<Check> {
        let check = |target: &crate::upstream::Health| {
            let verdict = match target.condition {
                Condition::Failing => Verdict::Warning,
                Condition::Unknown | Condition::Answering => Verdict::Well,
            };
            let mut words = target.condition.label().to_owned();
            if let (Verdict::Warning, Some((failure, ago))) = (verdict, target.last_failure) {
                let _ = write!(words, ": {}, {} s ago", failure.label(), ago.as_secs());
            }
            Check::new(format!("target {}", target.host), verdict, words)
        };
        self.watch.targets().iter().map(check).collect()
    }

    fn certificates(&self) -> Vec<Check> {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let settings = self.settings.get();
        let check = |expiry: &crate::upstream::Expiry| {
            let days = (expiry.not_after - now).div_euclid(DAY);
            let (verdict, words) = if expiry.not_after < now {
                (Verdict::Warning, "expired".to_owned())
            } else if days < SOON {
                (Verdict::Warning, format!("expires in {days} days"))
            } else {
                (Verdict::Well, format!("expires in {days} days"))
            };
            let name = format!("certificate {}", expiry.file.display());
            Check::new(name, verdict, words)
        };
        settings.tls.expiries().iter().map(check).collect()
    }
}

/// A shard that has not shown itself for so long hangs.
const SILENT: Duration = Duration::from_secs(10);
/// Days before its end from which on a certificate is warned of.
const SOON: i64 = 21;
const DAY: i64 = 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_shown_and_a_failure_decides() {
        let well = Check::new("state", Verdict::Well, "running");
        let warning = Check::new("target a:1", Verdict::Warning, "failing");
        let failed = Check::new("shards", Verdict::Failed, "silent: 0 for 12 s");
        let (status, text) = answer("readyz", "ready", &[well.clone(), warning.clone()], true);
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            text,
            "[+]state running\n[!]target a:1 failing\nreadyz check passed\n"
        );
        let all = [well, warning, failed];
        let (status, text) = answer("readyz", "ready", &all, true);
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.ends_with("[-]shards silent: 0 for 12 s\nreadyz check failed\n"));
        let (_, text) = answer("readyz", "ready", &all, false);
        assert_eq!(text, "silent: 0 for 12 s\n");
        assert!(is_verbose(Some("verbose")) && is_verbose(Some("a=b&verbose=1")));
        assert!(!is_verbose(Some("verbosely")) && !is_verbose(None));
    }
}
