//! A server's two layers and a client's transaction layer, joined by a perfect network without delay.

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;
use wapbridge::time::Instant;
use wapbridge::wdp::Peer;
use wapbridge::wsp::capability::{self, Capabilities, ProtocolOptions};
use wapbridge::wsp::method::MethodId;
use wapbridge::wsp::pdu::{self, AbortReason, Pdu};
use wapbridge::wsp::push::{PushId, PushOutcome};
use wapbridge::wsp::session::{self, SessionKey};
use wapbridge::wsp::sessions::{EndReason, Indication, Sessions};
use wapbridge::wtp::{self, Class, Endpoint, Fragment, Handle};

pub(crate) struct Rig {
    now: Instant,
    server: Endpoint,
    pub(crate) sessions: Sessions,
    client: Endpoint,
    /// What the client calls its transactions.
    names: HashMap<Handle, &'static str>,
    pub(crate) handles: HashMap<&'static str, Handle>,
    pub(crate) said: Vec<String>,
    pub(crate) told: Vec<String>,
    pub(crate) key: Option<SessionKey>,
    pub(crate) method: Option<MethodId>,
}

const WHOLE: Fragment = Fragment::WHOLE;
const MORE: Fragment = Fragment {
    more: true,
    frame_boundary: false,
};

impl Rig {
    pub(crate) fn new() -> Self {
        let config = wtp::Config {
            offer_extended_sar: true,
            ..wtp::Config::ip()
        };
        let now = Instant::ZERO + std::time::Duration::from_secs(1_000);
        Self {
            now,
            server: Endpoint::new(config.clone(), 1, Instant::ZERO),
            sessions: Sessions::new(
                session::Config {
                    // Seen elsewhere; here it would hide the table of validation.
                    early_wait: std::time::Duration::ZERO,
                    serves_pushes: true,
                    ..session::Config::default()
                },
                2,
            ),
            client: Endpoint::new(config, 3, Instant::ZERO),
            names: HashMap::new(),
            handles: HashMap::new(),
            said: Vec::new(),
            told: Vec::new(),
            key: None,
            method: None,
        }
    }

    /// What was said and told so far is not part of the row.
    pub(crate) fn forget(&mut self) {
        self.said.clear();
        self.told.clear();
    }

    pub(crate) fn id(&self) -> u32 {
        self.key.map_or(77, |key| key.id)
    }

    pub(crate) fn invoke(&mut self, name: &'static str, class: Class, pdu: &Pdu<'_>) {
        let mut sdu = Vec::new();
        pdu.encode(&mut sdu);
        self.invoke_octets(name, class, sdu, WHOLE);
    }

    pub(crate) fn invoke_octets(
        &mut self,
        name: &'static str,
        class: Class,
        sdu: Vec<u8>,
        place: Fragment,
    ) {
        if let Some(old) = self.handles.remove(name) {
            self.names.insert(old, "old");
        }
        let user_ack = class != Class::Zero;
        let handle = self
            .client
            .invoke_fragment(self.now, gateway(), class, user_ack, sdu.into(), place)
            .expect("there is room");
        self.names.insert(handle, name);
        self.handles.insert(name, handle);
        self.run();
    }

    pub(crate) fn connect(&mut self, wanted: &Capabilities) {
        let mut capabilities = Vec::new();
        capability::encode_request(wanted, &mut capabilities);
        let connect = Pdu::Connect(pdu::Connect {
            version: pdu::VERSION,
            capabilities: &capabilities,
            headers: &[],
        });
        self.invoke("setup", Class::Two, &connect);
    }

    pub(crate) fn resume(&mut self) {
        let resume = Pdu::Resume(pdu::Resume {
            session_id: self.id(),
            headers: &[],
        });
        self.invoke("setup", Class::Two, &resume);
    }

    pub(crate) fn post(&mut self, body: &[u8], more: bool) {
        let mut sdu = Vec::new();
        Pdu::Post(pdu::Post {
            method: pdu::Method::POST,
            uri: b"u",
            headers: &[0x83],
            data: body,
        })
        .encode(&mut sdu);
        self.invoke_octets("method", Class::Two, sdu, if more { MORE } else { WHOLE });
    }

    pub(crate) fn more(&mut self, octets: &[u8], place: Fragment) {
        let handle = self.handles["method"];
        let data = Bytes::copy_from_slice(octets);
        self.client.invoke_data(self.now, handle, data, place);
        self.run();
    }

    pub(crate) fn acknowledge(&mut self, name: &str, exit_info: &[u8]) {
        let handle = self.handles[name];
        if name == "push" {
            self.client.accept(self.now, handle, exit_info);
        } else {
            self.client.acknowledge(self.now, handle, exit_info);
        }
        self.run();
    }

    pub(crate) fn abort(&mut self, name: &str, reason: AbortReason) {
        let handle = self.handles[name];
        self.client.abort(self.now, handle, reason.0);
        self.run();
    }

    /// A primitive of the server's user.
    pub(crate) fn user(
        &mut self,
        primitive: impl FnOnce(&mut Sessions, Instant, SessionKey, Option<MethodId>, &mut Endpoint),
    ) {
        let key = self.key.expect("a session");
        primitive(
            &mut self.sessions,
            self.now,
            key,
            self.method,
            &mut self.server,
        );
        self.run();
    }

    pub(crate) fn push(&mut self, confirmed: bool, data: &[u8]) {
        self.user(|sessions, now, key, _, wtp| {
            sessions.push(now, key, PushId(1), (confirmed, &[0x83], data), wtp);
        });
    }

    fn run(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(indication) = self.server.poll_indication() {
                self.sessions
                    .handle_indication(self.now, indication, &|_| None, &mut self.server);
                quiet = false;
            }
            while let Some(indication) = self.sessions.poll_indication() {
                self.tell(indication);
                quiet = false;
            }
            let mut buf = Vec::new();
            while self.client.poll_transmit(&mut buf).is_some() {
                self.server.handle_datagram(self.now, phone(), &buf);
                buf.clear();
                quiet = false;
            }
            while self.server.poll_transmit(&mut buf).is_some() {
                self.client.handle_datagram(self.now, gateway(), &buf);
                buf.clear();
                quiet = false;
            }
            while let Some(indication) = self.client.poll_indication() {
                self.hear(indication);
                quiet = false;
            }
            if quiet {
                return;
            }
        }
    }

    fn tell(&mut self, indication: Indication) {
        let ending = |ending| match ending {
            EndReason::Aborted(reason) => reason.to_string(),
            EndReason::Lost(reason) => reason.to_string(),
        };
        let told = match indication {
            Indication::Connect(key) => {
                self.key = Some(key);
                "Connect".to_owned()
            }
            Indication::Resume(_) => "Resume".to_owned(),
            Indication::Suspended(_, why) => format!("Suspend {}", ending(why)),
            Indication::Disconnected(_, why) => format!("Disconnect {}", ending(why)),
            Indication::Method(id, invocation) => {
                self.method = Some(id);
                let body = invocation.body.unwrap_or_default();
                let trailers = if invocation.trailers.is_empty() {
                    ""
                } else {
                    " trailers"
                };
                match body.is_empty() {
                    true => "Method".to_owned(),
                    false => format!("Method body={}{trailers}", String::from_utf8_lossy(&body)),
                }
            }
            Indication::Replied(_, headers, _) if headers.is_empty() => "Result.cnf".to_owned(),
            Indication::Replied(..) => "Result.cnf headers".to_owned(),
            Indication::Aborted(_, why, _) => format!("MethodAbort {}", ending(why)),
            Indication::Claim(..)
            | Indication::Changed(_)
            | Indication::Gone(_)
            | Indication::SubscriberChanged(_) => {
                panic!("it is alone: {indication:?}")
            }
            Indication::Pushed(_, outcome) => match outcome {
                PushOutcome::Confirmed { headers } if headers.is_empty() => "Push.cnf".to_owned(),
                PushOutcome::Confirmed { .. } => "Push.cnf headers".to_owned(),
                PushOutcome::Aborted(reason) => format!("PushAbort {reason}"),
                other => format!("Push{other:?}"),
            },
        };
        self.told.push(told);
    }

    fn hear(&mut self, indication: wtp::Indication) {
        let name = |handle: &Handle| self.names.get(handle).copied().unwrap_or("?");
        let heard = match &indication {
            wtp::Indication::Result {
                handle,
                data,
                fragment,
            } => {
                let more = if fragment.more { " MORE" } else { "" };
                format!("{}: {}{more}", name(handle), kind(data))
            }
            wtp::Indication::ResultData {
                handle,
                data,
                fragment,
            } => {
                let more = if fragment.more { " MORE" } else { "" };
                let kind = match fragment.frame_boundary {
                    true => kind(data),
                    false => "Data".to_owned(),
                };
                format!("{}: {kind}{more}", name(handle))
            }
            wtp::Indication::Abort { handle, reason, .. } => {
                let reason = match reason {
                    wtp::AbortReason::User(octet) => AbortReason(*octet).to_string(),
                    other => other.to_string(),
                };
                format!("{}: Abort {reason}", name(handle))
            }
            wtp::Indication::Invoke {
                class: Class::Zero,
                data,
                ..
            } => kind(data),
            wtp::Indication::Invoke { handle, data, .. } => {
                self.names.insert(*handle, "push");
                self.handles.insert("push", *handle);
                format!("push: {}", kind(data))
            }
            wtp::Indication::InvokeConfirmed { .. }
            | wtp::Indication::ResultConfirmed { .. }
            | wtp::Indication::InvokeData { .. } => return,
        };
        self.said.push(heard);
    }
}

/// All facilities, with or without Resume; two methods, one push.
pub(crate) fn wanted(resume: bool) -> Capabilities {
    let mut wanted = Capabilities::default()
        .with_client_sdu(64)
        .with_server_sdu(2_000);
    wanted.options = match resume {
        true => ProtocolOptions::ALL,
        false => ProtocolOptions(ProtocolOptions::ALL.0 & !ProtocolOptions::SESSION_RESUME.0),
    };
    wanted.client_message = 0;
    wanted
}

fn kind(data: &[u8]) -> String {
    pdu::Type(*data.first().expect("an octet")).to_string()
}

fn phone() -> Peer {
    Peer::new(at(49_152), at(9_201))
}

fn gateway() -> Peer {
    Peer::new(at(9_201), at(49_152))
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}
