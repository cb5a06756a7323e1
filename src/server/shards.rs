//! The way to the shards of a running server: orders go in, counters come out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::gateway::{self, Command, Mode, Stats};
use crate::identity::Change;
use crate::server::counts::ShellStats;
use crate::server::measure::Measures;
use crate::server::shard::{Calm, Order, Published, farewell_takes};
use crate::upstream::{Health, Tls};
use crate::wsp::pseudonym::Pseudonyms;

/// The way to the shards of a running server. Clones lead to the same ones; what is told to shards that have
/// stopped is lost.
#[derive(Clone, Debug)]
pub struct Shards(pub(super) Arc<[Way]>, Pseudonyms);

/// The way to one shard.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) mailbox: mpsc::Sender<Order>,
    pub(super) published: watch::Receiver<Published>,
}

impl Shards {
    pub(super) fn new(ways: Vec<Way>, names: Pseudonyms) -> Self {
        Self(ways.into(), names)
    }

    /// A shard that takes no orders, until what is returned beside it is dropped.
    #[cfg(test)]
    pub(crate) fn hanging() -> (Self, impl Sized) {
        let (mailbox, orders) = mpsc::channel(1);
        let (tell, _) = oneshot::channel();
        let _ = mailbox.try_send(Order::Farewell(tell));
        let (shown, published) = watch::channel(Published::default());
        let way = Way { mailbox, published };
        (
            Self::new(vec![way], Pseudonyms::new(&[0; 16])),
            (orders, shown),
        )
    }

    /// What their sessions are called where people read of them.
    #[must_use]
    pub const fn names(&self) -> Pseudonyms {
        self.1
    }

    /// Waits until every shard runs and takes orders. False if one never will.
    pub async fn run(&self) -> bool {
        for mut published in self.watch() {
            // It shows its counters as soon as it runs.
            if published.changed().await.is_err() {
                return false;
            }
        }
        true
    }

    /// Has every shard read its sockets from now on, once it knows all it should before the first handset comes.
    pub async fn hear(&self) {
        self.order(|| Order::Hear).await;
    }

    /// What each shard showed last.
    #[must_use]
    pub fn published(&self) -> Vec<Published> {
        let shown = |way: &Way| way.published.borrow().clone();
        self.0.iter().map(shown).collect()
    }

    /// Each shard's counters as they are shown, once a second.
    #[must_use]
    pub fn watch(&self) -> Vec<watch::Receiver<Published>> {
        self.0.iter().map(|way| way.published.clone()).collect()
    }

    /// Gives every shard's core an order.
    pub async fn command(&self, command: &Command) {
        self.order(|| Order::Core(command.clone())).await;
    }

    /// Serves these from now on.
    pub async fn enter(&self, mode: Mode) {
        self.command(&Command::Enter(mode)).await;
    }

    /// Gives every shard its share of new settings, and certificates. Requests under way finish as they began, and connections
    /// to origins are made anew. Sockets stay what they are.
    pub async fn reload(&self, gateway: &gateway::Config, tls: Tls) {
        let gateway = Arc::new(gateway.share(self.count()));
        self.order(|| Order::Reload(Arc::clone(&gateway), tls.clone()))
            .await;
    }

    /// Tells every shard who has which address, and returns once all of them know.
    pub async fn identify(&self, changes: Arc<[Change]>) {
        let mut answers = Vec::with_capacity(self.0.len());
        for way in self.0.iter() {
            let (done, known) = oneshot::channel();
            let order = Order::Identify(Arc::clone(&changes), done);
            if way.mailbox.send(order).await.is_ok() {
                answers.push(known);
            }
        }
        for known in answers {
            // A shard that has stopped has nobody to ask it.
            let _ = known.await;
        }
    }

    /// Refuses what is new and waits, at most so long, until nothing is under way. True when it came to that.
    pub async fn drain(&self, timeout: Duration) -> bool {
        self.enter(Mode::Draining).await;
        self.idle(timeout).await
    }

    /// Waits, at most so long, until every shard has had nothing under way once. True when it came to that.
    pub(super) async fn idle(&self, timeout: Duration) -> bool {
        let idle = self.calm(Calm::Idle);
        tokio::time::timeout(timeout, idle).await.is_ok()
    }

    /// Waits, at most so long, until what origins have been asked for by now is answered. True when it came to that.
    pub(super) async fn settled(&self, timeout: Duration) -> bool {
        let settled = self.calm(Calm::Settled);
        tokio::time::timeout(timeout, settled).await.is_ok()
    }

    /// Ends every session, at a pace the network can take, and says how many there were. `None` if that would have
    /// taken longer than `patience`: those that remain hear nothing.
    pub(super) async fn farewell(&self, patience: Duration) -> Option<usize> {
        let farewell = self.each(Order::Farewell);
        let ended = tokio::time::timeout(patience, farewell).await.ok()?;
        Some(ended.into_iter().sum())
    }

    /// How long it takes to end the sessions there are: each shard ends its own.
    pub(super) fn farewell_takes(&self) -> Duration {
        let of = |way: &Way| farewell_takes(way.published.borrow().stats.sessions);
        self.0.iter().map(of).max().unwrap_or_default()
    }

    async fn calm(&self, calm: Calm) {
        self.each(|answer| Order::When(calm, answer)).await;
    }

    /// Asks all shards at the same time and waits for their answers. Those that have stopped give none.
    async fn each<T>(&self, order: impl Fn(oneshot::Sender<T>) -> Order) -> Vec<T> {
        let mut answers = Vec::new();
        for way in self.0.iter() {
            let (tell, told) = oneshot::channel();
            if way.mailbox.send(order(tell)).await.is_ok() {
                answers.push(told);
            }
        }
        let mut told = Vec::new();
        for answer in answers {
            told.extend(answer.await.ok());
        }
        told
    }

    /// Waits until a shard stops that nobody has stopped: it panicked, or cannot use its sockets. What it had
    /// to say is on standard error. Its handsets have nobody to talk to from then on.
    pub async fn lost_one(&self) {
        any_closed(self.watch()).await;
    }

    pub(super) async fn order(&self, order: impl Fn() -> Order) {
        for way in self.0.iter() {
            // A closed mailbox is a shard that has stopped, which needs no orders.
            let _ = way.mailbox.send(order()).await;
        }
    }
}

/// Waits until nobody is left to show anything on one of the channels.
async fn any_closed(channels: Vec<watch::Receiver<Published>>) {
    let mut open: JoinSet<()> = channels
        .into_iter()
        .map(|mut channel| async move { while channel.changed().await.is_ok() {} })
        .collect();
    open.join_next().await;
}

/// Sums what the shards show.
#[must_use]
pub fn total(published: &[Published]) -> (Stats, ShellStats) {
    let mut stats = Stats::default();
    let mut shell = ShellStats::default();
    for shard in published {
        stats += shard.stats;
        shell += shard.shell;
    }
    (stats, shell)
}

/// Sums what the shards measure.
#[must_use]
pub fn measured(published: &[Published]) -> Measures {
    let mut measures = Measures::default();
    for shard in published {
        measures += &shard.measures;
    }
    measures
}

/// What the shards together know of each host that routes name.
#[must_use]
pub fn targets(published: &[Published]) -> Vec<Health> {
    let mut all: Vec<Health> = Vec::new();
    for target in published.iter().flat_map(|shard| &shard.targets) {
        match all.iter_mut().find(|known| known.host == target.host) {
            Some(known) => known.merge(target),
            None => all.push(target.clone()),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shard that takes orders and obeys none, and shows that it has so many sessions.
    fn stuck(sessions: u64) -> (Shards, mpsc::Receiver<Order>) {
        let (mailbox, orders) = mpsc::channel(1);
        let mut shown = Published::default();
        shown.stats.sessions = sessions;
        let (_, published) = watch::channel(shown);
        (
            Shards::new(vec![Way { mailbox, published }], Pseudonyms::new(&[0; 16])),
            orders,
        )
    }

    #[tokio::test]
    async fn the_last_farewell_ends_though_a_shard_cannot_send() {
        let (shards, mut orders) = stuck(3_000_000);
        assert_eq!(shards.farewell(Duration::from_millis(1)).await, None);
        // What remains of it is called off.
        assert!(matches!(
            orders.recv().await,
            Some(Order::Farewell(answer)) if answer.is_closed()
        ));
        assert_eq!(shards.farewell_takes(), Duration::from_secs(150));
    }

    #[tokio::test]
    async fn one_lost_shard_of_many_is_noticed() {
        let (alive, first) = watch::channel(Published::default());
        let (lost, second) = watch::channel(Published::default());
        let noticed = tokio::spawn(any_closed(vec![first, second]));
        alive.send_replace(Published::default());
        tokio::task::yield_now().await;
        assert!(!noticed.is_finished());
        drop(lost);
        noticed.await.unwrap();
    }
}
