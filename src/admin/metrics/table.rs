//! The table of all metrics.
//!
//! To add a counter, add a row. Names begin with `wapbridge_`, units are base units. The names and
//! labels are stable: `fixtures/metrics.txt` lists them, and a test compares.

use std::time::Duration;

use super::row::Read::{By, Each, EachSeconds, Observed, One, Optional, Process};
use super::row::{Metric, counter, gauge, histogram};
use crate::push::pap::MessageState;
use crate::server::State;
use crate::smsc;
use crate::syncml::Encoding;
use crate::upstream::{Condition, HostCondition, Outcome};

/// Every metric, in the order of the documentation.
#[rustfmt::skip]
pub(in crate::admin) const METRICS: &[Metric] = &[
    gauge("wapbridge_build_info", "Always 1; the label tells the version.", &["version"],
        Each(|_, add| add(&[env!("CARGO_PKG_VERSION")], 1))),
    gauge("wapbridge_state", "The state of the gateway: 1 for the present one, 0 for the others.",
        &["state"], Each(|s, add| {
            for state in State::ALL {
                add(&[state.name()], u64::from(state == s.state));
            }
        })),

    // Sockets.
    counter("wapbridge_datagrams_total", "Datagrams on the handsets' side.", &["direction"], By(&[
        ("in", |s| s.sockets.received),
        ("out", |s| s.sockets.sent),
    ])),
    counter("wapbridge_datagrams_discarded_total",
        "Datagrams discarded because they came before every socket was bound.", &[],
        One(|s| s.sockets.discarded)),
    counter("wapbridge_datagram_bytes_total", "Octets in datagrams on the handsets' side.",
        &["direction"], By(&[
            ("in", |s| s.sockets.received_octets),
            ("out", |s| s.sockets.sent_octets),
        ])),
    counter("wapbridge_send_errors_total", "Datagrams the system refused to send.", &[],
        One(|s| s.sockets.send_errors)),
    counter("wapbridge_send_too_large_total", "Datagrams too large for the path.", &[],
        One(|s| s.sockets.too_large)),
    counter("wapbridge_send_blocked_total", "Times sending waited for a full socket.", &[],
        One(|s| s.sockets.blocked)),
    counter("wapbridge_untold_total",
        "Claims and session changes lost because the queue to the directory or the store was full.",
        &[], One(|s| s.sockets.untold)),
    counter("wapbridge_upstream_retries_total",
        "Requests sent to an origin again: not processed by it, or of an idempotent method.",
        &["reason"], Each(|s, add| {
            s.sockets.upstream.retries.iter().for_each(|(reason, count)| add(&[reason], count));
        })),
    counter("wapbridge_upstream_connections_waited_total",
        "Connections to origins that had to wait because of their limit, of all or of one origin.",
        &[], One(|s| s.sockets.upstream.connections_waited)),
    counter("wapbridge_upstream_skipped_lines_total",
        "Lines of reply heads that are no header fields and were skipped.", &[],
        One(|s| s.sockets.upstream.skipped_lines)),

    // WTLS.
    gauge("wapbridge_wtls_connections", "Secure connections held.", &[],
        One(|s| s.sockets.secure.connections)),
    gauge("wapbridge_wtls_handshakes", "Handshakes under way.", &[],
        One(|s| s.sockets.secure.handshakes)),
    gauge("wapbridge_wtls_sessions",
        "Sessions that can be resumed; each shard knows all of them.", &[],
        One(|s| s.sockets.secure.sessions)),
    counter("wapbridge_wtls_handshakes_total", "Handshakes that ended.", &["result"], By(&[
        ("full", |s| s.sockets.secure.full),
        ("abbreviated", |s| s.sockets.secure.abbreviated),
        ("failed", |s| s.sockets.secure.failed),
        ("timed_out", |s| s.sockets.secure.timed_out),
        ("refused", |s| s.sockets.secure.refused),
        ("key_operations", |s| s.sockets.secure.key_operations_refused),
    ])),
    counter("wapbridge_wtls_records_total", "Records of user data and of connections.",
        &["direction"], By(&[
            ("in", |s| s.sockets.secure.opened),
            ("out", |s| s.sockets.secure.sealed),
        ])),
    counter("wapbridge_wtls_dropped_total", "What came to the secure ports and was dropped.",
        &["reason"], By(&[
            ("malformed", |s| s.sockets.secure.malformed),
            ("replayed", |s| s.sockets.secure.replayed),
            ("bad", |s| s.sockets.secure.bad),
            ("unexpected", |s| s.sockets.secure.unexpected),
            ("no_connection", |s| s.sockets.secure.unknown),
            ("alert_checksum", |s| s.sockets.secure.alerts_ignored),
        ])),
    counter("wapbridge_wtls_alerts_total", "Alerts.", &["direction"], By(&[
        ("in", |s| s.sockets.secure.alerts_received),
        ("out", |s| s.sockets.secure.alerts_sent),
    ])),
    counter("wapbridge_wtls_unsent_total", "Datagrams that were not sent through a secure port.",
        &["reason"], By(&[
            ("no_connection", |s| s.sockets.secure.unsent),
            ("too_many", |s| s.sockets.secure.overflowed),
            ("unproved_address", |s| s.sockets.secure.withheld),
        ])),
    counter("wapbridge_wtls_repeated_total", "Flights sent again because the handset asked again.",
        &[], One(|s| s.sockets.secure.repeated)),
    counter("wapbridge_wtls_ended_total", "Secure connections that ended by themselves.",
        &["reason"], By(&[
            ("evicted", |s| s.sockets.secure.evicted),
            ("idle", |s| s.sockets.secure.idle),
            ("exhausted", |s| s.sockets.secure.exhausted),
        ])),

    // WTP.
    gauge("wapbridge_wtp_transactions", "Transactions held.", &[], One(|s| s.stats.transactions)),
    counter("wapbridge_wtp_transactions_total", "Transactions begun by handsets.", &[],
        One(|s| s.stats.wtp.responded)),
    counter("wapbridge_wtp_retransmissions_total", "Packets sent again.", &[],
        One(|s| s.stats.wtp.retransmissions)),
    counter("wapbridge_wtp_duplicates_total", "Packets received again, and not acted on again.",
        &[], One(|s| s.stats.wtp.duplicates)),
    counter("wapbridge_wtp_reassembled_total", "Messages re-assembled from segments.", &[],
        One(|s| s.stats.wtp.reassembled)),
    counter("wapbridge_wtp_malformed_total", "PDUs that could not be decoded.", &[],
        One(|s| s.stats.wtp.malformed)),
    counter("wapbridge_wtp_strays_total", "PDUs that belong to no transaction.", &[],
        One(|s| s.stats.wtp.strays)),
    counter("wapbridge_wtp_verifications_total", "TID verifications begun.", &[],
        One(|s| s.stats.wtp.verifications)),
    counter("wapbridge_wtp_unverified_total", "TID verifications that failed.", &[],
        One(|s| s.stats.wtp.unverified)),
    counter("wapbridge_wtp_aborts_total", "Abort PDUs.", &["direction"], By(&[
        ("in", |s| s.stats.wtp.aborts_in),
        ("out", |s| s.stats.wtp.aborts_out),
    ])),
    counter("wapbridge_wtp_unanswered_total",
        "Transactions given up because the handset never answered.", &[],
        One(|s| s.stats.wtp.unanswered)),
    counter("wapbridge_wtp_abandoned_total", "Segmented messages that never became complete.",
        &[], One(|s| s.stats.wtp.abandoned)),
    counter("wapbridge_wtp_dropped_answers_total",
        "Answers outside transactions dropped because too many waited.", &[],
        One(|s| s.stats.wtp.dropped_unowned)),
    counter("wapbridge_wtp_evicted_peers_total", "Peers evicted from the TID cache before their time.",
        &[], One(|s| s.stats.wtp.evicted_peers)),
    counter("wapbridge_wtp_refused_total", "Transactions refused because of a limit.", &["limit"],
        By(&[
            ("transactions", |s| s.stats.wtp.refused_transactions),
            ("transactions_per_peer", |s| s.stats.wtp.refused_peer),
            ("transactions_per_address", |s| s.stats.wtp.refused_address),
            ("incomplete", |s| s.stats.wtp.evicted_incomplete),
            ("message", |s| s.stats.wtp.refused_message),
            ("reassembly", |s| s.stats.wtp.refused_reassembly),
            ("unverified", |s| s.stats.wtp.refused_unverified),
        ])),
    counter("wapbridge_wtp_left_total",
        "Invokes left unanswered for the process that takes the sockets over.", &[],
        One(|s| s.stats.wtp.left)),

    // WSP sessions.
    gauge("wapbridge_wsp_sessions", "Sessions held.", &[], One(|s| s.stats.sessions)),
    counter("wapbridge_wsp_connects_total", "Sessions established.", &[],
        One(|s| s.stats.wsp.connected)),
    counter("wapbridge_wsp_connects_refused_total", "Connects answered with a refusal.", &[],
        One(|s| s.stats.wsp.refused)),
    counter("wapbridge_wsp_suspends_total", "Sessions suspended.", &[],
        One(|s| s.stats.wsp.suspended)),
    counter("wapbridge_wsp_resumes_total", "Sessions resumed.", &[], One(|s| s.stats.wsp.resumed)),
    counter("wapbridge_wsp_methods_total", "Methods received.", &[], One(|s| s.stats.wsp.methods)),
    counter("wapbridge_wsp_redirects_total", "Connects answered with a Redirect.", &[],
        One(|s| s.stats.wsp.redirected)),
    counter("wapbridge_wsp_early_methods_total",
        "Methods held because they came before their Connect.", &[], One(|s| s.stats.wsp.early)),
    counter("wapbridge_wsp_early_methods_refused_total",
        "Methods before their Connect refused because too many were held, in all or of their address.",
        &[], One(|s| s.stats.wsp.early_refused)),
    counter("wapbridge_wsp_pushes_total", "Pushes sent.", &[], One(|s| s.stats.wsp.pushes)),
    counter("wapbridge_wsp_pushes_confirmed_total", "Pushes that handsets confirmed.", &[],
        One(|s| s.stats.wsp.pushes_confirmed)),
    counter("wapbridge_wsp_sessions_ended_total", "Sessions ended.", &["how"], By(&[
        ("ended", |s| s.stats.wsp.ended),
        ("disconnected", |s| s.stats.wsp.disconnected),
        ("unconfirmed", |s| s.stats.wsp.unconfirmed),
        ("replaced", |s| s.stats.wsp.replaced),
        ("expired", |s| s.stats.wsp.expired),
        ("evicted", |s| s.stats.wsp.evicted),
    ])),
    counter("wapbridge_wsp_refused_total", "Connects and methods refused with an Abort.",
        &["reason"], By(&[
            ("congestion", |s| s.stats.wsp.congested),
            ("unknown_session", |s| s.stats.wsp.unknown_session),
            ("too_many_methods", |s| s.stats.wsp.too_many_methods),
            ("too_large", |s| s.stats.wsp.too_large),
            ("malformed", |s| s.stats.wsp.malformed),
        ])),
    counter("wapbridge_wsp_claims_total", "Sessions claimed from other shards and the store.", &[],
        One(|s| s.stats.wsp.claims)),
    counter("wapbridge_wsp_claims_ended_total", "Claims of sessions, by outcome.", &["outcome"],
        By(&[
            ("found", |s| s.stats.wsp.claims_found),
            ("missed", |s| s.stats.wsp.claims_missed),
            ("expired", |s| s.stats.wsp.claims_expired),
        ])),
    counter("wapbridge_wsp_claims_refused_total",
        "Claims refused because of a limit, of all or of one address.", &[],
        One(|s| s.stats.wsp.claims_refused)),
    counter("wapbridge_wsp_handed_over_total", "Sessions handed over to another shard.", &[],
        One(|s| s.stats.wsp.handed_over)),
    counter("wapbridge_wsp_taken_total", "Sessions that another node took over.", &[],
        One(|s| s.stats.wsp.taken)),
    counter("wapbridge_wsp_resumes_paused_total",
        "Resumes not looked up because too many from their address had failed.", &[],
        One(|s| s.stats.wsp.resumes_paused)),
    counter("wapbridge_wsp_strays_paused_total",
        "Suspends and Disconnects not looked up because too many from their address had failed.",
        &[], One(|s| s.stats.wsp.strays_paused)),
    counter("wapbridge_wsp_other_subscriber_total",
        "Resumes refused, and sessions that lost their credentials, because another subscriber has the address.", &[],
        One(|s| s.stats.wsp.other_subscriber)),

    // The session directory; absent with one shard and no store.
    counter("wapbridge_directory_found_total", "Claimed sessions that were found, by place.",
        &["at"], Each(|s, add| if let Some(directory) = &s.directory {
            add(&["shard"], directory.moved);
            add(&["store"], directory.restored);
        })),
    counter("wapbridge_directory_missed_total", "Claimed sessions that nothing knew.", &[],
        Optional(|s| Some(s.directory?.missed))),
    counter("wapbridge_directory_superseded_total",
        "Resumes that lost their session to a later Resume.", &[],
        Optional(|s| Some(s.directory?.superseded))),
    counter("wapbridge_directory_untracked_total",
        "Moved sessions that cannot be found again because the directory is full.", &[],
        Optional(|s| Some(s.directory?.untracked))),
    gauge("wapbridge_directory_elsewhere",
        "Sessions that are not at the shard of their id, or came from the store.", &[],
        Optional(|s| Some(s.directory?.elsewhere))),

    // The store; absent without [store].
    counter("wapbridge_store_writes_total", "Changes given to the store.", &[],
        Optional(|s| Some(s.store?.writes))),
    counter("wapbridge_store_refused_total",
        "Changes the store refused because its queue or its table of sessions was full.", &[],
        Optional(|s| Some(s.store?.refused))),
    counter("wapbridge_store_commits_total", "Batches written to the store.", &[],
        Optional(|s| Some(s.store?.commits))),
    counter("wapbridge_store_errors_total", "Failed reads and writes of the store.", &[],
        Optional(|s| Some(s.store?.errors))),
    counter("wapbridge_store_expired_total", "Sessions the store deleted because of their age.",
        &[], Optional(|s| Some(s.store?.expired))),
    counter("wapbridge_store_recreated_total",
        "Store files created again because the old one was deleted, truncated or overwritten.", &[],
        Optional(|s| Some(s.store?.recreated))),
    gauge("wapbridge_store_failing",
        "1 while the store's file cannot be written or was replaced, or the shared store does not answer.",
        &[], Optional(|s| Some(u64::from(s.store?.failing)))),
    gauge("wapbridge_store_pending", "Changes that wait for the store.", &[],
        Optional(|s| Some(s.store?.pending))),
    gauge("wapbridge_store_sessions", "Sessions in the store; of a shared store, those of this node.",
        &[], Optional(|s| Some(s.store?.sessions))),
    counter("wapbridge_store_stale_total",
        "Changes of sessions that another node had taken over; such a session ends here.", &[],
        Optional(|s| Some(s.store?.stale))),
    counter("wapbridge_store_unanswered_total",
        "Look-ups that a shared store did not answer in time.", &[],
        Optional(|s| Some(s.store?.unanswered))),
    gauge("wapbridge_store_latency_seconds", "Time of the last exchange with a shared store.", &[],
        EachSeconds(|s, add| if let Some(store) = s.store {
            add(&[], Duration::from_micros(store.latency));
        })),

    // Connectionless mode.
    counter("wapbridge_connectionless_methods_total", "Requests received in connectionless mode.",
        &[], One(|s| s.stats.connectionless.methods)),
    counter("wapbridge_connectionless_replies_total", "Replies sent in connectionless mode.", &[],
        One(|s| s.stats.connectionless.replies)),
    counter("wapbridge_connectionless_duplicates_total",
        "Requests recognised as repeated in connectionless mode.", &[],
        One(|s| s.stats.connectionless.duplicates)),
    counter("wapbridge_connectionless_pushes_total", "Pushes sent in connectionless mode.", &[],
        One(|s| s.stats.connectionless.pushes)),
    counter("wapbridge_connectionless_dropped_total",
        "Datagrams dropped in connectionless mode.", &["reason"], By(&[
            ("too_many", |s| s.stats.connectionless.too_many),
            ("congested", |s| s.stats.connectionless.congested),
            ("malformed", |s| s.stats.connectionless.malformed),
            ("way_out_full", |s| s.stats.connectionless.dropped),
        ])),

    // Exchanges.
    gauge("wapbridge_exchanges", "Exchanges under way.", &[], One(|s| s.stats.exchanges)),
    gauge("wapbridge_exchange_bytes", "Octets of bodies held for exchanges.", &[],
        One(|s| s.stats.exchange_octets)),
    gauge("wapbridge_upstream_in_flight", "Requests waiting for an origin.", &[],
        One(|s| s.stats.in_flight)),
    counter("wapbridge_exchanges_total", "Exchanges begun.", &[], One(|s| s.stats.exchanges_begun)),
    counter("wapbridge_upstream_cancelled_total", "Upstream requests cancelled.", &[],
        One(|s| s.stats.cancelled)),
    counter("wapbridge_upstream_late_replies_total",
        "Upstream replies that came after the end of their exchange.", &[],
        One(|s| s.stats.late_replies)),
    counter("wapbridge_exchanges_ended_total", "Exchanges ended, by how they ended for the handset.",
        &["ending"], By(&[
            ("acknowledged", |s| s.stats.acknowledged),
            ("unacknowledged", |s| s.stats.unacknowledged),
            ("aborted", |s| s.stats.aborted),
        ])),
    counter("wapbridge_syncml_requests_total", "SyncML requests, by encoding and protocol.",
        &["encoding", "protocol"],
        Each(|s, add| for (protocol, encoding, count) in s.stats.syncml.requests() {
            let encoding = match encoding {
                Encoding::Xml => "xml",
                Encoding::Wbxml => "wbxml",
            };
            add(&[encoding, protocol], count);
        })),
    counter("wapbridge_syncml_alerts_total", "SyncML Alert codes in both directions.", &["code"],
        Each(|s, add| s.stats.syncml.alerts().for_each(|(code, count)| add(&[code], count)))),
    counter("wapbridge_syncml_statuses_total",
        "SyncML Status codes in both directions, by class.", &["class"],
        Each(|s, add| s.stats.syncml.statuses().for_each(|(class, count)| add(&[class], count)))),
    counter("wapbridge_translations_total", "SyncML messages of routes that translate.",
        &["outcome"], By(&[
            ("request", |s| s.stats.content.requests),
            ("reply", |s| s.stats.content.replies),
            ("second_try", |s| s.stats.content.second_tries),
            ("sealed", |s| s.stats.content.sealed),
            ("untranslatable", |s| s.stats.content.untranslatable),
            ("too_large", |s| s.stats.content.too_large),
        ])),
    counter("wapbridge_content_codings_total",
        "Replies in a content coding that the handset did not ask for, or that was in the way.",
        &["outcome"], By(&[
            ("decoded", |s| s.stats.codings.decoded),
            ("refused", |s| s.stats.codings.refused),
        ])),
    counter("wapbridge_problems_total", "Requests the gateway answered by itself, by cause.",
        &["problem"],
        Each(|s, add| s.stats.problems.iter().for_each(|(why, count)| add(&[why.label()], count)))),

    // Protection.
    counter("wapbridge_protection_refused_total",
        "Datagrams dropped, and requests refused, by the rule of [protection].", &["reason"], By(&[
            ("denied", |s| s.stats.protection.denied),
            ("address_requests", |s| s.stats.protection.requests),
            ("address_bytes", |s| s.stats.protection.octets),
            ("subscriber", |s| s.stats.protection.subscriber),
            ("total", |s| s.stats.protection.all),
            ("crowded", |s| s.stats.protection.crowded),
        ])),
    counter("wapbridge_protection_unsent_total",
        "Datagrams not sent to an address that proved nothing and sent too little.", &[],
        One(|s| s.stats.protection.amplification)),

    // Durations and sizes, of exchanges and of routes.
    histogram("wapbridge_exchange_duration_seconds", "From an exchange's first packet to its end.",
        &[], Observed(SECONDS, |m| seconds(Some(m.duration)))),
    histogram("wapbridge_exchange_air_in_seconds",
        "From a request's first packet to its last.", &[], Observed(SECONDS, |m| seconds(m.air_in))),
    histogram("wapbridge_exchange_upstream_seconds", "Time spent waiting for the origin.",
        &[], Observed(SECONDS, |m| seconds(m.upstream))),
    histogram("wapbridge_exchange_air_out_seconds",
        "From a reply's being ready to the handset's acknowledgement.", &[],
        Observed(SECONDS, |m| seconds(m.air_out))),
    histogram("wapbridge_exchange_request_bytes", "Octets of request bodies.", &[],
        Observed(OCTETS, |m| octets(m.request_octets))),
    histogram("wapbridge_exchange_reply_bytes", "Octets of reply bodies.", &[],
        Observed(OCTETS, |m| octets(m.reply_octets))),
    counter("wapbridge_route_exchanges_total", "Exchanges ended, by route.", &["route"],
        Each(|s, add| for (name, route) in &s.routes {
            add(&[name], route.exchanges);
        })),
    counter("wapbridge_route_upstream_errors_total",
        "Exchanges whose origin was unreachable or gave no usable reply, by route.", &["route"],
        Each(|s, add| for (name, route) in &s.routes {
            add(&[name], route.upstream_errors);
        })),
    counter("wapbridge_route_upstream_seconds_total", "Time spent waiting for origins, by route.",
        &["route"], EachSeconds(|s, add| for (name, route) in &s.routes {
            add(&[name], route.upstream_time);
        })),
    counter("wapbridge_route_responses_total",
        "Responses to handsets, of origins and of the gateway, by the class of their HTTP status.",
        &["route", "code_class"], Each(|s, add| for (name, route) in &s.routes {
            route.responses.iter().for_each(|(class, count)| add(&[name, class], count));
        })),
    histogram("wapbridge_route_response_seconds",
        "From a complete request to the reply's being ready, by route.", &["route"],
        Observed(SECONDS, |m| seconds(m.response))),
    gauge("wapbridge_target_up", "0 if the last request to the host failed, else 1.", &["host"],
        Each(|s, add| for target in &s.targets {
            add(&[&target.host], u64::from(target.condition != Condition::Failing));
        })),
    counter("wapbridge_target_requests_total", "Requests to each host that routes name.",
        &["host", "outcome"], Each(|s, add| for target in &s.targets {
            add(&[&target.host, "answered"], target.answered);
            add(&[&target.host, "failed"], target.failed);
        })),
    gauge("wapbridge_upstream_host_up",
        "1 for a host that is tried in its turn, 0 while it is ejected or fails its checks.",
        &["route", "host"], Each(|s, add| for host in &s.hosts {
            add(&[&host.route, &host.host], u64::from(host.condition.is_in_service()));
        })),
    gauge("wapbridge_upstream_host_condition",
        "1 for the condition of each host of a route, 0 for the others.",
        &["route", "host", "condition"], Each(|s, add| for host in &s.hosts {
            for condition in HostCondition::ALL {
                let is_so = u64::from(host.condition == condition);
                add(&[&host.route, &host.host, condition.label()], is_so);
            }
        })),
    gauge("wapbridge_upstream_host_weight",
        "The weight of each host of a route, times 1000; less during slow_start.",
        &["route", "host"], Each(|s, add| for host in &s.hosts {
            add(&[&host.route, &host.host], u64::from(host.weight_now));
        })),
    gauge("wapbridge_upstream_host_requests", "Requests under way to each host of a route.",
        &["route", "host"], Each(|s, add| for host in &s.hosts {
            add(&[&host.route, &host.host], u64::from(host.requests));
        })),
    counter("wapbridge_upstream_host_requests_total",
        "Requests to each host of a route: answered with a status below 500, with one of 500 and above, \
         or failed without a connection or a whole reply.",
        &["route", "host", "outcome"], Each(|s, add| for host in &s.hosts {
            for outcome in Outcome::ALL {
                add(&[&host.route, &host.host, outcome.label()], host.count(outcome));
            }
        })),
    counter("wapbridge_upstream_host_busy_total",
        "Requests that found max_requests of the route under way to a host.",
        &["route", "host"], Each(|s, add| for host in &s.hosts {
            add(&[&host.route, &host.host], host.refused);
        })),
    counter("wapbridge_upstream_ejections_total", "Times that a host was ejected.",
        &["route", "host"], Each(|s, add| for host in &s.hosts {
            add(&[&host.route, &host.host], host.ejections);
        })),
    counter("wapbridge_upstream_checks_total", "Checks of each host of a route.",
        &["route", "host", "outcome"], Each(|s, add| for host in &s.hosts {
            add(&[&host.route, &host.host, "passed"], host.checks_passed);
            add(&[&host.route, &host.host, "failed"], host.checks_failed);
        })),
    counter("wapbridge_upstream_failovers_total",
        "Requests tried at another host after one could not be connected to.", &["route"],
        Each(|s, add| for group in &s.groups {
            add(&[&group.route], group.failovers);
        })),
    counter("wapbridge_upstream_failovers_refused_total",
        "Requests not tried at another host because retry_budget of the route was spent.",
        &["route"], Each(|s, add| for group in &s.groups {
            add(&[&group.route], group.failovers_refused);
        })),
    gauge("wapbridge_upstream_affinity_entries",
        "Sessions and addresses whose host is known, by route; 65,536 at most.", &["route"],
        Each(|s, add| for group in &s.groups {
            add(&[&group.route], group.affinity_entries);
        })),
    counter("wapbridge_upstream_affinity_lost_total",
        "Requests whose host was out of service, and entries displaced by newer ones.",
        &["route", "reason"], Each(|s, add| for group in &s.groups {
            add(&[&group.route, "out_of_service"], group.affinity_moved);
            add(&[&group.route, "displaced"], group.affinity_displaced);
        })),
    gauge("wapbridge_certificate_expiry_timestamp_seconds",
        "When the first certificate of a file expires, in seconds since 1970.", &["file", "role"],
        Each(|s, add| for ((file, role), end) in s.certificates_by_file() {
            add(&[&file, role], end);
        })),

    // Limited tables.
    gauge("wapbridge_table_used", "Entries of each limited table, or octets.", &["table"],
        Each(|s, add| for (name, used, _) in s.tables() {
            add(&[name], used);
        })),
    gauge("wapbridge_table_limit", "The limit of each limited table, in the same unit.", &["table"],
        Each(|s, add| for (name, _, limit) in s.tables() {
            add(&[name], limit);
        })),

    // Subscribers and RADIUS.
    gauge("wapbridge_identity_entries",
        "Addresses whose subscriber is known: configured, or from accounting.", &["source"], By(&[
            ("configured", |s| s.known.configured),
            ("radius", |s| s.known.sessions),
        ])),
    counter("wapbridge_identity_sessions_total", "Accounting sessions begun.", &[],
        One(|s| s.known.directory.started)),
    counter("wapbridge_identity_sessions_ended_total", "Accounting sessions ended.", &["how"],
        By(&[
            ("stopped", |s| s.known.directory.stopped),
            ("cleared", |s| s.known.directory.cleared),
            ("expired", |s| s.known.directory.expired),
        ])),
    counter("wapbridge_identity_taken_over_total",
        "Addresses given to another accounting session before the first one's Stop came.", &[],
        One(|s| s.known.directory.taken_over)),
    counter("wapbridge_identity_stale_total", "Accounting reports ignored because they came late.",
        &[], One(|s| s.known.directory.stale)),
    counter("wapbridge_radius_requests_total", "Accounting requests accepted, by their event.",
        &["kind"], By(&[
            ("start", |s| s.known.server.starts),
            ("interim", |s| s.known.server.interims),
            ("stop", |s| s.known.server.stops),
            ("other", |s| s.known.server.others),
        ])),
    counter("wapbridge_radius_duplicates_total", "Accounting requests received again.", &[],
        One(|s| s.known.server.duplicates)),
    counter("wapbridge_radius_responses_total", "Accounting requests answered.", &[],
        One(|s| s.known.server.responses)),
    counter("wapbridge_radius_dropped_total",
        "Datagrams on the accounting port that were not answered.", &["reason"], By(&[
            ("unknown_client", |s| s.known.server.unknown_clients),
            ("unsigned", |s| s.known.server.unsigned),
            ("malformed", |s| s.known.server.malformed),
            ("incomplete", |s| s.known.server.incomplete),
            ("full", |s| s.known.server.full),
            ("congested", |s| s.known.server.congested),
        ])),
    counter("wapbridge_radius_forwarded_total", "Accounting requests forwarded to other servers.",
        &[], One(|s| s.known.server.forwarded)),
    counter("wapbridge_radius_forward_unanswered_total",
        "Forwarded accounting requests that no server answered in time.", &[],
        One(|s| s.known.server.unanswered)),
    counter("wapbridge_radius_forward_strays_total",
        "Answers of other servers that match no request or have a wrong signature.", &[],
        One(|s| s.known.server.strays)),

    // SMS centres.
    gauge("wapbridge_smsc_bound", "1 while the SMS centre accepts messages, else 0.", &["smsc"],
        Each(|s, add| s.smsc.iter().for_each(|one| add(&[&one.name], u64::from(one.bound))))),
    gauge("wapbridge_smsc_queued", "Submissions queued for the SMS centre.", &["smsc"],
        Each(|s, add| s.smsc.iter().for_each(|one| add(&[&one.name], one.counts.queued)))),
    gauge("wapbridge_smsc_outstanding", "Short messages without an answer of the SMS centre.",
        &["smsc"],
        Each(|s, add| s.smsc.iter().for_each(|one| add(&[&one.name], one.counts.outstanding)))),
    gauge("wapbridge_smsc_awaiting_receipt", "Submissions that wait for delivery receipts.",
        &["smsc"],
        Each(|s, add| s.smsc.iter().for_each(|one| add(&[&one.name], one.counts.awaiting)))),
    counter("wapbridge_smsc_submitted_total", "Short messages submitted to the SMS centre.",
        &["smsc"],
        Each(|s, add| s.smsc.iter().for_each(|one| add(&[&one.name], one.counts.submitted)))),
    counter("wapbridge_smsc_answers_total", "Answers of the SMS centre to short messages.",
        &["smsc", "answer"], Each(|s, add| {
            for smsc::Status { name, counts, .. } in &s.smsc {
                add(&[name, "accepted"], counts.accepted);
                add(&[name, "throttled"], counts.throttled);
                add(&[name, "failed"], counts.failed);
                add(&[name, "refused"], counts.refused);
                add(&[name, "lost"], counts.lost);
            }
        })),
    counter("wapbridge_smsc_receipts_total", "Delivery receipts of the SMS centre.",
        &["smsc", "state"], Each(|s, add| {
            for smsc::Status { name, counts, .. } in &s.smsc {
                add(&[name, "delivered"], counts.delivered);
                add(&[name, "undelivered"], counts.undelivered);
                add(&[name, "unknown"], counts.strays);
            }
        })),
    counter("wapbridge_smsc_receipts_given_up_total",
        "Submissions whose delivery receipts came too late, or were too many.", &["smsc"],
        Each(|s, add| s.smsc.iter().for_each(|one| add(&[&one.name], one.counts.abandoned)))),
    counter("wapbridge_smsc_queue_full_total",
        "Submissions refused because the queue of the SMS centre was full.", &["smsc"],
        Each(|s, add| s.smsc.iter().for_each(|one| add(&[&one.name], one.counts.full)))),
    counter("wapbridge_smsc_passed_over_total",
        "Messages from phones and PDUs of the SMS centre that are none for a gateway.", &["smsc"],
        Each(|s, add| s.smsc.iter().for_each(|one| add(&[&one.name], one.counts.passed_over)))),
    counter("wapbridge_smsc_binds_total", "Sessions with the SMS centre.", &["smsc"],
        Each(|s, add| s.smsc.iter().for_each(|one| add(&[&one.name], one.counts.binds)))),
    counter("wapbridge_smsc_connect_failures_total",
        "Connections, handshakes and binds that failed.", &["smsc"],
        Each(|s, add| s.smsc.iter().for_each(|one| add(&[&one.name], one.counts.connect_failures)))),

    // Logs and records.
    counter("wapbridge_log_lines_lost_total",
        "Log lines lost because their queue was full or they could not be written.", &[],
        One(|s| s.log_lines_lost)),
    counter("wapbridge_records_written_total", "Charging records written.", &[],
        Optional(|s| Some(s.records?.written))),
    counter("wapbridge_records_lost_total", "Charging records lost because their queue was full.",
        &[], Optional(|s| Some(s.records?.lost))),
    counter("wapbridge_record_files_total", "Files of charging records closed.", &[],
        Optional(|s| Some(s.records?.files))),
    gauge("wapbridge_records_waiting_bytes", "Octets of charging records queued to be written.",
        &[], Optional(|s| Some(s.records?.waiting))),
    counter("wapbridge_spans_exported_total",
        "Spans that the collector has taken; without [tracing] endpoint absent, as the next one.",
        &[], Optional(|s| Some(s.spans?.exported))),
    counter("wapbridge_spans_dropped_total",
        "Sampled exchanges without spans at the collector, by reason: the queue was full, or a request failed.",
        &["reason"], Each(|s, add| if let Some(spans) = &s.spans {
            add(&["queue"], spans.queue_full);
            add(&["export"], spans.failed);
        })),
    gauge("wapbridge_records_failing", "1 while charging records cannot be written, else 0.", &[],
        Optional(|s| Some(u64::from(s.records?.failing)))),

    // The admin port and the process.
    gauge("wapbridge_traces", "Running subscriber traces.", &[], One(|s| s.traces)),
    counter("wapbridge_admin_refused_total", "Requests and connections refused on the admin port.",
        &["reason"],
        Each(|s, add| s.refused.iter().for_each(|(why, count)| add(&[why.label()], *count)))),
    counter("wapbridge_measurements_lost_total",
        "Exchanges missing in histograms because the queue to them was full.", &[],
        One(|s| s.measurements_lost)),
    counter("process_cpu_seconds_total", "Processor time, user and system.", &[], Process),
    gauge("process_resident_memory_bytes", "Resident memory.", &[], Process),
    gauge("process_virtual_memory_bytes", "Virtual memory.", &[], Process),
    gauge("process_virtual_memory_max_bytes", "Limit of virtual memory; 0 is none.", &[], Process),
    gauge("process_start_time_seconds", "When the process started, in seconds since 1970.", &[],
        EachSeconds(|s, add| add(&[], s.started))),
    gauge("process_threads", "Threads.", &[], Process),
    gauge("process_open_fds", "Open file descriptors.", &[], Process),
    gauge("process_max_fds", "Limit of open file descriptors; 0 is none.", &[], Process),
    counter("wapbridge_shard_cpu_seconds_total",
        "Processor time of each shard's thread: one second per second is a full shard.", &["shard"],
        EachSeconds(|s, add| for (shard, time) in &s.shard_cpu {
            add(&[shard], *time);
        })),

    // HTTP.
    gauge("wapbridge_http_connections", "Connections of handsets over HTTP.", &[],
        Optional(|s| s.http.as_ref().map(|http| http.open))),
    counter("wapbridge_http_connections_total", "Connections of handsets over HTTP accepted.", &[],
        Optional(|s| s.http.as_ref().map(|http| http.connections))),
    counter("wapbridge_http_requests_total", "Requests over HTTP that came whole.", &[],
        Optional(|s| s.http.as_ref().map(|http| http.requests))),
    counter("wapbridge_http_refused_total",
        "Connections and requests over HTTP refused before their exchange, by reason.", &["reason"],
        Each(|s, add| {
            for (reason, count) in s.http.iter().flat_map(|http| &http.refused) {
                add(&[reason], *count);
            }
        })),

    // OBEX.
    gauge("wapbridge_obex_connections", "Connections of handsets over OBEX.", &[],
        Optional(|s| s.obex.as_ref().map(|obex| obex.open))),
    counter("wapbridge_obex_connections_total", "Connections of handsets over OBEX accepted.", &[],
        Optional(|s| s.obex.as_ref().map(|obex| obex.connections))),
    counter("wapbridge_obex_requests_total", "Requests over OBEX that came whole.", &[],
        Optional(|s| s.obex.as_ref().map(|obex| obex.requests))),
    counter("wapbridge_obex_refused_total", "Connections and objects over OBEX refused, by reason.",
        &["reason"], Each(|s, add| {
            for (reason, count) in s.obex.iter().flat_map(|obex| &obex.refused) {
                add(&[reason], *count);
            }
        })),

    // Pushes.
    counter("wapbridge_push_requests_total", "Requests of push initiators.", &["outcome"],
        Each(|s, add| {
            let Some(pushes) = s.pushes else { return };
            let outcomes = ["answered", "unauthenticated", "forbidden", "oversized", "connections"];
            for (outcome, count) in outcomes.into_iter().zip(pushes.requests) {
                add(&[outcome], count);
            }
        })),
    counter("wapbridge_push_submissions_total", "Submissions of push initiators.", &["outcome"],
        Each(|s, add| {
            let Some(pushes) = s.pushes else { return };
            add(&["accepted"], pushes.ppg.accepted);
            add(&["invalid"], pushes.ppg.invalid);
            add(&["limited"], pushes.ppg.limited);
            add(&["refused"], pushes.ppg.refused);
        })),
    counter("wapbridge_push_attempts_total", "Attempts to deliver a push.", &["bearer"],
        Each(|s, add| {
            let Some(pushes) = s.pushes else { return };
            let bearers = ["udp", "session", "session_confirmed", "initiation", "sms", "http"];
            for (bearer, count) in bearers.into_iter().zip(pushes.ppg.attempts) {
                add(&[bearer], count);
            }
        })),
    counter("wapbridge_push_retries_total",
        "Rounds of attempts that failed and were followed by another.", &[],
        Optional(|s| s.pushes.map(|pushes| pushes.ppg.retries))),
    counter("wapbridge_push_finished_total", "Recipients of pushes, by final state.", &["state"],
        Each(|s, add| {
            let Some(pushes) = s.pushes else { return };
            for (state, count) in MessageState::FINAL.into_iter().zip(pushes.ppg.finished) {
                add(&[state.name()], count);
            }
        })),
    counter("wapbridge_push_notifications_total", "Results told to push initiators.", &["outcome"],
        Each(|s, add| {
            let Some(pushes) = s.pushes else { return };
            add(&["told"], pushes.ppg.notified);
            add(&["retried"], pushes.ppg.notify_retries);
            add(&["lost"], pushes.ppg.notify_lost);
        })),
    gauge("wapbridge_push_held", "Pushes held, those that are over and kept for queries included.",
        &[], Optional(|s| s.pushes.map(|pushes| pushes.ppg.pushes))),
    gauge("wapbridge_push_held_bytes", "Octets of the pushes held, which max_octets counts.", &[],
        Optional(|s| s.pushes.map(|pushes| pushes.ppg.octets))),
    gauge("wapbridge_push_held_recipients", "Recipients of the pushes held, which max_pushes counts.",
        &[], Optional(|s| s.pushes.map(|pushes| pushes.ppg.recipients))),
    gauge("wapbridge_push_pending", "Recipients of pushes whose delivery is pending.", &[],
        Optional(|s| s.pushes.map(|pushes| pushes.ppg.pending))),
    gauge("wapbridge_push_in_flight", "Attempts to deliver a push that are under way.", &[],
        Optional(|s| s.pushes.map(|pushes| pushes.ppg.in_flight))),
    gauge("wapbridge_push_notifications_pending", "Results that push initiators are still to be told.",
        &[], Optional(|s| s.pushes.map(|pushes| pushes.ppg.notifications))),
];

/// Bucket bounds of durations, from the answer of a LAN origin to the patience of a handset. They
/// are finer where the timers of WTP (retry intervals of 4 to 7 s and their multiples) put values.
pub(in crate::admin) const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0,
    6.0, 7.0, 7.5, 8.0, 10.0, 12.5, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0,
];

/// Bucket bounds of sizes, from an empty SyncML message to the largest reply.
const OCTETS: &[f64] = &[
    64.0,
    128.0,
    256.0,
    512.0,
    1024.0,
    1400.0,
    2048.0,
    4096.0,
    8192.0,
    16384.0,
    32768.0,
    65536.0,
    131_072.0,
    262_144.0,
    1_048_576.0,
];

fn seconds(time: Option<Duration>) -> Option<f64> {
    time.map(|time| time.as_secs_f64())
}

#[expect(clippy::unnecessary_wraps, reason = "a row's `read` may have no value")]
#[expect(clippy::cast_precision_loss, reason = "sizes of bodies are below 2^53")]
fn octets(size: usize) -> Option<f64> {
    Some(size as f64)
}
