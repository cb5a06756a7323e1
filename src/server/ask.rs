//! Questions to the shards. They wait in the mailbox behind datagrams, each costs a bounded piece of a turn, and
//! the answer is data of its own, so that nothing of a shard is shared.

use std::time::Duration;

use tokio::sync::mpsc;

use super::shard::Order;
use super::{Server, ShardHandle};
use crate::upstream;
use crate::wsp::census::{Query, Stretch};

/// What a shard may be asked.
#[derive(Clone, Debug)]
pub enum Question {
    /// Who is there?
    Sessions(Query),
    /// How are the origins?
    Origins,
}

/// What it answers, in kind.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A stretch of the sessions.
    Sessions(Stretch),
    /// Every host that routes name, as this shard knows it.
    Origins(Vec<upstream::Health>),
}

/// A question and where the answer goes.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) question: Question,
    pub(super) answer: mpsc::Sender<Answer>,
}

/// The shards, to be asked. It does not keep them alive. Clones ask the same.
#[derive(Clone, Debug)]
pub struct Shards(Vec<mpsc::WeakSender<Order>>);

impl Server {
    /// The way to ask the shards.
    #[must_use]
    pub fn shards(&self) -> Shards {
        let mailbox = |shard: &ShardHandle| shard.mailbox.downgrade();
        Shards(self.shards.iter().map(mailbox).collect())
    }
}

impl Shards {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Asks one shard. `None` if there is no such shard, if it has stopped or if it does not answer in time.
    pub async fn ask(&self, shard: usize, question: Question) -> Option<Answer> {
        let mailbox = self.0.get(shard)?.upgrade()?;
        let (answer, mut answered) = mpsc::channel(1);
        let asked = Order::Ask(Asked { question, answer });
        let asking = async {
            mailbox.send(asked).await.ok()?;
            // Held no longer than needed: a shard stops when nobody can give it orders any more.
            drop(mailbox);
            answered.recv().await
        };
        tokio::time::timeout(PATIENCE, asking).await.ok()?
    }
}

/// How long a shard may take to answer. One under full load takes a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
