//! The HTTP binding: requests of handsets that speak HTTP, and their replies (TS 27.103 5.3). Pure
//! functions.

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HOST, RETRY_AFTER, VIA};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, Version};

use crate::gateway::answer::{Problem, Refused};
use crate::gateway::fetch::Reply;
use crate::gateway::record::Binding;
use crate::gateway::settings::HeaderRules;
use crate::gateway::{reply, request};
use crate::route::{FieldNames, NextMessage};
use crate::wdp::Peer;

/// The shell's name for a request over HTTP, unique within its gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HttpId(pub u64);

/// A whole request over HTTP. The shell has removed the framing and checked the head's grammar.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// The protocol in which the handset asked: HTTP, or OBEX whose objects the shell turned into
    /// requests.
    pub binding: Binding,
    /// The service that a client of OBEX connected to.
    pub obex_target: Option<String>,
    /// Where the server of the SyncML session wants the message, for a client of OBEX, which has no
    /// URIs: from the extensions of the response to an earlier message.
    pub next_message: Option<NextMessage>,
    /// The two ends of the TCP connection.
    pub peer: Peer,
    /// A trusted proxy sent it, for a handset behind it.
    pub by_proxy: bool,
    /// The connection speaks TLS.
    pub secured: bool,
    /// The version that the handset speaks.
    pub version: Version,
    /// GET, POST and so on.
    pub method: Method,
    /// The request target: absolute, or a path.
    pub target: Uri,
    /// All fields.
    pub headers: HeaderMap,
    /// The body; `None` for a request without one.
    pub body: Option<Bytes>,
}

/// The URI of a request: its target, with the scheme of the connection and the authority of `Host`
/// if the target has none (RFC 9112 3.3). CONNECT names host and port only; routes match it as the
/// `https` URI of that server.
pub(super) fn absolute(request: &HttpRequest) -> Bytes {
    let target = &request.target;
    if let (&Method::CONNECT, Some(server)) = (&request.method, target.authority()) {
        return Bytes::from(format!("https://{server}/"));
    }
    if target.scheme().is_some() {
        return Bytes::from(target.to_string());
    }
    let host = request
        .headers
        .get(HOST)
        .map_or(&b""[..], HeaderValue::as_bytes);
    let path = target.path_and_query().map_or("/", |path| path.as_str());
    let scheme: &[u8] = match request.secured {
        true => b"https://",
        false => b"http://",
    };
    let mut uri = Vec::with_capacity(scheme.len() + host.len() + path.len());
    uri.extend_from_slice(scheme);
    uri.extend_from_slice(host);
    // The asterisk of OPTIONS stands for the server itself.
    uri.extend_from_slice(if path == "*" { b"/" } else { path.as_bytes() });
    uri.into()
}

/// The fields that go upstream: end-to-end fields, `Via`, and `Accept: */*` where the handset names
/// no types.
pub(super) fn headers(
    mut headers: HeaderMap,
    version: Version,
    rules: &HeaderRules,
) -> Result<HeaderMap, Refused> {
    if headers.len() > request::MOST_FIELDS {
        return Err(Refused {
            detail: Some(format!(
                "it has more than {} header fields",
                request::MOST_FIELDS
            )),
            ..Problem::BadRequest.into()
        });
    }
    request::drop_named_by_connection(&mut headers);
    request::drop_of_this_hop(&mut headers);
    rules.drop_to_origin.remove_from(&mut headers);
    if !headers.contains_key(ACCEPT) {
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    }
    let via = match version {
        Version::HTTP_10 => VIA_10,
        _ => VIA_11,
    };
    headers.append(VIA, HeaderValue::from_static(via));
    Ok(headers)
}

/// The reply of an origin, without the fields of `drop`.
pub(super) fn encode(reply: &Reply, method: &Method, drop: &FieldNames) -> Response<Bytes> {
    let status = StatusCode::from_u16(reply::status(reply.status));
    let mut response = Response::new(match *method {
        Method::HEAD => Bytes::new(),
        _ => reply.body.clone(),
    });
    *response.status_mut() = status.unwrap_or(StatusCode::BAD_GATEWAY);
    let fields = response.headers_mut();
    for (name, value) in &reply.headers {
        if name == CONTENT_TYPE || reply::crosses(name, &reply.headers) && !drop.mean(name.as_str())
        {
            fields.append(name, value.clone());
        }
    }
    // The length of the body that a GET would bring.
    if let (&Method::HEAD, Some(length)) = (method, reply.headers.get(CONTENT_LENGTH)) {
        fields.insert(CONTENT_LENGTH, length.clone());
    }
    fields.append(VIA, HeaderValue::from_static(VIA_11));
    response
}

/// The gateway's own reply: a status and a short text.
pub(super) fn problem(refused: &Refused) -> Response<Bytes> {
    let problem = refused.problem;
    let mut response = Response::new(Bytes::from_static(problem.text().as_bytes()));
    let status = StatusCode::from_u16(problem.status());
    *response.status_mut() = status.unwrap_or(StatusCode::BAD_GATEWAY);
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if let Some(allow) = refused.allow.as_deref()
        && let Ok(allow) = HeaderValue::from_str(allow)
    {
        fields.insert(ALLOW, allow);
    }
    if let Some(seconds) = problem.retry_after() {
        fields.insert(RETRY_AFTER, HeaderValue::from_static(seconds));
    }
    response
}

/// How the gateway names itself to both sides (RFC 9110 7.6.3).
const VIA_11: &str = "1.1 wapbridge";
const VIA_10: &str = "1.0 wapbridge";
