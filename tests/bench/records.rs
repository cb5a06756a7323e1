//! What a line of the access log and a charging record cost the shard that writes them, and how many
//! of them the one thread that takes those of all shards writes out.
//!
//! `cargo bench --bench records -- [LINES] [text|json|records]`. CPU time, so a busy machine changes
//! little. The files are in the directory for temporary files, and removed.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use wapbridge::gateway::record::{Ending, ExchangeRecord};
use wapbridge::gateway::syncml::SyncMl;
use wapbridge::random::Random;
use wapbridge::record::charging::{self, CdrWriter};
use wapbridge::record::{AccessSink, Format, LogWriter, Recorder, Sinks};
use wapbridge::time::Instant;
use wapbridge::trace_context::{Caller, SampleRatio, TraceContext};
use wapbridge::wdp::Peer;
use wapbridge::wsp::log_id::LogIds;
use wapbridge::wtp::Report;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let count: u64 = words
        .iter()
        .find_map(|word| word.parse().ok())
        .unwrap_or(1_000_000);
    let named = |name: &str| words.iter().any(|word| word == name);
    let all = !["text", "json", "records"].iter().any(|name| named(name));
    let directory = tempfile::tempdir().unwrap();
    for (name, format) in [("text", Format::Text), ("json", Format::Json)] {
        if all || named(name) {
            let writer = LogWriter::file(&directory.path().join(name)).unwrap();
            let handle = writer.handle();
            let sinks = Sinks {
                access: Some(AccessSink {
                    format,
                    handle: handle.clone(),
                    sample: 1,
                }),
                ..Sinks::default()
            };
            measure(name, count, &sinks, writer, || handle.lost());
        }
    }
    if all || named("records") {
        let writer = CdrWriter::start(settings(directory.path()), 1, || START).unwrap();
        let handle = writer.handle();
        let sinks = Sinks {
            access: None,
            charging: Some(handle.clone()),
            ..Sinks::default()
        };
        measure("records", count, &sinks, writer, || handle.counts().lost);
    }
}

/// Gives one recorder so many exchanges, and waits until `writer`, once dropped, has written them.
fn measure<W>(name: &str, count: u64, sinks: &Sinks, writer: W, lost: impl Fn() -> u64) {
    let record = exchange();
    let mut recorder = Recorder::new(sinks, LogIds::new(&[0; 16]), 0);
    let (process, thread) = (cpu(ClockId::ProcessCPUTime), cpu(ClockId::ThreadCPUTime));
    for line in 0..count {
        recorder.finished(Instant::ZERO, START + line, std::hint::black_box(&record));
        // A shard meets one exchange at a time; only a queue that is never empty loses nothing here.
        if line % PAUSE_EVERY == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    drop(recorder);
    let shard = cpu(ClockId::ThreadCPUTime) - thread;
    drop(writer);
    let writers = cpu(ClockId::ProcessCPUTime) - process - shard;
    let written = count - lost();
    println!(
        "{name}: {:.0} ns of the shard per line; the thread writes {:.0} lines a second ({:.0} ns each); {} lost",
        shard.as_nanos() as f64 / count as f64,
        written as f64 / writers.as_secs_f64(),
        writers.as_nanos() as f64 / written as f64,
        lost(),
    );
}

fn settings(directory: &Path) -> charging::Settings {
    charging::Settings {
        path: directory.join("records.jsonl"),
        format: charging::Format::Json,
        rotate_size: 64 << 20,
        rotate_every: Duration::from_secs(900),
        sync: charging::Sync::Closed,
        node: "bench".to_owned(),
    }
}

fn cpu(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

/// Lines between two pauses.
const PAUSE_EVERY: u64 = 2_000;
/// Microseconds since 1970.
const START: u64 = 1_795_421_456_000_000;

fn exchange() -> ExchangeRecord {
    let message = b"<SyncML><SyncHdr><VerDTD>1.1</VerDTD><VerProto>SyncML/1.1</VerProto><SessionID>7</SessionID>\
        <MsgID>2</MsgID></SyncHdr><SyncBody><Alert><Data>201</Data></Alert></SyncBody></SyncML>";
    ExchangeRecord {
        number: 9,
        trace: TraceContext::new(&mut Random::new(1), SampleRatio::ALL, &Caller::default()),
        upstream_uri: None,
        peer: Peer::new(
            "10.20.30.40:49152".parse().unwrap(),
            "192.0.2.1:9201".parse().unwrap(),
        ),
        session: Some(123_456_789),
        identity: None,
        method: http::Method::POST,
        uri: Bytes::from_static(b"http://sync.example.com/syncml?session=abc"),
        syncml: SyncMl::of("application/vnd.syncml+xml", message),
        route: Some(Arc::from("sync")),
        target: Some(http::uri::Authority::from_static(
            "sync.internal.example:8443",
        )),
        status: Some(200),
        problem: None,
        detail: None,
        reply_limit: None,
        binding: wapbridge::gateway::record::Binding::Wsp,
        secured: false,
        ending: Ending::Acknowledged,
        received: Instant::from_micros(1_000_000),
        fetched: Some(Instant::from_micros(1_000_050)),
        reply_began: None,
        replied: Some(Instant::from_micros(1_001_050)),
        finished: Instant::from_micros(1_101_050),
        request_octets: 512,
        reply_octets: 500,
        acknowledgement: Bytes::new(),
        air: Some(Report::default()),
    }
}
