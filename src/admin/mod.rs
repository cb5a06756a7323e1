//! What operators and monitoring see over HTTP, and what they may change there.
//!
//! One file per concern, each with a router of its own; who may use them is `access.rs`, and `accept.rs` keeps
//! the port from becoming anybody's burden.

mod accept;
pub mod access;
pub mod catalogue;
mod config;
mod counters;
mod figures;
mod health;
mod log_level;
mod measures;
mod metrics;
mod orders;
mod page;
mod process;
mod samples;
mod sessions;
mod status;
mod subscribers;
mod trace;

pub use figures::{Figures, Snapshot};
pub use log_level::LogLevel;
pub use metrics::Sample;
pub use samples::samples;

use std::future::Future;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;

use self::access::Access;
use self::counters::Counters;
use self::process::Process;
use crate::config::Settings;
use crate::server::clock::Clock;
use crate::server::{self, Control, Published, Shards};
use crate::upstream::Health;

/// The admin interface. Clones are the same.
#[derive(Clone)]
pub struct Admin {
    watch: Watch,
    settings: InForce,
    figures: Figures,
    access: Access,
    counters: Arc<Counters>,
    log_level: Option<LogLevel>,
    traces: trace::Traces,
}

/// The server, to be looked at and told; its shards, once they are there.
#[derive(Clone)]
struct Watch {
    control: Control,
    shards: Arc<OnceLock<Shards>>,
}

impl Watch {
    fn published(&self) -> Vec<Published> {
        self.shards.get().map(Shards::published).unwrap_or_default()
    }

    /// For how long each shard has not shown itself; `None` for those that have not begun.
    fn heartbeats(&self) -> Vec<Option<Duration>> {
        let shown = self.published();
        shown
            .iter()
            .map(|shown| shown.at.map(|at| at.elapsed()))
            .collect()
    }

    fn targets(&self) -> Vec<Health> {
        server::targets(&self.published())
    }
}

/// The settings in force.
#[derive(Clone)]
struct InForce(Arc<RwLock<Arc<Settings>>>);

impl InForce {
    fn get(&self) -> Arc<Settings> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, settings: &Settings) {
        let settings = Arc::new(settings.clone());
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }
}

impl Admin {
    /// An interface to a server that is not there yet. Without a `log_level` there is none to be changed.
    #[must_use]
    pub fn new(settings: &Settings, control: Control, log_level: Option<LogLevel>) -> Self {
        let counters = Arc::new(Counters::default());
        let shards: Arc<OnceLock<Shards>> = Arc::default();
        let traces = trace::Traces::new(Arc::clone(&shards));
        let figures = Figures::default();
        let (seen, refused) = (control.clone(), Arc::clone(&counters));
        let running = traces.clone();
        let in_force = InForce(Arc::new(RwLock::new(Arc::new(settings.clone()))));
        let shown = in_force.clone();
        let started = Duration::from_micros(Clock::start().wall()).as_secs_f64();
        figures.feed(move |snapshot| {
            snapshot.state = seen.state();
            snapshot.process = Process::now(started);
            snapshot.certificates = shown.get().tls.expiries().to_vec();
            snapshot.traces = running.running() as u64;
            snapshot.refused = refused.iter().collect();
        });
        let watch = Watch { control, shards };
        Self {
            watch,
            settings: in_force,
            figures,
            access: Access::new(&settings.admin, Arc::clone(&counters)),
            counters,
            log_level,
            traces,
        }
    }

    /// The server is there: its shards can be asked. Said once.
    pub fn started(&self, shards: Shards) {
        let published = shards.clone();
        self.figures.feed(move |snapshot| {
            let shown = published.published();
            (snapshot.stats, snapshot.shell) = server::total(&shown);
            snapshot.measures = server::measured(&shown);
            snapshot.targets = server::targets(&shown);
        });
        // A second server in this process would have an interface of its own.
        let _ = self.watch.shards.set(shards);
    }

    /// Uses these settings from the next request on; the addresses stay.
    pub fn reload(&self, settings: &Settings) {
        self.settings.set(settings);
        self.access.replace(&settings.admin);
    }

    /// The numbers it shows, for whoever has some to add.
    #[must_use]
    pub const fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Answers on `listener` until `stop` is ready, then finishes what is under way.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        accept::serve(listener, self.router(), Arc::clone(&self.counters), stop).await;
    }

    fn router(&self) -> Router {
        let access = || self.access.clone();
        let page = page::router().layer(from_fn_with_state(access(), access::names));
        let named = Router::new()
            .merge(status::router(status::Sources {
                watch: self.watch.clone(),
                settings: self.settings.clone(),
                figures: self.figures.clone(),
            }))
            .merge(sessions::router(Arc::clone(&self.watch.shards)))
            .merge(config::router(self.settings.clone()))
            .merge(orders::router(self.watch.control.clone()))
            .merge(
                self.log_level
                    .clone()
                    .map(log_level::router)
                    .unwrap_or_default(),
            )
            .layer(from_fn_with_state(access(), access::names));
        let traces = Router::new()
            .merge(trace::router(self.traces.clone()))
            .layer(from_fn_with_state(access(), access::token_needed))
            .layer(from_fn_with_state(access(), access::names));
        let read = Router::new()
            .merge(metrics::router(self.figures.clone()))
            .merge(named)
            .layer(from_fn_with_state(access(), access::reads));
        Router::new()
            .merge(health::router(health::Checks {
                watch: self.watch.clone(),
                settings: self.settings.clone(),
            }))
            .merge(read)
            .merge(traces)
            .merge(page)
            .fallback(|| async { (StatusCode::NOT_FOUND, PATHS) })
            .layer(from_fn_with_state(access(), access::changes))
    }
}

const PATHS: &str = "try /, /livez, /readyz?verbose, /metrics, /status, /sessions, /config, /state, /log-level or /trace\n";

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::*;
    use crate::config::{AdminSettings, Secret};
    use crate::server::{Obedience, State};

    const TOKEN: &str = "0123456789abcdef";

    struct Rig {
        address: SocketAddr,
        obedience: Obedience,
        figures: Figures,
        stop: oneshot::Sender<()>,
        server: tokio::task::JoinHandle<()>,
    }

    impl Rig {
        async fn start(settings: &AdminSettings) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (control, obedience) = server::control();
            let (stop, stopped) = oneshot::channel::<()>();
            let settings = Settings {
                admin: settings.clone(),
                ..anything()
            };
            let admin = Admin::new(&settings, control, None);
            let figures = admin.figures().clone();
            let server = tokio::spawn(admin.serve(listener, async {
                let _ = stopped.await;
            }));
            Self {
                address,
                obedience,
                figures,
                stop,
                server,
            }
        }

        async fn ask(&self, request: &str, fields: &[&str]) -> String {
            let mut tcp = TcpStream::connect(self.address).await.unwrap();
            let fields = fields.join("\r\n");
            let request = format!("{request} HTTP/1.1\r\nconnection: close\r\n{fields}\r\n\r\n");
            tcp.write_all(request.as_bytes()).await.unwrap();
            let mut reply = String::new();
            tcp.read_to_string(&mut reply).await.unwrap();
            reply
        }

        async fn status(&self, request: &str, fields: &[&str]) -> String {
            self.ask(request, fields).await[9..12].to_owned()
        }
    }

    fn anything() -> Settings {
        let file = "[[route]]\nmatch = \"http://a.example/\"\nupstream = \"https://b.example/\"\n";
        Settings::parse(file, "it", std::path::Path::new("")).unwrap()
    }

    fn with_token() -> AdminSettings {
        AdminSettings {
            token: Some(Secret::new(TOKEN)),
            hosts: vec!["gw.example".to_owned()],
            ..AdminSettings::default()
        }
    }

    const HOST: &str = "Host: 127.0.0.1";
    const RIGHT: &str = "Authorization: Bearer 0123456789abcdef";

    #[tokio::test]
    async fn tells_health_and_metrics_and_stops_when_told() {
        let rig = Rig::start(&AdminSettings::default()).await;
        assert_eq!(rig.status("GET /livez", &[HOST]).await, "200");
        for (state, status, body) in [
            (State::Starting, "HTTP/1.1 503", "starting\n"),
            (State::Running, "HTTP/1.1 200", "ready\n"),
            (State::Isolated, "HTTP/1.1 503", "isolated\n"),
            (State::Draining, "HTTP/1.1 503", "draining\n"),
        ] {
            rig.obedience.show(state);
            let reply = rig.ask("GET /readyz", &[HOST]).await;
            assert!(
                reply.starts_with(status) && reply.ends_with(body),
                "{reply}"
            );
        }
        rig.figures.feed(|snapshot| snapshot.stats.sessions = 7);
        let reply = rig.ask("GET /metrics", &["Host: any.example"]).await;
        assert!(
            reply.contains("content-type: text/plain; version=0.0.4"),
            "{reply}"
        );
        assert!(reply.contains("\nwapbridge_wsp_sessions 7\n"), "{reply}");
        assert_eq!(rig.status("GET /nowhere", &[HOST]).await, "404");
        let page = rig.ask("GET /", &[HOST]).await;
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        assert!(
            page.contains("content-security-policy: default-src 'none'"),
            "{page}"
        );

        rig.stop.send(()).unwrap();
        rig.server.await.unwrap();
        assert!(TcpStream::connect(rig.address).await.is_err());
    }

    #[tokio::test]
    async fn nothing_changes_without_the_token() {
        let rig = Rig::start(&AdminSettings::default()).await;
        let refused = rig.ask("POST /livez", &[HOST, RIGHT]).await;
        assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
        assert!(refused.contains("set token_file in [admin]"), "{refused}");

        let rig = Rig::start(&with_token()).await;
        // The path only takes GET: 405 is what lies behind the check.
        for (fields, status) in [
            (&[HOST][..], "401"),
            (&[HOST, "Authorization: Bearer 0123456789abcdeX"], "401"),
            (&[HOST, "Authorization: Bearer 0123456789abcde"], "401"),
            (&[HOST, "Authorization: Bearer 0123456789abcdef0"], "401"),
            (&[HOST, "Authorization: Basic 0123456789abcdef"], "401"),
            (&[HOST, RIGHT, "Origin: https://evil.example"], "403"),
            (&[HOST, RIGHT, "Origin: null"], "403"),
            (&[HOST, RIGHT, "Sec-Fetch-Site: cross-site"], "403"),
            (&[HOST, RIGHT, "Origin: http://127.0.0.1"], "405"),
            (&[HOST, "authorization: bearer 0123456789abcdef"], "405"),
        ] {
            assert_eq!(
                rig.status("POST /livez", fields).await,
                status,
                "{fields:?}"
            );
        }
        assert_eq!(rig.status("PUT /nowhere", &[HOST]).await, "401");
    }

    #[tokio::test]
    async fn a_name_that_was_pointed_here_shows_nothing() {
        let rig = Rig::start(&with_token()).await;
        // Without a server behind it, 503 is what lies behind the check.
        for (host, status) in [
            ("Host: evil.example:9280", "421"),
            ("Host: 127.0.0.1.evil.example", "421"),
            ("Host: ", "421"),
            ("Host: 127.0.0.1:9280", "503"),
            ("Host: [::1]:9280", "503"),
            ("Host: localhost", "503"),
            ("Host: GW.example:80", "503"),
        ] {
            assert_eq!(rig.status("GET /sessions", &[host]).await, status, "{host}");
        }
    }

    #[tokio::test]
    async fn a_link_from_elsewhere_leads_to_the_page_and_to_nothing_else() {
        let rig = Rig::start(&with_token()).await;
        let site = "Sec-Fetch-Site: cross-site";
        let link = [HOST, site, "Sec-Fetch-Mode: navigate"];
        let script = [HOST, site, "Sec-Fetch-Mode: cors"];
        let bare = [HOST, site];
        let elsewhere = ["Host: evil.example", site, "Sec-Fetch-Mode: navigate"];
        assert_eq!(rig.status("GET /", &link).await, "200");
        for fields in [&script[..], &bare] {
            assert_eq!(rig.status("GET /", fields).await, "403", "{fields:?}");
        }
        assert_eq!(rig.status("GET /", &elsewhere).await, "421");
        for path in ["GET /sessions", "GET /status", "GET /trace"] {
            let answer = rig.ask(path, &link).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{path}: {answer}");
            assert!(answer.contains("other sites' pages"), "{path}: {answer}");
        }
    }

    #[tokio::test]
    async fn reading_may_need_the_token_too() {
        let rig = Rig::start(&AdminSettings {
            reads_need_token: true,
            ..with_token()
        })
        .await;
        assert_eq!(rig.status("GET /livez", &[HOST]).await, "200");
        for path in ["GET /metrics", "GET /sessions"] {
            assert_eq!(rig.status(path, &[HOST]).await, "401", "{path}");
            assert_ne!(rig.status(path, &[HOST, RIGHT]).await, "401", "{path}");
        }
    }

    #[tokio::test]
    async fn many_silent_connections_are_closed_and_do_not_pile_up() {
        let rig = Rig::start(&AdminSettings::default()).await;
        let mut silent = Vec::new();
        for _ in 0..accept::MAX_CONNECTIONS {
            silent.push(TcpStream::connect(rig.address).await.unwrap());
        }
        let mut late = TcpStream::connect(rig.address).await.unwrap();
        let mut nothing = Vec::new();
        // Closed without a word, by an end or a reset.
        let _ = late.read_to_end(&mut nothing).await;
        assert!(nothing.is_empty());
        drop(silent);
        // The places are free again as soon as the server has seen it.
        loop {
            let mut tcp = TcpStream::connect(rig.address).await.unwrap();
            let _ = tcp.write_all(b"GET /livez HTTP/1.0\r\n\r\n").await;
            let mut reply = Vec::new();
            let _ = tcp.read_to_end(&mut reply).await;
            if reply.starts_with(b"HTTP/1.0 200") {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert!(rig.server.is_finished().eq(&false));
    }
}
