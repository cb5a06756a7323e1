//! One row: to its state by inputs alone, its event, and what comes of it.

use std::sync::Arc;
use std::time::Duration;

use wapbridge::time::Instant;
use wapbridge::wdp::{Datagram, Peer, Service};
use wapbridge::wtls::{
    Client, ClientConfig, ClientEvent, ContentType, Endpoint, KeyExchange, MessageType, alert,
    checksum, records,
};

use super::super::conversation::{everything, strong, wanting};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Server,
    Client,
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    state: String,
    condition: String,
    event: String,
    /// What is said, what is told, the deadline, the next state.
    pub(super) outcome: [String; 4],
}

impl Row {
    pub(super) fn parse(line: &str) -> Option<Self> {
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let fields: Vec<_> = line.split('|').map(|it| it.trim().to_owned()).collect();
        let [state, condition, event, says, tells, deadline, next] =
            <[String; 7]>::try_from(fields).expect("seven columns");
        Some(Self {
            state,
            condition,
            event,
            outcome: [says, tells, deadline, next],
        })
    }
}

/// What comes of the event of a row.
pub(super) fn outcome(side: Side, row: &Row) -> [String; 4] {
    let mut walker = Walker::new(side);
    match side {
        Side::Server => walker.reach_of_server(&row.state, &row.condition),
        Side::Client => walker.reach_of_client(&row.state, &row.condition),
    }
    walker.said();
    walker.told();
    assert_eq!(walker.state(), row.state, "reached for {row:?}");
    let before = walker.deadline();
    walker.now += Duration::from_millis(100);
    match side {
        Side::Server => walker.event_of_server(&row.event),
        Side::Client => walker.event_of_client(&row.event),
    }
    let or_none = |text: String| match text.is_empty() {
        true => "-".to_owned(),
        false => text,
    };
    let (told, said) = (walker.told(), walker.said());
    let interval = Duration::from_secs(if side == Side::Server { 60 } else { 2 });
    let deadline = match walker.deadline() {
        None => "none".to_owned(),
        after if after == before => "kept".to_owned(),
        Some(at) if at == walker.now + interval => match side {
            Side::Server => "H".to_owned(),
            Side::Client => "R".to_owned(),
        },
        other => format!("{other:?}"),
    };
    [or_none(said), or_none(told), deadline, walker.state()]
}

struct Walker {
    side: Side,
    client: Client,
    server: Endpoint,
    now: Instant,
    /// The last datagram of each kind.
    hello: Vec<u8>,
    flight: Vec<u8>,
    data: Vec<u8>,
    said_by_server: Vec<u8>,
    said_by_client: Vec<u8>,
    /// Words for what the end of the row said otherwise than by its queue.
    extra: String,
}

fn peer() -> Peer {
    Peer::new(
        "10.0.0.7:40000".parse().unwrap(),
        "192.0.2.1:9203".parse().unwrap(),
    )
}

fn config() -> ClientConfig {
    ClientConfig {
        max_retries: 2,
        ..wanting(KeyExchange::DH_ANON_512, 1, strong())
    }
}

impl Walker {
    fn new(side: Side) -> Self {
        Self {
            side,
            client: Client::new(config(), [1; 32]),
            server: Endpoint::new(Arc::new(everything()), [2; 32], None),
            now: Instant::from_micros(1_000_000),
            hello: Vec::new(),
            flight: Vec::new(),
            data: Vec::new(),
            said_by_server: Vec::new(),
            said_by_client: Vec::new(),
            extra: String::new(),
        }
    }

    fn state(&self) -> String {
        match self.side {
            Side::Server => self.server.state_name(peer()).to_owned(),
            Side::Client => self.client.state_name().to_owned(),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.side {
            Side::Server => self.server.handshake_deadline(peer()),
            Side::Client => self.client.poll_timeout(),
        }
    }

    fn send_to_server(&mut self, payload: &[u8]) {
        let datagram = Datagram {
            peer: peer(),
            service: Service::SecureConnectionMode,
            payload,
        };
        self.server.handle_datagram(self.now, datagram);
    }

    fn send_to_client(&mut self, payload: &[u8]) {
        self.client.handle_datagram(self.now, payload);
    }

    fn received_of_client(&mut self) -> Vec<u8> {
        let mut last = Vec::new();
        while let Some(datagram) = self.client.poll_transmit() {
            last = datagram;
        }
        if !last.is_empty() {
            self.said_by_client.clone_from(&last);
        }
        last
    }

    fn received_of_server(&mut self) -> Vec<u8> {
        let (mut last, mut buf) = (Vec::new(), Vec::new());
        while self.server.poll_transmit(&mut buf).is_some() {
            last = std::mem::take(&mut buf);
        }
        if !last.is_empty() {
            self.said_by_server.clone_from(&last);
        }
        last
    }

    /// Carries one datagram of each end to the other until both are silent.
    fn settle(&mut self) {
        loop {
            let said = self.received_of_client();
            if !said.is_empty() {
                self.send_to_server(&said);
            }
            let answer = self.received_of_server();
            if !answer.is_empty() {
                self.send_to_client(&answer);
            }
            if said.is_empty() && answer.is_empty() {
                return;
            }
        }
    }

    fn begin(&mut self) {
        self.client.connect(self.now);
        self.hello = self.received_of_client();
    }

    fn seal(&mut self) -> Option<Vec<u8>> {
        let mut buf = Vec::new();
        self.server.seal(self.now, peer(), b"data", &mut buf)?;
        self.said_by_server.clone_from(&buf);
        Some(buf)
    }

    /// A connection, data both ways, and its end: what is left is the session.
    fn make_session(&mut self) {
        self.begin();
        let hello = self.hello.clone();
        self.send_to_server(&hello);
        self.settle();
        self.client.send(b"data".to_vec());
        self.settle();
        self.client.close();
        self.settle();
        self.told();
    }

    fn reach_of_server(&mut self, state: &str, condition: &str) {
        match state {
            "NULL" if condition == "session" => self.make_session(),
            "NULL" => {}
            "EXCHANGE" => {
                self.begin();
                let hello = self.hello.clone();
                self.send_to_server(&hello);
                self.received_of_server();
            }
            "COMMIT" => {
                self.make_session();
                self.reach_of_server("EXCHANGE", "-");
            }
            "OPENING" => {
                self.reach_of_server("EXCHANGE", "-");
                self.event_of_server("flight");
                let answer = self.received_of_server();
                self.send_to_client(&answer);
            }
            "OPEN" if condition == "abbreviated" => {
                self.reach_of_server("COMMIT", "-");
                self.event_of_server("flight");
            }
            "OPEN" => {
                self.reach_of_server("OPENING", "-");
                self.event_of_server("data");
            }
            "OPEN, COMMIT" | "OPEN, EXCHANGE" => {
                self.reach_of_server("OPEN", "-");
                if state == "OPEN, EXCHANGE" {
                    self.client.forget_session();
                }
                self.event_of_server("ClientHello");
                self.received_of_server();
            }
            _ => panic!("no way to {state}"),
        }
        if condition == "no session" {
            self.client.forget_session();
        }
    }

    fn event_of_server(&mut self, event: &str) {
        match event {
            "ClientHello" => {
                self.begin();
                let hello = self.hello.clone();
                self.send_to_server(&hello);
            }
            "ClientHello again" => {
                let hello = self.hello.clone();
                self.send_to_server(&hello);
            }
            "ClientHello refused" => {
                let wanted = wanting(KeyExchange::ECDH_ANON, 5, strong());
                let mut other = Client::new(wanted, [3; 32]);
                other.connect(self.now);
                let hello = other.poll_transmit().unwrap();
                self.send_to_server(&hello);
            }
            "flight" | "flight and data" | "flight changed" | "flight without ChangeCipherSpec" => {
                if event == "flight and data" {
                    self.client.send(b"data".to_vec());
                }
                let theirs = self.said_by_server.clone();
                self.send_to_client(&theirs);
                let mut flight = self.received_of_client();
                match event {
                    "flight changed" => *flight.last_mut().unwrap() ^= 1,
                    "flight without ChangeCipherSpec" => {
                        let (parts, _) = records(&flight);
                        let kept = |part: &&wapbridge::wtls::Record<'_>| {
                            part.content_type != ContentType::ChangeCipherSpec
                        };
                        let parts = parts.iter().filter(kept).map(|part| part.octets);
                        flight = parts.collect::<Vec<_>>().concat();
                    }
                    _ => {}
                }
                self.send_to_server(&flight);
                self.flight = flight;
            }
            "flight again" => {
                let flight = self.flight.clone();
                self.send_to_server(&flight);
            }
            // The client puts its Finished in front until it hears something.
            "flight again and data" | "data" => {
                self.client.send(b"data".to_vec());
                self.data = self.received_of_client();
                let data = self.data.clone();
                self.send_to_server(&data);
            }
            "data again" => {
                let data = self.data.clone();
                self.send_to_server(&data);
            }
            "data changed" => {
                self.client.send(b"data".to_vec());
                let mut data = self.received_of_client();
                *data.last_mut().unwrap() ^= 1;
                self.send_to_server(&data);
            }
            "data of a stranger" => {
                self.send_to_server(&[0xE4, 0, 9, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
            }
            "close" | "close session" => {
                match event {
                    "close" => self.client.close(),
                    _ => self.client.close_session(),
                }
                let said = self.received_of_client();
                self.send_to_server(&said);
            }
            "SEC-Create-Request.req" => {
                self.server.request_handshake(peer());
            }
            "SEC-Unitdata.req" => {
                if let Some(sealed) = self.seal() {
                    self.extra = words(&sealed);
                }
            }
            "deadline" => {
                self.now = self.server.handshake_deadline(peer()).unwrap();
                self.server.handle_timeout(self.now);
            }
            _ => {
                let octets = clear_alert(event, &self.said_by_server);
                self.send_to_server(&octets);
            }
        }
    }

    fn reach_of_client(&mut self, state: &str, condition: &str) {
        if condition.starts_with("session") || state == "OPENING" {
            self.make_session();
        }
        match state {
            "NULL" => {}
            "CREATING" => {
                self.begin();
                let hello = self.hello.clone();
                self.send_to_server(&hello);
            }
            "COMMIT2" => {
                self.reach_of_client("CREATING", "-");
                self.event_of_client("flight");
                self.flight.clone_from(&self.said_by_server);
                let said = self.received_of_client();
                self.send_to_server(&said);
            }
            "OPENING" => {
                self.begin();
                let hello = self.hello.clone();
                self.send_to_server(&hello);
                self.event_of_client("flight");
                self.flight.clone_from(&self.said_by_server);
                let said = self.received_of_client();
                self.send_to_server(&said);
            }
            "OPEN" => {
                self.reach_of_client("COMMIT2", "-");
                self.event_of_client("flight");
                self.event_of_client("SEC-Unitdata.req");
                let said = self.received_of_client();
                self.send_to_server(&said);
                self.event_of_client("data");
            }
            _ => panic!("no way to {state}"),
        }
        if condition.ends_with("data waits") {
            self.client.send(b"data".to_vec());
        }
        if condition == "last repetition" {
            for _ in 0..2 {
                self.event_of_client("timer");
                self.received_of_client();
            }
        }
    }

    fn event_of_client(&mut self, event: &str) {
        match event {
            "SEC-Create.req" => self.client.connect(self.now),
            "SEC-Unitdata.req" => self.client.send(b"data".to_vec()),
            "SEC-Terminate.req" => self.client.close(),
            "flight" | "flight changed" => {
                let mut flight = self.received_of_server();
                if event == "flight changed" {
                    *flight.last_mut().unwrap() ^= 1;
                }
                self.send_to_client(&flight);
            }
            "flight again" => {
                let flight = self.flight.clone();
                self.send_to_client(&flight);
            }
            "data" => {
                let sealed = self.seal().unwrap();
                self.send_to_client(&sealed);
            }
            "data again" => {
                let sealed = self.said_by_server.clone();
                self.send_to_client(&sealed);
            }
            "data changed" => {
                let mut sealed = self.seal().unwrap();
                *sealed.last_mut().unwrap() ^= 1;
                self.send_to_client(&sealed);
            }
            "HelloRequest" => {
                assert!(self.server.request_handshake(peer()));
                let said = self.received_of_server();
                self.send_to_client(&said);
            }
            "duplicate_finished_received" => {
                let finished = self.said_by_client.clone();
                self.send_to_server(&finished);
                let said = self.received_of_server();
                self.send_to_client(&said);
            }
            "timer" => {
                self.now = self.client.poll_timeout().unwrap();
                self.client.handle_timeout(self.now);
            }
            _ => {
                let octets = clear_alert(event, &self.said_by_client);
                self.send_to_client(&octets);
            }
        }
    }

    /// What the end of the row said.
    fn said(&mut self) -> String {
        let octets = match self.side {
            Side::Server => self.received_of_server(),
            Side::Client => self.received_of_client(),
        };
        let extra = std::mem::take(&mut self.extra);
        match octets.is_empty() {
            true => extra,
            false => words(&octets) + &extra,
        }
    }

    /// What its user was told.
    fn told(&mut self) -> String {
        let mut told = Vec::new();
        match self.side {
            Side::Server => {
                while let Some(opened) = self.server.poll_datagram() {
                    assert_eq!(opened.payload, b"data");
                    told.push("data");
                }
                while self.client.poll_event().is_some() {}
            }
            Side::Client => {
                while let Some(event) = self.client.poll_event() {
                    told.push(match event {
                        ClientEvent::Open { .. } => "Open",
                        ClientEvent::Failed(_) => "Failed",
                    });
                }
                while self.client.poll_datagram().is_some() {
                    told.push("data");
                }
                while self.server.poll_datagram().is_some() {}
            }
        }
        told.join(" ")
    }
}

/// An alert in clear text about the last record of a datagram.
fn clear_alert(event: &str, about: &[u8]) -> Vec<u8> {
    let (level, description) = match event {
        "Alert warning" => (1, 90),
        "Alert critical" => (2, 80),
        "Alert fatal" | "Alert with another checksum" => (3, 40),
        "no_connection" => (3, 5),
        _ => panic!("no such event: {event}"),
    };
    let (parts, _) = records(about);
    let mut sum = parts.last().map_or([0; 4], |part| checksum(part.octets));
    if event == "Alert with another checksum" {
        sum[0] ^= 1;
    }
    let mut octets = vec![0xC2, 0xFF, 0xFF, 0, 6, level, description];
    octets.extend_from_slice(&sum);
    octets
}

/// The records of a datagram in words.
fn words(datagram: &[u8]) -> String {
    let (parts, malformed) = records(datagram);
    assert!(!malformed);
    let mut changed = false;
    let names: Vec<&str> = parts
        .iter()
        .map(|part| match (part.content_type, part.is_ciphered()) {
            (ContentType::ChangeCipherSpec, _) => {
                changed = true;
                "ChangeCipherSpec"
            }
            (ContentType::Alert, false) => alert(part.fragment).unwrap().1.description.name(),
            (ContentType::Alert, true) => "Alert",
            (ContentType::Handshake, true) if changed => "Finished",
            (ContentType::Handshake, true) => "HelloRequest",
            (ContentType::Handshake, false) => match MessageType(part.fragment[0]) {
                MessageType::CLIENT_HELLO => "ClientHello",
                MessageType::SERVER_HELLO => "ServerHello",
                MessageType::SERVER_KEY_EXCHANGE => "ServerKeyExchange",
                MessageType::SERVER_HELLO_DONE => "ServerHelloDone",
                MessageType::CLIENT_KEY_EXCHANGE => "ClientKeyExchange",
                other => panic!("{other:?}"),
            },
            (ContentType::ApplicationData, _) => "data",
        })
        .collect();
    names.join(" ")
}
