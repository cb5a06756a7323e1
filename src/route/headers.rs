//! What a route does to header fields: what a handset says of its own identity goes, what the operator wants
//! comes.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue, InvalidHeaderName};

use crate::identity::{AliasKey, Field, Identity};

/// What becomes of the fields of a route's requests and replies.
#[derive(Clone, Debug)]
pub struct HeaderPolicy {
    /// Fields that never reach an origin, since a network puts them there and an origin believes them: what a
    /// handset says in them is a claim. Default: [`IDENTITY_HEADERS`].
    pub identity: Vec<HeaderName>,
    /// In which fields the origin is told the handset's address. What a handset says in them is removed in
    /// any case. Default: in both.
    pub forwarded: Forwarded,
    /// Fields in which the origin is told who the subscriber is, for who it trusts with that; what a handset says
    /// in them is removed. Default: none.
    pub insert: Vec<(HeaderName, Field)>,
    /// What pseudonyms are made with. Default: nothing, and only those who are given one have one.
    pub alias_key: Option<AliasKey>,
    /// Changes to requests, in their order. Default: none.
    pub request: Vec<HeaderRule>,
    /// Changes to replies, in their order. Default: none.
    pub reply: Vec<HeaderRule>,
}

impl Default for HeaderPolicy {
    fn default() -> Self {
        Self {
            identity: IDENTITY_HEADERS
                .iter()
                .map(|name| HeaderName::from_static(name))
                .collect(),
            forwarded: Forwarded::default(),
            insert: Vec::new(),
            alias_key: None,
            request: Vec::new(),
            reply: Vec::new(),
        }
    }
}

/// In which fields an origin is told the handset's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forwarded {
    /// In none.
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
    /// Changes the fields of a request that came from `handset`, which is `subscriber`'s, if that is known.
    pub fn apply_to_request(
        &self,
        headers: &mut HeaderMap,
        handset: IpAddr,
        subscriber: Option<&Identity>,
    ) {
        self.remove_claims(headers);
        if matches!(self.forwarded, Forwarded::Standard | Forwarded::Both) {
            let node = match handset {
                IpAddr::V4(v4) => format!("for={v4}"),
                IpAddr::V6(v6) => format!("for=\"[{v6}]\""),
            };
            insert(headers, FORWARDED, node);
        }
        if matches!(self.forwarded, Forwarded::Customary | Forwarded::Both) {
            insert(headers, X_FORWARDED_FOR, handset.to_string());
        }
        for (name, field) in &self.insert {
            let text = subscriber.and_then(|known| known.text(*field, self.alias_key.as_ref()));
            if let Some(text) = text {
                insert(headers, name.clone(), text.into_owned());
            }
        }
        self.request.iter().for_each(|rule| rule.apply(headers));
    }

    /// What only the network may say.
    fn claims(&self) -> impl Iterator<Item = &HeaderName> {
        let inserted = self.insert.iter().map(|(name, _)| name);
        self.identity.iter().chain(CLAIMS.iter()).chain(inserted)
    }

    /// Removes what a handset says of its own identity, also with underscores for hyphens: an origin behind CGI
    /// takes `X_MSISDN` for `X-MSISDN`.
    fn remove_claims(&self, headers: &mut HeaderMap) {
        let plain = |name: &HeaderName| name.as_str().replace('_', "-");
        let is_claim = |name: &&HeaderName| match name.as_str().contains('_') {
            true => self.claims().any(|claim| plain(claim) == plain(name)),
            false => self.claims().any(|claim| claim == *name),
        };
        // The fields there are, and not the names there could be: mostly there is none to remove.
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

fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

/// One change to the fields of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderRule {
    /// The field has this value, whatever it had before. Written `set NAME: VALUE`.
    Set(HeaderName, HeaderValue),
    /// The field is not passed on. Written `remove NAME`.
    Remove(HeaderName),
    /// The field is passed on under another name, in place of what may have had it. Written
    /// `rename NAME: OTHER`.
    Rename(HeaderName, HeaderName),
}

impl HeaderRule {
    fn apply(&self, headers: &mut HeaderMap) {
        match self {
            Self::Set(name, value) => {
                headers.insert(name, value.clone());
            }
            Self::Remove(name) => {
                headers.remove(name);
            }
            Self::Rename(name, other) => {
                let values: Vec<HeaderValue> = headers.get_all(name).iter().cloned().collect();
                if values.is_empty() {
                    return;
                }
                headers.remove(name);
                headers.remove(other);
                for value in values {
                    headers.append(other, value);
                }
            }
        }
    }
}

/// Why text is no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotARule {
    /// It is none of the three.
    #[error("is not \"set NAME: VALUE\", \"remove NAME\" or \"rename NAME: OTHER\"")]
    Syntax,
    /// What should be a field's name is none.
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

/// What only a proxy may say of where a request came from.
static CLAIMS: [HeaderName; 6] = [
    FORWARDED,
    X_FORWARDED_FOR,
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("true-client-ip"),
];

/// Fields in which networks tell origins who their subscriber is, in lower case.
pub const IDENTITY_HEADERS: &[&str] = &[
    "msisdn",
    "x-forwarded-msisdn",
    "x-h3g-msisdn",
    "x-hts-clid",
    "x-imsi",
    "x-jphone-uid",
    "x-mdn",
    "x-msisdn",
    "x-msp-clid",
    "x-msp-msisdn",
    "x-network-info",
    "x-nokia-alias",
    "x-nokia-imsi",
    "x-nokia-ipaddress",
    "x-nokia-msisdn",
    "x-nx-clid",
    "x-nx-remoteaddress",
    "x-orange-id",
    "x-orange-uli",
    "x-rapmin",
    "x-subscriber-id",
    "x-ultra-alias",
    "x-up-calling-line-id",
    "x-up-subno",
    "x-up-uplink",
    "x-vodafone-3gpdpcontext",
    "x-wap-clientid",
    "x-wap-clientip",
    "x-wap-imsi",
    "x-wap-msisdn",
    "x-wap-network-client-ip",
    "x-wap-network-client-msisdn",
    "x-wap-personalization",
    "x-wte-msisdn",
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

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
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
            // One and the same field to an origin behind CGI.
            ("x_msisdn", "4917012345"),
            ("x-up_calling-line_id", "4917012345"),
            ("x_forwarded_for", "10.0.0.1"),
            ("accept", "*/*"),
        ]);
        let policy = HeaderPolicy::default();
        policy.apply_to_request(&mut said, "192.0.2.7".parse().unwrap(), None);
        let expected = headers(&[
            ("accept", "*/*"),
            ("forwarded", "for=192.0.2.7"),
            ("x-forwarded-for", "192.0.2.7"),
        ]);
        assert_eq!(said, expected);
    }

    #[test]
    fn the_subscriber_is_told_and_his_own_claims_are_not() {
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
            policy.apply_to_request(&mut said, "192.0.2.7".parse().unwrap(), known);
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
            policy.apply_to_request(&mut said, "2001:db8::1".parse().unwrap(), None);
            let text = |name: HeaderName| said.get(name).map(|value| value.to_str().unwrap());
            assert_eq!(text(FORWARDED), standard);
            assert_eq!(text(X_FORWARDED_FOR), customary);
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
