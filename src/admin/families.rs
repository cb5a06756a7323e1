//! The list of all metrics. The documentation is made from it, and tests check dashboards and alert
//! rules against it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::metrics::{METRICS, Metric};
use super::snapshot::{CONFIGURED, Snapshot};

/// One metric family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// The name. A histogram's series have `_bucket`, `_sum` and `_count` appended.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its description.
    pub help: &'static str,
    /// Its labels and the values of each, in order; `\u{2026}` stands for names from the
    /// configuration.
    pub labels: BTreeMap<&'static str, Vec<String>>,
}

/// Every metric family.
#[must_use]
pub fn families() -> Vec<Family> {
    let example = Snapshot::example();
    METRICS
        .iter()
        .map(|metric| Family::new(metric, &example))
        .collect()
}

impl Family {
    fn new(metric: &Metric, example: &Snapshot) -> Self {
        let mut labels: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        metric.series(example, &mut |values, _| {
            for (name, value) in metric.labels.iter().zip(values) {
                let known = labels.entry(name).or_default();
                if !known.iter().any(|known| known == value) {
                    known.push((*value).to_owned());
                }
            }
        });
        Self {
            name: metric.name,
            kind: metric.kind.name(),
            help: metric.help,
            labels,
        }
    }
}

/// The list as a table in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut table = "| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for family in families() {
        let labels: Vec<String> = family
            .labels
            .iter()
            .map(|(name, values)| match values.as_slice() {
                [one] if one == CONFIGURED || *name == "version" => format!("`{name}`"),
                values => format!("`{name}`: {}", values.join(", ")),
            })
            .collect();
        let Family {
            name, kind, help, ..
        } = family;
        // Writing to a String cannot fail.
        let _ = writeln!(
            table,
            "| `{name}` | {kind} | {} | {help} |",
            labels.join("; ")
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_and_labels_keep_to_the_conventions() {
        let mut seen = HashSet::new();
        for metric in METRICS {
            let name = metric.name;
            assert!(seen.insert(name), "{name} twice");
            let ours = name.starts_with("wapbridge_") || name.starts_with("process_");
            assert!(ours, "{name}");
            let kind = metric.kind.name();
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            if kind == "histogram" {
                let unit = name.ends_with("_seconds") || name.ends_with("_bytes");
                assert!(unit, "{name}");
            }
            assert!(metric.help.ends_with('.'), "{name}: {}", metric.help);
            for unit in ["_ms", "_millis", "_micros", "_octets", "_kb"] {
                assert!(!name.contains(unit), "{name} is not in base units");
            }
            let mut series = HashSet::new();
            metric.series(&Snapshot::example(), &mut |values, _| {
                assert_eq!(values.len(), metric.labels.len(), "{name}");
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                assert!(series.insert(values.clone()), "{name} {values:?} twice");
            });
            assert!(!series.is_empty(), "{name} has no example");
        }
    }

    /// Dashboards and alert rules of operators use these names. A name or a label that goes, or
    /// changes, is a breaking change: it needs a line in CHANGELOG.md.
    #[test]
    fn names_and_labels_are_those_that_operators_know() {
        let known = include_str!("../../fixtures/metrics.txt");
        let mut present: Vec<String> = METRICS
            .iter()
            .map(|metric| {
                let mut words = vec![metric.name, metric.kind.name()];
                words.extend(metric.labels);
                words.join(" ")
            })
            .collect();
        present.sort_unstable();
        let known: Vec<&str> = known.lines().collect();
        assert_eq!(present, known);
        assert!(markdown().contains("| `wapbridge_target_up` | gauge | `host` |"));
    }
}
