//! A record's fields, and the batches in which shards hand them over.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Format, SCHEMA};
use crate::gateway::answer::Problem;
use crate::gateway::record::{Binding, Ending, ExchangeRecord};
use crate::gateway::syncml::label;
use crate::identity::{Identity, Private};
use crate::record::access::{codes, loggable};
use crate::record::digits::decimal;
use crate::record::line::{Csv, CsvHeader, Fields, Json};
use crate::record::timestamp::Timestamp;
use crate::time::Instant;
use crate::trace_context::{SpanId, TraceContext, TraceId};
use crate::wdp::Peer;
use crate::wsp::log_id::LogIds;

/// Fields that all records of one shard share.
#[derive(Clone, Debug)]
pub(in crate::record) struct CdrEncoder {
    pub(super) format: Format,
    pub(super) node: Arc<str>,
    /// Identifies this run of the program.
    pub(super) run: u64,
    pub(super) shard: u64,
    /// The names of sessions in records.
    pub(super) names: LogIds,
    pub(super) timestamp: Timestamp,
}

impl CdrEncoder {
    pub(super) fn new(format: Format, node: Arc<str>, run: u64, shard: u64, names: LogIds) -> Self {
        Self {
            format,
            node,
            run,
            shard,
            names,
            timestamp: Timestamp::default(),
        }
    }
}

/// Records on their way to the writer, which numbers them.
#[derive(Debug, Default)]
pub(in crate::record) struct Batch {
    /// The lines, without the fields before the record's id.
    pub(super) text: Vec<u8>,
    pub(super) entries: Vec<Entry>,
}

/// One line of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) key: TransactionKey,
    pub(super) kind: EntryKind,
    /// Where its line ends.
    pub(super) end: usize,
}

/// The key of a transaction within this run of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TransactionKey {
    pub(super) shard: u64,
    pub(super) number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    /// The transaction was answered and is not over. The line is its record for a crash of the
    /// process.
    Answered,
    /// It is over.
    Finished,
}

/// A moment on the shard's clock and on the calendar.
#[derive(Clone, Copy, Debug)]
pub(in crate::record) struct Clocks {
    pub(in crate::record) at: Instant,
    pub(in crate::record) micros: u64,
}

impl Clocks {
    fn of(self, moment: Instant) -> u64 {
        let ago = self.at.since(moment).as_micros();
        self.micros
            .saturating_sub(u64::try_from(ago).unwrap_or(u64::MAX))
    }
}

impl Batch {
    /// Octets it takes.
    pub(in crate::record) fn len(&self) -> usize {
        self.text.len()
    }

    /// Transactions with a record in the batch. The rest is for the journal.
    pub(super) fn keys(&self) -> impl Iterator<Item = TransactionKey> {
        let over = |entry: &&Entry| entry.kind == EntryKind::Finished;
        self.entries.iter().filter(over).map(|entry| entry.key)
    }

    /// Whether the batch is empty.
    pub(in crate::record) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A transaction that is over.
    pub(in crate::record) fn finished(
        &mut self,
        encoder: &mut CdrEncoder,
        now: Clocks,
        record: &ExchangeRecord,
    ) {
        self.add(
            encoder,
            now,
            record,
            EntryKind::Finished,
            record.ending.label(),
        );
    }

    /// A transaction that was answered and waits for its end.
    pub(in crate::record) fn answered(
        &mut self,
        encoder: &mut CdrEncoder,
        now: Clocks,
        record: &ExchangeRecord,
    ) {
        self.add(encoder, now, record, EntryKind::Answered, INTERRUPTED);
    }

    /// A transaction whose end will not be recorded otherwise.
    pub(in crate::record) fn interrupted(
        &mut self,
        encoder: &mut CdrEncoder,
        now: Clocks,
        record: &ExchangeRecord,
    ) {
        self.add(encoder, now, record, EntryKind::Finished, INTERRUPTED);
    }

    fn add(
        &mut self,
        encoder: &mut CdrEncoder,
        now: Clocks,
        record: &ExchangeRecord,
        kind: EntryKind,
        cause: &str,
    ) {
        let out = &mut self.text;
        match encoder.format {
            Format::Json => {
                out.push(b'"');
                id(encoder, record.number, out);
                out.push(b'"');
                fields(encoder, now, record, cause, &mut Json { out, nulls: true });
                out.extend_from_slice(b"}\n");
            }
            Format::Csv => {
                id(encoder, record.number, out);
                fields(encoder, now, record, cause, &mut Csv(out));
                out.push(b'\n');
            }
        }
        self.end(encoder, record.number, kind);
    }

    /// The line that ends here is of a transaction, or of a push.
    pub(super) fn end(&mut self, encoder: &CdrEncoder, number: u64, kind: EntryKind) {
        self.entries.push(Entry {
            key: TransactionKey {
                shard: encoder.shard,
                number,
            },
            kind,
            end: self.text.len(),
        });
    }
}

/// Unique over all runs: the run, the shard, the number.
pub(super) fn id(encoder: &CdrEncoder, number: u64, out: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = write!(out, "{:016x}-{}-{number}", encoder.run, encoder.shard);
}

/// The fields before a record's id.
pub(super) fn begin(format: Format, sequence: u64, out: &mut Vec<u8>) {
    match format {
        Format::Json => {
            out.extend_from_slice(b"{\"v\":");
            decimal(SCHEMA, out);
            out.extend_from_slice(b",\"seq\":");
            decimal(sequence, out);
            out.extend_from_slice(b",\"id\":");
        }
        Format::Csv => {
            decimal(SCHEMA, out);
            out.push(b',');
            decimal(sequence, out);
            out.push(b',');
        }
    }
}

/// The first line of a file: the column names for CSV, empty for JSON.
pub(super) fn heading(format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    if format == Format::Csv {
        out.extend_from_slice(b"v,seq,id");
        let mut encoder = CdrEncoder::new(format, "".into(), 0, 0, LogIds::new(&[0; 16]));
        let now = Clocks {
            at: Instant::ZERO,
            micros: 0,
        };
        fields(&mut encoder, now, &nothing(), "", &mut CsvHeader(&mut out));
        out.push(b'\n');
    }
    out
}

/// An empty record, for the names of its fields.
fn nothing() -> ExchangeRecord {
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    ExchangeRecord {
        number: 0,
        trace: TraceContext {
            trace_id: TraceId::from_octets([0; 16]),
            span_id: SpanId::from_octets([0; 8]),
            upstream_id: SpanId::from_octets([0; 8]),
            parent: None,
            sampled: false,
        },
        peer: Peer::new(nowhere, nowhere),
        session: None,
        method: http::Method::GET,
        uri: Bytes::new(),
        identity: None,
        syncml: None,
        route: None,
        target: None,
        upstream_uri: None,
        status: None,
        problem: None,
        detail: None,
        reply_limit: None,
        ending: Ending::Sent,
        received: Instant::ZERO,
        fetched: None,
        reply_began: None,
        replied: None,
        finished: Instant::ZERO,
        request_octets: 0,
        reply_octets: 0,
        acknowledgement: Bytes::new(),
        air: None,
        binding: Binding::Wsp,
        secured: false,
    }
}

/// The sequence number and the id of a line, if it is a record.
pub(super) fn head(line: &[u8]) -> Option<(Format, u64, &str)> {
    let line = std::str::from_utf8(line).ok()?;
    if let Some(rest) = line.strip_prefix("{\"v\":1,\"seq\":") {
        let (sequence, rest) = rest.split_once(",\"id\":\"")?;
        let (id, _) = rest.split_once('"')?;
        return Some((Format::Json, sequence.parse().ok()?, id));
    }
    let (sequence, rest) = line.strip_prefix("1,")?.split_once(',')?;
    let (id, _) = rest.split_once(',')?;
    Some((Format::Csv, sequence.parse().ok()?, id))
}

/// The fields, in the order of the columns.
fn fields(
    encoder: &mut CdrEncoder,
    now: Clocks,
    record: &ExchangeRecord,
    cause: &str,
    line: &mut impl Fields,
) {
    let CdrEncoder {
        node,
        names,
        timestamp,
        ..
    } = encoder;
    let is_over = cause != INTERRUPTED;
    let air = record.air.unwrap_or_default();
    let air_in = record.air_in_time();
    let finished = is_over.then_some(record.finished);
    line.text("node", node);
    line.text("cause", cause);
    line.moment("received", timestamp, Some(now.of(record.received)));
    line.moment("answered", timestamp, record.replied.map(|at| now.of(at)));
    line.moment("finished", timestamp, finished.map(|at| now.of(at)));
    line.text(
        "mode",
        match (record.binding, record.session) {
            (Binding::Wsp, Some(_)) => "connection",
            (Binding::Wsp, None) => "connectionless",
            (binding, _) => binding.label(),
        },
    );
    line.word("peer", record.peer.remote);
    line.word("local", record.peer.local);
    match record.session {
        Some(session) => line.word("session", names.of(session)),
        None => line.absent("session"),
    }
    line.text("method", record.method.as_str());
    line.text("uri", &loggable(&record.uri));
    line.text_if("route", record.route.as_deref());
    line.text_if(
        "target",
        record.target.as_ref().map(http::uri::Authority::as_str),
    );
    line.number_if("status", record.status.map(u64::from));
    line.text_if("problem", record.problem.map(Problem::label));
    let syncml = record.syncml.as_deref();
    line.text_if("syncml", syncml.map(|it| label(it.protocol)));
    line.text_if("syncml_encoding", syncml.map(|it| it.encoding.label()));
    line.text_if("syncml_session", syncml.map(|it| &*it.session));
    line.text_if("syncml_message", syncml.map(|it| &*it.message));
    line.text_if(
        "syncml_alerts",
        syncml.and_then(|it| codes(&it.request.alerts)).as_deref(),
    );
    let statuses = syncml.and_then(|it| codes(&it.reply.as_ref()?.statuses));
    line.text_if("syncml_statuses", statuses.as_deref());
    subscriber(record.identity.as_deref(), (None, None), line);
    line.number("request_octets", record.request_octets as u64);
    line.number("reply_octets", record.reply_octets as u64);
    // The figures of the air are known once the transaction is over.
    let known = |value: u64| record.air.map(|_| value);
    line.number_if("air_in_octets", known(air.octets_in.into()));
    line.number_if("air_out_octets", known(air.octets_out.into()));
    line.number_if("air_in_packets", known(air.pdus_in.into()));
    line.number_if("air_out_packets", known(air.pdus_out.into()));
    line.number_if("resent", known(air.retransmissions.into()));
    line.number_if("repeats", known(air.duplicates.into()));
    line.number_if("air_in_us", air_in.map(micros));
    line.number_if("upstream_us", record.upstream_time().map(micros));
    line.number_if(
        "air_out_us",
        record.air_out_time().filter(|_| is_over).map(micros),
    );
    let total = finished.map(|at| air_in.unwrap_or_default() + at.since(record.received));
    line.number_if("total_us", total.map(micros));
    line.flag("secured", record.secured);
    for name in OF_PUSHES {
        line.absent(name);
    }
    line.word("trace_id", record.trace.trace_id);
}

/// The subscriber and the bearer, by the access network. `known` is a number and an alias that are
/// known without it.
pub(super) fn subscriber(
    identity: Option<&Identity>,
    known: (Option<&Private>, Option<&Private>),
    line: &mut impl Fields,
) {
    let mut private =
        |name, value: Option<&Private>| line.text_if(name, value.map(Private::reveal));
    let (msisdn, alias) = known;
    private(
        "msisdn",
        identity.and_then(|it| it.msisdn.as_ref()).or(msisdn),
    );
    private("alias", identity.and_then(|it| it.alias.as_ref()).or(alias));
    private("imsi", identity.and_then(|it| it.imsi.as_ref()));
    private("imei", identity.and_then(|it| it.imei.as_ref()));
    let charging_id = identity.and_then(|it| it.charging_id);
    line.number_if("charging_id", charging_id.map(u64::from));
    let text = |address: Option<std::net::IpAddr>| address.map(|it| it.to_string());
    line.text_if("sgsn", text(identity.and_then(|it| it.sgsn)).as_deref());
    line.text_if("ggsn", text(identity.and_then(|it| it.ggsn)).as_deref());
    line.text_if("network", identity.and_then(|it| it.network.as_deref()));
    line.number_if("rat", identity.and_then(|it| it.rat).map(u64::from));
    let location = identity.and_then(|it| it.location.as_ref());
    line.text_if("location", location.map(Private::reveal));
    line.text_if("apn", identity.and_then(|it| it.apn.as_deref()));
    line.text_if("nas", identity.and_then(|it| it.nas.as_deref()));
    let session = identity.and_then(|it| it.session.as_deref());
    line.text_if("bearer_session", session);
    line.text_if("identity_source", identity.map(|it| it.source.label()));
}

/// Fields that only records of pushes have values for.
pub(super) const OF_PUSHES: [&str; 4] = ["initiator", "push_id", "bearer", "attempts"];

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The cause of an end for a transaction that was open when the gateway died or stopped.
const INTERRUPTED: &str = "interrupted";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample::exchange;

    const NOW: Clocks = Clocks {
        at: Instant::from_micros(1_101_050),
        micros: 1_795_421_456_123_456,
    };

    fn names() -> LogIds {
        LogIds::new(&[3; 16])
    }

    fn encoder(format: Format) -> CdrEncoder {
        CdrEncoder::new(format, "node-1".into(), 0xabc, 3, names())
    }

    fn line(format: Format, fill: impl Fn(&mut Batch, &mut CdrEncoder)) -> Vec<u8> {
        let mut batch = Batch::default();
        fill(&mut batch, &mut encoder(format));
        let mut line = Vec::new();
        begin(format, 42, &mut line);
        line.extend(batch.text);
        line
    }

    #[test]
    fn a_json_record_has_every_field() {
        let line = line(Format::Json, |batch, encoder| {
            batch.finished(encoder, NOW, &exchange());
        });
        let record: serde_json::Value = serde_json::from_slice(&line).unwrap();
        for (name, value) in [
            ("v", serde_json::json!(1)),
            ("seq", 42.into()),
            ("id", "0000000000000abc-3-9".into()),
            ("node", "node-1".into()),
            ("cause", "acknowledged".into()),
            ("received", "2026-11-23T08:10:56.022406Z".into()),
            ("answered", "2026-11-23T08:10:56.023456Z".into()),
            ("finished", "2026-11-23T08:10:56.123456Z".into()),
            ("mode", "connection".into()),
            ("peer", "10.20.30.40:49152".into()),
            ("session", names().of(123_456_789).to_string().into()),
            ("uri", "http://sync.example.com/syncml?…".into()),
            ("target", "sync.internal.example:8443".into()),
            ("syncml_message", "2".into()),
            ("msisdn", serde_json::Value::Null),
            ("air_in_packets", 3.into()),
            ("upstream_us", 1_000.into()),
            ("air_out_us", 100_000.into()),
            ("total_us", 121_050.into()),
            ("secured", false.into()),
        ] {
            assert_eq!(record[name], value, "{name}");
        }
        assert_eq!(
            head(&line),
            Some((Format::Json, 42, "0000000000000abc-3-9"))
        );
    }

    #[test]
    fn the_mode_names_the_binding() {
        let session = Some(123_456_789);
        for (binding, session, mode) in [
            (Binding::Wsp, session, "connection"),
            (Binding::Wsp, None, "connectionless"),
            (Binding::Http, None, "http"),
            (Binding::Obex, None, "obex"),
        ] {
            let exchange = ExchangeRecord {
                binding,
                session,
                ..exchange()
            };
            let line = line(Format::Json, |batch, encoder| {
                batch.finished(encoder, NOW, &exchange);
            });
            let record: serde_json::Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(record["mode"], mode);
        }
    }

    #[test]
    fn a_csv_record_has_a_value_for_every_column() {
        let mut file = heading(Format::Csv);
        assert_eq!(head(&file), None);
        let line = line(Format::Csv, |batch, encoder| {
            batch.finished(encoder, NOW, &exchange());
        });
        assert_eq!(head(&line), Some((Format::Csv, 42, "0000000000000abc-3-9")));
        file.extend(line);
        let mut reader = csv::Reader::from_reader(&*file);
        let names = reader.headers().unwrap().clone();
        let record = reader.records().next().unwrap().unwrap();
        assert_eq!(record.len(), names.len());
        let of = |name: &str| &record[names.iter().position(|other| other == name).unwrap()];
        assert_eq!((of("seq"), of("status"), of("repeats")), ("42", "200", "2"));
        assert_eq!(of("finished"), "2026-11-23T08:10:56.123456Z");
        let last: Vec<_> = names.iter().skip(names.len() - 6).collect();
        assert_eq!((last[0], last[5]), ("secured", "trace_id"));
        assert_eq!(last[1..5], OF_PUSHES);
        assert_eq!(of("trace_id"), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(of("secured"), "false");
    }

    #[test]
    fn a_secured_transaction_says_so() {
        let secured = ExchangeRecord {
            secured: true,
            ..exchange()
        };
        let line = line(Format::Json, |batch, encoder| {
            batch.finished(encoder, NOW, &secured);
        });
        let record: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(record["secured"], true);
    }

    #[test]
    fn what_is_not_over_says_so() {
        let line = line(Format::Json, |batch, encoder| {
            batch.answered(encoder, NOW, &exchange());
        });
        let record: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(record["cause"], "interrupted");
        assert_eq!(record["finished"], serde_json::Value::Null);
        assert_eq!(record["status"], 200);
    }
}
