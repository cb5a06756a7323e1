//! The phases: connect, hold, use, release.

use std::io::{self, IsTerminal};
use std::time::Duration;

use crate::cli::bench::event::Event;
use crate::cli::bench::link::Link;
use crate::cli::bench::pool::HandsetPool;
use crate::cli::bench::report::PhaseStats;
use crate::cli::bench::schedule::{Pace, Schedule};
use crate::cli::bench::secure::SecureHandsets;
use crate::server::clock::Clock;
use crate::time::Instant;

/// Handsets on the air.
pub(super) struct Stage {
    pub(super) clock: Clock,
    pub(super) link: Link,
    pub(super) pool: HandsetPool,
    pub(super) progress: Progress,
    /// What is between the pool and the link, with `--secure`.
    pub(super) secure: Option<SecureHandsets>,
}

/// When posting ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    /// After so long.
    Time(Duration),
    /// After so many transactions.
    Count(u64),
}

/// How the load is run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) pace: Pace,
    pub(super) warm_up: Duration,
    pub(super) until: Until,
    /// Octets every answer must have, where that is known.
    pub(super) reply_size: Option<usize>,
}

/// The result of the load.
pub(super) struct LoadResult {
    pub(super) stats: PhaseStats,
    pub(super) time: Duration,
    pub(super) not_begun: u64,
}

impl Stage {
    /// Connects these handsets, so many at a time.
    pub(super) fn connect(
        &mut self,
        handsets: std::ops::Range<u32>,
        at_once: u32,
    ) -> io::Result<(PhaseStats, Duration)> {
        let began = self.clock.now();
        let all = handsets.len();
        let mut stats = PhaseStats::new();
        let mut waiting = handsets;
        let mut under_way = 0;
        loop {
            let now = self.clock.now();
            while under_way < at_once
                && let Some(who) = waiting.next()
            {
                under_way += 1;
                self.pool.connect(now, who, now);
            }
            self.flush(now)?;
            while let Some(event) = self.pool.poll_event() {
                under_way = under_way.saturating_sub(1);
                match event {
                    Event::Connected { since, .. } => stats.done(since, self.clock.now()),
                    Event::Failed { cause, .. } => stats.failed(cause),
                    Event::Replied { .. } => {}
                }
            }
            if under_way == 0 && waiting.is_empty() {
                return Ok((stats, self.clock.now() - began));
            }
            if under_way == 0 || !waiting.is_empty() && under_way < at_once {
                continue;
            }
            let (done, failed) = (stats.done, stats.failures());
            self.progress.show(now, || {
                format!("connected {done} of {all}, {failed} failed")
            });
            self.turn(None)?;
        }
    }

    /// Stays on the air without wanting anything.
    pub(super) fn hold(&mut self, time: Duration) -> io::Result<()> {
        let until = self.clock.now() + time;
        while self.clock.now() < until {
            self.turn(Some(until))?;
            let left = until - self.clock.now();
            self.progress
                .show(self.clock.now(), || format!("holding for {left:.0?} more"));
        }
        Ok(())
    }

    /// Posts. `measuring` is called when the clock starts to run, and when it stops.
    pub(super) fn load(
        &mut self,
        plan: &Plan,
        handsets: std::ops::Range<u32>,
        mut measuring: impl FnMut(),
    ) -> io::Result<LoadResult> {
        let start = self.clock.now();
        let from = start + plan.warm_up;
        let mut to = match plan.until {
            Until::Time(time) => Some(from + time),
            Until::Count(_) => None,
        };
        let mut load = Schedule::new(plan.pace, handsets, start);
        let mut stats = PhaseStats::new();
        let (mut under_way, mut begun) = (0_u64, 0_u64);
        let (mut started, mut stopped) = (false, None);
        loop {
            let now = self.clock.now();
            if !started && now >= from {
                started = true;
                measuring();
            }
            if stopped.is_none() && to.is_some_and(|to| now >= to) {
                stopped = Some(now);
                measuring();
            }
            while stopped.is_none()
                && !matches!(plan.until, Until::Count(count) if begun >= count)
                && let Some((who, since)) = load.next(now)
            {
                under_way += 1;
                begun += u64::from(since >= from);
                match self.pool.is_ready(who) {
                    true => self.pool.post(now, who, since),
                    false => self.pool.connect(now, who, since),
                }
            }
            self.flush(now)?;
            let mut ended = false;
            while let Some(event) = self.pool.poll_event() {
                let now = self.clock.now();
                let (who, since, wrong) = match event {
                    // Its session was lost, and now it can go on.
                    Event::Connected { who, since } => {
                        self.pool.post(now, who, since);
                        continue;
                    }
                    Event::Replied {
                        who,
                        since,
                        status,
                        octets,
                    } => (who, since, wrong(status, octets, plan.reply_size)),
                    Event::Failed { who, since, cause } => (who, since, Some(cause)),
                };
                ended = true;
                under_way = under_way.saturating_sub(1);
                load.ended(now, who, wrong.is_some());
                if since >= from && to.is_none_or(|to| since < to) {
                    match wrong {
                        None => stats.done(since, now),
                        Some(cause) => stats.failed(cause),
                    }
                }
                if started && stopped.is_none() {
                    stats.in_time += 1;
                }
            }
            if let Until::Count(count) = plan.until
                && stopped.is_none()
                && stats.done + stats.failures() >= count
            {
                let now = self.clock.now();
                (stopped, to) = (Some(now), Some(now));
                measuring();
            }
            if stopped.is_some() && under_way == 0 {
                break;
            }
            if ended {
                continue;
            }
            let (done, failed) = (stats.done, stats.failures());
            self.progress.show(now, || {
                format!("{done} transactions, {failed} failed, {under_way} under way")
            });
            let next = match stopped {
                None => [
                    load.due().filter(|at| *at > now),
                    to,
                    (!started).then_some(from),
                ]
                .into_iter()
                .flatten()
                .min(),
                Some(_) => None,
            };
            self.turn(next)?;
        }
        let end = to.unwrap_or(from);
        Ok(LoadResult {
            time: stopped.unwrap_or(end) - from,
            not_begun: load.not_begun(end),
            stats,
        })
    }

    /// Ends the sessions of these handsets, at a rate that a gateway can follow: Disconnects have
    /// no confirmation.
    pub(super) fn release(&mut self, handsets: std::ops::Range<u32>) -> io::Result<()> {
        let all = handsets.len();
        for (done, who) in handsets.enumerate() {
            let now = self.clock.now();
            self.pool.disconnect(now, who);
            self.flush(now)?;
            if done % RELEASED_AT_ONCE == RELEASED_AT_ONCE - 1 {
                self.progress
                    .show(now, || format!("released {done} of {all}"));
                let until = now + RELEASE_PAUSE;
                while self.clock.now() < until {
                    self.turn(Some(until))?;
                }
            }
        }
        Ok(())
    }

    /// Waits for a datagram, a timer or `until`, and handles it.
    fn turn(&mut self, until: Option<Instant>) -> io::Result<()> {
        let secure = self.secure.as_ref().and_then(SecureHandsets::poll_timeout);
        let wake = [until, self.pool.poll_timeout(), self.link.due(), secure]
            .into_iter()
            .flatten()
            .min();
        let now = self.clock.now();
        let longest = now + LONGEST_WAIT;
        self.link.wait(wake.unwrap_or(longest).min(longest) - now)?;
        let now = self.clock.now();
        let Self {
            link, pool, secure, ..
        } = self;
        let mut hear = |who, octets: &[u8]| match secure {
            Some(secure) => secure.handle_datagram(now, who, octets, |plain| {
                pool.handle_datagram(now, who, plain);
            }),
            None => pool.handle_datagram(now, who, octets),
        };
        link.receive(now, &mut hear)?;
        link.deliver(now, &mut hear)?;
        if let Some(secure) = secure {
            secure.handle_timeout(now);
        }
        if pool.poll_timeout().is_some_and(|at| at <= now) {
            pool.handle_timeout(now);
        }
        self.flush(now)
    }

    /// Sends the handsets' datagrams.
    fn flush(&mut self, now: Instant) -> io::Result<()> {
        let mut buf = Vec::with_capacity(2048);
        while let Some(who) = self.pool.poll_transmit(&mut buf) {
            match &mut self.secure {
                Some(secure) => secure.send(now, who, &buf)?,
                None => self.link.send(now, who, &buf)?,
            }
            buf.clear();
        }
        while let Some((who, datagram)) =
            self.secure.as_mut().and_then(SecureHandsets::poll_transmit)
        {
            self.link.send(now, who, &datagram)?;
        }
        Ok(())
    }
}

/// The error in a reply.
fn wrong(status: u16, octets: usize, expected: Option<usize>) -> Option<String> {
    match expected {
        _ if status != 200 => Some(format!("status {status}")),
        Some(expected) if octets != expected => Some(format!(
            "an answer of {octets} octets instead of {expected}"
        )),
        _ => None,
    }
}

/// A line on standard error now and then.
pub(super) struct Progress {
    quiet: bool,
    next: Instant,
}

impl Progress {
    /// Prints no progress when `quiet`.
    pub(super) const fn new(quiet: bool) -> Self {
        Self {
            quiet,
            next: Instant::ZERO,
        }
    }

    fn show(&mut self, now: Instant, words: impl FnOnce() -> String) {
        if self.quiet || now < self.next {
            return;
        }
        if self.next > Instant::ZERO {
            eprintln!("{:>6.1} s: {}", now.as_micros() as f64 / 1e6, words());
        }
        self.next = now
            + match io::stderr().is_terminal() {
                true => Duration::from_secs(1),
                false => Duration::from_secs(5),
            };
    }
}

const RELEASED_AT_ONCE: usize = 64;
const RELEASE_PAUSE: Duration = Duration::from_millis(4);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
