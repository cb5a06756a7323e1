//! The names of what the shards count.

use super::figures::Snapshot;
use super::measures;
use super::metrics::Sample;
use super::subscribers;
use crate::gateway::{Stats, directory, protection};
use crate::server::{ShellStats, State};
use crate::store;
use crate::syncml::Encoding;

/// Every number of the server, named.
#[must_use]
pub fn samples(snapshot: &Snapshot) -> Vec<Sample> {
    let Snapshot { stats, shell, .. } = snapshot;
    let mut all = Vec::with_capacity(256);
    let help = "Always 1; the label tells the version.";
    let version = env!("CARGO_PKG_VERSION");
    all.push(Sample::gauge("wapbridge_build_info", help, 1).label("version", version));
    all.extend(states(snapshot.state));
    sockets(shell, &mut all);
    transactions(stats, &mut all);
    sessions(stats, &mut all);
    all.extend(snapshot.directory.iter().flat_map(directory));
    all.extend(snapshot.store.iter().flat_map(store));
    connectionless(stats, &mut all);
    exchanges(stats, &mut all);
    protection(&stats.protection, &mut all);
    measures::exchanges(&snapshot.measures, &mut all);
    measures::targets(&snapshot.targets, &mut all);
    measures::certificates(&snapshot.certificates, &mut all);
    all.extend(subscribers::samples(&snapshot.known));
    records(snapshot, &mut all);
    admin(snapshot, &mut all);
    snapshot.process.samples(&mut all);
    all
}

/// What became of log lines and charging records.
fn records(snapshot: &Snapshot, all: &mut Vec<Sample>) {
    all.push(Sample::counter(
        "wapbridge_log_lines_lost_total",
        "Log lines that found their queue full or could not be written.",
        snapshot.log_lines_lost,
    ));
    let Some(records) = &snapshot.records else {
        return;
    };
    all.extend([
        Sample::counter(
            "wapbridge_records_written_total",
            "Charging records written.",
            records.written,
        ),
        Sample::counter(
            "wapbridge_records_lost_total",
            "Charging records lost, because they could not be written for long.",
            records.lost,
        ),
        Sample::counter(
            "wapbridge_record_files_total",
            "Files of charging records closed.",
            records.files,
        ),
        Sample::gauge(
            "wapbridge_records_waiting_bytes",
            "Octets of charging records that wait to be written.",
            records.waiting,
        ),
        Sample::gauge(
            "wapbridge_records_failing",
            "1 while charging records cannot be written, else 0.",
            u64::from(records.failing),
        ),
    ]);
}

fn admin(snapshot: &Snapshot, all: &mut Vec<Sample>) {
    let help = "Subscriber traces that are running.";
    all.push(Sample::gauge("wapbridge_traces", help, snapshot.traces));
    let name = "wapbridge_admin_refused_total";
    let help = "Requests and connections refused on the admin port.";
    for (why, count) in &snapshot.refused {
        all.push(Sample::counter(name, help, *count).label("reason", why.label()));
    }
}

fn states(now: State) -> impl Iterator<Item = Sample> {
    State::ALL.into_iter().map(move |state| {
        Sample::gauge(
            "wapbridge_state",
            "What the gateway is doing: 1 for the state it is in, 0 for the others.",
            u64::from(state == now),
        )
        .label("state", state.name())
    })
}

fn sockets(shell: &ShellStats, all: &mut Vec<Sample>) {
    let datagrams = |direction, value| {
        Sample::counter(
            "wapbridge_datagrams_total",
            "Datagrams on the handsets' side.",
            value,
        )
        .label("direction", direction)
    };
    let octets = |direction, value| {
        Sample::counter(
            "wapbridge_datagram_bytes_total",
            "Octets in datagrams on the handsets' side.",
            value,
        )
        .label("direction", direction)
    };
    all.extend([
        datagrams("in", shell.received),
        datagrams("out", shell.sent),
        Sample::counter(
            "wapbridge_datagrams_discarded_total",
            "Datagrams thrown away: they came before every socket was bound.",
            shell.discarded,
        ),
        octets("in", shell.received_octets),
        octets("out", shell.sent_octets),
        Sample::counter(
            "wapbridge_send_errors_total",
            "Datagrams the system refused to send.",
            shell.send_errors,
        ),
        Sample::counter(
            "wapbridge_send_too_large_total",
            "Datagrams above what the path takes.",
            shell.too_large,
        ),
        Sample::counter(
            "wapbridge_send_blocked_total",
            "Times sending waited for a full socket.",
            shell.blocked,
        ),
        Sample::counter(
            "wapbridge_untold_total",
            "Claims, and changes in sessions, lost because too much waited to be settled or stored.",
            shell.untold,
        ),
    ]);
}

fn transactions(stats: &Stats, all: &mut Vec<Sample>) {
    let wtp = &stats.wtp;
    let refused = |limit, value| {
        Sample::counter(
            "wapbridge_wtp_refused_total",
            "Transactions refused because of a limit.",
            value,
        )
        .label("limit", limit)
    };
    all.extend([
        Sample::gauge(
            "wapbridge_wtp_transactions",
            "Transactions held.",
            stats.transactions,
        ),
        Sample::counter(
            "wapbridge_wtp_transactions_total",
            "Transactions begun by handsets.",
            wtp.responded,
        ),
        Sample::counter(
            "wapbridge_wtp_retransmissions_total",
            "Packets sent again.",
            wtp.retransmissions,
        ),
        Sample::counter(
            "wapbridge_wtp_duplicates_total",
            "Packets heard again, and not obeyed again.",
            wtp.duplicates,
        ),
        Sample::counter(
            "wapbridge_wtp_reassembled_total",
            "Messages put together from segments.",
            wtp.reassembled,
        ),
        Sample::counter(
            "wapbridge_wtp_malformed_total",
            "PDUs that could not be read.",
            wtp.malformed,
        ),
        Sample::counter(
            "wapbridge_wtp_strays_total",
            "PDUs for no transaction.",
            wtp.strays,
        ),
        Sample::counter(
            "wapbridge_wtp_verifications_total",
            "TID verifications asked for.",
            wtp.verifications,
        ),
        Sample::counter(
            "wapbridge_wtp_unverified_total",
            "TID verifications that failed.",
            wtp.unverified,
        ),
        Sample::counter("wapbridge_wtp_aborts_total", "Aborts.", wtp.aborts_in)
            .label("direction", "in"),
        Sample::counter("wapbridge_wtp_aborts_total", "Aborts.", wtp.aborts_out)
            .label("direction", "out"),
        Sample::counter(
            "wapbridge_wtp_unanswered_total",
            "Transactions given up: the handset never answered.",
            wtp.unanswered,
        ),
        Sample::counter(
            "wapbridge_wtp_abandoned_total",
            "Segmented messages that never became whole.",
            wtp.abandoned,
        ),
        Sample::counter(
            "wapbridge_wtp_dropped_answers_total",
            "Answers to strangers dropped: too many waited.",
            wtp.dropped_unowned,
        ),
        Sample::counter(
            "wapbridge_wtp_evicted_peers_total",
            "Peers forgotten before their time.",
            wtp.evicted_peers,
        ),
        refused("transactions", wtp.refused_transactions),
        refused("transactions_per_peer", wtp.refused_peer),
        Sample::counter(
            "wapbridge_wtp_left_total",
            "Invokes not answered, for the process that takes the sockets over.",
            wtp.left,
        ),
        refused("message", wtp.refused_message),
        refused("reassembly", wtp.refused_reassembly),
        refused("unverified", wtp.refused_unverified),
    ]);
}

fn sessions(stats: &Stats, all: &mut Vec<Sample>) {
    let wsp = &stats.wsp;
    let ended = |how, value| {
        Sample::counter(
            "wapbridge_wsp_sessions_ended_total",
            "Sessions ended.",
            value,
        )
        .label("how", how)
    };
    let aborted = |reason, value| {
        Sample::counter(
            "wapbridge_wsp_refused_total",
            "Connects and methods refused with an Abort.",
            value,
        )
        .label("reason", reason)
    };
    all.extend([
        Sample::gauge("wapbridge_wsp_sessions", "Sessions held.", stats.sessions),
        Sample::counter(
            "wapbridge_wsp_connects_total",
            "Sessions set up.",
            wsp.connected,
        ),
        Sample::counter(
            "wapbridge_wsp_connects_refused_total",
            "Connects answered with a refusal.",
            wsp.refused,
        ),
        Sample::counter(
            "wapbridge_wsp_suspends_total",
            "Sessions suspended.",
            wsp.suspended,
        ),
        Sample::counter(
            "wapbridge_wsp_resumes_total",
            "Sessions resumed.",
            wsp.resumed,
        ),
        Sample::counter(
            "wapbridge_wsp_methods_total",
            "Methods taken in.",
            wsp.methods,
        ),
        Sample::counter(
            "wapbridge_wsp_redirects_total",
            "Connects answered with other addresses.",
            wsp.redirected,
        ),
        Sample::counter(
            "wapbridge_wsp_early_methods_total",
            "Methods held because they came before their Connect.",
            wsp.early,
        ),
        Sample::counter("wapbridge_wsp_pushes_total", "Pushes sent.", wsp.pushes),
        Sample::counter(
            "wapbridge_wsp_pushes_confirmed_total",
            "Pushes handsets confirmed.",
            wsp.pushes_confirmed,
        ),
        ended("ended", wsp.ended),
        ended("disconnected", wsp.disconnected),
        ended("unconfirmed", wsp.unconfirmed),
        ended("replaced", wsp.replaced),
        ended("expired", wsp.expired),
        aborted("congestion", wsp.congested),
        aborted("unknown_session", wsp.unknown_session),
        aborted("too_many_methods", wsp.too_many_methods),
        aborted("too_large", wsp.too_large),
        aborted("malformed", wsp.malformed),
    ]);
    claims(wsp, all);
}

fn claims(wsp: &crate::wsp::sessions::Stats, all: &mut Vec<Sample>) {
    let ended = |outcome, value| {
        Sample::counter(
            "wapbridge_wsp_claims_ended_total",
            "Sessions asked for at other shards and the store, by what came of it.",
            value,
        )
        .label("outcome", outcome)
    };
    all.extend([
        Sample::counter(
            "wapbridge_wsp_claims_total",
            "Sessions asked for at other shards and the store.",
            wsp.claims,
        ),
        ended("found", wsp.claims_found),
        ended("missed", wsp.claims_missed),
        ended("expired", wsp.claims_expired),
        Sample::counter(
            "wapbridge_wsp_claims_refused_total",
            "Sessions not asked for: too many were already, or too many of that address for nothing.",
            wsp.claims_refused,
        ),
        Sample::counter(
            "wapbridge_wsp_handed_over_total",
            "Sessions given to another shard.",
            wsp.handed_over,
        ),
    ]);
}

fn directory(stats: &directory::Stats) -> [Sample; 6] {
    let help = "Sessions found for the shard that asked for them, by where they were.";
    let found = |value, place| {
        Sample::counter("wapbridge_directory_found_total", help, value).label("at", place)
    };
    [
        found(stats.moved, "shard"),
        found(stats.restored, "store"),
        Sample::counter(
            "wapbridge_directory_missed_total",
            "Sessions asked for that nobody has.",
            stats.missed,
        ),
        Sample::counter(
            "wapbridge_directory_superseded_total",
            "Resumes that lost their session to a later one.",
            stats.superseded,
        ),
        Sample::counter(
            "wapbridge_directory_untracked_total",
            "Sessions that moved and cannot be found again: too many live elsewhere.",
            stats.untracked,
        ),
        Sample::gauge(
            "wapbridge_directory_elsewhere",
            "Sessions that do not live where their id says, or came from the store.",
            stats.elsewhere,
        ),
    ]
}

fn store(stats: &store::Stats) -> [Sample; 7] {
    [
        Sample::counter(
            "wapbridge_store_writes_total",
            "Changes given to the store.",
            stats.writes,
        ),
        Sample::counter(
            "wapbridge_store_refused_total",
            "Changes the store did not take: its queue was full, or there were too many sessions.",
            stats.refused,
        ),
        Sample::counter(
            "wapbridge_store_commits_total",
            "Batches written to the store's file.",
            stats.commits,
        ),
        Sample::counter(
            "wapbridge_store_errors_total",
            "Reads and writes of the store's file that failed.",
            stats.errors,
        ),
        Sample::counter(
            "wapbridge_store_expired_total",
            "Sessions the store forgot because of their age.",
            stats.expired,
        ),
        Sample::gauge(
            "wapbridge_store_pending",
            "Changes that wait to be written.",
            stats.pending,
        ),
        Sample::gauge(
            "wapbridge_store_sessions",
            "Sessions in the store.",
            stats.sessions,
        ),
    ]
}

fn connectionless(stats: &Stats, all: &mut Vec<Sample>) {
    let unit = &stats.connectionless;
    let dropped = |reason, value| {
        Sample::counter(
            "wapbridge_connectionless_dropped_total",
            "Datagrams of connectionless mode dropped.",
            value,
        )
        .label("reason", reason)
    };
    all.extend([
        Sample::counter(
            "wapbridge_connectionless_methods_total",
            "Requests taken in connectionless mode.",
            unit.methods,
        ),
        Sample::counter(
            "wapbridge_connectionless_replies_total",
            "Replies sent in connectionless mode.",
            unit.replies,
        ),
        Sample::counter(
            "wapbridge_connectionless_duplicates_total",
            "Requests recognised as repeated in connectionless mode.",
            unit.duplicates,
        ),
        Sample::counter(
            "wapbridge_connectionless_pushes_total",
            "Pushes sent in connectionless mode.",
            unit.pushes,
        ),
        dropped("too_many", unit.too_many),
        dropped("congested", unit.congested),
        dropped("malformed", unit.malformed),
        dropped("way_out_full", unit.dropped),
    ]);
}

fn protection(stats: &protection::Stats, all: &mut Vec<Sample>) {
    let dropped = |reason, value| {
        Sample::counter(
            "wapbridge_protection_refused_total",
            "Datagrams not heard, or refused unseen, and requests of subscribers who made too many.",
            value,
        )
        .label("reason", reason)
    };
    all.extend([
        dropped("denied", stats.denied),
        dropped("address_requests", stats.requests),
        dropped("address_bytes", stats.octets),
        dropped("subscriber", stats.subscriber),
        dropped("total", stats.all),
        dropped("crowded", stats.crowded),
        Sample::counter(
            "wapbridge_protection_unsent_total",
            "Datagrams not sent to an address that had proved nothing and sent too little.",
            stats.amplification,
        ),
    ]);
}

fn exchanges(stats: &Stats, all: &mut Vec<Sample>) {
    let ended = |ending, value| {
        Sample::counter(
            "wapbridge_exchanges_ended_total",
            "Exchanges that are over, by how they ended for the handset.",
            value,
        )
        .label("ending", ending)
    };
    all.extend([
        Sample::gauge(
            "wapbridge_exchanges",
            "Exchanges not over yet.",
            stats.exchanges,
        ),
        Sample::gauge(
            "wapbridge_exchange_bytes",
            "Octets of bodies held for exchanges.",
            stats.exchange_octets,
        ),
        Sample::gauge(
            "wapbridge_upstream_in_flight",
            "Requests waiting for an origin.",
            stats.in_flight,
        ),
        Sample::counter(
            "wapbridge_exchanges_total",
            "Exchanges begun.",
            stats.exchanges_begun,
        ),
        Sample::counter(
            "wapbridge_upstream_cancelled_total",
            "Upstream requests cancelled.",
            stats.cancelled,
        ),
        Sample::counter(
            "wapbridge_upstream_late_replies_total",
            "Upstream replies nobody waited for any more.",
            stats.late_replies,
        ),
        ended("acknowledged", stats.acknowledged),
        ended("unacknowledged", stats.unacknowledged),
        ended("aborted", stats.aborted),
    ]);
    for (protocol, encoding, value) in stats.syncml.requests() {
        let name = match encoding {
            Encoding::Wbxml => "wapbridge_syncml_wbxml_requests_total",
            Encoding::Xml => "wapbridge_syncml_xml_requests_total",
        };
        let help = "SyncML requests in this notation, by protocol.";
        all.push(Sample::counter(name, help, value).label("protocol", protocol));
    }
    for (code, value) in stats.syncml.alerts() {
        let help = "SyncML Alert codes in both directions.";
        all.push(Sample::counter("wapbridge_syncml_alerts_total", help, value).label("code", code));
    }
    for (class, value) in stats.syncml.statuses() {
        let help = "SyncML Status codes in both directions, by class.";
        all.push(
            Sample::counter("wapbridge_syncml_statuses_total", help, value).label("class", class),
        );
    }
    let translated = |what, value| {
        Sample::counter(
            "wapbridge_translations_total",
            "SyncML messages of routes that translate.",
            value,
        )
        .label("outcome", what)
    };
    all.extend([
        translated("request", stats.content.requests),
        translated("reply", stats.content.replies),
        translated("second_try", stats.content.second_tries),
        translated("sealed", stats.content.sealed),
        translated("untranslatable", stats.content.untranslatable),
        translated("too_large", stats.content.too_large),
    ]);
    for (problem, value) in stats.problems.iter() {
        let name = "wapbridge_problems_total";
        let help = "Requests the gateway answered by itself, by why.";
        all.push(Sample::counter(name, help, value).label("problem", problem.label()));
    }
}
