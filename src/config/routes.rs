//! The `[[route]]` tables: read, and checked against each other.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use http::Method;
use toml::Spanned;
use toml::de::DeValue;

use super::destination::{self, Leads};
use super::listen::ListenSettings;
use super::origin::Origins;
use super::report::Problem;
use super::section::Section;
use super::value::{Size, Value, Wrong, one_of, text};
use crate::route::{Address, Condition, Limits, Pattern, RouteSettings, Routes};
use crate::syncml::Encoding;
use crate::syncml::content::{self, Fallback, Policy};
use crate::upstream::Tls;

/// Reads the routes in their order and tells which of them could never be reached.
pub(super) fn read(
    sections: &[Section<'_, '_>],
    listen: &ListenSettings,
    directory: &Path,
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
        let Some((route, at)) = read_one(section, nth + 1, listen, prefixes, leads) else {
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
    Routes::new(routes.into_iter().map(|(route, _)| route).collect())
}

/// One route, and the place in the file that stands for what it matches.
fn read_one(
    section: &Section<'_, '_>,
    nth: usize,
    listen: &ListenSettings,
    prefixes: Option<Spanned<Vec<Address>>>,
    leads: Option<Leads>,
) -> Option<(RouteSettings, Range<usize>)> {
    let name = section.get::<String>("name");
    let ports = section.list::<u16>("port");
    let methods = section.list::<Method>("method");
    let media_types = section.list::<Pattern>("media_type");
    let user_agents = section.list::<Pattern>("user_agent");
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
    };
    let leads = leads?;
    let route = RouteSettings {
        name: name.unwrap_or_else(|| nth.to_string()).into(),
        condition,
        destination: leads.destination,
        allow_plaintext: leads.allow_plaintext,
        limits,
        content,
    };
    Some((route, at))
}

fn read_limits(section: &Section<'_, '_>) -> Limits {
    let default = Limits::default();
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
        timeout: section.within(
            "timeout",
            Duration::from_millis(10)..=Duration::from_secs(3600),
            default.timeout,
        ),
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
const CONDITIONS: [&str; 5] = ["match", "port", "method", "media_type", "user_agent"];
