//! Notifications to the service manager (sd_notify(3)): the gateway is ready, its current activity,
//! and that every shard is alive.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tracing::debug;

use crate::server::{ShardSnapshot, Shards, State};

/// Every socket is bound and every shard runs; or a reload is over.
pub(super) fn ready(state: State) {
    notify(&[NotifyState::Ready, NotifyState::Status(&status(state))]);
}

/// A reload has begun. [`ready`] follows, after success or failure.
pub(super) fn reloading() {
    // Without the moment systemd could not tell this reload from the one before.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, now]);
    }
}

/// The state that a command asked for.
pub(super) fn entered(state: State) {
    notify(&[NotifyState::Status(&status(state))]);
}

/// We are on the way out, and shall be for so long at most.
pub(super) fn stopping(timeout: Duration) {
    let microseconds = timeout.saturating_add(TO_CLOSE).as_micros();
    notify(&[
        NotifyState::Stopping,
        NotifyState::Status("Stopping: running exchanges finish"),
        NotifyState::ExtendTimeoutUsec(u32::try_from(microseconds).unwrap_or(u32::MAX)),
    ]);
}

/// Feeds the watchdog, if there is one, as long as every shard is alive. A shard that hangs serves
/// no handsets. If this thread hangs, it does not feed either.
pub(super) async fn feed_watchdog(shards: Shards) {
    if sd_notify::watchdog_enabled().is_some() {
        feed(shards.watch(), || notify(&[NotifyState::Watchdog])).await;
    }
}

/// Feeds whenever every shard has shown its counters once more, so about once a second.
async fn feed(mut shards: Vec<watch::Receiver<ShardSnapshot>>, food: impl Fn()) {
    loop {
        for shard in &mut shards {
            if shard.changed().await.is_err() {
                // It is gone, and so shall we be.
                return;
            }
        }
        food();
    }
}

fn status(state: State) -> String {
    match state {
        State::Starting => "Starting",
        State::Running => "Running",
        State::Isolated => "Isolated: serving sessions, taking no new ones",
        State::Draining => "Draining: running exchanges finish, new requests are refused",
    }
    .to_owned()
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        debug!(%error, "the service manager does not listen");
    }
}

/// Time to close: threads stop, files close, and exchanges end that began after the announcement of
/// the remaining time.
const TO_CLOSE: Duration = Duration::from_secs(90);

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[tokio::test]
    async fn a_shard_that_hangs_starves_the_watchdog() {
        let (lively, first) = watch::channel(ShardSnapshot::default());
        let (hanging, second) = watch::channel(ShardSnapshot::default());
        let fed = Rc::new(Cell::new(0));
        let counter = Rc::clone(&fed);
        let mut feeding =
            std::pin::pin!(feed(vec![first, second], || counter.set(counter.get() + 1)));
        let mut turn = async || {
            tokio::select! {
                biased;
                () = &mut feeding => panic!("both live"),
                () = std::future::ready(()) => {}
            }
        };
        for round in 1..=3 {
            lively.send_replace(ShardSnapshot::default());
            hanging.send_replace(ShardSnapshot::default());
            turn().await;
            assert_eq!(fed.get(), round);
        }
        for _ in 0..100 {
            lively.send_replace(ShardSnapshot::default());
            turn().await;
        }
        assert_eq!(fed.get(), 3, "the other one has shown nothing");
        hanging.send_replace(ShardSnapshot::default());
        turn().await;
        assert_eq!(fed.get(), 4, "it lives again");
    }
}
