//! The names of what is counted of subscribers and of RADIUS accounting.

use super::metrics::Sample;
use crate::server::Known;

/// Every number of them, named.
pub(super) fn samples(known: &Known) -> Vec<Sample> {
    let (directory, server) = (&known.directory, &known.server);
    let entries = |source, value| {
        Sample::gauge(
            "wapbridge_identity_entries",
            "Addresses configured, and accounting sessions held, whose subscriber is known.",
            value,
        )
        .label("source", source)
    };
    let ended = |how, value| {
        Sample::counter(
            "wapbridge_identity_sessions_ended_total",
            "Accounting sessions that are over.",
            value,
        )
        .label("how", how)
    };
    let requests = |kind, value| {
        Sample::counter(
            "wapbridge_radius_requests_total",
            "Accounting requests obeyed, by what they report.",
            value,
        )
        .label("kind", kind)
    };
    let dropped = |reason, value| {
        Sample::counter(
            "wapbridge_radius_dropped_total",
            "Datagrams on the accounting port that were not answered.",
            value,
        )
        .label("reason", reason)
    };
    vec![
        entries("configured", known.configured),
        entries("radius", known.sessions),
        Sample::counter(
            "wapbridge_identity_sessions_total",
            "Accounting sessions begun.",
            directory.started,
        ),
        ended("stopped", directory.stopped),
        ended("cleared", directory.cleared),
        ended("expired", directory.expired),
        Sample::counter(
            "wapbridge_identity_taken_over_total",
            "Addresses given to another accounting session before the Stop of the first came.",
            directory.taken_over,
        ),
        Sample::counter(
            "wapbridge_identity_stale_total",
            "Accounting reports that came too late to be true.",
            directory.stale,
        ),
        requests("start", server.starts),
        requests("interim", server.interims),
        requests("stop", server.stops),
        requests("other", server.others),
        Sample::counter(
            "wapbridge_radius_duplicates_total",
            "Accounting requests that were repeated.",
            server.duplicates,
        ),
        Sample::counter(
            "wapbridge_radius_responses_total",
            "Accounting requests answered.",
            server.responses,
        ),
        dropped("unknown_client", server.unknown_clients),
        dropped("unsigned", server.unsigned),
        dropped("malformed", server.malformed),
        dropped("incomplete", server.incomplete),
        dropped("full", server.full),
        dropped("congested", server.congested),
        Sample::counter(
            "wapbridge_radius_forwarded_total",
            "Accounting requests passed on to other servers.",
            server.forwarded,
        ),
        Sample::counter(
            "wapbridge_radius_forward_unanswered_total",
            "Accounting requests passed on that no server answered in time.",
            server.unanswered,
        ),
        Sample::counter(
            "wapbridge_radius_forward_strays_total",
            "Answers of other servers to nothing that was asked, or wrongly signed.",
            server.strays,
        ),
    ]
}
