//! Leaving: what is under way is finished, and who still has a session is told, or left to who comes after us.

use std::time::Duration;

use tracing::{info, warn};

use crate::gateway::Mode;
use crate::server::Shards;

/// How a gateway leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Nobody hears our ports after us, for all we know. Who connects is refused or sent elsewhere, new methods are
    /// answered with 503, and what was under way is finished.
    Draining {
        /// What becomes of the sessions that remain.
        sessions: Remaining,
    },
    /// Somebody else holds our sockets and gives them to the next process, with all that waits in them. Everybody
    /// is served until what was asked for before is answered; then new transactions are left unanswered, so that
    /// handsets send them again to the next process, until those under way are over. Where that takes longer than a
    /// handset repeats itself, new ones are refused as when draining.
    HandingOver {
        /// What becomes of the sessions that remain.
        sessions: Remaining,
    },
}

/// What becomes of the sessions that remain when nothing is under way any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remaining {
    /// They are kept in the store; their handsets notice nothing.
    Kept,
    /// They are ended, each with a Disconnect. Handsets that connect anew at once are still answered: sent
    /// elsewhere, if `sent_elsewhere`.
    Ended {
        /// Whether handsets that connect are sent to other servers.
        sent_elsewhere: bool,
    },
}

impl Departure {
    /// What becomes of sessions when nothing is under way any more.
    const fn sessions(self) -> Remaining {
        match self {
            Self::Draining { sessions } | Self::HandingOver { sessions } => sessions,
        }
    }
}

impl Shards {
    /// How long a departure that begins now may take at most, when what is under way has `timeout` to finish.
    #[must_use]
    pub fn departure_takes(&self, departure: Departure, timeout: Duration) -> Duration {
        match departure.sessions() {
            Remaining::Kept => timeout,
            Remaining::Ended { .. } => timeout + self.longest_farewell() + TO_CONNECT_ANEW,
        }
    }

    /// Twice as long as it takes when sockets are never full.
    fn longest_farewell(&self) -> Duration {
        self.farewell_takes() * 2 + SHORTEST_FAREWELL
    }

    /// Leaves: returns when nothing is left to be done, at the latest when [`departure_takes`](Self::departure_takes)
    /// is over. Not waiting for it to return stops it, and nothing is undone.
    pub async fn depart(&self, departure: Departure, timeout: Duration) {
        let quiet = match departure {
            Departure::Draining { .. } => self.drain(timeout).await,
            Departure::HandingOver { .. } => self.hand_over(timeout, LONGEST_SILENCE).await,
        };
        if !quiet {
            warn!("some exchanges were still under way after {timeout:?}");
        }
        if let Remaining::Ended { sent_elsewhere } = departure.sessions() {
            let patience = self.longest_farewell();
            let ended = self.farewell(patience).await;
            match ended {
                Some(0) => return,
                Some(sessions) => info!(sessions, "ended"),
                None => warn!(
                    "some handsets were not told after {patience:?} that their session is over"
                ),
            }
            if sent_elsewhere {
                tokio::time::sleep(TO_CONNECT_ANEW).await;
            }
        }
    }

    /// True if all that was under way has been finished.
    async fn hand_over(&self, timeout: Duration, silence: Duration) -> bool {
        let silence = silence.min(timeout);
        let handing_over = async {
            self.settled(timeout - silence).await;
            self.enter(Mode::Leaving).await;
            info!("what begins now is left to the next process");
            if !self.idle(silence).await {
                // Handsets would give up before there is a next process.
                info!("what is under way takes longer; what begins now is refused");
                self.drain(timeout).await;
            }
        };
        let handed_over = tokio::time::timeout(timeout, handing_over).await;
        handed_over.is_ok()
    }
}

/// Handsets send an Invoke again for some 40 s before they give up.
const LONGEST_SILENCE: Duration = Duration::from_secs(20);
/// However few sessions there are: what the kernel holds back, it gives up after some seconds.
const SHORTEST_FAREWELL: Duration = Duration::from_secs(5);
/// How long those whose session was ended have to connect anew and be told where to.
const TO_CONNECT_ANEW: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::gateway::Command;
    use crate::server::Published;
    use crate::server::shard::{Calm, Order};
    use crate::server::shards::Way;
    use crate::wsp::pseudonym::Pseudonyms;

    /// A request that came during the hand-over takes longer than handsets may wait unanswered.
    #[tokio::test]
    async fn who_hands_over_finishes_what_has_begun_and_is_not_silent_for_long() {
        let (mailbox, mut orders) = mpsc::channel(8);
        let (_shown, published) = watch::channel(Published::default());
        let shards = Shards::new(vec![Way { mailbox, published }], Pseudonyms::new(&[0; 16]));
        let handing_over = tokio::spawn(async move {
            let (patience, silence) = (Duration::from_secs(60), Duration::from_millis(1));
            shards.hand_over(patience, silence).await
        });
        let mut modes = Vec::new();
        let mut unanswered = Vec::new();
        while let Some(order) = orders.recv().await {
            match order {
                Order::Core(Command::Enter(mode)) => modes.push(mode),
                // In the end it is idle, but not while it is silent.
                Order::When(Calm::Idle, answer) if modes == [Mode::Leaving] => {
                    unanswered.push(answer);
                }
                Order::When(_, answer) => answer.send(()).unwrap(),
                other => panic!("{other:?}"),
            }
        }
        assert!(handing_over.await.unwrap());
        assert_eq!(modes, [Mode::Leaving, Mode::Draining]);
    }
}
