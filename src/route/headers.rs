//! Header rules of a route: removes the identity fields of handsets, and adds the fields that the
//! operator configured.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::str::FromStr;
use std::sync::LazyLock;

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue, InvalidHeaderName};

use super::field_name::NameProfile;
use super::{FieldNames, means_field};
use crate::identity::{AliasKey, Field, Identity};
use crate::printable::put_address;
use crate::trace_context::{Caller, TraceContext};

/// Rules for the header fields of a route's requests and replies.
#[derive(Clone, Debug)]
pub struct HeaderPolicy {
    /// Fields that never reach an origin: networks add them, origins believe them, and a handset
    /// could forge them. A `*` stands for any run of characters. Default: [`IDENTITY_HEADERS`].
    pub identity: FieldNames,
    /// Fields that carry the handset's address to the origin. These fields are always removed from
    /// handsets' requests. Default: both.
    pub forwarded: Forwarded,
    /// Whether the origin gets the trace of the exchange in `traceparent`. The field is always removed
    /// from handsets' requests. Default: false.
    pub trace_context: bool,
    /// Fields that carry the subscriber's identity to a trusted origin. These fields are removed
    /// from handsets' requests. Default: no field.
    pub insert: Vec<(HeaderName, Field)>,
    /// Key of pseudonyms. Default: no key, and only subscribers with an alias have a pseudonym.
    pub alias_key: Option<AliasKey>,
    /// Changes to requests, in their order. Default: none.
    pub request: Vec<HeaderRule>,
    /// Changes to replies, in their order. Default: none.
    pub reply: Vec<HeaderRule>,
}

impl Default for HeaderPolicy {
    fn default() -> Self {
        Self {
            identity: IDENTITY_HEADERS.into(),
            forwarded: Forwarded::default(),
            trace_context: false,
            insert: Vec::new(),
            alias_key: None,
            request: Vec::new(),
            reply: Vec::new(),
        }
    }
}

/// Fields that carry the handset's address to an origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forwarded {
    /// No field.
    Nowhere,
    /// In `Forwarded` (RFC 7239).
    Standard,
    /// In `X-Forwarded-For`, which came before the standard.
    Customary,
    /// In both.
    #[default]
    Both,
}

impl HeaderPolicy {
    /// Changes the fields of a request that came from `handset`, which is `subscriber`'s, if that
    /// is known. `trace` is the trace of its exchange, and how its caller passed it on.
    pub fn apply_to_request(
        &self,
        headers: &mut HeaderMap,
        handset: IpAddr,
        subscriber: Option<&Identity>,
        trace: (&TraceContext, &Caller),
    ) {
        self.remove_claims(headers);
        let node = Node::new(handset);
        if matches!(self.forwarded, Forwarded::Standard | Forwarded::Both) {
            insert(headers, FORWARDED, node.forwarded());
        }
        if matches!(self.forwarded, Forwarded::Customary | Forwarded::Both) {
            insert(headers, X_FORWARDED_FOR, node.address());
        }
        for (name, field) in &self.insert {
            let text = subscriber.and_then(|known| known.text(*field, self.alias_key.as_ref()));
            if let Some(text) = text {
                insert(headers, name.clone(), text.as_bytes());
            }
        }
        if let (true, (context, caller)) = (self.trace_context, trace) {
            context.put(caller, headers);
        }
        self.request.iter().for_each(|rule| rule.apply(headers));
    }

    /// Removes the fields that only the network, or a proxy of its own, may send.
    fn remove_claims(&self, headers: &mut HeaderMap) {
        let is_claim = |name: &&HeaderName| {
            let name = name.as_str();
            let profile = NameProfile::of(name);
            let mut inserted = self.insert.iter().map(|(name, _)| name.as_str());
            self.identity.mean_profiled(&profile)
                || PROXY_HEADERS.mean_profiled(&profile)
                || inserted.any(|claim| means_field(claim, name))
        };
        // Iterates over the fields of the request and not over the list of names: most requests
        // have no such field.
        let claims: Vec<HeaderName> = headers.keys().filter(is_claim).cloned().collect();
        for name in claims {
            headers.remove(name);
        }
    }

    /// Changes the fields of a reply.
    pub fn apply_to_reply(&self, headers: &mut HeaderMap) {
        self.reply.iter().for_each(|rule| rule.apply(headers));
    }
}

/// Sets a field that tells of one subscriber. HTTP/2 sends the value as it is and never keeps it in
/// its table (RFC 7541 7.1.3): there the values of many subscribers would push out each other, and
/// those that all requests have.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    if let Ok(mut value) = HeaderValue::from_bytes(value) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

/// The handset's address as `Forwarded` has it (RFC 7239 6), `for=` and what is between its quotes
/// included.
struct Node {
    text: String,
    /// Where the address stands in it.
    address: Range<usize>,
}

impl Node {
    fn new(handset: IpAddr) -> Self {
        let mut text = String::with_capacity(64);
        let (before, after) = match handset {
            IpAddr::V4(_) => ("for=", ""),
            IpAddr::V6(_) => ("for=\"[", "]\""),
        };
        text.push_str(before);
        put_address(handset, &mut text);
        let address = before.len()..text.len();
        text.push_str(after);
        Self { text, address }
    }

    fn forwarded(&self) -> &[u8] {
        self.text.as_bytes()
    }

    fn address(&self) -> &[u8] {
        self.forwarded()
            .get(self.address.clone())
            .unwrap_or_default()
    }
}

/// One change to the fields of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderRule {
    /// Gives the field this value and removes earlier ones. Written `set NAME: VALUE`.
    Set(HeaderName, HeaderValue),
    /// The field is not passed on. Written `remove NAME`.
    Remove(HeaderName),
    /// Renames the field and removes fields that had the new name. Written `rename NAME: OTHER`.
    Rename(HeaderName, HeaderName),
}

impl HeaderRule {
    fn apply(&self, headers: &mut HeaderMap) {
        match self {
            Self::Set(name, value) => {
                take(headers, name);
                headers.insert(name, value.clone());
            }
            Self::Remove(name) => drop(take(headers, name)),
            Self::Rename(name, other) => {
                let values = take(headers, name);
                if values.is_empty() {
                    return;
                }
                take(headers, other);
                for value in values {
                    headers.append(other, value);
                }
            }
        }
    }
}

/// Removes every field that a rule means by `name`, and returns the values.
fn take(headers: &mut HeaderMap, name: &HeaderName) -> Vec<HeaderValue> {
    let is_meant = |other: &&HeaderName| means_field(name.as_str(), other.as_str());
    let meant: Vec<HeaderName> = headers.keys().filter(is_meant).cloned().collect();
    let mut values = Vec::new();
    for name in meant {
        values.extend(headers.get_all(&name).iter().cloned());
        headers.remove(name);
    }
    values
}

/// Why text is no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotARule {
    /// The rule is none of the three forms.
    #[error("is not \"set NAME: VALUE\", \"remove NAME\" or \"rename NAME: OTHER\"")]
    Syntax,
    /// The name of the field is invalid.
    #[error("names a field as none can be named")]
    Name,
    /// The value has control characters.
    #[error("sets a value that no field can have")]
    Value,
    /// The field is about the connection or the length of the body.
    #[error("changes a field that belongs to the connection and not to the message")]
    Connection,
}

impl From<InvalidHeaderName> for NotARule {
    fn from(_: InvalidHeaderName) -> Self {
        Self::Name
    }
}

impl FromStr for HeaderRule {
    type Err = NotARule;

    fn from_str(text: &str) -> Result<Self, NotARule> {
        let (verb, rest) = text.trim().split_once(' ').ok_or(NotARule::Syntax)?;
        let pair = || -> Result<_, NotARule> {
            let (name, value) = rest.split_once(':').ok_or(NotARule::Syntax)?;
            Ok((name.trim(), value.trim()))
        };
        match verb {
            "set" => {
                let (name, value) = pair()?;
                let value = HeaderValue::from_str(value).map_err(|_| NotARule::Value)?;
                Ok(Self::Set(changeable(name)?, value))
            }
            "remove" => Ok(Self::Remove(changeable(rest.trim())?)),
            "rename" => {
                let (name, other) = pair()?;
                Ok(Self::Rename(changeable(name)?, changeable(other)?))
            }
            _ => Err(NotARule::Syntax),
        }
    }
}

fn changeable(name: &str) -> Result<HeaderName, NotARule> {
    let name = HeaderName::from_str(name)?;
    if is_of_connection(&name) {
        return Err(NotARule::Connection);
    }
    Ok(name)
}

/// Whether a field belongs to the connection or frames the body, so that no route may change it.
#[must_use]
pub fn is_of_connection(name: &HeaderName) -> bool {
    CONNECTION_FIELDS.contains(&name.as_str())
}

impl fmt::Display for HeaderRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(name, value) => {
                write!(
                    f,
                    "set {name}: {}",
                    String::from_utf8_lossy(value.as_bytes())
                )
            }
            Self::Remove(name) => write!(f, "remove {name}"),
            Self::Rename(name, other) => write!(f, "rename {name}: {other}"),
        }
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Fields that only a proxy in front of an origin may send: the source of a request, its original
/// target, the authenticated user, and the trace. Every route removes them from handsets' requests.
static PROXY_HEADERS: LazyLock<FieldNames> = LazyLock::new(|| PROXY_HEADER_NAMES.into());

const PROXY_HEADER_NAMES: &[&str] = &[
    "auth-type",
    "auth-user",
    "b3",
    "baggage",
    "cf-connecting-ip*",
    "client-cert",
    "client-cert-*",
    "client-ip",
    "elastic-apm-traceparent",
    "fastly-client-*",
    "forwarded",
    "front-end-https",
    "grpc-trace-bin",
    "logon-user",
    // An origin behind CGI takes it for the proxy that its own requests go through.
    "proxy",
    "proxy-client-ip",
    "remote-addr",
    "remote-host",
    "remote-user",
    "ssl-client-*",
    "sw8*",
    "traceparent",
    "tracestate",
    "true-client-ip",
    "uber-trace-id",
    "uberctx-*",
    "wl-proxy-*",
    "x-amzn-mtls-*",
    "x-amzn-oidc-*",
    "x-amzn-trace-id",
    "x-appengine-*",
    "x-arr-*",
    "x-auth-request-*",
    "x-auth-user",
    "x-authenticated-*",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-b3-*",
    "x-client-cert*",
    "x-client-dn*",
    "x-client-ip",
    "x-client-verify",
    "x-cloud-trace-context",
    "x-cluster-client-ip",
    "x-datadog-*",
    "x-envoy-*",
    "x-forwarded",
    "x-forwarded-*",
    "x-forwarder-for",
    "x-goog-authenticated-*",
    "x-goog-iap-*",
    "x-host",
    "x-http-destination*",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-ms-client-principal*",
    "x-ms-token-*",
    "x-original-*",
    "x-originating-*",
    "x-override-*",
    "x-proxyuser-ip",
    "x-real-*",
    "x-remote-*",
    "x-rewrite-*",
    "x-ssl",
    "x-ssl-*",
    "x-tls-*",
    "x-url-scheme",
    "x-webauth-*",
];

/// Fields in which networks give origins the subscriber's identity, in lower case. A `*` stands for
/// any run of characters.
pub const IDENTITY_HEADERS: &[&str] = &[
    "*calling-line-id*",
    "*clid",
    "*imei*",
    "*imsi*",
    "*mdn",
    "*msisdn*",
    "*subno",
    "*subscriber-*",
    "x-acr",
    "x-drutt-*",
    "x-jinny-*",
    "x-jphone-uid",
    "x-network-info",
    "x-nokia-alias",
    "x-nokia-gateway-id",
    "x-nokia-ipaddress",
    "x-nx-remoteaddress",
    "x-orange-id",
    "x-orange-uli",
    "x-plmn*",
    "x-rapmin",
    "x-softbank-*",
    "x-uidh",
    "x-ultra-alias",
    "x-up-uplink",
    "x-vodafone-3gpdpcontext",
    "x-vf-*",
    "x-wap-client*",
    "x-wap-network-client-*",
    "x-wap-personalization",
    "x-wap-proxy-cookie",
    "x-wsb-identity",
];

/// Fields a rule may not touch, in lower case: they belong to the connection, or frame the body.
const CONNECTION_FIELDS: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Private;
    use crate::random::Random;
    use crate::trace_context::SampleRatio;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn apply(
        policy: &HeaderPolicy,
        headers: &mut HeaderMap,
        handset: IpAddr,
        subscriber: Option<&Identity>,
    ) {
        let caller = Caller::default();
        let trace = TraceContext::new(&mut Random::new(1), SampleRatio::ALL, &caller);
        policy.apply_to_request(headers, handset, subscriber, (&trace, &caller));
    }

    #[test]
    fn what_a_handset_says_of_its_identity_is_removed() {
        let mut said = headers(&[
            ("x-msisdn", "4917012345"),
            ("x-up-calling-line-id", "4917012345"),
            ("x-imsi", "262011234567890"),
            ("forwarded", "for=10.0.0.1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-real-ip", "10.0.0.1"),
            ("proxy", "http://evil.example/"),
            ("x-http-method-override", "DELETE"),
            ("x-original-url", "/admin"),
            ("x-rewrite-url", "/admin"),
            ("x-client-ip", "10.0.0.1"),
            ("client-cert", ":MIIB:"),
            ("x-ssl-client-s-dn", "CN=admin"),
            ("x-forwarded-client-cert", "By=admin"),
            ("x-forwarded-tls-client-cert", "MIIB"),
            ("x-wap-network-client-msisdn", "4917012345"),
            ("x-operator-imsi", "262011234567890"),
            ("x-jinny-cid", "4917012345"),
            ("x-plmn", "26201"),
            ("x-http-destinationurl", "http://admin.internal/"),
            // One and the same field to an origin behind CGI.
            ("x.msisdn", "4917012345"),
            ("x~msisdn", "4917012345"),
            ("x_msisdn", "4917012345"),
            ("x-up_calling-line_id", "4917012345"),
            ("x_forwarded_for", "10.0.0.1"),
            (
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ),
            ("tracestate", "a=1"),
            ("baggage", "user=admin"),
            ("x-b3-sampled", "1"),
            ("accept", "*/*"),
        ]);
        let policy = HeaderPolicy::default();
        apply(&policy, &mut said, "192.0.2.7".parse().unwrap(), None);
        let expected = headers(&[
            ("accept", "*/*"),
            ("forwarded", "for=192.0.2.7"),
            ("x-forwarded-for", "192.0.2.7"),
        ]);
        assert_eq!(said, expected);
    }

    #[test]
    fn the_origin_gets_the_known_identity_and_no_claimed_one() {
        let policy = HeaderPolicy {
            insert: vec![
                (HeaderName::from_static("x-number"), Field::Msisdn),
                (HeaderName::from_static("x-sim"), Field::Imsi),
            ],
            forwarded: Forwarded::Nowhere,
            ..HeaderPolicy::default()
        };
        let somebody = Identity {
            msisdn: Some(Private::new("491701234567")),
            ..Identity::default()
        };
        let claims = [("x-number", "666"), ("x_number", "666"), ("x-sim", "666")];
        for (known, expected) in [
            (Some(&somebody), headers(&[("x-number", "491701234567")])),
            (None, headers(&[])),
        ] {
            let mut said = headers(&claims);
            apply(&policy, &mut said, "192.0.2.7".parse().unwrap(), known);
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn the_address_is_told_as_the_route_says() {
        for (forwarded, standard, customary) in [
            (Forwarded::Nowhere, None, None),
            (Forwarded::Standard, Some("for=\"[2001:db8::1]\""), None),
            (Forwarded::Customary, None, Some("2001:db8::1")),
        ] {
            let policy = HeaderPolicy {
                forwarded,
                ..HeaderPolicy::default()
            };
            let mut said = headers(&[("forwarded", "for=evil"), ("x-forwarded-for", "evil")]);
            apply(&policy, &mut said, "2001:db8::1".parse().unwrap(), None);
            let text = |name: HeaderName| said.get(name).map(|value| value.to_str().unwrap());
            assert_eq!(text(FORWARDED), standard);
            assert_eq!(text(X_FORWARDED_FOR), customary);
        }
    }

    #[test]
    fn the_trace_is_told_as_the_route_says() {
        let forged = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for (trace_context, rule, name) in [
            (false, "remove accept", None),
            (true, "remove accept", Some("traceparent")),
            (true, "rename traceparent: x-trace", Some("x-trace")),
        ] {
            let policy = HeaderPolicy {
                trace_context,
                forwarded: Forwarded::Nowhere,
                request: vec![rule.parse().unwrap()],
                ..HeaderPolicy::default()
            };
            let mut said = headers(&[("traceparent", forged), ("tracestate", "a=1")]);
            apply(&policy, &mut said, "192.0.2.7".parse().unwrap(), None);
            let names: Vec<&str> = said.keys().map(HeaderName::as_str).collect();
            assert_eq!(names, name.into_iter().collect::<Vec<_>>());
            assert!(said.values().all(|value| value != forged));
        }
    }

    #[test]
    fn rules_are_applied_in_their_order() {
        let rules = ["rename X-A: X-B", "set X-A: new", "remove Accept"];
        let policy = HeaderPolicy {
            reply: rules.iter().map(|rule| rule.parse().unwrap()).collect(),
            ..HeaderPolicy::default()
        };
        let mut fields = headers(&[("x-a", "1"), ("x-a", "2"), ("x-b", "old"), ("accept", "x")]);
        policy.apply_to_reply(&mut fields);
        let expected = headers(&[("x-b", "1"), ("x-b", "2"), ("x-a", "new")]);
        assert_eq!(fields, expected);
    }

    #[test]
    fn rules_mean_every_spelling_that_an_origin_reads_as_the_same_field() {
        let rules = ["set X-Carrier: us", "remove X-Debug", "rename X-Key: X-New"];
        let policy = HeaderPolicy {
            request: rules.iter().map(|rule| rule.parse().unwrap()).collect(),
            forwarded: Forwarded::Nowhere,
            ..HeaderPolicy::default()
        };
        let mut fields = headers(&[
            ("x_carrier", "evil"),
            ("x.carrier", "evil"),
            ("x_debug", "1"),
            ("x!debug", "1"),
            ("x-key", "a"),
            ("x_new", "evil"),
            ("accept", "*/*"),
        ]);
        apply(&policy, &mut fields, "192.0.2.7".parse().unwrap(), None);
        let expected = headers(&[("accept", "*/*"), ("x-carrier", "us"), ("x-new", "a")]);
        assert_eq!(fields, expected);
    }

    #[test]
    fn a_field_that_is_not_there_is_not_renamed() {
        let rule: HeaderRule = "rename x-a: x-b".parse().unwrap();
        let mut fields = headers(&[("x-b", "old")]);
        rule.apply(&mut fields);
        assert_eq!(fields, headers(&[("x-b", "old")]));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for (text, why) in [
            ("", NotARule::Syntax),
            ("set X-A", NotARule::Syntax),
            ("add X-A: b", NotARule::Syntax),
            ("rename X-A", NotARule::Syntax),
            ("remove X A", NotARule::Name),
            ("set X-A: \u{1}", NotARule::Value),
            ("remove Content-Length", NotARule::Connection),
            ("rename X-A: Host", NotARule::Connection),
        ] {
            assert_eq!(text.parse::<HeaderRule>(), Err(why), "{text}");
        }
        let rule = "set X-A: b: c";
        assert_eq!(
            rule.parse::<HeaderRule>().unwrap().to_string(),
            "set x-a: b: c"
        );
    }
}
