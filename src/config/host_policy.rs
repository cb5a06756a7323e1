//! The settings of a `[[route]]` for its hosts: `balance`, `affinity`, `slow_start`, `max_requests`,
//! `health_check`, `outlier` and `retry_budget`.

use std::time::Duration;

use http::uri::PathAndQuery;
use serde_json::json;
use toml::de::DeValue;

use super::destination::Leads;
use super::section::Section;
use super::value::{Value, Wrong, integer_or_text, string, words};
use crate::route::{
    Affinity, Balance, Destination, HealthCheck, HostPolicy, NotARange, Outlier, RetryBudget,
    StatusRange,
};

/// Reads how a route treats its hosts.
pub(super) fn read(section: &Section<'_, '_>, leads: Option<&Leads>) -> HostPolicy {
    let check = section.section("health_check");
    let outlier = section.section("outlier");
    let budget = section.section("retry_budget");
    let is_fixed = leads.is_none_or(|leads| is_fixed(&leads.destination));
    for (key, table) in [
        ("health_check", &check),
        ("outlier", &outlier),
        ("retry_budget", &budget),
    ] {
        if let (Some(at), false) = (table.at(), is_fixed) {
            let label = "it is for hosts that the route names";
            let help = format!("name an `upstream`, or remove `{key}`");
            section.invalid(key, at, Wrong::new(label, help));
        }
    }
    let balance = section.spanned::<Balance>("balance");
    // For other routes the key is an error, with any value.
    match (&balance, is_fixed) {
        (Some(balance), false) => {
            let label = "the handset names the host";
            let help = "name an `upstream` with several hosts, or remove `balance`";
            section.invalid("balance", balance.span(), Wrong::new(label, help));
        }
        (None, true) => section.default("balance", &Balance::default()),
        _ => {}
    }
    HostPolicy {
        check: read_check(&check),
        outlier: read_outlier(&outlier),
        max_requests: section.optional("max_requests", 1..=1_000_000),
        balance: balance.map_or_else(Balance::default, toml::Spanned::into_inner),
        weights: leads.map_or_else(Vec::new, |leads| leads.weights.clone()),
        affinity: section.or("affinity", Affinity::default()),
        slow_start: section.within(
            "slow_start",
            Duration::ZERO..=Duration::from_secs(3600),
            Duration::ZERO,
        ),
        retry_budget: read_budget(&budget),
    }
}

fn is_fixed(destination: &Destination) -> bool {
    matches!(destination, Destination::Fixed { .. })
}

fn read_check(section: &Section<'_, '_>) -> Option<HealthCheck> {
    let default = HealthCheck::new(PathAndQuery::from_static("/"));
    let has_path = section.has("path");
    let path = section.get::<PathAndQuery>("path");
    let times = Duration::from_millis(100)..=Duration::from_secs(3600);
    let interval = section.within("interval", times.clone(), default.interval);
    let timeout = section.spanned::<Duration>("timeout");
    let usual = default.timeout.min(interval);
    section.default("timeout", &usual);
    let expect = section.list::<StatusRange>("expect");
    if expect.is_none() {
        section.default("expect", &default.expect);
    }
    let check = HealthCheck {
        path: path.clone().unwrap_or(default.path),
        interval,
        timeout: timeout.as_ref().map_or(usual, |it| *it.get_ref()),
        expect: expect.map_or(default.expect, toml::Spanned::into_inner),
        unhealthy: section.within("unhealthy", 1..=100, default.unhealthy),
        healthy: section.within("healthy", 1..=100, default.healthy),
    };
    if let Some(timeout) = timeout
        && (*timeout.get_ref() > interval || timeout.get_ref().is_zero())
    {
        let label = "a check must end before the next one begins";
        let help = "choose a value from 1ms to `interval`";
        section.invalid("timeout", timeout.span(), Wrong::new(label, help));
    }
    if section.at().is_some() && !has_path {
        let help = "say what to ask for, as in `path = \"/healthz\"`, or remove the section";
        section.missing("`path`", help);
    }
    if path.is_none() {
        section.without_effect();
        return None;
    }
    Some(check)
}

fn read_outlier(section: &Section<'_, '_>) -> Option<Outlier> {
    let default = Outlier::default();
    let times = Duration::from_millis(100)..=Duration::from_secs(24 * 3600);
    let base = section.within("base", times.clone(), default.base);
    let max = section.spanned::<Duration>("max");
    let usual = default.max.max(base);
    section.default("max", &usual);
    let outlier = Outlier {
        consecutive: section.within("consecutive", 1..=10_000, default.consecutive),
        base,
        max: max.as_ref().map_or(usual, |it| *it.get_ref()),
    };
    if let Some(max) = max
        && (*max.get_ref() < base || max.get_ref() > times.end())
    {
        let label = "the longest ejection is no shorter than the first one";
        let help = "choose a value from `base` to 24h";
        section.invalid("max", max.span(), Wrong::new(label, help));
    }
    if section.at().is_none() {
        section.without_effect();
        return None;
    }
    Some(outlier)
}

fn read_budget(section: &Section<'_, '_>) -> Option<RetryBudget> {
    let default = RetryBudget::default();
    let percent = section.within("budget_percent", 0..=100, default.budget_percent);
    let least = default.min_retry_concurrency;
    let budget = RetryBudget {
        budget_percent: percent,
        min_retry_concurrency: section.within("min_retry_concurrency", 0..=1_000_000, least),
    };
    if section.at().is_none() {
        section.without_effect();
        return None;
    }
    Some(budget)
}

words!(
    Balance,
    "\"first\", \"round_robin\" or \"least_outstanding\"",
    Balance::ALL
);
words!(
    Affinity,
    "\"session\", \"address\" or \"none\"",
    Affinity::ALL
);

impl Value for PathAndQuery {
    const EXPECTED: &'static str = "a path such as \"/healthz\"";

    fn show(&self) -> toml::Value {
        string(self.as_str())
    }

    fn schema() -> serde_json::Value {
        super::value::pattern("/.*")
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = super::value::text::<Self>(value)?;
        let path = text.parse().ok();
        path.filter(|_| text.starts_with('/')).ok_or_else(|| {
            let help = "it begins with a slash, has no spaces, and may have a query";
            Wrong::new(format!("expected {}", Self::EXPECTED), help)
        })
    }
}

impl Value for StatusRange {
    const EXPECTED: &'static str = "statuses such as 200, \"2xx\" or \"200-399\"";

    fn show(&self) -> toml::Value {
        string(self.to_string())
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 200, "maximum": 599 },
            super::value::pattern("[2-5]xx|[2-5][0-9]{2}( *- *[2-5][0-9]{2})?"),
        ] })
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        integer_or_text::<Self>(value)?
            .parse()
            .map_err(|error: NotARange| {
                let help = format!("expected {}", Self::EXPECTED);
                Wrong::new(format!("this {error}"), help)
            })
    }
}
