//! Pushes in a session over WTLS: the gateway's core above the server, a handset above the client.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use wapbridge::gateway::push::{Push, PushId, PushOutcome, To};
use wapbridge::gateway::{Command, Event, Gateway};
use wapbridge::handset::{self, Handset, Pushes};
use wapbridge::push::initiation;
use wapbridge::wdp::{Datagram, Peer, Service};
use wapbridge::wsp::capability::{Capabilities, ProtocolOptions};
use wapbridge::wtls::{ClientEvent, KeyExchange};

use super::conversation::{Conversation, everything, strong, wanting};

struct Stage {
    talk: Conversation,
    gateway: Gateway,
    handset: Handset,
    done: Vec<(PushId, PushOutcome)>,
    /// What the handset's sessions got.
    events: Vec<handset::Event>,
}

impl Stage {
    fn new() -> Self {
        let client = wanting(KeyExchange::RSA, 0, strong());
        let mut talk = Conversation::new(everything(), client);
        let open = talk.handshake();
        assert!(matches!(open, Some(ClientEvent::Open { .. })), "{open:?}");
        let mut capabilities = Capabilities::default();
        capabilities.options = ProtocolOptions::ALL;
        let config = handset::Config {
            capabilities: Some(capabilities),
            pushes: Pushes::Take,
            ..handset::Config::default()
        };
        let own = Peer {
            remote: talk.peer.local,
            local: talk.peer.remote,
        };
        let config_of_gateway = Arc::new(crate::wsp::conversation::config());
        Self {
            gateway: Gateway::new(config_of_gateway, 1, talk.now),
            handset: Handset::new(config, own, 2, talk.now),
            talk,
            done: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Carries what is under way, through WTLS in both directions.
    fn run(&mut self) {
        let own = Peer {
            remote: self.talk.peer.local,
            local: self.talk.peer.remote,
        };
        loop {
            let mut quiet = true;
            let mut buf = Vec::new();
            while self.handset.poll_transmit(&mut buf).is_some() {
                quiet = false;
                self.talk.client.send(std::mem::take(&mut buf));
            }
            self.talk.settle();
            for payload in std::mem::take(&mut self.talk.heard_by_server) {
                let datagram = Datagram {
                    peer: self.talk.peer,
                    service: Service::ConnectionMode,
                    payload: &payload,
                };
                self.gateway.handle_datagram(self.talk.now, datagram);
            }
            while self.gateway.poll_transmit(&mut buf).is_some() {
                quiet = false;
                self.talk.reply(&std::mem::take(&mut buf));
            }
            self.talk.settle();
            for payload in std::mem::take(&mut self.talk.heard_by_client) {
                self.handset.handle_datagram(self.talk.now, own, &payload);
            }
            while let Some(event) = self.gateway.poll_event() {
                if let Event::PushDone(id, outcome) = event {
                    self.done.push((id, outcome));
                }
            }
            while let Some(event) = self.handset.poll_event() {
                self.events.push(event);
            }
            if quiet {
                return;
            }
        }
    }

    fn push(&mut self, number: u64, confirmed: bool, address: IpAddr) {
        let mut headers = http::HeaderMap::new();
        headers.insert("content-type", "text/plain".parse().unwrap());
        headers.insert("x-wap-application-id", "5".parse().unwrap());
        let push = Push {
            id: PushId(number),
            to: To::Client { address, confirmed },
            headers,
            body: Bytes::from_static(b"hello"),
        };
        let command = Command::Push(Box::new(push));
        self.gateway.handle_command(self.talk.now, command);
        self.run();
    }
}

pub(crate) fn a_push_reaches_a_session_over_wtls() {
    let mut stage = Stage::new();
    stage.handset.connect(stage.talk.now);
    stage.run();
    assert!(
        matches!(stage.events.pop(), Some(handset::Event::Connected(_))),
        "{:?}",
        stage.events
    );
    let address = stage.talk.peer.remote.ip();
    for (number, confirmed) in [(1, true), (2, false)] {
        let sent = stage.talk.to_client.len();
        stage.push(number, confirmed, address);
        let outcome = match confirmed {
            true => PushOutcome::Confirmed {
                headers: Bytes::new(),
            },
            false => PushOutcome::Sent,
        };
        assert_eq!(stage.done.pop(), Some((PushId(number), outcome)));
        match stage.events.pop() {
            Some(handset::Event::Pushed(pushed)) => {
                assert_eq!(
                    (&pushed.body[..], pushed.confirmed),
                    (&b"hello"[..], confirmed)
                );
            }
            other => panic!("{other:?}"),
        }
        // Nobody on the way reads it.
        let on_the_way = &stage.talk.to_client[sent..];
        let shows = |datagram: &Vec<u8>| datagram.windows(5).any(|window| window == b"hello");
        assert!(!on_the_way.is_empty() && !on_the_way.iter().any(shows));
    }
    // A request to connect names the secure port: flags, 9203, 192.0.2.1.
    let request = initiation::request(&["5"], &["192.0.2.1:9203".parse().unwrap()]);
    assert!(request.body.ends_with(b"\x44\x23\xF3\xC0\x00\x02\x01"));
}
