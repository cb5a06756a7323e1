//! WTLS: records, handshakes, and the whole layer.

use std::sync::Arc;
use std::time::Duration;

use wapbridge::time::Instant;
use wapbridge::wdp::{Datagram, Peer, Service};
use wapbridge::wtls::{
    Client, ClientConfig, Config, Endpoint, KeyExchange, Stored, alert, certificate_request,
    client_hello, default_suites, message, records, server_hello,
};

/// Records are read to the end or to a malformed one, and never give more octets than came.
pub(crate) fn record(octets: &[u8]) {
    let (found, malformed) = records(octets);
    let read: usize = found.iter().map(|record| record.octets.len()).sum();
    assert!(read <= octets.len() && (malformed || read == octets.len()));
    for record in found {
        let _ = alert(record.fragment);
    }
}

/// Handshake messages and certificates are read without a panic.
pub(crate) fn handshake(octets: &[u8]) {
    let _ = message(octets);
    let _ = client_hello(octets);
    let _ = server_hello(octets);
    let _ = certificate_request(octets);
    let _ = Stored::new(octets);
}

/// A script of datagrams for a server in the middle of its conversations: each begins with two octets, which say from
/// whom it is and how long. The limits hold, whatever comes.
pub(crate) fn endpoint(octets: &[u8]) {
    let config = Config {
        max_connections: 4,
        max_handshakes: 4,
        max_sessions: 4,
        ..Config::default()
    };
    let idle_timeout = config.idle_timeout;
    let mut server = Endpoint::new(Arc::new(config), [7; 32], None);
    let mut client = client();
    let begin = Instant::from_micros(1);
    let mut now = begin;
    let known = peer(0);
    client.connect(now);
    carry(&mut client, &mut server, now, known);
    assert!(client.is_open());
    let mut rest = octets;
    while let Some((&[who, length], after)) = rest.split_first_chunk::<2>() {
        let taken = usize::from(length).min(after.len());
        let (payload, after) = after.split_at(taken);
        rest = after;
        let peer = peer(who % 8);
        hear(&mut server, now, peer, payload);
        assert!(
            server.poll_datagram().is_none(),
            "a forged record was accepted"
        );
        let mut buf = Vec::new();
        while server.poll_transmit(&mut buf).is_some() {}
        if who & 0x80 != 0 {
            now += Duration::from_secs(7);
            server.handle_timeout(now);
        }
        let stats = server.stats();
        assert!(stats.connections <= 4 && stats.handshakes <= 4 && stats.sessions <= 4);
    }
    // The client that was there first is served, unless its time was over.
    client.send(b"still there".to_vec());
    let heard = carry(&mut client, &mut server, now, known);
    if now.since(begin) < idle_timeout {
        assert_eq!(heard, [b"still there".to_vec()]);
    }
}

/// Any octets to a client that waits for a server, and to one that has a connection.
pub(crate) fn handset(octets: &[u8]) {
    let mut waiting = client();
    waiting.connect(Instant::ZERO);
    waiting.handle_datagram(Instant::ZERO, octets);
    assert!(!waiting.is_open());
    let mut server = Endpoint::new(Arc::new(Config::default()), [7; 32], None);
    let mut open = client();
    open.connect(Instant::ZERO);
    carry(&mut open, &mut server, Instant::ZERO, peer(0));
    assert!(open.is_open());
    open.handle_datagram(Instant::ZERO, octets);
    assert!(open.poll_datagram().is_none());
}

fn client() -> Client {
    let config = ClientConfig {
        key_exchanges: vec![(KeyExchange::ECDH_ANON, 6)],
        suites: default_suites(128),
        key_refresh: 2,
        authorities: Arc::new([]),
        host: None,
        epoch: None,
        credentials: None,
        retry_interval: Duration::from_secs(2),
        max_retries: 1,
    };
    Client::new(config, [3; 32])
}

fn peer(number: u8) -> Peer {
    let remote = std::net::SocketAddr::from(([10, 0, 0, number], 5_000));
    Peer::new(remote, "192.0.2.1:9203".parse().unwrap())
}

fn hear(server: &mut Endpoint, now: Instant, peer: Peer, payload: &[u8]) {
    let service = Service::SecureConnectionMode;
    server.handle_datagram(
        now,
        Datagram {
            peer,
            service,
            payload,
        },
    );
}

/// Carries datagrams both ways, and returns what the server found in records.
fn carry(client: &mut Client, server: &mut Endpoint, now: Instant, peer: Peer) -> Vec<Vec<u8>> {
    let mut heard = Vec::new();
    for _ in 0..8 {
        while let Some(datagram) = client.poll_transmit() {
            hear(server, now, peer, &datagram);
        }
        let mut buf = Vec::new();
        while server.poll_transmit(&mut buf).is_some() {
            client.handle_datagram(now, &std::mem::take(&mut buf));
        }
        while let Some(opened) = server.poll_datagram() {
            heard.push(opened.payload);
        }
    }
    heard
}

/// A conversation of a handshake, user data both ways and another handshake, with one thing changed on its way: one
/// datagram, as the octets say. Nothing is heard that was not said, or twice, and in the end both ends can talk.
pub(crate) fn conversation(octets: &[u8]) {
    let Some((&[which, kind, high, low], rest)) = octets.split_first_chunk::<4>() else {
        return;
    };
    let mut change = Some((usize::from(which % 12), kind, [high, low]));
    let mut server = Endpoint::new(Arc::new(Config::default()), [7; 32], None);
    let mut client = client();
    let mut now = Instant::from_micros(1);
    let (mut said, mut heard, mut answers) = (0_u8, Vec::new(), Vec::new());
    let mut datagrams = 0;
    client.connect(now);
    for turn in 0..40_u8 {
        let mut to_server = Vec::new();
        while let Some(datagram) = client.poll_transmit() {
            to_server.extend(changed(datagram, &mut datagrams, &mut change, rest));
        }
        for datagram in to_server {
            hear(&mut server, now, peer(0), &datagram);
        }
        let mut to_client = Vec::new();
        let mut buf = Vec::new();
        while server.poll_transmit(&mut buf).is_some() {
            let datagram = std::mem::take(&mut buf);
            to_client.extend(changed(datagram, &mut datagrams, &mut change, rest));
        }
        while let Some(opened) = server.poll_datagram() {
            heard.push(opened.payload.clone());
            if server
                .seal(now, peer(0), &opened.payload, &mut buf)
                .is_some()
            {
                let datagram = std::mem::take(&mut buf);
                to_client.extend(changed(datagram, &mut datagrams, &mut change, rest));
            }
        }
        for datagram in to_client {
            client.handle_datagram(now, &datagram);
        }
        while let Some(plain) = client.poll_datagram() {
            answers.push(plain);
        }
        while client.poll_event().is_some() {}
        now += Duration::from_secs(3);
        client.handle_timeout(now);
        server.handle_timeout(now);
        if !client.is_open() && client.poll_timeout().is_none() {
            client.connect(now);
        }
        if client.is_open() && client.poll_timeout().is_none() {
            client.send(vec![said]);
            said += 1;
        }
        if turn == 8 {
            client.connect(now);
        }
    }
    for all in [&heard, &answers] {
        for (at, one) in all.iter().enumerate() {
            assert!(one.len() == 1 && one[0] < said, "{one:?} was not said");
            assert!(!all[..at].contains(one), "{one:?} was heard twice");
        }
    }
    // The last one that was said had no time to come back.
    assert!(answers.contains(&vec![said - 2]), "the ends cannot talk");
}

/// A datagram on its way; one of them is changed.
fn changed(
    datagram: Vec<u8>,
    passed: &mut usize,
    change: &mut Option<(usize, u8, [u8; 2])>,
    more: &[u8],
) -> Vec<Vec<u8>> {
    let Some((_, kind, place)) = change.take_if(|(at, ..)| *at == *passed) else {
        *passed += 1;
        return vec![datagram];
    };
    let mut octets = datagram.clone();
    let at = usize::from(u16::from_be_bytes(place)) % octets.len();
    match kind % 10 {
        0 => octets[at] ^= 1 << (kind >> 5),
        1 => octets[at] = more.first().copied().unwrap_or(0xFF),
        2 => octets.truncate(at),
        3 => return vec![],
        4 => return vec![datagram.clone(), datagram],
        5 => octets.splice(at..at, more.iter().copied()).for_each(drop),
        // A record of the attacker's own before the others, or behind them.
        6 => octets = [&record_of(more), &octets[..]].concat(),
        7 => octets.extend(record_of(more)),
        // One record less, or one twice.
        _ => {
            let (parts, _) = records(&datagram);
            let chosen = at % parts.len().max(1);
            let parts = parts.iter().enumerate().flat_map(|(number, part)| {
                let times = match (number == chosen, kind % 2 == 0) {
                    (true, true) => 0,
                    (true, false) => 2,
                    (false, _) => 1,
                };
                part.octets.repeat(times)
            });
            octets = parts.collect();
        }
    }
    vec![octets]
}

/// A whole record with these octets as its type, number and content.
fn record_of(octets: &[u8]) -> Vec<u8> {
    let (head, content) = octets.split_at(octets.len().min(3));
    let mut record = vec![0; 3];
    record[..head.len()].copy_from_slice(head);
    record[0] = record[0] & 0x27 | 0xC0;
    let content = content.get(..200.min(content.len())).unwrap_or_default();
    record.extend_from_slice(&(content.len() as u16).to_be_bytes());
    record.extend_from_slice(content);
    record
}
