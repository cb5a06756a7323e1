//! What is measured of the load: in all, by stage, by second, and exchange by exchange.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::cli::bench::csv::{CsvFile, Row};
use crate::cli::bench::report::{
    self, PhaseStats, latencies, latency, micros, per_second, seconds,
};
use crate::cli::bench::stages::Stages;
use crate::cli::bench::timeline::{Second, Timeline};
use crate::time::Instant;

/// An exchange that is over.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    /// The handset.
    pub(super) who: u32,
    /// When it was to begin.
    pub(super) since: Instant,
    /// The status of its answer.
    pub(super) status: Option<u16>,
    /// Octets of its answer's body.
    pub(super) octets: usize,
    /// Why it failed.
    pub(super) wrong: Option<String>,
}

/// The figures of the load so far.
pub(super) struct Measurement {
    /// The start of the clock.
    start: Instant,
    /// All exchanges.
    pub(super) stats: PhaseStats,
    /// Answers by status.
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) timeline: Timeline,
    stages: Option<(Stages, Vec<StageStats>)>,
    csv: Option<CsvFile>,
}

/// Exchanges that began in one stage.
struct StageStats {
    latency: Histogram<u64>,
    failed: u64,
}

/// What is left of it at the end.
pub(super) struct Figures {
    pub(super) stats: PhaseStats,
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) seconds: Vec<Second>,
    pub(super) stages: Vec<report::Stage>,
    pub(super) csv: Option<CsvFile>,
}

impl Measurement {
    /// Nothing so far. `start` is when the clock starts.
    pub(super) fn new(start: Instant, stages: Option<&Stages>, csv: Option<CsvFile>) -> Self {
        let stages = stages.map(|stages| {
            let each = stages.iter().map(|_| StageStats {
                latency: latencies(),
                failed: 0,
            });
            (stages.clone(), each.collect())
        });
        Self {
            start,
            stats: PhaseStats::new(),
            statuses: BTreeMap::new(),
            timeline: Timeline::new(start),
            stages,
            csv,
        }
    }

    /// Counts an exchange that is over at `now`.
    pub(super) fn ended(&mut self, now: Instant, exchange: Exchange) {
        let Exchange {
            who,
            since,
            status,
            octets,
            wrong,
        } = exchange;
        if let Some(status) = status {
            *self.statuses.entry(status).or_default() += 1;
        }
        let stage = self.stage(since);
        if let Some(csv) = &mut self.csv {
            csv.write(&Row {
                start: since - self.start,
                stage: stage + 1,
                handset: who,
                duration: now - since,
                status,
                octets,
                error: wrong.as_deref(),
            });
        }
        let stage = self
            .stages
            .as_mut()
            .and_then(|(_, stages)| stages.get_mut(stage));
        match wrong {
            None => {
                self.stats.done(since, now);
                if let Some(stage) = stage {
                    stage.latency.saturating_record(micros(since, now));
                }
            }
            Some(cause) => {
                self.stats.failed(cause);
                if let Some(stage) = stage {
                    stage.failed += 1;
                }
            }
        }
    }

    /// The number of the stage at this time, from 0.
    fn stage(&self, at: Instant) -> usize {
        let position = self
            .stages
            .as_ref()
            .and_then(|(stages, _)| stages.position(at - self.start));
        position.map_or(0, |position| position.number)
    }

    /// The figures at the end, when so many are under way.
    pub(super) fn finish(self, now: Instant, under_way: u64) -> Figures {
        let stages = self.stages.map(|(plan, stats)| {
            let told = plan
                .iter()
                .zip(stats)
                .map(|((from, stage), stats)| report::Stage {
                    from,
                    to: stage.target,
                    seconds: seconds(stage.time),
                    transactions: stats.latency.len(),
                    failed: stats.failed,
                    per_second: per_second(stats.latency.len(), stage.time),
                    latency_ms: latency(&stats.latency),
                });
            told.collect()
        });
        Figures {
            stats: self.stats,
            statuses: self.statuses,
            seconds: self.timeline.finish(now, under_way),
            stages: stages.unwrap_or_default(),
            csv: self.csv,
        }
    }
}

/// Bars of a histogram: upper bounds in microseconds, and how many values are up to each and above
/// the one before. Bounds are `steps` times powers of ten.
pub(super) fn bars(latency: &Histogram<u64>, steps: &[u64]) -> Vec<(Duration, u64)> {
    if latency.is_empty() {
        return Vec::new();
    }
    let powers = (0..10_u32).map(|power| 10_u64.pow(power));
    let bounds = powers.flat_map(|power| steps.iter().map(move |step| step * power / 10));
    let mut bars = Vec::new();
    let (mut below, mut counted) = (0, 0);
    for bound in bounds {
        if bound <= below {
            continue;
        }
        let up_to = latency.count_between(0, bound);
        let count = up_to.saturating_sub(counted);
        // Bars begin with the first value, and end with the last.
        if count > 0 || counted > 0 {
            bars.push((Duration::from_micros(bound), count));
        }
        (below, counted) = (bound, up_to.max(counted));
        if counted >= latency.len() {
            break;
        }
    }
    if counted < latency.len() {
        let highest = latency.max().max(below);
        bars.push((Duration::from_micros(highest), latency.len() - counted));
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    #[test]
    fn an_exchange_counts_in_the_stage_of_its_start() {
        let stages: Stages = "1s:5,1s:0".parse().unwrap();
        let mut measurement = Measurement::new(ms(0), Some(&stages), None);
        let exchange = |since, wrong: Option<&str>| Exchange {
            who: 1,
            since,
            status: Some(if wrong.is_some() { 500 } else { 200 }),
            octets: 3,
            wrong: wrong.map(str::to_owned),
        };
        measurement.ended(ms(1_200), exchange(ms(900), None));
        measurement.ended(ms(1_300), exchange(ms(1_000), Some("status 500")));
        measurement.ended(ms(1_400), exchange(ms(1_100), None));
        let figures = measurement.finish(ms(2_000), 0);
        let counts: Vec<_> = figures
            .stages
            .iter()
            .map(|stage| (stage.from, stage.to, stage.transactions, stage.failed))
            .collect();
        assert_eq!(counts, [(0, 5, 1, 0), (5, 0, 1, 1)]);
        assert_eq!(figures.statuses, BTreeMap::from([(200, 2), (500, 1)]));
        assert_eq!((figures.stats.done, figures.stats.failures()), (2, 1));
    }

    #[test]
    fn bars_hold_every_value_once() {
        let mut histogram = latencies();
        assert_eq!(bars(&histogram, &[10, 20, 50]), []);
        for micros in [1_500, 1_600, 4_000, 30_000, 30_000, 3_599_000_000] {
            histogram.record(micros).unwrap();
        }
        let shown = bars(&histogram, &[10, 20, 50]);
        assert_eq!(
            shown[..2],
            [(Duration::from_millis(2), 2), (Duration::from_millis(5), 1)]
        );
        assert_eq!(shown.iter().map(|(_, count)| count).sum::<u64>(), 6);
        assert_eq!(shown.last().map(|(_, count)| *count), Some(1));
        assert!(shown.is_sorted_by_key(|(bound, _)| *bound));
    }
}
