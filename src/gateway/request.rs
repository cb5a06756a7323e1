//! WSP to HTTP: builds the upstream request from a WSP method invocation. Pure functions.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{
    ACCEPT, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, MAX_FORWARDS, VIA,
};

use crate::gateway::answer::{Problem, Refused};
use crate::gateway::header_cache::{Fields, HeaderCache};
use crate::gateway::record::recorded_method;
use crate::gateway::settings::{HeaderRules, Unassigned};
use crate::gateway::uaprof;
use crate::route::FieldNames;
use crate::wsp::header::{self, CodePage, Field, FieldError};
use crate::wsp::method::Invocation;
use crate::wsp::multipart::{self, MultipartError};
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
            // CONNECT asks for a connection, and WSP has none.
            http::Method::from_bytes(name.as_bytes())
                .ok()
                .filter(|method| *method != http::Method::CONNECT)
                .ok_or(Problem::UnknownMethod)?
        }
    })
}

/// The method of an invocation as records name it.
pub(super) fn recorded(invocation: &Invocation) -> http::Method {
    match (method(invocation), invocation.extended.as_deref()) {
        (Ok(method), None) => method,
        (_, Some(name)) => recorded_method(name),
        (Err(_), None) => recorded_method(&invocation.method.to_string()),
    }
}

/// The HTTP fields of an invocation. A method's own field replaces the session's of the same name.
/// Hop-by-hop fields are left out; `Via` is added, and `Accept: */*` where the handset named no
/// types.
pub(super) fn headers(
    invocation: &Invocation,
    rules: &HeaderRules,
    header_cache: &mut HeaderCache,
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
    let body = invocation.body.as_ref().map_or(0, Bytes::len);
    collect(block, body, pages, rules, &mut own)?;
    // Trailers come after the body. The request is sent as a whole, so the origin gets them before
    // it.
    collect(&invocation.trailers, body, pages, rules, &mut own)?;

    let session = match &invocation.client {
        None => None,
        Some(client) => {
            let address = invocation.peer.remote.ip();
            let decode = || {
                let mut fields = Fields::new();
                collect(&client.headers, 0, pages, rules, &mut fields)?;
                fields.shrink_to_fit();
                Ok(fields)
            };
            let ready = |fields: &Fields| ready(fields, rules);
            Some(header_cache.fields(client.serial, address, decode, ready)?)
        }
    };
    let ready = session.and_then(|session| session.ready.as_ref());
    let depends = |(name, _): &(HeaderName, _)| *name == CONNECTION || uaprof::concerns(name);
    let mut all = match ready.filter(|_| !own.iter().any(depends)) {
        Some(ready) => with_own(ready, own, rules),
        None => merged(
            session.map_or(&[][..], |session| &session.fields),
            own,
            rules,
        ),
    };
    if !all.contains_key(ACCEPT) {
        all.insert(ACCEPT, HeaderValue::from_static("*/*"));
    }
    all.append(VIA, HeaderValue::from_static(VIA_VALUE));
    Ok(all)
}

/// The session's fields as they go upstream with every method that has no `Connection` and no
/// profile of its own; `None` if the session itself has a `Connection`, which may name fields of
/// methods.
fn ready(session: &Fields, rules: &HeaderRules) -> Option<HeaderMap> {
    if session.iter().any(|(name, _)| *name == CONNECTION) {
        return None;
    }
    let mut ready = HeaderMap::with_capacity(session.len() + 2 * ROOM);
    for (name, value) in session {
        ready.append(name, value.clone());
    }
    uaprof::rename(&mut ready);
    rules.drop_to_origin.remove_from(&mut ready);
    Some(ready)
}

/// The session's fields with those of a method, which replace them.
fn merged(session: &[(HeaderName, HeaderValue)], own: Fields, rules: &HeaderRules) -> HeaderMap {
    let mut all = HeaderMap::with_capacity(session.len() + own.len() + ROOM);
    for (name, value) in session {
        if !own.iter().any(|(other, _)| other == name) {
            all.append(name, value.clone());
        }
    }
    for (name, value) in own {
        all.append(name, value);
    }
    drop_named_by_connection(&mut all);
    uaprof::rename(&mut all);
    rules.drop_to_origin.remove_from(&mut all);
    all
}

/// The result of [`merged`], from the session's fields as they are [`ready`].
fn with_own(ready: &HeaderMap, own: Fields, rules: &HeaderRules) -> HeaderMap {
    let mut all = ready.clone();
    for (name, _) in &own {
        all.remove(name);
    }
    for (name, value) in own {
        if !rules.drop_to_origin.mean(name.as_str()) {
            all.append(name, value);
        }
    }
    all
}

/// The body. A binary multipart becomes MIME, and the content type changes with it.
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
    let (content_type, body) = multipart::to_mime(content_type, body, seed()).map_err(|error| {
        let problem = match error {
            MultipartError::Amplified => Problem::RequestTooLarge,
            _ => Problem::BadRequest,
        };
        Refused {
            detail: Some(format!("the multipart body: {error}")),
            ..problem.into()
        }
    })?;
    let content_type = HeaderValue::from_str(&content_type).map_err(|_| Problem::BadRequest)?;
    headers.insert(CONTENT_TYPE, content_type);
    Ok(body.into())
}

/// Decodes a block of WSP fields into HTTP fields. Hop-by-hop fields are left out, except
/// `Connection`, which names further ones.
///
/// A field with an invalid value is left out, and so, by the rules' default, is one with an
/// unassigned number. A block that cannot be decoded to its end is an error. So are a page that was
/// not agreed on and more than [`MOST_FIELDS`] fields. `body` is the number of octets of the
/// body.
fn collect(
    block: &[u8],
    body: usize,
    pages: &[CodePage],
    rules: &HeaderRules,
    into: &mut Fields,
) -> Result<(), Refused> {
    let skip = rules.unassigned == Unassigned::Skip;
    for field in header::fields(block, pages).with_body(body) {
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
        if THIS_HOP.mean(name.as_str()) {
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

/// Removes the fields that never leave the gateway towards the origin, however spelt.
pub(super) fn drop_of_this_hop(headers: &mut HeaderMap) {
    THIS_HOP.remove_from(headers);
}

/// Applies Max-Forwards to a request (RFC 9110 7.6.2): the request may go on, with one less, or
/// ends here. The field has a meaning for OPTIONS and TRACE only.
pub(super) fn may_forward(method: &http::Method, headers: &mut HeaderMap) -> bool {
    if *method != http::Method::OPTIONS && *method != http::Method::TRACE {
        return true;
    }
    let text = headers
        .get(MAX_FORWARDS)
        .and_then(|value| value.to_str().ok());
    let Some(left) = text.and_then(|text| text.trim().parse::<u64>().ok()) else {
        return true;
    };
    let Some(left) = left.checked_sub(1) else {
        return false;
    };
    headers.insert(MAX_FORWARDS, HeaderValue::from(left));
    true
}

/// Removes `Connection` and the fields that it names.
pub(super) fn drop_named_by_connection(headers: &mut HeaderMap) {
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

/// Fields that the gateway and the route add, in most requests.
const ROOM: usize = 6;

/// The most fields that a request may have, and its session likewise. Handsets send some dozen,
/// origins accept about a hundred, and `HeaderMap` panics beyond its own maximum.
pub(super) const MOST_FIELDS: usize = 256;

/// Fields that never leave the gateway towards the origin, in lower case: the hop-by-hop fields of
/// HTTP, WSP's own (WSP 8.4.4), and the framing, which the HTTP client sets. `Connection` is
/// removed after the fields it names. Proxy-Authorization is for the gateway, which is the
/// handset's proxy.
static THIS_HOP: LazyLock<FieldNames> = LazyLock::new(|| THIS_HOP_NAMES.into());

const THIS_HOP_NAMES: &[&str] = &[
    "content-length",
    "encoding-version",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The field by which a handset asks for the time (WSP 8.4.2.71).
pub(super) const X_WAP_TOD: HeaderName = HeaderName::from_static("x-wap-tod");

/// How the gateway names itself to both sides (RFC 9110 7.6.3).
pub(super) const VIA_VALUE: &str = "WSP/1.0 wapbridge";

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(fields: &[(&'static str, &'static str)]) -> Fields {
        let field = |(name, value): &(&'static str, &'static str)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn fields_that_are_ready_are_merged_like_others() {
        let mut rules = HeaderRules::default();
        rules
            .drop_to_origin
            .push(HeaderName::from_static("x-drop*"));
        let session = fields(&[
            ("accept", "a/b"),
            ("accept", "c/d"),
            ("user-agent", "phone"),
            ("profile", "http://p/"),
            ("x-drop-it", "1"),
        ]);
        let ready = ready(&session, &rules).unwrap();
        for own in [
            fields(&[]),
            fields(&[
                ("content-type", "t/t"),
                ("x-drop-too", "1"),
                ("x_drop", "1"),
            ]),
            fields(&[
                ("accept", "e/f"),
                ("accept", "g/h"),
                ("user-agent", "other"),
            ]),
        ] {
            let expected = merged(&session, own.clone(), &rules);
            assert_eq!(with_own(&ready, own, &rules), expected);
        }
        let connection = fields(&[("connection", "x-y")]);
        assert!(super::ready(&connection, &rules).is_none());
    }
}
