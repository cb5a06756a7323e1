//! The names of what the shards measure: durations, sizes, routes and their targets.

use super::metrics::Sample;
use crate::server::{Histogram, Measures};
use crate::upstream::{Condition, Health};

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
