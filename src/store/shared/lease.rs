//! The lease of a node's name: one living process at a time has it.
//!
//! A process that is killed leaves its lease behind for [`LEASE`] at most. The next one of its name
//! waits for the end of the lease. A lease that is renewed meanwhile has a living holder.

use std::time::Duration;

use redis::{RedisError, RedisResult};
use tokio::time::sleep;

use super::exchange::millis;
use super::keys::Keys;
use super::link::Link;
use super::scripts;

/// A lease taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    /// The value of its key.
    text: String,
    /// The number of processes that had the name, this one among them.
    pub(super) epoch: u64,
}

/// The reason why a lease is not to be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    /// A living process has it: the lease in words.
    #[error("{0}")]
    Held(String),
    #[error("{0}")]
    Error(#[from] RedisError),
}

impl Lease {
    /// Takes the lease. Waits for the end of a dead process's lease.
    pub(super) async fn take(link: &mut Link, keys: &Keys) -> Result<Self, NotTaken> {
        let mut watch = Watch::default();
        loop {
            let (is_ours, text, number): (i64, String, i64) = scripts::TAKE_LEASE
                .key(keys.lease())
                .key(keys.node_epoch())
                .arg(holder())
                .arg(millis(LEASE))
                .arg(millis(EPOCH_AGE))
                .invoke_async(link)
                .await?;
            if is_ours == 1 {
                let epoch = u64::try_from(number).unwrap_or_default();
                return Ok(Self { text, epoch });
            }
            if watch.is_alive(&text, number) {
                return Err(NotTaken::Held(text));
            }
            sleep(POLL).await;
        }
    }

    /// Renews it, also after it lapsed. Returns the lease of another process that took it.
    pub(super) async fn renew(&self, link: &mut Link, keys: &Keys) -> RedisResult<Option<String>> {
        scripts::RENEW_LEASE
            .key(keys.lease())
            .arg(&self.text)
            .arg(millis(LEASE))
            .invoke_async(link)
            .await
    }

    /// Gives it back, so that the next process need not wait.
    pub(super) async fn release(&self, link: &mut Link, keys: &Keys) -> RedisResult<()> {
        scripts::UNBIND
            .key(keys.lease())
            .arg(&self.text)
            .invoke_async::<i64>(link)
            .await
            .map(|_| ())
    }
}

/// Tells a living holder from a dead one.
#[derive(Debug, Default)]
struct Watch {
    /// The lease when it was last seen, and the milliseconds it had left.
    last: Option<(String, i64)>,
}

impl Watch {
    /// Whether the lease was renewed, or taken by another process, since it was last seen.
    fn is_alive(&mut self, lease: &str, left: i64) -> bool {
        let before = self.last.replace((lease.to_owned(), left));
        before.is_some_and(|(before, less)| before != lease || left > less)
    }
}

/// The part of a lease after the epoch: where the process runs.
fn holder() -> String {
    let name = rustix::system::uname();
    let host = name.nodename().to_string_lossy();
    format!("{host}, process {}", std::process::id())
}

/// The lease in words, without the epoch.
pub(super) fn in_words(lease: &str) -> &str {
    lease.split_once(' ').map_or(lease, |(_, holder)| holder)
}

/// The time until the lease of a dead process lapses.
pub(super) const LEASE: Duration = Duration::from_secs(6);
/// The interval of renewals.
pub(super) const RENEWAL: Duration = Duration::from_secs(2);
/// The interval of looks at the lease of another process, shorter than that of its renewals.
const POLL: Duration = Duration::from_millis(500);
/// The time the epoch of an unused name is known.
const EPOCH_AGE: Duration = Duration::from_secs(30 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_only_runs_out_has_a_dead_holder() {
        let mut watch = Watch::default();
        for left in [6_000, 5_500, 5_000, 5_000, 100] {
            assert!(!watch.is_alive("4 gw, process 7", left));
        }
        assert!(watch.is_alive("4 gw, process 7", 6_000), "renewed");
        assert!(watch.is_alive("5 gw, process 8", 6_000), "taken");
        assert_eq!(in_words("5 gw, process 8"), "gw, process 8");
    }
}
