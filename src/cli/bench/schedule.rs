//! Schedule of requests: after each reply (closed loop), or at a fixed rate (open loop).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::cli::bench::stages::{Stages, Unit};
use crate::time::Instant;

/// How requests follow each other.
#[derive(Clone, Debug)]
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
    /// Either of them, at a level that changes.
    Stages {
        /// The levels, and what they count.
        stages: Stages,
        /// The pause in a closed loop.
        think: Duration,
    },
}

impl Pace {
    /// Whether requests begin after replies, and not at times of their own.
    const fn is_closed(&self) -> bool {
        match self {
            Self::Closed { .. } => true,
            Self::Open { .. } => false,
            Self::Stages { stages, .. } => matches!(stages.unit, Unit::Handsets),
        }
    }
}

/// The handsets that take turns, and the times of their next requests.
///
/// The handset that was free longest is next. So with more handsets than requests under way, every
/// handset has its turn.
pub(super) struct Schedule {
    pace: Pace,
    free: VecDeque<u32>,
    /// The start of the load.
    began: Instant,
    /// Closed loop: when pauses have thought.
    pauses: BinaryHeap<Reverse<Instant>>,
    /// Closed loop: requests under way.
    under_way: u32,
    /// Open loop: how many intended starts there were.
    arrivals: u64,
    /// Open loop: intended starts without a free handset so far.
    backlog: VecDeque<Instant>,
}

impl Schedule {
    /// Requests of these handsets, from `now` on.
    pub(super) fn new(pace: Pace, handsets: impl Iterator<Item = u32>, now: Instant) -> Self {
        Self {
            pace,
            free: handsets.collect(),
            began: now,
            pauses: BinaryHeap::new(),
            under_way: 0,
            arrivals: 0,
            backlog: VecDeque::new(),
        }
    }

    /// The next request to begin by `now`: its handset, and its intended start.
    pub(super) fn next(&mut self, now: Instant) -> Option<(u32, Instant)> {
        if self.pace.is_closed() {
            let wanted = self.level(now);
            if self.free.is_empty() || self.under_way >= wanted {
                return None;
            }
            // A loop that the level has room for begins at once, others after their pause.
            if self.loops() >= wanted && self.pauses.peek()?.0 > now {
                return None;
            }
            if self.loops() >= wanted {
                self.pauses.pop();
            }
            self.under_way += 1;
            return Some((self.free.pop_front()?, now));
        }
        while let Some(arrival) = self.arrival().filter(|arrival| *arrival <= now) {
            self.backlog.push_back(arrival);
            self.arrivals += 1;
        }
        let since = *self.backlog.front()?;
        let who = self.free.pop_front()?;
        self.backlog.pop_front();
        Some((who, since))
    }

    /// A request ended; after a failure the loop takes a breath, lest it turn in place. A loop that
    /// the level has no room for any more ends.
    pub(super) fn ended(&mut self, now: Instant, who: u32, failed: bool) {
        self.free.push_back(who);
        let think = match &self.pace {
            Pace::Open { .. } => return,
            Pace::Closed { think, .. } | Pace::Stages { think, .. } => *think,
        };
        if !self.pace.is_closed() {
            return;
        }
        let has_room = self.loops() <= self.level(now);
        self.under_way = self.under_way.saturating_sub(1);
        if has_room {
            let pause = if failed { think.max(BREATH) } else { think };
            self.pauses.push(Reverse(now + pause));
        }
    }

    /// When [`next`](Self::next) has something to say by itself, after `now`.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        if !self.pace.is_closed() {
            return self.arrival().filter(|at| *at > now);
        }
        let pause = self.pauses.peek().map(|Reverse(at)| *at);
        let rise = match &self.pace {
            Pace::Stages { stages, .. } => stages.next_rise(now - self.began),
            _ => None,
        };
        let rise = rise.map(|elapsed| self.began + elapsed);
        [pause, rise]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .min()
    }

    /// Handsets that post at a time, by the plan.
    fn level(&self, now: Instant) -> u32 {
        match &self.pace {
            Pace::Closed { at_once, .. } => *at_once,
            Pace::Stages { stages, .. } => stages.level(now - self.began),
            Pace::Open { .. } => 0,
        }
    }

    /// Requests under way, and pauses between two.
    fn loops(&self) -> u32 {
        let pauses = u32::try_from(self.pauses.len()).unwrap_or(u32::MAX);
        self.under_way.saturating_add(pauses)
    }

    /// Intended starts before `end` without a free handset.
    pub(super) fn not_begun(&self, end: Instant) -> u64 {
        self.backlog.iter().filter(|since| **since < end).count() as u64
    }

    /// Open loop: the next intended start.
    fn arrival(&self) -> Option<Instant> {
        let elapsed = match &self.pace {
            Pace::Open { rate } => Some(Duration::from_secs_f64(self.arrivals as f64 / rate)),
            Pace::Stages { stages, .. } => stages.arrival(self.arrivals),
            Pace::Closed { .. } => None,
        };
        elapsed.map(|elapsed| self.began + elapsed)
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
        assert_eq!(load.due(ms(5)), Some(ms(15)));
        assert_eq!(load.next(ms(14)), None);
        assert_eq!(load.next(ms(15)), Some((2, ms(15))), "all take turns");
        load.ended(ms(15), 1, true);
        assert_eq!(load.due(ms(15)), Some(ms(515)));
    }

    #[test]
    fn in_an_open_loop_a_stall_counts_for_all_that_should_have_begun() {
        let mut load = Schedule::new(Pace::Open { rate: 100.0 }, 0..2, ms(0));
        assert_eq!(load.next(ms(0)), Some((0, ms(0))));
        assert_eq!(load.due(ms(0)), Some(ms(10)));
        assert_eq!(load.next(ms(35)), Some((1, ms(10))));
        assert_eq!(load.next(ms(35)), None, "nobody is free");
        load.ended(ms(50), 0, false);
        assert_eq!(load.next(ms(50)), Some((0, ms(20))));
        assert_eq!(load.not_begun(ms(45)), 2);
    }

    #[test]
    fn a_closed_loop_follows_its_stages_up_and_down() {
        let pace = Pace::Stages {
            stages: "2s:2,2s:0".parse().unwrap(),
            think: Duration::from_millis(100),
        };
        let mut load = Schedule::new(pace, 0..2, ms(0));
        assert_eq!((load.next(ms(0)), load.due(ms(0))), (None, Some(ms(1000))));
        assert_eq!(load.next(ms(1000)), Some((0, ms(1000))));
        assert_eq!(
            (load.next(ms(1000)), load.due(ms(1000))),
            (None, Some(ms(2000)))
        );
        load.ended(ms(1500), 0, false);
        assert_eq!(load.next(ms(1500)), None, "the loop thinks");
        assert_eq!(load.due(ms(1500)), Some(ms(1600)));
        assert_eq!(load.next(ms(1600)), Some((1, ms(1600))));
        assert_eq!(load.next(ms(2000)), Some((0, ms(2000))));
        // On the way down a loop that ends is not followed by another.
        load.ended(ms(2500), 0, false);
        assert_eq!(
            (load.next(ms(2700)), load.due(ms(2700))),
            (None, Some(ms(4000)))
        );
        load.ended(ms(2800), 1, false);
        assert_eq!(
            load.next(ms(2850)),
            None,
            "the pause of the loop that is left"
        );
        assert_eq!(load.next(ms(2900)), Some((0, ms(2900))));
        load.ended(ms(3100), 0, false);
        assert_eq!((load.next(ms(3900)), load.next(ms(5000))), (None, None));
    }

    #[test]
    fn an_open_loop_follows_its_stages_and_ends() {
        let pace = Pace::Stages {
            stages: "0:4/s,1s:4/s".parse().unwrap(),
            think: Duration::ZERO,
        };
        let mut load = Schedule::new(pace, 0..9, ms(0));
        let mut starts = Vec::new();
        let mut now = ms(0);
        loop {
            starts.extend(std::iter::from_fn(|| load.next(now)).map(|(_, since)| since));
            match load.due(now) {
                Some(next) => now = next,
                None => break,
            }
        }
        assert_eq!(starts, [ms(0), ms(250), ms(500), ms(750)]);
    }
}
