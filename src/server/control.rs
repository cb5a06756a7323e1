//! The handle by which a running gateway is told what to be: signals and the admin port hold clones of it.
//!
//! Whoever runs the gateway holds the other end and obeys one order after the other, so two reloads cannot mix
//! and a state is entered by every shard before the next one is.

use std::fmt;
use std::str::FromStr;

use tokio::sync::{mpsc, oneshot, watch};

use crate::config::Report;
use crate::gateway::Mode;

/// What a gateway is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// Not yet listening.
    #[default]
    Starting,
    /// Serving everybody.
    Running,
    /// Serving those who are in; see [`Mode::Isolated`].
    Isolated,
    /// Finishing what it has; see [`Mode::Draining`]. A gateway that stops is draining until it has stopped.
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

    /// `running`, `isolated` or `draining`: what an operator may ask for.
    fn from_str(name: &str) -> Result<Self, UnknownMode> {
        match name {
            "running" => Ok(Self::Running),
            "isolated" => Ok(Self::Isolated),
            "draining" => Ok(Self::Draining),
            _ => Err(UnknownMode),
        }
    }
}

/// A word that names no state a gateway can be told to enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a gateway can be told to be `running`, `isolated` or `draining`")]
pub struct UnknownMode;

/// What one may tell a running gateway. Clones speak to the same gateway.
#[derive(Clone, Debug)]
pub struct Control {
    state: watch::Receiver<State>,
    orders: mpsc::Sender<Order>,
}

/// The end that obeys.
#[derive(Debug)]
pub struct Obedience {
    state: watch::Sender<State>,
    orders: mpsc::Receiver<Order>,
}

/// What the gateway was told, and whom to answer.
#[derive(Debug)]
pub enum Order {
    /// Serve these from now on.
    Enter(Mode, Answer<()>),
    /// Read the configuration and the files it names again.
    Reload(Answer<Reloaded>),
}

/// Where an order is answered. Whoever gave it may have stopped listening.
#[derive(Debug)]
pub struct Answer<T>(oneshot::Sender<Result<T, Disobeyed>>);

impl<T> Answer<T> {
    /// Says what came of it.
    pub fn give(self, outcome: Result<T, Disobeyed>) {
        let _ = self.0.send(outcome);
    }
}

/// What came of a reload that went well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Sections that changed and take effect with the next start only.
    pub needs_restart: Vec<&'static str>,
}

/// Why an order was not obeyed.
#[derive(Debug, thiserror::Error)]
pub enum Disobeyed {
    /// The configuration has mistakes. The old one stays in force, whole.
    #[error("the configuration has mistakes; the old one stays in force\n{0}")]
    Configuration(Report),
    /// The gateway is stopping, and nothing changes its mind.
    #[error("the gateway is stopping")]
    Stopping,
}

/// A handle, and the end that obeys it.
#[must_use]
pub fn control() -> (Control, Obedience) {
    let (state, seen) = watch::channel(State::Starting);
    let (give, orders) = mpsc::channel(WAITING);
    let control = Control {
        state: seen,
        orders: give,
    };
    (control, Obedience { state, orders })
}

impl Control {
    /// What the gateway is doing now.
    #[must_use]
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Told of every change; the present state counts as seen.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<State> {
        let mut state = self.state.clone();
        state.mark_unchanged();
        state
    }

    /// Serves these from now on; returns once every shard has been told.
    ///
    /// # Errors
    ///
    /// [`Disobeyed::Stopping`].
    pub async fn enter(&self, mode: Mode) -> Result<(), Disobeyed> {
        self.ask(|answer| Order::Enter(mode, answer)).await
    }

    /// Reads the configuration and the files it names again; returns once every shard has been told.
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration, which then changes nothing; or [`Disobeyed::Stopping`].
    pub async fn reload(&self) -> Result<Reloaded, Disobeyed> {
        self.ask(Order::Reload).await
    }

    async fn ask<T>(&self, order: impl FnOnce(Answer<T>) -> Order) -> Result<T, Disobeyed> {
        let (answer, answered) = oneshot::channel();
        // Nobody there to obey: it has stopped.
        self.orders
            .send(order(Answer(answer)))
            .await
            .map_err(|_| Disobeyed::Stopping)?;
        answered.await.unwrap_or(Err(Disobeyed::Stopping))
    }
}

impl Obedience {
    /// The next order; waits for ever when nobody is left to give one.
    pub async fn next(&mut self) -> Order {
        match self.orders.recv().await {
            Some(order) => order,
            None => std::future::pending().await,
        }
    }

    /// What is shown.
    #[must_use]
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Shows what the gateway is doing now.
    pub fn show(&self, state: State) {
        self.state.send_replace(state);
    }
}

/// Orders that may wait; whoever gives more waits to give them.
const WAITING: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_order_is_answered_and_the_state_is_seen_by_all() {
        let (control, mut obedience) = control();
        assert_eq!(control.state(), State::Starting);
        let mut seen = control.subscribe();
        let asker = control.clone();
        let asked = tokio::spawn(async move { asker.enter(Mode::Isolated).await });
        match obedience.next().await {
            Order::Enter(mode, answer) => {
                obedience.show(mode.into());
                answer.give(Ok(()));
            }
            other => panic!("{other:?}"),
        }
        asked.await.unwrap().unwrap();
        seen.changed().await.unwrap();
        assert_eq!(*seen.borrow(), State::Isolated);
    }

    #[tokio::test]
    async fn who_has_stopped_obeys_nothing() {
        let (control, obedience) = control();
        let asker = control.clone();
        let asked = tokio::spawn(async move { asker.reload().await });
        tokio::task::yield_now().await;
        drop(obedience);
        assert!(matches!(asked.await.unwrap(), Err(Disobeyed::Stopping)));
        let late = control.enter(Mode::Running).await;
        assert!(matches!(late, Err(Disobeyed::Stopping)));
    }

    #[test]
    fn an_operator_may_name_three_states_and_all_have_names() {
        for mode in [Mode::Running, Mode::Isolated, Mode::Draining] {
            assert_eq!(State::from(mode).name().parse(), Ok(mode));
        }
        assert_eq!("starting".parse::<Mode>(), Err(UnknownMode));
    }
}
