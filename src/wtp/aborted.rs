//! Invokes we aborted after the user had seen them.
//!
//! The tables forget a transaction once an Abort is sent, but an Abort is not acknowledged: if it is lost, the
//! initiator repeats its Invoke, vouches for it when asked, and the user would see it a second time. So what
//! was aborted is remembered, and a repetition gets the same Abort again. What was given up for want of an
//! answer is remembered too, and a repetition gets nothing.

use std::hash::{Hash, Hasher};

use super::abort::AbortReason;
use super::config::Config;
use crate::random::{Keyed, Random};
use crate::table::Memory;
use crate::time::Instant;

/// What was aborted lately.
#[derive(Clone, Debug)]
pub(super) struct Aborted<K>(Memory<K, AbortReason, Instant, Keyed>);

impl<K: Copy + Eq + Hash> Aborted<K> {
    pub(super) fn new(seed: u64) -> Self {
        Self(Memory::new(Random::new(seed).hasher()))
    }

    /// Remembers an abort for as long as a TID is remembered, and as its initiator may repeat it.
    pub(super) fn remember(&mut self, now: Instant, key: K, reason: AbortReason, config: &Config) {
        self.0.forget_expired(now);
        let repeats = config.base_retry * (u32::from(config.max_retransmissions) + 1);
        let until = now + config.tid_lifetime.max(repeats * 2);
        self.0.remember(until, key, reason, config.max_aborted);
    }

    /// Why it was aborted, if it was.
    pub(super) fn reason(&mut self, now: Instant, key: K) -> Option<AbortReason> {
        self.0.forget_expired(now);
        self.0.get(&key).copied()
    }

    /// Feeds what is remembered to a hasher, oldest first.
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
