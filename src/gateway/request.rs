//! WSP to HTTP: what a handset asks for becomes what the origin is asked. Pure functions.

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, VIA};

use crate::gateway::answer::Problem;
use crate::gateway::clients::Clients;
use crate::gateway::settings::{HeaderRules, Unassigned};
use crate::wsp::header::{self, CodePage, Field, FieldError};
use crate::wsp::method::Invocation;
use crate::wsp::multipart;
use crate::wsp::pdu;

/// The HTTP method of a WSP one (WSP 8.2.3, table 34).
pub(super) fn method(invocation: &Invocation) -> Result<http::Method, Refused> {
    Ok(match invocation.method {
        pdu::Method::GET => http::Method::GET,
        pdu::Method::OPTIONS => http::Method::OPTIONS,
        pdu::Method::HEAD => http::Method::HEAD,
        pdu::Method::DELETE => http::Method::DELETE,
        pdu::Method::TRACE => http::Method::TRACE,
        pdu::Method::POST => http::Method::POST,
        pdu::Method::PUT => http::Method::PUT,
        _ => {
            let name = invocation
                .extended
                .as_deref()
                .ok_or(Problem::UnknownMethod)?;
            http::Method::from_bytes(name.as_bytes()).map_err(|_| Problem::UnknownMethod)?
        }
    })
}

/// Header fields in their order.
pub(super) type Fields = Vec<(HeaderName, HeaderValue)>;

/// The HTTP fields of an invocation: the session's, overridden name by name by the method's own, without
/// what belongs to this hop, with `Via` and, if the handset named no types, an `Accept` of everything.
pub(super) fn headers(
    invocation: &Invocation,
    rules: &HeaderRules,
    clients: &mut Clients,
) -> Result<HeaderMap, Refused> {
    let mut own = Fields::new();
    let mut block = invocation.headers.as_ref();
    if invocation.body.is_some() && !block.is_empty() {
        let (content_type, rest) =
            header::decode_content_type(block).map_err(|_| Problem::BadRequest)?;
        if !content_type.is_empty() {
            let content_type =
                HeaderValue::from_str(&content_type).map_err(|_| Problem::BadRequest)?;
            own.push((CONTENT_TYPE, content_type));
        }
        block = rest;
    }
    let pages = &invocation.pages;
    collect(block, pages, rules, &mut own)?;
    // Known only once the body was; the origin is told before it, since it is sent whole.
    collect(&invocation.trailers, pages, rules, &mut own)?;

    let none = Fields::new();
    let session = match &invocation.client {
        None => &none,
        Some(client) => clients.fields(client, |client| {
            let mut fields = Fields::new();
            collect(&client.headers, pages, rules, &mut fields)?;
            fields.shrink_to_fit();
            Ok(fields)
        })?,
    };
    // With room for what the route adds.
    let mut all = HeaderMap::with_capacity(session.len() + own.len() + 6);
    for (name, value) in session {
        if !own.iter().any(|(other, _)| other == name) {
            all.append(name, value.clone());
        }
    }
    for (name, value) in own {
        all.append(name, value);
    }

    drop_named_by_connection(&mut all);
    for name in &rules.drop_to_origin {
        all.remove(name);
    }
    if !all.contains_key(ACCEPT) {
        all.insert(ACCEPT, HeaderValue::from_static("*/*"));
    }
    all.append(VIA, HeaderValue::from_static(VIA_VALUE));
    Ok(all)
}

/// The body, as MIME if it is a binary multipart; the content type is changed with it.
pub(super) fn body(
    invocation: &Invocation,
    headers: &mut HeaderMap,
    seed: impl FnOnce() -> u64,
) -> Result<Bytes, Refused> {
    let Some(body) = &invocation.body else {
        return Ok(Bytes::new());
    };
    let binary = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .filter(|content_type| multipart::is_binary(content_type));
    let Some(content_type) = binary else {
        return Ok(body.clone());
    };
    let (content_type, body) =
        multipart::to_mime(content_type, body, seed()).map_err(|error| Refused {
            detail: Some(error.to_string()),
            ..Problem::BadRequest.into()
        })?;
    let content_type = HeaderValue::from_str(&content_type).map_err(|_| Problem::BadRequest)?;
    headers.insert(CONTENT_TYPE, content_type);
    Ok(body.into())
}

/// Why a request is not forwarded.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) problem: Problem,
    /// For the operator.
    pub(super) detail: Option<String>,
    /// The code page that was not agreed on.
    pub(super) page: Option<u8>,
    /// The methods that would have been allowed, as `Allow` names them.
    pub(super) allow: Option<String>,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            detail: None,
            page: None,
            allow: None,
        }
    }
}

impl From<(Problem, Option<String>)> for Refused {
    fn from((problem, detail): (Problem, Option<String>)) -> Self {
        Self {
            detail,
            ..problem.into()
        }
    }
}

/// Decodes a block of WSP fields into HTTP ones, without those that are this hop's business, but with `Connection`:
/// it names others of them.
///
/// A field whose value makes no sense is left out, and so, by the rules' default, is one whose number nobody
/// assigned. A block that cannot be read to its end is an error, and so are a page that was not agreed on and
/// more than [`MOST_FIELDS`].
fn collect(
    block: &[u8],
    pages: &[CodePage],
    rules: &HeaderRules,
    into: &mut Fields,
) -> Result<(), Refused> {
    let skip = rules.unassigned == Unassigned::Skip;
    for field in header::fields(block, pages) {
        let Field { name, value } = match field {
            Ok(field) => field,
            Err(FieldError::Value(_)) => continue,
            Err(FieldError::Unassigned(_)) if skip => continue,
            Err(error) => {
                let (problem, page) = match error {
                    FieldError::Page { page, .. } => (Problem::Encoding, Some(page)),
                    FieldError::Unassigned(_) => (Problem::Encoding, None),
                    _ => (Problem::BadRequest, None),
                };
                return Err(Refused {
                    problem,
                    detail: Some(error.to_string()),
                    page,
                    allow: None,
                });
            }
        };
        let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(&value),
        ) else {
            continue;
        };
        if THIS_HOP.contains(&name.as_str()) {
            continue;
        }
        if into.len() >= MOST_FIELDS {
            return Err(Refused {
                detail: Some(format!("it has more than {MOST_FIELDS} header fields")),
                ..Problem::BadRequest.into()
            });
        }
        into.push((name, value));
    }
    Ok(())
}

/// Removes what one hop says to the next by the field `Connection`, and that field.
fn drop_named_by_connection(headers: &mut HeaderMap) {
    if !headers.contains_key(CONNECTION) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|token| HeaderName::from_bytes(token.trim().as_bytes()).ok())
        .collect();
    for name in named.iter().filter(|name| **name != CONTENT_TYPE) {
        headers.remove(name);
    }
    headers.remove(CONNECTION);
}

/// Fields a request may bring, and its session besides. Handsets send some dozen; origins take a hundred or
/// so, and a map of fields has an end that it panics at.
const MOST_FIELDS: usize = 256;

/// Fields that never leave the gateway towards the origin, in lower case: the list of HTTP, WSP's own (WSP 8.4.4),
/// and the framing, which is the HTTP client's business. `Connection` goes once what it names has gone.
const THIS_HOP: &[&str] = &[
    "content-length",
    "encoding-version",
    "expect",
    "host",
    "keep-alive",
    "profile",
    "profile-diff",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-wap-tod",
];

/// How the gateway names itself to both sides (RFC 9110 7.6.3).
pub(super) const VIA_VALUE: &str = "WSP/1.0 wapbridge";
