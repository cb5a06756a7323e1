//! Applies a route's reverse mapping to a reply: `Location`, `Content-Location` and RespURI.

use std::fmt::Write as _;

use http::header::{CONTENT_LOCATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};

use crate::gateway::fetch::Reply;
use crate::route::ReverseMapping;
use crate::syncml::content::MediaType;
use crate::syncml::resp_uri;

/// Replaces upstream addresses in a reply's `Location`, `Content-Location` and RespURI.
pub(super) fn apply(mapping: &ReverseMapping, reply: &mut Reply) {
    for name in [LOCATION, CONTENT_LOCATION] {
        let back = reply
            .headers
            .get(&name)
            .and_then(|value| mapping.map_reference(&reference(value.as_bytes())))
            .and_then(|back| HeaderValue::try_from(back).ok());
        if let Some(back) = back {
            reply.headers.insert(name, back);
        }
    }
    if text(&reply.headers, &CONTENT_TYPE).is_some_and(|it| MediaType::parse(it).is_some())
        && let Some(body) = resp_uri::rewrite(&reply.body, |uri| mapping.map(uri))
    {
        reply.body = body.into();
    }
}

/// A URI reference in ASCII: other octets are escaped, in any charset.
fn reference(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for octet in octets {
        match octet.is_ascii() {
            true => text.push(char::from(*octet)),
            false => drop(write!(text, "%{octet:02X}")),
        }
    }
    text
}

fn text<'h>(headers: &'h HeaderMap, name: &http::HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_beyond_ascii_are_escaped() {
        assert_eq!(reference(b"/caf\xE9"), "/caf%E9");
        assert_eq!(reference("/caf\u{e9}?a=%20".as_bytes()), "/caf%C3%A9?a=%20");
    }
}
