//! The admin interface: HTTP for operators and monitoring.
//!
//! Each path has a file with its own router. `access.rs` controls access, `accept.rs` limits
//! connections.

mod accept;
pub mod access;
mod config;
pub mod families;
mod health;
mod history;
mod log_level;
mod metrics;
mod page;
mod process;
mod pushes;
mod refusals;
mod sessions;
mod snapshot;
mod state;
mod status;
mod trace;

pub use log_level::LogLevel;
pub use snapshot::{Collectors, Snapshot};

use std::future::Future;
use std::io;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;

use self::access::Access;
use self::metrics::Exporter;
use self::refusals::Refusals;
use self::snapshot::TableLimits;
use crate::config::Settings;
use crate::server::clock::Clock;
use crate::server::{self, Control, MeasurementHandle, PushHandle, ShardSnapshot, Shards};
use crate::upstream::Health;

/// The admin interface. Clones share it.
#[derive(Clone)]
pub struct Admin {
    server: ServerHandle,
    settings: CurrentSettings,
    collectors: Collectors,
    exporter: Exporter,
    access: Access,
    refusals: Arc<Refusals>,
    log_level: Option<LogLevel>,
    traces: trace::Traces,
    pushes: Arc<OnceLock<PushHandle>>,
}

/// The running server; its shards are set once it has started.
#[derive(Clone)]
struct ServerHandle {
    control: Control,
    shards: Arc<OnceLock<Shards>>,
}

impl ServerHandle {
    fn published(&self) -> Vec<ShardSnapshot> {
        self.shards.get().map(Shards::published).unwrap_or_default()
    }

    /// The age of each shard's counters; `None` for a shard that has published none.
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
struct CurrentSettings(Arc<RwLock<Arc<Settings>>>);

impl CurrentSettings {
    fn get(&self) -> Arc<Settings> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, settings: &Settings) {
        let settings = Arc::new(settings.clone());
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }
}

impl Admin {
    /// The interface of a server that has not started yet. Without `log_level` there is no
    /// `/log-level`.
    ///
    /// # Errors
    /// The system refuses the thread that observes histograms.
    pub fn new(
        settings: &Settings,
        control: Control,
        log_level: Option<LogLevel>,
    ) -> io::Result<Self> {
        let refusals = Arc::new(Refusals::default());
        let shards: Arc<OnceLock<Shards>> = Arc::default();
        let traces = trace::Traces::new(Arc::clone(&shards));
        let collectors = Collectors::default();
        let (seen, refused) = (control.clone(), Arc::clone(&refusals));
        let running = traces.clone();
        let current = CurrentSettings(Arc::new(RwLock::new(Arc::new(settings.clone()))));
        let shown = current.clone();
        let exporter = Exporter::start(collectors.clone())?;
        let started = Duration::from_micros(Clock::start().wall());
        collectors.register(move |snapshot| {
            snapshot.state = seen.state();
            snapshot.started = started;
            snapshot.shard_cpu = process::shard_cpu();
            let settings = shown.get();
            snapshot.certificates = settings.certificates.clone();
            snapshot.limits = TableLimits::new(&settings.core(), settings.listen.shards);
            snapshot.traces = running.running() as u64;
            snapshot.refused = refused.iter().collect();
        });
        let server = ServerHandle { control, shards };
        Ok(Self {
            server,
            settings: current,
            collectors,
            exporter,
            access: Access::new(&settings.admin, Arc::clone(&refusals)),
            refusals,
            log_level,
            traces,
            pushes: Arc::default(),
        })
    }

    /// Sets the shards of the started server. Called once.
    pub fn started(&self, shards: Shards) {
        let published = shards.clone();
        self.collectors.register(move |snapshot| {
            let shown = published.published();
            (snapshot.stats, snapshot.sockets) = server::total(&shown);
            (snapshot.routes, snapshot.measurements_lost) = server::routes(&shown);
            snapshot.targets = server::targets(&shown);
        });
        // Another server in this process has its own interface.
        let _ = self.server.shards.set(shards);
    }

    /// Sets the pushes to list. Called once.
    pub fn set_pushes(&self, pushes: PushHandle) {
        // Another server in this process has its own interface.
        let _ = self.pushes.set(pushes);
    }

    /// Applies new settings to the following requests; `listen` needs a restart.
    pub fn reload(&self, settings: &Settings) {
        self.settings.set(settings);
        self.access.replace(&settings.admin);
    }

    /// The collectors of its counters, for other components to register at.
    #[must_use]
    pub const fn collectors(&self) -> &Collectors {
        &self.collectors
    }

    /// The handle by which shards send their measurements of exchanges.
    #[must_use]
    pub fn measurements(&self) -> MeasurementHandle {
        self.exporter.measurements()
    }

    /// Serves `listener` until `stop` is ready, then finishes the requests under way.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        accept::serve(listener, self.router(), Arc::clone(&self.refusals), stop).await;
    }

    /// Serves `/livez` and `/readyz` on `listener` until `stop` is ready.
    pub async fn serve_probes(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        accept::serve(listener, self.probes(), Arc::clone(&self.refusals), stop).await;
    }

    fn probes(&self) -> Router {
        health::router(health::Checks {
            server: self.server.clone(),
            settings: self.settings.clone(),
            collectors: self.collectors.clone(),
        })
    }

    fn router(&self) -> Router {
        let access = || self.access.clone();
        let page = page::router().layer(from_fn_with_state(access(), access::require_own_name));
        let named = Router::new()
            .merge(status::router(status::Sources {
                server: self.server.clone(),
                settings: self.settings.clone(),
                collectors: self.collectors.clone(),
            }))
            .merge(history::router(self.exporter.history()))
            .merge(sessions::router(Arc::clone(&self.server.shards)))
            .merge(pushes::router(Arc::clone(&self.pushes)))
            .merge(config::router(self.settings.clone()))
            .merge(state::router(self.server.control.clone()))
            .merge(
                self.log_level
                    .clone()
                    .map(log_level::router)
                    .unwrap_or_default(),
            )
            .layer(from_fn_with_state(access(), access::require_own_name));
        let traces = Router::new()
            .merge(trace::router(self.traces.clone()))
            .layer(from_fn_with_state(access(), access::require_token))
            .layer(from_fn_with_state(access(), access::require_own_name));
        let read = Router::new()
            .merge(metrics::router(self.exporter.clone()))
            .merge(named)
            .layer(from_fn_with_state(access(), access::require_token_to_read));
        Router::new()
            .merge(self.probes())
            .merge(read)
            .merge(traces)
            .merge(page)
            .fallback(|| async { (StatusCode::NOT_FOUND, PATHS) })
            .layer(from_fn_with_state(
                access(),
                access::require_token_to_change,
            ))
    }
}

const PATHS: &str = "try /, /livez, /readyz?verbose, /metrics, /status, /history, /sessions, /pushes, /config, /state, /log-level or /trace\n";

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::*;
    use crate::config::{AdminSettings, Secret};
    use crate::server::{ControlReceiver, State};

    const TOKEN: &str = "0123456789abcdef";

    struct TestServer {
        address: SocketAddr,
        admin: Admin,
        receiver: ControlReceiver,
        collectors: Collectors,
        stop: oneshot::Sender<()>,
        task: tokio::task::JoinHandle<()>,
    }

    impl TestServer {
        async fn start(settings: &AdminSettings) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (control, receiver) = server::control();
            let (stop, stopped) = oneshot::channel::<()>();
            let mut all = minimal_settings();
            all.admin = settings.clone();
            let settings = all;
            let admin = Admin::new(&settings, control, None).unwrap();
            let collectors = admin.collectors().clone();
            let task = tokio::spawn(admin.clone().serve(listener, async {
                let _ = stopped.await;
            }));
            Self {
                address,
                admin,
                receiver,
                collectors,
                stop,
                task,
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

    fn minimal_settings() -> Settings {
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
        let server = TestServer::start(&AdminSettings::default()).await;
        assert_eq!(server.status("GET /livez", &[HOST]).await, "200");
        for (state, status, body) in [
            (State::Starting, "HTTP/1.1 503", "starting\n"),
            (State::Running, "HTTP/1.1 200", "ready\n"),
            (State::Isolated, "HTTP/1.1 503", "isolated\n"),
            (State::Draining, "HTTP/1.1 503", "draining\n"),
        ] {
            server.receiver.show(state);
            let reply = server.ask("GET /readyz", &[HOST]).await;
            assert!(
                reply.starts_with(status) && reply.ends_with(body),
                "{reply}"
            );
        }
        server
            .collectors
            .register(|snapshot| snapshot.stats.sessions = 7);
        let reply = server.ask("GET /metrics", &["Host: any.example"]).await;
        assert!(
            reply.contains("content-type: text/plain; version=0.0.4"),
            "{reply}"
        );
        assert!(reply.contains("\nwapbridge_wsp_sessions 7\n"), "{reply}");
        assert_eq!(server.status("GET /nowhere", &[HOST]).await, "404");
        let page = server.ask("GET /", &[HOST]).await;
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        assert!(
            page.contains("content-security-policy: default-src 'none'"),
            "{page}"
        );

        server.stop.send(()).unwrap();
        server.task.await.unwrap();
        assert!(TcpStream::connect(server.address).await.is_err());
    }

    #[tokio::test]
    async fn nothing_changes_without_the_token() {
        let server = TestServer::start(&AdminSettings::default()).await;
        let refused = server.ask("POST /livez", &[HOST, RIGHT]).await;
        assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
        assert!(refused.contains("set token_file in [admin]"), "{refused}");

        let server = TestServer::start(&with_token()).await;
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
                server.status("POST /livez", fields).await,
                status,
                "{fields:?}"
            );
        }
        assert_eq!(server.status("PUT /nowhere", &[HOST]).await, "401");
    }

    #[tokio::test]
    async fn a_name_that_was_pointed_here_shows_nothing() {
        let server = TestServer::start(&with_token()).await;
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
            assert_eq!(
                server.status("GET /sessions", &[host]).await,
                status,
                "{host}"
            );
        }
    }

    #[tokio::test]
    async fn a_link_from_elsewhere_leads_to_the_page_and_to_nothing_else() {
        let server = TestServer::start(&with_token()).await;
        let site = "Sec-Fetch-Site: cross-site";
        let link = [HOST, site, "Sec-Fetch-Mode: navigate"];
        let script = [HOST, site, "Sec-Fetch-Mode: cors"];
        let bare = [HOST, site];
        let elsewhere = ["Host: evil.example", site, "Sec-Fetch-Mode: navigate"];
        assert_eq!(server.status("GET /", &link).await, "200");
        for fields in [&script[..], &bare] {
            assert_eq!(server.status("GET /", fields).await, "403", "{fields:?}");
        }
        assert_eq!(server.status("GET /", &elsewhere).await, "421");
        for path in ["GET /sessions", "GET /status", "GET /history", "GET /trace"] {
            let answer = server.ask(path, &link).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{path}: {answer}");
            assert!(answer.contains("other sites' pages"), "{path}: {answer}");
        }
    }

    #[tokio::test]
    async fn reading_may_need_the_token_too() {
        let server = TestServer::start(&AdminSettings {
            reads_need_token: true,
            ..with_token()
        })
        .await;
        assert_eq!(server.status("GET /livez", &[HOST]).await, "200");
        for path in ["GET /metrics", "GET /history", "GET /sessions"] {
            assert_eq!(server.status(path, &[HOST]).await, "401", "{path}");
            assert_ne!(server.status(path, &[HOST, RIGHT]).await, "401", "{path}");
        }
    }

    /// Answers of `/livez` to a new connection from this address.
    async fn livez(server: &TestServer, from: [u8; 4]) -> String {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let mut tcp = socket.connect(server.address).await.unwrap();
        let _ = tcp.write_all(b"GET /livez HTTP/1.0\r\n\r\n").await;
        let mut reply = Vec::new();
        let _ = tcp.read_to_end(&mut reply).await;
        String::from_utf8(reply).unwrap()
    }

    #[tokio::test]
    async fn ten_thousand_silent_connections_do_not_stop_livez() {
        let server = TestServer::start(&AdminSettings::default()).await;
        let mut open = std::collections::VecDeque::new();
        for number in 0..10_000_u16 {
            // From one source, then from many.
            let host = if number < 5_000 {
                1
            } else {
                number.to_be_bytes()[1].max(1)
            };
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(([127, 0, 0, host], 0).into()).unwrap();
            open.push_back(socket.connect(server.address).await.unwrap());
            // Descriptors of the test are limited; those of the server are what is tested.
            if open.len() > 200 {
                open.pop_front();
            }
            if number % 500 == 499 {
                for from in [[127, 0, 0, 1], [127, 0, 0, 254]] {
                    let reply = livez(&server, from).await;
                    assert!(reply.starts_with("HTTP/1.0 200"), "{number}: {reply}");
                }
            }
        }
        let metrics = server.ask("GET /metrics", &[HOST]).await;
        let evicted = "wapbridge_admin_refused_total{reason=\"evicted\"} ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(evicted));
        assert!(line.unwrap().parse::<u32>().unwrap() > 9_000, "{line:?}");
        assert!(!server.task.is_finished());
    }

    #[tokio::test]
    async fn probes_are_answered_on_their_own_port_when_the_admin_port_is_full() {
        let server = TestServer::start(&AdminSettings::default()).await;
        let probes = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = probes.local_addr().unwrap();
        let admin = server.admin.clone();
        tokio::spawn(admin.serve_probes(probes, std::future::pending()));
        let _silent = TcpStream::connect(server.address).await.unwrap();
        for (request, status) in [
            ("GET /livez", "200"),
            ("GET /readyz", "503"),
            ("GET /metrics", "404"),
            ("GET /status", "404"),
            ("POST /livez", "405"),
        ] {
            let mut tcp = TcpStream::connect(address).await.unwrap();
            let request = format!("{request} HTTP/1.0\r\n\r\n");
            tcp.write_all(request.as_bytes()).await.unwrap();
            let mut reply = String::new();
            tcp.read_to_string(&mut reply).await.unwrap();
            assert_eq!(&reply[9..12], status, "{request}");
        }
    }
}
