//! `wapbridge serve`: the gateway itself.

mod components;
mod signals;
pub(super) mod supervisor;
mod systemd;
mod watch;

use std::path::PathBuf;

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

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
        match raise_descriptor_limit() {
            Ok(descriptors) => info!(descriptors, "file descriptors allowed"),
            Err(error) => warn!(%error, "the limit of file descriptors cannot be raised"),
        }
        info!(version = env!("CARGO_PKG_VERSION"), config = %path.display(), "starting");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(supervisor::run(path, settings, inherited, log.outputs()))
    }
}

/// Raises the soft limit of file descriptors to the hard one: each connection to an origin takes
/// one, and the usual soft limit of 1,024 is for programs that use `select`. Returns the limit,
/// `None` for no limit.
fn raise_descriptor_limit() -> rustix::io::Result<Option<u64>> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nofile, raised)?;
    }
    Ok(limit.maximum)
}

const EXAMPLES: &str = "\
SIGTERM and SIGINT drain: new requests get 503. Running requests may finish, for at most \
drain_timeout of [server]; then sessions end. A second signal stops at once.

With sockets of the service manager (LISTEN_FDS) new requests are still served, then wait for \
the next process. They get 503 only if running ones need more than 20 s.

SIGHUP reads the configuration, certificates and keys again. After an error in them the old \
ones stay. SIGHUP and SIGUSR1 reopen the access log's file for log rotation. Log lines go to \
standard error. RUST_LOG overrides the configured level.

Exit status:
  0  a signal stopped the gateway
  1  the gateway could not start; standard error has the reason and the remedy

Examples:
  wapbridge serve                              use ./wapbridge.toml
  wapbridge serve --config /etc/wapbridge.toml
  RUST_LOG=debug wapbridge serve               one line per transaction event";
