//! The gateway's core with a client that speaks octets and an origin that is played by the test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use wapbridge::gateway::fetch::{Reply, Request, RequestId};
use wapbridge::gateway::push::{PushId, PushOutcome};
use wapbridge::gateway::record::ExchangeRecord;
use wapbridge::gateway::{Command, Config, Event, Gateway};
use wapbridge::route::{RouteSettings, Routes};
use wapbridge::time::Instant;
use wapbridge::wdp::{Datagram, Peer, Service};
use wapbridge::wtp::{self, Class, Endpoint, Fragment, Handle, Indication};

pub(crate) struct Conversation {
    pub(crate) now: Instant,
    pub(crate) gateway: Gateway,
    pub(crate) client: Endpoint,
    /// Where the client is; its Resume may move it.
    pub(crate) port: u16,
    pub(crate) fetches: Vec<(RequestId, Request)>,
    pub(crate) cancelled: usize,
    pub(crate) pushed: Vec<(PushId, PushOutcome)>,
    pub(crate) records: Vec<ExchangeRecord>,
    /// What the client's transaction layer heard, oldest first.
    pub(crate) heard: Vec<Indication>,
    /// Datagrams of connectionless mode.
    pub(crate) units: Vec<(Peer, Vec<u8>)>,
}

pub(crate) fn config() -> Config {
    let mut route =
        RouteSettings::from_prefix("http://a.example/", "https://origin.example/").unwrap();
    // TRACE passes only where a route names it.
    let methods = "GET HEAD POST PUT DELETE OPTIONS TRACE PROPFIND REPORT";
    let methods = methods.split(' ').map(|name| name.parse().unwrap());
    route.allowed_methods = methods.collect();
    let mut config = Config::new(Arc::new(Routes::new(vec![route])));
    config.wsp.serves_pushes = true;
    config
}

pub(crate) const WHOLE: Fragment = Fragment::WHOLE;
pub(crate) const MORE: Fragment = Fragment {
    more: true,
    frame_boundary: false,
};
pub(crate) const FRAME: Fragment = Fragment {
    more: false,
    frame_boundary: true,
};

impl Conversation {
    pub(crate) fn new(config: Config) -> Self {
        let client = wtp::Config {
            offer_extended_sar: true,
            ..wtp::Config::ip()
        };
        Self {
            // It has run long enough to trust peers it has not heard of.
            now: Instant::ZERO + Duration::from_secs(1_000),
            gateway: Gateway::new(Arc::new(config), 1, Instant::ZERO),
            client: Endpoint::new(client, 2, Instant::ZERO),
            port: 50_000,
            fetches: Vec::new(),
            cancelled: 0,
            pushed: Vec::new(),
            records: Vec::new(),
            heard: Vec::new(),
            units: Vec::new(),
        }
    }

    /// A Connect with this capability block and these headers; the answer.
    pub(crate) fn connect(&mut self, capabilities: &[u8], headers: &[u8]) -> Bytes {
        let mut sdu = vec![0x01, 0x10, len(capabilities), len(headers)];
        sdu.extend_from_slice(capabilities);
        sdu.extend_from_slice(headers);
        let handle = self.invoke(&sdu);
        self.result_of(handle)
    }

    /// A session of a client that asks for this; its id as octets.
    pub(crate) fn session(capabilities: &[u8]) -> (Self, Vec<u8>) {
        let mut conversation = Self::new(config());
        let reply = conversation.connect(capabilities, &[]);
        let id = session_id(&reply);
        (conversation, id)
    }

    /// A class 2 Invoke.
    pub(crate) fn invoke(&mut self, sdu: &[u8]) -> Handle {
        self.invoke_as(Class::Two, sdu, WHOLE)
    }

    pub(crate) fn invoke_as(&mut self, class: Class, sdu: &[u8], place: Fragment) -> Handle {
        let (server, user_ack) = (self.server(), class != Class::Zero);
        let data = Bytes::copy_from_slice(sdu);
        let handle = self
            .client
            .invoke_fragment(self.now, server, class, user_ack, data, place)
            .unwrap();
        self.run();
        handle
    }

    pub(crate) fn invoke_data(&mut self, handle: Handle, data: &[u8], place: Fragment) {
        let data = Bytes::copy_from_slice(data);
        self.client.invoke_data(self.now, handle, data, place);
        self.run();
    }

    /// A datagram of connectionless mode.
    pub(crate) fn unit(&mut self, octets: &[u8]) {
        self.deliver(Service::Connectionless, octets);
        self.run();
    }

    /// A datagram of connection mode as it is.
    pub(crate) fn deliver(&mut self, service: Service, payload: &[u8]) {
        let local = match service.inside() {
            Service::ConnectionMode => SERVER,
            _ => UNIT_SERVER,
        };
        let peer = Peer::new(self.phone(), local);
        self.gateway.handle_datagram(
            self.now,
            Datagram {
                peer,
                service,
                payload,
            },
        );
    }

    /// The request that went upstream, which must be the only one.
    pub(crate) fn fetched(&mut self) -> Request {
        assert_eq!(self.fetches.len(), 1, "one request goes upstream");
        self.fetches[0].1.clone()
    }

    /// The origin's answer to the request under way.
    pub(crate) fn answers(&mut self, status: u16, headers: &[(&'static str, &str)], body: &[u8]) {
        self.answers_with(status, headers, body, &[]);
    }

    pub(crate) fn answers_with(
        &mut self,
        status: u16,
        headers: &[(&'static str, &str)],
        body: &[u8],
        trailers: &[(&'static str, &str)],
    ) {
        let fields = |pairs: &[(&'static str, &str)]| {
            let mut fields = HeaderMap::new();
            for (name, value) in pairs {
                let value = HeaderValue::from_str(value).unwrap();
                fields.append(HeaderName::from_static(name), value);
            }
            fields
        };
        let (id, _) = self.fetches.remove(0);
        let reply = Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: fields(headers),
            body: Bytes::copy_from_slice(body),
            trailers: (!trailers.is_empty()).then(|| Box::new(fields(trailers))),
        };
        self.gateway.handle_reply(self.now, id, Ok(reply));
        self.run();
    }

    /// A request and its answer: what went upstream and the Reply PDU.
    pub(crate) fn ask(&mut self, sdu: &[u8], status: u16, body: &[u8]) -> (Request, Bytes) {
        let handle = self.invoke(sdu);
        let request = self.fetched();
        self.answers(status, &[("content-type", "text/plain")], body);
        (request, self.result_of(handle))
    }

    /// The same in connectionless mode, with TID 7.
    pub(crate) fn ask_unit(&mut self, sdu: &[u8], status: u16, body: &[u8]) -> (Request, Vec<u8>) {
        let mut octets = vec![7];
        octets.extend_from_slice(sdu);
        self.unit(&octets);
        let request = self.fetched();
        self.answers(status, &[("content-type", "text/plain")], body);
        let (peer, reply) = self.units.pop().unwrap();
        assert_eq!(
            (peer.remote, peer.local),
            (self.phone().into(), UNIT_SERVER.into())
        );
        assert_eq!(reply[0], 7, "the request's TID");
        (request, reply[1..].to_vec())
    }

    /// The Result of a transaction, acknowledged.
    pub(crate) fn result_of(&mut self, handle: Handle) -> Bytes {
        self.result_with(handle, &[])
    }

    pub(crate) fn result_with(&mut self, handle: Handle, exit_info: &[u8]) -> Bytes {
        let place = self.heard.iter().position(
            |heard| matches!(heard, Indication::Result { handle: of, .. } if *of == handle),
        );
        let place = place.unwrap_or_else(|| panic!("no Result, but {:?}", self.heard));
        let Indication::Result { data, .. } = self.heard.remove(place) else {
            unreachable!()
        };
        self.client.acknowledge(self.now, handle, exit_info);
        self.run();
        data
    }

    /// The reason a transaction was aborted for.
    pub(crate) fn abort_of(&mut self, handle: Handle) -> u8 {
        let place = self.heard.iter().position(
            |heard| matches!(heard, Indication::Abort { handle: of, .. } if *of == handle),
        );
        let place = place.unwrap_or_else(|| panic!("no Abort, but {:?}", self.heard));
        match self.heard.remove(place) {
            Indication::Abort {
                reason: wtp::AbortReason::User(octet),
                ..
            } => octet,
            other => panic!("{other:?}"),
        }
    }

    /// What the server began: class and SDU.
    pub(crate) fn invoked(&mut self) -> (Handle, Class, Bytes) {
        let place = self
            .heard
            .iter()
            .position(|heard| matches!(heard, Indication::Invoke { .. }));
        let place = place.unwrap_or_else(|| panic!("no Invoke, but {:?}", self.heard));
        match self.heard.remove(place) {
            Indication::Invoke {
                handle,
                class,
                data,
                ..
            } => (handle, class, data),
            _ => unreachable!(),
        }
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.gateway.handle_command(self.now, command);
        self.run();
    }

    /// Time passes; what is due happens on the way.
    pub(crate) fn wait(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        loop {
            let next = [self.gateway.poll_timeout(), self.client.poll_timeout()]
                .into_iter()
                .flatten()
                .min();
            let Some(next) = next.filter(|next| *next <= until) else {
                break;
            };
            self.now = next;
            self.gateway.handle_timeout(next);
            self.client.handle_timeout(next);
            self.run();
        }
        self.now = until;
    }

    pub(crate) fn run(&mut self) {
        let mut buf = Vec::new();
        loop {
            let mut quiet = true;
            while self.client.poll_transmit(&mut buf).is_some() {
                let payload = std::mem::take(&mut buf);
                self.deliver(Service::ConnectionMode, &payload);
                quiet = false;
            }
            while let Some(transmit) = self.gateway.poll_transmit(&mut buf) {
                let payload = std::mem::take(&mut buf);
                quiet = false;
                if transmit.peer.local == UNIT_SERVER.into() {
                    self.units.push((transmit.peer, payload));
                } else {
                    let peer = Peer {
                        remote: transmit.peer.local,
                        local: transmit.peer.remote,
                    };
                    self.client.handle_datagram(self.now, peer, &payload);
                }
            }
            while let Some(event) = self.gateway.poll_event() {
                match event {
                    Event::Fetch(id, request) => self.fetches.push((id, request)),
                    Event::Cancel(id) => {
                        self.cancelled += 1;
                        self.fetches.retain(|(other, _)| *other != id);
                    }
                    Event::PushDone(id, outcome) => self.pushed.push((id, outcome)),
                    Event::Finished(record) => self.records.push(*record),
                    Event::HttpReply(..) | Event::Answered(_) => {}
                    Event::Claim(..) | Event::Released(..) | Event::Save(_) | Event::Forget(_) => {
                        panic!("it is alone: {event:?}")
                    }
                }
            }
            while let Some(indication) = self.client.poll_indication() {
                quiet = false;
                // That the server has our Invoke is of no interest here.
                if !matches!(indication, Indication::InvokeConfirmed { .. }) {
                    self.heard.push(indication);
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn phone(&self) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 7], self.port))
    }

    fn server(&self) -> Peer {
        Peer::new(SERVER, self.phone())
    }
}

/// The session id of a ConnectReply, as its octets.
pub(crate) fn session_id(reply: &[u8]) -> Vec<u8> {
    assert_eq!(reply[0], 0x02, "ConnectReply");
    let end = 1 + reply[1..]
        .iter()
        .position(|octet| octet & 0x80 == 0)
        .unwrap();
    reply[1..=end].to_vec()
}

fn len(block: &[u8]) -> u8 {
    u8::try_from(block.len())
        .ok()
        .filter(|len| *len < 128)
        .unwrap()
}

const SERVER: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1)),
    9_201,
);
pub(crate) const UNIT_SERVER: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1)),
    9_200,
);
