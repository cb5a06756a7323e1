//! The exchanges of the busiest routes over the last two hours, by the minute.

use std::sync::Arc;

use super::ring::Ring;
use crate::admin::snapshot::Snapshot;
use crate::server::RouteStats;
use crate::time::Instant;

/// What is kept of routes. Its memory is allocated at the start.
///
/// There are lines for [`LINES`] routes: those with the most exchanges since the start of the
/// process. A route that becomes one of them takes the line of one that no longer is, and its own
/// begins then.
#[derive(Clone, Debug)]
pub(super) struct RouteHistory {
    /// The route of each line.
    routes: [Option<Line>; LINES],
    pub(super) minutes: Ring<Minute>,
}

#[derive(Clone, Debug)]
struct Line {
    route: Arc<str>,
    /// At the last minute.
    before: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    exchanges: u64,
    /// Responses with a status of 500 and above.
    errors: u64,
}

/// One minute of each line; NaN is unknown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Minute {
    pub(super) at: Instant,
    values: [[f32; FIGURES.len()]; LINES],
}

/// The figures of a route, each per second: exchanges, and responses with a status of 500 and above.
pub(super) const FIGURES: [&str; 2] = ["exchanges", "errors"];

impl RouteHistory {
    pub(super) fn new() -> Self {
        Self {
            routes: [const { None }; LINES],
            minutes: Ring::with_room(MINUTES),
        }
    }

    /// Takes a sample. Called once a minute; after a pause the rates are those of the whole pause,
    /// which is not known to have been even, and so they are unknown.
    pub(super) fn sample(&mut self, now: Instant, snapshot: &Snapshot) {
        self.choose(snapshot);
        let passed = self.minutes.newest().map(|last| now.since(last.at));
        let passed = passed.map(|passed| passed.as_secs_f32());
        let passed = passed.filter(|passed| (1.0..=MOST_PASSED).contains(passed));
        let mut values = [UNKNOWN; LINES];
        for (line, values) in self.routes.iter_mut().zip(&mut values) {
            let Some(line) = line else { continue };
            let Some(stats) = snapshot.routes.get(&line.route) else {
                continue;
            };
            let counts = Counts::of(stats);
            let rate = |now: u64, before: u64| {
                let growth = passed.zip(now.checked_sub(before));
                growth.map_or(f32::NAN, |(passed, growth)| single(growth) / passed)
            };
            *values = [
                rate(counts.exchanges, line.before.exchanges),
                rate(counts.errors, line.before.errors),
            ];
            line.before = counts;
        }
        self.minutes.push(Minute { at: now, values });
    }

    /// The name of each route with a line, and for each of [`FIGURES`] its values.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&Arc<str>, [Vec<f32>; FIGURES.len()])> {
        let lines = self.routes.iter().enumerate();
        lines.filter_map(|(place, line)| {
            let of = |figure: usize| {
                let values = self.minutes.iter().map(|minute| minute.values.get(place));
                let value = |values: Option<&[f32; 2]>| values?.get(figure).copied();
                values
                    .map(|values| value(values).unwrap_or(f32::NAN))
                    .collect()
            };
            Some((&line.as_ref()?.route, [of(0), of(1)]))
        })
    }

    /// Gives the lines to the routes with the most exchanges.
    fn choose(&mut self, snapshot: &Snapshot) {
        let mut busiest: Vec<(&Arc<str>, &RouteStats)> = snapshot.routes.iter().collect();
        busiest.sort_by_key(|(_, stats)| std::cmp::Reverse(stats.exchanges));
        busiest.truncate(LINES);
        let is_wanted = |line: &Line| busiest.iter().any(|(route, _)| **route == line.route);
        for line in &mut self.routes {
            line.take_if(|line| !is_wanted(line));
        }
        for (route, stats) in busiest {
            if self
                .routes
                .iter()
                .flatten()
                .any(|line| line.route == *route)
            {
                continue;
            }
            let mut places = self.routes.iter_mut().enumerate();
            let Some((place, free)) = places.find(|(_, line)| line.is_none()) else {
                return;
            };
            for minute in self.minutes.iter_mut() {
                if let Some(values) = minute.values.get_mut(place) {
                    *values = UNKNOWN;
                }
            }
            *free = Some(Line {
                route: Arc::clone(route),
                before: Counts::of(stats),
            });
        }
    }
}

impl Counts {
    fn of(stats: &RouteStats) -> Self {
        let errors = stats.responses.iter();
        let errors = errors.filter(|(class, _)| *class == "5xx");
        Self {
            exchanges: stats.exchanges,
            errors: errors.map(|(_, count)| count).sum(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is drawn, not counted")]
const fn single(number: u64) -> f32 {
    number as f32
}

/// Routes with a line.
pub(super) const LINES: usize = 20;
/// One more than the minutes of two hours: growth has two ends.
const MINUTES: usize = 121;
/// Seconds between two samples, at most.
const MOST_PASSED: f32 = 90.0;
const UNKNOWN: [f32; FIGURES.len()] = [f32::NAN; FIGURES.len()];

#[cfg(test)]
mod tests {
    use super::*;

    const fn minute(number: u64) -> Instant {
        Instant::from_micros(number * 60_000_000)
    }

    fn snapshot(routes: &[(&str, u64)]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (name, exchanges) in routes {
            let stats = RouteStats {
                exchanges: *exchanges,
                ..RouteStats::default()
            };
            snapshot.routes.insert((*name).into(), stats);
        }
        snapshot
    }

    /// The rates of exchanges of each route; -1 is unknown.
    fn exchanges(history: &RouteHistory) -> Vec<(String, Vec<f32>)> {
        let known = |value: &f32| if value.is_nan() { -1.0 } else { *value };
        let lines = history.lines();
        lines
            .map(|(route, [exchanges, _])| {
                (route.to_string(), exchanges.iter().map(known).collect())
            })
            .collect()
    }

    #[test]
    fn a_line_has_the_rates_of_its_route_and_a_gap_after_a_pause() {
        let mut history = RouteHistory::new();
        for (at, count) in [(0, 60), (1, 120), (2, 120), (9, 720), (10, 780), (11, 0)] {
            history.sample(minute(at), &snapshot(&[("sync", count)]));
        }
        let rates = vec![-1.0, 1.0, 0.0, -1.0, 1.0, -1.0];
        assert_eq!(exchanges(&history), [("sync".to_owned(), rates)]);
    }

    #[test]
    fn the_busiest_routes_have_the_lines_and_memory_never_grows() {
        let mut history = RouteHistory::new();
        let octets = history.minutes.octets();
        let names: Vec<String> = (0..40).map(|nth| format!("route{nth:02}")).collect();
        let busy = |turned: bool, at: u64| {
            let routes = names.iter().zip(1..).map(|(name, nth)| {
                let weight = if turned { 41 - nth } else { nth };
                (name.as_str(), at * weight * 60)
            });
            snapshot(&routes.collect::<Vec<_>>())
        };
        for at in 0..200 {
            history.sample(minute(at), &busy(false, at));
        }
        let lines = exchanges(&history);
        assert_eq!(lines.len(), LINES);
        assert!(lines.iter().all(|(name, _)| name.as_str() >= "route20"));
        let (_, last) = lines.iter().find(|(name, _)| name == "route39").unwrap();
        assert_eq!((last.len(), last[0], last[120]), (121, 40.0, 40.0));
        // Another half is the busier one: no value of one route is shown as that of another.
        for at in 400..402 {
            history.sample(minute(at), &busy(true, at));
        }
        let lines = exchanges(&history);
        assert!(lines.iter().all(|(name, _)| name.as_str() < "route20"));
        let (_, first) = lines.iter().find(|(name, _)| name == "route00").unwrap();
        assert!(first[..120].iter().all(|value| *value < 0.0));
        assert_eq!(first[120], 40.0);
        assert_eq!(history.minutes.octets(), octets);
        assert!(octets <= 32 * 1024, "{octets}");
    }
}
