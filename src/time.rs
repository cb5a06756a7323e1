//! Virtual time: the instants given to the core, and an index of wake-ups.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// An instant, in microseconds since the start of its clock.
///
/// The core never reads a clock: its caller gives the time. The clock of the simulator starts at
/// zero, the clock of the server at the start of the process.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The start of the clock.
    pub const ZERO: Self = Self(0);

    /// The moment `micros` microseconds after the start.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the start.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`; zero when `earlier` is in the future.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}s", Duration::from_micros(self.0).as_secs_f64())
    }
}

/// An index of wake-ups: the slots of a table and when to look at them.
///
/// The index holds no deadlines. A deadline is a field of the state it belongs to. When a wake-up
/// fires, the owner looks at the slot. If the slot is empty or its deadline has moved later, the
/// owner ignores the wake-up, or schedules it again. Disarming is therefore free. Only the earliest
/// wake-up of a slot counts. The clean-up removes the others, so that the index is never larger
/// than twice the table, at any traffic.
#[derive(Clone, Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Instant, u32)>>,
    /// Per slot the wake-up that counts, or [`NEVER`]; any other in the heap is stale.
    armed: Vec<Instant>,
}

impl Timers {
    /// An empty index.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            armed: Vec::new(),
        }
    }

    /// Asks for `slot` to come out of [`pop_due`](Self::pop_due) once it is `at`, unless it comes
    /// out earlier anyway.
    pub fn schedule(&mut self, at: Instant, slot: u32) {
        let place = slot as usize;
        if self.armed.len() <= place {
            self.armed.resize(place + 1, NEVER);
        }
        if let Some(armed) = self.armed.get_mut(place)
            && at < *armed
        {
            *armed = at;
            self.heap.push(Reverse((at, slot)));
            self.drop_stale();
        }
    }

    /// The next moment something may be due.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes one slot whose wake-up is due, earliest first, ties in the order of the slots.
    ///
    /// Memory of a burst is released once the index is nearly empty.
    pub fn pop_due(&mut self, now: Instant) -> Option<u32> {
        loop {
            if self.next()? > now {
                return None;
            }
            let Reverse((at, slot)) = self.heap.pop()?;
            if self.heap.capacity() > 1024 && self.heap.len() < self.heap.capacity() / 8 {
                self.heap.shrink_to(self.heap.capacity() / 4);
                while self.armed.pop_if(|armed| *armed == NEVER).is_some() {}
                self.armed.shrink_to(self.armed.len() * 2);
            }
            if let Some(armed) = self.armed.get_mut(slot as usize)
                && *armed == at
            {
                *armed = NEVER;
                return Some(slot);
            }
        }
    }

    /// Forgets the stale wake-ups once they are surely the greater part, which pays for looking at
    /// all.
    fn drop_stale(&mut self) {
        if self.heap.len() > 2 * self.armed.len() + FEW {
            let armed = (0..).zip(&self.armed);
            self.heap = armed
                .filter(|(_, at)| **at != NEVER)
                .map(|(slot, at)| Reverse((*at, slot)))
                .collect();
        }
    }
}

/// No wake-up is as late as this.
const NEVER: Instant = Instant(u64::MAX);

/// Number of stale wake-ups below which no clean-up is worth its time.
const FEW: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn wake_ups_come_out_in_order_and_not_before_their_time() {
        let mut timers = Timers::new();
        timers.schedule(at(3), 2);
        timers.schedule(at(1), 1);
        timers.schedule(at(1), 0);
        assert_eq!(timers.next(), Some(at(1)));
        assert_eq!(timers.pop_due(Instant::ZERO), None);
        assert_eq!(timers.pop_due(at(2)), Some(0));
        assert_eq!(timers.pop_due(at(2)), Some(1));
        assert_eq!(timers.pop_due(at(2)), None);
        assert_eq!(timers.pop_due(at(9)), Some(2));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_slot_comes_out_once_at_its_earliest_moment() {
        let mut timers = Timers::new();
        timers.schedule(at(5), 7);
        timers.schedule(at(2), 7);
        timers.schedule(at(4), 7);
        assert_eq!(timers.pop_due(at(9)), Some(7));
        assert_eq!(timers.pop_due(at(9)), None);
        timers.schedule(at(8), 7);
        assert_eq!(timers.pop_due(at(9)), Some(7));
    }

    #[test]
    fn traffic_through_one_slot_does_not_grow_the_index() {
        let mut timers = Timers::new();
        for second in 0..10_000 {
            timers.schedule(at(60 + second), 0);
        }
        assert_eq!(timers.heap.len(), 1);
    }

    #[test]
    fn wake_ups_that_were_outrun_do_not_pile_up() {
        let mut timers = Timers::new();
        for second in 0..10_000 {
            timers.schedule(at(100_000 + second), 0);
            timers.schedule(at(second), 0);
            assert_eq!(timers.pop_due(at(second)), Some(0));
        }
        assert!(timers.heap.len() <= 2 + FEW);
        timers.schedule(at(200_000), 0);
        assert_eq!(timers.pop_due(at(199_999)), None);
        assert_eq!(timers.pop_due(at(200_000)), Some(0));
    }

    #[test]
    fn memory_of_a_burst_is_given_back() {
        let mut timers = Timers::new();
        for slot in 0..100_000 {
            timers.schedule(at(1), slot);
        }
        while timers.pop_due(at(1)).is_some() {}
        assert!(timers.heap.capacity() < 10_000);
    }

    #[test]
    fn time_saturates_instead_of_wrapping() {
        assert_eq!(at(1) - at(2), Duration::ZERO);
        assert_eq!(
            Instant::from_micros(u64::MAX) + Duration::MAX,
            Instant::from_micros(u64::MAX)
        );
    }
}
