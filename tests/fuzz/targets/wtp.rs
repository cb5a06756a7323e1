//! Targets for WTP: the codec, concatenation, one endpoint under a script, and re-assembly beside a naive twin.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use wapbridge::time::Instant;
use wapbridge::wdp::Peer;
use wapbridge::wtp::concat::{Joiner, separate};
use wapbridge::wtp::{Class, Config, Endpoint, Handle, Indication, Pdu};

/// Decoding is total; what was decoded encodes to octets that decode to the same.
pub(crate) fn pdu(octets: &[u8]) {
    let Ok(first) = Pdu::decode(octets) else {
        return;
    };
    let mut again = Vec::new();
    first.encode(&mut again);
    assert_eq!(Pdu::decode(&again), Ok(first));
    let mut third = Vec::new();
    Pdu::decode(&again).unwrap().encode(&mut third);
    assert_eq!(third, again);
}

/// Separating is total; what was separated joins to a datagram that separates into the same.
pub(crate) fn datagram(octets: &[u8]) {
    let pdus: Vec<_> = separate(octets).collect();
    let mut joined = Vec::new();
    let mut joiner = Joiner::new(&joined, usize::MAX);
    for pdu in &pdus {
        let from = joined.len();
        joined.extend_from_slice(pdu);
        assert!(joiner.add(from, &mut joined));
    }
    // A lone PDU that begins with the mark of concatenation cannot stand alone, and is none.
    if pdus.len() != 1 || pdus[0][0] != 0 {
        assert_eq!(separate(&joined).collect::<Vec<_>>(), pdus);
    }
}

fn peer(number: u8) -> Peer {
    let remote = SocketAddr::from(([192, 0, 2, number], 49_152));
    Peer::new(remote, SocketAddr::from(([198, 51, 100, 1], 9201)))
}

/// Limits small enough to be met.
fn tight() -> Config {
    Config {
        max_transactions: 8,
        max_transactions_per_peer: 5,
        max_message: 100,
        max_reassembly: 600,
        max_unverified: 300,
        max_unverified_per_address: 200,
        max_unowned: 4,
        max_aborted: 3,
        tid_cache_capacity: 2,
        tid_lifetime: Duration::from_secs(50),
        segment_size: 7,
        offer_extended_sar: true,
        ..Config::ip()
    }
}

/// A script of datagrams, primitives and time: limits hold, nothing panics, and in the end all is over.
pub(crate) fn endpoint(script: &[u8]) {
    let mut endpoint = Endpoint::new(tight(), 1, Instant::ZERO);
    let mut now = Instant::ZERO;
    let mut handles = vec![Handle::OVER];
    let mut rest = script;
    while let [op, argument, tail @ ..] = rest {
        let len = usize::from(argument & 0x1F).min(tail.len());
        let (data, after) = tail.split_at(len);
        rest = after;
        let handle = handles[usize::from(*argument) % handles.len()];
        let body = Bytes::copy_from_slice(data);
        match op % 12 {
            0..=4 => endpoint.handle_datagram(now, peer(op / 12 % 4), data),
            // A plausible Invoke, or what would go with it, so that states are reached.
            5 => {
                let kinds = [
                    0x08, 0x0A, 0x0E, 0x28, 0x2C, 0x2A, 0x18, 0x1C, 0x98, 0x38, 0x12, 0x32,
                ];
                let mut pdu = vec![
                    kinds[usize::from(argument >> 4) % kinds.len()] | op >> 7,
                    0,
                    argument & 3,
                    2,
                ];
                pdu.extend_from_slice(data);
                endpoint.handle_datagram(now, peer(op / 12 % 4), &pdu);
            }
            6 => {
                now += Duration::from_millis(u64::from(*argument) * 300);
                endpoint.handle_timeout(now);
            }
            7 => {
                let class = [Class::Zero, Class::One, Class::Two][usize::from(argument % 3)];
                handles.extend(endpoint.invoke(
                    now,
                    peer(op / 12 % 4),
                    class,
                    argument & 4 != 0,
                    body,
                ));
            }
            8 => endpoint.accept(now, handle, data),
            9 => endpoint.result(now, handle, body),
            10 => endpoint.acknowledge(now, handle, data),
            _ => endpoint.abort(now, handle, *argument),
        }
        drain(&mut endpoint, &mut handles);
        assert!(endpoint.transactions() <= 8);
        // One packet and the bookkeeping of each assembler may come on top.
        assert!(
            endpoint.held_octets() <= 600 + 8 * 600,
            "{}",
            endpoint.held_octets()
        );
        assert!(endpoint.peers() <= 2 + 8);
    }
    for handle in handles {
        endpoint.abort(now, handle, 0);
    }
    let mut handles = Vec::new();
    for _ in 0..1000 {
        drain(&mut endpoint, &mut handles);
        let Some(due) = endpoint.poll_timeout() else {
            break;
        };
        now = now.max(due);
        endpoint.handle_timeout(now);
    }
    assert_eq!((endpoint.transactions(), endpoint.held_octets()), (0, 0));
}

fn drain(endpoint: &mut Endpoint, handles: &mut Vec<Handle>) {
    let mut buf = Vec::new();
    while endpoint.poll_transmit(&mut buf).is_some() {
        for pdu in separate(&buf) {
            assert!(
                Pdu::decode(pdu).is_ok(),
                "what we say is well-formed: {pdu:02x?}"
            );
        }
        buf.clear();
    }
    while let Some(indication) = endpoint.poll_indication() {
        if let Indication::Invoke { handle, data, .. } = indication {
            assert!(data.len() <= 100);
            handles.push(handle);
        }
    }
}

/// Packets of a segmented Invoke in any order and number, against a map of them all.
pub(crate) fn reassembly(script: &[u8]) {
    let mut endpoint = Endpoint::new(Config::ip(), 1, Instant::ZERO);
    let now = Instant::ZERO + Duration::from_secs(1000);
    let count = script.first().map_or(2, |first| 2 + first % 10);
    let mut twin = BTreeMap::from([(0, vec![0])]);
    endpoint.handle_datagram(now, peer(1), &[0x08, 0x00, 0x05, 0x02, 0]);
    let mut delivered = None;
    for octet in script.iter().skip(1) {
        let psn = 1 + octet % (count - 1);
        let last = psn == count - 1;
        let kind = if last { 0x2A } else { 0x28 } | octet >> 7;
        // What a copy says must not matter, only what came first.
        let data = [psn, octet >> 4];
        twin.entry(psn).or_insert_with(|| data.to_vec());
        endpoint.handle_datagram(
            now,
            peer(1),
            &[&[kind, 0x00, 0x05, psn], &data[..]].concat(),
        );
        if let Some(Indication::Invoke { data, .. }) = endpoint.poll_indication() {
            assert_eq!(twin.len(), usize::from(count));
            delivered = Some(data);
            break;
        }
    }
    let whole = (twin.len() == usize::from(count))
        .then(|| Bytes::from(twin.into_values().flatten().collect::<Vec<_>>()));
    assert_eq!(delivered, whole);
}
