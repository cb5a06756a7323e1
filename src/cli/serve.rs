//! `wapbridge serve`: the gateway itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::admin::{self, Admin};
use crate::config::Settings;
use crate::server::{Config, Server};
use crate::wdp::Service;

/// Run the gateway.
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
        super::log::start(&settings.log)?;
        info!(version = env!("CARGO_PKG_VERSION"), config = %path.display(), "starting");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(run(settings))
    }
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let admin = match settings.admin.listen {
        Some(address) => Some(Admin::bind(address).await.with_context(|| format!("admin: cannot listen on {address}"))?),
        None => None,
    };
    let server = Server::start(Config {
        connection_mode: settings.listen.connection_mode.clone(),
        connectionless: settings.listen.connectionless.clone(),
        shards: settings.listen.shards,
        gateway: Arc::new(settings.gateway()),
        tls: settings.tls.clone(),
    })?;
    for (service, address) in server.addresses() {
        match service {
            Service::ConnectionMode => info!(%address, "listening for WSP over WTP"),
            Service::Connectionless => {
                warn!(%address, "listening for connectionless WSP, which this version does not answer yet");
            }
        }
    }
    if let Some(admin) = &admin {
        info!(address = %admin.address(), "admin: /livez, /readyz, /metrics");
        admin.publish_from(server.watch(), admin::PUBLISH_INTERVAL);
        admin.set_ready(true);
    }
    info!(routes = settings.routes.len(), "ready");

    tokio::select! {
        _ = terminate.recv() => info!("SIGTERM: draining"),
        _ = interrupt.recv() => info!("SIGINT: draining"),
    }
    if let Some(admin) = &admin {
        admin.set_ready(false);
    }
    tokio::select! {
        quiet = server.drain(DRAIN_TIMEOUT) => {
            if !quiet {
                warn!("some exchanges were still under way after {DRAIN_TIMEOUT:?}");
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

/// How long exchanges under way may take to finish after SIGTERM.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
SIGTERM and SIGINT drain: nothing new is taken in, what is under way may finish for 10 s. A second signal stops at once.

Examples:
  wapbridge serve                              use ./wapbridge.toml
  wapbridge serve --config /etc/wapbridge.toml
  RUST_LOG=debug wapbridge serve               one line per transaction event";
