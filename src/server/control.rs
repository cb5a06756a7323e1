//! Control of a running gateway: signals and the admin port hold clones of [`Control`].
//!
//! The task that runs the gateway holds the [`ControlReceiver`] and executes one command after the
//! other. So two reloads never mix, and every shard has entered a state before the next command
//! begins.

use std::fmt;
use std::str::FromStr;

use tokio::sync::{mpsc, oneshot, watch};

use crate::config::Report;
use crate::gateway::Mode;

/// The state of a gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// Not yet listening.
    #[default]
    Starting,
    /// Serving every handset.
    Running,
    /// Serving handsets that have a session; see [`Mode::Isolated`].
    Isolated,
    /// Finishing exchanges under way; see [`Mode::Draining`]. A gateway that stops is draining
    /// until it has stopped.
    Draining,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [
        Self::Starting,
        Self::Running,
        Self::Isolated,
        Self::Draining,
    ];

    /// Its name for operators, and in the label of `wapbridge_state`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Isolated => "isolated",
            Self::Draining => "draining",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<Mode> for State {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Running => Self::Running,
            Mode::Isolated => Self::Isolated,
            Mode::Draining | Mode::Leaving => Self::Draining,
        }
    }
}

impl FromStr for Mode {
    type Err = UnknownMode;

    /// Reads `running`, `isolated` or `draining`, the modes that an operator may request.
    fn from_str(name: &str) -> Result<Self, UnknownMode> {
        match name {
            "running" => Ok(Self::Running),
            "isolated" => Ok(Self::Isolated),
            "draining" => Ok(Self::Draining),
            _ => Err(UnknownMode),
        }
    }
}

/// A word that names no mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state can be `running`, `isolated` or `draining`")]
pub struct UnknownMode;

/// Sends commands to a running gateway. Clones control the same gateway.
#[derive(Clone, Debug)]
pub struct Control {
    state: watch::Receiver<State>,
    commands: mpsc::Sender<ControlCommand>,
}

/// Receives the commands of every [`Control`].
#[derive(Debug)]
pub struct ControlReceiver {
    state: watch::Sender<State>,
    commands: mpsc::Receiver<ControlCommand>,
}

/// A command, and where its outcome goes.
#[derive(Debug)]
pub enum ControlCommand {
    /// Enter a mode.
    Enter(Mode, Answer<()>),
    /// Read the configuration and its files again.
    Reload(Answer<Reloaded>),
}

/// Where the outcome of a command goes. The sender of the command may have gone.
#[derive(Debug)]
pub struct Answer<T>(oneshot::Sender<Result<T, ControlError>>);

impl<T> Answer<T> {
    /// Sends the outcome.
    pub fn give(self, outcome: Result<T, ControlError>) {
        let _ = self.0.send(outcome);
    }
}

/// The outcome of a successful reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Sections that changed and take effect with the next start only.
    pub needs_restart: Vec<&'static str>,
}

/// Why a command was not executed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The configuration has mistakes. The old one stays in force.
    #[error("the configuration has mistakes; the old one stays in force\n{0}")]
    Configuration(Report),
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
}

/// A control handle and its receiver.
#[must_use]
pub fn control() -> (Control, ControlReceiver) {
    let (state, seen) = watch::channel(State::Starting);
    let (sender, commands) = mpsc::channel(WAITING);
    let control = Control {
        state: seen,
        commands: sender,
    };
    (control, ControlReceiver { state, commands })
}

impl Control {
    /// The present state.
    #[must_use]
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// A receiver of every change of state; the present state counts as seen.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<State> {
        let mut state = self.state.clone();
        state.mark_unchanged();
        state
    }

    /// Enters a mode; returns once every shard has the command.
    ///
    /// # Errors
    ///
    /// [`ControlError::Stopping`].
    pub async fn enter(&self, mode: Mode) -> Result<(), ControlError> {
        self.ask(|answer| ControlCommand::Enter(mode, answer)).await
    }

    /// Reads the configuration and its files again; returns once every shard has the command.
    ///
    /// # Errors
    ///
    /// [`ControlError::Configuration`], and the old configuration stays in force; or
    /// [`ControlError::Stopping`].
    pub async fn reload(&self) -> Result<Reloaded, ControlError> {
        self.ask(ControlCommand::Reload).await
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(Answer<T>) -> ControlCommand,
    ) -> Result<T, ControlError> {
        let (answer, answered) = oneshot::channel();
        // A closed channel means that the gateway has stopped.
        self.commands
            .send(command(Answer(answer)))
            .await
            .map_err(|_| ControlError::Stopping)?;
        answered.await.unwrap_or(Err(ControlError::Stopping))
    }
}

impl ControlReceiver {
    /// The next command. Waits for ever once every [`Control`] is gone.
    pub async fn next(&mut self) -> ControlCommand {
        match self.commands.recv().await {
            Some(command) => command,
            None => std::future::pending().await,
        }
    }

    /// The state last published.
    #[must_use]
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Publishes the present state.
    pub fn show(&self, state: State) {
        self.state.send_replace(state);
    }
}

/// Commands that may wait; further senders wait.
const WAITING: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_is_answered_and_every_handle_sees_the_state() {
        let (control, mut receiver) = control();
        assert_eq!(control.state(), State::Starting);
        let mut seen = control.subscribe();
        let asker = control.clone();
        let asked = tokio::spawn(async move { asker.enter(Mode::Isolated).await });
        match receiver.next().await {
            ControlCommand::Enter(mode, answer) => {
                receiver.show(mode.into());
                answer.give(Ok(()));
            }
            other => panic!("{other:?}"),
        }
        asked.await.unwrap().unwrap();
        seen.changed().await.unwrap();
        assert_eq!(*seen.borrow(), State::Isolated);
    }

    #[tokio::test]
    async fn a_stopped_gateway_refuses_commands() {
        let (control, receiver) = control();
        let asker = control.clone();
        let asked = tokio::spawn(async move { asker.reload().await });
        tokio::task::yield_now().await;
        drop(receiver);
        assert!(matches!(asked.await.unwrap(), Err(ControlError::Stopping)));
        let late = control.enter(Mode::Running).await;
        assert!(matches!(late, Err(ControlError::Stopping)));
    }

    #[test]
    fn an_operator_may_name_three_states_and_all_have_names() {
        for mode in [Mode::Running, Mode::Isolated, Mode::Draining] {
            assert_eq!(State::from(mode).name().parse(), Ok(mode));
        }
        assert_eq!("starting".parse::<Mode>(), Err(UnknownMode));
    }
}
