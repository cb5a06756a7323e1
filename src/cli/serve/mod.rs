//! `wapbridge serve`: the gateway itself.

mod life;
mod manager;
mod parts;
mod signals;

use std::path::PathBuf;

use clap::Args;
use tracing::info;

use crate::cli;
use crate::cli::log::Log;
use crate::server::Inherited;

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
        let (path, settings) = cli::load(self.config.as_deref())?;
        // First, as it changes the environment, which threads would read.
        let inherited = Inherited::from_environment()?;
        let log = Log::start(&settings.log)?;
        info!(version = env!("CARGO_PKG_VERSION"), config = %path.display(), "starting");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(life::live(path, settings, inherited, log.places()))
    }
}

const EXAMPLES: &str = "\
SIGTERM and SIGINT drain: new requests are answered 503, what is under way may finish, for at most drain_timeout of
[server], then sessions end. A second signal stops at once. With sockets of the service manager (LISTEN_FDS) what begins
meanwhile is served, then left to the next process; refused only where what is under way takes 20 s more.
SIGHUP reads the configuration, certificates and keys again; if there is a mistake in them, the old ones stay.
SIGHUP and SIGUSR1 open the access log's file anew, after somebody has moved the old one away.
Log lines go to standard error. RUST_LOG overrides the configured level.

Exit status:
  0  stopped by a signal
  1  it could not start; the reason and the remedy are on standard error

Examples:
  wapbridge serve                              use ./wapbridge.toml
  wapbridge serve --config /etc/wapbridge.toml
  RUST_LOG=debug wapbridge serve               one line per transaction event";
