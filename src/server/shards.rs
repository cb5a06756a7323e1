//! Handles to the shards of a running server: commands go in, snapshots of counters come out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::gateway::push::{Push, PushOutcome};
use crate::gateway::{self, Mode, Stats};
use crate::identity::Change;
use crate::push::capabilities::Capabilities;
use crate::server::measurement::RouteStats;
use crate::server::secure::SecureSettings;
use crate::server::shard::{DrainCondition, ShardCommand, ShardSnapshot, disconnect_all_takes};
use crate::server::socket_stats::SocketStats;
use crate::server::subscription::{TapCommand, TraceSubscription};
use crate::upstream::{Health, Tls};
use crate::wdp::{Address, Peer};
use crate::wsp::listing::{Page, Query};
use crate::wsp::log_id::LogIds;

/// The shards of a running server. Clones lead to the same shards. A command to a shard that has
/// stopped is lost.
#[derive(Clone, Debug)]
pub struct Shards(pub(super) Arc<[ShardHandle]>, LogIds, Arc<[u16]>);

/// One shard: its mailbox and its snapshots.
#[derive(Debug)]
pub(super) struct ShardHandle {
    pub(super) mailbox: mpsc::Sender<ShardCommand>,
    pub(super) published: watch::Receiver<ShardSnapshot>,
}

impl Shards {
    pub(super) fn new(handles: Vec<ShardHandle>, names: LogIds) -> Self {
        Self(handles.into(), names, Arc::default())
    }

    /// The same, which speak WTLS on these ports.
    pub(super) fn with_secure_ports(mut self, ports: Vec<u16>) -> Self {
        self.2 = ports.into();
        self
    }

    /// Whether a peer is on a secure port.
    #[must_use]
    pub fn is_secured(&self, peer: Peer) -> bool {
        self.2.contains(&peer.local.port())
    }

    /// A shard that takes no commands until the returned guard is dropped.
    #[cfg(test)]
    pub(crate) fn hanging() -> (Self, impl Sized) {
        let (mailbox, commands) = mpsc::channel(1);
        let (sender, _) = oneshot::channel();
        let _ = mailbox.try_send(ShardCommand::DisconnectAll(sender));
        let (shown, published) = watch::channel(ShardSnapshot::default());
        let handle = ShardHandle { mailbox, published };
        (
            Self::new(vec![handle], LogIds::new(&[0; 16])),
            (commands, shown),
        )
    }

    /// The names of their sessions in logs, records and lists.
    #[must_use]
    pub const fn names(&self) -> LogIds {
        self.1
    }

    /// The number of shards.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// A stretch of the session table of one shard. `None` if there is no such shard, if it has
    /// stopped, or if it does not answer within `ANSWER_TIMEOUT`.
    pub async fn list_sessions(&self, shard: usize, query: Query) -> Option<Page> {
        let asking = self.ask(shard, |answer| ShardCommand::ListSessions(query, answer));
        tokio::time::timeout(ANSWER_TIMEOUT, asking).await.ok()?
    }

    /// The capabilities of the client at an address by the Connect of its session, which any shard
    /// may have. `None` if no shard that answers within `ANSWER_TIMEOUT` has one.
    pub async fn capabilities(&self, address: IpAddr) -> Option<Capabilities> {
        let command = |answer| ShardCommand::Capabilities(address, answer);
        let answers = self.ask_all_within(ANSWER_TIMEOUT, command).await;
        answers.into_iter().flatten().next()
    }

    /// Has one shard push. `None` if there is no such shard, or if it has stopped.
    pub async fn push(&self, shard: usize, push: Push) -> Option<PushOutcome> {
        self.ask(shard, |answer| ShardCommand::Push(Box::new(push), answer))
            .await
    }

    /// The mailbox of the shard that serves a source's requests over HTTP.
    pub(super) fn of_source(&self, source: u128) -> Option<mpsc::Sender<ShardCommand>> {
        // The /64 of IPv6 is in the upper half, an address of IPv4 in the lower.
        let prefix = (source >> 64) ^ source;
        let shard = prefix.checked_rem(self.0.len() as u128)?;
        let handle = self.0.get(usize::try_from(shard).ok()?)?;
        Some(handle.mailbox.clone())
    }

    /// Waits until every shard runs and takes commands. False if one stopped before it ran.
    pub async fn running(&self) -> bool {
        for mut published in self.watch() {
            // A shard publishes its counters as soon as it runs.
            if published.changed().await.is_err() {
                return false;
            }
        }
        true
    }

    /// Makes every shard read its sockets from now on. Called once the shards know the subscribers.
    pub async fn start_reading(&self) {
        self.broadcast(|| ShardCommand::StartReading).await;
    }

    /// The last snapshot of each shard.
    #[must_use]
    pub fn published(&self) -> Vec<ShardSnapshot> {
        let shown = |handle: &ShardHandle| handle.published.borrow().clone();
        self.0.iter().map(shown).collect()
    }

    /// Receivers of each shard's snapshots, one a second.
    #[must_use]
    pub fn watch(&self) -> Vec<watch::Receiver<ShardSnapshot>> {
        self.0
            .iter()
            .map(|handle| handle.published.clone())
            .collect()
    }

    /// Enters a mode; returns once every shard has entered the mode. A shard that does not answer
    /// within `ANSWER_TIMEOUT` enters the mode later.
    pub async fn enter(&self, mode: Mode) {
        self.ask_all_within(ANSWER_TIMEOUT, |done| ShardCommand::Enter(mode, done))
            .await;
    }

    /// Gives every shard its share of new settings, and new certificates. Requests under way keep
    /// the old ones. New requests use new connections to origins. Sockets stay.
    pub async fn reload(&self, gateway: &gateway::Config, tls: Tls) {
        let gateway = Arc::new(gateway.share(self.count()));
        self.broadcast(|| ShardCommand::Reload(Arc::clone(&gateway), tls.clone()))
            .await;
    }

    /// Gives every shard its share of new settings of WTLS. New handshakes use them.
    pub async fn reload_secure(&self, settings: &SecureSettings) {
        #[cfg(feature = "wtls")]
        let settings = &Arc::new(settings.share(self.count()));
        self.broadcast(|| ShardCommand::ReloadSecure(settings.clone()))
            .await;
    }

    /// Tells every shard which subscriber has which address; returns once every core has the
    /// changes.
    pub async fn identify(&self, changes: Arc<[Change]>) {
        self.ask_all(|done| ShardCommand::Identify(Arc::clone(&changes), done))
            .await;
    }

    /// Enters [`Mode::Draining`] and waits for `idle`.
    pub async fn drain(&self, timeout: Duration) -> bool {
        self.enter(Mode::Draining).await;
        self.idle(timeout).await
    }

    /// Waits until every shard has been idle once. False after the timeout.
    pub(super) async fn idle(&self, timeout: Duration) -> bool {
        let idle = self.wait_for(DrainCondition::Idle);
        tokio::time::timeout(timeout, idle).await.is_ok()
    }

    /// Waits until the upstream requests under way now have ended. False after the timeout.
    pub(super) async fn requests_answered(&self, timeout: Duration) -> bool {
        let answered = self.wait_for(DrainCondition::RequestsAnswered);
        tokio::time::timeout(timeout, answered).await.is_ok()
    }

    /// Ends every session, at a limited pace, and returns their number. `None` after the timeout:
    /// the remaining sessions get no Disconnect.
    pub(super) async fn disconnect_all(&self, timeout: Duration) -> Option<usize> {
        let disconnect_all = self.ask_all(ShardCommand::DisconnectAll);
        let ended = tokio::time::timeout(timeout, disconnect_all).await.ok()?;
        Some(ended.into_iter().sum())
    }

    /// How long it takes to end the present sessions. The shards work in parallel.
    pub(super) fn disconnect_all_takes(&self) -> Duration {
        let of =
            |handle: &ShardHandle| disconnect_all_takes(handle.published.borrow().stats.sessions);
        self.0.iter().map(of).max().unwrap_or_default()
    }

    async fn wait_for(&self, condition: DrainCondition) {
        self.ask_all(|answer| ShardCommand::NotifyWhen(condition, answer))
            .await;
    }

    /// Sends a command to one shard and waits for its answer. `None` if there is no such shard, or
    /// if it has stopped.
    async fn ask<T>(
        &self,
        shard: usize,
        command: impl FnOnce(oneshot::Sender<T>) -> ShardCommand,
    ) -> Option<T> {
        let handle = self.0.get(shard)?;
        let (sender, receiver) = oneshot::channel();
        handle.mailbox.send(command(sender)).await.ok()?;
        receiver.await.ok()
    }

    /// Sends a command to all shards and waits for their answers. Stopped shards give none. Dropped,
    /// the answers that are still owed are not wanted any more.
    async fn ask_all<T>(&self, command: impl Fn(oneshot::Sender<T>) -> ShardCommand) -> Vec<T> {
        let mut answers = Vec::new();
        for handle in self.0.iter() {
            let (sender, receiver) = oneshot::channel();
            if handle.mailbox.send(command(sender)).await.is_ok() {
                answers.push(receiver);
            }
        }
        let mut given = Vec::new();
        for answer in answers {
            given.extend(answer.await.ok());
        }
        given
    }

    /// Sends a command to all shards at the same time and returns the answers that come within
    /// `time`. The command comes to every shard, however long its mailbox is full.
    async fn ask_all_within<T: Send + 'static>(
        &self,
        time: Duration,
        command: impl Fn(oneshot::Sender<T>) -> ShardCommand,
    ) -> Vec<T> {
        let end = tokio::time::Instant::now() + time;
        let ask = |handle: &ShardHandle| {
            let mailbox = handle.mailbox.clone();
            let (sender, receiver) = oneshot::channel();
            let command = command(sender);
            tokio::spawn(async move {
                mailbox.send(command).await.ok()?;
                receiver.await.ok()
            })
        };
        let asked: Vec<_> = self.0.iter().map(ask).collect();
        let mut given = Vec::new();
        for asked in asked {
            if let Ok(Ok(Some(answer))) = tokio::time::timeout_at(end, asked).await {
                given.push(answer);
            }
        }
        given
    }

    /// Waits until a shard ends by itself: it panicked, or cannot use its sockets. Standard error
    /// has the reason. Its handsets are not served any more.
    pub async fn shard_failed(&self) {
        any_closed(self.watch()).await;
    }

    pub(super) async fn broadcast(&self, command: impl Fn() -> ShardCommand) {
        for handle in self.0.iter() {
            // A closed mailbox means that the shard has stopped.
            let _ = handle.mailbox.send(command()).await;
        }
    }
}

impl Shards {
    /// Begins to catch: every datagram that a shard reads after this is in the trace. A shard that
    /// does not answer within `ANSWER_TIMEOUT` begins later.
    pub async fn arm(&self, subscription: &TraceSubscription) {
        self.tap(TapCommand::Arm(subscription.clone())).await;
    }

    /// Ends the trace with this number.
    pub async fn disarm(&self, id: u64) {
        self.tap(TapCommand::Disarm(id)).await;
    }

    /// Gives the subscriber's session to every tap, so that its Resume is recognised at any shard.
    pub async fn follow_session(&self, id: u64, session: u32) {
        self.tap(TapCommand::Session(id, session)).await;
    }

    /// Gives another address of the subscriber to every tap.
    pub async fn follow_address(&self, id: u64, address: Address) {
        self.tap(TapCommand::Moved(id, address)).await;
    }

    async fn tap(&self, order: TapCommand) {
        self.ask_all_within(ANSWER_TIMEOUT, |done| {
            ShardCommand::Tap(order.clone(), done)
        })
        .await;
    }
}

/// Waits until one of the channels has no sender.
async fn any_closed(channels: Vec<watch::Receiver<ShardSnapshot>>) {
    let mut open: JoinSet<()> = channels
        .into_iter()
        .map(|mut channel| async move { while channel.changed().await.is_ok() {} })
        .collect();
    open.join_next().await;
}

/// The sums of the shards' counters.
#[must_use]
pub fn total(published: &[ShardSnapshot]) -> (Stats, SocketStats) {
    let mut stats = Stats::default();
    let mut shell = SocketStats::default();
    for shard in published {
        stats += shard.stats;
        shell += shard.sockets;
    }
    (stats, shell)
}

/// The counters of the routes, and the measurements lost, of all shards.
#[must_use]
pub fn routes(published: &[ShardSnapshot]) -> (BTreeMap<Arc<str>, RouteStats>, u64) {
    let mut routes: BTreeMap<Arc<str>, RouteStats> = BTreeMap::new();
    for (name, stats) in published.iter().flat_map(|shard| &shard.routes) {
        *routes.entry(Arc::clone(name)).or_default() += *stats;
    }
    let lost = published.iter().map(|shard| shard.measurements_lost).sum();
    (routes, lost)
}

/// The health of each host that routes name, over all shards.
#[must_use]
pub fn targets(published: &[ShardSnapshot]) -> Vec<Health> {
    let mut all: Vec<Health> = Vec::new();
    for target in published.iter().flat_map(|shard| &shard.targets) {
        match all.iter_mut().find(|known| known.host == target.host) {
            Some(known) => known.merge(target),
            None => all.push(target.clone()),
        }
    }
    all
}

/// How long a shard may take to answer. A shard under full load takes a few milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    /// A shard that executes no command and publishes this many sessions.
    fn stuck(sessions: u64) -> (Shards, mpsc::Receiver<ShardCommand>) {
        let (mailbox, commands) = mpsc::channel(1);
        let mut shown = ShardSnapshot::default();
        shown.stats.sessions = sessions;
        let (_, published) = watch::channel(shown);
        (
            Shards::new(
                vec![ShardHandle { mailbox, published }],
                LogIds::new(&[0; 16]),
            ),
            commands,
        )
    }

    #[tokio::test]
    async fn disconnecting_all_ends_though_a_shard_cannot_send() {
        let (shards, mut commands) = stuck(3_000_000);
        assert_eq!(shards.disconnect_all(Duration::from_millis(1)).await, None);
        // The rest is cancelled.
        assert!(matches!(
            commands.recv().await,
            Some(ShardCommand::DisconnectAll(answer)) if answer.is_closed()
        ));
        assert_eq!(shards.disconnect_all_takes(), Duration::from_secs(150));
    }

    #[tokio::test]
    async fn one_failed_shard_of_many_is_noticed() {
        let (alive, first) = watch::channel(ShardSnapshot::default());
        let (lost, second) = watch::channel(ShardSnapshot::default());
        let noticed = tokio::spawn(any_closed(vec![first, second]));
        alive.send_replace(ShardSnapshot::default());
        tokio::task::yield_now().await;
        assert!(!noticed.is_finished());
        drop(lost);
        noticed.await.unwrap();
    }
}
