//! Where to listen.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use toml::Spanned;
use toml::de::DeValue;

use super::section::Section;
use super::value::{Value, Wrong, wrong_type};

/// Where handsets reach us: UDP addresses, port 0 letting the system choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenSettings {
    /// WSP over WTP. Default: port 9201 of every IPv4 address if there is no `[listen]`, nowhere if there
    /// is one that does not say.
    pub connection_mode: Vec<SocketAddr>,
    /// Bare WSP. Default: port 9200, likewise.
    pub connectionless: Vec<SocketAddr>,
    /// Shards: threads that each serve their share of the handsets. Default: as many as there are processors for
    /// us, at most 64.
    pub shards: usize,
}

impl Default for ListenSettings {
    fn default() -> Self {
        let any = |port| vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)];
        Self {
            connection_mode: any(9201),
            connectionless: any(9200),
            shards: one_per_processor(),
        }
    }
}

impl ListenSettings {
    pub(super) fn read(section: &Section<'_, '_>) -> Self {
        let Some(at) = section.at() else {
            return Self::default();
        };
        let said_any = section.has("connection_mode") || section.has("connectionless");
        let connection_mode = section.spanned::<Vec<SocketAddr>>("connection_mode");
        let connectionless = section.spanned::<Vec<SocketAddr>>("connectionless");
        if !said_any {
            section.missing(
                "address",
                "add `connection_mode = \"0.0.0.0:9201\"`, or remove the section: that is the default",
            );
        }
        let mut seen = Vec::new();
        for (key, addresses) in [
            ("connection_mode", &connection_mode),
            ("connectionless", &connectionless),
        ] {
            for address in addresses.iter().flat_map(Spanned::get_ref) {
                if address.port() != 0 && seen.contains(address) {
                    let at = addresses.as_ref().map_or_else(|| at.clone(), Spanned::span);
                    section.invalid(
                        key,
                        at,
                        Wrong::new(
                            format!("{address} is listed twice"),
                            "give each service a port of its own",
                        ),
                    );
                }
                seen.push(*address);
            }
        }
        let addresses =
            |read: Option<Spanned<Vec<_>>>| read.map(Spanned::into_inner).unwrap_or_default();
        Self {
            connection_mode: addresses(connection_mode),
            connectionless: addresses(connectionless),
            shards: section.or("shards", ShardCount(one_per_processor())).0,
        }
    }

    /// Whether one of our ports is `port`, or might be once the system has chosen it.
    pub(super) fn may_have_port(&self, port: u16) -> bool {
        self.connection_mode
            .iter()
            .chain(&self.connectionless)
            .any(|address| address.port() == port || address.port() == 0)
    }
}

/// A number of shards, or one for each processor.
struct ShardCount(usize);

impl Value for ShardCount {
    const EXPECTED: &'static str = "\"auto\" or a number from 1 to 64";

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        match value {
            DeValue::String(text) if *text == "auto" => Ok(Self(one_per_processor())),
            DeValue::Integer(_) => match usize::read(value)? {
                shards @ 1..=MAX_SHARDS => Ok(Self(shards)),
                _ => Err(Wrong::new(format!("expected {}", Self::EXPECTED), "")),
            },
            _ => Err(wrong_type::<Self>(value)),
        }
    }
}

/// As many as there are processors for us. More would only take turns.
fn one_per_processor() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().min(MAX_SHARDS))
}

/// Shards there may be.
const MAX_SHARDS: usize = 64;
