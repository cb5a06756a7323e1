//! Errors by cause.

use serde::Serialize;

use super::rates::Rates;

/// A kind of error, with its number since the gateway started.
#[derive(Debug, Serialize)]
pub(super) struct Error {
    pub(super) metric: &'static str,
    /// The value of its label.
    pub(super) cause: Option<String>,
    #[serde(skip)]
    pub(super) words: &'static str,
    pub(super) per_second: Option<f64>,
    pub(super) total: f64,
}

impl Error {
    /// The errors that occurred: the most frequent first, then by number.
    pub(super) fn all(rates: &Rates<'_>) -> Vec<Self> {
        let mut found = Vec::new();
        for (metric, label, words) in ERRORS {
            for number in rates.now.metrics.of(metric) {
                let cause = number.label(label);
                if number.value == 0.0 || cause.is_some_and(|cause| GOOD.contains(&cause)) {
                    continue;
                }
                let labels: Vec<(&str, &str)> =
                    cause.map(|cause| (*label, cause)).into_iter().collect();
                found.push(Self {
                    metric,
                    cause: cause.map(str::to_owned),
                    words,
                    per_second: rates.of(metric, &labels),
                    total: number.value,
                });
            }
        }
        let order = |error: &Self| (error.per_second.unwrap_or(0.0), error.total);
        found.sort_by(|one, other| {
            let ((rate, total), (other_rate, other_total)) = (order(one), order(other));
            other_rate
                .total_cmp(&rate)
                .then(other_total.total_cmp(&total))
        });
        found
    }
}

/// The metrics of errors: the metric, its label with the cause if there is one, and the name on
/// screen.
const ERRORS: &[(&str, &str, &str)] = &[
    (
        "wapbridge_problems_total",
        "problem",
        "answered by the gateway",
    ),
    ("wapbridge_exchanges_ended_total", "ending", "exchange"),
    (
        "wapbridge_wsp_connects_refused_total",
        "",
        "Connect refused",
    ),
    ("wapbridge_wsp_refused_total", "reason", "WSP aborted"),
    ("wapbridge_wtp_refused_total", "limit", "WTP limit"),
    ("wapbridge_wtp_malformed_total", "", "malformed PDU"),
    (
        "wapbridge_wtp_unanswered_total",
        "",
        "handset never answered",
    ),
    (
        "wapbridge_wtp_abandoned_total",
        "",
        "message never became whole",
    ),
    (
        "wapbridge_connectionless_dropped_total",
        "reason",
        "connectionless dropped",
    ),
    ("wapbridge_protection_refused_total", "reason", "protection"),
    (
        "wapbridge_protection_unsent_total",
        "",
        "protection: would amplify",
    ),
    (
        "wapbridge_send_errors_total",
        "",
        "datagram the system refused",
    ),
    (
        "wapbridge_send_too_large_total",
        "",
        "datagram too large for the path",
    ),
    ("wapbridge_untold_total", "", "change of a session lost"),
    ("wapbridge_store_errors_total", "", "store failed"),
    ("wapbridge_log_lines_lost_total", "", "log line lost"),
    ("wapbridge_records_lost_total", "", "charging record lost"),
    (
        "wapbridge_spans_dropped_total",
        "reason",
        "exchange without spans",
    ),
];
/// A label's value that is no error.
const GOOD: &[&str] = &["acknowledged"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::families::families;

    #[test]
    fn every_error_is_a_metric_that_is_there() {
        let families = families();
        for (metric, label, _) in ERRORS {
            let family = families.iter().find(|family| family.name == *metric);
            let family = family.unwrap_or_else(|| panic!("{metric}"));
            let labels: Vec<&str> = family.labels.keys().copied().collect();
            let wanted: Vec<&str> = Some(*label)
                .filter(|label| !label.is_empty())
                .into_iter()
                .collect();
            assert_eq!(labels, wanted, "{metric}");
        }
    }
}
