//! The figures that are kept, and where each comes from. A new one is a row here, and a use of its
//! name in `page/page.js`.

use std::time::Duration;

use super::latency::Durations;
use crate::admin::snapshot::Snapshot;
use crate::time::Instant;

/// One figure over time.
pub(super) struct Series {
    /// Its name in `/history` and in the page.
    pub(super) name: &'static str,
    source: Source,
}

enum Source {
    /// The growth of a counter, per second.
    Rate(fn(&Snapshot) -> u64),
    /// A present value.
    Level(fn(&Snapshot) -> u64),
    /// Seconds that this share of the exchanges took at most, in the last ten seconds.
    Quantile(fn(&Latencies) -> &Durations, f64),
}

/// Durations of the exchanges of the last ten seconds.
#[derive(Debug)]
pub(super) struct Latencies {
    /// From the first packet to the end.
    pub(super) whole: Durations,
    /// Waiting for the origin.
    pub(super) upstream: Durations,
}

/// Every figure.
#[rustfmt::skip]
pub(super) const SERIES: [Series; 19] = [
    rate("exchanges", |s| s.stats.acknowledged + s.stats.unacknowledged + s.stats.aborted),
    quantile("p50", |all| &all.whole, 0.5),
    quantile("p95", |all| &all.whole, 0.95),
    quantile("p99", |all| &all.whole, 0.99),
    quantile("upstream", |all| &all.upstream, 0.5),
    rate("in", |s| s.sockets.received_octets),
    rate("out", |s| s.sockets.sent_octets),
    rate("sent", |s| s.sockets.sent),
    rate("resent", |s| s.stats.wtp.retransmissions),
    rate("repeats", |s| s.stats.wtp.duplicates),
    level("sessions", |s| s.stats.sessions),
    rate("connects", |s| s.stats.wsp.connected),
    rate("resumes", |s| s.stats.wsp.resumed),
    level("exchanging", |s| s.stats.exchanges),
    level("waiting", |s| s.stats.in_flight),
    level("held", |s| s.stats.exchange_octets),
    rate("problems", |s| s.stats.problems.iter().map(|(_, count)| count).sum()),
    rate("errors", |s| responses(s, |class| class == "5xx")),
    rate("responses", |s| responses(s, |_| true)),
];

const fn rate(name: &'static str, read: fn(&Snapshot) -> u64) -> Series {
    let source = Source::Rate(read);
    Series { name, source }
}

const fn level(name: &'static str, read: fn(&Snapshot) -> u64) -> Series {
    let source = Source::Level(read);
    Series { name, source }
}

const fn quantile(name: &'static str, of: fn(&Latencies) -> &Durations, share: f64) -> Series {
    let source = Source::Quantile(of, share);
    Series { name, source }
}

/// Responses of all routes whose class of status is wanted.
fn responses(snapshot: &Snapshot, wanted: fn(&str) -> bool) -> u64 {
    let all = snapshot.routes.values();
    all.flat_map(|route| route.responses.iter())
        .filter(|(class, _)| wanted(class))
        .map(|(_, count)| count)
        .sum()
}

/// The counters at one moment, in the order of [`SERIES`]; 0 for a quantile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) at: Instant,
    numbers: [u64; SERIES.len()],
}

impl Reading {
    pub(super) fn new(at: Instant, snapshot: &Snapshot) -> Self {
        let numbers = SERIES.each_ref().map(|series| match series.source {
            Source::Rate(read) | Source::Level(read) => read(snapshot),
            Source::Quantile(..) => 0,
        });
        Self { at, numbers }
    }
}

/// What is kept of one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) at: Instant,
    /// In the order of [`SERIES`]. NaN is unknown.
    pub(super) values: [f32; SERIES.len()],
}

impl Point {
    /// Rates are the growth since `before`, and unknown without it.
    pub(super) fn new(now: &Reading, before: Option<&Reading>, latencies: &Latencies) -> Self {
        let mut values = [f32::NAN; SERIES.len()];
        for (place, (value, series)) in values.iter_mut().zip(&SERIES).enumerate() {
            let number = |reading: &Reading| reading.numbers.get(place).copied();
            let found = match series.source {
                Source::Rate(_) => before.and_then(|before| {
                    let growth = number(now)?.checked_sub(number(before)?)?;
                    per_second(growth, now.at.since(before.at))
                }),
                Source::Level(_) => number(now).map(whole),
                Source::Quantile(of, share) => of(latencies).quantile(now.at, share),
            };
            *value = found.map_or(f32::NAN, single);
        }
        Self { at: now.at, values }
    }
}

fn per_second(growth: u64, time: Duration) -> Option<f64> {
    (!time.is_zero()).then(|| whole(growth) / time.as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "it is drawn, not counted")]
const fn whole(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, reason = "seven digits are enough")]
const fn single(value: f64) -> f32 {
    value as f32
}
