//! How long exchanges take and how large they are: gathered by each shard in plain integers, shown once a second.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use crate::gateway::answer::Problem;
use crate::gateway::record::ExchangeRecord;
use crate::route::Routes;

/// Values sorted into buckets with fixed bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    unit: Unit,
    /// How many values were not above each bound, and above the one before.
    counts: [u64; BUCKETS],
    above: u64,
    sum: u64,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Durations: kept in microseconds, shown in seconds.
    Time,
    /// Octets.
    Size,
}

const BUCKETS: usize = 15;

/// Microseconds: from a LAN origin's answer to the patience of a handset.
const TIMES: [u64; BUCKETS] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    120_000_000,
];

/// Octets: from an empty SyncML message to the largest reply.
const SIZES: [u64; BUCKETS] = [
    64, 128, 256, 512, 1_024, 1_400, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072, 262_144,
    1_048_576,
];

impl Histogram {
    /// One that has seen nothing.
    #[must_use]
    pub const fn new(unit: Unit) -> Self {
        Self {
            unit,
            counts: [0; BUCKETS],
            above: 0,
            sum: 0,
        }
    }

    /// Adds a duration.
    pub fn time(&mut self, time: Duration) {
        self.add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Adds a size.
    pub fn size(&mut self, octets: usize) {
        self.add(octets as u64);
    }

    fn add(&mut self, value: u64) {
        let place = self.bounds().partition_point(|bound| *bound < value);
        *self.counts.get_mut(place).unwrap_or(&mut self.above) += 1;
        self.sum = self.sum.saturating_add(value);
    }

    const fn bounds(&self) -> &'static [u64; BUCKETS] {
        match self.unit {
            Unit::Time => &TIMES,
            Unit::Size => &SIZES,
        }
    }

    /// Each bound in base units, with how many values were not above it.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut below = 0;
        self.bounds()
            .iter()
            .zip(&self.counts)
            .map(move |(bound, count)| {
                below += count;
                (self.base(*bound), below)
            })
    }

    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.above
    }

    /// What they add up to, in base units.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.base(self.sum)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "Prometheus knows only floats; above 2^53 µs are 285 years"
    )]
    fn base(&self, value: u64) -> f64 {
        match self.unit {
            Unit::Time => value as f64 / 1e6,
            Unit::Size => value as f64,
        }
    }
}

impl AddAssign<&Self> for Histogram {
    fn add_assign(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.above += other.above;
        self.sum = self.sum.saturating_add(other.sum);
    }
}

/// What one shard measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measures {
    /// From an exchange's first packet to its end.
    pub total: Histogram,
    /// From the request's first packet to its last.
    pub air_in: Histogram,
    /// Waiting for the origin.
    pub upstream: Histogram,
    /// From the reply's being ready to the handset's acknowledgement.
    pub air_out: Histogram,
    /// Octets of request bodies.
    pub requests: Histogram,
    /// Octets of reply bodies.
    pub replies: Histogram,
    /// By the names of the routes.
    pub routes: BTreeMap<Arc<str>, PerRoute>,
}

/// What came to one route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerRoute {
    /// Exchanges over.
    pub exchanges: u64,
    /// Of these, those whose origin could not be reached or gave nothing that could be used.
    pub upstream_errors: u64,
    /// Microseconds spent waiting for origins, altogether.
    pub upstream_micros: u64,
}

impl Default for Measures {
    fn default() -> Self {
        Self {
            total: Histogram::new(Unit::Time),
            air_in: Histogram::new(Unit::Time),
            upstream: Histogram::new(Unit::Time),
            air_out: Histogram::new(Unit::Time),
            requests: Histogram::new(Unit::Size),
            replies: Histogram::new(Unit::Size),
            routes: BTreeMap::new(),
        }
    }
}

impl Measures {
    /// Keeps to these routes: the others' numbers are forgotten.
    pub fn set_routes(&mut self, routes: &Routes) {
        let mut before = std::mem::take(&mut self.routes);
        let names = routes.iter().map(|route| Arc::clone(&route.name));
        self.routes = names
            .map(|name| {
                let measured = before.remove(&name).unwrap_or_default();
                (name, measured)
            })
            .collect();
    }

    /// An exchange is over.
    pub fn record(&mut self, record: &ExchangeRecord) {
        let air_in = record.air_in_time();
        let since_received = record.finished.since(record.received);
        self.total.time(air_in.unwrap_or_default() + since_received);
        if let Some(time) = air_in {
            self.air_in.time(time);
        }
        let upstream = record.upstream_time();
        if let Some(time) = upstream {
            self.upstream.time(time);
        }
        if let Some(time) = record.air_out_time() {
            self.air_out.time(time);
        }
        self.requests.size(record.request_octets);
        self.replies.size(record.reply_octets);
        // A route that a reload has taken away is counted no more.
        if let Some(name) = &record.route
            && let Some(route) = self.routes.get_mut(name)
        {
            route.exchanges += 1;
            let micros = upstream.unwrap_or_default().as_micros();
            route.upstream_micros += u64::try_from(micros).unwrap_or(u64::MAX);
            if matches!(
                record.problem,
                Some(Problem::Upstream(_) | Problem::Deadline)
            ) {
                route.upstream_errors += 1;
            }
        }
    }
}

impl AddAssign<&Self> for Measures {
    fn add_assign(&mut self, other: &Self) {
        self.total += &other.total;
        self.air_in += &other.air_in;
        self.upstream += &other.upstream;
        self.air_out += &other.air_out;
        self.requests += &other.requests;
        self.replies += &other.replies;
        for (name, more) in &other.routes {
            let route = self.routes.entry(Arc::clone(name)).or_default();
            route.exchanges += more.exchanges;
            route.upstream_errors += more.upstream_errors;
            route.upstream_micros += more.upstream_micros;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_into_the_first_bucket_that_takes_it() {
        let mut times = Histogram::new(Unit::Time);
        for micros in [0, 1_000, 1_001, 120_000_000, 120_000_001] {
            times.time(Duration::from_micros(micros));
        }
        let buckets: Vec<_> = times.buckets().collect();
        assert_eq!(buckets[0], (0.001, 2));
        assert_eq!(buckets[1], (0.0025, 3));
        assert_eq!(buckets[BUCKETS - 1], (120.0, 4));
        assert_eq!(times.count(), 5);
        assert!((times.sum() - 240.002_002).abs() < 1e-9);
        let mut twice = times.clone();
        twice += &times;
        assert_eq!(twice.count(), 10);
    }

    #[test]
    fn bounds_grow() {
        for bounds in [TIMES, SIZES] {
            assert!(bounds.is_sorted_by(|one, next| one < next));
        }
    }
}
