//! The life of a gateway: starts it, carries out signals and operators' commands, drains and stops
//! it.

use std::path::PathBuf;

use anyhow::bail;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use crate::cli::log::LogOutputs;
use crate::cli::serve::components::Components;
use crate::cli::serve::signals::{Signal, Signals};
use crate::cli::serve::systemd;
use crate::cli::serve::watch::Watch;
use crate::config::{Settings, Texts};
use crate::gateway::Mode;
use crate::server::{
    self, ControlCommand, ControlError, ControlReceiver, Inherited, Reloaded, State,
};

/// Runs until a stop has drained the gateway. An error is the reason why the gateway could not
/// start or go on.
pub(in crate::cli) async fn run(
    path: PathBuf,
    settings: Settings,
    inherited: Inherited,
    log: LogOutputs,
) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let (control, receiver) = server::control();
    let warned = warn_of(&settings, &[]);
    let components = Components::start(&settings, inherited, &control, log).await?;
    let watch = Watch::new(path.clone(), settings.texts(), settings.server.watch);
    let mut supervisor = Supervisor {
        path,
        watch,
        started_with: settings.clone(),
        settings,
        components,
        receiver,
        shutdown: None,
        stopping: false,
        warned,
    };
    supervisor.receiver.show(State::Running);
    systemd::ready(State::Running);
    info!("ready");
    let outcome = supervisor.run(&mut signals).await;
    // Records and logs of every part are written, also after an error.
    supervisor.components.stop().await;
    info!("stopped");
    outcome
}

struct Supervisor {
    path: PathBuf,
    watch: Watch,
    /// The settings at the start, of which some need a restart to change.
    started_with: Settings,
    /// The settings in force.
    settings: Settings,
    components: Components,
    receiver: ControlReceiver,
    /// The shutdown, once a command started it.
    shutdown: Option<AbortOnDropHandle<()>>,
    /// Whether the process ends after the shutdown.
    stopping: bool,
    /// The warnings about the configuration that were logged.
    warned: Vec<String>,
}

impl Supervisor {
    /// Carries out commands until a stop has drained the gateway.
    async fn run(&mut self, signals: &mut Signals) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Stop(name) if self.stopping => {
                        warn!("{name} again: stopping at once");
                        return Ok(());
                    }
                    Signal::Stop(name) => self.on_stop(name),
                    Signal::Reload => self.on_hangup().await,
                    Signal::Reopen => self.components.reopen_logs(),
                },
                () = self.watch.changed(), if !self.stopping => self.on_change().await,
                order = self.receiver.next() => self.on_command(order).await,
                () = shutdown_over(&mut self.shutdown) => {
                    self.shutdown = None;
                    if self.stopping {
                        return Ok(());
                    }
                    info!("drained");
                }
                // A service manager can restart the process. A gateway with a missing shard looks
                // healthy and is not.
                () = self.components.shards().shard_failed() => bail!("a shard stopped by itself"),
            }
        }
    }

    async fn on_command(&mut self, order: ControlCommand) {
        match order {
            ControlCommand::Enter(mode, answer) => answer.give(self.enter(mode).await),
            ControlCommand::Reload(answer) => answer.give(self.reload().await),
        }
    }

    /// SIGTERM or SIGINT. From here on there is no way back.
    fn on_stop(&mut self, signal: &str) {
        info!("{signal}: draining");
        self.stopping = true;
        self.receiver.show(State::Draining);
        let shutdown = self.components.final_shutdown(&self.settings);
        let timeout = self.settings.drain_timeout();
        systemd::stopping(self.components.shards().shutdown_limit(shutdown, timeout));
        self.shut_down(shutdown);
    }

    async fn enter(&mut self, mode: Mode) -> Result<(), ControlError> {
        self.may_change()?;
        // No command waits for the end of an earlier drain any more.
        self.shutdown = None;
        self.components.shards().enter(mode).await;
        let state = State::from(mode);
        self.receiver.show(state);
        systemd::entered(state);
        info!(%state, "state changed on command");
        if mode == Mode::Draining {
            self.shut_down(self.components.shutdown(&self.settings));
        }
        Ok(())
    }

    fn shut_down(&mut self, shutdown: server::Shutdown) {
        let shards = self.components.shards().clone();
        let timeout = self.settings.drain_timeout();
        let shutting_down = tokio::spawn(async move { shards.shut_down(shutdown, timeout).await });
        self.shutdown = Some(AbortOnDropHandle::new(shutting_down));
    }

    /// SIGHUP, whose result goes only to the log.
    async fn on_hangup(&mut self) {
        self.components.reopen_logs();
        if let Err(error) = self.reload().await {
            error!("SIGHUP: {error}");
        }
    }

    /// The text of the configuration has changed. The result goes only to the log.
    async fn on_change(&mut self) {
        info!(config = %self.path.display(), "the configuration has changed");
        if let Err(error) = self.reload().await {
            error!("change of the configuration: {error}");
        }
    }

    /// Reads the configuration and the files it names again. A configuration with an error changes
    /// nothing.
    async fn reload(&mut self) -> Result<Reloaded, ControlError> {
        self.may_change()?;
        systemd::reloading();
        let reloaded = self.read_again().await;
        systemd::ready(self.receiver.state());
        reloaded
    }

    async fn read_again(&mut self) -> Result<Reloaded, ControlError> {
        self.watch.handle(Texts::read(&self.path));
        let settings = Settings::load(&self.path).map_err(ControlError::Configuration)?;
        let needs_restart = settings.needing_a_restart(&self.started_with);
        for section in &needs_restart {
            warn!(
                section,
                "changed, which takes effect with the next start only"
            );
        }
        self.warned = warn_of(&settings, &self.warned);
        let settings = settings.reloaded(&self.started_with);
        self.components.reload(&settings).await;
        if settings.server.watch != self.settings.server.watch {
            self.watch.set(settings.server.watch);
        }
        self.settings = settings;
        info!(config = %self.path.display(), "routes, limits and certificates reloaded");
        Ok(Reloaded { needs_restart })
    }

    const fn may_change(&self) -> Result<(), ControlError> {
        match self.stopping {
            true => Err(ControlError::Stopping),
            false => Ok(()),
        }
    }
}

/// Logs the warnings about a configuration that were not logged before. Returns all of them.
fn warn_of(settings: &Settings, before: &[String]) -> Vec<String> {
    let warnings: Vec<String> = settings.warnings().lines().collect();
    for warning in warnings.iter().filter(|warning| !before.contains(warning)) {
        warn!("configuration: {warning}");
    }
    warnings
}

/// Waits for the end of the shutdown; without a shutdown, for ever.
async fn shutdown_over(shutdown: &mut Option<AbortOnDropHandle<()>>) {
    match shutdown {
        // The task is not aborted during the wait. After a panic it would be over as well.
        Some(shutdown) => drop(shutdown.await),
        None => std::future::pending().await,
    }
}
