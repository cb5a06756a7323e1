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
    /// handsets send them again to the next process, until those under way are over.
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
            Departure::HandingOver { .. } => self.hand_over(timeout).await,
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
    async fn hand_over(&self, timeout: Duration) -> bool {
        let silence = timeout.min(LONGEST_SILENCE);
        self.settled(timeout - silence).await;
        self.enter(Mode::Leaving).await;
        info!("what begins now is left to the next process");
        self.idle(silence).await
    }
}

/// Handsets send an Invoke again for some 40 s before they give up.
const LONGEST_SILENCE: Duration = Duration::from_secs(20);
/// However few sessions there are: what the kernel holds back, it gives up after some seconds.
const SHORTEST_FAREWELL: Duration = Duration::from_secs(5);
/// How long those whose session was ended have to connect anew and be told where to.
const TO_CONNECT_ANEW: Duration = Duration::from_secs(3);
