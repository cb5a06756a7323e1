//! A handset's WSP client, without I/O.
//!
//! The command-line tools, the demo, the load generator and the simulator use the same struct. Its
//! interface is that of the gateway's core: primitives and `handle_*` in, `poll_*` out.

use std::collections::VecDeque;

use bytes::Bytes;
use hashbrown::HashMap;

use crate::random::{Keyed, Random};
use crate::time::Instant;
use crate::wdp::{Peer, Transmit};
use crate::wsp::capability::{self, Capabilities, ProtocolOptions};
use crate::wsp::header::{self, EncodingVersion};
use crate::wsp::pdu::{self, Method, Pdu};
use crate::wsp::{AbortReason, status};
use crate::wtp::{self, Class, Endpoint, Fragment, Handle};

/// Settings of a handset.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Its transaction layer.
    pub wtp: wtp::Config,
    /// Capabilities in its Connect; `None` sends no capabilities, as the simplest handsets do.
    pub capabilities: Option<Capabilities>,
    /// Its session headers, as HTTP names and values.
    pub headers: Vec<(String, String)>,
    /// Treatment of pushes.
    pub pushes: Pushes,
    /// Headers of its acknowledgements, if Acknowledgement Headers were negotiated.
    pub acknowledgement: Vec<(String, String)>,
}

/// A handset's treatment of pushes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pushes {
    /// Pushes are refused with this reason.
    Refuse(AbortReason),
    /// Pushes are ignored: they get no answer.
    #[default]
    Unwanted,
    /// Pushes become events.
    Take,
}

/// A push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Whether it was a confirmed push. Its confirmation is sent.
    pub confirmed: bool,
    /// The content type.
    pub content_type: String,
    /// The other headers, in their order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Bytes,
}

/// The name of one request of one handset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// GET, POST and so on.
    pub method: Method,
    /// The absolute URI.
    pub uri: &'a str,
    /// Headers besides the session's. A `Content-Type` among them becomes the content type of the
    /// body.
    pub headers: &'a [(String, String)],
    /// The body of methods that carry one.
    pub body: &'a [u8],
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status as an HTTP status code.
    pub status: u16,
    /// The content type.
    pub content_type: String,
    /// The other headers, in their order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The headers that followed the body.
    pub trailers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Bytes,
}

/// An event of a handset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The session is up.
    Connected(Capabilities),
    /// The session was refused with a status.
    Refused(u16),
    /// The gateway redirects the handset: flags and addresses of the Redirect PDU.
    Redirected(u8, Bytes),
    /// A push.
    Pushed(Pushed),
    /// The session could not be set up.
    ConnectFailed(Failure),
    /// A request was answered.
    Replied(Ticket, Reply),
    /// A request ended without an answer.
    Failed(Ticket, Failure),
    /// The gateway ended the session.
    Disconnected,
}

/// The reason why a request or a Connect ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The gateway aborted the transaction with a WSP reason.
    #[error("the gateway aborted it: {0}")]
    Aborted(AbortReason),
    /// WTP aborted the transaction, here or in the gateway.
    #[error("{0}")]
    Transaction(wtp::AbortReason),
    /// The PDU is no answer to the request.
    #[error("the gateway's answer cannot be read")]
    Malformed,
    /// The handset has no session.
    #[error("there is no session")]
    NoSession,
}

/// A handset.
#[derive(Debug)]
pub struct Handset {
    config: Config,
    peer: Peer,
    wtp: Endpoint,
    session: Option<u32>,
    negotiated: Capabilities,
    connecting: Option<Handle>,
    requests: HashMap<Handle, Ticket, Keyed>,
    confirmed: Option<Ticket>,
    /// Incomplete replies in several data units: the units so far.
    partial: HashMap<Handle, (Bytes, Vec<u8>), Keyed>,
    events: VecDeque<Event>,
    next_ticket: u64,
}

impl Handset {
    /// A handset that talks over `peer`: `remote` is the gateway.
    #[must_use]
    pub fn new(config: Config, peer: Peer, seed: u64, now: Instant) -> Self {
        Self {
            wtp: Endpoint::new(config.wtp.clone(), seed, now),
            config,
            peer,
            session: None,
            negotiated: Capabilities::default(),
            connecting: None,
            requests: HashMap::with_hasher(Random::new(seed).hasher()),
            confirmed: None,
            partial: HashMap::with_hasher(Random::new(seed).hasher()),
            events: VecDeque::new(),
            next_ticket: 0,
        }
    }

    /// S-Connect.req.
    pub fn connect(&mut self, now: Instant) {
        let mut capabilities = Vec::new();
        if let Some(wanted) = &self.config.capabilities {
            capability::encode_request(wanted, &mut capabilities);
        }
        let headers = encode(&self.config.headers);
        let mut sdu = Vec::new();
        Pdu::Connect(pdu::Connect {
            version: pdu::VERSION,
            capabilities: &capabilities,
            headers: &headers,
        })
        .encode(&mut sdu);
        self.connecting = self
            .wtp
            .invoke(now, self.peer, Class::Two, true, sdu.into())
            .ok();
        if self.connecting.is_none() {
            self.events
                .push_back(Event::ConnectFailed(Failure::NoSession));
        }
    }

    /// S-MethodInvoke.req.
    pub fn request(&mut self, now: Instant, request: &Request<'_>) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let content_type = request
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .map_or("application/octet-stream", |(_, value)| value);
        let with_body = request.method.has_body();
        let mut headers = Vec::new();
        if with_body {
            header::encode_content_type(ENCODING, content_type, &mut headers);
        }
        for (name, value) in request.headers {
            if !name.eq_ignore_ascii_case("content-type") {
                header::encode_field(ENCODING, name, value.as_bytes(), &mut headers);
            }
        }
        let uri = request.uri.as_bytes();
        let method = request.method;
        let mut sdu = Vec::with_capacity(uri.len() + headers.len() + request.body.len() + 8);
        if with_body {
            Pdu::Post(pdu::Post {
                method,
                uri,
                headers: &headers,
                data: request.body,
            })
            .encode(&mut sdu);
        } else {
            Pdu::Get(pdu::Get {
                method,
                uri,
                headers: &headers,
            })
            .encode(&mut sdu);
        }
        match self.invoke(now, sdu.into()) {
            Ok(handle) => {
                self.requests.insert(handle, ticket);
            }
            Err(_) => self
                .events
                .push_back(Event::Failed(ticket, Failure::NoSession)),
        }
        ticket
    }

    /// TR-Invoke.req of a method: in several data units if the method is too large for one, and
    /// Large Data Transfer was negotiated.
    fn invoke(&mut self, now: Instant, mut sdu: Bytes) -> Result<Handle, wtp::Refused> {
        let unit = self.negotiated.server_sdu as usize;
        let several = self.negotiated.options.has(ProtocolOptions::LARGE_DATA) && unit > 0;
        if !several || sdu.len() <= unit {
            return self.wtp.invoke(now, self.peer, Class::Two, true, sdu);
        }
        let place = |more| Fragment {
            more,
            frame_boundary: false,
        };
        let first = sdu.split_to(unit);
        let handle =
            self.wtp
                .invoke_fragment(now, self.peer, Class::Two, true, first, place(true))?;
        while !sdu.is_empty() {
            let next = sdu.split_to(unit.min(sdu.len()));
            let more = !sdu.is_empty();
            self.wtp.invoke_data(now, handle, next, place(more));
        }
        Ok(handle)
    }

    /// S-MethodAbort.req: the answer is no longer wanted.
    pub fn abort(&mut self, now: Instant, ticket: Ticket) {
        let found = self
            .requests
            .iter()
            .find(|(_, other)| **other == ticket)
            .map(|(handle, _)| *handle);
        if let Some(handle) = found {
            self.requests.remove(&handle);
            self.wtp.abort(now, handle, AbortReason::PEERREQ.0);
        }
    }

    /// S-Disconnect.req.
    pub fn disconnect(&mut self, now: Instant) {
        if let Some(session_id) = self.session.take() {
            self.invoke_unconfirmed(now, Pdu::Disconnect { session_id });
        }
    }

    /// S-Suspend.req.
    pub fn suspend(&mut self, now: Instant) {
        if let Some(session_id) = self.session {
            self.invoke_unconfirmed(now, Pdu::Suspend { session_id });
        }
    }

    /// S-Resume.req, from another address of ours.
    pub fn resume(&mut self, now: Instant, peer: Peer) {
        self.resume_with(now, peer, &[]);
    }

    /// The same, with headers that replace those of the session.
    pub fn resume_with(&mut self, now: Instant, peer: Peer, fields: &[(String, String)]) {
        self.peer = peer;
        let Some(session_id) = self.session else {
            self.events
                .push_back(Event::ConnectFailed(Failure::NoSession));
            return;
        };
        let mut sdu = Vec::new();
        Pdu::Resume(pdu::Resume {
            session_id,
            headers: &encode(fields),
        })
        .encode(&mut sdu);
        self.connecting = self
            .wtp
            .invoke(now, self.peer, Class::Two, true, sdu.into())
            .ok();
    }

    /// A datagram arrived.
    pub fn handle_datagram(&mut self, now: Instant, peer: Peer, payload: &[u8]) {
        self.wtp.handle_datagram(now, peer, payload);
        self.run(now);
    }

    /// The moment of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.wtp.handle_timeout(now);
        self.run(now);
    }

    /// Appends the next datagram to `buf`.
    pub fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<Transmit> {
        self.wtp.poll_transmit(buf)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The time at which [`handle_timeout`](Self::handle_timeout) is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.wtp.poll_timeout()
    }

    /// The transaction layer's counters.
    #[must_use]
    pub const fn stats(&self) -> &wtp::Stats {
        self.wtp.stats()
    }

    /// The request with the latest hold-on acknowledgement of the gateway.
    #[must_use]
    pub const fn confirmed(&self) -> Option<Ticket> {
        self.confirmed
    }

    /// Whether the session is up.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.session.is_some()
    }

    /// Whether no transaction is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.wtp.transactions() == 0
    }

    /// Sends a class 0 PDU: once, unconfirmed.
    fn invoke_unconfirmed(&mut self, now: Instant, pdu: Pdu<'_>) {
        let mut sdu = Vec::new();
        pdu.encode(&mut sdu);
        // A refusal means too many transactions. WSP has to expect the loss of a class 0 PDU in any
        // case.
        let _ = self
            .wtp
            .invoke(now, self.peer, Class::Zero, false, sdu.into());
    }

    fn run(&mut self, now: Instant) {
        while let Some(indication) = self.wtp.poll_indication() {
            match indication {
                wtp::Indication::Result {
                    handle,
                    data,
                    fragment,
                } if fragment.more => {
                    self.partial.insert(handle, (data, Vec::new()));
                }
                wtp::Indication::Result { handle, data, .. } => {
                    self.acknowledge(now, handle);
                    self.result(handle, &data, None);
                }
                wtp::Indication::ResultData {
                    handle,
                    data,
                    fragment,
                } => self.result_data(now, handle, data, fragment),
                wtp::Indication::Abort { handle, reason, .. } => self.aborted(handle, reason),
                wtp::Indication::Invoke {
                    handle,
                    class,
                    data,
                    ..
                } => self.invoked(now, handle, class, &data),
                wtp::Indication::InvokeConfirmed { handle, .. } => {
                    self.confirmed = self.requests.get(&handle).copied().or(self.confirmed);
                }
                wtp::Indication::ResultConfirmed { .. } | wtp::Indication::InvokeData { .. } => {}
            }
        }
    }

    /// TR-ResultData.ind: raw octets of the body, or the last octets with the headers after them.
    fn result_data(&mut self, now: Instant, handle: Handle, data: Bytes, fragment: Fragment) {
        let Some((first, mut rest)) = self.partial.remove(&handle) else {
            return;
        };
        if fragment.more {
            rest.extend_from_slice(&data);
            self.partial.insert(handle, (first, rest));
            return;
        }
        self.acknowledge(now, handle);
        let mut trailers = Bytes::new();
        match Pdu::decode(&data) {
            Ok(Pdu::DataFragment(last)) if fragment.frame_boundary => {
                rest.extend_from_slice(last.data);
                trailers = data.slice_ref(last.headers);
            }
            _ => rest.extend_from_slice(&data),
        }
        let mut whole = first.to_vec();
        whole.extend_from_slice(&rest);
        self.result(handle, &whole.into(), Some(&trailers));
    }

    /// TR-Result.res.
    fn acknowledge(&mut self, now: Instant, handle: Handle) {
        let exit_info = self.exit_info();
        self.wtp.acknowledge(now, handle, &exit_info);
    }

    /// Exit info in the last acknowledgement of a result or a push.
    fn exit_info(&self) -> Vec<u8> {
        let option = ProtocolOptions::ACKNOWLEDGEMENT_HEADERS;
        match self.negotiated.options.has(option) {
            true => encode(&self.config.acknowledgement),
            false => Vec::new(),
        }
    }

    /// TR-Result.ind, whole.
    fn result(&mut self, handle: Handle, data: &Bytes, trailers: Option<&[u8]>) {
        let pdu = Pdu::decode(data);
        let wanted = self.config.capabilities.clone().unwrap_or_default();
        if self.connecting == Some(handle) {
            self.connecting = None;
            self.events.push_back(match pdu {
                Ok(Pdu::ConnectReply(reply)) => {
                    match capability::decode_reply(&wanted, reply.capabilities) {
                        Ok(agreed) => {
                            self.session = Some(reply.session_id);
                            self.negotiated = agreed.clone();
                            Event::Connected(agreed)
                        }
                        Err(_) => Event::ConnectFailed(Failure::Malformed),
                    }
                }
                // The answer to a Resume is a Reply.
                Ok(Pdu::Reply(reply))
                    if self.session.is_some() && status::to_http(reply.status) == Some(200) =>
                {
                    Event::Connected(self.negotiated.clone())
                }
                Ok(Pdu::Redirect(redirect)) => {
                    Event::Redirected(redirect.flags, data.slice_ref(redirect.addresses))
                }
                Ok(Pdu::Reply(reply)) => {
                    Event::Refused(status::to_http(reply.status).unwrap_or(500))
                }
                _ => Event::ConnectFailed(Failure::Malformed),
            });
        } else if let Some(ticket) = self.requests.remove(&handle) {
            let reply = match pdu {
                Ok(Pdu::Reply(reply)) => read_reply(data, &reply, trailers.unwrap_or_default()),
                _ => None,
            };
            self.events.push_back(match reply {
                Some(reply) => Event::Replied(ticket, reply),
                None => Event::Failed(ticket, Failure::Malformed),
            });
        }
    }

    /// TR-Abort.ind.
    fn aborted(&mut self, handle: Handle, reason: wtp::AbortReason) {
        let failure = match reason {
            wtp::AbortReason::User(octet) => Failure::Aborted(AbortReason(octet)),
            other => Failure::Transaction(other),
        };
        if self.connecting == Some(handle) {
            self.connecting = None;
            self.events.push_back(Event::ConnectFailed(failure));
        } else if let Some(ticket) = self.requests.remove(&handle) {
            self.partial.remove(&handle);
            if failure == Failure::Aborted(AbortReason::DISCONNECT) {
                self.session = None;
            }
            self.events.push_back(Event::Failed(ticket, failure));
        }
    }

    /// TR-Invoke.ind: the gateway may end the session, or push.
    fn invoked(&mut self, now: Instant, handle: Handle, class: Class, data: &Bytes) {
        match Pdu::decode(data) {
            Ok(Pdu::Disconnect { session_id }) if self.session == Some(session_id) => {
                self.session = None;
                self.events.push_back(Event::Disconnected);
            }
            Ok(Pdu::Push(push)) if class == Class::Zero => self.pushed(data, &push, false),
            Ok(Pdu::ConfirmedPush(push)) if class == Class::One => match self.config.pushes {
                Pushes::Take => {
                    let exit_info = self.exit_info();
                    self.wtp.accept(now, handle, &exit_info);
                    self.pushed(data, &push, true);
                }
                Pushes::Refuse(reason) => self.wtp.abort(now, handle, reason.0),
                Pushes::Unwanted => self.wtp.abort(now, handle, AbortReason::USERRFS.0),
            },
            _ if class != Class::Zero => self.wtp.abort(now, handle, AbortReason::PROTOERR.0),
            _ => {}
        }
    }

    fn pushed(&mut self, data: &Bytes, push: &pdu::Push<'_>, confirmed: bool) {
        if self.config.pushes != Pushes::Take {
            return;
        }
        if let Ok((content_type, rest)) = header::decode_content_type(push.headers) {
            self.events.push_back(Event::Pushed(Pushed {
                confirmed,
                content_type: content_type.into_owned(),
                headers: decode(rest, push.data.len()),
                body: data.slice_ref(push.data),
            }));
        }
    }
}

fn read_reply(data: &Bytes, reply: &pdu::Reply<'_>, trailers: &[u8]) -> Option<Reply> {
    let (content_type, rest) = header::decode_content_type(reply.headers).ok()?;
    Some(Reply {
        status: status::to_http(reply.status)?,
        content_type: content_type.to_string(),
        headers: decode(rest, reply.data.len()),
        trailers: decode(trailers, reply.data.len()),
        body: data.slice_ref(reply.data),
    })
}

/// The fields of a block of headers, for a body of this length.
fn decode(block: &[u8], body: usize) -> Vec<(String, Vec<u8>)> {
    header::fields(block, &[])
        .with_body(body)
        .filter_map(Result::ok)
        .map(|field| (field.name.into_owned(), field.value.into_owned()))
        .collect()
}

fn encode(fields: &[(String, String)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        header::encode_field(ENCODING, name, value.as_bytes(), &mut block);
    }
    block
}

/// The encoding version of a handset that names none.
const ENCODING: EncodingVersion = EncodingVersion::V1_2;
