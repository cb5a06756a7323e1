//! The text format of OpenMetrics 1.0, with exemplars: beside a bucket of a histogram the id of the
//! last sampled trace that fell into the bucket.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use super::row::{Kind, Metric, Read};
use super::table::METRICS;
use crate::server::MeasurementBatch;
use crate::trace_context::TraceId;

/// The media type of the format.
pub(super) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The last sampled trace of each bucket. Their number is that of the histograms' buckets.
#[derive(Debug, Default)]
pub(super) struct Exemplars(HashMap<Series, Vec<Option<Exemplar>>>);

/// A histogram: its name, and its route as the text has it between quotes.
type Series = (&'static str, Arc<str>);

#[derive(Clone, Copy, Debug)]
struct Exemplar {
    trace: TraceId,
    value: f64,
}

impl Exemplars {
    /// Keeps the sampled traces among these measurements.
    pub(super) fn observe(&mut self, batch: &MeasurementBatch) {
        let sampled: Vec<_> = batch
            .measurements
            .iter()
            .filter_map(|measurement| Some((measurement.trace?, measurement)))
            .collect();
        if sampled.is_empty() {
            return;
        }
        let routes: Vec<Arc<str>> = batch.routes.iter().map(|name| quoted(name)).collect();
        let none: Arc<str> = Arc::from("");
        for metric in METRICS {
            let Read::Observed(bounds, read) = metric.read else {
                continue;
            };
            for (trace, measurement) in &sampled {
                let route = match metric.labels.is_empty() {
                    true => Some(&none),
                    false => measurement.route.and_then(|route| routes.get(route)),
                };
                let (Some(route), Some(value)) = (route, read(measurement)) else {
                    continue;
                };
                let series = self.0.entry((metric.name, Arc::clone(route)));
                let buckets = series.or_insert_with(|| vec![None; bounds.len() + 1]);
                let place = bounds.partition_point(|bound| *bound < value);
                if let Some(bucket) = buckets.get_mut(place) {
                    let trace = *trace;
                    *bucket = Some(Exemplar { trace, value });
                }
            }
        }
    }

    fn of(&self, metric: &Metric, route: &str, place: usize) -> Option<Exemplar> {
        let buckets = self.0.get(&(metric.name, Arc::from(route)))?;
        *buckets.get(place)?
    }
}

/// One family. A counter's name is without its suffix, which belongs to its samples. Where this is
/// the name of a gauge, the family keeps its name, and has no kind: names are unique.
pub(super) fn family(metric: &Metric, series: &[&str], exemplars: &Exemplars) -> String {
    let short = metric.name.trim_end_matches("_total");
    let (name, kind) = match metric.kind {
        Kind::Counter if METRICS.iter().any(|other| other.name == short) => {
            (metric.name, "unknown")
        }
        Kind::Counter => (short, metric.kind.name()),
        Kind::Gauge | Kind::Histogram => (metric.name, metric.kind.name()),
    };
    let help = metric.help.replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = format!("# TYPE {name} {kind}\n# HELP {name} {help}\n");
    let Read::Observed(bounds, _) = metric.read else {
        for line in series {
            text.push_str(line);
            text.push('\n');
        }
        return text;
    };
    for line in series {
        match bucket(line) {
            Some(bucket) => {
                let Bucket {
                    before,
                    bound,
                    count,
                } = bucket;
                let number = bound.parse::<f64>().unwrap_or(f64::INFINITY);
                // The number of a bound is written with a fraction.
                let point = if bound.contains(['.', 'e', 'I']) {
                    ""
                } else {
                    ".0"
                };
                // Writing to a String cannot fail.
                let _ = write!(text, "{before}le=\"{bound}{point}\"}} {count}");
                let place = bounds.partition_point(|bound| *bound < number);
                if let Some(found) = exemplars.of(metric, bucket.route(), place) {
                    let Exemplar { trace, value } = found;
                    let _ = write!(text, " # {{trace_id=\"{trace}\"}} {value}");
                }
            }
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// The last line.
pub(super) const END: &str = "# EOF\n";

/// A line of a bucket, in its parts.
struct Bucket<'a> {
    /// Name and labels before the bound.
    before: &'a str,
    bound: &'a str,
    count: &'a str,
}

impl<'a> Bucket<'a> {
    /// The value of the label `route`, as it stands between its quotes.
    fn route(&self) -> &'a str {
        let label = self.before.split_once("{route=\"");
        let route = label.and_then(|(_, rest)| rest.strip_suffix("\","));
        route.unwrap_or_default()
    }
}

fn bucket(line: &str) -> Option<Bucket<'_>> {
    let (before, rest) = line.rsplit_once("le=\"")?;
    let (bound, count) = rest.split_once("\"} ")?;
    before.contains("_bucket{").then_some(Bucket {
        before,
        bound,
        count,
    })
}

/// A label's value as both formats write it.
fn quoted(name: &str) -> Arc<str> {
    let text = name.replace('\\', "\\\\").replace('"', "\\\"");
    text.replace('\n', "\\n").into()
}

/// Whether a client asks for this format.
pub(super) fn is_wanted(accept: &str) -> bool {
    accept.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
        is_named && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_says_what_it_reads() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert!(is_wanted(prometheus));
        assert!(is_wanted("Application/OpenMetrics-Text"));
        for other in ["", "*/*", "text/plain", "application/openmetrics-text; q=0"] {
            assert!(!is_wanted(other), "{other}");
        }
    }
}
