//! The `[[route]]` tables: read, and checked against each other.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};
use toml::Spanned;
use toml::de::DeValue;

use super::destination::{self, Leads};
use super::listen::ListenSettings;
use super::origin::Origins;
use super::report::Problem;
use super::section::Section;
use super::value::{Size, Value, Wrong, one_of, text, wrong_type};
use crate::identity::{AliasKey, Field};
use crate::route::{
    Address, Condition, Destination, Forwarded, HeaderPolicy, HeaderRule, Limits, NotARule,
    Pattern, RouteSettings, Routes, is_of_connection,
};
use crate::syncml::content::{self, Fallback, Policy};
use crate::syncml::{Encoding, Protocol};
use crate::upstream::Tls;

/// Reads the routes in their order and tells which of them could never be reached.
pub(super) fn read(
    sections: &[Section<'_, '_>],
    listen: &ListenSettings,
    directory: &Path,
    privacy: &Privacy,
    tls: &mut Option<Tls>,
) -> Routes {
    let mut origins = Origins::default();
    let mut routes: Vec<(RouteSettings, Range<usize>)> = Vec::new();
    for (nth, section) in sections.iter().enumerate() {
        if !CONDITIONS.iter().any(|key| section.has(key)) {
            section.missing(
                "`match`",
                "say what handsets ask for, as in `match = \"http://sync.example.com/\"`",
            );
        }
        let prefixes = section.list::<Address>("match");
        let leads = destination::read(section, prefixes.as_ref());
        origins.read(section, leads.as_ref(), directory, tls.as_mut());
        let Some((route, at)) = read_one(section, nth + 1, listen, privacy, prefixes, leads) else {
            continue;
        };
        let earlier = routes
            .iter()
            .find(|(earlier, _)| earlier.condition.covers(&route.condition));
        if let Some((_, earlier)) = earlier {
            section.problem(Problem {
                title: format!("route {} can never be reached", route.name),
                at: at.clone(),
                label: "whatever this matches ...".to_owned(),
                related: Some((
                    earlier.clone(),
                    "... is taken by this route already".to_owned(),
                )),
                help: "the first match wins: move the more special route up, or remove it"
                    .to_owned(),
            });
        }
        if let Some((_, earlier)) = routes
            .iter()
            .find(|(earlier, _)| earlier.name == route.name)
        {
            section.problem(Problem {
                title: format!("two routes are named {}", route.name),
                at: at.clone(),
                label: "this one".to_owned(),
                related: Some((earlier.clone(), "and this one".to_owned())),
                help: "logs and metrics tell routes apart by name: choose another".to_owned(),
            });
        }
        routes.push((route, at));
    }
    let mut routes: Vec<_> = routes.into_iter().map(|(route, _)| route).collect();
    distrust_what_is_inserted(&mut routes);
    Routes::new(routes)
}

/// What one route tells its origin in a field, a handset could claim on another: it is removed on all of them.
fn distrust_what_is_inserted(routes: &mut [RouteSettings]) {
    let names: Vec<HeaderName> = routes
        .iter()
        .flat_map(|route| &route.headers.insert)
        .map(|(name, _)| name.clone())
        .collect();
    for route in routes {
        for name in &names {
            if !route.headers.identity.contains(name) {
                Arc::make_mut(&mut route.headers)
                    .identity
                    .push(name.clone());
            }
        }
    }
}

/// One route, and the place in the file that stands for what it matches.
fn read_one(
    section: &Section<'_, '_>,
    nth: usize,
    listen: &ListenSettings,
    privacy: &Privacy,
    prefixes: Option<Spanned<Vec<Address>>>,
    leads: Option<Leads>,
) -> Option<(RouteSettings, Range<usize>)> {
    let name = section.get::<String>("name");
    let ports = section.list::<u16>("port");
    let methods = section.list::<Method>("method");
    let media_types = section.list::<Pattern>("media_type");
    let user_agents = section.list::<Pattern>("user_agent");
    let protocols = section.list::<Protocol>("syncml");
    let allowed_methods = section.list::<Method>("allowed_methods");
    let headers = read_headers(section, privacy);
    let plaintext_at = section.spanned::<bool>("allow_plaintext_identity");
    let tells = section.spanned::<Inserted>("insert_identity");
    let rewrite_resp_uri = section.spanned::<bool>("rewrite_resp_uri");
    let limits = read_limits(section);
    let content = read_content(section);

    for port in ports.iter().flat_map(Spanned::get_ref) {
        if !listen.may_have_port(*port) {
            let at = ports.as_ref().map_or(0..0, Spanned::span);
            section.invalid(
                "port",
                at,
                Wrong::new(
                    format!("nothing in [listen] has port {port}"),
                    "a route's port is one of our own that handsets send to",
                ),
            );
        }
    }

    // A place for "never reached" to point at: the first condition the route has.
    let at = [
        prefixes.as_ref().map(Spanned::span),
        ports.as_ref().map(Spanned::span),
        methods.as_ref().map(Spanned::span),
        media_types.as_ref().map(Spanned::span),
        user_agents.as_ref().map(Spanned::span),
        protocols.as_ref().map(Spanned::span),
    ]
    .into_iter()
    .flatten()
    .next()?;
    let condition = Condition {
        prefixes: listed(prefixes),
        local_ports: listed(ports),
        methods: listed(methods),
        media_types: listed(media_types),
        user_agents: listed(user_agents),
        protocols: listed(protocols),
    };
    let leads = leads?;
    if let (Some(rewrite), Destination::AsRequested { .. }) =
        (&rewrite_resp_uri, &leads.destination)
    {
        let label = "handsets use the hosts' own addresses already";
        let help = "remove it: it is for a route with an `upstream` of its own";
        section.invalid("rewrite_resp_uri", rewrite.span(), Wrong::new(label, help));
    }
    let headers = HeaderPolicy {
        insert: read_inserted(section, tells, plaintext_at, &leads, privacy),
        ..headers
    };
    let route = RouteSettings {
        name: name.unwrap_or_else(|| nth.to_string()).into(),
        condition,
        destination: leads.destination,
        allow_plaintext: leads.allow_plaintext,
        allowed_methods: listed(allowed_methods),
        http_proxy: leads.http_proxy,
        rewrite_resp_uri: rewrite_resp_uri.is_some_and(Spanned::into_inner),
        limits,
        headers: headers.into(),
        content,
    };
    Some((route, at))
}

/// What all routes have in common.
pub(super) struct Privacy {
    identity: Vec<HeaderName>,
    alias_key: Option<AliasKey>,
}

impl Privacy {
    pub(super) fn read(section: &Section<'_, '_>, alias_key: Option<AliasKey>) -> Self {
        Self {
            identity: section
                .get::<Vec<HeaderName>>("identity_headers")
                .unwrap_or_else(|| HeaderPolicy::default().identity),
            alias_key,
        }
    }
}

fn read_headers(section: &Section<'_, '_>, privacy: &Privacy) -> HeaderPolicy {
    HeaderPolicy {
        identity: privacy.identity.clone(),
        alias_key: privacy.alias_key.clone(),
        insert: Vec::new(),
        forwarded: section.or("forwarded", Forwarded::default()),
        request: listed(section.list::<HeaderRule>("request_headers")),
        reply: listed(section.list::<HeaderRule>("reply_headers")),
    }
}

/// The fields in which an origin is told who the subscriber is. In plaintext that is everybody's to read.
fn read_inserted(
    section: &Section<'_, '_>,
    tells: Option<Spanned<Inserted>>,
    allowed: Option<Spanned<bool>>,
    leads: &Leads,
    privacy: &Privacy,
) -> Vec<(HeaderName, Field)> {
    let Some(tells) = tells else {
        return Vec::new();
    };
    let at = tells.span();
    let Inserted(fields) = tells.into_inner();
    let plain = !leads.hosts.get_ref().iter().all(Address::is_secure);
    if plain && !allowed.is_some_and(Spanned::into_inner) {
        section.invalid(
            "insert_identity",
            at.clone(),
            Wrong::new(
                "upstream is not encrypted: anyone on the way could read whose request it is",
                "use https://, or add `allow_plaintext_identity = true` if that is all right",
            ),
        );
    }
    let wants_alias = fields.iter().any(|(_, field)| *field == Field::Alias);
    if wants_alias && privacy.alias_key.is_none() {
        section.invalid(
            "insert_identity",
            at,
            Wrong::new(
                "there is no key to make aliases with",
                "set alias_key_file in [identity]; openssl rand -hex 32 makes a key",
            ),
        );
    }
    fields
}

/// Names of header fields, each with what is said in it.
struct Inserted(Vec<(HeaderName, Field)>);

impl Value for Inserted {
    const EXPECTED: &'static str =
        "a table such as { \"X-MSISDN\" = \"msisdn\", \"X-Alias\" = \"alias\" }";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let Some(table) = value.as_table() else {
            return Err(wrong_type::<Self>(value));
        };
        let mut fields = Vec::with_capacity(table.len());
        for (name, field) in table.iter() {
            let header = HeaderName::from_bytes(name.get_ref().as_bytes()).ok();
            let Some(header) = header.filter(|header| !is_of_connection(header)) else {
                let label = format!("{} cannot be such a header field", name.get_ref());
                return Err(Wrong::new(label, format!("expected {}", Self::EXPECTED)));
            };
            fields.push((header, Field::read(field.get_ref())?));
        }
        Ok(Self(fields))
    }
}

impl Value for Field {
    const EXPECTED: &'static str = "\"msisdn\", \"alias\", \"imsi\", \"imei\", \"sgsn\", \"ggsn\", \
        \"charging_id\", \"network\", \"rat\", \"location\", \"apn\", \"nas\" or \"session\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        one_of(value, &Self::ALL)
    }
}

fn read_limits(section: &Section<'_, '_>) -> Limits {
    let default = Limits::default();
    let times = Duration::from_millis(10)..=Duration::from_secs(3600);
    let timeout = section.within("timeout", times.clone(), default.timeout);
    Limits {
        max_reply: section
            .within(
                "max_reply",
                Size(1024)..=Size(64 << 20),
                Size(default.max_reply),
            )
            .0,
        connect_timeout: section.within(
            "connect_timeout",
            Duration::from_millis(10)..=Duration::from_secs(600),
            default.connect_timeout,
        ),
        first_byte_timeout: section.within("first_byte_timeout", times, timeout),
        timeout,
    }
}

fn read_content(section: &Section<'_, '_>) -> content::Config {
    let default = content::Config::default();
    content::Config {
        policy: section.or("encoding", default.policy),
        fallback: section.or("untranslatable", default.fallback),
        share: section.within("announced_share", 1..=16, default.share),
        doctype: section.or("doctype", default.doctype),
        ..default
    }
}

fn listed<T>(read: Option<Spanned<Vec<T>>>) -> Vec<T> {
    read.map(Spanned::into_inner).unwrap_or_default()
}

impl Value for Address {
    const EXPECTED: &'static str = "a URL such as \"http://sync.example.com/\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = text::<Self>(value)?;
        Self::parse_prefix(text).map_err(|error| {
            let help = if text.contains("://") {
                String::new()
            } else {
                format!("expected {}", Self::EXPECTED)
            };
            Wrong::new(format!("this {error}"), help)
        })
    }
}

impl Value for Method {
    const EXPECTED: &'static str = "a method such as \"POST\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = text::<Self>(value)?;
        if text != text.to_ascii_uppercase() {
            let help = format!("write \"{}\"", text.to_ascii_uppercase());
            return Err(Wrong::new("methods are written in capitals", help));
        }
        Self::from_bytes(text.as_bytes())
            .map_err(|_| Wrong::new(format!("expected {}", Self::EXPECTED), ""))
    }
}

impl Value for Pattern {
    const EXPECTED: &'static str = "text such as \"text/x-vcard\", `*` standing for anything";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value).map(Self::new)
    }
}

impl Value for Protocol {
    const EXPECTED: &'static str = "\"1.0\", \"1.1\", \"1.2\" or \"DM\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let choices = [Self::Ds10, Self::Ds11, Self::Ds12, Self::Dm];
        one_of(value, &choices.map(|choice| (choice.label(), choice)))
    }
}

impl Value for HeaderName {
    const EXPECTED: &'static str = "the name of a header field such as \"X-MSISDN\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        Self::from_bytes(text::<Self>(value)?.as_bytes())
            .map_err(|_| Wrong::new(format!("expected {}", Self::EXPECTED), ""))
    }
}

impl Value for HeaderRule {
    const EXPECTED: &'static str =
        "a rule such as \"set X-Carrier: example\", \"remove X-Foo\" or \"rename X-A: X-B\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value)?.parse().map_err(|error: NotARule| {
            let help = format!("expected {}", Self::EXPECTED);
            Wrong::new(format!("this {error}"), help)
        })
    }
}

impl Value for Forwarded {
    const EXPECTED: &'static str = "\"none\", \"forwarded\", \"x-forwarded-for\" or \"both\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        one_of(
            value,
            &[
                ("none", Self::Nowhere),
                ("forwarded", Self::Standard),
                ("x-forwarded-for", Self::Customary),
                ("both", Self::Both),
            ],
        )
    }
}

impl Value for Policy {
    const EXPECTED: &'static str = "\"as-is\", \"xml\", \"wbxml\" or \"auto\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        one_of(
            value,
            &[
                ("as-is", Self::AsIs),
                ("xml", Self::To(Encoding::Xml)),
                ("wbxml", Self::To(Encoding::Wbxml)),
                ("auto", Self::Auto),
            ],
        )
    }
}

impl Value for Fallback {
    const EXPECTED: &'static str = "\"pass\" or \"refuse\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        one_of(value, &[("pass", Self::Pass), ("refuse", Self::Refuse)])
    }
}

/// The keys that say which requests a route takes.
const CONDITIONS: [&str; 6] = [
    "match",
    "port",
    "method",
    "media_type",
    "user_agent",
    "syncml",
];
