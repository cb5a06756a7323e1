//! Memory of transactions that this endpoint aborted after TR-Invoke.ind.
//!
//! The tables drop a transaction once its Abort is sent, but nothing acknowledges an Abort. After a
//! lost Abort the initiator repeats its Invoke and confirms its TID when asked, so the user would
//! see the request a second time. This memory gives a repeated Invoke the same Abort again. A
//! transaction that ended because the peer never answered is remembered too: its repeated Invoke
//! gets no answer.

use std::hash::{Hash, Hasher};

use super::abort::AbortReason;
use super::config::Config;
use crate::random::{Keyed, Random};
use crate::table::ExpiringMap;
use crate::time::Instant;

/// The latest aborted transactions.
#[derive(Clone, Debug)]
pub(super) struct Aborted<K>(ExpiringMap<K, AbortReason, Instant, Keyed>);

impl<K: Copy + Eq + Hash> Aborted<K> {
    pub(super) fn new(seed: u64) -> Self {
        Self(ExpiringMap::new(Random::new(seed).hasher()))
    }

    /// Remembers an abort for as long as a TID is remembered, and as its initiator may repeat it.
    pub(super) fn remember(&mut self, now: Instant, key: K, reason: AbortReason, config: &Config) {
        self.0.expire(now);
        let repeats = config.base_retry * (u32::from(config.max_retransmissions) + 1);
        let until = now + config.tid_lifetime.max(repeats * 2);
        self.0.insert(until, key, reason, config.max_aborted);
    }

    /// Why it was aborted, if it was.
    pub(super) fn reason(&mut self, now: Instant, key: K) -> Option<AbortReason> {
        self.0.expire(now);
        self.0.get(&key).copied()
    }

    /// Feeds the remembered transactions to a hasher, oldest first.
    pub(super) fn digest(&self, sink: &mut impl Hasher) {
        for (key, reason) in self.0.iter() {
            (key, Some(reason)).hash(sink);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn aborts_are_forgotten_with_time_and_number() {
        let config = Config {
            max_aborted: 2,
            ..Config::ip()
        };
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let mut aborted = Aborted::new(1);
        for key in 0..3 {
            aborted.remember(at(key), key, AbortReason::User(1), &config);
        }
        assert_eq!(aborted.reason(at(3), 0), None);
        assert_eq!(aborted.reason(at(3), 1), Some(AbortReason::User(1)));
        assert_eq!(aborted.reason(at(241), 1), None);
        assert_eq!(aborted.reason(at(241), 2), Some(AbortReason::User(1)));
    }
}
