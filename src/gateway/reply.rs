//! HTTP to WSP: encodes the Reply PDU of an origin's reply or of the gateway's own. Pure functions.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Method, StatusCode};

use crate::gateway::answer::Problem;
use crate::gateway::fetch::Reply;
use crate::route::FieldNames;
use crate::wsp::header::{self, CodePage, Encoder, EncodingVersion};
use crate::wsp::multipart;
use crate::wsp::pdu::{self, Pdu};
use crate::wsp::status;

/// How a client's reply headers are encoded.
#[derive(Clone, Debug)]
pub(super) struct ReplyEncoding {
    /// The newest encoding version that the client understands.
    pub(super) version: EncodingVersion,
    /// The extension code pages that the session negotiated.
    pub(super) pages: Box<[CodePage]>,
    /// Whether each reply names the version: in connectionless mode no session has negotiated it.
    pub(super) names_version: bool,
    /// Whether each reply has the length of its body.
    pub(super) names_length: bool,
}

impl ReplyEncoding {
    /// A block that begins with a content type, and the version if replies name it and there is
    /// room.
    fn block(&self, content_type: &str, has_room: bool) -> (Encoder<'_>, Vec<u8>) {
        let mut out = Vec::with_capacity(128);
        header::encode_content_type(self.version, content_type, &mut out);
        let mut encoder = Encoder::new(self.version).with_pages(&self.pages);
        if self.names_version && has_room {
            encoder.encoding_version(&mut out);
        }
        (encoder, out)
    }
}

/// Whether a client with this User-Agent needs the length of a body: browsers of Openwave reject a
/// page without it.
pub(super) fn needs_length(user_agent: &[u8]) -> bool {
    [&b"UP.Browser"[..], b" UP/"]
        .iter()
        .any(|mark| user_agent.windows(mark.len()).any(|window| window == *mark))
}

/// The handset's status for an origin's status. Statuses about the connection between gateway and
/// origin are replaced:
///
/// - 1xx as the last status would leave the handset waiting;
/// - 305 would send it to a proxy of the origin's choice (RFC 9110 15.4.6);
/// - 407 would make it ask its user for a login to the gateway, which the origin cannot check.
#[must_use]
pub(super) fn status(status: StatusCode) -> u16 {
    match status.as_u16() {
        100..=199 | 305 | 407 => 502,
        status => status,
    }
}

/// The Reply PDU of an origin's reply, without the fields of `drop`.
///
/// Where it has more than `max` octets, the fields that a handset can do without are left out as
/// well, and the encoding version, which the page is worth more than (WSP 8.4.2.70).
///
/// # Errors
/// [`Problem::ReplyTooLarge`] when that does not help, with the sizes in words.
pub(super) fn encode(
    reply: &Reply,
    method: &Method,
    encoding: &ReplyEncoding,
    drop: &FieldNames,
    max: Option<usize>,
) -> Result<Bytes, (Problem, String)> {
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
        // RFC 9110 8.3 for a body without a type.
        None => "application/octet-stream",
    };
    // A body that is not MIME after all passes as it is: the handset may know better.
    let turned = if multipart::is_mime(content_type) && !body.is_empty() {
        multipart::from_mime(encoding.version, content_type, body).ok()
    } else {
        None
    };
    let (content_type, body) = turned
        .as_ref()
        .map_or((content_type, body), |(content_type, body)| {
            (content_type, body)
        });
    let length = match (method, reply.headers.get(CONTENT_LENGTH)) {
        // The length of the body that a GET would bring.
        (&Method::HEAD, Some(length)) => Some(length.as_bytes().to_vec()),
        (&Method::HEAD, None) => None,
        _ => encoding
            .names_length
            .then(|| body.len().to_string().into_bytes()),
    };
    let mut fields: Vec<_> = reply
        .headers
        .iter()
        .filter(|(name, _)| crosses(name, &reply.headers) && !drop.mean(name.as_str()))
        .collect();
    let mut sizes = (0, 0);
    for least in Importance::ALL {
        fields.retain(|(name, _)| importance(name) >= least);
        let (mut encoder, mut headers) = encoding.block(content_type, least < Importance::Needed);
        for (name, value) in &fields {
            encoder.field(name.as_str(), value.as_bytes(), &mut headers);
        }
        if let Some(length) = &length {
            encoder.field("content-length", length, &mut headers);
        }
        let mut sdu = Vec::with_capacity(headers.len() + body.len() + 8);
        Pdu::Reply(pdu::Reply {
            status: status::from_http(status(reply.status)),
            headers: &headers,
            data: body,
        })
        .encode(&mut sdu);
        if max.is_none_or(|max| sdu.len() <= max) {
            return Ok(sdu.into());
        }
        sizes = (body.len(), headers.len());
    }
    let (body, headers) = sizes;
    let max = max.unwrap_or_default();
    let detail = format!(
        "the reply has {body} octets of body and at least {headers} of header fields; the handset takes {max} in all"
    );
    Err((Problem::ReplyTooLarge, detail))
}

/// How much a handset needs a field of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Importance {
    /// WSP has no number for the name, so it costs the most.
    Unknown,
    /// Information about the origin.
    Remark,
    /// Directions to a cache.
    Cache,
    /// The reply means something else without it.
    Needed,
}

impl Importance {
    /// In the order in which they are left out.
    const ALL: [Self; 4] = [Self::Unknown, Self::Remark, Self::Cache, Self::Needed];
}

fn importance(name: &HeaderName) -> Importance {
    match name.as_str() {
        "accept-ranges" | "allow" | "public" | "server" | "vary" | "via" => Importance::Remark,
        "age" | "cache-control" | "date" | "etag" | "expires" | "last-modified" | "pragma" => {
            Importance::Cache
        }
        "content-base"
        | "content-disposition"
        | "content-encoding"
        | "content-id"
        | "content-language"
        | "content-location"
        | "content-md5"
        | "content-range"
        | "location"
        | "profile-warning"
        | "retry-after"
        | "set-cookie"
        | "set-cookie2"
        | "warning"
        | "www-authenticate"
        | "x-syncml-hmac" => Importance::Needed,
        name if name.starts_with("x-wap-") => Importance::Needed,
        _ => Importance::Unknown,
    }
}

/// The fields that followed the body, as a block.
pub(super) fn trailers(reply: &Reply, encoding: &ReplyEncoding, drop: &FieldNames) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(encoding.version).with_pages(&encoding.pages);
    for (name, value) in reply.trailers.iter().flat_map(|trailers| trailers.iter()) {
        if crosses(name, &reply.headers) && !drop.mean(name.as_str()) {
            encoder.field(name.as_str(), value.as_bytes(), &mut out);
        }
    }
    out
}

/// The Reply PDU of the gateway's own reply: a status and a short text. Encoding problems name the
/// supported version, or the refused `page`; method problems name the methods of `allow`.
pub(super) fn problem(
    problem: Problem,
    encoding: &ReplyEncoding,
    page: Option<u8>,
    allow: Option<&str>,
    max: Option<usize>,
) -> Bytes {
    let (mut encoder, mut headers) = encoding.block("text/plain", true);
    match page {
        Some(page) => encoder.refuse_page(page, &mut headers),
        None if problem == Problem::Encoding && !encoding.names_version => {
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

/// Whether a field goes to the handset: hop-by-hop fields and fields with another place in the PDU
/// do not.
pub(super) fn crosses(name: &HeaderName, all: &HeaderMap) -> bool {
    if *name == CONTENT_TYPE || THIS_HOP.contains(&name.as_str()) {
        return false;
    }
    !all.get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case(name.as_str()))
}

/// Fields that never leave the gateway towards the handset, in lower case. A login to a proxy is
/// the gateway's to ask for.
const THIS_HOP: &[&str] = &[
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn reply(fields: &[(&'static str, &str)], body: usize) -> Reply {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        Reply {
            status: StatusCode::OK,
            headers,
            body: vec![b'x'; body].into(),
            trailers: None,
        }
    }

    fn encoding() -> ReplyEncoding {
        ReplyEncoding {
            version: EncodingVersion::V1_3,
            pages: Box::default(),
            names_version: false,
            names_length: false,
        }
    }

    /// The names of the fields of a Reply PDU.
    fn names(sdu: &[u8]) -> Vec<String> {
        let Ok(Pdu::Reply(reply)) = Pdu::decode(sdu) else {
            panic!("{sdu:02x?}");
        };
        let (_, block) = header::decode_content_type(reply.headers).unwrap();
        header::fields(block, &[])
            .map(|field| field.unwrap().name.to_lowercase())
            .collect()
    }

    #[test]
    fn fields_that_only_browsers_of_the_web_understand_do_not_cross() {
        let policy = "p".repeat(1_600);
        let fields = [
            ("content-type", "text/plain"),
            ("content-security-policy", &*policy),
            ("content-security-policy-report-only", "x"),
            ("access-control-allow-origin", "*"),
            ("cross-origin-opener-policy", "x"),
            ("strict-transport-security", "max-age=1"),
            ("nel", "{}"),
            ("etag", "\"1\""),
        ];
        let drop = crate::gateway::HeaderRules::default().drop_to_handset;
        let sdu = encode(
            &reply(&fields, 300),
            &Method::GET,
            &encoding(),
            &drop,
            Some(1_400),
        );
        assert_eq!(names(&sdu.unwrap()), ["etag"]);
    }

    #[test]
    fn the_least_useful_fields_go_first_where_room_is_short() {
        let long = "v".repeat(40);
        let fields = [
            ("content-type", "text/plain"),
            ("x-trace", &*long),
            ("server", &*long),
            ("etag", &*long),
            ("location", "http://h/"),
        ];
        let encode = |max| {
            encode(
                &reply(&fields, 100),
                &Method::GET,
                &encoding(),
                &FieldNames::default(),
                Some(max),
            )
        };
        let left = |max| names(&encode(max).unwrap());
        assert_eq!(left(400), ["x-trace", "server", "etag", "location"]);
        assert_eq!(left(240), ["server", "etag", "location"]);
        assert_eq!(left(170), ["etag", "location"]);
        assert_eq!(left(130), ["location"]);
        let (problem, detail) = encode(100).unwrap_err();
        assert_eq!(problem, Problem::ReplyTooLarge);
        assert!(
            detail.starts_with("the reply has 100 octets of body"),
            "{detail}"
        );
        assert!(detail.ends_with("takes 100 in all"), "{detail}");
    }

    #[test]
    fn a_page_is_worth_more_than_the_encoding_version() {
        let tells = ReplyEncoding {
            names_version: true,
            ..encoding()
        };
        let page = reply(
            &[("content-type", "text/plain"), ("location", "http://h/")],
            100,
        );
        let encode = |max| {
            let all = FieldNames::default();
            encode(&page, &Method::GET, &tells, &all, Some(max))
        };
        let named = encode(1_000).unwrap();
        assert_eq!(names(&named), ["encoding-version", "location"]);
        assert_eq!(names(&encode(named.len() - 1).unwrap()), ["location"]);
    }

    #[test]
    fn a_length_goes_to_browsers_that_need_it() {
        let tells = ReplyEncoding {
            names_length: true,
            ..encoding()
        };
        let page = reply(&[("content-type", "text/plain")], 12);
        let sdu = encode(&page, &Method::GET, &tells, &FieldNames::default(), None).unwrap();
        assert_eq!(names(&sdu), ["content-length"]);
        assert!(needs_length(b"SIE-S45/00 UP.Browser/5.0.1.1"));
        assert!(needs_length(b"Alcatel-BE3/1.0 UP/4.1.8d"));
        assert!(!needs_length(b"Nokia7110/1.0 (04.67)"));
    }

    #[test]
    fn what_concerns_the_gateway_and_its_origin_is_a_bad_gateway() {
        for (origin, handset) in [(101, 502), (305, 502), (407, 502), (401, 401), (307, 307)] {
            assert_eq!(status(StatusCode::from_u16(origin).unwrap()), handset);
        }
        let login = reply(
            &[("content-type", "*/*"), ("proxy-authenticate", "Basic")],
            0,
        );
        let sdu = encode(
            &login,
            &Method::GET,
            &encoding(),
            &FieldNames::default(),
            None,
        )
        .unwrap();
        assert!(names(&sdu).is_empty());
    }
}
