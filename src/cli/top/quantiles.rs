//! Quantiles of the durations between two readings, from the buckets of a histogram.

use serde::Serialize;

use super::exposition::Exposition;
use super::rates::{grown, rounded};

/// Seconds. Quantiles are interpolated within a bucket, as Prometheus does it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) mean: f64,
}

impl Latency {
    /// `None` without events in between, or if a count went back.
    pub(super) fn between(then: &Exposition, now: &Exposition, name: &str) -> Option<Self> {
        let buckets = buckets(then, now, &format!("{name}_bucket"))?;
        let all = buckets
            .last()
            .map(|(_, count)| *count)
            .filter(|all| *all > 0.0)?;
        let sum = format!("{name}_sum");
        let sum = grown(then.sum(&sum, &[])?, now.sum(&sum, &[])?)?;
        let at = |share: f64| rounded(quantile(&buckets, share * all), MICROS);
        Some(Self {
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            mean: rounded(sum / all, MICROS),
        })
    }
}

/// Upper bounds in order, each with the number of values up to it.
fn buckets(then: &Exposition, now: &Exposition, name: &str) -> Option<Vec<(f64, f64)>> {
    let of = |all: &Exposition| -> Option<Vec<(f64, f64)>> {
        let bound = |number: &super::exposition::Number| {
            Some((number.label("le")?.parse().ok()?, number.value))
        };
        let mut found: Vec<(f64, f64)> = all.of(name).iter().map(bound).collect::<Option<_>>()?;
        found.sort_by(|one, other| one.0.total_cmp(&other.0));
        Some(found)
    };
    let (then, now) = (of(then)?, of(now)?);
    if then.len() != now.len() {
        return None;
    }
    let both = then.iter().zip(&now);
    both.map(|(then, now)| Some((now.0, grown(then.1, now.1)?)))
        .collect()
}

/// The value of a quantile. Above the last bound the value is unknown.
fn quantile(buckets: &[(f64, f64)], wanted: f64) -> f64 {
    let (mut floor, mut below) = (0.0, 0.0);
    for (bound, until) in buckets {
        if *until >= wanted {
            let part = (wanted - below) / (until - below);
            return if bound.is_finite() {
                floor + (bound - floor) * part
            } else {
                floor
            };
        }
        (floor, below) = (*bound, *until);
    }
    floor
}

/// The resolution, in parts of a second.
const MICROS: f64 = 1e6;

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(counts: [u32; 4], sum: f64) -> Exposition {
        let [first, second, third, all] = counts;
        Exposition::parse(&format!(
            "t_bucket{{le=\"+Inf\"}} {all}\nt_bucket{{le=\"0.01\"}} {first}\nt_bucket{{le=\"0.1\"}} {second}\n\
             t_bucket{{le=\"1\"}} {third}\nt_sum {sum}\nt_count {all}\n"
        ))
    }

    #[test]
    fn quantiles_are_those_of_the_interval() {
        // Earlier events were slow, later ones are fast.
        let then = histogram([0, 0, 0, 1000], 5000.0);
        let now = histogram([50, 98, 100, 1100], 5002.0);
        let Latency {
            p50,
            p95,
            p99,
            mean,
        } = Latency::between(&then, &now, "t").unwrap();
        assert!((p50 - 0.01).abs() < 1e-9, "{p50}");
        assert!((p95 - (0.01 + 0.09 * 45.0 / 48.0)).abs() < 1e-6, "{p95}");
        assert!((p99 - 0.55).abs() < 1e-9, "{p99}");
        assert!((mean - 0.02).abs() < 1e-9, "{mean}");
    }

    #[test]
    fn above_the_last_bound_is_at_least_that() {
        let latency =
            Latency::between(&histogram([0; 4], 0.0), &histogram([0, 0, 0, 4], 40.0), "t");
        assert_eq!(latency.unwrap().p50.to_string(), "1");
    }

    #[test]
    fn nothing_is_told_of_nothing_or_of_counts_that_went_back() {
        let full = histogram([1, 2, 3, 4], 2.0);
        assert_eq!(Latency::between(&full, &full, "t"), None);
        assert_eq!(
            Latency::between(&full, &histogram([0, 0, 0, 9], 9.0), "t"),
            None
        );
        assert_eq!(Latency::between(&Exposition::default(), &full, "t"), None);
    }
}
