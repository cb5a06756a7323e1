//! `[store]`: state that survives a restart; and `[cluster]`: this gateway among others of the same
//! store.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value as Json;
use toml::Spanned;
use toml::de::DeValue;

use super::records::host;
use super::section::Section;
use super::value::{Value, Wrong, pattern, string, text};
use super::{Problem, mask, secret};
use crate::store::shared::{self, Password, Server};
use crate::store::{Limits, Place, Settings};
use crate::wsp::session;

/// Reads both sections; without `path` and `redis` there is no store.
pub(super) fn read(
    section: &Section<'_, '_>,
    cluster: &Section<'_, '_>,
    directory: &Path,
    wsp: &session::Config,
) -> Option<Settings> {
    let has_redis = section.has("redis");
    let alone = FOR_REDIS.into_iter().find(|key| section.has(key));
    let path = section.spanned::<PathBuf>("path");
    let shared = read_shared(section, directory);
    let node = cluster.spanned::<Node>("node");
    if !has_redis {
        read_no_redis(section, cluster, alone, node.as_ref());
    }
    let place = match (path, shared) {
        (None, None) => None,
        (Some(path), None) => Some(Place::File(directory.join(path.get_ref()))),
        (Some(path), Some((_, at))) => {
            section.problem(Problem {
                title: "[store] has `path` and `redis`".to_owned(),
                at: path.span(),
                label: "a file is for one gateway alone".to_owned(),
                related: Some((at, "and this is for several".to_owned())),
                help: "keep one of the two; the state of the other one is not copied".to_owned(),
            });
            None
        }
        (None, Some((shared, _))) => {
            let node = node.map(|node| node.into_inner().0);
            Some(Place::Shared(shared::Settings {
                node: node.unwrap_or_else(host),
                ..shared
            }))
        }
    };
    if place.is_none() {
        section.without_effect();
    }
    Some(Settings {
        place: place?,
        limits: Limits {
            max_age: wsp.idle_timeout + wsp.idle_timeout / 4,
            max_sessions: u64::try_from(wsp.max_sessions).unwrap_or(u64::MAX),
        },
    })
}

/// Reports settings that have a meaning with `redis` only.
fn read_no_redis(
    section: &Section<'_, '_>,
    cluster: &Section<'_, '_>,
    alone: Option<&'static str>,
    node: Option<&Spanned<Node>>,
) {
    let remedy = "add `redis = \"redis://HOST:6379/\"` to [store], or remove it";
    if let Some(key) = alone {
        section.missing(
            "`redis`",
            &format!("`{key}` has no meaning without: {remedy}"),
        );
    }
    if let Some(node) = node {
        let wrong = Wrong::new("only a gateway with a shared store is a node", remedy);
        cluster.invalid("node", node.span(), wrong);
    }
    cluster.without_effect();
}

/// The shared store, and the place of its servers. Its node has no name yet.
fn read_shared(
    section: &Section<'_, '_>,
    directory: &Path,
) -> Option<(shared::Settings, Range<usize>)> {
    let servers = section.list::<Server>("redis");
    let sentinel = section.get::<String>("sentinel");
    let authorities = section
        .spanned::<PathBuf>("ca_file")
        .map(|file| read_authorities(section, &file, directory));
    let user = section.get::<String>("user");
    let password = secret::read(section, directory, "password", "password_file");
    let prefix = section.get::<Prefix>("prefix");
    let latency = section.optional(
        "latency",
        Duration::from_millis(10)..=Duration::from_secs(2),
    );
    let required = section.get::<bool>("required");
    // Without servers there are no settings of theirs to show.
    let servers = servers?;
    let prefix = or(section, "prefix", prefix, Prefix("wapbridge".to_owned())).0;
    let latency = or(section, "latency", latency, Duration::from_millis(250));
    let required = or(section, "required", required, false);
    let at = servers.span();
    let servers = servers.into_inner();
    let is_tls = servers.first().is_some_and(Server::is_tls);
    if servers.iter().any(|server| server.is_tls() != is_tls) {
        let wrong = Wrong::new(
            "some have TLS and some have not",
            "write rediss:// everywhere, or redis:// everywhere",
        );
        section.invalid("redis", at, wrong);
        return None;
    }
    if authorities.is_some() && !is_tls {
        let wrong = Wrong::new(
            "there is no TLS, which `ca_file` is for",
            "write rediss://, or remove `ca_file`",
        );
        section.invalid("redis", at, wrong);
        return None;
    }
    let settings = shared::Settings {
        servers,
        sentinel,
        user,
        password: password.map(|(password, _)| Password::new(password.reveal())),
        authorities: authorities.flatten(),
        prefix,
        latency,
        required,
        node: String::new(),
    };
    Some((settings, at))
}

/// The value, or the default, which is shown.
fn or<T: Value>(section: &Section<'_, '_>, key: &'static str, value: Option<T>, default: T) -> T {
    value.unwrap_or_else(|| {
        section.default(key, &default);
        default
    })
}

/// The certificates in a file, which must have one at least.
fn read_authorities(
    section: &Section<'_, '_>,
    file: &Spanned<PathBuf>,
    directory: &Path,
) -> Option<Vec<u8>> {
    let path = directory.join(file.get_ref());
    let read = std::fs::read(&path).map_err(|error| error.to_string());
    let checked = read.and_then(|octets| {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
        match certificates {
            Ok(found) if found.is_empty() => Err("no certificate in it".to_owned()),
            Ok(_) => Ok(octets),
            Err(error) => Err(error.to_string()),
        }
    });
    match checked {
        Ok(octets) => Some(octets),
        Err(why) => {
            let label = format!("{}: {why}", mask::file(&path));
            let help = "ca_file names PEM certificates, relative to the directory of this file";
            section.invalid("ca_file", file.span(), Wrong::new(label, help));
            None
        }
    }
}

impl Value for Server {
    const EXPECTED: &'static str =
        "a URL such as \"redis://192.0.2.1:6379/\" or \"rediss://store.example/\"";

    fn show(&self) -> toml::Value {
        string(self.to_string())
    }

    fn schema() -> Json {
        pattern("rediss?://.*")
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value)?.parse().map_err(|error| match error {
            shared::NotAServer::Url => Wrong::new("this is no URL of a server", error.to_string()),
            shared::NotAServer::Credentials => {
                Wrong::new("there is a user or a password in it", error.to_string())
            }
            shared::NotAServer::More => Wrong::new("this says too much", error.to_string()),
        })
    }
}

/// The name of a node, which is a part of keys and of owners.
struct Node(String);

impl Value for Node {
    const EXPECTED: &'static str = "a name of letters, digits, \".\", \"-\" and \"_\"";

    fn show(&self) -> toml::Value {
        string(self.0.as_str())
    }

    fn schema() -> Json {
        pattern("[A-Za-z0-9._-]{1,64}")
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        name::<Self>(value).map(Self)
    }
}

/// The beginning of keys.
struct Prefix(String);

impl Value for Prefix {
    const EXPECTED: &'static str = Node::EXPECTED;

    fn show(&self) -> toml::Value {
        string(self.0.as_str())
    }

    fn schema() -> Json {
        Node::schema()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        name::<Self>(value).map(Self)
    }
}

fn name<T: Value>(value: &DeValue<'_>) -> Result<String, Wrong> {
    let text = text::<T>(value)?;
    let may_be = |octet: u8| octet.is_ascii_alphanumeric() || b"._-".contains(&octet);
    match (1..=64).contains(&text.len()) && text.bytes().all(may_be) {
        true => Ok(text.to_owned()),
        false => Err(Wrong::new(
            format!("expected {}", T::EXPECTED),
            "at most 64 of them",
        )),
    }
}

/// The settings that have a meaning with `redis` only.
const FOR_REDIS: [&str; 8] = [
    "sentinel",
    "ca_file",
    "user",
    "password",
    "password_file",
    "prefix",
    "latency",
    "required",
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Settings;
    use crate::store::Place;

    const ROUTE: &str =
        "[[route]]\nmatch = \"http://a.example/\"\nupstream = \"https://b.example/\"\n";

    fn read(sections: &str) -> Result<Settings, String> {
        Settings::parse(&format!("{sections}\n{ROUTE}"), "gw.toml", Path::new("."))
            .map_err(|report| report.to_string())
    }

    fn error(sections: &str) -> String {
        read(sections).map(|_| ()).unwrap_err()
    }

    #[test]
    fn a_shared_store_has_its_settings() {
        let text = "[store]\nredis = [\"redis://192.0.2.1:6379/\", \"redis://192.0.2.2/\"]\n\
            user = \"gw\"\npassword = \"open sesame\"\nprefix = \"test\"\nlatency = \"100ms\"\n\
            required = true\n[cluster]\nnode = \"gw1\"\n";
        let settings = read(text).unwrap();
        let store = settings.store.as_ref().unwrap();
        let Place::Shared(shared) = &store.place else {
            panic!("{store:?}");
        };
        assert_eq!((shared.servers.len(), shared.node.as_str()), (2, "gw1"));
        assert!(shared.required && shared.password.is_some());
        let shown = format!("{settings:?}") + &toml::to_string(&settings).unwrap();
        assert!(!shown.contains("open sesame"), "{shown}");
        assert!(shown.contains("gw1"), "{shown}");
        let one = read("[store]\nredis = \"rediss://store.example/\"\n").unwrap();
        let Some(Place::Shared(shared)) = one.store.map(|store| store.place) else {
            panic!("no shared store");
        };
        assert!(!shared.node.is_empty(), "the host's name");
        assert_eq!(
            (shared.prefix.as_str(), shared.latency.as_millis()),
            ("wapbridge", 250)
        );
    }

    #[test]
    fn what_contradicts_itself_is_an_error_with_a_remedy() {
        for (sections, told) in [
            (
                "[store]\npath = \"a.redb\"\nredis = \"redis://a/\"",
                "keep one of the two",
            ),
            ("[store]\nlatency = \"1s\"", "add `redis"),
            ("[store]\npath = \"a.redb\"\nrequired = true", "add `redis"),
            ("[cluster]\nnode = \"gw1\"", "add `redis"),
            (
                "[store]\nredis = [\"redis://a/\", \"rediss://b/\"]",
                "rediss:// everywhere",
            ),
            ("[store]\nredis = \"redis://gw:secret@a/\"", "password_file"),
            ("[store]\nredis = \"a:6379\"", "redis://192.0.2.1:6379/"),
            ("[store]\nredis = []", "empty"),
            (
                "[store]\nredis = \"redis://a/\"\nca_file = \"Cargo.toml\"",
                "no certificate",
            ),
            (
                "[store]\nredis = \"redis://a/\"\n[cluster]\nnode = \"gw:1\"",
                "letters",
            ),
            (
                "[store]\nredis = \"redis://a/\"\nlatency = \"1h\"",
                "latency",
            ),
        ] {
            let report = error(sections);
            assert!(report.contains(told), "{sections}: {report}");
            assert!(!report.contains("gw:secret"), "{report}");
        }
    }
}
