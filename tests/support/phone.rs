//! A handset on a real socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use wapbridge::handset::{Config, Event, Handset, Pushes, Reply, Request, Ticket};
use wapbridge::server::clock::{self, Clock};
use wapbridge::wdp::Peer;
use wapbridge::wsp::capability::{Capabilities, ProtocolOptions};
use wapbridge::wsp::pdu::Method;

pub(crate) struct Phone {
    socket: UdpSocket,
    clock: Clock,
    peer: Peer,
    pub(crate) handset: Handset,
    /// Every datagram it has sent.
    pub(crate) sent: Vec<Vec<u8>>,
    /// How many it has received.
    pub(crate) received: usize,
}

/// Capabilities without limits of size.
pub(crate) fn roomy() -> Option<Capabilities> {
    let mut all = Capabilities::default();
    all.method_mor = 4;
    Some(all.with_client_sdu(0).with_server_sdu(0))
}

/// The settings of one that asks for these.
pub(crate) fn config(capabilities: Option<Capabilities>) -> Config {
    Config {
        capabilities,
        ..Config::default()
    }
}

/// The settings of one that takes pushes, confirmed ones too, with these fields in its Connect.
pub(crate) fn taking(fields: &[(&str, &str)]) -> Config {
    let mut capabilities = Capabilities::default();
    capabilities.options = ProtocolOptions::PUSH.with(ProtocolOptions::CONFIRMED_PUSH);
    capabilities.push_mor = 2;
    let field = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Config {
        capabilities: Some(capabilities.with_client_sdu(1_400).with_server_sdu(1_400)),
        headers: fields.iter().map(field).collect(),
        pushes: Pushes::Take,
        ..Config::default()
    }
}

impl Phone {
    /// A handset with a session. Its socket is connected, so it receives only datagrams from
    /// `gateway`.
    pub(crate) async fn connect(gateway: SocketAddr, capabilities: Option<Capabilities>) -> Self {
        Self::connect_with(gateway, config(capabilities)).await
    }

    pub(crate) async fn connect_with(gateway: SocketAddr, config: Config) -> Self {
        let mut phone = Self::switched_on(gateway, config).await;
        phone.connect_again().await;
        phone
    }

    pub(crate) async fn connect_again(&mut self) {
        match self.try_to_connect().await {
            Event::Connected(_) => {}
            other => panic!("no session: {other:?}"),
        }
    }

    pub(crate) async fn try_to_connect(&mut self) -> Event {
        self.handset.connect(self.clock.now());
        self.event().await
    }

    /// A handset that has sent no datagram yet.
    pub(crate) async fn switched_on(gateway: SocketAddr, config: Config) -> Self {
        let any = match gateway {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Self::switched_on_at(any, gateway, config).await
    }

    /// The same with an address of its own.
    pub(crate) async fn switched_on_at(own: IpAddr, gateway: SocketAddr, config: Config) -> Self {
        let socket = UdpSocket::bind((own, 0)).await.unwrap();
        socket.connect(gateway).await.unwrap();
        let peer = Peer::new(gateway, socket.local_addr().unwrap());
        let clock = Clock::start();
        Self {
            handset: Handset::new(config, peer, clock::seed().unwrap(), clock.now()),
            socket,
            clock,
            peer,
            sent: Vec::new(),
            received: 0,
        }
    }

    pub(crate) async fn get(&mut self, uri: &str) -> Reply {
        self.ask(Method::GET, uri, &[], b"").await
    }

    pub(crate) async fn post(&mut self, uri: &str, media_type: &str, body: &[u8]) -> Reply {
        self.ask(Method::POST, uri, &[("Content-Type", media_type)], body)
            .await
    }

    /// A request and its reply.
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        uri: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let ticket = self.begin(method, uri, headers, body).await;
        match self.event().await {
            Event::Replied(answered, reply) if answered == ticket => reply,
            other => panic!("{uri}: {other:?}"),
        }
    }

    /// A request, without waiting for anything.
    pub(crate) async fn begin(
        &mut self,
        method: Method,
        uri: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Ticket {
        let headers: Vec<(String, String)> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let request = Request {
            method,
            uri,
            headers: &headers,
            body,
        };
        let ticket = self.handset.request(self.clock.now(), &request);
        self.say().await;
        ticket
    }

    pub(crate) async fn abort(&mut self, ticket: Ticket) {
        self.handset.abort(self.clock.now(), ticket);
        self.say().await;
    }

    pub(crate) async fn suspend(&mut self) {
        self.handset.suspend(self.clock.now());
        self.say().await;
    }

    /// Gets another port and resumes its session from there.
    pub(crate) async fn move_on(&mut self) {
        let gateway = self.socket.peer_addr().unwrap();
        let any = self.socket.local_addr().unwrap().ip();
        self.socket = UdpSocket::bind((any, 0)).await.unwrap();
        self.socket.connect(gateway).await.unwrap();
        self.peer = Peer::new(gateway, self.socket.local_addr().unwrap());
        self.handset.resume(self.clock.now(), self.peer);
        match self.event().await {
            Event::Connected(_) => {}
            other => panic!("not resumed: {other:?}"),
        }
    }

    /// The next event. The handset acknowledges and retransmits meanwhile.
    pub(crate) async fn event(&mut self) -> Event {
        let patience = tokio::time::Instant::now() + Duration::from_secs(30);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            self.say().await;
            if let Some(event) = self.handset.poll_event() {
                return event;
            }
            let wake = self.handset.poll_timeout();
            let wake = wake.map_or(patience, |at| self.clock.system(at).into());
            tokio::select! {
                len = self.socket.recv(&mut buffer) => {
                    self.received += 1;
                    let (now, peer) = (self.clock.now(), self.peer);
                    self.handset.handle_datagram(now, peer, &buffer[..len.unwrap()]);
                }
                () = tokio::time::sleep_until(wake.min(patience)) => {
                    assert!(tokio::time::Instant::now() < patience, "the gateway is silent");
                    self.handset.handle_timeout(self.clock.now());
                }
            }
        }
    }

    async fn say(&mut self) {
        let mut datagram = Vec::new();
        while self.handset.poll_transmit(&mut datagram).is_some() {
            self.socket.send(&datagram).await.unwrap();
            self.sent.push(std::mem::take(&mut datagram));
        }
    }
}
