//! A gateway core that gets handsets' datagrams directly: without sockets, without loss, and with
//! hardly any cost of its own, so that the gateway is measured.
//!
//! The datagrams are made once, octet for octet like those of a handset. Only the TID changes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use wapbridge::gateway::fetch::{Reply, RequestId};
use wapbridge::gateway::{self, Event, Gateway};
use wapbridge::route::{RouteSettings, Routes};
use wapbridge::time::Instant;
use wapbridge::wdp::{Datagram, Peer, Service};
use wapbridge::wsp::capability::{self, Capabilities, ProtocolOptions};
use wapbridge::wsp::header::{self, EncodingVersion};
use wapbridge::wsp::pdu::{self, Method};
use wapbridge::wtp;

/// Models of handset: those of one model send the same Connect.
pub(crate) const MODELS: usize = 16;

/// A gateway, and the datagrams of its handsets.
pub(crate) struct Direct {
    pub(crate) gateway: Gateway,
    pub(crate) now: Instant,
    connects: Vec<Vec<u8>>,
    post: Vec<u8>,
    unit: Vec<u8>,
    reply: Reply,
    out: Vec<u8>,
    /// Of each handset that connected.
    sessions: Vec<u32>,
    tids: Vec<u16>,
}

impl Direct {
    /// A gateway of the default configuration with one route, whose TID cache covers the life of a packet.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// The same with other settings.
    pub(crate) fn with(change: impl FnOnce(&mut gateway::Config)) -> Self {
        let route = RouteSettings::from_prefix(
            "http://sync.example.com/syncml",
            "https://ds.internal.example/syncml",
        );
        let routes = Routes::new(vec![route.expect("two addresses")]);
        let mut config = gateway::Config::new(Arc::new(routes));
        change(&mut config);
        Self {
            gateway: Gateway::new(Arc::new(config), 1, Instant::ZERO),
            now: Instant::ZERO + Duration::from_secs(300),
            connects: (0..MODELS).map(connect).collect(),
            post: invoke(&post()),
            unit: unit(&post()),
            reply: reply(),
            out: Vec::with_capacity(4096),
            sessions: Vec::new(),
            tids: Vec::new(),
        }
    }

    /// Reserves room for this many handsets, so that the test's own tables do not grow during a
    /// measurement.
    pub(crate) fn reserve(&mut self, handsets: usize) {
        self.sessions = vec![0; handsets];
        self.tids = vec![0; handsets];
    }

    /// A handset connects.
    pub(crate) fn connect(&mut self, handset: usize) {
        let tid = self.next_tid(handset);
        let model = handset % MODELS;
        let mut datagram = std::mem::take(&mut self.connects[model]);
        put_tid(&mut datagram, tid);
        self.hear(handset, &datagram);
        self.connects[model] = datagram;
        self.sessions[handset] = self.session_of_answer();
        self.acknowledge(handset, tid);
    }

    /// A handset posts and is answered.
    pub(crate) fn post(&mut self, handset: usize) {
        let (id, tid) = self.post_begins(handset);
        self.origin_answers(id);
        assert!(self.says(), "the result goes out");
        self.acknowledge(handset, tid);
        self.is_over();
    }

    /// The first half of a POST: the request is with the origin.
    pub(crate) fn post_begins(&mut self, handset: usize) -> (RequestId, u16) {
        let tid = self.next_tid(handset);
        let mut datagram = std::mem::take(&mut self.post);
        put_tid(&mut datagram, tid);
        self.hear(handset, &datagram);
        self.post = datagram;
        let Some(Event::Fetch(id, request)) = self.gateway.poll_event() else {
            panic!("a POST goes upstream");
        };
        drop(request);
        (id, tid)
    }

    /// The same in connectionless mode.
    pub(crate) fn post_unit(&mut self, handset: usize) {
        let tid = self.next_tid(handset);
        let mut datagram = std::mem::take(&mut self.unit);
        datagram[0] = tid.to_be_bytes()[1];
        let peer = peer(handset, 9200);
        self.gateway.handle_datagram(
            self.now,
            Datagram {
                peer,
                service: Service::Connectionless,
                payload: &datagram,
            },
        );
        self.unit = datagram;
        let Some(Event::Fetch(id, request)) = self.gateway.poll_event() else {
            panic!("a POST goes upstream");
        };
        drop(request);
        self.origin_answers(id);
        assert!(self.says(), "the answer goes out");
        self.is_over();
    }

    /// The exchange has ended, without further PDUs.
    fn is_over(&mut self) {
        let mut last = None;
        while let Some(event) = self.gateway.poll_event() {
            last = Some(event);
        }
        assert!(matches!(last, Some(Event::Finished(_))));
    }

    /// A handset ends its session.
    pub(crate) fn disconnect(&mut self, handset: usize) {
        let tid = self.next_tid(handset);
        let mut sdu = Vec::with_capacity(8);
        let session_id = self.sessions[handset];
        wapbridge::wsp::Pdu::Disconnect { session_id }.encode(&mut sdu);
        let mut datagram = invoke(&sdu);
        datagram[3] = 0;
        put_tid(&mut datagram, tid);
        self.hear(handset, &datagram);
    }

    /// Lets time pass and everything happen that is due.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.gateway.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.gateway.handle_timeout(self.now);
            while self.says() {}
            while self.gateway.poll_event().is_some() {}
        }
        self.now = end;
    }

    pub(crate) fn origin_answers(&mut self, id: RequestId) {
        self.now += Duration::from_micros(200);
        let reply = self.reply.clone();
        self.gateway.handle_reply(self.now, id, Ok(reply));
    }

    pub(crate) fn acknowledge(&mut self, handset: usize, tid: u16) {
        let [high, low] = tid.to_be_bytes();
        self.hear(handset, &[0x18, high, low]);
    }

    /// Takes the next datagram out.
    pub(crate) fn says(&mut self) -> bool {
        self.out.clear();
        self.gateway.poll_transmit(&mut self.out).is_some()
    }

    fn hear(&mut self, handset: usize, payload: &[u8]) {
        self.now += Duration::from_micros(20);
        self.gateway.handle_datagram(
            self.now,
            Datagram {
                peer: peer(handset, 9201),
                service: Service::ConnectionMode,
                payload,
            },
        );
    }

    fn session_of_answer(&mut self) -> u32 {
        assert!(self.says(), "a Connect is answered");
        let Ok(wtp::Pdu::Result(packet)) = wtp::Pdu::decode(&self.out) else {
            panic!("a Connect is answered by a Result");
        };
        match wapbridge::wsp::Pdu::decode(packet.data) {
            Ok(wapbridge::wsp::Pdu::ConnectReply(reply)) => reply.session_id,
            other => panic!("a Connect is answered by {other:?}"),
        }
    }

    fn next_tid(&mut self, handset: usize) -> u16 {
        let tid = &mut self.tids[handset];
        *tid = (*tid + 1) & 0x7FFF;
        *tid
    }
}

/// The quadruplet of a handset, each with an address of its own.
fn peer(handset: usize, port: u16) -> Peer {
    let number = u32::try_from(handset).expect("fewer handsets");
    let remote = Ipv4Addr::from(0x0A00_0000 + number);
    let local = Ipv4Addr::new(192, 0, 2, 1);
    Peer::new(
        SocketAddr::new(IpAddr::V4(remote), 49_152),
        SocketAddr::new(IpAddr::V4(local), port),
    )
}

/// An Invoke of class 2 without segmentation, from a user that acknowledges.
fn invoke(sdu: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0x0E, 0, 0, 0x12];
    datagram.extend_from_slice(sdu);
    datagram
}

fn put_tid(datagram: &mut [u8], tid: u16) {
    datagram[1..3].copy_from_slice(&tid.to_be_bytes());
}

/// The datagram of connectionless mode: a TID of one octet, and the PDU.
fn unit(sdu: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0];
    datagram.extend_from_slice(sdu);
    datagram
}

/// A Connect as handsets of this model send it: some 200 octets of headers.
pub(crate) fn connect(model: usize) -> Vec<u8> {
    let wanted = Capabilities::default();
    let mut wanted = wanted.with_client_sdu(65_535).with_server_sdu(65_535);
    wanted.options = ProtocolOptions::SESSION_RESUME;
    wanted.method_mor = 2;
    let mut capabilities = Vec::new();
    capability::encode_request(&wanted, &mut capabilities);
    let agent = format!("Maker{model:02}/2.0 (05.31) Profile/MIDP-2.0 Configuration/CLDC-1.1");
    let mut headers = Vec::new();
    for (name, value) in [
        ("accept", "application/vnd.syncml+wbxml"),
        ("accept", "application/vnd.syncml+xml"),
        (
            "accept",
            "application/vnd.wap.wmlc, image/gif, image/jpeg, text/plain, */*",
        ),
        ("accept-charset", "utf-8, iso-8859-1"),
        ("accept-language", "en, de"),
        ("user-agent", &agent),
        (
            "x-wap-profile",
            "\"http://uaprof.maker.example/models/6230.xml\"",
        ),
    ] {
        let version = EncodingVersion::V1_2;
        header::encode_field(version, name, value.as_bytes(), &mut headers);
    }
    assert!((180..240).contains(&headers.len()), "{}", headers.len());
    let mut sdu = Vec::new();
    wapbridge::wsp::Pdu::Connect(pdu::Connect {
        version: pdu::VERSION,
        capabilities: &capabilities,
        headers: &headers,
    })
    .encode(&mut sdu);
    invoke(&sdu)
}

/// The datagram of a POST.
pub(crate) fn post_datagram() -> Vec<u8> {
    invoke(&post())
}

/// A POST of a recorded SyncML message of some 500 octets.
fn post() -> Vec<u8> {
    let mut headers = Vec::new();
    let version = EncodingVersion::V1_2;
    header::encode_content_type(version, "application/vnd.syncml+wbxml", &mut headers);
    header::encode_field(version, "content-length", b"507", &mut headers);
    let mut sdu = Vec::new();
    wapbridge::wsp::Pdu::Post(pdu::Post {
        method: Method::POST,
        uri: b"http://sync.example.com/syncml?sessionid=17399583711795403946",
        headers: &headers,
        data: include_bytes!(
            "../../fixtures/syncml-sessions/s12-wbxml-err-03-wrong-password-basic/02-req.wbxml"
        ),
    })
    .encode(&mut sdu);
    sdu
}

/// The origin's reply.
fn reply() -> Reply {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("server", "TwistedWeb/22.4.0"),
        ("date", "Mon, 23 Nov 2026 03:19:16 GMT"),
        ("content-type", "application/vnd.syncml+wbxml"),
        ("content-length", "455"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Reply {
        status: StatusCode::OK,
        headers,
        body: Bytes::from_static(include_bytes!(
            "../../fixtures/syncml-sessions/s10-wbxml-md5-01-slow/03-resp.wbxml"
        )),
        trailers: None,
    }
}
