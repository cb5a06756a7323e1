//! `/history`: the samples as JSON. Names are stable; names may be added.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::ring::Ring;
use super::routes::{FIGURES, RouteHistory};
use super::series::{Point, SERIES};
use super::{Kept, SharedHistory};
use crate::time::Instant;

pub(in crate::admin) fn router(history: SharedHistory) -> Router {
    Router::new().route("/history", get(show).with_state(history))
}

/// Moments are seconds since 1970.
#[derive(Debug, Serialize)]
struct Answer {
    /// The start of the process. Nothing is kept of what was before.
    started: f64,
    /// The moment of the answer by the gateway's calendar.
    now: f64,
    seconds: Points,
    tens: Points,
    problems: Problems,
    routes: Routes,
}

#[derive(Debug, Serialize)]
struct Points {
    every_seconds: u64,
    at: Vec<f64>,
    /// One value for each moment; `null` where it is unknown.
    series: BTreeMap<&'static str, Vec<Option<f64>>>,
}

#[derive(Debug, Serialize)]
struct Problems {
    every_seconds: u64,
    at: Vec<f64>,
    causes: BTreeMap<&'static str, Cause>,
}

/// The busiest routes, by name.
#[derive(Debug, Serialize)]
struct Routes {
    every_seconds: u64,
    at: Vec<f64>,
    /// One value for each moment; `null` where it is unknown.
    series: BTreeMap<String, BTreeMap<&'static str, Vec<Option<f64>>>>,
}

#[derive(Debug, Serialize)]
struct Cause {
    remedy: &'static str,
    /// Since the start of the process, one count for each moment; empty if all are 0.
    counts: Vec<u64>,
}

async fn show(State(history): State<SharedHistory>) -> Json<Answer> {
    // A copy: the thread of the metrics does not wait for the answer.
    let kept = history.lock().kept.clone();
    let calendar = Calendar {
        now: history.clock.now(),
        wall: history.clock.wall(),
    };
    Json(Answer::new(&kept, &calendar, history.started))
}

/// One moment, by the gateway's clock and by the calendar.
struct Calendar {
    now: Instant,
    /// Microseconds since 1970.
    wall: u64,
}

impl Calendar {
    fn moment(&self, at: Instant) -> f64 {
        let ago = u64::try_from(self.now.since(at).as_micros()).unwrap_or(u64::MAX);
        seconds(Duration::from_micros(self.wall.saturating_sub(ago)))
    }
}

impl Answer {
    fn new(kept: &Kept, calendar: &Calendar, started: Duration) -> Self {
        Self {
            started: seconds(started),
            now: calendar.moment(calendar.now),
            seconds: Points::new(1, &kept.seconds, calendar),
            tens: Points::new(10, &kept.tens, calendar),
            problems: Problems::new(kept, calendar),
            routes: Routes::new(&kept.routes, calendar),
        }
    }
}

impl Points {
    fn new(every_seconds: u64, ring: &Ring<Point>, calendar: &Calendar) -> Self {
        let values = |place: usize| {
            let of = |point: &Point| point.values.get(place).copied().and_then(rounded);
            ring.iter().map(of).collect()
        };
        let names = SERIES.iter().map(|series| series.name).enumerate();
        Self {
            every_seconds,
            at: ring.iter().map(|point| calendar.moment(point.at)).collect(),
            series: names.map(|(place, name)| (name, values(place))).collect(),
        }
    }
}

impl Problems {
    fn new(kept: &Kept, calendar: &Calendar) -> Self {
        let readings = &kept.problems;
        let mut causes: BTreeMap<&'static str, Cause> = BTreeMap::new();
        for (_, counts) in readings.iter() {
            for (problem, count) in counts.iter() {
                let remedy = problem.remedy();
                let counts = Vec::new();
                let cause = causes.entry(problem.label());
                let cause = cause.or_insert(Cause { remedy, counts });
                cause.counts.push(count);
            }
        }
        for cause in causes.values_mut() {
            if cause.counts.iter().all(|count| *count == 0) {
                cause.counts.clear();
            }
        }
        Self {
            every_seconds: 60,
            at: readings
                .iter()
                .map(|(at, _)| calendar.moment(*at))
                .collect(),
            causes,
        }
    }
}

impl Routes {
    fn new(routes: &RouteHistory, calendar: &Calendar) -> Self {
        let minutes = routes.minutes.iter();
        let values = |values: Vec<f32>| values.into_iter().map(rounded).collect();
        Self {
            every_seconds: 60,
            at: minutes.map(|minute| calendar.moment(minute.at)).collect(),
            series: (routes.lines())
                .map(|(route, figures)| {
                    let figures = FIGURES.into_iter().zip(figures.map(values));
                    (route.to_string(), figures.collect())
                })
                .collect(),
        }
    }
}

/// Seconds with three digits of their fraction.
fn seconds(time: Duration) -> f64 {
    let whole = Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    whole.as_secs_f64()
}

/// Six digits: more would only make the answer longer.
fn rounded(value: f32) -> Option<f64> {
    let known = value.is_finite().then(|| format!("{value:.5e}"));
    known.and_then(|digits| digits.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::history::History;
    use crate::admin::snapshot::Snapshot;
    use crate::server::RouteStats;

    const fn second(number: u64) -> Instant {
        Instant::from_micros(number * 1_000_000)
    }

    fn answer(history: &History, now: Instant) -> serde_json::Value {
        let wall = 1_795_421_456_500_000;
        let calendar = Calendar { now, wall };
        let started = Duration::from_secs(1_795_421_000);
        serde_json::to_value(Answer::new(&history.kept, &calendar, started)).unwrap()
    }

    #[test]
    fn moments_are_told_by_the_calendar_of_the_answer() {
        let mut history = History::new();
        let mut snapshot = Snapshot::default();
        snapshot.stats.sessions = 1_234_567;
        history.sample(second(0), &snapshot);
        history.sample(second(1), &snapshot);
        let shown = answer(&history, second(3));
        assert_eq!(shown["started"], 1_795_421_000.0);
        assert_eq!(shown["now"], 1_795_421_456.5);
        let part = &shown["seconds"];
        let moments = serde_json::json!([1_795_421_453.5, 1_795_421_454.5]);
        assert_eq!(part["at"], moments);
        let sessions = serde_json::json!([1_234_570.0, 1_234_570.0]);
        assert_eq!(part["series"]["sessions"], sessions);
        let exchanges = serde_json::json!([null, 0.0]);
        assert_eq!(part["series"]["exchanges"], exchanges);
        assert_eq!(shown["tens"]["every_seconds"], 10);
        let none = &shown["problems"]["causes"]["no_route"];
        assert_eq!(none["counts"], serde_json::json!([]));
        assert!(none["remedy"].as_str().unwrap().contains("[[route]]"));
    }

    /// The names are an interface: a name that goes needs a line in CHANGELOG.md.
    #[test]
    fn every_series_has_a_name_of_its_own() {
        let mut names: Vec<_> = SERIES.iter().map(|series| series.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SERIES.len());
        let page = include_str!("../page/page.js");
        for name in names {
            let used = ["v.", "\""]
                .iter()
                .any(|before| page.contains(&format!("{before}{name}")));
            assert!(used, "the page does not use {name}");
        }
    }

    #[test]
    fn the_answer_has_at_most_384_kib() {
        let mut history = History::new();
        let mut snapshot = Snapshot::default();
        for at in 0..2 * 3600 {
            // Numbers of many digits.
            let number = (at + 1) * 123_456_789_123 + at * at * 7_654_321;
            snapshot.stats.acknowledged = number;
            snapshot.stats.sessions = number;
            snapshot.stats.exchanges = number;
            snapshot.stats.in_flight = number;
            snapshot.stats.exchange_octets = number;
            snapshot.stats.wtp.retransmissions = number;
            snapshot.stats.wtp.duplicates = number;
            snapshot.stats.wsp.connected = number;
            snapshot.stats.wsp.resumed = number;
            snapshot.sockets.received_octets = number;
            snapshot.sockets.sent_octets = number;
            snapshot.sockets.sent = number;
            for route in 0..30 {
                let stats = RouteStats {
                    exchanges: number / (route + 7),
                    ..RouteStats::default()
                };
                snapshot.routes.insert(format!("r{route}").into(), stats);
            }
            for _ in 0..10 {
                history.observe(&crate::server::Measurement {
                    duration: Duration::from_micros(1_234_567 + at),
                    upstream: Some(Duration::from_micros(1_034_567 + at)),
                    ..crate::server::Measurement::default()
                });
            }
            history.sample(second(at), &snapshot);
        }
        let text = answer(&history, second(2 * 3600)).to_string();
        assert!(
            text.len() > 100_000 && text.len() < 384 * 1024,
            "{}",
            text.len()
        );
    }
}
