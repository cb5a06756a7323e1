//! A request of an OBEX session, as a request over HTTP, and its answer.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Response, Uri, Version};

use crate::gateway::http::HttpRequest;
use crate::gateway::record::Binding;
use crate::obex::session::{Answer, Request};
use crate::wdp::Peer;

/// The request for a shard; `None` for a name that fits no URI.
pub(super) fn request(peer: Peer, request: Request) -> Option<HttpRequest> {
    let mut headers = HeaderMap::new();
    if let Some(media_type) = &request.media_type {
        let value = HeaderValue::from_str(media_type).ok()?;
        let name = match request.method {
            Method::GET => ACCEPT,
            _ => CONTENT_TYPE,
        };
        headers.insert(name, value);
    }
    Some(HttpRequest {
        by_proxy: false,
        binding: Binding::Obex,
        target: uri(&request.target, &request.name)?,
        obex_target: Some(request.target).filter(|target| !target.is_empty()),
        next_message: None,
        peer,
        secured: false,
        version: Version::HTTP_11,
        method: request.method,
        headers,
        body: request.body,
    })
}

/// The URI of an object.
fn uri(target: &str, name: &str) -> Option<Uri> {
    let host = match target {
        "" => "default".to_owned(),
        target => target.to_ascii_lowercase(),
    };
    let mut uri = format!("http://{host}.obex/");
    for octet in name.trim_start_matches('/').bytes() {
        match octet {
            b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(octet)),
            _ if octet.is_ascii_alphanumeric() => uri.push(char::from(octet)),
            _ => {
                let _ = write!(uri, "%{octet:02X}");
            }
        }
    }
    uri.parse().ok()
}

/// The answer for the session.
pub(super) fn answer(response: Response<Bytes>) -> Answer {
    let media_type = response.headers().get(CONTENT_TYPE);
    let media_type = media_type.and_then(|value| value.to_str().ok());
    Answer {
        status: response.status().as_u16(),
        media_type: media_type.map(str::to_owned),
        body: response.into_body(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths() {
        for (target, name, expected) in [
            ("SYNCML-SYNC", "", "http://syncml-sync.obex/"),
            (
                "IRMC-SYNC",
                "telecom/pb.vcf",
                "http://irmc-sync.obex/telecom/pb.vcf",
            ),
            (
                "",
                "/a b?c#d%2fé",
                "http://default.obex/a%20b%3Fc%23d%252f%C3%A9",
            ),
        ] {
            assert_eq!(uri(target, name).unwrap().to_string(), expected);
        }
    }
}
