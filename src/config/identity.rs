//! `[identity]`: subscribers, and the clients that may report them.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::mask::{self, Sensitivity};
use super::report::Problem;
use super::secret;
use super::section::Section;
use super::value::{Value, Wrong, string, text};
use crate::identity::directory::{Limits, Reporter};
use crate::identity::server::{self, Client, HomeServer};
use crate::identity::{AliasKey, Identity, NotAPrefix, Prefix, Source, list};
use crate::radius;

/// Settings of subscribers' identities.
#[derive(Clone, Debug, Default)]
pub struct IdentitySettings {
    /// Configured entries, from the configuration and a file. Default: none.
    pub entries: Arc<[(Prefix, Arc<Identity>)]>,
    /// Limits of accounting sessions.
    pub limits: Limits,
    /// Key of pseudonyms. Default: none, and only configured pseudonyms exist.
    pub alias_key: Option<AliasKey>,
    /// `[identity.radius]`: the accounting server. Default: none.
    pub radius: Option<RadiusSettings>,
}

/// Settings of the RADIUS accounting server.
#[derive(Clone, Debug)]
pub struct RadiusSettings {
    /// UDP addresses, port 0 letting the system choose.
    pub listen: Vec<SocketAddr>,
    /// Accounting clients, and servers that get reports.
    pub server: server::Config,
}

impl IdentitySettings {
    pub(super) fn read(section: &Section<'_, '_>, directory: &Path) -> Self {
        let base = Limits::default();
        let limits = Limits {
            max_sessions: section.within("max_sessions", 1..=100_000_000, base.max_sessions),
            lifetime: section.within(
                "lifetime",
                Duration::from_secs(60)..=Duration::from_secs(365 * 24 * 3_600),
                base.lifetime,
            ),
        };
        let mut entries = Vec::new();
        for Entry(entry) in section.or("subscribers", Vec::new()) {
            entries.push(entry);
        }
        if let Some(file) = section.spanned::<PathBuf>("file") {
            read_list(section, &file, directory, &mut entries);
        }
        let alias_key = section
            .spanned::<PathBuf>("alias_key_file")
            .and_then(|file| read_key(section, &file, directory));
        let has_radius = section.has("radius");
        let radius = section.section("radius");
        let radius = has_radius.then(|| read_radius(&radius, directory, limits.max_sessions));
        Self {
            entries: entries.into(),
            limits,
            alias_key,
            radius,
        }
    }
}

/// Adds the lines of a file.
fn read_list(
    section: &Section<'_, '_>,
    file: &Spanned<PathBuf>,
    directory: &Path,
    entries: &mut Vec<(Prefix, Arc<Identity>)>,
) {
    let path = directory.join(file.get_ref());
    let invalid = |label: String, help: &str| {
        section.invalid("file", file.span(), Wrong::new(label, help));
    };
    let lines = match std::fs::read_to_string(&path) {
        Ok(lines) => lines,
        Err(error) => {
            return invalid(
                format!("{}: {error}", mask::file(&path)),
                "it is relative to the directory of this file",
            );
        }
    };
    let mut wrong = 0;
    for (number, line) in (1..).zip(lines.lines()) {
        match list::entry(line, Source::File) {
            Ok(entry) => entries.extend(entry),
            Err(error) => {
                wrong += 1;
                if wrong <= MOST_COMPLAINTS {
                    invalid(
                        format!("{}:{number}: this line {error}", mask::file(&path)),
                        "each line is an address or network, a number and, if there is one, an alias",
                    );
                }
            }
        }
    }
}

fn read_key(
    section: &Section<'_, '_>,
    file: &Spanned<PathBuf>,
    directory: &Path,
) -> Option<AliasKey> {
    let path = directory.join(file.get_ref());
    let wrong = match std::fs::read(&path) {
        Ok(octets) if octets.trim_ascii().len() >= SHORTEST_KEY => {
            return Some(AliasKey::new(octets.trim_ascii()));
        }
        Ok(octets) => format!(
            "{}: {} octets could be guessed",
            mask::file(&path),
            octets.trim_ascii().len()
        ),
        Err(error) => format!("{}: {error}", mask::file(&path)),
    };
    let help = "make one with: openssl rand -hex 32 > FILE; another key makes other aliases";
    section.invalid("alias_key_file", file.span(), Wrong::new(wrong, help));
    None
}

fn read_radius(section: &Section<'_, '_>, directory: &Path, max_sessions: usize) -> RadiusSettings {
    let listen = section.or("listen", vec![SocketAddr::from(([0, 0, 0, 0], 1813))]);
    let clients = section.sections("client");
    if clients.is_empty() {
        section.missing(
            "[[identity.radius.client]]",
            "name the networks of the accounting clients, each with its secret",
        );
    }
    let mut names: Vec<(Arc<str>, Range<usize>)> = Vec::new();
    let clients = clients
        .iter()
        .filter_map(|client| {
            let prefix: Prefix = require(client, "network")?;
            let name: Option<String> = client.get("name");
            let name = name.unwrap_or_else(|| prefix.to_string());
            let name: Arc<str> = name.into();
            let secret = read_secret(client, directory)?;
            let max_sessions = client.within("max_sessions", 1..=max_sessions, max_sessions);
            let at = client.at().unwrap_or(0..0);
            if let Some((_, earlier)) = names.iter().find(|(earlier, _)| *earlier == name) {
                section.problem(Problem {
                    title: format!("two accounting clients are named {name}"),
                    at: at.clone(),
                    label: "this one".to_owned(),
                    related: Some((earlier.clone(), "and this one".to_owned())),
                    help:
                        "sessions are held by name, which by default is `network`: choose another"
                            .to_owned(),
                });
            }
            names.push((Arc::clone(&name), at));
            Some(Client {
                prefix,
                secret,
                reporter: Reporter { name, max_sessions },
            })
        })
        .collect();
    let homes = section.sections("forward");
    let homes: Vec<HomeServer> = homes
        .iter()
        .filter_map(|home| {
            let address: SocketAddr = require(home, "address")?;
            let secret = read_secret(home, directory)?;
            Some(HomeServer { address, secret })
        })
        .collect();
    if homes.iter().any(|home| home.address.is_ipv6())
        && homes.iter().any(|home| home.address.is_ipv4())
    {
        section.problem(Problem {
            title: "[[identity.radius.forward]] mixes IPv4 and IPv6".to_owned(),
            at: section.at().unwrap_or(0..0),
            label: "one set of ports reaches all of them".to_owned(),
            related: None,
            help: "use addresses of one kind".to_owned(),
        });
    }
    let timeout = section.within(
        "forward_timeout",
        Duration::from_millis(100)..=Duration::from_secs(60),
        DEFAULT_TIMEOUT,
    );
    RadiusSettings {
        listen,
        server: server::Config {
            clients,
            homes,
            timeout,
        },
    }
}

fn require<T: Value>(section: &Section<'_, '_>, key: &'static str) -> Option<T> {
    if !section.has(key) {
        section.missing(&format!("`{key}`"), &format!("add it: {}", T::EXPECTED));
    }
    section.get(key)
}

/// `secret`, or the content of the file that `secret_file` names.
fn read_secret(section: &Section<'_, '_>, directory: &Path) -> Option<radius::Secret> {
    if !section.has("secret") && !section.has("secret_file") {
        section.missing(
            "`secret_file`",
            "without a shared secret every host could forge a subscriber's identity",
        );
    }
    let (secret, _) = secret::octets(section, directory, "secret", "secret_file")?;
    Some(radius::Secret::new(secret))
}

impl Value for Prefix {
    const EXPECTED: &'static str = "an address or a network such as \"10.9.0.0/16\"";

    fn show(&self) -> toml::Value {
        string(self.to_string())
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value)?.parse().map_err(|error: NotAPrefix| {
            Wrong::new(
                format!("this {error}"),
                format!("expected {}", Self::EXPECTED),
            )
        })
    }
}

/// One line of a list of subscribers.
struct Entry((Prefix, Arc<Identity>));

impl Value for Entry {
    const EXPECTED: &'static str = "a subscriber such as \"10.1.2.3,491701234567\"";
    // A subscriber's address is confidential.
    const SENSITIVITY: Sensitivity = Sensitivity::Secret;

    fn show(&self) -> toml::Value {
        string("***")
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        match list::entry(text::<Self>(value)?, Source::Configured) {
            Ok(Some(entry)) => Ok(Self(entry)),
            Ok(None) => Err(Wrong::new(format!("expected {}", Self::EXPECTED), "")),
            Err(error) => {
                let help = format!("expected {}", Self::EXPECTED);
                Err(Wrong::new(format!("this {error}"), help))
            }
        }
    }
}

/// The most malformed lines of a file that are reported one by one.
const MOST_COMPLAINTS: usize = 10;
/// Octets of the shortest key. Shorter ones could be guessed.
const SHORTEST_KEY: usize = 16;
/// The default time limit for the response of a server that reports are forwarded to.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
