//! The transaction identifiers we give out (WTP 7.8.3.1).

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Instant;

/// The counter of 15-bit TIDs, global across peers, and a check that it does not run too fast.
#[derive(Clone, Debug, Hash)]
pub(super) struct TidCounter {
    next: u16,
    /// When each of the last sixteen runs of 1024 TIDs began.
    runs: VecDeque<Instant>,
    in_run: u16,
    /// The next TID of class 0. Peers do not compare it with earlier TIDs.
    next_unreliable: u16,
}

impl TidCounter {
    pub(super) fn new(seed: u64) -> Self {
        // Any start will do; one that differs from run to run keeps a restart from looking like a
        // replay.
        let mixed = (seed ^ 0x9E37_79B9_7F4A_7C15).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let [high, low, ..] = mixed.to_be_bytes();
        Self {
            next: u16::from_be_bytes([high, low]) & TID_MASK,
            runs: VecDeque::new(),
            in_run: RUN,
            next_unreliable: u16::from_le_bytes([high, low]) & TID_MASK,
        }
    }

    /// The next TID of class 0 that is not `taken`. It has no lifetime: a message of class 0 is
    /// neither repeated nor answered, and its TID is not compared with others.
    pub(super) fn next_unreliable(&mut self, taken: impl Fn(u16) -> bool) -> u16 {
        for _ in 0..=TID_MASK {
            self.next_unreliable = (self.next_unreliable + 1) & TID_MASK;
            if !taken(self.next_unreliable) {
                break;
            }
        }
        self.next_unreliable
    }

    /// The next TID that is not `taken`, unless 2^14 were used within `period`.
    pub(super) fn next(
        &mut self,
        now: Instant,
        period: Duration,
        taken: impl Fn(u16) -> bool,
    ) -> Option<u16> {
        if self.in_run >= RUN {
            if self.runs.len() >= RUNS {
                if self.runs.front().is_some_and(|&first| now - first < period) {
                    return None;
                }
                self.runs.pop_front();
            }
            self.runs.push_back(now);
            self.in_run = 0;
        }
        for _ in 0..=TID_MASK {
            let tid = self.next;
            self.next = (self.next + 1) & TID_MASK;
            self.in_run += 1;
            if !taken(tid) {
                return Some(tid);
            }
        }
        None
    }
}

const TID_MASK: u16 = 0x7FFF;

/// TIDs in a run, and runs remembered: 2^14 TIDs.
const RUN: u16 = 1024;
const RUNS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tids_follow_each_other_and_skip_those_in_use() {
        let mut counter = TidCounter::new(1);
        let mut next = |taken: Option<u16>| {
            let tid = counter.next(Instant::ZERO, Duration::ZERO, |tid| Some(tid) == taken);
            tid.expect("there are many")
        };
        let first = next(None);
        assert_eq!(next(Some((first + 1) & TID_MASK)), (first + 2) & TID_MASK);
        let rest: Vec<_> = (0..40_000).map(|_| next(None)).collect();
        assert!(rest.iter().all(|&tid| tid <= TID_MASK));
    }

    #[test]
    fn no_more_than_half_of_them_are_used_within_their_lifetime() {
        let mut counter = TidCounter::new(1);
        let lifetime = Duration::from_secs(240);
        let mut next = |seconds| {
            let now = Instant::ZERO + Duration::from_secs(seconds);
            counter.next(now, lifetime, |_| false)
        };
        assert!((0..1 << 14).all(|_| next(0).is_some()));
        assert_eq!(next(239), None);
        assert!(next(240).is_some());
    }

    #[test]
    fn those_of_class_0_are_as_many_as_are_wanted() {
        let mut counter = TidCounter::new(1);
        let taken = (counter.next_unreliable(|_| false) + 3) & TID_MASK;
        let given: Vec<u16> = (0..100_000)
            .map(|_| counter.next_unreliable(|tid| tid == taken))
            .collect();
        assert!(given.iter().all(|tid| *tid <= TID_MASK && *tid != taken));
        assert!((0..1 << 14).all(|_| {
            counter
                .next(Instant::ZERO, Duration::MAX, |_| false)
                .is_some()
        }));
    }
}
