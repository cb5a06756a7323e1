//! The URI for the next message of a SyncML session, for clients that follow no RespURI.

use std::sync::Arc;

use http::uri::PathAndQuery;

use super::Address;

/// The place of a session at its origin, by the route of its last message.
#[derive(Clone, Debug)]
pub struct SessionUri {
    /// The name of the route.
    pub(super) route: Arc<str>,
    /// The route's upstream.
    pub(super) upstream: Address,
    /// The URI of the request, the base of relative references.
    pub(super) fetched: Address,
}

/// Where the next message of a session goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextMessage {
    /// The name of the route: the message goes by no other.
    pub route: Arc<str>,
    /// The path and the query at the route's upstream.
    pub place: PathAndQuery,
}

impl SessionUri {
    /// Where the next message goes if the server named `resp_uri`. `None` for text that is no URI.
    ///
    /// A server may name itself in ways that do not lead through the gateway: by a host of its
    /// own, or by the words of the client. So the host never counts. The path counts if it is
    /// below the upstream's, the query always.
    #[must_use]
    pub fn follow(&self, resp_uri: &str) -> Option<NextMessage> {
        let named = self.fetched.resolve(resp_uri)?;
        let place = match named.has_path_below(&self.upstream) {
            true => named.path_and_query().to_owned(),
            false => self.upstream.path_with_query_of(&named),
        };
        Some(NextMessage {
            route: Arc::clone(&self.route),
            place: place.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resp_uri_is_followed_on_its_route() {
        let address = |text: &str| Address::parse(text).unwrap();
        let session = SessionUri {
            route: "ds".into(),
            upstream: address("https://a.internal:8443/app"),
            fetched: address("https://a.internal:8443/app/x/y?z"),
        };
        let follow = |resp_uri| session.follow(resp_uri).map(|next| next.place.to_string());
        for (resp_uri, place) in [
            ("https://a.internal:8443/app/r?sid=1", "/app/r?sid=1"),
            ("https://a.internal/app;jsessionid=1A", "/app;jsessionid=1A"),
            ("http://outside.example/app?sid=1", "/app?sid=1"),
            ("http://phone/words?sid=1", "/app?sid=1"),
            ("http://phone/application?sid=1", "/app?sid=1"),
            ("/app/x?sid=1", "/app/x?sid=1"),
            ("?sid=1", "/app/x/y?sid=1"),
            ("PC Suite?sid=1", "/app/x/PC%20Suite?sid=1"),
        ] {
            assert_eq!(follow(resp_uri).as_deref(), Some(place), "{resp_uri}");
        }
        for nonsense in ["IMEI:1", "https://user:pw@a.internal/app", "http://a/..%2f"] {
            assert_eq!(follow(nonsense), None, "{nonsense}");
        }
    }
}
