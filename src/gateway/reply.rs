//! HTTP to WSP: an origin's answer becomes the Reply PDU a handset is given. Pure functions.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Method};

use crate::gateway::answer::Problem;
use crate::gateway::fetch::Reply;
use crate::wsp::header::{self, CodePage, Encoder, EncodingVersion};
use crate::wsp::multipart;
use crate::wsp::pdu::{self, Pdu};
use crate::wsp::status;

/// Who reads a reply.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    /// The newest header encoding it understands.
    pub(super) version: EncodingVersion,
    /// The extension pages its session agreed on.
    pub(super) pages: Box<[CodePage]>,
    /// Whether each reply names the version, since there is no session to have said it.
    pub(super) is_told: bool,
}

impl Reader {
    /// A block that begins with a content type.
    fn block(&self, content_type: &str) -> (Encoder<'_>, Vec<u8>) {
        let mut out = Vec::with_capacity(128);
        header::encode_content_type(self.version, content_type, &mut out);
        let mut encoder = Encoder::new(self.version).with_pages(&self.pages);
        if self.is_told {
            encoder.encoding_version(&mut out);
        }
        (encoder, out)
    }
}

/// The Reply PDU of an origin's answer, without the fields of `drop`.
///
/// # Errors
/// [`Problem::ReplyTooLarge`] when it has more than `max` octets.
pub(super) fn encode(
    reply: &Reply,
    method: &Method,
    reader: &Reader,
    drop: &[HeaderName],
    max: Option<usize>,
) -> Result<Bytes, Problem> {
    let body: &[u8] = if method == Method::HEAD {
        &[]
    } else {
        &reply.body
    };
    let content_type = match reply
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    {
        Some(content_type) => content_type,
        None if body.is_empty() => "*/*",
        // What RFC 9110 8.3 says of a body without a type.
        None => "application/octet-stream",
    };
    // What is no MIME after all passes as it is: its reader may know better.
    let turned = if multipart::is_mime(content_type) && !body.is_empty() {
        multipart::from_mime(reader.version, content_type, body).ok()
    } else {
        None
    };
    let (content_type, body) = turned
        .as_ref()
        .map_or((content_type, body), |(content_type, body)| {
            (content_type, body)
        });
    let (mut encoder, mut headers) = reader.block(content_type);
    for (name, value) in &reply.headers {
        if crosses(name, &reply.headers) && !drop.contains(name) {
            encoder.field(name.as_str(), value.as_bytes(), &mut headers);
        }
    }
    // The length of what HEAD did not bring is information; of a body that is here it is a repetition.
    if let (&Method::HEAD, Some(length)) = (method, reply.headers.get(CONTENT_LENGTH)) {
        encoder.field("content-length", length.as_bytes(), &mut headers);
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

/// The fields that followed the body, as a block.
pub(super) fn trailers(reply: &Reply, reader: &Reader, drop: &[HeaderName]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(reader.version).with_pages(&reader.pages);
    for (name, value) in reply.trailers.iter().flat_map(|trailers| trailers.iter()) {
        if crosses(name, &reply.headers) && !drop.contains(name) {
            encoder.field(name.as_str(), value.as_bytes(), &mut out);
        }
    }
    out
}

/// The Reply PDU of the gateway's own answer: a status and a short text. One that is about encodings says
/// which are supported, or that `page` is not; one that is about methods names those of `allow`.
pub(super) fn problem(
    problem: Problem,
    reader: &Reader,
    page: Option<u8>,
    allow: Option<&str>,
    max: Option<usize>,
) -> Bytes {
    let (mut encoder, mut headers) = reader.block("text/plain");
    match page {
        Some(page) => encoder.refuse_page(page, &mut headers),
        None if problem == Problem::Encoding && !reader.is_told => {
            encoder.encoding_version(&mut headers);
        }
        None => {}
    }
    if let Some(allow) = allow {
        encoder.field("allow", allow.as_bytes(), &mut headers);
    }
    if let Some(seconds) = problem.retry_after() {
        encoder.field("retry-after", seconds.as_bytes(), &mut headers);
    }
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
