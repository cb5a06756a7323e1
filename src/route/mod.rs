//! Routes: a request to its upstream, or to a refusal.
//!
//! The gateway is no open proxy: a URI that no route matches is never fetched.

mod address;
mod binding;
mod condition;
mod field_name;
mod headers;
mod host_policy;
mod network;
mod networks;
mod protocol;
mod reverse_mapping;
mod session_uri;
mod uri_secrets;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Uri};

use crate::syncml::content;

pub use address::{Address, AddressError, MAX_URI};
pub use binding::Binding;
pub use condition::{Condition, Mismatch, Pattern};
pub use field_name::{FieldNames, means_field};
pub use headers::{
    Forwarded, HeaderPolicy, HeaderRule, IDENTITY_HEADERS, NotARule, is_of_connection,
};
pub use host_policy::{
    Affinity, Balance, HealthCheck, HostPolicy, NotARange, Outlier, RetryBudget, StatusRange,
};
pub use network::{Network, NotANetwork, special_purpose};
pub use networks::Networks;
pub use protocol::Message;
pub use reverse_mapping::ReverseMapping;
pub use session_uri::{NextMessage, SessionUri};
pub use uri_secrets::{UriSecrets, uri_secrets};

/// The parts of a request that routes examine, borrowed from the request.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// The URI as the handset sent it.
    pub uri: &'a str,
    /// GET, POST and so on.
    pub method: &'a Method,
    /// Our UDP port that the request came to.
    pub local_port: u16,
    /// Whether it came in WTLS records or over TLS.
    pub secured: bool,
    /// The protocol that carried it.
    pub binding: Binding,
    /// The service that a client of OBEX connected to.
    pub obex_target: Option<&'a str>,
    /// The body's media type, parameters and all.
    pub content_type: Option<&'a str>,
    /// How the handset names itself.
    pub user_agent: Option<&'a str>,
    /// The body with its media type.
    pub message: Message<'a>,
}

/// One route: its conditions, its destination and its limits.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// The name in logs, metrics and `wapbridge route`. Default: the place in the file, `1` being
    /// the first.
    pub name: Arc<str>,
    /// Which requests the route takes.
    pub condition: Condition,
    /// Where they go.
    pub destination: Destination,
    /// Allows an `upstream` with `http://`. Anyone on the path can then read and change the
    /// synchronized data. Default: false.
    pub allow_plaintext: bool,
    /// Methods that are passed on; the others are answered 405. Default: all but TRACE and
    /// CONNECT.
    pub allowed_methods: Vec<Method>,
    /// An HTTP proxy in front of the upstreams, used by CONNECT. Default: no proxy.
    pub http_proxy: Option<Address>,
    /// Replaces the upstream's addresses in RespURI, `Location` and `Content-Location` by the
    /// addresses that handsets use. The setting changes octets of SyncML replies, but never of an
    /// exchange with `x-syncml-hmac`. Default: false.
    pub rewrite_resp_uri: bool,
    /// The choice among the hosts, their checks and ejection, and how many requests each may have at a
    /// time.
    pub host_policy: HostPolicy,
    /// Limits of one request.
    pub limits: Limits,
    /// Rules for header fields.
    pub headers: Arc<HeaderPolicy>,
    /// Rules for the notation of SyncML messages. Default: every octet passes.
    pub content: content::Config,
}

/// The destination of a route.
#[derive(Clone, Debug)]
pub enum Destination {
    /// To hosts of the operator's choice, wherever they are.
    Fixed {
        /// Takes the place of the matched prefix.
        upstream: Address,
        /// Hosts that serve the same content as `upstream`. A request tries one after the other as
        /// long as no connection is made, in the order that the host policy says. They differ from
        /// it in host and port only. A request that may have been sent is never sent to another
        /// host. Default: no host.
        fallbacks: Vec<Address>,
    },
    /// To where the handset asks, which the condition's prefixes bound.
    AsRequested {
        /// Networks of the hosts besides the public Internet. Default: no network.
        allow_addresses: Arc<[Network]>,
    },
}

/// Limits of one upstream request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of reply body to accept. A larger reply is answered 502 without reading the rest, so
    /// this bounds the memory of one exchange. Default: 1 MiB.
    pub max_reply: usize,
    /// Time for finding the origin's address, connecting and the TLS handshake. Default: 10 s.
    pub connect_timeout: Duration,
    /// Time for the whole request, with the connection. After it the handset gets 504. Hold-on
    /// acknowledgements keep the handset waiting until then. Default: 120 s.
    pub timeout: Duration,
    /// Time until the reply begins, connecting included; then the handset gets 504. Default: as
    /// `timeout`.
    pub first_byte_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_reply: 1024 * 1024,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(120),
            first_byte_timeout: Duration::from_secs(120),
        }
    }
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub struct Target {
    /// The origin's URI; `https` unless the route allows plaintext.
    pub uri: Uri,
    /// The name of the route that took the request.
    pub route: Arc<str>,
    /// Limits of the request.
    pub limits: Limits,
    /// Rules for header fields.
    pub headers: Arc<HeaderPolicy>,
    /// Rules for the notation of SyncML messages.
    pub content: content::Config,
    /// The way back, if the upstream's addresses are to be replaced.
    pub reverse_mapping: Option<Box<ReverseMapping>>,
    /// The place of a SyncML session, for a client of OBEX, which follows no RespURI.
    pub session: Option<Box<SessionUri>>,
}

impl Target {
    /// The same at the place that the session's server named. Another route's place does not
    /// count.
    #[must_use]
    pub fn at(mut self, next: &NextMessage) -> Self {
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = Some(next.place.clone());
        if let Ok(uri) = Uri::from_parts(parts)
            && self.route == next.route
        {
            if let (Some(session), Ok(fetched)) =
                (&mut self.session, Address::parse(&uri.to_string()))
            {
                session.fetched = fetched;
            }
            self.uri = uri;
        }
        self
    }
}

/// Why a request goes nowhere. The handset is answered 403 (or 414 for [`Refusal::TooLong`], 405
/// for [`Refusal::Method`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Longer than [`MAX_URI`].
    #[error("the URI is longer than {MAX_URI} octets")]
    TooLong,
    /// Not a URI that a route could be compared with.
    #[error("the URI {0}")]
    Address(AddressError),
    /// No route takes it.
    #[error("no route matches")]
    NoRoute,
    /// The route that takes it does not allow the method.
    #[error("the route does not allow the method")]
    Method,
}

impl Refusal {
    /// The stable name used in logs and as a metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Address(_) => "address",
            Self::NoRoute => "no_route",
            Self::Method => "method",
        }
    }
}

/// The routes in the order they are tried.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    routes: Box<[RouteSettings]>,
}

impl Routes {
    /// Routes tried in the order given; the first match wins.
    #[must_use]
    pub fn new(routes: Vec<RouteSettings>) -> Self {
        Self {
            routes: routes.into_boxed_slice(),
        }
    }

    /// Finds where a request goes.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if the URI is not one to trust or if no route takes the request.
    pub fn lookup(&self, request: &RequestView<'_>) -> Result<Target, Refusal> {
        self.find(&Address::parse(request.uri)?, request)
    }

    /// As [`lookup`](Self::lookup), with the URI parsed already.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if no route takes the request.
    pub fn find(&self, asked: &Address, request: &RequestView<'_>) -> Result<Target, Refusal> {
        for route in &self.routes {
            if let Ok((prefix, rest)) = route.condition.admit(asked, request) {
                if !route.allows(request.method) {
                    return Err(Refusal::Method);
                }
                return route.target(asked, prefix, rest, request.binding);
            }
        }
        Err(Refusal::NoRoute)
    }

    /// The methods that the route of a request allows, in the form of an `Allow` field (RFC 9110
    /// 10.2.1). `None` if no route takes the request.
    #[must_use]
    pub fn allowed_methods(&self, request: &RequestView<'_>) -> Option<String> {
        let asked = Address::parse(request.uri).ok()?;
        let takes = |route: &&RouteSettings| route.condition.admit(&asked, request).is_ok();
        let allowed = &self.routes.iter().find(takes)?.allowed_methods;
        if allowed.is_empty() {
            return Some(USUAL_METHODS.to_owned());
        }
        let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
        Some(names.join(", "))
    }

    /// Every route down to the one that takes a request, and the mismatch of the others.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if the URI is not acceptable, so that no route was tried.
    pub fn explain(
        &self,
        request: &RequestView<'_>,
    ) -> Result<Vec<(&RouteSettings, Option<Mismatch>)>, Refusal> {
        let asked = Address::parse(request.uri)?;
        let mut tried = Vec::new();
        for route in &self.routes {
            let mismatch = route.condition.admit(&asked, request).err();
            tried.push((route, mismatch));
            if mismatch.is_none() {
                break;
            }
        }
        Ok(tried)
    }

    /// The routes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &RouteSettings> {
        self.routes.iter()
    }
}

impl RouteSettings {
    /// A route from one prefix to one upstream, with every other setting at its default.
    ///
    /// # Errors
    ///
    /// When one of the two is no address.
    pub fn from_prefix(prefix: &str, upstream: &str) -> Result<Self, AddressError> {
        let condition = Condition {
            prefixes: vec![Address::parse_prefix(prefix)?],
            ..Condition::default()
        };
        Ok(Self::new(condition, Address::parse_prefix(upstream)?))
    }

    /// A route for requests that fulfil `condition`, with every other setting at its default.
    #[must_use]
    pub fn new(condition: Condition, upstream: Address) -> Self {
        Self {
            name: Arc::from("1"),
            condition,
            destination: Destination::Fixed {
                upstream,
                fallbacks: Vec::new(),
            },
            allow_plaintext: false,
            allowed_methods: Vec::new(),
            http_proxy: None,
            rewrite_resp_uri: false,
            host_policy: HostPolicy::default(),
            limits: Limits::default(),
            headers: Arc::default(),
            content: content::Config::default(),
        }
    }

    /// Whether the route passes a method on. A reply to TRACE repeats the request with every field
    /// that the route has added, and a tunnel carries octets that the gateway cannot examine. So a
    /// route has to name TRACE, its old double TRACK, and CONNECT to allow them.
    #[must_use]
    pub fn allows(&self, method: &Method) -> bool {
        let is_usual = *method != Method::TRACE
            && *method != Method::CONNECT
            && !method.as_str().eq_ignore_ascii_case("TRACK");
        let allowed = &self.allowed_methods;
        allowed.is_empty() && is_usual || allowed.contains(method)
    }

    /// The hosts that requests may go to, in the order they are tried.
    pub fn hosts(&self) -> impl Iterator<Item = &Address> {
        let (first, others) = match &self.destination {
            Destination::Fixed {
                upstream,
                fallbacks,
            } => (Some(upstream), fallbacks),
            Destination::AsRequested { .. } => (None, &self.condition.prefixes),
        };
        first.into_iter().chain(others)
    }

    fn target(
        &self,
        asked: &Address,
        prefix: Option<&Address>,
        rest: &str,
        binding: Binding,
    ) -> Result<Target, Refusal> {
        let base = match &self.destination {
            Destination::Fixed { upstream, .. } => upstream,
            // The prefix, not the text of the handset: `host.` names the same host.
            Destination::AsRequested { .. } => prefix.ok_or(Refusal::NoRoute)?,
        };
        let joined = base.join(rest, asked);
        let is_obex = binding == Binding::Obex;
        let fetched = (self.rewrite_resp_uri || is_obex).then(|| Address::parse(&joined).ok());
        let fetched = fetched.flatten();
        let session = fetched
            .as_ref()
            .filter(|_| is_obex)
            .map(|fetched| SessionUri {
                route: Arc::clone(&self.name),
                upstream: base.clone(),
                fetched: fetched.clone(),
            });
        let fetched = fetched.filter(|_| self.rewrite_resp_uri);
        let reverse_mapping = fetched.map(|fetched| ReverseMapping {
            hosts: self.hosts().cloned().collect(),
            prefix: prefix.cloned().unwrap_or_else(|| asked.root()),
            fetched,
        });
        let joined = Bytes::from(joined);
        Ok(Target {
            uri: Uri::from_maybe_shared(joined).map_err(|_| Refusal::TooLong)?,
            route: Arc::clone(&self.name),
            limits: self.limits,
            headers: Arc::clone(&self.headers),
            content: self.content,
            reverse_mapping: reverse_mapping.map(Box::new),
            session: session.map(Box::new),
        })
    }
}

impl From<AddressError> for Refusal {
    fn from(error: AddressError) -> Self {
        match error {
            AddressError::TooLong => Self::TooLong,
            other => Self::Address(other),
        }
    }
}

impl fmt::Display for RouteSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> ", self.condition)?;
        match &self.destination {
            Destination::Fixed {
                upstream,
                fallbacks,
            } => {
                f.write_str(&upstream.shown())?;
                fallbacks
                    .iter()
                    .try_for_each(|other| write!(f, " or {}", other.shown()))
            }
            Destination::AsRequested { .. } => f.write_str("as requested"),
        }
    }
}

/// The methods of a route that does not name any.
const USUAL_METHODS: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syncml::Protocol;

    fn route(prefix: &str, upstream: &str) -> RouteSettings {
        RouteSettings::new(
            Condition::prefix(Address::parse_prefix(prefix).unwrap()),
            Address::parse_prefix(upstream).unwrap(),
        )
    }

    fn get(uri: &str) -> RequestView<'_> {
        RequestView {
            uri,
            method: &Method::GET,
            local_port: 9201,
            secured: false,
            binding: Binding::Wsp,
            obex_target: None,
            content_type: None,
            user_agent: None,
            message: Message::Body(&[]),
        }
    }

    fn uri(routes: &Routes, asked: &str) -> Result<String, Refusal> {
        routes.lookup(&get(asked)).map(|t| t.uri.to_string())
    }

    /// A server that named a place moves the next message of an OBEX client on its own route only.
    #[test]
    fn the_place_of_a_session_belongs_to_its_route() {
        let routes = Routes::new(vec![route(
            "http://syncml-sync.obex/",
            "https://h.example/ds",
        )]);
        let request = RequestView {
            binding: Binding::Obex,
            ..get("http://syncml-sync.obex/")
        };
        let next = |name: &str| NextMessage {
            route: name.into(),
            place: "/ds;sid=1?x".parse().unwrap(),
        };
        let at = |name| {
            routes
                .lookup(&request)
                .unwrap()
                .at(&next(name))
                .uri
                .to_string()
        };
        assert_eq!(at("1"), "https://h.example/ds;sid=1?x");
        assert_eq!(at("another"), "https://h.example/ds");
    }

    #[test]
    fn the_prefix_is_replaced_and_the_query_kept() {
        let routes = Routes::new(vec![route(
            "http://sync.example.com/",
            "https://sync.internal.example:8443/",
        )]);
        for (asked, upstream) in [
            (
                "http://sync.example.com/",
                "https://sync.internal.example:8443/",
            ),
            (
                "http://sync.example.com",
                "https://sync.internal.example:8443/",
            ),
            (
                "HTTP://SYNC.example.com:80/ds?sid=1&x=%20#frag",
                "https://sync.internal.example:8443/ds?sid=1&x=%20",
            ),
            (
                "http://sync.example.com/a/../b",
                "https://sync.internal.example:8443/b",
            ),
            (
                "http://sync.example.com/{x}|^[y]?\"<z>'`",
                "https://sync.internal.example:8443/%7Bx%7D|^[y]?%22%3Cz%3E%27`",
            ),
        ] {
            assert_eq!(uri(&routes, asked).as_deref(), Ok(upstream), "{asked}");
        }
    }

    #[test]
    fn what_no_route_matches_is_refused() {
        let routes = Routes::new(vec![route(
            "http://sync.example.com/",
            "https://o.example/",
        )]);
        for asked in [
            "http://sync.example.com.evil/",
            "http://evil/sync.example.com/",
            "http://evil/?http://sync.example.com/",
            "https://sync.example.com/",
            "http://sync.example.com:8080/",
            "http://127.0.0.1/",
            "http://[::1]/",
            "http://169.254.169.254/latest/meta-data",
        ] {
            assert_eq!(uri(&routes, asked), Err(Refusal::NoRoute), "{asked}");
        }
        assert_eq!(
            uri(&routes, "http://sync.example.com@evil/"),
            Err(Refusal::Address(AddressError::UserInfo))
        );
        assert_eq!(
            uri(&routes, &format!("http://a/{}", "a".repeat(100_000))),
            Err(Refusal::TooLong)
        );
        assert_eq!(
            uri(&Routes::default(), "http://sync.example.com/"),
            Err(Refusal::NoRoute)
        );
    }

    #[test]
    fn the_first_match_wins() {
        let routes = Routes::new(vec![
            route("http://a.example/dm/", "https://dm.example/"),
            route("http://a.example/", "https://ds.example/"),
        ]);
        assert_eq!(
            uri(&routes, "http://a.example/dm/x").as_deref(),
            Ok("https://dm.example/x")
        );
        assert_eq!(
            uri(&routes, "http://a.example/%64m/x").as_deref(),
            Ok("https://dm.example/x")
        );
        assert_eq!(
            uri(&routes, "http://a.example/x/../dm/").as_deref(),
            Ok("https://dm.example/")
        );
        assert_eq!(
            uri(&routes, "http://a.example/dmx").as_deref(),
            Ok("https://ds.example/dmx")
        );
    }

    #[test]
    fn one_uri_goes_to_two_origins_by_port() {
        let mut a = route("http://a.example/", "https://ds.example/");
        a.condition.local_ports = vec![9201];
        let mut b = route("http://a.example/", "https://irmc.example/");
        b.condition.local_ports = vec![9211];
        let routes = Routes::new(vec![a, b]);
        let mut request = get("http://a.example/x");
        for (port, upstream) in [
            (9201, Some("https://ds.example/x")),
            (9211, Some("https://irmc.example/x")),
            (9200, None),
        ] {
            request.local_port = port;
            let target = routes.lookup(&request).ok().map(|t| t.uri.to_string());
            assert_eq!(target.as_deref(), upstream, "{port}");
        }
    }

    #[test]
    fn release_99_objects_and_syncml_go_to_servers_of_their_own() {
        let mut irmc = route("http://a.example/", "https://irmc.example/");
        irmc.condition.media_types = ["text/x-vcard", "text/x-vcalendar", "text/x-irmc*"]
            .map(Pattern::new)
            .into();
        let mut dm = route("http://a.example/", "https://dm.example/");
        dm.condition.protocols = vec![Protocol::Dm];
        let ds = route("http://a.example/", "https://ds.example/");
        let routes = Routes::new(vec![irmc, dm, ds]);
        let dm_message =
            b"<SyncML><SyncHdr><VerProto>DM/1.1</VerProto></SyncHdr></SyncML>".as_slice();
        for (method, content_type, body, host) in [
            (
                Method::PUT,
                Some("text/x-vcard"),
                b"BEGIN".as_slice(),
                "irmc.example",
            ),
            (Method::POST, Some("text/x-irmc; x=y"), b"", "irmc.example"),
            (Method::GET, None, b"", "ds.example"),
            (
                Method::POST,
                Some("application/vnd.syncml.dm+xml"),
                dm_message,
                "dm.example",
            ),
            (
                Method::POST,
                Some("application/vnd.syncml+wbxml"),
                b"\x02",
                "ds.example",
            ),
        ] {
            let request = RequestView {
                method: &method,
                content_type,
                message: Message::Body(body),
                ..get("http://a.example/x")
            };
            let target = routes.lookup(&request).unwrap();
            assert_eq!(target.uri.host(), Some(host), "{method} {content_type:?}");
        }
    }

    #[test]
    fn a_method_that_its_route_does_not_allow_is_refused_and_not_tried_elsewhere() {
        let mut first = route("http://a.example/", "https://ds.example/");
        first.allowed_methods = vec![Method::POST];
        let routes = Routes::new(vec![
            first,
            route("http://a.example/", "https://b.example/"),
        ]);
        assert_eq!(uri(&routes, "http://a.example/x"), Err(Refusal::Method));
        let post = RequestView {
            method: &Method::POST,
            ..get("http://a.example/x")
        };
        assert_eq!(routes.lookup(&post).unwrap().uri.host(), Some("ds.example"));
    }

    #[test]
    fn a_pass_through_route_goes_where_the_handset_asks_and_its_prefixes_allow() {
        let mut through = route("http://unused.example/", "https://unused.example/");
        through.condition.prefixes = ["http://a.example:8080/x/", "https://b.example/"]
            .map(|prefix| Address::parse_prefix(prefix).unwrap())
            .into();
        through.destination = Destination::AsRequested {
            allow_addresses: Arc::default(),
        };
        let routes = Routes::new(vec![through]);
        for (asked, target) in [
            (
                "http://A.example.:8080/x/y/../z?q#f",
                Some("http://a.example:8080/x/z?q"),
            ),
            ("https://b.example:443", Some("https://b.example/")),
            ("http://a.example:8080/y", None),
            ("http://b.example/", None),
        ] {
            assert_eq!(uri(&routes, asked).ok().as_deref(), target, "{asked}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_asked_the_target_lies_under_an_upstream(
            text in "http://sync\\.example\\.com[ -~é]{0,60}"
        ) {
            let routes = Routes::new(vec![route("http://sync.example.com/", "https://o.example/app/")]);
            match routes.lookup(&get(&text)) {
                Ok(target) => {
                    proptest::prop_assert_eq!(target.uri.scheme_str(), Some("https"));
                    proptest::prop_assert_eq!(target.uri.host(), Some("o.example"));
                    proptest::prop_assert!(target.uri.path().starts_with("/app/"));
                }
                // No target may be one that `http` refuses; it would appear as TooLong.
                Err(refusal) => proptest::prop_assert_ne!(refusal, Refusal::TooLong),
            }
        }
    }
}
