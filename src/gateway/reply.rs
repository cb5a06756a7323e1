//! HTTP to WSP: an origin's answer becomes the Reply PDU a handset is given. Pure functions.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Method};

use crate::gateway::answer::Problem;
use crate::gateway::fetch::Reply;
use crate::wsp::header::{self, EncodingVersion};
use crate::wsp::pdu::{self, Pdu};
use crate::wsp::status;

/// The Reply PDU of an origin's answer.
///
/// # Errors
/// [`Problem::ReplyTooLarge`] when it has more than `max` octets.
pub(super) fn encode(
    reply: &Reply,
    method: &Method,
    version: EncodingVersion,
    max: Option<usize>,
) -> Result<Bytes, Problem> {
    let body: &[u8] = if method == Method::HEAD {
        &[]
    } else {
        &reply.body
    };
    let mut headers = Vec::with_capacity(128);
    match reply
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    {
        Some(content_type) => header::encode_content_type(version, content_type, &mut headers),
        None if body.is_empty() => header::encode_content_type(version, "*/*", &mut headers),
        // What RFC 9110 8.3 says of a body without a type.
        None => header::encode_content_type(version, "application/octet-stream", &mut headers),
    }
    for (name, value) in &reply.headers {
        if crosses(name, &reply.headers) {
            header::encode_field(version, name.as_str(), value.as_bytes(), &mut headers);
        }
    }
    // The length of what HEAD did not bring is information; of a body that is here it is a repetition.
    if let (&Method::HEAD, Some(length)) = (method, reply.headers.get(CONTENT_LENGTH)) {
        header::encode_field(version, "content-length", length.as_bytes(), &mut headers);
    }
    let mut sdu = Vec::with_capacity(headers.len() + body.len() + 8);
    Pdu::Reply(pdu::Reply {
        status: status::from_http(reply.status.as_u16()),
        headers: &headers,
        data: body,
    })
    .encode(&mut sdu);
    if max.is_some_and(|max| sdu.len() > max) {
        return Err(Problem::ReplyTooLarge);
    }
    Ok(sdu.into())
}

/// The Reply PDU of the gateway's own answer: a status and a short text.
pub(super) fn problem(problem: Problem, version: EncodingVersion, max: Option<usize>) -> Bytes {
    let mut headers = Vec::with_capacity(8);
    header::encode_content_type(version, "text/plain", &mut headers);
    let text = problem.text().as_bytes();
    // A handset with a tiny SDU still gets the status.
    let data = if max.is_some_and(|max| headers.len() + text.len() + 4 > max) {
        &[]
    } else {
        text
    };
    let mut sdu = Vec::with_capacity(headers.len() + data.len() + 4);
    Pdu::Reply(pdu::Reply {
        status: status::from_http(problem.status()),
        headers: &headers,
        data,
    })
    .encode(&mut sdu);
    sdu.into()
}

/// Whether a field is for the handset: neither this hop's business nor said elsewhere in the PDU.
fn crosses(name: &HeaderName, all: &HeaderMap) -> bool {
    if *name == CONTENT_TYPE || THIS_HOP.contains(&name.as_str()) {
        return false;
    }
    !all.get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case(name.as_str()))
}

/// Fields that never leave the gateway towards the handset, in lower case.
const THIS_HOP: &[&str] = &[
    "alt-svc",
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
