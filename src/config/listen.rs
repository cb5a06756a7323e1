//! `[listen]`: addresses for handsets.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::json;
use toml::Spanned;
use toml::de::DeValue;

use super::section::Section;
use super::value::{Value, Wrong, string, wrong_type};

/// Where handsets reach us: UDP addresses, and TCP addresses for HTTP. Port 0 lets the system
/// choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenSettings {
    /// WSP over WTP. Default: port 9201 of every IPv4 address if there is no `[listen]`, nowhere if
    /// there is one that does not say.
    pub connection_mode: Vec<SocketAddr>,
    /// Bare WSP. Default: port 9200, likewise.
    pub connectionless: Vec<SocketAddr>,
    /// WSP over WTP in WTLS records, such as `0.0.0.0:9203`. Default: nowhere.
    pub secure_connection_mode: Vec<SocketAddr>,
    /// Bare WSP in WTLS records, such as `0.0.0.0:9202`. Default: nowhere.
    pub secure_connectionless: Vec<SocketAddr>,
    /// HTTP over TCP, such as `0.0.0.0:8080`. Default: nowhere.
    pub http: Vec<SocketAddr>,
    /// HTTP over TLS over TCP, such as `0.0.0.0:443`. Default: nowhere.
    pub https: Vec<SocketAddr>,
    /// OBEX over TCP, such as `0.0.0.0:650`. Default: nowhere.
    pub obex: Vec<SocketAddr>,
    /// Shards: threads that each serve their share of the handsets. Default: as many as there are
    /// processors for us, at most 64.
    pub shards: usize,
}

impl Default for ListenSettings {
    fn default() -> Self {
        let any = |port| vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)];
        Self {
            connection_mode: any(9201),
            connectionless: any(9200),
            secure_connection_mode: Vec::new(),
            secure_connectionless: Vec::new(),
            http: Vec::new(),
            https: Vec::new(),
            obex: Vec::new(),
            shards: one_per_processor(),
        }
    }
}

impl ListenSettings {
    pub(super) fn read(section: &Section<'_, '_>) -> Self {
        let default = Self::default();
        let at = section.at();
        let services = ["connection_mode", "connectionless"];
        let secure_services = ["secure_connection_mode", "secure_connectionless"];
        let said_any = services
            .iter()
            .chain(secure_services.iter().filter(|_| HAS_WTLS))
            .chain(["http", "https", "obex"].iter())
            .any(|key| section.has(key));
        let connection_mode = section.spanned::<Vec<SocketAddr>>("connection_mode");
        let connectionless = section.spanned::<Vec<SocketAddr>>("connectionless");
        let [secure_connection_mode, secure_connectionless] = secure_services.map(|key| {
            let read = HAS_WTLS.then(|| section.spanned::<Vec<SocketAddr>>(key));
            read.flatten()
        });
        let http = section.spanned::<Vec<SocketAddr>>("http");
        let https = section.spanned::<Vec<SocketAddr>>("https");
        let obex = section.spanned::<Vec<SocketAddr>>("obex");
        if at.is_none() {
            section.default("connection_mode", &default.connection_mode);
            section.default("connectionless", &default.connectionless);
        } else if !said_any {
            section.missing(
                "address",
                "add `connection_mode = \"0.0.0.0:9201\"`, or remove the section: that is the default",
            );
        }
        let mut seen = Vec::new();
        for (key, addresses) in [
            ("connection_mode", &connection_mode),
            ("connectionless", &connectionless),
            ("secure_connection_mode", &secure_connection_mode),
            ("secure_connectionless", &secure_connectionless),
        ] {
            let is_secure = key.starts_with("secure");
            for address in addresses.iter().flat_map(Spanned::get_ref) {
                let port = address.port();
                let is_taken = |(other, other_is_secure): &(SocketAddr, bool)| {
                    other == address || other.port() == port && *other_is_secure != is_secure
                };
                if port != 0 && seen.iter().any(is_taken) {
                    let at = addresses.as_ref().map_or(0..0, Spanned::span);
                    section.invalid(
                        key,
                        at,
                        Wrong::new(
                            format!("{address} is listed twice"),
                            "give each service a port of its own",
                        ),
                    );
                }
                seen.push((*address, is_secure));
            }
        }
        let shards = section.or("shards", ShardCount::Auto).count();
        if at.is_none() {
            return Self { shards, ..default };
        }
        let addresses =
            |read: Option<Spanned<Vec<_>>>| read.map(Spanned::into_inner).unwrap_or_default();
        Self {
            connection_mode: addresses(connection_mode),
            connectionless: addresses(connectionless),
            secure_connection_mode: addresses(secure_connection_mode),
            secure_connectionless: addresses(secure_connectionless),
            http: addresses(http),
            https: addresses(https),
            obex: addresses(obex),
            shards,
        }
    }

    /// Whether WTLS is spoken anywhere.
    pub(super) const fn has_secure(&self) -> bool {
        !self.secure_connection_mode.is_empty() || !self.secure_connectionless.is_empty()
    }

    /// Services over TCP with a table of connections each: HTTP, with and without TLS, and OBEX.
    #[must_use]
    pub fn tcp_services(&self) -> usize {
        let has_http = !self.http.is_empty() || !self.https.is_empty();
        usize::from(has_http) + usize::from(!self.obex.is_empty())
    }

    /// Whether one of our ports is `port`, or might be once the system has chosen it.
    pub(super) fn may_have_port(&self, port: u16) -> bool {
        self.connection_mode
            .iter()
            .chain(&self.connectionless)
            .chain(&self.secure_connection_mode)
            .chain(&self.secure_connectionless)
            .chain(&self.http)
            .chain(&self.https)
            .chain(&self.obex)
            .any(|address| address.port() == port || address.port() == 0)
    }
}

/// A number of shards, or one for each processor.
#[derive(Clone, Copy)]
enum ShardCount {
    Auto,
    Number(usize),
}

impl ShardCount {
    fn count(self) -> usize {
        match self {
            Self::Auto => one_per_processor(),
            Self::Number(count) => count,
        }
    }
}

impl Value for ShardCount {
    const EXPECTED: &'static str = "\"auto\" or a number from 1 to 64";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let wrong = |help: &str| Wrong::new(format!("expected {}", Self::EXPECTED), help);
        match value {
            DeValue::String(text) if *text == "auto" => Ok(Self::Auto),
            DeValue::String(text) if text.parse::<usize>().is_ok() => {
                Err(wrong("write the number without quotes"))
            }
            DeValue::String(_) => Err(wrong("write shards = \"auto\" for one per processor")),
            DeValue::Integer(_) => match usize::read(value)? {
                shards @ 1..=MAX_SHARDS => Ok(Self::Number(shards)),
                0 => Err(wrong("write \"auto\" for one per processor")),
                _ => Err(wrong("more shards than processors only take turns")),
            },
            _ => Err(wrong_type::<Self>(value)),
        }
    }

    fn show(&self) -> toml::Value {
        match self {
            Self::Auto => string("auto"),
            Self::Number(count) => count.show(),
        }
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [
            { "const": "auto" },
            { "type": "integer", "minimum": 1, "maximum": MAX_SHARDS },
        ] })
    }
}

/// As many as there are processors for us. More would only take turns.
fn one_per_processor() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().min(MAX_SHARDS))
}

/// Whether this program has WTLS; one without it knows no keys for secure ports.
const HAS_WTLS: bool = cfg!(feature = "wtls");

/// Shards there may be.
const MAX_SHARDS: usize = 64;
