//! Levels of load over time: constant, or a ramp of stages.

use std::str::FromStr;
use std::time::Duration;

use crate::config::duration;

/// What a level counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Handsets that post at a time: a closed loop.
    Handsets,
    /// Requests a second: an open loop.
    PerSecond,
}

impl Unit {
    /// The unit in words.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Handsets => "handsets",
            Self::PerSecond => "requests a second",
        }
    }
}

/// One stage: from the level of the stage before, or from 0, in a straight line to its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    /// How long the way takes; zero is a jump.
    pub(super) time: Duration,
    /// The level at the end.
    pub(super) target: u32,
}

/// Stages, one after the other, from level 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stages {
    /// What the levels count.
    pub(super) unit: Unit,
    stages: Vec<Stage>,
}

/// A stage that is under way: its number from 0, its first level, and how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) number: usize,
    pub(super) from: u32,
    pub(super) stage: Stage,
    elapsed: Duration,
}

impl Stages {
    /// The time of all of them.
    pub(super) fn time(&self) -> Duration {
        self.stages.iter().map(|stage| stage.time).sum()
    }

    /// The highest level.
    pub(super) fn peak(&self) -> u32 {
        let targets = self.stages.iter().map(|stage| stage.target);
        targets.max().unwrap_or(0)
    }

    /// Every stage with its first level.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Stage)> {
        let before = self.stages.iter().map(|stage| stage.target);
        std::iter::once(0)
            .chain(before)
            .zip(self.stages.iter().copied())
    }

    /// The stage at this time after the start; after the end the last one.
    pub(super) fn position(&self, elapsed: Duration) -> Option<Position> {
        let mut start = Duration::ZERO;
        let mut last = None;
        for (number, (from, stage)) in self.iter().enumerate() {
            let position = Position {
                number,
                from,
                stage,
                elapsed: elapsed.saturating_sub(start).min(stage.time),
            };
            start += stage.time;
            last = Some(position);
            if elapsed < start {
                break;
            }
        }
        last
    }

    /// The whole level at this time.
    pub(super) fn level(&self, elapsed: Duration) -> u32 {
        self.position(elapsed)
            .map_or(0, |position| position.level())
    }

    /// When the level rises next, if that is within the stage that is under way, or else when that
    /// stage ends.
    pub(super) fn next_rise(&self, elapsed: Duration) -> Option<Duration> {
        let position = self.position(elapsed)?;
        let Stage { time, target } = position.stage;
        let start = elapsed.saturating_sub(position.elapsed);
        if elapsed >= start + time {
            return None;
        }
        let next = u64::from(position.level()) + 1;
        let rise = u64::from(target.saturating_sub(position.from));
        let ahead = next.saturating_sub(position.from.into());
        if rise == 0 || ahead > rise {
            return Some(start + time);
        }
        // Rounded up: the level is there at this time, not a microsecond later.
        let micros = (time.as_micros() * u128::from(ahead)).div_ceil(rise.into());
        Some(start + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)))
    }

    /// When so many things have begun, at a rate that is the level; `None` if the stages have no
    /// room for so many.
    pub(super) fn arrival(&self, count: u64) -> Option<Duration> {
        let mut start = Duration::ZERO;
        let mut left = count as f64;
        for (from, Stage { time, target }) in self.iter() {
            let (from, to, seconds) = (f64::from(from), f64::from(target), time.as_secs_f64());
            let area = (from + to) / 2.0 * seconds;
            if left < area {
                // from t + (to - from) t² / 2 seconds = left, in the form without cancellation.
                let bend = (to - from) / seconds;
                let root = from.mul_add(from, 2.0 * bend * left).max(0.0).sqrt();
                let at = if left > 0.0 {
                    2.0 * left / (from + root)
                } else {
                    0.0
                };
                return Some(start + Duration::from_secs_f64(at.clamp(0.0, seconds)));
            }
            left -= area;
            start += time;
        }
        None
    }
}

impl Position {
    fn level(&self) -> u32 {
        let Stage { time, target } = self.stage;
        if self.elapsed >= time {
            return target;
        }
        let (part, whole) = (self.elapsed.as_micros(), time.as_micros().max(1));
        let way = u128::from(self.from.abs_diff(target)) * part;
        // Downwards the level falls as soon as the line is below it.
        let steps = match target >= self.from {
            true => way / whole,
            false => way.div_ceil(whole),
        };
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        match target >= self.from {
            true => self.from.saturating_add(steps),
            false => self.from.saturating_sub(steps),
        }
    }
}

impl FromStr for Stages {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.split(',').map(str::trim).collect();
        if parts.len() > MOST_STAGES {
            return Err(format!("at most {MOST_STAGES} stages"));
        }
        let mut units = Vec::new();
        let mut stages = Vec::new();
        for part in parts {
            let form = || {
                format!(
                    "{part:?}: write a stage as TIME:HANDSETS or TIME:REQUESTS/s, such as 30s:200 or 30s:50/s"
                )
            };
            let (time, target) = part.split_once(':').ok_or_else(form)?;
            let (target, unit) = match target.strip_suffix("/s") {
                Some(target) => (target, Unit::PerSecond),
                None => (target, Unit::Handsets),
            };
            let time = match time {
                "0" => Duration::ZERO,
                time => duration(time).ok_or_else(form)?,
            };
            let target: u32 = target.parse().map_err(|_| form())?;
            if target > HIGHEST {
                return Err(format!("{part:?}: at most {HIGHEST}"));
            }
            if time > LONGEST {
                return Err(format!("{part:?}: a stage takes at most 10 days"));
            }
            units.push(unit);
            stages.push(Stage { time, target });
        }
        let unit = *units.first().ok_or("there is no stage")?;
        if units.iter().any(|other| *other != unit) {
            return Err("all stages in handsets, or all in requests a second (/s)".to_owned());
        }
        let stages = Self { unit, stages };
        match (stages.time().is_zero(), stages.peak()) {
            (true, _) => Err("the stages take no time".to_owned()),
            (_, 0) => Err("no stage has any load".to_owned()),
            _ => Ok(stages),
        }
    }
}

const MOST_STAGES: usize = 100;
const HIGHEST: u32 = 4_000_000;
const LONGEST: Duration = Duration::from_secs(864_000);

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(text: &str) -> Stages {
        text.parse().unwrap()
    }

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_ramp_goes_in_straight_lines() {
        let ramp = stages("10s:50, 30s:200,0:100,10s:0");
        assert_eq!((ramp.time(), ramp.peak()), (ms(50_000), 200));
        let levels = [
            0, 199, 200, 5_000, 10_000, 25_000, 39_999, 40_000, 45_000, 45_001, 50_000,
        ];
        let levels = levels.map(|at| ramp.level(ms(at)));
        assert_eq!(levels, [0, 0, 1, 25, 50, 125, 199, 100, 50, 49, 0]);
        assert_eq!(
            ramp.position(ms(40_000)).unwrap().number,
            3,
            "a jump takes no time"
        );
    }

    #[test]
    fn the_next_handset_has_its_moment() {
        let ramp = stages("10s:3,5s:3,2s:0,1s:1");
        let mut at = Duration::ZERO;
        let mut levels = vec![(0, ramp.level(at))];
        while let Some(next) = ramp.next_rise(at) {
            assert!(next > at, "{at:?}");
            at = next;
            levels.push((u64::try_from(at.as_millis()).unwrap(), ramp.level(at)));
        }
        assert_eq!(
            levels,
            [
                (0, 0),
                (3333, 1),
                (6666, 2),
                (10_000, 3),
                (15_000, 3),
                (17_000, 0),
                (18_000, 1)
            ]
        );
    }

    #[test]
    fn arrivals_follow_the_rate() {
        let flat = stages("0:10/s,10s:10/s");
        assert_eq!(flat.arrival(0), Some(Duration::ZERO));
        assert_eq!(flat.arrival(5), Some(ms(500)));
        assert_eq!(flat.arrival(99), Some(ms(9_900)));
        assert_eq!(flat.arrival(100), None);
        // 0 to 20 a second in 10 s are 100 requests, half of them in the last 2.93 s.
        let ramp = stages("10s:20/s,10s:0/s");
        let half = ramp.arrival(50).unwrap().as_secs_f64();
        assert!((half - 50_f64.sqrt()).abs() < 1e-6, "{half}");
        let down = ramp.arrival(150).unwrap().as_secs_f64();
        assert!((down - (20.0 - 50_f64.sqrt())).abs() < 1e-6, "{down}");
        assert_eq!(ramp.arrival(200), None);
        let mut last = Duration::ZERO;
        for count in 0..200 {
            let at = ramp.arrival(count).unwrap();
            assert!(at >= last && at <= ms(20_000), "{count} at {at:?}");
            last = at;
        }
    }

    #[test]
    fn what_is_no_ramp_is_refused_with_its_form() {
        for (text, words) in [
            ("", "write a stage"),
            ("10s", "write a stage"),
            ("10:50", "write a stage"),
            ("10s:x", "write a stage"),
            ("10s:-1", "write a stage"),
            ("10s:5,10s:5/s", "all stages in handsets"),
            ("10s:0", "any load"),
            ("0:5", "no time"),
            ("1s:4000001", "at most"),
        ] {
            let error = text.parse::<Stages>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(
            "1s:1,"
                .repeat(101)
                .trim_end_matches(',')
                .parse::<Stages>()
                .is_err()
        );
    }
}
