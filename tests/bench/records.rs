//! before
use std::sync::Arc;
use bytes::Bytes;
use wapbridge::gateway::record::{Ending, ExchangeRecord};
use wapbridge::gateway::syncml::SyncMl;
use wapbridge::record::access;
use wapbridge::time::Instant;
use wapbridge::wdp::Peer;
use wapbridge::wsp::pdu::Method;

fn main() {
    let lines: u32 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(200_000);
    wapbridge::cli::log::init(&wapbridge::config::LogSettings { format: if std::env::args().nth(2).as_deref() == Some("json") { wapbridge::config::LogFormat::Json } else { wapbridge::config::LogFormat::Text }, ..Default::default() });
    let xml = b"<SyncML><SyncHdr><VerDTD>1.1</VerDTD><VerProto>SyncML/1.1</VerProto><SessionID>7</SessionID>\
            <MsgID>2</MsgID></SyncHdr><SyncBody><Alert><Data>201</Data></Alert></SyncBody></SyncML>";
    let record = ExchangeRecord {
        peer: Peer::new("10.20.30.40:49152".parse().unwrap(), "192.0.2.1:9201".parse().unwrap()),
        session: Some(123_456_789),
        method: Method::POST,
        uri: Bytes::from_static(b"http://sync.example.com/syncml?session=abc"),
        syncml: SyncMl::of("application/vnd.syncml+xml", xml),
        route: Some(Arc::from("sync")),
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
        air: Some(wapbridge::wtp::Report::default()),
    };
    for _ in 0..lines {
        access::log(std::hint::black_box(&record));
    }
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    println!("user {} sys {} ticks", fields[11], fields[12]);
}
