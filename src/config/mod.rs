//! The configuration: one TOML file, read once, checked whole.
//!
//! Each setting has one home: the `Config` or `Settings` struct of the layer that obeys it, where
//! its meaning and its default are documented. To add a key, add the field there and one line where
//! its section is read; to add a section, one line in `Settings::read`. Unknown keys, wrong types
//! and the report follow.

mod admin;
mod advice;
mod core;
mod destination;
mod environment;
mod host_policy;
mod http;
mod identity;
mod include;
mod listen;
mod log;
mod mask;
mod origin;
mod protection;
mod push;
mod reading;
mod records;
mod report;
mod restart;
mod routes;
mod schema;
mod secret;
mod section;
mod server;
mod server_tls;
mod smsc;
mod source;
mod store;
mod suggest;
mod tracing;
mod value;
#[cfg(feature = "wtls")]
mod wtls;

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};
use toml::Spanned;
use toml::de::Error;

pub use admin::AdminSettings;
pub use http::HttpSettings;
pub use identity::{IdentitySettings, RadiusSettings};
pub use listen::ListenSettings;
pub use log::{AccessLog, LogSettings};
pub(crate) use records::host;
pub use report::{Entry, Problem, Report, Severity};
pub use restart::needs_restart;
pub use schema::schema;
pub use secret::Secret;
pub use server::ServerSettings;
pub use source::Texts;
pub use tracing::TracingSettings;
pub(crate) use value::duration;
#[cfg(feature = "wtls")]
pub(crate) use wtls::certificates as wtls_certificates;

use crate::gateway::{self, HeaderRules, Limits, Redirect};
use crate::initiator::PushSettings;
use crate::record::charging;
use crate::route::Routes;
use crate::upstream::{Expiry, Tls, TlsError, TlsSettings};
use crate::wsp::{connectionless, session};
use crate::wtp;
use mask::Keys;
use reading::{Reading, Setting};
use section::Section;
use source::Sources;
use value::Wrong;

/// Time for the last reply to reach the handset, after the timeout of the slowest route.
const ACROSS_THE_AIR: Duration = Duration::from_secs(15);

/// The configuration file without an option: a file in the working directory.
pub const DEFAULT_FILE: &str = "wapbridge.toml";

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[listen]`: the addresses for handsets.
    pub listen: ListenSettings,
    /// `[admin]`: the interface for operators and monitoring.
    pub admin: AdminSettings,
    /// `[http]`: connections of handsets that speak HTTP or OBEX.
    pub http: HttpSettings,
    /// `[server]`: the life of the process.
    pub server: ServerSettings,
    /// `[store]` and `[cluster]`: what keeps sessions across restarts. Default: none.
    pub store: Option<crate::store::Settings>,
    /// `[[route]]`: routes from URIs to origins.
    pub routes: Arc<Routes>,
    /// `[tls]`: trusted authorities; certificates are loaded.
    pub tls: Tls,
    /// When the certificates of `[tls]`, of routes, of `[http]`, `[push]` and `[wtls]` end.
    pub certificates: Vec<Expiry>,
    /// `[records]`: the charging records. Default: none.
    pub records: Option<charging::Settings>,
    /// `[log]`: the log.
    pub log: LogSettings,
    /// `[tracing]`: traces of exchanges, and their export.
    pub tracing: TracingSettings,
    /// `[identity]`: subscribers and accounting.
    pub identity: IdentitySettings,
    /// `[wtp]`: timers and sizes of transactions.
    pub wtp: wtp::Config,
    /// `[wsp]`: negotiation and timers of sessions.
    pub wsp: session::Config,
    /// `[[smsc]]`: the SMS centres, in the order in which they are tried.
    pub smsc: Vec<crate::smsc::Settings>,
    /// `[connectionless]`: limits of that mode.
    pub connectionless: connectionless::Config,
    /// `[headers]`: header rules and cookies.
    pub headers: HeaderRules,
    /// `redirect` in `[wsp]`: the Redirect for clients that connect. Default: none.
    pub redirect: Option<Redirect>,
    /// `drain_redirect` in `[wsp]`: the same while the gateway is draining or isolated.
    pub drain_redirect: Option<Redirect>,
    /// `[push]`: push initiators. Default: none.
    pub push: Option<PushSettings>,
    /// `[protection]`: limits per address and subscriber.
    pub protection: gateway::protection::Config,
    /// `[wtls]`: the handshakes of the secure ports.
    #[cfg(feature = "wtls")]
    pub wtls: Arc<crate::wtls::Config>,
    /// The settings in force in the form of the file, secrets masked.
    document: toml::Table,
    /// The text of the configuration.
    origin: Origin,
    /// `[limits]`: the bounds of the gateway itself; those of the layers are in `wtp` and `wsp`.
    pub limits: Limits,
}

impl Settings {
    /// Reads and checks the file at `path` and the files that `include` names. `-` stands for
    /// standard input.
    ///
    /// # Errors
    ///
    /// A [`Report`] with every error.
    pub fn load(path: &Path) -> Result<Self, Report> {
        let is_stdin = path == Path::new("-");
        let name = match is_stdin {
            true => "standard input".to_owned(),
            false => path.display().to_string(),
        };
        let mut text = String::new();
        let read = match is_stdin {
            true => std::io::stdin().read_to_string(&mut text).map(|_| ()),
            false => std::fs::read_to_string(path).map(|read| text = read),
        };
        read.map_err(|error| {
            let help = if error.kind() == std::io::ErrorKind::NotFound {
                "start from deploy/wapbridge.toml, or from the five lines in the README"
            } else {
                ""
            };
            Report::unreadable(&name, &error.to_string(), help)
        })?;
        let directory = path.parent().unwrap_or_else(|| Path::new(""));
        Self::parse(&text, &name, directory)
    }

    /// Checks the text of a configuration. `name` is the name of the text in reports; relative
    /// paths start at `directory`.
    ///
    /// # Errors
    ///
    /// A [`Report`] with every error.
    pub fn parse(source: &str, name: &str, directory: &Path) -> Result<Self, Report> {
        let mut sources = Sources::new(name, source);
        let included = include::include(&mut sources, directory);
        let parsed = sources.parse();
        let mut problems = included;
        let mut table = parsed.table;
        environment::expand(&mut table, &|name| std::env::var(name), &mut problems);
        let reading = Reading::default();
        let settings = Self::read(Section::root(table, &reading), directory);
        let (found, asked, keys) = reading.into_parts();
        problems.extend(found);
        if !parsed.syntax.is_empty() {
            // The parser guesses near a syntax error; only errors at other places are reported.
            let broken: Vec<usize> = parsed
                .syntax
                .iter()
                .map(|(at, _)| sources.line(at.start))
                .collect();
            problems.retain(|problem| {
                let line = sources.line(problem.at.start);
                problem.at.start > 0 && !broken.contains(&line)
            });
            problems.extend(
                parsed
                    .syntax
                    .iter()
                    .map(|(at, error)| syntax_problem(&sources, at.clone(), error)),
            );
        }
        problems.extend(
            parsed
                .doubled
                .into_iter()
                .map(|(key, first, second)| Problem {
                    title: format!("`{key}` is set in two files"),
                    at: second,
                    label: "and here".to_owned(),
                    related: Some((first, "it is set here".to_owned())),
                    help: "keep one of the two".to_owned(),
                }),
        );
        match settings {
            Some(settings) if problems.is_empty() => Ok(Self {
                document: reading::document(&asked),
                origin: Origin {
                    name: name.to_owned(),
                    sources,
                    keys,
                    asked,
                },
                ..settings
            }),
            _ => Err(Report::new(
                name,
                &sources,
                &keys,
                Severity::Error,
                problems,
            )),
        }
    }

    /// The keys that reading `source` asks for, each with its section as the operator writes it. A
    /// section that depends on another setting appears only with that setting.
    #[must_use]
    pub fn vocabulary(source: &str, directory: &Path) -> BTreeSet<(String, &'static str)> {
        let asked = asked(source, directory).into_iter();
        asked
            .map(|setting| (setting.section, setting.key))
            .collect()
    }

    /// Warnings: contradictory limits, secrets from an example, files that cannot be written.
    #[must_use]
    pub fn warnings(&self) -> Report {
        let Origin {
            name,
            sources,
            keys,
            asked,
        } = &self.origin;
        let warnings = advice::warnings(self, asked);
        Report::new(name, sources, keys, Severity::Warning, warnings)
    }

    /// The texts that these settings were read from.
    #[must_use]
    pub fn texts(&self) -> Texts {
        Texts(Ok(self.origin.sources.clone()))
    }

    /// The part of the settings that the core is built with; limits are for all shards together.
    #[must_use]
    pub fn core(&self) -> gateway::Config {
        gateway::Config {
            wtp: self.wtp.clone(),
            wsp: self.wsp.clone(),
            connectionless: self.connectionless,
            limits: self.limits,
            protection: self.protection.clone(),
            headers: self.headers.clone(),
            push_rules: self
                .push
                .as_ref()
                .map_or_else(Arc::default, |push| Arc::clone(&push.user_agents)),
            redirect: self.redirect.clone(),
            drain_redirect: self.drain_redirect.clone(),
            sampling: self.tracing.sample_ratio,
            routes: Arc::clone(&self.routes),
        }
    }

    /// Time for running exchanges to finish while the gateway drains.
    #[must_use]
    pub fn drain_timeout(&self) -> Duration {
        self.server.drain_timeout.unwrap_or_else(|| {
            let timeouts = self.routes.iter().map(|route| route.limits.timeout);
            timeouts.max().unwrap_or_default() + ACROSS_THE_AIR
        })
    }

    /// Reads every section. Errors go to the section's problems; `None` means that an error leaves
    /// no usable settings.
    fn read(file: Section<'_, '_>, directory: &Path) -> Option<Self> {
        // `include::include` has read the files already.
        let _ = file.get::<Vec<String>>("include");
        let listen = ListenSettings::read(&file.section("listen"));
        #[cfg(feature = "wtls")]
        let (wtls, mut certificates) = wtls::read(&file.section("wtls"), directory, &listen);
        // The example has this section; a key in it is unknown.
        #[cfg(not(feature = "wtls"))]
        drop(file.section("wtls"));
        #[cfg(not(feature = "wtls"))]
        let mut certificates = Vec::new();
        let admin = AdminSettings::read(&file.section("admin"), directory);
        let http = HttpSettings::read(&file.section("http"), directory, &listen, &mut certificates);
        let server = ServerSettings::read(&file.section("server"));
        let records = records::read(&file.section("records"), directory);
        let log = LogSettings::read(&file.section("log"), directory);
        let tracing = TracingSettings::read(&file.section("tracing"), directory);
        let mut tls = read_tls(&file.section("tls"), directory);
        let wtp = core::read_wtp(&file.section("wtp"));
        let section = file.section("wsp");
        let wsp = core::read_wsp(&section);
        let own_port = listen
            .connection_mode
            .first()
            .map_or(9201, SocketAddr::port);
        let (redirect, drain_redirect) = core::read_redirects(&section, own_port);
        drop(section);
        let connectionless = core::read_connectionless(&file.section("connectionless"));
        let headers = core::read_headers(&file.section("headers"));
        let (wtp, wsp, limits) = core::read_limits(&file.section("limits"), wtp, wsp);
        let (section, cluster) = (file.section("store"), file.section("cluster"));
        let store = store::read(&section, &cluster, directory, &wsp);
        drop((section, cluster));
        let has_routes = file.has("route");
        let routes = file.sections("route");
        if !has_routes {
            file.problem(Problem {
                title: "there is no [[route]]".to_owned(),
                at: 0..0,
                label: "handsets could ask for nothing".to_owned(),
                related: None,
                help: "add at least:\n[[route]]\nmatch = \"http://sync.example.com/\"\n\
                       upstream = \"https://sync.internal.example/\""
                    .to_owned(),
            });
        }
        let section = file.section("protection");
        let protection = protection::read(&section, directory);
        let wsp = core::read_sessions_per_address(&section, wsp);
        let wtp = core::read_transactions_per_address(&section, wtp);
        drop(section);
        let smsc = smsc::read(&file.sections("smsc"), directory);
        let identity = IdentitySettings::read(&file.section("identity"), directory);
        let privacy = routes::Privacy::read(&file.section("privacy"), identity.alias_key.clone());
        let push = push::read(&file.section("push"), directory, &mut certificates);
        let wsp = session::Config {
            serves_pushes: push.is_some(),
            ..wsp
        };
        let routes = routes::read(&routes, &listen, directory, &privacy, &mut tls);
        let routes = Arc::new(routes);
        let tls = tls?;
        certificates.extend_from_slice(tls.expiries());
        Some(Self {
            listen,
            admin,
            http,
            server,
            store,
            routes,
            tls,
            certificates,
            records,
            log,
            tracing,
            identity,
            push,
            protection,
            wtp,
            wsp,
            smsc,
            connectionless,
            headers,
            redirect,
            drain_redirect,
            #[cfg(feature = "wtls")]
            wtls: Arc::new(wtls),
            document: toml::Table::new(),
            origin: Origin::default(),
            limits,
        })
    }
}

fn read_tls(section: &Section<'_, '_>, directory: &Path) -> Option<Tls> {
    let ca_files = section.spanned::<Vec<PathBuf>>("ca_file");
    let at = ca_files.as_ref().map(Spanned::span);
    let ca_files = ca_files.map(Spanned::into_inner).unwrap_or_default();
    let settings = TlsSettings {
        ca_files: ca_files.iter().map(|file| directory.join(file)).collect(),
    };
    let error = match Tls::load(&settings) {
        Ok(tls) => return Some(tls),
        Err(error) => error,
    };
    let help = match &error {
        TlsError::File { .. } => {
            "ca_file names PEM certificates, relative to the directory of this file"
        }
        TlsError::NoRoots => {
            "install the system's certificates (package ca-certificates), or set ca_file in [tls]"
        }
    };
    let at = at.or_else(|| section.at()).unwrap_or(0..0);
    let label = match &error {
        TlsError::File { path, why } => format!("{}: {why}", mask::file(path)),
        TlsError::NoRoots => error.to_string(),
    };
    section.invalid("ca_file", at, Wrong::new(label, help));
    None
}

fn syntax_problem(sources: &Sources, at: Range<usize>, error: &Error) -> Problem {
    let help = sources.line_text(at.start).map_or("", syntax_help);
    Problem {
        title: "this is not TOML".to_owned(),
        at,
        label: error
            .message()
            .trim_end_matches(", expected nothing")
            .to_owned(),
        related: None,
        help: help.to_owned(),
    }
}

/// A remedy for a line that is not TOML.
fn syntax_help(line: &str) -> &'static str {
    let line = line.trim();
    let quotes = line.matches('"').count();
    if line.starts_with('[') && !line.contains('=') && !line.ends_with(']') {
        "a section stands between brackets on a line of its own, as in [listen]"
    } else if !line.contains('=') {
        "a setting is KEY = VALUE, as in level = \"info\""
    } else if quotes % 2 == 1 {
        "text stands between two quotes, as in level = \"info\""
    } else if quotes == 0 {
        "text stands between quotes, as in level = \"info\"; numbers, true and false do not"
    } else {
        ""
    }
}

/// The settings that reading `source` asks for.
fn asked(source: &str, directory: &Path) -> Vec<Setting> {
    let sources = Sources::new("", source);
    let reading = Reading::default();
    let _ = Settings::read(Section::root(sources.parse().table, &reading), directory);
    reading.into_parts().1
}

/// The text of settings, for places in reports.
#[derive(Clone, Debug, Default)]
struct Origin {
    /// Name of the text in reports.
    name: String,
    sources: Sources,
    keys: Keys,
    asked: Vec<Setting>,
}

/// In the form of the file, with every default, secrets masked.
impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.document.serialize(serializer)
    }
}
