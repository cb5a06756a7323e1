//! What clients say to a [`Rig`], in octets, and short conversations of them.

use std::sync::Arc;

use wapbridge::codec::{put_uintvar, uintvar};
use wapbridge::gateway::Command;
use wapbridge::gateway::fetch::{Reply, Request};
use wapbridge::identity;

use crate::rig::Rig;

/// Class 2 Invoke of this TID with the shortest Connect there is.
pub(crate) fn connect(tid: u16) -> Vec<u8> {
    let [high, low] = tid.to_be_bytes();
    vec![0x0E, high, low, 0x12, 0x01, 0x10, 0x00, 0x00]
}

/// The same with Session Resume asked for, and these octets of headers.
pub(crate) fn connect_with(tid: u16, headers: &[u8]) -> Vec<u8> {
    let [high, low] = tid.to_be_bytes();
    let mut pdu = vec![0x0E, high, low, 0x12, 0x01, 0x10, 3];
    put_uintvar(&mut pdu, u32::try_from(headers.len()).unwrap());
    pdu.extend([2, 0x82, 0xF0]);
    pdu.extend_from_slice(headers);
    pdu
}

/// Class 2 Invoke of a Resume without headers.
pub(crate) fn resume(tid: u16, id: u32) -> Vec<u8> {
    let [high, low] = tid.to_be_bytes();
    let mut pdu = vec![0x0E, high, low, 0x12, 0x09];
    put_uintvar(&mut pdu, id);
    pdu.push(0);
    pdu
}

/// A field with a name and a value in text.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    [name.as_bytes(), &[0], value.as_bytes(), &[0]].concat()
}

pub(crate) fn ack(tid: u16) -> [u8; 3] {
    let [high, low] = tid.to_be_bytes();
    [0x18, high, low]
}

impl Rig {
    /// A Connect, acknowledged without a look at the answer. Returns the id of the session if there
    /// is one.
    pub(crate) fn connects(&mut self, from: &str, headers: &[u8]) -> Option<u32> {
        self.said.clear();
        self.hears(from, &connect_with(1, headers));
        let (_, answer) = self.said.iter().find(|(_, said)| said.get(3) == Some(&2))?;
        let (_, id) = uintvar(&answer[4..]).unwrap();
        self.hears(from, &ack(1));
        Some(id)
    }

    /// A Get of this session, answered and acknowledged: the request that the origin saw.
    pub(crate) fn gets(&mut self, from: &str, tid: u16) -> Option<Request> {
        let [high, low] = tid.to_be_bytes();
        let uri = b"http://sync.example/x";
        let mut get = vec![
            0x0E,
            high,
            low,
            0x12,
            0x40,
            u8::try_from(uri.len()).unwrap(),
        ];
        get.extend_from_slice(uri);
        self.fetched.clear();
        self.hears(from, &get);
        let (id, request) = self.fetched.pop()?;
        let headers = http::HeaderMap::from_iter([(
            http::header::SET_COOKIE,
            http::HeaderValue::from_static("login=victim"),
        )]);
        let reply = Reply {
            status: http::StatusCode::OK,
            headers,
            body: "ok".into(),
            trailers: None,
        };
        self.gateway.handle_reply(self.now, id, Ok(reply));
        self.drain();
        self.hears(from, &ack(tid));
        Some(request)
    }

    /// The address is this subscriber's from now on.
    pub(crate) fn identify(&mut self, address: &str, number: &str) {
        let change = identity::Change {
            prefix: address.parse().unwrap(),
            identity: Some(Arc::new(identity::Identity {
                msisdn: Some(identity::Private::new(number)),
                ..Default::default()
            })),
        };
        let command = Command::Identify(Arc::new([change]));
        self.gateway.handle_command(self.now, command);
    }

    /// Octets sent to an address, with the headers of IP and UDP.
    pub(crate) fn sent_to(&self, address: &str) -> usize {
        let ip: std::net::IpAddr = address.parse().unwrap();
        let datagrams = self.said.iter().filter(|(peer, _)| peer.remote.ip() == ip);
        self.said_to(address) + HEADERS * datagrams.count()
    }
}

/// Octets of the headers of IPv4 and UDP.
pub(crate) const HEADERS: usize = 28;
