//! The life of a gateway: started, told by signals and operators what to be, drained, stopped.

use std::path::PathBuf;
use std::pin::pin;

use anyhow::bail;
use tracing::{error, info, warn};

use crate::cli::serve::parts::{self, Parts};
use crate::cli::serve::signals::{Signal, Signals};
use crate::config::Settings;
use crate::gateway::Mode;
use crate::server::{self, Disobeyed, Obedience, Order, Reloaded, State};

/// Runs until it is told to stop and has drained. An error is the reason it could not start, or could not go on.
pub(super) async fn live(path: PathBuf, settings: Settings) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let (control, mut obedience) = server::control();
    let parts = Parts::start(&settings, &control).await?;
    obedience.show(State::Running);
    info!("ready");
    let mut life = Life {
        path,
        began_with: settings.clone(),
        settings,
        parts,
    };
    let signal = life.run(&mut signals, &mut obedience).await?;
    info!("{signal}: draining");
    life.drain(&mut signals, &mut obedience).await;
    life.parts.stop().await;
    info!("stopped");
    Ok(())
}

struct Life {
    path: PathBuf,
    /// What a restart is needed to change.
    began_with: Settings,
    /// What is in force.
    settings: Settings,
    parts: Parts,
}

impl Life {
    /// Obeys until a signal ends it, and names that signal.
    async fn run(
        &mut self,
        signals: &mut Signals,
        obedience: &mut Obedience,
    ) -> anyhow::Result<&'static str> {
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Stop(name) => return Ok(name),
                    Signal::Reload => self.hang_up().await,
                },
                order = obedience.next() => self.obey(order, obedience).await,
                // Whoever started us can start us again; a part of a gateway looks healthy and is not.
                () = self.parts.shards().lost_one() => bail!("a shard stopped by itself"),
            }
        }
    }

    /// Lets what is under way finish. From here on there is no way back.
    async fn drain(&self, signals: &mut Signals, obedience: &mut Obedience) {
        obedience.show(State::Draining);
        let patience = self.settings.drain_timeout();
        let mut drained = pin!(self.parts.shards().drain(patience));
        loop {
            tokio::select! {
                quiet = &mut drained => {
                    if !quiet {
                        warn!("some exchanges were still under way after {patience:?}");
                    }
                    return;
                }
                signal = signals.next() => match signal {
                    // A second one means now.
                    Signal::Stop(name) => return warn!("{name} again: stopping at once"),
                    Signal::Reload => warn!("SIGHUP: not reloaded, the gateway is stopping"),
                },
                order = obedience.next() => refuse(order),
            }
        }
    }

    async fn obey(&mut self, order: Order, obedience: &Obedience) {
        match order {
            Order::Enter(mode, answer) => answer.give(self.enter(mode, obedience).await),
            Order::Reload(answer) => answer.give(self.reload().await),
        }
    }

    async fn enter(&self, mode: Mode, obedience: &Obedience) -> Result<(), Disobeyed> {
        self.parts.shards().enter(mode).await;
        let state = State::from(mode);
        obedience.show(state);
        info!(%state, "as told");
        Ok(())
    }

    /// SIGHUP, which has nobody to answer to but the log.
    async fn hang_up(&mut self) {
        if let Err(error) = self.reload().await {
            error!("SIGHUP: {error}");
        }
    }

    /// Reads the configuration and the files it names again. What has a mistake changes nothing.
    async fn reload(&mut self) -> Result<Reloaded, Disobeyed> {
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
}

/// Nothing is changed any more once the gateway stops.
fn refuse(order: Order) {
    match order {
        Order::Enter(_, answer) => answer.give(Err(Disobeyed::Stopping)),
        Order::Reload(answer) => answer.give(Err(Disobeyed::Stopping)),
    }
}
