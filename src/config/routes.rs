//! The `[[route]]` tables: read, and checked against each other.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};
use serde_json::json;
use toml::Spanned;
use toml::de::DeValue;

use super::destination::{self, Leads};
use super::host_policy;
use super::listen::ListenSettings;
use super::mask::{self, Sensitivity, is_readable};
use super::origin;
use super::report::Problem;
use super::section::Section;
use super::suggest::closest;
use super::value::{Size, Value, Wrong, pattern, string, text, words, wrong_type};
use crate::identity::{AliasKey, Field};
use crate::route::{
    Address, Binding, Condition, Destination, FieldNames, Forwarded, HeaderPolicy, HeaderRule,
    Limits, NotARule, Pattern, RouteSettings, Routes, is_of_connection,
};
use crate::syncml::content::{self, Fallback, Policy};
use crate::syncml::{Encoding, Protocol};
use crate::upstream::Tls;

/// Reads the routes in order, and reports routes that no request reaches.
pub(super) fn read(
    sections: &[Section<'_, '_>],
    listen: &ListenSettings,
    directory: &Path,
    privacy: &Privacy,
    tls: &mut Option<Tls>,
) -> Routes {
    let mut routes: Vec<(RouteSettings, Range<usize>)> = Vec::new();
    for (nth, section) in sections.iter().enumerate() {
        if !CONDITIONS.iter().any(|key| section.has(key)) {
            section.missing(
                "`match`",
                "name the URIs of requests, as in `match = \"http://sync.example.com/\"`",
            );
        }
        let prefixes = section.list::<Address>("match");
        let leads = destination::read(section, prefixes.as_ref());
        let name = section.get::<String>("name");
        let name: Arc<str> = name.unwrap_or_else(|| (nth + 1).to_string()).into();
        let of_route = Arc::clone(&name);
        origin::read(section, of_route, leads.as_ref(), directory, tls.as_mut());
        let Some((route, at)) =
            read_one(section, name, listen, directory, privacy, prefixes, leads)
        else {
            continue;
        };
        let earlier = routes
            .iter()
            .find(|(earlier, _)| earlier.condition.covers(&route.condition));
        if let Some((_, earlier)) = earlier {
            section.problem(Problem {
                title: format!("route {} can never be reached", route.name),
                at: at.clone(),
                label: "every request of this route ...".to_owned(),
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
    distrust_inserted_fields(&mut routes);
    Routes::new(routes)
}

/// A field that one route inserts could be forged on another, so all routes remove it from
/// requests.
fn distrust_inserted_fields(routes: &mut [RouteSettings]) {
    let names: Vec<HeaderName> = routes
        .iter()
        .flat_map(|route| &route.headers.insert)
        .map(|(name, _)| name.clone())
        .collect();
    for route in routes {
        for name in &names {
            if !route.headers.identity.as_slice().contains(name) {
                Arc::make_mut(&mut route.headers)
                    .identity
                    .push(name.clone());
            }
        }
    }
}

/// One route, and the place in the file that stands for its conditions.
fn read_one(
    section: &Section<'_, '_>,
    name: Arc<str>,
    listen: &ListenSettings,
    directory: &Path,
    privacy: &Privacy,
    prefixes: Option<Spanned<Vec<Address>>>,
    leads: Option<Leads>,
) -> Option<(RouteSettings, Range<usize>)> {
    let ports = section.list::<u16>("port");
    let secured = section.spanned::<bool>("secured");
    let bindings = section.list::<Binding>("binding");
    let obex_targets = section.list::<Pattern>("obex_target");
    let methods = section.list::<Method>("method");
    let media_types = section.list::<Pattern>("media_type");
    let user_agents = section.list::<Pattern>("user_agent");
    let protocols = section.list::<Protocol>("syncml");
    let allowed_methods = section.list::<Method>("allowed_methods");
    let headers = read_headers(section, directory, privacy);
    let plaintext_at = section.spanned::<bool>("allow_plaintext_identity");
    section.default("allow_plaintext_identity", &false);
    let tells = section.spanned::<Inserted>("insert_identity");
    let rewrite_resp_uri = section.spanned::<bool>("rewrite_resp_uri");
    let limits = read_limits(section);
    let host_policy = host_policy::read(section, leads.as_ref());
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

    if let Some(secured) = secured
        .as_ref()
        .filter(|it| *it.get_ref() && !listen.has_secure() && listen.https.is_empty())
    {
        let label = "nothing in [listen] is secured";
        let help = "add `secure_connection_mode = \"0.0.0.0:9203\"` or `https = \"0.0.0.0:443\"` to \
                    [listen]";
        section.invalid("secured", secured.span(), Wrong::new(label, help));
    }

    // The place of "never reached": the first condition of the route.
    let at = [
        prefixes.as_ref().map(Spanned::span),
        ports.as_ref().map(Spanned::span),
        secured.as_ref().map(Spanned::span),
        bindings.as_ref().map(Spanned::span),
        obex_targets.as_ref().map(Spanned::span),
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
        secured: secured.map(Spanned::into_inner),
        bindings: listed(bindings),
        obex_targets: listed(obex_targets),
        methods: listed(methods),
        media_types: listed(media_types),
        user_agents: listed(user_agents),
        protocols: listed(protocols),
    };
    let leads = leads?;
    if let Some(methods) = &allowed_methods
        && methods.get_ref().contains(&Method::CONNECT)
    {
        let is_named = |address: &Address| address.is_secure() && address.is_root();
        let is_named = condition.prefixes.iter().all(is_named);
        if !is_named || !matches!(leads.destination, Destination::AsRequested { .. }) {
            let label = "a tunnel leads to the host and port that the handset names";
            let help = "write `upstream = \"as-requested\"`, and in `match` hosts and ports only, as in \
                        `match = \"https://bank.example:443/\"`";
            section.invalid("allowed_methods", methods.span(), Wrong::new(label, help));
        }
    }
    // For other routes the key is an error, with any value.
    if matches!(leads.destination, Destination::Fixed { .. }) {
        section.default("rewrite_resp_uri", &false);
    }
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
        name,
        condition,
        destination: leads.destination,
        allow_plaintext: leads.allow_plaintext,
        allowed_methods: listed(allowed_methods),
        http_proxy: leads.http_proxy,
        rewrite_resp_uri: rewrite_resp_uri.is_some_and(Spanned::into_inner),
        host_policy,
        limits,
        headers: headers.into(),
        content,
    };
    Some((route, at))
}

/// Settings of `[privacy]` and `[identity]` that all routes share.
pub(super) struct Privacy {
    identity: FieldNames,
    alias_key: Option<AliasKey>,
}

impl Privacy {
    pub(super) fn read(section: &Section<'_, '_>, alias_key: Option<AliasKey>) -> Self {
        let identity = HeaderPolicy::default().identity.as_slice().to_vec();
        Self {
            identity: section
                .or("identity_headers", identity)
                .into_iter()
                .collect(),
            alias_key,
        }
    }
}

/// `request_headers`, and behind them the lines of the file that `request_headers_file` names.
fn read_rules(section: &Section<'_, '_>, directory: &Path) -> Vec<HeaderRule> {
    let mut rules = listed(section.list::<HeaderRule>("request_headers"));
    let Some(file) = section.spanned::<PathBuf>("request_headers_file") else {
        return rules;
    };
    let path = directory.join(file.get_ref());
    let invalid = |label: String, help: &str| {
        section.invalid("request_headers_file", file.span(), Wrong::new(label, help));
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            for (number, line) in (1..).zip(text.lines().map(str::trim)) {
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                match line.parse() {
                    Ok(rule) => rules.push(rule),
                    Err::<_, NotARule>(error) => invalid(
                        format!("{}:{number}: this {error}", mask::file(&path)),
                        "each line is a rule such as set X-Key: value, or a comment",
                    ),
                }
            }
        }
        Err(error) => invalid(
            format!("{}: {error}", mask::file(&path)),
            "it is relative to the directory of this file",
        ),
    }
    rules
}

fn read_headers(section: &Section<'_, '_>, directory: &Path, privacy: &Privacy) -> HeaderPolicy {
    HeaderPolicy {
        identity: privacy.identity.clone(),
        alias_key: privacy.alias_key.clone(),
        insert: Vec::new(),
        forwarded: section.or("forwarded", Forwarded::default()),
        trace_context: section.or("trace_context", false),
        request: read_rules(section, directory),
        reply: listed(section.list::<HeaderRule>("reply_headers")),
    }
}

/// The fields with the subscriber's identity for the origin. In plaintext every host on the path
/// can read them.
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

/// Names of header fields, each with its content.
struct Inserted(Vec<(HeaderName, Field)>);

impl Value for Inserted {
    const EXPECTED: &'static str =
        "a table such as { \"X-MSISDN\" = \"msisdn\", \"X-Alias\" = \"alias\" }";

    fn show(&self) -> toml::Value {
        let fields = self.0.iter();
        toml::Value::Table(
            fields
                .map(|(name, field)| (name.as_str().to_owned(), field.show()))
                .collect(),
        )
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "object", "additionalProperties": Field::schema() })
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let Some(table) = value.as_table() else {
            return Err(wrong_type::<Self>(value));
        };
        let mut fields = Vec::with_capacity(table.len());
        for (name, field) in table.iter() {
            let header = HeaderName::from_bytes(name.get_ref().as_bytes()).ok();
            let Some(header) = header.filter(|header| !is_of_connection(header)) else {
                // The text may be a rule with a secret.
                let name = match is_readable(name.get_ref()) {
                    true => name.get_ref(),
                    false => "this name",
                };
                let label = format!("{name} cannot be such a header field");
                return Err(Wrong::new(label, format!("expected {}", Self::EXPECTED)));
            };
            fields.push((header, Field::read(field.get_ref())?));
        }
        Ok(Self(fields))
    }
}

words!(
    Field,
    "\"msisdn\", \"alias\", \"imsi\", \"imei\", \"sgsn\", \"ggsn\", \
        \"charging_id\", \"network\", \"rat\", \"location\", \"apn\", \"nas\" or \"session\"",
    Field::ALL
);

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

    fn show(&self) -> toml::Value {
        string(self.shown())
    }

    fn schema() -> serde_json::Value {
        pattern("https?://.*|as-requested")
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = text::<Self>(value)?;
        Self::parse_prefix(text).map_err(|error| {
            let scheme = text.split_once(':').map(|(scheme, _)| scheme);
            let help = match scheme.and_then(|scheme| closest(scheme, ["http", "https"])) {
                Some(close) if scheme != Some(close) => format!("did you mean {close}://?"),
                _ => format!("expected {}", Self::EXPECTED),
            };
            Wrong::new(format!("this {error}"), help)
        })
    }
}

impl Value for Method {
    const EXPECTED: &'static str = "a method such as \"POST\"";

    fn show(&self) -> toml::Value {
        string(self.as_str())
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = text::<Self>(value)?;
        if text != text.to_ascii_uppercase() {
            let help = match is_readable(text) {
                true => format!("write \"{}\"", text.to_ascii_uppercase()),
                false => String::new(),
            };
            return Err(Wrong::new("methods are written in capitals", help));
        }
        Self::from_bytes(text.as_bytes())
            .map_err(|_| Wrong::new(format!("expected {}", Self::EXPECTED), ""))
    }
}

impl Value for Pattern {
    const EXPECTED: &'static str = "text such as \"text/x-vcard\", `*` standing for anything";

    fn show(&self) -> toml::Value {
        string(self.to_string())
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value).map(Self::new)
    }
}

words!(
    Protocol,
    "\"1.0\", \"1.1\", \"1.2\" or \"DM\"",
    [
        (Protocol::Ds10.label(), Protocol::Ds10),
        (Protocol::Ds11.label(), Protocol::Ds11),
        (Protocol::Ds12.label(), Protocol::Ds12),
        (Protocol::Dm.label(), Protocol::Dm),
    ]
);

words!(
    Binding,
    "\"wsp\", \"http\" or \"obex\"",
    [
        (Binding::Wsp.label(), Binding::Wsp),
        (Binding::Http.label(), Binding::Http),
        (Binding::Obex.label(), Binding::Obex),
    ]
);

impl Value for HeaderName {
    const EXPECTED: &'static str = "the name of a header field such as \"X-MSISDN\"";

    fn show(&self) -> toml::Value {
        string(self.as_str())
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        Self::from_bytes(text::<Self>(value)?.as_bytes())
            .map_err(|_| Wrong::new(format!("expected {}", Self::EXPECTED), ""))
    }
}

impl Value for HeaderRule {
    const EXPECTED: &'static str =
        "a rule such as \"set X-Carrier: example\", \"remove X-Foo\" or \"rename X-A: X-B\"";
    const SENSITIVITY: Sensitivity = Sensitivity::Rule;

    fn show(&self) -> toml::Value {
        let text = self.to_string();
        string(match text.split_once(':') {
            Some((rule, _)) if !rule.starts_with("rename") => format!("{rule}: ***"),
            _ => text,
        })
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value)?.parse().map_err(|error: NotARule| {
            let help = format!("expected {}", Self::EXPECTED);
            Wrong::new(format!("this {error}"), help)
        })
    }
}

words!(
    Forwarded,
    "\"none\", \"forwarded\", \"x-forwarded-for\" or \"both\"",
    [
        ("none", Self::Nowhere),
        ("forwarded", Self::Standard),
        ("x-forwarded-for", Self::Customary),
        ("both", Self::Both),
    ]
);

words!(
    Policy,
    "\"as-is\", \"xml\", \"wbxml\" or \"auto\"",
    [
        ("as-is", Self::AsIs),
        ("xml", Self::To(Encoding::Xml)),
        ("wbxml", Self::To(Encoding::Wbxml)),
        ("auto", Self::Auto),
    ]
);

words!(
    Fallback,
    "\"pass\" or \"refuse\"",
    [("pass", Self::Pass), ("refuse", Self::Refuse)]
);

/// The keys of the conditions of a route.
const CONDITIONS: [&str; 9] = [
    "match",
    "port",
    "secured",
    "binding",
    "obex_target",
    "method",
    "media_type",
    "user_agent",
    "syncml",
];
