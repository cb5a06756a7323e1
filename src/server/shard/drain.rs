//! Commands that take a shard more than one turn: to report when it is drained, and to end every
//! session.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::gateway::{Command, Gateway};
use crate::time::Instant;

/// The condition that a drained shard has to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum DrainCondition {
    /// No transaction, exchange or claim is under way, and every datagram has been sent.
    Idle,
    /// The upstream requests that were under way when the command came have ended.
    RequestsAnswered,
}

/// The tasks that wait for a [`DrainCondition`].
#[derive(Default)]
pub(super) struct DrainWaiters(Vec<Waiter>);

struct Waiter {
    condition: DrainCondition,
    since: Instant,
    answer: oneshot::Sender<()>,
}

impl DrainWaiters {
    pub(super) fn add(
        &mut self,
        now: Instant,
        condition: DrainCondition,
        answer: oneshot::Sender<()>,
    ) {
        self.0.push(Waiter {
            condition,
            since: now,
            answer,
        });
    }

    /// Answers the waiters whose condition holds, and drops those that have given up.
    pub(super) fn notify(&mut self, gateway: &Gateway, all_sent: bool) {
        self.0
            .extract_if(.., |waiter| {
                waiter.answer.is_closed()
                    || match waiter.condition {
                        DrainCondition::Idle => all_sent && gateway.is_idle(),
                        DrainCondition::RequestsAnswered => gateway
                            .oldest_request()
                            .is_none_or(|oldest| oldest > waiter.since),
                    }
            })
            .for_each(|waiter| {
                let _ = waiter.answer.send(());
            });
    }
}

/// The disconnection of every session, under way.
pub(super) struct DisconnectAll {
    /// Sessions there were at the start.
    sessions: usize,
    answer: oneshot::Sender<usize>,
}

impl DisconnectAll {
    pub(super) fn new(gateway: &Gateway, answer: oneshot::Sender<usize>) -> Self {
        Self {
            sessions: gateway.sessions().len(),
            answer,
        }
    }

    /// Ends [`DISCONNECTS_AT_ONCE`] sessions. Returns `None` once no session is left, or the
    /// requester has given up.
    pub(super) fn step(self, gateway: &mut Gateway, now: Instant) -> Option<Self> {
        if self.answer.is_closed() {
            return None;
        }
        gateway.handle_command(now, Command::DisconnectAll(DISCONNECTS_AT_ONCE));
        if !gateway.sessions().is_empty() {
            return Some(self);
        }
        let _ = self.answer.send(self.sessions);
        None
    }
}

/// How long it takes to end this many sessions of one shard, as long as its sockets are never full.
pub(in crate::server) fn disconnect_all_takes(sessions: u64) -> Duration {
    let turns = sessions.div_ceil(DISCONNECTS_AT_ONCE as u64);
    DISCONNECT_INTERVAL.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX))
}

/// Pace of [`DisconnectAll`]: 20,000 sessions a second and shard, in datagrams of some ten octets.
const DISCONNECTS_AT_ONCE: usize = 200;
pub(super) const DISCONNECT_INTERVAL: Duration = Duration::from_millis(10);
