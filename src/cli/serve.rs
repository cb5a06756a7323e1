//! `wapbridge serve`: the gateway itself.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::admin::metrics::Metrics;
use crate::admin::{self, Phase, Readiness};
use crate::cli::log::Log;
use crate::config::Settings;
use crate::record::{Inlet, Sinks};
use crate::server::{self, Config, Published, Server};
use crate::wdp::Service;

/// Run the gateway
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Serve {
    /// The configuration. Default: wapbridge.toml in the working directory.
    #[arg(long, short, value_name = "FILE", env = "WAPBRIDGE_CONFIG")]
    config: Option<PathBuf>,
}

impl Serve {
    /// Runs until SIGTERM or SIGINT, then drains and returns.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let (path, settings) = super::load(self.config.as_deref())?;
        let log = Log::start(&settings.log)?;
        info!(version = env!("CARGO_PKG_VERSION"), config = %path.display(), "starting");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(run(&path, settings, &log))
    }
}

async fn run(path: &Path, settings: Settings, log: &Log) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut rotated = signal(SignalKind::user_defined1())?;
    let readiness = Readiness::default();
    let metrics = Metrics::install();
    for address in &settings.admin.listen {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("[admin]: cannot listen on {address}"))?;
        info!(address = %listener.local_addr()?, "admin: /livez, /readyz, /metrics");
        tokio::spawn(admin::serve(
            listener,
            readiness.clone(),
            metrics.clone(),
            std::future::pending(),
        ));
    }

    let server = Server::start(Config {
        connection_mode: settings.listen.connection_mode.clone(),
        connectionless: settings.listen.connectionless.clone(),
        shards: settings.listen.shards,
        gateway: Arc::new(settings.core()),
        tls: settings.tls.clone(),
        records: Sinks {
            access: log.access(),
        },
    })?;
    for (service, address) in server.addresses() {
        match service {
            Service::ConnectionMode => info!(%address, "listening for WSP over WTP"),
            Service::Connectionless => info!(%address, "listening for connectionless WSP"),
        }
    }
    tokio::spawn(publish(server.watch(), log.inlets(), metrics));
    readiness.set(Phase::Ready);
    info!("ready");

    loop {
        tokio::select! {
            _ = terminate.recv() => info!("SIGTERM: draining"),
            _ = interrupt.recv() => info!("SIGINT: draining"),
            // Whoever started us can start us again; a part of a gateway looks healthy and is not.
            () = server.lost_a_shard() => bail!("a shard stopped by itself"),
            _ = rotated.recv() => {
                log.reopen();
                continue;
            }
            _ = hangup.recv() => {
                log.reopen();
                reload(path, &settings, &server).await;
                continue;
            }
        }
        break;
    }
    readiness.set(Phase::Draining);
    let patience = drain_timeout(&settings);
    tokio::select! {
        quiet = server.drain(patience) => {
            if !quiet {
                warn!("some exchanges were still under way after {patience:?}");
            }
        }
        // A second signal means now.
        _ = terminate.recv() => warn!("SIGTERM again: stopping at once"),
        _ = interrupt.recv() => warn!("SIGINT again: stopping at once"),
    }
    server.stop();
    info!("stopped");
    Ok(())
}

/// Reads the configuration and the files it names again. What has a mistake changes nothing.
async fn reload(path: &Path, began_with: &Settings, server: &Server) {
    let settings = match Settings::load(path) {
        Ok(settings) => settings,
        Err(report) => {
            error!("SIGHUP: the configuration has mistakes; the old one stays in force\n{report}");
            return;
        }
    };
    for section in needing_a_restart(began_with, &settings) {
        warn!(
            section,
            "changed, which takes effect with the next start only"
        );
    }
    server
        .reload(Arc::new(settings.core()), settings.tls.clone())
        .await;
    info!(config = %path.display(), "SIGHUP: routes, limits and certificates reloaded");
}

/// The changed sections that a running gateway cannot change.
fn needing_a_restart(old: &Settings, new: &Settings) -> Vec<&'static str> {
    let changed = |old: &dyn Debug, new: &dyn Debug| format!("{old:?}") != format!("{new:?}");
    [
        ("[listen]", changed(&old.listen, &new.listen)),
        ("[admin]", changed(&old.admin, &new.admin)),
        ("[log]", changed(&old.log, &new.log)),
    ]
    .into_iter()
    .filter_map(|(section, changed)| changed.then_some(section))
    .collect()
}

/// Gives the shards' counters their names, once a second.
async fn publish(shards: Vec<watch::Receiver<Published>>, logs: Vec<Inlet>, metrics: Metrics) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        let shown: Vec<Published> = shards.iter().map(|shard| *shard.borrow()).collect();
        let (stats, shell) = server::total(&shown);
        metrics.publish(&admin::samples(&stats, &shell));
        metrics.publish(&admin::samples_of_logs(&logs));
    }
}

/// How long exchanges under way may take to finish after SIGTERM: as long as the slowest route lets an origin
/// think, and some more for the reply to cross the air.
fn drain_timeout(settings: &Settings) -> Duration {
    let slowest = settings
        .routes
        .iter()
        .map(|route| route.limits.timeout)
        .max();
    slowest.unwrap_or_default() + Duration::from_secs(15)
}

const EXAMPLES: &str = "\
SIGTERM and SIGINT drain: new requests are answered 503, what is under way may finish, for as long as the slowest
route's timeout and 15 s. A second signal stops at once. SIGHUP reads the configuration, certificates and keys again; if there is a mistake in them, the
old ones stay. SIGHUP and SIGUSR1 open the access log's file anew, after somebody has moved the old one away. Log lines go to standard error. RUST_LOG overrides the configured level.

Exit status:
  0  stopped by a signal
  1  it could not start; the reason and the remedy are on standard error

Examples:
  wapbridge serve                              use ./wapbridge.toml
  wapbridge serve --config /etc/wapbridge.toml
  RUST_LOG=debug wapbridge serve               one line per transaction event";
