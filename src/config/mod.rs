//! The configuration: one TOML file, read once, checked whole.
//!
//! Each setting has one home: the `Config` or `Settings` struct of the layer that obeys it, where its meaning
//! and its default are documented. To add a key, add the field there and one line where its section is
//! read; to add a section, one line in `Settings::read`. Unknown keys, wrong types and the report follow.

mod admin;
mod core;
mod destination;
mod effective;
mod identity;
mod listen;
mod log;
mod origin;
mod protection;
mod records;
mod report;
mod routes;
mod secret;
mod section;
mod server;
mod store;
mod suggest;
mod value;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, Error};

pub use admin::AdminSettings;
pub use identity::{IdentitySettings, RadiusSettings};
pub use listen::ListenSettings;
pub use log::{AccessLog, LogSettings};
pub use report::{Problem, Report};
pub use secret::Secret;
pub use server::ServerSettings;
pub(crate) use value::duration;

use crate::gateway::{self, HeaderRules, Limits, Redirect};
use crate::record::charging;
use crate::route::Routes;
use crate::upstream::{Tls, TlsError, TlsSettings};
use crate::wsp::{connectionless, session};
use crate::wtp;
use report::Problems;
use section::Section;
use value::Wrong;

/// What the last reply may take to cross the air, after the slowest origin has thought to the end.
const ACROSS_THE_AIR: Duration = Duration::from_secs(15);

/// The file looked for in the working directory when none is named.
pub const DEFAULT_FILE: &str = "wapbridge.toml";

/// A configuration that needs no more checking.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[listen]`: where handsets reach us.
    pub listen: ListenSettings,
    /// `[admin]`: where operators and monitoring reach us.
    pub admin: AdminSettings,
    /// `[server]`: how the process behaves as a service.
    pub server: ServerSettings,
    /// `[store]`: where sessions are remembered across restarts. Default: nowhere.
    pub store: Option<crate::store::Settings>,
    /// `[[route]]`: what goes where.
    pub routes: Arc<Routes>,
    /// `[tls]`: whom to trust; certificates are loaded.
    pub tls: Tls,
    /// `[records]`: the charging records, if they are kept.
    pub records: Option<charging::Settings>,
    /// `[log]`: what to log, and how.
    pub log: LogSettings,
    /// `[identity]`: who the subscribers are, and who may tell.
    pub identity: IdentitySettings,
    /// `[wtp]`: timers and sizes of transactions.
    pub wtp: wtp::Config,
    /// `[wsp]`: what sessions may agree on.
    pub wsp: session::Config,
    /// `[connectionless]`: limits of that mode.
    pub connectionless: connectionless::Config,
    /// `[headers]`: what is done to headers, cookies among them.
    pub headers: HeaderRules,
    /// `redirect` in `[wsp]`: where clients that connect are sent instead.
    pub redirect: Option<Redirect>,
    /// `drain_redirect` in `[wsp]`: the same while the gateway is draining or isolated.
    pub drain_redirect: Option<Redirect>,
    /// `[protection]`: who may send, and how much.
    pub protection: gateway::protection::Config,
    /// The text all this was read from: it holds secrets.
    pub source: Secret,
    /// `[limits]`: the bounds of the gateway itself; those of the layers are in `wtp` and `wsp`.
    pub limits: Limits,
}

impl Settings {
    /// Reads and checks the file at `path`, and the files it names.
    ///
    /// # Errors
    ///
    /// A [`Report`] of everything that is wrong.
    pub fn load(path: &Path) -> Result<Self, Report> {
        let name = path.display().to_string();
        let source = std::fs::read_to_string(path).map_err(|error| {
            let help = if error.kind() == std::io::ErrorKind::NotFound {
                "start from deploy/wapbridge.toml, or from the five lines in the README"
            } else {
                ""
            };
            Report::unreadable(&name, &error.to_string(), help)
        })?;
        let directory = path.parent().unwrap_or_else(|| Path::new(""));
        Self::parse(&source, &name, directory)
    }

    /// Checks the text of a configuration. `name` is what reports call it; the files it names are looked
    /// for in `directory`.
    ///
    /// # Errors
    ///
    /// A [`Report`] of everything that is wrong.
    pub fn parse(source: &str, name: &str, directory: &Path) -> Result<Self, Report> {
        let (table, syntax) = DeTable::parse_recoverable(source);
        let problems = Problems::default();
        let settings = Self::read(Section::root(table.into_inner(), &problems), directory);
        let mut problems = problems.into_vec();
        if !syntax.is_empty() {
            // What the parser made of the rest is guesswork near a syntax error; tell what stands apart.
            let broken: Vec<usize> = syntax.iter().map(|error| line(source, error)).collect();
            problems.retain(|problem| {
                let line = line_at(source, problem.at.start);
                problem.at.start > 0 && !broken.contains(&line)
            });
            problems.extend(syntax.iter().map(syntax_problem));
        }
        match settings {
            Some(settings) if problems.is_empty() => Ok(Self {
                source: Secret::new(source),
                ..settings
            }),
            _ => Err(Report::new(name, source, problems)),
        }
    }

    /// The keys there are, each with its section as the operator writes it: what reading `source` asks for. Sections
    /// read only when something else is set appear only when it is.
    #[must_use]
    pub fn vocabulary(source: &str, directory: &Path) -> BTreeSet<(String, &'static str)> {
        let (table, _) = DeTable::parse_recoverable(source);
        let problems = Problems::default();
        let _ = Self::read(Section::root(table.into_inner(), &problems), directory);
        problems.into_words()
    }

    /// The settings in force, as a file: what was set, and the defaults of what was not. Secrets are masked.
    #[must_use]
    pub fn effective(&self) -> toml::Table {
        effective::effective(self.source.reveal())
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
            redirect: self.redirect.clone(),
            drain_redirect: self.drain_redirect.clone(),
            routes: Arc::clone(&self.routes),
        }
    }

    /// How long what is under way may take to finish while the gateway drains.
    #[must_use]
    pub fn drain_timeout(&self) -> Duration {
        self.server.drain_timeout.unwrap_or_else(|| {
            let timeouts = self.routes.iter().map(|route| route.limits.timeout);
            timeouts.max().unwrap_or_default() + ACROSS_THE_AIR
        })
    }

    /// Reads every section. Mistakes go to the section's problems; `None` means there was one that leaves
    /// nothing to go on with.
    fn read(file: Section<'_, '_>, directory: &Path) -> Option<Self> {
        let listen = ListenSettings::read(&file.section("listen"));
        let admin = AdminSettings::read(&file.section("admin"), directory);
        let server = ServerSettings::read(&file.section("server"));
        let records = records::read(&file.section("records"), directory);
        let log = LogSettings::read(&file.section("log"), directory);
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
        let store = store::read(&file.section("store"), directory, &wsp);
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
        drop(section);
        let identity = IdentitySettings::read(&file.section("identity"), directory);
        let privacy = routes::Privacy::read(&file.section("privacy"), identity.alias_key.clone());
        let routes = routes::read(&routes, &listen, directory, &privacy, &mut tls);
        let routes = Arc::new(routes);
        Some(Self {
            listen,
            admin,
            server,
            store,
            routes,
            tls: tls?,
            records,
            log,
            identity,
            protection,
            wtp,
            wsp,
            connectionless,
            headers,
            redirect,
            drain_redirect,
            source: Secret::new(""),
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
    let help = match error {
        TlsError::File { .. } => {
            "ca_file names PEM certificates, relative to the directory of this file"
        }
        TlsError::NoRoots => {
            "install the system's certificates (package ca-certificates), or set ca_file in [tls]"
        }
    };
    let at = at.or_else(|| section.at()).unwrap_or(0..0);
    section.invalid("ca_file", at, Wrong::new(error.to_string(), help));
    None
}

fn syntax_problem(error: &Error) -> Problem {
    Problem {
        title: "this is not TOML".to_owned(),
        at: error.span().unwrap_or(0..0),
        label: error
            .message()
            .trim_end_matches(", expected nothing")
            .to_owned(),
        related: None,
        help: String::new(),
    }
}

fn line(source: &str, error: &Error) -> usize {
    line_at(source, error.span().map_or(0, |span| span.start))
}

fn line_at(source: &str, offset: usize) -> usize {
    source
        .bytes()
        .take(offset)
        .filter(|octet| *octet == b'\n')
        .count()
}
