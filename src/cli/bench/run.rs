//! The phases: connect, hold, use, release.

use std::io;
use std::time::Duration;

use crate::cli::bench::csv::CsvFile;
use crate::cli::bench::event::Event;
use crate::cli::bench::link::Link;
use crate::cli::bench::measurement::{Exchange, Figures, Measurement};
use crate::cli::bench::pool::HandsetPool;
use crate::cli::bench::progress::Progress;
use crate::cli::bench::report::{PhaseStats, micros};
use crate::cli::bench::schedule::{Pace, Schedule};
use crate::cli::bench::secure::SecureHandsets;
use crate::cli::bench::stages::Stages;
use crate::cli::bench::view::{LoadView, View};
use crate::server::clock::Clock;
use crate::time::Instant;

/// Handsets on the air.
pub(super) struct Runner {
    pub(super) clock: Clock,
    pub(super) link: Link,
    pub(super) pool: HandsetPool,
    pub(super) progress: Progress,
    /// The gateway and the URI, for the screen.
    pub(super) title: String,
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
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) pace: Pace,
    pub(super) warm_up: Duration,
    pub(super) until: Until,
    /// Octets every answer must have, where that is known.
    pub(super) reply_size: Option<usize>,
}

/// The result of the load.
pub(super) struct LoadResult {
    pub(super) figures: Figures,
    pub(super) time: Duration,
    pub(super) not_begun: u64,
    /// Requests under way when the run was interrupted.
    pub(super) unfinished: u64,
}

impl Plan {
    fn stages(&self) -> Option<&Stages> {
        match &self.pace {
            Pace::Stages { stages, .. } => Some(stages),
            Pace::Closed { .. } | Pace::Open { .. } => None,
        }
    }

    /// What is under way at this time after the start of the clock, in words.
    fn words(&self, elapsed: Duration, stats: &PhaseStats, under_way: u64) -> String {
        let (done, failed) = (stats.done, stats.failures());
        let words = format!("{done} transactions, {failed} failed, {under_way} under way");
        let position = self
            .stages()
            .and_then(|stages| Some((stages, stages.position(elapsed)?)));
        match position {
            Some((stages, position)) => format!(
                "stage {} of {} to {} {} in {:?}: {words}",
                position.number + 1,
                stages.iter().count(),
                position.stage.target,
                stages.unit.name(),
                position.stage.time
            ),
            None => words,
        }
    }

    /// How much of the load is over, of 1.
    fn share(&self, elapsed: Duration, ended: u64) -> f64 {
        match self.until {
            Until::Time(time) => elapsed.as_secs_f64() / time.as_secs_f64().max(f64::MIN_POSITIVE),
            Until::Count(count) => ended as f64 / count.max(1) as f64,
        }
    }
}

impl Runner {
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
            if self.progress.interrupts() > 0 {
                return Ok((stats, now - began));
            }
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
            self.progress.show(now, || View {
                title: &self.title,
                words: format!("connected {done} of {all}, {failed} failed"),
                share: Some((done + failed) as f64 / all.max(1) as f64),
                load: None,
            });
            self.turn(None)?;
        }
    }

    /// Stays on the air without wanting anything.
    pub(super) fn hold(&mut self, time: Duration) -> io::Result<()> {
        let until = self.clock.now() + time;
        while self.clock.now() < until && self.progress.interrupts() == 0 {
            self.turn(Some(until))?;
            let left = until - self.clock.now();
            self.progress.show(self.clock.now(), || View {
                title: &self.title,
                words: format!("holding for {left:.0?} more"),
                share: Some(1.0 - left.as_secs_f64() / time.as_secs_f64().max(f64::MIN_POSITIVE)),
                load: None,
            });
        }
        Ok(())
    }

    /// Posts. `measuring` is called when the clock starts to run, and when it stops. An interrupt
    /// stops it at once, whatever is under way.
    pub(super) fn load(
        &mut self,
        plan: &Plan,
        handsets: std::ops::Range<u32>,
        csv: Option<CsvFile>,
        mut measuring: impl FnMut(),
    ) -> io::Result<LoadResult> {
        let start = self.clock.now();
        let from = start + plan.warm_up;
        let mut to = match plan.until {
            Until::Time(time) => Some(from + time),
            Until::Count(_) => None,
        };
        let mut load = Schedule::new(plan.pace.clone(), handsets, start);
        let mut measured = Measurement::new(from, plan.stages(), csv);
        let before = self.pool.stats();
        let (mut under_way, mut begun) = (0_u64, 0_u64);
        let (mut started, mut stopped) = (false, None);
        let mut interrupted = false;
        loop {
            let now = self.clock.now();
            if self.progress.interrupts() > 0 {
                interrupted = true;
                if stopped.is_none() {
                    // Both calls, also before the clock started.
                    if !started {
                        measuring();
                    }
                    measuring();
                    let end = now.max(from);
                    (stopped, to) = (Some(end), Some(to.map_or(end, |to| to.min(end))));
                }
                break;
            }
            if !started && now >= from {
                started = true;
                measuring();
            }
            if stopped.is_none() && to.is_some_and(|to| now >= to) {
                stopped = Some(now);
                measuring();
            }
            if started && stopped.is_none() {
                measured.timeline.advance(now, under_way);
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
                let exchange = match event {
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
                    } => Exchange {
                        who,
                        since,
                        status: Some(status),
                        octets,
                        wrong: wrong(status, octets, plan.reply_size),
                    },
                    Event::Failed { who, since, cause } => Exchange {
                        who,
                        since,
                        status: None,
                        octets: 0,
                        wrong: Some(cause),
                    },
                };
                ended = true;
                under_way = under_way.saturating_sub(1);
                load.ended(now, exchange.who, exchange.wrong.is_some());
                if started && stopped.is_none() {
                    measured.stats.in_time += 1;
                    measured.timeline.advance(now, under_way);
                    match exchange.wrong {
                        None => measured.timeline.done(micros(exchange.since, now)),
                        Some(_) => measured.timeline.failed(),
                    }
                }
                if exchange.since >= from && to.is_none_or(|to| exchange.since < to) {
                    measured.ended(now, exchange);
                }
            }
            if let Until::Count(count) = plan.until
                && stopped.is_none()
                && measured.stats.done + measured.stats.failures() >= count
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
            let stats = self.pool.stats();
            self.progress.show(now, || {
                let elapsed = stopped.unwrap_or(now) - from;
                let ended = measured.stats.done + measured.stats.failures();
                View {
                    title: &self.title,
                    words: plan.words(elapsed, &measured.stats, under_way),
                    share: Some(plan.share(elapsed, ended)),
                    load: Some(LoadView {
                        measurement: &measured,
                        elapsed,
                        under_way,
                        repeats: (
                            stats.retransmissions - before.retransmissions,
                            stats.duplicates - before.duplicates,
                        ),
                    }),
                }
            });
            let next = match stopped {
                None => [load.due(now), to, (!started).then_some(from)]
                    .into_iter()
                    .flatten()
                    .min(),
                Some(_) => None,
            };
            self.turn(next)?;
        }
        let end = to.unwrap_or(from);
        let stopped = stopped.unwrap_or(end);
        Ok(LoadResult {
            time: stopped - from,
            not_begun: load.not_begun(end),
            unfinished: if interrupted { under_way } else { 0 },
            figures: measured.finish(stopped, under_way),
        })
    }

    /// Ends the sessions of these handsets, at a rate that a gateway can follow: Disconnects have
    /// no confirmation.
    pub(super) fn release(&mut self, handsets: std::ops::Range<u32>) -> io::Result<()> {
        let all = handsets.len();
        let before = self.progress.interrupts();
        for (done, who) in handsets.enumerate() {
            let now = self.clock.now();
            // A second interrupt leaves the other sessions to the gateway.
            if self.progress.interrupts() > before {
                return Ok(());
            }
            self.pool.disconnect(now, who);
            self.flush(now)?;
            if done % RELEASED_AT_ONCE == RELEASED_AT_ONCE - 1 {
                self.progress.show(now, || View {
                    title: &self.title,
                    words: format!("released {done} of {all}"),
                    share: Some(done as f64 / all.max(1) as f64),
                    load: None,
                });
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

const RELEASED_AT_ONCE: usize = 64;
const RELEASE_PAUSE: Duration = Duration::from_millis(4);
/// Keys and signals wait no longer.
const LONGEST_WAIT: Duration = Duration::from_millis(200);
