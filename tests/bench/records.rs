//! What a line of the access log costs the shard that writes it, and the thread that writes it out.
//!
//! `cargo bench --bench records -- [LINES] [text|json]`. CPU time, so a busy machine changes little.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::sync::Arc;

use bytes::Bytes;
use wapbridge::gateway::record::{Ending, ExchangeRecord};
use wapbridge::gateway::syncml::SyncMl;
use wapbridge::record::{Format, Outlet, Recorder, Sinks};
use wapbridge::time::Instant;
use wapbridge::wdp::Peer;
use wapbridge::wsp::pdu::Method;
use wapbridge::wsp::pseudonym::Pseudonyms;
use wapbridge::wtp::Report;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let lines: u64 = words
        .iter()
        .find_map(|word| word.parse().ok())
        .unwrap_or(1_000_000);
    let record = exchange();
    for (name, format) in [("text", Format::Text), ("json", Format::Json)] {
        if words.iter().any(|word| word == "text" || word == "json")
            && !words.iter().any(|word| word == name)
        {
            continue;
        }
        let outlet = Outlet::stderr().unwrap();
        let mut recorder = Recorder::new(
            &Sinks {
                access: Some((format, outlet.inlet())),
                charging: None,
            },
            Pseudonyms::new(&[0; 16]),
            0,
        );
        let (whole, shard) = (cpu("self"), cpu("thread-self"));
        for line in 0..lines {
            recorder.finished(
                Instant::ZERO,
                1_795_421_456_000_000 + line,
                std::hint::black_box(&record),
            );
        }
        drop(recorder);
        let shard = cpu("thread-self") - shard;
        let inlet = outlet.inlet();
        drop(outlet);
        let all = cpu("self").max(whole) - whole;
        println!(
            "{name}: {} ns of the shard per line; {all} ticks of the process; {} of {lines} lines lost",
            shard / lines,
            inlet.lost()
        );
    }
}

/// CPU time: of a thread in nanoseconds, of the process in ticks of 10 ms.
fn cpu(of: &str) -> u64 {
    if of == "self" {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let after = stat.rsplit(')').next().unwrap();
        let times = after.split_whitespace().skip(11).take(2);
        return times.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    }
    let schedule = std::fs::read_to_string(format!("/proc/{of}/schedstat")).unwrap();
    schedule.split_whitespace().next().unwrap().parse().unwrap()
}

fn exchange() -> ExchangeRecord {
    let message = b"<SyncML><SyncHdr><VerDTD>1.1</VerDTD><VerProto>SyncML/1.1</VerProto><SessionID>7</SessionID>\
        <MsgID>2</MsgID></SyncHdr><SyncBody><Alert><Data>201</Data></Alert></SyncBody></SyncML>";
    ExchangeRecord {
        number: 9,
        peer: Peer::new(
            "10.20.30.40:49152".parse().unwrap(),
            "192.0.2.1:9201".parse().unwrap(),
        ),
        session: Some(123_456_789),
        identity: None,
        method: Method::POST,
        uri: Bytes::from_static(b"http://sync.example.com/syncml?session=abc"),
        syncml: SyncMl::of("application/vnd.syncml+xml", message),
        route: Some(Arc::from("sync")),
        target: Some(http::uri::Authority::from_static(
            "sync.internal.example:8443",
        )),
        status: Some(200),
        problem: None,
        detail: None,
        ending: Ending::Acknowledged,
        received: Instant::from_micros(1_000_000),
        fetched: Some(Instant::from_micros(1_000_050)),
        replied: Some(Instant::from_micros(1_001_050)),
        finished: Instant::from_micros(1_101_050),
        request_octets: 512,
        reply_octets: 500,
        acknowledgement: Bytes::new(),
        air: Some(Report::default()),
    }
}
