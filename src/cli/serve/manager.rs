//! The service manager that started us, if it listens (sd_notify(3)): when we are ready, what we are doing, and that
//! every shard is alive.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tracing::debug;

use crate::server::{Published, Shards, State};

/// Every socket is bound and every shard runs; or a reload is over.
pub(super) fn ready(state: State) {
    tell(&[NotifyState::Ready, NotifyState::Status(&status(state))]);
}

/// SIGHUP is being obeyed. Followed by [`ready`], whatever comes of it.
pub(super) fn reloading() {
    // Without the moment systemd could not tell this reload from the one before.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// What we were told to be.
pub(super) fn entered(state: State) {
    tell(&[NotifyState::Status(&status(state))]);
}

/// We are on the way out, and shall be for so long at most.
pub(super) fn stopping(patience: Duration) {
    let microseconds = patience.saturating_add(TO_CLOSE).as_micros();
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("Stopping: finishing what is under way"),
        NotifyState::ExtendTimeoutUsec(u32::try_from(microseconds).unwrap_or(u32::MAX)),
    ]);
}

/// Feeds the watchdog, if there is one, for as long as every shard shows that it lives. A shard that hangs has
/// handsets with nobody to talk to; so has this thread, which would then not feed either.
pub(super) async fn feed_watchdog(shards: Shards) {
    if sd_notify::watchdog_enabled().is_some() {
        feed(shards.watch(), || tell(&[NotifyState::Watchdog])).await;
    }
}

/// Feeds whenever every shard has shown its counters once more, so about once a second.
async fn feed(mut shards: Vec<watch::Receiver<Published>>, food: impl Fn()) {
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
        State::Draining => "Draining: finishing what is under way, taking nothing new",
    }
    .to_owned()
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        debug!(%error, "the service manager does not listen");
    }
}

/// What may be left to do when nobody is served any more: threads to stop, files to close. And what has begun since we
/// said how long it will take.
const TO_CLOSE: Duration = Duration::from_secs(90);

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[tokio::test]
    async fn a_shard_that_hangs_starves_the_watchdog() {
        let (lively, first) = watch::channel(Published::default());
        let (hanging, second) = watch::channel(Published::default());
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
            lively.send_replace(Published::default());
            hanging.send_replace(Published::default());
            turn().await;
            assert_eq!(fed.get(), round);
        }
        for _ in 0..100 {
            lively.send_replace(Published::default());
            turn().await;
        }
        assert_eq!(fed.get(), 3, "the other one has shown nothing");
        hanging.send_replace(Published::default());
        turn().await;
        assert_eq!(fed.get(), 4, "it lives again");
    }
}
