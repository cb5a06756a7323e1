//! Questions to the shards. They wait in the mailbox behind datagrams, each costs a bounded piece of a turn, and
//! the answer is data of its own, so that nothing of a shard is shared.

use std::time::Duration;

use tokio::sync::oneshot;

use super::shard::Order;
use super::shards::Shards;
use crate::wsp::census::{Query, Stretch};

/// What a shard may be asked.
#[derive(Clone, Debug)]
pub enum Question {
    /// Who is there?
    Sessions(Query),
}

/// What it answers, in kind.
#[derive(Clone, Debug)]
pub enum Findings {
    /// A stretch of the sessions.
    Sessions(Stretch),
}

/// A question and where the answer goes.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) question: Question,
    pub(super) answer: oneshot::Sender<Findings>,
}

impl Shards {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Asks one shard. `None` if there is no such shard, if it has stopped or if it does not answer in time.
    pub async fn ask(&self, shard: usize, question: Question) -> Option<Findings> {
        let way = self.0.get(shard)?;
        let (answer, answered) = oneshot::channel();
        let asking = async {
            let order = Order::Ask(Asked { question, answer });
            way.mailbox.send(order).await.ok()?;
            answered.await.ok()
        };
        tokio::time::timeout(PATIENCE, asking).await.ok()?
    }
}

/// How long a shard may take to answer. One under full load takes a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
