//! Schedule of requests: after each reply (closed loop), or at a fixed rate (open loop).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::time::Instant;

/// How requests follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// So many requests under way at a time, each followed by the next after a pause.
    Closed {
        /// Requests at a time.
        at_once: u32,
        /// The pause.
        think: Duration,
    },
    /// So many requests a second.
    Open {
        /// Each second.
        rate: f64,
    },
}

/// The handsets that take turns, and the times of their next requests.
///
/// The handset that was free longest is next. So with more handsets than requests under way, every
/// handset has its turn.
pub(super) struct Schedule {
    pace: Pace,
    free: VecDeque<u32>,
    /// Closed loop: when pauses have thought.
    pauses: BinaryHeap<Reverse<Instant>>,
    /// Open loop: the first intended start, and how many there were.
    began: Instant,
    arrivals: u64,
    /// Open loop: intended starts without a free handset so far.
    backlog: VecDeque<Instant>,
}

impl Schedule {
    /// Requests of these handsets, from `now` on.
    pub(super) fn new(pace: Pace, handsets: impl Iterator<Item = u32>, now: Instant) -> Self {
        let pauses = match pace {
            Pace::Closed { at_once, .. } => (0..at_once).map(|_| Reverse(now)).collect(),
            Pace::Open { .. } => BinaryHeap::new(),
        };
        Self {
            pace,
            free: handsets.collect(),
            pauses,
            began: now,
            arrivals: 0,
            backlog: VecDeque::new(),
        }
    }

    /// The next request to begin by `now`: its handset, and its intended start.
    pub(super) fn next(&mut self, now: Instant) -> Option<(u32, Instant)> {
        match self.pace {
            Pace::Closed { .. } => {
                if self.pauses.peek()?.0 > now || self.free.is_empty() {
                    return None;
                }
                self.pauses.pop();
                Some((self.free.pop_front()?, now))
            }
            Pace::Open { .. } => {
                while self.arrival() <= now {
                    self.backlog.push_back(self.arrival());
                    self.arrivals += 1;
                }
                let since = *self.backlog.front()?;
                let who = self.free.pop_front()?;
                self.backlog.pop_front();
                Some((who, since))
            }
        }
    }

    /// A request ended; after a failure the loop takes a breath, lest it turn in place.
    pub(super) fn ended(&mut self, now: Instant, who: u32, failed: bool) {
        self.free.push_back(who);
        if let Pace::Closed { think, .. } = self.pace {
            let pause = if failed { think.max(BREATH) } else { think };
            self.pauses.push(Reverse(now + pause));
        }
    }

    /// When [`next`](Self::next) has something to say by itself.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.pace {
            Pace::Closed { .. } => self.pauses.peek().map(|Reverse(at)| *at),
            Pace::Open { .. } => Some(self.arrival()),
        }
    }

    /// Intended starts before `end` without a free handset.
    pub(super) fn not_begun(&self, end: Instant) -> u64 {
        self.backlog.iter().filter(|since| **since < end).count() as u64
    }

    fn arrival(&self) -> Instant {
        match self.pace {
            Pace::Open { rate } => {
                self.began + Duration::from_secs_f64(self.arrivals as f64 / rate)
            }
            Pace::Closed { .. } => self.began,
        }
    }
}

const BREATH: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    #[test]
    fn in_a_closed_loop_the_next_begins_when_one_has_ended_and_thought() {
        let pace = Pace::Closed {
            at_once: 2,
            think: Duration::from_millis(10),
        };
        let mut load = Schedule::new(pace, 0..3, ms(0));
        assert_eq!(load.next(ms(0)), Some((0, ms(0))));
        assert_eq!(load.next(ms(0)), Some((1, ms(0))));
        assert_eq!(load.next(ms(5)), None);
        load.ended(ms(5), 0, false);
        assert_eq!(load.due(), Some(ms(15)));
        assert_eq!(load.next(ms(14)), None);
        assert_eq!(load.next(ms(15)), Some((2, ms(15))), "all take turns");
        load.ended(ms(15), 1, true);
        assert_eq!(load.due(), Some(ms(515)));
    }

    #[test]
    fn in_an_open_loop_a_stall_counts_for_all_that_should_have_begun() {
        let mut load = Schedule::new(Pace::Open { rate: 100.0 }, 0..2, ms(0));
        assert_eq!(load.next(ms(0)), Some((0, ms(0))));
        assert_eq!(load.due(), Some(ms(10)));
        assert_eq!(load.next(ms(35)), Some((1, ms(10))));
        assert_eq!(load.next(ms(35)), None, "nobody is free");
        load.ended(ms(50), 0, false);
        assert_eq!(load.next(ms(50)), Some((0, ms(20))));
        assert_eq!(load.not_begun(ms(45)), 2);
    }
}
