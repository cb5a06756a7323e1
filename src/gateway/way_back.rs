//! Where replies say that something is: the upstream's own addresses become those that handsets reach.

use http::header::{CONTENT_LOCATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};

use crate::gateway::fetch::Reply;
use crate::route::WayBack;
use crate::syncml::content::MediaType;
use crate::syncml::resp_uri;

/// Leads a reply's `Location`, `Content-Location` and RespURI back through its route.
pub(super) fn lead(way: &WayBack, reply: &mut Reply) {
    for name in [LOCATION, CONTENT_LOCATION] {
        let back = text(&reply.headers, &name)
            .and_then(|reference| way.of_reference(reference))
            .and_then(|back| HeaderValue::try_from(back).ok());
        if let Some(back) = back {
            reply.headers.insert(name, back);
        }
    }
    if text(&reply.headers, &CONTENT_TYPE).is_some_and(|it| MediaType::parse(it).is_some())
        && let Some(body) = resp_uri::rewrite(&reply.body, |uri| way.of(uri))
    {
        reply.body = body.into();
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &http::HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
