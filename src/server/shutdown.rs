//! Shutdown: exchanges under way are finished, and the remaining sessions are ended or kept in the
//! store.

use std::time::Duration;

use tracing::{info, warn};

use crate::gateway::Mode;
use crate::server::Shards;

/// How a gateway shuts down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// No other process is known to serve our ports afterwards. Connects are refused or redirected,
    /// new methods are answered with 503, and exchanges under way are finished.
    Drain {
        /// What happens to the remaining sessions.
        sessions: RemainingSessions,
    },
    /// A service manager holds our sockets and passes them to the next process, with the datagrams
    /// that wait in them. Every handset is served until the requests under way are answered. From
    /// then on new transactions stay unanswered, so that handsets repeat them to the next process.
    /// If the transactions under way take longer than handsets repeat an Invoke, new ones are
    /// refused as in [`Drain`](Self::Drain).
    HandOver {
        /// What happens to the remaining sessions.
        sessions: RemainingSessions,
    },
}

/// What happens to the sessions that remain once no exchange is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemainingSessions {
    /// The store keeps them; handsets notice nothing.
    Keep,
    /// Each is ended with a Disconnect. Handsets that connect again at once are still answered.
    Disconnect {
        /// Whether Connects are redirected to other servers.
        redirect: bool,
    },
}

impl Shutdown {
    /// What happens to the remaining sessions.
    const fn sessions(self) -> RemainingSessions {
        match self {
            Self::Drain { sessions } | Self::HandOver { sessions } => sessions,
        }
    }
}

impl Shards {
    /// The longest a shutdown that begins now may take, when exchanges under way have `timeout` to
    /// finish.
    #[must_use]
    pub fn shutdown_limit(&self, shutdown: Shutdown, timeout: Duration) -> Duration {
        match shutdown.sessions() {
            RemainingSessions::Keep => timeout,
            RemainingSessions::Disconnect { .. } => {
                timeout + self.disconnect_all_limit() + TO_CONNECT_ANEW
            }
        }
    }

    /// Twice the time that it takes when no socket is ever full.
    fn disconnect_all_limit(&self) -> Duration {
        self.disconnect_all_takes() * 2 + SHORTEST_DISCONNECT_ALL
    }

    /// Shuts the shards down. Returns within [`shutdown_limit`](Self::shutdown_limit). Dropping the
    /// future stops the shutdown where it is; steps already taken are not undone.
    pub async fn shut_down(&self, shutdown: Shutdown, timeout: Duration) {
        let quiet = match shutdown {
            Shutdown::Drain { .. } => self.drain(timeout).await,
            Shutdown::HandOver { .. } => self.hand_over(timeout, LONGEST_SILENCE).await,
        };
        if !quiet {
            warn!("some exchanges were still under way after {timeout:?}");
        }
        if let RemainingSessions::Disconnect { redirect } = shutdown.sessions() {
            let patience = self.disconnect_all_limit();
            let ended = self.disconnect_all(patience).await;
            match ended {
                Some(0) => return,
                Some(sessions) => info!(sessions, "sessions ended"),
                None => warn!("some sessions were not ended after {patience:?}"),
            }
            if redirect {
                tokio::time::sleep(TO_CONNECT_ANEW).await;
            }
        }
    }

    /// True if every transaction under way has been finished.
    async fn hand_over(&self, timeout: Duration, silence: Duration) -> bool {
        let silence = silence.min(timeout);
        let handing_over = async {
            self.requests_answered(timeout - silence).await;
            self.enter(Mode::Leaving).await;
            info!("new transactions are left to the next process");
            if !self.idle(silence).await {
                // Handsets would give up before the next process runs.
                info!("transactions under way take longer; new ones are refused");
                self.drain(timeout).await;
            }
        };
        let handed_over = tokio::time::timeout(timeout, handing_over).await;
        handed_over.is_ok()
    }
}

/// How long new Invokes stay unanswered. Handsets repeat an Invoke for some 40 s.
const LONGEST_SILENCE: Duration = Duration::from_secs(20);
/// The least time for the Disconnects: the kernel may hold datagrams back for seconds.
const SHORTEST_DISCONNECT_ALL: Duration = Duration::from_secs(5);
/// How long handsets have to connect again after their Disconnect and be redirected.
const TO_CONNECT_ANEW: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::server::ShardSnapshot;
    use crate::server::shard::{DrainCondition, ShardCommand};
    use crate::server::shards::ShardHandle;
    use crate::wsp::log_id::LogIds;

    /// A request that came during the hand-over takes longer than handsets may stay unanswered.
    #[tokio::test]
    async fn a_handover_finishes_running_exchanges_and_is_not_silent_for_long() {
        let (mailbox, mut commands) = mpsc::channel(8);
        let (_shown, published) = watch::channel(ShardSnapshot::default());
        let shards = Shards::new(
            vec![ShardHandle { mailbox, published }],
            LogIds::new(&[0; 16]),
        );
        let handing_over = tokio::spawn(async move {
            let (patience, silence) = (Duration::from_secs(60), Duration::from_millis(1));
            shards.hand_over(patience, silence).await
        });
        let mut modes = Vec::new();
        let mut unanswered = Vec::new();
        while let Some(command) = commands.recv().await {
            match command {
                ShardCommand::Enter(mode, done) => {
                    modes.push(mode);
                    done.send(()).unwrap();
                }
                // In the end it is idle, but not while it is silent.
                ShardCommand::NotifyWhen(DrainCondition::Idle, answer)
                    if modes == [Mode::Leaving] =>
                {
                    unanswered.push(answer);
                }
                ShardCommand::NotifyWhen(_, answer) => answer.send(()).unwrap(),
                other => panic!("{other:?}"),
            }
        }
        assert!(handing_over.await.unwrap());
        assert_eq!(modes, [Mode::Leaving, Mode::Draining]);
    }
}
