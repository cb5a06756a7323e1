//! The life of a gateway: started, told by signals and operators what to be, drained, stopped.

use std::path::PathBuf;

use anyhow::bail;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use crate::cli::log::Places;
use crate::cli::serve::manager;
use crate::cli::serve::parts::{self, Parts};
use crate::cli::serve::signals::{Signal, Signals};
use crate::config::Settings;
use crate::gateway::Mode;
use crate::server::{self, Disobeyed, Inherited, Obedience, Order, Reloaded, State};

/// Runs until it is told to stop and has drained. An error is the reason it could not start, or could not go on.
pub(super) async fn live(
    path: PathBuf,
    settings: Settings,
    inherited: Inherited,
    log: Places,
) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let (control, obedience) = server::control();
    let parts = Parts::start(&settings, inherited, &control, log).await?;
    let mut life = Life {
        path,
        began_with: settings.clone(),
        settings,
        parts,
        obedience,
        departure: None,
        stopping: false,
    };
    life.obedience.show(State::Running);
    manager::ready(State::Running);
    info!("ready");
    let outcome = life.run(&mut signals).await;
    // Whatever ended it, what the parts have in hand is put away.
    life.parts.stop().await;
    info!("stopped");
    outcome
}

struct Life {
    path: PathBuf,
    /// What a restart is needed to change.
    began_with: Settings,
    /// What is in force.
    settings: Settings,
    parts: Parts,
    obedience: Obedience,
    /// The way out, once it was told to drain or to stop.
    departure: Option<AbortOnDropHandle<()>>,
    /// Whether the way out is for good.
    stopping: bool,
}

impl Life {
    /// Obeys until it was told to stop and has nothing left to do.
    async fn run(&mut self, signals: &mut Signals) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Stop(name) if self.stopping => {
                        warn!("{name} again: stopping at once");
                        return Ok(());
                    }
                    Signal::Stop(name) => self.begin_to_stop(name),
                    Signal::Reload => self.hang_up().await,
                    Signal::Reopen => self.parts.reopen_logs(),
                },
                order = self.obedience.next() => self.obey(order).await,
                () = departed(&mut self.departure) => {
                    self.departure = None;
                    if self.stopping {
                        return Ok(());
                    }
                    info!("drained");
                }
                // Whoever started us can start us again; a part of a gateway looks healthy and is not.
                () = self.parts.shards().lost_one() => bail!("a shard stopped by itself"),
            }
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Enter(mode, answer) => answer.give(self.enter(mode).await),
            Order::Reload(answer) => answer.give(self.reload().await),
        }
    }

    /// SIGTERM or SIGINT. From here on there is no way back.
    fn begin_to_stop(&mut self, signal: &str) {
        info!("{signal}: draining");
        self.stopping = true;
        self.obedience.show(State::Draining);
        let departure = self.parts.last_departure(&self.settings);
        let patience = self.settings.drain_timeout();
        manager::stopping(self.parts.shards().departure_takes(departure, patience));
        self.depart(departure);
    }

    async fn enter(&mut self, mode: Mode) -> Result<(), Disobeyed> {
        self.may_change()?;
        // Nobody waits for the end of an earlier drain any more.
        self.departure = None;
        self.parts.shards().enter(mode).await;
        let state = State::from(mode);
        self.obedience.show(state);
        manager::entered(state);
        info!(%state, "as told");
        if mode == Mode::Draining {
            self.depart(self.parts.departure(&self.settings));
        }
        Ok(())
    }

    fn depart(&mut self, departure: server::Departure) {
        let shards = self.parts.shards().clone();
        let patience = self.settings.drain_timeout();
        let departing = tokio::spawn(async move { shards.depart(departure, patience).await });
        self.departure = Some(AbortOnDropHandle::new(departing));
    }

    /// SIGHUP, which has nobody to answer to but the log.
    async fn hang_up(&mut self) {
        self.parts.reopen_logs();
        if let Err(error) = self.reload().await {
            error!("SIGHUP: {error}");
        }
    }

    /// Reads the configuration and the files it names again. What has a mistake changes nothing.
    async fn reload(&mut self) -> Result<Reloaded, Disobeyed> {
        self.may_change()?;
        manager::reloading();
        let reloaded = self.read_again().await;
        manager::ready(self.obedience.state());
        reloaded
    }

    async fn read_again(&mut self) -> Result<Reloaded, Disobeyed> {
        let settings = Settings::load(&self.path).map_err(Disobeyed::Configuration)?;
        let needs_restart = parts::needing_a_restart(&self.began_with, &settings);
        for section in &needs_restart {
            warn!(
                section,
                "changed, which takes effect with the next start only"
            );
        }
        self.parts.reload(&settings).await;
        self.settings = settings;
        info!(config = %self.path.display(), "routes, limits and certificates reloaded");
        Ok(Reloaded { needs_restart })
    }

    const fn may_change(&self) -> Result<(), Disobeyed> {
        match self.stopping {
            true => Err(Disobeyed::Stopping),
            false => Ok(()),
        }
    }
}

/// Waits for the end of the way out, for ever if there is none.
async fn departed(departure: &mut Option<AbortOnDropHandle<()>>) {
    match departure {
        // Nobody aborts it while it is waited for; had it panicked, it would be over as well.
        Some(departure) => drop(departure.await),
        None => std::future::pending().await,
    }
}
