//! One request: its body is collected, a shard serves it, its response goes back.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, timeout, timeout_at};

use super::client::Client;
use super::guarded::Progress;
use super::refusal::HttpRefusal;
use super::reply_body::ReplyBody;
use super::tunnel::TunnelSlot;
use crate::gateway::http::HttpRequest;
use crate::gateway::record::Binding;
use crate::server::shard::HttpAnswer;
use crate::server::tcp::Service;
use crate::server::tcp::connections::Busy;
use crate::server::tcp::exchange::Exchange;
use crate::wdp::Peer;

/// One request and its response on a connection: over once it is dropped.
pub(super) struct Turn {
    progress: Arc<Progress>,
    /// Until the exchange keeps the connection busy.
    busy: Option<Busy>,
    exchange: Option<Exchange>,
}

impl Turn {
    pub(super) const fn new(progress: Arc<Progress>, busy: Busy) -> Self {
        Self {
            progress,
            busy: Some(busy),
            exchange: None,
        }
    }

    /// The tunnel of the request has ended.
    pub(super) const fn tunnelled(&mut self, received: u64, sent: u64) {
        if let Some(exchange) = &mut self.exchange {
            exchange.tunnelled(received, sent);
        }
    }

    /// The last octet of the response is in the socket.
    pub(super) const fn written(&mut self) {
        if let Some(exchange) = &mut self.exchange {
            exchange.written();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.progress.answered();
    }
}

/// A body that cannot be had: the status for the handset, and the text.
type Refused = (HttpRefusal, StatusCode, &'static str);

/// Answers one request. Dropped before its end, it cancels the upstream request.
pub(super) async fn answer(
    service: &Service<HttpRefusal>,
    client: Client,
    mut turn: Turn,
    tunnel: &TunnelSlot,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    let is_last = turn.progress.is_last();
    let is_connect = *request.method() == Method::CONNECT;
    let (head, body) = request.into_parts();
    let peer = client.handset(&head.headers, |address| service.is_trusted_proxy(address));
    let has_body =
        head.headers.contains_key(CONTENT_LENGTH) || head.headers.contains_key(TRANSFER_ENCODING);
    let body = match has_body {
        true => match collect(service, peer, body).await {
            Ok(body) => Some(body),
            Err((reason, status, text)) => {
                service.counters.refuse(reason);
                turn.progress.cut();
                return own(status, text, turn);
            }
        },
        false => None,
    };
    let request = HttpRequest {
        binding: Binding::Http,
        obex_target: None,
        next_message: None,
        peer,
        by_proxy: service.is_trusted_proxy(client.peer.remote.ip()),
        secured: client.secured,
        version: head.version,
        method: head.method,
        target: head.uri,
        headers: head.headers,
        body,
    };
    let begun = match turn.busy.take() {
        Some(busy) => service.begin(request, busy).await,
        None => None,
    };
    let answer = match begun {
        Some(begun) => {
            turn.exchange = Some(begun.exchange);
            begun.answered.await.ok()
        }
        None => None,
    };
    let Some(HttpAnswer {
        response,
        tunnel: connected,
    }) = answer
    else {
        let text = "The gateway is stopping.";
        return own(StatusCode::SERVICE_UNAVAILABLE, text, turn);
    };
    turn.progress.ready();
    if let Some(connected) = connected.filter(|_| response.status().is_success()) {
        turn.written();
        tunnel.fill(connected, turn);
        // A success of CONNECT has neither a body nor a length (RFC 9110 9.3.6).
        return Response::new(ReplyBody::empty());
    }
    if is_connect {
        // Octets for the tunnel may have come already.
        turn.progress.cut();
    }
    let (mut head, body) = response.into_parts();
    if is_last {
        let close = HeaderValue::from_static("close");
        head.headers.insert(CONNECTION, close);
    }
    Response::from_parts(head, ReplyBody::new(body, turn))
}

/// Collects a body within limits.
async fn collect(
    service: &Service<HttpRefusal>,
    peer: Peer,
    mut body: Incoming,
) -> Result<Bytes, Refused> {
    let max = service.max_body;
    // A chunked body may become as large as a message may be.
    let octets = body.size_hint().exact().map(usize::try_from);
    let octets = octets.map_or(max, |octets| octets.unwrap_or(max));
    let reserved = service.arrivals.reserve(peer.remote.ip(), octets);
    let Some(_reserved) = reserved else {
        let text = "The gateway is busy. Try again later.";
        return Err((HttpRefusal::NoMemory, StatusCode::SERVICE_UNAVAILABLE, text));
    };
    let mut whole = BytesMut::new();
    let deadline = Instant::now() + LONGEST_BODY;
    loop {
        let frame = timeout(service.idle_timeout, body.frame());
        let Ok(Ok(frame)) = timeout_at(deadline, frame).await else {
            let text = "The message came too slowly.";
            return Err((HttpRefusal::Slow, StatusCode::REQUEST_TIMEOUT, text));
        };
        let data = match frame {
            None => return Ok(whole.freeze()),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(_)) => {
                let text = "The message is not whole.";
                return Err((HttpRefusal::Broken, StatusCode::BAD_REQUEST, text));
            }
        };
        if whole.len() + data.len() > max {
            let text = "The message is too large.";
            return Err((
                HttpRefusal::BodyTooLarge,
                StatusCode::PAYLOAD_TOO_LARGE,
                text,
            ));
        }
        whole.extend_from_slice(&data);
    }
}

/// An answer of the listener itself, after which the connection ends.
fn own(status: StatusCode, text: &'static str, turn: Turn) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::new(Bytes::from_static(text.as_bytes()), turn));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    fields.insert(CONNECTION, HeaderValue::from_static("close"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        fields.insert(RETRY_AFTER, HeaderValue::from_static("10"));
    }
    response
}

/// Time for a whole body: 64 kB at 1 kbit/s take nine minutes.
const LONGEST_BODY: Duration = Duration::from_secs(15 * 60);
