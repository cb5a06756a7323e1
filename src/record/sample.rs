//! An exchange and a push to write about in tests.

use std::sync::Arc;

use bytes::Bytes;

use crate::gateway::record::{Ending, ExchangeRecord};
use crate::gateway::syncml::SyncMl;
use crate::push::pap::{MessageState, Status};
use crate::push::ppg::DeliveryRecord;
use crate::push::{Bearer, Recipient};
use crate::time::Instant;
use crate::trace_context::{SpanId, TraceContext, TraceId};
use crate::wdp::Peer;
use crate::wtp::Report;

/// A POST that began 0.98 s after the start of the clock and ended at 1.101050 s.
pub(super) fn exchange() -> ExchangeRecord {
    let message = b"<SyncML><SyncHdr><VerDTD>1.1</VerDTD><VerProto>SyncML/1.1</VerProto><SessionID>7</SessionID>\
        <MsgID>2</MsgID></SyncHdr><SyncBody><Alert><Data>201</Data></Alert></SyncBody></SyncML>";
    ExchangeRecord {
        number: 9,
        trace: TraceContext {
            trace_id: TraceId::from_octets(0x0af7651916cd43dd8448eb211c80319c_u128.to_be_bytes()),
            span_id: SpanId::from_octets([1; 8]),
            upstream_id: SpanId::from_octets([2; 8]),
            parent: None,
            sampled: true,
        },
        peer: Peer::new(
            "10.20.30.40:49152".parse().unwrap(),
            "192.0.2.1:9201".parse().unwrap(),
        ),
        binding: crate::gateway::record::Binding::Wsp,
        secured: false,
        session: Some(123_456_789),
        identity: None,
        method: http::Method::POST,
        uri: Bytes::from_static(b"http://sync.example.com/syncml?session=secret"),
        syncml: SyncMl::of("application/vnd.syncml+xml", message),
        route: Some(Arc::from("sync")),
        target: Some(http::uri::Authority::from_static(
            "sync.internal.example:8443",
        )),
        upstream_uri: Some(http::Uri::from_static(
            "https://sync.internal.example:8443/ds?session=secret",
        )),
        status: Some(200),
        problem: None,
        detail: None,
        reply_limit: None,
        ending: Ending::Acknowledged,
        received: Instant::from_micros(1_000_000),
        fetched: Some(Instant::from_micros(1_000_050)),
        reply_began: Some(Instant::from_micros(1_000_900)),
        replied: Some(Instant::from_micros(1_001_050)),
        finished: Instant::from_micros(1_101_050),
        request_octets: 512,
        reply_octets: 500,
        acknowledgement: Bytes::new(),
        air: Some(Report {
            started: Instant::from_micros(980_000),
            updated: Instant::from_micros(1_101_050),
            pdus_in: 3,
            pdus_out: 2,
            octets_in: 600,
            octets_out: 580,
            retransmissions: 1,
            duplicates: 2,
            verified: false,
        }),
    }
}

/// A push that took 1.5 s and reached a phone by short messages, by its second attempt.
pub(super) fn push() -> DeliveryRecord {
    DeliveryRecord {
        initiator: "sync".into(),
        push_id: "a \"b\"@sync.example".into(),
        recipient: Recipient::parse("WAPPUSH=+491701234567/TYPE=PLMN@gw").unwrap(),
        received: 1_795_421_456_000,
        finished: 1_795_421_457_500,
        state: MessageState::Delivered,
        code: Status::OK,
        bearer: Some(Bearer::Sms),
        attempts: 2,
        octets: 12,
        content_type: "text/vnd.wap.si".to_owned(),
    }
}
