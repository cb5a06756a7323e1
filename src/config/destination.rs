//! The destination of a `[[route]]`.

use serde_json::json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::section::Section;
use super::value::{Value, Wrong, string, text};
use crate::route::{Address, Destination, Network, NotANetwork};

/// The destination of a route, and its hosts with their place in the file.
pub(super) struct Leads {
    pub(super) destination: Destination,
    pub(super) hosts: Spanned<Vec<Address>>,
    /// The weights of the hosts, in their order; none if the file sets none.
    pub(super) weights: Vec<u32>,
    pub(super) allow_plaintext: bool,
    pub(super) http_proxy: Option<Address>,
}

/// Reads the destination of a route, for its conditions; `None` after an error.
pub(super) fn read(
    section: &Section<'_, '_>,
    prefixes: Option<&Spanned<Vec<Address>>>,
) -> Option<Leads> {
    if !section.has("upstream") {
        section.missing(
            "`upstream`",
            "say where that is, as in `upstream = \"https://sync.internal.example/\"`",
        );
    }
    let allow_plaintext = section.or("allow_plaintext", false);
    let networks = section.list::<Network>("allow_addresses");
    let http_proxy = section.spanned::<Address>("http_proxy");
    let upstreams = section.list::<Upstream>("upstream")?;
    let at = upstreams.span();
    let invalid = |label: &str, help: &str| {
        section.invalid("upstream", at.clone(), Wrong::new(label, help));
    };

    let (mut hosts, mut weights) = (Vec::new(), Vec::new());
    for upstream in upstreams.get_ref() {
        match upstream {
            Upstream::Host(host, weight) => {
                hosts.push(host.clone());
                weights.push(weight.unwrap_or(1));
            }
            Upstream::AsRequested if upstreams.get_ref().len() == 1 => {}
            Upstream::AsRequested => {
                invalid("\"as-requested\" beside a host", "choose one of them");
                return None;
            }
        }
    }
    let has_weight = |upstream: &Upstream| matches!(upstream, Upstream::Host(_, Some(_)));
    if !upstreams.get_ref().iter().any(has_weight) {
        weights.clear();
    }
    let mut others = hosts.iter().cloned();
    let destination = match others.next() {
        Some(upstream) => {
            if let Some(networks) = &networks {
                let why = "a route with an `upstream` of its own may lead anywhere";
                let help = "remove it: it is for `upstream = \"as-requested\"`";
                section.invalid("allow_addresses", networks.span(), Wrong::new(why, help));
            }
            let fallbacks: Vec<_> = others.collect();
            if !fallbacks.iter().all(|other| other.is_twin_of(&upstream)) {
                invalid(
                    "these differ in more than host and port",
                    "the second and further ones stand in for the first: give them its scheme and path",
                );
            }
            Destination::Fixed {
                upstream,
                fallbacks,
            }
        }
        None => {
            let Some(prefixes) = prefixes else {
                invalid(
                    "handsets could ask for anything anywhere",
                    "name the hosts in `match`, or name an upstream",
                );
                return None;
            };
            hosts.clone_from(prefixes.get_ref());
            let allow_addresses = networks.map(Spanned::into_inner).unwrap_or_default();
            Destination::AsRequested {
                allow_addresses: allow_addresses.into(),
            }
        }
    };
    let is_home = |address: &Address| address.is_device_home();
    if hosts.iter().any(is_home)
        || http_proxy
            .as_ref()
            .is_some_and(|proxy| is_home(proxy.get_ref()))
    {
        invalid(
            "DEVICE:home names no host",
            "name the host that has the home page, as in `upstream = \"https://portal.internal.example/\"`",
        );
        return None;
    }
    if !allow_plaintext && !hosts.iter().all(Address::is_secure) {
        invalid(
            "this is not encrypted: every host on the path can read and change the data",
            "use https://, or add `allow_plaintext = true` to this route if that is all right",
        );
    }
    if let Some(proxy) = &http_proxy {
        check_proxy(section, proxy, &destination, &hosts);
    }
    Some(Leads {
        destination,
        hosts: Spanned::new(at, hosts),
        weights,
        allow_plaintext,
        http_proxy: http_proxy.map(Spanned::into_inner),
    })
}

/// Reports uses for which a proxy is unsuitable.
fn check_proxy(
    section: &Section<'_, '_>,
    proxy: &Spanned<Address>,
    destination: &Destination,
    hosts: &[Address],
) {
    let invalid = |label: &str, help: &str| {
        section.invalid("http_proxy", proxy.span(), Wrong::new(label, help));
    };
    if proxy.get_ref().is_secure() {
        invalid(
            "the way to the proxy itself is plain HTTP",
            "write http://; TLS with the origin goes through it, end to end",
        );
    }
    if matches!(destination, Destination::AsRequested { .. }) {
        invalid(
            "a proxy would find the addresses, and they could not be checked",
            "name an upstream, or remove it",
        );
    } else if !hosts.iter().all(Address::is_secure) {
        invalid(
            "a tunnel through a proxy is for https:// only",
            "use https:// upstream, or remove it",
        );
    }
}

/// One value of `upstream`.
enum Upstream {
    /// With its weight, if the file sets it.
    Host(Address, Option<u32>),
    AsRequested,
}

impl Value for Upstream {
    const EXPECTED: &'static str = Address::EXPECTED;

    fn show(&self) -> toml::Value {
        match self {
            Self::Host(address, None) => address.show(),
            Self::Host(address, Some(weight)) => toml::Value::Table(
                [("url", address.show()), ("weight", weight.show())]
                    .map(|(key, value)| (key.to_owned(), value))
                    .into_iter()
                    .collect(),
            ),
            Self::AsRequested => string("as-requested"),
        }
    }

    fn schema() -> serde_json::Value {
        let url = Address::schema();
        json!({ "anyOf": [url, {
            "type": "object",
            "properties": {
                "url": url,
                "weight": { "type": "integer", "minimum": 1, "maximum": MAX_WEIGHT },
            },
            "required": ["url"],
            "additionalProperties": false,
        }] })
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        if let Some(table) = value.as_table() {
            return read_weighted(table);
        }
        match text::<Self>(value)? {
            "as-requested" => Ok(Self::AsRequested),
            _ => Ok(Self::Host(Address::read(value)?, None)),
        }
    }
}

/// A host with its weight, such as `{ url = "https://a.example/", weight = 3 }`.
fn read_weighted(table: &DeTable<'_>) -> Result<Upstream, Wrong> {
    let help = "write { url = \"https://a.example/\", weight = 3 }";
    let (mut url, mut weight) = (None, None);
    for (key, value) in table {
        match key.get_ref().as_ref() {
            "url" => url = Some(Address::read(value.get_ref())?),
            "weight" => weight = Some(u32::read(value.get_ref())?),
            _ => return Err(Wrong::new("a host has `url` and `weight` only", help)),
        }
    }
    if weight.is_some_and(|weight| !(1..=MAX_WEIGHT).contains(&weight)) {
        let label = format!("a weight is a number from 1 to {MAX_WEIGHT}");
        return Err(Wrong::new(
            label,
            "remove a host that is to get no requests",
        ));
    }
    let url = url.ok_or_else(|| Wrong::new("this host has no `url`", help))?;
    Ok(Upstream::Host(url, weight))
}

/// The largest weight of a host.
const MAX_WEIGHT: u32 = 1000;

impl Value for Network {
    const EXPECTED: &'static str = "a network such as \"10.0.0.0/8\" or \"fd00::/8\"";

    fn show(&self) -> toml::Value {
        string(self.to_string())
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value)?.parse().map_err(|error: NotANetwork| {
            Wrong::new(
                format!("this {error}"),
                format!("expected {}", Self::EXPECTED),
            )
        })
    }
}
