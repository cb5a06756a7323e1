//! `[protection]`: limits per address and subscriber.

use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::mask;
use super::section::Section;
use super::value::{Size, Value, Wrong, string, text};
use crate::gateway::protection::{Config, Rate};
use crate::route::{Network, Networks};

pub(super) fn read(section: &Section<'_, '_>, directory: &Path) -> Config {
    let base = Config::default();
    let networks = |key| {
        let listed = section.spanned::<Vec<Listed>>(key);
        Arc::new(read_networks(section, key, listed, directory))
    };
    let bytes = |key, base: u32| {
        let base = Size(usize::try_from(base).unwrap_or(usize::MAX));
        let Size(octets) = section.within(key, Size(1 << 10)..=Size(1 << 30), base);
        u32::try_from(octets).unwrap_or(u32::MAX)
    };
    Config {
        allow: networks("allow"),
        deny: networks("deny"),
        requests: Rate {
            per_second: section.within("rate", RATES, base.requests.per_second),
            burst: section.within("burst", RATES, base.requests.burst),
        },
        octets: Rate {
            per_second: bytes("bytes", base.octets.per_second),
            burst: bytes("bytes_burst", base.octets.burst),
        },
        subscriber: read_rate(section, "subscriber_rate", "subscriber_burst"),
        all: read_rate(section, "total_rate", "total_burst"),
        max_addresses: section.within("max_addresses", 1..=100_000_000, base.max_addresses),
        amplification: section.within("amplification", 1..=1_000, base.amplification),
    }
}

/// A rate that is off by default, with a burst of two seconds by default.
fn read_rate(section: &Section<'_, '_>, rate: &'static str, burst: &'static str) -> Option<Rate> {
    let per_second = section.optional(rate, RATES);
    let set = section.optional(burst, RATES);
    let per_second = per_second?;
    let burst_of = set.unwrap_or_else(|| per_second.saturating_mul(2));
    section.default(burst, &burst_of);
    Some(Rate {
        per_second,
        burst: burst_of,
    })
}

fn read_networks(
    section: &Section<'_, '_>,
    key: &'static str,
    listed: Option<Spanned<Vec<Listed>>>,
    directory: &Path,
) -> Networks {
    let Some(listed) = listed else {
        return Networks::default();
    };
    let at = listed.span();
    let invalid = |label: String, help: &str| {
        section.invalid(key, at.clone(), Wrong::new(label, help));
    };
    let mut networks = Vec::new();
    for one in listed.into_inner() {
        let file = match one {
            Listed::Network(network) => {
                networks.push(network);
                continue;
            }
            Listed::File(file) => directory.join(file),
        };
        match std::fs::read_to_string(&file).map(|lines| Networks::lines(&lines)) {
            Ok(Ok(read)) => networks.extend(read),
            Ok(Err((number, error))) => invalid(
                format!("{}:{number}: this {error}", mask::file(&file)),
                "each line is a network such as 10.0.0.0/8, or a comment",
            ),
            Err(error) => invalid(
                format!("{}: {error}", mask::file(&file)),
                "it is relative to the directory of this file",
            ),
        }
    }
    if networks.is_empty() && key == "allow" {
        invalid(
            "this allows no handset".to_owned(),
            "remove the key to allow all networks, or name the networks of handsets",
        );
    }
    networks.into_iter().collect()
}

/// One entry of a list: a network, or a file of them.
enum Listed {
    Network(Network),
    File(String),
}

impl Value for Listed {
    const EXPECTED: &'static str =
        "a network such as \"10.0.0.0/8\", or a list of them such as \"file:handsets.list\"";

    fn show(&self) -> toml::Value {
        match self {
            Self::Network(network) => network.show(),
            Self::File(path) => string(format!("file:{path}")),
        }
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        match text::<Self>(value)?.strip_prefix("file:") {
            Some(file) => Ok(Self::File(file.to_owned())),
            None => Network::read(value).map(Self::Network),
        }
    }
}

const RATES: std::ops::RangeInclusive<u32> = 1..=10_000_000;
