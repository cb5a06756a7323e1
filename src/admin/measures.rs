//! The names of what the shards measure: durations, sizes, routes and their targets.

use std::collections::BTreeMap;

use super::metrics::Sample;
use crate::server::{Histogram, Measures};
use crate::upstream::{Condition, Expiry, Health};

/// What exchanges took, and what came to each route.
pub(super) fn exchanges(measures: &Measures, all: &mut Vec<Sample>) {
    let histograms: [(&str, &str, &Histogram); 6] = [
        (
            "wapbridge_exchange_duration_seconds",
            "From an exchange's first packet to its end.",
            &measures.total,
        ),
        (
            "wapbridge_exchange_air_in_seconds",
            "From a request's first packet to its last.",
            &measures.air_in,
        ),
        (
            "wapbridge_exchange_upstream_seconds",
            "Time spent waiting for the origin.",
            &measures.upstream,
        ),
        (
            "wapbridge_exchange_air_out_seconds",
            "From a reply's being ready to the handset's acknowledgement.",
            &measures.air_out,
        ),
        (
            "wapbridge_exchange_request_bytes",
            "Octets of request bodies.",
            &measures.requests,
        ),
        (
            "wapbridge_exchange_reply_bytes",
            "Octets of reply bodies.",
            &measures.replies,
        ),
    ];
    all.extend(histograms.map(|(name, help, histogram)| Sample::histogram(name, help, histogram)));
    for (route, measured) in &measures.routes {
        let route = |sample: Sample| sample.label("route", route.to_string());
        all.extend([
            route(Sample::counter(
                "wapbridge_route_exchanges_total",
                "Exchanges over, by route.",
                measured.exchanges,
            )),
            route(Sample::counter(
                "wapbridge_route_upstream_errors_total",
                "Exchanges whose origin could not be reached or gave nothing of use, by route.",
                measured.upstream_errors,
            )),
            route(Sample::seconds_counter(
                "wapbridge_route_upstream_seconds_total",
                "Time spent waiting for origins, by route.",
                std::time::Duration::from_micros(measured.upstream_micros).as_secs_f64(),
            )),
        ]);
    }
}

/// When the certificates end that the configuration names: of each file the one that ends first.
pub(super) fn certificates(expiries: &[Expiry], all: &mut Vec<Sample>) {
    let mut first = BTreeMap::new();
    for expiry in expiries {
        let place = (expiry.file.display().to_string(), expiry.role.label());
        let end = first.entry(place).or_insert(expiry.not_after);
        *end = expiry.not_after.min(*end);
    }
    for ((file, role), end) in first {
        let end = u64::try_from(end).unwrap_or(0);
        let name = "wapbridge_certificate_expiry_timestamp_seconds";
        let help = "When the first certificate of a file ends, in seconds since 1970.";
        let sample = Sample::gauge(name, help, end);
        all.push(sample.label("file", file).label("role", role));
    }
}

/// How the hosts that routes name are doing, over all shards.
pub(super) fn targets(health: &[Health], all: &mut Vec<Sample>) {
    for target in health {
        let host = |sample: Sample| sample.label("host", target.host.clone());
        let requests = |outcome: &'static str, count| {
            host(Sample::counter(
                "wapbridge_target_requests_total",
                "Requests to each host that routes name.",
                count,
            ))
            .label("outcome", outcome)
        };
        all.extend([
            host(Sample::gauge(
                "wapbridge_target_up",
                "0 if the last request to the host failed, else 1.",
                u64::from(target.condition != Condition::Failing),
            )),
            requests("answered", target.answered),
            requests("failed", target.failed),
        ]);
    }
}
