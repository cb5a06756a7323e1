//! The list of all metrics, made from the code that names them: for the documentation, and for the tests that
//! hold dashboards and alert rules to it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::figures::{CONFIGURED, Snapshot};
use super::samples;

/// One name and what stands behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// The name, which for histograms gets `_bucket`, `_sum` and `_count` behind it.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// What it tells.
    pub help: &'static str,
    /// The labels and, in order, the values each can have; `\u{2026}` are names from the configuration.
    pub labels: BTreeMap<&'static str, Vec<String>>,
}

/// Every metric there can be.
#[must_use]
pub fn catalogue() -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for sample in samples(&Snapshot::example()) {
        let known = families
            .iter()
            .position(|family| family.name == sample.name());
        let place = known.unwrap_or(families.len());
        if known.is_none() {
            families.push(Family {
                name: sample.name(),
                kind: sample.kind(),
                help: sample.help(),
                labels: BTreeMap::new(),
            });
        }
        let Some(family) = families.get_mut(place) else {
            continue;
        };
        for label in sample.labels() {
            let values = family.labels.entry(label.name).or_default();
            if !values.contains(&label.value.to_string()) {
                values.push(label.value.to_string());
            }
        }
    }
    families
}

/// The list as a table in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut table = "| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for family in catalogue() {
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
        for sample in samples(&Snapshot::example()) {
            let name = sample.name();
            let labels = format!("{:?}", sample.labels());
            assert!(seen.insert((name, labels)), "{sample:?} twice");
            let ours = name.starts_with("wapbridge_") || name.starts_with("process_");
            assert!(ours, "{name}");
            assert_eq!(
                sample.kind() == "counter",
                name.ends_with("_total"),
                "{name}"
            );
            if sample.kind() == "histogram" {
                assert!(
                    name.ends_with("_seconds") || name.ends_with("_bytes"),
                    "{name}"
                );
            }
            assert!(sample.help().ends_with('.'), "{name}: {}", sample.help());
            for unit in ["_ms", "_millis", "_micros", "_octets", "_kb"] {
                assert!(!name.contains(unit), "{name} is not in base units");
            }
        }
    }

    #[test]
    fn one_name_has_one_kind_one_meaning_and_the_same_labels() {
        let all = samples(&Snapshot::example());
        for family in catalogue() {
            let same = all.iter().filter(|sample| sample.name() == family.name);
            for sample in same {
                assert_eq!(sample.kind(), family.kind, "{}", family.name);
                assert_eq!(sample.help(), family.help, "{}", family.name);
                let names: Vec<_> = sample.labels().iter().map(|label| label.name).collect();
                assert_eq!(names.len(), family.labels.len(), "{}", family.name);
            }
        }
        assert!(catalogue().len() > 60);
        assert!(markdown().contains("| `wapbridge_target_up` | gauge | `host` |"));
    }
}
